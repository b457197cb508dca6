//! Which LSL streams are in sight?

use std::io::{self, Write};
use std::time::Duration;

use super::table;
use crate::acquisition::lsl::resolve_all;
use crate::cli::StreamsArgs;
use crate::native;

/// Prints a table of the streams in sight.
///
/// # Errors
/// liblsl is missing.
pub fn run(args: &StreamsArgs) -> anyhow::Result<()> {
    native::load_lsl(None)?;
    let mut streams = resolve_all(Duration::from_secs_f64(args.wait))?;
    streams.sort_by(|a, b| (&a.r#type, &a.name).cmp(&(&b.r#type, &b.name)));
    let mut out = io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&streams)?)?;
        return Ok(());
    }
    if streams.is_empty() {
        writeln!(
            out,
            "no LSL stream in sight after {} s; `neurod doctor` says whether multicast works here",
            args.wait
        )?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = streams
        .iter()
        .map(|s| {
            let rate = if s.rate > 0.0 { format!("{} Hz", s.rate) } else { "irregular".into() };
            let cells = [&s.name, &s.r#type, &s.channels.to_string(), &rate, s.format, &s.source_id, &s.host];
            cells.map(str::to_owned).to_vec()
        })
        .collect();
    write!(out, "{}", table::rows(&["name", "type", "channels", "rate", "format", "source_id", "host"], &rows))?;
    Ok(())
}

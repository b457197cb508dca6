//! Can the page be drawn again? From what summary.json keeps, of one folder of results or of several.

use std::io::{self, Write};
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use super::write::{self, Staged};
use crate::cli::ReportArgs;
use crate::datasets::DatasetError;
use crate::encoding::report::Report;

/// Draws.
///
/// # Errors
/// Folders without results; what the system refused.
pub fn run(args: &ReportArgs) -> anyhow::Result<()> {
    let reports = args.results.iter().map(|folder| read(folder)).collect::<anyhow::Result<Vec<_>>>()?;
    let report = Report::together(reports, write::command_line());
    let name = args.out.file_name().with_context(|| format!("--out {}: name a file", args.out.display()))?;
    let folder = args.out.parent().filter(|parent| !parent.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let mut page = Staged::new(folder)?;
    page.text(&name.to_string_lossy(), report.html())?;
    if let Some(folder) = &args.figures {
        let mut figures = Staged::new(folder)?;
        for figure in report.figures() {
            figures.text(&format!("{}.svg", figure.name), figure.svg())?;
            if let Some(pixels) = figure.png() {
                figures.text(&format!("{}.png", figure.name), pixels)?;
            }
        }
        figures.finish()?;
    }
    page.finish()?;
    writeln!(io::stdout(), "{}", args.out.display())?;
    Ok(())
}

/// The name of a folder of results, and what summary.json keeps of its report.
fn read(folder: &Path) -> anyhow::Result<(String, Report)> {
    let path = folder.join("summary.json");
    let wrong = |problem: String| DatasetError::Array { path: path.display().to_string(), problem };
    let text = std::fs::read_to_string(&path)
        .map_err(|error| wrong(format!("{error} (a folder that `neurod encode evaluate` or `compare` wrote)")))?;
    let mut summary: Value = serde_json::from_str(&text).map_err(|error| wrong(format!("is no JSON: {error}")))?;
    let report = summary.get_mut("report").map(Value::take).unwrap_or_default();
    let report = serde_json::from_value(report)
        .map_err(|error| wrong(format!("holds no report that can be drawn: {error} (evaluate again)")))?;
    Ok((name(folder), report))
}

/// What a folder is called, also where it is given as `.` or `..`.
pub fn name(folder: &Path) -> String {
    let whole = folder.canonicalize().unwrap_or_else(|_| folder.into());
    whole.file_name().map_or_else(|| folder.display().to_string(), |name| name.to_string_lossy().into_owned())
}

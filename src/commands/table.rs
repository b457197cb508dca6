//! Tables on a terminal: two columns of facts, and a board of the best regions that draws itself over.

use std::cell::Cell;
use std::io::{self, IsTerminal, Write};

use super::score::Scorer;

/// Names and values, aligned.
pub fn summary(lines: &[(String, String)]) -> String {
    let width = lines.iter().map(|(name, _)| name.chars().count()).max().unwrap_or(0);
    let mut out = String::from("\n");
    for (name, value) in lines {
        out.push_str(&format!("  {name:width$}  {value}\n"));
    }
    out
}

/// Rows under a header, every column as wide as its widest cell.
pub fn rows(header: &[&str], rows: &[Vec<String>]) -> String {
    let width = |c: usize| {
        let cells = rows.iter().filter_map(|row| row.get(c)).map(|cell| cell.chars().count());
        cells.chain(header.get(c).map(|h| h.chars().count())).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..header.len()).map(width).collect();
    let line = |cells: Vec<&str>| {
        let cells = cells.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<Vec<_>>().join("  ").trim_end().to_owned() + "\n"
    };
    let mut out = line(header.to_vec());
    rows.iter().for_each(|row| out.push_str(&line(row.iter().map(String::as_str).collect())));
    out
}

/// How many regions the board shows.
const SHOWN: usize = 8;

/// The best regions so far, drawn over itself on a terminal; elsewhere a line now and then.
pub struct Board {
    predictor: String,
    drawn: Cell<usize>,
    told: Cell<u64>,
}

impl Board {
    /// A board of this predictor's regions.
    pub fn new(predictor: &str) -> Self {
        Self { predictor: predictor.into(), drawn: Cell::new(0), told: Cell::new(0) }
    }

    /// Draws what has been scored so far.
    ///
    /// # Errors
    /// Standard output takes no more.
    pub fn draw(&self, scorer: &Scorer, names: &[String], of: u64) -> io::Result<()> {
        let mut out = io::stdout();
        let r = scorer.r(&self.predictor);
        let mean = scorer.r_mean(&self.predictor);
        if !out.is_terminal() {
            if scorer.volumes >= self.told.get() + 100 {
                self.told.set(scorer.volumes);
                writeln!(out, "  {} of {of} volumes, mean R {mean:.3}", scorer.volumes)?;
            }
            return Ok(());
        }
        let mut best: Vec<(usize, f64)> = r.into_iter().enumerate().collect();
        best.sort_by(|a, b| b.1.total_cmp(&a.1));
        let mut text = String::new();
        if self.drawn.get() > 0 {
            text.push_str(&format!("\x1b[{}A\x1b[J", self.drawn.get()));
        }
        text.push_str(&format!("  {} of {of} volumes, mean R {mean:.3}\n", scorer.volumes));
        for (i, r) in best.iter().take(SHOWN) {
            let bar = "█".repeat((r.max(0.0) * 40.0) as usize);
            let name = names.get(*i).map_or("", String::as_str);
            text.push_str(&format!("  {name:32.32} {r:6.3} {bar}\n"));
        }
        self.drawn.set(1 + best.len().min(SHOWN));
        out.write_all(text.as_bytes())?;
        out.flush()
    }

    /// Leaves the last drawing where it is.
    pub fn end(&self) {
        self.drawn.set(0);
    }
}

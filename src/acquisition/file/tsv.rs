//! How is a BIDS list read? Tab-separated, with a header: events.tsv, dseg.tsv.

use std::path::{Path, PathBuf};

use super::input::{LIST_CAP, at_line, read_text, shown};
use crate::acquisition::SourceError;

/// A tab-separated file, read whole. Every row has as many cells as the header.
#[derive(Clone, Debug)]
pub(crate) struct Tsv {
    pub(crate) path: PathBuf,
    pub(crate) header: Vec<String>,
    rows: Vec<(usize, Vec<String>)>,
}

/// One row, with what is needed to blame a cell.
#[derive(Clone, Copy)]
pub(crate) struct Row<'a> {
    pub(crate) tsv: &'a Tsv,
    pub(crate) line: usize,
    cells: &'a [String],
}

impl Tsv {
    /// Reads `path`.
    ///
    /// # Errors
    /// As [`read_text`]; no header; a row of another width, by line.
    pub(crate) fn read(path: &Path) -> Result<Self, SourceError> {
        let text = read_text(path, LIST_CAP)?;
        let mut lines = text.lines().enumerate().filter(|(_, l)| !l.trim().is_empty());
        let (_, first) = lines.next().ok_or_else(|| at_line(path, 1, "the file is empty (it needs a header line)"))?;
        if !first.contains('\t') && first.contains([',', ';']) {
            return Err(at_line(path, 1, "not separated by tabs (BIDS wants tabs)"));
        }
        let cells = |line: &str| line.split('\t').map(|c| c.trim().to_string()).collect::<Vec<_>>();
        let header = cells(first);
        if let Some(twice) = header.iter().enumerate().find(|(i, h)| header.iter().skip(i + 1).any(|o| o == *h)) {
            tracing::warn!(file = %path.display(), column = shown(twice.1), "a column name is repeated: the last one counts");
        }
        let mut rows = Vec::new();
        for (index, line) in lines {
            let row = cells(line);
            if row.len() != header.len() {
                return Err(at_line(
                    path,
                    index + 1,
                    format!(
                        "{} cells where the header has {} (write n/a for what is missing)",
                        row.len(),
                        header.len()
                    ),
                ));
            }
            rows.push((index + 1, row));
        }
        Ok(Self { path: path.into(), header, rows })
    }

    /// The place of a column; the last of that name, as Python's csv reads it (public data have such headers).
    pub(crate) fn column(&self, name: &str) -> Option<usize> {
        self.header.iter().rposition(|h| h == name)
    }

    /// The place of a column that must be there.
    pub(crate) fn required(&self, name: &str) -> Result<usize, SourceError> {
        self.column(name).ok_or_else(|| {
            let there: Vec<_> = self.header.iter().take(20).map(|h| shown(h)).collect();
            at_line(&self.path, 1, format!("no column \"{}\" (there are: {})", shown(name), there.join(", ")))
        })
    }

    /// The rows in order.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row<'_>> {
        self.rows.iter().map(|(line, cells)| Row { tsv: self, line: *line, cells })
    }
}

impl<'a> Row<'a> {
    /// A cell; `None` where it is `n/a` or empty.
    pub(crate) fn get(&self, column: usize) -> Option<&'a str> {
        self.cells.get(column).map(String::as_str).filter(|c| !c.is_empty() && *c != "n/a")
    }

    /// A cell as a finite number; `None` where it is missing.
    pub(crate) fn number(&self, column: usize) -> Result<Option<f64>, SourceError> {
        let Some(cell) = self.get(column) else { return Ok(None) };
        match cell.parse::<f64>() {
            Ok(value) if value.is_finite() => Ok(Some(value)),
            _ => {
                let name = self.tsv.header.get(column).map(|h| shown(h)).unwrap_or_default();
                Err(self.wrong(format!("\"{}\" in column \"{name}\" is not a number", shown(cell))))
            }
        }
    }

    /// What is wrong with this row.
    pub(crate) fn wrong(&self, problem: impl Into<String>) -> SourceError {
        at_line(&self.tsv.path, self.line, problem)
    }
}

//! How is a table of numbers read? One row a sample, one column a channel or region: TSV, CSV, text.

use std::path::{Path, PathBuf};

use super::input::{TABLE_CAP, at_line, read_text, shown};
use super::source::{RunReader, Shape};
use super::{ReplayConfig, RunFile};
use crate::acquisition::SourceError;
use crate::frame::{Block, Channel, Unit, unique_names};

/// The most columns a table may have.
const COLUMNS_CAP: usize = 100_000;

/// Names a column of times may have (any case); it is not a channel.
const TIME_COLUMNS: [&str; 4] = ["time", "timestamp", "timestamps", "t"];

/// A table whose first lines have been understood and whose rows have been counted.
pub(super) struct TableFile {
    path: PathBuf,
    layout: Layout,
    shape: Shape,
}

#[derive(Clone)]
struct Layout {
    delimiter: Delimiter,
    has_header: bool,
    /// Cells in every row.
    width: usize,
    /// The columns that become channels.
    kept: Vec<usize>,
    time: Option<usize>,
    /// Seconds between rows.
    period: f64,
}

#[derive(Clone, Copy, PartialEq)]
enum Delimiter {
    Char(char),
    /// Any run of blanks.
    Blank,
}

impl TableFile {
    /// Understands the header, counts the rows. Cells are read when the run begins.
    ///
    /// # Errors
    /// As [`read_text`]; no rows; a column without a name, or a dropped one that is not there; neither `tr` nor `rate`
    /// nor a time column.
    pub(super) fn open(path: &Path, config: &ReplayConfig) -> Result<Self, SourceError> {
        let text = read_text(path, TABLE_CAP)?;
        let mut lines = lines(&text);
        let (_, first) = lines.next().ok_or_else(|| at_line(path, 1, "the file is empty"))?;
        let delimiter = sniff(first);
        let cells: Vec<&str> = split(first, delimiter).take(COLUMNS_CAP + 1).collect();
        if cells.len() > COLUMNS_CAP {
            return Err(at_line(path, 1, format!("more than {COLUMNS_CAP} columns")));
        }
        let has_header = config.header.unwrap_or_else(|| cells.iter().any(|c| number(c).is_none()));
        let names: Vec<String> = if has_header {
            cells.iter().map(ToString::to_string).collect()
        } else {
            (1..=cells.len()).map(|i| i.to_string()).collect()
        };
        let (time, kept) = choose(path, &names, config)?;
        let samples = lines.count() as u64 + u64::from(!has_header);
        if samples == 0 {
            return Err(at_line(path, 2, "no rows follow the header"));
        }
        let mut layout = Layout { delimiter, has_header, width: cells.len(), kept, time, period: 0.0 };
        layout.period = layout.period(path, &text, samples, config)?;
        let (kind, unit) = if config.tr.is_some() { ("REGION", Unit::Arbitrary) } else { ("EEG", Unit::Microvolt) };
        let kept = layout.kept.iter().map(|i| match (has_header, names.get(*i)) {
            (true, Some(name)) => name.clone(),
            _ => format!("{kind}{}", i + 1),
        });
        let unit = config.unit.unwrap_or(unit);
        let channels: Vec<Channel> = unique_names(kept).into_iter().map(|n| Channel::new(n, kind, unit)).collect();
        let shape = Shape { channels: channels.into(), period: layout.period, samples, events: Vec::new() };
        Ok(Self { path: path.into(), layout, shape })
    }
}

/// A table whole: the names of its columns (none where it has no header), and its values row after row. A column of times is left
/// out, and so are those of `drop`.
///
/// # Errors
/// As [`TableFile::open`], and a cell that is no number, by line.
pub(crate) fn read_table(path: &Path, drop: &[String]) -> Result<(Vec<String>, Vec<f64>, usize), SourceError> {
    let config = ReplayConfig { tr: Some(1.0), drop_columns: drop.to_vec(), ..ReplayConfig::default() };
    let mut file = TableFile::open(path, &config)?;
    // How far rows are apart is asked elsewhere.
    file.layout.time = None;
    let values = file.layout.load(path)?;
    let names = file.shape.channels.iter().map(|channel| channel.name.clone());
    let names = if file.layout.has_header { names.collect() } else { Vec::new() };
    Ok((names, values, file.layout.kept.len()))
}

/// The time column, if there is one, and the columns that are channels.
fn choose(path: &Path, names: &[String], config: &ReplayConfig) -> Result<(Option<usize>, Vec<usize>), SourceError> {
    if let Some(missing) = config.drop_columns.iter().find(|d| !names.contains(d)) {
        let there: Vec<_> = names.iter().take(10).map(|n| shown(n)).collect();
        let problem = format!("drop_columns: no column \"{}\" (there are: {}, …)", shown(missing), there.join(", "));
        return Err(at_line(path, 1, problem));
    }
    let dropped = |i: &usize| names.get(*i).is_some_and(|n| config.drop_columns.contains(n));
    let time = (0..names.len())
        .find(|i| !dropped(i) && names.get(*i).is_some_and(|n| TIME_COLUMNS.contains(&n.to_lowercase().as_str())));
    let kept: Vec<usize> = (0..names.len()).filter(|i| !dropped(i) && Some(*i) != time).collect();
    if let Some(nameless) = kept.iter().find(|i| names.get(**i).is_some_and(String::is_empty)) {
        return Err(at_line(
            path,
            1,
            format!("column {} has no name (name it, or if it is an index: drop_columns = [\"\"])", nameless + 1),
        ));
    }
    if kept.is_empty() {
        return Err(at_line(path, 1, "no column is left to be a channel"));
    }
    Ok((time, kept))
}

impl Layout {
    /// The rows and their line numbers, without the header.
    fn rows<'a>(&self, text: &'a str) -> impl Iterator<Item = (usize, &'a str)> {
        lines(text).skip(usize::from(self.has_header))
    }

    /// Seconds between rows: as configured, else from the first and last cell of the time column.
    fn period(&self, path: &Path, text: &str, samples: u64, config: &ReplayConfig) -> Result<f64, SourceError> {
        if let Some(tr) = config.tr {
            return Ok(tr);
        }
        if let Some(rate) = config.rate {
            return Ok(1.0 / rate);
        }
        let Some(column) = self.time else {
            return Err(SourceError::Config(format!(
                "{}: how long is one row? (set `tr` for fMRI, `rate` for EEG, or give the file a column \"time\")",
                path.display()
            )));
        };
        let mut ends = [0.0; 2];
        for (end, row) in ends.iter_mut().zip([self.rows(text).next(), self.rows(text).last()]) {
            let Some((line, row)) = row else { continue };
            let cell = split(row, self.delimiter).nth(column).unwrap_or_default();
            *end = number(cell)
                .filter(|v| v.is_finite())
                .ok_or_else(|| at_line(path, line, format!("\"{}\" is not a time", shown(cell))))?;
        }
        let period = (ends[1] - ends[0]) / (samples.saturating_sub(1)) as f64;
        if period > 0.0 && period.is_finite() {
            return Ok(period);
        }
        Err(SourceError::Config(format!("{}: its times do not tell a rate (set `rate`)", path.display())))
    }

    /// Every kept cell, row by row.
    fn load(&self, path: &Path) -> Result<Vec<f64>, SourceError> {
        let text = read_text(path, TABLE_CAP)?;
        let mut data = Vec::new();
        let mut before: Option<f64> = None;
        let mut cells: Vec<&str> = Vec::with_capacity(self.width);
        for (line, row) in self.rows(&text) {
            cells.clear();
            // One cell more than fits says that there are too many, however long the line.
            cells.extend(split(row, self.delimiter).take(self.width + 1));
            if cells.len() != self.width {
                let found = split(row, self.delimiter).count();
                let problem =
                    format!("{found} cells where the first line has {} (write n/a for what is missing)", self.width);
                return Err(at_line(path, line, problem));
            }
            for column in &self.kept {
                let cell = cells.get(*column).copied().unwrap_or_default();
                let value = number(cell).ok_or_else(|| {
                    let hint = if cell.contains(',') { "; decimals need a point" } else { "" };
                    at_line(path, line, format!("\"{}\" in column {} is not a number{hint}", shown(cell), column + 1))
                })?;
                data.push(value);
            }
            if let Some(cell) = self.time.and_then(|c| cells.get(c)) {
                let time = number(cell)
                    .filter(|v| v.is_finite())
                    .ok_or_else(|| at_line(path, line, format!("\"{}\" is not a time", shown(cell))))?;
                // Replay spaces samples evenly; a hole in the recording must not pass as none.
                if before.is_some_and(|b| ((time - b) / self.period - 1.0).abs() > 0.5) {
                    return Err(at_line(
                        path,
                        line,
                        format!(
                            "the time goes from {} to {time} s where {} s were due (cut the file there: each piece is a run)",
                            before.unwrap_or_default(),
                            self.period
                        ),
                    ));
                }
                before = Some(time);
            }
        }
        Ok(data)
    }
}

impl RunFile for TableFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn reader(&self, from: u64) -> Result<Box<dyn RunReader>, SourceError> {
        let data = self.layout.load(&self.path)?;
        let width = self.layout.kept.len();
        let next = usize::try_from(from).unwrap_or(usize::MAX).saturating_mul(width);
        Ok(Box::new(TableReader { data, width, next }))
    }
}

/// A run of a table, whole in memory.
struct TableReader {
    data: Vec<f64>,
    width: usize,
    next: usize,
}

impl RunReader for TableReader {
    fn read(&mut self, into: &mut Block) -> Result<(), SourceError> {
        while let Some(row) = self.data.get(self.next..self.next.saturating_add(self.width)) {
            if !into.push(row) {
                break;
            }
            self.next += self.width;
        }
        Ok(())
    }
}

/// Lines with something on them, numbered from 1; lines that begin with `#` are remarks.
fn lines(text: &str) -> impl Iterator<Item = (usize, &str)> {
    text.lines()
        .enumerate()
        .map(|(i, line)| (i + 1, line))
        .filter(|(_, line)| !line.trim().is_empty() && !line.starts_with('#'))
}

/// Tab, semicolon or comma, whichever stands first in this order on the first line; else blanks.
fn sniff(line: &str) -> Delimiter {
    let mut quoted = false;
    let bare: String = line
        .chars()
        .filter(|c| {
            quoted ^= *c == '"';
            !quoted
        })
        .collect();
    ['\t', ';', ','].into_iter().find(|d| bare.contains(*d)).map_or(Delimiter::Blank, Delimiter::Char)
}

/// The cells of a line, without the blanks and quotes around them. A delimiter inside quotes does not cut.
fn split(line: &str, delimiter: Delimiter) -> impl Iterator<Item = &str> {
    let mut rest = Some(if delimiter == Delimiter::Blank { line.trim() } else { line });
    std::iter::from_fn(move || {
        let text = rest?;
        let mut quoted = false;
        let cut = text.find(|c: char| {
            quoted ^= c == '"';
            !quoted && if let Delimiter::Char(d) = delimiter { c == d } else { c.is_whitespace() }
        });
        let (cell, after) = match cut {
            Some(at) => (&text[..at], text[at..].chars().next().map(|c| &text[at + c.len_utf8()..])),
            None => (text, None),
        };
        rest = if delimiter == Delimiter::Blank { after.map(str::trim_start) } else { after };
        let cell = cell.trim();
        Some(cell.strip_prefix('"').and_then(|c| c.strip_suffix('"')).unwrap_or(cell))
    })
}

/// A cell's number; NaN where it says that there is none; `None` where it is no number.
fn number(cell: &str) -> Option<f64> {
    match cell {
        "" | "n/a" | "N/A" | "NA" | "na" => Some(f64::NAN),
        _ => cell.parse().ok(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_cut_at_the_delimiter_they_use_and_not_inside_quotes() {
        let cells = |line| split(line, sniff(line)).collect::<Vec<_>>();
        assert_eq!(cells("a\tb c\t"), ["a", "b c", ""]);
        assert_eq!(cells("\"x, y\", 2 ,3"), ["x, y", "2", "3"]);
        assert_eq!(cells("  1  -2\t"), ["1  -2", ""]);
        assert_eq!(cells("  1  -2 3"), ["1", "-2", "3"]);
        assert_eq!(cells("1;2,5"), ["1", "2,5"]);
        assert_eq!(cells("7"), ["7"]);
    }

    #[test]
    fn missing_cells_are_nan_and_words_are_nothing() {
        assert!(["", "n/a", "NaN", "nan"].iter().all(|c| number(c).is_some_and(f64::is_nan)));
        assert_eq!((number("1e-3"), number("x"), number("1,5")), (Some(1e-3), None, None));
    }
}

//! What is known of people? participants.tsv, as BIDS has it: a row a person, whose columns are labels, sites and groups.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::DatasetError;
use crate::acquisition::SourceError;
use crate::acquisition::file::Tsv;

/// Whether a cell says that nothing is known.
pub fn is_missing(cell: &str) -> bool {
    matches!(cell.trim(), "" | "n/a" | "N/A" | "NA" | "NaN" | "nan")
}

/// A table of people.
#[derive(Debug)]
pub struct Participants {
    tsv: Tsv,
    /// Of each person, without `sub-`, the row.
    rows: BTreeMap<String, usize>,
}

/// A column, joined to samples.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Known {
    /// The samples of which something is known, ascending.
    pub rows: Vec<usize>,
    /// What, of each of those.
    pub values: Vec<String>,
    /// Samples whose cell is empty or n/a.
    pub missing: usize,
    /// Samples of people who are not in the table.
    pub unlisted: usize,
}

impl Known {
    /// A value a sample, where empty and `n/a` count as missing.
    pub fn of(values: &[String]) -> Self {
        let mut known = Self::default();
        for (row, value) in values.iter().enumerate() {
            known.add(row, value);
        }
        known
    }

    fn add(&mut self, row: usize, value: &str) {
        match is_missing(value) {
            true => self.missing += 1,
            false => {
                self.rows.push(row);
                self.values.push(value.trim().to_owned());
            }
        }
    }

    /// The values as numbers.
    ///
    /// # Errors
    /// The first that is none.
    pub fn numbers(&self) -> Result<Vec<f64>, String> {
        let number = |value: &String| match value.parse::<f64>() {
            Ok(number) if number.is_finite() => Ok(number),
            _ => Err(format!("\"{value}\" is no number (classes are learned without --task values)")),
        };
        self.values.iter().map(number).collect()
    }
}

impl Participants {
    /// Reads `path`.
    ///
    /// # Errors
    /// No such file; not separated by tabs; no column `participant_id`; a person twice, or a row of nobody.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let tsv = Tsv::read(path)?;
        let column = tsv.required("participant_id")?;
        let mut rows = BTreeMap::new();
        for (index, row) in tsv.rows().enumerate() {
            let id = row.get(column).ok_or_else(|| row.wrong("no participant_id"))?;
            if rows.insert(bare(id).to_owned(), index).is_some() {
                return Err(row.wrong(format!("\"{id}\" a second time (one row a person)")).into());
            }
        }
        Ok(Self { tsv, rows })
    }

    /// Reads `path:column`, as it is given on a command line, for the samples of `participants`.
    ///
    /// # Errors
    /// As [`read`](Self::read) and [`column`](Self::column); no colon.
    pub fn labels(given: &str, participants: &[String]) -> Result<Known, DatasetError> {
        let Some((path, column)) =
            given.rsplit_once(':').filter(|(path, column)| !path.is_empty() && !column.is_empty())
        else {
            return Err(DatasetError::Array {
                path: given.to_owned(),
                problem: "names no column (participants.tsv:diagnosis)".into(),
            });
        };
        Self::read(&PathBuf::from(path))?.column(column, participants)
    }

    /// Whether there is such a column.
    pub fn has(&self, column: &str) -> bool {
        self.tsv.column(column).is_some()
    }

    /// What `column` says of each sample's person; `sub-01` and `01` are the same person.
    ///
    /// # Errors
    /// No such column; not one of the people is in the table.
    pub fn column(&self, column: &str, participants: &[String]) -> Result<Known, DatasetError> {
        let at = self.tsv.required(column)?;
        let cells: Vec<Option<&str>> = self.tsv.rows().map(|row| row.get(at)).collect();
        let mut known = Known::default();
        for (sample, participant) in participants.iter().enumerate() {
            match self.rows.get(bare(participant)) {
                Some(row) => known.add(sample, cells.get(*row).copied().flatten().unwrap_or_default()),
                None => known.unlisted += 1,
            }
        }
        if known.unlisted == participants.len() {
            let first = |names: BTreeSet<&str>| names.into_iter().take(3).collect::<Vec<_>>().join(", ");
            let ours = first(participants.iter().map(String::as_str).collect());
            let theirs = first(self.rows.keys().map(String::as_str).collect());
            return Err(SourceError::Malformed {
                path: self.tsv.path.display().to_string(),
                place: "participant_id".into(),
                problem: format!("none of the networks' participants is here ({ours}, … against {theirs}, …)"),
            }
            .into());
        }
        Ok(known)
    }
}

/// The name of a person without the prefix of BIDS.
fn bare(id: &str) -> &str {
    id.strip_prefix("sub-").unwrap_or(id)
}

//! What lies in a folder of scans? A table of regions or a matrix each, of somebody who is told by a name.
//!
//! Tables are .tsv, .csv and .txt (a header of names, or none), .npy, .npz and .mat. Lists that BIDS puts beside them (participants,
//! samples, regions, events, scans, sessions, confounds) are no scans.

mod matrix;
mod published;
mod samples;
mod series;

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::Array2;

use super::DatasetError;
use super::participants::is_missing;
use crate::acquisition::file::Tsv;

pub use matrix::read_matrix;
pub use published::{Published, published};
pub use samples::{Cut, Request, requests};
pub use series::{Series, read_series};

/// How deep folders are looked into.
const MOST_DEPTH: usize = 8;
/// Lists that lie beside scans.
const LISTS: [&str; 8] =
    ["participants", "samples", "regions", "_events", "_scans", "_sessions", "confounds", "_channels"];
/// Endings of what holds numbers.
pub const TABLES: [&str; 6] = ["tsv", "csv", "txt", "npy", "npz", "mat"];

/// The scans under `folder` with one of these `endings`, sorted; with `matching` in their path, where that is given.
///
/// # Errors
/// A folder that cannot be read; none found.
pub fn find(folder: &Path, endings: &[&str], matching: Option<&str>) -> Result<Vec<PathBuf>, DatasetError> {
    let mut found = Vec::new();
    walk(folder, 0, &mut found).map_err(|error| wrong(folder, error.to_string()))?;
    let is_scan = |path: &PathBuf| {
        let name = path.file_name().unwrap_or_default().to_string_lossy().to_lowercase();
        let inside = path.strip_prefix(folder).unwrap_or(path).to_string_lossy().into_owned();
        endings.iter().any(|ending| name.ends_with(&format!(".{ending}")))
            && !LISTS.iter().any(|list| name.starts_with(list) || (list.starts_with('_') && name.contains(list)))
            && !name.contains("confounds")
            && !name.starts_with("readme")
            && matching.is_none_or(|text| inside.contains(text))
    };
    found.retain(is_scan);
    found.sort();
    match found.is_empty() {
        true => {
            let with = matching.map(|text| format!(" with \"{text}\" in its path")).unwrap_or_default();
            Err(wrong(
                folder,
                format!("no scan{with} in it (.{}; docs/networks.md says how it is laid out)", endings.join(", .")),
            ))
        }
        false => Ok(found),
    }
}

fn walk(folder: &Path, depth: usize, found: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        let hidden = path.file_name().is_some_and(|name| name.to_string_lossy().starts_with('.'));
        match path.is_dir() {
            _ if hidden => {}
            true if depth < MOST_DEPTH => walk(&path, depth + 1, found)?,
            true => {}
            false => found.push(path),
        }
    }
    Ok(())
}

/// Who a scan is of: `sub-XX` in its path, else whose row of participants.tsv names it in `file`, else the part of its path that is
/// a `participant_id`.
///
/// # Errors
/// Nobody.
pub fn participant(folder: &Path, file: &Path, people: Option<&People>) -> Result<String, DatasetError> {
    let inside = file.strip_prefix(folder).unwrap_or(file);
    let shown = inside.to_string_lossy().replace('\\', "/");
    if let Some(known) = people.and_then(|people| people.of_file(&shown)) {
        return Ok(known);
    }
    let parts = || shown.split(['/', '_', '.']);
    if let Some(part) = parts().find(|part| part.strip_prefix("sub-").is_some_and(|id| !id.is_empty())) {
        return Ok(part.to_owned());
    }
    let listed = people.and_then(|people| parts().find(|part| people.ids.iter().any(|id| id == part)));
    listed.map(str::to_owned).ok_or_else(|| {
        wrong(
            file,
            "whose scan is this? (name it sub-XX_…, or give participants.tsv a column `file`, or list the part of its path that is \
             the person as participant_id)"
                .into(),
        )
    })
}

/// The people of a folder.
#[derive(Debug)]
pub struct People {
    ids: Vec<String>,
    files: Vec<(String, String)>,
}

impl People {
    /// Reads `participants.tsv` of `folder`; none where there is none.
    ///
    /// # Errors
    /// It cannot be read, or has no column `participant_id`.
    pub fn read(folder: &Path) -> Result<Option<Self>, DatasetError> {
        let path = folder.join("participants.tsv");
        if !path.exists() {
            return Ok(None);
        }
        let tsv = Tsv::read(&path)?;
        let (id, file) = (tsv.required("participant_id")?, tsv.column("file"));
        let ids = tsv.rows().filter_map(|row| Some(row.get(id)?.to_owned())).collect();
        let of =
            |row: crate::acquisition::file::TsvRow<'_>| Some((row.get(file?)?.to_owned(), row.get(id)?.to_owned()));
        Ok(Some(Self { ids, files: tsv.rows().filter_map(of).collect() }))
    }

    fn of_file(&self, inside: &str) -> Option<String> {
        self.files.iter().find(|(file, _)| file == inside).map(|(_, id)| id.clone())
    }
}

/// What regions.tsv says: a name each, and where they lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Regions {
    /// Their names, in the order of columns.
    pub names: Vec<String>,
    /// N × 3, mm RAS; none unless `x`, `y` and `z` are known of every one.
    pub coordinates: Option<Array2<f64>>,
}

impl Regions {
    /// Reads a regions.tsv, with a column `region` (or `name`), and perhaps `x`, `y` and `z`.
    ///
    /// # Errors
    /// It cannot be read; a region without a name; a coordinate that is no number.
    pub fn read(path: &Path) -> Result<Self, DatasetError> {
        let tsv = Tsv::read(path)?;
        let name = tsv.column("region").or(tsv.column("name")).map_or_else(|| tsv.required("region"), Ok)?;
        let axes: Vec<usize> = ["x", "y", "z"].iter().filter_map(|axis| tsv.column(axis)).collect();
        let (mut names, mut places) = (Vec::new(), Vec::new());
        for row in tsv.rows() {
            names.push(row.get(name).ok_or_else(|| row.wrong("a region without a name"))?.to_owned());
            for axis in &axes {
                places.extend(row.number(*axis)?);
            }
        }
        let coordinates = Array2::from_shape_vec((names.len(), 3), places).ok();
        Ok(Self { names: crate::frame::unique_names(names), coordinates })
    }
}

/// Whether a cell of a list names something.
fn named(cell: Option<&str>) -> Option<&str> {
    cell.filter(|cell| !is_missing(cell))
}

fn wrong(path: &Path, problem: String) -> DatasetError {
    DatasetError::Array { path: path.display().to_string(), problem }
}

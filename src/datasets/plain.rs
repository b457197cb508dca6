//! How does a dataset become a plain folder? Written beside its place, and moved there when it is whole.

use std::fs;
use std::path::{Path, PathBuf};

use ndarray::Array2;
use ndarray_npy::{WritableElement, write_npy};
use serde_json::{Map, Value, json};

use super::folder::sha256;
use super::{DatasetError, Voxel};

/// A dataset on its way into a folder.
#[derive(Debug)]
pub struct Plain<T> {
    /// n × V.
    pub responses: Array2<T>,
    /// Feature spaces by name, n × F each.
    pub features: Vec<(String, Array2<T>)>,
    /// Columns of runs.tsv by name, n cells each; an empty cell is n/a.
    pub rows: Vec<(&'static str, Vec<String>)>,
    /// One a column of the responses.
    pub voxels: Vec<Voxel>,
    /// The files it was made from.
    pub sources: Vec<PathBuf>,
    /// What one should know of how it was made.
    pub notes: Vec<String>,
}

/// Whether `folder` can be written to.
///
/// # Errors
/// There is something in it, unless `force` says to replace it and it is a dataset.
pub fn vacant(folder: &Path, force: bool) -> Result<(), DatasetError> {
    let is_empty = match fs::read_dir(folder) {
        Ok(mut entries) => entries.next().is_none(),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => true,
        Err(error) => return Err(failed(folder, &error)),
    };
    match (is_empty, force, folder.join("responses.npy").exists()) {
        (true, ..) | (_, true, true) => Ok(()),
        (_, true, false) => Err(wrong(folder, "is no dataset, and is not replaced (name another folder)")),
        (_, false, _) => Err(wrong(folder, "is not empty (name another folder, or replace it with --force)")),
    }
}

impl<T: WritableElement> Plain<T> {
    /// What stands in a column of runs.tsv.
    pub fn column(&self, name: &str) -> Option<&[String]> {
        self.rows.iter().find(|(column, _)| *column == name).map(|(_, cells)| cells.as_slice())
    }

    /// Writes it to `folder`, with `command` and the hashes of its sources in import.json.
    ///
    /// # Errors
    /// As [`vacant`]; lengths that do not fit one another; what the disk says. Then `folder` is as it was.
    pub fn write(&self, folder: &Path, force: bool, command: &str) -> Result<(), DatasetError> {
        vacant(folder, force)?;
        self.check(folder)?;
        let (parent, name) = (folder.parent().unwrap_or(Path::new("")), folder.file_name().unwrap_or_default());
        let beside = |what: &str| parent.join(format!(".{}.{what}-{}", name.to_string_lossy(), std::process::id()));
        let (partial, old) = (beside("partial"), beside("old"));
        let written = self.fill(&partial, command).and_then(|()| {
            let io = |error| failed(folder, &error);
            if folder.exists() {
                fs::rename(folder, &old).map_err(io)?;
            }
            fs::rename(&partial, folder).map_err(|error| {
                // What stood there comes back: nothing was lost.
                let _ = fs::rename(&old, folder);
                failed(folder, &error)
            })
        });
        for left in [partial, old].iter().filter(|left| left.exists()) {
            fs::remove_dir_all(left).map_err(|error| failed(left, &error))?;
        }
        written
    }

    fn check(&self, folder: &Path) -> Result<(), DatasetError> {
        let (n, v) = self.responses.dim();
        let features = self.features.iter().map(|(name, values)| (name.as_str(), values.nrows(), n));
        let rows = self.rows.iter().map(|(name, cells)| (*name, cells.len(), n));
        for (name, got, expected) in features.chain(rows).chain([("regions", self.voxels.len(), v)]) {
            if got != expected {
                let (path, other) = (folder.join(name).display().to_string(), "responses".into());
                return Err(DatasetError::Rows { path, got, other, expected });
            }
        }
        match n * v {
            0 => Err(wrong(folder, &format!("would hold {n} samples of {v} voxels (nothing is left of the source)"))),
            _ => Ok(()),
        }
    }

    fn fill(&self, partial: &Path, command: &str) -> Result<(), DatasetError> {
        let io = |error: std::io::Error| failed(partial, &error);
        let npy = |name: &str, values: &Array2<T>| {
            write_npy(partial.join(name), values).map_err(|error| wrong(partial, &error.to_string()))
        };
        fs::create_dir_all(partial).map_err(io)?;
        npy("responses.npy", &self.responses)?;
        if !self.features.is_empty() {
            fs::create_dir(partial.join("features")).map_err(io)?;
        }
        for (name, values) in &self.features {
            npy(&format!("features/{name}.npy"), values)?;
        }
        if !self.rows.is_empty() {
            let names: Vec<String> = self.rows.iter().map(|(name, _)| (*name).to_owned()).collect();
            let cell = |row: usize| move |(_, cells): &(_, Vec<String>)| cells.get(row).cloned().unwrap_or_default();
            let rows = (0..self.responses.nrows()).map(|row| self.rows.iter().map(cell(row)).collect());
            fs::write(partial.join("runs.tsv"), table(names, rows)).map_err(io)?;
        }
        fs::write(partial.join("regions.tsv"), regions(&self.voxels)).map_err(io)?;
        let mut hashes = Map::new();
        for source in &self.sources {
            hashes.insert(source.display().to_string(), sha256(source)?.into());
        }
        let made: Value = json!({
            "version": env!("CARGO_PKG_VERSION"), "command": command, "sha256": hashes, "notes": self.notes,
        });
        fs::write(partial.join("import.json"), format!("{made:#}\n")).map_err(io)
    }
}

/// regions.tsv, with the columns of which something is known.
fn regions(voxels: &[Voxel]) -> String {
    let has = |known: fn(&Voxel) -> bool| voxels.iter().any(known);
    let placed = has(|v| v.place.is_some());
    let axis =
        |i: usize| move |v: &Voxel| v.place.and_then(|p| p.get(i).map(|mm| format!("{mm:.3}"))).unwrap_or_default();
    type Cell = Box<dyn Fn(&Voxel) -> String>;
    let columns: [(&str, bool, Cell); 7] = [
        ("voxel", true, Box::new(|v| v.name.clone())),
        ("region", true, Box::new(|v| v.region.clone())),
        ("hemisphere", has(|v| !v.hemisphere.is_empty()), Box::new(|v| v.hemisphere.clone())),
        ("network", has(|v| !v.network.is_empty()), Box::new(|v| v.network.clone())),
        ("x", placed, Box::new(axis(0))),
        ("y", placed, Box::new(axis(1))),
        ("z", placed, Box::new(axis(2))),
    ];
    let known: Vec<&(&str, bool, Cell)> = columns.iter().filter(|(_, is_known, _)| *is_known).collect();
    let names = known.iter().map(|(name, ..)| (*name).to_owned()).collect();
    table(names, voxels.iter().map(|voxel| known.iter().map(|(.., cell)| cell(voxel)).collect()))
}

/// A tab-separated table, n/a where a cell is empty.
fn table(names: Vec<String>, rows: impl Iterator<Item = Vec<String>>) -> String {
    let cell = |cell: String| match cell.trim() {
        "" => "n/a".into(),
        // A cell must not end its row.
        text => text.replace(['\t', '\n', '\r'], " "),
    };
    let line = |cells: Vec<String>| cells.into_iter().map(cell).collect::<Vec<_>>().join("\t") + "\n";
    std::iter::once(names).chain(rows).map(line).collect()
}

fn wrong(folder: &Path, problem: &str) -> DatasetError {
    DatasetError::Array { path: folder.display().to_string(), problem: problem.into() }
}

fn failed(folder: &Path, error: &std::io::Error) -> DatasetError {
    wrong(folder, &error.to_string())
}

//! What did four people's scene regions do while they saw 5000 pictures? BOLD5000, from its release by region and TR.
//!
//! `CSI1_ROIs_TR3.mat` holds, of subject CSI1, one matrix a region and hemisphere (`LHPPA`, `RHPPA`, …): a row a trial,
//! a column a voxel, the third volume after the picture came on; `TR34` is the mean of the third and fourth. What was
//! shown stands in `CSI01_stim_lists.txt`, a line a trial; a picture shown before has `rep_` before its name, which is
//! taken away, so that repeats are known by their name. Responses are the mean over the chosen files.
//!
//! Subjects 1 to 3 saw 5254 pictures and subject 4 saw 3108: 142 and 84 runs of 37, in the order of the list.
//!
//! Source: Chang et al. (2019), *BOLD5000, a public fMRI dataset while viewing 5000 visual images*, Scientific Data 6:49.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ndarray::{Array2, s};

use super::mat::Mat;
use super::plain::Plain;
use super::{DatasetError, Voxel};

/// Pictures in a run.
pub const TRIALS_A_RUN: usize = 37;
/// The regions, in the order in which they are tabled.
const REGIONS: [&str; 5] = ["PPA", "LOC", "EarlyVis", "OPA", "RSC"];
/// How deep below the folder that is named files are looked for.
const DEPTH: usize = 6;

/// What to take of BOLD5000.
#[derive(Clone, Debug)]
pub struct Bold5000 {
    /// The folder, or one above it, that holds the files.
    pub source: PathBuf,
    /// 1 to 4.
    pub subject: usize,
    /// Which volumes are averaged, as the files name them: `1`, …, `5`, and `34`.
    pub volumes: Vec<String>,
    /// Trials in a run; 0 leaves runs out.
    pub trials_a_run: usize,
    /// The folder that holds the pictures, in folders of their own or not; without it they go by their bare names.
    pub pictures: Option<PathBuf>,
}

impl Bold5000 {
    /// Reads the subject's files; `step` hears after each how many of how many are read.
    ///
    /// # Errors
    /// A file that is missing, there twice, or no such file; regions of unlike size; another number of trials than the
    /// stimulus list has, or one that is not made of whole runs.
    pub fn read(&self, step: &dyn Fn(u64, u64)) -> Result<Plain<f32>, DatasetError> {
        let found = Files::under(&self.source)?;
        let list = found.only(&format!("csi{}_stim_lists.txt", self.subject), "the stimulus list")?;
        let text = std::fs::read_to_string(&list).map_err(|error| wrong(&list, error.to_string()))?;
        let shown: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
        let n = shown.len();
        let files = self.volumes.iter().map(|volume| {
            let name = format!("csi{}_rois_tr{}.mat", self.subject, volume.trim().to_lowercase());
            found.only(&name, &format!("volume {volume}"))
        });
        let files: Vec<PathBuf> = files.collect::<Result<_, _>>()?;
        let (mut sum, mut voxels) = (Array2::<f64>::zeros((n, 0)), Vec::new());
        for (i, path) in files.iter().enumerate() {
            let (values, of) = regions(path, &list, n)?;
            if i == 0 {
                (sum, voxels) = (values, of);
            } else if of != voxels {
                let (path, first) = (path.display(), files.first().map(|p| p.display().to_string()));
                let problem =
                    format!("other voxels than {} (all files must be of one release)", first.unwrap_or_default());
                return Err(DatasetError::Array { path: path.to_string(), problem });
            } else {
                sum += &values;
            }
            step(i as u64 + 1, files.len() as u64);
        }
        let over = files.len() as f64;
        let stimuli: Vec<String> =
            shown.iter().map(|name| name.strip_prefix("rep_").unwrap_or(name).to_owned()).collect();
        let repeats = shown.iter().filter(|name| name.starts_with("rep_")).count();
        let mut rows = Vec::new();
        if self.trials_a_run > 0 {
            if !n.is_multiple_of(self.trials_a_run) {
                let problem =
                    format!("{n} trials are no whole runs of {} (--trials-a-run 0 leaves runs out)", self.trials_a_run);
                return Err(wrong(&list, problem));
            }
            rows.push(("run", (0..n).map(|trial| (trial / self.trials_a_run + 1).to_string()).collect()));
        }
        rows.push(("condition", stimuli.iter().map(|name| collection(name).to_owned()).collect()));
        rows.push(("subject", vec![format!("CSI{}", self.subject); n]));
        rows.push(("image", self.images(&stimuli)?));
        rows.push(("stimulus", stimuli));
        let notes = vec![format!(
            "responses are the mean of volumes {}; {repeats} of {n} trials repeat a picture",
            self.volumes.join(", ")
        )];
        let sources = files.into_iter().chain([list]).collect();
        let responses = sum.mapv(|total| (total / over) as f32);
        Ok(Plain { responses, features: Vec::new(), rows, voxels, sources, notes })
    }

    /// Where each picture lies within the folder of pictures.
    fn images(&self, names: &[String]) -> Result<Vec<String>, DatasetError> {
        let Some(folder) = &self.pictures else { return Ok(names.to_vec()) };
        let found = Files::under(folder)?;
        let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
        let places: BTreeMap<String, &Path> =
            found.all.iter().filter_map(|(_, path)| Some((name(path)?, path.as_path()))).collect();
        let missing: BTreeSet<&str> = names.iter().map(String::as_str).filter(|n| !places.contains_key(*n)).collect();
        if let Some(first) = missing.first() {
            let problem = format!("{} of the pictures shown are not there, {first} among them", missing.len());
            return Err(wrong(folder, problem));
        }
        let place = |name: &String| places.get(name).map(|path| path.strip_prefix(folder).unwrap_or(path));
        Ok(names.iter().filter_map(place).map(|path| path.display().to_string()).collect())
    }
}

/// Which collection a picture was taken from.
fn collection(name: &str) -> &'static str {
    let is_synset = name.strip_prefix('n').is_some_and(|rest| rest.chars().take(8).all(|c| c.is_ascii_digit()));
    match name {
        _ if name.starts_with("COCO_") => "COCO",
        _ if is_synset => "ImageNet",
        _ => "Scene",
    }
}

/// The regions of one file side by side: n × V.
fn regions(path: &Path, list: &Path, n: usize) -> Result<(Array2<f64>, Vec<Voxel>), DatasetError> {
    let names: Vec<(String, &str, &str)> =
        REGIONS.iter().flat_map(|region| ["L", "R"].map(|side| (format!("{side}H{region}"), *region, side))).collect();
    let mat = Mat::read(path, |name| names.iter().any(|(known, ..)| known == name))?;
    let (mut parts, mut voxels) = (Vec::new(), Vec::new());
    for (name, region, side) in &names {
        let place = mat.get(name)?;
        let (rows, columns, values) = place.matrix()?;
        if rows != n {
            let (path, other) = (format!("{}:{name}", path.display()), list.display().to_string());
            return Err(DatasetError::Rows { path, got: rows, other, expected: n });
        }
        let voxel = |v: usize| Voxel {
            name: format!("{name}_{}", v + 1),
            region: (*region).into(),
            hemisphere: (*side).into(),
            ..Voxel::default()
        };
        voxels.extend((0..columns).map(voxel));
        parts.push((columns, values));
    }
    let mut all = Array2::zeros((n, voxels.len()));
    let mut from = 0;
    for (columns, values) in parts {
        let mut into = all.slice_mut(s![.., from..from + columns]);
        into.columns_mut().into_iter().zip(values.chunks(n)).for_each(|(mut column, values)| {
            column.iter_mut().zip(values).for_each(|(cell, value)| *cell = *value);
        });
        from += columns;
    }
    Ok((all, voxels))
}

/// The files of a folder and of those within it, by name: in lower case, and without zeros before a subject's number.
struct Files {
    under: PathBuf,
    all: Vec<(String, PathBuf)>,
}

impl Files {
    fn under(folder: &Path) -> Result<Self, DatasetError> {
        fn walk(folder: &Path, depth: usize, all: &mut Vec<(String, PathBuf)>) -> std::io::Result<()> {
            for entry in std::fs::read_dir(folder)? {
                let entry = entry?;
                let (path, name) = (entry.path(), entry.file_name().to_string_lossy().to_lowercase());
                if name.starts_with('.') {
                    continue;
                }
                if path.is_dir() {
                    if depth > 0 {
                        walk(&path, depth - 1, all)?;
                    }
                } else {
                    let name = match name.strip_prefix("csi") {
                        Some(rest) => format!("csi{}", rest.trim_start_matches('0')),
                        None => name,
                    };
                    all.push((name, path));
                }
            }
            Ok(())
        }
        let mut all = Vec::new();
        walk(folder, DEPTH, &mut all).map_err(|error| wrong(folder, error.to_string()))?;
        all.sort();
        Ok(Self { under: folder.into(), all })
    }

    /// The one file of that name.
    fn only(&self, name: &str, what: &str) -> Result<PathBuf, DatasetError> {
        let found: Vec<&PathBuf> = self.all.iter().filter(|(known, _)| known == name).map(|(_, path)| path).collect();
        match found.as_slice() {
            [path] => Ok((*path).clone()),
            [] => {
                let start = name.split('_').next().unwrap_or(name);
                let near: Vec<_> =
                    self.all.iter().filter(|(known, _)| known.starts_with(start)).map(|(n, _)| n.as_str()).collect();
                let near = if near.is_empty() { "nothing of this subject".into() } else { near.join(", ") };
                let name = name.replacen("csi", "CSI", 1);
                Err(wrong(&self.under, format!("no {name}, {what} (there is: {near}; choose volumes with --tr)")))
            }
            [first, second, ..] => {
                let (first, second) = (first.display(), second.display());
                Err(wrong(&self.under, format!("{what} is there twice: {first} and {second} (name the folder of one)")))
            }
        }
    }
}

fn wrong(path: &Path, problem: String) -> DatasetError {
    DatasetError::Array { path: path.display().to_string(), problem }
}

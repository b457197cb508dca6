//! What was measured in a scanner, and what happened meanwhile? BIDS: images, events.tsv, a mask or a label image.
//!
//! Every volume becomes a row: of the voxels within the mask or under a label, or of the means under each label. What
//! was shown is that of the event that covers the middle of the volume, or that begins within it and has no duration;
//! of several, the one that began last. `trial_type` becomes `condition` and, unless a sentence is given, `text`;
//! `stim_file` becomes `image` and `stimulus`; a column `stimulus` or `stim_id` is `stimulus`. A category alone is no
//! stimulus: samples of one stimulus are kept on one side of every fold, which would leave nothing to learn from where
//! each category is in every run.
//!
//! Source: Brain Imaging Data Structure 1.10, *Task (including resting state) imaging data* and *Task events*.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use ndarray::{Array2, Axis};

use super::plain::Plain;
use super::{DatasetError, Voxel};
use crate::acquisition::file::{SentenceRule, Sentences, Tsv, Volumes, read_events, read_names};
use crate::fmri::{Atlas, FmriError, Grid};
use crate::frame::Event;

/// What to take of a session.
#[derive(Clone, Debug, Default)]
pub struct Bids {
    /// One 4D image a run, in order.
    pub images: Vec<PathBuf>,
    /// One events.tsv an image; by default that beside it, of the same name.
    pub events: Vec<PathBuf>,
    /// Instead of events: a table with a row a volume, over all images in order.
    pub samples: Option<PathBuf>,
    /// Which voxels: those of this image that are not 0.
    pub mask: Option<PathBuf>,
    /// Which region each voxel lies in.
    pub labels: Option<PathBuf>,
    /// The names of `labels`: dseg.tsv, with `index`, `name`, and perhaps `hemisphere` and `network`.
    pub names: Option<PathBuf>,
    /// Whether each label becomes one column, the mean of its voxels.
    pub mean: bool,
    /// Seconds a volume takes; by default what the image says.
    pub tr: Option<f64>,
    /// Whether each column's mean and linear trend are taken away within each run.
    pub detrend: bool,
    /// Whether each column is brought to mean 0 and deviation 1 within each run.
    pub standardize: bool,
    /// The sentence of an event, with its columns in braces.
    pub text: Option<String>,
    /// Kinds of event that show nothing.
    pub rest: Vec<String>,
}

/// What a volume is reduced to: of each column its voxels, in the order of memory.
struct Columns {
    voxels: Vec<Voxel>,
    members: Vec<Vec<usize>>,
}

impl Bids {
    /// Reads it; `step` hears after each volume how many of how many are read.
    ///
    /// # Errors
    /// An image, table or list that is malformed; images of another grid; neither mask nor labels; no events; no TR.
    pub fn read(&self, step: &dyn Fn(u64, u64)) -> Result<Plain<f32>, DatasetError> {
        let images = self.images.iter().map(|path| Volumes::open(path)).collect::<Result<Vec<_>, _>>()?;
        let Some(first) = images.first() else { return Err(wrong(Path::new("bids"), "name at least one image")) };
        if !self.events.is_empty() && self.events.len() != images.len() {
            let (events, images) = (self.events.len(), images.len());
            return Err(wrong(
                &first.path,
                &format!("{events} events files for {images} images (one for each, in order)"),
            ));
        }
        let columns = self.columns(first)?;
        let (mut shown, mut files, mut of_image) = (Shown::default(), Vec::new(), Vec::new());
        let mut parts: Vec<Array2<f32>> = Vec::new();
        for (i, (image, run)) in images.iter().zip(runs(&self.images)).enumerate() {
            if let Some(difference) = image.grid.difference(&first.grid) {
                return Err(wrong(&image.path, &format!("another grid than {}: {difference}", first.path.display())));
            }
            if self.samples.is_none() {
                let (events, file) = self.events_of(i, image)?;
                events.iter().for_each(|event| shown.push(event.as_ref(), run.clone()));
                files.push(file);
            }
            let (before, all) = (of_image.len() as u64, images.iter().map(|image| image.count).sum());
            parts.push(series(image, &columns, &|volume| step(before + volume, all))?);
            of_image.extend((0..image.count).map(|_| run.clone()));
        }
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        let mut responses = ndarray::concatenate(Axis(0), &views).map_err(|e| wrong(&first.path, &e.to_string()))?;
        drop(parts);
        if let Some(path) = &self.samples {
            shown = self.table(path, &of_image)?;
        }
        if self.detrend || self.standardize {
            self.clean(&mut responses, &shown.run);
        }
        let named = [&self.samples, &self.mask, &self.labels, &self.names];
        let sources = self.images.iter().chain(&files).chain(named.into_iter().flatten()).cloned().collect();
        let none = shown.label.iter().filter(|label| label.is_empty()).count();
        let mut notes = vec![format!("{none} of {} volumes have no event", responses.nrows())];
        if self.detrend {
            notes.push("every column's mean and linear trend are taken away within each run".into());
        }
        if self.standardize {
            notes.push("every column has mean 0 and deviation 1 within each run".into());
        }
        let subject = entity(&first.path, "sub").unwrap_or_default().to_owned();
        let n = responses.nrows();
        let known = |cells: &Vec<String>| cells.iter().any(|cell| !cell.is_empty());
        let all = [
            ("run", shown.run),
            ("condition", shown.label),
            ("text", shown.text),
            ("image", shown.image),
            ("stimulus", shown.stimulus),
            ("subject", vec![subject; n]),
        ];
        let rows = all.into_iter().filter(|(_, cells)| known(cells)).collect();
        Ok(Plain { responses, features: Vec::new(), rows, voxels: columns.voxels, sources, notes })
    }

    /// The columns, from the label image and the mask.
    fn columns(&self, like: &Volumes) -> Result<Columns, DatasetError> {
        let atlas = |path: &PathBuf, make: fn(_, _) -> Result<Atlas, _>| -> Result<Atlas, DatasetError> {
            let image = Volumes::open(path)?;
            if let Some(difference) = image.grid.difference(&like.grid) {
                let problem =
                    format!("another grid than {}: {difference} (resample it, nearest neighbour)", like.path.display());
                return Err(wrong(path, &problem));
            }
            let mut stream = image.stream(0)?;
            stream.next_volume()?;
            let values: Vec<f64> = (0..image.grid.voxels()).map(|voxel| stream.value(voxel)).collect();
            make(image.grid, values.into_iter()).map_err(|error: FmriError| wrong(path, &error.to_string()))
        };
        let mask = self.mask.as_ref().map(|path| atlas(path, Atlas::from_mask)).transpose()?;
        let labels = self.labels.as_ref().map(|path| atlas(path, Atlas::from_labels)).transpose()?;
        let of = |atlas: &Atlas, region: usize| {
            atlas.gather().voxels_of(region).iter().map(|v| *v as usize).collect::<Vec<_>>()
        };
        let inside: Option<BTreeSet<usize>> = mask.as_ref().map(|m| (0..m.len()).flat_map(|i| of(m, i)).collect());
        let mut columns = Columns { voxels: Vec::new(), members: Vec::new() };
        match (labels, &inside, self.mean) {
            (Some(labels), _, _) => {
                let names = Names::read(self.names.as_deref())?;
                for (region, label) in labels.labels().iter().enumerate() {
                    let mut members = of(&labels, region);
                    members.retain(|voxel| inside.as_ref().is_none_or(|inside| inside.contains(voxel)));
                    let voxel = names.voxel(*label);
                    match self.mean {
                        true if members.is_empty() => {}
                        true => {
                            let place = Some(middle(&members, &like.grid));
                            columns.voxels.push(Voxel { name: voxel.region.clone(), place, ..voxel });
                            columns.members.push(members);
                        }
                        false => columns.each(&members, &voxel, &like.grid),
                    }
                }
            }
            (None, Some(_), true) => return Err(wrong(&like.path, "--mean takes means under labels (give --dseg)")),
            (None, Some(inside), false) => {
                let voxel = Voxel { region: "all".into(), ..Voxel::default() };
                columns.each(&inside.iter().copied().collect::<Vec<_>>(), &voxel, &like.grid);
            }
            (None, None, _) => {
                return Err(wrong(&like.path, "which voxels? (give --mask, an image, or --dseg, a label image)"));
            }
        }
        match columns.voxels.is_empty() {
            true => Err(wrong(&like.path, "no labelled voxel lies within the mask (are they of one space?)")),
            false => Ok(columns),
        }
    }

    /// What is shown at each volume of an image, and where that was read.
    fn events_of(&self, i: usize, image: &Volumes) -> Result<(Vec<Option<Event>>, PathBuf), DatasetError> {
        let path = match self.events.get(i) {
            Some(path) => path.clone(),
            None => beside(&image.path)?,
        };
        let tr = self.tr.or(image.tr).filter(|tr| *tr > 0.0 && tr.is_finite());
        let tr = tr.ok_or_else(|| wrong(&image.path, "the header has no TR (give --tr, in seconds)"))?;
        let mut events = read_events(&path, 0.0, &self.sentences(), tr * image.count as f64)?;
        events.retain(|event| !self.rest.contains(&event.label));
        events.sort_by(|a, b| a.onset.seconds().total_cmp(&b.onset.seconds()));
        let at = |volume: u64| {
            let (from, to) = (volume as f64 * tr, (volume as f64 + 1.0) * tr);
            let covers = |event: &&Event| match (event.onset.seconds(), event.duration) {
                (begins, 0.0) => from <= begins && begins < to,
                (begins, lasts) => begins <= (from + to) / 2.0 && (from + to) / 2.0 < begins + lasts,
            };
            events.iter().rfind(covers).cloned()
        };
        Ok(((0..image.count).map(at).collect(), path))
    }

    fn sentences(&self) -> Vec<SentenceRule> {
        self.text.iter().map(|text| SentenceRule { text: text.clone(), ..SentenceRule::default() }).collect()
    }

    /// Takes trend or scale away, column by column and run by run; a column that does not vary becomes 0.
    fn clean(&self, responses: &mut Array2<f32>, runs: &[String]) {
        let mut of_run: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        runs.iter().enumerate().for_each(|(row, run)| of_run.entry(run).or_default().push(row));
        for mut column in responses.columns_mut() {
            for rows in of_run.values() {
                let n = rows.len() as f64;
                let values: Vec<f64> = rows.iter().map(|row| column.get(*row).map_or(0.0, |v| f64::from(*v))).collect();
                let mean = values.iter().sum::<f64>() / n;
                // Times about their middle are orthogonal to the mean.
                let times: Vec<f64> = (0..rows.len()).map(|t| t as f64 - (n - 1.0) / 2.0).collect();
                let along = times.iter().zip(&values).map(|(t, v)| t * v).sum::<f64>();
                let length = times.iter().map(|t| t * t).sum::<f64>();
                let slope = if self.detrend && length > 0.0 { along / length } else { 0.0 };
                let rest: Vec<f64> = times.iter().zip(&values).map(|(t, v)| v - mean - slope * t).collect();
                let deviation = (rest.iter().map(|v| v * v).sum::<f64>() / n).sqrt();
                // What rounding alone leaves of a column is no signal.
                let varies = deviation > 1e-7 * mean.abs();
                let scale = if self.standardize { 1.0 / deviation } else { 1.0 };
                for (row, value) in rows.iter().zip(rest) {
                    column
                        .get_mut(*row)
                        .into_iter()
                        .for_each(|cell| *cell = if varies { value * scale } else { 0.0 } as f32);
                }
            }
        }
    }

    /// What is shown at each of `n` volumes, by a table with a row for each.
    fn table(&self, path: &Path, of_image: &[String]) -> Result<Shown, DatasetError> {
        let (list, n) = (Tsv::read(path)?, of_image.len());
        let got = list.rows().count();
        if got != n {
            let other = "the images together".into();
            return Err(DatasetError::Rows { path: path.display().to_string(), got, other, expected: n });
        }
        let find = |names: &[&str]| names.iter().find_map(|name| list.column(name));
        let (label, text) = (find(&["trial_type", "label", "labels", "condition"]), find(&["text"]));
        let run = find(&["run", "chunk", "chunks"]);
        let rules = self.sentences();
        let sentences = Sentences::compile(&rules, &list)?;
        let mut shown = Shown::default();
        for (row, of_image) in list.rows().zip(of_image) {
            let cell = |column: Option<usize>| column.and_then(|c| row.get(c)).map(String::from);
            let label = cell(label).unwrap_or_default();
            let text = if rules.is_empty() { cell(text) } else { sentences.of(row)? };
            let named = list.header.iter().enumerate();
            let columns = named.filter_map(|(c, name)| Some((name.clone(), row.get(c)?.to_owned()))).collect();
            let shows = !self.rest.contains(&label) && (!label.is_empty() || text.is_some());
            let event = shows.then(|| Event { label, text, columns, ..Event::default() });
            shown.push(event.as_ref(), cell(run).unwrap_or_else(|| of_image.clone()));
        }
        Ok(shown)
    }
}

impl Columns {
    /// A column for each of these voxels, as `like` says of all of them.
    fn each(&mut self, members: &[usize], like: &Voxel, grid: &Grid) {
        for voxel in members {
            let index = grid.index(*voxel);
            let [x, y, z] = index;
            let place = Some(grid.millimetres(index));
            self.voxels.push(Voxel { name: format!("{x}_{y}_{z}"), place, ..like.clone() });
            self.members.push(vec![*voxel]);
        }
    }
}

/// What was shown, volume by volume; an empty cell is nothing.
#[derive(Default)]
struct Shown {
    run: Vec<String>,
    label: Vec<String>,
    text: Vec<String>,
    image: Vec<String>,
    stimulus: Vec<String>,
}

impl Shown {
    fn push(&mut self, event: Option<&Event>, run: String) {
        let cell = |names: &[&str]| {
            let find = |event: &Event| names.iter().find_map(|name| event.columns.get(*name).cloned());
            event.and_then(find).unwrap_or_default()
        };
        self.run.push(run);
        self.label.push(event.map(|event| event.label.clone()).unwrap_or_default());
        self.text.push(event.map(|event| event.text.clone().unwrap_or(event.label.clone())).unwrap_or_default());
        self.image.push(cell(&["image", "stim_file"]));
        self.stimulus.push(cell(&["stimulus", "stim_id", "stim_file"]));
    }
}

/// What a list says of labels.
struct Names {
    names: BTreeMap<u32, String>,
    sides: BTreeMap<u32, (String, String)>,
}

impl Names {
    fn read(path: Option<&Path>) -> Result<Self, DatasetError> {
        let Some(path) = path else { return Ok(Self { names: BTreeMap::new(), sides: BTreeMap::new() }) };
        let (names, list) = (read_names(path)?, Tsv::read(path)?);
        let index = list.required("index")?;
        let (side, network) = (list.column("hemisphere").or_else(|| list.column("hemi")), list.column("network"));
        let mut sides = BTreeMap::new();
        for row in list.rows() {
            let cell = |column: Option<usize>| column.and_then(|c| row.get(c)).unwrap_or_default().to_owned();
            if let Some(label) = row.number(index)? {
                sides.insert(label as u32, (cell(side), cell(network)));
            }
        }
        Ok(Self { names, sides })
    }

    fn voxel(&self, label: u32) -> Voxel {
        let region = self.names.get(&label).cloned().unwrap_or_else(|| format!("label_{label}"));
        let (hemisphere, network) = self.sides.get(&label).cloned().unwrap_or_default();
        Voxel { region, hemisphere, network, ..Voxel::default() }
    }
}

/// The columns of an image, a row a volume.
fn series(image: &Volumes, columns: &Columns, step: &dyn Fn(u64)) -> Result<Array2<f32>, DatasetError> {
    let mut stream = image.stream(0)?;
    let mut values = Vec::new();
    for volume in 0..image.count {
        stream.next_volume()?;
        step(volume + 1);
        values.extend(columns.members.iter().map(|members| {
            let sum: f64 = members.iter().map(|voxel| stream.value(*voxel)).sum();
            (sum / members.len() as f64) as f32
        }));
    }
    let shape = (values.len() / columns.members.len().max(1), columns.members.len());
    Array2::from_shape_vec(shape, values).map_err(|error| wrong(&image.path, &error.to_string()))
}

/// The mean place of these voxels.
fn middle(members: &[usize], grid: &Grid) -> [f64; 3] {
    let places: Vec<[f64; 3]> = members.iter().map(|voxel| grid.millimetres(grid.index(*voxel))).collect();
    [0, 1, 2].map(|axis: usize| places.iter().filter_map(|p| p.get(axis)).sum::<f64>() / places.len().max(1) as f64)
}

/// What a file's name says of `key`: `01` of `run` in `sub-1_run-01_bold.nii.gz`.
fn entity<'a>(path: &'a Path, key: &str) -> Option<&'a str> {
    let name = path.file_name()?.to_str()?;
    name.split('_').find_map(|part| part.strip_prefix(key)?.strip_prefix('-'))
}

/// The names of runs: of their `ses` and `run`, where those tell them apart, and otherwise their numbers.
fn runs(images: &[PathBuf]) -> Vec<String> {
    let name = |path: &PathBuf| match (entity(path, "ses"), entity(path, "run")) {
        (Some(session), Some(run)) => Some(format!("{session}-{run}")),
        (None, Some(run)) => Some(run.to_owned()),
        (_, None) => None,
    };
    let names: Option<Vec<String>> = images.iter().map(name).collect();
    let apart = |names: &Vec<String>| names.iter().collect::<BTreeSet<_>>().len() == names.len();
    names.filter(apart).unwrap_or_else(|| (1..=images.len()).map(|run| run.to_string()).collect())
}

/// The events.tsv of an image: of the same name, but for what only images have (`space`, `res`, `desc`).
fn beside(image: &Path) -> Result<PathBuf, DatasetError> {
    let name = image.file_name().unwrap_or_default().to_string_lossy();
    let stem = name.trim_end_matches(".gz").trim_end_matches(".nii").trim_end_matches("_bold");
    let is_own = |part: &&str| !["space-", "res-", "desc-", "part-", "echo-"].iter().any(|only| part.starts_with(only));
    let events = stem.split('_').filter(is_own).collect::<Vec<_>>().join("_") + "_events.tsv";
    let path = image.with_file_name(events);
    match path.exists() {
        true => Ok(path),
        false => {
            Err(wrong(&path, "is not there (name events.tsv with --events, or a table of volumes with --samples)"))
        }
    }
}

fn wrong(path: &Path, problem: &str) -> DatasetError {
    DatasetError::Array { path: path.display().to_string(), problem: problem.into() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_are_called_by_what_tells_them_apart() {
        let called = |names: &[&str]| runs(&names.iter().map(PathBuf::from).collect::<Vec<_>>());
        assert_eq!(called(&["a/sub-1_run-01_bold.nii", "a/sub-1_run-03_bold.nii"]), ["01", "03"]);
        assert_eq!(called(&["sub-1_ses-1_run-1_bold.nii", "sub-1_ses-2_run-1_bold.nii"]), ["1-1", "2-1"]);
        assert_eq!(called(&["sub-1_task-a_run-1_bold.nii", "sub-1_task-b_run-1_bold.nii"]), ["1", "2"]);
        assert_eq!(called(&["rest.nii", "sub-1_run-1_bold.nii"]), ["1", "2"]);
    }
}

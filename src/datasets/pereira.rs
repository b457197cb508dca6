//! What did sixteen brains do at 180 concepts? Pereira et al. (2018), from one person's .mat file of one experiment.
//!
//! `data_180concepts_pictures.mat` (and `…_sentences`, `…_wordclouds`; `data_384sentences.mat`, `data_243sentences.mat`)
//! holds `examples`, a row a concept and a column a voxel; `keyConcept`, their names; `labelsConcreteness`; and `meta`:
//! `atlases` names the networks and parcellations, and of each in turn `rois` names its regions and `roiColumns` their
//! voxels. The older `examples_….mat` has `roisAAL`, `roiColumnsAAL`, `roisGordon` and so on instead. Both are read.
//!
//! Networks overlap: `visual` holds most of `visual_face`. A voxel is kept once, in the first of the chosen networks
//! that has it; with [`repeat`](Pereira::repeat) it is a column of each, as in tables that count voxels by network.
//! Voxels of none are left out. `meta.colToCoord` counts voxels of an image and is no place in mm: places are written
//! where an image on that grid says where it lies.
//!
//! The text that "Visio-Linguistic Brain Encoding" released with it, concept2caption.json, has 1063 captions where its
//! features have 1065 pictures, and 14 concepts have other than six: average features by concept, never by sixes.
//!
//! Source: Pereira et al. (2018), *Toward a universal decoder of linguistic meaning from brain activation*, Nature
//! Communications 9:963.

use std::collections::BTreeSet;
use std::path::PathBuf;

use ndarray::Array2;

use super::mat::{Mat, Place};
use super::plain::Plain;
use super::{DatasetError, Voxel};
use crate::fmri::Grid;

/// The networks of the published tables, particular ones before those that contain them.
pub const NETWORKS: [&str; 9] =
    ["languageLH", "languageRH", "visual_body", "visual_face", "visual_object", "visual_scene", "visual", "DMN", "MD"];

/// What to take of a file.
#[derive(Clone, Debug)]
pub struct Pereira {
    /// The .mat file.
    pub source: PathBuf,
    /// Which of `meta.atlases`; by default those of [`NETWORKS`] that are there.
    pub networks: Vec<String>,
    /// Whether regions are the regions of an atlas, or each atlas is one region.
    pub by_roi: bool,
    /// Whether a voxel of several networks is a column of each.
    pub repeat: bool,
    /// Whose responses they are; by default the folder's name.
    pub subject: Option<String>,
    /// Where the voxels lie.
    pub grid: Option<Grid>,
}

/// A network or parcellation: of each of its regions the name and the voxels.
struct Atlas {
    name: String,
    rois: Vec<(String, Vec<usize>)>,
}

impl Pereira {
    /// Reads it.
    ///
    /// # Errors
    /// As [`Mat::read`]; a variable that is missing or of another shape; a network that is not there; a grid of another
    /// size.
    pub fn read(&self) -> Result<Plain<f32>, DatasetError> {
        let known = |name: &str| name.starts_with("examples") || name.starts_with("key") || name.starts_with("labels");
        let mat = Mat::read(&self.source, |name| known(name) || name == "meta")?;
        // Files of sentences may have `examples` as well, a row a passage.
        let sentences = mat.find("examples_passagesentences").filter(|_| mat.find("keyConcept").is_none());
        let examples = sentences.map_or_else(|| mat.get("examples"), Ok)?;
        let (n, of, values) = examples.matrix()?;
        let stimuli = stimuli(&mat, n)?;
        let meta = mat.get("meta")?;
        let atlases = self.atlases(&meta, of)?;
        let places = Places::of(&meta, of, self.grid.as_ref())?;
        let (mut columns, mut voxels) = (Vec::new(), Vec::new());
        let (mut taken, mut shared) = (vec![false; of], BTreeSet::new());
        for atlas in &atlases {
            // Atlases may call regions alike.
            let prefix = if atlases.len() > 1 { format!("{}.", atlas.name) } else { String::new() };
            let mut own = BTreeSet::new();
            for (roi, members) in &atlas.rois {
                for column in members {
                    let before = taken.get_mut(*column).map(|taken| std::mem::replace(taken, true)).unwrap_or(true);
                    if !own.insert(*column) {
                        continue;
                    }
                    if before {
                        shared.insert(*column);
                    }
                    if !before || self.repeat {
                        columns.push(*column);
                        voxels.push(self.voxel(atlas, (&prefix, roi), *column, &places));
                    }
                }
            }
        }
        let pick = |(row, v): (usize, usize)| {
            columns.get(v).and_then(|c| values.get(c * n + row)).map_or(f32::NAN, |x| *x as f32)
        };
        let responses = Array2::from_shape_fn((n, columns.len()), pick);
        let mut notes =
            vec![format!("{} of {of} voxels are in a chosen network", taken.iter().filter(|t| **t).count())];
        if !shared.is_empty() {
            let fate = match self.repeat {
                true => "each is a column of every one (a mean over all regions counts it as often)",
                false => {
                    "each is kept in the first (--repeat makes it a column of every one, as tables by network count)"
                }
            };
            notes.push(format!("{} voxels lie in several of the chosen networks: {fate}", shared.len()));
        }
        let folder = self.source.parent().and_then(|folder| folder.file_name());
        let subject = self.subject.clone().or_else(|| Some(folder?.to_string_lossy().into_owned())).unwrap_or_default();
        let mut rows = vec![("stimulus", stimuli.clone()), ("text", stimuli), ("subject", vec![subject; n])];
        if let Some(ratings) = mat.find("labelsConcreteness") {
            rows.extend(concreteness(&ratings, n)?);
        }
        Ok(Plain { responses, features: Vec::new(), rows, voxels, sources: vec![self.source.clone()], notes })
    }

    fn voxel(&self, atlas: &Atlas, (prefix, roi): (&str, &str), column: usize, places: &Places) -> Voxel {
        let place = places.mm.get(column).copied().flatten();
        let by_place = || place.map_or("", |[x, ..]| if x < 0.0 { "L" } else { "R" });
        let side = [atlas.name.as_str(), roi].into_iter().find_map(hemisphere).unwrap_or_else(by_place);
        let network = atlas.name.strip_suffix("LH").or_else(|| atlas.name.strip_suffix("RH")).unwrap_or(&atlas.name);
        Voxel {
            name: places.names.get(column).cloned().unwrap_or_else(|| (column + 1).to_string()),
            region: if self.by_roi { format!("{prefix}{roi}") } else { atlas.name.clone() },
            hemisphere: side.into(),
            network: network.into(),
            place,
        }
    }

    /// The chosen atlases, of `of` voxels.
    fn atlases(&self, meta: &Place<'_>, of: usize) -> Result<Vec<Atlas>, DatasetError> {
        let all = match meta.find("atlases")? {
            Some(names) => listed(meta, &names.texts()?, of)?,
            None => named(meta, of)?,
        };
        let names = || all.iter().map(|atlas| atlas.name.as_str()).collect::<Vec<_>>().join(", ");
        let is_default = self.networks.is_empty();
        let wanted: Vec<&str> =
            if is_default { NETWORKS.to_vec() } else { self.networks.iter().map(String::as_str).collect() };
        let (mut chosen, mut all_of) = (Vec::new(), all.iter().collect::<Vec<_>>());
        for name in wanted {
            match all_of.iter().position(|atlas| atlas.name.eq_ignore_ascii_case(name)) {
                Some(i) => chosen.push(all_of.remove(i)),
                None if is_default => {}
                None => return Err(meta.wrong(format!("no network \"{name}\" (there are: {})", names()))),
            }
        }
        match chosen.is_empty() {
            true => Err(meta.wrong(format!("none of the usual networks (choose with --networks: {})", names()))),
            false => {
                let own = |atlas: &Atlas| Atlas { name: atlas.name.clone(), rois: atlas.rois.clone() };
                Ok(chosen.into_iter().map(own).collect())
            }
        }
    }
}

/// Atlases that are listed in `meta.atlases`, with their regions in lists beside it.
fn listed(meta: &Place<'_>, names: &[String], of: usize) -> Result<Vec<Atlas>, DatasetError> {
    let (columns, rois) = (meta.field("roiColumns")?, meta.find("rois")?);
    let (columns, rois) = (columns.cells()?, rois.map(|rois| rois.cells()).transpose()?.unwrap_or_default());
    if columns.len() != names.len() {
        return Err(meta.wrong(format!("{} atlases and {} lists in roiColumns", names.len(), columns.len())));
    }
    let atlas = |(i, (name, columns)): (usize, (&String, &Place<'_>))| atlas(name, columns, rois.get(i), of);
    names.iter().zip(&columns).enumerate().map(atlas).collect()
}

/// Atlases that are named in the fields themselves: `roiColumnsAAL`, `roisAAL`.
fn named(meta: &Place<'_>, of: usize) -> Result<Vec<Atlas>, DatasetError> {
    let mut atlases = Vec::new();
    for name in ["AAL", "Gordon"] {
        if let Some(columns) = meta.find(&format!("roiColumns{name}"))? {
            atlases.push(atlas(name, &columns, meta.find(&format!("rois{name}"))?.as_ref(), of)?);
        }
    }
    match atlases.is_empty() {
        true => Err(meta.wrong("neither `atlases` nor `roiColumnsAAL` (expected the meta of the released files)")),
        false => Ok(atlases),
    }
}

fn atlas(name: &str, columns: &Place<'_>, rois: Option<&Place<'_>>, of: usize) -> Result<Atlas, DatasetError> {
    let columns = columns.cells_or_self();
    let names = rois.map(|rois| rois.texts()).transpose()?.unwrap_or_default();
    let roi = |(i, members): (usize, &Place<'_>)| {
        let name = names.get(i).cloned().unwrap_or_else(|| format!("{name}_{}", i + 1));
        Ok((name, members.indices(of)?))
    };
    let rois = columns.iter().enumerate().map(roi).collect::<Result<_, DatasetError>>()?;
    Ok(Atlas { name: name.into(), rois })
}

/// What was shown at each row.
fn stimuli(mat: &Mat, n: usize) -> Result<Vec<String>, DatasetError> {
    let (key, labels) = match mat.find("keyConcept") {
        Some(key) => (key, mat.find("labelsConcept")),
        None => match mat.find("keySentences") {
            Some(key) => (key, mat.find("labelsSentences")),
            None => (mat.get("keyConcept")?, None),
        },
    };
    let names = key.texts()?;
    let order = match labels {
        Some(labels) if labels.numbers()?.values.len() == n => labels.indices(names.len())?,
        _ if names.len() == n => (0..n).collect(),
        _ => return Err(key.wrong(format!("{} names for {n} rows of examples", names.len()))),
    };
    Ok(order.iter().filter_map(|i| names.get(*i).cloned()).collect())
}

/// The rating of each row, and on which side of the median it lies: concrete above, abstract else.
fn concreteness(ratings: &Place<'_>, n: usize) -> Result<Vec<(&'static str, Vec<String>)>, DatasetError> {
    let values = &ratings.numbers()?.values;
    if values.len() != n {
        return Err(ratings.wrong(format!("{} ratings for {n} rows of examples", values.len())));
    }
    let mut sorted = values.clone();
    sorted.sort_by(f64::total_cmp);
    let at = |i: usize| sorted.get(i).copied().unwrap_or_default();
    let median = (at((n.max(1) - 1) / 2) + at(n / 2)) / 2.0;
    let side = |rating: &f64| if *rating > median { "concrete" } else { "abstract" }.to_owned();
    Ok(vec![
        ("condition", values.iter().map(side).collect()),
        ("concreteness", values.iter().map(f64::to_string).collect()),
    ])
}

/// What voxels are called, and where they lie.
struct Places {
    names: Vec<String>,
    mm: Vec<Option<[f64; 3]>>,
}

impl Places {
    fn of(meta: &Place<'_>, of: usize, grid: Option<&Grid>) -> Result<Self, DatasetError> {
        let Some(place) = meta.find("colToCoord")? else { return Ok(Self { names: Vec::new(), mm: Vec::new() }) };
        let (rows, columns, values) = place.matrix()?;
        if (rows, columns) != (of, 3) {
            return Err(place.wrong(format!("{rows} × {columns} (expected {of} × 3)")));
        }
        // MATLAB counts voxels from 1.
        let index =
            |voxel: usize| [0, 1, 2].map(|axis| values.get(axis * rows + voxel).copied().unwrap_or_default() - 1.0);
        let indices: Vec<[f64; 3]> = (0..of).map(index).collect();
        if let Some(grid) = grid {
            let outside =
                |voxel: &&[f64; 3]| voxel.iter().zip(grid.dims).any(|(i, size)| !(0.0..size as f64).contains(i));
            if let Some(voxel) = indices.iter().find(outside) {
                return Err(place.wrong(format!("voxel {voxel:?} lies outside of --grid, {:?} voxels", grid.dims)));
            }
        }
        let names = indices.iter().map(|[x, y, z]| format!("{x}_{y}_{z}")).collect();
        let mm = |voxel: &[f64; 3]| grid.map(|grid| grid.millimetres(voxel.map(|i| i as usize)));
        Ok(Self { names, mm: indices.iter().map(mm).collect() })
    }
}

/// The side that a name tells: `languageLH`, `Frontal_Sup_L`, `ROI241_VentralAttn_R_48.1`.
fn hemisphere(name: &str) -> Option<&'static str> {
    let side = |part: &str| match part {
        "L" | "LH" => Some("L"),
        "R" | "RH" => Some("R"),
        _ if part.ends_with("LH") => Some("L"),
        _ if part.ends_with("RH") => Some("R"),
        _ => None,
    };
    name.split(['_', ' ']).find_map(side)
}

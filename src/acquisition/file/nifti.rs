//! How does a 4D NIfTI become region time series? Streamed volume by volume, averaged within labels.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::corrected::correction;
use super::input::{at_byte, at_line, malformed};
use super::matrix::read_matrix;
use super::source::{RunReader, Shape};
use super::tsv::Tsv;
use super::volumes::{VolumeStream, Volumes};
use super::{ReplayConfig, RunFile};
use crate::acquisition::SourceError;
use crate::fmri::{Atlas, Correction, FmriError, Grid, Interpolation, Maps};
use crate::frame::{Block, Channel, Quality, Unit, unique_names};

/// The images that volumes are reduced with, as a configuration names them.
#[derive(Clone, Copy, Default)]
pub(crate) struct Images<'a> {
    pub(crate) labels: Option<&'a Path>,
    pub(crate) label_names: Option<&'a Path>,
    /// A matrix from the space of `labels` to that of the volumes.
    pub(crate) affine: Option<&'a Path>,
    pub(crate) interpolation: Option<Interpolation>,
    pub(crate) mask: Option<&'a Path>,
    pub(crate) unit: Option<Unit>,
}

/// What volumes are reduced to: regions, or the voxels of a mask.
#[derive(Clone)]
pub(crate) struct Reduction {
    pub(crate) atlas: Atlas,
    /// The image it came from.
    path: PathBuf,
    is_mask: bool,
    interpolation: Interpolation,
    pub(crate) channels: Arc<[Channel]>,
}

impl Reduction {
    /// Reads the label image, the maps or the mask that `images` names, relative to `base`.
    ///
    /// # Errors
    /// Neither or both are named; the image is malformed or is no label image, or holds what is no weight; as
    /// [`read_matrix`]; as [`Tsv`] for the names.
    pub(crate) fn load(images: Images, base: &Path) -> Result<Self, SourceError> {
        let unit = images.unit.unwrap_or(Unit::Arbitrary);
        let config = |problem: &str| Err(SourceError::Config(problem.into()));
        match (images.labels, images.mask) {
            (Some(labels), None) => Self::of_labels(&base.join(labels), images, base, unit),
            (None, Some(_)) if images.affine.is_some() || images.interpolation.is_some() => {
                config("`labels_affine` and `labels_interpolation` are for `labels`: a `mask` is not resampled")
            }
            (None, Some(mask)) => Self::of_mask(&base.join(mask), unit),
            (None, None) => config(
                "a NIfTI recording needs `labels` (a label image, or maps) or `mask` (to keep every voxel in it)",
            ),
            (Some(_), Some(_)) => config("set `labels` or `mask`, not both"),
        }
    }

    /// A 3D image holds labels, a 4D image one map a region.
    fn of_labels(path: &Path, images: Images, base: &Path, unit: Unit) -> Result<Self, SourceError> {
        let volumes = Volumes::open(path)?;
        let wrong = |error: FmriError| malformed(path, "voxels", error.to_string());
        let mut stream = volumes.stream(0)?;
        let voxels = volumes.grid.voxels();
        let atlas = if volumes.count > 1 {
            let mut maps = Maps::new(volumes.grid.clone());
            for _ in 0..volumes.count {
                stream.next_volume()?;
                maps.add((0..voxels).map(|voxel| stream.value(voxel))).map_err(wrong)?;
            }
            maps.finish()
        } else {
            stream.next_volume()?;
            Atlas::from_labels(volumes.grid.clone(), (0..voxels).map(|voxel| stream.value(voxel)))
        };
        let mut atlas = atlas.map_err(wrong)?;
        if let Some(file) = images.affine {
            let file = base.join(file);
            let moved = atlas.moved(&read_matrix(&file)?);
            atlas = moved.map_err(|error| malformed(&file, "matrix", error.to_string()))?;
        }
        let names = images.label_names.map(|file| base.join(file));
        let known = names.as_deref().map(read_names).transpose()?.unwrap_or_default();
        let (called, interpolation) = match volumes.count {
            1 => ("label", Interpolation::Nearest),
            _ => ("map", Interpolation::Linear),
        };
        let name = |label: &u32| known.get(label).cloned().unwrap_or_else(|| format!("{called}_{label}"));
        let nameless = atlas.labels().iter().filter(|l| !known.contains_key(l)).count();
        if let (1.., Some(names)) = (nameless, &names) {
            let names = names.display();
            tracing::warn!(nameless, "regions without a name in {names} are called by their number");
        }
        let channels = channels(atlas.labels().iter().map(name).collect(), "REGION", unit);
        let interpolation = images.interpolation.unwrap_or(interpolation);
        Ok(Self { atlas, path: path.into(), is_mask: false, interpolation, channels })
    }

    fn of_mask(path: &Path, unit: Unit) -> Result<Self, SourceError> {
        let volumes = Volumes::open(path)?;
        let mut stream = volumes.stream(0)?;
        stream.next_volume()?;
        let grid = volumes.grid.clone();
        let values = (0..grid.voxels()).map(|voxel| stream.value(voxel));
        let atlas = Atlas::from_mask(grid, values).map_err(|e| malformed(path, "voxels", e.to_string()))?;
        let names = (0..atlas.len()).filter_map(|i| atlas.first_voxel(i)).map(|[x, y, z]| format!("{x}_{y}_{z}"));
        let channels = channels(names.collect(), "VOXEL", unit);
        Ok(Self { atlas, path: path.into(), is_mask: true, interpolation: Interpolation::Nearest, channels })
    }

    /// The same columns for `volumes`: an atlas that lies on another grid is brought onto theirs once. A region that no voxel
    /// is left of is told, and its values are NaN.
    ///
    /// # Errors
    /// No region lies within the volumes; a mask of another grid, whose voxels are the columns.
    pub(crate) fn on(&self, volumes: &Volumes) -> Result<Self, SourceError> {
        let path = self.path.display();
        let wrong = |problem| malformed(&volumes.path, "header", problem);
        let atlas = if self.is_mask {
            self.atlas.reordered(&volumes.grid).map_err(|told| {
                let difference = volumes.grid.difference(&self.atlas.grid).unwrap_or(told);
                let mend = format!("resample {path} to this image, nearest neighbour");
                wrong(format!("another grid than {path}: {difference} ({mend})"))
            })?
        } else {
            self.atlas.onto(&volumes.grid, self.interpolation).map_err(|e| wrong(format!("{path}: {e}")))?
        };
        let lost: Vec<_> = atlas.lost().filter_map(|region| self.channels.get(region)).map(|c| &c.name[..]).collect();
        if !lost.is_empty() {
            let (count, some) = (lost.len(), lost.into_iter().take(10).collect::<Vec<_>>().join(", "));
            let image = volumes.path.display();
            tracing::warn!(count, "regions of {path} without a voxel in {image} have no values: {some}");
        }
        Ok(Self { atlas, ..self.clone() })
    }
}

fn channels(names: Vec<String>, kind: &'static str, unit: Unit) -> Arc<[Channel]> {
    unique_names(names).into_iter().map(|name| Channel::new(name, kind, unit)).collect()
}

/// Label → name, from a BIDS dseg.tsv with columns `index` and `name`.
pub(crate) fn read_names(path: &Path) -> Result<BTreeMap<u32, String>, SourceError> {
    let tsv = Tsv::read(path)?;
    let (index, name) = (tsv.required("index")?, tsv.required("name")?);
    let mut names = BTreeMap::new();
    for row in tsv.rows() {
        let label = row.number(index)?.filter(|l| l.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(l));
        let label = label.ok_or_else(|| row.wrong("the index is not a whole number from 0 on"))?;
        let text = row.get(name).ok_or_else(|| row.wrong("no name"))?;
        if names.insert(label as u32, text.to_string()).is_some() {
            return Err(at_line(path, row.line, format!("index {label} has a name already")));
        }
    }
    Ok(names)
}

/// What volumes of a grid go through before they are reduced, once made; kept for the next file.
pub(super) type Corrected = Option<(Grid, Option<Arc<Correction>>)>;

/// A 4D recording, with what its volumes are reduced to.
pub(super) struct NiftiFile {
    volumes: Volumes,
    reduction: Arc<Reduction>,
    correction: Option<Arc<Correction>>,
    shape: Shape,
}

impl NiftiFile {
    /// Checks the header, brings the atlas onto its grid, and gets ready to realign it. `corrected` is what was made
    /// for the file before.
    ///
    /// # Errors
    /// As [`Volumes::open`], [`Reduction::on`] and [`correction`]; no TR in the header and none configured.
    pub(super) fn open(
        path: &Path,
        config: &ReplayConfig,
        reduction: &Reduction,
        base: &Path,
        corrected: &mut Corrected,
    ) -> Result<Self, SourceError> {
        let volumes = Volumes::open(path)?;
        let reduction = Arc::new(reduction.on(&volumes)?);
        let tr = config.tr.or(volumes.tr).ok_or_else(|| at_byte(path, 92, "the header has no TR (set `tr`)"))?;
        let correction = match corrected {
            Some((grid, correction)) if *grid == volumes.grid => correction.clone(),
            _ => {
                let named = config.realign.as_ref().map(|realign| realign.reference.as_ref().or(config.files.first()));
                let reference = named.flatten().map(|name| base.join(name));
                let made = correction(&volumes.grid, config.realign.as_ref(), config.smooth, reference.as_deref())?;
                let made = made.map(Arc::new);
                *corrected = Some((volumes.grid.clone(), made.clone()));
                made
            }
        };
        let channels = reduction.channels.clone();
        let shape = Shape { channels, period: tr, samples: volumes.count, events: Vec::new() };
        Ok(Self { volumes, reduction, correction, shape })
    }
}

impl RunFile for NiftiFile {
    fn path(&self) -> &Path {
        &self.volumes.path
    }

    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn reader(&self, from: u64) -> Result<Box<dyn RunReader>, SourceError> {
        Ok(Box::new(NiftiReader {
            stream: self.volumes.stream(from)?,
            reduction: self.reduction.clone(),
            correction: self.correction.as_deref().cloned(),
            row: vec![0.0; self.shape.channels.len()],
            left: self.shape.samples.saturating_sub(from),
        }))
    }
}

struct NiftiReader {
    stream: VolumeStream,
    reduction: Arc<Reduction>,
    correction: Option<Correction>,
    row: Vec<f64>,
    left: u64,
}

impl RunReader for NiftiReader {
    fn read(&mut self, into: &mut Block) -> Result<(), SourceError> {
        let gather = self.reduction.atlas.gather();
        while self.left > 0 && into.len() < into.capacity() {
            self.stream.next_volume()?;
            match &mut self.correction {
                Some(correction) => {
                    into.motion = correction.correct(|voxel| self.stream.value(voxel));
                    gather.means(|voxel| correction.voxel(voxel), &mut self.row);
                }
                None => {
                    gather.means(|voxel| self.stream.value(voxel), &mut self.row);
                }
            }
            if into.motion.is_some_and(|motion| motion.outlier) {
                into.quality |= Quality::MOTION;
            }
            into.push(&self.row);
            self.left -= 1;
        }
        Ok(())
    }
}

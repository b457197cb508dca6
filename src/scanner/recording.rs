//! What lies in the scanner? A 4D recording, or the series of regions painted into their atlas.

use std::path::{Path, PathBuf};

use super::ScannerError;
use crate::acquisition::file::{Images, Reduction, VolumeStream, Volumes, read_table};
use crate::draws::Draws;
use crate::fmri::{Grid, Interpolation};

/// Noise goes no further than this, in standard deviations, so that the range of a recording is known before it is made.
const FURTHEST: f64 = 5.0;

/// Into which atlas the series of regions are painted, and how.
#[derive(Clone, Debug, Default)]
pub struct PaintConfig {
    /// A label image.
    pub atlas: PathBuf,
    /// The names of its labels: a BIDS dseg.tsv.
    pub names: Option<PathBuf>,
    /// The edge of a voxel in mm; by default the atlas's voxels are painted.
    pub voxel_size: Option<f64>,
    /// The standard deviation of the noise that every voxel of a region has, in the unit of the series; normal, cut at five of
    /// them. 0 by default.
    pub noise: f64,
}

/// Volumes, one after another.
pub(super) enum Recording {
    Volumes { volumes: Volumes, stream: Box<VolumeStream> },
    Painting(Painting),
}

impl Recording {
    pub(super) fn open(path: &Path) -> Result<Self, ScannerError> {
        let volumes = Volumes::open(path)?;
        let stream = Box::new(volumes.stream(0)?);
        Ok(Self::Volumes { volumes, stream })
    }

    pub(super) fn grid(&self) -> &Grid {
        match self {
            Self::Volumes { volumes, .. } => &volumes.grid,
            Self::Painting(painting) => &painting.grid,
        }
    }

    pub(super) fn count(&self) -> u64 {
        match self {
            Self::Volumes { volumes, .. } => volumes.count,
            Self::Painting(painting) => painting.rows.len().checked_div(painting.width).unwrap_or(0) as u64,
        }
    }

    pub(super) fn tr(&self) -> Option<f64> {
        match self {
            Self::Volumes { volumes, .. } => volumes.tr,
            Self::Painting(_) => None,
        }
    }

    /// Volume `number` (from 0) into `values`; each is asked for once, in order.
    pub(super) fn volume(&mut self, number: u64, seed: u64, values: &mut Vec<f64>) -> Result<(), ScannerError> {
        values.clear();
        match self {
            Self::Volumes { volumes, stream } => {
                stream.next_volume()?;
                values.extend((0..volumes.grid.voxels()).map(|voxel| stream.value(voxel)));
            }
            Self::Painting(painting) => painting.paint(number as usize, seed, values),
        }
        Ok(())
    }

    /// The least and the greatest value of all volumes, and whether all are whole.
    pub(super) fn range(&self) -> Result<(f64, f64, bool), ScannerError> {
        let (mut low, mut high, mut whole) = (f64::INFINITY, f64::NEG_INFINITY, true);
        let mut meet =
            |value: f64| (low, high, whole) = (low.min(value), high.max(value), whole && value.fract() == 0.0);
        match self {
            Self::Volumes { volumes, .. } => {
                let mut stream = volumes.stream(0)?;
                for _ in 0..volumes.count {
                    stream.next_volume()?;
                    for voxel in 0..volumes.grid.voxels() {
                        let value = stream.value(voxel);
                        if !value.is_finite() {
                            let problem = format!("voxel {voxel} is {value}, which no scanner stores");
                            return Err(ScannerError::Unsuited(problem));
                        }
                        meet(value);
                    }
                }
            }
            Self::Painting(painting) => {
                meet(0.0);
                let reach = FURTHEST * painting.noise;
                painting.rows.iter().for_each(|value| [value - reach, value + reach].into_iter().for_each(&mut meet));
                whole &= painting.noise == 0.0;
            }
        }
        Ok((low, high, whole))
    }
}

/// The series of regions, and where each region lies.
pub(super) struct Painting {
    grid: Grid,
    /// The column that each voxel shows, if any.
    column_of: Vec<Option<u32>>,
    rows: Vec<f64>,
    width: usize,
    noise: f64,
}

impl Painting {
    /// Columns go to the regions of their names; where none of them is one, and there are as many, in order of label.
    pub(super) fn open(table: &Path, config: &PaintConfig) -> Result<Self, ScannerError> {
        let (names, rows, width) = read_table(table, &[])?;
        let unsuited = |problem: String| Err(ScannerError::Unsuited(format!("{}: {problem}", table.display())));
        if let Some(at) = rows.iter().position(|value| !value.is_finite()) {
            let (row, column) = (at / width.max(1) + 1, at % width.max(1) + 1);
            return unsuited(format!(
                "row {row} has no number in column {column}, and a scanner stores one (fill it in)"
            ));
        }
        let images = Images { labels: Some(&config.atlas), label_names: config.names.as_deref(), ..Images::default() };
        let reduction = Reduction::load(images, Path::new(""))?;
        let mut atlas = reduction.atlas;
        if (0..atlas.len()).any(|region| !atlas.gather().weights_of(region).is_empty()) {
            return unsuited(format!("{} holds maps (paint into a label image)", config.atlas.display()));
        }
        if let Some(size) = config.voxel_size {
            let grid = atlas.grid.in_cubes(size);
            let painted = atlas.onto(&grid, Interpolation::Nearest);
            atlas = painted.map_err(|error| ScannerError::Unsuited(format!("--voxel-size {size}: {error}")))?;
        }
        let region_of = |name: &String| reduction.channels.iter().position(|channel| channel.name == *name);
        let known: Vec<usize> = names.iter().filter_map(region_of).collect();
        let regions: Vec<usize> = match known.len() {
            found if found == width && width > 0 => known,
            0 if width == atlas.len() => (0..width).collect(),
            found => {
                let regions = atlas.len();
                return unsuited(format!(
                    "{found} of its {width} columns are called as one of the {regions} regions of {} (name them by --labels, or \
                     give one column a region in order of label)",
                    config.atlas.display()
                ));
            }
        };
        let mut column_of = vec![None; atlas.grid.voxels()];
        for (column, region) in regions.iter().enumerate() {
            for voxel in atlas.gather().voxels_of(*region) {
                column_of[*voxel as usize] = Some(column as u32);
            }
        }
        Ok(Self { grid: atlas.grid, column_of, rows, width, noise: config.noise })
    }

    fn paint(&self, number: usize, seed: u64, values: &mut Vec<f64>) {
        let row = self.rows.get(number * self.width..(number + 1) * self.width).unwrap_or_default();
        let mut draws = Draws::new(seed, number);
        values.extend(self.column_of.iter().map(|column| {
            let value = column.and_then(|column| row.get(column as usize));
            value.map_or(0.0, |value| {
                if self.noise > 0.0 { value + self.noise * draws.normal().clamp(-FURTHEST, FURTHEST) } else { *value }
            })
        }));
    }
}

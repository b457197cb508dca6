//! What does a scanner put into a folder? Volumes, one after another, whatever else lies there and whatever goes wrong.
//!
//! Files are noticed by inotify, and by looking every [`poll`](FolderConfig::poll) seconds, because network shares are
//! silent. A file is read when it parses to the length it promises, not when it appears and not after a quiet period.
//! One series is taken by rule (`select`), its volumes go on in order (`order`), and each becomes regions where it is
//! read. Every fault is counted by kind ([`Fault`]).
//!
//! **Invariants.** A volume that is due is never delayed. A gap, once declared, stays one: rows stay aligned with the
//! stimuli. Names and contents of files are not logged, for they may name a person, and no name from within a file is used
//! as a path.

mod faults;
mod inbox;
mod order;
mod select;
mod source;
mod volumes;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::file::{Images, Reduction, Volumes};
use super::{SourceError, SourceStats};
use crate::fmri::Interpolation;
use crate::frame::{BlockSpec, Clock, Unit};

pub use faults::{Fault, FaultCounts};
pub use select::{EchoComponent, NumberRule};
pub use source::FolderSource;

/// A folder that volumes are exported to. Paths are relative to the folder given to [`open`](FolderConfig::open).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct FolderConfig {
    /// The folder itself; folders within it are not looked into.
    pub path: PathBuf,
    /// Seconds from volume to volume.
    pub tr: f64,
    /// An atlas on the grid of the volumes, whose axes may be stored in another order or direction: a label image, or a 4D
    /// image with one map a region, whose weighted means are taken. Of another grid with `reference`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// The names of `labels`: a BIDS dseg.tsv with columns `index` and `name`; maps count from 1.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_names: Option<PathBuf>,
    /// An image on the grid of the volumes, such as one of an earlier session: `labels` of another grid are brought onto it
    /// once, when the source is opened.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reference: Option<PathBuf>,
    /// Brings `labels` into the space of `reference` first: a text file with a 4×4 matrix from their mm to those of the
    /// volumes (RAS).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_affine: Option<PathBuf>,
    /// How `labels` of another grid are resampled: `"nearest"` (label images, by default) or `"linear"` (maps, by default).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels_interpolation: Option<Interpolation>,
    /// Instead of `labels`: an image whose non-zero voxels become the columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<PathBuf>,
    /// What the values are counted in; `a.u.` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Which series is read, by its description (NIfTI: by the file's name without its number): text in which `*` stands
    /// for anything. By default any. Of several that match, the one that came first goes on until it is silent for
    /// two TRs; then the next one begins a new run.
    #[serde(default = "any", skip_serializing_if = "is_any")]
    pub series: String,
    /// Which series is read, by its number; by default any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub series_number: Option<u32>,
    /// Which echo is read; 1 by default.
    #[serde(default = "first")]
    pub echo: u32,
    /// `"magnitude"` (the default) or `"phase"`.
    #[serde(default)]
    pub component: EchoComponent,
    /// Which number counts a series' volumes; by default what makes sense for the flavour.
    #[serde(default)]
    pub number: NumberRule,
    /// Whether files are read that lie there already; by default they are not.
    #[serde(default)]
    pub existing: bool,
    /// After how many seconds a file that does not become complete is given up; 10 by default.
    #[serde(default = "patience")]
    pub patience: f64,
    /// Seconds from one look into the folder to the next; 0.5 by default.
    #[serde(default = "poll")]
    pub poll: f64,
    /// Seconds from the end of a volume's acquisition to its file, which are taken from the time of arrival; 0 by default.
    #[serde(default)]
    pub delay: f64,
}

fn any() -> String {
    "*".into()
}
fn is_any(series: &String) -> bool {
    series == "*"
}
fn first() -> u32 {
    1
}
fn patience() -> f64 {
    10.0
}
fn poll() -> f64 {
    0.5
}

impl FolderConfig {
    /// Checks the settings, as far as that is possible without the folder.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub fn validate(&self) -> Result<(), SourceError> {
        let wrong = |problem: String| Err(SourceError::Config(format!("folder: {problem}")));
        for (key, value) in [("tr", self.tr), ("patience", self.patience), ("poll", self.poll)] {
            if !(value > 0.0 && value.is_finite()) {
                return wrong(format!("{key}: {value} is no positive number of seconds"));
            }
        }
        if !(self.delay >= 0.0 && self.delay.is_finite()) {
            return wrong(format!("delay: {} is not 0 or more seconds", self.delay));
        }
        if self.series.is_empty() {
            return wrong("series: is empty (\"*\" takes any)".into());
        }
        Ok(())
    }

    /// Reads the atlas or mask, and watches the folder, which may come later.
    ///
    /// # Errors
    /// A setting that makes no sense; an image that cannot be read.
    pub fn open(&self, stats: Arc<SourceStats>, clock: Arc<dyn Clock>) -> Result<FolderSource, SourceError> {
        self.validate()?;
        FolderSource::new(self, stats, clock)
    }

    /// What its blocks look like, from the atlas or mask alone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn shape(&self) -> Result<BlockSpec, SourceError> {
        self.validate()?;
        Ok(self.spec(&self.reduction()?))
    }

    fn spec(&self, reduction: &Reduction) -> BlockSpec {
        BlockSpec::new(reduction.channels.clone(), 1.0 / self.tr, 1)
    }

    /// What volumes are reduced to, on their grid.
    fn reduction(&self) -> Result<Reduction, SourceError> {
        let images = Images {
            labels: self.labels.as_deref(),
            label_names: self.label_names.as_deref(),
            affine: self.labels_affine.as_deref(),
            interpolation: self.labels_interpolation,
            mask: self.mask.as_deref(),
            unit: self.unit,
        };
        let reduction = Reduction::load(images, Path::new(""))?;
        match &self.reference {
            Some(reference) => reduction.on(&Volumes::open(reference)?),
            None => Ok(reduction),
        }
    }
}

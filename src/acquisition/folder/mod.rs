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

use super::file::{Images, Reduction, correction};
use super::{SourceError, SourceStats};
use crate::fmri::{Correction, RealignConfig};
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
    /// A label image on the grid of the volumes; its axes may be stored in another order or direction.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub labels: Option<PathBuf>,
    /// The names of `labels`: a BIDS dseg.tsv with columns `index` and `name`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label_names: Option<PathBuf>,
    /// Instead of `labels`: an image whose non-zero voxels become the columns.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mask: Option<PathBuf>,
    /// What the values are counted in; `a.u.` by default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// Moves every volume back to where a reference lay, before its regions are averaged; by default nothing is moved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub realign: Option<RealignConfig>,
    /// Smooths every volume, after it was realigned: full width at half maximum in mm; by default nothing is smoothed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub smooth: Option<f64>,
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

    /// Reads the label image or mask, and watches the folder, which may come later.
    ///
    /// # Errors
    /// A setting that makes no sense; an image that cannot be read.
    pub fn open(&self, stats: Arc<SourceStats>, clock: Arc<dyn Clock>) -> Result<FolderSource, SourceError> {
        self.validate()?;
        FolderSource::new(self, stats, clock)
    }

    /// What its blocks look like, from the label image or mask alone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn shape(&self) -> Result<BlockSpec, SourceError> {
        self.validate()?;
        let reduction = Reduction::load(self.images(), Path::new(""))?;
        self.correction(&reduction)?;
        Ok(self.spec(&reduction))
    }

    /// What volumes go through before they are reduced, if anything.
    fn correction(&self, reduction: &Reduction) -> Result<Option<Correction>, SourceError> {
        let reference = self.realign.as_ref().and_then(|realign| realign.reference.as_deref());
        correction(&reduction.atlas.grid, self.realign.as_ref(), self.smooth, reference)
    }

    fn spec(&self, reduction: &Reduction) -> BlockSpec {
        BlockSpec::new(reduction.channels.clone(), 1.0 / self.tr, 1)
    }

    /// The images that volumes are reduced with.
    fn images(&self) -> Images<'_> {
        Images {
            labels: self.labels.as_deref(),
            label_names: self.label_names.as_deref(),
            mask: self.mask.as_deref(),
            unit: self.unit,
        }
    }
}

//! How does a volume become regions? Voxels are averaged within labels; each region is then brought to a unit that can
//! be compared across regions and runs, causally: an output depends on no later volume.
//!
//! **Invariants.** A region that does not vary, or is missing for a while, gives 0 and comes back by itself; it never
//! reaches another region or a later run.
//!
//! ```
//! use neurod::fmri::FmriConfig;
//! use neurod::frame::{Block, BlockSpec, Channel, Unit};
//!
//! let config: FmriConfig = toml::from_str("detrend = { unit = \"z\" }")?;
//! let mut stage = config.build()?;
//! let volumes = BlockSpec::new(Channel::numbered("REGION", 3, Unit::Arbitrary), 0.5, 1);
//! let mut out = Block::new(&stage.prepare(&volumes)?);
//! let mut volume = Block::new(&volumes);
//! volume.push(&[812.0, 640.5, 0.0]);
//! stage.process(&volume, &mut out);
//! assert_eq!(out.sample(0), &[0.0; 3]); // The first six volumes of a run only warm up.
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

pub mod affine;
mod atlas;
mod correct;
mod detrend;
mod glm;
mod grid;
mod least_squares;
mod motion;
mod nuisance;
mod onto;
mod parcellate;
mod percent;
mod quality;
mod realign;
mod regressors;
mod reorient;
mod smooth;
mod volume;

use serde::{Deserialize, Serialize};
use thiserror::Error;

pub use atlas::{Atlas, Maps};
pub use correct::Correction;
pub use detrend::{Detrend, DetrendConfig};
pub use glm::{Glm, GlmConfig};
pub use grid::Grid;
pub use motion::{Censor, Displacement, MotionModel, MotionRegressors, SignalQuality};
pub use nuisance::{Nuisance, NuisanceConfig};
pub use onto::Interpolation;
pub use parcellate::{Gather, parcellate};
pub use percent::{Baseline, Percent, PercentConfig};
pub use quality::{QualityConfig, VolumeQuality};
pub use realign::{Motion, RealignConfig, RealignCounts, Realigner, Rigid};
pub use reorient::places;
pub use smooth::Smoother;

use crate::frame::Stage;

/// A magnitude past which a value is taken for a fault, not a measurement: scanners count to 10⁵.
const ABSURD: f64 = 1e12;

/// One step of the fMRI chain.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum FmriConfig {
    /// Causal detrend and z-score per region within the run.
    Detrend(DetrendConfig),
    /// Percent signal change against a declared baseline of the run.
    Percent(PercentConfig),
    /// Movement and drift, fitted and taken away.
    Nuisance(NuisanceConfig),
    /// DVARS, tSNR and spikes, said with every volume.
    Quality(QualityConfig),
}

impl FmriConfig {
    /// The step.
    ///
    /// # Errors
    /// A value out of its range.
    pub fn build(&self) -> Result<Box<dyn Stage>, FmriError> {
        Ok(match self {
            FmriConfig::Detrend(config) => Box::new(Detrend::new(config)?),
            FmriConfig::Percent(config) => Box::new(Percent::new(config)?),
            FmriConfig::Nuisance(config) => Box::new(Nuisance::new(config)?),
            FmriConfig::Quality(config) => Box::new(VolumeQuality::new(config)?),
        })
    }
}

/// Why volumes cannot become regions.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum FmriError {
    /// A setting is out of its range.
    #[error("{key}: {problem}")]
    Setting {
        /// The setting.
        key: &'static str,
        /// What is wrong with it, and the mend.
        problem: String,
    },
    /// A label image holds something else.
    #[error("voxel {voxel} is {value}, which is no label (labels are whole numbers from 0 on)")]
    NotALabel {
        /// Its place in memory.
        voxel: usize,
        /// What it holds.
        value: f64,
    },
    /// A map holds what is no weight.
    #[error(
        "voxel {voxel} of map {map} is {value}, which is no weight (maps say how much a voxel belongs to a region: 0 or more)"
    )]
    NotAWeight {
        /// The map's number, from 1.
        map: u32,
        /// Its place in memory.
        voxel: usize,
        /// What it holds.
        value: f64,
    },
    /// An atlas takes more memory than it may.
    #[error("the atlas has more than {0} weights above 0 (set those that do not matter to 0, or use a coarser grid)")]
    Weights(usize),
    /// Volumes of this grid, or against this reference, cannot be realigned.
    #[error("realign: {problem}")]
    Realign {
        /// Why, and the mend.
        problem: String,
    },
    /// An atlas lies elsewhere than the volumes.
    #[error("{problem}")]
    Elsewhere {
        /// Where, and the mend.
        problem: String,
    },
    /// A label image or mask marks nothing, or too much.
    #[error("the image marks {found} regions (1 to {most} are read)")]
    LabelCount {
        /// How many.
        found: usize,
        /// How many there may be.
        most: usize,
    },
}

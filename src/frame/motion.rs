//! Where did the head lie in this volume, and how good is its signal? Numbers that travel with a volume.

use serde::{Deserialize, Serialize};

/// How the search for a volume's movement ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fit {
    /// The steps became small.
    Converged,
    /// They did not, or led out of the coil, or the volume shows something else: the last good estimate stands.
    NotConverged,
    /// There is nothing in the volume, it has another size, or most of it is not finite: the last good estimate stands.
    Empty,
}

impl Fit {
    /// The wire name.
    pub const fn as_str(self) -> &'static str {
        match self {
            Fit::Converged => "converged",
            Fit::NotConverged => "not_converged",
            Fit::Empty => "empty",
        }
    }
}

/// Where the head lay in one volume, against the reference.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct HeadMotion {
    /// Shifts along x, y, z in mm and turns about them in radians, as SPM's `rp_*.txt` has them.
    pub parameters: [f64; 6],
    /// Framewise displacement in mm; NaN for a run's first volume, and for one that could not be realigned.
    pub displacement: f64,
    /// Whether to believe it.
    pub fit: Fit,
    /// Whether motion spoils this volume: it moved too far, where it lay is not known, or the one before it did.
    pub outlier: bool,
    /// How long realignment and smoothing took, in real seconds.
    pub took: f64,
}

/// How good the signal of one volume is, against its run so far.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct VolumeSignal {
    /// DVARS, in the unit of the values; NaN for a run's first volume.
    pub dvars: f64,
    /// The median region's mean over its deviation in the run so far, this volume included; NaN while nothing varies.
    pub tsnr: f64,
    /// Whether its DVARS lies far above those of the run so far.
    pub spike: bool,
    /// Volumes of the run so far, this one included.
    pub volumes: u32,
    /// How many of them were spikes.
    pub spikes: u32,
}

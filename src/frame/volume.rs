//! How good was this volume? `neurod.quality_frame.v1`: motion and signal quality, one message a volume.

use std::sync::Arc;

use serde::Serialize;

use super::{ClockStamp, Fit, Instant, Quality};

/// One message of a volume's quality: schema `neurod.quality_frame.v1` (`schemas/quality_frame.v1.json`).
///
/// What is not known is null: motion of a source that is not realigned, signal of one whose chain has no step `quality`.
#[derive(Clone, Debug, Serialize)]
pub struct QualityFrame {
    /// Always [`QualityFrame::SCHEMA`].
    pub schema: &'static str,
    /// The session's id.
    pub session: Arc<str>,
    /// The run, from 0.
    pub run: u32,
    /// Counts the frames of this source and schema from 0. A hole is a dropped frame.
    pub seq: u64,
    /// The source of the volume, by its name in the configuration.
    pub source: Arc<str>,
    /// When the volume was measured.
    pub t_target: Instant,
    /// The same: the volume is what went in.
    pub t_measured: Instant,
    /// When it arrived.
    pub t_arrived: Instant,
    /// When this frame was made.
    pub t_published: Instant,
    /// The clock of the four times.
    pub clock: ClockStamp,
    /// `t_published` − `t_measured`.
    pub age_s: f64,
    /// Where the head lay: three shifts in mm, three turns in radians, as SPM's `rp_*.txt` has them.
    pub parameters: Option<[f64; 6]>,
    /// How far that is from the volume before, in mm (Power et al. 2012); null for a run's first.
    pub framewise_displacement: Option<f64>,
    /// How the search for it ended.
    pub fit: Option<Fit>,
    /// Whether motion spoils this volume; then it is flagged `MOTION`, too.
    pub outlier: Option<bool>,
    /// The root mean square over regions of the change since the volume before, in their unit.
    pub dvars: Option<f64>,
    /// The median region's mean over its deviation in the run so far.
    pub tsnr: Option<f64>,
    /// Whether `dvars` lies far above what is usual in the run.
    pub spike: Option<bool>,
    /// Volumes of the run so far, this one included.
    pub volumes: Option<u32>,
    /// How many of them were spikes.
    pub spikes: Option<u32>,
    /// Everything that is wrong with the volume.
    pub quality: Quality,
}

impl QualityFrame {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "neurod.quality_frame.v1";
}

//! What goes out? Values per brain region: `neurod.region_frame.v1`, and the names that go with them.

use std::sync::Arc;

use serde::{Deserialize, Serialize, Serializer};
use sha2::{Digest, Sha256};

use super::{Instant, Quality, Unit};

/// What a frame's values are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum FrameKind {
    /// An fMRI volume, reduced to regions.
    Measured,
    /// Stimulus features → ridge → regions: what the stimulus should evoke.
    Encoded,
    /// EEG features → ridge → regions.
    Decoded,
    /// Measured − predicted: the one-step-ahead error, before learning.
    Residual,
    /// t of a contrast of the predictor's features, from all volumes of the run so far.
    Contrast,
}

impl FrameKind {
    /// The wire name.
    pub const fn as_str(self) -> &'static str {
        match self {
            FrameKind::Measured => "measured",
            FrameKind::Encoded => "encoded",
            FrameKind::Decoded => "decoded",
            FrameKind::Residual => "residual",
            FrameKind::Contrast => "contrast",
        }
    }
}

/// The clock that a frame's times are on.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct ClockStamp {
    /// `monotonic`, `scaled` or `virtual`.
    pub name: &'static str,
    /// Add to a time for Unix seconds; 0 where the clock is not real time.
    pub unix_offset: f64,
}

/// The model that made a frame.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ModelStamp {
    /// The predictor's name and its feature encoders.
    pub id: Arc<str>,
    /// SHA-256 over what the weights are made from: encoder files, lags, λ. Empty for `measured`.
    pub sha256: Arc<str>,
    /// How many observations the weights have learned from.
    pub updates: u64,
}

/// One message of region values: schema `neurod.region_frame.v1` (`schemas/region_frame.v1.json`).
///
/// Times are seconds on `clock`. A value that is not finite is written as null and flagged.
#[derive(Clone, Debug, Serialize)]
pub struct RegionFrame {
    /// Always [`RegionFrame::SCHEMA`].
    pub schema: &'static str,
    /// The session's id.
    pub session: Arc<str>,
    /// The run, from 0.
    pub run: u32,
    /// Counts the frames of this predictor and kind from 0. A hole is a dropped frame.
    pub seq: u64,
    /// The predictor, or for `measured` frames the source.
    pub predictor: Arc<str>,
    /// What the values are.
    pub kind: FrameKind,
    /// The time the values speak of: the start of a volume's acquisition, or the EEG sample.
    pub t_target: Instant,
    /// The newest sample, volume or event that went in.
    pub t_measured: Instant,
    /// When that arrived.
    pub t_arrived: Instant,
    /// When this frame was made.
    pub t_published: Instant,
    /// The clock of the four times.
    pub clock: ClockStamp,
    /// `t_published` − `t_measured`.
    pub age_s: f64,
    /// The unit of `values`.
    pub unit: Unit,
    /// Which [`Regions`] the values belong to.
    pub regions_id: Arc<str>,
    /// One value a region.
    #[serde(serialize_with = "null_where_not_finite")]
    pub values: Vec<f32>,
    /// Prequential skill per region (Pearson R, scored before learning); absent where nothing is scored.
    #[serde(serialize_with = "optional_null_where_not_finite", skip_serializing_if = "Option::is_none")]
    pub skill: Option<Vec<f32>>,
    /// Everything that was wrong with what went in.
    pub quality: Quality,
    /// The model that made it.
    pub model: ModelStamp,
}

impl RegionFrame {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "neurod.region_frame.v1";
}

/// The names behind a frame's values: schema `neurod.regions.v1`, sent on connection and on change.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Regions {
    /// Always [`Regions::SCHEMA`].
    pub schema: &'static str,
    /// A hash of everything below.
    pub regions_id: Arc<str>,
    /// Unique names, in the order of the values.
    pub names: Vec<String>,
    /// `L`, `R` or null each, where known; else empty.
    pub hemisphere: Vec<Option<String>>,
    /// The functional network each belongs to, where known; else empty.
    pub network: Vec<Option<String>>,
    /// Where the regions come from, for people to read.
    pub atlas: Option<String>,
    /// The unit of the values.
    pub unit: Unit,
}

impl Regions {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "neurod.regions.v1";

    /// Regions of these names; `regions_id` is the first 16 hex digits of the SHA-256 over names and unit.
    pub fn new(names: Vec<String>, unit: Unit) -> Self {
        let mut hash = Sha256::new();
        for name in &names {
            hash.update(name.as_bytes());
            hash.update([0]);
        }
        hash.update(unit.as_str());
        let id: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self {
            schema: Self::SCHEMA,
            regions_id: id.into(),
            names,
            hemisphere: Vec::new(),
            network: Vec::new(),
            atlas: None,
            unit,
        }
    }
}

fn null_where_not_finite<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|v| v.is_finite().then_some(*v)))
}

fn optional_null_where_not_finite<S: Serializer>(values: &Option<Vec<f32>>, serializer: S) -> Result<S::Ok, S::Error> {
    match values {
        Some(values) => null_where_not_finite(values, serializer),
        None => serializer.serialize_none(),
    }
}

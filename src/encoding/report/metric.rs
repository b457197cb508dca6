//! Which scores are shown, how are they called, and how are numbers written?

use super::{RegionScores, Score};
pub(super) use crate::drawing::page::number;

/// A score that a region has, or may have.
#[derive(Clone, Copy)]
pub(super) struct Metric {
    /// As people read it.
    pub name: &'static str,
    /// Of its bars.
    pub colour: &'static str,
    /// The score of a region.
    pub of: fn(&RegionScores) -> Option<&Score>,
}

/// Those that every region has, those that share an axis first.
pub(super) const METRICS: [Metric; 5] = [TWO_V_TWO, PEARSON, PER_SAMPLE, MAE, R2];

pub(super) const TWO_V_TWO: Metric = Metric { name: "2V2", colour: "two-v-two", of: |r| Some(&r.two_v_two) };
pub(super) const PEARSON: Metric =
    Metric { name: "Pearson per voxel", colour: "voxel", of: |r| Some(&r.pearson_per_voxel) };
pub(super) const PER_SAMPLE: Metric =
    Metric { name: "Pearson per sample", colour: "sample", of: |r| Some(&r.pearson_per_sample) };
pub(super) const MAE: Metric = Metric { name: "MAE", colour: "error", of: |r| Some(&r.mae) };
pub(super) const R2: Metric = Metric { name: "R² per voxel", colour: "s6", of: |r| Some(&r.r2_per_voxel) };

/// Beside the noise ceiling.
pub(super) const NORMALISED: Metric = Metric {
    name: "Pearson per voxel / √ceiling",
    colour: "voxel",
    of: |r| r.normalised.as_ref().map(|of| &of.pearson_per_voxel),
};

/// The same of R².
pub(super) const NORMALISED_R2: Metric = Metric {
    name: "R² per voxel / ceiling",
    colour: "sample",
    of: |r| r.normalised.as_ref().map(|of| &of.r2_per_voxel),
};

/// What every report says about its scores.
pub(super) const DEFINITIONS: &[(&str, &str)] = &[
    (
        "2V2",
        "of all pairs of samples, how many have predictions that lie closer (cosine distance) to their own than to \
         each other's response. Chance is 0.5; ties lose, so a prediction that never changes has 0.",
    ),
    ("Pearson per voxel", "correlation over samples, mean over voxels. Blind to each voxel's mean."),
    (
        "Pearson per sample",
        "correlation over voxels, mean over samples. The mean pattern alone can make it high: read it beside the tick.",
    ),
    ("MAE", "mean absolute error over samples and voxels, in the unit of the responses. Lower is better."),
    ("R² per voxel", "1 − SSE/SST about the voxel's own mean, mean over voxels. Below 0: worse than that mean."),
    (
        "noise ceiling",
        "the R² that a perfect model would have of single trials, from stimuli that were repeated. Normalised scores are \
         r / √ceiling and R² / ceiling, over the voxels whose ceiling is large enough to divide by.",
    ),
    ("mean pattern", "the same score of a prediction that is each fold's training mean, whatever was shown."),
];

impl Score {
    /// The score with all that belongs to it.
    pub(super) fn words(&self, name: &str) -> String {
        let interval = self.interval.map(|i| format!(" [{}, {}]", number(i.low), number(i.high)));
        let baseline = self.baseline.map(|b| format!("; mean pattern {}", number(b)));
        format!("{name} {}{}{}", number(self.value), interval.unwrap_or_default(), baseline.unwrap_or_default())
    }
}

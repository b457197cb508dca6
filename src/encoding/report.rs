//! What came out? One page that opens anywhere, its figures as files, and the same numbers as JSON.
//!
//! [`Report::html`] is self-contained: style and figures are inside, nothing is loaded, nothing runs, and no date is in
//! it, so the same results give the same bytes. Every score stands beside that of the mean-pattern baseline.
//! Serialised, the same struct is the `report` of `summary.json`, from which the page can be drawn again.

mod brain;
mod charts;
mod curves;
pub mod figures;
mod grouped;
mod metric;
mod page;
mod subjects;

use serde::{Deserialize, Deserializer, Serialize};

use super::statistics::Interval;
pub use crate::drawing::Figure;
use crate::drawing::{figure, palette, scale};

/// Results of one encoding run.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Report {
    /// What was asked, in one line.
    pub title: String,
    /// What it was made from.
    pub provenance: Provenance,
    /// How the intervals were drawn, such as "95 % bootstrap over 10 runs, 1000 draws".
    pub intervals: String,
    /// What the reader must know: repeats across folds, voxels left out.
    pub notes: Vec<String>,
    /// The feature spaces, in their order: a network's layers.
    pub spaces: Vec<FeatureSpace>,
    /// By how much the best space is better than each other one.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// What each space explains that no other does, where that was asked for.
    #[serde(default)]
    pub partition: Vec<Partitioned>,
    /// Whose scores were averaged, where it is more than one subject.
    #[serde(default)]
    pub subjects: Vec<String>,
}

/// By how much one feature space is better than another, over the same draws.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Difference {
    /// The region, or `all`.
    pub region: String,
    /// The better one: the best of all voxels together.
    pub space: String,
    /// The other.
    pub than: String,
    /// Pearson per voxel of the one less that of the other.
    pub pearson_per_voxel: Score,
    /// 2V2 of the one less that of the other.
    pub two_v_two: Score,
}

/// The variance of one region, divided between feature spaces.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Partitioned {
    /// The region, or `all`.
    pub region: String,
    /// Where it stands among the levels.
    pub level: Level,
    /// The name of each part and its mean R² over voxels, the total last.
    pub parts: Vec<(String, f64)>,
}

/// All that is needed to make the same results again. No date, so that they are the same to the byte.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The command line.
    pub command: String,
    /// Of neurod.
    pub version: String,
    /// Of every draw.
    pub seed: u64,
    /// The files that were read.
    pub inputs: Vec<Input>,
    /// Every setting that could have been another.
    pub settings: Vec<Setting>,
}

/// A file that was read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Input {
    /// Its name.
    pub name: String,
    /// SHA-256 of its bytes, in hexadecimal.
    pub sha256: String,
}

/// A setting, such as folds or the λ grid.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Setting {
    /// Its name.
    pub name: String,
    /// Its value, in words.
    pub value: String,
}

/// What one set of features predicts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureSpace {
    /// Of the model or layer.
    pub name: String,
    /// The model that it is a layer of, and which, where it is one of several.
    #[serde(default)]
    pub layer: Option<[String; 2]>,
    /// How many features.
    pub features: usize,
    /// All regions together.
    pub overall: RegionScores,
    /// Every region, hemisphere and network.
    pub regions: Vec<RegionScores>,
    /// Where in the brain it predicts, where that is known.
    #[serde(default)]
    pub brain: Option<Brain>,
}

/// What voxels are scored together.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Level {
    /// All of them.
    All,
    /// One region.
    #[default]
    Region,
    /// One region in one hemisphere, of regions that lie in both.
    RegionByHemisphere,
    /// One hemisphere.
    Hemisphere,
    /// One network.
    Network,
}

impl Level {
    /// As scores.tsv has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Level::All => "all",
            Level::Region => "region",
            Level::RegionByHemisphere => "region_by_hemisphere",
            Level::Hemisphere => "hemisphere",
            Level::Network => "network",
        }
    }
}

/// The scores of one region.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct RegionScores {
    /// Its name.
    pub region: String,
    /// What kind of region.
    #[serde(default)]
    pub level: Level,
    /// Its voxels.
    pub voxels: usize,
    /// Samples scored.
    pub samples: usize,
    /// Voxels that have no correlation, and count as 0.
    pub undefined: usize,
    /// The fraction of pairs won.
    pub two_v_two: Score,
    /// Mean over voxels of Pearson's r over samples.
    pub pearson_per_voxel: Score,
    /// Mean over samples of Pearson's r over voxels.
    pub pearson_per_sample: Score,
    /// Mean absolute error, in the unit of the responses.
    pub mae: Score,
    /// Mean over voxels of R².
    pub r2_per_voxel: Score,
    /// Beside what could be reached at best, where stimuli were repeated.
    #[serde(default)]
    pub normalised: Option<Normalised>,
    /// Voxels whose false discovery rate is below 0.05, where that was tested.
    pub significant: Option<usize>,
    /// Mean over voxels of the noise ceiling in R², where stimuli were repeated.
    pub noise_ceiling: Option<f64>,
    /// Pearson's r of every voxel, counted.
    pub r_histogram: Histogram,
}

/// Scores over the noise ceiling.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Normalised {
    /// Mean over voxels of r / √ceiling.
    pub pearson_per_voxel: Score,
    /// Mean over voxels of R² / ceiling.
    pub r2_per_voxel: Score,
    /// Voxels whose ceiling is too small to divide by.
    pub left_out: usize,
}

impl RegionScores {
    /// Every score by its name in scores.tsv.
    pub fn scores(&self) -> impl Iterator<Item = (&'static str, &Score)> {
        let beside = self.normalised.iter().flat_map(|of| {
            [("pearson_per_voxel_normalised", &of.pearson_per_voxel), ("r2_per_voxel_normalised", &of.r2_per_voxel)]
        });
        let all = [
            ("pearson_per_voxel", &self.pearson_per_voxel),
            ("pearson_per_sample", &self.pearson_per_sample),
            ("r2_per_voxel", &self.r2_per_voxel),
            ("mae", &self.mae),
            ("2v2", &self.two_v_two),
        ];
        all.into_iter().chain(beside)
    }
}

/// Where in the brain, seen along each axis: of the voxels behind each other the largest r.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Brain {
    /// From the right (y to the right, z up), the front (x, z) and the top (x, y).
    pub views: Vec<View>,
    /// The edge of a square in mm.
    pub square: f64,
}

/// The brain along one axis.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct View {
    /// The lower left corner in mm.
    pub from: [f64; 2],
    /// Columns and rows of squares.
    pub size: [usize; 2],
    /// Column, row, and r of every square that holds a voxel.
    pub squares: Vec<(u16, u16, f32)>,
}

/// A score and what to hold it against.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Score {
    /// The score.
    #[serde(deserialize_with = "known")]
    pub value: f64,
    /// Its bootstrap interval; over subjects, one standard deviation to either side.
    pub interval: Option<Interval>,
    /// The same score of the training mean as a constant prediction.
    pub baseline: Option<f64>,
    /// Of each subject, where several were averaged.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub each: Vec<f64>,
}

impl Score {
    /// Of a value of which no more is known.
    pub fn of(value: f64) -> Self {
        Self { value, interval: None, baseline: None, each: Vec::new() }
    }
}

/// JSON has no word for what is not finite.
fn known<'a, D: Deserializer<'a>>(from: D) -> Result<f64, D::Error> {
    Ok(Option::<f64>::deserialize(from)?.unwrap_or(f64::NAN))
}

/// Counts in bins of equal width, the last one closed.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Histogram {
    /// The lower end of the first bin.
    pub low: f64,
    /// The upper end of the last bin.
    pub high: f64,
    /// How many values each bin holds.
    pub counts: Vec<u64>,
}

impl Histogram {
    /// Of correlations: 80 bins from −1 to 1. Values that are not in there are left out.
    pub fn of_correlations(values: &[f64]) -> Self {
        let mut counts = vec![0; 80];
        for value in values.iter().filter(|v| (-1.0..=1.0).contains(*v)) {
            let bin = ((value + 1.0) * 40.0) as usize;
            if let Some(count) = counts.get_mut(bin.min(79)) {
                *count += 1;
            }
        }
        Self { low: -1.0, high: 1.0, counts }
    }
}

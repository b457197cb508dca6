//! What did the user ask of a live network? `[networks.NAME]`, checked once.

use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::encoders::{EdgeRecipe, EncoderError};
use crate::frame::TANGENT;
use crate::network::connectome::{Kind, Shrinkage};

/// What an edge is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edges {
    /// Pearson's correlation.
    #[default]
    Pearson,
    /// Pearson's correlation of ranks.
    Spearman,
    /// Correlation given all other regions.
    Partial,
    /// Covariance, divided by the number of samples.
    Covariance,
    /// The inverse of the covariance.
    Precision,
    /// The covariance's displacement from the geometric mean of those that the model has learned from.
    Tangent,
}

impl Edges {
    /// The wire name, and that in the manifests of models.
    pub const fn as_str(self) -> &'static str {
        match self {
            Edges::Pearson => "pearson",
            Edges::Spearman => "spearman",
            Edges::Partial => "partial",
            Edges::Covariance => "covariance",
            Edges::Precision => "precision",
            Edges::Tangent => TANGENT,
        }
    }

    /// What is measured in the window.
    pub const fn kind(self) -> Kind {
        match self {
            Edges::Pearson => Kind::Pearson,
            Edges::Spearman => Kind::Spearman,
            Edges::Partial => Kind::Partial,
            Edges::Covariance | Edges::Tangent => Kind::Covariance,
            Edges::Precision => Kind::Precision,
        }
    }

    const fn is_correlation(self) -> bool {
        matches!(self, Edges::Pearson | Edges::Spearman | Edges::Partial)
    }

    /// Whether it takes a covariance that has an inverse.
    const fn is_of_inverse(self) -> bool {
        matches!(self, Edges::Partial | Edges::Precision | Edges::Tangent)
    }
}

/// What is done about too few samples.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Shrink {
    /// Nothing.
    #[default]
    #[serde(rename = "none")]
    None,
    /// The covariance is shrunk towards its mean diagonal, by as much as Ledoit and Wolf find best.
    #[serde(rename = "ledoit-wolf")]
    LedoitWolf,
}

impl Shrink {
    /// The name in manifests of models.
    pub const fn as_str(self) -> &'static str {
        match self {
            Shrink::None => "none",
            Shrink::LedoitWolf => "ledoit-wolf",
        }
    }

    /// The same, to the window.
    pub const fn shrinkage(self) -> Shrinkage {
        match self {
            Shrink::None => Shrinkage::None,
            Shrink::LedoitWolf => Shrinkage::LedoitWolf,
        }
    }
}

/// `[networks.NAME]`: how regions are connected, over a sliding window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// The source whose channels are the regions, by its name under `[sources]`, after its stages.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    /// Or the predictor whose predicted regions are the nodes, by its name under `[predictors]`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub predictor: Option<String>,
    /// How many seconds the window spans; 120 by default.
    #[serde(default = "window")]
    pub window: f64,
    /// Seconds between two networks; every sample by default.
    #[serde(default)]
    pub hop: f64,
    /// What an edge is: `pearson` (the default), `spearman`, `partial`, `covariance`, `precision`, or `tangent`, which takes a model.
    #[serde(default)]
    pub kind: Edges,
    /// What is done about too few samples: `none` (the default), or `ledoit-wolf`, as `neurod network build` does by default.
    #[serde(default)]
    pub shrinkage: Shrink,
    /// Whether edges become Fisher's z, as correlations may.
    #[serde(default)]
    pub fisher_z: bool,
    /// A folder with a model of networks that answers for every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// How many seconds the model may take before its answer counts as late; 0.5 by default.
    #[serde(default = "deadline")]
    pub deadline: f64,
    /// How many threads compute one pass; 1 by default, which replay always takes.
    #[serde(default = "one")]
    pub threads: usize,
    /// Whether JSON lines hold every edge; WebSocket clients ask for them with `edges=true`.
    #[serde(default)]
    pub edges: bool,
}

fn window() -> f64 {
    120.0
}

fn deadline() -> f64 {
    0.5
}

fn one() -> usize {
    1
}

impl NetworkConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// The key, and what it must be.
    pub fn validate(&self) -> Result<(), EncoderError> {
        let wrong =
            |key, value: &dyn ToString, problem| Err(EncoderError::Value { key, value: value.to_string(), problem });
        match () {
            () if !(self.window > 0.0 && self.window.is_finite()) => {
                wrong("window", &self.window, "must be a positive number of seconds")
            }
            () if !(self.hop >= 0.0 && self.hop.is_finite()) => {
                wrong("hop", &self.hop, "must be a number of seconds, or 0 for every sample")
            }
            () if !(self.deadline > 0.0 && self.deadline.is_finite()) => {
                wrong("deadline", &self.deadline, "must be a positive number of seconds")
            }
            () if self.threads == 0 => wrong("threads", &self.threads, "must be at least 1"),
            () if self.fisher_z && !self.kind.is_correlation() => {
                let problem = "is for correlations (set kind to pearson, spearman or partial, or leave it out)";
                wrong("fisher_z", &true, problem)
            }
            () if self.kind == Edges::Tangent && self.model.is_none() => {
                let problem =
                    "is measured from the people of a model (set model to one that was trained on it, or another kind)";
                wrong("kind", &self.kind.as_str(), problem)
            }
            () => Ok(()),
        }
    }

    /// How its edges are made.
    pub fn recipe(&self) -> EdgeRecipe<'static> {
        EdgeRecipe {
            connectivity: self.kind.as_str(),
            shrinkage: self.shrinkage.as_str(),
            fisher_z: self.fisher_z,
            threshold: None,
            sign: None,
        }
    }

    /// How many samples of so many regions make a network: two lie on a line whatever they are, and a covariance of no more samples
    /// than regions has no inverse.
    pub(super) fn fewest(&self, regions: usize) -> usize {
        match self.shrinkage {
            Shrink::None if self.kind.is_of_inverse() => regions + 2,
            Shrink::None | Shrink::LedoitWolf => 3,
        }
    }
}

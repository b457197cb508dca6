//! What was fitted? A `.neurod` file: weights with everything that is needed to use them, check them, and learn on.
//!
//! `docs/model.md` describes the file for other programs. The weights predict `y = b + Wᵀx` for a row x of features with
//! their delays. A model that was fitted with centring carries the moments of the rows that taught it, so that a
//! [`Learner`](super::Learner) goes on from it exactly: after more rows its weights are those of batch ridge on the old and
//! the new.
//!
//! **Invariants.** Every number of a model that was read is finite, every array has the shape that the description says,
//! and the bytes are those that were written.

mod file;
mod start;

use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{Moments, Response, RidgeError, positive};
use crate::frame::Unit;
use crate::linalg;
use file::{Contents, Tensor};

/// What a model is, in words and counts: the header of its file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Description {
    /// What it is called: the name of the file it was first written to.
    pub name: String,
    /// How many samples taught it.
    pub samples: u64,
    /// Whether features and responses were centred: without, there is no intercept and nothing can be learned on.
    pub centred: bool,
    /// The feature spaces, side by side, of one copy of the features.
    pub features: Vec<FeatureSpace>,
    /// One copy of the features each, in samples; `[0]` without delays, none with a response.
    pub delays: Vec<usize>,
    /// The haemodynamic response that the one copy of the features was convolved with, in place of delays.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hrf: Option<Response>,
    /// Seconds between two samples, where samples follow in time.
    pub tr: Option<f64>,
    /// What responses are counted in.
    pub unit: Unit,
    /// One a column of the responses.
    pub targets: Vec<Target>,
    /// What made it.
    pub provenance: Provenance,
}

/// Where a part of a row comes from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct FeatureSpace {
    /// Its name in the dataset.
    pub name: String,
    /// How many columns.
    pub dims: usize,
    /// The encoder's model, where it is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<String>,
    /// SHA-256 of that model (with its layer), where it is known: live features must come from the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha256: Option<String>,
    /// The layer, where one was chosen.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
}

/// What one column of the responses is.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Target {
    /// Unique; live regions go by it.
    pub name: String,
    /// The region it lies in.
    pub region: String,
    /// `L` or `R`; empty where nothing is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub hemisphere: String,
    /// The network it belongs to; empty where nothing is known.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub network: String,
    /// Where it lies, in mm RAS.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<[f64; 3]>,
    /// Whether a response was not a number, so that nothing was learned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub left_out: bool,
}

/// What made a model.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Provenance {
    /// The command line.
    pub command: String,
    /// neurod's version.
    pub version: String,
    /// How λ was asked for.
    pub lambda: String,
    /// What everything random was drawn by.
    pub seed: u64,
    /// SHA-256 of every file that was read, by name.
    pub files: BTreeMap<String, String>,
}

/// Why there is no model, or not of this use.
#[derive(Debug, Error)]
pub enum ModelError {
    /// The system refused.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// Something else.
    #[error("{path} is no .neurod model: {problem} (make one with `neurod encode fit`)")]
    NoModel {
        /// The file.
        path: String,
        /// What gives it away.
        problem: String,
    },
    /// Cut off or changed.
    #[error("{path} is damaged: {problem} (copy it again, or make it anew with `neurod encode fit`)")]
    Damaged {
        /// The file.
        path: String,
        /// What gives it away.
        problem: String,
    },
    /// Of another release.
    #[error(
        "{path} is a model of version {found}, this neurod reads version {known} (use a newer neurod, or fit anew)"
    )]
    Version {
        /// The file.
        path: String,
        /// What it says.
        found: String,
        /// What is read.
        known: &'static str,
    },
    /// It is not what the configuration says.
    #[error("the model says {key} = {model}, here it is {here} ({fix})")]
    Mismatch {
        /// What differs.
        key: String,
        /// What the model says.
        model: String,
        /// What it meets.
        here: String,
        /// What to do.
        fix: &'static str,
    },
    /// It lacks what is asked of it.
    #[error("the model {0}")]
    Lacks(&'static str),
    /// The ridge cannot be.
    #[error(transparent)]
    Ridge(#[from] RidgeError),
}

impl ModelError {
    /// Whether the configuration puts together what does not belong together, rather than the file being wrong.
    pub fn is_config(&self) -> bool {
        matches!(self, ModelError::Mismatch { .. } | ModelError::Lacks(_) | ModelError::Ridge(_))
    }
}

/// Weights, and everything that belongs to them.
#[derive(Clone, Debug)]
pub struct FittedModel {
    /// What it is.
    pub description: Description,
    /// SHA-256 of its file; empty before it is written.
    pub sha256: Arc<str>,
    /// W, row-major F×V: rows in the order of the description, one copy of the features after the other.
    pub weights: Vec<f64>,
    /// b, V.
    pub intercepts: Vec<f64>,
    /// λ of each target, V.
    pub lambdas: Vec<f64>,
    /// The features' means over the rows that taught, F: zero without centring.
    pub feature_means: Vec<f64>,
    /// Of the rows that taught; without them it does not learn on.
    pub moments: Option<Moments>,
}

impl FittedModel {
    /// Columns of a row, delays counted.
    pub fn columns(&self) -> usize {
        self.feature_means.len()
    }

    /// How many targets.
    pub fn targets(&self) -> usize {
        self.intercepts.len()
    }

    /// What these rows (n×F, row-major, with their delays) lead to expect: n×V. Not a number for targets left out.
    pub fn predict(&self, rows: &[f64]) -> Vec<f64> {
        let (features, targets) = (self.columns(), self.targets());
        let n = rows.len().checked_div(features).unwrap_or(0);
        let mut out = vec![0.0; n * targets];
        linalg::gemm(&mut out, rows, false, &self.weights, [n, features, targets]);
        for row in out.chunks_exact_mut(targets.max(1)) {
            for ((value, b), target) in row.iter_mut().zip(&self.intercepts).zip(&self.description.targets) {
                *value = if target.left_out { f64::NAN } else { *value + b };
            }
        }
        out
    }

    /// Writes its file beside `path` and moves it there whole; the model then knows its SHA-256.
    ///
    /// # Errors
    /// What the system refused.
    pub fn write(&mut self, path: &Path) -> Result<(), ModelError> {
        let (f, v) = (self.columns(), self.targets());
        let description = serde_json::to_string(&self.description).unwrap_or_default();
        let moments = self.moments.as_ref().map(|m| (m, m.gram(), m.cross()));
        let tensor = |name, shape: &[usize], values| Tensor { name, shape: shape.to_vec(), values };
        let mut tensors = vec![
            tensor("weights", &[f, v], self.weights.as_slice()),
            tensor("intercepts", &[v], &self.intercepts),
            tensor("lambdas", &[v], &self.lambdas),
            tensor("feature_means", &[f], &self.feature_means),
        ];
        if let Some((moments, gram, cross)) = &moments {
            tensors.push(tensor("moments.response_means", &[v], moments.mean_y()));
            tensors.push(tensor("moments.response_squares", &[v], moments.square_y()));
            tensors.push(tensor("moments.gram", &[f, f], gram));
            tensors.push(tensor("moments.cross", &[f, v], cross));
        }
        self.sha256 = file::write(path, &description, &tensors)?.into();
        Ok(())
    }

    /// Reads the model at `path`.
    ///
    /// # Errors
    /// A file that is missing, of something else, of another version, cut, changed, or at odds with itself.
    pub fn read(path: &Path) -> Result<Self, ModelError> {
        let wrong = |problem: String| ModelError::NoModel { path: path.display().to_string(), problem };
        let Contents { description, sha256, mut tensors } = file::read(path)?;
        let description: Description = serde_json::from_str(&description)
            .map_err(|error| wrong(format!("its description cannot be read: {error}")))?;
        let problem = description.check();
        if let Some(problem) = problem {
            return Err(wrong(problem));
        }
        let (f, v) = (description.columns(), description.targets.len());
        let learns = tensors.keys().any(|name| name.starts_with("moments."));
        let mut take = |name: &str, shape: &[usize]| match tensors.remove(name) {
            Some((found, values)) if found == shape => Ok(values),
            Some((found, _)) => Err(wrong(format!("{name} is {found:?} where the description says {shape:?}"))),
            None => Err(wrong(format!("{name} is missing"))),
        };
        let (weights, intercepts) = (take("weights", &[f, v])?, take("intercepts", &[v])?);
        let (lambdas, feature_means) = (take("lambdas", &[v])?, take("feature_means", &[f])?);
        for lambda in &lambdas {
            positive("lambdas", *lambda).map_err(|error| wrong(error.to_string()))?;
        }
        let moments = match learns {
            true => {
                let (gram, cross) = (take("moments.gram", &[f, f])?, take("moments.cross", &[f, v])?);
                let (means, squares) = (take("moments.response_means", &[v])?, take("moments.response_squares", &[v])?);
                let (n, mean_x) = (description.samples as f64, feature_means.clone());
                Some(Moments::from_parts(n, mean_x, means, squares, &gram, &cross))
            }
            false => None,
        };
        Ok(Self { description, sha256: sha256.into(), weights, intercepts, lambdas, feature_means, moments })
    }
}

impl Description {
    /// Columns of a row, delays counted.
    pub fn columns(&self) -> usize {
        self.width() * self.copies()
    }

    /// How many copies of the features a row has.
    pub fn copies(&self) -> usize {
        if self.hrf.is_some() { 1 } else { self.delays.len() }
    }

    /// Columns of one copy of the features.
    pub fn width(&self) -> usize {
        self.features.iter().map(|space| space.dims).sum()
    }

    /// What contradicts itself.
    fn check(&self) -> Option<String> {
        let sizes = self.features.iter().try_fold(0usize, |sum, space| sum.checked_add(space.dims));
        let columns = sizes.and_then(|width| width.checked_mul(self.copies()));
        let mut names: Vec<&str> = self.targets.iter().map(|target| target.name.as_str()).collect();
        names.sort_unstable();
        if columns.is_none_or(|columns| columns == 0) || self.targets.is_empty() {
            return Some("it describes no features, delays or targets".into());
        }
        if self.tr.is_some_and(|tr| !(tr > 0.0 && tr.is_finite())) {
            return Some(format!("its tr is {:?}", self.tr));
        }
        if self.hrf.is_some() && (self.tr.is_none() || !self.delays.is_empty()) {
            return Some("it describes a haemodynamic response, and delays or no tr beside it".into());
        }
        let twice = names.windows(2).find(|pair| pair.first() == pair.last());
        twice.map(|pair| format!("two targets are called {:?}", pair.first().unwrap_or(&"")))
    }
}

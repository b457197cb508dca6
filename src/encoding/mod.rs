//! How well do features predict the brain, offline? Ridge regression over folds, and how good its predictions are.
//!
//! Features X (n samples × F) and responses Y (n × V voxels or regions) come as arrays; [`folds`] says which rows teach
//! and which are predicted, [`scale`] in what units features count, [`solve`] fits and predicts, with one λ or one a
//! voxel, [`banded`] with one for every feature space, [`metrics`] and [`two_v_two`] say how well, [`statistics`] how
//! surely, [`ceiling`] how well it could be at best, [`scoring`] all of it for every set of voxels, and [`partition`] what
//! each feature space has that no other does.
//! Everything is deterministic: the same arrays, folds and λ give the same bits, however many cores there are.

pub mod banded;
mod basis;
pub mod ceiling;
mod filters;
pub mod folds;
pub mod identification;
pub mod metrics;
pub mod partition;
mod plan;
mod products;
pub mod report;
pub mod scale;
pub mod scoring;
pub mod solve;
pub mod statistics;
pub mod two_v_two;

use thiserror::Error;

/// Why features and responses cannot be evaluated.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum EncodingError {
    /// Features and responses, or runs, of different lengths.
    #[error("{what}: {got} rows where the features have {expected} (one row a sample, in the same order)")]
    Rows {
        /// What has another number of rows.
        what: &'static str,
        /// Rows of the features.
        expected: usize,
        /// Rows of the other.
        got: usize,
    },
    /// A feature that is not a number: there is no row without it.
    #[error("features: row {row}, column {column} is not finite (remove the row from features, responses and runs)")]
    NotFinite {
        /// Counted from 0.
        row: usize,
        /// Counted from 0.
        column: usize,
    },
    /// Nothing to learn from.
    #[error("{0}")]
    Folds(String),
    /// A λ that cannot be.
    #[error("lambda: {0} must be a positive, finite number")]
    Lambda(f64),
    /// A mix of feature spaces that cannot be.
    #[error("banded ridge: {0}")]
    Mix(String),
    /// The equations have no answer.
    #[error("the features cannot be decomposed (are they all finite and not absurdly large?)")]
    Unsolvable,
}

//! What was shown, and what was measured? Features and responses of an experiment, sample by sample.

mod folder;

pub use folder::{Folder, Voxel, is_single};

use thiserror::Error;

use crate::acquisition::SourceError;

/// Why a dataset cannot be read.
#[derive(Debug, Error)]
pub enum DatasetError {
    /// A file that cannot be read as an array.
    #[error("{path}: {problem}")]
    Array {
        /// The file.
        path: String,
        /// What is wrong with it, and the mend.
        problem: String,
    },
    /// Files that do not belong together.
    #[error("{path}: {got} rows where {other} has {expected} (one row a sample, in the same order)")]
    Rows {
        /// The file.
        path: String,
        /// Its rows.
        got: usize,
        /// What it is held against.
        other: String,
        /// The rows of that.
        expected: usize,
    },
    /// A list that cannot be read.
    #[error(transparent)]
    List(#[from] SourceError),
}

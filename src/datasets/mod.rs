//! What was shown, and what was measured? Features and responses of an experiment, sample by sample.

mod archive;
pub mod bids;
pub mod bold5000;
mod folder;
pub mod mat;
pub mod networks;
mod npy;
pub mod npz;
pub mod participants;
pub mod pereira;
mod plain;
pub mod scans;
mod stimuli;
mod stored;
pub mod tracts;

pub use folder::{Folder, Voxel, is_single, sha256};
pub use plain::{Plain, vacant};
pub use stimuli::{Cells, Shown};

use std::path::Path;

use thiserror::Error;

use crate::acquisition::SourceError;
use crate::acquisition::file::Volumes;
use crate::fmri::Grid;

/// The grid of a NIfTI image.
///
/// # Errors
/// It cannot be read.
pub fn grid_of(image: &Path) -> Result<Grid, DatasetError> {
    Ok(Volumes::open(image)?.grid)
}

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
    /// A file that is wrong at one place.
    #[error("{path}:{place}: {problem}")]
    Malformed {
        /// The file.
        path: String,
        /// `byte 0x80`, or the variable: `meta.atlases`.
        place: String,
        /// What is wrong there, and the mend.
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
    /// Stimuli that have no features.
    #[error(
        "{rows} of {samples} rows have a stimulus that cannot be encoded{listed}\n(nothing was written: mend them, or give \
         --skip-bad to write NaN in their rows, which are then left out of every fit)"
    )]
    Stimuli {
        /// How many rows.
        rows: usize,
        /// Of how many.
        samples: usize,
        /// The first of them, a line each.
        listed: String,
    },
    /// A list that cannot be read.
    #[error(transparent)]
    List(#[from] SourceError),
}

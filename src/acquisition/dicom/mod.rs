//! What does a scanner export as DICOM? Slices, mosaics and enhanced images, as volumes on their grid.
//!
//! [`read`] takes the bytes of one file. Classic images hold one slice, which [`stack()`] joins to volumes; a Siemens mosaic
//! is one volume, an enhanced image one or several. Voxels are in the order that the file has them (x along a row, y
//! down the columns, z along the slices); the grid says where they lie, in mm RAS.
//!
//! **Invariants.** No size is believed before its bytes are there, and a file is complete when it parses to the length
//! that it promises. Names, dates of birth and whatever else a file says of a person is neither kept nor put into an
//! error.

mod csa;
mod elements;
mod enhanced;
mod pixels;
mod scan;
mod stack;

use thiserror::Error;

use crate::fmri::Grid;

pub(crate) use elements::FileMeta;
pub(crate) use scan::read_object;
pub use scan::{Component, Header, Scan, Series, read};
pub use stack::{Slice, stack};

/// The most bytes of one file.
pub(crate) const FILE_CAP: u64 = 512 << 20;
/// The most voxels of one volume: 256³.
const VOXELS_CAP: usize = 1 << 24;

/// One volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Volume {
    /// Where its voxels lie.
    pub grid: Grid,
    /// Its voxels, x fastest, scaled.
    pub values: Vec<f64>,
}

/// Why a file gives no image.
#[derive(Clone, Debug, Error, PartialEq)]
pub enum DicomError {
    /// It ends before what it promises; more may come.
    #[error(
        "byte {at:#x}: the file ends here or is blank from here on, {missing} bytes early (wait for it, or copy it again)"
    )]
    Truncated {
        /// Where.
        at: u64,
        /// What its next element still needs.
        missing: u64,
    },
    /// It is something else.
    #[error("no DICOM file: byte 0x80 does not say DICM")]
    NotDicom,
    /// Its pixels are compressed.
    #[error("{0} pixels, which are not read (export uncompressed: Explicit VR Little Endian)")]
    Compressed(&'static str),
    /// It is damaged.
    #[error("byte {at:#x}: {problem}")]
    Malformed {
        /// Where.
        at: u64,
        /// What is wrong there.
        problem: &'static str,
    },
    /// An image cannot do without this.
    #[error("no {0}, or none that makes sense (an image of a volume has one)")]
    Missing(&'static str),
    /// An image that is not read.
    #[error("{0}")]
    Unsupported(String),
    /// An object of another class than it was sent as.
    #[error("the object is of another SOP class than the message that brought it")]
    Class,
    /// Slices that make no volume.
    #[error("slices: {0}")]
    Slices(String),
}

impl DicomError {
    fn truncated(at: usize, needs: usize) -> Self {
        Self::Truncated { at: at as u64, missing: needs as u64 }
    }
}

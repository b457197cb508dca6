//! What is seen in parts of a picture? The features and boxes of its regions, which a detector gave before.
//!
//! LXMERT and VisualBERT do not look at pictures but at what an object detector (Faster R-CNN, as a rule) found in them:
//! for each region a vector, and for LXMERT where it lies. neurod has no detector. Regions are read from files beside the
//! stimuli, or come with a stimulus; there is no picture without them, and nothing stands in for them.
//!
//! **Invariants.** Regions are at least one and at most [`MAX_REGIONS`]; every value is finite; boxes lie in the picture.
//!
//! ```
//! use neurod::encoders::Regions;
//! let regions = Regions::new(2, vec![0.5, 0.25, 0.0, 1.0], Some(vec![[0.0, 0.0, 0.5, 1.0], [0.1, 0.2, 0.9, 0.8]]))?;
//! assert_eq!((regions.count(), regions.dims()), (2, 2));
//! let error = Regions::new(1, vec![0.5], Some(vec![[0.0, 0.0, 640.0, 480.0]])).unwrap_err();
//! assert!(error.to_string().contains("divide x by the picture's width"));
//! # Ok::<(), neurod::encoders::RegionsError>(())
//! ```

mod file;

use std::path::Path;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::frame::{PictureRegions, Rows};

pub use file::MAX_REGIONS_BYTES;

/// The most regions of one picture.
pub const MAX_REGIONS: usize = 1024;
/// How many numbers say where a region lies: left, top, right, bottom, as shares of the picture's width and height.
const CORNERS: usize = 4;

/// What a model takes of the regions of a picture.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct RegionsInput {
    /// The input of their features, float32 `[1, regions, dims]`.
    pub features: String,
    /// The input of their boxes, float32 `[1, regions, 4]`: left, top, right, bottom, from 0 to 1.
    pub boxes: Option<String>,
    /// How long the feature of one region is.
    pub dims: usize,
    /// The most regions.
    pub most: usize,
}

impl RegionsInput {
    pub(super) fn problem(&self) -> Option<&'static str> {
        Some(match () {
            () if self.dims == 0 => "regions.dims must be at least 1",
            () if !(1..=MAX_REGIONS).contains(&self.most) => "regions.most must be 1 to 1024",
            () => return None,
        })
    }

    /// Whether these regions are what the model takes.
    ///
    /// # Errors
    /// Features of another length, too many of them, or no boxes where they are taken.
    pub fn check(&self, regions: &Regions) -> Result<(), RegionsError> {
        if regions.dims() != self.dims {
            return Err(RegionsError::Dims { got: regions.dims(), expected: self.dims });
        }
        if regions.count() > self.most {
            return Err(RegionsError::Many { got: regions.count(), most: self.most });
        }
        match self.boxes {
            Some(_) if regions.boxes.is_empty() => Err(RegionsError::NoBoxes),
            _ => Ok(()),
        }
    }
}

/// Why regions cannot be used.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum RegionsError {
    /// A name that could lead out of the stimuli folder.
    #[error("leads out of the stimuli folder (give it from that folder on, without / in front and without ..)")]
    Outside,
    /// A file that is not there, too large, or no array.
    #[error("{problem} (regions are a .npy of features, regions × dims, beside a .npy of boxes, or one .npz of both)")]
    File {
        /// What is wrong.
        problem: String,
    },
    /// No region, or too many of them for any model.
    #[error("{got} regions; there must be 1 to 1024 (keep the most certain)")]
    Count {
        /// How many there are.
        got: usize,
    },
    /// Features that are not whole rows.
    #[error("{values} feature values of {count} regions, which does not divide (regions × dims)")]
    Shape {
        /// How many values there are.
        values: usize,
        /// How many regions.
        count: usize,
    },
    /// Features of another length than the model takes.
    #[error(
        "features of {got} values a region; the model takes {expected} (extract them with the detector it was trained with)"
    )]
    Dims {
        /// How long they are.
        got: usize,
        /// How long they must be.
        expected: usize,
    },
    /// More regions than the model takes.
    #[error("{got} regions; the model takes at most {most} (keep the most certain)")]
    Many {
        /// How many there are.
        got: usize,
        /// How many there may be.
        most: usize,
    },
    /// A model that takes boxes, and there are none.
    #[error(
        "there are no boxes, which this model takes (name a .npy, regions × 4, in the column boxes, or send them beside regions)"
    )]
    NoBoxes,
    /// Boxes that are no boxes.
    #[error("boxes of {got} numbers, not of 4 (left, top, right, bottom)")]
    Corners {
        /// How many numbers each has.
        got: usize,
    },
    /// Another number of boxes than of regions.
    #[error("{boxes} boxes for {regions} regions")]
    Boxes {
        /// How many boxes.
        boxes: usize,
        /// How many regions.
        regions: usize,
    },
    /// A box that does not lie in the picture.
    #[error(
        "box {at} does not lie in the picture: left, top, right, bottom from 0 to 1 (divide x by the picture's width, y by its height)"
    )]
    Place {
        /// Which, from 0.
        at: usize,
    },
    /// A feature that is not finite.
    #[error("the features of region {at} are not finite (extract them again)")]
    NonFinite {
        /// Which region, from 0.
        at: usize,
    },
}

/// The regions of one picture.
#[derive(Clone, Debug, PartialEq)]
pub struct Regions {
    count: usize,
    features: Vec<f32>,
    boxes: Vec<f32>,
}

impl Regions {
    /// So many regions with these features, row by row, and their boxes if they are known.
    ///
    /// # Errors
    /// What breaks the invariants above.
    pub fn new(count: usize, features: Vec<f32>, boxes: Option<Vec<[f32; CORNERS]>>) -> Result<Self, RegionsError> {
        if !(1..=MAX_REGIONS).contains(&count) {
            return Err(RegionsError::Count { got: count });
        }
        if features.is_empty() || !features.len().is_multiple_of(count) {
            return Err(RegionsError::Shape { values: features.len(), count });
        }
        let dims = features.len() / count;
        if let Some(at) = features.iter().position(|value| !value.is_finite()) {
            return Err(RegionsError::NonFinite { at: at / dims });
        }
        let boxes = boxes.unwrap_or_default();
        if !boxes.is_empty() && boxes.len() != count {
            return Err(RegionsError::Boxes { boxes: boxes.len(), regions: count });
        }
        let inside = |[left, top, right, bottom]: &[f32; CORNERS]| {
            0.0 <= *left && left <= right && *right <= 1.0 && 0.0 <= *top && top <= bottom && *bottom <= 1.0
        };
        if let Some(at) = boxes.iter().position(|corners| !inside(corners)) {
            return Err(RegionsError::Place { at });
        }
        Ok(Self { count, features, boxes: boxes.into_flattened() })
    }

    /// Reads the features of a `.npy` and the boxes of another, or both from one `.npz`, where they are called `features`
    /// and `boxes`.
    ///
    /// # Errors
    /// A file that is missing, too large or no array of float32 or float64; what [`new`](Self::new) refuses.
    pub fn read(features: &Path, boxes: Option<&Path>) -> Result<Self, RegionsError> {
        Self::of(&file::read(features, boxes)?)
    }

    /// The regions that came as arrays.
    ///
    /// # Errors
    /// Boxes of another width than 4; what [`new`](Self::new) refuses.
    pub fn of(found: &PictureRegions) -> Result<Self, RegionsError> {
        let PictureRegions { features, boxes } = found;
        if let Some(got) = boxes.as_ref().map(Rows::width).filter(|width| *width != CORNERS) {
            return Err(RegionsError::Corners { got });
        }
        let corners = |boxes: &Rows| boxes.values().as_chunks::<CORNERS>().0.to_vec();
        Self::new(features.count(), features.values().to_vec(), boxes.as_ref().map(corners))
    }

    /// How many there are.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How long the feature of one is.
    pub fn dims(&self) -> usize {
        self.features.len() / self.count
    }

    /// The features, region by region: [`count`](Self::count) × [`dims`](Self::dims).
    pub fn features(&self) -> &[f32] {
        &self.features
    }

    /// Left, top, right and bottom of every region; empty where they are not known.
    pub fn boxes(&self) -> &[f32] {
        &self.boxes
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_the_invariants_is_named() {
        let says = |count, features: &[f32], boxes: Option<Vec<[f32; 4]>>| {
            Regions::new(count, features.to_vec(), boxes).unwrap_err().to_string()
        };
        assert_eq!(says(0, &[], None), "0 regions; there must be 1 to 1024 (keep the most certain)");
        assert!(says(1025, &[0.0; 1025], None).starts_with("1025 regions; "));
        assert_eq!(says(2, &[0.0; 3], None), "3 feature values of 2 regions, which does not divide (regions × dims)");
        assert!(says(2, &[], None).starts_with("0 feature values of 2 regions"));
        let nan = says(2, &[0.0, 1.0, f32::NAN, 0.0], None);
        assert_eq!(nan, "the features of region 1 are not finite (extract them again)");
        assert_eq!(says(2, &[0.0; 4], Some(vec![[0.0; 4]])), "1 boxes for 2 regions");
        for wrong in [[0.0, 0.0, 1.5, 1.0], [0.5, 0.0, 0.4, 1.0], [0.0, 0.0, f32::NAN, 1.0], [-0.1, 0.0, 1.0, 1.0]] {
            let error = says(2, &[0.0; 4], Some(vec![[0.0, 0.0, 1.0, 1.0], wrong]));
            assert!(error.starts_with("box 1 does not lie in the picture"), "{wrong:?}: {error}");
        }
    }

    #[test]
    fn what_the_model_does_not_take_is_named() {
        let input: RegionsInput = toml::from_str("features = \"f\"\nboxes = \"b\"\ndims = 2\nmost = 2").unwrap();
        let says = |count, dims: usize| {
            let regions = Regions::new(count, vec![0.0; count * dims], None).unwrap();
            input.check(&regions).unwrap_err().to_string()
        };
        assert!(says(1, 3).starts_with("features of 3 values a region; the model takes 2"));
        assert_eq!(says(3, 2), "3 regions; the model takes at most 2 (keep the most certain)");
        assert!(says(1, 2).starts_with("there are no boxes, which this model takes"));
    }
}

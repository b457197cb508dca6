//! What happened? A stimulus, a rating, a marker: something with an onset.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::Instant;

/// One event, as in a row of BIDS events.tsv or an LSL marker.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Event {
    /// When it begins, on the session's clock.
    pub onset: Instant,
    /// How long it lasts, in seconds; 0 for a moment.
    pub duration: f64,
    /// What kind it is (BIDS `trial_type`, or the marker itself).
    pub label: String,
    /// The sentence it stands for, if it is a stimulus with words.
    pub text: Option<String>,
    /// The picture it shows, if it brings one along. One that lies in a file is named by the column `stim_file`.
    #[serde(skip)]
    pub picture: Option<Picture>,
    /// What a detector found in its picture, if it brings that along. What lies in files is named by columns.
    #[serde(skip)]
    pub regions: Option<PictureRegions>,
    /// What else is known of it, by column of events.tsv, as it stands there; without `n/a`.
    pub columns: BTreeMap<String, String>,
    /// The run it belongs to.
    pub run: u32,
}

/// An image file's contents; cheap to clone.
#[derive(Clone, PartialEq, Eq)]
pub struct Picture(pub Arc<[u8]>);

impl fmt::Debug for Picture {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Picture({} bytes)", self.0.len())
    }
}

/// The regions of a picture as a detector gave them, yet to be checked against a model; cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct PictureRegions {
    /// Regions × values of each.
    pub features: Rows,
    /// Regions × 4: left, top, right, bottom.
    pub boxes: Option<Rows>,
}

/// Numbers row by row, each row as long as any other; cheap to clone.
#[derive(Clone, PartialEq)]
pub struct Rows {
    count: usize,
    width: usize,
    values: Arc<[f32]>,
}

impl Rows {
    /// So many rows of so many values; `None` where that is not how many there are.
    ///
    /// ```
    /// use neurod::frame::Rows;
    /// let rows = Rows::new(2, 3, vec![0.0; 6]).ok_or("six")?;
    /// assert_eq!((rows.count(), rows.width(), rows.values().len()), (2, 3, 6));
    /// assert_eq!(Rows::new(2, 2, vec![0.0; 6]), None);
    /// # Ok::<(), &str>(())
    /// ```
    pub fn new(count: usize, width: usize, values: Vec<f32>) -> Option<Self> {
        (count.checked_mul(width) == Some(values.len())).then(|| Self { count, width, values: values.into() })
    }

    /// How many rows.
    pub fn count(&self) -> usize {
        self.count
    }

    /// How many values a row has.
    pub fn width(&self) -> usize {
        self.width
    }

    /// All values, row by row.
    pub fn values(&self) -> &Arc<[f32]> {
        &self.values
    }
}

impl fmt::Debug for Rows {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Rows({} × {})", self.count, self.width)
    }
}

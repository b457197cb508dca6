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

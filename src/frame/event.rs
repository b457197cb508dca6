//! What happened? A stimulus, a rating, a marker: something with an onset.

use std::collections::BTreeMap;

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
    /// What else is known of it, by column of events.tsv, as it stands there; without `n/a`.
    pub columns: BTreeMap<String, String>,
    /// The run it belongs to.
    pub run: u32,
}

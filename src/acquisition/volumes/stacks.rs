//! Which slices make a volume? Those of one number, once all of them have come.

use std::collections::BTreeMap;

use super::faults::Fault;
use super::order::Refused;
use crate::acquisition::dicom::{self, Slice, Volume};
use crate::frame::Instant;

/// The most volumes whose slices are waited for at once.
const OPEN_CAP: usize = 8;

/// How an image came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// One slice of a volume.
    Slice {
        /// Of so many.
        of: u32,
    },
    /// A volume in a file of its own.
    Whole,
    /// One of the volumes in one file.
    Several,
}

/// Volumes whose slices are still coming.
pub(super) struct Stacks {
    /// Seconds that slices are waited for.
    patience: f64,
    open: BTreeMap<u32, (Instant, Vec<Slice>)>,
}

impl Stacks {
    pub(super) fn new(patience: f64) -> Self {
        Self { patience, open: BTreeMap::new() }
    }

    /// Adds a slice of volume `number`, which has `of`; the volume once it is whole.
    ///
    /// # Errors
    /// [`Fault::Duplicate`] for a slice that is there, [`Fault::Slices`] where they make no volume.
    pub(super) fn add(
        &mut self,
        number: u32,
        of: usize,
        slice: Slice,
        now: Instant,
    ) -> Result<Option<Volume>, Refused> {
        let (_, slices) = self.open.entry(number).or_insert_with(|| (now, Vec::new()));
        if slices.iter().any(|s| s.is_at(&slice)) {
            return Err(Refused(Fault::Duplicate));
        }
        slices.push(slice);
        if slices.len() < of {
            return Ok(None);
        }
        let slices = self.open.remove(&number).map(|(_, slices)| slices).unwrap_or_default();
        dicom::stack(slices).map(Some).map_err(|_| Refused(Fault::Slices))
    }

    /// Gives up volumes whose slices did not come in time; how many.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let before = self.open.len();
        self.open.retain(|_, (since, _)| now - *since < self.patience);
        while self.open.len() > OPEN_CAP {
            self.open.pop_first();
        }
        (before - self.open.len()) as u64
    }

    /// Forgets all of them: another series begins.
    pub(super) fn clear(&mut self) -> u64 {
        let open = self.open.len() as u64;
        self.open.clear();
        open
    }
}

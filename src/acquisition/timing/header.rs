//! How does the time in a header become ours? By the smallest delay of the latest volumes, past midnight and clock steps.
//!
//! A scanner's clock is not ours, but runs evenly. A volume cannot come before it has been acquired, so the smallest of
//! arrival − header is the closest to the clocks' true difference; of the latest volumes alone, so that clocks may drift.

use super::{Lowest, Told, Volume};
use crate::acquisition::SourceStats;
use crate::frame::Instant;

/// Volumes among which the smallest delay is looked for.
const AMONG: usize = 128;
const DAY: f64 = 86_400.0;

/// The scanner's clock, seen from ours.
#[derive(Default)]
pub(super) struct HeaderClock {
    /// What was added for midnights: times of day begin anew where the date in a header does not move.
    midnights: f64,
    last: Option<f64>,
    /// Ours less the scanner's, in seconds, of the latest volumes.
    difference: Lowest,
}

impl HeaderClock {
    /// When a volume began; `None` for one whose header does not say.
    pub(super) fn place(&mut self, volume: Volume, stats: &SourceStats) -> Option<Told> {
        let mut raw = volume.acquired? + self.midnights;
        if let Some(last) = self.last {
            if raw < last - DAY / 2.0 {
                self.midnights += DAY;
                raw += DAY;
            }
            if raw == last {
                // Says when the series began, and nothing of this volume.
                return None;
            }
            if raw < last {
                // The clock was set back: what was known of it is void.
                SourceStats::count(&stats.clock_jumps);
                self.difference = Lowest::default();
            }
        }
        self.last = Some(raw);
        let difference = self.difference.of(volume.due.seconds() - raw, AMONG);
        stats.set_clock_offset(difference);
        Some(Told { at: Instant::from_seconds(raw + difference), raw })
    }
}

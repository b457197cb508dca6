//! What may every request need? The daemon's health, its bus of frames, the clients' places.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use prometheus::IntCounter;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::bridge::FrameBus;
use super::guard::Guard;
use super::{Control, Health};
use crate::frame::{Clock, Instant, MonotonicClock};
use crate::runtime::metrics::Metrics;

/// For how long the lanes may stand still before `/healthz` says so, in seconds.
const STILL: f64 = 2.0;

/// What every request may need.
pub(super) struct App {
    pub metrics: Arc<Metrics>,
    pub health: Arc<dyn Health>,
    pub control: Arc<dyn Control>,
    pub bus: Arc<FrameBus>,
    pub guard: Guard,
    pub marked_ready: AtomicBool,
    pub pulse: Pulse,
    /// The runtime that carries frames.
    pub service: Handle,
    /// One permit a WebSocket client.
    pub places: Arc<Semaphore>,
    pub max_clients: usize,
    pub client_queue: usize,
    pub dropped: IntCounter,
    pub ping: Duration,
}

impl App {
    /// What is not ready yet; fails closed.
    pub fn not_ready(&self) -> Vec<(String, String)> {
        let mut reasons = self.health.not_ready();
        if !self.marked_ready.load(Ordering::Acquire) {
            reasons.insert(0, ("neurod".into(), "starting or stopping".into()));
        }
        reasons
    }

    /// Whether the real-time lanes move.
    pub fn is_alive(&self) -> bool {
        self.pulse.still(MonotonicClock.now()) <= STILL
    }

    /// How many WebSocket clients are connected.
    pub fn clients(&self) -> usize {
        self.max_clients.saturating_sub(self.places.available_permits())
    }
}

/// Since when the lanes' heartbeat has stood still.
pub(super) struct Pulse {
    beats: AtomicU64,
    moved: AtomicU64,
}

impl Pulse {
    /// Alive at this moment.
    pub fn starting(now: Instant) -> Self {
        Self { beats: AtomicU64::new(0), moved: AtomicU64::new(now.seconds().to_bits()) }
    }

    pub fn look(&self, beats: u64, now: Instant) {
        if self.beats.swap(beats, Ordering::AcqRel) != beats {
            self.moved.store(now.seconds().to_bits(), Ordering::Release);
        }
    }

    pub fn still(&self, now: Instant) -> f64 {
        now.seconds() - f64::from_bits(self.moved.load(Ordering::Acquire))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pulse_is_still_since_the_last_beat_that_differed() {
        let at = Instant::from_seconds;
        let pulse = Pulse::starting(at(10.0));
        pulse.look(5, at(11.0));
        pulse.look(5, at(12.5));
        assert_eq!(pulse.still(at(13.5)), 2.5);
        pulse.look(6, at(14.0));
        assert_eq!(pulse.still(at(14.0)), 0.0);
    }
}

//! When? Seconds on the session's clock, and the clocks that can be asked.

use std::ops::{Add, Sub};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

/// A moment on the session's clock, in seconds.
///
/// Live, the session's clock is `CLOCK_MONOTONIC`, which is what `lsl_local_clock()` reads, so LSL timestamps compare
/// with it directly. In replay it is the time of the recording.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instant(f64);

impl Instant {
    /// The moment `seconds` on the session's clock.
    pub const fn from_seconds(seconds: f64) -> Self {
        Self(seconds)
    }

    /// Seconds on the session's clock.
    pub const fn seconds(self) -> f64 {
        self.0
    }
}

impl Add<f64> for Instant {
    type Output = Instant;
    fn add(self, seconds: f64) -> Instant {
        Instant(self.0 + seconds)
    }
}

impl Sub<f64> for Instant {
    type Output = Instant;
    fn sub(self, seconds: f64) -> Instant {
        Instant(self.0 - seconds)
    }
}

impl Sub for Instant {
    type Output = f64;
    /// Seconds from `earlier` to `self`.
    fn sub(self, earlier: Instant) -> f64 {
        self.0 - earlier.0
    }
}

/// Tells the time. Handed to everything that needs one, so that replay can run on the recording's time.
pub trait Clock: Send + Sync {
    /// The present moment.
    fn now(&self) -> Instant;
    /// What to add to this clock's seconds for seconds since the Unix epoch; 0 where the clock is not real time.
    fn unix_offset(&self) -> f64;
    /// What clients are told: `monotonic`, `scaled` or `virtual`.
    fn name(&self) -> &'static str;
    /// How many of this clock's seconds pass in one real second; infinite where time is virtual.
    fn speed(&self) -> f64;
}

/// Seconds of `CLOCK_MONOTONIC`, the clock that LSL stamps with. A step of the wall clock does not move it.
#[derive(Clone, Copy, Debug, Default)]
pub struct MonotonicClock;

impl Clock for MonotonicClock {
    fn now(&self) -> Instant {
        Instant(monotonic_seconds())
    }
    fn unix_offset(&self) -> f64 {
        unix_seconds() - monotonic_seconds()
    }
    fn name(&self) -> &'static str {
        "monotonic"
    }
    fn speed(&self) -> f64 {
        1.0
    }
}

/// Recording time that passes `speed` times as fast as real time, from `start` on.
#[derive(Clone, Debug)]
pub struct ScaledClock {
    start: Instant,
    began: f64,
    speed: f64,
}

impl ScaledClock {
    /// A clock that reads `start` now. `speed` must be positive and finite.
    pub fn starting_at(start: Instant, speed: f64) -> Self {
        Self { start, began: monotonic_seconds(), speed }
    }
}

impl Clock for ScaledClock {
    fn now(&self) -> Instant {
        self.start + (monotonic_seconds() - self.began) * self.speed
    }
    fn unix_offset(&self) -> f64 {
        0.0
    }
    fn name(&self) -> &'static str {
        "scaled"
    }
    fn speed(&self) -> f64 {
        self.speed
    }
}

/// A clock that stands still until it is set: the time of `speed = max`, where the data say what time it is.
#[derive(Debug, Default)]
pub struct VirtualClock(AtomicU64);

impl VirtualClock {
    /// Moves the clock forward to `at`; an earlier moment leaves it where it is.
    pub fn advance_to(&self, at: Instant) {
        if at > self.now() {
            self.0.store(at.0.to_bits(), Ordering::Release);
        }
    }
}

impl Clock for VirtualClock {
    fn now(&self) -> Instant {
        Instant(f64::from_bits(self.0.load(Ordering::Acquire)))
    }
    fn unix_offset(&self) -> f64 {
        0.0
    }
    fn name(&self) -> &'static str {
        "virtual"
    }
    fn speed(&self) -> f64 {
        f64::INFINITY
    }
}

fn monotonic_seconds() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec for the call to fill in; CLOCK_MONOTONIC exists on every supported kernel.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

fn unix_seconds() -> f64 {
    SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).map_or(0.0, |d| d.as_secs_f64())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_scaled_clock_runs_faster_and_a_virtual_one_only_forward() {
        let scaled = ScaledClock::starting_at(Instant::from_seconds(100.0), 1000.0);
        let first = scaled.now();
        let real = MonotonicClock.now();
        while MonotonicClock.now() - real < 2e-3 {}
        assert!(scaled.now() - first >= 2.0 && first.seconds() >= 100.0);

        let clock = VirtualClock::default();
        clock.advance_to(Instant::from_seconds(5.0));
        clock.advance_to(Instant::from_seconds(3.0));
        assert_eq!(clock.now().seconds(), 5.0);
    }
}

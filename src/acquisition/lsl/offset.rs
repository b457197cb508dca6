//! What time is it over there? The offset from a stream's clock to ours, as it is applied.
//!
//! liblsl measures it every few seconds, so what it says is up to four seconds old: at 500 ppm, 2 ms. So the line through
//! the newest measurements is followed, which knows how fast the clocks drift apart, and averages the noise. It is
//! followed gently: corrected times never run backward. A large difference is a step of a clock, taken at once and
//! reported.
//!
//! ```
//! use neurod::acquisition::lsl::Offset;
//!
//! let mut offset = Offset::default();
//! offset.measured(-3.0, 103.0, 1e-4); // over there it was 103 s, here 100 s
//! assert_eq!(offset.at(101.0), Some(-3.0));
//! ```

/// Differences from here on are steps, not noise.
const STEP: f64 = 0.005;
/// Seconds of correction a second: twice what the worst quartz drifts.
const SLEW: f64 = 1e-3;
/// Measurements that make the line, and over how many seconds they must lie.
const KEPT: usize = 32;
const LEAST_SPAN: f64 = 10.0;
/// For so many seconds after the newest measurement the line is believed.
const BELIEVED: f64 = 30.0;

/// Seconds to add to a stream's stamps.
#[derive(Clone, Debug, Default)]
pub struct Offset {
    applied: Option<f64>,
    moved_at: f64,
    /// A ring of measurements: when, on our clock, and the offset; the newest before `at`.
    measured: [(f64, f64); KEPT],
    count: usize,
    at: usize,
}

impl Offset {
    /// Takes in a measurement made when it was `remote` seconds over there, with a round trip of `uncertainty` seconds;
    /// true when the clock has stepped. The same measurement told again changes nothing.
    pub fn measured(&mut self, offset: f64, remote: f64, uncertainty: f64) -> bool {
        let when = remote + offset;
        let expected = self.line(when);
        if self.newest().is_some_and(|(at, known)| (at - when).abs() < 1e-6 && known == offset) {
            return false;
        }
        let stepped = expected.is_some_and(|expected| (offset - expected).abs() > STEP.max(uncertainty));
        if stepped || expected.is_none() {
            (self.applied, self.count, self.at) = (Some(offset), 0, 0);
        }
        self.measured[self.at] = (when, offset);
        (self.at, self.count) = ((self.at + 1) % KEPT, (self.count + 1).min(KEPT));
        stepped
    }

    /// The offset to apply now; `None` before the first measurement.
    pub fn at(&mut self, now: f64) -> Option<f64> {
        let (applied, target) = (self.applied?, self.line(now)?);
        let most = SLEW * (now - self.moved_at).clamp(0.0, 10.0);
        self.moved_at = now;
        let applied = applied + (target - applied).clamp(-most, most);
        self.applied = Some(applied);
        Some(applied)
    }

    /// Forgets everything: another machine's clock.
    pub fn forget(&mut self) {
        *self = Self::default();
    }

    fn newest(&self) -> Option<(f64, f64)> {
        (self.count > 0).then(|| self.measured[(self.at + KEPT - 1) % KEPT])
    }

    /// What the measurements say of the moment `when`: the newest one, or the line through all by least squares.
    fn line(&self, when: f64) -> Option<f64> {
        let newest = self.newest()?;
        let kept = &self.measured[..self.count];
        let n = self.count as f64;
        // Counted from the newest, so that large times cost no digits.
        let since = |(at, offset): &(f64, f64)| (at - newest.0, offset - newest.1);
        let (t, o) = kept.iter().map(since).fold((0.0, 0.0), |(a, b), (t, o)| (a + t / n, b + o / n));
        let (tt, to) =
            kept.iter().map(since).fold((0.0, 0.0), |(a, b), (x, y)| (a + (x - t).powi(2), b + (x - t) * (y - o)));
        if kept.iter().map(since).fold(0.0, |least: f64, (t, _)| least.min(t)) > -LEAST_SPAN {
            return Some(newest.1);
        }
        let drift = (to / tt).clamp(-SLEW, SLEW);
        Some(newest.1 + o + drift * ((when - newest.0).min(BELIEVED) - t))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_followed_gently_and_a_step_at_once() {
        let mut offset = Offset::default();
        assert_eq!(offset.at(10.0), None);
        assert!(!offset.measured(-3.0, 13.0, 1e-4));
        assert_eq!(offset.at(10.0), Some(-3.0));
        assert!(!offset.measured(-2.998, 12.998, 1e-4));
        let soon = offset.at(11.0).unwrap();
        assert!((soon + 2.999).abs() < 1e-9, "{soon}");
        assert!((offset.at(20.0).unwrap() + 2.998).abs() < 1e-9);
        assert!(!offset.measured(-2.988, 22.988, 0.02), "within what the network can tell");
        assert!(offset.measured(3600.0, -3580.0, 0.02));
        assert_eq!(offset.at(20.0), Some(3600.0));
    }

    #[test]
    fn drift_is_foretold_between_measurements_and_a_measurement_counts_once() {
        let mut offset = Offset::default();
        let truth = |now: f64| 7.0 + 500e-6 * now;
        for i in 0..40 {
            let now = 3.0 * f64::from(i);
            for _ in 0..3 {
                assert!(!offset.measured(truth(now), now - truth(now), 1e-4), "at {now} s");
            }
            offset.at(now);
        }
        for late in [0.0, 1.0, 3.0, 10.0] {
            let at = offset.at(117.0 + late).unwrap();
            assert!((at - truth(117.0 + late)).abs() < 1e-9, "{late} s later: {at}");
        }
        // Silent for long: not believed for ever.
        assert!((offset.at(1117.0).unwrap() - truth(117.0 + BELIEVED)).abs() < 1e-3);
    }
}

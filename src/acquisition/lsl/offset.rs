//! What time is it over there? The offset from a stream's clock to ours, as it is applied.
//!
//! liblsl measures it every few seconds. Small differences are noise and drift: they are followed gently, so that
//! corrected times never run backward. A large one is a step of a clock, taken at once and reported.

/// Differences from here on are steps, not noise.
const STEP: f64 = 0.005;
/// Seconds of correction a second: twice what the worst quartz drifts.
const SLEW: f64 = 1e-3;

/// Seconds to add to a stream's stamps.
#[derive(Clone, Debug, Default)]
pub(super) struct Offset {
    applied: Option<f64>,
    target: f64,
    moved_at: f64,
}

impl Offset {
    /// Takes in a measurement made with a round trip of `uncertainty` seconds; true when the clock has stepped.
    pub(super) fn measured(&mut self, offset: f64, uncertainty: f64) -> bool {
        self.target = offset;
        let Some(applied) = self.applied else {
            self.applied = Some(offset);
            return false;
        };
        let stepped = (offset - applied).abs() > STEP.max(uncertainty);
        if stepped {
            self.applied = Some(offset);
        }
        stepped
    }

    /// The offset to apply now; `None` before the first measurement.
    pub(super) fn at(&mut self, now: f64) -> Option<f64> {
        let applied = self.applied?;
        let most = SLEW * (now - self.moved_at).clamp(0.0, 10.0);
        self.moved_at = now;
        let applied = applied + (self.target - applied).clamp(-most, most);
        self.applied = Some(applied);
        Some(applied)
    }

    /// Forgets everything: another machine's clock.
    pub(super) fn forget(&mut self) {
        *self = Self::default();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn drift_is_followed_gently_and_a_step_at_once() {
        let mut offset = Offset::default();
        assert_eq!(offset.at(10.0), None);
        assert!(!offset.measured(-3.0, 1e-4));
        assert_eq!(offset.at(10.0), Some(-3.0));
        assert!(!offset.measured(-2.998, 1e-4));
        let soon = offset.at(11.0).unwrap();
        assert!((soon + 2.999).abs() < 1e-9, "{soon}");
        assert!((offset.at(20.0).unwrap() + 2.998).abs() < 1e-9);
        assert!(!offset.measured(-2.988, 0.02), "within what the network can tell");
        assert!(offset.measured(3600.0, 0.02));
        assert_eq!(offset.at(20.0), Some(3600.0));
    }
}

//! Do volumes follow one another as the configuration says? Pauses of the scanner, and another TR than is set.

/// How far a step may be from a TR, as a part of it, and in seconds: what headers are rounded to.
const TOLERANCE: (f64, f64) = (0.01, 0.005);
/// A step that is longer than due by this part of a TR may be a pause.
const PAUSE: f64 = 0.5;

/// How a volume follows the one before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// After as many TRs as their numbers say.
    Even,
    /// After a pause.
    Pause,
    /// After another TR, for the second time running or by less than a pause.
    OtherTr,
}

/// The steps of one series, on whatever clock.
pub(super) struct Spacing {
    tr: f64,
    last: Option<(u32, f64)>,
    /// The TR of the step before, where it was another.
    odd: Option<f64>,
    told: bool,
}

impl Spacing {
    pub(super) fn new(tr: f64) -> Self {
        Self { tr, last: None, odd: None, told: false }
    }

    /// A series begins.
    pub(super) fn begin(&mut self) {
        (self.last, self.odd, self.told) = (None, None, false);
    }

    /// Volume `number` began `at` seconds on a clock of its own.
    pub(super) fn step(&mut self, number: u32, at: f64) -> Step {
        let Some((before, since)) = self.last.replace((number, at)) else { return Step::Even };
        let steps = f64::from(number.saturating_sub(before).max(1));
        let tr = (at - since) / steps;
        let alike = |other: f64| (tr - other).abs() * steps <= (TOLERANCE.0 * self.tr * steps).max(TOLERANCE.1);
        if alike(self.tr) {
            self.odd = None;
            return Step::Even;
        }
        let again = self.odd.replace(tr).is_some_and(alike);
        if !again && at - since - steps * self.tr > PAUSE * self.tr {
            return Step::Pause;
        }
        if !std::mem::replace(&mut self.told, true) {
            tracing::warn!(
                measured_s = tr,
                configured_s = self.tr,
                "volumes follow one another by another TR (set `tr`)"
            );
        }
        Step::OtherTr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_is_one_long_step_and_another_tr_is_many() {
        let mut spacing = Spacing::new(2.0);
        let steps = [(1, 0.0), (2, 2.004), (4, 6.0), (5, 13.0), (6, 15.0)].map(|(n, at)| spacing.step(n, at));
        assert_eq!(steps, [Step::Even, Step::Even, Step::Even, Step::Pause, Step::Even]);
        spacing.begin();
        let steps = [1, 2, 3].map(|n| spacing.step(n, f64::from(n) * 2.2));
        assert_eq!(steps, [Step::Even, Step::OtherTr, Step::OtherTr]);
        spacing.begin();
        let steps = [1, 2, 3, 4].map(|n| spacing.step(n, f64::from(n) * 4.0));
        assert_eq!(steps, [Step::Even, Step::Pause, Step::OtherTr, Step::OtherTr], "the first may be a pause");
    }
}

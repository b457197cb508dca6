//! What does a volume's row of nuisances hold? 1, the head's movement, and polynomials of time that grow with the run.

use super::motion::HEAD_RADIUS;
use super::{FmriError, MotionModel, MotionRegressors};
use crate::frame::HeadMotion;

/// The highest order of the drift: half an hour has this one with AFNI's 150 s.
pub(super) const MOST_ORDER: usize = 13;

/// The nuisances of a run, volume by volume: 1; the regressors of a [`MotionModel`], turns in mm on a sphere of 50 mm; and
/// Legendre polynomials of time, of orders 1 to `1 + ⌊d/drift⌋` where the run has lasted `d` seconds, AFNI's rule for
/// `-polort A`.
#[derive(Clone, Debug)]
pub(super) struct NuisanceRegressors {
    model: Option<MotionModel>,
    motion: Option<MotionRegressors>,
    drift: f64,
    /// Seconds from volume to volume.
    period: f64,
}

impl NuisanceRegressors {
    /// So many regressors of motion (0 for none), and an order more for every `drift` seconds (0 for none). `keys` are what
    /// the two are called where they are set.
    ///
    /// # Errors
    /// A number of motion regressors that there is not; a drift out of its range.
    pub fn new(motion: u32, drift: f64, keys: [&'static str; 2]) -> Result<Self, FmriError> {
        let wrong = |key, problem: String| Err(FmriError::Setting { key, problem });
        let model = MotionModel::of(motion);
        if model.is_none() && motion != 0 {
            let problem = format!("{motion} regressors of motion (there are 6, 12 and 24, or 0 for none)");
            return wrong(keys[0], problem);
        }
        if !(drift >= 0.0 && drift.is_finite()) {
            return wrong(keys[1], format!("{drift} is not 0 s or more"));
        }
        Ok(Self { model, motion: model.map(MotionRegressors::new), drift, period: 0.0 })
    }

    /// Of volumes that come every `period` seconds.
    pub fn every(&mut self, period: f64) {
        self.period = period;
    }

    /// Whether there is drift, which needs to know how long a volume lasts.
    pub fn drifts(&self) -> bool {
        self.drift > 0.0
    }

    /// How many regressors motion has.
    pub fn of_motion(&self) -> usize {
        self.model.map_or(0, MotionModel::len)
    }

    /// How many values a row has.
    pub fn columns(&self) -> usize {
        1 + self.of_motion() + if self.drifts() { MOST_ORDER } else { 0 }
    }

    /// How many of them count at volume `number` of the run: the first ones.
    pub fn used(&self, number: u64) -> usize {
        if !self.drifts() {
            return 1 + self.of_motion();
        }
        // TRs have no exact binary form: 75 of 2 s are 150 s.
        let length = (number + 1) as f64 * self.period * (1.0 + 1e-12);
        1 + self.of_motion() + (1 + (length / self.drift) as usize).min(MOST_ORDER)
    }

    /// Fills the row of volume `number`; false where motion is wanted and not known, and stays as it was.
    pub fn fill(&mut self, number: u64, motion: Option<HeadMotion>, row: &mut [f64]) -> bool {
        let columns = self.of_motion();
        let Some((constant, rest)) = row.split_first_mut() else { return false };
        *constant = 1.0;
        let (of_motion, of_drift) = rest.split_at_mut(columns.min(rest.len()));
        if let (Some(regressors), Some(motion)) = (&mut self.motion, motion) {
            let [x, y, z, turns @ ..] = motion.parameters;
            let [pitch, roll, yaw] = turns.map(|turn| HEAD_RADIUS * turn);
            regressors.observe([x, y, z, pitch, roll, yaw], of_motion);
        }
        if !of_drift.is_empty() {
            let whole = MOST_ORDER as f64 * self.drift;
            legendre(2.0 * number as f64 * self.period / whole - 1.0, of_drift);
        }
        self.motion.is_none() || motion.is_some()
    }

    /// The next volume is a run's first.
    pub fn reset(&mut self) {
        self.motion.iter_mut().for_each(MotionRegressors::reset);
    }
}

/// P₁(s), P₂(s), … by their recurrence.
fn legendre(s: f64, out: &mut [f64]) {
    let (mut before, mut now) = (1.0, s);
    for (n, out) in (1..).zip(out) {
        *out = now;
        let n = f64::from(n);
        (before, now) = (now, ((2.0 * n + 1.0) * s * now - n * before) / (n + 1.0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_order_grows_as_afnis_does_and_polynomials_are_legendres() {
        let mut none = NuisanceRegressors::new(0, 150.0, ["motion", "drift"]).expect("regressors");
        none.every(2.0);
        assert_eq!([0, 73, 74, 149, 900, 9000].map(|number| none.used(number) - 1), [1, 1, 2, 3, 13, 13]);
        let mut row = [0.0; 4];
        legendre(0.3, &mut row);
        let expected = [0.3, 0.5 * (3.0 * 0.09 - 1.0), 0.5 * (5.0 * 0.027 - 0.9), (35.0 * 0.0081 - 2.7 + 3.0) / 8.0];
        assert!(row.iter().zip(expected).all(|(a, b)| (a - b).abs() < 1e-15), "{row:?} against {expected:?}");
    }
}

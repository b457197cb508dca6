//! How much did the head move, and what does that do to the signal? Numbers that come with every volume.
//!
//! Each of these sees a volume once, in order, and knows none that comes later.

use super::Rigid;

/// The radius of the sphere on which a turn is measured, in mm.
pub(super) const HEAD_RADIUS: f64 = 50.0;

/// Framewise displacement: `|Δx| + |Δy| + |Δz| + r (|Δpitch| + |Δroll| + |Δyaw|)` between neighbouring volumes, in mm.
///
/// Source: Power et al. (2012), *Spurious but systematic correlations in functional connectivity MRI networks arise from
/// subject motion*, NeuroImage 59:2142–2154; `r` is 50 mm.
///
/// ```
/// use neurod::fmri::Displacement;
///
/// let mut moved = Displacement::default();
/// assert_eq!(moved.observe([0.0; 6]), None);
/// let d = moved.observe([0.1, -0.2, 0.0, 0.002, 0.0, 0.0]);
/// assert!((d.unwrap() - 0.4).abs() < 1e-12);
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub struct Displacement {
    last: Option<[f64; 6]>,
}

impl Displacement {
    /// How far this volume lies from the one before; `None` for a run's first.
    pub fn observe(&mut self, parameters: [f64; 6]) -> Option<f64> {
        let last = self.last.replace(parameters)?;
        let [x, y, z, pitch, roll, yaw]: [f64; 6] = std::array::from_fn(|i| (parameters[i] - last[i]).abs());
        Some(x + y + z + HEAD_RADIUS * (pitch + roll + yaw))
    }

    /// The next volume is a run's first.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

/// Which volumes motion spoils: those that moved further than a limit, and so many after each. What came before it has
/// been sent already, so it is not marked.
#[derive(Clone, Copy, Debug)]
pub struct Censor {
    limit: f64,
    after: u32,
    left: u32,
}

impl Censor {
    /// Marks volumes displaced by more than `limit` mm, and the `after` volumes that follow each.
    pub fn new(limit: f64, after: u32) -> Self {
        Self { limit, after, left: 0 }
    }

    /// Whether a volume of this displacement is spoilt; one that is not known (NaN) is.
    pub fn observe(&mut self, displacement: Option<f64>) -> bool {
        let moved = displacement.is_some_and(|d| d.is_nan() || d > self.limit);
        let spoilt = moved || self.left > 0;
        self.left = if moved { self.after } else { self.left.saturating_sub(1) };
        spoilt
    }

    /// The next volume is a run's first.
    pub fn reset(&mut self) {
        self.left = 0;
    }
}

/// How many regressors stand for motion.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MotionModel {
    /// The six parameters.
    Six,
    /// And their change since the volume before.
    Twelve,
    /// The six, those of the volume before, and the squares of both: Friston et al. (1996), *Movement-related effects in
    /// fMRI time-series*, Magn. Reson. Med. 35:346–355.
    TwentyFour,
}

impl MotionModel {
    /// The one of so many values; `None` where there is none.
    pub const fn of(values: u32) -> Option<Self> {
        match values {
            6 => Some(Self::Six),
            12 => Some(Self::Twelve),
            24 => Some(Self::TwentyFour),
            _ => None,
        }
    }

    /// How many values a volume has.
    pub const fn len(self) -> usize {
        match self {
            Self::Six => 6,
            Self::Twelve => 12,
            Self::TwentyFour => 24,
        }
    }

    /// Never true.
    pub const fn is_empty(self) -> bool {
        false
    }

    /// The name of each value, as fMRIPrep has it: `trans_x`, `rot_z_derivative1`, `trans_y_lag1_power2`.
    pub fn names(self) -> Vec<String> {
        let with = |suffix: &str| Rigid::NAMES.map(|name| format!("{name}{suffix}"));
        let all: &[&str] = match self {
            Self::Six => &[""],
            Self::Twelve => &["", "_derivative1"],
            Self::TwentyFour => &["", "_lag1", "_power2", "_lag1_power2"],
        };
        all.iter().flat_map(|suffix| with(suffix)).collect()
    }
}

/// The regressors of a [`MotionModel`], volume by volume. Before a run's first volume, the head lay as in it.
#[derive(Clone, Copy, Debug)]
pub struct MotionRegressors {
    model: MotionModel,
    last: Option<[f64; 6]>,
}

impl MotionRegressors {
    /// At the start of a run.
    pub fn new(model: MotionModel) -> Self {
        Self { model, last: None }
    }

    /// Writes the values of a volume into `out`, as many as fit.
    pub fn observe(&mut self, now: [f64; 6], out: &mut [f64]) {
        let last = self.last.replace(now).unwrap_or(now);
        let changes: [f64; 6] = std::array::from_fn(|i| now[i] - last[i]);
        let squares = |v: [f64; 6]| v.map(|x| x * x);
        let all = match self.model {
            MotionModel::Six | MotionModel::Twelve => [now, changes, [0.0; 6], [0.0; 6]],
            MotionModel::TwentyFour => [now, last, squares(now), squares(last)],
        };
        for (out, value) in out.iter_mut().zip(all.as_flattened().iter().take(self.model.len())) {
            *out = *value;
        }
    }

    /// The next volume is a run's first.
    pub fn reset(&mut self) {
        self.last = None;
    }
}

/// DVARS, the root mean square over regions or voxels of the change since the volume before, and tSNR, each one's mean
/// over its deviation in the run so far.
///
/// Sources: Power et al. (2012); Welford (1962), *Note on a method for calculating corrected sums of squares and
/// products*, Technometrics 4:419–420. A value that is not finite is left out of both.
#[derive(Clone, Debug)]
pub struct SignalQuality {
    last: Vec<f64>,
    /// Per region: count, mean, sum of squared deviations.
    spread: Vec<[f64; 3]>,
    /// Room to look for the median in.
    sorted: Vec<f64>,
    seen: bool,
}

impl SignalQuality {
    /// Of so many regions or voxels, at the start of a run.
    pub fn new(regions: usize) -> Self {
        let (last, spread) = (vec![f64::NAN; regions], vec![[0.0; 3]; regions]);
        Self { last, spread, sorted: Vec::with_capacity(regions), seen: false }
    }

    /// The DVARS of a volume, in its own unit; `None` for a run's first. Does not allocate.
    pub fn observe(&mut self, values: &[f64]) -> Option<f64> {
        let (mut squares, mut count) = (0.0, 0usize);
        for ((value, last), [n, mean, spread]) in values.iter().zip(&mut self.last).zip(&mut self.spread) {
            let change = value - *last;
            if change.is_finite() {
                squares += change * change;
                count += 1;
            }
            *last = *value;
            if value.is_finite() {
                *n += 1.0;
                let from = value - *mean;
                *mean += from / *n;
                *spread += from * (value - *mean);
            }
        }
        let first = !std::mem::replace(&mut self.seen, true);
        if first { None } else { Some((squares / count as f64).sqrt()) }
    }

    /// Volumes are missing: the change of the next one is not known.
    pub fn interrupt(&mut self) {
        self.last.fill(f64::NAN);
    }

    /// The tSNR of a region so far, its deviation over n; NaN where it has not varied.
    pub fn tsnr(&self, region: usize) -> f64 {
        match self.spread.get(region) {
            Some([n, mean, spread]) if *spread > 0.0 => mean / (spread / n).sqrt(),
            _ => f64::NAN,
        }
    }

    /// The tSNR of the median region of those that have varied; NaN while none has. Does not allocate.
    pub fn median_tsnr(&mut self) -> f64 {
        let mut sorted = std::mem::take(&mut self.sorted);
        sorted.clear();
        sorted.extend((0..self.spread.len()).map(|region| self.tsnr(region)).filter(|t| t.is_finite()));
        let middle = sorted.len() / 2;
        let median =
            if sorted.is_empty() { f64::NAN } else { *sorted.select_nth_unstable_by(middle, f64::total_cmp).1 };
        self.sorted = sorted;
        median
    }

    /// The next volume is a run's first. Does not allocate.
    pub fn reset(&mut self) {
        self.last.fill(f64::NAN);
        self.spread.fill([0.0; 3]);
        self.seen = false;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn golden() -> Value {
        serde_json::from_str(include_str!("../../tests/golden/motion.json")).expect("the golden file")
    }

    fn rows(value: &Value) -> Vec<Vec<f64>> {
        let list = |v: &Value| v.as_array().expect("a list").clone();
        list(value).iter().map(|row| list(row).iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()).collect()
    }

    fn near(a: f64, b: f64) -> bool {
        (a - b).abs() <= 1e-9 * (1.0 + b.abs()) || (a.is_nan() && b.is_nan())
    }

    #[test]
    fn displacement_and_regressors_equal_the_reference() {
        let golden = golden();
        let parameters: Vec<[f64; 6]> =
            rows(&golden["parameters"]).into_iter().map(|r| r.try_into().expect("six")).collect();
        let displacements = &rows(&golden["displacement"])[0];
        let mut moved = Displacement::default();
        for _ in 0..2 {
            for (p, expected) in parameters.iter().zip(displacements) {
                assert!(near(moved.observe(*p).unwrap_or(f64::NAN), *expected));
            }
            moved.reset();
        }
        for (model, key) in
            [(MotionModel::Six, "six"), (MotionModel::Twelve, "twelve"), (MotionModel::TwentyFour, "twenty_four")]
        {
            let mut regressors = MotionRegressors::new(model);
            let mut out = vec![0.0; model.len()];
            for _ in 0..2 {
                for (p, expected) in parameters.iter().zip(rows(&golden[key])) {
                    regressors.observe(*p, &mut out);
                    assert!(
                        out.len() == expected.len() && out.iter().zip(&expected).all(|(a, b)| near(*a, *b)),
                        "{key}"
                    );
                }
                regressors.reset();
            }
            assert_eq!(model.names().len(), model.len());
        }
        assert_eq!(MotionModel::TwentyFour.names()[21], "rot_x_lag1_power2");
    }

    #[test]
    fn dvars_and_tsnr_equal_the_reference_with_values_missing() {
        let golden = golden();
        let (values, dvars, tsnr) = (rows(&golden["values"]), &rows(&golden["dvars"])[0], rows(&golden["tsnr"]));
        let mut quality = SignalQuality::new(values[0].len());
        for _ in 0..2 {
            for ((row, dvars), tsnr) in values.iter().zip(dvars).zip(&tsnr) {
                assert!(near(quality.observe(row).unwrap_or(f64::NAN), *dvars));
                for (region, expected) in tsnr.iter().enumerate() {
                    assert!(near(quality.tsnr(region), *expected), "{} against {expected}", quality.tsnr(region));
                }
            }
            quality.reset();
        }
        assert!(quality.tsnr(99).is_nan() && quality.median_tsnr().is_nan());
        for row in &values {
            quality.observe(row);
        }
        let mut last: Vec<f64> = tsnr.last().into_iter().flatten().copied().filter(|t| t.is_finite()).collect();
        last.sort_by(f64::total_cmp);
        assert!(near(quality.median_tsnr(), last[last.len() / 2]) && last.len() == 6);
    }

    #[test]
    fn what_moved_is_marked_with_what_follows_and_never_what_came_before() {
        let mut censor = Censor::new(0.5, 2);
        let moved = [None, Some(0.1), Some(0.6), Some(0.2), Some(0.2), Some(0.2), Some(f64::NAN), Some(0.5)];
        let marked: Vec<bool> = moved.into_iter().map(|d| censor.observe(d)).collect();
        assert_eq!(marked, [false, false, true, true, true, false, true, true]);
        censor.reset();
        assert!(!censor.observe(None));
    }
}

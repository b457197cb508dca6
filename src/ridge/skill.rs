//! How good are the predictions? Scored against what came, before it is learned from: prequential skill.
//!
//! Per target: Pearson R and mean absolute error, over everything since the start and over the last `window` volumes.
//! A pair with a half that is not finite, or beyond ±10¹², is left out. Over targets: 2V2, the fraction of pairs of volumes whose predictions lie
//! closer to their own than to each other's values (Mitchell et al. 2008, with squared distance, each volume against the
//! oldest in the window).

use serde::{Deserialize, Serialize};

use super::state::{Reader, StateError, Writer};
use super::usable;

/// Over what skill is measured.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SkillConfig {
    /// Volumes in the moving window; 100. At least 4.
    pub window: usize,
}

impl Default for SkillConfig {
    fn default() -> Self {
        Self { window: 100 }
    }
}

/// Fewest pairs for a correlation to be given; below it R is 0.
const FEWEST: f64 = 4.0;

/// What R and MAE of every target follow from: sums over pairs (prediction, target), centred or not.
#[derive(Clone, Debug)]
struct Sums {
    n: Vec<f64>,
    /// Sums, or where `centred` means.
    p: Vec<f64>,
    y: Vec<f64>,
    /// Sums of squares and products, where `centred` of the deviations from the means.
    pp: Vec<f64>,
    yy: Vec<f64>,
    py: Vec<f64>,
    error: Vec<f64>,
    centred: bool,
}

impl Sums {
    fn new(targets: usize, centred: bool) -> Self {
        let zero = || vec![0.0; targets];
        Self { n: zero(), p: zero(), y: zero(), pp: zero(), yy: zero(), py: zero(), error: zero(), centred }
    }

    /// Adds one pair per target to centred sums (Welford); where `counts` is NaN there is none.
    fn grow(&mut self, p: &[f64], y: &[f64], counts: &[f32]) {
        for i in (0..self.n.len()).filter(|i| !counts[*i].is_nan()) {
            self.n[i] += 1.0;
            let (dp, dy) = (p[i] - self.p[i], y[i] - self.y[i]);
            self.p[i] += dp / self.n[i];
            self.y[i] += dy / self.n[i];
            self.pp[i] += dp * (p[i] - self.p[i]);
            self.yy[i] += dy * (y[i] - self.y[i]);
            self.py[i] += dp * (y[i] - self.y[i]);
            self.error[i] += (p[i] - y[i]).abs();
        }
    }

    /// Adds (`sign` = 1) or takes back (−1) one pair per target of plain sums; NaN marks a pair that does not count.
    fn add(&mut self, p: &[f32], y: &[f32], sign: f64) {
        (0..self.n.len()).for_each(|i| self.add_to(i, p[i], y[i], sign));
    }

    fn add_to(&mut self, i: usize, p: f32, y: f32, sign: f64) {
        let (a, b, counts) = if p.is_nan() { (0.0, 0.0, 0.0) } else { (f64::from(p), f64::from(y), sign) };
        self.n[i] += counts;
        self.p[i] += sign * a;
        self.y[i] += sign * b;
        self.pp[i] += sign * a * a;
        self.yy[i] += sign * b * b;
        self.py[i] += sign * a * b;
        self.error[i] += sign * (a - b).abs();
    }

    fn r(&self, i: usize) -> f64 {
        let n = self.n[i];
        if n < FEWEST {
            return 0.0;
        }
        let mean_product = |a: f64, b: f64| if self.centred { 0.0 } else { a * b / n };
        let pp = self.pp[i] - mean_product(self.p[i], self.p[i]);
        let yy = self.yy[i] - mean_product(self.y[i], self.y[i]);
        let py = self.py[i] - mean_product(self.p[i], self.y[i]);
        // What is left of a constant after rounding is not variance.
        if pp <= 1e-12 * self.pp[i] || yy <= 1e-12 * self.yy[i] || pp.sqrt() * yy.sqrt() <= 1e-12 {
            return 0.0;
        }
        let r = py / (pp.sqrt() * yy.sqrt());
        if r.is_finite() { r.clamp(-1.0, 1.0) } else { 0.0 }
    }

    fn mae(&self, i: usize) -> f64 {
        if self.n[i] > 0.0 { self.error[i] / self.n[i] } else { 0.0 }
    }

    fn fields(&self) -> [&Vec<f64>; 7] {
        [&self.n, &self.p, &self.y, &self.pp, &self.yy, &self.py, &self.error]
    }

    fn fields_mut(&mut self) -> [&mut Vec<f64>; 7] {
        [&mut self.n, &mut self.p, &mut self.y, &mut self.pp, &mut self.yy, &mut self.py, &mut self.error]
    }
}

/// The skill of a predictor of V targets.
///
/// ```
/// let mut skill = neurod::ridge::Skill::new(1, 10);
/// for t in 0..20 {
///     let y = (t as f64).sin();
///     skill.score(&[0.5 * y], &[y]);
/// }
/// assert!(skill.r(0) > 0.999 && skill.mae() > 0.0);
/// ```
#[derive(Clone, Debug)]
pub struct Skill {
    targets: usize,
    window: usize,
    scored: u64,
    all: Sums,
    recent: Sums,
    /// What the window's values are told from, so that single precision is enough for them: each target's median of
    /// about a window ago, which one absurd value does not move; NaN before the first.
    offset: Vec<f64>,
    /// The window's predictions and targets less that, window×V; NaN both where one was not usable.
    ring_p: Vec<f32>,
    ring_y: Vec<f32>,
    /// One target's values in the window, to be sorted.
    column: Vec<f32>,
    wins: Vec<f32>,
    at: usize,
    kept: usize,
}

impl Skill {
    /// Nothing scored yet; the moving window holds `window` volumes.
    pub fn new(targets: usize, window: usize) -> Self {
        let window = window.max(1);
        Self {
            targets,
            window,
            scored: 0,
            all: Sums::new(targets, true),
            recent: Sums::new(targets, false),
            offset: vec![f64::NAN; targets],
            ring_p: vec![f32::NAN; targets * window],
            ring_y: vec![f32::NAN; targets * window],
            column: Vec::with_capacity(window),
            wins: vec![f32::NAN; window],
            at: 0,
            kept: 0,
        }
    }

    /// Scores one prediction (V), made before `target` (V) was known. Non-finite values are left out. Does not allocate.
    pub fn score(&mut self, prediction: &[f64], target: &[f64]) {
        let slot = self.at * self.targets..(self.at + 1) * self.targets;
        self.recent.add(&self.ring_p[slot.clone()], &self.ring_y[slot.clone()], -1.0);
        let rings = self.ring_p[slot.clone()].iter_mut().zip(&mut self.ring_y[slot.clone()]);
        for ((offset, (p, y)), (prediction, target)) in
            self.offset.iter_mut().zip(rings).zip(prediction.iter().zip(target))
        {
            (*p, *y) = (f32::NAN, f32::NAN);
            if usable(*prediction) && usable(*target) {
                if offset.is_nan() {
                    *offset = *target;
                }
                (*p, *y) = ((prediction - *offset) as f32, (target - *offset) as f32);
            }
        }
        let (p, y) = (&self.ring_p[slot.clone()], &self.ring_y[slot]);
        self.all.grow(prediction, target, p);
        self.recent.add(p, y, 1.0);
        self.kept = (self.kept + 1).min(self.window);
        self.scored += 1;
        self.wins[self.at] = self.contest();
        self.renew();
        self.at = (self.at + 1) % self.window;
    }

    /// Sums that only ever gain and lose would collect rounding errors, so each is made anew once a window: of some targets
    /// with every volume, so that every volume costs the same.
    fn renew(&mut self) {
        let share = self.targets.div_ceil(self.window);
        for i in (self.at * share).min(self.targets)..((self.at + 1) * share).min(self.targets) {
            let (rings, targets) = (self.ring_y.len(), self.targets);
            let column = || (i..rings).step_by(targets);
            self.column.clear();
            self.column.extend(column().map(|at| self.ring_y[at]).filter(|y| !y.is_nan()));
            let middle = self.column.len() / 2;
            let shift = match self.column.is_empty() {
                true => 0.0,
                false => f64::from(*self.column.select_nth_unstable_by(middle, f32::total_cmp).1),
            };
            self.offset[i] += shift;
            self.recent.fields_mut().into_iter().for_each(|field| field[i] = 0.0);
            for at in column() {
                let less = |value: f32| (f64::from(value) - shift) as f32;
                (self.ring_p[at], self.ring_y[at]) = (less(self.ring_p[at]), less(self.ring_y[at]));
                self.recent.add_to(i, self.ring_p[at], self.ring_y[at], 1.0);
            }
        }
    }

    /// Whether the present volume and the oldest in the window are told apart: 1 or 0, NaN when there is no telling.
    fn contest(&self) -> f32 {
        let oldest = if self.kept < self.window { 0 } else { (self.at + 1) % self.window };
        if oldest == self.at {
            return f32::NAN;
        }
        let volume = |ring: &[f32], at: usize, i: usize| f64::from(ring[at * self.targets + i]);
        // |p−y|² + |p'−y'|² < |p−y'|² + |p'−y|² is (p − p')·(y − y') > 0.
        let product: f64 = (0..self.targets)
            .map(|i| {
                let apart = |ring: &[f32]| volume(ring, self.at, i) - volume(ring, oldest, i);
                apart(&self.ring_p) * apart(&self.ring_y)
            })
            .filter(|v| v.is_finite())
            .sum();
        if product == 0.0 { f32::NAN } else { f32::from(u8::from(product > 0.0)) }
    }

    /// How many volumes were scored.
    pub fn scored(&self) -> u64 {
        self.scored
    }

    /// How many targets.
    pub fn targets(&self) -> usize {
        self.targets
    }

    /// Pearson R of target `i` over everything; 0 for a constant column or fewer than 4 pairs.
    pub fn r(&self, i: usize) -> f64 {
        self.all.r(i)
    }

    /// The same over the window.
    pub fn window_r(&self, i: usize) -> f64 {
        self.recent.r(i)
    }

    /// Mean absolute error of target `i` over everything.
    pub fn mae_of(&self, i: usize) -> f64 {
        self.all.mae(i)
    }

    /// The same over the window.
    pub fn window_mae_of(&self, i: usize) -> f64 {
        self.recent.mae(i)
    }

    fn mean(&self, value: impl Fn(usize) -> f64) -> f64 {
        (0..self.targets).map(value).sum::<f64>() / self.targets.max(1) as f64
    }

    /// Mean R over all targets.
    pub fn r_mean(&self) -> f64 {
        self.mean(|i| self.r(i))
    }

    /// The greatest R of any target.
    pub fn r_max(&self) -> f64 {
        (0..self.targets).map(|i| self.r(i)).fold(f64::NEG_INFINITY, f64::max)
    }

    /// Mean R over all targets, over the window.
    pub fn window_r_mean(&self) -> f64 {
        self.mean(|i| self.window_r(i))
    }

    /// Mean absolute error over all targets and volumes.
    pub fn mae(&self) -> f64 {
        self.mean(|i| self.mae_of(i))
    }

    /// The same over the window.
    pub fn window_mae(&self) -> f64 {
        self.mean(|i| self.window_mae_of(i))
    }

    /// 2V2 accuracy over the window, chance 0.5; `None` until two volumes that differ were scored.
    pub fn two_v_two(&self) -> Option<f64> {
        let (mut wins, mut contests) = (0.0, 0.0);
        for win in self.wins.iter().filter(|win| !win.is_nan()) {
            wins += f64::from(*win);
            contests += 1.0;
        }
        (contests > 0.0).then(|| wins / contests)
    }

    /// Whether the window is full.
    pub fn window_is_full(&self) -> bool {
        self.kept == self.window
    }

    /// Writes R of every target over the window (or everything, while the window is not full) into `out`, V values.
    pub fn r_into(&self, out: &mut [f32]) {
        let of = if self.window_is_full() { &self.recent } else { &self.all };
        out.iter_mut().enumerate().for_each(|(i, out)| *out = of.r(i) as f32);
    }

    /// Forgets every score, as when new.
    pub fn reset(&mut self) {
        *self = Self::new(self.targets, self.window);
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.usize(self.targets);
        to.usize(self.window);
        to.u64(self.scored);
        to.usize(self.at);
        to.usize(self.kept);
        for sums in [&self.all, &self.recent] {
            sums.fields().into_iter().for_each(|field| to.f64s(field));
        }
        to.f64s(&self.offset);
        to.f32s(&self.ring_p);
        to.f32s(&self.ring_y);
        to.f32s(&self.wins);
    }

    pub(super) fn load(targets: usize, window: usize, from: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut out = Self::new(targets, window);
        from.exactly(targets, "targets of the skill")?;
        from.exactly(out.window, "skill window")?;
        out.scored = from.u64()?;
        out.at = from.index(out.window, "place in the skill window")?;
        out.kept = from.index(out.window + 1, "volumes in the skill window")?;
        for sums in [&mut out.all, &mut out.recent] {
            sums.fields_mut().into_iter().try_for_each(|field| from.f64s(field))?;
        }
        from.f64s(&mut out.offset)?;
        from.f32s(&mut out.ring_p)?;
        from.f32s(&mut out.ring_y)?;
        from.f32s(&mut out.wins)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Column-wise Pearson r, 0 where a column is constant: the oracle's definition.
    fn pearson(pairs: &[(f64, f64)]) -> f64 {
        let n = pairs.len() as f64;
        let (a, b) = (pairs.iter().map(|p| p.0).sum::<f64>() / n, pairs.iter().map(|p| p.1).sum::<f64>() / n);
        let sum = |f: &dyn Fn(&(f64, f64)) -> f64| pairs.iter().map(f).sum::<f64>();
        let den = (sum(&|p| (p.0 - a).powi(2)) * sum(&|p| (p.1 - b).powi(2))).sqrt();
        if den > 1e-12 { sum(&|p| (p.0 - a) * (p.1 - b)) / den } else { 0.0 }
    }

    fn pair(t: usize, i: usize) -> (f64, f64) {
        let p = (t as f64 * (0.37 + i as f64)).sin() + 1e4 * i as f64;
        (p, p + 0.7 * ((t * t) as f64 * 0.11).cos() + 3.0)
    }

    #[test]
    fn it_is_the_plain_correlation_over_everything_and_over_the_window() {
        let mut skill = Skill::new(3, 20);
        for t in 0..95 {
            let (a, b) = (pair(t, 0), pair(t, 1));
            let y2 = if t % 3 == 0 { f64::NAN } else { 5.0 };
            skill.score(&[a.0, b.0, t as f64], &[a.1, b.1, y2]);
        }
        for i in 0..2 {
            let of = |range: std::ops::Range<usize>| range.map(|t| pair(t, i)).collect::<Vec<_>>();
            assert!((skill.r(i) - pearson(&of(0..95))).abs() < 1e-12);
            assert!((skill.window_r(i) - pearson(&of(75..95))).abs() < 1e-6);
            let mae = of(0..95).iter().map(|p| (p.0 - p.1).abs()).sum::<f64>() / 95.0;
            assert!((skill.mae_of(i) - mae).abs() < 1e-9);
        }
        assert_eq!((skill.r(2), skill.window_r(2)), (0.0, 0.0), "a constant region has no correlation");
        assert!(skill.mae().is_finite() && skill.r_mean().is_finite());
    }

    #[test]
    fn two_v_two_tells_a_good_predictor_from_a_bad_one() {
        let run = |sign: f64| {
            let mut skill = Skill::new(8, 30);
            assert_eq!(skill.two_v_two(), None);
            for t in 0..90 {
                let y: Vec<f64> = (0..8).map(|i| ((t * (i + 2)) as f64 * 0.7).sin()).collect();
                let p: Vec<f64> = y.iter().map(|y| sign * y).collect();
                skill.score(&p, &y);
            }
            skill.two_v_two().unwrap()
        };
        assert_eq!((run(1.0), run(-1.0)), (1.0, 0.0));
    }

    #[test]
    fn no_value_poisons_it() {
        let mut skill = Skill::new(1, 5);
        for t in 0..40 {
            let y = match t {
                3 => f64::NAN,
                4 => f64::INFINITY,
                5 => 1e300,
                6 => -9e11,
                _ => (t as f64).sin(),
            };
            skill.score(&[(t as f64).sin() * 0.5], &[y]);
            assert!(skill.r(0).is_finite() && skill.window_mae().is_finite());
        }
        // The giant at 6 is a value like any other to Pearson's R over everything; the window has left it behind.
        assert!(skill.window_r(0) > 0.999, "{}", skill.window_r(0));
    }
}

//! How does one more sample change the weights? By the centred recursion: exact, without solving anything anew.
//!
//! With `d = x − x̄`, `g = n/(n+1)`, `p = P d`: `k = p/(1/g + dᵀp)`, `e = y − ȳ − Wᵀd`, `W += k eᵀ`, `P −= k pᵀ`, then the
//! means move (recursive least squares, Plackett 1950, with the running mean as an exact rank-one term). `P` begins as
//! `I/λ`. After any number of samples the weights are those of batch ridge with an unpenalised intercept on the same
//! rows. Targets that share a λ share `P`: one group each. Cost: 4F² + 4FV flops a group.

use std::borrow::Borrow;

use super::augmented::Augmented;
use super::moments::Moments;
use super::state::{Reader, StateError, Writer};
use crate::linalg;

/// The regions that share one λ, with their `[P | W]`.
#[derive(Clone, Debug)]
pub(super) struct Group {
    pub lambda: f64,
    pub columns: Vec<usize>,
    joint: Augmented,
    /// `[p | Wᵀd]` of the sample last evaluated.
    product: Vec<f64>,
}

impl Group {
    fn new(features: usize, lambda: f64, columns: Vec<usize>, joint: Augmented) -> Self {
        let product = vec![0.0; features + columns.len()];
        Self { lambda, columns, joint, product }
    }

    /// The exact solution for these columns of what `parts` hold together, a block of them at a time: nothing as large as the
    /// weights is made beside them. Calls `met` with each block's columns and moments.
    fn solve<M: Borrow<Moments>>(
        parts: &[M],
        lambda: f64,
        columns: Vec<usize>,
        mut met: impl FnMut(&[usize], &Moments),
    ) -> Option<Self> {
        let features = parts.first()?.borrow().mean_x().len();
        let mut joint = Augmented::zero(features, columns.len());
        let mut first = 0;
        for block in columns.chunks(block_width(features)) {
            let picked = parts.iter().map(|part| part.borrow().pick(block));
            let total = Moments::total(features, block.len(), picked);
            let (g, c) = total.gram_and_cross();
            let (p, w) = linalg::ridge(&g, &c, lambda, features, block.len()).ok()?;
            if first == 0 {
                joint.put_left(&p);
            }
            joint.put_right(first, block.len(), &w);
            met(block, &total);
            first += block.len();
        }
        Some(Self::new(features, lambda, columns, joint))
    }

    /// Of the weights of all targets (row-major) these columns, beside `P`, or beside zero where nothing will be learned.
    fn of_weights(p: Option<&[f64]>, weights: &[f64], targets: usize, lambda: f64, columns: Vec<usize>) -> Self {
        let rows = weights.chunks_exact(targets.max(1));
        let features = rows.len();
        let own: Vec<f64> = rows.flat_map(|row| columns.iter().map(|v| row[*v])).collect();
        let mut joint = Augmented::zero(features, columns.len());
        if let Some(p) = p {
            joint.put_left(p);
        }
        joint.put_right(0, columns.len(), &own);
        Self::new(features, lambda, columns, joint)
    }

    /// Calls `each` with every row of `W`, of these columns.
    fn weights(&self, each: impl FnMut(&[f64])) {
        self.joint.right_rows(each);
    }

    /// `P`, row-major F×F.
    pub fn inverse(&self) -> Vec<f64> {
        self.joint.dense().0
    }
}

/// Recursive ridge with running centring: F features, V targets, f64.
///
/// ```
/// use neurod::ridge::Rls;
///
/// let mut ridge = Rls::new(1, 1, 1e-9);
/// for x in [0.0, 1.0, 2.0] {
///     ridge.evaluate(&[x]);
///     ridge.learn(&mut [3.0 * x + 5.0]);
/// }
/// assert!((ridge.evaluate(&[10.0])[0] - 35.0).abs() < 1e-6);
/// ```
#[derive(Clone, Debug)]
pub struct Rls {
    n: f64,
    mean_x: Vec<f64>,
    mean_y: Vec<f64>,
    pub(super) groups: Vec<Group>,
    d: Vec<f64>,
    /// Whether `prediction` and the groups' products are those of `d` and of the weights as they are.
    evaluated: bool,
    prediction: Vec<f64>,
    left: Vec<f64>,
    right: Vec<f64>,
}

impl Rls {
    /// Of no sample yet; every target with the same λ > 0.
    pub fn new(features: usize, targets: usize, lambda: f64) -> Self {
        Self::with_lambdas(features, &vec![lambda; targets])
    }

    /// Of no sample yet; one λ > 0 a target. Targets of one λ share the work.
    pub fn with_lambdas(features: usize, lambdas: &[f64]) -> Self {
        let groups = group_by(lambdas)
            .into_iter()
            .map(|(lambda, columns)| {
                let mut p = vec![0.0; features * features];
                p.iter_mut().step_by(features + 1).for_each(|v| *v = 1.0 / lambda);
                let w = vec![0.0; features * columns.len()];
                let joint = Augmented::from_dense(features, columns.len(), &p, &w);
                Group::new(features, lambda, columns, joint)
            })
            .collect();
        Self::assemble(features, lambdas.len(), groups)
    }

    fn assemble(features: usize, targets: usize, groups: Vec<Group>) -> Self {
        Self {
            n: 0.0,
            mean_x: vec![0.0; features],
            mean_y: vec![0.0; targets],
            groups,
            d: vec![0.0; features],
            evaluated: false,
            prediction: vec![0.0; targets],
            left: vec![0.0; features],
            right: vec![0.0; features + targets],
        }
    }

    /// The exact solution for what `parts` (one or more, of one shape) hold together, with one λ a target; `None` where they
    /// are not finite, or there are none.
    pub fn solve<M: Borrow<Moments>>(parts: &[M], lambdas: &[f64]) -> Option<Self> {
        let mut out = Self::assemble(parts.first()?.borrow().mean_x().len(), lambdas.len(), Vec::new());
        for (lambda, columns) in group_by(lambdas) {
            let group = Group::solve(parts, lambda, columns, |block, total| {
                out.n = total.n();
                out.mean_x.copy_from_slice(total.mean_x());
                block.iter().zip(total.mean_y()).for_each(|(v, mean)| out.mean_y[*v] = *mean);
            })?;
            out.groups.push(group);
        }
        Some(out)
    }

    /// These weights (row-major F×V) as `moments` made them with one λ a target, to be learned on from: only `P` is solved
    /// for. `None` where the moments are not finite.
    pub(super) fn of_weights(moments: &Moments, lambdas: &[f64], weights: &[f64]) -> Option<Self> {
        let (g, _) = moments.gram_and_cross();
        let (features, targets) = (moments.mean_x().len(), lambdas.len());
        let mut out = Self::assemble(features, targets, Vec::new());
        for (lambda, columns) in group_by(lambdas) {
            let (p, _) = linalg::ridge(&g, &vec![0.0; features], lambda, features, 1).ok()?;
            out.groups.push(Group::of_weights(Some(&p), weights, targets, lambda, columns));
        }
        out.n = moments.n();
        out.mean_x.copy_from_slice(moments.mean_x());
        out.mean_y.copy_from_slice(moments.mean_y());
        Some(out)
    }

    /// These weights (row-major F×V) and intercepts (V) of `n` samples, to predict with and never to learn on from.
    pub(super) fn fixed(n: f64, lambdas: &[f64], weights: &[f64], intercepts: &[f64]) -> Self {
        let targets = intercepts.len();
        let features = weights.len().checked_div(targets).unwrap_or(0);
        // P is of no use, so one serves every λ.
        let lambda = lambdas.first().copied().unwrap_or(1.0);
        let groups = vec![Group::of_weights(None, weights, targets, lambda, (0..targets).collect())];
        let mut out = Self::assemble(features, targets, groups);
        out.n = n;
        out.mean_y.copy_from_slice(intercepts);
        out
    }

    /// How many samples it stands on, less what was forgotten.
    pub fn n(&self) -> f64 {
        self.n
    }

    /// How many features.
    pub fn features(&self) -> usize {
        self.mean_x.len()
    }

    /// How many targets.
    pub fn targets(&self) -> usize {
        self.mean_y.len()
    }

    /// `x̄`, F.
    pub fn mean_x(&self) -> &[f64] {
        &self.mean_x
    }

    /// `ȳ`, V.
    pub fn mean_y(&self) -> &[f64] {
        &self.mean_y
    }

    /// λ of each target, V.
    pub fn lambdas(&self) -> Vec<f64> {
        let mut out = vec![0.0; self.targets()];
        for group in &self.groups {
            group.columns.iter().for_each(|v| out[*v] = group.lambda);
        }
        out
    }

    /// How far its weights are from those of `exact`, which has the same λs: the largest difference, relative to the largest
    /// weight of `exact`.
    pub(super) fn distance(&self, exact: &Rls) -> f64 {
        let (mut apart, mut largest, mut theirs) = (0.0f64, 0.0f64, Vec::new());
        for (own, exact) in self.groups.iter().zip(&exact.groups) {
            let mut row = 0;
            own.weights(|ours| {
                exact.joint.right_row(row, &mut theirs);
                for (a, b) in ours.iter().zip(&theirs) {
                    (apart, largest) = (apart.max((a - b).abs()), largest.max(b.abs()));
                }
                row += 1;
            });
        }
        if largest > 0.0 { apart / largest } else { apart }
    }

    /// `W`, row-major F×V.
    pub fn weights(&self) -> Vec<f64> {
        let mut out = vec![0.0; self.features() * self.targets()];
        self.each_weight(|at, w| out[at] = w);
        out
    }

    /// Calls `each` with every weight and its place in a row-major F×V matrix.
    pub(super) fn each_weight(&self, mut each: impl FnMut(usize, f64)) {
        for group in &self.groups {
            let mut row = 0;
            group.weights(|own| {
                group.columns.iter().zip(own).for_each(|(v, w)| each(row + v, *w));
                row += self.mean_y.len();
            });
        }
    }

    /// What it expects for `x` (F finite features): `ȳ + Wᵀ(x − x̄)`, V. Also the first half of learning from `x`. Of the `x`
    /// that it was last asked about, nothing is computed again.
    pub fn evaluate(&mut self, x: &[f64]) -> &[f64] {
        let mut known = self.evaluated;
        for ((d, x), mean) in self.d.iter_mut().zip(x).zip(&self.mean_x) {
            let now = x - mean;
            known &= now.to_bits() == d.to_bits();
            *d = now;
        }
        if known {
            return &self.prediction;
        }
        self.evaluated = true;
        let features = self.d.len();
        for group in &mut self.groups {
            group.joint.multiply(&self.d, &mut group.product);
            for (v, u) in group.columns.iter().zip(&group.product[features..]) {
                self.prediction[*v] = self.mean_y[*v] + u;
            }
        }
        &self.prediction
    }

    /// What the last [`evaluate`](Self::evaluate) expected.
    pub fn prediction(&self) -> &[f64] {
        &self.prediction
    }

    /// Learns that the `x` last evaluated came with `y` (V). A target that is not finite is replaced, in `y` too, by
    /// what was expected: it teaches nothing.
    ///
    /// False when rounding has ruined `P` (never seen but with values of absurd magnitude): then nothing was learned
    /// and the weights must be solved anew from the moments, which have to take in this sample themselves.
    pub fn learn(&mut self, y: &mut [f64]) -> bool {
        for (y, expected) in y.iter_mut().zip(&self.prediction) {
            if !y.is_finite() {
                *y = *expected;
            }
        }
        self.evaluated = false;
        let features = self.d.len();
        if self.n > 0.0 {
            let gain = |group: &Group| {
                let own = 1.0 + 1.0 / self.n;
                let spread: f64 = self.d.iter().zip(&group.product).map(|(d, p)| d * p).sum();
                // P is positive definite, so the spread cannot be negative.
                (spread.is_finite() && spread >= -1e-6 * own).then(|| 1.0 / (own + spread))
            };
            if !self.groups.iter().all(|group| gain(group).is_some()) {
                return false;
            }
            for g in 0..self.groups.len() {
                let Some(gain) = gain(&self.groups[g]) else { return false };
                let group = &mut self.groups[g];
                let (p, _) = group.product.split_at(features);
                let right = &mut self.right[..group.product.len()];
                for ((left, right), p) in self.left.iter_mut().zip(right.iter_mut()).zip(p) {
                    *left = gain * p;
                    *right = -p;
                }
                for (e, v) in right[features..].iter_mut().zip(&group.columns) {
                    *e = y[*v] - self.prediction[*v];
                }
                group.joint.add(&self.left, right);
            }
        }
        self.n += 1.0;
        self.mean_x.iter_mut().zip(&self.d).for_each(|(mean, d)| *mean += d / self.n);
        self.mean_y.iter_mut().zip(y).for_each(|(mean, y)| *mean += (*y - *mean) / self.n);
        true
    }

    /// About how ill-conditioned `G + λI` is: the largest condition number (2-norm) of all groups, by power iteration.
    pub(super) fn condition(&self, g: &[f64]) -> f64 {
        let features = self.features();
        self.groups
            .iter()
            .map(|group| {
                let largest = power_iteration(g, features) + group.lambda;
                largest * power_iteration(&group.inverse(), features)
            })
            .fold(1.0, f64::max)
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.f64(self.n);
        to.f64s(&self.mean_x);
        to.f64s(&self.mean_y);
        to.f64s(&self.lambdas());
        self.groups.iter().for_each(|group| group.joint.save(to));
    }

    pub(super) fn load(features: usize, targets: usize, from: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut out = Self::assemble(features, targets, Vec::new());
        out.n = from.f64()?;
        from.f64s(&mut out.mean_x)?;
        from.f64s(&mut out.mean_y)?;
        let mut lambdas = vec![0.0; targets];
        from.f64s(&mut lambdas)?;
        for (lambda, columns) in group_by(&lambdas) {
            let joint = Augmented::load(features, columns.len(), from)?;
            out.groups.push(Group::new(features, lambda, columns, joint));
        }
        Ok(out)
    }
}

/// How many targets are solved for, or scored, together: so many that what is done once a block, of F³ flops, is little beside
/// the F² of each of them.
pub(super) fn block_width(features: usize) -> usize {
    (4 * features).max(4096)
}

/// The targets of each λ, in the order in which the λs first appear.
pub(super) fn group_by(lambdas: &[f64]) -> Vec<(f64, Vec<usize>)> {
    let mut out: Vec<(f64, Vec<usize>)> = Vec::new();
    for (v, lambda) in lambdas.iter().enumerate() {
        match out.iter_mut().find(|(known, _)| known.to_bits() == lambda.to_bits()) {
            Some((_, columns)) => columns.push(v),
            None => out.push((*lambda, vec![v])),
        }
    }
    out
}

/// The largest eigenvalue of a positive semidefinite row-major F×F matrix, to a few per cent.
fn power_iteration(a: &[f64], features: usize) -> f64 {
    let mut v: Vec<f64> = (0..features).map(|i| 1.0 + (i as f64 * 0.618_033_988_75).fract()).collect();
    let mut value = 0.0;
    for _ in 0..30 {
        let norm = v.iter().map(|v| v * v).sum::<f64>().sqrt();
        if norm.is_nan() || norm <= 0.0 {
            return 0.0;
        }
        v.iter_mut().for_each(|v| *v /= norm);
        v = a.chunks_exact(features.max(1)).map(|row| row.iter().zip(&v).map(|(a, v)| a * v).sum()).collect();
        value = v.iter().map(|v| v * v).sum::<f64>().sqrt();
    }
    value
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(t: usize, f: usize, v: usize) -> (Vec<f64>, Vec<f64>) {
        let wave = |i: usize| ((t * 31 + i * 17) as f64 * 0.731).sin() + ((t * (i + 3)) as f64 * 0.117).cos();
        let x: Vec<f64> = (0..f).map(|i| wave(i) + i as f64).collect();
        let y = (0..v).map(|j| x.iter().skip(j % f).step_by(3).sum::<f64>() * 0.3 + wave(f + j) - 7.0).collect();
        (x, y)
    }

    #[test]
    fn the_recursion_is_batch_ridge_with_a_free_intercept_for_every_lambda_at_every_step() {
        let lambdas = [10.0, 0.1, 10.0, 3.0];
        let mut rls = Rls::with_lambdas(12, &lambdas);
        let mut moments = Moments::new(12, 4);
        for t in 0..120 {
            let (x, mut y) = row(t, 12, 4);
            let expected = rls.evaluate(&x).to_vec();
            if t % 10 == 7 {
                let exact = Rls::solve(&[&moments], &lambdas).unwrap().evaluate(&x).to_vec();
                for (a, b) in expected.iter().zip(&exact) {
                    assert!((a - b).abs() < 1e-10, "after {t} rows: {a} {b}");
                }
            }
            moments.observe(&x, &y);
            assert!(rls.learn(&mut y));
        }
        assert_eq!(rls.groups.len(), 3);
        assert_eq!(rls.lambdas(), lambdas);
    }

    #[test]
    fn one_missing_target_leaves_the_others_as_they_would_be() {
        let (mut with, mut without) = (Rls::new(5, 2, 1.0), Rls::new(5, 2, 1.0));
        for t in 0..40 {
            let (x, mut y) = row(t, 5, 2);
            without.evaluate(&x);
            without.learn(&mut y.clone());
            with.evaluate(&x);
            if t % 4 == 1 {
                y[1] = f64::NAN;
            }
            with.learn(&mut y);
            assert!(y[1].is_finite());
        }
        let (a, b) = (with.weights(), without.weights());
        for f in 0..5 {
            assert_eq!(a[f * 2], b[f * 2]);
            assert!(a[f * 2 + 1].is_finite() && a[f * 2 + 1] != b[f * 2 + 1]);
        }
    }

    #[test]
    fn the_condition_number_is_about_right() {
        let g = [100.0, 0.0, 0.0, 1.0];
        let mut moments = Moments::new(2, 1);
        for (a, b) in [(1.0, 1.0), (1.0, -1.0), (-1.0, 1.0), (-1.0, -1.0)] {
            moments.observe(&[a * 5.0, b * 0.5], &[a]);
        }
        let rls = Rls::solve(&[&moments], &[1.0]).unwrap();
        assert!((rls.condition(&g) / (101.0 / 2.0) - 1.0).abs() < 0.02, "{}", rls.condition(&g));
    }
}

//! What is remembered of the samples? Their number, means and co-moments: all that an exact ridge needs.
//!
//! `n`, `x̄`, `ȳ`, `G = Σ dx dxᵀ`, `C = Σ dx dyᵀ`, `Σ dy²`, centred as they grow (Welford 1962), f64. Two sets of moments
//! merge into those of all their samples (Chan, Golub & LeVeque 1983), which is what runs, windows and cross-validation
//! are made of.

use std::borrow::Borrow;

use super::augmented::Augmented;
use super::state::{Reader, StateError, Writer};
use crate::linalg;

/// Count, means and centred second moments of `F` features and `V` targets.
///
/// ```
/// use neurod::ridge::Moments;
///
/// let mut moments = Moments::new(1, 1);
/// moments.observe(&[1.0], &[10.0]);
/// moments.observe(&[3.0], &[30.0]);
/// assert_eq!((moments.gram(), moments.cross()), (vec![2.0], vec![20.0]));
/// ```
#[derive(Clone, Debug)]
pub struct Moments {
    n: f64,
    mean_x: Vec<f64>,
    mean_y: Vec<f64>,
    square_y: Vec<f64>,
    joint: Augmented,
    left: Vec<f64>,
    right: Vec<f64>,
}

impl Moments {
    /// Of no sample yet.
    pub fn new(features: usize, targets: usize) -> Self {
        Self {
            n: 0.0,
            mean_x: vec![0.0; features],
            mean_y: vec![0.0; targets],
            square_y: vec![0.0; targets],
            joint: Augmented::zero(features, targets),
            left: vec![0.0; features],
            right: vec![0.0; features + targets],
        }
    }

    /// Of all rows of `x` (n×F) and `y` (n×V), row-major and finite, at once.
    pub fn of_rows(x: &[f64], y: &[f64], features: usize, targets: usize) -> Self {
        let rows = x.len().checked_div(features).unwrap_or(0);
        let centred = |values: &[f64], columns: usize| {
            let mut means = vec![0.0; columns];
            let add = |means: &mut [f64], row: &[f64]| means.iter_mut().zip(row).for_each(|(m, v)| *m += v);
            values.chunks_exact(columns.max(1)).for_each(|row| add(&mut means, row));
            means.iter_mut().for_each(|m| *m /= rows.max(1) as f64);
            let less = |row: &[f64]| row.iter().zip(&means).map(|(v, m)| v - m).collect::<Vec<f64>>();
            let centred: Vec<f64> = values.chunks_exact(columns.max(1)).flat_map(less).collect();
            (means, centred)
        };
        let ((mean_x, x), (mean_y, y)) = (centred(x, features), centred(y, targets));
        let mut gram = vec![0.0; features * features];
        linalg::gemm(&mut gram, &x, true, &x, [features, rows, features]);
        let mut cross = vec![0.0; features * targets];
        linalg::gemm(&mut cross, &x, true, &y, [features, rows, targets]);
        let mut square_y = vec![0.0; targets];
        for row in y.chunks_exact(targets.max(1)) {
            square_y.iter_mut().zip(row).for_each(|(sum, v)| *sum += v * v);
        }
        Self::from_parts(rows as f64, mean_x, mean_y, square_y, &gram, &cross)
    }

    /// As they were told of: `n`, `x̄` (F), `ȳ` (V), `Σ (y − ȳ)²` (V), `G` (F×F) and `C` (F×V), row-major.
    pub fn from_parts(
        n: f64,
        mean_x: Vec<f64>,
        mean_y: Vec<f64>,
        square_y: Vec<f64>,
        gram: &[f64],
        cross: &[f64],
    ) -> Self {
        let (features, targets) = (mean_x.len(), mean_y.len());
        let joint = Augmented::from_dense(features, targets, gram, cross);
        Self { n, mean_x, mean_y, square_y, joint, left: vec![0.0; features], right: vec![0.0; features + targets] }
    }

    /// How many samples, less what was forgotten.
    pub fn n(&self) -> f64 {
        self.n
    }

    /// The features' means, F.
    pub fn mean_x(&self) -> &[f64] {
        &self.mean_x
    }

    /// The targets' means, V.
    pub fn mean_y(&self) -> &[f64] {
        &self.mean_y
    }

    /// `Σ (y − ȳ)²`, V.
    pub fn square_y(&self) -> &[f64] {
        &self.square_y
    }

    /// `G`, row-major F×F.
    pub fn gram(&self) -> Vec<f64> {
        self.joint.dense().0
    }

    /// `C`, row-major F×V.
    pub fn cross(&self) -> Vec<f64> {
        self.joint.dense().1
    }

    /// `G` and `C` at once.
    pub(super) fn gram_and_cross(&self) -> (Vec<f64>, Vec<f64>) {
        self.joint.dense()
    }

    /// Whether these are moments of the same samples.
    pub fn is(&self, other: &Self) -> bool {
        self.n == other.n
            && self.mean_x == other.mean_x
            && self.mean_y == other.mean_y
            && self.square_y == other.square_y
            && self.joint.dense() == other.joint.dense()
    }

    /// The moments of these targets alone, as if there had never been others.
    pub fn pick(&self, targets: &[usize]) -> Self {
        let features = self.mean_x.len();
        let of = |values: &[f64]| targets.iter().map(|v| values[*v]).collect();
        Self {
            n: self.n,
            mean_x: self.mean_x.clone(),
            mean_y: of(&self.mean_y),
            square_y: of(&self.square_y),
            joint: self.joint.pick(targets),
            left: vec![0.0; features],
            right: vec![0.0; features + targets.len()],
        }
    }

    /// One more sample: `x` of F features, `y` of V targets, all finite.
    pub fn observe(&mut self, x: &[f64], y: &[f64]) {
        let (features, before) = (self.mean_x.len(), self.n);
        self.n += 1.0;
        let (right_x, right_y) = self.right.split_at_mut(features);
        let weight = before / self.n;
        for ((mean, d), (left, x)) in self.mean_x.iter_mut().zip(right_x).zip(self.left.iter_mut().zip(x)) {
            *d = x - *mean;
            *left = weight * *d;
            *mean += *d / self.n;
        }
        for ((mean, d), (square, y)) in self.mean_y.iter_mut().zip(right_y).zip(self.square_y.iter_mut().zip(y)) {
            *d = y - *mean;
            *square += weight * *d * *d;
            *mean += *d / self.n;
        }
        if before > 0.0 {
            self.joint.add(&self.left, &self.right);
        }
    }

    /// Becomes the moments of its own samples and of `other`'s (Chan's formula). Both must have one shape.
    pub fn merge(&mut self, other: &Moments) {
        if other.n <= 0.0 {
            return;
        }
        if self.n <= 0.0 {
            self.clone_from(other);
            return;
        }
        let (n, features) = (self.n + other.n, self.mean_x.len());
        let weight = self.n * other.n / n;
        let (right_x, right_y) = self.right.split_at_mut(features);
        for ((mean, theirs), (left, d)) in
            self.mean_x.iter_mut().zip(&other.mean_x).zip(self.left.iter_mut().zip(right_x))
        {
            *d = theirs - *mean;
            *left = weight * *d;
            *mean += *d * (other.n / n);
        }
        for (i, (mean, theirs)) in self.mean_y.iter_mut().zip(&other.mean_y).enumerate() {
            let d = theirs - *mean;
            right_y[i] = d;
            self.square_y[i] += other.square_y[i] + weight * d * d;
            *mean += d * (other.n / n);
        }
        self.joint.merge(&other.joint);
        self.joint.add(&self.left, &self.right);
        self.n = n;
    }

    /// The moments of all of `parts`.
    pub fn total(features: usize, targets: usize, parts: impl IntoIterator<Item = impl Borrow<Moments>>) -> Self {
        parts.into_iter().fold(Self::new(features, targets), |mut sum, part| {
            sum.merge(part.borrow());
            sum
        })
    }

    /// Every sample so far counts `factor` of what it did. The means stay.
    pub fn forget(&mut self, factor: f64) {
        self.n *= factor;
        self.square_y.iter_mut().for_each(|v| *v *= factor);
        self.joint.scale(factor);
    }

    pub(super) fn save(&self, to: &mut Writer) {
        to.f64(self.n);
        to.f64s(&self.mean_x);
        to.f64s(&self.mean_y);
        to.f64s(&self.square_y);
        self.joint.save(to);
    }

    pub(super) fn load(features: usize, targets: usize, from: &mut Reader<'_>) -> Result<Self, StateError> {
        let mut out = Self { joint: Augmented::zero(0, 0), ..Self::new(features, targets) };
        out.n = from.f64()?;
        from.f64s(&mut out.mean_x)?;
        from.f64s(&mut out.mean_y)?;
        from.f64s(&mut out.square_y)?;
        out.joint = Augmented::load(features, targets, from)?;
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(a: &[f64], b: &[f64]) -> bool {
        a.len() == b.len() && a.iter().zip(b).all(|(a, b)| (a - b).abs() <= 1e-12 * (1.0 + b.abs()))
    }

    #[test]
    fn merged_parts_are_the_whole_and_an_offset_changes_no_co_moment() {
        let row = |t: usize| {
            let wave = |i: usize| ((t * 7 + i * 13) % 11) as f64 + ((t * t + i) % 5) as f64 * 0.3;
            ([wave(0), wave(1) + 100.0, wave(2)], [wave(3), wave(4) - 50.0])
        };
        let mut whole = Moments::new(3, 2);
        let mut parts = vec![Moments::new(3, 2); 4];
        for t in 0..50 {
            let (x, y) = row(t);
            whole.observe(&x, &y);
            parts[t * t % 3].observe(&x, &y);
        }
        let merged = Moments::total(3, 2, &parts);
        assert_eq!(merged.n(), 50.0);
        assert!(close(merged.mean_x(), whole.mean_x()) && close(merged.mean_y(), whole.mean_y()));
        assert!(close(&merged.gram(), &whole.gram()) && close(&merged.cross(), &whole.cross()));
        assert!(close(merged.square_y(), whole.square_y()));

        let mean = |i: usize| (0..50).map(|t| row(t).0[i]).sum::<f64>() / 50.0;
        let direct: f64 = (0..50).map(|t| (row(t).0[0] - mean(0)) * (row(t).0[1] - mean(1))).sum();
        assert!((whole.gram()[1] - direct).abs() < 1e-9);

        let before = whole.cross();
        whole.forget(0.5);
        assert!(whole.n() == 25.0 && close(&whole.cross(), &before.iter().map(|v| v / 2.0).collect::<Vec<_>>()));
    }
}

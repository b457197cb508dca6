//! What predicts on the real-time lane? A frozen f32 copy of the weights that never allocates and cannot fail.

use super::kernels::Kernels;
use super::usable;

/// Weights of F features and V targets: `ȳ + Wᵀ(x − x̄)`, W and the result in f32.
///
/// ```
/// use neurod::ridge::{Learner, RidgeConfig, Snapshot};
///
/// let learner = Learner::new(2, 3, &RidgeConfig::default())?;
/// let mut snapshot = Snapshot::new(2, 3);
/// learner.snapshot_into(&mut snapshot);
/// let mut y = [f32::NAN; 3];
/// assert!(snapshot.predict(&[1.0, 2.0], &mut y));
/// assert_eq!(y, [0.0; 3]);
/// # Ok::<(), neurod::ridge::RidgeError>(())
/// ```
#[derive(Clone, Debug, PartialEq)]
pub struct Snapshot {
    features: usize,
    pub(super) mean_x: Box<[f64]>,
    pub(super) mean_y: Box<[f32]>,
    /// Row-major F×V.
    pub(super) weights: Box<[f32]>,
    /// How many observations the weights have learned from.
    pub updates: u64,
}

impl Snapshot {
    /// All zero.
    pub fn new(features: usize, targets: usize) -> Self {
        Self {
            features,
            mean_x: vec![0.0; features].into(),
            mean_y: vec![0.0; targets].into(),
            weights: vec![0.0; features * targets].into(),
            updates: 0,
        }
    }

    /// How many features.
    pub fn features(&self) -> usize {
        self.features
    }

    /// How many targets.
    pub fn targets(&self) -> usize {
        self.mean_y.len()
    }

    /// Writes the prediction for `x` (F) into `y` (V). A feature that is not finite, or beyond ±10¹², counts as its
    /// mean; false when there was one, or when a shape is wrong (then `y` is the targets' means, as far as it goes).
    pub fn predict(&self, x: &[f64], y: &mut [f32]) -> bool {
        y.iter_mut().zip(&self.mean_y).for_each(|(y, mean)| *y = *mean);
        if x.len() != self.features || y.len() != self.mean_y.len() {
            return false;
        }
        if y.is_empty() {
            return true;
        }
        let mut complete = true;
        let kernels = Kernels::default();
        let rows = x.chunks(8).zip(self.mean_x.chunks(8)).zip(self.weights.chunks(8 * y.len()));
        for ((x, mean), weights) in rows {
            let mut d = [0.0; 8];
            for ((d, x), mean) in d.iter_mut().zip(x).zip(mean) {
                if usable(*x) {
                    *d = (x - mean) as f32;
                } else {
                    complete = false;
                }
            }
            kernels.transpose_multiply_f32(weights, &d, y);
        }
        complete
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_matrix_product_for_any_shape_and_a_bad_feature_counts_as_its_mean() {
        for (f, v) in [(1, 1), (7, 3), (8, 16), (21, 33), (320, 400)] {
            let mut snapshot = Snapshot::new(f, v);
            snapshot.mean_x.iter_mut().enumerate().for_each(|(i, m)| *m = i as f64 * 0.1);
            snapshot.mean_y.iter_mut().enumerate().for_each(|(i, m)| *m = i as f32);
            snapshot.weights.iter_mut().enumerate().for_each(|(i, w)| *w = ((i * 7 % 13) as f32 - 6.0) * 0.1);
            let mut x: Vec<f64> = (0..f).map(|i| (i as f64 * 0.7).sin()).collect();
            let direct = |x: &[f64], j: usize| {
                j as f64 + (0..f).map(|i| (x[i] - i as f64 * 0.1) * f64::from(snapshot.weights[i * v + j])).sum::<f64>()
            };
            let mut y = vec![f32::NAN; v];
            assert!(snapshot.predict(&x, &mut y));
            assert!((0..v).all(|j| (f64::from(y[j]) - direct(&x, j)).abs() < 1e-5 * (1.0 + direct(&x, j).abs())));
            x[f / 2] = f64::NAN;
            assert!(!snapshot.predict(&x, &mut y));
            x[f / 2] = (f / 2) as f64 * 0.1;
            assert!((0..v).all(|j| (f64::from(y[j]) - direct(&x, j)).abs() < 1e-5 * (1.0 + direct(&x, j).abs())));
            assert!(!snapshot.predict(&x[1..], &mut y) && y[v - 1] == v as f32 - 1.0);
        }
    }
}

//! What did the weights say at one moment? A copy in f64 that learns no more, asked for many rows at once.

use std::sync::Arc;

use super::learner::Learner;
use crate::linalg;

/// Weights at one moment: `ȳ + Wᵀ(x − x̄)`.
#[derive(Clone, Debug)]
pub struct FrozenWeights {
    mean_x: Vec<f64>,
    mean_y: Vec<f64>,
    weights: Vec<f64>,
}

impl Learner {
    /// Its present weights.
    pub fn frozen(&self) -> Arc<FrozenWeights> {
        let (mean_x, mean_y) = self.means();
        Arc::new(FrozenWeights { mean_x: mean_x.to_vec(), mean_y: mean_y.to_vec(), weights: self.weights() })
    }
}

impl FrozenWeights {
    /// What these rows (n×F, row-major) lead to expect: n×V.
    pub fn predict(&self, rows: &[f64]) -> Vec<f64> {
        let (features, targets) = (self.mean_x.len(), self.mean_y.len());
        let n = rows.len().checked_div(features).unwrap_or(0);
        let centred =
            rows.chunks_exact(features.max(1)).flat_map(|row| row.iter().zip(&self.mean_x).map(|(x, m)| x - m));
        let centred: Vec<f64> = centred.collect();
        let mut out = vec![0.0; n * targets];
        linalg::gemm(&mut out, &centred, false, &self.weights, [n, features, targets]);
        for row in out.chunks_exact_mut(targets.max(1)) {
            row.iter_mut().zip(&self.mean_y).for_each(|(value, mean)| *value += mean);
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Quality;
    use crate::ridge::{Observed, RidgeConfig};

    #[test]
    fn it_says_what_the_learner_said_then() -> Result<(), crate::ridge::RidgeError> {
        let mut learner = Learner::new(2, 3, &RidgeConfig::default())?;
        let row = |t: usize| [(t as f64).sin(), (t as f64 * 0.3).cos()];
        let teach =
            |learner: &mut Learner, t: usize| learner.observe(&row(t), &[t as f64, 1.0, -row(t)[0]], Quality::GOOD);
        (0..20).for_each(|t| assert_eq!(teach(&mut learner, t), Observed::Learned));
        let frozen = learner.frozen();
        let mut then = [0.0; 3];
        learner.predict(&row(50), &mut then);
        (20..40).for_each(|t| assert_eq!(teach(&mut learner, t), Observed::Learned));
        let both = frozen.predict(&[row(50), row(7)].concat());
        assert!(both.len() == 6 && both.iter().zip(&then).all(|(a, b)| (a - b).abs() < 1e-12));
        Ok(())
    }
}

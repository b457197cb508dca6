//! How wrong is a network? Cross-entropy of classes with weights, squared error of a number, and what mixing does to both.

use candle_core::Tensor;

use super::algebra::{Algebra, Unary};
use super::{Failure, Values};

/// What a batch should give.
#[derive(Clone, Debug)]
pub(super) enum Wanted {
    /// Of each sample its class, and of each class its weight.
    Classes(Vec<usize>, Vec<f64>),
    /// Of each sample its number.
    Values(Vec<f64>),
}

impl Wanted {
    pub(super) fn of(&self, rows: &[usize]) -> Self {
        match self {
            Self::Classes(of, weights) => {
                Self::Classes(rows.iter().filter_map(|row| of.get(*row).copied()).collect(), weights.clone())
            }
            Self::Values(values) => Self::Values(rows.iter().filter_map(|row| values.get(*row).copied()).collect()),
        }
    }

    /// Says to a pass which class each sample is, in this share of the loss; of numbers there is nothing to say.
    pub(super) fn classify(&self, a: &Values<'_>, share: f64) {
        if let Self::Classes(of, _) = self {
            a.classify(share, of);
        }
    }

    /// The mean loss, a scalar: −Σ w log p / Σ w of classes as torch's `nll_loss` has it, or the mean squared error.
    pub(super) fn loss(&self, a: &Values<'_>, outputs: &Tensor) -> Result<Tensor, Failure> {
        let count = a.size(outputs, 0)? as f64;
        match self {
            Self::Classes(of, weights) => {
                let classes = weights.len();
                let weight = |class: usize| weights.get(class).copied().unwrap_or_default();
                let total: f64 = of.iter().map(|class| weight(*class)).sum();
                let shares = of
                    .iter()
                    .flat_map(|class| (0..classes).map(move |c| if c == *class { -weight(c) / total } else { 0.0 }));
                let shares = a.constant(&shares.collect::<Vec<_>>(), &[of.len(), classes])?;
                Ok(a.mul(&log_softmax(a, outputs)?, &shares)?.sum_all()?)
            }
            Self::Values(values) => {
                let error = a.sub(outputs, &a.constant(values, &[values.len(), 1])?)?;
                Ok(a.affine(&a.mul(&error, &error)?.sum_all()?, 1.0 / count, 0.0)?)
            }
        }
    }
}

/// Logarithms of what softmax gives; the largest is taken off first, so that nothing overflows.
fn log_softmax(a: &Values<'_>, logits: &Tensor) -> Result<Tensor, Failure> {
    let centred = a.sub(logits, &a.max(logits, -1)?.detach())?;
    let total = a.sum(&a.unary(Unary::Exp, &centred)?, -1)?;
    a.sub(&centred, &a.unary(Unary::Ln, &total)?)
}

/// Weights that make every class count as much: samples / (classes · samples of the class), as scikit-learn's `balanced`.
pub(super) fn balanced(of: &[usize], classes: usize) -> Vec<f64> {
    let count = |class| of.iter().filter(|c| **c == class).count().max(1);
    (0..classes).map(|class| of.len() as f64 / (classes * count(class)) as f64).collect()
}

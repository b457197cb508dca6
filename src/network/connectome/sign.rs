//! What does a negative interaction count as?

use ndarray::Array2;

/// What is done with signs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Sign {
    /// Nothing.
    #[default]
    Keep,
    /// Every value counts by its size.
    Absolute,
    /// Negative values become 0.
    Positive,
    /// Positive values become 0, and negative ones stay negative.
    Negative,
}

impl Sign {
    /// Does it, but to the diagonal.
    pub fn apply(self, network: &mut Array2<f64>) {
        for (_, value) in network.indexed_iter_mut().filter(|((i, j), _)| i != j) {
            *value = match self {
                Self::Keep => *value,
                Self::Absolute => value.abs(),
                Self::Positive => value.max(0.0),
                Self::Negative => value.min(0.0),
            };
        }
    }
}

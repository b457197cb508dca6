//! What does no look at the networks predict? The share of each class among the training samples, or their mean.
//!
//! Whatever cannot beat this has learned nothing, however high its accuracy.

use ndarray::{Array1, Array2};

use crate::network::{Fitted, Learner, NetworkError, Rows, Targets};

/// Learns the majority class, or the mean.
#[derive(Clone, Debug)]
pub struct Constant {
    name: String,
}

impl Constant {
    /// By this name.
    pub fn new(name: &str) -> Self {
        Self { name: name.into() }
    }
}

impl Learner for Constant {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn fit(&self, train: Rows<'_>, _: Option<Rows<'_>>, _: u64) -> Result<Box<dyn Fitted>, NetworkError> {
        let mut sums = Array1::zeros(train.targets.outputs());
        for row in train.rows {
            match train.targets {
                Targets::Classes { of, .. } => {
                    of.get(*row).and_then(|class| sums.get_mut(*class)).into_iter().for_each(|sum| *sum += 1.0);
                }
                Targets::Values(values) => sums += values.get(*row).copied().unwrap_or(0.0),
            }
        }
        Ok(Box::new(Always(sums / train.rows.len().max(1) as f64)))
    }
}

struct Always(Array1<f64>);

impl Fitted for Always {
    fn predict(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
        Ok(Array2::from_shape_fn((rows.rows.len(), self.0.len()), |(_, output)| self.0[output]))
    }
}

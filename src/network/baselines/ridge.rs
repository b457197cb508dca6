//! Ridge regression: how much, by weights whose squares are penalised.
//!
//! Minimises Σ (y − x w − b)² + α‖w‖², the intercept free, as scikit-learn's `Ridge` does; solved where there are no more columns
//! than samples.

use ndarray::{Array1, Array2};
use serde::Deserialize;

use super::linear::{Linear, Link, Standard, gram, values_of};
use super::vectors::{Kind, Vectors};
use crate::linalg::ridge;
use crate::network::{Fitted, Learner, NetworkError, Rows};

/// What can be set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RidgeConfig {
    /// How much weights are penalised: α, above 0.
    pub alpha: f64,
    /// What the vector of a network is.
    pub vectors: Kind,
}

impl Default for RidgeConfig {
    fn default() -> Self {
        Self { alpha: 1.0, vectors: Kind::Connectivity }
    }
}

/// Learns a ridge regression.
#[derive(Clone, Debug)]
pub struct Ridge {
    name: String,
    config: RidgeConfig,
}

impl Ridge {
    /// With these settings.
    ///
    /// # Errors
    /// An α that is not above 0.
    pub fn new(name: &str, config: RidgeConfig) -> Result<Self, NetworkError> {
        super::above_zero(name, "alpha", config.alpha)?;
        Ok(Self { name: name.into(), config })
    }

    /// Learns, and gives what was learned as what it is.
    ///
    /// # Errors
    /// Classes instead of numbers; networks without what their vectors are made from.
    pub fn learn(&self, train: Rows<'_>) -> Result<Linear, NetworkError> {
        let truth = values_of(train, &self.name)?;
        let (vectors, x) = Vectors::fit(self.config.vectors, train)?;
        let standard = Standard::of(x.view());
        let x = standard.apply(x);
        let mean = truth.mean().unwrap_or(0.0);
        // Standardised columns are centred, so the intercept is the mean.
        let shares = shares(&gram(x.view()), &(truth - mean), self.config.alpha)?;
        let weights = x.t().dot(&shares).insert_axis(ndarray::Axis(1));
        let intercept = Array1::from_elem(1, mean);
        Ok(Linear { vectors, standard, weights, intercept, link: Link::Identity, seen: Vec::new(), temperature: 1.0 })
    }
}

impl Learner for Ridge {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn fit(&self, train: Rows<'_>, _: Option<Rows<'_>>, _: u64) -> Result<Box<dyn Fitted>, NetworkError> {
        Ok(Box::new(self.learn(train)?))
    }
}

/// (K + αI)⁻¹ y.
pub(super) fn shares(kernel: &Array2<f64>, truth: &Array1<f64>, alpha: f64) -> Result<Array1<f64>, NetworkError> {
    let flat: Vec<f64> = kernel.iter().copied().collect();
    let (_, shares) = ridge(&flat, &truth.to_vec(), alpha, truth.len(), 1)
        .map_err(|_| NetworkError::Labels("training vectors or numbers are not finite (look at them)".into()))?;
    Ok(shares.into())
}

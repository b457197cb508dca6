//! Kernel ridge regression: how much, by likeness to the people that were learned from.
//!
//! Dual form of ridge with the kernel exp(−γ‖x − x'‖²), as scikit-learn's `KernelRidge(kernel="rbf")`, about the training mean.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::Deserialize;

use super::linear::{Standard, values_of};
use super::ridge::shares;
use super::vectors::{Kind, Vectors};
use crate::network::{Fitted, Learner, NetworkError, Rows};

/// What can be set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct KernelRidgeConfig {
    /// How much is penalised: α, above 0.
    pub alpha: f64,
    /// How fast likeness falls, γ; one over the columns where it is not given.
    pub gamma: Option<f64>,
    /// What the vector of a network is.
    pub vectors: Kind,
}

impl Default for KernelRidgeConfig {
    fn default() -> Self {
        Self { alpha: 1.0, gamma: None, vectors: Kind::Connectivity }
    }
}

/// Learns a kernel ridge regression.
#[derive(Clone, Debug)]
pub struct KernelRidge {
    name: String,
    config: KernelRidgeConfig,
}

impl KernelRidge {
    /// With these settings.
    ///
    /// # Errors
    /// An α or γ that is not above 0.
    pub fn new(name: &str, config: KernelRidgeConfig) -> Result<Self, NetworkError> {
        super::above_zero(name, "alpha", config.alpha)?;
        super::above_zero(name, "gamma", config.gamma.unwrap_or(1.0))?;
        Ok(Self { name: name.into(), config })
    }
}

impl Learner for KernelRidge {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn fit(&self, train: Rows<'_>, _: Option<Rows<'_>>, _: u64) -> Result<Box<dyn Fitted>, NetworkError> {
        let truth = values_of(train, &self.name)?;
        let (vectors, x) = Vectors::fit(self.config.vectors, train)?;
        let standard = Standard::of(x.view());
        let x = standard.apply(x);
        let gamma = self.config.gamma.unwrap_or(1.0 / x.ncols().max(1) as f64);
        let mean = truth.mean().unwrap_or(0.0);
        let shares = shares(&likeness(x.view(), x.view(), gamma), &(truth - mean), self.config.alpha)?;
        Ok(Box::new(Kernel { vectors, standard, x, gamma, shares, mean }))
    }
}

struct Kernel {
    vectors: Vectors,
    standard: Standard,
    x: Array2<f64>,
    gamma: f64,
    shares: Array1<f64>,
    mean: f64,
}

impl Fitted for Kernel {
    fn predict(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
        let x = self.standard.apply(self.vectors.of(rows)?);
        let predicted = likeness(x.view(), self.x.view(), self.gamma).dot(&self.shares) + self.mean;
        Ok(predicted.insert_axis(Axis(1)))
    }
}

/// exp(−γ‖a − b‖²) of every row of the one and of the other.
pub(super) fn likeness(a: ArrayView2<'_, f64>, b: ArrayView2<'_, f64>, gamma: f64) -> Array2<f64> {
    let squares = |x: ArrayView2<'_, f64>| x.map_axis(Axis(1), |row| row.dot(&row));
    let (squares_a, squares_b) = (squares(a), squares(b));
    let mut products = a.dot(&b.t());
    products.indexed_iter_mut().for_each(|((i, j), product)| {
        *product = (-gamma * (squares_a[i] + squares_b[j] - 2.0 * *product).max(0.0)).exp();
    });
    products
}

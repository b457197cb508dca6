//! How do regions vary together? Their covariance, as it is or shrunk towards its mean diagonal.
//!
//! Source: Ledoit and Wolf 2004, *A well-conditioned estimator for large-dimensional covariance matrices* (J. Multivariate
//! Analysis 88); the same as scikit-learn's `LedoitWolf`.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::correlation::as_correlation;
use crate::linalg::gemm;

/// What is done about too few volumes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Shrinkage {
    /// Towards the mean diagonal, by as much as Ledoit and Wolf find best.
    #[default]
    LedoitWolf,
    /// Nothing.
    None,
}

/// What varies less than this beside its size is rounding.
const FLAT: f64 = 1e-12;

/// A time series without its mean, T × N.
pub(super) struct Centred {
    values: Array2<f64>,
    /// Which regions never vary.
    pub(super) flat: Vec<bool>,
}

impl Centred {
    /// Of `series`, T × N, T ≥ 1.
    pub(super) fn new(series: ArrayView2<'_, f64>) -> Self {
        let mean = series.mean_axis(Axis(0)).unwrap_or_else(|| Array1::zeros(series.ncols()));
        let mut values = series.as_standard_layout().into_owned() - &mean;
        let flat = |(mut centred, whole): (ndarray::ArrayViewMut1<'_, f64>, ndarray::ArrayView1<'_, f64>)| {
            let size = whole.iter().fold(0.0f64, |most, value| most.max(value.abs()));
            let is_flat = centred.iter().all(|value| value.abs() <= FLAT * size);
            if is_flat {
                centred.fill(0.0);
            }
            is_flat
        };
        let flat = values.axis_iter_mut(Axis(1)).zip(series.axis_iter(Axis(1))).map(flat).collect();
        Self { values, flat }
    }

    /// With a variance of 1, over one volume less than there are; flat regions stay 0.
    pub(super) fn standardised(mut self) -> Self {
        let freedom = self.values.nrows() as f64 - 1.0;
        for (mut column, flat) in self.values.axis_iter_mut(Axis(1)).zip(&self.flat) {
            let sd = (column.iter().map(|value| value * value).sum::<f64>() / freedom).sqrt();
            if !flat && sd > 0.0 {
                column.mapv_inplace(|value| value / sd);
            }
        }
        self
    }

    /// The covariance over T, and how much of it was made its mean diagonal.
    pub(super) fn covariance(&self, shrinkage: Shrinkage) -> (Array2<f64>, f64) {
        let t = self.values.nrows() as f64;
        let mut covariance = gram(&self.values);
        covariance.mapv_inplace(|value| value / t);
        let amount = match shrinkage {
            Shrinkage::None => 0.0,
            Shrinkage::LedoitWolf => {
                let fourth = self.values.rows().into_iter().map(|row| row.dot(&row).powi(2)).sum();
                ledoit_wolf(&mut covariance, fourth, t)
            }
        };
        (covariance, amount)
    }

    /// The covariance, each value divided by the deviations of its two regions.
    pub(super) fn covariance_as_correlation(&self, shrinkage: Shrinkage) -> Array2<f64> {
        as_correlation(&self.covariance(shrinkage).0)
    }
}

/// Shrinks the `covariance` of `t` volumes towards its mean diagonal, and says by how much: 0 to 1.
///
/// `fourth` is Σ_ij Σ_t x²_ti x²_tj = Σ_t (Σ_i x²_ti)² of values without their mean, all that is needed besides the covariance.
pub(in crate::network) fn ledoit_wolf(covariance: &mut Array2<f64>, fourth: f64, t: f64) -> f64 {
    let n = covariance.nrows() as f64;
    let trace = covariance.diag().sum();
    let mu = trace / n;
    let second: f64 = covariance.iter().map(|value| value * value).sum();
    let beta = (fourth / t - second) / (n * t);
    let delta = (second - 2.0 * mu * trace + n * mu * mu) / n;
    let amount = match beta.min(delta) {
        beta if beta > 0.0 => beta / delta,
        _ => return 0.0,
    };
    covariance.mapv_inplace(|value| value * (1.0 - amount));
    covariance.diag_mut().mapv_inplace(|value| value + amount * mu);
    amount
}

/// `xᵀ x`.
fn gram(x: &Array2<f64>) -> Array2<f64> {
    let (rows, columns) = x.dim();
    let mut out = Array2::zeros((columns, columns));
    if let (Some(x), Some(into)) = (x.as_slice(), out.as_slice_mut()) {
        gemm(into, x, true, x, [columns, rows, columns]);
    }
    // The product may differ in its last bit the other way round.
    let mirrored = out.t().to_owned();
    out.zip_mut_with(&mirrored, |a, b| *a = 0.5 * (*a + b));
    out
}

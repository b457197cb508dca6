//! How do two regions vary together where all others are held still? The inverse of the covariance, and partial correlations.

use ndarray::Array2;

use super::correlation::as_correlation;
use crate::linalg;

/// How small the reciprocal condition of what is inverted may be.
const SINGULAR: f64 = 1e-14;

/// The inverse of a covariance; none where rounding is all that it would hold.
pub(super) fn inverse(covariance: &Array2<f64>) -> Option<Array2<f64>> {
    let n = covariance.nrows();
    let given = covariance.as_standard_layout();
    let values = given.as_slice()?;
    let inverse = linalg::inverse(values, n).ok()?;
    let size = |matrix: &[f64]| {
        matrix.chunks_exact(n.max(1)).map(|row| row.iter().map(|v| v.abs()).sum::<f64>()).fold(0.0, f64::max)
    };
    let condition = size(values) * size(&inverse);
    let array = Array2::from_shape_vec((n, n), inverse).ok()?;
    (condition.is_finite() && condition * SINGULAR < 1.0).then_some(array)
}

/// Partial correlations: the negative of what the precision is as a correlation; 1 on the diagonal.
pub(super) fn partial(precision: &Array2<f64>) -> Array2<f64> {
    let mut partial = as_correlation(precision);
    partial.mapv_inplace(|value| if value == 0.0 { 0.0 } else { -value });
    partial.diag_mut().fill(1.0);
    partial
}

//! How is a correlation made normal? Fisher's z, the inverse hyperbolic tangent (Fisher 1915).

use ndarray::Array2;

/// Fisher's z of correlations: 0 on the diagonal; off it ±1 becomes the z of the largest correlation below 1 that a double can hold.
pub fn fisher_z(correlations: &mut Array2<f64>) {
    let most = 1.0 - f64::EPSILON / 2.0;
    for ((i, j), value) in correlations.indexed_iter_mut() {
        *value = if i == j { 0.0 } else { value.clamp(-most, most).atanh() };
    }
}

//! How alike do regions vary? Correlations from covariances, of values or of ranks, and Fisher's z of them.

use ndarray::{Array2, ArrayView2, Axis, Zip};

/// A covariance as correlations: 1 on the diagonal, 0 with what has no variance.
pub(super) fn as_correlation(covariance: &Array2<f64>) -> Array2<f64> {
    let scale = covariance.diag().mapv(|variance| if variance > 0.0 { 1.0 / variance.sqrt() } else { 0.0 });
    let mut correlation = Array2::zeros(covariance.raw_dim());
    Zip::indexed(&mut correlation).and(covariance).for_each(|(i, j), out, value| {
        // Two regions that are the same must not pass 1 by rounding.
        *out = if i == j { 1.0 } else { (value * (scale[i] * scale[j])).clamp(-1.0, 1.0) };
    });
    correlation
}

/// Ranks within each column, equal values sharing the mean of theirs.
pub fn ranks(series: ArrayView2<'_, f64>) -> Array2<f64> {
    let mut out = Array2::zeros(series.raw_dim());
    for (column, mut into) in series.axis_iter(Axis(1)).zip(out.axis_iter_mut(Axis(1))) {
        let mut order: Vec<usize> = (0..column.len()).collect();
        order.sort_by(|a, b| column[*a].total_cmp(&column[*b]));
        let mut before = 0.0;
        for equal in order.chunk_by(|a, b| column[*a] == column[*b]) {
            let count = equal.len() as f64;
            equal.iter().for_each(|at| into[*at] = before + (count + 1.0) / 2.0);
            before += count;
        }
    }
    out
}

/// Fisher's z, atanh r, of correlations: 0 on the diagonal. Off it ±1 becomes the z of the largest correlation below 1 that a double
/// can hold, about ±18.7; how many there were is returned.
pub fn fisher_z(correlations: &mut Array2<f64>) -> usize {
    let most = 1.0 - f64::EPSILON / 2.0;
    let mut met = 0;
    for ((i, j), value) in correlations.indexed_iter_mut() {
        if i == j {
            *value = 0.0;
            continue;
        }
        met += usize::from(value.abs() > most && i > j);
        // Of a value near −1 the library's atanh loses all its digits.
        *value = value.abs().min(most).atanh().copysign(*value);
    }
    met
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn equal_values_share_a_rank() {
        let ranks = ranks(array![[3.0, 1.0], [1.0, 1.0], [3.0, 1.0], [0.5, 1.0]].view());
        assert_eq!(ranks, array![[3.5, 2.5], [2.0, 2.5], [3.5, 2.5], [1.0, 2.5]]);
    }

    #[test]
    fn z_is_finite_where_regions_are_the_same() {
        let mut r = array![[1.0, -1.0, 0.5], [-1.0, 1.0, 0.0], [0.5, 0.0, 1.0]];
        assert_eq!(fisher_z(&mut r), 1);
        assert_eq!(r.diag().to_vec(), [0.0; 3]);
        assert!((r[[0, 1]] + 18.714_973_875_118_524).abs() < 1e-9 && (r[[0, 2]] - 0.5f64.atanh()).abs() < 1e-15);
    }
}

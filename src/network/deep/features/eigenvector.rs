//! Where does a region lie in the network's main patterns? Its entries of the leading eigenvectors of A.
//!
//! An eigenvector's sign is a matter of taste: here its largest entry is positive. They are ordered by the size of their
//! eigenvalues. The released code gives region `i` the whole `i`-th eigenvector instead of its own entries (x = Vᵀ), all N of
//! them, in whatever order LAPACK leaves; that is followed but for the order.

use ndarray::{Array2, ArrayView2};

use super::super::Failure;
use super::super::network::NativeFeatures;
use crate::linalg;

/// How manifests name eigenvectors.
pub const EIGENVECTOR: &str = "eigenvector";
/// How they name those of the released form.
const AS_RELEASED: &str = "eigenvector-as-released";

/// How many eigenvectors, and as whom.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Eigenvectors {
    /// The leading ones; at most N.
    pub count: usize,
    /// Whether each region has a whole eigenvector.
    pub as_released: bool,
}

impl Eigenvectors {
    /// Those that a manifest names so, with so many values a region.
    pub fn named(kind: &str, count: usize) -> Option<Self> {
        matches!(kind, EIGENVECTOR | AS_RELEASED).then_some(Self { count, as_released: kind == AS_RELEASED })
    }

    /// Of one symmetric network, N × count.
    ///
    /// # Errors
    /// A network that is not symmetric, or of fewer regions.
    pub fn of(self, connectivity: ArrayView2<'_, f64>) -> Result<Array2<f64>, Failure> {
        let nodes = connectivity.nrows();
        if self.count > nodes {
            let (count, fail) = (self.count, Failure::Settings);
            return Err(fail(format!("{nodes} regions have {nodes} eigenvectors, not {count} (lower eigenvectors)")));
        }
        let largest = connectivity.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
        let asymmetry = connectivity.indexed_iter().map(|((i, j), v)| (v - connectivity[[j, i]]).abs());
        if asymmetry.fold(0.0, f64::max) > 1e-8 * largest {
            return Err(Failure::Settings("eigenvectors are of symmetric networks".into()));
        }
        // Shifted by more than any eigenvalue is (Gershgorin), because the decomposition takes no negative ones.
        let shift = connectivity.rows().into_iter().map(|row| row.iter().map(|v| v.abs()).sum()).fold(0.0, f64::max);
        let shifted: Vec<f64> =
            connectivity.indexed_iter().map(|((i, j), v)| if i == j { v + shift } else { *v }).collect();
        let eigen = linalg::eigen(&shifted, nodes)
            .map_err(|_| Failure::Settings("a network has no eigenvectors (is it finite?)".into()))?;
        let vectors = Array2::from_shape_vec((nodes, nodes), eigen.vectors())
            .map_err(|_| Failure::Settings("a network has no eigenvectors".into()))?;
        let mut order: Vec<usize> = (0..nodes).collect();
        order.sort_by(|a, b| (eigen.values[*b] - shift).abs().total_cmp(&(eigen.values[*a] - shift).abs()));
        let count = if self.as_released { nodes } else { self.count };
        let mut out = Array2::zeros((nodes, count));
        for (mut column, from) in out.columns_mut().into_iter().zip(order) {
            let vector = vectors.column(from);
            let most = vector.iter().fold(0.0, |most: f64, v| if v.abs() > most.abs() { *v } else { most });
            column.assign(&(&vector * if most < 0.0 { -1.0 } else { 1.0 }));
        }
        Ok(if self.as_released { out.reversed_axes().as_standard_layout().into_owned() } else { out })
    }
}

impl NativeFeatures for super::super::GraphNetwork {
    fn kind(&self) -> String {
        if self.as_released { AS_RELEASED } else { EIGENVECTOR }.into()
    }

    fn compute(&self, connectivity: ArrayView2<'_, f64>) -> Result<Array2<f64>, Failure> {
        Eigenvectors { count: self.eigenvectors, as_released: self.as_released }.of(connectivity)
    }
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;

    #[test]
    fn they_are_eigenvectors_by_the_size_of_their_values() {
        // Eigenvalues 3, −1 and −2.
        let a = array![[0.0, 2.0, 1.0], [2.0, 0.0, 1.0], [1.0, 1.0, 0.0]];
        let found = Eigenvectors { count: 2, as_released: false }.of(a.view()).unwrap();
        for column in found.columns() {
            let moved = a.dot(&column);
            let value = moved.dot(&column);
            assert!((&moved - &(&column * value)).iter().all(|d| d.abs() < 1e-12), "{column}");
            let most = column.iter().fold(0.0, |m: f64, v| if v.abs() > m.abs() { *v } else { m });
            assert!(most > 0.0);
        }
        let values: Vec<f64> = found.columns().into_iter().map(|c| a.dot(&c).dot(&c)).collect();
        assert!(values[0] > 0.0 && values[0].abs() >= values[1].abs(), "{values:?}");
        let released = Eigenvectors { count: 2, as_released: true }.of(a.view()).unwrap();
        assert_eq!((released.dim(), released.row(0).to_vec()), ((3, 3), found.column(0).to_vec()));
    }

    #[test]
    fn what_has_none_is_refused() {
        let said = |a: Array2<f64>| Eigenvectors { count: 3, as_released: false }.of(a.view()).unwrap_err().to_string();
        assert_eq!(said(Array2::eye(2)), "2 regions have 2 eigenvectors, not 3 (lower eigenvectors)");
        let mut skew = Array2::eye(3);
        skew[[0, 1]] = 0.5;
        assert_eq!(said(skew), "eigenvectors are of symmetric networks");
    }
}

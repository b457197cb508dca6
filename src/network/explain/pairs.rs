//! How does a matrix become a list of edges, and a list a matrix? In the order of [`Edges::places`].

use ndarray::{Array1, Array2, ArrayView2};

use crate::network::baselines::Edges;

/// The edges of a matrix; of an undirected edge the sum of both directions.
pub fn gathered(edges: &Edges, of: ArrayView2<'_, f64>) -> Array1<f64> {
    let back = |i, j| if edges.directed() { 0.0 } else { of[[j, i]] };
    edges.places().into_iter().map(|(i, j)| of[[i, j]] + back(i, j)).collect()
}

/// The edges of a matrix; of an undirected edge the mean of both directions.
pub(super) fn averaged(edges: &Edges, of: ArrayView2<'_, f64>) -> Array1<f64> {
    gathered(edges, of) * if edges.directed() { 1.0 } else { 0.5 }
}

/// N × N of edges, the same in both directions of an undirected one; 0 on the diagonal.
pub fn spread(edges: &Edges, values: impl IntoIterator<Item = f64>) -> Array2<f64> {
    let mut all = Array2::zeros((edges.nodes(), edges.nodes()));
    for ((i, j), value) in edges.places().into_iter().zip(values) {
        all[[i, j]] = value;
        if !edges.directed() {
            all[[j, i]] = value;
        }
    }
    all
}

/// What each region has of its edges: the sum of their sizes, both ways.
pub fn saliency(edges: &Edges, values: impl IntoIterator<Item = f64>) -> Vec<f64> {
    let mut of = vec![0.0; edges.nodes()];
    for ((i, j), value) in edges.places().into_iter().zip(values) {
        for region in [i, j] {
            of.get_mut(region).into_iter().for_each(|sum: &mut f64| *sum += value.abs());
        }
    }
    of
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;
    use crate::network::{Networks, Rows, Targets};

    #[test]
    fn an_undirected_edge_is_one_and_a_directed_one_two() {
        let edges = |of: [[f64; 3]; 3]| {
            let connectivity = Array3::from_shape_fn((1, 3, 3), |(_, i, j)| of[i][j]);
            let networks = Networks { connectivity, ..Networks::default() };
            Edges::of(None, Rows { networks: &networks, targets: &Targets::Values(vec![0.0]), rows: &[0] })
        };
        let matrix = array![[9.0, 1.0, 2.0], [3.0, 9.0, 4.0], [5.0, 6.0, 9.0]];
        let undirected = edges([[1.0; 3]; 3]);
        assert_eq!(gathered(&undirected, matrix.view()).to_vec(), [4.0, 7.0, 10.0]);
        assert_eq!(averaged(&undirected, matrix.view()).to_vec(), [2.0, 3.5, 5.0]);
        assert_eq!(spread(&undirected, [1.0, 2.0, 3.0]), array![[0.0, 1.0, 2.0], [1.0, 0.0, 3.0], [2.0, 3.0, 0.0]]);
        assert_eq!(saliency(&undirected, [1.0, -2.0, 3.0]), [3.0, 4.0, 5.0]);
        let directed = edges([[1.0, 0.0, 0.0], [1.0; 3], [1.0; 3]]);
        let gathered = gathered(&directed, matrix.view());
        assert_eq!(gathered.to_vec(), [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]);
        assert_eq!(spread(&directed, gathered), &matrix - &Array2::from_diag(&array![9.0, 9.0, 9.0]));
    }
}

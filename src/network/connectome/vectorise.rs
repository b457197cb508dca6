//! How does a symmetric matrix become features? Its lower triangle row after row, as nilearn's `sym_matrix_to_vec`.

use std::f64::consts::SQRT_2;

use ndarray::{Array2, ArrayView2};

/// Values of the vector of a matrix of `nodes` regions.
pub fn vector_length(nodes: usize, diagonal: bool) -> usize {
    if diagonal { nodes * (nodes + 1) / 2 } else { nodes * nodes.saturating_sub(1) / 2 }
}

/// The lower triangle of `symmetric`, row after row; with the `diagonal`, that is divided by √2, so that the vector's length is in
/// proportion to the matrix's norm.
pub fn vectorise(symmetric: ArrayView2<'_, f64>, diagonal: bool) -> Vec<f64> {
    let mut vector = Vec::with_capacity(vector_length(symmetric.nrows(), diagonal));
    for (i, row) in symmetric.rows().into_iter().enumerate() {
        vector.extend(row.iter().take(i));
        if let (true, Some(value)) = (diagonal, row.get(i)) {
            vector.push(value / SQRT_2);
        }
    }
    vector
}

/// The symmetric matrix of `nodes` regions that [`vectorise`] made `vector` of; without its `diagonal` that is 0. What is missing
/// at the vector's end is 0.
pub fn matrix(vector: &[f64], nodes: usize, diagonal: bool) -> Array2<f64> {
    let mut values = vector.iter().copied();
    let mut matrix = Array2::zeros((nodes, nodes));
    for i in 0..nodes {
        for j in 0..i + usize::from(diagonal) {
            let value = values.next().unwrap_or_default();
            let value = if i == j { value * SQRT_2 } else { value };
            (matrix[[i, j]], matrix[[j, i]]) = (value, value);
        }
    }
    matrix
}

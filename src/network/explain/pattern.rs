//! Where does the brain differ, as a linear model sees it? Patterns instead of weights (Haufe et al. 2014, NeuroImage 87:96, *On the
//! interpretation of weight vectors of linear models in multivariate neuroimaging*).
//!
//! A weight is a filter: an edge that says nothing of the class is given one where it helps to subtract noise that it shares with
//! an edge that does, and of two edges that say the same each may be given half, or one of them none. What belongs to the model's
//! output ŷ is the pattern A = Σ_x w / σ²_ŷ (eq. 6 there, of one output): by how much each edge moves where ŷ grows by one. Since
//! Σ_x w is the covariance of the edges with ŷ, it is computed as that, which holds for weights in a tangent space as well.

use ndarray::{Array1, ArrayView1, ArrayView2};

use crate::network::baselines::Edges;
use crate::network::{Inside, NetworkError, Rows};

/// The patterns of a linear model over the samples that it has learned from: an output each, edges in the order of
/// [`Edges::places`].
///
/// # Errors
/// A model that is not linear; outputs that do not vary.
pub fn patterns(
    name: &str,
    model: Inside<'_>,
    edges: &Edges,
    train: Rows<'_>,
) -> Result<Vec<Array1<f64>>, NetworkError> {
    let wrong = |problem: &str| NetworkError::Model { model: name.into(), problem: problem.into() };
    let Inside::Linear(model) = model else {
        return Err(wrong("is not linear, and has no pattern (choose --method gradients)"));
    };
    let (x, said) = (edges.vectors(train)?, model.decisions(train)?);
    let of = |said: ArrayView1<'_, f64>| {
        pattern(x.view(), said).ok_or_else(|| wrong("says the same of every training sample, which has no pattern"))
    };
    said.columns().into_iter().map(of).collect()
}

/// cov(x, ŷ) / var(ŷ) of samples × edges and an output; None of one that does not vary.
pub fn pattern(x: ArrayView2<'_, f64>, said: ArrayView1<'_, f64>) -> Option<Array1<f64>> {
    let centred = &said - said.mean()?;
    let squares = centred.dot(&centred);
    // The mean of x falls out, since what it is multiplied with sums to 0.
    (squares > 0.0).then(|| x.t().dot(&centred) / squares)
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn an_edge_that_only_takes_noise_away_has_a_weight_and_no_pattern() {
        // Haufe's example: x₁ = s + d, x₂ = d, so that s = x₁ − x₂. Signal and distractor do not go together.
        let (signal, noise) = ([1.0, 1.0, -1.0, -1.0], [2.0, -2.0, 2.0, -2.0]);
        let x = Array2::from_shape_fn((4, 2), |(row, edge)| noise[row] + if edge == 0 { signal[row] } else { 0.0 });
        let weights = array![1.0, -1.0];
        let found = pattern(x.view(), x.dot(&weights).view()).unwrap();
        assert_eq!(found.to_vec(), [1.0, 0.0]);
    }

    #[test]
    fn a_pattern_is_the_covariance_times_the_weights_over_the_variance() {
        let x = array![[0.3, -0.2, 0.5], [0.1, 0.4, -0.6], [-0.5, 0.2, 0.1], [0.8, 0.0, 0.3], [-0.1, -0.7, 0.2]];
        let weights = array![0.7, -0.4, 0.2];
        let centred = &x - &x.mean_axis(ndarray::Axis(0)).unwrap();
        let covariance = centred.t().dot(&centred) / 4.0;
        let expected = covariance.dot(&weights) / weights.dot(&covariance.dot(&weights));
        let found = pattern(x.view(), (x.dot(&weights) + 3.0).view()).unwrap();
        assert!((&found - &expected).iter().all(|d| d.abs() < 1e-12), "{found} and {expected}");
        assert_eq!(pattern(x.view(), Array1::ones(5).view()), None);
    }
}

//! Whose network is it? Each of the first ones is looked for among the second ones, and is its person's where that is most alike.
//!
//! Source: Finn et al. 2015, *Functional connectome fingerprinting* (Nature Neuroscience 18).

use ndarray::ArrayView2;

/// The edges of a network above the diagonal, without their mean and of unit length, so that products are Pearson's correlations.
pub fn profile(network: ArrayView2<'_, f64>) -> Vec<f64> {
    let n = network.nrows();
    let mut edges: Vec<f64> = (0..n).flat_map(|i| (i + 1..n).map(move |j| network[[i, j]])).collect();
    let mean = edges.iter().sum::<f64>() / edges.len().max(1) as f64;
    edges.iter_mut().for_each(|edge| *edge -= mean);
    let length = edges.iter().map(|edge| edge * edge).sum::<f64>().sqrt();
    if length > 0.0 {
        edges.iter_mut().for_each(|edge| *edge /= length);
    }
    edges
}

/// How many of `first` are most alike to the one of `second` in their own place; of equals none is.
pub fn identified(first: &[Vec<f64>], second: &[Vec<f64>]) -> usize {
    let alike = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| a * b).sum::<f64>();
    let is_found = |(person, profile): &(usize, &Vec<f64>)| {
        let Some(own) = second.get(*person).map(|own| alike(profile, own)) else { return false };
        second.iter().enumerate().all(|(other, theirs)| other == *person || alike(profile, theirs) < own)
    };
    first.iter().enumerate().filter(is_found).count()
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn whoever_is_most_alike_is_found_and_a_tie_finds_nobody() {
        let a = array![[1.0, 0.9, 0.1], [0.9, 1.0, 0.2], [0.1, 0.2, 1.0]];
        let b = array![[1.0, 0.1, 0.8], [0.1, 1.0, 0.3], [0.8, 0.3, 1.0]];
        let of = |networks: [&ndarray::Array2<f64>; 2]| networks.map(|network| profile(network.view()));
        assert_eq!(identified(&of([&a, &b]), &of([&a, &b])), 2);
        assert_eq!(identified(&of([&a, &b]), &of([&b, &a])), 0);
        assert_eq!(identified(&of([&a, &b]), &of([&a, &a])), 0);
    }
}

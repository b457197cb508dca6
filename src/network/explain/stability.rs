//! What stands in all folds? Of each edge its mean, its spread and its sign over folds, and how far the folds' first edges are the
//! same ones.
//!
//! With n edges of which each fold names its first k, r in common to two folds: the Jaccard index is r / (2k − r), whose expectation
//! by chance is that over the hypergeometric distribution of r; Kuncheva's index (2007, *A stability index for feature selection*)
//! is (r − k²/n) / (k − k²/n), 0 by chance and 1 where they are the same. Chance here is folds that know nothing of each other. Folds
//! share most of their training people, so more than chance is to be expected even of a model that has learned noise: agreement is
//! needed, and does not suffice.

use ndarray::Array1;
use serde::Serialize;

/// One edge over folds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Ranked {
    /// Its place in the list of edges.
    pub edge: usize,
    /// The mean value.
    pub mean: f64,
    /// The standard deviation (n − 1); NaN of one fold.
    pub sd: f64,
    /// The share of folds whose sign is that of the mean.
    pub sign: f64,
    /// In how many folds it is among the first k.
    pub folds: usize,
}

/// How far the folds' first edges are the same, over all pairs of folds.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Overlap {
    /// k: how many each fold names.
    pub top: usize,
    /// Mean Jaccard index.
    pub jaccard: f64,
    /// Its expectation by chance.
    pub jaccard_chance: f64,
    /// Mean index of Kuncheva; 0 by chance.
    pub kuncheva: f64,
}

/// What stands of one output.
#[derive(Clone, Debug, PartialEq)]
pub struct Stability {
    /// All edges, the largest mean first.
    pub ranked: Vec<Ranked>,
    /// How far folds agree; None of one fold, of no more edges than k, or where a fold has fewer of any value.
    pub overlap: Option<Overlap>,
}

/// Over the folds' values of the same edges; each fold names its `top` largest, of equal ones the earlier.
pub fn stability(folds: &[&Array1<f64>], top: usize) -> Stability {
    let edges = folds.first().map_or(0, |fold| fold.len());
    let first: Vec<Vec<bool>> = folds.iter().map(|fold| among_first(fold, top)).collect();
    let mut ranked: Vec<Ranked> = (0..edges)
        .map(|edge| {
            let values: Vec<f64> = folds.iter().filter_map(|fold| fold.get(edge).copied()).collect();
            let n = values.len() as f64;
            let mean = values.iter().sum::<f64>() / n;
            let squares: f64 = values.iter().map(|value| (value - mean).powi(2)).sum();
            let same = values.iter().filter(|value| sign(**value) == sign(mean)).count() as f64;
            let folds = first.iter().filter(|of| of.get(edge) == Some(&true)).count();
            Ranked { edge, mean, sd: (squares / (n - 1.0)).sqrt(), sign: same / n, folds }
        })
        .collect();
    ranked.sort_by(|a, b| b.mean.abs().total_cmp(&a.mean.abs()));
    Stability { ranked, overlap: overlap(&first, edges, top) }
}

fn sign(value: f64) -> i8 {
    i8::from(value > 0.0) - i8::from(value < 0.0)
}

fn among_first(values: &Array1<f64>, top: usize) -> Vec<bool> {
    let mut order: Vec<usize> = (0..values.len()).collect();
    let size = |edge: usize| values.get(edge).map_or(0.0, |value| value.abs());
    order.sort_by(|a, b| size(*b).total_cmp(&size(*a)));
    let mut first = vec![false; values.len()];
    // An edge of no value is not among the first, however few have one.
    for edge in order.into_iter().take(top).filter(|edge| size(*edge) > 0.0) {
        first.get_mut(edge).into_iter().for_each(|of| *of = true);
    }
    first
}

fn overlap(first: &[Vec<bool>], edges: usize, top: usize) -> Option<Overlap> {
    let few = |of: &Vec<bool>| of.iter().filter(|is| **is).count() < top;
    if first.len() < 2 || top >= edges || top == 0 || first.iter().any(few) {
        return None;
    }
    let (n, k) = (edges as f64, top as f64);
    let pairs =
        || first.iter().enumerate().flat_map(|(at, one)| first.iter().skip(at + 1).map(move |other| (one, other)));
    let shared: Vec<f64> =
        pairs().map(|(one, other)| one.iter().zip(other).filter(|(a, b)| **a && **b).count() as f64).collect();
    let mean = |of: &dyn Fn(f64) -> f64| shared.iter().map(|r| of(*r)).sum::<f64>() / shared.len() as f64;
    Some(Overlap {
        top,
        jaccard: mean(&|r| r / (2.0 * k - r)),
        jaccard_chance: chance(edges, top),
        kuncheva: mean(&|r| (r - k * k / n) / (k - k * k / n)),
    })
}

/// The expected Jaccard index of two draws of `top` of `edges`.
fn chance(edges: usize, top: usize) -> f64 {
    let (n, k) = (edges as f64, top as f64);
    let least = (2 * top).saturating_sub(edges);
    // Probabilities in proportion to the first one: P(r + 1) / P(r) = (k − r)² / ((r + 1)(n − 2k + r + 1)), in logarithms because
    // they span more than a double does.
    let mut logs = vec![0.0];
    for r in least..top {
        let r = r as f64;
        let last = logs.last().copied().unwrap_or(0.0);
        logs.push(last + 2.0 * (k - r).ln() - (r + 1.0).ln() - (n - 2.0 * k + r + 1.0).ln());
    }
    let most = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let weights: Vec<f64> = logs.iter().map(|log| (log - most).exp()).collect();
    let jaccard = weights.iter().enumerate().map(|(at, weight)| {
        let r = (least + at) as f64;
        weight * r / (2.0 * k - r)
    });
    jaccard.sum::<f64>() / weights.iter().sum::<f64>()
}

#[cfg(test)]
mod tests {
    use ndarray::array;

    use super::*;
    use crate::draws::Draws;

    #[test]
    fn an_edge_is_summed_over_folds() {
        let folds = [array![1.0, -4.0, 0.0, 0.5], array![3.0, 2.0, 0.0, -0.5], array![2.0, -4.0, 0.0, -1.5]];
        let folds: Vec<&Array1<f64>> = folds.iter().collect();
        let Stability { ranked, overlap } = stability(&folds, 2);
        let edges: Vec<(usize, f64, usize)> = ranked.iter().map(|of| (of.edge, of.sign, of.folds)).collect();
        assert_eq!(edges, [(0, 1.0, 3), (1, 2.0 / 3.0, 3), (3, 2.0 / 3.0, 0), (2, 1.0, 0)]);
        assert!((ranked[1].mean + 2.0).abs() < 1e-12 && (ranked[1].sd - 12_f64.sqrt()).abs() < 1e-12);
        let overlap = overlap.unwrap();
        assert_eq!((overlap.jaccard, overlap.kuncheva), (1.0, 1.0));
        assert_eq!(stability(&folds, 4).overlap, None);
        assert_eq!(stability(&folds[..1], 2).overlap, None);
    }

    #[test]
    fn chance_is_what_folds_that_know_nothing_of_each_other_have() {
        // Of four edges two: r is 0, 1, 2 in 1, 4, 1 of six.
        assert!((chance(4, 2) - (4.0 / 3.0 + 1.0) / 6.0).abs() < 1e-12, "{}", chance(4, 2));
        // Three of four have two in common at least: in 3 of 4 draws just two, 2/4 there.
        assert!((chance(4, 3) - (0.75 * 0.5 + 0.25)).abs() < 1e-12);
        let folds: Vec<Array1<f64>> = (0..60)
            .map(|fold| {
                let mut draws = Draws::new(3, fold);
                (0..780).map(|_| draws.normal()).collect()
            })
            .collect();
        let overlap = stability(&folds.iter().collect::<Vec<_>>(), 50).overlap.unwrap();
        assert!((overlap.jaccard - overlap.jaccard_chance).abs() < 0.002, "{overlap:?}");
        assert!(overlap.kuncheva.abs() < 0.004, "{overlap:?}");
        // 61,075 edges of 350 regions: logarithms hold.
        assert!((chance(61_075, 500) - 500.0 / 61_075.0 / 2.0).abs() < 1e-4, "{}", chance(61_075, 500));
    }
}

//! Which stimulus was it? Every candidate ranked by how likely the measured response is if it was that one.
//!
//! The inverse of predicting: with ŷ_c the response that the model expects of candidate c, and residuals of variance σ_v²
//! that are independent between voxels and samples,
//!
//! ```text
//! log p(y | c) = −½ Σ_v (y_v − ŷ_cv)² / σ_v²  +  the same for every candidate
//! ```
//! (identification as in Kay et al. 2008, Nature 452:352, there by correlation.) Residuals of neighbouring voxels are not
//! independent, so the ranking means something and the probabilities are too sure of themselves. [`By::Cosine`] ranks by the
//! cosine of measured and expected response instead, the distance of 2V2.
//!
//! ```
//! use neurod::encoding::identification::{By, rank, scores};
//! use ndarray::array;
//!
//! let expected = array![[0.0, 1.0], [1.0, 0.0], [1.0, 1.0]];
//! let scores = scores(array![0.9, 0.1].view(), expected.view(), &[1.0, 1.0], By::Likelihood);
//! assert_eq!(rank(&scores, 1).place, 1.0);
//! ```

use ndarray::{ArrayView1, ArrayView2};

/// By what candidates are ranked.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum By {
    /// The log-likelihood of the measured response.
    #[default]
    Likelihood,
    /// The cosine of measured and expected response.
    Cosine,
}

/// The score of each candidate (one a row of `expected`) for the response `y`, larger for a better one. `variances` are
/// those of the residuals; a voxel whose variance is not positive counts for nothing. The likelihood leaves out what is the
/// same for every candidate.
pub fn scores(y: ArrayView1<'_, f64>, expected: ArrayView2<'_, f64>, variances: &[f64], by: By) -> Vec<f64> {
    let counted = |v: &f64| *v > 0.0 && v.is_finite();
    let of = |candidate: ArrayView1<'_, f64>| {
        let voxels = y.iter().zip(candidate).zip(variances).filter(|(_, variance)| counted(variance));
        match by {
            By::Likelihood => -0.5 * voxels.map(|((y, p), variance)| (y - p) * (y - p) / variance).sum::<f64>(),
            By::Cosine => {
                let (mut dot, mut yy, mut pp) = (0.0, 0.0, 0.0);
                voxels.for_each(|((y, p), _)| (dot, yy, pp) = (dot + y * p, yy + y * y, pp + p * p));
                // A response without a direction is near to nothing.
                if yy > 0.0 && pp > 0.0 { dot / (yy * pp).sqrt() } else { -1.0 }
            }
        }
    };
    expected.rows().into_iter().map(of).collect()
}

/// Where the right candidate came out.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rank {
    /// From 1; in the middle of those with its score.
    pub place: f64,
    /// How many candidates have its score, itself included.
    pub tied: usize,
    /// How many candidates there are.
    pub candidates: usize,
}

/// The rank of candidate `right`.
pub fn rank(scores: &[f64], right: usize) -> Rank {
    let own = scores.get(right).copied().unwrap_or(f64::NAN);
    let better = scores.iter().filter(|score| **score > own).count();
    let tied = scores.iter().filter(|score| **score == own).count().max(1);
    Rank { place: 1.0 + better as f64 + (tied - 1) as f64 / 2.0, tied, candidates: scores.len() }
}

impl Rank {
    /// The chance that it is among the best `k` when ties are drawn by lot.
    pub fn within(&self, k: usize) -> f64 {
        let better = self.place - 1.0 - (self.tied - 1) as f64 / 2.0;
        ((k as f64 - better) / self.tied as f64).clamp(0.0, 1.0)
    }

    /// 1 for the best place, 0 for the last; chance is 0.5.
    pub fn percentile(&self) -> f64 {
        1.0 - (self.place - 1.0) / self.candidates.saturating_sub(1).max(1) as f64
    }
}

/// How well many were identified, and how well chance alone would.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Identified {
    /// The fraction whose right candidate came first.
    pub top_1: f64,
    /// The fraction whose right candidate was among the first five.
    pub top_5: f64,
    /// The mean percentile rank of the right candidate.
    pub percentile: f64,
    /// `top_1` by chance.
    pub chance_1: f64,
    /// `top_5` by chance.
    pub chance_5: f64,
}

impl Identified {
    /// Over all of these.
    pub fn over(ranks: &[Rank]) -> Self {
        let mean = |of: &dyn Fn(&Rank) -> f64| ranks.iter().map(of).sum::<f64>() / ranks.len().max(1) as f64;
        let chance = |k: usize| move |rank: &Rank| k.min(rank.candidates) as f64 / rank.candidates.max(1) as f64;
        Self {
            top_1: mean(&|rank| rank.within(1)),
            top_5: mean(&|rank| rank.within(5)),
            percentile: mean(&|rank| rank.percentile()),
            chance_1: mean(&chance(1)),
            chance_5: mean(&chance(5)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn ties_share_their_places_and_a_voxel_without_variance_counts_for_nothing() {
        let flat = rank(&[2.0, 2.0, 2.0, 2.0], 3);
        assert_eq!((flat.place, flat.within(1), flat.percentile()), (2.5, 0.25, 0.5));
        let last = rank(&[3.0, 2.0, 1.0], 2);
        assert_eq!((last.place, last.within(1), last.within(5), last.percentile()), (3.0, 0.0, 1.0, 0.0));
        let all = Identified::over(&[flat, last]);
        assert_eq!((all.top_1, all.chance_5), (0.125, 1.0));
        assert!((all.chance_1 - (0.25 + 1.0 / 3.0) / 2.0).abs() < 1e-15);
        let expected = array![[1.0, 5.0], [2.0, 9.0]];
        let got = scores(array![1.5, 5.0].view(), expected.view(), &[0.5, 0.0], By::Likelihood);
        assert_eq!(got, [-0.25, -0.25]);
        let got = scores(array![1.0, 0.0].view(), array![[2.0, 0.0], [0.0, 0.0]].view(), &[1.0, 1.0], By::Cosine);
        assert_eq!(got, [1.0, -1.0]);
    }
}

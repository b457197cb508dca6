//! How much does each feature space count, for each voxel? Banded ridge: a penalty of its own for every space.
//!
//! Space i is scaled by √γᵢ, and one λ penalises them all: λ/γᵢ for each. Mixes γ are tried one after another (random
//! search: Bergstra and Bengio 2012, JMLR 13:281), each with the whole grid of λ; every voxel takes the mix and λ that
//! predict best in folds of the teaching rows, the first of equals, as himalaya's `solve_group_ridge_random_search` does
//! (Dupré la Tour et al. 2022, NeuroImage 264:119728). Weights are those of the features as they are, not as scaled.

use std::ops::Range;

use ndarray::{Array2, ArrayView2};

use super::EncodingError;
use super::folds::Fold;
use super::plan::{Lambdas, Learned, Plan, Wanted, best};
use super::products::Products;
use super::solve::{Lambda, Ridge, Weights, same_rows};
use crate::draws::Draws;
use crate::linalg::Real;

/// Feature spaces, and the mixes of them that are tried.
#[derive(Clone, Debug, PartialEq)]
pub struct Bands {
    /// The columns of each space; with delays, a stretch for each.
    pub spaces: Vec<Vec<Range<usize>>>,
    /// γ of every space, for each mix; not negative, and not all zero.
    pub mixes: Vec<Vec<f64>>,
}

/// What was chosen for each voxel.
#[derive(Clone, Debug, PartialEq)]
pub struct Choice {
    /// The number of the mix.
    pub mixes: Vec<usize>,
    /// λ.
    pub lambdas: Vec<f64>,
    /// The mean criterion over the folds with both, the larger the better.
    pub scores: Vec<f64>,
}

impl Bands {
    /// # Errors
    /// No space or no mix; a mix of another number of spaces, or with a γ that cannot be.
    pub fn check(&self) -> Result<(), EncodingError> {
        let spaces = self.spaces.len();
        if spaces == 0 || self.mixes.is_empty() {
            return Err(EncodingError::Mix("there are no feature spaces, or no mixes of them".into()));
        }
        for (number, mix) in self.mixes.iter().enumerate() {
            let sound = mix.iter().all(|gamma| *gamma >= 0.0 && gamma.is_finite()) && mix.iter().any(|g| *g > 0.0);
            if mix.len() != spaces || !sound {
                return Err(EncodingError::Mix(format!(
                    "mix {number} is {mix:?}: give each of the {spaces} spaces a share of 0 or more, and one more than 0"
                )));
            }
        }
        Ok(())
    }
}

/// `count` mixes of so many spaces: all alike first, then each space (nearly) alone, then drawn from Dirichlet
/// distributions, sparse (0.1) and even (1) in turn, by a seed.
pub fn mixes(spaces: usize, count: usize, seed: u64) -> Vec<Vec<f64>> {
    const CONCENTRATIONS: [f64; 2] = [0.1, 1.0];
    /// Of a corner, what the other spaces keep: nothing at all would never come back.
    const REST: f64 = 1e-4;
    let normal = |mut mix: Vec<f64>| {
        let sum: f64 = mix.iter().sum();
        mix.iter_mut().for_each(|share| *share /= sum);
        mix
    };
    let even = std::iter::once(vec![1.0; spaces]);
    let corners = (0..spaces).map(|one| (0..spaces).map(|i| if i == one { 1.0 } else { REST }).collect());
    let drawn = CONCENTRATIONS.iter().cycle().enumerate().map(|(draw, concentration)| {
        let mut draws = Draws::new(seed, draw);
        // A share below this could as well be nothing.
        (0..spaces).map(|_| draws.gamma(*concentration).max(1e-12)).collect()
    });
    let corners = corners.take(if spaces > 1 { spaces } else { 0 });
    even.chain(corners).chain(drawn).take(count).map(normal).collect()
}

/// The mix and λ of every voxel, by the best mean criterion over `folds`.
///
/// # Errors
/// A λ or mix that cannot be, one λ for all voxels, features that cannot be decomposed.
pub fn choose<T: Real>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    folds: &[Fold],
    ridge: &Ridge,
    bands: &Bands,
) -> Result<Choice, EncodingError> {
    ridge.lambda.check()?;
    bands.check()?;
    same_rows(x, y)?;
    if matches!(ridge.lambda, Lambda::Shared(_)) {
        return Err(EncodingError::Mix("each voxel has a mix of its own, and so a λ of its own".into()));
    }
    let grid = ridge.lambda.candidates();
    let voxels = Vec::from_iter(0..y.ncols());
    let taught: Vec<&[usize]> = folds.iter().map(|fold| fold.train.as_slice()).collect();
    let products = Products::new(x, &taught, &bands.spaces, ridge.centre);
    let first = grid.first().copied().unwrap_or(f64::NAN);
    let mut chosen = Choice {
        mixes: vec![0; y.ncols()],
        lambdas: vec![first; y.ncols()],
        scores: vec![f64::NEG_INFINITY; y.ncols()],
    };
    for (number, mix) in bands.mixes.iter().enumerate() {
        let plan = Plan::new(&products, folds, Wanted::Scores, mix, grid, ridge.criterion)?;
        let mut learned = Learned::blank(grid.len(), 0, y.ncols());
        plan.learn(y, &voxels, Lambdas::Best, &mut learned);
        let slots = chosen.mixes.iter_mut().zip(&mut chosen.lambdas).zip(&mut chosen.scores);
        for (((mix, lambda), top), scores) in slots.zip(learned.scores.columns()) {
            let (candidate, score) = best(grid, scores);
            // Better by more than rounding, as himalaya has it.
            if score > *top + T::EPSILON {
                (*mix, *lambda, *top) = (number, candidate, score);
            }
        }
    }
    Ok(chosen)
}

/// What the rows `fold.test` are predicted to be (rows × V) by the rows `fold.train`, each voxel with its mix and λ.
///
/// # Errors
/// A mix that cannot be; features that cannot be decomposed.
pub fn predict<T: Real>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    fold: &Fold,
    choice: &Choice,
    bands: &Bands,
    centre: bool,
) -> Result<Array2<T>, EncodingError> {
    Ok(given(x, y, &fold.train, Wanted::Rows(&fold.test), choice, bands, centre)?.values)
}

/// The weights that these rows teach, each voxel with its mix and λ.
///
/// # Errors
/// As [`predict`].
pub fn fit<T: Real>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    rows: &[usize],
    choice: &Choice,
    bands: &Bands,
    centre: bool,
) -> Result<Weights<T>, EncodingError> {
    let learned = given(x, y, rows, Wanted::Weights, choice, bands, centre)?;
    Ok(Weights { weights: learned.values, intercepts: learned.intercepts })
}

/// Makes what is wanted, mix by mix, for the voxels that chose it.
fn given<T: Real>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    rows: &[usize],
    wanted: Wanted<'_>,
    choice: &Choice,
    bands: &Bands,
    centre: bool,
) -> Result<Learned<T>, EncodingError> {
    bands.check()?;
    same_rows(x, y)?;
    let height = if let Wanted::Rows(rows) = wanted { rows.len() } else { x.ncols() };
    let mut learned = Learned::blank(0, height, y.ncols());
    let products = Products::new(x, &[rows], &bands.spaces, centre);
    for (number, mix) in bands.mixes.iter().enumerate() {
        let voxels: Vec<usize> = (0..y.ncols()).filter(|v| choice.mixes.get(*v) == Some(&number)).collect();
        if !voxels.is_empty() {
            let plan = Plan::new(&products, &[], wanted, mix, &[], Default::default())?;
            plan.learn(y, &voxels, Lambdas::Given(&choice.lambdas), &mut learned);
        }
    }
    Ok(learned)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mixes_lie_on_the_simplex_and_the_seed_decides() {
        let found = mixes(3, 40, 5);
        assert!(found.len() == 40 && found[0] == [1.0 / 3.0; 3] && found[2][1] > 0.999);
        assert!(found.iter().all(|mix| (mix.iter().sum::<f64>() - 1.0).abs() < 1e-12 && mix.iter().all(|g| *g > 0.0)));
        assert!(found == mixes(3, 40, 5) && found[10] != mixes(3, 40, 6)[10]);
        assert_eq!(mixes(1, 2, 0), [[1.0], [1.0]]);
        // Means of both distributions are even; the sparse one varies by (1/3)(2/3)/(0.3 + 1), the other by /(3 + 1).
        let many = mixes(3, 4004, 1);
        for (which, variance) in [(4, 2.0 / 9.0 / 1.3), (5, 2.0 / 9.0 / 4.0)] {
            let shares: Vec<f64> = many[which..].iter().step_by(2).map(|mix| mix[0]).collect();
            let mean = shares.iter().sum::<f64>() / shares.len() as f64;
            let spread = shares.iter().map(|s| (s - mean).powi(2)).sum::<f64>() / shares.len() as f64;
            assert!(
                (mean - 1.0 / 3.0).abs() < 0.04 && (spread / variance - 1.0).abs() < 0.1,
                "{mean} {spread} {variance}"
            );
        }
    }

    #[test]
    fn what_cannot_be_mixed_is_refused_by_name() {
        let says = |mixes: Vec<Vec<f64>>| {
            Bands { spaces: vec![vec![0..1], vec![1..2]], mixes }.check().unwrap_err().to_string()
        };
        assert!(says(vec![]).contains("no mixes"));
        assert!(says(vec![vec![0.5, 0.5], vec![0.5]]).contains("mix 1 is [0.5]: give each of the 2 spaces"));
        assert!(
            says(vec![vec![0.0, 0.0]]).contains("one more than 0") && says(vec![vec![-1.0, 2.0]]).contains("mix 0")
        );
    }
}

//! How is one fit computed? Folds decomposed first, then block after block of voxels scored, and fitted with the best λ.

use std::sync::Mutex;

use ndarray::{Array2, ArrayView1, ArrayView2};

use super::EncodingError;
use super::basis::Basis;
use super::filters::Filters;
use super::folds::Fold;
use super::products::{Block, Products};
use super::solve::Criterion;
use crate::linalg::{self, Real};
use crate::parallel;

/// What is made with the chosen λ.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Wanted<'a> {
    /// Nothing.
    Scores,
    /// What these rows are predicted to be.
    Rows(&'a [usize]),
    /// Weights and intercepts.
    Weights,
}

/// The λ of each voxel.
#[derive(Clone, Copy, Debug)]
pub(super) enum Lambdas<'a> {
    /// One for each voxel of the responses.
    Given(&'a [f64]),
    /// The best of a grid by the folds.
    Best,
}

/// Folds in which λ is chosen, decomposed, and what is fitted with it.
pub(super) struct Plan<'a, T> {
    products: &'a Products<'a, T>,
    folds: Vec<Scored<'a, T>>,
    last: Option<Last<T>>,
    grid: &'a [f64],
    criterion: Criterion,
}

/// A fold in which λ is chosen.
struct Scored<'a, T> {
    basis: Basis<T>,
    test: &'a [usize],
    /// The predicted rows' features in the basis: rows × rank.
    projected: Vec<T>,
    /// What the grid of λ keeps of each direction.
    filters: Filters,
}

/// What is fitted.
struct Last<T> {
    basis: Basis<T>,
    /// What makes values of what was kept of each direction: rows × rank.
    left: Vec<T>,
    rows: usize,
    weights: bool,
}

/// What came out, for all voxels.
pub(super) struct Learned<T> {
    /// One a voxel.
    pub lambdas: Vec<f64>,
    /// The criterion of every λ and voxel: λ × V.
    pub scores: Array2<f64>,
    /// Rows × V, or weights F × V.
    pub values: Array2<T>,
    /// One a voxel, of weights.
    pub intercepts: Vec<f64>,
}

impl<T: Real> Learned<T> {
    /// Nothing as yet, of so many λ, rows of values, and voxels.
    pub fn blank(lambdas: usize, rows: usize, voxels: usize) -> Self {
        Self {
            lambdas: vec![0.0; voxels],
            scores: Array2::zeros((lambdas, voxels)),
            values: Array2::from_elem((rows, voxels), T::default()),
            intercepts: vec![0.0; voxels],
        }
    }
}

enum Made<'a, T> {
    Scored(Scored<'a, T>),
    Last(Last<T>),
}

impl<'a, T: Real> Plan<'a, T> {
    /// Folds of `products`, in their order; where something is wanted, what teaches it comes after them. Feature spaces are
    /// scaled by √γ.
    ///
    /// # Errors
    /// Features that cannot be decomposed.
    pub fn new(
        products: &'a Products<'a, T>,
        folds: &'a [Fold],
        wanted: Wanted<'_>,
        gammas: &[f64],
        grid: &'a [f64],
        criterion: Criterion,
    ) -> Result<Self, EncodingError> {
        let more = usize::from(wanted != Wanted::Scores);
        let made = parallel::map(folds.len() + more, |job| -> Result<Made<'a, T>, EncodingError> {
            let basis = Basis::of(products, job, gammas)?;
            Ok(match (folds.get(job), wanted) {
                (Some(fold), _) => {
                    let projected = basis.project(products, &fold.test);
                    let filters = Filters::new(&basis.values, grid, T::TOLERANCE);
                    Made::Scored(Scored { basis, test: &fold.test, projected, filters })
                }
                (None, Wanted::Rows(rows)) => {
                    let left = basis.project(products, rows);
                    Made::Last(Last { basis, left, rows: rows.len(), weights: false })
                }
                (None, _) => {
                    let left = basis.directions(products);
                    Made::Last(Last { basis, left, rows: products.x.ncols(), weights: true })
                }
            })
        });
        let mut plan = Self { products, folds: vec![], last: None, grid, criterion };
        for made in made {
            match made? {
                Made::Scored(fold) => plan.folds.push(fold),
                Made::Last(last) => plan.last = Some(last),
            }
        }
        Ok(plan)
    }

    /// Does everything for these voxels of the responses (n × V), each block of them on one thread.
    pub fn learn(&self, y: ArrayView2<'_, T>, voxels: &[usize], lambdas: Lambdas<'_>, into: &mut Learned<T>) {
        let into = Mutex::new(into);
        let blocks: Vec<&[usize]> = voxels.chunks(self.products.width()).collect();
        parallel::map(blocks.len(), |job| {
            let voxels = blocks.get(job).copied().unwrap_or_default();
            let block = self.products.block(y, voxels);
            let scores = self.score(&block);
            let scored = ArrayView2::from_shape((self.grid.len(), voxels.len()), &scores);
            let lambdas: Vec<f64> = match (lambdas, scored) {
                (Lambdas::Best, Ok(scored)) => scored.columns().into_iter().map(|s| best(self.grid, s).0).collect(),
                (Lambdas::Given(all), _) => voxels.iter().map(|v| all.get(*v).copied().unwrap_or(f64::NAN)).collect(),
                (Lambdas::Best, Err(_)) => vec![f64::NAN; voxels.len()],
            };
            let (values, intercepts) =
                self.last.as_ref().map(|last| self.finish(last, &block, &lambdas)).unwrap_or_default();
            // A thread that panicked has already ended everything.
            let Ok(mut into) = into.lock() else { return };
            scatter(&mut into.scores, voxels, &scores);
            scatter(&mut into.values, voxels, &values);
            let Learned { lambdas: all, intercepts: every, .. } = &mut **into;
            for (v, lambda) in voxels.iter().zip(&lambdas) {
                all.get_mut(*v).into_iter().for_each(|slot| *slot = *lambda);
            }
            for (v, intercept) in voxels.iter().zip(&intercepts) {
                every.get_mut(*v).into_iter().for_each(|slot| *slot = *intercept);
            }
        });
    }

    /// The mean criterion over the folds of every λ and voxel of the block: λ × voxels.
    fn score(&self, block: &Block<'_, T>) -> Vec<f64> {
        let columns = block.voxels.len();
        let mut scores = vec![0.0; self.grid.len() * columns];
        for fold in &self.folds {
            let (z, means) = fold.basis.rotate(self.products, block);
            let truth = block.rows(fold.test, &means);
            let spread = squares_about_mean(&truth, columns);
            // What each filter of the basis would predict: one product each; every λ is a mixture of them.
            let (rows, rank) = (fold.test.len(), fold.basis.rank());
            let mut filtered = z.clone();
            let part = |filter: &Vec<f64>| {
                let shares = filter.iter().zip(&fold.basis.values).map(|(share, value)| T::of(share / value));
                for ((out, z), share) in filtered.chunks_exact_mut(columns).zip(z.chunks_exact(columns)).zip(shares) {
                    out.iter_mut().zip(z).for_each(|(out, z)| *out = share * *z);
                }
                let mut part = vec![T::default(); rows * columns];
                linalg::gemm(&mut part, &fold.projected, false, &filtered, [rows, rank, columns]);
                part
            };
            let parts: Vec<Vec<T>> = fold.filters.basis.iter().map(part).collect();
            let mixes: Vec<Vec<T>> =
                fold.filters.mix.iter().map(|mix| mix.iter().map(|m| T::of(*m)).collect()).collect();
            let errors = linalg::squared_errors(&truth, &parts, &mixes, columns);
            for (scores, errors) in scores.chunks_exact_mut(columns).zip(errors.chunks_exact(columns)) {
                for ((score, error), spread) in scores.iter_mut().zip(errors).zip(&spread) {
                    *score += match self.criterion {
                        Criterion::SquaredError => -error / rows as f64,
                        // A voxel that does not vary cannot be explained.
                        Criterion::R2 if *spread > 0.0 => 1.0 - error / spread,
                        Criterion::R2 => 0.0,
                    };
                }
            }
        }
        scores.iter_mut().for_each(|score| *score /= self.folds.len().max(1) as f64);
        scores
    }

    /// What is fitted with a λ for each voxel of the block: rows × voxels, and intercepts of weights.
    fn finish(&self, last: &Last<T>, block: &Block<'_, T>, lambdas: &[f64]) -> (Vec<T>, Vec<f64>) {
        let columns = lambdas.len();
        let (mut z, means) = last.basis.rotate(self.products, block);
        for (z, value) in z.chunks_exact_mut(columns.max(1)).zip(&last.basis.values) {
            z.iter_mut().zip(lambdas).for_each(|(z, lambda)| *z = T::of(z.wide() / (value + lambda)));
        }
        let mut values = vec![T::default(); last.rows * columns];
        linalg::gemm(&mut values, &last.left, false, &z, [last.rows, last.basis.rank(), columns]);
        let means: Vec<f64> = means.iter().zip(&block.shift).map(|(mean, shift)| mean + shift).collect();
        if last.weights {
            let intercepts = last.basis.intercepts(self.products, &values, means);
            return (values, intercepts);
        }
        for row in values.chunks_exact_mut(columns.max(1)) {
            row.iter_mut().zip(&means).for_each(|(p, mean)| *p = T::of(p.wide() + mean));
        }
        (values, Vec::new())
    }
}

/// The λ with the best score, the first of equals, and that score.
pub(super) fn best(grid: &[f64], scores: ArrayView1<'_, f64>) -> (f64, f64) {
    let first = grid.first().copied().unwrap_or(f64::NAN);
    let pick = |(best, top): (f64, f64), (lambda, score): (&f64, &f64)| {
        if *score > top { (*lambda, *score) } else { (best, top) }
    };
    grid.iter().zip(scores).fold((first, f64::NEG_INFINITY), pick)
}

/// Σ over rows of the squared deviation of each column from its mean.
fn squares_about_mean<T: Real>(block: &[T], columns: usize) -> Vec<f64> {
    let rows = block.len() / columns.max(1);
    let (mut means, mut sums) = (vec![0.0; columns], vec![0.0; columns]);
    for row in block.chunks_exact(columns.max(1)) {
        means.iter_mut().zip(row).for_each(|(mean, v)| *mean += v.wide());
    }
    means.iter_mut().for_each(|mean| *mean /= rows.max(1) as f64);
    for row in block.chunks_exact(columns.max(1)) {
        sums.iter_mut().zip(row).zip(&means).for_each(|((sum, v), mean)| *sum += (v.wide() - mean).powi(2));
    }
    sums
}

/// Puts a block (rows × voxels) into the columns of its voxels.
fn scatter<T: Copy>(into: &mut Array2<T>, voxels: &[usize], block: &[T]) {
    for (mut row, values) in into.rows_mut().into_iter().zip(block.chunks_exact(voxels.len().max(1))) {
        for (v, value) in voxels.iter().zip(values) {
            row.get_mut(*v).into_iter().for_each(|slot| *slot = *value);
        }
    }
}

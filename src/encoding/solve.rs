//! What are the weights, and what do they predict? Ridge regression for many voxels at once, λ fixed or chosen.
//!
//! The features of the rows that teach are decomposed once, Xc = U S Qᵀ, by the eigenvectors of XcᵀXc or, where there are
//! fewer rows than features, of XcXcᵀ. With Z = (XcQ)ᵀ Y the weights for any λ are W = Q (S² + λ)⁻¹ Z, and what they predict
//! for other rows X′ is ȳ + (X′ − x̄)Q (S² + λ)⁻¹ Z. So a whole grid of λ costs a few products (`filters`), and each voxel
//! can have its own. λ is chosen by the mean [`Criterion`] over folds of the teaching rows, the first of equals, as himalaya's
//! `RidgeCV` and scikit-learn's `GridSearchCV` do.
//!
//! Voxels are taken in blocks, each on one thread, so memory stays bounded and the bits do not depend on the cores.

use ndarray::{Array2, ArrayView1, ArrayView2, Axis, s};

use super::filters::Filters;
use super::folds::Fold;
use super::{EncodingError, parallel};
use crate::linalg::{self, Real};

/// Voxels that are computed together.
const BLOCK: usize = 512;

/// Where λ comes from.
#[derive(Clone, Debug, PartialEq)]
pub enum Lambda {
    /// This one.
    Fixed(f64),
    /// The best of these for all voxels together.
    Shared(Vec<f64>),
    /// The best of these for each voxel.
    PerVoxel(Vec<f64>),
}

/// By what λ is chosen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Criterion {
    /// The least mean squared error: himalaya's default.
    #[default]
    SquaredError,
    /// The largest R²: scikit-learn's default, and the paper's released code.
    R2,
}

/// How λ is found and the weights with it.
#[derive(Clone, Debug, PartialEq)]
pub struct Ridge {
    /// Where λ comes from.
    pub lambda: Lambda,
    /// By what it is chosen.
    pub criterion: Criterion,
    /// Whether features and responses are centred over the teaching rows: an intercept that is not penalised.
    pub centre: bool,
}

impl Lambda {
    /// # Errors
    /// One that is not positive and finite, or none at all.
    pub fn check(&self) -> Result<(), EncodingError> {
        match self.candidates().iter().find(|l| !(**l > 0.0 && l.is_finite())) {
            Some(lambda) => Err(EncodingError::Lambda(*lambda)),
            None if self.candidates().is_empty() => Err(EncodingError::Lambda(f64::NAN)),
            None => Ok(()),
        }
    }

    /// Every λ that may be taken.
    pub fn candidates(&self) -> &[f64] {
        match self {
            Lambda::Fixed(lambda) => std::slice::from_ref(lambda),
            Lambda::Shared(grid) | Lambda::PerVoxel(grid) => grid,
        }
    }
}

/// The rows that teach, decomposed.
pub struct Basis<T> {
    /// The features' means over those rows; zero without centring.
    means: Vec<f64>,
    /// S², largest first.
    values: Vec<f64>,
    /// Q (F × rank), row-major.
    directions: Vec<T>,
    /// Xc Q (rows × rank), row-major.
    scores: Vec<T>,
}

impl<T: Real> Basis<T> {
    /// Of these rows of the features (n × F).
    ///
    /// # Errors
    /// Features that are not finite.
    pub fn of(x: ArrayView2<'_, T>, rows: &[usize], centre: bool) -> Result<Self, EncodingError> {
        let (n, f) = (rows.len(), x.ncols());
        let mut means = vec![0.0; f];
        if centre {
            for row in rows {
                means.iter_mut().zip(x.row(*row)).for_each(|(mean, v)| *mean += v.wide());
            }
            means.iter_mut().for_each(|mean| *mean /= n.max(1) as f64);
        }
        let centred: Vec<f64> =
            rows.iter().flat_map(|row| x.row(*row).into_iter().zip(&means).map(|(v, m)| v.wide() - m)).collect();
        let narrow = |values: &[f64]| values.iter().map(|v| T::of(*v)).collect::<Vec<T>>();
        // The smaller of the two Gram matrices.
        let (values, directions) = if f <= n {
            let mut gram = vec![0.0; f * f];
            linalg::gemm(&mut gram, &centred, true, &centred, [f, n, f]);
            let eigen = linalg::eigen(&gram, f).map_err(|_| EncodingError::Unsolvable)?;
            let vectors = eigen.vectors();
            keep(eigen.values, &vectors, f, |_| 1.0)
        } else {
            let turned = transpose(&centred, n, f);
            let mut gram = vec![0.0; n * n];
            linalg::gemm(&mut gram, &turned, true, &turned, [n, f, n]);
            let eigen = linalg::eigen(&gram, n).map_err(|_| EncodingError::Unsolvable)?;
            let vectors = eigen.vectors();
            let (values, left) = keep(eigen.values, &vectors, n, |value| 1.0 / value.sqrt());
            let mut directions = vec![0.0; f * values.len()];
            linalg::gemm(&mut directions, &centred, true, &left, [f, n, values.len()]);
            (values, directions)
        };
        let mut scores = vec![0.0; n * values.len()];
        linalg::gemm(&mut scores, &centred, false, &directions, [n, f, values.len()]);
        Ok(Self { means, directions: narrow(&directions), scores: narrow(&scores), values })
    }

    fn rank(&self) -> usize {
        self.values.len()
    }

    /// (X − x̄) Q for other rows: rows × rank.
    fn project(&self, x: ArrayView2<'_, T>, rows: &[usize]) -> Vec<T> {
        let centred: Vec<T> = rows
            .iter()
            .flat_map(|row| x.row(*row).into_iter().zip(&self.means).map(|(v, m)| T::of(v.wide() - m)))
            .collect();
        let mut out = vec![T::of(0.0); rows.len() * self.rank()];
        linalg::gemm(&mut out, &centred, false, &self.directions, [rows.len(), x.ncols(), self.rank()]);
        out
    }

    /// Z = (Xc Q)ᵀ Y for a block of voxels (rows × `columns`, row-major): rank × `columns`.
    fn rotate(&self, y: &[T], rows: usize, columns: usize) -> Vec<T> {
        let mut out = vec![T::of(0.0); self.rank() * columns];
        linalg::gemm(&mut out, &self.scores, true, y, [self.rank(), rows, columns]);
        out
    }

    /// (S² + λ)⁻¹ Z, with a λ for each column.
    fn shrink(&self, z: &[T], lambdas: &[f64], out: &mut [T]) {
        let columns = lambdas.len();
        for ((z, out), value) in z.chunks_exact(columns).zip(out.chunks_exact_mut(columns)).zip(&self.values) {
            for ((z, out), lambda) in z.iter().zip(out).zip(lambdas) {
                *out = T::of(z.wide() / (value + lambda));
            }
        }
    }
}

/// The directions that carry anything, largest first, each scaled.
fn keep(values: Vec<f64>, vectors: &[f64], size: usize, scale: impl Fn(f64) -> f64) -> (Vec<f64>, Vec<f64>) {
    let floor = values.last().copied().unwrap_or(0.0) * 1e-13 * size as f64;
    let kept: Vec<usize> = (0..size).rev().filter(|i| values.get(*i).is_some_and(|v| *v > floor)).collect();
    let directions = vectors
        .chunks_exact(size)
        .flat_map(|row| {
            kept.iter().map(|i| row.get(*i).copied().unwrap_or(0.0) * scale(values.get(*i).copied().unwrap_or(1.0)))
        })
        .collect();
    (kept.iter().filter_map(|i| values.get(*i).copied()).collect(), directions)
}

fn transpose(a: &[f64], rows: usize, columns: usize) -> Vec<f64> {
    let view = ArrayView2::from_shape((rows, columns), a);
    view.map(|a| a.t().iter().copied().collect()).unwrap_or_default()
}

/// A block of voxels of some rows, and its means over them.
fn gather<T: Real>(y: ArrayView2<'_, T>, rows: &[usize]) -> Vec<T> {
    rows.iter().flat_map(|row| y.row(*row).into_iter().copied()).collect()
}

fn column_means<T: Real>(block: &[T], columns: usize) -> Vec<f64> {
    let mut means = vec![0.0; columns];
    let rows = block.len() / columns.max(1);
    for row in block.chunks_exact(columns.max(1)) {
        means.iter_mut().zip(row).for_each(|(mean, v)| *mean += v.wide());
    }
    means.iter_mut().for_each(|mean| *mean /= rows.max(1) as f64);
    means
}

/// A decomposition, and the rows it predicts.
struct Prepared<'a, T> {
    basis: Basis<T>,
    fold: &'a Fold,
    /// The predicted rows' features in the basis: rows × rank.
    projected: Vec<T>,
    /// What the grid of λ keeps of each direction.
    filters: Filters,
}

impl<'a, T: Real> Prepared<'a, T> {
    fn new(x: ArrayView2<'_, T>, fold: &'a Fold, lambdas: &[f64], centre: bool) -> Result<Self, EncodingError> {
        let basis = Basis::of(x, &fold.train, centre)?;
        let projected = basis.project(x, &fold.test);
        let filters = Filters::new(&basis.values, lambdas, T::TOLERANCE);
        Ok(Self { basis, fold, projected, filters })
    }

    /// Adds how well the predicted rows are met, for every λ and voxel of the block, to `scores` (λ × columns).
    fn score(&self, y: ArrayView2<'_, T>, ridge: &Ridge, scores: &mut [f64]) {
        let (centre, columns) = (ridge.centre, y.ncols());
        let taught = gather(y, &self.fold.train);
        let means = if centre { column_means(&taught, columns) } else { vec![0.0; columns] };
        let z = self.basis.rotate(&taught, self.fold.train.len(), columns);
        let truth = gather(y, &self.fold.test);
        let spread = squares_about(&truth, &column_means(&truth, columns));
        // What each filter of the basis would predict: one product each; every λ is a mixture of them.
        let (rows, rank) = (self.fold.test.len(), self.basis.rank());
        let mut filtered = z.clone();
        let mut parts = Vec::with_capacity(self.filters.basis.len());
        for filter in &self.filters.basis {
            let shares = filter.iter().zip(&self.basis.values).map(|(share, value)| T::of(share / value));
            for ((out, z), share) in filtered.chunks_exact_mut(columns).zip(z.chunks_exact(columns)).zip(shares) {
                out.iter_mut().zip(z).for_each(|(out, z)| *out = share * *z);
            }
            let mut part = vec![T::of(0.0); rows * columns];
            linalg::gemm(&mut part, &self.projected, false, &filtered, [rows, rank, columns]);
            parts.push(part);
        }
        let wanted: Vec<T> = truth
            .chunks_exact(columns)
            .flat_map(|row| row.iter().zip(&means).map(|(y, mean)| T::of(y.wide() - mean)))
            .collect();
        for (mix, scores) in self.filters.mix.iter().zip(scores.chunks_exact_mut(columns)) {
            let mix: Vec<T> = mix.iter().map(|m| T::of(*m)).collect();
            let errors = linalg::squared_errors(&wanted, &parts, &mix, columns);
            for ((score, error), spread) in scores.iter_mut().zip(errors).zip(&spread) {
                *score += match ridge.criterion {
                    Criterion::SquaredError => -error / rows as f64,
                    // A voxel that does not vary cannot be explained.
                    Criterion::R2 if *spread > 0.0 => 1.0 - error / spread,
                    Criterion::R2 => 0.0,
                };
            }
        }
    }
}

fn squares_about<T: Real>(block: &[T], means: &[f64]) -> Vec<f64> {
    let mut sums = vec![0.0; means.len()];
    for row in block.chunks_exact(means.len().max(1)) {
        sums.iter_mut().zip(row).zip(means).for_each(|((sum, v), mean)| *sum += (v.wide() - mean).powi(2));
    }
    sums
}

/// The mean criterion over `folds` of every λ and voxel, the larger the better: λ × V.
///
/// # Errors
/// Features that cannot be decomposed.
pub fn scores<T: Real>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    folds: &[Fold],
    ridge: &Ridge,
) -> Result<Array2<f64>, EncodingError> {
    let lambdas = ridge.lambda.candidates();
    let prepare = |fold| Prepared::new(x, fold, lambdas, ridge.centre);
    let prepared = folds.iter().map(prepare).collect::<Result<Vec<_>, _>>()?;
    let blocks = in_blocks(y.ncols(), |from, to| {
        let block = y.slice(s![.., from..to]);
        let mut scores = vec![0.0; lambdas.len() * (to - from)];
        prepared.iter().for_each(|fold| fold.score(block, ridge, &mut scores));
        scores.iter_mut().for_each(|score| *score /= prepared.len().max(1) as f64);
        Array2::from_shape_vec((lambdas.len(), to - from), scores).unwrap_or_default()
    });
    Ok(side_by_side(&blocks, lambdas.len()))
}

/// The λ of every voxel, by the best mean criterion over `folds`; without a choice, the one there is.
///
/// # Errors
/// As [`scores`].
pub fn choose<T: Real>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    folds: &[Fold],
    ridge: &Ridge,
) -> Result<Vec<f64>, EncodingError> {
    ridge.lambda.check()?;
    let (grid, shared) = match &ridge.lambda {
        Lambda::Fixed(lambda) => return Ok(vec![*lambda; y.ncols()]),
        Lambda::Shared(grid) => (grid, true),
        Lambda::PerVoxel(grid) => (grid, false),
    };
    let scores = scores(x, y, folds, ridge)?;
    let best = |scores: ArrayView1<'_, f64>| -> f64 {
        let first = grid.first().copied().unwrap_or(1.0);
        let pick = |(best, top): (f64, f64), (lambda, score): (&f64, &f64)| {
            if *score > top { (*lambda, *score) } else { (best, top) }
        };
        grid.iter().zip(scores).fold((first, f64::NEG_INFINITY), pick).0
    };
    if shared {
        let mean = scores.mean_axis(Axis(1)).unwrap_or_default();
        return Ok(vec![best(mean.view()); y.ncols()]);
    }
    Ok(scores.columns().into_iter().map(best).collect())
}

/// What the rows `fold.test` are predicted to be (rows × V) by the rows `fold.train`, with a λ a voxel.
///
/// # Errors
/// Features that cannot be decomposed.
pub fn predict<T: Real>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    fold: &Fold,
    lambdas: &[f64],
    centre: bool,
) -> Result<Array2<T>, EncodingError> {
    let prepared = Prepared::new(x, fold, &[], centre)?;
    let rows = fold.test.len();
    let blocks = in_blocks(y.ncols(), |from, to| {
        let columns = to - from;
        let taught = gather(y.slice(s![.., from..to]), &fold.train);
        let means = if centre { column_means(&taught, columns) } else { vec![0.0; columns] };
        let z = prepared.basis.rotate(&taught, fold.train.len(), columns);
        let mut shrunk = z.clone();
        prepared.basis.shrink(&z, lambdas.get(from..to).unwrap_or_default(), &mut shrunk);
        let mut predicted = vec![T::of(0.0); rows * columns];
        linalg::gemm(&mut predicted, &prepared.projected, false, &shrunk, [rows, prepared.basis.rank(), columns]);
        for row in predicted.chunks_exact_mut(columns.max(1)) {
            row.iter_mut().zip(&means).for_each(|(p, mean)| *p = T::of(p.wide() + mean));
        }
        Array2::from_shape_vec((rows, columns), predicted).unwrap_or_default()
    });
    Ok(side_by_side(&blocks, rows))
}

/// Weights and intercepts.
pub struct Weights<T> {
    /// F × V.
    pub weights: Array2<T>,
    /// One a voxel.
    pub intercepts: Vec<f64>,
}

/// The weights that these rows teach, with a λ a voxel.
///
/// # Errors
/// Features that cannot be decomposed.
pub fn fit<T: Real>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    rows: &[usize],
    lambdas: &[f64],
    centre: bool,
) -> Result<Weights<T>, EncodingError> {
    let basis = Basis::of(x, rows, centre)?;
    let features = x.ncols();
    let blocks = in_blocks(y.ncols(), |from, to| {
        let columns = to - from;
        let taught = gather(y.slice(s![.., from..to]), rows);
        let means = if centre { column_means(&taught, columns) } else { vec![0.0; columns] };
        let z = basis.rotate(&taught, rows.len(), columns);
        let mut shrunk = z.clone();
        basis.shrink(&z, lambdas.get(from..to).unwrap_or_default(), &mut shrunk);
        let mut weights = vec![T::of(0.0); features * columns];
        linalg::gemm(&mut weights, &basis.directions, false, &shrunk, [features, basis.rank(), columns]);
        // The last row: the intercepts.
        let mut intercepts = means;
        for (row, mean) in weights.chunks_exact(columns.max(1)).zip(&basis.means) {
            intercepts.iter_mut().zip(row).for_each(|(b, w)| *b -= mean * w.wide());
        }
        weights.extend(intercepts.iter().map(|b| T::of(*b)));
        Array2::from_shape_vec((features + 1, columns), weights).unwrap_or_default()
    });
    let all = side_by_side(&blocks, features + 1);
    let intercepts = all.row(features).iter().map(|b| b.wide()).collect();
    Ok(Weights { weights: all.slice(s![..features, ..]).to_owned(), intercepts })
}

/// Computes every block of voxels, each on one thread; in order.
fn in_blocks<R: Send>(voxels: usize, of: impl Fn(usize, usize) -> R + Sync) -> Vec<R> {
    parallel::map(voxels.div_ceil(BLOCK), |block| of(block * BLOCK, ((block + 1) * BLOCK).min(voxels)))
}

fn side_by_side<T: Copy + Default>(blocks: &[Array2<T>], rows: usize) -> Array2<T> {
    let views: Vec<ArrayView2<'_, T>> = blocks.iter().map(|block| block.view()).collect();
    ndarray::concatenate(Axis(1), &views).unwrap_or_else(|_| Array2::default((rows, 0)))
}

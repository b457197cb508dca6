//! What are the weights, and what do they predict? Ridge regression for many voxels at once, λ fixed or chosen.
//!
//! Folds share the products of features and responses (`products`), each is decomposed once (`basis`), a whole grid of λ
//! costs a few products more (`filters`), and each voxel can have its own (`plan`). λ is chosen by the mean [`Criterion`] over folds
//! of the teaching rows, the first of equals, as himalaya's `RidgeCV` and scikit-learn's `GridSearchCV` do.
//!
//! Voxels are taken in blocks, each on one thread, so memory stays bounded and the bits do not depend on the cores.

use ndarray::{Array2, ArrayView2, Axis};

use super::EncodingError;
use super::folds::Fold;
use super::plan::{Lambdas, Learned, Plan, Wanted, best};
use super::products::Products;
use crate::linalg::Real;

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

/// Weights and intercepts.
pub struct Weights<T> {
    /// F × V.
    pub weights: Array2<T>,
    /// One a voxel.
    pub intercepts: Vec<f64>,
}

/// The λ of every voxel, by the best mean criterion over `folds`; without a choice, the one there is.
///
/// # Errors
/// A λ that cannot be; features that cannot be decomposed.
pub fn choose<T: Real>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    folds: &[Fold],
    ridge: &Ridge,
) -> Result<Vec<f64>, EncodingError> {
    Ok(learn(x, y, folds, &[], Wanted::Scores, ridge)?.lambdas)
}

/// The λ of every voxel, chosen in `folds` as by [`choose`], and what the rows `fold.test` are predicted to be by the rows
/// `fold.train` with it (rows × V).
///
/// # Errors
/// As [`choose`].
pub fn choose_and_predict<T: Real>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    folds: &[Fold],
    fold: &Fold,
    ridge: &Ridge,
) -> Result<(Vec<f64>, Array2<T>), EncodingError> {
    let learned = learn(x, y, folds, &fold.train, Wanted::Rows(&fold.test), ridge)?;
    Ok((learned.lambdas, learned.values))
}

/// The λ of every voxel, chosen in `folds` as by [`choose`], and the weights that `rows` teach with it.
///
/// # Errors
/// As [`choose`].
pub fn choose_and_fit<T: Real>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    folds: &[Fold],
    rows: &[usize],
    ridge: &Ridge,
) -> Result<(Vec<f64>, Weights<T>), EncodingError> {
    let learned = learn(x, y, folds, rows, Wanted::Weights, ridge)?;
    Ok((learned.lambdas, Weights { weights: learned.values, intercepts: learned.intercepts }))
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
    Ok(given(x, y, &fold.train, Wanted::Rows(&fold.test), lambdas, centre)?.values)
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
    let learned = given(x, y, rows, Wanted::Weights, lambdas, centre)?;
    Ok(Weights { weights: learned.values, intercepts: learned.intercepts })
}

/// Chooses λ, and makes what is wanted with it.
fn learn<T: Real>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    folds: &[Fold],
    rows: &[usize],
    wanted: Wanted<'_>,
    ridge: &Ridge,
) -> Result<Learned<T>, EncodingError> {
    ridge.lambda.check()?;
    same_rows(x, y)?;
    let grid = match &ridge.lambda {
        Lambda::Fixed(lambda) => return given(x, y, rows, wanted, &vec![*lambda; y.ncols()], ridge.centre),
        Lambda::Shared(_) if wanted != Wanted::Scores => {
            let lambdas = choose(x, y, folds, ridge)?;
            return given(x, y, rows, wanted, &lambdas, ridge.centre);
        }
        Lambda::Shared(grid) | Lambda::PerVoxel(grid) => grid,
    };
    let mut taught: Vec<&[usize]> = folds.iter().map(|fold| fold.train.as_slice()).collect();
    if wanted != Wanted::Scores {
        taught.push(rows);
    }
    let products = Products::new(x, &taught, &[], ridge.centre);
    let plan = Plan::new(&products, folds, wanted, &[1.0], grid, ridge.criterion)?;
    let mut learned = Learned::blank(grid.len(), values_of(x, wanted), y.ncols());
    plan.learn(y, &Vec::from_iter(0..y.ncols()), Lambdas::Best, &mut learned);
    if matches!(ridge.lambda, Lambda::Shared(_)) {
        let mean = learned.scores.mean_axis(Axis(1)).unwrap_or_default();
        learned.lambdas.fill(best(grid, mean.view()).0);
    }
    Ok(learned)
}

/// Makes what is wanted with these λ.
fn given<T: Real>(
    x: ArrayView2<'_, T>,
    y: ArrayView2<'_, T>,
    rows: &[usize],
    wanted: Wanted<'_>,
    lambdas: &[f64],
    centre: bool,
) -> Result<Learned<T>, EncodingError> {
    same_rows(x, y)?;
    let mut learned = Learned::blank(0, values_of(x, wanted), y.ncols());
    if wanted == Wanted::Scores {
        learned.lambdas.copy_from_slice(lambdas);
        return Ok(learned);
    }
    let products = Products::new(x, &[rows], &[], centre);
    let plan = Plan::new(&products, &[], wanted, &[1.0], &[], Criterion::default())?;
    plan.learn(y, &Vec::from_iter(0..y.ncols()), Lambdas::Given(lambdas), &mut learned);
    Ok(learned)
}

/// Whether features and responses belong together.
pub(super) fn same_rows<T>(x: ArrayView2<'_, T>, y: ArrayView2<'_, T>) -> Result<(), EncodingError> {
    let (expected, got) = (x.nrows(), y.nrows());
    if got == expected { Ok(()) } else { Err(EncodingError::Rows { what: "responses", expected, got }) }
}

/// Rows of the values that are wanted.
fn values_of<T>(x: ArrayView2<'_, T>, wanted: Wanted<'_>) -> usize {
    match wanted {
        Wanted::Scores => 0,
        Wanted::Rows(rows) => rows.len(),
        Wanted::Weights => x.ncols(),
    }
}

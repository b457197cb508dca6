//! What would these features predict of samples they never saw? Cross-validation of one design, for every command.

use ndarray::Array2;
use ndarray_npy::ReadableElement;

use super::design::{Design, progress};
use super::scores::{Certainty, Quality, Results};
use crate::encoding::folds::{Folds, Scheme};
use crate::encoding::solve::{choose, predict};
use crate::linalg::Real;

/// Out-of-fold predictions and how good they are.
pub struct Validated<T> {
    /// n × V; NaN where a voxel is left out.
    pub predicted: Array2<T>,
    /// How good they are.
    pub results: Results,
    /// In how many parts the samples were divided.
    pub folds: usize,
    /// How often a sample was kept from teaching because its stimulus was to be predicted.
    pub purged: usize,
}

/// Predicts every sample of `design` from the folds that do not hold it, and scores the predictions.
///
/// # Errors
/// Samples that cannot be so divided; features that cannot be decomposed.
pub fn cross_validate<T: Real + ReadableElement>(
    design: &Design<T>,
    scheme: Scheme,
    permutations: usize,
    seed: u64,
) -> anyhow::Result<Validated<T>> {
    let (x, y, ridge) = (design.x.view(), design.y(), &design.ridge);
    let Folds { folds, purged } = design.folds(scheme)?;
    let bar = progress(folds.len() + 1, "fold");
    let mut predicted = Array2::from_elem(y.raw_dim(), T::of(0.0));
    for fold in &folds {
        let lambdas = choose(x, y, &design.inner_folds(&fold.train, scheme)?, ridge)?;
        let of_fold = predict(x, y, fold, &lambdas, ridge.centre)?;
        for (row, values) in fold.test.iter().zip(of_fold.rows()) {
            predicted.row_mut(*row).assign(&values);
        }
        bar.inc(1);
    }
    let everything: Vec<usize> = (0..y.nrows()).collect();
    let lambdas = choose(x, y, &design.inner_folds(&everything, scheme)?, ridge)?;
    let (data, quality) = (&design.data, &design.quality);
    let certainty = Certainty { runs: &data.runs, stimuli: &data.stimuli, permutations, seed };
    let results = Results::new(y, predicted.view(), &folds, &data.voxels, quality, &lambdas, &certainty)?;
    bar.finish_and_clear();
    for (v, mut column) in predicted.columns_mut().into_iter().enumerate() {
        if quality.get(v) == Some(&Quality::NotFinite) {
            column.fill(T::of(f64::NAN));
        }
    }
    Ok(Validated { predicted, results, folds: folds.len(), purged })
}

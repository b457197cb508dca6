//! What would these features predict of samples they never saw? Cross-validation of one design, for every command.

use indicatif::ProgressBar;
use ndarray::Array2;
use ndarray_npy::ReadableElement;

use super::design::{Chosen, Design, progress};
use super::scores::{Certainty, Quality, Results};
use crate::encoding::EncodingError;
use crate::encoding::folds::{Fold, Folds, Scheme};
use crate::linalg::Real;

/// Out-of-fold predictions and how good they are.
pub struct Validated<T> {
    /// Samples in the files × V; NaN where a voxel or a sample is left out, and of samples that no fold predicts.
    pub predicted: Array2<T>,
    /// How good they are.
    pub results: Results,
    /// In how many parts the samples were divided.
    pub folds: usize,
    /// How often a sample was kept from teaching because its stimulus was to be predicted.
    pub purged: usize,
    /// How often a sample was predicted although its stimulus also taught.
    pub repeated: usize,
    /// How many samples were predicted.
    pub samples: usize,
    /// What was chosen for each voxel with all rows, or with those that teach where samples are divided once.
    pub chosen: Chosen,
}

impl<T> Validated<T> {
    /// What the reader must know of how `samples` samples were divided.
    pub fn notes(&self, samples: usize) -> Vec<String> {
        let mut notes = Vec::new();
        if self.repeated > 0 {
            let times = self.repeated;
            notes.push(format!("{times} times a sample was predicted although its stimulus also taught."));
        }
        if self.samples < samples {
            notes.push(format!("{} of {samples} samples are predicted and scored.", self.samples));
        }
        notes
    }
}

/// Predicts every sample of `design` from the folds that do not hold it, and scores the predictions.
///
/// # Errors
/// Samples that cannot be so divided; features that cannot be decomposed.
pub fn cross_validate<T: Real + ReadableElement>(
    design: &Design<T>,
    permutations: usize,
    seed: u64,
) -> anyhow::Result<Validated<T>> {
    let y = design.y();
    let (Folds { folds, purged }, repeated) = design.folds()?;
    let bar = progress(folds.len() + 1, "fold");
    let (mut predicted, chosen) = out_of_fold(design, &folds, &bar)?;
    let chosen = match chosen {
        Some(chosen) if design.scheme == Scheme::Once => chosen,
        _ => design.choose(&design.inner_folds(&Vec::from_iter(0..y.nrows()))?)?,
    };
    let (data, quality) = (&design.data, &design.quality);
    let certainty = Certainty { runs: &data.runs, stimuli: &data.stimuli, permutations, seed };
    let results = Results::new(y, predicted.view(), &folds, &data.voxels, quality, &chosen.lambdas, &certainty)?;
    bar.finish_and_clear();
    for (v, mut column) in predicted.columns_mut().into_iter().enumerate() {
        if quality.get(v) == Some(&Quality::NotFinite) {
            column.fill(T::of(f64::NAN));
        }
    }
    let samples = folds.iter().map(|fold| fold.test.len()).sum();
    let predicted = data.in_place(predicted);
    Ok(Validated { predicted, results, folds: folds.len(), purged, repeated, samples, chosen })
}

/// What every fold predicts of its own samples (n × V; NaN of samples that none predicts), and what the last one chose.
///
/// # Errors
/// Samples that cannot be divided to choose λ; features that cannot be decomposed.
pub fn out_of_fold<T: Real + ReadableElement>(
    design: &Design<T>,
    folds: &[Fold],
    bar: &ProgressBar,
) -> Result<(Array2<T>, Option<Chosen>), EncodingError> {
    let mut predicted = Array2::from_elem(design.y().raw_dim(), T::of(f64::NAN));
    let mut chosen = None;
    for fold in folds {
        let (by_fold, of_fold) = design.choose_and_predict(&design.inner_folds(&fold.train)?, fold)?;
        for (row, values) in fold.test.iter().zip(of_fold.rows()) {
            predicted.row_mut(*row).assign(&values);
        }
        chosen = Some(by_fold);
        bar.inc(1);
    }
    Ok((predicted, chosen))
}

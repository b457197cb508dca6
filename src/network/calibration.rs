//! How sure is a model, truly? Its logits are divided by a temperature, which samples choose that it has not learned from.
//!
//! A network of layers is stopped by people who are held back, and they choose its temperature as well. Whatever learns without
//! being stopped learns from everybody: [`learn_calibrated`] leaves out one part of the people after the other, and what is
//! predicted of them, each by a model that knows nobody of theirs, chooses the temperature. One number above 0 changes no order
//! of two classes, so nothing that ranks them (AUC) changes.
//!
//! Source: Guo et al. 2017, *On Calibration of Modern Neural Networks* (arXiv 1706.04599), section 4.2; predictions of parts that
//! were left out: Platt 1999, *Probabilistic Outputs for Support Vector Machines*, section 2.2.

use ndarray::{Array2, ArrayView2};

use super::division::{Fold, Scheme, Units, divide};
use super::{Fitted, Learner, NetworkError, Rows, Targets};
use crate::parallel;

/// How far a temperature may go from 1: beyond that a validation set that the network has right, or wrong, throughout decides.
const FURTHEST: f64 = 20.0;
/// Into so many parts people are divided, where there are as many.
const PARTS: usize = 5;

/// What was said of people by models that had not learned from them.
#[derive(Clone, Debug, PartialEq)]
pub struct LeftOut {
    /// The samples.
    pub rows: Vec<usize>,
    /// Of each the probabilities of the classes before calibration, or the number: rows × outputs.
    pub predicted: Array2<f64>,
    /// What the logits of the model are divided by; 1 of numbers.
    pub temperature: f64,
}

impl LeftOut {
    /// The same probabilities at the temperature.
    pub fn calibrated(&self) -> Array2<f64> {
        let mut all = self.predicted.clone();
        if all.ncols() < 2 {
            return all;
        }
        for mut row in all.rows_mut() {
            let logits: Vec<f64> = row.iter().map(|p| logarithm(*p)).collect();
            row.iter_mut().zip(softmax(&logits, self.temperature)).for_each(|(p, calibrated)| *p = calibrated);
        }
        all
    }
}

/// Learns from all of `train`; where the model gives probabilities, and it can be, they are calibrated. What was said of the people
/// that were left out for it comes beside; none where they cannot be divided so that each part leaves every class to learn from.
///
/// # Errors
/// What the samples lack for this way to learn.
pub fn learn_calibrated(
    learner: &dyn Learner,
    train: Rows<'_>,
    units: &Units,
    seed: u64,
) -> Result<(Box<dyn Fitted>, Option<LeftOut>), NetworkError> {
    let mut fitted = learner.fit(train, None, seed)?;
    let mut left_out = left_out(learner, train, units, seed);
    if let (Some(left_out), Targets::Classes { .. }) = (&mut left_out, train.targets)
        && !fitted.calibrate(left_out.temperature)
    {
        left_out.temperature = 1.0;
    }
    Ok((fitted, left_out))
}

fn left_out(learner: &dyn Learner, train: Rows<'_>, units: &Units, seed: u64) -> Option<LeftOut> {
    let division = |parts| divide(train.rows, units, train.targets, Scheme::Parts(parts), seed).ok();
    let folds = (2..=PARTS).rev().find_map(division)?;
    let has_all = |fold: &Fold| match train.targets {
        Targets::Classes { names, of } => {
            (0..names.len()).all(|class| fold.train.iter().any(|row| of.get(*row) == Some(&class)))
        }
        Targets::Values(_) => true,
    };
    if !folds.iter().all(has_all) {
        return None;
    }
    let predicted = parallel::map(folds.len(), |part| {
        let Fold { train: rest, test } = folds.get(part)?;
        let (networks, _) = train.networks.measured_from(rest).ok()?;
        let of = |rows| Rows { networks: &networks, rows, targets: train.targets };
        learner.fit(of(rest), None, seed).ok()?.predict(of(test)).ok()
    });
    let predicted = predicted.into_iter().collect::<Option<Vec<_>>>()?;
    let views: Vec<ArrayView2<'_, f64>> = predicted.iter().map(|part| part.view()).collect();
    let predicted = ndarray::concatenate(ndarray::Axis(0), &views).ok()?;
    let rows: Vec<usize> = folds.into_iter().flat_map(|fold| fold.test).collect();
    let temperature = match train.targets {
        Targets::Classes { names, of } => {
            let logits: Vec<f64> = predicted.iter().map(|p| logarithm(*p)).collect();
            let of: Vec<usize> = rows.iter().filter_map(|row| of.get(*row).copied()).collect();
            temperature(&logits, names.len(), &of)
        }
        Targets::Values(_) => 1.0,
    };
    Some(LeftOut { rows, predicted, temperature })
}

/// The mean −log p of the classes that samples `rows` have, of probabilities rows × classes; NaN of numbers.
pub fn log_loss(targets: &Targets, rows: &[usize], predicted: ArrayView2<'_, f64>) -> f64 {
    let Targets::Classes { of, .. } = targets else { return f64::NAN };
    let losses = rows.iter().zip(predicted.rows()).map(|(row, probabilities)| {
        let p = of.get(*row).and_then(|class| probabilities.get(*class)).copied().unwrap_or_default();
        -logarithm(p)
    });
    losses.sum::<f64>() / rows.len() as f64
}

/// The logits that give these probabilities are their logarithms, up to a number that is the same for all classes.
fn logarithm(probability: f64) -> f64 {
    probability.max(f64::MIN_POSITIVE).ln()
}

/// exp(x/T) / Σ exp(x/T)
pub(super) fn softmax(logits: &[f64], temperature: f64) -> Vec<f64> {
    let most = logits.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let shares: Vec<f64> = logits.iter().map(|x| ((x - most) / temperature).exp()).collect();
    let total: f64 = shares.iter().sum();
    shares.iter().map(|share| share / total).collect()
}

/// The temperature at which these logits (samples × classes) say best which class each sample is: the least −Σ t log p, found by
/// golden section in ln T, of which it is a function with one minimum.
///
/// The target t of a sample of class c is not 1 but (n + 1) / (n + K) of c and 1 / (n + K) of each of the K − 1 others, n being how many
/// samples c has: Platt's targets (1999, section 2.2) for K classes. Where a few samples are all told right, certainty would be the best
/// otherwise.
pub(super) fn temperature(logits: &[f64], classes: usize, of: &[usize]) -> f64 {
    let of_class = |class: usize| of.iter().filter(|other| **other == class).count() as f64;
    let counts: Vec<f64> = (0..classes).map(of_class).collect();
    let loss = |ln: f64| -> f64 {
        let rows = logits.chunks_exact(classes.max(1)).zip(of);
        rows.map(|(row, class)| {
            let all = counts.get(*class).copied().unwrap_or_default() + classes as f64;
            let losses = softmax(row, ln.exp()).into_iter().enumerate().map(|(other, p)| {
                let samples = if other == *class { all - classes as f64 } else { 0.0 };
                -(samples + 1.0) / all * logarithm(p)
            });
            losses.sum::<f64>()
        })
        .sum()
    };
    let golden = (5f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (-FURTHEST.ln(), FURTHEST.ln());
    while high - low > 1e-6 {
        let [left, right] = [high - golden * (high - low), low + golden * (high - low)];
        if loss(left) <= loss(right) { high = right } else { low = left }
    }
    f64::midpoint(low, high).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_temperature_is_where_the_slope_of_the_loss_is_zero() {
        // Two classes, logits ±2, of which three in four are right: targets of the first class are 4/5, 4/5, 4/5 and 1/3.
        let logits = [2.0, -2.0, 2.0, -2.0, 2.0, -2.0, 2.0, -2.0];
        let found = temperature(&logits, 2, &[0, 0, 0, 1]);
        let p: f64 = (3.0 * 0.8 + 1.0 / 3.0) / 4.0;
        assert!((found - 4.0 / (p / (1.0 - p)).ln()).abs() < 1e-4, "{found}");
        // Of very many, it is that of the shares themselves.
        let (logits, of) = (logits.repeat(5000), [0, 0, 0, 1].repeat(5000));
        assert!((temperature(&logits, 2, &of) - 4.0 / 3f64.ln()).abs() < 2e-3);
    }

    #[test]
    fn what_is_always_right_does_not_become_certain() {
        // Of one sample the target is 2/3.
        assert!((temperature(&[1.0, 0.0], 2, &[0]) - 1.0 / 2f64.ln()).abs() < 1e-4);
        let (right, of) = ([3.0, 0.0, 0.0, 3.0].repeat(10), [0, 1].repeat(10));
        assert!((softmax(&right[..2], temperature(&right, 2, &of))[0] - 11.0 / 12.0).abs() < 1e-5);
        assert_eq!(softmax(&[1000.0, 0.0], 1.0), [1.0, 0.0]);
    }
}

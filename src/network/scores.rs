//! How good are predictions? The field's scores, equal to scikit-learn's, and how sure they are.

mod bootstrap;

use ndarray::ArrayView2;
use serde::{Deserialize, Serialize};

pub use crate::interval::Interval;
pub use bootstrap::People;

use super::Targets;

/// A score.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Metric {
    /// How many samples have their class as the most probable one.
    Accuracy,
    /// F1, the mean over classes that were predicted or true.
    F1,
    /// F1 of all decisions together; of one class a sample that is the accuracy.
    F1Micro,
    /// Area under the receiver's curve: of two classes how many pairs are in their order, ties half; of more the mean over
    /// classes, each against the rest.
    Auc,
    /// 1 − SSE/SST about the mean of the samples that are scored.
    R2,
    /// Pearson's correlation of truth and prediction.
    Pearson,
    /// Mean absolute error, in the unit of the target; less is better.
    Mae,
}

impl Metric {
    /// Those of such targets.
    pub fn of(targets: &Targets) -> &'static [Metric] {
        match targets {
            Targets::Classes { .. } => &[Self::Accuracy, Self::F1, Self::F1Micro, Self::Auc],
            Targets::Values(_) => &[Self::R2, Self::Pearson, Self::Mae],
        }
    }

    /// The one that models are chosen and ranked by.
    pub fn deciding(targets: &Targets) -> Metric {
        match targets {
            Targets::Classes { .. } => Self::Auc,
            Targets::Values(_) => Self::R2,
        }
    }

    /// Its column.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Accuracy => "accuracy",
            Self::F1 => "f1",
            Self::F1Micro => "f1_micro",
            Self::Auc => "auc",
            Self::R2 => "r2",
            Self::Pearson => "pearson",
            Self::Mae => "mae",
        }
    }

    /// Its name as people read it.
    pub fn title(self) -> &'static str {
        match self {
            Self::Accuracy => "Accuracy",
            Self::F1 => "F1",
            Self::F1Micro => "F1 (micro)",
            Self::Auc => "AUC",
            Self::R2 => "R²",
            Self::Pearson => "Pearson r",
            Self::Mae => "MAE",
        }
    }

    /// A score that is better the larger it is.
    pub fn gain(self, score: f64) -> f64 {
        if self == Self::Mae { -score } else { score }
    }

    /// The score of `predicted` (of each row the probability of every class, or the one number) for samples `rows`. NaN where it
    /// is undefined: a class that no row has, truth that does not vary, no row at all.
    pub fn score(self, targets: &Targets, rows: &[usize], predicted: ArrayView2<'_, f64>) -> f64 {
        match targets {
            Targets::Classes { names, of } => {
                let truth: Vec<usize> = rows.iter().map(|row| of.get(*row).copied().unwrap_or(0)).collect();
                match self {
                    Self::Auc => area(&truth, names.len(), predicted),
                    Self::F1 => f1(&truth, &most_probable(predicted), names.len()),
                    _ => accuracy(&truth, &most_probable(predicted)),
                }
            }
            Targets::Values(values) => {
                let truth: Vec<f64> = rows.iter().map(|row| values.get(*row).copied().unwrap_or(f64::NAN)).collect();
                let predicted: Vec<f64> = predicted.rows().into_iter().filter_map(|row| row.first().copied()).collect();
                match self {
                    Self::Pearson => pearson(&truth, &predicted),
                    Self::Mae => mean(&truth, &predicted, |t, p| (t - p).abs()),
                    _ => {
                        let middle = truth.iter().sum::<f64>() / truth.len() as f64;
                        let all = mean(&truth, &truth, |t, _| (t - middle).powi(2));
                        let left = mean(&truth, &predicted, |t, p| (t - p).powi(2));
                        if all > 0.0 { 1.0 - left / all } else { f64::NAN }
                    }
                }
            }
        }
    }
}

/// Of each row the class of the largest probability, the first of equal ones.
pub fn most_probable(predicted: ArrayView2<'_, f64>) -> Vec<usize> {
    let largest = |row: ndarray::ArrayView1<'_, f64>| {
        let mut best = (0, f64::NEG_INFINITY);
        for (class, probability) in row.iter().enumerate() {
            if *probability > best.1 {
                best = (class, *probability);
            }
        }
        best.0
    };
    predicted.rows().into_iter().map(largest).collect()
}

fn accuracy(truth: &[usize], predicted: &[usize]) -> f64 {
    truth.iter().zip(predicted).filter(|(truth, predicted)| truth == predicted).count() as f64 / truth.len() as f64
}

fn f1(truth: &[usize], predicted: &[usize], classes: usize) -> f64 {
    let of = |class: usize| {
        let count = |what: &[usize]| what.iter().filter(|one| **one == class).count() as f64;
        let both = truth.iter().zip(predicted).filter(|(t, p)| **t == class && **p == class).count() as f64;
        let all = count(truth) + count(predicted);
        (all > 0.0).then_some(2.0 * both / all)
    };
    let all: Vec<f64> = (0..classes).filter_map(of).collect();
    all.iter().sum::<f64>() / all.len() as f64
}

/// Of two classes the area of the second; of more the mean of each against the rest.
fn area(truth: &[usize], classes: usize, predicted: ArrayView2<'_, f64>) -> f64 {
    let one = |class: usize| {
        let scores: Vec<f64> =
            predicted.rows().into_iter().map(|row| row.get(class).copied().unwrap_or(f64::NAN)).collect();
        ranked(truth.iter().map(|truth| *truth == class), &scores)
    };
    match classes {
        2 => one(1),
        _ => (0..classes).map(one).sum::<f64>() / classes as f64,
    }
}

/// The Mann–Whitney statistic over all pairs of one that is and one that is not, ties half.
fn ranked(is: impl Iterator<Item = bool>, scores: &[f64]) -> f64 {
    let mut all: Vec<(f64, bool)> = scores.iter().copied().zip(is).collect();
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut below, mut won, mut those) = (0.0, 0.0, 0.0);
    for tied in all.chunk_by(|a, b| a.0 == b.0) {
        let positive = tied.iter().filter(|(_, is)| *is).count() as f64;
        let negative = tied.len() as f64 - positive;
        won += positive * (below + negative / 2.0);
        below += negative;
        those += positive;
    }
    won / (those * below)
}

fn mean(truth: &[f64], predicted: &[f64], of: impl Fn(f64, f64) -> f64) -> f64 {
    truth.iter().zip(predicted).map(|(t, p)| of(*t, *p)).sum::<f64>() / truth.len() as f64
}

fn pearson(truth: &[f64], predicted: &[f64]) -> f64 {
    let middle = |of: &[f64]| of.iter().sum::<f64>() / of.len() as f64;
    let (a, b) = (middle(truth), middle(predicted));
    let product = |x: &[f64], mx: f64, y: &[f64], my: f64| mean(x, y, |x, y| (x - mx) * (y - my));
    product(truth, a, predicted, b) / (product(truth, a, truth, a) * product(predicted, b, predicted, b)).sqrt()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array2, array};

    use super::*;

    #[test]
    fn ties_count_half_and_what_is_undefined_is_no_number() {
        let targets = Targets::Classes { names: vec!["a".into(), "b".into()], of: vec![0, 0, 1, 1] };
        let same = Array2::from_elem((4, 2), 0.5);
        assert_eq!(Metric::Auc.score(&targets, &[0, 1, 2, 3], same.view()), 0.5);
        assert_eq!(Metric::Accuracy.score(&targets, &[0, 1, 2, 3], same.view()), 0.5);
        assert!(Metric::Auc.score(&targets, &[2, 3], same.slice(ndarray::s![..2, ..])).is_nan());
        assert!(Metric::Accuracy.score(&targets, &[], same.slice(ndarray::s![..0, ..])).is_nan());
        let values = Targets::Values(vec![1.0, 1.0, 2.0]);
        let predicted = array![[1.0], [2.0]];
        assert!(Metric::R2.score(&values, &[0, 1], predicted.view()).is_nan());
        assert_eq!(Metric::R2.score(&values, &[0, 2], predicted.view()), 1.0);
        assert_eq!(Metric::Mae.score(&values, &[2, 0], predicted.view()), 1.0);
    }

    #[test]
    fn a_draw_may_hold_a_sample_twice() {
        let targets = Targets::Classes { names: vec!["a".into(), "b".into()], of: vec![0, 1, 1] };
        let predicted = array![[0.9, 0.1], [0.4, 0.6], [0.4, 0.6], [0.8, 0.2]];
        assert_eq!(Metric::Accuracy.score(&targets, &[0, 1, 1, 2], predicted.view()), 0.75);
    }
}

//! How do the models stand? Their scores by fold and together, and by how much the best is ahead of each.

use serde::Serialize;

use super::{Family, Model, Outcome, Plan};
use crate::network::division::Scheme;
use crate::network::scores::{Interval, Metric, People};

/// Scores of one model on one fold.
#[derive(Clone, Debug, PartialEq)]
pub struct FoldScores {
    /// Which, from 0.
    pub fold: usize,
    /// Samples predicted.
    pub samples: usize,
    /// One a metric; NaN where it is undefined.
    pub scores: Vec<f64>,
    /// The settings that inner folds chose.
    pub chosen: Option<String>,
    /// Why there are none.
    pub skipped: Option<String>,
}

/// One score of one model.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Summed {
    /// Which.
    pub metric: Metric,
    /// Mean over the folds that have it.
    pub mean: f64,
    /// Standard deviation over those folds (of a sample).
    pub sd: f64,
    /// How many have it.
    pub folds: usize,
    /// Of all predictions out of fold together.
    pub pooled: f64,
    /// Of that, 95 % of draws of the participants.
    pub interval: Option<Interval>,
}

/// By how much a model is behind the best, over the same draws.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct Behind {
    /// The best's score less this one's.
    pub difference: f64,
    /// 95 % of the draws.
    pub interval: Option<Interval>,
}

impl Behind {
    /// Whether all but 2.5 % of the draws have the best ahead.
    pub fn surely(&self) -> bool {
        self.interval.is_some_and(|interval| interval.low > 0.0)
    }
}

/// How one model stands.
#[derive(Clone, Debug, PartialEq)]
pub struct Standing {
    /// Its name.
    pub model: String,
    /// What it stands among.
    pub group: &'static str,
    /// What kind it is.
    pub family: Family,
    /// Fold by fold.
    pub folds: Vec<FoldScores>,
    /// A score a metric.
    pub scores: Vec<Summed>,
    /// What models are ranked by: the first metric's mean over folds, or, where each fold is one participant, of all together.
    pub ranked: f64,
    /// How far behind the best; None of the best, and of one without a score.
    pub behind: Option<Behind>,
}

/// Draws of the participants.
pub const DRAWS: usize = 1000;

/// All predictions of one model that are there: sample, fold, place among the predictions.
struct Pooled {
    rows: Vec<usize>,
    folds: Vec<usize>,
    predicted: ndarray::Array2<f64>,
}

/// How every model stands, in the models' order.
pub fn standings(plan: &Plan<'_>, scheme: Scheme, outcomes: &[Vec<Outcome>]) -> Vec<Standing> {
    let metrics = Metric::of(plan.targets);
    let pooled: Vec<Pooled> = outcomes.iter().map(|of| pool(plan, of)).collect();
    let mut all: Vec<Standing> = plan
        .models
        .iter()
        .zip(outcomes)
        .zip(&pooled)
        .map(|((model, outcomes), pooled)| standing(plan, scheme, metrics, model, outcomes, pooled))
        .collect();
    let ranked = |place: usize| all.get(place).map_or(f64::NAN, |of| of.ranked);
    let better = |a: &usize, b: &usize| gain(metrics, ranked(*a)).total_cmp(&gain(metrics, ranked(*b))).then(b.cmp(a));
    let Some(best) = (0..all.len()).filter(|place| ranked(*place).is_finite()).max_by(better) else { return all };
    let (Some(ahead), Some(metric)) = (pooled.get(best), metrics.first().copied()) else { return all };
    let behind: Vec<Option<Behind>> = (0..all.len())
        .map(|place| {
            let of = pooled.get(place).filter(|of| place != best && of.rows == ahead.rows)?;
            let difference = |places: &[usize]| {
                let score = |of| metric.gain(statistic(plan, scheme, metric, of, places));
                score(ahead) - score(of)
            };
            let every: Vec<usize> = (0..of.rows.len()).collect();
            Some(Behind {
                difference: difference(&every),
                interval: people(plan, of).interval(DRAWS, plan.seed, difference),
            })
        })
        .collect();
    all.iter_mut().zip(behind).for_each(|(of, behind)| of.behind = behind);
    all
}

fn gain(metrics: &[Metric], score: f64) -> f64 {
    metrics.first().map_or(score, |metric| metric.gain(score))
}

fn people(plan: &Plan<'_>, of: &Pooled) -> People {
    People::of(of.rows.iter().map(|row| plan.networks.participants.get(*row).map_or("", String::as_str)))
}

fn pool(plan: &Plan<'_>, outcomes: &[Outcome]) -> Pooled {
    let (mut rows, mut folds, mut predicted) = (Vec::new(), Vec::new(), Vec::new());
    for outcome in outcomes {
        let test = plan.folds.get(outcome.fold).map_or(&[][..], |fold| fold.test.as_slice());
        for (row, values) in test.iter().zip(&outcome.predicted) {
            rows.push(*row);
            folds.push(outcome.fold);
            predicted.extend_from_slice(values);
        }
    }
    let shape = (rows.len(), plan.targets.outputs());
    let predicted = ndarray::Array2::from_shape_vec(shape, predicted).unwrap_or_default();
    Pooled { rows, folds, predicted }
}

/// What models are compared by, of these predictions.
fn statistic(plan: &Plan<'_>, scheme: Scheme, metric: Metric, of: &Pooled, places: &[usize]) -> f64 {
    let score = |places: &[usize]| {
        let rows: Vec<usize> = places.iter().filter_map(|place| of.rows.get(*place).copied()).collect();
        metric.score(plan.targets, &rows, of.predicted.select(ndarray::Axis(0), places).view())
    };
    if scheme == Scheme::Each {
        return score(places);
    }
    let fold = |fold: usize| {
        let places: Vec<usize> = places.iter().copied().filter(|place| of.folds.get(*place) == Some(&fold)).collect();
        score(&places)
    };
    spread((0..plan.folds.len()).map(fold)).0
}

/// Mean, standard deviation of a sample, and count of what is finite.
fn spread(values: impl Iterator<Item = f64>) -> (f64, f64, usize) {
    let values: Vec<f64> = values.filter(|value| value.is_finite()).collect();
    let n = values.len() as f64;
    let mean = values.iter().sum::<f64>() / n;
    let squares = values.iter().map(|value| (value - mean).powi(2)).sum::<f64>();
    (mean, (squares / (n - 1.0)).sqrt(), values.len())
}

fn standing(
    plan: &Plan<'_>,
    scheme: Scheme,
    metrics: &[Metric],
    model: &Model,
    outcomes: &[Outcome],
    pooled: &Pooled,
) -> Standing {
    let fold = |outcome: &Outcome| {
        let test = plan.folds.get(outcome.fold).map_or(&[][..], |fold| fold.test.as_slice());
        let scores = outcome.predictions().map_or_else(
            || vec![f64::NAN; metrics.len()],
            |predicted| metrics.iter().map(|metric| metric.score(plan.targets, test, predicted.view())).collect(),
        );
        FoldScores {
            fold: outcome.fold,
            samples: outcome.predicted.len(),
            scores,
            chosen: outcome.chosen.clone(),
            skipped: outcome.skipped.clone(),
        }
    };
    let folds: Vec<FoldScores> = outcomes.iter().map(fold).collect();
    let people = people(plan, pooled);
    let every: Vec<usize> = (0..pooled.rows.len()).collect();
    let summed = |(place, metric): (usize, &Metric)| {
        let (mean, sd, count) = spread(folds.iter().filter_map(|fold| fold.scores.get(place).copied()));
        let score = |places: &[usize]| statistic(plan, Scheme::Each, *metric, pooled, places);
        let interval = people.interval(DRAWS, plan.seed, score);
        Summed { metric: *metric, mean, sd, folds: count, pooled: score(&every), interval }
    };
    let scores: Vec<Summed> = metrics.iter().enumerate().map(summed).collect();
    let of = |summed: &Summed| if scheme == Scheme::Each { summed.pooled } else { summed.mean };
    let ranked = scores.first().map_or(f64::NAN, of);
    let (group, family) = (model.entry.group, model.entry.family);
    Standing { model: model.name.clone(), group, family, folds, scores, ranked, behind: None }
}

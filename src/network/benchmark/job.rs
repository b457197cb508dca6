//! What is one job? A model and a fold: choose its settings inside, learn, predict what was left out.

use std::io;

use ndarray::Array2;
use serde::{Deserialize, Serialize};

use super::Model;
use crate::frame::{Clock, MonotonicClock};
use crate::network::division::{Fold, Scheme, Units, divide, held_back};
use crate::network::scores::Metric;
use crate::network::{Fitted, Learner, NetworkError, Networks, Rows, Targets};
use crate::parallel;

/// What is to be run: every model on every fold.
pub struct Plan<'a> {
    /// The networks.
    pub networks: &'a Networks,
    /// What is learned of each.
    pub targets: &'a Targets,
    /// Who is never divided.
    pub units: &'a Units,
    /// The folds.
    pub folds: &'a [Fold],
    /// The models.
    pub models: &'a [Model],
    /// Inner folds that settings are chosen by.
    pub inner: usize,
    /// The share of a fold's training samples that is held back to stop a training by.
    pub held_back: f64,
    /// Of every draw.
    pub seed: u64,
}

/// What became of one job.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// The model.
    pub model: String,
    /// The fold, from 0.
    pub fold: usize,
    /// Of each of its test samples the probabilities of the classes, or the number; empty where it was skipped.
    pub predicted: Vec<Vec<f64>>,
    /// The settings that inner folds chose.
    pub chosen: Option<String>,
    /// Why there is no prediction.
    pub skipped: Option<String>,
    /// How long it took.
    pub seconds: f64,
}

impl Outcome {
    /// What was predicted, samples × outputs; None where it was skipped.
    pub fn predictions(&self) -> Option<Array2<f64>> {
        let outputs = self.predicted.first()?.len();
        Array2::from_shape_vec((self.predicted.len(), outputs), self.predicted.concat()).ok()
    }
}

/// What one job learned.
pub struct Learned {
    /// The settings that inner folds chose.
    pub chosen: Option<String>,
    /// The model.
    pub fitted: Box<dyn Fitted>,
    /// Of each of the fold's test samples the probabilities of the classes, or the number.
    pub predicted: Array2<f64>,
}

/// Where outcomes are kept, so that a run that was killed goes on.
pub trait Keep: Sync {
    /// What was kept of this model and fold.
    fn get(&self, model: &Model, fold: usize) -> Option<Outcome>;

    /// Keeps it.
    ///
    /// # Errors
    /// What the system refused.
    fn put(&self, model: &Model, outcome: &Outcome) -> io::Result<()>;
}

/// Hears of every outcome.
pub type Told<'a> = &'a (dyn Fn(&Outcome) + Sync);

/// Every outcome, fold by fold for model by model; `told` hears of each when it is there.
///
/// # Errors
/// What could not be kept.
pub fn run(plan: &Plan<'_>, keep: &dyn Keep, told: Told<'_>) -> io::Result<Vec<Vec<Outcome>>> {
    let folds = plan.folds.len();
    let done = parallel::map(plan.models.len() * folds, |job| {
        let (Some(model), Some(fold)) = (plan.models.get(job / folds), plan.folds.get(job % folds)) else {
            return Err(io::Error::other("a job beyond the last"));
        };
        let outcome = match keep.get(model, job % folds) {
            Some(outcome) => outcome,
            None => {
                let outcome = plan.job(model, job % folds, fold);
                keep.put(model, &outcome)?;
                outcome
            }
        };
        told(&outcome);
        Ok(outcome)
    });
    let done = done.into_iter().collect::<io::Result<Vec<Outcome>>>()?;
    Ok(done.chunks(folds.max(1)).map(<[Outcome]>::to_vec).collect())
}

impl Plan<'_> {
    fn job(&self, model: &Model, number: usize, fold: &Fold) -> Outcome {
        let began = MonotonicClock.now();
        let mut outcome = Outcome {
            model: model.name.clone(),
            fold: number,
            predicted: Vec::new(),
            chosen: None,
            skipped: None,
            seconds: 0.0,
        };
        match self.predicted(model, fold) {
            Ok((chosen, predicted)) => {
                outcome.chosen = chosen;
                outcome.predicted = predicted.rows().into_iter().map(|row| row.to_vec()).collect();
            }
            Err(error) => outcome.skipped = Some(error.to_string()),
        }
        outcome.seconds = MonotonicClock.now() - began;
        outcome
    }

    fn predicted(&self, model: &Model, fold: &Fold) -> Result<(Option<String>, Array2<f64>), NetworkError> {
        let learned = self.learned(model, fold)?;
        Ok((learned.chosen, learned.predicted))
    }

    /// What a model learns from a fold's training samples, and what it says of the others.
    ///
    /// # Errors
    /// What the samples lack; predictions that are no numbers.
    pub fn learned(&self, model: &Model, fold: &Fold) -> Result<Learned, NetworkError> {
        let (words, learner) = self.chosen(model, &fold.train)?;
        let fitted = self.fit(learner, &fold.train)?;
        let predicted = fitted.predict(self.rows(&fold.test))?;
        if predicted.iter().any(|value| !value.is_finite()) {
            let problem = "predicts what is no number (learn more slowly, or penalise more)".into();
            return Err(NetworkError::Model { model: model.name.clone(), problem });
        }
        Ok(Learned { chosen: (!words.is_empty()).then(|| words.clone()), fitted, predicted })
    }

    /// Some of the samples.
    pub fn rows<'b>(&'b self, rows: &'b [usize]) -> Rows<'b> {
        Rows { networks: self.networks, targets: self.targets, rows }
    }

    /// Learns from these samples; what stops by others holds some of them back.
    fn fit(&self, learner: &dyn Learner, rows: &[usize]) -> Result<Box<dyn Fitted>, NetworkError> {
        let apart = match learner.stops() {
            true => held_back(rows, self.units, self.targets, self.held_back, self.seed),
            false => None,
        };
        match &apart {
            Some(Fold { train, test }) => learner.fit(self.rows(train), Some(self.rows(test)), self.seed),
            None => learner.fit(self.rows(rows), None, self.seed),
        }
    }

    /// The settings that do best on inner folds of these samples, by the mean of the deciding score; of equal ones the first.
    fn chosen<'b>(&self, model: &'b Model, rows: &[usize]) -> Result<(&'b String, &'b dyn Learner), NetworkError> {
        let every: Vec<(&String, &dyn Learner)> =
            model.candidates.iter().map(|(words, learner)| (words, learner.as_ref())).collect();
        let Some(first) = every.first().copied() else {
            return Err(NetworkError::Model { model: model.name.clone(), problem: "has no settings to try".into() });
        };
        if every.len() == 1 {
            return Ok(first);
        }
        let metric = Metric::deciding(self.targets);
        let inner = divide(rows, self.units, self.targets, Scheme::Parts(self.inner), self.seed)?;
        let (mut best, mut most) = (None, f64::NEG_INFINITY);
        for (words, learner) in every {
            let mut scores = Vec::new();
            for Fold { train, test } in &inner {
                let predicted = self.fit(learner, train)?.predict(self.rows(test))?;
                scores.push(metric.gain(metric.score(self.targets, test, predicted.view())));
            }
            scores.retain(|score| score.is_finite());
            let mean = scores.iter().sum::<f64>() / scores.len() as f64;
            if mean > most {
                (best, most) = (Some((words, learner)), mean);
            }
        }
        best.ok_or_else(|| {
            let problem = "no settings have a score on inner folds (take fewer --inner-folds)".into();
            NetworkError::Model { model: model.name.clone(), problem }
        })
    }
}

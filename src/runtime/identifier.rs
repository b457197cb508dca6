//! Which of these was shown? Candidates ranked by how likely each makes the volumes that follow a stimulus.
//!
//! A stimulus opens a trial. For every volume that its lags reach, the row of features is made again with each candidate in
//! the stimulus' place (everything else that was shown counts as known), and with residuals that are independent between
//! regions and volumes, of the variance σ_v² that one-step-ahead predictions had so far,
//!
//! ```text
//! log p(y | c) = −½ Σ_t Σ_v (y_tv − ŷ_tv(c))² / σ_v²  +  the same for every candidate
//! ```
//!
//! **Invariants.** Weights and variances are those from before the first volume of a trial, so nothing was learned from
//! what was shown in it. What was shown is compared with the candidates once they are ranked, to say where it came out.

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::features::Features;
use super::session::Session;
use crate::frame::{ClockStamp, Identification, Instant, ModelStamp, Quality, RankedCandidate};
use crate::ridge::{FeatureTimeline, FrozenWeights, Lags, Learner};

/// `[identification.NAME]`: which stimulus was it?
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IdentificationConfig {
    /// The predictor whose model ranks: one of events, that has targets.
    pub predictor: String,
    /// A TSV file of what may have been shown, at most 256: a column `id`, and `text`, `stim_file` or other columns, as in
    /// events.tsv.
    pub candidates: PathBuf,
}

/// The most candidates: each costs a prediction a volume.
pub const MOST_CANDIDATES: usize = 256;
/// The most trials at a time; beyond, the oldest is closed early.
const MOST_TRIALS: usize = 64;
/// A part of a volume that is rounding.
const EDGE: f64 = 1e-6;
/// Volumes until variances are trusted.
const TRUSTED: u64 = 20;

/// What may have been shown.
pub struct Candidates {
    ids: Vec<Arc<str>>,
    /// By input of the predictor, then by candidate.
    features: Vec<Vec<Vec<f64>>>,
    hash: Arc<str>,
}

impl Candidates {
    /// Candidates of these names, with the features of each for every input of the predictor.
    pub fn new(ids: Vec<Arc<str>>, features: Vec<Vec<Vec<f64>>>) -> Self {
        let mut hash = Sha256::new();
        ids.iter().for_each(|id| hash.update(format!("{id}\0")));
        features.iter().flatten().flatten().for_each(|value| hash.update(value.to_le_bytes()));
        let hash: String = hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect();
        Self { ids, features, hash: hash.into() }
    }
}

/// A stimulus that is asked about.
struct Trial {
    start: Instant,
    end: Instant,
    /// By input: what was shown there.
    shown: Vec<Option<Vec<f64>>>,
    /// What the model was before its first volume.
    before: Option<(Arc<FrozenWeights>, Vec<f64>, ModelStamp)>,
    likelihoods: Vec<f64>,
    volumes: u32,
    quality: Quality,
}

/// A volume, and the row that goes with it.
pub(super) struct Measured<'a> {
    pub at: Instant,
    pub period: f64,
    pub arrived_at: Instant,
    pub run: u32,
    pub quality: Quality,
    pub row: &'a [f64],
    pub prediction: &'a [f64],
    pub target: &'a [f64],
}

/// Ranks candidates for one predictor.
pub struct Identifier {
    name: Arc<str>,
    candidates: Candidates,
    trials: VecDeque<Trial>,
    /// Σ of squared residuals per region, and of how many.
    squares: Vec<f64>,
    scored: Vec<u64>,
    seq: u64,
}

impl Identifier {
    /// `[identification.NAME]` with these candidates.
    pub fn new(name: &str, candidates: Candidates) -> Self {
        let (squares, scored) = (Vec::new(), Vec::new());
        Self { name: name.into(), candidates, trials: VecDeque::new(), squares, scored, seq: 0 }
    }

    /// Something was shown: a trial of its own, unless another input has told of it already.
    pub(super) fn shown(&mut self, input: usize, features: &Features) {
        let same = |trial: &&mut Trial| trial.start == features.start && trial.end == features.end;
        let shown = Some(features.values.clone());
        if let Some(trial) = self.trials.iter_mut().find(same) {
            trial.quality |= features.quality;
            trial.shown.iter_mut().skip(input).take(1).for_each(|of| of.clone_from(&shown));
            return;
        }
        if self.trials.len() >= MOST_TRIALS {
            tracing::warn!(identification = %self.name, "too many stimuli at once; the oldest is no longer asked about");
            self.trials.pop_front();
        }
        let mut all = vec![None; self.candidates.features.len()];
        all.iter_mut().skip(input).take(1).for_each(|of| of.clone_from(&shown));
        self.trials.push_back(Trial {
            start: features.start,
            end: features.end,
            shown: all,
            before: None,
            likelihoods: vec![0.0; self.candidates.ids.len()],
            volumes: 0,
            quality: features.quality,
        });
    }

    /// A run begins: what was asked about the one before stays unanswered.
    pub(super) fn new_run(&mut self) {
        self.trials.clear();
    }

    /// A volume was measured, and is not learned from yet: ranks for every trial that reaches it.
    pub(super) fn volume(
        &mut self,
        now: &Measured<'_>,
        lags: &Lags,
        learner: &Learner,
        stamp: &Stamp<'_>,
        emit: &mut Vec<Identification>,
    ) {
        self.squares.resize(now.target.len(), 0.0);
        self.scored.resize(now.target.len(), 0);
        // Volumes from here on look at nothing before this.
        let over = |at: Instant| at + (now.period - lags.horizon(now.period));
        let weights = std::cell::OnceCell::new();
        let mut trials = std::mem::take(&mut self.trials);
        trials.retain_mut(|trial| {
            let Some(shares) = shares(trial, lags, now) else { return trial.end > over(now.at) };
            let (weights, variances, _) = trial.before.get_or_insert_with(|| {
                let weights = weights.get_or_init(|| learner.frozen());
                (Arc::clone(weights), self.variances(), stamp.model.clone())
            });
            let rows = self.rows(trial.shown.as_slice(), &shares, now.row);
            let expected = weights.predict(&rows);
            let targets = now.target.len().max(1);
            for (total, expected) in trial.likelihoods.iter_mut().zip(expected.chunks_exact(targets)) {
                let residuals = now.target.iter().zip(expected).zip(variances.iter());
                let squares = residuals.map(|((y, p), variance)| (y - p) * (y - p) / variance);
                // A region that was not measured says nothing.
                *total -= 0.5 * squares.filter(|square| square.is_finite()).sum::<f64>();
            }
            trial.volumes += 1;
            trial.quality |= now.quality;
            let complete = trial.end - over(now.at + now.period) <= EDGE * now.period;
            emit.push(self.answer(trial, complete, now, stamp));
            self.seq += 1;
            !complete
        });
        self.trials = trials;
        self.score(now);
    }

    /// Keeps the residual of this volume for the variances of later ones.
    fn score(&mut self, now: &Measured<'_>) {
        let residuals = now.target.iter().zip(now.prediction).map(|(y, p)| (y - p) * (y - p));
        for ((square, sum), count) in residuals.zip(&mut self.squares).zip(&mut self.scored) {
            if square.is_finite() {
                (*sum, *count) = (*sum + square, *count + 1);
            }
        }
    }

    /// Of each region's residual so far; 1 before there is one.
    fn variances(&self) -> Vec<f64> {
        let of = |(sum, count): (&f64, &u64)| if *count > 0 && *sum > 0.0 { sum / *count as f64 } else { 1.0 };
        self.squares.iter().zip(&self.scored).map(of).collect()
    }

    /// The row with each candidate in the place of what was shown.
    fn rows(&self, shown: &[Option<Vec<f64>>], shares: &[f64], row: &[f64]) -> Vec<f64> {
        let count = self.candidates.ids.len();
        let mut rows = row.repeat(count);
        for (candidate, row) in rows.chunks_exact_mut(row.len().max(1)).enumerate() {
            let mut rest = row;
            for (features, shown) in self.candidates.features.iter().zip(shown) {
                let Some(features) = features.get(candidate) else { continue };
                let (part, after) = std::mem::take(&mut rest).split_at_mut(features.len() * shares.len());
                rest = after;
                let Some(shown) = shown else { continue };
                for (copy, share) in part.chunks_exact_mut(features.len().max(1)).zip(shares) {
                    let moved = features.iter().zip(shown).map(|(candidate, shown)| share * (candidate - shown));
                    copy.iter_mut().zip(moved).for_each(|(x, d)| *x += d);
                }
            }
        }
        rows
    }

    fn answer(&self, trial: &Trial, complete: bool, now: &Measured<'_>, stamp: &Stamp<'_>) -> Identification {
        let most = trial.likelihoods.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let total: f64 = trial.likelihoods.iter().map(|l| (l - most).exp()).sum();
        let ranked = self.candidates.ids.iter().zip(&trial.likelihoods).map(|(id, l)| RankedCandidate {
            id: Arc::clone(id),
            log_likelihood: *l,
            p: (l - most).exp() / total,
        });
        let mut ranking: Vec<RankedCandidate> = ranked.collect();
        ranking.sort_by(|a, b| b.log_likelihood.total_cmp(&a.log_likelihood));
        let enough = self.scored.iter().any(|count| *count >= TRUSTED);
        let clock = stamp.session.clock();
        Identification {
            schema: Identification::SCHEMA,
            session: Arc::clone(stamp.session.id()),
            run: now.run,
            seq: self.seq,
            identification: Arc::clone(&self.name),
            predictor: Arc::clone(stamp.predictor),
            t_target: trial.start,
            t_measured: now.at,
            t_arrived: now.arrived_at,
            t_published: clock.now(),
            clock: ClockStamp { name: clock.name(), unix_offset: clock.unix_offset() },
            volumes: trial.volumes,
            complete,
            candidates_id: Arc::clone(&self.candidates.hash),
            best: ranking.first().map(|best| Arc::clone(&best.id)).unwrap_or_else(|| "".into()),
            rank_of_shown: self.rank_of_shown(trial),
            ranking,
            quality: if enough { trial.quality } else { trial.quality | Quality::WARMING_UP },
            model: trial.before.as_ref().map(|(_, _, model)| model.clone()).unwrap_or_default(),
        }
    }

    /// The place of what was shown, in the middle of ties; nothing where it is no candidate.
    fn rank_of_shown(&self, trial: &Trial) -> Option<f64> {
        let is_shown = |candidate: &usize| {
            let mut inputs = self.candidates.features.iter().zip(&trial.shown);
            inputs.all(|(features, shown)| shown.is_none() || features.get(*candidate) == shown.as_ref())
        };
        let own = trial.likelihoods.get((0..self.candidates.ids.len()).find(is_shown)?)?;
        let better = trial.likelihoods.iter().filter(|l| *l > own).count();
        let tied = trial.likelihoods.iter().filter(|l| *l == own).count();
        Some(1.0 + better as f64 + tied.saturating_sub(1) as f64 / 2.0)
    }
}

/// What every message of one predictor has in common.
pub(super) struct Stamp<'a> {
    pub session: &'a Session,
    pub predictor: &'a Arc<str>,
    pub model: &'a ModelStamp,
}

/// How much of each copy of the features this trial makes up in the row of this volume; nothing where it is not reached.
fn shares(trial: &Trial, lags: &Lags, now: &Measured<'_>) -> Option<Vec<f64>> {
    let mut alone = FeatureTimeline::events(1);
    alone.push(trial.start.seconds(), trial.end.seconds(), &[1.0]);
    let mut shares = vec![0.0; lags.columns(1)];
    lags.row(&alone, now.at.seconds(), now.period, &mut shares);
    shares.iter().any(|share| share.abs() > EDGE).then_some(shares)
}

//! Who learns? Predict, score, learn: one object that the learn lane owns.

mod begun;
mod saved;

use std::sync::Arc;

use super::guard::{Guard, Shadow, window_skill};
use super::lambda::{LambdaConfig, SearchJob, SearchResult};
use super::moments::Moments;
use super::rls::Rls;
use super::state::{Reader, StateError, Writer};
use super::{Criterion, Forget, Memory, RidgeConfig, RidgeError, Skill, Snapshot, Window, usable};
use crate::frame::Quality;

/// What became of one volume.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Observed {
    /// Scored and learned from.
    Learned,
    /// Scored, but nothing was learned: learning is switched off, or a flag forbids it.
    Frozen,
    /// Neither: a feature was not finite, or a shape was wrong.
    Refused,
    /// Scored, and the weights went back to an earlier state for having become worse.
    RolledBack,
}

/// What the learner goes back to: weights, and the moments that belong to them.
#[derive(Clone, Debug)]
struct Core {
    rls: Rls,
    /// Oldest first; the last one grows. One, or one a run, or one a block. Those that do not grow are shared with copies.
    segments: Vec<Arc<Moments>>,
    /// Volumes since the present block began.
    in_block: u64,
}

impl Core {
    /// The moments of a run or block that begins.
    fn begin_segment(&mut self) {
        self.segments.push(Arc::new(Moments::new(self.rls.features(), self.rls.targets())));
    }

    /// Holds what both have learned once, as before both were written down.
    fn share(&mut self, other: &Self) {
        for (own, theirs) in self.segments.iter_mut().zip(&other.segments) {
            if own.is(theirs) {
                *own = Arc::clone(theirs);
            }
        }
    }

    /// Takes `merged` for its two oldest segments, if those are `pair`.
    fn replace(&mut self, pair: &[Arc<Moments>; 2], merged: &Arc<Moments>) {
        let same = |i: usize| self.segments.get(i).is_some_and(|own| Arc::ptr_eq(own, &pair[i]));
        if same(0) && same(1) {
            self.segments.splice(..2, [Arc::clone(merged)]);
        }
    }

    fn shadow(&self, window: usize) -> Shadow {
        let mut snapshot = Snapshot::new(self.rls.features(), self.rls.targets());
        self.snapshot_into(&mut snapshot);
        Shadow::new(snapshot, window)
    }

    fn snapshot_into(&self, snapshot: &mut Snapshot) {
        let rls = &self.rls;
        if (snapshot.features(), snapshot.targets()) != (rls.features(), rls.targets()) {
            *snapshot = Snapshot::new(rls.features(), rls.targets());
        }
        snapshot.mean_x.copy_from_slice(rls.mean_x());
        snapshot.mean_y.iter_mut().zip(rls.mean_y()).for_each(|(to, mean)| *to = *mean as f32);
        rls.each_weight(|at, w| snapshot.weights[at] = w as f32);
    }

    fn save(&self, to: &mut Writer) {
        self.rls.save(to);
        to.usize(self.segments.len());
        self.segments.iter().for_each(|segment| segment.save(to));
        to.u64(self.in_block);
    }

    fn load(features: usize, targets: usize, most: usize, from: &mut Reader<'_>) -> Result<Self, StateError> {
        let rls = Rls::load(features, targets, from)?;
        let segments = from.index(most + 1, "runs or blocks")?;
        if segments == 0 {
            return Err(StateError::Impossible { what: "runs or blocks", value: 0, allowed: "at least 1".into() });
        }
        let segments =
            (0..segments).map(|_| Moments::load(features, targets, from).map(Arc::new)).collect::<Result<_, _>>()?;
        Ok(Self { rls, segments, in_block: from.u64()? })
    }
}

/// Rows learned while a [`SearchJob`] runs elsewhere, to be learned by its solution too.
#[derive(Debug, Default)]
struct Backlog {
    rows: Vec<f64>,
    stale: bool,
}

/// Most numbers of rows that wait for a solution (64 MiB: 80 rows of 10⁵ targets); beyond, it is solved anew when it comes.
const MOST_BACKLOG: usize = 8 << 20;

/// A ridge of F features (lags counted) and V targets that learns while it runs.
#[derive(Debug)]
pub struct Learner {
    config: RidgeConfig,
    freeze_on: Quality,
    grid: Option<(Criterion, Vec<f64>)>,
    core: Core,
    skill: Skill,
    guard: Guard<Core>,
    shadow: Option<Shadow>,
    frozen: bool,
    fixed: bool,
    updates: u64,
    refused: u64,
    held: u64,
    missing: u64,
    resolved: u64,
    drift: Option<f64>,
    condition: Option<f64>,
    due: bool,
    epoch: u64,
    backlog: Option<Backlog>,
    target: Vec<f64>,
    prediction: Vec<f64>,
}

impl Learner {
    /// Nothing learned yet.
    ///
    /// # Errors
    /// What is wrong with the shape or the configuration.
    pub fn new(features: usize, targets: usize, config: &RidgeConfig) -> Result<Self, RidgeError> {
        let freeze_on = config.check(features, targets)?;
        let start = config.lambda.start()?;
        let grid = match &config.lambda {
            LambdaConfig::Fixed(_) => None,
            LambdaConfig::Choose(choose) => Some((choose.choose, choose.grid.values()?)),
        };
        Ok(Self {
            config: config.clone(),
            freeze_on,
            grid,
            core: Core {
                rls: Rls::new(features, targets, start),
                segments: vec![Arc::new(Moments::new(features, targets))],
                in_block: 0,
            },
            skill: Skill::new(targets, config.skill.window),
            guard: Guard::new(config.guard.clone()),
            shadow: None,
            frozen: false,
            fixed: false,
            updates: 0,
            refused: 0,
            held: 0,
            missing: 0,
            resolved: 0,
            drift: None,
            condition: None,
            due: false,
            epoch: 0,
            backlog: None,
            target: vec![0.0; targets],
            prediction: vec![0.0; targets],
        })
    }

    /// Writes what it expects for `x` (F) into `y` (V). False, and the targets' means, when a feature is not finite or
    /// a shape is wrong.
    pub fn predict(&mut self, x: &[f64], y: &mut [f64]) -> bool {
        if x.len() != self.features() || !x.iter().all(|v| usable(*v)) {
            y.iter_mut().zip(self.core.rls.mean_y()).for_each(|(y, mean)| *y = *mean);
            return false;
        }
        y.iter_mut().zip(self.core.rls.evaluate(x)).for_each(|(y, expected)| *y = *expected);
        y.len() == self.targets()
    }

    /// The volume `y` (V) came with the row `x` (F), and `quality` is the union of both: predicts, scores the
    /// prediction, then learns. What was predicted is in [`prediction`](Self::prediction).
    pub fn observe(&mut self, x: &[f64], y: &[f64], quality: Quality) -> Observed {
        if x.len() != self.features() || y.len() != self.targets() || !x.iter().all(|v| usable(*v)) {
            return self.refuse();
        }
        for (target, y) in self.target.iter_mut().zip(y) {
            *target = if usable(*y) { *y } else { f64::NAN };
        }
        self.prediction.copy_from_slice(self.core.rls.evaluate(x));
        self.skill.score(&self.prediction, &self.target);
        let trusted = self.shadow.as_mut().and_then(|shadow| shadow.score(x, &self.target));
        if self.frozen || quality.intersects(self.freeze_on) {
            self.held += 1;
            return Observed::Frozen;
        }
        let learner = if trusted.is_some() { window_skill(&self.skill) } else { None };
        if let Some(state) = self.guard.judge(learner, trusted, self.config.skill.window) {
            self.core = state;
            self.invalidate();
            return Observed::RolledBack;
        }
        self.missing += self.target.iter().filter(|y| y.is_nan()).count() as u64;
        self.learn_row(x);
        if self.guard.keep(self.updates, || self.core.clone()) {
            self.shadow = self.guard.trusted().map(|core| core.shadow(self.config.skill.window));
        }
        Observed::Learned
    }

    /// A row that cannot be used at all: counted, neither scored nor learned from.
    pub fn refuse(&mut self) -> Observed {
        self.refused += 1;
        Observed::Refused
    }

    /// Learns `x`, just evaluated, with `self.target`.
    fn learn_row(&mut self, x: &[f64]) {
        let healthy = self.core.rls.learn(&mut self.target);
        if let Some(segment) = self.core.segments.last_mut() {
            Arc::make_mut(segment).observe(x, &self.target);
        }
        if !healthy {
            self.resolved += 1;
            self.solve();
        }
        self.updates += 1;
        self.core.in_block += 1;
        match self.config.memory {
            Memory::Forget(Forget { factor, block }) if self.core.in_block >= block => {
                self.core.segments.iter_mut().for_each(|segment| Arc::make_mut(segment).forget(factor));
                self.core.in_block = 0;
                self.solve();
            }
            Memory::Window(Window { blocks, block }) if self.core.in_block >= block => {
                let full = self.core.segments.len() >= blocks;
                if full {
                    self.core.segments.remove(0);
                }
                self.core.begin_segment();
                self.core.in_block = 0;
                if full {
                    self.solve();
                }
            }
            _ => {}
        }
        if let Some(backlog) = &mut self.backlog {
            if backlog.rows.len() + x.len() + self.target.len() > MOST_BACKLOG {
                backlog.stale = true;
            } else {
                backlog.rows.extend_from_slice(x);
                backlog.rows.extend_from_slice(&self.target);
            }
        }
        self.due |= match &self.config.lambda {
            LambdaConfig::Choose(choose) => self.updates.is_multiple_of(choose.every),
            LambdaConfig::Fixed(_) => self.config.refresh > 0 && self.updates.is_multiple_of(self.config.refresh),
        };
    }

    /// Solves the weights anew from the moments, with the present λs.
    fn solve(&mut self) {
        let lambdas = self.core.rls.lambdas();
        // Finite moments always have a solution; without one the weights stay as they are.
        if let Some(exact) = Rls::solve(&self.core.segments, &lambdas) {
            self.core.rls = exact;
        }
        self.invalidate();
    }

    /// A solution that is being made elsewhere no longer fits.
    fn invalidate(&mut self) {
        self.epoch += 1;
    }

    /// A run begins. Where λ is chosen by runs, its moments are kept apart.
    pub fn new_run(&mut self) {
        let LambdaConfig::Choose(choose) = &self.config.lambda else { return };
        if choose.choose != Criterion::Runs || matches!(self.config.memory, Memory::Window(_)) {
            return;
        }
        let core = &mut self.core;
        if core.segments.last().is_some_and(|last| last.n() > 0.0) {
            core.begin_segment();
        }
        while core.segments.len() > choose.keep_runs {
            let pair = [core.segments.remove(0), core.segments.remove(0)];
            let mut merged = Moments::clone(&pair[1]);
            merged.merge(&pair[0]);
            let merged = Arc::new(merged);
            // A copy that kept the two apart would keep them in memory.
            self.guard.each(|copy| copy.replace(&pair, &merged));
            core.segments.insert(0, merged);
        }
    }

    /// A job, when one is due (every `refresh` or `lambda.every` updates) and none is under way: chooses λ, solves the
    /// weights anew, measures drift and condition. Run it anywhere, then [`adopt`](Self::adopt) what it found; learning
    /// goes on meanwhile. In replay it is run at once, so that everything takes effect at fixed update counts.
    pub fn begin_search(&mut self) -> Option<SearchJob> {
        if !self.due || self.backlog.is_some() {
            return None;
        }
        self.due = false;
        Some(self.search())
    }

    /// The same, due or not; one that is under way is abandoned.
    pub fn search(&mut self) -> SearchJob {
        self.epoch += 1;
        self.backlog = Some(Backlog::default());
        SearchJob {
            segments: self.core.segments.clone(),
            rls: self.core.rls.clone(),
            choose: self.grid.clone(),
            epoch: self.epoch,
        }
    }

    /// Takes over what a job found, brought up to date with what was learned meanwhile. False when it no longer fitted
    /// (the state was rolled back, a block ended): then only its λs are taken, and the weights solved on the spot.
    pub fn adopt(&mut self, result: SearchResult) -> bool {
        let Some(backlog) = self.backlog.take() else { return false };
        (self.drift, self.condition) = (Some(result.drift), Some(result.condition));
        let fits = result.epoch == self.epoch && !backlog.stale;
        if let Some(mut rls) = result.rls.filter(|_| fits) {
            let features = self.features();
            let mut row_by_row = backlog.rows;
            let healthy = row_by_row.chunks_exact_mut(features + self.targets()).all(|row| {
                let (x, y) = row.split_at_mut(features);
                rls.evaluate(x);
                rls.learn(y)
            });
            if healthy {
                self.core.rls = rls;
                return true;
            }
        }
        if let Some(exact) = Rls::solve(&self.core.segments, &result.lambdas) {
            self.core.rls = exact;
        }
        self.invalidate();
        false
    }

    /// Gives up waiting for a job, so that the next one may begin.
    pub fn abandon_search(&mut self) {
        self.backlog = None;
    }

    /// From now on nothing is learned; predicting and scoring go on.
    pub fn freeze(&mut self) {
        self.frozen = true;
    }

    /// From now on it learns again, unless it [never can](Self::is_fixed).
    pub fn learn(&mut self) {
        self.frozen = self.fixed;
    }

    /// Whether learning is switched off.
    pub fn is_frozen(&self) -> bool {
        self.frozen
    }

    /// What was expected of the volume last observed, before learning from it; V values.
    pub fn prediction(&self) -> &[f64] {
        &self.prediction
    }

    /// Columns of a row.
    pub fn features(&self) -> usize {
        self.core.rls.features()
    }

    /// How many targets.
    pub fn targets(&self) -> usize {
        self.core.rls.targets()
    }

    /// How many volumes were learned from, those rolled back included.
    pub fn updates(&self) -> u64 {
        self.updates
    }

    /// How many rows were refused.
    pub fn refused(&self) -> u64 {
        self.refused
    }

    /// Volumes scored but not learned from: frozen, or flagged.
    pub fn held(&self) -> u64 {
        self.held
    }

    /// How many targets were replaced by their prediction for not being finite.
    pub fn missing_targets(&self) -> u64 {
        self.missing
    }

    /// How often it went back to an earlier state.
    pub fn rollbacks(&self) -> u64 {
        self.guard.rollbacks()
    }

    /// How often rounding had ruined the recursion and the weights were solved anew at once.
    pub fn repairs(&self) -> u64 {
        self.resolved
    }

    /// The skill of the predictions made before learning.
    pub fn skill(&self) -> &Skill {
        &self.skill
    }

    /// λ of every target.
    pub fn lambdas(&self) -> Vec<f64> {
        self.core.rls.lambdas()
    }

    /// `W`, row-major F×V; the prediction is `ȳ + Wᵀ(x − x̄)`.
    pub fn weights(&self) -> Vec<f64> {
        self.core.rls.weights()
    }

    /// `x̄` and `ȳ`.
    pub fn means(&self) -> (&[f64], &[f64]) {
        (self.core.rls.mean_x(), self.core.rls.mean_y())
    }

    /// The weights' largest distance from the exact solution, relative to the largest weight, as last measured.
    pub fn drift(&self) -> Option<f64> {
        self.drift
    }

    /// About the condition number of `G + λI`, as last measured.
    pub fn condition(&self) -> Option<f64> {
        self.condition
    }

    /// Measures the drift now; as slow as solving.
    pub fn measure_drift(&self) -> f64 {
        let exact = Rls::solve(&self.core.segments, &self.core.rls.lambdas());
        exact.map_or(f64::INFINITY, |exact| self.core.rls.distance(&exact))
    }

    /// Makes `snapshot`, of the same shape, predict as this learner now would. Of another shape it is replaced.
    pub fn snapshot_into(&self, snapshot: &mut Snapshot) {
        self.core.snapshot_into(snapshot);
        snapshot.updates = self.updates;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_that_are_over_are_shared_with_copies_and_a_search_and_merged_in_them_too() {
        let config = "lambda = { choose = \"runs\", keep_runs = 2 }\nguard = { every = 5 }";
        let mut learner = Learner::new(2, 3, &toml::from_str(config).unwrap()).unwrap();
        let observe = |learner: &mut Learner, t: usize| {
            let wave = |i: usize| ((t * (i + 2)) as f64 * 0.7).sin();
            learner.observe(&[wave(0), wave(1)], &[wave(2), wave(3), wave(4)], Quality::GOOD);
        };
        (0..5).for_each(|t| observe(&mut learner, t));
        learner.new_run();
        (5..10).for_each(|t| observe(&mut learner, t));
        let runs = learner.core.segments.clone();
        assert_eq!(runs.len(), 2);
        let job = learner.search();
        assert!(job.segments.iter().zip(&runs).all(|(job, own)| Arc::ptr_eq(job, own)));
        let copied = |learner: &mut Learner| {
            let mut copies = Vec::new();
            learner.guard.each(|copy| copies.push(copy.segments.clone()));
            copies
        };
        let before = copied(&mut learner);
        assert!(before.len() == 2 && Arc::ptr_eq(&before[0][0], &runs[0]) && Arc::ptr_eq(&before[1][1], &runs[1]));
        learner.new_run();
        let merged = &learner.core.segments[0].clone();
        assert_eq!((learner.core.segments.len(), merged.n()), (2, 10.0));
        let after = copied(&mut learner);
        assert!(after[1].len() == 1 && Arc::ptr_eq(&after[1][0], merged), "the older copy had but the first run");
        observe(&mut learner, 10);
        assert_eq!(learner.core.segments[1].n(), 1.0);
        assert!(learner.adopt(job.run()), "the search ended with what was learned meanwhile");
    }
}

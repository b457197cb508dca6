//! What if learning makes it worse? Go back to the last state that was seen to be good.
//!
//! Two copies of the weights and moments take turns: the newest is on trial, the one before has stood it and is trusted.
//! The trusted copy goes on predicting in the background, unlearned, and is scored on the same volumes: a hard stretch is
//! hard for both. When the learner's moving skill stays clearly below the trusted copy's, what it has learned since is
//! worse than nothing, and it becomes that copy again. If the world has changed instead, learning does better than the
//! copy, and nothing is undone. Limits: bad volumes are undone once good ones show it, and only if they lasted less than
//! about `every` updates.

use serde::{Deserialize, Serialize};

use super::state::{Reader, StateError, Writer};
use super::{RidgeError, Skill, Snapshot};

/// When to go back.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GuardConfig {
    /// Whether it stands guard at all; true. Costs two copies of the learner's state.
    pub enabled: bool,
    /// Updates between two copies; 200. Not less than the skill window, or a copy may be spoilt before it shows.
    pub every: u64,
    /// How far the mean R over the skill window must fall below the trusted copy's; 0.05.
    pub delta: f64,
    /// For how many volumes in a row; 20.
    pub patience: u32,
}

impl Default for GuardConfig {
    fn default() -> Self {
        Self { enabled: true, every: 200, delta: 0.05, patience: 20 }
    }
}

impl GuardConfig {
    pub(super) fn check(&self) -> Result<(), RidgeError> {
        super::positive("guard.delta", self.delta)?;
        let counts = [("guard.every", self.every), ("guard.patience", u64::from(self.patience))];
        match counts.into_iter().find(|(_, count)| *count == 0) {
            Some((name, _)) => Err(RidgeError::Zero(name)),
            None => Ok(()),
        }
    }
}

/// Two copies of a `T` and the rule when to go back to the older.
#[derive(Clone, Debug)]
pub(super) struct Guard<T> {
    config: GuardConfig,
    trusted: Option<T>,
    on_trial: Option<T>,
    below: u32,
    /// Volumes until the skill window holds no prediction from before the last return.
    wait: usize,
    rollbacks: u64,
}

impl<T: Clone> Guard<T> {
    pub fn new(config: GuardConfig) -> Self {
        Self { config, trusted: None, on_trial: None, below: 0, wait: 0, rollbacks: 0 }
    }

    /// How often it went back.
    pub fn rollbacks(&self) -> u64 {
        self.rollbacks
    }

    /// The copy that would be gone back to.
    pub fn trusted(&self) -> Option<&T> {
        self.trusted.as_ref()
    }

    /// Calls `change` with each copy.
    pub fn each(&mut self, change: impl FnMut(&mut T)) {
        [&mut self.trusted, &mut self.on_trial].into_iter().flatten().for_each(change);
    }

    /// Looks at the moving skill of the learner and of the trusted copy, over the same volumes (`None` while a window is
    /// not full). The state to go back to, if it is time. `window` is the skill window's length.
    pub fn judge(&mut self, learner: Option<f64>, trusted: Option<f64>, window: usize) -> Option<T> {
        if self.wait > 0 {
            self.wait -= 1;
            return None;
        }
        let (Some(learner), Some(trusted)) = (learner, trusted) else {
            self.below = 0;
            return None;
        };
        self.below = if learner < trusted - self.config.delta { self.below + 1 } else { 0 };
        if self.below < self.config.patience {
            return None;
        }
        (self.below, self.wait, self.on_trial) = (0, window, None);
        self.rollbacks += 1;
        self.trusted.clone()
    }

    /// After update number `updates`: takes a copy when one is due and nothing gives cause for doubt. True when another
    /// copy is trusted now.
    pub fn keep(&mut self, updates: u64, state: impl FnOnce() -> T) -> bool {
        let due = self.config.enabled && updates.is_multiple_of(self.config.every);
        if !due || self.below > 0 || self.wait > 0 {
            return false;
        }
        let proven = self.on_trial.replace(state());
        let promoted = proven.is_some();
        if promoted {
            self.trusted = proven;
        }
        promoted
    }

    pub fn save(&self, to: &mut Writer, write: impl Fn(&T, &mut Writer)) {
        to.option(self.trusted.as_ref(), &write);
        to.option(self.on_trial.as_ref(), &write);
        to.u64(self.below.into());
        to.usize(self.wait);
        to.u64(self.rollbacks);
    }

    pub fn load(
        config: GuardConfig,
        from: &mut Reader<'_>,
        read: impl Fn(&mut Reader<'_>) -> Result<T, StateError>,
    ) -> Result<Self, StateError> {
        let mut out = Self::new(config);
        out.trusted = from.option("trusted copy", &read)?;
        out.on_trial = from.option("copy on trial", &read)?;
        const MOST: usize = u32::MAX as usize;
        out.below = from.index(MOST, "volumes below")? as u32;
        out.wait = from.index(MOST, "volumes to wait")?;
        out.rollbacks = from.u64()?;
        Ok(out)
    }
}

/// The trusted copy, predicting along.
#[derive(Debug)]
pub(super) struct Shadow {
    snapshot: Snapshot,
    pub skill: Skill,
    y: Vec<f32>,
    prediction: Vec<f64>,
}

impl Shadow {
    pub fn new(snapshot: Snapshot, window: usize) -> Self {
        let targets = snapshot.targets();
        Self { snapshot, skill: Skill::new(targets, window), y: vec![0.0; targets], prediction: vec![0.0; targets] }
    }

    /// Predicts from `x`, scores that against `target`; the moving skill.
    pub fn score(&mut self, x: &[f64], target: &[f64]) -> Option<f64> {
        self.snapshot.predict(x, &mut self.y);
        self.prediction.iter_mut().zip(&self.y).for_each(|(to, y)| *to = f64::from(*y));
        self.skill.score(&self.prediction, target);
        window_skill(&self.skill)
    }
}

/// Mean R over the window, once that is full.
pub(super) fn window_skill(skill: &Skill) -> Option<f64> {
    skill.window_is_full().then(|| skill.window_r_mean())
}

#[cfg(test)]
mod tests {
    use super::*;

    const NONE: [u64; 0] = [];

    fn guard() -> Guard<u64> {
        Guard::new(GuardConfig { every: 10, delta: 0.1, patience: 3, enabled: true })
    }

    /// Feeds `gaps` (the learner's skill less the trusted copy's), one an update from `from` on; what it went back to.
    fn feed(guard: &mut Guard<u64>, from: u64, gaps: &[f64]) -> Vec<u64> {
        let mut back = Vec::new();
        for (updates, gap) in (from..).zip(gaps) {
            let trusted = guard.trusted().map(|_| 0.5);
            back.extend(guard.judge(Some(0.5 + gap), trusted, 5));
            guard.keep(updates, || updates);
        }
        back
    }

    #[test]
    fn a_lasting_fall_goes_back_to_the_copy_that_stood_its_trial_and_a_dip_does_not() {
        let mut g = guard();
        assert_eq!(feed(&mut g, 1, &[-0.05; 35]), NONE);
        assert_eq!(feed(&mut g, 36, &[-0.05, -0.2, -0.2, -0.05, -0.2, -0.2, -0.05]), NONE, "never three in a row");
        assert_eq!(feed(&mut g, 43, &[-0.3; 4]), [20], "40 came in doubt, 30 is on trial, 20 has stood it");
        assert_eq!(feed(&mut g, 47, &[-0.3; 4]), NONE, "the window still holds what came before");
        assert_eq!((feed(&mut g, 51, &[0.0; 30]), g.rollbacks()), (NONE.into(), 1));
        assert_eq!(g.trusted(), Some(&70));
    }

    #[test]
    fn a_copy_that_keeps_being_better_is_gone_back_to_again() {
        let mut g = guard();
        feed(&mut g, 1, &[0.0; 25]);
        assert_eq!(feed(&mut g, 26, &[-0.4; 20]), [10, 10, 10]);
    }

    #[test]
    fn nothing_is_judged_or_gone_back_to_before_there_is_a_trusted_copy_and_a_full_window() {
        let mut g = guard();
        assert_eq!(feed(&mut g, 1, &[-0.9; 19]), NONE);
        assert!(g.trusted().is_none());
        for _ in 0..9 {
            assert_eq!(g.judge(Some(-1.0), None, 5), None);
            assert_eq!(g.judge(None, Some(1.0), 5), None);
        }
    }
}

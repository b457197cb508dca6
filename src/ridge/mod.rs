//! What do the regions do next? A ridge that learns while it runs.
//!
//! A [`FeatureTimeline`] holds what was shown or measured, [`Lags`] turn it into one row per volume, and a [`Learner`]
//! predicts from the row, scores the prediction against the volume when it comes, and only then learns from it. After
//! any number of volumes its weights are those of batch ridge on the same rows, to rounding. The real-time lane predicts
//! from a [`Snapshot`]; a [`Checkpoint`] survives what the process does not.
//!
//! **Invariants.** No answer is ever non-finite, whatever comes in. A row with a feature that is not finite (or beyond
//! ±10¹²) is refused. A target that is not finite is replaced by its prediction: it counts as one more row whose residual
//! is zero, so it moves no weight, but makes later rows move them less (all regions share `P`, so a row cannot be left out
//! for one of them). Nothing here knows of threads or tokio.
//!
//! ```
//! use neurod::frame::Quality;
//! use neurod::ridge::{Learner, Observed, RidgeConfig};
//!
//! let mut learner = Learner::new(2, 1, &RidgeConfig::default())?;
//! for t in 0..200 {
//!     let x = [(t as f64).sin(), (t as f64 * 0.3).cos()];
//!     let observed = learner.observe(&x, &[2.0 * x[0] - x[1] + 5.0], Quality::GOOD);
//!     assert_eq!(observed, Observed::Learned);
//! }
//! let mut y = [0.0];
//! learner.predict(&[1.0, 0.0], &mut y);
//! assert!((y[0] - 7.0).abs() < 0.2);
//! # Ok::<(), neurod::ridge::RidgeError>(())
//! ```

mod augmented;
mod checkpoint;
mod frozen;
mod guard;
mod hrf;
mod kernels;
mod lags;
mod lambda;
mod learner;
mod model;
mod moments;
mod rls;
mod skill;
mod snapshot;
mod state;
mod timeline;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::frame::Quality;

pub use checkpoint::{Checkpoint, CheckpointError, Fingerprint, Loaded};
pub use frozen::FrozenWeights;
pub use guard::GuardConfig;
pub use hrf::{HRF_LENGTH, Response, response_weights, spm_hrf};
pub use lags::{HrfConfig, Lags, LagsConfig};
pub use lambda::{
    ChooseLambda, Criterion, LambdaConfig, LambdaGrid, LambdaSpan, SearchJob, SearchResult, gcv_scores, run_scores,
};
pub use learner::{Learner, Observed};
pub use model::{Description, FeatureSpace, FittedModel, ModelError, Provenance, Target};
pub use moments::Moments;
pub use rls::Rls;
pub use skill::{Skill, SkillConfig};
pub use snapshot::Snapshot;
pub use state::{Reader, StateError, Writer};
pub use timeline::FeatureTimeline;

/// How a ridge learns. Every key may be left out.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct RidgeConfig {
    /// The penalty, fixed or how it is chosen; 10.
    pub lambda: LambdaConfig,
    /// Which volumes count; all.
    pub memory: Memory,
    /// After how many updates the weights are solved anew from the moments, against rounding, and drift and condition
    /// are measured; 5000. 0: never. Where λ is chosen, that happens with every choice.
    pub refresh: u64,
    /// Over what skill is measured.
    pub skill: SkillConfig,
    /// When to go back to an earlier state.
    pub guard: GuardConfig,
    /// Nothing is learned from volumes with one of these quality flags; `["CLOCK_JUMP", "MOTION"]`.
    pub freeze_on: Vec<String>,
}

impl Default for RidgeConfig {
    fn default() -> Self {
        Self {
            lambda: LambdaConfig::default(),
            memory: Memory::default(),
            refresh: 5000,
            skill: SkillConfig::default(),
            guard: GuardConfig::default(),
            freeze_on: vec!["CLOCK_JUMP".into(), "MOTION".into(), "STALE_MODEL".into()],
        }
    }
}

/// Which volumes count.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Memory {
    /// All, equally.
    #[default]
    All,
    /// Older ones less: after every `block` volumes all before them count `factor` of what they did. λ does not decay.
    Forget(Forget),
    /// The newest: whole blocks are dropped.
    Window(Window),
}

/// `memory = { forget = { factor = 0.9, block = 100 } }`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Forget {
    /// Between 0 and 1.
    pub factor: f64,
    /// In volumes. The weights are solved anew at its end.
    pub block: u64,
}

/// `memory = { window = { blocks = 10, block = 100 } }`: the newest 900 to 1000 volumes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Window {
    /// How many blocks are kept; at least 2. Each costs the memory of the weights.
    pub blocks: usize,
    /// In volumes. The weights are solved anew at its end.
    pub block: u64,
}

/// Most columns of a row: P alone takes 8 F² bytes.
const MAX_FEATURES: usize = 20_000;

impl RidgeConfig {
    /// Checks everything that can be wrong with it, and with a ridge of this shape; the flags to freeze on.
    ///
    /// # Errors
    /// The key that is wrong, with its value and what it may be.
    pub fn check(&self, features: usize, targets: usize) -> Result<Quality, RidgeError> {
        if features == 0 || targets == 0 || features > MAX_FEATURES {
            return Err(RidgeError::Shape { features, targets });
        }
        self.lambda.start()?;
        self.guard.check()?;
        if self.skill.window < 4 {
            return Err(RidgeError::Window(self.skill.window));
        }
        match &self.memory {
            Memory::Forget(Forget { factor, .. }) if !(*factor > 0.0 && *factor < 1.0) => {
                return Err(RidgeError::Factor(*factor));
            }
            Memory::Window(Window { blocks, .. }) if !(2..=1000).contains(blocks) => {
                return Err(RidgeError::Blocks(*blocks));
            }
            Memory::Forget(Forget { block: 0, .. }) => return Err(RidgeError::Zero("memory.forget.block")),
            Memory::Window(Window { block: 0, .. }) => return Err(RidgeError::Zero("memory.window.block")),
            _ => {}
        }
        self.freeze_on.iter().try_fold(Quality::GOOD, |flags, name| {
            Quality::from_name(name).map(|flag| flags | flag).ok_or_else(|| RidgeError::Flag(name.clone()))
        })
    }
}

/// What is wrong with a ridge's configuration.
#[derive(Debug, Error, PartialEq)]
pub enum RidgeError {
    /// Too few or too many columns.
    #[error(
        "a ridge of {features} features (lags counted) and {targets} targets cannot be: \
         it needs at least one of each and at most {MAX_FEATURES} features"
    )]
    Shape {
        /// Columns of a row.
        features: usize,
        /// Regions.
        targets: usize,
    },
    /// A number must be positive.
    #[error("{name} = {value} must be a positive number")]
    NotPositive {
        /// The key.
        name: &'static str,
        /// What it was.
        value: f64,
    },
    /// A count must not be zero.
    #[error("{0} = 0 must be at least 1")]
    Zero(&'static str),
    /// Too few or too many λs.
    #[error("lambda.grid has {0} values, it needs 1 to 32: each that is chosen keeps a features × features matrix")]
    Grid(usize),
    /// Too few runs to hold one out.
    #[error("lambda.keep_runs = {0} must be at least 2: one run is held out, the others predict it")]
    TooFewRuns(usize),
    /// No delay.
    #[error("lags is empty: give delays in seconds like [2.0, 4.0], or {{ hrf = \"spm\" }}")]
    NoLags,
    /// A delay that cannot be.
    #[error("lags has {0} s, a delay must be between 0 and 600 s")]
    Lag(f64),
    /// A forgetting factor that cannot be.
    #[error("memory.forget.factor = {0} must lie between 0 and 1 (memory = \"all\" forgets nothing)")]
    Factor(f64),
    /// A window that cannot be.
    #[error("memory.window.blocks = {0} must be between 2 and 1000")]
    Blocks(usize),
    /// A skill window that says nothing.
    #[error("skill.window = {0} must be at least 4 volumes")]
    Window(usize),
    /// A general linear model that cannot be made of these features.
    #[error("{0}")]
    Contrast(String),
    /// No such flag.
    #[error(
        "freeze_on has \"{0}\", which is no quality flag (GAP, CLIPPED, FLAT, NON_FINITE, LATE, CLOCK_JUMP, \
             STALE_MODEL, DROPPED_BEFORE, MOTION, WARMING_UP)"
    )]
    Flag(String),
}

fn positive(name: &'static str, value: f64) -> Result<f64, RidgeError> {
    if value.is_finite() && value > 0.0 { Ok(value) } else { Err(RidgeError::NotPositive { name, value }) }
}

/// Whether a value may enter the moments: finite, and not so large that its square drowns everything else.
fn usable(value: f64) -> bool {
    value.abs() <= 1e12
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_config_says_what_is_wrong_with_it() {
        let parse = |text: &str| toml::from_str::<RidgeConfig>(text);
        let error = |text: &str| parse(text).unwrap().check(3, 2).unwrap_err().to_string();
        assert_eq!(parse("").unwrap(), RidgeConfig::default());
        assert_eq!(parse("").unwrap().check(3, 2), Ok(Quality::CLOCK_JUMP | Quality::MOTION | Quality::STALE_MODEL));
        assert!(parse("lamda = 3").unwrap_err().to_string().contains("lamda"));
        assert!(parse("memory = { window = { blocks = 3, blok = 1 } }").unwrap_err().to_string().contains("blok"));
        assert!(error("freeze_on = [\"Motion\"]").starts_with("freeze_on has \"Motion\", which is no quality flag"));
        assert!(error("memory = { forget = { factor = 1.0, block = 5 } }").contains("between 0 and 1"));
        assert!(error("memory = { window = { blocks = 1, block = 5 } }").contains("between 2 and 1000"));
        assert_eq!(error("guard = { every = 0 }"), "guard.every = 0 must be at least 1");
        assert_eq!(error("lambda = -1"), "lambda = -1 must be a positive number");
        let shape = RidgeConfig::default().check(0, 2).unwrap_err().to_string();
        assert!(shape.starts_with("a ridge of 0 features (lags counted) and 2 targets cannot be"));
    }
}

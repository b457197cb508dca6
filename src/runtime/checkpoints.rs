//! What a predictor has learned, on disk: its ridge's two generations, and beside them the names of its regions.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::predictor::{InputSpec, Predictor, PredictorConfig};
use super::session::Session;
use crate::frame::{Regions, Unit};
use crate::ridge::{Checkpoint, CheckpointError, Fingerprint, FittedModel, ModelError, RidgeError};

/// Why a predictor cannot go on from where it was.
#[derive(Debug, Error)]
pub enum ResumeError {
    /// The ridge's checkpoint.
    #[error(transparent)]
    Checkpoint(#[from] CheckpointError),
    /// The ridge's configuration.
    #[error(transparent)]
    Ridge(#[from] RidgeError),
    /// The model that it begins with.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// A predictor without targets needs what it once learned.
    #[error(
        "{path}: {problem} (a predictor without `targets` needs a `model`, or the checkpoint of one that had some: set \
         session.state_dir)"
    )]
    Regions {
        /// The file that names the regions.
        path: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl ResumeError {
    /// Whether the configuration puts together what does not belong together, rather than a file being wrong.
    pub fn is_config(&self) -> bool {
        match self {
            ResumeError::Ridge(_) => true,
            ResumeError::Model(error) => error.is_config(),
            ResumeError::Checkpoint(_) | ResumeError::Regions { .. } => false,
        }
    }
}

/// The names of the regions and how often they are measured: what a checkpoint of numbers does not say.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Described {
    names: Vec<String>,
    unit: Unit,
    period: f64,
}

fn described_at(folder: &Path, name: &str) -> PathBuf {
    folder.join(format!("{name}.regions.json"))
}

impl Predictor {
    /// Writes what was learned into `folder`.
    ///
    /// # Errors
    /// What the system refused; what was there before stays.
    pub fn save(&self, folder: &Path) -> Result<(), CheckpointError> {
        // All that it is stands in its model.
        if self.learner().is_fixed() {
            return Ok(());
        }
        self.checkpoint(folder)?.save(self.learner())?;
        let path = described_at(folder, self.name());
        let regions = self.regions();
        let described = Described { names: regions.names.clone(), unit: regions.unit, period: self.period() };
        let text = serde_json::to_string(&described).unwrap_or_default();
        if fs::read_to_string(&path).is_ok_and(|old| old == text) {
            return Ok(());
        }
        let new = path.with_extension("json.new");
        let failed = |error| CheckpointError::Io { path: path.display().to_string(), error };
        fs::write(&new, text).and_then(|()| fs::rename(&new, &path)).map_err(failed)
    }

    /// Goes on from what `folder` holds; true when it holds something.
    ///
    /// # Errors
    /// A checkpoint that was made with something else, or is damaged beyond its older generation.
    pub fn resume(&mut self, folder: &Path) -> Result<bool, CheckpointError> {
        if self.learner().is_fixed() {
            return Ok(false);
        }
        let checkpoint = self.checkpoint(folder)?;
        let frozen = self.learner().is_frozen();
        let Some(loaded) = checkpoint.load(self.learner_mut())? else { return Ok(false) };
        // Whether it learns is for the configuration to say.
        if frozen {
            self.learner_mut().freeze();
        } else {
            self.learner_mut().learn();
        }
        let updates = self.learner().updates();
        match loaded.why_older {
            None => tracing::info!(predictor = %self.name(), updates, "goes on from its checkpoint"),
            Some(why) => tracing::error!(
                predictor = %self.name(), updates, why,
                "the newest checkpoint is damaged; goes on from the one before"
            ),
        }
        self.note_updates();
        Ok(true)
    }

    /// A predictor without targets, from a model that knows how often its regions are measured.
    ///
    /// # Errors
    /// A model that does not know that, or is not of these inputs.
    pub fn from_model(
        name: &str,
        config: &PredictorConfig,
        session: Session,
        inputs: Vec<InputSpec>,
        model: &FittedModel,
    ) -> Result<Self, ResumeError> {
        let period = model.description.tr.ok_or(ModelError::Lacks(
            "does not say how often its regions are measured (fit it with --tr, or set `targets`)",
        ))?;
        let names = model.description.targets.iter().map(|target| target.name.clone()).collect();
        let regions = Arc::new(Regions::new(names, model.description.unit));
        let mut predictor = Self::new(name, config, session, regions, period, inputs)?;
        predictor.begin_with(model)?;
        Ok(predictor)
    }

    /// A predictor without targets, from what `folder` holds.
    ///
    /// # Errors
    /// There is no checkpoint, or not of this.
    pub fn from_checkpoint(
        name: &str,
        config: &PredictorConfig,
        session: Session,
        inputs: Vec<InputSpec>,
        folder: &Path,
    ) -> Result<Self, ResumeError> {
        let path = described_at(folder, name);
        let wrong = |problem: String| ResumeError::Regions { path: path.display().to_string(), problem };
        let text = fs::read_to_string(&path).map_err(|e| wrong(e.to_string()))?;
        let described: Described = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
        let regions = Arc::new(Regions::new(described.names, described.unit));
        let mut predictor = Self::new(name, config, session, regions, described.period, inputs)?;
        match predictor.resume(folder)? {
            true => Ok(predictor),
            false => Err(wrong("there is no checkpoint beside it".into())),
        }
    }

    fn checkpoint(&self, folder: &Path) -> Result<Checkpoint, CheckpointError> {
        let features: Vec<String> = self.inputs().map(|i| format!("{} {} {}", i.name, i.dims, i.sha256)).collect();
        let config = self.config();
        let fingerprint = Fingerprint::new(&features, &self.regions().names, &config.lags, &config.ridge);
        let fingerprint = self.began_with().into_iter().fold(fingerprint, Fingerprint::of_model);
        Checkpoint::new(folder, self.name(), fingerprint)
    }
}

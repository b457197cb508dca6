//! How does a predictor begin with a fitted model? With its weights and its stamp, where features and regions are the same.

use std::sync::Arc;

use super::Predictor;
use crate::frame::ModelStamp;
use crate::ridge::{FittedModel, ModelError};

impl Predictor {
    /// Begins with `model`, once its features and regions are found to be these: its weights and its stamp.
    ///
    /// # Errors
    /// What is another than the model says.
    pub fn begin_with(&mut self, model: &FittedModel) -> Result<(), ModelError> {
        let inputs = self.inputs.iter().map(|input| &input.spec);
        model.check_features(inputs.map(|spec| (spec.name.as_str(), spec.dims, spec.sha256.as_str())))?;
        model.check_targets(&self.regions.names, self.regions.unit, self.period)?;
        self.learner = model.learner(&self.config.ridge)?;
        if !self.config.learn {
            self.learner.freeze();
        }
        let (id, sha256) = (model.description.name.as_str().into(), Arc::clone(&model.sha256));
        self.model = ModelStamp { id, sha256, updates: self.learner.updates() };
        self.began_with = Some(Arc::clone(&model.sha256));
        Ok(())
    }

    /// Itself, begun with `model` where there is one.
    ///
    /// # Errors
    /// As [`begin_with`](Self::begin_with).
    pub fn beginning_with(mut self, model: Option<&FittedModel>) -> Result<Self, ModelError> {
        model.map(|model| self.begin_with(model)).transpose()?;
        Ok(self)
    }

    /// SHA-256 of the model that it began with.
    pub fn began_with(&self) -> Option<&str> {
        self.began_with.as_deref()
    }
}

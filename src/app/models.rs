//! What do predictors begin with? Model files are read before anything is opened, and what they decide is filled in.

use std::sync::Arc;

use super::AppError;
use super::settings::Settings;
use crate::ridge::{FittedModel, LagsConfig, LambdaConfig};
use crate::runtime::PredictorConfig;

/// What each predictor begins with, in the order of their names.
pub type Models = Vec<Option<Arc<FittedModel>>>;

impl Settings {
    /// These settings with the lags of the models that predictors begin with, and those models, one a predictor.
    ///
    /// # Errors
    /// A model that cannot be read, or that the predictor's own keys contradict.
    pub fn with_models(&self) -> Result<(Settings, Models), AppError> {
        let (mut settings, mut models) = (self.clone(), Vec::new());
        for (name, predictor) in &mut settings.predictors {
            let Some(path) = &predictor.model else {
                models.push(None);
                continue;
            };
            let failed = |error| AppError::Model { name: name.clone(), error };
            let model = FittedModel::read(path).map_err(failed)?;
            let lags = model.lags().map_err(failed)?;
            agrees(name, predictor, &model, &lags)?;
            predictor.lags = lags;
            models.push(Some(Arc::new(model)));
        }
        Ok((settings, models))
    }
}

/// A key that says otherwise than the model is refused rather than passed over.
fn agrees(name: &str, predictor: &PredictorConfig, model: &FittedModel, lags: &LagsConfig) -> Result<(), AppError> {
    let wrong = |key: &str, problem: String| {
        Err(AppError::setting(format!("predictors.{name}.{key}"), format!("{problem} (leave the key out)")))
    };
    let unsaid = LagsConfig::Fir(vec![0.0]);
    if predictor.lags != unsaid && predictor.lags != *lags {
        return wrong("lags", format!("{:?} are not the model's, {lags:?}", predictor.lags));
    }
    if let LambdaConfig::Fixed(lambda) = predictor.ridge.lambda
        && predictor.ridge.lambda != LambdaConfig::default()
        && model.lambdas.iter().any(|known| *known != lambda)
    {
        return wrong("ridge.lambda", format!("{lambda} is not what the model was fitted with"));
    }
    if model.moments.is_none() && predictor.learn {
        let problem = "the model holds no moments, so it cannot learn on (set learn = false, or fit it with centring \
                       and without --no-moments)";
        return Err(AppError::setting(format!("predictors.{name}.learn"), problem));
    }
    Ok(())
}

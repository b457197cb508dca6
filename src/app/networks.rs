//! What answers for networks? Their models, loaded before anything is opened, and the steps of a replay.

use std::path::PathBuf;
use std::sync::Arc;

use super::AppError;
use super::settings::Settings;
use crate::encoders::{EncoderError, ModelFiles};
use crate::frame::Regions;
use crate::runtime::lane_learn::regions_of;
use crate::runtime::predicted::Predicted;
use crate::runtime::replay::{Listening, SourceStep};
use crate::runtime::session::Session;
use crate::runtime::{NetworkFeed, NetworkReader, NetworkStep, Plan, Predictor};

impl Settings {
    /// The models of networks, in the order of their names; each pass is computed by at most `threads`.
    ///
    /// # Errors
    /// A model that cannot be used, or that takes other edges than the configuration makes.
    pub(super) fn network_models(&self, threads: usize) -> Result<Vec<Option<NetworkReader>>, AppError> {
        let runtime = self.runtime()?;
        let load = |(name, config): (&String, &crate::runtime::NetworkConfig)| {
            let Some(folder) = &config.model else { return Ok(None) };
            let load = || {
                let runtime = runtime.as_ref().ok_or(EncoderError::NoRuntime)?;
                let reader = NetworkReader::load(runtime, &ModelFiles::read(folder)?, config.threads.min(threads))?;
                // Its own regions: those of the source are known once that is open.
                reader.model().fits(&reader.model().takes().regions, config.recipe())?;
                Ok(Some(reader))
            };
            load().map_err(|error| AppError::Network { name: name.clone(), error })
        };
        self.networks.iter().map(load).collect()
    }

    /// The files that the models of networks are made of.
    pub(super) fn network_files(&self) -> impl Iterator<Item = PathBuf> {
        self.networks.values().filter_map(|config| config.model.as_ref().map(|folder| folder.join("manifest.toml")))
    }

    /// The networks of a replay of these sources and predictors with these models, whose regions join `regions`; and which of them
    /// listen to which predictor.
    ///
    /// # Errors
    /// Regions that make no network, or are not those of the model.
    pub(super) fn network_steps(
        &self,
        plan: &Plan,
        session: &Session,
        (sources, predictors): (&[SourceStep], &[Predictor]),
        models: Vec<Option<NetworkReader>>,
        regions: &mut Vec<Arc<Regions>>,
    ) -> Result<(Vec<NetworkStep>, Vec<Listening>), AppError> {
        let (mut steps, mut listening) = (Vec::new(), Vec::new());
        for (((name, feed), config), model) in plan.networks.iter().zip(self.networks.values()).zip(models) {
            let (spec, of) = match feed {
                NetworkFeed::Source(source) => {
                    let spec = sources[*source].output().clone();
                    let of = regions_of(&spec);
                    (spec, of)
                }
                NetworkFeed::Predictor(predictor) => {
                    let predictor = &predictors[*predictor];
                    let frames = Predicted::new(Arc::clone(predictor.regions()), predictor.rate());
                    let (spec, of) = (frames.spec().clone(), Arc::clone(frames.regions()));
                    listening.push(Listening { predictor: Arc::clone(predictor.name()), network: steps.len(), frames });
                    (spec, of)
                }
            };
            regions.push(Arc::clone(&of));
            let step = NetworkStep::new(name, config, session.clone(), &spec, of, model, f64::INFINITY);
            steps.push(step.map_err(|error| AppError::Network { name: name.clone(), error })?);
        }
        Ok((steps, listening))
    }
}

//! A replay of a configuration: the same steps as live, on the caller's thread, in virtual time.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use sha2::{Digest, Sha256};

use super::AppError;
use super::candidates::Encoded;
use super::settings::{EventsInput, InputConfig, Settings};
use crate::acquisition::file::FileEvents;
use crate::encoders::{self, EncoderConfig, Windows};
use crate::frame::{Clock, Instant, Regions, VirtualClock};
use crate::native::{self, Library};
use crate::ridge::FittedModel;
use crate::runtime::encoder::{EncoderStep, Listens};
use crate::runtime::lane_learn::{regions_of, source_input};
use crate::runtime::replay::{EventStep, RecordedSource, Replay, SourceStep};
use crate::runtime::session::{Measured, Session};
use crate::runtime::volumes::VolumeFrames;
use crate::runtime::{Chain, EncoderFeed, Feed, InputSpec, Plan, Predictor};

/// A replay that is ready to be played.
pub struct Offline {
    /// What plays.
    pub replay: Replay,
    /// Samples in all recordings: the length of a progress bar. Made-up sources do not count.
    pub samples: u64,
    /// The names behind the values of every kind of frame.
    pub regions: Vec<Arc<Regions>>,
}

impl Settings {
    /// Builds a replay. Recordings are opened, models loaded (one thread each, so that results repeat bit for bit),
    /// every shape checked. With a `state_dir` in `resume`, predictors go on from the checkpoints there.
    ///
    /// # Errors
    /// What cannot be read, loaded, or fitted together.
    pub fn offline(&self, base: &Path, resume: Option<&Path>) -> Result<Offline, AppError> {
        let plan = self.plan()?;
        let (settings, models) = self.with_models()?;
        settings.play(base, resume, plan, &models)
    }

    fn play(
        &self,
        base: &Path,
        resume: Option<&Path>,
        plan: Plan,
        models: &[Option<Arc<FittedModel>>],
    ) -> Result<Offline, AppError> {
        if !self.is_recorded() {
            return Err(AppError::setting(
                "sources",
                "live LSL streams and folders cannot be replayed (use `neurod run`)",
            ));
        }
        let clock = Arc::new(VirtualClock::default());
        let mut inputs: Vec<PathBuf> = self.predictors.values().filter_map(|p| p.model.clone()).collect();
        let mut opened: Vec<Box<dyn RecordedSource>> = Vec::new();
        let mut recorded_events: BTreeMap<String, FileEvents> = BTreeMap::new();
        let mut samples = 0;
        let mut recordings = self.recordings(base, Instant::default())?;
        for (name, source) in &self.sources {
            match (&source.input, recordings.remove(name)) {
                (InputConfig::Replay(_), Some(recording)) => {
                    samples += recording.timetable.samples();
                    inputs.extend(recording.inputs);
                    recorded_events.extend(recording.events.map(|events| (name.clone(), events)));
                    opened.push(Box::new(recording.samples));
                }
                (InputConfig::Synthetic(synthetic), _) if synthetic.duration.is_some() => {
                    let wrong = |error| AppError::Source { name: name.clone(), error };
                    opened.push(Box::new(synthetic.build(Instant::default()).map_err(wrong)?));
                }
                _ => {
                    let place = format!("sources.{name}.input");
                    return Err(AppError::setting(place, "never ends, so it cannot be replayed (set `duration`)"));
                }
            }
        }
        let chains = opened.iter().zip(&self.sources).map(|(source, (name, config))| config.chain(name, source.spec()));
        let chains = chains.collect::<Result<Vec<Chain>, AppError>>()?;
        let mut candidates = Encoded::default();
        let (encoders, encoder_inputs) = self.encoder_steps(&plan.encoders, &chains, &mut candidates)?;
        let mut identifiers = self.identifiers(&mut candidates)?.into_iter();
        let models_of_networks = self.network_models(1)?;
        inputs.extend(self.network_files());
        inputs.extend(self.identification.values().map(|identification| identification.candidates.clone()));
        inputs.extend(self.pictures(&recorded_events));
        let id = self.session_id(&inputs, &encoder_inputs)?;
        let session = Session::new(id, Arc::clone(&clock) as Arc<dyn Clock>);
        let mut regions = Vec::new();
        let mut sources = Vec::new();
        for (index, ((source, chain), name)) in opened.into_iter().zip(chains).zip(&plan.sources).enumerate() {
            let measured = plan.is_target(index).then(|| {
                let of = regions_of(chain.output());
                regions.push(Arc::clone(&of));
                Measured::new(session.clone(), name, of, chain.output().period())
            });
            let volumes = VolumeFrames::new(session.clone(), name);
            sources.push(SourceStep::new(source, chain, measured, volumes));
        }
        let mut events: Vec<EventStep> = Vec::new();
        for (name, config) in &self.events {
            match &config.input {
                EventsInput::Recording(source) => match recorded_events.remove(source.as_str()) {
                    Some(source) => {
                        let run_marker = config.run_marker.clone();
                        events.push(EventStep { source: Box::new(source), run_marker });
                    }
                    None => {
                        let problem = format!("source \"{source}\" has no events (set its input.replay.events)");
                        return Err(AppError::setting(format!("events.{name}.input.recording"), problem));
                    }
                },
                EventsInput::Lsl(_) | EventsInput::Api(_) => {
                    return Err(AppError::setting(format!("events.{name}.input"), "is live, so it cannot be replayed"));
                }
            }
        }
        let mut predictors = Vec::new();
        for ((wired, config), model) in plan.predictors.iter().zip(self.predictors.values()).zip(models) {
            let inputs = wired.inputs.iter().map(|feed| match feed {
                Feed::Encoder(i) => encoder_inputs[*i].clone(),
                Feed::Source(i) => source_input(&plan.sources[*i], sources[*i].output()),
            });
            let inputs = inputs.collect();
            let name = wired.name.as_str();
            let failed = |error| AppError::Resume { name: name.into(), error };
            let mut predictor = match (wired.target, model.as_deref()) {
                (Some(target), model) => {
                    let spec = sources[target].output();
                    Predictor::new(name, config, session.clone(), regions_of(spec), spec.period(), inputs)
                        .map_err(|error| AppError::Predictor { name: name.into(), error })?
                        .beginning_with(model)
                        .map_err(|error| failed(error.into()))?
                }
                (None, Some(model)) => {
                    Predictor::from_model(name, config, session.clone(), inputs, model).map_err(failed)?
                }
                (None, None) => {
                    let folder = self.session.state_dir.clone().unwrap_or_default();
                    Predictor::from_checkpoint(name, config, session.clone(), inputs, &folder).map_err(failed)?
                }
            };
            if let Some(folder) = resume {
                predictor.resume(folder).map_err(|error| failed(error.into()))?;
            }
            predictor.identify_with(identifiers.next().unwrap_or_default());
            regions.extend(std::iter::once(predictor.regions()).chain(predictor.contrast_regions()).cloned());
            predictors.push(predictor);
        }
        let feeds = (sources.as_slice(), predictors.as_slice());
        let (networks, listening) = self.network_steps(&plan, &session, feeds, models_of_networks, &mut regions)?;
        regions.sort_by(|a, b| a.regions_id.cmp(&b.regions_id));
        regions.dedup_by(|a, b| a.regions_id == b.regions_id);
        let said = Vec::new();
        let replay = Replay { plan, session, clock, sources, events, encoders, predictors, networks, listening, said };
        Ok(Offline { replay, samples, regions })
    }

    fn encoder_steps(
        &self,
        wired: &[(String, EncoderFeed)],
        chains: &[Chain],
        candidates: &mut Encoded,
    ) -> Result<(Vec<EncoderStep>, Vec<InputSpec>), AppError> {
        let runtime = self.runtime()?;
        let (mut steps, mut inputs) = (Vec::new(), Vec::new());
        for ((name, feed), config) in wired.iter().zip(self.encoders.values()) {
            let wrong = |error| AppError::Encoder { name: name.clone(), error };
            let spec = match feed {
                EncoderFeed::Windows(source) => Some(chains[*source].output()),
                EncoderFeed::Events(_) => None,
            };
            let mut encoder = encoders::build(config, runtime.as_ref(), spec, 1).map_err(wrong)?;
            self.encode_candidates(name, encoder.as_mut(), candidates)?;
            inputs.push(config.input_spec(name, encoder.spec()));
            let listens = match (config, spec) {
                (EncoderConfig::Window(c), Some(spec)) => {
                    Listens::Windows(Windows::new(spec, c.window, c.hop).map_err(wrong)?, c.hop)
                }
                (EncoderConfig::Image(_), _) => Listens::Images,
                (EncoderConfig::Multimodal(_), _) => Listens::Stimuli,
                (EncoderConfig::Columns(_), _) => Listens::Columns,
                _ => Listens::Words,
            };
            steps.push(EncoderStep::new(name, encoder, listens, f64::INFINITY));
        }
        Ok((steps, inputs))
    }

    /// The files that the events of encoders of pictures and regions name, as far as they are there.
    fn pictures(&self, recorded: &BTreeMap<String, FileEvents>) -> BTreeSet<PathBuf> {
        let mut files = BTreeSet::new();
        for encoder in self.encoders.values() {
            let (events, columns): (&str, &[&str]) = match encoder {
                EncoderConfig::Image(image) => (&image.events, &[encoders::STIM_FILE]),
                EncoderConfig::Multimodal(both) => {
                    (&both.events, &[encoders::STIM_FILE, encoders::REGIONS, encoders::BOXES])
                }
                _ => continue,
            };
            let Some(EventsInput::Recording(source)) = self.events.get(events).map(|e| &e.input) else { continue };
            let file = |name: &str| match encoder {
                EncoderConfig::Image(image) => image.file(name.as_ref()).ok(),
                EncoderConfig::Multimodal(both) => both.file(name.as_ref()),
                _ => None,
            };
            for column in columns {
                let names = recorded.get(source).into_iter().flat_map(|events| events.cells(column));
                files.extend(names.filter_map(file).filter(|file| file.is_file()));
            }
        }
        files
    }

    /// ONNX Runtime, if an encoder needs it.
    ///
    /// # Errors
    /// It is missing or cannot be loaded.
    pub fn runtime(&self) -> Result<Option<encoders::Runtime>, AppError> {
        let of_encoder = self.encoders.iter().find(|(_, config)| config.model().is_some()).map(|(name, _)| name);
        let of_network = self.networks.iter().find(|(_, config)| config.model.is_some()).map(|(name, _)| name);
        let Some(name) = of_encoder.or(of_network) else {
            return Ok(None);
        };
        let path = native::find(Library::OnnxRuntime, self.libraries.onnxruntime.as_deref())?;
        let runtime = encoders::Runtime::load(Some(&path));
        runtime.map(Some).map_err(|error| AppError::Encoder { name: name.clone(), error })
    }

    /// The first 16 hex digits of the SHA-256 over the configuration, the encoders' models and the contents of every
    /// input, unless an id is configured: the same input gives the same session, byte for byte.
    fn session_id(&self, inputs: &[PathBuf], encoders: &[InputSpec]) -> Result<Arc<str>, AppError> {
        if let Some(id) = &self.session.id {
            return Ok(id.as_str().into());
        }
        let mut hash = Sha256::new();
        let of = |input: &InputSpec| format!("{} {} {:?} {}", input.name, input.dims, input.hop, input.sha256);
        hash.update(serde_json::to_vec(&self.identity(encoders.iter().map(of).collect())).unwrap_or_default());
        for path in inputs {
            let failed = |error| AppError::Io { what: path.display().to_string(), error };
            let mut file = std::fs::File::open(path).map_err(failed)?;
            let mut part = vec![0; 1 << 16];
            loop {
                match file.read(&mut part).map_err(failed)? {
                    0 => break,
                    count => hash.update(&part[..count]),
                }
            }
        }
        Ok(hash.finalize().iter().take(8).map(|byte| format!("{byte:02x}")).collect::<String>().into())
    }

    /// What of the configuration decides the numbers: of the encoders what they are, not where their models lie on this
    /// machine.
    fn identity(&self, encoders: Vec<String>) -> serde_json::Value {
        let listen = |encoder: &EncoderConfig| match encoder {
            EncoderConfig::Text(text) => text.events.clone(),
            EncoderConfig::Image(image) => image.events.clone(),
            EncoderConfig::Multimodal(both) => both.events.clone(),
            EncoderConfig::Columns(columns) => columns.events.clone(),
            EncoderConfig::Window(window) => format!("{} {}", window.source, window.window),
        };
        // What a model is, is hashed as an input, wherever it lies.
        let mut predictors = self.predictors.clone();
        predictors.values_mut().for_each(|predictor| predictor.model = None);
        let mut identity = serde_json::json!({ "sources": self.sources, "events": self.events, "predictors": predictors,
            "encoders": encoders, "listen": self.encoders.values().map(listen).collect::<Vec<_>>() });
        if !self.networks.is_empty() {
            let mut networks = self.networks.clone();
            networks.values_mut().for_each(|network| network.model = None);
            identity["networks"] = serde_json::json!(networks);
        }
        identity
    }
}

impl EncoderConfig {
    /// What its features are as an input of a predictor.
    pub fn input_spec(&self, name: &str, spec: &encoders::EncoderSpec) -> InputSpec {
        let hop = match self {
            EncoderConfig::Window(window) => Some(window.hop),
            EncoderConfig::Text(_)
            | EncoderConfig::Image(_)
            | EncoderConfig::Multimodal(_)
            | EncoderConfig::Columns(_) => None,
        };
        InputSpec { name: name.into(), dims: spec.dims, hop, sha256: spec.sha256.to_string() }
    }
}

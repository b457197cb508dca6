//! Who feeds whom, and does it fit? Answered before any device is opened.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use super::AppError;
use super::settings::{EventsInput, InputConfig, Settings, SourceConfig};
use crate::acquisition::file::{self, Recording, Speed};
use crate::config;
use crate::encoders::EncoderConfig;
use crate::frame::{BlockSpec, Channel, Instant, PrepareError, Stage, Unit};
use crate::runtime::{Chain, EncoderFeed, Plan, PredictorPlan};
use crate::signal;

/// Reads a configuration: the files in order, then the environment. Paths in it count from the last file's folder.
///
/// # Errors
/// What is wrong with it, with file, line and column or the name of the variable.
pub fn load(files: &[PathBuf]) -> Result<(Settings, PathBuf), AppError> {
    let mut settings: Settings = config::load(files, variables()?)?.value;
    let base = files.last().and_then(|f| f.parent()).map(Path::to_path_buf).unwrap_or_default();
    settings.rebase(&base);
    // The folder that systemd made for the service, where none is configured.
    if settings.session.state_dir.is_none() {
        settings.session.state_dir = std::env::var_os("STATE_DIRECTORY").map(PathBuf::from);
    }
    Ok((settings, base))
}

/// The environment. `std::env::vars` would panic over what is no text.
fn variables() -> Result<Vec<(String, String)>, AppError> {
    let mut variables = Vec::new();
    for (name, value) in std::env::vars_os() {
        let Some(name) = name.to_str().filter(|name| name.starts_with(config::ENV_PREFIX)) else { continue };
        let text = value.into_string().map_err(|_| AppError::setting(name, "is not UTF-8 (set it again, as text)"))?;
        variables.push((name.to_owned(), text));
    }
    Ok(variables)
}

impl Settings {
    /// Makes relative paths count from `base`.
    fn rebase(&mut self, base: &Path) {
        let rebase = |path: &mut PathBuf| {
            if path.is_relative() && path.as_os_str() != "-" {
                *path = base.join(&*path);
            }
        };
        for encoder in self.encoders.values_mut() {
            match encoder {
                EncoderConfig::Text(text) => rebase(&mut text.model),
                EncoderConfig::Image(image) => [&mut image.model, &mut image.stimuli].into_iter().for_each(rebase),
                EncoderConfig::Multimodal(both) => [&mut both.model, &mut both.stimuli].into_iter().for_each(rebase),
                EncoderConfig::Window(window) => rebase(&mut window.model),
                EncoderConfig::Columns(_) => {}
            }
        }
        for source in self.sources.values_mut() {
            if let InputConfig::Folder(folder) = &mut source.input {
                rebase(&mut folder.path);
                let images = [
                    &mut folder.labels,
                    &mut folder.label_names,
                    &mut folder.labels_affine,
                    &mut folder.reference,
                    &mut folder.mask,
                ];
                images.into_iter().flatten().for_each(rebase);
            }
        }
        let paths = [&mut self.libraries.lsl, &mut self.libraries.onnxruntime, &mut self.session.state_dir];
        paths.into_iter().flatten().for_each(rebase);
        self.sinks.jsonl.iter_mut().for_each(|jsonl| rebase(&mut jsonl.path));
        self.service.token_file.iter_mut().for_each(rebase);
        self.identification.values_mut().for_each(|identification| rebase(&mut identification.candidates));
        self.predictors.values_mut().filter_map(|predictor| predictor.model.as_mut()).for_each(rebase);
        self.networks.values_mut().filter_map(|network| network.model.as_mut()).for_each(rebase);
    }

    /// Resolves every name.
    ///
    /// # Errors
    /// A name that leads nowhere, with what may have been meant; a predictor or encoder that could never work.
    pub fn plan(&self) -> Result<Plan, AppError> {
        self.check_names()?;
        let mut plan = Plan {
            sources: self.sources.keys().cloned().collect(),
            events: self.events.keys().cloned().collect(),
            ..Plan::default()
        };
        for (name, events) in &self.events {
            if let EventsInput::Lsl(markers) = &events.input {
                markers.validate().map_err(|error| AppError::Source { name: name.clone(), error })?;
            }
            if let EventsInput::Recording(source) = &events.input {
                let place = format!("events.{name}.input.recording");
                plan.source(&place, source)?;
                if !matches!(self.sources.get(source).map(|s| &s.input), Some(InputConfig::Replay(_))) {
                    return Err(AppError::setting(
                        place,
                        format!("source \"{source}\" is no recording (input.replay)"),
                    ));
                }
            }
        }
        for (name, encoder) in &self.encoders {
            let place = |key: &str| format!("encoders.{name}.{key}");
            let feed = match encoder {
                EncoderConfig::Text(c) => EncoderFeed::Events(plan.event_source(&place("text.events"), &c.events)?),
                EncoderConfig::Image(c) => EncoderFeed::Events(plan.event_source(&place("image.events"), &c.events)?),
                EncoderConfig::Multimodal(c) => {
                    EncoderFeed::Events(plan.event_source(&place("multimodal.events"), &c.events)?)
                }
                EncoderConfig::Columns(c) => {
                    EncoderFeed::Events(plan.event_source(&place("columns.events"), &c.events)?)
                }
                EncoderConfig::Window(c) => EncoderFeed::Windows(plan.source(&place("window.source"), &c.source)?),
            };
            encoder.validate().map_err(|error| AppError::Encoder { name: name.clone(), error })?;
            plan.encoders.push((name.clone(), feed));
        }
        for (name, predictor) in &self.predictors {
            let place = |key: &str| format!("predictors.{name}.{key}");
            if predictor.features.is_empty() {
                return Err(AppError::setting(place("features"), "names no encoder or source"));
            }
            let inputs = predictor.features.iter().map(|f| plan.features(&place("features"), f));
            let inputs = inputs.collect::<Result<_, _>>()?;
            let target = predictor.targets.as_ref().map(|t| plan.source(&place("targets"), t)).transpose()?;
            if predictor.targets.as_ref().is_some_and(|target| predictor.features.contains(target)) {
                return Err(AppError::setting(
                    place("features"),
                    "names its own targets, which would predict themselves",
                ));
            }
            predictor.ridge.check(1, 1).map_err(|error| AppError::Predictor { name: name.clone(), error })?;
            if target.is_none() && self.session.state_dir.is_none() && predictor.model.is_none() {
                let problem =
                    "is missing, and there is no session.state_dir with a checkpoint, or model, to take weights from";
                return Err(AppError::setting(place("targets"), problem));
            }
            predictor.lags.build().map_err(|error| AppError::Predictor { name: name.clone(), error })?;
            plan.predictors.push(PredictorPlan { name: name.clone(), inputs, target });
        }
        for (name, network) in &self.networks {
            let source = plan.source(&format!("networks.{name}.source"), &network.source)?;
            network.validate().map_err(|error| AppError::Network { name: name.clone(), error })?;
            plan.networks.push((name.clone(), source));
        }
        self.check_identification(&plan)?;
        self.service.validate()?;
        if self.sinks.jsonl.is_some() && !self.service.enabled {
            let problem = "is written by the service, which service.enabled = false switches off";
            return Err(AppError::setting("sinks.jsonl", problem));
        }
        let session = [
            ("run_gap", self.session.run_gap),
            ("checkpoint_every", self.session.checkpoint_every),
            ("grace", self.session.grace),
        ];
        if let Some((key, value)) = session.iter().find(|(_, value)| !(*value > 0.0 && value.is_finite())) {
            return Err(AppError::setting(
                format!("session.{key}"),
                format!("{value} is no positive number of seconds"),
            ));
        }
        for (name, source) in &self.sources {
            source.validate(name)?;
        }
        Ok(plan)
    }

    /// A name stands in streams, metrics and file names, so it is plain, and means one thing.
    fn check_names(&self) -> Result<(), AppError> {
        let mut known: BTreeMap<&str, &str> = BTreeMap::new();
        let sections = [
            ("sources", self.sources.keys().collect::<Vec<_>>()),
            ("events", self.events.keys().collect()),
            ("encoders", self.encoders.keys().collect()),
            ("predictors", self.predictors.keys().collect()),
            ("identification", self.identification.keys().collect()),
            ("networks", self.networks.keys().collect()),
        ];
        for (section, names) in sections {
            for name in names {
                let plain = |c: char| c.is_alphanumeric() || c == '_' || c == '-';
                if name.is_empty() || name.len() > 64 || !name.chars().all(plain) {
                    let problem = "a name is made of letters, digits, - and _, at most 64 (it stands in file names)";
                    return Err(AppError::setting(format!("{section}.{name:?}"), problem));
                }
                if let Some(other) = known.insert(name, section) {
                    let problem = format!("[{other}.{name}] has this name already (each stands for one thing)");
                    return Err(AppError::setting(format!("{section}.{name}"), problem));
                }
            }
        }
        Ok(())
    }

    /// Opens every recording, by the name of its source, side by side from `origin` on.
    ///
    /// # Errors
    /// What cannot be read.
    pub fn recordings(&self, base: &Path, origin: Instant) -> Result<BTreeMap<String, Recording>, AppError> {
        let mut recordings = BTreeMap::new();
        for (name, source) in &self.sources {
            if let InputConfig::Replay(replay) = &source.input {
                let failed = |error| AppError::Source { name: name.clone(), error };
                recordings.insert(name.clone(), replay.open(base, origin).map_err(failed)?);
            }
        }
        file::side_by_side(recordings.values_mut());
        Ok(recordings)
    }

    /// Whether every source is a recording or made up, so that it can be replayed.
    pub fn is_recorded(&self) -> bool {
        let live = |s: &SourceConfig| matches!(s.input, InputConfig::Lsl(_) | InputConfig::Folder(_));
        !self.sources.values().any(live) && !self.events.values().any(|e| matches!(e.input, EventsInput::Lsl(_)))
    }

    /// Whether anything comes or goes over LSL.
    pub fn needs_lsl(&self) -> bool {
        let comes = self.sources.values().any(|s| matches!(s.input, InputConfig::Lsl(_)));
        comes || self.events.values().any(|e| matches!(e.input, EventsInput::Lsl(_))) || self.sinks.lsl.is_some()
    }

    /// How fast recordings play.
    ///
    /// # Errors
    /// Two that disagree.
    pub fn speed(&self) -> Result<Speed, AppError> {
        let speeds = self.sources.iter().filter_map(|(name, s)| match &s.input {
            InputConfig::Replay(replay) => Some((name, replay.speed)),
            InputConfig::Lsl(_) | InputConfig::Folder(_) | InputConfig::Synthetic(_) => None,
        });
        let mut known: Option<(&String, Speed)> = None;
        for (name, speed) in speeds {
            match known {
                Some((other, s)) if s != speed => {
                    let problem = format!("differs from that of source \"{other}\"; all recordings share one clock");
                    return Err(AppError::setting(format!("sources.{name}.input.replay.speed"), problem));
                }
                _ => known = Some((name, speed)),
            }
        }
        Ok(known.map_or(Speed::Times(1.0), |(_, speed)| speed))
    }
}

impl SourceConfig {
    fn validate(&self, name: &str) -> Result<(), AppError> {
        let wrong = |error| AppError::Source { name: name.into(), error };
        match &self.input {
            InputConfig::Lsl(lsl) => lsl.validate().map_err(wrong)?,
            InputConfig::Folder(folder) => folder.validate().map_err(wrong)?,
            InputConfig::Synthetic(synthetic) => drop(synthetic.build(Default::default()).map_err(wrong)?),
            InputConfig::Replay(_) => {}
        }
        self.stages().map_err(|error| AppError::Chain { name: name.into(), error }).map(drop)
    }

    /// Its stages, in order.
    ///
    /// # Errors
    /// A stage that cannot be made.
    pub fn stages(&self) -> Result<Vec<Box<dyn Stage>>, PrepareError> {
        let mut stages: Vec<Box<dyn Stage>> = self.signal.iter().map(signal::build).collect();
        for config in &self.fmri {
            stages.push(config.build().map_err(|error| PrepareError::new("fmri", error.to_string()))?);
        }
        Ok(stages)
    }

    /// The shape of its blocks, as far as it is known without touching a device: for a recording, from its headers.
    ///
    /// # Errors
    /// A recording that cannot be read.
    pub fn shape(&self, base: &Path) -> Result<Option<BlockSpec>, crate::acquisition::SourceError> {
        use crate::acquisition::Source as _;
        match &self.input {
            InputConfig::Lsl(lsl) => Ok(match (lsl.channels, lsl.rate) {
                (Some(channels), Some(rate)) => {
                    let fmri = self.signal.is_empty() && !self.fmri.is_empty();
                    let (kind, unit) = if fmri { ("REGION", Unit::Arbitrary) } else { ("EEG", Unit::Microvolt) };
                    Some(BlockSpec::new(Channel::numbered(kind, channels, unit), rate, lsl.block))
                }
                _ => None,
            }),
            InputConfig::Folder(folder) => Ok(Some(folder.shape()?)),
            InputConfig::Replay(replay) => Ok(Some(replay.open(base, Default::default())?.samples.spec().clone())),
            InputConfig::Synthetic(synthetic) => Ok(Some(synthetic.build(Default::default())?.spec().clone())),
        }
    }

    /// The chain, prepared for that shape.
    ///
    /// # Errors
    /// Which stage does not fit.
    pub fn chain(&self, name: &str, shape: &BlockSpec) -> Result<Chain, AppError> {
        let chain = self.stages().and_then(|stages| Chain::prepare(stages, shape));
        chain.map_err(|error| AppError::Chain { name: name.into(), error })
    }
}

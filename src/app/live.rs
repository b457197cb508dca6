//! The daemon: lanes for every source, event source, encoder and predictor, and the service beside them.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use super::AppError;
use super::candidates::Encoded;
use super::control::{Controls, LaneHealth};
use super::inputs::{self, opened_twice};
use super::models::Models;
use super::settings::{EventsInput, InputConfig, Settings};
use super::triggers::TimedSources;
use crate::acquisition::file::{FileEvents, FileSource, Paced, Speed};
use crate::acquisition::lsl::LslMarkers;
use crate::acquisition::{EventSource, SourceStats};
use crate::encoders::{self, EncoderConfig, RegionsInput};
use crate::frame::{Clock, FrameKind, Instant, MonotonicClock, ScaledClock};
use crate::native;
use crate::publish::{FramePort, LslLanes, NoOutlets, OpenOutlets};
use crate::ring::{LinkReceiver, SwapGiver, Wake, link, swap};
use crate::runtime::decoder::{InstantDecoder, Row, Weights};
use crate::runtime::features::Features;
use crate::runtime::lane_events::{EventDoor, EventLane, Listener, OpenEvents, Takes};
use crate::runtime::lane_infer::{InferInbox, InferLane, InferMessage, Listening};
use crate::runtime::lane_learn::{CheckpointPlan, Inbox, LearnLane, LearnMessage};
use crate::runtime::lane_network::NetworkLane;
use crate::runtime::lane_publish::PublishLane;
use crate::runtime::lane_source::{Consumer, SourceLane};
use crate::runtime::lanes::{LaneContext, Lanes, Role, Status};
use crate::runtime::metrics::Metrics;
use crate::runtime::predicted::Tap;
use crate::runtime::session::Session;
use crate::runtime::{EncoderFeed, Feed, InputSpec, NetworkFeed, NetworkReader, Plan};
use crate::service::{FrameBus, Parts};

/// Rows of an instant predictor that may wait to become frames.
const ROWS: usize = 256;
/// Features that may wait for the learn lane.
const FEATURES: usize = 256;
/// Events that may wait for an encoder, and predictions for a network.
const EVENTS: usize = 1024;

/// The running lanes, and what the service needs to know of them.
pub struct Live {
    /// The lanes.
    pub lanes: Lanes,
    /// How ready they are.
    pub status: Arc<Status>,
    /// What can be asked of them.
    pub controls: Arc<Controls>,
}

impl Live {
    /// What the service is given of these lanes.
    pub fn parts(&self, settings: &Settings, metrics: &Arc<Metrics>, bus: Arc<FrameBus>) -> Parts {
        let health = LaneHealth {
            status: Arc::clone(&self.status),
            sources: settings.sources.keys().cloned().collect(),
            predictors: settings.predictors.keys().cloned().collect(),
        };
        Parts {
            metrics: Arc::clone(metrics),
            status: Arc::new(health),
            control: Arc::clone(&self.controls) as _,
            bus,
            jsonl: settings.sinks.jsonl.as_ref().map(|jsonl| jsonl.path.clone()),
        }
    }
}

/// What is shared by everything that lives in one process.
pub struct Shared {
    /// The session that frames belong to.
    pub session: Session,
    /// Where frames go.
    pub port: Arc<dyn FramePort>,
    /// What is counted.
    pub metrics: Arc<Metrics>,
}

impl Settings {
    /// The session of a live run: its id and its clock. Recordings alone play on their own time, at their own speed.
    ///
    /// # Errors
    /// `speed = "max"`, which has no present.
    pub fn live_session(&self) -> Result<Session, AppError> {
        let recorded = self.is_recorded() && !self.sources.is_empty();
        let clock: Arc<dyn Clock> = match self.speed()? {
            Speed::Max => {
                let problem = "has no present to be live in (set a number, or play it with `neurod replay`)";
                return Err(AppError::setting("speed = \"max\"", problem));
            }
            Speed::Times(speed) if recorded => Arc::new(ScaledClock::starting_at(Instant::default(), speed)),
            Speed::Times(1.0) => Arc::new(MonotonicClock),
            Speed::Times(speed) => {
                let problem = format!("{speed} does not go with live streams, whose time passes once (set 1)");
                return Err(AppError::setting("speed", problem));
            }
        };
        let id = self.session.id.clone().unwrap_or_else(|| {
            let seconds = MonotonicClock.now().seconds() + MonotonicClock.unix_offset();
            format!("{:x}-{:x}", seconds as u64, std::process::id())
        });
        Ok(Session::new(id, clock))
    }

    /// Starts every lane. Models are loaded and names resolved before the first thread starts; devices are opened on
    /// their own lanes, and tried again until they are there.
    ///
    /// # Errors
    /// What the configuration or a model lacks.
    pub fn start(&self, base: &Path, shared: Shared) -> Result<Live, AppError> {
        let plan = self.plan()?;
        let (settings, models) = self.with_models()?;
        if self.needs_lsl() {
            native::load_lsl(self.libraries.lsl.as_deref())?;
        }
        let Shared { session, port, metrics } = shared;
        let outlets: Arc<dyn OpenOutlets> = match &self.sinks.lsl {
            Some(config) => {
                Arc::new(LslLanes::new(config.clone(), Arc::clone(session.id()), Arc::clone(session.clock())))
            }
            None => Arc::new(NoOutlets),
        };
        let status: Arc<Status> = Arc::default();
        let realtime = (self.session.realtime_priority > 0).then_some(self.session.realtime_priority);
        let mut context = LaneContext::new(session, port, outlets, Arc::clone(&status), realtime);
        let networks: Vec<_> = plan.networks.iter().map(|_| InferInbox::new(EVENTS)).collect();
        context.taps = plan.networks_of_predictors().map(|(i, name)| Tap::new(name, &networks[i])).collect();
        let mut building = Building {
            settings: &settings,
            models,
            candidates: Encoded::default(),
            lanes: Lanes::new(context),
            inbox: Arc::new(Inbox::default()),
            infer: plan.encoders.iter().map(|_| InferInbox::new(EVENTS)).collect(),
            networks,
            recordings: Recordings::default(),
            plan,
            metrics,
            events: BTreeMap::new(),
            regions: BTreeMap::new(),
            triggers: TimedSources::of(self),
        };
        let (features, specs, infer) = building.encoders()?;
        let networks = self.network_models(usize::MAX)?;
        // Recordings begin once the models are loaded: what plays meanwhile would arrive all at once.
        let clock = Arc::clone(building.lanes.context().session.clock());
        for (name, recording) in self.recordings(base, clock.now() + 0.1 * clock.speed())? {
            building.recordings.samples.insert(name.clone(), recording.samples);
            building.recordings.events.extend(recording.events.map(|events| (name, events)));
        }
        let publish = building.sources()?;
        building.event_sources()?;
        for (name, lane) in infer {
            let wake = Arc::clone(&lane.inbox.wake);
            building.spawn(Role::Infer, &name, wake, move |context| lane.run(context))?;
        }
        building.networks(networks)?;
        building.learn_and_publish(features, specs, publish)?;
        let Building { lanes, inbox, events, .. } = building;
        let controls = Controls::new(lanes.context().session.clone(), inbox, events);
        Ok(Live { lanes, status, controls: Arc::new(controls) })
    }
}

/// What is left of the recordings: each is taken once, by the lane that plays it.
#[derive(Default)]
struct Recordings {
    samples: BTreeMap<String, FileSource>,
    events: BTreeMap<String, FileEvents>,
}

/// What an instant predictor's source lane is given, and what the publishing lane gets of it.
type Rows = Vec<(Arc<str>, LinkReceiver<Row>)>;
type Givers = Vec<Option<SwapGiver<Weights>>>;

struct Building<'a> {
    settings: &'a Settings,
    models: Models,
    candidates: Encoded,
    plan: Plan,
    lanes: Lanes,
    inbox: Arc<Inbox>,
    infer: Vec<Arc<InferInbox>>,
    networks: Vec<Arc<InferInbox>>,
    recordings: Recordings,
    metrics: Arc<Metrics>,
    events: BTreeMap<String, Arc<EventDoor>>,
    /// What encoders take of the regions of pictures, by their names.
    regions: BTreeMap<String, RegionsInput>,
    /// What times the volumes of sources.
    triggers: TimedSources,
}

struct Publishing {
    rows: Rows,
    givers: Givers,
}

type InferLanes = Vec<(String, InferLane)>;
type FeatureLinks = Vec<LinkReceiver<Features>>;

impl Building<'_> {
    fn spawn(
        &mut self,
        role: Role,
        name: &str,
        wake: Arc<Wake>,
        lane: impl FnOnce(&LaneContext) + Send + 'static,
    ) -> Result<(), AppError> {
        let failed = |error| AppError::Io { what: format!("starting the thread of {name}"), error };
        self.lanes.start(role, name, wake, lane).map_err(failed)
    }

    /// Whether this predictor predicts on its source's lane: from the newest sample alone, with nothing to join.
    fn is_instant(&self, predictor: usize) -> Option<usize> {
        let inputs = &self.plan.predictors.get(predictor)?.inputs;
        let lags = &self.settings.predictors.values().nth(predictor)?.lags;
        match (inputs.as_slice(), lags) {
            ([Feed::Source(source)], crate::ridge::LagsConfig::Fir(lags)) if lags == &[0.0] => Some(*source),
            _ => None,
        }
    }

    fn encoders(&mut self) -> Result<(FeatureLinks, Vec<InputSpec>, InferLanes), AppError> {
        let runtime = self.settings.runtime()?;
        let (mut features, mut specs, mut lanes) = (Vec::new(), Vec::new(), Vec::new());
        for (index, (name, config)) in self.settings.encoders.iter().enumerate() {
            let wrong = |error| AppError::Encoder { name: name.clone(), error };
            let mut encoder = encoders::build(config, runtime.as_ref(), None, usize::MAX).map_err(wrong)?;
            self.settings.encode_candidates(name, encoder.as_mut(), &mut self.candidates)?;
            specs.push(config.input_spec(name, encoder.spec()));
            self.regions.extend(encoder.regions().map(|input| (name.clone(), input.clone())));
            let listening = match config {
                EncoderConfig::Text(_) => Listening::Words,
                EncoderConfig::Image(_) => Listening::Images,
                EncoderConfig::Multimodal(_) => Listening::Stimuli,
                EncoderConfig::Columns(_) => Listening::Columns,
                EncoderConfig::Window(c) => Listening::Windows { window: c.window, hop: c.hop },
            };
            let wake = Arc::clone(&self.inbox.wake);
            let (sender, receiver) = link(FEATURES, Features::default, wake);
            features.push(receiver);
            self.lanes.context().status.expect(&format!("encoders.{name}"));
            lanes.push((
                name.clone(),
                InferLane {
                    name: name.clone(),
                    encoder,
                    deadline: config.deadline(),
                    listening,
                    inbox: Arc::clone(&self.infer[index]),
                    features: sender,
                    metrics: self.metrics.encoder(name),
                },
            ));
        }
        Ok((features, specs, lanes))
    }

    fn sources(&mut self) -> Result<Publishing, AppError> {
        let mut rows: Rows = Vec::new();
        let mut givers: Givers = self.plan.predictors.iter().map(|_| None).collect();
        for (index, (name, config)) in self.settings.sources.iter().enumerate() {
            let stats: Arc<SourceStats> = Arc::default();
            let mut decoders = Vec::new();
            for (p, slot) in givers.iter_mut().enumerate() {
                if self.is_instant(p) != Some(index) {
                    continue;
                }
                let (giver, taker) = swap();
                let (sender, receiver) = link(ROWS, Row::default, Wake::new());
                let predictor: Arc<str> = self.plan.predictors[p].name.as_str().into();
                *slot = Some(giver);
                rows.push((Arc::clone(&predictor), receiver));
                let metrics = self.metrics.predictor(&predictor);
                decoders.push(InstantDecoder { name: predictor, weights: taker, rows: sender, metrics });
            }
            let settings = config.clone();
            let clock = Arc::clone(self.lanes.context().session.clock());
            let (triggers, recording) = (self.triggers.of_source(name), self.recordings.samples.remove(name));
            let lane = SourceLane {
                name: name.clone(),
                open: inputs::opener(name, &config.input, clock, triggers, recording),
                stages: Box::new(move || settings.stages()),
                consumers: self.consumers(index),
                decoders,
                // A recording says itself where its runs begin.
                run_gap: match config.input {
                    InputConfig::Replay(_) => f64::INFINITY,
                    _ => self.settings.session.run_gap,
                },
                counts_itself: matches!(config.input, InputConfig::Lsl(_)),
                processor: config.processor,
                is_target: self.plan.is_target(index),
                metrics: self.metrics.source(name, Arc::clone(&stats), self.lanes.context().session.clock()),
                stats,
            };
            self.lanes.context().status.expect(&format!("sources.{name}"));
            self.spawn(Role::Source, name, Wake::new(), move |context| lane.run(context))?;
        }
        Ok(Publishing { rows, givers })
    }

    fn networks(&mut self, models: Vec<Option<NetworkReader>>) -> Result<(), AppError> {
        for ((index, (name, config)), model) in self.settings.networks.iter().enumerate().zip(models) {
            let inbox = Arc::clone(&self.networks[index]);
            let wake = Arc::clone(&inbox.wake);
            let frames = ["network", "outcome"].map(|kind| self.metrics.frames_called(name, kind));
            let (config, metrics) = (config.clone(), self.metrics.encoder(name));
            let lane = NetworkLane { name: name.clone(), config, model, inbox, metrics, frames };
            self.lanes.context().status.expect(&format!("networks.{name}"));
            self.spawn(Role::Infer, name, wake, move |context| lane.run(context))?;
        }
        Ok(())
    }

    /// Who wants the blocks of source `index`: the learn lane, encoders of windows, and networks.
    fn consumers(&self, index: usize) -> Vec<Consumer> {
        let mut consumers = Vec::new();
        // The learn lane has to be woken for volumes, and for features that it predicts from. Samples that it only
        // learns from may wait for its next look: a wake-up a millisecond would cost the source's lane more than its
        // whole chain.
        let feeds = |p: &(usize, usize)| self.is_instant(p.0).is_none();
        let inputs: Vec<_> = self.plan.inputs_of(Feed::Source(index)).collect();
        let urgent = self.plan.is_target(index) || inputs.iter().any(feeds);
        let inbox = Arc::clone(&self.inbox);
        let wake = if urgent { Arc::clone(&self.inbox.wake) } else { Wake::new() };
        consumers.push(Consumer {
            connect: Box::new(move |spec, blocks| inbox.post(LearnMessage::Source { index, spec, blocks })),
            wake,
        });
        let encoders = self.plan.encoders_of(EncoderFeed::Windows(index)).map(|encoder| &self.infer[encoder]);
        let networks = self.plan.networks_of(NetworkFeed::Source(index)).map(|network| &self.networks[network]);
        for inbox in encoders.chain(networks) {
            let (inbox, wake) = (Arc::clone(inbox), Arc::clone(&inbox.wake));
            let connect = Box::new(move |spec, blocks| {
                inbox.post(InferMessage::Source(spec, blocks));
            });
            consumers.push(Consumer { connect, wake });
        }
        consumers
    }

    /// The encoders that listen to event source `index`.
    fn listeners(&self, index: usize) -> Vec<Listener> {
        let of = |(number, (name, config)): (usize, (&String, &EncoderConfig))| {
            let takes = match config {
                EncoderConfig::Text(_) => Takes::Words,
                EncoderConfig::Image(image) => Takes::Images(image.stimuli.clone()),
                EncoderConfig::Multimodal(config) => {
                    Takes::Stimuli { folder: config.stimuli.clone(), regions: self.regions.get(name).cloned() }
                }
                EncoderConfig::Columns(_) => Takes::Columns,
                EncoderConfig::Window(_) => return None,
            };
            let listens = self.plan.encoders_of(EncoderFeed::Events(index)).any(|encoder| encoder == number);
            let inbox = Arc::clone(self.infer.get(number)?);
            listens.then(|| Listener { name: name.clone(), takes, inbox })
        };
        self.settings.encoders.iter().enumerate().filter_map(of).collect()
    }

    fn event_sources(&mut self) -> Result<(), AppError> {
        for (index, (name, config)) in self.settings.events.iter().enumerate() {
            let encoders = self.listeners(index);
            let stats: Arc<SourceStats> = Arc::default();
            let clock = Arc::clone(self.lanes.context().session.clock());
            let metrics = self.metrics.source(name, Arc::clone(&stats), &clock);
            let (run_marker, triggers) = (config.run_marker.clone(), self.triggers.of_events(name));
            let door = Arc::new(EventDoor { encoders, run_marker, stats, metrics, triggers });
            self.events.insert(name.clone(), Arc::clone(&door));
            let open: OpenEvents = match &config.input {
                // These come through the controls.
                EventsInput::Api(_) => {
                    door.stats.up.store(true, Ordering::Relaxed);
                    continue;
                }
                EventsInput::Lsl(config) => {
                    let config = config.clone();
                    Box::new(move |stats| Ok(Box::new(LslMarkers::open(&config, stats)?) as Box<dyn EventSource>))
                }
                EventsInput::Recording(source) => {
                    let Some(events) = self.recordings.events.remove(source) else {
                        let problem = format!("source \"{source}\" has no events, or they are taken already");
                        return Err(AppError::setting(format!("events.{name}.input.recording"), problem));
                    };
                    let (events, name) = (Mutex::new(Some(events)), name.clone());
                    Box::new(move |_| {
                        let events = events.lock().unwrap_or_else(PoisonError::into_inner).take();
                        let events = events.ok_or_else(|| opened_twice(&name))?;
                        Ok(Box::new(Paced::new(events, Arc::clone(&clock))) as Box<dyn EventSource>)
                    })
                }
            };
            let counts_itself = matches!(config.input, EventsInput::Lsl(_));
            let lane = EventLane { name: name.clone(), open, counts_itself, door };
            self.lanes.context().status.expect(&format!("events.{name}"));
            self.spawn(Role::Events, name, Wake::new(), move |context| lane.run(context))?;
        }
        Ok(())
    }

    fn learn_and_publish(
        &mut self,
        features: FeatureLinks,
        encoders: Vec<InputSpec>,
        publish: Publishing,
    ) -> Result<(), AppError> {
        let session = &self.settings.session;
        for predictor in &self.plan.predictors {
            self.lanes.context().status.expect(&format!("predictors.{}", predictor.name));
        }
        let measured = |source: usize| {
            let name = &self.plan.sources[source];
            self.plan.is_target(source).then(|| self.metrics.frames(name, FrameKind::Measured))
        };
        let lane = LearnLane {
            plan: self.plan.clone(),
            configs: self.settings.predictors.values().cloned().collect(),
            models: std::mem::take(&mut self.models),
            identifiers: self.settings.identifiers(&mut self.candidates)?,
            encoders,
            features,
            instant: publish.givers,
            inbox: Arc::clone(&self.inbox),
            checkpoints: session
                .state_dir
                .clone()
                .map(|folder| CheckpointPlan { folder, every: session.checkpoint_every }),
            metrics: self.plan.predictors.iter().map(|p| self.metrics.predictor(&p.name)).collect(),
            measured: (0..self.plan.sources.len()).map(measured).collect(),
            volumes: (self.settings.sources.iter())
                .map(|(name, source)| source.looks_at_volumes().then(|| self.metrics.volumes(name)))
                .collect(),
        };
        let wake = Arc::clone(&self.inbox.wake);
        self.spawn(Role::Learn, "learning", wake, move |context| lane.run(context))?;
        if !publish.rows.is_empty() {
            let lane = PublishLane { rows: publish.rows };
            self.spawn(Role::Publish, "publishing", Wake::new(), move |context| lane.run(context))?;
        }
        Ok(())
    }
}

/// Waits until everything is ready, at most `timeout`; what is not.
pub fn wait_until_ready(status: &Status, timeout: Duration) -> Vec<(String, String)> {
    let until = MonotonicClock.now() + timeout.as_secs_f64();
    loop {
        let missing = status.not_ready();
        if missing.is_empty() || status.is_stopping() || MonotonicClock.now() > until {
            return missing;
        }
        std::thread::sleep(Duration::from_millis(2));
    }
}

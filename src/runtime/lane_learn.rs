//! The lane that learns: features meet volumes, predictions are scored, weights move.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel;
use crossbeam::queue::SegQueue;

use super::checkpoints::ResumeError;
use super::decoder::Weights;
use super::features::Features;
use super::lanes::LaneContext;
use super::metrics::PredictorMetrics;
use super::plan::{Feed, Plan};
use super::predictor::{InputSpec, Predictor, PredictorConfig};
use super::session::Measured;
use crate::frame::{Block, BlockSpec, Clock, FrameKind, MonotonicClock, RegionFrame, Regions};
use crate::publish::{Outgoing, Outlet, RowStamp};
use crate::ridge::{CheckpointError, SearchResult, Snapshot};
use crate::ring::{LinkReceiver, SwapGiver, Wake};

/// How long the lane sleeps when nobody rings: what bounds its reaction to blocks that come quietly.
const NAP: Duration = Duration::from_millis(20);

/// What can be asked of the learn lane while it runs.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum LearnCommand {
    /// Learn from the next volume on.
    Learn,
    /// Keep the weights as they are.
    Freeze,
    /// Write checkpoints now.
    Checkpoint,
}

/// What the learn lane is told.
pub enum LearnMessage {
    /// A source is open: the shape at the end of its chain, and its blocks.
    Source {
        /// The source's number.
        index: usize,
        /// The shape of its blocks.
        spec: BlockSpec,
        /// The blocks.
        blocks: LinkReceiver<Block>,
    },
    /// A command for the predictor of this name, or for all; the answer says what was done, or why not.
    Command {
        /// What to do.
        command: LearnCommand,
        /// Which predictor.
        predictor: Option<String>,
        /// Where the answer goes.
        answer: channel::Sender<Result<Vec<String>, String>>,
    },
}

/// The learn lane's letter box.
#[derive(Default)]
pub struct Inbox {
    messages: SegQueue<LearnMessage>,
    /// The lane's bell.
    pub wake: Arc<Wake>,
}

impl Inbox {
    /// Leaves a message and rings.
    pub fn post(&self, message: LearnMessage) {
        self.messages.push(message);
        self.wake.ring();
    }

    /// Asks for something and waits for the answer: the names of the predictors that did it.
    ///
    /// # Errors
    /// What the lane answers, or that it does not.
    pub fn ask(&self, command: LearnCommand, predictor: Option<&str>) -> Result<Vec<String>, String> {
        let (answer, answered) = channel::bounded(1);
        self.post(LearnMessage::Command { command, predictor: predictor.map(String::from), answer });
        answered
            .recv_timeout(Duration::from_secs(10))
            .map_err(|_| String::from("the learn lane does not answer; is it still starting?"))?
    }
}

/// Where checkpoints are, and how often they are written.
#[derive(Clone, Debug, PartialEq)]
pub struct CheckpointPlan {
    /// The folder.
    pub folder: PathBuf,
    /// Seconds between two.
    pub every: f64,
}

/// What the learn lane is made of.
pub struct LearnLane {
    /// Who feeds whom.
    pub plan: Plan,
    /// One a predictor.
    pub configs: Vec<PredictorConfig>,
    /// What each encoder's features are.
    pub encoders: Vec<InputSpec>,
    /// Each encoder's features.
    pub features: Vec<LinkReceiver<Features>>,
    /// Where an instant predictor's weights go.
    pub instant: Vec<Option<SwapGiver<Weights>>>,
    /// What it is told.
    pub inbox: Arc<Inbox>,
    /// Where checkpoints go.
    pub checkpoints: Option<CheckpointPlan>,
    /// One a predictor.
    pub metrics: Vec<PredictorMetrics>,
}

struct OpenedSource {
    spec: BlockSpec,
    blocks: LinkReceiver<Block>,
    measured: Option<Measured>,
}

struct AtWork {
    predictor: Predictor,
    search: Option<channel::Receiver<SearchResult>>,
    failing_checkpoints: bool,
}

/// One outlet for each predictor (or source) and kind of frame, where one is wanted.
type Outlets = BTreeMap<(Arc<str>, FrameKind), Option<Box<dyn Outlet>>>;

/// Sends frames out: to the service, and to outlets of this lane, which are opened with the first frame.
struct Publisher<'a> {
    context: &'a LaneContext,
    outlets: Outlets,
}

impl Publisher<'_> {
    fn frame(&mut self, frame: RegionFrame, regions: &Regions, rate: f64) {
        let outlet = self
            .outlets
            .entry((Arc::clone(&frame.predictor), frame.kind))
            .or_insert_with(|| self.context.outlets.open(&frame.predictor, frame.kind, regions, rate));
        if let Some(outlet) = outlet {
            let stamp = RowStamp { t_target: frame.t_target, t_measured: frame.t_measured, quality: frame.quality };
            outlet.values(&frame.values, stamp);
            if let Some(skill) = &frame.skill {
                outlet.skill(skill);
            }
        }
        self.context.port.send(Outgoing::Frame(Arc::new(frame)));
    }
}

impl LearnLane {
    /// Runs until told to stop and everything that was sent has been learned from.
    pub fn run(mut self, context: &LaneContext) {
        self.inbox.wake.attach();
        let mut sources: Vec<Option<OpenedSource>> = self.plan.sources.iter().map(|_| None).collect();
        let mut at_work: Vec<Option<AtWork>> = self.plan.predictors.iter().map(|_| None).collect();
        let mut publisher = Publisher { context, outlets: BTreeMap::new() };
        let mut saved_at = MonotonicClock.now();
        loop {
            let stopping = context.stopping();
            let mut busy = false;
            while let Some(message) = self.inbox.messages.pop() {
                busy = true;
                match message {
                    LearnMessage::Source { index, spec, blocks } => {
                        self.open_source(index, spec, blocks, &mut sources, context);
                        self.build(&sources, &mut at_work, context);
                    }
                    LearnMessage::Command { command, predictor, answer } => {
                        let done = self.obey(command, predictor.as_deref(), &mut at_work);
                        // Nobody waits any more when the asker has given up.
                        drop(answer.send(done));
                    }
                }
            }
            busy |= self.take_features(&mut sources, &mut at_work, &mut publisher);
            for (work, metrics) in at_work.iter_mut().zip(&self.metrics) {
                if let Some(work) = work {
                    work.adopt_search(metrics);
                }
            }
            if let Some(plan) = &self.checkpoints
                && MonotonicClock.now() - saved_at >= plan.every
            {
                saved_at = MonotonicClock.now();
                self.save_all(&mut at_work);
            }
            if !busy {
                let finished = |source: &OpenedSource| source.blocks.is_finished();
                let drained =
                    sources.iter().flatten().all(finished) && self.features.iter().all(LinkReceiver::is_finished);
                if stopping && drained {
                    break;
                }
                self.inbox.wake.sleep(NAP);
            }
        }
        self.save_all(&mut at_work);
    }

    fn open_source(
        &self,
        index: usize,
        spec: BlockSpec,
        blocks: LinkReceiver<Block>,
        sources: &mut [Option<OpenedSource>],
        context: &LaneContext,
    ) {
        let measured = self.plan.is_target(index).then(|| {
            let regions = regions_of(&spec);
            context.port.send(Outgoing::Regions(Arc::clone(&regions)));
            Measured::new(context.session.clone(), &self.plan.sources[index], regions, spec.period())
        });
        sources[index] = Some(OpenedSource { spec, blocks, measured });
    }

    /// Builds every predictor whose inputs and target are all known by now.
    fn build(&mut self, sources: &[Option<OpenedSource>], at_work: &mut [Option<AtWork>], context: &LaneContext) {
        for (index, plan) in self.plan.predictors.iter().enumerate() {
            if at_work[index].is_some() {
                continue;
            }
            let input = |feed: &Feed| match feed {
                Feed::Encoder(encoder) => self.encoders.get(*encoder).cloned(),
                Feed::Source(source) => {
                    sources[*source].as_ref().map(|s| source_input(&self.plan.sources[*source], &s.spec))
                }
            };
            let Some(inputs) = plan.inputs.iter().map(input).collect::<Option<Vec<_>>>() else { continue };
            let target = plan.target.map(|t| sources[t].as_ref());
            let config = &self.configs[index];
            let built = match target {
                Some(None) => continue,
                Some(Some(source)) => {
                    let regions = regions_of(&source.spec);
                    let period = source.spec.period();
                    Predictor::new(&plan.name, config, context.session.clone(), regions, period, inputs)
                        .map_err(ResumeError::from)
                }
                None => {
                    let folder = self.checkpoints.as_ref().map(|c| c.folder.clone()).unwrap_or_default();
                    Predictor::from_checkpoint(&plan.name, config, context.session.clone(), inputs, &folder)
                }
            };
            let resumed = built.and_then(|mut predictor| {
                if let (Some(checkpoints), true) = (&self.checkpoints, target.is_some()) {
                    match predictor.resume(&checkpoints.folder) {
                        // A folder that cannot be read is no reason not to decode.
                        Err(error @ CheckpointError::Io { .. }) => {
                            self.metrics[index].checkpoint(false);
                            tracing::error!(predictor = plan.name, %error, "begins anew");
                        }
                        resumed => drop(resumed?),
                    }
                }
                self.metrics[index].learner(predictor.learner());
                Ok(predictor)
            });
            match resumed {
                Ok(predictor) => {
                    context.port.send(Outgoing::Regions(Arc::clone(predictor.regions())));
                    offer_weights(&predictor, &mut self.instant[index]);
                    context.status.ready(&plan.name);
                    at_work[index] = Some(AtWork { predictor, search: None, failing_checkpoints: false });
                }
                Err(error) => context.fail(format!("predictor \"{}\": {error}", plan.name)),
            }
        }
    }

    /// Takes in all that has come: features before volumes. False when there was nothing.
    fn take_features(
        &mut self,
        sources: &mut [Option<OpenedSource>],
        at_work: &mut [Option<AtWork>],
        publisher: &mut Publisher<'_>,
    ) -> bool {
        let mut busy = false;
        for (encoder, link) in self.features.iter_mut().enumerate() {
            while let Some(features) = link.receive() {
                busy = true;
                for (p, input) in self.plan.inputs_of(Feed::Encoder(encoder)) {
                    if let Some(work) = &mut at_work[p] {
                        work.features(input, &features, publisher, &self.metrics[p]);
                    }
                }
            }
        }
        let mut features = Features::default();
        let targets_last = (0..sources.len())
            .filter(|i| !self.plan.is_target(*i))
            .chain((0..sources.len()).filter(|i| self.plan.is_target(*i)));
        for index in targets_last {
            let Some(source) = &mut sources[index] else { continue };
            while let Some(block) = source.blocks.receive() {
                busy = true;
                for (p, input) in self.plan.inputs_of(Feed::Source(index)) {
                    let Some(work) = &mut at_work[p] else { continue };
                    for i in 0..block.len() {
                        features.of_sample(&block, i, source.spec.period());
                        match self.instant[p] {
                            // Its frames are made on the source's own lane.
                            Some(_) => work.predictor.hold(input, &features),
                            None => work.features(input, &features, publisher, &self.metrics[p]),
                        }
                    }
                }
                if let Some(measured) = &mut source.measured {
                    let regions = Arc::clone(measured.regions());
                    measured.frames(&block, |frame| publisher.frame(frame, &regions, source.spec.rate));
                }
                for p in self.plan.learners_of(index) {
                    let Some(work) = &mut at_work[p] else { continue };
                    work.learn(&block, publisher, &self.metrics[p]);
                    offer_weights(&work.predictor, &mut self.instant[p]);
                }
            }
        }
        busy
    }

    fn obey(
        &self,
        command: LearnCommand,
        predictor: Option<&str>,
        at_work: &mut [Option<AtWork>],
    ) -> Result<Vec<String>, String> {
        let meant = |name: &str| predictor.is_none_or(|wanted| wanted == name);
        // All or none: a command that is refused has changed nothing.
        let mut all = self.plan.predictors.iter().zip(at_work.iter());
        if let Some((plan, _)) = all.find(|(plan, work)| meant(&plan.name) && work.is_none()) {
            return Err(format!("predictor \"{}\" is not ready yet; see /readyz", plan.name));
        }
        let mut done = Vec::new();
        for (plan, work) in self.plan.predictors.iter().zip(at_work.iter_mut()) {
            let (true, Some(work)) = (meant(&plan.name), work) else { continue };
            match command {
                LearnCommand::Learn => work.predictor.learner_mut().learn(),
                LearnCommand::Freeze => work.predictor.learner_mut().freeze(),
                LearnCommand::Checkpoint => match &self.checkpoints {
                    Some(checkpoints) => work.predictor.save(&checkpoints.folder).map_err(|e| e.to_string())?,
                    None => return Err("no checkpoints are kept: set session.state_dir".into()),
                },
            }
            done.push(plan.name.clone());
        }
        match predictor {
            Some(name) if done.is_empty() => {
                let names: Vec<&str> = self.plan.predictors.iter().map(|p| p.name.as_str()).collect();
                Err(format!("there is no predictor \"{name}\"; there are: {}", names.join(", ")))
            }
            _ => Ok(done),
        }
    }

    fn save_all(&self, at_work: &mut [Option<AtWork>]) {
        let Some(checkpoints) = &self.checkpoints else { return };
        for (work, metrics) in at_work.iter_mut().zip(&self.metrics) {
            let Some(work) = work else { continue };
            match work.predictor.save(&checkpoints.folder) {
                Ok(()) => {
                    metrics.checkpoint(true);
                    work.failing_checkpoints = false;
                }
                Err(error) => {
                    metrics.checkpoint(false);
                    if !std::mem::replace(&mut work.failing_checkpoints, true) {
                        tracing::error!(predictor = %work.predictor.name(), %error, "checkpoints fail; decoding goes on without them");
                    }
                }
            }
        }
    }
}

impl AtWork {
    fn features(
        &mut self,
        input: usize,
        features: &Features,
        publisher: &mut Publisher<'_>,
        metrics: &PredictorMetrics,
    ) {
        let (rate, regions) = (self.predictor.rate(), Arc::clone(self.predictor.regions()));
        let speed = publisher.context.session.clock().speed();
        self.predictor.features(input, features, |frame| {
            metrics.frame(&frame, speed);
            publisher.frame(frame, &regions, rate);
        });
    }

    fn learn(&mut self, block: &Block, publisher: &mut Publisher<'_>, metrics: &PredictorMetrics) {
        let (rate, regions) = (self.predictor.rate(), Arc::clone(self.predictor.regions()));
        let speed = publisher.context.session.clock().speed();
        for i in 0..block.len() {
            self.predictor.volume(block, i, |frame| {
                metrics.frame(&frame, speed);
                publisher.frame(frame, &regions, rate);
            });
        }
        metrics.learner(self.predictor.learner());
        if self.search.is_none()
            && let Some(job) = self.predictor.learner_mut().begin_search()
        {
            let (sender, receiver) = channel::bounded(1);
            let thread = std::thread::Builder::new().name("learn:search".into());
            match thread.spawn(move || drop(sender.send(job.run()))) {
                Ok(_) => self.search = Some(receiver),
                Err(error) => tracing::warn!(%error, "no thread for the search of λ; it stays as it is"),
            }
        }
    }

    fn adopt_search(&mut self, metrics: &PredictorMetrics) {
        match self.search.as_ref().map(channel::Receiver::try_recv) {
            Some(Ok(result)) => {
                let measured = (result.drift, result.condition);
                self.predictor.learner_mut().adopt(result);
                metrics.search(measured.0, measured.1);
                self.search = None;
            }
            Some(Err(channel::TryRecvError::Disconnected)) => {
                self.predictor.learner_mut().abandon_search();
                self.search = None;
            }
            Some(Err(channel::TryRecvError::Empty)) | None => {}
        }
    }
}

/// The regions at the end of a source's chain.
pub fn regions_of(spec: &BlockSpec) -> Arc<Regions> {
    let unit = spec.channels.first().map(|c| c.unit).unwrap_or_default();
    Arc::new(Regions::new(spec.channels.iter().map(|c| c.name.clone()).collect(), unit))
}

/// What a source is as an input of a predictor.
pub fn source_input(name: &str, spec: &BlockSpec) -> InputSpec {
    let names = Regions::new(spec.channels.iter().map(|c| c.name.clone()).collect(), Default::default());
    let sha256 = names.regions_id.to_string();
    InputSpec { name: name.into(), dims: spec.channels.len(), hop: Some(spec.period()), sha256 }
}

/// Sends the weights of an instant predictor to the lane that predicts with them, in a box that came back from there.
fn offer_weights(predictor: &Predictor, giver: &mut Option<SwapGiver<Weights>>) {
    let Some(giver) = giver else { return };
    let learner = predictor.learner();
    let mut weights = giver.spare().unwrap_or_else(|| {
        Box::new(Weights {
            snapshot: Snapshot::new(learner.features(), learner.targets()),
            regions: Arc::clone(predictor.regions()),
            model: predictor.model().clone(),
            skill: vec![0.0; learner.targets()],
            warming_up: true,
            period: predictor.period(),
            after_stamp: predictor.after_stamp(),
        })
    });
    learner.snapshot_into(&mut weights.snapshot);
    learner.skill().r_into(&mut weights.skill);
    weights.model = predictor.model().clone();
    weights.warming_up = learner.updates() == 0;
    giver.offer(weights);
}

//! The lane that learns: features meet volumes, predictions are scored, weights move.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crossbeam::channel;
use crossbeam::queue::SegQueue;

use super::at_work::{AtWork, Publisher};
use super::checkpoints::ResumeError;
use super::decoder::Weights;
use super::features::Features;
use super::identifier::Identifier;
use super::lanes::{Fault, LaneContext};
use super::metrics::{FrameMetrics, PredictorMetrics};
use super::plan::{Feed, Plan};
use super::predictor::{InputSpec, Predictor, PredictorConfig};
use super::session::Measured;
use super::volumes::{VolumeFrames, VolumeMetrics};
use crate::frame::{Block, BlockSpec, Clock, MonotonicClock, Quality, Regions};
use crate::publish::Outgoing;
use crate::ridge::{CheckpointError, FittedModel};
use crate::ring::{LinkReceiver, SwapGiver, Wake};

/// How long the lane sleeps when nobody rings: what bounds its reaction to blocks that come quietly.
const NAP: Duration = Duration::from_millis(20);

/// How much of one link is taken in before the lane looks at the others, and at its letters.
const AT_ONCE: usize = 256;

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
    /// What each predictor begins with.
    pub models: Vec<Option<Arc<FittedModel>>>,
    /// What each predictor is asked of its events.
    pub identifiers: Vec<Vec<Identifier>>,
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
    /// One a source that is a target: its `measured` frames.
    pub measured: Vec<Option<FrameMetrics>>,
    /// One a source whose volumes are looked at: what is told of them.
    pub volumes: Vec<Option<VolumeMetrics>>,
}

struct OpenedSource {
    spec: BlockSpec,
    blocks: LinkReceiver<Block>,
    measured: Option<Measured>,
    volumes: Option<(VolumeFrames, VolumeMetrics)>,
}

impl LearnLane {
    /// Runs until told to stop and everything that was sent has been learned from.
    pub fn run(mut self, context: &LaneContext) {
        self.inbox.wake.attach();
        let mut sources: Vec<Option<OpenedSource>> = self.plan.sources.iter().map(|_| None).collect();
        let mut at_work: Vec<Option<AtWork>> = self.plan.predictors.iter().map(|_| None).collect();
        let mut publisher = Publisher::new(context);
        // Those that need no source.
        self.build(&sources, &mut at_work, context);
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
            at_work.iter_mut().flatten().for_each(|work| work.turn(&mut publisher));
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
        let volumes = self.volumes[index].clone();
        let volumes = volumes.map(|m| (VolumeFrames::new(context.session.clone(), &self.plan.sources[index]), m));
        sources[index] = Some(OpenedSource { spec, blocks, measured, volumes });
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
            let model = self.models[index].as_deref();
            let built = match (target, model) {
                (Some(None), _) => continue,
                (Some(Some(source)), model) => {
                    let regions = regions_of(&source.spec);
                    let period = source.spec.period();
                    Predictor::new(&plan.name, config, context.session.clone(), regions, period, inputs)
                        .map_err(ResumeError::from)
                        .and_then(|predictor| Ok(predictor.beginning_with(model)?))
                }
                (None, Some(model)) => {
                    Predictor::from_model(&plan.name, config, context.session.clone(), inputs, model)
                }
                (None, None) => {
                    let folder = self.checkpoints.as_ref().map(|c| c.folder.clone()).unwrap_or_default();
                    Predictor::from_checkpoint(&plan.name, config, context.session.clone(), inputs, &folder)
                }
            };
            let resumed = built.and_then(|mut predictor| {
                if let (Some(checkpoints), true) = (&self.checkpoints, target.is_some() || model.is_some()) {
                    match predictor.resume(&checkpoints.folder) {
                        // A folder that cannot be read is no reason not to decode.
                        Err(error @ CheckpointError::Io { .. }) => {
                            self.metrics[index].checkpoint(false);
                            tracing::error!(predictor = plan.name, %error, "begins anew");
                        }
                        resumed => drop(resumed?),
                    }
                }
                Ok(predictor)
            });
            match resumed {
                Ok(mut predictor) => {
                    predictor.identify_with(std::mem::take(&mut self.identifiers[index]));
                    let regions = std::iter::once(predictor.regions()).chain(predictor.contrast_regions());
                    regions.for_each(|regions| context.port.send(Outgoing::Regions(Arc::clone(regions))));
                    context.status.ready(&format!("predictors.{}", plan.name));
                    let giver = self.instant[index].take();
                    at_work[index] = Some(AtWork::new(predictor, self.metrics[index].clone(), giver));
                }
                Err(error) => {
                    let fault = if error.is_config() { Fault::Config } else { Fault::Data };
                    context.fail(fault, format!("predictor \"{}\": {error}", plan.name));
                }
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
            for _ in 0..AT_ONCE {
                let Some(mut features) = link.receive() else { break };
                busy = true;
                if features.after_loss() {
                    features.quality |= Quality::DROPPED_BEFORE;
                }
                for (p, input) in self.plan.inputs_of(Feed::Encoder(encoder)) {
                    if let Some(work) = &mut at_work[p] {
                        work.features(input, &features, publisher);
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
            for _ in 0..AT_ONCE {
                let Some(mut block) = source.blocks.receive() else { break };
                busy = true;
                if block.after_loss() {
                    block.quality |= Quality::GAP | Quality::DROPPED_BEFORE;
                }
                if let Some((frames, metrics)) = &mut source.volumes {
                    metrics.volume(&block);
                    let frame = frames.frame(&block).map(|frame| Outgoing::Quality(Arc::new(frame)));
                    frame.into_iter().for_each(|frame| publisher.context.port.send(frame));
                }
                for (p, input) in self.plan.inputs_of(Feed::Source(index)) {
                    let Some(work) = &mut at_work[p] else { continue };
                    for i in 0..block.len() {
                        features.of_sample(&block, i, source.spec.period());
                        work.features(input, &features, publisher);
                    }
                }
                if let Some(measured) = &mut source.measured {
                    let regions = Arc::clone(measured.regions());
                    measured.frames(&block, |frame| {
                        if let Some(metrics) = &self.measured[index] {
                            metrics.frame(&frame, publisher.context.session.clock().speed());
                        }
                        publisher.frame(frame, &regions, source.spec.rate);
                    });
                }
                for p in self.plan.learners_of(index) {
                    if let Some(work) = &mut at_work[p] {
                        work.learn(&block, publisher);
                    }
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
        let fixed = |work: &Option<AtWork>| work.as_ref().is_some_and(|work| work.predictor.learner().is_fixed());
        let mut all = self.plan.predictors.iter().zip(at_work.iter());
        if command == LearnCommand::Learn
            && let Some((plan, _)) = all.find(|(plan, work)| meant(&plan.name) && fixed(work))
        {
            return Err(format!("predictor \"{}\" cannot learn: its model holds no moments", plan.name));
        }
        let mut done = Vec::new();
        for (plan, work) in self.plan.predictors.iter().zip(at_work.iter_mut()) {
            let (true, Some(work)) = (meant(&plan.name), work) else { continue };
            match command {
                LearnCommand::Learn => work.predictor.learner_mut().learn(),
                LearnCommand::Freeze => work.predictor.learner_mut().freeze(),
                LearnCommand::Checkpoint => match &self.checkpoints {
                    Some(checkpoints) => work.save(&checkpoints.folder).map_err(|e| e.to_string())?,
                    None => return Err("no checkpoints are kept: set session.state_dir".into()),
                },
            }
            work.changed();
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
        // A failure is told of and counted there.
        at_work.iter_mut().flatten().for_each(|work| drop(work.save(&checkpoints.folder)));
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

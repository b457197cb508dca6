//! Recordings as fast as they can be read: the steps of the live lanes, driven on one thread in virtual time.

use std::sync::Arc;
use std::time::Duration;

use super::Chain;
use super::NetworkStep;
use super::encoder::EncoderStep;
use super::features::Features;
use super::plan::{EncoderFeed, Feed, NetworkFeed, Plan};
use super::predicted::{Predicted, is_prediction};
use super::predictor::Predictor;
use super::session::{Measured, Session};
use super::volumes::VolumeFrames;
use crate::acquisition::file::Recorded;
use crate::acquisition::{EventSource, Pull, Source, SourceError};
use crate::frame::{Block, BlockSpec, Event, Identification, Instant, RegionFrame, VirtualClock};
use crate::publish::Outgoing;

/// A source that knows when it will next have something.
pub trait RecordedSource: Source + Recorded {}
impl<T: Source + Recorded> RecordedSource for T {}

/// An event source that knows when its next event comes.
pub trait RecordedEvents: EventSource + Recorded {}
impl<T: EventSource + Recorded> RecordedEvents for T {}

/// One source with its chain.
pub struct SourceStep {
    /// Where its blocks come from.
    pub source: Box<dyn RecordedSource>,
    /// What is done to them.
    pub chain: Chain,
    /// Makes its `measured` frames, if it is anybody's target.
    pub measured: Option<Measured>,
    /// Says what its volumes are like.
    pub volumes: VolumeFrames,
    block: Block,
}

impl SourceStep {
    /// `source` through `chain`, which was prepared for its shape.
    pub fn new(
        source: Box<dyn RecordedSource>,
        chain: Chain,
        measured: Option<Measured>,
        volumes: VolumeFrames,
    ) -> Self {
        let block = Block::new(source.spec());
        Self { source, chain, measured, volumes, block }
    }

    /// The shape at the end of its chain.
    pub fn output(&self) -> &BlockSpec {
        self.chain.output()
    }
}

/// One event source.
pub struct EventStep {
    /// Where its events come from.
    pub source: Box<dyn RecordedEvents>,
    /// An event of this label begins a new run.
    pub run_marker: Option<String>,
}

/// A network of the regions of a predictor.
pub struct Listening {
    /// The predictor's name.
    pub predictor: Arc<str>,
    /// The network's number.
    pub network: usize,
    /// Its frames on their way.
    pub frames: Predicted,
}

/// Everything a replay is made of, numbered as in its [`Plan`].
pub struct Replay {
    /// Who feeds whom.
    pub plan: Plan,
    /// The session that frames belong to.
    pub session: Session,
    /// Its clock, moved along by the data.
    pub clock: Arc<VirtualClock>,
    /// The sources.
    pub sources: Vec<SourceStep>,
    /// The event sources.
    pub events: Vec<EventStep>,
    /// The encoders.
    pub encoders: Vec<EncoderStep>,
    /// The predictors.
    pub predictors: Vec<Predictor>,
    /// The networks.
    pub networks: Vec<NetworkStep>,
    /// Which of them listen to predictors.
    pub listening: Vec<Listening>,
    /// What networks and sources of volumes have said and nobody has taken yet.
    pub said: Vec<Outgoing>,
}

impl Replay {
    /// What predictors have answered since this was last asked: which stimulus it was.
    pub fn take_identified(&mut self) -> impl Iterator<Item = Identification> {
        self.predictors.iter_mut().flat_map(Predictor::take_identified)
    }

    /// What was said since this was last asked: networks, the outcomes of their models, and how good volumes were.
    pub fn take_said(&mut self) -> impl Iterator<Item = Outgoing> {
        self.said.drain(..)
    }
}

/// What one step did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// Events were encoded.
    Events,
    /// A block of this source went through; so many samples.
    Block {
        /// The source's number.
        source: usize,
        /// Samples in the block.
        samples: usize,
    },
    /// Everything has been played.
    End,
}

impl Replay {
    /// Plays the next thing: of all sources the one whose data arrive first. At one moment events come before samples
    /// and samples before targets, so that what a volume is predicted from is there when it comes.
    ///
    /// # Errors
    /// What cannot be read any further.
    pub fn step(&mut self, emit: &mut dyn FnMut(RegionFrame)) -> Result<Step, SourceError> {
        if self.listening.is_empty() {
            return self.play(emit);
        }
        let names: Vec<Arc<str>> = self.listening.iter().map(|listening| Arc::clone(&listening.predictor)).collect();
        let mut heard = Vec::new();
        let played = self.play(&mut |frame| {
            if is_prediction(&frame) && names.contains(&frame.predictor) {
                heard.push(Arc::new(frame.clone()));
            }
            emit(frame);
        });
        let Self { networks, listening, said, .. } = self;
        for frame in heard {
            for Listening { network, frames, .. } in listening.iter_mut().filter(|l| l.predictor == frame.predictor) {
                if let Some(block) = frames.frame(Arc::clone(&frame)) {
                    networks[*network].block(block, false, |message| said.push(message));
                }
            }
        }
        played
    }

    fn play(&mut self, emit: &mut dyn FnMut(RegionFrame)) -> Result<Step, SourceError> {
        let mut next: Option<(Instant, u8, usize)> = None;
        let mut consider = |at: Option<Instant>, class: u8, index: usize| {
            if let Some(at) = at
                && next.is_none_or(|(t, c, _)| at < t || (at == t && class < c))
            {
                next = Some((at, class, index));
            }
        };
        for (i, events) in self.events.iter().enumerate() {
            consider(events.source.peek(), 0, i);
        }
        for (i, source) in self.sources.iter().enumerate() {
            consider(source.source.peek(), if self.plan.is_target(i) { 2 } else { 1 }, i);
        }
        let Some((at, class, index)) = next else { return Ok(Step::End) };
        for predictor in self.predictors.iter_mut().filter(|p| p.ticks()) {
            predictor.pass_time(at, &mut *emit);
        }
        self.clock.advance_to(at);
        match class {
            0 => self.play_events(index, at, emit),
            _ => self.play_block(index, emit),
        }
    }

    fn play_events(
        &mut self,
        index: usize,
        at: Instant,
        emit: &mut dyn FnMut(RegionFrame),
    ) -> Result<Step, SourceError> {
        let mut events: Vec<Event> = Vec::new();
        let EventStep { source, run_marker } = &mut self.events[index];
        source.pull(&mut events, Duration::ZERO)?;
        for event in &mut events {
            self.session.place(event, run_marker.as_deref());
            for encoder in self.plan.encoders_of(EncoderFeed::Events(index)) {
                if let Some(features) = self.encoders[encoder].event(event, at) {
                    deliver(&self.plan, &mut self.predictors, Feed::Encoder(encoder), features, emit);
                }
            }
        }
        Ok(Step::Events)
    }

    fn play_block(&mut self, index: usize, emit: &mut dyn FnMut(RegionFrame)) -> Result<Step, SourceError> {
        let Self { plan, session, sources, encoders, predictors, networks, said, .. } = self;
        let step = &mut sources[index];
        if step.source.pull(&mut step.block, Duration::ZERO)? == Pull::End {
            return Ok(Step::Block { source: index, samples: 0 });
        }
        step.block.run += session.run_at(step.block.measured_at);
        let period = step.chain.output().period();
        let output = step.chain.process(&step.block);
        for encoder in plan.encoders_of(EncoderFeed::Windows(index)) {
            encoders[encoder].block(output, |f| deliver(plan, predictors, Feed::Encoder(encoder), f, emit));
        }
        if plan.inputs_of(Feed::Source(index)).next().is_some() {
            let mut features = Features::default();
            for i in 0..output.len() {
                features.of_sample(output, i, period);
                deliver(plan, predictors, Feed::Source(index), &features, emit);
            }
        }
        said.extend(step.volumes.frame(output).map(|frame| Outgoing::Quality(Arc::new(frame))));
        for network in plan.networks_of(NetworkFeed::Source(index)) {
            networks[network].block(output, false, |message| said.push(message));
        }
        if let Some(measured) = &mut step.measured {
            measured.frames(output, &mut *emit);
        }
        for i in 0..output.len() {
            for predictor in plan.learners_of(index) {
                predictors[predictor].volume(output, i, &mut *emit);
                predictors[predictor].search_now();
            }
        }
        Ok(Step::Block { source: index, samples: step.block.len() })
    }
}

/// Hands features to every predictor that has them as an input.
fn deliver(
    plan: &Plan,
    predictors: &mut [Predictor],
    feed: Feed,
    features: &Features,
    emit: &mut dyn FnMut(RegionFrame),
) {
    for (predictor, input) in plan.inputs_of(feed) {
        predictors[predictor].features(input, features, &mut *emit);
    }
}

//! The lane of one encoder: one ONNX session, one pass at a time, away from everything that must not wait.

use std::sync::Arc;
use std::time::Duration;

use crossbeam::queue::ArrayQueue;

use super::encoder::{EncoderStep, Listens};
use super::features::Features;
use super::lanes::{Fault, LaneContext};
use super::metrics::EncoderMetrics;
use crate::encoders::{Encoder, Windows};
use crate::frame::{Block, BlockSpec, Event, Instant, Quality, RegionFrame, Regions};
use crate::ring::{LinkReceiver, LinkSender, Wake};

/// How long the lane sleeps when nobody rings.
pub(super) const NAP: Duration = Duration::from_millis(100);

/// What an inference lane is given.
pub enum InferMessage {
    /// An event, and when it arrived.
    Event(Event, Instant),
    /// A source is open: the shape of its blocks, and the blocks.
    Source(BlockSpec, LinkReceiver<Block>),
    /// What a predictor expects, the names of its regions, and how many such frames come a second.
    Predicted(Arc<RegionFrame>, Arc<Regions>, f64),
}

/// An inference lane's letter box: bounded, oldest dropped.
pub struct InferInbox {
    pub(super) messages: ArrayQueue<InferMessage>,
    /// The lane's bell.
    pub wake: Arc<Wake>,
}

impl InferInbox {
    /// Room for this many messages.
    pub fn new(capacity: usize) -> Arc<Self> {
        Arc::new(Self { messages: ArrayQueue::new(capacity), wake: Wake::new() })
    }

    /// Leaves a message; false when the oldest had to make room for it.
    pub fn post(&self, message: InferMessage) -> bool {
        let lost = self.messages.force_push(message);
        self.wake.ring();
        lost.is_none()
    }
}

/// What the encoder listens to.
pub enum Listening {
    /// The words of events.
    Words,
    /// The pictures of events.
    Images,
    /// The words of events, with their pictures and the regions of these.
    Stimuli,
    /// The columns of events.
    Columns,
    /// Windows of so many seconds, one every so many seconds.
    Windows {
        /// The window's length in seconds.
        window: f64,
        /// Seconds between two windows.
        hop: f64,
    },
}

/// What an inference lane is made of.
pub struct InferLane {
    /// The encoder's name.
    pub name: String,
    /// The encoder.
    pub encoder: Box<dyn Encoder>,
    /// A pass longer than this many seconds is counted and flagged.
    pub deadline: f64,
    /// What it listens to.
    pub listening: Listening,
    /// What it is given.
    pub inbox: Arc<InferInbox>,
    /// Where its features go.
    pub features: LinkSender<Features>,
    /// Times and counts.
    pub metrics: EncoderMetrics,
}

impl InferLane {
    /// Runs until told to stop and everything that was sent has been encoded.
    pub fn run(self, context: &LaneContext) {
        let Self { name, encoder, deadline, listening, inbox, mut features, metrics } = self;
        inbox.wake.attach();
        let part = format!("encoders.{name}");
        metrics.watch(encoder.cache());
        let mut encoder = Some(encoder);
        let make = |encoder, listens| {
            let mut step = EncoderStep::new(&name, encoder, listens, deadline);
            step.observe(metrics.duration());
            step
        };
        let mut step = match listening {
            Listening::Words => encoder.take().map(|e| make(e, Listens::Words)),
            Listening::Images => encoder.take().map(|e| make(e, Listens::Images)),
            Listening::Stimuli => encoder.take().map(|e| make(e, Listens::Stimuli)),
            Listening::Columns => encoder.take().map(|e| make(e, Listens::Columns)),
            Listening::Windows { .. } => None,
        };
        let mut blocks: Option<LinkReceiver<Block>> = None;
        if step.is_some() {
            context.status.ready(&part);
        }
        let mut send = |f: &Features| {
            if !features.send(|slot| slot.clone_from(f)) {
                metrics.dropped();
            }
        };
        loop {
            let stopping = context.stopping();
            let mut busy = false;
            while let Some(message) = inbox.messages.pop() {
                busy = true;
                match message {
                    InferMessage::Event(event, arrived_at) => {
                        if let Some(step) = &mut step
                            && let Some(features) = step.event(&event, arrived_at)
                        {
                            send(features);
                        }
                    }
                    InferMessage::Source(spec, link) => {
                        if let (Listening::Windows { window, hop }, Some(encoder)) = (&listening, encoder.take()) {
                            let fitted = encoder.fits(&spec, *window).and_then(|()| Windows::new(&spec, *window, *hop));
                            match fitted {
                                Ok(windows) => step = Some(make(encoder, Listens::Windows(windows, *hop))),
                                Err(error) => {
                                    context.fail(Fault::Data, format!("encoder \"{name}\": {error}"));
                                    return;
                                }
                            }
                        }
                        blocks = Some(link);
                        context.status.ready(&part);
                    }
                    // These are for networks.
                    InferMessage::Predicted(..) => {}
                }
            }
            if let (Some(step), Some(link)) = (&mut step, &mut blocks) {
                while let Some(mut block) = link.receive() {
                    busy = true;
                    if block.after_loss() {
                        block.quality |= Quality::GAP | Quality::DROPPED_BEFORE;
                    }
                    step.block(&block, &mut send);
                }
            }
            if busy {
                if let Some(step) = &step {
                    metrics.counts(&step.counts());
                }
            } else if stopping {
                return;
            } else {
                inbox.wake.sleep(NAP);
            }
        }
    }
}

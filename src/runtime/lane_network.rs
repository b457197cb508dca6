//! The lane of one network: windows of a source's blocks, or of a predictor's frames, and one model, away from everything that must
//! not wait.

use std::sync::Arc;

use super::connectome::NetworkStep;
use super::lane_infer::{InferInbox, InferMessage, NAP};
use super::lane_learn::regions_of;
use super::lanes::{Fault, LaneContext};
use super::metrics::{EncoderMetrics, FrameMetrics};
use super::network_config::NetworkConfig;
use super::network_reader::NetworkReader;
use super::predicted::Predicted;
use crate::frame::{Block, BlockSpec, OutcomeFrame, Quality, RegionFrame, Regions};
use crate::publish::{Outcomes, Outgoing, Outlet, RowStamp};
use crate::ring::LinkReceiver;

/// What the lane of a network is made of.
pub struct NetworkLane {
    /// The network's name.
    pub name: String,
    /// How it is made.
    pub config: NetworkConfig,
    /// What answers for it.
    pub model: Option<NetworkReader>,
    /// What it is given.
    pub inbox: Arc<InferInbox>,
    /// Times and counts of the model.
    pub metrics: EncoderMetrics,
    /// Times and counts of its frames: networks, and outcomes.
    pub frames: [FrameMetrics; 2],
}

/// The window, and where its outcomes go besides being published.
struct Open {
    step: NetworkStep,
    outlet: Option<Box<dyn Outlet>>,
}

impl NetworkLane {
    /// Runs until told to stop and everything that was sent has been taken in.
    pub fn run(mut self, context: &LaneContext) {
        self.inbox.wake.attach();
        let part = format!("networks.{}", self.name);
        if self.config.predictor.is_some() {
            // A predictor may not speak for long.
            context.status.ready(&part);
        }
        let mut open: Option<Open> = None;
        let mut blocks: Option<LinkReceiver<Block>> = None;
        let mut predicted: Option<Predicted> = None;
        loop {
            let stopping = context.stopping();
            let mut busy = false;
            while let Some(message) = self.inbox.messages.pop() {
                busy = true;
                match message {
                    InferMessage::Source(spec, link) => {
                        open = self.open(&spec, regions_of(&spec), context);
                        blocks = Some(link);
                        context.status.ready(&part);
                    }
                    InferMessage::Predicted(frame, regions, rate) => {
                        let frames = predicted.get_or_insert_with(|| Predicted::new(regions, rate));
                        if open.is_none() {
                            open = self.open(frames.spec(), Arc::clone(frames.regions()), context);
                        }
                        self.predicted(&mut open, frames, frame, context);
                    }
                    InferMessage::Event(..) => continue,
                }
                if open.is_none() {
                    return;
                }
            }
            if let (Some(open), Some(link)) = (&mut open, &mut blocks) {
                while let Some(mut block) = link.receive() {
                    busy = true;
                    if block.after_loss() {
                        block.quality |= Quality::GAP | Quality::DROPPED_BEFORE;
                    }
                    self.block(open, &block, context);
                }
            }
            if let (true, Some(open)) = (busy, &open) {
                self.metrics.counts(&open.step.counts());
            }
            if !busy {
                if stopping {
                    return;
                }
                self.inbox.wake.sleep(NAP);
            }
        }
    }

    /// The window of regions that are known now; none, and everything ends, where they make no network or not the model's.
    fn open(&mut self, spec: &BlockSpec, regions: Arc<Regions>, context: &LaneContext) -> Option<Open> {
        let (config, session) = (&self.config, context.session.clone());
        match NetworkStep::new(&self.name, config, session, spec, regions, self.model.take(), config.deadline) {
            Ok(mut step) => {
                step.observe(self.metrics.duration());
                context.port.send(Outgoing::Regions(Arc::clone(step.regions())));
                let outcomes =
                    |(classes, model)| Outcomes { network: &self.name, classes, model, window_s: step.window_s() };
                let outlet = step.answers().and_then(|answers| context.outlets.open_outcomes(&outcomes(answers)));
                Some(Open { step, outlet })
            }
            Err(error) => {
                context.fail(Fault::Config, format!("network \"{}\": {error}", self.name));
                None
            }
        }
    }

    fn predicted(
        &self,
        open: &mut Option<Open>,
        frames: &mut Predicted,
        frame: Arc<RegionFrame>,
        context: &LaneContext,
    ) {
        if let (Some(open), Some(block)) = (open, frames.frame(frame)) {
            self.block(open, block, context);
        }
    }

    fn block(&self, open: &mut Open, block: &Block, context: &LaneContext) {
        let Open { step, outlet } = open;
        step.block(block, context.port.wants_edges(), |message| {
            let [networks, outcomes] = &self.frames;
            let (metrics, window) = match &message {
                Outgoing::Network(frame) => (networks, &frame.window),
                Outgoing::Outcome(frame) => (outcomes, &frame.window),
                _ => return,
            };
            metrics.made((window.t_published - window.t_arrived) / context.session.clock().speed());
            if let (Some(outlet), Outgoing::Outcome(frame)) = (outlet.as_mut(), &message) {
                push(outlet.as_mut(), frame);
            }
            context.port.send(message);
        });
    }
}

/// What there is of an answer; none before the first one.
fn push(outlet: &mut dyn Outlet, frame: &OutcomeFrame) {
    let OutcomeFrame { window, probabilities, value, .. } = frame;
    let stamp = RowStamp { t_target: window.t_target, t_measured: window.t_measured, quality: window.quality };
    match value {
        Some(value) => outlet.values(&[*value], stamp),
        None if probabilities.is_empty() => {}
        None => outlet.values(probabilities, stamp),
    }
}

//! The lane of one network: windows of a source's blocks and one model, away from everything that must not wait.

use std::sync::Arc;

use super::connectome::{NetworkConfig, NetworkStep};
use super::lane_infer::{InferInbox, InferMessage, NAP};
use super::lane_learn::regions_of;
use super::lanes::{Fault, LaneContext};
use super::metrics::{EncoderMetrics, FrameMetrics};
use crate::encoders::NetworkModel;
use crate::frame::{Block, Quality};
use crate::publish::Outgoing;
use crate::ring::LinkReceiver;

/// What the lane of a network is made of.
pub struct NetworkLane {
    /// The network's name.
    pub name: String,
    /// How it is made.
    pub config: NetworkConfig,
    /// What answers for it.
    pub model: Option<NetworkModel>,
    /// What it is given.
    pub inbox: Arc<InferInbox>,
    /// Times and counts of the model.
    pub metrics: EncoderMetrics,
    /// Times and counts of its frames: networks, and outcomes.
    pub frames: [FrameMetrics; 2],
}

impl NetworkLane {
    /// Runs until told to stop and everything that was sent has been taken in.
    pub fn run(mut self, context: &LaneContext) {
        self.inbox.wake.attach();
        let part = format!("networks.{}", self.name);
        let mut open: Option<(NetworkStep, LinkReceiver<Block>)> = None;
        loop {
            let stopping = context.stopping();
            let mut busy = false;
            while let Some(message) = self.inbox.messages.pop() {
                busy = true;
                let InferMessage::Source(spec, blocks) = message else { continue };
                let (config, regions) = (&self.config, regions_of(&spec));
                let session = context.session.clone();
                let made =
                    NetworkStep::new(&self.name, config, session, &spec, regions, self.model.take(), config.deadline);
                match made {
                    Ok(mut step) => {
                        step.observe(self.metrics.duration());
                        context.port.send(Outgoing::Regions(Arc::clone(step.regions())));
                        open = Some((step, blocks));
                        context.status.ready(&part);
                    }
                    Err(error) => {
                        context.fail(Fault::Config, format!("network \"{}\": {error}", self.name));
                        return;
                    }
                }
            }
            if let Some((step, link)) = &mut open {
                while let Some(mut block) = link.receive() {
                    busy = true;
                    if block.after_loss() {
                        block.quality |= Quality::GAP | Quality::DROPPED_BEFORE;
                    }
                    step.block(&block, |message| self.send(message, context));
                }
                if busy {
                    self.metrics.counts(&step.counts());
                }
            }
            if !busy {
                if stopping {
                    return;
                }
                self.inbox.wake.sleep(NAP);
            }
        }
    }

    fn send(&self, message: Outgoing, context: &LaneContext) {
        let [networks, outcomes] = &self.frames;
        let (metrics, window) = match &message {
            Outgoing::Network(frame) => (networks, &frame.window),
            Outgoing::Outcome(frame) => (outcomes, &frame.window),
            _ => return,
        };
        metrics.made((window.t_published - window.t_arrived) / context.session.clock().speed());
        context.port.send(message);
    }
}

//! The lane of one event source: markers in, encoders woken, runs begun.

use std::sync::Arc;
use std::time::Duration;

use super::lane_infer::{InferInbox, InferMessage};
use super::lanes::LaneContext;
use crate::acquisition::{EventSource, Pull, SourceError, SourceStats};
use crate::frame::Event;

/// Opens the event source; called on its lane, and again after a failure.
pub type OpenEvents = Box<dyn Fn(Arc<SourceStats>) -> Result<Box<dyn EventSource>, SourceError> + Send>;

/// What the lane of one event source is made of.
pub struct EventLane {
    /// The event source's name.
    pub name: String,
    /// Opens it.
    pub open: OpenEvents,
    /// What it counts.
    pub stats: Arc<SourceStats>,
    /// Whether it counts its events itself, as LSL inlets do.
    pub counts_itself: bool,
    /// The encoders that listen.
    pub encoders: Vec<Arc<InferInbox>>,
    /// An event of this label begins a new run.
    pub run_marker: Option<String>,
}

impl EventLane {
    /// Runs until the context says stop, or the recording ends.
    pub fn run(self, context: &LaneContext) {
        let mut events: Vec<Event> = Vec::new();
        let mut backoff = 0.25;
        while !context.stopping() {
            let mut source = match (self.open)(Arc::clone(&self.stats)) {
                Ok(source) => source,
                Err(error) => {
                    context.status.waiting(&self.name, error.to_string());
                    tracing::warn!(events = self.name, %error, retry_s = backoff, "could not be opened");
                    context.sleep(backoff);
                    backoff = f64::min(backoff * 2.0, 5.0);
                    continue;
                }
            };
            context.status.ready(&self.name);
            while !context.stopping() {
                events.clear();
                match source.pull(&mut events, Duration::from_millis(100)) {
                    Ok(Pull::Data) => self.deliver(&mut events, context),
                    Ok(Pull::Idle) => {}
                    Ok(Pull::Lost { seconds }) => {
                        tracing::warn!(events = self.name, seconds, "vanished; waiting for it to return");
                    }
                    Ok(Pull::End) => {
                        context.status.ended(&self.name);
                        return;
                    }
                    Err(error) => {
                        tracing::warn!(events = self.name, %error, "gave nothing");
                        context.sleep(0.5);
                    }
                }
            }
        }
    }

    fn deliver(&self, events: &mut Vec<Event>, context: &LaneContext) {
        let now = context.session.clock().now();
        for mut event in events.drain(..) {
            if !self.counts_itself {
                SourceStats::count(&self.stats.samples);
            }
            if self.run_marker.as_ref() == Some(&event.label) {
                let run = context.session.begin_run();
                tracing::info!(run, marker = event.label, "a new run begins");
            }
            event.run += context.session.run();
            for encoder in &self.encoders {
                if !encoder.post(InferMessage::Event(event.clone(), now)) {
                    tracing::error!(events = self.name, "an encoder fell behind; its oldest event is lost");
                }
            }
        }
    }
}

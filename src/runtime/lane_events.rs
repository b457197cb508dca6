//! The lane of one event source: markers in, encoders woken, runs begun.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::lane_infer::{InferInbox, InferMessage};
use super::lanes::LaneContext;
use super::metrics::SourceMetrics;
use crate::acquisition::{EventSource, Pull, SourceError, SourceStats};
use crate::frame::Event;

/// How long a pull may wait: what bounds a lane's reaction to shutdown.
const PULL: Duration = Duration::from_millis(100);

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
    /// What is counted.
    pub metrics: SourceMetrics,
}

impl EventLane {
    /// Runs until the context says stop, or the recording ends.
    pub fn run(self, context: &LaneContext) {
        let part = format!("events.{}", self.name);
        let mut events: Vec<Event> = Vec::new();
        let mut backoff = 0.25;
        while !context.stopping() {
            context.beat();
            match (self.open)(Arc::clone(&self.stats)) {
                Ok(mut source) => {
                    context.status.ready(&part);
                    self.listen(source.as_mut(), &part, &mut events, context);
                    self.stats.up.store(false, Ordering::Relaxed);
                    context.status.ended(&part);
                    return;
                }
                Err(error) => {
                    context.status.waiting(&part, error.to_string());
                    tracing::warn!(events = self.name, %error, retry_s = backoff, "could not be opened");
                    context.sleep(backoff);
                    backoff = f64::min(backoff * 2.0, 5.0);
                }
            }
        }
    }

    fn listen(&self, source: &mut dyn EventSource, part: &str, events: &mut Vec<Event>, context: &LaneContext) {
        let mut silent = false;
        while !context.stopping() {
            context.beat();
            events.clear();
            match source.pull(events, PULL) {
                Ok(Pull::Data) => self.deliver(events, context),
                Ok(Pull::Idle) => {}
                Ok(Pull::Lost { seconds }) => {
                    silent = true;
                    context.status.waiting(part, format!("vanished {seconds:.1} s ago"));
                    tracing::warn!(events = self.name, seconds, "vanished; waiting for it to return");
                    continue;
                }
                Ok(Pull::End) => return,
                Err(error) => {
                    silent = true;
                    context.status.waiting(part, error.to_string());
                    tracing::warn!(events = self.name, %error, "gave nothing");
                    context.sleep(0.5);
                    continue;
                }
            }
            // Markers are rare: that the stream is back shows before the next one.
            if silent && (self.stats.up.load(Ordering::Relaxed) || !events.is_empty()) {
                silent = false;
                context.status.ready(part);
            }
        }
    }

    fn deliver(&self, events: &mut [Event], context: &LaneContext) {
        let now = context.session.clock().now();
        for event in events.iter_mut() {
            if !self.counts_itself {
                SourceStats::count(&self.stats.samples);
            }
            if self.run_marker.as_ref() == Some(&event.label) {
                let run = context.session.begin_run(event.onset);
                tracing::info!(run, marker = event.label, "a new run begins");
            }
            event.run += context.session.run_at(event.onset);
            self.stats.set_newest(event.onset);
            for encoder in &self.encoders {
                if !encoder.post(InferMessage::Event(event.clone(), now)) {
                    self.metrics.dropped();
                    tracing::error!(events = self.name, "an encoder fell behind; its oldest event is lost");
                }
            }
        }
    }
}

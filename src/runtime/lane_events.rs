//! The lane of one event source: markers in, encoders woken, runs begun.

use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::lane_infer::{InferInbox, InferMessage};
use super::lanes::LaneContext;
use super::metrics::SourceMetrics;
use super::session::Session;
use crate::acquisition::timing::Triggers;
use crate::acquisition::{EventSource, Pull, SourceError, SourceStats};
use crate::encoders::RegionsInput;
use crate::frame::{Event, Instant};

/// How long a pull may wait: what bounds a lane's reaction to shutdown.
const PULL: Duration = Duration::from_millis(100);

/// Opens the event source; called on its lane, and again after a failure.
pub type OpenEvents = Box<dyn Fn(Arc<SourceStats>) -> Result<Box<dyn EventSource>, SourceError> + Send>;

/// What an encoder of events takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takes {
    /// A text.
    Words,
    /// A picture; one that is named lies in this folder.
    Images(PathBuf),
    /// A text with a picture or with the regions of one.
    Stimuli {
        /// Where what is named lies.
        folder: PathBuf,
        /// What is taken of regions; nothing where a picture is.
        regions: Option<RegionsInput>,
    },
    /// A label and other columns.
    Columns,
}

impl fmt::Display for Takes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Takes::Words => "text",
            Takes::Images(_) => "pictures",
            Takes::Stimuli { regions: None, .. } => "text with pictures",
            Takes::Stimuli { regions: Some(_), .. } => "text with regions of pictures",
            Takes::Columns => "label and columns",
        })
    }
}

/// An encoder that listens to events.
pub struct Listener {
    /// Its name.
    pub name: String,
    /// What it takes.
    pub takes: Takes,
    /// Where its events go.
    pub inbox: Arc<InferInbox>,
}

/// Where the events of one event source go, whoever brings them: its lane, or a command.
pub struct EventDoor {
    /// The encoders that listen.
    pub encoders: Vec<Listener>,
    /// An event of this label begins a new run.
    pub run_marker: Option<String>,
    /// What the source counts.
    pub stats: Arc<SourceStats>,
    /// What is lost on the way.
    pub metrics: SourceMetrics,
    /// Sources of volumes whose triggers come from here.
    pub triggers: Vec<Arc<Triggers>>,
}

impl EventDoor {
    /// Puts `event` into its run and hands it to every encoder; how many of them fell behind and lost their oldest.
    pub fn pass(&self, event: &mut Event, arrived_at: Instant, session: &Session) -> usize {
        session.place(event, self.run_marker.as_deref());
        self.stats.set_newest(event.onset);
        self.triggers.iter().for_each(|triggers| triggers.note(event));
        let lost = |to: &&Listener| !to.inbox.post(InferMessage::Event(event.clone(), arrived_at));
        self.encoders.iter().filter(lost).inspect(|_| self.metrics.dropped()).count()
    }
}

/// What the lane of one event source is made of.
pub struct EventLane {
    /// The event source's name.
    pub name: String,
    /// Opens it.
    pub open: OpenEvents,
    /// Whether it counts its events itself, as LSL inlets do.
    pub counts_itself: bool,
    /// Where its events go.
    pub door: Arc<EventDoor>,
}

impl EventLane {
    /// Runs until the context says stop, or the recording ends.
    pub fn run(self, context: &LaneContext) {
        let part = format!("events.{}", self.name);
        let stats = &self.door.stats;
        let Some(mut source) = context.retry(&part, || (self.open)(Arc::clone(stats))) else { return };
        context.status.ready(&part);
        self.listen(source.as_mut(), &part, context);
        stats.up.store(false, Ordering::Relaxed);
        context.status.ended(&part);
    }

    fn listen(&self, source: &mut dyn EventSource, part: &str, context: &LaneContext) {
        let (mut events, mut silent) = (Vec::new(), false);
        while !context.stopping() {
            context.beat();
            events.clear();
            match source.pull(&mut events, PULL) {
                Ok(Pull::Data) => self.deliver(&mut events, context),
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
            if silent && (self.door.stats.up.load(Ordering::Relaxed) || !events.is_empty()) {
                silent = false;
                context.status.ready(part);
            }
        }
    }

    fn deliver(&self, events: &mut [Event], context: &LaneContext) {
        let now = context.session.clock().now();
        for event in events {
            if !self.counts_itself {
                SourceStats::count(&self.door.stats.samples);
            }
            for _ in 0..self.door.pass(event, now, &context.session) {
                tracing::error!(events = self.name, "an encoder fell behind; its oldest event is lost");
            }
        }
    }
}

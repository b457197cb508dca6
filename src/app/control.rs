//! What can be asked of the running daemon: learn, freeze, a new run, a marker, a stimulus, a checkpoint.

mod shown;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use serde_json::{Value, json};

use crate::acquisition::SourceStats;
use crate::frame::Event;
use crate::runtime::lane_events::EventDoor;
use crate::runtime::lane_learn::{Inbox, LearnCommand};
use crate::runtime::lanes::Status;
use crate::runtime::session::Session;
use crate::service::{Command, Control, Health};
use shown::OnTheWay;

/// Reaches every lane that takes commands.
pub struct Controls {
    session: Session,
    learn: Arc<Inbox>,
    events: BTreeMap<String, Arc<EventDoor>>,
    on_the_way: Mutex<OnTheWay>,
}

impl Controls {
    /// Controls of these lanes; `events` are the event sources by name.
    pub fn new(session: Session, learn: Arc<Inbox>, events: BTreeMap<String, Arc<EventDoor>>) -> Self {
        Self { session, learn, events, on_the_way: Mutex::default() }
    }

    /// The learn lane's letter box.
    pub fn learn_lane(&self) -> &Inbox {
        &self.learn
    }

    fn ask(&self, command: LearnCommand, predictor: Option<String>) -> Result<Value, String> {
        self.learn.ask(command, predictor.as_deref()).map(|done| json!({ "predictors": done }))
    }

    /// The event source of this name, or the only one there is.
    fn door(&self, events: Option<&str>) -> Result<(&String, &Arc<EventDoor>), String> {
        let names = || self.events.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        match events {
            Some(name) => self.events.get_key_value(name),
            None if self.events.len() == 1 => self.events.first_key_value(),
            None => None,
        }
        .ok_or_else(|| format!("which event source? set \"events\" to one of: {}", names()))
    }

    /// Sends an event to the encoders of `events`, or of the only event source there is.
    fn marker(&self, events: Option<&str>, mut event: Event) -> Result<Value, String> {
        let (name, door) = self.door(events)?;
        let now = event.onset;
        SourceStats::count(&door.stats.samples);
        match door.pass(&mut event, now, &self.session) {
            0 => Ok(json!({ "events": name, "onset": now, "run": event.run, "encoders": door.encoders.len() })),
            _ => Err("an encoder fell behind; its oldest event is lost".into()),
        }
    }
}

/// What the service tells of the lanes.
pub struct LaneHealth {
    /// How ready they are.
    pub status: Arc<Status>,
    /// The names of the sources.
    pub sources: Vec<String>,
    /// The names of the predictors.
    pub predictors: Vec<String>,
}

impl Health for LaneHealth {
    fn not_ready(&self) -> Vec<(String, String)> {
        self.status.not_ready()
    }

    fn beats(&self) -> u64 {
        self.status.beats()
    }

    fn summary(&self) -> Value {
        let parts = self.status.parts();
        let state = |section: &str, name: &String| match parts.get(&format!("{section}.{name}")).map(String::as_str) {
            Some("") => json!({ "state": "ready" }),
            Some(why) => json!({ "state": why }),
            None => json!({ "state": "ended" }),
        };
        let of = |section: &str, names: &[String]| -> Value {
            names.iter().map(|name| (name.clone(), state(section, name))).collect::<serde_json::Map<_, _>>().into()
        };
        json!({ "sources": of("sources", &self.sources), "predictors": of("predictors", &self.predictors) })
    }
}

impl Control for Controls {
    fn command(&self, command: Command) -> Result<Value, String> {
        match command {
            Command::Learn { predictor } => self.ask(LearnCommand::Learn, predictor),
            Command::Freeze { predictor } => self.ask(LearnCommand::Freeze, predictor),
            Command::Checkpoint { predictor } => self.ask(LearnCommand::Checkpoint, predictor),
            Command::Stimulus(stimulus) => self.stimulus(stimulus),
            Command::Run => Ok(json!({ "run": self.session.begin_run(self.session.clock().now()) })),
            Command::Marker { events, text, label, duration } => {
                let duration = duration.unwrap_or(0.0);
                if !(duration >= 0.0 && duration.is_finite()) {
                    return Err("duration must be a number of seconds, 0 or more".into());
                }
                let event = Event {
                    onset: self.session.clock().now(),
                    duration,
                    label: label.or_else(|| text.clone()).unwrap_or_default(),
                    text,
                    ..Event::default()
                };
                self.marker(events.as_deref(), event)
            }
        }
    }
}

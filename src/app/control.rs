//! What can be asked of the running daemon: learn, freeze, a new run, a marker, a checkpoint.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use serde_json::{Value, json};

use crate::acquisition::SourceStats;
use crate::encoders::{REGIONS, STIM_FILE};
use crate::frame::{Event, Instant, Picture};
use crate::runtime::lane_events::{EventDoor, Listener, Takes};
use crate::runtime::lane_learn::{Inbox, LearnCommand};
use crate::runtime::lanes::Status;
use crate::runtime::session::Session;
use crate::service::{Command, Control, Health, Stimulus};

/// Reaches every lane that takes commands.
pub struct Controls {
    session: Session,
    learn: Arc<Inbox>,
    events: BTreeMap<String, Arc<EventDoor>>,
    /// Pictures on their way to encoders.
    pictures: Mutex<Vec<Weak<[u8]>>>,
}

/// How many bytes of pictures may be on their way at once.
const MOST_ON_THE_WAY: usize = 256 << 20;
/// How far from now a stimulus may begin, in seconds: what lies further back than lags reach, or is not to come soon, is a
/// mistake of clocks.
const FURTHEST: f64 = 600.0;

impl Controls {
    /// Controls of these lanes; `events` are the event sources by name.
    pub fn new(session: Session, learn: Arc<Inbox>, events: BTreeMap<String, Arc<EventDoor>>) -> Self {
        Self { session, learn, events, pictures: Mutex::default() }
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

    /// Sends what is shown to the encoders that take it.
    fn stimulus(&self, stimulus: Stimulus) -> Result<Value, String> {
        let Stimulus { events, onset, duration, label, text, image, picture, mut columns } = stimulus;
        let (name, door) = self.door(events.as_deref())?;
        let now = self.session.clock().now();
        let onset = onset.map_or(now, Instant::from_seconds);
        if (onset - now).abs() > FURTHEST {
            return Err(format!(
                "the session's clock says {:.3} s, an onset may lie 600 s from it at most",
                now.seconds()
            ));
        }
        let shows = image.is_some() || picture.is_some();
        if let Some(label) = &label {
            columns.entry("trial_type".into()).or_insert_with(|| label.clone());
        }
        let takes = |listener: &&Listener| match &listener.takes {
            Takes::Words => text.is_some(),
            Takes::Images(_) => shows,
            Takes::Stimuli(_) => text.is_some() || shows || columns.contains_key(REGIONS),
            Takes::Columns => !columns.is_empty(),
        };
        let took: Vec<&Listener> = door.encoders.iter().filter(takes).collect();
        let taken = |wanted: fn(&Takes) -> bool| took.iter().any(|listener| wanted(&listener.takes));
        let missing = match () {
            () if text.is_some() && !taken(|takes| matches!(takes, Takes::Words | Takes::Stimuli(_))) => Some("a text"),
            () if shows && !taken(|takes| matches!(takes, Takes::Images(_) | Takes::Stimuli(_))) => Some("a picture"),
            () if took.is_empty() => Some("a label or columns"),
            () => None,
        };
        if let Some(what) = missing {
            let known =
                door.encoders.iter().map(|l| format!("{} ({})", l.name, l.takes)).collect::<Vec<_>>().join(", ");
            let known = if known.is_empty() { "none".into() } else { known };
            return Err(format!("no encoder of event source \"{name}\" takes {what}; its encoders are: {known}"));
        }
        if let Some(image) = image {
            for listener in &took {
                if let Takes::Images(folder) | Takes::Stimuli(folder) = &listener.takes
                    && !folder.join(&image).is_file()
                {
                    return Err(format!("encoder \"{}\": there is no {image} in its stimuli folder", listener.name));
                }
            }
            columns.insert(STIM_FILE.into(), image);
        }
        if let Some(picture) = &picture {
            self.admit(picture)?;
        }
        let label = label.or_else(|| text.clone()).unwrap_or_default();
        let mut event = Event { onset, duration, label, text, picture, columns, ..Event::default() };
        SourceStats::count(&door.stats.samples);
        match door.pass(&mut event, now, &self.session) {
            0 => {
                let encoders: Vec<&str> = took.iter().map(|listener| listener.name.as_str()).collect();
                Ok(json!({ "events": name, "onset": event.onset, "run": event.run, "encoders": encoders }))
            }
            _ => Err("an encoder fell behind; its oldest event is lost".into()),
        }
    }

    /// Takes a picture in, unless too many wait for their encoders already.
    fn admit(&self, picture: &Picture) -> Result<(), String> {
        let mut pictures = self.pictures.lock().unwrap_or_else(PoisonError::into_inner);
        pictures.retain(|picture| picture.strong_count() > 0);
        let waiting: usize = pictures.iter().filter_map(Weak::upgrade).map(|picture| picture.len()).sum();
        if waiting + picture.0.len() > MOST_ON_THE_WAY {
            return Err(format!("{waiting} bytes of pictures wait for their encoders already; send it later"));
        }
        pictures.push(Arc::downgrade(&picture.0));
        Ok(())
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

//! How fast does a recording play? At its own pace, N times as fast, or as fast as it can be read.

use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::de::{Unexpected, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::source::Recorded;
use crate::acquisition::{EventSource, Pull, Source, SourceError};
use crate::frame::{Block, BlockSpec, Clock, Event, Instant};

/// How fast a recording plays: `"max"`, or a factor of real time.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub enum Speed {
    /// As fast as it can be read, on virtual time: lossless and deterministic.
    #[default]
    Max,
    /// So many times as fast as it was recorded; positive and finite.
    Times(f64),
}

impl Serialize for Speed {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Speed::Max => serializer.serialize_str("max"),
            Speed::Times(factor) => serializer.serialize_f64(*factor),
        }
    }
}

impl<'de> Deserialize<'de> for Speed {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(SpeedVisitor)
    }
}

struct SpeedVisitor;

impl Visitor<'_> for SpeedVisitor {
    type Value = Speed;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("\"max\" or a positive number (1 is real time)")
    }
    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Speed, E> {
        if value > 0.0 && value.is_finite() {
            Ok(Speed::Times(value))
        } else {
            Err(E::invalid_value(Unexpected::Float(value), &self))
        }
    }
    fn visit_i64<E: serde::de::Error>(self, value: i64) -> Result<Speed, E> {
        self.visit_f64(value as f64)
    }
    fn visit_u64<E: serde::de::Error>(self, value: u64) -> Result<Speed, E> {
        self.visit_f64(value as f64)
    }
    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Speed, E> {
        match value.parse::<f64>() {
            _ if value == "max" => Ok(Speed::Max),
            // An environment override arrives as text.
            Ok(factor) => self.visit_f64(factor),
            Err(_) => Err(E::invalid_value(Unexpected::Str(value), &self)),
        }
    }
}

/// Holds a recording back until its time has come on `clock`, so that it behaves as the live device did.
///
/// What it gives has `arrived_at` set to the moment it was handed over. A pull waits at most its timeout, measured in
/// real time; on a clock that stands still ([`VirtualClock`](crate::frame::VirtualClock)) it does not wait at all.
pub struct Paced<S> {
    source: S,
    clock: Arc<dyn Clock>,
}

impl<S: Recorded> Paced<S> {
    /// `source` played on `clock`. The recording's origin should be where the clock will be when play begins.
    pub fn new(source: S, clock: Arc<dyn Clock>) -> Self {
        Self { source, clock }
    }

    /// Whether the next piece is due, after waiting for it for at most `timeout`. True at the end as well.
    fn due(&self, timeout: Duration) -> bool {
        let Some(at) = self.source.peek() else { return true };
        let ahead = (at - self.clock.now()) / self.clock.speed();
        if ahead > 0.0 {
            std::thread::sleep(Duration::try_from_secs_f64(ahead).unwrap_or(timeout).min(timeout));
        }
        self.clock.now() >= at
    }
}

impl<S: Recorded> Recorded for Paced<S> {
    fn peek(&self) -> Option<Instant> {
        self.source.peek()
    }
}

impl<S: Source + Recorded> Source for Paced<S> {
    fn spec(&self) -> &BlockSpec {
        self.source.spec()
    }

    fn pull(&mut self, into: &mut Block, timeout: Duration) -> Result<Pull, SourceError> {
        if !self.due(timeout) {
            into.clear();
            return Ok(Pull::Idle);
        }
        let pull = self.source.pull(into, Duration::ZERO)?;
        if pull == Pull::Data {
            into.arrived_at = self.clock.now();
        }
        Ok(pull)
    }
}

impl<S: EventSource + Recorded> EventSource for Paced<S> {
    fn pull(&mut self, into: &mut Vec<Event>, timeout: Duration) -> Result<Pull, SourceError> {
        if self.due(timeout) { self.source.pull(into, Duration::ZERO) } else { Ok(Pull::Idle) }
    }
}

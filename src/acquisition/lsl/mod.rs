//! How do samples and markers come in from the Lab Streaming Layer? Inlets that notice what happens to their stream.
//!
//! liblsl can recover a lost stream by itself, but silently: whoever comes back under the same source id is taken, with
//! whatever shape. Here inlets do not recover. A search of our own looks on all the time, and says of every stream that
//! matches whether it is ours, a second one (refused), a look-alike beside ours (counted, never followed), or ours come
//! back, in the same shape (followed, after a gap) or another (refused).
//!
//! Stamps are on `CLOCK_MONOTONIC`, as liblsl's are: [`MonotonicClock`](crate::frame::MonotonicClock). Non-finite values
//! pass through; the signal stages mask them.
//!
//! **Invariants.** liblsl is loaded ([`crate::native::load_lsl`]) before any of it is called. An inlet lives and dies on
//! one thread. Only a stream of the shape of the first one is ever delivered.
//!
//! ```no_run
//! use std::sync::Arc;
//! use std::time::Duration;
//! use neurod::acquisition::lsl::{LslConfig, LslSource};
//! use neurod::acquisition::{Pull, Source, SourceStats};
//! use neurod::frame::Block;
//!
//! let config: LslConfig = toml::from_str(r#"type = "EEG""#)?;
//! let mut source = LslSource::open(&config, Arc::new(SourceStats::default()))?;
//! let mut block = Block::new(source.spec());
//! if source.pull(&mut block, Duration::from_millis(100))? == Pull::Data {
//!     println!("{} samples, measured at {:?}", block.len(), block.measured_at);
//! }
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::SourceError;
use crate::native;

mod follow;
mod markers;
mod metadata;
mod offset;
mod search;
mod source;
mod timeline;

pub use markers::{LslMarkers, LslMarkersConfig};
pub use offset::Offset;
pub use source::LslSource;

/// Which stream of samples to read, and how: `input.lsl` of a source. At least one of `name`, `type`, `source_id` says
/// which; all that are given must match.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LslConfig {
    /// The stream's name.
    pub name: Option<String>,
    /// The stream's content type, such as `EEG`.
    pub r#type: Option<String>,
    /// The device's own id: picks one of several streams that are otherwise alike.
    pub source_id: Option<String>,
    /// The machines it may come from; empty, the default, for any.
    pub hosts: Vec<String>,
    /// How many channels it must have; by default as many as it has.
    pub channels: Option<usize>,
    /// Its nominal rate in Hz; by default what it says.
    pub rate: Option<f64>,
    /// The most samples a block holds; 32 by default.
    pub block: usize,
    /// How many seconds one look for it takes at most; 10 by default. The daemon looks again for as long as it runs, at
    /// most a second at a time.
    pub wait: f64,
    /// After how many seconds of silence a stream with a rate is lost; by default 0.25 or three periods, whichever is
    /// longer. Set it higher for a device that sends larger chunks than that.
    pub silence: Option<f64>,
    /// Whose clock the stamps are on.
    pub clock: StampClock,
}

impl Default for LslConfig {
    fn default() -> Self {
        Self {
            name: None,
            r#type: None,
            source_id: None,
            hosts: Vec::new(),
            channels: None,
            rate: None,
            block: 32,
            wait: 10.0,
            silence: None,
            clock: StampClock::Corrected,
        }
    }
}

/// Whose clock a stream's stamps are on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StampClock {
    /// Ours: the measured offset between the machines is added. The default.
    #[default]
    Corrected,
    /// The sender's, as sent: for a sender that stamps with this machine's clock already.
    Device,
}

impl LslConfig {
    /// Checks what can be checked without a network.
    ///
    /// # Errors
    /// [`SourceError::Stream`] naming the key to set.
    pub fn validate(&self) -> Result<(), SourceError> {
        let selection = self.selection();
        let wrong = |problem: &str| Err(selection.error(problem));
        selection.predicate()?;
        if self.block == 0 {
            return wrong("block must be at least 1");
        }
        if self.channels == Some(0) {
            return wrong("channels must be at least 1");
        }
        if self.rate.is_some_and(|rate| !rate.is_finite() || rate < 0.0) {
            return wrong("rate must be 0 (irregular) or positive");
        }
        if !self.wait.is_finite() || self.wait < 0.0 {
            return wrong("wait must be a number of seconds, 0 or more");
        }
        if self.silence.is_some_and(|s| !s.is_finite() || s <= 0.0) {
            return wrong("silence must be a positive number of seconds");
        }
        Ok(())
    }

    fn selection(&self) -> Selection {
        Selection {
            name: self.name.clone(),
            r#type: self.r#type.clone(),
            source_id: self.source_id.clone(),
            hosts: self.hosts.clone(),
        }
    }
}

/// Which stream is meant.
#[derive(Clone, Debug, Default)]
struct Selection {
    name: Option<String>,
    r#type: Option<String>,
    source_id: Option<String>,
    hosts: Vec<String>,
}

impl Selection {
    fn properties(&self) -> impl Iterator<Item = (&'static str, &str)> {
        let all = [("name", &self.name), ("type", &self.r#type), ("source_id", &self.source_id)];
        all.into_iter().filter_map(|(key, value)| Some((key, value.as_deref()?)))
    }

    /// What a person would call it: its name, else its type, else its id.
    fn label(&self) -> &str {
        self.properties().next().map_or("any", |(_, value)| value)
    }

    /// As an XPath predicate over stream infos.
    fn predicate(&self) -> Result<String, SourceError> {
        let mut terms = Vec::new();
        for (key, value) in self.properties() {
            let quote = match (value.contains('\''), value.contains('"')) {
                (false, _) => '\'',
                (true, false) => '"',
                (true, true) => return Err(self.error(format!("{key} has both kinds of quotes; use the other keys"))),
            };
            if value.contains('\0') {
                return Err(self.error(format!("{key} contains a NUL byte")));
            }
            terms.push(format!("{key}={quote}{value}{quote}"));
        }
        if terms.is_empty() {
            return Err(self.error("say which stream: set name, type or source_id"));
        }
        Ok(terms.join(" and "))
    }

    fn error(&self, problem: impl Into<String>) -> SourceError {
        SourceError::Stream { stream: self.label().to_owned(), problem: problem.into() }
    }
}

/// A stream in sight.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct StreamSummary {
    /// Its name.
    pub name: String,
    /// Its content type.
    pub r#type: String,
    /// Values a sample.
    pub channels: usize,
    /// Nominal rate in Hz; 0 for an irregular stream.
    pub rate: f64,
    /// `float32`, `double64`, `string`, `int32`, `int16`, `int8` or `int64`.
    pub format: &'static str,
    /// The device's own id; may be empty.
    pub source_id: String,
    /// The machine it comes from.
    pub host: String,
    /// This outlet's id: new with every start.
    pub uid: String,
}

impl StreamSummary {
    fn of(info: &lsl::StreamInfo) -> Self {
        Self {
            name: info.stream_name(),
            r#type: info.stream_type(),
            channels: usize::try_from(info.channel_count()).unwrap_or(0),
            rate: info.nominal_srate(),
            format: match info.channel_format() {
                lsl::ChannelFormat::Float32 => "float32",
                lsl::ChannelFormat::Double64 => "double64",
                lsl::ChannelFormat::String => "string",
                lsl::ChannelFormat::Int32 => "int32",
                lsl::ChannelFormat::Int16 => "int16",
                lsl::ChannelFormat::Int8 => "int8",
                lsl::ChannelFormat::Int64 => "int64",
                lsl::ChannelFormat::Undefined => "undefined",
            },
            source_id: info.source_id(),
            host: info.hostname(),
            uid: info.uid(),
        }
    }
}

/// Every stream that answers within `timeout` (a second finds all in an ordinary lab, less than 0.6 s only some), by name, then host, then uid.
///
/// # Errors
/// [`SourceError::Library`] without liblsl; [`SourceError::Stream`] when the network cannot be asked.
pub fn resolve_all(timeout: Duration) -> Result<Vec<StreamSummary>, SourceError> {
    load()?;
    let found = lsl::resolve_streams(timeout.as_secs_f64()).map_err(|error| SourceError::Stream {
        stream: "any".to_owned(),
        problem: format!("cannot look for streams: {error}; see `neurod doctor`"),
    })?;
    let mut streams: Vec<StreamSummary> = found.iter().map(StreamSummary::of).collect();
    streams.sort_by(|a, b| (&a.name, &a.host, &a.uid).cmp(&(&b.name, &b.host, &b.uid)));
    streams.dedup_by(|a, b| a.uid == b.uid);
    Ok(streams)
}

/// Loads liblsl from the usual places unless it is loaded.
fn load() -> Result<(), SourceError> {
    native::load_lsl(None).map(drop).map_err(|error| SourceError::Library(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_selection_becomes_a_predicate_or_says_what_to_set() {
        let config: LslConfig = toml::from_str("name = \"Bob's\"\ntype = \"EEG\"").unwrap();
        assert_eq!(config.selection().predicate().unwrap(), "name=\"Bob's\" and type='EEG'");
        assert!(config.validate().is_ok());
        let nothing = LslConfig::default().validate().unwrap_err().to_string();
        assert_eq!(nothing, "stream \"any\": say which stream: set name, type or source_id");
        let empty = LslConfig { block: 0, ..config.clone() }.validate().unwrap_err().to_string();
        assert_eq!(empty, "stream \"Bob's\": block must be at least 1");
        assert!(toml::from_str::<LslConfig>("nmae = \"x\"").is_err());
        assert_eq!(toml::from_str::<LslConfig>("clock = \"device\"").unwrap().clock, StampClock::Device);
    }
}

//! How do LSL clients hear about it? Outlets: values, skill and quality as three streams, with the names of the regions.
//!
//! For a predictor `regions` of kind `encoded` the streams are `neurod.regions.encoded` (type `RegionValues`), with
//! `.skill` (`RegionSkill`) and `.quality` (`RegionQuality`) appended for the other two. Channel labels are region
//! names. Whoever understands one stream needs no other.
//!
//! What a model says of a network `heat` is `neurod.heat.outcome` (type `Outcome`), irregular, one channel a class.
//!
//! [`LslReplayOutlet`] and [`LslMarkerOutlet`] send a recording out as if its devices were here.
//!
//! **Invariants.** liblsl is loaded before an outlet is made. An outlet lives on one thread: the lane that makes the
//! frames pushes them. Pushing allocates nothing in Rust (liblsl takes a sample from its own pool). Source ids stay the
//! same over restarts, so that clients recover.
//!
//! ```no_run
//! use neurod::frame::{FrameKind, Quality, Regions, Unit};
//! use neurod::publish::lsl::{LslOutletConfig, LslOutlets, OutletSpec};
//!
//! let regions = Regions::new(vec!["insula".into(), "V1".into()], Unit::ZScore);
//! let spec = OutletSpec { predictor: "pain", kind: FrameKind::Encoded, regions: &regions, rate: 0.5, session: "s1", model: "minilm" };
//! let mut outlets = LslOutlets::open(&LslOutletConfig::default(), &spec)?;
//! outlets.push_values(&[0.3, -1.2], 1234.5)?;
//! outlets.push_quality(Quality::GAP, 0.012, 1234.5)?;
//! # Ok::<(), neurod::publish::lsl::OutletError>(())
//! ```

mod outcomes;

use lsl::{ChannelFormat, ExPushable, StreamInfo, StreamOutlet};
use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::frame::{Block, BlockSpec, Event, FrameKind, Quality, Regions, Unit};
use crate::native;

/// How much liblsl keeps for a slow client: seconds, or hundreds of samples for an irregular stream.
const BUFFER: i32 = 60;

/// The most values of an outlet: a label for each goes to everybody who looks at the stream. What has more is sent in binary
/// over the WebSocket.
pub const MOST_CHANNELS: usize = 4096;

/// `sinks.lsl`: which outlets to open.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LslOutletConfig {
    /// What stream names begin with; `neurod` by default.
    pub prefix: String,
    /// Of which kinds of frame; all but `residual` by default. liblsl answers for about 17 streams a machine (an outlet
    /// takes two of the ports 16572–16603), so those that nobody reads are in the way of others.
    pub kinds: Vec<FrameKind>,
    /// Whether to send skill; true by default.
    pub skill: bool,
    /// Whether to send quality; true by default.
    pub quality: bool,
    /// Whether to send what models say of networks; true by default.
    pub outcomes: bool,
}

impl Default for LslOutletConfig {
    fn default() -> Self {
        let kinds = vec![FrameKind::Measured, FrameKind::Encoded, FrameKind::Decoded];
        Self { prefix: "neurod".to_owned(), kinds, skill: true, quality: true, outcomes: true }
    }
}

/// What the outlets of one kind of frame are about.
#[derive(Clone, Copy, Debug)]
pub struct OutletSpec<'a> {
    /// The predictor, or for `measured` frames the source.
    pub predictor: &'a str,
    /// What the values are.
    pub kind: FrameKind,
    /// Whose values.
    pub regions: &'a Regions,
    /// Frames a second; 0 when they come as they come.
    pub rate: f64,
    /// The session's id.
    pub session: &'a str,
    /// The model's id; empty for `measured`.
    pub model: &'a str,
}

/// Why something cannot be sent.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum OutletError {
    /// liblsl is missing.
    #[error("{0}")]
    Library(#[from] native::NativeError),
    /// liblsl refuses to open a stream.
    #[error("LSL outlet \"{stream}\": cannot be opened: {error}; see `neurod doctor`")]
    Open {
        /// The stream's name.
        stream: String,
        /// What liblsl said.
        error: lsl::Error,
    },
    /// A frame has another number of values than the stream.
    #[error("an LSL outlet of {expected} channels was given {got} values")]
    Width {
        /// The stream's.
        expected: usize,
        /// The frame's.
        got: usize,
    },
    /// liblsl refuses a sample.
    #[error("liblsl refused a sample: {0}")]
    Push(lsl::Error),
}

/// A stream and the sample on its way into it.
struct Outlet<T> {
    outlet: StreamOutlet,
    sample: Vec<T>,
}

impl<T: Copy + Default> Outlet<T>
where
    StreamOutlet: ExPushable<Vec<T>>,
{
    fn push(&mut self, values: &[T], timestamp: f64, flush: bool) -> Result<(), OutletError> {
        if values.len() != self.sample.len() {
            return Err(OutletError::Width { expected: self.sample.len(), got: values.len() });
        }
        self.sample.copy_from_slice(values);
        self.outlet.push_sample_ex(&self.sample, timestamp, flush).map_err(OutletError::Push)
    }
}

/// What is told of a stream.
struct Description<'a> {
    name: String,
    r#type: &'a str,
    rate: f64,
    format: ChannelFormat,
    source_id: String,
    /// Label, kind and unit of each channel.
    channels: Vec<(&'a str, &'a str, &'a str)>,
    /// Elements right under `desc`.
    facts: Vec<(&'a str, &'a str)>,
}

fn open<T: Copy + Default>(about: &Description) -> Result<Outlet<T>, OutletError> {
    native::load_lsl(None)?;
    let made = || -> Result<StreamOutlet, lsl::Error> {
        let count = u32::try_from(about.channels.len()).map_err(|_| lsl::Error::BadArgument)?;
        let clean = |text: &str| text.replace('\0', "");
        let (name, id) = (clean(&about.name), clean(&about.source_id));
        let mut info = StreamInfo::new(&name, &clean(about.r#type), count, about.rate, about.format, &id)?;
        let mut desc = info.desc();
        desc.append_child_value("manufacturer", "neurod");
        for (key, value) in &about.facts {
            desc.append_child_value(key, &clean(value));
        }
        let mut list = desc.append_child("channels");
        for (label, kind, unit) in &about.channels {
            let mut channel = list.append_child("channel");
            channel.append_child_value("label", &clean(label));
            channel.append_child_value("unit", unit);
            channel.append_child_value("type", &clean(kind));
        }
        StreamOutlet::new(&info, 0, BUFFER)
    };
    let outlet = made().map_err(|error| OutletError::Open { stream: about.name.clone(), error })?;
    Ok(Outlet { outlet, sample: vec![T::default(); about.channels.len()] })
}

/// The three streams of one predictor and kind.
pub struct LslOutlets {
    values: Outlet<f32>,
    skill: Option<Outlet<f32>>,
    quality: Option<Outlet<i32>>,
}

impl LslOutlets {
    /// Opens the streams; they are in sight from then on.
    ///
    /// # Errors
    /// [`OutletError::Library`] without liblsl, [`OutletError::Open`] when liblsl refuses.
    pub fn open(config: &LslOutletConfig, spec: &OutletSpec) -> Result<Self, OutletError> {
        let kind = spec.kind.as_str();
        let name = format!("{}.{}.{kind}", config.prefix, spec.predictor);
        let id = format!("{}:{}:{}:{kind}", config.prefix, host(), spec.predictor);
        let facts = vec![
            ("predictor", spec.predictor),
            ("kind", kind),
            ("session", spec.session),
            ("model", spec.model),
            ("regions_id", &*spec.regions.regions_id),
            ("atlas", spec.regions.atlas.as_deref().unwrap_or_default()),
        ];
        let regions = |unit| spec.regions.names.iter().map(|n| (n.as_str(), "REGION", unit)).collect();
        let values = Description {
            name: name.clone(),
            r#type: "RegionValues",
            rate: spec.rate,
            format: ChannelFormat::Float32,
            source_id: format!("{id}:values"),
            channels: regions(spec.regions.unit.as_str()),
            facts: facts.clone(),
        };
        let skill = Description {
            name: format!("{name}.skill"),
            r#type: "RegionSkill",
            rate: 0.0,
            source_id: format!("{id}:skill"),
            channels: regions("r"),
            facts,
            format: ChannelFormat::Float32,
        };
        Ok(Self {
            // What was measured is no prediction, and has no skill; nor has a contrast.
            skill: (config.skill && !matches!(spec.kind, FrameKind::Measured | FrameKind::Contrast))
                .then(|| open(&skill))
                .transpose()?,
            quality: config.quality.then(|| open_quality(&values, "RegionQuality")).transpose()?,
            values: open(&values)?,
        })
    }

    /// Sends one frame's values, stamped `timestamp` (seconds of `CLOCK_MONOTONIC`, as LSL's are).
    ///
    /// # Errors
    /// [`OutletError::Width`] unless there is one value a region.
    pub fn push_values(&mut self, values: &[f32], timestamp: f64) -> Result<(), OutletError> {
        self.values.push(values, timestamp, true)
    }

    /// Sends the regions' skill.
    ///
    /// # Errors
    /// As [`push_values`](Self::push_values).
    pub fn push_skill(&mut self, skill: &[f32], timestamp: f64) -> Result<(), OutletError> {
        self.skill.as_mut().map_or(Ok(()), |outlet| outlet.push(skill, timestamp, true))
    }

    /// Sends what was wrong with a frame, as the bits of its flags, and the age of its newest sample in seconds (sent as
    /// whole microseconds, at most `i32::MAX`).
    ///
    /// # Errors
    /// [`OutletError::Push`].
    pub fn push_quality(&mut self, quality: Quality, age: f64, timestamp: f64) -> Result<(), OutletError> {
        let age = (age * 1e6).round() as i32;
        let sample = [i32::from(quality.bits()), age];
        self.quality.as_mut().map_or(Ok(()), |outlet| outlet.push(&sample, timestamp, true))
    }

    /// Whether anyone receives the values.
    pub fn has_consumers(&self) -> bool {
        self.values.outlet.have_consumers()
    }
}

/// What is wrong with the samples of a stream: its flags and ages, as a stream beside it.
fn open_quality(of: &Description<'_>, r#type: &str) -> Result<Outlet<i32>, OutletError> {
    let (flags, id) = (flag_names(), of.source_id.trim_end_matches(":values"));
    open(&Description {
        name: format!("{}.quality", of.name),
        r#type,
        rate: of.rate,
        format: ChannelFormat::Int32,
        source_id: format!("{id}:quality"),
        channels: vec![("quality", "FLAGS", "bits"), ("age", "MISC", "microseconds")],
        facts: of.facts.iter().copied().chain([("flags", flags.as_str())]).collect(),
    })
}

/// A recording's samples as a live stream of `double64` values.
pub struct LslReplayOutlet {
    outlet: Outlet<f64>,
    period: f64,
}

impl LslReplayOutlet {
    /// Opens a stream with the channels, units and rate of `spec`.
    ///
    /// # Errors
    /// As [`LslOutlets::open`].
    pub fn open(name: &str, stream_type: &str, spec: &BlockSpec, source_id: &str) -> Result<Self, OutletError> {
        let channels = spec.channels.iter().map(|c| (c.name.as_str(), c.kind.as_str(), lsl_unit(c.unit))).collect();
        let outlet = open(&Description {
            name: name.to_owned(),
            r#type: stream_type,
            rate: spec.rate,
            format: ChannelFormat::Double64,
            source_id: source_id.to_owned(),
            channels,
            facts: vec![("replay", "true")],
        })?;
        Ok(Self { outlet, period: spec.period() })
    }

    /// Sends a block's samples: the newest stamped `newest`, the others one period apart before it.
    ///
    /// # Errors
    /// [`OutletError::Width`] for a block of another width.
    pub fn push(&mut self, block: &Block, newest: f64) -> Result<(), OutletError> {
        for (i, sample) in block.samples().enumerate() {
            let behind = block.len() - 1 - i;
            self.outlet.push(sample, newest - behind as f64 * self.period, behind == 0)?;
        }
        Ok(())
    }

    /// Waits until someone receives, at most `seconds`; false when nobody does.
    pub fn wait_for_consumers(&self, seconds: f64) -> bool {
        self.outlet.outlet.wait_for_consumers(seconds)
    }

    /// Whether anyone receives.
    pub fn has_consumers(&self) -> bool {
        self.outlet.outlet.have_consumers()
    }
}

/// A recording's events, or a simulated scanner's triggers, as a live stream of markers: each a JSON object with
/// `trial_type`, `duration` and `text`.
pub struct LslMarkerOutlet {
    outlet: StreamOutlet,
}

/// One event on the wire.
#[derive(Serialize)]
struct Marker<'a> {
    trial_type: &'a str,
    duration: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    text: Option<&'a str>,
}

impl LslMarkerOutlet {
    /// Opens a stream of type `Markers`.
    ///
    /// # Errors
    /// As [`LslOutlets::open`].
    pub fn open(name: &str, source_id: &str) -> Result<Self, OutletError> {
        let Outlet { outlet, .. } = open::<f64>(&Description {
            name: name.to_owned(),
            r#type: "Markers",
            rate: 0.0,
            format: ChannelFormat::String,
            source_id: source_id.to_owned(),
            channels: vec![("event", "Markers", "json")],
            facts: vec![("replay", "true")],
        })?;
        Ok(Self { outlet })
    }

    /// Waits until someone receives, at most `seconds`; false when nobody does.
    pub fn wait_for_consumers(&self, seconds: f64) -> bool {
        self.outlet.wait_for_consumers(seconds)
    }

    /// Sends one event, stamped with its onset on LSL's clock.
    ///
    /// # Errors
    /// [`OutletError::Push`].
    pub fn push(&mut self, event: &Event, onset: f64) -> Result<(), OutletError> {
        let marker = Marker { trial_type: &event.label, duration: event.duration, text: event.text.as_deref() };
        let json = serde_json::to_string(&marker).map_err(|_| OutletError::Push(lsl::Error::BadArgument))?;
        self.outlet.push_sample_ex(&vec![json], onset, true).map_err(OutletError::Push)
    }
}

/// The unit as LSL's metadata convention writes it.
fn lsl_unit(unit: Unit) -> &'static str {
    match unit {
        Unit::Microvolt => "microvolts",
        other => other.as_str(),
    }
}

/// Which bit means what: `0=GAP 1=CLIPPED …`.
fn flag_names() -> String {
    let names =
        ["GAP", "CLIPPED", "FLAT", "NON_FINITE", "LATE", "CLOCK_JUMP", "STALE_MODEL", "DROPPED_BEFORE", "MOTION"];
    let flags = names.into_iter().chain(["WARMING_UP"]).filter_map(|n| Some((Quality::from_name(n)?.bits(), n)));
    flags.map(|(bits, name)| format!("{}={name}", bits.trailing_zeros())).collect::<Vec<_>>().join(" ")
}

/// This machine's name: part of the source ids, so that two machines' streams can be told apart.
fn host() -> String {
    std::fs::read_to_string("/proc/sys/kernel/hostname")
        .map_or_else(|_| "localhost".to_owned(), |h| h.trim().to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_thing_and_the_fix() {
        let error = OutletError::Open { stream: "neurod.x".into(), error: lsl::Error::ResourceCreation };
        assert!(error.to_string().starts_with("LSL outlet \"neurod.x\": cannot be opened"), "{error}");
        assert!(error.to_string().ends_with("see `neurod doctor`"), "{error}");
        let width = OutletError::Width { expected: 4, got: 3 }.to_string();
        assert_eq!(width, "an LSL outlet of 4 channels was given 3 values");
        assert!(toml::from_str::<LslOutletConfig>("skil = true").is_err());
    }
}

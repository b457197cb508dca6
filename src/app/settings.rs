//! What a configuration file says, section by section. Each section belongs to the module it configures.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::acquisition::afni::AfniConfig;
use crate::acquisition::file::ReplayConfig;
use crate::acquisition::folder::FolderConfig;
use crate::acquisition::lsl::{LslConfig, LslMarkersConfig};
use crate::acquisition::receiver::ReceiverConfig;
use crate::acquisition::synthetic::SyntheticConfig;
use crate::encoders::EncoderConfig;
use crate::fmri::FmriConfig;
use crate::publish::lsl::LslOutletConfig;
use crate::runtime::{IdentificationConfig, NetworkConfig, PredictorConfig};
use crate::service::ServiceConfig;
use crate::signal::SignalConfig;

/// A whole configuration. Every name is free; every other key is known.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Settings {
    /// Where native libraries are, if not where they are looked for.
    pub libraries: Libraries,
    /// State, runs, scheduling.
    pub session: SessionConfig,
    /// Where samples and volumes come from, by name.
    pub sources: BTreeMap<String, SourceConfig>,
    /// Where events come from, by name.
    pub events: BTreeMap<String, EventsConfig>,
    /// What turns events and windows into features, by name.
    pub encoders: BTreeMap<String, EncoderConfig>,
    /// What predicts regions, by name.
    pub predictors: BTreeMap<String, PredictorConfig>,
    /// Which stimulus was it? Candidates that are ranked by the volumes after every event, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub identification: BTreeMap<String, IdentificationConfig>,
    /// How regions are connected, over a sliding window, by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub networks: BTreeMap<String, NetworkConfig>,
    /// Who hears about it, beside the WebSocket that the service always has.
    pub sinks: SinksConfig,
    /// The HTTP service.
    pub service: ServiceConfig,
}

/// `[libraries]`: paths of native libraries.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Libraries {
    /// liblsl.
    pub lsl: Option<PathBuf>,
    /// libonnxruntime.
    pub onnxruntime: Option<PathBuf>,
}

/// `[session]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SessionConfig {
    /// Its id in every frame; by default made from the time, and in replay from the inputs.
    pub id: Option<String>,
    /// Where checkpoints are kept; without it none are. A service under systemd takes `STATE_DIRECTORY`.
    pub state_dir: Option<PathBuf>,
    /// Seconds between two checkpoints; 60 by default.
    pub checkpoint_every: f64,
    /// A gap in a source longer than this many seconds begins a new run; 30 by default.
    pub run_gap: f64,
    /// The SCHED_FIFO priority that source lanes ask for, 1–99; 0 asks for none. 50 by default.
    pub realtime_priority: i32,
    /// How long shutdown may take, in seconds; 5 by default.
    pub grace: f64,
}

impl Default for SessionConfig {
    fn default() -> Self {
        Self { id: None, state_dir: None, checkpoint_every: 60.0, run_gap: 30.0, realtime_priority: 50, grace: 5.0 }
    }
}

/// `[sources.NAME]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SourceConfig {
    /// The device or recording.
    pub input: InputConfig,
    /// The EEG chain, step by step.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub signal: Vec<SignalConfig>,
    /// The fMRI chain, step by step, after the EEG chain.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub fmri: Vec<FmriConfig>,
    /// The processor that its lane is tied to, from 0; by default none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub processor: Option<usize>,
}

/// What is read.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum InputConfig {
    /// A live LSL stream.
    Lsl(LslConfig),
    /// A folder that a scanner exports volumes to.
    Folder(FolderConfig),
    /// A DICOM node that a scanner sends images to, by C-STORE.
    Dicom(ReceiverConfig),
    /// Volumes that are sent as to AFNI, over TCP.
    Afni(AfniConfig),
    /// Recordings.
    Replay(ReplayConfig),
    /// Made-up EEG, the same for the same seed.
    Synthetic(SyntheticConfig),
}

/// `[events.NAME]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EventsConfig {
    /// Where the events come from.
    pub input: EventsInput,
    /// An event of this label begins a new run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub run_marker: Option<String>,
}

/// Where events come from.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EventsInput {
    /// A live LSL stream of string markers.
    Lsl(LslMarkersConfig),
    /// The events of the recordings of this source: `input.recording = "scanner"`.
    Recording(String),
    /// Only what `POST /api/v1/stimulus` and `/marker` bring: `input.api = {}`.
    Api(ApiEvents),
}

/// Events that come over HTTP only; nothing to set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ApiEvents {}

/// `[sinks]`
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SinksConfig {
    /// LSL outlets: values, skill, quality.
    pub lsl: Option<LslOutletConfig>,
    /// Frames as JSON lines.
    pub jsonl: Option<JsonlConfig>,
}

/// `[sinks.jsonl]`
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct JsonlConfig {
    /// The file, appended to; `-` for standard output.
    pub path: PathBuf,
}

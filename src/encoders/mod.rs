//! What does a network see? Sentences, pictures and windows of a recording, turned into features by ONNX models.
//!
//! An encoder runs on an inference lane: one session, one pass at a time, its feature handed on for ridge to learn
//! from. A model is a folder (see [`Manifest`]) and is not trusted: its files are hashed, the network is [inspected]
//! before ONNX Runtime sees it, its inputs and outputs are checked against the manifest, and one trial pass is made
//! before the encoder counts as loaded. So `encode` fails only for what a live input can do.
//!
//! **Invariants.** A feature is finite and has `spec().dims` values, or there is an error. A text or picture gives the same
//! feature whether the cache had it or not.
//!
//! [inspected]: inspect()
//!
//! ```
//! use neurod::encoders::EncoderConfig;
//!
//! let config: EncoderConfig = toml::from_str(r#"text = { model = "models/minilm", events = "stimulus" }"#)?;
//! config.validate()?;
//! assert_eq!(config.deadline(), 0.5);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod batch;
mod cache;
mod columns;
mod connectome;
mod error;
mod image;
mod inspect;
mod manifest;
mod multimodal;
mod network;
mod onnx;
mod regions;
mod store;
mod text;
mod window;

use std::path::Path;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use crate::frame::BlockSpec;

pub use cache::{CacheStats, FeatureCache};
pub use columns::{ColumnRule, ColumnsConfig, ColumnsEncoder};
pub use connectome::NetworkModel;
pub use error::{EncodeError, EncoderError};
// There is a crate of that name.
pub use self::image::{
    Crop, Filter, ImageConfig, ImageEncoder, ImageError, ImageInput, Layout, MAX_IMAGE_BYTES, MAX_SIDE, Resize,
    STIM_FILE, read_stimulus,
};
pub use inspect::{Contents, MAX_MODEL_BYTES, MAX_NODES, Refusal, inspect};
pub use manifest::{Axis, Hashes, Kind, Layer, Manifest, ModelFiles, Pooling, TextInput, WindowInput, hex_sha256};
pub use multimodal::{BOXES, MultimodalConfig, MultimodalEncoder, PictureSource, REGIONS, RegionsSource, Stimulus};
pub use network::{EdgeRecipe, FeaturesInput, NetworkInput};
pub use onnx::{InputShape, Network, Runtime};
pub use regions::{MAX_REGIONS, MAX_REGIONS_BYTES, Regions, RegionsError, RegionsInput};
pub use store::{FeatureStore, StimulusKey};
pub use text::{TextConfig, TextEncoder};
pub use window::{WindowConfig, WindowEncoder, Windows};

/// One table under `[encoders]`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum EncoderConfig {
    /// The words that events carry.
    Text(TextConfig),
    /// The pictures that events show.
    Image(ImageConfig),
    /// Stretches of a recording.
    Window(WindowConfig),
    /// The words that events carry, with the pictures they show or what a detector found in them.
    Multimodal(MultimodalConfig),
    /// The columns of events.tsv, as in a classical design matrix: the baseline that a network has to beat.
    Columns(ColumnsConfig),
}

impl EncoderConfig {
    /// Checks the values, without touching a file.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), EncoderError> {
        match self {
            EncoderConfig::Text(config) => config.validate(),
            EncoderConfig::Image(config) => config.validate(),
            EncoderConfig::Multimodal(config) => config.validate(),
            EncoderConfig::Window(config) => config.validate(),
            EncoderConfig::Columns(config) => config.validate(),
        }
    }

    /// The model folder, unless it needs no model.
    pub fn model(&self) -> Option<&Path> {
        match self {
            EncoderConfig::Text(config) => Some(&config.model),
            EncoderConfig::Image(config) => Some(&config.model),
            EncoderConfig::Multimodal(config) => Some(&config.model),
            EncoderConfig::Window(config) => Some(&config.model),
            EncoderConfig::Columns(_) => None,
        }
    }

    /// How many seconds one pass may take before it counts as late.
    pub fn deadline(&self) -> f64 {
        match self {
            EncoderConfig::Text(config) => config.deadline,
            EncoderConfig::Image(config) => config.deadline,
            EncoderConfig::Multimodal(config) => config.deadline,
            EncoderConfig::Window(config) => config.deadline,
            EncoderConfig::Columns(_) => f64::INFINITY,
        }
    }
}

/// Loads the encoder that `config` describes. One that has a model needs `runtime`. `source` is what the source's stages send, for a window encoder; at most
/// `max_threads` compute one pass (1 in replay, so that results repeat bit for bit).
///
/// # Errors
/// What is wrong with the values, the model's files, the network, or its fit to the source.
pub fn build(
    config: &EncoderConfig,
    runtime: Option<&Runtime>,
    source: Option<&BlockSpec>,
    max_threads: usize,
) -> Result<Box<dyn Encoder>, EncoderError> {
    config.validate()?;
    match config {
        EncoderConfig::Columns(config) => Ok(Box::new(ColumnsEncoder::new(config))),
        EncoderConfig::Text(config) => {
            let runtime = runtime.ok_or(EncoderError::NoRuntime)?;
            let mut files = ModelFiles::read(&config.model)?;
            if let Some(layer) = &config.layer {
                files.choose_all(std::slice::from_ref(layer))?;
            }
            Ok(Box::new(TextEncoder::load(runtime, &files, config.cache, config.threads.min(max_threads))?))
        }
        EncoderConfig::Image(config) => {
            let runtime = runtime.ok_or(EncoderError::NoRuntime)?;
            let files = ModelFiles::read(&config.model)?;
            Ok(Box::new(ImageEncoder::load(runtime, files, config, config.threads.min(max_threads))?))
        }
        EncoderConfig::Multimodal(config) => {
            let runtime = runtime.ok_or(EncoderError::NoRuntime)?;
            let files = ModelFiles::read(&config.model)?;
            Ok(Box::new(MultimodalEncoder::load(runtime, files, config, config.threads.min(max_threads))?))
        }
        EncoderConfig::Window(config) => {
            let runtime = runtime.ok_or(EncoderError::NoRuntime)?;
            let files = ModelFiles::read(&config.model)?;
            let encoder = WindowEncoder::load(runtime, &files, config.threads.min(max_threads))?;
            if let Some(source) = source {
                encoder.fits(source, config.window)?;
            }
            Ok(Box::new(encoder))
        }
    }
}

/// Turns one input into one feature: a forward pass on an inference lane. May allocate; whoever calls it times it
/// against the deadline.
pub trait Encoder: Send {
    /// What comes out.
    fn spec(&self) -> &EncoderSpec;

    /// Encodes `input` into `out`, which is cleared first and then holds `spec().dims` finite values.
    ///
    /// # Errors
    /// The input is of another kind or shape, the runtime refuses, or the feature is not finite. The encoder stays
    /// usable; `out` means nothing.
    fn encode(&mut self, input: &Input<'_>, out: &mut Vec<f32>) -> Result<(), EncodeError>;

    /// Encodes several inputs: a feature or an error each, in their order. Where the network takes batches and gives in
    /// them what it gives one by one, to 1e-5 of the feature's largest value or of 1 (tried before the first), they go
    /// through it together; here, one by one.
    fn encode_batch(&mut self, inputs: &[Input<'_>]) -> Vec<Result<Vec<f32>, EncodeError>> {
        let one = |input| {
            let mut feature = Vec::new();
            self.encode(input, &mut feature).map(|()| feature)
        };
        inputs.iter().map(one).collect()
    }

    /// Whether windows of so many seconds of this source are what it takes: rate, number and names of channels, length.
    ///
    /// # Errors
    /// What does not fit, and the fix.
    fn fits(&self, source: &BlockSpec, window: f64) -> Result<(), EncoderError> {
        let _ = (source, window);
        Err(EncoderError::Source { problem: format!("model {} takes no windows", self.spec().model) })
    }

    /// What it takes of the regions of a picture, if it takes them.
    fn regions(&self) -> Option<&RegionsInput> {
        None
    }

    /// The counters of its cache, if it has one.
    fn cache(&self) -> Option<Arc<CacheStats>> {
        None
    }
}

/// What is to be encoded.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// A sentence.
    Text(&'a str),
    /// An image file, from the stimuli folder on.
    Image(&'a Path),
    /// An image file's contents.
    ImageBytes(&'a [u8]),
    /// A stretch of a recording, sample-major as in a block.
    Window {
        /// samples × channels.
        data: &'a [f64],
        /// How many channels.
        channels: usize,
        /// How many samples.
        samples: usize,
    },
    /// A text with a picture, or with regions of one.
    Multimodal(Stimulus<'a>),
    /// The columns of an event.
    Columns(&'a std::collections::BTreeMap<String, String>),
}

/// What an encoder gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EncoderSpec {
    /// The model's name.
    pub model: Arc<str>,
    /// How long a feature is.
    pub dims: usize,
    /// SHA-256 of `model.onnx`, for the frames' model stamp; of that and the layer's name where one was chosen.
    pub sha256: Arc<str>,
    /// The model's licence, for people to read.
    pub licence: Arc<str>,
}

impl EncoderSpec {
    fn new(files: &ModelFiles) -> Self {
        let manifest = &files.manifest;
        let spec = Self {
            model: manifest.name.as_str().into(),
            dims: files.parts().iter().map(|part| part.dims).sum(),
            sha256: manifest.sha256.model.as_str().into(),
            licence: manifest.licence.as_str().into(),
        };
        if files.layers.is_empty() { spec } else { spec.of_layer(&files.layers.join("+")) }
    }

    /// The same model's layer: what learned from one layer must not go on with another.
    fn of_layer(self, layer: &str) -> Self {
        Self {
            model: format!("{}/{layer}", self.model).into(),
            sha256: hex_sha256(format!("{} {layer}", self.sha256).as_bytes()).into(),
            ..self
        }
    }
}

fn one_thread() -> usize {
    1
}

fn seconds(key: &'static str, value: f64) -> Result<(), EncoderError> {
    if value > 0.0 && value.is_finite() {
        return Ok(());
    }
    Err(EncoderError::Value { key, value: value.to_string(), problem: "must be a positive number of seconds" })
}

fn at_least_one(key: &'static str, value: usize) -> Result<(), EncoderError> {
    if value >= 1 {
        return Ok(());
    }
    Err(EncoderError::Value { key, value: value.to_string(), problem: "must be at least 1" })
}

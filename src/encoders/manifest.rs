//! What is in a model folder? `manifest.toml`: inputs, the output that is the feature, sizes, licence and hashes.
//!
//! A folder holds `manifest.toml`, `model.onnx` and, where it takes text, `tokenizer.json`. The manifest is what the model's
//! maker promises; the runtime's view of the network is checked against it, and the files against its hashes.
//!
//! ```
//! use neurod::encoders::Manifest;
//! let manifest = Manifest::parse(
//!     r#"
//!     name = "alpha-net"
//!     licence = "MIT"
//!     source = "our own"
//!     kind = "window"
//!     output = "features"
//!     dims = 16
//!     sha256 = { model = "0000000000000000000000000000000000000000000000000000000000000000" }
//!     window = { input = "signal", axes = ["one", "channels", "time"], channels = 8, samples = 125, rate = 125.0 }
//!     "#,
//!     "manifest.toml",
//! )?;
//! assert_eq!(manifest.window.map(|w| w.samples), Some(125));
//! # Ok::<(), neurod::encoders::EncoderError>(())
//! ```

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::EncoderError;
use super::image::ImageInput;
use super::inspect::MAX_MODEL_BYTES;
use super::network::NetworkInput;
use super::regions::RegionsInput;

/// The largest manifest and the largest tokenizer, in bytes.
const MAX_MANIFEST_BYTES: u64 = 1 << 20;
const MAX_TOKENIZER_BYTES: u64 = 64 << 20;

/// What a model takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// A sentence.
    Text,
    /// A stretch of a recording, channels × time.
    Window,
    /// A picture.
    Image,
    /// A text with a picture, or with regions of one.
    Multimodal,
    /// A brain network.
    Network,
}

impl Kind {
    /// Its name in manifests and configurations.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Text => "text",
            Kind::Window => "window",
            Kind::Image => "image",
            Kind::Multimodal => "multimodal",
            Kind::Network => "network",
        }
    }
}

/// How an output of many vectors becomes one feature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Pooling {
    /// The mean over the tokens of `[1, tokens, dims]`, the special ones included (Reimers and Gurevych 2019).
    Mean,
    /// The first token of `[1, tokens, dims]`: `[CLS]`.
    First,
    /// The mean over the places of `[1, dims, height, width]`, or `[1, height, width, dims]` for an nhwc model.
    Spatial,
}

/// Another output that can be the feature, by a name: one feature space a layer, for encoding models.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Layer {
    /// As in the manifest.
    pub output: String,
    /// As in the manifest.
    pub layer: Option<usize>,
    /// As in the manifest.
    pub pooling: Option<Pooling>,
    /// As in the manifest.
    pub dims: usize,
}

/// SHA-256 of the files, 64 hex digits each.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Hashes {
    /// Of `model.onnx`.
    pub model: String,
    /// Of `tokenizer.json`; of what takes text.
    pub tokenizer: Option<String>,
}

/// What a text model takes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextInput {
    /// The input of token numbers, int64 `[1, tokens]`.
    pub input_ids: String,
    /// The input that says which tokens count, int64 `[1, tokens]`; all of them, as nothing is padded.
    pub attention_mask: Option<String>,
    /// The input of segment numbers, int64 `[1, tokens]`; all zero.
    pub token_type_ids: Option<String>,
    /// The most tokens, special ones included; what is longer is cut at the end.
    pub max_tokens: usize,
}

/// One axis of a window model's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Axis {
    /// Always of length 1: batch, or the image plane of a convolution.
    One,
    /// One entry a channel.
    Channels,
    /// One entry a sample.
    Time,
}

/// What a window model takes.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowInput {
    /// The input's name, float32.
    pub input: String,
    /// The input's axes, with `channels` and `time` once each. EEGNet takes `["one", "one", "channels", "time"]`.
    pub axes: Vec<Axis>,
    /// How many channels.
    pub channels: usize,
    /// The channels' names in order, if the model was trained on certain ones; the source must have just these.
    pub labels: Option<Vec<String>>,
    /// How many samples.
    pub samples: usize,
    /// Samples a second, in Hz.
    pub rate: f64,
    /// What each value is multiplied by first: 1e-6 for a model that takes volts where the source sends microvolts.
    #[serde(default = "one")]
    pub scale: f64,
}

fn one() -> f64 {
    1.0
}

/// `manifest.toml`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// What the model is called.
    pub name: String,
    /// Its licence, as an SPDX expression where there is one.
    pub licence: String,
    /// Where it comes from.
    pub source: String,
    /// What it takes.
    pub kind: Kind,
    /// The output that is the feature, float32: `[1, dims]`, or one of the two below.
    pub output: String,
    /// Which row of an output `[1, layers, dims]`, from 0.
    pub layer: Option<usize>,
    /// How an output of many vectors is pooled.
    pub pooling: Option<Pooling>,
    /// How long the feature is.
    pub dims: usize,
    /// The files' hashes.
    pub sha256: Hashes,
    /// The inputs of a text model, or of the text of a multimodal one.
    pub text: Option<TextInput>,
    /// The inputs of a window model.
    pub window: Option<WindowInput>,
    /// The input of an image model, or of the picture of a multimodal one.
    pub image: Option<ImageInput>,
    /// The inputs of a multimodal model that takes regions of a picture.
    pub regions: Option<RegionsInput>,
    /// What a model of brain networks takes and gives.
    pub network: Option<NetworkInput>,
    /// Other outputs that can be the feature.
    #[serde(default)]
    pub layers: BTreeMap<String, Layer>,
}

impl Manifest {
    /// Reads a manifest's text; `path` is for messages.
    ///
    /// # Errors
    /// What is wrong, with the line.
    pub fn parse(text: &str, path: &str) -> Result<Self, EncoderError> {
        let manifest: Manifest = toml::from_str(text).map_err(|error| {
            let line = error.span().map_or(1, |span| 1 + text.bytes().take(span.start).filter(|b| *b == b'\n').count());
            EncoderError::Manifest { path: path.into(), line, problem: error.message().into() }
        })?;
        match manifest.problem() {
            None => Ok(manifest),
            Some(problem) => Err(EncoderError::Manifest { path: path.into(), line: 1, problem }),
        }
    }

    fn problem(&self) -> Option<String> {
        let hash = |h: &str| h.len() == 64 && h.bytes().all(|b| b.is_ascii_hexdigit());
        if let Some(problem) = self.tables() {
            return Some(problem);
        }
        let problem = match &self.text {
            Some(_) if self.sha256.tokenizer.is_none() => "sha256.tokenizer is missing",
            Some(text) if text.max_tokens < 2 => "text.max_tokens must be at least 2",
            _ if self.layer.is_some() && self.pooling.is_some() => "give layer or pooling, not both",
            _ if self.dims == 0 || self.layers.values().any(|layer| layer.dims == 0) => "dims must be at least 1",
            _ if !hash(&self.sha256.model) || !self.sha256.tokenizer.as_deref().is_none_or(hash) => {
                "sha256 takes 64 hex digits"
            }
            _ => {
                let window = self.window.as_ref().and_then(WindowInput::problem);
                let image = || self.image.as_ref().and_then(ImageInput::problem);
                let regions = || self.regions.as_ref().and_then(RegionsInput::problem);
                let network = || self.network.as_ref().and_then(NetworkInput::problem);
                window.or_else(image).or_else(regions).or_else(network)?
            }
        };
        Some(problem.into())
    }

    /// Whether there are just the tables of inputs that the kind takes.
    fn tables(&self) -> Option<String> {
        let tables = [
            ("text", self.text.is_some()),
            ("window", self.window.is_some()),
            ("image", self.image.is_some()),
            ("regions", self.regions.is_some()),
            ("network", self.network.is_some()),
        ];
        let given: Vec<&str> = tables.iter().filter(|(_, given)| *given).map(|(name, _)| *name).collect();
        match (self.kind, given.as_slice()) {
            (Kind::Multimodal, ["text", "image" | "regions"]) => None,
            (Kind::Multimodal, _) => Some(
                "kind is \"multimodal\": that takes a [text] table and either an [image] or a [regions] table".into(),
            ),
            (kind, [one]) if *one == kind.name() => None,
            (_, [one, other, ..]) => Some(format!("there are both a [{one}] and a [{other}] table; keep one")),
            (kind, _) => Some(format!("kind is \"{0}\" but there is no [{0}] table", kind.name())),
        }
    }

    /// What decides which feature an input has: SHA-256 of the files' hashes, everything but the names in the manifest, and
    /// this version of neurod, which prepares the input.
    pub fn identity(&self) -> String {
        let nameless = Self {
            name: String::new(),
            licence: String::new(),
            source: String::new(),
            layers: BTreeMap::new(),
            ..self.clone()
        };
        // A manifest that was parsed can be written.
        let settings = serde_json::to_string(&nameless).unwrap_or_default();
        hex_sha256(format!("{} {settings}", env!("CARGO_PKG_VERSION")).as_bytes())
    }

    /// Makes one of [`layers`](Self::layers) the feature; false where there is none of that name.
    pub fn choose(&mut self, name: &str) -> bool {
        let Some(layer) = self.layers.get(name).cloned() else { return false };
        (self.output, self.dims) = (layer.output, layer.dims);
        (self.layer, self.pooling) = (layer.layer, layer.pooling);
        true
    }
}

impl WindowInput {
    fn problem(&self) -> Option<&'static str> {
        let count = |axis| self.axes.iter().filter(|a| **a == axis).count();
        Some(match () {
            () if count(Axis::Channels) != 1 || count(Axis::Time) != 1 => {
                "window.axes must name \"channels\" and \"time\" once each"
            }
            () if self.channels == 0 || self.samples == 0 => "window.channels and window.samples must be at least 1",
            () if !(self.rate > 0.0 && self.rate.is_finite()) => "window.rate must be a positive number of Hz",
            () if !(self.scale.is_finite() && self.scale != 0.0) => "window.scale must be a finite number other than 0",
            () if self.labels.as_ref().is_some_and(|l| l.len() != self.channels) => {
                "window.labels must name every one of window.channels"
            }
            () => return None,
        })
    }
}

/// A model folder, read and checked against its hashes; nothing in it has been parsed but the manifest.
#[derive(Clone, Debug)]
pub struct ModelFiles {
    /// The folder.
    pub folder: PathBuf,
    /// Its manifest.
    pub manifest: Manifest,
    /// `model.onnx`.
    pub model: Vec<u8>,
    /// `tokenizer.json`; empty for what takes no text.
    pub tokenizer: Vec<u8>,
    /// Which of the manifest's layers are the feature, side by side, as [`choose_all`](Self::choose_all) found them;
    /// the manifest's own output where there is none.
    pub layers: Vec<String>,
}

impl ModelFiles {
    /// Reads a folder.
    ///
    /// # Errors
    /// A file that is missing, too large, or not the one the manifest names.
    pub fn read(folder: &Path) -> Result<Self, EncoderError> {
        Self::read_model(&folder.join("model.onnx"))
    }

    /// Where the manifest of a model's file lies: `manifest.toml` beside `model.onnx`, and beside `NAME.onnx` `NAME.toml`.
    pub fn manifest_of(model: &Path) -> PathBuf {
        if model.file_name().is_some_and(|name| name == "model.onnx") {
            model.with_file_name("manifest.toml")
        } else {
            model.with_extension("toml")
        }
    }

    /// Reads a model's file, with what lies beside it.
    ///
    /// # Errors
    /// A file that is missing, too large, or not the one the manifest names.
    pub fn read_model(file: &Path) -> Result<Self, EncoderError> {
        let folder = file.parent().unwrap_or(Path::new("."));
        let path = Self::manifest_of(file);
        let text = read_capped(&path, MAX_MANIFEST_BYTES)?;
        let manifest = Manifest::parse(&String::from_utf8_lossy(&text), &path.display().to_string())?;
        let model = read_hashed(file, MAX_MODEL_BYTES, &manifest.sha256.model)?;
        let tokenizer = match &manifest.sha256.tokenizer {
            Some(hash) => read_hashed(&folder.join("tokenizer.json"), MAX_TOKENIZER_BYTES, hash)?,
            None => Vec::new(),
        };
        Ok(Self { folder: folder.into(), manifest, model, tokenizer, layers: Vec::new() })
    }

    /// Makes these of the manifest's layers the feature, side by side in this order; one pass gives all of them.
    ///
    /// # Errors
    /// A layer that the manifest does not name.
    pub fn choose_all(&mut self, layers: &[String]) -> Result<(), EncoderError> {
        if let Some(layer) = layers.iter().find(|layer| !self.manifest.layers.contains_key(*layer)) {
            let known: Vec<&str> = self.manifest.layers.keys().map(String::as_str).collect();
            let known = if known.is_empty() { "none".into() } else { known.join(", ") };
            return Err(EncoderError::Layer { path: self.folder.clone(), layer: layer.clone(), known });
        }
        self.layers = layers.to_vec();
        Ok(())
    }

    /// The manifest as it is for each part of the feature: for each chosen layer, or for its own output.
    pub fn parts(&self) -> Vec<Manifest> {
        if self.layers.is_empty() {
            return vec![self.manifest.clone()];
        }
        let part = |layer: &String| {
            let mut manifest = self.manifest.clone();
            manifest.choose(layer).then_some(manifest)
        };
        self.layers.iter().filter_map(part).collect()
    }
}

pub(super) fn read_capped(path: &Path, limit: u64) -> Result<Vec<u8>, EncoderError> {
    let io = |error: std::io::Error| match error.kind() {
        std::io::ErrorKind::NotFound => EncoderError::Missing { path: path.into() },
        _ => EncoderError::Io { path: path.into(), error },
    };
    let found = std::fs::metadata(path).map_err(io)?;
    if !found.is_file() {
        // Opening a pipe would wait for whoever writes to it.
        return Err(io(std::io::Error::other("not a file")));
    }
    let (file, size) = (File::open(path).map_err(io)?, found.len());
    let mut bytes = Vec::new();
    if size <= limit {
        bytes.reserve_exact(size as usize);
        // One byte beyond the limit tells a file that has grown meanwhile.
        file.take(limit + 1).read_to_end(&mut bytes).map_err(io)?;
    }
    let size = size.max(bytes.len() as u64);
    if size > limit {
        return Err(EncoderError::TooLarge { path: path.into(), bytes: size, limit });
    }
    Ok(bytes)
}

/// SHA-256 as 64 hex digits.
pub fn hex_sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

fn read_hashed(path: &Path, limit: u64, expected: &str) -> Result<Vec<u8>, EncoderError> {
    let bytes = read_capped(path, limit)?;
    let found = hex_sha256(&bytes);
    if !found.eq_ignore_ascii_case(expected) {
        return Err(EncoderError::Hash { path: path.into(), expected: expected.into(), found });
    }
    Ok(bytes)
}

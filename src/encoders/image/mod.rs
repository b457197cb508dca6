//! What does a picture mean to a network? A stimulus file to pixels to one feature vector, remembered.
//!
//! An event names its picture in the BIDS column `stim_file`, from the stimuli folder on. The file is read, decoded,
//! resized, cropped and normalised as in Python (Pillow and torchvision), so that the network sees the bytes it was
//! trained on; its features are remembered by the SHA-256 of the file, so a picture that was changed is encoded anew.
//!
//! **Invariants.** A name never leads out of the stimuli folder; links inside it are followed, for they are its
//! owner's (data sets under git-annex are made of them). A broken picture is an error of its pass, never more.

mod decode;
mod jpeg;
mod prepare;
mod resize;

use std::borrow::Cow;
use std::path::{Component, Path, PathBuf};
use std::sync::Arc;

use ort::value::{TensorElementType, TensorRef};
use serde::{Deserialize, Serialize};

use super::batch::{self, Batching, Features};
use super::cache::{CacheStats, FeatureCache};
use super::manifest::{Kind, ModelFiles, hex_sha256, read_capped};
use super::onnx::{Network, Runtime};
use super::{EncodeError, Encoder, EncoderError, EncoderSpec, Input, seconds};

pub use decode::{ImageError, MAX_IMAGE_BYTES, MAX_SIDE};
pub use prepare::{Crop, ImageInput, Layout, Resize};
pub use resize::Filter;

use resize::{COLOURS, Picture};

/// The column of events.tsv that names an event's picture (BIDS 1.10, task events).
pub const STIM_FILE: &str = "stim_file";

/// Features of the pictures that events show.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageConfig {
    /// The model folder.
    pub model: PathBuf,
    /// The event source whose pictures are encoded, by its name under `[events]`.
    pub events: String,
    /// The folder that `stim_file` counts from: in a BIDS data set, `stimuli`.
    pub stimuli: PathBuf,
    /// Which of the layers in the model's manifest is the feature; the manifest's own output where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// How many seconds one pass may take before it counts as late.
    #[serde(default = "deadline")]
    pub deadline: f64,
    /// How many pictures' features are remembered; 0 for none.
    #[serde(default = "cache")]
    pub cache: usize,
    /// How many threads compute one pass. Results repeat bit for bit with 1, which replay always takes.
    #[serde(default = "super::one_thread")]
    pub threads: usize,
}

fn deadline() -> f64 {
    0.5
}

fn cache() -> usize {
    4096
}

impl ImageConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), EncoderError> {
        seconds("deadline", self.deadline)?;
        super::at_least_one("threads", self.threads)
    }

    /// Where the picture of that name lies; it need not be there.
    ///
    /// # Errors
    /// The name leads out of the stimuli folder.
    pub fn file(&self, name: &Path) -> Result<PathBuf, ImageError> {
        within(&self.stimuli, name)
    }
}

pub(super) fn within(stimuli: &Path, name: &Path) -> Result<PathBuf, ImageError> {
    if name.as_os_str().is_empty() || !name.components().all(|part| matches!(part, Component::Normal(_))) {
        return Err(ImageError::Outside);
    }
    Ok(stimuli.join(name))
}

/// An image encoder: a picture in, one feature vector out.
#[derive(Debug)]
pub struct ImageEncoder {
    spec: EncoderSpec,
    network: Network,
    input: ImageInput,
    stimuli: PathBuf,
    cache: FeatureCache,
    buffer: Vec<f32>,
    /// How pictures go through the network together, once that was tried.
    batching: Option<Batching>,
}

impl ImageEncoder {
    /// Loads an image model as `config` says; `threads` is how many compute one pass. A gradient is encoded as a trial.
    ///
    /// # Errors
    /// Why the model cannot be used; see [`EncoderError`].
    pub fn load(
        runtime: &Runtime,
        mut files: ModelFiles,
        config: &ImageConfig,
        threads: usize,
    ) -> Result<Self, EncoderError> {
        let kind = files.manifest.kind;
        let Some(input) = files.manifest.image.clone().filter(|_| kind == Kind::Image) else {
            return Err(EncoderError::WrongKind { path: files.folder, wanted: "image", other: kind.name() });
        };
        if let Some(layer) = &config.layer {
            files.choose_all(std::slice::from_ref(layer))?;
        }
        let shape = input.shape().map(Some);
        let declared = [(input.input.as_str(), TensorElementType::Float32, shape.as_slice())];
        let network = Network::load(runtime, &files, &declared, threads)?;
        let cache = FeatureCache::new(config.cache);
        let stimuli = config.stimuli.clone();
        let spec = EncoderSpec::new(&files);
        let mut encoder = Self { spec, network, input, stimuli, cache, buffer: Vec::new(), batching: None };
        let trial = encoder.forward(&encoder.gradient(255), &mut Vec::new());
        trial.map_err(|error| EncoderError::Trial { path: files.folder.join("model.onnx"), error })?;
        Ok(encoder)
    }

    /// One pass, cache or no cache.
    fn forward(&mut self, picture: &Picture, out: &mut Vec<f32>) -> Result<(), EncodeError> {
        self.input.normalise(picture, &mut self.buffer);
        let model = self.network.model();
        let failed = |error: ort::Error| EncodeError::Run { model: Arc::clone(model), problem: error.to_string() };
        let tensor = TensorRef::from_array_view((self.input.shape(), self.buffer.as_slice())).map_err(failed)?;
        self.network.run(&[tensor.into()], out)
    }

    /// A picture that grows brighter from left to right, up to this.
    fn gradient(&self, brightest: usize) -> Picture {
        let side = self.input.size;
        let data = (0..side * side * COLOURS).map(|i| (i / COLOURS % side * brightest / side) as u8).collect();
        Picture { width: side, height: side, data }
    }

    fn one_by_one(&mut self, pictures: &[Picture]) -> Features {
        let one = |picture| {
            let mut feature = Vec::new();
            self.forward(picture, &mut feature).map(|()| feature)
        };
        pictures.iter().map(one).collect()
    }

    /// One pass over several pictures.
    fn together(&mut self, pictures: &[Picture]) -> Result<Features, EncodeError> {
        let mut data = Vec::new();
        for picture in pictures {
            self.input.normalise(picture, &mut self.buffer);
            data.extend_from_slice(&self.buffer);
        }
        let [_, first, second, third] = self.input.shape();
        let shape = [pictures.len(), first, second, third];
        let model = self.network.model();
        let failed = |error: ort::Error| EncodeError::Run { model: Arc::clone(model), problem: error.to_string() };
        let tensor = TensorRef::from_array_view((shape, data.as_slice())).map_err(failed)?;
        self.network.run_batch(&[tensor.into()], pictures.len(), &[])
    }

    /// How pictures go through the network together: tried once.
    fn batching(&mut self) -> Batching {
        if let Some(known) = self.batching {
            return known;
        }
        let trial = [self.gradient(255), self.gradient(90)];
        let agree = self.network.batches() && batch::agree(self.one_by_one(&trial), self.together(&trial));
        *self.batching.insert(if agree { Batching::Alike } else { Batching::Single })
    }

    /// The bytes of a stimulus, and what it is called.
    fn bytes<'a>(&self, input: &Input<'a>) -> Result<(String, Cow<'a, [u8]>), EncodeError> {
        match *input {
            Input::Image(name) => {
                let image = name.display().to_string();
                let bytes = read_stimulus(&self.stimuli, name);
                let bytes = bytes.map_err(|error| EncodeError::Image { image: image.clone(), error })?;
                Ok((image, bytes.into()))
            }
            Input::ImageBytes(bytes) => Ok(("in memory".into(), bytes.into())),
            _ => Err(EncodeError::WrongInput { model: Arc::clone(self.network.model()), takes: "an image" }),
        }
    }

    fn remembered(&mut self, name: &str, bytes: &[u8], out: &mut Vec<f32>) -> Result<(), EncodeError> {
        let key = hex_sha256(bytes);
        if let Some(feature) = self.cache.get(&key) {
            out.clear();
            out.extend_from_slice(feature);
            return Ok(());
        }
        let picture = decode::decode(bytes).map_err(|error| EncodeError::Image { image: name.into(), error })?;
        self.forward(&picture, out)?;
        self.cache.insert(&key, out);
        Ok(())
    }
}

/// Reads a stimulus file, by its name from the stimuli folder on.
///
/// # Errors
/// A name that leads out of the folder; a file that is missing, unreadable or larger than [`MAX_IMAGE_BYTES`].
pub fn read_stimulus(stimuli: &Path, name: &Path) -> Result<Vec<u8>, ImageError> {
    read_capped(&within(stimuli, name)?, MAX_IMAGE_BYTES).map_err(|error| match error {
        EncoderError::TooLarge { bytes, limit, .. } => ImageError::TooLarge { bytes, limit },
        EncoderError::Missing { path } => {
            ImageError::Unreadable { problem: format!("there is no file {}", path.display()) }
        }
        other => ImageError::Unreadable { problem: other.to_string() },
    })
}

impl Encoder for ImageEncoder {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn encode(&mut self, input: &Input<'_>, out: &mut Vec<f32>) -> Result<(), EncodeError> {
        let (image, bytes) = self.bytes(input)?;
        self.remembered(&image, &bytes, out)
    }

    fn encode_batch(&mut self, inputs: &[Input<'_>]) -> Vec<Result<Vec<f32>, EncodeError>> {
        let decoded = inputs.iter().map(|input| {
            let (image, bytes) = self.bytes(input)?;
            decode::decode(&bytes).map_err(|error| EncodeError::Image { image, error })
        });
        let (pictures, places) = batch::sound(decoded.collect());
        let features = match self.batching() {
            Batching::Single => self.one_by_one(&pictures),
            // What is refused together may do alone.
            _ => self.together(&pictures).unwrap_or_else(|_| self.one_by_one(&pictures)),
        };
        places.fill(features)
    }

    fn cache(&self) -> Option<Arc<CacheStats>> {
        Some(self.cache.stats())
    }
}

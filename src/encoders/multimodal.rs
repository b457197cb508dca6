//! What does a text mean beside what is seen? A caption and a picture, or its regions, to one feature vector, remembered.
//!
//! CLIP takes a text and a picture; LXMERT and VisualBERT take a text and [regions](Regions) that a detector found. The
//! manifest says which: a `[text]` table, and an `[image]` or a `[regions]` table. An event names its text, its picture in
//! the column `stim_file`, its regions in the columns [`regions`](REGIONS) and [`boxes`](BOXES), from the stimuli folder on;
//! or it brings the picture or the regions along.
//!
//! **Invariants.** A stimulus without all that the model takes is refused, by the name of what is missing: nothing is made
//! up for it. A stimulus gives the same feature whether the cache had it or not.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ort::session::SessionInputValue;
use ort::value::{TensorElementType, TensorRef};
use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};
use tokenizers::Tokenizer;

use super::cache::{CacheStats, FeatureCache};
use super::image::{ImageInput, read_stimulus, within};
use super::manifest::{Kind, ModelFiles};
use super::onnx::{InputShape, Network, Runtime};
use super::regions::{Regions, RegionsError, RegionsInput};
use super::text::tokenizer;
use super::{EncodeError, Encoder, EncoderError, EncoderSpec, Input, STIM_FILE, seconds};
use crate::frame::PictureRegions;

/// The column of events.tsv that names the file of a stimulus's regions: their features, or an archive of both.
pub const REGIONS: &str = "regions";
/// The column of events.tsv that names the file of their boxes.
pub const BOXES: &str = "boxes";

/// Features of texts together with pictures or regions of them.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MultimodalConfig {
    /// The model folder.
    pub model: PathBuf,
    /// The event source whose stimuli are encoded, by its name under `[events]`.
    pub events: String,
    /// The folder that `stim_file`, `regions` and `boxes` count from: in a BIDS data set, `stimuli`.
    pub stimuli: PathBuf,
    /// Which of the layers in the model's manifest is the feature; the manifest's own output where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// How many seconds one pass may take before it counts as late.
    #[serde(default = "deadline")]
    pub deadline: f64,
    /// How many stimuli's features are remembered; 0 for none.
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

impl MultimodalConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), EncoderError> {
        seconds("deadline", self.deadline)?;
        super::at_least_one("threads", self.threads)
    }

    /// Where the file of that name lies; `None` where the name leads out of the stimuli folder.
    pub fn file(&self, name: &Path) -> Option<PathBuf> {
        within(&self.stimuli, name).ok()
    }
}

/// What belongs to one stimulus, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub struct Stimulus<'a> {
    /// Its words.
    pub text: Option<&'a str>,
    /// Its picture.
    pub picture: Option<PictureSource<'a>>,
    /// The regions of its picture.
    pub regions: Option<RegionsSource<'a>>,
}

impl<'a> Stimulus<'a> {
    /// What columns of events.tsv say of one with these words.
    pub fn named(text: Option<&'a str>, columns: &'a BTreeMap<String, String>) -> Self {
        let file = |column| columns.get(column).map(Path::new);
        let (features, boxes) = (file(REGIONS), file(BOXES));
        Self {
            text,
            picture: file(STIM_FILE).map(PictureSource::File),
            regions: features.map(|features| RegionsSource::Files { features, boxes }),
        }
    }
}

/// Where a picture is.
#[derive(Clone, Copy, Debug)]
pub enum PictureSource<'a> {
    /// In a file, from the stimuli folder on.
    File(&'a Path),
    /// Here, as the contents of such a file.
    Bytes(&'a [u8]),
}

/// Where the regions of a picture are.
#[derive(Clone, Copy, Debug)]
pub enum RegionsSource<'a> {
    /// In files, from the stimuli folder on.
    Files {
        /// The features, or an archive of features and boxes.
        features: &'a Path,
        /// The boxes.
        boxes: Option<&'a Path>,
    },
    /// Here.
    Given(&'a PictureRegions),
}

impl RegionsSource<'_> {
    /// The regions; files count from the folder `stimuli` on.
    ///
    /// # Errors
    /// A name that leads out of the folder, a file that cannot be read, regions that break their invariants.
    pub fn read(self, stimuli: &Path) -> Result<Regions, RegionsError> {
        match self {
            RegionsSource::Given(found) => Regions::of(found),
            RegionsSource::Files { features, boxes } => {
                let place = |name: &Path| within(stimuli, name).map_err(|_| RegionsError::Outside);
                Regions::read(&place(features)?, boxes.map(place).transpose()?.as_deref())
            }
        }
    }
}

#[derive(Clone, Copy, Debug)]
enum Role {
    Ids,
    Mask,
    Types,
    Pixels,
    Features,
    Boxes,
}

/// What the model takes beside a text.
#[derive(Clone, Debug)]
enum Sight {
    Picture(ImageInput),
    Regions(RegionsInput),
}

/// One stimulus as the network takes it.
#[derive(Debug, Default)]
struct Prepared {
    ids: Vec<i64>,
    mask: Vec<i64>,
    types: Vec<i64>,
    /// Of the picture, or of the features of the regions.
    seen: Vec<f32>,
    boxes: Vec<f32>,
    regions: usize,
}

/// An encoder of texts with what is seen: one feature vector out.
#[derive(Debug)]
pub struct MultimodalEncoder {
    spec: EncoderSpec,
    network: Network,
    /// What each of the session's inputs is.
    roles: Vec<Role>,
    tokenizer: Tokenizer,
    /// The most tokens that the network takes.
    limit: usize,
    sight: Sight,
    stimuli: PathBuf,
    cache: FeatureCache,
    prepared: Prepared,
}

impl MultimodalEncoder {
    /// Loads a multimodal model as `config` says; `threads` is how many compute one pass. A stimulus is encoded as a trial.
    ///
    /// # Errors
    /// Why the model cannot be used; see [`EncoderError`].
    pub fn load(
        runtime: &Runtime,
        mut files: ModelFiles,
        config: &MultimodalConfig,
        threads: usize,
    ) -> Result<Self, EncoderError> {
        let manifest = &files.manifest;
        let (text, sight) = match (manifest.kind, &manifest.text, &manifest.image, &manifest.regions) {
            (Kind::Multimodal, Some(text), Some(image), None) => (text.clone(), Sight::Picture(image.clone())),
            (Kind::Multimodal, Some(text), None, Some(regions)) => (text.clone(), Sight::Regions(regions.clone())),
            (kind, ..) => {
                return Err(EncoderError::WrongKind { path: files.folder, wanted: "multimodal", other: kind.name() });
            }
        };
        if let Some(layer) = &config.layer {
            files.choose_all(std::slice::from_ref(layer))?;
        }
        let words: &[Option<usize>] = &[Some(1), None];
        let seen: Vec<Option<usize>> = match &sight {
            Sight::Picture(image) => image.shape().map(Some).to_vec(),
            Sight::Regions(regions) => vec![Some(1), None, Some(regions.dims)],
        };
        let corners: &[Option<usize>] = &[Some(1), None, Some(4)];
        let mut inputs: Vec<(Role, InputShape<'_>)> =
            vec![(Role::Ids, (&text.input_ids, TensorElementType::Int64, words))];
        let optional = [(Role::Mask, &text.attention_mask), (Role::Types, &text.token_type_ids)];
        inputs.extend(
            optional
                .into_iter()
                .filter_map(|(role, name)| Some((role, (name.as_deref()?, TensorElementType::Int64, words)))),
        );
        match &sight {
            Sight::Picture(image) => inputs.push((Role::Pixels, (&image.input, TensorElementType::Float32, &seen))),
            Sight::Regions(regions) => {
                inputs.push((Role::Features, (&regions.features, TensorElementType::Float32, &seen)));
                let boxes = regions.boxes.as_deref();
                inputs.extend(boxes.map(|name| (Role::Boxes, (name, TensorElementType::Float32, corners))));
            }
        }
        let declared: Vec<InputShape<'_>> = inputs.iter().map(|(_, input)| *input).collect();
        let network = Network::load(runtime, &files, &declared, threads)?;
        let roles = network.order().iter().filter_map(|place| Some(inputs.get(*place)?.0)).collect();
        let path = files.folder.join("tokenizer.json");
        let tokenizer = tokenizer(&files.tokenizer, text.max_tokens)
            .map_err(|error| EncoderError::Tokenizer { path, problem: error.to_string() })?;
        let mut encoder = Self {
            spec: EncoderSpec::new(&files),
            network,
            roles,
            tokenizer,
            limit: text.max_tokens,
            sight,
            stimuli: config.stimuli.clone(),
            cache: FeatureCache::new(config.cache),
            prepared: Prepared::default(),
        };
        encoder.trial().map_err(|error| EncoderError::Trial { path: files.folder.join("model.onnx"), error })?;
        Ok(encoder)
    }

    /// One pass over a stimulus that is made up: to see whether the network runs, not what it says.
    fn trial(&mut self) -> Result<(), EncodeError> {
        let ramp = |values: usize| (0..values).map(move |i| i as f32 / values as f32);
        self.words("A trial before the first stimulus.")?;
        let prepared = &mut self.prepared;
        match &self.sight {
            Sight::Picture(image) => prepared.seen = ramp(image.shape().iter().product()).collect(),
            Sight::Regions(regions) => {
                prepared.regions = regions.most.min(2);
                prepared.seen = ramp(prepared.regions * regions.dims).collect();
                prepared.boxes = [0.0, 0.0, 1.0, 1.0].repeat(prepared.regions);
            }
        }
        self.forward(&mut Vec::new())
    }

    /// The tokens of a text, as the network sees them.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>, EncodeError> {
        let failed = |error: tokenizers::Error| EncodeError::Run {
            model: Arc::clone(self.network.model()),
            problem: error.to_string(),
        };
        let tokens = self.tokenizer.encode_fast(text, true).map_err(failed)?.get_ids().to_vec();
        if tokens.len() > self.limit {
            let model = Arc::clone(self.network.model());
            return Err(EncodeError::TooLong { model, tokens: tokens.len(), limit: self.limit });
        }
        Ok(tokens)
    }

    /// The same encoder, but a text that is longer than the model takes is an error: what is cut is not what was read.
    ///
    /// # Errors
    /// The tokenizer cannot be set to cut nothing.
    pub fn strict(mut self) -> Result<Self, EncodeError> {
        let done = self.tokenizer.with_truncation(None).map(|_| ());
        let model = Arc::clone(self.network.model());
        done.map(|()| self).map_err(|error| EncodeError::Run { model, problem: error.to_string() })
    }

    fn words(&mut self, text: &str) -> Result<(), EncodeError> {
        let tokens = self.tokens(text)?;
        let prepared = &mut self.prepared;
        prepared.ids.clear();
        prepared.ids.extend(tokens.into_iter().map(i64::from));
        prepared.mask.resize(prepared.ids.len(), 1);
        prepared.types.resize(prepared.ids.len(), 0);
        Ok(())
    }

    /// One pass over what is prepared.
    fn forward(&mut self, out: &mut Vec<f32>) -> Result<(), EncodeError> {
        let Self { prepared, network, sight, roles, .. } = self;
        let model = Arc::clone(network.model());
        let failed = |error: ort::Error| EncodeError::Run { model: Arc::clone(&model), problem: error.to_string() };
        let shape = match sight {
            Sight::Picture(image) => image.shape().to_vec(),
            Sight::Regions(regions) => vec![1, prepared.regions, regions.dims],
        };
        let mut inputs: Vec<SessionInputValue<'_>> = Vec::with_capacity(roles.len());
        for role in roles.iter() {
            let words = |values| TensorRef::from_array_view(([1, prepared.ids.len()], values));
            inputs.push(match role {
                Role::Ids => words(prepared.ids.as_slice()).map_err(failed)?.into(),
                Role::Mask => words(prepared.mask.as_slice()).map_err(failed)?.into(),
                Role::Types => words(prepared.types.as_slice()).map_err(failed)?.into(),
                Role::Pixels | Role::Features => {
                    let seen = (shape.as_slice(), prepared.seen.as_slice());
                    TensorRef::from_array_view(seen).map_err(failed)?.into()
                }
                Role::Boxes => {
                    let boxes = ([1, prepared.regions, 4], prepared.boxes.as_slice());
                    TensorRef::from_array_view(boxes).map_err(failed)?.into()
                }
            });
        }
        network.run(&inputs, out)
    }

    fn missing(&self, part: &'static str) -> EncodeError {
        EncodeError::Incomplete { model: Arc::clone(self.network.model()), part }
    }

    /// The regions of a stimulus, read where they are in files; what the model takes, or an error.
    fn found(&self, input: &RegionsInput, source: RegionsSource<'_>) -> Result<Regions, EncodeError> {
        let name = match source {
            RegionsSource::Given(_) => "given with it".into(),
            RegionsSource::Files { features, .. } => features.display().to_string(),
        };
        let checked = source.read(&self.stimuli).and_then(|regions| input.check(&regions).map(|()| regions));
        checked.map_err(|error| EncodeError::Regions { regions: name, error })
    }

    /// Prepares what is seen, unless the cache has the stimulus: then its feature is in `out`, and what is returned is
    /// `None`. Else it is the key for the cache.
    fn stimulus(&mut self, stimulus: &Stimulus<'_>, out: &mut Vec<f32>) -> Result<Option<String>, EncodeError> {
        let text = stimulus.text.ok_or_else(|| self.missing("its text (the column text)"))?;
        let mut hash = Sha256::new();
        hash.update((text.len() as u64).to_le_bytes());
        hash.update(text);
        match self.sight.clone() {
            Sight::Picture(image) => {
                let source = stimulus.picture.ok_or_else(|| self.missing("its picture (the column stim_file)"))?;
                let (name, bytes) = match source {
                    PictureSource::Bytes(bytes) => ("in memory".into(), Ok(bytes.to_vec())),
                    PictureSource::File(name) => (name.display().to_string(), read_stimulus(&self.stimuli, name)),
                };
                let wrong = |error| EncodeError::Image { image: name.clone(), error };
                let bytes = bytes.map_err(wrong)?;
                hash.update(&bytes);
                let key = hex(hash);
                if self.cached(&key, out) {
                    return Ok(None);
                }
                image.prepare(&bytes, &mut self.prepared.seen).map_err(wrong)?;
                self.words(text)?;
                Ok(Some(key))
            }
            Sight::Regions(input) => {
                let source = stimulus.regions.ok_or_else(|| {
                    self.missing("the regions of its picture (the columns regions and boxes, or one .npz in regions)")
                })?;
                let regions = self.found(&input, source)?;
                hash.update((regions.count() as u64).to_le_bytes());
                regions.features().iter().chain(regions.boxes()).for_each(|value| hash.update(value.to_le_bytes()));
                let key = hex(hash);
                if self.cached(&key, out) {
                    return Ok(None);
                }
                let prepared = &mut self.prepared;
                prepared.regions = regions.count();
                regions.features().clone_into(&mut prepared.seen);
                regions.boxes().clone_into(&mut prepared.boxes);
                self.words(text)?;
                Ok(Some(key))
            }
        }
    }

    fn cached(&mut self, key: &str, out: &mut Vec<f32>) -> bool {
        let Some(feature) = self.cache.get(key) else { return false };
        feature.clone_into(out);
        true
    }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

impl Encoder for MultimodalEncoder {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn encode(&mut self, input: &Input<'_>, out: &mut Vec<f32>) -> Result<(), EncodeError> {
        let Input::Multimodal(stimulus) = input else {
            let takes = match self.sight {
                Sight::Picture(_) => "a text with its picture",
                Sight::Regions(_) => "a text with the regions of its picture",
            };
            return Err(EncodeError::WrongInput { model: Arc::clone(self.network.model()), takes });
        };
        if let Some(key) = self.stimulus(stimulus, out)? {
            self.forward(out)?;
            self.cache.insert(&key, out);
        }
        Ok(())
    }

    fn regions(&self) -> Option<&RegionsInput> {
        match &self.sight {
            Sight::Regions(input) => Some(input),
            Sight::Picture(_) => None,
        }
    }

    fn cache(&self) -> Option<Arc<CacheStats>> {
        Some(self.cache.stats())
    }
}

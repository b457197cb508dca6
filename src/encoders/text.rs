//! What does a sentence mean to a network? Words to tokens to one feature vector, remembered.
//!
//! The tokenizer is native (the `tokenizers` crate reads the model's own `tokenizer.json`) and gives the same numbers
//! as the Python package of that name. One sentence is one pass: nothing is padded, what is longer than the model's
//! maximum is cut at the end, special tokens kept (or refused, by a [strict](TextEncoder::strict) encoder). Features of
//! sentences seen before come from a bounded cache. In a batch the shorter texts are padded and masked, if the model
//! minds the mask; else those of one length go together.

use std::collections::BTreeMap;
use std::iter::repeat_n;
use std::sync::Arc;

use ort::session::SessionInputValue;
use ort::value::{TensorElementType, TensorRef};
use serde::{Deserialize, Serialize};
use tokenizers::{Encoding, Tokenizer, TruncationParams};

use super::batch::{self, Batching, Features};
use super::cache::{CacheStats, FeatureCache};
use super::manifest::{Kind, ModelFiles};
use super::onnx::{InputShape, Network, Runtime};
use super::{EncodeError, Encoder, EncoderError, EncoderSpec, Input, seconds};

/// Features of the words that events carry.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TextConfig {
    /// The model folder.
    pub model: std::path::PathBuf,
    /// The event source whose texts are encoded, by its name under `[events]`.
    pub events: String,
    /// Which of the layers in the model's manifest is the feature; the manifest's own output where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub layer: Option<String>,
    /// How many seconds one pass may take before it counts as late.
    #[serde(default = "deadline")]
    pub deadline: f64,
    /// How many sentences' features are remembered; 0 for none.
    #[serde(default = "cache")]
    pub cache: usize,
    /// How many seconds a feature holds from its event's onset; as long as the event lasts where it is not given.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub duration: Option<f64>,
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

impl TextConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), EncoderError> {
        seconds("deadline", self.deadline)?;
        if let Some(duration) = self.duration {
            seconds("duration", duration)?;
        }
        super::at_least_one("threads", self.threads)
    }
}

#[derive(Clone, Copy, Debug)]
enum Role {
    Ids,
    Mask,
    Types,
}

/// A sentence encoder: text in, one feature vector out.
#[derive(Debug)]
pub struct TextEncoder {
    spec: EncoderSpec,
    network: Network,
    /// What each of the session's inputs is.
    roles: Vec<Role>,
    tokenizer: Tokenizer,
    cache: FeatureCache,
    ids: Vec<i64>,
    mask: Vec<i64>,
    types: Vec<i64>,
    /// The most tokens that the network takes.
    limit: usize,
    /// How texts go through the network together, once that was tried.
    batching: Option<Batching>,
}

impl TextEncoder {
    /// Loads a text model; `cache` is how many features it remembers, `threads` how many compute one pass. One sentence
    /// is encoded as a trial.
    ///
    /// # Errors
    /// Why the model cannot be used; see [`EncoderError`].
    pub fn load(runtime: &Runtime, files: &ModelFiles, cache: usize, threads: usize) -> Result<Self, EncoderError> {
        let manifest = &files.manifest;
        let Some(input) = manifest.text.as_ref().filter(|_| manifest.kind == Kind::Text) else {
            return Err(EncoderError::WrongKind {
                path: files.folder.clone(),
                wanted: "text",
                other: manifest.kind.name(),
            });
        };
        let shape: &[Option<usize>] = &[Some(1), None];
        let mut roles = vec![(Role::Ids, &input.input_ids)];
        roles.extend(input.attention_mask.as_ref().map(|name| (Role::Mask, name)));
        roles.extend(input.token_type_ids.as_ref().map(|name| (Role::Types, name)));
        let declared: Vec<InputShape<'_>> =
            roles.iter().map(|(_, name)| (name.as_str(), TensorElementType::Int64, shape)).collect();
        let network = Network::load(runtime, files, &declared, threads)?;
        let roles = network.order().iter().filter_map(|place| Some(roles.get(*place)?.0)).collect();
        let path = files.folder.join("tokenizer.json");
        let tokenizer = tokenizer(&files.tokenizer, input.max_tokens)
            .map_err(|error| EncoderError::Tokenizer { path, problem: error.to_string() })?;
        let mut encoder = Self {
            spec: EncoderSpec::new(files),
            network,
            roles,
            tokenizer,
            cache: FeatureCache::new(cache),
            ids: Vec::with_capacity(input.max_tokens),
            mask: Vec::with_capacity(input.max_tokens),
            types: Vec::with_capacity(input.max_tokens),
            limit: input.max_tokens,
            batching: None,
        };
        let mut feature = Vec::with_capacity(manifest.dims);
        let trial = encoder.forward("A trial before the first stimulus.", &mut feature);
        trial.map_err(|error| EncoderError::Trial { path: files.folder.join("model.onnx"), error })?;
        Ok(encoder)
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

    /// The tokens of a text, as the network sees them.
    ///
    /// # Errors
    /// The tokenizer refuses the text.
    pub fn tokens(&self, text: &str) -> Result<Vec<u32>, EncodeError> {
        Ok(self.tokenize(text)?.get_ids().to_vec())
    }

    fn tokenize(&self, text: &str) -> Result<Encoding, EncodeError> {
        let failed = |error: tokenizers::Error| EncodeError::Run {
            model: Arc::clone(self.network.model()),
            problem: error.to_string(),
        };
        let encoding = self.tokenizer.encode_fast(text, true).map_err(failed)?;
        if encoding.len() > self.limit {
            let model = Arc::clone(self.network.model());
            return Err(EncodeError::TooLong { model, tokens: encoding.len(), limit: self.limit });
        }
        Ok(encoding)
    }

    /// One pass, cache or no cache.
    fn forward(&mut self, text: &str, out: &mut Vec<f32>) -> Result<(), EncodeError> {
        let encoding = self.tokenize(text)?;
        let mut features = self.pass(&[&encoding])?;
        *out = features.pop().unwrap_or_else(|| Ok(Vec::new()))?;
        Ok(())
    }

    /// One pass over several texts, padded to the longest.
    fn pass(&mut self, texts: &[&Encoding]) -> Result<Features, EncodeError> {
        let lengths: Vec<usize> = texts.iter().map(|text| text.len()).collect();
        let longest = lengths.iter().copied().max().unwrap_or(0);
        self.ids.clear();
        self.mask.clear();
        for text in texts {
            let padding = longest - text.len();
            self.ids.extend(text.get_ids().iter().map(|id| i64::from(*id)).chain(repeat_n(0, padding)));
            self.mask.extend(repeat_n(1, text.len()).chain(repeat_n(0, padding)));
        }
        self.types.clear();
        self.types.resize(self.ids.len(), 0);
        let shape = [texts.len(), longest];
        let model = self.network.model();
        let failed = |error: ort::Error| EncodeError::Run { model: Arc::clone(model), problem: error.to_string() };
        let mut inputs: Vec<SessionInputValue<'_>> = Vec::with_capacity(self.roles.len());
        for role in &self.roles {
            let values = match role {
                Role::Ids => &self.ids,
                Role::Mask => &self.mask,
                Role::Types => &self.types,
            };
            inputs.push(TensorRef::from_array_view((shape, values.as_slice())).map_err(failed)?.into());
        }
        self.network.run_batch(&inputs, texts.len(), &lengths)
    }

    fn one_by_one(&mut self, texts: &[&Encoding]) -> Features {
        texts.iter().map(|text| self.pass(&[text])?.pop().unwrap_or_else(|| Ok(Vec::new()))).collect()
    }

    /// How texts go through the network together: tried once.
    fn batching(&mut self) -> Result<Batching, EncodeError> {
        if let Some(known) = self.batching {
            return Ok(known);
        }
        let long = self.tokenize("A trial before the rest.")?;
        let (other, short) = (self.tokenize("The rest before a trial.")?, self.tokenize("A trial")?);
        let takes_batches = self.network.batches();
        let mut agree = |texts: &[&Encoding]| batch::agree(self.one_by_one(texts), self.pass(texts));
        let batching = if !takes_batches {
            Batching::Single
        } else if agree(&[&long, &short, &other]) {
            Batching::Padded
        } else if agree(&[&long, &other]) {
            Batching::Alike
        } else {
            Batching::Single
        };
        Ok(*self.batching.insert(batching))
    }
}

pub(super) fn tokenizer(json: &[u8], max_tokens: usize) -> Result<Tokenizer, tokenizers::Error> {
    let mut tokenizer = Tokenizer::from_bytes(json)?;
    tokenizer.with_padding(None);
    tokenizer.with_truncation(Some(TruncationParams { max_length: max_tokens, ..TruncationParams::default() }))?;
    Ok(tokenizer)
}

impl Encoder for TextEncoder {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn encode(&mut self, input: &Input<'_>, out: &mut Vec<f32>) -> Result<(), EncodeError> {
        let Input::Text(text) = input else {
            return Err(EncodeError::WrongInput { model: Arc::clone(self.network.model()), takes: "a text" });
        };
        if let Some(feature) = self.cache.get(text) {
            out.clear();
            out.extend_from_slice(feature);
            return Ok(());
        }
        self.forward(text, out)?;
        self.cache.insert(text, out);
        Ok(())
    }

    fn encode_batch(&mut self, inputs: &[Input<'_>]) -> Features {
        let tokenized = inputs.iter().map(|input| match input {
            Input::Text(text) => self.tokenize(text),
            _ => Err(EncodeError::WrongInput { model: Arc::clone(self.network.model()), takes: "a text" }),
        });
        let (encodings, places) = batch::sound(tokenized.collect());
        let batching = self.batching().unwrap_or(Batching::Single);
        let mut groups: BTreeMap<usize, Vec<(usize, &Encoding)>> = BTreeMap::new();
        for (place, text) in encodings.iter().enumerate() {
            let group = match batching {
                Batching::Padded => 0,
                Batching::Alike => text.len(),
                Batching::Single => place,
            };
            groups.entry(group).or_default().push((place, text));
        }
        let mut features: Vec<(usize, Result<Vec<f32>, EncodeError>)> = Vec::with_capacity(encodings.len());
        for group in groups.into_values() {
            let (there, texts): (Vec<usize>, Vec<&Encoding>) = group.into_iter().unzip();
            // What is refused together may do alone.
            let of_group = self.pass(&texts).unwrap_or_else(|_| self.one_by_one(&texts));
            features.extend(there.into_iter().zip(of_group));
        }
        features.sort_by_key(|(place, _)| *place);
        places.fill(features.into_iter().map(|(_, feature)| feature).collect())
    }

    fn cache(&self) -> Option<Arc<CacheStats>> {
        Some(self.cache.stats())
    }
}

//! What can go wrong with an encoder? Loading it, and encoding with it.

use std::path::PathBuf;
use std::sync::Arc;

use thiserror::Error;

use super::image::ImageError;
use super::inspect::Refusal;
use super::regions::RegionsError;

/// Why an encoder cannot be loaded.
#[derive(Debug, Error)]
pub enum EncoderError {
    /// A value of the configuration is out of range.
    #[error("{key} = {value}: {problem}")]
    Value {
        /// The key.
        key: &'static str,
        /// Its value.
        value: String,
        /// What it must be.
        problem: &'static str,
    },
    /// ONNX Runtime cannot be loaded.
    #[error(
        "ONNX Runtime at {path}: {problem} (run `make assets`, or set [libraries] onnxruntime to a libonnxruntime.so)"
    )]
    Library {
        /// Where it was looked for.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file of a model folder is not there.
    #[error(
        "{path}: there is no such file (run `make assets` for the models that come with neurod, or set model to a model folder)"
    )]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file cannot be read.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: PathBuf,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file is too large to be what it should be.
    #[error("{path}: {bytes} bytes; the limit is {limit}")]
    TooLarge {
        /// The file.
        path: PathBuf,
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A manifest is malformed.
    #[error("{path}:{line}: {problem}")]
    Manifest {
        /// The manifest.
        path: String,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        problem: String,
    },
    /// A file is not the one that the manifest names.
    #[error(
        "{path}: its SHA-256 is {found}, the manifest says {expected} (fetch the model again, or correct the manifest)"
    )]
    Hash {
        /// The file.
        path: PathBuf,
        /// What the manifest says.
        expected: String,
        /// What it is.
        found: String,
    },
    /// A network must not be run.
    #[error("{path}: refused: {refusal}")]
    Refused {
        /// The model file.
        path: PathBuf,
        /// Why.
        refusal: Refusal,
    },
    /// ONNX Runtime cannot make a session of the model.
    #[error("{path}: ONNX Runtime refuses it: {problem}")]
    Session {
        /// The model file.
        path: PathBuf,
        /// What the runtime said.
        problem: String,
    },
    /// A network is not what its manifest says.
    #[error("{path}: {problem} (correct manifest.toml)")]
    Mismatch {
        /// The model file.
        path: PathBuf,
        /// What does not fit.
        problem: String,
    },
    /// A model of another kind than the configuration asks for.
    #[error(
        "{path}: this is a model of kind \"{other}\"; write `{other} = {{ ... }}` in place of `{wanted} = {{ ... }}`"
    )]
    WrongKind {
        /// The model folder.
        path: PathBuf,
        /// What was asked for.
        wanted: &'static str,
        /// What it is.
        other: &'static str,
    },
    /// A layer that the manifest does not name.
    #[error("{path}: no layer \"{layer}\" in manifest.toml (there are: {known})")]
    Layer {
        /// The model folder.
        path: PathBuf,
        /// What was asked for.
        layer: String,
        /// What there is.
        known: String,
    },
    /// A tokenizer is malformed.
    #[error("{path}: {problem}")]
    Tokenizer {
        /// The tokenizer's file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// The trial pass failed.
    #[error("{path}: the trial pass failed: {error}")]
    Trial {
        /// The model file.
        path: PathBuf,
        /// How.
        error: EncodeError,
    },
    /// A model without ONNX Runtime to run it.
    #[error("ONNX Runtime has not been loaded (see `neurod doctor`)")]
    NoRuntime,
    /// The source does not send what the model takes.
    #[error("{problem}")]
    Source {
        /// What does not fit, and the fix.
        problem: String,
    },
}

/// Why an input has no feature.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum EncodeError {
    /// An input of another kind.
    #[error("model {model} takes {takes}")]
    WrongInput {
        /// The model's name.
        model: Arc<str>,
        /// What it takes.
        takes: &'static str,
    },
    /// A window of another shape.
    #[error(
        "model {model} takes a window of {} channels × {} samples, got {} × {}",
        .expected.0, .expected.1, .got.0, .got.1
    )]
    Shape {
        /// The model's name.
        model: Arc<str>,
        /// Channels and samples that it takes.
        expected: (usize, usize),
        /// Channels and samples that it was given.
        got: (usize, usize),
    },
    /// A stimulus that is no picture.
    #[error("image {image}: {error}")]
    Image {
        /// Its file, as the event names it, or what it is.
        image: String,
        /// What is wrong.
        error: ImageError,
    },
    /// Regions that cannot be used.
    #[error("regions {regions}: {error}")]
    Regions {
        /// Their file, as the event names it, or where they are.
        regions: String,
        /// What is wrong.
        error: RegionsError,
    },
    /// A stimulus without all that the model takes.
    #[error("model {model} takes a stimulus with {part}, which this one does not have")]
    Incomplete {
        /// The model's name.
        model: Arc<str>,
        /// What is missing, and where it would come from.
        part: &'static str,
    },
    /// The runtime or the tokenizer failed.
    #[error("model {model}: {problem}")]
    Run {
        /// The model's name.
        model: Arc<str>,
        /// What it said.
        problem: String,
    },
    /// The output has another length than the manifest says.
    #[error("model {model}: expected a feature of {expected} values, the output has {got}")]
    Length {
        /// The model's name.
        model: Arc<str>,
        /// The manifest's dims.
        expected: usize,
        /// How many values the output has.
        got: usize,
    },
    /// The feature has values that are not finite.
    #[error("model {model}: {count} values of the feature are not finite")]
    NonFinite {
        /// The model's name.
        model: Arc<str>,
        /// How many.
        count: usize,
    },
    /// A text longer than the model takes, where none may be cut.
    #[error("{tokens} tokens; model {model} takes {limit} (shorten the text, or have it cut)")]
    TooLong {
        /// The model's name.
        model: Arc<str>,
        /// How many tokens the text has, special ones included.
        tokens: usize,
        /// How many the model takes.
        limit: usize,
    },
}

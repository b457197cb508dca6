//! How does it all come together? The only folder that knows every module.
//!
//! [`Settings`] are what the user wrote. [`wiring`] turns their names into connections and checks every shape that can
//! be known beforehand; [`offline`] builds a replay of them, [`live`] starts the lanes and the service.

mod candidates;
mod control;
mod inputs;
pub mod live;
mod models;
mod networks;
pub mod offline;
pub mod reload;
mod settings;
mod triggers;
pub mod wiring;

use thiserror::Error;

pub use settings::{
    EventsConfig, EventsInput, InputConfig, JsonlConfig, Libraries, SessionConfig, Settings, SinksConfig, SourceConfig,
};

use crate::acquisition::SourceError;
use crate::config::ConfigError;
use crate::encoders::EncoderError;
use crate::exit::Exit;
use crate::frame::PrepareError;
use crate::native::NativeError;
use crate::ridge::{ModelError, RidgeError};
use crate::runtime::lanes::{Failure, Fault};
use crate::runtime::{PlanError, ResumeError};
use crate::service::ServiceError;

/// Why neurod cannot do what it was asked to.
#[derive(Debug, Error)]
pub enum AppError {
    /// The configuration cannot be read.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// A name in the configuration leads nowhere.
    #[error(transparent)]
    Plan(#[from] PlanError),
    /// A setting that cannot be.
    #[error("{place}: {problem}")]
    Setting {
        /// The key.
        place: String,
        /// What is wrong with it, and the mend.
        problem: String,
    },
    /// A source cannot be read.
    #[error("source \"{name}\": {error}")]
    Source {
        /// Its name.
        name: String,
        /// Why.
        error: SourceError,
    },
    /// A source's stages do not fit together.
    #[error("source \"{name}\": {error}")]
    Chain {
        /// The source.
        name: String,
        /// Which stage, and why.
        error: PrepareError,
    },
    /// An encoder cannot be loaded.
    #[error("encoder \"{name}\": {error}")]
    Encoder {
        /// Its name.
        name: String,
        /// Why.
        error: EncoderError,
    },
    /// A network cannot be made, or its model loaded.
    #[error("network \"{name}\": {error}")]
    Network {
        /// Its name.
        name: String,
        /// Why.
        error: EncoderError,
    },
    /// A predictor cannot be made.
    #[error("predictor \"{name}\": {error}")]
    Predictor {
        /// Its name.
        name: String,
        /// Why.
        error: RidgeError,
    },
    /// A predictor cannot go on from its checkpoint.
    #[error("predictor \"{name}\": {error}")]
    Resume {
        /// Its name.
        name: String,
        /// Why.
        error: ResumeError,
    },
    /// A fitted model cannot be read.
    #[error("predictor \"{name}\": {error}")]
    Model {
        /// The predictor.
        name: String,
        /// Why.
        error: ModelError,
    },
    /// A native library is missing.
    #[error(transparent)]
    Native(#[from] NativeError),
    /// The service cannot start.
    #[error(transparent)]
    Service(#[from] ServiceError),
    /// The system refused.
    #[error("{what}: {error}")]
    Io {
        /// What was tried.
        what: String,
        /// What it said.
        error: std::io::Error,
    },
    /// Something ended the lanes.
    #[error("{}", .0.problem)]
    Failed(Failure),
}

impl AppError {
    /// What the process ends with.
    pub fn exit(&self) -> Exit {
        match self {
            AppError::Config(_) | AppError::Plan(_) | AppError::Setting { .. } | AppError::Chain { .. } => Exit::Config,
            AppError::Predictor { .. } => Exit::Config,
            AppError::Failed(failure) => match failure.fault {
                Fault::Config => Exit::Config,
                Fault::Data => Exit::Data,
                Fault::Defect => Exit::Internal,
            },
            AppError::Source { error, .. } => Self::exit_of_source(error),
            AppError::Resume { error, .. } if error.is_config() => Exit::Config,
            AppError::Network { error: EncoderError::Value { .. } | EncoderError::Source { .. }, .. } => Exit::Config,
            AppError::Encoder { .. } | AppError::Network { .. } | AppError::Resume { .. } => Exit::Data,
            AppError::Model { error, .. } if error.is_config() => Exit::Config,
            AppError::Model { error, .. } => Self::exit_of_model(error),
            AppError::Service(error) if error.is_config() => Exit::Config,
            AppError::Native(_) | AppError::Service(_) => Exit::Unavailable,
            AppError::Io { error, .. } => Exit::from_io(error),
        }
    }

    /// What the process ends with when a source cannot be read.
    pub fn exit_of_source(error: &SourceError) -> Exit {
        match error {
            SourceError::Io { error, .. } => Exit::from_io(error),
            SourceError::Malformed { .. } | SourceError::Short { .. } => Exit::Data,
            SourceError::Config(_) => Exit::Config,
            SourceError::Stream { .. } | SourceError::Listen { .. } | SourceError::Library(_) => Exit::Unavailable,
        }
    }

    /// What the process ends with when a fitted model cannot be used.
    pub fn exit_of_model(error: &ModelError) -> Exit {
        match error {
            ModelError::Io { error, .. } => Exit::from_io(error),
            _ => Exit::Data,
        }
    }

    fn setting(place: impl Into<String>, problem: impl Into<String>) -> Self {
        AppError::Setting { place: place.into(), problem: problem.into() }
    }
}

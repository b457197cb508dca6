//! What can be wrong with networks, their labels, or a model of them?

use thiserror::Error;

/// Why a network cannot be made, or a model of networks cannot be learned.
#[derive(Debug, Error)]
pub enum NetworkError {
    /// One network that cannot be used.
    #[error("network of {sample}: {problem}")]
    Sample {
        /// The sample's name.
        sample: String,
        /// What is wrong with it, and the mend.
        problem: String,
    },
    /// Labels that do not serve.
    #[error("labels: {0}")]
    Labels(String),
    /// Samples that cannot be divided as asked.
    #[error("folds: {0}")]
    Folds(String),
    /// A model's description that cannot be followed.
    #[error("model \"{model}\": {problem}")]
    Model {
        /// Its name.
        model: String,
        /// What is wrong, and the mend.
        problem: String,
    },
}

//! What can be asked of a trained model?

use std::path::PathBuf;

use clap::Args;

/// `neurod network predict`
#[derive(Clone, Debug, Args)]
pub struct PredictNetworksArgs {
    /// The model's file; its manifest lies beside it (manifest.toml beside model.onnx, NAME.toml beside NAME.onnx)
    pub model: PathBuf,
    /// Networks over the regions that it takes, as `neurod network build` makes them
    pub networks: PathBuf,
    /// Where the table goes: sample, participant, predicted, and the probability of each class
    #[arg(long, value_name = "FILE", default_value = "-")]
    pub out: PathBuf,
}

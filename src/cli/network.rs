//! What can be asked of brain networks? One file a command.

mod train;

use clap::Subcommand;

pub use train::TrainArgs;

/// `neurod network …`
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Learn a model from networks, and write it as ONNX with its manifest
    #[command(after_help = "Examples:
  neurod network train networks.npz --labels participants.tsv:diagnosis --export model.onnx
  neurod network train networks.npz --model node-concat-attention --seed 1 --export heat/model.onnx
  neurod network train networks.npz --labels participants.tsv:age --regression --model my.toml --export age.onnx")]
    Train(TrainArgs),
}

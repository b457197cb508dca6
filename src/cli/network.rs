//! What can be asked of brain networks? One file a command.

mod benchmark;
mod train;

use clap::Subcommand;

pub use benchmark::{BenchmarkArgs, Task};
pub use train::TrainArgs;

/// `neurod network …`
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Which model reads most from these networks? All on the same folds, beside no model at all
    ///
    /// A participant is never on both sides of a fold; settings are chosen on inner folds of the training participants. DIR gets
    /// results.tsv (a row per model and fold), predictions.tsv, leaderboard.tsv, folds.tsv, timing.tsv, summary.json, table.html and
    /// figures/; progress/ keeps what is finished, so that a run that was cut short goes on, and ends in the same bytes.
    #[command(after_help = "Examples:
  neurod network benchmark networks.npz --labels participants.tsv:diagnosis --models all --folds 5 --seed 0 --out results
  neurod network benchmark networks.npz --models logistic,svm,tuned.toml --folds leave-one-person-out --out results
  neurod network benchmark networks.npz --labels participants.tsv:age --task values --group site --out results")]
    Benchmark(BenchmarkArgs),
    /// Learn a model from networks, and write it as ONNX with its manifest
    #[command(after_help = "Examples:
  neurod network train networks.npz --labels participants.tsv:diagnosis --export model.onnx
  neurod network train networks.npz --model node-concat-attention --seed 1 --export heat/model.onnx
  neurod network train networks.npz --labels participants.tsv:age --regression --model my.toml --export age.onnx")]
    Train(TrainArgs),
}

//! What can be asked of brain networks? One file a command.

mod benchmark;
mod build;
mod explain;
mod fingerprint;
mod predict;
mod question;
mod synthesize;
mod train;

use clap::Subcommand;

pub use benchmark::{BenchmarkArgs, Task};
pub use build::{BuildArgs, KindArg, ShrinkageArg, SignArg, WeightArg};
pub use explain::{BaselineArg, ExplainArgs, MethodArg};
pub use fingerprint::FingerprintArgs;
pub use predict::PredictNetworksArgs;
pub use question::QuestionArgs;
pub use synthesize::{EffectArg, SynthesizeArgs};
pub use train::TrainArgs;

/// `neurod network …`
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// Make networks of region time series, or of matrices
    #[command(after_help = "Examples:
  neurod network build data --kind pearson --fisher-z --label diagnosis --out networks.npz
  neurod network build heatpain --kind pearson --shrinkage none --fisher-z --tr 2 --out heat.npz
  neurod network build abide.npz --kind tangent --out tangent.npz
  neurod network build hcp --match functional --structural hcp --structural-match DTI_CM --symmetrise --out hcp.npz")]
    Build(Box<BuildArgs>),
    /// Make networks up, of two groups that differ where it is known
    Synthesize(SynthesizeArgs),
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
    /// Which edges and regions does a model read, and are they the same in all folds?
    ///
    /// The model learns from the training people of each fold, as in `benchmark`; its score on the others stands beside what it reads,
    /// with a warning where it knows nothing. DIR gets edges.tsv, nodes.tsv, summary.json, explain.html and figures/: a matrix, a chord
    /// picture and, where coordinates are known, the brain from three sides. docs/network-biomarkers.md says what each method means.
    #[command(after_help = "Examples:
  neurod network explain networks.npz --labels participants.tsv:diagnosis --model logistic --out explained
  neurod network explain networks.npz --model node-edge-concat --method mask --coordinates regions.tsv --out explained
  neurod network explain networks.npz --labels participants.tsv:age --task values --model ridge --top 100 --out explained")]
    Explain(ExplainArgs),
    /// Learn a model from networks, and write it as ONNX with its manifest
    #[command(after_help = "Examples:
  neurod network train networks.npz --labels participants.tsv:diagnosis --export model.onnx
  neurod network train networks.npz --model node-concat-attention --seed 1 --export heat/model.onnx
  neurod network train networks.npz --labels participants.tsv:age --task values --model my.toml --export age.onnx")]
    Train(TrainArgs),
    /// What does a trained model say of these networks?
    #[command(after_help = "Examples:
  neurod network predict model.onnx networks.npz --out p.tsv")]
    Predict(PredictNetworksArgs),
    /// How long must one be seen to be known? Each person of one session looked for in another, by window length
    #[command(after_help = "Examples:
  neurod network fingerprint scans --first ts_run_03 --second ts_run_07 --windows 20,60,100 --drop-columns GlobSig")]
    Fingerprint(FingerprintArgs),
}

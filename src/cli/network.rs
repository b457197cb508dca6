//! What can be asked of brain networks? One file a command.

use std::path::PathBuf;

use clap::{Args, Subcommand};

/// `neurod network …`
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {
    /// What does a trained model say of these networks?
    #[command(after_help = "Examples:
  neurod network predict model.onnx networks.npz --out p.tsv")]
    Predict(PredictNetworksArgs),
    /// How long must one be seen to be known? Each person of one session looked for in another, by window length
    #[command(after_help = "Examples:
  neurod network fingerprint scans --first ts_run_03 --second ts_run_07 --windows 20,60,100 --drop-columns GlobSig")]
    Fingerprint(FingerprintArgs),
}

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

/// `neurod network fingerprint`
#[derive(Clone, Debug, Args)]
pub struct FingerprintArgs {
    /// A folder of tables, volumes × regions; a file's name begins with its participant, up to the first _
    pub data: PathBuf,
    /// What the names of the first session's files contain: these people are looked for
    #[arg(long, value_name = "TEXT")]
    pub first: String,
    /// What the names of the second session's files contain: they are looked for here
    #[arg(long, value_name = "TEXT")]
    pub second: String,
    /// How many volumes are seen of each session
    #[arg(long, value_name = "VOLUMES", value_delimiter = ',', default_values_t = [20, 60, 100])]
    pub windows: Vec<usize>,
    /// How many volumes at the beginning of each session are passed over
    #[arg(long, value_name = "VOLUMES", default_value_t = 0)]
    pub skip: usize,
    /// Columns that are no region
    #[arg(long, value_name = "NAME", value_delimiter = ',')]
    pub drop_columns: Vec<String>,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

//! What is asked of `neurod network train`?

use std::path::PathBuf;

use clap::Args;

use super::Task;

/// `neurod network train`
#[derive(Debug, Args)]
pub struct TrainArgs {
    /// The networks: what `neurod network build` wrote
    #[arg(value_name = "NETWORKS")]
    pub networks: PathBuf,
    /// What is learned of each sample: a column of a table of participants. Otherwise the labels in NETWORKS
    #[arg(long, value_name = "TSV:COLUMN")]
    pub labels: Option<String>,
    /// Whether labels are classes or numbers
    #[arg(long, value_enum, default_value_t = Task::Classes)]
    pub task: Task,
    /// A model by name, or a TOML file of one
    #[arg(long, value_name = "NAME|FILE", default_value = "node-edge-concat")]
    pub model: String,
    /// Of a model that learns in epochs, what share of the people is held back: their samples say when it stops, and how sure it is.
    /// Others learn from everybody, and are calibrated on people who are left out in turn
    #[arg(long, value_name = "SHARE", default_value_t = 0.2, value_parser = share)]
    pub validation: f64,
    /// What chance draws from
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
    /// Where the model goes, as ONNX; its manifest goes beside it (manifest.toml beside model.onnx, NAME.toml beside NAME.onnx)
    #[arg(long, value_name = "MODEL.onnx")]
    pub export: PathBuf,
    /// The model's licence, for the manifest: an SPDX expression
    #[arg(long, value_name = "SPDX", default_value = "LicenseRef-unstated")]
    pub licence: String,
    /// How long the recordings were that the networks are of, for the manifest
    #[arg(long, value_name = "SECONDS", allow_negative_numbers = true)]
    pub window: Option<f64>,
}

fn share(text: &str) -> Result<f64, &'static str> {
    let share = text.parse().ok().filter(|share| (0.0..=0.5).contains(share));
    share.ok_or("give a share from 0 (nobody) to 0.5")
}

//! What is asked of which networks? The options that whoever divides people into folds has in common.

use std::path::PathBuf;

use clap::Args;

use super::Task;

/// Networks, what is learned of them, and how people are divided.
#[derive(Clone, Debug, Args)]
pub struct QuestionArgs {
    /// The networks: networks.npz, as `neurod network build` writes it
    #[arg(value_name = "NETWORKS")]
    pub networks: PathBuf,
    /// What is learned: a column of participants.tsv. By default the labels in NETWORKS
    #[arg(long, value_name = "FILE:COLUMN")]
    pub labels: Option<String>,
    /// Keep apart as well what is equal in this column: sites, scanners, families. A column of the labels' FILE, or FILE:COLUMN
    #[arg(long, value_name = "COLUMN")]
    pub group: Option<String>,
    /// Whether labels are classes or numbers
    #[arg(long, value_enum, default_value_t = Task::Classes)]
    pub task: Task,
    /// How people are divided: so many parts, leave-one-person-out, or (with --group) leave-one-group-out
    #[arg(long, value_name = "N|SCHEME", default_value = "5")]
    pub folds: String,
    /// Inner folds, within the training people, that settings are chosen by
    #[arg(long, value_name = "N", default_value_t = 5)]
    pub inner_folds: usize,
    /// The share of the training people that is held back to stop a training in epochs by; 0 for none
    #[arg(long, value_name = "SHARE", default_value_t = 0.2)]
    pub validation: f64,
    /// Train no model for more epochs
    #[arg(long, value_name = "N")]
    pub max_epochs: Option<u32>,
    /// Of everything that is drawn: folds, first weights, bootstrap
    #[arg(long, value_name = "N", default_value_t = 0)]
    pub seed: u64,
}

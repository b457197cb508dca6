//! What was asked of `neurod network benchmark`?

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `neurod network benchmark`
#[derive(Clone, Debug, Args)]
pub struct BenchmarkArgs {
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
    /// Which models: all that suit, or a list of names and TOML files (docs/network-benchmark.md); the majority class or the mean stands
    /// beside them always
    #[arg(long, value_name = "all|LIST", value_delimiter = ',', default_value = "all")]
    pub models: Vec<String>,
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
    /// Where results go. What is there of a run that was cut short is not computed again
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// What labels are.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Task {
    /// One of several names
    Classes,
    /// Numbers
    Values,
}

//! What was asked of `neurod network benchmark`?

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::QuestionArgs;

/// `neurod network benchmark`
#[derive(Clone, Debug, Args)]
pub struct BenchmarkArgs {
    /// Which networks, what of them, and how people are divided
    #[command(flatten)]
    pub question: QuestionArgs,
    /// Which models: all that suit, or a list of names and TOML files (docs/network-benchmark.md); the majority class or the mean stands
    /// beside them always
    #[arg(long, value_name = "all|LIST", value_delimiter = ',', default_value = "all")]
    pub models: Vec<String>,
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

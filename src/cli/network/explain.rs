//! What was asked of `neurod network explain`?

use std::path::PathBuf;

use clap::{Args, ValueEnum};

use super::QuestionArgs;

/// `neurod network explain`
#[derive(Clone, Debug, Args)]
pub struct ExplainArgs {
    /// Which networks, what of them, and how people are divided
    #[command(flatten)]
    pub question: QuestionArgs,
    /// The model: a name, or a TOML file of one (docs/network-benchmark.md)
    #[arg(long, value_name = "NAME|FILE", default_value = "logistic")]
    pub model: String,
    /// How it is explained. By default pattern for linear models, and gradients for deep ones
    #[arg(long, value_enum)]
    pub method: Option<MethodArg>,
    /// What a network is compared with by gradients, and what masked edges become
    #[arg(long, value_enum, default_value_t = BaselineArg::Mean)]
    pub baseline: BaselineArg,
    /// Steps that gradients are integrated in
    #[arg(long, value_name = "N", default_value_t = 32, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub steps: u32,
    /// Where regions lie: a table with columns name (or region), x, y and z, in mm RAS. By default what NETWORKS say
    #[arg(long, value_name = "TSV")]
    pub coordinates: Option<PathBuf>,
    /// How many edges are first: what folds are compared by, and what figures show
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = clap::value_parser!(u32).range(1..))]
    pub top: u32,
    /// Where results go
    #[arg(long, value_name = "DIR")]
    pub out: PathBuf,
    /// Print the summary as JSON
    #[arg(long)]
    pub json: bool,
}

/// A method.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum MethodArg {
    /// How each edge moves with what a linear model says (Haufe)
    Pattern,
    /// How much of what the model tells passes through each edge (integrated gradients)
    Gradients,
    /// How much regions listen to each other, of models with attention
    Attention,
    /// How much of each edge a deep model needs (IBGNN)
    Mask,
}

/// A baseline.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BaselineArg {
    /// The mean of the training networks
    Mean,
    /// The empty network
    Zero,
}

//! What can be said of networks that are made up?

use std::path::PathBuf;

use clap::{Args, ValueEnum};

/// `neurod network synthesize`
#[derive(Debug, Args)]
pub struct SynthesizeArgs {
    /// Where the two groups differ
    #[arg(long, value_enum, default_value_t = EffectArg::Community)]
    pub effect: EffectArg,
    /// By how much, in Fisher's z; the noise of an edge has a deviation of 0.25
    #[arg(long, value_name = "Z", default_value_t = 0.25)]
    pub strength: f64,
    /// How many people
    #[arg(long, value_name = "N", default_value_t = 100)]
    pub people: usize,
    /// How many regions
    #[arg(long, value_name = "N", default_value_t = 40)]
    pub regions: usize,
    /// What chance draws from
    #[arg(long, default_value_t = 0)]
    pub seed: u64,
    /// The file to write
    #[arg(long, short, value_name = "FILE.npz")]
    pub out: PathBuf,
}

/// Where groups differ.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum EffectArg {
    /// All edges among the first quarter of the regions
    Community,
    /// One pair of regions in twenty, half of them stronger and half weaker
    Edges,
    /// Nowhere
    None,
}

//! What can be asked of brain networks? One file a command.

mod build;
mod synthesize;

use clap::Subcommand;

pub use build::{BuildArgs, KindArg, ShrinkageArg, SignArg, WeightArg};
pub use synthesize::{EffectArg, SynthesizeArgs};

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
}

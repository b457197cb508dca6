//! Brain networks, offline: one file a command.

mod benchmark;
mod build;
mod fingerprint;
mod gather;
mod labels;
mod predict;
mod synthesize;
mod train;

use crate::cli::NetworkCommand;

/// Does what was asked for.
///
/// # Errors
/// Why not.
pub fn run(command: &NetworkCommand) -> anyhow::Result<()> {
    match command {
        NetworkCommand::Build(args) => build::run(args),
        NetworkCommand::Synthesize(args) => synthesize::run(args),
        NetworkCommand::Benchmark(args) => benchmark::run(args),
        NetworkCommand::Train(args) => train::run(args),
        NetworkCommand::Predict(args) => predict::run(args),
        NetworkCommand::Fingerprint(args) => fingerprint::run(args),
    }
}

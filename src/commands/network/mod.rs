//! Brain networks, offline: one file a command.

mod benchmark;
mod build;
mod explain;
mod fingerprint;
mod gather;
mod labels;
mod models;
mod predict;
mod question;
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
        NetworkCommand::Explain(args) => explain::run(args),
        NetworkCommand::Train(args) => train::run(args),
        NetworkCommand::Predict(args) => predict::run(args),
        NetworkCommand::Fingerprint(args) => fingerprint::run(args),
    }
}

/// A number in a table; n/a where it is undefined.
fn cell(value: f64) -> String {
    if value.is_finite() { value.to_string() } else { "n/a".into() }
}

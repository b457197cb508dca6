//! Brain networks, offline: one file a command.

mod fingerprint;
mod predict;

use crate::cli::NetworkCommand;

/// Does what was asked for.
///
/// # Errors
/// Why not.
pub fn run(command: &NetworkCommand) -> anyhow::Result<()> {
    match command {
        NetworkCommand::Predict(args) => predict::run(args),
        NetworkCommand::Fingerprint(args) => fingerprint::run(args),
    }
}

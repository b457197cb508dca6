//! Brain networks, offline: one file a command.

mod build;
mod gather;
mod synthesize;

use crate::cli::NetworkCommand;

/// Does what was asked for.
///
/// # Errors
/// Why not.
pub fn run(command: &NetworkCommand) -> anyhow::Result<()> {
    match command {
        NetworkCommand::Build(args) => build::run(args),
        NetworkCommand::Synthesize(args) => synthesize::run(args),
    }
}

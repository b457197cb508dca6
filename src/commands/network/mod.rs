//! Brain networks, offline: one file a command.

mod train;

use crate::cli::NetworkCommand;

/// Does what was asked for.
///
/// # Errors
/// Why not.
pub fn run(command: &NetworkCommand) -> anyhow::Result<()> {
    match command {
        NetworkCommand::Train(args) => train::run(args),
    }
}

//! Encoding models, offline: one file a command, over what [`design`] reads and checks for all of them.

mod compare;
mod design;
mod evaluate;
mod report;
mod scores;
mod spaces;
mod validate;
mod write;

use crate::cli::EncodeCommand;

/// Does what was asked for.
///
/// # Errors
/// Why not.
pub fn run(command: &EncodeCommand) -> anyhow::Result<()> {
    match command {
        EncodeCommand::Evaluate(args) => evaluate::run(args),
        EncodeCommand::Compare(args) => compare::run(args),
        EncodeCommand::Report(args) => report::run(args),
    }
}

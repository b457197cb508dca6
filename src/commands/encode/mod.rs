//! Encoding models, offline: one file a command, over what `design` reads and checks for all of them.

mod chance;
mod compare;
pub(super) mod design;
mod evaluate;
mod extract;
mod features;
mod fit;
mod identify;
mod import;
mod predict;
mod reads;
mod report;
mod scores;
mod spaces;
mod timing;
mod validate;
mod write;

use crate::cli::EncodeCommand;
pub(crate) use design::progress;
pub(super) use write::{Staged, command_line, whole};

/// Does what was asked for.
///
/// # Errors
/// Why not.
pub fn run(command: &EncodeCommand) -> anyhow::Result<()> {
    match command {
        EncodeCommand::Evaluate(args) => evaluate::run(args),
        EncodeCommand::Features(args) => features::run(args),
        EncodeCommand::Fit(args) => fit::run(args),
        EncodeCommand::Identify(args) => identify::run(args),
        EncodeCommand::Predict(args) => predict::run(args),
        EncodeCommand::Import(format) => import::run(format),
        EncodeCommand::Compare(args) => compare::run(args),
        EncodeCommand::Report(args) => report::run(args),
    }
}

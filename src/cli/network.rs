//! What can be asked of brain networks? One file a command.

use clap::Subcommand;

/// `neurod network …`
#[derive(Debug, Subcommand)]
pub enum NetworkCommand {}

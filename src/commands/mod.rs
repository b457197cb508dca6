//! What can be done from the command line? One file a command; each prints for people, or JSON for scripts.
//!
//! **Invariant.** What is printed goes through `write!`, whose error is passed on: `print!` panics when a pipe is closed.

pub mod bench;
pub mod check;
pub mod demo;
pub mod doctor;
pub mod encode;
pub mod network;
pub mod regions;
pub mod replay;
pub mod run;
pub mod scanner;
pub mod score;
mod signals;
pub mod streams;
mod table;

use anyhow::Error;

use crate::acquisition::SourceError;
use crate::app::AppError;
use crate::cli::{Cli, Command};
use crate::datasets::DatasetError;
use crate::encoders::EncoderError;
use crate::encoding::EncodingError;
use crate::exit::Exit;
use crate::fmri::FmriError;
use crate::native::NativeError;
use crate::network::NetworkError;
use crate::publish::lsl::OutletError;
use crate::ridge::{CheckpointError, ModelError};
use crate::scanner::ScannerError;

/// Does what was asked for; what the process ends with.
///
/// # Errors
/// Why not; [`exit_of`] says what the process ends with.
pub fn run(cli: Cli) -> Result<Exit, Error> {
    let success = |()| Exit::Success;
    let done = match cli.command {
        Command::Run(args) => run::run(&args).map(success),
        Command::Check(args) => check::run(&args).map(success),
        Command::Demo(args) => demo::run(&args).map(success),
        Command::Replay(args) => replay::run(&args).map(success),
        Command::Streams(args) => streams::run(&args).map(success),
        Command::Doctor(args) => doctor::run(&args),
        Command::Regions(args) => regions::run(&args).map(success),
        Command::Encode(command) => encode::run(&command).map(success),
        Command::Network(command) => network::run(&command).map(success),
        Command::Scanner(args) => scanner::run(&args).map(success),
        Command::Bench(args) => bench::run(&args).map(success),
    };
    match done {
        // Whoever reads has read enough, as `head` does.
        Err(error) if is_closed_pipe(&error) => Ok(Exit::Success),
        done => done,
    }
}

fn is_closed_pipe(error: &Error) -> bool {
    let io = error.root_cause().downcast_ref::<std::io::Error>();
    io.is_some_and(|io| io.kind() == std::io::ErrorKind::BrokenPipe)
}

/// What the process ends with after this error.
pub fn exit_of(error: &Error) -> Exit {
    if let Some(app) = error.downcast_ref::<AppError>() {
        app.exit()
    } else if error.downcast_ref::<NativeError>().is_some() || error.downcast_ref::<OutletError>().is_some() {
        Exit::Unavailable
    } else if error.downcast_ref::<CheckpointError>().is_some() {
        Exit::Io
    } else if error.is::<DatasetError>()
        || error.is::<NetworkError>()
        || error.is::<EncodingError>()
        || error.is::<EncoderError>()
        || error.is::<FmriError>()
    {
        Exit::Data
    } else if let Some(model) = error.downcast_ref::<ModelError>() {
        AppError::exit_of_model(model)
    } else if let Some(source) = error.downcast_ref::<SourceError>() {
        AppError::exit_of_source(source)
    } else if let Some(scanner) = error.downcast_ref::<ScannerError>() {
        match scanner {
            ScannerError::Recording(source) => AppError::exit_of_source(source),
            ScannerError::Unsuited(_) => Exit::Data,
            ScannerError::Association(_) => Exit::Unavailable,
            ScannerError::Encoding(_) => Exit::Internal,
        }
    } else if let Some(io) = error.root_cause().downcast_ref::<std::io::Error>() {
        Exit::from_io(io)
    } else {
        Exit::Usage
    }
}

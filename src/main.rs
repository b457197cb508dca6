//! The `neurod` program: what was asked for, done by the library; an exit code from `sysexits.h`.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use neurod::cli::Cli;
use neurod::commands;
use neurod::exit::Exit;
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            // Nothing else can be said if the terminal is gone.
            let _ = error.print();
            return if error.use_stderr() { Exit::Usage.into() } else { Exit::Success.into() };
        }
    };
    let daemon = matches!(cli.command, neurod::cli::Command::Run(_));
    let filter = cli.log.as_deref().unwrap_or(if daemon { "info" } else { "warn" });
    let filter = match EnvFilter::try_new(filter) {
        Ok(filter) => filter,
        Err(error) => {
            eprintln!("neurod: --log {filter}: {error}");
            return Exit::Usage.into();
        }
    };
    let log = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    match cli.log_json {
        true => log.json().init(),
        false => log.with_ansi(std::io::stderr().is_terminal()).init(),
    }
    match commands::run(cli) {
        Ok(exit) => exit.into(),
        Err(error) => {
            eprintln!("neurod: {error:#}");
            commands::exit_of(&error).into()
        }
    }
}

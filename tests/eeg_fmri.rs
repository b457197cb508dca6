//! EEG inside the scanner, and together with it: artifacts are taken out, regions are learned, clocks are joined.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

#[path = "eeg_fmri/cleaning.rs"]
mod cleaning;
#[path = "eeg_fmri/clocks.rs"]
mod clocks;
#[path = "eeg_fmri/learning.rs"]
mod learning;

use std::path::{Path, PathBuf};
use std::process::Command;

/// The recording of EEG, once fetched, and a Python with these modules.
fn peers(modules: &[&str]) -> Option<(PathBuf, PathBuf)> {
    let cache = std::env::var_os("NEUROD_CACHE").map_or_else(|| PathBuf::from(".cache"), PathBuf::from);
    let path = cache.join("data/eeg/sub-1/eeg/sub-1_task-slowpotentials_eeg.edf");
    let found = if path.is_file() { Ok(path) } else { Err("run `make venv`".into()) };
    Some((common::peer("recording of EEG", found)?, common::python(modules)?))
}

/// What a script of the repository says when it is run with these arguments.
fn script(python: &Path, script: &str, arguments: &[&Path]) -> Vec<u8> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join(script);
    let done = Command::new(python).arg(script).args(arguments).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

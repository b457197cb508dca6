//! What happens on a machine without liblsl? One clear error, and everything else works.
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking, and its child reports in print"
)]

use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use neurod::acquisition::lsl::{LslConfig, LslMarkers, LslMarkersConfig, LslSource, resolve_all};
use neurod::acquisition::{SourceError, SourceStats};
use neurod::frame::{Block, BlockSpec, Channel, Unit};
use neurod::publish::lsl::{LslMarkerOutlet, OutletError};

const CHILD: &str = "NEUROD_TEST_WITHOUT_LIBLSL";

/// Runs `child` below in a process of its own, with these variables.
fn run_child(variables: &[(&str, &str)]) {
    let program = std::env::current_exe().unwrap();
    let mut command = Command::new(program);
    command.args(["--exact", "child", "--nocapture"]).env(CHILD, "1").envs(variables.iter().copied());
    for variable in ["NEUROD_LIBLSL", "NEUROD_CACHE", "LD_LIBRARY_PATH"] {
        if !variables.iter().any(|(name, _)| *name == variable) {
            command.env_remove(variable);
        }
    }
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stdout) + String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success() && text.contains("CHILD DONE"), "{text}");
}

#[test]
fn a_named_library_that_is_not_there_is_an_error_with_its_fix() {
    run_child(&[("NEUROD_LIBLSL", "/nonexistent/liblsl.so")]);
}

#[test]
fn a_named_library_that_is_not_liblsl_is_an_error_with_its_fix() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("liblsl.so");
    std::fs::write(&file, b"\x7fELF but no more").unwrap();
    run_child(&[("NEUROD_LIBLSL", file.to_str().unwrap())]);
}

#[test]
fn a_function_called_before_loading_aborts_with_a_word() {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let output = command.args(["--exact", "hasty_child", "--nocapture"]).env(CHILD, "1").output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success() && text.contains("called before lsl_sys::load succeeded"), "{text}");
}

#[test]
fn hasty_child() {
    if std::env::var_os(CHILD).is_some() {
        // SAFETY: it takes no argument; without liblsl it is documented to abort.
        unsafe { lsl_sys::lsl_local_clock() };
    }
}

#[test]
fn child() {
    if std::env::var_os(CHILD).is_none() {
        return;
    }
    let stats = || Arc::new(SourceStats::default());
    let eeg = LslConfig { r#type: Some("EEG".into()), ..LslConfig::default() };
    let markers = LslMarkersConfig { r#type: Some("Markers".into()), ..LslMarkersConfig::default() };
    let messages = [
        library(LslSource::open(&eeg, stats()).err()),
        library(LslMarkers::open(&markers, stats()).err()),
        library(resolve_all(Duration::from_millis(1)).err()),
        match LslMarkerOutlet::open("x", "y").err() {
            Some(OutletError::Library(error)) => error.to_string(),
            other => panic!("{other:?}"),
        },
    ];
    for message in messages {
        assert!(message.starts_with("liblsl: ") && message.contains("liblsl.so"), "{message}");
        assert!(message.contains("correct the path") || message.contains("name another file"), "{message}");
    }
    // What needs no LSL works on.
    let spec = BlockSpec::new(Channel::numbered("EEG", 1, Unit::Microvolt), 1.0, 1);
    assert!(Block::new(&spec).push(&[1.0]));
    println!("CHILD DONE");
}

fn library(error: Option<SourceError>) -> String {
    match error {
        Some(SourceError::Library(message)) => message,
        other => panic!("{other:?}"),
    }
}

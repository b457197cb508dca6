//! The demo's numbers: those of the numpy reference, on the real recordings.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use serde_json::Value;

fn cache() -> Option<PathBuf> {
    let cache = std::env::var_os("NEUROD_CACHE").map_or_else(|| PathBuf::from(".cache"), PathBuf::from);
    let there = cache.join("data/heatpain").is_dir() && cache.join("models/minilm/model.onnx").is_file();
    common::peer("demo data and text model", if there { Ok(cache) } else { Err("run `make assets`".into()) })
}

/// One at a time: played live, a demo needs the machine for itself.
static ALONE: Mutex<()> = Mutex::new(());

fn demo(cache: &Path, options: &[&str]) -> Value {
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let summary = folder.path().join("summary.json");
    let done = Command::new(env!("CARGO_BIN_EXE_neurod"))
        .args(["demo", "--listen", "127.0.0.1:0", "--cache"])
        .arg(cache)
        .arg("--summary")
        .arg(&summary)
        .args(options)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_str(&std::fs::read_to_string(summary).unwrap()).unwrap()
}

fn close(summary: &Value, key: &str, expected: f64, within: f64) {
    let value = summary[key].as_f64().unwrap();
    assert!((value - expected).abs() <= within, "{key} = {value}, not {expected}");
}

/// The reference, in numpy: 0.1753, best region 0.484, and 0.1711 for the one-hot design.
#[test]
fn all_people_are_predicted_as_well_as_by_the_reference() {
    let Some(cache) = cache() else { return };
    let summary = demo(&cache, &["--people", "all", "--speed", "max"]);
    close(&summary, "r_mean", 0.1753, 0.0005);
    close(&summary, "r_mean_onehot", 0.1711, 0.0005);
    close(&summary, "r_max", 0.484, 0.002);
    assert_eq!(
        (&summary["people"], &summary["volumes"], &summary["updates"]),
        (&33.into(), &13593.into(), &19294.into())
    );
}

#[test]
fn the_eleventh_person_live_is_the_eleventh_person_replayed() {
    let Some(cache) = cache() else { return };
    let live = demo(&cache, &["--speed", "40"]);
    let replayed = demo(&cache, &["--speed", "max"]);
    assert_eq!((&live["volumes"], &live["updates"]), (&replayed["volumes"], &replayed["updates"]));
    // At 40 times the speed an encoder's 10 ms are 0.4 s: on a busy machine a feature can miss its volume.
    close(&live, "r_mean", replayed["r_mean"].as_f64().unwrap(), 0.005);
}

#[test]
fn a_missing_cache_is_an_error_that_says_how_to_fill_it() {
    let done = Command::new(env!("CARGO_BIN_EXE_neurod")).args(["demo", "--cache", "/nowhere"]).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert!(!done.status.success() && said.contains("make assets"), "{said}");
}

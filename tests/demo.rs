//! The demo's numbers: those of the numpy reference, on the real recordings.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
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

/// What a demo that cannot be says, and its exit code.
fn refused(cache: &Path, options: &[&str]) -> (Option<i32>, String) {
    let demo = Command::new(env!("CARGO_BIN_EXE_neurod")).args(["demo", "--cache"]).arg(cache).args(options).output();
    let done = demo.unwrap();
    (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
}

fn scratch_folders(cache: &Path) -> usize {
    let names = std::fs::read_dir(cache).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name.to_string_lossy().starts_with("demo-")).count()
}

#[test]
fn what_is_missing_is_an_error_that_says_how_to_fetch_it_and_leaves_nothing() {
    let cache = tempfile::tempdir().unwrap();
    for made in ["", "data/heatpain", "models/minilm"] {
        std::fs::create_dir_all(cache.path().join(made)).unwrap();
        let (code, said) = refused(cache.path(), &[]);
        assert_eq!(code, Some(66), "{said}");
        assert!(said.contains("is missing") && said.contains("make assets"), "{said}");
        assert_eq!(scratch_folders(cache.path()), 0, "{said}");
    }
}

/// A cache with these recordings and this model, and no scratch folder but that of the demo in it.
fn cache_of_ones_own(cache: &Path) -> tempfile::TempDir {
    let own = tempfile::tempdir().unwrap();
    let link = |part: &str| std::os::unix::fs::symlink(cache.canonicalize().unwrap().join(part), own.path().join(part));
    link("data").and_then(|()| link("models")).unwrap();
    own
}

#[test]
fn a_demo_that_fails_or_is_interrupted_leaves_nothing_behind() {
    let Some(cache) = cache() else { return };
    let _alone = ALONE.lock().unwrap_or_else(PoisonError::into_inner);
    let own = cache_of_ones_own(&cache);
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap().to_string();
    let (code, said) = refused(own.path(), &["--listen", &address]);
    assert_eq!(code, Some(69), "{said}");
    assert!(said.contains(&address), "{said}");
    assert_eq!(scratch_folders(own.path()), 0);

    let mut demo = Command::new(env!("CARGO_BIN_EXE_neurod"))
        .args(["demo", "--speed", "max", "--cache"])
        .arg(own.path())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let said = BufReader::new(demo.stdout.take().unwrap()).lines().map(Result::unwrap);
    assert!(said.into_iter().any(|line| line.starts_with("learning from")));
    assert_eq!(scratch_folders(own.path()), 1);
    assert!(Command::new("kill").args(["-INT", &demo.id().to_string()]).status().unwrap().success());
    assert_eq!(demo.wait().unwrap().code(), Some(75));
    assert_eq!(scratch_folders(own.path()), 0);
}

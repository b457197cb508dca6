//! MATLAB files: one tree of values, whichever version, byte order or compression; no panic on what is cut or damaged.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use neurod::datasets::mat::{Mat, Value};
use proptest::prelude::*;
use serde_json::{Value as Json, json};

/// The same tree in several files, and what a reader should make of it in tree.json.
fn files() -> Option<tempfile::TempDir> {
    let python = common::python(&["scipy", "h5py"])?;
    let folder = tempfile::tempdir().unwrap();
    let done = Command::new(python).arg("tests/python/mat_files.py").arg(folder.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(folder)
}

fn plain(value: &Value) -> Json {
    match value {
        Value::Numbers(numbers) => json!({ "shape": numbers.shape, "values": numbers.values }),
        Value::Text(lines) => json!(lines),
        Value::Cell(items) => json!({ "cells": items.iter().map(plain).collect::<Vec<_>>() }),
        Value::Struct(fields) => {
            fields.iter().map(|(name, of)| (name.clone(), of.iter().map(plain).collect::<Json>())).collect()
        }
        Value::Unread(what) => json!({ "unread": what }),
    }
}

fn read(path: &Path) -> Result<Mat, String> {
    Mat::read(path, |_| true).map_err(|error| error.to_string())
}

#[test]
fn every_version_order_and_compression_gives_the_same_values() {
    let Some(folder) = files() else { return };
    let tree: Json = serde_json::from_str(&fs::read_to_string(folder.path().join("tree.json")).unwrap()).unwrap();
    for file in ["plain.mat", "compressed.mat", "big.mat", "v73.mat"] {
        let mat = read(&folder.path().join(file)).unwrap();
        for (name, expected) in tree.as_object().unwrap() {
            assert_eq!(&plain(mat.get(name).unwrap().value()), expected, "{name} of {file}");
        }
    }
}

#[test]
fn only_what_is_asked_for_is_read_and_the_rest_is_named() {
    let Some(folder) = files() else { return };
    for file in ["compressed.mat", "v73.mat"] {
        let mat = Mat::read(&folder.path().join(file), |name| name == "cube").unwrap();
        assert!(mat.find("cube").is_some() && mat.find("examples").is_none(), "{file}");
        let says = mat.get("exampels").unwrap_err().to_string();
        assert!(says.contains("no variable \"exampels\"") && says.contains("examples"), "{says}");
        assert!(
            mat.get("cube").unwrap().matrix().unwrap_err().to_string().contains("cube: an array of numbers, [2, 3, 4]")
        );
    }
}

#[test]
fn what_has_no_place_in_the_tree_is_refused_by_who_asks_for_it() {
    let Some(folder) = files() else { return };
    let mat = read(&folder.path().join("odd.mat")).unwrap();
    assert_eq!(mat.get("fine").unwrap().matrix().unwrap().0, 2);
    for (name, what) in [("sparse", "a sparse array (save it with full)"), ("complex", "complex numbers")] {
        let says = mat.get(name).unwrap().matrix().unwrap_err().to_string();
        assert!(says.contains(&format!("{name}: {what}")), "{says}");
    }
    let says = read(&folder.path().join("four.mat")).unwrap_err();
    assert!(says.contains("save it again with -v7"), "{says}");
}

#[test]
fn a_file_that_is_cut_off_says_where() {
    let Some(folder) = files() else { return };
    let cut = folder.path().join("cut.mat");
    for file in ["plain.mat", "compressed.mat", "big.mat", "v73.mat"] {
        let whole = fs::read(folder.path().join(file)).unwrap();
        for length in (0..whole.len()).step_by(1 + whole.len() / 300) {
            fs::write(&cut, &whole[..length]).unwrap();
            // Cut between two variables it is a whole file of fewer.
            if let Err(says) = read(&cut) {
                assert!(says.starts_with(&cut.display().to_string()), "{file} at {length}: {says}");
            } else if file == "v73.mat" {
                assert!(length > whole.len() / 2, "{file} at {length} of {}", whole.len());
            }
        }
    }
}

#[test]
fn a_damaged_file_is_an_error_or_other_numbers_and_never_a_panic() {
    let Some(folder) = files() else { return };
    let damaged = folder.path().join("damaged.mat");
    let whole = ["plain.mat", "compressed.mat", "big.mat", "v73.mat"].map(|f| fs::read(folder.path().join(f)).unwrap());
    let mut runner =
        proptest::test_runner::TestRunner::new(ProptestConfig { cases: 2000, ..ProptestConfig::default() });
    let strategy = (0..4usize, prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6));
    runner
        .run(&strategy, |(file, changes)| {
            let mut bytes = whole[file].clone();
            for (place, byte) in changes {
                let at = place.index(bytes.len());
                bytes[at] = byte;
            }
            fs::write(&damaged, &bytes).unwrap();
            let _ = read(&damaged);
            Ok(())
        })
        .unwrap();
}

#[test]
fn sizes_are_not_believed_before_the_bytes_are_there() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("bomb.mat");
    let mut file = b"MATLAB 5.0 MAT-file".to_vec();
    file.resize(124, b' ');
    file.extend(*b"\x00\x01IM");
    let element =
        |kind: u32, bytes: &[u8]| [&kind.to_le_bytes()[..], &(bytes.len() as u32).to_le_bytes(), bytes].concat();
    let shape: Vec<u8> = [40_000u32, 40_000].iter().flat_map(|size| size.to_le_bytes()).collect();
    let inner = [element(6, &[6, 0, 0, 0, 0, 0, 0, 0]), element(5, &shape), element(1, b"examples")].concat();
    file.extend(element(14, &inner));
    fs::write(&path, file).unwrap();
    let says = read(&path).unwrap_err();
    assert!(says.contains("an array of [40000, 40000] (at most 268435456 numbers are read from one file)"), "{says}");
}

//! `neurod encode identify`: the ranks of a direct implementation, and chance where there is nothing to find.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ndarray::Array2;
use ndarray_npy::{read_npy, write_npy};
use serde_json::Value;

/// 96 samples of 48 stimuli, each shown twice in one of four runs; eight features explain some of seven voxels.
fn dataset(folder: &Path) {
    let mut state = 5u64;
    let mut draw = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let of_stimuli = Array2::from_shape_simple_fn((48, 8), &mut draw);
    let stimulus = |row: usize| row / 24 * 12 + row % 12;
    let x = Array2::from_shape_fn((96, 8), |(row, c)| of_stimuli[(stimulus(row), c)]);
    let w = Array2::from_shape_simple_fn((8, 7), &mut draw);
    let noise = Array2::from_shape_fn((96, 7), |(_, v)| draw() * (0.2 + 0.2 * v as f64));
    write_npy(folder.join("features.npy"), &x).unwrap();
    write_npy(folder.join("responses.npy"), &(x.dot(&w) + noise + 2.0)).unwrap();
    let rows: String = (0..96).map(|row| format!("{}\tpicture {}\n", row / 24, stimulus(row))).collect();
    fs::write(folder.join("runs.tsv"), format!("run\tstimulus\n{rows}")).unwrap();
    fs::write(folder.join("regions.tsv"), "region\nA\nA\nA\nB\nB\nB\nB\n").unwrap();
}

fn identify(folder: &Path, out: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
    let command = command.args(["encode", "identify"]).arg(folder).args(arguments);
    command.arg("--json").arg("--out").arg(folder.join(out)).output().unwrap()
}

fn summary(folder: &Path, arguments: &[&str]) -> Value {
    let done = identify(folder, "out", arguments);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

#[test]
fn ranks_are_those_of_the_definition() {
    let Some(python) = common::python(&["sklearn"]) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    let done = Command::new(python).arg("tests/python/identify_reference.py").arg(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let reference: Value = serde_json::from_slice(&done.stdout).unwrap();
    for by in ["likelihood", "cosine"] {
        let got = &summary(folder, &["--lambda", "10", "--folds", "runs", "--by", by])["scores"]["all"];
        for (metric, expected) in reference[by].as_object().unwrap() {
            assert!((got[metric].as_f64().unwrap() - expected.as_f64().unwrap()).abs() < 1e-12, "{by} {metric}: {got}");
        }
        assert!((got["chance_1"].as_f64().unwrap() - 1.0 / 12.0).abs() < 1e-12 && got["identified"] == 48, "{got}");
        assert!(got["percentile"].as_f64() > Some(0.6), "there is something to find: {got}");
    }
    let rows = fs::read_to_string(folder.join("out/identification.tsv")).unwrap();
    let second: Vec<&str> = rows.lines().nth(2).unwrap().split('\t').collect();
    assert_eq!((rows.lines().count(), second[..4].to_vec()), (49, vec!["0", "picture 1", "2", "12"]));
}

#[test]
fn responses_to_nothing_are_identified_by_chance_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    let y: Array2<f64> = read_npy(folder.join("responses.npy")).unwrap();
    // Each response goes with another stimulus of its run.
    let turned = Array2::from_shape_fn(y.raw_dim(), |(row, v)| y[(row / 24 * 24 + (row % 24 + 5) % 24, v)]);
    write_npy(folder.join("responses.npy"), &turned).unwrap();
    let scores = summary(folder, &["--lambda", "10", "--folds", "runs"]);
    for region in ["all", "A", "B"] {
        let percentile = scores["scores"][region]["percentile"].as_f64().unwrap();
        assert!((percentile - 0.5).abs() < 0.15, "{region}: {percentile}");
    }
    // Features that say nothing make every candidate alike: all tie, and ties are drawn by lot.
    write_npy(folder.join("features.npy"), &Array2::<f64>::ones((96, 2))).unwrap();
    let scores = &summary(folder, &["--lambda", "10", "--folds", "runs"])["scores"]["all"];
    assert_eq!((&scores["percentile"], &scores["top_1"]), (&0.5.into(), &scores["chance_1"]));
}

#[test]
fn a_fold_of_one_candidate_is_no_contest() {
    let temporary = tempfile::tempdir().unwrap();
    dataset(temporary.path());
    let done = identify(temporary.path(), "none", &["--lambda", "10", "--folds", "k=48"]);
    assert!(!done.status.success() && !temporary.path().join("none").exists());
    assert!(String::from_utf8_lossy(&done.stderr).contains("no fold has two candidates"), "{done:?}");
}

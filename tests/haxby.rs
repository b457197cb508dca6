//! Haxby et al. (2001), subject 1: what voxels do while pictures are seen, foretold from the words for them.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
mod encoders_support;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::Command;

use encoders_support::{fetched, repository};
use serde_json::Value;

/// Whether recording, model and runtime are there.
fn there() -> bool {
    ["data/haxby", "models/minilm", "lib/libonnxruntime.so"].into_iter().all(|part| fetched(part).is_some())
}

/// The values of a frame.
fn values(frame: &Value) -> Vec<f64> {
    frame["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// What was predicted of a voxel, and what was measured.
type Pairs = (Vec<f64>, Vec<f64>);

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let products = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(a - mean_a, b - mean_b)).sum::<f64>();
    products(&|a, b| a * b) / (products(&|a, _| a * a) * products(&|_, b| b * b)).sqrt()
}

/// R of every voxel over runs 2–12 for each predictor, each volume predicted before it was learned from; from the frames
/// that clients get: what was predicted is measured − residual.
fn scores(frames: &Path) -> BTreeMap<String, Vec<f64>> {
    let mut measured: Vec<f64> = Vec::new();
    let mut pairs: BTreeMap<String, Vec<Pairs>> = BTreeMap::new();
    for line in BufReader::new(File::open(frames).unwrap()).lines() {
        let frame: Value = serde_json::from_str(&line.unwrap()).unwrap();
        match frame["kind"].as_str() {
            Some("measured") => measured = values(&frame),
            Some("residual") if frame["run"].as_u64().unwrap() > 0 => {
                let predictor = pairs.entry(frame["predictor"].as_str().unwrap().into()).or_default();
                predictor.resize(measured.len(), (Vec::new(), Vec::new()));
                for ((predicted, truth), (y, e)) in predictor.iter_mut().zip(measured.iter().zip(values(&frame))) {
                    predicted.push(y - e);
                    truth.push(*y);
                }
            }
            _ => {}
        }
    }
    let r = |voxels: Vec<Pairs>| voxels.iter().map(|(p, y)| pearson(p, y)).collect();
    pairs.into_iter().map(|(name, voxels)| (name, r(voxels))).collect()
}

/// The reference, in numpy and Python's onnxruntime (λ = 10, lags of one to four volumes): mean R 0.1864 with 173 of 530
/// voxels above 0.2; one-hot 0.1743 with 162.
#[test]
fn live_every_voxel_is_foretold_as_well_as_by_the_reference() {
    if !there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let frames = folder.path().join("frames.jsonl");
    let mut replay = Command::new(env!("CARGO_BIN_EXE_neurod"));
    replay.args(["replay", "--json", "--config"]).arg(repository("config/haxby.toml")).arg("--out").arg(&frames);
    let done = replay.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let scores = scores(&frames);
    for (predictor, expected, above) in [("voxels", 0.1864, 173), ("onehot", 0.1743, 162)] {
        let r = &scores[predictor];
        let mean = r.iter().sum::<f64>() / r.len() as f64;
        assert_eq!((r.len(), r.iter().filter(|r| **r > 0.2).count()), (530, above), "{predictor}");
        assert!((mean - expected).abs() < 1e-4, "{predictor}: mean R {mean}, not {expected}");
    }
}

fn run(command: &mut Command) -> Vec<u8> {
    let done = command.output().unwrap();
    assert!(done.status.success(), "{command:?}: {}", String::from_utf8_lossy(&done.stderr));
    done.stdout
}

/// Features from MiniLM, ridge (λ = 10, delays of one to four volumes), each run predicted from the others: what
/// scikit-learn's ridge makes of the same design. Beside it, the one-hot baseline.
#[test]
fn offline_every_run_is_predicted_from_the_others_as_by_scikit_learn() {
    let Some(python) = common::python(&["numpy", "scipy", "sklearn"]) else { return };
    if !there() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("haxby");
    let script = |arguments: &[&std::ffi::OsStr]| {
        run(Command::new(&python).arg(repository("tests/python/haxby_folder.py")).args(arguments))
    };
    script(&["make".as_ref(), fetched("data/haxby").unwrap().as_os_str(), data.as_os_str()]);
    let neurod = || {
        let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
        command.arg("encode").current_dir(repository(""));
        command
    };
    run(neurod().arg("features").arg(&data).arg("--model").arg(fetched("models/minilm").unwrap()));
    for (space, r, told_apart, mae) in [("minilm", 0.1833, 0.8268, 0.7675), ("onehot", 0.1779, 0.8262, 0.7692)] {
        let out = folder.path().join(space);
        let summary = run(neurod()
            .arg("evaluate")
            .arg(&data)
            .args(["--features", space, "--delays", "1,2,3,4", "--lambda", "10", "--folds", "runs", "--json", "--out"])
            .arg(&out));
        let summary: Value = serde_json::from_slice(&summary).unwrap();
        let reference: Value =
            serde_json::from_slice(&script(&["ridge".as_ref(), data.as_os_str(), space.as_ref()])).unwrap();
        for (metric, expected) in reference["scores"].as_object().unwrap() {
            let (got, expected) = (summary["scores"][metric]["value"].as_f64().unwrap(), expected.as_f64().unwrap());
            // Of a million pairs of volumes, single precision may decide two otherwise.
            let within = if metric == "2v2" { 2e-6 } else { 1e-6 };
            assert!((got - expected).abs() < within, "{space} {metric}: {got}, scikit-learn {expected}");
        }
        let read = |path: &Path| ndarray_npy::read_npy::<_, ndarray::Array2<f64>>(path).unwrap();
        let ours = read(&out.join("predictions.npy"));
        let theirs = read(&data.join(format!("{space}.predictions.npy")));
        let off = ours.iter().zip(&theirs).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs()));
        assert!(ours.dim() == (1452, 530) && off < 1e-8, "{space}: {off}");
        for (metric, expected) in [("pearson_per_voxel", r), ("2v2", told_apart), ("mae", mae)] {
            let got = summary["scores"][metric]["value"].as_f64().unwrap();
            assert!((got - expected).abs() < 1e-4, "{space} {metric}: {got}, not {expected}");
        }
    }
}

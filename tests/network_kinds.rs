//! Whatever an edge is, does a model say live what it says of the same window built from a file? Built, learned, exported, predicted,
//! and played.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;
mod network_support;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use network_support::noise;
use serde_json::Value;

const REGIONS: usize = 9;
const WINDOW: usize = 40;
const VOLUMES: usize = 90;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What a run of neurod prints.
fn neurod(folder: &Path, arguments: &[&str]) -> String {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
    command.env("NEUROD__LIBRARIES__ONNXRUNTIME", repository(".cache/lib/libonnxruntime.so"));
    command.env("NEUROD_CACHE", repository(".cache"));
    let done = command.args(arguments).current_dir(folder).output().unwrap();
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// Volumes × regions around 10⁴ that share a wave; in patients the first three share another.
fn scan(person: usize) -> String {
    let (mut draw, patient) = (noise(7 + person as u64), person % 2 == 1);
    let names: Vec<String> = (0..REGIONS).map(|r| format!("region{r}")).collect();
    let mut text = names.join("\t") + "\n";
    for _ in 0..VOLUMES {
        let (all, some) = (draw(), draw());
        let value = |r: usize, own: f64| {
            let share = if patient && r < 3 { 1.2 * some } else { 0.0 };
            1e4 + 20.0 * (own + 0.4 * all * (1 + r % 2) as f64 + share)
        };
        let row: Vec<String> = (0..REGIONS).map(|r| value(r, draw()).to_string()).collect();
        text += &(row.join("\t") + "\n");
    }
    text
}

/// Twenty people to learn from, and windows of one more.
fn data(folder: &Path) {
    let mut people = String::from("participant_id\tdiagnosis\n");
    for person in 0..20 {
        let at = folder.join(format!("people/sub-{person:02}/func"));
        fs::create_dir_all(&at).unwrap();
        fs::write(at.join(format!("sub-{person:02}_timeseries.tsv")), scan(person)).unwrap();
        people += &format!("sub-{person:02}\t{}\n", ["control", "patient"][person % 2]);
    }
    fs::write(folder.join("people/participants.tsv"), people).unwrap();
    let at = folder.join("windows/sub-99/func");
    fs::create_dir_all(&at).unwrap();
    fs::write(at.join("sub-99_timeseries.tsv"), scan(99)).unwrap();
    let file = "sub-99/func/sub-99_timeseries.tsv";
    let row = |start: usize| format!("{file}\tsub-99\t{}\t{}\n", 2 * start, 2 * WINDOW);
    let rows: String = starts().map(row).collect();
    fs::write(folder.join("windows/samples.tsv"), format!("file\tparticipant_id\tonset\tduration\n{rows}")).unwrap();
    let short = "epochs = 3\nhidden = 8\n";
    fs::write(folder.join("graph.toml"), format!("model = \"node-edge-concat\"\n[settings]\n{short}")).unwrap();
    let eigenvectors = format!("model = \"eigenvector\"\n[settings]\neigenvectors = 4\n{short}");
    fs::write(folder.join("eigenvectors.toml"), eigenvectors).unwrap();
}

fn starts() -> impl Iterator<Item = usize> {
    (0..=VOLUMES - WINDOW).step_by(10)
}

/// One way to make an edge: the words of `network build --kind`, the keys of `[networks]`, and a model.
fn live_is_what_is_built(folder: &Path, build: &str, keys: &str, model: &str) {
    let words: Vec<&str> = build.split(' ').collect();
    let make = |data: &str, out: &str, more: &[&str]| {
        let how = ["network", "build", data, "--out", out, "--tr", "2", "--kind"];
        neurod(folder, &[&how[..], &words, more].concat());
    };
    make("people", "people.npz", &["--label", "diagnosis"]);
    make("windows", "windows.npz", &[]);
    let _ = fs::remove_dir_all(folder.join("trained"));
    neurod(folder, &["network", "train", "people.npz", "--model", model, "--export", "trained/model.onnx"]);
    let offline = neurod(folder, &["network", "predict", "trained/model.onnx", "windows.npz"]);
    let offline: Vec<f64> = offline.lines().skip(1).map(|l| l.split('\t').nth(4).unwrap().parse().unwrap()).collect();
    let config = format!(
        "[sources.scanner.input.replay]\nfiles = [\"windows/sub-99/func/sub-99_timeseries.tsv\"]\ntr = 2.0\n\
         [networks.n]\nsource = \"scanner\"\nwindow = {}\nmodel = \"trained\"\nkind = \"{}\"\n{keys}\n",
        2 * WINDOW,
        words[0]
    );
    fs::write(folder.join("live.toml"), config).unwrap();
    let _ = fs::remove_file(folder.join("frames.jsonl"));
    neurod(folder, &["replay", "--config", "live.toml", "--out", "frames.jsonl"]);
    let text = fs::read_to_string(folder.join("frames.jsonl")).unwrap();
    let frames: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    for (start, offline) in starts().zip(&offline) {
        let at = ((start + WINDOW - 1) * 2) as f64;
        let now = |schema: &str| {
            let is = |frame: &&Value| frame["schema"] == schema && frame["t_target"] == at;
            frames.iter().find(is).unwrap_or_else(|| panic!("{build} {model}: nothing at {at}"))
        };
        let (network, outcome) = (now("neurod.network_frame.v1"), now("neurod.outcome_frame.v1"));
        assert_eq!(network["kind"], words[0], "{build}");
        assert_eq!(outcome["quality"], serde_json::json!([]), "{build} {model}");
        let live = outcome["probabilities"][1].as_f64().unwrap();
        assert!((live - offline).abs() <= 1e-5, "{build} {model} at {at}: {live} is not {offline}");
    }
    let (low, high) = offline.iter().fold((1.0_f64, 0.0_f64), |(low, high), p| (low.min(*p), high.max(*p)));
    assert!(high - low > 1e-3, "{build} {model}: all windows are alike, so nothing is compared");
}

#[test]
fn every_kind_of_edge_says_live_what_it_says_offline() {
    let folder = tempfile::tempdir().unwrap();
    data(folder.path());
    let shrunk = "shrinkage = \"ledoit-wolf\"";
    for (build, keys) in [
        ("spearman --shrinkage none --fisher-z", "fisher_z = true"),
        ("spearman", shrunk),
        ("pearson", shrunk),
        ("partial --fisher-z", "fisher_z = true\nshrinkage = \"ledoit-wolf\""),
        ("partial --shrinkage none", ""),
        ("covariance", shrunk),
        ("precision", shrunk),
        ("precision --shrinkage none", ""),
    ] {
        live_is_what_is_built(folder.path(), build, keys, "logistic");
    }
}

#[test]
fn a_model_in_a_tangent_space_brings_its_reference() {
    let folder = tempfile::tempdir().unwrap();
    data(folder.path());
    let shrunk = "shrinkage = \"ledoit-wolf\"";
    for model in ["logistic", "svm-tangent", "graph.toml"] {
        live_is_what_is_built(folder.path(), "tangent", shrunk, model);
    }
    live_is_what_is_built(folder.path(), "tangent --shrinkage none", "", "logistic");
    // Whatever the networks of a file are, it is their covariances that count.
    neurod(folder.path(), &["network", "build", "people", "--label", "diagnosis", "--out", "plain.npz"]);
    neurod(
        folder.path(),
        &["network", "train", "plain.npz", "--model", "logistic-tangent", "--export", "plain/model.onnx"],
    );
    let said = |networks: &str| neurod(folder.path(), &["network", "predict", "plain/model.onnx", networks]);
    neurod(folder.path(), &["network", "build", "people", "--kind", "tangent", "--out", "tangent.npz"]);
    assert_eq!(said("plain.npz"), said("tangent.npz"));
}

#[test]
fn eigenvectors_are_computed_beside_the_model() {
    let folder = tempfile::tempdir().unwrap();
    data(folder.path());
    let build = "pearson --shrinkage none --fisher-z";
    live_is_what_is_built(folder.path(), build, "fisher_z = true", "eigenvectors.toml");
}

/// The reference that the file holds is the geometric mean of those who were learned from, and onnxruntime in Python sees it.
#[test]
fn python_finds_the_reference_in_the_models_file() {
    let Some(python) = common::python(&["onnxruntime", "numpy"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    data(folder.path());
    neurod(folder.path(), &["network", "build", "people", "--label", "diagnosis", "--out", "plain.npz"]);
    neurod(
        folder.path(),
        &["network", "train", "plain.npz", "--model", "logistic-tangent", "--export", "m/model.onnx"],
    );
    // At the geometric mean the logarithms of all whitened covariances add up to nothing (Fletcher and Joshi 2007).
    let script = "import numpy as np, onnxruntime as o\n\
        s = o.InferenceSession('m/model.onnx', providers=['CPUExecutionProvider'])\n\
        c = np.load('plain.npz')['covariance']\n\
        p, r = s.run(['probabilities', 'reference'], {'connectivity': np.zeros((1,) + c.shape[1:], np.float32)})\n\
        assert r.dtype == np.float64 and r.shape == c.shape[1:] and p.shape == (1, 2)\n\
        def f(m, g):\n    w, v = np.linalg.eigh(m)\n    return (v * g(w)) @ v.T\n\
        w = f(r, lambda x: x ** -0.5)\n\
        print(np.abs(sum(f(w @ m @ w, np.log) for m in c)).max())\n";
    let ran = Command::new(python).args(["-c", script]).current_dir(folder.path()).output().unwrap();
    assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stderr));
    let apart: f64 = String::from_utf8_lossy(&ran.stdout).trim().parse().unwrap();
    assert!(apart < 1e-3, "{apart}");
}

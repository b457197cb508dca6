//! Does `neurod network train` leave a model that others can read, and refuse what it cannot learn from?
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod network_support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use network_support::planted;
use neurod::datasets::networks;
use neurod::encoders::{Kind, ModelFiles, inspect};

fn neurod(folder: &Path, words: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
    command.current_dir(folder).args(["network", "train"]).args(words).output().unwrap()
}

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// networks.npz of 24 people, one of whom has no diagnosis and one is not in participants.tsv.
fn folder() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let (mut networks, _) = planted(24, 8, 0.4, 2);
    networks.making.fisher_z = true;
    networks::write(&folder.path().join("networks.npz"), &networks).unwrap();
    let mut table = String::from("participant_id\tdiagnosis\tage\n");
    for i in 0..23 {
        let diagnosis = match i {
            22 => "n/a",
            i if i % 2 == 0 => "control",
            _ => "patient",
        };
        table += &format!("sub-{i:03}\t{diagnosis}\t{}\n", 20 + i);
    }
    fs::write(folder.path().join("participants.tsv"), table).unwrap();
    folder
}

#[test]
fn a_model_is_left_with_its_manifest() {
    let folder = folder();
    fs::write(folder.path().join("short.toml"), "model = \"eigenvector\"\n[settings]\nepochs = 2\neigenvectors = 3\n")
        .unwrap();
    let words = ["networks.npz", "--labels", "participants.tsv:diagnosis", "--model", "short.toml", "--export"];
    let ran = neurod(folder.path(), &[&words[..], &["out/model.onnx", "--window", "120"]].concat());
    assert!(ran.status.success(), "{}", said(&ran));
    let told = String::from_utf8_lossy(&ran.stdout);
    assert!(told.contains("left out: 1 samples without a label, 1 of people who are not in the table"), "{told}");
    let files = ModelFiles::read(&folder.path().join("out")).unwrap();
    inspect(&files.model).unwrap();
    let (manifest, network) = (&files.manifest, files.manifest.network.clone().unwrap());
    assert_eq!((manifest.kind, manifest.output.as_str(), manifest.dims), (Kind::Network, "probabilities", 2));
    assert_eq!(network.classes, ["control", "patient"]);
    assert_eq!((network.fisher_z, network.window, network.regions.len()), (true, Some(120.0), 8));
    let features = network.features.unwrap();
    assert_eq!((features.input.as_str(), features.kind.as_str(), features.dims), ("features", "eigenvector", 3));
}

#[test]
fn a_number_is_learned_and_the_seed_decides() {
    let folder = folder();
    fs::write(folder.path().join("short.toml"), "model = \"node-concat\"\n[settings]\nepochs = 2\n").unwrap();
    let model = |seed: &str, name: &str| {
        let words = ["networks.npz", "--labels", "participants.tsv:age", "--task", "values", "--model", "short.toml"];
        let ran = neurod(folder.path(), &[&words[..], &["--seed", seed, "--export", name]].concat());
        assert!(ran.status.success(), "{}", said(&ran));
        ModelFiles::read_model(&folder.path().join(name)).unwrap()
    };
    let (one, again, other) = (model("1", "one.onnx"), model("1", "again.onnx"), model("2", "other.onnx"));
    assert_eq!(one.manifest.output, "value");
    assert_eq!(one.model, again.model);
    assert_ne!(one.model, other.model);
}

#[test]
fn what_cannot_be_learned_is_named() {
    let folder = folder();
    let refused = |words: &[&str]| {
        let ran = neurod(folder.path(), &[&["networks.npz", "--export", "m.onnx"], words].concat());
        assert!(!ran.status.success());
        assert!(!folder.path().join("m.onnx").exists());
        said(&ran)
    };
    assert!(refused(&[]).contains("no sample has one (give --labels participants.tsv:COLUMN)"));
    let labels = ["--labels", "participants.tsv:diagnosis"];
    let with = |more: &[&str]| refused(&[&labels[..], more].concat());
    assert!(with(&["--model", "node-edge-concatt"]).contains("did you mean \"node-edge-concat\""));
    assert!(with(&["--model", "majority"]).contains("model \"majority\" has no ONNX form"));
    assert!(with(&["--model", "logistic-tuned"]).contains("has a grid of 5 settings"));
    assert!(with(&["--task", "values"]).contains("is no number"));
    assert!(with(&["--validation", "0.9"]).contains("give a share from 0 (nobody) to 0.5"));
    let ran = neurod(folder.path(), &["networks.npz", "--export", "model.bin"]);
    assert!(said(&ran).contains("give a file that ends in .onnx"), "{}", said(&ran));
}

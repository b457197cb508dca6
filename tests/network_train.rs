//! Does `neurod network train` leave a model that others can read, and refuse what it cannot learn from?
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod network_support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ndarray::Array2;
use network_support::planted;
use neurod::datasets::networks;
use neurod::encoders::{Kind, ModelFiles, inspect};
use neurod::network::benchmark::Model;
use neurod::network::division::Units;
use neurod::network::scores::Metric;
use neurod::network::synthetic::{Effect, Synthetic};
use neurod::network::{Rows, Targets, learn_calibrated, log_loss};

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
fn what_is_not_stopped_learns_from_everybody_and_is_calibrated_on_people_left_out() {
    let folder = folder();
    let train = |model: &str, labels: &[&str]| {
        let ran = neurod(folder.path(), &[&["networks.npz", "--model", model, "--export", "m.onnx"], labels].concat());
        assert!(ran.status.success(), "{}", said(&ran));
        let temperature = ModelFiles::read_model(&folder.path().join("m.onnx")).unwrap().manifest.network.unwrap();
        (String::from_utf8_lossy(&ran.stdout).into_owned(), temperature.temperature)
    };
    let diagnosis = ["--labels", "participants.tsv:diagnosis"];
    for model in ["logistic", "svm"] {
        let (told, temperature) = train(model, &diagnosis);
        assert!(told.contains(&format!("{model}: learned from 22 samples")), "{told}");
        assert!(told.contains("people who were left out in turn") && told.contains("AUC"), "{told}");
        assert!(told.contains("calibrated on the same: log loss"), "{told}");
        assert!((temperature - 1.0).abs() > 1e-3, "{temperature}");
        // Who is held back is not asked.
        assert_eq!(train(model, &[&diagnosis[..], &["--validation", "0.5"]].concat()), (told, temperature));
    }
    let (told, temperature) = train("ridge", &["--labels", "participants.tsv:age", "--task", "values"]);
    assert!(told.contains("learned from 23 samples") && told.contains("R²") && !told.contains("calibrated"), "{told}");
    assert_eq!(temperature, 1.0);
    fs::write(folder.path().join("short.toml"), "model = \"node-concat\"\n[settings]\nepochs = 2\n").unwrap();
    let (told, _) = train("short.toml", &diagnosis);
    assert!(told.contains("held back to stop it") && !told.contains("learned from 22 samples"), "{told}");
}

/// How far confidence is from how often it is right, over ten bins (Naeini, Cooper and Hauskrecht 2015).
fn calibration_error(truth: &[usize], predicted: &Array2<f64>) -> f64 {
    let mut bins = [[0.0_f64; 3]; 10];
    for (row, truth) in predicted.rows().into_iter().zip(truth) {
        let class = usize::from(row[1] > row[0]);
        let bin = &mut bins[((row[class] * 10.0) as usize).min(9)];
        let right = f64::from(u8::from(class == *truth));
        bin.iter_mut().zip([1.0, row[class], right]).for_each(|(sum, term)| *sum += term);
    }
    bins.iter().map(|[_, sure, right]| (sure - right).abs()).sum::<f64>() / truth.len() as f64
}

#[test]
fn calibration_makes_people_who_were_never_seen_more_likely_and_changes_no_order() {
    let made = Synthetic { effect: Effect::Edges, strength: 0.2, people: 500, regions: 20, seed: 5 };
    let networks = made.make().unwrap();
    let targets = Targets::classes(&networks.labels).unwrap();
    let (train, test): (Vec<usize>, Vec<usize>) = (0..500).partition(|row| *row < 100);
    let units = Units::of(&networks.participants, None);
    let rows = |rows| Rows { networks: &networks, targets: &targets, rows };
    let Targets::Classes { of, .. } = &targets else { panic!("classes") };
    let truth: Vec<usize> = test.iter().map(|row| of[*row]).collect();
    // A logistic regression of more edges than people is too sure; the margin of a support vector machine is no probability at all.
    for (name, too_sure, at_least) in [("logistic", true, 0.02), ("svm", false, 0.0)] {
        let model = Model::named(name, None).unwrap();
        let learner = model.candidates[0].1.as_ref();
        let plain = learner.fit(rows(&train), None, 0).unwrap().predict(rows(&test)).unwrap();
        let (fitted, left_out) = learn_calibrated(learner, rows(&train), &units, 0).unwrap();
        let (calibrated, left_out) = (fitted.predict(rows(&test)).unwrap(), left_out.unwrap());
        let mut told = left_out.rows.clone();
        told.sort_unstable();
        assert_eq!(told, train, "everybody is told once by a model that has not seen them");
        assert_eq!(left_out.temperature > 1.0, too_sure, "{name}: {}", left_out.temperature);
        let loss = |p: &Array2<f64>| log_loss(&targets, &test, p.view());
        assert!(loss(&calibrated) < loss(&plain) - at_least, "{name}: {} → {}", loss(&plain), loss(&calibrated));
        let error = |p: &Array2<f64>| calibration_error(&truth, p);
        assert!(error(&calibrated) < error(&plain), "{name}: {} → {}", error(&plain), error(&calibrated));
        let auc = |p: &Array2<f64>| Metric::Auc.score(&targets, &test, p.view());
        assert_eq!(auc(&calibrated), auc(&plain), "{name}");
        assert!(auc(&plain) > 0.6, "{name} has learned something: {}", auc(&plain));
    }
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

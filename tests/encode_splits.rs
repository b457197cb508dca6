//! `neurod encode evaluate` and `fit`: the paper's released folds, groups, a division by hand, banded ridge and haemodynamic
//! responses.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ndarray::{Array1, Array2, Axis, s};
use ndarray_npy::{read_npy, write_npy};
use neurod::ridge::FittedModel;
use serde_json::Value;

/// 96 samples of four subjects, two runs each; 32 stimuli that each subject saw half of, the first half abstract.
fn dataset(folder: &Path) {
    let mut state = 29u64;
    let mut draw = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let x = Array2::from_shape_simple_fn((96, 10), &mut draw) + 0.4;
    let w = Array2::from_shape_fn((10, 8), |(_, v)| draw() * v as f64 * 0.4);
    let y = x.dot(&w) + Array2::from_shape_simple_fn((96, 8), &mut draw) + 1.5;
    write_npy(folder.join("features.npy"), &x).unwrap();
    write_npy(folder.join("responses.npy"), &y).unwrap();
    let row = |i: usize| {
        let stimulus = i * 7 % 32;
        let kind = if stimulus < 16 { "abstract" } else { "concrete" };
        format!("{}\tpicture {stimulus}\tsub-{}\t{kind}\n", i / 12, i / 24)
    };
    fs::write(
        folder.join("runs.tsv"),
        format!("run\tstimulus\tsubject\tcondition\n{}", (0..96).map(row).collect::<String>()),
    )
    .unwrap();
    let regions: String = (0..8).map(|v| format!("v{v}\t{}\n", ["PPA", "LOC"][v / 4])).collect();
    fs::write(folder.join("regions.tsv"), format!("voxel\tregion\n{regions}")).unwrap();
}

fn evaluate(folder: &Path, out: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neurod"))
        .args(["encode", "evaluate"])
        .arg(folder)
        .args(arguments)
        .arg("--out")
        .arg(folder.join(out))
        .arg("--json")
        .output()
        .unwrap()
}

fn encode(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neurod")).arg("encode").args(arguments).current_dir(folder).output().unwrap()
}

fn summary(done: &Output) -> Value {
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    serde_json::from_slice(&done.stdout).unwrap()
}

fn difference(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    a.iter().zip(b).fold(0.0, |most, (a, b)| f64::max(most, (a - b).abs()))
}

fn predictions(folder: &Path, out: &str) -> Array2<f64> {
    read_npy(folder.join(out).join("predictions.npy")).unwrap()
}

fn column(path: &Path, name: &str) -> Vec<f64> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let place = lines.next().unwrap().iter().position(|column| *column == name).unwrap();
    lines.map(|row| row[place].parse().unwrap()).collect()
}

#[test]
fn the_papers_folds_lambdas_and_predictions_are_those_of_its_code() {
    let Some(python) = common::python(&["numpy"]) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    let done = Command::new(python).arg("tests/python/encode_paper.py").arg(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let summary = summary(&evaluate(folder, "out", &["--paper"]));
    let theirs: Array2<f64> = read_npy(folder.join("predictions_paper.npy")).unwrap();
    assert!(difference(&predictions(folder, "out"), &theirs) < 1e-8);
    let lambdas: Array1<f64> = read_npy(folder.join("lambdas_paper.npy")).unwrap();
    let ours = column(&folder.join("out/voxels.tsv"), "lambda");
    assert!(ours.iter().zip(&lambdas).all(|(a, b)| (a - b).abs() < 1e-9 * b), "{ours:?} for {lambdas}");
    assert!(ours.iter().collect::<Vec<_>>().windows(2).any(|pair| pair[0] != pair[1]));
    // Every picture is seen three times, so in some other part as well.
    let stimuli: Vec<usize> = (0..96).map(|i| i * 7 % 32).collect();
    let part = |row: usize| if row < 60 { row / 10 } else { 6 + (row - 60) / 9 };
    let both = (0..96).filter(|row| (0..96).any(|other| stimuli[other] == stimuli[*row] && part(other) != part(*row)));
    assert_eq!((&summary["repeated_samples"], &summary["purged_samples"]), (&both.count().into(), &0.into()));
    assert_eq!((&summary["paper"], &summary["centre"], &summary["parts"]), (&true.into(), &false.into(), &10.into()));
    let page = fs::read_to_string(folder.join("out/report.html")).unwrap();
    assert!(page.contains("although its stimulus also taught"));

    // A model of all samples has the same λ, and predicts without having been centred.
    let fitted = encode(folder, &["fit", ".", "--paper", "--out", "m.neurod", "--export-weights", "w.npy"]);
    let said = String::from_utf8_lossy(&fitted.stdout).into_owned();
    assert!(fitted.status.success() && said.contains("does not learn on live: it was not centred"), "{fitted:?}");
    let model = FittedModel::read(&folder.join("m.neurod")).unwrap();
    let near = |ours: &[f64]| ours.iter().zip(&lambdas).all(|(a, b)| (a - b).abs() < 1e-9 * b);
    assert!(near(&model.lambdas), "{:?} for {lambdas}", model.lambdas);
    let [ours, theirs]: [Array2<f64>; 2] =
        ["w.npy", "weights_paper.npy"].map(|name| read_npy(folder.join(name)).unwrap());
    assert!(difference(&ours, &theirs) < 1e-8, "{ours} {theirs}");
    assert!(model.intercepts.iter().all(|b| *b == 0.0) && model.moments.is_none());
    assert_eq!(model.description.provenance.command, "neurod encode fit . --paper --seed 0");
}

#[test]
fn a_model_of_some_samples_predicts_the_others_as_evaluate_does() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    let common = ["--train", "condition=abstract", "--grid", "0.1,1,10,100"];
    for more in [&["--delays", "0,1"][..], &["--scale", "column"], &["--hrf", "spm", "--tr", "2"]] {
        let split = ["--test", "condition=concrete"];
        summary(&evaluate(folder, "out", &[&common[..], &split, more].concat()));
        let fitted = encode(folder, &[&["fit", ".", "--out", "m.neurod"], &common[..], more].concat());
        assert!(fitted.status.success(), "{}", String::from_utf8_lossy(&fitted.stderr));
        let predicted = encode(folder, &["predict", "m.neurod", ".", "--out", "p.npy"]);
        assert!(predicted.status.success(), "{}", String::from_utf8_lossy(&predicted.stderr));
        let (by_fold, by_model) =
            (predictions(folder, "out"), read_npy::<_, Array2<f64>>(folder.join("p.npy")).unwrap());
        let concrete: Vec<usize> = (0..96).filter(|i| i * 7 % 32 >= 16).collect();
        let [by_fold, by_model] = [by_fold, by_model].map(|all| all.select(Axis(0), &concrete));
        assert!(difference(&by_fold, &by_model) < 1e-9, "{more:?}: {}", difference(&by_fold, &by_model));
        let model = FittedModel::read(&folder.join("m.neurod")).unwrap();
        assert_eq!(model.description.samples, 48);
        let command = &model.description.provenance.command;
        assert!(
            command.starts_with("neurod encode fit . --lambda auto --train condition=abstract --seed 0"),
            "{command}"
        );
    }
    let says = |arguments: &[&str], code: i32, expected: &str| {
        let done = encode(folder, &[&["fit", ".", "--out", "no.neurod"], arguments].concat());
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(code) && said.contains(expected), "{:?}: {said}", done.status.code());
        assert!(!folder.join("no.neurod").exists());
    };
    says(&["--train", "condition=odd"], 64, "has: abstract, concrete");
    says(&["--train", "condition=abstract", "--folds", "runs"], 64, "--folds");
    says(&["--train", "condition=abstract", "--paper"], 64, "--paper");
    says(&["--hrf", "spm"], 64, "--tr");
}

#[test]
fn a_subject_is_predicted_from_the_others_without_its_stimuli() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    let x: Array2<f64> = read_npy(folder.join("features.npy")).unwrap();
    let y: Array2<f64> = read_npy(folder.join("responses.npy")).unwrap();
    let summary = summary(&evaluate(folder, "out", &["--folds", "by=subject", "--lambda", "0.5"]));
    assert_eq!((&summary["parts"], &summary["repeated_samples"]), (&4.into(), &0.into()));
    let predicted = predictions(folder, "out");
    let mut purged = 0;
    for subject in 0..4 {
        let test: Vec<usize> = (0..96).filter(|i| i / 24 == subject).collect();
        let shown = |row: usize| test.iter().any(|t| t * 7 % 32 == row * 7 % 32);
        let others: Vec<usize> = (0..96).filter(|i| i / 24 != subject).collect();
        let train: Vec<usize> = others.iter().copied().filter(|row| !shown(*row)).collect();
        purged += others.len() - train.len();
        let by_hand = ridge(&x, &y, &train, &test, 0.5);
        assert!(difference(&predicted.select(Axis(0), &test), &by_hand) < 1e-9, "subject {subject}");
    }
    assert_eq!(summary["purged_samples"], purged);
    assert!(self::summary(&evaluate(folder, "auto", &["--folds", "by=subject"]))["scores"]["2v2"]["value"].is_number());
    // Whoever wants them on both sides is told how many there are.
    let kept =
        self::summary(&evaluate(folder, "kept", &["--folds", "by=subject", "--keep-repeats", "--lambda", "0.5"]));
    assert_eq!((&kept["purged_samples"], &kept["repeated_samples"]), (&0.into(), &96.into()));
    let (test, train): (Vec<usize>, Vec<usize>) = (0..96).partition(|i| i / 24 == 2);
    let predicted = predictions(folder, "kept").select(Axis(0), &test);
    assert!(difference(&predicted, &ridge(&x, &y, &train, &test, 0.5)) < 1e-9);
    let all: String = (0..96).map(|i| format!("{}\tpicture {}\tsub-{}\n", i / 12, i % 24, i / 24)).collect();
    fs::write(folder.join("runs.tsv"), format!("run\tstimulus\tsubject\n{all}")).unwrap();
    let said = String::from_utf8(evaluate(folder, "all", &["--folds", "by=subject"]).stderr).unwrap();
    assert!(said.contains("--keep-repeats"), "{said}");
}

/// Centred ridge by the normal equations, solved by elimination.
fn ridge(x: &Array2<f64>, y: &Array2<f64>, train: &[usize], test: &[usize], lambda: f64) -> Array2<f64> {
    let (xt, yt) = (x.select(Axis(0), train), y.select(Axis(0), train));
    let (mx, my) = (xt.mean_axis(Axis(0)).unwrap(), yt.mean_axis(Axis(0)).unwrap());
    let (xc, yc) = (&xt - &mx, &yt - &my);
    let f = x.ncols();
    let mut a = xc.t().dot(&xc) + Array2::<f64>::eye(f) * lambda;
    let mut b = xc.t().dot(&yc);
    for i in 0..f {
        let pivot = a[(i, i)];
        a.row_mut(i).mapv_inplace(|v| v / pivot);
        b.row_mut(i).mapv_inplace(|v| v / pivot);
        for j in (0..f).filter(|j| *j != i) {
            let share = a[(j, i)];
            let (row, right) = (a.row(i).to_owned(), b.row(i).to_owned());
            a.row_mut(j).scaled_add(-share, &row);
            b.row_mut(j).scaled_add(-share, &right);
        }
    }
    (x.select(Axis(0), test) - &mx).dot(&b) + &my
}

#[test]
fn abstract_teaches_and_concrete_is_predicted() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    let arguments = ["--train", "condition=abstract", "--test", "condition=concrete", "--lambda", "2"];
    let whole = summary(&evaluate(folder, "out", &arguments));
    let x: Array2<f64> = read_npy(folder.join("features.npy")).unwrap();
    let y: Array2<f64> = read_npy(folder.join("responses.npy")).unwrap();
    let (train, test): (Vec<usize>, Vec<usize>) = (0..96).partition(|i| i * 7 % 32 < 16);
    let predicted = predictions(folder, "out");
    assert!(difference(&predicted.select(Axis(0), &test), &ridge(&x, &y, &train, &test, 2.0)) < 1e-9);
    assert!(train.iter().all(|row| predicted.row(*row).iter().all(|v| v.is_nan())));
    assert_eq!((&whole["predicted"], &whole["parts"]), (&test.len().into(), &1.into()));
    // The scores are those of the predicted rows alone.
    let (y, p) = (y.select(Axis(0), &test), predicted.select(Axis(0), &test));
    let expected = (&y - &p).mapv(f64::abs).mean().unwrap();
    assert!((whole["scores"]["mae"]["value"].as_f64().unwrap() - expected).abs() < 1e-6);
    let pattern = (&y
        - &read_npy::<_, Array2<f64>>(folder.join("responses.npy"))
            .unwrap()
            .select(Axis(0), &train)
            .mean_axis(Axis(0))
            .unwrap())
        .mapv(f64::abs)
        .mean()
        .unwrap();
    assert!((whole["scores"]["mae"]["mean_pattern"].as_f64().unwrap() - pattern).abs() < 1e-6);
    assert!(fs::read_to_string(folder.join("out/report.html")).unwrap().contains("samples are predicted and scored"));
    // λ is chosen among the rows that teach, by their runs.
    let arguments = ["--train", "subject=sub-0", "--test", "subject=sub-3", "--lambda", "auto"];
    let some = summary(&evaluate(folder, "some", &arguments));
    assert_eq!(some["predicted"], 24);
}

#[test]
fn every_feature_space_is_weighed_for_every_voxel() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    let x: Array2<f64> = read_npy(folder.join("features.npy")).unwrap();
    let noise = Array2::from_shape_fn((96, 30), |(i, j)| ((i * 31 + j * 17) * 2654435761 % 1009) as f64 / 1009.0);
    fs::remove_file(folder.join("features.npy")).unwrap();
    fs::create_dir(folder.join("features")).unwrap();
    write_npy(folder.join("features/brain.npy"), &x).unwrap();
    write_npy(folder.join("features/noise.npy"), &noise).unwrap();
    let banded = summary(&evaluate(folder, "out", &["--banded", "10", "--folds", "runs"]));
    let plain = summary(&evaluate(folder, "plain", &["--folds", "runs"]));
    let r = |of: &Value| of["scores"]["pearson_per_voxel"]["value"].as_f64().unwrap();
    assert!(r(&banded) > r(&plain), "{} {}", r(&banded), r(&plain));
    let means = &banded["banded"]["mean_gamma"];
    for region in ["all", "PPA", "LOC"] {
        let [brain, noise] = ["brain", "noise"].map(|space| means[region][space].as_f64().unwrap());
        assert!((brain + noise - 1.0).abs() < 1e-12 && (region == "PPA" || brain > noise), "{region}: {brain} {noise}");
    }
    let path = folder.join("out/voxels.tsv");
    let mean = column(&path, "gamma_brain").iter().sum::<f64>() / 8.0;
    assert!((means["all"]["brain"].as_f64().unwrap() - mean).abs() < 1e-12);
    assert!(column(&path, "gamma_noise").iter().all(|gamma| *gamma > 0.0));
    // Delays belong to their space.
    let delayed = summary(&evaluate(folder, "delays", &["--banded", "4", "--folds", "runs", "--delays", "0,1"]));
    assert_eq!(delayed["features"], 80);
}

#[test]
fn features_are_convolved_within_runs() {
    let Some(python) = common::python(&["scipy"]) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    let x: Array2<f64> = read_npy(folder.join("features.npy")).unwrap();
    for (name, tr) in [("spm", "2"), ("glover", "1.5")] {
        let done = Command::new(&python).arg("tests/python/encode_hrf.py").args([name, tr]).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let weights: Vec<f64> = serde_json::from_slice(&done.stdout).unwrap();
        let mut by_hand = Array2::<f64>::zeros(x.raw_dim());
        for row in 0..96 {
            for (ago, weight) in weights.iter().enumerate().take(row % 12 + 1) {
                by_hand.slice_mut(s![row, ..]).scaled_add(*weight, &x.row(row - ago));
            }
        }
        write_npy(folder.join("features.npy"), &x).unwrap();
        summary(&evaluate(folder, name, &["--lambda", "1", "--folds", "runs", "--hrf", name, "--tr", tr]));
        write_npy(folder.join("features.npy"), &by_hand).unwrap();
        summary(&evaluate(folder, "by_hand", &["--lambda", "1", "--folds", "runs"]));
        assert!(difference(&predictions(folder, name), &predictions(folder, "by_hand")) < 1e-6, "{name}");
    }
}

#[test]
fn what_cannot_be_divided_or_mixed_says_the_fix() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    let cases: [(&[&str], i32, &str); 10] = [
        (&["--folds", "by=age"], 64, "there are: run, stimulus, subject, condition"),
        (&["--train", "condition=abstract", "--test", "condition=odd"], 64, "has: abstract, concrete"),
        (&["--train", "condition=abstract", "--test", "condition=abstract"], 64, "cannot be both"),
        (&["--train", "condition=abstract"], 64, "--test"),
        (&["--train", "subject=sub-0", "--test", "condition"], 64, "condition=abstract"),
        (&["--banded"], 64, "one feature space only"),
        (&["--banded", "0"], 64, "0"),
        (&["--hrf", "spm"], 64, "--tr"),
        (&["--hrf", "spm", "--tr", "0"], 64, "seconds between samples"),
        (&["--paper", "--lambda", "3"], 64, "--lambda"),
    ];
    for (arguments, code, expected) in cases {
        let done = evaluate(folder, "out", arguments);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(code) && said.contains(expected), "{arguments:?} {:?}: {said}", done.status);
    }
    assert!(!folder.join("out").exists());
    let runs: String = (0..96).map(|_| "1\tone subject\n").collect();
    fs::write(folder.join("runs.tsv"), format!("run\tsubject\n{runs}")).unwrap();
    for folds in ["runs", "by=subject"] {
        let said = String::from_utf8_lossy(&evaluate(folder, "out", &["--folds", folds]).stderr).into_owned();
        assert!(said.contains("everything is one") && said.contains("--folds k=10"), "{said}");
    }
}

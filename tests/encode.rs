//! `neurod encode evaluate`: the folds, λ, predictions and scores of scikit-learn and himalaya; nothing half-written.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ndarray::{Array1, Array2};
use ndarray_npy::{read_npy, write_npy};
use serde_json::Value;

const GRID: [f64; 5] = [0.1, 1.0, 10.0, 100.0, 1000.0];

/// 90 samples in six runs, twelve features that explain some of nine voxels in three regions.
fn dataset(folder: &Path) {
    let mut state = 11u64;
    let mut draw = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let x = Array2::from_shape_simple_fn((90, 12), &mut draw);
    let w = Array2::from_shape_fn((12, 9), |(_, v)| draw() * v as f64 * 0.3);
    let noise = Array2::from_shape_simple_fn((90, 9), &mut draw);
    let y = x.dot(&w) + noise + 3.0;
    write_npy(folder.join("features.npy"), &x).unwrap();
    write_npy(folder.join("responses.npy"), &y).unwrap();
    let runs: String = (0..90).map(|i| format!("{}\n", i / 15)).collect();
    fs::write(folder.join("runs.tsv"), format!("run\n{runs}")).unwrap();
    let regions: String = (0..9).map(|v| format!("v{v}\t{}\n", ["PPA", "LOC", "OPA"][v / 3])).collect();
    fs::write(folder.join("regions.tsv"), format!("voxel\tregion\n{regions}")).unwrap();
    fs::write(folder.join("grid.json"), serde_json::to_string(&GRID).unwrap()).unwrap();
}

fn evaluate(folder: &Path, out: &str, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neurod"))
        .args(["encode", "evaluate"])
        .arg(folder)
        .args(arguments)
        .arg("--out")
        .arg(folder.join(out))
        .output()
        .unwrap()
}

fn difference(a: &Path, b: &Path) -> f64 {
    let (a, b): (Array2<f64>, Array2<f64>) = (read_npy(a).unwrap(), read_npy(b).unwrap());
    a.iter().zip(&b).fold(0.0, |most, (a, b)| f64::max(most, (a - b).abs()))
}

fn columns(path: &Path) -> Vec<Vec<String>> {
    fs::read_to_string(path).unwrap().lines().skip(1).map(|l| l.split('\t').map(String::from).collect()).collect()
}

#[test]
fn folds_lambdas_predictions_and_scores_are_those_of_the_peers() {
    let Some(python) = common::python(&["himalaya", "sklearn"]) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    let done = Command::new(python).arg("tests/python/encode_reference.py").arg(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let done = evaluate(folder, "fixed", &["--lambda", "10", "--folds", "runs", "--json"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(difference(&folder.join("fixed/predictions.npy"), &folder.join("predictions_fixed.npy")) < 1e-9);
    let summary: Value = serde_json::from_slice(&done.stdout).unwrap();
    let reference: Value = serde_json::from_str(&fs::read_to_string(folder.join("reference.json")).unwrap()).unwrap();
    for (metric, expected) in reference.as_object().unwrap() {
        let got = summary["scores"][metric]["value"].as_f64().unwrap();
        assert!((got - expected.as_f64().unwrap()).abs() < 1e-6, "{metric}: {got} for {expected}");
    }
    let baseline = summary["scores"]["pearson_per_voxel"]["mean_pattern"].as_f64().unwrap();
    assert!(baseline < 0.0, "a mean of the other runs is a little on the other side: {baseline}");
    let regions: Vec<String> = columns(&folder.join("fixed/scores.tsv")).iter().map(|row| row[0].clone()).collect();
    assert_eq!(
        (regions.len(), &regions[0], &regions[5], &regions[19]),
        (20, &"all".into(), &"PPA".into(), &"OPA".into())
    );

    let grid = GRID.map(|l| l.to_string()).join(",");
    let done = evaluate(folder, "auto", &["--lambda", "auto", "--grid", &grid, "--folds", "runs"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert!(difference(&folder.join("auto/predictions.npy"), &folder.join("predictions_auto.npy")) < 1e-9);
    let lambdas: Array1<f64> = read_npy(folder.join("lambdas.npy")).unwrap();
    let ours: Vec<f64> = columns(&folder.join("auto/voxels.tsv")).iter().map(|row| row[5].parse().unwrap()).collect();
    assert!(ours.iter().zip(&lambdas).all(|(a, b)| (a - b).abs() < 1e-12 * b), "{ours:?} for {lambdas}");
}

#[test]
fn the_same_input_gives_the_same_bytes() {
    let temporary = tempfile::tempdir().unwrap();
    dataset(temporary.path());
    // The command line is part of the results.
    let run = || {
        let done = evaluate(temporary.path(), "out", &["--lambda", "auto", "--folds", "shuffle=5", "--seed", "3"]);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let read = |name: &str| fs::read(temporary.path().join("out").join(name)).unwrap();
        ["predictions.npy", "scores.tsv", "voxels.tsv", "summary.json", "report.html"].map(read)
    };
    assert!(run() == run());
    let page = fs::read_to_string(temporary.path().join("out/report.html")).unwrap();
    assert!(["PPA", "LOC", "OPA", "mean pattern"].iter().all(|word| page.contains(word)) && !page.contains("<script"));
}

#[test]
fn a_voxel_with_a_hole_or_without_a_change_harms_no_other() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    assert!(evaluate(folder, "whole", &["--lambda", "1", "--folds", "k=6"]).status.success());
    let mut y: Array2<f64> = read_npy(folder.join("responses.npy")).unwrap();
    y[(4, 2)] = f64::NAN;
    y.column_mut(5).fill(7.0);
    write_npy(folder.join("responses.npy"), &y).unwrap();
    let done = evaluate(folder, "harmed", &["--lambda", "1", "--folds", "k=6", "--json"]);
    let summary: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&summary["voxels_left_out"], &summary["constant_voxels"]), (&1.into(), &1.into()));
    let (whole, harmed) = (columns(&folder.join("whole/voxels.tsv")), columns(&folder.join("harmed/voxels.tsv")));
    for (v, (a, b)) in whole.iter().zip(&harmed).enumerate() {
        match v {
            2 => assert_eq!((b[2].as_str(), b[6].as_str()), ("n/a", "not finite")),
            5 => assert_eq!((b[2].as_str(), b[6].as_str()), ("0", "constant")),
            _ => assert_eq!(a, b),
        }
    }
    let predicted: Array2<f64> = read_npy(folder.join("harmed/predictions.npy")).unwrap();
    assert!(predicted.column(2).iter().all(|v| v.is_nan()) && predicted.column(1).iter().all(|v| v.is_finite()));
}

#[test]
fn intervals_ceilings_and_chance_are_told_where_there_is_something_to_tell() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    let stimuli: String = (0..90).map(|i| format!("{}\tpicture {}\n", i / 15, i % 30)).collect();
    fs::write(folder.join("runs.tsv"), format!("run\tstimulus\n{stimuli}")).unwrap();
    let done = evaluate(folder, "out", &["--lambda", "1", "--folds", "k=5", "--permutations", "199", "--json"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    for row in columns(&folder.join("out/scores.tsv")) {
        let [value, low, high] = [2, 3, 4].map(|i| row[i].parse::<f64>().unwrap());
        assert!(low <= value && value <= high && low < high, "{row:?}");
    }
    for row in columns(&folder.join("out/voxels.tsv")) {
        let [r, ceiling, p, q] = [2, 7, 8, 9].map(|i| row[i].parse::<f64>().unwrap());
        assert!((0.0..=1.0).contains(&ceiling) && p >= 0.005 && q >= p && (r > 0.0 || p > 0.05), "{row:?}");
    }
    let summary: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!(summary["parts"], 5);
}

#[test]
fn delays_stay_within_their_run() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    let x: Array2<f64> = read_npy(folder.join("features.npy")).unwrap();
    assert!(evaluate(folder, "delays", &["--lambda", "1", "--folds", "runs", "--delays", "1,2"]).status.success());
    let mut by_hand = Array2::<f64>::zeros((90, 24));
    for row in 0..90 {
        for (copy, delay) in [1, 2].into_iter().enumerate().filter(|(_, d)| row % 15 >= *d) {
            (0..12).for_each(|f| by_hand[(row, copy * 12 + f)] = x[(row - delay, f)]);
        }
    }
    write_npy(folder.join("features.npy"), &by_hand).unwrap();
    assert!(evaluate(folder, "by_hand", &["--lambda", "1", "--folds", "runs"]).status.success());
    assert_eq!(difference(&folder.join("delays/predictions.npy"), &folder.join("by_hand/predictions.npy")), 0.0);
}

#[test]
fn what_is_wrong_is_told_with_the_fix_and_nothing_is_written() {
    let says = |spoil: &dyn Fn(&Path), arguments: &[&str]| -> (Option<i32>, String) {
        let temporary = tempfile::tempdir().unwrap();
        dataset(temporary.path());
        spoil(temporary.path());
        let done = evaluate(temporary.path(), "out", arguments);
        assert!(!temporary.path().join("out/scores.tsv").exists());
        (done.status.code(), String::from_utf8_lossy(&done.stderr).into_owned())
    };
    let nothing = |_: &Path| {};
    let remove = |name: &'static str| move |folder: &Path| fs::remove_file(folder.join(name)).unwrap();
    type Case<'a> = (&'a dyn Fn(&Path), &'a [&'a str], i32, &'a str);
    let cases: [Case<'_>; 9] = [
        (&remove("features.npy"), &[], 65, "features/NAME.npy"),
        (&remove("responses.npy"), &[], 65, "responses.npy"),
        (&remove("runs.tsv"), &["--folds", "runs"], 65, "--folds k=10"),
        (&nothing, &["--folds", "k=1000"], 65, "1000 parts of 90 samples"),
        (&nothing, &["--folds", "tens"], 64, "k=10"),
        (&nothing, &["--lambda=-1"], 65, "positive"),
        (&nothing, &["--lambda", "much"], 64, "grid"),
        (&|f| fs::write(f.join("responses.npy"), b"no array").unwrap(), &[], 65, "numpy.save"),
        (
            &|f| fs::write(f.join("regions.tsv"), "region\nPPA\n").unwrap(),
            &[],
            65,
            "1 rows where a row of responses.npy has 9",
        ),
    ];
    for (spoil, arguments, code, expected) in cases {
        let (got, said) = says(spoil, arguments);
        assert!(got == Some(code) && said.contains(expected), "{got:?}: {said}");
    }
    let shorter = |f: &Path| write_npy(f.join("features.npy"), &Array2::<f64>::ones((80, 3))).unwrap();
    assert!(says(&shorter, &[]).1.contains("80 rows where responses.npy has 90"));
    let hole = |f: &Path| {
        let mut x: Array2<f64> = read_npy(f.join("features.npy")).unwrap();
        x[(7, 3)] = f64::NAN;
        write_npy(f.join("features.npy"), &x).unwrap();
    };
    assert!(says(&hole, &[]).1.contains("row 7, column 3"));
}

//! Spaces side by side: in their own units or in common ones, as scikit-learn's pipelines have it; and rows without features.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ndarray::{Array2, Axis, s};
use ndarray_npy::{read_npy, write_npy};
use serde_json::Value;

/// 72 samples in six runs. Space `a` is a thousand times as loud as `b`, which is what explains; one column never varies.
fn dataset(folder: &Path) {
    let mut state = 5u64;
    let mut draw = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let mut a = Array2::from_shape_simple_fn((72, 5), &mut draw) * 1000.0 + 40.0;
    a.column_mut(3).fill(7.5);
    let b = Array2::from_shape_simple_fn((72, 8), &mut draw);
    let w = Array2::from_shape_simple_fn((8, 6), &mut draw);
    let y = b.dot(&w) + Array2::from_shape_simple_fn((72, 6), &mut draw) * 0.5;
    fs::create_dir(folder.join("features")).unwrap();
    write_npy(folder.join("features/a.npy"), &a).unwrap();
    write_npy(folder.join("features/b.npy"), &b).unwrap();
    write_npy(folder.join("responses.npy"), &y).unwrap();
    let runs: String = (0..72).map(|i| format!("{}\n", i / 12)).collect();
    fs::write(folder.join("runs.tsv"), format!("run\n{runs}")).unwrap();
    fs::write(folder.join("grid.json"), "[0.1, 1.0, 10.0, 100.0]").unwrap();
}

fn evaluate(folder: &Path, out: &str, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
    command.args(["encode", "evaluate", "--folds", "runs", "--json"]).arg(folder).args(arguments).arg("--out");
    command.arg(folder.join(out)).output().unwrap()
}

fn predictions(folder: &Path, out: &str) -> Array2<f64> {
    read_npy(folder.join(out).join("predictions.npy")).unwrap()
}

#[test]
fn each_way_of_scaling_is_that_of_a_pipeline_that_never_sees_the_predicted_rows() {
    let Some(python) = common::python(&["himalaya", "sklearn"]) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    let done = Command::new(python).arg("tests/python/scale_reference.py").arg(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let mut scores = Vec::new();
    for (reference, arguments) in [
        ("none", &["--lambda", "10"][..]),
        ("space", &["--lambda", "10", "--scale", "space"]),
        ("column", &["--lambda", "10", "--scale", "column"]),
        ("column_auto", &["--lambda", "auto", "--grid", "0.1,1,10,100", "--scale", "column"]),
    ] {
        let out = format!("out_{reference}");
        let done = evaluate(folder, &out, arguments);
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let expected: Array2<f64> = read_npy(folder.join(format!("{reference}.npy"))).unwrap();
        let off = (predictions(folder, &out) - &expected).iter().fold(0.0, |most: f64, d| most.max(d.abs()));
        assert!(off < 1e-9, "{reference}: {off}");
        let summary: Value = serde_json::from_slice(&done.stdout).unwrap();
        scores.push(summary["scores"]["pearson_per_voxel"]["value"].as_f64().unwrap());
    }
    // λ = 10 is nothing to the loud space and silences the other, unless they are made equal.
    assert!(scores[2] > scores[0], "{scores:?}");
}

/// With delays a missing row is missing from the rows after it too, within its run.
#[test]
fn rows_without_features_are_left_out_and_nothing_is_learned_from_them() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder);
    let mut b: Array2<f64> = read_npy(folder.join("features/b.npy")).unwrap();
    for row in [10, 30] {
        b.row_mut(row).fill(f64::NAN);
    }
    write_npy(folder.join("features/b.npy"), &b).unwrap();
    let done = evaluate(folder, "missing", &["--lambda", "10", "--delays", "0,1,2"]);
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(done.status.success() && said.contains("5 of 72 samples are left out"), "{said}");
    let summary: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&summary["samples"], &summary["samples_left_out"]), (&67.into(), &5.into()));
    let missing = predictions(folder, "missing");
    let gone = [10, 11, 30, 31, 32];
    for (row, values) in missing.rows().into_iter().enumerate() {
        assert!(values.iter().all(|v| v.is_nan() == gone.contains(&row)), "row {row}");
    }

    // The same by hand: delayed first, then without those rows.
    let by_hand = tempfile::tempdir().unwrap();
    let hand = by_hand.path();
    dataset(hand);
    let [a, b]: [Array2<f64>; 2] = ["a", "b"].map(|name| read_npy(hand.join(format!("features/{name}.npy"))).unwrap());
    let x = ndarray::concatenate![Axis(1), a, b];
    let mut delayed = Array2::<f64>::zeros((72, 39));
    for (row, copy) in
        (0..72).flat_map(|row| (0..3).map(move |copy| (row, copy))).filter(|(row, copy)| row % 12 >= *copy)
    {
        delayed.slice_mut(s![row, copy * 13..(copy + 1) * 13]).assign(&x.row(row - copy));
    }
    let kept: Vec<usize> = (0..72).filter(|row| !gone.contains(row)).collect();
    let y: Array2<f64> = read_npy(hand.join("responses.npy")).unwrap();
    fs::remove_dir_all(hand.join("features")).unwrap();
    write_npy(hand.join("features.npy"), &delayed.select(Axis(0), &kept)).unwrap();
    write_npy(hand.join("responses.npy"), &y.select(Axis(0), &kept)).unwrap();
    let runs: String = kept.iter().map(|row| format!("{}\n", row / 12)).collect();
    fs::write(hand.join("runs.tsv"), format!("run\n{runs}")).unwrap();
    assert!(evaluate(hand, "out", &["--lambda", "10"]).status.success());
    assert_eq!(missing.select(Axis(0), &kept), predictions(hand, "out"));
}

//! Metrics of encoding against numpy, scipy and scikit-learn: `golden/encoding.json`, made by `golden/make_encoding.py`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use ndarray::{Array2, ArrayView2};
use neurod::encoding::{metrics, two_v_two::two_v_two};
use serde_json::Value;

type Metric = fn(ArrayView2<'_, f32>, ArrayView2<'_, f32>) -> Result<metrics::Scores, metrics::MetricError>;

fn golden(key: &str) -> Value {
    let all: Value = serde_json::from_str(include_str!("golden/encoding.json")).unwrap();
    all[key].clone()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn counts(value: &Value) -> Vec<usize> {
    value.as_array().unwrap().iter().map(|v| v.as_u64().unwrap() as usize).collect()
}

fn assert_near(what: &str, ours: &[f64], theirs: &[f64], tolerance: f64) {
    assert_eq!(ours.len(), theirs.len(), "{what}");
    for (i, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert!((ours - theirs).abs() <= tolerance, "{what}[{i}]: {ours} against {theirs}");
    }
}

/// `Noise` of `make_encoding.py`.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    }
}

/// `pair` of `make_encoding.py`: measured and predicted.
fn pair(of: &Value) -> (Array2<f32>, Array2<f32>) {
    let size = |key: &str| of[key].as_u64().unwrap() as usize;
    let mut draw = noise(of["seed"].as_u64().unwrap());
    let pattern: Vec<f64> = (0..size("v")).map(|_| draw()).collect();
    let (mut y, mut p) = (Array2::zeros((size("n"), size("v"))), Array2::zeros((size("n"), size("v"))));
    for i in 0..size("n") {
        for (j, pattern) in pattern.iter().enumerate() {
            let x = draw();
            y[[i, j]] = (2.0 * pattern + x) as f32;
            p[[i, j]] = (1.5 * pattern + 0.05 * x + 0.6 * draw()) as f32;
        }
    }
    (y, p)
}

#[test]
fn metrics_are_those_of_scipy_and_scikit_learn() {
    let golden = golden("metrics");
    let (y, p) = pair(&golden);
    let all: [(&str, Metric); 5] = [
        ("pearson_per_voxel", metrics::pearson_per_voxel),
        ("pearson_per_sample", metrics::pearson_per_sample),
        ("r2_per_voxel", metrics::r2_per_voxel),
        ("mae_per_voxel", metrics::mae_per_voxel),
        ("mae_per_sample", metrics::mae_per_sample),
    ];
    for (name, metric) in all {
        let ours = metric(y.view(), p.view()).unwrap();
        assert_near(name, &ours.values, &numbers(&golden[name]), 1e-12);
        assert_eq!(ours.undefined, 0, "{name}");
        // The same voxel by voxel in memory.
        let (y, p) = (y.t().as_standard_layout().into_owned(), p.t().as_standard_layout().into_owned());
        assert_eq!(metric(y.t(), p.t()).unwrap(), ours, "{name}");
    }
    assert_near("mae", &[metrics::mae(y.view(), p.view()).unwrap()], &[golden["mae"].as_f64().unwrap()], 1e-12);
}

#[test]
fn two_v_two_is_that_of_its_definition() {
    let golden = golden("metrics");
    let (y, p) = pair(&golden);
    let ours = two_v_two(y.view(), p.view()).unwrap();
    assert_near("2V2", &[ours.score], &[golden["two_v_two"].as_f64().unwrap()], 1e-15);
    assert_near("2V2 per sample", &ours.per_sample, &numbers(&golden["two_v_two_per_sample"]), 1e-15);
}

#[test]
fn the_baseline_is_the_mean_pattern_of_the_other_folds() {
    let golden = golden("metrics");
    let (y, _) = pair(&golden);
    let fold_of = counts(&golden["fold_of"]);
    let means = metrics::train_means(y.view(), &fold_of).unwrap();
    let ours: Vec<f64> = means.iter().map(|m| f64::from(*m)).collect();
    assert_near("train_means", &ours, &numbers(&golden["train_means"]), 1e-7);
    let rows = metrics::baseline_rows(means.view(), &fold_of).unwrap();
    assert!(rows.rows().into_iter().zip(&fold_of).all(|(row, fold)| row == means.row(*fold)));
    // It knows the pattern, and nothing of the samples.
    let r = metrics::pearson_per_sample(y.view(), rows.view()).unwrap().mean();
    assert!(r > 0.7, "{r}");
    assert!(two_v_two(y.view(), rows.view()).unwrap().score < 0.5);
}

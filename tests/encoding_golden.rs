//! Metrics of encoding against numpy, scipy and scikit-learn: `golden/encoding.json`, made by `golden/make_encoding.py`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use ndarray::{Array2, ArrayView2};
use neurod::encoding::ceiling::{NoiseCeiling, normalised};
use neurod::encoding::folds::Fold;
use neurod::encoding::statistics::{Blocks, Bootstrap, false_discovery, mean_of, permutation_p_values};
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
    let of = |k: usize| {
        let (test, train) = (0..fold_of.len()).partition(|row| fold_of[*row] == k);
        Fold { train, test }
    };
    let rows = metrics::mean_patterns(y.view(), &(0..5).map(of).collect::<Vec<_>>());
    let expected = numbers(&golden["train_means"]);
    for (row, fold) in rows.rows().into_iter().zip(&fold_of) {
        let ours: Vec<f64> = row.iter().map(|m| f64::from(*m)).collect();
        assert_near("mean pattern", &ours, &expected[fold * ours.len()..(fold + 1) * ours.len()], 1e-7);
    }
    // It knows the pattern, and nothing of the samples.
    let r = metrics::pearson_per_sample(y.view(), rows.view()).unwrap().mean();
    assert!(r > 0.7, "{r}");
    assert!(two_v_two(y.view(), rows.view()).unwrap().score < 0.5);
}

#[test]
fn a_bootstrap_interval_is_that_of_scipy_but_for_the_draws() {
    let golden = golden("bootstrap");
    let number = |key: &str| golden[key].as_f64().unwrap();
    let mut draw = noise(golden["seed"].as_u64().unwrap());
    let scores: Vec<f64> = (0..golden["n"].as_u64().unwrap()).map(|_| draw().powi(2)).collect();
    let blocks = Blocks::of_length(scores.len(), 1).unwrap();
    let bootstrap = Bootstrap { draws: 20_000, confidence: number("confidence"), seed: 1 };
    let ours = bootstrap.interval(&blocks, mean_of(&scores, &blocks).unwrap()).unwrap();
    let width = number("high") - number("low");
    assert_near("ends", &[ours.low, ours.high], &[number("low"), number("high")], 0.03 * width);
}

#[test]
fn false_discovery_rates_are_those_of_scipy() {
    let golden = golden("false_discovery");
    assert_near("q", &false_discovery(&numbers(&golden["p"])).unwrap(), &numbers(&golden["q"]), 1e-15);
    assert_eq!(false_discovery(&[]), Ok(vec![]));
}

#[test]
fn permutation_p_values_are_near_those_of_the_t_distribution() {
    let golden = golden("permutation");
    let (y, mut p) = pair(&golden);
    let slope = golden["slope"].as_f64().unwrap();
    for (v, mut column) in p.columns_mut().into_iter().enumerate() {
        column.zip_mut_with(&y.column(v), |p, y| *p += (f64::from(*y) * (v as f64 - 3.0) * slope) as f32);
    }
    let blocks = Blocks::of_length(y.nrows(), 1).unwrap();
    let draws = 9999;
    let ours = permutation_p_values(y.view(), p.view(), &blocks, draws, 3).unwrap();
    for (v, (ours, theirs)) in ours.iter().zip(numbers(&golden["p"])).enumerate() {
        // Five standard deviations of the draws, and one percent for the t distribution being one.
        let tolerance = 5.0 * (theirs / draws as f64).sqrt() + 0.01 + 1.0 / draws as f64;
        assert!((ours - theirs).abs() < tolerance, "voxel {v}: {ours} against {theirs}");
    }
}

#[test]
fn the_noise_ceiling_is_that_of_its_formulas() {
    let golden = golden("ceiling");
    let (mut y, _) = pair(&golden);
    let stimulus = counts(&golden["stimulus"]);
    for ((i, v), y) in y.indexed_iter_mut() {
        *y = (f64::from(*y) + (stimulus[i] % 7) as f64 * 0.1 * v as f64) as f32;
    }
    let ceiling = NoiseCeiling::new(y.view(), &stimulus).unwrap();
    assert_eq!(ceiling.stimuli as u64, golden["stimuli"].as_u64().unwrap());
    assert_near("repeats", &[ceiling.repeats], &[golden["repeats"].as_f64().unwrap()], 1e-12);
    let means = ceiling.r2_of_means();
    assert_near("NC of means", &means, &numbers(&golden["r2_of_means"]), 1e-6);
    assert_near("NC of 3", &ceiling.r2(3).unwrap(), &numbers(&golden["r2_of_3"]), 1e-6);
    let ours = normalised(&numbers(&golden["r"]), &means).unwrap();
    for (ours, theirs) in ours.iter().zip(golden["normalised"].as_array().unwrap()) {
        assert_eq!(ours.is_none(), theirs.is_null());
        assert!((ours.unwrap_or(0.0) - theirs.as_f64().unwrap_or(0.0)).abs() < 1e-5);
    }
}

//! λ, mixes, weights and predictions against himalaya, with more rows than features and with fewer; f32 against f64.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::process::Command;

use ndarray::{Array1, Array2, Axis, s};
use ndarray_npy::{read_npy, write_npy};
use neurod::encoding::banded::{self, Bands};
use neurod::encoding::folds::{Fold, Samples, Scheme, divide};
use neurod::encoding::solve::{self, Criterion, Lambda, Ridge};
use serde_json::json;

const SPACES: [usize; 3] = [20, 9, 31];

/// Three feature spaces of unlike size and scale, each of which explains other voxels, all with means far from zero.
fn arrays(n: usize, v: usize) -> (Array2<f64>, Array2<f64>) {
    let mut state = 3u64;
    let mut draw = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        ((state >> 11) as f64 / (1u64 << 53) as f64 - 0.5) * 3.0
    };
    let f = SPACES.iter().sum();
    let space = |column: usize| if column < SPACES[0] { 0 } else { 1 + usize::from(column >= SPACES[0] + SPACES[1]) };
    let x = Array2::from_shape_fn((n, f), |(_, column)| draw() * [1.0, 3.0, 0.5][space(column)] + column as f64);
    let w = Array2::from_shape_fn((f, v), |(column, v)| if space(column) == v % 3 { draw() * 0.2 } else { 0.0 });
    let y = x.dot(&w) + Array2::from_shape_simple_fn((n, v), &mut draw) * 2.0 + 50.0;
    (x, y)
}

fn grid() -> Vec<f64> {
    (0..12).map(|i| 10f64.powi(i - 3)).collect()
}

fn bands(mixes: Vec<Vec<f64>>) -> Bands {
    let [a, b, c] = SPACES;
    Bands { spaces: vec![vec![0..a], vec![a..a + b], vec![a + b..a + b + c]], mixes }
}

fn folds(n: usize) -> Vec<Fold> {
    divide(n, Scheme::Consecutive(4), &Samples::default()).unwrap().folds
}

fn ridge() -> Ridge {
    Ridge { lambda: Lambda::PerVoxel(grid()), criterion: Criterion::SquaredError, centre: true }
}

fn relative(ours: &Array2<f64>, theirs: &Array2<f64>) -> f64 {
    assert_eq!(ours.dim(), theirs.dim());
    let largest = theirs.iter().fold(0.0, |most: f64, v| most.max(v.abs()));
    ours.iter().zip(theirs).fold(0.0, |most: f64, (a, b)| most.max((a - b).abs())) / largest
}

fn same(ours: &[f64], theirs: impl IntoIterator<Item = f64>) {
    for (v, (ours, theirs)) in ours.iter().zip(theirs).enumerate() {
        assert!((ours - theirs).abs() <= 1e-9 * theirs.abs(), "voxel {v}: {ours} for {theirs}");
    }
}

#[test]
fn lambdas_mixes_and_weights_are_those_of_himalaya() {
    let Some(python) = common::python(&["himalaya", "sklearn"]) else { return };
    // Rows of a fold: more than features, as many as some, and fewer.
    for n in [200, 60, 44] {
        let temporary = tempfile::tempdir().unwrap();
        let folder = temporary.path();
        let (x, y) = arrays(n, 36);
        let bands = bands(banded::mixes(3, 12, 4));
        write_npy(folder.join("x.npy"), &x).unwrap();
        write_npy(folder.join("y.npy"), &y).unwrap();
        let ask = json!({ "grid": grid(), "folds": 4, "spaces": SPACES, "mixes": bands.mixes });
        std::fs::write(folder.join("ask.json"), ask.to_string()).unwrap();
        let done = Command::new(&python).arg("tests/python/encode_banded.py").arg(folder).output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let read = |name: &str| -> Array2<f64> { read_npy(folder.join(name)).unwrap() };

        let rows = Vec::from_iter(0..n);
        let (lambdas, fitted) = solve::choose_and_fit(x.view(), y.view(), &folds(n), &rows, &ridge()).unwrap();
        let theirs: Array1<f64> = read_npy(folder.join("alphas.npy")).unwrap();
        same(&lambdas, theirs);
        assert!(relative(&fitted.weights, &read("coef.npy")) < 1e-6, "n {n}");
        assert_eq!(solve::choose(x.view(), y.view(), &folds(n), &ridge()).unwrap(), lambdas);
        let alone = solve::fit(x.view(), y.view(), &rows, &lambdas, true).unwrap();
        assert!(relative(&alone.weights, &fitted.weights) < 1e-11);

        let choice = banded::choose(x.view(), y.view(), &folds(n), &ridge(), &bands).unwrap();
        let deltas = read("deltas.npy");
        for space in 0..3 {
            let ours: Vec<f64> =
                choice.mixes.iter().zip(&choice.lambdas).map(|(mix, l)| (bands.mixes[*mix][space] / l).ln()).collect();
            same(&ours, deltas.row(space).iter().copied());
        }
        let best = read("scores.npy").fold_axis(Axis(0), f64::NEG_INFINITY, |a, b| a.max(*b));
        assert!(choice.scores.iter().zip(&best).all(|(a, b)| (a - b).abs() < 1e-6 * b.abs()));
        assert!(choice.mixes.iter().collect::<std::collections::BTreeSet<_>>().len() > 3, "{:?}", choice.mixes);
        let fitted = banded::fit(x.view(), y.view(), &rows, &choice, &bands, true).unwrap();
        assert!(relative(&fitted.weights, &read("weights.npy")) < 1e-6, "n {n}");
        let intercepts: Array1<f64> = read_npy(folder.join("intercepts.npy")).unwrap();
        assert!(fitted.intercepts.iter().zip(&intercepts).all(|(a, b)| (a - b).abs() < 1e-6 * 50.0));

        // Predictions are those of the weights.
        let fold = &folds(n)[1];
        let predicted = banded::predict(x.view(), y.view(), fold, &choice, &bands, true).unwrap();
        let fitted = banded::fit(x.view(), y.view(), &fold.train, &choice, &bands, true).unwrap();
        let by_weights = x.select(Axis(0), &fold.test).dot(&fitted.weights) + Array1::from(fitted.intercepts);
        assert!(relative(&predicted, &by_weights) < 1e-12);
    }
}

#[test]
fn single_precision_chooses_and_predicts_as_double() {
    for n in [300, 50] {
        let (x, y) = arrays(n, 80);
        let (narrow_x, narrow_y) = (x.mapv(|v| v as f32), y.mapv(|v| v as f32));
        let fold = Fold { train: (20..n).collect(), test: (0..20).collect() };
        let (lambdas, predicted) = solve::choose_and_predict(x.view(), y.view(), &folds(n), &fold, &ridge()).unwrap();
        let (single, of_single) =
            solve::choose_and_predict(narrow_x.view(), narrow_y.view(), &folds(n), &fold, &ridge()).unwrap();
        let alike = lambdas.iter().zip(&single).filter(|(a, b)| a == b).count();
        assert!(alike >= 78, "{alike} of 80");
        for v in (0..80).filter(|v| lambdas[*v] == single[*v]) {
            let difference = &predicted.column(v) - &of_single.column(v).mapv(f64::from);
            assert!(difference.iter().all(|d| d.abs() < 2e-3), "voxel {v} of {n}: {difference}");
        }
    }
}

#[test]
fn voxels_taken_apart_and_rows_in_another_set_are_the_same() {
    let (x, y) = arrays(120, 700);
    let all = solve::choose(x.view(), y.view(), &folds(120), &ridge()).unwrap();
    let some = solve::choose(x.view(), y.slice(s![.., 500..640]), &folds(120), &ridge()).unwrap();
    assert_eq!(all[500..640], some);
    // Folds that overlap share their rows in more sets.
    let overlapping: Vec<Fold> = (0..5)
        .map(|i| Fold {
            train: (0..120).filter(|r| (r / 3) % 5 != i && r % 7 != i).collect(),
            test: vec![i * 3, i * 3 + 1],
        })
        .collect();
    for fold in &overlapping {
        let (lambdas, predicted) = solve::choose_and_predict(x.view(), y.view(), &overlapping, fold, &ridge()).unwrap();
        let alone = solve::predict(x.view(), y.view(), fold, &lambdas, true).unwrap();
        assert!(relative(&predicted, &alone) < 1e-10);
    }
}

#[test]
fn one_lambda_for_all_is_the_best_on_average_and_wrong_ones_are_refused() {
    let (x, y) = arrays(90, 12);
    let shared = Ridge { lambda: Lambda::Shared(grid()), ..ridge() };
    let (lambdas, fitted) =
        solve::choose_and_fit(x.view(), y.view(), &folds(90), &Vec::from_iter(0..90), &shared).unwrap();
    assert!(lambdas.iter().all(|l| *l == lambdas[0]) && grid().contains(&lambdas[0]));
    let error = |lambda: f64| -> f64 {
        let loss = |fold: &Fold| {
            let p = solve::predict(x.view(), y.view(), fold, &[lambda; 12], true).unwrap();
            (p - y.select(Axis(0), &fold.test)).mapv(|e| e * e).mean().unwrap()
        };
        folds(90).iter().map(loss).sum()
    };
    let best = grid().into_iter().min_by(|a, b| error(*a).total_cmp(&error(*b))).unwrap();
    assert_eq!(lambdas[0], best);
    assert_eq!(fitted.weights, solve::fit(x.view(), y.view(), &Vec::from_iter(0..90), &lambdas, true).unwrap().weights);

    let wrong =
        |lambda| solve::choose(x.view(), y.view(), &folds(90), &Ridge { lambda, ..ridge() }).unwrap_err().to_string();
    assert!(
        wrong(Lambda::PerVoxel(vec![1.0, -2.0])).contains("-2") && wrong(Lambda::Shared(vec![])).contains("positive")
    );
    let short = y.slice(s![..80, ..]);
    let error = solve::choose(x.view(), short, &folds(80), &ridge()).unwrap_err().to_string();
    assert!(error.contains("80 rows where the features have 90"), "{error}");
    let error = banded::choose(x.view(), y.view(), &folds(90), &shared, &bands(banded::mixes(3, 2, 0))).unwrap_err();
    assert!(error.to_string().contains("a λ of its own"));
}

#[test]
fn features_that_say_nothing_predict_the_mean() {
    let (_, y) = arrays(40, 3);
    let x = Array2::from_elem((40, 4), 2.5);
    let fold = &folds(40)[0];
    let (_, predicted) = solve::choose_and_predict(x.view(), y.view(), &folds(40), fold, &ridge()).unwrap();
    let mean = y.select(Axis(0), &fold.train).mean_axis(Axis(0)).unwrap();
    assert!(predicted.rows().into_iter().all(|row| row.iter().zip(&mean).all(|(a, b)| (a - b).abs() < 1e-12)));
}

//! The ridge against scikit-learn and scipy: `golden/ridge.json`, made by `golden/make_ridge.py`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use neurod::frame::Quality;
use neurod::ridge::{
    ChooseLambda, Criterion, FeatureTimeline, Lags, LambdaConfig, LambdaGrid, Learner, Moments, Observed, Response,
    RidgeConfig, Rls, gcv_scores, spm_hrf,
};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/ridge.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// The data of `make_ridge.py`.
fn rows(seed: u64, n: usize, f: usize, noise: &[f64]) -> Vec<(Vec<f64>, Vec<f64>)> {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    (0..n)
        .map(|_| {
            let mut x = vec![0.0; f];
            for i in 0..f {
                x[i] = draw() + if i > 0 { 0.5 * x[i - 1] } else { 0.0 };
            }
            let target = |(j, noise): (usize, &f64)| {
                x[j % f] - 2.0 * x[(3 * j + 1) % f] + 0.5 * x[(j + 2) % f] + noise * draw() + j as f64
            };
            let y = noise.iter().enumerate().map(target).collect();
            x.iter_mut().enumerate().for_each(|(i, x)| *x += i as f64);
            (x, y)
        })
        .collect()
}

fn relative(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let largest = theirs.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
    ours.iter().zip(theirs).fold(0.0, |m: f64, (a, b)| m.max((a - b).abs())) / largest
}

fn intercept(learner: &Learner) -> Vec<f64> {
    let (mean_x, mean_y) = learner.means();
    let (w, v) = (learner.weights(), mean_y.len());
    (0..v).map(|j| mean_y[j] - (0..mean_x.len()).map(|i| mean_x[i] * w[i * v + j]).sum::<f64>()).collect()
}

fn config(lambda: f64) -> RidgeConfig {
    RidgeConfig { lambda: LambdaConfig::Fixed(lambda), ..RidgeConfig::default() }
}

#[test]
fn after_ten_thousand_updates_the_weights_are_those_of_scikit_learn() {
    let golden = &golden()["ridge"];
    let mut learner = Learner::new(20, 5, &config(10.0)).unwrap();
    for (x, y) in rows(1, 10_000, 20, &[1.0; 5]) {
        assert_eq!(learner.observe(&x, &y, Quality::GOOD), Observed::Learned);
    }
    assert_eq!(learner.updates(), 10_000);
    let coef = relative(&learner.weights(), &numbers(&golden["coef"]));
    let intercept = relative(&intercept(&learner), &numbers(&golden["intercept"]));
    assert!(coef <= 1e-9 && intercept <= 1e-9, "coef {coef:e}, intercept {intercept:e}");
    assert!(learner.measure_drift() <= 1e-9, "{:e}", learner.measure_drift());
}

#[test]
fn fewer_rows_than_features_and_a_constant_feature_are_no_problem() {
    let golden = &golden()["wide"];
    let mut learner = Learner::new(20, 5, &config(0.5)).unwrap();
    for (mut x, y) in rows(2, 12, 20, &[1.0; 5]) {
        x[4] = 3.0;
        learner.observe(&x, &y, Quality::GOOD);
    }
    assert!(relative(&learner.weights(), &numbers(&golden["coef"])) <= 1e-9);
    assert!(relative(&intercept(&learner), &numbers(&golden["intercept"])) <= 1e-9);
    assert!(learner.weights()[4 * 5..5 * 5].iter().all(|w| *w == 0.0), "a constant feature explains nothing");
}

#[test]
fn generalised_cross_validation_scores_and_chooses_as_numpy_and_ridgecv_do() {
    let golden = &golden()["gcv"];
    let (noise, grid) = (numbers(&golden["noise"]), numbers(&golden["grid"]));
    let seed = golden["seed"].as_u64().unwrap();
    let data = rows(seed, 150, 10, &noise);
    let mut moments = Moments::new(10, 6);
    data.iter().for_each(|(x, y)| moments.observe(x, y));
    let scores = gcv_scores(&moments, &grid).unwrap();
    for (ours, theirs) in scores.iter().zip(numbers(&golden["scores"])) {
        assert!((ours / theirs - 1.0).abs() < 1e-9, "{ours} {theirs}");
    }

    let choose =
        ChooseLambda { choose: Criterion::Gcv, grid: LambdaGrid::List(grid), every: 150, keep_runs: 8, start: None };
    let config = RidgeConfig { lambda: LambdaConfig::Choose(choose), ..RidgeConfig::default() };
    let mut learner = Learner::new(10, 6, &config).unwrap();
    for (x, y) in &data {
        learner.observe(x, y, Quality::GOOD);
    }
    let job = learner.begin_search().expect("due after 150 updates");
    assert!(learner.adopt(job.run()));
    let choice = numbers(&golden["ridgecv_choice"]);
    assert_eq!(learner.lambdas(), choice);
    let exact = Rls::solve(&[&moments], &choice).unwrap().weights();
    assert!(relative(&learner.weights(), &exact) < 1e-10);
}

#[test]
fn the_response_is_nilearns_and_a_regressor_differs_only_by_its_discretisation() {
    let golden = golden();
    let hrf = &golden["hrf"];
    for (t, value) in numbers(&hrf["times"]).into_iter().zip(numbers(&hrf["values"])) {
        assert!((spm_hrf(t) - value).abs() < 1e-12, "h({t}) = {} {value}", spm_hrf(t));
    }
    let regressor = &golden["regressor"];
    let mut line = FeatureTimeline::events(1);
    for event in regressor["events"].as_array().unwrap() {
        let event = numbers(event);
        line.push(event[0], event[0] + event[1], &event[2..]);
    }
    let theirs = numbers(&regressor["values"]);
    let tr = regressor["tr"].as_f64().unwrap();
    let ours: Vec<f64> = (0..theirs.len())
        .map(|i| {
            let mut row = [f64::NAN];
            // nilearn's kernel comes a step of 0.04 s late, its sum over the block half a step early.
            Lags::Hrf(Response::Spm).row(&line, i as f64 * tr - 0.02, 0.0, &mut row);
            row[0]
        })
        .collect();
    assert!(relative(&ours, &theirs) < 0.01, "{}", relative(&ours, &theirs));
}

#[test]
fn events_held_lagged_predicted_and_scored_before_learning_are_as_refitting_for_every_volume() {
    let golden = &golden()["path"];
    let lags = Lags::Fir(vec![2.0, 5.0]);
    let mut line = FeatureTimeline::events(3);
    line.new_run(0.0);
    for event in golden["events"].as_array().unwrap() {
        let (onset, duration) = (event[0].as_f64().unwrap(), event[1].as_f64().unwrap());
        line.push(onset, onset + duration, &numbers(&event[2]));
    }
    let mut learner = Learner::new(6, 2, &config(0.3)).unwrap();
    let mut row = [0.0; 6];
    let predictions = numbers(&golden["predictions"]);
    for (t, (y, expected)) in numbers(&golden["targets"]).chunks(2).zip(predictions.chunks(2)).enumerate() {
        lags.row(&line, t as f64 * 2.0, 2.0, &mut row);
        learner.observe(&row, y, Quality::GOOD);
        for (ours, theirs) in learner.prediction().iter().zip(expected) {
            assert!((ours - theirs).abs() < 1e-11, "volume {t}: {ours} {theirs}");
        }
    }
    for (j, r) in numbers(&golden["r"]).into_iter().enumerate() {
        assert!((learner.skill().r(j) - r).abs() < 1e-10, "{} {r}", learner.skill().r(j));
    }
    assert!((learner.skill().mae() - golden["mae"].as_f64().unwrap()).abs() < 1e-10);
}

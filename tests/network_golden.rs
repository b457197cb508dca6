//! Baselines and scores of networks against scikit-learn: `golden/network.json`, made by `golden/make_network.py`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

use ndarray::{Array2, Array3};
use neurod::network::baselines::{
    KernelRidge, KernelRidgeConfig, Logistic, LogisticConfig, Loss, MkSvm, MkSvmConfig, Ridge, RidgeConfig, Svm,
    SvmConfig,
};
use neurod::network::scores::Metric;
use neurod::network::{Learner, Networks, Rows, Targets};
use serde_json::Value;

fn golden() -> Value {
    serde_json::from_str(include_str!("golden/network.json")).unwrap()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn table(value: &Value) -> Array2<f64> {
    let rows: Vec<Vec<f64>> = value.as_array().unwrap().iter().map(numbers).collect();
    Array2::from_shape_vec((rows.len(), rows[0].len()), rows.concat()).unwrap()
}

/// Networks whose lower triangles, row by row, are the golden edges.
fn networks(of: &Value) -> (Networks, Vec<usize>, Vec<usize>) {
    let (edges, n) = (table(&of["edges"]), of["regions"].as_u64().unwrap() as usize);
    let train = of["train"].as_u64().unwrap() as usize;
    let mut connectivity = Array3::zeros((edges.nrows(), n, n));
    for (sample, edges) in edges.rows().into_iter().enumerate() {
        let places = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
        for ((i, j), edge) in places.zip(edges) {
            connectivity[(sample, i, j)] = *edge;
            connectivity[(sample, j, i)] = *edge;
        }
    }
    let samples = edges.nrows();
    (Networks { connectivity, ..Networks::default() }, (0..train).collect(), (train..samples).collect())
}

fn classes(of: &Value) -> Targets {
    let of: Vec<usize> = numbers(of).iter().map(|v| *v as usize).collect();
    let names = (0..=*of.iter().max().unwrap()).map(|class| class.to_string()).collect();
    Targets::Classes { names, of }
}

fn near(what: &str, ours: &Array2<f64>, theirs: &Array2<f64>, tolerance: f64) {
    assert_eq!(ours.dim(), theirs.dim(), "{what}");
    let worst = ours.iter().zip(theirs).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    assert!(worst <= tolerance, "{what}: {worst:e}");
}

#[test]
fn logistic_regression_has_the_probabilities_of_scikit_learn() {
    let all = golden();
    let (networks, train, test) = networks(&all);
    for of in all["logistic"].as_array().unwrap() {
        let targets = classes(&all[of["labels"].as_str().unwrap()]);
        let (c, balanced) = (of["c"].as_f64().unwrap(), of["balanced"].as_bool().unwrap());
        let model = Logistic::new("logistic", LogisticConfig { c, balanced, ..LogisticConfig::default() }).unwrap();
        let rows = |rows| Rows { networks: &networks, targets: &targets, rows };
        let predicted = model.fit(rows(&train), None, 0).unwrap().predict(rows(&test)).unwrap();
        near(&format!("{} C = {c}", of["labels"]), &predicted, &table(&of["probabilities"]), 1e-6);
    }
}

#[test]
fn the_linear_machine_decides_as_scikit_learns() {
    let all = golden();
    let (networks, train, test) = networks(&all);
    for of in all["svm"].as_array().unwrap() {
        let targets = classes(&all[of["labels"].as_str().unwrap()]);
        let (c, balanced) = (of["c"].as_f64().unwrap(), of["balanced"].as_bool().unwrap());
        let loss = if of["loss"] == "hinge" { Loss::Hinge } else { Loss::SquaredHinge };
        let model = Svm::new("svm", SvmConfig { c, loss, balanced, ..SvmConfig::default() }).unwrap();
        let rows = |rows| Rows { networks: &networks, targets: &targets, rows };
        let fitted = model.learn(rows(&train), 0).unwrap();
        near(&format!("{of:.60}"), &fitted.decisions(rows(&test)).unwrap(), &table(&of["decisions"]), 1e-4);
    }
}

#[test]
fn the_machine_of_several_kernels_decides_as_scikit_learns_on_their_sum() {
    let all = golden();
    let (networks, train, test) = networks(&all);
    let targets = classes(&all["two"]);
    let rows = |rows| Rows { networks: &networks, targets: &targets, rows };
    for of in all["mk_svm"].as_array().unwrap() {
        let config = MkSvmConfig { c: of["c"].as_f64().unwrap(), ..MkSvmConfig::default() };
        let predicted = MkSvm::new("mk-svm", config).unwrap().fit(rows(&train), None, 0).unwrap().predict(rows(&test));
        let second = predicted.unwrap().column(1).to_owned().insert_axis(ndarray::Axis(1));
        let wanted = Array2::from_shape_vec((test.len(), 1), numbers(&of["probabilities"])).unwrap();
        near(&format!("C = {}", of["c"]), &second, &wanted, 1e-4);
    }
}

#[test]
fn ridge_and_kernel_ridge_predict_what_scikit_learn_predicts() {
    let all = golden();
    let (networks, train, test) = networks(&all);
    let targets = Targets::Values(numbers(&all["number"]));
    let rows = |rows| Rows { networks: &networks, targets: &targets, rows };
    let column = |of: &Value| Array2::from_shape_vec((test.len(), 1), numbers(of)).unwrap();
    for of in all["ridge"].as_array().unwrap() {
        let config = RidgeConfig { alpha: of["alpha"].as_f64().unwrap(), ..RidgeConfig::default() };
        let fitted = Ridge::new("ridge", config).unwrap().fit(rows(&train), None, 0).unwrap();
        near("ridge", &fitted.predict(rows(&test)).unwrap(), &column(&of["predicted"]), 1e-9);
    }
    for of in all["kernel_ridge"].as_array().unwrap() {
        let (alpha, gamma) = (of["alpha"].as_f64().unwrap(), of["gamma"].as_f64());
        let config = KernelRidgeConfig { alpha, gamma, ..KernelRidgeConfig::default() };
        let fitted = KernelRidge::new("kernel", config).unwrap().fit(rows(&train), None, 0).unwrap();
        near("kernel ridge", &fitted.predict(rows(&test)).unwrap(), &column(&of["predicted"]), 1e-9);
    }
}

#[test]
fn scores_are_those_of_scikit_learn() {
    let all = golden();
    let check = |of: &Value, targets: &Targets, predicted: &Array2<f64>, metrics: &[Metric]| {
        let rows: Vec<usize> = (0..predicted.nrows()).collect();
        for metric in metrics {
            let (ours, theirs) =
                (metric.score(targets, &rows, predicted.view()), of[metric.as_str()].as_f64().unwrap());
            assert!((ours - theirs).abs() < 1e-12, "{metric:?}: {ours} against {theirs}");
        }
    };
    for of in all["classes"].as_array().unwrap() {
        let predicted = table(&of["predicted"]);
        let targets = classes(&of["truth"]);
        assert_eq!(targets.outputs(), predicted.ncols());
        check(of, &targets, &predicted, Metric::of(&targets));
    }
    let of = &all["values"];
    let targets = Targets::Values(numbers(&of["truth"]));
    let predicted = numbers(&of["predicted"]);
    let predicted = Array2::from_shape_vec((predicted.len(), 1), predicted).unwrap();
    check(of, &targets, &predicted, Metric::of(&targets));
}

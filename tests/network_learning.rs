//! Does a network learn as PyTorch has it learn, find what is there, and give the same bits again?
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod network_support;

use std::collections::BTreeMap;
use std::process::Command;

use ndarray::{Array2, Array3};
use network_support::{planted, rows};
use neurod::network::deep::{DeepLearner, GraphNetwork, Messages, Perceptron, Saved, Training};
use neurod::network::{Fitted, Learner, Networks, Targets};
use serde::Deserialize;

#[derive(Deserialize)]
struct Numbers {
    shape: Vec<usize>,
    values: Vec<f64>,
}

/// `tests/golden/make_deep.py`
#[derive(Deserialize)]
struct Golden {
    connectivity: Numbers,
    classes: Vec<usize>,
    learned: BTreeMap<String, Numbers>,
    logits: Numbers,
    losses: Vec<f64>,
    after: Numbers,
}

fn largest_difference(found: &Array2<f64>, wanted: &Numbers) -> f64 {
    assert_eq!(found.len(), wanted.values.len());
    found.iter().zip(&wanted.values).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max)
}

#[test]
fn node_edge_concat_learns_as_in_pytorch() {
    let golden: Golden = serde_json::from_str(include_str!("golden/deep.json")).unwrap();
    let shape = <[usize; 3]>::try_from(golden.connectivity.shape).unwrap();
    let networks = Networks {
        connectivity: Array3::from_shape_vec(shape, golden.connectivity.values).unwrap(),
        participants: (0..shape[0]).map(|i| i.to_string()).collect(),
        ..Networks::default()
    };
    let targets = Targets::Classes { names: vec!["a".into(), "b".into()], of: golden.classes };
    let all: Vec<usize> = (0..shape[0]).collect();
    let all = rows(&networks, &targets, &all);
    let learned = golden.learned.into_iter().map(|(name, numbers)| (name, numbers.shape, numbers.values)).collect();
    let begin = Saved { learned, running: BTreeMap::new(), frozen: Vec::new() };
    let network = GraphNetwork { hidden: 8, ..GraphNetwork::default() };
    let learn = |lr, epochs| {
        let training = Training { epochs, lr, batch: 12, ..Training::default() };
        DeepLearner::new(network.clone(), training).learn(all, None, 0, Some(&begin)).unwrap()
    };
    // Steps of no length leave the weights that came in; the running statistics see one batch.
    let still = learn(1e-30, 1);
    assert!(largest_difference(&still.logits(all).unwrap(), &golden.logits) < 1e-5);
    let trained = learn(1e-3, 5);
    assert_eq!(trained.history.loss.len(), golden.losses.len());
    for (ours, theirs) in trained.history.loss.iter().zip(&golden.losses) {
        assert!((ours - theirs).abs() < 1e-4, "{:?} and {:?}", trained.history.loss, golden.losses);
    }
    assert!(largest_difference(&trained.logits(all).unwrap(), &golden.after) < 1e-4);
    assert_eq!(trained.saved().unwrap().learned.len(), begin.learned.len());
}

#[test]
fn what_is_planted_is_found_and_what_is_not_is_not() {
    let (networks, targets) = planted(80, 12, 0.3, 3);
    let (train, test): (Vec<usize>, Vec<usize>) = (0..80).partition(|row| *row < 60);
    let (held, train): (Vec<usize>, Vec<usize>) = train.into_iter().partition(|row| *row < 12);
    let right = |messages, networks: &Networks| {
        let training = Training { epochs: 30, ..Training::default() };
        let learner = DeepLearner::new(GraphNetwork { messages, hidden: 16, ..GraphNetwork::default() }, training);
        let fitted = learner.fit(rows(networks, &targets, &train), Some(rows(networks, &targets, &held)), 0).unwrap();
        let probabilities = fitted.predict(rows(networks, &targets, &test)).unwrap();
        probabilities.rows().into_iter().zip(&test).filter(|(p, row)| (p[1] > 0.5) == (*row % 2 == 1)).count()
    };
    assert!(right(Messages::NodeEdgeConcat, &networks) >= 19);
    assert!(right(Messages::AttentionNodeConcat, &networks) >= 19);
    let (nothing, _) = planted(80, 12, 0.0, 3);
    // Five standard deviations of twenty coins are beyond it; four are 19.
    assert!((3..=17).contains(&right(Messages::NodeEdgeConcat, &nothing)));
}

fn digest() -> String {
    let (networks, targets) = planted(40, 30, 0.2, 5);
    let all: Vec<usize> = (0..40).collect();
    let training = Training { epochs: 2, mixup: 1.0, class_weights: true, ..Training::default() };
    let messages = Messages::AttentionNodeEdgeConcat;
    let network = GraphNetwork { messages, hidden: 64, dropout: 0.2, ..GraphNetwork::default() };
    let all = rows(&networks, &targets, &all);
    let trained = DeepLearner::new(network, training).learn(all, Some(all), 7, None).unwrap();
    neurod::encoders::hex_sha256(&trained.export().unwrap().unwrap().model)
}

#[test]
fn the_same_seed_gives_the_same_bits_on_any_number_of_threads() {
    const CHILD: &str = "NEUROD_TEST_DIGEST";
    if std::env::var_os(CHILD).is_some() {
        // The harness's own output stands on other lines.
        std::fs::write(std::env::var(CHILD).unwrap(), digest()).unwrap();
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let digests = ["1", "2", "3"].map(|threads| {
        let file = folder.path().join(threads);
        let ran = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "the_same_seed_gives_the_same_bits_on_any_number_of_threads"])
            .env(CHILD, &file)
            .env("RAYON_NUM_THREADS", threads)
            .output()
            .unwrap();
        assert!(ran.status.success(), "{}", String::from_utf8_lossy(&ran.stdout));
        std::fs::read_to_string(file).unwrap()
    });
    assert_eq!(digests[0], digests[1]);
    assert_eq!(digests[0], digests[2]);
}

#[test]
fn learning_stops_at_the_best_epoch_and_as_released_at_the_last() {
    let (networks, targets) = planted(40, 8, 0.0, 5);
    let (train, held): (Vec<usize>, Vec<usize>) = (0..40).partition(|row| *row < 28);
    let history = |as_released| {
        let training = Training { epochs: 40, patience: 3, lr: 1e-2, as_released, ..Training::default() };
        let learner = DeepLearner::new(GraphNetwork { as_released, ..GraphNetwork::default() }, training);
        let held = Some(rows(&networks, &targets, &held));
        learner.learn(rows(&networks, &targets, &train), held, 0, None).unwrap().history
    };
    let ours = history(false);
    assert!(ours.loss.len() < 40 && ours.loss.len() == ours.kept + 4, "{ours:?}");
    let least = ours.validation.iter().copied().fold(f64::INFINITY, f64::min);
    assert_eq!(ours.validation[ours.kept], least);
    let released = history(true);
    assert_eq!((released.loss.len(), released.kept), (40, 39));
}

#[test]
fn what_cannot_be_learned_is_named() {
    let (mut networks, targets) = planted(20, 6, 0.3, 1);
    let all: Vec<usize> = (0..20).collect();
    let said = |networks: &Networks, targets: &Targets, chosen: &[usize], training: Training| {
        let learner = DeepLearner::new(Perceptron::default(), training);
        match learner.fit(rows(networks, targets, chosen), None, 0) {
            Err(error) => error.to_string(),
            Ok(_) => panic!("it learned"),
        }
    };
    let usual = Training::default;
    let even: Vec<usize> = (0..20).step_by(2).collect();
    assert_eq!(said(&networks, &targets, &even, usual()), "model \"mlp\": all training samples are of one class");
    assert_eq!(said(&networks, &targets, &[0], usual()), "model \"mlp\": 1 training samples are too few");
    let same = Targets::Values(vec![1.0; 20]);
    assert_eq!(said(&networks, &same, &all, usual()), "model \"mlp\": all training samples have the same value");
    networks.connectivity *= 1e30;
    let error = said(&networks, &targets, &all, Training { lr: 1e9, ..usual() });
    assert!(error.contains("the loss is not finite in epoch"), "{error}");
    let single = Networks { connectivity: Array3::zeros((20, 1, 1)), ..Networks::default() };
    let error = said(&single, &targets, &all, usual());
    assert_eq!(error, "model \"mlp\": there is nothing between 1 regions (two are the least)");
}

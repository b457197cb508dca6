//! Are the baselines the networks of their papers? Losses and logits against PyTorch's, from the same weights.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod network_support;

use ndarray::{Array2, Array3};
use network_support::rows;
use neurod::network::deep::{
    BrainGnn, BrainNetCnn, BrainTransformer, DeepLearner, Network, Perceptron, Running, Saved, Trained, Training,
};
use neurod::network::{Networks, Targets};

const NODES: usize = 12;
const SAMPLES: usize = 14;

/// As `tests/golden/make_network_models.py` has them.
fn sines(name: &str, count: usize) -> impl Iterator<Item = f64> {
    let phase: f64 = name.bytes().map(f64::from).sum();
    (0..count).map(move |i| (phase + 0.7 * i as f64 + 0.013 * (i * i) as f64).sin())
}

fn samples() -> (Networks, Targets) {
    let mut draw = sines("samples", SAMPLES * NODES * NODES);
    let mut connectivity = Array3::zeros((SAMPLES, NODES, NODES));
    for (sample, mut network) in connectivity.outer_iter_mut().enumerate() {
        for i in 0..NODES {
            for j in 0..i {
                let v = 0.5 * draw.next().unwrap();
                let bound = if sample % 2 == 1 && i < NODES / 3 { 0.4 } else { 0.0 };
                let v = if v.abs() < 0.1 { 0.0 } else { v + bound };
                (network[[i, j]], network[[j, i]]) = (v, v);
            }
            network[[i, i]] = 1.0;
        }
    }
    let (like, _) = network_support::planted(SAMPLES, NODES, 0.0, 0);
    let classes = Targets::Classes { names: vec!["a".into(), "b".into()], of: (0..SAMPLES).map(|s| s % 2).collect() };
    (Networks { connectivity, ..like }, classes)
}

fn learned<N: Network>(network: &N, training: Training, begin: Option<&Saved>) -> Trained<N> {
    let (networks, targets) = samples();
    let all: Vec<usize> = (0..SAMPLES).collect();
    let training = Training { batch: SAMPLES, ..training };
    let learner = DeepLearner { network: network.clone(), training };
    learner.learn(rows(&networks, &targets, &all), None, 0, begin).unwrap()
}

fn weights(name: &str, shape: &[usize], golden: &serde_json::Value) -> Vec<f64> {
    if name == "readout.centres" {
        let centres: Vec<Vec<f64>> = serde_json::from_value(golden["centres"].clone()).unwrap();
        return centres.concat();
    }
    let scale = |s: f64| match shape {
        [inputs, _] => 1.5 * s / (*inputs as f64).sqrt(),
        _ if name.contains("norm") && name.ends_with("weight") => 1.0 + 0.3 * s,
        _ => 0.3 * s,
    };
    sines(name, shape.iter().product()).map(scale).collect()
}

fn equal_to_pytorch<N: Network>(network: N) {
    let golden: serde_json::Value = serde_json::from_str(include_str!("golden/network_models.json")).unwrap();
    let expected = &golden[network.name()];
    let mut begin = learned(&network, Training { epochs: 1, ..Training::default() }, None).saved().unwrap();
    for (name, shape, values) in &mut begin.learned {
        *values = weights(name, shape, &golden);
    }
    for (name, running) in &mut begin.running {
        let columns = running.mean.len();
        let mean = sines(&format!("{name}.mean"), columns).map(|s| 0.1 * s).collect();
        let variance = sines(&format!("{name}.variance"), columns).map(|s| 1.0 + 0.3 * s).collect();
        *running = Running { mean, variance };
    }

    let five = Training { epochs: 5, lr: 0.01, weight_decay: 1e-3, ..Training::default() };
    let losses: Vec<f64> = serde_json::from_value(expected["losses"].clone()).unwrap();
    for (step, (ours, theirs)) in learned(&network, five, Some(&begin)).history.loss.iter().zip(&losses).enumerate() {
        // The first one is before any step; each further one has Adam's quotient of rounding in it.
        let bound = if step == 0 { 1e-5 } else { 1e-4 };
        assert!((ours - theirs).abs() < bound, "{}, step {step}: {ours} and {theirs}", network.name());
    }
    assert!(losses[0] - losses[4] > 1e-2, "nothing was learned, so nothing is compared");

    // Steps so small that f32 does not see them: only the running statistics move.
    let still = Training { epochs: 1, lr: 1e-30, weight_decay: 0.0, ..Training::default() };
    let (networks, targets) = samples();
    let all: Vec<usize> = (0..SAMPLES).collect();
    let ours = learned(&network, still, Some(&begin)).logits(rows(&networks, &targets, &all)).unwrap();
    let theirs: Vec<Vec<f32>> = serde_json::from_value(expected["logits"].clone()).unwrap();
    let theirs = Array2::from_shape_vec((SAMPLES, 2), theirs.concat()).unwrap();
    let apart = network_support::apart(&ours, &theirs);
    assert!(apart < 1e-5, "{}: logits are {apart} apart", network.name());
    let spread = ours.column(0).std(0.0);
    assert!(spread > 1e-3, "{}: logits hardly differ ({spread}), so nothing is compared", network.name());
}

#[test]
fn the_perceptron_is_that_of_pytorch() {
    equal_to_pytorch(Perceptron { hidden: 8, dropout: 0.0 });
}

#[test]
fn brainnetcnn_is_that_of_pytorch() {
    equal_to_pytorch(BrainNetCnn {
        edge_features: vec![3, 4],
        node_features: 2,
        graph_features: 8,
        hidden: vec![6, 5],
        dropout: 0.0,
        ..BrainNetCnn::default()
    });
}

#[test]
fn the_brain_network_transformer_is_that_of_pytorch() {
    equal_to_pytorch(BrainTransformer {
        feedforward: 16,
        encoder: 5,
        clusters: 5,
        reduced: 3,
        hidden: vec![7, 6],
        dropout: 0.0,
        ..BrainTransformer::default()
    });
}

#[test]
fn braingnn_is_that_of_pytorch_and_so_are_its_losses() {
    equal_to_pytorch(BrainGnn {
        communities: 3,
        columns: [5, 4],
        hidden: 6,
        dropout: 0.0,
        unit: 0.05,
        ..BrainGnn::default()
    });
}

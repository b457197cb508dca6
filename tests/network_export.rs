//! Is what is exported what was learned? Every network, in onnxruntime.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
mod network_support;

use ndarray::Array2;
use network_support::{apart, onnxruntime, planted, rows};
use neurod::network::deep::{DeepLearner, Network, Perceptron, Trained, Training};
use neurod::network::{Fitted, Targets};

/// Learns for two epochs, so that the running statistics are not those it began with.
fn trained<N: Network>(network: N) -> (Trained<N>, neurod::network::Networks, Targets) {
    let (networks, targets) = planted(24, 9, 0.4, 1);
    let training = Training { epochs: 2, batch: 8, ..Training::default() };
    let (train, held): (Vec<usize>, Vec<usize>) = (0..24).partition(|row| *row < 16);
    let (train, held) = (rows(&networks, &targets, &train), rows(&networks, &targets, &held));
    let trained = DeepLearner { network, training }.learn(train, Some(held), 3, None).unwrap();
    (trained, networks, targets)
}

fn equal_in_onnxruntime<N: Network>(network: N) {
    let Some(python) = common::python(&["onnxruntime", "numpy"]) else { return };
    let name = network.name();
    let (trained, networks, targets) = trained(network);
    let all: Vec<usize> = (0..24).collect();
    let all = rows(&networks, &targets, &all);
    let exported = trained.export().unwrap().unwrap();
    let inputs = [("connectivity", networks.connectivity.mapv(|v| v as f32).into_dyn())];
    let [logits, probabilities]: [Array2<f32>; 2] =
        onnxruntime(&python, &exported.model, &inputs, &["logits", "probabilities"]).try_into().unwrap();
    let ours = trained.logits(all).unwrap();
    // Logits of a few units are near 1, so that this is relative as well.
    assert!(apart(&ours, &logits) < 1e-5, "{name}: {}", apart(&ours, &logits));
    assert!(apart(&trained.predict(all).unwrap(), &probabilities) < 1e-5, "{name}");
    assert!(ours.iter().any(|v| v.abs() > 1e-3), "{name}: logits are near zero, so nothing is compared");
}

#[test]
fn a_perceptron_is_equal_in_onnxruntime() {
    equal_in_onnxruntime(Perceptron { hidden: 12, dropout: 0.3 });
}

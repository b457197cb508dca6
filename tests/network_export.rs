//! Is what is exported what was learned? Every network, in onnxruntime.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;
mod network_support;

use ndarray::{Array2, ArrayD, Axis, stack};
use network_support::{apart, onnxruntime, planted, rows};
use neurod::encoders::inspect;
use neurod::network::benchmark::Model;
use neurod::network::deep::algebra::Unary;
use neurod::network::deep::layers::{layer_norm, linear};
use neurod::network::deep::{
    Algebra, DeepLearner, EdgeRule, Failure, GraphNetwork, Initial, Messages, Network, NodeFeatures, Perceptron,
    Pooling, Trained, Training,
};
use neurod::network::{Fitted, Networks, Targets};

/// Learns for two epochs, so that the running statistics are not those it began with.
fn trained<N: Network>(network: N) -> (Trained<N>, Networks, Targets) {
    let (networks, targets) = planted(24, 9, 0.4, 1);
    let training = Training { epochs: 2, batch: 8, ..Training::default() };
    let (train, held): (Vec<usize>, Vec<usize>) = (0..24).partition(|row| *row < 16);
    let (train, held) = (rows(&networks, &targets, &train), rows(&networks, &targets, &held));
    let trained = DeepLearner::new(network, training).learn(train, Some(held), 3, None).unwrap();
    (trained, networks, targets)
}

/// What the network takes beside the connectivity.
fn features<N: Network>(network: &N, networks: &Networks) -> Option<ArrayD<f32>> {
    let native = network.native()?;
    let all: Vec<_> = networks.connectivity.outer_iter().map(|a| native.compute(a).unwrap()).collect();
    let views: Vec<_> = all.iter().map(|f| f.view()).collect();
    Some(stack(Axis(0), &views).unwrap().mapv(|v| v as f32).into_dyn())
}

fn equal_in_onnxruntime<N: Network>(network: N) {
    let Some(python) = common::python(&["onnxruntime", "numpy"]) else { return };
    let name = network.name();
    let (trained, networks, targets) = trained(network.clone());
    let all: Vec<usize> = (0..24).collect();
    let all = rows(&networks, &targets, &all);
    let exported = trained.export().unwrap().unwrap();
    inspect(&exported.model).unwrap();
    let mut inputs = vec![("connectivity", networks.connectivity.mapv(|v| v as f32).into_dyn())];
    inputs.extend(features(&network, &networks).map(|features| ("features", features)));
    let [logits, probabilities]: [Array2<f32>; 2] =
        onnxruntime(&python, &exported.model, &inputs, &["logits", "probabilities"]).try_into().unwrap();
    let ours = trained.logits(all).unwrap();
    let apart_by = apart(&ours, &logits);
    assert!(apart_by < 1e-5, "{name}: {apart_by}");
    assert!(apart(&trained.predict(all).unwrap(), &probabilities) < 1e-5, "{name}");
    assert!(ours.iter().any(|v| v.abs() > 1e-3), "{name}: logits are near zero, so nothing is compared");
}

fn small() -> GraphNetwork {
    GraphNetwork { hidden: 8, edge_embedding: 4, eigenvectors: 4, dropout: 0.1, ..GraphNetwork::default() }
}

#[test]
fn linear_models_are_equal_in_onnxruntime() {
    let Some(python) = common::python(&["onnxruntime", "numpy"]) else { return };
    let (networks, two) = planted(24, 9, 0.4, 1);
    let three: Vec<String> = (0..24).map(|s| ["a", "b", "c"][s % 3].to_owned()).collect();
    let number = Targets::Values((0..24).map(|s| networks.connectivity[[s, 1, 0]] * 10.0 + 100.0).collect());
    let all: Vec<usize> = (0..24).collect();
    let inputs = [("connectivity", networks.connectivity.mapv(|v| v as f32).into_dyn())];
    for (name, targets, output) in [
        ("logistic", &two, "probabilities"),
        ("logistic", &Targets::classes(&three).unwrap(), "probabilities"),
        ("svm", &two, "probabilities"),
        ("ridge", &number, "value"),
    ] {
        let model = Model::named(name, None).unwrap();
        let all = rows(&networks, targets, &all);
        let mut fitted = model.candidates[0].1.fit(all, None, 0).unwrap();
        assert_eq!(fitted.calibrate(2.5), output == "probabilities", "a number has no temperature");
        let exported = fitted.export().unwrap().unwrap();
        inspect(&exported.model).unwrap();
        assert_eq!(exported.temperature, if output == "probabilities" { 2.5 } else { 1.0 });
        let [found]: [Array2<f32>; 1] = onnxruntime(&python, &exported.model, &inputs, &[output]).try_into().unwrap();
        let apart_by = apart(&fitted.predict(all).unwrap(), &found);
        let bound = if output == "value" { 1e-3 } else { 1e-5 };
        assert!(apart_by < bound, "{name}: {apart_by}");
    }
}

#[test]
fn every_message_is_equal_in_onnxruntime() {
    for messages in Messages::ALL {
        equal_in_onnxruntime(GraphNetwork { messages, ..small() });
    }
}

#[test]
fn every_feature_is_equal_in_onnxruntime() {
    for features in NodeFeatures::ALL {
        equal_in_onnxruntime(GraphNetwork { features, edges: EdgeRule::Nonzero, ..small() });
    }
}

#[test]
fn every_pooling_is_equal_in_onnxruntime() {
    for pooling in Pooling::ALL {
        equal_in_onnxruntime(GraphNetwork { pooling, ..small() });
    }
}

#[test]
fn the_released_forms_are_equal_in_onnxruntime() {
    for features in NodeFeatures::ALL {
        let messages = Messages::BinConcat;
        equal_in_onnxruntime(GraphNetwork { features, messages, as_released: true, ..small() });
    }
}

#[test]
fn a_perceptron_is_equal_in_onnxruntime() {
    equal_in_onnxruntime(Perceptron { hidden: 12, dropout: 0.3 });
}

/// Every operation of the algebra that a network of regions does not use.
#[derive(Clone)]
struct Operations;

impl Network for Operations {
    fn name(&self) -> String {
        "operations".into()
    }

    fn logits<A: Algebra>(
        &self,
        a: &A,
        connectivity: &A::Tensor,
        _: &A::Tensor,
        outputs: usize,
    ) -> Result<A::Tensor, Failure> {
        let nodes = a.size(connectivity, -1)?;
        let x = layer_norm(a, "norm", &linear(a, "first", connectivity, nodes, 4)?, 4)?;
        // Weights of their own for every region.
        let own = a.parameter("own", &[nodes, 4, 4], Initial::Glorot)?;
        let x = a.permute(&a.matmul(&a.permute(&x, &[1, 0, 2])?, &own)?, &[1, 0, 2])?;
        let scores = a.reshape(&linear(a, "score", &x, 4, 1)?, &[0, nodes as isize])?;
        let (values, which) = a.top(&scores, 3)?;
        let kept = a.mul(&a.rows(&x, &which)?, &a.reshape(&a.sigmoid(&values)?, &[0, 3, 1])?)?;
        let attention = a.softmax(&a.matmul(&kept, &a.transpose(&kept)?)?)?;
        let mixed = a.unary(Unary::Tanh, &a.matmul(&attention, &kept)?)?;
        let exp = a.unary(Unary::Exp, &a.affine(&a.slice(&mixed, -1, 1, 2)?, -1.0, 0.0)?)?;
        let most = a.max(&a.relu(&mixed)?, -2)?;
        let parts = [a.reshape(&mixed, &[0, 12])?, a.reshape(&exp, &[0, -1])?, a.reshape(&most, &[0, 4])?];
        linear(a, "last", &a.concat(&parts, -1)?, 22, outputs)
    }
}

#[test]
fn every_other_operation_is_equal_in_onnxruntime() {
    equal_in_onnxruntime(Operations);
}

#[test]
fn a_number_is_equal_in_onnxruntime() {
    let Some(python) = common::python(&["onnxruntime", "numpy"]) else { return };
    let (networks, _) = planted(24, 9, 0.4, 1);
    let values = networks.connectivity.outer_iter().map(|a| 50.0 + 10.0 * a.sum()).collect();
    let (targets, all) = (Targets::Values(values), Vec::from_iter(0..24));
    let learner = DeepLearner::new(small(), Training { epochs: 2, ..Training::default() });
    let trained = learner.learn(rows(&networks, &targets, &all), None, 0, None).unwrap();
    let inputs = [("connectivity", networks.connectivity.mapv(|v| v as f32).into_dyn())];
    let model = trained.export().unwrap().unwrap().model;
    let [value]: [Array2<f32>; 1] = onnxruntime(&python, &model, &inputs, &["value"]).try_into().unwrap();
    let ours = trained.predict(rows(&networks, &targets, &all)).unwrap();
    // Of numbers in the hundreds, as single precision has them.
    assert!(
        apart(&ours, &value) < 1e-5 * ours.iter().fold(0.0, |m: f64, v| m.max(v.abs())),
        "{}",
        apart(&ours, &value)
    );
}

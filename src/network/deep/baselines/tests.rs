//! Have the baselines their gradients, and do wrong settings say what they take?

use candle_core::Tensor;

use super::*;
use crate::draws::Draws;
use crate::network::deep::checks::gradients_are_right;
use crate::network::deep::loss::Wanted;
use crate::network::deep::values::numbers;
use crate::network::deep::{Algebra, Initial, Network, Parameters, Perceptron, Precision, Values};

const SAMPLES: usize = 5;
const NODES: usize = 7;

/// Symmetric networks with absent edges.
fn connectivity(parameters: &Parameters) -> Tensor {
    let mut draws = Draws::new(5, 0);
    let mut values = vec![0.0; SAMPLES * NODES * NODES];
    for network in values.chunks_exact_mut(NODES * NODES) {
        for i in 0..NODES {
            network[i * NODES + i] = 1.0;
            for j in 0..i {
                let value = if draws.uniform() < 0.2 { 0.0 } else { 1.6 * draws.uniform() - 0.8 };
                (network[i * NODES + j], network[j * NODES + i]) = (value, value);
            }
        }
    }
    parameters.tensor(&values, &[SAMPLES, NODES, NODES]).unwrap()
}

fn gradients_of(network: &impl Network) {
    let parameters = Parameters::new(Precision::Double, 7);
    let x = connectivity(&parameters);
    let wanted = [
        (3, Wanted::Classes(vec![0, 2, 1, 0, 1], vec![1.0, 2.0, 0.5])),
        (1, Wanted::Values(vec![0.3, -1.0, 0.5, 2.0, -0.4])),
    ];
    for (outputs, wanted) in wanted {
        let parameters = Parameters::new(Precision::Double, 7);
        network.logits(&Values::predict(&parameters), &x, &x, outputs).unwrap();
        gradients_are_right(&format!("{} of {outputs}", network.name()), &parameters, |a| {
            wanted.classify(a, 1.0);
            wanted.loss(a, &network.logits(a, &x, &x, outputs)?)
        });
    }
}

fn small_cnn() -> BrainNetCnn {
    BrainNetCnn {
        edge_features: vec![2, 3],
        node_features: 2,
        graph_features: 4,
        hidden: vec![3],
        dropout: 0.2,
        ..BrainNetCnn::default()
    }
}

fn small_gnn() -> BrainGnn {
    BrainGnn { communities: 2, columns: [3, 4], hidden: 5, dropout: 0.2, unit: 0.1, ..BrainGnn::default() }
}

fn small_transformer() -> BrainTransformer {
    BrainTransformer {
        feedforward: 5,
        encoder: 3,
        clusters: 4,
        reduced: 2,
        hidden: vec![4],
        heads: 2,
        ..BrainTransformer::default()
    }
}

#[test]
fn every_baseline_has_its_gradient() {
    gradients_of(&Perceptron { hidden: 4, dropout: 0.2 });
    gradients_of(&small_cnn());
    gradients_of(&small_gnn());
    gradients_of(&small_transformer());
}

#[test]
fn centres_are_orthonormal_and_stay_where_they_are() {
    let parameters = Parameters::new(Precision::Double, 3);
    let a = Values::predict(&parameters);
    let centres = a.frozen("centres", &[6, 4], Initial::Orthonormal).unwrap();
    let gram = numbers(&a.matmul(&a.transpose(&centres).unwrap(), &centres).unwrap()).unwrap();
    for (i, value) in gram.iter().enumerate() {
        assert!((value - f64::from(i % 5 == 0)).abs() < 1e-14, "{gram:?}");
    }
    assert_eq!((parameters.count(), parameters.learned().len()), (0, 0));
    let (saved, other) = (parameters.save().unwrap(), Parameters::new(Precision::Double, 4));
    other.restore(&saved).unwrap();
    assert_eq!(other.save().unwrap(), saved);
    assert_eq!(saved.frozen.len(), 1);
}

#[test]
fn the_spread_within_classes_is_the_sum_of_their_variances() {
    let parameters = Parameters::new(Precision::Double, 3);
    let a = Values::learn(&parameters, 0);
    let value = a.constant(&[1.0, 0.0, 3.0, 0.5, 7.0, 7.0, 1.0, 0.0], &[4, 2]).unwrap();
    a.penalise_spread(1.0, &value).unwrap();
    assert!(a.penalty().is_none(), "without classes there is nothing to agree");
    a.classify(0.25, &[1, 1, 0, 0]);
    a.classify(0.75, &[0, 0, 0, 0]);
    a.penalise_spread(2.0, &value).unwrap();
    // Variances with N: 1 and 0.0625 of the first two, 9 and 12.25 of the others; 6 and 8.796875 of all.
    let expected = 2.0 * (0.25 * (1.0 + 0.0625 + 9.0 + 12.25) + 0.75 * (6.0 + 8.796_875));
    let found = numbers(&a.penalty().unwrap()).unwrap();
    assert!((found[0] - expected).abs() < 1e-12, "{found:?} and {expected}");
}

#[test]
fn a_baseline_computes_what_its_settings_say_or_says_what_they_take() {
    fn said(network: &impl Network) -> String {
        let parameters = Parameters::new(Precision::Double, 3);
        let x = connectivity(&parameters);
        match network.logits(&Values::predict(&parameters), &x, &x, 2) {
            Err(error) => error.to_string(),
            Ok(out) => format!("{:?}", out.dims()),
        }
    }
    assert_eq!(said(&small_cnn()), "[5, 2]");
    assert_eq!(said(&BrainNetCnn { edge_features: vec![], hidden: vec![], ..small_cnn() }), "[5, 2]");
    assert_eq!(
        said(&BrainNetCnn { edge_features: vec![2, 0], ..small_cnn() }),
        "edge_features must be at least 1 each"
    );
    assert_eq!(said(&BrainNetCnn { slope: 2.0, ..small_cnn() }), "slope must be from 0 to 1");
    // Three heads do not divide seven regions, and nine centres are more than seven.
    assert_eq!(said(&BrainTransformer { heads: 3, clusters: 9, ..small_transformer() }), "[5, 2]");
    assert_eq!(said(&BrainTransformer { heads: 0, ..small_transformer() }), "heads must be at least 1");
    assert_eq!(
        said(&BrainTransformer { dropout: 1.0, ..small_transformer() }),
        "dropout must be 0 or more, and less than 1"
    );
    assert_eq!(said(&BrainGnn { ratio: 1.0, ..small_gnn() }), "[5, 2]");
    assert_eq!(said(&BrainGnn { ratio: 0.01, ..small_gnn() }), "[5, 2]");
    assert_eq!(said(&BrainGnn { ratio: 0.0, ..small_gnn() }), "ratio must be more than 0, and at most 1");
    assert_eq!(said(&BrainGnn { top: -1.0, ..small_gnn() }), "top, consistency and unit must be 0 or more");
}

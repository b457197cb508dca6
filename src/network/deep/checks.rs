//! Are the closed forms and the gradients right? Messages against explicit edges, and every option's gradient against central
//! differences, in f64.

use std::collections::BTreeMap;

use candle_core::Tensor;
use ndarray::{Array1, Array2, Axis, concatenate, s};

use super::algebra::{Binary, Unary};
use super::edges::Edges;
use super::layers::{layer_norm, linear};
use super::loss::Wanted;
use super::messages::Hearing;
use super::values::numbers;
use super::*;
use crate::draws::Draws;

const NODES: usize = 6;
const BATCH: usize = 3;

/// Networks with both signs, and with zeros where `sparse`.
fn connectivity(sparse: bool) -> Vec<Array2<f64>> {
    let mut draws = Draws::new(11, 0);
    (0..BATCH)
        .map(|_| {
            let mut a = Array2::eye(NODES);
            for i in 0..NODES {
                for j in 0..i {
                    let value = 1.8 * draws.uniform() - 0.9;
                    let kept = !sparse || draws.uniform() > 0.4;
                    a[[i, j]] = if kept { value } else { 0.0 };
                    a[[j, i]] = a[[i, j]];
                }
            }
            if sparse {
                // A region without edges, and a loop that is absent.
                a.row_mut(5).fill(0.0);
                a.column_mut(5).fill(0.0);
                a[[1, 1]] = 0.0;
            }
            a
        })
        .collect()
}

fn batch(parameters: &Parameters, networks: &[Array2<f64>]) -> Tensor {
    let values: Vec<f64> = networks.iter().flatten().copied().collect();
    parameters.tensor(&values, &[networks.len(), NODES, NODES]).unwrap()
}

fn small(messages: Messages, edges: EdgeRule) -> GraphNetwork {
    GraphNetwork { messages, edges, hidden: 4, edge_embedding: 3, bucket: 0.5, ..GraphNetwork::default() }
}

/// A layer's messages edge by edge, as the released code makes them, through the linear layer after it.
struct Explicit<'e> {
    learned: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
    settings: &'e GraphNetwork,
    a: &'e Array2<f64>,
    x: &'e Array2<f64>,
}

impl Explicit<'_> {
    fn parameter(&self, name: &str) -> Array2<f64> {
        let (shape, values) = &self.learned[&format!("layer.{name}")];
        Array2::from_shape_vec((shape[0], shape[1]), values.clone()).unwrap()
    }

    fn is_edge(&self, i: usize, j: usize) -> bool {
        self.settings.edges == EdgeRule::All || i == j || self.a[[i, j]] != 0.0
    }

    fn weight(&self, i: usize, j: usize) -> f64 {
        let absent = i == j && self.settings.edges == EdgeRule::Nonzero && self.a[[i, i]] == 0.0;
        if absent { 1.0 } else { self.a[[i, j]].abs() }
    }

    /// GATConv takes loops away and adds them again with the mean of what comes in.
    fn attended(&self, i: usize, j: usize) -> f64 {
        if i != j {
            return self.a[[i, j]].abs();
        }
        let others: Vec<f64> =
            (0..NODES).filter(|k| *k != i && self.is_edge(i, *k)).map(|k| self.a[[i, k]].abs()).collect();
        others.iter().sum::<f64>() / others.len().max(1) as f64
    }

    fn heard(&self, x: &Array2<f64>, message: impl Fn(usize, usize) -> Array1<f64>) -> Array2<f64> {
        let mut out = Array2::zeros((NODES, x.ncols()));
        for i in 0..NODES {
            for j in (0..NODES).filter(|j| self.is_edge(i, *j)) {
                let sum = &out.row(i) + &message(i, j);
                out.row_mut(i).assign(&sum);
            }
        }
        out
    }

    /// The messages' linear layer, of the parts of one message side by side.
    fn through(&self, parts: &[Array1<f64>]) -> Array1<f64> {
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        let message: Array1<f64> = concatenate(Axis(0), &views).unwrap();
        message.dot(&self.parameter("message.weight")) + self.parameter("message.bias").row(0)
    }

    fn plain(&self) -> Array2<f64> {
        let h = self.x.dot(&self.parameter("weight"));
        let strength: Vec<f64> =
            (0..NODES).map(|i| (0..NODES).filter(|j| self.is_edge(i, *j)).map(|j| self.weight(i, j)).sum()).collect();
        let e = |i: usize, j: usize| match strength[i] * strength[j] {
            0.0 => 0.0,
            product => self.weight(i, j) / product.sqrt(),
        };
        let row = |j: usize| h.row(j).to_owned();
        self.heard(&h, |i, j| match self.settings.messages {
            Messages::EdgeWeighted => row(j) * e(i, j),
            Messages::NodeConcat => self.through(&[row(i), row(j)]),
            Messages::NodeEdgeConcat => self.through(&[row(i), row(j), Array1::from_elem(1, e(i, j))]),
            Messages::EdgeWeightConcat => {
                self.through(&[row(j), Array1::from_elem(self.settings.edge_embedding, e(i, j))])
            }
            Messages::BinConcat => {
                let bin = (self.a[[i, j]] + 1.0) / self.settings.bucket;
                let bin = (bin.floor().max(0.0) as usize).min(self.settings.buckets() - 1);
                self.through(&[row(j), self.parameter("bins.weight").row(bin).to_owned()])
            }
            other => panic!("{other:?} attends"),
        }) + self.parameter("bias").row(0)
    }

    fn attending(&self) -> Array2<f64> {
        let (heads, hidden) = (self.settings.heads, self.settings.hidden);
        let all = self.x.dot(&self.parameter("weight"));
        let mut out = Vec::new();
        for head in 0..heads {
            let h = all.slice(s![.., head * hidden..(head + 1) * hidden]).to_owned();
            let says = h.dot(&self.parameter("attention.source").row(head));
            let listens = h.dot(&self.parameter("attention.target").row(head));
            let score = |i: usize, j: usize| {
                let z: f64 = says[j] + listens[i];
                if z > 0.0 { z.exp() } else { (0.2 * z).exp() }
            };
            let attention = |i: usize, j: usize| {
                score(i, j) / (0..NODES).filter(|k| self.is_edge(i, *k)).map(|k| score(i, k)).sum::<f64>()
            };
            let row = |j: usize| h.row(j).to_owned();
            out.push(self.heard(&h, |i, j| {
                let (attention, weight) = (attention(i, j), self.attended(i, j));
                match self.settings.messages {
                    Messages::AttentionWeighted => row(j) * attention,
                    Messages::AttentionEdgeWeighted => row(j) * (attention * weight),
                    Messages::AttentionEdgeSum => row(j) * (attention + weight),
                    Messages::AttentionNodeConcat => self.through(&[row(i), row(j) * attention]),
                    Messages::AttentionNodeEdgeConcat => {
                        self.through(&[row(i), row(j) * attention, Array1::from_elem(1, weight)])
                    }
                    other => panic!("{other:?} does not attend"),
                }
            }));
        }
        let views: Vec<_> = out.iter().map(|part| part.view()).collect();
        concatenate(Axis(1), &views).unwrap() + self.parameter("bias").row(0)
    }

    fn layer(&self) -> Array2<f64> {
        let heard = if self.settings.messages.name().contains("attention") { self.attending() } else { self.plain() };
        heard.dot(&self.parameter("linear.weight")) + self.parameter("linear.bias").row(0)
    }
}

#[test]
fn the_closed_forms_are_the_sums_over_explicit_edges() {
    for (messages, edges) in Messages::ALL.iter().flat_map(|m| [(*m, EdgeRule::All), (*m, EdgeRule::Nonzero)]) {
        let settings = small(messages, edges);
        let parameters = Parameters::new(Precision::Double, 5);
        let networks = connectivity(edges == EdgeRule::Nonzero);
        let a = Values::predict(&parameters);
        let signed = batch(&parameters, &networks);
        let graph = Edges::new(&a, &signed, edges).unwrap();
        let hearing = Hearing { a: &a, name: "layer".into(), nodes: &signed, edges: &graph, settings: &settings };
        let terms = messages.through(&hearing, 5).unwrap();
        // A bias that begins at zero would not be seen.
        let mut saved = parameters.save().unwrap();
        let mut draws = Draws::new(2, 0);
        for (_, _, values) in saved.learned.iter_mut().filter(|(name, ..)| name == "layer.bias") {
            values.iter_mut().for_each(|v| *v = draws.normal());
        }
        parameters.restore(&saved).unwrap();
        drop(terms);
        let found = numbers(&terms::sum(&a, &messages.through(&hearing, 5).unwrap()).unwrap()).unwrap();
        let learned: BTreeMap<_, _> = saved.learned.into_iter().map(|(name, shape, v)| (name, (shape, v))).collect();
        for (network, found) in networks.iter().zip(found.chunks_exact(NODES * 5)) {
            let explicit = Explicit { learned: learned.clone(), settings: &settings, a: network, x: network }.layer();
            let apart = explicit.iter().zip(found).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
            assert!(apart < 1e-10, "{} on {edges:?} edges: {apart}", messages.name());
        }
    }
}

/// Compares the gradient of a scalar with central differences, at a few entries of every parameter.
pub(super) fn gradients_are_right(
    what: &str,
    parameters: &Parameters,
    scalar: impl Fn(&Values<'_>) -> Result<Tensor, Failure>,
) {
    let loss = |a: &Values<'_>| {
        let value = scalar(a).unwrap();
        match a.penalty() {
            Some(penalty) => value.add(&penalty).unwrap(),
            None => value,
        }
    };
    let gradients = loss(&Values::learn(parameters, 0)).backward().unwrap();
    let saved = parameters.save().unwrap();
    // So short that a leaky ReLU's kink is hardly ever between the two.
    let step = 1e-7;
    let mut largest: f64 = 0.0;
    for (place, var) in parameters.learned().iter().enumerate() {
        let (name, _, values) = &saved.learned[place];
        let found = gradients.get(var.as_tensor()).map(|g| numbers(g).unwrap());
        let found = found.unwrap_or_else(|| panic!("{what}: {name} has no gradient"));
        for entry in (0..values.len()).step_by(values.len().div_ceil(4)) {
            let mut moved = saved.clone();
            let mut at = |offset: f64| {
                moved.learned[place].2[entry] = values[entry] + offset;
                parameters.restore(&moved).unwrap();
                loss(&Values::learn(parameters, 0)).to_scalar::<f64>().unwrap()
            };
            let slope = (at(step) - at(-step)) / (2.0 * step);
            largest = largest.max(slope.abs());
            let apart = (slope - found[entry]).abs();
            assert!(apart < 1e-7 + 1e-5 * slope.abs(), "{what}: {name}[{entry}] is {}, not {slope}", found[entry]);
        }
        parameters.restore(&saved).unwrap();
    }
    assert!(largest > 1e-4, "{what}: no gradient to speak of");
}

fn gradients_of(network: &GraphNetwork) {
    let parameters = Parameters::new(Precision::Double, 9);
    let networks = connectivity(network.edges == EdgeRule::Nonzero);
    let signed = batch(&parameters, &networks);
    let features = match network.native() {
        Some(native) => {
            let computed: Vec<_> = networks.iter().map(|a| native.compute(a.view()).unwrap()).collect();
            let values: Vec<f64> = computed.iter().flatten().copied().collect();
            parameters.tensor(&values, &[BATCH, NODES, computed[0].ncols()]).unwrap()
        }
        None => network.features(&Values::predict(&parameters), &signed).unwrap(),
    };
    let wanted = Wanted::Classes(vec![0, 2, 1], vec![1.0, 2.0, 0.5]);
    network.logits(&Values::predict(&parameters), &signed, &features, 3).unwrap();
    gradients_are_right(&format!("{} on {:?} edges", network.name(), network.edges), &parameters, |a| {
        wanted.loss(a, &network.logits(a, &signed, &features, 3)?)
    });
}

#[test]
fn every_message_has_its_gradient() {
    for messages in Messages::ALL {
        gradients_of(&small(messages, EdgeRule::All));
        gradients_of(&small(messages, EdgeRule::Nonzero));
    }
}

#[test]
fn every_feature_and_every_pooling_has_its_gradient() {
    for features in NodeFeatures::ALL {
        let edges = EdgeRule::Nonzero;
        gradients_of(&GraphNetwork { features, eigenvectors: 3, ..small(Messages::EdgeWeighted, edges) });
    }
    for pooling in Pooling::ALL {
        gradients_of(&GraphNetwork { pooling, ..small(Messages::NodeEdgeConcat, EdgeRule::All) });
        gradients_of(&GraphNetwork { pooling, layers: 1, ..small(Messages::AttentionWeighted, EdgeRule::All) });
    }
}

#[test]
fn every_operation_has_its_gradient() {
    let parameters = Parameters::new(Precision::Double, 4);
    let network = |a: &Values<'_>| {
        let x = a.parameter("x", &[2, 4, 3], Initial::Normal(1.0))?;
        let y = a.parameter("y", &[4, 1], Initial::Normal(1.0))?;
        let positive = a.affine(&a.sigmoid(&x)?, 1.0, 0.5)?;
        let mut parts = vec![
            a.unary(Unary::Tanh, &x)?,
            a.unary(Unary::Exp, &x)?,
            a.unary(Unary::Abs, &x)?,
            a.unary(Unary::Ln, &positive)?,
            a.unary(Unary::Sqrt, &positive)?,
            a.relu(&x)?,
            a.softmax(&x)?,
            layer_norm(a, "norm", &x, 3)?,
            a.binary(Binary::Div, &x, &positive)?,
            a.binary(Binary::Div, &y, &positive)?,
            a.binary(Binary::Sub, &y, &x)?,
            a.mul(&x, &y)?,
            a.mul(&x, &a.max(&x, -1)?)?,
            a.mul(&x, &a.mean(&x, -2)?)?,
            a.transpose(&a.permute(&a.transpose(&x)?, &[0, 1, 2])?)?,
        ];
        let scores = a.reshape(&a.matmul(&x, &a.parameter("p", &[3, 1], Initial::Normal(1.0))?)?, &[0, 4])?;
        let (values, which) = a.top(&scores, 2)?;
        let kept = a.mul(&a.rows(&x, &which)?, &a.reshape(&a.sigmoid(&values)?, &[0, 2, 1])?)?;
        parts.push(a.concat(&[kept.clone(), a.slice(&x, 1, 1, 2)?], 1)?);
        parts.push(linear(a, "between", &a.matmul(&x, &a.transpose(&x)?)?, 4, 3)?);
        // Weights of their own for every node, over the batch: nodes first.
        let own = a.parameter("own", &[4, 3, 3], Initial::Glorot)?;
        parts.push(a.permute(&a.matmul(&a.permute(&x, &[1, 0, 2])?, &own)?, &[1, 0, 2])?);
        let all = a.concat(&parts, -1)?;
        let w = a.parameter("w", &[54, 1], Initial::Normal(0.5))?;
        a.penalise(0.1, &a.mul(&y, &y)?)?;
        let out = a.unary(Unary::Tanh, &a.affine(&a.matmul(&all, &w)?, 0.2, 0.0)?)?;
        Ok(a.sum(&a.sum(&out, 0)?, 1)?.reshape(())?)
    };
    network(&Values::predict(&parameters)).unwrap();
    gradients_are_right("operations", &parameters, network);
}

//! Which regions belong together in this person? The Brain Network Transformer (Kan et al. 2022, NeurIPS, arXiv 2210.06681):
//! regions attend to each other, and a readout groups them around orthonormal centres.
//!
//! Two encoder layers (Vaswani et al. 2017, normalised after each part) take the connection profile. The readout, OCRead, encodes
//! all regions anew, Z, gives each region its share of each of K centres, P = softmax((Z·c)²) along the centres, and reads PᵀZ.
//! The paper has softmax(Z·c) (eq. 3 there), the released code the square over ‖c‖; this follows the code. The centres are
//! orthonormal (Gram–Schmidt on Glorot's uniform) and not learned; the released code leaves the first one at its own length,
//! here all have length 1.
//!
//! The width of a region is N, which 4 heads need not divide (122 regions): a head is ⌈N / heads⌉ wide, which is the released
//! form wherever that works. There are at most N centres, as no more are orthogonal.

use serde::{Deserialize, Serialize};

use super::super::layers::{layer_norm, linear, mlp};
use super::super::network::Network;
use super::super::{Algebra, Failure, Initial};

/// torch's leaky ReLU, where a network does not say otherwise.
const SLOPE: f64 = 0.01;

/// The Brain Network Transformer's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrainTransformer {
    /// Encoder layers.
    pub layers: usize,
    /// Heads of attention.
    pub heads: usize,
    /// Units of the linear layer inside an encoder layer.
    pub feedforward: usize,
    /// Units of the readout's own encoder.
    pub encoder: usize,
    /// Centres that regions are grouped around; as many as regions at most.
    pub clusters: usize,
    /// What a group is reduced to.
    pub reduced: usize,
    /// Units of the linear layers before the last one.
    pub hidden: Vec<usize>,
    /// With which probability attention, and what a part of an encoder layer gives, is left out while learning.
    pub dropout: f64,
}

impl Default for BrainTransformer {
    fn default() -> Self {
        Self {
            layers: 2,
            heads: 4,
            feedforward: 1024,
            encoder: 32,
            clusters: 100,
            reduced: 8,
            hidden: vec![256, 32],
            dropout: 0.1,
        }
    }
}

impl BrainTransformer {
    fn check(&self) -> Result<(), Failure> {
        let problem = match self {
            Self { layers: 0, .. } => "layers must be at least 1",
            Self { heads: 0, .. } => "heads must be at least 1",
            Self { feedforward: 0, .. } => "feedforward must be at least 1",
            Self { encoder: 0, .. } => "encoder must be at least 1",
            Self { clusters: 0, .. } => "clusters must be at least 1",
            Self { reduced: 0, .. } => "reduced must be at least 1",
            Self { hidden, .. } if hidden.contains(&0) => "hidden must be at least 1 each",
            Self { dropout, .. } if !(0.0..1.0).contains(dropout) => "dropout must be 0 or more, and less than 1",
            _ => return Ok(()),
        };
        Err(Failure::Settings(problem.into()))
    }

    /// What regions (batch × N × `width`) hear of each other, of the same shape.
    fn attention<A: Algebra>(&self, a: &A, name: &str, x: &A::Tensor, width: usize) -> Result<A::Tensor, Failure> {
        let head = width.div_ceil(self.heads);
        let all = head * self.heads;
        let part = |name: &str, inputs, outputs, initial| -> Result<_, Failure> {
            let weight = a.parameter(&format!("{name}.weight"), &[inputs, outputs], initial)?;
            Ok((weight, a.parameter(&format!("{name}.bias"), &[outputs], Initial::Constant(0.0))?))
        };
        let (weight, bias) = part(&format!("{name}.in"), width, 3 * all, Initial::Glorot)?;
        let asked = a.add(&a.matmul(x, &weight)?, &bias)?;
        let heads = |which: usize, order: &[usize]| {
            let one = a.slice(&asked, -1, which * all, all)?;
            a.permute(&a.reshape(&one, &[0, 0, self.heads as isize, head as isize])?, order)
        };
        let (queries, keys, values) = (heads(0, &[0, 2, 1, 3])?, heads(1, &[0, 2, 3, 1])?, heads(2, &[0, 2, 1, 3])?);
        let alike = a.affine(&a.matmul(&queries, &keys)?, 1.0 / (head as f64).sqrt(), 0.0)?;
        let attention = a.softmax(&alike)?;
        a.attended(&attention);
        let attention = a.dropout(&attention, self.dropout)?;
        let heard = a.permute(&a.matmul(&attention, &values)?, &[0, 2, 1, 3])?;
        let (weight, bias) = part(&format!("{name}.out"), all, width, Initial::Uniform(1.0 / (all as f64).sqrt()))?;
        a.add(&a.matmul(&a.reshape(&heard, &[0, 0, all as isize])?, &weight)?, &bias)
    }

    fn layer<A: Algebra>(&self, a: &A, name: &str, x: &A::Tensor, width: usize) -> Result<A::Tensor, Failure> {
        let part = |part: &str| format!("{name}.{part}");
        let heard = a.dropout(&self.attention(a, &part("attention"), x, width)?, self.dropout)?;
        let x = layer_norm(a, &part("norm.0"), &a.add(x, &heard)?, width)?;
        let sizes = [width, self.feedforward, width];
        let thought = a.dropout(&mlp(a, &part("feedforward"), &x, &sizes, 0.0, self.dropout)?, self.dropout)?;
        layer_norm(a, &part("norm.1"), &a.add(&x, &thought)?, width)
    }
}

impl Network for BrainTransformer {
    fn name(&self) -> String {
        "brain-network-transformer".into()
    }

    fn attends(&self) -> bool {
        true
    }

    fn logits<A: Algebra>(
        &self,
        a: &A,
        _connectivity: &A::Tensor,
        features: &A::Tensor,
        outputs: usize,
    ) -> Result<A::Tensor, Failure> {
        self.check()?;
        let (nodes, width) = (a.size(features, -2)?, a.size(features, -1)?);
        let mut x = features.clone();
        for layer in 0..self.layers {
            x = self.layer(a, &format!("layers.{layer}"), &x, width)?;
        }
        let all = nodes * width;
        let z = mlp(
            a,
            "readout",
            &a.reshape(&x, &[0, all as isize])?,
            &[all, self.encoder, self.encoder, all],
            SLOPE,
            0.0,
        )?;
        let z = a.reshape(&z, &[0, nodes as isize, width as isize])?;
        let clusters = self.clusters.min(width);
        let centres = a.frozen("readout.centres", &[width, clusters], Initial::Orthonormal)?;
        let near = a.matmul(&z, &centres)?;
        let shares = a.softmax(&a.mul(&near, &near)?)?;
        let groups = a.matmul(&a.transpose(&shares)?, &z)?;
        let reduced = a.leaky_relu(&linear(a, "reduced", &groups, width, self.reduced)?, SLOPE)?;
        let columns = clusters * self.reduced;
        let sizes: Vec<usize> = [&[columns], self.hidden.as_slice(), &[outputs]].concat();
        mlp(a, "head", &a.reshape(&reduced, &[0, columns as isize])?, &sizes, SLOPE, 0.0)
    }
}

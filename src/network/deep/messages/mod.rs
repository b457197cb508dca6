//! What does a region hear of its neighbours? One file an option; each gives the sum of its messages as a few matrix products.
//!
//! A message is affine in the nodes that it is of, with no activation inside, so the sum over all messages to a region has a
//! closed form: nothing of size N × N × H is ever made (`docs/network-models.md`). h = X W are the nodes, L the linear layer of
//! the messages with its bias b, e the normalised weights, n the number of edges that a region receives.

mod bin_concat;
mod edge_weight_concat;
mod edge_weighted;
mod node_concat;
mod node_edge_concat;

use serde::{Deserialize, Serialize};

use super::algebra::Initial;
use super::attention::Attention;
use super::edges::Edges;
use super::terms::Term;
use super::{Algebra, Failure, GraphNetwork};

/// How messages are made (Cui et al. 2022, section III-B and III-C).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Messages {
    /// e_ij h_j
    #[serde(rename = "edge weighted")]
    EdgeWeighted,
    /// L [h_j ‖ an embedding of the bin that the weight is in]
    #[serde(rename = "bin concat")]
    BinConcat,
    /// L [h_j ‖ e_ij, repeated]
    #[serde(rename = "edge weight concat")]
    EdgeWeightConcat,
    /// L [h_i ‖ h_j ‖ e_ij]
    #[default]
    #[serde(rename = "node edge concat")]
    NodeEdgeConcat,
    /// L [h_i ‖ h_j]
    #[serde(rename = "node concat")]
    NodeConcat,
    /// a_ij h_j, with attention a.
    #[serde(rename = "attention weighted")]
    AttentionWeighted,
    /// a_ij w_ij h_j
    #[serde(rename = "edge weighted with attention")]
    AttentionEdgeWeighted,
    /// (a_ij + w_ij) h_j
    #[serde(rename = "attention edge sum")]
    AttentionEdgeSum,
    /// L [h_i ‖ a_ij h_j ‖ w_ij]
    #[serde(rename = "node edge concat with attention")]
    AttentionNodeEdgeConcat,
    /// L [h_i ‖ a_ij h_j]
    #[serde(rename = "node concat with attention")]
    AttentionNodeConcat,
}

impl Messages {
    /// All of them, as the paper's table has them.
    pub const ALL: [Self; 10] = [
        Self::EdgeWeighted,
        Self::BinConcat,
        Self::EdgeWeightConcat,
        Self::NodeEdgeConcat,
        Self::NodeConcat,
        Self::AttentionWeighted,
        Self::AttentionEdgeWeighted,
        Self::AttentionEdgeSum,
        Self::AttentionNodeEdgeConcat,
        Self::AttentionNodeConcat,
    ];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::EdgeWeighted => "edge weighted",
            Self::BinConcat => "bin concat",
            Self::EdgeWeightConcat => "edge weight concat",
            Self::NodeEdgeConcat => "node edge concat",
            Self::NodeConcat => "node concat",
            Self::AttentionWeighted => "attention weighted",
            Self::AttentionEdgeWeighted => "edge weighted with attention",
            Self::AttentionEdgeSum => "attention edge sum",
            Self::AttentionNodeEdgeConcat => "node edge concat with attention",
            Self::AttentionNodeConcat => "node concat with attention",
        }
    }

    /// Whether regions choose whom they listen to.
    pub(super) fn attend(self) -> bool {
        self.attention().is_some()
    }

    fn attention(self) -> Option<Attention> {
        Some(match self {
            Self::AttentionWeighted => Attention::Weighted,
            Self::AttentionEdgeWeighted => Attention::EdgeWeighted,
            Self::AttentionEdgeSum => Attention::EdgeSum,
            Self::AttentionNodeEdgeConcat => Attention::NodeEdgeConcat,
            Self::AttentionNodeConcat => Attention::NodeConcat,
            _ => return None,
        })
    }

    /// What regions hear, through a linear layer to `outputs` columns: a sum of terms.
    pub(super) fn through<A: Algebra>(
        self,
        hearing: &Hearing<'_, A>,
        outputs: usize,
    ) -> Result<Vec<Term<A::Tensor>>, Failure> {
        if let Some(attention) = self.attention() {
            return attention.through(hearing, outputs);
        }
        let (a, hidden) = (hearing.a, hearing.settings.hidden);
        let mut terms = match self {
            Self::EdgeWeighted => edge_weighted::terms(hearing)?,
            Self::BinConcat => bin_concat::terms(hearing)?,
            Self::EdgeWeightConcat => edge_weight_concat::terms(hearing)?,
            Self::NodeConcat => node_concat::terms(hearing)?,
            _ => node_edge_concat::terms(hearing)?,
        };
        let one = a.constant(&[1.0], &[1, 1])?;
        let bias = hearing.parameter("bias", &[1, hidden], Initial::Constant(0.0))?;
        let (projection, offset) = hearing.projection(hidden, outputs)?;
        terms.push(Term::new(&one, &[&bias]));
        terms.iter_mut().for_each(|term| term.weights.push(projection.clone()));
        terms.push(Term::new(&one, &[&offset]));
        Ok(terms)
    }
}

/// Regions that are about to hear of each other.
pub(super) struct Hearing<'h, A: Algebra> {
    pub a: &'h A,
    /// What the layer's parameters are called.
    pub name: String,
    /// batch × N × F
    pub nodes: &'h A::Tensor,
    pub edges: &'h Edges<'h, A>,
    pub settings: &'h GraphNetwork,
}

impl<A: Algebra> Hearing<'_, A> {
    pub(super) fn parameter(&self, name: &str, shape: &[usize], initial: Initial) -> Result<A::Tensor, Failure> {
        self.a.parameter(&format!("{}.{name}", self.name), shape, initial)
    }

    /// W, F × H.
    pub(super) fn weight(&self) -> Result<A::Tensor, Failure> {
        let inputs = self.a.size(self.nodes, -1)?;
        self.parameter("weight", &[inputs, self.settings.hidden], Initial::Glorot)
    }

    /// The linear layer of the messages, cut into as many rows as each part of a message has, and its bias, 1 × H.
    pub(super) fn messages(&self, parts: &[usize]) -> Result<(Vec<A::Tensor>, A::Tensor), Failure> {
        let (inputs, hidden) = (parts.iter().sum::<usize>(), self.settings.hidden);
        let initial = Initial::Uniform(1.0 / (inputs as f64).sqrt());
        let weight = self.parameter("message.weight", &[inputs, hidden], initial)?;
        let bias = self.parameter("message.bias", &[1, hidden], initial)?;
        let (mut cut, mut start) = (Vec::with_capacity(parts.len()), 0);
        for rows in parts {
            cut.push(self.a.slice(&weight, -2, start, *rows)?);
            start += rows;
        }
        Ok((cut, bias))
    }

    /// The linear layer after the convolution, inputs × outputs, and its bias, 1 × outputs.
    pub(super) fn projection(&self, inputs: usize, outputs: usize) -> Result<(A::Tensor, A::Tensor), Failure> {
        let initial = Initial::Uniform(1.0 / (inputs as f64).sqrt());
        Ok((
            self.parameter("linear.weight", &[inputs, outputs], initial)?,
            self.parameter("linear.bias", &[1, outputs], initial)?,
        ))
    }
}

//! Whom does a region listen to? Attention over its neighbours (Veličković et al. 2018), and what is done with it: one file an
//! option.
//!
//! Each of K heads has nodes h = X W_k of its own, and a_ij = softmax_j of the leaky ReLU of s_src · h_j + s_dst · h_i over the
//! edges that region i receives. The heads' sums lie side by side, and a linear layer brings K·H columns to H. Weights w are
//! absolute values that are not normalised.

mod edge_sum;
mod edge_weighted;
mod node_concat;
mod node_edge_concat;
mod weighted;

use super::algebra::Initial;
use super::messages::Hearing;
use super::terms::Term;
use super::{Algebra, Failure};

/// What is done with attention.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Attention {
    Weighted,
    EdgeWeighted,
    EdgeSum,
    NodeEdgeConcat,
    NodeConcat,
}

/// One head.
pub(super) struct Head<'h, A: Algebra> {
    pub hearing: &'h Hearing<'h, A>,
    /// a, batch × N × N.
    pub attention: A::Tensor,
    /// W_k, F × H.
    pub weight: A::Tensor,
}

impl Attention {
    fn terms<A: Algebra>(self, head: &Head<'_, A>) -> Result<Vec<Term<A::Tensor>>, Failure> {
        match self {
            Self::Weighted => weighted::terms(head),
            Self::EdgeWeighted => edge_weighted::terms(head),
            Self::EdgeSum => edge_sum::terms(head),
            Self::NodeEdgeConcat => node_edge_concat::terms(head),
            Self::NodeConcat => node_concat::terms(head),
        }
    }

    /// What regions hear, through a linear layer to `outputs` columns.
    pub(super) fn through<A: Algebra>(
        self,
        hearing: &Hearing<'_, A>,
        outputs: usize,
    ) -> Result<Vec<Term<A::Tensor>>, Failure> {
        let (a, settings) = (hearing.a, hearing.settings);
        let (heads, hidden) = (settings.heads, settings.hidden);
        let inputs = a.size(hearing.nodes, -1)?;
        let weight = hearing.parameter("weight", &[inputs, heads * hidden], Initial::Glorot)?;
        let source = hearing.parameter("attention.source", &[heads, hidden], Initial::Glorot)?;
        let target = hearing.parameter("attention.target", &[heads, hidden], Initial::Glorot)?;
        let bias = hearing.parameter("bias", &[1, heads * hidden], Initial::Constant(0.0))?;
        let (projection, offset) = hearing.projection(heads * hidden, outputs)?;
        let one = a.constant(&[1.0], &[1, 1])?;
        let mut terms = vec![Term::new(&one, &[&bias, &projection]), Term::new(&one, &[&offset])];
        for head in 0..heads {
            let weight = a.slice(&weight, -1, head * hidden, hidden)?;
            let project = a.slice(&projection, -2, head * hidden, hidden)?;
            let towards = |vectors: &A::Tensor| {
                let vector = a.transpose(&a.slice(vectors, -2, head, 1)?)?;
                a.matmul(hearing.nodes, &a.matmul(&weight, &vector)?)
            };
            let attention = attend(hearing, &towards(&source)?, &towards(&target)?)?;
            let mut of_head = self.terms(&Head { hearing, attention, weight })?;
            of_head.iter_mut().for_each(|term| term.weights.push(project.clone()));
            terms.append(&mut of_head);
        }
        Ok(terms)
    }
}

/// a, from what each region says (batch × N × 1) and how each one listens.
fn attend<A: Algebra>(hearing: &Hearing<'_, A>, says: &A::Tensor, listens: &A::Tensor) -> Result<A::Tensor, Failure> {
    let a = hearing.a;
    let mut scores = a.leaky_relu(&a.add(&a.transpose(says)?, listens)?, 0.2)?;
    if let Some(mask) = hearing.edges.mask()? {
        // e to the −10⁹ is exactly 0.
        scores = a.add(&scores, &a.affine(mask, 1e9, -1e9)?)?;
    }
    let dropout = if hearing.settings.as_released { 0.0 } else { hearing.settings.dropout };
    let attention = a.softmax(&scores)?;
    a.attended(&attention);
    a.dropout(&attention, dropout)
}

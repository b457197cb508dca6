//! What is an edge? Which entries of a connectome are, how much they weigh, and what each region receives in all.
//!
//! BrainGB takes every entry, zeros and the diagonal included, for an edge, so that its graphs are complete; that is our
//! default as well ([`EdgeRule::All`]). Of a network that was made sparse, only entries other than 0 are edges
//! ([`EdgeRule::Nonzero`]), and sums run over them. Every region has an edge to itself: where the diagonal is 0 and that means
//! absence, message passing gives it weight 1, as PyTorch Geometric does. Attention replaces all weights of such loops by the
//! mean weight that a region receives from others, as its `GATConv` does. Weights are absolute values, as in the released code.

use std::cell::OnceCell;

use serde::{Deserialize, Serialize};

use super::algebra::Unary;
use super::{Algebra, Failure};

/// Which entries of a network are edges.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum EdgeRule {
    /// All, zeros included, as BrainGB has it.
    #[default]
    All,
    /// Those that are not 0, and each region's edge to itself.
    Nonzero,
}

/// The edges of a batch of networks; each quantity is computed once, where it is first asked for.
pub(super) struct Edges<'a, A: Algebra> {
    a: &'a A,
    /// batch × N × N, with signs.
    pub signed: A::Tensor,
    pub nodes: usize,
    rule: EdgeRule,
    eye: A::Tensor,
    /// Of N ones, a column.
    ones: A::Tensor,
    mask: OnceCell<A::Tensor>,
    count: OnceCell<A::Tensor>,
    normalised: OnceCell<A::Tensor>,
    strength: OnceCell<A::Tensor>,
    attended: OnceCell<A::Tensor>,
}

fn once<T>(cell: &OnceCell<T>, make: impl FnOnce() -> Result<T, Failure>) -> Result<&T, Failure> {
    if let Some(value) = cell.get() {
        return Ok(value);
    }
    let value = make()?;
    Ok(cell.get_or_init(|| value))
}

impl<'a, A: Algebra> Edges<'a, A> {
    pub(super) fn new(a: &'a A, signed: &A::Tensor, rule: EdgeRule) -> Result<Self, Failure> {
        let nodes = a.size(signed, -1)?;
        let eye: Vec<f64> = (0..nodes * nodes).map(|i| f64::from(i / nodes == i % nodes)).collect();
        Ok(Self {
            a,
            signed: signed.clone(),
            nodes,
            rule,
            eye: a.constant(&eye, &[nodes, nodes])?,
            ones: a.constant(&vec![1.0; nodes], &[nodes, 1])?,
            mask: OnceCell::new(),
            count: OnceCell::new(),
            normalised: OnceCell::new(),
            strength: OnceCell::new(),
            attended: OnceCell::new(),
        })
    }

    /// 1 on the diagonal.
    pub(super) fn eye(&self) -> &A::Tensor {
        &self.eye
    }

    /// 1 beside the diagonal.
    fn others(&self) -> Result<A::Tensor, Failure> {
        self.a.affine(&self.eye, -1.0, 1.0)
    }

    /// 1 where there is an edge, batch × N × N; `None` where all are.
    pub(super) fn mask(&self) -> Result<Option<&A::Tensor>, Failure> {
        if self.rule == EdgeRule::All {
            return Ok(None);
        }
        let a = self.a;
        once(&self.mask, || {
            let found = a.unary(Unary::Sign, &a.unary(Unary::Abs, &self.signed)?)?;
            a.add(&a.mul(&found, &self.others()?)?, &self.eye)
        })
        .map(Some)
    }

    /// `x` (batch × N × F) times the number of edges that each region receives.
    pub(super) fn times_count(&self, x: &A::Tensor) -> Result<A::Tensor, Failure> {
        match self.mask()? {
            None => self.a.affine(x, self.nodes as f64, 0.0),
            Some(_) => self.a.mul(x, self.count()?),
        }
    }

    /// How many edges each region receives: batch × N × 1, or 1 × 1 where all are edges.
    pub(super) fn count(&self) -> Result<&A::Tensor, Failure> {
        once(&self.count, || match self.mask()? {
            None => self.a.constant(&[self.nodes as f64], &[1, 1]),
            Some(mask) => self.a.sum(mask, -1),
        })
    }

    /// The sum of `x` (batch × N × F) over the regions that each region hears of: batch × N × F, or batch × 1 × F where that
    /// is the same for all.
    pub(super) fn heard(&self, x: &A::Tensor) -> Result<A::Tensor, Failure> {
        match self.mask()? {
            None => self.a.sum(x, -2),
            Some(mask) => self.a.matmul(mask, x),
        }
    }

    /// e = |A| / √(d dᵀ), with d the strength that each region receives (Kipf and Welling 2017, eq. 2): batch × N × N.
    pub(super) fn normalised(&self) -> Result<&A::Tensor, Failure> {
        let a = self.a;
        once(&self.normalised, || {
            let mut weights = a.unary(Unary::Abs, &self.signed)?;
            if self.rule == EdgeRule::Nonzero {
                let absent = a.affine(&a.unary(Unary::Sign, &weights)?, -1.0, 1.0)?;
                weights = a.add(&weights, &a.mul(&self.eye, &absent)?)?;
            }
            let strength = a.matmul(&weights, &self.ones)?;
            // 1/√d, and 0 where d is 0.
            let any = a.unary(Unary::Sign, &strength)?;
            let inverse = a.div(&any, &a.unary(Unary::Sqrt, &a.sub(&a.affine(&strength, 1.0, 1.0)?, &any)?)?)?;
            a.mul(&a.mul(&weights, &inverse)?, &a.transpose(&inverse)?)
        })
    }

    /// The sum of e over what each region receives, batch × N × 1.
    pub(super) fn strength(&self) -> Result<&A::Tensor, Failure> {
        once(&self.strength, || self.a.matmul(self.normalised()?, &self.ones))
    }

    /// |A| as attention takes it: each region's edge to itself weighs what the others that it receives weigh in the mean.
    pub(super) fn attended(&self) -> Result<&A::Tensor, Failure> {
        let a = self.a;
        once(&self.attended, || {
            let others = a.mul(&a.unary(Unary::Abs, &self.signed)?, &self.others()?)?;
            let sum = a.matmul(&others, &self.ones)?;
            let mean = match self.mask()? {
                None => a.affine(&sum, 1.0 / (self.nodes - 1) as f64, 0.0)?,
                // The edge to itself is the one that is counted too many; a lone region receives 0 of 1.
                Some(_) => {
                    let count = a.affine(self.count()?, 1.0, -1.0)?;
                    let lone = a.affine(&a.unary(Unary::AtLeast(0.5), &count)?, -1.0, 1.0)?;
                    a.div(&sum, &a.add(&count, &lone)?)?
                }
            };
            a.add(&others, &a.mul(&self.eye, &mean)?)
        })
    }

    /// The sum over what each region receives of such weights, batch × N × 1.
    pub(super) fn received(&self, weights: &A::Tensor) -> Result<A::Tensor, Failure> {
        self.a.matmul(weights, &self.ones)
    }
}

//! How much does a region receive? The sum of its weights, one number a region.
//!
//! Ours is Σ |A_ij| over others. The released code sums with signs and with the diagonal, so that positive and negative edges
//! cancel.

use super::super::algebra::Unary;
use super::super::edges::{EdgeRule, Edges};
use super::super::{Algebra, Failure};

/// batch × N × 1
pub(super) fn of<A: Algebra>(a: &A, connectivity: &A::Tensor, as_released: bool) -> Result<A::Tensor, Failure> {
    if as_released {
        return a.sum(connectivity, -1);
    }
    let weights = a.unary(Unary::Abs, connectivity)?;
    let edges = Edges::new(a, connectivity, EdgeRule::All)?;
    let own = a.sum(&a.mul(&weights, edges.eye())?, -1)?;
    a.sub(&a.sum(&weights, -1)?, &own)
}

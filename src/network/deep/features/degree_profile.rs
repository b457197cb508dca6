//! How connected are a region and its neighbours? Cai and Wang 2018 (arXiv 1811.03508): its degree, and the least, the largest,
//! the mean and the standard deviation of its neighbours' degrees.
//!
//! A degree counts edges, whatever they weigh: on a complete graph all regions have the same profile, which says nothing.
//! The released code leaves the region's own degree out, appends the sum, orders them mean, min, max, deviation, sum, and counts
//! the diagonal as networkx counts loops (twice for the degree, and a region as its own neighbour).

use super::super::algebra::Unary;
use super::super::edges::{EdgeRule, Edges};
use super::super::{Algebra, Failure};

/// batch × N × 5
pub(super) fn of<A: Algebra>(a: &A, connectivity: &A::Tensor, as_released: bool) -> Result<A::Tensor, Failure> {
    let edges = Edges::new(a, connectivity, EdgeRule::All)?;
    let found = a.unary(Unary::Sign, &a.unary(Unary::Abs, connectivity)?)?;
    let loops = a.mul(&found, edges.eye())?;
    let neighbours = if as_released { found.clone() } else { a.sub(&found, &loops)? };
    let mut degree = a.sum(&neighbours, -1)?;
    if as_released {
        degree = a.add(&degree, &a.sum(&loops, -1)?)?;
    }
    let count = a.sum(&neighbours, -1)?;
    // A lone region has 0 of everything: 0/1.
    let lone = a.affine(&a.unary(Unary::AtLeast(0.5), &count)?, -1.0, 1.0)?;
    let count = a.add(&count, &lone)?;
    let theirs = a.mul(&neighbours, &a.transpose(&degree)?)?;
    let sum = a.sum(&theirs, -1)?;
    let mean = a.div(&sum, &count)?;
    let largest = a.max(&theirs, -1)?;
    // The least is the largest of what is missing to more than any degree can be.
    let most = 2.0 * edges.nodes as f64 + 1.0;
    let missing = a.mul(&neighbours, &a.affine(&a.transpose(&degree)?, -1.0, most)?)?;
    let some = a.affine(&lone, -1.0, 1.0)?;
    let least = a.mul(&a.affine(&a.max(&missing, -1)?, -1.0, most)?, &some)?;
    let apart = a.mul(&neighbours, &a.sub(&a.transpose(&degree)?, &mean)?)?;
    let deviation = a.unary(Unary::Sqrt, &a.div(&a.sum(&a.mul(&apart, &apart)?, -1)?, &count)?)?;
    let profile =
        if as_released { [mean, least, largest, deviation, sum] } else { [degree, least, largest, mean, deviation] };
    a.concat(&profile, -1)
}

//! Which region is it? A one of N, which lets the weights know every region by its place.

use super::super::{Algebra, Failure};

/// I, batch × N × N.
pub(super) fn of<A: Algebra>(a: &A, connectivity: &A::Tensor) -> Result<A::Tensor, Failure> {
    let nodes = a.size(connectivity, -1)?;
    let eye: Vec<f64> = (0..nodes * nodes).map(|i| f64::from(i / nodes == i % nodes)).collect();
    // The batch comes from the input, of which nothing else is taken.
    a.add(&a.affine(connectivity, 0.0, 0.0)?, &a.constant(&eye, &[nodes, nodes])?)
}

//! Is a region weakly or strongly connected? A one of several bins of its degree.
//!
//! The released `degree_bin` returns no data, so there is nothing to follow. Ours divides the range from 0 to the largest
//! Σ |A_ij| of the network into bins of one width.

use super::super::algebra::Unary;
use super::super::{Algebra, Failure};

/// batch × N × bins
pub(super) fn of<A: Algebra>(a: &A, connectivity: &A::Tensor, bins: usize) -> Result<A::Tensor, Failure> {
    let degree = super::degree::of(a, connectivity, false)?;
    let most = a.max(&degree, -2)?;
    // A network without edges has all regions in the first bin: 0/1.
    let none = a.affine(&a.unary(Unary::Sign, &most)?, -1.0, 1.0)?;
    let share = a.div(&degree, &a.add(&most, &none)?)?;
    let reached = |bin: usize| a.unary(Unary::AtLeast(bin as f64 / bins as f64), &share);
    let mut columns = Vec::with_capacity(bins);
    for bin in 0..bins {
        let here = reached(bin)?;
        columns.push(if bin + 1 < bins { a.sub(&here, &reached(bin + 1)?)? } else { here });
    }
    a.concat(&columns, -1)
}

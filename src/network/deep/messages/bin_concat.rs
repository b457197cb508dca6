//! A region hears each neighbour beside a learned vector of the bin that the weight between them falls in:
//! Σ_j L [h_j ‖ M_bin(ij)] = (Σ_j h_j) L₁ + C M L₂ + n_i b, with C_ib how many edges that region i receives are in bin b.
//!
//! Bins of `bucket` width divide [−1, 1], and what is beyond is in the outermost ones. Ours are of the connectivity with its
//! signs. The released code takes absolute values and normalises them before it bins them, so that no edge is ever in the
//! lower half, and nearly all are in one bin; a weight of 1 is beyond its last bin, here as well in the last one.

use super::super::algebra::{Initial, Unary};
use super::super::terms::Term;
use super::super::{Algebra, Failure};
use super::Hearing;

pub(super) fn terms<A: Algebra>(hearing: &Hearing<'_, A>) -> Result<Vec<Term<A::Tensor>>, Failure> {
    let (hidden, width) = (hearing.settings.hidden, hearing.settings.edge_embedding);
    let (weight, (parts, bias)) = (hearing.weight()?, hearing.messages(&[hidden, width])?);
    let [other, edge] = parts.as_slice() else { return Ok(Vec::new()) };
    let bins = hearing.settings.buckets();
    let embedding = hearing.parameter("bins.weight", &[bins, width], Initial::Normal(1.0))?;
    Ok(vec![
        Term::new(&hearing.edges.heard(hearing.nodes)?, &[&weight, other]),
        Term::new(&counts(hearing, bins)?, &[&embedding, edge]),
        Term::new(hearing.edges.count()?, &[&bias]),
    ])
}

/// C, batch × N × bins: the difference of how many reach a bin and how many reach the next one.
fn counts<A: Algebra>(hearing: &Hearing<'_, A>, bins: usize) -> Result<A::Tensor, Failure> {
    let (a, edges) = (hearing.a, hearing.edges);
    let weights = if hearing.settings.as_released { edges.normalised()? } else { &edges.signed };
    let reaching = |bin: usize| {
        let reached = a.unary(Unary::AtLeast(bin as f64 * hearing.settings.bucket - 1.0), weights)?;
        match edges.mask()? {
            Some(mask) => edges.received(&a.mul(&reached, mask)?),
            None => edges.received(&reached),
        }
    };
    // All edges reach the first bin; its column has as many rows as the others.
    let mut before = a.add(&a.affine(&reaching(1)?, 0.0, 0.0)?, edges.count()?)?;
    let mut columns = Vec::with_capacity(bins);
    for bin in 1..bins {
        let next = reaching(bin)?;
        columns.push(a.sub(&before, &next)?);
        before = next;
    }
    columns.push(before);
    a.concat(&columns, -1)
}

//! A region hears a neighbour if it listens or if the edge is strong: ((a + w) X) W_k.

use super::super::terms::Term;
use super::super::{Algebra, Failure};
use super::Head;

pub(super) fn terms<A: Algebra>(head: &Head<'_, A>) -> Result<Vec<Term<A::Tensor>>, Failure> {
    let weights = head.hearing.a.add(&head.attention, head.hearing.edges.attended()?)?;
    Ok(vec![Term::under(&weights, head.hearing.nodes, &[&head.weight])])
}

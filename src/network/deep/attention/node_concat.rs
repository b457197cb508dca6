//! A region hears itself beside each neighbour that it listens to: n_i (h_i L₁ + b) + (Σ_j a_ij h_j) L₂. L is one for all heads.

use super::super::terms::Term;
use super::super::{Algebra, Failure};
use super::Head;

pub(super) fn terms<A: Algebra>(head: &Head<'_, A>) -> Result<Vec<Term<A::Tensor>>, Failure> {
    let (hearing, hidden) = (head.hearing, head.hearing.settings.hidden);
    let (parts, bias) = hearing.messages(&[hidden, hidden])?;
    let [own, other] = parts.as_slice() else { return Ok(Vec::new()) };
    Ok(vec![
        Term::new(&hearing.edges.times_count(hearing.nodes)?, &[&head.weight, own]),
        Term::under(&head.attention, hearing.nodes, &[&head.weight, other]),
        Term::new(hearing.edges.count()?, &[&bias]),
    ])
}

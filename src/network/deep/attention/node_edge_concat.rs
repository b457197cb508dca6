//! A region hears itself beside each neighbour that it listens to and the weight between them:
//! n_i (h_i L₁ + b) + (Σ_j a_ij h_j) L₂ + (Σ_j w_ij) L₃. L is one for all heads.

use super::super::terms::Term;
use super::super::{Algebra, Failure};
use super::Head;

pub(super) fn terms<A: Algebra>(head: &Head<'_, A>) -> Result<Vec<Term<A::Tensor>>, Failure> {
    let (hearing, hidden) = (head.hearing, head.hearing.settings.hidden);
    let (parts, bias) = hearing.messages(&[hidden, hidden, 1])?;
    let [own, other, edge] = parts.as_slice() else { return Ok(Vec::new()) };
    Ok(vec![
        Term::new(&hearing.edges.times_count(hearing.nodes)?, &[&head.weight, own]),
        Term::under(&head.attention, hearing.nodes, &[&head.weight, other]),
        Term::new(&hearing.edges.received(hearing.edges.attended()?)?, &[edge]),
        Term::new(hearing.edges.count()?, &[&bias]),
    ])
}

//! A region hears itself beside each neighbour: Σ_j L [h_i ‖ h_j] = n_i (h_i L₁ + b) + (Σ_j h_j) L₂. What edges weigh does not
//! enter.

use super::super::terms::Term;
use super::super::{Algebra, Failure};
use super::Hearing;

pub(super) fn terms<A: Algebra>(hearing: &Hearing<'_, A>) -> Result<Vec<Term<A::Tensor>>, Failure> {
    let hidden = hearing.settings.hidden;
    let (weight, (parts, bias)) = (hearing.weight()?, hearing.messages(&[hidden, hidden])?);
    let [own, other] = parts.as_slice() else { return Ok(Vec::new()) };
    Ok(vec![
        Term::new(&hearing.edges.times_count(hearing.nodes)?, &[&weight, own]),
        Term::new(&hearing.edges.heard(hearing.nodes)?, &[&weight, other]),
        Term::new(hearing.edges.count()?, &[&bias]),
    ])
}

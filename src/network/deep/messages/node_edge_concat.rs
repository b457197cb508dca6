//! A region hears itself beside each neighbour and the weight between them:
//! Σ_j L [h_i ‖ h_j ‖ e_ij] = n_i (h_i L₁ + b) + (Σ_j h_j) L₂ + (Σ_j e_ij) L₃.

use super::super::terms::Term;
use super::super::{Algebra, Failure};
use super::Hearing;

pub(super) fn terms<A: Algebra>(hearing: &Hearing<'_, A>) -> Result<Vec<Term<A::Tensor>>, Failure> {
    let hidden = hearing.settings.hidden;
    let (weight, (parts, bias)) = (hearing.weight()?, hearing.messages(&[hidden, hidden, 1])?);
    let [own, other, edge] = parts.as_slice() else { return Ok(Vec::new()) };
    Ok(vec![
        Term::new(&hearing.edges.times_count(hearing.nodes)?, &[&weight, own]),
        Term::new(&hearing.edges.heard(hearing.nodes)?, &[&weight, other]),
        Term::new(hearing.edges.strength()?, &[edge]),
        Term::new(hearing.edges.count()?, &[&bias]),
    ])
}

//! A region hears each neighbour beside the weight between them, which is repeated so that it is not lost among H columns:
//! Σ_j L [h_j ‖ e_ij … e_ij] = (Σ_j h_j) L₁ + (Σ_j e_ij) 1ᵀL₂ + n_i b.

use super::super::terms::Term;
use super::super::{Algebra, Failure};
use super::Hearing;

pub(super) fn terms<A: Algebra>(hearing: &Hearing<'_, A>) -> Result<Vec<Term<A::Tensor>>, Failure> {
    let (hidden, repeats) = (hearing.settings.hidden, hearing.settings.edge_embedding);
    let (weight, (parts, bias)) = (hearing.weight()?, hearing.messages(&[hidden, repeats])?);
    let [other, edge] = parts.as_slice() else { return Ok(Vec::new()) };
    Ok(vec![
        Term::new(&hearing.edges.heard(hearing.nodes)?, &[&weight, other]),
        Term::new(hearing.edges.strength()?, &[&hearing.a.sum(edge, -2)?]),
        Term::new(hearing.edges.count()?, &[&bias]),
    ])
}

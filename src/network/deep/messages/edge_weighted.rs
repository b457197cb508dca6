//! A region hears its neighbours as loudly as its edges weigh: Σ_j e_ij h_j = (e X) W.

use super::super::terms::Term;
use super::super::{Algebra, Failure};
use super::Hearing;

pub(super) fn terms<A: Algebra>(hearing: &Hearing<'_, A>) -> Result<Vec<Term<A::Tensor>>, Failure> {
    Ok(vec![Term::under(hearing.edges.normalised()?, hearing.nodes, &[&hearing.weight()?])])
}

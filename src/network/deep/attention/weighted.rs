//! A region hears its neighbours as much as it listens to them: (a X) W_k.

use super::super::terms::Term;
use super::super::{Algebra, Failure};
use super::Head;

pub(super) fn terms<A: Algebra>(head: &Head<'_, A>) -> Result<Vec<Term<A::Tensor>>, Failure> {
    Ok(vec![Term::under(&head.attention, head.hearing.nodes, &[&head.weight])])
}

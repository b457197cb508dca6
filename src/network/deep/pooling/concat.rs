//! Eight columns of every region, side by side in the regions' order: each region keeps weights of its own.

use super::super::layers::linear;
use super::super::messages::Hearing;
use super::super::{Algebra, Failure, terms};

const WIDE: usize = 64;
const NARROW: usize = 8;

pub(super) fn read<A: Algebra>(hearing: &Hearing<'_, A>) -> Result<(A::Tensor, usize), Failure> {
    let (a, name) = (hearing.a, &hearing.name);
    let x = terms::sum(a, &hearing.settings.messages.through(hearing, WIDE)?)?;
    let x = linear(a, &format!("{name}.narrow"), &a.leaky_relu(&x, 0.2)?, WIDE, NARROW)?;
    let x = a.batch_norm(&format!("{name}.norm"), &a.leaky_relu(&x, 0.2)?)?;
    let columns = NARROW * hearing.edges.nodes;
    Ok((a.reshape(&x, &[0, columns as isize])?, columns))
}

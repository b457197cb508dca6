//! The sum of all regions: H columns, whatever their order.

use super::super::messages::Hearing;
use super::super::{Algebra, Failure};
use super::layer;

pub(super) fn read<A: Algebra>(hearing: &Hearing<'_, A>) -> Result<(A::Tensor, usize), Failure> {
    let (a, hidden) = (hearing.a, hearing.settings.hidden);
    let sum = a.sum(&layer(hearing, hidden)?, -2)?;
    Ok((a.reshape(&sum, &[0, hidden as isize])?, hidden))
}

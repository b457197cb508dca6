//! Learned groups of regions (Ying et al. 2018, arXiv 1806.08804): S = softmax of a layer of its own says to which of C groups
//! a region belongs, Sᵀ Z are the groups and Sᵀ A S what lies between them, over which one more convolution runs before the
//! mean. What the paper adds to the loss is added here: ‖A − S Sᵀ‖ / N² (eq. 8 there), and the mean entropy of S (section 3.3).
//!
//! The paper's table has DiffPool, the released code has not; this follows Ying et al. A is |A| by its largest entry, so that
//! counts of streamlines do not drown the loss.

use super::super::algebra::Unary;
use super::super::layers::linear;
use super::super::messages::Hearing;
use super::super::{Algebra, Failure, terms};
use super::layer;

pub(super) fn read<A: Algebra>(hearing: &Hearing<'_, A>) -> Result<(A::Tensor, usize), Failure> {
    let (a, settings, nodes) = (hearing.a, hearing.settings, hearing.edges.nodes);
    let (hidden, groups) = (settings.hidden, settings.groups(nodes));
    let z = layer(hearing, hidden)?;
    let grouping =
        Hearing { name: format!("{}.groups", hearing.name), a, nodes: hearing.nodes, edges: hearing.edges, settings };
    let s = a.softmax(&terms::sum(a, &settings.messages.through(&grouping, groups)?)?)?;
    let weights = a.unary(Unary::Abs, &hearing.edges.signed)?;
    let largest = a.max(&a.max(&weights, -1)?, -2)?;
    let none = a.affine(&a.unary(Unary::Sign, &largest)?, -1.0, 1.0)?;
    let weights = a.div(&weights, &a.add(&largest, &none)?)?;

    let missed = a.sub(&weights, &a.matmul(&s, &a.transpose(&s)?)?)?;
    let squared = a.sum(&a.sum(&a.mul(&missed, &missed)?, -1)?, -2)?;
    a.penalise(1.0 / (nodes * nodes) as f64, &a.unary(Unary::Sqrt, &squared)?)?;
    let surprise = a.mul(&s, &a.unary(Unary::Ln, &a.affine(&s, 1.0, 1e-15)?)?)?;
    a.penalise(-1.0, &a.sum(&surprise, -1)?)?;

    let members = a.transpose(&s)?;
    let within = a.matmul(&members, &z)?;
    let between = a.matmul(&a.matmul(&members, &weights)?, &s)?;
    // A group that nobody belongs to hears nothing; what it would be divided by is far above rounding.
    let heard = a.div(&between, &a.affine(&a.sum(&between, -1)?, 1.0, 1e-6)?)?;
    let name = format!("{}.coarse", hearing.name);
    let x = linear(a, &format!("{name}.linear"), &a.matmul(&heard, &within)?, hidden, hidden)?;
    let x = a.batch_norm(&format!("{name}.norm"), &a.leaky_relu(&x, 0.2)?)?;
    Ok((a.reshape(&a.mean(&x, -2)?, &[0, hidden as isize])?, hidden))
}

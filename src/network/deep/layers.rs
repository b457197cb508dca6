//! What is most of every network? Layers.

use super::Failure;
use super::algebra::{Algebra, Initial, Unary};

/// x W + b, as torch begins it: both uniform within ±1/√inputs. `name.weight` is inputs × outputs, `name.bias` outputs.
///
/// # Errors
/// x has other columns.
pub fn linear<A: Algebra>(
    a: &A,
    name: &str,
    x: &A::Tensor,
    inputs: usize,
    outputs: usize,
) -> Result<A::Tensor, Failure> {
    let initial = Initial::Uniform(1.0 / (inputs as f64).sqrt());
    let weight = a.parameter(&format!("{name}.weight"), &[inputs, outputs], initial)?;
    let bias = a.parameter(&format!("{name}.bias"), &[outputs], initial)?;
    a.add(&a.matmul(x, &weight)?, &bias)
}

/// Linear layers of these sizes, the first one the inputs, with `slope` leaky ReLUs between them and dropout after each.
///
/// # Errors
/// x has other columns.
pub fn mlp<A: Algebra>(
    a: &A,
    name: &str,
    x: &A::Tensor,
    sizes: &[usize],
    slope: f64,
    dropout: f64,
) -> Result<A::Tensor, Failure> {
    let mut x = x.clone();
    for (layer, (inputs, outputs)) in sizes.iter().zip(sizes.iter().skip(1)).enumerate() {
        if layer > 0 {
            x = a.dropout(&a.leaky_relu(&x, slope)?, dropout)?;
        }
        x = linear(a, &format!("{name}.{layer}"), &x, *inputs, *outputs)?;
    }
    Ok(x)
}

/// Layer normalisation of the last axis (Ba, Kiros and Hinton 2016), ε = 1e-5 and the variance with N, as torch has it.
///
/// # Errors
/// x has other columns.
pub fn layer_norm<A: Algebra>(a: &A, name: &str, x: &A::Tensor, columns: usize) -> Result<A::Tensor, Failure> {
    let gain = a.parameter(&format!("{name}.weight"), &[columns], Initial::Constant(1.0))?;
    let offset = a.parameter(&format!("{name}.bias"), &[columns], Initial::Constant(0.0))?;
    let centred = a.sub(x, &a.mean(x, -1)?)?;
    let variance = a.mean(&a.mul(&centred, &centred)?, -1)?;
    let deviation = a.unary(Unary::Sqrt, &a.affine(&variance, 1.0, 1e-5)?)?;
    a.add(&a.mul(&a.div(&centred, &deviation)?, &gain)?, &offset)
}

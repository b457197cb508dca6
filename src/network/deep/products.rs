//! How do matrices meet, and how does a gradient pass an activation? Operations whose gradients candle computes in full, lean.

use candle_core::backend::BackendStorage;
use candle_core::{CpuStorage, CustomOp1, CustomOp2, Device, Error, Layout, Result, Shape, Tensor};

use super::kernels::{Number, in_either, slice, with};

/// The matrix product of the last two axes; all others are the same for both.
pub(super) struct Product {
    /// Whether x, and whether y, depends on what is learned: only then is its gradient computed.
    pub learned: [bool; 2],
}

impl CustomOp2 for Product {
    fn name(&self) -> &'static str {
        "product"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, y: &CpuStorage, ly: &Layout) -> Result<(CpuStorage, Shape)> {
        let shapes = || Error::msg(format!("{:?} by {:?} is no matrix product", lx.dims(), ly.dims()));
        let ([outer @ .., rows, inner], [others @ .., also, columns]) = (lx.dims(), ly.dims()) else {
            return Err(shapes());
        };
        if inner != also || outer != others {
            return Err(shapes());
        }
        let shape = [outer, &[*rows, *columns]].concat();
        Ok((x.matmul(y, (outer.iter().product(), *rows, *columns, *inner), lx, ly)?, Shape::from(shape)))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let plain = Product { learned: [false; 2] };
        let grad = grad.contiguous()?;
        let dx = self.learned[0].then(|| grad.apply_op2_no_bwd(&y.t()?, &plain)).transpose()?;
        let dy = self.learned[1].then(|| x.t()?.apply_op2_no_bwd(&grad, &plain)).transpose()?;
        Ok((dx, dy))
    }
}

fn zipped<T: Number>(x: &Tensor, y: &Tensor, f: impl Fn(T, T) -> T) -> Result<Tensor> {
    let out: Vec<T> = with(x, |x: &[T]| with(y, |y: &[T]| x.iter().zip(y).map(|(x, y)| f(*x, *y)).collect()))??;
    Tensor::from_vec(out, x.shape(), &Device::Cpu)
}

/// x, or so many times x where x is not positive.
pub(super) struct LeakyRelu(pub f64);

impl CustomOp1 for LeakyRelu {
    fn name(&self) -> &'static str {
        "leaky relu"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        fn run<T: Number>(x: &[T], slope: T) -> CpuStorage {
            T::store(x.iter().map(|x| if *x > T::zero() { *x } else { *x * slope }).collect())
        }
        let out = match x {
            CpuStorage::F64(_) => run(slice(x, layout)?, self.0),
            _ => run(slice(x, layout)?, self.0 as f32),
        };
        Ok((out, layout.shape().clone()))
    }

    fn bwd(&self, x: &Tensor, _out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        fn run<T: Number>(x: &Tensor, grad: &Tensor, slope: f64) -> Result<Tensor> {
            let slope = T::from_f64(slope);
            zipped(x, grad, |x: T, g| if x > T::zero() { g } else { g * slope })
        }
        let grad = grad.contiguous()?;
        Ok(Some(in_either!(x, run(x, &grad, self.0))?))
    }
}

/// exp x / Σ exp x along the last axis.
pub(super) struct Softmax;

impl CustomOp1 for Softmax {
    fn name(&self) -> &'static str {
        "softmax"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        fn run<T: Number>(x: &[T], columns: usize) -> CpuStorage {
            let mut out = x.to_vec();
            for row in out.chunks_exact_mut(columns.max(1)) {
                let most = row.iter().copied().fold(T::from_f64(f64::NEG_INFINITY), |a, b| if b > a { b } else { a });
                row.iter_mut().for_each(|v| *v = Number::exp(*v - most));
                let sum: T = row.iter().copied().sum();
                row.iter_mut().for_each(|v| *v /= sum);
            }
            T::store(out)
        }
        let columns = layout.dims().last().copied().unwrap_or(1);
        let out = match x {
            CpuStorage::F64(_) => run::<f64>(slice(x, layout)?, columns),
            _ => run::<f32>(slice(x, layout)?, columns),
        };
        Ok((out, layout.shape().clone()))
    }

    fn bwd(&self, _x: &Tensor, out: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        fn run<T: Number>(out: &Tensor, grad: &Tensor) -> Result<Tensor> {
            let columns = out.dims().last().copied().unwrap_or(1).max(1);
            let mut dx = with(grad, <[T]>::to_vec)?;
            with(out, |p: &[T]| {
                for (dx, p) in dx.chunks_exact_mut(columns).zip(p.chunks_exact(columns)) {
                    let mean: T = dx.iter().zip(p).map(|(g, p)| *g * *p).sum();
                    dx.iter_mut().zip(p).for_each(|(g, p)| *g = (*g - mean) * *p);
                }
            })?;
            Tensor::from_vec(dx, out.shape(), &Device::Cpu)
        }
        let grad = grad.contiguous()?;
        Ok(Some(in_either!(out, run(out, &grad))?))
    }
}

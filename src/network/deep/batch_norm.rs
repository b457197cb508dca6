//! How are activations kept on one scale? Batch normalisation (Ioffe and Szegedy 2015, arXiv 1502.03167), as torch has it.
//!
//! While learning, a column is normalised by its mean and its variance (with N) over the batch, and the running statistics take
//! a tenth of the new mean and of the new variance (with N − 1). Afterwards the running ones normalise, which is affine.

use candle_core::{CpuStorage, CustomOp3, Device, Error, Layout, Result, Shape, Tensor};

use super::Failure;
use super::algebra::Initial;
use super::kernels::{Number, in_either, slice, with};
use super::parameters::{Parameters, Running};

const EPSILON: f64 = 1e-5;
const MOMENTUM: f64 = 0.1;

/// The gain and the offset of a normalisation of this name.
pub(super) fn gain_and_offset(
    parameters: &Parameters,
    name: &str,
    columns: usize,
) -> std::result::Result<[Tensor; 2], Failure> {
    Ok([
        parameters.parameter(&format!("{name}.weight"), &[columns], Initial::Constant(1.0))?,
        parameters.parameter(&format!("{name}.bias"), &[columns], Initial::Constant(0.0))?,
    ])
}

/// What the running statistics multiply with, and subtract before that.
pub(super) fn frozen(parameters: &Parameters, name: &str, columns: usize) -> (Vec<f64>, Vec<f64>) {
    let Running { mean, variance } = parameters.running(name, columns);
    (variance.iter().map(|v| 1.0 / (v + EPSILON).sqrt()).collect(), mean)
}

/// Scale and shift of a normalisation after learning.
pub(super) fn as_affine(
    parameters: &Parameters,
    name: &str,
    columns: usize,
) -> std::result::Result<(Vec<f32>, Vec<f32>), Failure> {
    let [gain, offset] = gain_and_offset(parameters, name, columns)?;
    let numbers = |t: &Tensor| t.to_dtype(candle_core::DType::F64)?.to_vec1::<f64>();
    let (factors, mean) = frozen(parameters, name, columns);
    let scale: Vec<f64> = numbers(&gain)?.iter().zip(&factors).map(|(g, f)| g * f).collect();
    let shift = numbers(&offset)?.iter().zip(&scale).zip(&mean).map(|((o, s), m)| (o - s * m) as f32).collect();
    Ok((scale.iter().map(|s| *s as f32).collect(), shift))
}

/// One normalisation of rows × columns by what is in the batch.
struct BatchNorm {
    mean: Vec<f64>,
    /// 1/√(variance + ε)
    factor: Vec<f64>,
}

/// Normalises by the batch, and lets the running statistics take their share of it.
pub(super) fn learn(parameters: &Parameters, name: &str, x: &Tensor) -> std::result::Result<Tensor, Failure> {
    let columns = x.dim(candle_core::D::Minus1)?;
    let [gain, offset] = gain_and_offset(parameters, name, columns)?;
    let x = x.contiguous()?;
    let (mean, variance) = in_either!(x, moments(&x, columns))?;
    let rows = (x.elem_count() / columns.max(1)) as f64;
    if rows < 2.0 {
        return Err(Failure::Settings(format!("{name}: one row has no variance (use a larger batch)")));
    }
    let mut running = parameters.running(name, columns);
    let mix = |old: &mut Vec<f64>, new: &[f64], scale: f64| {
        old.iter_mut().zip(new).for_each(|(old, new)| *old = (1.0 - MOMENTUM) * *old + MOMENTUM * scale * new);
    };
    mix(&mut running.mean, &mean, 1.0);
    mix(&mut running.variance, &variance, rows / (rows - 1.0));
    parameters.set_running(name, running);
    let factor = variance.iter().map(|v| 1.0 / (v + EPSILON).sqrt()).collect();
    Ok(x.apply_op3(&gain, &offset, BatchNorm { mean, factor })?)
}

/// Mean and variance (with N) of each column.
fn moments<T: Number>(x: &Tensor, columns: usize) -> Result<(Vec<f64>, Vec<f64>)> {
    with(x, |x: &[T]| {
        let rows = (x.len() / columns.max(1)).max(1) as f64;
        let (mut mean, mut variance) = (vec![0.0; columns], vec![0.0; columns]);
        for row in x.chunks_exact(columns.max(1)) {
            mean.iter_mut().zip(row).for_each(|(sum, v)| *sum += v.to_f64());
        }
        mean.iter_mut().for_each(|sum| *sum /= rows);
        for row in x.chunks_exact(columns.max(1)) {
            variance.iter_mut().zip(row).zip(&mean).for_each(|((sum, v), mean)| *sum += (v.to_f64() - mean).powi(2));
        }
        variance.iter_mut().for_each(|sum| *sum /= rows);
        (mean, variance)
    })
}

impl BatchNorm {
    fn statistics<T: Number>(&self) -> (Vec<T>, Vec<T>) {
        let cast = |values: &[f64]| values.iter().map(|v| T::from_f64(*v)).collect();
        (cast(&self.mean), cast(&self.factor))
    }

    fn forward<T: Number>(&self, x: &[T], gain: &[T], offset: &[T]) -> CpuStorage {
        let (mean, factor) = self.statistics::<T>();
        let scale: Vec<T> = gain.iter().zip(&factor).map(|(g, f)| *g * *f).collect();
        let mut out = Vec::with_capacity(x.len());
        for row in x.chunks_exact(gain.len().max(1)) {
            let row = row.iter().zip(&mean).zip(&scale).zip(offset);
            out.extend(row.map(|(((x, mean), scale), offset)| (*x - *mean) * *scale + *offset));
        }
        T::store(out)
    }

    /// Ioffe and Szegedy 2015, section 3: the gradients of x, gain and offset.
    fn backward<T: Number>(&self, x: &Tensor, gain: &Tensor, grad: &Tensor) -> Result<[Tensor; 3]> {
        let (mean, factor) = self.statistics::<T>();
        let columns = mean.len();
        let mut sums = [vec![T::zero(); columns], vec![T::zero(); columns]];
        let mut dx = Vec::with_capacity(x.elem_count());
        with(x, |x: &[T]| {
            with(grad, |grad: &[T]| {
                with(gain, |gain: &[T]| {
                    let width = columns.max(1);
                    let [offset, scale] = &mut sums;
                    for (x, g) in x.chunks_exact(width).zip(grad.chunks_exact(width)) {
                        offset.iter_mut().zip(g).for_each(|(sum, g)| *sum += *g);
                        let row = scale.iter_mut().zip(x).zip(g).zip(mean.iter().zip(&factor));
                        row.for_each(|(((sum, x), g), (mean, factor))| *sum += *g * (*x - *mean) * *factor);
                    }
                    // dx = gain · factor · (g − mean(g) − x̂ mean(g x̂)) = a g + b x + c, with a, b and c of the column.
                    let rows = T::from_f64((x.len() / width) as f64);
                    let a: Vec<T> = gain.iter().zip(&factor).map(|(gain, factor)| *gain * *factor).collect();
                    let b: Vec<T> = scale
                        .iter()
                        .zip(&a)
                        .zip(&factor)
                        .map(|((sum, a), f)| T::zero() - *a * *f * *sum / rows)
                        .collect();
                    let c: Vec<T> = offset
                        .iter()
                        .zip(a.iter().zip(&b).zip(&mean))
                        .map(|(sum, ((a, b), mean))| T::zero() - *a * *sum / rows - *b * *mean)
                        .collect();
                    for (x, g) in x.chunks_exact(width).zip(grad.chunks_exact(width)) {
                        let row = x.iter().zip(g).zip(a.iter().zip(&b).zip(&c));
                        dx.extend(row.map(|((x, g), ((a, b), c))| *a * *g + *b * *x + *c));
                    }
                })
            })
        })???;
        let [offset, scale] = sums;
        let row = |values| Tensor::from_vec(values, columns, &Device::Cpu);
        Ok([Tensor::from_vec(dx, x.shape(), &Device::Cpu)?, row(scale)?, row(offset)?])
    }
}

impl CustomOp3 for BatchNorm {
    fn name(&self) -> &'static str {
        "batch norm"
    }

    fn cpu_fwd(
        &self,
        x: &CpuStorage,
        lx: &Layout,
        gain: &CpuStorage,
        lg: &Layout,
        offset: &CpuStorage,
        lo: &Layout,
    ) -> Result<(CpuStorage, Shape)> {
        let out = match x {
            CpuStorage::F64(_) => self.forward::<f64>(slice(x, lx)?, slice(gain, lg)?, slice(offset, lo)?),
            CpuStorage::F32(_) => self.forward::<f32>(slice(x, lx)?, slice(gain, lg)?, slice(offset, lo)?),
            _ => return Err(Error::msg("batch norm takes f32 and f64")),
        };
        Ok((out, lx.shape().clone()))
    }

    fn bwd(
        &self,
        x: &Tensor,
        gain: &Tensor,
        _offset: &Tensor,
        _out: &Tensor,
        grad: &Tensor,
    ) -> Result<(Option<Tensor>, Option<Tensor>, Option<Tensor>)> {
        let grad = grad.contiguous()?;
        let [dx, dgain, doffset] = match x.dtype() {
            candle_core::DType::F64 => self.backward::<f64>(x, gain, &grad)?,
            _ => self.backward::<f32>(x, gain, &grad)?,
        };
        Ok((Some(dx), Some(dgain), Some(doffset)))
    }
}

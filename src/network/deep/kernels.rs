//! What do tensors lack? Broadcasting that copies nothing, sums over any axes, and activations with lean gradients.
//!
//! Every sum runs in one order on one thread, so the same input gives the same bits on any number of cores.

use candle_core::{CpuStorage, CustomOp1, CustomOp2, Device, Error, Layout, Result, Shape, Storage, Tensor};

use super::algebra::Binary;

/// f32 or f64.
pub(super) trait Number: candle_core::WithDType + std::iter::Sum {
    fn read(storage: &CpuStorage) -> Option<&[Self]>;
    fn store(values: Vec<Self>) -> CpuStorage;
    fn exp(self) -> Self;
    fn sqrt(self) -> Self;
}

impl Number for f32 {
    fn read(storage: &CpuStorage) -> Option<&[Self]> {
        if let CpuStorage::F32(values) = storage { Some(values) } else { None }
    }
    fn store(values: Vec<Self>) -> CpuStorage {
        CpuStorage::F32(values)
    }
    fn exp(self) -> Self {
        self.exp()
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

impl Number for f64 {
    fn read(storage: &CpuStorage) -> Option<&[Self]> {
        if let CpuStorage::F64(values) = storage { Some(values) } else { None }
    }
    fn store(values: Vec<Self>) -> CpuStorage {
        CpuStorage::F64(values)
    }
    fn exp(self) -> Self {
        self.exp()
    }
    fn sqrt(self) -> Self {
        self.sqrt()
    }
}

/// The numbers of a contiguous tensor.
pub(super) fn slice<'s, T: Number>(storage: &'s CpuStorage, layout: &Layout) -> Result<&'s [T]> {
    let (start, end) = layout.contiguous_offsets().ok_or_else(|| Error::msg("a tensor is not contiguous"))?;
    T::read(storage)
        .and_then(|values| values.get(start..end))
        .ok_or_else(|| Error::msg("a tensor is neither f32 nor f64"))
}

/// What `f` makes of the numbers of a contiguous tensor on the CPU.
pub(super) fn with<T: Number, R>(tensor: &Tensor, f: impl FnOnce(&[T]) -> R) -> Result<R> {
    let (storage, layout) = tensor.storage_and_layout();
    match &*storage {
        Storage::Cpu(storage) => slice(storage, layout).map(f),
        _ => Err(Error::msg("a tensor is not in memory")),
    }
}

/// Does the same for both precisions.
macro_rules! in_either {
    ($tensor:expr, $function:ident ( $($argument:expr),* )) => {
        match $tensor.dtype() {
            candle_core::DType::F64 => $function::<f64>($($argument),*),
            _ => $function::<f32>($($argument),*),
        }
    };
}
pub(super) use in_either;

/// How two shapes walk together: blocks of adjacent axes that both have, or that only one has.
struct Walk {
    /// Size, step in x, step in y; the last one is the innermost.
    axes: Vec<[usize; 3]>,
    shape: Vec<usize>,
}

impl Walk {
    fn new(x: &[usize], y: &[usize]) -> Option<Self> {
        let rank = x.len().max(y.len());
        let size =
            |s: &[usize], axis: usize| (axis + s.len()).checked_sub(rank).and_then(|a| s.get(a)).copied().unwrap_or(1);
        let (mut axes, mut shape, mut steps): (Vec<[usize; 3]>, Vec<usize>, _) = (Vec::new(), Vec::new(), [1, 1]);
        for axis in (0..rank).rev() {
            let (a, b) = (size(x, axis), size(y, axis));
            let both = a.max(b).min(if a == 0 || b == 0 { 0 } else { usize::MAX });
            if (a != both && a != 1) || (b != both && b != 1) {
                return None;
            }
            shape.push(both);
            let step = [if a == 1 { 0 } else { steps[0] }, if b == 1 { 0 } else { steps[1] }];
            steps = [steps[0] * a, steps[1] * b];
            if both == 1 {
                continue;
            }
            match axes.last_mut() {
                // The outer axis goes on where the inner one ends, for both.
                Some([size, sx, sy]) if step == [*sx * *size, *sy * *size] => *size *= both,
                _ => axes.push([both, step[0], step[1]]),
            }
        }
        axes.reverse();
        shape.reverse();
        Some(Self { axes, shape })
    }

    /// Calls `f` with the offsets in x and y of every innermost run, its length and its steps.
    fn runs(&self, mut f: impl FnMut(usize, usize, [usize; 3])) {
        let Some((inner, outer)) = self.axes.split_last() else { return f(0, 0, [1, 1, 1]) };
        let count: usize = outer.iter().map(|axis| axis[0]).product();
        let mut at = vec![0; outer.len()];
        let (mut x, mut y) = (0, 0);
        for _ in 0..count {
            f(x, y, *inner);
            for (at, [size, sx, sy]) in at.iter_mut().zip(outer).rev() {
                *at += 1;
                (x, y) = (x + sx, y + sy);
                if *at < *size {
                    break;
                }
                (x, y) = (x - sx * size, y - sy * size);
                *at = 0;
            }
        }
    }
}

fn combine<T: Number>(walk: &Walk, x: &[T], y: &[T], f: impl Fn(T, T) -> T) -> Vec<T> {
    let mut out = Vec::with_capacity(walk.shape.iter().product());
    walk.runs(|i, j, [length, sx, sy]| {
        let (x, y) = (x.get(i..).unwrap_or_default(), y.get(j..).unwrap_or_default());
        match (sx, sy, x.first(), y.first()) {
            (0, _, Some(x), _) => out.extend(y.iter().take(length).map(|y| f(*x, *y))),
            (_, 0, _, Some(y)) => out.extend(x.iter().take(length).map(|x| f(*x, *y))),
            _ => out.extend(x.iter().zip(y).take(length).map(|(x, y)| f(*x, *y))),
        }
    });
    out
}

/// The sum of a run: eight sums side by side, then their sum.
fn total<T: Number>(values: &[T]) -> T {
    let (blocks, rest) = values.as_chunks::<8>();
    let mut sums = [T::zero(); 8];
    for block in blocks {
        sums.iter_mut().zip(block).for_each(|(sum, value)| *sum += *value);
    }
    sums.into_iter().chain(rest.iter().copied()).sum()
}

/// The sum over all axes that `shape` has not.
fn reduce<T: Number>(x: &[T], dims: &[usize], shape: &[usize]) -> Result<Vec<T>> {
    let walk = Walk::new(dims, shape).filter(|walk| walk.shape == dims);
    let walk = walk.ok_or_else(|| Error::msg(format!("{dims:?} does not sum to {shape:?}")))?;
    let mut out = vec![T::zero(); shape.iter().product()];
    walk.runs(|i, j, [length, _, step]| {
        let run = x.get(i..i + length).unwrap_or_default();
        match out.get_mut(j..) {
            Some(out) if step != 0 => out.iter_mut().zip(run).for_each(|(sum, value)| *sum += *value),
            Some([sum, ..]) => *sum += total(run),
            _ => {}
        }
    });
    Ok(out)
}

fn reduced<T: Number>(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    let out = with(x, |values: &[T]| reduce(values, x.dims(), shape))??;
    Tensor::from_vec(out, shape, &Device::Cpu)
}

/// The sum over all axes that `shape` has not, without a gradient.
pub(super) fn sum_to(x: &Tensor, shape: &[usize]) -> Result<Tensor> {
    if x.dims() == shape {
        return Ok(x.clone());
    }
    let x = x.contiguous()?;
    in_either!(x, reduced(&x, shape))
}

/// The sum over one axis, which stays with size 1.
pub(super) struct Sum(pub usize);

impl CustomOp1 for Sum {
    fn name(&self) -> &'static str {
        "sum"
    }

    fn cpu_fwd(&self, x: &CpuStorage, layout: &Layout) -> Result<(CpuStorage, Shape)> {
        let mut shape = layout.dims().to_vec();
        if let Some(size) = shape.get_mut(self.0) {
            *size = 1;
        }
        let out = match x {
            CpuStorage::F64(_) => CpuStorage::F64(reduce(slice(x, layout)?, layout.dims(), &shape)?),
            _ => CpuStorage::F32(reduce(slice(x, layout)?, layout.dims(), &shape)?),
        };
        Ok((out, Shape::from(shape)))
    }

    fn bwd(&self, x: &Tensor, _sum: &Tensor, grad: &Tensor) -> Result<Option<Tensor>> {
        Ok(Some(grad.broadcast_as(x.shape())?))
    }
}

/// Arithmetic that broadcasts.
pub(super) struct Arithmetic {
    pub op: Binary,
    /// Whether x, and whether y, depends on what is learned: only then is its gradient computed.
    pub learned: [bool; 2],
}

impl CustomOp2 for Arithmetic {
    fn name(&self) -> &'static str {
        "arithmetic"
    }

    fn cpu_fwd(&self, x: &CpuStorage, lx: &Layout, y: &CpuStorage, ly: &Layout) -> Result<(CpuStorage, Shape)> {
        let shapes = || Error::msg(format!("{:?} and {:?} do not broadcast", lx.dims(), ly.dims()));
        let walk = Walk::new(lx.dims(), ly.dims()).ok_or_else(shapes)?;
        fn run<T: Number>(op: Binary, walk: &Walk, x: &[T], y: &[T]) -> CpuStorage {
            T::store(match op {
                Binary::Add => combine(walk, x, y, |x, y| x + y),
                Binary::Sub => combine(walk, x, y, |x, y| x - y),
                Binary::Mul => combine(walk, x, y, |x, y| x * y),
                Binary::Div => combine(walk, x, y, |x, y| x / y),
            })
        }
        let out = match x {
            CpuStorage::F64(_) => run::<f64>(self.op, &walk, slice(x, lx)?, slice(y, ly)?),
            _ => run::<f32>(self.op, &walk, slice(x, lx)?, slice(y, ly)?),
        };
        Ok((out, Shape::from(walk.shape)))
    }

    fn bwd(&self, x: &Tensor, y: &Tensor, out: &Tensor, grad: &Tensor) -> Result<(Option<Tensor>, Option<Tensor>)> {
        let plain = |op, x: &Tensor, y: &Tensor| {
            x.contiguous()?.apply_op2_no_bwd(&y.contiguous()?, &Arithmetic { op, learned: [false; 2] })
        };
        let dx = self.learned[0].then(|| {
            let dx = match self.op {
                Binary::Add | Binary::Sub => grad.clone(),
                Binary::Mul => plain(Binary::Mul, grad, y)?,
                Binary::Div => plain(Binary::Div, grad, y)?,
            };
            sum_to(&dx, x.dims())
        });
        let dy = self.learned[1].then(|| {
            let dy = match self.op {
                Binary::Add => grad.clone(),
                Binary::Sub => grad.neg()?,
                Binary::Mul => plain(Binary::Mul, grad, x)?,
                Binary::Div => plain(Binary::Div, &plain(Binary::Mul, grad, out)?.neg()?, y)?,
            };
            sum_to(&dy, y.dims())
        });
        Ok((dx.transpose()?, dy.transpose()?))
    }
}

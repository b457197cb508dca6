//! How do parameters move? As torch's `optim.Adam` moves them (Kingma and Ba 2015, arXiv 1412.6980), with weight decay in the
//! gradient.

use std::cell::RefCell;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, InplaceOp2, Layout, Result, Var};

use super::Failure;
use super::kernels::{Number, slice};

const BETAS: [f64; 2] = [0.9, 0.999];
const EPSILON: f64 = 1e-8;

/// The optimiser of some parameters.
#[derive(Debug)]
pub(super) struct Adam {
    lr: f64,
    weight_decay: f64,
    steps: i32,
    moved: Vec<(Var, Moments)>,
}

/// The mean gradient and the mean squared gradient of each number.
#[derive(Debug)]
enum Moments {
    Single(Vec<[f32; 2]>),
    Double(Vec<[f64; 2]>),
}

/// One step of one parameter.
struct Step<'m> {
    moments: RefCell<&'m mut Moments>,
    weight_decay: f64,
    /// lr / (1 − β₁ᵗ)
    size: f64,
    /// √(1 − β₂ᵗ)
    root: f64,
}

impl Adam {
    pub(super) fn new(parameters: Vec<Var>, lr: f64, weight_decay: f64) -> Self {
        let moved = parameters.into_iter().map(|var| {
            let count = var.elem_count();
            let moments = match var.dtype() {
                candle_core::DType::F64 => Moments::Double(vec![[0.0; 2]; count]),
                _ => Moments::Single(vec![[0.0; 2]; count]),
            };
            (var, moments)
        });
        Self { lr, weight_decay, steps: 0, moved: moved.collect() }
    }

    /// One step down these gradients; parameters without one stay where they are.
    pub(super) fn step(&mut self, gradients: &GradStore) -> std::result::Result<(), Failure> {
        self.steps += 1;
        let [size, root] = [self.lr / (1.0 - BETAS[0].powi(self.steps)), (1.0 - BETAS[1].powi(self.steps)).sqrt()];
        for (var, moments) in &mut self.moved {
            if let Some(gradient) = gradients.get(var.as_tensor()) {
                let step = Step { moments: RefCell::new(moments), weight_decay: self.weight_decay, size, root };
                var.inplace_op2(&gradient.contiguous()?, &step)?;
            }
        }
        Ok(())
    }
}

impl Step<'_> {
    fn walk<T: Number>(&self, values: &mut [T], gradient: &[T], moments: &mut [[T; 2]]) {
        let of = T::from_f64;
        let [b1, b2] = BETAS.map(of);
        let [r1, r2] = BETAS.map(|beta| of(1.0 - beta));
        let (decay, size, root, epsilon) = (of(self.weight_decay), of(self.size), of(self.root), of(EPSILON));
        for ((value, gradient), [mean, square]) in values.iter_mut().zip(gradient).zip(moments) {
            let g = *gradient + decay * *value;
            *mean = b1 * *mean + r1 * g;
            *square = b2 * *square + r2 * g * g;
            *value -= size * *mean / (Number::sqrt(*square) / root + epsilon);
        }
    }
}

impl InplaceOp2 for Step<'_> {
    fn name(&self) -> &'static str {
        "adam"
    }

    fn cpu_fwd(&self, values: &mut CpuStorage, _: &Layout, gradient: &CpuStorage, layout: &Layout) -> Result<()> {
        match (values, &mut **self.moments.borrow_mut()) {
            (CpuStorage::F32(values), Moments::Single(moments)) => self.walk(values, slice(gradient, layout)?, moments),
            (CpuStorage::F64(values), Moments::Double(moments)) => self.walk(values, slice(gradient, layout)?, moments),
            _ => return Err(candle_core::Error::msg("a parameter has changed its precision")),
        }
        Ok(())
    }
}

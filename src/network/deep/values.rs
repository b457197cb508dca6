//! How is a network computed? As candle tensors, which keep what a gradient needs.

use std::cell::RefCell;

use candle_core::{D, Tensor};

use super::Failure;
use super::algebra::{Algebra, Binary, Initial, Unary, place};
use super::batch_norm;
use super::kernels::{Arithmetic, Number, Sum, in_either, with};
use super::parameters::Parameters;
use super::products::{LeakyRelu, Product, Softmax};
use crate::draws::Draws;

/// What a computation is for.
#[derive(Debug)]
enum Purpose {
    /// To learn: batch normalisation sees the batch, and dropout draws.
    Learn(RefCell<Draws>),
    /// To learn with normalisation and dropout as they are after learning.
    LearnFrozen,
    /// To predict: nothing is kept for a gradient.
    Predict,
}

/// Values of one pass.
#[derive(Debug)]
pub struct Values<'p> {
    parameters: &'p Parameters,
    purpose: Purpose,
    penalty: RefCell<Option<Tensor>>,
    /// Shares of the loss, and of each sample its class in that share; mixing makes two.
    classes: RefCell<Vec<(f64, Vec<usize>)>>,
    /// What was told of attention, where it is looked at.
    attention: Option<RefCell<Vec<Tensor>>>,
}

impl<'p> Values<'p> {
    /// A pass that learns, whose dropout is drawn with this number of the parameters' seed.
    pub fn learn(parameters: &'p Parameters, draw: usize) -> Self {
        let draws = Draws::new(parameters.seed() ^ 0x00d2_0b00, draw);
        Self::new(parameters, Purpose::Learn(RefCell::new(draws)))
    }

    /// A pass that learns, in which normalisation and dropout are as they are after learning.
    pub fn learn_frozen(parameters: &'p Parameters) -> Self {
        Self::new(parameters, Purpose::LearnFrozen)
    }

    /// A pass that predicts.
    pub fn predict(parameters: &'p Parameters) -> Self {
        Self::new(parameters, Purpose::Predict)
    }

    /// A pass that predicts, and keeps what it is told of attention.
    pub(super) fn watch(parameters: &'p Parameters) -> Self {
        Self { attention: Some(RefCell::default()), ..Self::predict(parameters) }
    }

    fn new(parameters: &'p Parameters, purpose: Purpose) -> Self {
        Self { parameters, purpose, penalty: RefCell::default(), classes: RefCell::default(), attention: None }
    }

    /// Every attention of this pass that was watched, in the order of layers and heads.
    pub(super) fn watched(&self) -> Vec<Tensor> {
        self.attention.as_ref().map(|seen| seen.borrow().clone()).unwrap_or_default()
    }

    /// Says which class each sample of this pass is, in this share of the loss.
    pub(super) fn classify(&self, share: f64, classes: &[usize]) {
        self.classes.borrow_mut().push((share, classes.to_vec()));
    }

    /// The sum of what the network was penalised for.
    pub(super) fn penalty(&self) -> Option<Tensor> {
        self.penalty.borrow().clone()
    }
}

fn largest<T: Number>(x: &Tensor, count: usize) -> Result<Vec<u32>, Failure> {
    let columns = x.dim(D::Minus1)?;
    let mut places = Vec::new();
    with(x, |x: &[T]| {
        for row in x.chunks_exact(columns.max(1)) {
            let mut order: Vec<(u32, T)> = (0..).zip(row.iter().copied()).collect();
            // Stable, so the earlier one of equals comes first.
            order.sort_by(|(_, a), (_, b)| b.to_f64().total_cmp(&a.to_f64()));
            places.extend(order.iter().take(count).map(|(place, _)| *place));
        }
    })?;
    Ok(places)
}

impl Algebra for Values<'_> {
    type Tensor = Tensor;

    fn parameter(&self, name: &str, shape: &[usize], initial: Initial) -> Result<Tensor, Failure> {
        let tensor = self.parameters.parameter(name, shape, initial)?;
        Ok(if matches!(self.purpose, Purpose::Predict) { tensor.detach() } else { tensor })
    }

    fn frozen(&self, name: &str, shape: &[usize], initial: Initial) -> Result<Tensor, Failure> {
        self.parameters.frozen(name, shape, initial)
    }

    fn constant(&self, values: &[f64], shape: &[usize]) -> Result<Tensor, Failure> {
        self.parameters.tensor(values, shape)
    }

    fn penalise(&self, weight: f64, value: &Tensor) -> Result<(), Failure> {
        let value = self.affine(&value.contiguous()?.mean_all()?, weight, 0.0)?;
        let mut penalty = self.penalty.borrow_mut();
        *penalty = Some(match penalty.take() {
            Some(before) => before.add(&value)?,
            None => value,
        });
        Ok(())
    }

    fn penalise_spread(&self, weight: f64, value: &Tensor) -> Result<(), Failure> {
        for (share, of) in self.classes.borrow().iter() {
            let (batch, classes) = (of.len(), of.iter().max().map_or(0, |last| last + 1));
            let size = |class: usize| of.iter().filter(|c| **c == class).count() as f64;
            let shares: Vec<f64> = of.iter().map(|class| 1.0 / size(*class)).collect();
            let belongs = of.iter().flat_map(|class| (0..classes).map(move |c| f64::from(c == *class)));
            let belongs = self.constant(&belongs.collect::<Vec<_>>(), &[batch, classes])?;
            let shares = self.constant(&shares, &[batch, 1])?;
            let means = self.matmul(&self.transpose(&self.mul(&belongs, &shares)?)?, value)?;
            let apart = self.sub(value, &self.matmul(&belongs, &means)?)?;
            let spread = self.mul(&self.sum(&self.mul(&apart, &apart)?, -1)?, &shares)?;
            self.penalise(weight * share * batch as f64, &spread)?;
        }
        Ok(())
    }

    fn attended(&self, attention: &Tensor) {
        if let Some(seen) = &self.attention {
            seen.borrow_mut().push(attention.clone());
        }
    }

    fn learns(&self) -> bool {
        !matches!(self.purpose, Purpose::Predict)
    }

    fn size(&self, x: &Tensor, axis: isize) -> Result<usize, Failure> {
        Ok(x.dim(place(axis, x.rank())?)?)
    }

    fn reshape(&self, x: &Tensor, shape: &[isize]) -> Result<Tensor, Failure> {
        let fail = || Failure::Shapes { op: "reshape".into(), shapes: format!("{:?} and {shape:?}", x.dims()) };
        let mut sizes = Vec::with_capacity(shape.len());
        for (axis, size) in shape.iter().enumerate() {
            sizes.push(match size {
                0 => x.dim(axis)?,
                -1 => 1,
                size => usize::try_from(*size).map_err(|_| fail())?,
            });
        }
        if let Some(axis) = shape.iter().position(|size| *size == -1) {
            let rest = x.elem_count().checked_div(sizes.iter().product()).ok_or_else(fail)?;
            sizes.splice(axis..=axis, [rest]);
        }
        Ok(x.reshape(sizes)?)
    }

    fn permute(&self, x: &Tensor, axes: &[usize]) -> Result<Tensor, Failure> {
        Ok(x.permute(axes)?)
    }

    fn transpose(&self, x: &Tensor) -> Result<Tensor, Failure> {
        Ok(x.t()?)
    }

    fn concat(&self, parts: &[Tensor], axis: isize) -> Result<Tensor, Failure> {
        let rank = parts.first().map_or(0, Tensor::rank);
        Ok(Tensor::cat(parts, place(axis, rank)?)?)
    }

    fn slice(&self, x: &Tensor, axis: isize, start: usize, length: usize) -> Result<Tensor, Failure> {
        Ok(x.narrow(place(axis, x.rank())?, start, length)?)
    }

    fn sum(&self, x: &Tensor, axis: isize) -> Result<Tensor, Failure> {
        Ok(x.contiguous()?.apply_op1(Sum(place(axis, x.rank())?))?)
    }

    fn max(&self, x: &Tensor, axis: isize) -> Result<Tensor, Failure> {
        Ok(x.max_keepdim(place(axis, x.rank())?)?)
    }

    fn binary(&self, op: Binary, x: &Tensor, y: &Tensor) -> Result<Tensor, Failure> {
        let (x, y) = (x.contiguous()?, y.contiguous()?);
        Ok(x.apply_op2(&y, Arithmetic { op, learned: [x.track_op(), y.track_op()] })?)
    }

    fn unary(&self, op: Unary, x: &Tensor) -> Result<Tensor, Failure> {
        Ok(match op {
            Unary::Abs => x.abs()?,
            Unary::Sign => x.detach().sign()?,
            Unary::AtLeast(bound) => x.detach().ge(bound)?.to_dtype(x.dtype())?,
            Unary::Exp => x.exp()?,
            Unary::Ln => x.log()?,
            Unary::Sqrt => x.sqrt()?,
            Unary::Tanh => x.tanh()?,
            Unary::LeakyRelu(slope) => x.contiguous()?.apply_op1(LeakyRelu(slope))?,
        })
    }

    fn affine(&self, x: &Tensor, factor: f64, offset: f64) -> Result<Tensor, Failure> {
        Ok(x.affine(factor, offset)?)
    }

    fn matmul(&self, x: &Tensor, y: &Tensor) -> Result<Tensor, Failure> {
        let learned = [x.track_op(), y.track_op()];
        if y.rank() == 2 && x.rank() > 2 {
            // One product of all rows.
            let inner = x.dim(D::Minus1)?;
            let out = x.contiguous()?.reshape(((), inner))?.apply_op2(y, Product { learned })?;
            let mut shape = x.dims().to_vec();
            shape.pop();
            shape.push(y.dim(1)?);
            return Ok(out.reshape(shape)?);
        }
        let outer = |t: &Tensor| t.dims().get(..t.rank().saturating_sub(2)).map(<[usize]>::to_vec).unwrap_or_default();
        if outer(x) == outer(y) {
            // The leading axes must lie as the product walks them; the last two may be exchanged.
            let lies = |t: &Tensor| {
                if t.is_contiguous() || t.t().is_ok_and(|t| t.is_contiguous()) { Ok(t.clone()) } else { t.contiguous() }
            };
            return Ok(lies(x)?.apply_op2(&lies(y)?, Product { learned })?);
        }
        Ok(x.broadcast_matmul(y)?)
    }

    fn softmax(&self, x: &Tensor) -> Result<Tensor, Failure> {
        Ok(x.contiguous()?.apply_op1(Softmax)?)
    }

    fn batch_norm(&self, name: &str, x: &Tensor) -> Result<Tensor, Failure> {
        if matches!(self.purpose, Purpose::Learn(_)) {
            return batch_norm::learn(self.parameters, name, x);
        }
        let columns = x.dim(D::Minus1)?;
        let [gain, offset] = batch_norm::gain_and_offset(self.parameters, name, columns)?;
        let (factors, mean) = batch_norm::frozen(self.parameters, name, columns);
        let (factors, mean) = (self.constant(&factors, &[columns])?, self.constant(&mean, &[columns])?);
        let scale = gain.mul(&factors)?;
        self.add(&self.mul(&self.sub(x, &mean)?, &scale)?, &offset)
    }

    fn dropout(&self, x: &Tensor, probability: f64) -> Result<Tensor, Failure> {
        let Purpose::Learn(draws) = &self.purpose else { return Ok(x.clone()) };
        if probability == 0.0 {
            return Ok(x.clone());
        }
        let (mut draws, kept) = (draws.borrow_mut(), 1.0 / (1.0 - probability));
        let mask: Vec<f64> =
            (0..x.elem_count()).map(|_| if draws.uniform() < probability { 0.0 } else { kept }).collect();
        self.mul(x, &self.constant(&mask, x.dims())?)
    }

    fn top(&self, x: &Tensor, count: usize) -> Result<(Tensor, Tensor), Failure> {
        let plain = x.detach().contiguous()?;
        if self.size(x, -1)? < count {
            return Err(Failure::Shapes { op: format!("top {count}"), shapes: format!("{:?}", x.dims()) });
        }
        let places = in_either!(plain, largest(&plain, count))?;
        let mut shape = x.dims().to_vec();
        shape.pop();
        shape.push(count);
        let places = Tensor::from_vec(places, shape, x.device())?;
        Ok((x.contiguous()?.gather(&places, D::Minus1)?, places))
    }

    fn rows(&self, x: &Tensor, which: &Tensor) -> Result<Tensor, Failure> {
        let (batch, count) = which.dims2()?;
        let places = which.unsqueeze(2)?.expand((batch, count, x.dim(2)?))?.contiguous()?;
        Ok(x.contiguous()?.gather(&places, 1)?)
    }
}

/// What a tensor holds, row-major.
///
/// # Errors
/// None but the machine's.
pub(super) fn numbers(x: &Tensor) -> Result<Vec<f64>, Failure> {
    Ok(x.flatten_all()?.to_dtype(candle_core::DType::F64)?.to_vec1()?)
}

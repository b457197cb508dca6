//! What is a network written in? Operations on tensors, which either compute values and gradients or draw an ONNX graph.
//!
//! Every network is one function over an [`Algebra`]. [`Values`](super::Values) computes; [`Graph`](super::Graph) writes the
//! same operations down as an ONNX model. What is exported is therefore what was trained, and nothing is written twice.
//!
//! The first axis of whatever depends on the input is the batch, whose size a graph does not know. Axes are counted as in
//! numpy, from the end where negative; a reduction keeps its axis with size 1; arithmetic broadcasts as numpy does.

use super::Failure;

/// How a parameter begins.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Initial {
    /// All this.
    Constant(f64),
    /// Uniform on (−bound, bound).
    Uniform(f64),
    /// Normal with this standard deviation.
    Normal(f64),
    /// Glorot's uniform, ±√(6 / (inputs + outputs)) of the last two axes (Glorot and Bengio 2010, eq. 16).
    Glorot,
    /// Ones on the diagonal of the last two axes.
    Identity,
    /// Columns of length 1 at right angles to each other (Gram–Schmidt on Glorot's uniform), of rows × columns with at least as
    /// many rows.
    Orthonormal,
}

/// What networks are written in.
pub trait Algebra {
    /// A tensor of numbers, or a name that stands for one.
    type Tensor: Clone;

    /// The parameter of this name, which is learned; made where it is first asked for.
    ///
    /// # Errors
    /// One of this name with another shape.
    fn parameter(&self, name: &str, shape: &[usize], initial: Initial) -> Result<Self::Tensor, Failure>;

    /// Numbers that are drawn as a parameter is, and saved as one, but not learned.
    ///
    /// # Errors
    /// One of this name with another shape.
    fn frozen(&self, name: &str, shape: &[usize], initial: Initial) -> Result<Self::Tensor, Failure>;

    /// Numbers that are not learned, row-major.
    ///
    /// # Errors
    /// As many as the shape does not take.
    fn constant(&self, values: &[f64], shape: &[usize]) -> Result<Self::Tensor, Failure>;

    /// Adds `weight` times the mean of these entries to the loss; of no effect where nothing is learned.
    ///
    /// # Errors
    /// None but the machine's.
    fn penalise(&self, weight: f64, value: &Self::Tensor) -> Result<(), Failure>;

    /// Adds `weight` times the variance within each class of each column of `value` (batch × columns), summed over columns and
    /// classes, to the loss; of no effect where nothing is learned, or what is learned are no classes.
    ///
    /// # Errors
    /// Rows of another number than the batch has.
    fn penalise_spread(&self, weight: f64, value: &Self::Tensor) -> Result<(), Failure>;

    /// Is told how regions listen to each other (batch × N × N, or batch × heads × N × N; rows sum to 1), for whoever looks at it.
    fn attended(&self, _attention: &Self::Tensor) {}

    /// Whether something is learned, so that a penalty is worth computing.
    fn learns(&self) -> bool;

    /// How long an axis other than the batch is.
    ///
    /// # Errors
    /// There is no such axis, or it is the batch.
    fn size(&self, x: &Self::Tensor, axis: isize) -> Result<usize, Failure>;

    /// The same numbers in another shape: 0 keeps the axis that stands there, −1 takes what is left.
    ///
    /// # Errors
    /// A shape that does not fit.
    fn reshape(&self, x: &Self::Tensor, shape: &[isize]) -> Result<Self::Tensor, Failure>;

    /// The axes in this order.
    ///
    /// # Errors
    /// Not an order of the axes.
    fn permute(&self, x: &Self::Tensor, axes: &[usize]) -> Result<Self::Tensor, Failure>;

    /// The last two axes exchanged.
    ///
    /// # Errors
    /// Fewer than two axes.
    fn transpose(&self, x: &Self::Tensor) -> Result<Self::Tensor, Failure>;

    /// Side by side along an axis.
    ///
    /// # Errors
    /// Other axes differ.
    fn concat(&self, parts: &[Self::Tensor], axis: isize) -> Result<Self::Tensor, Failure>;

    /// `length` entries of an axis.
    ///
    /// # Errors
    /// The axis is shorter.
    fn slice(&self, x: &Self::Tensor, axis: isize, start: usize, length: usize) -> Result<Self::Tensor, Failure>;

    /// The sum over an axis.
    ///
    /// # Errors
    /// There is no such axis.
    fn sum(&self, x: &Self::Tensor, axis: isize) -> Result<Self::Tensor, Failure>;

    /// The largest along an axis.
    ///
    /// # Errors
    /// There is no such axis.
    fn max(&self, x: &Self::Tensor, axis: isize) -> Result<Self::Tensor, Failure>;

    /// Two tensors, entry by entry.
    ///
    /// # Errors
    /// Shapes that do not broadcast.
    fn binary(&self, op: Binary, x: &Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor, Failure>;

    /// One tensor, entry by entry.
    ///
    /// # Errors
    /// None but the machine's.
    fn unary(&self, op: Unary, x: &Self::Tensor) -> Result<Self::Tensor, Failure>;

    /// `factor` x + `offset`.
    ///
    /// # Errors
    /// None but the machine's.
    fn affine(&self, x: &Self::Tensor, factor: f64, offset: f64) -> Result<Self::Tensor, Failure>;

    /// The matrix product of the last two axes.
    ///
    /// # Errors
    /// Shapes that do not fit.
    fn matmul(&self, x: &Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor, Failure>;

    /// exp x / Σ exp x along the last axis.
    ///
    /// # Errors
    /// None but the machine's.
    fn softmax(&self, x: &Self::Tensor) -> Result<Self::Tensor, Failure>;

    /// Batch normalisation (Ioffe and Szegedy 2015) of the last axis over all others, with ε = 1e-5 and a momentum of 0.1 as
    /// torch has them; with what was seen while learning where nothing is learned.
    ///
    /// # Errors
    /// None but the machine's.
    fn batch_norm(&self, name: &str, x: &Self::Tensor) -> Result<Self::Tensor, Failure>;

    /// Each entry is 0 with this probability and 1/(1−p) times itself otherwise; all are themselves where nothing is learned.
    ///
    /// # Errors
    /// None but the machine's.
    fn dropout(&self, x: &Self::Tensor, probability: f64) -> Result<Self::Tensor, Failure>;

    /// The `count` largest of the last axis, largest first and the earlier one of equals first, and where they stand: for
    /// [`rows`](Self::rows).
    ///
    /// # Errors
    /// The axis is shorter.
    fn top(&self, x: &Self::Tensor, count: usize) -> Result<(Self::Tensor, Self::Tensor), Failure>;

    /// Of `x` (batch × N × F) the rows that `which` (batch × k) of [`top`](Self::top) names: batch × k × F.
    ///
    /// # Errors
    /// Shapes that do not fit.
    fn rows(&self, x: &Self::Tensor, which: &Self::Tensor) -> Result<Self::Tensor, Failure>;

    // What is made of these.

    /// x + y
    ///
    /// # Errors
    /// Shapes that do not broadcast.
    fn add(&self, x: &Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor, Failure> {
        self.binary(Binary::Add, x, y)
    }

    /// x − y
    ///
    /// # Errors
    /// Shapes that do not broadcast.
    fn sub(&self, x: &Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor, Failure> {
        self.binary(Binary::Sub, x, y)
    }

    /// x · y, entry by entry
    ///
    /// # Errors
    /// Shapes that do not broadcast.
    fn mul(&self, x: &Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor, Failure> {
        self.binary(Binary::Mul, x, y)
    }

    /// x / y
    ///
    /// # Errors
    /// Shapes that do not broadcast.
    fn div(&self, x: &Self::Tensor, y: &Self::Tensor) -> Result<Self::Tensor, Failure> {
        self.binary(Binary::Div, x, y)
    }

    /// The mean over an axis other than the batch.
    ///
    /// # Errors
    /// There is no such axis.
    fn mean(&self, x: &Self::Tensor, axis: isize) -> Result<Self::Tensor, Failure> {
        let size = self.size(x, axis)?;
        self.affine(&self.sum(x, axis)?, 1.0 / size as f64, 0.0)
    }

    /// x where it is positive, else `slope` x.
    ///
    /// # Errors
    /// None but the machine's.
    fn leaky_relu(&self, x: &Self::Tensor, slope: f64) -> Result<Self::Tensor, Failure> {
        self.unary(Unary::LeakyRelu(slope), x)
    }

    /// x where it is positive, else 0.
    ///
    /// # Errors
    /// None but the machine's.
    fn relu(&self, x: &Self::Tensor) -> Result<Self::Tensor, Failure> {
        self.unary(Unary::LeakyRelu(0.0), x)
    }

    /// 1 / (1 + exp −x), as (1 + tanh x/2) / 2, which overflows nowhere.
    ///
    /// # Errors
    /// None but the machine's.
    fn sigmoid(&self, x: &Self::Tensor) -> Result<Self::Tensor, Failure> {
        self.affine(&self.unary(Unary::Tanh, &self.affine(x, 0.5, 0.0)?)?, 0.5, 0.5)
    }
}

/// Operations on two entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Binary {
    /// x + y
    Add,
    /// x − y
    Sub,
    /// x · y
    Mul,
    /// x / y
    Div,
}

/// Operations on one entry.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Unary {
    /// |x|
    Abs,
    /// −1, 0 or 1; no gradient passes.
    Sign,
    /// 1 where x is at least this, else 0; no gradient passes.
    AtLeast(f64),
    /// exp x
    Exp,
    /// ln x
    Ln,
    /// √x
    Sqrt,
    /// tanh x
    Tanh,
    /// x, or this times x where x is not positive.
    LeakyRelu(f64),
}

/// The place of an axis that may be counted from the end.
pub(super) fn place(axis: isize, rank: usize) -> Result<usize, Failure> {
    let place = if axis < 0 { axis + rank as isize } else { axis };
    usize::try_from(place).ok().filter(|place| *place < rank).ok_or(Failure::Axis { axis, rank })
}

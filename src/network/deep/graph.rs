//! How does a network become an ONNX model? Its operations are written down as nodes, its parameters as initialisers.

use std::cell::RefCell;

use candle_core::{DType, Tensor};

use super::Failure;
use super::algebra::{Algebra, Binary, Initial, Unary, place};
use super::parameters::Parameters;
use super::protobuf::{self, Attribute, Initialiser, Node, Numbers, Port};

/// A value of the graph: its name, and its shape, in which `None` is the batch.
#[derive(Clone, Debug)]
pub struct Symbol {
    name: String,
    shape: Vec<Option<usize>>,
}

/// A graph that is being drawn.
#[derive(Debug)]
pub struct Graph<'p> {
    parameters: &'p Parameters,
    drawn: RefCell<Drawn>,
}

#[derive(Debug, Default)]
struct Drawn {
    nodes: Vec<Node>,
    initialisers: Vec<Initialiser>,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
}

impl<'p> Graph<'p> {
    /// An empty one, whose parameters are these.
    pub fn new(parameters: &'p Parameters) -> Self {
        Self { parameters, drawn: RefCell::default() }
    }

    /// An input, whose first axis is the batch.
    pub fn input(&self, name: &str, shape: &[usize]) -> Symbol {
        let shape: Vec<_> = std::iter::once(None).chain(shape.iter().copied().map(Some)).collect();
        self.drawn.borrow_mut().inputs.push(Port { name: name.into(), shape: shape.clone() });
        Symbol { name: name.into(), shape }
    }

    /// Makes a value an output of this name.
    pub fn output(&self, name: &str, value: &Symbol) {
        let mut drawn = self.drawn.borrow_mut();
        drawn.outputs.push(Port { name: name.into(), shape: value.shape.clone() });
        let (inputs, outputs) = (vec![value.name.clone()], vec![name.to_owned()]);
        drawn.nodes.push(Node { op: "Identity", inputs, outputs, attributes: Vec::new() });
    }

    /// The bytes of `model.onnx`.
    pub fn model(&self, name: &str) -> Vec<u8> {
        let drawn = self.drawn.borrow();
        protobuf::model(name, &drawn.nodes, &drawn.initialisers, &drawn.inputs, &drawn.outputs)
    }

    fn initialise(&self, name: String, shape: &[usize], numbers: Numbers) -> Symbol {
        let mut drawn = self.drawn.borrow_mut();
        if !drawn.initialisers.iter().any(|initialiser| initialiser.name == name) {
            drawn.initialisers.push(Initialiser { name: name.clone(), shape: shape.to_vec(), numbers });
        }
        Symbol { name, shape: shape.iter().copied().map(Some).collect() }
    }

    /// Whole numbers that a node takes as an input.
    fn numbers(&self, values: Vec<i64>) -> Symbol {
        let name = format!("ints_{}", values.iter().map(ToString::to_string).collect::<Vec<_>>().join("_"));
        let shape = [values.len()];
        self.initialise(name, &shape, Numbers::Ints(values))
    }

    /// A parameter as it is now.
    fn written(&self, name: &str, tensor: &Tensor) -> Result<Symbol, Failure> {
        let values = tensor.flatten_all()?.to_dtype(DType::F32)?.to_vec1::<f32>()?;
        Ok(self.initialise(name.into(), tensor.dims(), Numbers::Floats(values)))
    }

    fn scalar(&self, value: f64) -> Symbol {
        let value = value as f32;
        // Named after its bits, so that one number is there once.
        self.initialise(format!("number_{:08x}", value.to_bits()), &[], Numbers::Floats(vec![value]))
    }

    fn node(
        &self,
        op: &'static str,
        inputs: &[&Symbol],
        attributes: Vec<(&'static str, Attribute)>,
        shape: Vec<Option<usize>>,
    ) -> Symbol {
        let mut drawn = self.drawn.borrow_mut();
        let name = format!("{}_{}", op.to_lowercase(), drawn.nodes.len());
        let inputs = inputs.iter().map(|symbol| symbol.name.clone()).collect();
        drawn.nodes.push(Node { op, inputs, outputs: vec![name.clone()], attributes });
        Symbol { name, shape }
    }

    fn reduced(&self, op: &'static str, x: &Symbol, axis: isize) -> Result<Symbol, Failure> {
        let axis = place(axis, x.shape.len())?;
        let mut shape = x.shape.clone();
        if let Some(size) = shape.get_mut(axis) {
            *size = Some(1);
        }
        let keep = ("keepdims", Attribute::Int(1));
        if op == "ReduceSum" {
            return Ok(self.node(op, &[x, &self.numbers(vec![axis as i64])], vec![keep], shape));
        }
        Ok(self.node(op, &[x], vec![keep, ("axes", Attribute::Ints(vec![axis as i64]))], shape))
    }
}

fn shapes(op: &str, symbols: &[&Symbol]) -> Failure {
    let shapes = symbols.iter().map(|s| format!("{:?}", s.shape)).collect::<Vec<_>>().join(" and ");
    Failure::Shapes { op: op.into(), shapes }
}

/// The shape of two that broadcast.
fn broadcast(op: &str, x: &Symbol, y: &Symbol, inner: usize) -> Result<Vec<Option<usize>>, Failure> {
    let rank = x.shape.len().max(y.shape.len());
    let size = |s: &Symbol, axis: usize| {
        (axis + s.shape.len()).checked_sub(rank).map_or(Some(1), |a| s.shape.get(a).copied().flatten())
    };
    (0..rank - inner)
        .map(|axis| match (size(x, axis), size(y, axis)) {
            (a, b) if a == b => Ok(a),
            (Some(1), other) | (other, Some(1)) => Ok(other),
            _ => Err(shapes(op, &[x, y])),
        })
        .collect()
}

impl Algebra for Graph<'_> {
    type Tensor = Symbol;

    fn parameter(&self, name: &str, shape: &[usize], initial: Initial) -> Result<Symbol, Failure> {
        self.written(name, &self.parameters.parameter(name, shape, initial)?)
    }

    fn frozen(&self, name: &str, shape: &[usize], initial: Initial) -> Result<Symbol, Failure> {
        self.written(name, &self.parameters.frozen(name, shape, initial)?)
    }

    fn constant(&self, values: &[f64], shape: &[usize]) -> Result<Symbol, Failure> {
        if values.len() != shape.iter().product::<usize>() {
            return Err(Failure::Shapes { op: "constant".into(), shapes: format!("{} and {shape:?}", values.len()) });
        }
        let name = format!("constant_{}", self.drawn.borrow().initialisers.len());
        Ok(self.initialise(name, shape, Numbers::Floats(values.iter().map(|v| *v as f32).collect())))
    }

    fn penalise(&self, _weight: f64, _value: &Symbol) -> Result<(), Failure> {
        Ok(())
    }

    fn penalise_spread(&self, _weight: f64, _value: &Symbol) -> Result<(), Failure> {
        Ok(())
    }

    fn learns(&self) -> bool {
        false
    }

    fn size(&self, x: &Symbol, axis: isize) -> Result<usize, Failure> {
        let absent = Failure::Axis { axis, rank: x.shape.len() };
        x.shape.get(place(axis, x.shape.len())?).copied().flatten().ok_or(absent)
    }

    fn reshape(&self, x: &Symbol, shape: &[isize]) -> Result<Symbol, Failure> {
        let fail = || Failure::Shapes { op: "reshape".into(), shapes: format!("{:?} and {shape:?}", x.shape) };
        let known = |sizes: &[Option<usize>]| sizes.iter().copied().flatten().product::<usize>();
        let kept = |axis: usize| x.shape.get(axis).copied().ok_or_else(fail);
        let mut target = Vec::with_capacity(shape.len());
        for (axis, size) in shape.iter().enumerate() {
            target.push(match size {
                0 => kept(axis)?,
                -1 => Some(1),
                size => Some(usize::try_from(*size).map_err(|_| fail())?),
            });
        }
        let rest = known(&x.shape).checked_div(known(&target)).ok_or_else(fail)?;
        if let Some(axis) = shape.iter().position(|size| *size == -1) {
            target.splice(axis..=axis, [Some(rest)]);
        }
        if known(&target) != known(&x.shape) {
            return Err(fail());
        }
        let sizes = self.numbers(shape.iter().map(|size| *size as i64).collect());
        Ok(self.node("Reshape", &[x, &sizes], Vec::new(), target))
    }

    fn permute(&self, x: &Symbol, axes: &[usize]) -> Result<Symbol, Failure> {
        let shape: Option<Vec<_>> = axes.iter().map(|axis| x.shape.get(*axis).copied()).collect();
        let shape = shape.filter(|shape| shape.len() == x.shape.len()).ok_or_else(|| shapes("permute", &[x]))?;
        let order = axes.iter().map(|axis| *axis as i64).collect();
        Ok(self.node("Transpose", &[x], vec![("perm", Attribute::Ints(order))], shape))
    }

    fn transpose(&self, x: &Symbol) -> Result<Symbol, Failure> {
        let rank = x.shape.len();
        let mut axes: Vec<usize> = (0..rank).collect();
        axes.swap(place(-2, rank)?, place(-1, rank)?);
        self.permute(x, &axes)
    }

    fn concat(&self, parts: &[Symbol], axis: isize) -> Result<Symbol, Failure> {
        let parts: Vec<&Symbol> = parts.iter().collect();
        let first = parts.first().ok_or_else(|| shapes("concat", &[]))?;
        let axis = place(axis, first.shape.len())?;
        let mut shape = first.shape.clone();
        let sizes: Option<usize> = parts.iter().map(|part| part.shape.get(axis).copied().flatten()).sum();
        if let Some(size) = shape.get_mut(axis) {
            *size = sizes;
        }
        Ok(self.node("Concat", &parts, vec![("axis", Attribute::Int(axis as i64))], shape))
    }

    fn slice(&self, x: &Symbol, axis: isize, start: usize, length: usize) -> Result<Symbol, Failure> {
        let axis = place(axis, x.shape.len())?;
        let mut shape = x.shape.clone();
        match shape.get_mut(axis) {
            Some(Some(size)) if start + length <= *size => *size = length,
            _ => return Err(shapes("slice", &[x])),
        }
        let number = |value: usize| self.numbers(vec![value as i64]);
        Ok(self.node("Slice", &[x, &number(start), &number(start + length), &number(axis)], Vec::new(), shape))
    }

    fn sum(&self, x: &Symbol, axis: isize) -> Result<Symbol, Failure> {
        self.reduced("ReduceSum", x, axis)
    }

    fn max(&self, x: &Symbol, axis: isize) -> Result<Symbol, Failure> {
        self.reduced("ReduceMax", x, axis)
    }

    fn binary(&self, op: Binary, x: &Symbol, y: &Symbol) -> Result<Symbol, Failure> {
        let op = match op {
            Binary::Add => "Add",
            Binary::Sub => "Sub",
            Binary::Mul => "Mul",
            Binary::Div => "Div",
        };
        Ok(self.node(op, &[x, y], Vec::new(), broadcast(op, x, y, 0)?))
    }

    fn unary(&self, op: Unary, x: &Symbol) -> Result<Symbol, Failure> {
        let shape = x.shape.clone();
        let plain = |op| self.node(op, &[x], Vec::new(), shape.clone());
        Ok(match op {
            Unary::Abs => plain("Abs"),
            Unary::Sign => plain("Sign"),
            Unary::Exp => plain("Exp"),
            Unary::Ln => plain("Log"),
            Unary::Sqrt => plain("Sqrt"),
            Unary::Tanh => plain("Tanh"),
            Unary::AtLeast(bound) => {
                let holds = self.node("GreaterOrEqual", &[x, &self.scalar(bound)], Vec::new(), shape.clone());
                self.node("Cast", &[&holds], vec![("to", Attribute::Int(1))], shape)
            }
            Unary::LeakyRelu(slope) => {
                self.node("LeakyRelu", &[x], vec![("alpha", Attribute::Float(slope as f32))], shape)
            }
        })
    }

    fn affine(&self, x: &Symbol, factor: f64, offset: f64) -> Result<Symbol, Failure> {
        let shape = x.shape.clone();
        let scaled = self.node("Mul", &[x, &self.scalar(factor)], Vec::new(), shape.clone());
        if offset == 0.0 {
            return Ok(scaled);
        }
        Ok(self.node("Add", &[&scaled, &self.scalar(offset)], Vec::new(), shape))
    }

    fn matmul(&self, x: &Symbol, y: &Symbol) -> Result<Symbol, Failure> {
        let (rows, inner) = (place(-2, x.shape.len())?, self.size(x, -1)?);
        if inner != self.size(y, -2)? {
            return Err(shapes("matmul", &[x, y]));
        }
        let mut shape = broadcast("matmul", x, y, 2)?;
        shape.extend([x.shape.get(rows).copied().flatten(), y.shape.last().copied().flatten()]);
        Ok(self.node("MatMul", &[x, y], Vec::new(), shape))
    }

    fn softmax(&self, x: &Symbol) -> Result<Symbol, Failure> {
        Ok(self.node("Softmax", &[x], vec![("axis", Attribute::Int(-1))], x.shape.clone()))
    }

    fn batch_norm(&self, name: &str, x: &Symbol) -> Result<Symbol, Failure> {
        let columns = self.size(x, -1)?;
        let (scale, shift) = super::batch_norm::as_affine(self.parameters, name, columns)?;
        let scale = self.initialise(format!("{name}.scale"), &[columns], Numbers::Floats(scale));
        let shift = self.initialise(format!("{name}.shift"), &[columns], Numbers::Floats(shift));
        self.add(&self.mul(x, &scale)?, &shift)
    }

    fn dropout(&self, x: &Symbol, _probability: f64) -> Result<Symbol, Failure> {
        Ok(x.clone())
    }

    fn top(&self, x: &Symbol, count: usize) -> Result<(Symbol, Symbol), Failure> {
        if self.size(x, -1)? < count {
            return Err(shapes("top", &[x]));
        }
        let mut shape = x.shape.clone();
        shape.pop();
        shape.push(Some(count));
        let values = self.node("TopK", &[x, &self.numbers(vec![count as i64])], Vec::new(), shape.clone());
        let which = Symbol { name: format!("{}_places", values.name), shape };
        if let Some(node) = self.drawn.borrow_mut().nodes.last_mut() {
            node.outputs.push(which.name.clone());
        }
        Ok((values, which))
    }

    fn rows(&self, x: &Symbol, which: &Symbol) -> Result<Symbol, Failure> {
        let (count, columns) = (self.size(which, -1)?, self.size(x, -1)?);
        let places = self.reshape(which, &[0, 0, 1])?;
        let shape = vec![None, Some(count), Some(columns)];
        Ok(self.node("GatherND", &[x, &places], vec![("batch_dims", Attribute::Int(1))], shape))
    }
}

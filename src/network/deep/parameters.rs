//! What does a network learn? Its parameters by name, and what batch normalisation has seen.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::{DType, Device, Tensor, Var};

use super::Failure;
use super::algebra::Initial;
use crate::draws::Draws;

/// How many digits are computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precision {
    /// f32: what networks are learned in.
    Single,
    /// f64: what gradients and closed forms are checked in.
    Double,
}

/// The running mean and variance of one batch normalisation.
#[derive(Clone, Debug, PartialEq)]
pub struct Running {
    /// The mean of each column.
    pub mean: Vec<f64>,
    /// The variance of each column, with N − 1.
    pub variance: Vec<f64>,
}

/// Parameters at one moment: name, shape and values in the order in which they were made, and the running statistics.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Saved {
    /// What was learned.
    pub learned: Vec<(String, Vec<usize>, Vec<f64>)>,
    /// What was drawn once, and is not learned.
    pub frozen: Vec<(String, Vec<usize>, Vec<f64>)>,
    /// What batch normalisation has seen, by name.
    pub running: BTreeMap<String, Running>,
}

/// All parameters of one network. A parameter is made where the network first asks for it, with draws that depend on the seed
/// and on how many were made before.
#[derive(Debug)]
pub struct Parameters {
    dtype: DType,
    seed: u64,
    entries: Mutex<Entries>,
}

#[derive(Debug, Default)]
struct Entries {
    learned: Vec<(String, Var)>,
    frozen: Vec<(String, Var)>,
    running: BTreeMap<String, Running>,
}

/// Those that are learned, or those that are not.
type Among = fn(&mut Entries) -> &mut Vec<(String, Var)>;

impl Entries {
    fn learned(&mut self) -> &mut Vec<(String, Var)> {
        &mut self.learned
    }

    fn frozen(&mut self) -> &mut Vec<(String, Var)> {
        &mut self.frozen
    }
}

impl Parameters {
    /// None yet.
    pub fn new(precision: Precision, seed: u64) -> Self {
        let dtype = match precision {
            Precision::Single => DType::F32,
            Precision::Double => DType::F64,
        };
        Self { dtype, seed, entries: Mutex::default() }
    }

    pub(super) fn seed(&self) -> u64 {
        self.seed
    }

    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.entries.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Row-major numbers as a tensor of this precision.
    pub(super) fn tensor(&self, values: &[f64], shape: &[usize]) -> Result<Tensor, Failure> {
        Ok(match self.dtype {
            DType::F64 => Tensor::from_slice(values, shape, &Device::Cpu)?,
            _ => Tensor::from_vec(values.iter().map(|v| *v as f32).collect::<Vec<_>>(), shape, &Device::Cpu)?,
        })
    }

    /// What is learned under this name; drawn where it is first asked for.
    pub(super) fn parameter(&self, name: &str, shape: &[usize], initial: Initial) -> Result<Tensor, Failure> {
        self.named(Entries::learned, name, shape, initial)
    }

    /// The same of what is not learned.
    pub(super) fn frozen(&self, name: &str, shape: &[usize], initial: Initial) -> Result<Tensor, Failure> {
        Ok(self.named(Entries::frozen, name, shape, initial)?.detach())
    }

    fn named(&self, among: Among, name: &str, shape: &[usize], initial: Initial) -> Result<Tensor, Failure> {
        let mut entries = self.entries();
        if let Some((_, var)) = among(&mut entries).iter().find(|(n, _)| n == name) {
            if var.dims() != shape {
                let problem = format!("is {:?}, where {shape:?} is needed", var.dims());
                return Err(Failure::Parameter { name: name.into(), problem });
            }
            return Ok(var.as_tensor().clone());
        }
        let mut draws = Draws::new(self.seed, entries.learned.len() + entries.frozen.len());
        let values = draw(&mut draws, shape, initial);
        let var = Var::from_tensor(&self.tensor(&values, shape)?)?;
        let tensor = var.as_tensor().clone();
        among(&mut entries).push((name.into(), var));
        Ok(tensor)
    }

    /// What the optimiser moves, in the order in which it was made.
    pub(super) fn learned(&self) -> Vec<Var> {
        self.entries().learned.iter().map(|(_, var)| var.clone()).collect()
    }

    /// How many numbers are learned.
    pub fn count(&self) -> usize {
        self.entries().learned.iter().map(|(_, var)| var.elem_count()).sum()
    }

    /// What a batch normalisation of so many columns has seen.
    pub(super) fn running(&self, name: &str, columns: usize) -> Running {
        let unseen = || Running { mean: vec![0.0; columns], variance: vec![1.0; columns] };
        self.entries().running.entry(name.into()).or_insert_with(unseen).clone()
    }

    pub(super) fn set_running(&self, name: &str, running: Running) {
        self.entries().running.insert(name.into(), running);
    }

    /// All of it, as it is now.
    ///
    /// # Errors
    /// None but the machine's.
    pub fn save(&self) -> Result<Saved, Failure> {
        let entries = self.entries();
        let values = |of: &[(String, Var)]| {
            let one = |(name, var): &(String, Var)| {
                let values = var.flatten_all()?.to_dtype(DType::F64)?.to_vec1::<f64>()?;
                Ok((name.clone(), var.dims().to_vec(), values))
            };
            of.iter().map(one).collect::<Result<_, Failure>>()
        };
        let (learned, frozen) = (values(&entries.learned)?, values(&entries.frozen)?);
        Ok(Saved { learned, frozen, running: entries.running.clone() })
    }

    /// All of it, as it was then; parameters that are not there yet are made.
    ///
    /// # Errors
    /// A parameter of another shape.
    pub fn restore(&self, saved: &Saved) -> Result<(), Failure> {
        let all: [(Among, _); 2] = [(Entries::learned, &saved.learned), (Entries::frozen, &saved.frozen)];
        for (among, values) in all {
            for (name, shape, values) in values {
                self.named(among, name, shape, Initial::Constant(0.0))?;
                let tensor = self.tensor(values, shape)?;
                if let Some((_, var)) = among(&mut self.entries()).iter().find(|(n, _)| n == name) {
                    var.set(&tensor)?;
                }
            }
        }
        self.entries().running.clone_from(&saved.running);
        Ok(())
    }
}

fn draw(draws: &mut Draws, shape: &[usize], initial: Initial) -> Vec<f64> {
    let last = |i: usize| shape.len().checked_sub(i).and_then(|place| shape.get(place)).copied().unwrap_or(1);
    let (rows, columns) = (last(2), last(1));
    let mut uniform = |bound: f64| bound * (2.0 * draws.uniform() - 1.0);
    let count = shape.iter().product();
    match initial {
        Initial::Constant(value) => vec![value; count],
        Initial::Uniform(bound) => (0..count).map(|_| uniform(bound)).collect(),
        Initial::Normal(deviation) => (0..count).map(|_| deviation * draws.normal()).collect(),
        Initial::Glorot => {
            let bound = (6.0 / (rows + columns) as f64).sqrt();
            (0..count).map(|_| uniform(bound)).collect()
        }
        Initial::Orthonormal => {
            let bound = (6.0 / (rows + columns) as f64).sqrt();
            let drawn: Vec<f64> = (0..count).map(|_| uniform(bound)).collect();
            orthonormal(&drawn, columns)
        }
        Initial::Identity => (0..count).map(|i| f64::from(i / columns % rows == i % columns)).collect(),
    }
}

/// The columns of a row-major matrix, made orthonormal one after the other; twice, because once leaves what rounding leaves.
fn orthonormal(matrix: &[f64], columns: usize) -> Vec<f64> {
    let mut basis: Vec<Vec<f64>> = Vec::with_capacity(columns);
    for column in 0..columns {
        let mut v: Vec<f64> = matrix.iter().skip(column).step_by(columns).copied().collect();
        for _ in 0..2 {
            for u in &basis {
                let along: f64 = u.iter().zip(&v).map(|(u, v)| u * v).sum();
                v.iter_mut().zip(u).for_each(|(v, u)| *v -= along * u);
            }
            let length = v.iter().map(|v| v * v).sum::<f64>().sqrt();
            v.iter_mut().for_each(|v| *v /= length);
        }
        basis.push(v);
    }
    let rows = matrix.len() / columns.max(1);
    (0..rows).flat_map(|row| basis.iter().filter_map(move |u| u.get(row).copied())).collect()
}

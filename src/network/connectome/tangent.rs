//! How does one person differ from many? A covariance as a displacement from the geometric mean of others.
//!
//! Sources: Varoquaux et al. 2010, *Detection of brain functional-connectivity difference in post-stroke patients using group-level
//! covariance modeling* (MICCAI); Fletcher and Joshi 2007 (Signal Processing 87), algorithm 3; as nilearn does it.

use ndarray::{Array2, ArrayView2, ArrayView3, Axis};

use crate::linalg::{multiply, symmetric};
use crate::network::NetworkError;
use crate::parallel;

/// Steps of the descent.
const MOST_STEPS: usize = 30;
/// The gradient, over the number of values, at which it has arrived.
const TOLERANCE: f64 = 1e-7;

/// The space tangent to covariances at the geometric mean of some of them.
#[derive(Clone, Debug, PartialEq)]
pub struct TangentSpace {
    reference: Array2<f64>,
    /// The inverse square root of the reference.
    whitening: Vec<f64>,
    nodes: usize,
    converged: bool,
}

impl TangentSpace {
    /// At the geometric mean of those of `covariances` (S × N × N) that `rows` names; the others are not looked at.
    ///
    /// # Errors
    /// No row, or a covariance that is not positive definite.
    pub fn fit(covariances: ArrayView3<'_, f64>, rows: &[usize]) -> Result<Self, NetworkError> {
        let n = covariances.dim().1;
        let (count, of) = (covariances.dim().0, |row: usize| flat(covariances.index_axis(Axis(0), row)));
        if rows.is_empty() || rows.iter().any(|row| *row >= count) {
            return Err(wrong("reference", "no covariance to take the mean of"));
        }
        let matrices: Vec<Vec<f64>> = rows.iter().map(|row| of(*row)).collect();
        let mut mean = average(&matrices, n);
        let (mut before, mut step, mut converged) = (f64::INFINITY, 1.0, false);
        for _ in 0..MOST_STEPS {
            let root = map(&mean, n, f64::sqrt, "reference")?;
            let whitening = map(&mean, n, |value| 1.0 / value.sqrt(), "reference")?;
            let logs = parallel::map(matrices.len(), |i| {
                let matrix = matrices.get(i).map_or(&[][..], Vec::as_slice);
                let row = rows.get(i).copied().unwrap_or_default();
                map(&sandwich(&whitening, matrix, n), n, f64::ln, &format!("row {row}"))
            });
            let gradient = average(&logs.into_iter().collect::<Result<Vec<_>, _>>()?, n);
            let norm = gradient.iter().map(|value| value * value).sum::<f64>().sqrt();
            let along = symmetric(&gradient, n, |value| (value * step).exp());
            let along = along.map_err(|_| wrong("reference", "its gradient is not finite"))?;
            mean = sandwich(&root, &along, n);
            // nilearn: a step that was too long is halved, and its gradient forgotten.
            let mut reached = norm;
            if norm < before {
                before = norm;
            } else if norm > before {
                step /= 2.0;
                reached = before;
            }
            converged = reached / ((n * n) as f64) < TOLERANCE;
            if converged {
                break;
            }
        }
        Ok(Self { converged, ..Self::at(square(mean, n)?)? })
    }

    /// At this reference (N × N, symmetric), which was found before: it lies where [`fit`](Self::fit) had it, bit for bit.
    ///
    /// # Errors
    /// A reference that is not positive definite.
    pub fn at(reference: Array2<f64>) -> Result<Self, NetworkError> {
        let nodes = reference.nrows();
        if reference.ncols() != nodes {
            return Err(wrong("reference", &format!("{:?}, which is not square", reference.dim())));
        }
        let whitening = map(&flat(reference.view()), nodes, |value| 1.0 / value.sqrt(), "reference")?;
        Ok(Self { reference, whitening, nodes, converged: true })
    }

    /// Where a covariance lies, N × N and symmetric: log(R^−½ C R^−½), R being the reference.
    ///
    /// # Errors
    /// Other regions than those of the reference; a covariance that is not positive definite.
    pub fn transform(&self, covariance: ArrayView2<'_, f64>) -> Result<Array2<f64>, NetworkError> {
        let n = self.nodes;
        if covariance.dim() != (n, n) {
            return Err(wrong("covariance", &format!("{:?} where the reference has {n} regions", covariance.dim())));
        }
        let log = map(&sandwich(&self.whitening, &flat(covariance), n), n, f64::ln, "covariance")?;
        square(log, n)
    }

    /// The reference, N × N.
    pub fn reference(&self) -> ArrayView2<'_, f64> {
        self.reference.view()
    }

    /// Whether the mean was found to 1e-7 within 30 steps, as nilearn asks; true of a reference that was given.
    pub fn converged(&self) -> bool {
        self.converged
    }
}

fn flat(matrix: ArrayView2<'_, f64>) -> Vec<f64> {
    matrix.iter().copied().collect()
}

fn square(values: Vec<f64>, n: usize) -> Result<Array2<f64>, NetworkError> {
    Array2::from_shape_vec((n, n), values).map_err(|error| wrong("matrix", &error.to_string()))
}

fn average(matrices: &[Vec<f64>], n: usize) -> Vec<f64> {
    let mut mean = vec![0.0; n * n];
    for matrix in matrices {
        mean.iter_mut().zip(matrix).for_each(|(mean, value)| *mean += value);
    }
    mean.iter_mut().for_each(|value| *value /= matrices.len() as f64);
    mean
}

/// `a b a`.
fn sandwich(a: &[f64], b: &[f64], n: usize) -> Vec<f64> {
    let mut product = multiply(&multiply(a, b, n, n, n), a, n, n, n);
    // Rounding differs the other way round.
    for i in 0..n {
        for j in 0..i {
            let mean = 0.5 * (product[i * n + j] + product[j * n + i]);
            (product[i * n + j], product[j * n + i]) = (mean, mean);
        }
    }
    product
}

/// A function of a positive definite matrix.
fn map(matrix: &[f64], n: usize, f: impl Fn(f64) -> f64, what: &str) -> Result<Vec<f64>, NetworkError> {
    let mapped = symmetric(matrix, n, |value| if value > 0.0 { f(value) } else { f64::NAN });
    mapped.map_err(|_| {
        wrong(
            what,
            "not positive definite, so that it has no logarithm (make covariances with --shrinkage ledoit-wolf)",
        )
    })
}

fn wrong(sample: &str, problem: &str) -> NetworkError {
    NetworkError::Sample { sample: format!("tangent space, {sample}"), problem: problem.into() }
}

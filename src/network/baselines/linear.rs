//! What is a linear model of networks? A vector of each network, standardised as the training vectors were, and a weight an edge.

use ndarray::{Array1, Array2, ArrayView2, Axis};

use super::vectors::Vectors;
use crate::linalg::{eigen, gemm, multiply, transpose};
use crate::network::deep::linear_model;
use crate::network::{Exported, Fitted, Inside, NetworkError, Rows};

/// How a vector's sum becomes what is predicted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Link {
    /// It is the number.
    Identity,
    /// One sum: the probability of the second class is 1 / (1 + e⁻ˢᵘᵐ).
    Logistic,
    /// A sum a class: probabilities in proportion to eˢᵘᵐ.
    Softmax,
}

/// Each column's mean and spread in the training samples.
#[derive(Clone, Debug, PartialEq)]
pub struct Standard {
    /// Means, one a column.
    pub mean: Array1<f64>,
    /// Standard deviations (of a population), one a column; 1 where a column does not vary.
    pub scale: Array1<f64>,
}

impl Standard {
    /// Of samples × columns; what is constant but for rounding is taken as constant, as scikit-learn's `StandardScaler` does.
    pub fn of(x: ArrayView2<'_, f64>) -> Self {
        let n = x.nrows().max(1) as f64;
        let mean = x.sum_axis(Axis(0)) / n;
        let mut variance = Array1::<f64>::zeros(x.ncols());
        for row in x.rows() {
            variance.iter_mut().zip(row).zip(&mean).for_each(|((sum, value), mean)| *sum += (value - mean).powi(2));
        }
        let scale = variance.iter().zip(&mean).map(|(sum, mean)| {
            let variance = sum / n;
            let rounding = n * f64::EPSILON * variance + (n * mean * f64::EPSILON).powi(2);
            if variance <= rounding { 1.0 } else { variance.sqrt() }
        });
        Self { scale: scale.collect(), mean }
    }

    /// Samples × columns, centred and scaled.
    pub fn apply(&self, mut x: Array2<f64>) -> Array2<f64> {
        for mut row in x.rows_mut() {
            row.iter_mut().zip(&self.mean).zip(&self.scale).for_each(|((v, mean), scale)| *v = (*v - mean) / scale);
        }
        x
    }
}

/// A fitted linear model: logistic regression, a support vector machine, ridge regression.
#[derive(Clone, Debug)]
pub struct Linear {
    /// How a network becomes a vector.
    pub vectors: Vectors,
    /// How a vector is standardised.
    pub standard: Standard,
    /// Of standardised vectors: columns × outputs.
    pub weights: Array2<f64>,
    /// One an output.
    pub intercept: Array1<f64>,
    /// How sums become predictions.
    pub link: Link,
    /// Which classes the outputs are of, all that were trained from; empty for numbers.
    pub seen: Vec<usize>,
    /// What sums are divided by before they become probabilities; 1 of what is not calibrated.
    pub temperature: f64,
}

impl Linear {
    /// What the weights come to before the link: samples × outputs.
    ///
    /// # Errors
    /// Networks of other regions.
    pub fn decisions(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
        let x = self.standard.apply(self.vectors.of(rows)?);
        Ok(x.dot(&self.weights) + &self.intercept)
    }
}

impl Fitted for Linear {
    fn predict(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
        Ok(linked(self.decisions(rows)? / self.temperature, self.link, &self.seen, rows.targets.outputs()))
    }

    fn calibrate(&mut self, temperature: f64) -> bool {
        let of_classes = self.link != Link::Identity;
        if of_classes {
            self.temperature = temperature;
        }
        of_classes
    }

    fn inside(&self) -> Inside<'_> {
        Inside::Linear(self)
    }

    fn export(&self) -> Result<Option<Exported>, NetworkError> {
        let Some((n, places)) = self.vectors.places() else { return Ok(None) };
        if self.seen.iter().enumerate().any(|(place, class)| place != *class) {
            return Ok(None);
        }
        let sums = self.weights.ncols();
        // Of two classes the first has the logit 0, so that their softmax is the logistic function of the sum.
        let outputs = if self.link == Link::Logistic { 2 } else { sums };
        let (mut weights, mut intercept) = (Array2::zeros((n * n, outputs)), Array1::zeros(outputs));
        for sum in 0..sums {
            let output = sum + outputs - sums;
            intercept[output] = self.intercept[sum];
            for (column, (i, j, share)) in places.iter().enumerate() {
                let weight = self.weights[(column, sum)] / self.standard.scale[column];
                weights[(i * n + j, output)] = weight * share;
                intercept[output] -= weight * self.standard.mean[column];
            }
        }
        let flat: Vec<f64> = weights.iter().copied().collect();
        let model = linear_model("linear", n, &flat, &intercept.to_vec(), self.temperature)
            .map_err(|error| NetworkError::Model { model: "linear".into(), problem: error.to_string() })?;
        // A matrix has no logarithm among the operations of ONNX: the graph takes what lies in the tangent space.
        let reference = match &self.vectors {
            Vectors::Tangent(space) => Some(space.reference().to_owned()),
            Vectors::Edges(_) => None,
        };
        Ok(Some(Exported { model, features: None, temperature: self.temperature, reference }))
    }
}

/// Decisions as probabilities of all `classes`, of which `seen` were trained from.
pub(super) fn linked(decisions: Array2<f64>, link: Link, seen: &[usize], classes: usize) -> Array2<f64> {
    let each = match link {
        Link::Identity => return decisions,
        Link::Logistic => {
            let mut both = Array2::zeros((decisions.nrows(), 2));
            for (mut row, sums) in both.rows_mut().into_iter().zip(decisions.rows()) {
                let sum = sums.first().copied().unwrap_or(f64::NAN);
                row.assign(&Array1::from(vec![sigmoid(-sum), sigmoid(sum)]));
            }
            both
        }
        Link::Softmax => softmax(decisions),
    };
    let mut all = Array2::zeros((each.nrows(), classes));
    for (column, class) in each.columns().into_iter().zip(seen) {
        all.column_mut(*class).assign(&column);
    }
    all
}

/// 1 / (1 + e⁻ˣ), without overflow.
pub(super) fn sigmoid(x: f64) -> f64 {
    if x >= 0.0 { 1.0 / (1.0 + (-x).exp()) } else { x.exp() / (1.0 + x.exp()) }
}

/// Rows in proportion to their exponentials.
pub(super) fn softmax(mut sums: Array2<f64>) -> Array2<f64> {
    for mut row in sums.rows_mut() {
        let most = row.fold(f64::NEG_INFINITY, |most, value| most.max(*value));
        row.mapv_inplace(|value| (value - most).exp());
        let total = row.sum();
        row.mapv_inplace(|value| value / total);
    }
    sums
}

/// `x xᵀ` of samples × columns.
pub(super) fn gram(x: ArrayView2<'_, f64>) -> Array2<f64> {
    let (n, p) = x.dim();
    let flat: Vec<f64> = x.iter().copied().collect();
    let mut out = vec![0.0; n * n];
    gemm(&mut out, &flat, false, &transpose(&flat, n, p), [n, p, n]);
    Array2::from_shape_fn((n, n), |(i, j)| out[i * n + j])
}

/// The same samples in as few columns as there are samples: what is penalised by the length of its weights alone has the same
/// answer there (Hastie and Tibshirani 2004, *Biostatistics* 5:329), and is found in milliseconds.
pub(super) struct Turned {
    /// Samples × columns, at the most as many as samples.
    pub z: Array2<f64>,
    /// Original columns × columns; None where they are the original ones.
    back: Option<Array2<f64>>,
}

impl Turned {
    /// Of samples × columns.
    ///
    /// # Errors
    /// Samples that are not finite.
    pub fn of(x: Array2<f64>) -> Result<Self, NetworkError> {
        let (n, p) = x.dim();
        if p <= n {
            return Ok(Self { z: x, back: None });
        }
        let products = gram(x.view());
        let flat: Vec<f64> = products.iter().copied().collect();
        let eigen = eigen(&flat, n)
            .map_err(|_| NetworkError::Labels("training vectors are not finite (look at the networks)".into()))?;
        let vectors = Array2::from_shape_vec((n, n), eigen.vectors()).unwrap_or_else(|_| Array2::zeros((n, n)));
        let largest = eigen.values.last().copied().unwrap_or(0.0);
        let kept: Vec<usize> = (0..n).filter(|i| eigen.values.get(*i).is_some_and(|v| *v > largest * 1e-13)).collect();
        let vectors = vectors.select(Axis(1), &kept);
        let root: Array1<f64> = kept.iter().filter_map(|i| eigen.values.get(*i)).map(|v| v.sqrt()).collect();
        let z = &vectors * &root;
        let flat: Vec<f64> = x.iter().copied().collect();
        let scaled: Vec<f64> = (&vectors / &root).iter().copied().collect();
        let back = multiply(&transpose(&flat, n, p), &scaled, p, n, kept.len());
        Ok(Self { z, back: Array2::from_shape_vec((p, kept.len()), back).ok() })
    }

    /// Weights of the original columns.
    pub fn back(&self, weights: &Array2<f64>) -> Array2<f64> {
        self.back.as_ref().map_or_else(|| weights.clone(), |back| back.dot(weights))
    }
}

/// The classes that rows have, ascending, and of each row which of those.
///
/// # Errors
/// Numbers instead of classes; one class only.
pub(super) fn classes_of(rows: Rows<'_>, model: &str) -> Result<(Vec<usize>, Vec<usize>), NetworkError> {
    let crate::network::Targets::Classes { of, names } = rows.targets else {
        let problem = "learns classes, but the labels are numbers (use ridge)".into();
        return Err(NetworkError::Model { model: model.into(), problem });
    };
    let truth: Vec<usize> = rows.rows.iter().filter_map(|row| of.get(*row).copied()).collect();
    let mut seen = truth.clone();
    seen.sort_unstable();
    seen.dedup();
    if seen.len() < 2 {
        let only = seen.first().and_then(|class| names.get(*class)).map_or("nothing", String::as_str);
        return Err(NetworkError::Labels(format!("every training sample is \"{only}\" (take fewer folds)")));
    }
    let places = truth.iter().map(|class| seen.binary_search(class).unwrap_or_default()).collect();
    Ok((seen, places))
}

/// The numbers of rows.
///
/// # Errors
/// Classes instead of numbers.
pub(super) fn values_of(rows: Rows<'_>, model: &str) -> Result<Array1<f64>, NetworkError> {
    match rows.targets {
        crate::network::Targets::Values(values) => {
            Ok(rows.rows.iter().filter_map(|row| values.get(*row).copied()).collect())
        }
        crate::network::Targets::Classes { .. } => {
            let problem = "learns numbers, but the labels are classes (use logistic)".into();
            Err(NetworkError::Model { model: model.into(), problem })
        }
    }
}

/// What each sample counts: the same, or by class so that all classes count the same (n / (classes · of the class)).
pub(super) fn importance(truth: &[usize], classes: usize, balanced: bool) -> Vec<f64> {
    let count = |class: usize| truth.iter().filter(|of| **of == class).count() as f64;
    let weight = |class: usize| if balanced { truth.len() as f64 / (classes as f64 * count(class)) } else { 1.0 };
    let of: Vec<f64> = (0..classes).map(weight).collect();
    truth.iter().map(|class| of.get(*class).copied().unwrap_or(1.0)).collect()
}

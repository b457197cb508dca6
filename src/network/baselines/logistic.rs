//! Logistic regression: which class, by weights whose squares are penalised.
//!
//! Minimises ½‖W‖² + C Σ loss, the intercept free, as scikit-learn's `LogisticRegression` does: of two classes the logistic loss of
//! one sum, of more the cross-entropy of the softmax. Newton's steps, each solved by conjugate gradients, until the gradient is a
//! billionth of what it was.

use ndarray::{Array1, Array2, Axis, concatenate, s};
use serde::Deserialize;

use super::linear::{Linear, Link, Standard, Turned, classes_of, importance, sigmoid, softmax};
use super::vectors::{Kind, Vectors};
use crate::network::{Fitted, Learner, NetworkError, Rows};

/// What can be set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LogisticConfig {
    /// How little weights are penalised: C, above 0.
    pub c: f64,
    /// What the vector of a network is.
    pub vectors: Kind,
    /// Whether all classes count the same, however many samples they have.
    pub balanced: bool,
}

impl Default for LogisticConfig {
    fn default() -> Self {
        Self { c: 1.0, vectors: Kind::Connectivity, balanced: false }
    }
}

/// Learns a logistic regression.
#[derive(Clone, Debug)]
pub struct Logistic {
    name: String,
    config: LogisticConfig,
}

impl Logistic {
    /// With these settings.
    ///
    /// # Errors
    /// A C that is not above 0.
    pub fn new(name: &str, config: LogisticConfig) -> Result<Self, NetworkError> {
        super::above_zero(name, "c", config.c)?;
        Ok(Self { name: name.into(), config })
    }

    /// Learns, and gives what was learned as what it is.
    ///
    /// # Errors
    /// One class only; networks without what their vectors are made from.
    pub fn learn(&self, train: Rows<'_>) -> Result<Linear, NetworkError> {
        let (seen, truth) = classes_of(train, &self.name)?;
        let (vectors, x) = Vectors::fit(self.config.vectors, train)?;
        let standard = Standard::of(x.view());
        let solved = solve(standard.apply(x), &truth, seen.len(), self.config.c, self.config.balanced)?;
        let link = if seen.len() == 2 { Link::Logistic } else { Link::Softmax };
        Ok(Linear { vectors, standard, weights: solved.0, intercept: solved.1, link, seen, temperature: 1.0 })
    }
}

impl Learner for Logistic {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn fit(&self, train: Rows<'_>, _: Option<Rows<'_>>, _: u64) -> Result<Box<dyn Fitted>, NetworkError> {
        Ok(Box::new(self.learn(train)?))
    }
}

/// Weights, columns × outputs, and intercepts of samples × columns; `truth` counts from 0 to `classes`.
///
/// # Errors
/// Samples that are not finite.
pub(super) fn solve(
    x: Array2<f64>,
    truth: &[usize],
    classes: usize,
    c: f64,
    balanced: bool,
) -> Result<(Array2<f64>, Array1<f64>), NetworkError> {
    let turned = Turned::of(x)?;
    let weights = importance(truth, classes, balanced).into_iter().map(|weight| weight * c).collect();
    let problem = Problem::of(&turned.z, truth, classes, weights);
    let found = problem.minimise();
    let last = found.nrows() - 1;
    Ok((turned.back(&found.slice(s![..last, ..]).to_owned()), found.row(last).to_owned()))
}

struct Problem {
    /// Samples × columns, the last all 1.
    z: Array2<f64>,
    /// Samples × outputs: 1 where it is so.
    truth: Array2<f64>,
    /// What each sample counts.
    weights: Array1<f64>,
}

impl Problem {
    fn of(z: &Array2<f64>, truth: &[usize], classes: usize, weights: Array1<f64>) -> Self {
        let ones = Array2::ones((z.nrows(), 1));
        let z = concatenate(Axis(1), &[z.view(), ones.view()]).unwrap_or(ones);
        let outputs = if classes == 2 { 1 } else { classes };
        let class = |output: usize| if classes == 2 { 1 } else { output };
        let is = |(row, output): (usize, usize)| f64::from(truth.get(row) == Some(&class(output)));
        Self { truth: Array2::from_shape_fn((z.nrows(), outputs), is), z, weights }
    }

    fn probable(&self, w: &Array2<f64>) -> Array2<f64> {
        let sums = self.z.dot(w);
        if sums.ncols() == 1 { sums.mapv(sigmoid) } else { softmax(sums) }
    }

    /// What is minimised.
    fn cost(&self, w: &Array2<f64>) -> f64 {
        let sums = self.z.dot(w);
        let losses = sums.rows().into_iter().zip(self.truth.rows()).map(|(sums, truth)| {
            let said = (&sums * &truth).sum();
            let most =
                sums.fold(if sums.len() == 1 { 0.0 } else { f64::NEG_INFINITY }, |most: f64, sum| most.max(*sum));
            let zero = if sums.len() == 1 { (-most).exp() } else { 0.0 };
            most + (zero + sums.iter().map(|sum| (sum - most).exp()).sum::<f64>()).ln() - said
        });
        let penalty: f64 = self.penalised(w).iter().map(|w| w * w).sum();
        0.5 * penalty + losses.zip(&self.weights).map(|(loss, weight)| loss * weight).sum::<f64>()
    }

    /// The weights, the intercepts as 0.
    fn penalised(&self, w: &Array2<f64>) -> Array2<f64> {
        let mut w = w.clone();
        w.row_mut(self.z.ncols() - 1).fill(0.0);
        w
    }

    fn weighed(&self, mut of: Array2<f64>) -> Array2<f64> {
        for (mut row, weight) in of.rows_mut().into_iter().zip(&self.weights) {
            row *= *weight;
        }
        self.z.t().dot(&of)
    }

    fn gradient(&self, w: &Array2<f64>, p: &Array2<f64>) -> Array2<f64> {
        self.weighed(p - &self.truth) + self.penalised(w)
    }

    /// The Hessian's product with a direction.
    fn curved(&self, p: &Array2<f64>, direction: &Array2<f64>) -> Array2<f64> {
        let sums = self.z.dot(direction);
        let bent = match p.ncols() {
            1 => p * &p.mapv(|p| 1.0 - p) * &sums,
            _ => {
                let both = p * &sums;
                let totals = both.sum_axis(Axis(1)).insert_axis(Axis(1));
                both - p * &totals
            }
        };
        self.weighed(bent) + self.penalised(direction)
    }

    /// Newton's step by conjugate gradients, to a tolerance relative to the gradient.
    fn step(&self, p: &Array2<f64>, gradient: &Array2<f64>, tolerance: f64) -> Array2<f64> {
        let mut step = Array2::zeros(gradient.dim());
        let mut rest = -gradient;
        let mut along = rest.clone();
        let mut size = dot(&rest, &rest);
        let enough = size * tolerance * tolerance;
        for _ in 0..2 * gradient.len() {
            let bent = self.curved(p, &along);
            let curvature = dot(&along, &bent);
            if size <= enough || curvature <= 0.0 {
                break;
            }
            step.scaled_add(size / curvature, &along);
            rest.scaled_add(-size / curvature, &bent);
            let before = std::mem::replace(&mut size, dot(&rest, &rest));
            along = &rest + &(along * (size / before));
        }
        step
    }

    fn minimise(&self) -> Array2<f64> {
        const MOST: usize = 200;
        let mut w = Array2::zeros((self.z.ncols(), self.truth.ncols()));
        let mut cost = self.cost(&w);
        let mut first = None;
        for _ in 0..MOST {
            let p = self.probable(&w);
            let gradient = self.gradient(&w, &p);
            let size = dot(&gradient, &gradient).sqrt();
            let first = *first.get_or_insert(size.max(f64::MIN_POSITIVE));
            if size <= 1e-10 * first {
                break;
            }
            let step = self.step(&p, &gradient, (size / first).sqrt().min(0.1));
            let slope = dot(&gradient, &step);
            let mut length = 1.0;
            let better = loop {
                let there = &w + &(&step * length);
                let costs = self.cost(&there);
                if costs <= cost + 1e-4 * length * slope {
                    break Some((there, costs));
                }
                length *= 0.5;
                if length < 1e-10 {
                    break None;
                }
            };
            match better {
                Some((there, costs)) => (w, cost) = (there, costs),
                // Rounding hides what is left to gain.
                None => break,
            }
        }
        w
    }
}

fn dot(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

//! The linear support vector machine: which side, by the widest margin.
//!
//! Minimises ½‖w‖² + C Σ max(0, 1 − y f)² (or without the square) with the intercept as one more weight of a column of ones, as
//! liblinear and scikit-learn's `LinearSVC` do, by dual coordinate descent (Hsieh et al. 2008, ICML). Of more than two classes each is
//! told from the rest. What stands for a probability is the logistic function of the decision (of more classes their softmax): it
//! orders samples and picks classes as the decision does, and is calibrated only where a temperature is found
//! ([`learn_calibrated`](crate::network::learn_calibrated)).

use ndarray::{Array1, Array2};
use serde::Deserialize;

use super::linear::{Linear, Link, Standard, classes_of, gram, importance};
use super::vectors::{Kind, Vectors};
use crate::draws::Draws;
use crate::network::{Fitted, Learner, NetworkError, Rows};

/// What is lost on the wrong side of the margin.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Loss {
    /// The distance.
    Hinge,
    /// Its square.
    #[default]
    SquaredHinge,
}

/// What can be set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct SvmConfig {
    /// How little weights are penalised: C, above 0.
    pub c: f64,
    /// What the vector of a network is.
    pub vectors: Kind,
    /// What is lost.
    pub loss: Loss,
    /// Whether all classes count the same, however many samples they have.
    pub balanced: bool,
}

impl Default for SvmConfig {
    fn default() -> Self {
        Self { c: 1.0, vectors: Kind::Connectivity, loss: Loss::default(), balanced: false }
    }
}

/// Learns a linear support vector machine.
#[derive(Clone, Debug)]
pub struct Svm {
    name: String,
    config: SvmConfig,
}

impl Svm {
    /// With these settings.
    ///
    /// # Errors
    /// A C that is not above 0.
    pub fn new(name: &str, config: SvmConfig) -> Result<Self, NetworkError> {
        super::above_zero(name, "c", config.c)?;
        Ok(Self { name: name.into(), config })
    }

    /// Learns, and gives what was learned as what it is.
    ///
    /// # Errors
    /// One class only; networks without what their vectors are made from.
    pub fn learn(&self, train: Rows<'_>, seed: u64) -> Result<Linear, NetworkError> {
        let (seen, truth) = classes_of(train, &self.name)?;
        let (vectors, x) = Vectors::fit(self.config.vectors, train)?;
        let standard = Standard::of(x.view());
        let x = standard.apply(x);
        let shares = one_against_rest(&gram(x.view()), &truth, seen.len(), &self.config, seed);
        let link = if seen.len() == 2 { Link::Logistic } else { Link::Softmax };
        let (weights, intercept) = (x.t().dot(&shares), shares.sum_axis(ndarray::Axis(0)));
        Ok(Linear { vectors, standard, weights, intercept, link, seen, temperature: 1.0 })
    }
}

impl Learner for Svm {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn fit(&self, train: Rows<'_>, _: Option<Rows<'_>>, seed: u64) -> Result<Box<dyn Fitted>, NetworkError> {
        Ok(Box::new(self.learn(train, seed)?))
    }
}

/// What each sample adds to each output's weights: samples × outputs, of one kernel without its constant.
pub(super) fn one_against_rest(
    kernel: &Array2<f64>,
    truth: &[usize],
    classes: usize,
    config: &SvmConfig,
    seed: u64,
) -> Array2<f64> {
    let counts = importance(truth, classes, config.balanced);
    let costs: Vec<f64> = counts.iter().map(|weight| weight * config.c).collect();
    let outputs = if classes == 2 { 1 } else { classes };
    let mut shares = Array2::zeros((truth.len(), outputs));
    for (output, mut column) in shares.columns_mut().into_iter().enumerate() {
        let positive = if classes == 2 { 1 } else { output };
        let sides: Vec<f64> = truth.iter().map(|class| if *class == positive { 1.0 } else { -1.0 }).collect();
        column.assign(&descend(kernel, &sides, &costs, config.loss, &mut Draws::new(seed, output)));
    }
    shares
}

/// Dual coordinate descent: of each sample its share y α.
fn descend(kernel: &Array2<f64>, sides: &[f64], costs: &[f64], loss: Loss, chance: &mut Draws) -> Array1<f64> {
    const MOST: usize = 20_000;
    const ENOUGH: f64 = 1e-9;
    let n = sides.len();
    let mut alpha = vec![0.0; n];
    let mut decided = vec![0.0; n];
    let mut order: Vec<usize> = (0..n).collect();
    for _ in 0..MOST {
        chance.shuffle(&mut order);
        let mut worst = 0.0_f64;
        for i in &order {
            let (i, cost) = (*i, costs[*i]);
            let (ridge, most) = match loss {
                Loss::Hinge => (0.0, cost),
                Loss::SquaredHinge => (0.5 / cost, f64::INFINITY),
            };
            let slope = sides[i] * decided[i] - 1.0 + ridge * alpha[i];
            let projected = match alpha[i] {
                a if a <= 0.0 => slope.min(0.0),
                a if a >= most => slope.max(0.0),
                _ => slope,
            };
            worst = worst.max(projected.abs());
            if projected != 0.0 {
                let there = (alpha[i] - slope / (kernel[(i, i)] + 1.0 + ridge)).clamp(0.0, most);
                let more = (there - alpha[i]) * sides[i];
                alpha[i] = there;
                decided.iter_mut().zip(kernel.row(i)).for_each(|(decided, k)| *decided += more * (k + 1.0));
            }
        }
        if worst <= ENOUGH {
            break;
        }
    }
    alpha.iter().zip(sides).map(|(alpha, side)| alpha * side).collect()
}

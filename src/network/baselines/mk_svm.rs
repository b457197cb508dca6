//! The support vector machine of several kernels: every modality has its say.
//!
//! Dyrba et al. 2015 (*Human Brain Mapping* 36:2118) classify by a support vector machine whose kernel is a weighted sum of one
//! kernel a modality. Which kernels and weights is left open there and in BrainGB; chosen here: a linear and a Gaussian kernel
//! (γ = 1 / columns) of each view's standardised edges, weighed by their centred alignment with the classes in the training samples
//! (Cortes, Mohri and Rostamizadeh 2012, *JMLR* 13:795), none below 0, their sum 1. Hinge loss; the intercept is one more kernel of
//! ones. Decisions stand for probabilities as in the linear machine.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::Deserialize;

use super::kernel_ridge::likeness;
use super::linear::{Link, Standard, classes_of, linked};
use super::svm::{Loss, SvmConfig, one_against_rest};
use super::vectors::{Edges, views};
use crate::network::{Fitted, Learner, NetworkError, Rows};

/// What can be set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MkSvmConfig {
    /// How little weights are penalised: C, above 0.
    pub c: f64,
    /// Whether all classes count the same, however many samples they have.
    pub balanced: bool,
}

impl Default for MkSvmConfig {
    fn default() -> Self {
        Self { c: 1.0, balanced: false }
    }
}

/// Learns a support vector machine of several kernels.
#[derive(Clone, Debug)]
pub struct MkSvm {
    name: String,
    config: MkSvmConfig,
}

impl MkSvm {
    /// With these settings.
    ///
    /// # Errors
    /// A C that is not above 0.
    pub fn new(name: &str, config: MkSvmConfig) -> Result<Self, NetworkError> {
        super::above_zero(name, "c", config.c)?;
        Ok(Self { name: name.into(), config })
    }
}

impl Learner for MkSvm {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn fit(&self, train: Rows<'_>, _: Option<Rows<'_>>, seed: u64) -> Result<Box<dyn Fitted>, NetworkError> {
        let (seen, truth) = classes_of(train, &self.name)?;
        let learned = views(train.networks).map(|name| Learned::of(name, train)).collect::<Result<Vec<_>, _>>()?;
        let kernels: Vec<Array2<f64>> = learned.iter().flat_map(|view| view.kernels(view.x.view())).collect();
        let shares = alignments(&kernels, &truth, seen.len());
        let kernel = sum(&kernels, &shares);
        let config =
            SvmConfig { c: self.config.c, balanced: self.config.balanced, loss: Loss::Hinge, ..SvmConfig::default() };
        let alpha = one_against_rest(&kernel, &truth, seen.len(), &config, seed);
        Ok(Box::new(Machine { views: learned, shares, alpha, seen }))
    }
}

/// The training vectors of one view.
struct Learned {
    edges: Edges,
    standard: Standard,
    x: Array2<f64>,
}

impl Learned {
    fn of(view: Option<&str>, train: Rows<'_>) -> Result<Self, NetworkError> {
        let edges = Edges::of(view, train);
        let x = edges.vectors(train)?;
        let standard = Standard::of(x.view());
        Ok(Self { x: standard.apply(x), standard, edges })
    }

    /// A linear and a Gaussian kernel of samples with the training samples.
    fn kernels(&self, x: ArrayView2<'_, f64>) -> [Array2<f64>; 2] {
        let gamma = 1.0 / self.x.ncols().max(1) as f64;
        [x.dot(&self.x.t()) * gamma, likeness(x, self.x.view(), gamma)]
    }
}

fn sum(kernels: &[Array2<f64>], shares: &[f64]) -> Array2<f64> {
    let mut total = Array2::zeros(kernels.first().map_or((0, 0), Array2::dim));
    kernels.iter().zip(shares).for_each(|(kernel, share)| total.scaled_add(*share, kernel));
    total
}

/// What each kernel has to say of the classes.
fn alignments(kernels: &[Array2<f64>], truth: &[usize], classes: usize) -> Vec<f64> {
    let unlike = -1.0 / (classes.max(2) - 1) as f64;
    let ideal =
        Array2::from_shape_fn(
            (truth.len(), truth.len()),
            |(i, j)| {
                if truth.get(i) == truth.get(j) { 1.0 } else { unlike }
            },
        );
    let ideal = centred(&ideal);
    let of = |kernel: &Array2<f64>| {
        let kernel = centred(kernel);
        let length = kernel.iter().map(|k| k * k).sum::<f64>().sqrt();
        let along: f64 = kernel.iter().zip(&ideal).map(|(k, i)| k * i).sum();
        if length > 0.0 { (along / length).max(0.0) } else { 0.0 }
    };
    let all: Vec<f64> = kernels.iter().map(of).collect();
    let total: f64 = all.iter().sum();
    let even = 1.0 / all.len().max(1) as f64;
    all.iter().map(|of| if total > 0.0 { of / total } else { even }).collect()
}

/// A kernel of samples whose mean in its space is 0.
fn centred(kernel: &Array2<f64>) -> Array2<f64> {
    let n = kernel.nrows().max(1) as f64;
    let means: Array1<f64> = kernel.sum_axis(Axis(0)) / n;
    let all = means.sum() / n;
    Array2::from_shape_fn(kernel.dim(), |(i, j)| kernel[(i, j)] - means[i] - means[j] + all)
}

struct Machine {
    views: Vec<Learned>,
    shares: Vec<f64>,
    alpha: Array2<f64>,
    seen: Vec<usize>,
}

impl Fitted for Machine {
    fn predict(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
        let mut kernels = Vec::new();
        for view in &self.views {
            kernels.extend(view.kernels(view.standard.apply(view.edges.vectors(rows)?).view()));
        }
        let decisions = sum(&kernels, &self.shares).dot(&self.alpha) + &self.alpha.sum_axis(Axis(0));
        let link = if self.seen.len() == 2 { Link::Logistic } else { Link::Softmax };
        Ok(linked(decisions, link, &self.seen, rows.targets.outputs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_kernel_that_knows_the_classes_has_the_say() {
        let truth = [0, 0, 1, 1];
        let side = |i: usize| if truth[i] == 0 { 1.0 } else { -1.0 };
        let good = Array2::from_shape_fn((4, 4), |(i, j)| side(i) * side(j) + 0.1 * f64::from(i == j));
        let wrong = Array2::from_shape_fn((4, 4), |(i, j)| if i % 2 == j % 2 { 1.0 } else { -1.0 });
        let shares = alignments(&[good.clone(), wrong.clone()], &truth, 2);
        assert!((shares[0] - 1.0).abs() < 1e-12 && shares[1].abs() < 1e-12, "{shares:?}");
        assert_eq!(alignments(&[wrong.clone(), wrong], &truth, 2), [0.5, 0.5]);
        let means = centred(&good).sum_axis(Axis(0));
        assert!(means.iter().all(|mean| mean.abs() < 1e-12));
    }
}

//! What is a set of networks? One matrix a sample, all over the same regions, and what is known of whom they are.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ndarray::{Array2, Array3};

use super::NetworkError;
use super::connectome::TangentSpace;
use crate::frame::TANGENT;

/// Networks of one data set: S samples, N regions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Networks {
    /// How they were made: `pearson`, `tangent`, `streamlines`, ….
    pub kind: String,
    /// What was done to the values besides.
    pub making: Making,
    /// S × N × N; row `i` is what region `i` receives. Finite.
    pub connectivity: Array3<f64>,
    /// Other modalities of the same samples, by name (`structural`, …): S × N × N each.
    pub views: BTreeMap<String, Array3<f64>>,
    /// Covariances, S × N × N, of networks that were made from time series: what the tangent space of a fold is made from.
    pub covariance: Option<Array3<f64>>,
    /// A name for each sample: its file, and the condition that it was cut for.
    pub samples: Vec<String>,
    /// Who each sample is of; samples of one person are never on both sides of a fold.
    pub participants: Vec<String>,
    /// What each sample is labelled; empty where nothing is known.
    pub labels: Vec<String>,
    /// The regions' names, N, unique.
    pub regions: Vec<String>,
    /// Where the regions lie, N × 3 in mm RAS.
    pub coordinates: Option<Array2<f64>>,
}

/// What was done to make an edge, besides its kind: a model is only right on networks that were made as those it has learned from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Making {
    /// How the covariance was shrunk: `ledoit-wolf`, or `none`.
    pub shrinkage: String,
    /// Whether each value is its inverse hyperbolic tangent.
    pub fisher_z: bool,
    /// Which edges are kept, as `--threshold` says it; all where it is absent.
    pub threshold: Option<String>,
    /// What became of negative edges, as `--sign` says it; they stayed where it is absent.
    pub sign: Option<String>,
}

impl Default for Making {
    fn default() -> Self {
        Self { shrinkage: "none".into(), fisher_z: false, threshold: None, sign: None }
    }
}

impl Networks {
    /// Networks in a tangent space measured anew, from the geometric mean of samples `rows`, and that space; others as they
    /// are. What is learned from these rows then knows nothing of other people.
    ///
    /// # Errors
    /// Displacements that were changed since, or that come without the covariances that they are measured from.
    pub fn measured_from(&self, rows: &[usize]) -> Result<(Cow<'_, Self>, Option<TangentSpace>), NetworkError> {
        if self.kind != TANGENT {
            return Ok((Cow::Borrowed(self), None));
        }
        let wrong =
            |problem: &str| Err(NetworkError::Sample { sample: "a tangent space".into(), problem: problem.into() });
        if self.making.fisher_z || self.making.threshold.is_some() || self.making.sign.is_some() {
            return wrong(
                "a model takes every displacement as it is (build without --fisher-z, --threshold and --sign)",
            );
        }
        let Some(covariance) = &self.covariance else {
            return wrong("the covariances, which it is measured from, are missing (build from time series)");
        };
        let space = TangentSpace::fit(covariance.view(), rows)?;
        let mut measured = self.clone();
        for (mut network, covariance) in measured.connectivity.outer_iter_mut().zip(covariance.outer_iter()) {
            network.assign(&space.transform(covariance)?);
        }
        Ok((Cow::Owned(measured), Some(space)))
    }
}

impl Networks {
    /// Samples.
    pub fn len(&self) -> usize {
        self.connectivity.dim().0
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Regions.
    pub fn nodes(&self) -> usize {
        self.connectivity.dim().1
    }

    /// How their covariances were shrunk: by Ledoit and Wolf, so that each has a logarithm, but for networks in a tangent space, which
    /// are made from covariances as they were asked for.
    pub fn covariance_shrinkage(&self) -> &str {
        if self.kind == "tangent" { &self.making.shrinkage } else { "ledoit-wolf" }
    }
}

/// What is to be learned of each sample.
#[derive(Clone, Debug, PartialEq)]
pub enum Targets {
    /// One of several classes.
    Classes {
        /// Their names, sorted; of two, the second is the positive one.
        names: Vec<String>,
        /// Of each sample its class.
        of: Vec<usize>,
    },
    /// A number.
    Values(Vec<f64>),
}

impl Targets {
    /// Classes, from a name a sample.
    ///
    /// # Errors
    /// Fewer than two classes.
    pub fn classes(labels: &[String]) -> Result<Self, NetworkError> {
        let mut names: Vec<String> = labels.to_vec();
        names.sort_unstable();
        names.dedup();
        if names.len() < 2 {
            let only = names.first().map_or("nothing", String::as_str);
            return Err(NetworkError::Labels(format!("every sample is \"{only}\" (two classes are the least)")));
        }
        let of = labels.iter().map(|label| names.binary_search(label).unwrap_or_default()).collect();
        Ok(Self::Classes { names, of })
    }

    /// Samples.
    pub fn len(&self) -> usize {
        match self {
            Self::Classes { of, .. } => of.len(),
            Self::Values(values) => values.len(),
        }
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Numbers that a model puts out for a sample: one a class, or one.
    pub fn outputs(&self) -> usize {
        match self {
            Self::Classes { names, .. } => names.len(),
            Self::Values(_) => 1,
        }
    }
}

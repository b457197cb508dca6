//! What can be asked of layers besides what they predict? Where their output comes from, whom they listen to, and what they need.

use ndarray::{Array2, Array3, ArrayView2};

use super::MaskConfig;
use crate::network::{NetworkError, Rows};

/// A fitted network of layers, as one that has gradients.
///
/// What is explained are its *outputs*: of two classes the log odds of the second one before calibration; of more, each class's
/// logit less the mean of all (a number that is added to all logits says nothing); of a number the number.
pub trait Layers: Send + Sync {
    /// Integrated gradients of every output from `baseline` to `network` (both N × N), by the midpoints of `steps` equal parts of
    /// the way between them.
    ///
    /// # Errors
    /// Networks of other regions.
    fn integrated(
        &self,
        network: ArrayView2<'_, f64>,
        baseline: ArrayView2<'_, f64>,
        steps: usize,
    ) -> Result<Integrated, NetworkError>;

    /// Of each of `rows` the attention that region i (a row) pays to region j (a column), the mean over layers and heads:
    /// rows × N × N. None where there is no attention.
    ///
    /// # Errors
    /// Networks of other regions.
    fn attention(&self, rows: Rows<'_>) -> Result<Option<Array3<f64>>, NetworkError>;

    /// How much of each edge is needed: one mask for all of `rows`, N × N, from 0 to 1, and 1 on the diagonal, which is no edge.
    ///
    /// # Errors
    /// Networks of other regions; a loss that is not finite.
    fn mask(
        &self,
        rows: Rows<'_>,
        baseline: ArrayView2<'_, f64>,
        config: &MaskConfig,
        seed: u64,
    ) -> Result<Array2<f64>, NetworkError>;
}

/// Integrated gradients of one network.
#[derive(Clone, Debug, PartialEq)]
pub struct Integrated {
    /// What each entry adds to each output: outputs × N × N.
    pub attribution: Array3<f64>,
    /// The mean gradient along the way, per unit of each entry: outputs × N × N.
    pub gradient: Array3<f64>,
    /// By how much each output differs between the network and the baseline.
    pub change: Vec<f64>,
}

impl Integrated {
    /// What the attributions of an output miss of its change: 0 by the axiom of completeness (Sundararajan et al. 2017, proposition
    /// 1) but for the number of steps and for jumps of the output, which have no gradient.
    pub fn gap(&self, output: usize) -> f64 {
        let sum = self.attribution.outer_iter().nth(output).map_or(0.0, |attribution| attribution.sum());
        self.change.get(output).copied().unwrap_or(f64::NAN) - sum
    }
}

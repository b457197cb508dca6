//! What learns from networks? Whatever turns samples with targets into a model that predicts.

use ndarray::Array2;

use super::baselines::Linear;
use super::explain::Layers;
use super::{NetworkError, Networks, Targets};

/// Some samples of a set.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// All of them.
    pub networks: &'a Networks,
    /// What is to be learned of all of them.
    pub targets: &'a Targets,
    /// Which.
    pub rows: &'a [usize],
}

/// A way to learn, with its settings: a graph neural network of certain modules, a logistic regression of a certain C.
pub trait Learner: Send + Sync {
    /// Its name in tables.
    fn name(&self) -> String;

    /// Whether its training is stopped by samples that it does not learn from; whoever has it learn holds some back then.
    fn stops(&self) -> bool {
        false
    }

    /// Whether what it learns listens to regions by attention, which can be looked at.
    fn attends(&self) -> bool {
        false
    }

    /// Learns from `train`; a model that is trained in epochs stops by `validation`, whose participants are others. Sees nothing
    /// else, and gives the same model for the same seed.
    ///
    /// # Errors
    /// What the samples lack for this way to learn.
    fn fit(&self, train: Rows<'_>, validation: Option<Rows<'_>>, seed: u64) -> Result<Box<dyn Fitted>, NetworkError>;
}

/// What was learned.
pub trait Fitted: Send + Sync {
    /// For samples of `rows` (whose targets are not looked at): of classes their probabilities, rows × classes; of a number the
    /// number, rows × 1.
    ///
    /// # Errors
    /// Networks of other regions.
    fn predict(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError>;

    /// Divides its logits by this from now on, so that its probabilities are as sure as they are right. False, and nothing done,
    /// where it has none, or calibrates itself.
    fn calibrate(&mut self, _temperature: f64) -> bool {
        false
    }

    /// The same as an ONNX model, where there is one.
    ///
    /// # Errors
    /// What kept it from being written.
    fn export(&self) -> Result<Option<Exported>, NetworkError> {
        Ok(None)
    }

    /// What it is made of, for whoever explains it.
    fn inside(&self) -> Inside<'_> {
        Inside::Closed
    }
}

/// What a model is made of, as far as that can be looked at.
#[derive(Clone, Copy)]
pub enum Inside<'a> {
    /// Nothing that could be.
    Closed,
    /// A weight a column of a vector.
    Linear(&'a Linear),
    /// Layers that have gradients.
    Layers(&'a dyn Layers),
}

/// A model as an ONNX graph: it takes `connectivity` (batch × N × N, float32), and gives `logits` and calibrated `probabilities`
/// (batch × classes), or of a number its `value` (batch × 1).
#[derive(Clone, Debug, PartialEq)]
pub struct Exported {
    /// The bytes of the file.
    pub model: Vec<u8>,
    /// Which node features a second input `features` (batch × N × F) takes, if they are not computed in the graph.
    pub features: Option<ExportedFeatures>,
    /// What the logits are divided by.
    pub temperature: f64,
    /// Of a model in a tangent space its reference, N × N: `connectivity` is then a displacement from it.
    pub reference: Option<Array2<f64>>,
}

/// Node features that an exported model takes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExportedFeatures {
    /// What they are: `eigenvector`.
    pub kind: String,
    /// How many there are of each region.
    pub dims: usize,
}

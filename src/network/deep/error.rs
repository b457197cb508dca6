//! What can go wrong between tensors?

use thiserror::Error;

/// Why a network cannot be computed, drawn or learned. The learner adds which model it was.
#[derive(Debug, Error)]
pub enum Failure {
    /// An axis that a tensor has not.
    #[error("there is no axis {axis} in a tensor of {rank}")]
    Axis {
        /// The axis.
        axis: isize,
        /// How many there are.
        rank: usize,
    },
    /// Shapes that do not go together.
    #[error("{op}: shapes {shapes} do not go together")]
    Shapes {
        /// The operation.
        op: String,
        /// The shapes.
        shapes: String,
    },
    /// A parameter that is not there, or has another shape.
    #[error("parameter {name}: {problem}")]
    Parameter {
        /// Its name.
        name: String,
        /// What is wrong.
        problem: String,
    },
    /// The loss is no number any more.
    #[error("the loss is not finite in epoch {epoch} (lower lr, or look at how large the connectivity's values are)")]
    Diverged {
        /// From 0.
        epoch: usize,
    },
    /// Settings that do not serve.
    #[error("{0}")]
    Settings(String),
    /// What the tensors say.
    #[error("tensors: {0}")]
    Tensors(#[from] candle_core::Error),
}

//! Whom does a model look at? The attention that two regions pay to each other, the mean over people, layers and heads.
//!
//! Attention says where a model looks, not what it makes of what it sees: it may look at regions that change nothing (Jain and
//! Wallace 2019, *Attention is not Explanation*, arXiv 1902.10186).

use ndarray::{Array2, Axis};

use crate::network::{Inside, NetworkError, Rows};

/// The mean attention of `rows`, N × N: entry (i, j) is what region i pays to region j.
///
/// # Errors
/// A model without attention.
pub fn mean(name: &str, model: Inside<'_>, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
    let attention = match model {
        Inside::Layers(layers) => layers.attention(rows)?,
        Inside::Linear(_) | Inside::Closed => None,
    };
    attention.and_then(|all| all.mean_axis(Axis(0))).ok_or_else(|| NetworkError::Model {
        model: name.into(),
        problem: "has no attention (choose --method gradients)".into(),
    })
}

//! How do regions become one vector? One file an option; each makes the last layer's columns and reads them out.

mod concat;
mod diffpool;
mod mean;
mod sum;

use serde::{Deserialize, Serialize};

use super::messages::Hearing;
use super::{Algebra, Failure, terms};

/// How regions are pooled (Cui et al. 2022, section III-D).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Pooling {
    /// The mean over regions.
    #[serde(rename = "mean")]
    Mean,
    /// The sum over regions.
    #[serde(rename = "sum")]
    Sum,
    /// A few columns of each region, side by side.
    #[default]
    #[serde(rename = "concat")]
    Concat,
    /// Learned groups of regions, and a convolution among them (Ying et al. 2018).
    #[serde(rename = "diffpool")]
    DiffPool,
}

impl Pooling {
    /// All of them, as the paper's table has them.
    pub const ALL: [Self; 4] = [Self::Mean, Self::Sum, Self::Concat, Self::DiffPool];

    /// Its name.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Sum => "sum",
            Self::Concat => "concat",
            Self::DiffPool => "diffpool",
        }
    }

    /// The last layer and its readout: batch × columns, and how many columns.
    pub(super) fn read<A: Algebra>(self, hearing: &Hearing<'_, A>) -> Result<(A::Tensor, usize), Failure> {
        match self {
            Self::Mean => mean::read(hearing),
            Self::Sum => sum::read(hearing),
            Self::Concat => concat::read(hearing),
            Self::DiffPool => diffpool::read(hearing),
        }
    }
}

/// A whole layer: messages, a linear layer, a leaky ReLU and batch normalisation, batch × N × `columns`.
pub(super) fn layer<A: Algebra>(hearing: &Hearing<'_, A>, columns: usize) -> Result<A::Tensor, Failure> {
    let a = hearing.a;
    let x = terms::sum(a, &hearing.settings.messages.through(hearing, columns)?)?;
    a.batch_norm(&format!("{}.norm", hearing.name), &a.leaky_relu(&x, 0.2)?)
}

//! How is a model explained? By what suits it.

use serde::Serialize;

use crate::network::NetworkError;
use crate::network::benchmark::{Family, Model};

/// A way to give every edge a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Method {
    /// Haufe's pattern.
    Pattern,
    /// Integrated gradients.
    Gradients,
    /// Attention.
    Attention,
    /// A shared mask.
    Mask,
}

/// What a network is compared with: where integrated gradients begin, and what a masked edge becomes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Baseline {
    /// The mean of the training networks: a network like the others, that says nothing of anybody.
    #[default]
    Mean,
    /// The empty one, which no model has seen, and where weights that are divided by a region's strength jump.
    Zero,
}

impl Method {
    /// The one that suits a model.
    ///
    /// # Errors
    /// A model that has neither weights nor gradients.
    pub fn usual(model: &Model) -> Result<Self, NetworkError> {
        match model.entry.family {
            Family::Linear => Ok(Self::Pattern),
            Family::Deep => Ok(Self::Gradients),
            Family::Constant | Family::Shallow => Err(closed(model)),
        }
    }

    /// Whether it can explain such a model.
    ///
    /// # Errors
    /// Why not, and what would.
    pub fn suits(self, model: &Model) -> Result<(), NetworkError> {
        let attends = || model.candidates.iter().all(|(_, learner)| learner.attends());
        let problem = match (model.entry.family, self) {
            (Family::Constant | Family::Shallow, _) => return Err(closed(model)),
            (Family::Linear, Self::Attention) => {
                "is linear and has no attention (choose --method pattern or gradients)"
            }
            (Family::Linear, Self::Mask) => "is linear, and its edges need no mask (choose --method pattern)",
            (Family::Deep, Self::Pattern) => "is not linear, and has no pattern (choose --method gradients)",
            (Family::Deep, Self::Attention) if !attends() => {
                "has no attention (choose --method gradients, or a model with attention such as node-concat-attention)"
            }
            _ => return Ok(()),
        };
        Err(NetworkError::Model { model: model.name.clone(), problem: problem.into() })
    }

    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Pattern => "pattern",
            Self::Gradients => "gradients",
            Self::Attention => "attention",
            Self::Mask => "mask",
        }
    }

    /// What an edge's value is, in one sentence.
    pub fn says(self) -> &'static str {
        match self {
            Self::Pattern => {
                "By how much the edge changes where the model's output grows by one (Haufe's pattern): where the brain differs, not \
                 which weights tell it."
            }
            Self::Gradients => {
                "How much of the difference that the model makes between people of the class and others passes through the edge \
                 (integrated gradients); below 0 it misleads the model."
            }
            Self::Attention => {
                "How much the two regions listen to each other, in the mean over people, layers and heads: where the model looks, \
                 not what it makes of it."
            }
            Self::Mask => {
                "How much of the edge the fitted model needs, from 0 to 1, the same for everybody (a shared mask)."
            }
        }
    }
}

impl Baseline {
    /// Its name.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Zero => "zero",
        }
    }
}

fn closed(model: &Model) -> NetworkError {
    let problem = "has neither a weight an edge nor gradients (choose logistic, svm, ridge, or a deep model)".into();
    NetworkError::Model { model: model.name.clone(), problem }
}

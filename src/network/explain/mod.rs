//! Which edges and regions does a model read, and how surely? One file a method, each over models that were learned without the
//! people they are explained on.
//!
//! | method | of | an edge's value |
//! |---|---|---|
//! | [`pattern`] | linear models | how the edge moves with what the model says (Haufe et al. 2014) |
//! | [`gradients`] | linear and deep models | how much of what the model gains by the truth passes through the edge (integrated gradients, Sundararajan et al. 2017) |
//! | [`attention`] | models with attention | how much the two regions listen to each other |
//! | [`mask`] | deep models | how much of the edge a fitted model needs (the shared mask of IBGNN, Cui et al. 2022) |
//!
//! Values come by fold; what stands in all folds is for [`stability`] to say. Whether the model is worth explaining is for its
//! score on people it has not seen to say.

pub mod attention;
mod brain;
mod chord;
mod fold;
pub mod gradients;
mod layers;
pub mod mask;
mod matrix;
mod method;
mod pairs;
pub mod pattern;
mod report;
mod shades;
pub mod stability;

pub use fold::{Explained, Explaining};
pub use layers::{Integrated, Layers};
pub use mask::MaskConfig;
pub use method::{Baseline, Method};
pub use pairs::{gathered, saliency, spread};
pub use report::{Output, Report};
pub use stability::{Overlap, Ranked, Stability};

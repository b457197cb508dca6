//! How does a network of layers learn from networks of regions? Written once over an algebra, learned with gradients, and
//! exported as the ONNX graph of the same operations.
//!
//! **Invariant.** What is exported is what was learned: [`Values`] and [`Graph`] are two readings of one function.

mod adam;
pub mod algebra;
mod batch_norm;
mod calibration;
mod error;
mod graph;
mod kernels;
pub mod layers;
mod learner;
mod loss;
mod network;
mod parameters;
mod perceptron;
mod products;
mod protobuf;
mod training;
mod values;

pub use algebra::{Algebra, Initial};
pub use error::Failure;
pub use graph::{Graph, Symbol};
pub use learner::{CONNECTIVITY, DeepLearner, FEATURES, LOGITS, PROBABILITIES, Trained, VALUE};
pub use network::{NativeFeatures, Network};
pub use parameters::{Parameters, Precision, Running, Saved};
pub use perceptron::Perceptron;
pub use training::{History, Training};
pub use values::Values;

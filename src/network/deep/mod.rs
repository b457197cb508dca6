//! How does a network of layers learn from networks of regions? Written once over an algebra, learned with gradients, and
//! exported as the ONNX graph of the same operations.
//!
//! **Invariant.** What is exported is what was learned: [`Values`] and [`Graph`] are two readings of one function.

mod adam;
pub mod algebra;
mod attention;
mod baselines;
mod batch_norm;
mod catalogue;
#[cfg(test)]
mod checks;
mod edges;
mod error;
mod explain;
mod features;
mod graph;
mod graph_network;
mod kernels;
pub mod layers;
mod learner;
mod linear;
mod loss;
mod messages;
mod network;
mod parameters;
mod perceptron;
mod pooling;
mod products;
mod protobuf;
mod terms;
mod training;
mod values;

pub use algebra::{Algebra, Initial};
pub use baselines::{BrainGnn, BrainNetCnn, BrainTransformer};
pub use catalogue::{ENTRIES, learner};
pub use edges::EdgeRule;
pub use error::Failure;
pub use features::{EIGENVECTOR, Eigenvectors, NodeFeatures};
pub use graph::{Graph, Symbol};
pub use graph_network::GraphNetwork;
pub use learner::{CONNECTIVITY, DeepLearner, FEATURES, LOGITS, PROBABILITIES, REFERENCE, Trained, VALUE};
pub use linear::linear_model;
pub use messages::Messages;
pub use network::{NativeFeatures, Network};
pub use parameters::{Parameters, Precision, Running, Saved};
pub use perceptron::Perceptron;
pub use pooling::Pooling;
pub use protobuf::with_constant;
pub use training::{History, Training};
pub use values::Values;

//! How do regions interact, and what does that say of a person? Networks of regions, and models that read a diagnosis, a task or a
//! score from them.
//!
//! Source: Cui et al. 2022, *BrainGB: A Benchmark for Brain Network Analysis with Graph Neural Networks* (arXiv 2204.07054).

pub mod baselines;
pub mod benchmark;
mod calibration;
pub mod connectome;
pub mod deep;
pub mod division;
mod error;
pub mod explain;
pub mod fingerprint;
mod learner;
mod networks;
pub mod scores;
mod sliding;
pub mod synthetic;

pub use calibration::{LeftOut, learn_calibrated, log_loss};
pub use error::NetworkError;
pub use learner::{Exported, ExportedFeatures, Fitted, Inside, Learner, Rows};
pub use networks::{Making, Networks, Targets};
pub use sliding::SlidingWindow;

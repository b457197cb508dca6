//! Which thread does what? Lanes for live input, one virtual-time loop for replay, the same steps in both.

mod at_work;
mod chain;
mod checkpoints;
mod connectome;
pub mod decoder;
pub mod encoder;
pub mod features;
mod identifier;
pub mod lane_events;
pub mod lane_infer;
pub mod lane_learn;
pub mod lane_network;
pub mod lane_publish;
pub mod lane_source;
pub mod lanes;
pub mod metrics;
mod network_config;
mod network_reader;
mod plan;
pub mod predicted;
mod predictor;
pub mod priority;
mod recent;
pub mod replay;
pub mod session;
pub mod volumes;

pub use chain::Chain;
pub use checkpoints::ResumeError;
pub use connectome::NetworkStep;
pub use identifier::{Candidates, IdentificationConfig, Identifier, MOST_CANDIDATES};
pub use network_config::{Edges, NetworkConfig, Shrink};
pub use network_reader::NetworkReader;
pub use plan::{EncoderFeed, Feed, NetworkFeed, Plan, PlanError, PredictorPlan};
pub use predictor::{InputSpec, Predictor, PredictorConfig, VolumeTime};

//! What do others make of networks of regions? The deep baselines of the paper's table and its successor, one file each.
//!
//! They are written over the same [`Algebra`](super::Algebra) as the graph networks, so that they learn, are calibrated and are
//! exported as those are. `docs/network-baselines.md` says what was chosen where papers and released codes differ.

mod brain_gnn;
mod brain_net_cnn;
mod brain_transformer;
#[cfg(test)]
mod tests;

pub use brain_gnn::BrainGnn;
pub use brain_net_cnn::BrainNetCnn;
pub use brain_transformer::BrainTransformer;

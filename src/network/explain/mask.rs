//! Which edges does a fitted model need? One mask for everybody, learned while the model stays as it is (Cui et al. 2022, MICCAI,
//! *Interpretable Graph Neural Networks for Connectome-Based Brain Disorder Analysis*: IBGNN).
//!
//! Every edge is multiplied by m = σ(M), the same for all people and both ways: A' = Ā + m ∘ (A − Ā), Ā the baseline. M is learned by
//! Adam from all 1 so that masked networks of the training people are still given their class and what the model itself says of
//! the whole network, with few edges (the mean of m) and decided ones (the entropy of m):
//!
//! class · CE(f(A'), y) + agreement · CE(f(A'), ŷ) + sparsity · mean m + entropy · mean H(m)
//!
//! The paper masks towards the empty network (Ā = 0), which moves everybody's output when an edge goes, so that edges are kept
//! that are the same in all people; towards the mean of the training networks an edge that goes is one that nobody is told apart
//! by. The paper goes on to learn the model anew on masked networks; here it stays, because it is this model that is asked about.
//! Weights, rate and epochs are those of the released code (HennyJie/IBGNN), but that it lets the sum of m cost 0.0005 an entry: the
//! mean costs the same however many regions there are, and as much as that sum where there are 90, as in its data.

use serde::Serialize;

/// What a mask is learned by.
#[derive(Clone, Copy, Debug, PartialEq, Serialize)]
pub struct MaskConfig {
    /// Weight of the loss of the truth.
    pub class: f64,
    /// Weight of the loss of what the model says of the whole network.
    pub agreement: f64,
    /// What it costs to keep all edges.
    pub sparsity: f64,
    /// What it costs to leave all edges undecided, by their entropy in nats.
    pub entropy: f64,
    /// Adam's step size.
    pub lr: f64,
    /// Passes over the training samples.
    pub epochs: usize,
}

impl Default for MaskConfig {
    fn default() -> Self {
        Self { class: 10.0, agreement: 10.0, sparsity: 4.0, entropy: 1.0, lr: 0.01, epochs: 100 }
    }
}

//! What is a graph neural network of the brain? Node features, messages with or without attention, pooling, and a head: any
//! combination of the options of BrainGB.
//!
//! ```
//! use neurod::network::deep::{GraphNetwork, Messages, Network, Pooling};
//! let network: GraphNetwork = toml::from_str(
//!     r#"
//!     messages = "node concat with attention"
//!     pooling = "mean"
//!     hidden = 32
//!     "#,
//! )?;
//! assert_eq!((network.messages, network.pooling, network.layers), (Messages::AttentionNodeConcat, Pooling::Mean, 2));
//! assert_eq!(network.name(), "connection profile + node concat with attention + mean");
//! # Ok::<(), toml::de::Error>(())
//! ```

use serde::{Deserialize, Serialize};

use super::edges::{EdgeRule, Edges};
use super::features::{self, NodeFeatures};
use super::layers::mlp;
use super::messages::{Hearing, Messages};
use super::network::{NativeFeatures, Network};
use super::pooling::{self, Pooling};
use super::{Algebra, Failure};

/// The four modules (Cui et al. 2022, figure 1), with their settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GraphNetwork {
    /// What is known of a region.
    pub features: NodeFeatures,
    /// What it hears of the others.
    pub messages: Messages,
    /// How all become one vector.
    pub pooling: Pooling,
    /// Layers of messages; the last one belongs to the pooling.
    pub layers: usize,
    /// Columns of a layer, H.
    pub hidden: usize,
    /// Heads of attention, K.
    pub heads: usize,
    /// With which probability attention, and what a layer gives, is left out while learning.
    pub dropout: f64,
    /// Which entries of a network are edges.
    pub edges: EdgeRule,
    /// How often "edge weight concat" repeats a weight, and how long a bin's vector is.
    pub edge_embedding: usize,
    /// How wide a bin of "bin concat" is.
    pub bucket: f64,
    /// How many eigenvectors are features.
    pub eigenvectors: usize,
    /// How many bins of the degree are features.
    pub degree_bins: usize,
    /// Groups of DiffPool, as a share of the regions.
    pub pool_ratio: f64,
    /// Whether to compute as the released code does, with its defects; [`Training::as_released`](super::Training) learns so.
    #[serde(skip)]
    pub as_released: bool,
}

impl Default for GraphNetwork {
    fn default() -> Self {
        Self {
            features: NodeFeatures::default(),
            messages: Messages::default(),
            pooling: Pooling::default(),
            layers: 2,
            hidden: 64,
            heads: 2,
            dropout: 0.0,
            edges: EdgeRule::default(),
            edge_embedding: 256,
            bucket: 0.05,
            eigenvectors: 16,
            degree_bins: 10,
            pool_ratio: 0.25,
            as_released: false,
        }
    }
}

impl GraphNetwork {
    /// How many bins divide [−1, 1].
    pub(super) fn buckets(&self) -> usize {
        // Not one more because 2/0.05 is a little over 40 in floating point.
        (2.0 / self.bucket - 1e-9).ceil() as usize
    }

    /// How many groups DiffPool makes of so many regions.
    pub(super) fn groups(&self, nodes: usize) -> usize {
        ((self.pool_ratio * nodes as f64).ceil() as usize).max(1)
    }

    pub(super) fn check(&self) -> Result<(), Failure> {
        let share = |v: f64| v > 0.0 && v <= 1.0;
        let problem = match self {
            Self { layers: 0, .. } => "layers must be at least 1",
            Self { hidden: 0, .. } => "hidden must be at least 1",
            Self { heads: 0, .. } => "heads must be at least 1",
            Self { edge_embedding: 0, .. } => "edge_embedding must be at least 1",
            Self { eigenvectors: 0, .. } => "eigenvectors must be at least 1",
            Self { degree_bins: 0, .. } => "degree_bins must be at least 1",
            Self { dropout, .. } if !(0.0..1.0).contains(dropout) => "dropout must be 0 or more, and less than 1",
            Self { bucket, .. } if !(0.001..=2.0).contains(bucket) => "bucket must be from 0.001 to 2",
            Self { pool_ratio, .. } if !share(*pool_ratio) => "pool_ratio must be more than 0, and at most 1",
            Self { edges: EdgeRule::Nonzero, as_released: true, .. } => {
                "the released code takes every entry for an edge (edges = \"all\")"
            }
            _ => return Ok(()),
        };
        Err(Failure::Settings(problem.into()))
    }
}

impl Network for GraphNetwork {
    fn name(&self) -> String {
        format!("{} + {} + {}", self.features.name(), self.messages.name(), self.pooling.name())
    }

    fn features<A: Algebra>(&self, a: &A, connectivity: &A::Tensor) -> Result<A::Tensor, Failure> {
        self.check()?;
        self.features.of(a, connectivity, self)
    }

    fn native(&self) -> Option<&dyn NativeFeatures> {
        features::native(self)
    }

    fn smooth_features(&self) -> bool {
        self.features.smooth()
    }

    fn attends(&self) -> bool {
        self.messages.attend()
    }

    fn logits<A: Algebra>(
        &self,
        a: &A,
        connectivity: &A::Tensor,
        features: &A::Tensor,
        outputs: usize,
    ) -> Result<A::Tensor, Failure> {
        self.check()?;
        let edges = Edges::new(a, connectivity, self.edges)?;
        let dropout = if self.as_released { 0.0 } else { self.dropout };
        let mut nodes = features.clone();
        for layer in 0..self.layers - 1 {
            let hearing = Hearing { a, name: format!("layers.{layer}"), nodes: &nodes, edges: &edges, settings: self };
            nodes = a.dropout(&pooling::layer(&hearing, self.hidden)?, dropout)?;
        }
        let name = format!("layers.{}", self.layers - 1);
        let (pooled, columns) =
            self.pooling.read(&Hearing { a, name, nodes: &nodes, edges: &edges, settings: self })?;
        mlp(a, "head", &pooled, &[columns, 256, 32, outputs], 0.2, 0.0)
    }
}

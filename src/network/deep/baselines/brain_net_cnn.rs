//! What does a region's whole row of edges say? BrainNetCNN (Kawahara et al. 2017, NeuroImage 146:1038): convolutions over the
//! rows and columns of a connectome.
//!
//! An edge-to-edge layer gives edge (i, j) what its row and its column say, eᵢⱼ = Σₖ r·xᵢₖ + Σₖ c·xₖⱼ (eq. 2 there), an
//! edge-to-node layer gives a region what its row says, and a node-to-graph layer gives the graph what its regions say.
//!
//! The sizes are those of the code that the later comparisons ran (Kan et al. 2022): 32 and 64 edge features, one node feature,
//! where Kawahara has 32, 32 and 64. Like that code, and unlike the paper's general form, edge-to-node has no column filter: of
//! a symmetric network it would say the same again. That code's dropout also strikes while predicting, and its logits pass a
//! leaky ReLU; here they do not.

use serde::{Deserialize, Serialize};

use super::super::layers::linear;
use super::super::network::Network;
use super::super::{Algebra, Failure};

/// BrainNetCNN's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrainNetCnn {
    /// Features of an edge after each edge-to-edge layer.
    pub edge_features: Vec<usize>,
    /// Features of a region after the edge-to-node layer.
    pub node_features: usize,
    /// Features of the graph after the node-to-graph layer.
    pub graph_features: usize,
    /// Units of the linear layers before the last one.
    pub hidden: Vec<usize>,
    /// How much of a negative number a leaky ReLU lets pass.
    pub slope: f64,
    /// With which probability features of the graph, and units, are left out while learning.
    pub dropout: f64,
}

impl Default for BrainNetCnn {
    fn default() -> Self {
        Self {
            edge_features: vec![32, 64],
            node_features: 1,
            graph_features: 256,
            hidden: vec![128, 30],
            slope: 0.33,
            dropout: 0.5,
        }
    }
}

impl BrainNetCnn {
    fn check(&self) -> Result<(), Failure> {
        let problem = match self {
            Self { edge_features, .. } if edge_features.contains(&0) => "edge_features must be at least 1 each",
            Self { node_features: 0, .. } => "node_features must be at least 1",
            Self { graph_features: 0, .. } => "graph_features must be at least 1",
            Self { hidden, .. } if hidden.contains(&0) => "hidden must be at least 1 each",
            Self { slope, .. } if !(0.0..=1.0).contains(slope) => "slope must be from 0 to 1",
            Self { dropout, .. } if !(0.0..1.0).contains(dropout) => "dropout must be 0 or more, and less than 1",
            _ => return Ok(()),
        };
        Err(Failure::Settings(problem.into()))
    }
}

impl Network for BrainNetCnn {
    fn name(&self) -> String {
        "brainnetcnn".into()
    }

    fn logits<A: Algebra>(
        &self,
        a: &A,
        connectivity: &A::Tensor,
        _features: &A::Tensor,
        outputs: usize,
    ) -> Result<A::Tensor, Failure> {
        self.check()?;
        let nodes = a.size(connectivity, -1)?;
        let row = |features: usize| [0, nodes as isize, (nodes * features) as isize];
        let (mut edges, mut features) = (a.reshape(connectivity, &[0, 0, nodes as isize, 1])?, 1);
        for (layer, more) in self.edge_features.iter().enumerate() {
            let name = |part: &str| format!("edge_to_edge.{layer}.{part}");
            let rows = a.reshape(&edges, &row(features))?;
            let columns = a.reshape(&a.permute(&edges, &[0, 2, 1, 3])?, &row(features))?;
            let rows = linear(a, &name("rows"), &rows, nodes * features, *more)?;
            let columns = linear(a, &name("columns"), &columns, nodes * features, *more)?;
            let (n, f) = (nodes as isize, *more as isize);
            let met = a.add(&a.reshape(&rows, &[0, n, 1, f])?, &a.reshape(&columns, &[0, 1, n, f])?)?;
            (edges, features) = (a.leaky_relu(&met, self.slope)?, *more);
        }
        let rows = a.reshape(&edges, &row(features))?;
        let regions = linear(a, "edge_to_node", &rows, nodes * features, self.node_features)?;
        let regions = a.reshape(&a.leaky_relu(&regions, self.slope)?, &[0, (nodes * self.node_features) as isize])?;
        let mut x = linear(a, "node_to_graph", &regions, nodes * self.node_features, self.graph_features)?;
        let mut units = self.graph_features;
        for (layer, next) in self.hidden.iter().chain([&outputs]).enumerate() {
            x = a.dropout(&a.leaky_relu(&x, self.slope)?, self.dropout)?;
            x = linear(a, &format!("head.{layer}"), &x, units, *next)?;
            units = *next;
        }
        Ok(x)
    }
}

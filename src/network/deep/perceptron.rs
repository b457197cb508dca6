//! What do plain layers see in all edges at once? A multilayer perceptron on the connectivity, laid out as one vector.

use serde::{Deserialize, Serialize};

use super::layers::{linear, mlp};
use super::network::Network;
use super::{Algebra, Failure};

/// Linear, leaky ReLU, batch normalisation and dropout, then a head: the baseline that networks of regions have to beat.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Perceptron {
    /// Units of the first layer; the second one has half of them.
    pub hidden: usize,
    /// With which probability each unit is left out while learning.
    pub dropout: f64,
}

impl Default for Perceptron {
    fn default() -> Self {
        Self { hidden: 64, dropout: 0.5 }
    }
}

impl Network for Perceptron {
    fn name(&self) -> String {
        "mlp".into()
    }

    fn logits<A: Algebra>(
        &self,
        a: &A,
        connectivity: &A::Tensor,
        _features: &A::Tensor,
        outputs: usize,
    ) -> Result<A::Tensor, Failure> {
        let nodes = a.size(connectivity, -1)?;
        let edges = a.reshape(connectivity, &[0, -1])?;
        let x = linear(a, "first", &edges, nodes * nodes, self.hidden)?;
        let x = a.batch_norm("norm", &a.leaky_relu(&x, 0.2)?)?;
        let x = a.dropout(&x, self.dropout)?;
        mlp(a, "head", &x, &[self.hidden, self.hidden.div_ceil(2), outputs], 0.2, 0.0)
    }
}

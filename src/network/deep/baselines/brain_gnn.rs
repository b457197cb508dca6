//! Which regions matter? BrainGNN (Li et al. 2021, Medical Image Analysis 74:102233): a convolution that knows the regions, and
//! pooling that keeps the most telling ones.
//!
//! **Convolution.** Region i has weights of its own, Wᵢ = Σₖ relu(θᵢₖ) Bₖ + B₀, mixed of the bases of K communities, and hears the
//! others in the proportion softmax(eᵢⱼ) over its edges. **Pooling.** A score s = h·w / ‖w‖, standardised over regions; the share
//! `ratio` with the highest scores stays, times σ(s). The edges of those that stay are squared, so that regions two steps apart
//! hear each other (the released augmentation). Twice, each read by maximum and mean.
//!
//! **Losses.** `top`: scores that are far apart, −mean log of the highest and −mean log(1 − ·) of the lowest. `consistency`:
//! first-layer scores that are alike within a class, the variance of each region's score over the class, summed over regions
//! and classes (a number has no classes, and no such loss). `unit`: (‖w‖ − 1)².
//!
//! Followed is the released code (xxlya/BrainGNN_Pytorch), but for its scores, which follow the paper: there the code does
//! not standardise, passes its scores through σ twice before the losses, sees only the regions that stay, and compares regions
//! by rank instead of by name. Its message passing says "mean" and sums, as is done here. Edges are absolute values of the
//! connectivity, node features its rows; the paper takes partial correlation for the one and correlation for the other.

use serde::{Deserialize, Serialize};

use super::super::algebra::Unary;
use super::super::layers::linear;
use super::super::network::Network;
use super::super::{Algebra, Failure, Initial};

/// BrainGNN's settings.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BrainGnn {
    /// Communities whose bases are mixed.
    pub communities: usize,
    /// Columns of each of the two convolutions.
    pub columns: [usize; 2],
    /// Units of the second linear layer; the first one has as many as the second convolution has columns.
    pub hidden: usize,
    /// Which share of the regions stays.
    pub ratio: f64,
    /// With which probability each unit is left out while learning.
    pub dropout: f64,
    /// How much scores that are near each other cost, in each pooling.
    pub top: f64,
    /// How much scores that differ within a class cost.
    pub consistency: f64,
    /// How much a direction of scores that is not of length 1 costs.
    pub unit: f64,
}

impl Default for BrainGnn {
    fn default() -> Self {
        Self {
            communities: 8,
            columns: [32, 32],
            hidden: 512,
            ratio: 0.5,
            dropout: 0.5,
            top: 0.1,
            consistency: 0.1,
            unit: 0.0,
        }
    }
}

/// What a pooling says.
struct Pooled<T> {
    /// batch × N × D, times σ of the score.
    scored: T,
    /// batch × kept, for [`Algebra::rows`].
    kept: T,
}

impl BrainGnn {
    fn check(&self) -> Result<(), Failure> {
        let costs = [self.top, self.consistency, self.unit];
        let problem = match self {
            Self { communities: 0, .. } => "communities must be at least 1",
            Self { columns, .. } if columns.contains(&0) => "columns must be at least 1 each",
            Self { hidden: 0, .. } => "hidden must be at least 1",
            Self { ratio, .. } if !(*ratio > 0.0 && *ratio <= 1.0) => "ratio must be more than 0, and at most 1",
            Self { dropout, .. } if !(0.0..1.0).contains(dropout) => "dropout must be 0 or more, and less than 1",
            _ if !costs.iter().all(|cost| cost.is_finite() && *cost >= 0.0) => {
                "top, consistency and unit must be 0 or more"
            }
            _ => return Ok(()),
        };
        Err(Failure::Settings(problem.into()))
    }

    /// xᵢ Wᵢ of all N regions, batch × N × `outputs`.
    fn regional<A: Algebra>(&self, a: &A, name: &str, x: &A::Tensor, outputs: usize) -> Result<A::Tensor, Failure> {
        let (nodes, inputs, k) = (a.size(x, -2)?, a.size(x, -1)?, self.communities);
        let uniform = |count: usize| Initial::Uniform(1.0 / (count as f64).sqrt());
        let members = a.relu(&a.parameter(&format!("{name}.communities"), &[nodes, k], uniform(nodes))?)?;
        let bases = a.parameter(&format!("{name}.bases"), &[inputs, k * outputs], uniform(k))?;
        let base = a.parameter(&format!("{name}.base"), &[inputs, outputs], uniform(k))?;
        // All bases at once, and then each region's mix of them.
        let each = a.matmul(x, &a.concat(&[bases, base], -1)?)?;
        let each = a.reshape(&each, &[0, 0, k as isize + 1, outputs as isize])?;
        let members = a.concat(&[members, a.constant(&vec![1.0; nodes], &[nodes, 1])?], -1)?;
        let mixed = a.sum(&a.mul(&each, &a.reshape(&members, &[0, k as isize + 1, 1])?)?, -2)?;
        a.reshape(&mixed, &[0, 0, outputs as isize])
    }

    /// What regions hear of `x` over edges (batch × N × N); where an edge weighs 0 there is none.
    fn heard<A: Algebra>(&self, a: &A, name: &str, edges: &A::Tensor, x: &A::Tensor) -> Result<A::Tensor, Failure> {
        // Far below every weight, so that softmax gives no share to what is no edge.
        const NONE: f64 = 1e9;
        let absent = a.affine(&a.unary(Unary::Sign, edges)?, NONE, -NONE)?;
        let columns = a.size(x, -1)?;
        let bias = a.parameter(&format!("{name}.bias"), &[columns], Initial::Uniform(1.0 / (columns as f64).sqrt()))?;
        a.add(&a.matmul(&a.softmax(&a.add(edges, &absent)?)?, x)?, &bias)
    }

    fn pool<A: Algebra>(
        &self,
        a: &A,
        name: &str,
        x: &A::Tensor,
        consistency: f64,
    ) -> Result<Pooled<A::Tensor>, Failure> {
        let (nodes, columns) = (a.size(x, -2)?, a.size(x, -1)?);
        let direction = Initial::Uniform(1.0 / (columns as f64).sqrt());
        let direction = a.parameter(&format!("{name}.direction"), &[columns, 1], direction)?;
        let length = a.unary(Unary::Sqrt, &a.sum(&a.mul(&direction, &direction)?, 0)?)?;
        let along = a.div(&a.matmul(x, &direction)?, &length)?;
        let centred = a.sub(&along, &a.mean(&along, -2)?)?;
        let variance = a.mean(&a.mul(&centred, &centred)?, -2)?;
        // Regions that all score the same have no variance to be divided by.
        let scores = a.div(&centred, &a.unary(Unary::Sqrt, &a.affine(&variance, 1.0, 1e-10)?)?)?;
        let chances = a.sigmoid(&scores)?;
        let scores = a.reshape(&scores, &[0, nodes as isize])?;
        let count = ((self.ratio * nodes as f64).ceil() as usize).clamp(1, nodes);
        let (_, kept) = a.top(&scores, count)?;
        if a.learns() {
            let flat = a.reshape(&chances, &[0, nodes as isize])?;
            self.separate(a, &flat, nodes)?;
            a.penalise_spread(consistency, &flat)?;
            let missed = a.affine(&length, 1.0, -1.0)?;
            a.penalise(self.unit, &a.mul(&missed, &missed)?)?;
        }
        Ok(Pooled { scored: a.mul(x, &chances)?, kept })
    }

    /// Penalises chances (batch × N) that are not far apart.
    fn separate<A: Algebra>(&self, a: &A, chances: &A::Tensor, nodes: usize) -> Result<(), Failure> {
        const EPSILON: f64 = 1e-10;
        let some = ((self.ratio.min(1.0 - self.ratio) * nodes as f64) as usize).max(1);
        let (sorted, _) = a.top(chances, nodes)?;
        let (high, low) = (a.slice(&sorted, -1, 0, some)?, a.slice(&sorted, -1, nodes - some, some)?);
        a.penalise(-self.top, &a.unary(Unary::Ln, &a.affine(&high, 1.0, EPSILON)?)?)?;
        a.penalise(-self.top, &a.unary(Unary::Ln, &a.affine(&low, -1.0, 1.0 + EPSILON)?)?)
    }
}

/// Ones on the diagonal, and what `x` (batch × N × N) has elsewhere.
fn with_loops<A: Algebra>(a: &A, x: &A::Tensor) -> Result<A::Tensor, Failure> {
    let nodes = a.size(x, -1)?;
    let eye: Vec<f64> = (0..nodes * nodes).map(|i| f64::from(i / nodes == i % nodes)).collect();
    let eye = a.constant(&eye, &[nodes, nodes])?;
    a.add(&a.mul(x, &a.affine(&eye, -1.0, 1.0)?)?, &eye)
}

/// The maximum and the mean over regions, batch × 2D.
fn read<A: Algebra>(a: &A, x: &A::Tensor) -> Result<A::Tensor, Failure> {
    let columns = a.size(x, -1)? as isize;
    a.reshape(&a.concat(&[a.max(x, -2)?, a.mean(x, -2)?], -1)?, &[0, 2 * columns])
}

impl Network for BrainGnn {
    fn name(&self) -> String {
        "braingnn".into()
    }

    fn logits<A: Algebra>(
        &self,
        a: &A,
        connectivity: &A::Tensor,
        features: &A::Tensor,
        outputs: usize,
    ) -> Result<A::Tensor, Failure> {
        self.check()?;
        let [first, second] = self.columns;
        let edges = with_loops(a, &a.unary(Unary::Abs, connectivity)?)?;
        let x = self.heard(a, "convolutions.0", &edges, &self.regional(a, "convolutions.0", features, first)?)?;
        let Pooled { scored, kept } = self.pool(a, "pools.0", &x, self.consistency)?;

        // Weights are a region's own, so that they are applied before regions lose their places.
        let own = self.regional(a, "convolutions.1", &scored, second)?;
        let both = a.rows(&a.concat(&[scored, own], -1)?, &kept)?;
        let (x, own) = (a.slice(&both, -1, 0, first)?, a.slice(&both, -1, first, second)?);
        let one = read(a, &x)?;

        let among = a.transpose(&a.rows(&a.transpose(&a.rows(&edges, &kept)?)?, &kept)?)?;
        let edges = with_loops(a, &a.matmul(&among, &among)?)?;
        let x = self.heard(a, "convolutions.1", &edges, &own)?;
        let Pooled { scored, kept } = self.pool(a, "pools.1", &x, 0.0)?;
        let two = read(a, &a.rows(&scored, &kept)?)?;

        let mut x = a.concat(&[one, two], -1)?;
        let sizes = [2 * (first + second), second, self.hidden];
        for (layer, (inputs, units)) in sizes.iter().zip(sizes.iter().skip(1)).enumerate() {
            x = a.relu(&linear(a, &format!("head.{layer}"), &x, *inputs, *units)?)?;
            x = a.dropout(&a.batch_norm(&format!("norm.{layer}"), &x)?, self.dropout)?;
        }
        linear(a, "head.2", &x, self.hidden, outputs)
    }
}

//! Where does an output come from? Its gradient along the straight way from a baseline (Sundararajan et al. 2017, eq. 3).
//!
//! The gradient goes through the weights of edges and through node features alike, where those move smoothly with the edges (the
//! connection profile, the degree). Counts, bins and eigenvectors do not: on the way they stay what they are of the network that is
//! explained, and what the output changes by through them is missed: it shows in the gap.

use candle_core::{Tensor, Var};
use ndarray::{Array2, Array3, ArrayView2, Axis};

use super::super::learner::Trained;
use super::super::network::Network;
use super::super::values::numbers;
use super::super::{Algebra, Failure, Values};
use crate::network::explain::Integrated;

pub(super) fn integrated<N: Network>(
    of: &Trained<N>,
    network: ArrayView2<'_, f64>,
    baseline: ArrayView2<'_, f64>,
    steps: usize,
) -> Result<Integrated, Failure> {
    of.same_regions(network.nrows())?;
    let way = &network - &baseline;
    let held_of = |of_which| (!of.network.smooth_features()).then(|| still(of, of_which)).transpose();
    let (begin, held) = (held_of(baseline)?, held_of(network)?);
    let (nodes, batch) = (of.nodes, of.training.batch.max(1));
    let (_, outputs) = of.reading();
    let mut gradient = Array3::zeros((outputs, nodes, nodes));
    let middles: Vec<f64> = (0..steps).map(|step| (step as f64 + 0.5) / steps as f64).collect();
    for part in middles.chunks(batch) {
        let x = Var::from_tensor(&points(of, &way, baseline, part)?)?;
        let said = read(of, x.as_tensor(), held.as_ref())?;
        for (output, mut sum) in gradient.outer_iter_mut().enumerate() {
            let gradients = said.narrow(1, output, 1)?.contiguous()?.sum_all()?.backward()?;
            let Some(found) = gradients.get(x.as_tensor()) else { continue };
            let found = numbers(&found.contiguous()?)?;
            for one in found.chunks_exact(nodes * nodes) {
                sum.iter_mut().zip(one).for_each(|(sum, value)| *sum += value / steps as f64);
            }
        }
    }
    let end = |share: f64, held: Option<&Tensor>| -> Result<_, Failure> {
        numbers(&read(of, &points(of, &way, baseline, &[share])?, held)?)
    };
    let (from, to) = (end(0.0, begin.as_ref())?, end(1.0, held.as_ref())?);
    let change = from.iter().zip(&to).map(|(from, to)| to - from).collect();
    Ok(Integrated { attribution: &gradient * &way, gradient, change })
}

/// Networks at these shares of the way.
fn points<N: Network>(
    of: &Trained<N>,
    way: &Array2<f64>,
    baseline: ArrayView2<'_, f64>,
    shares: &[f64],
) -> Result<Tensor, Failure> {
    let point = |share: &f64| (way * *share + baseline).into_iter().collect::<Vec<_>>();
    let values: Vec<f64> = shares.iter().flat_map(point).collect();
    of.parameters.tensor(&values, &[shares.len(), of.nodes, of.nodes])
}

/// What is explained, of each network: batch × outputs.
fn read<N: Network>(of: &Trained<N>, x: &Tensor, held: Option<&Tensor>) -> Result<Tensor, Failure> {
    let a = Values::predict(&of.parameters);
    let (reading, outputs) = of.reading();
    let logits = of.network.logits(&a, x, &of.features(&a, x, held)?, of.count())?;
    a.matmul(&logits, &a.constant(&reading, &[of.count(), outputs])?)
}

/// The node features of one network, 1 × N × F.
fn still<N: Network>(of: &Trained<N>, network: ArrayView2<'_, f64>) -> Result<Tensor, Failure> {
    if let Some(native) = of.network.native() {
        let computed = native.compute(network)?.insert_axis(Axis(0));
        let values: Vec<f64> = computed.iter().copied().collect();
        return of.parameters.tensor(&values, computed.shape());
    }
    let one: Vec<f64> = network.iter().copied().collect();
    of.network.features(&Values::predict(&of.parameters), &of.parameters.tensor(&one, &[1, of.nodes, of.nodes])?)
}

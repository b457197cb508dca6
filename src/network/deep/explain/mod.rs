//! What can be looked at in a trained network? Its gradients along a way, its attention, and what it needs of a masked network.

mod integrated;
mod mask;

use candle_core::Tensor;
use ndarray::{Array2, Array3, ArrayView2, Axis};

use super::learner::{Outputs, Trained, samples};
use super::network::Network;
use super::values::numbers;
use super::{Algebra, Failure, Values};
use crate::network::explain::{Integrated, Layers, MaskConfig};
use crate::network::{NetworkError, Rows};

impl<N: Network> Layers for Trained<N> {
    fn integrated(
        &self,
        network: ArrayView2<'_, f64>,
        baseline: ArrayView2<'_, f64>,
        steps: usize,
    ) -> Result<Integrated, NetworkError> {
        integrated::integrated(self, network, baseline, steps).map_err(|error| self.named(&error))
    }

    fn attention(&self, rows: Rows<'_>) -> Result<Option<Array3<f64>>, NetworkError> {
        self.watched(rows).map_err(|error| self.named(&error))
    }

    fn mask(
        &self,
        rows: Rows<'_>,
        baseline: ArrayView2<'_, f64>,
        config: &MaskConfig,
        seed: u64,
    ) -> Result<Array2<f64>, NetworkError> {
        mask::mask(self, rows, baseline, config, seed).map_err(|error| self.named(&error))
    }
}

impl<N: Network> Trained<N> {
    /// What makes the explained outputs of the network's own: numbers × outputs.
    fn reading(&self) -> (Vec<f64>, usize) {
        match self.outputs {
            Outputs::Classes(2, _) => (vec![-1.0, 1.0], 1),
            Outputs::Classes(classes, _) => {
                let entry = |at: usize| f64::from(at / classes == at % classes) - 1.0 / classes as f64;
                ((0..classes * classes).map(entry).collect(), classes)
            }
            Outputs::Number { deviation, .. } => (vec![deviation], 1),
        }
    }

    /// Node features of networks that may change; `held` where they are not to follow them.
    fn features(&self, a: &Values<'_>, x: &Tensor, held: Option<&Tensor>) -> Result<Tensor, Failure> {
        let Some(held) = held else { return self.network.features(a, x) };
        let (_, nodes, columns) = held.dims3()?;
        Ok(held.broadcast_as((x.dim(0)?, nodes, columns))?.contiguous()?)
    }

    fn watched(&self, rows: Rows<'_>) -> Result<Option<Array3<f64>>, Failure> {
        self.same_regions(rows.networks.nodes())?;
        let mut all = Array3::zeros((rows.rows.len(), self.nodes, self.nodes));
        let batch = self.training.batch.max(1);
        for (chunk, mut into) in rows.rows.chunks(batch).zip(all.axis_chunks_iter_mut(Axis(0), batch)) {
            let samples = samples(&self.network, &self.parameters, batch, Rows { rows: chunk, ..rows })?;
            let a = Values::watch(&self.parameters);
            self.network.logits(&a, &samples.connectivity, &samples.features, self.count())?;
            let seen = a.watched();
            if seen.is_empty() {
                return Ok(None);
            }
            for attention in &seen {
                // Heads are an axis of some, and tensors of their own in others; a layer of several counts as often.
                let attention = if attention.rank() == 4 { attention.mean(1)? } else { attention.clone() };
                let values = numbers(&a.affine(&attention, 1.0 / seen.len() as f64, 0.0)?)?;
                into.iter_mut().zip(values).for_each(|(sum, value)| *sum += value);
            }
        }
        Ok(Some(all))
    }
}

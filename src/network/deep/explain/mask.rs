//! How is a mask learned? By Adam on the mask alone, the network as it is after learning.

use candle_core::{Tensor, Var};
use ndarray::{Array2, ArrayView2};

use super::super::adam::Adam;
use super::super::algebra::Unary;
use super::super::learner::{Outputs, Trained, samples};
use super::super::loss::Wanted;
use super::super::network::Network;
use super::super::training::{Samples, batches};
use super::super::values::numbers;
use super::super::{Algebra, Failure, Values};
use crate::draws::Draws;
use crate::network::baselines::Edges;
use crate::network::explain::MaskConfig;
use crate::network::{Rows, Targets};

/// A mask over one network, while it is learned.
struct Masking<'m, N> {
    of: &'m Trained<N>,
    config: &'m MaskConfig,
    /// M, N × N.
    learned: Var,
    /// 1 beside the diagonal.
    others: Tensor,
    /// Ā, N × N.
    baseline: Tensor,
    directed: bool,
}

pub(super) fn mask<N: Network>(
    of: &Trained<N>,
    rows: Rows<'_>,
    baseline: ArrayView2<'_, f64>,
    config: &MaskConfig,
    seed: u64,
) -> Result<Array2<f64>, Failure> {
    of.same_regions(rows.networks.nodes())?;
    let (nodes, batch) = (of.nodes, of.training.batch.max(2));
    let all = samples(&of.network, &of.parameters, batch, rows)?;
    let square = |values: &[f64]| of.parameters.tensor(values, &[nodes, nodes]);
    let others: Vec<f64> = (0..nodes * nodes).map(|at| f64::from(at / nodes != at % nodes)).collect();
    let baseline: Vec<f64> = baseline.iter().copied().collect();
    let masking = Masking {
        of,
        config,
        learned: Var::from_tensor(&square(&vec![1.0; nodes * nodes])?)?,
        others: square(&others)?,
        baseline: square(&baseline)?,
        directed: Edges::of(None, rows).directed(),
    };
    let (truth, own) = (wanted(of, rows), masking.own(&all, batch)?);
    let mut adam = Adam::new(vec![masking.learned.clone()], config.lr, 0.0);
    for epoch in 0..config.epochs {
        let mut order: Vec<usize> = (0..all.len()).collect();
        Draws::new(seed ^ 0x003a_5c00, epoch).shuffle(&mut order);
        for rows in batches(&order, batch) {
            let loss = masking.loss(&all.of(&rows)?, [&truth.of(&rows), &own.of(&rows)])?;
            if !numbers(&loss)?.iter().all(|value| value.is_finite()) {
                return Err(Failure::Diverged { epoch });
            }
            adam.step(&loss.backward()?)?;
        }
    }
    let found = numbers(&masking.mask(&Values::predict(&of.parameters))?)?;
    Array2::from_shape_vec((nodes, nodes), found).map_err(|_| Failure::Settings("a mask of another shape".into()))
}

/// What samples should give.
fn wanted<N: Network>(of: &Trained<N>, rows: Rows<'_>) -> Wanted {
    match (rows.targets, of.outputs) {
        (Targets::Classes { of: classes, .. }, _) => Wanted::Classes(
            rows.rows.iter().filter_map(|row| classes.get(*row).copied()).collect(),
            vec![1.0; of.count()],
        ),
        (Targets::Values(values), outputs) => {
            let (mean, deviation) = match outputs {
                Outputs::Number { mean, deviation } => (mean, deviation),
                Outputs::Classes(..) => (0.0, 1.0),
            };
            let value = |row: &usize| values.get(*row).map(|value| (value - mean) / deviation);
            Wanted::Values(rows.rows.iter().filter_map(value).collect())
        }
    }
}

impl<N: Network> Masking<'_, N> {
    /// m, N × N: 1 on the diagonal.
    fn mask(&self, a: &Values<'_>) -> Result<Tensor, Failure> {
        let learned = self.learned.as_tensor();
        let both = match self.directed {
            true => learned.clone(),
            false => a.affine(&a.add(learned, &a.transpose(learned)?)?, 0.5, 0.0)?,
        };
        a.add(&a.mul(&a.sigmoid(&both)?, &self.others)?, &a.affine(&self.others, -1.0, 1.0)?)
    }

    /// What the network gives of masked samples.
    fn said(&self, a: &Values<'_>, samples: &Samples, mask: &Tensor) -> Result<Tensor, Failure> {
        let apart = a.sub(&samples.connectivity, &self.baseline)?;
        let masked = a.add(&a.mul(&apart, mask)?, &self.baseline)?;
        let held = (!self.of.network.smooth_features()).then_some(&samples.features);
        self.of.network.logits(a, &masked, &self.of.features(a, &masked, held)?, self.of.count())
    }

    /// What the network gives of whole samples, as something to agree with.
    fn own(&self, samples: &Samples, batch: usize) -> Result<Wanted, Failure> {
        let count = self.of.count();
        let mut said = Vec::new();
        let rows: Vec<usize> = (0..samples.len()).collect();
        for rows in rows.chunks(batch) {
            let (a, part) = (Values::predict(&self.of.parameters), samples.of(rows)?);
            said.extend(numbers(&self.of.network.logits(&a, &part.connectivity, &part.features, count)?)?);
        }
        let largest =
            |row: &[f64]| row.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map_or(0, |(class, _)| class);
        Ok(match self.of.outputs {
            Outputs::Classes(..) => Wanted::Classes(said.chunks_exact(count).map(largest).collect(), vec![1.0; count]),
            Outputs::Number { .. } => Wanted::Values(said),
        })
    }

    fn loss(&self, samples: &Samples, [truth, own]: [&Wanted; 2]) -> Result<Tensor, Failure> {
        let a = &Values::predict(&self.of.parameters);
        let (mask, config) = (self.mask(a)?, self.config);
        let said = self.said(a, samples, &mask)?;
        let scaled = |loss: &Tensor, weight| a.affine(loss, weight, 0.0);
        let edges = (self.of.nodes * (self.of.nodes - 1)) as f64;
        let kept = a.mul(&mask, &self.others)?;
        // −m ln m − (1 − m) ln (1 − m); on the diagonal that is 0 but for what keeps the logarithm finite.
        let surprise = |share: &Tensor| a.mul(share, &a.unary(Unary::Ln, &a.affine(share, 1.0, 1e-15)?)?);
        let undecided = a.add(&surprise(&kept)?, &surprise(&a.mul(&a.affine(&mask, -1.0, 1.0)?, &self.others)?)?)?;
        let parts = [
            scaled(&truth.loss(a, &said)?, config.class)?,
            scaled(&own.loss(a, &said)?, config.agreement)?,
            scaled(&kept.sum_all()?, config.sparsity / edges)?,
            scaled(&undecided.sum_all()?, -config.entropy / edges)?,
        ];
        let mut loss = a.constant(&[0.0], &[1])?.sum_all()?;
        for part in parts {
            loss = loss.add(&part)?;
        }
        Ok(loss)
    }
}

//! Is the best feature space better by chance? Its predictions exchanged with each other one's, run by run.

use std::iter;

use ndarray::{Array2, ArrayView2, Axis};

use super::scores::{Quality, blocks, members};
use crate::datasets::Voxel;
use crate::encoding::report::Chance;
use crate::encoding::statistics::{Exchanged, exchange_correlations, exchange_means, false_discovery};
use crate::linalg::Real;

/// What one feature space predicted of the samples that are scored.
pub struct Predicted {
    /// Samples × V.
    pub values: Array2<f32>,
    /// Of every set of voxels, the fraction of its pairs that each sample wins in 2V2.
    pub won: Vec<Vec<f64>>,
}

/// How likely by chance the best is so far from another.
pub struct Tested {
    /// Of every set: of Pearson's r per voxel, and of 2V2. q is over all sets and feature spaces.
    pub sets: Vec<[Chance; 2]>,
    /// Of Pearson's r of every voxel; q is over all voxels that are good for something. None of the others.
    pub voxels: Vec<Option<Chance>>,
}

/// What was measured of the samples that are scored, and how often it is drawn.
pub struct Exchanges<'a, T> {
    /// All responses: n × V.
    pub y: ArrayView2<'a, T>,
    /// Which of their rows are scored.
    pub rows: &'a [usize],
    /// The run of each of all rows; empty where unknown.
    pub runs: &'a [String],
    /// What each voxel is called.
    pub voxels: &'a [Voxel],
    /// What it is good for.
    pub quality: &'a [Quality],
    /// How often.
    pub draws: usize,
    /// By what.
    pub seed: u64,
}

impl<T: Real> Exchanges<'_, T> {
    /// Of the best and each of the others, in their order.
    ///
    /// # Errors
    /// Arrays that hold nothing.
    pub fn test(&self, best: &Predicted, others: &[&Predicted]) -> anyhow::Result<Vec<Tested>> {
        let y = self.y.select(Axis(0), self.rows).mapv(|value| value.wide() as f32);
        let blocks = blocks(self.runs, self.rows)?;
        let sets: Vec<Vec<usize>> = members(self.voxels, self.quality).into_iter().take(best.won.len()).collect();
        let (mut correlations, mut pairs) = (Vec::new(), Vec::new());
        for other in others {
            let both = [best.values.view(), other.values.view()];
            correlations.push(exchange_correlations(y.view(), both, &sets, &blocks, self.draws, self.seed)?);
            let won = best.won.iter().zip(&other.won);
            let of_set = |(a, b): (&Vec<f64>, &Vec<f64>)| exchange_means([a, b], &blocks, self.draws, self.seed);
            pairs.push(won.map(of_set).collect::<Result<Vec<f64>, _>>()?);
        }
        let r = adjusted(correlations.iter().map(|of| of.sets.as_slice()))?;
        let pairs = adjusted(pairs.iter().map(Vec::as_slice))?;
        let good = |v: &usize| self.quality.get(*v).is_some_and(|quality| *quality != Quality::NotFinite);
        let known: Vec<usize> = (0..self.voxels.len()).filter(good).collect();
        let tested = |((of, r), pairs): ((&Exchanged, Vec<Chance>), Vec<Chance>)| -> anyhow::Result<Tested> {
            let p: Vec<f64> = known.iter().filter_map(|v| of.voxels.get(*v).copied()).collect();
            let mut voxels = vec![None; self.voxels.len()];
            for (v, chance) in known.iter().zip(adjusted(iter::once(p.as_slice()))?.into_iter().flatten()) {
                voxels[*v] = Some(chance);
            }
            Ok(Tested { sets: r.into_iter().zip(pairs).map(|(r, pairs)| [r, pairs]).collect(), voxels })
        };
        correlations.iter().zip(r).zip(pairs).map(tested).collect()
    }
}

/// The false discovery rate beside each p, over all lists together.
fn adjusted<'a>(lists: impl Iterator<Item = &'a [f64]>) -> anyhow::Result<Vec<Vec<Chance>>> {
    let lists: Vec<&[f64]> = lists.collect();
    let mut q = false_discovery(&lists.concat())?.into_iter();
    let beside = |list: &&[f64]| list.iter().zip(q.by_ref()).map(|(p, q)| Chance { p: *p, q }).collect();
    Ok(lists.iter().map(beside).collect())
}

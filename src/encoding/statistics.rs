//! Could it be chance? Bootstrap intervals, permutation p-values and false discovery rates.
//!
//! fMRI samples that follow each other are not independent, so what is drawn anew is a block of neighbouring samples
//! ([`Blocks`]): a run, or a stretch longer than the response lasts. Blocks of one sample suit trials that stand far
//! apart. Everything is determined by its seed; the number of threads changes nothing.
//!
//! ```
//! use neurod::encoding::statistics::{Blocks, Bootstrap, mean_of};
//!
//! let scores: Vec<f64> = (0..100).map(|i| f64::from(i % 10)).collect();
//! let blocks = Blocks::of_length(100, 5)?;
//! let interval = Bootstrap::default().interval(&blocks, mean_of(&scores, &blocks)?)?;
//! assert!(interval.low < 4.5 && 4.5 < interval.high);
//! # Ok::<(), neurod::encoding::statistics::StatisticsError>(())
//! ```

mod exchange;
mod voxels;

use std::ops::Range;

use ndarray::{Array2, ArrayView2};
use thiserror::Error;

use super::metrics::MetricError;
use crate::draws::Draws;
pub use crate::interval::Interval;
use crate::parallel;
pub use exchange::{Exchanged, exchange_correlations, exchange_means};
pub use voxels::{Redrawn, VoxelSums};

/// Why there is no statistic.
#[derive(Clone, Debug, PartialEq, Error)]
pub enum StatisticsError {
    /// Nothing to draw from.
    #[error("{samples} samples in blocks of {length}: give at least one of each")]
    NoBlocks {
        /// Samples given.
        samples: usize,
        /// Samples per block.
        length: usize,
    },
    /// The blocks are not those of the values.
    #[error("blocks of {blocks} samples, but {samples} samples: make the blocks from these samples")]
    Samples {
        /// Samples in all blocks.
        blocks: usize,
        /// Samples given.
        samples: usize,
    },
    /// Too little is drawn.
    #[error("{0} draws: give at least 1")]
    Draws(usize),
    /// Not a probability between 0 and 1.
    #[error("confidence {0}: give a number between 0 and 1, such as 0.95")]
    Confidence(f64),
    /// Not a probability.
    #[error("p-value {value} of test {test}: a p-value lies from 0 to 1")]
    PValue {
        /// Which, counted from 0.
        test: usize,
        /// What it is.
        value: f64,
    },
    /// The arrays cannot be scored.
    #[error(transparent)]
    Metric(#[from] MetricError),
}

/// Neighbouring samples that belong together, in order, covering all.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocks(Vec<Range<usize>>);

impl Blocks {
    /// Blocks of `length` samples each, the last perhaps shorter.
    ///
    /// # Errors
    /// When there are no samples, or none to a block.
    pub fn of_length(samples: usize, length: usize) -> Result<Self, StatisticsError> {
        if samples == 0 || length == 0 {
            return Err(StatisticsError::NoBlocks { samples, length });
        }
        Ok(Self((0..samples).step_by(length).map(|first| first..samples.min(first + length)).collect()))
    }

    /// One block for every stretch of equal labels, such as run numbers (one label per sample).
    ///
    /// # Errors
    /// When there are no labels.
    pub fn of_labels<T: PartialEq>(labels: &[T]) -> Result<Self, StatisticsError> {
        let mut first = 0;
        let blocks: Vec<_> = labels
            .chunk_by(T::eq)
            .map(|chunk| {
                let block = first..first + chunk.len();
                first = block.end;
                block
            })
            .collect();
        if blocks.is_empty() { Err(StatisticsError::NoBlocks { samples: 0, length: 0 }) } else { Ok(Self(blocks)) }
    }

    /// How many blocks.
    pub fn count(&self) -> usize {
        self.0.len()
    }

    /// How many samples in all.
    pub fn samples(&self) -> usize {
        self.0.last().map_or(0, |block| block.end)
    }

    fn check(&self, samples: usize) -> Result<(), StatisticsError> {
        let blocks = self.samples();
        if blocks == samples { Ok(()) } else { Err(StatisticsError::Samples { blocks, samples }) }
    }
}

/// How an interval is drawn.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bootstrap {
    /// How often all blocks are drawn anew; 1000.
    pub draws: usize,
    /// The probability that the interval is to have; 0.95.
    pub confidence: f64,
    /// Which draws; 0.
    pub seed: u64,
}

impl Default for Bootstrap {
    fn default() -> Self {
        Self { draws: 1000, confidence: 0.95, seed: 0 }
    }
}

impl Bootstrap {
    /// How often each block is drawn, one line a draw: as many blocks as there are, with replacement.
    ///
    /// # Errors
    /// When nothing would be drawn, or the confidence is none.
    pub fn counts(&self, blocks: &Blocks) -> Result<Vec<Vec<u32>>, StatisticsError> {
        if self.draws == 0 {
            return Err(StatisticsError::Draws(0));
        }
        if !(self.confidence > 0.0 && self.confidence < 1.0) {
            return Err(StatisticsError::Confidence(self.confidence));
        }
        let drawn = |draw| {
            let (mut draws, mut counts) = (Draws::new(self.seed, draw), vec![0; blocks.count()]);
            for _ in 0..blocks.count() {
                if let Some(count) = counts.get_mut(draws.below(blocks.count())) {
                    *count += 1;
                }
            }
            counts
        };
        Ok((0..self.draws).map(drawn).collect())
    }

    /// The percentile interval of a statistic's value at every draw (Efron 1979), in whatever order.
    pub fn percentiles(&self, drawn: Vec<f64>) -> Interval {
        Interval::of(drawn, (1.0 - self.confidence) / 2.0)
    }

    /// The percentile interval of `statistic`, which is told how often each block was drawn.
    ///
    /// With one block the interval is a point: it says nothing.
    ///
    /// # Errors
    /// When nothing would be drawn, or the confidence is none.
    pub fn interval(&self, blocks: &Blocks, statistic: impl Fn(&[u32]) -> f64) -> Result<Interval, StatisticsError> {
        Ok(self.percentiles(self.counts(blocks)?.iter().map(|counts| statistic(counts)).collect()))
    }
}

/// The statistic "mean of one score per sample", for [`Bootstrap::interval`]: Pearson per sample, MAE per sample.
///
/// # Errors
/// When the blocks are not those of the scores.
pub fn mean_of(scores: &[f64], blocks: &Blocks) -> Result<impl Fn(&[u32]) -> f64 + Sync + use<>, StatisticsError> {
    blocks.check(scores.len())?;
    let sums: Vec<(f64, f64)> =
        blocks.0.iter().map(|block| (scores[block.clone()].iter().sum(), block.len() as f64)).collect();
    Ok(move |counts: &[u32]| {
        let weighted = |(sum, n): (f64, f64), (count, of): (&u32, &(f64, f64))| {
            (sum + f64::from(*count) * of.0, n + f64::from(*count) * of.1)
        };
        let (sum, n) = counts.iter().zip(&sums).fold((0.0, 0.0), weighted);
        sum / n.max(1.0)
    })
}

/// The statistic 2V2, for [`Bootstrap::interval`], from the fraction of pairs that each sample wins.
///
/// 2V2 is a mean over pairs, a U-statistic: its first-order change when samples are weighted anew is twice that of the
/// mean of the per-sample fractions (Hoeffding 1948, Ann. Math. Stat. 19:293). Kept within 0 and 1.
///
/// # Errors
/// When the blocks are not those of the samples.
pub fn two_v_two_of(
    per_sample: &[f64],
    blocks: &Blocks,
) -> Result<impl Fn(&[u32]) -> f64 + Sync + use<>, StatisticsError> {
    let mean = mean_of(per_sample, blocks)?;
    let score = per_sample.iter().sum::<f64>() / per_sample.len().max(1) as f64;
    Ok(move |counts: &[u32]| (2.0 * mean(counts) - score).clamp(0.0, 1.0))
}

/// How likely is a Pearson's r per voxel as high as this or higher, if prediction and measurement had nothing to do with
/// each other? V one-sided p-values.
///
/// The blocks of the prediction are put in another order `draws` times; `p = (1 + count) / (1 + draws)` (Phipson and
/// Smyth 2010, SAGMB 9:39), so the least possible is `1/(1+draws)`. Blocks of unlike length also shift what stands between
/// them. A voxel that has no correlation has p = 1.
///
/// # Errors
/// When the shapes differ, there is nothing, the blocks are not those of the samples, or nothing would be drawn.
pub fn permutation_p_values(
    y: ArrayView2<'_, f32>,
    p: ArrayView2<'_, f32>,
    blocks: &Blocks,
    draws: usize,
    seed: u64,
) -> Result<Vec<f64>, StatisticsError> {
    let r = super::metrics::pearson_per_voxel(y, p)?;
    blocks.check(y.nrows())?;
    if draws == 0 {
        return Err(StatisticsError::Draws(0));
    }
    // Means and variances stay what they are, so r is ordered as the products of the standardised columns.
    let (y, p) = (standardised(&y), standardised(&p));
    let counts = parallel::fold(
        draws,
        || vec![0_u32; y.ncols()],
        |counts, draw| {
            let mut order = blocks.0.clone();
            Draws::new(seed, draw).shuffle(&mut order);
            let mut products = vec![0.0; y.ncols()];
            for (y, from) in y.rows().into_iter().zip(order.into_iter().flatten()) {
                products.iter_mut().zip(y.iter().zip(p.row(from))).for_each(|(sum, (y, p))| *sum += y * p);
            }
            for ((count, product), r) in counts.iter_mut().zip(products).zip(&r.values) {
                // An order that gives the same r is as high, whatever its rounding.
                *count += u32::from(product >= r - 1e-12);
            }
        },
    );
    let total = |v: usize| counts.iter().filter_map(|part| part.get(v)).map(|n| f64::from(*n)).sum::<f64>();
    // An r that is defined and exactly 0 is as little evidence.
    let undefined = |v: usize| r.values.get(v).is_none_or(|r| *r == 0.0);
    Ok((0..y.ncols()).map(|v| if undefined(v) { 1.0 } else { (1.0 + total(v)) / (1.0 + draws as f64) }).collect())
}

/// Every column less its mean, scaled to length 1; NaN where it has none.
fn standardised(of: &ArrayView2<'_, f32>) -> Array2<f64> {
    let mut out = of.mapv(f64::from);
    for mut column in out.columns_mut() {
        let mean = column.mean().unwrap_or(0.0);
        column -= mean;
        let length = column.dot(&column).sqrt();
        column /= length;
    }
    out
}

/// q-values of `p_values`: the least false discovery rate at which each is called significant (Benjamini and Hochberg
/// 1995, JRSS B 57:289), as scipy's `false_discovery_control` has them.
///
/// # Errors
/// When one is not from 0 to 1.
pub fn false_discovery(p_values: &[f64]) -> Result<Vec<f64>, StatisticsError> {
    if let Some((test, value)) = p_values.iter().enumerate().find(|(_, p)| !(0.0..=1.0).contains(*p)) {
        return Err(StatisticsError::PValue { test, value: *value });
    }
    let mut ranked: Vec<(usize, f64)> = p_values.iter().copied().enumerate().collect();
    ranked.sort_by(|a, b| a.1.total_cmp(&b.1));
    let (mut q, mut least) = (vec![1.0; ranked.len()], 1.0_f64);
    for (rank, (test, p)) in ranked.iter().enumerate().rev() {
        least = least.min(p * ranked.len() as f64 / (rank + 1) as f64);
        if let Some(q) = q.get_mut(*test) {
            *q = least;
        }
    }
    Ok(q)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::metrics::pearson_per_sample;
    use crate::encoding::two_v_two::two_v_two;

    fn data(n: usize, v: usize, signal: f32) -> (Array2<f32>, Array2<f32>) {
        let mut draws = Draws::new(1, 0);
        let mut draw = || (0..12).map(|_| draws.below(1000) as f32 / 1000.0 - 0.5).sum::<f32>();
        let y = Array2::from_shape_fn((n, v), |_| draw());
        let p = y.mapv(|y| signal * y + draw());
        (y, p)
    }

    #[test]
    fn with_every_block_drawn_once_each_statistic_is_its_metric() {
        let (y, p) = data(40, 6, 0.5);
        for blocks in [Blocks::of_length(40, 1), Blocks::of_length(40, 7), Blocks::of_labels(&[0; 40])] {
            let blocks = blocks.unwrap();
            let once = vec![1; blocks.count()];
            let r = pearson_per_sample(y.view(), p.view()).unwrap();
            let pairs = two_v_two(y.view(), p.view()).unwrap();
            assert!((mean_of(&r.values, &blocks).unwrap()(&once) - r.mean()).abs() < 1e-12);
            assert!((two_v_two_of(&pairs.per_sample, &blocks).unwrap()(&once) - pairs.score).abs() < 1e-12);
        }
    }

    #[test]
    fn linearised_two_v_two_spreads_as_two_v_two_itself() {
        let (n, draws) = (120, 200);
        let (y, p) = data(n, 5, 0.3);
        let blocks = Blocks::of_length(n, 1).unwrap();
        let pairs = two_v_two(y.view(), p.view()).unwrap();
        let linear = two_v_two_of(&pairs.per_sample, &blocks).unwrap();
        let spread = |values: &[f64]| {
            let mean = values.iter().sum::<f64>() / values.len() as f64;
            (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / values.len() as f64).sqrt()
        };
        let (mut ours, mut exact) = (vec![], vec![]);
        for draw in 0..draws {
            let mut chance = Draws::new(9, draw);
            let rows: Vec<usize> = (0..n).map(|_| chance.below(n)).collect();
            let mut counts = vec![0; n];
            rows.iter().for_each(|row| counts[*row] += 1);
            ours.push(linear(&counts));
            let (y, p) = (y.select(ndarray::Axis(0), &rows), p.select(ndarray::Axis(0), &rows));
            exact.push(two_v_two(y.view(), p.view()).unwrap().score);
        }
        let ratio = spread(&ours) / spread(&exact);
        assert!((0.85..1.15).contains(&ratio), "{ratio}");
    }

    #[test]
    fn p_values_are_small_where_there_is_something_and_even_where_there_is_nothing() {
        let (y, mut p) = data(90, 60, 0.0);
        p.column_mut(0).assign(&y.column(0));
        p.column_mut(1).fill(0.7);
        p[[4, 2]] = f32::NAN;
        let blocks = Blocks::of_length(90, 3).unwrap();
        let values = permutation_p_values(y.view(), p.view(), &blocks, 199, 5).unwrap();
        assert_eq!(values[..3], [1.0 / 200.0, 1.0, 1.0]);
        let mean = values[3..].iter().sum::<f64>() / 57.0;
        // Uniform: a mean of 0.5, with a standard deviation of 0.29 / sqrt(57).
        assert!((mean - 0.5).abs() < 0.16, "{mean}");
        assert_eq!(permutation_p_values(y.view(), p.view(), &blocks, 199, 5).unwrap(), values);
        let one = Blocks::of_labels(&[0; 90]).unwrap();
        let values = permutation_p_values(y.view(), p.view(), &one, 19, 5).unwrap();
        assert!(values.iter().all(|p| *p == 1.0), "one block has one order");
    }

    #[test]
    fn an_interval_is_determined_by_its_seed() {
        let scores: Vec<f64> = (0..50).map(|i| f64::from(i * i % 17)).collect();
        let blocks = Blocks::of_length(50, 4).unwrap();
        let interval =
            |seed| Bootstrap { seed, ..Bootstrap::default() }.interval(&blocks, mean_of(&scores, &blocks).unwrap());
        assert_eq!(interval(1), interval(1));
        assert_ne!(interval(1), interval(2));
    }

    #[test]
    fn what_cannot_be_drawn_is_refused_by_name() {
        let blocks = Blocks::of_length(10, 3).unwrap();
        assert_eq!((blocks.count(), blocks.samples()), (4, 10));
        let says = |error: StatisticsError| error.to_string();
        assert_eq!(says(Blocks::of_length(10, 0).unwrap_err()), "10 samples in blocks of 0: give at least one of each");
        assert!(Blocks::of_labels::<u8>(&[]).is_err());
        let error = mean_of(&[1.0; 9], &blocks).map(|_| ()).unwrap_err();
        assert_eq!(says(error), "blocks of 10 samples, but 9 samples: make the blocks from these samples");
        let draw =
            |draws, confidence| Bootstrap { draws, confidence, seed: 0 }.interval(&blocks, |_| 0.0).map_err(says);
        assert_eq!(draw(0, 0.9).unwrap_err(), "0 draws: give at least 1");
        assert_eq!(draw(9, 1.0).unwrap_err(), "confidence 1: give a number between 0 and 1, such as 0.95");
        assert!(draw(9, f64::NAN).is_err());
        let error = false_discovery(&[0.1, 1.5]).map_err(says).unwrap_err();
        assert_eq!(error, "p-value 1.5 of test 1: a p-value lies from 0 to 1");
        assert!(false_discovery(&[f64::NAN]).is_err());
        let (y, p) = data(10, 2, 0.0);
        assert!(permutation_p_values(y.view(), p.t(), &blocks, 9, 0).is_err());
        assert_eq!(permutation_p_values(y.view(), p.view(), &blocks, 0, 0), Err(StatisticsError::Draws(0)));
    }
}

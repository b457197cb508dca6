//! What do a few voxels come to? Their scores, and the sums by which they count in every set they are in.

use ndarray::{Array2, ArrayView2};

use super::{Drawn, LEAST_CEILING, Sampling, VoxelScores};
use crate::encoding::ceiling::{NoiseCeiling, normalised};
use crate::encoding::metrics::{Scores, absolute, fold_means, mae_per_voxel, pearson_per_voxel, r2_per_voxel, varies};
use crate::encoding::statistics::{StatisticsError, VoxelSums, permutation_p_values};
use crate::linalg::Real;

/// A few voxels of the same sets.
pub(super) struct Part {
    /// One a column.
    pub voxels: Vec<VoxelScores>,
    /// The mean pattern of each fold's teaching rows: folds × columns.
    pub patterns: Array2<f32>,
    pub undefined: usize,
    pub r: Tally,
    pub r2: Tally,
    pub normalised: Option<[Tally; 2]>,
    pub ours: Moments,
    pub of_pattern: Moments,
    pub errors: Errors,
    pub pattern_errors: Errors,
}

impl Part {
    /// Of all measurements, and of the measurements and predictions that are scored, each of which belongs to a fold.
    pub fn of<T: Real>(
        [all, y, p]: [ArrayView2<'_, T>; 3],
        fold_of: &[Option<usize>],
        columns: &[usize],
        how: &Sampling<'_>,
        draws: &[Vec<u32>],
    ) -> Result<Self, StatisticsError> {
        let some = |a: ArrayView2<'_, T>| {
            Array2::from_shape_fn((a.nrows(), columns.len()), |(i, v)| a[(i, columns[v])].wide() as f32)
        };
        let (whole, p) = (some(all), some(p));
        let patterns = fold_means(whole.view(), how.folds);
        let y = if y.nrows() < all.nrows() { some(y) } else { whole };
        let mut pattern = Array2::zeros(y.raw_dim());
        for (mut row, fold) in pattern.rows_mut().into_iter().zip(fold_of) {
            fold.iter().for_each(|fold| row.assign(&patterns.row(*fold)));
        }
        let (y, p, pattern) = (y.view(), p.view(), pattern.view());
        let (r, r2, mae) = (pearson_per_voxel(y, p)?, r2_per_voxel(y, p)?.values, mae_per_voxel(y, p)?.values);
        let [r_of_pattern, r2_of_pattern] = [pearson_per_voxel(y, pattern)?.values, r2_per_voxel(y, pattern)?.values];
        // Without a stimulus that was repeated there is none.
        let ceiling = NoiseCeiling::new(y, how.stimuli).and_then(|ceiling| ceiling.r2(1)).ok();
        let p_values = match how.permutations {
            0 => None,
            permutations => Some(permutation_p_values(y, p, how.blocks, permutations, how.bootstrap.seed)?),
        };
        let redrawn = VoxelSums::new(y, p, how.blocks)?.redrawn(draws);
        let tally = |values: &[f64], baselines: &[f64], redrawn: &Array2<f64>, shares: &[Option<f64>]| Tally {
            count: shares.iter().flatten().count(),
            value: weighted(values, shares),
            baseline: weighted(baselines, shares),
            draws: redrawn.rows().into_iter().map(|row| weighted(row.as_slice().unwrap_or_default(), shares)).collect(),
        };
        let whole = vec![Some(1.0); columns.len()];
        let trusted: Option<Vec<f64>> =
            ceiling.as_ref().map(|all| all.iter().map(|nc| if *nc < LEAST_CEILING { 0.0 } else { *nc }).collect());
        let of_ceiling = match &trusted {
            None => None,
            Some(trusted) => {
                // What a score of 1 comes to is what it is multiplied by.
                let shares = normalised(&vec![1.0; columns.len()], trusted).unwrap_or_default();
                let squares: Vec<Option<f64>> = shares.iter().map(|share| share.map(|share| share * share)).collect();
                Some([
                    tally(&r.values, &r_of_pattern, &redrawn.r, &shares),
                    tally(&r2, &r2_of_pattern, &redrawn.r2, &squares),
                ])
            }
        };
        let voxel = |v: usize| {
            let (r, r2, ceiling) = (r.values[v], r2[v], ceiling.as_ref().and_then(|all| all.get(v).copied()));
            let normalised = ceiling.filter(|nc| *nc >= LEAST_CEILING).map(|nc| [r / nc.sqrt(), r2 / nc]);
            let p = p_values.as_ref().and_then(|all| all.get(v).copied());
            VoxelScores { r, r2, mae: mae[v], ceiling, normalised, p }
        };
        Ok(Self {
            voxels: (0..columns.len()).map(voxel).collect(),
            undefined: r.undefined,
            r: tally(&r.values, &r_of_pattern, &redrawn.r, &whole),
            r2: tally(&r2, &r2_of_pattern, &redrawn.r2, &whole),
            normalised: of_ceiling,
            ours: Moments::of(y, p),
            of_pattern: Moments::of(y, pattern),
            errors: Errors::of(y, p),
            pattern_errors: Errors::of(y, pattern),
            patterns,
        })
    }
}

fn weighted(values: &[f64], shares: &[Option<f64>]) -> f64 {
    values.iter().zip(shares).filter_map(|(value, share)| share.map(|share| value * share)).sum()
}

/// A score summed over voxels: as it is, of the mean pattern, and of every draw.
#[derive(Default)]
pub(super) struct Tally {
    pub count: usize,
    value: f64,
    baseline: f64,
    draws: Vec<f64>,
}

impl Tally {
    pub fn add(&mut self, other: &Self) {
        self.count += other.count;
        self.value += other.value;
        self.baseline += other.baseline;
        self.draws.resize(other.draws.len(), 0.0);
        self.draws.iter_mut().zip(&other.draws).for_each(|(sum, draw)| *sum += draw);
    }

    /// Over the voxels that were counted; none of none.
    pub fn mean(self) -> Option<Drawn> {
        let n = Some(self.count as f64).filter(|n| *n > 0.0)?;
        let draws = self.draws.into_iter().map(|sum| sum / n).collect();
        Some(Drawn { value: self.value / n, baseline: self.baseline / n, draws })
    }
}

/// Of every sample, over voxels: the means of both arrays, and the sums of squares and products about them.
///
/// Merged as by Chan, Golub and LeVeque (1983, The American Statistician 37:242), so that a large mean costs no digits.
pub(super) struct Moments {
    voxels: f64,
    samples: Vec<[f64; 5]>,
}

impl Moments {
    pub fn new(samples: usize) -> Self {
        Self { voxels: 0.0, samples: vec![[0.0; 5]; samples] }
    }

    fn of(y: ArrayView2<'_, f32>, p: ArrayView2<'_, f32>) -> Self {
        let n = y.ncols() as f64;
        let of_sample = |(y, p): (ndarray::ArrayView1<'_, f32>, ndarray::ArrayView1<'_, f32>)| {
            let mean = |of: &ndarray::ArrayView1<'_, f32>| of.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
            let (mean_y, mean_p) = (mean(&y), mean(&p));
            let (mut yy, mut pp, mut yp) = (0.0, 0.0, 0.0);
            for (y, p) in y.iter().zip(p) {
                let (dy, dp) = (f64::from(*y) - mean_y, f64::from(*p) - mean_p);
                yy += dy * dy;
                pp += dp * dp;
                yp += dy * dp;
            }
            [mean_y, mean_p, yy, pp, yp]
        };
        Self { voxels: n, samples: y.rows().into_iter().zip(p.rows()).map(of_sample).collect() }
    }

    pub fn add(&mut self, other: &Self) {
        let (n, all) = (other.voxels, self.voxels + other.voxels);
        let share = if all > 0.0 { n / all } else { 0.0 };
        for (sum, [mean_y, mean_p, yy, pp, yp]) in self.samples.iter_mut().zip(&other.samples) {
            let (dy, dp) = (mean_y - sum[0], mean_p - sum[1]);
            let between = self.voxels * share;
            *sum = [
                sum[0] + dy * share,
                sum[1] + dp * share,
                sum[2] + yy + dy * dy * between,
                sum[3] + pp + dp * dp * between,
                sum[4] + yp + dy * dp * between,
            ];
        }
        self.voxels = all;
    }

    /// Pearson's r of every sample.
    pub fn pearson(&self) -> Scores {
        let n = self.voxels;
        Scores::new(self.samples.iter().map(|[mean_y, mean_p, yy, pp, yp]| {
            let both = varies(*yy, n, *mean_y) && varies(*pp, n, *mean_p);
            both.then(|| (yp / (yy.sqrt() * pp.sqrt())).clamp(-1.0, 1.0))
        }))
    }
}

/// Of every sample, over voxels: the sum of absolute errors, and of how many.
pub(super) struct Errors(Vec<[f64; 2]>);

impl Errors {
    pub fn new(samples: usize) -> Self {
        Self(vec![[0.0; 2]; samples])
    }

    fn of(y: ArrayView2<'_, f32>, p: ArrayView2<'_, f32>) -> Self {
        let sum = |(y, p): (ndarray::ArrayView1<'_, f32>, ndarray::ArrayView1<'_, f32>)| {
            let errors = y.iter().zip(p).filter_map(|(y, p)| absolute(*y, *p));
            errors.fold([0.0; 2], |[sum, n], error| [sum + error, n + 1.0])
        };
        Self(y.rows().into_iter().zip(p.rows()).map(sum).collect())
    }

    pub fn add(&mut self, other: &Self) {
        self.0.iter_mut().zip(&other.0).for_each(|(sum, [error, n])| *sum = [sum[0] + error, sum[1] + n]);
    }

    /// Over voxels, of every sample.
    pub fn per_sample(&self) -> Scores {
        Scores::new(self.0.iter().map(|[sum, n]| Some(sum / n)))
    }

    /// Over voxels and samples.
    pub fn mean(&self) -> f64 {
        let [sum, n] = self.0.iter().fold([0.0; 2], |[sum, n], [error, of]| [sum + error, n + of]);
        if n > 0.0 { sum / n } else { 0.0 }
    }
}

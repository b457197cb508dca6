//! What would every voxel's scores be, had other blocks been drawn? Five sums a block, and all draws in one product.

use ndarray::{Array2, ArrayView2, Axis};

use super::super::metrics::check;
use super::{Blocks, StatisticsError};
use crate::linalg::{self, Real};

/// Sums that a voxel's correlation and explained variance are made of: y, p, y², p², yp.
const SUMS: usize = 5;

/// Draws that are computed together, so that what they sum up to stays small.
const DRAWS: usize = 125;

/// Sums over each block of every voxel's measured and predicted values, about the means of all samples.
pub struct VoxelSums {
    /// Blocks × (5 · V): one sum of all voxels after the other.
    sums: Vec<f64>,
    /// Samples of each block.
    sizes: Vec<f64>,
    mean_y: Vec<f64>,
    mean_p: Vec<f64>,
}

/// The scores of every draw and voxel: draws × V.
pub struct Redrawn {
    /// Pearson's r over the samples drawn; 0 where they do not vary.
    pub r: Array2<f64>,
    /// 1 − SSE/SST over the samples drawn, SST about the mean of all samples; 0 where they do not vary. About their own
    /// mean, blocks that are drawn twice would make SST too small, and every draw worse than the score itself.
    pub r2: Array2<f64>,
}

impl VoxelSums {
    /// Of measured and predicted values (n × V): 40 bytes per block and voxel.
    ///
    /// # Errors
    /// When the shapes differ, there is nothing, or the blocks are not those of the samples.
    pub fn new<T: Real>(y: ArrayView2<'_, T>, p: ArrayView2<'_, T>, blocks: &Blocks) -> Result<Self, StatisticsError> {
        let (samples, voxels) = check(&y, &p)?;
        blocks.check(samples)?;
        // About the means of all samples, so that no digits are lost to an offset.
        let mean = |of: &ArrayView2<'_, T>| of.mapv(T::wide).mean_axis(Axis(0)).unwrap_or_default().to_vec();
        let (mean_y, mean_p) = (mean(&y), mean(&p));
        let mut sums = vec![0.0; blocks.count() * SUMS * voxels];
        for (block, sums) in blocks.0.iter().zip(sums.chunks_exact_mut(SUMS * voxels)) {
            for (y, p) in y.rows().into_iter().zip(p.rows()).skip(block.start).take(block.len()) {
                for (v, (y, p)) in y.iter().zip(p).enumerate() {
                    let (y, p) = (y.wide() - mean_y[v], p.wide() - mean_p[v]);
                    let terms = [y, p, y * y, p * p, y * p];
                    sums.iter_mut().skip(v).step_by(voxels).zip(terms).for_each(|(sum, term)| *sum += term);
                }
            }
        }
        let sizes = blocks.0.iter().map(|block| block.len() as f64).collect();
        Ok(Self { sums, sizes, mean_y, mean_p })
    }

    /// The scores where each block is drawn so often, one line of counts a draw.
    pub fn redrawn(&self, counts: &[Vec<u32>]) -> Redrawn {
        let (voxels, blocks) = (self.mean_y.len(), self.sizes.len());
        let (mut r, mut r2) = (Vec::new(), Vec::new());
        let mut totals = vec![0.0; DRAWS.min(counts.len()) * SUMS * voxels];
        for counts in counts.chunks(DRAWS) {
            let weights: Vec<f64> = counts.iter().flatten().map(|count| f64::from(*count)).collect();
            let totals = &mut totals[..counts.len() * SUMS * voxels];
            linalg::gemm(totals, &weights, false, &self.sums, [counts.len(), blocks, SUMS * voxels]);
            for (weights, totals) in weights.chunks_exact(blocks).zip(totals.chunks_exact(SUMS * voxels)) {
                let n = weights.iter().zip(&self.sizes).map(|(count, size)| count * size).sum::<f64>();
                for v in 0..voxels {
                    let [of_r, of_r2] = self.scores(v, n, [0, 1, 2, 3, 4].map(|sum| totals[sum * voxels + v]));
                    r.push(of_r);
                    r2.push(of_r2);
                }
            }
        }
        let shape = |values| Array2::from_shape_vec((counts.len(), voxels), values).unwrap_or_default();
        Redrawn { r: shape(r), r2: shape(r2) }
    }

    /// Of a voxel, from its sums over `n` samples.
    fn scores(&self, v: usize, n: f64, [y, p, yy, pp, yp]: [f64; SUMS]) -> [f64; 2] {
        let (mean_y, mean_p) = (self.mean_y[v], self.mean_p[v]);
        if variation(n, y, yy, mean_y).is_none() {
            return [0.0, 0.0];
        }
        let r = correlation(n, [y, p, yy, pp, yp], [mean_y, mean_p]);
        let offset = mean_y - mean_p;
        let errors = (yy + pp - 2.0 * yp + 2.0 * offset * (y - p) + n * offset * offset).max(0.0);
        let r2 = 1.0 - errors / yy;
        [r, if r2.is_finite() { r2 } else { 0.0 }]
    }
}

/// Pearson's r from the sums over `n` samples of y, p, y², p² and yp, each about these means; 0 where one does not vary.
pub(super) fn correlation(n: f64, [y, p, yy, pp, yp]: [f64; SUMS], [mean_y, mean_p]: [f64; 2]) -> f64 {
    match (variation(n, y, yy, mean_y), variation(n, p, pp, mean_p)) {
        (Some(vy), Some(vp)) => ((yp - y * p / n) / (vy.sqrt() * vp.sqrt())).clamp(-1.0, 1.0),
        _ => 0.0,
    }
}

/// The sum of squares about the samples' own mean; none where they do not vary, as where a value is not finite.
fn variation(n: f64, sum: f64, squares: f64, mean: f64) -> Option<f64> {
    let about = squares - sum * sum / n;
    (about > 1e-12 * squares && about > n * 1e-24 * mean * mean).then_some(about)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;
    use crate::encoding::metrics::{pearson_per_voxel, r2_per_voxel};

    fn data() -> (Array2<f32>, Array2<f32>) {
        let mut draws = Draws::new(1, 0);
        let mut draw = || (0..12).map(|_| draws.below(1000) as f32 / 1000.0 - 0.5).sum::<f32>();
        let y = Array2::from_shape_fn((40, 6), |(_, v)| draw() + 100.0 * v as f32);
        let p = y.mapv(|y| 0.5 * y + draw());
        (y, p)
    }

    /// Both scores of the array with these rows, from their definitions.
    fn directly(y: &Array2<f32>, p: &Array2<f32>, rows: &[usize]) -> [Vec<f64>; 2] {
        let mean = y.mapv(f64::from).mean_axis(Axis(0)).unwrap();
        let (y, p) = (y.select(Axis(0), rows), p.select(Axis(0), rows));
        let r2 = (0..y.ncols()).map(|v| {
            let pairs = || y.column(v).into_iter().zip(p.column(v)).map(|(y, p)| (f64::from(*y), f64::from(*p)));
            let sum = |of: &dyn Fn(f64, f64) -> f64| pairs().map(|(y, p)| of(y, p).powi(2)).sum::<f64>();
            1.0 - sum(&|y, p| y - p) / sum(&|y, _| y - mean[v])
        });
        [pearson_per_voxel(y.view(), p.view()).unwrap().values, r2.collect()]
    }

    #[test]
    fn a_draw_scores_as_the_array_of_the_rows_that_it_drew() {
        let (y, mut p) = data();
        p.column_mut(2).fill(0.7);
        let blocks = Blocks::of_labels(&[[0; 10], [1; 10], [2; 10], [3; 10]].concat()).unwrap();
        let sums = VoxelSums::new(y.view(), p.view(), &blocks).unwrap();
        // More draws than are computed together.
        let counts: Vec<Vec<u32>> =
            (0..130).map(|draw| if draw == 129 { vec![2, 0, 1, 1] } else { vec![1; 4] }).collect();
        let ours = sums.redrawn(&counts);
        let rows: [Vec<usize>; 2] = [(0..40).collect(), (0..10).chain(0..10).chain(20..40).collect()];
        for (draw, rows) in [(0, &rows[0]), (128, &rows[0]), (129, &rows[1])] {
            let [r, r2] = directly(&y, &p, rows);
            for (ours, theirs) in [(ours.r.row(draw), r), (ours.r2.row(draw), r2)] {
                assert!(
                    ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() < 1e-9 * b.abs().max(1.0)),
                    "{ours} {theirs:?}"
                );
            }
        }
        assert_eq!(ours.r[(129, 2)], 0.0);
        let r2 = r2_per_voxel(y.view(), p.view()).unwrap().values;
        assert!(ours.r2.row(0).iter().zip(&r2).all(|(a, b)| (a - b).abs() < 1e-9 * b.abs().max(1.0)));
    }

    #[test]
    fn what_is_not_finite_has_no_score_and_harms_no_other() {
        let (mut y, p) = data();
        let blocks = Blocks::of_length(40, 7).unwrap();
        let all = |y: &Array2<f32>| VoxelSums::new(y.view(), p.view(), &blocks).unwrap().redrawn(&[vec![1; 6]]);
        let whole = all(&y);
        y[(3, 1)] = f32::NAN;
        let harmed = all(&y);
        assert_eq!((harmed.r[(0, 1)], harmed.r2[(0, 1)]), (0.0, 0.0));
        assert!([0, 2, 3, 4, 5].iter().all(|v| harmed.r[(0, *v)] == whole.r[(0, *v)] && whole.r[(0, *v)] != 0.0));
    }
}

//! Is one set of features better than another, or could they be each other? Predictions exchanged, block by block.
//!
//! If two feature spaces predicted equally well, it would not matter which prediction of a run is called whose. So the two
//! predictions of every block are exchanged or not, as a coin says, and the difference of scores is computed anew: a paired
//! permutation test (Good 2005, Permutation, Parametric and Bootstrap Tests of Hypotheses, ch. 3). Two-sided,
//! `p = (1 + count) / (1 + draws)` (Phipson and Smyth 2010, SAGMB 9:39); of b blocks, no p can be much below 2^(1−b).
//!
//! Pearson's r per voxel is computed from the exchanged predictions themselves. 2V2 is a mean over samples of the pairs that
//! each wins: exchanging the blocks of those is a sign flip of their differences.

use ndarray::{Array2, ArrayView2, s};

use super::super::metrics::{MetricError, check};
use super::voxels::correlation;
use super::{Blocks, StatisticsError};
use crate::draws::Draws;
use crate::linalg;
use crate::parallel;

/// Voxels that are computed together.
const TOGETHER: usize = 128;

/// Draws that are computed together, so that what they sum up to stays small.
const DRAWS: usize = 125;

/// Parts that are computed before they are added up.
const ROUND: usize = 16;

/// Sums that a prediction's correlation is made of beside those of y: p, p², yp.
const SUMS: usize = 3;

/// A difference that is as large, whatever its rounding.
const ROUNDING: f64 = 1e-12;

/// The p-values of the differences between two predictions.
#[derive(Clone, Debug, PartialEq)]
pub struct Exchanged {
    /// Of Pearson's r of every voxel; 1 where neither prediction has one.
    pub voxels: Vec<f64>,
    /// Of its mean over the voxels of every set.
    pub sets: Vec<f64>,
}

/// Which of the blocks are exchanged, a line a draw.
fn coins(blocks: &Blocks, draws: usize, seed: u64) -> Result<Vec<Vec<bool>>, StatisticsError> {
    if draws == 0 {
        return Err(StatisticsError::Draws(0));
    }
    let draw = |draw| {
        let mut draws = Draws::new(seed, draw);
        (0..blocks.count()).map(|_| draws.below(2) == 1).collect()
    };
    Ok((0..draws).map(draw).collect())
}

fn p_value(count: usize, draws: usize) -> f64 {
    (1 + count) as f64 / (1 + draws) as f64
}

/// Of Pearson's r per voxel of predictions `a` less that of `b` (n × V), for every voxel and set of columns.
///
/// # Errors
/// When the shapes differ, there is nothing in the arrays or in a set, the blocks are not those of the samples, or nothing
/// would be drawn.
pub fn exchange_correlations(
    y: ArrayView2<'_, f32>,
    [a, b]: [ArrayView2<'_, f32>; 2],
    sets: &[Vec<usize>],
    blocks: &Blocks,
    draws: usize,
    seed: u64,
) -> Result<Exchanged, StatisticsError> {
    let (samples, voxels) = check(&y, &a)?;
    check(&y, &b)?;
    blocks.check(samples)?;
    if let Some(empty) = sets.iter().find(|set| set.is_empty()) {
        return Err(MetricError::Empty { samples, voxels: empty.len() }.into());
    }
    let coins = coins(blocks, draws, seed)?;
    let mut of = vec![Vec::new(); voxels];
    for (set, columns) in sets.iter().enumerate() {
        columns.iter().for_each(|column| of[*column].push(set));
    }
    let starts: Vec<usize> = (0..voxels).step_by(TOGETHER).collect();
    let mut p = Vec::with_capacity(voxels);
    // Of every set, the difference as it is and of every draw, summed over voxels.
    let mut sums = vec![vec![0.0; draws + 1]; sets.len()];
    for round in starts.chunks(ROUND) {
        let done = parallel::map(round.len(), |i| {
            let from = round.get(i).copied().unwrap_or_default();
            let columns = s![.., from..voxels.min(from + TOGETHER)];
            differences(y.slice(columns), [a.slice(columns), b.slice(columns)], blocks, &coins)
        });
        for (from, part) in round.iter().zip(done) {
            for (column, of_draws) in part.columns().into_iter().enumerate() {
                let as_is = of_draws[0].abs() - ROUNDING;
                p.push(p_value(of_draws.iter().skip(1).filter(|drawn| drawn.abs() >= as_is).count(), draws));
                for set in of.get(from + column).into_iter().flatten() {
                    sums[*set].iter_mut().zip(of_draws).for_each(|(sum, drawn)| *sum += drawn);
                }
            }
        }
    }
    let of_set = |(sums, columns): (&Vec<f64>, &Vec<usize>)| {
        let (as_is, drawn) = sums.split_first().map_or((0.0, &[][..]), |(first, rest)| (first.abs(), rest));
        let least = as_is - ROUNDING * columns.len() as f64;
        p_value(drawn.iter().filter(|drawn| drawn.abs() >= least).count(), draws)
    };
    Ok(Exchanged { voxels: p, sets: sums.iter().zip(sets).map(of_set).collect() })
}

/// r of `a` less r of `b` for a few voxels: first as it is, then of every draw.
fn differences(
    y: ArrayView2<'_, f32>,
    [a, b]: [ArrayView2<'_, f32>; 2],
    blocks: &Blocks,
    coins: &[Vec<bool>],
) -> Array2<f64> {
    let (samples, voxels) = y.dim();
    let n = samples as f64;
    let mean = |of: ArrayView2<'_, f32>| -> Vec<f64> {
        of.columns().into_iter().map(|column| column.iter().map(|v| f64::from(*v)).sum::<f64>() / n).collect()
    };
    // About means that both predictions share, so that what is exchanged keeps its place, and few digits are lost.
    let (mean_y, mean_a, mean_b) = (mean(y), mean(a), mean(b));
    let mean_p: Vec<f64> = mean_a.iter().zip(&mean_b).map(|(a, b)| (a + b) / 2.0).collect();
    let (mut of_y, mut total) = (vec![[0.0; 2]; voxels], vec![0.0; SUMS * voxels]);
    let mut of_a = vec![0.0; SUMS * voxels];
    // What block after block the sums of a gain where it is exchanged: blocks × (3 · V).
    let mut gains = vec![0.0; blocks.count() * SUMS * voxels];
    for (block, gains) in blocks.0.iter().zip(gains.chunks_exact_mut(SUMS * voxels)) {
        for row in block.clone() {
            for v in 0..voxels {
                let y = f64::from(y[(row, v)]) - mean_y[v];
                let [a, b] = [a[(row, v)], b[(row, v)]].map(|p| f64::from(p) - mean_p[v]);
                of_y[v][0] += y;
                of_y[v][1] += y * y;
                for (sum, (a, b)) in [(a, b), (a * a, b * b), (y * a, y * b)].into_iter().enumerate() {
                    of_a[sum * voxels + v] += a;
                    total[sum * voxels + v] += a + b;
                    gains[sum * voxels + v] += b - a;
                }
            }
        }
    }
    let mut out = Array2::zeros((coins.len() + 1, voxels));
    let difference = |v: usize, gained: &dyn Fn(usize) -> f64| {
        let [y, yy] = of_y[v];
        let r = |of: &dyn Fn(usize) -> f64| {
            let [p, pp, yp] = [0, 1, 2].map(|sum| of(sum * voxels + v));
            correlation(n, [y, p, yy, pp, yp], [mean_y[v], mean_p[v]])
        };
        r(&|at| of_a[at] + gained(at)) - r(&|at| total[at] - of_a[at] - gained(at))
    };
    (0..voxels).for_each(|v| out[(0, v)] = difference(v, &|_| 0.0));
    let mut gained = vec![0.0; DRAWS.min(coins.len()) * SUMS * voxels];
    for (part, coins) in coins.chunks(DRAWS).enumerate() {
        let exchanged: Vec<f64> = coins.iter().flatten().map(|coin| f64::from(u8::from(*coin))).collect();
        let gained = &mut gained[..coins.len() * SUMS * voxels];
        linalg::gemm(gained, &exchanged, false, &gains, [coins.len(), blocks.count(), SUMS * voxels]);
        for (draw, gained) in gained.chunks_exact(SUMS * voxels).enumerate() {
            (0..voxels).for_each(|v| out[(1 + part * DRAWS + draw, v)] = difference(v, &|at| gained[at]));
        }
    }
    out
}

/// Of the mean of one score per sample of `a` less that of `b`, such as the pairs that each sample wins in 2V2.
///
/// # Errors
/// When there are more scores of one than of the other, the blocks are not those of the samples, or nothing would be drawn.
pub fn exchange_means([a, b]: [&[f64]; 2], blocks: &Blocks, draws: usize, seed: u64) -> Result<f64, StatisticsError> {
    blocks.check(a.len())?;
    blocks.check(b.len())?;
    let less = |block: &std::ops::Range<usize>| block.clone().map(|row| a[row] - b[row]).sum::<f64>();
    let sums: Vec<f64> = blocks.0.iter().map(less).collect();
    let as_is = sums.iter().sum::<f64>().abs() - ROUNDING * a.len() as f64;
    let flipped = |coins: &Vec<bool>| {
        sums.iter().zip(coins).map(|(sum, coin)| if *coin { -sum } else { *sum }).sum::<f64>().abs() >= as_is
    };
    Ok(p_value(coins(blocks, draws, seed)?.iter().filter(|coins| flipped(coins)).count(), draws))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::metrics::pearson_per_voxel;

    /// 48 samples of 140 voxels: predictions of which `a` is better in the even ones, and neither in the odd ones.
    fn data() -> [Array2<f32>; 3] {
        let mut draws = Draws::new(2, 0);
        let mut noise = || Array2::from_shape_simple_fn((48, 140), || draws.normal() as f32);
        let (y, a, b) = (noise(), noise(), noise());
        let a = Array2::from_shape_fn((48, 140), |(i, v)| 3.0 + a[(i, v)] + if v % 2 == 0 { y[(i, v)] } else { 0.0 });
        [y + 50.0, a, b]
    }

    #[test]
    fn a_p_is_that_of_scores_computed_anew_from_the_exchanged_predictions() {
        let [y, a, mut b] = data();
        b.column_mut(3).fill(0.5);
        let blocks = Blocks::of_length(48, 7).unwrap();
        let sets = [(0..140).collect(), (0..140).filter(|v| v % 2 == 1).collect(), vec![1, 139]];
        let (draws, seed) = (150, 4);
        let ours = exchange_correlations(y.view(), [a.view(), b.view()], &sets, &blocks, draws, seed).unwrap();
        let score = |a: &Array2<f32>, b: &Array2<f32>| -> Vec<f64> {
            let [a, b] = [a, b].map(|p| pearson_per_voxel(y.view(), p.view()).unwrap().values);
            a.iter().zip(&b).map(|(a, b)| a - b).collect()
        };
        let as_is = score(&a, &b);
        let mean = |of: &[f64], set: &Vec<usize>| set.iter().map(|v| of[*v]).sum::<f64>() / set.len() as f64;
        let (mut voxels, mut of_sets) = (vec![0; 140], [0; 3]);
        for coins in coins(&blocks, draws, seed).unwrap() {
            let (mut one, mut other) = (a.clone(), b.clone());
            for (block, _) in blocks.0.iter().zip(coins).filter(|(_, coin)| *coin) {
                for row in block.clone() {
                    one.row_mut(row).assign(&b.row(row));
                    other.row_mut(row).assign(&a.row(row));
                }
            }
            let drawn = score(&one, &other);
            voxels.iter_mut().enumerate().for_each(|(v, n)| *n += usize::from(drawn[v].abs() >= as_is[v].abs() - 1e-9));
            for (count, set) in of_sets.iter_mut().zip(&sets) {
                *count += usize::from(mean(&drawn, set).abs() >= mean(&as_is, set).abs() - 1e-9);
            }
        }
        let p = |counts: &[usize]| counts.iter().map(|n| p_value(*n, draws)).collect::<Vec<f64>>();
        assert_eq!((ours.voxels, ours.sets), (p(&voxels), p(&of_sets)));
    }

    #[test]
    fn what_is_better_is_found_what_is_alike_is_not_and_the_sign_does_not_matter() {
        let [y, a, b] = data();
        let blocks = Blocks::of_length(48, 3).unwrap();
        let sets = [(0..140).step_by(2).collect(), (1..140).step_by(2).collect()];
        let of = |a: &Array2<f32>, b: &Array2<f32>| {
            exchange_correlations(y.view(), [a.view(), b.view()], &sets, &blocks, 999, 0).unwrap()
        };
        let ours = of(&a, &b);
        assert!(ours.sets[0] == 0.001 && ours.sets[1] > 0.05, "{:?}", ours.sets);
        assert_eq!(of(&b, &a), ours);
        // Where nothing is better: uniform, with a mean of 0.5 and a standard deviation of 0.29 / sqrt(70).
        let mean = ours.voxels.iter().skip(1).step_by(2).sum::<f64>() / 70.0;
        assert!((mean - 0.5).abs() < 0.14, "{mean}");
        assert!(of(&a, &a).voxels.iter().all(|p| *p == 1.0));
        // A few blocks can be exchanged in a few ways only.
        let two = Blocks::of_length(48, 24).unwrap();
        let few = exchange_correlations(y.view(), [a.view(), b.view()], &sets, &two, 999, 0).unwrap();
        assert!(few.sets[0] > 0.4, "{:?}", few.sets);
    }

    #[test]
    fn what_cannot_be_exchanged_is_refused() {
        let [y, a, b] = data();
        let blocks = Blocks::of_length(48, 4).unwrap();
        let with = |sets: &[Vec<usize>], blocks: &Blocks, draws| {
            exchange_correlations(y.view(), [a.view(), b.view()], sets, blocks, draws, 0).map(|done| done.voxels.len())
        };
        assert_eq!(with(&[], &blocks, 1), Ok(140));
        assert_eq!(with(&[], &blocks, 0), Err(StatisticsError::Draws(0)));
        assert!(matches!(with(&[vec![]], &blocks, 1), Err(StatisticsError::Metric(_))));
        let other = Blocks::of_length(40, 4).unwrap();
        assert!(matches!(with(&[], &other, 1), Err(StatisticsError::Samples { .. })));
        assert!(matches!(
            exchange_means([&[0.0; 48], &[0.0; 40]], &blocks, 1, 0),
            Err(StatisticsError::Samples { .. })
        ));
    }
}

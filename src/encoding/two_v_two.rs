//! Whose response is it? 2V2: of two samples and two predictions, are the right ones nearer to each other?
//!
//! ```text
//! 2V2 = 1/C(n,2) · Σ_{i<j} [ d(Yᵢ,Pᵢ) + d(Yⱼ,Pⱼ) < d(Yᵢ,Pⱼ) + d(Yⱼ,Pᵢ) ],   d(a,b) = 1 − a·b / (|a||b|)
//! ```
//! (Mitchell et al. 2008, Science 320:1191; cosine distance as in Oota et al. 2022, COLING.) Over all pairs of pooled
//! out-of-fold rows, each spanning the voxels of one region. Chance is 0.5, but ties lose, so a prediction that is the
//! same for every sample has 0.
//!
//! With `S = rownorm(Y) rownorm(P)ᵀ` a pair is won when `S_ii + S_jj > S_ij + S_ji`. Both terms on the right come from
//! one product of the rows `[Yᵢ Pᵢ]` and `[Pⱼ Yⱼ]`, computed in square tiles, so that memory beyond the two arrays is a
//! few megabytes per thread however many samples there are. Wins are counted in integers: the number of threads changes
//! nothing.

use ndarray::{ArrayView1, ArrayView2};
use pulp::{Arch, Simd, WithSimd};

use super::metrics::{MetricError, check};
use crate::linalg::Real;
use crate::parallel;

/// Sums of two cosines that differ by no more are equal: the rest is rounding, which would make chance out of ties.
const TIE: f64 = 1e-12;

/// Samples on a side of a tile; a multiple of every panel's width.
const TILE: usize = 192;

/// Voxels multiplied together, so that a panel stays in the first-level cache.
const DEPTH: usize = 256;

/// Rows of the register block.
const ROWS: usize = 6;

/// Vectors that one row of the register block is wide.
const VECTORS: usize = 2;

/// The outcome of all pairs.
#[derive(Clone, Debug, PartialEq)]
pub struct TwoVTwo {
    /// The fraction of pairs won, 0 to 1; 0 of a single sample, which has no pair.
    pub score: f64,
    /// Per sample, the fraction of its n−1 pairs that are won; their mean is the score.
    pub per_sample: Vec<f64>,
    /// Samples that have no direction, because the measured or predicted row is zero or holds a value that is not finite.
    /// They lose all their pairs.
    pub undefined: usize,
}

/// One row of both arrays: by what to scale it to unit length, and how the right ones meet.
#[derive(Clone, Copy)]
struct Row {
    measured: f64,
    predicted: f64,
    /// `S_ii`.
    own: f64,
}

/// 2V2 of predictions `p` for measurements `y`, both n samples × V voxels. 2n²V multiplications and additions, on all
/// cores.
///
/// # Errors
/// When the shapes differ or there is nothing.
pub fn two_v_two<T: Real>(y: ArrayView2<'_, T>, p: ArrayView2<'_, T>) -> Result<TwoVTwo, MetricError> {
    let all: Vec<usize> = (0..y.ncols()).collect();
    two_v_two_among(y, p, &all)
}

/// The same of some columns of both arrays, without a copy of them.
///
/// # Errors
/// When the shapes differ or there is nothing.
pub fn two_v_two_among<T: Real>(
    y: ArrayView2<'_, T>,
    p: ArrayView2<'_, T>,
    columns: &[usize],
) -> Result<TwoVTwo, MetricError> {
    let (n, _) = check(&y, &p)?;
    if columns.is_empty() {
        return Err(MetricError::Empty { samples: n, voxels: 0 });
    }
    let rows: Vec<Option<Row>> = parallel::map(n, |i| Row::new(y.row(i), p.row(i), columns));
    let contest = Contest { y, p, columns, rows: &rows, arch: Arch::new() };
    let blocks = n.div_ceil(TILE);
    let counts = parallel::fold(
        blocks,
        || (vec![0_u32; n], Scratch::default()),
        |(wins, scratch), block| {
            (block..blocks).for_each(|other| contest.count(block, other, wins, scratch));
        },
    );
    let mut wins = vec![0_u64; n];
    for (part, _) in counts {
        wins.iter_mut().zip(part).for_each(|(wins, part)| *wins += u64::from(part));
    }
    let each = n.saturating_sub(1).max(1) as f64;
    Ok(TwoVTwo {
        score: wins.iter().sum::<u64>() as f64 / (each * n as f64),
        per_sample: wins.iter().map(|wins| *wins as f64 / each).collect(),
        undefined: rows.iter().filter(|row| row.is_none()).count(),
    })
}

/// 2V2 of predictions that are one of a few patterns (K × V), of some columns of `y`: sample i is predicted to be pattern
/// `of[i]`, or nothing. nKV multiplications instead of 2n²V, because `S` has but K different columns.
pub fn two_v_two_of_patterns<T: Real>(
    y: ArrayView2<'_, T>,
    patterns: ArrayView2<'_, f32>,
    of: &[Option<usize>],
    columns: &[usize],
) -> f64 {
    let n = y.nrows();
    let scale = |squares: f64| Some(1.0 / squares.sqrt()).filter(|scale| scale.is_finite() && *scale > 0.0);
    let picked: Vec<(Option<f64>, Vec<f64>)> = patterns
        .rows()
        .into_iter()
        .map(|row| {
            let values: Vec<f64> = columns.iter().map(|v| f64::from(row[*v])).collect();
            (scale(values.iter().map(|v| v * v).sum()), values)
        })
        .collect();
    // The cosine of each sample with each pattern, where both have a direction.
    let cosines: Vec<Option<Vec<f64>>> = parallel::map(n, |i| {
        let row: Vec<f64> = columns.iter().map(|v| y[(i, *v)].wide()).collect();
        let length = scale(row.iter().map(|v| v * v).sum())?;
        let cosine = |(of_pattern, values): &(Option<f64>, Vec<f64>)| {
            let product: f64 = row.iter().zip(values).map(|(y, p)| y * p).sum();
            product * length * of_pattern.unwrap_or(0.0)
        };
        Some(picked.iter().map(cosine).collect())
    });
    // By how much a sample of pattern `own` is nearer to it than to pattern `other`, ascending.
    let nearer = |own: usize, other: usize| -> Vec<f64> {
        let among = cosines.iter().zip(of).filter(|(_, of)| **of == Some(own)).filter_map(|(row, _)| row.as_ref());
        let mut by: Vec<f64> = among.filter_map(|row| Some(row.get(own)? - row.get(other)?)).collect();
        by.sort_unstable_by(f64::total_cmp);
        by
    };
    let usable: Vec<usize> = (0..picked.len()).filter(|k| picked.get(*k).is_some_and(|(s, _)| s.is_some())).collect();
    let mut wins = 0;
    for (place, a) in usable.iter().enumerate() {
        for b in usable.iter().skip(place + 1) {
            let (left, right) = (nearer(*a, *b), nearer(*b, *a));
            wins += left.iter().map(|l| right.len() - right.partition_point(|r| l + r <= TIE)).sum::<usize>();
        }
    }
    wins as f64 / (n as f64 * n.saturating_sub(1).max(1) as f64 / 2.0)
}

impl Row {
    fn new<T: Real>(y: ArrayView1<'_, T>, p: ArrayView1<'_, T>, columns: &[usize]) -> Option<Self> {
        let (mut yy, mut pp, mut yp) = (0.0, 0.0, 0.0);
        for v in columns {
            let (y, p) = (y[*v].wide(), p[*v].wide());
            yy += y * y;
            pp += p * p;
            yp += y * p;
        }
        let (measured, predicted) = (1.0 / yy.sqrt(), 1.0 / pp.sqrt());
        let usable = |scale: f64| scale.is_finite() && scale > 0.0;
        (usable(measured) && usable(predicted)).then_some(Self { measured, predicted, own: yp * measured * predicted })
    }
}

/// What a thread computes a tile in.
#[derive(Default)]
struct Scratch {
    left: Vec<f64>,
    right: Vec<f64>,
    /// `S_ij + S_ji`, TILE×TILE.
    tile: Vec<f64>,
}

struct Contest<'a, T> {
    y: ArrayView2<'a, T>,
    p: ArrayView2<'a, T>,
    /// Those that count.
    columns: &'a [usize],
    rows: &'a [Option<Row>],
    arch: Arch,
}

impl<T: Real> Contest<'_, T> {
    /// Adds the wins of pairs i < j with i in one block of samples and j in another, or the same.
    fn count(&self, block: usize, other: usize, wins: &mut [u32], scratch: &mut Scratch) {
        self.arch.dispatch(Tile { contest: self, block, other, scratch: &mut *scratch });
        let rows_of = |block: usize| {
            let first = block * TILE;
            self.rows.iter().enumerate().skip(first).take(TILE).filter_map(|(i, row)| row.map(|row| (i, row)))
        };
        for (i, row) in rows_of(block) {
            let Some(sums) = scratch.tile.chunks_exact(TILE).nth(i % TILE) else { continue };
            for (j, against) in rows_of(other).filter(|(j, _)| *j > i) {
                let won = row.own + against.own - sums.get(j % TILE).copied().unwrap_or(f64::MAX) > TIE;
                wins[i] += u32::from(won);
                wins[j] += u32::from(won);
            }
        }
    }

    /// Unit-length rows of `block` from voxel `from` on, `depth` of them, as panels of `width` samples: voxel by voxel,
    /// the samples of a panel beside each other. Rows that are missing or have no direction are zeros.
    fn pack(&self, measured: bool, block: usize, from: usize, depth: usize, width: usize, into: &mut Vec<f64>) {
        let array = if measured { &self.y } else { &self.p };
        into.clear();
        into.resize(TILE * depth, 0.0);
        for (panel, into) in into.chunks_exact_mut(width * depth).enumerate() {
            for lane in 0..width {
                let i = block * TILE + panel * width + lane;
                let Some(Some(row)) = self.rows.get(i) else { continue };
                let scale = if measured { row.measured } else { row.predicted };
                let (row, columns) = (array.row(i), self.columns.iter().skip(from).take(depth));
                for (into, column) in into.iter_mut().skip(lane).step_by(width).zip(columns) {
                    *into = row[*column].wide() * scale;
                }
            }
        }
    }
}

struct Tile<'a, 'b, T> {
    contest: &'a Contest<'b, T>,
    block: usize,
    other: usize,
    scratch: &'a mut Scratch,
}

impl<T: Real> WithSimd for Tile<'_, '_, T> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let Self { contest, block, other, scratch: Scratch { left, right, tile } } = self;
        let width = VECTORS * S::F64_LANES;
        tile.clear();
        tile.resize(TILE * TILE, 0.0);
        let voxels = contest.columns.len();
        for from in (0..voxels).step_by(DEPTH) {
            let depth = DEPTH.min(voxels - from);
            for measured in [true, false] {
                contest.pack(measured, block, from, depth, ROWS, left);
                contest.pack(!measured, other, from, depth, width, right);
                for (column, right) in right.chunks_exact(width * depth).enumerate() {
                    for (left, rows) in left.chunks_exact(ROWS * depth).zip(tile.chunks_exact_mut(ROWS * TILE)) {
                        multiply(simd, left, right, &mut rows[column * width..]);
                    }
                }
            }
        }
    }
}

/// Adds the products of a panel of `ROWS` samples and one of `VECTORS` vectors of samples to a part of the tile.
#[inline(always)]
fn multiply<S: Simd>(simd: S, left: &[f64], right: &[f64], tile: &mut [f64]) {
    let (left, _) = left.as_chunks::<ROWS>();
    let (right, _) = S::as_simd_f64s(right).0.as_chunks::<VECTORS>();
    let mut sums = [[simd.splat_f64s(0.0); VECTORS]; ROWS];
    for (left, right) in left.iter().zip(right) {
        for (sums, left) in sums.iter_mut().zip(left) {
            let left = simd.splat_f64s(*left);
            for (sum, right) in sums.iter_mut().zip(right) {
                *sum = simd.mul_add_e_f64s(left, *right, *sum);
            }
        }
    }
    for (row, sums) in tile.chunks_mut(TILE).zip(sums) {
        let (row, _) = S::as_mut_simd_f64s(&mut row[..VECTORS * S::F64_LANES]);
        for (value, sum) in row.iter_mut().zip(sums) {
            *value = simd.add_f64s(*value, sum);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::encoding::folds::Fold;
    use crate::encoding::metrics::{fold_means, mean_patterns};
    use ndarray::{Array2, Axis, s};
    use proptest::prelude::*;

    /// n×V values, uniform on [−1, 1).
    fn draws(seed: u64, n: usize, v: usize) -> Array2<f32> {
        let mut state = seed;
        Array2::from_shape_fn((n, v), |_| {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 40) as f32 / (1u64 << 23) as f32 - 1.0
        })
    }

    /// The definition, pair by pair.
    fn directly(y: &Array2<f32>, p: &Array2<f32>) -> f64 {
        let dot = |a: ArrayView1<'_, f32>, b: ArrayView1<'_, f32>| -> f64 {
            a.iter().zip(b).map(|(a, b)| f64::from(*a) * f64::from(*b)).sum()
        };
        let d = |i: usize, j: usize| {
            let (y, p) = (y.row(i), p.row(j));
            1.0 - dot(y, p) / (dot(y, y).sqrt() * dot(p, p).sqrt())
        };
        let n = y.nrows();
        let pairs = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        let won = pairs.filter(|&(i, j)| d(i, i) + d(j, j) < d(i, j) + d(j, i)).count();
        won as f64 / (n * (n - 1) / 2) as f64
    }

    #[test]
    fn tiles_panels_and_depths_that_are_not_full_change_nothing() {
        for (n, v) in [(2, 3), (7, 1000), (TILE, DEPTH), (TILE + 1, DEPTH + 1), (2 * TILE + 17, 5)] {
            let (y, other) = (draws(3, n, v), draws(4, n, v));
            let p = &y * 0.02 + &other;
            let ours = two_v_two(y.view(), p.view()).unwrap();
            assert_eq!(ours.score, directly(&y, &p), "{n}×{v}");
            let mean = ours.per_sample.iter().sum::<f64>() / n as f64;
            assert!((mean - ours.score).abs() < 1e-12 && ours.undefined == 0);
        }
    }

    #[test]
    fn a_row_without_direction_loses_all_its_pairs_and_is_counted() {
        let mut y = draws(5, 20, 8);
        let mut p = y.clone();
        y.row_mut(3).fill(0.0);
        p.row_mut(7).fill(0.0);
        p[[11, 2]] = f32::NAN;
        let ours = two_v_two(y.view(), p.view()).unwrap();
        assert_eq!((ours.undefined, ours.per_sample[3], ours.per_sample[7], ours.per_sample[11]), (3, 0.0, 0.0, 0.0));
        assert_eq!(ours.score, (17 * 16) as f64 / (20 * 19) as f64);
        let one = two_v_two(y.slice(s![..1, ..]), p.slice(s![..1, ..])).unwrap();
        assert_eq!((one.score, one.undefined), (0.0, 0));
        assert!(matches!(two_v_two(y.view(), p.t()), Err(MetricError::Shapes { .. })));
    }

    #[test]
    fn some_columns_are_the_array_of_those_columns_and_patterns_the_array_of_them() {
        let y = draws(3, 61, 300);
        let p = &y * 0.05 + &draws(4, 61, 300);
        let columns: Vec<usize> = (0..300).filter(|v| v % 7 != 2).rev().collect();
        let [few_y, few_p] = [&y, &p].map(|a| a.select(Axis(1), &columns));
        let ours = two_v_two_among(y.view(), p.view(), &columns).unwrap();
        assert_eq!(ours, two_v_two(few_y.view(), few_p.view()).unwrap());
        assert!(two_v_two_among(y.view(), p.view(), &[]).is_err());

        // Five folds and a sample that none predicts; a sample without direction.
        let mut y = y + 0.3;
        y.row_mut(9).fill(0.0);
        let test = |k: usize| (0..60).filter(move |row| row * 5 / 60 == k).collect::<Vec<_>>();
        // Taught by the very rows, so that some pairs are won.
        let fold = |k| Fold { test: test(k), train: test(k) };
        let folds: Vec<Fold> = (0..5).map(fold).collect();
        let of: Vec<Option<usize>> = (0..61).map(|row| (row < 60).then_some(row * 5 / 60)).collect();
        let rows = mean_patterns(y.view(), &folds);
        let expected = two_v_two_among(y.view(), rows.view(), &columns).unwrap().score;
        let ours = two_v_two_of_patterns(y.view(), fold_means(y.view(), &folds).view(), &of, &columns);
        assert!((0.1..0.9).contains(&expected) && (ours - expected).abs() < 1e-12, "{ours} {expected}");
    }

    #[test]
    fn predictions_that_differ_only_in_size_tell_nothing() {
        // Multiples of one pattern: in exact arithmetic every pair is a tie, which rounding must not decide.
        let y = draws(6, 150, 40);
        let (pattern, scale) = (draws(7, 1, 40), draws(8, 150, 1).mapv(|s| (s * 8.0).round().exp2()));
        let p = &pattern.broadcast((150, 40)).unwrap() * &scale;
        assert_eq!(two_v_two(y.view(), p.view()).unwrap().score, 0.0);
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

        #[test]
        fn the_measured_themselves_win_every_pair_and_a_constant_none(seed: u64, n in 2_usize..40, v in 2_usize..20) {
            let y = draws(seed, n, v);
            prop_assert_eq!(two_v_two(y.view(), y.view()).unwrap().score, 1.0);
            let constant = draws(seed ^ 1, 1, v);
            let p = constant.broadcast((n, v)).unwrap();
            prop_assert_eq!(two_v_two(y.view(), p).unwrap().score, 0.0);
        }

        #[test]
        fn the_size_of_a_row_does_not_matter(seed: u64, n in 2_usize..40, v in 2_usize..20) {
            let y = draws(seed, n, v);
            let p = &draws(seed ^ 1, n, v) + &(&y * 0.3);
            let powers = |seed| draws(seed, n, 1).mapv(|s| (s * 8.0).round().exp2());
            let (scaled_y, scaled_p) = (&y * &powers(seed ^ 2), &p * &powers(seed ^ 3));
            let plain = two_v_two(y.view(), p.view()).unwrap();
            prop_assert_eq!(two_v_two(scaled_y.view(), scaled_p.view()).unwrap(), plain);
        }
    }

    #[test]
    #[ignore = "a measurement, not a test: cargo test --release --lib two_v_two -- --ignored --nocapture"]
    #[allow(clippy::print_stdout, clippy::disallowed_methods, reason = "it measures real time and says so")]
    fn time_of_a_whole_subject() {
        let (y, p) = (draws(1, 5254, 700), draws(2, 5254, 700));
        let start = std::time::Instant::now();
        let score = two_v_two(y.view(), p.view()).unwrap().score;
        println!("n = 5254, V = 700: {:.2} s, 2V2 {score:.3}", start.elapsed().as_secs_f64());
    }
}

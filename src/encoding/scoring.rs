//! How good are the predictions of every set of voxels? One pass over the voxels, a few at a time.
//!
//! A set is a region, a hemisphere, a network, or all; a voxel may be in several. Voxels of the same sets are taken
//! together, so many at a time, and what they come to is added to each of their sets: nothing of the arrays' size is
//! copied. Per-voxel scores, their redrawn values (`part`) and the moments that per-sample scores are made of all add up;
//! only 2V2 is computed set by set, from the arrays themselves. Every draw is kept, so that the scores of two models can
//! be compared draw by draw.

mod part;

use std::collections::BTreeMap;

use ndarray::{Array2, ArrayView2, Axis};

use self::part::{Errors, Moments, Part, Tally};
use super::folds::Fold;
use super::metrics::{self, Scores};
use super::statistics::{Blocks, Bootstrap, StatisticsError, mean_of, two_v_two_of};
use super::two_v_two::{two_v_two_among, two_v_two_of_patterns};
use crate::linalg::Real;
use crate::parallel;

/// Voxels that are computed together.
const TOGETHER: usize = 128;

/// Parts that are computed before they are added up.
const ROUND: usize = 16;

/// The least noise ceiling (R²) by which a score is divided: of less, the quotient is mostly noise.
pub const LEAST_CEILING: f64 = 0.05;

/// How the predictions were made, and how sure their scores are to be made.
pub struct Sampling<'a> {
    /// Which rows taught which; rows that no fold predicts are not scored. Empty: all are, and nothing is known of folds.
    pub folds: &'a [Fold],
    /// What is drawn anew as a whole, of the rows that are scored.
    pub blocks: &'a Blocks,
    /// How intervals are drawn.
    pub bootstrap: &'a Bootstrap,
    /// The stimulus of each row that is scored, for the noise ceiling; empty where unknown.
    pub stimuli: &'a [String],
    /// Permutations for p-values; 0 for none.
    pub permutations: usize,
}

/// The rows that are predicted by some fold, ascending.
pub fn predicted_rows(folds: &[Fold]) -> Vec<usize> {
    let mut rows: Vec<usize> = folds.iter().flat_map(|fold| fold.test.iter().copied()).collect();
    rows.sort_unstable();
    rows.dedup();
    rows
}

/// The scores of one voxel.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct VoxelScores {
    /// Pearson's r over samples.
    pub r: f64,
    /// 1 − SSE/SST.
    pub r2: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// The R² that a perfect model would have of single trials, where stimuli were repeated.
    pub ceiling: Option<f64>,
    /// r / √ceiling and R² / ceiling, where the ceiling is at least [`LEAST_CEILING`].
    pub normalised: Option<[f64; 2]>,
    /// How likely such an r is by chance, where that was asked for.
    pub p: Option<f64>,
}

/// A score of a set of voxels.
#[derive(Clone, Debug, PartialEq)]
pub struct Drawn {
    /// The score.
    pub value: f64,
    /// The same of the mean pattern of the rows that taught.
    pub baseline: f64,
    /// The score of every draw.
    pub draws: Vec<f64>,
}

/// Scores beside what could be reached at best.
#[derive(Clone, Debug, PartialEq)]
pub struct Normalised {
    /// Mean over voxels of r / √ceiling.
    pub pearson_per_voxel: Drawn,
    /// Mean over voxels of R² / ceiling.
    pub r2_per_voxel: Drawn,
    /// Voxels whose ceiling is too small to divide by: they are left out.
    pub left_out: usize,
}

/// The scores of one set of voxels.
#[derive(Clone, Debug, PartialEq)]
pub struct SetScores {
    /// How many voxels.
    pub voxels: usize,
    /// Those that have no correlation, and count as 0.
    pub undefined: usize,
    /// The fraction of pairs won.
    pub two_v_two: Drawn,
    /// The fraction of its pairs that each sample wins.
    pub won: Vec<f64>,
    /// Mean over voxels of Pearson's r over samples.
    pub pearson_per_voxel: Drawn,
    /// Mean over samples of Pearson's r over voxels.
    pub pearson_per_sample: Drawn,
    /// Mean absolute error.
    pub mae: Drawn,
    /// Mean over voxels of R².
    pub r2_per_voxel: Drawn,
    /// Beside the noise ceiling, where stimuli were repeated and some ceiling is large enough.
    pub normalised: Option<Normalised>,
}

/// Everything that is scored.
pub struct Scored {
    /// One a column of the arrays; zeros for those in no set.
    pub voxels: Vec<VoxelScores>,
    /// One a set.
    pub sets: Vec<SetScores>,
}

/// Scores predictions `p` of measurements `y` (n × V) for every set of columns.
///
/// # Errors
/// When the shapes differ, there is nothing in the arrays or in a set, or the blocks are not those of the samples.
pub fn score<T: Real>(
    y: ArrayView2<'_, T>,
    p: ArrayView2<'_, T>,
    sets: &[Vec<usize>],
    how: &Sampling<'_>,
) -> Result<Scored, StatisticsError> {
    let (n, count) = metrics::check(&y, &p)?;
    let all = y;
    let rows = if how.folds.is_empty() { (0..n).collect() } else { predicted_rows(how.folds) };
    let some = (rows.len() < n).then(|| (y.select(Axis(0), &rows), p.select(Axis(0), &rows)));
    let (y, p) = some.as_ref().map_or((y, p), |(y, p)| (y.view(), p.view()));
    let n = rows.len();
    // The fold that predicts each row.
    let mut of = vec![None; n];
    for (k, fold) in how.folds.iter().enumerate() {
        fold.test.iter().filter_map(|row| rows.binary_search(row).ok()).for_each(|row| of[row] = Some(k));
    }
    let draws = how.bootstrap.counts(how.blocks)?;
    let cells = cells(sets, count);
    let parts: Vec<(&[usize], &[usize])> =
        cells.iter().flat_map(|(of, columns)| columns.chunks(TOGETHER).map(|some| (of.as_slice(), some))).collect();
    let mut voxels = vec![VoxelScores::default(); count];
    let mut sums: Vec<Sums> = sets.iter().map(|_| Sums::new(n)).collect();
    let mut patterns = Array2::zeros((how.folds.len(), count));
    for round in parts.chunks(ROUND) {
        let done = parallel::map(round.len(), |i| {
            let (_, columns) = round.get(i).copied().unwrap_or_default();
            Part::of([all, y, p], &of, columns, how, &draws)
        });
        for ((sets, columns), part) in round.iter().zip(done) {
            let part = part?;
            for set in *sets {
                if let Some(sums) = sums.get_mut(*set) {
                    sums.add(&part);
                }
            }
            for ((place, column), scores) in columns.iter().enumerate().zip(part.voxels) {
                patterns.column_mut(*column).assign(&part.patterns.column(place));
                voxels[*column] = scores;
            }
        }
    }
    let finish = |(columns, sums): (&Vec<usize>, Sums)| {
        let pairs = two_v_two_among(y, p, columns)?;
        let redrawn = two_v_two_of(&pairs.per_sample, how.blocks)?;
        let two_v_two = Drawn {
            value: pairs.score,
            baseline: two_v_two_of_patterns(y, patterns.view(), &of, columns),
            draws: draws.iter().map(|counts| redrawn(counts)).collect(),
        };
        sums.finish(columns.len(), two_v_two, pairs.per_sample, how.blocks, &draws)
    };
    let sets = sets.iter().zip(sums).map(finish).collect::<Result<_, _>>()?;
    Ok(Scored { voxels, sets })
}

/// The columns that are in exactly the same sets.
fn cells(sets: &[Vec<usize>], columns: usize) -> BTreeMap<Vec<usize>, Vec<usize>> {
    let mut of = vec![Vec::new(); columns];
    for (set, columns) in sets.iter().enumerate() {
        columns.iter().for_each(|column| of[*column].push(set));
    }
    let mut cells: BTreeMap<Vec<usize>, Vec<usize>> = BTreeMap::new();
    for (column, of) in of.into_iter().enumerate().filter(|(_, of)| !of.is_empty()) {
        cells.entry(of).or_default().push(column);
    }
    cells
}

/// What the parts of a set come to.
struct Sums {
    undefined: usize,
    r: Tally,
    r2: Tally,
    normalised: Option<[Tally; 2]>,
    ours: Moments,
    of_pattern: Moments,
    errors: Errors,
    pattern_errors: Errors,
}

impl Sums {
    fn new(samples: usize) -> Self {
        Self {
            undefined: 0,
            r: Tally::default(),
            r2: Tally::default(),
            normalised: None,
            ours: Moments::new(samples),
            of_pattern: Moments::new(samples),
            errors: Errors::new(samples),
            pattern_errors: Errors::new(samples),
        }
    }

    fn add(&mut self, part: &Part) {
        self.undefined += part.undefined;
        self.r.add(&part.r);
        self.r2.add(&part.r2);
        if let Some(some) = &part.normalised {
            let sums = self.normalised.get_or_insert_with(Default::default);
            sums.iter_mut().zip(some).for_each(|(sum, some)| sum.add(some));
        }
        self.ours.add(&part.ours);
        self.of_pattern.add(&part.of_pattern);
        self.errors.add(&part.errors);
        self.pattern_errors.add(&part.pattern_errors);
    }

    fn finish(
        self,
        voxels: usize,
        two_v_two: Drawn,
        won: Vec<f64>,
        blocks: &Blocks,
        draws: &[Vec<u32>],
    ) -> Result<SetScores, StatisticsError> {
        let over_samples = |ours: Scores, value: f64, baseline: f64| -> Result<Drawn, StatisticsError> {
            let redrawn = mean_of(&ours.values, blocks)?;
            Ok(Drawn { value, baseline, draws: draws.iter().map(|counts| redrawn(counts)).collect() })
        };
        let correlations = self.ours.pearson();
        let value = correlations.mean();
        let pearson_per_sample = over_samples(correlations, value, self.of_pattern.pearson().mean())?;
        let mae = over_samples(self.errors.per_sample(), self.errors.mean(), self.pattern_errors.mean())?;
        let normalised = self.normalised.and_then(|[r, r2]| {
            let left_out = voxels.saturating_sub(r.count);
            Some(Normalised { pearson_per_voxel: r.mean()?, r2_per_voxel: r2.mean()?, left_out })
        });
        let nothing = || StatisticsError::Metric(metrics::MetricError::Empty { samples: 0, voxels });
        Ok(SetScores {
            voxels,
            undefined: self.undefined,
            two_v_two,
            won,
            pearson_per_voxel: self.r.mean().ok_or_else(nothing)?,
            pearson_per_sample,
            mae,
            r2_per_voxel: self.r2.mean().ok_or_else(nothing)?,
            normalised,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;
    use crate::encoding::folds::{Samples, Scheme, divide};
    use crate::encoding::metrics::{mae, mean_patterns, pearson_per_sample, pearson_per_voxel, r2_per_voxel};
    use crate::encoding::two_v_two::two_v_two;

    /// 60 samples of 20 stimuli, 300 voxels of which some are noise; sets that overlap, one with a column of its own.
    fn data() -> (Array2<f64>, Array2<f64>, Vec<String>, Vec<Vec<usize>>) {
        let mut draws = Draws::new(4, 0);
        let mut draw = || (0..12).map(|_| draws.below(1000) as f64 / 1000.0 - 0.5).sum::<f64>();
        let signal = Array2::from_shape_simple_fn((20, 300), &mut draw);
        let y = Array2::from_shape_fn((60, 300), |(i, v)| signal[(i % 20, v)] * (v % 3) as f64 + draw());
        let p = y.mapv(|y| 0.4 * y + 0.5 * draw());
        let offset = Array2::from_shape_fn((60, 300), |(_, v)| 50.0 * (v % 11) as f64);
        let (y, p) = (y + &offset, p + offset);
        let stimuli = (0..60).map(|i| format!("{}", i % 20)).collect();
        let sets =
            vec![(0..299).collect(), (0..299).filter(|v| v % 2 == 0).collect(), (0..150).rev().collect(), vec![7, 211]];
        (y, p, stimuli, sets)
    }

    #[test]
    fn every_set_is_scored_as_the_array_of_its_columns() {
        let (y, p, stimuli, sets) = data();
        let folds = divide(60, Scheme::Consecutive(5), &Samples::default()).unwrap().folds;
        let (blocks, bootstrap) = (Blocks::of_length(60, 10).unwrap(), Bootstrap { draws: 20, ..Bootstrap::default() });
        let how =
            Sampling { folds: &folds, blocks: &blocks, bootstrap: &bootstrap, stimuli: &stimuli, permutations: 0 };
        let scored = score(y.view(), p.view(), &sets, &how).unwrap();
        assert_eq!((scored.voxels[299].clone(), scored.sets.len()), (VoxelScores::default(), 4));
        let (y, p) = (y.mapv(|v| v as f32), p.mapv(|v| v as f32));
        let pattern = mean_patterns(y.view(), &folds);
        let near = |what: &str, drawn: &Drawn, value: f64, baseline: f64| {
            let close = |a: f64, b: f64| (a - b).abs() < 1e-9;
            assert!(
                close(drawn.value, value) && close(drawn.baseline, baseline),
                "{what}: {drawn:?} {value} {baseline}"
            );
            let least = drawn.draws.iter().fold(f64::INFINITY, |a, b| a.min(*b));
            let most = drawn.draws.iter().fold(f64::NEG_INFINITY, |a, b| a.max(*b));
            assert!(drawn.draws.len() == 20 && least <= value && value <= most, "{what}: {least} {value} {most}");
        };
        for (columns, ours) in sets.iter().zip(&scored.sets) {
            let [y, p, b] = [&y, &p, &pattern].map(|a| a.select(Axis(1), columns));
            let (y, p, b) = (y.view(), p.view(), b.view());
            let mean =
                |metric: fn(ArrayView2<'_, f32>, ArrayView2<'_, f32>) -> Result<Scores, metrics::MetricError>| {
                    [metric(y, p).unwrap().mean(), metric(y, b).unwrap().mean()]
                };
            let [r, r_of_pattern] = mean(pearson_per_voxel);
            near("r", &ours.pearson_per_voxel, r, r_of_pattern);
            let [r2, r2_of_pattern] = mean(r2_per_voxel);
            near("r2", &ours.r2_per_voxel, r2, r2_of_pattern);
            let [r, r_of_pattern] = mean(pearson_per_sample);
            near("r per sample", &ours.pearson_per_sample, r, r_of_pattern);
            near("mae", &ours.mae, mae(y, p).unwrap(), mae(y, b).unwrap());
            let ([pairs, of_pattern], voxels) = ([two_v_two(y, p), two_v_two(y, b)], columns.len());
            near("2v2", &ours.two_v_two, pairs.unwrap().score, of_pattern.unwrap().score);
            let scores = |v: &usize| scored.voxels[*v].clone();
            let kept: Vec<[f64; 2]> = columns.iter().filter_map(|v| scores(v).normalised).collect();
            let Some(normalised) = &ours.normalised else { panic!("stimuli are repeated") };
            assert_eq!((ours.voxels, normalised.left_out), (voxels, voxels - kept.len()));
            let of = |i: usize| kept.iter().map(|pair| pair[i]).sum::<f64>() / kept.len() as f64;
            assert!((normalised.pearson_per_voxel.value - of(0)).abs() < 1e-9);
            assert!((normalised.r2_per_voxel.value - of(1)).abs() < 1e-9);
            for voxel in columns.iter().map(scores) {
                let nc = voxel.ceiling.unwrap();
                let expected = (nc >= LEAST_CEILING).then(|| [voxel.r / nc.sqrt(), voxel.r2 / nc]);
                assert_eq!(voxel.normalised, expected);
            }
        }
        // A third of the voxels is noise.
        assert!(scored.sets[0].normalised.as_ref().is_some_and(|n| (40..100).contains(&n.left_out)));
    }

    #[test]
    fn sets_that_hold_nothing_and_blocks_of_other_samples_are_refused() {
        let (y, p, _, _) = data();
        let bootstrap = Bootstrap::default();
        let with = |sets: &[Vec<usize>], blocks: &Blocks| {
            let how = Sampling { folds: &[], blocks, bootstrap: &bootstrap, stimuli: &[], permutations: 0 };
            score(y.view(), p.view(), sets, &how).map(|scored| scored.sets.len())
        };
        let blocks = Blocks::of_length(60, 10).unwrap();
        assert!(matches!(with(&[vec![]], &blocks), Err(StatisticsError::Metric(_))));
        assert!(matches!(with(&[vec![0]], &Blocks::of_length(50, 10).unwrap()), Err(StatisticsError::Samples { .. })));
        assert_eq!(with(&[], &blocks), Ok(0));
    }
}

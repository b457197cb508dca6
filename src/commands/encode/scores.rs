//! How good are the predictions? By region and by voxel, each beside what the mean pattern alone would reach.

use ndarray::{ArrayView2, Axis};

use crate::datasets::Voxel;
use crate::encoding::ceiling::NoiseCeiling;
use crate::encoding::folds::Fold;
use crate::encoding::metrics::{
    mae, mae_per_sample, mae_per_voxel, mean_patterns, pearson_per_sample, pearson_per_voxel, r2_per_voxel,
};
use crate::encoding::report::{Histogram, RegionScores, Score};
use crate::encoding::statistics::{
    Blocks, Bootstrap, false_discovery, mean_of, pearson_per_voxel_of, permutation_p_values, two_v_two_of,
};
use crate::encoding::two_v_two::two_v_two;
use crate::linalg::Real;

/// Samples that are drawn anew together where nothing is known of runs: neighbours in fMRI are alike.
const STRETCH: usize = 10;

/// What a voxel is good for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Quality {
    /// It varies, and is known throughout.
    Good,
    /// It never varies: nothing can be explained.
    Constant,
    /// A response is not a number: it is left out.
    NotFinite,
}

impl Quality {
    /// Of every voxel.
    pub fn of<T: Real>(y: ArrayView2<'_, T>) -> Vec<Quality> {
        let judge = |column: ndarray::ArrayView1<'_, T>| {
            let first = column.first().map_or(0.0, |v| v.wide());
            if column.iter().any(|v| !v.wide().is_finite()) {
                Quality::NotFinite
            } else if column.iter().all(|v| v.wide() == first) {
                Quality::Constant
            } else {
                Quality::Good
            }
        };
        y.columns().into_iter().map(judge).collect()
    }

    /// As voxels.tsv has it.
    pub fn as_str(self) -> &'static str {
        match self {
            Quality::Good => "good",
            Quality::Constant => "constant",
            Quality::NotFinite => "not finite",
        }
    }
}

/// One voxel.
#[derive(Clone, Debug, PartialEq)]
pub struct VoxelScore {
    /// Pearson R over samples.
    pub r: f64,
    /// 1 − SSE/SST.
    pub r2: f64,
    /// Mean absolute error.
    pub mae: f64,
    /// The λ chosen with all rows.
    pub lambda: f64,
    /// The R² that a perfect model would have of single trials, where stimuli were repeated.
    pub ceiling: Option<f64>,
    /// How likely such an r is by chance, and the false discovery rate at which it counts, where that was asked for.
    pub significance: Option<(f64, f64)>,
    /// What it is good for.
    pub quality: Quality,
}

/// How sure the scores are to be made.
pub struct Certainty<'a> {
    /// The run of each sample: what is drawn anew as a whole. Empty: stretches of ten samples.
    pub runs: &'a [String],
    /// The stimulus of each sample, for the noise ceiling; empty where unknown.
    pub stimuli: &'a [String],
    /// Permutations for p-values; 0 for none.
    pub permutations: usize,
    /// By what all is drawn.
    pub seed: u64,
}

/// Everything that is reported.
pub struct Results {
    /// All regions together, then each.
    pub regions: Vec<RegionScores>,
    /// By voxel.
    pub voxels: Vec<VoxelScore>,
}

impl Results {
    /// Scores out-of-fold predictions (n × V).
    ///
    /// # Errors
    /// Arrays that hold nothing.
    #[allow(clippy::too_many_arguments, reason = "what is scored, how it was made, and what it is called")]
    pub fn new<T: Real>(
        y: ArrayView2<'_, T>,
        predicted: ArrayView2<'_, T>,
        folds: &[Fold],
        voxels: &[Voxel],
        quality: &[Quality],
        lambdas: &[f64],
        certainty: &Certainty<'_>,
    ) -> anyhow::Result<Self> {
        let narrow = |a: ArrayView2<'_, T>| a.mapv(|v| v.wide() as f32);
        let (y, predicted) = (narrow(y), narrow(predicted));
        let pattern = mean_patterns(y.view(), folds);
        // Samples that no fold predicts are not scored.
        let mut rows: Vec<usize> = folds.iter().flat_map(|fold| fold.test.iter().copied()).collect();
        rows.sort_unstable();
        let of = |names: &[String]| rows.iter().filter_map(|row| names.get(*row).cloned()).collect::<Vec<String>>();
        let (runs, stimuli) = (of(certainty.runs), of(certainty.stimuli));
        let (y, predicted, pattern) = match rows.len() < y.nrows() {
            true => [y, predicted, pattern].map(|a| a.select(Axis(0), &rows)).into(),
            false => (y, predicted, pattern),
        };
        let blocks = match runs.is_empty() {
            true => Blocks::of_length(y.nrows(), STRETCH)?,
            false => Blocks::of_labels(&runs)?,
        };
        let bootstrap = Bootstrap { seed: certainty.seed, ..Bootstrap::default() };
        let good = |v: usize| quality.get(v) != Some(&Quality::NotFinite);
        let mut names: Vec<&str> = vec!["all"];
        for voxel in voxels {
            if !names.contains(&voxel.region.as_str()) {
                names.push(&voxel.region);
            }
        }
        let mut spans = Vec::new();
        let mut regions = Vec::new();
        for name in names {
            let within = |v: &usize| good(*v) && (name == "all" || voxels.get(*v).is_some_and(|x| x.region == name));
            let columns: Vec<usize> = (0..y.ncols()).filter(within).collect();
            if columns.is_empty() {
                continue;
            }
            let [y, p, b] = [&y, &predicted, &pattern].map(|a| a.select(Axis(1), &columns));
            regions.push(region_scores(name, y.view(), p.view(), b.view(), &blocks, &bootstrap)?);
            spans.push(columns);
        }
        let (r, r2, error) = (
            pearson_per_voxel(y.view(), predicted.view())?.values,
            r2_per_voxel(y.view(), predicted.view())?.values,
            mae_per_voxel(y.view(), predicted.view())?.values,
        );
        let ceiling = match NoiseCeiling::new(y.view(), &stimuli) {
            Ok(ceiling) => Some(ceiling.r2(1)?),
            // No stimulus was repeated, or nothing is known of stimuli.
            Err(_) => None,
        };
        let significance = match certainty.permutations {
            0 => None,
            draws => {
                let p = permutation_p_values(y.view(), predicted.view(), &blocks, draws, certainty.seed)?;
                let q = false_discovery(&p)?;
                Some(p.into_iter().zip(q).collect::<Vec<_>>())
            }
        };
        let mut scored = Vec::with_capacity(quality.len());
        for (((r, r2), mae), (lambda, quality)) in r.into_iter().zip(r2).zip(error).zip(lambdas.iter().zip(quality)) {
            let ceiling = ceiling.as_ref().and_then(|c| c.get(scored.len()).copied());
            let significance = significance.as_ref().and_then(|s| s.get(scored.len()).copied());
            scored.push(VoxelScore { r, r2, mae, lambda: *lambda, ceiling, significance, quality: *quality });
        }
        for (region, columns) in regions.iter_mut().zip(&spans) {
            let within = || columns.iter().filter_map(|v| scored.get(*v));
            region.significant = significance_of(within());
            let ceilings: Vec<f64> = within().filter_map(|v| v.ceiling).collect();
            region.noise_ceiling = (!ceilings.is_empty()).then(|| ceilings.iter().sum::<f64>() / ceilings.len() as f64);
        }
        Ok(Self { regions, voxels: scored })
    }

    /// The regions as a table for people.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let row = |(region, metric, score): (&str, &str, Score)| {
            let interval = score.interval.map_or(String::new(), |i| format!("{:.4} to {:.4}", i.low, i.high));
            let baseline = score.baseline.map_or(String::new(), |b| format!("{b:.4}"));
            vec![region.into(), metric.into(), format!("{:.4}", score.value), interval, baseline]
        };
        self.scores().map(|(of, metric, score)| row((&of.region, metric, score))).collect()
    }

    /// Every region, metric and score, in the order of scores.tsv.
    pub fn scores(&self) -> impl Iterator<Item = (&RegionScores, &'static str, Score)> {
        self.regions.iter().flat_map(|of| {
            [
                (of, "pearson_per_voxel", of.pearson_per_voxel),
                (of, "pearson_per_sample", of.pearson_per_sample),
                (of, "r2_per_voxel", of.r2_per_voxel),
                (of, "mae", of.mae),
                (of, "2v2", of.two_v_two),
            ]
        })
    }
}

/// How many voxels count at a false discovery rate of 5 %, where that was tested.
fn significance_of<'a>(mut voxels: impl Iterator<Item = &'a VoxelScore>) -> Option<usize> {
    voxels.try_fold(0, |count, voxel| voxel.significance.map(|(_, q)| count + usize::from(q < 0.05)))
}

fn region_scores(
    region: &str,
    y: ArrayView2<'_, f32>,
    p: ArrayView2<'_, f32>,
    pattern: ArrayView2<'_, f32>,
    blocks: &Blocks,
    bootstrap: &Bootstrap,
) -> anyhow::Result<RegionScores> {
    let score = |value, interval, baseline| Score { value, interval, baseline: Some(baseline) };
    let [by_voxel, of_pattern] = [pearson_per_voxel(y, p)?, pearson_per_voxel(y, pattern)?];
    let drawn = bootstrap.interval(blocks, pearson_per_voxel_of(y, p, blocks)?)?;
    let pearson_voxel = score(by_voxel.mean(), Some(drawn), of_pattern.mean());
    let [ours, of_pattern] = [pearson_per_sample(y, p)?, pearson_per_sample(y, pattern)?];
    let drawn = bootstrap.interval(blocks, mean_of(&ours.values, blocks)?)?;
    let pearson_sample = score(ours.mean(), Some(drawn), of_pattern.mean());
    let drawn = bootstrap.interval(blocks, mean_of(&mae_per_sample(y, p)?.values, blocks)?)?;
    let error = score(mae(y, p)?, Some(drawn), mae(y, pattern)?);
    let [ours, of_pattern] = [two_v_two(y, p)?, two_v_two(y, pattern)?];
    let drawn = bootstrap.interval(blocks, two_v_two_of(&ours.per_sample, blocks)?)?;
    Ok(RegionScores {
        region: region.into(),
        voxels: y.ncols(),
        samples: y.nrows(),
        undefined: by_voxel.undefined,
        two_v_two: score(ours.score, Some(drawn), of_pattern.score),
        pearson_per_voxel: pearson_voxel,
        pearson_per_sample: pearson_sample,
        mae: error,
        r2_per_voxel: score(r2_per_voxel(y, p)?.mean(), None, r2_per_voxel(y, pattern)?.mean()),
        significant: None,
        noise_ceiling: None,
        r_histogram: Histogram::of_correlations(&by_voxel.values),
    })
}

//! How good are the predictions? By voxel, and by region, hemisphere and network, each beside what the mean pattern alone
//! would reach.

use std::collections::{BTreeMap, BTreeSet};

use ndarray::ArrayView2;

use crate::datasets::Voxel;
use crate::encoding::folds::Fold;
use crate::encoding::report::{Histogram, Level, Normalised, RegionScores, Score};
use crate::encoding::scoring::{Drawn, Sampling, SetScores, VoxelScores, predicted_rows, score};
use crate::encoding::statistics::{Blocks, Bootstrap, Interval, StatisticsError, false_discovery};
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
        let first = y.rows().into_iter().next();
        let mut found: Vec<(bool, bool)> = vec![(true, true); y.ncols()];
        for row in y.rows() {
            for (((finite, same), value), first) in found.iter_mut().zip(row).zip(first.iter().flatten()) {
                *finite &= value.wide().is_finite();
                *same &= value == first;
            }
        }
        let judge = |of: (bool, bool)| match of {
            (false, _) => Quality::NotFinite,
            (true, true) => Quality::Constant,
            (true, false) => Quality::Good,
        };
        found.into_iter().map(judge).collect()
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
    /// Its scores.
    pub scores: VoxelScores,
    /// The λ chosen with all rows.
    pub lambda: f64,
    /// The least false discovery rate at which it counts, where p was asked for.
    pub q: Option<f64>,
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
    /// All voxels together, then each region, region by hemisphere, hemisphere and network.
    pub regions: Vec<RegionScores>,
    /// The same, draw by draw.
    pub sets: Vec<SetScores>,
    /// By voxel.
    pub voxels: Vec<VoxelScore>,
}

/// Voxels that are scored together, and what they are called.
struct Set {
    level: Level,
    name: String,
    columns: Vec<usize>,
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
        let rows = predicted_rows(folds);
        let of = |names: &[String]| rows.iter().filter_map(|row| names.get(*row).cloned()).collect::<Vec<String>>();
        let (stimuli, blocks) = (of(certainty.stimuli), blocks(certainty.runs, &rows)?);
        let bootstrap = Bootstrap { seed: certainty.seed, ..Bootstrap::default() };
        let (names, columns): (Vec<(Level, String)>, Vec<Vec<usize>>) =
            sets(voxels, quality).into_iter().map(|set| ((set.level, set.name), set.columns)).unzip();
        let how = Sampling {
            folds,
            blocks: &blocks,
            bootstrap: &bootstrap,
            stimuli: &stimuli,
            permutations: certainty.permutations,
        };
        let scored = score(y, predicted, &columns, &how)?;
        // Only of voxels that were tested.
        let (tested, p): (Vec<usize>, Vec<f64>) =
            scored.voxels.iter().enumerate().filter_map(|(v, scores)| Some((v, scores.p?))).unzip();
        let mut q = vec![None; scored.voxels.len()];
        tested.into_iter().zip(false_discovery(&p)?).for_each(|(v, value)| q[v] = Some(value));
        let voxels: Vec<VoxelScore> = scored
            .voxels
            .into_iter()
            .zip(q)
            .zip(lambdas.iter().zip(quality))
            .map(|((scores, q), (lambda, quality))| VoxelScore { scores, q, lambda: *lambda, quality: *quality })
            .collect();
        let regions = names
            .into_iter()
            .zip(columns.iter().zip(&scored.sets))
            .map(|((level, name), (columns, set))| {
                let within: Vec<&VoxelScore> = columns.iter().filter_map(|v| voxels.get(*v)).collect();
                region_scores(level, name, rows.len(), set, &within, &bootstrap)
            })
            .collect();
        Ok(Self { regions, sets: scored.sets, voxels })
    }

    /// The regions as a table for people.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let row = |(region, metric, score): (&str, &str, &Score)| {
            let interval = score.interval.map_or(String::new(), |i| format!("{:.4} to {:.4}", i.low, i.high));
            let baseline = score.baseline.map_or(String::new(), |b| format!("{b:.4}"));
            vec![region.into(), metric.into(), format!("{:.4}", score.value), interval, baseline]
        };
        let all = self.regions.iter().flat_map(|of| of.scores().map(move |(metric, score)| (of, metric, score)));
        all.map(|(of, metric, score)| row((&of.region, metric, score))).collect()
    }
}

/// What of these rows is drawn anew as a whole: runs, or where nothing is known of them, stretches.
///
/// # Errors
/// When there are no rows.
pub fn blocks(runs: &[String], rows: &[usize]) -> Result<Blocks, StatisticsError> {
    let runs: Vec<&String> = rows.iter().filter_map(|row| runs.get(*row)).collect();
    match runs.is_empty() {
        true => Blocks::of_length(rows.len(), STRETCH),
        false => Blocks::of_labels(&runs),
    }
}

/// All voxels that are good for something, then by region, region and hemisphere, hemisphere, and network, in the order
/// of their first voxels. A region that lies in both hemispheres is also told by hemisphere: `LHPPA` and `RHPPA`.
fn sets(voxels: &[Voxel], quality: &[Quality]) -> Vec<Set> {
    let good: Vec<(usize, &Voxel)> = voxels
        .iter()
        .enumerate()
        .filter(|(v, _)| quality.get(*v).is_some_and(|quality| *quality != Quality::NotFinite))
        .collect();
    let sides: BTreeSet<(&str, &str)> = good.iter().map(|(_, v)| (v.region.as_str(), v.hemisphere.as_str())).collect();
    let mut sides_of: BTreeMap<&str, usize> = BTreeMap::new();
    sides.iter().filter(|(_, side)| !side.is_empty()).for_each(|(region, _)| *sides_of.entry(region).or_default() += 1);
    let split = |region: &str| sides_of.get(region).is_some_and(|sides| *sides > 1);
    let of_region = |voxel: &Voxel| voxel.region.clone();
    let by_side = |voxel: &Voxel| match split(&voxel.region) && !voxel.hemisphere.is_empty() {
        true => sided(&voxel.hemisphere, &voxel.region),
        false => String::new(),
    };
    type Name<'a> = &'a dyn Fn(&Voxel) -> String;
    let levels: [(Level, Name<'_>); 5] = [
        (Level::All, &|_| "all".into()),
        (Level::Region, &of_region),
        (Level::RegionByHemisphere, &by_side),
        (Level::Hemisphere, &|voxel| voxel.hemisphere.clone()),
        (Level::Network, &|voxel| voxel.network.clone()),
    ];
    let mut found: Vec<Set> = Vec::new();
    for (level, name) in levels {
        let mut places = BTreeMap::new();
        for (v, voxel) in &good {
            let name = name(voxel);
            // Where nothing is known of regions, all of them are called so, and are told already.
            if name.is_empty() || (level == Level::Region && name == "all") {
                continue;
            }
            let place = *places.entry(name.clone()).or_insert_with(|| {
                found.push(Set { level, name, columns: Vec::new() });
                found.len() - 1
            });
            if let Some(set) = found.get_mut(place) {
                set.columns.push(*v);
            }
        }
    }
    found
}

/// The columns of all voxels together and of each region and so on, in the order in which they are scored.
pub fn members(voxels: &[Voxel], quality: &[Quality]) -> Vec<Vec<usize>> {
    sets(voxels, quality).into_iter().map(|set| set.columns).collect()
}

/// `LHPPA` of PPA in hemisphere L.
fn sided(hemisphere: &str, region: &str) -> String {
    match hemisphere.to_ascii_lowercase().as_str() {
        "l" | "lh" | "left" => format!("LH{region}"),
        "r" | "rh" | "right" => format!("RH{region}"),
        _ => format!("{hemisphere} {region}"),
    }
}

fn region_scores(
    level: Level,
    region: String,
    samples: usize,
    of: &SetScores,
    voxels: &[&VoxelScore],
    bootstrap: &Bootstrap,
) -> RegionScores {
    let interval = |drawn: &Drawn| -> Interval { bootstrap.percentiles(drawn.draws.clone()) };
    let score = |drawn: &Drawn| Score {
        value: drawn.value,
        interval: Some(interval(drawn)),
        baseline: Some(drawn.baseline),
        each: Vec::new(),
    };
    let ceilings: Vec<f64> = voxels.iter().filter_map(|v| v.scores.ceiling).collect();
    let r: Vec<f64> = voxels.iter().map(|v| v.scores.r).collect();
    let significant = |count: usize, voxel: &&VoxelScore| voxel.q.map(|q| count + usize::from(q < 0.05));
    RegionScores {
        region,
        level,
        voxels: of.voxels,
        samples,
        undefined: of.undefined,
        two_v_two: score(&of.two_v_two),
        pearson_per_voxel: score(&of.pearson_per_voxel),
        pearson_per_sample: score(&of.pearson_per_sample),
        mae: score(&of.mae),
        r2_per_voxel: score(&of.r2_per_voxel),
        normalised: of.normalised.as_ref().map(|of| Normalised {
            pearson_per_voxel: score(&of.pearson_per_voxel),
            r2_per_voxel: score(&of.r2_per_voxel),
            left_out: of.left_out,
        }),
        significant: voxels.iter().try_fold(0, significant),
        noise_ceiling: (!ceilings.is_empty()).then(|| ceilings.iter().sum::<f64>() / ceilings.len() as f64),
        r_histogram: Histogram::of_correlations(&r),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voxels_are_told_by_all_they_belong_to() {
        let voxel = |region: &str, hemisphere: &str, network: &str| Voxel {
            region: region.into(),
            hemisphere: hemisphere.into(),
            network: network.into(),
            ..Voxel::default()
        };
        let voxels = [
            voxel("PPA", "L", "scene"),
            voxel("PPA", "right", "scene"),
            voxel("RHLOC", "R", ""),
            voxel("PPA", "L", "scene"),
            voxel("V1", "", "visual"),
        ];
        let mut quality = [Quality::Good; 5];
        let found = |quality: &[Quality]| -> Vec<(Level, String, Vec<usize>)> {
            sets(&voxels, quality).into_iter().map(|set| (set.level, set.name, set.columns)).collect()
        };
        let expected = [
            (Level::All, "all", vec![0, 1, 2, 3, 4]),
            (Level::Region, "PPA", vec![0, 1, 3]),
            (Level::Region, "RHLOC", vec![2]),
            (Level::Region, "V1", vec![4]),
            (Level::RegionByHemisphere, "LHPPA", vec![0, 3]),
            (Level::RegionByHemisphere, "RHPPA", vec![1]),
            (Level::Hemisphere, "L", vec![0, 3]),
            (Level::Hemisphere, "right", vec![1]),
            (Level::Hemisphere, "R", vec![2]),
            (Level::Network, "scene", vec![0, 1, 3]),
            (Level::Network, "visual", vec![4]),
        ];
        assert_eq!(found(&quality), expected.map(|(level, name, columns)| (level, name.to_owned(), columns)));
        quality[1] = Quality::NotFinite;
        let left: Vec<String> = found(&quality).into_iter().map(|(_, name, _)| name).collect();
        assert_eq!(left, ["all", "PPA", "RHLOC", "V1", "L", "R", "scene", "visual"]);
    }
}

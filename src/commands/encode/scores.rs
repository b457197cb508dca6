//! How good are the predictions? By region and by voxel, each beside what the mean pattern alone would reach.

use ndarray::{Array2, ArrayView2, Axis};

use crate::datasets::Voxel;
use crate::encoding::folds::Fold;
use crate::encoding::metrics::{MetricError, mae, mae_per_voxel, pearson_per_sample, pearson_per_voxel, r2_per_voxel};
use crate::encoding::two_v_two::two_v_two;
use crate::linalg::Real;

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

/// One metric of one region.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// The region.
    pub region: String,
    /// Which metric.
    pub metric: &'static str,
    /// Of the predictions.
    pub value: f64,
    /// Of the mean pattern of the teaching rows.
    pub baseline: f64,
    /// Voxels of the region that were scored.
    pub voxels: usize,
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
    /// What it is good for.
    pub quality: Quality,
}

/// Everything that is reported.
pub struct Results {
    /// By region and metric; the whole first.
    pub regions: Vec<Row>,
    /// By voxel.
    pub voxels: Vec<VoxelScore>,
}

impl Results {
    /// Scores out-of-fold predictions (n × V).
    ///
    /// # Errors
    /// Arrays that hold nothing.
    pub fn new<T: Real>(
        y: ArrayView2<'_, T>,
        predicted: ArrayView2<'_, T>,
        fold_of: &[usize],
        folds: &[Fold],
        voxels: &[Voxel],
        quality: &[Quality],
        lambdas: &[f64],
    ) -> Result<Self, MetricError> {
        let narrow = |a: ArrayView2<'_, T>| a.mapv(|v| v.wide() as f32);
        let (y, predicted) = (narrow(y), narrow(predicted));
        let pattern = mean_patterns(y.view(), fold_of, folds);
        let good = |v: usize| quality.get(v) != Some(&Quality::NotFinite);
        let mut names: Vec<&str> = vec!["all"];
        for voxel in voxels {
            if !names.contains(&voxel.region.as_str()) {
                names.push(&voxel.region);
            }
        }
        let mut regions = Vec::new();
        for name in names {
            let within = |v: &usize| good(*v) && (name == "all" || voxels.get(*v).is_some_and(|x| x.region == name));
            let columns: Vec<usize> = (0..y.ncols()).filter(within).collect();
            if columns.is_empty() {
                continue;
            }
            let [y, p, b] = [&y, &predicted, &pattern].map(|a| a.select(Axis(1), &columns));
            regions.extend(metrics(name, y.view(), p.view(), b.view())?);
        }
        let (r, r2, error) = (
            pearson_per_voxel(y.view(), predicted.view())?.values,
            r2_per_voxel(y.view(), predicted.view())?.values,
            mae_per_voxel(y.view(), predicted.view())?.values,
        );
        let mut scored = Vec::with_capacity(quality.len());
        for (((r, r2), mae), (lambda, quality)) in r.into_iter().zip(r2).zip(error).zip(lambdas.iter().zip(quality)) {
            scored.push(VoxelScore { r, r2, mae, lambda: *lambda, quality: *quality });
        }
        Ok(Self { regions, voxels: scored })
    }

    /// The regions as a table for people.
    pub fn rows(&self) -> Vec<Vec<String>> {
        let row = |row: &Row| {
            vec![row.region.clone(), row.metric.into(), format!("{:.4}", row.value), format!("{:.4}", row.baseline)]
        };
        self.regions.iter().map(row).collect()
    }
}

/// What each sample would be if it were the mean of the rows that taught its fold.
fn mean_patterns(y: ArrayView2<'_, f32>, fold_of: &[usize], folds: &[Fold]) -> Array2<f32> {
    let mut means = Array2::zeros((folds.len(), y.ncols()));
    for (fold, mut mean) in folds.iter().zip(means.rows_mut()) {
        let mut sums = vec![0.0f64; y.ncols()];
        for row in &fold.train {
            sums.iter_mut().zip(y.row(*row)).for_each(|(sum, v)| *sum += f64::from(*v));
        }
        let n = fold.train.len().max(1) as f64;
        mean.iter_mut().zip(sums).for_each(|(mean, sum)| *mean = (sum / n) as f32);
    }
    means.select(Axis(0), fold_of)
}

fn metrics(
    region: &str,
    y: ArrayView2<'_, f32>,
    p: ArrayView2<'_, f32>,
    baseline: ArrayView2<'_, f32>,
) -> Result<Vec<Row>, MetricError> {
    let both =
        |of: &dyn Fn(ArrayView2<'_, f32>) -> Result<f64, MetricError>| Ok::<_, MetricError>((of(p)?, of(baseline)?));
    let rows = [
        ("pearson_per_voxel", both(&|p| Ok(pearson_per_voxel(y, p)?.mean()))?),
        ("pearson_per_sample", both(&|p| Ok(pearson_per_sample(y, p)?.mean()))?),
        ("r2_per_voxel", both(&|p| Ok(r2_per_voxel(y, p)?.mean()))?),
        ("mae", both(&|p| mae(y, p))?),
        ("2v2", both(&|p| Ok(two_v_two(y, p)?.score))?),
    ];
    let row = |(metric, (value, baseline))| Row { region: region.into(), metric, value, baseline, voxels: y.ncols() };
    Ok(rows.into_iter().map(row).collect())
}

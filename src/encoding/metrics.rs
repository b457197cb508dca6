//! How near are predicted responses to measured ones? Correlation, explained variance and error, per voxel and per sample.
//!
//! Both arrays are n samples × V voxels, all out-of-fold rows pooled; sums are in f64. Two correlations go by the name
//! of Pearson's in the literature, so both are named in full here: [`pearson_per_voxel`] is over samples (what most
//! voxelwise work reports), [`pearson_per_sample`] over voxels (what goes with 2V2). The second is high for a predictor
//! that always gives the mean pattern, which is why every metric should stand beside that of [`mean_patterns`].
//!
//! **Invariant.** No value is ever NaN. A voxel or sample that is constant, has fewer than two values, or holds a value
//! that is not finite, in either array, has no correlation: it is given 0 and counted in [`Scores::undefined`]. A voxel
//! that is never finite therefore leaves every sample undefined; leave such voxels out before.
//!
//! ```
//! use ndarray::array;
//! use neurod::encoding::metrics::pearson_per_voxel;
//!
//! let measured = array![[1.0_f32, 5.0], [2.0, 5.0], [3.0, 5.0]];
//! let predicted = array![[2.0_f32, 4.0], [4.0, 5.0], [6.0, 6.0]];
//! let r = pearson_per_voxel(measured.view(), predicted.view())?;
//! assert!((r.values[0] - 1.0).abs() < 1e-12);
//! assert_eq!((r.values[1], r.undefined), (0.0, 1));
//! # Ok::<(), neurod::encoding::metrics::MetricError>(())
//! ```

use ndarray::{Array1, Array2, ArrayView1, ArrayView2};
use thiserror::Error;

use super::folds::Fold;

/// Why there is no metric.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum MetricError {
    /// The arrays do not belong together.
    #[error(
        "measured is {}×{} and predicted is {}×{} (samples × voxels): give the same samples and voxels of both",
        measured[0], measured[1], predicted[0], predicted[1]
    )]
    Shapes {
        /// Samples and voxels measured.
        measured: [usize; 2],
        /// Samples and voxels predicted.
        predicted: [usize; 2],
    },
    /// There is nothing to score.
    #[error("measured is {samples}×{voxels} (samples × voxels): give at least one of each")]
    Empty {
        /// Samples given.
        samples: usize,
        /// Voxels given.
        voxels: usize,
    },
}

/// One value per voxel or per sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Scores {
    /// The values, always finite; 0 where undefined.
    pub values: Vec<f64>,
    /// How many of them are undefined.
    pub undefined: usize,
}

impl Scores {
    pub(super) fn new(values: impl Iterator<Item = Option<f64>>) -> Self {
        let mut undefined = 0;
        let values = values.map(|value| {
            let finite = value.filter(|v| v.is_finite());
            undefined += usize::from(finite.is_none());
            finite.unwrap_or(0.0)
        });
        Self { values: values.collect(), undefined }
    }

    /// Mean over all, the undefined counting as 0; 0 of none.
    pub fn mean(&self) -> f64 {
        self.values.iter().sum::<f64>() / self.values.len().max(1) as f64
    }

    /// Median over all, the undefined counting as 0; 0 of none.
    pub fn median(&self) -> f64 {
        let mut sorted = self.values.clone();
        sorted.sort_unstable_by(f64::total_cmp);
        let half = sorted.len() / 2;
        let at = |i: usize| sorted.get(i).copied().unwrap_or(0.0);
        if sorted.len() % 2 == 1 { at(half) } else { (at(half.wrapping_sub(1)) + at(half)) / 2.0 }
    }
}

/// Refuses arrays that do not belong together or hold nothing; gives samples and voxels.
pub(super) fn check<T>(y: &ArrayView2<'_, T>, p: &ArrayView2<'_, T>) -> Result<(usize, usize), MetricError> {
    let (samples, voxels) = y.dim();
    if y.dim() != p.dim() {
        return Err(MetricError::Shapes { measured: [samples, voxels], predicted: p.dim().into() });
    }
    if samples == 0 || voxels == 0 {
        return Err(MetricError::Empty { samples, voxels });
    }
    Ok((samples, voxels))
}

/// Sums of squares and products of the deviations from the means, per voxel.
struct Deviations {
    mean_y: Array1<f64>,
    mean_p: Array1<f64>,
    yy: Array1<f64>,
    pp: Array1<f64>,
    yp: Array1<f64>,
    /// Squared differences measured − predicted, not centred.
    error: Array1<f64>,
}

impl Deviations {
    /// In two passes, so that a large mean costs no digits.
    fn new(y: &ArrayView2<'_, f32>, p: &ArrayView2<'_, f32>) -> Self {
        let (n, v) = (y.nrows() as f64, y.ncols());
        let zero = || Array1::<f64>::zeros(v);
        let mean = |of: &ArrayView2<'_, f32>| {
            let mut sum = zero();
            of.rows().into_iter().for_each(|row| sum.zip_mut_with(&row, |sum, x| *sum += f64::from(*x)));
            sum / n
        };
        let (mean_y, mean_p) = (mean(y), mean(p));
        let (mut yy, mut pp, mut yp, mut error) = (zero(), zero(), zero(), zero());
        for (y, p) in y.rows().into_iter().zip(p.rows()) {
            let sums = yy.iter_mut().zip(&mut pp).zip(&mut yp).zip(&mut error);
            for ((((yy, pp), yp), error), ((y, p), (my, mp))) in
                sums.zip(y.iter().zip(p).zip(mean_y.iter().zip(&mean_p)))
            {
                let (y, p) = (f64::from(*y), f64::from(*p));
                let (dy, dp) = (y - my, p - mp);
                *yy += dy * dy;
                *pp += dp * dp;
                *yp += dy * dp;
                *error += (y - p) * (y - p);
            }
        }
        Self { mean_y, mean_p, yy, pp, yp, error }
    }
}

/// Whether a sum of squared deviations is more than what rounding leaves of a constant.
///
/// Neighbours in f32 differ by 6e-8 of their size, f64 sums err by about 1e-16 of it; this lies between.
pub(super) fn varies(squares: f64, n: f64, mean: f64) -> bool {
    squares > 1e-24 * n * mean * mean && squares > 0.0
}

/// Pearson's r of every voxel, over samples (V values).
///
/// # Errors
/// When the shapes differ or there is nothing.
pub fn pearson_per_voxel(y: ArrayView2<'_, f32>, p: ArrayView2<'_, f32>) -> Result<Scores, MetricError> {
    let (n, voxels) = check(&y, &p)?;
    let d = Deviations::new(&y, &p);
    let n = n as f64;
    Ok(Scores::new((0..voxels).map(|v| {
        (varies(d.yy[v], n, d.mean_y[v]) && varies(d.pp[v], n, d.mean_p[v]))
            .then(|| (d.yp[v] / (d.yy[v].sqrt() * d.pp[v].sqrt())).clamp(-1.0, 1.0))
    })))
}

/// Pearson's r of every sample, over voxels (n values).
///
/// # Errors
/// When the shapes differ or there is nothing.
pub fn pearson_per_sample(y: ArrayView2<'_, f32>, p: ArrayView2<'_, f32>) -> Result<Scores, MetricError> {
    check(&y, &p)?;
    Ok(Scores::new(y.rows().into_iter().zip(p.rows()).map(|(y, p)| pearson(y, p))))
}

fn pearson(y: ArrayView1<'_, f32>, p: ArrayView1<'_, f32>) -> Option<f64> {
    let n = y.len() as f64;
    let mean = |of: &ArrayView1<'_, f32>| of.iter().map(|x| f64::from(*x)).sum::<f64>() / n;
    let (mean_y, mean_p) = (mean(&y), mean(&p));
    let (mut yy, mut pp, mut yp) = (0.0, 0.0, 0.0);
    for (y, p) in y.iter().zip(&p) {
        let (dy, dp) = (f64::from(*y) - mean_y, f64::from(*p) - mean_p);
        yy += dy * dy;
        pp += dp * dp;
        yp += dy * dp;
    }
    (varies(yy, n, mean_y) && varies(pp, n, mean_p)).then(|| (yp / (yy.sqrt() * pp.sqrt())).clamp(-1.0, 1.0))
}

/// `1 − SSE/SST` of every voxel, SST about the measured mean of these same samples (V values, at most 1, no least).
///
/// # Errors
/// When the shapes differ or there is nothing.
pub fn r2_per_voxel(y: ArrayView2<'_, f32>, p: ArrayView2<'_, f32>) -> Result<Scores, MetricError> {
    let (n, voxels) = check(&y, &p)?;
    let d = Deviations::new(&y, &p);
    Ok(Scores::new((0..voxels).map(|v| varies(d.yy[v], n as f64, d.mean_y[v]).then(|| 1.0 - d.error[v] / d.yy[v]))))
}

/// Mean absolute error of every voxel, over samples (V values), in the unit of the responses.
///
/// A value that is not finite is left out; a voxel of which nothing is left is undefined.
///
/// # Errors
/// When the shapes differ or there is nothing.
pub fn mae_per_voxel(y: ArrayView2<'_, f32>, p: ArrayView2<'_, f32>) -> Result<Scores, MetricError> {
    let (_, voxels) = check(&y, &p)?;
    let mut sums = vec![(0.0, 0.0); voxels];
    for (y, p) in y.rows().into_iter().zip(p.rows()) {
        for ((sum, n), (y, p)) in sums.iter_mut().zip(y.iter().zip(p)) {
            if let Some(error) = absolute(*y, *p) {
                *sum += error;
                *n += 1.0;
            }
        }
    }
    Ok(Scores::new(sums.into_iter().map(|(sum, n)| Some(sum / n))))
}

/// Mean absolute error of every sample, over voxels (n values); as [`mae_per_voxel`] otherwise.
///
/// # Errors
/// When the shapes differ or there is nothing.
pub fn mae_per_sample(y: ArrayView2<'_, f32>, p: ArrayView2<'_, f32>) -> Result<Scores, MetricError> {
    check(&y, &p)?;
    Ok(Scores::new(y.rows().into_iter().zip(p.rows()).map(|(y, p)| mean_error(y.iter().zip(p)))))
}

/// `mean |Y − P|` over samples × voxels, in the unit of the responses; values that are not finite are left out, 0 where
/// nothing is left.
///
/// # Errors
/// When the shapes differ or there is nothing.
pub fn mae(y: ArrayView2<'_, f32>, p: ArrayView2<'_, f32>) -> Result<f64, MetricError> {
    check(&y, &p)?;
    Ok(mean_error(y.iter().zip(p)).unwrap_or(0.0))
}

fn mean_error<'a>(pairs: impl Iterator<Item = (&'a f32, &'a f32)>) -> Option<f64> {
    let errors = pairs.filter_map(|(y, p)| absolute(*y, *p));
    let (sum, n) = errors.fold((0.0, 0.0), |(sum, n), error| (sum + error, n + 1.0));
    (n > 0.0).then(|| sum / n)
}

pub(super) fn absolute(y: f32, p: f32) -> Option<f64> {
    (y.is_finite() && p.is_finite()).then(|| (f64::from(y) - f64::from(p)).abs())
}

/// The mean pattern of the rows that teach each fold (folds × V).
pub fn fold_means(y: ArrayView2<'_, f32>, folds: &[Fold]) -> Array2<f32> {
    let mut means = Array2::zeros((folds.len(), y.ncols()));
    for (fold, mut mean) in folds.iter().zip(means.rows_mut()) {
        let mut sum = Array1::<f64>::zeros(y.ncols());
        fold.train.iter().for_each(|row| sum.zip_mut_with(&y.row(*row), |sum, y| *sum += f64::from(*y)));
        mean.zip_mut_with(&sum, |mean, sum| *mean = (sum / fold.train.len().max(1) as f64) as f32);
    }
    means
}

/// The prediction that knows nothing: every row is the mean pattern of the rows that teach its fold (n×V). Rows that no
/// fold predicts are zero.
///
/// With as many samples per fold, pearson_per_voxel of this is negative: a fold whose responses are high leaves a training
/// mean that is low.
pub fn mean_patterns(y: ArrayView2<'_, f32>, folds: &[Fold]) -> Array2<f32> {
    let (means, mut patterns) = (fold_means(y, folds), Array2::zeros(y.raw_dim()));
    for (fold, mean) in folds.iter().zip(means.rows()) {
        fold.test.iter().for_each(|row| patterns.row_mut(*row).assign(&mean));
    }
    patterns
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{array, s};

    type Metric = fn(ArrayView2<'_, f32>, ArrayView2<'_, f32>) -> Result<Scores, MetricError>;

    const METRICS: [Metric; 5] = [pearson_per_voxel, pearson_per_sample, r2_per_voxel, mae_per_voxel, mae_per_sample];

    #[test]
    fn what_has_no_value_is_nought_and_counted() {
        let y = array![[1.0, 7.1, f32::NAN, 0.1, 1.0], [2.0, 7.1, 1.0, 0.2, -3.0], [4.0, 7.1, 2.0, 0.4, 2.0]];
        let p = array![[1.0, 6.0, 1.0, 0.1, 5.0], [2.0, 7.0, 2.0, f32::INFINITY, 5.0], [4.0, 8.0, 3.0, 0.4, 5.0_f32]];
        let r = pearson_per_voxel(y.view(), p.view()).unwrap();
        assert_eq!((r.values.as_slice(), r.undefined), (&[1.0, 0.0, 0.0, 0.0, 0.0][..], 4));
        // A constant prediction has an explained variance; a constant measurement has none.
        let r2 = r2_per_voxel(y.view(), p.view()).unwrap();
        assert!(r2.undefined == 3 && r2.values[0] == 1.0 && r2.values[4] < 0.0, "{r2:?}");
        let samples = pearson_per_sample(y.view(), p.view()).unwrap();
        assert!(samples.undefined == 2 && samples.values[2] != 0.0, "{samples:?}");
        let error = mae_per_voxel(y.view(), p.view()).unwrap();
        assert_eq!((error.values[2], error.values[3], error.undefined), (1.0, 0.0, 0));
        let lost = mae_per_voxel(y.slice(s![..1, 2..3]), p.slice(s![..1, 2..3])).unwrap();
        assert_eq!((lost.values, lost.undefined), (vec![0.0], 1));
        assert!(mae(y.view(), p.view()).unwrap().is_finite());
    }

    #[test]
    fn one_sample_and_one_voxel_are_too_few_for_a_correlation() {
        let (y, p) = (array![[1.0_f32, 2.0, 4.0]], array![[1.0_f32, 3.0, 4.0]]);
        assert_eq!(pearson_per_voxel(y.view(), p.view()).unwrap().undefined, 3);
        assert_eq!(pearson_per_sample(y.view(), p.view()).unwrap().undefined, 0);
        assert_eq!(pearson_per_sample(y.t(), p.t()).unwrap().undefined, 3);
        assert_eq!(r2_per_voxel(y.view(), p.view()).unwrap().undefined, 3);
        assert_eq!(mae(y.view(), p.view()), Ok(1.0 / 3.0));
    }

    #[test]
    fn a_large_offset_costs_no_digits_and_a_constant_stays_one() {
        let y = Array2::from_shape_fn((1000, 2), |(i, j)| if j == 0 { 1e4 + (i % 7) as f32 } else { 12_345.678 });
        let p = Array2::from_shape_fn((1000, 2), |(i, _)| -1e4 + (i % 7) as f32 * 0.5);
        let r = pearson_per_voxel(y.view(), p.view()).unwrap();
        assert!((r.values[0] - 1.0).abs() < 1e-14 && r.values[1] == 0.0 && r.undefined == 1, "{r:?}");
    }

    #[test]
    fn arrays_that_do_not_belong_together_are_refused_by_name() {
        let (y, p) = (Array2::zeros((3, 4)), Array2::zeros((4, 3)));
        for metric in METRICS {
            let error = metric(y.view(), p.view()).unwrap_err();
            assert_eq!(
                error.to_string(),
                "measured is 3×4 and predicted is 4×3 (samples × voxels): give the same samples and voxels of both"
            );
            let none = Array2::zeros((0, 4));
            let error = metric(none.view(), none.view()).unwrap_err();
            assert_eq!(error.to_string(), "measured is 0×4 (samples × voxels): give at least one of each");
        }
    }

    #[test]
    fn mean_and_median_are_over_all() {
        let scores = |values: &[f64]| Scores { values: values.into(), undefined: 0 };
        assert_eq!((scores(&[]).mean(), scores(&[]).median()), (0.0, 0.0));
        assert_eq!((scores(&[3.0, 1.0, 5.0]).mean(), scores(&[3.0, 1.0, 2.0]).median()), (3.0, 2.0));
        assert_eq!(scores(&[4.0, 1.0, 2.0, 9.0]).median(), 3.0);
    }
}

//! In what unit does each feature count? As it comes, by feature space, or column by column.
//!
//! Ridge shrinks a large feature less than a small one, so where spaces of several encoders lie side by side (late
//! fusion), their units decide which of them is heard. What is measured here is measured over the rows that teach alone,
//! and then holds for the rows that are predicted as well: nothing of these leaks into the weights.

use ndarray::{Array2, ArrayView2};

use crate::linalg::Real;

/// What is done to features before they are fitted.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Scale {
    /// Nothing: spaces are concatenated as they are.
    #[default]
    None,
    /// Each space is divided by one number, so that the variances of its columns add up to 1: every space is as loud as any
    /// other, and within a space all stays as it was.
    Space,
    /// Each column has its mean taken away and is divided by its standard deviation: scikit-learn's `StandardScaler`. A
    /// space counts as much as it has columns.
    Column,
}

/// What the teaching rows say is to be done to each column.
#[derive(Clone, Debug, PartialEq)]
pub struct Scaler {
    means: Vec<f64>,
    factors: Vec<f64>,
}

impl Scaler {
    /// Measures these rows of the features (n × F); `spaces` says which space each of the F columns belongs to, numbered
    /// from 0.
    pub fn of<T: Real>(x: ArrayView2<'_, T>, rows: &[usize], spaces: &[usize], scale: Scale) -> Self {
        let (columns, n) = (x.ncols(), rows.len().max(1) as f64);
        if scale == Scale::None {
            return Self { means: vec![0.0; columns], factors: vec![1.0; columns] };
        }
        let mut means = vec![0.0; columns];
        for row in rows {
            means.iter_mut().zip(x.row(*row)).for_each(|(mean, v)| *mean += v.wide() / n);
        }
        let mut variances = vec![0.0; columns];
        for row in rows {
            let deviations = x.row(*row).into_iter().zip(&means).map(|(v, mean)| v.wide() - mean);
            variances.iter_mut().zip(deviations).for_each(|(variance, d)| *variance += d * d / n);
        }
        // What rounding alone makes of a column that does not vary, as scikit-learn has it: it stays as it is.
        let noise = |mean: f64, variance: f64| n * f64::EPSILON * variance + (n * mean * f64::EPSILON).powi(2);
        for (variance, mean) in variances.iter_mut().zip(&means) {
            if *variance <= noise(*mean, *variance) {
                *variance = 0.0;
            }
        }
        let factor = |variance: f64| if variance > 0.0 { 1.0 / variance.sqrt() } else { 1.0 };
        if scale == Scale::Column {
            return Self { means, factors: variances.into_iter().map(factor).collect() };
        }
        let mut totals = vec![0.0; spaces.iter().max().map_or(0, |most| most + 1)];
        for (variance, space) in variances.iter().zip(spaces) {
            if let Some(total) = totals.get_mut(*space) {
                *total += variance;
            }
        }
        let factors = spaces.iter().map(|space| factor(totals.get(*space).copied().unwrap_or(0.0))).collect();
        Self { means: vec![0.0; columns], factors }
    }

    /// Makes weights (F × V) and intercepts that were fitted in the new units those of features as they come.
    pub fn undo<T: Real>(&self, weights: &mut Array2<T>, intercepts: &mut [f64]) {
        for (mut row, (mean, factor)) in weights.rows_mut().into_iter().zip(self.means.iter().zip(&self.factors)) {
            for (weight, intercept) in row.iter_mut().zip(intercepts.iter_mut()) {
                *weight = T::of(weight.wide() * factor);
                *intercept -= mean * weight.wide();
            }
        }
    }

    /// The features in their new units: n × F.
    pub fn apply<T: Real>(&self, x: ArrayView2<'_, T>) -> Array2<T> {
        let mut out = x.to_owned();
        for mut row in out.rows_mut() {
            for (value, (mean, factor)) in row.iter_mut().zip(self.means.iter().zip(&self.factors)) {
                *value = T::of((value.wide() - mean) * factor);
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::array;

    #[test]
    fn only_the_teaching_rows_are_measured() {
        let x = array![[1.0, 10.0, 5.0], [3.0, 30.0, 5.0], [100.0, -7.0, 6.0]];
        let column = Scaler::of(x.view(), &[0, 1], &[0, 0, 1], Scale::Column).apply(x.view());
        // A column that does not vary keeps its unit.
        assert_eq!(column, array![[-1.0, -1.0, 0.0], [1.0, 1.0, 0.0], [98.0, -2.7, 1.0]]);
        let space = Scaler::of(x.view(), &[0, 1], &[0, 0, 1], Scale::Space).apply(x.view());
        let loud = 101f64.sqrt();
        assert!(
            (&space
                - &array![
                    [1.0 / loud, 10.0 / loud, 5.0],
                    [3.0 / loud, 30.0 / loud, 5.0],
                    [100.0 / loud, -7.0 / loud, 6.0]
                ])
                .iter()
                .all(|d| d.abs() < 1e-12)
        );
        assert_eq!(Scaler::of(x.view(), &[0, 1], &[0, 0, 1], Scale::None).apply(x.view()), x);
    }

    #[test]
    fn a_large_constant_does_not_count_as_varying() {
        let x = array![[0.1 + 1e8], [0.1 + 1e8], [0.1 + 1e8]];
        assert_eq!(Scaler::of(x.view(), &[0, 1, 2], &[0], Scale::Column).factors, [1.0]);
    }
}

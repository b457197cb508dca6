//! Multilinear principal components: a network seen through few patterns of regions, from both sides.
//!
//! Lu, Plataniotis and Venetsanopoulos 2008 (*IEEE Transactions on Neural Networks* 19:18), algorithm 1 for matrices: after centring,
//! each mode's projection spans the leading eigenvectors of the scatter that the other mode's projection leaves, as many as hold the
//! share `variation` of the whole; alternating from the full projection until the captured scatter grows no more. Of the projected
//! numbers those are kept that tell the training classes apart best (its equation for Γ, between over within classes). A logistic
//! regression follows, as in BrainGB; how many numbers are kept and its C are left open there: `features` and `c`.

use ndarray::{Array2, ArrayView2, Axis};
use serde::Deserialize;

use super::linear::{Link, Standard, classes_of, linked};
use super::logistic::solve;
use super::vectors::same_regions;
use crate::linalg::eigen;
use crate::network::{Fitted, Learner, NetworkError, Rows};

/// What can be set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MpcaConfig {
    /// The share of each mode's scatter that is kept: Q, above 0 and no more than 1.
    pub variation: f64,
    /// Numbers that are kept of a network at the most.
    pub features: usize,
    /// C of the logistic regression.
    pub c: f64,
}

impl Default for MpcaConfig {
    fn default() -> Self {
        Self { variation: 0.97, features: 100, c: 1.0 }
    }
}

/// Learns multilinear principal components and a logistic regression on them.
#[derive(Clone, Debug)]
pub struct Mpca {
    name: String,
    config: MpcaConfig,
}

impl Mpca {
    /// With these settings.
    ///
    /// # Errors
    /// Numbers that are not above 0, or a share above 1.
    pub fn new(name: &str, config: MpcaConfig) -> Result<Self, NetworkError> {
        super::above_zero(name, "c", config.c)?;
        super::above_zero(name, "features", config.features as f64)?;
        super::above_zero(name, "variation", if config.variation > 1.0 { -1.0 } else { config.variation })?;
        Ok(Self { name: name.into(), config })
    }
}

impl Learner for Mpca {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn fit(&self, train: Rows<'_>, _: Option<Rows<'_>>, _: u64) -> Result<Box<dyn Fitted>, NetworkError> {
        let (seen, truth) = classes_of(train, &self.name)?;
        let all = &train.networks.connectivity;
        let mut mean = Array2::zeros((train.networks.nodes(), train.networks.nodes()));
        train.rows.iter().for_each(|row| mean += &all.index_axis(Axis(0), *row));
        mean /= train.rows.len().max(1) as f64;
        let centred: Vec<Array2<f64>> = train.rows.iter().map(|row| &all.index_axis(Axis(0), *row) - &mean).collect();
        let [left, right] = projections(&centred, self.config.variation)?;
        let mut seen_through = Through { mean, left, right, kept: Vec::new() };
        let x = seen_through.all(train);
        seen_through.kept = telling(&x, &truth, seen.len(), self.config.features);
        let x = x.select(Axis(1), &seen_through.kept);
        let standard = Standard::of(x.view());
        let (weights, intercept) = solve(standard.apply(x), &truth, seen.len(), self.config.c, false)?;
        Ok(Box::new(Seen { through: seen_through, standard, weights, intercept, seen }))
    }
}

/// Of both modes the projection: regions × patterns.
fn projections(centred: &[Array2<f64>], variation: f64) -> Result<[Array2<f64>; 2], NetworkError> {
    const MOST: usize = 10;
    let scatter = |seen: &dyn Fn(&Array2<f64>) -> Array2<f64>| {
        let mut sum = Array2::<f64>::zeros(centred.first().map_or((0, 0), Array2::dim));
        for x in centred {
            let seen = seen(x);
            sum += &seen.dot(&seen.t());
        }
        sum
    };
    let whole = [scatter(&|x| x.clone()), scatter(&|x| x.t().to_owned())];
    let patterns = whole.each_ref().map(|whole| patterns_holding(whole, variation));
    let [Ok(p), Ok(q)] = patterns else { return Err(not_finite()) };
    let (mut left, mut right) = (leading(&whole[0], p)?, leading(&whole[1], q)?);
    let mut captured = 0.0;
    for _ in 0..MOST {
        left = leading(&scatter(&|x| x.dot(&right)), p)?;
        right = leading(&scatter(&|x| x.t().dot(&left)), q)?;
        let now: f64 = centred.iter().map(|x| left.t().dot(x).dot(&right).iter().map(|y| y * y).sum::<f64>()).sum();
        if now <= captured * (1.0 + 1e-6) {
            break;
        }
        captured = now;
    }
    Ok([left, right])
}

fn not_finite() -> NetworkError {
    NetworkError::Labels("training networks are not finite (look at them)".into())
}

fn decomposed(scatter: &Array2<f64>) -> Result<(Vec<f64>, Array2<f64>), NetworkError> {
    let n = scatter.nrows();
    let flat: Vec<f64> = scatter.iter().copied().collect();
    let found = eigen(&flat, n).map_err(|_| not_finite())?;
    let vectors = Array2::from_shape_vec((n, n), found.vectors()).map_err(|_| not_finite())?;
    Ok((found.values, vectors))
}

/// How many leading eigenvectors hold this share.
fn patterns_holding(scatter: &Array2<f64>, share: f64) -> Result<usize, NetworkError> {
    let (values, _) = decomposed(scatter)?;
    let total: f64 = values.iter().sum();
    let mut held = 0.0;
    let enough = values.iter().rev().position(|value| {
        held += value;
        held >= share * total
    });
    Ok(enough.map_or(values.len(), |place| place + 1))
}

/// So many leading eigenvectors, each with its largest entry positive.
fn leading(scatter: &Array2<f64>, count: usize) -> Result<Array2<f64>, NetworkError> {
    let (values, vectors) = decomposed(scatter)?;
    let last: Vec<usize> = (0..values.len()).rev().take(count).collect();
    let mut vectors = vectors.select(Axis(1), &last);
    for mut column in vectors.columns_mut() {
        let largest = column.fold(0.0_f64, |most, v| if v.abs() > most.abs() { *v } else { most });
        if largest < 0.0 {
            column.mapv_inplace(|v| -v);
        }
    }
    Ok(vectors)
}

/// The columns that differ most between classes beside within them, the best first.
fn telling(x: &Array2<f64>, truth: &[usize], classes: usize, most: usize) -> Vec<usize> {
    let mean = x.mean_axis(Axis(0)).unwrap_or_default();
    let (mut between, mut within) = (mean.mapv(|_| 0.0), mean.mapv(|_| 0.0));
    for class in 0..classes {
        let rows: Vec<usize> = (0..truth.len()).filter(|row| truth.get(*row) == Some(&class)).collect();
        let of = x.select(Axis(0), &rows);
        let middle = of.mean_axis(Axis(0)).unwrap_or_default();
        between += &((&middle - &mean).mapv(|d| d * d) * rows.len() as f64);
        for row in of.rows() {
            within += &(&row - &middle).mapv(|d| d * d);
        }
    }
    let told = |column: &usize| if within[*column] > 0.0 { between[*column] / within[*column] } else { 0.0 };
    let mut columns: Vec<usize> = (0..x.ncols()).collect();
    columns.sort_by(|a, b| told(b).total_cmp(&told(a)));
    columns.truncate(most);
    columns
}

/// Networks seen through patterns.
struct Through {
    mean: Array2<f64>,
    left: Array2<f64>,
    right: Array2<f64>,
    kept: Vec<usize>,
}

impl Through {
    fn one(&self, network: ArrayView2<'_, f64>) -> Array2<f64> {
        self.left.t().dot(&(&network - &self.mean)).dot(&self.right)
    }

    /// Samples × all projected numbers.
    fn all(&self, rows: Rows<'_>) -> Array2<f64> {
        let mut all = Array2::zeros((rows.rows.len(), self.left.ncols() * self.right.ncols()));
        for (mut into, row) in all.rows_mut().into_iter().zip(rows.rows) {
            let seen = self.one(rows.networks.connectivity.index_axis(Axis(0), *row));
            into.iter_mut().zip(&seen).for_each(|(into, seen)| *into = *seen);
        }
        all
    }
}

struct Seen {
    through: Through,
    standard: Standard,
    weights: Array2<f64>,
    intercept: ndarray::Array1<f64>,
    seen: Vec<usize>,
}

impl Fitted for Seen {
    fn predict(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
        same_regions(self.through.mean.nrows(), rows)?;
        let x = self.standard.apply(self.through.all(rows).select(Axis(1), &self.through.kept));
        let link = if self.seen.len() == 2 { Link::Logistic } else { Link::Softmax };
        Ok(linked(x.dot(&self.weights) + &self.intercept, link, &self.seen, rows.targets.outputs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;

    #[test]
    fn two_planted_patterns_are_found_from_both_sides() {
        let mut chance = Draws::new(1, 0);
        let pattern = |k: usize| ndarray::Array1::from_shape_fn(8, |i| if i / 4 == k { 0.5 } else { 0.0 });
        let samples: Vec<Array2<f64>> = (0..30)
            .map(|_| {
                let mut x = Array2::zeros((8, 8));
                for k in 0..2 {
                    let column = pattern(k).insert_axis(Axis(1));
                    x.scaled_add(chance.normal(), &column.dot(&column.t()));
                }
                x
            })
            .collect();
        let [left, right] = projections(&samples, 0.97).unwrap();
        assert_eq!((left.dim(), right.dim()), ((8, 2), (8, 2)));
        for x in &samples {
            let back = left.dot(&left.t().dot(x).dot(&right)).dot(&right.t());
            assert!((&back - x).iter().all(|d| d.abs() < 1e-10));
        }
        let x = ndarray::array![[0.0, 1.0], [0.1, -1.0], [1.0, 1.0], [1.1, -1.0]];
        assert_eq!(telling(&x, &[0, 0, 1, 1], 2, 1), [0]);
    }
}

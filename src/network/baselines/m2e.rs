//! Multi-view multi-graph embedding: few numbers of a network, on which all its views agree.
//!
//! Liu, He, Cao, Yu, Ragin and Leow 2018 (*AAAI* 32): each view's networks are one partially symmetric tensor, which factors into
//! patterns of regions B and numbers of samples F, the views' numbers drawn to one embedding F*:
//!
//! min Σᵥ ‖Xᵥ − ⟦Bᵥ, Bᵥ, Fᵥ⟧‖² + λ‖Fᵥ − F*‖²,
//!
//! with the second B a P that must equal it, by the method of multipliers. Left open there, and chosen here: views scaled to a mean
//! squared norm of 1, B beginning as the leading eigenvectors of the mean network, the multipliers' weight, the number of rounds; and,
//! since the paper embeds all samples at once to cluster them, what is embedded later: its numbers solve the same problem with B as it
//! was learned from the training samples. A logistic regression follows, as in BrainGB.

use ndarray::{Array1, Array2, ArrayView2, Axis};
use serde::Deserialize;

use super::linear::{Link, Standard, classes_of, linked};
use super::logistic::solve;
use super::vectors::{same_regions, view, views};
use crate::linalg::{eigen, ridge};
use crate::network::{Fitted, Learner, NetworkError, Rows};

/// What can be set.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct M2eConfig {
    /// Numbers of a network.
    pub rank: usize,
    /// How strongly views are drawn together: λ, above 0.
    pub lambda: f64,
    /// Rounds of the method of multipliers.
    pub rounds: usize,
    /// C of the logistic regression.
    pub c: f64,
}

impl Default for M2eConfig {
    fn default() -> Self {
        Self { rank: 10, lambda: 0.1, rounds: 50, c: 1.0 }
    }
}

/// Learns an embedding and a logistic regression on it.
#[derive(Clone, Debug)]
pub struct M2e {
    name: String,
    config: M2eConfig,
}

impl M2e {
    /// With these settings.
    ///
    /// # Errors
    /// Numbers that are not above 0.
    pub fn new(name: &str, config: M2eConfig) -> Result<Self, NetworkError> {
        super::above_zero(name, "c", config.c)?;
        super::above_zero(name, "lambda", config.lambda)?;
        super::above_zero(name, "rank", config.rank as f64)?;
        super::above_zero(name, "rounds", config.rounds as f64)?;
        Ok(Self { name: name.into(), config })
    }
}

impl Learner for M2e {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn fit(&self, train: Rows<'_>, _: Option<Rows<'_>>, _: u64) -> Result<Box<dyn Fitted>, NetworkError> {
        let (seen, truth) = classes_of(train, &self.name)?;
        let embedding = Embedding::learn(train, &self.config)?;
        let x = embedding.common(train)?;
        let standard = Standard::of(x.view());
        let (weights, intercept) = solve(standard.apply(x), &truth, seen.len(), self.config.c, false)?;
        Ok(Box::new(Embedded { embedding, standard, weights, intercept, seen }))
    }
}

/// One view's patterns.
struct View {
    name: Option<String>,
    /// What networks are multiplied by.
    scale: f64,
    /// Regions × rank, and its copy.
    sides: [Array2<f64>; 2],
}

struct Embedding {
    views: Vec<View>,
    lambda: f64,
    nodes: usize,
}

impl Embedding {
    fn learn(train: Rows<'_>, config: &M2eConfig) -> Result<Self, NetworkError> {
        let nodes = train.networks.nodes();
        let begun = views(train.networks).map(|name| View::begin(name, train, config.rank.min(nodes)));
        let views = begun.collect::<Result<Vec<_>, _>>()?;
        let mut embedding = Self { views, lambda: config.lambda, nodes };
        let mut multipliers: Vec<Array2<f64>> =
            embedding.views.iter().map(|view| Array2::zeros(view.sides[0].dim())).collect();
        for _ in 0..config.rounds {
            let numbers = embedding.each(train)?;
            for ((view, numbers), multiplier) in embedding.views.iter_mut().zip(&numbers).zip(&mut multipliers) {
                view.round(train, numbers, multiplier)?;
            }
        }
        Ok(embedding)
    }

    /// What the views agree on: samples × rank.
    fn common(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
        same_regions(self.nodes, rows)?;
        let rank = self.views.first().map_or(0, |view| view.sides[0].ncols());
        let (mut agreed, mut said) =
            (Array2::<f64>::zeros((rank, rank)), Array2::<f64>::zeros((rank, rows.rows.len())));
        for view in &self.views {
            let gram = view.gram();
            agreed += &solved(&gram, &gram, self.lambda)?;
            said += &solved(&gram, &view.projected(rows).t().to_owned(), self.lambda)?;
        }
        // Patterns that double each other leave a direction open; the shortest numbers are taken.
        let agreed = (&agreed + &agreed.t()) / 2.0;
        Ok(solved(&agreed, &said, 1e-9 * agreed.diag().sum().max(f64::MIN_POSITIVE))?.t().to_owned())
    }

    /// Every view's own numbers: samples × rank.
    fn each(&self, rows: Rows<'_>) -> Result<Vec<Array2<f64>>, NetworkError> {
        let common = self.common(rows)?;
        let of = |view: &View| {
            let said = view.projected(rows) + &common * self.lambda;
            Ok(solved(&view.gram(), &said.t().to_owned(), self.lambda)?.t().to_owned())
        };
        self.views.iter().map(of).collect()
    }
}

impl View {
    fn begin(name: Option<&str>, train: Rows<'_>, rank: usize) -> Result<Self, NetworkError> {
        let all = view(train.networks, name);
        let nodes = train.networks.nodes();
        let (mut mean, mut squares) = (Array2::<f64>::zeros((nodes, nodes)), 0.0);
        for row in train.rows {
            let network = all.index_axis(Axis(0), *row);
            mean += &network;
            squares += network.iter().map(|v| v * v).sum::<f64>();
        }
        let scale = (train.rows.len() as f64 / squares.max(f64::MIN_POSITIVE)).sqrt();
        // Of M Mᵀ, so that patterns of strong negative edges lead as well.
        let squared: Vec<f64> = mean.dot(&mean.t()).iter().copied().collect();
        let found = eigen(&squared, nodes).map_err(|_| not_finite())?;
        let vectors = Array2::from_shape_vec((nodes, nodes), found.vectors()).map_err(|_| not_finite())?;
        let last: Vec<usize> = (0..nodes).rev().take(rank).collect();
        let side = vectors.select(Axis(1), &last);
        Ok(Self { name: name.map(str::to_owned), scale, sides: [side.clone(), side] })
    }

    /// How alike patterns are, rank × rank: of their outer products.
    fn gram(&self) -> Array2<f64> {
        let [left, right] = &self.sides;
        let product = left.t().dot(left) * right.t().dot(right);
        (&product + &product.t()) / 2.0
    }

    /// Each network along each pattern: samples × rank.
    fn projected(&self, rows: Rows<'_>) -> Array2<f64> {
        let [left, right] = &self.sides;
        let mut all = Array2::zeros((rows.rows.len(), left.ncols()));
        for (mut into, network) in all.rows_mut().into_iter().zip(self.networks(rows)) {
            into.assign(&((left * &network.dot(right)).sum_axis(Axis(0)) * self.scale));
        }
        all
    }

    fn networks<'a>(&self, rows: Rows<'a>) -> impl Iterator<Item = ArrayView2<'a, f64>> {
        let all = view(rows.networks, self.name.as_deref());
        rows.rows.iter().map(move |row| all.index_axis(Axis(0), *row))
    }

    /// Both sides anew, each given the other, drawn to each other.
    fn round(
        &mut self,
        train: Rows<'_>,
        numbers: &Array2<f64>,
        multiplier: &mut Array2<f64>,
    ) -> Result<(), NetworkError> {
        for side in 0..2 {
            let other = self.sides[1 - side].clone();
            let mut said = Array2::<f64>::zeros(other.dim());
            for (network, numbers) in self.networks(train).zip(numbers.rows()) {
                let seen = if side == 0 { network.dot(&other) } else { network.t().dot(&other) };
                said += &(seen * self.scale * numbers);
            }
            let among = other.t().dot(&other) * numbers.t().dot(numbers);
            let drawn = (among.diag().sum() / among.nrows().max(1) as f64).max(f64::MIN_POSITIVE);
            let wanted = if side == 0 { &other - &*multiplier } else { &other + &*multiplier };
            said.scaled_add(drawn, &wanted);
            let among = (&among + &among.t()) / 2.0;
            self.sides[side] = solved(&among, &said.t().to_owned(), drawn)?.t().to_owned();
        }
        let [left, right] = &self.sides;
        *multiplier += &(left - right);
        Ok(())
    }
}

fn not_finite() -> NetworkError {
    NetworkError::Labels("training networks are not finite (look at them)".into())
}

/// (A + λI)⁻¹ B of a symmetric A.
fn solved(a: &Array2<f64>, b: &Array2<f64>, lambda: f64) -> Result<Array2<f64>, NetworkError> {
    let flat = |m: &Array2<f64>| m.iter().copied().collect::<Vec<f64>>();
    let (_, x) = ridge(&flat(a), &flat(b), lambda, a.nrows(), b.ncols()).map_err(|_| not_finite())?;
    Array2::from_shape_vec(b.dim(), x).map_err(|_| not_finite())
}

struct Embedded {
    embedding: Embedding,
    standard: Standard,
    weights: Array2<f64>,
    intercept: Array1<f64>,
    seen: Vec<usize>,
}

impl Fitted for Embedded {
    fn predict(&self, rows: Rows<'_>) -> Result<Array2<f64>, NetworkError> {
        let x = self.standard.apply(self.embedding.common(rows)?);
        let link = if self.seen.len() == 2 { Link::Logistic } else { Link::Softmax };
        Ok(linked(x.dot(&self.weights) + &self.intercept, link, &self.seen, rows.targets.outputs()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;
    use crate::network::{Networks, Targets};

    #[test]
    fn networks_of_two_patterns_are_what_their_numbers_say() {
        let mut chance = Draws::new(2, 0);
        let pattern = |k: usize| Array2::from_shape_fn((6, 1), |(i, _)| if i / 3 == k { 1.0 } else { 0.2 });
        let numbers = Array2::from_shape_fn((12, 2), |_| 1.0 + chance.normal());
        let connectivity = ndarray::Array3::from_shape_fn((12, 6, 6), |(s, i, j)| {
            (0..2).map(|k| numbers[(s, k)] * pattern(k)[(i, 0)] * pattern(k)[(j, 0)]).sum()
        });
        let networks = Networks { connectivity, ..Networks::default() };
        let targets = Targets::Values(vec![0.0; 12]);
        let rows: Vec<usize> = (0..12).collect();
        let all = Rows { networks: &networks, targets: &targets, rows: &rows };
        let config = M2eConfig { rank: 2, rounds: 200, ..M2eConfig::default() };
        let embedding = Embedding::learn(Rows { rows: &rows[..9], ..all }, &config).unwrap();
        let (view, found) = (&embedding.views[0], embedding.common(all).unwrap());
        let [left, right] = &view.sides;
        let apart = (left - right).iter().map(|d| d * d).sum::<f64>().sqrt();
        assert!(apart < 1e-2, "both sides are one: {apart}");
        for s in 0..12 {
            let network = networks.connectivity.index_axis(Axis(0), s).to_owned() * view.scale;
            let back = (left * &found.row(s)).dot(&right.t());
            let missed = (&back - &network).iter().map(|d| d * d).sum::<f64>();
            assert!(missed < 1e-2 * network.iter().map(|v| v * v).sum::<f64>(), "sample {s}: {missed}");
        }
    }
}

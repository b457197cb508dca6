//! How strong is the penalty? Fixed, or chosen per region from the moments alone, by GCV or by holding out runs.
//!
//! From `G = Q diag(s) Qᵀ` and `C̃ = QᵀC` every λ costs one pass: `w̃ = c̃/(s + λ)`,
//! `RSS = Σ dy² − 2 w̃ᵀc̃ + Σ s w̃²`, `df = 1 + Σ s/(s + λ)`. Generalised cross-validation (Golub, Heath & Wahba 1979)
//! takes the λ with the least `n RSS/(n − df)²`. Its assumption of independent samples fails for fMRI, so `runs` holds
//! out one run at a time: the error on it follows from its own moments.
//!
//! A choice takes time, so it is a [`SearchJob`]: an owned copy of what it needs, to be run on any thread, whose
//! [`SearchResult`] the learner then adopts. The same job measures drift and condition and solves the weights anew.

use std::fmt;
use std::sync::Arc;

use serde::de::value::MapAccessDeserializer;
use serde::de::{MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::moments::Moments;
use super::rls::{Rls, block_width};
use super::{RidgeError, positive};
use crate::linalg;

/// `lambda = 10.0`, or `lambda = { choose = "runs", grid = { min = 0.1, max = 1e5, steps = 13 }, every = 500 }`.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum LambdaConfig {
    /// The same for every region, for good.
    Fixed(f64),
    /// Chosen per region while running.
    Choose(ChooseLambda),
}

/// How λ is chosen.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChooseLambda {
    /// By what.
    pub choose: Criterion,
    /// The λs to choose from; at most 32.
    #[serde(default)]
    pub grid: LambdaGrid,
    /// After how many updates a choice is made anew; 500.
    #[serde(default = "default_every")]
    pub every: u64,
    /// For `runs`: how many runs are kept apart; 8. Older ones are merged. Each costs the memory of the weights.
    #[serde(default = "default_keep_runs")]
    pub keep_runs: usize,
    /// λ of every region until the first choice; the middle of the grid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<f64>,
}

fn default_every() -> u64 {
    500
}

fn default_keep_runs() -> usize {
    8
}

/// What a choice of λ goes by.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Criterion {
    /// Generalised cross-validation: for independent samples.
    Gcv,
    /// Least squared error on runs held out one at a time: for autocorrelated fMRI. Needs two runs; until then λ stays.
    Runs,
}

/// The λs to choose from: a list, or `steps` of them, evenly spaced in the logarithm.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(untagged)]
pub enum LambdaGrid {
    /// These.
    List(Vec<f64>),
    /// From `min` to `max`.
    Span(LambdaSpan),
}

/// `steps` values from `min` to `max`, evenly spaced in the logarithm.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LambdaSpan {
    /// The least.
    pub min: f64,
    /// The greatest.
    pub max: f64,
    /// How many.
    pub steps: usize,
}

impl Default for LambdaConfig {
    /// λ = 10.
    fn default() -> Self {
        Self::Fixed(10.0)
    }
}

impl Default for LambdaGrid {
    /// 0.1 to 10⁵ in 13 steps.
    fn default() -> Self {
        Self::Span(LambdaSpan { min: 0.1, max: 1e5, steps: 13 })
    }
}

/// Most λs in a grid: each that is chosen keeps an F×F matrix.
const MAX_GRID: usize = 32;

impl LambdaGrid {
    /// The λs, ascending.
    ///
    /// # Errors
    /// An empty grid, one of over 32 steps, or a λ that is not positive.
    pub fn values(&self) -> Result<Vec<f64>, RidgeError> {
        let mut values = match self {
            LambdaGrid::List(list) => list.clone(),
            LambdaGrid::Span(LambdaSpan { min, max, steps }) => {
                let (low, high) = (positive("lambda.grid.min", *min)?.ln(), positive("lambda.grid.max", *max)?.ln());
                if *steps > MAX_GRID {
                    return Err(RidgeError::Grid(*steps));
                }
                let step = (high - low) / steps.saturating_sub(1).max(1) as f64;
                (0..*steps).map(|i| (low + step * i as f64).exp()).collect()
            }
        };
        if values.is_empty() || values.len() > MAX_GRID {
            return Err(RidgeError::Grid(values.len()));
        }
        for value in &values {
            positive("lambda.grid", *value)?;
        }
        values.sort_by(f64::total_cmp);
        values.dedup();
        Ok(values)
    }
}

impl LambdaConfig {
    /// λ of every region until the first choice.
    ///
    /// # Errors
    /// A λ that is not positive, or a grid that cannot be.
    pub fn start(&self) -> Result<f64, RidgeError> {
        match self {
            LambdaConfig::Fixed(lambda) => positive("lambda", *lambda),
            LambdaConfig::Choose(choose) => {
                let grid = choose.grid.values()?;
                if choose.every == 0 {
                    return Err(RidgeError::Zero("lambda.every"));
                }
                if choose.keep_runs < 2 {
                    return Err(RidgeError::TooFewRuns(choose.keep_runs));
                }
                choose.start.map_or(Ok(grid[grid.len() / 2]), |start| positive("lambda.start", start))
            }
        }
    }
}

impl<'de> Deserialize<'de> for LambdaConfig {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = LambdaConfig;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a number, or a table like { choose = \"runs\" }")
            }
            fn visit_f64<E>(self, value: f64) -> Result<LambdaConfig, E> {
                Ok(LambdaConfig::Fixed(value))
            }
            fn visit_i64<E>(self, value: i64) -> Result<LambdaConfig, E> {
                Ok(LambdaConfig::Fixed(value as f64))
            }
            fn visit_u64<E>(self, value: u64) -> Result<LambdaConfig, E> {
                Ok(LambdaConfig::Fixed(value as f64))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LambdaConfig, A::Error> {
                ChooseLambda::deserialize(MapAccessDeserializer::new(map)).map(LambdaConfig::Choose)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

impl<'de> Deserialize<'de> for LambdaGrid {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Either;
        impl<'de> Visitor<'de> for Either {
            type Value = LambdaGrid;
            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a list of numbers, or a table like { min = 0.1, max = 1e5, steps = 13 }")
            }
            fn visit_seq<A: serde::de::SeqAccess<'de>>(self, mut list: A) -> Result<LambdaGrid, A::Error> {
                let mut values = Vec::new();
                while let Some(value) = list.next_element()? {
                    values.push(value);
                }
                Ok(LambdaGrid::List(values))
            }
            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<LambdaGrid, A::Error> {
                LambdaSpan::deserialize(MapAccessDeserializer::new(map)).map(LambdaGrid::Span)
            }
        }
        deserializer.deserialize_any(Either)
    }
}

/// The GCV score of every λ of `grid` for every target, row-major grid×V; infinite where `df ≥ n`.
///
/// `None` where the moments are not finite.
pub fn gcv_scores(moments: &Moments, grid: &[f64]) -> Option<Vec<f64>> {
    let (g, c) = moments.gram_and_cross();
    let (features, targets, n) = (moments.mean_x().len(), moments.mean_y().len(), moments.n());
    let eigen = linalg::eigen(&g, features).ok()?;
    let rotated = eigen.rotate(&c, targets);
    let mut scores = Vec::with_capacity(grid.len() * targets);
    for lambda in grid {
        let mut rss = moments.square_y().to_vec();
        for (s, row) in eigen.values.iter().zip(rotated.chunks_exact(targets.max(1))) {
            let shrink = 1.0 / (s + lambda);
            let share = shrink * (2.0 - s * shrink);
            rss.iter_mut().zip(row).for_each(|(rss, c)| *rss -= share * c * c);
        }
        let df = 1.0 + eigen.values.iter().map(|s| s / (s + lambda)).sum::<f64>();
        let scale = if n > df { n / ((n - df) * (n - df)) } else { f64::INFINITY };
        scores.extend(rss.iter().map(|rss| rss.max(0.0) * scale));
    }
    Some(scores)
}

/// The squared error of every λ of `grid` for every target, summed over `runs` held out one at a time, row-major grid×V.
///
/// `None` with fewer than two runs, or where the moments are not finite.
pub fn run_scores(runs: &[Moments], grid: &[f64]) -> Option<Vec<f64>> {
    if runs.len() < 2 {
        return None;
    }
    let (features, targets) = (runs[0].mean_x().len(), runs[0].mean_y().len());
    let mut scores = vec![0.0; grid.len() * targets];
    for (held, test) in runs.iter().enumerate() {
        let others = runs.iter().enumerate().filter(|(i, _)| *i != held).map(|r| r.1);
        let train = Moments::total(features, targets, others);
        let (g, c) = train.gram_and_cross();
        let (test_g, test_c) = test.gram_and_cross();
        let eigen = linalg::eigen(&g, features).ok()?;
        let rotated = eigen.rotate(&c, targets);
        let test_g = eigen.rotate_both(&test_g);
        let test_c = eigen.rotate(&test_c, targets);
        let shift: Vec<f64> = test.mean_x().iter().zip(train.mean_x()).map(|(a, b)| a - b).collect();
        let shift = eigen.rotate(&shift, 1);
        for (lambda, scores) in grid.iter().zip(scores.chunks_exact_mut(targets.max(1))) {
            let mut w = rotated.clone();
            for (s, row) in eigen.values.iter().zip(w.chunks_exact_mut(targets.max(1))) {
                row.iter_mut().for_each(|w| *w /= s + lambda);
            }
            let gw = linalg::multiply(&test_g, &w, features, features, targets);
            // Within the run Σ dy² − 2 wᵀc + wᵀGw, and n times the squared error of its mean.
            let mut offset: Vec<f64> = test.mean_y().iter().zip(train.mean_y()).map(|(a, b)| a - b).collect();
            let mut error = test.square_y().to_vec();
            for (f, shift) in shift.iter().enumerate() {
                let row = f * targets..(f + 1) * targets;
                for (v, ((w, gw), c)) in w[row.clone()].iter().zip(&gw[row.clone()]).zip(&test_c[row]).enumerate() {
                    error[v] += w * (gw - 2.0 * c);
                    offset[v] -= w * shift;
                }
            }
            for ((score, error), offset) in scores.iter_mut().zip(error).zip(offset) {
                *score += error + test.n() * offset * offset;
            }
        }
    }
    Some(scores)
}

/// For every target the λ with the least score; where no score is finite, or all are equal, `fallback`'s.
fn least(scores: &[f64], grid: &[f64], fallback: &[f64]) -> Vec<f64> {
    let targets = fallback.len();
    let choose = |v: usize| {
        let of = |i: usize| scores[i * targets + v];
        let best = (0..grid.len()).filter(|i| of(*i).is_finite()).min_by(|a, b| of(*a).total_cmp(&of(*b)));
        let varies = (0..grid.len()).any(|i| of(i) != of(0));
        best.filter(|_| varies || grid.len() == 1).map_or(fallback[v], |i| grid[i])
    };
    (0..targets).map(choose).collect()
}

/// A choice of λ and an exact solution in the making: everything it needs, owned, to be run on any thread.
#[derive(Debug)]
pub struct SearchJob {
    pub(super) segments: Vec<Arc<Moments>>,
    pub(super) rls: Rls,
    pub(super) choose: Option<(Criterion, Vec<f64>)>,
    pub(super) epoch: u64,
}

/// What a [`SearchJob`] found; for [`Learner::adopt`](super::Learner::adopt).
#[derive(Debug)]
pub struct SearchResult {
    pub(super) rls: Option<Rls>,
    pub(super) epoch: u64,
    /// λ of every target.
    pub lambdas: Vec<f64>,
    /// The weights' largest distance from the exact solution, relative to the largest weight.
    pub drift: f64,
    /// About the condition number of `G + λI`, the worst of all λs.
    pub condition: f64,
}

impl SearchJob {
    /// Chooses, solves and measures. Seconds for thousands of features; nothing else waits for it.
    pub fn run(self) -> SearchResult {
        let Self { segments, rls, choose, epoch } = self;
        let before = rls.lambdas();
        let lambdas = match &choose {
            Some((criterion, grid)) => best(&segments, *criterion, grid, &before),
            None => before.clone(),
        };
        let exact = Rls::solve(&segments, &before);
        let drift = exact.as_ref().map_or(f64::INFINITY, |exact| rls.distance(exact));
        let no_target = segments.iter().map(|segment| segment.pick(&[]));
        let condition = rls.condition(&Moments::total(rls.features(), 0, no_target).gram());
        let solved = if lambdas == before {
            exact
        } else {
            // Weights of very many targets are large: never three of them.
            drop((exact, rls));
            Rls::solve(&segments, &lambdas)
        };
        SearchResult { rls: solved, epoch, lambdas, drift, condition }
    }
}

/// For every target the best λ of `grid`, a block of targets at a time; that of `before` where there is no telling.
fn best(segments: &[Arc<Moments>], criterion: Criterion, grid: &[f64], before: &[f64]) -> Vec<f64> {
    let features = segments.first().map_or(0, |segment| segment.mean_x().len());
    let targets: Vec<usize> = (0..before.len()).collect();
    let of_block = |block: &[usize]| {
        let picked: Vec<Moments> = segments.iter().map(|segment| segment.pick(block)).collect();
        let scores = match criterion {
            Criterion::Gcv => gcv_scores(&Moments::total(features, block.len(), &picked), grid),
            Criterion::Runs => run_scores(&picked, grid),
        };
        let before: Vec<f64> = block.iter().map(|v| before[*v]).collect();
        scores.map_or(before.clone(), |scores| least(&scores, grid, &before))
    };
    targets.chunks(block_width(features)).flat_map(of_block).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Deserialize)]
    struct Table {
        lambda: LambdaConfig,
    }

    #[test]
    fn a_number_a_list_and_a_span_are_understood_and_anything_else_is_named() {
        let parse = |text: &str| toml::from_str::<Table>(text).map(|t| t.lambda);
        assert_eq!(parse("lambda = 10").unwrap(), LambdaConfig::Fixed(10.0));
        let runs = parse("lambda = { choose = \"runs\", grid = [1, 0.5], every = 7 }").unwrap();
        assert_eq!(runs.start().unwrap(), 1.0);
        let span = parse("lambda = { choose = \"gcv\", grid = { min = 0.1, max = 10, steps = 3 } }").unwrap();
        assert!((span.start().unwrap() - 1.0).abs() < 1e-12);
        assert!(parse("lambda = { choose = \"magic\" }").unwrap_err().to_string().contains("magic"));
        assert!(parse("lambda = { choose = \"gcv\", evry = 1 }").unwrap_err().to_string().contains("evry"));
        let error = |text: &str| parse(text).unwrap().start().unwrap_err().to_string();
        assert_eq!(error("lambda = 0"), "lambda = 0 must be a positive number");
        assert_eq!(
            error("lambda = { choose = \"gcv\", grid = [] }"),
            "lambda.grid has 0 values, it needs 1 to 32: each that is chosen keeps a features × features matrix"
        );
        assert!(error("lambda = { choose = \"gcv\", grid = { min = 1, max = 2, steps = 900 } }").contains("900"));
        let back: Table = toml::from_str(&format!("lambda = {}", toml::Value::try_from(&span).unwrap())).unwrap();
        assert_eq!(back.lambda, span);
    }

    #[test]
    fn the_held_out_error_from_moments_is_the_error_on_the_rows() {
        let row = |t: usize| {
            let wave = |i: usize| ((t * 31 + i * 17) as f64 * 0.731).sin() + 0.2 * ((t / 20 + i) as f64);
            let x: Vec<f64> = (0..4).map(wave).collect();
            let y = vec![x[0] - 2.0 * x[2] + wave(9), wave(11)];
            (x, y)
        };
        let mut runs = vec![Moments::new(4, 2); 3];
        for t in 0..60 {
            let (x, y) = row(t);
            runs[t / 20].observe(&x, &y);
        }
        let grid = [0.3, 30.0];
        let scores = run_scores(&runs, &grid).unwrap();
        for (i, lambda) in grid.iter().enumerate() {
            let mut error = [0.0; 2];
            for held in 0..3 {
                let train = Moments::total(4, 2, runs.iter().enumerate().filter(|(r, _)| *r != held).map(|r| r.1));
                let mut model = Rls::solve(&[&train], &[*lambda; 2]).unwrap();
                for t in held * 20..held * 20 + 20 {
                    let (x, y) = row(t);
                    let expected = model.evaluate(&x);
                    (0..2).for_each(|v| error[v] += (y[v] - expected[v]).powi(2));
                }
            }
            for v in 0..2 {
                assert!((scores[i * 2 + v] / error[v] - 1.0).abs() < 1e-9, "{scores:?} {error:?}");
            }
        }
        assert!(run_scores(&runs[..1], &grid).is_none());
    }

    #[test]
    fn a_target_that_no_lambda_explains_better_keeps_its_own() {
        let scores = [1.0, 5.0, f64::INFINITY, 2.0, 5.0, f64::INFINITY];
        assert_eq!(least(&scores, &[0.1, 1.0], &[7.0, 8.0, 9.0]), [0.1, 8.0, 9.0]);
    }
}

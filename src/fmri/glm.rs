//! Which regions answer to which condition? A general linear model of the run so far, and its contrasts' t, volume by volume.
//!
//! Incremental, as Bagarinao et al. (2003), *Estimation of general linear model coefficients for real-time application*,
//! NeuroImage 19:422–429: after every volume the same numbers as offline from the volumes so far. Rows are rotated into a
//! triangle instead of summed as products, so that regressors may be nearly alike.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::least_squares::LeastSquares;
use super::regressors::NuisanceRegressors;
use super::volume::VolumeCount;
use super::{ABSURD, FmriError};
use crate::frame::{Block, Quality};

/// `[predictors.NAME.glm]`: contrasts of the predictor's features, whose t is told per region after every volume.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct GlmConfig {
    /// By name: one weight for each column of the predictor's row, in its order.
    pub contrasts: BTreeMap<String, Vec<f64>>,
    /// How many motion regressors stand beside the features: 6, 12 or 24, of a source that realigns; 0, the default, for none.
    #[serde(default)]
    pub motion: u32,
    /// Polynomials of time beside them: one order more for every so many seconds of the run; 150 by default, 0 for none.
    #[serde(default = "drift")]
    pub drift: f64,
    /// A penalty on the squared weights of features and motion; 0, the default, is ordinary least squares.
    #[serde(default)]
    pub ridge: f64,
}

fn drift() -> f64 {
    150.0
}

/// The model of [`GlmConfig`], within the run: independent errors of one variance a region.
///
/// `t = cᵀβ / √(σ² cᵀ A⁻¹ XᵀX A⁻¹ c)` with `A = XᵀX + Λ`, `β = A⁻¹Xᵀy` and `σ² = ‖y − Xβ‖² / (n − rank X)`; without a ridge
/// that is the t of ordinary least squares. Volumes flagged `MOTION` do not go in. A value that is missing goes in as what
/// was expected of it, and does not count among the region's n.
#[derive(Debug)]
pub struct Glm {
    /// Columns of the design.
    design: usize,
    contrasts: Vec<(String, Vec<f64>)>,
    nuisance: NuisanceRegressors,
    fit: LeastSquares,
    volumes: VolumeCount,
    /// How many columns count by now.
    used: usize,
    x: Vec<f64>,
    row: Vec<f64>,
    spare: Vec<f64>,
    /// Volumes that went in, per region.
    counts: Vec<u32>,
    /// The last value of each region.
    last: Vec<f64>,
    /// Rows of this run.
    fitted: u64,
}

impl Glm {
    /// Of a design of so many columns and so many regions, measured every `period` seconds.
    ///
    /// # Errors
    /// No contrast, one of another length, or of zeros; as the regressors' settings; a negative ridge.
    pub fn new(config: &GlmConfig, design: usize, regions: usize, period: f64) -> Result<Self, FmriError> {
        let wrong = |key, problem: String| Err(FmriError::Setting { key, problem });
        let mut nuisance = NuisanceRegressors::new(config.motion, config.drift, ["glm.motion", "glm.drift"])?;
        nuisance.every(period);
        if !(config.ridge >= 0.0 && config.ridge.is_finite()) {
            return wrong("glm.ridge", format!("{} is not 0 or more", config.ridge));
        }
        if config.contrasts.is_empty() {
            return wrong("glm.contrasts", "names none (give one like faces = [1, -1])".into());
        }
        for (name, weights) in &config.contrasts {
            if weights.len() != design {
                let count = weights.len();
                let problem =
                    format!("{name} has {count} weights for {design} columns (features × lags, in their order)");
                return wrong("glm.contrasts", problem);
            }
            if !weights.iter().all(|w| w.is_finite()) || weights.iter().all(|w| *w == 0.0) {
                return wrong("glm.contrasts", format!("{name} has no finite weight that is not 0"));
            }
        }
        let columns = design + nuisance.columns();
        let mut penalties = vec![0.0; columns];
        let penalised = (0..design).chain(design + 1..design + 1 + nuisance.of_motion());
        penalised.for_each(|column| penalties[column] = config.ridge);
        Ok(Self {
            design,
            contrasts: config.contrasts.clone().into_iter().collect(),
            nuisance,
            fit: LeastSquares::new(&penalties, regions),
            volumes: VolumeCount::every(period),
            used: columns,
            x: vec![0.0; columns],
            row: vec![0.0; regions],
            spare: vec![0.0; regions],
            counts: vec![0; regions],
            last: vec![0.0; regions],
            fitted: 0,
        })
    }

    /// The contrasts' names, in order.
    pub fn contrasts(&self) -> impl Iterator<Item = &str> {
        self.contrasts.iter().map(|(name, _)| name.as_str())
    }

    /// Takes in sample `sample` of a block of volumes, which came with this row of the design. False where it does not go
    /// in: flagged `MOTION`, or a row that is not finite. Call once for every sample, in order.
    pub fn observe(&mut self, design: &[f64], block: &Block, sample: usize) -> bool {
        let number = self.volumes.number(block, sample);
        self.used = self.design + self.nuisance.used(number);
        let usable = design.len() == self.design && design.iter().all(|v| v.abs() <= ABSURD);
        let (of_design, of_nuisance) = self.x.split_at_mut(self.design);
        let known = self.nuisance.fill(number, block.motion, of_nuisance);
        let unfit = block.quality.intersects(Quality::MOTION | Quality::WARMING_UP);
        if !usable || !known || unfit || block.channels() != self.row.len() {
            return false;
        }
        of_design.copy_from_slice(design);
        for (r, (value, _)) in block.sample(sample).iter().zip(&self.counts).enumerate().filter(|(_, (_, n))| **n == 0)
        {
            if value.abs() <= ABSURD && !block.bad.contains(r) {
                // Until now it was 0, far from where it lies.
                self.fit.begin_at(r, self.design, *value);
            }
        }
        self.fit.expect(&self.x, self.used, &mut self.spare);
        // With fewer rows than regressors, what is expected is anything; the last value is nearer.
        let determined = self.fitted > self.used as u64;
        let states = self.last.iter_mut().zip(&mut self.counts);
        let values = self.row.iter_mut().zip(block.sample(sample)).zip(&self.spare).zip(states);
        for (r, (((y, value), expected), (last, count))) in values.enumerate() {
            let there = value.abs() <= ABSURD && !block.bad.contains(r);
            if there {
                *last = *value;
            }
            *y = if there || !determined { *last } else { *expected };
            *count += u32::from(there);
        }
        self.fitted += 1;
        self.fit.observe(&self.x, self.used, &mut self.row, &mut self.spare);
        true
    }

    /// Writes t of a contrast, by its place among the names, one value a region; NaN while it cannot be told: the contrast
    /// has not been shown, or there are no more volumes than regressors.
    pub fn t(&mut self, contrast: usize, out: &mut [f64]) {
        let Some((_, weights)) = self.contrasts.get(contrast) else { return out.fill(f64::NAN) };
        self.x.fill(0.0);
        self.x[..self.design].copy_from_slice(weights);
        let Some((variance, rank)) = self.fit.contrast(&self.x, self.used, out) else { return out.fill(f64::NAN) };
        self.fit.residual_squares(self.used, &mut self.spare);
        for ((t, squares), count) in out.iter_mut().zip(&self.spare).zip(&self.counts) {
            let freedom = f64::from(*count) - rank as f64;
            let of_mean = squares / freedom * variance;
            *t = if freedom > 0.0 && of_mean > 0.0 { *t / of_mean.sqrt() } else { f64::NAN };
        }
    }

    /// The next volume is a run's first.
    pub fn new_run(&mut self) {
        self.nuisance.reset();
        self.fit.reset();
        self.volumes.restart();
        self.counts.fill(0);
        self.last.fill(0.0);
        self.fitted = 0;
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::frame::{BlockSpec, Channel, Fit, HeadMotion, Unit};

    fn golden() -> Value {
        serde_json::from_str(include_str!("../../tests/golden/nuisance.json")).expect("the golden file")
    }

    fn rows(value: &Value) -> Vec<Vec<f64>> {
        let list = |v: &Value| v.as_array().expect("a list").clone();
        list(value).iter().map(|row| list(row).iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()).collect()
    }

    #[test]
    fn t_is_that_of_the_offline_fit_after_every_volume_with_and_without_a_ridge() {
        let golden = golden();
        let [design, volumes, parameters] = ["design", "volumes", "parameters"].map(|key| rows(&golden[key]));
        let censored: Vec<usize> = serde_json::from_value(golden["censored"].clone()).expect("numbers");
        let spec = BlockSpec::new(Channel::numbered("REGION", 4, Unit::Arbitrary), 0.5, 1);
        for (key, settings) in [
            ("t_plain", "drift = 0.0"),
            ("t_motion", "motion = 6\ndrift = 30.0"),
            ("t_ridge", "motion = 6\ndrift = 60.0\nridge = 0.7"),
        ] {
            let text = format!("contrasts = {{ a = [1, 0], b = [1, -1] }}\n{settings}");
            let config: GlmConfig = toml::from_str(&text).expect("a config");
            let mut glm = Glm::new(&config, 2, 4, 2.0).expect("a model");
            assert_eq!(glm.contrasts().collect::<Vec<_>>(), ["a", "b"]);
            for again in [false, true] {
                let mut compared = 0;
                for t in 0..volumes.len() {
                    let mut block = Block::new(&spec);
                    block.push(&volumes[t]);
                    let parameters = parameters[t].clone().try_into().expect("six");
                    let (displacement, fit, outlier, took) = (0.0, Fit::Converged, censored.contains(&t), 0.0);
                    block.motion = Some(HeadMotion { parameters, displacement, fit, outlier, took });
                    if outlier {
                        block.quality |= Quality::MOTION;
                    }
                    assert_eq!(glm.observe(&design[t], &block, 0), !outlier);
                    for contrast in 0..2 {
                        let mut ours = [0.0; 4];
                        glm.t(contrast, &mut ours);
                        let theirs = &rows(&golden[key][contrast])[t];
                        for (a, b) in ours.iter().zip(theirs).filter(|(_, b)| b.is_finite()) {
                            compared += 1;
                            let near = (a - b).abs() <= 1e-8 * (1.0 + b.abs());
                            assert!(near, "{key}, contrast {contrast}, volume {t}: {ours:?} against {theirs:?}");
                        }
                    }
                }
                assert!(compared > 300, "{key}: {compared}");
                if !again {
                    glm.new_run();
                }
            }
        }
    }

    #[test]
    fn settings_that_cannot_be_are_named() {
        let told = |text: &str| {
            let config: GlmConfig = toml::from_str(text).expect("a config");
            Glm::new(&config, 2, 4, 2.0).err().map(|e| e.to_string())
        };
        assert_eq!(told("contrasts = {}"), Some("glm.contrasts: names none (give one like faces = [1, -1])".into()));
        let wrong = "glm.contrasts: a has 1 weights for 2 columns (features × lags, in their order)";
        assert_eq!(told("contrasts = { a = [1] }"), Some(wrong.into()));
        assert!(told("contrasts = { a = [0, 0] }").is_some_and(|e| e.contains("no finite weight that is not 0")));
        assert!(told("contrasts = { a = [1, 0] }\nridge = -1.0").is_some_and(|e| e.starts_with("glm.ridge: -1")));
        assert!(told("contrasts = { a = [1, 0] }\nmotion = 3").is_some_and(|e| e.starts_with("glm.motion: 3")));
    }
}

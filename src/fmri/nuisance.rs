//! What of a region's signal is the head's movement, or drift? It is fitted anew with every volume, and taken away.
//!
//! Causal, and equal at every volume to the offline fit of the volumes so far: no later volume goes in.

use serde::{Deserialize, Serialize};

use super::least_squares::LeastSquares;
use super::regressors::NuisanceRegressors;
use super::volume::VolumeCount;
use super::{ABSURD, FmriError};
use crate::frame::{Block, BlockSpec, PrepareError, Quality, Stage};

/// Regresses nuisances out of every region within the run.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct NuisanceConfig {
    /// How many motion regressors: 6 (the default), 12 with their change, 24 with the volume before and squares; 0 for none.
    /// They need an input that realigns.
    pub motion: u32,
    /// A polynomial of order 1 is fitted, and of one order more for every so many seconds of the run, up to 13; 150 by
    /// default, 0 for none. The shorter, the faster the drifts that go.
    pub drift: f64,
    /// How strongly the weights of motion are held at zero while little has moved, in mm²; 0.1 by default.
    pub penalty: f64,
    /// How many volumes of a run only warm up, giving 0; 6 by default.
    pub warm_up: u32,
}

impl Default for NuisanceConfig {
    fn default() -> Self {
        Self { motion: 6, drift: 150.0, penalty: 0.1, warm_up: 6 }
    }
}

/// The step of [`NuisanceConfig`].
///
/// Per region, `e = y − xᵀβ`: `x` is 1, the regressors of motion with turns in mm on a sphere of 50 mm, and Legendre
/// polynomials of time of orders 1 to `1 + ⌊d/drift⌋`, `d` the length of the run so far, which is AFNI's rule for
/// `-polort A`. `β` minimises `Σ e² + penalty · Σ β²` (motion's alone) over the volumes so far, the current one included
/// (Bagarinao et al. 2003, *Estimation of general linear model coefficients for real-time application*, NeuroImage
/// 19:422–429). Included, because a run's first volumes would else be predicted from fewer volumes than regressors, wildly;
/// so they are only damped. The mean goes, too: percent signal change stands before this step.
///
/// Volumes flagged `MOTION` are not fitted, only corrected by the fit of those before. A region that is missing gives 0, is
/// in the mask, the block is flagged `NON_FINITE`, and its fit goes on as if what was expected had come. While a run has
/// no more than `warm_up` fitted volumes it gives 0, and while it has no more than regressors blocks are `WARMING_UP`.
#[derive(Debug)]
pub struct Nuisance {
    config: NuisanceConfig,
    regressors: NuisanceRegressors,
    fit: Option<LeastSquares>,
    volumes: VolumeCount,
    /// Volumes that were fitted.
    fitted: u64,
    x: Vec<f64>,
    row: Vec<f64>,
    expected: Vec<f64>,
    /// Which regions a volume misses.
    missing: Vec<bool>,
    /// Which regions have had a value in this run.
    seen: Vec<bool>,
}

impl Nuisance {
    /// The step, unprepared.
    ///
    /// # Errors
    /// A number of motion regressors that there is not; a drift or penalty out of its range; nothing to take away.
    pub fn new(config: &NuisanceConfig) -> Result<Self, FmriError> {
        let wrong = |key, problem: String| Err(FmriError::Setting { key, problem });
        let keys = ["nuisance.motion", "nuisance.drift"];
        let regressors = NuisanceRegressors::new(config.motion, config.drift, keys)?;
        if !(config.penalty > 0.0 && config.penalty.is_finite()) {
            return wrong("nuisance.penalty", format!("{} is not above 0 mm²", config.penalty));
        }
        if regressors.columns() == 1 {
            return wrong(
                "nuisance",
                "there is neither motion nor drift to take away (set one, or leave it out)".into(),
            );
        }
        Ok(Self {
            config: config.clone(),
            regressors,
            fit: None,
            volumes: VolumeCount::default(),
            fitted: 0,
            x: Vec::new(),
            row: Vec::new(),
            expected: Vec::new(),
            missing: Vec::new(),
            seen: Vec::new(),
        })
    }
}

impl Stage for Nuisance {
    fn name(&self) -> &'static str {
        "nuisance"
    }

    fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError> {
        let wrong = |problem: String| Err(PrepareError::new("nuisance", problem));
        if input.channels.is_empty() {
            return wrong("no regions come in (check the step before)".into());
        }
        if self.regressors.drifts() && input.period() <= 0.0 {
            return wrong("an irregular stream has no seconds to count (set drift = 0)".into());
        }
        if self.regressors.of_motion() > 0 && input.capacity != 1 {
            let capacity = input.capacity;
            return wrong(format!(
                "blocks of {capacity} samples come in, and motion is told of volumes (set block = 1)"
            ));
        }
        let mut penalties = vec![0.0; self.regressors.columns()];
        let of_motion = penalties.iter_mut().skip(1).take(self.regressors.of_motion());
        of_motion.for_each(|penalty| *penalty = self.config.penalty);
        let regions = input.channels.len();
        self.fit = Some(LeastSquares::new(&penalties, regions));
        self.x = vec![0.0; penalties.len()];
        (self.row, self.expected, self.missing) = (vec![0.0; regions], vec![0.0; regions], vec![false; regions]);
        self.seen = vec![false; regions];
        self.regressors.every(input.period());
        self.volumes = VolumeCount::every(input.period());
        Ok(input.clone())
    }

    fn process(&mut self, input: &Block, output: &mut Block) {
        output.clear();
        let regions = self.row.len();
        if self.fit.is_none() || input.channels() != regions || output.channels() != regions {
            return;
        }
        output.inherit(input);
        output.set_len(input.len());
        let mut warming = false;
        for index in 0..output.len() {
            let number = self.volumes.number(input, index);
            let known = self.regressors.fill(number, input.motion, &mut self.x);
            let used = self.regressors.used(number);
            let Some(fit) = &mut self.fit else { return };
            for (r, seen) in self.seen.iter_mut().enumerate().filter(|(_, seen)| !**seen) {
                let value = input.sample(index)[r];
                if value.is_finite() && value.abs() <= ABSURD && !input.bad.contains(r) {
                    // Until now it was 0, far from where it lies.
                    fit.begin_at(r, 0, value);
                    *seen = true;
                }
            }
            fit.expect(&self.x, used, &mut self.expected);
            for (r, missing) in self.missing.iter_mut().enumerate() {
                let value = input.sample(index)[r];
                *missing = !value.is_finite() || value.abs() > ABSURD || input.bad.contains(r);
                self.row[r] = if *missing { self.expected[r] } else { value };
                if *missing {
                    output.bad.set(r, true);
                    output.quality |= Quality::NON_FINITE;
                }
            }
            if known && !input.quality.intersects(Quality::MOTION | Quality::WARMING_UP) {
                // From here on `row` is what is left.
                fit.observe(&self.x, used, &mut self.row, &mut self.expected);
                self.fitted += 1;
            } else {
                self.row.iter_mut().zip(&self.expected).for_each(|(y, expected)| *y -= expected);
            }
            warming |= self.fitted <= used as u64;
            let warm = self.fitted > u64::from(self.config.warm_up);
            let out = output.data_mut().chunks_exact_mut(regions).nth(index).unwrap_or_default();
            for ((out, left), missing) in out.iter_mut().zip(&self.row).zip(&self.missing) {
                *out = if warm && !missing { *left } else { 0.0 };
            }
        }
        if warming {
            output.quality |= Quality::WARMING_UP;
        }
    }

    fn reset(&mut self) {
        self.regressors.reset();
        self.fit.iter_mut().for_each(LeastSquares::reset);
        self.volumes.restart();
        self.x.fill(0.0);
        self.seen.fill(false);
        self.fitted = 0;
    }

    /// The fit is the run's: volumes that are missing do not end it.
    fn gap(&mut self) {}

    fn new_run(&mut self) {
        self.reset();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;
    use crate::frame::{Channel, Fit, HeadMotion, Unit};

    fn golden() -> Value {
        serde_json::from_str(include_str!("../../tests/golden/nuisance.json")).expect("the golden file")
    }

    fn rows(value: &Value) -> Vec<Vec<f64>> {
        let list = |v: &Value| v.as_array().expect("a list").clone();
        list(value).iter().map(|row| list(row).iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()).collect()
    }

    fn spec() -> BlockSpec {
        BlockSpec::new(Channel::numbered("REGION", 4, Unit::Arbitrary), 0.5, 1)
    }

    fn prepared(config: &str) -> Nuisance {
        let config: NuisanceConfig = toml::from_str(config).expect("a config");
        let mut stage = Nuisance::new(&config).expect("a stage");
        stage.prepare(&spec()).expect("a shape");
        stage
    }

    /// What comes out of the golden volumes; those that are censored are flagged `MOTION`.
    fn pass(stage: &mut Nuisance, golden: &Value) -> Vec<(Vec<f64>, Quality, usize)> {
        let censored: Vec<usize> = serde_json::from_value(golden["censored"].clone()).expect("numbers");
        let (mut block, mut out) = (Block::new(&spec()), Block::new(&spec()));
        let volumes = rows(&golden["volumes"]).into_iter().zip(rows(&golden["parameters"])).enumerate();
        let of = |(t, (values, parameters)): (usize, (Vec<f64>, Vec<f64>))| {
            block.clear();
            assert!(block.push(&values));
            let parameters = parameters.try_into().expect("six");
            let outlier = censored.contains(&t);
            let (displacement, fit, took) = (0.0, Fit::Converged, 0.0);
            block.motion = Some(HeadMotion { parameters, displacement, fit, outlier, took });
            if outlier {
                block.quality |= Quality::MOTION;
            }
            stage.process(&block, &mut out);
            (out.data().to_vec(), out.quality, out.bad.count())
        };
        volumes.map(of).collect()
    }

    #[test]
    fn at_every_volume_it_is_the_offline_fit_of_the_volumes_so_far_and_no_later_one_goes_in() {
        let golden = golden();
        for (key, config) in [
            ("six", "drift = 30.0"),
            ("twelve", "motion = 12\ndrift = 0.0"),
            ("twenty_four", "motion = 24\ndrift = 20.0\npenalty = 0.01"),
            ("drift", "motion = 0\ndrift = 30.0"),
        ] {
            let mut stage = prepared(config);
            for again in [false, true] {
                let expected = rows(&golden[key]);
                for (t, ((ours, quality, bad), theirs)) in pass(&mut stage, &golden).iter().zip(&expected).enumerate() {
                    let near = |(a, b): (&f64, &f64)| (a - b).abs() <= 1e-9 * (1.0 + b.abs());
                    assert!(ours.iter().zip(theirs).all(near), "{key}, volume {t}: {ours:?} against {theirs:?}");
                    let missing = rows(&golden["volumes"])[t].iter().filter(|v| v.is_nan()).count();
                    assert_eq!((*bad, quality.contains(Quality::NON_FINITE)), (missing, missing > 0));
                }
                if !again {
                    stage.new_run();
                }
            }
        }
    }

    #[test]
    fn movement_and_drift_go_and_what_was_shown_stays() {
        let mut stage = prepared("");
        let (mut block, mut out) = (Block::new(&spec()), Block::new(&spec()));
        let mut spread = [0.0; 4];
        for t in 0..400usize {
            let s = t as f64;
            let parameters = [(s * 0.9).sin(), (s * 1.7).cos() * 0.5, s * 0.002, 0.0, 0.01 * (s * 0.31).sin(), 0.0];
            let shown = if t % 20 < 10 { 1.0 } else { -1.0 };
            block.clear();
            let moved = 20.0 * parameters[0] - 500.0 * parameters[4];
            block.push(&[1e4 + moved, 1e4 + 0.1 * s, 1e4 + shown, 1e4 + moved - 0.1 * s + shown]);
            let (displacement, fit, took) = (0.0, Fit::Converged, 0.0);
            block.motion = Some(HeadMotion { parameters, displacement, fit, outlier: false, took });
            stage.process(&block, &mut out);
            assert_eq!(out.quality.contains(Quality::WARMING_UP), t < 8 + usize::from(t >= 75), "{t}");
            if t >= 300 {
                spread.iter_mut().zip(out.data()).for_each(|(sum, v)| *sum += v * v / 100.0);
            }
        }
        let [moved, drifts, shown, all] = spread.map(f64::sqrt);
        assert!(moved < 0.1 && drifts < 0.1, "{moved} of 14, {drifts}");
        assert!((shown - 1.0).abs() < 0.1 && (all - 1.0).abs() < 0.1, "{shown}, {all}");
    }

    #[test]
    fn settings_and_shapes_that_cannot_be_are_named() {
        let told = |text: &str| Nuisance::new(&toml::from_str(text).expect("a config")).err().map(|e| e.to_string());
        let wrong = "nuisance.motion: 7 regressors of motion (there are 6, 12 and 24, or 0 for none)";
        assert_eq!(told("motion = 7"), Some(wrong.into()));
        assert_eq!(told("drift = -1.0"), Some("nuisance.drift: -1 is not 0 s or more".into()));
        assert_eq!(told("penalty = 0.0"), Some("nuisance.penalty: 0 is not above 0 mm²".into()));
        assert!(told("motion = 0\ndrift = 0.0").is_some_and(|e| e.contains("neither motion nor drift")));
        let mut stage = Nuisance::new(&NuisanceConfig::default()).expect("a stage");
        let refused = |stage: &mut Nuisance, spec: BlockSpec| stage.prepare(&spec).err().map(|e| e.to_string());
        assert!(refused(&mut stage, spec().with_capacity(3)).is_some_and(|e| e.contains("blocks of 3 samples")));
        let irregular = BlockSpec { rate: 0.0, ..spec() };
        assert!(refused(&mut stage, irregular).is_some_and(|e| e.contains("(set drift = 0)")));
    }
}

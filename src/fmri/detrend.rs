//! How is a region's drift removed without looking ahead? A trend fitted anew with every volume.

use serde::{Deserialize, Serialize};

use super::volume::VolumeCount;
use super::{ABSURD, FmriError};
use crate::frame::{Block, BlockSpec, Channel, PrepareError, Quality, Stage, Unit};

/// Keeps the intercept solvable on the first volume without pulling at it.
const INTERCEPT_PENALTY: f64 = 1e-6;
/// Volumes per unit of the slope's regressor, so that its penalty means the same at every run length.
const SLOPE_VOLUMES: f64 = 50.0;
/// Below this a residual's spread is rounding, not signal.
const LEAST_SPREAD: f64 = 1e-9;

/// Causal detrend and scale of every region within the run.
///
/// Per region, a line is fitted by ridge to all volumes of the run so far, the current one included:
/// `e = y − [1, j/50]·(A + diag(1e-6, p))⁻¹ b` with `A = Σ xxᵀ`, `b = Σ xy`, volume number `j` and slope penalty `p`.
/// `z = e / √(mean of the squares of the earlier e)`, clipped.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct DetrendConfig {
    /// `z` (the default): scaled by the spread so far. `a.u.`: the residual in the unit that came in, not clipped.
    pub unit: Unit,
    /// Where z is cut off, in standard deviations; 5 by default.
    pub clip: f64,
    /// How many volumes of a run only warm up, giving 0; 6 by default.
    pub warm_up: u32,
    /// How strongly a slope is held at zero while a run is young; 5 by default.
    pub slope_penalty: f64,
}

impl Default for DetrendConfig {
    fn default() -> Self {
        Self { unit: Unit::ZScore, clip: 5.0, warm_up: 6, slope_penalty: 5.0 }
    }
}

/// The step of [`DetrendConfig`].
///
/// A region that is missing in a volume (in the block's mask, not finite, or past 10¹²) is held out of its sums: it
/// gives 0, is in the mask, and the block is flagged `NON_FINITE`; with the next volume it is well again. A region that
/// has not varied since the run began gives 0. While a region has fewer than `warm_up` earlier volumes, it gives 0 and
/// the block is flagged `WARMING_UP`.
#[derive(Debug)]
pub struct Detrend {
    config: DetrendConfig,
    regions: Vec<Region>,
    /// Numbers the volumes of this run.
    volumes: VolumeCount,
}

/// The sums of one region over the run.
#[derive(Clone, Copy, Debug, Default)]
struct Region {
    /// `A`: count, Σx, Σx².
    count: f64,
    x: f64,
    xx: f64,
    /// `b`: Σy, Σxy.
    y: f64,
    xy: f64,
    /// Σe².
    squares: f64,
    first: f64,
    varies: bool,
}

impl Detrend {
    /// The step, unprepared.
    ///
    /// # Errors
    /// A unit other than `z` and `a.u.`; a clip or penalty that is not positive.
    pub fn new(config: &DetrendConfig) -> Result<Self, FmriError> {
        let wrong = |key, problem: String| Err(FmriError::Setting { key, problem });
        if !matches!(config.unit, Unit::ZScore | Unit::Arbitrary) {
            return wrong("detrend.unit", format!("\"{}\" is not \"z\" or \"a.u.\"", config.unit.as_str()));
        }
        if config.clip.is_nan() || config.clip <= 0.0 {
            return wrong("detrend.clip", format!("{} is not above 0", config.clip));
        }
        if !(config.slope_penalty > 0.0 && config.slope_penalty.is_finite()) {
            return wrong("detrend.slope_penalty", format!("{} is not above 0", config.slope_penalty));
        }
        Ok(Self { config: config.clone(), regions: Vec::new(), volumes: VolumeCount::default() })
    }
}

impl Region {
    /// Takes one value in; its residual against the trend so far, the value included.
    fn residual(&mut self, x: f64, y: f64, slope_penalty: f64) -> f64 {
        if self.count == 0.0 {
            self.first = y;
        }
        self.varies |= y != self.first;
        self.count += 1.0;
        self.x += x;
        self.xx += x * x;
        self.y += y;
        self.xy += x * y;
        let (a, d) = (self.count + INTERCEPT_PENALTY, self.xx + slope_penalty);
        let determinant = a * d - self.x * self.x;
        let intercept = (d * self.y - self.x * self.xy) / determinant;
        let slope = (a * self.xy - self.x * self.y) / determinant;
        y - (intercept + x * slope)
    }
}

impl Stage for Detrend {
    fn name(&self) -> &'static str {
        "detrend"
    }

    fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError> {
        if input.channels.is_empty() {
            return Err(PrepareError::new(self.name(), "no regions come in (check the step before)"));
        }
        self.regions = vec![Region::default(); input.channels.len()];
        self.volumes = VolumeCount::every(input.period());
        let z = self.config.unit == Unit::ZScore;
        let unit = |c: &Channel| if z { Unit::ZScore } else { c.unit };
        let channels: Vec<_> =
            input.channels.iter().map(|c| Channel::new(c.name.as_str(), c.kind.as_str(), unit(c))).collect();
        Ok(BlockSpec { channels: channels.into(), ..input.clone() })
    }

    fn process(&mut self, input: &Block, output: &mut Block) {
        output.inherit(input);
        output.set_len(input.len());
        let DetrendConfig { unit, clip, warm_up, slope_penalty } = self.config;
        let width = self.regions.len().max(1);
        let (mut warming, mut missing) = (false, false);
        // What a step before makes while it warms up was not measured.
        let measured = !input.quality.contains(Quality::WARMING_UP);
        warming |= !measured;
        for index in 0..input.len() {
            let x = self.volumes.number(input, index) as f64 / SLOPE_VOLUMES;
            for (r, (region, y)) in self.regions.iter_mut().zip(input.sample(index)).enumerate() {
                let mut value = 0.0;
                if measured && y.is_finite() && y.abs() <= ABSURD && !input.bad.contains(r) {
                    let earlier = region.count;
                    let e = region.residual(x, *y, slope_penalty);
                    let spread = (region.squares / earlier.max(1.0)).sqrt();
                    region.squares += e * e;
                    if earlier < f64::from(warm_up) {
                        warming = true;
                    } else if region.varies && unit == Unit::Arbitrary {
                        value = e;
                    } else if region.varies && spread > LEAST_SPREAD {
                        value = (e / spread).clamp(-clip, clip);
                    }
                } else if measured {
                    missing = true;
                    output.bad.set(r, true);
                }
                output.data_mut()[index * width + r] = value;
            }
        }
        if warming {
            output.quality |= Quality::WARMING_UP;
        }
        if missing {
            output.quality |= Quality::NON_FINITE;
        }
    }

    fn reset(&mut self) {
        self.regions.fill(Region::default());
        self.volumes.restart();
    }

    /// The trend is the run's: volumes that are missing do not end it.
    fn gap(&mut self) {}

    fn new_run(&mut self) {
        self.reset();
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn volumes() -> BlockSpec {
        BlockSpec::new(Channel::numbered("REGION", 6, Unit::Arbitrary), 0.5, 8)
    }

    fn prepared(config: &str) -> (Detrend, Block) {
        let config: DetrendConfig = toml::from_str(config).expect("a config");
        let mut stage = Detrend::new(&config).expect("a stage");
        let spec = stage.prepare(&volumes()).expect("a shape");
        (stage, Block::new(&spec))
    }

    /// Rows of a golden file; null is NaN.
    fn golden(key: &str) -> Vec<Vec<Vec<f64>>> {
        let all: Value = serde_json::from_str(include_str!("../../tests/golden/fmri.json")).expect("the golden file");
        let list = |v: &Value| v.as_array().expect("a list").clone();
        let number = |v: &Value| v.as_f64().unwrap_or(f64::NAN);
        let row = |v: &Value| list(v).iter().map(number).collect();
        list(&all[key]).iter().map(|run| list(run).iter().map(row).collect()).collect()
    }

    /// Sends runs through in blocks of `cut` volumes: the values, and the flags and mask of every block.
    fn pass(stage: &mut Detrend, out: &mut Block, runs: &[Vec<Vec<f64>>], cut: usize) -> Vec<Vec<Vec<f64>>> {
        let mut block = Block::new(&volumes());
        let of_run = |run: &Vec<Vec<f64>>| {
            stage.new_run();
            let of_block = |rows: &[Vec<f64>]| {
                block.clear();
                assert!(rows.iter().all(|row| block.push(row)));
                stage.process(&block, out);
                out.samples().map(<[f64]>::to_vec).collect::<Vec<_>>()
            };
            run.chunks(cut).flat_map(of_block).collect()
        };
        runs.iter().map(of_run).collect()
    }

    fn assert_near(here: &[Vec<Vec<f64>>], there: &[Vec<Vec<f64>>]) {
        let flat = |runs: &[Vec<Vec<f64>>]| runs.iter().flatten().flatten().copied().collect::<Vec<_>>();
        let (here, there) = (flat(here), flat(there));
        assert_eq!(here.len(), there.len());
        for (i, (a, b)) in here.iter().zip(&there).enumerate() {
            assert!((a - b).abs() <= 1e-9, "value {i}: {a} against {b}");
        }
    }

    #[test]
    fn z_equals_the_reference_in_every_run_however_it_is_cut() {
        let (mut stage, mut out) = prepared("");
        for cut in [1, 3, 8] {
            let z = pass(&mut stage, &mut out, &golden("volumes"), cut);
            assert_near(&z, &golden("z"));
            assert!(z.iter().flatten().flatten().any(|v| v.abs() == 5.0), "the golden runs reach the clip");
        }
    }

    #[test]
    fn residuals_equal_the_reference_in_the_unit_that_came_in() {
        let (mut stage, mut out) = prepared("unit = \"a.u.\"");
        assert_near(&pass(&mut stage, &mut out, &golden("volumes"), 1), &golden("residual"));
        assert_eq!(stage.prepare(&volumes()).map(|s| s.channels[0].unit), Ok(Unit::Arbitrary));
        assert_eq!(prepared("").0.prepare(&volumes()).map(|s| s.channels[0].unit), Ok(Unit::ZScore));
    }

    #[test]
    fn a_missing_region_is_masked_and_well_again_with_the_next_volume() {
        let (mut stage, mut out) = prepared("");
        let mut block = Block::new(&volumes());
        for volume in 0..20 {
            block.clear();
            let v = f64::from(volume);
            block.push(&[v.sin(), v.cos(), v, 7.0, 0.0, 1.0 + v.sin()]);
            match volume {
                10 => block.data_mut()[0] = f64::NAN,
                11 => block.data_mut()[1] = 1e38,
                12 => block.bad.set(2, true),
                _ => {}
            }
            stage.process(&block, &mut out);
            assert!(out.data().iter().all(|z| z.is_finite()));
            assert_eq!(out.quality.contains(Quality::WARMING_UP), volume < 6, "volume {volume}");
            assert_eq!(out.quality.contains(Quality::NON_FINITE), (10..13).contains(&volume), "volume {volume}");
            assert_eq!(out.bad.count(), usize::from((10..13).contains(&volume)), "volume {volume}");
            assert_eq!(&out.data()[3..5], &[0.0, 0.0], "regions that do not vary give 0");
        }
        assert!(out.data()[..3].iter().all(|z| *z != 0.0));
    }

    #[test]
    fn after_a_reset_it_is_as_new() {
        let (mut stage, mut out) = prepared("");
        let runs = golden("volumes");
        let first = pass(&mut stage, &mut out, &runs[..1], 1);
        stage.reset();
        assert_eq!(first, pass(&mut stage, &mut out, &runs[..1], 1));
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let wrong = |text: &str| Detrend::new(&toml::from_str(text).expect("a config")).err().map(|e| e.to_string());
        assert_eq!(wrong("clip = 0.0"), Some("detrend.clip: 0 is not above 0".into()));
        assert_eq!(wrong("unit = \"uV\""), Some("detrend.unit: \"uV\" is not \"z\" or \"a.u.\"".into()));
        assert_eq!(wrong("slope_penalty = nan"), Some("detrend.slope_penalty: NaN is not above 0".into()));
    }
}

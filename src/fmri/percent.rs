//! How strong is a response in percent? Signal change against a declared baseline of the run.

use std::fmt;

use serde::de::{Error as _, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::volume::VolumeCount;
use super::{ABSURD, FmriError};
use crate::frame::{Block, BlockSpec, Channel, PrepareError, Quality, Stage, Unit};

/// Below this a baseline is no baseline: the data have been centred before.
const LEAST_BASELINE: f64 = 1e-6;
/// Volume times are sums of a TR that may have no exact binary form.
const TIME_SLACK: f64 = 1e-6;

/// Percent signal change: `100 (y − b) / b`, where `b` is the region's mean over the baseline.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct PercentConfig {
    /// `[start, end]` in seconds of the run (volumes that begin within it), or `"first N"` volumes.
    pub baseline: Baseline,
}

/// The volumes that a region's change is measured against.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Baseline {
    /// Volumes that begin in `[start, end)`, in seconds from the run's first volume.
    Seconds {
        /// From here on.
        start: f64,
        /// Up to here.
        end: f64,
    },
    /// So many volumes at the start of the run.
    First(u32),
}

impl Serialize for Baseline {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match self {
            Baseline::Seconds { start, end } => [start, end].serialize(serializer),
            Baseline::First(count) => serializer.serialize_str(&format!("first {count}")),
        }
    }
}

impl<'de> Deserialize<'de> for Baseline {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(BaselineVisitor)
    }
}

struct BaselineVisitor;

impl<'de> Visitor<'de> for BaselineVisitor {
    type Value = Baseline;

    fn expecting(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.write_str("[start, end] in seconds of the run, or \"first N\"")
    }
    fn visit_str<E: serde::de::Error>(self, value: &str) -> Result<Baseline, E> {
        let count = value.strip_prefix("first ").and_then(|n| n.trim().parse().ok());
        count.map(Baseline::First).ok_or_else(|| E::invalid_value(serde::de::Unexpected::Str(value), &self))
    }
    fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Baseline, A::Error> {
        let start = list.next_element()?.ok_or_else(|| A::Error::invalid_length(0, &self))?;
        let end = list.next_element()?.ok_or_else(|| A::Error::invalid_length(1, &self))?;
        if list.next_element::<f64>()?.is_some() {
            return Err(A::Error::invalid_length(3, &self));
        }
        Ok(Baseline::Seconds { start, end })
    }
}

/// The step of [`PercentConfig`].
///
/// Until the baseline is over every region gives 0 and blocks are flagged `WARMING_UP`. A region that is missing in a
/// volume, has no finite volume in the baseline, or has a baseline near 0, gives 0, is in the mask, and the block is
/// flagged `NON_FINITE`.
#[derive(Debug)]
pub struct Percent {
    baseline: Baseline,
    /// The baseline in volumes of the run: `[from, to)`.
    from: u64,
    to: u64,
    /// Sum and count over the baseline, per region.
    sums: Vec<(f64, u64)>,
    volumes: VolumeCount,
}

impl Percent {
    /// The step, unprepared.
    ///
    /// # Errors
    /// A baseline that holds no time.
    pub fn new(config: &PercentConfig) -> Result<Self, FmriError> {
        let good = match config.baseline {
            Baseline::Seconds { start, end } => start >= 0.0 && start < end && end.is_finite(),
            Baseline::First(count) => count > 0,
        };
        if !good {
            let problem =
                "the baseline is empty (start from 0 s or later, end after that, or take \"first 1\" or more)";
            return Err(FmriError::Setting { key: "percent.baseline", problem: problem.into() });
        }
        Ok(Self { baseline: config.baseline, from: 0, to: 0, sums: Vec::new(), volumes: VolumeCount::default() })
    }
}

impl Stage for Percent {
    fn name(&self) -> &'static str {
        "percent"
    }

    fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError> {
        let period = input.period();
        (self.from, self.to) = match self.baseline {
            Baseline::First(count) => (0, u64::from(count)),
            Baseline::Seconds { .. } if period <= 0.0 => {
                let problem = "an irregular stream has no seconds to count (use baseline = \"first N\")";
                return Err(PrepareError::new(self.name(), problem));
            }
            Baseline::Seconds { start, end } => {
                let volume = |seconds: f64| ((seconds - TIME_SLACK) / period).ceil().max(0.0) as u64;
                (volume(start), volume(end))
            }
        };
        if self.from >= self.to {
            let problem = format!("no volume begins within the baseline (a volume lasts {period} s)");
            return Err(PrepareError::new(self.name(), problem));
        }
        self.sums = vec![(0.0, 0); input.channels.len()];
        self.volumes = VolumeCount::every(input.period());
        let channels: Vec<_> = input
            .channels
            .iter()
            .map(|c| Channel::new(c.name.as_str(), c.kind.as_str(), Unit::PercentSignalChange))
            .collect();
        Ok(BlockSpec { channels: channels.into(), ..input.clone() })
    }

    fn process(&mut self, input: &Block, output: &mut Block) {
        output.inherit(input);
        output.set_len(input.len());
        let width = self.sums.len().max(1);
        let (mut warming, mut missing) = (false, false);
        for index in 0..input.len() {
            let volume = self.volumes.number(input, index);
            let within = (self.from..self.to).contains(&volume);
            let known = volume >= self.to;
            warming |= !known;
            for (r, (sum, count)) in self.sums.iter_mut().enumerate() {
                let y = input.sample(index).get(r).copied().unwrap_or(f64::NAN);
                let finite = y.is_finite() && y.abs() <= ABSURD && !input.bad.contains(r);
                if within && finite {
                    *sum += y;
                    *count += 1;
                }
                let mean = *sum / (*count).max(1) as f64;
                let mut value = 0.0;
                if !finite || (known && mean.abs() < LEAST_BASELINE) {
                    missing = true;
                    output.bad.set(r, true);
                } else if known {
                    value = 100.0 * (y - mean) / mean;
                }
                if let Some(out) = output.data_mut().get_mut(index * width + r) {
                    *out = value;
                }
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
        self.sums.fill((0.0, 0));
        self.volumes.restart();
    }

    /// The baseline is the run's: volumes that are missing do not end it.
    fn gap(&mut self) {}

    fn new_run(&mut self) {
        self.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(config: &str, tr: f64, volumes: &[[f64; 2]]) -> Vec<(Vec<f64>, Quality, usize)> {
        let config: PercentConfig = toml::from_str(config).expect("a config");
        let mut stage = Percent::new(&config).expect("a stage");
        let spec = BlockSpec::new(Channel::numbered("REGION", 2, Unit::Arbitrary), 1.0 / tr, 1);
        let mut out = Block::new(&stage.prepare(&spec).expect("a shape"));
        let mut input = Block::new(&spec);
        let each = volumes.iter().map(|volume| {
            input.clear();
            input.push(volume);
            stage.process(&input, &mut out);
            (out.data().to_vec(), out.quality, out.bad.count())
        });
        each.collect()
    }

    #[test]
    fn change_is_measured_against_the_declared_volumes_only() {
        let volumes = [[1.0, 9.0], [100.0, 9.0], [300.0, f64::NAN], [250.0, 4.5], [200.0, 9.0]];
        for config in ["baseline = [2.0, 6.0]", "baseline = [1.9, 5.9]"] {
            let out = run(config, 2.0, &volumes);
            assert!(out[..3].iter().all(|(v, q, _)| v == &[0.0, 0.0] && q.contains(Quality::WARMING_UP)));
            assert!(out[2].1.contains(Quality::NON_FINITE) && out[2].2 == 1);
            assert_eq!(out[3], (vec![25.0, -50.0], Quality::GOOD, 0));
            assert_eq!(out[4].0, [0.0, 0.0]);
        }
        assert_eq!(run("baseline = \"first 1\"", 2.0, &volumes)[1].0, [9900.0, 0.0]);
        // 0.72 s does not add up exactly: the fifth volume begins at 2.88 s, and a baseline that ends there excludes it.
        assert_eq!(run("baseline = [0.0, 2.88]", 0.72, &volumes)[4].1, Quality::GOOD);
    }

    #[test]
    fn a_region_without_a_baseline_is_masked_and_the_others_go_on() {
        let out = run("baseline = \"first 2\"", 1.0, &[[0.0, 50.0], [0.0, 50.0], [3.0, 75.0]]);
        assert_eq!(out[2], (vec![0.0, 50.0], Quality::NON_FINITE, 1));
    }

    #[test]
    fn a_baseline_reads_as_seconds_or_volumes_and_nothing_else() {
        for good in ["baseline = [0.0, 20.0]", "baseline = \"first 10\""] {
            let config: PercentConfig = toml::from_str(good).expect("a config");
            assert_eq!(toml::to_string(&config).expect("text").trim(), good);
        }
        for bad in ["baseline = [1.0]", "baseline = [0.0, 1.0, 2.0]", "baseline = \"last 3\"", "baseline = 4"] {
            let error = toml::from_str::<PercentConfig>(bad).expect_err(bad).to_string();
            assert!(error.contains("[start, end] in seconds of the run, or \"first N\""), "{error}");
        }
        let empty = PercentConfig { baseline: Baseline::Seconds { start: 5.0, end: 5.0 } };
        assert!(
            Percent::new(&empty).is_err_and(|e| e.to_string().starts_with("percent.baseline: the baseline is empty"))
        );
    }
}

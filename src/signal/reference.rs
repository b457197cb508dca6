//! Against what is a voltage measured? Re-referencing to the average of all electrodes, or to chosen ones.
//!
//! Only electrodes are re-referenced (channels of kind `EEG`, or all where none says so). Bad channels are left out of
//! the mean, sample by sample for refused values and block by block for marked ones, so one loose electrode does not
//! spread; when a channel drops out, the others step by its share. When no channel is left to make the mean, nothing
//! is subtracted and every electrode is bad.

use serde::{Deserialize, Serialize};

use super::guard::{Guard, electrodes};
use crate::frame::{Block, BlockSpec, PrepareError, Stage};

/// What to subtract: `reference = "average"`, or `reference = { channels = ["M1", "M2"] }`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum ReferenceConfig {
    /// The mean of all good electrodes.
    Average,
    /// The mean of these channels, those of them that are good.
    Channels(Vec<String>),
}

/// Subtracts a reference from every electrode.
#[derive(Debug)]
pub struct Reference {
    config: ReferenceConfig,
    guard: Guard,
    /// 1 for channels that make up the reference, else 0.
    weights: Box<[f64]>,
    total: f64,
    /// 1 for channels that it is subtracted from, else 0.
    takes: Box<[f64]>,
}

impl Reference {
    /// A reference that is yet to be prepared.
    pub fn new(config: ReferenceConfig) -> Self {
        Self { config, guard: Guard::default(), weights: Box::default(), total: 0.0, takes: Box::default() }
    }

    /// Which channels make up the reference.
    fn members(&self, input: &BlockSpec, electrodes: &[bool]) -> Result<Vec<bool>, String> {
        let ReferenceConfig::Channels(names) = &self.config else {
            return Ok(electrodes.to_vec());
        };
        if names.is_empty() {
            return Err("channels is empty: name at least one, or say reference = \"average\"".into());
        }
        let mut members = vec![false; input.channels.len()];
        for name in names {
            let found = input.channels.iter().zip(&mut members).find(|(channel, _)| channel.name == *name);
            let Some((_, member)) = found else {
                let known: Vec<&str> = input.channels.iter().map(|c| c.name.as_str()).collect();
                return Err(format!("there is no channel \"{name}\" (there are {})", known.join(", ")));
            };
            *member = true;
        }
        Ok(members)
    }
}

impl Stage for Reference {
    fn name(&self) -> &'static str {
        "reference"
    }

    fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError> {
        let electrodes = electrodes(input);
        let members = self.members(input, &electrodes).map_err(|problem| PrepareError::new(self.name(), problem))?;
        let as_numbers = |flags: &[bool]| flags.iter().map(|f| f64::from(u8::from(*f))).collect::<Box<[f64]>>();
        self.weights = as_numbers(&members);
        self.total = self.weights.iter().sum();
        self.takes = as_numbers(&electrodes);
        self.guard = Guard::new(input, 1);
        Ok(input.clone())
    }

    fn process(&mut self, input: &Block, output: &mut Block) {
        let channels = self.guard.channels();
        if input.channels() != channels || channels == 0 {
            output.clear();
            return;
        }
        if self.guard.clean(input, output) {
            for row in output.data_mut().chunks_exact_mut(channels) {
                let mean = dot(row, &self.weights) / self.total;
                subtract(row, mean, &self.takes);
            }
            return;
        }
        let mut lost = false;
        for (row, raw) in output.data_mut().chunks_exact_mut(channels).zip(input.samples()) {
            let (mut sum, mut total) = (0.0, 0.0);
            for (channel, ((x, raw), weight)) in row.iter().zip(raw).zip(&self.weights).enumerate() {
                if self.guard.accepts(channel, *raw) && !input.bad.contains(channel) {
                    sum += x * weight;
                    total += weight;
                }
            }
            lost |= total == 0.0;
            subtract(row, if total > 0.0 { sum / total } else { 0.0 }, &self.takes);
        }
        if lost {
            for (channel, _) in self.takes.iter().enumerate().filter(|(_, takes)| **takes > 0.0) {
                output.bad.set(channel, true);
            }
        }
    }

    fn reset(&mut self) {
        self.guard.reset();
    }
}

/// Several sums side by side, so that no addition waits for the last.
pub(super) fn dot(row: &[f64], weights: &[f64]) -> f64 {
    let mut sums = [0.0; 16];
    let (rows, weights) = (row.chunks(sums.len()), weights.chunks(sums.len()));
    for (row, weights) in rows.zip(weights) {
        for (sum, (x, w)) in sums.iter_mut().zip(row.iter().zip(weights)) {
            *sum += x * w;
        }
    }
    sums.iter().sum()
}

fn subtract(row: &mut [f64], mean: f64, takes: &[f64]) {
    for (x, takes) in row.iter_mut().zip(takes) {
        *x -= mean * takes;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Channel, Quality, Unit};

    fn spec() -> BlockSpec {
        let mut channels: Vec<Channel> = ["Cz", "Pz", "M1"].map(|n| Channel::new(n, "EEG", Unit::Microvolt)).into();
        channels.push(Channel::new("Trigger", "TRIG", Unit::Arbitrary));
        BlockSpec::new(channels, 250.0, 4)
    }

    fn referenced(config: ReferenceConfig, sample: [f64; 4], bad: Option<usize>) -> Block {
        let spec = spec();
        let mut stage = Reference::new(config);
        stage.prepare(&spec).unwrap();
        let (mut input, mut output) = (Block::new(&spec), Block::new(&spec));
        input.push(&sample);
        if let Some(channel) = bad {
            input.bad.set(channel, true);
        }
        stage.process(&input, &mut output);
        output
    }

    #[test]
    fn the_average_is_of_good_electrodes_only() {
        let average = || ReferenceConfig::Average;
        assert_eq!(referenced(average(), [1.0, 2.0, 6.0, 9.0], None).sample(0), &[-2.0, -1.0, 3.0, 9.0]);
        let one_bad = referenced(average(), [1.0, 3.0, f64::NAN, 9.0], None);
        assert_eq!(one_bad.sample(0)[..2], [-1.0, 1.0]);
        assert!(one_bad.bad.contains(2) && one_bad.bad.count() == 1);
        let marked = referenced(average(), [1.0, 3.0, 500.0, 9.0], Some(2));
        assert_eq!(marked.sample(0)[..3], [-1.0, 1.0, 498.0]);
    }

    #[test]
    fn chosen_channels_are_the_reference_and_stay() {
        let mastoid = || ReferenceConfig::Channels(vec!["M1".into()]);
        assert_eq!(referenced(mastoid(), [1.0, 2.0, 6.0, 9.0], None).sample(0), &[-5.0, -4.0, 0.0, 9.0]);
        let lost = referenced(mastoid(), [1.0, 2.0, f64::NAN, 9.0], None);
        assert!(lost.data().iter().all(|v| v.is_finite()) && lost.quality.contains(Quality::NON_FINITE));
        assert_eq!((0..4).map(|c| lost.bad.contains(c)).collect::<Vec<_>>(), [true, true, true, false]);
    }

    #[test]
    fn unknown_and_missing_channels_are_named() {
        let refuse = |names: &[&str]| {
            let config = ReferenceConfig::Channels(names.iter().map(|n| n.to_string()).collect());
            Reference::new(config).prepare(&spec()).unwrap_err().to_string()
        };
        let expected = "stage \"reference\": there is no channel \"A1\" (there are Cz, Pz, M1, Trigger)";
        assert_eq!(refuse(&["M1", "A1"]), expected);
        assert_eq!(
            refuse(&[]),
            "stage \"reference\": channels is empty: name at least one, or say reference = \"average\""
        );
    }
}

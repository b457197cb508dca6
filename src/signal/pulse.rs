//! How is EEG freed of the pulse? By the average of what followed the last heart beats.
//!
//! In a scanner's field each beat moves electrodes and blood, which shows in the EEG about 0.21 s later: the
//! ballistocardiogram (Allen et al. 1998, NeuroImage 8:229, doi 10.1006/nimg.1998.0361). As there, the mean of the epochs
//! of the last beats is subtracted from every channel; causally: what is subtracted after a beat was learned from the
//! beats before it. Beats are found in an electrocardiogram ([`Beats`]) within a tenth of a second, before what they cause
//! is at its height, so nothing has to be delayed. An epoch lasts until the next beat is known, `longest` at most.
//!
//! Put it after [`GradientArtifact`](super::GradientArtifact), which frees the electrocardiogram too, and after a high-pass:
//! a channel's offset would count as its pulse. Epochs with refused or marked samples, or a gap, teach nothing to the
//! channel concerned. Until `beats` epochs were learned, and while no beat comes for 3 s, blocks are flagged `WARMING_UP`.
//! A gap leaves the pulse known; a new run does not.

use serde::{Deserialize, Serialize};

use super::average::Average;
use super::beats::Beats;
use super::guard::Guard;
use super::history::History;
use crate::frame::{Block, BlockSpec, PrepareError, Quality, Stage};

/// Seconds without a beat after which the electrocardiogram is not to be trusted.
const LOST: f64 = 3.0;
/// Below this rate, in Hz, the slope of a QRS complex cannot be told.
const LEAST_RATE: f64 = 100.0;

/// What to subtract: `pulse_artifact = { ecg = "ECG" }`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct PulseArtifactConfig {
    /// The electrocardiogram's channel. Default: the first of kind `ECG`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ecg: Option<String>,
    /// How many beats make the mean. Default 20.
    pub beats: usize,
    /// How long an epoch lasts at most, in seconds: the longest time between two beats. Default 1.5.
    pub longest: f64,
}

impl Default for PulseArtifactConfig {
    fn default() -> Self {
        Self { ecg: None, beats: 20, longest: 1.5 }
    }
}

/// Subtracts the mean pulse artifact.
#[derive(Debug)]
pub struct PulseArtifact {
    config: PulseArtifactConfig,
    guard: Guard,
    ecg: usize,
    detector: Beats,
    history: History,
    pulse: Average,
    bad_until: Box<[u64]>,
    /// Samples in the longest epoch, and without a beat after which there is none.
    length: usize,
    lost: u64,
    /// The number of the sample at the peak of the last beat.
    beat: Option<u64>,
}

impl PulseArtifact {
    /// A step that is yet to be prepared.
    pub fn new(config: PulseArtifactConfig) -> Self {
        Self {
            config,
            guard: Guard::default(),
            ecg: 0,
            detector: Beats::new(LEAST_RATE),
            history: History::default(),
            pulse: Average::default(),
            bad_until: Box::default(),
            length: 0,
            lost: 0,
            beat: None,
        }
    }

    fn ecg(&self, input: &BlockSpec) -> Result<usize, String> {
        let found = match &self.config.ecg {
            Some(name) => input.channels.iter().position(|c| c.name == *name),
            None => input.channels.iter().position(|c| c.kind == "ECG"),
        };
        found.ok_or_else(|| {
            let known: Vec<&str> = input.channels.iter().map(|c| c.name.as_str()).collect();
            let what = self.config.ecg.as_ref().map_or("of kind ECG".into(), |name| format!("\"{name}\""));
            format!("there is no channel {what} with an electrocardiogram: set ecg to one of {}", known.join(", "))
        })
    }

    fn length(&self, rate: f64) -> Result<usize, String> {
        if !(rate >= LEAST_RATE && rate.is_finite()) {
            return Err(format!(
                "needs a stream of at least {LEAST_RATE} Hz to tell a heart beat, and this one has {rate}"
            ));
        }
        let PulseArtifactConfig { beats, longest, .. } = &self.config;
        if !(1..=1000).contains(beats) {
            return Err(format!("beats = {beats} is not between 1 and 1000"));
        }
        if !(0.3..=LOST).contains(longest) {
            return Err(format!("longest = {longest} s is not between 0.3 and {LOST} s"));
        }
        Ok((longest * rate).round() as usize)
    }

    /// Takes in one cleaned sample and frees it of the pulse. Returns the flag to raise.
    fn take(&mut self, row: &mut [f64]) -> Quality {
        let number = self.history.push(row);
        for (channel, until) in self.bad_until.iter_mut().enumerate() {
            if self.guard.is_bad(channel) {
                *until = number + 1;
            }
        }
        if self.guard.is_bad(self.ecg) {
            // Who knows what it shows: levels are learned anew.
            self.detector.reset();
            self.beat = None;
        } else if let Some(ago) = self.detector.take(row.get(self.ecg).copied().unwrap_or(0.0)) {
            let peak = number.saturating_sub(ago as u64);
            if let Some(before) = self.beat {
                self.learn(before, number);
            }
            self.beat = Some(peak);
        }
        let Some(since) = self.beat.map(|beat| number - beat).filter(|since| *since < self.lost) else {
            return Quality::WARMING_UP;
        };
        let mut quality = Quality::GOOD;
        for (channel, value) in row.iter_mut().enumerate().filter(|(channel, _)| *channel != self.ecg) {
            *value -= self.pulse.mean(channel).get(since as usize).copied().unwrap_or(0.0);
            if self.pulse.filled(channel) < self.config.beats {
                quality = Quality::WARMING_UP;
            }
        }
        quality
    }

    /// Learns from what was measured from sample `from` until `until`.
    fn learn(&mut self, from: u64, until: u64) {
        let count = ((until - from) as usize).min(self.length);
        for channel in (0..self.guard.channels()).filter(|channel| *channel != self.ecg) {
            let Some(epoch) = self.history.window(channel, from as i64, count) else { continue };
            if self.bad_until.get(channel).is_some_and(|until| *until <= from) {
                self.pulse.learn(channel, epoch);
            }
        }
    }
}

impl Stage for PulseArtifact {
    fn name(&self) -> &'static str {
        "pulse_artifact"
    }

    fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError> {
        let refuse = |problem: String| PrepareError::new("pulse_artifact", problem);
        self.length = self.length(input.rate).map_err(refuse)?;
        self.ecg = self.ecg(input).map_err(refuse)?;
        let channels = input.channels.len();
        if Average::size(channels, self.config.beats, self.length) > 1 << 27 {
            return Err(refuse(format!(
                "{} beats of {} samples and {channels} channels do not fit in 1 GiB: lower beats",
                self.config.beats, self.length
            )));
        }
        self.lost = (LOST * input.rate) as u64;
        self.detector = Beats::new(input.rate);
        self.history = History::new(channels, self.lost as usize + 2 * self.length);
        self.pulse = Average::new(channels, self.config.beats, self.length);
        self.bad_until = vec![0; channels].into();
        self.guard = Guard::new(input, 1);
        self.reset();
        Ok(input.clone())
    }

    fn process(&mut self, input: &Block, output: &mut Block) {
        let channels = self.guard.channels();
        if input.channels() != channels || channels == 0 {
            output.clear();
            return;
        }
        output.inherit(input);
        output.set_len(input.len());
        let mut quality = output.quality;
        for i in 0..input.len() {
            let row = &mut output.data_mut()[i * channels..(i + 1) * channels];
            quality |= self.guard.clean_row(input.sample(i), &input.bad, row);
            quality |= self.take(row);
            for channel in self.guard.bad() {
                output.bad.set(channel, true);
            }
        }
        output.quality = quality;
    }

    fn reset(&mut self) {
        self.guard.reset();
        self.detector.reset();
        self.history.reset();
        self.pulse.reset();
        self.bad_until.fill(0);
        self.beat = None;
    }

    fn gap(&mut self) {
        self.guard.reset();
        self.detector.reset();
        self.bad_until.fill(self.history.next());
        self.beat = None;
    }

    fn new_run(&mut self) {
        self.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Channel, Unit};

    #[test]
    fn wrong_settings_are_named() {
        let mut channels = Channel::numbered("EEG", 2, Unit::Microvolt);
        channels.push(Channel::new("heart", "ECG", Unit::Microvolt));
        let spec = BlockSpec::new(channels, 1000.0, 8);
        for (toml, expected) in [
            ("beats = 0", "beats = 0 is not between 1 and 1000"),
            ("longest = 0.1", "longest = 0.1 s is not between 0.3 and 3 s"),
            (
                "ecg = \"EKG\"",
                "there is no channel \"EKG\" with an electrocardiogram: set ecg to one of EEG1, EEG2, heart",
            ),
        ] {
            let refused = PulseArtifact::new(toml::from_str(toml).unwrap()).prepare(&spec).unwrap_err();
            assert_eq!(refused.to_string(), format!("stage \"pulse_artifact\": {expected}"));
        }
        PulseArtifact::new(PulseArtifactConfig::default()).prepare(&spec).unwrap();
        let slow = BlockSpec { rate: 50.0, ..spec };
        let refused = PulseArtifact::new(PulseArtifactConfig::default()).prepare(&slow).unwrap_err();
        assert!(refused.to_string().contains("at least 100 Hz to tell a heart beat, and this one has 50"), "{refused}");
    }
}

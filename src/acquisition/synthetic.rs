//! What if there is no device? Oscillations in noise that look like EEG, the same for the same seed.

use std::f64::consts::TAU;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::file::Recorded;
use super::{Pull, Source, SourceError};
use crate::frame::{Block, BlockSpec, Channel, Instant, Unit};

/// EEG-like channels: a 10 Hz rhythm that waxes and wanes, a weaker 20 Hz one, and white noise.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct SyntheticConfig {
    /// How many channels, named `EEG1`, `EEG2`, …; 8 by default.
    pub channels: usize,
    /// Samples a second; 250 by default.
    pub rate: f64,
    /// Samples in a block; 32 by default.
    pub block: usize,
    /// Peak of the 10 Hz rhythm in µV; 20 by default.
    pub amplitude: f64,
    /// Standard deviation of the noise in µV; 5 by default.
    pub noise: f64,
    /// Another seed, other phases and noise.
    pub seed: u64,
    /// When it ends, in seconds; by default it does not.
    pub duration: Option<f64>,
}

impl Default for SyntheticConfig {
    fn default() -> Self {
        Self { channels: 8, rate: 250.0, block: 32, amplitude: 20.0, noise: 5.0, seed: 1, duration: None }
    }
}

impl SyntheticConfig {
    /// The source. Its first sample lies at `origin`; like a recording it gives its blocks as fast as it is asked, so
    /// wrap it in [`Paced`](super::file::Paced) where it should keep time.
    ///
    /// # Errors
    /// A setting out of its range.
    pub fn build(&self, origin: Instant) -> Result<SyntheticSource, SourceError> {
        let wrong = |problem: &str| Err(SourceError::Config(format!("synthetic: {problem}")));
        if !(1..=4096).contains(&self.channels) || !(1..=1 << 16).contains(&self.block) {
            return wrong("channels (1 to 4096) or block (1 to 65536) is out of range");
        }
        if !(self.rate > 0.0 && self.rate <= 1e6) {
            return wrong("rate: above 0, at most 1e6 Hz");
        }
        if !(self.amplitude.is_finite() && self.noise.is_finite() && self.duration.is_none_or(|d| d > 0.0)) {
            return wrong("amplitude and noise must be finite, duration above 0");
        }
        let channels = Channel::numbered("EEG", self.channels, Unit::Microvolt);
        let spec = BlockSpec::new(channels, self.rate, self.block);
        let samples = self.duration.map_or(u64::MAX, |d| (d * self.rate).floor() as u64);
        let row = vec![0.0; self.channels];
        Ok(SyntheticSource { config: self.clone(), spec, origin, samples, next: 0, seq: 0, row })
    }
}

/// The source of [`SyntheticConfig`]. A sample depends on its number, its channel and the seed, so however it is cut
/// into blocks it is the same.
pub struct SyntheticSource {
    config: SyntheticConfig,
    spec: BlockSpec,
    origin: Instant,
    samples: u64,
    next: u64,
    seq: u64,
    row: Vec<f64>,
}

impl SyntheticSource {
    fn time_of(&self, index: u64) -> Instant {
        self.origin + index as f64 / self.config.rate
    }

    fn count(&self) -> u64 {
        (self.samples - self.next).min(self.config.block as u64)
    }
}

impl Recorded for SyntheticSource {
    fn peek(&self) -> Option<Instant> {
        (self.next < self.samples).then(|| self.time_of(self.next + self.count()))
    }
}

impl Source for SyntheticSource {
    fn spec(&self) -> &BlockSpec {
        &self.spec
    }

    fn pull(&mut self, into: &mut Block, _timeout: Duration) -> Result<Pull, SourceError> {
        into.clear();
        if self.next >= self.samples {
            return Ok(Pull::End);
        }
        let SyntheticConfig { rate, amplitude, noise, seed, .. } = self.config;
        for _ in 0..self.count() {
            let t = self.next as f64 / rate;
            for (channel, value) in self.row.iter_mut().enumerate() {
                let key = seed ^ (channel as u64) << 40;
                let phase = TAU * unit(mix(key));
                let envelope = 0.6 + 0.4 * (TAU * 0.1 * t + phase).sin();
                let alpha = envelope * (TAU * 10.0 * t + phase).sin();
                let beta = 0.25 * (TAU * 20.0 * t + 2.0 * phase).sin();
                *value = amplitude * (alpha + beta) + noise * gauss(key, self.next);
            }
            into.push(&self.row);
            self.next += 1;
        }
        into.seq = self.seq;
        self.seq += 1;
        into.run = 0;
        into.measured_at = self.time_of(self.next - 1);
        into.arrived_at = self.time_of(self.next);
        Ok(Pull::Data)
    }
}

/// SplitMix64's output function (Steele, Lea and Flood 2014): a number from a counter.
fn mix(counter: u64) -> u64 {
    let mut z = counter.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ z >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ z >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ z >> 31
}

/// In (0, 1].
fn unit(bits: u64) -> f64 {
    ((bits >> 11) + 1) as f64 / (1u64 << 53) as f64
}

/// Standard normal, by Box and Muller's transform.
fn gauss(key: u64, index: u64) -> f64 {
    let first = mix(mix(key) ^ index);
    let (radius, angle) = (unit(first), unit(mix(first)));
    (-2.0 * radius.ln()).sqrt() * (TAU * angle).cos()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(config: &SyntheticConfig) -> Vec<f64> {
        let mut source = config.build(Instant::default()).expect("a source");
        let mut block = Block::new(source.spec());
        let mut out = Vec::new();
        while source.pull(&mut block, Duration::ZERO).expect("samples") == Pull::Data {
            out.extend_from_slice(block.data());
        }
        out
    }

    #[test]
    fn a_seed_gives_one_signal_however_it_is_cut() {
        let config = SyntheticConfig { duration: Some(4.0), channels: 3, ..Default::default() };
        let whole = all(&config);
        assert_eq!(whole.len(), 3 * 1000);
        assert_eq!(whole, all(&SyntheticConfig { block: 7, ..config.clone() }));
        assert_ne!(whole, all(&SyntheticConfig { seed: 2, ..config }));
    }

    #[test]
    fn the_noise_is_standard_normal_and_the_rhythm_has_its_size() {
        let noise =
            SyntheticConfig { amplitude: 0.0, noise: 1.0, channels: 1, duration: Some(80.0), ..Default::default() };
        let x = all(&noise);
        let mean = x.iter().sum::<f64>() / x.len() as f64;
        let variance = x.iter().map(|v| (v - mean).powi(2)).sum::<f64>() / x.len() as f64;
        assert!(mean.abs() < 0.03 && (variance - 1.0).abs() < 0.03, "{mean} {variance}");
        let rhythm = all(&SyntheticConfig { amplitude: 20.0, noise: 0.0, ..noise });
        let peak = rhythm.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
        assert!((18.0..=25.0).contains(&peak), "{peak}");
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let wrong = SyntheticConfig { rate: 0.0, ..Default::default() }.build(Instant::default());
        assert_eq!(wrong.err().map(|e| e.to_string()), Some("synthetic: rate: above 0, at most 1e6 Hz".into()));
    }
}

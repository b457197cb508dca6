//! How is EEG cleaned and measured? Filters, references, artifacts of scanner and pulse, marks, band powers and delays.
//!
//! Each step is a [`Stage`]: blocks in, blocks out, nothing allocated after `prepare`. It stands between acquisition
//! and the predictors: `acquisition → signal → ridge`. What a step is made from is a [`SignalConfig`]; [`build`] makes
//! it. Adding one is one new file, one variant, one line in `build`.
//!
//! **Invariants.** However a stream is cut into blocks, the samples that come out are the same. No value that is not
//! finite, and none of an absurd size, enters a state: it is masked at the door of every step, its channel is marked
//! as bad until the step has forgotten it, and no other channel notices (but for those that a reference spreads to,
//! which it does not). Bad masks heal by themselves. A step's values never depend on the clock.
//!
//! ```
//! use neurod::frame::{Block, BlockSpec, Channel, Unit};
//! use neurod::signal::{SignalConfig, build};
//!
//! let config: SignalConfig = toml::from_str("bandpass = { low = 1.0, high = 40.0, order = 4 }")?;
//! let spec = BlockSpec::new(Channel::numbered("EEG", 64, Unit::Microvolt), 250.0, 32);
//! let mut stage = build(&config);
//! let next = stage.prepare(&spec)?;
//! let (mut input, mut output) = (Block::new(&spec), Block::new(&next));
//! input.push(&[10.0; 64]);
//! stage.process(&input, &mut output);
//! assert_eq!(output.len(), 1);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

mod artifact;
mod average;
mod band_power;
mod bands;
mod beats;
mod cascade;
mod delays;
pub mod design;
mod fraction;
mod gradient;
mod guard;
mod history;
mod iir;
mod pulse;
mod reference;
mod volumes;

use serde::{Deserialize, Serialize};

pub use artifact::{Artifact, ArtifactConfig};
pub use band_power::{BandPower, BandPowerConfig};
pub use bands::{Band, Bands};
pub use cascade::Cascade;
pub use delays::{Delays, DelaysConfig};
pub use gradient::{GradientArtifact, GradientArtifactConfig};
pub use iir::{BandpassConfig, CutoffConfig, Iir, NotchConfig};
pub use pulse::{PulseArtifact, PulseArtifactConfig};
pub use reference::{Reference, ReferenceConfig};

use crate::frame::Stage;

/// One step of an EEG chain, as a table with one key: `{ notch = { frequency = 50.0 } }`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
pub enum SignalConfig {
    /// Keeps what lies between two frequencies.
    Bandpass(BandpassConfig),
    /// Keeps what lies above a frequency.
    Highpass(CutoffConfig),
    /// Keeps what lies below a frequency.
    Lowpass(CutoffConfig),
    /// Takes out mains hum.
    Notch(NotchConfig),
    /// Measures against the average, or against chosen channels.
    Reference(ReferenceConfig),
    /// Marks channels that cannot be trusted.
    Artifact(ArtifactConfig),
    /// Takes out what a scanner's gradients induce.
    GradientArtifact(GradientArtifactConfig),
    /// Takes out what the pulse moves in a scanner's field.
    PulseArtifact(PulseArtifactConfig),
    /// Measures the power in bands.
    BandPower(BandPowerConfig),
    /// Shows each channel beside its past.
    Delays(DelaysConfig),
}

/// The step that `config` describes. What does not fit the stream is refused by its `prepare`.
pub fn build(config: &SignalConfig) -> Box<dyn Stage> {
    match config.clone() {
        SignalConfig::Bandpass(c) => Box::new(Iir::bandpass(c)),
        SignalConfig::Highpass(c) => Box::new(Iir::highpass(c)),
        SignalConfig::Lowpass(c) => Box::new(Iir::lowpass(c)),
        SignalConfig::Notch(c) => Box::new(Iir::notch(c)),
        SignalConfig::Reference(c) => Box::new(Reference::new(c)),
        SignalConfig::Artifact(c) => Box::new(Artifact::new(c)),
        SignalConfig::GradientArtifact(c) => Box::new(GradientArtifact::new(c)),
        SignalConfig::PulseArtifact(c) => Box::new(PulseArtifact::new(c)),
        SignalConfig::BandPower(c) => Box::new(BandPower::new(c)),
        SignalConfig::Delays(c) => Box::new(Delays::new(c)),
    }
}

/// What scipy says, and its input, for the tests of this folder.
#[cfg(test)]
mod testing {
    /// tests/golden/signal.json, written by make_signal.py beside it.
    pub fn golden() -> serde_json::Value {
        serde_json::from_str(include_str!("../../tests/golden/signal.json")).unwrap()
    }

    /// Uniform in [−100, 100): the same numbers as `noise` in make_signal.py.
    pub fn noise(count: usize, mut seed: u64) -> Vec<f64> {
        let next = |_| {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 11) as f64 / (1u64 << 53) as f64 * 200.0 - 100.0
        };
        (0..count).map(next).collect()
    }

    pub fn values(array: &serde_json::Value) -> Vec<f64> {
        serde_json::from_value(array.clone()).unwrap()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_are_read_from_toml_and_unknown_keys_are_refused() {
        for toml in [
            "bandpass = { low = 1, high = 40 }",
            "highpass = { cutoff = 0.5, order = 2 }",
            "lowpass = { cutoff = 40.0 }",
            "notch = { frequency = 50.0, quality = 30.0, harmonics = 2 }",
            "reference = \"average\"",
            "reference = { channels = [\"M1\", \"M2\"] }",
            "artifact = { clip_uv = 3000.0 }",
            "artifact = {}",
            "gradient_artifact = { tr = 2.0, marker = \"Trigger\", code = 1.0, volumes = 20, locked = true }",
            "gradient_artifact = { tr = 2.0 }",
            "pulse_artifact = { ecg = \"ECG\", beats = 15, longest = 1.2 }",
            "pulse_artifact = {}",
            "band_power = { bands = [[8, 13]], window = 1.0, hop = 0.25, segment = 0.5, log = true }",
            "delays = { taps = 4, step = 0.25 }",
        ] {
            let config: SignalConfig = toml::from_str(toml).unwrap();
            let again: SignalConfig = toml::from_str(&toml::to_string(&config).unwrap()).unwrap();
            assert_eq!(again, config);
            assert!(toml.starts_with(build(&config).name()));
        }
        for (toml, expected) in [
            ("bandpas = { low = 1, high = 40 }", "unknown variant `bandpas`"),
            ("bandpass = { low = 1, hihg = 40 }", "unknown field `hihg`"),
            ("notch = {}", "missing field `frequency`"),
            ("reference = \"averge\"", "unknown variant `averge`"),
            ("artifact = { clip = 3.0 }", "unknown field `clip`"),
            ("gradient_artifact = {}", "missing field `tr`"),
        ] {
            let error = toml::from_str::<SignalConfig>(toml).unwrap_err();
            assert!(error.message().contains(expected), "{error}");
        }
    }
}

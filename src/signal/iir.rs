//! Which frequencies stay? Butterworth band-, high- and low-pass, and notches, on every channel.
//!
//! A filter starts as if its first sample had always been there (`scipy.signal.sosfilt_zi` times that sample), so an
//! electrode's offset of millivolts does not ring. Until the filter has settled (see [`settling`]), blocks are flagged
//! `WARMING_UP`; a channel that had a refused sample is bad for as long.

use serde::{Deserialize, Serialize};

use super::cascade::Cascade;
use super::design::{Band, Section, butterworth, notch, settling};
use super::guard::Guard;
use crate::frame::{Block, BlockSpec, PrepareError, Quality, Stage};

/// No filter is accepted that takes longer than this to settle, in seconds.
const LONGEST_SETTLING: f64 = 600.0;

fn default_order() -> usize {
    4
}

fn default_quality() -> f64 {
    30.0
}

fn default_harmonics() -> usize {
    1
}

/// Keeps what lies between two frequencies: `bandpass = { low = 1.0, high = 40.0, order = 4 }`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct BandpassConfig {
    /// The lower edge, in Hz, −3 dB.
    pub low: f64,
    /// The upper edge, in Hz, −3 dB; below half the sampling rate.
    pub high: f64,
    /// 1 to 16; each edge falls by 6 dB an octave times this. Default 4, which makes four sections.
    #[serde(default = "default_order")]
    pub order: usize,
}

/// Keeps what lies above or below one frequency: `highpass = { cutoff = 1.0 }`, `lowpass = { cutoff = 40.0 }`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct CutoffConfig {
    /// The edge, in Hz, −3 dB; below half the sampling rate.
    pub cutoff: f64,
    /// 1 to 16; 6 dB an octave times this. Default 4.
    #[serde(default = "default_order")]
    pub order: usize,
}

/// Takes out mains hum: `notch = { frequency = 50.0, quality = 30.0, harmonics = 2 }`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct NotchConfig {
    /// What to take out, in Hz; below half the sampling rate.
    pub frequency: f64,
    /// The frequency over the notch's width at −3 dB. Default 30.
    #[serde(default = "default_quality")]
    pub quality: f64,
    /// Notches at 1, 2, … this many times the frequency, all equally wide. Default 1.
    #[serde(default = "default_harmonics")]
    pub harmonics: usize,
}

#[derive(Clone, Debug)]
enum Design {
    Bandpass(BandpassConfig),
    Highpass(CutoffConfig),
    Lowpass(CutoffConfig),
    Notch(NotchConfig),
}

/// A filter with an infinite impulse response, as second-order sections in f64.
#[derive(Debug)]
pub struct Iir {
    design: Design,
    guard: Guard,
    cascade: Cascade,
    /// Which channels have had a good sample, and whether all have.
    started: Box<[bool]>,
    all_started: bool,
    settling: usize,
    seen: usize,
}

impl Iir {
    /// A band-pass filter.
    pub fn bandpass(config: BandpassConfig) -> Self {
        Self::new(Design::Bandpass(config))
    }

    /// A high-pass filter.
    pub fn highpass(config: CutoffConfig) -> Self {
        Self::new(Design::Highpass(config))
    }

    /// A low-pass filter.
    pub fn lowpass(config: CutoffConfig) -> Self {
        Self::new(Design::Lowpass(config))
    }

    /// A notch, with its harmonics.
    pub fn notch(config: NotchConfig) -> Self {
        Self::new(Design::Notch(config))
    }

    fn new(design: Design) -> Self {
        Self {
            design,
            guard: Guard::default(),
            cascade: Cascade::new(Vec::new(), 0),
            started: Box::default(),
            all_started: false,
            settling: 0,
            seen: 0,
        }
    }

    /// How many samples it takes to settle; known after `prepare`.
    pub fn settling(&self) -> usize {
        self.settling
    }

    fn sections(&self, rate: f64) -> Result<Vec<Section>, String> {
        let (edges, order) = match &self.design {
            Design::Bandpass(c) => (Band::Between(c.low, c.high), c.order),
            Design::Highpass(c) => (Band::High(c.cutoff), c.order),
            Design::Lowpass(c) => (Band::Low(c.cutoff), c.order),
            Design::Notch(c) => return notches(c, rate),
        };
        if !(1..=16).contains(&order) {
            return Err(format!("order {order} is not between 1 and 16"));
        }
        match edges {
            Band::Between(low, high) => {
                below_nyquist("low", low, rate)?;
                below_nyquist("high", high, rate)?;
                if low >= high {
                    return Err(format!("low ({low} Hz) must be less than high ({high} Hz)"));
                }
            }
            Band::Low(cutoff) | Band::High(cutoff) => below_nyquist("cutoff", cutoff, rate)?,
        }
        Ok(butterworth(order, edges, rate))
    }

    /// Starts channels at their first good sample and filters up to there; returns how many samples that took.
    fn start_channels(&mut self, input: &Block, output: &mut Block) -> usize {
        let channels = self.guard.channels();
        let mut done = 0;
        for i in 0..input.len() {
            for (channel, (started, x)) in self.started.iter_mut().zip(input.sample(i)).enumerate() {
                if *started || !self.guard.accepts(channel, *x) {
                    continue;
                }
                // What came before this sample must be filtered in the old state.
                if done < i {
                    self.cascade.run(&mut output.data_mut()[done * channels..i * channels]);
                    done = i;
                }
                self.cascade.rest(channel, *x);
                *started = true;
            }
            self.all_started = self.started.iter().all(|s| *s);
            if self.all_started {
                break;
            }
        }
        done
    }
}

fn below_nyquist(key: &str, frequency: f64, rate: f64) -> Result<(), String> {
    if frequency > 0.0 && frequency < rate / 2.0 {
        return Ok(());
    }
    Err(format!("{key} = {frequency} Hz is not between 0 and {} Hz, half the sampling rate", rate / 2.0))
}

fn notches(config: &NotchConfig, rate: f64) -> Result<Vec<Section>, String> {
    if !(1..=32).contains(&config.harmonics) {
        return Err(format!("harmonics = {} is not between 1 and 32", config.harmonics));
    }
    if !(config.quality > 0.5 && config.quality.is_finite()) {
        return Err(format!("quality = {} must be more than 0.5 (30 is usual)", config.quality));
    }
    let multiples = (1..=config.harmonics).map(|k| k as f64);
    multiples
        .map(|k| {
            let frequency = k * config.frequency;
            below_nyquist(if k > 1.0 { "a harmonic of frequency" } else { "frequency" }, frequency, rate)?;
            Ok(notch(frequency, k * config.quality, rate))
        })
        .collect()
}

impl Stage for Iir {
    fn name(&self) -> &'static str {
        match self.design {
            Design::Bandpass(_) => "bandpass",
            Design::Highpass(_) => "highpass",
            Design::Lowpass(_) => "lowpass",
            Design::Notch(_) => "notch",
        }
    }

    fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError> {
        let refuse = |problem: String| PrepareError::new(self.name(), problem);
        if !(input.rate > 0.0 && input.rate.is_finite()) {
            return Err(refuse("needs a stream of regular rate, and this one has none".into()));
        }
        let sections = self.sections(input.rate).map_err(refuse)?;
        self.settling = settling(&sections, (LONGEST_SETTLING * input.rate) as usize).ok_or_else(|| {
            refuse(format!(
                "does not settle within {LONGEST_SETTLING} s at {} Hz: raise the lowest frequency, or lower order or \
                 quality",
                input.rate
            ))
        })?;
        let channels = input.channels.len();
        self.guard = Guard::new(input, self.settling + 1);
        self.cascade = Cascade::new(sections, channels);
        self.started = vec![false; channels].into();
        self.reset();
        Ok(input.clone())
    }

    fn process(&mut self, input: &Block, output: &mut Block) {
        if input.channels() != self.guard.channels() {
            output.clear();
            return;
        }
        self.guard.clean(input, output);
        let done = if self.all_started { 0 } else { self.start_channels(input, output) };
        self.cascade.run(&mut output.data_mut()[done * input.channels()..]);
        if self.seen < self.settling {
            self.seen += input.len();
            output.quality |= Quality::WARMING_UP;
        }
    }

    fn reset(&mut self) {
        self.guard.reset();
        self.cascade.reset();
        self.started.fill(false);
        self.all_started = false;
        self.seen = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Channel, Unit};
    use crate::signal::testing::{golden, noise, values};
    use crate::signal::{SignalConfig, build};

    fn close(got: f64, expected: f64, scale: f64) -> bool {
        (got - expected).abs() <= 1e-9 * scale
    }

    #[test]
    fn designs_and_outputs_are_those_of_scipy() {
        let golden = golden();
        let (samples, every) =
            (golden["samples"].as_u64().unwrap() as usize, golden["every"].as_u64().unwrap() as usize);
        let x: Vec<f64> = noise(samples, 7).iter().map(|v| v + 50.0).collect();
        for case in golden["filters"].as_array().unwrap() {
            let config: SignalConfig = serde_json::from_value(case["config"].clone()).unwrap();
            let rate = case["rate"].as_f64().unwrap();
            let mut iir = match config.clone() {
                SignalConfig::Bandpass(c) => Iir::bandpass(c),
                SignalConfig::Highpass(c) => Iir::highpass(c),
                SignalConfig::Lowpass(c) => Iir::lowpass(c),
                SignalConfig::Notch(c) => Iir::notch(c),
                other => panic!("{other:?} is not a filter"),
            };
            let sections = iir.sections(rate).unwrap();
            let sos = case["sos"].as_array().unwrap();
            assert_eq!(sections.len(), sos.len(), "{config:?}");
            for (section, row) in sections.iter().zip(sos) {
                let row = values(row);
                let got = [section.b[0], section.b[1], section.b[2], 1.0, section.a[0], section.a[1]];
                for (g, e) in got.iter().zip(&row) {
                    assert!(close(*g, *e, 1.0), "{config:?}: {got:?} is not {row:?}");
                }
            }

            let mut plain = x.clone();
            Cascade::new(sections, 1).run(&mut plain);
            let spec = BlockSpec::new(Channel::numbered("EEG", 1, Unit::Microvolt), rate, samples);
            iir.prepare(&spec).unwrap();
            let (mut input, mut output) = (Block::new(&spec), Block::new(&spec));
            x.iter().for_each(|v| assert!(input.push(&[*v])));
            iir.process(&input, &mut output);
            for (key, got) in [("plain", &plain[..]), ("primed", output.data())] {
                let expected = values(&case[key]);
                let scale = expected.iter().fold(0.0f64, |m, v| m.max(v.abs()));
                for (i, e) in expected.iter().enumerate() {
                    let g = got[i * every];
                    assert!(close(g, *e, scale), "{config:?}, {key}, sample {}: {g} is not {e}", i * every);
                }
            }
        }
    }

    #[test]
    fn an_offset_does_not_ring_and_a_late_channel_starts_at_its_own_first_sample() {
        let spec = BlockSpec::new(Channel::numbered("EEG", 2, Unit::Microvolt), 250.0, 4);
        let mut stage = Iir::highpass(CutoffConfig { cutoff: 1.0, order: 2 });
        stage.prepare(&spec).unwrap();
        let (mut input, mut output) = (Block::new(&spec), Block::new(&spec));
        for late in [f64::NAN, f64::NAN, -300_000.0, -300_000.0] {
            input.push(&[200_000.0, late]);
        }
        stage.process(&input, &mut output);
        assert!(output.data().iter().all(|v| v.abs() < 1e-6), "{:?}", output.data());
        assert!(output.bad.contains(1) && !output.bad.contains(0));
    }

    #[test]
    fn warming_up_ends_when_the_filter_has_settled() {
        let spec = BlockSpec::new(Channel::numbered("EEG", 1, Unit::Microvolt), 250.0, 1);
        let mut stage = Iir::notch(NotchConfig { frequency: 50.0, quality: 30.0, harmonics: 2 });
        stage.prepare(&spec).unwrap();
        // Radius from the −3 dB width: r ≈ 1 − π · width / rate, so ln(1000) / (π · 50/30 / 250) ≈ 330 samples.
        assert!((250..450).contains(&stage.settling()), "{}", stage.settling());
        let (mut input, mut output) = (Block::new(&spec), Block::new(&spec));
        input.push(&[1.0]);
        for i in 0..stage.settling() + 2 {
            stage.process(&input, &mut output);
            assert_eq!(output.quality.contains(Quality::WARMING_UP), i < stage.settling());
        }
    }

    #[test]
    fn what_cannot_be_designed_is_refused_with_the_reason() {
        let spec = BlockSpec::new(Channel::numbered("EEG", 1, Unit::Microvolt), 250.0, 8);
        for (toml, expected) in [
            (
                "bandpass = { low = 1, high = 125 }",
                "stage \"bandpass\": high = 125 Hz is not between 0 and 125 Hz, half the sampling rate",
            ),
            ("bandpass = { low = 40, high = 1 }", "stage \"bandpass\": low (40 Hz) must be less than high (1 Hz)"),
            (
                "bandpass = { low = 0, high = 1 }",
                "stage \"bandpass\": low = 0 Hz is not between 0 and 125 Hz, half the sampling rate",
            ),
            (
                "highpass = { cutoff = nan }",
                "stage \"highpass\": cutoff = NaN Hz is not between 0 and 125 Hz, half the sampling rate",
            ),
            ("lowpass = { cutoff = 1, order = 0 }", "stage \"lowpass\": order 0 is not between 1 and 16"),
            (
                "notch = { frequency = 60, harmonics = 3 }",
                "stage \"notch\": a harmonic of frequency = 180 Hz is not between 0 and 125 Hz, half the sampling rate",
            ),
            (
                "notch = { frequency = 60, quality = 0 }",
                "stage \"notch\": quality = 0 must be more than 0.5 (30 is usual)",
            ),
            ("notch = { frequency = 60, harmonics = 0 }", "stage \"notch\": harmonics = 0 is not between 1 and 32"),
            (
                "highpass = { cutoff = 0.0001 }",
                "stage \"highpass\": does not settle within 600 s at 250 Hz: raise the lowest frequency, or lower order or quality",
            ),
        ] {
            let config: SignalConfig = toml::from_str(toml).unwrap();
            assert_eq!(build(&config).prepare(&spec).unwrap_err().to_string(), expected);
        }
        let markers = BlockSpec { rate: 0.0, ..spec };
        let refused = Iir::highpass(CutoffConfig { cutoff: 1.0, order: 2 }).prepare(&markers).unwrap_err();
        assert_eq!(refused.to_string(), "stage \"highpass\": needs a stream of regular rate, and this one has none");
    }
}

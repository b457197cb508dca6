//! How much power is in each band? Welch's method over a window that slides by hops.
//!
//! P. D. Welch, 1967, doi 10.1109/TAU.1967.1161901. A window holds segments that begin one hop apart; each is freed of
//! its mean, tapered with a Hann window, and transformed; the window's power density is the mean of its segments'. So
//! a hop costs one transform a channel, whatever the window's length. Golden: `scipy.signal.welch(window="hann",
//! nperseg=segment, noverlap=segment − hop, detrend="constant", scaling="density")`, to 1e-9. A band's power is the
//! trapezoid rule over the bins from its lower to its upper edge, both included: adjacent bands add up to the whole,
//! and no bin counts twice.
//!
//! Nothing comes out until a whole window has been seen. A feature is bad when its channel was at any sample of the
//! window, and carries every flag of the window; so one NaN is gone when the window has passed it.

use std::f64::consts::PI;
use std::fmt;
use std::sync::Arc;

use realfft::num_complex::Complex64;
use realfft::{RealFftPlanner, RealToComplex};
use serde::{Deserialize, Serialize};

use super::bands::Bands;
use super::guard::Guard;
use crate::frame::{Block, BlockSpec, Channel, PrepareError, Quality, Stage, Unit};

/// What stands for no power at all in a logarithm.
const FLOOR: f64 = 1e-20;

fn default_window() -> f64 {
    1.0
}

fn default_hop() -> f64 {
    0.25
}

/// What to measure: `band_power = { bands = { alpha = [8, 13] }, window = 1.0, hop = 0.25, segment = 0.5 }`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct BandPowerConfig {
    /// The bands, in Hz: `{ alpha = [8, 13] }` or `[[8, 13]]`. Each must hold at least two bins, which lie 1 / `segment`
    /// apart.
    pub bands: Bands,
    /// How far back a value looks, in seconds, rounded to a segment and whole hops. Default 1.
    #[serde(default = "default_window")]
    pub window: f64,
    /// How often a value comes, in seconds, rounded to whole samples. Default 0.25.
    #[serde(default = "default_hop")]
    pub hop: f64,
    /// How long a segment is, in seconds: longer separates frequencies better, shorter (more of them) is less noisy.
    /// Default: half the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub segment: Option<f64>,
    /// Whether to give log10 of the power (its unit then is `a.u.`). Default false.
    #[serde(default)]
    pub log: bool,
}

/// Lengths in samples.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Lengths {
    segment: usize,
    hop: usize,
    segments: usize,
}

impl Lengths {
    fn window(self) -> usize {
        self.segment + self.segments.saturating_sub(1) * self.hop
    }
}

/// A band's first bin, and each bin's share of its power.
type Weights = (usize, Box<[f64]>);

/// Measures band powers. Output channels are `channels × bands`: `Cz alpha`, `Cz beta`, `Pz alpha`, …
pub struct BandPower {
    config: BandPowerConfig,
    guard: Guard,
    period: f64,
    lengths: Lengths,
    /// The newest segment's samples, `channels × stride`, so that a transform finds them side by side; the oldest is at
    /// `at`.
    history: Box<[f64]>,
    stride: usize,
    at: usize,
    /// The newest sample, cleaned.
    row: Box<[f64]>,
    /// Per segment of the window, the oldest at `newest + 1`: the power of every feature.
    powers: Box<[f64]>,
    finished: usize,
    /// Per hop of the window: every flag of its blocks.
    flags: Box<[Quality]>,
    hops: usize,
    /// Samples until the next segment is complete.
    left: usize,
    taper: Box<[f64]>,
    weights: Vec<Weights>,
    fft: Option<Arc<dyn RealToComplex<f64>>>,
    tapered: Box<[f64]>,
    spectrum: Box<[Complex64]>,
    scratch: Box<[Complex64]>,
}

impl fmt::Debug for BandPower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("BandPower")
            .field("config", &self.config)
            .field("lengths", &self.lengths)
            .finish_non_exhaustive()
    }
}

impl BandPower {
    /// A band power step that is yet to be prepared.
    pub fn new(config: BandPowerConfig) -> Self {
        Self {
            config,
            guard: Guard::default(),
            period: 0.0,
            lengths: Lengths::default(),
            history: Box::default(),
            stride: 1,
            row: Box::default(),
            at: 0,
            powers: Box::default(),
            finished: 0,
            flags: Box::default(),
            hops: 0,
            left: 0,
            taper: Box::default(),
            weights: Vec::new(),
            fft: None,
            tapered: Box::default(),
            spectrum: Box::default(),
            scratch: Box::default(),
        }
    }

    fn lengths(&self, rate: f64) -> Result<Lengths, String> {
        if !(rate > 0.0 && rate.is_finite()) {
            return Err("needs a stream of regular rate, and this one has none".into());
        }
        let c = &self.config;
        let segment = c.segment.unwrap_or(c.window / 2.0);
        for (key, seconds) in [("window", c.window), ("hop", c.hop), ("segment", segment)] {
            let samples = (seconds * rate).round();
            if !(1.0..=1e7).contains(&samples) {
                return Err(format!(
                    "{key} = {seconds} s is {samples} samples at {rate} Hz, and must be 1 to 10000000"
                ));
            }
        }
        let samples = |seconds: f64| (seconds * rate).round() as usize;
        let (window, hop, segment) = (samples(c.window), samples(c.hop), samples(segment));
        if segment > window {
            return Err(format!(
                "segment = {} s is longer than window = {} s",
                c.segment.unwrap_or_default(),
                c.window
            ));
        }
        if hop > segment {
            return Err(format!("hop = {} s is longer than a segment, so samples would be missed: shorten it", c.hop));
        }
        let segments = ((window - segment) as f64 / hop as f64).round() as usize + 1;
        Ok(Lengths { segment, hop, segments })
    }

    /// Each band's bins and their shares of the integral.
    fn weights(&self, rate: f64, segment: usize) -> Result<Vec<Weights>, String> {
        let resolution = rate / segment as f64;
        // One-sided density of a tapered segment; every bin but 0 and, if there is one, half the rate stands for two.
        let scale = 1.0 / (rate * self.taper.iter().map(|w| w * w).sum::<f64>());
        let sides = |bin: usize| if bin == 0 || 2 * bin == segment { 1.0 } else { 2.0 };
        let bands = &self.config.bands.0;
        if bands.is_empty() {
            return Err("bands is empty: give at least one, such as { alpha = [8, 13] }".into());
        }
        let mut weights = Vec::new();
        for band in bands {
            let (low, high) = (band.low, band.high);
            if !(low >= 0.0 && low < high && high <= rate / 2.0) {
                let nyquist = rate / 2.0;
                return Err(format!(
                    "band \"{}\" = [{low}, {high}] must rise and lie within 0 to {nyquist} Hz",
                    band.name
                ));
            }
            let first = (low / resolution - 1e-9).ceil().max(0.0) as usize;
            let last = (high / resolution + 1e-9).floor() as usize;
            if last <= first {
                return Err(format!(
                    "band \"{}\" = [{low}, {high}] holds fewer than two bins, which lie {resolution} Hz apart: lengthen \
                     segment to {} s or more",
                    band.name,
                    2.0 / (high - low)
                ));
            }
            let share = |bin: usize| {
                let trapezoid = if bin == first || bin == last { 0.5 } else { 1.0 };
                trapezoid * resolution * sides(bin) * scale
            };
            weights.push((first, (first..=last).map(share).collect()));
        }
        Ok(weights)
    }

    /// Transforms the newest segment and puts its band powers in the place of the oldest.
    fn finish_segment(&mut self) {
        let Some(fft) = &self.fft else { return };
        let (segment, bands) = (self.lengths.segment, self.weights.len());
        let features = self.guard.channels() * bands;
        let slot = self.finished % self.lengths.segments * features;
        self.finished += 1;
        let powers = self.powers[slot..slot + features].chunks_exact_mut(bands);
        for (powers, samples) in powers.zip(self.history.chunks_exact(self.stride)) {
            // The ring in order of time.
            let (newer, older) = samples[..segment].split_at(self.at);
            let mean = (sum(older) + sum(newer)) / segment as f64;
            let (first, last) = self.tapered.split_at_mut(older.len());
            let (taper_first, taper_last) = self.taper.split_at(older.len());
            for (part, samples, taper) in [(first, older, taper_first), (last, newer, taper_last)] {
                for ((y, x), taper) in part.iter_mut().zip(samples).zip(taper) {
                    *y = (x - mean) * taper;
                }
            }
            // The lengths are those of the plan, so it cannot fail; if it did, the old spectrum would stay.
            let _ = fft.process_with_scratch(&mut self.tapered, &mut self.spectrum, &mut self.scratch);
            for (power, (bin, shares)) in powers.iter_mut().zip(&self.weights) {
                let bins = self.spectrum[*bin..].iter().zip(shares);
                *power = bins.map(|(value, share)| value.norm_sqr() * share).sum();
            }
        }
    }

    /// Appends the window's mean powers to `output`.
    fn show(&self, output: &mut Block) {
        let (len, features) = (output.len(), output.channels());
        output.set_len(len + 1);
        let Some(row) = output.data_mut().get_mut(len * features..) else { return };
        row.fill(0.0);
        for powers in self.powers.chunks_exact(features) {
            for (sum, power) in row.iter_mut().zip(powers) {
                *sum += power;
            }
        }
        for value in row {
            *value /= self.lengths.segments as f64;
            if self.config.log {
                *value = value.max(FLOOR).log10();
            }
        }
        for flags in &self.flags {
            output.quality |= *flags;
        }
        let bands = self.weights.len();
        for channel in self.guard.bad() {
            (0..bands).for_each(|band| output.bad.set(channel * bands + band, true));
        }
    }
}

/// Several sums side by side, so that no addition waits for the last.
fn sum(samples: &[f64]) -> f64 {
    let mut sums = [0.0; 16];
    for part in samples.chunks(sums.len()) {
        sums.iter_mut().zip(part).for_each(|(sum, x)| *sum += x);
    }
    sums.iter().sum()
}

impl Stage for BandPower {
    fn name(&self) -> &'static str {
        "band_power"
    }

    fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError> {
        let refuse = |problem: String| PrepareError::new("band_power", problem);
        let lengths = self.lengths(input.rate).map_err(refuse)?;
        let channels = input.channels.len();
        let segment = lengths.segment;
        self.taper = (0..segment).map(|i| 0.5 - 0.5 * (2.0 * PI * i as f64 / segment as f64).cos()).collect();
        self.weights = self.weights(input.rate, segment).map_err(refuse)?;
        let features = channels * self.weights.len();
        let largest = segment.saturating_mul(channels).max(lengths.segments.saturating_mul(features));
        if largest > 1 << 27 {
            return Err(refuse(format!(
                "a window of {} s over {channels} channels does not fit in 1 GiB",
                self.config.window
            )));
        }
        let fft = RealFftPlanner::new().plan_fft_forward(segment);
        self.spectrum = fft.make_output_vec().into();
        self.scratch = fft.make_scratch_vec().into();
        self.fft = Some(fft);
        self.tapered = vec![0.0; segment].into();
        // An odd number of cache lines, so that one sample's values do not all fall into the same few cache sets.
        self.stride = (segment.div_ceil(8) | 1) * 8;
        self.history = vec![0.0; self.stride * channels].into();
        self.row = vec![0.0; channels].into();
        self.powers = vec![0.0; lengths.segments * features].into();
        self.flags = vec![Quality::GOOD; lengths.window().div_ceil(lengths.hop)].into();
        self.guard = Guard::new(input, lengths.window());
        self.period = input.period();
        self.lengths = lengths;
        self.reset();

        let log = self.config.log;
        let unit = if log { Unit::Arbitrary } else { Unit::MicrovoltSquared };
        let named = input.channels.iter().flat_map(|channel| {
            let unit = if channel.unit == Unit::Microvolt { unit } else { Unit::Arbitrary };
            let bands = self.config.bands.0.iter();
            bands.map(move |band| Channel::new(format!("{} {}", channel.name, band.name), "FEATURE", unit))
        });
        let capacity = input.capacity.div_ceil(lengths.hop);
        Ok(BlockSpec::new(named.collect::<Vec<_>>(), input.rate / lengths.hop as f64, capacity))
    }

    fn process(&mut self, input: &Block, output: &mut Block) {
        let (channels, bands) = (self.guard.channels(), self.weights.len());
        output.inherit(input);
        output.set_len(0);
        if input.channels() != channels || output.channels() != channels * bands || channels == 0 {
            return;
        }
        output.bad.clear();
        for (i, row) in input.samples().enumerate() {
            let refused = self.guard.clean_row(row, &input.bad, &mut self.row);
            for (samples, x) in self.history.chunks_exact_mut(self.stride).zip(&self.row) {
                samples[self.at] = *x;
            }
            self.at = (self.at + 1) % self.lengths.segment;
            let hop = self.hops % self.flags.len();
            self.flags[hop] |= input.quality;
            self.left -= 1;
            if self.left > 0 {
                continue;
            }
            self.left = self.lengths.hop;
            self.finish_segment();
            if self.finished >= self.lengths.segments {
                self.show(output);
                output.quality |= refused;
                output.measured_at = input.time_of(i, self.period);
            }
            self.hops += 1;
            let next = self.hops % self.flags.len();
            self.flags[next] = Quality::GOOD;
        }
    }

    fn reset(&mut self) {
        self.guard.reset();
        self.flags.fill(Quality::GOOD);
        (self.at, self.finished, self.hops) = (0, 0, 0);
        self.left = self.lengths.segment;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Instant;
    use crate::signal::bands::Band;
    use crate::signal::testing::{golden, noise, values};

    fn config(bands: &[[f64; 2]], window: f64, hop: f64, segment: f64) -> BandPowerConfig {
        let bands = bands.iter().map(|[low, high]| Band { name: format!("{low}-{high}Hz"), low: *low, high: *high });
        BandPowerConfig { bands: Bands(bands.collect()), window, hop, segment: Some(segment), log: false }
    }

    /// Feeds a signal to `stage` in one channel of three (the others are scaled), a block of 7 samples at a time.
    fn powers(stage: &mut BandPower, signal: &[f64], rate: f64) -> Vec<Block> {
        let spec = BlockSpec::new(Channel::numbered("EEG", 3, Unit::Microvolt), rate, 7);
        let shown = stage.prepare(&spec).unwrap();
        let (mut input, mut output) = (Block::new(&spec), Block::new(&shown));
        let mut out = Vec::new();
        let mut seen = 0;
        for chunk in signal.chunks(7) {
            input.clear();
            chunk.iter().for_each(|x| assert!(input.push(&[0.5 * x, *x, -x])));
            seen += chunk.len();
            input.measured_at = Instant::from_seconds((seen - 1) as f64 / rate);
            stage.process(&input, &mut output);
            if !output.is_empty() {
                out.push(output.clone());
            }
        }
        out
    }

    #[test]
    fn powers_are_those_of_scipy_welch() {
        for case in golden()["welch"].as_array().unwrap() {
            let rate = case["rate"].as_f64().unwrap();
            let length = |key: &str| case[key].as_u64().unwrap() as usize;
            let seconds = |key: &str| length(key) as f64 / rate;
            let bands: Vec<[f64; 2]> = serde_json::from_value(case["bands"].clone()).unwrap();
            let mut stage = BandPower::new(config(&bands, seconds("window"), seconds("hop"), seconds("segment")));
            let count = length("window") + 5 * length("hop");
            let wave = |i: usize| 30.0 * (2.0 * PI * 10.0 * i as f64 / rate).sin() + 500.0;
            let x: Vec<f64> = noise(count, 11).iter().enumerate().map(|(i, v)| v + wave(i)).collect();
            let blocks = powers(&mut stage, &x, rate);
            let expected = case["power"].as_array().unwrap();
            assert_eq!((blocks.len(), expected.len()), (6, 6), "{case}");
            for (i, (block, row)) in blocks.iter().zip(expected).enumerate() {
                let newest = (length("window") + i * length("hop") - 1) as f64 / rate;
                assert!((block.measured_at.seconds() - newest).abs() < 1e-9);
                for (band, power) in values(row).iter().enumerate() {
                    for (channel, gain) in [(0, 0.25), (1, 1.0), (2, 1.0)] {
                        let got = block.sample(0)[channel * bands.len() + band] / gain;
                        assert!((got / power - 1.0).abs() <= 1e-9, "band {band}, row {i}: {got} is not {power}");
                    }
                }
            }
        }
    }

    #[test]
    fn features_are_named_and_one_nan_stays_no_longer_than_the_window() {
        let mut stage = BandPower::new(config(&[[8.0, 13.0]], 1.0, 0.25, 0.5));
        let spec = BlockSpec::new(Channel::numbered("EEG", 2, Unit::Microvolt), 100.0, 60);
        let shown = stage.prepare(&spec).unwrap();
        let name = &shown.channels[1];
        assert_eq!(
            (name.name.as_str(), name.kind.as_str(), name.unit),
            ("EEG2 8-13Hz", "FEATURE", Unit::MicrovoltSquared)
        );
        assert_eq!((shown.rate, shown.capacity), (4.0, 3));

        let mut x = noise(400, 1);
        x[160] = f64::NAN;
        let mut stage = BandPower::new(config(&[[8.0, 13.0]], 1.0, 0.25, 0.5));
        let bad: Vec<bool> = powers(&mut stage, &x, 100.0)
            .iter()
            .map(|block| {
                assert!(block.data().iter().all(|v| v.is_finite()));
                assert_eq!(block.bad.contains(1), block.quality.contains(Quality::NON_FINITE));
                block.bad.contains(1)
            })
            .collect();
        // Windows end after samples 100, 125, …, 400, and sample 160 is in those that end after 161 to 260.
        let expected: Vec<bool> = (100..=400).step_by(25).map(|end| (161..=260).contains(&end)).collect();
        assert_eq!(bad, expected);
    }

    #[test]
    fn adjacent_bands_add_up_and_logarithms_are_of_ten() {
        let x = noise(300, 9);
        let parts =
            powers(&mut BandPower::new(config(&[[4.0, 8.0], [8.0, 20.0], [4.0, 20.0]], 1.0, 0.25, 1.0)), &x, 100.0);
        let row = &parts[0].sample(0)[3..6];
        assert!((row[0] + row[1] - row[2]).abs() < 1e-9 * row[2]);
        let log = BandPowerConfig { log: true, ..config(&[[4.0, 20.0]], 1.0, 0.25, 1.0) };
        let logs = powers(&mut BandPower::new(log.clone()), &x, 100.0);
        assert!((logs[0].sample(0)[1] - row[2].log10()).abs() < 1e-12);
        let silent = powers(&mut BandPower::new(log), &[0.0; 100], 100.0);
        assert_eq!(silent[0].sample(0), &[-20.0; 3]);
    }

    #[test]
    fn wrong_settings_are_named() {
        let d = || config(&[[8.0, 13.0]], 1.0, 0.25, 0.5);
        let bands = |list: &[[f64; 2]]| config(list, 1.0, 0.25, 0.5);
        for (config, expected) in [
            (BandPowerConfig { hop: 0.0, ..d() }, "hop = 0 s is 0 samples at 100 Hz, and must be 1 to 10000000"),
            (BandPowerConfig { segment: Some(2.0), ..d() }, "segment = 2 s is longer than window = 1 s"),
            (
                BandPowerConfig { hop: 0.75, ..d() },
                "hop = 0.75 s is longer than a segment, so samples would be missed: shorten it",
            ),
            (bands(&[]), "bands is empty: give at least one, such as { alpha = [8, 13] }"),
            (bands(&[[8.0, 60.0]]), "band \"8-60Hz\" = [8, 60] must rise and lie within 0 to 50 Hz"),
            (bands(&[[13.0, 8.0]]), "band \"13-8Hz\" = [13, 8] must rise and lie within 0 to 50 Hz"),
            (
                bands(&[[8.5, 10.5]]),
                "band \"8.5-10.5Hz\" = [8.5, 10.5] holds fewer than two bins, which lie 2 Hz apart: lengthen segment to 1 s or more",
            ),
        ] {
            let spec = BlockSpec::new(Channel::numbered("EEG", 1, Unit::Microvolt), 100.0, 8);
            let refused = BandPower::new(config).prepare(&spec).unwrap_err().to_string();
            assert_eq!(refused, format!("stage \"band_power\": {expected}"));
        }
    }
}

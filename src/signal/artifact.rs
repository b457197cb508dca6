//! Which channels cannot be trusted just now? Flat, clipped and jumping electrodes, marked until they have been good
//! for a while.
//!
//! It marks, and changes no value, except that a refused one (NaN, infinity, absurd) is replaced by the channel's last
//! good value. An electrode is
//! - **flat** when it has varied by less than `flat_uv` over the window;
//! - **clipped** when it is at `clip_uv` or beyond; or varies by more than `peak_to_peak_uv` over the window; or
//!   repeats one value for `rail` seconds that is the highest or lowest of the window, as an amplifier at its rail does
//!   (a filter before this step hides rails: put it first).
//!
//! It stays in the block's bad mask, and the flag stays up, until `heal` seconds without any of these have passed. The
//! window slides by tenths: it is `window` long, up to a tenth longer.

use pulp::{Arch, Simd, WithSimd};
use serde::{Deserialize, Serialize};

use super::guard::{Guard, electrodes};
use crate::frame::{Block, BlockSpec, PrepareError, Quality, Stage};

/// Into how many parts a window is cut: extremes are kept per part, so that sliding costs the same at any length.
const PARTS: usize = 10;

/// Shorter repetitions than this happen in coarse recordings.
const FEWEST_REPEATS: f64 = 4.0;

/// When a channel is bad: `artifact = { clip_uv = 3000.0, peak_to_peak_uv = 200.0 }`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields, default)]
pub struct ArtifactConfig {
    /// Flat below this peak-to-peak over the window, in the channel's unit (µV). 0 never. Default 0.5.
    pub flat_uv: f64,
    /// Clipped from this magnitude on, in µV. Not by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub clip_uv: Option<f64>,
    /// Clipped above this peak-to-peak over the window, in µV. Not by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub peak_to_peak_uv: Option<f64>,
    /// Clipped when an extreme repeats for this long, in seconds and at least four samples. 0 never. Default 0.025.
    pub rail: f64,
    /// The window's length, in seconds. Default 1.
    pub window: f64,
    /// How long a channel must have been good to leave the mask, in seconds. Default 1.
    pub heal: f64,
}

impl Default for ArtifactConfig {
    fn default() -> Self {
        Self { flat_uv: 0.5, clip_uv: None, peak_to_peak_uv: None, rail: 0.025, window: 1.0, heal: 1.0 }
    }
}

/// Marks artifacts, channel by channel.
#[derive(Debug)]
pub struct Artifact {
    config: ArtifactConfig,
    guard: Guard,
    tracks: Box<[Track]>,
    /// Samples in a part; in the present part so far; parts finished since the reset.
    part: usize,
    filled: usize,
    finished: usize,
    heal: f64,
    arch: Arch,
}

/// How many channels are judged at once.
const LANES: usize = 8;

/// One number for each of a few channels.
type Lane = [f64; LANES];

/// What is kept about a few channels, in columns, for the vector unit.
#[derive(Clone, Debug)]
struct Track {
    // Limits; infinite, or 0 for flat, where a channel is not judged.
    flat: Lane,
    clip: Lane,
    peak_to_peak: Lane,
    repeats: Lane,
    // Extremes of the window's present part, of each finished part, and of all finished ones.
    low: Lane,
    high: Lane,
    parts: [(Lane, Lane); PARTS],
    low_before: Lane,
    high_before: Lane,
    // The last value, and how often it has come in a row.
    last: Lane,
    run: Lane,
    // For how many samples the channel is bad yet, the present one included; whole numbers.
    flat_for: Lane,
    clipped_for: Lane,
}

impl Artifact {
    /// An artifact detector that is yet to be prepared.
    pub fn new(config: ArtifactConfig) -> Self {
        Self {
            config,
            guard: Guard::default(),
            tracks: Box::default(),
            part: 1,
            filled: 0,
            finished: 0,
            heal: 1.0,
            arch: Arch::new(),
        }
    }

    fn check(&self, rate: f64) -> Result<(), String> {
        if !(rate > 0.0 && rate.is_finite()) {
            return Err("needs a stream of regular rate, and this one has none".into());
        }
        let c = &self.config;
        let sizes = [("clip_uv", c.clip_uv), ("peak_to_peak_uv", c.peak_to_peak_uv), ("window", Some(c.window))];
        for (key, value) in sizes {
            if value.is_some_and(|v| !(v > 0.0 && v.is_finite())) {
                return Err(format!("{key} = {} must be more than 0", value.unwrap_or_default()));
            }
        }
        for (key, value) in [("flat_uv", c.flat_uv), ("rail", c.rail), ("heal", c.heal)] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(format!("{key} = {value} must not be negative"));
            }
        }
        if c.window * rate < PARTS as f64 {
            return Err(format!("window = {} s is less than {PARTS} samples at {rate} Hz: lengthen it", c.window));
        }
        Ok(())
    }
}

impl Track {
    /// A track for the channels from `first` on.
    fn new(config: &ArtifactConfig, input: &BlockSpec, judged: &[bool], first: usize) -> Self {
        let limit = |value: f64, never: f64| {
            let judged = |lane| judged.get(first + lane).copied().unwrap_or(false);
            std::array::from_fn(|lane| if judged(lane) { value } else { never })
        };
        let repeats = (config.rail * input.rate).ceil().max(FEWEST_REPEATS);
        let mut track = Self {
            flat: limit(config.flat_uv, 0.0),
            clip: limit(config.clip_uv.unwrap_or(f64::INFINITY), f64::INFINITY),
            peak_to_peak: limit(config.peak_to_peak_uv.unwrap_or(f64::INFINITY), f64::INFINITY),
            repeats: limit(if config.rail > 0.0 { repeats } else { f64::INFINITY }, f64::INFINITY),
            low: [0.0; LANES],
            high: [0.0; LANES],
            parts: [([0.0; LANES], [0.0; LANES]); PARTS],
            low_before: [0.0; LANES],
            high_before: [0.0; LANES],
            last: [0.0; LANES],
            run: [0.0; LANES],
            flat_for: [0.0; LANES],
            clipped_for: [0.0; LANES],
        };
        track.reset();
        track
    }

    fn reset(&mut self) {
        let nothing = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
        (self.low, self.high) = nothing;
        (self.low_before, self.high_before) = nothing;
        self.parts = [nothing; PARTS];
        self.last = [f64::NAN; LANES];
        (self.run, self.flat_for, self.clipped_for) = ([0.0; LANES], [0.0; LANES], [0.0; LANES]);
    }

    /// Takes in one sample. `full` says that a whole window has been seen. Returns whether any channel is bad now.
    #[inline(always)]
    fn take(&mut self, sample: &Lane, full: bool, heal: f64) -> bool {
        let seen_enough = if full { 1.0 } else { 0.0 };
        let mut bad = false;
        for (i, x) in sample.iter().copied().enumerate() {
            self.low[i] = least(x, self.low[i]);
            self.high[i] = -least(-x, -self.high[i]);
            let lowest = least(self.low[i], self.low_before[i]);
            let highest = -least(-self.high[i], -self.high_before[i]);
            let swing = highest - lowest;
            self.run[i] = if x == self.last[i] { self.run[i] + 1.0 } else { 1.0 };
            self.last[i] = x;
            let is_flat = swing < self.flat[i] * seen_enough;
            let at_extreme = (x == lowest) | (x == highest);
            let at_rail = (self.run[i] >= self.repeats[i]) & at_extreme & (swing > self.flat[i]);
            let is_clipped = (x.abs() >= self.clip[i]) | (swing > self.peak_to_peak[i]) | at_rail;
            // `heal` counts from the last bad sample, and that one is bad itself.
            self.flat_for[i] = if is_flat { heal + 1.0 } else { count_down(self.flat_for[i]) };
            self.clipped_for[i] = if is_clipped { heal + 1.0 } else { count_down(self.clipped_for[i]) };
            bad |= (self.flat_for[i] > 0.0) | (self.clipped_for[i] > 0.0);
        }
        bad
    }

    /// The present part of the window is full: it becomes one of the finished ones, in the place of the oldest.
    fn finish_part(&mut self, at: usize) {
        let nothing = ([f64::INFINITY; LANES], [f64::NEG_INFINITY; LANES]);
        if let Some(part) = self.parts.get_mut(at) {
            *part = (self.low, self.high);
        }
        (self.low, self.high) = nothing;
        (self.low_before, self.high_before) = nothing;
        for (low, high) in &self.parts {
            for i in 0..LANES {
                self.low_before[i] = self.low_before[i].min(low[i]);
                self.high_before[i] = self.high_before[i].max(high[i]);
            }
        }
    }

    /// Marks what is bad at the sample taken in last, of the channels from `first` on.
    fn mark(&self, first: usize, output: &mut Block) {
        for (lane, (flat, clipped)) in self.flat_for.iter().zip(&self.clipped_for).enumerate() {
            if *flat > 0.0 {
                output.quality |= Quality::FLAT;
                output.bad.set(first + lane, true);
            }
            if *clipped > 0.0 {
                output.quality |= Quality::CLIPPED;
                output.bad.set(first + lane, true);
            }
        }
    }
}

/// One sample of every channel, for the vector unit: a closure would be compiled without it where it is not inlined.
struct Take<'a> {
    tracks: &'a mut [Track],
    row: &'a [f64],
    full: bool,
    heal: f64,
}

impl WithSimd for Take<'_> {
    type Output = bool;

    #[inline(always)]
    fn with_simd<S: Simd>(self, _: S) -> bool {
        let mut bad = false;
        for (track, values) in self.tracks.iter_mut().zip(self.row.chunks(LANES)) {
            let mut sample = [0.0; LANES];
            match <&Lane>::try_from(values) {
                Ok(whole) => sample = *whole,
                Err(_) => sample.iter_mut().zip(values).for_each(|(y, x)| *y = *x),
            }
            bad |= track.take(&sample, self.full, self.heal);
        }
        bad
    }
}

/// The lesser of two numbers, neither of which is NaN: one instruction, where `f64::min` takes three.
#[inline(always)]
fn least(a: f64, b: f64) -> f64 {
    if a < b { a } else { b }
}

#[inline(always)]
fn count_down(count: f64) -> f64 {
    if count > 0.0 { count - 1.0 } else { 0.0 }
}

impl Stage for Artifact {
    fn name(&self) -> &'static str {
        "artifact"
    }

    fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError> {
        self.check(input.rate).map_err(|problem| PrepareError::new(self.name(), problem))?;
        self.part = (self.config.window * input.rate / PARTS as f64).round().max(1.0) as usize;
        self.heal = (self.config.heal * input.rate).round();
        self.guard = Guard::new(input, self.heal as usize + 1);
        let judged = electrodes(input);
        let firsts = (0..input.channels.len()).step_by(LANES);
        self.tracks = firsts.map(|first| Track::new(&self.config, input, &judged, first)).collect();
        self.reset();
        Ok(input.clone())
    }

    fn process(&mut self, input: &Block, output: &mut Block) {
        let channels = self.guard.channels();
        if input.channels() != channels || channels == 0 {
            output.clear();
            return;
        }
        self.guard.clean(input, output);
        for i in 0..output.len() {
            let full = self.finished >= PARTS;
            let take = Take { tracks: &mut self.tracks, row: output.sample(i), full, heal: self.heal };
            let bad = self.arch.dispatch(take);
            if bad {
                for (group, track) in self.tracks.iter().enumerate() {
                    track.mark(group * LANES, output);
                }
            }
            self.filled += 1;
            if self.filled == self.part {
                let at = self.finished % PARTS;
                self.tracks.iter_mut().for_each(|track| track.finish_part(at));
                self.filled = 0;
                self.finished += 1;
            }
        }
    }

    fn reset(&mut self) {
        self.guard.reset();
        self.tracks.iter_mut().for_each(Track::reset);
        (self.filled, self.finished) = (0, 0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Channel, Unit};
    use crate::signal::testing::noise;

    /// At each of the signal's samples (100 Hz, one a block): is the electrode marked, and with which flags?
    fn judge(config: ArtifactConfig, signal: &[f64]) -> Vec<(bool, Quality)> {
        let mut channels = Channel::numbered("EEG", 2, Unit::Microvolt);
        channels.push(Channel::new("Trigger", "TRIG", Unit::Arbitrary));
        let spec = BlockSpec::new(channels, 100.0, 1);
        let mut stage = Artifact::new(config);
        stage.prepare(&spec).unwrap();
        let (mut input, mut output) = (Block::new(&spec), Block::new(&spec));
        let judged = signal.iter().zip(noise(signal.len(), 3)).map(|(x, other)| {
            input.clear();
            input.push(&[other / 10.0, *x, 0.0]);
            stage.process(&input, &mut output);
            assert!(output.data().iter().all(|v| v.is_finite()));
            assert!(!output.bad.contains(0) && !output.bad.contains(2), "others are untouched");
            (output.bad.contains(1), output.quality)
        });
        judged.collect()
    }

    fn first_and_last(judged: &[(bool, Quality)], flag: Quality) -> Option<(usize, usize)> {
        assert!(judged.iter().all(|(bad, quality)| *bad == quality.contains(flag)), "only {flag:?} is expected");
        let first = judged.iter().position(|(bad, _)| *bad)?;
        judged.iter().rposition(|(bad, _)| *bad).map(|last| (first, last))
    }

    fn ten_microvolts(count: usize) -> Vec<f64> {
        noise(count, 5).iter().map(|v| v / 10.0).collect()
    }

    #[test]
    fn a_good_electrode_is_left_alone() {
        let judged = judge(ArtifactConfig::default(), &ten_microvolts(1000));
        assert!(judged.iter().all(|j| *j == (false, Quality::GOOD)));
    }

    #[test]
    fn a_flat_electrode_is_marked_after_a_window_and_healed_after_good_seconds() {
        let mut x = ten_microvolts(1000);
        // In the middle of the range, so that it stands at no rail.
        x[300..600].fill(0.1);
        let (first, last) = first_and_last(&judge(ArtifactConfig::default(), &x), Quality::FLAT).unwrap();
        assert!((399..=411).contains(&first), "marked at {first}: a window of 100, at most a tenth more");
        assert_eq!(last, 599 + 100);
    }

    #[test]
    fn a_dead_electrode_is_flat_from_its_first_full_window() {
        let (first, last) = first_and_last(&judge(ArtifactConfig::default(), &[7.0; 300]), Quality::FLAT).unwrap();
        assert_eq!((first, last), (100, 299));
    }

    #[test]
    fn a_rail_is_an_extreme_that_repeats() {
        let mut x = ten_microvolts(1000);
        x[300..320].fill(50.0);
        let judged = judge(ArtifactConfig::default(), &x);
        assert_eq!(first_and_last(&judged, Quality::CLIPPED), Some((303, 319 + 100)));
        let off = ArtifactConfig { rail: 0.0, ..ArtifactConfig::default() };
        assert_eq!(first_and_last(&judge(off, &x), Quality::CLIPPED), None);
    }

    #[test]
    fn limits_mark_at_once_and_heal() {
        let mut x = ten_microvolts(1000);
        x[300] = -400.0;
        let clip = ArtifactConfig { clip_uv: Some(400.0), heal: 0.5, ..ArtifactConfig::default() };
        assert_eq!(first_and_last(&judge(clip, &x), Quality::CLIPPED), Some((300, 350)));
        // Peak to peak remembers for as long as the window, which slides by tenths.
        let jump = ArtifactConfig { peak_to_peak_uv: Some(200.0), heal: 0.5, ..ArtifactConfig::default() };
        let (first, last) = first_and_last(&judge(jump, &x), Quality::CLIPPED).unwrap();
        assert_eq!(first, 300);
        assert!((400 + 50..=411 + 50).contains(&last), "healed after {last}");
    }

    #[test]
    fn refused_values_are_held_and_flagged() {
        let mut x = ten_microvolts(400);
        x[200] = f64::NAN;
        let judged = judge(ArtifactConfig::default(), &x);
        assert_eq!(first_and_last(&judged, Quality::NON_FINITE), Some((200, 300)));
    }

    #[test]
    fn wrong_settings_are_named() {
        let refuse = |config: ArtifactConfig, rate: f64| {
            let spec = BlockSpec::new(Channel::numbered("EEG", 1, Unit::Microvolt), rate, 1);
            Artifact::new(config).prepare(&spec).unwrap_err().to_string()
        };
        let d = ArtifactConfig::default;
        let cases = [
            (ArtifactConfig { clip_uv: Some(-1.0), ..d() }, "clip_uv = -1 must be more than 0"),
            (ArtifactConfig { window: 0.0, ..d() }, "window = 0 must be more than 0"),
            (ArtifactConfig { heal: -1.0, ..d() }, "heal = -1 must not be negative"),
            (ArtifactConfig { window: 0.05, ..d() }, "window = 0.05 s is less than 10 samples at 100 Hz: lengthen it"),
        ];
        for (config, expected) in cases {
            assert_eq!(refuse(config, 100.0), format!("stage \"artifact\": {expected}"));
        }
        assert_eq!(refuse(d(), 0.0), "stage \"artifact\": needs a stream of regular rate, and this one has none");
    }
}

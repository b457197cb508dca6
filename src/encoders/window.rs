//! What does a network see in a recording? Windows of channels × time, cut from blocks and laid out as it wants them.
//!
//! [`Windows`] cuts: it remembers the newest samples of a source and says every hop that a window is full.
//! [`WindowEncoder`] encodes one window with any ONNX model that takes channels × time, `f32`.
//!
//! A sample that is not finite, or of a bad channel, is 0 in the window: after a band-pass that is the channel's mean.
//!
//! ```
//! use neurod::encoders::Windows;
//! use neurod::frame::{Block, BlockSpec, Channel, Unit};
//!
//! let spec = BlockSpec::new(Channel::numbered("EEG", 2, Unit::Microvolt), 4.0, 8);
//! let mut windows = Windows::new(&spec, 1.0, 0.5)?;
//! let mut block = Block::new(&spec);
//! for i in 0..6 {
//!     block.push(&[i as f64, -(i as f64)]);
//! }
//! let mut ends = Vec::new();
//! windows.push(&block, |window, at, _quality| ends.push((window.to_vec(), at.seconds())));
//! assert_eq!(ends[1].0, [2.0, -2.0, 3.0, -3.0, 4.0, -4.0, 5.0, -5.0]);
//! # Ok::<(), neurod::encoders::EncoderError>(())
//! ```

use std::sync::Arc;

use ort::value::{TensorElementType, TensorRef};
use serde::{Deserialize, Serialize};

use super::manifest::{Axis, Kind, ModelFiles, WindowInput};
use super::onnx::{Network, Runtime};
use super::{EncodeError, Encoder, EncoderError, EncoderSpec, Input, seconds};
use crate::frame::{Block, BlockSpec, Instant, Quality};

/// Features of stretches of a recording.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct WindowConfig {
    /// The model folder.
    pub model: std::path::PathBuf,
    /// The source whose samples are encoded, by its name under `[sources]`, after its stages.
    pub source: String,
    /// How many seconds one window spans; rate × window must be the model's number of samples.
    #[serde(default = "window")]
    pub window: f64,
    /// How many seconds lie between the ends of two windows.
    #[serde(default = "hop")]
    pub hop: f64,
    /// How many seconds one pass may take before it counts as late.
    #[serde(default = "deadline")]
    pub deadline: f64,
    /// How many threads compute one pass. Results repeat bit for bit with 1, which replay always takes.
    #[serde(default = "super::one_thread")]
    pub threads: usize,
}

fn window() -> f64 {
    1.0
}

fn hop() -> f64 {
    0.25
}

fn deadline() -> f64 {
    0.25
}

impl WindowConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// The first that is out of range.
    pub fn validate(&self) -> Result<(), EncoderError> {
        for (name, value) in [("window", self.window), ("hop", self.hop), ("deadline", self.deadline)] {
            seconds(name, value)?;
        }
        super::at_least_one("threads", self.threads)
    }
}

/// Cuts a stream of blocks into windows. Nothing is allocated after [`new`](Self::new); however the stream is cut into
/// blocks, the windows are the same.
#[derive(Clone, Debug)]
pub struct Windows {
    /// Two windows' worth, sample-major. Each sample is written twice, a window apart, so that the newest window always
    /// lies in one piece.
    data: Vec<f64>,
    /// What was wrong with each sample of the newest window.
    flags: Vec<Quality>,
    channels: usize,
    samples: usize,
    hop: usize,
    /// Where the next sample goes, in `0..samples`.
    next: usize,
    until_full: usize,
    period: f64,
    run: u32,
}

impl Windows {
    /// Windows of `window` seconds every `hop` seconds of blocks like `spec`, both rounded to whole samples.
    ///
    /// # Errors
    /// A source without a rate, or a window or hop of less than a sample.
    pub fn new(spec: &BlockSpec, window: f64, hop: f64) -> Result<Self, EncoderError> {
        let (samples, hop) = ((window * spec.rate).round(), (hop * spec.rate).round());
        if !(samples >= 1.0 && hop >= 1.0 && samples < 1e7 && hop < 1e7) {
            let problem =
                format!("window and hop must span at least one sample each, and fewer than 10⁷, at {} Hz", spec.rate);
            return Err(EncoderError::Source { problem });
        }
        let (channels, samples) = (spec.channels.len(), samples as usize);
        Ok(Self {
            data: vec![0.0; 2 * channels * samples],
            flags: vec![Quality::GOOD; samples],
            channels,
            samples,
            hop: hop as usize,
            next: 0,
            until_full: samples,
            period: spec.period(),
            run: 0,
        })
    }

    /// How many samples a window has.
    pub fn samples(&self) -> usize {
        self.samples
    }

    /// Takes in a block and calls `full` for every window that is complete with one of its samples: the window,
    /// samples × channels, when its newest sample was measured, and everything that was wrong with its samples. A gap
    /// or a new run starts the window afresh. A block of another width is ignored.
    pub fn push(&mut self, block: &Block, mut full: impl FnMut(&[f64], Instant, Quality)) {
        if block.channels() != self.channels {
            return;
        }
        if block.run != self.run || block.quality.contains(Quality::GAP) {
            self.run = block.run;
            self.reset();
        }
        let (width, size) = (self.channels, self.channels * self.samples);
        for (i, sample) in block.samples().enumerate() {
            let at = self.next * width;
            let (first, second) = self.data.split_at_mut(size);
            let slots = first.iter_mut().skip(at).zip(second.iter_mut().skip(at));
            for (channel, ((one, other), value)) in slots.zip(sample).enumerate() {
                *one = if value.is_finite() && !block.bad.contains(channel) { *value } else { 0.0 };
                *other = *one;
            }
            if let Some(flags) = self.flags.get_mut(self.next) {
                *flags = block.quality;
            }
            self.next = (self.next + 1) % self.samples;
            self.until_full -= 1;
            if self.until_full == 0 {
                self.until_full = self.hop;
                let start = self.next * width;
                let quality = self.flags.iter().fold(Quality::GOOD, |all, flags| all | *flags);
                let window = self.data.get(start..start + size).unwrap_or_default();
                full(window, block.time_of(i, self.period), quality);
            }
        }
    }

    /// Forgets every sample.
    pub fn reset(&mut self) {
        (self.next, self.until_full) = (0, self.samples);
    }
}

/// Encodes one window with a network.
#[derive(Debug)]
pub struct WindowEncoder {
    spec: EncoderSpec,
    network: Network,
    input: WindowInput,
    shape: Vec<usize>,
    time_first: bool,
    buffer: Vec<f32>,
}

impl WindowEncoder {
    /// Loads a window model; `threads` is how many compute one pass. A slow wave is encoded as a trial.
    ///
    /// # Errors
    /// Why the model cannot be used; see [`EncoderError`].
    pub fn load(runtime: &Runtime, files: &ModelFiles, threads: usize) -> Result<Self, EncoderError> {
        let manifest = &files.manifest;
        let Some(input) = manifest.window.clone().filter(|_| manifest.kind == Kind::Window) else {
            return Err(EncoderError::WrongKind {
                path: files.folder.clone(),
                wanted: "window",
                other: manifest.kind.name(),
            });
        };
        let length = |axis: &Axis| match axis {
            Axis::One => 1,
            Axis::Channels => input.channels,
            Axis::Time => input.samples,
        };
        let shape: Vec<usize> = input.axes.iter().map(length).collect();
        let declared: Vec<Option<usize>> = shape.iter().copied().map(Some).collect();
        let declared = [(input.input.as_str(), TensorElementType::Float32, declared.as_slice())];
        let network = Network::load(runtime, files, &declared, threads)?;
        let place = |axis| input.axes.iter().position(|a| *a == axis);
        let time_first = place(Axis::Time) < place(Axis::Channels);
        let buffer = vec![0.0; input.channels * input.samples];
        let mut encoder = Self { spec: EncoderSpec::new(files), network, input, shape, time_first, buffer };
        let (channels, samples) = (encoder.input.channels, encoder.input.samples);
        // Not constant: a network that divides by a channel's spread has none to divide by in a flat window.
        let wave = |i: usize| (0.1 * (i / channels) as f64 + (i % channels) as f64).sin();
        let data: Vec<f64> = (0..channels * samples).map(wave).collect();
        let trial = encoder.encode(&Input::Window { data: &data, channels, samples }, &mut Vec::new());
        trial.map_err(|error| EncoderError::Trial { path: files.folder.join("model.onnx"), error })?;
        Ok(encoder)
    }
}

/// A value as the network takes it; 0 where that is not finite.
fn scaled(value: f64, scale: f64) -> f32 {
    let value = (value * scale) as f32;
    if value.is_finite() { value } else { 0.0 }
}

/// Lays samples × channels out as channels × samples, in squares of four by four that fit in registers.
fn transpose(data: &[f64], channels: usize, samples: usize, scale: f64, out: &mut [f32]) {
    const SIDE: usize = 4;
    for (tile, rows) in out.chunks_mut(SIDE * samples).enumerate() {
        let first = tile * SIDE;
        let mut at = 0;
        if rows.len() == SIDE * samples {
            for four in data.chunks_exact(SIDE * channels) {
                let mut square = [[0.0f32; SIDE]; SIDE];
                for (i, sample) in four.chunks_exact(channels).enumerate() {
                    let Some(values) = sample.get(first..).and_then(|rest| rest.first_chunk::<SIDE>()) else { break };
                    let values = values.map(|value| scaled(value, scale));
                    for (row, value) in square.iter_mut().zip(values) {
                        row[i] = value;
                    }
                }
                for (row, values) in rows.chunks_exact_mut(samples).zip(square) {
                    if let Some(slots) = row.get_mut(at..at + SIDE) {
                        slots.copy_from_slice(&values);
                    }
                }
                at += SIDE;
            }
        }
        // What is left over of samples, or the last few channels.
        for (row, channel) in rows.chunks_exact_mut(samples).zip(first..) {
            let values = data.iter().skip(at * channels + channel).step_by(channels);
            for (slot, value) in row.iter_mut().skip(at).zip(values) {
                *slot = scaled(*value, scale);
            }
        }
    }
}

impl Encoder for WindowEncoder {
    fn spec(&self) -> &EncoderSpec {
        &self.spec
    }

    fn fits(&self, source: &BlockSpec, window: f64) -> Result<(), EncoderError> {
        let (input, model) = (&self.input, &self.spec.model);
        let names = || source.channels.iter().map(|channel| channel.name.as_str());
        let samples = (window * source.rate).round();
        let problem = if source.channels.len() != input.channels {
            format!("model {model} takes {} channels, the source has {}", input.channels, source.channels.len())
        } else if (source.rate - input.rate).abs() > 1e-6 * input.rate {
            format!(
                "model {model} takes {} Hz, the source has {} Hz (resample it, or take another model)",
                input.rate, source.rate
            )
        } else if samples != input.samples as f64 {
            let seconds = input.samples as f64 / input.rate;
            format!("model {model} takes {} samples, a window has {samples} (set window = {seconds})", input.samples)
        } else if let Some((have, want)) =
            names().zip(input.labels.iter().flatten()).find(|(have, want)| have != &want.as_str())
        {
            format!(
                "model {model} takes channel {want} where the source has {have} (order the source's channels as the model's)"
            )
        } else {
            return Ok(());
        };
        Err(EncoderError::Source { problem })
    }

    fn encode(&mut self, input: &Input<'_>, out: &mut Vec<f32>) -> Result<(), EncodeError> {
        let model = self.network.model();
        let Input::Window { data, channels, samples } = *input else {
            return Err(EncodeError::WrongInput { model: Arc::clone(model), takes: "a window" });
        };
        let expected = (self.input.channels, self.input.samples);
        if (channels, samples) != expected || data.len() != channels * samples {
            return Err(EncodeError::Shape { model: Arc::clone(model), expected, got: (channels, samples) });
        }
        if self.time_first {
            for (slot, value) in self.buffer.iter_mut().zip(data) {
                *slot = scaled(*value, self.input.scale);
            }
        } else {
            transpose(data, channels, samples, self.input.scale, &mut self.buffer);
        }
        let failed = |error: ort::Error| EncodeError::Run { model: Arc::clone(model), problem: error.to_string() };
        let tensor = TensorRef::from_array_view((self.shape.as_slice(), self.buffer.as_slice())).map_err(failed)?;
        self.network.run(&[tensor.into()], out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Channel, Unit};
    use proptest::prelude::*;

    fn stream(spec: &BlockSpec, cuts: &[usize], values: &[f64]) -> Vec<(Vec<f64>, f64, Quality)> {
        let mut windows = Windows::new(spec, 1.0, 0.5).unwrap();
        let mut seen = Vec::new();
        let (mut block, mut start) = (Block::new(spec), 0);
        for cut in cuts.iter().copied().chain([values.len()]) {
            let end = (start + cut).min(values.len());
            block.clear();
            for value in &values[start..end] {
                block.push(&[*value, value * 2.0]);
            }
            block.measured_at = Instant::from_seconds((end as f64 - 1.0) / spec.rate);
            windows.push(&block, |w, at, q| seen.push((w.to_vec(), (at.seconds() * 1e6).round(), q)));
            start = end;
        }
        seen
    }

    proptest! {
        #[test]
        fn windows_are_the_same_however_the_stream_is_cut(
            cuts in prop::collection::vec(1usize..9, 0..12),
            values in prop::collection::vec(-9.0f64..9.0, 0..60),
        ) {
            let spec = BlockSpec::new(Channel::numbered("EEG", 2, Unit::Microvolt), 4.0, 64);
            let whole = stream(&spec, &[], &values);
            prop_assert_eq!(&stream(&spec, &cuts, &values), &whole);
            // The definition: after sample n = 4, 6, 8, … the last four.
            prop_assert_eq!(whole.len(), (values.len() / 2).saturating_sub(1));
            for (i, (window, at, _)) in whole.iter().enumerate() {
                let end = 4 + 2 * i;
                let expected: Vec<f64> = values[end - 4..end].iter().flat_map(|v| [*v, v * 2.0]).collect();
                prop_assert_eq!(window, &expected);
                prop_assert_eq!(*at, ((end as f64 - 1.0) / 4.0 * 1e6).round());
            }
        }
    }

    #[test]
    fn a_gap_and_a_new_run_start_afresh_and_bad_samples_are_zero_and_flagged() {
        let spec = BlockSpec::new(Channel::numbered("EEG", 2, Unit::Microvolt), 4.0, 8);
        let mut windows = Windows::new(&spec, 1.0, 0.25).unwrap();
        let mut block = Block::new(&spec);
        let count = |windows: &mut Windows, block: &Block| {
            let mut last = (0, Vec::new(), Quality::GOOD);
            windows.push(block, |w, _, q| last = (last.0 + 1, w.to_vec(), q));
            last
        };
        (0..3).for_each(|_| assert!(block.push(&[1.0, 1.0])));
        assert_eq!(count(&mut windows, &block).0, 0);
        assert_eq!(count(&mut windows, &block).0, 3);
        block.run = 1;
        assert_eq!(count(&mut windows, &block).0, 0, "a new run");
        block.quality = Quality::GAP;
        assert_eq!(count(&mut windows, &block).0, 0, "a gap");

        block.clear();
        block.push(&[f64::NAN, 7.0]);
        block.bad.set(1, true);
        block.quality = Quality::NON_FINITE;
        let (windows_seen, window, quality) = count(&mut windows, &block);
        assert_eq!((windows_seen, &window[6..]), (1, &[0.0, 0.0][..]));
        assert_eq!(quality, Quality::GAP | Quality::NON_FINITE);
    }

    #[test]
    fn a_source_without_a_rate_has_no_windows() {
        let spec = BlockSpec::new(Channel::numbered("EEG", 2, Unit::Microvolt), 0.0, 8);
        let message = Windows::new(&spec, 1.0, 0.25).unwrap_err().to_string();
        assert_eq!(message, "window and hop must span at least one sample each, and fewer than 10⁷, at 0 Hz");
    }
}

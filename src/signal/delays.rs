//! What came before? Each channel beside its own past, so that a decoder sees a stretch of time in one sample.
//!
//! Output channels are `channels × taps`, the newest sample's first: all channels now, then all channels one step ago,
//! and so on. Until the past is long enough, what is missing is 0 and marked bad, and the block is flagged
//! `WARMING_UP`. A tap is bad where the sample that it shows was. A new run starts with no past.

use serde::{Deserialize, Serialize};

use super::guard::Guard;
use crate::frame::{Block, BlockSpec, Channel, PrepareError, Quality, Stage};

/// How much past to show: `delays = { taps = 5, step = 0.25 }`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DelaysConfig {
    /// How many samples to show, the present one included; 1 to 1000.
    pub taps: usize,
    /// How far they lie apart, in seconds, rounded to whole samples. Default: one sample.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub step: Option<f64>,
}

/// Shows each channel beside its past.
#[derive(Debug)]
pub struct Delays {
    config: DelaysConfig,
    guard: Guard,
    step: usize,
    /// The newest `length` samples, `length × channels`, the oldest at `at`; with which of them were bad, and flagged.
    length: usize,
    values: Box<[f64]>,
    bad: Box<[bool]>,
    flags: Box<[Quality]>,
    at: usize,
    seen: usize,
}

impl Delays {
    /// A delay line that is yet to be prepared.
    pub fn new(config: DelaysConfig) -> Self {
        Self {
            config,
            guard: Guard::default(),
            step: 1,
            length: 0,
            values: Box::default(),
            bad: Box::default(),
            flags: Box::default(),
            at: 0,
            seen: 0,
        }
    }

    fn step_in_samples(&self, rate: f64) -> Result<usize, String> {
        let Some(step) = self.config.step else { return Ok(1) };
        if !(rate > 0.0 && rate.is_finite()) {
            return Err("step needs a stream of regular rate, and this one has none: leave step out".into());
        }
        let samples = (step * rate).round();
        if !(1.0..=1e6).contains(&samples) {
            return Err(format!("step = {step} s is {samples} samples at {rate} Hz, and must be 1 to 1000000"));
        }
        Ok(samples as usize)
    }

    /// Stores one sample over the oldest.
    fn store(&mut self, row: &[f64], input: &Block) {
        let channels = self.guard.channels();
        let here = self.at * channels..(self.at + 1) * channels;
        self.flags[self.at] = input.quality | self.guard.clean_row(row, &input.bad, &mut self.values[here.clone()]);
        for (channel, bad) in self.bad[here].iter_mut().enumerate() {
            *bad = self.guard.is_bad(channel);
        }
        self.at = (self.at + 1) % self.length;
        self.seen = (self.seen + 1).min(self.length);
    }

    /// Writes every tap of the newest sample to sample `index` of `output`.
    fn show(&self, index: usize, output: &mut Block) {
        let channels = self.guard.channels();
        let width = channels * self.config.taps;
        for tap in 0..self.config.taps {
            let ago = tap * self.step;
            let to = tap * channels;
            let row = &mut output.data_mut()[index * width + to..index * width + to + channels];
            if ago >= self.seen {
                row.fill(0.0);
                output.quality |= Quality::WARMING_UP;
                (0..channels).for_each(|channel| output.bad.set(to + channel, true));
                continue;
            }
            let slot = (self.at + self.length - 1 - ago) % self.length;
            row.copy_from_slice(&self.values[slot * channels..(slot + 1) * channels]);
            output.quality |= self.flags[slot];
            for (channel, bad) in self.bad[slot * channels..(slot + 1) * channels].iter().enumerate() {
                if *bad {
                    output.bad.set(to + channel, true);
                }
            }
        }
    }
}

impl Stage for Delays {
    fn name(&self) -> &'static str {
        "delays"
    }

    fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError> {
        let refuse = |problem: String| PrepareError::new("delays", problem);
        let taps = self.config.taps;
        if !(1..=1000).contains(&taps) {
            return Err(refuse(format!("taps = {taps} is not between 1 and 1000")));
        }
        self.step = self.step_in_samples(input.rate).map_err(refuse)?;
        self.length = (taps - 1) * self.step + 1;
        let channels = input.channels.len();
        if self.length.saturating_mul(channels) > 1 << 27 {
            let problem = format!("{taps} taps of {} samples and {channels} channels do not fit in 1 GiB", self.step);
            return Err(refuse(problem));
        }
        self.guard = Guard::new(input, 1);
        self.values = vec![0.0; self.length * channels].into();
        self.bad = vec![false; self.length * channels].into();
        self.flags = vec![Quality::GOOD; self.length].into();
        self.reset();
        let ago = |tap: usize| {
            let samples = tap * self.step;
            match (tap, input.rate > 0.0) {
                (0, _) => String::new(),
                (_, true) => format!(" -{}s", (samples as f64 / input.rate * 1e6).round() / 1e6),
                (_, false) => format!(" -{samples}"),
            }
        };
        let shown = (0..taps).flat_map(|tap| {
            let suffix = ago(tap);
            input.channels.iter().map(move |c| Channel::new(format!("{}{suffix}", c.name), c.kind.clone(), c.unit))
        });
        Ok(BlockSpec::new(shown.collect::<Vec<_>>(), input.rate, input.capacity))
    }

    fn process(&mut self, input: &Block, output: &mut Block) {
        let channels = self.guard.channels();
        output.inherit(input);
        output.set_len(0);
        if input.channels() != channels || output.channels() != channels * self.config.taps {
            return;
        }
        output.set_len(input.len());
        output.bad.clear();
        for i in 0..output.len() {
            self.store(input.sample(i), input);
            self.show(i, output);
        }
    }

    fn reset(&mut self) {
        self.guard.reset();
        (self.at, self.seen) = (0, 0);
    }

    fn new_run(&mut self) {
        self.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Unit;

    fn spec() -> BlockSpec {
        BlockSpec::new(Channel::numbered("EEG", 2, Unit::Microvolt), 10.0, 2)
    }

    #[test]
    fn the_newest_comes_first_and_its_past_after_it() {
        let mut stage = Delays::new(DelaysConfig { taps: 2, step: Some(0.2) });
        let shown = stage.prepare(&spec()).unwrap();
        let names: Vec<&str> = shown.channels.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(names, ["EEG1", "EEG2", "EEG1 -0.2s", "EEG2 -0.2s"]);

        let (mut input, mut output) = (Block::new(&spec()), Block::new(&shown));
        let mut feed = |samples: &[[f64; 2]]| {
            input.clear();
            samples.iter().for_each(|s| assert!(input.push(s)));
            stage.process(&input, &mut output);
            output.clone()
        };
        let first = feed(&[[1.0, -1.0], [2.0, -2.0]]);
        assert_eq!(first.sample(1), &[2.0, -2.0, 0.0, 0.0]);
        assert!(first.quality.contains(Quality::WARMING_UP) && first.bad.contains(3) && !first.bad.contains(1));
        let second = feed(&[[3.0, f64::NAN], [4.0, -4.0]]);
        assert_eq!(second.data(), &[3.0, -2.0, 1.0, -1.0, 4.0, -4.0, 2.0, -2.0]);
        assert_eq!((second.quality, second.bad.contains(1)), (Quality::NON_FINITE, true));
        // What was wrong two samples ago is wrong in the second tap, and no longer in the first.
        let third = feed(&[[5.0, -5.0]]);
        assert_eq!((third.quality, third.bad.contains(1), third.bad.contains(3)), (Quality::NON_FINITE, false, true));
        assert_eq!(feed(&[[6.0, -6.0]]).quality, Quality::GOOD);
        stage.new_run();
        stage.process(&input, &mut output);
        assert_eq!(output.sample(0), &[6.0, -6.0, 0.0, 0.0]);
    }

    #[test]
    fn wrong_settings_are_named() {
        for (taps, step, rate, expected) in [
            (0, None, 10.0, "taps = 0 is not between 1 and 1000"),
            (2, Some(0.01), 10.0, "step = 0.01 s is 0 samples at 10 Hz, and must be 1 to 1000000"),
            (2, Some(1.0), 0.0, "step needs a stream of regular rate, and this one has none: leave step out"),
        ] {
            let spec = BlockSpec { rate, ..spec() };
            let refused = Delays::new(DelaysConfig { taps, step }).prepare(&spec).unwrap_err();
            assert_eq!(refused.to_string(), format!("stage \"delays\": {expected}"));
        }
    }
}

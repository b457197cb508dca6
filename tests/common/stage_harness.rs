//! What every Stage must hold to, whatever it computes.
//!
//! [`check_stage`] runs one stage through: split-invariance, reset = fresh, no allocation, NaN and absurd input, a gap,
//! blocks of another shape, and input that it must refuse to prepare for. A test binary that includes this file counts
//! the allocations of each thread.

#![allow(clippy::expect_used, clippy::panic, reason = "a check that fails panics")]

use neurod::frame::{Block, BlockSpec, Instant, Quality, Stage};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;

/// What to check a stage with.
pub struct Spec {
    /// The stream it is made for.
    pub input: BlockSpec,
    /// How many samples to send; enough for several outputs.
    pub samples: usize,
    /// How many samples after a bad one everything must be good again.
    pub heals_within: usize,
    /// How near the values must then be to those of a run without it, relative to the largest.
    pub heals_to: f64,
    /// Whether input channel 0 may reach an output channel. Those it may not must not notice what is wrong with it.
    pub reached: fn(output: usize, inputs: usize) -> bool,
    /// Streams that it must refuse, with what its message must contain.
    pub refused: Vec<(BlockSpec, &'static str)>,
}

impl Spec {
    /// The usual expectations: each channel reaches itself only; all is healed to 1 % within a third of `samples`;
    /// nothing is refused.
    pub fn new(input: BlockSpec, samples: usize) -> Self {
        let reached = |output, inputs| output % inputs == 0;
        Self { input, samples, heals_within: samples / 3, heals_to: 1e-2, reached, refused: Vec::new() }
    }
}

/// Checks all that a stage must hold to. `make` makes it, yet to be prepared.
pub fn check_stage(make: impl Fn() -> Box<dyn Stage>, spec: Spec) {
    let name = make().name();
    let input = signal(&spec);
    let whole = Live::new(&make, &spec).rows(&input, &[]);
    assert!(!whole.is_empty(), "{name}: {} samples make no output", spec.samples);
    assert!(whole.iter().all(Row::is_finite), "{name}: good input, bad output");

    splits_do_not_matter(&make, &spec, &input, &whole);
    reset_is_fresh(&make, &spec, &input, &whole);
    nothing_is_allocated(&make, &spec, &input);
    for wrong in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY, 1e38, f64::MAX] {
        one_bad_channel_heals(&make, &spec, &input, &whole, wrong);
    }
    all_bad_channels_heal(&make, &spec, &input);
    other_shapes_do_no_harm(&make, &spec);
    for (refused, message) in &spec.refused {
        let text = make().prepare(refused).expect_err("must be refused").to_string();
        assert!(text.starts_with(&format!("stage \"{name}\": ")) && text.contains(message), "{name}: {text}");
    }
}

/// One output sample, and when it was measured.
#[derive(Debug)]
struct Row {
    values: Vec<f64>,
    at: f64,
}

impl Row {
    fn is_finite(&self) -> bool {
        self.values.iter().all(|v| v.is_finite())
    }

    fn equals(&self, other: &Row) -> bool {
        let same_bits = self.values.iter().zip(&other.values).all(|(a, b)| a.to_bits() == b.to_bits());
        self.values.len() == other.values.len() && same_bits && (self.at - other.at).abs() < 1e-6
    }
}

/// A prepared stage with its two blocks.
struct Live {
    stage: Box<dyn Stage>,
    input: Block,
    output: Block,
    /// Seconds between samples, in and out.
    periods: (f64, f64),
    seen: usize,
}

impl Live {
    fn new(make: &impl Fn() -> Box<dyn Stage>, spec: &Spec) -> Self {
        let mut stage = make();
        let shown = stage.prepare(&spec.input).expect("the harness's stream suits the stage");
        let (input, output) = (Block::new(&spec.input), Block::new(&shown));
        Self { stage, input, output, periods: (spec.input.period(), shown.period()), seen: 0 }
    }

    /// Sends samples as one block; does not allocate.
    fn send(&mut self, samples: &[f64]) -> &Block {
        self.input.clear();
        for sample in samples.chunks_exact(self.input.channels()) {
            assert!(self.input.push(sample));
        }
        self.seen += self.input.len();
        self.input.seq += 1;
        self.input.measured_at = Instant::from_seconds(self.seen as f64 * self.periods.0);
        self.stage.process(&self.input, &mut self.output);
        &self.output
    }

    /// Sends a stream in blocks of these lengths (full ones when they run out). `each` sees what comes out, and how
    /// many samples have gone in by then.
    fn stream(&mut self, samples: &[f64], cuts: &[usize], mut each: impl FnMut(&Block, usize)) {
        let (width, capacity) = (self.input.channels(), self.input.capacity());
        let mut cuts = cuts.iter().copied().chain(std::iter::repeat(capacity));
        let (mut rest, mut sent) = (samples, 0);
        while !rest.is_empty() {
            let length = cuts.next().unwrap_or(capacity).clamp(1, capacity).min(rest.len() / width);
            let (block, after) = rest.split_at(length * width);
            rest = after;
            sent += length;
            each(self.send(block), sent);
        }
    }

    fn rows(&mut self, samples: &[f64], cuts: &[usize]) -> Vec<Row> {
        let mut rows = Vec::new();
        let period = self.periods.1;
        self.stream(samples, cuts, |block, _| {
            for (i, sample) in block.samples().enumerate() {
                rows.push(Row { values: sample.to_vec(), at: block.time_of(i, period).seconds() });
            }
        });
        rows
    }
}

/// A stream that is different in every channel: noise on a slow wave on an offset, sample-major.
fn signal(spec: &Spec) -> Vec<f64> {
    let channels = spec.input.channels.len();
    let mut seed = 42u64;
    let mut noise = || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let value = |i: usize| {
        let (sample, channel) = (i / channels, i % channels);
        30.0 * (0.05 * sample as f64 * (1.0 + channel as f64)).sin() + 20.0 * noise() + 100.0
    };
    (0..spec.samples * channels).map(value).collect()
}

fn splits_do_not_matter(make: &impl Fn() -> Box<dyn Stage>, spec: &Spec, input: &[f64], whole: &[Row]) {
    let lengths = prop::collection::vec(1..=spec.input.capacity, 1..spec.samples.max(2));
    let config = ProptestConfig { cases: 16, failure_persistence: None, ..ProptestConfig::default() };
    let outcome = TestRunner::new(config).run(&lengths, |cuts| {
        let rows = Live::new(make, spec).rows(input, &cuts);
        prop_assert_eq!(rows.len(), whole.len());
        for (i, (cut, uncut)) in rows.iter().zip(whole).enumerate() {
            prop_assert!(cut.equals(uncut), "output {} is {:?}, and {:?} without cuts", i, cut, uncut);
        }
        Ok(())
    });
    outcome.unwrap_or_else(|e| panic!("{}: the cutting shows: {e}", make().name()));
}

fn reset_is_fresh(make: &impl Fn() -> Box<dyn Stage>, spec: &Spec, input: &[f64], whole: &[Row]) {
    let mut live = Live::new(make, spec);
    let mut before = input.to_vec();
    before[input.len() / 3] = f64::NAN;
    live.rows(&before, &[3, 1]);
    live.stage.reset();
    live.seen = 0;
    let rows = live.rows(input, &[]);
    let same = rows.len() == whole.len() && rows.iter().zip(whole).all(|(a, b)| a.equals(b));
    assert!(same, "{}: after a reset it remembers", live.stage.name());

    // The flags and masks too: a fresh stage and a reset one speak alike.
    let mut fresh = Live::new(make, spec);
    live.stage.reset();
    let first = input.len().min(live.input.capacity() * live.input.channels());
    let (a, b) = (live.send(&input[..first]), fresh.send(&input[..first]));
    assert_eq!((a.quality, &a.bad), (b.quality, &b.bad), "{}: after a reset it is still flagged", make().name());
}

fn nothing_is_allocated(make: &impl Fn() -> Box<dyn Stage>, spec: &Spec, input: &[f64]) {
    let mut live = Live::new(make, spec);
    let mut bad = input.to_vec();
    bad.iter_mut().step_by(7).for_each(|x| *x = f64::NAN);
    let count = crate::allocations::during(|| {
        for stream in [input, &bad, input] {
            live.stream(stream, &[1, 2], |_, _| {});
            live.stage.new_run();
            live.stream(stream, &[], |_, _| {});
            live.stage.reset();
        }
    });
    assert_eq!(count, 0, "{}: allocated while it ran", live.stage.name());
}

/// A few wrong samples on channel 0: nothing wrong comes out, the outputs concerned are marked, other channels do not
/// notice, and all is as if it had not happened once it has healed.
fn one_bad_channel_heals(make: &impl Fn() -> Box<dyn Stage>, spec: &Spec, input: &[f64], whole: &[Row], wrong: f64) {
    let (channels, name) = (spec.input.channels.len(), make().name());
    // Late enough that what warms up is warm.
    let from = spec.samples / 3;
    let until = from + 4;
    let mut struck = input.to_vec();
    struck[from * channels..until * channels].iter_mut().step_by(channels).for_each(|x| *x = wrong);
    let scale = whole.iter().flat_map(|r| &r.values).fold(0.0f64, |m, v| m.max(v.abs()));

    let (mut index, mut marked, mut healed) = (0, false, false);
    let mut live = Live::new(make, spec);
    live.stream(&struck, &[1, 5, 2], |block, sent| {
        for sample in block.samples() {
            let clean = &whole[index].values;
            for (output, (got, expected)) in sample.iter().zip(clean).enumerate() {
                assert!(got.is_finite(), "{name}: {wrong} comes through as {got}");
                let reached = sent > from && (spec.reached)(output, channels);
                assert!(reached || got == expected, "{name}: {wrong} on channel 0 shows on output {output}");
                if sent > until + spec.heals_within {
                    let distance = (got - expected).abs();
                    assert!(distance <= spec.heals_to * scale, "{name}: after {wrong}, {got} is not {expected} again");
                }
            }
            index += 1;
        }
        if block.is_empty() {
            return;
        }
        for output in (0..block.channels()).filter(|o| sent > from && block.bad.contains(*o)) {
            assert!((spec.reached)(output, channels), "{name}: {wrong} on channel 0 marks output {output}");
        }
        if (from + 1..=until + spec.heals_within).contains(&sent) {
            marked |= block.quality.contains(Quality::NON_FINITE) && !block.bad.is_empty();
        } else if sent > until + spec.heals_within {
            healed = true;
            let flagged = block.quality.contains(Quality::NON_FINITE) || !block.bad.is_empty();
            assert!(!flagged, "{name}: {wrong} at sample {from} is still marked after {sent}");
        }
    });
    assert!(marked, "{name}: {wrong} is not marked");
    assert!(healed, "{name}: nothing comes after {wrong}; send more samples");
}

/// All channels wrong at once, from the start and in the middle.
fn all_bad_channels_heal(make: &impl Fn() -> Box<dyn Stage>, spec: &Spec, input: &[f64]) {
    let (channels, name) = (spec.input.channels.len(), make().name());
    for (from, until) in [(0, 3), (spec.samples / 2, spec.samples / 2 + 5), (0, spec.samples)] {
        let mut struck = input.to_vec();
        struck[from * channels..until * channels].fill(f64::NAN);
        let mut live = Live::new(make, spec);
        live.stream(&struck, &[4], |block, sent| {
            assert!(block.data().iter().all(|v| v.is_finite()), "{name}: NaN on all channels comes through");
            if !block.is_empty() && (from + 1..=until).contains(&sent) {
                let marked = block.quality.contains(Quality::NON_FINITE) && !block.bad.is_empty();
                assert!(marked, "{name}: NaN on all channels is not marked");
            }
        });
    }
}

fn other_shapes_do_no_harm(make: &impl Fn() -> Box<dyn Stage>, spec: &Spec) {
    let mut live = Live::new(make, spec);
    let wider: Vec<_> = spec.input.channels.iter().chain(&spec.input.channels[..1]).cloned().collect();
    let other = BlockSpec { channels: wider.into(), ..spec.input.clone() };
    let mut block = Block::new(&other);
    block.set_len(1);
    live.stage.process(&block, &mut live.output);
    assert!(live.output.is_empty(), "{}: makes something of a block of another width", live.stage.name());
    let mut unprepared = make();
    unprepared.reset();
    unprepared.process(&block, &mut live.output);
    assert!(live.output.is_empty(), "{}: runs unprepared", live.stage.name());
}

//! Claim: 64 channels pass band-pass, notch, average reference and artifact marks in a few microseconds, and a hop that
//! also measures band power stays within 100 µs.
//!
//! No peer: nobody else offers this chain as one step. `cargo bench --bench signal [-- --json]`.
#![allow(clippy::print_stdout, reason = "a bench prints its result")]
#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]

use std::time::Instant;

use anyhow::Result;
use hdrhistogram::Histogram;
use neurod::frame::{Block, BlockSpec, Channel, Stage, Unit};
use neurod::signal::{SignalConfig, build};
use serde_json::json;

const CHANNELS: usize = 64;
const RATE: f64 = 1000.0;
const SAMPLES: usize = 400_000;

const CLEAN: [&str; 4] = [
    "artifact = { clip_uv = 5000.0, peak_to_peak_uv = 2000.0 }",
    "bandpass = { low = 1.0, high = 40.0, order = 4 }",
    "notch = { frequency = 50.0 }",
    "reference = \"average\"",
];
/// Segments of 256 samples (a power of two) and of 500 (the default for a window of 1 s).
const POWER: [&str; 2] = [
    "band_power = { bands = [[4, 12], [12, 30], [30, 45]], window = 1.024, hop = 0.128, segment = 0.256 }",
    "band_power = { bands = [[4, 12], [12, 30], [30, 45]], window = 1.0, hop = 0.125 }",
];

fn main() -> Result<()> {
    let as_json = std::env::args().any(|a| a == "--json");
    for samples in [1, 32] {
        let (all, _) = measure(samples, None)?;
        report(as_json, "clean", samples, "every block", &all);
        for (segment, power) in [256, 500].into_iter().zip(POWER) {
            let (_, hops) = measure(samples, Some(power))?;
            report(as_json, &format!("clean + band power of {segment}"), samples, "blocks with a hop", &hops);
        }
    }
    for step in CLEAN {
        let mut chain = Chain::new(&[step], 32)?;
        let mut histogram = Histogram::new(3)?;
        chain.run(32, |nanoseconds, _| Ok(histogram.record(nanoseconds)?))?;
        report(as_json, step.split(' ').next().unwrap_or(step), 32, "every block", &histogram);
    }
    Ok(())
}

/// How long every block takes, and those that complete a hop.
fn measure(samples: usize, power: Option<&str>) -> Result<(Histogram<u64>, Histogram<u64>)> {
    let steps: Vec<&str> = CLEAN.into_iter().chain(power).collect();
    let mut chain = Chain::new(&steps, samples)?;
    let (mut all, mut hops) = (Histogram::new(3)?, Histogram::new(3)?);
    chain.run(samples, |nanoseconds, hop| {
        all.record(nanoseconds)?;
        if hop {
            hops.record(nanoseconds)?;
        }
        Ok(())
    })?;
    Ok((all, hops))
}

struct Chain {
    stages: Vec<Box<dyn Stage>>,
    /// The input, then each stage's output.
    blocks: Vec<Block>,
    noise: Vec<f64>,
}

impl Chain {
    fn new(steps: &[&str], capacity: usize) -> Result<Self> {
        let mut spec = BlockSpec::new(Channel::numbered("EEG", CHANNELS, Unit::Microvolt), RATE, capacity);
        let mut blocks = vec![Block::new(&spec)];
        let mut stages = Vec::new();
        for step in steps {
            let mut stage = build(&toml::from_str::<SignalConfig>(step)?);
            spec = stage.prepare(&spec)?;
            blocks.push(Block::new(&spec));
            stages.push(stage);
        }
        let mut seed = 1u64;
        let mut next = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 11) as f64 / (1u64 << 53) as f64 * 100.0
        };
        Ok(Self { stages, blocks, noise: (0..CHANNELS * 4099).map(|_| next()).collect() })
    }

    /// Sends noise in blocks of `samples`; `each` hears how long a block took, and whether anything came out.
    fn run(&mut self, samples: usize, mut each: impl FnMut(u64, bool) -> Result<()>) -> Result<()> {
        let mut noise = self.noise.chunks_exact(CHANNELS).cycle();
        for block in 0..SAMPLES / samples / if samples == 1 { 4 } else { 1 } {
            if let Some(input) = self.blocks.first_mut() {
                input.clear();
                noise.by_ref().take(samples).for_each(|sample| assert!(input.push(sample)));
            }
            let start = Instant::now();
            for (i, stage) in self.stages.iter_mut().enumerate() {
                let (before, after) = self.blocks.split_at_mut(i + 1);
                stage.process(&before[i], &mut after[0]);
            }
            let nanoseconds = start.elapsed().as_nanos() as u64;
            // The first tenth warms up.
            if block * samples > SAMPLES / 40 {
                each(nanoseconds, self.blocks.last().is_some_and(|b| !b.is_empty()))?;
            }
        }
        Ok(())
    }
}

fn report(as_json: bool, name: &str, samples: usize, of: &str, histogram: &Histogram<u64>) {
    let [p50, p99, p999] = [0.5, 0.99, 0.999].map(|q| histogram.value_at_quantile(q) as f64 / 1e3);
    if as_json {
        let us = json!({ "p50": p50, "p99": p99, "p99.9": p999 });
        println!(
            "{}",
            json!({ "bench": "signal", "chain": name, "channels": CHANNELS, "samples": samples, "of": of, "us": us })
        );
    } else {
        let what = format!("{name}, {CHANNELS} ch × {samples}, {of}");
        println!("{what:<66} p50 {p50:>8.2}  p99 {p99:>8.2}  p99.9 {p999:>8.2} µs");
    }
}

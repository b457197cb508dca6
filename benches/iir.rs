//! Claim: a cascade of four sections over 64 channels × 32 samples is at least five times as fast as
//! `scipy.signal.sosfilt` on the same f64 input, with the same output.
//!
//! Ours is the whole step (masking and flags too); the peer is the fastest way of calling sosfilt. Both run in turns
//! in the same minute. `cargo bench --bench iir [-- --json]`; Python with scipy is `NEUROD_PYTHON`, else
//! `.cache/venv/bin/python`.
#![allow(clippy::print_stdout, reason = "a bench prints its result")]
#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]

mod support;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use neurod::frame::{Block, BlockSpec, Channel, Stage, Unit};
use neurod::signal::design::{Band, Section, butterworth};
use neurod::signal::{BandpassConfig, Iir};
use serde_json::{Value, json};
use support::{Peer, machine, microseconds, print_line};

const CHANNELS: usize = 64;
const SAMPLES: usize = 32;
const RATE: f64 = 1000.0;
const ROUNDS: usize = 20;
const CALLS: usize = 500;

fn main() -> Result<()> {
    let as_json = std::env::args().any(|a| a == "--json");
    let config = BandpassConfig { low: 1.0, high: 40.0, order: 4 };
    let sections = butterworth(config.order, Band::Between(config.low, config.high), RATE);
    let spec = BlockSpec::new(Channel::numbered("EEG", CHANNELS, Unit::Microvolt), RATE, SAMPLES);
    let mut stage = Iir::bandpass(config);
    stage.prepare(&spec)?;
    let (mut input, mut output) = (Block::new(&spec), Block::new(&spec));
    let mut seed = 1u64;
    for _ in 0..SAMPLES {
        let mut sample = [0.0; CHANNELS];
        for x in &mut sample {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            *x = (seed >> 11) as f64 / (1u64 << 53) as f64 * 100.0;
        }
        input.push(&sample);
    }

    let mut peer = Peer::start("iir.py", |command| {
        // One thread, as ours.
        command.env("OPENBLAS_NUM_THREADS", "1");
    })?;
    let rows: Vec<&[f64]> = input.samples().collect();
    let about = peer.ask(&json!({ "sos": sos(&sections), "zi": rest(&sections), "data": rows }))?;
    stage.process(&input, &mut output);
    let worst = difference(&about, &output)?;
    ensure!(worst <= 1e-9, "the outputs differ by {worst:e}");

    let mut ours = Histogram::<u64>::new(3)?;
    let mut theirs = BTreeMap::<String, Histogram<u64>>::new();
    for round in 0..=ROUNDS {
        let mut times = [0; CALLS];
        for time in &mut times {
            let start = Instant::now();
            stage.process(&input, &mut output);
            *time = start.elapsed().as_nanos() as u64;
        }
        let answer = peer.ask(&json!({ "calls": CALLS }))?;
        // The first round warms caches and clocks.
        if round == 0 {
            continue;
        }
        times.iter().try_for_each(|t| ours.record(*t))?;
        for (way, times) in answer.as_object().context("the peer answers with an object")? {
            let histogram = theirs.entry(way.clone()).or_insert(Histogram::new(3)?);
            for time in times.as_array().context("of lists")? {
                histogram.record(time.as_u64().context("of nanoseconds")?)?;
            }
        }
    }
    let fastest = theirs.values().map(|h| h.value_at_quantile(0.5)).min().context("no peer")?;
    let ratio = fastest as f64 / ours.value_at_quantile(0.5) as f64;
    if as_json {
        let peers: BTreeMap<&String, Value> = theirs.iter().map(|(way, h)| (way, microseconds(h))).collect();
        let report = json!({
            "bench": "iir", "machine": machine(), "channels": CHANNELS, "samples": SAMPLES, "sections": sections.len(),
            "largest_difference": worst, "neurod_us": microseconds(&ours), "scipy": about["scipy"], "scipy_us": peers,
            "ratio_of_medians": ratio,
        });
        println!("{report}");
        return Ok(());
    }
    println!("iir: {} sections, {CHANNELS} channels × {SAMPLES} samples, f64, on {}", sections.len(), machine());
    println!("  {:<40} {:>9} {:>9} {:>9}  µs", "", "p50", "p99", "p99.9");
    print_line("neurod", &ours);
    for (way, histogram) in &theirs {
        print_line(&format!("scipy {} {way}", about["scipy"].as_str().unwrap_or_default()), histogram);
    }
    println!("  {ratio:.1} × the fastest scipy; largest difference of the outputs {worst:.1e}");
    Ok(())
}

fn sos(sections: &[Section]) -> Vec<[f64; 6]> {
    sections.iter().map(|s| [s.b[0], s.b[1], s.b[2], 1.0, s.a[0], s.a[1]]).collect()
}

/// Each section's state after a constant 1 for ever.
fn rest(sections: &[Section]) -> Vec<[f64; 2]> {
    let mut x = 1.0;
    let states = sections.iter().map(|section| {
        let (state, y) = section.rest(x);
        x = y;
        state
    });
    states.collect()
}

/// The largest difference between what the peer and we make of the input, relative to the largest value.
fn difference(about: &Value, output: &Block) -> Result<f64> {
    let theirs: Vec<Vec<f64>> = serde_json::from_value(about["output"].clone())?;
    let scale = output.data().iter().fold(0.0f64, |m, v| m.max(v.abs()));
    ensure!(theirs.len() == output.len() && scale > 0.0, "the outputs have different lengths");
    let pairs = output.samples().zip(&theirs).flat_map(|(a, b)| a.iter().zip(b));
    Ok(pairs.fold(0.0f64, |m, (a, b)| m.max((a - b).abs())) / scale)
}

//! Claim: a new sample in a window of 120 and the whole correlation matrix of its 400 regions take at most 150 µs, and a fifth of what
//! `numpy.corrcoef` takes on the same window, with the same matrix.
//!
//! Timed is all that a sample costs: taking it in, letting the oldest go, and writing the full matrix of 400 × 400 in f64, as numpy
//! does; taking it in alone is timed beside. Both run in turns in the same minute. `cargo bench --bench connectome [-- --json]`; Python
//! with numpy is `NEUROD_PYTHON`, else `.cache/venv/bin/python`.
#![allow(clippy::print_stdout, reason = "a bench prints its result")]
#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]

mod support;

use std::collections::BTreeMap;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use neurod::frame::ChannelMask;
use neurod::network::SlidingWindow;
use serde_json::{Value, json};
use support::{Peer, machine, microseconds, print_line};

const REGIONS: usize = 400;
const WINDOW: usize = 120;
const ROUNDS: usize = 10;
const CALLS: usize = 200;

/// Region values on a base of 10⁴, as raw fMRI has it.
fn samples() -> impl FnMut() -> Vec<f64> {
    let mut seed = 1u64;
    let mut draw = move || {
        seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (seed >> 11) as f64 / (1u64 << 53) as f64
    };
    move || {
        let shared = draw();
        (0..REGIONS).map(|i| 1e4 + 100.0 * ((i % 7) as f64 * shared + draw())).collect()
    }
}

fn main() -> Result<()> {
    let as_json = std::env::args().any(|a| a == "--json");
    let good = ChannelMask::none(REGIONS);
    let mut next = samples();
    let stream: Vec<Vec<f64>> = (0..WINDOW + 3 * CALLS).map(|_| next()).collect();
    let mut window = SlidingWindow::new(REGIONS, WINDOW);
    let mut matrix = vec![0.0; REGIONS * REGIONS];
    // More than two windows, so that what is compared has been moved along and begun anew.
    stream.iter().for_each(|sample| window.push(sample, &good));
    window.correlation(&mut matrix);

    let mut peer = Peer::start("connectome.py", |command| {
        // One thread, as ours.
        command.env("OPENBLAS_NUM_THREADS", "1");
    })?;
    let about = peer.ask(&json!({ "window": window.samples().collect::<Vec<_>>() }))?;
    let theirs: Vec<f64> = serde_json::from_value(about["output"].clone())?;
    ensure!(theirs.len() == matrix.len(), "the matrices have different sizes");
    let worst = theirs.iter().zip(&matrix).fold(0.0f64, |m, (a, b)| m.max((a - b).abs()));
    ensure!(worst <= 1e-9, "the matrices differ by {worst:e}");

    let mut whole = Histogram::<u64>::new(3)?;
    let mut taking = Histogram::<u64>::new(3)?;
    let mut theirs = BTreeMap::<String, Histogram<u64>>::new();
    for round in 0..=ROUNDS {
        let mut times = [(0, 0); CALLS];
        for (time, sample) in times.iter_mut().zip(stream.iter().cycle().skip(round * CALLS)) {
            let start = Instant::now();
            window.push(sample, &good);
            let taken = start.elapsed();
            window.correlation(&mut matrix);
            *time = (taken.as_nanos() as u64, start.elapsed().as_nanos() as u64);
        }
        let answer = peer.ask(&json!({ "calls": CALLS }))?;
        // The first round warms caches and clocks.
        if round == 0 {
            continue;
        }
        for (taken, all) in times {
            taking.record(taken)?;
            whole.record(all)?;
        }
        for (way, times) in answer.as_object().context("the peer answers with an object")? {
            let histogram = theirs.entry(way.clone()).or_insert(Histogram::new(3)?);
            for time in times.as_array().context("of lists")? {
                histogram.record(time.as_u64().context("of nanoseconds")?)?;
            }
        }
    }
    let fastest = theirs.values().map(|h| h.value_at_quantile(0.5)).min().context("no peer")?;
    let ratio = fastest as f64 / whole.value_at_quantile(0.5) as f64;
    if as_json {
        let peers: BTreeMap<&String, Value> = theirs.iter().map(|(way, h)| (way, microseconds(h))).collect();
        let report = json!({
            "bench": "connectome", "machine": machine(), "regions": REGIONS, "window": WINDOW, "largest_difference": worst,
            "neurod_us": microseconds(&whole), "neurod_update_us": microseconds(&taking), "numpy": about["numpy"],
            "numpy_us": peers, "ratio_of_medians": ratio,
        });
        println!("{report}");
        return Ok(());
    }
    println!("connectome: {REGIONS} regions, window of {WINDOW}, f64, on {}", machine());
    println!("  {:<40} {:>9} {:>9} {:>9}  µs", "", "p50", "p99", "p99.9");
    print_line("neurod: a sample and the matrix", &whole);
    print_line("neurod: the sample alone", &taking);
    for (way, histogram) in &theirs {
        print_line(&format!("numpy {} corrcoef, {way}", about["numpy"].as_str().unwrap_or_default()), histogram);
    }
    println!("  {ratio:.1} × the fastest numpy; largest difference of the matrices {worst:.1e}");
    Ok(())
}

//! How fast is this machine? Filter, ridge, prediction: our figures only; `make bench` runs the peers beside them.

use std::io::{self, Write};

use hdrhistogram::Histogram;
use serde::Serialize;

use super::table;
use crate::cli::{Bench, BenchArgs};
use crate::frame::{Block, BlockSpec, Channel, Clock, Instant, MonotonicClock, Quality, Stage, Unit};
use crate::ridge::{Learner, RidgeConfig, Snapshot};
use crate::runtime::Chain;
use crate::signal::{self, SignalConfig};

/// One figure.
#[derive(Debug, Serialize)]
struct Figure {
    name: &'static str,
    what: &'static str,
    p50_us: f64,
    p99_us: f64,
    p999_us: f64,
    runs: u64,
}

/// Measures and prints.
///
/// # Errors
/// What cannot be measured here.
pub fn run(args: &BenchArgs) -> anyhow::Result<()> {
    let wanted = |bench: Bench| args.only.is_none_or(|only| only == bench);
    let mut figures = Vec::new();
    if wanted(Bench::Iir) {
        figures.push(iir()?);
    }
    if wanted(Bench::Ridge) {
        figures.push(ridge()?);
    }
    if wanted(Bench::Predict) {
        figures.push(hop("predict", "64 channels × 1 sample: band-pass, delays, predict 320 → 400", "", 20_000)?);
    }
    if wanted(Bench::BandPower) {
        figures.push(band_power()?);
    }
    if args.json {
        writeln!(io::stdout(), "{}", serde_json::to_string_pretty(&figures)?)?;
        return Ok(());
    }
    let us = |v: f64| format!("{v:.1}");
    let row = |f: &Figure| vec![f.name.into(), us(f.p50_us), us(f.p99_us), us(f.p999_us), f.what.into()];
    let rows: Vec<Vec<String>> = figures.iter().map(row).collect();
    write!(io::stdout(), "{}", table::rows(&["", "p50 µs", "p99 µs", "p99.9 µs", "what"], &rows))?;
    Ok(())
}

fn measure(name: &'static str, what: &'static str, runs: u64, mut once: impl FnMut()) -> anyhow::Result<Figure> {
    for _ in 0..runs / 10 + 10 {
        once();
    }
    let mut times = Histogram::<u64>::new_with_bounds(1, 10_000_000_000, 3)?;
    for _ in 0..runs {
        let began = MonotonicClock.now();
        once();
        times.saturating_record(((MonotonicClock.now() - began) * 1e9) as u64);
    }
    let us = |q: f64| times.value_at_quantile(q) as f64 / 1e3;
    Ok(Figure { name, what, p50_us: us(0.5), p99_us: us(0.99), p999_us: us(0.999), runs })
}

/// The same noise every time.
fn noise(seed: &mut u64) -> f64 {
    *seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
    (*seed >> 11) as f64 / (1u64 << 53) as f64 * 40.0 - 20.0
}

fn eeg(samples: usize) -> (BlockSpec, Block) {
    let spec = BlockSpec::new(Channel::numbered("EEG", 64, Unit::Microvolt), 1000.0, samples);
    let mut block = Block::new(&spec);
    block.set_len(samples);
    let mut seed = 7;
    block.data_mut().iter_mut().for_each(|v| *v = noise(&mut seed));
    (spec, block)
}

fn chain(stages: &str, spec: &BlockSpec) -> anyhow::Result<Chain> {
    #[derive(serde::Deserialize)]
    struct Stages {
        stages: Vec<SignalConfig>,
    }
    let parsed: Stages = toml::from_str(&format!("stages = [{stages}]"))?;
    let stages: Vec<Box<dyn Stage>> = parsed.stages.iter().map(signal::build).collect();
    Ok(Chain::prepare(stages, spec)?)
}

fn iir() -> anyhow::Result<Figure> {
    let (spec, block) = eeg(32);
    let mut chain = chain("{ bandpass = { low = 1.0, high = 40.0, order = 4 } }", &spec)?;
    measure("iir", "4 second-order sections, f64, 64 channels × 32 samples", 20_000, || {
        std::hint::black_box(chain.process(&block));
    })
}

fn ridge() -> anyhow::Result<Figure> {
    let (features, targets) = (300, 1000);
    let mut learner = Learner::new(features, targets, &RidgeConfig::default())?;
    let mut seed = 3;
    let rows: Vec<(Vec<f64>, Vec<f64>)> = (0..32)
        .map(|_| {
            let mut draw = |n: usize| (0..n).map(|_| noise(&mut seed)).collect::<Vec<_>>();
            (draw(features), draw(targets))
        })
        .collect();
    let mut next = rows.iter().cycle();
    measure("ridge", "predict, score and learn one volume, 300 features × 1000 regions", 2_000, || {
        if let Some((x, y)) = next.next() {
            std::hint::black_box(learner.observe(x, y, Quality::GOOD));
        }
    })
}

/// A learned snapshot of this shape.
fn snapshot(features: usize, targets: usize) -> anyhow::Result<Snapshot> {
    let mut learner = Learner::new(features, targets, &RidgeConfig::default())?;
    let mut seed = 5;
    for _ in 0..50 {
        let x: Vec<f64> = (0..features).map(|_| noise(&mut seed)).collect();
        let y: Vec<f64> = (0..targets).map(|_| noise(&mut seed)).collect();
        learner.observe(&x, &y, Quality::GOOD);
    }
    let mut snapshot = Snapshot::new(features, targets);
    learner.snapshot_into(&mut snapshot);
    Ok(snapshot)
}

fn hop(name: &'static str, what: &'static str, more: &str, runs: u64) -> anyhow::Result<Figure> {
    let (spec, mut block) = eeg(1);
    let stages =
        format!("{{ bandpass = {{ low = 1.0, high = 40.0, order = 4 }} }}, {{ delays = {{ taps = 5 }} }}{more}");
    let mut chain = chain(&stages, &spec)?;
    let snapshot = snapshot(chain.output().channels.len(), 400)?;
    let mut values = vec![0.0; 400];
    let mut at = 0.0;
    measure(name, what, runs, || {
        at += 1e-3;
        block.measured_at = Instant::from_seconds(at);
        let out = chain.process(&block);
        if let Some(row) = out.newest() {
            snapshot.predict(row, &mut values);
        }
        std::hint::black_box(&values);
    })
}

/// Only the blocks that complete a hop are timed: the others cost what `predict` does.
fn band_power() -> anyhow::Result<Figure> {
    let (spec, block) = eeg(32);
    let stages = "{ bandpass = { low = 1.0, high = 40.0, order = 4 } }, \
        { band_power = { bands = [[4.0, 8.0], [8.0, 13.0], [13.0, 30.0], [30.0, 40.0], [1.0, 4.0]], window = 1.024, hop = 0.032, segment = 0.512 } }";
    let mut chain = chain(stages, &spec)?;
    let snapshot = snapshot(chain.output().channels.len(), 400)?;
    let mut values = vec![0.0; 400];
    measure(
        "band-power",
        "64 channels × 32 samples: band-pass, 5 bands over 1.024 s, predict 320 → 400",
        5_000,
        || {
            let out = chain.process(&block);
            if let Some(row) = out.newest() {
                snapshot.predict(row, &mut values);
            }
            std::hint::black_box(&values);
        },
    )
}

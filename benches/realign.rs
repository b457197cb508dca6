//! Claim: a 64×64×36 volume is realigned, resliced and smoothed at least 2.5 times as fast as python-rtspm, OpenNFT's
//! engine, does it, within 80 ms; and 116 regions are averaged at least ten times as fast as
//! nilearn's NiftiLabelsMasker averages them, within 3 ms.
//!
//! Both work in turns in the same minute on the same volumes; ours on one thread, the peer as it comes. A head of ellipsoids,
//! moved exactly, with noise; what both find is checked first. `cargo bench --bench realign [-- --json]`; Python with
//! rtspm, nibabel and nilearn is `NEUROD_PYTHON`, else `.cache/venv/bin/python`.
#![allow(clippy::print_stdout, reason = "a bench prints its result")]
#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]

mod support;

use std::collections::BTreeMap;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use neurod::fmri::{Atlas, Grid, RealignConfig, Realigner, Rigid, Smoother, parcellate};
use neurod::frame::Fit;
use serde_json::{Value, json};
use support::{CENTRE, Peer, head, machine};

const DIMS: [usize; 3] = [64, 64, 36];
const REGIONS: usize = 116;
const ROUNDS: usize = 20;
const NOISE: f64 = 10.0;
/// x, y, z in mm; pitch, roll, yaw in degrees.
const MOTIONS: [[f64; 6]; 4] = [
    [0.1, 0.05, -0.1, 0.05, 0.1, -0.05],
    [0.4, -0.3, 0.5, 0.4, -0.2, 0.3],
    [1.2, 0.9, -1.1, 1.0, 0.6, -0.8],
    [1.1, 0.8, -1.3, 1.1, 0.5, -0.9],
];

fn main() -> Result<()> {
    let as_json = std::env::args().any(|a| a == "--json");
    let affine = [[-3.0, 0.0, 0.0, 94.5], [0.0, 3.0, 0.0, -94.5], [0.0, 0.0, 3.6, -63.0]];
    let grid = Grid { dims: DIMS, affine };
    let truth: Vec<Rigid> = MOTIONS.iter().map(|m| about_the_centre(*m)).collect();
    let reference = seen(&grid, &Rigid::from_parameters([0.0; 6]), 1);
    let volumes: Vec<Vec<f32>> = truth.iter().zip(2..).map(|(motion, seed)| seen(&grid, motion, seed)).collect();
    let labels: Vec<f32> = (0..grid.voxels()).map(|v| label(&grid, v)).collect();
    let atlas = Atlas::from_labels(grid.clone(), labels.iter().map(|l| f64::from(*l)))?;
    ensure!(atlas.len() == REGIONS, "{} regions", atlas.len());

    let folder = std::env::temp_dir().join(format!("neurod-bench-realign-{}", std::process::id()));
    std::fs::create_dir_all(&folder)?;
    let measured = measure(&grid, &reference, &volumes, &truth, &labels, &atlas, &folder);
    std::fs::remove_dir_all(&folder)?;
    let (about, times) = measured?;
    let p50 = |name: &str| times.get(name).map_or(f64::NAN, |h| h.value_at_quantile(0.5) as f64);
    let ratios = [p50("rtspm all") / p50("neurod all"), p50("nilearn regions") / p50("neurod regions")];
    if as_json {
        let ms: BTreeMap<_, _> = times.iter().map(|(name, h)| (name, quantiles(h))).collect();
        let ratios = json!({ "realign": ratios[0], "regions": ratios[1] });
        println!("{}", json!({ "bench": "realign", "machine": machine(), "about": about, "ms": ms, "ratios": ratios }));
        return Ok(());
    }
    println!("realign: {DIMS:?} voxels, {REGIONS} regions, {} timings, on {}", times.len(), machine());
    println!("  {about}");
    println!("  {:<24} {:>9} {:>9} {:>9}  ms", "", "p50", "p99", "most");
    for (name, histogram) in &times {
        let [p50, p99, most] = quantiles(histogram);
        println!("  {name:<24} {p50:>9.3} {p99:>9.3} {most:>9.3}");
    }
    println!("  {:.1} × rtspm, {:.1} × nilearn", ratios[0], ratios[1]);
    Ok(())
}

type Times = BTreeMap<&'static str, Histogram<u64>>;

fn measure(
    grid: &Grid,
    reference: &[f32],
    volumes: &[Vec<f32>],
    truth: &[Rigid],
    labels: &[f32],
    atlas: &Atlas,
    folder: &Path,
) -> Result<(Value, Times)> {
    let write = |name: String, values: &[f32]| -> Result<String> {
        let path = folder.join(name);
        std::fs::write(&path, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<_>>())?;
        Ok(path.display().to_string())
    };
    let paths = volumes.iter().enumerate().map(|(i, v)| write(format!("{i}"), v)).collect::<Result<Vec<_>>>()?;
    let mut peer = Peer::start("realign.py", |_| ())?;
    let reference_path = write("reference".into(), reference)?;
    let setup = json!({ "dims": DIMS, "affine": grid.affine, "reference": reference_path, "volumes": paths });
    let theirs = peer.ask(&setup)?;
    let nilearn = peer.ask(&json!({ "labels": write("labels".into(), labels)? }))?;

    let mut realigner = Realigner::new(grid, reference, &RealignConfig::default())?;
    let mut smoother = Smoother::new(grid, 5.0)?;
    let mut out = vec![0.0; grid.voxels()];
    let (mut our_worst, mut their_worst) = ([0.0f64; 2], [0.0f64; 2]);
    for (i, (volume, truth)) in volumes.iter().zip(truth).enumerate() {
        let motion = realigner.realign(volume);
        ensure!(motion.fit == Fit::Converged, "volume {i}: {motion:?}");
        realigner.reslice(&mut out, 0.0);
        let found: [f64; 6] = serde_json::from_value(theirs["motion"][i].clone())?;
        for (worst, found) in [(&mut our_worst, motion.rigid), (&mut their_worst, Rigid::from_parameters(found))] {
            let [mm, degrees] = errors(&found, truth);
            *worst = [worst[0].max(mm), worst[1].max(degrees)];
        }
    }
    ensure!(our_worst.iter().all(|w| *w < 0.05), "ours is {our_worst:?} mm and degrees from the truth");
    ensure!(their_worst.iter().all(|w| *w < 0.25), "theirs is {their_worst:?} mm and degrees from the truth");
    let resliced = std::fs::read(theirs["resliced"].as_str().context("a path")?)?;
    let resliced = resliced.as_chunks::<4>().0.iter().map(|b| f32::from_le_bytes(*b));
    let differs = difference(&out, resliced);
    ensure!(differs < 0.03, "the resliced volumes differ by {differs} of their spread");
    let mut regions = vec![0.0; atlas.len()];
    let masked = peer.ask(&json!({ "mask": 0 }))?;
    let first: Vec<f64> = volumes.first().context("a volume")?.iter().map(|v| f64::from(*v)).collect();
    parcellate(&first, atlas.gather(), &mut regions);
    let masked: Vec<f64> = serde_json::from_value(masked["regions"].clone())?;
    let far = regions.iter().zip(&masked).map(|(a, b)| ((a - b) / b).abs()).fold(0.0, f64::max);
    ensure!(masked.len() == regions.len() && far < 1e-5, "the regions differ by {far} of their values");

    let mut times = Times::new();
    // The first round warms caches and clocks.
    for round in 0..=ROUNDS {
        let mut record = |name, nanoseconds: u64| -> Result<()> {
            if round > 0 {
                times.entry(name).or_insert(Histogram::new(3)?).record(nanoseconds)?;
            }
            Ok(())
        };
        for (i, volume) in volumes.iter().enumerate() {
            // The peer starts every volume from the reference's place.
            realigner.reset();
            let start = Instant::now();
            realigner.realign(volume);
            let realigned = start.elapsed().as_nanos() as u64;
            realigner.reslice(&mut out, 0.0);
            let resliced = start.elapsed().as_nanos() as u64;
            smoother.smooth(&mut out);
            let smoothed = start.elapsed().as_nanos() as u64;
            record("neurod realign", realigned)?;
            record("neurod reslice", resliced - realigned)?;
            record("neurod smooth", smoothed - resliced)?;
            record("neurod all", smoothed)?;
            let answer = peer.ask(&json!({ "volume": i }))?;
            let part = |name: &str| answer[name].as_u64().with_context(|| format!("no {name}"));
            let parts = [part("realign")?, part("reslice")?, part("smooth")?];
            record("rtspm realign", parts[0])?;
            record("rtspm reslice", parts[1])?;
            record("rtspm smooth", parts[2])?;
            record("rtspm all", parts.iter().sum())?;
            let start = Instant::now();
            atlas.gather().means(|v| volume.get(v).map_or(f64::NAN, |v| f64::from(*v)), &mut regions);
            record("neurod regions", start.elapsed().as_nanos() as u64)?;
            let masked = peer.ask(&json!({ "mask": i }))?;
            record("nilearn regions", masked["nanoseconds"].as_u64().context("nanoseconds")?)?;
        }
    }
    let about = json!({
        "rtspm": theirs["rtspm"], "nilearn": nilearn["nilearn"], "resliced_differs": differs,
        "worst_error_mm_degrees": { "neurod": our_worst, "rtspm": their_worst },
    });
    Ok((about, times))
}

fn about_the_centre([x, y, z, pitch, roll, yaw]: [f64; 6]) -> Rigid {
    let turned = Rigid::from_parameters([0.0, 0.0, 0.0, pitch.to_radians(), roll.to_radians(), yaw.to_radians()]);
    let centre = turned.apply(CENTRE);
    let shift = std::array::from_fn(|i| CENTRE[i] - centre[i] + [x, y, z][i]);
    Rigid { shift, ..turned }
}

/// The largest error of the head's centre in mm, and of a turn in degrees.
fn errors(found: &Rigid, truth: &Rigid) -> [f64; 2] {
    let most = |a: &[f64], b: &[f64]| a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, f64::max);
    let turns = most(&found.parameters()[3..], &truth.parameters()[3..]);
    [most(&found.apply(CENTRE), &truth.apply(CENTRE)), turns.to_degrees()]
}

/// The root mean square of the difference where both have a value, over the spread of ours.
fn difference(ours: &[f32], theirs: impl Iterator<Item = f32>) -> f64 {
    let pairs: Vec<(f64, f64)> = ours.iter().zip(theirs).map(|(a, b)| (f64::from(*a), f64::from(b))).collect();
    let both = || pairs.iter().filter(|(a, b)| *a != 0.0 && *b != 0.0);
    let n = both().count().max(1) as f64;
    let mean = both().map(|(a, _)| a).sum::<f64>() / n;
    let spread: f64 = both().map(|(a, _)| (a - mean).powi(2)).sum();
    (both().map(|(a, b)| (a - b).powi(2)).sum::<f64>() / spread).sqrt()
}

/// What is seen at x is what lies at `motion` of x, with noise.
fn seen(grid: &Grid, motion: &Rigid, seed: u64) -> Vec<f32> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut uniform = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64
    };
    let voxel = |v| {
        let noise = NOISE * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0);
        (head(motion.apply(grid.millimetres(grid.index(v)))) + noise) as f32
    };
    (0..grid.voxels()).map(voxel).collect()
}

/// Blocks of the brain, numbered from 1.
fn label(grid: &Grid, voxel: usize) -> f32 {
    let [x, y, z] = grid.index(voxel);
    let inside = grid.millimetres([x, y, z]).iter().zip([58.0, 72.0, 44.0]).map(|(p, r)| (p / r).powi(2)).sum::<f64>();
    if inside < 1.0 { (1 + (x / 4 + 16 * (y / 4) + 256 * (z / 4)) % REGIONS) as f32 } else { 0.0 }
}

fn quantiles(histogram: &Histogram<u64>) -> [f64; 3] {
    [histogram.value_at_quantile(0.5), histogram.value_at_quantile(0.99), histogram.max()].map(|ns| ns as f64 / 1e6)
}

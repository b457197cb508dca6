//! Claim: at 91×109×91 voxels, 10⁵ of them targets, and 100 features, a ridge learns from one volume within 40 ms (p99); from a
//! volume in memory to its frames, realigned, while a search for λ runs, it takes at most 0.8 s, a multiband TR; and the process
//! never holds more than 1.5 GB, four runs of moments among them.
//!
//! `cargo bench --bench voxelwise [-- --json] [--voxels N] [--volumes N]`; fewer voxels also make a smaller image. What one
//! update moves through memory at full size: W once (80 MB) and a trusted copy of it (40 MB, once there is one), an eighth of W
//! and of the moments to and fro (20 MB each), what waits beside both (6.4 MB each), and twice some 16 MB of skill: about
//! 200 MB, 20 ms at 10 GB/s.
#![allow(clippy::print_stdout, reason = "a bench prints its result")]
#![allow(clippy::disallowed_methods, reason = "a bench measures real time, and searches on a thread of its own")]

mod support;

use std::sync::Arc;
use std::time::Instant as RealInstant;

use anyhow::{Context, Result, ensure};
use hdrhistogram::Histogram;
use neurod::fmri::{Atlas, Grid, RealignConfig, Realigner, parcellate};
use neurod::frame::{Block, BlockSpec, Channel, Fit, Instant, Quality, Regions, Unit, VirtualClock};
use neurod::publish::wire;
use neurod::ridge::Observed;
use neurod::runtime::features::Features;
use neurod::runtime::session::Session;
use neurod::runtime::{InputSpec, Predictor, PredictorConfig};
use serde_json::json;
use support::{head, machine, microseconds, print_line};

const DIMS: [usize; 3] = [91, 109, 91];
const VOXELS: usize = 100_000;
const FEATURES: usize = 100;
const TR: f64 = 0.8;
/// Volumes in a run, of which four are kept apart.
const RUN: u32 = 200;
const CONFIG: &str = "features = [\"film\"]
targets = \"scan\"
[ridge.lambda]
choose = \"runs\"
keep_runs = 4
every = 1000000";

fn main() -> Result<()> {
    let argument = |name: &str| std::env::args().skip_while(|a| a != name).nth(1).and_then(|n| n.parse::<usize>().ok());
    let voxels = argument("--voxels").unwrap_or(VOXELS).clamp(1000, VOXELS);
    let volumes = argument("--volumes").unwrap_or(900).max(20) as u32;
    // Fewer voxels are larger ones.
    let millimetres = 2.0 * (VOXELS as f64 / voxels as f64).cbrt();
    let dims = DIMS.map(|n| ((n as f64 * 2.0 / millimetres) as usize).max(8));
    let row = |i: usize| std::array::from_fn(|j| if i == j { millimetres } else { 0.0 });
    let mut affine: [[f64; 4]; 3] = std::array::from_fn(row);
    (0..3).for_each(|i| affine[i][3] = -millimetres * (dims[i] as f64 - 1.0) / 2.0);
    let grid = Grid { dims, affine };

    let reference: Vec<f32> = (0..grid.voxels()).map(|v| head(grid.millimetres(grid.index(v))) as f32).collect();
    let mut brightest: Vec<usize> = (0..reference.len()).collect();
    brightest.sort_by(|a, b| reference[*b].total_cmp(&reference[*a]));
    let mut mask = vec![0.0; reference.len()];
    brightest.iter().take(voxels).for_each(|v| mask[*v] = 1.0);
    drop(brightest);
    let atlas = Atlas::from_mask(grid.clone(), mask.into_iter())?;
    let mut realigner = Realigner::new(&grid, &reference, &RealignConfig::default())?;

    let config: PredictorConfig = toml::from_str(CONFIG)?;
    let names = (0..voxels).filter_map(|i| atlas.first_voxel(i)).map(|[x, y, z]| format!("{x}_{y}_{z}")).collect();
    let input = InputSpec { name: "film".into(), dims: FEATURES, hop: None, sha256: "0".into() };
    let session = Session::new("bench", Arc::new(VirtualClock::default()));
    let regions = Arc::new(Regions::new(names, Unit::Arbitrary));
    let mut predictor = Predictor::new("voxels", &config, session, regions, TR, vec![input])?;
    let mut draw = noise(5);

    // One update: predict, score, learn, keep copies; and runs come and go.
    let mut updates = Histogram::<u64>::new(3)?;
    let (mut x, mut y) = (vec![0.0; FEATURES], vec![0.0; voxels]);
    for t in 0..volumes {
        if t % RUN == 0 {
            predictor.learner_mut().new_run();
        }
        x.iter_mut().for_each(|x| *x = draw());
        y.iter_mut().enumerate().for_each(|(v, y)| *y = 500.0 + 5.0 * x[v % FEATURES] + draw());
        let start = RealInstant::now();
        let observed = predictor.learner_mut().observe(&x, &y, Quality::GOOD);
        updates.record(start.elapsed().as_nanos() as u64)?;
        ensure!(observed == Observed::Learned, "update {t}: {observed:?}");
    }

    // From a volume to its frames, while λ is searched for.
    let (mut whole, mut aligned) = (Histogram::<u64>::new(3)?, Histogram::<u64>::new(3)?);
    let mut search = Histogram::<u64>::new(3)?;
    let spec = BlockSpec::new(Channel::numbered("VOXEL", voxels, Unit::Arbitrary), 1.0 / TR, 1);
    let mut block = Block::new(&spec);
    let (mut out, mut wide) = (vec![0.0f32; reference.len()], vec![0.0f64; reference.len()]);
    let (mut raw, mut frames, mut bytes) = (reference.clone(), 0u64, 0usize);
    let begin = |predictor: &mut Predictor| {
        let job = predictor.learner_mut().search();
        let began = RealInstant::now();
        std::thread::spawn(move || (job.run(), began.elapsed()))
    };
    let mut searching = begin(&mut predictor);
    for t in 0..volumes / 10 {
        let at = |seconds: f64| Instant::from_seconds(f64::from(t) * TR + seconds);
        let values: Vec<f64> = (0..FEATURES).map(|_| draw()).collect();
        let (start, end, quality) = (at(0.0), at(TR), Quality::GOOD);
        predictor.features(
            0,
            &Features { start, end, values, measured_at: end, arrived_at: end, quality, run: 0 },
            |_| (),
        );
        raw.iter_mut().zip(&reference).for_each(|(raw, value)| *raw = value + 20.0 * draw() as f32);
        let start = RealInstant::now();
        let motion = realigner.realign(&raw);
        realigner.reslice(&mut out, 0.0);
        aligned.record(start.elapsed().as_nanos() as u64)?;
        ensure!(motion.fit == Fit::Converged, "volume {t}: {motion:?}");
        wide.iter_mut().zip(&out).for_each(|(wide, value)| *wide = f64::from(*value));
        parcellate(&wide, atlas.gather(), &mut y);
        block.clear();
        block.push(&y);
        (block.run, block.measured_at, block.arrived_at) = (0, at(0.0), end);
        predictor.volume(&block, 0, |frame| {
            bytes = wire::encode(&frame).len();
            frames += 1;
        });
        whole.record(start.elapsed().as_nanos() as u64)?;
        if searching.is_finished() {
            let (found, took) = searching.join().ok().context("the search has ended")?;
            search.record(took.as_nanos() as u64)?;
            predictor.learner_mut().adopt(found);
            searching = begin(&mut predictor);
        }
    }
    let (found, took) = searching.join().ok().context("the search has ended")?;
    search.record(took.as_nanos() as u64)?;
    predictor.learner_mut().adopt(found);
    let drift = predictor.learner().measure_drift();
    ensure!(drift < 1e-9, "the weights are {drift:e} from the exact solution");
    ensure!(frames >= u64::from(2 * (volumes / 10)), "{frames} frames");

    let peak = peak_bytes()?;
    let at = |histogram: &Histogram<u64>, q| histogram.value_at_quantile(q) as f64 / 1e6;
    let claims = json!({
        "update_p99_ms": at(&updates, 0.99), "update_holds": at(&updates, 0.99) <= 40.0,
        "volume_to_frames_most_ms": at(&whole, 1.0), "volume_holds": at(&whole, 1.0) <= 800.0,
        "peak_resident_mb": peak as f64 / 1e6, "memory_holds": peak <= 1_500_000_000,
    });
    let about = json!({ "voxels": voxels, "features": FEATURES, "dims": dims, "volumes": volumes, "frame_bytes": bytes, "drift": drift });
    if std::env::args().any(|a| a == "--json") {
        let us = json!({
            "update": microseconds(&updates), "realign": microseconds(&aligned), "volume_to_frames": microseconds(&whole),
            "search": microseconds(&search),
        });
        println!(
            "{}",
            json!({ "bench": "voxelwise", "machine": machine(), "about": about, "us": us, "claims": claims })
        );
        return Ok(());
    }
    println!("voxelwise: {about}, on {}", machine());
    println!("  {:<40} {:>9} {:>9} {:>9}  us", "", "p50", "p99", "p99.9");
    print_line("one update", &updates);
    print_line("realign and reslice, with a search", &aligned);
    print_line("volume to frames, with a search", &whole);
    print_line("a search", &search);
    println!("  {claims}");
    Ok(())
}

/// The most memory that the process ever held.
fn peak_bytes() -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status")?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).context("no VmHWM")?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse()?;
    Ok(kib * 1024)
}

/// Uniform on −1 to 1.
fn noise(seed: u64) -> impl FnMut() -> f64 {
    let mut state = seed;
    move || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

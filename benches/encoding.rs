//! How fast is λ chosen for every voxel? n = 3000, F = 1000, V = 5000, 20 λ, 3 folds, f32, beside himalaya's `RidgeCV` on
//! the same arrays in the same run, both with all cores, after checking in f64 that both choose the same λ and weights.
//!
//! `cargo bench --bench encoding [-- --rounds N]`. himalaya runs in the Python of `NEUROD_PYTHON`, else of `.cache/venv`,
//! with its numpy backend and the best of its batch settings that were tried.
//!
//! `cargo bench --bench encoding -- --voxels 100000` tells instead how long so many voxels take, and the most memory that
//! was held (VmHWM): by the library, which has λ and weights at the end, and by `neurod encode evaluate` on the same arrays.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a bench prints, and measures real time")]
#![allow(clippy::unwrap_used, reason = "a bench stops at the first thing that is wrong")]

use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use ndarray::{Array2, Axis};
use ndarray_npy::{read_npy, write_npy};
use neurod::encoding::folds::{Samples, Scheme, divide};
use neurod::encoding::solve::{Criterion, Lambda, Ridge, choose, choose_and_fit, fit};
use serde_json::{Value, json};

const LAMBDAS: usize = 20;
const FOLDS: usize = 3;

fn grid() -> Vec<f64> {
    (0..LAMBDAS).map(|i| 10f64.powf(-1.0 + 7.0 * i as f64 / (LAMBDAS - 1) as f64)).collect()
}

/// Features, and responses that they explain in part: some voxels well, some hardly.
fn arrays(n: usize, f: usize, v: usize) -> (Array2<f64>, Array2<f64>) {
    let mut state = 7u64;
    let mut draw = || {
        let mut one = || {
            state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (state >> 11) as f64 / (1u64 << 53) as f64
        };
        (one() + one() + one() - 1.5) * 2.0
    };
    let x = Array2::from_shape_simple_fn((n, f), &mut draw);
    let w = Array2::from_shape_fn((f, v), |(_, v)| draw() * 0.002 * (v % 17) as f64);
    let noise = Array2::from_shape_simple_fn((n, v), &mut draw);
    let y = x.dot(&w) + noise;
    (x, y)
}

fn python() -> PathBuf {
    let cached = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/venv/bin/python");
    std::env::var_os("NEUROD_PYTHON").map_or(cached, PathBuf::from)
}

/// The most memory that a process has held, in GB.
fn most_memory(pid: &str) -> Option<f64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find(|line| line.starts_with("VmHWM:"))?;
    Some(line.split_whitespace().nth(1)?.parse::<f64>().ok()? * 1024.0 / 1e9)
}

/// n = 3000, F = 1000 and so many voxels, a few at a time: nothing but what is measured should need memory.
fn wide(voxels: usize) {
    const TOGETHER: usize = 500;
    let (n, f) = (3000, 1000);
    let (x, _) = arrays(n, f, 0);
    let x = x.mapv(|v| v as f32);
    let mut y = Array2::<f32>::zeros((n, voxels));
    for (block, mut columns) in y.axis_chunks_iter_mut(Axis(1), TOGETHER).enumerate() {
        let noise = |i: usize, v: usize| ((i * 7919 + (block * TOGETHER + v) * 104_729) % 10_007) as f32 / 5003.5 - 1.0;
        let w = Array2::from_shape_fn((f, columns.ncols()), |(i, v)| noise(i, v + 1) * 0.01 * (v % 17) as f32);
        let values = x.dot(&w) + Array2::from_shape_fn(columns.raw_dim(), |(i, v)| noise(i, v));
        columns.assign(&values);
    }
    let folder = tempfile::tempdir().unwrap();
    write_npy(folder.path().join("features.npy"), &x).unwrap();
    write_npy(folder.path().join("responses.npy"), &y).unwrap();
    let ridge = Ridge { lambda: Lambda::PerVoxel(grid()), criterion: Criterion::SquaredError, centre: true };
    let folds = divide(n, Scheme::Consecutive(FOLDS), &Samples::default()).unwrap().folds;
    let began = Instant::now();
    let (_, fitted) = choose_and_fit(x.view(), y.view(), &folds, &Vec::from_iter(0..n), &ridge).unwrap();
    let (seconds, memory) = (began.elapsed().as_secs_f64(), most_memory("self").unwrap_or(f64::NAN));
    assert!(fitted.weights.iter().all(|w| w.is_finite()));
    println!(
        "n {n}, F {f}, V {voxels}, {LAMBDAS} λ, {FOLDS} folds, f32, all cores (responses: {:.2} GB)",
        (y.len() * 4) as f64 / 1e9
    );
    println!("  library: λ and weights          {seconds:7.1} s   {memory:5.2} GB at most");
    drop((x, y, fitted));
    let began = Instant::now();
    let mut child = Command::new(env!("CARGO_BIN_EXE_neurod"))
        .args(["encode", "evaluate", "--folds", "k=3", "--out"])
        .arg(folder.path().join("out"))
        .arg(folder.path())
        .stdout(Stdio::null())
        .spawn()
        .unwrap();
    let mut memory = f64::NAN;
    let status = loop {
        memory = most_memory(&child.id().to_string()).unwrap_or(memory);
        match child.try_wait().unwrap() {
            Some(status) => break status,
            None => std::thread::sleep(std::time::Duration::from_millis(20)),
        }
    };
    assert!(status.success());
    println!("  neurod encode evaluate          {:7.1} s   {memory:5.2} GB at most", began.elapsed().as_secs_f64());
}

fn main() {
    let number = |name: &str| std::env::args().skip_while(|a| a != name).nth(1).and_then(|n| n.parse().ok());
    if let Some(voxels) = number("--voxels") {
        return wide(voxels);
    }
    let rounds = number("--rounds").unwrap_or(2);
    if !python().exists() {
        println!("SKIPPED: {} is missing: run `make test` once", python().display());
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/himalaya_cv.py");
    let mut peer = Command::new(python());
    let mut peer = peer.arg(script).arg(folder.path()).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut ask = peer.stdin.take().unwrap();
    let mut answers = BufReader::new(peer.stdout.take().unwrap()).lines();
    let mut tell = |what: Value| -> Value {
        writeln!(ask, "{what}").unwrap();
        serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap()
    };
    let grid = grid();
    let ridge = Ridge { lambda: Lambda::PerVoxel(grid.clone()), criterion: Criterion::SquaredError, centre: true };

    // Equal first, in f64, on fewer voxels.
    let (x, y) = arrays(600, 120, 700);
    write_npy(folder.path().join("x.npy"), &x).unwrap();
    write_npy(folder.path().join("y.npy"), &y).unwrap();
    tell(json!({ "load": "float64", "lambdas": grid, "folds": FOLDS }));
    tell(json!({ "run": true }));
    let folds = divide(600, Scheme::Consecutive(FOLDS), &Samples::default()).unwrap().folds;
    let ours = choose(x.view(), y.view(), &folds, &ridge).unwrap();
    let theirs: ndarray::Array1<f64> = read_npy(folder.path().join("best_alphas.npy")).unwrap();
    assert!(ours.iter().zip(&theirs).all(|(a, b)| (a - b).abs() <= 1e-9 * b), "other λ");
    let rows: Vec<usize> = (0..600).collect();
    let weights = fit(x.view(), y.view(), &rows, &ours, true).unwrap().weights;
    let coef: Array2<f64> = read_npy(folder.path().join("coef.npy")).unwrap();
    let scale = coef.iter().fold(0f64, |m, v| m.max(v.abs()));
    let difference = weights.iter().zip(&coef).fold(0f64, |m, (a, b)| m.max((a - b).abs())) / scale;
    assert!(difference < 1e-6, "weights differ by {difference}");
    let kinds = ours.iter().map(|l| l.to_bits()).collect::<std::collections::BTreeSet<_>>().len();
    println!("equal in f64: {kinds} different λ among 700 voxels, all the same; weights to {difference:.1e}");

    let (n, f, v) = (3000, 1000, 5000);
    let (x, y) = arrays(n, f, v);
    let (x, y) = (x.mapv(|v| v as f32), y.mapv(|v| v as f32));
    write_npy(folder.path().join("x.npy"), &x).unwrap();
    write_npy(folder.path().join("y.npy"), &y).unwrap();
    let batches = tell(json!({ "load": "float32", "lambdas": grid, "folds": FOLDS }));
    let folds = divide(n, Scheme::Consecutive(FOLDS), &Samples::default()).unwrap().folds;
    let rows: Vec<usize> = (0..n).collect();
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for _ in 0..rounds {
        let began = Instant::now();
        let (lambdas, fitted) = choose_and_fit(x.view(), y.view(), &folds, &rows, &ridge).unwrap();
        ours.push(began.elapsed().as_secs_f64());
        theirs.push(tell(json!({ "run": true }))["seconds"].as_f64().unwrap());
        let best: ndarray::Array1<f32> = read_npy(folder.path().join("best_alphas.npy")).unwrap();
        let same = lambdas.iter().zip(&best).filter(|(a, b)| (**a - f64::from(**b)).abs() <= 1e-4 * **a).count();
        assert!(same as f64 > 0.999 * v as f64, "{same} of {v} λ are the same");
        assert!(fitted.weights.iter().all(|w| w.is_finite()));
    }
    drop(ask);
    peer.wait().unwrap();
    let median = |values: &mut Vec<f64>| {
        values.sort_by(f64::total_cmp);
        values[values.len() / 2]
    };
    let (ours, theirs) = (median(&mut ours), median(&mut theirs));
    println!("n {n}, F {f}, V {v}, {LAMBDAS} λ, {FOLDS} folds, f32, all cores; medians of {rounds}");
    println!("  neurod {ours:7.2} s   himalaya {theirs:7.2} s ({batches})   {:.1} ×", theirs / ours);
}

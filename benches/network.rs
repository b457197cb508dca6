//! How fast does a graph network learn? One training epoch of BrainGB's node edge concat with concat pooling, N = 122, H = 256,
//! two layers, 192 graphs in batches of 16, beside PyTorch with the same dense forms at its best number of threads, and with
//! explicit edges as released; in turn, after checking that all give the same loss with the same weights.
//!
//! `cargo bench --bench network [-- --rounds N]`. PyTorch runs in the Python of `NEUROD_TORCH`, else `python3` (Debian's is many
//! times slower without libopenblas0-pthread); onnxruntime in that of `NEUROD_PYTHON`, else of `.cache/venv`. The explicit form is timed on one batch of four graphs, and is said to take 48
//! times that an epoch: its cost is that of its edges.
//!
//! `cargo bench --bench network -- --memory` learns one epoch of N = 360, H = 360, batch 16, and tells the most memory that was
//! held (VmHWM) by this process, the networks and all else included.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a bench prints, and measures real time")]
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a bench stops at the first thing that is wrong")]

mod support;

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Instant;

use ndarray::{Array3, ArrayD, IxDyn};
use ndarray_npy::write_npy;
use neurod::network::deep::{DeepLearner, GraphNetwork, Saved, Trained, Training};
use neurod::network::{Fitted, Networks, Rows, Targets};
use serde_json::{Value, json};
use support::Peer;

const NODES: usize = 122;
const HIDDEN: usize = 256;
const GRAPHS: usize = 192;
const BATCH: usize = 16;
const EXPLICIT: usize = 4;

fn networks(graphs: usize, nodes: usize) -> (Networks, Targets) {
    let mut state = 7u64;
    let mut draw = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    };
    let mut connectivity = Array3::zeros((graphs, nodes, nodes));
    for mut a in connectivity.outer_iter_mut() {
        for i in 0..nodes {
            for j in 0..i {
                a[[i, j]] = f64::from(draw() as f32);
                a[[j, i]] = a[[i, j]];
            }
            a[[i, i]] = 1.0;
        }
    }
    let participants = (0..graphs).map(|i| i.to_string()).collect();
    let targets = Targets::Classes { names: vec!["a".into(), "b".into()], of: (0..graphs).map(|i| i % 2).collect() };
    (Networks { connectivity, participants, ..Networks::default() }, targets)
}

fn learn(
    data: &(Networks, Targets),
    graphs: usize,
    hidden: usize,
    lr: f64,
    begin: Option<&Saved>,
) -> Trained<GraphNetwork> {
    let training = Training { epochs: 1, batch: BATCH, lr, ..Training::default() };
    let learner = DeepLearner::new(GraphNetwork { hidden, ..GraphNetwork::default() }, training);
    let all: Vec<usize> = (0..graphs).collect();
    learner.learn(Rows { networks: &data.0, targets: &data.1, rows: &all }, None, 0, begin).unwrap()
}

/// PyTorch, which is told what to do line by line.
struct Torch(Peer);

impl Torch {
    fn start() -> Self {
        let python = std::env::var("NEUROD_TORCH").unwrap_or_else(|_| "python3".into());
        let sizes = [NODES, HIDDEN, GRAPHS].map(|size| size.to_string());
        let sized = |command: &mut Command| {
            command.args(sizes);
        };
        Self(Peer::running(&python, "braingb.py", sized).unwrap())
    }

    fn ask(&mut self, what: &Value, answer: &str) -> f64 {
        self.all(what)[answer].as_f64().unwrap()
    }

    fn all(&mut self, what: &Value) -> Value {
        self.0.ask(what).expect("PyTorch answers (set NEUROD_TORCH to a Python that has it)")
    }
}

fn median(times: &mut [f64]) -> f64 {
    times.sort_unstable_by(f64::total_cmp);
    times[times.len() / 2]
}

fn memory() {
    let data = networks(2 * BATCH, 360);
    learn(&data, 2 * BATCH, 360, 1e-3, None);
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    let kb: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    println!("one epoch of N = 360, H = 360, batch {BATCH}: at most {:.0} MB held", kb * 1024.0 / 1e6);
}

fn main() {
    let words: Vec<String> = std::env::args().collect();
    if words.iter().any(|word| word == "--memory") {
        return memory();
    }
    let after = words.iter().skip_while(|word| *word != "--rounds").nth(1);
    let rounds = after.map_or(5, |n| n.parse().unwrap());
    let data = networks(GRAPHS, NODES);
    let folder = tempfile::tempdir().unwrap();
    let still = learn(&data, BATCH, HIDDEN, 1e-30, None);
    let begin = still.saved().unwrap();
    for (name, shape, values) in &begin.learned {
        let values = ArrayD::from_shape_vec(IxDyn(shape), values.clone()).unwrap();
        write_npy(folder.path().join(format!("{name}.npy")), &values).unwrap();
    }
    write_npy(folder.path().join("connectivity.npy"), &data.0.connectivity).unwrap();
    let mut torch = Torch::start();
    let theirs = torch.all(&json!({ "load": folder.path() }));
    let number = |name: &str| theirs[name].as_f64().unwrap();
    let ours = still.history.loss[0];
    println!("loss of the first batch with the same weights: {ours:.7}, PyTorch {:.7}", number("loss"));
    println!(
        "loss of one graph in PyTorch: {:.7} dense, {:.7} with explicit edges",
        number("dense"),
        number("explicit")
    );
    assert!((ours - number("loss")).abs() < 1e-4 && (number("dense") - number("explicit")).abs() < 1e-4);

    let threads: Vec<usize> = (1..=std::thread::available_parallelism().map_or(1, usize::from)).collect();
    let best = threads.iter().copied().min_by_key(|t| {
        torch.ask(&json!({ "epoch": t }), "seconds");
        (1e6 * torch.ask(&json!({ "epoch": t }), "seconds")) as u64
    });
    let best = best.unwrap();
    let (mut us, mut dense, mut explicit) = (Vec::new(), Vec::new(), Vec::new());
    for _ in 0..rounds {
        let began = Instant::now();
        learn(&data, GRAPHS, HIDDEN, 1e-3, Some(&begin));
        us.push(began.elapsed().as_secs_f64());
        dense.push(torch.ask(&json!({ "epoch": best }), "seconds"));
        let step = torch.ask(&json!({ "explicit": EXPLICIT, "threads": best }), "seconds");
        explicit.push(step * (GRAPHS / EXPLICIT) as f64);
    }
    let [us, dense, explicit] = [&mut us, &mut dense, &mut explicit].map(|times| median(times));
    println!("one epoch, medians of {rounds} rounds in turn, {} cores:", threads.len());
    println!("  neurod                      {us:8.3} s");
    println!("  PyTorch, dense, {best} threads   {dense:8.3} s   {:.2} of its speed", dense / us);
    println!(
        "  PyTorch, explicit edges     {explicit:8.3} s   {:.1} times as fast (scaled from {EXPLICIT} graphs)",
        explicit / us
    );

    let model = folder.path().join("model.onnx");
    std::fs::write(&model, still.export().unwrap().unwrap().model).unwrap();
    let cached = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/venv/bin/python");
    let python = std::env::var_os("NEUROD_PYTHON").map_or(cached, PathBuf::from);
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/onnx_forward.py");
    let ran = Command::new(python).arg(script).arg(&model).arg(NODES.to_string()).output().unwrap();
    println!("one graph through onnxruntime: {} ms", String::from_utf8_lossy(&ran.stdout).trim());
    let status = Command::new(std::env::current_exe().unwrap()).arg("--memory").status().unwrap();
    assert!(status.success());
}

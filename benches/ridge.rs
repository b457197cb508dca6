//! How fast does the ridge learn? One update at F = 300, V = 1000, beside the same recursion in numpy and BLAS and a
//! scikit-learn refit, in the same run, interleaved, after checking that all of them learned the same weights.
//!
//! `cargo bench --bench ridge [-- --json] [--rounds N]`. The peers run in the Python of `NEUROD_PYTHON`, else of
//! `.cache/venv`; without one, ours alone are timed, and that is said. `neurod` runs one thread throughout; BLAS runs
//! once with one thread and once with its default.

#![allow(clippy::print_stdout, clippy::disallowed_methods, reason = "a bench prints, and measures real time")]
#![allow(clippy::expect_used, reason = "a bench that cannot go on says so and stops")]

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::time::Instant;

use hdrhistogram::Histogram;
use neurod::frame::Quality;
use neurod::ridge::{GuardConfig, Learner, RidgeConfig, Rls, Snapshot};
use serde_json::{Value, json};
use support::machine;

const F: usize = 300;
const V: usize = 1000;
/// Updates a round.
const COUNT: usize = 100;
const REFIT_ROWS: usize = 1000;
const LAMBDA: f64 = 10.0;
const KINDS: [&str; 4] = ["outer", "dger", "dger_t", "dsyr"];

/// Nanoseconds of one contender.
struct Times(Histogram<u64>);

impl Times {
    fn new() -> Self {
        Self(Histogram::new_with_bounds(1, 60_000_000_000, 3).expect("a minute in three digits is allowed"))
    }

    fn add(&mut self, nanoseconds: u64) {
        self.0.saturating_record(nanoseconds);
    }

    fn time<T>(&mut self, run: impl FnOnce() -> T) -> T {
        let start = Instant::now();
        let out = run();
        self.add(start.elapsed().as_nanos() as u64);
        out
    }

    fn median(&self) -> f64 {
        self.0.value_at_quantile(0.5) as f64 / 1e3
    }

    fn json(&self) -> Value {
        let at = |q| self.0.value_at_quantile(q) as f64 / 1e3;
        json!({"p50_us": at(0.5), "p99_us": at(0.99), "p999_us": at(0.999), "mean_us": self.0.mean() / 1e3, "n": self.0.len()})
    }
}

/// A Python process that runs the peers.
struct Peer {
    label: &'static str,
    child: Child,
    ask: ChildStdin,
    answer: BufReader<ChildStdout>,
    times: Vec<Times>,
    refit: Times,
}

impl Peer {
    fn start(python: &Path, label: &'static str, threads: Option<&str>) -> std::io::Result<Self> {
        let mut command = Command::new(python);
        command.arg(Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/peers/ridge.py"));
        for name in ["OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"] {
            match threads {
                Some(threads) => command.env(name, threads),
                None => command.env_remove(name),
            };
        }
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let ask = child.stdin.take().expect("piped");
        let answer = BufReader::new(child.stdout.take().expect("piped"));
        let times = KINDS.iter().map(|_| Times::new()).collect();
        Ok(Self { label, child, ask, answer, times, refit: Times::new() })
    }

    fn tell(&mut self, command: &str) -> Vec<u64> {
        writeln!(self.ask, "{command}").expect("the peer listens");
        let mut line = String::new();
        self.answer.read_line(&mut line).expect("the peer answers");
        let value: Value = serde_json::from_str(&line).expect("the peer needs numpy, scipy and scikit-learn");
        value.as_array().map(|list| list.iter().filter_map(Value::as_u64).collect()).unwrap_or_default()
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn python() -> Option<PathBuf> {
    let named = std::env::var_os("NEUROD_PYTHON").map(PathBuf::from);
    let cached = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/venv/bin/python");
    named.or(Some(cached)).filter(|path| path.exists())
}

fn rows(count: usize) -> Vec<f64> {
    let mut state = 9u64;
    let mut draw = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    let mut out = Vec::with_capacity(count * (F + V));
    for _ in 0..count {
        let first = out.len();
        out.extend((0..F).map(|_| draw()));
        for v in 0..V {
            let y = out[first + v % F] - 0.5 * out[first + (7 * v + 3) % F] + draw();
            out.push(y);
        }
    }
    out
}

fn argument(name: &str) -> Option<String> {
    std::env::args().skip_while(|a| a != name).nth(1)
}

fn main() {
    let wants_json = std::env::args().any(|a| a == "--json");
    let rounds: usize = argument("--rounds").and_then(|n| n.parse().ok()).unwrap_or(12).max(1);
    // One round to warm up, and enough rows for a refit.
    let data = rows(((rounds + 1) * COUNT).max(REFIT_ROWS));

    let folder = std::env::temp_dir().join(format!("neurod-bench-ridge-{}", std::process::id()));
    fs::create_dir_all(&folder).expect("a temporary folder");
    let mut peers = Vec::new();
    match python() {
        Some(python) => {
            let bytes: Vec<u8> = data.iter().flat_map(|v| v.to_le_bytes()).collect();
            fs::write(folder.join("rows"), bytes).expect("the rows are written");
            for (label, threads) in [("one thread", Some("1")), ("default threads", None)] {
                let mut peer = Peer::start(&python, label, threads).expect("the peer starts");
                peer.tell(&format!("load {} {F} {V}", folder.join("rows").display()));
                peers.push(peer);
            }
        }
        None => eprintln!("PEERS SKIPPED: no Python (set NEUROD_PYTHON to one with numpy, scipy and scikit-learn)"),
    }

    let mut rls = Rls::new(F, V, LAMBDA);
    let config =
        RidgeConfig { guard: GuardConfig { enabled: false, ..GuardConfig::default() }, ..RidgeConfig::default() };
    let mut learner = Learner::new(F, V, &config).expect("the shape is allowed");
    let (mut ours, mut whole) = (Times::new(), Times::new());
    let mut y = vec![0.0; V];
    for round in 0..=rounds {
        if round == 1 {
            // The first round filled caches and tables.
            (ours, whole) = (Times::new(), Times::new());
        }
        // BLAS threads spin for a while after their last call; nobody is to be timed beside them.
        std::thread::sleep(std::time::Duration::from_millis(100));
        let start = round * COUNT;
        for row in data[start * (F + V)..(start + COUNT) * (F + V)].chunks_exact(F + V) {
            y.copy_from_slice(&row[F..]);
            ours.time(|| {
                rls.evaluate(&row[..F]);
                rls.learn(&mut y)
            });
        }
        for row in data[start * (F + V)..(start + COUNT) * (F + V)].chunks_exact(F + V) {
            whole.time(|| learner.observe(&row[..F], &row[F..], Quality::GOOD));
        }
        for peer in &mut peers {
            std::thread::sleep(std::time::Duration::from_millis(100));
            for (kind, name) in KINDS.iter().enumerate() {
                let times = peer.tell(&format!("run {name} {start} {COUNT}"));
                if round > 0 {
                    times.into_iter().for_each(|t| peer.times[kind].add(t));
                }
            }
            let refits = peer.tell(&format!("refit {REFIT_ROWS} 1"));
            if round > 0 {
                refits.into_iter().for_each(|t| peer.refit.add(t));
            }
        }
    }

    // Nobody is timed who learned something else.
    let weights = rls.weights();
    let largest = weights.iter().fold(0.0, |m: f64, w| m.max(w.abs()));
    let mut apart = 0.0f64;
    for peer in &mut peers {
        for name in KINDS {
            let path = folder.join(format!("{name}.weights"));
            peer.tell(&format!("weights {name} {}", path.display()));
            let theirs = fs::read(&path).expect("the peer wrote its weights");
            let theirs = theirs.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b));
            apart = weights.iter().zip(theirs).fold(apart, |m, (a, b)| m.max((a - b).abs() / largest));
        }
    }
    // Best effort: a temporary folder.
    let _ = fs::remove_dir_all(&folder);
    assert!(apart <= 1e-9, "the contenders' weights differ by {apart:e}");

    let mut snapshot = Snapshot::new(320, 400);
    Learner::new(320, 400, &config).expect("the shape is allowed").snapshot_into(&mut snapshot);
    let (x, mut out) = (vec![0.3; 320], vec![0.0f32; 400]);
    let mut predict = Times::new();
    for i in 0..20_000 {
        if i == 1000 {
            predict = Times::new();
        }
        predict.time(|| snapshot.predict(std::hint::black_box(&x), std::hint::black_box(&mut out)));
    }

    let best = |kinds: std::ops::Range<usize>| {
        let all = peers.iter().flat_map(|p| kinds.clone().map(move |k| p.times[k].median()));
        all.fold(f64::INFINITY, f64::min)
    };
    let refit = peers.iter().map(|p| p.refit.median()).fold(f64::INFINITY, f64::min);
    let claim = |name: &str, ratio: f64, wanted: f64| json!({"claim": name, "ratio_of_medians": ratio, "wanted": wanted, "holds": ratio >= wanted});
    let mut claims = vec![json!({"claim": "predict F=320 V=400 f32, p50 under 30 us", "p50_us": predict.median(),
        "holds": predict.median() < 30.0})];
    if !peers.is_empty() {
        claims.push(claim("update / numpy with np.outer, the faster thread count", best(0..1) / ours.median(), 2.0));
        claims.push(claim("update / best BLAS form, the faster thread count", best(1..4) / ours.median(), 1.0));
        claims.push(claim("update / scikit-learn refit on 1000 rows", refit / ours.median(), 100.0));
    }
    let mut table = vec![
        ("ours: update (evaluate + learn)".to_owned(), ours.json()),
        ("ours: observe (update, moments, skill)".to_owned(), whole.json()),
        ("ours: predict F=320 V=400, f32".to_owned(), predict.json()),
    ];
    for peer in &peers {
        for (name, times) in KINDS.iter().zip(&peer.times) {
            table.push((format!("numpy/BLAS {name}, {}", peer.label), times.json()));
        }
        table.push((format!("scikit-learn refit, {}", peer.label), peer.refit.json()));
    }
    if wants_json {
        let table: serde_json::Map<String, Value> = table.into_iter().collect();
        println!(
            "{}",
            json!({"bench": "ridge", "machine": machine(), "features": F, "targets": V,
            "largest_relative_difference": apart, "times": table, "claims": claims})
        );
        return;
    }
    println!("{}; F = {F}, V = {V}; weights differ by at most {apart:.1e}", machine());
    println!("{:<42} {:>10} {:>10} {:>10} {:>10}", "", "p50 us", "p99 us", "p99.9 us", "mean us");
    for (name, times) in table {
        let of = |key: &str| times[key].as_f64().unwrap_or(f64::NAN);
        let (p50, p99, p999, mean) = (of("p50_us"), of("p99_us"), of("p999_us"), of("mean_us"));
        println!("{name:<42} {p50:>10.1} {p99:>10.1} {p999:>10.1} {mean:>10.1}");
    }
    claims.iter().for_each(|claim| println!("{claim}"));
}

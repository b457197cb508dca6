//! What do several benches need? The machine's name, a peer in Python that answers one JSON line with another, and a head.
#![allow(dead_code, reason = "each bench uses its part")]

use std::io::{BufRead, BufReader, Write};
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};

use anyhow::{Context, Result};
use hdrhistogram::Histogram;
use serde_json::{Value, json};

/// Percentiles of nanoseconds, in µs.
pub fn microseconds(histogram: &Histogram<u64>) -> Value {
    let at = |q| histogram.value_at_quantile(q) as f64 / 1e3;
    json!({ "p50": at(0.5), "p99": at(0.99), "p99.9": at(0.999) })
}

/// A line of a table of µs.
#[allow(clippy::print_stdout, reason = "a bench prints its result")]
pub fn print_line(name: &str, histogram: &Histogram<u64>) {
    let at = |q| histogram.value_at_quantile(q) as f64 / 1e3;
    println!("  {name:<40} {:>9.2} {:>9.2} {:>9.2}", at(0.5), at(0.99), at(0.999));
}

/// The processor's name, as the kernel tells it, the cores that may be used, and the system.
pub fn machine() -> String {
    let info = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let name = info.lines().find_map(|line| Some(line.strip_prefix("model name")?.split_once(": ")?.1));
    let cores = std::thread::available_parallelism().map_or(1, usize::from);
    format!("{}, {cores} cores, {}", name.unwrap_or(std::env::consts::ARCH), std::env::consts::OS)
}

/// A Python process that answers one JSON line with another.
pub struct Peer {
    process: Child,
    to: ChildStdin,
    from: BufReader<ChildStdout>,
}

impl Peer {
    /// Starts `benches/peers/SCRIPT` with the Python of `NEUROD_PYTHON`, else of `.cache/venv`.
    pub fn start(script: &str, adjust: impl FnOnce(&mut Command)) -> Result<Self> {
        let venv = concat!(env!("CARGO_MANIFEST_DIR"), "/.cache/venv/bin/python");
        Self::running(&std::env::var("NEUROD_PYTHON").unwrap_or_else(|_| venv.into()), script, adjust)
    }

    /// Starts it with this Python.
    pub fn running(python: &str, script: &str, adjust: impl FnOnce(&mut Command)) -> Result<Self> {
        let root = env!("CARGO_MANIFEST_DIR");
        let mut command = Command::new(python);
        command.arg(format!("{root}/benches/peers/{script}")).stdin(Stdio::piped()).stdout(Stdio::piped());
        adjust(&mut command);
        let mut process = command.spawn().with_context(|| {
            format!(
                "cannot start {python}: {script} needs a Python with its peer (NEUROD_PYTHON, of PyTorch NEUROD_TORCH)"
            )
        })?;
        let to = process.stdin.take().context("no pipe to the peer")?;
        let from = BufReader::new(process.stdout.take().context("no pipe from the peer")?);
        Ok(Self { process, to, from })
    }

    /// Its answer.
    pub fn ask(&mut self, question: &Value) -> Result<Value> {
        writeln!(self.to, "{question}")?;
        let mut line = String::new();
        self.from.read_line(&mut line)?;
        serde_json::from_str(&line).with_context(|| format!("the peer ended: {:?}", self.process.try_wait()))
    }
}

impl Drop for Peer {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// The middle of the brain in [`head`], in mm.
pub const CENTRE: [f64; 3] = [0.0, 2.0, 4.0];

/// A skull, a brain with folds, two ventricles: how bright a place in mm is.
pub fn head([x, y, z]: [f64; 3]) -> f64 {
    let inside = |centre: [f64; 3], radii: [f64; 3], edge: f64| {
        let r = [x, y, z].iter().zip(centre).zip(radii).map(|((p, c), r)| ((p - c) / r).powi(2)).sum::<f64>().sqrt();
        1.0 / (1.0 + ((r - 1.0) * edge).exp())
    };
    let folds = 1.0 + 0.2 * (x / 6.0).sin() * (y / 7.0).cos() * (z / 5.0 + 1.0).sin();
    300.0 * inside([0.0, 2.0, 0.0], [70.0, 84.0, 54.0], 30.0)
        + 500.0 * folds * inside(CENTRE, [58.0, 72.0, 44.0], 25.0)
        + 250.0 * inside([-12.0, 0.0, 8.0], [8.0, 20.0, 10.0], 6.0)
        + 250.0 * inside([12.0, 0.0, 8.0], [8.0, 20.0, 10.0], 6.0)
}

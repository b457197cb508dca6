//! LSL in → filter → ridge → LSL out: neurod beside the best pylsl + scipy loop and an empty liblsl relay.
//!
//! 64 channels at 1 kHz, band-pass of 4 sections, 5 taps (320 features), 400 regions. One outside source and one outside
//! sink for all contenders, taking turns; latency is from the moment a sample is due at the source to the moment its
//! result is in the sink's hands. What neurod and the peer compute is compared before any time is told.
//!
//! `cargo bench --bench lsl_loop [-- --seconds 10 --rounds 3 --json]`

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::disallowed_methods,
    clippy::print_stdout,
    missing_docs,
    reason = "a bench may stop by panicking"
)]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;

use lsl::{ChannelFormat, ExPushable, Pullable, StreamInfo, StreamInlet, StreamOutlet};
use neurod::frame::{Channel, MonotonicClock, Quality, Regions, Unit};
use neurod::ridge::LagsConfig;
use neurod::runtime::session::Session;
use neurod::runtime::{InputSpec, Predictor, PredictorConfig, VolumeTime};
use neurod::signal::design::{Band, butterworth};
use serde_json::json;

const CHANNELS: usize = 64;
const RATE: usize = 1000;
const TAPS: usize = 5;
const REGIONS: usize = 400;
/// Samples whose values are compared.
const CHECKED: usize = 2000;

struct Run {
    latency: Vec<f64>,
    /// Sample number and values.
    values: Vec<(i64, Vec<f32>)>,
    late: String,
}

fn main() {
    let args: Vec<String> = std::env::args().collect();
    let option = |name: &str, default: usize| {
        let at = args.iter().position(|a| a == name);
        at.and_then(|i| args.get(i + 1)).and_then(|v| v.parse().ok()).unwrap_or(default)
    };
    if let Some(at) = args.iter().position(|a| a == "--relay") {
        relay(&args[at + 1], &args[at + 2]);
    }
    let (seconds, rounds) = (option("--seconds", 10), option("--rounds", 3));
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("lsl_api.cfg"), "[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n").unwrap();
    prepare(folder.path());
    let contenders = ["relay", "pylsl+scipy", "neurod", "neurod, SCHED_FIFO"];
    let mut runs: Vec<Vec<Run>> = contenders.iter().map(|_| Vec::new()).collect();
    for round in 0..rounds {
        for (i, contender) in contenders.iter().enumerate() {
            runs[i].push(one(folder.path(), contender, round, seconds));
        }
    }
    compare(&runs[1][0], &runs[2][0]);
    let quantiles: Vec<[f64; 3]> = runs
        .iter()
        .map(|runs| {
            // The median of the rounds, quantile by quantile: a round that a neighbour spoiled does not decide.
            [0.5, 0.99, 0.999].map(|q| median(runs.iter().map(|run| quantile(&run.latency, q)).collect()))
        })
        .collect();
    if args.iter().any(|a| a == "--json") {
        let row =
            |(name, q): (&&str, &[f64; 3])| json!({ "name": name, "p50_us": q[0], "p99_us": q[1], "p999_us": q[2] });
        println!(
            "{}",
            json!({ "contenders": contenders.iter().zip(&quantiles).map(row).collect::<Vec<_>>(),
            "p50_ratio": quantiles[2][0] / quantiles[1][0], "over_relay_p50_us": quantiles[2][0] - quantiles[0][0],
            "over_relay_p99_us": quantiles[2][1] - quantiles[0][1] })
        );
        return;
    }
    println!("64 channels, 1 kHz, 320 features → 400 regions; {rounds} rounds of {seconds} s; µs from due to received");
    for (name, q) in contenders.iter().zip(&quantiles) {
        println!("  {name:20} p50 {:7.0}  p99 {:7.0}  p99.9 {:7.0}", q[0], q[1], q[2]);
    }
    println!("  source late by (median, p99): {}", runs[2][0].late);
    println!("  neurod / pylsl+scipy, p50: {:.2}", quantiles[2][0] / quantiles[1][0]);
    println!(
        "  neurod − relay: p50 {:+.0}, p99 {:+.0}",
        quantiles[2][0] - quantiles[0][0],
        quantiles[2][1] - quantiles[0][1]
    );
}

fn python() -> PathBuf {
    std::env::var_os("NEUROD_PYTHON").map_or_else(|| ".cache/venv/bin/python".into(), PathBuf::from)
}

/// Weights from a short training on noise, in a checkpoint for the daemon and as plain arrays for the peer.
fn prepare(folder: &Path) {
    let spec = neurod::frame::BlockSpec::new(Channel::numbered("EEG", CHANNELS, Unit::Microvolt), RATE as f64, 32);
    let delays = toml::from_str::<neurod::signal::SignalConfig>(&format!("delays = {{ taps = {TAPS} }}")).unwrap();
    let band =
        toml::from_str::<neurod::signal::SignalConfig>("bandpass = { low = 1.0, high = 40.0, order = 4 }").unwrap();
    let stages = [band, delays].iter().map(neurod::signal::build).collect();
    let chain = neurod::runtime::Chain::prepare(stages, &spec).unwrap();
    let names = (1..=REGIONS).map(|i| format!("region {i}")).collect();
    let regions = Arc::new(Regions::new(names, Unit::ZScore));
    let input: InputSpec = neurod::runtime::lane_learn::source_input("eeg", chain.output());
    let config = PredictorConfig {
        features: vec!["eeg".into()],
        targets: None,
        lags: LagsConfig::Fir(vec![0.0]),
        volume_time: VolumeTime::End,
        ridge: Default::default(),
        model: None,
        learn: false,
        glm: None,
    };
    let session = Session::new("bench", Arc::new(MonotonicClock));
    let mut predictor = Predictor::new("regions", &config, session, regions, 1.0 / RATE as f64, vec![input]).unwrap();
    let mut seed = 11u64;
    let mut noise = |n: usize| -> Vec<f64> {
        let mut draw = || {
            seed = seed.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
            (seed >> 11) as f64 / (1u64 << 53) as f64 * 20.0 - 10.0
        };
        (0..n).map(|_| draw()).collect()
    };
    let learner = predictor.learner_mut();
    learner.learn();
    for _ in 0..100 {
        let (x, y) = (noise(CHANNELS * TAPS), noise(REGIONS));
        learner.observe(&x, &y, Quality::GOOD);
    }
    predictor.save(&folder.join("state")).unwrap();
    let write = |name: &str, values: &[f64]| {
        fs::write(folder.join(name), values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
    };
    let learner = predictor.learner();
    write("w.f64", &learner.weights());
    write("xbar.f64", learner.means().0);
    write("ybar.f64", learner.means().1);
    let sections = butterworth(4, Band::Between(1.0, 40.0), RATE as f64);
    let sos: Vec<f64> = sections.iter().flat_map(|s| [s.b[0], s.b[1], s.b[2], 1.0, s.a[0], s.a[1]]).collect();
    write("sos.f64", &sos);
}

/// One contender for `seconds`, between the outside source and sink.
fn one(folder: &Path, contender: &str, round: usize, seconds: usize) -> Run {
    let tag = format!("{}-{round}-{}", std::process::id(), contender.replace(|c: char| !c.is_alphanumeric(), ""));
    let (source_name, out_name) = (format!("src-{tag}"), format!("out-{tag}"));
    let spawn = |command: &mut Command| -> (Child, std::io::Lines<BufReader<std::process::ChildStdout>>) {
        let command = command.env("LSLAPICFG", folder.join("lsl_api.cfg")).stdout(Stdio::piped());
        let mut child = command.spawn().unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap()).lines();
        (child, lines)
    };
    let peer = |script: &str| {
        let mut command = Command::new(python());
        command.arg(format!("benches/peers/{script}"));
        command
    };
    let (mut source, mut source_says) = spawn(
        peer("lsl_source.py")
            .args([&source_name, &source_name])
            .args([CHANNELS, RATE, seconds + 6].map(|n| n.to_string())),
    );
    let predicate = format!("name='{source_name}'");
    let (mut own, out_predicate) = match contender {
        "relay" => {
            let exe = std::env::current_exe().unwrap();
            (spawn(Command::new(exe).args(["--relay", &source_name, &out_name])).0, format!("name='{out_name}'"))
        }
        "pylsl+scipy" => {
            let mut command = peer("lsl_decode.py");
            command.args([&predicate, &out_name, &out_name]).arg(folder).arg(TAPS.to_string());
            (spawn(&mut command).0, format!("name='{out_name}'"))
        }
        _ => {
            let priority = if contender.contains("FIFO") { 50 } else { 0 };
            let config = format!(
                "[session]\nstate_dir = {:?}\nrealtime_priority = {priority}\n[service]\nlisten = \"127.0.0.1:0\"\n\
                 [sources.eeg]\ninput.lsl = {{ name = {source_name:?} }}\n\
                 signal = [{{ bandpass = {{ low = 1.0, high = 40.0, order = 4 }} }}, {{ delays = {{ taps = {TAPS} }} }}]\n\
                 [predictors.regions]\nfeatures = [\"eeg\"]\nlearn = false\nvolume_time = \"end\"\n[sinks.lsl]\nprefix = {out_name:?}\n",
                folder.join("state")
            );
            let path = folder.join(format!("{tag}.toml"));
            fs::write(&path, config).unwrap();
            let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
            command.args(["--log", "error", "run", "--config"]).arg(&path);
            (spawn(&mut command).0, format!("name='{out_name}.regions.decoded'"))
        }
    };
    let out = folder.join(&tag);
    let count = seconds * RATE;
    let mut command = peer("lsl_sink.py");
    let (mut sink, _sink_says) =
        spawn(command.arg(&out_predicate).args([count, CHECKED].map(|n| n.to_string())).arg(&out));
    let begun: f64 = source_says
        .by_ref()
        .map_while(Result::ok)
        .find_map(|line| line.strip_prefix("begun ").and_then(|t| t.parse().ok()))
        .expect("the source begins");
    assert!(sink.wait().unwrap().success(), "{contender}: the sink got too little");
    let late =
        source_says.map_while(Result::ok).find_map(|l| l.strip_prefix("late ").map(String::from)).unwrap_or_default();
    // The contender has done its part.
    let _ = own.kill();
    let _ = own.wait();
    let _ = source.wait();
    let floats = |suffix: &str| -> Vec<f64> {
        let bytes = fs::read(out.with_file_name(format!("{tag}.{suffix}.f64"))).unwrap();
        bytes.chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap())).collect()
    };
    let (latency, stamps) = (floats("latency"), floats("stamps"));
    let bytes = fs::read(out.with_file_name(format!("{tag}.values.f32"))).unwrap();
    let values: Vec<f32> = bytes.chunks_exact(4).map(|b| f32::from_le_bytes(b.try_into().unwrap())).collect();
    let width = values.len() / stamps.len().max(1);
    let number = |stamp: &f64| ((stamp - begun) * RATE as f64).round() as i64;
    let values = stamps.iter().map(number).zip(values.chunks_exact(width).map(<[f32]>::to_vec)).collect();
    Run { latency, values, late }
}

/// What two contenders made of the same samples must be equal before their times mean anything.
fn compare(peer: &Run, ours: &Run) {
    let mut compared = 0;
    let mut worst = 0f32;
    for (number, values) in &ours.values {
        let Some((_, theirs)) = peer.values.iter().find(|(n, _)| n == number) else { continue };
        let scale = theirs.iter().fold(1e-6f32, |m, v| m.max(v.abs()));
        worst = values.iter().zip(theirs).fold(worst, |w, (a, b)| w.max((a - b).abs() / scale));
        compared += 1;
    }
    assert!(compared > CHECKED / 2, "only {compared} samples could be compared");
    assert!(worst < 1e-3, "neurod and the peer differ by {worst} of the largest value");
    eprintln!("equal output: {compared} samples, largest difference {worst:.1e} of the largest value");
}

/// What comes in goes out, as wide as the others' output (the sink takes time for every value): the floor for anything
/// that uses liblsl.
fn relay(source: &str, out: &str) -> ! {
    neurod::native::load_lsl(None).unwrap();
    let found = lsl::resolve_bypred(&format!("name='{source}'"), 1, 60.0).unwrap();
    let inlet = StreamInlet::new(&found[0], 30, 0, false).unwrap();
    let rate = found[0].nominal_srate();
    let info = StreamInfo::new(out, "Relay", REGIONS as u32, rate, ChannelFormat::Float32, out).unwrap();
    let outlet = StreamOutlet::new(&info, 1, 60).unwrap();
    let mut sample: Vec<f32> = vec![0.0; CHANNELS];
    let mut wide: Vec<f32> = vec![0.0; REGIONS];
    loop {
        let Ok(stamp) = inlet.pull_sample_buf(&mut sample, 30.0) else { std::process::exit(0) };
        if stamp > 0.0 {
            wide[..CHANNELS].copy_from_slice(&sample);
            outlet.push_sample_ex(&wide, stamp, true).unwrap();
        }
    }
}

fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * q) as usize]
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    values[values.len() / 2]
}

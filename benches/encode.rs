//! What does an encoder add to its session? One encode inside its lane against a bare run of the same session settings
//! on inputs made ready beforehand, interleaved in one run, features compared. What ours adds is tokens, layout, the
//! check for finite values and the copy out. Claim: at most 10 µs more at the median, tokens apart.
//!
//! The claim is measured on small networks. Two sessions of the same 90 MB of weights differ by 50 µs and more between
//! themselves, by where in memory they came to lie; so MiniLM shows what a pass takes, not what is added to it.
//!
//!     make assets && cargo bench --bench encode
#![allow(clippy::disallowed_methods, reason = "a bench measures real time")]
#![allow(clippy::print_stdout, reason = "a bench reports to the terminal")]
#![allow(clippy::unwrap_used, reason = "a bench stops at the first thing that is wrong")]
#![allow(missing_docs, reason = "nobody calls a bench")]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use neurod::encoders::{Encoder, Input, ModelFiles, Runtime, TextEncoder, WindowEncoder};
use neurod::frame::{Event, MonotonicClock};
use neurod::publish::{FramePort, NoOutlets, Outgoing};
use neurod::ring::{Wake, link};
use neurod::runtime::features::Features;
use neurod::runtime::lane_infer::{InferInbox, InferLane, InferMessage, Listening};
use neurod::runtime::lanes::{LaneContext, Lanes, Role, Status};
use neurod::runtime::metrics::Metrics;
use neurod::runtime::priority::pin_to;
use neurod::runtime::session::Session;
use ort::session::{OutputSelector, RunOptions, Session as OrtSession, SessionInputValue};
use ort::value::TensorRef;
use sha2::{Digest, Sha256};

const WORDS: &str = r#"
name = "eight words"
licence = "CC0-1.0"
source = "tests/golden/make_encoders.py"
kind = "text"
output = "last"
pooling = "first"
dims = 4
text = { input_ids = "tokens", token_type_ids = "segments", max_tokens = 16 }
"#;

const SECOND: &str = r#"
name = "a second of EEG"
licence = "CC0-1.0"
source = "tests/golden/make_encoders.py"
kind = "window"
output = "features"
dims = 8
window = { input = "signal", axes = ["one", "channels", "time"], channels = 64, samples = 250, rate = 250.0 }
"#;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The peer: a session as our lanes have it, and nothing else.
struct Bare {
    session: OrtSession,
    options: RunOptions<ort::session::HasSelectedOutputs>,
}

impl Bare {
    fn load(runtime: &Runtime, files: &ModelFiles) -> Self {
        let builder = OrtSession::builder(runtime.environment()).unwrap();
        let builder = builder.with_intra_threads(1).unwrap().with_intra_op_spinning(false).unwrap();
        let session = { builder }.commit_from_memory(&files.model).unwrap();
        let wanted = OutputSelector::no_default().with(&files.manifest.output);
        Self { session, options: RunOptions::new().unwrap().with_outputs(wanted) }
    }

    /// One run; the first value, so that nothing is optimised away.
    fn run<const N: usize>(&mut self, inputs: [SessionInputValue<'_>; N]) -> f32 {
        let outputs = self.session.run_with_options(inputs, &self.options).unwrap();
        outputs[0].try_extract_tensor::<f32>().unwrap().1[0]
    }
}

/// How many rounds of which text.
const SENTENCES: [(usize, &str); 2] =
    [(1000, "rate pain"), (500, "painful heat of 45 degrees on the arm, imagine it is less painful")];

/// Seconds that this thread has computed. Both contenders compute on the caller's thread alone, so what they differ by
/// shows here even where other programs take turns on the core.
fn thread_seconds() -> f64 {
    let mut now = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is a valid timespec for the call to fill in; the clock exists on every supported kernel.
    unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut now) };
    now.tv_sec as f64 + now.tv_nsec as f64 * 1e-9
}

/// What one contender took in each round, in microseconds.
#[derive(Default)]
struct Times {
    wall: Vec<f64>,
    computed: Vec<f64>,
}

impl Times {
    fn take(&mut self, work: &mut dyn FnMut()) {
        let (start, computed) = (Instant::now(), thread_seconds());
        work();
        self.computed.push((thread_seconds() - computed) * 1e6);
        self.wall.push(start.elapsed().as_secs_f64() * 1e6);
    }
}

/// `rounds` rounds of each, taking turns at going first, after a tenth as many to warm up.
fn interleave(rounds: usize, mut ours: impl FnMut(), mut bare: impl FnMut()) -> [Times; 2] {
    let mut times = [Times::default(), Times::default()];
    for round in 0..rounds + rounds / 10 {
        if round == rounds / 10 {
            times = [Times::default(), Times::default()];
        }
        if round % 2 == 0 {
            times[0].take(&mut ours);
        }
        times[1].take(&mut bare);
        if round % 2 == 1 {
            times[0].take(&mut ours);
        }
    }
    times
}

fn quantile(values: &[f64], q: f64) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[((sorted.len() - 1) as f64 * q).round() as usize]
}

fn report(what: &str, [ours, bare]: &[Times; 2]) {
    let line = |v: &[f64]| [0.5, 0.99, 0.999].map(|q| format!("{:9.1}", quantile(v, q))).join(" ");
    println!("{what:<24} ours {}   bare {}", line(&ours.wall), line(&bare.wall));
}

fn report_added([ours, bare]: &[Times; 2]) {
    println!("{:<24} {:+14.1}", "  added", quantile(&ours.computed, 0.5) - quantile(&bare.computed, 0.5));
}

/// The median of what `work` computes for, in microseconds.
fn alone(what: &str, mut work: impl FnMut()) {
    let mut times = Times::default();
    (0..5000).for_each(|_| times.take(&mut work));
    println!("{what:<24} {:14.1}", quantile(&times.computed, 0.5));
}

/// A model folder of one of the tests' small networks.
fn small(name: &str, manifest: &str) -> ModelFiles {
    let folder = tempfile::tempdir().unwrap();
    let mut hashes = String::new();
    for (key, from, to) in
        [("model", &*format!("{name}.onnx"), "model.onnx"), ("tokenizer", "tokenizer.json", "tokenizer.json")]
    {
        let bytes = std::fs::read(repository("tests/golden/encoders").join(from)).unwrap();
        let hash: String = Sha256::digest(&bytes).iter().map(|byte| format!("{byte:02x}")).collect();
        hashes += &format!("{key} = \"{hash}\"\n");
        std::fs::write(folder.path().join(to), bytes).unwrap();
    }
    std::fs::write(folder.path().join("manifest.toml"), format!("{manifest}[sha256]\n{hashes}")).unwrap();
    ModelFiles::read(folder.path()).unwrap()
}

fn window(runtime: &Runtime) {
    let files = small("window_second", SECOND);
    let (mut encoder, mut bare) = (WindowEncoder::load(runtime, &files, 1).unwrap(), Bare::load(runtime, &files));
    let data: Vec<f64> = (0..64 * 250).map(|i| (i as f64 * 0.37).sin()).collect();
    let ready: Vec<f32> = (0..64 * 250).map(|i| data[i % 250 * 64 + i / 250] as f32).collect();
    let (mut feature, mut first) = (Vec::new(), 0.0);
    let times = interleave(
        20_000,
        || encoder.encode(&Input::Window { data: &data, channels: 64, samples: 250 }, &mut feature).unwrap(),
        || first = bare.run([TensorRef::from_array_view(([1usize, 64, 250], ready.as_slice())).unwrap().into()]),
    );
    assert_eq!(feature[0], first);
    report("window, 64 × 250", &times);
    report_added(&times);
}

/// One sentence by ours and bare. The bare session's inputs are the tokens and as many of `fill`, in this order or not.
fn text(
    runtime: &Runtime,
    files: &ModelFiles,
    sentence: &str,
    rounds: usize,
    tokens_first: bool,
    fill: i64,
) -> [Times; 2] {
    // No cache: each round is a pass.
    let (mut encoder, mut bare) = (TextEncoder::load(runtime, files, 0, 1).unwrap(), Bare::load(runtime, files));
    let ids: Vec<i64> = encoder.tokens(sentence).unwrap().into_iter().map(i64::from).collect();
    let (other, shape) = (vec![fill; ids.len()], [1, ids.len()]);
    let (mut feature, mut first) = (Vec::new(), 0.0);
    let times = interleave(
        rounds,
        || encoder.encode(&Input::Text(sentence), &mut feature).unwrap(),
        || {
            let ids = TensorRef::from_array_view((shape, ids.as_slice())).unwrap();
            let other = TensorRef::from_array_view((shape, other.as_slice())).unwrap();
            first = bare.run(if tokens_first { [ids.into(), other.into()] } else { [other.into(), ids.into()] });
        },
    );
    assert_eq!(feature[0], first);
    report(&format!("{}, {} tokens", files.manifest.name, ids.len()), &times);
    times
}

/// From one lane to the encoder's and back, against two bare wake-ups: an event is posted, its features are received. The
/// words are remembered after the first pass, so that the way is measured, not the pass.
fn crossing(files: &ModelFiles, runtime: &Runtime) {
    let context = LaneContext::new(
        Session::new("bench", Arc::new(MonotonicClock)),
        Arc::new(Nobody),
        Arc::new(NoOutlets),
        Arc::new(Status::default()),
        None,
    );
    let (inbox, wake) = (InferInbox::new(16), Wake::new());
    let (sender, mut receiver) = link(16, Features::default, Arc::clone(&wake));
    let lane = InferLane {
        name: "words".into(),
        encoder: Box::new(TextEncoder::load(runtime, files, 16, 1).unwrap()),
        deadline: 1.0,
        listening: Listening::Words,
        inbox: Arc::clone(&inbox),
        features: sender,
        metrics: Metrics::new("bench").unwrap().encoder("words"),
    };
    // The other side of both on another processor, where the system might have put only one of them: threads inherit.
    pin_to(1).unwrap();
    let mut lanes = Lanes::new(context);
    lanes.start(Role::Infer, "words", Arc::clone(&inbox.wake), move |context| lane.run(context)).unwrap();
    let (there, back) = (Wake::new(), Wake::new());
    let (calls, answers) = (Arc::new(AtomicU64::new(0)), Arc::new(AtomicU64::new(0)));
    let echo = {
        let (there, back, calls, answers) = (there.clone(), back.clone(), calls.clone(), answers.clone());
        move || {
            there.attach();
            while answers.load(Ordering::Acquire) < u64::MAX {
                let called = calls.load(Ordering::Acquire);
                if called == u64::MAX {
                    return;
                }
                if answers.swap(called, Ordering::AcqRel) != called {
                    back.ring();
                } else {
                    there.sleep(Duration::from_millis(100));
                }
            }
        }
    };
    let echo = std::thread::spawn(echo);
    pin_to(0).unwrap();
    wake.attach();
    back.attach();
    let event = Event { text: Some("rate the pain of heat on your arm".into()), ..Event::default() };
    let (mut ours, mut bare) = (Vec::new(), Vec::new());
    for round in 0..4400u64 {
        // Both sides asleep, as they are when an event comes.
        std::thread::sleep(Duration::from_micros(500));
        let began = Instant::now();
        if round % 2 == 0 {
            assert!(inbox.post(InferMessage::Event(event.clone(), neurod::frame::Instant::default())));
            while receiver.receive().is_none() {
                wake.sleep(Duration::from_millis(100));
            }
            ours.push(began.elapsed().as_secs_f64() * 1e6);
        } else {
            calls.store(round, Ordering::Release);
            there.ring();
            while answers.load(Ordering::Acquire) != round {
                back.sleep(Duration::from_millis(100));
            }
            bare.push(began.elapsed().as_secs_f64() * 1e6);
        }
    }
    calls.store(u64::MAX, Ordering::Release);
    there.ring();
    echo.join().unwrap();
    lanes.stop(Duration::from_secs(5));
    let line = |v: &[f64]| [0.5, 0.99, 0.999].map(|q| format!("{:9.1}", quantile(v, q))).join(" ");
    println!("{:<24} ours {}   two wake-ups {}", "lane crossing", line(&ours[200..]), line(&bare[200..]));
}

/// Frames for nobody.
struct Nobody;

impl FramePort for Nobody {
    fn send(&self, _: Outgoing) {}
}

fn main() {
    let library = repository(".cache/lib/libonnxruntime.so");
    if !library.exists() {
        println!("SKIPPED: {} is missing: run `make assets`", library.display());
        return;
    }
    let runtime = Runtime::load(Some(&library)).unwrap();
    let machine = std::fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = machine.lines().find_map(|l| l.strip_prefix("model name")).unwrap_or(": unknown processor");
    println!("encode, µs: p50, p99, p99.9; added and alone: median of the thread's computing time; one thread");
    println!("processor{}", model.trim_start());
    window(&runtime);

    let (files, sentence) = (small("text", WORDS), "rate the pain of heat on your arm");
    report_added(&text(&runtime, &files, sentence, 20_000, false, 0));
    let encoder = TextEncoder::load(&runtime, &files, 0, 1).unwrap();
    alone("  of which its tokens", || assert!(!encoder.tokens(sentence).unwrap().is_empty()));
    crossing(&files, &runtime);

    let folder = repository(".cache/models/minilm");
    if !folder.exists() {
        println!("SKIPPED: {} is missing: run `make assets`", folder.display());
        return;
    }
    let files = ModelFiles::read(&folder).unwrap();
    for (rounds, sentence) in SENTENCES {
        text(&runtime, &files, sentence, rounds, true, 1);
        let mut encoder = TextEncoder::load(&runtime, &files, 16, 1).unwrap();
        alone("  of which its tokens", || assert!(!encoder.tokens(sentence).unwrap().is_empty()));
        let mut feature = Vec::new();
        alone("  a remembered text", || encoder.encode(&Input::Text(sentence), &mut feature).unwrap());
    }
}

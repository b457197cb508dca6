//! A service on a free port, with a daemon behind it that does what the test says; and clients for it.
#![allow(clippy::panic, reason = "a test fails by panicking")]
#![allow(dead_code, reason = "each test file uses its part")]

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use neurod::frame::{ClockStamp, FrameKind, Instant, ModelStamp, Quality, RegionFrame, Regions, Unit};
use neurod::publish::{FramePort, Outgoing};
use neurod::runtime::metrics::Metrics;
use neurod::service::{Command, Control, FrameBus, Health, Parts, Place, Service, ServiceConfig};
use serde_json::{Value, json};

/// Longer than anything takes that works.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// A daemon in the test's hands.
#[derive(Default)]
pub struct Daemon {
    pub beats: AtomicU64,
    pub hangs: AtomicBool,
    pub waiting: Mutex<Vec<(String, String)>>,
    pub commands: Mutex<Vec<Command>>,
}

impl Health for Daemon {
    fn not_ready(&self) -> Vec<(String, String)> {
        self.waiting.lock().unwrap().clone()
    }
    fn beats(&self) -> u64 {
        self.beats.fetch_add(u64::from(!self.hangs.load(Ordering::Relaxed)), Ordering::Relaxed)
    }
    fn summary(&self) -> Value {
        json!({"session": "test"})
    }
}

impl Control for Daemon {
    fn command(&self, command: Command) -> Result<Value, String> {
        if matches!(&command, Command::Learn { predictor: Some(name) } if name == "nobody") {
            return Err("there is no predictor \"nobody\" (there is: regions)".into());
        }
        self.commands.lock().unwrap().push(command);
        Ok(json!({"done": true}))
    }
}

/// A running service.
pub struct Running {
    pub service: Service,
    pub daemon: Arc<Daemon>,
    pub metrics: Arc<Metrics>,
    pub bus: Arc<FrameBus>,
}

/// Starts a service of this configuration (TOML, without `listen`) that is ready.
pub fn start(config: &str) -> Running {
    start_with(config, None)
}

/// The same, writing JSON lines.
pub fn start_with(config: &str, jsonl: Option<std::path::PathBuf>) -> Running {
    let config: ServiceConfig = toml::from_str(&format!("listen = \"127.0.0.1:0\"\n{config}")).unwrap();
    let daemon = Arc::new(Daemon::default());
    let metrics = Metrics::new("test").unwrap();
    let bus = FrameBus::new(&metrics);
    let parts = Parts {
        metrics: Arc::clone(&metrics),
        status: Arc::clone(&daemon) as Arc<dyn Health>,
        control: Arc::clone(&daemon) as Arc<dyn Control>,
        bus: Arc::clone(&bus),
        jsonl,
    };
    let service = Service::start(Place::take(&config).unwrap(), parts).unwrap();
    service.mark_ready();
    Running { service, daemon, metrics, bus }
}

impl Running {
    pub fn address(&self) -> SocketAddr {
        self.service.local_addr()
    }

    /// Sends one frame of `values` values and its names.
    pub fn publish(&self, seq: u64, values: usize) {
        self.publish_as("regions", FrameKind::Encoded, seq, values);
    }

    pub fn publish_as(&self, predictor: &str, kind: FrameKind, seq: u64, values: usize) {
        self.bus.send(Outgoing::Frame(Arc::new(frame(predictor, kind, seq, values))));
    }

    /// Status 200 and the body, or the status and what is wrong.
    pub fn get(&self, path: &str) -> (u16, String) {
        ask(self.address(), "GET", path, &[], "")
    }

    pub fn post(&self, path: &str, body: &str) -> (u16, String) {
        ask(self.address(), "POST", path, &[], body)
    }

    /// Asks again until the answer is as wished.
    pub fn until(&self, path: &str, wished: impl Fn(u16, &str) -> bool) -> String {
        until(path, || {
            let (status, body) = self.get(path);
            wished(status, &body).then_some(body)
        })
    }
}

/// Tries until something comes; panics when nothing does within [`PATIENCE`].
pub fn until<T>(what: &str, attempt: impl Fn() -> Option<T>) -> T {
    for _ in 0..PATIENCE.as_millis() / 10 {
        if let Some(found) = attempt() {
            return found;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
    panic!("{what}: nothing within {PATIENCE:?}");
}

/// One request over a connection of its own.
pub fn ask(to: SocketAddr, method: &str, path: &str, headers: &[(&str, &str)], body: &str) -> (u16, String) {
    let mut request = format!("{method} {path} HTTP/1.1\r\nConnection: close\r\nContent-Length: {}\r\n", body.len());
    if !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("host")) {
        request += &format!("Host: {to}\r\n");
    }
    for (name, value) in headers {
        request += &format!("{name}: {value}\r\n");
    }
    let answer = exchange(to, &format!("{request}\r\n{body}"));
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or_else(|| panic!("no answer: {answer:?}"));
    (head.split(' ').nth(1).unwrap().parse().unwrap(), body.to_owned())
}

/// Sends these bytes and reads to the end.
pub fn exchange(to: SocketAddr, request: &str) -> String {
    let mut socket = TcpStream::connect(to).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    // A request that is refused for its size may be answered before it has been sent whole.
    let _ = socket.write_all(request.as_bytes());
    let mut answer = Vec::new();
    let _ = socket.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// The regions of frames of so many values.
pub fn regions(values: usize) -> Regions {
    Regions::new((1..=values).map(|i| format!("region {i}")).collect(), Unit::ZScore)
}

/// A frame of so many values.
pub fn frame(predictor: &str, kind: FrameKind, seq: u64, values: usize) -> RegionFrame {
    let at = |s: f64| Instant::from_seconds(1000.0 + seq as f64 + s);
    RegionFrame {
        schema: RegionFrame::SCHEMA,
        session: "test".into(),
        run: 1,
        seq,
        predictor: predictor.into(),
        kind,
        t_target: at(0.0),
        t_measured: at(0.25),
        t_arrived: at(0.5),
        t_published: at(0.75),
        clock: ClockStamp { name: "monotonic", unix_offset: 1.7e9 },
        age_s: 0.5,
        unit: Unit::ZScore,
        regions_id: regions(values).regions_id,
        values: (0..values).map(|i| i as f32 * 0.125 - 1.0).collect(),
        skill: Some(vec![0.25; values]),
        quality: Quality::GOOD,
        model: ModelStamp { id: "regions/sentence".into(), sha256: "ab".repeat(32).into(), updates: seq },
    }
}

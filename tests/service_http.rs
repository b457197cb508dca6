//! Does the service answer what it should, and nobody else? Over real sockets.

#![allow(clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "common/mod.rs"]
mod common;
#[path = "common/service.rs"]
mod service;

use std::io::Write;
use std::process::{Command as Process, Stdio};
use std::sync::atomic::Ordering;
use std::time::Duration;

use neurod::frame::FrameKind;
use neurod::service::{Command, Place, Service, ServiceConfig, ServiceError};
use serde_json::Value;
use service::*;

fn json(text: &str) -> Value {
    serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {text}"))
}

#[test]
fn readiness_fails_closed() {
    let config: ServiceConfig = toml::from_str("listen = \"127.0.0.1:0\"").unwrap();
    let running = start("");
    let parts = neurod::service::Parts {
        metrics: running.metrics.clone(),
        status: running.daemon.clone(),
        control: running.daemon.clone(),
        bus: neurod::service::FrameBus::new(&running.metrics),
        jsonl: None,
    };
    let unmarked = Service::start(Place::take(&config).unwrap(), parts).unwrap();
    let (status, body) = ask(unmarked.local_addr(), "GET", "/readyz", &[], "");
    assert_eq!((status, &json(&body)["waiting_for"][0]["part"]), (503, &"neurod".into()), "nothing waits, yet: {body}");
    unmarked.mark_ready();
    assert_eq!(ask(unmarked.local_addr(), "GET", "/readyz", &[], "").0, 200);

    running.daemon.waiting.lock().unwrap().push(("source eeg".into(), "no stream of type EEG".into()));
    let (status, body) = running.get("/readyz");
    assert_eq!(status, 503);
    assert_eq!(json(&body)["waiting_for"][0]["reason"], "no stream of type EEG");
    assert!(running.get("/metrics").1.contains("neurod_ready 0"));
    running.daemon.waiting.lock().unwrap().clear();
    assert_eq!(running.get("/readyz").0, 200);
    assert!(running.get("/metrics").1.contains("neurod_ready 1"));
}

#[test]
fn health_follows_the_heartbeat() {
    let running = start("");
    assert_eq!(running.get("/healthz").0, 200);
    running.daemon.hangs.store(true, Ordering::Relaxed);
    running.until("/healthz", |status, body| status == 503 && body.contains("stood still"));
    running.daemon.hangs.store(false, Ordering::Relaxed);
    running.until("/healthz", |status, _| status == 200);
}

#[test]
fn commands_reach_the_daemon_and_mistakes_say_their_fix() {
    let running = start("");
    assert_eq!(running.post("/api/v1/learn", ""), (200, "{\"done\":true}\n".into()));
    assert_eq!(running.post("/api/v1/marker", r#"{"label":"run","events":"scanner"}"#).0, 200);
    assert_eq!(
        *running.daemon.commands.lock().unwrap(),
        [
            Command::Learn { predictor: None },
            Command::Marker { events: Some("scanner".into()), text: None, label: Some("run".into()), duration: None }
        ]
    );
    let large = format!("{{\"text\":\"{}\"}}", "x".repeat(70_000));
    for (path, body, status, says) in [
        ("/api/v1/freeze", r#"{"predictr":"a"}"#, 400, "unknown field `predictr`"),
        ("/api/v1/marker", large.as_str(), 413, "64 KiB"),
        ("/api/v1/teach", "", 404, "learn, freeze, run, marker, checkpoint"),
        ("/api/v1/learn", r#"{"predictor":"nobody"}"#, 422, "there is: regions"),
        ("/metrics", "", 405, "GET"),
        ("/nowhere", "", 404, "/metrics"),
    ] {
        let (got, answer) = running.post(path, body);
        assert_eq!(got, status, "{path}: {answer}");
        let answer = json(&answer);
        assert!(answer["fix"].is_string() && answer.to_string().contains(says), "{path}: {answer}");
    }
    assert_eq!(running.get("/api/v1/learn").0, 405);
}

#[test]
fn other_hosts_and_other_pages_are_kept_out() {
    let running = start("");
    let ask = |method, path, headers: &[(&str, &str)]| ask(running.address(), method, path, headers, "").0;
    let own = format!("http://{}", running.address());
    assert_eq!(ask("GET", "/metrics", &[("Host", "rebound.example:9464")]), 403);
    assert_eq!(ask("POST", "/api/v1/freeze", &[("Origin", "https://evil.example")]), 403);
    assert_eq!(ask("POST", "/api/v1/freeze", &[("Origin", "http://localhost:1")]), 403);
    assert_eq!(ask("POST", "/api/v1/freeze", &[("Origin", "null")]), 403);
    assert!(running.daemon.commands.lock().unwrap().is_empty());
    assert_eq!(ask("POST", "/api/v1/freeze", &[("Origin", &own)]), 200);
    let upgrade = [("Upgrade", "websocket"), ("Sec-WebSocket-Version", "13"), ("Origin", "https://evil.example")];
    assert_eq!(ask("GET", "/ws", &upgrade), 403);
}

#[test]
fn with_a_token_only_health_and_the_empty_page_are_open() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("token");
    std::fs::write(&path, "0123456789abcdef0123\n").unwrap();
    let running = start(&format!("token_file = {path:?}\nhosts = [\"brain.example.org\"]"));
    for path in ["/healthz", "/readyz", "/"] {
        assert_eq!(running.get(path).0, 200, "{path}");
    }
    for path in ["/metrics", "/api/v1/status", "/api/v1/regions", "/ws", "/nowhere"] {
        assert_eq!(running.get(path).0, 401, "{path}");
        let wrong = [("Authorization", "Bearer 0123456789abcdef0124")];
        assert_eq!(ask(running.address(), "GET", path, &wrong, "").0, 401, "{path}");
    }
    let right = ("Authorization", "Bearer 0123456789abcdef0123");
    assert_eq!(ask(running.address(), "GET", "/metrics", &[right], "").0, 200);
    let proxied = [right, ("Host", "brain.example.org"), ("Origin", "https://brain.example.org")];
    assert_eq!(ask(running.address(), "POST", "/api/v1/run", &proxied, "").0, 200);
    assert_eq!(running.post("/api/v1/run", "").0, 401);
}

#[test]
fn a_port_in_use_is_an_error_now_that_names_it_and_the_fix() {
    let running = start("");
    let config = ServiceConfig { listen: running.address().to_string(), ..ServiceConfig::default() };
    let error = Place::take(&config).err().unwrap();
    assert!(matches!(error, ServiceError::InUse { .. }) && !error.is_config());
    let text = error.to_string();
    let port = running.address().port().to_string();
    assert!(text.contains(&port) && text.contains("in use") && text.contains("service.listen"), "{text}");
}

#[test]
fn status_regions_and_the_page_are_there() {
    let running = start("");
    running.publish(0, 3);
    let status = json(&running.get("/api/v1/status").1);
    assert_eq!((&status["ready"], &status["daemon"]["session"]), (&true.into(), &"test".into()));
    assert_eq!(status["dropped"]["websocket"], 0);
    assert_eq!(json(&running.get("/api/v1/regions").1), Value::Array(Vec::new()));
    neurod::publish::FramePort::send(
        running.bus.as_ref(),
        neurod::publish::Outgoing::Regions(std::sync::Arc::new(regions(3))),
    );
    assert_eq!(json(&running.get("/api/v1/regions").1)[0]["names"][2], "region 3");
    let page = exchange(
        running.address(),
        &format!("GET / HTTP/1.1\r\nHost: {}\r\nConnection: close\r\n\r\n", running.address()),
    );
    assert!(page.contains("content-security-policy: default-src 'none'") && page.contains("<!doctype html>"));
}

#[test]
fn metrics_pass_promtool() {
    let running = start("");
    let stats = std::sync::Arc::new(neurod::acquisition::SourceStats::default());
    stats.set_newest(neurod::frame::Instant::from_seconds(1.0));
    let clock = std::sync::Arc::new(neurod::frame::MonotonicClock) as std::sync::Arc<dyn neurod::frame::Clock>;
    let source = running.metrics.source("eeg", stats, &clock);
    source.stage("bandpass").observe(1e-5);
    source.realtime(true);
    let predictor = running.metrics.predictor("regions");
    predictor.frame(&frame("regions", FrameKind::Encoded, 0, 3), 1.0);
    predictor.search(1e-12, 40.0);
    predictor.checkpoint(false);
    running.metrics.encoder("sentence");
    let (status, text) = running.get("/metrics");
    assert_eq!(status, 200);
    for family in
        ["neurod_build_info{", "neurod_sink_dropped_total{sink=\"websocket\"} 0", "neurod_websocket_clients 0"]
    {
        assert!(text.contains(family), "{family}\n{text}");
    }
    let promtool = Process::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let why = |error: std::io::Error| format!("{error}; apt-get install prometheus");
    let Some(mut promtool) = common::peer("promtool", promtool.map_err(why)) else { return };
    promtool.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    let output = promtool.wait_with_output().unwrap();
    assert!(output.status.success() && output.stderr.is_empty(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn a_pipe_that_nobody_reads_blocks_neither_metrics_nor_clients_nor_the_end() {
    let folder = tempfile::tempdir().unwrap();
    let pipe = folder.path().join("pipe");
    assert!(Process::new("mkfifo").arg(&pipe).status().unwrap().success());
    let reader = std::fs::OpenOptions::new().read(true).write(true).open(&pipe).unwrap();
    let running = start_with("", Some(pipe));
    let socket = format!(
        "GET /ws HTTP/1.1\r\nHost: {}\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\n\
         Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n",
        running.address()
    );
    let mut client = std::net::TcpStream::connect(running.address()).unwrap();
    client.write_all(socket.as_bytes()).unwrap();
    running.until("/api/v1/status", |_, body| json(body)["clients"] == 1);
    // Far more than a pipe holds.
    (0..100).for_each(|seq| running.publish(seq, 2000));
    let read = std::thread::scope(|scope| {
        let reading = scope.spawn(|| {
            let (mut total, mut buffer) = (0, vec![0; 65_536]);
            client.set_read_timeout(Some(PATIENCE)).unwrap();
            while total < 100 * 2000 * 4 {
                total += std::io::Read::read(&mut client, &mut buffer).unwrap();
            }
            total
        });
        assert_eq!(running.get("/metrics").0, 200);
        reading.join().unwrap()
    });
    assert!(read >= 100 * 2000 * 4);
    drop(client);
    assert!(!running.service.stop(Duration::from_millis(100)), "the lines are still in the pipe's way");
    drop(reader);
}

//! Is it operated as promised? The unit as systemd sees it, the rules as Prometheus does, and what systemd is told.

#![allow(clippy::panic, reason = "a test that cannot go on fails")]
#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

#[path = "common/mod.rs"]
mod common;
#[path = "common/service.rs"]
mod service;

use std::collections::BTreeSet;
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use neurod::frame::{Clock, FrameKind, MonotonicClock};
use neurod::runtime::metrics::Metrics;
use neurod::service::systemd;
use service::PATIENCE;

const UNIT: &str = include_str!("../deploy/neurod.service");
const RULES: &str = include_str!("../deploy/prometheus-rules.yml");

fn said(output: &Output) -> String {
    String::from_utf8_lossy(&[output.stdout.as_slice(), &output.stderr].concat()).into_owned()
}

fn systemd_analyze() -> Option<()> {
    let version = Command::new("systemd-analyze").arg("--version").output();
    let why = |error: std::io::Error| format!("{error}; apt-get install systemd");
    common::peer("systemd-analyze", version.map(drop).map_err(why))
}

#[test]
fn the_unit_exposes_little() {
    if systemd_analyze().is_none() {
        return;
    }
    let unit = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/neurod.service");
    let security = ["security", "--offline=true", "--no-pager", "--threshold=20"];
    let output = Command::new("systemd-analyze").args(security).arg(unit).output().unwrap();
    let said = said(&output);
    let level = said.rsplit("exposure level for neurod.service: ").next().and_then(|rest| rest.split(' ').next());
    let level: f64 = level.and_then(|level| level.parse().ok()).unwrap_or_else(|| panic!("{said}"));
    assert!(level <= 2.0 && output.status.success(), "{said}");
}

#[test]
fn the_unit_is_one_and_leaves_lsl_and_real_time_their_way() {
    for line in ["Type=notify", "ExecReload=/bin/kill -HUP $MAINPID", "RestartPreventExitStatus=64 65 78"] {
        assert!(UNIT.lines().any(|l| l == line), "{line}");
    }
    for in_the_way in ["IPAddressDeny", "IPAddressAllow", "PrivateNetwork=yes", "RestrictRealtime=yes"] {
        assert!(!UNIT.contains(in_the_way), "{in_the_way}");
    }
    if systemd_analyze().is_none() {
        return;
    }
    // The unit as it is, but for a program that this machine has.
    let folder = tempfile::tempdir().unwrap();
    let copy = folder.path().join("neurod.service");
    let here = env!("CARGO_BIN_EXE_neurod");
    assert!(UNIT.contains("ExecStart=/usr/bin/neurod run --config "));
    std::fs::write(&copy, UNIT.replace("/usr/bin/neurod", here)).unwrap();
    let output = Command::new("systemd-analyze").args(["verify", "--man=no"]).arg(&copy).output().unwrap();
    let said = said(&output);
    assert!(output.status.success() && !said.contains("neurod.service:"), "{said}");
}

#[test]
fn the_rules_are_rules_about_metrics_that_there_are() {
    let metrics = Metrics::new("test").unwrap();
    let clock = Arc::new(MonotonicClock) as Arc<dyn Clock>;
    let source = metrics.source("eeg", Arc::default(), &clock);
    source.dropped();
    let predictor = metrics.predictor("regions");
    predictor.frame(&service::frame("regions", FrameKind::Decoded, 0, 1), 1.0);
    metrics.encoder("sentence");
    metrics.sink("websocket");
    let text = metrics.text().unwrap();
    let asked: BTreeSet<&str> = RULES
        .lines()
        .filter(|line| line.trim_start().starts_with("expr:"))
        .flat_map(|line| line.split(|c: char| !(c.is_ascii_alphanumeric() || c == '_')))
        .filter(|word| word.starts_with("neurod_"))
        .collect();
    assert!(asked.len() >= 10, "{asked:?}");
    for name in asked {
        assert!(
            text.lines().any(|line| line.starts_with(&format!("{name}{{")) || line.starts_with(&format!("{name} "))),
            "{name}"
        );
    }
    let rules = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus-rules.yml");
    let output = Command::new("promtool").args(["check", "rules"]).arg(rules).output();
    let why = |error: std::io::Error| format!("{error}; apt-get install prometheus");
    let Some(output) = common::peer("promtool", output.map_err(why)) else { return };
    assert!(output.status.success(), "{}", said(&output));
}

/// Runs in a process of its own, which has systemd's variables in its environment.
#[test]
#[ignore = "the next test starts it"]
fn a_daemon_that_tells_systemd() {
    systemd::ready();
    systemd::reloading();
    systemd::status("two\nlines");
    systemd::stopping();
    let mut watchdog = systemd::Watchdog::from_env();
    watchdog.feed(1);
    let now = MonotonicClock.now();
    // The lanes stand still for ten times as long as the watchdog waits, and then move.
    while MonotonicClock.now() - now < 0.3 {
        watchdog.feed(1);
    }
    systemd::status("moves again");
    watchdog.feed(2);
}

#[test]
fn systemd_hears_what_it_should_and_the_watchdog_only_of_moving_lanes() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let output = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "a_daemon_that_tells_systemd", "--ignored"])
        .env("NOTIFY_SOCKET", &path)
        .env("WATCHDOG_USEC", "30000")
        .env_remove("WATCHDOG_PID")
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", said(&output));
    let mut heard = Vec::new();
    while heard.last().is_none_or(|last| last != "WATCHDOG=1") || heard.len() < 7 {
        let mut buffer = [0; 512];
        let len = socket.recv(&mut buffer).unwrap_or_else(|error| panic!("{error}: {heard:?}"));
        heard.push(String::from_utf8_lossy(&buffer[..len]).trim().to_owned());
    }
    assert_eq!(heard[0], "READY=1\nSTATUS=ready");
    assert!(heard[1].starts_with("RELOADING=1\nMONOTONIC_USEC="), "{:?}", heard[1]);
    assert_eq!(heard[2], "STATUS=two lines");
    assert!(heard[3].starts_with("STOPPING=1"));
    assert_eq!(heard[4..], ["WATCHDOG=1", "STATUS=moves again", "WATCHDOG=1"]);
}

//! What does this machine lack, and how is it mended?

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::table;
use crate::app::{Settings, wiring};
use crate::cli::DoctorArgs;
use crate::encoders;
use crate::frame::{Clock, MonotonicClock};
use crate::native::{self, Library};
use crate::runtime::priority;

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    good: bool,
    /// What was found.
    found: String,
    /// What to do about it; empty where nothing needs to be done.
    fix: String,
}

/// Looks at everything neurod depends on and says what to do about what is missing.
///
/// # Errors
/// A configuration that cannot be read. What is missing is a finding, not an error.
pub fn run(args: &DoctorArgs) -> anyhow::Result<()> {
    let settings = if args.config.is_empty() { Settings::default() } else { wiring::load(&args.config)?.0 };
    let findings = vec![
        liblsl(settings.libraries.lsl.as_deref()),
        onnxruntime(settings.libraries.onnxruntime.as_deref()),
        realtime(),
        clock(),
        multicast(),
        state(settings.session.state_dir.as_deref()),
    ];
    let mut out = io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&findings)?)?;
        return Ok(());
    }
    let rows: Vec<Vec<String>> = findings
        .iter()
        .map(|f| vec![if f.good { "ok" } else { "MISSING" }.into(), f.what.into(), f.found.clone()])
        .collect();
    write!(out, "{}", table::rows(&["", "what", "found"], &rows))?;
    for finding in findings.iter().filter(|f| !f.good) {
        writeln!(out, "\n{}: {}", finding.what, finding.fix)?;
    }
    Ok(())
}

fn finding(what: &'static str, found: Result<String, String>, fix: &str) -> Finding {
    match found {
        Ok(found) => Finding { what, good: true, found, fix: String::new() },
        Err(found) => Finding { what, good: false, found, fix: fix.into() },
    }
}

fn liblsl(path: Option<&Path>) -> Finding {
    let found = native::load_lsl(path).map_err(|e| e.to_string());
    let found = found.map(|info| format!("version {} at {}", info.version, info.path.display()));
    finding("liblsl", found, "live streams need it; recordings do not. `make assets` fetches it, or set libraries.lsl")
}

fn onnxruntime(path: Option<&Path>) -> Finding {
    let found = native::find(Library::OnnxRuntime, path).map_err(|e| e.to_string());
    let loaded = found.and_then(|path| encoders::Runtime::load(Some(&path)).map_err(|e| e.to_string()));
    let found = loaded.map(|r| format!("{} at {}", r.build_info(), r.library().display()));
    finding(
        "ONNX Runtime",
        found,
        "text and window encoders need it. `make assets` fetches it, or set libraries.onnxruntime",
    )
}

fn realtime() -> Finding {
    // On a thread of its own: what it is granted ends with it.
    let asked = std::thread::Builder::new()
        .name("doctor".into())
        .spawn(|| priority::ask_for_realtime(50).and_then(|()| priority::lock_memory()));
    let granted = asked.ok().and_then(|thread| thread.join().ok());
    let found = match granted {
        Some(Ok(())) => Ok("SCHED_FIFO, memory locked".into()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("could not be tried".into()),
    };
    let fix = "latency suffers under load. Under systemd the unit asks for it; by hand: ulimit -r 60; ulimit -l unlimited (limits.conf: rtprio, memlock)";
    finding("real-time priority", found, fix)
}

fn clock() -> Finding {
    let source = std::fs::read_to_string("/sys/devices/system/clocksource/clocksource0/current_clocksource");
    let source = source.map(|s| s.trim().to_owned()).unwrap_or_else(|_| "unknown".into());
    let began = MonotonicClock.now();
    let reads = 10_000;
    for _ in 0..reads {
        std::hint::black_box(MonotonicClock.now());
    }
    let each = (MonotonicClock.now() - began) / f64::from(reads);
    let told = format!("{source}, {:.0} ns a reading", each * 1e9);
    let found = if each < 1e-6 { Ok(told) } else { Err(told) };
    finding(
        "clock",
        found,
        "reading it goes through the kernel; prefer the tsc clock source (kernel parameter clocksource=tsc)",
    )
}

fn multicast() -> Finding {
    let found = std::net::UdpSocket::bind(("0.0.0.0", 0))
        .and_then(|socket| socket.join_multicast_v4(&[239, 255, 172, 215].into(), &[0, 0, 0, 0].into()))
        .map(|()| String::from("can be joined"))
        .map_err(|e| e.to_string());
    finding(
        "multicast",
        found,
        "LSL finds streams by it: allow UDP 16571 and TCP/UDP 16572-16603, or list hosts as KnownPeers in lsl_api.cfg",
    )
}

fn state(folder: Option<&Path>) -> Finding {
    let Some(folder) = folder else {
        let found = "none configured: what is learned is gone after a restart".into();
        return Finding { what: "state folder", good: true, found, fix: String::new() };
    };
    let probe = folder.join(".neurod-doctor");
    let found = std::fs::create_dir_all(folder)
        .and_then(|()| std::fs::write(&probe, b""))
        .and_then(|()| std::fs::remove_file(&probe))
        .map(|()| folder.display().to_string())
        .map_err(|e| format!("{}: {e}", folder.display()));
    finding("state folder", found, "checkpoints cannot be written there: set session.state_dir to a folder that can")
}

//! What does this machine lack, and how is it mended?

use std::io::{self, Write};
use std::path::Path;

use serde::Serialize;

use super::table;
use crate::app::wiring;
use crate::cli::DoctorArgs;
use crate::encoders;
use crate::exit::Exit;
use crate::frame::{Clock, MonotonicClock};
use crate::native::{self, Library};
use crate::runtime::priority;

/// How bad it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
enum Severity {
    /// It is as it should be.
    Ok,
    /// It could be better, and everything works.
    Advice,
    /// What was asked for does not work without it.
    Missing,
}

impl Severity {
    /// Of something that is not there.
    fn of_absent(needed: bool) -> Self {
        if needed { Severity::Missing } else { Severity::Advice }
    }
}

/// One thing that was looked at.
#[derive(Debug, Serialize)]
struct Finding {
    what: &'static str,
    severity: Severity,
    /// What was found.
    found: String,
    /// What to do about it; empty where nothing needs to be done.
    fix: String,
}

impl Finding {
    fn is_missing(&self) -> bool {
        self.severity == Severity::Missing
    }
}

/// Looks at everything neurod depends on and says what to do about what is missing: [`Exit::Unavailable`] where a
/// library is, [`Exit::Permission`] where nothing can be kept. Without a configuration both libraries are needed; with
/// one, those that it needs.
///
/// # Errors
/// A configuration that cannot be read.
pub fn run(args: &DoctorArgs) -> anyhow::Result<Exit> {
    let configured = if args.config.is_empty() { None } else { Some(wiring::load(&args.config)?.0) };
    let needs_lsl = configured.as_ref().is_none_or(crate::app::Settings::needs_lsl);
    let needs_onnx = configured.as_ref().is_none_or(|s| s.encoders.values().any(|e| e.model().is_some()));
    let settings = configured.unwrap_or_default();
    let libraries = [
        liblsl(settings.libraries.lsl.as_deref(), needs_lsl),
        onnxruntime(settings.libraries.onnxruntime.as_deref(), needs_onnx),
    ];
    let state = state(settings.session.state_dir.as_deref());
    let exit = match () {
        () if libraries.iter().any(Finding::is_missing) => Exit::Unavailable,
        () if state.is_missing() => Exit::Permission,
        () => Exit::Success,
    };
    let findings: Vec<Finding> = libraries.into_iter().chain([realtime(), clock(), multicast(), state]).collect();
    let mut out = io::stdout();
    if args.json {
        writeln!(out, "{}", serde_json::to_string_pretty(&findings)?)?;
        return Ok(exit);
    }
    let word = |severity| match severity {
        Severity::Ok => "ok",
        Severity::Advice => "advice",
        Severity::Missing => "MISSING",
    };
    let row = |f: &Finding| vec![word(f.severity).into(), f.what.into(), f.found.clone()];
    let rows: Vec<Vec<String>> = findings.iter().map(row).collect();
    write!(out, "{}", table::rows(&["", "what", "found"], &rows))?;
    for finding in findings.iter().filter(|f| f.severity != Severity::Ok) {
        writeln!(out, "\n{}: {}", finding.what, finding.fix)?;
    }
    Ok(exit)
}

fn finding(what: &'static str, found: Result<String, String>, absent: Severity, fix: &str) -> Finding {
    match found {
        Ok(found) => Finding { what, severity: Severity::Ok, found, fix: String::new() },
        Err(found) => Finding { what, severity: absent, found, fix: fix.into() },
    }
}

fn liblsl(path: Option<&Path>, needed: bool) -> Finding {
    let found = native::load_lsl(path).map_err(|e| e.to_string());
    // liblsl counts 118 for 1.18.
    let version = |v: i32| format!("{}.{}", v / 100, v % 100);
    let found = found.map(|info| format!("{} at {}", version(info.version), info.path.display()));
    let fix = "live streams need it; recordings do not. `make assets` fetches it, or set libraries.lsl";
    finding("liblsl", found, Severity::of_absent(needed), fix)
}

fn onnxruntime(path: Option<&Path>, needed: bool) -> Finding {
    let found = native::find(Library::OnnxRuntime, path).map_err(|e| e.to_string());
    let loaded = found.and_then(|path| encoders::Runtime::load(Some(&path)).map_err(|e| e.to_string()));
    // The name that a link leads to carries the version, which the build's own words leave out.
    let file = |path: &Path| path.canonicalize().unwrap_or_else(|_| path.to_owned());
    let build = |r: &encoders::Runtime| r.build_info().trim_start_matches("ORT Build Info: ").to_owned();
    let found = loaded.map(|r| format!("{} ({})", file(r.library()).display(), build(&r)));
    let fix = "text and window encoders need it. `make assets` fetches it, or set libraries.onnxruntime";
    finding("ONNX Runtime", found, Severity::of_absent(needed), fix)
}

fn realtime() -> Finding {
    // On a thread of its own: what it is granted ends with it.
    let asked = std::thread::Builder::new()
        .name("doctor".into())
        .spawn(|| priority::ask_for_realtime(50).and_then(|()| priority::lock_memory()));
    let granted = asked.ok().and_then(|thread| thread.join().ok());
    let found = match granted {
        Some(Ok(())) => Ok("granted: SCHED_FIFO, memory locked".into()),
        Some(Err(error)) => Err(error.to_string()),
        None => Err("could not be tried".into()),
    };
    let fix = "latency suffers under load. Under systemd the unit asks for it; by hand: ulimit -r 60; ulimit -l unlimited (limits.conf: rtprio, memlock)";
    finding("real-time priority", found, Severity::Advice, fix)
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
    let fix = "reading it goes through the kernel; prefer the tsc clock source (kernel parameter clocksource=tsc)";
    finding("clock", found, Severity::Advice, fix)
}

fn multicast() -> Finding {
    let found = std::net::UdpSocket::bind(("0.0.0.0", 0))
        .and_then(|socket| socket.join_multicast_v4(&[239, 255, 172, 215].into(), &[0, 0, 0, 0].into()))
        .map(|()| String::from("can be joined"))
        .map_err(|e| e.to_string());
    let fix =
        "LSL finds streams by it: allow UDP 16571 and TCP/UDP 16572-16603, or list hosts as KnownPeers in lsl_api.cfg";
    finding("multicast", found, Severity::Advice, fix)
}

fn state(folder: Option<&Path>) -> Finding {
    let Some(folder) = folder else {
        let found = "none configured: what is learned is gone after a restart".into();
        return finding("state folder", Ok(found), Severity::Missing, "");
    };
    // What is not there yet is made by the daemon, as its own user: here it is enough that it could be.
    let there = folder.ancestors().find(|f| f.exists()).unwrap_or(Path::new("."));
    let probe = there.join(format!(".neurod-doctor-{}", std::process::id()));
    let found = std::fs::write(&probe, b"")
        .and_then(|()| std::fs::remove_file(&probe))
        .map(|()| folder.display().to_string())
        .map_err(|e| format!("{}: {e}", folder.display()));
    let fix = "checkpoints cannot be written there by this user: set session.state_dir to a folder that can be, or ask as the user that the daemon runs as";
    finding("state folder", found, Severity::Missing, fix)
}

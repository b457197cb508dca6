//! What do several test files need? Peers: the real programs and libraries of others that we are tested against.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::env;
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::time::Duration;

/// A peer, or `None` and a loud word when this machine has none. With `NEUROD_REQUIRE_PEERS=1` its absence fails.
pub fn peer<T>(what: &str, found: Result<T, String>) -> Option<T> {
    match found {
        Ok(peer) => Some(peer),
        Err(why) if env::var("NEUROD_REQUIRE_PEERS").is_ok_and(|v| v == "1") => panic!("no {what}: {why}"),
        Err(why) => {
            // Past the harness, which hides what a passing test prints.
            let _ = writeln!(std::io::stderr(), "SKIPPED: no {what}: {why}");
            None
        }
    }
}

/// The Python of `NEUROD_PYTHON`, else of `.cache/venv`, if it can import `modules`.
pub fn python(modules: &[&str]) -> Option<PathBuf> {
    let path = env::var_os("NEUROD_PYTHON").map_or_else(|| PathBuf::from(".cache/venv/bin/python"), PathBuf::from);
    let imports = format!("import {}", modules.join(", "));
    let tried = Command::new(&path).args(["-c", &imports]).output();
    let found = match tried {
        Ok(output) if output.status.success() => Ok(path),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("{}: {error}; set NEUROD_PYTHON, or run `make assets`", path.display())),
    };
    peer(&format!("Python with {}", modules.join(", ")), found)
}

/// A peer program that talks in lines. Killed when dropped.
pub struct Talker {
    child: Child,
    stdin: ChildStdin,
    lines: Receiver<String>,
}

impl Talker {
    pub fn start(command: &mut Command) -> Self {
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the peer starts");
        let (stdin, stdout) = (child.stdin.take().unwrap(), child.stdout.take().unwrap());
        let (sender, lines) = channel();
        let reader = move || {
            for line in BufReader::new(stdout).lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    break;
                }
            }
        };
        std::thread::Builder::new().name("peer".into()).spawn(reader).unwrap();
        Self { child, stdin, lines }
    }

    pub fn say(&mut self, line: &str) {
        writeln!(self.stdin, "{line}").and_then(|()| self.stdin.flush()).expect("the peer listens");
    }

    /// The next line; panics when none comes within half a minute.
    pub fn hear(&mut self) -> String {
        match self.lines.recv_timeout(Duration::from_secs(30)) {
            Ok(line) => line,
            Err(RecvTimeoutError::Timeout) => panic!("the peer says nothing"),
            Err(RecvTimeoutError::Disconnected) => panic!("the peer has ended: {:?}", self.child.wait()),
        }
    }

    pub fn ask(&mut self, line: &str) -> String {
        self.say(line);
        self.hear()
    }

    /// Sends a signal: `STOP`, `CONT`, `KILL`.
    pub fn signal(&self, name: &str) {
        let status = Command::new("kill").args([&format!("-{name}"), &self.child.id().to_string()]).status();
        assert!(status.is_ok_and(|s| s.success()), "kill -{name}");
    }

    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Talker {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// liblsl loaded from where pylsl has it, both kept to this machine, and a Python to talk to.
pub mod lsl {
    use std::sync::OnceLock;

    use neurod::native;

    use super::*;

    /// Every LSL test begins here.
    pub fn python() -> Option<PathBuf> {
        static PYTHON: OnceLock<Option<PathBuf>> = OnceLock::new();
        PYTHON.get_or_init(prepare).clone()
    }

    fn prepare() -> Option<PathBuf> {
        let python = super::python(&["pylsl"])?;
        let config = Path::new(env!("CARGO_TARGET_TMPDIR")).join("lsl_api.cfg");
        std::fs::write(&config, "[multicast]\nResolveScope = machine\n").unwrap();
        // SAFETY: every test of an LSL test file begins in this function, which runs once, before liblsl reads the
        // environment; nothing else in these processes reads it.
        unsafe { env::set_var("LSLAPICFG", &config) };
        let find = "import pylsl, pathlib; print(pathlib.Path(pylsl.__file__).parent / 'lib')";
        let folder = Command::new(&python).args(["-c", find]).output().unwrap().stdout;
        let folder = PathBuf::from(String::from_utf8_lossy(&folder).trim());
        let explicit = env::var_os("NEUROD_LIBLSL").is_none().then_some(folder);
        let loaded = native::load_lsl(explicit.as_deref()).map_err(|error| error.to_string());
        super::peer("liblsl", loaded)?;
        Some(python)
    }

    /// A name that no other stream has.
    pub fn unique(what: &str) -> String {
        use std::sync::atomic::{AtomicU32, Ordering};
        static COUNT: AtomicU32 = AtomicU32::new(0);
        format!("neurod-test-{what}-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed))
    }

    /// A pylsl program: `tests/python/lsl_peer.py MODE` with its options as JSON.
    pub fn peer(mode: &str, options: &serde_json::Value) -> Talker {
        let python = python().expect("asked for before");
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/lsl_peer.py");
        Talker::start(Command::new(python).arg(script).arg(mode).arg(options.to_string()))
    }

    /// A pylsl outlet on a machine of its own, as far as clocks go: its `CLOCK_MONOTONIC`, which LSL stamps with, is so many
    /// seconds ahead of ours. `None` and a loud word where the system gives no time namespace (it takes root).
    pub fn outlet_ahead(seconds: i64, options: &serde_json::Value) -> Option<Talker> {
        let namespace = ["-T", "-f", "--kill-child", "--monotonic", &seconds.to_string()].map(String::from);
        let tried = Command::new("unshare").args(&namespace).arg("true").output();
        if !tried.is_ok_and(|output| output.status.success()) {
            let _ = writeln!(std::io::stderr(), "SKIPPED: no time namespace (unshare -T needs root)");
            return None;
        }
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/lsl_peer.py");
        let mut command = Command::new("unshare");
        command.args(namespace).arg(python()?).arg(script).arg("outlet").arg(options.to_string());
        let mut outlet = Talker::start(&mut command);
        assert!(outlet.hear().starts_with("ready "));
        Some(outlet)
    }

    /// A pylsl outlet that is in sight; see `lsl_peer.py` for what it can be told.
    pub fn outlet(options: &serde_json::Value) -> Talker {
        let mut outlet = peer("outlet", options);
        assert!(outlet.hear().starts_with("ready "));
        outlet
    }
}

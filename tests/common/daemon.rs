//! A `neurod run` of one's own, on a port of its own, that ends with the test.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use neurod::frame::{Clock, MonotonicClock};

/// Waits until `look` finds something; panics after `seconds`.
pub fn until<T>(what: &str, seconds: f64, mut look: impl FnMut() -> Option<T>) -> T {
    let end = MonotonicClock.now() + seconds;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(MonotonicClock.now() < end, "waited {seconds} s for {what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

pub struct Daemon {
    child: Child,
    address: String,
    log: Arc<Mutex<String>>,
}

impl Daemon {
    /// Runs `config`, written to `folder`, and waits until it serves.
    pub fn start(folder: &Path, config: &str) -> Self {
        Self::start_with(folder, config, |_| {})
    }

    pub fn start_with(folder: &Path, config: &str, adjust: impl FnOnce(&mut Command)) -> Self {
        let path = folder.join("neurod.toml");
        std::fs::write(&path, config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
        command.args(["run", "--config"]).arg(&path).env("NEUROD__SERVICE__LISTEN", "127.0.0.1:0");
        adjust(&mut command);
        let mut child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let log = Arc::new(Mutex::new(String::new()));
        let (stderr, copy) = (child.stderr.take().unwrap(), Arc::clone(&log));
        let read = move || {
            for line in BufReader::new(stderr).lines().map_while(Result::ok) {
                copy.lock().unwrap().push_str(&(line + "\n"));
            }
        };
        std::thread::Builder::new().name("daemon log".into()).spawn(read).unwrap();
        let mut daemon = Self { child, address: String::new(), log };
        daemon.address = until("the daemon to serve", 30.0, || {
            let log = daemon.log();
            if let Some(status) = daemon.child.try_wait().unwrap() {
                panic!("the daemon ended with {status}: {log}");
            }
            Some(log.split_once("address=")?.1.split_whitespace().next()?.to_owned())
        });
        daemon
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    pub fn log(&self) -> String {
        self.log.lock().unwrap().clone()
    }

    pub fn process(&self) -> u32 {
        self.child.id()
    }

    /// One request: status and body.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> (u16, String) {
        let mut stream = TcpStream::connect(&self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(15))).unwrap();
        write!(
            stream,
            "{method} {path} HTTP/1.1\r\nHost: {}\r\nConnection: close\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{body}",
            self.address,
            body.len()
        )
        .unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).unwrap();
        let status = answer.split_whitespace().nth(1).and_then(|s| s.parse().ok()).expect("an HTTP answer");
        (status, answer.split_once("\r\n\r\n").map(|(_, body)| body.to_owned()).unwrap_or_default())
    }

    pub fn get(&self, path: &str) -> (u16, String) {
        self.ask("GET", path, "")
    }

    pub fn wait_until_ready(&self) {
        until("readiness", 30.0, || (self.get("/readyz").0 == 200).then_some(()));
    }

    /// The value of a sample of `/metrics`, by its name with labels.
    pub fn metric(&self, sample: &str) -> Option<f64> {
        let text = self.get("/metrics").1;
        text.lines().find_map(|line| line.strip_prefix(sample)?.trim().parse().ok())
    }

    pub fn signal(&self, signal: &str) {
        assert!(
            Command::new("kill").arg(format!("-{signal}")).arg(self.child.id().to_string()).status().unwrap().success()
        );
    }

    /// Waits for its end, at most `seconds`.
    pub fn end(&mut self, seconds: f64) -> ExitStatus {
        until("the daemon's end", seconds, || self.child.try_wait().unwrap())
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

//! How is it operated? Over HTTP on loopback: metrics, health, commands, a live view, and frames for every client.
//!
//! Two threads, each with a small runtime of its own. `admin` owns the one port and answers whatever is cheap;
//! `service` carries frames from the [`FrameBus`] to WebSocket clients. So whatever clients do, metrics and health
//! answer; and whatever anybody asks, no lane waits. JSON lines have a third thread, `jsonl`: a pipe nobody reads
//! blocks only itself.
//!
//! **Invariants.** Only loopback is listened on. `/readyz` fails until [`Service::mark_ready`]. A client that stops
//! reading loses its own oldest frames, counted, and nobody else's.
//!
//! ```
//! let config: neurod::service::ServiceConfig = toml::from_str("listen = \"localhost:0\"").unwrap();
//! assert_eq!(config.address().unwrap().to_string(), "127.0.0.1:0");
//! ```

mod api;
mod bridge;
mod guard;
mod http;
mod refusal;
mod rows;
mod state;
mod stimulus;
pub mod systemd;
mod websocket;

use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc;
use std::thread::JoinHandle;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use thiserror::Error;
use tokio::runtime::{Builder, Runtime};
use tokio::sync::{Semaphore, oneshot, watch};

pub use api::{Command, Control, Stimulus};
pub use bridge::{FrameBus, MOST_JSON_VALUES};
pub use guard::TokenError;

use crate::frame::{Clock, MonotonicClock};
use crate::publish::jsonl::JsonlWriter;
use crate::runtime::metrics::Metrics;
use bridge::{Filter, Subscriber};
use guard::{Guard, Token};
use state::{App, Pulse};

/// How many messages may wait for the JSON lines.
const JSONL_QUEUE: usize = 4096;

/// `[service]`: the HTTP service.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceConfig {
    /// Whether to serve at all; true by default.
    pub enabled: bool,
    /// The loopback address and port; `127.0.0.1:9464` by default. Port 0 takes any that is free.
    pub listen: String,
    /// A file with the token that clients must show, everywhere but at `/healthz`, `/readyz` and the empty page `/`.
    /// None by default.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub token_file: Option<PathBuf>,
    /// Host names beside loopback's that requests may be for: those of a reverse proxy that passes its own name on.
    /// Needs `token_file`. None by default.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hosts: Vec<String>,
    /// How many WebSocket clients may be connected; 64 by default.
    pub max_clients: usize,
    /// How many frames may wait for one client before its oldest is dropped; 256 by default.
    pub client_queue: usize,
    /// Seconds between pings; a client that is silent for three is dropped. 10 by default.
    pub ping: f64,
}

impl Default for ServiceConfig {
    fn default() -> Self {
        Self {
            enabled: true,
            listen: "127.0.0.1:9464".into(),
            token_file: None,
            hosts: Vec::new(),
            max_clients: 64,
            client_queue: 256,
            ping: 10.0,
        }
    }
}

impl ServiceConfig {
    /// Where to listen.
    ///
    /// # Errors
    /// `listen` is no address, or not one of loopback.
    pub fn address(&self) -> Result<SocketAddr, ServiceError> {
        let numeric = match self.listen.strip_prefix("localhost:") {
            Some(port) => format!("127.0.0.1:{port}"),
            None => self.listen.clone(),
        };
        let address: SocketAddr = numeric.parse().map_err(|_| ServiceError::Address { listen: self.listen.clone() })?;
        if address.ip().is_loopback() { Ok(address) } else { Err(ServiceError::NotLoopback { address }) }
    }

    /// Checks what can be checked without opening anything.
    ///
    /// # Errors
    /// The first key that cannot be.
    pub fn validate(&self) -> Result<(), ServiceError> {
        self.address()?;
        let bad = |key, problem: &'static str| Err(ServiceError::Key { key, problem });
        match self {
            Self { max_clients: 0, .. } | Self { max_clients: 65_537.., .. } => {
                bad("max_clients", "must be 1 to 65536 (to serve none, set service.enabled = false)")
            }
            Self { client_queue: 0, .. } | Self { client_queue: 65_537.., .. } => {
                bad("client_queue", "must be 1 to 65536 (256 suits most)")
            }
            Self { ping, .. } if !(0.01..=3600.0).contains(ping) => {
                bad("ping", "must be 0.01 to 3600 seconds (10 suits most)")
            }
            Self { hosts, token_file: None, .. } if !hosts.is_empty() => {
                bad("hosts", "lets others in, so a token is needed (set service.token_file)")
            }
            _ => Ok(()),
        }
    }
}

/// Why the service does not start.
#[derive(Debug, Error)]
pub enum ServiceError {
    /// Not an address and port.
    #[error("service.listen = {listen:?} is no address and port (write \"127.0.0.1:9464\")")]
    Address {
        /// What it says.
        listen: String,
    },
    /// An address that others can reach.
    #[error(
        "service.listen = \"{address}\": only loopback is listened on, as this service speaks no TLS (listen on \
         127.0.0.1:{port} and put a TLS reverse proxy in front, with service.token_file and service.hosts)",
        port = address.port()
    )]
    NotLoopback {
        /// The address.
        address: SocketAddr,
    },
    /// A key out of its range.
    #[error("service.{key} {problem}")]
    Key {
        /// Which key.
        key: &'static str,
        /// What is wrong, and the fix.
        problem: &'static str,
    },
    /// The token cannot be used.
    #[error(transparent)]
    Token(#[from] TokenError),
    /// Somebody listens there already.
    #[error(
        "port {port} of {ip} is in use, perhaps by another neurod (end it, or set service.listen to another port, as \
         NEUROD__SERVICE__LISTEN={ip}:{other})",
        ip = address.ip(), port = address.port(), other = address.port().wrapping_add(1)
    )]
    InUse {
        /// The address.
        address: SocketAddr,
    },
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source} (set service.listen to another address or port)")]
    Listen {
        /// The address.
        address: SocketAddr,
        /// Why.
        source: std::io::Error,
    },
    /// The file of JSON lines cannot be opened.
    #[error(
        "sinks.jsonl.path {path:?} cannot be written to: {source} (name a file in a folder that the daemon may write to)"
    )]
    Jsonl {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// The system gives no thread or no event queue.
    #[error("the system gives the service no thread: {0} (raise the limits on processes and open files)")]
    Thread(std::io::Error),
}

impl ServiceError {
    /// Whether the configuration is wrong, rather than the state of the machine.
    pub fn is_config(&self) -> bool {
        matches!(self, Self::Address { .. } | Self::NotLoopback { .. } | Self::Key { .. } | Self::Token(_))
    }
}

/// Tells the service how the daemon is. Asked by the thread that answers requests, so it must not block.
pub trait Health: Send + Sync {
    /// What is not ready, each with its reason; empty when everything is.
    fn not_ready(&self) -> Vec<(String, String)>;
    /// Grows while every real-time lane is alive, from one time it is asked to the next; also where there is none.
    fn beats(&self) -> u64;
    /// What `/api/v1/status` shows under `daemon`: an object; the page shows its `sources` and `predictors`, two
    /// objects of objects by name.
    fn summary(&self) -> serde_json::Value;
}

/// What the service is given.
pub struct Parts {
    /// What `/metrics` shows.
    pub metrics: Arc<Metrics>,
    /// What health and status show.
    pub status: Arc<dyn Health>,
    /// What commands are handed to.
    pub control: Arc<dyn Control>,
    /// Where frames come from.
    pub bus: Arc<FrameBus>,
    /// Where JSON lines go; `-` is standard output.
    pub jsonl: Option<PathBuf>,
}

/// The running service. Dropping it ends it without waiting.
pub struct Service {
    address: SocketAddr,
    app: Arc<App>,
    grace: watch::Sender<Option<Duration>>,
    stop_admin: Option<oneshot::Sender<()>>,
    flushed: mpsc::Receiver<&'static str>,
    jsonl: bool,
    threads: Vec<JoinHandle<()>>,
}

/// An address that is ours: taken before any device is opened, so that a second daemon ends before it disturbs the first.
pub struct Place {
    config: ServiceConfig,
    listener: TcpListener,
    token: Option<Token>,
}

impl Place {
    /// Takes the configured address. Nobody is answered yet.
    ///
    /// # Errors
    /// The address or the token cannot be used.
    pub fn take(config: &ServiceConfig) -> Result<Self, ServiceError> {
        config.validate()?;
        let token = config.token_file.as_deref().map(Token::read).transpose()?;
        Ok(Self { config: config.clone(), listener: listen(config.address()?)?, token })
    }
}

impl Service {
    /// Serves at `place`. When this returns, requests are answered; `/readyz` fails until [`Service::mark_ready`].
    ///
    /// # Errors
    /// The file of JSON lines cannot be used.
    pub fn start(place: Place, parts: Parts) -> Result<Self, ServiceError> {
        let Place { config, listener, token } = place;
        let address = listener.local_addr().map_err(ServiceError::Thread)?;
        let jsonl =
            parts.jsonl.map(|path| JsonlWriter::open(&path).map_err(|source| ServiceError::Jsonl { path, source }));
        let jsonl = jsonl.transpose()?;

        let service = runtime(1)?;
        let admin = runtime(4)?;
        let app = Arc::new(App {
            dropped: parts.metrics.sink("websocket"),
            metrics: parts.metrics,
            health: parts.status,
            control: parts.control,
            bus: parts.bus,
            guard: Guard { token, hosts: config.hosts },
            marked_ready: AtomicBool::new(false),
            pulse: Pulse::starting(MonotonicClock.now()),
            service: service.handle().clone(),
            places: Arc::new(Semaphore::new(config.max_clients)),
            max_clients: config.max_clients,
            client_queue: config.client_queue,
            ping: Duration::from_secs_f64(config.ping),
        });
        let (grace, stopping) = watch::channel(None);
        let (stop_admin, admin_stopped) = oneshot::channel();
        let (flush, flushed) = mpsc::channel();

        let mut threads = Vec::new();
        let has_jsonl = jsonl.is_some();
        if let Some(writer) = jsonl {
            let dropped = app.metrics.sink("jsonl");
            let lines = app.bus.subscribe(Filter::default(), JSONL_QUEUE, dropped.clone());
            let (handle, flush) = (service.handle().clone(), flush.clone());
            threads.push(spawn("jsonl", move || {
                write_lines(&handle, lines, writer, &dropped);
                let _ = flush.send("jsonl");
            })?);
        }
        let carried = Arc::clone(&app);
        threads.push(spawn("service", move || {
            service.block_on(carry(&carried, stopping));
            service.shutdown_background();
            let _ = flush.send("service");
        })?);
        let answered = Arc::clone(&app);
        threads.push(spawn("admin", move || {
            if let Err(error) = admin.block_on(http::serve(listener, answered, admin_stopped)) {
                tracing::error!(%error, "the HTTP service has ended");
            }
            admin.shutdown_background();
        })?);
        Ok(Self { address, app, grace, stop_admin: Some(stop_admin), flushed, jsonl: has_jsonl, threads })
    }

    /// Where it listens.
    pub fn local_addr(&self) -> SocketAddr {
        self.address
    }

    /// Says that everything has been started: from now on `/readyz` depends on [`Health::not_ready`] alone.
    pub fn mark_ready(&self) {
        self.app.marked_ready.store(true, Ordering::Release);
    }

    /// Sends every client what waits for it, says good-bye, writes the last lines, and ends; within `grace`.
    /// True if nothing had to be left behind.
    pub fn stop(mut self, grace: Duration) -> bool {
        let until = MonotonicClock.now() + grace.as_secs_f64();
        self.app.marked_ready.store(false, Ordering::Release);
        self.shut(grace);
        let mut whole = true;
        for _ in 0..1 + usize::from(self.jsonl) {
            // The sessions keep to `grace` themselves; the little more is for them to say so.
            let left = Duration::from_secs_f64((until - MonotonicClock.now() + 0.1).max(0.0));
            whole &= self.flushed.recv_timeout(left).is_ok();
        }
        self.stop_admin.take();
        if whole {
            for thread in self.threads.drain(..) {
                let _ = thread.join();
            }
        } else {
            tracing::error!("frames were left behind: a client or the JSON lines did not take them in time");
        }
        whole
    }

    fn shut(&self, grace: Duration) {
        self.grace.send_replace(Some(grace));
        self.app.bus.close();
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        self.shut(Duration::ZERO);
    }
}

fn listen(address: SocketAddr) -> Result<TcpListener, ServiceError> {
    let listener = TcpListener::bind(address).map_err(|source| match source.kind() {
        std::io::ErrorKind::AddrInUse => ServiceError::InUse { address },
        _ => ServiceError::Listen { address, source },
    })?;
    listener.set_nonblocking(true).map_err(|source| ServiceError::Listen { address, source })?;
    Ok(listener)
}

fn runtime(blocking: usize) -> Result<Runtime, ServiceError> {
    Builder::new_current_thread().enable_all().max_blocking_threads(blocking).build().map_err(ServiceError::Thread)
}

fn spawn(name: &str, run: impl FnOnce() + Send + 'static) -> Result<JoinHandle<()>, ServiceError> {
    std::thread::Builder::new().name(name.into()).spawn(run).map_err(ServiceError::Thread)
}

/// Carries frames to clients until the bus is closed; then waits for the clients to have taken them.
async fn carry(app: &App, mut stopping: watch::Receiver<Option<Duration>>) {
    app.bus.fan_out().await;
    let grace = stopping.wait_for(Option::is_some).await.ok().and_then(|grace| *grace).unwrap_or_default();
    let everyone = u32::try_from(app.max_clients).unwrap_or(u32::MAX);
    if tokio::time::timeout(grace, app.places.acquire_many(everyone)).await.is_err() {
        tracing::warn!("clients that did not read in time were cut off");
    }
}

fn write_lines(
    service: &tokio::runtime::Handle,
    mut lines: Subscriber,
    mut writer: JsonlWriter<Box<dyn std::io::Write + Send>>,
    dropped: &prometheus::IntCounter,
) {
    while let Some(message) = service.block_on(lines.next()) {
        if !writer.write(&message.outgoing) {
            dropped.inc();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        toml::from_str::<ServiceConfig>(text).unwrap().validate().unwrap_err().to_string()
    }

    #[test]
    fn the_default_is_valid_and_unknown_keys_are_refused() {
        let config: ServiceConfig = toml::from_str("").unwrap();
        assert_eq!(config, ServiceConfig::default());
        config.validate().unwrap();
        assert!(toml::from_str::<ServiceConfig>("listn = 1").is_err());
    }

    #[test]
    fn what_cannot_be_says_the_fix() {
        let open = error("listen = \"0.0.0.0:9464\"");
        assert!(open.contains("only loopback") && open.contains("TLS reverse proxy"), "{open}");
        assert!(error("listen = \"[::]:1\"").contains("only loopback"));
        assert!(error("listen = \"nine\"").contains("write \"127.0.0.1:9464\""));
        assert!(error("max_clients = 0").contains("service.max_clients must be 1 to 65536"));
        assert!(error("client_queue = 0").contains("service.client_queue"));
        assert!(error("ping = nan").contains("service.ping"));
        assert!(error("hosts = [\"brain.example.org\"]").contains("set service.token_file"));
    }
}

//! Who connects? One thread waits for them, and gives each a thread of its own, as long as there are not too many.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{Builder, JoinHandle};
use std::time::Duration;

use super::ReceiverConfig;
use super::queue::Queue;
use super::session::{Session, Terms};
use crate::acquisition::association::Acceptor;
use crate::acquisition::volumes::Fault;
use crate::acquisition::{SourceError, SourceStats};
use crate::frame::{Clock, MonotonicClock};

/// Connections beyond the configured number that are told so; more are closed without a word.
const SPARE: usize = 4;
/// How long the waiting thread rests when the system gives no connection.
const REST: Duration = Duration::from_millis(100);
/// How long our own connection may take that ends the waiting.
const WAKE: Duration = Duration::from_secs(1);
/// Real seconds that associations have to end: one who takes no answer keeps nobody waiting longer.
const END: f64 = 1.0;
/// How many bytes wait for the lane, in objects of the largest size: voxels of 16 bits are of 64 once they are read.
const QUEUE: usize = 4;

/// A port that is listened on, and what came there.
pub(super) struct Listener {
    address: SocketAddr,
    terms: Arc<Terms>,
    stop: Arc<AtomicBool>,
    waits: Option<JoinHandle<()>>,
    sessions: Arc<Mutex<Sessions>>,
}

/// The threads of associations, by number.
#[derive(Default)]
struct Sessions {
    next: u64,
    threads: BTreeMap<u64, JoinHandle<()>>,
}

impl Listener {
    pub(super) fn open(
        config: &ReceiverConfig,
        address: SocketAddr,
        stats: Arc<SourceStats>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SourceError> {
        let failed = |error: std::io::Error| {
            let problem = match error.kind() {
                ErrorKind::AddrInUse => {
                    "another program listens there (end it, or set `listen` to another port)".into()
                }
                ErrorKind::AddrNotAvailable => {
                    "this machine has no such address (set `listen` to one of its own)".into()
                }
                ErrorKind::PermissionDenied => {
                    "the system does not permit it (set `listen` to a port from 1024 on)".into()
                }
                _ => error.to_string(),
            };
            SourceError::Listen { address, problem }
        };
        let listener = TcpListener::bind(address).map_err(failed)?;
        let bound = listener.local_addr().map_err(failed)?;
        let max_object = usize::try_from(config.max_object << 20).unwrap_or(usize::MAX);
        let terms = Arc::new(Terms {
            acceptor: Acceptor {
                title: config.ae_title.clone(),
                callers: config.callers.clone(),
                most: config.max_pdu,
            },
            max_object,
            patience: config.patience,
            idle: config.idle,
            queue: Queue::new(QUEUE.saturating_mul(max_object)),
            stats,
            clock,
        });
        let (stop, sessions) = (Arc::new(AtomicBool::new(false)), Arc::new(Mutex::new(Sessions::default())));
        let waiter = Waiter {
            listener,
            terms: Arc::clone(&terms),
            stop: Arc::clone(&stop),
            sessions: Arc::clone(&sessions),
            most: config.max_associations,
        };
        let waits = Builder::new().name("dicom:listen".into()).spawn(move || waiter.run()).map_err(failed)?;
        Ok(Self { address: bound, terms, stop, waits: Some(waits), sessions })
    }

    pub(super) fn address(&self) -> SocketAddr {
        self.address
    }

    pub(super) fn queue(&self) -> &Queue {
        &self.terms.queue
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
        // A connection of our own ends the wait for one. Where there is none to be had, the thread ends with the
        // process.
        if TcpStream::connect_timeout(&self.address, WAKE).is_ok()
            && let Some(waits) = self.waits.take()
        {
            let _ = waits.join();
        }
        let threads = std::mem::take(&mut self.sessions.lock().unwrap_or_else(PoisonError::into_inner).threads);
        let until = MonotonicClock.now() + END;
        for thread in threads.into_values() {
            while !thread.is_finished() && MonotonicClock.now() < until {
                std::thread::sleep(Duration::from_millis(2));
            }
            if thread.is_finished() {
                let _ = thread.join();
            }
        }
    }
}

struct Waiter {
    listener: TcpListener,
    terms: Arc<Terms>,
    stop: Arc<AtomicBool>,
    sessions: Arc<Mutex<Sessions>>,
    most: usize,
}

impl Waiter {
    fn run(self) {
        loop {
            let connection = self.listener.accept();
            if self.stop.load(Ordering::Relaxed) {
                return;
            }
            match connection {
                Ok((stream, _)) => self.serve(stream),
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) => {
                    tracing::warn!(%error, "no connection can be taken for now");
                    std::thread::sleep(REST);
                }
            }
        }
    }

    fn serve(&self, stream: TcpStream) {
        let mut sessions = self.sessions.lock().unwrap_or_else(PoisonError::into_inner);
        sessions.threads.retain(|_, thread| !thread.is_finished());
        let open = sessions.threads.len();
        if open >= self.most + SPARE {
            self.terms.stats.faults.add(Fault::Association, 1);
            return;
        }
        let number = sessions.next;
        sessions.next += 1;
        let (terms, stop, busy) = (Arc::clone(&self.terms), Arc::clone(&self.stop), open >= self.most);
        let run = move || {
            if let Ok(session) = Session::new(stream, terms, stop) {
                session.run(busy);
            }
        };
        match Builder::new().name(format!("dicom:{number}")).spawn(run) {
            Ok(thread) => drop(sessions.threads.insert(number, thread)),
            Err(error) => tracing::warn!(%error, "no thread for an association"),
        }
    }
}

//! Who is out there now? Sweeps of the network, on a thread of their own.
//!
//! liblsl's continuous resolver asks once a second and goes on reporting streams that have died. Here each sweep asks
//! anew and holds only those that answered it, and while a stream is being missed the sweeps follow each other closely:
//! that is what brings it back soon.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use lsl::StreamInfo;

use super::StreamSummary;
use crate::frame::{Clock, MonotonicClock};

/// How long answers are waited for. liblsl asks by multicast at once, and by unicast half a second later those whom
/// multicast does not reach (on one machine's loopback it reaches one outlet only): a shorter wait would miss a second
/// match.
const WINDOW: f64 = 0.65;
/// The pause between two sweeps when nothing is missed.
const PAUSE: Duration = Duration::from_millis(600);
/// More than any lab has, so that a sweep waits for every answer.
const EVERY: i32 = 1024;

/// A stream that answered, and what is needed to connect to it on another thread.
pub(super) struct Sighting {
    pub stream: StreamSummary,
    info: Mutex<Unshared>,
}

impl Sighting {
    fn of(info: StreamInfo) -> Self {
        Self { stream: StreamSummary::of(&info), info: Mutex::new(Unshared(info)) }
    }

    /// A stream info of one's own, with the address to connect to (which the XML form leaves out).
    pub(super) fn info(&self) -> StreamInfo {
        self.info.lock().unwrap_or_else(PoisonError::into_inner).0.clone()
    }
}

/// A stream info whose handle nobody else has.
struct Unshared(StreamInfo);

// SAFETY: `StreamInfo` is not `Send` for its `Rc` alone. Nothing clones that `Rc` here: the info comes fresh from
// liblsl, is used behind a mutex, and `StreamInfo::clone` copies the native object into a new `Rc`. The native object is
// plain memory that belongs to no thread; liblsl allows its use and destruction on any, one at a time.
unsafe impl Send for Unshared {}

/// Everyone who answered one call.
#[derive(Default)]
pub(super) struct Sweep {
    /// Counts from 1; 0 before the first has ended.
    pub number: u64,
    /// When the question went out.
    pub began: f64,
    pub streams: Vec<Sighting>,
}

#[derive(Default)]
struct Shared {
    latest: Mutex<Arc<Sweep>>,
    ended: Condvar,
    number: AtomicU64,
    urgent: AtomicBool,
    stop: AtomicBool,
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, Arc<Sweep>> {
        self.latest.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sweeps for the streams that match a predicate until it is dropped.
pub(super) struct Search {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Search {
    /// Begins, with urgency. liblsl must be loaded.
    pub(super) fn start(predicate: String, name: &str) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::default());
        shared.urgent.store(true, Ordering::Relaxed);
        let theirs = Arc::clone(&shared);
        let thread =
            std::thread::Builder::new().name(format!("find:{name}")).spawn(move || sweep(&predicate, &theirs))?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// Whether a stream is being missed.
    pub(super) fn set_urgent(&self, urgent: bool) {
        if self.shared.urgent.swap(urgent, Ordering::Relaxed) != urgent {
            let _held = self.shared.lock();
            self.shared.ended.notify_all();
        }
    }

    /// The latest sweep, if it is newer than number `seen`. One atomic load when it is not.
    pub(super) fn newer_than(&self, seen: u64) -> Option<Arc<Sweep>> {
        (self.shared.number.load(Ordering::Acquire) > seen).then(|| Arc::clone(&self.shared.lock()))
    }

    /// Waits until a sweep after number `seen` has ended, at most `timeout` seconds.
    pub(super) fn wait(&self, seen: u64, timeout: f64) {
        let timeout = Duration::try_from_secs_f64(timeout).unwrap_or_default();
        let latest = self.shared.lock();
        let _ = self.shared.ended.wait_timeout_while(latest, timeout, |latest| latest.number <= seen);
    }
}

impl Drop for Search {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        {
            let _held = self.shared.lock();
            self.shared.ended.notify_all();
        }
        // A sweep ends within its window; liblsl must not be in use when the process ends.
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

fn sweep(predicate: &str, shared: &Shared) {
    let mut number = 0;
    while !shared.stop.load(Ordering::Relaxed) {
        let urgent = shared.urgent.load(Ordering::Relaxed);
        let began = MonotonicClock.now().seconds();
        let found = lsl::resolve_bypred(predicate, EVERY, WINDOW).unwrap_or_else(|error| {
            tracing::warn!(%error, "looking for LSL streams failed");
            Vec::new()
        });
        let mut streams: Vec<Sighting> = found.into_iter().map(Sighting::of).collect();
        // In an order that does not depend on who answered first; a host with two networks answers twice.
        streams.sort_by(|a, b| a.stream.uid.cmp(&b.stream.uid));
        streams.dedup_by(|a, b| a.stream.uid == b.stream.uid);
        number += 1;
        let mut latest = shared.lock();
        *latest = Arc::new(Sweep { number, began, streams });
        shared.number.store(number, Ordering::Release);
        shared.ended.notify_all();
        let idle = |_: &mut Arc<Sweep>| !shared.urgent.load(Ordering::Relaxed) && !shared.stop.load(Ordering::Relaxed);
        drop(shared.ended.wait_timeout_while(latest, PAUSE, idle));
        if urgent && MonotonicClock.now().seconds() - began < 0.5 * WINDOW {
            // A failing resolver returns at once: do not spin on it.
            std::thread::sleep(Duration::from_secs_f64(WINDOW));
        }
    }
}

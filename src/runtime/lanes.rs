//! What every lane has in hand, how ready they are, and how they are stopped.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::session::Session;
use crate::publish::{FramePort, OpenOutlets};
use crate::ring::Wake;

/// What every lane has in hand.
#[derive(Clone)]
pub struct LaneContext {
    /// The session that frames belong to.
    pub session: Session,
    /// Where frames go that the service publishes.
    pub port: Arc<dyn FramePort>,
    /// Opens outlets on the lane that makes the frames.
    pub outlets: Arc<dyn OpenOutlets>,
    /// How ready everything is.
    pub status: Arc<Status>,
    /// The SCHED_FIFO priority that source lanes ask for.
    pub realtime: Option<i32>,
}

impl LaneContext {
    /// Whether lanes should come to an end.
    pub fn stopping(&self) -> bool {
        self.status.stopping.load(Ordering::Acquire)
    }

    /// Ends everything: what went wrong can only be mended in the configuration.
    pub fn fail(&self, problem: String) {
        tracing::error!(problem, "cannot go on");
        let mut failure = self.status.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(problem);
        self.status.stopping.store(true, Ordering::Release);
    }

    /// Waits for so many real seconds, or until lanes should end; alive meanwhile.
    pub fn sleep(&self, seconds: f64) {
        let slice = 0.05;
        let mut left = seconds;
        while left > 0.0 && !self.stopping() {
            self.status.beat();
            std::thread::sleep(Duration::from_secs_f64(left.min(slice)));
            left -= slice;
        }
    }
}

/// How ready everything is. Lanes write, the service reads.
#[derive(Debug, Default)]
pub struct Status {
    stopping: AtomicBool,
    beats: AtomicU64,
    /// What each named part waits for; empty when it is ready.
    parts: Mutex<BTreeMap<String, String>>,
    failure: Mutex<Option<String>>,
}

impl Status {
    /// `part` has to become ready before the whole is.
    pub fn expect(&self, part: &str) {
        self.waiting(part, "starting".into());
    }

    /// `part` is not ready, and why.
    pub fn waiting(&self, part: &str, why: String) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).insert(part.into(), why);
    }

    /// `part` is ready.
    pub fn ready(&self, part: &str) {
        let mut parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = parts.get_mut(part) {
            why.clear();
        }
    }

    /// `part` has come to its end, as a recording does.
    pub fn ended(&self, part: &str) {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).remove(part);
    }

    /// Every part, with what it waits for; that is empty when it is ready.
    pub fn parts(&self) -> BTreeMap<String, String> {
        self.parts.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// What is not ready, with the reason; empty when everything is.
    pub fn not_ready(&self) -> Vec<(String, String)> {
        let parts = self.parts.lock().unwrap_or_else(PoisonError::into_inner);
        parts.iter().filter(|(_, why)| !why.is_empty()).map(|(p, w)| (p.clone(), w.clone())).collect()
    }

    /// A source lane is alive.
    pub fn beat(&self) {
        self.beats.fetch_add(1, Ordering::Relaxed);
    }

    /// Counts the turns of all source lanes: while it grows, they are alive.
    pub fn beats(&self) -> u64 {
        self.beats.load(Ordering::Relaxed)
    }

    /// What ended everything, if something did.
    pub fn failure(&self) -> Option<String> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether lanes should come to an end, or have.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// The running lanes, in the order in which data flow.
pub struct Lanes {
    context: LaneContext,
    threads: Vec<(JoinHandle<()>, Arc<Wake>)>,
}

impl Lanes {
    /// No lane yet.
    pub fn new(context: LaneContext) -> Self {
        Self { context, threads: Vec::new() }
    }

    /// Starts one lane on a thread of this name. Start them upstream first: they are waited for in this order.
    ///
    /// # Errors
    /// The system gives no further thread.
    pub fn start(
        &mut self,
        name: &str,
        wake: Arc<Wake>,
        lane: impl FnOnce(&LaneContext) + Send + 'static,
    ) -> std::io::Result<()> {
        let context = self.context.clone();
        let lane_name = name.to_owned();
        let thread = std::thread::Builder::new().name(name.into()).spawn(move || {
            // A lane must not die unseen: the others would go on, and readiness with them.
            if catch_unwind(AssertUnwindSafe(|| lane(&context))).is_err() {
                context.fail(format!("lane {lane_name} panicked: a defect of neurod; please report it with the log"));
            }
        })?;
        self.threads.push((thread, wake));
        Ok(())
    }

    /// What every lane has in hand.
    pub fn context(&self) -> &LaneContext {
        &self.context
    }

    /// Tells every lane to end and waits for them, upstream first, so that each drains what the one before it sent.
    pub fn stop(self) {
        self.context.status.stopping.store(true, Ordering::Release);
        for (thread, wake) in self.threads {
            wake.ring();
            if thread.join().is_err() {
                tracing::error!("a lane had panicked");
            }
        }
    }

    /// Whether every source lane has come to its end by itself, as recordings do.
    pub fn finished(&self) -> bool {
        let is_source = |thread: &JoinHandle<()>| thread.thread().name().is_some_and(|name| name.starts_with("rt:"));
        let mut sources = self.threads.iter().map(|(thread, _)| thread).filter(|t| is_source(t)).peekable();
        sources.peek().is_some() && sources.all(JoinHandle::is_finished)
    }
}

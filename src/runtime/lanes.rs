//! What every lane has in hand, how ready they are, and how they are stopped.

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use super::predicted::Tap;
use super::session::Session;
use crate::frame::{Clock, MonotonicClock, RegionFrame, Regions};
use crate::publish::{FramePort, OpenOutlets, Outgoing};
use crate::ring::Wake;

/// The first and the longest wait between two tries to open a source, in seconds.
const SHORTEST_WAIT: f64 = 0.25;
const LONGEST_WAIT: f64 = 5.0;

/// What every lane has in hand.
#[derive(Clone)]
pub struct LaneContext {
    /// The session that frames belong to.
    pub session: Session,
    /// Where frames go that the service publishes.
    pub port: Arc<dyn FramePort>,
    /// Opens outlets on the lane that makes the frames.
    pub outlets: Arc<dyn OpenOutlets>,
    /// The networks of regions that are predicted.
    pub taps: Arc<[Tap]>,
    /// How ready everything is.
    pub status: Arc<Status>,
    /// The SCHED_FIFO priority that source lanes ask for.
    pub realtime: Option<i32>,
    /// This lane's sign of life.
    pulse: Pulse,
}

/// Set by a lane when it turns, cleared by whoever looks.
type Pulse = Arc<AtomicBool>;

impl LaneContext {
    /// What lanes have in hand that are not started yet.
    pub fn new(
        session: Session,
        port: Arc<dyn FramePort>,
        outlets: Arc<dyn OpenOutlets>,
        status: Arc<Status>,
        realtime: Option<i32>,
    ) -> Self {
        Self { session, port, outlets, taps: Arc::default(), status, realtime, pulse: Pulse::default() }
    }

    /// Publishes a frame of a predictor or source, and hands it to the networks of its regions; `rate` is how many come a second.
    pub fn publish(&self, frame: RegionFrame, regions: &Arc<Regions>, rate: f64) {
        let frame = Arc::new(frame);
        self.taps.iter().for_each(|tap| tap.frame(&frame, regions, rate));
        self.port.send(Outgoing::Frame(frame));
    }

    /// Whether lanes should come to an end.
    pub fn stopping(&self) -> bool {
        self.status.stopping.load(Ordering::Acquire)
    }

    /// Ends everything: what went wrong needs a person.
    pub fn fail(&self, fault: Fault, problem: String) {
        tracing::error!(problem, "cannot go on");
        let mut failure = self.status.failure.lock().unwrap_or_else(PoisonError::into_inner);
        failure.get_or_insert(Failure { fault, problem });
        self.status.stopping.store(true, Ordering::Release);
    }

    /// Tries until it works, with growing waits; `part` waits for it meanwhile. `None` when lanes should end.
    pub fn retry<T, E: std::fmt::Display>(&self, part: &str, attempt: impl Fn() -> Result<T, E>) -> Option<T> {
        let mut wait = SHORTEST_WAIT;
        while !self.stopping() {
            self.beat();
            match attempt() {
                Ok(done) => return Some(done),
                Err(error) => {
                    self.status.waiting(part, error.to_string());
                    tracing::warn!(part, %error, retry_s = wait, "could not be opened");
                    self.sleep(wait);
                    wait = f64::min(wait * 2.0, LONGEST_WAIT);
                }
            }
        }
        None
    }

    /// This lane is alive.
    pub fn beat(&self) {
        self.pulse.store(true, Ordering::Relaxed);
    }

    /// Waits for so many real seconds, or until lanes should end; alive meanwhile.
    pub fn sleep(&self, seconds: f64) {
        let slice = 0.05;
        let mut left = seconds;
        while left > 0.0 && !self.stopping() {
            self.beat();
            std::thread::sleep(Duration::from_secs_f64(left.min(slice)));
            left -= slice;
        }
    }
}

/// Why everything ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Who can mend it.
    pub fault: Fault,
    /// What went wrong.
    pub problem: String,
}

/// Who can mend a failure.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Whoever wrote the configuration.
    Config,
    /// Whoever made the model, checkpoint or recording.
    Data,
    /// We.
    Defect,
}

/// How ready everything is. Lanes write, the service reads. A part is named by its section and its name, as
/// `sources.eeg`.
#[derive(Debug, Default)]
pub struct Status {
    stopping: AtomicBool,
    /// Of the lanes that must not stand still: those of sources and events.
    pulses: Mutex<Vec<Pulse>>,
    rounds: AtomicU64,
    /// What each part waits for; empty when it is ready.
    parts: Mutex<BTreeMap<String, String>>,
    failure: Mutex<Option<Failure>>,
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

    /// Grows while every source and event lane is alive: by one each time that all of them have turned since it last
    /// grew. One lane that hangs stops it, however busy the others are.
    pub fn beats(&self) -> u64 {
        let pulses = self.pulses.lock().unwrap_or_else(PoisonError::into_inner);
        if pulses.iter().all(|pulse| pulse.load(Ordering::Relaxed)) {
            pulses.iter().for_each(|pulse| pulse.store(false, Ordering::Relaxed));
            self.rounds.fetch_add(1, Ordering::Relaxed);
        }
        self.rounds.load(Ordering::Relaxed)
    }

    fn watch(&self, pulse: &Pulse) {
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).push(Arc::clone(pulse));
    }

    fn unwatch(&self, pulse: &Pulse) {
        self.pulses.lock().unwrap_or_else(PoisonError::into_inner).retain(|p| !Arc::ptr_eq(p, pulse));
    }

    /// What ended everything, if something did.
    pub fn failure(&self) -> Option<Failure> {
        self.failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Whether lanes should come to an end, or have.
    pub fn is_stopping(&self) -> bool {
        self.stopping.load(Ordering::Acquire)
    }
}

/// What a lane is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Acquires and cleans one source, predicts from it.
    Source,
    /// Listens to one event source.
    Events,
    /// Runs one encoder.
    Infer,
    /// Learns.
    Learn,
    /// Makes frames of rows.
    Publish,
}

impl Role {
    /// The thread's name, as `top -H` shows it.
    fn thread(self, name: &str) -> String {
        match self {
            Role::Source => format!("rt:{name}"),
            Role::Events => format!("io:{name}"),
            Role::Infer => format!("infer:{name}"),
            Role::Learn => "learn".into(),
            Role::Publish => "publish".into(),
        }
    }
}

struct Lane {
    role: Role,
    thread: JoinHandle<()>,
    wake: Arc<Wake>,
}

/// The running lanes, in the order in which data flow.
pub struct Lanes {
    context: LaneContext,
    lanes: Vec<Lane>,
}

impl Lanes {
    /// No lane yet.
    pub fn new(context: LaneContext) -> Self {
        Self { context, lanes: Vec::new() }
    }

    /// Starts one lane on a thread of its own. Start them upstream first: they are waited for in this order.
    ///
    /// # Errors
    /// The system gives no further thread.
    pub fn start(
        &mut self,
        role: Role,
        name: &str,
        wake: Arc<Wake>,
        lane: impl FnOnce(&LaneContext) + Send + 'static,
    ) -> std::io::Result<()> {
        let context = LaneContext { pulse: Pulse::default(), ..self.context.clone() };
        let watched = matches!(role, Role::Source | Role::Events);
        let thread_name = role.thread(name);
        let thread = std::thread::Builder::new().name(thread_name.clone()).spawn(move || {
            if watched {
                context.status.watch(&context.pulse);
            }
            // A lane must not die unseen: the others would go on, and readiness with them.
            if catch_unwind(AssertUnwindSafe(|| lane(&context))).is_err() {
                let problem = format!("lane {thread_name} panicked: a defect of neurod; please report it with the log");
                context.fail(Fault::Defect, problem);
            }
            context.status.unwatch(&context.pulse);
        })?;
        self.lanes.push(Lane { role, thread, wake });
        Ok(())
    }

    /// What every lane has in hand.
    pub fn context(&self) -> &LaneContext {
        &self.context
    }

    /// Tells every lane to end and waits for them, upstream first, so that each drains what the one before it sent; all
    /// together at most `grace`. One that does not end by then is named in the log and left to end with the process.
    pub fn stop(self, grace: Duration) {
        self.context.status.stopping.store(true, Ordering::Release);
        let until = MonotonicClock.now() + grace.as_secs_f64();
        for Lane { thread, wake, .. } in self.lanes {
            wake.ring();
            while !thread.is_finished() && MonotonicClock.now() < until {
                std::thread::sleep(Duration::from_millis(1));
            }
            if !thread.is_finished() {
                let name = thread.thread().name().unwrap_or_default();
                tracing::error!(lane = name, ?grace, "did not end within session.grace; what it held is lost");
            } else if thread.join().is_err() {
                tracing::error!("a lane had panicked");
            }
        }
    }

    /// Whether every source lane has come to its end by itself, as recordings do.
    pub fn finished(&self) -> bool {
        let mut sources = self.lanes.iter().filter(|lane| lane.role == Role::Source).peekable();
        sources.peek().is_some() && sources.all(|lane| lane.thread.is_finished())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_lane_that_hangs_stops_the_heartbeat() {
        let status = Status::default();
        assert!(status.beats() < status.beats(), "where nobody is watched, nobody hangs");
        let (busy, hangs) = (Pulse::default(), Pulse::default());
        status.watch(&busy);
        status.watch(&hangs);
        let before = status.beats();
        let turn = |pulses: &[&Pulse]| {
            pulses.iter().for_each(|pulse| pulse.store(true, Ordering::Relaxed));
            status.beats() - before
        };
        assert_eq!(turn(&[&busy, &hangs]), 1);
        assert_eq!((turn(&[&busy]), turn(&[&busy])), (1, 1));
        assert_eq!(turn(&[&hangs]), 2);
        status.unwatch(&hangs);
        assert!(turn(&[&busy]) >= 3, "one that has ended does not hang");
    }
}

//! How do frames leave the lanes? Through one queue that never makes a lane wait, then one queue a client.
//!
//! This is the only file that knows both worlds: lanes push into a lock-free queue of crossbeam's, a task of tokio's
//! takes messages out and hands each client those it asked for. A full queue drops its oldest frame and counts it;
//! the frame after the hole carries `DROPPED_BEFORE`. Names of regions are remembered, so that a client knows them
//! before the first frame that needs them, whatever was dropped.

use std::collections::{HashSet, VecDeque};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use axum::body::Bytes;
use axum::extract::ws::Utf8Bytes;
use crossbeam::queue::ArrayQueue;
use prometheus::IntCounter;
use tokio::sync::Notify;

use crate::frame::{FrameKind, Quality, RegionFrame, Regions};
use crate::publish::{FramePort, Outgoing, wire};
use crate::runtime::metrics::Metrics;

/// How many messages may wait for the service before the oldest is dropped.
const BUS: usize = 256;
/// How many different [`Regions`] are remembered; a session has one a predictor and kind.
const REMEMBERED: usize = 256;
/// Frames of more values than this are sent in binary only: JSON is ten times their size.
pub const MOST_JSON_VALUES: usize = 16_384;
/// The most values that wait for one client, skill counted with them: about 42 frames of 10⁵ voxels. The client's queue drops
/// its oldest beyond that too.
const MOST_WAITING: usize = 8 << 20;
/// After so many messages the fan-out lets clients be served in between.
const TURN: usize = 64;

/// Takes messages from every lane; a [`Service`](super::Service) hands them on to its clients.
pub struct FrameBus {
    queue: ArrayQueue<Outgoing>,
    wake: Notify,
    dropped: IntCounter,
    lost: AtomicBool,
    closing: AtomicBool,
    known: Mutex<Vec<Arc<Regions>>>,
    clients: Mutex<Vec<Arc<Queue>>>,
    listening: AtomicUsize,
    edges: AtomicUsize,
}

impl FrameBus {
    /// An empty bus, whose drops are counted in `neurod_sink_dropped_total{sink="bus"}`.
    pub fn new(metrics: &Metrics) -> Arc<Self> {
        Arc::new(Self {
            queue: ArrayQueue::new(BUS),
            wake: Notify::new(),
            dropped: metrics.sink("bus"),
            lost: AtomicBool::new(false),
            closing: AtomicBool::new(false),
            known: Mutex::default(),
            clients: Mutex::default(),
            listening: AtomicUsize::new(0),
            edges: AtomicUsize::new(0),
        })
    }

    /// The names of every predictor's regions so far, oldest first.
    pub fn regions(&self) -> Vec<Arc<Regions>> {
        lock(&self.known).clone()
    }

    /// A queue of its own for one client: at most `capacity` messages, what is dropped counted in `dropped`.
    pub(super) fn subscribe(self: &Arc<Self>, filter: Filter, capacity: usize, dropped: IntCounter) -> Subscriber {
        let queue = Arc::new(Queue { waiting: Mutex::default(), wake: Notify::new(), capacity, dropped });
        let closed = {
            // In this order, a bus that closes meanwhile finds the new queue, or we find it closing.
            let mut clients = lock(&self.clients);
            lock(&queue.waiting).filter = filter;
            clients.push(Arc::clone(&queue));
            self.count(&clients);
            self.closing.load(Ordering::SeqCst)
        };
        if closed {
            queue.close();
        }
        Subscriber { pending: self.regions().into(), bus: Arc::clone(self), queue, told: HashSet::new(), held: None }
    }

    /// Notes how many listen, and how many of them ask for edges.
    fn count(&self, clients: &[Arc<Queue>]) {
        let edges = clients.iter().filter(|queue| lock(&queue.waiting).filter.edges).count();
        self.listening.store(clients.len(), Ordering::Release);
        self.edges.store(edges, Ordering::Release);
    }

    /// Hands messages on until the bus is closed and empty; then closes every client's queue.
    pub(super) async fn fan_out(&self) {
        loop {
            let woken = self.wake.notified();
            let closing = self.closing.load(Ordering::SeqCst);
            let mut taken = 0;
            while let Some(message) = self.queue.pop() {
                let lost = self.lost.swap(false, Ordering::AcqRel);
                self.hand_out(&Arc::new(Message::new(message)), lost);
                taken += 1;
                if taken % TURN == 0 {
                    tokio::task::yield_now().await;
                }
            }
            if closing {
                break;
            }
            woken.await;
        }
        lock(&self.clients).iter().for_each(|queue| queue.close());
    }

    /// No more messages will come: what is in the queue is still handed on.
    pub(super) fn close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.wake.notify_one();
    }

    fn hand_out(&self, message: &Arc<Message>, lost: bool) {
        for queue in lock(&self.clients).iter() {
            queue.push(message, lost);
        }
    }

    fn regions_of(&self, id: &str) -> Option<Arc<Regions>> {
        lock(&self.known).iter().find(|regions| &*regions.regions_id == id).cloned()
    }
}

impl FramePort for FrameBus {
    fn send(&self, message: Outgoing) {
        if let Outgoing::Regions(regions) = &message {
            let mut known = lock(&self.known);
            known.retain(|other| other.regions_id != regions.regions_id);
            if known.len() == REMEMBERED {
                known.remove(0);
            }
            known.push(Arc::clone(regions));
        }
        if self.queue.force_push(message).is_some_and(|lost| !matches!(lost, Outgoing::Regions(_))) {
            self.lost.store(true, Ordering::Release);
            self.dropped.inc();
        }
        self.wake.notify_one();
    }

    fn wanted(&self) -> bool {
        self.listening.load(Ordering::Acquire) > 0
    }

    fn wants_edges(&self) -> bool {
        self.edges.load(Ordering::Acquire) > 0
    }
}

/// Which frames a client wants. Empty lists want everything.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Filter {
    pub predictors: Vec<String>,
    pub kinds: Vec<FrameKind>,
    /// Whether rankings of candidates are wanted; always, where nothing is chosen.
    pub identification: bool,
    /// Whether networks are wanted; always, where nothing is chosen.
    pub networks: bool,
    /// Whether what models say of networks is wanted; always, where nothing is chosen.
    pub outcomes: bool,
    /// Whether networks are to come with every edge.
    pub edges: bool,
    /// Whether the quality of volumes is wanted; always, where nothing is chosen.
    pub quality: bool,
    /// The client reads JSON, so it gets no frame of more than [`MOST_JSON_VALUES`].
    pub json: bool,
}

impl Filter {
    fn wants(&self, message: &Outgoing) -> bool {
        let others = self.identification || self.networks || self.outcomes || self.quality;
        let every_kind = self.kinds.is_empty() && !others;
        let of = |predictor: &str| self.predictors.is_empty() || self.predictors.iter().any(|p| p == predictor);
        match message {
            Outgoing::Regions(_) => true,
            Outgoing::Identification(ranking) => of(&ranking.predictor) && (every_kind || self.identification),
            Outgoing::Network(frame) => of(&frame.window.network) && (every_kind || self.networks),
            Outgoing::Outcome(frame) => of(&frame.window.network) && (every_kind || self.outcomes),
            Outgoing::Quality(frame) => of(&frame.source) && (every_kind || self.quality),
            Outgoing::Frame(frame) => {
                of(&frame.predictor)
                    && (every_kind || self.kinds.contains(&frame.kind))
                    && !(self.json && frame.values.len() > MOST_JSON_VALUES)
            }
        }
    }
}

/// One message for all clients; written out once a format, when the first of them needs it.
pub(super) struct Message {
    pub outgoing: Outgoing,
    json: OnceLock<Option<Utf8Bytes>>,
    with_edges: OnceLock<Option<Utf8Bytes>>,
    binary: OnceLock<Bytes>,
}

impl Message {
    fn new(outgoing: Outgoing) -> Self {
        Self { outgoing, json: OnceLock::new(), with_edges: OnceLock::new(), binary: OnceLock::new() }
    }

    /// How many values it holds.
    fn values(&self) -> usize {
        match &self.outgoing {
            Outgoing::Frame(frame) => frame.values.len() + frame.skill.as_ref().map_or(0, Vec::len),
            _ => 0,
        }
    }

    /// As JSON text.
    pub fn json(&self) -> Option<Utf8Bytes> {
        self.json.get_or_init(|| wire::json(&self.outgoing).ok().map(Utf8Bytes::from)).clone()
    }

    /// As JSON text, a network with every edge.
    pub fn json_with_edges(&self) -> Option<Utf8Bytes> {
        match &self.outgoing {
            Outgoing::Network(_) => {
                let text = || wire::json_with_edges(&self.outgoing).ok().map(Utf8Bytes::from);
                self.with_edges.get_or_init(text).clone()
            }
            _ => self.json(),
        }
    }

    /// As a binary frame; `None` for everything else, which is always JSON.
    pub fn binary(&self) -> Option<Bytes> {
        match &self.outgoing {
            Outgoing::Frame(frame) => Some(self.binary.get_or_init(|| wire::encode(frame).into()).clone()),
            _ => None,
        }
    }
}

#[derive(Default)]
struct Waiting {
    messages: VecDeque<Arc<Message>>,
    /// Of all of them.
    values: usize,
    filter: Filter,
    lost: bool,
    closed: bool,
}

struct Queue {
    waiting: Mutex<Waiting>,
    wake: Notify,
    capacity: usize,
    dropped: IntCounter,
}

impl Queue {
    fn push(&self, message: &Arc<Message>, lost: bool) {
        let mut waiting = lock(&self.waiting);
        waiting.lost |= lost;
        if !waiting.filter.wants(&message.outgoing) {
            return;
        }
        let values = message.values();
        while waiting.messages.len() >= self.capacity.max(1) || waiting.values + values > MOST_WAITING {
            let Some(oldest) = waiting.messages.pop_front() else { break };
            waiting.values -= oldest.values();
            // Regions that fall out come again with the first frame that needs them.
            if !matches!(oldest.outgoing, Outgoing::Regions(_)) {
                waiting.lost = true;
                self.dropped.inc();
            }
        }
        waiting.values += values;
        waiting.messages.push_back(Arc::clone(message));
        drop(waiting);
        self.wake.notify_one();
    }

    fn close(&self) {
        lock(&self.waiting).closed = true;
        self.wake.notify_one();
    }

    /// The oldest message and whether one was lost before it; `None` once closed and empty.
    async fn pop(&self) -> Option<(Arc<Message>, bool)> {
        loop {
            let woken = self.wake.notified();
            {
                let mut waiting = lock(&self.waiting);
                if let Some(message) = waiting.messages.pop_front() {
                    waiting.values -= message.values();
                    let is_frame = matches!(message.outgoing, Outgoing::Frame(_));
                    return Some((message, is_frame && std::mem::take(&mut waiting.lost)));
                }
                if waiting.closed {
                    return None;
                }
            }
            woken.await;
        }
    }
}

/// What one client receives from.
pub(super) struct Subscriber {
    bus: Arc<FrameBus>,
    queue: Arc<Queue>,
    pending: VecDeque<Arc<Regions>>,
    told: HashSet<Arc<str>>,
    /// A frame that waits until its regions have been sent.
    held: Option<Arc<Message>>,
}

impl Subscriber {
    /// From now on, only what this filter wants, with or without edges as before. What waits already stays.
    pub fn set_filter(&self, filter: Filter) {
        let mut waiting = lock(&self.queue.waiting);
        waiting.filter = Filter { edges: waiting.filter.edges, ..filter };
    }

    /// The next message: all known regions first, and the regions of a frame always before the frame. `None` once the
    /// bus is closed and everything has been taken. Loses nothing when it is dropped halfway.
    pub async fn next(&mut self) -> Option<Arc<Message>> {
        while let Some(regions) = self.pending.pop_front() {
            if self.told.insert(Arc::clone(&regions.regions_id)) {
                return Some(Arc::new(Message::new(Outgoing::Regions(regions))));
            }
        }
        if let Some(frame) = self.held.take() {
            return Some(frame);
        }
        loop {
            let (message, lost) = self.queue.pop().await?;
            match &message.outgoing {
                Outgoing::Regions(regions) => {
                    if self.told.insert(Arc::clone(&regions.regions_id)) {
                        return Some(message);
                    }
                }
                Outgoing::Identification(_) | Outgoing::Network(_) | Outgoing::Outcome(_) | Outgoing::Quality(_) => {
                    return Some(message);
                }
                Outgoing::Frame(frame) => {
                    let regions = match self.told.insert(Arc::clone(&frame.regions_id)) {
                        true => self.bus.regions_of(&frame.regions_id),
                        false => None,
                    };
                    let message = if lost { flagged(frame) } else { Arc::clone(&message) };
                    let Some(regions) = regions else { return Some(message) };
                    self.held = Some(message);
                    return Some(Arc::new(Message::new(Outgoing::Regions(regions))));
                }
            }
        }
    }
}

impl Drop for Subscriber {
    fn drop(&mut self) {
        let mut clients = lock(&self.bus.clients);
        clients.retain(|queue| !Arc::ptr_eq(queue, &self.queue));
        self.bus.count(&clients);
    }
}

fn flagged(frame: &RegionFrame) -> Arc<Message> {
    let mut frame = frame.clone();
    frame.quality |= Quality::DROPPED_BEFORE;
    Arc::new(Message::new(Outgoing::Frame(Arc::new(frame))))
}

/// A lock whose holder never panics: there is no half-done state to fear.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests;

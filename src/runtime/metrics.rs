//! What is counted and timed: one registry, and handles that lanes use without looking anything up.
//!
//! Every family is declared here, with its labels; names follow Prometheus (`neurod_`, base units, `_total`). A handle
//! is resolved once, when its lane is built: using one is a few atomic operations, with no lock and no allocation.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use prometheus::{
    Encoder as _, Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, IntGauge,
    IntGaugeVec, Opts, Registry, TextEncoder,
};

use super::Predictor;
use super::encoder::EncoderCounts;
use super::volumes::{VolumeFamilies, VolumeMetrics};
use crate::acquisition::SourceStats;
use crate::acquisition::volumes::Fault;
use crate::encoders::CacheStats;
use crate::frame::{Clock, FrameKind, RegionFrame};

/// From 1 µs to 8 s, doubling: one scale for stages and for whole paths.
fn buckets() -> Vec<f64> {
    (0..24).map(|i| 1e-6 * f64::from(1u32 << i)).collect()
}

/// A family, and the counter of a source that it shows.
type SourceCount = (IntCounterVec, fn(&SourceStats) -> &AtomicU64);

/// A source whose counters are read when somebody scrapes.
struct Watched {
    name: String,
    stats: Arc<SourceStats>,
    clock: Arc<dyn Clock>,
}

/// The caches of encoders, by the encoder's name.
type Caches = Arc<std::sync::Mutex<Vec<(String, Arc<CacheStats>)>>>;

/// Every metric family of the daemon.
pub struct Metrics {
    registry: Registry,
    stage: HistogramVec,
    latency: HistogramVec,
    frames: IntCounterVec,
    source_age: GaugeVec,
    source_up: IntGaugeVec,
    clock_offset: GaugeVec,
    source_counts: Vec<SourceCount>,
    source_faults: IntCounterVec,
    volumes: VolumeFamilies,
    link_dropped: IntCounterVec,
    sink_dropped: IntCounterVec,
    realtime: IntGaugeVec,
    updates: IntCounterVec,
    rollbacks: IntCounterVec,
    refused_rows: IntCounterVec,
    held_rows: IntCounterVec,
    late_features: IntCounterVec,
    learning: IntGaugeVec,
    skill: [GaugeVec; 3],
    drift: GaugeVec,
    condition: GaugeVec,
    checkpoint_failures: IntCounterVec,
    checkpoint_degraded: IntGaugeVec,
    encoder_seconds: HistogramVec,
    encoder_counts: [IntCounterVec; 3],
    cache_counts: [IntCounterVec; 2],
    ready: IntGauge,
    clients: IntGauge,
    watched: std::sync::Mutex<Vec<Watched>>,
    caches: Caches,
}

impl Metrics {
    /// A registry with every family in it.
    ///
    /// # Errors
    /// A family that is declared twice or badly named: a defect of this file.
    pub fn new(session: &str) -> Result<Arc<Self>, prometheus::Error> {
        let registry = Registry::new();
        let counters = |name: &str, help: &str, labels: &[&str]| {
            let family = IntCounterVec::new(Opts::new(format!("neurod_{name}"), help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let gauges = |name: &str, help: &str, labels: &[&str]| {
            let family = GaugeVec::new(Opts::new(format!("neurod_{name}"), help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let states = |name: &str, help: &str, labels: &[&str]| {
            let family = IntGaugeVec::new(Opts::new(format!("neurod_{name}"), help), labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let times = |name: &str, help: &str, labels: &[&str]| {
            let options = HistogramOpts::new(format!("neurod_{name}"), help).buckets(buckets());
            let family = HistogramVec::new(options, labels)?;
            registry.register(Box::new(family.clone()))?;
            Ok::<_, prometheus::Error>(family)
        };
        let build = states("build_info", "What this is; always 1.", &["version", "session"])?;
        build.with_label_values(&[env!("CARGO_PKG_VERSION"), session]).set(1);
        let ready = IntGauge::new("neurod_ready", "1 while every source, encoder and predictor is ready.")?;
        registry.register(Box::new(ready.clone()))?;
        let clients = IntGauge::new("neurod_websocket_clients", "WebSocket clients that are connected.")?;
        registry.register(Box::new(clients.clone()))?;
        let source = |name, help| counters(name, help, &["source"]);
        Ok(Arc::new(Self {
            stage: times(
                "stage_duration_seconds",
                "Time in one stage of a source's chain, per block.",
                &["source", "stage"],
            )?,
            latency: times(
                "end_to_end_latency_seconds",
                "From the arrival of the newest sample to the frame.",
                &["predictor", "kind"],
            )?,
            frames: counters("frames_total", "Frames made.", &["predictor", "kind"])?,
            source_age: gauges("source_age_seconds", "Age of the newest sample or event.", &["source"])?,
            source_up: states("source_up", "1 while data come.", &["source"])?,
            clock_offset: gauges("source_clock_offset_seconds", "What is added to the device's clock.", &["source"])?,
            source_counts: vec![
                (source("source_samples_total", "Samples delivered.")?, |s| &s.samples),
                (source("source_gaps_total", "Holes in the data.")?, |s| &s.gaps),
                (source("source_lost_total", "Times the stream fell silent or vanished.")?, |s| &s.lost),
                (source("source_returned_total", "Times the stream came back.")?, |s| &s.returned),
                (
                    source("source_refused_total", "Streams refused: another shape, a second match, a look-alike.")?,
                    |s| &s.refused,
                ),
                (source("source_misordered_total", "Samples dropped for a repeated or backward timestamp.")?, |s| {
                    &s.misordered
                }),
                (source("source_clock_jumps_total", "Jumps of timestamps or of the clock offset.")?, |s| {
                    &s.clock_jumps
                }),
            ],
            source_faults: counters(
                "source_faults_total",
                "What a source of volumes lived through, by kind; volumes, files, objects or associations.",
                &["source", "fault"],
            )?,
            volumes: VolumeFamilies::register(&registry, buckets())?,
            link_dropped: counters(
                "link_dropped_total",
                "Blocks, events, features or rows dropped because the lane after this one fell behind.",
                &["from"],
            )?,
            sink_dropped: counters("sink_dropped_total", "Frames dropped because a client fell behind.", &["sink"])?,
            realtime: states("realtime_granted", "1 where the lane runs under SCHED_FIFO.", &["source"])?,
            updates: counters("ridge_updates_total", "Volumes learned from.", &["predictor"])?,
            rollbacks: counters(
                "ridge_rollbacks_total",
                "Times the guard went back to older weights.",
                &["predictor"],
            )?,
            refused_rows: counters(
                "ridge_refused_total",
                "Volumes neither scored nor learned from: features not measured or not finite, or a run that is over.",
                &["predictor"],
            )?,
            held_rows: counters(
                "ridge_held_total",
                "Volumes scored but not learned from: frozen, or flagged.",
                &["predictor"],
            )?,
            late_features: counters(
                "late_features_total",
                "Features that came after their volume had been scored without them.",
                &["predictor"],
            )?,
            learning: states("ridge_learning", "1 while the predictor learns, 0 while it is frozen.", &["predictor"])?,
            skill: [
                gauges("skill_r_mean", "Prequential Pearson R over all volumes, mean of the regions.", &["predictor"])?,
                gauges("skill_r_max", "The same, of the best region.", &["predictor"])?,
                gauges("skill_mae", "Prequential mean absolute error, mean of the regions.", &["predictor"])?,
            ],
            drift: gauges(
                "ridge_drift_ratio",
                "Distance of the weights from the exact solution, relative.",
                &["predictor"],
            )?,
            condition: gauges(
                "ridge_condition_ratio",
                "Condition number of the penalised Gram matrix.",
                &["predictor"],
            )?,
            checkpoint_failures: counters(
                "checkpoint_failures_total",
                "Checkpoints that could not be written.",
                &["predictor"],
            )?,
            checkpoint_degraded: states(
                "checkpoint_degraded",
                "1 while the last checkpoint could not be written.",
                &["predictor"],
            )?,
            encoder_seconds: times("encoder_duration_seconds", "Time in one pass of an encoder.", &["encoder"])?,
            encoder_counts: [
                counters("encoder_passes_total", "Passes that gave features.", &["encoder"])?,
                counters("encoder_errors_total", "Passes that failed.", &["encoder"])?,
                counters("encoder_deadline_misses_total", "Passes past their deadline.", &["encoder"])?,
            ],
            cache_counts: [
                counters("encoder_cache_hits_total", "Texts whose features were remembered.", &["encoder"])?,
                counters("encoder_cache_misses_total", "Texts that had to be encoded.", &["encoder"])?,
            ],
            ready,
            clients,
            watched: std::sync::Mutex::default(),
            caches: Caches::default(),
            registry,
        }))
    }

    /// The handles of one source or event source; its counters are read from `stats` whenever somebody scrapes. `clock`
    /// is the one that its samples are stamped on.
    pub fn source(&self, name: &str, stats: Arc<SourceStats>, clock: &Arc<dyn Clock>) -> SourceMetrics {
        if let Ok(mut watched) = self.watched.lock() {
            watched.push(Watched { name: name.into(), stats, clock: Arc::clone(clock) });
        }
        SourceMetrics {
            name: name.into(),
            stage: self.stage.clone(),
            dropped: self.link_dropped.with_label_values(&[name]),
            realtime: self.realtime.with_label_values(&[name]),
        }
    }

    /// The handles of what is measured of the volumes of one source.
    pub fn volumes(&self, source: &str) -> VolumeMetrics {
        self.volumes.of(source)
    }

    /// The handles of the frames that a source or predictor makes.
    pub fn frames(&self, name: &str, kind: FrameKind) -> FrameMetrics {
        self.frames_called(name, kind.as_str())
    }

    /// The same, of frames that are called something else: `network`, `outcome`.
    pub fn frames_called(&self, name: &str, kind: &str) -> FrameMetrics {
        FrameMetrics {
            latency: self.latency.with_label_values(&[name, kind]),
            frames: self.frames.with_label_values(&[name, kind]),
        }
    }

    /// The handles of one predictor, whose frames are of this kind (and residuals).
    pub fn predictor(&self, name: &str) -> PredictorMetrics {
        PredictorMetrics {
            kinds: PREDICTED.map(|kind| self.frames(name, kind)),
            dropped: self.link_dropped.with_label_values(&[name]),
            held: self.held_rows.with_label_values(&[name]),
            late: self.late_features.with_label_values(&[name]),
            updates: self.updates.with_label_values(&[name]),
            rollbacks: self.rollbacks.with_label_values(&[name]),
            refused: self.refused_rows.with_label_values(&[name]),
            learning: self.learning.with_label_values(&[name]),
            skill: self.skill.each_ref().map(|family| family.with_label_values(&[name])),
            drift: self.drift.with_label_values(&[name]),
            condition: self.condition.with_label_values(&[name]),
            checkpoint_failures: self.checkpoint_failures.with_label_values(&[name]),
            checkpoint_degraded: self.checkpoint_degraded.with_label_values(&[name]),
        }
    }

    /// The handles of one encoder.
    pub fn encoder(&self, name: &str) -> EncoderMetrics {
        EncoderMetrics {
            name: name.into(),
            seconds: self.encoder_seconds.with_label_values(&[name]),
            counts: self.encoder_counts.each_ref().map(|family| family.with_label_values(&[name])),
            dropped: self.link_dropped.with_label_values(&[name]),
            caches: Arc::clone(&self.caches),
        }
    }

    /// Counts what a sink had to drop.
    pub fn sink(&self, name: &str) -> IntCounter {
        self.sink_dropped.with_label_values(&[name])
    }

    /// Says how many WebSocket clients are connected.
    pub fn set_clients(&self, clients: usize) {
        self.clients.set(i64::try_from(clients).unwrap_or(i64::MAX));
    }

    /// Says whether everything is ready.
    pub fn set_ready(&self, ready: bool) {
        self.ready.set(i64::from(ready));
    }

    /// Everything, in Prometheus's text format.
    ///
    /// # Errors
    /// What cannot be written as text: a defect.
    pub fn text(&self) -> Result<String, prometheus::Error> {
        let show = |counter: IntCounter, value: u64| counter.inc_by(value.saturating_sub(counter.get()));
        if let Ok(watched) = self.watched.lock() {
            for Watched { name, stats, clock } in watched.iter() {
                for (family, of) in &self.source_counts {
                    show(family.with_label_values(&[name]), of(stats).load(Ordering::Relaxed));
                }
                for fault in Fault::ALL {
                    // Of a source of samples there are none.
                    let count = stats.faults.of(*fault);
                    if count > 0 {
                        show(self.source_faults.with_label_values(&[name, fault.as_str()]), count);
                    }
                }
                self.source_up.with_label_values(&[name]).set(i64::from(stats.up.load(Ordering::Relaxed)));
                self.clock_offset.with_label_values(&[name]).set(stats.clock_offset());
                if let Some(newest) = stats.newest() {
                    self.source_age.with_label_values(&[name]).set(clock.now() - newest);
                }
            }
        }
        if let Ok(caches) = self.caches.lock() {
            for (name, stats) in caches.iter() {
                for (family, count) in self.cache_counts.iter().zip([stats.hits(), stats.misses()]) {
                    show(family.with_label_values(&[name]), count);
                }
            }
        }
        let mut text = Vec::new();
        TextEncoder::new().encode(&self.registry.gather(), &mut text)?;
        String::from_utf8(text).map_err(|e| prometheus::Error::Msg(e.to_string()))
    }
}

/// The handles of one source.
pub struct SourceMetrics {
    name: String,
    stage: HistogramVec,
    dropped: IntCounter,
    realtime: IntGauge,
}

impl SourceMetrics {
    /// The histogram of one of its stages; looked up once, when the chain is prepared.
    pub fn stage(&self, stage: &str) -> Histogram {
        self.stage.with_label_values(&[&self.name, stage])
    }

    /// Something was dropped on the way to another lane.
    pub fn dropped(&self) {
        self.dropped.inc();
    }

    /// Whether the kernel let the lane run under SCHED_FIFO.
    pub fn realtime(&self, granted: bool) {
        self.realtime.set(i64::from(granted));
    }
}

/// The handles of one kind of frame.
#[derive(Clone)]
pub struct FrameMetrics {
    latency: Histogram,
    frames: IntCounter,
}

impl FrameMetrics {
    /// A frame was made, so many seconds after what it is made of arrived.
    pub fn made(&self, seconds: f64) {
        self.frames.inc();
        self.latency.observe(seconds.max(0.0));
    }

    /// As [`made`](Self::made); `speed` is how many of the frame's clock's seconds pass in a real one.
    pub fn frame(&self, frame: &RegionFrame, speed: f64) {
        self.made((frame.t_published - frame.t_arrived) / speed);
    }
}

/// What a predictor makes.
const PREDICTED: [FrameKind; 4] = [FrameKind::Encoded, FrameKind::Decoded, FrameKind::Residual, FrameKind::Contrast];

/// The handles of one predictor.
#[derive(Clone)]
pub struct PredictorMetrics {
    /// In the order of [`PREDICTED`].
    kinds: [FrameMetrics; 4],
    dropped: IntCounter,
    held: IntCounter,
    late: IntCounter,
    updates: IntCounter,
    rollbacks: IntCounter,
    refused: IntCounter,
    learning: IntGauge,
    skill: [Gauge; 3],
    drift: Gauge,
    condition: Gauge,
    checkpoint_failures: IntCounter,
    checkpoint_degraded: IntGauge,
}

impl PredictorMetrics {
    /// A frame was made; `speed` is how many of its clock's seconds pass in a real one.
    pub fn frame(&self, frame: &RegionFrame, speed: f64) {
        if let Some(metrics) = self.of(frame.kind) {
            metrics.frame(frame, speed);
        }
    }

    /// A frame was made on a real-time lane, so many seconds after its sample arrived.
    pub fn decoded(&self, seconds: f64) {
        if let Some(metrics) = self.of(FrameKind::Decoded) {
            metrics.made(seconds);
        }
    }

    fn of(&self, kind: FrameKind) -> Option<&FrameMetrics> {
        PREDICTED.iter().zip(&self.kinds).find(|(k, _)| **k == kind).map(|(_, metrics)| metrics)
    }

    /// A row was dropped on its way to becoming a frame.
    pub fn dropped(&self) {
        self.dropped.inc();
    }

    /// What the predictor is like now.
    pub fn predictor(&self, predictor: &Predictor) {
        let learner = predictor.learner();
        self.late.inc_by(predictor.late_features().saturating_sub(self.late.get()));
        self.held.inc_by(learner.held().saturating_sub(self.held.get()));
        self.updates.inc_by(learner.updates().saturating_sub(self.updates.get()));
        self.rollbacks.inc_by(learner.rollbacks().saturating_sub(self.rollbacks.get()));
        self.refused.inc_by(learner.refused().saturating_sub(self.refused.get()));
        self.learning.set(i64::from(!learner.is_frozen()));
        let skill = learner.skill();
        for (gauge, value) in self.skill.iter().zip([skill.r_mean(), skill.r_max(), skill.mae()]) {
            gauge.set(value);
        }
    }

    /// What the last search of λ measured beside it.
    pub fn search(&self, drift: f64, condition: f64) {
        self.drift.set(drift);
        self.condition.set(condition);
    }

    /// A checkpoint was written, or could not be.
    pub fn checkpoint(&self, written: bool) {
        self.checkpoint_degraded.set(i64::from(!written));
        if !written {
            self.checkpoint_failures.inc();
        }
    }
}

/// The handles of one encoder.
pub struct EncoderMetrics {
    name: String,
    seconds: Histogram,
    counts: [IntCounter; 3],
    dropped: IntCounter,
    caches: Caches,
}

impl EncoderMetrics {
    /// How long each pass takes.
    pub fn duration(&self) -> Histogram {
        self.seconds.clone()
    }

    /// What the encoder did so far.
    pub fn counts(&self, counts: &EncoderCounts) {
        for (counter, value) in self.counts.iter().zip([counts.passes, counts.errors, counts.late]) {
            counter.inc_by(value.saturating_sub(counter.get()));
        }
    }

    /// The encoder's cache, if it has one; its counters are read whenever somebody scrapes.
    pub fn watch(&self, cache: Option<Arc<CacheStats>>) {
        if let (Some(cache), Ok(mut caches)) = (cache, self.caches.lock()) {
            caches.push((self.name.clone(), cache));
        }
    }

    /// Features were dropped on their way to the learn lane.
    pub fn dropped(&self) {
        self.dropped.inc();
    }
}

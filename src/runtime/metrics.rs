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

use super::encoder::EncoderCounts;
use crate::acquisition::SourceStats;
use crate::frame::{FrameKind, RegionFrame};
use crate::ridge::Learner;

/// From 1 µs to 8 s, doubling: one scale for stages and for whole paths.
fn buckets() -> Vec<f64> {
    (0..24).map(|i| 1e-6 * f64::from(1u32 << i)).collect()
}

/// A family, and the counter of a source that it shows.
type SourceCount = (IntCounterVec, fn(&SourceStats) -> &AtomicU64);

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
    link_dropped: IntCounterVec,
    sink_dropped: IntCounterVec,
    realtime: IntGaugeVec,
    updates: IntCounterVec,
    rollbacks: IntCounterVec,
    refused_rows: IntCounterVec,
    learning: IntGaugeVec,
    skill: [GaugeVec; 3],
    drift: GaugeVec,
    condition: GaugeVec,
    checkpoint_failures: IntCounterVec,
    checkpoint_degraded: IntGaugeVec,
    encoder_seconds: HistogramVec,
    encoder_counts: [IntCounterVec; 3],
    ready: IntGauge,
    clients: IntGauge,
    watched: std::sync::Mutex<Vec<(String, Arc<SourceStats>)>>,
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
            source_age: gauges("source_age_seconds", "Age of the newest sample on arrival.", &["source"])?,
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
            link_dropped: counters("link_dropped_total", "Blocks dropped because a lane fell behind.", &["source"])?,
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
                "Volumes not learned from: frozen, flagged, or not finite.",
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
            ready,
            clients,
            watched: std::sync::Mutex::default(),
            registry,
        }))
    }

    /// The handles of one source; its counters are read from `stats` whenever somebody scrapes.
    pub fn source(&self, name: &str, stats: Arc<SourceStats>) -> SourceMetrics {
        if let Ok(mut watched) = self.watched.lock() {
            watched.push((name.into(), stats));
        }
        SourceMetrics {
            name: name.into(),
            stage: self.stage.clone(),
            age: self.source_age.with_label_values(&[name]),
            dropped: self.link_dropped.with_label_values(&[name]),
            realtime: self.realtime.with_label_values(&[name]),
        }
    }

    /// The handles of one predictor, whose frames are of this kind (and residuals).
    pub fn predictor(&self, name: &str) -> PredictorMetrics {
        let of = |kind: FrameKind| KindMetrics {
            latency: self.latency.with_label_values(&[name, kind.as_str()]),
            frames: self.frames.with_label_values(&[name, kind.as_str()]),
        };
        PredictorMetrics {
            kinds: [FrameKind::Measured, FrameKind::Encoded, FrameKind::Decoded, FrameKind::Residual].map(of),
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
            seconds: self.encoder_seconds.with_label_values(&[name]),
            counts: self.encoder_counts.each_ref().map(|family| family.with_label_values(&[name])),
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
        if let Ok(watched) = self.watched.lock() {
            for (name, stats) in watched.iter() {
                for (family, of) in &self.source_counts {
                    let counter = family.with_label_values(&[name]);
                    counter.inc_by(of(stats).load(Ordering::Relaxed).saturating_sub(counter.get()));
                }
                self.source_up.with_label_values(&[name]).set(i64::from(stats.up.load(Ordering::Relaxed)));
                self.clock_offset.with_label_values(&[name]).set(stats.clock_offset());
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
    age: Gauge,
    dropped: IntCounter,
    realtime: IntGauge,
}

impl SourceMetrics {
    /// The histogram of one of its stages; looked up once, when the chain is prepared.
    pub fn stage(&self, stage: &str) -> Histogram {
        self.stage.with_label_values(&[&self.name, stage])
    }

    /// The newest sample was this old when it arrived.
    pub fn age(&self, seconds: f64) {
        self.age.set(seconds);
    }

    /// So many blocks more were dropped on the way to other lanes.
    pub fn dropped(&self, blocks: u64) {
        if blocks > 0 {
            self.dropped.inc_by(blocks);
        }
    }

    /// Whether the kernel let the lane run under SCHED_FIFO.
    pub fn realtime(&self, granted: bool) {
        self.realtime.set(i64::from(granted));
    }
}

#[derive(Clone)]
struct KindMetrics {
    latency: Histogram,
    frames: IntCounter,
}

/// The handles of one predictor.
#[derive(Clone)]
pub struct PredictorMetrics {
    kinds: [KindMetrics; 4],
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
        let kind = &self.kinds[frame.kind as usize];
        kind.frames.inc();
        kind.latency.observe(((frame.t_published - frame.t_arrived) / speed).max(0.0));
    }

    /// A frame was made on a real-time lane, so many seconds after its sample arrived.
    pub fn decoded(&self, seconds: f64) {
        let kind = &self.kinds[FrameKind::Decoded as usize];
        kind.frames.inc();
        kind.latency.observe(seconds.max(0.0));
    }

    /// A volume went through: what the ridge is like now.
    pub fn learner(&self, learner: &Learner) {
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
    seconds: Histogram,
    counts: [IntCounter; 3],
}

impl EncoderMetrics {
    /// What the encoder did so far.
    pub fn counts(&self, counts: &EncoderCounts) {
        self.seconds.observe(counts.seconds);
        for (counter, value) in self.counts.iter().zip([counts.passes, counts.errors, counts.late]) {
            counter.inc_by(value.saturating_sub(counter.get()));
        }
    }
}

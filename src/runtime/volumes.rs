//! What is said of each volume of a source, beside its values? Its motion and its signal's quality, as frames and metrics.

use std::sync::Arc;

use prometheus::core::Collector;
use prometheus::{Gauge, GaugeVec, Histogram, HistogramOpts, HistogramVec, IntCounter, IntCounterVec, Opts, Registry};

use super::session::Session;
use crate::frame::{Block, ClockStamp, Fit, QualityFrame};

/// Makes the [`QualityFrame`]s of one source.
pub struct VolumeFrames {
    session: Session,
    source: Arc<str>,
    seq: u64,
}

impl VolumeFrames {
    /// Of the source of this name.
    pub fn new(session: Session, source: &str) -> Self {
        Self { session, source: source.into(), seq: 0 }
    }

    /// What a block says of its volume; `None` where nothing was looked at.
    pub fn frame(&mut self, block: &Block) -> Option<QualityFrame> {
        let (motion, signal) = (block.motion, block.signal);
        if motion.is_none() && signal.is_none() {
            return None;
        }
        let (clock, seq) = (self.session.clock(), self.seq);
        let now = clock.now();
        self.seq += 1;
        let finite = |value: f64| Some(value).filter(|v| v.is_finite());
        Some(QualityFrame {
            schema: QualityFrame::SCHEMA,
            session: Arc::clone(self.session.id()),
            run: block.run,
            seq,
            source: Arc::clone(&self.source),
            t_target: block.measured_at,
            t_measured: block.measured_at,
            t_arrived: block.arrived_at,
            t_published: now,
            clock: ClockStamp { name: clock.name(), unix_offset: clock.unix_offset() },
            age_s: now - block.measured_at,
            parameters: motion.map(|m| m.parameters),
            framewise_displacement: motion.and_then(|m| finite(m.displacement)),
            fit: motion.map(|m| m.fit),
            outlier: motion.map(|m| m.outlier),
            dvars: signal.and_then(|s| finite(s.dvars)),
            tsnr: signal.and_then(|s| finite(s.tsnr)),
            spike: signal.map(|s| s.spike),
            volumes: signal.map(|s| s.volumes),
            spikes: signal.map(|s| s.spikes),
            quality: block.quality,
        })
    }
}

/// The metric families of volumes, each by source.
pub(super) struct VolumeFamilies {
    gauges: [GaugeVec; 4],
    counts: [IntCounterVec; 3],
    realign: HistogramVec,
}

impl VolumeFamilies {
    /// Declares them; times fall into these buckets, in seconds.
    pub(super) fn register(registry: &Registry, buckets: Vec<f64>) -> Result<Self, prometheus::Error> {
        fn kept<T: Collector + Clone + 'static>(registry: &Registry, family: T) -> Result<T, prometheus::Error> {
            registry.register(Box::new(family.clone()))?;
            Ok(family)
        }
        let options = |name: &str, help: &str| Opts::new(format!("neurod_source_{name}"), help);
        let gauge = |name, help| kept(registry, GaugeVec::new(options(name, help), &["source"])?);
        let count = |name, help| kept(registry, IntCounterVec::new(options(name, help), &["source"])?);
        let took = HistogramOpts::new("neurod_source_realign_duration_seconds", "Realigning and smoothing a volume.");
        Ok(Self {
            gauges: [
                gauge("framewise_displacement_mm", "How far the head moved between volumes.")?,
                gauge("tsnr_ratio", "Temporal SNR of the median region, in the run so far.")?,
                gauge("dvars", "Root mean square over regions of the change since the volume before.")?,
                gauge("spike_ratio", "Share of the run's volumes that were spikes of DVARS.")?,
            ],
            counts: [
                count("motion_outliers_total", "Volumes flagged MOTION.")?,
                count("unrealigned_total", "Volumes that kept the last good estimate of motion.")?,
                count("spikes_total", "Volumes whose DVARS was a spike.")?,
            ],
            realign: kept(registry, HistogramVec::new(took.buckets(buckets), &["source"])?)?,
        })
    }

    /// The handles of one source.
    pub(super) fn of(&self, source: &str) -> VolumeMetrics {
        VolumeMetrics {
            gauges: self.gauges.each_ref().map(|family| family.with_label_values(&[source])),
            counts: self.counts.each_ref().map(|family| family.with_label_values(&[source])),
            realign: self.realign.with_label_values(&[source]),
        }
    }
}

/// The handles of what is counted and measured of the volumes of one source.
#[derive(Clone)]
pub struct VolumeMetrics {
    /// The newest framewise displacement, tSNR, DVARS, and share of spikes in the run.
    gauges: [Gauge; 4],
    /// Volumes that motion spoils, those that could not be realigned, and spikes.
    counts: [IntCounter; 3],
    realign: Histogram,
}

impl VolumeMetrics {
    /// Takes in what a block says of its volume.
    pub fn volume(&self, block: &Block) {
        let [displacement, tsnr, dvars, spike_ratio] = &self.gauges;
        let [outliers, unrealigned, spikes] = &self.counts;
        let set = |gauge: &Gauge, value: f64| {
            if value.is_finite() {
                gauge.set(value);
            }
        };
        if let Some(motion) = block.motion {
            set(displacement, motion.displacement);
            outliers.inc_by(motion.outlier.into());
            unrealigned.inc_by((motion.fit != Fit::Converged).into());
            self.realign.observe(motion.took);
        }
        if let Some(signal) = block.signal {
            set(tsnr, signal.tsnr);
            set(dvars, signal.dvars);
            spikes.inc_by(signal.spike.into());
            spike_ratio.set(f64::from(signal.spikes) / f64::from(signal.volumes.max(1)));
        }
    }
}

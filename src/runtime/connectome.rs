//! How are regions connected just now? A sliding window of regions, its network every hop, and what a model says of it.
//!
//! Runs on an inference lane, or on the caller's thread in replay. A run and a gap empty the window, so that no network
//! reaches over either.

use std::sync::Arc;

use ndarray::Array2;
use prometheus::Histogram;

use super::encoder::EncoderCounts;
use super::network_config::{Edges, NetworkConfig, Shrink};
use super::network_reader::NetworkReader;
use super::session::Session;
use crate::encoders::{EncodeError, EncoderError};
use crate::frame::{
    Block, BlockSpec, Clock, ClockStamp, Instant, ModelStamp, MonotonicClock, NetworkFrame, OutcomeFrame, Quality,
    Regions, WindowStamp,
};
use crate::network::SlidingWindow;
use crate::network::connectome::fisher_z;
use crate::publish::Outgoing;

/// The longest window, in samples.
const LONGEST: usize = 100_000;
/// The most regions: the window's moments are of every pair.
const MOST_REGIONS: usize = 5_000;

/// A model at work, and its last answer.
struct Answering {
    reader: NetworkReader,
    stamp: ModelStamp,
    classes: Arc<[String]>,
    deadline: f64,
    last: Vec<f32>,
    counts: EncoderCounts,
    duration: Option<Histogram>,
}

/// One network of `[networks]` at work.
pub struct NetworkStep {
    name: Arc<str>,
    session: Session,
    regions: Arc<Regions>,
    kind: Edges,
    shrink: Shrink,
    fisher_z: bool,
    edges: bool,
    fewest: usize,
    period: f64,
    window_s: f64,
    window: SlidingWindow,
    /// The flags of each sample in the window: a ring.
    flags: Box<[Quality]>,
    pushed: usize,
    hop: usize,
    run: Option<u32>,
    matrix: Array2<f64>,
    seq: u64,
    answering: Option<Answering>,
}

impl NetworkStep {
    /// The network `name` of blocks of this shape. A pass of the model over `deadline` seconds counts as late.
    ///
    /// # Errors
    /// Blocks without a rate, of too few regions, or of others than the model takes; a window of too few samples.
    pub fn new(
        name: &str,
        config: &NetworkConfig,
        session: Session,
        spec: &BlockSpec,
        regions: Arc<Regions>,
        reader: Option<NetworkReader>,
        deadline: f64,
    ) -> Result<Self, EncoderError> {
        let wrong = |problem: String| EncoderError::Source { problem };
        let (n, period) = (regions.names.len(), spec.period());
        if period <= 0.0 {
            return Err(wrong(
                "its source has no rate, so a window has no length (set the source's tr or rate)".into(),
            ));
        }
        if !(2..=MOST_REGIONS).contains(&n) {
            return Err(wrong(format!("its source has {n} regions (2 to {MOST_REGIONS} make a network)")));
        }
        let (samples, fewest) = ((config.window / period).round(), config.fewest(n));
        if !(samples >= fewest as f64 && samples <= LONGEST as f64) {
            let fix = if fewest > 3 { "set window, or shrinkage = \"ledoit-wolf\"" } else { "set window" };
            return Err(wrong(format!(
                "a window of {} s has {samples} samples of {period} s ({fewest} to {LONGEST} can be; {fix})",
                config.window
            )));
        }
        let samples = samples as usize;
        if let Some(reader) = &reader {
            reader.model().fits(&regions.names, config.recipe())?;
        }
        Ok(Self {
            name: name.into(),
            session,
            kind: config.kind,
            shrink: config.shrinkage,
            fisher_z: config.fisher_z,
            edges: config.edges,
            fewest,
            period,
            window_s: samples as f64 * period,
            window: SlidingWindow::new(n, samples),
            flags: vec![Quality::GOOD; samples].into(),
            pushed: 0,
            hop: ((config.hop / period).round() as usize).max(1),
            run: None,
            matrix: Array2::zeros((n, n)),
            seq: 0,
            answering: reader.map(|reader| Answering {
                stamp: ModelStamp {
                    id: Arc::clone(reader.model().name()),
                    sha256: Arc::clone(reader.model().sha256()),
                    updates: 0,
                },
                classes: reader.model().takes().classes.clone().into(),
                deadline,
                last: Vec::new(),
                counts: EncoderCounts::default(),
                duration: None,
                reader,
            }),
            regions,
        })
    }

    /// Times every pass of the model into `duration`.
    pub fn observe(&mut self, duration: Histogram) {
        if let Some(answering) = &mut self.answering {
            answering.duration = Some(duration);
        }
    }

    /// What the model did so far.
    pub fn counts(&self) -> EncoderCounts {
        self.answering.as_ref().map(|answering| answering.counts).unwrap_or_default()
    }

    /// The names behind the nodes.
    pub fn regions(&self) -> &Arc<Regions> {
        &self.regions
    }

    /// The classes of its model, and the stamp of that; none of a network without one. A model of a number has no classes.
    pub fn answers(&self) -> Option<(&[String], &ModelStamp)> {
        self.answering.as_ref().map(|answering| (&*answering.classes, &answering.stamp))
    }

    /// Seconds of a full window.
    pub fn window_s(&self) -> f64 {
        self.window_s
    }

    /// Takes in a block; every hop a network comes of it, and the model's answer. `edges_wanted` says whether anybody asked for
    /// every edge; the configuration may have.
    pub fn block(&mut self, block: &Block, edges_wanted: bool, mut emit: impl FnMut(Outgoing)) {
        if self.run != Some(block.run) || block.quality.contains(Quality::GAP) {
            self.run = Some(block.run);
            self.pushed = 0;
            self.window.clear();
            if let Some(answering) = &mut self.answering {
                answering.last.clear();
            }
        }
        for (i, sample) in block.samples().enumerate() {
            let slot = self.pushed % self.flags.len();
            self.flags[slot] = block.quality;
            self.pushed += 1;
            self.window.push(sample, &block.bad);
            if self.pushed.is_multiple_of(self.hop) && self.window.len() >= self.fewest {
                self.network(block, block.time_of(i, self.period), edges_wanted || self.edges, &mut emit);
            }
        }
    }

    /// The window's network into `matrix`, which is full of NaN where there is none.
    fn measure(&mut self) {
        let made = self.window.network(self.kind.kind(), self.shrink.shrinkage(), &mut self.matrix);
        if made && self.fisher_z {
            fisher_z(&mut self.matrix);
        }
        if let (true, Some(space)) = (made, self.answering.as_ref().and_then(|answering| answering.reader.space())) {
            match space.transform(self.matrix.view()) {
                Ok(displacement) => self.matrix.assign(&displacement),
                Err(_) => self.matrix.fill(f64::NAN),
            }
        }
    }

    fn network(&mut self, block: &Block, at: Instant, edges: bool, emit: &mut impl FnMut(Outgoing)) {
        let n = self.window.regions();
        self.measure();
        let mut quality = self.flags.iter().take(self.window.len()).fold(Quality::GOOD, |all, flags| all | *flags);
        let mut any = |flag, of: fn(&SlidingWindow, usize) -> bool| {
            if (0..n).any(|region| of(&self.window, region)) {
                quality |= flag;
            }
        };
        any(Quality::NON_FINITE, SlidingWindow::is_incomplete);
        any(Quality::FLAT, SlidingWindow::is_constant);
        if self.matrix.iter().any(|edge| !edge.is_finite()) {
            quality |= Quality::NON_FINITE;
        }
        if !self.window.is_full() {
            quality |= Quality::WARMING_UP;
        }
        let strength = self.matrix.rows().into_iter().zip(self.matrix.diag());
        let strength = strength.map(|(row, own)| (row.sum() - own) as f32).collect();
        let upper = || (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        let frame = NetworkFrame {
            schema: NetworkFrame::SCHEMA,
            window: self.stamp(block, at, quality),
            regions_id: Arc::clone(&self.regions.regions_id),
            kind: self.kind.as_str(),
            shrinkage: self.shrink.as_str(),
            fisher_z: self.fisher_z,
            strength,
            edges: edges.then(|| upper().map(|pair| self.matrix[pair] as f32).collect()),
            lines_hold_edges: self.edges,
        };
        emit(Outgoing::Network(Arc::new(frame)));
        if let Some(answering) = &mut self.answering {
            quality |= answering.answer(&self.name, &self.matrix);
            let (classes, stamp, last) =
                (Arc::clone(&answering.classes), answering.stamp.clone(), answering.last.clone());
            let best = last.iter().enumerate().max_by(|a, b| a.1.total_cmp(b.1)).map(|(i, _)| i);
            let of_classes = !classes.is_empty();
            let frame = OutcomeFrame {
                schema: OutcomeFrame::SCHEMA,
                window: self.stamp(block, at, quality),
                predicted: best.filter(|_| of_classes).and_then(|best| classes.get(best).cloned()),
                value: if of_classes { None } else { last.first().copied() },
                probabilities: if of_classes { last } else { Vec::new() },
                classes,
                model: stamp,
            };
            emit(Outgoing::Outcome(Arc::new(frame)));
        }
        self.seq += 1;
    }

    fn stamp(&self, block: &Block, at: Instant, quality: Quality) -> WindowStamp {
        let clock = self.session.clock();
        let now = clock.now();
        WindowStamp {
            session: Arc::clone(self.session.id()),
            run: block.run,
            seq: self.seq,
            network: Arc::clone(&self.name),
            t_target: at,
            t_measured: at,
            t_arrived: block.arrived_at,
            t_published: now,
            clock: ClockStamp { name: clock.name(), unix_offset: clock.unix_offset() },
            age_s: now - at,
            window_s: self.window_s,
            samples: self.window.len(),
            quality,
        }
    }
}

impl Answering {
    /// One pass; where it fails, its last answer in this run stays, and is flagged.
    fn answer(&mut self, network: &str, matrix: &Array2<f64>) -> Quality {
        let (mut answer, began) = (Vec::new(), MonotonicClock.now());
        let result: Result<(), EncodeError> = self.reader.read(matrix.view(), &mut answer);
        let seconds = MonotonicClock.now() - began;
        if let Some(duration) = &self.duration {
            duration.observe(seconds);
        }
        let mut quality = Quality::GOOD;
        match result {
            Ok(()) => {
                self.counts.passes += 1;
                self.last = answer;
            }
            Err(error) => {
                self.counts.errors += 1;
                quality |= Quality::STALE_MODEL;
                tracing::warn!(network, %error, "a pass failed; the outcome is the last one, flagged STALE_MODEL");
            }
        }
        if seconds > self.deadline {
            self.counts.late += 1;
            quality |= Quality::LATE | Quality::STALE_MODEL;
        }
        quality
    }
}

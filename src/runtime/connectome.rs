//! How are regions connected just now? A sliding window of a source's samples, its network every hop, and what a model says of it.
//!
//! Runs on an inference lane, or on the caller's thread in replay. A run and a gap empty the window, so that no network
//! reaches over either.

use std::path::PathBuf;
use std::sync::Arc;

use ndarray::Array2;
use prometheus::Histogram;
use serde::{Deserialize, Serialize};

use super::encoder::EncoderCounts;
use super::session::Session;
use crate::encoders::{EdgeRecipe, EncodeError, EncoderError, NetworkModel};
use crate::frame::{
    Block, BlockSpec, Clock, ClockStamp, Instant, ModelStamp, MonotonicClock, NetworkFrame, OutcomeFrame, Quality,
    Regions, WindowStamp,
};
use crate::network::SlidingWindow;
use crate::network::connectome::fisher_z;
use crate::publish::Outgoing;

/// Fewer samples than this make no network: two lie on a line whatever they are.
const FEWEST: usize = 3;
/// The longest window, in samples.
const LONGEST: usize = 100_000;
/// The most regions: the window's moments are of every pair.
const MOST_REGIONS: usize = 5_000;

/// What an edge is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Edges {
    /// Pearson's correlation.
    #[default]
    Pearson,
    /// Covariance, divided by the number of samples.
    Covariance,
}

impl Edges {
    /// The wire name, and that in the manifests of models.
    pub const fn as_str(self) -> &'static str {
        match self {
            Edges::Pearson => "pearson",
            Edges::Covariance => "covariance",
        }
    }
}

/// `[networks.NAME]`: how regions are connected, over a sliding window.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NetworkConfig {
    /// The source whose channels are the regions, by its name under `[sources]`, after its stages.
    pub source: String,
    /// How many seconds the window spans; 120 by default.
    #[serde(default = "window")]
    pub window: f64,
    /// Seconds between two networks; every sample by default.
    #[serde(default)]
    pub hop: f64,
    /// What an edge is: `pearson` (the default) or `covariance`.
    #[serde(default)]
    pub kind: Edges,
    /// Whether edges become Fisher's z, as correlations may.
    #[serde(default)]
    pub fisher_z: bool,
    /// A folder with a model of networks that answers for every one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// How many seconds the model may take before its answer counts as late; 0.5 by default.
    #[serde(default = "deadline")]
    pub deadline: f64,
    /// How many threads compute one pass; 1 by default, which replay always takes.
    #[serde(default = "one")]
    pub threads: usize,
    /// Whether JSON lines hold every edge; WebSocket clients ask for them with `edges=true`.
    #[serde(default)]
    pub edges: bool,
}

fn window() -> f64 {
    120.0
}

fn deadline() -> f64 {
    0.5
}

fn one() -> usize {
    1
}

impl NetworkConfig {
    /// Checks the values.
    ///
    /// # Errors
    /// The key, and what it must be.
    pub fn validate(&self) -> Result<(), EncoderError> {
        let wrong =
            |key, value: &dyn ToString, problem| Err(EncoderError::Value { key, value: value.to_string(), problem });
        match () {
            () if !(self.window > 0.0 && self.window.is_finite()) => {
                wrong("window", &self.window, "must be a positive number of seconds")
            }
            () if !(self.hop >= 0.0 && self.hop.is_finite()) => {
                wrong("hop", &self.hop, "must be a number of seconds, or 0 for every sample")
            }
            () if !(self.deadline > 0.0 && self.deadline.is_finite()) => {
                wrong("deadline", &self.deadline, "must be a positive number of seconds")
            }
            () if self.threads == 0 => wrong("threads", &self.threads, "must be at least 1"),
            () if self.fisher_z && self.kind != Edges::Pearson => {
                wrong("fisher_z", &true, "is for correlations (set kind = \"pearson\", or leave it out)")
            }
            () => Ok(()),
        }
    }

    /// How its edges are made.
    pub fn recipe(&self) -> EdgeRecipe<'static> {
        let connectivity = self.kind.as_str();
        EdgeRecipe { connectivity, shrinkage: "none", fisher_z: self.fisher_z, threshold: None, sign: None }
    }
}

/// A model at work, and its last answer.
struct Answering {
    model: NetworkModel,
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
    fisher_z: bool,
    edges: bool,
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
    /// A source without a rate, of too few regions, or of others than the model takes; a window of too few samples.
    pub fn new(
        name: &str,
        config: &NetworkConfig,
        session: Session,
        spec: &BlockSpec,
        regions: Arc<Regions>,
        model: Option<NetworkModel>,
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
        let samples = (config.window / period).round();
        if !(samples >= FEWEST as f64 && samples <= LONGEST as f64) {
            return Err(wrong(format!(
                "a window of {} s has {samples} samples of {period} s ({FEWEST} to {LONGEST} can be; set window)",
                config.window
            )));
        }
        let samples = samples as usize;
        if let Some(model) = &model {
            model.fits(&regions.names, config.recipe())?;
        }
        Ok(Self {
            name: name.into(),
            session,
            kind: config.kind,
            fisher_z: config.fisher_z,
            edges: config.edges,
            period,
            window_s: samples as f64 * period,
            window: SlidingWindow::new(n, samples),
            flags: vec![Quality::GOOD; samples].into(),
            pushed: 0,
            hop: ((config.hop / period).round() as usize).max(1),
            run: None,
            matrix: Array2::zeros((n, n)),
            seq: 0,
            answering: model.map(|model| Answering {
                stamp: ModelStamp { id: Arc::clone(model.name()), sha256: Arc::clone(model.sha256()), updates: 0 },
                classes: model.takes().classes.clone().into(),
                deadline,
                last: Vec::new(),
                counts: EncoderCounts::default(),
                duration: None,
                model,
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

    /// Takes in a block; every hop a network comes of it, and the model's answer.
    pub fn block(&mut self, block: &Block, mut emit: impl FnMut(Outgoing)) {
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
            if self.pushed.is_multiple_of(self.hop) && self.window.len() >= FEWEST {
                self.network(block, block.time_of(i, self.period), &mut emit);
            }
        }
    }

    fn network(&mut self, block: &Block, at: Instant, emit: &mut impl FnMut(Outgoing)) {
        let n = self.window.regions();
        let Some(matrix) = self.matrix.as_slice_mut() else { return };
        match self.kind {
            Edges::Pearson => self.window.correlation(matrix),
            Edges::Covariance => self.window.covariance(matrix),
        }
        if self.fisher_z {
            fisher_z(&mut self.matrix);
        }
        let mut quality = self.flags.iter().take(self.window.len()).fold(Quality::GOOD, |all, flags| all | *flags);
        let mut any = |flag, of: fn(&SlidingWindow, usize) -> bool| {
            if (0..n).any(|region| of(&self.window, region)) {
                quality |= flag;
            }
        };
        any(Quality::NON_FINITE, SlidingWindow::is_incomplete);
        any(Quality::FLAT, SlidingWindow::is_constant);
        if !self.window.is_full() {
            quality |= Quality::WARMING_UP;
        }
        let strength = self.matrix.rows().into_iter().zip(self.matrix.diag());
        let strength = strength.map(|(row, own)| (row.sum() - own) as f32).collect();
        let upper = (0..n).flat_map(|i| (i + 1..n).map(move |j| (i, j)));
        let frame = NetworkFrame {
            schema: NetworkFrame::SCHEMA,
            window: self.stamp(block, at, quality),
            regions_id: Arc::clone(&self.regions.regions_id),
            kind: self.kind.as_str(),
            fisher_z: self.fisher_z,
            strength,
            edges: upper.map(|pair| self.matrix[pair] as f32).collect(),
            lines_hold_edges: self.edges,
        };
        emit(Outgoing::Network(Arc::new(frame)));
        if let Some(answering) = &mut self.answering {
            let input: Vec<f32> = self.matrix.iter().map(|v| *v as f32).collect();
            quality |= answering.answer(&self.name, &input);
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
    fn answer(&mut self, network: &str, input: &[f32]) -> Quality {
        let (mut answer, began) = (Vec::new(), MonotonicClock.now());
        let result: Result<(), EncodeError> = self.model.predict(input, &mut answer);
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

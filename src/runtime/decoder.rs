//! Prediction on the lane that made the sample: nothing learned here, nothing allocated.

use std::sync::Arc;

use super::lanes::LaneContext;
use super::metrics::PredictorMetrics;
use super::recent::RecentMean;
use crate::frame::{Block, BlockSpec, Clock, FrameKind, Instant, ModelStamp, Quality, Regions};
use crate::publish::{FramePort, Outlet, RowStamp};
use crate::ridge::Snapshot;
use crate::ring::{LinkSender, SwapTaker};

/// What the learn lane hands over: weights, and what they predict.
pub struct Weights {
    /// f32 weights.
    pub snapshot: Snapshot,
    /// What the values belong to.
    pub regions: Arc<Regions>,
    /// The model's stamp at that time.
    pub model: ModelStamp,
    /// Prequential R per region at that time.
    pub skill: Vec<f32>,
    /// Seconds of samples that a row was the mean of when the weights were learned.
    pub period: f64,
    /// How long after the stamp that a frame is given, in seconds, the samples end that it was predicted from.
    pub after_stamp: f64,
    /// The least part of that time that has to be measured.
    pub least_known: f64,
    /// Set when somebody learns: values predicted before the first update are flagged.
    pub warming_up: bool,
}

/// One prediction on its way to becoming a frame.
#[derive(Clone, Debug, Default)]
pub struct Row {
    /// Counts the predictions.
    pub seq: u64,
    /// The run.
    pub run: u32,
    /// The time the values speak of.
    pub target: Instant,
    /// When the newest sample was measured.
    pub measured_at: Instant,
    /// When it arrived.
    pub arrived_at: Instant,
    /// What is wrong.
    pub quality: Quality,
    /// How many rows come a second.
    pub rate: f64,
    /// One value a region.
    pub values: Vec<f32>,
    /// What they belong to, and which weights made them.
    pub of: Option<(Arc<Regions>, ModelStamp)>,
    /// Skill per region.
    pub skill: Vec<f32>,
}

/// What a decoder is made of: it predicts on the lane of its source, with weights that another lane learns.
pub struct InstantDecoder {
    /// The predictor's name.
    pub name: Arc<str>,
    /// Where new weights come from.
    pub weights: SwapTaker<Weights>,
    /// Where rows go, to become frames.
    pub rows: LinkSender<Row>,
    /// What is timed.
    pub metrics: PredictorMetrics,
}

/// One instant predictor at work on a source's lane.
pub struct Decoder {
    name: Arc<str>,
    taker: SwapTaker<Weights>,
    weights: Option<Box<Weights>>,
    outlet: Option<Box<dyn Outlet>>,
    rows: LinkSender<Row>,
    port: Arc<dyn FramePort>,
    /// Whether a network is made of its regions.
    tapped: bool,
    clock: Arc<dyn Clock>,
    metrics: PredictorMetrics,
    values: Vec<f32>,
    recent: Option<RecentMean>,
    period: f64,
    rate: f64,
    seq: u64,
    /// The run of the newest row, when it was measured and when it arrived: for the frame that says that no more come.
    last: Option<(u32, Instant, Instant)>,
    row: Vec<f64>,
}

impl Decoder {
    /// A decoder for blocks of the shape `spec`; predicts as soon as weights have come.
    pub fn new(instant: InstantDecoder, spec: &BlockSpec, context: &LaneContext) -> Self {
        Self {
            tapped: context.taps.iter().any(|tap| tap.predictor == instant.name),
            name: instant.name,
            taker: instant.weights,
            weights: None,
            outlet: None,
            rows: instant.rows,
            port: Arc::clone(&context.port),
            clock: Arc::clone(context.session.clock()),
            metrics: instant.metrics,
            values: Vec::new(),
            recent: None,
            period: spec.period(),
            rate: spec.rate,
            seq: 0,
            last: None,
            row: vec![0.0; spec.channels.len()],
        }
    }

    /// Swaps new weights in, between two blocks. The first ones open the outlet: only they say what the regions are. That
    /// is the one time this allocates.
    pub fn take_weights(&mut self, context: &LaneContext) {
        if !self.taker.take(&mut self.weights) {
            return;
        }
        let Some(weights) = &self.weights else { return };
        if self.values.len() != weights.regions.names.len() {
            self.values = vec![0.0; weights.regions.names.len()];
        }
        let width = self.row.len();
        self.recent.get_or_insert_with(|| RecentMean::new(width, weights.period, self.period));
        if self.outlet.is_none() {
            self.outlet = context.outlets.open(&self.name, FrameKind::Decoded, &weights.regions, self.rate);
        }
        if let Some(outlet) = &mut self.outlet {
            outlet.skill(&weights.skill);
        }
    }

    /// Predicts every sample of `block`, pushes it out, and, if anybody listens, sends it on its way to becoming a frame.
    pub fn process(&mut self, block: &Block) {
        for i in 0..block.len() {
            let (Some(weights), Some(recent)) = (&self.weights, &mut self.recent) else { return };
            if self.last.is_some_and(|(run, ..)| run != block.run) {
                recent.clear();
            }
            let at = block.time_of(i, self.period);
            let known = recent.push(block, i, at, &mut self.row) >= weights.least_known;
            let warming_up = if weights.warming_up || !known { Quality::WARMING_UP } else { Quality::GOOD };
            weights.snapshot.predict(&self.row, &mut self.values);
            self.metrics.decoded((self.clock.now() - block.arrived_at) / self.clock.speed());
            self.send(block.run, at, block.arrived_at, block.quality | warming_up);
        }
    }

    /// The source fell silent: says once more what was last known, flagged.
    pub fn lost(&mut self) {
        if let Some((run, measured_at, arrived_at)) = self.last {
            self.send(run, measured_at, arrived_at, Quality::GAP);
        }
    }

    fn send(&mut self, run: u32, measured_at: Instant, arrived_at: Instant, quality: Quality) {
        let Some(weights) = &self.weights else { return };
        let target = measured_at - weights.after_stamp;
        if let Some(outlet) = &mut self.outlet {
            outlet.values(&self.values, RowStamp { t_target: target, quality, t_measured: measured_at });
        }
        if self.tapped || self.port.wanted() {
            let kept = self.rows.send(|row| {
                row.seq = self.seq;
                row.run = run;
                row.target = target;
                row.measured_at = measured_at;
                row.arrived_at = arrived_at;
                row.quality = quality;
                row.rate = self.rate;
                row.values.clear();
                row.values.extend_from_slice(&self.values);
                row.skill.clear();
                row.skill.extend_from_slice(&weights.skill);
                row.of = Some((Arc::clone(&weights.regions), weights.model.clone()));
            });
            if !kept {
                self.metrics.dropped();
            }
        }
        self.seq += 1;
        self.last = Some((run, measured_at, arrived_at));
    }
}

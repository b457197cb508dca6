//! One predictor on the learn lane: what it is told, the frames it answers with, the search of λ beside it.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use crossbeam::channel;

use super::decoder::Weights;
use super::features::Features;
use super::lanes::LaneContext;
use super::metrics::PredictorMetrics;
use super::predictor::Predictor;
use crate::frame::{Block, FrameKind, RegionFrame, Regions};
use crate::publish::{Outgoing, Outlet, RowStamp};
use crate::ridge::{CheckpointError, SearchResult, Snapshot};
use crate::ring::SwapGiver;

/// A predictor at work, and where its weights go.
pub(super) struct AtWork {
    pub predictor: Predictor,
    failing_checkpoints: bool,
    metrics: PredictorMetrics,
    /// To the lane that predicts with the weights of an instant predictor.
    giver: Option<SwapGiver<Weights>>,
    search: Option<channel::Receiver<SearchResult>>,
}

/// One outlet for each predictor (or source) and kind of frame, where one is wanted.
type Outlets = BTreeMap<(Arc<str>, FrameKind), Option<Box<dyn Outlet>>>;

/// Sends frames out: to the service, and to outlets of this lane, which are opened with the first frame.
pub(super) struct Publisher<'a> {
    pub context: &'a LaneContext,
    outlets: Outlets,
}

impl<'a> Publisher<'a> {
    pub fn new(context: &'a LaneContext) -> Self {
        Self { context, outlets: Outlets::new() }
    }

    pub fn frame(&mut self, frame: RegionFrame, regions: &Arc<Regions>, rate: f64) {
        let outlet = self
            .outlets
            .entry((Arc::clone(&frame.predictor), frame.kind))
            .or_insert_with(|| self.context.outlets.open(&frame.predictor, frame.kind, regions, rate));
        if let Some(outlet) = outlet {
            let stamp = RowStamp { t_target: frame.t_target, t_measured: frame.t_measured, quality: frame.quality };
            outlet.values(&frame.values, stamp);
            if let Some(skill) = &frame.skill {
                outlet.skill(skill);
            }
        }
        self.context.publish(frame, regions, rate);
    }
}

impl AtWork {
    /// Sends its first weights, if they go anywhere.
    pub fn new(predictor: Predictor, metrics: PredictorMetrics, giver: Option<SwapGiver<Weights>>) -> Self {
        let mut work = Self { predictor, failing_checkpoints: false, metrics, giver, search: None };
        work.changed();
        work
    }

    /// Takes in features of one of its inputs.
    pub fn features(&mut self, input: usize, features: &Features, publisher: &mut Publisher<'_>) {
        // The frames of an instant predictor are made on the source's own lane.
        if self.giver.is_some() {
            return self.predictor.hold(input, features);
        }
        let (rate, regions) = (self.predictor.rate(), Arc::clone(self.predictor.regions()));
        let (metrics, speed) = (&self.metrics, publisher.context.session.clock().speed());
        self.predictor.features(input, features, |frame| {
            metrics.frame(&frame, speed);
            publisher.frame(frame, &regions, rate);
        });
    }

    /// Takes in volumes of its targets.
    pub fn learn(&mut self, block: &Block, publisher: &mut Publisher<'_>) {
        let (rate, regions) = (self.predictor.rate(), Arc::clone(self.predictor.regions()));
        let contrasts = Arc::clone(self.predictor.contrast_regions().unwrap_or(&regions));
        let (metrics, speed) = (&self.metrics, publisher.context.session.clock().speed());
        for i in 0..block.len() {
            self.predictor.volume(block, i, |frame| {
                metrics.frame(&frame, speed);
                let regions = if frame.kind == FrameKind::Contrast { &contrasts } else { &regions };
                publisher.frame(frame, regions, rate);
            });
            for ranking in self.predictor.take_identified() {
                publisher.context.port.send(Outgoing::Identification(Arc::new(ranking)));
            }
        }
        self.changed();
        if self.search.is_none()
            && let Some(job) = self.predictor.learner_mut().begin_search()
        {
            let (sender, receiver) = channel::bounded(1);
            let thread = std::thread::Builder::new().name("learn:search".into());
            match thread.spawn(move || drop(sender.send(job.run()))) {
                Ok(_) => self.search = Some(receiver),
                Err(error) => tracing::warn!(%error, "no thread for the search of λ; it stays as it is"),
            }
        }
    }

    /// Time passes: a search of λ may have ended, and a predictor that nobody tells of volumes may have to speak.
    pub fn turn(&mut self, publisher: &mut Publisher<'_>) {
        match self.search.as_ref().map(channel::Receiver::try_recv) {
            Some(Ok(result)) => {
                self.metrics.search(result.drift, result.condition);
                self.predictor.learner_mut().adopt(result);
                self.search = None;
                self.changed();
            }
            Some(Err(channel::TryRecvError::Disconnected)) => {
                self.predictor.learner_mut().abandon_search();
                self.search = None;
            }
            Some(Err(channel::TryRecvError::Empty)) | None => {}
        }
        if self.predictor.ticks() {
            let (rate, regions) = (self.predictor.rate(), Arc::clone(self.predictor.regions()));
            let clock = Arc::clone(publisher.context.session.clock());
            let metrics = &self.metrics;
            self.predictor.pass_time(clock.now(), |frame| {
                metrics.frame(&frame, clock.speed());
                publisher.frame(frame, &regions, rate);
            });
        }
    }

    /// The ridge is another than before: tells the metrics, and the lane that predicts with its weights.
    pub fn changed(&mut self) {
        self.metrics.predictor(&self.predictor);
        if let Some(giver) = &mut self.giver {
            offer_weights(&self.predictor, giver);
        }
    }

    /// Writes a checkpoint; one that fails is told of once, and counted every time.
    pub fn save(&mut self, folder: &Path) -> Result<(), CheckpointError> {
        let saved = self.predictor.save(folder);
        self.metrics.checkpoint(saved.is_ok());
        let failed_before = std::mem::replace(&mut self.failing_checkpoints, saved.is_err());
        if let (Err(error), false) = (&saved, failed_before) {
            tracing::error!(
                predictor = %self.predictor.name(), %error,
                "checkpoints fail; decoding goes on without them"
            );
        }
        saved
    }
}

/// Sends the weights of an instant predictor to the lane that predicts with them, in a box that came back from there.
fn offer_weights(predictor: &Predictor, giver: &mut SwapGiver<Weights>) {
    let learner = predictor.learner();
    let mut weights = giver.spare().unwrap_or_else(|| {
        Box::new(Weights {
            snapshot: Snapshot::new(learner.features(), learner.targets()),
            regions: Arc::clone(predictor.regions()),
            model: predictor.model().clone(),
            skill: vec![0.0; learner.targets()],
            warming_up: true,
            period: predictor.period(),
            after_stamp: predictor.after_stamp(),
            least_known: predictor.least_known(),
        })
    });
    learner.snapshot_into(&mut weights.snapshot);
    learner.skill().r_into(&mut weights.skill);
    weights.model = predictor.model().clone();
    weights.warming_up = learner.updates() == 0;
    giver.offer(weights);
}

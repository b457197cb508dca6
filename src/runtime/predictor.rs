//! One predictor: features and volumes meet, regions come out, and the ridge learns in between.

mod asked;
mod begun;
mod contrasts;
mod volume_time;

use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use super::features::Features;
use super::identifier::Identifier;
use super::session::{FrameOf, Session};
use crate::fmri::GlmConfig;
use crate::frame::{Block, FrameKind, Identification, Instant, ModelStamp, Quality, RegionFrame, Regions};
use crate::ridge::{FeatureTimeline, Lags, LagsConfig, Learner, Observed, RidgeConfig, RidgeError};
use contrasts::Contrasts;

pub use volume_time::VolumeTime;

/// `[predictors.NAME]`: which features predict which regions, how far back they reach, how the weights learn.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PredictorConfig {
    /// Encoders, or sources whose chain ends in features; their values stand side by side in one row.
    pub features: Vec<String>,
    /// The source whose regions are predicted and learned from. Without one, the weights come from a checkpoint or a model
    /// and stay as they are.
    #[serde(default)]
    pub targets: Option<String>,
    /// How far back a row of features reaches: FIR delays in seconds, or `{ hrf = "spm" }`. Default: no delay.
    #[serde(default = "no_delay")]
    pub lags: LagsConfig,
    /// Where in its TR the time stamp of a volume lies. Default: `start`.
    #[serde(default)]
    pub volume_time: VolumeTime,
    /// λ, forgetting, guard.
    #[serde(default)]
    pub ridge: RidgeConfig,
    /// The `.neurod` file that it begins with, fitted by `neurod encode fit`: its weights, its λ and its lags. It goes on
    /// learning from there; a checkpoint that began with the same file is later, and wins.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// Whether it learns from the first volume on; `POST /api/v1/learn` and `/freeze` change it. Default: true.
    #[serde(default = "yes")]
    pub learn: bool,
    /// Contrasts of its features, whose t is told per region after every volume of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub glm: Option<GlmConfig>,
}

fn no_delay() -> LagsConfig {
    LagsConfig::Fir(vec![0.0])
}

fn yes() -> bool {
    true
}

/// What one feature input of a predictor is.
#[derive(Clone, Debug, PartialEq)]
pub struct InputSpec {
    /// The encoder's or source's name.
    pub name: String,
    /// Values in a row of it.
    pub dims: usize,
    /// Seconds between rows for a sampled input; `None` for events, between which features are zero.
    pub hop: Option<f64>,
    /// SHA-256 of what makes the features: the encoder's files, or the names of a source's channels.
    pub sha256: String,
}

struct Input {
    spec: InputSpec,
    timeline: FeatureTimeline,
    /// What was wrong, from when until when.
    flagged: VecDeque<(Instant, Instant, Quality)>,
    /// Until when features are known, in seconds.
    newest: f64,
}

/// A volume may come this long after its end, in seconds, and still find the samples it goes with; or a TR, if that is
/// longer. Reconstruction and motion correction take one or two.
const VOLUME_DELAY: f64 = 5.0;

/// A volume that comes this part of a TR from where it was expected is the one that was foretold: scanners jitter.
const SAME_VOLUME: f64 = 0.1;

/// A predictor at work. Knows nothing of threads: live lanes and replay drive the same one.
///
/// A frame is predicted with the weights of all earlier volumes, published, scored against the volume, and only then
/// learned from.
pub struct Predictor {
    name: Arc<str>,
    config: PredictorConfig,
    kind: FrameKind,
    session: Session,
    regions: Arc<Regions>,
    period: f64,
    volume_time: VolumeTime,
    inputs: Vec<Input>,
    lags: Lags,
    /// How long features are kept, in seconds: as far back as a row looks, for a volume that comes late.
    memory: f64,
    learner: Learner,
    model: ModelStamp,
    /// SHA-256 of the model that it began with.
    began_with: Option<Arc<str>>,
    identifiers: Vec<Identifier>,
    identified: Vec<Identification>,
    contrasts: Option<Contrasts>,
    run: Option<u32>,
    sequence: [u64; 2],
    /// The newest thing that went in, features or a volume learned from: when it was measured, when it arrived.
    newest: Option<(Instant, Instant)>,
    /// The volume to come whose prediction is published, as long as nothing new was told of what it looks at.
    ahead: Option<Instant>,
    /// Until when features went into rows that were scored, in seconds: what is told later of that time comes too late.
    used_until: f64,
    late: u64,
    explained: bool,
    /// The next volume that would begin, where nobody tells of volumes.
    tick: Option<Instant>,
    row: Vec<f64>,
    /// Whether enough of the time that the row looks at was measured.
    known: bool,
    prediction: Vec<f64>,
    target: Vec<f64>,
}

impl Predictor {
    /// A predictor of `regions`, measured every `period` seconds, from these inputs.
    ///
    /// # Errors
    /// What the ridge cannot be made for.
    pub fn new(
        name: &str,
        config: &PredictorConfig,
        session: Session,
        regions: Arc<Regions>,
        period: f64,
        inputs: Vec<InputSpec>,
    ) -> Result<Self, RidgeError> {
        let lags = config.lags.build()?;
        let width = inputs.iter().map(|input| lags.columns(input.dims)).sum();
        let mut learner = Learner::new(width, regions.names.len(), &config.ridge)?;
        if !config.learn {
            learner.freeze();
        }
        let contrasts = config.glm.as_ref().map(|glm| Contrasts::new(name, glm, width, &regions, period));
        let events = inputs.iter().all(|input| input.hop.is_none());
        let model = ModelStamp { id: stamp_id(name, &inputs), sha256: stamp_hash(config, &inputs), updates: 0 };
        let memory = lags.horizon(period) + VOLUME_DELAY.max(period);
        let inputs = inputs.into_iter().map(|spec| Input {
            timeline: match spec.hop {
                Some(_) => FeatureTimeline::samples(spec.dims, memory),
                None => FeatureTimeline::events(spec.dims),
            },
            flagged: VecDeque::new(),
            newest: f64::NEG_INFINITY,
            spec,
        });
        Ok(Self {
            name: name.into(),
            config: config.clone(),
            kind: if events { FrameKind::Encoded } else { FrameKind::Decoded },
            session,
            period,
            volume_time: config.volume_time,
            inputs: inputs.collect(),
            lags,
            memory,
            learner,
            model,
            began_with: None,
            identifiers: Vec::new(),
            identified: Vec::new(),
            contrasts: contrasts.transpose().map_err(|error| RidgeError::Contrast(error.to_string()))?,
            run: None,
            sequence: [0; 2],
            newest: None,
            ahead: None,
            used_until: f64::NEG_INFINITY,
            late: 0,
            explained: false,
            tick: None,
            row: vec![0.0; width],
            known: true,
            prediction: vec![0.0; regions.names.len()],
            target: vec![0.0; regions.names.len()],
            regions,
        })
    }

    /// Takes in features of one input. A predictor of sampled features answers with a `decoded` frame, once all sampled
    /// inputs have come as far.
    pub fn features(&mut self, input: usize, features: &Features, mut emit: impl FnMut(RegionFrame)) {
        self.hold(input, features);
        let sampled = |input: &Input| input.spec.hop.is_some();
        let behind = |input: &Input| sampled(input) && input.newest < features.end.seconds() - 1e-9;
        if self.inputs.get(input).is_some_and(sampled) && !self.inputs.iter().any(behind) {
            let at = features.end + (self.shortest_lag() - self.period);
            let quality = self.predict(at);
            emit(self.publish(self.kind, at, quality));
        }
    }

    /// Takes in features of one input to be learned from, and says nothing: an instant predictor answers on the lane
    /// of its source.
    pub fn hold(&mut self, input: usize, features: &Features) {
        self.enter_run(features.run, features.start);
        self.ask_about(input, features);
        let memory = self.memory;
        if self.tick.is_none() && self.ticks() {
            self.tick = Some(features.start);
        }
        let Some(input) = self.inputs.get_mut(input) else { return };
        // Of samples, the newest few may miss a volume that is told of at once; how much was known is asked there.
        if input.spec.hop.is_none() && features.start.seconds() < self.used_until {
            self.late += 1;
        }
        input.timeline.push(features.start.seconds(), features.end.seconds(), &features.values);
        input.newest = features.end.seconds();
        input.flagged.retain(|(_, end, _)| features.end - *end < memory);
        match input.flagged.back_mut() {
            Some((_, end, quality)) if *quality == features.quality && features.start <= *end => *end = features.end,
            _ if features.quality == Quality::GOOD => {}
            _ => input.flagged.push_back((features.start, features.end, features.quality)),
        }
        if self.ahead.is_some_and(|t| features.start.seconds() < self.lags.looks_until(t.seconds(), self.period)) {
            self.ahead = None;
        }
        self.went_in(features.measured_at, features.arrived_at);
    }

    /// Notes what is newest of all that went in.
    fn went_in(&mut self, measured_at: Instant, arrived_at: Instant) {
        if self.newest.is_none_or(|(newest, _)| measured_at >= newest) {
            self.newest = Some((measured_at, arrived_at));
        }
    }

    /// Takes in one sample of the target source: predicts it (unless that was done ahead), publishes, scores, learns;
    /// then predicts the next one, where the shortest lag allows.
    pub fn volume(&mut self, block: &Block, sample: usize, mut emit: impl FnMut(RegionFrame)) -> Observed {
        let at = block.time_of(sample, self.period) - self.volume_time.fraction() * self.period;
        if self.run.is_some_and(|run| block.run < run) {
            // Its features are gone with their run.
            return self.learner.refuse();
        }
        self.enter_run(block.run, at);
        let quality = self.predict(at);
        if self.kind == FrameKind::Encoded {
            let foretold = self.ahead.is_some_and(|t| (t - at).abs() < SAME_VOLUME * self.period);
            if !foretold {
                emit(self.publish(self.kind, at, quality));
            }
        }
        for (c, (target, value)) in self.target.iter_mut().zip(block.sample(sample)).enumerate() {
            *target = if block.bad.contains(c) { f64::NAN } else { *value };
        }
        self.went_in(block.measured_at, block.arrived_at);
        emit(self.publish(FrameKind::Residual, at, quality | block.quality));
        self.identify(block, at, quality | block.quality);
        self.contrast(block, sample, at, quality | block.quality, &mut emit);
        // What was not measured must not be learned as zero.
        let observed = match self.known {
            true => self.learner.observe(&self.row, &self.target, quality | block.quality),
            false => {
                self.explain(at, block.arrived_at);
                self.learner.refuse()
            }
        };
        self.model.updates = self.learner.updates();
        self.used_until = self.used_until.max(self.lags.looks_until(at.seconds(), self.period));
        self.forget(at);
        self.ahead = None;
        if self.kind == FrameKind::Encoded && self.shortest_lag() >= self.period - 1e-9 {
            let next = at + self.period;
            let quality = self.predict(next);
            self.ahead = Some(next);
            emit(self.publish(self.kind, next, quality));
        }
        observed
    }

    /// Lets time pass until `now`. A predictor of events that has no targets, so that nobody tells it of volumes,
    /// answers with an `encoded` frame for every TR, from its first event on, as soon as all that it looks at is known.
    pub fn pass_time(&mut self, now: Instant, mut emit: impl FnMut(RegionFrame)) {
        while let Some(at) = self.tick.filter(|at| self.lags.looks_until(at.seconds(), self.period) <= now.seconds()) {
            let quality = self.predict(at);
            self.went_in(at, now);
            emit(self.publish(self.kind, at, quality));
            self.forget(at);
            self.tick = Some(at + self.period);
        }
    }

    /// Whether nobody tells it of volumes.
    pub fn ticks(&self) -> bool {
        self.kind == FrameKind::Encoded && self.config.targets.is_none()
    }

    /// The ridge behind it: skill, updates, freezing, checkpoints.
    pub fn learner(&self) -> &Learner {
        &self.learner
    }

    /// The ridge behind it, to be frozen, restored, or given a λ.
    pub fn learner_mut(&mut self) -> &mut Learner {
        &mut self.learner
    }

    /// Searches λ, if that is due, and takes what it finds at once: replay, where everything happens at fixed counts.
    pub fn search_now(&mut self) {
        if let Some(job) = self.learner.begin_search() {
            self.learner.adopt(job.run());
        }
    }

    /// How often features came after the volume they belong to had been scored without them.
    pub fn late_features(&self) -> u64 {
        self.late
    }

    /// Says in its frames how much the ridge has learned, after something else than a volume changed it.
    pub fn note_updates(&mut self) {
        self.model.updates = self.learner.updates();
    }

    /// The stamp on its frames.
    pub fn model(&self) -> &ModelStamp {
        &self.model
    }

    /// What it was made from.
    pub fn config(&self) -> &PredictorConfig {
        &self.config
    }

    /// Its inputs, in the order of its row.
    pub fn inputs(&self) -> impl Iterator<Item = &InputSpec> {
        self.inputs.iter().map(|input| &input.spec)
    }

    /// What is predicted.
    pub fn regions(&self) -> &Arc<Regions> {
        &self.regions
    }

    /// Frames a second: volumes for `encoded`, feature hops for `decoded`; 0 when they come as they come.
    pub fn rate(&self) -> f64 {
        let hops = self.inputs.iter().filter_map(|input| input.spec.hop);
        let hop = if self.kind == FrameKind::Encoded { self.period } else { hops.fold(0.0, f64::max) };
        if hop > 0.0 { 1.0 / hop } else { 0.0 }
    }

    /// Seconds a volume of the targets takes.
    pub fn period(&self) -> f64 {
        self.period
    }

    /// How long after a volume's stamp, in seconds, what is acquired with it ends.
    pub fn after_stamp(&self) -> f64 {
        (1.0 - self.volume_time.fraction()) * self.period
    }

    /// The least part of the time a row looks at that has to be measured.
    pub fn least_known(&self) -> f64 {
        self.lags.least_known()
    }

    /// `encoded` or `decoded`.
    pub fn kind(&self) -> FrameKind {
        self.kind
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// Says once why volumes cannot be learned from, where the reason is likely a stamp that is taken for another.
    fn explain(&mut self, at: Instant, arrived_at: Instant) {
        let early = at + self.period - arrived_at;
        if early > 0.5 * self.period && !std::mem::replace(&mut self.explained, true) {
            let name = &self.name;
            tracing::warn!(
                predictor = %name, early_s = early,
                "volumes come before they are over, so that their features are not there yet; if the source stamps a \
                 volume when it is complete, set predictors.{name}.volume_time = \"end\""
            );
        }
    }

    fn enter_run(&mut self, run: u32, at: Instant) {
        if self.run.is_some_and(|known| known >= run) {
            return;
        }
        if self.run.replace(run).is_some() {
            self.learner.new_run();
        }
        self.ahead = None;
        (self.used_until, self.tick) = (f64::NEG_INFINITY, None);
        self.identifiers.iter_mut().for_each(Identifier::new_run);
        self.contrasts.iter_mut().for_each(Contrasts::new_run);
        for input in &mut self.inputs {
            input.timeline.new_run(at.seconds());
            input.flagged.clear();
        }
    }

    /// Features that no volume from `at` on looks at are let go.
    fn forget(&mut self, at: Instant) {
        let oldest = at - self.memory;
        self.inputs.iter_mut().for_each(|input| input.timeline.forget(oldest.seconds()));
    }

    fn shortest_lag(&self) -> f64 {
        self.period - self.lags.looks_until(0.0, self.period)
    }

    /// Fills row and prediction for the volume that begins at `at`; the flags of what went in.
    fn predict(&mut self, at: Instant) -> Quality {
        let mut quality = Quality::GOOD;
        let until = self.lags.looks_until(at.seconds(), self.period);
        let from = at.seconds() + self.period - self.lags.horizon(self.period);
        let (mut rest, mut coverage) = (self.row.as_mut_slice(), 1.0);
        for input in &self.inputs {
            let (part, after) = rest.split_at_mut(self.lags.columns(input.spec.dims));
            rest = after;
            let covered = self.lags.row(&input.timeline, at.seconds(), self.period, part);
            if input.spec.hop.is_some() {
                coverage = f64::min(coverage, covered);
            }
            let met = input.flagged.iter().filter(|(start, end, _)| start.seconds() <= until && end.seconds() > from);
            quality = met.fold(quality, |q, (_, _, flags)| q | *flags);
        }
        self.known = coverage >= self.lags.least_known();
        if !self.known {
            quality |= Quality::WARMING_UP;
        }
        self.learner.predict(&self.row, &mut self.prediction);
        quality
    }

    fn publish(&mut self, kind: FrameKind, at: Instant, quality: Quality) -> RegionFrame {
        let values: Vec<f32> = match kind {
            FrameKind::Residual => self.target.iter().zip(&self.prediction).map(|(z, p)| (z - p) as f32).collect(),
            _ => self.prediction.iter().map(|v| *v as f32).collect(),
        };
        let newest = self.newest.unwrap_or((at, at));
        let untaught = self.learner.updates() == 0 && kind != FrameKind::Residual;
        let quality = if untaught { quality | Quality::WARMING_UP } else { quality };
        let sequence = &mut self.sequence[usize::from(kind == FrameKind::Residual)];
        *sequence += 1;
        let mut skill = vec![0.0; values.len()];
        self.learner.skill().r_into(&mut skill);
        let of = FrameOf {
            predictor: &self.name,
            kind,
            seq: *sequence - 1,
            run: self.run.unwrap_or(0),
            // The stamp that the source gives the volume beginning at `at`.
            t_target: at + self.volume_time.fraction() * self.period,
            t_measured: newest.0,
            t_arrived: newest.1,
            regions: &self.regions,
            quality,
            model: &self.model,
        };
        self.session.frame(&of, values, Some(skill))
    }
}

fn stamp_id(name: &str, inputs: &[InputSpec]) -> Arc<str> {
    let inputs: Vec<&str> = inputs.iter().map(|input| input.name.as_str()).collect();
    format!("{name}({})", inputs.join("+")).into()
}

fn stamp_hash(config: &PredictorConfig, inputs: &[InputSpec]) -> Arc<str> {
    let hash = Sha256::digest(format!("{config:?}{inputs:?}"));
    hash.iter().map(|byte| format!("{byte:02x}")).collect::<String>().into()
}

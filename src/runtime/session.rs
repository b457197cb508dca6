//! What every frame of one life of the daemon has in common: its session, its clock, its present run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::frame::{Block, Clock, ClockStamp, FrameKind, Instant, ModelStamp, Quality, RegionFrame, Regions};

/// The session that frames belong to. Cheap to clone; every lane has one.
#[derive(Clone)]
pub struct Session {
    id: Arc<str>,
    clock: Arc<dyn Clock>,
    runs: Arc<AtomicU32>,
}

impl Session {
    /// A session of this id, whose times are on `clock`.
    pub fn new(id: impl Into<Arc<str>>, clock: Arc<dyn Clock>) -> Self {
        Self { id: id.into(), clock, runs: Arc::default() }
    }

    /// The clock of every time in the session.
    pub fn clock(&self) -> &Arc<dyn Clock> {
        &self.clock
    }

    /// The session's id.
    pub fn id(&self) -> &Arc<str> {
        &self.id
    }

    /// How many runs were begun by marker, by command, or by a long gap; live sources add it to their own.
    pub fn run(&self) -> u32 {
        self.runs.load(Ordering::Relaxed)
    }

    /// Begins a new run on every source.
    pub fn begin_run(&self) -> u32 {
        self.runs.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// A frame of this session, published now.
    pub fn frame(&self, of: &FrameOf<'_>, values: Vec<f32>, skill: Option<Vec<f32>>) -> RegionFrame {
        let now = self.clock.now();
        RegionFrame {
            schema: RegionFrame::SCHEMA,
            session: Arc::clone(&self.id),
            run: of.run,
            seq: of.seq,
            predictor: Arc::clone(of.predictor),
            kind: of.kind,
            t_target: of.t_target,
            t_measured: of.t_measured,
            t_arrived: of.t_arrived,
            t_published: now,
            clock: ClockStamp { name: self.clock.name(), unix_offset: self.clock.unix_offset() },
            age_s: now - of.t_measured,
            unit: of.regions.unit,
            regions_id: Arc::clone(&of.regions.regions_id),
            quality: if values.iter().all(|v| v.is_finite()) { of.quality } else { of.quality | Quality::NON_FINITE },
            values,
            skill,
            model: of.model.clone(),
        }
    }
}

/// What tells one frame from the next.
pub struct FrameOf<'a> {
    /// The predictor, or for `measured` frames the source.
    pub predictor: &'a Arc<str>,
    /// What the values are.
    pub kind: FrameKind,
    /// Counts the frames of this predictor and kind.
    pub seq: u64,
    /// The run.
    pub run: u32,
    /// The time the values speak of.
    pub t_target: Instant,
    /// The newest thing that went in.
    pub t_measured: Instant,
    /// When that arrived.
    pub t_arrived: Instant,
    /// What the values belong to.
    pub regions: &'a Regions,
    /// The union of the flags of all that went in.
    pub quality: Quality,
    /// The model that made them.
    pub model: &'a ModelStamp,
}

/// Makes the `measured` frames of one source of volumes.
pub struct Measured {
    session: Session,
    source: Arc<str>,
    regions: Arc<Regions>,
    period: f64,
    seq: u64,
    model: ModelStamp,
}

impl Measured {
    /// Frames for blocks of `regions`, one sample every `period` seconds, from `source`.
    pub fn new(session: Session, source: &str, regions: Arc<Regions>, period: f64) -> Self {
        Self { session, source: source.into(), regions, period, seq: 0, model: ModelStamp::default() }
    }

    /// The names behind the values.
    pub fn regions(&self) -> &Arc<Regions> {
        &self.regions
    }

    /// One frame for every sample of `block`; a bad region's value is not a number.
    pub fn frames(&mut self, block: &Block, mut emit: impl FnMut(RegionFrame)) {
        for (i, sample) in block.samples().enumerate() {
            let at = block.time_of(i, self.period);
            let value = |(c, v): (usize, &f64)| if block.bad.contains(c) { f32::NAN } else { *v as f32 };
            let values = sample.iter().enumerate().map(value).collect();
            let of = FrameOf {
                predictor: &self.source,
                kind: FrameKind::Measured,
                seq: self.seq,
                run: block.run,
                t_target: at,
                t_measured: at,
                t_arrived: block.arrived_at,
                regions: &self.regions,
                quality: block.quality,
                model: &self.model,
            };
            self.seq += 1;
            emit(self.session.frame(&of, values, None));
        }
    }
}

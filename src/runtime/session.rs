//! What every frame of one life of the daemon has in common: its session, its clock, its present run.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use crate::frame::{Block, Clock, ClockStamp, Event, FrameKind, Instant, ModelStamp, Quality, RegionFrame, Regions};

/// The session that frames belong to. Cheap to clone; every lane has one.
#[derive(Clone)]
pub struct Session {
    id: Arc<str>,
    clock: Arc<dyn Clock>,
    runs: Arc<Runs>,
}

/// How many run beginnings are remembered: data that is older than so many runs belongs to the oldest of them.
const REMEMBERED: usize = 16;

/// When the latest runs began. Begun by whoever may wait, read by lanes that may not.
#[derive(Debug, Default)]
struct Runs {
    begun: AtomicU32,
    /// When run `k` began, in seconds, as bits: at `k % REMEMBERED`.
    since: [AtomicU64; REMEMBERED],
    /// Held while a run is begun, so that two do not get one number.
    beginning: Mutex<()>,
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

    /// The run of what was measured at `at`: how many were begun by then, by marker, by command, or by a long gap. Live
    /// sources and recordings add it to their own count. Takes no lock.
    pub fn run_at(&self, at: Instant) -> u32 {
        let newest = self.runs.begun.load(Ordering::Acquire);
        let oldest = newest.saturating_sub(REMEMBERED as u32 - 1);
        let began = |run: u32| f64::from_bits(self.runs.since[run as usize % REMEMBERED].load(Ordering::Relaxed));
        (oldest + 1..=newest).rev().find(|run| at.seconds() >= began(*run)).unwrap_or(oldest)
    }

    /// Begins a new run on every source, with what was measured at `at` or later. Says its number.
    pub fn begin_run(&self, at: Instant) -> u32 {
        let _beginning = self.runs.beginning.lock().unwrap_or_else(PoisonError::into_inner);
        let run = self.runs.begun.load(Ordering::Relaxed) + 1;
        // First when, then that: whoever reads the number finds its time.
        self.runs.since[run as usize % REMEMBERED].store(at.seconds().to_bits(), Ordering::Relaxed);
        self.runs.begun.store(run, Ordering::Release);
        run
    }

    /// Puts `event` into its run, on top of the run that its source counts; one labelled `run_marker` begins it.
    pub fn place(&self, event: &mut Event, run_marker: Option<&str>) {
        if run_marker == Some(event.label.as_str()) {
            let run = self.begin_run(event.onset);
            tracing::info!(run, marker = event.label, "a new run begins");
        }
        event.run += self.run_at(event.onset);
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::VirtualClock;

    #[test]
    fn data_belong_to_the_run_they_were_measured_in_however_late_they_come() {
        let session = Session::new("s", Arc::new(VirtualClock::default()));
        let at = |seconds: f64| session.run_at(Instant::from_seconds(seconds));
        assert_eq!((at(-5.0), at(100.0)), (0, 0));
        assert_eq!(session.begin_run(Instant::from_seconds(10.0)), 1);
        assert_eq!(session.begin_run(Instant::from_seconds(20.0)), 2);
        assert_eq!([9.9, 10.0, 19.9, 20.0].map(at), [0, 1, 1, 2]);
        (3..=40).for_each(|run| assert_eq!(session.begin_run(Instant::from_seconds(f64::from(run) * 10.0)), run));
        assert_eq!([395.0, 400.0, 1e9].map(at), [39, 40, 40]);
        assert_eq!(at(0.0), 25, "the oldest that is remembered");
    }
}

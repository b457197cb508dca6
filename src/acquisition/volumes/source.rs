//! How do images become a source of blocks? One volume a block, in order, reduced to regions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::faults::{Fault, FaultCounts};
use super::order::{Order, Refused};
use super::select::Selection;
use super::settings::VolumeConfig;
use super::stacks::{Origin, Stacks};
use crate::acquisition::dicom::{Header, Scan, Slice, Volume};
use crate::acquisition::file::{Reduction, mask_non_finite};
use crate::acquisition::timing::{Triggers, VolumeTimes};
use crate::acquisition::{Pull, Source, SourceError, SourceStats};
use crate::fmri::{self, Atlas, Correction, Grid, parcellate};
use crate::frame::{Block, BlockSpec, Clock, HeadMotion, Instant, Quality};

/// How much of a TR an early volume is held for its predecessor.
const PATIENCE: f64 = 0.5;
/// How many TRs the slices of one volume may take.
const SLICES: f64 = 2.0;
/// After how many TRs without a volume the scanner has fallen silent.
const SILENCE: f64 = 5.0;
/// The most images that are looked at in one pull, if none of them gives a row.
const BATCH: usize = 256;

/// One volume that waits for its turn.
enum Waiting {
    /// As its regions.
    Row(Vec<f64>),
    /// As its voxels on the grid of the label image: it is realigned when its turn has come, after those before it.
    Voxels(Vec<f32>),
}

/// How volumes are read that store their voxels as the newest one does.
enum Stored {
    /// The regions among its voxels.
    Regions(Atlas),
    /// Where each voxel of the atlas's grid lies in it: of volumes that are realigned before they are reduced.
    Voxels(Grid, Vec<u32>),
}

impl Stored {
    fn grid(&self) -> &Grid {
        match self {
            Self::Regions(atlas) => &atlas.grid,
            Self::Voxels(grid, _) => grid,
        }
    }

    fn read(&self, values: &[f64], regions: usize) -> Waiting {
        match self {
            Self::Regions(atlas) => {
                let mut row = vec![0.0; regions];
                parcellate(values, atlas.gather(), &mut row);
                Waiting::Row(row)
            }
            Self::Voxels(_, places) => {
                let at = |place: &u32| values.get(*place as usize).map_or(f32::NAN, |value| *value as f32);
                Waiting::Voxels(places.iter().map(at).collect())
            }
        }
    }
}

/// Regions of one volume, on their way.
struct Row {
    volume: Waiting,
    /// Whether volumes are missing before it.
    gap: bool,
    measured: Instant,
    /// Whether a series begins with it.
    begins_series: bool,
    /// Whether a run begins with it.
    begins_run: bool,
}

/// A way in for images.
pub trait Arrivals {
    /// Looks for what is new.
    ///
    /// # Errors
    /// The way is closed for now; it is tried again by itself.
    fn refresh(&mut self, clock: &dyn Clock, faults: &FaultCounts) -> Result<(), SourceError>;

    /// The next image that is complete, and when it was.
    fn next(&mut self, now: Instant, faults: &FaultCounts) -> Option<(Scan, Instant)>;

    /// When there is something to do that [`wait`](Self::wait) would not wake for.
    fn due(&self) -> Option<Instant>;

    /// Waits at most `timeout` for something to come.
    fn wait(&mut self, timeout: Duration, now: Instant);
}

/// Reads the volumes of one series after another, as they come in through `A`.
pub struct VolumeSource<A> {
    spec: BlockSpec,
    tr: f64,
    times: VolumeTimes,
    reduction: Reduction,
    /// For volumes like the newest one.
    stored: Option<Stored>,
    selection: Selection,
    arrivals: A,
    stacks: Stacks,
    order: Order<Waiting>,
    /// What volumes go through before they are reduced, if anything.
    correction: Option<Correction>,
    /// What goes on as soon as it is asked for: of a series that another has followed.
    ready: VecDeque<Row>,
    clock: Arc<dyn Clock>,
    stats: Arc<SourceStats>,
    /// Series that have begun.
    begun: u32,
    /// Whether the next volume begins a series.
    begins: bool,
    /// Whether the last one that was pulled began a run.
    begins_run: bool,
    /// When a volume came last.
    newest: Option<Instant>,
    seq: u64,
    silent: bool,
}

impl<A: Arrivals> VolumeSource<A> {
    /// Reads the label image or mask that `config` names, before `open` opens the way in.
    pub(in crate::acquisition) fn new(
        config: &VolumeConfig,
        stats: Arc<SourceStats>,
        clock: Arc<dyn Clock>,
        open: impl FnOnce() -> Result<A, SourceError>,
    ) -> Result<Self, SourceError> {
        let reduction = config.reduction()?;
        Ok(Self {
            spec: config.spec(&reduction),
            tr: config.tr,
            times: VolumeTimes::new(&config.clock, config.tr, config.delay, Arc::clone(&stats)),
            stored: None,
            selection: Selection::new(config),
            arrivals: open()?,
            stacks: Stacks::new(SLICES * config.tr),
            order: Order::new(PATIENCE * config.tr),
            correction: config.correction(&reduction)?,
            ready: VecDeque::new(),
            reduction,
            clock,
            stats,
            begun: 0,
            begins: false,
            begins_run: false,
            newest: None,
            seq: 0,
            silent: false,
        })
    }

    /// The same, with the scanner's triggers, if its clock goes by them.
    pub fn timed_by(mut self, triggers: Option<Arc<Triggers>>) -> Self {
        if let Some(triggers) = triggers {
            self.times.listen_to(triggers);
        }
        self
    }

    /// The way in.
    pub fn arrivals(&self) -> &A {
        &self.arrivals
    }

    fn faults(&self) -> &FaultCounts {
        &self.stats.faults
    }

    /// What one file or object brought.
    fn take(&mut self, scan: Scan, now: Instant) {
        match scan {
            Scan::Slice(header, slice) => self.take_slice(&header, slice, now),
            Scan::Volumes(volumes) => {
                let origin = if volumes.len() > 1 { Origin::Several } else { Origin::Whole };
                for (header, volume) in volumes {
                    let taken = self.number_of(&header, origin, now);
                    if let Err(Refused(fault)) = taken.and_then(|number| self.offer(number, &volume, now)) {
                        self.faults().add(fault, 1);
                    }
                }
            }
        }
    }

    fn take_slice(&mut self, header: &Header, slice: Slice, now: Instant) {
        // How many slices a volume has is known from the atlas.
        let pixels = slice.values.len().max(1);
        let whole = self.reduction.atlas.grid.voxels();
        let of = whole / pixels;
        let taken = self.number_of(header, Origin::Slice { of: of as u32 }, now);
        let [x, y] = slice.size;
        let [nx, ny, nz] = self.reduction.atlas.grid.dims;
        let is_face = [(nx, ny), (ny, nz), (nz, nx)].iter().any(|(a, b)| (x, y) == (*a, *b) || (x, y) == (*b, *a));
        let volume = taken.and_then(|number| match () {
            () if !is_face || of * pixels != whole => Err(Refused(Fault::WrongGrid)),
            () => {
                self.order.admit(number, now)?;
                Ok((number, self.stacks.add(number, of, slice, now)?))
            }
        });
        let offered = volume.and_then(|(number, volume)| volume.map_or(Ok(()), |v| self.offer(number, &v, now)));
        if let Err(Refused(fault)) = offered {
            self.faults().add(fault, 1);
        }
    }

    fn number_of(&mut self, header: &Header, origin: Origin, now: Instant) -> Result<u32, Refused> {
        let taken = self.selection.take(header, origin, now)?;
        if taken.begins {
            // Nothing more comes of the series before.
            self.advance(Instant::from_seconds(f64::INFINITY));
            let unfinished = self.stacks.clear();
            self.faults().add(Fault::Slices, unfinished);
            self.order = Order::new(PATIENCE * self.tr);
            self.begun += 1;
            self.begins = true;
            self.times.begin_series();
            if header.tr.is_some_and(|tr| (tr - self.tr).abs() > 0.01 * self.tr) {
                tracing::warn!(header = header.tr, configured = self.tr, "the series has another TR (set `tr`)");
            }
        }
        self.times.note(taken.number, header.acquired);
        Ok(taken.number)
    }

    /// How volumes on `grid` are read; else in what it differs from the atlas's.
    fn stored_like(&self, grid: &Grid) -> Result<Stored, String> {
        let atlas = &self.reduction.atlas;
        match self.correction {
            None => atlas.reordered(grid).map(Stored::Regions),
            Some(_) => fmri::places(&atlas.grid, grid).map(|places| Stored::Voxels(grid.clone(), places)),
        }
    }

    fn offer(&mut self, number: u32, volume: &Volume, now: Instant) -> Result<(), Refused> {
        self.order.admit(number, now)?;
        if self.stored.as_ref().is_none_or(|stored| *stored.grid() != volume.grid) {
            self.stored = Some(self.stored_like(&volume.grid).map_err(|difference| {
                let fix = "set `reference` to an image on the grid of the volumes, if the atlas lies on another";
                tracing::warn!(difference, fix, "a volume is on another grid than the atlas or mask");
                Refused(Fault::WrongGrid)
            })?);
        }
        let Some(stored) = &self.stored else { return Err(Refused(Fault::WrongGrid)) };
        let waiting = stored.read(&volume.values, self.spec.channels.len());
        if self.order.offer(number, waiting, now)? {
            self.faults().add(Fault::Early, 1);
        }
        self.advance(now);
        Ok(())
    }

    /// Moves what may go on at `now` to where it is asked for.
    fn advance(&mut self, now: Instant) {
        while let Some(mut ordered) = self.order.next(now) {
            self.faults().add(Fault::Missing, u64::from(ordered.missing));
            let began = self.times.began(ordered.number, ordered.came);
            if began.paused {
                ordered.missing = ordered.missing.max(1);
            }
            if ordered.missing > 0 {
                SourceStats::count(&self.stats.gaps);
            }
            let begins_series = std::mem::take(&mut self.begins);
            let begins_run = begins_series && self.begun > 1;
            if begins_run {
                // What lies between two series was not measured, however many volumes that would be.
                ordered.missing = ordered.missing.max(1);
            }
            self.newest = self.newest.filter(|newest| *newest > ordered.came).or(Some(ordered.came));
            let (volume, gap) = (ordered.volume, ordered.missing > 0);
            self.ready.push_back(Row { volume, gap, measured: began.at, begins_series, begins_run });
        }
    }

    /// The regions of a volume whose turn has come, and where the head lay in it.
    fn reduce(&mut self, waiting: Waiting) -> (Vec<f64>, Option<HeadMotion>) {
        let (voxels, correction) = match (waiting, &mut self.correction) {
            (Waiting::Row(values), _) => return (values, None),
            (Waiting::Voxels(voxels), Some(correction)) => (voxels, correction),
            // Voxels wait only where there is a correction.
            (Waiting::Voxels(_), None) => return (vec![f64::NAN; self.spec.channels.len()], None),
        };
        let motion = correction.correct(|voxel| voxels.get(voxel).map_or(f64::NAN, |v| f64::from(*v)));
        let mut values = vec![0.0; self.spec.channels.len()];
        self.reduction.atlas.gather().means(|voxel| correction.voxel(voxel), &mut values);
        (values, motion)
    }

    /// One volume a pull is corrected and reduced, however many one object brought, so that the lane shows that it is alive.
    fn fill(&mut self, into: &mut Block, row: Row) {
        if row.begins_series {
            self.correction.iter_mut().for_each(Correction::begin_run);
        }
        let (values, motion) = self.reduce(row.volume);
        self.begins_run = row.begins_run;
        into.push(&values);
        into.seq = self.seq;
        self.seq += 1;
        into.measured_at = row.measured;
        into.arrived_at = self.clock.now();
        into.motion = motion;
        if row.gap {
            into.quality |= Quality::GAP;
        }
        if motion.is_some_and(|motion| motion.outlier) {
            into.quality |= Quality::MOTION;
        }
        mask_non_finite(into);
        if std::mem::take(&mut self.silent) {
            SourceStats::count(&self.stats.returned);
        }
    }

    /// How long there is nothing to do, in real time.
    fn idle(&self, now: Instant, timeout: Duration) -> Duration {
        let due = [self.order.deadline(), self.arrivals.due()].into_iter().flatten();
        let Some(due) = due.map(|at| at.seconds()).reduce(f64::min) else { return timeout };
        let left = (due - now.seconds()) / self.clock.speed();
        Duration::try_from_secs_f64(left).unwrap_or_default().min(timeout)
    }
}

impl<A: Arrivals> Source for VolumeSource<A> {
    fn spec(&self) -> &BlockSpec {
        &self.spec
    }

    fn begins_run(&self) -> bool {
        self.begins_run
    }

    fn pull(&mut self, into: &mut Block, timeout: Duration) -> Result<Pull, SourceError> {
        into.clear();
        for wait in [true, false] {
            let now = self.clock.now();
            let looked = self.arrivals.refresh(self.clock.as_ref(), &self.stats.faults);
            for _ in 0..BATCH {
                if !self.ready.is_empty() {
                    break;
                }
                let Some((scan, came)) = self.arrivals.next(now, &self.stats.faults) else { break };
                self.take(scan, came);
            }
            let given_up = self.stacks.expire(now);
            self.faults().add(Fault::Slices, given_up);
            self.advance(now);
            if let Some(row) = self.ready.pop_front() {
                self.fill(into, row);
                return Ok(Pull::Data);
            }
            looked?;
            if let Some(newest) = self.newest.filter(|_| !self.silent) {
                let seconds = now - newest;
                if seconds > SILENCE * self.tr {
                    self.silent = true;
                    self.stats.lost.fetch_add(1, Ordering::Relaxed);
                    return Ok(Pull::Lost { seconds });
                }
            }
            if wait {
                let idle = self.idle(now, timeout);
                self.arrivals.wait(idle, now);
            }
        }
        Ok(Pull::Idle)
    }
}

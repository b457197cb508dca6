//! How does a folder become a source of blocks? One volume a block, in order, reduced to regions.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use super::FolderConfig;
use super::faults::{Fault, FaultCounts};
use super::inbox::Inbox;
use super::order::{Order, Ordered, Refused};
use super::select::Selection;
use super::volumes::{Origin, Stacks};
use crate::acquisition::dicom::{Header, Scan, Slice, Volume};
use crate::acquisition::file::{Reduction, mask_non_finite};
use crate::acquisition::{Pull, Source, SourceError, SourceStats};
use crate::fmri::{Atlas, parcellate};
use crate::frame::{Block, BlockSpec, Clock, Instant, Quality};

/// How much of a TR an early volume is held for its predecessor.
const PATIENCE: f64 = 0.5;
/// How many TRs the slices of one volume may take.
const SLICES: f64 = 2.0;
/// After how many TRs without a volume the scanner has fallen silent.
const SILENCE: f64 = 5.0;

/// Regions of one volume, on their way.
type Row = Vec<f64>;

/// Reads the volumes of one series after another from a folder.
pub struct FolderSource {
    spec: BlockSpec,
    tr: f64,
    delay: f64,
    folder: std::path::PathBuf,
    reduction: Reduction,
    /// The atlas as the newest volume stores its voxels.
    stored: Option<Atlas>,
    selection: Selection,
    inbox: Inbox,
    stacks: Stacks,
    order: Order<Row>,
    /// What goes on as soon as it is asked for: of a series that another has followed.
    ready: VecDeque<(Ordered<Row>, Instant)>,
    clock: Arc<dyn Clock>,
    stats: Arc<SourceStats>,
    /// Series that have begun.
    begun: u32,
    /// When volume 0 of the series would have begun: every other lies a whole number of TRs later.
    origin: Option<Instant>,
    newest: Option<Instant>,
    seq: u64,
    silent: bool,
}

impl FolderSource {
    pub(super) fn new(
        config: &FolderConfig,
        stats: Arc<SourceStats>,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, SourceError> {
        let reduction = config.reduction()?;
        let folder = config.path.clone();
        Ok(Self {
            spec: config.spec(&reduction),
            tr: config.tr,
            delay: config.delay,
            stored: None,
            selection: Selection::new(config),
            inbox: Inbox::new(folder.clone(), config, clock.as_ref()),
            folder,
            stacks: Stacks::new(SLICES * config.tr),
            order: Order::new(PATIENCE * config.tr),
            ready: VecDeque::new(),
            reduction,
            clock,
            stats,
            begun: 0,
            origin: None,
            newest: None,
            seq: 0,
            silent: false,
        })
    }

    fn faults(&self) -> &FaultCounts {
        &self.stats.faults
    }

    /// What one file brought.
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
        let volume = taken.and_then(|number| match () {
            () if of * pixels != whole => Err(Refused(Fault::WrongGrid)),
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
            self.advance(now + PATIENCE * self.tr);
            let unfinished = self.stacks.clear();
            self.faults().add(Fault::Slices, unfinished);
            self.order = Order::new(PATIENCE * self.tr);
            self.begun += 1;
            self.origin = None;
            if header.tr.is_some_and(|tr| (tr - self.tr).abs() > 0.01 * self.tr) {
                tracing::warn!(header = header.tr, configured = self.tr, "the series has another TR (set `tr`)");
            }
        }
        Ok(taken.number)
    }

    fn offer(&mut self, number: u32, volume: &Volume, now: Instant) -> Result<(), Refused> {
        self.order.admit(number, now)?;
        let stored = match self.stored.take().filter(|stored| stored.grid == volume.grid) {
            Some(stored) => stored,
            None => self.reduction.atlas.reordered(&volume.grid).map_err(|difference| {
                let fix = "set `reference` to an image on the grid of the volumes, if the atlas lies on another";
                tracing::warn!(difference, fix, "a volume is on another grid than the atlas or mask");
                Refused(Fault::WrongGrid)
            })?,
        };
        let mut row = vec![0.0; self.spec.channels.len()];
        parcellate(&volume.values, self.stored.insert(stored).gather(), &mut row);
        if self.order.offer(number, row, now)? {
            self.faults().add(Fault::Early, 1);
        }
        self.advance(now);
        Ok(())
    }

    /// Moves what may go on at `now` to where it is asked for.
    fn advance(&mut self, now: Instant) {
        while let Some(mut ordered) = self.order.next(now) {
            if ordered.missing > 0 {
                self.faults().add(Fault::Missing, u64::from(ordered.missing));
                SourceStats::count(&self.stats.gaps);
            }
            let into_series = f64::from(ordered.number) * self.tr;
            let first = self.origin.is_none();
            // Its acquisition has ended when it comes; and no series begins before the one before it is over.
            let began = ordered.came - self.tr - self.delay;
            let free = self.newest.map(|newest| newest + self.tr).filter(|free| *free > began);
            let origin = *self.origin.get_or_insert(free.unwrap_or(began) - into_series);
            if first && self.begun > 1 {
                // What lies between two series was not measured, however many volumes that would be.
                ordered.missing = ordered.missing.max(1);
            }
            let measured = origin + into_series;
            self.newest = Some(measured);
            self.ready.push_back((ordered, measured));
        }
    }

    fn fill(&mut self, into: &mut Block, ordered: &Ordered<Row>, measured: Instant) {
        into.push(&ordered.volume);
        into.seq = self.seq;
        self.seq += 1;
        into.measured_at = measured;
        into.arrived_at = self.clock.now();
        if ordered.missing > 0 {
            into.quality |= Quality::GAP;
        }
        mask_non_finite(into);
        if std::mem::take(&mut self.silent) {
            SourceStats::count(&self.stats.returned);
        }
    }

    /// How long there is nothing to do, in real time.
    fn idle(&self, now: Instant, timeout: Duration) -> Duration {
        let due = self
            .order
            .deadline()
            .map_or(self.inbox.due(), |at| if at < self.inbox.due() { at } else { self.inbox.due() });
        Duration::try_from_secs_f64((due - now) / self.clock.speed()).unwrap_or_default().min(timeout)
    }
}

impl Source for FolderSource {
    fn spec(&self) -> &BlockSpec {
        &self.spec
    }

    fn pull(&mut self, into: &mut Block, timeout: Duration) -> Result<Pull, SourceError> {
        into.clear();
        for wait in [true, false] {
            let now = self.clock.now();
            let looked = self.inbox.refresh(self.clock.as_ref(), &self.stats.faults);
            while self.ready.is_empty() {
                let Some(scan) = self.inbox.next(now, &self.stats.faults) else { break };
                self.take(scan, now);
            }
            let given_up = self.stacks.expire(now);
            self.faults().add(Fault::Slices, given_up);
            self.advance(now);
            if let Some((ordered, measured)) = self.ready.pop_front() {
                self.fill(into, &ordered, measured);
                return Ok(Pull::Data);
            }
            looked.map_err(|error| SourceError::Io { path: self.folder.display().to_string(), error })?;
            if let Some(newest) = self.newest.filter(|_| !self.silent) {
                let seconds = now - newest - self.tr;
                if seconds > SILENCE * self.tr {
                    self.silent = true;
                    self.stats.lost.fetch_add(1, Ordering::Relaxed);
                    return Ok(Pull::Lost { seconds });
                }
            }
            if wait {
                self.inbox.wait(self.idle(now, timeout), now);
            }
        }
        Ok(Pull::Idle)
    }
}

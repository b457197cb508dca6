//! When does each recorded sample come? Runs one after another on one time base.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use super::RunFile;
use crate::acquisition::{Pull, Source, SourceError};
use crate::frame::{Block, BlockSpec, Channel, Event, Instant, Quality};

/// What a file holds, known before its samples are read.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Shape {
    pub(super) channels: Arc<[Channel]>,
    /// Seconds from one sample to the next.
    pub(super) period: f64,
    pub(super) samples: u64,
    /// What the file itself tells of: EDF+ annotations, with onsets from the run's first sample.
    pub(super) events: Vec<Event>,
}

/// Reads one run, in order.
pub(super) trait RunReader: Send {
    /// Appends the next samples until `into` is full or the run ends.
    fn read(&mut self, into: &mut Block) -> Result<(), SourceError>;
}

/// Something that knows when it will next have something to give: a recording. Lets a scheduler on virtual time merge
/// several of them in order, and [`Paced`](super::Paced) hold them back.
pub trait Recorded {
    /// When the next block or event arrives; `None` at the end.
    fn peek(&self) -> Option<Instant>;
}

/// When one run of a recording takes place, on the session's clock.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RunTimes {
    /// When its first sample begins.
    pub start: Instant,
    /// How many samples it has.
    pub samples: u64,
    /// Seconds from one sample to the next.
    pub period: f64,
}

impl RunTimes {
    /// When sample `index` begins.
    pub fn time_of(&self, index: u64) -> Instant {
        self.start + index as f64 * self.period
    }

    /// When its last sample ends.
    pub fn end(&self) -> Instant {
        self.time_of(self.samples)
    }
}

/// When every run of a recording takes place. The samples and the events of a recording share one.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Timetable {
    /// The runs in order; run `k` of a block or event is `runs[k]`.
    pub runs: Vec<RunTimes>,
}

impl Timetable {
    /// Lays runs of (samples, period) one after another from `origin`, with `gap` seconds between them.
    pub fn new(origin: Instant, gap: f64, runs: impl IntoIterator<Item = (u64, f64)>) -> Self {
        let mut start = origin;
        let runs = runs
            .into_iter()
            .map(|(samples, period)| {
                let run = RunTimes { start, samples, period };
                start = run.end() + gap;
                run
            })
            .collect();
        Self { runs }
    }

    /// Samples in all runs: the length of a progress bar.
    pub fn samples(&self) -> u64 {
        self.runs.iter().map(|r| r.samples).sum()
    }

    /// When the last run ends; `None` without runs.
    pub fn end(&self) -> Option<Instant> {
        self.runs.last().map(RunTimes::end)
    }
}

/// Plays files back, each as one run, in recording time.
///
/// Every [`pull`](Source::pull) returns at once with up to `block` samples of one run. `measured_at` is the recorded
/// time of the newest sample; `arrived_at` the moment it was complete, one period later, as a live device would deliver
/// it. Files are opened one at a time, when their run begins. The same files give the same blocks, every time.
///
/// A file that turns out to be broken midway is an error at every pull from there on, until it is mended.
pub struct FileSource {
    spec: BlockSpec,
    files: Vec<Box<dyn RunFile>>,
    timetable: Arc<Timetable>,
    reader: Option<Box<dyn RunReader>>,
    run: usize,
    sample: u64,
    seq: u64,
}

impl FileSource {
    pub(super) fn new(spec: BlockSpec, files: Vec<Box<dyn RunFile>>, timetable: Arc<Timetable>) -> Self {
        Self { spec, files, timetable, reader: None, run: 0, sample: 0, seq: 0 }
    }

    /// When its runs take place.
    pub fn timetable(&self) -> &Arc<Timetable> {
        &self.timetable
    }

    /// Its runs take place then, from the next one on.
    pub(super) fn lay(&mut self, timetable: Arc<Timetable>) {
        self.timetable = timetable;
    }

    /// The file of each run.
    pub fn files(&self) -> Vec<PathBuf> {
        self.files.iter().map(|f| f.path().to_path_buf()).collect()
    }

    fn next_samples(&self) -> Option<(RunTimes, u64)> {
        let times = *self.timetable.runs.get(self.run)?;
        let count = (times.samples - self.sample).min(self.spec.capacity as u64);
        Some((times, count))
    }
}

impl Recorded for FileSource {
    fn peek(&self) -> Option<Instant> {
        self.next_samples().map(|(times, count)| times.time_of(self.sample + count))
    }
}

impl Source for FileSource {
    fn spec(&self) -> &BlockSpec {
        &self.spec
    }

    fn pull(&mut self, into: &mut Block, _timeout: Duration) -> Result<Pull, SourceError> {
        into.clear();
        let Some((times, count)) = self.next_samples() else { return Ok(Pull::End) };
        let Some(file) = self.files.get(self.run) else { return Ok(Pull::End) };
        let mut reader = match self.reader.take() {
            Some(reader) => reader,
            None => file.reader(self.sample)?,
        };
        // After an error the reader is gone: the next pull opens the file anew, at the sample that is due.
        if let Err(error) = reader.read(into) {
            into.clear();
            return Err(error);
        }
        if into.len() as u64 != count {
            into.clear();
            return Err(super::input::malformed(
                file.path(),
                format!("sample {}", self.sample),
                "the file has changed since it was opened (start again)",
            ));
        }
        self.sample += count;
        into.seq = self.seq;
        into.run = self.run as u32;
        into.measured_at = times.time_of(self.sample.saturating_sub(1));
        into.arrived_at = times.time_of(self.sample);
        // Another file: what came before it, if anything did, is not what was measured just before.
        if self.run > 0 && self.sample == count {
            into.quality |= Quality::GAP;
        }
        mask_non_finite(into);
        self.seq += 1;
        if self.sample < times.samples {
            self.reader = Some(reader);
        } else {
            self.run += 1;
            self.sample = 0;
        }
        Ok(Pull::Data)
    }
}

/// Flags what cannot be computed with, and says in which channels it is.
pub(crate) fn mask_non_finite(block: &mut Block) {
    let channels = block.channels().max(1);
    let places: Vec<usize> =
        block.data().iter().enumerate().filter(|(_, v)| !v.is_finite()).map(|(i, _)| i % channels).collect();
    if !places.is_empty() {
        block.quality |= Quality::NON_FINITE;
    }
    for channel in places {
        block.bad.set(channel, true);
    }
}

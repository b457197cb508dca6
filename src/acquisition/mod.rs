//! Where do samples come from? Devices and recordings, each read on a thread of its own.

pub mod afni;
pub mod association;
pub mod dicom;
pub mod file;
pub mod folder;
pub mod lsl;
pub mod receiver;
pub mod synthetic;
pub mod timing;
pub mod volumes;

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use thiserror::Error;

use crate::frame::{Block, BlockSpec, Event, Instant};

/// What one call of [`Source::pull`] brought.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Pull {
    /// The block holds new samples.
    Data,
    /// Nothing yet, and nothing is wrong.
    Idle,
    /// The stream fell silent or vanished `seconds` ago; reported once. Blocks resume by themselves when it returns,
    /// the first of them flagged [`Quality::GAP`](crate::frame::Quality::GAP).
    Lost {
        /// How long nothing has come, in seconds.
        seconds: f64,
    },
    /// A recording has ended. A live source never says so.
    End,
}

/// Reads one device or recording. Built on the thread that pulls it (LSL handles do not move between threads).
pub trait Source {
    /// What its blocks look like; fixed for the life of the source. A device that comes back with another shape is
    /// refused, not followed.
    fn spec(&self) -> &BlockSpec;

    /// Fills `into` with the next samples, waiting at most `timeout` for them.
    ///
    /// # Errors
    /// What cannot be read any further, by name and with the fix; the source stays usable and the lane retries.
    fn pull(&mut self, into: &mut Block, timeout: Duration) -> Result<Pull, SourceError>;

    /// Whether the block that was pulled last begins a run: a scanner's next series does. Recordings number their runs
    /// themselves.
    fn begins_run(&self) -> bool {
        false
    }
}

/// Reads events: stimuli, ratings, markers.
pub trait EventSource {
    /// Appends the events that have come since the last call, waiting at most `timeout` for the first.
    /// [`Pull::Data`] when there are new ones.
    ///
    /// # Errors
    /// As [`Source::pull`].
    fn pull(&mut self, into: &mut Vec<Event>, timeout: Duration) -> Result<Pull, SourceError>;
}

/// Why a source gives nothing.
#[derive(Debug, Error)]
pub enum SourceError {
    /// A file is missing or unreadable.
    #[error("{path}: {error}")]
    Io {
        /// The file.
        path: String,
        /// What the system said.
        error: std::io::Error,
    },
    /// A file is not what it should be. `place` is a line or a byte.
    #[error("{path}:{place}: {problem}")]
    Malformed {
        /// The file.
        path: String,
        /// `line 3`, or `byte 0x40`.
        place: String,
        /// What is wrong there, and the mend.
        problem: String,
    },
    /// A file ends before what it promises: it may still be on its way.
    #[error("{path}:{place}: {problem}")]
    Short {
        /// The file.
        path: String,
        /// Where it ends.
        place: String,
        /// What it promises, and the mend.
        problem: String,
    },
    /// A stream is not there, or is not the one that was asked for.
    #[error("stream \"{stream}\": {problem}")]
    Stream {
        /// What was asked for.
        stream: String,
        /// What is wrong, and the mend.
        problem: String,
    },
    /// Nothing can be received at an address.
    #[error("{address}: {problem}")]
    Listen {
        /// Where it was tried to listen.
        address: std::net::SocketAddr,
        /// What is wrong, and the mend.
        problem: String,
    },
    /// A setting makes no sense, or not with what was found.
    #[error("{0}")]
    Config(String),
    /// A native library is missing.
    #[error("{0}")]
    Library(String),
}

/// Counts what a source lives through. Shared with the metrics endpoint; every field only ever grows, but for the two
/// gauges.
#[derive(Debug, Default)]
pub struct SourceStats {
    /// Samples delivered.
    pub samples: AtomicU64,
    /// Times the stream fell silent or vanished.
    pub lost: AtomicU64,
    /// Times it came back.
    pub returned: AtomicU64,
    /// Holes in the data that were flagged `GAP`, whatever made them.
    pub gaps: AtomicU64,
    /// Streams refused: another shape, or more than one match.
    pub refused: AtomicU64,
    /// Samples dropped for a timestamp that repeats or goes backward.
    pub misordered: AtomicU64,
    /// Jumps of timestamps or of the clock offset.
    pub clock_jumps: AtomicU64,
    /// What a source of volumes lived through, by kind.
    pub faults: volumes::FaultCounts,
    /// Gauge: 1 while data come.
    pub up: AtomicBool,
    /// Gauge: seconds to add to the device's clock for ours, as `f64::to_bits`.
    pub clock_offset_bits: AtomicU64,
    /// Gauge: when the newest sample was measured, in seconds of the session's clock, as `f64::to_bits`; 0 before the
    /// first.
    pub newest_bits: AtomicU64,
}

impl SourceStats {
    /// Adds one to a counter.
    pub fn count(counter: &AtomicU64) {
        counter.fetch_add(1, Ordering::Relaxed);
    }

    /// Notes the present clock offset, in seconds.
    pub fn set_clock_offset(&self, seconds: f64) {
        self.clock_offset_bits.store(seconds.to_bits(), Ordering::Relaxed);
    }

    /// The clock offset last noted, in seconds.
    pub fn clock_offset(&self) -> f64 {
        f64::from_bits(self.clock_offset_bits.load(Ordering::Relaxed))
    }

    /// Notes when the newest sample was measured.
    pub fn set_newest(&self, at: Instant) {
        self.newest_bits.store(at.seconds().to_bits(), Ordering::Relaxed);
    }

    /// When the newest sample was measured; `None` before the first.
    pub fn newest(&self) -> Option<Instant> {
        let bits = self.newest_bits.load(Ordering::Relaxed);
        (bits != 0).then(|| Instant::from_seconds(f64::from_bits(bits)))
    }
}

//! What would a scanner export? The volumes of a recording, or regions painted into their atlas, as files or objects, in
//! time, with the faults that scanners have.
//!
//! [`Export`] gives what to write and when, and [`Sender`] sends the same by C-STORE; it is the demonstration's scanner
//! and the test bench of the sources of volumes. Everything follows from the recording, the flavour, the faults and the
//! seed. (Series and images are numbered from 1; the person is a phantom.)

mod faults;
mod flavour;
mod recording;
mod sender;

use std::collections::BTreeMap;
use std::path::Path;

use thiserror::Error;

use crate::acquisition::SourceError;
use crate::acquisition::association::AssociationError;
use crate::fmri::Grid;

pub use faults::{FaultRates, ScanFault};
pub use flavour::Flavour;
use flavour::Image;
pub use recording::PaintConfig;
use recording::{Painting, Recording};
pub use sender::{Sender, Sent};

/// Why nothing can be exported.
#[derive(Debug, Error)]
pub enum ScannerError {
    /// The recording cannot be read.
    #[error(transparent)]
    Recording(#[from] SourceError),
    /// It cannot be exported so.
    #[error("{0}")]
    Unsuited(String),
    /// Nobody takes what is sent.
    #[error(transparent)]
    Association(#[from] AssociationError),
    /// A file could not be made.
    #[error("a DICOM file could not be made: {0}")]
    Encoding(String),
}

/// What is exported, and how.
#[derive(Clone, Debug)]
pub struct ExportConfig {
    /// How volumes are stored.
    pub flavour: Flavour,
    /// How often what goes wrong.
    pub faults: FaultRates,
    /// Another seed, other faults.
    pub seed: u64,
    /// Seconds from volume to volume; by default the recording's.
    pub tr: Option<f64>,
}

/// Something to write at a time.
#[derive(Clone, Debug, PartialEq)]
pub struct Writing {
    /// Seconds after the first volume began.
    pub at: f64,
    /// The file's name.
    pub name: String,
    /// What is appended to it.
    pub bytes: Vec<u8>,
    /// Which part of the file that is.
    pub part: Part,
    /// Whether it is of the other series.
    pub second: bool,
}

/// Which part of a file is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// All of it.
    Whole,
    /// Its beginning.
    Beginning,
    /// What its beginning lacks.
    Rest,
}

/// Files in order of time.
pub struct Export {
    recording: Recording,
    values: Vec<f64>,
    tr: f64,
    config: ExportConfig,
    /// Stored value × slope + intercept is what was recorded.
    scale: (f64, f64),
    /// Volumes that have been turned into files.
    done: u64,
    sound_until: u64,
    /// What is to be written, by time and order.
    queue: BTreeMap<(u64, u64), Writing>,
    written: u64,
    /// Volume and fault, for all that have been turned into files since it was taken.
    truth: Vec<(u64, ScanFault)>,
}

impl Export {
    /// Reads the recording once, to know the range of its values.
    ///
    /// # Errors
    /// A recording that cannot be read, that has no TR, or whose axes DICOM cannot express.
    pub fn open(path: &Path, config: ExportConfig) -> Result<Self, ScannerError> {
        Self::of(Recording::open(path)?, config)
    }

    /// Paints a table of regions, a row a volume, into their atlas.
    ///
    /// # Errors
    /// A table or an atlas that cannot be read, or that do not go together; as [`open`](Export::open).
    pub fn paint(table: &Path, into: &PaintConfig, config: ExportConfig) -> Result<Self, ScannerError> {
        Self::of(Recording::Painting(Painting::open(table, into)?), config)
    }

    fn of(recording: Recording, config: ExportConfig) -> Result<Self, ScannerError> {
        let tr = config.tr.or(recording.tr()).filter(|tr| *tr > 0.0 && tr.is_finite());
        let tr = tr.ok_or_else(|| ScannerError::Unsuited("the recording has no TR (set --tr)".into()))?;
        flavour::check(recording.grid(), config.flavour)?;
        let scale = if config.flavour == Flavour::Nifti { (1.0, 0.0) } else { range(&recording)? };
        Ok(Self {
            recording,
            values: Vec::new(),
            tr,
            config,
            scale,
            done: 0,
            sound_until: 0,
            queue: BTreeMap::new(),
            written: 0,
            truth: Vec::new(),
        })
    }

    /// Seconds from volume to volume.
    pub fn tr(&self) -> f64 {
        self.tr
    }

    /// How many volumes are scanned.
    pub fn volumes(&self) -> u64 {
        self.recording.count()
    }

    /// Which fault each volume had that has been turned into files since this was called last.
    pub fn take_truth(&mut self) -> Vec<(u64, ScanFault)> {
        std::mem::take(&mut self.truth)
    }

    /// The next thing to write; `None` at the end.
    ///
    /// # Errors
    /// The recording turns out to be broken; a file that cannot be made.
    pub fn next_writing(&mut self) -> Result<Option<Writing>, ScannerError> {
        // A file may be due up to three volumes later; what is due before the next volume ends goes first.
        while self.done < self.recording.count()
            && self.queue.first_key_value().is_none_or(|(_, w)| w.at > self.end_of(self.done + 1))
        {
            self.expose()?;
        }
        Ok(self.queue.pop_first().map(|(_, writing)| writing))
    }

    /// When volume `number` (from 1) has been acquired.
    fn end_of(&self, number: u64) -> f64 {
        number as f64 * self.tr
    }

    /// Turns the next volume into files.
    fn expose(&mut self) -> Result<(), ScannerError> {
        let mut values = std::mem::take(&mut self.values);
        self.recording.volume(self.done, self.config.seed, &mut values)?;
        self.done += 1;
        let number = self.done;
        let fault = if number <= self.sound_until {
            ScanFault::None
        } else {
            self.config.faults.draw(self.config.seed, number)
        };
        self.sound_until = self.sound_until.max(number + fault.sound_after());
        self.truth.push((number, fault));
        let whole = self.recording.grid().clone();
        let image = Image {
            grid: &whole,
            values: &values,
            scale: self.scale,
            number: number as u32,
            tr: self.tr,
            second: false,
            seed: self.config.seed,
        };
        let due = self.end_of(number);
        let flavour = self.config.flavour;
        match fault {
            ScanFault::None => self.put(&image, 0, due)?,
            ScanFault::Drop => {}
            ScanFault::Duplicate => {
                self.put(&image, 0, due)?;
                self.put(&image, 1, due + 0.3 * self.tr)?;
            }
            ScanFault::Reorder => self.put(&image, 0, due + 1.2 * self.tr)?,
            ScanFault::Delay => self.put(&image, 0, due + 2.7 * self.tr)?,
            ScanFault::Truncate | ScanFault::Cut => {
                let mut files = flavour.files(&image, 0)?;
                let last = files.pop();
                files.into_iter().for_each(|file| self.push(file, Part::Whole, false, due));
                if let Some((name, mut bytes)) = last {
                    let rest = bytes.split_off(bytes.len() / 2);
                    self.push((name.clone(), bytes), Part::Beginning, false, due);
                    if fault == ScanFault::Truncate {
                        self.push((name, rest), Part::Rest, false, due + 0.3 * self.tr);
                    }
                }
            }
            ScanFault::SecondSeries => {
                self.put(&image, 0, due)?;
                self.put(&Image { second: true, ..image }, 0, due + 0.1 * self.tr)?;
            }
            ScanFault::WrongDims => {
                let [nx, ny, nz] = whole.dims;
                let grid = Grid { dims: [nx, ny - 1, nz], ..whole.clone() };
                let rows = values.chunks(nx * ny).flat_map(|slice| slice.iter().take(nx * (ny - 1)));
                let cut: Vec<f64> = rows.copied().collect();
                self.put(&Image { grid: &grid, values: &cut, ..image }, 0, due)?;
            }
        }
        self.values = values;
        Ok(())
    }

    /// All files of a volume.
    fn put(&mut self, image: &Image, copy: u32, at: f64) -> Result<(), ScannerError> {
        for file in self.config.flavour.files(image, copy)? {
            self.push(file, Part::Whole, image.second, at);
        }
        Ok(())
    }

    fn push(&mut self, (name, bytes): (String, Vec<u8>), part: Part, second: bool, at: f64) {
        // Positive numbers sort as their bits do.
        self.queue.insert((at.to_bits(), self.written), Writing { at, name, bytes, part, second });
        self.written += 1;
    }
}

/// Slope and intercept that bring all values into 16 bits: exactly, where they are whole and fit.
fn range(recording: &Recording) -> Result<(f64, f64), ScannerError> {
    let (low, high, whole) = recording.range()?;
    if whole && low >= 0.0 && high <= f64::from(u16::MAX) {
        return Ok((1.0, 0.0));
    }
    // A decimal of sixteen characters is what DICOM writes.
    let short = |value: f64| format!("{value:.9e}").parse().unwrap_or(value);
    let (low, slope): (f64, f64) = (short(low), short((high - low).max(f64::MIN_POSITIVE) / 65_534.0));
    Ok(if whole && high - low <= f64::from(u16::MAX) { (1.0, low) } else { (slope, low) })
}

//! What does a recording play back? Files that stand in for a device, run after run.
//!
//! Every file of [`ReplayConfig::files`] is one run. The runs follow one another on one time base, `gap_between_runs`
//! apart; their events lie on the same one. [`ReplayConfig::open`] checks every header before the first sample is read.
//! Samples and events are then given in recording time as fast as they are asked for, or held back by [`Paced`].
//!
//! **Invariants.** The same files give the same blocks. No size in a file is believed before bytes of that size are
//! there. What is wrong in a file is told with its name and the line or byte.
//!
//! ```
//! use neurod::acquisition::{Pull, Source, file::ReplayConfig};
//! use neurod::frame::{Block, Instant};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let folder = tempfile::tempdir()?;
//! std::fs::write(folder.path().join("run1.tsv"), "insula\tM1\n1.0\t2.0\n3.0\tn/a\n")?;
//! let config: ReplayConfig = toml::from_str("files = [\"run1.tsv\"]\ntr = 2.0")?;
//! let mut recording = config.open(folder.path(), Instant::default())?;
//! let mut block = Block::new(recording.samples.spec());
//! assert_eq!(recording.samples.pull(&mut block, std::time::Duration::ZERO)?, Pull::Data);
//! assert_eq!((block.data(), block.arrived_at.seconds()), (&[1.0, 2.0][..], 2.0));
//! # Ok(())
//! # }
//! ```

mod corrected;
mod edf;
mod edf_header;
mod events;
mod input;
mod matrix;
mod nifti;
mod paced;
mod sentence;
mod source;
mod table;
mod tsv;
mod volumes;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::SourceError;
use crate::fmri::{Interpolation, RealignConfig};
use crate::frame::{BlockSpec, Instant, Unit};
use input::malformed;
use source::{RunReader, Shape};

pub(crate) use corrected::correction;
pub use events::FileEvents;
pub(crate) use events::read_events;
pub(crate) use nifti::{Images, Reduction, read_names};
pub use paced::{Paced, Speed};
pub use sentence::SentenceRule;
pub(crate) use sentence::Sentences;
pub(crate) use source::mask_non_finite;
pub use source::{FileSource, Recorded, RunTimes, Timetable};
pub(crate) use table::read_table;
pub(crate) use tsv::{Row as TsvRow, Tsv};
pub(crate) use volumes::{VolumeStream, Volumes};

/// Samples in a block of EEG, unless configured.
const EEG_BLOCK: usize = 32;
/// The most values a block may hold.
const BLOCK_CAP: usize = 1 << 26;

/// Files to play back. Paths are relative to the folder given to [`open`](ReplayConfig::open).
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct ReplayConfig {
    /// One file a run, in order. All must have the same columns and rate.
    pub files: Vec<PathBuf>,
    /// What the files are; by default told by their names: `.tsv`, `.csv`, `.txt`; `.nii`, `.nii.gz`; `.edf`, `.bdf`.
    pub format: Option<Format>,
    /// Seconds a volume takes: needed for a table of regions; for NIfTI the header's, unless set here.
    pub tr: Option<f64>,
    /// Samples a second of a table of EEG; by default told by a column `time`.
    pub rate: Option<f64>,
    /// What a table's or an image's values are counted in: by default `uV` for EEG, `a.u.` for fMRI. EDF says its own.
    pub unit: Option<Unit>,
    /// Whether a table's first line is a header; by default it is when it holds anything but numbers.
    pub header: Option<bool>,
    /// Columns (EDF: signals) that are left out, by name, e.g. a global signal.
    pub drop_columns: Vec<String>,
    /// The atlas of a NIfTI recording, in its space: a label image, or a 4D image with one map a region, whose weighted
    /// means are taken. Its regions become the columns.
    pub labels: Option<PathBuf>,
    /// The names of `labels`: a BIDS dseg.tsv with columns `index` and `name`; maps count from 1.
    pub label_names: Option<PathBuf>,
    /// Brings `labels` into the recording's space first: a text file with a 4×4 matrix from their mm to those of the
    /// recording (RAS).
    pub labels_affine: Option<PathBuf>,
    /// How `labels` on another grid are resampled, once: `"nearest"` (label images, by default) or `"linear"` (maps, by
    /// default).
    pub labels_interpolation: Option<Interpolation>,
    /// Instead of `labels`: an image whose non-zero voxels become the columns.
    pub mask: Option<PathBuf>,
    /// Moves every volume of a NIfTI recording back to where a reference lay, by default the first volume of the first
    /// file, before its regions are averaged.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub realign: Option<RealignConfig>,
    /// Smooths every volume of a NIfTI recording, after it was realigned: full width at half maximum in mm.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub smooth: Option<f64>,
    /// One BIDS events.tsv for each of `files`. Without it, EDF+ annotations are the events.
    pub events: Vec<PathBuf>,
    /// For each of `events`, what to take away from its onsets, in seconds: when the run began on the clock they count
    /// on. Empty: they count from the run's first sample, as BIDS has it.
    pub event_offset: Vec<f64>,
    /// Which sentence an event stands for. Empty: the column `text`, else `stimulus`, if there is one.
    pub sentences: Vec<SentenceRule>,
    /// Seconds between the end of one run and the start of the next; 10 by default.
    pub gap_between_runs: f64,
    /// `"max"` (the default), or how many times as fast as it was recorded.
    pub speed: Speed,
    /// Samples in a block: by default 1 volume, or 32 samples of EEG.
    pub block: Option<usize>,
}

impl Default for ReplayConfig {
    fn default() -> Self {
        Self {
            files: Vec::new(),
            format: None,
            tr: None,
            rate: None,
            unit: None,
            header: None,
            drop_columns: Vec::new(),
            labels: None,
            label_names: None,
            labels_affine: None,
            labels_interpolation: None,
            mask: None,
            realign: None,
            smooth: None,
            events: Vec::new(),
            event_offset: Vec::new(),
            sentences: Vec::new(),
            gap_between_runs: 10.0,
            speed: Speed::Max,
            block: None,
        }
    }
}

/// What a file is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Format {
    /// A table of numbers, one row a sample.
    Table,
    /// NIfTI-1, 4D.
    Nifti,
    /// EDF or EDF+.
    Edf,
    /// BDF or BDF+.
    Bdf,
}

/// A recording, opened.
pub struct Recording {
    /// Its samples.
    pub samples: FileSource,
    /// Its events; `None` where it has none.
    pub events: Option<FileEvents>,
    /// When its runs take place; both keep to it.
    pub timetable: Arc<Timetable>,
    /// Every file that went into it: what a session's id is made from.
    pub inputs: Vec<PathBuf>,
    /// Seconds between the end of one run and the start of the next.
    pause: f64,
}

/// Lays recordings side by side, each first file at the origin it was opened with: file `k` of all of them begins when
/// file `k − 1` of each has ended, and its pause is over. So the runs of one source are those of another, and what was
/// recorded together stays together, whichever device recorded longer.
pub fn side_by_side<'a>(recordings: impl IntoIterator<Item = &'a mut Recording>) {
    let mut recordings: Vec<&mut Recording> = recordings.into_iter().collect();
    let count = recordings.iter().map(|r| r.timetable.runs.len()).max().unwrap_or(0);
    for run in 1..count {
        let ready = recordings.iter().filter_map(|r| Some(r.timetable.runs.get(run - 1)?.end() + r.pause));
        let start = ready.reduce(|a, b| if b > a { b } else { a }).unwrap_or_default();
        for recording in &mut recordings {
            recording.begin_run_at(run, start);
        }
    }
}

impl Recording {
    /// Moves run `run` to `start`, its events with it.
    fn begin_run_at(&mut self, run: usize, start: Instant) {
        let mut timetable = Timetable::clone(&self.timetable);
        let Some(times) = timetable.runs.get_mut(run) else { return };
        let later = start - times.start;
        times.start = start;
        self.timetable = Arc::new(timetable);
        self.samples.lay(Arc::clone(&self.timetable));
        if let Some(events) = &mut self.events {
            events.delay(run as u32, later);
        }
    }
}

/// One run on disk, its header read.
trait RunFile: Send {
    /// Where it is.
    fn path(&self) -> &Path;
    /// What it holds.
    fn shape(&self) -> &Shape;
    /// Opens it before sample `from`.
    fn reader(&self, from: u64) -> Result<Box<dyn RunReader>, SourceError>;
}

impl ReplayConfig {
    /// Reads the headers of all files and all of the events. The first sample of the first run lies at `origin`.
    ///
    /// # Errors
    /// A setting that makes no sense; a file that is missing or malformed; files of different columns or rate.
    pub fn open(&self, base: &Path, origin: Instant) -> Result<Recording, SourceError> {
        self.validate()?;
        let files = self.open_files(base)?;
        let Some(first) = files.first() else { return Err(config("files: name at least one recording")) };
        for file in &files {
            same_shape(file.as_ref(), first.as_ref())?;
        }
        let Shape { channels, period, .. } = first.shape();
        let volumes = *period >= 0.1 || self.realign.is_some();
        let block = self.block.unwrap_or(if volumes { 1 } else { EEG_BLOCK });
        if block.saturating_mul(channels.len()) > BLOCK_CAP {
            return Err(config(format!("block: {block} samples of {} channels are too many", channels.len())));
        }
        let spec = BlockSpec::new(channels.clone(), 1.0 / period, block);
        let runs = files.iter().map(|f| (f.shape().samples, f.shape().period));
        let timetable = Arc::new(Timetable::new(origin, self.gap_between_runs, runs));
        let events = self.open_events(base, &files, &timetable)?;
        let mut inputs: Vec<PathBuf> = files.iter().map(|f| f.path().to_path_buf()).collect();
        let images = [&self.labels, &self.label_names, &self.labels_affine, &self.mask];
        let reference = self.realign.as_ref().and_then(|realign| realign.reference.as_ref());
        inputs.extend(images.into_iter().flatten().chain(reference).map(|p| base.join(p)));
        inputs.extend(events.iter().flat_map(|e| e.files().iter().cloned()));
        let samples = FileSource::new(spec, files, timetable.clone());
        Ok(Recording { samples, events, timetable, inputs, pause: self.gap_between_runs })
    }

    fn open_files(&self, base: &Path) -> Result<Vec<Box<dyn RunFile>>, SourceError> {
        let (mut reduction, mut corrected) = (None, None);
        let mut files: Vec<Box<dyn RunFile>> = Vec::with_capacity(self.files.len());
        for name in &self.files {
            let path = base.join(name);
            let format = self.format_of(name)?;
            self.check_meaning(name, format)?;
            files.push(match format {
                Format::Table => Box::new(table::TableFile::open(&path, self)?),
                Format::Edf | Format::Bdf => Box::new(edf::EdfFile::open(&path, self)?),
                Format::Nifti => {
                    let shared = match reduction.take() {
                        Some(shared) => shared,
                        None => Reduction::load(self.images_of_volumes(), base)?,
                    };
                    Box::new(nifti::NiftiFile::open(&path, self, reduction.insert(shared), base, &mut corrected)?)
                }
            });
        }
        Ok(files)
    }

    fn images_of_volumes(&self) -> Images<'_> {
        Images {
            labels: self.labels.as_deref(),
            label_names: self.label_names.as_deref(),
            affine: self.labels_affine.as_deref(),
            interpolation: self.labels_interpolation,
            mask: self.mask.as_deref(),
            unit: self.unit,
        }
    }

    fn format_of(&self, path: &Path) -> Result<Format, SourceError> {
        if let Some(format) = self.format {
            return Ok(format);
        }
        let name = path.to_string_lossy().to_lowercase();
        let is = |endings: &[&str]| endings.iter().any(|e| name.ends_with(e));
        match () {
            () if is(&[".tsv", ".csv", ".txt"]) => Ok(Format::Table),
            () if is(&[".nii", ".nii.gz"]) => Ok(Format::Nifti),
            () if is(&[".edf"]) => Ok(Format::Edf),
            () if is(&[".bdf"]) => Ok(Format::Bdf),
            () => Err(config(format!(
                "{}: its name does not tell what it is (set `format` to \"table\", \"nifti\", \"edf\" or \"bdf\")",
                path.display()
            ))),
        }
    }

    /// A setting that a file of this format would pass over in silence is a mistake.
    fn check_meaning(&self, path: &Path, format: Format) -> Result<(), SourceError> {
        let (table, nifti) = (format == Format::Table, format == Format::Nifti);
        for (key, set, meant, where_meant) in [
            ("tr", self.tr.is_some(), table || nifti, "tables and NIfTI"),
            ("rate", self.rate.is_some(), table, "tables"),
            ("unit", self.unit.is_some(), table || nifti, "tables and NIfTI"),
            ("header", self.header.is_some(), table, "tables"),
            ("drop_columns", !self.drop_columns.is_empty(), !nifti, "tables and EDF"),
            ("labels", self.labels.is_some(), nifti, "NIfTI"),
            ("label_names", self.label_names.is_some(), nifti, "NIfTI"),
            ("labels_affine", self.labels_affine.is_some(), nifti, "NIfTI"),
            ("labels_interpolation", self.labels_interpolation.is_some(), nifti, "NIfTI"),
            ("mask", self.mask.is_some(), nifti, "NIfTI"),
            ("realign", self.realign.is_some(), nifti, "NIfTI"),
            ("smooth", self.smooth.is_some(), nifti, "NIfTI"),
        ] {
            if set && !meant {
                return Err(config(format!("{key}: means nothing for {} (only for {where_meant})", path.display())));
            }
        }
        Ok(())
    }

    fn open_events(
        &self,
        base: &Path,
        files: &[Box<dyn RunFile>],
        timetable: &Arc<Timetable>,
    ) -> Result<Option<FileEvents>, SourceError> {
        let mut runs = Vec::with_capacity(files.len());
        let mut paths = Vec::new();
        if self.events.is_empty() {
            runs.extend(files.iter().map(|f| f.shape().events.clone()));
            if runs.iter().all(Vec::is_empty) {
                return Ok(None);
            }
        }
        for (run, (path, times)) in self.events.iter().zip(&timetable.runs).enumerate() {
            let path = base.join(path);
            let offset = self.event_offset.get(run).copied().unwrap_or(0.0);
            runs.push(read_events(&path, offset, &self.sentences, times.end() - times.start)?);
            paths.push(path);
        }
        Ok(Some(FileEvents::new(timetable, runs, paths)))
    }

    fn validate(&self) -> Result<(), SourceError> {
        let positive = |key: &str, value: Option<f64>| match value {
            Some(v) if !(v > 0.0 && v.is_finite()) => Err(config(format!("{key}: {v} is not above 0"))),
            _ => Ok(()),
        };
        positive("tr", self.tr)?;
        positive("rate", self.rate)?;
        if self.files.is_empty() {
            return Err(config("files: name at least one recording"));
        }
        if self.events.is_empty() && !self.sentences.is_empty() {
            return Err(config("sentences: there are no `events` to apply them to"));
        }
        if self.tr.is_some() && self.rate.is_some() {
            return Err(config("set `tr` (fMRI) or `rate` (EEG), not both"));
        }
        let (files, events, offsets) = (self.files.len(), self.events.len(), self.event_offset.len());
        if events > 0 && events != files {
            return Err(config(format!("events: {events} files for {files} recordings (one for each, in order)")));
        }
        if offsets > 0 && (offsets != events || self.event_offset.iter().any(|o| !o.is_finite())) {
            return Err(config(format!(
                "event_offset: {offsets} numbers for {events} `events` (one finite number for each)"
            )));
        }
        if !(self.gap_between_runs >= 0.0 && self.gap_between_runs.is_finite()) {
            return Err(config(format!("gap_between_runs: {} is not 0 or more", self.gap_between_runs)));
        }
        if self.block == Some(0) {
            return Err(config("block: a block holds at least 1 sample"));
        }
        if let (Some(_), Some(2..)) = (&self.realign, self.block) {
            return Err(config("block: volumes that are realigned come one a block (leave `block` out)"));
        }
        Ok(())
    }
}

fn same_shape(file: &dyn RunFile, first: &dyn RunFile) -> Result<(), SourceError> {
    let (here, there) = (file.shape(), first.shape());
    let difference = if here.channels.len() != there.channels.len() {
        format!("{} columns where {} has {}", here.channels.len(), first.path().display(), there.channels.len())
    } else if let Some(i) = (0..here.channels.len()).find(|i| here.channels.get(*i) != there.channels.get(*i)) {
        let of =
            |s: &Shape| s.channels.get(i).map(|c| format!("\"{}\" [{}]", c.name, c.unit.as_str())).unwrap_or_default();
        format!("column {} is {} where {} has {}", i + 1, of(here), first.path().display(), of(there))
    } else if ((here.period - there.period) / there.period).abs() > 1e-6 {
        format!("{} s a sample where {} has {} s", here.period, first.path().display(), there.period)
    } else {
        return Ok(());
    };
    Err(malformed(
        file.path(),
        "header",
        format!("{difference} (all files of one source need the same columns and rate)"),
    ))
}

fn config(problem: impl Into<String>) -> SourceError {
    SourceError::Config(format!("replay: {}", problem.into()))
}

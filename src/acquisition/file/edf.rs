//! How is EEG read from EDF, EDF+ and BDF? Header, scaling, annotations, one data record at a time.
//!
//! Kemp and Olivan 2003, Clin Neurophysiol 114:1755 (EDF+); BDF is the same with 24-bit samples. Values come out in µV
//! where the file's dimension is a voltage. All signals must have one sampling rate; name others in `drop_columns`. The
//! `Status` channel of BDF is no signal and is left out. EDF+D is read when nothing is missing between its records.

use std::fs::File;
use std::path::{Path, PathBuf};

use super::edf_header::{Field, Header, RECORD_CAP, slice, take};
use super::input::{at_byte, io, shown};
use super::source::{RunReader, Shape};
use super::{ReplayConfig, RunFile};
use crate::acquisition::SourceError;
use crate::frame::{Block, Channel, Event, Instant, Unit, unique_names};

/// A recording whose header has been understood and checked against the file's length.
pub(super) struct EdfFile {
    path: PathBuf,
    layout: Layout,
    shape: Shape,
}

#[derive(Clone)]
struct Layout {
    header_bytes: u64,
    record_bytes: usize,
    /// Bytes of one sample: 2 in EDF, 3 in BDF.
    width: usize,
    /// Samples of one channel in one record.
    per_record: usize,
    /// The signals that become channels: where each lies in a record, and how its numbers become values.
    signals: Vec<Signal>,
}

#[derive(Clone)]
struct Signal {
    offset: usize,
    gain: f64,
    bias: f64,
}

impl EdfFile {
    /// Reads the header and the annotations.
    ///
    /// # Errors
    /// By byte: a header that is none, numbers in it that make no sense, a file shorter than it says, a hole between
    /// records, signals of different rates.
    pub(super) fn open(path: &Path, config: &ReplayConfig) -> Result<Self, SourceError> {
        let mut file = File::open(path).map_err(|e| io(path, e))?;
        let length = file.metadata().map_err(|e| io(path, e))?.len();
        let head = Header::read(path, &mut file)?;
        let width = if head.bdf { 3 } else { 2 };
        let record_samples: usize = head.fields.iter().map(|f| f.samples).sum();
        let record_bytes = (record_samples * width) as u64;
        if record_bytes > RECORD_CAP {
            return Err(at_byte(
                path,
                236,
                format!("a data record of {record_bytes} bytes (at most {RECORD_CAP} are read)"),
            ));
        }
        let data_bytes = length.saturating_sub(head.bytes);
        // −1 says that the recording was not closed; what is there counts.
        let records = head.records.unwrap_or(data_bytes / record_bytes.max(1));
        let needed = records.saturating_mul(record_bytes).saturating_add(head.bytes);
        if length < needed {
            return Err(at_byte(
                path,
                length,
                format!(
                    "the file ends here, its header promises {records} data records, {needed} bytes (copy it again)"
                ),
            ));
        }
        if records == 0 {
            return Err(at_byte(path, 236, "no data records"));
        }
        let (layout, channels) = Layout::new(&head, path, record_bytes as usize, width, config)?;
        let events = annotations(path, &mut file, &head, &layout, records)?;
        let shape = Shape {
            channels: channels.into(),
            period: head.duration / layout.per_record as f64,
            samples: records.saturating_mul(layout.per_record as u64),
            events,
        };
        Ok(Self { path: path.into(), layout, shape })
    }
}

impl Layout {
    /// Which signals become channels, and how.
    fn new(
        head: &Header,
        path: &Path,
        record_bytes: usize,
        width: usize,
        config: &ReplayConfig,
    ) -> Result<(Self, Vec<Channel>), SourceError> {
        let names: Vec<String> = head.fields.iter().map(|f| name_and_kind(&f.label).0).collect();
        let dropped = |i: usize, f: &Field| {
            let named = |d: &String| *d == f.label || names.get(i).is_some_and(|n| n == d);
            f.is_annotations() || (head.bdf && f.label == "Status") || config.drop_columns.iter().any(named)
        };
        if let Some(missing) =
            config.drop_columns.iter().find(|d| !head.fields.iter().any(|f| f.label == **d) && !names.contains(d))
        {
            return Err(at_byte(
                path,
                256,
                format!("drop_columns: no signal \"{}\" (there are: {})", shown(missing), names.join(", ")),
            ));
        }
        let mut offset = 0;
        let mut kept: Vec<(usize, &Field, usize)> = Vec::new();
        for (i, field) in head.fields.iter().enumerate() {
            if !dropped(i, field) {
                kept.push((i, field, offset));
            }
            offset += field.samples * width;
        }
        let Some((_, first, _)) = kept.first() else {
            return Err(at_byte(path, 256, "no signal is left to be a channel"));
        };
        let per_record = first.samples;
        let rate = |f: &Field| f.samples as f64 / head.duration;
        if let Some((i, other, _)) = kept.iter().find(|(_, f, _)| f.samples != per_record) {
            let problem = format!(
                "\"{}\" has {} samples a second and \"{}\" has {} (one source has one rate: name the others in drop_columns)",
                shown(&first.label),
                rate(first),
                shown(&other.label),
                rate(other)
            );
            return Err(at_byte(path, 256 + (216 * head.fields.len() + i * 8) as u64, problem));
        }
        let mut signals = Vec::with_capacity(kept.len());
        let mut channels = Vec::with_capacity(kept.len());
        let unique = unique_names(kept.iter().map(|(_, f, _)| name_and_kind(&f.label).0));
        for ((i, field, offset), name) in kept.into_iter().zip(unique) {
            let (factor, unit) = to_microvolt(&field.dimension);
            let [low, high] = field.physical;
            let [from, to] = field.digital;
            let at = 256 + (120 * head.fields.len() + i * 8) as u64;
            if from >= to {
                return Err(at_byte(
                    path,
                    at,
                    format!("\"{}\": digital minimum {from} is not below maximum {to}", shown(&field.label)),
                ));
            }
            if low == high {
                return Err(at_byte(
                    path,
                    at,
                    format!("\"{}\": physical minimum and maximum are both {low}", shown(&field.label)),
                ));
            }
            let gain = (high - low) / (to - from);
            signals.push(Signal { offset, gain: gain * factor, bias: (low - gain * from) * factor });
            channels.push(Channel::new(name, name_and_kind(&field.label).1, unit));
        }
        Ok((Self { header_bytes: head.bytes, record_bytes, width, per_record, signals }, channels))
    }
}

/// Reads the annotation signals of every record; checks that the records follow one another.
fn annotations(
    path: &Path,
    file: &mut File,
    head: &Header,
    layout: &Layout,
    records: u64,
) -> Result<Vec<Event>, SourceError> {
    let mut events = Vec::new();
    let mut origin = None;
    for record in 0..records {
        let mut offset = 0u64;
        let mut first = true;
        for field in &head.fields {
            let len = field.samples * layout.width;
            if field.is_annotations() {
                let at = layout.header_bytes + record * layout.record_bytes as u64 + offset;
                let bytes = take(path, file, at, len)?;
                let mut lists = bytes.split(|b| *b == 0).filter(|t| !t.is_empty());
                if std::mem::take(&mut first)
                    && let Some(list) = lists.next()
                {
                    // The first list of a record keeps its time.
                    let (onset, _, texts) = time_stamped(path, at, list)?;
                    let began = *origin.get_or_insert(onset);
                    let due = began + record as f64 * head.duration;
                    if (onset - due).abs() > 0.5 * head.duration / layout.per_record as f64 {
                        return Err(at_byte(
                            path,
                            at,
                            format!(
                                "record {record} begins at {onset} s where {due} s was due (a discontinuous recording: export each stretch as a file)"
                            ),
                        ));
                    }
                    push(&mut events, onset - began, 0.0, &texts);
                }
                for list in lists {
                    let (onset, duration, texts) = time_stamped(path, at, list)?;
                    push(&mut events, onset - origin.unwrap_or(0.0), duration, &texts);
                }
            }
            offset += len as u64;
        }
        if origin.is_none() {
            break;
        }
    }
    Ok(events)
}

fn push(events: &mut Vec<Event>, onset: f64, duration: f64, texts: &[String]) {
    for label in texts.iter().filter(|t| !t.is_empty()) {
        let onset = Instant::from_seconds(onset);
        events.push(Event { onset, duration, label: label.clone(), text: None, ..Event::default() });
    }
}

/// One time-stamped annotation list: `+12.5[0x15 3]0x14 text 0x14 …`.
fn time_stamped(path: &Path, at: u64, list: &[u8]) -> Result<(f64, f64, Vec<String>), SourceError> {
    let wrong =
        || at_byte(path, at, format!("\"{}\" is not an EDF+ annotation", shown(&String::from_utf8_lossy(list))));
    let mut parts = list.split(|b| *b == 0x14);
    let mut times = parts.next().unwrap_or_default().split(|b| *b == 0x15).map(|t| {
        let value: f64 = String::from_utf8_lossy(t).trim().parse().map_err(|_| wrong())?;
        if value.is_finite() { Ok(value) } else { Err(wrong()) }
    });
    let onset = times.next().ok_or_else(wrong)??;
    let duration = times.next().transpose()?.unwrap_or(0.0).max(0.0);
    drop(times);
    Ok((onset, duration, parts.map(|t| String::from_utf8_lossy(t).into_owned()).collect()))
}

/// EDF+ writes the kind before the name: `EEG Fpz-Cz`. A label without a kind is EEG.
fn name_and_kind(label: &str) -> (String, &'static str) {
    const KINDS: [&str; 8] = ["EEG", "EOG", "ECG", "EMG", "MEG", "MISC", "RESP", "TRIG"];
    match label.split_once(' ') {
        Some((kind, name)) => match KINDS.into_iter().find(|k| *k == kind) {
            Some(kind) => (name.trim().to_string(), kind),
            None => (label.to_string(), "EEG"),
        },
        None => (label.to_string(), "EEG"),
    }
}

/// What to multiply a value of this dimension by for µV; other dimensions stay as they are.
fn to_microvolt(dimension: &str) -> (f64, Unit) {
    match dimension {
        "uV" | "µV" | "μV" => (1.0, Unit::Microvolt),
        "nV" => (1e-3, Unit::Microvolt),
        "mV" => (1e3, Unit::Microvolt),
        "V" => (1e6, Unit::Microvolt),
        _ => (1.0, Unit::Arbitrary),
    }
}

impl RunFile for EdfFile {
    fn path(&self) -> &Path {
        &self.path
    }

    fn shape(&self) -> &Shape {
        &self.shape
    }

    fn reader(&self, from: u64) -> Result<Box<dyn RunReader>, SourceError> {
        let file = File::open(&self.path).map_err(|e| io(&self.path, e))?;
        let per_record = self.layout.per_record as u64;
        Ok(Box::new(EdfReader {
            path: self.path.clone(),
            file,
            layout: self.layout.clone(),
            record: from / per_record,
            within: (from % per_record) as usize,
            bytes: Vec::new(),
            row: vec![0.0; self.layout.signals.len()],
            left: self.shape.samples.saturating_sub(from),
        }))
    }
}

/// Holds one data record at a time.
struct EdfReader {
    path: PathBuf,
    file: File,
    layout: Layout,
    /// The next sample: its record, and its place therein.
    record: u64,
    within: usize,
    /// The record, once read.
    bytes: Vec<u8>,
    row: Vec<f64>,
    left: u64,
}

impl RunReader for EdfReader {
    fn read(&mut self, into: &mut Block) -> Result<(), SourceError> {
        let width = self.layout.width;
        while self.left > 0 && into.len() < into.capacity() {
            if self.bytes.is_empty() {
                let at = self.layout.header_bytes + self.record * self.layout.record_bytes as u64;
                self.bytes = take(&self.path, &mut self.file, at, self.layout.record_bytes)?;
            }
            for (value, signal) in self.row.iter_mut().zip(&self.layout.signals) {
                let raw = match slice(&self.bytes, signal.offset + self.within * width, width) {
                    [a, b] => f64::from(i16::from_le_bytes([*a, *b])),
                    // 24 bits: shifted up and back for the sign.
                    [a, b, c] => f64::from(i32::from_le_bytes([0, *a, *b, *c]) >> 8),
                    _ => f64::NAN,
                };
                *value = raw * signal.gain + signal.bias;
            }
            into.push(&self.row);
            self.left -= 1;
            self.within += 1;
            if self.within == self.layout.per_record {
                self.within = 0;
                self.record += 1;
                self.bytes.clear();
            }
        }
        Ok(())
    }
}

//! What does an EDF or BDF header say? Checked number by number, before anything of its size is read.

use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::path::Path;

use super::input::{at_byte, io, shown};
use crate::acquisition::SourceError;

/// The most signals a header may announce.
const SIGNALS_CAP: usize = 4096;
/// The most bytes one data record may have.
pub(super) const RECORD_CAP: u64 = 64 << 20;

/// What the first bytes of the file say.
pub(super) struct Header {
    pub(super) bdf: bool,
    /// Seconds in one data record.
    pub(super) duration: f64,
    /// Data records, where known.
    pub(super) records: Option<u64>,
    pub(super) bytes: u64,
    pub(super) fields: Vec<Field>,
}

impl Header {
    /// Reads both parts of the header.
    ///
    /// # Errors
    /// By byte, what is no number or makes no sense.
    pub(super) fn read(path: &Path, file: &mut File) -> Result<Self, SourceError> {
        let main = take(path, file, 0, 256)?;
        let bdf = main.starts_with(b"\xffBIOSEMI");
        if !bdf && !main.starts_with(b"0       ") {
            return Err(at_byte(path, 0, "neither an EDF nor a BDF header (set `format`, or mend the file)"));
        }
        let number = |at: usize, len: usize, what: &str| number(path, &main, 0, at, len, what);
        let count = number(252, 4, "number of signals")?;
        if !(1.0..=SIGNALS_CAP as f64).contains(&count) || count.fract() != 0.0 {
            return Err(at_byte(path, 252, format!("{count} signals (1 to {SIGNALS_CAP} are read)")));
        }
        let count = count as usize;
        let bytes = 256 * (count as u64 + 1);
        let said = number(184, 8, "number of header bytes")?;
        if said != bytes as f64 {
            return Err(at_byte(path, 184, format!("{said} header bytes, where {count} signals need {bytes}")));
        }
        let records = number(236, 8, "number of data records")?;
        if records.fract() != 0.0 || !(-1.0..=1e9).contains(&records) {
            return Err(at_byte(path, 236, format!("{records} data records")));
        }
        let duration = number(244, 8, "duration of a data record")?;
        if !(duration > 0.0 && duration <= 1e6) {
            return Err(at_byte(path, 244, format!("data records of {duration} s hold no regular samples")));
        }
        let fields = Self::fields(path, &take(path, file, 256, 256 * count)?, count)?;
        Ok(Self { bdf, duration, records: (records >= 0.0).then_some(records as u64), bytes, fields })
    }

    /// The second part of the header is column-wise: all labels, then all transducers, …
    fn fields(path: &Path, bytes: &[u8], count: usize) -> Result<Vec<Field>, SourceError> {
        let mut fields = Vec::with_capacity(count);
        for i in 0..count {
            let text = |start: usize, len: usize| latin(slice(bytes, start * count + i * len, len));
            let value = |start: usize, what| number(path, bytes, 256, start * count + i * 8, 8, what);
            let samples_at = (216 * count + i * 8) as u64 + 256;
            let samples = value(216, "number of samples in a record")?;
            if samples.fract() != 0.0 || !(1.0..=RECORD_CAP as f64).contains(&samples) {
                return Err(at_byte(path, samples_at, format!("{samples} samples in a record")));
            }
            fields.push(Field {
                label: text(0, 16),
                dimension: text(96, 8),
                physical: [value(104, "physical minimum")?, value(112, "physical maximum")?],
                digital: [value(120, "digital minimum")?, value(128, "digital maximum")?],
                samples: samples as usize,
            });
        }
        Ok(fields)
    }
}

/// One signal's part of the header.
pub(super) struct Field {
    pub(super) label: String,
    pub(super) dimension: String,
    pub(super) physical: [f64; 2],
    pub(super) digital: [f64; 2],
    pub(super) samples: usize,
}

impl Field {
    /// Whether it holds EDF+ annotations and no samples.
    pub(super) fn is_annotations(&self) -> bool {
        self.label == "EDF Annotations" || self.label == "BDF Annotations"
    }
}

/// `len` bytes at `at`; none where there are not so many.
pub(super) fn slice(bytes: &[u8], at: usize, len: usize) -> &[u8] {
    bytes.get(at..at.saturating_add(len)).unwrap_or_default()
}

/// Latin-1, as old files have it for µ; without the padding.
fn latin(bytes: &[u8]) -> String {
    bytes.iter().map(|b| char::from(*b)).collect::<String>().trim_matches([' ', '\0']).to_string()
}

fn number(path: &Path, bytes: &[u8], base: u64, at: usize, len: usize, what: &str) -> Result<f64, SourceError> {
    let text = latin(slice(bytes, at, len));
    text.parse()
        .ok()
        .filter(|v: &f64| v.is_finite())
        .ok_or_else(|| at_byte(path, base + at as u64, format!("{what}: \"{}\" is not a number", shown(&text))))
}

/// `len` bytes at `at`; memory grows only as bytes come.
pub(super) fn take(path: &Path, file: &mut File, at: u64, len: usize) -> Result<Vec<u8>, SourceError> {
    file.seek(SeekFrom::Start(at)).map_err(|e| io(path, e))?;
    let mut bytes = Vec::new();
    file.take(len as u64).read_to_end(&mut bytes).map_err(|e| io(path, e))?;
    if bytes.len() < len {
        return Err(at_byte(path, at + bytes.len() as u64, "the file ends here (copy it again)"));
    }
    Ok(bytes)
}

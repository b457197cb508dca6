//! How are untrusted files read? With a cap on every size, and an error that names the file and the place.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::acquisition::SourceError;

/// The most a text file may hold: an hour of 64-channel EEG as CSV is near it, and belongs in EDF.
pub(super) const TABLE_CAP: u64 = 1 << 30;
/// The most an events.tsv or a label list may hold.
pub(super) const LIST_CAP: u64 = 64 << 20;

/// What the system said about `path`.
pub(super) fn io(path: &Path, error: std::io::Error) -> SourceError {
    SourceError::Io { path: path.display().to_string(), error }
}

/// What is wrong with `path` at `place`, and the mend.
pub(super) fn malformed(path: &Path, place: impl Into<String>, problem: impl Into<String>) -> SourceError {
    SourceError::Malformed { path: path.display().to_string(), place: place.into(), problem: problem.into() }
}

/// As [`malformed`], at a line counted from 1.
pub(super) fn at_line(path: &Path, line: usize, problem: impl Into<String>) -> SourceError {
    malformed(path, format!("line {line}"), problem)
}

/// As [`malformed`], at a byte counted from 0.
pub(super) fn at_byte(path: &Path, byte: u64, problem: impl Into<String>) -> SourceError {
    malformed(path, format!("byte {byte:#x}"), problem)
}

/// As [`at_byte`], where a file ends before what it promises.
pub(super) fn short(path: &Path, byte: u64, problem: impl Into<String>) -> SourceError {
    SourceError::Short { path: path.display().to_string(), place: format!("byte {byte:#x}"), problem: problem.into() }
}

/// The whole of a UTF-8 text file of at most `cap` bytes, without its byte-order mark.
///
/// # Errors
/// Missing, larger than `cap`, not UTF-8, or with a NUL byte in it, which no text has.
pub(super) fn read_text(path: &Path, cap: u64) -> Result<String, SourceError> {
    let file = File::open(path).map_err(|e| io(path, e))?;
    let mut bytes = Vec::new();
    // One byte past the cap tells a file that is too large from one that just fits; a file may also be a pipe.
    file.take(cap + 1).read_to_end(&mut bytes).map_err(|e| io(path, e))?;
    if bytes.len() as u64 > cap {
        return Err(at_byte(path, cap, format!("larger than {cap} bytes (cut it, or convert it to EDF or NIfTI)")));
    }
    if let Some(at) = bytes.iter().position(|b| *b == 0) {
        return Err(at_byte(path, at as u64, "a NUL byte: this is not a text file (set `format`, or mend the file)"));
    }
    let text = String::from_utf8(bytes)
        .map_err(|e| at_byte(path, e.utf8_error().valid_up_to() as u64, "not UTF-8 (save the file as UTF-8)"))?;
    Ok(text.strip_prefix('\u{feff}').map(String::from).unwrap_or(text))
}

/// A name as it may stand in a message: short, and without control characters.
pub(super) fn shown(text: &str) -> String {
    let mut out: String = text.chars().take(40).flat_map(char::escape_debug).collect();
    if text.chars().nth(40).is_some() {
        out.push('…');
    }
    out
}

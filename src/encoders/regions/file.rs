//! What is in a file of regions? Matrices of NumPy: a `.npy`, or several in a `.npz`, which is a zip archive.
//!
//! Files come from elsewhere: every length is held against the bytes that are there before anything is allocated by it,
//! and what an archive unpacks to is bounded. Formats: NEP 1 (npy 1 to 3), PKWARE's APPNOTE 4.3 (stored and deflated).

use std::io::Read;
use std::path::Path;

use flate2::read::DeflateDecoder;

use super::RegionsError;
use crate::encoders::EncoderError;
use crate::encoders::manifest::read_capped;
use crate::frame::{PictureRegions, Rows};

/// The largest file of regions, and the most that one array in an archive may unpack to, in bytes.
pub const MAX_REGIONS_BYTES: u64 = 64 << 20;

fn wrong(path: &Path, problem: &str) -> RegionsError {
    RegionsError::File { problem: format!("{}: {problem}", path.display()) }
}

/// Features, and boxes if there are any.
pub(super) fn read(features: &Path, boxes: Option<&Path>) -> Result<PictureRegions, RegionsError> {
    let bytes = contents(features)?;
    if bytes.starts_with(b"PK") {
        if boxes.is_some() {
            return Err(wrong(features, "an archive holds its boxes; leave the column boxes empty"));
        }
        let array = |name: &str| member(&bytes, name).map_err(|problem| wrong(features, problem));
        let found = array("features.npy")?.ok_or_else(|| wrong(features, "has no array \"features\""))?;
        let boxes = array("boxes.npy")?.map(|bytes| matrix(&bytes)).transpose();
        let parsed = matrix(&found).and_then(|features| Ok(PictureRegions { features, boxes: boxes? }));
        return parsed.map_err(|problem| wrong(features, problem));
    }
    let features = matrix(&bytes).map_err(|problem| wrong(features, problem))?;
    let read = |path: &Path| matrix(&contents(path)?).map_err(|problem| wrong(path, problem));
    Ok(PictureRegions { features, boxes: boxes.map(read).transpose()? })
}

fn contents(path: &Path) -> Result<Vec<u8>, RegionsError> {
    read_capped(path, MAX_REGIONS_BYTES).map_err(|error| match error {
        EncoderError::Missing { path } => wrong(&path, "there is no such file"),
        EncoderError::TooLarge { path, bytes, limit } => wrong(&path, &format!("{bytes} bytes; the limit is {limit}")),
        other => RegionsError::File { problem: other.to_string() },
    })
}

fn number<const N: usize>(bytes: &[u8], at: usize) -> Option<usize> {
    let field = bytes.get(at..at.checked_add(N)?)?;
    Some(field.iter().rev().fold(0, |sum, byte| sum << 8 | usize::from(*byte)))
}

/// A matrix in NumPy's own format.
fn matrix(bytes: &[u8]) -> Result<Rows, &'static str> {
    const DAMAGED: &str = "no array of NumPy, or not all of one (save it again with numpy.save)";
    if !bytes.starts_with(b"\x93NUMPY") {
        return Err(DAMAGED);
    }
    let (length, from) = match bytes.get(6) {
        Some(1) => (number::<2>(bytes, 8), 10),
        _ => (number::<4>(bytes, 8), 12),
    };
    let end = length.and_then(|length| length.checked_add(from)).ok_or(DAMAGED)?;
    let header = String::from_utf8_lossy(bytes.get(from..end).ok_or(DAMAGED)?).into_owned();
    let field = |name: &str| header.split_once(&format!("'{name}':")).map(|(_, rest)| rest.trim_start());
    let size = match field("descr") {
        Some(kind) if kind.starts_with("'<f4'") => 4,
        Some(kind) if kind.starts_with("'<f8'") => 8,
        _ => return Err("no array of float32 or float64 (convert it with astype(\"float32\"))"),
    };
    if !field("fortran_order").is_some_and(|order| order.starts_with("False")) {
        return Err("column by column (save it again after numpy.ascontiguousarray)");
    }
    let shape = field("shape").and_then(|rest| rest.strip_prefix('(')?.split_once(')')).ok_or(DAMAGED)?.0;
    let lengths: Vec<usize> = shape.split(',').filter_map(|length| length.trim().parse().ok()).collect();
    let [rows, width] = lengths.as_slice() else { return Err("no matrix (regions × values of each)") };
    let data = bytes.get(end..).unwrap_or_default();
    if rows.checked_mul(*width).and_then(|values| values.checked_mul(size)) != Some(data.len()) {
        return Err(DAMAGED);
    }
    let values = match size {
        4 => data.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value)).collect(),
        _ => data.as_chunks::<8>().0.iter().map(|value| f64::from_le_bytes(*value) as f32).collect(),
    };
    Rows::new(*rows, *width, values).ok_or(DAMAGED)
}

/// One file in a zip archive, if it is there.
fn member(archive: &[u8], name: &str) -> Result<Option<Vec<u8>>, &'static str> {
    const DAMAGED: &str = "a damaged archive (save it again with numpy.savez)";
    // The record at the end, before a comment, says where the directory begins.
    let end = archive.windows(4).rposition(|four| four == b"PK\x05\x06").ok_or(DAMAGED)?;
    let entries = number::<2>(archive, end + 10).ok_or(DAMAGED)?;
    let mut at = number::<4>(archive, end + 16).ok_or(DAMAGED)?;
    for _ in 0..entries {
        let entry = archive.get(at..).filter(|entry| entry.starts_with(b"PK\x01\x02")).ok_or(DAMAGED)?;
        let field = |at| number::<2>(entry, at).ok_or(DAMAGED);
        let (length, extra, comment) = (field(28)?, field(30)?, field(32)?);
        if entry.get(46..46 + length) == Some(name.as_bytes()) {
            return unpacked(archive, entry, field(10)?).ok_or(DAMAGED).map(Some);
        }
        at += 46 + length + extra + comment;
    }
    Ok(None)
}

/// What an entry of the directory stands for: stored (method 0) or deflated (8), of just the size and sum it says.
fn unpacked(archive: &[u8], entry: &[u8], method: usize) -> Option<Vec<u8>> {
    let (sum, packed, size) = (number::<4>(entry, 16)?, number::<4>(entry, 20)?, number::<4>(entry, 24)?);
    let local = archive.get(number::<4>(entry, 42)?..)?;
    let from = 30 + number::<2>(local, 26)? + number::<2>(local, 28)?;
    let data = local.get(from..from.checked_add(packed)?)?;
    let mut bytes = Vec::new();
    match method {
        0 => bytes.extend_from_slice(data),
        8 => {
            DeflateDecoder::new(data).take(MAX_REGIONS_BYTES).read_to_end(&mut bytes).ok()?;
        }
        _ => return None,
    }
    let mut found = flate2::Crc::new();
    found.update(&bytes);
    (bytes.len() == size && found.sum() as usize == sum).then_some(bytes)
}

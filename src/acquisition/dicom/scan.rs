//! Which image is it, and of which series, echo and volume? What it says of itself beside its pixels.

use dicom_core::Tag;
use dicom_dictionary_std::tags;

use super::elements::{Encoding, FileMeta, Set, parse};
use super::enhanced;
use super::pixels::{Pixels, Rescale};
use super::stack::{Plane, Slice};
use super::{DicomError, Volume, csa};

/// Siemens: how many slices a mosaic has, where there is no CSA header.
const IMAGES_IN_MOSAIC: Tag = Tag(0x0019, 0x100A);
/// Siemens: when each slice of a mosaic was taken, one number a slice.
const MOSAIC_TIMES: Tag = Tag(0x0019, 0x1029);
/// Siemens: the CSA image header.
const CSA_IMAGE: Tag = Tag(0x0029, 0x1010);
/// The longest text that is kept.
const TEXT_CAP: usize = 64;

/// Which series an image belongs to.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Series {
    /// Its instance UID: the same for no other series in the world.
    pub uid: String,
    /// Its number within the examination.
    pub number: Option<u32>,
    /// What the protocol is called, for rules to match; it may say anything, so it is not logged.
    pub description: String,
}

/// What part of the complex signal an image shows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Component {
    /// How strong it is; also what an image says that says nothing.
    #[default]
    Magnitude,
    /// Its angle.
    Phase,
    /// Real, imaginary, or computed from several.
    Other,
}

/// What is known of an image beside its voxels.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Header {
    /// Its series.
    pub series: Series,
    /// Which echo, from 1.
    pub echo: Option<u32>,
    /// Magnitude or phase.
    pub component: Component,
    /// Which acquisition of its series.
    pub acquisition: Option<u32>,
    /// Which image of its series.
    pub instance: Option<u32>,
    /// Which point in time of its series.
    pub temporal: Option<u32>,
    /// Seconds from volume to volume.
    pub tr: Option<f64>,
    /// When it was acquired: seconds since 1970 on the scanner's clock, in the scanner's time zone.
    pub acquired: Option<f64>,
}

/// What one file holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Scan {
    /// One slice of a volume.
    Slice(Box<Header>, Slice),
    /// A whole volume or several, in order of time.
    Volumes(Vec<(Header, Volume)>),
}

/// Reads the bytes of one file.
///
/// # Errors
/// [`DicomError::Truncated`] where more bytes may come; what else is wrong with it.
pub fn read(bytes: &[u8]) -> Result<Scan, DicomError> {
    let meta = FileMeta::of(bytes)?;
    let (set, encoding) = parse(bytes, meta.data_at, &meta.syntax)?;
    scan(&set, encoding)
}

/// Reads an object that was sent as one of `class`, in a transfer syntax: what a file has behind its own header.
///
/// # Errors
/// [`DicomError::Class`] where it is of another class; what else is wrong with it.
pub(crate) fn read_object(bytes: &[u8], class: &str, syntax: &str) -> Result<Scan, DicomError> {
    let (set, encoding) = parse(bytes, 0, syntax)?;
    if set.text(tags::SOP_CLASS_UID).is_some_and(|own| own != class) {
        return Err(DicomError::Class);
    }
    scan(&set, encoding)
}

fn scan(set: &Set, encoding: Encoding) -> Result<Scan, DicomError> {
    let pixels = Pixels::of(set, encoding.big_endian)?;
    let header = header(set);
    if !set.items(tags::PER_FRAME_FUNCTIONAL_GROUPS_SEQUENCE).is_empty() {
        return Ok(Scan::Volumes(enhanced::volumes(set, &pixels, &header)?));
    }
    if pixels.frames != 1 {
        return Err(DicomError::Unsupported(format!(
            "{} frames without functional groups, so that none has a place",
            pixels.frames
        )));
    }
    let rescale = Rescale::of(set).unwrap_or_default();
    let spacing = set.vector::<2>(tags::PIXEL_SPACING).ok_or(DicomError::Missing("pixel spacing"))?;
    let orientation =
        set.vector::<6>(tags::IMAGE_ORIENTATION_PATIENT).ok_or(DicomError::Missing("image orientation"))?;
    let position = set.vector::<3>(tags::IMAGE_POSITION_PATIENT).ok_or(DicomError::Missing("image position"))?;
    let plane =
        Plane::new(orientation, spacing, position).ok_or(DicomError::Missing("image orientation or spacing"))?;
    let step = step(set);
    if set.text(tags::IMAGE_TYPE).is_some_and(|t| t.split('\\').any(|part| part.trim() == "MOSAIC")) {
        return Ok(Scan::Volumes(vec![(header, mosaic(set, &pixels, rescale, plane, step)?)]));
    }
    let size = [pixels.columns, pixels.rows];
    let slice = Slice { plane, size, step, values: pixels.frame(0, rescale).collect() };
    Ok(Scan::Slice(Box::new(header), slice))
}

/// Millimetres from slice to slice.
pub(super) fn step(set: &Set) -> Option<f64> {
    let step = |tag| set.decimal(tag).map(f64::abs).filter(|v| *v > 0.0);
    step(tags::SPACING_BETWEEN_SLICES).or_else(|| step(tags::SLICE_THICKNESS))
}

/// Cuts a mosaic into its slices, which lie row after row in a square of ⌈√n⌉ × ⌈√n⌉.
///
/// The position in the header is that of the corner of a plane as large as the mosaic, about the centre of the first
/// slice. (nibabel, "DICOM mosaic".)
fn mosaic(set: &Set, pixels: &Pixels, rescale: Rescale, plane: Plane, step: Option<f64>) -> Result<Volume, DicomError> {
    let csa = set.bytes(CSA_IMAGE).unwrap_or_default();
    let count = csa::numbers(csa, "NumberOfImagesInMosaic").and_then(|n| n.first().copied());
    let count = count.or_else(|| set.u16(IMAGES_IN_MOSAIC).map(f64::from));
    let count = count.or_else(|| set.bytes(MOSAIC_TIMES).map(|times| (times.len() / 8) as f64));
    let count = count.filter(|n| n.fract() == 0.0 && (1.0..=4096.0).contains(n));
    let count = count.ok_or(DicomError::Missing("number of images in the mosaic"))? as usize;
    let side = (1..).find(|side| side * side >= count).unwrap_or(1);
    let (columns, rows) = (pixels.columns / side, pixels.rows / side);
    if columns == 0 || rows == 0 || columns * side != pixels.columns || rows * side != pixels.rows {
        return Err(DicomError::Unsupported(format!(
            "a mosaic of {} × {} pixels that does not divide into {side} × {side} slices",
            pixels.columns, pixels.rows
        )));
    }
    let step = step.ok_or(DicomError::Missing("spacing between slices"))?;
    let normal = plane.normal();
    // Siemens says on which side of the first slice the next one lies.
    let said: Option<[f64; 3]> = csa::numbers(csa, "SliceNormalVector").and_then(|n| n.try_into().ok());
    let side_of = said.map_or(1.0, |said| normal.iter().zip(said).map(|(a, b)| a * b).sum::<f64>());
    if side_of.abs() < 0.9 {
        return Err(DicomError::Missing("slice normal that stands on its slices"));
    }
    let corner = plane.at((pixels.columns - columns) as f64 / 2.0, (pixels.rows - rows) as f64 / 2.0);
    let grid =
        Plane { position: corner, ..plane }.grid([columns, rows, count], normal.map(|n| n * step * side_of.signum()));
    let whole: Vec<f64> = pixels.frame(0, rescale).collect();
    let mut values = Vec::with_capacity(grid.voxels());
    for slice in 0..count {
        let (down, along) = (slice / side * rows, slice % side * columns);
        for row in down..down + rows {
            let start = row * pixels.columns + along;
            values.extend_from_slice(whole.get(start..start + columns).unwrap_or_default());
        }
    }
    Ok(Volume { grid, values })
}

fn header(set: &Set) -> Header {
    let short = |text: String| text.chars().take(TEXT_CAP).collect::<String>();
    let kind = set.text(tags::IMAGE_TYPE).unwrap_or_default();
    Header {
        series: Series {
            uid: short(set.text(tags::SERIES_INSTANCE_UID).unwrap_or_default()),
            number: set.count(tags::SERIES_NUMBER),
            description: short(set.text(tags::SERIES_DESCRIPTION).unwrap_or_default()),
        },
        echo: set.count(tags::ECHO_NUMBERS),
        component: component(&kind, set.text(tags::COMPLEX_IMAGE_COMPONENT)),
        acquisition: set.count(tags::ACQUISITION_NUMBER),
        instance: set.count(tags::INSTANCE_NUMBER),
        temporal: set.count(tags::TEMPORAL_POSITION_IDENTIFIER),
        tr: set.decimal(tags::REPETITION_TIME).filter(|ms| *ms > 0.0).map(|ms| ms / 1000.0),
        acquired: acquired(set),
    }
}

/// What part of the signal an image type names.
pub(super) fn component(kind: &str, complex: Option<String>) -> Component {
    let parts: Vec<&str> = kind.split('\\').map(str::trim).collect();
    let is = |names: &[&str]| parts.iter().any(|part| names.contains(part));
    match complex.as_deref() {
        Some("PHASE") => Component::Phase,
        Some("REAL" | "IMAGINARY" | "MIXED") => Component::Other,
        _ if is(&["P", "PHASE", "PHASE MAP"]) => Component::Phase,
        _ if is(&["R", "I", "REAL", "IMAGINARY", "DERIVED"]) && !is(&["M", "MAGNITUDE"]) => Component::Other,
        _ => Component::Magnitude,
    }
}

fn acquired(set: &Set) -> Option<f64> {
    if let Some(at) = set.text(tags::ACQUISITION_DATE_TIME) {
        return date_time(&at);
    }
    let date = set.text(tags::ACQUISITION_DATE).or_else(|| set.text(tags::STUDY_DATE))?;
    date_time(&format!("{date}{}", set.text(tags::ACQUISITION_TIME)?))
}

/// `YYYYMMDDHHMMSS.F` as seconds since 1970, in the time zone it was written in; a zone behind it is left out.
pub(super) fn date_time(text: &str) -> Option<f64> {
    let text = text.split(['+', '-']).next()?;
    let number = |from: usize, to: usize| text.get(from..to)?.parse::<i64>().ok();
    let (year, month, day) = (number(0, 4)?, number(4, 6)?, number(6, 8)?);
    if !((1..=12).contains(&month) && (1..=31).contains(&day)) {
        return None;
    }
    let (hour, minute) = (number(8, 10)?, number(10, 12)?);
    let second: f64 = text.get(12..)?.parse().ok().filter(|s| (0.0..=60.0).contains(s))?;
    // Days of the civil calendar: Hinnant, "chrono-compatible low-level date algorithms".
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let days = era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468;
    Some((days * 86_400 + hour * 3600 + minute * 60) as f64 + second)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_seconds_of_the_civil_calendar() {
        assert_eq!(date_time("19700101000000"), Some(0.0));
        assert_eq!(date_time("20260228235959.500000"), Some(1_772_323_199.5));
        assert_eq!(date_time("20240229120000.25+0200"), Some(1_709_208_000.25));
        assert_eq!([date_time("20241329120000"), date_time(""), date_time("2024é")], [None; 3]);
    }

    #[test]
    fn an_image_type_tells_magnitude_from_phase() {
        let of = |kind: &str| component(kind, None);
        assert_eq!(of("ORIGINAL\\PRIMARY\\M\\ND\\MOSAIC"), Component::Magnitude);
        assert_eq!(of("ORIGINAL\\PRIMARY\\P\\ND"), Component::Phase);
        assert_eq!(of("DERIVED\\SECONDARY\\OTHER"), Component::Other);
        assert_eq!(component("ORIGINAL\\PRIMARY\\FMRI\\NONE", Some("PHASE".into())), Component::Phase);
    }
}

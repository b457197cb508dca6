//! What do an image's pixels measure? Stored bits of any width and sign, rescaled. (PS3.5 §8, PS3.3 C.7.6.3.)

use dicom_dictionary_std::tags;

use super::elements::Set;
use super::{DicomError, VOXELS_CAP};

/// How pixels are stored, and the bytes of all of them.
pub(super) struct Pixels<'a> {
    pub(super) columns: usize,
    pub(super) rows: usize,
    pub(super) frames: usize,
    bytes: &'a [u8],
    bytes_each: usize,
    shift: u32,
    stored: u32,
    signed: bool,
    big_endian: bool,
}

impl<'a> Pixels<'a> {
    /// Checks that as many bytes are there as the sizes promise.
    ///
    /// # Errors
    /// Sizes that are missing, zero or absurd, colours, floating-point pixels, bits that do not fit; pixels that end
    /// early.
    pub(super) fn of(set: &Set<'a>, big_endian: bool) -> Result<Self, DicomError> {
        let size = |tag, name| match set.u16(tag) {
            Some(n) if n > 0 => Ok(usize::from(n)),
            _ => Err(DicomError::Missing(name)),
        };
        let (rows, columns) = (size(tags::ROWS, "rows")?, size(tags::COLUMNS, "columns")?);
        let frames = match set.bytes(tags::NUMBER_OF_FRAMES) {
            Some(_) => {
                set.count(tags::NUMBER_OF_FRAMES).filter(|n| *n > 0).ok_or(DicomError::Missing("number of frames"))?
            }
            None => 1,
        } as usize;
        let most = |what: &str| DicomError::Unsupported(format!("{columns} × {rows} × {frames} pixels: {what}"));
        if columns * rows > VOXELS_CAP {
            return Err(most("more than a volume has"));
        }
        if set.u16(tags::SAMPLES_PER_PIXEL).is_some_and(|n| n != 1) {
            return Err(DicomError::Unsupported("an image in colours (a volume has one value a voxel)".into()));
        }
        let allocated = size(tags::BITS_ALLOCATED, "bits allocated")?;
        if ![8, 16, 32].contains(&allocated) {
            return Err(DicomError::Unsupported(format!("{allocated} bits a pixel (8, 16 and 32 are read)")));
        }
        let stored = set.u16(tags::BITS_STORED).map_or(allocated, usize::from);
        let high = set.u16(tags::HIGH_BIT).map_or(stored.wrapping_sub(1), usize::from);
        if stored == 0 || high >= allocated || high + 1 < stored {
            return Err(DicomError::Unsupported(format!("{stored} bits up to bit {high} of {allocated}")));
        }
        let bytes_each = allocated / 8;
        let needed = (columns * rows).checked_mul(frames).and_then(|n| n.checked_mul(bytes_each));
        let needed = needed.ok_or_else(|| most("too many"))?;
        let bytes = set.bytes(tags::PIXEL_DATA).ok_or(DicomError::Missing("pixels of whole numbers"))?;
        // The element is whole, or parsing would have said so: the sizes contradict it, and no waiting mends that.
        let bytes = bytes.get(..needed).ok_or_else(|| most("more than the bytes of its pixels"))?;
        Ok(Self {
            columns,
            rows,
            frames,
            bytes,
            bytes_each,
            shift: (high + 1 - stored) as u32,
            stored: stored as u32,
            signed: set.u16(tags::PIXEL_REPRESENTATION) == Some(1),
            big_endian,
        })
    }

    /// Pixels of one frame, row after row; none for a frame that is not there.
    pub(super) fn frame(&self, frame: usize, rescale: Rescale) -> impl Iterator<Item = f64> + '_ {
        let length = self.columns * self.rows * self.bytes_each;
        let bytes = self.bytes.get(frame * length..(frame + 1) * length).unwrap_or_default();
        bytes.chunks_exact(self.bytes_each).map(move |raw| self.decode(raw) * rescale.slope + rescale.intercept)
    }

    fn decode(&self, raw: &[u8]) -> f64 {
        let join = |sum: u32, byte: &u8| sum << 8 | u32::from(*byte);
        let bits = if self.big_endian { raw.iter().fold(0, join) } else { raw.iter().rev().fold(0, join) };
        // Overlays once lay in the bits beside those that are stored.
        let unused = 32 - self.stored;
        let bits = bits >> self.shift << unused;
        if self.signed { f64::from(bits as i32 >> unused) } else { f64::from(bits >> unused) }
    }
}

/// What stored numbers stand for.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Rescale {
    slope: f64,
    intercept: f64,
}

impl Rescale {
    /// As an image or a frame says it; as they are stored where it does not.
    pub(super) fn of(set: &Set) -> Option<Self> {
        let slope = set.decimal(tags::RESCALE_SLOPE)?;
        let intercept = set.decimal(tags::RESCALE_INTERCEPT).unwrap_or(0.0);
        Some(Self { slope, intercept })
    }
}

impl Default for Rescale {
    fn default() -> Self {
        Self { slope: 1.0, intercept: 0.0 }
    }
}

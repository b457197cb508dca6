//! What is in an image file? PNG, JPEG or BMP bytes to 8-bit red, green and blue, as Pillow's `convert("RGB")` has them.
//!
//! A stimulus file is not trusted: its size is read from its header and held against [`MAX_SIDE`] before a pixel is
//! decoded, and one that is cut short is refused, where a decoder would fill the rest with grey. Alpha is left out, grey
//! is repeated, a palette is looked up, colour profiles and EXIF rotation play no part. Of 16 bits the higher 8 count;
//! that is Pillow too, but for grey of 16 bits, which it would clip to white.
//!
//! The bytes are Pillow's; a JPEG is decoded as its libjpeg-turbo does it ([`jpeg`]).

use std::io::Cursor;

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader};
use thiserror::Error;

use super::jpeg;
use super::resize::Picture;

/// The most pixels to a side. The largest picture takes 200 MB as it is decoded.
pub const MAX_SIDE: u32 = 8192;
/// The largest image file, in bytes.
pub const MAX_IMAGE_BYTES: u64 = 64 << 20;
/// What a decoder may allocate: the largest picture with 16 bits of red, green, blue and alpha, twice.
const MAX_ALLOCATION: u64 = 2 * 8 * (MAX_SIDE as u64) * (MAX_SIDE as u64);

/// Why a file is no picture that can be encoded.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
pub enum ImageError {
    /// A name that could lead out of the stimuli folder.
    #[error("leads out of the stimuli folder (give stim_file from that folder on, without / in front and without ..)")]
    Outside,
    /// The file is not there or cannot be read.
    #[error("{problem} (see stimuli in the configuration and stim_file in events.tsv)")]
    Unreadable {
        /// What the system said.
        problem: String,
    },
    /// A file larger than [`MAX_IMAGE_BYTES`].
    #[error("{bytes} bytes; the limit is {limit} (save it smaller)")]
    TooLarge {
        /// Its size.
        bytes: u64,
        /// The limit.
        limit: u64,
    },
    /// A picture larger than [`MAX_SIDE`].
    #[error("{width} × {height} pixels; the limit is {limit} × {limit} (scale it down)")]
    TooManyPixels {
        /// Pixels in a row.
        width: u32,
        /// Rows.
        height: u32,
        /// The most of either.
        limit: u32,
    },
    /// The bytes are no image of a known format.
    #[error("not a PNG, JPEG or BMP image (convert it to one)")]
    Unknown,
    /// An image that cannot be decoded, or not all of it.
    #[error("a damaged image: {problem} (copy or save it again)")]
    Damaged {
        /// What is wrong.
        problem: String,
    },
}

/// Decodes a whole file.
///
/// # Errors
/// Too large, unknown or damaged; see [`ImageError`].
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let damaged = |error: image::ImageError| ImageError::Damaged { problem: error.to_string() };
    let format = image::guess_format(bytes).map_err(|_| ImageError::Unknown)?;
    if format == ImageFormat::Jpeg {
        return jpeg::decode(bytes);
    }
    if !matches!(format, ImageFormat::Png | ImageFormat::Bmp) {
        return Err(ImageError::Unknown);
    }
    let mut reader = ImageReader::with_format(Cursor::new(bytes), format);
    let mut limits = image::Limits::no_limits();
    limits.max_alloc = Some(MAX_ALLOCATION);
    reader.limits(limits);
    let decoder = reader.into_decoder().map_err(damaged)?;
    let (width, height) = decoder.dimensions();
    if width.max(height) > MAX_SIDE {
        return Err(ImageError::TooManyPixels { width, height, limit: MAX_SIDE });
    }
    if width.min(height) == 0 {
        return Err(ImageError::Damaged { problem: format!("{width} × {height} pixels") });
    }
    let decoded = DynamicImage::from_decoder(decoder).map_err(damaged)?;
    Ok(Picture { width: width as usize, height: height as usize, data: rgb(decoded) })
}

/// The higher 8 bits of every colour, without alpha.
fn rgb(image: DynamicImage) -> Vec<u8> {
    let high = |value: u16| (value >> 8) as u8;
    match image {
        DynamicImage::ImageRgb8(image) => image.into_raw(),
        DynamicImage::ImageLuma16(image) => image.pixels().flat_map(|p| [high(p.0[0]); 3]).collect(),
        DynamicImage::ImageLumaA16(image) => image.pixels().flat_map(|p| [high(p.0[0]); 3]).collect(),
        DynamicImage::ImageRgb16(image) => image.pixels().flat_map(|p| p.0.map(high)).collect(),
        DynamicImage::ImageRgba16(image) => {
            let colours = image.pixels().flat_map(|p| [high(p.0[0]), high(p.0[1]), high(p.0[2])]);
            colours.collect()
        }
        // 8 bits, where nothing is rounded.
        other => other.into_rgb8().into_raw(),
    }
}

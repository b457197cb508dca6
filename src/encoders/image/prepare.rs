//! How does a picture become a network's input? Resized, cropped and normalised as its manifest says.
//!
//! The steps are those of torchvision on Pillow images, `Resize`, `CenterCrop`, `ToTensor`, `Normalize`, with the same
//! rounding; before normalisation every value is the same byte.

use serde::{Deserialize, Serialize};

use super::decode::{ImageError, decode};
use super::resize::{COLOURS, Filter, Picture, resize};

/// The largest side of a network's input; the largest shorter side before the crop.
const MAX_SIZE: usize = 2048;

/// Which axis of an image input comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Layout {
    /// `[1, 3, height, width]`, as PyTorch has it.
    Nchw,
    /// `[1, height, width, 3]`, as TensorFlow has it.
    Nhwc,
}

/// What a picture's size becomes before the middle is cut out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Resize {
    /// The shorter side so many pixels, the longer in proportion.
    Shorter(usize),
    /// Both sides so many pixels, out of proportion.
    Both(usize),
    /// Both sides what the network takes, out of proportion.
    Squash,
}

/// Where the middle begins when as many pixels as not are to be cut from both sides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Crop {
    /// At the nearest pixel, of two the even one: torchvision's `CenterCrop`.
    #[default]
    Nearest,
    /// At the pixel before: the image processors of the transformers package.
    Down,
}

/// What an image model takes: a square of red, green and blue.
///
/// ```
/// use neurod::encoders::ImageInput;
/// let input: ImageInput = toml::from_str(
///     r#"
///     input = "image"
///     layout = "nchw"
///     size = 224
///     resize = { shorter = 256 }
///     filter = "bicubic"
///     mean = [0.485, 0.456, 0.406]
///     std = [0.229, 0.224, 0.225]
///     "#,
/// )?;
/// assert_eq!(input.shape(), [1, 3, 224, 224]);
/// # Ok::<(), toml::de::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ImageInput {
    /// The input's name, float32.
    pub input: String,
    /// The order of the input's axes.
    pub layout: Layout,
    /// Pixels to a side.
    pub size: usize,
    /// How a picture is resized before its middle is cut out.
    pub resize: Resize,
    /// The filter, antialiased where the picture shrinks.
    pub filter: Filter,
    /// Where the middle begins.
    #[serde(default)]
    pub crop: Crop,
    /// What a value of 0 to 255 is multiplied by first; 1/255.
    #[serde(default = "unit")]
    pub scale: f64,
    /// What is then taken away from red, green and blue; 0.
    #[serde(default)]
    pub mean: [f64; COLOURS],
    /// What they are then divided by; 1.
    #[serde(default = "ones")]
    pub std: [f64; COLOURS],
}

fn unit() -> f64 {
    1.0 / 255.0
}

fn ones() -> [f64; COLOURS] {
    [1.0; COLOURS]
}

impl ImageInput {
    /// The shape of the input.
    pub fn shape(&self) -> [usize; 4] {
        match self.layout {
            Layout::Nchw => [1, COLOURS, self.size, self.size],
            Layout::Nhwc => [1, self.size, self.size, COLOURS],
        }
    }

    pub(in super::super) fn problem(&self) -> Option<&'static str> {
        Some(match self.resize {
            _ if !(1..=MAX_SIZE).contains(&self.size) => "image.size must be 1 to 2048 pixels",
            Resize::Shorter(side) if !(self.size..=MAX_SIZE).contains(&side) => {
                "image.resize.shorter must be at least image.size and at most 2048 pixels"
            }
            Resize::Both(side) if !(self.size..=MAX_SIZE).contains(&side) => {
                "image.resize.both must be at least image.size and at most 2048 pixels"
            }
            _ if !self.scale.is_normal() || !self.std.iter().all(|std| std.is_normal()) => {
                "image.scale and image.std must be finite numbers other than 0"
            }
            _ if !self.mean.iter().all(|mean| mean.is_finite()) => "image.mean must be finite numbers",
            _ => return None,
        })
    }

    /// The square that the network sees, in bytes.
    fn square(&self, picture: &Picture) -> Picture {
        let side = self.size;
        let size = match self.resize {
            Resize::Squash => (side, side),
            Resize::Both(resized) => (resized, resized),
            Resize::Shorter(shorter) => {
                let (short, long) = (picture.width.min(picture.height), picture.width.max(picture.height));
                // Cut, not rounded.
                let longer = ((shorter * long) as f64 / short as f64) as usize;
                if picture.width <= picture.height { (shorter, longer) } else { (longer, shorter) }
            }
        };
        let middle = |length: usize| match self.crop {
            // Python rounds a half to the even number.
            Crop::Nearest => ((length - side) as f64 / 2.0).round_ties_even() as usize,
            Crop::Down => (length - side) / 2,
        };
        let (left, top) = (middle(size.0), middle(size.1));
        resize(picture, size, (left..left + side, top..top + side), self.filter)
    }

    /// Writes the network's input for an image file's bytes, of [`shape`](Self::shape), into `out`, which is cleared
    /// first.
    ///
    /// # Errors
    /// Bytes that are no image, or too large a one; then `out` means nothing.
    pub fn prepare(&self, bytes: &[u8], out: &mut Vec<f32>) -> Result<(), ImageError> {
        self.normalise(&decode(bytes)?, out);
        Ok(())
    }

    pub(super) fn normalise(&self, picture: &Picture, out: &mut Vec<f32>) {
        let square = self.square(picture);
        let normalised = |value: &u8, colour: usize| {
            let (mean, std) = (self.mean.get(colour).unwrap_or(&0.0), self.std.get(colour).unwrap_or(&1.0));
            ((f64::from(*value) * self.scale - mean) / std) as f32
        };
        out.clear();
        match self.layout {
            Layout::Nchw => (0..COLOURS).for_each(|colour| {
                out.extend(square.data.iter().skip(colour).step_by(COLOURS).map(|value| normalised(value, colour)));
            }),
            Layout::Nhwc => {
                out.extend(square.data.iter().enumerate().map(|(i, value)| normalised(value, i % COLOURS)));
            }
        }
    }
}

//! How does Pillow change the size of a picture? Two passes, each output a weighted sum of the inputs near it.
//!
//! Published networks were trained on pictures that Pillow had resized, and other resamplers give other pixels: where
//! contrast is high, those that count as alike are off by tens of levels. This one gives the same bytes as `Image.resize`
//! of an RGB image in Pillow up to 12 (13 takes columns first where the height shrinks far more than the width):
//! - a filter as wide as the step between two outputs when shrinking (antialiasing), as wide as itself when growing;
//! - weights normalised to a sum of 1 in double precision, then rounded to 22 binary places;
//! - rows first, then columns, each pass rounded to 8 bits and clipped.
//!
//! Only the window that is asked for is computed, so a picture a thousand times as long as wide takes no more memory
//! than another. Bicubic: Keys 1981 (doi:10.1109/TASSP.1981.1163711) with a = −1/2.

use std::ops::Range;

use serde::{Deserialize, Serialize};

/// The binary places of a weight: 8 bits of a pixel, 22 of a weight, and two to spare fit in an `i32`.
const PLACES: u32 = 22;
/// One half, so that shifting rounds to the nearest.
const HALF: i32 = 1 << (PLACES - 1);

/// Red, green and blue.
pub(super) const COLOURS: usize = 3;

/// A picture of 8-bit red, green and blue, row by row from the top left.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Picture {
    /// Pixels in a row.
    pub width: usize,
    /// Rows.
    pub height: usize,
    /// height × width × 3.
    pub data: Vec<u8>,
}

/// The weight of a pixel by its distance.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Filter {
    /// A triangle, one pixel to each side.
    Bilinear,
    /// Keys' cubic with a = −1/2, two pixels to each side.
    Bicubic,
}

impl Filter {
    fn reach(self) -> f64 {
        match self {
            Filter::Bilinear => 1.0,
            Filter::Bicubic => 2.0,
        }
    }

    fn weight(self, distance: f64) -> f64 {
        const A: f64 = -0.5;
        let x = distance.abs();
        match self {
            Filter::Bilinear => (1.0 - x).max(0.0),
            Filter::Bicubic if x < 1.0 => ((A + 2.0) * x - (A + 3.0)) * x * x + 1.0,
            Filter::Bicubic if x < 2.0 => (((x - 5.0) * x + 8.0) * x - 4.0) * A,
            Filter::Bicubic => 0.0,
        }
    }
}

/// One output of a pass: the inputs from `first` on, and their weights.
struct Sum {
    first: usize,
    weights: Vec<i32>,
}

impl Sum {
    fn inputs(&self) -> Range<usize> {
        self.first..self.first + self.weights.len()
    }
}

/// The outputs in `window` of a pass from `from` pixels to `to`.
fn sums(from: usize, to: usize, window: Range<usize>, filter: Filter) -> Vec<Sum> {
    let step = from as f64 / to as f64;
    let stretch = step.max(1.0);
    let reach = filter.reach() * stretch;
    let sum = |place: usize| {
        let centre = (place as f64 + 0.5) * step;
        // A cast cuts towards zero, and what is negative to zero.
        let first = (centre - reach + 0.5) as usize;
        let last = ((centre + reach + 0.5) as usize).min(from);
        let distance = |input: usize| (input as f64 - centre + 0.5) * (1.0 / stretch);
        let weights: Vec<f64> = (first..last).map(|input| filter.weight(distance(input))).collect();
        let total: f64 = weights.iter().sum();
        let fixed = |weight: &f64| (weight / total * f64::from(1 << PLACES)).round() as i32;
        Sum { first, weights: weights.iter().map(fixed).collect() }
    };
    window.map(sum).collect()
}

fn pixel(sum: i32) -> u8 {
    (sum >> PLACES).clamp(0, 255) as u8
}

/// The pixels in `columns` × `rows` of `picture` resized to `size` (width, height), both at least 1.
pub(super) fn resize(
    picture: &Picture,
    size: (usize, usize),
    (columns, rows): (Range<usize>, Range<usize>),
    filter: Filter,
) -> Picture {
    let across = sums(picture.width, size.0, columns, filter);
    let down = sums(picture.height, size.1, rows, filter);
    // Rows that no output looks at are not resized.
    let top = down.first().map_or(0, |sum| sum.first);
    let bottom = down.last().map_or(0, |sum| sum.inputs().end);
    let width = across.len() * COLOURS;
    let mut narrowed = Vec::with_capacity(width * (bottom - top));
    for row in picture.data.chunks_exact(picture.width * COLOURS).take(bottom).skip(top) {
        for sum in &across {
            let mut totals = [HALF; COLOURS];
            let inputs = row.chunks_exact(COLOURS).skip(sum.first);
            for (input, weight) in inputs.zip(&sum.weights) {
                for (total, value) in totals.iter_mut().zip(input) {
                    *total += i32::from(*value) * weight;
                }
            }
            narrowed.extend(totals.map(pixel));
        }
    }
    let mut data = Vec::with_capacity(width * down.len());
    let mut totals = vec![HALF; width];
    for sum in &down {
        totals.fill(HALF);
        let inputs = narrowed.chunks_exact(width).skip(sum.first - top);
        for (input, weight) in inputs.zip(&sum.weights) {
            for (total, value) in totals.iter_mut().zip(input) {
                *total += i32::from(*value) * weight;
            }
        }
        data.extend(totals.iter().copied().map(pixel));
    }
    Picture { width: across.len(), height: down.len(), data }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn noise(width: usize, height: usize) -> Picture {
        let data = (0..width * height * COLOURS).map(|i| (i * i * 31 % 251) as u8).collect();
        Picture { width, height, data }
    }

    proptest! {
        #[test]
        fn a_window_is_cut_from_the_whole_and_the_same_size_changes_nothing(
            (width, height) in (1usize..40, 1usize..40), (to, left, top) in (4usize..50, 0usize..3, 0usize..3),
            bicubic: bool,
        ) {
            let filter = if bicubic { Filter::Bicubic } else { Filter::Bilinear };
            let picture = noise(width, height);
            let same = resize(&picture, (width, height), (0..width, 0..height), filter);
            prop_assert_eq!(&same, &picture);
            let whole = resize(&picture, (to, to), (0..to, 0..to), filter);
            let part = resize(&picture, (to, to), (left..to - 1, top..to - 1), filter);
            for (row, cut) in whole.data.chunks(to * COLOURS).skip(top).zip(part.data.chunks(part.width * COLOURS)) {
                prop_assert_eq!(&row[left * COLOURS..(to - 1) * COLOURS], cut);
            }
        }
    }

    #[test]
    fn a_flat_picture_stays_flat_however_far_it_is_stretched() {
        for value in [0, 1, 127, 255] {
            let picture = Picture { width: 1, height: 300, data: vec![value; 300 * COLOURS] };
            let resized = resize(&picture, (700, 210_000), (10..12, 99_998..100_000), Filter::Bicubic);
            assert_eq!(resized.data, [value; 12]);
        }
    }
}

//! How do coefficients become pixels? The inverse cosine transform, colour enlarged to full size, YCbCr to RGB.
//!
//! Every step is integer arithmetic with libjpeg's constants and rounding, so the bytes are its bytes. The transform is
//! that of Loeffler, Ligtenberg and Moschytz (ICASSP 1989) with 13 binary places.

use super::{Block, Component, Decoder, damaged};
use crate::encoders::image::decode::ImageError;
use crate::encoders::image::resize::Picture;

/// A component at the size it is sampled at: only what belongs to the picture.
struct Plane {
    width: usize,
    height: usize,
    data: Vec<u8>,
}

impl Plane {
    /// A row; the first and the last stand for those beyond.
    fn row(&self, y: usize) -> &[u8] {
        let y = y.min(self.height - 1);
        self.data.get(y * self.width..(y + 1) * self.width).unwrap_or_default()
    }
}

/// The picture that the coefficients stand for.
pub(super) fn picture(decoder: &Decoder) -> Result<Picture, ImageError> {
    let (width, height) = (decoder.width, decoder.height);
    let mut full = Vec::with_capacity(decoder.components.len());
    for component in &decoder.components {
        let quantiser = component.quantiser.as_ref().ok_or_else(|| damaged("a component without a scan or steps"))?;
        let plane = plane(component, quantiser);
        full.push(enlarged(plane, component, decoder)?);
    }
    let ids: Vec<u8> = decoder.components.iter().map(|component| component.id).collect();
    // As libjpeg decides; of four components Pillow takes the inverse, as Adobe wrote them.
    let colours = match (ids.as_slice(), decoder.jfif, decoder.adobe) {
        ([_], ..) => Colours::Grey,
        ([_, _, _], true, _) | ([_, _, _], false, Some(1..)) => Colours::Ycc,
        ([_, _, _], false, Some(0)) | ([b'R', b'G', b'B'], false, None) => Colours::Rgb,
        ([_, _, _], ..) => Colours::Ycc,
        (_, _, Some(2)) => Colours::Ycck,
        _ => Colours::Cmyk,
    };
    let mut data = Vec::with_capacity(width * height * 3);
    for y in 0..height {
        let rows: Vec<&[u8]> = full.iter().map(|plane| plane.row(y)).collect();
        match rows.as_slice() {
            [grey] => data.extend(grey.iter().flat_map(|value| [*value; 3])),
            [one, two, three] => {
                let pixels = one.iter().zip(*two).zip(*three);
                data.extend(
                    pixels.flat_map(|((a, b), c)| if colours == Colours::Rgb { [*a, *b, *c] } else { rgb(*a, *b, *c) }),
                );
            }
            [one, two, three, black] => {
                let pixels = one.iter().zip(*two).zip(*three).zip(*black);
                data.extend(pixels.flat_map(|(((a, b), c), k)| {
                    let ink =
                        if colours == Colours::Ycck { rgb(*a, *b, *c) } else { [*a, *b, *c].map(|ink| 255 - ink) };
                    ink.map(|ink| printed(ink, *k))
                }));
            }
            _ => {}
        }
    }
    Ok(Picture { width, height, data })
}

#[derive(Clone, Copy, PartialEq)]
enum Colours {
    Grey,
    Rgb,
    Ycc,
    Cmyk,
    Ycck,
}

/// Red, green and blue of brightness and two colour differences.
fn rgb(y: u8, cb: u8, cr: u8) -> [u8; 3] {
    const HALF: i32 = 1 << 15;
    let (y, cb, cr) = (i32::from(y), i32::from(cb) - 128, i32::from(cr) - 128);
    // 1.402, 1.772, 0.71414 and 0.34414 with 16 binary places.
    let red = y + ((91_881 * cr + HALF) >> 16);
    let green = y + ((-46_802 * cr - 22_554 * cb + HALF) >> 16);
    let blue = y + ((116_130 * cb + HALF) >> 16);
    [red, green, blue].map(|value| value.clamp(0, 255) as u8)
}

/// What one ink leaves of the light that black ink leaves (`left`, 255 for none of it), as Pillow has it.
fn printed(ink: u8, left: u8) -> u8 {
    let product = u32::from(ink) * u32::from(left) + 128;
    let taken = ((product >> 8) + product) >> 8;
    (u32::from(left).saturating_sub(taken)) as u8
}

fn plane(component: &Component, quantiser: &[u16; 64]) -> Plane {
    let (width, height) = component.size;
    let mut data = vec![0; width * height];
    let mut samples = [0; 64];
    for row in 0..component.blocks.1 {
        for column in 0..component.blocks.0 {
            let Some(block) = component.coefficients.get(row * component.stride + column) else { continue };
            inverse(block, quantiser, &mut samples);
            for (y, line) in samples.as_chunks::<8>().0.iter().enumerate().take(height - (8 * row).min(height)) {
                let from = (8 * row + y) * width + 8 * column;
                let inside = 8.min(width - 8 * column);
                if let (Some(slots), Some(line)) = (data.get_mut(from..from + inside), line.get(..inside)) {
                    slots.copy_from_slice(line);
                }
            }
        }
    }
    Plane { width, height, data }
}

/// One pass of eight values; what is returned has 13 binary places more.
fn transform(v: [i64; 8]) -> [i64; 8] {
    let [in0, in1, in2, in3, in4, in5, in6, in7] = v;
    let shared = (in2 + in6) * 4433;
    let (low, high) = (shared - in6 * 15_137, shared + in2 * 6270);
    let (sum, difference) = ((in0 + in4) << 13, (in0 - in4) << 13);
    let even = [sum + high, difference + low, difference - low, sum - high];
    let shared = (in7 + in3 + in5 + in1) * 9633;
    let (z1, z2) = ((in7 + in1) * -7373, (in5 + in3) * -20_995);
    let (z3, z4) = ((in7 + in3) * -16_069 + shared, (in5 + in1) * -3196 + shared);
    let odd = [in1 * 12_299 + z1 + z4, in3 * 25_172 + z2 + z3, in5 * 16_819 + z2 + z4, in7 * 2446 + z1 + z3];
    let [e0, e1, e2, e3] = even;
    let [o0, o1, o2, o3] = odd;
    [e0 + o0, e1 + o1, e2 + o2, e3 + o3, e3 - o3, e2 - o2, e1 - o1, e0 - o0]
}

/// The samples of a block: columns first, kept with two binary places.
fn inverse(block: &Block, quantiser: &[u16; 64], samples: &mut [u8; 64]) {
    let mut middle = [[0i64; 8]; 8];
    for column in 0..8 {
        let value = |row: usize| i64::from(block[8 * row + column]) * i64::from(quantiser[8 * row + column]);
        let values = std::array::from_fn(value);
        for (row, value) in middle.iter_mut().zip(transform(values)) {
            row[column] = (value + (1 << 10)) >> 11;
        }
    }
    for (line, row) in samples.as_chunks_mut::<8>().0.iter_mut().zip(middle) {
        *line = transform(row).map(|value| (((value + (1 << 17)) >> 18) + 128).clamp(0, 255) as u8);
    }
}

/// A plane as large as the picture.
fn enlarged(plane: Plane, component: &Component, decoder: &Decoder) -> Result<Plane, ImageError> {
    let (most_across, most_down) = decoder.most;
    if !most_across.is_multiple_of(component.across) || !most_down.is_multiple_of(component.down) {
        return Err(damaged("a sampling by fractions, which is not known"));
    }
    let (across, down) = (most_across / component.across, most_down / component.down);
    let smooth = plane.width > 2;
    let (width, height) = (decoder.width, decoder.height);
    let mut data = Vec::with_capacity(width * height);
    let mut line = Vec::with_capacity(width + 8);
    for y in 0..height {
        line.clear();
        let near = plane.row(y / down);
        // Of two rows in the file, the one on the other side of this row of the picture.
        let far = plane.row(if y % 2 == 0 { (y / 2).saturating_sub(1) } else { y / 2 + 1 });
        match (across, down) {
            (1, 1) => line.extend_from_slice(near),
            (2, 1) if smooth => {
                let values: Vec<i32> = near.iter().map(|value| i32::from(*value)).collect();
                widen(&values, 2, (1, 2), &mut line);
            }
            (1, 2) => {
                let bias = if y % 2 == 0 { 1 } else { 2 };
                line.extend(near.iter().zip(far).map(|(a, b)| ((3 * i32::from(*a) + i32::from(*b) + bias) >> 2) as u8));
            }
            (2, 2) if smooth => {
                let values: Vec<i32> = near.iter().zip(far).map(|(a, b)| 3 * i32::from(*a) + i32::from(*b)).collect();
                widen(&values, 4, (8, 7), &mut line);
            }
            _ => line.extend(near.iter().flat_map(|value| std::iter::repeat_n(*value, across))),
        }
        line.resize(width, 0);
        data.extend_from_slice(&line);
    }
    Ok(Plane { width, height, data })
}

/// Twice as many values, each three parts its own and one part its neighbour's; the ends are their own neighbours. `left` and
/// `right` are what is added before rounding down, so that neither side is favoured.
fn widen(values: &[i32], places: u32, (left, right): (i32, i32), out: &mut Vec<u8>) {
    for (i, value) in values.iter().enumerate() {
        let neighbour = |at: Option<usize>| at.and_then(|at| values.get(at)).unwrap_or(value);
        let (before, after) = (neighbour(i.checked_sub(1)), neighbour(Some(i + 1)));
        out.push(((3 * value + before + left) >> places) as u8);
        out.push(((3 * value + after + right) >> places) as u8);
    }
}

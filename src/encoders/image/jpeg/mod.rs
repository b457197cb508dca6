//! What does a JPEG show? Its pixels as libjpeg-turbo has them, to the last bit, and with it Pillow.
//!
//! The standard (ITU T.81) leaves a decoder the rounding of the inverse cosine transform and all of the enlarging of
//! colour. Published networks saw what libjpeg makes of that, so its arithmetic is followed: the slow integer transform,
//! colour enlarged by triangles where it is halved, YCbCr to RGB by 16 binary places. Baseline and progressive, 8 bits,
//! one, three or four components; what cameras and data sets do not write (12 bits, arithmetic coding, lossless) is refused.
//!
//! **Invariants.** Every length is held against the bytes that are there. What ends before its picture does is refused.

mod entropy;
mod planes;

use super::decode::{ImageError, MAX_SIDE};
use super::resize::Picture;
use entropy::{Bits, Huffman, Progress};

/// Where coefficient k of a block lies, in the order of the file.
const ZIGZAG: [u8; 64] = [
    0, 1, 8, 16, 9, 2, 3, 10, 17, 24, 32, 25, 18, 11, 4, 5, 12, 19, 26, 33, 40, 48, 41, 34, 27, 20, 13, 6, 7, 14, 21,
    28, 35, 42, 49, 56, 57, 50, 43, 36, 29, 22, 15, 23, 30, 37, 44, 51, 58, 59, 52, 45, 38, 31, 39, 46, 53, 60, 61, 54,
    47, 55, 62, 63,
];

type Block = [i16; 64];

/// One component of a picture: brightness, or a colour.
struct Component {
    id: u8,
    /// How often it is sampled, across and down, beside the others.
    across: usize,
    down: usize,
    /// Samples and blocks that belong to the picture, across and down.
    size: (usize, usize),
    blocks: (usize, usize),
    /// Blocks in a row as they are kept: whole groups.
    stride: usize,
    table: usize,
    quantiser: Option<[u16; 64]>,
    coefficients: Vec<Block>,
}

/// What the headers say.
#[derive(Default)]
struct Decoder {
    width: usize,
    height: usize,
    progressive: bool,
    /// The largest sampling, across and down.
    most: (usize, usize),
    components: Vec<Component>,
    quantisers: [Option<[u16; 64]>; 4],
    dc: [Option<Huffman>; 4],
    ac: [Option<Huffman>; 4],
    restart: usize,
    jfif: bool,
    adobe: Option<u8>,
    scans: usize,
}

fn damaged(problem: &str) -> ImageError {
    ImageError::Damaged { problem: problem.into() }
}

const SHORT: &str = "it is cut short";
/// The most scans of a progressive picture: cameras write about ten, and each costs a pass over everything.
const MAX_SCANS: usize = 500;

/// Decodes a whole file.
///
/// # Errors
/// Damaged, cut short, too large, or of a kind that is not known.
pub(super) fn decode(bytes: &[u8]) -> Result<Picture, ImageError> {
    let mut decoder = Decoder::default();
    let mut at = 2;
    loop {
        let marker = next_marker(bytes, &mut at).ok_or_else(|| damaged(SHORT))?;
        if marker == 0xD9 {
            break;
        }
        let length = bytes.get(at..at + 2).map(|two| usize::from(two[0]) << 8 | usize::from(two[1]));
        let length = length.filter(|length| *length >= 2).ok_or_else(|| damaged(SHORT))?;
        let body = bytes.get(at + 2..at + length).ok_or_else(|| damaged(SHORT))?;
        at += length;
        match marker {
            0xC0..=0xC2 => decoder.frame(marker, body)?,
            0xC4 => decoder.huffman(body)?,
            0xC3 | 0xC5..=0xC7 | 0xC9..=0xCF => {
                return Err(damaged("a lossless, hierarchical or arithmetic JPEG, which is not known"));
            }
            0xDA => at += decoder.scan(body, bytes.get(at..).unwrap_or_default())?,
            0xDB => decoder.quantisers(body)?,
            0xDD => decoder.restart = body.get(..2).map_or(0, |two| usize::from(two[0]) << 8 | usize::from(two[1])),
            0xE0 => decoder.jfif |= body.starts_with(b"JFIF\0"),
            0xEE if body.starts_with(b"Adobe") => decoder.adobe = body.get(11).copied(),
            _ => {}
        }
    }
    if decoder.scans == 0 {
        return Err(damaged("there is no picture in it"));
    }
    planes::picture(&decoder)
}

/// The next marker that begins a segment, and moves behind it.
fn next_marker(bytes: &[u8], at: &mut usize) -> Option<u8> {
    loop {
        let found = bytes.get(*at..)?.iter().position(|byte| *byte == 0xFF)?;
        *at += found + 1;
        match bytes.get(*at)? {
            // Data, a filler, or what stands alone.
            0 | 0x01 | 0xD0..=0xD8 => *at += 1,
            0xFF => {}
            marker => {
                *at += 1;
                return Some(*marker);
            }
        }
    }
}

impl Decoder {
    fn quantisers(&mut self, mut body: &[u8]) -> Result<(), ImageError> {
        while let Some((head, rest)) = body.split_first() {
            let wide = usize::from(head >> 4 != 0);
            let values = rest.get(..64 << wide).ok_or_else(|| damaged("a table of steps is cut short"))?;
            let mut table = [1; 64];
            for (k, value) in values.chunks_exact(1 << wide).enumerate() {
                let step = value.iter().fold(0u16, |step, byte| step << 8 | u16::from(*byte));
                if let Some(slot) = ZIGZAG.get(k).and_then(|place| table.get_mut(usize::from(*place))) {
                    *slot = step;
                }
            }
            let slot =
                self.quantisers.get_mut(usize::from(head & 15)).ok_or_else(|| damaged("a fifth table of steps"))?;
            *slot = Some(table);
            body = rest.get(64 << wide..).unwrap_or_default();
        }
        Ok(())
    }

    fn huffman(&mut self, mut body: &[u8]) -> Result<(), ImageError> {
        while let Some((head, rest)) = body.split_first() {
            let (table, used) = Huffman::read(rest).ok_or_else(|| damaged("a Huffman table that is none"))?;
            let tables = if head >> 4 == 0 { &mut self.dc } else { &mut self.ac };
            let slot = tables.get_mut(usize::from(head & 15)).ok_or_else(|| damaged("a fifth Huffman table"))?;
            *slot = Some(table);
            body = rest.get(used..).unwrap_or_default();
        }
        Ok(())
    }

    /// What the picture is like.
    fn frame(&mut self, marker: u8, body: &[u8]) -> Result<(), ImageError> {
        let [bits, h1, h0, w1, w0, count, rest @ ..] = body else { return Err(damaged(SHORT)) };
        if !self.components.is_empty() {
            return Err(damaged("two pictures in one"));
        }
        if *bits != 8 {
            return Err(damaged(&format!("a JPEG of {bits} bits, which is not known")));
        }
        let size = |high: &u8, low: &u8| u16::from_be_bytes([*high, *low]);
        let (width, height) = (size(w1, w0), size(h1, h0));
        if u32::from(width.max(height)) > MAX_SIDE {
            return Err(ImageError::TooManyPixels { width: width.into(), height: height.into(), limit: MAX_SIDE });
        }
        if width == 0 || height == 0 || !matches!(count, 1 | 3 | 4) || rest.len() < 3 * usize::from(*count) {
            return Err(damaged(&format!("{width} × {height} pixels of {count} components")));
        }
        (self.width, self.height, self.progressive) = (width.into(), height.into(), marker == 0xC2);
        let parts = rest.as_chunks::<3>().0.iter().take(usize::from(*count));
        let sampling = |byte: u8| (usize::from(byte >> 4), usize::from(byte & 15));
        for [_, byte, _] in parts.clone() {
            let (across, down) = sampling(*byte);
            if !(1..=4).contains(&across) || !(1..=4).contains(&down) {
                return Err(damaged("a sampling that cannot be"));
            }
            self.most = (self.most.0.max(across), self.most.1.max(down));
        }
        let groups = (self.width.div_ceil(8 * self.most.0), self.height.div_ceil(8 * self.most.1));
        for [id, byte, table] in parts {
            let (across, down) = sampling(*byte);
            let size = ((self.width * across).div_ceil(self.most.0), (self.height * down).div_ceil(self.most.1));
            self.components.push(Component {
                id: *id,
                across,
                down,
                size,
                blocks: (size.0.div_ceil(8), size.1.div_ceil(8)),
                stride: groups.0 * across,
                table: usize::from(*table),
                quantiser: None,
                coefficients: vec![[0; 64]; groups.0 * across * groups.1 * down],
            });
        }
        Ok(())
    }

    /// Decodes one scan; how many bytes it took.
    fn scan(&mut self, head: &[u8], data: &[u8]) -> Result<usize, ImageError> {
        self.scans += 1;
        if self.scans > MAX_SCANS {
            return Err(damaged("more than 500 scans"));
        }
        let count = head.first().map_or(0, |count| usize::from(*count));
        let (Some(parts), Some([first, last, bits])) = (head.get(1..1 + 2 * count), head.get(1 + 2 * count..)) else {
            return Err(damaged("a scan without its head"));
        };
        let mut chosen: Vec<(usize, usize, usize)> = Vec::new();
        for [id, tables] in parts.as_chunks::<2>().0 {
            let place = self.components.iter().position(|component| component.id == *id);
            let place = place.filter(|place| chosen.iter().all(|(other, ..)| other != place));
            let place = place.ok_or_else(|| damaged("a scan of a component that is not there"))?;
            chosen.push((place, usize::from(tables >> 4), usize::from(tables & 15)));
        }
        let progress = if self.progressive {
            Progress { first: (*first).into(), last: (*last).into(), high: bits >> 4, low: bits & 15 }
        } else {
            Progress { first: 0, last: 63, high: 0, low: 0 }
        };
        if chosen.is_empty() || !progress.possible() || (progress.first > 0 && chosen.len() > 1) {
            return Err(damaged("a scan that cannot be"));
        }
        let mut coder = entropy::Scan { bits: Bits::new(data), progress, progressive: self.progressive, run: 0 };
        let mut before = [0i32; 4];
        let groups = (self.width.div_ceil(8 * self.most.0), self.height.div_ceil(8 * self.most.1));
        let alone = chosen.len() == 1;
        let (across, down) = match chosen.first().and_then(|(place, ..)| self.components.get(*place)) {
            Some(component) if alone => component.blocks,
            _ => groups,
        };
        for (place, ..) in &chosen {
            if let Some(component) = self.components.get_mut(*place) {
                component.quantiser = component.quantiser.or(self.quantisers.get(component.table).copied().flatten());
            }
        }
        for group in 0..across * down {
            if self.restart > 0 && group > 0 && group % self.restart == 0 {
                coder.restart().ok_or_else(|| damaged("a restart is missing"))?;
                before = [0; 4];
            }
            for (before, (place, dc, ac)) in before.iter_mut().zip(&chosen) {
                let (dc, ac) = (self.dc.get(*dc).and_then(Option::as_ref), self.ac.get(*ac).and_then(Option::as_ref));
                let Some(component) = self.components.get_mut(*place) else { continue };
                let (x, y) = (group % across, group / across);
                let (wide, high) = if alone { (1, 1) } else { (component.across, component.down) };
                for within in 0..wide * high {
                    let row = y * high + within / wide;
                    let at = row * component.stride + x * wide + within % wide;
                    let block = component.coefficients.get_mut(at).ok_or_else(|| damaged("a block too many"))?;
                    if coder.block(block, dc, ac, before).is_none() {
                        return Err(damaged(if coder.bits.ended() { SHORT } else { "its data are altered" }));
                    }
                }
            }
        }
        Ok(coder.bits.taken())
    }
}

//! What do the bits of a scan say? Huffman codes to coefficients, all of a block at once or bit by bit over many scans.

use super::{Block, ZIGZAG};

/// Bits of a scan, the highest first; 0xFF is followed by a 0 that does not count.
pub(super) struct Bits<'a> {
    data: &'a [u8],
    at: usize,
    held: u64,
    count: u32,
}

impl<'a> Bits<'a> {
    pub fn new(data: &'a [u8]) -> Self {
        Self { data, at: 0, held: 0, count: 0 }
    }

    fn fill(&mut self) {
        while self.count <= 48 {
            let byte = match self.data.get(self.at..) {
                Some([0xFF, 0, ..]) => {
                    self.at += 2;
                    0xFF
                }
                Some([0xFF, ..] | []) | None => return,
                Some([byte, ..]) => {
                    self.at += 1;
                    *byte
                }
            };
            self.held = self.held << 8 | u64::from(byte);
            self.count += 8;
        }
    }

    fn take(&mut self, count: u32) -> Option<i32> {
        if self.count < count {
            self.fill();
        }
        self.count = self.count.checked_sub(count)?;
        Some((self.held >> self.count & ((1 << count) - 1)) as i32)
    }

    /// A number of so many bits, which is negative where its first bit is 0.
    fn signed(&mut self, count: u32) -> Option<i32> {
        let value = self.take(count)?;
        Some(if count > 0 && value < 1 << (count - 1) { value + 1 - (1 << count) } else { value })
    }

    fn symbol(&mut self, table: &Huffman) -> Option<u8> {
        if self.count < 16 {
            self.fill();
        }
        // Behind the last bits come zeros, which must not be needed.
        let next =
            if self.count >= 16 { self.held >> (self.count - 16) } else { self.held << (16 - self.count) } as u16;
        let (length, symbol) = table.find(next)?;
        self.count = self.count.checked_sub(length)?;
        Some(symbol)
    }

    /// How many bytes have been read; they end before the next marker at the latest.
    pub fn taken(&self) -> usize {
        self.at
    }

    /// Whether there is nothing more, not even a marker.
    pub fn ended(&self) -> bool {
        self.at + 1 >= self.data.len()
    }
}

/// A table of codes of up to 16 bits.
pub(super) struct Huffman {
    /// Length and symbol by the next 8 bits; length 0 where the code is longer.
    short: Vec<(u8, u8)>,
    /// For each length, the first code beyond (of 16 bits), and what to add to a code for its place among the symbols.
    beyond: [u32; 17],
    shift: [i32; 17],
    symbols: Vec<u8>,
}

impl Huffman {
    /// Reads a table; and how many bytes it took.
    pub fn read(body: &[u8]) -> Option<(Self, usize)> {
        let counts = body.get(..16)?;
        let total: usize = counts.iter().map(|count| usize::from(*count)).sum();
        let symbols = body.get(16..16 + total)?.to_vec();
        if total > 256 {
            return None;
        }
        let mut table = Self { short: vec![(0, 0); 256], beyond: [0; 17], shift: [0; 17], symbols };
        let (mut code, mut place) = (0u32, 0usize);
        for (length, count) in (1u32..).zip(counts) {
            *table.shift.get_mut(length as usize)? = place as i32 - code as i32;
            for _ in 0..*count {
                if code >> length != 0 {
                    return None;
                }
                if length <= 8 {
                    let (from, width) = ((code << (8 - length)) as usize, 1 << (8 - length));
                    table.short.get_mut(from..from + width)?.fill((length as u8, *table.symbols.get(place)?));
                }
                code += 1;
                place += 1;
            }
            *table.beyond.get_mut(length as usize)? = code << (16 - length);
            code <<= 1;
        }
        Some((table, 16 + total))
    }

    fn find(&self, next: u16) -> Option<(u32, u8)> {
        match self.short.get(usize::from(next >> 8)) {
            Some((length, symbol)) if *length > 0 => return Some(((*length).into(), *symbol)),
            _ => {}
        }
        let length = (9..=16usize).find(|length| self.beyond.get(*length).is_some_and(|end| u32::from(next) < *end))?;
        let place = i32::from(next >> (16 - length)) + self.shift.get(length)?;
        Some((length as u32, *self.symbols.get(usize::try_from(place).ok()?)?))
    }
}

/// Which coefficients a scan brings, and which of their bits.
#[derive(Clone, Copy)]
pub(super) struct Progress {
    pub first: usize,
    pub last: usize,
    /// The bit that was brought last, or 0 for the first time; the bit that is brought now.
    pub high: u8,
    pub low: u8,
}

impl Progress {
    pub fn possible(self) -> bool {
        let one_bit = self.high == 0 || self.high == self.low + 1;
        self.first <= self.last
            && self.last < 64
            && self.low <= 13
            && one_bit
            && (self.first > 0 || self.last == 0 || self.low == 0)
    }
}

/// One scan being decoded.
pub(super) struct Scan<'a> {
    pub bits: Bits<'a>,
    pub progress: Progress,
    pub progressive: bool,
    /// How many blocks to come have nothing more.
    pub run: u32,
}

impl Scan<'_> {
    /// Goes over a restart marker.
    pub fn restart(&mut self) -> Option<()> {
        let Bits { data, mut at, .. } = self.bits;
        while data.get(at..at + 2)? == [0xFF, 0xFF] {
            at += 1;
        }
        let [0xFF, 0xD0..=0xD7] = data.get(at..at + 2)? else { return None };
        self.bits = Bits { data, at: at + 2, held: 0, count: 0 };
        self.run = 0;
        Some(())
    }

    /// Decodes what the scan says of one block; `before` is the first coefficient of the component's block before.
    pub fn block(
        &mut self,
        block: &mut Block,
        dc: Option<&Huffman>,
        ac: Option<&Huffman>,
        before: &mut i32,
    ) -> Option<()> {
        let Progress { first, last, high, low } = self.progress;
        if first == 0 {
            if high == 0 {
                let length = self.bits.symbol(dc?)?;
                *before = before.wrapping_add(self.bits.signed(u32::from(length.min(16)))?);
                block[0] = (*before << low) as i16;
            } else if self.bits.take(1)? == 1 {
                block[0] |= 1 << low;
            }
        }
        if last == 0 {
            return Some(());
        }
        let first = first.max(1);
        if high == 0 { self.bring(block, ac?, first, last, low) } else { self.refine(block, ac?, first, last, low) }
    }

    /// Coefficients for the first time.
    fn bring(&mut self, block: &mut Block, ac: &Huffman, first: usize, last: usize, low: u8) -> Option<()> {
        if self.run > 0 {
            self.run -= 1;
            return Some(());
        }
        let mut k = first;
        while k <= last {
            let symbol = self.bits.symbol(ac)?;
            let (zeros, length) = (usize::from(symbol >> 4), u32::from(symbol & 15));
            match (zeros, length) {
                (15, 0) => k += 16,
                (_, 0) if !self.progressive => return Some(()),
                (_, 0) => {
                    self.run = (1 << zeros) - 1;
                    self.run += self.bits.take(zeros as u32)? as u32;
                    return Some(());
                }
                _ => {
                    k += zeros;
                    let value = self.bits.signed(length)?;
                    *block.get_mut(usize::from(*ZIGZAG.get(k)?))? = (value << low) as i16;
                    k += 1;
                }
            }
        }
        Some(())
    }

    /// One more bit of coefficients, among them some that were zero so far.
    fn refine(&mut self, block: &mut Block, ac: &Huffman, first: usize, last: usize, low: u8) -> Option<()> {
        let bit = 1i16 << low;
        let mut k = first;
        if self.run == 0 {
            while k <= last {
                let symbol = self.bits.symbol(ac)?;
                let (mut zeros, length) = (u32::from(symbol >> 4), symbol & 15);
                let mut new = 0;
                match length {
                    0 if zeros < 15 => {
                        self.run = 1 << zeros;
                        self.run += self.bits.take(zeros)? as u32;
                        break;
                    }
                    0 => {}
                    1 => new = if self.bits.take(1)? == 1 { bit } else { -bit },
                    _ => return None,
                }
                while k <= last {
                    let slot = block.get_mut(usize::from(*ZIGZAG.get(k)?))?;
                    if *slot != 0 {
                        self.bits.correct(slot, bit)?;
                    } else if zeros == 0 {
                        *slot = new;
                        k += 1;
                        break;
                    } else {
                        zeros -= 1;
                    }
                    k += 1;
                }
            }
        }
        if self.run > 0 {
            for place in ZIGZAG.get(k..=last).unwrap_or_default() {
                let slot = block.get_mut(usize::from(*place))?;
                if *slot != 0 {
                    self.bits.correct(slot, bit)?;
                }
            }
            self.run -= 1;
        }
        Some(())
    }
}

impl Bits<'_> {
    /// Adds a bit to a coefficient that is not zero, if the scan says so.
    fn correct(&mut self, slot: &mut i16, bit: i16) -> Option<()> {
        if self.take(1)? == 1 && *slot & bit == 0 {
            *slot = slot.wrapping_add(if *slot > 0 { bit } else { -bit });
        }
        Some(())
    }
}

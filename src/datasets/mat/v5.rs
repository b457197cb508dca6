//! How does MATLAB 5 to 7 save a variable? As a chain of tagged elements, in either byte order, perhaps compressed.

use std::fs::File;
use std::io::{BufReader, Read, Seek, SeekFrom};
use std::path::Path;

use flate2::read::ZlibDecoder;

use super::{Budget, Mat, Numbers, Value};
use crate::datasets::DatasetError;
use crate::datasets::stored::{Kind, Stored};

/// Where the first element begins.
const HEADER: u64 = 128;
/// How much is read at once.
const PIECE: usize = 1 << 16;
/// The most bytes of a name.
const MOST_NAME: u64 = 1 << 12;
/// The most dimensions.
const MOST_DIMENSIONS: u64 = 32;

/// Kinds of element.
mod kind {
    pub const INT8: u32 = 1;
    pub const UINT8: u32 = 2;
    pub const INT16: u32 = 3;
    pub const UINT16: u32 = 4;
    pub const INT32: u32 = 5;
    pub const UINT32: u32 = 6;
    pub const SINGLE: u32 = 7;
    pub const DOUBLE: u32 = 9;
    pub const INT64: u32 = 12;
    pub const UINT64: u32 = 13;
    pub const MATRIX: u32 = 14;
    pub const COMPRESSED: u32 = 15;
    pub const UTF8: u32 = 16;
    pub const UTF16: u32 = 17;
    pub const UTF32: u32 = 18;
}

/// Reads the variables that are wanted, in a file whose header was checked.
pub(super) fn read(mat: &mut Mat, wanted: &dyn Fn(&str) -> bool) -> Result<(), DatasetError> {
    let path = mat.path.clone();
    let io = |at: u64| {
        let path = path.clone();
        move |error: std::io::Error| wrong(&path, at, error.to_string())
    };
    let file = File::open(&path).map_err(io(0))?;
    let length = file.metadata().map_err(io(0))?.len();
    let mut file = BufReader::with_capacity(PIECE, file);
    file.seek(SeekFrom::Start(126)).map_err(io(126))?;
    let mut order = [0; 2];
    file.read_exact(&mut order).map_err(io(126))?;
    let big = &order == b"MI";
    let (mut at, mut budget) = (HEADER, Budget::new());
    while at < length {
        file.seek(SeekFrom::Start(at)).map_err(io(at))?;
        let mut elements = Elements { path: &path, input: &mut file, at, big, origin: None, budget: &mut budget };
        let tag = elements.tag()?;
        let end = elements.at.saturating_add(tag.bytes);
        if end > length {
            let problem = format!("the file ends at {length:#x}, and this variable only at {end:#x} (copy it again)");
            return Err(wrong(&path, at, problem));
        }
        let found = match tag.kind {
            kind::MATRIX => elements.variable(end, 0, wanted)?,
            kind::COMPRESSED => {
                let mut unpacked = ZlibDecoder::new((&mut file).take(tag.bytes));
                let origin = Some(at);
                let mut elements =
                    Elements { path: &path, input: &mut unpacked, at: 0, big, origin, budget: &mut budget };
                let inner = elements.tag()?;
                if inner.kind != kind::MATRIX {
                    return Err(elements.wrong(format!("an element of kind {} where a variable should be", inner.kind)));
                }
                let end = elements.at.saturating_add(inner.bytes);
                elements.variable(end, 0, wanted)?
            }
            other => return Err(wrong(&path, at, format!("an element of kind {other} where a variable should be"))),
        };
        // A nameless variable is MATLAB's own: the workspace of its objects.
        if !found.0.is_empty() {
            mat.names.push(found.0.clone());
            if let Some(value) = found.1 {
                mat.variables.insert(found.0, value);
            }
        }
        // Compressed elements follow one another without a gap.
        at = if tag.kind == kind::COMPRESSED { end } else { end.next_multiple_of(8) };
    }
    Ok(())
}

fn wrong(path: &Path, at: u64, problem: String) -> DatasetError {
    DatasetError::Malformed { path: path.display().to_string(), place: format!("byte {at:#x}"), problem }
}

/// What an element is, and how long.
struct Tag {
    kind: u32,
    bytes: u64,
    /// Whether it lies within the eight bytes of its tag; it is padded to eight otherwise.
    small: bool,
}

/// A chain of elements, being read.
struct Elements<'a> {
    path: &'a Path,
    input: &'a mut dyn Read,
    at: u64,
    big: bool,
    /// Where the compressed variable begins that this is the inside of.
    origin: Option<u64>,
    budget: &'a mut Budget,
}

impl Elements<'_> {
    fn wrong(&self, problem: String) -> DatasetError {
        match self.origin {
            None => wrong(self.path, self.at, problem),
            Some(origin) => {
                wrong(self.path, origin, format!("byte {:#x} of the unpacked variable: {problem}", self.at))
            }
        }
    }

    fn fill(&mut self, into: &mut [u8]) -> Result<(), DatasetError> {
        match self.input.read_exact(into) {
            Ok(()) => {
                self.at += into.len() as u64;
                Ok(())
            }
            Err(error) => Err(self.wrong(format!("{error} (the file is cut off or damaged: copy it again)"))),
        }
    }

    fn word(&mut self) -> Result<u32, DatasetError> {
        let mut bytes = [0; 4];
        self.fill(&mut bytes)?;
        Ok(if self.big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
    }

    fn skip_to(&mut self, end: u64) -> Result<(), DatasetError> {
        let mut piece = [0; 1 << 12];
        while self.at < end {
            let count = usize::try_from(end - self.at).unwrap_or(usize::MAX).min(piece.len());
            if let Some(part) = piece.get_mut(..count) {
                self.fill(part)?;
            }
        }
        Ok(())
    }

    fn tag(&mut self) -> Result<Tag, DatasetError> {
        let first = self.word()?;
        if first >> 16 != 0 {
            let bytes = u64::from(first >> 16);
            return match bytes <= 4 {
                true => Ok(Tag { kind: first & 0xffff, bytes, small: true }),
                false => Err(self.wrong(format!("a small element of {bytes} bytes (at most 4 fit)"))),
            };
        }
        Ok(Tag { kind: first, bytes: u64::from(self.word()?), small: false })
    }

    /// The tag of the next element within what ends at `end`.
    fn inner(&mut self, end: u64) -> Result<Tag, DatasetError> {
        if self.at >= end {
            return Err(self.wrong("an element is missing (the file is damaged: copy it again)".into()));
        }
        let tag = self.tag()?;
        let room = if tag.small { 4 } else { end.saturating_sub(self.at) };
        if tag.bytes > room {
            return Err(self.wrong(format!("an element of {} bytes in the last {room} of a larger one", tag.bytes)));
        }
        Ok(tag)
    }

    /// To the end of an element that begins at `from`, its padding with it.
    fn close(&mut self, tag: &Tag, from: u64, end: u64) -> Result<(), DatasetError> {
        let padded = if tag.small { from + 4 } else { from + tag.bytes.next_multiple_of(8) };
        self.skip_to(padded.min(end))
    }

    /// The bytes of a short element.
    fn short(&mut self, end: u64, most: u64, what: &str) -> Result<Vec<u8>, DatasetError> {
        let tag = self.inner(end)?;
        if tag.bytes > most {
            return Err(self.wrong(format!("{} bytes of {what} (at most {most})", tag.bytes)));
        }
        let from = self.at;
        let mut bytes = vec![0; tag.bytes as usize];
        self.fill(&mut bytes)?;
        self.close(&tag, from, end)?;
        Ok(bytes)
    }

    /// Whole numbers of 32 bits.
    fn words(&mut self, end: u64, most: u64, what: &str) -> Result<Vec<u32>, DatasetError> {
        let bytes = self.short(end, most * 4, what)?;
        let order = if self.big { u32::from_be_bytes } else { u32::from_le_bytes };
        Ok(bytes.chunks_exact(4).filter_map(|b| Some(order(b.try_into().ok()?))).collect())
    }

    /// Numbers of an element, `count` of them, whatever they are stored as.
    fn stored(&mut self, end: u64, count: Option<usize>) -> Result<(u32, Vec<f64>), DatasetError> {
        let tag = self.inner(end)?;
        let Some(Stored { size, decode }) = stored(tag.kind, self.big) else {
            return Err(self.wrong(format!("an element of kind {} where numbers should be", tag.kind)));
        };
        if count.is_some_and(|count| tag.bytes != (count as u64).saturating_mul(size as u64)) {
            let count = count.unwrap_or_default();
            return Err(self.wrong(format!("{} bytes for {count} numbers of {size}", tag.bytes)));
        }
        let (from, mut left, mut values) = (self.at, tag.bytes, Vec::new());
        let mut piece = vec![0; PIECE.min(tag.bytes as usize)];
        while left > 0 {
            let Some(part) = piece.get_mut(..PIECE.min(left as usize)) else { break };
            self.fill(part)?;
            values.extend(part.chunks_exact(size).map(decode));
            left -= part.len() as u64;
        }
        self.close(&tag, from, end)?;
        Ok((tag.kind, values))
    }

    /// A variable that ends at `end`, and its name; without its value where that is not wanted.
    fn variable(
        &mut self,
        end: u64,
        depth: usize,
        wanted: &dyn Fn(&str) -> bool,
    ) -> Result<(String, Option<Value>), DatasetError> {
        self.budget.value(depth).map_err(|problem| self.wrong(problem))?;
        // An empty cell may be nothing but its tag.
        if self.at == end {
            let numbers = Numbers { shape: vec![0, 0], values: Vec::new() };
            return Ok((String::new(), Some(Value::Numbers(numbers))));
        }
        let flags = self.words(end, 2, "array flags")?.first().copied().unwrap_or_default();
        let (class, is_complex) = (flags & 0xff, flags & 0x0800 != 0);
        // An object of MATLAB's own has its names where others have dimensions.
        if class == 17 {
            let name = self.short(end, MOST_NAME, "a name")?;
            self.skip_to(end)?;
            return Ok((String::from_utf8_lossy(&name).into_owned(), Some(Value::Unread("an object"))));
        }
        let dimensions = self.words(end, MOST_DIMENSIONS, "dimensions")?;
        let shape: Vec<usize> = dimensions.iter().map(|size| *size as usize).collect();
        let name = String::from_utf8_lossy(&self.short(end, MOST_NAME, "a name")?).into_owned();
        if depth == 0 && !wanted(&name) {
            return Ok((name, None));
        }
        let value = match class {
            1 => self.cells(end, &shape, depth)?,
            2 => self.structures(end, &shape, depth)?,
            3 => Value::Unread("an object"),
            4 => self.characters(end, &shape)?,
            5 => Value::Unread("a sparse array (save it with full)"),
            6..=15 if is_complex => Value::Unread("complex numbers (save their real part)"),
            6..=15 => {
                let count = self.budget.numbers(&shape).map_err(|problem| self.wrong(problem))?;
                let values = self.stored(end, Some(count))?.1;
                Value::Numbers(Numbers { shape, values })
            }
            16 => Value::Unread("a function"),
            other => return Err(self.wrong(format!("a value of class {other}"))),
        };
        self.skip_to(end)?;
        Ok((name, Some(value)))
    }

    /// A value within another.
    fn nested(&mut self, end: u64, depth: usize) -> Result<Value, DatasetError> {
        let tag = self.inner(end)?;
        if tag.kind != kind::MATRIX {
            return Err(self.wrong(format!("an element of kind {} where a value should be", tag.kind)));
        }
        let (from, last) = (self.at, self.at + tag.bytes);
        let value = self.variable(last, depth + 1, &|_| true)?.1;
        self.close(&tag, from, end)?;
        value.ok_or_else(|| self.wrong("no value".into()))
    }

    fn cells(&mut self, end: u64, shape: &[usize], depth: usize) -> Result<Value, DatasetError> {
        let count = self.budget.numbers(shape).map_err(|problem| self.wrong(problem))?;
        Ok(Value::Cell((0..count).map(|_| self.nested(end, depth)).collect::<Result<_, _>>()?))
    }

    fn structures(&mut self, end: u64, shape: &[usize], depth: usize) -> Result<Value, DatasetError> {
        let count = self.budget.numbers(shape).map_err(|problem| self.wrong(problem))?;
        let width = self.words(end, 1, "the length of field names")?.first().copied().unwrap_or_default() as usize;
        let names = self.short(end, MOST_NAME * 64, "field names")?;
        if width == 0 && !names.is_empty() {
            return Err(self.wrong("field names of no length".into()));
        }
        let name = |bytes: &[u8]| {
            let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
            (String::from_utf8_lossy(text).into_owned(), Vec::new())
        };
        let mut fields: Vec<(String, Vec<Value>)> = names.chunks(width.max(1)).map(name).collect();
        for _ in 0..if fields.is_empty() { 0 } else { count } {
            for (_, values) in &mut fields {
                values.push(self.nested(end, depth)?);
            }
        }
        Ok(Value::Struct(fields))
    }

    fn characters(&mut self, end: u64, shape: &[usize]) -> Result<Value, DatasetError> {
        let count = self.budget.numbers(shape).map_err(|problem| self.wrong(problem))?;
        let rows = shape.first().copied().unwrap_or_default();
        // Where there is no character, there may be no element.
        if count == 0 {
            return Ok(Value::Text(Vec::new()));
        }
        let (kind, units) = self.stored(end, None)?;
        let characters: Vec<char> = match kind {
            kind::UTF8 => {
                let bytes: Vec<u8> = units.iter().map(|unit| *unit as u8).collect();
                String::from_utf8_lossy(&bytes).chars().collect()
            }
            kind::UINT16 | kind::UTF16 => {
                let units = units.iter().map(|unit| *unit as u16);
                char::decode_utf16(units).map(|c| c.unwrap_or(char::REPLACEMENT_CHARACTER)).collect()
            }
            _ => {
                let code = |unit: &f64| char::from_u32(*unit as u32).unwrap_or(char::REPLACEMENT_CHARACTER);
                units.iter().map(code).collect()
            }
        };
        // Characters outside the first plane take two units of the count.
        if rows > 1 && characters.len() != count {
            return Err(self.wrong(format!("{} characters in an array of {shape:?}", characters.len())));
        }
        Ok(Value::Text((0..rows).map(|row| characters.iter().skip(row).step_by(rows).collect()).collect()))
    }
}

/// How a number of this kind is stored.
fn stored(of: u32, big: bool) -> Option<Stored> {
    let kind = match of {
        kind::INT8 => Kind::I8,
        kind::UINT8 | kind::UTF8 => Kind::U8,
        kind::INT16 => Kind::I16,
        kind::UINT16 | kind::UTF16 => Kind::U16,
        kind::INT32 => Kind::I32,
        kind::UINT32 | kind::UTF32 => Kind::U32,
        kind::SINGLE => Kind::F32,
        kind::DOUBLE => Kind::F64,
        kind::INT64 => Kind::I64,
        kind::UINT64 => Kind::U64,
        _ => return None,
    };
    Some(kind.stored(big))
}

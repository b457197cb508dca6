//! What does a .npy file hold? Numbers of any width, byte order and memory order, or text, as numpy saved them.
//!
//! Source: NumPy, NEP 1, *A Simple File Format for NumPy Arrays* (versions 1 to 3).

use std::io::Read;

use ndarray::{Array2, Array3, ShapeBuilder};

use super::stored::{Kind, Stored};

/// The most bytes of a header.
const MOST_HEADER: usize = 1 << 16;
/// The most values of an array.
const MOST_VALUES: usize = 1 << 33;
/// How much is read at once.
const PIECE: usize = 1 << 16;

/// What the header says.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Header {
    /// Rows, columns, …
    pub(super) shape: Vec<usize>,
    /// The type of a value, as numpy writes it, e.g. `<f4`.
    pub(super) kind: String,
    /// Whether the first dimension varies fastest.
    fortran: bool,
}

impl Header {
    /// Reads it, and leaves `input` before the first value.
    ///
    /// # Errors
    /// What is wrong, in words.
    pub(super) fn read(input: &mut dyn Read) -> Result<Self, String> {
        let mut start = [0; 8];
        input.read_exact(&mut start).map_err(|_| "no .npy file (save it with numpy.save)")?;
        let [0x93, b'N', b'U', b'M', b'P', b'Y', version, _] = start else {
            return Err("no .npy file (save it with numpy.save)".into());
        };
        let mut size = [0; 4];
        let width = if version == 1 { 2 } else { 4 };
        size.get_mut(..width)
            .map(|part| input.read_exact(part))
            .transpose()
            .map_err(|_| "the file ends in its header")?;
        let size = u32::from_le_bytes(size) as usize;
        if !(1..=3).contains(&version) || size > MOST_HEADER {
            return Err(format!("a .npy header of version {version} and {size} bytes (versions 1 to 3 are read)"));
        }
        let mut text = vec![0; size];
        input.read_exact(&mut text).map_err(|_| "the file ends in its header (copy it again)")?;
        let text = String::from_utf8_lossy(&text);
        Self::parse(&text).ok_or_else(|| format!("a .npy header that is not understood: {}", text.trim()))
    }

    /// Of `{'descr': '<f4', 'fortran_order': False, 'shape': (3, 4), }`.
    fn parse(text: &str) -> Option<Self> {
        let after = |key: &str| {
            let rest = text.split_once(&format!("'{key}'"))?.1.trim_start();
            Some(rest.strip_prefix(':')?.trim_start())
        };
        let kind = match after("descr")?.strip_prefix('\'') {
            Some(quoted) => quoted.split_once('\'')?.0.to_owned(),
            // A list of fields.
            None => "a structured type".into(),
        };
        let fortran = after("fortran_order")?.starts_with("True");
        let inside = after("shape")?.strip_prefix('(')?.split_once(')')?.0;
        let sizes = inside.split(',').map(str::trim).filter(|size| !size.is_empty());
        let shape = sizes.map(|size| size.trim_end_matches('L').parse().ok()).collect::<Option<Vec<usize>>>()?;
        Some(Self { shape, kind, fortran })
    }

    /// How many values there are.
    fn count(&self) -> Result<usize, String> {
        let count = self.shape.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
        count.filter(|count| *count <= MOST_VALUES).ok_or_else(|| format!("{:?} values are too many", self.shape))
    }

    /// The values that follow, in the order of memory.
    ///
    /// # Errors
    /// They are no real numbers, or the file ends before the last of them.
    pub(super) fn numbers<T>(&self, input: &mut dyn Read, of: fn(f64) -> T) -> Result<Vec<T>, String> {
        let Some(Stored { size, decode }) = stored(&self.kind) else {
            return Err(format!("holds {}, no real numbers (save it as float32)", self.kind));
        };
        let (count, mut values) = (self.count()?, Vec::new());
        let mut piece = vec![0; PIECE];
        while values.len() < count {
            let bytes = (count - values.len()).min(PIECE / size) * size;
            let Some(part) = piece.get_mut(..bytes) else { break };
            input.read_exact(part).map_err(|_| {
                format!("the file ends before the last of {:?} values of {} (copy it again)", self.shape, self.kind)
            })?;
            values.extend(part.chunks_exact(size).map(|bytes| of(decode(bytes))));
        }
        Ok(values)
    }

    /// The values that follow, as a matrix; a vector is a column of one.
    ///
    /// # Errors
    /// As [`numbers`](Self::numbers); another number of dimensions; no row or no column.
    pub(super) fn matrix<T: Clone>(&self, input: &mut dyn Read, of: fn(f64) -> T) -> Result<Array2<T>, String> {
        let (rows, columns) = match self.shape.as_slice() {
            [rows] => (*rows, 1),
            [rows, columns] => (*rows, *columns),
            other => return Err(format!("{} dimensions, {other:?} (expected rows and columns)", other.len())),
        };
        if rows == 0 || columns == 0 {
            return Err(format!("empty: {rows} rows of {columns} (one row a sample, at least one column)"));
        }
        let values = self.numbers(input, of)?;
        let shape = (rows, columns);
        let array = match self.fortran {
            // What computes on rows wants each in one piece.
            true => Array2::from_shape_vec(shape.f(), values).map(|array| array.as_standard_layout().into_owned()),
            false => Array2::from_shape_vec(shape, values),
        };
        array.map_err(|error| error.to_string())
    }

    /// The values that follow, as matrices one after another.
    ///
    /// # Errors
    /// As [`numbers`](Self::numbers); another number of dimensions than three.
    pub(super) fn matrices(&self, input: &mut dyn Read) -> Result<Array3<f64>, String> {
        let [count, rows, columns] = self.shape.as_slice() else {
            return Err(format!(
                "{} dimensions, {:?} (expected samples × regions × regions)",
                self.shape.len(),
                self.shape
            ));
        };
        let (shape, values) = ((*count, *rows, *columns), self.numbers(input, |value| value)?);
        let array = match self.fortran {
            true => Array3::from_shape_vec(shape.f(), values).map(|array| array.as_standard_layout().into_owned()),
            false => Array3::from_shape_vec(shape, values),
        };
        array.map_err(|error| error.to_string())
    }

    /// The values that follow, each as text: text as it is, whole numbers as numpy prints them.
    ///
    /// # Errors
    /// Another number of dimensions than one; neither text nor whole numbers; the file ends before the last of them.
    pub(super) fn texts(&self, input: &mut dyn Read) -> Result<Vec<String>, String> {
        let ([] | [_]) = self.shape.as_slice() else {
            return Err(format!("{} dimensions, {:?} (expected one, a value a sample)", self.shape.len(), self.shape));
        };
        let order = self.kind.chars().next().unwrap_or('|');
        match self.kind.get(1..2).zip(self.kind.get(2..).and_then(|size| size.parse::<usize>().ok())) {
            Some((text @ ("U" | "S"), size)) if size <= PIECE => {
                let bytes = if text == "U" { size * 4 } else { size };
                let mut cell = vec![0; bytes];
                let mut read = || {
                    input.read_exact(&mut cell).map_err(|_| "the file ends before the last value (copy it again)")?;
                    let codes: Vec<char> = match text {
                        "S" => cell.iter().map(|byte| char::from(*byte)).collect(),
                        _ => cell.chunks_exact(4).filter_map(|b| code(b, order == '>')).collect(),
                    };
                    Ok(codes.iter().collect::<String>().trim_end_matches('\0').to_owned())
                };
                (0..self.count()?).map(|_| read()).collect()
            }
            Some(("i" | "u" | "b", _)) => Ok(self.numbers(input, |v| v)?.iter().map(|v| format!("{v:.0}")).collect()),
            _ => Err(format!("holds {}, neither text nor whole numbers", self.kind)),
        }
    }
}

/// What stands before the values of an array in the order of rows.
pub(super) fn header(kind: &str, shape: &[usize]) -> Vec<u8> {
    let sizes: String = shape.iter().map(|size| format!("{size}, ")).collect();
    let sizes = if shape.len() == 1 { sizes.trim_end() } else { sizes.trim_end_matches(", ") };
    let mut text = format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': ({sizes}), }}");
    // Values begin at a multiple of 64 bytes, so that they can be mapped.
    while (10 + text.len() + 1) % 64 != 0 {
        text.push(' ');
    }
    text.push('\n');
    let size = (text.len() as u16).to_le_bytes();
    [b"\x93NUMPY\x01\x00", &size[..], text.as_bytes()].concat()
}

fn code(bytes: &[u8], big: bool) -> Option<char> {
    let bytes = bytes.try_into().ok()?;
    char::from_u32(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
}

/// How a number of this kind is stored.
fn stored(kind: &str) -> Option<Stored> {
    let of = match kind.get(1..)? {
        "i1" => Kind::I8,
        "u1" | "b1" => Kind::U8,
        "i2" => Kind::I16,
        "u2" => Kind::U16,
        "i4" => Kind::I32,
        "u4" => Kind::U32,
        "i8" => Kind::I64,
        "u8" => Kind::U64,
        "f4" => Kind::F32,
        "f8" => Kind::F64,
        _ => return None,
    };
    Some(of.stored(kind.starts_with('>')))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

    use super::*;

    fn file(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
        let size = header.len() as u32;
        let size = if version == 1 { size.to_le_bytes()[..2].to_vec() } else { size.to_le_bytes().to_vec() };
        [b"\x93NUMPY", &[version, 0][..], &size, header.as_bytes(), data].concat()
    }

    fn matrix(bytes: &[u8]) -> Result<Array2<f64>, String> {
        let mut input = bytes;
        Header::read(&mut input)?.matrix(&mut input, |v| v)
    }

    #[test]
    fn headers_of_every_version_and_memory_of_both_orders() {
        let data = [1u8, 2, 3, 4, 5, 6];
        let header = "{'descr': '|u1', 'fortran_order': False, 'shape': (2, 3), }\n";
        for version in 1..=3 {
            assert_eq!(matrix(&file(version, header, &data)).unwrap().row(0).to_vec(), [1.0, 2.0, 3.0]);
        }
        let columns = matrix(&file(1, &header.replace("False", "True"), &data)).unwrap();
        assert_eq!((columns.row(0).to_vec(), columns.is_standard_layout()), (vec![1.0, 3.0, 5.0], true));
        let vector = "{'shape': (6L,), 'fortran_order': False, 'descr': '|u1'}";
        assert_eq!(matrix(&file(1, vector, &data)).unwrap().dim(), (6, 1));
    }

    #[test]
    fn what_is_no_matrix_says_what_it_is() {
        let says = |header: &str, data: &[u8]| matrix(&file(1, header, data)).unwrap_err();
        let whole = "{'descr': '<f4', 'fortran_order': False, 'shape': (2, 2), }";
        assert!(says(whole, &[0; 15]).contains("the file ends before the last of [2, 2] values of <f4"));
        assert!(says(&whole.replace("(2, 2)", "()"), &[0; 4]).contains("0 dimensions"));
        let vast = whole.replace("(2, 2)", "(4294967296, 4294967296)");
        assert!(says(&vast, &[]).contains("are too many"));
        assert!(says("{'shape': (2, 2)}", &[]).contains("not understood"));
        assert!(matrix(b"\x93NUMPX").is_err() && matrix(b"\x93NUMPY\x01\x00\xff\xff{").is_err());
    }

    #[test]
    fn text_of_both_byte_orders() {
        let big: Vec<u8> = "h\u{e9}".chars().flat_map(|c| u32::from(c).to_be_bytes()).collect();
        let bytes = file(1, "{'descr': '>U2', 'fortran_order': False, 'shape': (1,), }", &big);
        let mut input = bytes.as_slice();
        assert_eq!(Header::read(&mut input).unwrap().texts(&mut input).unwrap(), ["h\u{e9}"]);
    }
}

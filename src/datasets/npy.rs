//! What does a .npy file hold? Numbers of any width, byte order and memory order, or text, as numpy saved them.
//!
//! Source: NumPy, NEP 1, *A Simple File Format for NumPy Arrays* (versions 1 to 3).

use std::io::Read;

use ndarray::{Array2, ShapeBuilder};

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
    fn numbers<T>(&self, input: &mut dyn Read, of: fn(f64) -> T) -> Result<Vec<T>, String> {
        let Some((size, decode)) = decoder(&self.kind) else {
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

    /// The values that follow, each as text: text as it is, whole numbers as numpy prints them.
    ///
    /// # Errors
    /// Another number of dimensions than one; neither text nor whole numbers; the file ends before the last of them.
    pub(super) fn texts(&self, input: &mut dyn Read) -> Result<Vec<String>, String> {
        let [_] = self.shape.as_slice() else {
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

fn code(bytes: &[u8], big: bool) -> Option<char> {
    let bytes = bytes.try_into().ok()?;
    char::from_u32(if big { u32::from_be_bytes(bytes) } else { u32::from_le_bytes(bytes) })
}

/// How a number of this kind is stored: its bytes, and how they are read.
fn decoder(kind: &str) -> Option<(usize, fn(&[u8]) -> f64)> {
    macro_rules! read {
        ($t:ty) => {{
            fn little(bytes: &[u8]) -> f64 {
                bytes.try_into().map_or(f64::NAN, |b| <$t>::from_le_bytes(b) as f64)
            }
            fn big(bytes: &[u8]) -> f64 {
                bytes.try_into().map_or(f64::NAN, |b| <$t>::from_be_bytes(b) as f64)
            }
            (size_of::<$t>(), if kind.starts_with('>') { big as fn(&[u8]) -> f64 } else { little })
        }};
    }
    Some(match kind.get(1..)? {
        "f4" => read!(f32),
        "f8" => read!(f64),
        "i1" => read!(i8),
        "u1" | "b1" => read!(u8),
        "i2" => read!(i16),
        "u2" => read!(u16),
        "i4" => read!(i32),
        "u4" => read!(u32),
        "i8" => read!(i64),
        "u8" => read!(u64),
        _ => return None,
    })
}

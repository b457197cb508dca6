//! What does a MATLAB file hold? Its variables as one tree of values, whether it was saved by MATLAB 5 to 7 or by 7.3.
//!
//! Only the variables that are asked for are read. Arrays come out as MATLAB stores them, column after column; logical
//! arrays are numbers 0 and 1. What has no place in such a tree (sparse and complex arrays, objects, functions) is
//! [`Value::Unread`], and is an error only for who asks for it.
//!
//! **Invariants.** No size in a file is believed before bytes of that size are there, nor past `MOST_NUMBERS`. What is
//! wrong is told with the file, and with the byte or the variable.
//!
//! Source: MathWorks, *MAT-File Format* (version 5); for 7.3, HDF5 with a block of 512 bytes before it, where
//! `MATLAB_class` tells what a dataset stands for.

mod v5;
mod v73;
mod value;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use super::DatasetError;

pub use value::{Numbers, Place, Value};

/// The most numbers read from one file: 2 GiB of them.
const MOST_NUMBERS: usize = 1 << 28;
/// The most values a file may be made of, cells and fields counted each.
const MOST_VALUES: usize = 1 << 20;
/// How deep cells and structures may lie in one another.
const MOST_DEPTH: usize = 24;

/// The variables of a file that were asked for.
#[derive(Debug)]
pub struct Mat {
    path: PathBuf,
    variables: BTreeMap<String, Value>,
    /// The names of all of them, read or not.
    names: Vec<String>,
}

impl Mat {
    /// Reads the variables of `path` that are `wanted`.
    ///
    /// # Errors
    /// Unreadable, no MATLAB file of version 5 to 7.3, cut off, damaged, or larger than is read.
    pub fn read(path: &Path, wanted: impl Fn(&str) -> bool) -> Result<Self, DatasetError> {
        let wrong = |problem: String| DatasetError::Array { path: path.display().to_string(), problem };
        let mut start = Vec::new();
        let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        file.take(1024).read_to_end(&mut start).map_err(|error| wrong(error.to_string()))?;
        let mut mat = Self { path: path.into(), variables: BTreeMap::new(), names: Vec::new() };
        let is_hdf5 = |from: usize| start.get(from..).is_some_and(|rest| rest.starts_with(b"\x89HDF\r\n\x1a\n"));
        match start.get(..128) {
            _ if is_hdf5(512) || is_hdf5(0) => v73::read(&mut mat, &wanted)?,
            Some(header) if matches!(header.get(124..), Some([_, 1, b'I', b'M'] | [1, _, b'M', b'I'])) => {
                v5::read(&mut mat, &wanted)?;
            }
            _ => {
                return Err(wrong(
                    "not a MATLAB file of version 5 to 7.3 (one of version 4: save it again with -v7)".into(),
                ));
            }
        }
        Ok(mat)
    }

    /// A variable.
    ///
    /// # Errors
    /// There is none of that name.
    pub fn get(&self, name: &str) -> Result<Place<'_>, DatasetError> {
        self.find(name).ok_or_else(|| {
            let names = if self.names.is_empty() { "none".into() } else { self.names.join(", ") };
            let problem = format!("no variable \"{name}\" (there are: {names})");
            DatasetError::Array { path: self.path.display().to_string(), problem }
        })
    }

    /// The names of all variables, read or not.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// A variable that need not be there.
    pub fn find(&self, name: &str) -> Option<Place<'_>> {
        Some(Place::new(&self.path, name.into(), self.variables.get(name)?))
    }
}

/// What may still be read.
struct Budget {
    numbers: usize,
    values: usize,
}

impl Budget {
    fn new() -> Self {
        Self { numbers: MOST_NUMBERS, values: MOST_VALUES }
    }

    /// How many numbers an array of this shape has, where so many may still be read.
    fn numbers(&mut self, shape: &[usize]) -> Result<usize, String> {
        let count = shape.iter().try_fold(1usize, |all, size| all.checked_mul(*size));
        let left = count.and_then(|count| self.numbers.checked_sub(count));
        match (count, left) {
            (Some(count), Some(left)) => {
                self.numbers = left;
                Ok(count)
            }
            _ => Err(format!("an array of {shape:?} (at most {MOST_NUMBERS} numbers are read from one file)")),
        }
    }

    /// One more value, `depth` levels down.
    fn value(&mut self, depth: usize) -> Result<(), String> {
        self.values = self.values.checked_sub(1).ok_or(format!("more than {MOST_VALUES} cells and fields"))?;
        if depth > MOST_DEPTH {
            return Err(format!("cells or structures more than {MOST_DEPTH} levels deep"));
        }
        Ok(())
    }
}

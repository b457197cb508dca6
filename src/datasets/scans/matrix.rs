//! Which network was made elsewhere? A square matrix of a file: weights, streamline counts, MRtrix's connectome.

use std::path::Path;

use ndarray::Array2;

use super::series::array;
use super::{Series, wrong};
use crate::acquisition::file::read_table;
use crate::datasets::DatasetError;

/// What arrays of networks are called, in the order in which they are looked for.
const NAMES: [&str; 7] = ["connectivity", "sc", "SC", "connectome", "matrix", "data", "arr_0"];

/// Reads a square matrix of .csv, .tsv, .txt (of blanks or commas, as MRtrix's `tck2connectome` writes it), .npy, .npz or .mat. Where
/// all below the diagonal is 0 and something above is not, it is the half of a symmetric one, and is completed.
///
/// # Errors
/// Unreadable; not square.
pub fn read_matrix(path: &Path) -> Result<Series, DatasetError> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let (names, mut values) = match ending.as_str() {
        "npy" | "npz" | "mat" => (Vec::new(), array(path, &ending, &NAMES)?.1),
        _ => {
            let (names, values, columns) = read_table(path, &[])?;
            let rows = values.len() / columns.max(1);
            let table =
                Array2::from_shape_vec((rows, columns), values).map_err(|error| wrong(path, error.to_string()))?;
            (names, table)
        }
    };
    let (rows, columns) = values.dim();
    if rows != columns {
        return Err(wrong(path, format!("{rows} × {columns} (a network is regions × regions)")));
    }
    let any =
        |below: bool| values.indexed_iter().any(|((i, j), value)| (if below { i > j } else { i < j }) && *value != 0.0);
    if any(false) && !any(true) {
        for i in 0..rows {
            for j in 0..i {
                values[[i, j]] = values[[j, i]];
            }
        }
    }
    Ok(Series { names, values })
}

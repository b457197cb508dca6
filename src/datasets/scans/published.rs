//! Which data sets come as one file? ABIDE's abide.npy turned into an .npz, and BrainGB's .mat files.
//!
//! abide.npy is a pickled dictionary, and a pickle may run any code, so that it is never opened here; numpy turns it into an .npz.

use std::path::Path;

use ndarray::Array3;

use super::wrong;
use crate::datasets::DatasetError;
use crate::datasets::archive::Archive;
use crate::datasets::mat::{Mat, Value};
use crate::datasets::npy::Header;

/// A data set of one file.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Published {
    /// Time series, S × regions × volumes; none where it holds networks only.
    pub series: Option<Array3<f64>>,
    /// Networks by their names there: `corr` and `pcorr` of ABIDE (Fisher's z already), `fMRI` and `DTI` of BrainGB.
    pub networks: Vec<(String, Array3<f64>)>,
    /// A label a sample; empty where there is none.
    pub labels: Vec<String>,
    /// A site a sample; empty where there is none.
    pub sites: Vec<String>,
}

/// Reads such a file.
///
/// # Errors
/// A pickle; no arrays of the names that these layouts have; another number of labels than of networks.
pub fn published(path: &Path) -> Result<Published, DatasetError> {
    let ending = path.extension().unwrap_or_default().to_string_lossy().to_lowercase();
    let all = match ending.as_str() {
        "npy" => {
            let stem = path.file_stem().unwrap_or_default().to_string_lossy();
            return Err(wrong(
                path,
                format!(
                    "a pickled dictionary can run any code, and is not opened. Where you trust it, turn it into an .npz:\n  \
                     import numpy as np\n  np.savez(\"{stem}.npz\", **np.load(\"{stem}.npy\", allow_pickle=True).item())"
                ),
            ));
        }
        "npz" => abide(path)?,
        "mat" => braingb(path)?,
        _ => return Err(wrong(path, "neither a folder of scans, nor an .npz or .mat of networks".into())),
    };
    let counts = all.networks.iter().map(|(name, values)| (name.as_str(), values.dim().0));
    let mut counts: Vec<(&str, usize)> = counts.chain(all.series.iter().map(|s| ("timeseires", s.dim().0))).collect();
    counts.extend([("labels", all.labels.len()), ("sites", all.sites.len())].into_iter().filter(|(_, n)| *n > 0));
    let expected = counts.first().map_or(0, |(_, count)| *count);
    if let Some((name, count)) = counts.iter().find(|(_, count)| *count != expected) {
        let problem = format!("{name} is of {count} samples where there are {expected}");
        return Err(wrong(path, problem));
    }
    Ok(all)
}

/// Keys `timeseires` (as it is spelt there), `corr`, `pcorr`, `label` and `site`.
fn abide(path: &Path) -> Result<Published, DatasetError> {
    let mut file = Archive::open(path)?;
    let mut all = Published::default();
    for name in ["timeseires", "timeseries"] {
        if file.names.contains(name) {
            all.series = Some(file.array(name, Header::matrices)?);
        }
    }
    for name in ["corr", "pcorr"] {
        if file.names.contains(name) {
            all.networks.push((name.to_owned(), file.array(name, Header::matrices)?));
        }
    }
    if all.series.is_none() && all.networks.is_empty() {
        return Err(wrong(path, format!("no timeseires, corr or pcorr in it (there are: {})", file.there())));
    }
    let list = |file: &mut Archive, name: &str| match file.names.contains(name) {
        true => file.array(name, |header, input| match (header.kind.get(1..2), header.shape.as_slice()) {
            (Some("f"), [_]) => Ok(header.numbers(input, |value| value)?.iter().map(f64::to_string).collect()),
            _ => header.texts(input),
        }),
        false => Ok(Vec::new()),
    };
    (all.labels, all.sites) = (list(&mut file, "label")?, list(&mut file, "site")?);
    Ok(all)
}

/// Matrices regions × regions × samples, and a vector `label`.
fn braingb(path: &Path) -> Result<Published, DatasetError> {
    let mat = Mat::read(path, |name| !name.starts_with("__"))?;
    let mut all = Published::default();
    for name in mat.names() {
        let Some(place) = mat.find(name) else { continue };
        let Value::Numbers(numbers) = place.value() else { continue };
        match (numbers.shape.as_slice(), name.to_lowercase().starts_with("label")) {
            (_, true) => all.labels = numbers.values.iter().map(f64::to_string).collect(),
            ([rows, columns, count], _) if rows == columns => {
                let at = |(s, i, j): (usize, usize, usize)| numbers.values.get((s * columns + j) * rows + i);
                let stack =
                    Array3::from_shape_fn((*count, *rows, *columns), |at_| at(at_).copied().unwrap_or(f64::NAN));
                all.networks.push((name.clone(), stack));
            }
            ([rows, columns], _) if rows == columns && *rows > 1 => {
                let at = |(_, i, j): (usize, usize, usize)| numbers.values.get(j * rows + i);
                let one = Array3::from_shape_fn((1, *rows, *columns), |at_| at(at_).copied().unwrap_or(f64::NAN));
                all.networks.push((name.clone(), one));
            }
            _ => {}
        }
    }
    match all.networks.is_empty() {
        true => Err(wrong(
            path,
            format!("no matrix of regions × regions × samples in it (there are: {})", mat.names().join(", ")),
        )),
        false => Ok(all),
    }
}

//! What does a networks.npz hold? One matrix a sample, who each sample is of, and what each region is called.
//!
//! | array | shape | |
//! |---|---|---|
//! | `connectivity` | S × N × N | numbers; symmetric unless `kind` says `directed` |
//! | `participants` | S | text |
//! | `regions` | N | text, each once |
//! | `labels` | S | text or numbers; may be missing, and cells may be empty or `n/a` |
//! | `samples` | S | text; by default the participants |
//! | `kind` | | text, e.g. `pearson` |
//! | `shrinkage`, `threshold`, `sign` | | text, as `neurod network build` was told; may be missing |
//! | `fisher_z` | | text, `true` or `false`; may be missing, and is then `false` |
//! | `covariance` | S × N × N | may be missing |
//! | `view.NAME` | S × N × N | another modality of the same samples; may be missing |
//! | `coordinates` | N × 3 | mm RAS; may be missing |
//!
//! numpy opens it (`numpy.load`), and what numpy.savez wrote under these names is read.

use std::collections::BTreeMap;
use std::path::Path;

use ndarray::{Array2, Array3, ArrayView2, Axis, IxDyn};

use super::DatasetError;
use super::archive::{Archive, Writing};
use super::npy::Header;
use super::participants::is_missing;
use crate::network::{Making, Networks};

/// How far apart, beside the largest value of a matrix, two values may be that should be one: single precision rounds so.
const ASYMMETRY: f64 = 1e-6;

/// Reads the networks of `path`.
///
/// # Errors
/// Unreadable or cut off; an array that is missing or of another shape; fewer than two regions, or one named twice; no sample;
/// a matrix that is not finite, or not symmetric where it should be.
pub fn read(path: &Path) -> Result<Networks, DatasetError> {
    let mut file = Archive::open(path)?;
    let needed = |file: &Archive, name: &str| match file.names.contains(name) {
        true => Ok(()),
        false => {
            let problem = format!(
                "no array \"{name}\" (there are: {}; `neurod network build` makes such a file, docs/networks.md says what is in it)",
                file.there()
            );
            Err(DatasetError::Array { path: path.display().to_string(), problem })
        }
    };
    ["connectivity", "participants", "regions"].iter().try_for_each(|name| needed(&file, name))?;
    let has = |file: &Archive, name: &str| file.names.contains(name);
    let kind = match has(&file, "kind") {
        true => file.array("kind", Header::texts)?.concat(),
        false => "unknown".to_owned(),
    };
    let mut told = |name: &str| match has(&file, name) {
        true => Ok(Some(file.array(name, Header::texts)?.concat()).filter(|text| !text.is_empty())),
        false => Ok::<_, DatasetError>(None),
    };
    let (shrinkage, threshold, sign) = (told("shrinkage")?, told("threshold")?, told("sign")?);
    let fisher_z = match told("fisher_z")?.as_deref() {
        None | Some("false") => false,
        Some("true") => true,
        Some(other) => return Err(file.wrong("fisher_z", format!("\"{other}\" (true or false, as text)"))),
    };
    let making = Making { shrinkage: shrinkage.unwrap_or_else(|| "none".into()), fisher_z, threshold, sign };
    let regions = file.array("regions", Header::texts)?;
    let connectivity = file.array("connectivity", Header::matrices)?;
    let participants = file.array("participants", Header::texts)?;
    let count = connectivity.dim().0;
    let labels = match has(&file, "labels") {
        true => file.array("labels", labels)?,
        false => vec![String::new(); count],
    };
    let samples = match has(&file, "samples") {
        true => file.array("samples", Header::texts)?,
        false => participants.clone(),
    };
    let mut views = BTreeMap::new();
    let names: Vec<String> = file.names.iter().filter(|name| name.starts_with("view.")).cloned().collect();
    for array in names {
        let name = array.trim_start_matches("view.").to_owned();
        views.insert(name, file.array(&array, Header::matrices)?);
    }
    let covariance = has(&file, "covariance").then(|| file.array("covariance", Header::matrices)).transpose()?;
    let coordinates = has(&file, "coordinates")
        .then(|| file.array("coordinates", |header, input| header.matrix(input, |mm| mm)))
        .transpose()?;
    let networks =
        Networks { kind, making, connectivity, views, covariance, samples, participants, labels, regions, coordinates };
    check(&networks).map_err(|(array, problem)| file.wrong(&array, problem))?;
    Ok(networks)
}

/// Writes `networks` to `path`, which is replaced only once all is written.
///
/// # Errors
/// What [`read`] would refuse; what the disk says.
pub fn write(path: &Path, networks: &Networks) -> Result<(), DatasetError> {
    check(networks).map_err(|(array, problem)| DatasetError::Malformed {
        path: path.display().to_string(),
        place: array,
        problem,
    })?;
    let mut file = Writing::new(path)?;
    let list = |count: usize| IxDyn(&[count]);
    file.texts("kind", &[&networks.kind], IxDyn(&[]))?;
    let making = &networks.making;
    file.texts("shrinkage", &[&making.shrinkage], IxDyn(&[]))?;
    file.texts("fisher_z", &[making.fisher_z.to_string()], IxDyn(&[]))?;
    for (name, told) in [("threshold", &making.threshold), ("sign", &making.sign)] {
        if let Some(told) = told {
            file.texts(name, &[told], IxDyn(&[]))?;
        }
    }
    file.texts("samples", &networks.samples, list(networks.len()))?;
    file.texts("participants", &networks.participants, list(networks.len()))?;
    file.texts("labels", &networks.labels, list(networks.len()))?;
    file.texts("regions", &networks.regions, list(networks.nodes()))?;
    file.numbers("connectivity", networks.connectivity.view().into_dyn())?;
    for (name, view) in &networks.views {
        file.numbers(&format!("view.{name}"), view.view().into_dyn())?;
    }
    if let Some(covariance) = &networks.covariance {
        file.numbers("covariance", covariance.view().into_dyn())?;
    }
    if let Some(coordinates) = &networks.coordinates {
        file.numbers("coordinates", coordinates.view().into_dyn())?;
    }
    file.finish()
}

/// Text, or numbers as they are printed: what is to be learned may be a score.
fn labels(header: &Header, input: &mut dyn std::io::Read) -> Result<Vec<String>, String> {
    match (header.kind.get(1..2), header.shape.as_slice()) {
        (Some("f"), [_]) => Ok(header.numbers(input, |value| value)?.iter().map(f64::to_string).collect()),
        _ => header.texts(input),
    }
}

/// The array that is wrong, and what is.
type Wrong = (String, String);

fn check(networks: &Networks) -> Result<(), Wrong> {
    let (count, rows, columns) = networks.connectivity.dim();
    let wrong = |array: &str, problem: String| Err((array.to_owned(), problem));
    if rows != columns {
        return wrong("connectivity", format!("{rows} × {columns} (a network is regions × regions)"));
    }
    if rows < 2 {
        return wrong("connectivity", format!("{rows} region (a network has at least two)"));
    }
    if count == 0 {
        return wrong("connectivity", "no sample (at least one)".into());
    }
    let lists = [
        ("participants", networks.participants.len(), count, "samples"),
        ("labels", networks.labels.len(), count, "samples"),
        ("samples", networks.samples.len(), count, "samples"),
        ("regions", networks.regions.len(), rows, "regions"),
    ];
    if let Some((array, got, expected, what)) = lists.into_iter().find(|(_, got, expected, _)| got != expected) {
        return wrong(array, format!("{got} where connectivity has {expected} {what}"));
    }
    if let Some(at) = networks.participants.iter().position(|name| is_missing(name)) {
        return wrong("participants", format!("sample {at} is of nobody (cross-validation groups by participant)"));
    }
    let mut names: Vec<&String> = networks.regions.iter().collect();
    names.sort_unstable();
    if let Some(twice) = names.windows(2).find_map(|pair| pair.first().filter(|name| Some(*name) == pair.get(1))) {
        return wrong("regions", format!("\"{twice}\" twice (each region has a name of its own)"));
    }
    let directed = networks.kind.split('-').any(|word| word == "directed");
    let own = [("connectivity".to_owned(), &networks.connectivity, directed)].into_iter();
    let views = networks.views.iter().map(|(name, view)| (format!("view.{name}"), view, directed));
    let covariance = networks.covariance.iter().map(|values| ("covariance".to_owned(), values, false));
    own.chain(views).chain(covariance).try_for_each(|(name, values, directed)| {
        matrices(networks, values, directed).map_err(|problem| (name, problem))
    })?;
    match networks.coordinates.as_ref().map(Array2::dim) {
        Some(shape) if shape != (rows, 3) => {
            wrong("coordinates", format!("{} × {} (expected {rows} × 3, in mm)", shape.0, shape.1))
        }
        _ => Ok(()),
    }
}

fn matrices(networks: &Networks, values: &Array3<f64>, directed: bool) -> Result<(), String> {
    let (expected, got) = (networks.connectivity.dim(), values.dim());
    if expected != got {
        return Err(format!("{got:?} where connectivity is {expected:?}"));
    }
    values.axis_iter(Axis(0)).zip(&networks.samples).try_for_each(|(matrix, sample)| {
        sound(matrix, &networks.regions, directed).map_err(|problem| format!("{sample}: {problem}"))
    })
}

/// What is wrong with a matrix: a value that is not finite, or one that is another the other way round.
pub(crate) fn sound(matrix: ArrayView2<'_, f64>, regions: &[String], directed: bool) -> Result<(), String> {
    let name = |i: usize| regions.get(i).map_or("?", String::as_str);
    if let Some(((i, j), value)) = matrix.indexed_iter().find(|(_, value)| !value.is_finite()) {
        return Err(format!("{value} between {} and {} (every value must be finite)", name(i), name(j)));
    }
    if directed {
        return Ok(());
    }
    let most = matrix.iter().fold(0.0f64, |most, value| most.max(value.abs()));
    let transposed = matrix.t();
    let mut pairs = matrix.indexed_iter().zip(transposed.iter());
    match pairs.find(|((_, there), back)| (*there - *back).abs() > ASYMMETRY * most) {
        Some((((i, j), there), back)) => Err(format!(
            "not symmetric: {there} from {} to {} and {back} back (average both, or say that it is directed: kind \"…-directed\")",
            name(j),
            name(i)
        )),
        None => Ok(()),
    }
}

//! The plain folder: `features.npy` (n × F) or `features/*.npy`, `responses.npy` (n × V), and what is known of rows and
//! columns in `runs.tsv` (columns `run`, perhaps `stimulus`) and `regions.tsv` (`voxel`, `region`, `hemisphere`,
//! `network`, and `x`, `y`, `z` in mm RAS).

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{BufReader, Read};
use std::path::{Path, PathBuf};

use ndarray::{Array2, ArrayView1, Axis, s};
use sha2::{Digest, Sha256};

use super::DatasetError;
use super::npy::Header;
use crate::acquisition::file::{Tsv, TsvRow};
use crate::linalg::Real;

/// What is known of one column of the responses.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Voxel {
    /// Its name; by default its number.
    pub name: String,
    /// The region it lies in; `all` where nothing is known.
    pub region: String,
    /// `L` or `R`, or whatever regions.tsv says; empty where nothing is known.
    pub hemisphere: String,
    /// The network it belongs to; empty where nothing is known.
    pub network: String,
    /// Where it lies, in mm RAS.
    pub place: Option<[f64; 3]>,
}

/// The name of each feature space and its number of columns.
type Spaces = Vec<(String, usize)>;

/// A dataset in memory.
pub struct Folder<T> {
    /// Feature spaces side by side: n × F.
    pub features: Array2<T>,
    /// The name of each feature space and its number of columns, in that order.
    pub spaces: Spaces,
    /// n × V.
    pub responses: Array2<T>,
    /// The run of each sample; empty where runs.tsv has no such column, or is not there.
    pub runs: Vec<String>,
    /// The stimulus of each sample, one of its own where it is n/a; empty where runs.tsv has no such column.
    pub stimuli: Vec<String>,
    /// Every column of runs.tsv, `n/a` where a cell is missing, by name.
    pub columns: Vec<(String, Vec<String>)>,
    /// One a column of the responses.
    pub voxels: Vec<Voxel>,
    /// The rows of the files that were [left out](Self::leave_out), ascending.
    pub left_out: Vec<usize>,
    /// SHA-256 of every file that was read, by its name in the folder.
    pub files: Vec<(String, String)>,
}

/// Whether the responses in `folder` are of single precision, and should be computed with as such.
///
/// # Errors
/// They are missing or no array.
pub fn is_single(folder: &Path) -> Result<bool, DatasetError> {
    let path = folder.join("responses.npy");
    let header = Header::read(&mut opened(&path)?).map_err(|problem| array(&path, problem))?;
    Ok(header.kind.get(1..) == Some("f4"))
}

impl<T: Real> Folder<T> {
    /// Reads `folder`, with these of its feature spaces in this order, or with all of them.
    ///
    /// # Errors
    /// A file that is missing, no two-dimensional array of numbers, or of another length; a list that is malformed; a
    /// feature space that is not there.
    pub fn read(folder: &Path, features: &[String]) -> Result<Self, DatasetError> {
        let mut files = Vec::new();
        let responses_path = folder.join("responses.npy");
        let responses: Array2<T> = matrix(&responses_path)?;
        let rows = Some((responses.nrows(), "responses.npy"));
        let (features, spaces) = side_by_side(folder, features, rows, &mut files)?;
        note(folder, &responses_path, &mut files)?;
        let Samples { runs, stimuli, columns } = samples(folder, responses.nrows(), "responses.npy", &mut files)?;
        let path = folder.join("regions.tsv");
        let all = |v: usize| Voxel { name: v.to_string(), region: "all".into(), ..Voxel::default() };
        let mut voxels: Vec<Voxel> = (0..responses.ncols()).map(all).collect();
        if path.exists() {
            let list = list_of(&path, responses.ncols(), "a row of responses.npy")?;
            describe(&list, &mut voxels)?;
            note(folder, &path, &mut files)?;
        }
        Ok(Self { features, spaces, responses, runs, stimuli, columns, voxels, left_out: Vec::new(), files })
    }

    /// The rows that have no features: NaN throughout a space, as `neurod encode features --skip-bad` writes them. A single
    /// hole is a mistake, and none of these.
    pub fn without_features(&self) -> Vec<bool> {
        let missing = |row: ArrayView1<'_, T>| {
            let mut from = 0;
            self.spaces.iter().any(|(_, columns)| {
                let space = row.slice(s![from..from + columns]);
                from += columns;
                !space.is_empty() && space.iter().all(|v| v.wide().is_nan())
            })
        };
        self.features.rows().into_iter().map(missing).collect()
    }

    /// Leaves these rows out: ascending, counted from 0.
    pub fn leave_out(&mut self, rows: Vec<usize>) {
        let kept: Vec<usize> = (0..self.responses.nrows()).filter(|row| rows.binary_search(row).is_err()).collect();
        let of = |names: &[String]| kept.iter().filter_map(|row| names.get(*row).cloned()).collect();
        (self.runs, self.stimuli) = (of(&self.runs), of(&self.stimuli));
        self.columns.iter_mut().for_each(|(_, cells)| *cells = of(cells));
        self.features = self.features.select(Axis(0), &kept);
        self.responses = self.responses.select(Axis(0), &kept);
        self.left_out = rows;
    }

    /// Puts what was computed for the rows that were kept where these rows were; NaN where one was left out.
    pub fn in_place(&self, values: Array2<T>) -> Array2<T> {
        if self.left_out.is_empty() {
            return values;
        }
        let mut out = Array2::from_elem((values.nrows() + self.left_out.len(), values.ncols()), T::of(f64::NAN));
        self.kept().into_iter().zip(values.rows()).for_each(|(row, values)| out.row_mut(row).assign(&values));
        out
    }

    /// Where the rows that were kept stand in the files.
    pub fn kept(&self) -> Vec<usize> {
        let all = self.responses.nrows() + self.left_out.len();
        (0..all).filter(|row| self.left_out.binary_search(row).is_err()).collect()
    }

    /// Reads the features and runs of `folder` alone, to predict responses that nobody measured: none, of no voxel.
    ///
    /// # Errors
    /// As [`read`](Self::read).
    pub fn without_responses(folder: &Path, features: &[String]) -> Result<Self, DatasetError> {
        let mut files = Vec::new();
        let (features, spaces) = side_by_side(folder, features, None, &mut files)?;
        let Samples { runs, stimuli, columns } =
            samples(folder, features.nrows(), "a column of the features", &mut files)?;
        let responses = Array2::from_elem((features.nrows(), 0), T::of(0.0));
        Ok(Self {
            features,
            spaces,
            responses,
            runs,
            stimuli,
            columns,
            voxels: Vec::new(),
            left_out: Vec::new(),
            files,
        })
    }
}

/// Remembers the SHA-256 of a file that was read.
fn note(folder: &Path, path: &Path, files: &mut Vec<(String, String)>) -> Result<(), DatasetError> {
    let name = path.strip_prefix(folder).unwrap_or(path).display().to_string();
    files.push((name, sha256(path)?));
    Ok(())
}

/// The feature spaces and the columns of each, of as many rows as something else has.
fn side_by_side<T: Real>(
    folder: &Path,
    features: &[String],
    mut rows: Option<(usize, &'static str)>,
    files: &mut Vec<(String, String)>,
) -> Result<(Array2<T>, Spaces), DatasetError> {
    let spaces = chosen(feature_files(folder)?, features, folder)?;
    let (mut parts, mut sizes) = (Vec::new(), Vec::new());
    for (name, path) in &spaces {
        let part: Array2<T> = matrix(path)?;
        let (expected, other) = *rows.get_or_insert((part.nrows(), "the first feature space"));
        if part.nrows() != expected {
            let (path, got) = (path.display().to_string(), part.nrows());
            return Err(DatasetError::Rows { path, got, other: other.into(), expected });
        }
        sizes.push((name.clone(), part.ncols()));
        parts.push(part);
        note(folder, path, files)?;
    }
    let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
    let features =
        ndarray::concatenate(Axis(1), &views).map_err(|error| array(&folder.join("features"), error.to_string()))?;
    Ok((features, sizes))
}

/// What runs.tsv says of each sample.
#[derive(Default)]
struct Samples {
    runs: Vec<String>,
    stimuli: Vec<String>,
    columns: Vec<(String, Vec<String>)>,
}

fn samples(
    folder: &Path,
    rows: usize,
    other: &str,
    files: &mut Vec<(String, String)>,
) -> Result<Samples, DatasetError> {
    let path = folder.join("runs.tsv");
    if !path.exists() {
        return Ok(Samples::default());
    }
    let list = list_of(&path, rows, other)?;
    note(folder, &path, files)?;
    let runs = column(&list, "run", true)?;
    Ok(Samples { runs, stimuli: column(&list, "stimulus", false)?, columns: all_columns(&list) })
}

fn array(path: &Path, problem: String) -> DatasetError {
    DatasetError::Array { path: path.display().to_string(), problem }
}

fn feature_files(folder: &Path) -> Result<Vec<(String, PathBuf)>, DatasetError> {
    let single = folder.join("features.npy");
    let several = folder.join("features");
    match (single.exists(), several.is_dir()) {
        (true, false) => return Ok(vec![("features".into(), single)]),
        (true, true) => {
            return Err(array(
                &single,
                "is there, and a folder features beside it (move the file into the folder)".into(),
            ));
        }
        (false, _) => {}
    }
    let missing =
        || array(&single, "is missing (n × F, one row a sample; or features/NAME.npy, one a feature space)".into());
    let listed = std::fs::read_dir(&several).map_err(|_| missing())?;
    let mut found: Vec<(String, PathBuf)> = listed
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "npy"))
        .filter_map(|path| Some((path.file_stem()?.to_string_lossy().into_owned(), path)))
        .collect();
    found.sort();
    if found.is_empty() { Err(missing()) } else { Ok(found) }
}

/// The feature spaces that were asked for, in that order; all of them where none was.
fn chosen(
    found: Vec<(String, PathBuf)>,
    wanted: &[String],
    folder: &Path,
) -> Result<Vec<(String, PathBuf)>, DatasetError> {
    if wanted.is_empty() {
        return Ok(found);
    }
    if let Some(twice) = wanted.iter().enumerate().find(|(i, name)| wanted.iter().skip(i + 1).any(|o| o == *name)) {
        return Err(array(folder, format!("feature space \"{}\" is asked for twice", twice.1)));
    }
    let pick = |name: &String| match found.iter().find(|(known, _)| known == name) {
        Some(space) => Ok(space.clone()),
        None => {
            let names = found.iter().map(|(known, _)| known.as_str()).collect::<Vec<_>>().join(", ");
            Err(array(folder, format!("has no feature space \"{name}\" (there is: {names})")))
        }
    };
    wanted.iter().map(pick).collect()
}

/// What regions.tsv says of each column of the responses.
fn describe(list: &Tsv, voxels: &mut [Voxel]) -> Result<(), DatasetError> {
    let places = ["x", "y", "z"].map(|axis| list.column(axis));
    for (row, voxel) in list.rows().zip(voxels.iter_mut()) {
        let place = places.map(|place| row.get(place?)?.parse::<f64>().ok().filter(|mm| mm.is_finite()));
        if let [Some(x), Some(y), Some(z)] = place {
            voxel.place = Some([x, y, z]);
        }
    }
    list.required("region")?;
    let regions = column(list, "region", true)?;
    voxels.iter_mut().zip(regions).for_each(|(voxel, region)| voxel.region = region);
    let names = column(list, "voxel", true)?;
    voxels.iter_mut().zip(names).for_each(|(voxel, name)| voxel.name = name);
    let mut known = BTreeSet::new();
    if let Some((row, twice)) = list.rows().zip(voxels.iter()).find(|(_, v)| !known.insert((&v.region, &v.name))) {
        return Err(row
            .wrong(format!("voxel \"{}\" of region \"{}\" is there twice", twice.name, twice.region))
            .into());
    }
    let known = |name| list.column(name);
    let (hemisphere, network) = (known("hemisphere"), known("network"));
    for (row, voxel) in list.rows().zip(voxels.iter_mut()) {
        let cell = |place: Option<usize>| place.and_then(|p| row.get(p)).unwrap_or_default().to_owned();
        (voxel.hemisphere, voxel.network) = (cell(hemisphere), cell(network));
    }
    Ok(())
}

/// A matrix of whatever numbers the file holds.
fn matrix<T: Real>(path: &Path) -> Result<Array2<T>, DatasetError> {
    let wrong = |problem: String| array(path, format!("{problem} (a matrix of numbers, saved with numpy.save)"));
    let mut input = opened(path)?;
    Header::read(&mut input).and_then(|header| header.matrix(&mut input, T::of)).map_err(wrong)
}

fn opened(path: &Path) -> Result<BufReader<File>, DatasetError> {
    Ok(BufReader::with_capacity(1 << 16, File::open(path).map_err(|error| array(path, error.to_string()))?))
}

fn list_of(path: &Path, expected: usize, other: &str) -> Result<Tsv, DatasetError> {
    let list = Tsv::read(path)?;
    let got = list.rows().count();
    if got == expected {
        return Ok(list);
    }
    Err(DatasetError::Rows { path: path.display().to_string(), got, other: other.into(), expected })
}

/// Every column, `n/a` where a cell is missing, by name.
fn all_columns(list: &Tsv) -> Vec<(String, Vec<String>)> {
    let cells = |place| list.rows().map(|row| row.get(place).unwrap_or("n/a").to_owned()).collect();
    list.header.iter().enumerate().map(|(place, name)| (name.clone(), cells(place))).collect()
}

/// The cells of a column, none where there is no such column. A row without one is wrong where `each` row needs one, and
/// is otherwise like no other row.
fn column(list: &Tsv, name: &str, each: bool) -> Result<Vec<String>, DatasetError> {
    let Some(place) = list.column(name) else { return Ok(Vec::new()) };
    let cell = |(i, row): (usize, TsvRow<'_>)| match row.get(place) {
        Some(cell) => Ok(cell.to_owned()),
        None if each => Err(row.wrong(format!("no {name} (every row needs one)")).into()),
        None => Ok(format!("n/a {}", i + 1)),
    };
    list.rows().enumerate().map(cell).collect()
}

/// SHA-256 of a file, as 64 hex digits.
///
/// # Errors
/// It cannot be read.
pub fn sha256(path: &Path) -> Result<String, DatasetError> {
    let mut file = File::open(path).map_err(|error| array(path, error.to_string()))?;
    let (mut hash, mut part) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut part).map_err(|error| array(path, error.to_string()))? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => hash.update(part.get(..count).unwrap_or_default()),
        }
    }
}

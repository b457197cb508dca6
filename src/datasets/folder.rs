//! The plain folder: `features.npy` (n × F) or `features/*.npy`, `responses.npy` (n × V), and what is known of rows and
//! columns in `runs.tsv` (columns `run`, perhaps `stimulus`) and `regions.tsv` (`voxel`, `region`, `hemisphere`,
//! `network`, and `x`, `y`, `z` in mm RAS).

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use ndarray::{Array2, Axis};
use ndarray_npy::{ReadNpyError, ReadableElement, read_npy};
use sha2::{Digest, Sha256};

use super::DatasetError;
use crate::acquisition::file::Tsv;
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

/// A dataset in memory.
pub struct Folder<T> {
    /// Feature spaces side by side: n × F.
    pub features: Array2<T>,
    /// The name of each feature space and its number of columns, in that order.
    pub spaces: Vec<(String, usize)>,
    /// n × V.
    pub responses: Array2<T>,
    /// The run of each sample; empty without runs.tsv.
    pub runs: Vec<String>,
    /// The stimulus of each sample; empty where runs.tsv has no such column.
    pub stimuli: Vec<String>,
    /// Every column of runs.tsv, `n/a` where a cell is missing, by name.
    pub columns: Vec<(String, Vec<String>)>,
    /// One a column of the responses.
    pub voxels: Vec<Voxel>,
    /// SHA-256 of every file that was read, by its name in the folder.
    pub files: Vec<(String, String)>,
}

/// Whether the responses in `folder` are of single precision, and should be computed with as such.
///
/// # Errors
/// They are missing or no array.
pub fn is_single(folder: &Path) -> Result<bool, DatasetError> {
    let path = folder.join("responses.npy");
    let mut start = vec![0; 256];
    let mut file = File::open(&path).map_err(|error| array(&path, error.to_string()))?;
    let read = file.read(&mut start).map_err(|error| array(&path, error.to_string()))?;
    start.truncate(read);
    Ok(String::from_utf8_lossy(&start).contains("'<f4'"))
}

impl<T: Real + ReadableElement> Folder<T> {
    /// Reads `folder`, with these of its feature spaces in this order, or with all of them.
    ///
    /// # Errors
    /// A file that is missing, no two-dimensional array of numbers, or of another length; a list that is malformed; a
    /// feature space that is not there.
    pub fn read(folder: &Path, features: &[String]) -> Result<Self, DatasetError> {
        let mut files = Vec::new();
        let mut note = |path: &Path| -> Result<(), DatasetError> {
            let name = path.strip_prefix(folder).unwrap_or(path).display().to_string();
            files.push((name, sha256(path)?));
            Ok(())
        };
        let spaces = chosen(feature_files(folder)?, features, folder)?;
        let (mut parts, mut sizes) = (Vec::new(), Vec::new());
        let responses_path = folder.join("responses.npy");
        let responses: Array2<T> = matrix(&responses_path)?;
        for (name, path) in &spaces {
            let part: Array2<T> = matrix(path)?;
            if part.nrows() != responses.nrows() {
                let (got, expected) = (part.nrows(), responses.nrows());
                let (path, other) = (path.display().to_string(), "responses.npy".into());
                return Err(DatasetError::Rows { path, got, other, expected });
            }
            sizes.push((name.clone(), part.ncols()));
            parts.push(part);
            note(path)?;
        }
        note(&responses_path)?;
        let views: Vec<_> = parts.iter().map(|part| part.view()).collect();
        let features = ndarray::concatenate(Axis(1), &views)
            .map_err(|error| array(&folder.join("features"), error.to_string()))?;
        let (mut runs, mut stimuli, mut columns) = (Vec::new(), Vec::new(), Vec::new());
        let path = folder.join("runs.tsv");
        if path.exists() {
            let list = list_of(&path, responses.nrows(), "responses.npy")?;
            runs = column(&list, "run", true)?;
            stimuli = column(&list, "stimulus", false)?;
            columns = all_columns(&list);
            note(&path)?;
        }
        let path = folder.join("regions.tsv");
        let all = |v: usize| Voxel { name: v.to_string(), region: "all".into(), ..Voxel::default() };
        let mut voxels: Vec<Voxel> = (0..responses.ncols()).map(all).collect();
        if path.exists() {
            let list = list_of(&path, responses.ncols(), "a row of responses.npy")?;
            describe(&list, &mut voxels)?;
            note(&path)?;
        }
        Ok(Self { features, spaces: sizes, responses, runs, stimuli, columns, voxels, files })
    }
}

fn array(path: &Path, problem: String) -> DatasetError {
    DatasetError::Array { path: path.display().to_string(), problem }
}

fn feature_files(folder: &Path) -> Result<Vec<(String, PathBuf)>, DatasetError> {
    let single = folder.join("features.npy");
    if single.exists() {
        return Ok(vec![("features".into(), single)]);
    }
    let several = folder.join("features");
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
    let regions = column(list, "region", true)?;
    voxels.iter_mut().zip(regions).for_each(|(voxel, region)| voxel.region = region);
    let names = column(list, "voxel", false)?;
    voxels.iter_mut().zip(names).for_each(|(voxel, name)| voxel.name = name);
    let known = |name| list.column(name);
    let (hemisphere, network) = (known("hemisphere"), known("network"));
    for (row, voxel) in list.rows().zip(voxels.iter_mut()) {
        let cell = |place: Option<usize>| place.and_then(|p| row.get(p)).unwrap_or_default().to_owned();
        (voxel.hemisphere, voxel.network) = (cell(hemisphere), cell(network));
    }
    Ok(())
}

/// A matrix of whatever numbers the file holds.
fn matrix<T: Real + ReadableElement>(path: &Path) -> Result<Array2<T>, DatasetError> {
    fn other<T: Real, S: ReadableElement + Copy>(path: &Path, wide: fn(S) -> f64) -> Option<Array2<T>> {
        read_npy::<_, Array2<S>>(path).ok().map(|a| a.mapv(|v| T::of(wide(v))))
    }
    match read_npy(path) {
        Ok(found) => Ok(found),
        Err(ReadNpyError::WrongDescriptor(descriptor)) => other::<T, f32>(path, f64::from)
            .or_else(|| other::<T, f64>(path, |v| v))
            .or_else(|| other::<T, i16>(path, f64::from))
            .or_else(|| other::<T, i32>(path, f64::from))
            .or_else(|| other::<T, i64>(path, |v| v as f64))
            .or_else(|| other::<T, u8>(path, f64::from))
            .ok_or_else(|| {
                array(path, format!("holds {descriptor}, no numbers that are known here (save it as float32)"))
            }),
        Err(error) => Err(array(path, format!("{error} (a two-dimensional array of numbers, saved with numpy.save)"))),
    }
}

fn list_of(path: &Path, expected: usize, other: &str) -> Result<Tsv, DatasetError> {
    let list = Tsv::read(path)?;
    let got = list.rows().count();
    if got == expected {
        return Ok(list);
    }
    Err(DatasetError::Rows { path: path.display().to_string(), got, other: other.into(), expected })
}

fn all_columns(list: &Tsv) -> Vec<(String, Vec<String>)> {
    let cells = |place| list.rows().map(|row| row.get(place).unwrap_or("n/a").to_owned()).collect();
    list.header.iter().enumerate().map(|(place, name)| (name.clone(), cells(place))).collect()
}

fn column(list: &Tsv, name: &str, required: bool) -> Result<Vec<String>, DatasetError> {
    let place = if required { Some(list.required(name)?) } else { list.column(name) };
    let Some(place) = place else { return Ok(Vec::new()) };
    let cell = |row: crate::acquisition::file::TsvRow<'_>| match row.get(place) {
        Some(cell) => Ok(cell.to_owned()),
        None => Err(row.wrong(format!("no {name} (every row needs one)")).into()),
    };
    list.rows().map(cell).collect()
}

fn sha256(path: &Path) -> Result<String, DatasetError> {
    let mut file = File::open(path).map_err(|error| array(path, error.to_string()))?;
    let (mut hash, mut part) = (Sha256::new(), vec![0; 1 << 16]);
    loop {
        match file.read(&mut part).map_err(|error| array(path, error.to_string()))? {
            0 => return Ok(hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()),
            count => hash.update(part.get(..count).unwrap_or_default()),
        }
    }
}

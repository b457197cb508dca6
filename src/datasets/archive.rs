//! What lies in a .npz file? Arrays by name, as numpy.savez wrote them; and how one is written so that numpy opens it.

use std::collections::BTreeSet;
use std::fs::{self, File};
use std::io::{BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use ndarray::{ArrayViewD, IxDyn};
use zip::write::SimpleFileOptions;
use zip::{CompressionMethod, ZipArchive, ZipWriter};

use super::DatasetError;
use super::npy::{self, Header};

/// The most arrays of a file.
const MOST_ARRAYS: usize = 4096;
/// How many values are turned into bytes at once.
const PIECE: usize = 1 << 13;

/// A .npz file, opened.
pub(super) struct Archive {
    path: PathBuf,
    archive: ZipArchive<BufReader<File>>,
    /// The names of its arrays, without `.npy`.
    pub(super) names: BTreeSet<String>,
}

impl Archive {
    /// Opens `path`.
    ///
    /// # Errors
    /// Unreadable, or no .npz file.
    pub(super) fn open(path: &Path) -> Result<Self, DatasetError> {
        let wrong = |problem: String| DatasetError::Array { path: path.display().to_string(), problem };
        let file = File::open(path).map_err(|error| wrong(error.to_string()))?;
        let archive = ZipArchive::new(BufReader::with_capacity(1 << 16, file)).map_err(|error| {
            wrong(format!("{error}: no .npz file, or one that is cut off (save it with numpy.savez)"))
        })?;
        if archive.len() > MOST_ARRAYS {
            return Err(wrong(format!("{} arrays (at most {MOST_ARRAYS} are read)", archive.len())));
        }
        let names = archive.file_names().filter_map(|name| Some(name.ok()?.strip_suffix(".npy")?.to_owned())).collect();
        Ok(Self { path: path.into(), archive, names })
    }

    /// The file.
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// The names of its arrays, for a message.
    pub(super) fn there(&self) -> String {
        self.names.iter().map(String::as_str).collect::<Vec<_>>().join(", ")
    }

    /// What is wrong with one of its arrays.
    pub(super) fn wrong(&self, array: &str, problem: impl Into<String>) -> DatasetError {
        let (path, place) = (self.path.display().to_string(), array.to_owned());
        DatasetError::Malformed { path, place, problem: problem.into() }
    }

    /// Reads one array by `read`, which is given its header and what follows it.
    ///
    /// # Errors
    /// There is none of that name, it is damaged, or what `read` says.
    pub(super) fn array<R>(
        &mut self,
        name: &str,
        read: impl FnOnce(&Header, &mut dyn Read) -> Result<R, String>,
    ) -> Result<R, DatasetError> {
        let (path, place) = (self.path.display().to_string(), name.to_owned());
        let wrong = |problem: String| DatasetError::Malformed { path, place, problem };
        let mut input = match self.archive.by_name(&format!("{name}.npy")) {
            Ok(input) => input,
            Err(error) => return Err(wrong(format!("{error} (the file is cut off or damaged: copy it again)"))),
        };
        Header::read(&mut input).and_then(|header| read(&header, &mut input)).map_err(wrong)
    }
}

/// A .npz file on its way: written beside its place, and there only once it is whole.
pub(super) struct Writing {
    path: PathBuf,
    partial: PathBuf,
    zip: Option<ZipWriter<BufWriter<File>>>,
}

impl Writing {
    /// Begins one that will stand at `path`.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn new(path: &Path) -> Result<Self, DatasetError> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let partial = path.with_file_name(format!(".{name}.partial-{}", std::process::id()));
        let file = File::create(&partial).map_err(|error| failed(path, &error))?;
        Ok(Self { path: path.into(), partial, zip: Some(ZipWriter::new(BufWriter::new(file))) })
    }

    /// Adds an array of numbers.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn numbers(&mut self, name: &str, values: ArrayViewD<'_, f64>) -> Result<(), DatasetError> {
        let mut bytes = Vec::with_capacity(PIECE * 8);
        let values = values.as_standard_layout();
        let pieces = values.as_slice().unwrap_or_default();
        self.entry(name, "<f8", values.shape(), values.len() * 8, |out| {
            for piece in pieces.chunks(PIECE) {
                bytes.clear();
                piece.iter().for_each(|value| bytes.extend(value.to_le_bytes()));
                out.write_all(&bytes)?;
            }
            Ok(())
        })
    }

    /// Adds an array of text: of no dimension where `values` is one text and `alone`.
    ///
    /// # Errors
    /// What the disk says.
    pub(super) fn texts<S: AsRef<str>>(&mut self, name: &str, values: &[S], shape: IxDyn) -> Result<(), DatasetError> {
        // numpy has no text of no width.
        let width = values.iter().map(|text| text.as_ref().chars().count()).max().unwrap_or(0).max(1);
        let kind = format!("<U{width}");
        self.entry(name, &kind, ndarray::Dimension::slice(&shape), values.len() * width * 4, |out| {
            for text in values {
                let codes = text.as_ref().chars().map(u32::from).chain(std::iter::repeat(0)).take(width);
                codes.map(u32::to_le_bytes).try_for_each(|code| out.write_all(&code))?;
            }
            Ok(())
        })
    }

    fn entry(
        &mut self,
        name: &str,
        kind: &str,
        shape: &[usize],
        size: usize,
        write: impl FnOnce(&mut dyn Write) -> std::io::Result<()>,
    ) -> Result<(), DatasetError> {
        let Some(zip) = &mut self.zip else { return Ok(()) };
        // Numbers hardly shrink, and what is stored as it is can be mapped. Past 4 GiB an entry needs long fields.
        let options = SimpleFileOptions::default()
            .compression_method(CompressionMethod::Stored)
            .large_file(size >= u32::MAX as usize - (1 << 20));
        let done = zip.start_file(format!("{name}.npy"), options).map_err(std::io::Error::from);
        let done = done.and_then(|()| zip.write_all(&npy::header(kind, shape))).and_then(|()| write(zip));
        done.map_err(|error| failed(&self.path, &error))
    }

    /// Moves it to its place.
    ///
    /// # Errors
    /// What the disk says; what stood there is then as it was.
    pub(super) fn finish(mut self) -> Result<(), DatasetError> {
        let Some(zip) = self.zip.take() else { return Ok(()) };
        let done = zip.finish().map_err(std::io::Error::from);
        let done = done.and_then(|file| file.into_inner().map_err(std::io::IntoInnerError::into_error));
        let done = done.and_then(|file| file.sync_all()).and_then(|()| fs::rename(&self.partial, &self.path));
        done.map_err(|error| failed(&self.path, &error))
    }
}

impl Drop for Writing {
    fn drop(&mut self) {
        // Gone already where it was finished.
        let _ = fs::remove_file(&self.partial);
    }
}

fn failed(path: &Path, error: &std::io::Error) -> DatasetError {
    DatasetError::Array { path: path.display().to_string(), problem: error.to_string() }
}

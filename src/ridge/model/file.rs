//! How is a model laid down? As a safetensors file: eight bytes of length, a JSON header, then little-endian arrays.
//!
//! The header's `__metadata__` says what the file is (`format`, `version`), describes the model (`description`, JSON as
//! text), and holds a SHA-256 over the whole file in which its own 64 digits are written as zeros. So any reader of
//! safetensors opens it, and this one takes nothing from a file that was cut, changed, or made by something else. No size
//! that a file claims is believed before it is compared with the file's length.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, BufWriter, Read, Write};
use std::path::Path;

use serde::Deserialize;
use sha2::{Digest, Sha256};

use super::ModelError;

const FORMAT: &str = "neurod.model";
const VERSION: &str = "1";
/// The longest header: names of a million voxels fit.
const LARGEST_HEADER: u64 = 256 << 20;
/// The largest file.
const LARGEST_FILE: u64 = 64 << 30;
/// What stands in the digest's place while it is computed.
const BLANK: &str = "0000000000000000000000000000000000000000000000000000000000000000";
/// Values written or read at once.
const PART: usize = 1 << 13;

/// A named array of f64, row-major.
pub(super) struct Tensor<'a> {
    pub name: &'static str,
    pub shape: Vec<usize>,
    pub values: &'a [f64],
}

/// What a file holds.
pub(super) struct Contents {
    /// JSON.
    pub description: String,
    /// SHA-256 over the file, in hex.
    pub sha256: String,
    /// Shape and values, row-major.
    pub tensors: BTreeMap<String, (Vec<usize>, Vec<f64>)>,
}

fn failed(path: &Path) -> impl Fn(io::Error) -> ModelError + '_ {
    move |error| ModelError::Io { path: path.display().to_string(), error }
}

fn hex(hash: Sha256) -> String {
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Writes a file beside `path`, syncs it and moves it there; its SHA-256.
pub(super) fn write(path: &Path, description: &str, tensors: &[Tensor<'_>]) -> Result<String, ModelError> {
    let mut table = serde_json::Map::new();
    let metadata = serde_json::json!({
        "format": FORMAT, "version": VERSION, "sha256": BLANK, "description": description,
    });
    table.insert("__metadata__".into(), metadata);
    let mut at = 0;
    for Tensor { name, shape, values } in tensors {
        let end = at + 8 * values.len() as u64;
        table.insert((*name).into(), serde_json::json!({ "dtype": "F64", "shape": shape, "data_offsets": [at, end] }));
        at = end;
    }
    let mut header = serde_json::Value::Object(table).to_string();
    // So that arrays stand aligned.
    header += &" ".repeat(header.len().next_multiple_of(8) - header.len());
    let length = (header.len() as u64).to_le_bytes();

    let mut hash = Sha256::new();
    hash.update(length);
    hash.update(&header);
    let parts = || tensors.iter().flat_map(|tensor| tensor.values.chunks(PART)).map(bytes);
    parts().for_each(|part| hash.update(part));
    let sha256 = hex(hash);

    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let partial = path.with_file_name(format!(".{name}.partial"));
    let put = || -> io::Result<()> {
        let mut file = BufWriter::new(File::create(&partial)?);
        file.write_all(&length)?;
        file.write_all(header.replacen(&quoted(BLANK), &quoted(&sha256), 1).as_bytes())?;
        parts().try_for_each(|part| file.write_all(&part))?;
        file.into_inner()?.sync_all()
    };
    if let Err(error) = put().and_then(|()| fs::rename(&partial, path)) {
        // Best effort: what matters is that the write failed.
        let _ = fs::remove_file(&partial);
        return Err(failed(path)(error));
    }
    Ok(sha256)
}

/// As it stands in the header, and nowhere within the description, whose quotes are escaped.
fn quoted(digest: &str) -> String {
    format!("\"{digest}\"")
}

fn bytes(values: &[f64]) -> Vec<u8> {
    values.iter().flat_map(|value| value.to_le_bytes()).collect()
}

#[derive(Deserialize)]
struct Header {
    #[serde(rename = "__metadata__")]
    metadata: Metadata,
    #[serde(flatten)]
    tensors: BTreeMap<String, Entry>,
}

#[derive(Deserialize)]
struct Metadata {
    format: String,
    version: String,
    sha256: String,
    description: String,
}

#[derive(Deserialize)]
struct Entry {
    dtype: String,
    shape: Vec<usize>,
    data_offsets: [u64; 2],
}

/// Reads a whole file and checks it.
pub(super) fn read(path: &Path) -> Result<Contents, ModelError> {
    let wrong = |problem: String| ModelError::NoModel { path: path.display().to_string(), problem };
    let damaged = |problem: &str| ModelError::Damaged { path: path.display().to_string(), problem: problem.into() };
    let mut file = File::open(path).map_err(failed(path))?;
    let size = file.metadata().map_err(failed(path))?.len();
    let mut length = [0; 8];
    if size < 8 {
        return Err(wrong(format!("it has {size} bytes")));
    }
    file.read_exact(&mut length).map_err(failed(path))?;
    let header_size = u64::from_le_bytes(length);
    if header_size > LARGEST_HEADER || size > LARGEST_FILE {
        return Err(wrong(format!("a header of {header_size} bytes in a file of {size} is beyond its bounds")));
    }
    let Some(room) = (size - 8).checked_sub(header_size) else {
        return Err(damaged("it ends within its header"));
    };
    let mut header = vec![0; header_size as usize];
    file.read_exact(&mut header).map_err(failed(path))?;
    let text = std::str::from_utf8(&header).map_err(|_| wrong("its header is not UTF-8".into()))?;
    let Header { metadata, tensors } =
        serde_json::from_str(text).map_err(|error| wrong(format!("its header cannot be read: {error}")))?;
    if metadata.format != FORMAT {
        return Err(wrong(format!("its format is {:?}", metadata.format)));
    }
    if metadata.version != VERSION {
        let (path, found) = (path.display().to_string(), metadata.version);
        return Err(ModelError::Version { path, found, known: VERSION });
    }
    let mut order: Vec<(&String, &Entry)> = tensors.iter().collect();
    order.sort_by_key(|(_, entry)| entry.data_offsets);
    let mut at = 0;
    for (name, Entry { dtype, shape, data_offsets: [from, to] }) in &order {
        let width = width(dtype).ok_or_else(|| wrong(format!("{name} is of type {dtype} (F64 or F32 are known)")))?;
        let size = shape.iter().try_fold(width, |size, n| size.checked_mul(*n as u64));
        if *from != at || size.and_then(|size| from.checked_add(size)) != Some(*to) || *to > room {
            return Err(match *to > room {
                true => damaged("it ends within its arrays"),
                false => wrong(format!("{name} does not lie where its shape says")),
            });
        }
        at = *to;
    }
    if at != room {
        return Err(damaged("bytes are left over after its arrays"));
    }

    let mut hash = Sha256::new();
    hash.update(length);
    hash.update(text.replacen(&quoted(&metadata.sha256), &quoted(BLANK), 1));
    let mut read = BTreeMap::new();
    for (name, entry) in order {
        let values = values(&mut file, entry, &mut hash).map_err(failed(path))?;
        read.insert(name.clone(), (entry.shape.clone(), values));
    }
    let sha256 = hex(hash);
    if sha256 != metadata.sha256 {
        return Err(damaged("its SHA-256 is another than it says"));
    }
    if let Some((name, _)) = read.iter().find(|(_, (_, values))| values.iter().any(|v| !v.is_finite())) {
        return Err(wrong(format!("{name} holds a number that is not finite")));
    }
    Ok(Contents { description: metadata.description, sha256, tensors: read })
}

fn width(dtype: &str) -> Option<u64> {
    match dtype {
        "F64" => Some(8),
        "F32" => Some(4),
        _ => None,
    }
}

/// The values of one array, which is known to lie within the file.
fn values(file: &mut File, entry: &Entry, hash: &mut Sha256) -> io::Result<Vec<f64>> {
    let [from, to] = entry.data_offsets;
    let single = entry.dtype == "F32";
    let mut left = (to - from) as usize;
    let mut values = Vec::with_capacity(left / if single { 4 } else { 8 });
    let mut part = vec![0; PART * 8];
    while left > 0 {
        let some = part.get_mut(..left.min(PART * 8)).unwrap_or_default();
        file.read_exact(some)?;
        hash.update(&*some);
        match single {
            true => values.extend(some.as_chunks::<4>().0.iter().map(|b| f64::from(f32::from_le_bytes(*b)))),
            false => values.extend(some.as_chunks::<8>().0.iter().map(|b| f64::from_le_bytes(*b))),
        }
        left -= some.len();
    }
    Ok(values)
}

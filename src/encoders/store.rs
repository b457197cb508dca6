//! Which features are on disk? A file that only grows, one a model and layer: what was encoded once is never encoded again.
//!
//! After 16 bytes of head (`NEURODF1`, then the length of a feature as a little-endian u64) come entries: 32 bytes of key
//! (SHA-256 of a stimulus), the feature as little-endian float32, and the first 8 bytes of the SHA-256 of both. Whoever is
//! killed while writing leaves at most one entry that fails its check; the next to open the file cuts it off.
//!
//! **Invariants.** What [`get`](FeatureStore::get) gives is what was put in, bit for bit. One process has the file.
//!
//! ```
//! use neurod::encoders::FeatureStore;
//! let folder = tempfile::tempdir()?;
//! let path = folder.path().join("minilm.features");
//! FeatureStore::open(&path, 2)?.put(&[7; 32], &[1.0, 2.0])?;
//! assert_eq!(FeatureStore::open(&path, 2)?.get(&[7; 32])?, Some(vec![1.0, 2.0]));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

use std::collections::HashMap;
use std::fs::{File, TryLockError};
use std::io::{BufReader, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};

use super::EncoderError;

const MAGIC: &[u8; 8] = b"NEURODF1";
const HEAD: usize = 16;
const KEY: usize = 32;
const CHECK: usize = 8;

/// SHA-256 of a stimulus: of a text's or a file's bytes.
pub type StimulusKey = [u8; KEY];

/// The features of one model's layer, on disk.
#[derive(Debug)]
pub struct FeatureStore {
    path: PathBuf,
    file: File,
    dims: usize,
    /// Where each feature begins.
    places: HashMap<StimulusKey, u64>,
    end: u64,
}

impl FeatureStore {
    /// Opens the file, or makes it; its folder too. An entry that was cut short is cut off.
    ///
    /// # Errors
    /// The file cannot be read or written, another process has it, or it holds something else.
    pub fn open(path: &Path, dims: usize) -> Result<Self, EncoderError> {
        let failed = |error| EncoderError::Io { path: path.into(), error };
        let other = |problem: &str| failed(std::io::Error::other(problem.to_owned()));
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(failed)?;
        }
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path).map_err(failed)?;
        file.try_lock().map_err(|error| match error {
            TryLockError::WouldBlock => {
                other("another process is encoding with this model (wait for it, or set --cache)")
            }
            TryLockError::Error(error) => failed(error),
        })?;
        let mut store = Self { path: path.into(), file, dims, places: HashMap::new(), end: HEAD as u64 };
        let head = [MAGIC.as_slice(), &(dims as u64).to_le_bytes()].concat();
        let mut found = Vec::new();
        let mut reader = BufReader::with_capacity(1 << 18, &store.file);
        (&mut reader).take(HEAD as u64).read_to_end(&mut found).map_err(failed)?;
        if found != head {
            // Cut short while it was made.
            if !head.starts_with(&found) {
                return Err(other("no features of this model (remove it, or set --cache to another folder)"));
            }
            store.file.set_len(0).and_then(|()| store.file.write_all_at(&head, 0)).map_err(failed)?;
            return Ok(store);
        }
        let mut entry = vec![0; store.entry()];
        while reader.read_exact(&mut entry).is_ok() {
            let (body, check) = entry.split_at(entry.len() - CHECK);
            let Some(key) = body.first_chunk::<KEY>().filter(|_| checksum(body) == check) else { break };
            store.places.insert(*key, store.end + KEY as u64);
            store.end += entry.len() as u64;
        }
        drop(reader);
        store.file.set_len(store.end).map_err(failed)?;
        Ok(store)
    }

    fn entry(&self) -> usize {
        KEY + 4 * self.dims + CHECK
    }

    /// How many features it holds.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }

    /// Whether it holds the feature of this stimulus.
    pub fn contains(&self, key: &StimulusKey) -> bool {
        self.places.contains_key(key)
    }

    /// The feature of a stimulus, if it is there.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn get(&self, key: &StimulusKey) -> Result<Option<Vec<f32>>, EncoderError> {
        let Some(place) = self.places.get(key) else { return Ok(None) };
        let mut bytes = vec![0; 4 * self.dims];
        let read = self.file.read_exact_at(&mut bytes, *place);
        read.map_err(|error| EncoderError::Io { path: self.path.clone(), error })?;
        let (values, _) = bytes.as_chunks::<4>();
        Ok(Some(values.iter().map(|value| f32::from_le_bytes(*value)).collect()))
    }

    /// Adds a feature of `dims` values; one that is there stays.
    ///
    /// # Errors
    /// The file cannot be written, or the feature is of another length.
    pub fn put(&mut self, key: &StimulusKey, feature: &[f32]) -> Result<(), EncoderError> {
        if self.contains(key) {
            return Ok(());
        }
        let failed = |error| EncoderError::Io { path: self.path.clone(), error };
        if feature.len() != self.dims {
            let problem = format!("a feature of {} values where {} belong", feature.len(), self.dims);
            return Err(failed(std::io::Error::other(problem)));
        }
        let mut entry = Vec::with_capacity(self.entry());
        entry.extend_from_slice(key);
        entry.extend(feature.iter().flat_map(|value| value.to_le_bytes()));
        let check = checksum(&entry);
        entry.extend_from_slice(&check);
        self.file.seek(SeekFrom::Start(self.end)).and_then(|_| self.file.write_all(&entry)).map_err(failed)?;
        self.places.insert(*key, self.end + KEY as u64);
        self.end += entry.len() as u64;
        Ok(())
    }
}

fn checksum(bytes: &[u8]) -> [u8; CHECK] {
    let mut check = [0; CHECK];
    check.copy_from_slice(&Sha256::digest(bytes)[..CHECK]);
    check
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(of: u8) -> StimulusKey {
        [of; KEY]
    }

    #[test]
    fn however_short_the_file_is_cut_all_whole_entries_are_there_and_more_can_be_added() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("deeper/store.features");
        let mut store = FeatureStore::open(&path, 3).unwrap();
        let feature = |of: u8| vec![f32::from(of), f32::MIN_POSITIVE, -0.1];
        (0..4).for_each(|of| store.put(&key(of), &feature(of)).unwrap());
        drop(store);
        let whole = std::fs::read(&path).unwrap();
        assert_eq!(whole.len(), HEAD + 4 * (KEY + 12 + CHECK));
        for cut in 0..whole.len() {
            std::fs::write(&path, &whole[..cut]).unwrap();
            let mut store = FeatureStore::open(&path, 3).unwrap();
            let entries = cut.saturating_sub(HEAD) / store.entry();
            assert_eq!(store.len(), entries);
            (0..4).for_each(|of| store.put(&key(of), &feature(of)).unwrap());
            drop(store);
            assert!(std::fs::read(&path).unwrap() == whole, "cut at {cut}");
        }
    }

    #[test]
    fn a_bit_that_flipped_ends_what_is_trusted() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.features");
        let mut store = FeatureStore::open(&path, 1).unwrap();
        (0..3).for_each(|of| store.put(&key(of), &[f32::from(of)]).unwrap());
        let entry = store.entry();
        drop(store);
        let mut bytes = std::fs::read(&path).unwrap();
        bytes[HEAD + entry + KEY] ^= 1;
        std::fs::write(&path, bytes).unwrap();
        let store = FeatureStore::open(&path, 1).unwrap();
        assert_eq!((store.get(&key(0)).unwrap(), store.get(&key(1)).unwrap(), store.len()), (Some(vec![0.0]), None, 1));
    }

    #[test]
    fn a_file_of_others_is_left_alone_and_two_processes_do_not_mix() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("store.features");
        std::fs::write(&path, "somebody's notes, longer than a head").unwrap();
        let error = FeatureStore::open(&path, 1).unwrap_err().to_string();
        assert!(error.contains("no features of this model"), "{error}");
        assert!(std::fs::read(&path).unwrap().starts_with(b"somebody"));
        let path = folder.path().join("other.features");
        let held = FeatureStore::open(&path, 1).unwrap();
        let error = FeatureStore::open(&path, 1).unwrap_err().to_string();
        assert!(error.contains("another process"), "{error}");
        drop(held);
        assert!(FeatureStore::open(&path, 2).unwrap_err().to_string().contains("no features of this model"));
    }
}

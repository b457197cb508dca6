//! How does a learner survive the process? Two generations on disk, each whole or not there.
//!
//! A save writes a new file beside the old one, syncs it, makes the old one the older generation and renames the new one
//! into its place, then syncs the folder: at every instant at least one generation is complete. A file carries a magic, a
//! version, its length and a SHA-256 over all of it, so a torn or flipped one is never taken for a state. What it was
//! made with is in it too: a learner of other features, targets, lags or λ refuses it by name. Numbers are
//! little-endian; nothing in it is ever executed.

use std::fs::{self, File};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};

use sha2::{Digest, Sha256};
use thiserror::Error;

use super::state::{Reader, StateError, Writer};
use super::{LagsConfig, Learner, RidgeConfig};

const MAGIC: [u8; 8] = *b"NRDRIDGE";
const VERSION: u64 = 2;
/// Magic, version, length of the payload, SHA-256 over these three and the payload.
const HEADER: usize = 8 + 8 + 8 + 32;

/// What a learner was made with, so that a checkpoint of another one is refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fingerprint(Vec<(String, String)>);

impl Fingerprint {
    /// Of a learner whose row is made of `features` (encoder file hashes, channel names: whatever names them) through
    /// `lags`, and whose targets are `targets`.
    pub fn new<F: AsRef<str>, T: AsRef<str>>(
        features: &[F],
        targets: &[T],
        lags: &LagsConfig,
        config: &RidgeConfig,
    ) -> Self {
        let json = |value: Result<String, serde_json::Error>| value.unwrap_or_default();
        Self(vec![
            ("features".into(), format!("{} of hash {}", features.len(), hash(features))),
            ("targets".into(), format!("{} of hash {}", targets.len(), hash(targets))),
            ("lags".into(), json(serde_json::to_string(lags))),
            ("lambda".into(), json(serde_json::to_string(&config.lambda))),
            ("memory".into(), json(serde_json::to_string(&config.memory))),
            ("skill.window".into(), config.skill.window.to_string()),
        ])
    }

    /// Of a learner that began with the model of this SHA-256.
    pub fn of_model(mut self, sha256: &str) -> Self {
        self.0.push(("model".into(), sha256.into()));
        self
    }

    fn save(&self, to: &mut Writer) {
        to.usize(self.0.len());
        for (key, value) in &self.0 {
            to.text(key);
            to.text(value);
        }
    }

    fn load(from: &mut Reader<'_>) -> Result<Self, StateError> {
        let entries = from.index(65, "entries of the fingerprint")?;
        let text = |from: &mut Reader<'_>| from.text(65_536, "length of a fingerprint entry");
        (0..entries).map(|_| Ok((text(from)?, text(from)?))).collect::<Result<_, _>>().map(Self)
    }

    /// The first entry of `other` that is not as here: key, theirs, ours.
    fn difference(&self, other: &Fingerprint) -> Option<(String, String, String)> {
        let of = |entries: &Fingerprint, key: &str| {
            entries.0.iter().find(|(k, _)| k == key).map_or_else(|| "nothing".to_owned(), |(_, v)| v.clone())
        };
        let keys = self.0.iter().chain(&other.0).map(|(key, _)| key);
        keys.map(|key| (key.clone(), of(other, key), of(self, key))).find(|(_, theirs, ours)| theirs != ours)
    }
}

/// The first 12 hex digits of the SHA-256 over names.
fn hash<S: AsRef<str>>(names: &[S]) -> String {
    let mut hash = Sha256::new();
    for name in names {
        hash.update(name.as_ref());
        hash.update([0]);
    }
    hash.finalize().iter().take(6).map(|byte| format!("{byte:02x}")).collect()
}

/// Why there is no checkpoint.
#[derive(Debug, Error)]
pub enum CheckpointError {
    /// The name would not make a file name.
    #[error("checkpoint name \"{0}\" must be made of letters, digits, \"-\", \"_\" and inner dots")]
    Name(String),
    /// The system refused.
    #[error("{path}: {error} (checkpoints need a folder that can be written: set session.state_dir)")]
    Io {
        /// The file or folder.
        path: String,
        /// What the system said.
        error: io::Error,
    },
    /// It was made with something else.
    #[error(
        "{path}: was made with {key} = {theirs}, the configuration says {ours} \
         (change it back, or move the file away to begin anew)"
    )]
    Mismatch {
        /// The file.
        path: String,
        /// What differs.
        key: String,
        /// What the file was made with.
        theirs: String,
        /// What the configuration says.
        ours: String,
    },
    /// Both generations are damaged, or the only one is.
    #[error("{path}: {newest}; {older_path}: {older} (move both away to begin anew)")]
    Damaged {
        /// The newest.
        path: String,
        /// What is wrong with it.
        newest: String,
        /// The one before.
        older_path: String,
        /// What is wrong with that.
        older: String,
    },
}

/// What was restored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Loaded {
    /// The file it came from.
    pub path: PathBuf,
    /// Where the newest generation could not be used: why. It is kept beside, as `.damaged`. To be said loudly.
    pub why_older: Option<String>,
}

/// The two generations of one learner's state: `NAME.ckpt` and `NAME.previous.ckpt` in a folder.
///
/// ```
/// use neurod::ridge::{Checkpoint, Fingerprint, LagsConfig, Learner, RidgeConfig};
///
/// let config = RidgeConfig::default();
/// let fingerprint = Fingerprint::new(&["a"], &["insula"], &LagsConfig::Fir(vec![2.0]), &config);
/// let mut learner = Learner::new(1, 1, &config)?;
/// let folder = tempfile::tempdir()?;
/// let checkpoint = Checkpoint::new(folder.path(), "regions", fingerprint)?;
/// assert!(checkpoint.load(&mut learner)?.is_none());
/// checkpoint.save(&learner)?;
/// assert!(checkpoint.load(&mut learner)?.is_some());
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Checkpoint {
    folder: PathBuf,
    name: String,
    fingerprint: Fingerprint,
}

/// One generation could not be used.
enum Unusable {
    Missing,
    Damaged(String),
    Fatal(CheckpointError),
}

impl Checkpoint {
    /// Of the learner `name`, in `folder`. Touches nothing yet.
    ///
    /// # Errors
    /// A name that would not make a file name.
    pub fn new(folder: &Path, name: &str, fingerprint: Fingerprint) -> Result<Self, CheckpointError> {
        let allowed = |c: char| c.is_alphanumeric() || matches!(c, '-' | '_' | '.');
        if name.is_empty() || name.len() > 200 || name.starts_with('.') || !name.chars().all(allowed) {
            return Err(CheckpointError::Name(name.to_owned()));
        }
        Ok(Self { folder: folder.to_owned(), name: name.to_owned(), fingerprint })
    }

    /// The newest generation.
    pub fn newest(&self) -> PathBuf {
        self.folder.join(format!("{}.ckpt", self.name))
    }

    /// The generation before.
    pub fn older(&self) -> PathBuf {
        self.folder.join(format!("{}.previous.ckpt", self.name))
    }

    /// Saves `learner` as the newest generation; how many bytes that took. The folder is made if it is missing.
    ///
    /// # Errors
    /// What the system refused, with the path. The generations there are stay usable.
    pub fn save(&self, learner: &Learner) -> Result<u64, CheckpointError> {
        let mut state = Writer::default();
        self.fingerprint.save(&mut state);
        learner.save(&mut state);
        let payload = state.into_bytes();
        let sum = checksum(payload.len() as u64, &payload);

        let temporary = self.folder.join(format!("{}.ckpt.new", self.name));
        let failed = |path: &Path| {
            let path = path.display().to_string();
            move |error| CheckpointError::Io { path, error }
        };
        fs::create_dir_all(&self.folder).map_err(failed(&self.folder))?;
        let write = || -> io::Result<()> {
            let mut file = File::create(&temporary)?;
            file.write_all(&MAGIC)?;
            file.write_all(&VERSION.to_le_bytes())?;
            file.write_all(&(payload.len() as u64).to_le_bytes())?;
            file.write_all(&sum)?;
            file.write_all(&payload)?;
            file.sync_all()
        };
        if let Err(error) = write() {
            // Best effort: what matters is that the write failed. A full disk should not stay full for our sake.
            let _ = fs::remove_file(&temporary);
            return Err(failed(&temporary)(error));
        }
        match fs::rename(self.newest(), self.older()) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(failed(&self.newest())(error)),
            _ => {}
        }
        fs::rename(&temporary, self.newest()).map_err(failed(&temporary))?;
        File::open(&self.folder).and_then(|folder| folder.sync_all()).map_err(failed(&self.folder))?;
        Ok((HEADER + payload.len()) as u64)
    }

    /// Makes `learner` what the newest usable generation says; `None` when there is none. A newest generation that is
    /// damaged is put aside as `.damaged` and the older one used: [`Loaded::why_older`] says why.
    ///
    /// # Errors
    /// A generation made with something else, both damaged, or what the system refused. `learner` is then unchanged.
    pub fn load(&self, learner: &mut Learner) -> Result<Option<Loaded>, CheckpointError> {
        let (newest, older) = (self.newest(), self.older());
        let problem = match self.load_one(&newest, learner) {
            Ok(()) => return Ok(Some(Loaded { path: newest, why_older: None })),
            Err(Unusable::Fatal(error)) => return Err(error),
            Err(Unusable::Damaged(problem)) => Some(problem),
            Err(Unusable::Missing) => None,
        };
        match self.load_one(&older, learner) {
            Ok(()) => {
                if problem.is_some() {
                    // Else the next save would put it in the place of the good one.
                    let _ = fs::rename(&newest, newest.with_extension("ckpt.damaged"));
                }
                let why = problem.unwrap_or_else(|| "is missing (the last save was cut off)".to_owned());
                Ok(Some(Loaded { path: older, why_older: Some(format!("{}: {why}", newest.display())) }))
            }
            Err(Unusable::Fatal(error)) => Err(error),
            Err(Unusable::Missing) if problem.is_none() => Ok(None),
            Err(other) => Err(CheckpointError::Damaged {
                path: newest.display().to_string(),
                newest: problem.unwrap_or_else(|| "is missing".to_owned()),
                older_path: older.display().to_string(),
                older: match other {
                    Unusable::Damaged(problem) => problem,
                    _ => "is missing".to_owned(),
                },
            }),
        }
    }

    fn load_one(&self, path: &Path, learner: &mut Learner) -> Result<(), Unusable> {
        let payload = read(path, learner.largest_state())?;
        let damaged = |error: StateError| Unusable::Damaged(error.to_string());
        let mut from = Reader::new(&payload);
        let theirs = Fingerprint::load(&mut from).map_err(damaged)?;
        if let Some((key, theirs, ours)) = self.fingerprint.difference(&theirs) {
            let path = path.display().to_string();
            return Err(Unusable::Fatal(CheckpointError::Mismatch { path, key, theirs, ours }));
        }
        learner.restore(&mut from).map_err(damaged)
    }
}

/// SHA-256 over the header before it and the payload.
fn checksum(len: u64, payload: &[u8]) -> [u8; 32] {
    let mut hash = Sha256::new();
    hash.update(MAGIC);
    hash.update(VERSION.to_le_bytes());
    hash.update(len.to_le_bytes());
    hash.update(payload);
    hash.finalize().into()
}

/// The payload of a whole file; `most` bytes at the utmost.
fn read(path: &Path, most: u64) -> Result<Vec<u8>, Unusable> {
    let io = |error: io::Error| match error.kind() {
        io::ErrorKind::NotFound => Unusable::Missing,
        _ => Unusable::Fatal(CheckpointError::Io { path: path.display().to_string(), error }),
    };
    let mut file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    let mut header = [0; HEADER];
    if size < HEADER as u64 {
        return Err(Unusable::Damaged(format!("ends after {size} bytes")));
    }
    file.read_exact(&mut header).map_err(io)?;
    let word = |at: usize| header[at..at + 8].iter().rev().fold(0, |word: u64, byte| word << 8 | u64::from(*byte));
    if header[..8] != MAGIC {
        return Err(Unusable::Damaged("is no checkpoint of a ridge".to_owned()));
    }
    if word(8) != VERSION {
        return Err(Unusable::Damaged(format!("has version {}, this program reads {VERSION}", word(8))));
    }
    let len = word(16);
    if len != size - HEADER as u64 || len > most {
        return Err(Unusable::Damaged(format!(
            "says it has {len} bytes, it has {} (at most {most})",
            size - HEADER as u64
        )));
    }
    let mut payload = Vec::new();
    file.take(len).read_to_end(&mut payload).map_err(io)?;
    if checksum(len, &payload) != header[24..] {
        return Err(Unusable::Damaged("its checksum is wrong".to_owned()));
    }
    Ok(payload)
}

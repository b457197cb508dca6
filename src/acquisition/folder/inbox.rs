//! Which files are new? What inotify tells and what a look into the folder finds, each read once it is complete.

use std::collections::HashMap;
use std::fs::{self, File};
use std::hash::{BuildHasher, RandomState};
use std::io::Read;
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::time::{Duration, SystemTime};

use notify::event::{AccessKind, AccessMode, CreateKind, EventKind, ModifyKind};
use notify::{RecommendedWatcher, RecursiveMode, Watcher};

use super::FolderConfig;
use super::read::{self, Unread};
use crate::acquisition::SourceError;
use crate::acquisition::dicom::{self, Scan};
use crate::acquisition::volumes::{Arrivals, Fault, FaultCounts};
use crate::frame::{Clock, Instant};

/// Seconds before an incomplete file is looked at again, at first and at most; each wait is twice the one before.
const RETRY: (f64, f64) = (0.004, 0.25);
/// Seconds between looks into a folder that cannot be listed, at most.
const BACKOFF_CAP: f64 = 10.0;
/// How many times as long as a look took is waited before the next: so looking costs at most a twentieth of the time.
const REST: f64 = 20.0;
/// Notices that may wait; when there are more, a look finds what they were about.
const NOTICES: usize = 4096;

/// What tells one state of a file from another.
type Stamp = (u64, SystemTime);

/// A file that has not been dealt with.
struct Waiting {
    path: PathBuf,
    /// Where it stands among files that come at once.
    modified: SystemTime,
    since: Instant,
    next: Instant,
    wait: f64,
}

/// What has become of a file.
#[derive(Clone, Copy, PartialEq)]
enum Known {
    Waiting,
    /// Done with, whatever happens to it.
    Done,
    /// Refused as it was; a change brings it back.
    Refused(Stamp),
}

/// A folder, and what is known of its files: by a hash of their names, so that a long session stays small.
pub struct Inbox {
    folder: PathBuf,
    patience: f64,
    poll: f64,
    hasher: RandomState,
    known: HashMap<u64, (Known, u32)>,
    waiting: Vec<Waiting>,
    watch: Option<Watch>,
    notices: Receiver<PathBuf>,
    sender: SyncSender<PathBuf>,
    look_at: Instant,
    looks: u32,
    failures: i32,
    /// Whether files that the first look finds are passed over.
    skip: bool,
}

struct Watch {
    _watcher: RecommendedWatcher,
    /// The folder's device and number: another folder of the same name is not watched.
    identity: (u64, u64),
}

impl Inbox {
    pub(super) fn new(config: &FolderConfig, clock: &dyn Clock) -> Self {
        let FolderConfig { patience, poll, existing, .. } = *config;
        let (sender, notices) = sync_channel(NOTICES);
        Self {
            folder: config.path.clone(),
            patience,
            poll,
            hasher: RandomState::new(),
            known: HashMap::new(),
            waiting: Vec::new(),
            watch: None,
            notices,
            sender,
            look_at: clock.now(),
            looks: 0,
            failures: 0,
            skip: !existing,
        }
    }

    fn look(&mut self, now: Instant, faults: &FaultCounts) -> std::io::Result<()> {
        let folder = fs::metadata(&self.folder)?;
        let identity = (folder.dev(), folder.ino());
        // Watched before it is listed, so that no file falls between.
        if self.watch.as_ref().is_none_or(|watch| watch.identity != identity) {
            self.watch = self.watched(identity);
        }
        self.looks = self.looks.wrapping_add(1);
        let first = std::mem::take(&mut self.skip);
        for entry in fs::read_dir(&self.folder)? {
            let entry = entry?;
            let key = self.hasher.hash_one(entry.file_name());
            match self.known.get_mut(&key) {
                Some((known, seen)) => {
                    *seen = self.looks;
                    if let Known::Refused(stamp) = *known
                        && entry.metadata().is_ok_and(|m| stamp_of(&m) != stamp)
                    {
                        self.known.remove(&key);
                        self.notice(entry.path(), now);
                    }
                }
                None if first => {
                    faults.add(Fault::Before, 1);
                    self.known.insert(key, (Known::Done, self.looks));
                }
                None => self.notice(entry.path(), now),
            }
        }
        // What is gone need not be remembered.
        let looks = self.looks;
        self.known.retain(|_, (known, seen)| *known == Known::Waiting || *seen == looks);
        Ok(())
    }

    fn watched(&self, identity: (u64, u64)) -> Option<Watch> {
        let sender = self.sender.clone();
        let tell = move |event: notify::Result<notify::Event>| {
            let Ok(event) = event else { return };
            let telling = matches!(
                event.kind,
                EventKind::Create(CreateKind::File | CreateKind::Any)
                    | EventKind::Modify(ModifyKind::Name(_))
                    | EventKind::Access(AccessKind::Close(AccessMode::Write))
            );
            if telling {
                // When there is no room, the next look finds what this was about.
                for path in event.paths {
                    if let Err(TrySendError::Disconnected(_)) = sender.try_send(path) {
                        return;
                    }
                }
            }
        };
        let watched = notify::recommended_watcher(tell).and_then(|mut watcher| {
            watcher.watch(&self.folder, RecursiveMode::NonRecursive)?;
            Ok(watcher)
        });
        match watched {
            Ok(watcher) => Some(Watch { _watcher: watcher, identity }),
            Err(error) => {
                tracing::warn!(%error, "no inotify for the folder; it is looked into every {} s", self.poll);
                None
            }
        }
    }

    /// Something happened to a file.
    fn notice(&mut self, path: PathBuf, now: Instant) {
        let Some(name) = path.file_name().filter(|name| !name.as_encoded_bytes().starts_with(b".")) else { return };
        let key = self.hasher.hash_one(name);
        match self.known.get(&key) {
            Some((Known::Waiting, _)) => {
                if let Some(waiting) = self.waiting.iter_mut().find(|w| w.path == path) {
                    waiting.next = now;
                }
                return;
            }
            Some((Known::Done, _)) => return,
            Some((Known::Refused(stamp), _)) if fs::symlink_metadata(&path).is_ok_and(|m| stamp_of(&m) == *stamp) => {
                return;
            }
            Some((Known::Refused(_), _)) | None => {}
        }
        let Ok(metadata) = fs::symlink_metadata(&path) else { return };
        self.known.insert(key, (Known::Waiting, self.looks));
        let modified = stamp_of(&metadata).1;
        self.waiting.push(Waiting { path, modified, since: now, next: now, wait: RETRY.0 });
    }
}

impl Arrivals for Inbox {
    /// Takes notices, and looks into the folder when it is time. After an error the next look comes later each time.
    fn refresh(&mut self, clock: &dyn Clock, faults: &FaultCounts) -> Result<(), SourceError> {
        let now = clock.now();
        while let Ok(path) = self.notices.try_recv() {
            self.notice(path, now);
        }
        if now < self.look_at {
            return Ok(());
        }
        match self.look(now, faults) {
            Ok(()) => {
                self.failures = 0;
                self.look_at = now + self.poll.max(REST * (clock.now() - now));
                Ok(())
            }
            Err(error) => {
                faults.add(Fault::Folder, 1);
                self.watch = None;
                self.failures += 1;
                self.look_at = now + (self.poll * 2f64.powi(self.failures.min(16))).min(BACKOFF_CAP.max(self.poll));
                Err(SourceError::Io { path: self.folder.display().to_string(), error })
            }
        }
    }

    /// The next file that is complete, in the order in which they were written.
    fn next(&mut self, now: Instant, faults: &FaultCounts) -> Option<(Scan, Instant)> {
        loop {
            let due = self.waiting.iter().enumerate().filter(|(_, w)| w.next <= now);
            let (index, _) = due.min_by(|(_, a), (_, b)| (a.modified, &a.path).cmp(&(b.modified, &b.path)))?;
            let mut file = self.waiting.swap_remove(index);
            let key = self.hasher.hash_one(file.path.file_name().unwrap_or_default());
            let attempt = open(&file.path);
            let (stamp, read) = match attempt {
                Ok(Some((stamp, bytes))) => (stamp, read::read(&file.path, &bytes)),
                Ok(None) => {
                    // Renamed or deleted before it was read.
                    self.known.remove(&key);
                    continue;
                }
                Err((stamp, fault)) => (stamp, Err(Unread::Refused(fault))),
            };
            match read {
                Ok(scan) => {
                    self.known.insert(key, (Known::Done, self.looks));
                    return Some((scan, now));
                }
                // A file that may not be read now may be in a moment: shares set permissions last.
                Err(Unread::Incomplete | Unread::Refused(Fault::Unreadable)) if now - file.since < self.patience => {
                    if file.wait == RETRY.0 {
                        faults.add(Fault::Partial, 1);
                    }
                    file.next = now + file.wait;
                    file.wait = (2.0 * file.wait).min(RETRY.1);
                    self.waiting.push(file);
                }
                Err(unread) => {
                    let fault = match unread {
                        Unread::Incomplete => Fault::Truncated,
                        Unread::Refused(fault) => fault,
                    };
                    faults.add(fault, 1);
                    tracing::debug!(fault = fault.as_str(), "a file of the folder gives no volume");
                    self.known.insert(key, (Known::Refused(stamp), self.looks));
                }
            }
        }
    }

    fn due(&self) -> Option<Instant> {
        let earliest = self.waiting.iter().map(|w| w.next.seconds()).fold(self.look_at.seconds(), f64::min);
        Some(Instant::from_seconds(earliest))
    }

    fn wait(&mut self, timeout: Duration, now: Instant) {
        match self.notices.recv_timeout(timeout) {
            Ok(path) => self.notice(path, now),
            // The sender lives as long as this does.
            Err(RecvTimeoutError::Timeout | RecvTimeoutError::Disconnected) => {}
        }
    }
}

fn stamp_of(metadata: &fs::Metadata) -> Stamp {
    (metadata.len(), metadata.modified().unwrap_or(SystemTime::UNIX_EPOCH))
}

/// What opening a file gives: its stamp and bytes, or nothing where it is gone.
type Opened = Result<Option<(Stamp, Vec<u8>)>, (Stamp, Fault)>;

fn open(path: &Path) -> Opened {
    let nothing = (0, SystemTime::UNIX_EPOCH);
    let by = |error: std::io::Error, stamp| match error.kind() {
        std::io::ErrorKind::NotFound => Ok(None),
        _ => Err((stamp, Fault::Unreadable)),
    };
    let metadata = match fs::symlink_metadata(path) {
        Ok(metadata) => metadata,
        Err(error) => return by(error, nothing),
    };
    let stamp = stamp_of(&metadata);
    if !metadata.is_file() {
        return Err((stamp, Fault::Link));
    }
    if metadata.len() > dicom::FILE_CAP {
        return Err((stamp, Fault::TooLarge));
    }
    if read::is_nifti(path) {
        return Ok(Some((stamp, Vec::new())));
    }
    // It may have become a link or a pipe since.
    let flags = libc::O_NOFOLLOW | libc::O_NONBLOCK;
    let file: File = match fs::OpenOptions::new().read(true).custom_flags(flags).open(path) {
        Ok(file) => file,
        Err(error) => return by(error, stamp),
    };
    let mut bytes = Vec::new();
    match file.take(dicom::FILE_CAP).read_to_end(&mut bytes) {
        Ok(_) => Ok(Some((stamp, bytes))),
        Err(error) => by(error, stamp),
    }
}

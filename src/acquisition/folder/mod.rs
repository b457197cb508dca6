//! What does a scanner put into a folder? Images, one after another, whatever else lies there and whatever goes wrong.
//!
//! Files are noticed by inotify, and by looking every [`poll`](FolderConfig::poll) seconds, because network shares are
//! silent. A file is read when it parses to the length it promises, not when it appears and not after a quiet period;
//! what becomes of it then is the same for every way in ([`volumes`](super::volumes)).
//!
//! **Invariants.** Names and contents of files are not logged, for they may name a person, and no name from within a file
//! is used as a path.

mod inbox;
mod read;

use std::path::PathBuf;
use std::sync::Arc;

use super::volumes::{VolumeSource, volume_config};
use super::{SourceError, SourceStats};
use crate::frame::{BlockSpec, Clock};

pub use inbox::Inbox;

/// Reads volumes from a folder.
pub type FolderSource = VolumeSource<Inbox>;

volume_config! {
    /// A folder that volumes are exported to.
    pub struct FolderConfig {
        /// The folder itself; folders within it are not looked into.
        pub path: PathBuf,
        /// Whether files are read that lie there already; by default they are not.
        #[serde(default)]
        pub existing: bool,
        /// Seconds from one look into the folder to the next; 0.5 by default.
        #[serde(default = "poll")]
        pub poll: f64,
    }
}

fn poll() -> f64 {
    0.5
}

impl FolderConfig {
    /// Checks the settings, as far as that is possible without the folder.
    ///
    /// # Errors
    /// A setting that makes no sense.
    pub fn validate(&self) -> Result<(), SourceError> {
        self.volumes().validate("folder")?;
        if !(self.poll > 0.0 && self.poll.is_finite()) {
            let problem = format!("folder: poll: {} is no positive number of seconds", self.poll);
            return Err(SourceError::Config(problem));
        }
        Ok(())
    }

    /// Reads the atlas or mask, and watches the folder, which may come later.
    ///
    /// # Errors
    /// A setting that makes no sense; an image that cannot be read.
    pub fn open(&self, stats: Arc<SourceStats>, clock: Arc<dyn Clock>) -> Result<FolderSource, SourceError> {
        self.validate()?;
        let inbox = Inbox::new(self, clock.as_ref());
        VolumeSource::new(&self.volumes(), stats, clock, || Ok(inbox))
    }

    /// What its blocks look like, from the atlas or mask alone.
    ///
    /// # Errors
    /// As [`open`](Self::open).
    pub fn shape(&self) -> Result<BlockSpec, SourceError> {
        self.validate()?;
        self.volumes().shape()
    }
}

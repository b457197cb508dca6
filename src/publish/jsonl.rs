//! Who writes it down? One JSON object a line, to a file or to standard output.
//!
//! A failing disk must not end a session: what cannot be written is counted, said once per streak, and given up.
//!
//! ```
//! use std::sync::Arc;
//! use neurod::frame::{Regions, Unit};
//! use neurod::publish::{Outgoing, jsonl::JsonlWriter};
//!
//! let mut writer = JsonlWriter::over(Vec::new());
//! writer.write(&Outgoing::Regions(Arc::new(Regions::new(vec!["insula".into()], Unit::ZScore))));
//! assert!(String::from_utf8_lossy(&writer.into_inner()).ends_with("\"unit\":\"z\"}\n"));
//! ```

use std::fs::OpenOptions;
use std::io::{self, Write};
use std::path::Path;

use super::{Outgoing, wire};

/// Writes messages as lines.
pub struct JsonlWriter<W> {
    out: W,
    /// A line was cut short: the next one begins on a new line, so that only one is lost.
    torn: bool,
    failing: bool,
}

impl JsonlWriter<Box<dyn Write + Send>> {
    /// Appends to the file at `path`, or to standard output for `-`.
    ///
    /// # Errors
    /// The file cannot be opened for writing.
    pub fn open(path: &Path) -> io::Result<Self> {
        if path == Path::new("-") {
            return Ok(Self::over(Box::new(io::stdout())));
        }
        let file = OpenOptions::new().create(true).append(true).open(path)?;
        Ok(Self::over(Box::new(file)))
    }
}

impl<W: Write> JsonlWriter<W> {
    /// Writes to `out`, one call a line.
    pub fn over(out: W) -> Self {
        Self { out, torn: false, failing: false }
    }

    /// Writes one message and its line feed. False if it could not be written: count it and go on.
    pub fn write(&mut self, message: &Outgoing) -> bool {
        let written = wire::line(message).map_err(io::Error::from).and_then(|mut line| {
            line.push('\n');
            if self.torn {
                line.insert(0, '\n');
            }
            let written = self.out.write_all(line.as_bytes());
            // Another program's reader waits for whole lines; a buffer on our side would only hold them back.
            written.and_then(|()| self.out.flush())
        });
        match written {
            Ok(()) if self.failing => tracing::info!("JSON lines are written again"),
            Ok(()) => {}
            Err(ref error) if !self.failing => {
                tracing::error!(%error, "JSON lines are lost until they can be written again (is the disk full?)");
            }
            Err(_) => {}
        }
        self.torn = written.is_err();
        self.failing = written.is_err();
        written.is_ok()
    }

    /// What was written to.
    pub fn into_inner(self) -> W {
        self.out
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::frame::{Regions, Unit};

    /// A disk that is full for a while, in the middle of a line.
    #[derive(Default)]
    struct Disk {
        held: Vec<u8>,
        room: usize,
    }

    impl Write for Disk {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            let len = bytes.len().min(self.room);
            if len == 0 {
                return Err(io::ErrorKind::StorageFull.into());
            }
            self.room -= len;
            self.held.extend(&bytes[..len]);
            Ok(len)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn a_full_disk_loses_only_what_could_not_be_written() {
        let message = |name: &str| Outgoing::Regions(Arc::new(Regions::new(vec![name.into()], Unit::ZScore)));
        let mut writer = JsonlWriter::over(Disk { room: 30, ..Disk::default() });
        assert!(!writer.write(&message("a")));
        assert!(!writer.write(&message("b")));
        writer.out.room = 10_000;
        assert!(writer.write(&message("c")) && writer.write(&message("d")));
        let text = String::from_utf8(writer.into_inner().held).unwrap();
        let whole: Vec<&str> = text.lines().filter(|l| serde_json::from_str::<serde_json::Value>(l).is_ok()).collect();
        assert_eq!(whole.len(), 2, "{text}");
        assert!(whole[0].contains("\"c\"") && whole[1].contains("\"d\"") && text.ends_with('\n'));
    }

    #[test]
    fn a_file_is_appended_to_and_a_folder_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("frames.jsonl");
        for _ in 0..2 {
            let regions = Regions::new(vec!["a".into()], Unit::ZScore);
            assert!(JsonlWriter::open(&path).unwrap().write(&Outgoing::Regions(Arc::new(regions))));
        }
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        assert!(JsonlWriter::open(folder.path()).is_err());
    }
}

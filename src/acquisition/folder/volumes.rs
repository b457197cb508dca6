//! What does one file bring? A slice, a volume, or several: DICOM or NIfTI, told by the name.

use std::collections::BTreeMap;
use std::path::Path;

use super::faults::Fault;
use super::order::Refused;
use crate::acquisition::dicom::{self, DicomError, Header, Scan, Series, Slice, Volume};
use crate::acquisition::{SourceError, file::Volumes};
use crate::frame::Instant;

/// The most volumes whose slices are waited for at once.
const OPEN_CAP: usize = 8;

/// How an image came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Origin {
    /// One slice of a volume.
    Slice {
        /// Of so many.
        of: u32,
    },
    /// A volume in a file of its own.
    Whole,
    /// One of the volumes in one file.
    Several,
}

/// Why a file gives nothing.
#[derive(Debug, PartialEq)]
pub(super) enum Unread {
    /// It is not complete; look again.
    Incomplete,
    /// It never will be one.
    Refused(Fault),
}

/// Reads a file that has been opened and is `bytes`; NIfTI is read by its path.
pub(super) fn read(path: &Path, bytes: &[u8]) -> Result<Scan, Unread> {
    if is_nifti(path) {
        return nifti(path).map(|found| Scan::Volumes(vec![found]));
    }
    dicom::read(bytes).map_err(|error| match error {
        DicomError::Truncated { .. } => Unread::Incomplete,
        DicomError::Compressed(_) => Unread::Refused(Fault::Compressed),
        DicomError::Slices(_) => Unread::Refused(Fault::Slices),
        _ => Unread::Refused(Fault::Malformed),
    })
}

pub(super) fn is_nifti(path: &Path) -> bool {
    let name = path.file_name().map(|n| n.to_string_lossy().to_lowercase()).unwrap_or_default();
    name.ends_with(".nii") || name.ends_with(".nii.gz")
}

fn nifti(path: &Path) -> Result<(Header, Volume), Unread> {
    let unread = |error: SourceError| match error {
        SourceError::Short { .. } => Unread::Incomplete,
        SourceError::Io { .. } => Unread::Refused(Fault::Unreadable),
        _ => Unread::Refused(Fault::Malformed),
    };
    let volumes = Volumes::open(path).map_err(unread)?;
    if volumes.count != 1 {
        return Err(Unread::Refused(Fault::Malformed));
    }
    let mut stream = volumes.stream(0).map_err(unread)?;
    stream.next_volume().map_err(unread)?;
    let grid = volumes.grid.clone();
    let values = (0..grid.voxels()).map(|voxel| stream.value(voxel)).collect();
    // `bold_0042.nii.gz` is volume 42 of `bold_`.
    let name = path.file_name().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default();
    let stem = name.split(".nii").next().unwrap_or_default();
    let series = stem.trim_end_matches(|c: char| c.is_ascii_digit());
    let number = stem.get(series.len()..).and_then(|digits| digits.parse().ok());
    let header = Header {
        series: Series {
            uid: series.into(),
            number: None,
            description: series.trim_end_matches(['_', '-', '.']).into(),
        },
        acquisition: number,
        tr: volumes.tr,
        ..Header::default()
    };
    Ok((header, Volume { grid, values }))
}

/// Volumes whose slices are still coming.
pub(super) struct Stacks {
    /// Seconds that slices are waited for.
    patience: f64,
    open: BTreeMap<u32, (Instant, Vec<Slice>)>,
}

impl Stacks {
    pub(super) fn new(patience: f64) -> Self {
        Self { patience, open: BTreeMap::new() }
    }

    /// Adds a slice of volume `number`, which has `of`; the volume once it is whole.
    ///
    /// # Errors
    /// [`Fault::Duplicate`] for a slice that is there, [`Fault::Slices`] where they make no volume.
    pub(super) fn add(
        &mut self,
        number: u32,
        of: usize,
        slice: Slice,
        now: Instant,
    ) -> Result<Option<Volume>, Refused> {
        let (_, slices) = self.open.entry(number).or_insert_with(|| (now, Vec::with_capacity(of)));
        if slices.iter().any(|s| s.is_at(&slice)) {
            return Err(Refused(Fault::Duplicate));
        }
        slices.push(slice);
        if slices.len() < of {
            return Ok(None);
        }
        let slices = self.open.remove(&number).map(|(_, slices)| slices).unwrap_or_default();
        dicom::stack(slices).map(Some).map_err(|_| Refused(Fault::Slices))
    }

    /// Gives up volumes whose slices did not come in time; how many.
    pub(super) fn expire(&mut self, now: Instant) -> u64 {
        let before = self.open.len();
        self.open.retain(|_, (since, _)| now - *since < self.patience);
        while self.open.len() > OPEN_CAP {
            self.open.pop_first();
        }
        (before - self.open.len()) as u64
    }

    /// Forgets all of them: another series begins.
    pub(super) fn clear(&mut self) -> u64 {
        let open = self.open.len() as u64;
        self.open.clear();
        open
    }
}

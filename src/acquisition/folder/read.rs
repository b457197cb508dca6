//! What does one file bring? A slice, a volume, or several: DICOM or NIfTI, told by the name.

use std::path::Path;

use crate::acquisition::dicom::{self, Header, Scan, Series, Volume};
use crate::acquisition::volumes::Fault;
use crate::acquisition::{SourceError, file};

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
    dicom::read(bytes).map_err(|error| match Fault::from(&error) {
        Fault::Truncated => Unread::Incomplete,
        fault => Unread::Refused(fault),
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
    let volumes = file::Volumes::open(path).map_err(unread)?;
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

//! How are volumes corrected before they are reduced? As a source's `realign` and `smooth` say, against a reference image.

use std::path::Path;

use super::input::malformed;
use super::volumes::Volumes;
use crate::acquisition::SourceError;
use crate::fmri::{self, Correction, Grid, RealignConfig};

/// What volumes on `grid` go through, if anything. `reference` is an image whose first volume they are realigned to; it
/// lies on their grid, though its axes may be stored in another order or direction. Without it, the first volume that comes
/// becomes the reference.
///
/// # Errors
/// A setting out of its range; an image that cannot be read, lies elsewhere, or shows nothing.
pub(crate) fn correction(
    grid: &Grid,
    realign: Option<&RealignConfig>,
    smooth: Option<f64>,
    reference: Option<&Path>,
) -> Result<Option<Correction>, SourceError> {
    let mut made = Correction::new(grid, realign, smooth).map_err(|error| SourceError::Config(error.to_string()))?;
    let (Some(correction), Some(path)) = (&mut made, reference) else { return Ok(made) };
    let volumes = Volumes::open(path)?;
    let voxels = volumes.volume(0)?;
    let elsewhere = |difference| {
        let problem = format!("the reference lies on another grid than the volumes: {difference} (take one of them)");
        malformed(path, "header", problem)
    };
    let places = fmri::places(grid, &volumes.grid).map_err(elsewhere)?;
    let at = |place: &u32| voxels.get(*place as usize).copied().unwrap_or(f32::NAN);
    let reference: Vec<f32> = places.iter().map(at).collect();
    correction.refer_to(&reference).map_err(|error| malformed(path, "voxels", error.to_string()))?;
    Ok(made)
}

//! How do slices make a volume? In the order of their places along the normal, as far apart as they lie.

use super::{DicomError, VOXELS_CAP, Volume};
use crate::fmri::Grid;

/// How far apart steps between slices may be from one another, in mm.
const STEP_TOLERANCE: f64 = 0.01;
/// How far two directions may differ, per component.
const SAME_DIRECTION: f64 = 1e-3;

/// Where a plane of pixels lies, in mm LPS as DICOM has it. (PS3.3 C.7.6.2.)
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Plane {
    /// The direction of rows (x grows along it), then of columns.
    pub directions: [[f64; 3]; 2],
    /// Millimetres from column to column, then from row to row.
    pub spacing: [f64; 2],
    /// The centre of the first pixel.
    pub position: [f64; 3],
}

impl Plane {
    /// Checks that it is one: two unit directions at right angles, distances above 0.
    pub(super) fn new(orientation: [f64; 6], [rows, columns]: [f64; 2], position: [f64; 3]) -> Option<Self> {
        let [a, b, c, d, e, f] = orientation;
        let directions = [[a, b, c], [d, e, f]];
        let [along, down] = directions;
        let unit = |v| (dot(v, v) - 1.0).abs() < 1e-2;
        let sound = unit(along) && unit(down) && dot(along, down).abs() < 1e-2 && rows > 0.0 && columns > 0.0;
        // DICOM gives the distance between rows first.
        sound.then_some(Self { directions, spacing: [columns, rows], position })
    }

    /// The direction in which x, y and it are right-handed.
    pub(super) fn normal(&self) -> [f64; 3] {
        let [[a, b, c], [d, e, f]] = self.directions;
        [b * f - c * e, c * d - a * f, a * e - b * d]
    }

    /// The place of pixel (x, y).
    pub(super) fn at(&self, x: f64, y: f64) -> [f64; 3] {
        let [along, down] = self.directions;
        let [dx, dy] = self.spacing;
        std::array::from_fn(|i| self.position[i] + along[i] * dx * x + down[i] * dy * y)
    }

    /// The grid of a volume whose first slice is this plane, and whose next one lies `step` further.
    pub(super) fn grid(&self, dims: [usize; 3], step: [f64; 3]) -> Grid {
        let [along, down] = self.directions;
        let [dx, dy] = self.spacing;
        let row = |i: usize, sign: f64| [along[i] * dx, down[i] * dy, step[i], self.position[i]].map(|v| v * sign);
        // LPS → RAS.
        Grid { dims, affine: [row(0, -1.0), row(1, -1.0), row(2, 1.0)] }
    }

    fn is_parallel(&self, other: &Plane) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() <= SAME_DIRECTION;
        let ours = self.directions.iter().flatten().chain(&self.spacing);
        ours.zip(other.directions.iter().flatten().chain(&other.spacing)).all(|(a, b)| near(*a, *b))
    }

    /// How far along `normal` it lies.
    pub(super) fn depth(&self, normal: [f64; 3]) -> f64 {
        dot(self.position, normal)
    }
}

fn dot(a: [f64; 3], b: [f64; 3]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// One slice of a volume.
#[derive(Clone, Debug, PartialEq)]
pub struct Slice {
    /// Where it lies.
    pub plane: Plane,
    /// Columns and rows.
    pub size: [usize; 2],
    /// Millimetres to the next slice, as its header has it: what a single slice is given.
    pub step: Option<f64>,
    /// Its pixels, x fastest.
    pub values: Vec<f64>,
}

impl Slice {
    /// Whether it lies where `other` does, so that it is the same slice of another time, or the same file again.
    pub fn is_at(&self, other: &Slice) -> bool {
        self.plane.position.iter().zip(other.plane.position).all(|(a, b)| (a - b).abs() <= STEP_TOLERANCE)
    }
}

/// Joins slices in any order to a volume, sorted along the normal of their planes.
///
/// # Errors
/// None at all; slices of different size or direction; two at one place; steps that differ, as where one is missing.
pub fn stack(mut slices: Vec<Slice>) -> Result<Volume, DicomError> {
    let wrong = |problem: String| Err(DicomError::Slices(problem));
    let Some(first) = slices.first() else { return wrong("there is none".into()) };
    let (plane, size, single) = (first.plane, first.size, first.step);
    if let Some(i) = slices.iter().position(|s| s.size != size || !s.plane.is_parallel(&plane)) {
        return wrong(format!("slice {i} has another size or direction than slice 0"));
    }
    let [columns, rows] = size;
    let dims = [columns, rows, slices.len()];
    if (columns * rows).saturating_mul(slices.len()) > VOXELS_CAP {
        return wrong(format!("{dims:?} voxels are more than {VOXELS_CAP}"));
    }
    let normal = plane.normal();
    slices.sort_by(|a, b| a.plane.depth(normal).total_cmp(&b.plane.depth(normal)));
    let (Some(first), Some(last)) = (slices.first(), slices.last()) else { return wrong("there is none".into()) };
    let steps = (slices.len() - 1) as f64;
    let step: [f64; 3] = match slices.len() {
        1 => normal.map(|n| n * single.unwrap_or(1.0)),
        _ => std::array::from_fn(|i| (last.plane.position[i] - first.plane.position[i]) / steps),
    };
    for (i, slice) in slices.iter().enumerate() {
        let due = std::array::from_fn::<f64, 3, _>(|k| first.plane.position[k] + i as f64 * step[k]);
        let off = slice.plane.position.iter().zip(due).any(|(a, b)| (a - b).abs() > STEP_TOLERANCE.max(1e-3 * steps));
        if off || (slices.len() > 1 && dot(step, step).sqrt() <= STEP_TOLERANCE) {
            return wrong(format!(
                "slice {i} of {} does not lie where the others say (is one missing, or there twice?)",
                slices.len()
            ));
        }
    }
    let grid = first.plane.grid(dims, step);
    let mut values = Vec::with_capacity(grid.voxels());
    slices.iter().for_each(|slice| values.extend_from_slice(&slice.values));
    Ok(Volume { grid, values })
}

//! Which voxel belongs where? A label image on its grid.

use super::parcellate::Gather;
use super::{FmriError, affine};

/// The most labels an atlas may have; an image with more is no label image.
const LABELS_CAP: usize = 1 << 16;
/// How far a voxel's position may differ between two images of one grid, in mm.
const SAME_PLACE: f64 = 1e-3;

/// A place half-way between two voxels belongs to the upper one, whatever the rounding of our arithmetic, in voxels. What the
/// header's single precision makes of it decides otherwise, as it does in nilearn.
const TIE: f64 = 1e-9;

/// Where the voxels of an image lie.
#[derive(Clone, Debug, PartialEq)]
pub struct Grid {
    /// Voxels along x, y, z; x varies fastest in memory.
    pub dims: [usize; 3],
    /// The first three rows of the matrix from voxel indices to mm (RAS).
    pub affine: [[f64; 4]; 3],
}

impl Grid {
    /// Voxels in a volume.
    pub fn voxels(&self) -> usize {
        self.dims.iter().product()
    }

    /// The indices of the voxel at this place in memory.
    pub fn index(&self, voxel: usize) -> [usize; 3] {
        let [nx, ny, _] = self.dims;
        [voxel % nx, voxel / nx % ny, voxel / nx / ny]
    }

    /// Where a voxel lies in mm.
    pub fn millimetres(&self, [x, y, z]: [usize; 3]) -> [f64; 3] {
        affine::apply(&self.affine, [x, y, z].map(|i| i as f64))
    }

    /// How far the next voxel lies along x, y, z, in mm.
    pub fn voxel_size(&self) -> [f64; 3] {
        affine::lengths(&self.affine)
    }

    /// The first three rows of the matrix from mm to voxel indices; `None` where the affine squeezes space flat.
    pub fn inverse(&self) -> Option<[[f64; 4]; 3]> {
        affine::inverse(&self.affine)
    }

    /// In what two grids differ, in words; `None` where every voxel of one lies on the same voxel of the other.
    pub fn difference(&self, other: &Grid) -> Option<String> {
        if self.dims != other.dims {
            return Some(format!("{:?} voxels against {:?}", self.dims, other.dims));
        }
        // An affine map that agrees on four corners agrees everywhere.
        let far = self.dims.map(|d| d.saturating_sub(1));
        for corner in [[0, 0, 0], [far[0], 0, 0], [0, far[1], 0], [0, 0, far[2]]] {
            let (here, there) = (self.millimetres(corner), other.millimetres(corner));
            if here.iter().zip(there).any(|(a, b)| (a - b).is_nan() || (a - b).abs() > SAME_PLACE) {
                return Some(format!("voxel {corner:?} lies at {here:?} mm against {there:?}"));
            }
        }
        None
    }
}

/// A label image: every voxel belongs to one region, or to none (label 0).
#[derive(Clone, Debug, PartialEq)]
pub struct Atlas {
    /// Where its voxels lie.
    pub grid: Grid,
    labels: Vec<u32>,
    gather: Gather,
}

impl Atlas {
    /// The regions of a label image, in order of label. `values` are its voxels in the order of memory.
    ///
    /// # Errors
    /// A value that is not a whole number from 0 on, too many labels, or none.
    pub fn from_labels(grid: Grid, values: impl Iterator<Item = f64>) -> Result<Self, FmriError> {
        let mut pairs = Vec::new();
        for (voxel, value) in values.enumerate() {
            let label = value.round();
            if !((value - label).abs() <= 1e-3 && (0.0..=f64::from(u32::MAX)).contains(&label)) {
                return Err(FmriError::NotALabel { voxel, value });
            }
            if label > 0.0 {
                pairs.push((label as u32, voxel as u32));
            }
        }
        let mut labels: Vec<u32> = pairs.iter().map(|(label, _)| *label).collect();
        labels.sort_unstable();
        labels.dedup();
        if labels.is_empty() || labels.len() > LABELS_CAP {
            return Err(FmriError::LabelCount { found: labels.len(), most: LABELS_CAP });
        }
        for (label, _) in &mut pairs {
            *label = labels.partition_point(|l| l < label) as u32;
        }
        let gather = Gather::new(labels.len(), &pairs);
        Ok(Self { grid, labels, gather })
    }

    /// Every voxel that is not 0 becomes a region of its own, in the order of memory.
    ///
    /// # Errors
    /// An empty mask, or more than 200 000 voxels in it.
    pub fn from_mask(grid: Grid, values: impl Iterator<Item = f64>) -> Result<Self, FmriError> {
        const MOST: usize = 200_000;
        let inside = values.enumerate().filter(|(_, v)| *v != 0.0 && v.is_finite());
        let pairs: Vec<(u32, u32)> = inside.enumerate().map(|(i, (voxel, _))| (i as u32, voxel as u32)).collect();
        if pairs.is_empty() || pairs.len() > MOST {
            return Err(FmriError::LabelCount { found: pairs.len(), most: MOST });
        }
        Ok(Self { grid, labels: (1..=pairs.len() as u32).collect(), gather: Gather::new(pairs.len(), &pairs) })
    }

    /// The same regions on another grid: each voxel of it gets the label of the nearest voxel here. A region that no
    /// voxel of the grid is nearest to stays, without voxels, so that columns do not depend on where the head lies; its
    /// mean is NaN, and [`lost`](Atlas::lost) names it.
    ///
    /// # Errors
    /// No region lies on the grid; an affine without inverse.
    pub fn onto(&self, grid: &Grid) -> Result<Self, FmriError> {
        let elsewhere = |problem: String| FmriError::Elsewhere { problem };
        let back = self.grid.inverse().ok_or_else(|| {
            elsewhere(format!("the atlas's affine {:?} has no inverse (mend its header)", self.grid.affine))
        })?;
        let none = u32::MAX;
        let mut region_of = vec![none; self.grid.voxels()];
        for region in 0..self.len() {
            for voxel in self.gather.voxels_of(region) {
                region_of[*voxel as usize] = region as u32;
            }
        }
        let [nx, ny, nz] = self.grid.dims;
        let mut pairs = Vec::new();
        for voxel in 0..grid.voxels() {
            let place = affine::apply(&back, grid.millimetres(grid.index(voxel)));
            // Between the outermost centres, as scipy and nilearn have it: what lies half a voxel beyond is outside.
            let inside = place.iter().zip([nx, ny, nz]).all(|(p, n)| (-TIE..=(n as f64 - 1.0) + TIE).contains(p));
            let [x, y, z] = place.map(|p| (p + 0.5 + TIE).floor() as usize);
            if inside && region_of[(z * ny + y) * nx + x] != none {
                pairs.push((region_of[(z * ny + y) * nx + x], voxel as u32));
            }
        }
        if pairs.is_empty() {
            let (first, here) = (self.grid.millimetres([0; 3]), grid.millimetres([0; 3]));
            return Err(elsewhere(format!(
                "no region of the atlas lies within the volume: their first voxels are at {first:.0?} and {here:.0?} mm \
                 (bring the atlas into the space of the volume first)"
            )));
        }
        Ok(Self { grid: grid.clone(), labels: self.labels.clone(), gather: Gather::new(self.len(), &pairs) })
    }

    /// The regions without a voxel, by place.
    pub fn lost(&self) -> impl Iterator<Item = usize> {
        (0..self.len()).filter(|region| self.gather.voxels_of(*region).is_empty())
    }

    /// The label of each region, ascending.
    pub fn labels(&self) -> &[u32] {
        &self.labels
    }

    /// How many regions there are.
    pub fn len(&self) -> usize {
        self.labels.len()
    }

    /// Never true: an atlas without regions is not made.
    pub fn is_empty(&self) -> bool {
        self.labels.is_empty()
    }

    /// Which voxels each region is the mean of.
    pub fn gather(&self) -> &Gather {
        &self.gather
    }

    /// The indices of a region's first voxel.
    pub fn first_voxel(&self, region: usize) -> Option<[usize; 3]> {
        Some(self.grid.index(*self.gather.voxels_of(region).first()? as usize))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        Grid { dims: [2, 2, 2], affine: [[3.0, 0.0, 0.0, -5.0], [0.0, 3.0, 0.0, 1.0], [0.0, 0.0, 4.0, 0.0]] }
    }

    #[test]
    fn labels_become_regions_in_order_and_a_mask_one_region_a_voxel() {
        let atlas = Atlas::from_labels(grid(), [0.0, 7.0, 3.0, 7.0, 0.0, 0.0, 3.0, 7.0].into_iter());
        let atlas = atlas.expect("a label image");
        assert_eq!((atlas.labels(), atlas.gather().voxels_of(1)), (&[3, 7][..], &[1, 3, 7][..]));
        let mask = Atlas::from_mask(grid(), [0.0, 0.0, 0.0, 1.0, 0.0, f64::NAN, 0.5, 0.0].into_iter());
        let mask = mask.expect("a mask");
        assert_eq!((mask.len(), mask.first_voxel(0), mask.first_voxel(1)), (2, Some([1, 1, 0]), Some([0, 1, 1])));
    }

    #[test]
    fn an_image_without_labels_is_refused_by_voxel() {
        let wrong = Atlas::from_labels(grid(), [0.0, 1.0, 0.4].into_iter()).map_err(|e| e.to_string());
        assert_eq!(wrong, Err("voxel 2 is 0.4, which is no label (labels are whole numbers from 0 on)".into()));
        let empty = Atlas::from_labels(grid(), std::iter::repeat_n(0.0, 8)).map_err(|e| e.to_string());
        assert_eq!(empty, Err("the image marks 0 regions (1 to 65536 are read)".into()));
        assert!(Atlas::from_labels(grid(), [f64::NAN].into_iter()).is_err());
    }

    #[test]
    fn millimetres_lead_back_to_voxels_and_a_flat_grid_has_no_way_back() {
        let affine = [[0.0, -2.0, 0.3, 5.0], [3.0, 0.1, 0.0, -7.0], [0.2, 0.0, 4.0, 11.0]];
        let odd = Grid { dims: [5, 6, 7], affine };
        let back = Grid { dims: odd.dims, affine: odd.inverse().expect("an inverse") };
        let [x, y, z] = odd.millimetres([3, 4, 2]);
        let voxel = back.affine.map(|[a, b, c, shift]| a * x + b * y + c * z + shift);
        assert!(voxel.iter().zip([3.0, 4.0, 2.0]).all(|(v, e)| (v - e).abs() < 1e-12), "{voxel:?}");
        assert!((odd.voxel_size()[0] - 9.04f64.sqrt()).abs() < 1e-12);
        let flat = Grid { dims: [2; 3], affine: [[1.0, 2.0, 0.0, 0.0], [2.0, 4.0, 0.0, 0.0], [0.0, 0.0, 1.0, 0.0]] };
        assert_eq!(flat.inverse(), None);
    }

    #[test]
    fn an_atlas_on_another_grid_keeps_its_columns_and_names_what_it_lost() {
        let labels = [0.0, 7.0, 3.0, 7.0, 0.0, 0.0, 3.0, 9.0];
        let atlas = Atlas::from_labels(grid(), labels.into_iter()).expect("a label image");
        // x and y swapped, x reversed, one slice only.
        let other =
            Grid { dims: [2, 2, 1], affine: [[0.0, -3.0, 0.0, -2.0], [3.0, 0.0, 0.0, 1.0], [0.0, 0.0, 4.0, 0.0]] };
        let there = atlas.onto(&other).expect("on the grid");
        assert_eq!(
            (there.labels(), there.gather().voxels_of(0), there.gather().voxels_of(1)),
            (&[3, 7, 9][..], &[3][..], &[0, 1][..])
        );
        assert_eq!(there.lost().collect::<Vec<_>>(), [2]);
        let mut far = other;
        far.affine[0][3] = 500.0;
        let told = atlas.onto(&far).map(|_| ()).map_err(|e| e.to_string());
        let expected = "no region of the atlas lies within the volume: their first voxels are at [-5, 1, 0] and \
                        [500, 1, 0] mm (bring the atlas into the space of the volume first)";
        assert_eq!(told, Err(expected.into()));
    }

    #[test]
    fn grids_differ_by_size_and_by_place() {
        let mut other = grid();
        other.affine[0][3] += 1e-5;
        assert_eq!(grid().difference(&other), None);
        other.affine[2][2] = 3.0;
        assert!(grid().difference(&other).is_some_and(|d| d.contains("voxel [0, 0, 1]")));
        other.dims = [2, 2, 3];
        assert!(grid().difference(&other).is_some_and(|d| d.contains("[2, 2, 2] voxels against [2, 2, 3]")));
    }
}

//! Where do the voxels of an image lie?

use super::affine;

/// How far a voxel's position may differ between two images of one grid, in mm.
const SAME_PLACE: f64 = 1e-3;

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

    /// The same field in cubes of so many mm, as far as they fill it; at least one along each axis.
    pub fn in_cubes(&self, millimetres: f64) -> Self {
        let step = self.voxel_size().map(|size| millimetres / size);
        let dims = std::array::from_fn(|i| ((self.dims[i] as f64 / step[i] + 1e-6).floor() as usize).max(1));
        // The first cube begins where the first voxel does, half a voxel before its centre.
        let first = affine::apply(&self.affine, step.map(|s| (s - 1.0) / 2.0));
        let row = |i: usize| {
            let [a, b, c, _] = self.affine[i];
            [a * step[0], b * step[1], c * step[2], first[i]]
        };
        Self { dims, affine: std::array::from_fn(row) }
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

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        Grid { dims: [2, 2, 2], affine: [[3.0, 0.0, 0.0, -5.0], [0.0, 3.0, 0.0, 1.0], [0.0, 0.0, 4.0, 0.0]] }
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
    fn cubes_fill_the_field() {
        let cubes = grid().in_cubes(2.0);
        let near = |a: [f64; 3], b: [f64; 3]| a.iter().zip(b).all(|(a, b)| (a - b).abs() < 1e-9);
        assert!(cubes.dims == [3, 3, 4] && near(cubes.voxel_size(), [2.0; 3]), "{cubes:?}");
        // The field begins 1.5 and 2 mm before the first centres.
        assert!(near(cubes.millimetres([0; 3]), [-5.5, 0.5, -1.0]), "{cubes:?}");
        assert_eq!(grid().in_cubes(100.0).dims, [1; 3]);
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

//! Which voxel of one image lies where a voxel of another lies? Two images of one grid may store it in other orders.
//!
//! A scanner writes rows from front to back, its converter to NIfTI from back to front; the voxels are the same. So axes
//! may be exchanged and turned around, and nothing else: what needs interpolation is another grid.

use super::{Grid, affine};

/// How far a voxel's place may differ between images of one grid, in mm: what rounded headers differ by.
const SAME_PLACE: f64 = 0.05;

/// For each voxel of `of`, in the order of memory, its place in a volume on `within`.
///
/// # Errors
/// In what the grids differ, in words.
pub(super) fn places(of: &Grid, within: &Grid) -> Result<Vec<u32>, String> {
    let back = within.inverse().ok_or("the volume's axes lie in one plane")?;
    let near = |at: [f64; 3]| -> Option<[i64; 3]> {
        let rounded = at.map(f64::round);
        let off: [f64; 3] = std::array::from_fn(|i| at[i] - rounded[i]);
        let millimetres = within.affine.map(|[a, b, c, _]| a * off[0] + b * off[1] + c * off[2]);
        let sound = millimetres.iter().all(|d| d.abs() <= SAME_PLACE) && rounded.iter().all(|r| r.abs() < 1e9);
        sound.then(|| rounded.map(|r| r as i64))
    };
    let far = of.dims.map(|d| d.saturating_sub(1));
    let differ = || {
        format!(
            "{:?} voxels from {:?} mm to {:?} mm against {:?} voxels from {:?} mm to {:?} mm",
            of.dims,
            shown(of.millimetres([0; 3])),
            shown(of.millimetres(far)),
            within.dims,
            shown(within.millimetres([0; 3])),
            shown(within.millimetres(within.dims.map(|d| d.saturating_sub(1))))
        )
    };
    // An affine map that is whole on four corners, and a step of one along every axis, is whole everywhere.
    let corner = |at: [usize; 3]| near(affine::apply(&back, of.millimetres(at))).ok_or_else(differ);
    let origin = corner([0; 3])?;
    let mut steps = [[0i64; 3]; 3];
    let mut taken = [false; 3];
    for axis in 0..3 {
        let mut at = [0; 3];
        at[axis] = far[axis];
        let end = corner(at)?;
        let reach = [0, 1, 2].map(|i| end[i] - origin[i]);
        let along = if far[axis] == 0 {
            (0..3).find(|i| !taken[*i] && within.dims[*i] == 1)
        } else {
            (0..3).find(|i| {
                reach[*i].unsigned_abs() as usize == far[axis] && reach.iter().filter(|r| **r != 0).count() == 1
            })
        };
        let along = along.filter(|i| !taken[*i] && within.dims[*i] == of.dims[axis]).ok_or_else(differ)?;
        taken[along] = true;
        steps[axis][along] = reach[along].signum();
    }
    let [nx, ny, nz] = within.dims.map(|d| d as i64);
    let mut places = Vec::with_capacity(of.voxels());
    for voxel in 0..of.voxels() {
        let at = of.index(voxel).map(|i| i as i64);
        let to: [i64; 3] =
            std::array::from_fn(|i| origin[i] + at[0] * steps[0][i] + at[1] * steps[1][i] + at[2] * steps[2][i]);
        if !(0..nx).contains(&to[0]) || !(0..ny).contains(&to[1]) || !(0..nz).contains(&to[2]) {
            return Err(differ());
        }
        places.push((to[0] + nx * (to[1] + ny * to[2])) as u32);
    }
    Ok(places)
}

fn shown(at: [f64; 3]) -> [f64; 3] {
    at.map(|v| (v * 100.0).round() / 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// 2 × 3 × 4 voxels of 2, 3 and 4 mm.
    fn grid() -> Grid {
        Grid { dims: [2, 3, 4], affine: [[2.0, 0.0, 0.0, -5.0], [0.0, 3.0, 0.0, 1.0], [0.0, 0.0, 4.0, 7.0]] }
    }

    #[test]
    fn axes_may_be_turned_around_and_exchanged() {
        assert_eq!(places(&grid(), &grid()), Ok((0..24).collect()));
        let flipped = Grid { affine: [[2.0, 0.0, 0.0, -5.0], [0.0, -3.0, 0.0, 7.0], [0.0, 0.0, 4.0, 7.0]], ..grid() };
        assert_eq!(places(&grid(), &flipped).map(|p| p[..6].to_vec()), Ok(vec![4, 5, 2, 3, 0, 1]));
        let exchanged =
            Grid { dims: [4, 2, 3], affine: [[0.0, 2.0, 0.0, -5.0], [0.0, 0.0, 3.0, 1.0], [4.0, 0.0, 0.0, 7.0]] };
        let places = places(&grid(), &exchanged).expect("one grid");
        for (voxel, place) in places.iter().enumerate() {
            let (here, there) = (grid().index(voxel), exchanged.index(*place as usize));
            assert_eq!(grid().millimetres(here), exchanged.millimetres(there));
        }
    }

    #[test]
    fn another_grid_is_told_in_millimetres() {
        let mut moved = grid();
        moved.affine[0][3] += 0.04;
        assert!(places(&grid(), &moved).is_ok());
        moved.affine[0][3] += 1.0;
        let told = places(&grid(), &moved).expect_err("half a voxel off");
        assert!(told.contains("from [-5.0, 1.0, 7.0] mm") && told.contains("from [-3.96, 1.0, 7.0] mm"), "{told}");
        moved.affine[0][3] = -3.0;
        assert!(places(&grid(), &moved).is_err(), "a whole voxel off");
        assert!(places(&grid(), &Grid { dims: [2, 3, 5], ..grid() }).is_err());
        assert!(places(&grid(), &Grid { affine: [[0.0; 4]; 3], ..grid() }).is_err());
    }
}

//! Where in the brain? Voxels seen along each axis, as through glass, in squares so few that the page stays small.

use std::collections::BTreeMap;

use super::{Brain, View};

/// The most squares along the longest side.
const MOST: f64 = 64.0;

/// Which axes of a place (x, y, z) are to the right and up, in each view: from the right, the front and the top.
const AXES: [[usize; 2]; 3] = [[1, 2], [0, 2], [0, 1]];

impl Brain {
    /// Of places in mm (RAS) and the r there; none of none.
    ///
    /// A square is as wide as the voxels lie apart, or wider where they would be too many. Of the voxels behind each
    /// other it shows the largest r, as glass brains do.
    pub fn of(voxels: &[([f64; 3], f64)]) -> Option<Self> {
        let along = |axis: usize| voxels.iter().filter_map(move |(place, _)| place.get(axis).copied());
        let least = [0, 1, 2].map(|axis| along(axis).fold(f64::INFINITY, f64::min));
        let most = [0, 1, 2].map(|axis| along(axis).fold(f64::NEG_INFINITY, f64::max));
        let extent = least.iter().zip(&most).map(|(low, high)| high - low).fold(0.0, f64::max);
        if !extent.is_finite() || voxels.is_empty() {
            return None;
        }
        let square = apart(along(0).collect()).max(extent / (MOST - 1.0)).max(1e-3);
        let place = |axis: usize, mm: f64| ((mm - least[axis]) / square).round() as u16;
        let view = |[across, up]: [usize; 2]| {
            let mut squares: BTreeMap<(u16, u16), f64> = BTreeMap::new();
            for (at, r) in voxels {
                let largest = squares.entry((place(across, at[across]), place(up, at[up]))).or_insert(*r);
                *largest = largest.max(*r);
            }
            let size = [across, up].map(|axis| usize::from(place(axis, most[axis])) + 1);
            // Three decimals are more than a colour can show.
            let rounded = |r: f64| ((r * 1000.0).round() / 1000.0) as f32;
            let squares = squares.into_iter().map(|((column, row), r)| (column, row, rounded(r))).collect();
            View { from: [across, up].map(|axis| least[axis] - square / 2.0), size, squares }
        };
        Some(Self { views: AXES.map(view).into(), square })
    }
}

/// The smallest distance between neighbours along an axis; 0 where all are at one place.
fn apart(mut along: Vec<f64>) -> f64 {
    along.sort_unstable_by(f64::total_cmp);
    let steps = along.iter().zip(along.iter().skip(1)).map(|(a, b)| b - a).filter(|step| *step > 1e-3);
    let least = steps.fold(f64::INFINITY, f64::min);
    if least.is_finite() { least } else { 0.0 }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn voxels_behind_each_other_show_the_largest_r() {
        let voxels = [([-10.0, 0.0, 5.0], 0.1), ([10.0, 0.0, 5.0], 0.3), ([10.0, 20.0, 5.0], -0.2)];
        let brain = Brain::of(&voxels).unwrap();
        assert_eq!(brain.square, 20.0);
        let found: Vec<_> = brain.views.iter().map(|view| (view.size, view.squares.clone())).collect();
        let expected = [
            ([2, 1], vec![(0, 0, 0.3), (1, 0, -0.2)]),
            ([2, 1], vec![(0, 0, 0.1), (1, 0, 0.3)]),
            ([2, 2], vec![(0, 0, 0.1), (1, 0, 0.3), (1, 1, -0.2)]),
        ];
        assert_eq!(found, expected);
        assert_eq!(brain.views[2].from, [-20.0, -10.0]);
        assert!(Brain::of(&[]).is_none());
        assert_eq!(Brain::of(&voxels[..1]).unwrap().views[0].size, [1, 1]);
    }

    #[test]
    fn many_voxels_are_few_squares() {
        let voxels: Vec<([f64; 3], f64)> = (0..100_000)
            .map(|i| {
                ([f64::from(i % 100) * 1.8 - 90.0, f64::from(i / 100 % 100) * 2.0, f64::from(i / 10_000) * 2.0], 0.1)
            })
            .collect();
        let brain = Brain::of(&voxels).unwrap();
        assert!(brain.views.iter().all(|view| view.squares.len() <= 64 * 64 && view.size.iter().all(|n| *n <= 64)));
    }
}

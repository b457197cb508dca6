//! Where in the brain? Voxels seen along each axis, as through glass, in squares so few that the page stays small.

use std::collections::BTreeMap;

use super::figure::{Anchor, Figure, LETTER, Mark, Size, fitted};
use super::metric::number;
use super::palette::HEAT;
use super::{Brain, FeatureSpace, View};

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

/// Every space's brain, seen from the right, the front and the top, and what the colours mean. One scale for all.
pub(super) fn pictures(spaces: &[(&FeatureSpace, &Brain)], what: String) -> Figure {
    const PANEL: f64 = 420.0;
    const GAP: f64 = 20.0;
    let squares = || spaces.iter().flat_map(|(_, brain)| &brain.views).flat_map(|view| &view.squares);
    let most = squares().map(|(.., r)| f64::from(*r)).filter(|r| r.is_finite()).fold(0.0, f64::max).max(1e-3);
    let below = squares().any(|(.., r)| *r < 0.0);
    let columns = spaces.len().clamp(1, 2);
    let width = PANEL * columns as f64 + GAP * (columns as f64 - 1.0);
    let mut marks = Vec::new();
    let mut top = 2.0;
    for row in spaces.chunks(columns) {
        let mut deepest = 0.0_f64;
        for (place, (space, brain)) in row.iter().enumerate() {
            let left = place as f64 * (PANEL + GAP);
            let mut y = top;
            if spaces.len() > 1 {
                y += 14.0;
                let words = fitted(&space.name, PANEL, LETTER);
                marks.push(Mark::Text(Size::Label, Anchor::Start, [left, y - 3.0], words));
            }
            let across: usize = brain.views.iter().map(|view| view.size[0]).sum();
            let up = brain.views.iter().map(|view| view.size[1]).max().unwrap_or(1);
            let spare = GAP * brain.views.len().saturating_sub(1) as f64;
            let edge = ((PANEL - spare) / across.max(1) as f64).min(190.0 / up.max(1) as f64);
            let height = up as f64 * edge;
            let mut x = left + (PANEL - spare - across as f64 * edge) / 2.0;
            for (view, sides) in brain.views.iter().zip([["P", "A"], ["L", "R"], ["L", "R"]]) {
                let wide = view.size[0] as f64 * edge;
                draw(&mut marks, view, [x, y + height], edge, most);
                for (at, side) in [(x + 4.0, sides[0]), (x + wide - 4.0, sides[1])] {
                    marks.push(Mark::Text(Size::Tick, Anchor::Middle, [at, y + height + 12.0], side.into()));
                }
                x += wide + GAP;
            }
            deepest = deepest.max(y + height + 18.0);
        }
        top = deepest;
    }
    // What the colours mean.
    let (from, step) = (width / 2.0 - 110.0, 22.0);
    if below {
        marks.push(Mark::Rect("below", [from - 52.0, top + 2.0, step, 9.0], String::new()));
        marks.push(Mark::Text(Size::Tick, Anchor::Middle, [from - 41.0, top + 22.0], "below 0".into()));
    }
    for (i, colour) in HEAT.iter().enumerate() {
        marks.push(Mark::Rect(colour, [from + i as f64 * step, top + 2.0, step, 9.0], String::new()));
    }
    for (i, value) in [0.0, most / 2.0, most].into_iter().enumerate() {
        marks.push(Mark::Text(Size::Tick, Anchor::Middle, [from + i as f64 * 5.0 * step, top + 22.0], number(value)));
    }
    marks.push(Mark::Text(Size::Tick, Anchor::Start, [from + 10.0 * step + 22.0, top + 10.0], "r".into()));
    Figure { name: "brain", what, width, height: top + 28.0, marks, key: Vec::new() }
}

/// One view, its lower left corner there; the squares of one colour are one mark.
fn draw(marks: &mut Vec<Mark>, view: &View, [left, bottom]: [f64; 2], edge: f64, most: f64) {
    let mut of_colour: BTreeMap<&'static str, Vec<[f64; 2]>> = BTreeMap::new();
    for (column, row, r) in &view.squares {
        let step = (f64::from(*r) / most * HEAT.len() as f64).floor().max(0.0) as usize;
        let colour = if *r < 0.0 { "below" } else { HEAT.get(step.min(HEAT.len() - 1)).copied().unwrap_or("none") };
        let corner = [left + f64::from(*column) * edge, bottom - f64::from(*row + 1) * edge];
        of_colour.entry(colour).or_default().push(corner);
    }
    // A little larger, so that no ground shines through between neighbours.
    marks.extend(of_colour.into_iter().map(|(colour, corners)| Mark::Squares(colour, edge + 0.15, corners)));
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

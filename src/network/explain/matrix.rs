//! Which edges, all at once? Regions by regions: the value below the diagonal, in how many folds the edge is among the first above it.

use std::collections::BTreeMap;

use super::shades::{Shown, key, shade};
use crate::drawing::Figure;
use crate::drawing::figure::{Anchor, Mark, Size, TICK_LETTER, fitted};

const SIDE: f64 = 540.0;
/// From this edge of a cell on, regions are named.
const NAMED: f64 = 8.0;

/// The matrix picture.
pub(super) fn picture(shown: &Shown<'_>) -> Figure {
    let nodes = shown.edges.nodes();
    let cell = (SIDE / nodes.max(1) as f64).min(22.0);
    let longest = shown.regions.iter().map(|name| name.chars().count()).max().unwrap_or(0);
    let left = if cell >= NAMED { (longest as f64 * TICK_LETTER + 8.0).clamp(20.0, 130.0) } else { 4.0 };
    let mut cells: BTreeMap<&'static str, Vec<[f64; 2]>> = BTreeMap::new();
    let mut put = |colour, [row, column]: [usize; 2]| {
        cells.entry(colour).or_default().push([left + column as f64 * cell, 2.0 + row as f64 * cell]);
    };
    let (places, most, directed) = (shown.edges.places(), shown.most(), shown.edges.directed());
    for ranked in shown.ranked {
        let Some((i, j)) = places.get(ranked.edge).copied() else { continue };
        put(shade(shown.signed.get(ranked.edge).copied().unwrap_or(0.0), most), [i, j]);
        if !directed {
            put(shade(ranked.folds as f64, shown.folds as f64), [j, i]);
        }
    }
    (0..nodes).for_each(|at| put("none", [at, at]));
    // A little larger, so that no ground shines through between neighbours.
    let mut marks: Vec<Mark> =
        cells.into_iter().map(|(colour, corners)| Mark::Squares(colour, cell + 0.1, corners)).collect();
    if cell >= NAMED {
        for (at, name) in shown.regions.iter().enumerate() {
            let y = 2.0 + (at as f64 + 0.5) * cell + 3.5;
            let words = fitted(name, left - 8.0, TICK_LETTER);
            marks.push(Mark::Text(Size::Tick, Anchor::End, [left - 5.0, y], words));
        }
    }
    let bottom = 2.0 + nodes as f64 * cell + 8.0;
    key(&mut marks, [left, bottom], most, shown.signed.iter().any(|value| *value < 0.0));
    let (top, folds) = (shown.top, shown.folds);
    let what = match directed {
        true => format!("{}: every edge, from the column's region to the row's", shown.of),
        false => format!(
            "{}: every edge (below the diagonal), and in how many of {folds} folds it is among the first {top} (above, dark: all)",
            shown.of
        ),
    };
    let width = (left + nodes as f64 * cell + 4.0).max(left + 320.0);
    Figure { name: "matrix", what, width, height: bottom + 28.0, marks, key: Vec::new() }
}

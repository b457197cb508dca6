//! Which regions are tied by the first edges? Regions on a circle, in their order, with a chord an edge.

use super::shades::{Shown, key, shade};
use crate::drawing::Figure;
use crate::drawing::figure::{Anchor, LETTER, Mark, Size, fitted};

const WIDTH: f64 = 640.0;
const RADIUS: f64 = 185.0;
const CENTRE: [f64; 2] = [WIDTH / 2.0, RADIUS + 28.0];
/// Straight pieces of a chord.
const PIECES: usize = 14;
/// How far names stand apart at the least, from line to line.
const LINE: f64 = 11.5;

/// The chord picture: regions that have an edge among the first, each as large as its edges together.
pub(super) fn picture(shown: &Shown<'_>) -> Figure {
    let (first, weights, most) = (shown.first(), shown.weights(), shown.most());
    let regions: Vec<usize> =
        weights.iter().enumerate().filter(|(_, weight)| **weight > 0.0).map(|(region, _)| region).collect();
    let angle = |place: usize| std::f64::consts::TAU * (place as f64 + 0.5) / regions.len().max(1) as f64;
    // Clockwise from the top, so that the first half of the regions is to the right.
    let on = |place: usize, radius: f64| {
        let (sin, cos) = angle(place).sin_cos();
        [CENTRE[0] + radius * sin, CENTRE[1] - radius * cos]
    };
    let place = |region: usize| regions.binary_search(&region).unwrap_or_default();
    let mut marks = Vec::new();
    for (ends, value, _) in &first {
        let [from, to] = ends.map(|end| on(place(end), RADIUS));
        marks.push(Mark::Curve(shade(*value, most), chord(from, to)));
    }
    let mut order: Vec<usize> = (0..regions.len()).collect();
    let weight = |place: usize| regions.get(place).and_then(|region| weights.get(*region)).copied().unwrap_or(0.0);
    order.sort_by(|a, b| weight(*b).total_cmp(&weight(*a)));
    let mut taken: Vec<[f64; 2]> = Vec::new();
    for at in order {
        let Some(name) = regions.get(at).map(|region| shown.name(*region)) else { continue };
        let [x, y] = on(at, RADIUS);
        let radius = ((2.0 + 4.5 * weight(at).sqrt()) * 10.0).round() / 10.0;
        marks.push(Mark::Circle("ink", [x, y, radius], name.to_owned()));
        let [x, y] = on(at, RADIUS + 12.0);
        let right = x >= CENTRE[0];
        // The names of the regions that have most; of others where there is room.
        if taken.iter().all(|[side, line]| (*side > 0.0) != right || (line - y).abs() >= LINE) {
            taken.push([if right { 1.0 } else { -1.0 }, y]);
            let room = if right { WIDTH - x } else { x };
            let anchor = if right { Anchor::Start } else { Anchor::End };
            marks.push(Mark::Text(Size::Label, anchor, [x, y + 4.0], fitted(name, room, LETTER)));
        }
    }
    let bottom = CENTRE[1] + RADIUS + 26.0;
    key(&mut marks, [20.0, bottom], most, first.iter().any(|(_, value, _)| *value < 0.0));
    let what = format!("{}: the first {} edges, and the regions between which they are", shown.of, first.len());
    Figure { name: "chord", what, width: WIDTH, height: bottom + 28.0, marks, key: Vec::new() }
}

/// A parabola from here to there that is drawn towards the centre.
fn chord(from: [f64; 2], to: [f64; 2]) -> Vec<[f64; 2]> {
    let middle = [0, 1].map(|axis| CENTRE[axis] + 0.15 * ((from[axis] + to[axis]) / 2.0 - CENTRE[axis]));
    (0..=PIECES)
        .map(|piece| {
            let t = piece as f64 / PIECES as f64;
            let of =
                |axis: usize| (1.0 - t).powi(2) * from[axis] + 2.0 * t * (1.0 - t) * middle[axis] + t * t * to[axis];
            [of(0), of(1)]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_chord_begins_and_ends_at_its_regions_and_stays_inside() {
        let [from, to] = [[CENTRE[0] + RADIUS, CENTRE[1]], [CENTRE[0], CENTRE[1] - RADIUS]];
        let curve = chord(from, to);
        assert_eq!((curve[0], curve[PIECES]), (from, to));
        let from_centre = |[x, y]: [f64; 2]| (x - CENTRE[0]).hypot(y - CENTRE[1]);
        assert!(curve[1..PIECES].iter().all(|point| from_centre(*point) < RADIUS), "{curve:?}");
    }
}

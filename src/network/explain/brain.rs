//! Where in the brain? Regions and the first edges seen along each axis, as through glass, in an outline that is round them.

use ndarray::{ArrayView2, Axis};

use super::shades::{Shown, key, shade};
use crate::drawing::Figure;
use crate::drawing::figure::{Anchor, Mark, Size};

/// Which axes of a place (x, y, z) are to the right and up, in each view: from the right, from behind and from the top.
const AXES: [[usize; 2]; 3] = [[1, 2], [0, 2], [0, 1]];
const SIDES: [[&str; 2]; 3] = [["P", "A"], ["L", "R"], ["L", "R"]];
const NAMES: [&str; 3] = ["from the right", "from behind", "from the top"];
const WIDTH: f64 = 720.0;
const GAP: f64 = 24.0;
/// How far the outline is from the outermost region, in mm: about as far as the middle of a region is from the surface.
const SKIN: f64 = 12.0;

/// Three views of regions at `coordinates` (N × 3, mm RAS); none where a region has no place.
pub(super) fn picture(shown: &Shown<'_>, coordinates: ArrayView2<'_, f64>) -> Option<Figure> {
    if coordinates.dim() != (shown.edges.nodes(), 3) || coordinates.iter().any(|mm| !mm.is_finite()) {
        return None;
    }
    let end = |pick: fn(f64, f64) -> f64, from: f64| {
        [0, 1, 2].map(|axis| coordinates.column(axis).iter().copied().fold(from, pick))
    };
    let (low, high) = (end(f64::min, f64::INFINITY), end(f64::max, f64::NEG_INFINITY));
    let middle = [0, 1, 2].map(|axis| f64::midpoint(low[axis], high[axis]));
    // An ellipsoid that holds every region, and its skin.
    let half = [0, 1, 2].map(|axis| (high[axis] - low[axis]) / 2.0 + SKIN);
    let reach = |place: ndarray::ArrayView1<'_, f64>| {
        (0..3).map(|axis| ((place[axis] - middle[axis]) / half[axis]).powi(2)).sum::<f64>().sqrt()
    };
    let stretch = coordinates.axis_iter(Axis(0)).map(reach).fold(1.0, f64::max);
    let half = half.map(|mm| mm * stretch);
    let across: f64 = AXES.iter().map(|[x, _]| 2.0 * half[*x]).sum();
    let unit = (WIDTH - 2.0 * GAP) / across;
    let tall = AXES.iter().map(|[_, y]| 2.0 * half[*y] * unit).fold(0.0, f64::max);
    let (first, weights, most) = (shown.first(), shown.weights(), shown.most());
    let (mut marks, mut left) = (Vec::new(), 0.0);
    for (([x, y], sides), name) in AXES.into_iter().zip(SIDES).zip(NAMES) {
        let wide = 2.0 * half[x] * unit;
        let centre = [left + wide / 2.0, 16.0 + tall / 2.0];
        let at = |region: usize| {
            let place = coordinates.row(region);
            [centre[0] + (place[x] - middle[x]) * unit, centre[1] - (place[y] - middle[y]) * unit]
        };
        marks.push(Mark::Text(Size::Label, Anchor::Middle, [centre[0], 10.0], name.into()));
        marks.push(Mark::Curve("soft", ellipse(centre, [half[x] * unit, half[y] * unit])));
        for ([i, j], value, _) in &first {
            marks.push(Mark::Curve(shade(*value, most), vec![at(*i), at(*j)]));
        }
        for (region, weight) in weights.iter().enumerate() {
            let [x, y] = at(region);
            let (colour, radius) = if *weight > 0.0 { ("ink", 2.0 + 4.5 * weight.sqrt()) } else { ("line", 1.6) };
            let radius = (radius * 10.0).round() / 10.0;
            marks.push(Mark::Circle(colour, [x, y, radius], shown.name(region).to_owned()));
        }
        for (side, edge) in sides.into_iter().zip([left + 6.0, left + wide - 6.0]) {
            marks.push(Mark::Text(Size::Tick, Anchor::Middle, [edge, 16.0 + tall + 8.0], side.into()));
        }
        left += wide + GAP;
    }
    let bottom = 16.0 + tall + 18.0;
    key(&mut marks, [20.0, bottom], most, first.iter().any(|(_, value, _)| *value < 0.0));
    let what = format!("{}: the first {} edges in the brain, as through glass", shown.of, first.len());
    Some(Figure { name: "brain", what, width: WIDTH, height: bottom + 28.0, marks, key: Vec::new() })
}

fn ellipse(centre: [f64; 2], half: [f64; 2]) -> Vec<[f64; 2]> {
    (0..=72)
        .map(|step| {
            let (sin, cos) = (std::f64::consts::TAU * f64::from(step) / 72.0).sin_cos();
            [centre[0] + half[0] * cos, centre[1] - half[1] * sin]
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use ndarray::{Array3, array};

    use super::*;
    use crate::network::baselines::Edges;
    use crate::network::explain::Ranked;
    use crate::network::{Networks, Rows, Targets};

    #[test]
    fn regions_stand_where_they_lie_and_inside_the_outline() {
        let networks = Networks { connectivity: Array3::ones((1, 3, 3)), ..Networks::default() };
        let edges = Edges::of(None, Rows { networks: &networks, targets: &Targets::Values(vec![0.0]), rows: &[0] });
        let regions = ["left", "right", "front"].map(String::from);
        let ranked = [Ranked { edge: 0, mean: -1.0, sd: 0.0, sign: 1.0, folds: 2 }];
        let signed = vec![-1.0, 0.0, 0.0];
        let shown =
            Shown { edges: &edges, regions: &regions, ranked: &ranked, signed, top: 1, folds: 2, of: "x".into() };
        let places = array![[-60.0, -10.0, 20.0], [60.0, -10.0, 20.0], [0.0, 70.0, -5.0]];
        let figure = picture(&shown, places.view()).unwrap();
        let circles: Vec<([f64; 3], &str)> = figure
            .marks
            .iter()
            .filter_map(|mark| if let Mark::Circle(_, at, name) = mark { Some((*at, name.as_str())) } else { None })
            .collect();
        assert_eq!(circles.len(), 9);
        // From the top: left is left of right, on one line, and the front is above both.
        let [left, right, front] = [circles[6].0, circles[7].0, circles[8].0];
        assert!(left[0] < front[0] && front[0] < right[0] && left[1] == right[1] && front[1] < left[1]);
        let outlines: Vec<&Vec<[f64; 2]>> = figure
            .marks
            .iter()
            .filter_map(|mark| if let Mark::Curve("soft", points) = mark { Some(points) } else { None })
            .collect();
        for (view, outline) in outlines.iter().enumerate() {
            let end = |axis: usize, pick: fn(f64, f64) -> f64, from| outline.iter().map(|p| p[axis]).fold(from, pick);
            let (low, high) = ([0, 1].map(|a| end(a, f64::min, 1e9)), [0, 1].map(|a| end(a, f64::max, -1e9)));
            for (place, _) in &circles[3 * view..3 * view + 3] {
                let inside = [0, 1].map(|a| (2.0 * place[a] - low[a] - high[a]) / (high[a] - low[a]));
                assert!(inside[0].hypot(inside[1]) < 1.0, "{view}: {place:?}");
            }
        }
        assert!(
            figure.marks.contains(&Mark::Curve("c9", vec![[left[0], left[1]], [right[0], right[1]]]))
                || figure.marks.contains(&Mark::Curve("c9", vec![[right[0], right[1]], [left[0], left[1]]]))
        );
        assert!(picture(&shown, array![[0.0, 0.0, 0.0]].view()).is_none());
    }
}

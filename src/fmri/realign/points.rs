//! Where does motion show? Places of the reference with a steep slope, and how each value changes with each movement.

use super::rigid::Rigid;
use super::spline::Spline;
use crate::fmri::Grid;

/// The part of all squared slopes that the chosen places hold, as far as there is room for them.
const INFORMATION: f64 = 0.95;
/// Unknowns of a step: three shifts, three turns, and the volume's gain.
const UNKNOWNS: usize = 7;
/// Voxels next to an edge of the reference that are no places: what lies beyond the edge is not known.
const MARGIN: usize = 2;

/// Places of the reference, with what a step needs of them.
#[derive(Clone, Debug)]
pub(super) struct Points {
    all: Vec<Point>,
    /// What turns are about, in mm.
    centre: [f64; 3],
    spread: f64,
}

#[derive(Clone, Copy, Debug)]
struct Point {
    /// In voxels of the reference.
    place: [f32; 3],
    value: f32,
    /// d value / d (x, y, z in mm; turns about x, y, z in radians).
    change: [f32; 6],
}

/// What one pass over the points says.
#[derive(Clone, Copy, Debug)]
pub(super) struct Step {
    /// How the reference must move to lie on the volume as it is sampled now.
    pub shift: [f64; 3],
    /// As an axis times an angle in radians.
    pub turn: [f64; 3],
    /// Pearson's correlation of the reference and the volume at these places.
    pub correlation: f64,
}

impl Points {
    /// At most `most` places of the reference, none of them near a voxel of `missing`.
    pub fn choose(grid: &Grid, inverse: &[[f64; 4]; 3], reference: &Spline, missing: &[bool], most: usize) -> Self {
        let inside = |p: usize, n: usize| {
            let margin = MARGIN.min(n / 4);
            (margin..n - margin).contains(&p)
        };
        let mut steep = Vec::new();
        for voxel in 0..grid.voxels() {
            let index = grid.index(voxel);
            if !(0..3).all(|axis| inside(index[axis], grid.dims[axis])) || missing.get(voxel) == Some(&true) {
                continue;
            }
            let place = index.map(|p| p as f32);
            let Some((value, slopes)) = reference.with_slopes(place) else { continue };
            // Per mm: the slopes per voxel through the matrix from mm to voxels.
            let slope: [f64; 3] =
                std::array::from_fn(|i| slopes.iter().zip(inverse).map(|(s, row)| f64::from(*s) * row[i]).sum());
            let square: f64 = slope.iter().map(|s| s * s).sum();
            if square > 0.0 && square.is_finite() {
                steep.push((voxel, place, value, slope, square));
            }
        }
        let total: f64 = steep.iter().map(|(.., square)| square).sum();
        steep.sort_by(|a, b| b.4.total_cmp(&a.4).then(a.0.cmp(&b.0)));
        let mut held = 0.0;
        let enough = steep.iter().take_while(|(.., square)| {
            let more = held < INFORMATION * total;
            held += square;
            more
        });
        let enough = enough.count().min(most);
        steep.truncate(enough);
        steep.sort_by_key(|(voxel, ..)| *voxel);

        let count = steep.len().max(1) as f64;
        let mut centre = [0.0; 3];
        let mut mean = 0.0;
        for (voxel, _, value, ..) in &steep {
            let at = grid.millimetres(grid.index(*voxel));
            centre.iter_mut().zip(at).for_each(|(c, p)| *c += p / count);
            mean += f64::from(*value) / count;
        }
        let spread = steep.iter().map(|(_, _, value, ..)| (f64::from(*value) - mean).powi(2)).sum();
        let point = |(voxel, place, value, g, _): &(usize, [f32; 3], f32, [f64; 3], f64)| {
            let at = grid.millimetres(grid.index(*voxel));
            let [x, y, z]: [f64; 3] = std::array::from_fn(|i| at[i] - centre[i]);
            let turns = [y * g[2] - z * g[1], z * g[0] - x * g[2], x * g[1] - y * g[0]];
            let change = [g[0], g[1], g[2], turns[0], turns[1], turns[2]].map(|c| c as f32);
            Point { place: *place, value: *value, change }
        };
        Self { all: steep.iter().map(point).collect(), centre, spread }
    }

    pub fn len(&self) -> usize {
        self.all.len()
    }

    /// How far the reference varies over its places: Σ(value − mean)².
    pub fn spread(&self) -> f64 {
        self.spread
    }

    /// The movement of a step, as a map of mm.
    pub fn movement(&self, step: &Step) -> Rigid {
        Rigid::about(self.centre, step.shift, step.turn)
    }

    /// One Gauss–Newton step: the volume sampled at `to_voxel` of every place, its gain and the movement fitted together
    /// by least squares, `reference + change · movement ≈ gain · volume`. `None` where too little is left to fit.
    pub fn step(
        &self,
        volume: &Spline,
        missing: Option<&dyn Fn([f32; 3]) -> bool>,
        to_voxel: &[[f32; 4]; 3],
        arch: pulp::Arch,
    ) -> Option<Step> {
        let sums = arch.dispatch(|| self.sums(volume, missing, to_voxel));
        let n = sums.count as f64;
        let covariance = sums.product - sums.volume * sums.reference / n;
        let spreads = (sums.volume_square - sums.volume * sums.volume / n)
            * (sums.reference_square - sums.reference * sums.reference / n);
        if sums.count < self.len() / 4 || spreads.is_nan() || spreads <= 0.0 {
            return None;
        }
        let solution = solve(sums.normal, sums.right)?;
        Some(Step {
            shift: [solution[0], solution[1], solution[2]],
            turn: [solution[3], solution[4], solution[5]],
            correlation: covariance / spreads.sqrt(),
        })
    }

    #[inline(always)]
    fn sums(&self, volume: &Spline, missing: Option<&dyn Fn([f32; 3]) -> bool>, to_voxel: &[[f32; 4]; 3]) -> Sums {
        let mut sums = Sums::default();
        for point in &self.all {
            let [x, y, z] = point.place;
            let there = to_voxel.map(|[a, b, c, shift]| (a * x + b * y) + (c * z + shift));
            let Some(value) = volume.at(there) else { continue };
            if missing.is_some_and(|missing| missing(there)) {
                continue;
            }
            sums.add(point, f64::from(value));
        }
        sums
    }
}

#[derive(Default)]
struct Sums {
    count: usize,
    reference: f64,
    reference_square: f64,
    volume: f64,
    volume_square: f64,
    product: f64,
    /// The lower triangle of the normal matrix.
    normal: [[f64; UNKNOWNS]; UNKNOWNS],
    right: [f64; UNKNOWNS],
}

impl Sums {
    #[inline(always)]
    fn add(&mut self, point: &Point, volume: f64) {
        let reference = f64::from(point.value);
        let mut columns = [0.0; UNKNOWNS];
        for (column, change) in columns.iter_mut().zip(point.change) {
            *column = f64::from(change);
        }
        columns[UNKNOWNS - 1] = -volume;
        for i in 0..UNKNOWNS {
            for j in 0..=i {
                self.normal[i][j] += columns[i] * columns[j];
            }
            self.right[i] -= columns[i] * reference;
        }
        self.count += 1;
        self.reference += reference;
        self.reference_square += reference * reference;
        self.volume += volume;
        self.volume_square += volume * volume;
        self.product += reference * volume;
    }
}

/// `A x = b` for a symmetric positive A of which the lower triangle is given, by Cholesky; `None` where A is singular.
fn solve(mut a: [[f64; UNKNOWNS]; UNKNOWNS], mut b: [f64; UNKNOWNS]) -> Option<[f64; UNKNOWNS]> {
    for i in 0..UNKNOWNS {
        let diagonal = a[i][i];
        for j in 0..=i {
            let dot: f64 = (0..j).map(|k| a[i][k] * a[j][k]).sum();
            if i == j {
                let rest = a[i][i] - dot;
                if !(rest > 1e-10 * diagonal && rest.is_finite()) {
                    return None;
                }
                a[i][i] = rest.sqrt();
            } else {
                a[i][j] = (a[i][j] - dot) / a[j][j];
            }
        }
        let dot: f64 = (0..i).map(|k| a[i][k] * b[k]).sum();
        b[i] = (b[i] - dot) / a[i][i];
    }
    for i in (0..UNKNOWNS).rev() {
        let dot: f64 = (i + 1..UNKNOWNS).map(|k| a[k][i] * b[k]).sum();
        b[i] = (b[i] - dot) / a[i][i];
    }
    Some(b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_solver_solves_and_refuses_what_is_singular() {
        let mut a = [[0.0; UNKNOWNS]; UNKNOWNS];
        for (i, row) in a.iter_mut().enumerate() {
            for (j, value) in row.iter_mut().enumerate().take(i + 1) {
                *value = if i == j { 8.0 + i as f64 } else { 1.0 / (1 + i + j) as f64 };
            }
        }
        let truth = [1.0, -2.0, 3.0, 0.5, 0.25, -1.5, 2.0];
        let full = |i: usize, j: usize| if i >= j { a[i][j] } else { a[j][i] };
        let b = std::array::from_fn(|i| (0..UNKNOWNS).map(|j| full(i, j) * truth[j]).sum());
        let x = solve(a, b).expect("a solution");
        assert!(x.iter().zip(truth).all(|(x, t)| (x - t).abs() < 1e-12), "{x:?}");
        a[3] = [0.0; UNKNOWNS];
        assert_eq!(solve(a, b), None);
    }
}

//! What is a volume between its voxels? A cubic B-spline.
//!
//! Source: Unser, Aldroubi & Eden (1993), *B-spline signal processing*, IEEE Trans. Signal Processing 41:821–848.

use pulp::Arch;

/// The pole of the filter that makes interpolating coefficients: √3 − 2.
const POLE: f32 = -0.267_949_2;
/// After so many voxels the pole's power is below f32's rounding.
const HORIZON: usize = 14;
/// Coefficients before the first voxel; two more stand after the last.
const BEFORE: usize = 1;
const AROUND: usize = 3;
/// The fewest voxels along an axis: the mirrored edge needs so many.
pub(super) const FEWEST: usize = 4;

/// The coefficients of one volume, with a mirrored edge so that every place inside has all its neighbours.
#[derive(Clone, Debug)]
pub(super) struct Spline {
    dims: [usize; 3],
    /// `(nx + 3) × (ny + 3) × (nz + 3)`.
    data: Vec<f32>,
}

impl Spline {
    /// For volumes of at least [`FEWEST`] voxels along each axis.
    pub fn new(dims: [usize; 3]) -> Self {
        Self { dims, data: vec![0.0; dims.iter().map(|n| n + AROUND).product()] }
    }

    /// Takes a volume's voxels as coefficients. Without [`interpolating`] them first, the spline smooths a little.
    pub fn fill(&mut self, voxels: &[f32]) {
        let [nx, ny, nz] = self.dims;
        let (width, height) = (nx + AROUND, ny + AROUND);
        for (at, row) in self.data.chunks_exact_mut(width).enumerate() {
            let (y, z) = (mirror(at % height, ny), mirror(at / height, nz));
            let source = &voxels[(z * ny + y) * nx..][..nx];
            row[BEFORE..BEFORE + nx].copy_from_slice(source);
            (row[0], row[nx + 1], row[nx + 2]) = (source[1], source[nx - 2], source[nx - 3]);
        }
    }

    /// The value at a place in voxels; `None` outside the volume.
    #[inline(always)]
    pub fn at(&self, place: [f32; 3]) -> Option<f32> {
        let (start, [x, y, z]) = self.corner(place)?;
        Some(self.sum(start, weights(x), weights(y), weights(z)))
    }

    /// Its value where each voxel of `out` lies in it, and `outside` where that is outside or on a missing voxel.
    #[inline(always)]
    pub fn resample(
        &self,
        to_voxel: &[[f32; 4]; 3],
        missing: Option<&dyn Fn([f32; 3]) -> bool>,
        outside: f32,
        out: &mut [f32],
    ) {
        let [nx, ny, _] = self.dims;
        let far = self.dims.map(|n| (n - 1) as f32);
        let step = to_voxel.map(|row| row[0]);
        for (row, out) in out.chunks_exact_mut(nx).enumerate() {
            let (y, z) = ((row % ny) as f32, (row / ny) as f32);
            let start = to_voxel.map(|[_, b, c, shift]| b * y + (c * z + shift));
            for (x, out) in out.iter_mut().enumerate() {
                let x = x as f32;
                let there = [
                    settle(step[0] * x + start[0], far[0]),
                    settle(step[1] * x + start[1], far[1]),
                    settle(step[2] * x + start[2], far[2]),
                ];
                *out = match (self.at(there), missing) {
                    (Some(_), Some(missing)) if missing(there) => outside,
                    (Some(value), _) => value,
                    (None, _) => outside,
                };
            }
        }
    }

    /// The value and its slopes per voxel.
    pub fn with_slopes(&self, place: [f32; 3]) -> Option<(f32, [f32; 3])> {
        let (start, parts) = self.corner(place)?;
        let ([x, y, z], [dx, dy, dz]) = (parts.map(weights), parts.map(slopes));
        let slopes = [self.sum(start, dx, y, z), self.sum(start, x, dy, z), self.sum(start, x, y, dz)];
        Some((self.sum(start, x, y, z), slopes))
    }

    /// Where the 4 × 4 × 4 coefficients of a place begin, and how far it lies past its voxel.
    #[inline(always)]
    fn corner(&self, place: [f32; 3]) -> Option<(usize, [f32; 3])> {
        let [nx, ny, nz] = self.dims;
        // In range first: the cast below then needs no floor. NaN is not in range.
        let inside = |p: f32, n: usize| p >= 0.0 && p <= (n - 1) as f32;
        if !(inside(place[0], nx) && inside(place[1], ny) && inside(place[2], nz)) {
            return None;
        }
        let whole = place.map(|p| p as i32);
        let parts = std::array::from_fn(|i| place[i] - whole[i] as f32);
        let [x, y, z] = whole.map(|w| w as usize);
        Some(((z * (ny + AROUND) + y) * (nx + AROUND) + x, parts))
    }

    #[inline(always)]
    fn sum(&self, start: usize, x: [f32; 4], y: [f32; 4], z: [f32; 4]) -> f32 {
        let row = self.dims[0] + AROUND;
        let plane = row * (self.dims[1] + AROUND);
        let cube = &self.data[start..start + 3 * plane + 3 * row + 4];
        let mut sums = [0.0f32; 4];
        for (k, z) in z.iter().enumerate() {
            for (j, y) in y.iter().enumerate() {
                let (weight, line) = (z * y, &cube[k * plane + j * row..][..4]);
                for (sum, value) in sums.iter_mut().zip(line) {
                    *sum += weight * value;
                }
            }
        }
        (sums[0] * x[0] + sums[1] * x[1]) + (sums[2] * x[2] + sums[3] * x[3])
    }
}

/// A place a hair outside the volume is at its edge, as SPM has it.
#[inline(always)]
fn settle(place: f32, far: f32) -> f32 {
    let edge = place.max(0.0).min(far);
    if (place - edge).abs() < 0.05 { edge } else { place }
}

/// The voxel that stands at a place of the edged array.
fn mirror(at: usize, n: usize) -> usize {
    match at.checked_sub(BEFORE) {
        None => 1,
        Some(i) if i < n => i,
        Some(i) => 2 * (n - 1) - i,
    }
}

/// β³ at t + 1, t, t − 1, t − 2.
#[inline(always)]
fn weights(t: f32) -> [f32; 4] {
    let (s, tt) = (1.0 - t, t * t);
    let third = 1.0 / 6.0;
    let near = |t: f32| (4.0 + t * t * (3.0 * t - 6.0)) * third;
    [s * s * s * third, near(t), near(s), tt * t * third]
}

/// The derivative of [`weights`].
fn slopes(t: f32) -> [f32; 4] {
    let s = 1.0 - t;
    [-0.5 * s * s, t * (1.5 * t - 2.0), -s * (1.5 * s - 2.0), 0.5 * t * t]
}

/// Turns voxels into the coefficients of the spline that goes through them.
pub(super) fn interpolating(arch: Arch, voxels: &mut [f32], [nx, ny, nz]: [usize; 3]) {
    arch.dispatch(|| {
        voxels.chunks_exact_mut(nx).for_each(|row| recursion(row, 1, nx));
        voxels.chunks_exact_mut(nx * ny).for_each(|plane| recursion(plane, nx, ny));
        recursion(voxels, nx * ny, nz);
    });
}

/// The filter down the `n` rows of `width`, for all columns together.
#[inline(always)]
fn recursion(data: &mut [f32], width: usize, n: usize) {
    let gain = (1.0 - POLE) * (1.0 - 1.0 / POLE);
    // The sum over all that lies before the first row, mirrored about it, becomes its start.
    let mut of_row = [0.0f32; HORIZON];
    let mut power = 1.0;
    for k in 0..HORIZON {
        let folded = k % (2 * (n - 1));
        of_row[folded.min(2 * (n - 1) - folded)] += power;
        power *= POLE;
    }
    let (first, rest) = data.split_at_mut(width);
    first.iter_mut().for_each(|v| *v *= of_row[0]);
    for (row, power) in rest.chunks_exact(width).zip(&of_row[1..]) {
        add_scaled(first, *power, row);
    }
    data[..width].iter_mut().for_each(|v| *v *= gain);
    for row in 1..n {
        let (before, now) = data[(row - 1) * width..(row + 1) * width].split_at_mut(width);
        for (now, before) in now.iter_mut().zip(before) {
            *now = gain * *now + POLE * *before;
        }
    }
    let end = POLE / (POLE * POLE - 1.0);
    let (before, last) = data[(n - 2) * width..n * width].split_at_mut(width);
    for (last, before) in last.iter_mut().zip(before) {
        *last = end * (*last + POLE * *before);
    }
    for row in (0..n - 1).rev() {
        let (now, after) = data[row * width..(row + 2) * width].split_at_mut(width);
        for (now, after) in now.iter_mut().zip(after) {
            *now = POLE * (*after - *now);
        }
    }
}

#[inline(always)]
fn add_scaled(to: &mut [f32], weight: f32, from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += weight * from;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn wavy([nx, ny, nz]: [usize; 3]) -> (Vec<f32>, impl Fn([f32; 3]) -> f32) {
        let f = |[x, y, z]: [f32; 3]| 3.0 + (0.5 * x).sin() + (0.4 * y).cos() * (0.3 * z).sin();
        let at = move |i: usize| f([(i % nx) as f32, (i / nx % ny) as f32, (i / nx / ny) as f32]);
        ((0..nx * ny * nz).map(at).collect(), f)
    }

    #[test]
    fn the_spline_goes_through_its_voxels_and_near_what_lies_between() {
        for dims in [[16, 15, 14], [4, 5, 6]] {
            let (voxels, truth) = wavy(dims);
            let mut coefficients = voxels.clone();
            interpolating(Arch::new(), &mut coefficients, dims);
            let mut spline = Spline::new(dims);
            spline.fill(&coefficients);
            for (i, voxel) in voxels.iter().enumerate() {
                let place = [i % dims[0], i / dims[0] % dims[1], i / dims[0] / dims[1]].map(|p| p as f32);
                let value = spline.at(place).expect("inside");
                assert!((value - voxel).abs() < 1e-5, "{place:?}: {value} against {voxel}");
            }
            if dims[0] > 8 {
                let place = [6.3, 7.7, 6.5];
                assert!((spline.at(place).expect("inside") - truth(place)).abs() < 2e-3);
            }
            let [far, ..] = dims.map(|n| n as f32 - 1.0);
            assert!(spline.at([-0.01, 1.0, 1.0]).is_none() && spline.at([far + 0.01, 1.0, 1.0]).is_none());
            assert!(spline.at([f32::NAN, 1.0, 1.0]).is_none() && spline.at([far, 0.0, 0.0]).is_some());
        }
    }

    #[test]
    fn slopes_are_those_of_small_steps() {
        let dims = [10, 10, 10];
        let mut spline = Spline::new(dims);
        spline.fill(&wavy(dims).0);
        let place = [4.3, 5.6, 3.2];
        let (value, slopes) = spline.with_slopes(place).expect("inside");
        assert_eq!(Some(value), spline.at(place));
        for (axis, slope) in slopes.into_iter().enumerate() {
            let step = |by: f32| {
                let mut there = place;
                there[axis] += by;
                spline.at(there).expect("inside")
            };
            let differs = (step(0.05) - step(-0.05)) / 0.1 - slope;
            assert!(differs.abs() < 2e-3, "axis {axis}: {differs}");
        }
    }
}

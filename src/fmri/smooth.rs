//! How is a volume smoothed? A Gaussian along x, then y, then z.

use pulp::Arch;

use super::{FmriError, Grid};

/// Where the kernel is cut off, in standard deviations: as scipy and nilearn have it.
const TRUNCATE: f64 = 4.0;
/// The most voxels on either side of the middle.
const MOST_RADIUS: usize = 64;

/// Smooths volumes of one grid with a Gaussian of a width in mm.
///
/// The kernel is sampled at voxels, cut at four standard deviations and sums to 1; outside the volume is 0, as in
/// `nilearn.image.smooth_img`. Nothing is allocated after [`new`](Smoother::new). A voxel that is not finite reaches
/// as far as the kernel does, so fill it before.
#[derive(Clone, Debug)]
pub struct Smoother {
    dims: [usize; 3],
    /// Per axis.
    kernels: [Vec<f32>; 3],
    /// Per axis and place: what the sum is multiplied by.
    scales: [Vec<f32>; 3],
    between: Vec<f32>,
    arch: Arch,
}

impl Smoother {
    /// A Gaussian of `fwhm` mm full width at half maximum.
    ///
    /// # Errors
    /// A width that is negative or spans more than 64 voxels on one side.
    pub fn new(grid: &Grid, fwhm: f64) -> Result<Self, FmriError> {
        Self::with_edges(grid, fwhm, false)
    }

    /// As [`new`](Smoother::new); at an edge, the mean over the voxels that are there instead of zeros beyond it.
    pub(super) fn renormalised(grid: &Grid, fwhm: f64) -> Result<Self, FmriError> {
        Self::with_edges(grid, fwhm, true)
    }

    fn with_edges(grid: &Grid, fwhm: f64, renormalise: bool) -> Result<Self, FmriError> {
        let wrong = |problem| Err(FmriError::Setting { key: "fwhm", problem });
        if !(fwhm >= 0.0 && fwhm.is_finite()) {
            return wrong(format!("{fwhm} mm is not 0 or more"));
        }
        let sizes = grid.voxel_size();
        let mut kernels = [Vec::new(), Vec::new(), Vec::new()];
        for (kernel, size) in kernels.iter_mut().zip(sizes) {
            let sigma = fwhm / (8.0 * std::f64::consts::LN_2).sqrt() / size;
            let radius = (TRUNCATE * sigma + 0.5).floor();
            if radius.is_nan() || radius > MOST_RADIUS as f64 {
                return wrong(format!("{fwhm} mm is {radius} voxels of {size} mm (at most {MOST_RADIUS})"));
            }
            *kernel = gaussian(sigma, radius as usize);
        }
        let scale = |axis: usize| {
            let (kernel, n) = (&kernels[axis], grid.dims[axis]);
            let radius = kernel.len() / 2;
            let at = |i: usize| {
                let inside = kernel.iter().enumerate().filter(|(k, _)| (radius..n + radius).contains(&(i + k)));
                1.0 / inside.map(|(_, w)| w).sum::<f32>()
            };
            (0..n).map(|i| if renormalise { at(i) } else { 1.0 }).collect()
        };
        let scales = [scale(0), scale(1), scale(2)];
        Ok(Self { dims: grid.dims, kernels, scales, between: vec![0.0; grid.voxels()], arch: Arch::new() })
    }

    /// Smooths `volume` in place; one of another size is left as it is.
    pub fn smooth(&mut self, volume: &mut [f32]) {
        if volume.len() != self.between.len() {
            return;
        }
        let Self { dims, kernels, scales, between, arch } = self;
        let [nx, ny, nz] = *dims;
        arch.dispatch(|| {
            along_rows(volume, between, nx, &kernels[0], &scales[0]);
            for (from, to) in between.chunks_exact(nx * ny).zip(volume.chunks_exact_mut(nx * ny)) {
                across_rows(from, to, nx, ny, &kernels[1], &scales[1]);
            }
            across_rows(volume, between, nx * ny, nz, &kernels[2], &scales[2]);
            volume.copy_from_slice(between);
        });
    }
}

fn gaussian(sigma: f64, radius: usize) -> Vec<f32> {
    let at = |k: usize| {
        let x = k as f64 - radius as f64;
        if radius == 0 { 1.0 } else { (-0.5 * (x / sigma).powi(2)).exp() }
    };
    let sum: f64 = (0..=2 * radius).map(at).sum();
    (0..=2 * radius).map(|k| (at(k) / sum) as f32).collect()
}

/// Each row with the kernel along it.
#[inline(always)]
fn along_rows(from: &[f32], to: &mut [f32], nx: usize, kernel: &[f32], scale: &[f32]) {
    let radius = kernel.len() / 2;
    for (from, to) in from.chunks_exact(nx).zip(to.chunks_exact_mut(nx)) {
        to.fill(0.0);
        for (k, weight) in kernel.iter().enumerate() {
            // to[i] += w · from[i + k − radius], where that is inside.
            let (begin, skip) = (radius.saturating_sub(k).min(nx), k.saturating_sub(radius).min(nx));
            add_scaled(&mut to[begin..], *weight, &from[skip..]);
        }
        for (value, scale) in to.iter_mut().zip(scale) {
            *value *= scale;
        }
    }
}

/// Each of `rows` rows of `width` becomes the kernel's sum over the rows about it.
#[inline(always)]
fn across_rows(from: &[f32], to: &mut [f32], width: usize, rows: usize, kernel: &[f32], scale: &[f32]) {
    let radius = kernel.len() / 2;
    for ((row, to), scale) in to.chunks_exact_mut(width).enumerate().zip(scale) {
        to.fill(0.0);
        for (k, weight) in kernel.iter().enumerate() {
            if let Some(source) = (row + k).checked_sub(radius).filter(|r| *r < rows) {
                add_scaled(to, *weight * scale, &from[source * width..][..width]);
            }
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

    fn grid(dims: [usize; 3]) -> Grid {
        Grid { dims, affine: [[2.0, 0.0, 0.0, 0.0], [0.0, 3.0, 0.0, 0.0], [0.0, 0.0, 4.0, 0.0]] }
    }

    #[test]
    fn a_point_becomes_the_kernel_and_its_sum_stays() {
        let mut smoother = Smoother::new(&grid([21, 17, 13]), 5.0).expect("a smoother");
        let mut volume = vec![0.0; 21 * 17 * 13];
        let middle = 10 + 21 * (8 + 17 * 6);
        volume[middle] = 1.0;
        smoother.smooth(&mut volume);
        assert!((volume.iter().sum::<f32>() - 1.0).abs() < 1e-5);
        let sigma = 5.0 / (8.0f32 * 2f32.ln()).sqrt();
        let fall = |mm: f32| (-0.5 * (mm / sigma).powi(2)).exp();
        for (step, mm) in [(1, 2.0), (2, 4.0), (21, 3.0), (21 * 17, 4.0)] {
            let ratio = volume[middle + step] / volume[middle];
            assert!((ratio - fall(mm)).abs() < 1e-5, "{step}: {ratio} against {}", fall(mm));
        }
    }

    #[test]
    fn at_an_edge_zeros_dim_and_renormalised_means_do_not() {
        let flat = vec![7.0; 64];
        let (mut dim, mut even) = (flat.clone(), flat);
        Smoother::new(&grid([4, 4, 4]), 5.0).expect("a smoother").smooth(&mut dim);
        Smoother::renormalised(&grid([4, 4, 4]), 5.0).expect("a smoother").smooth(&mut even);
        assert!(dim[0] < 4.0 && even.iter().all(|v| (v - 7.0).abs() < 1e-5), "{} {}", dim[0], even[0]);
    }

    #[test]
    fn a_width_that_makes_no_sense_is_refused() {
        let told = |fwhm| Smoother::new(&grid([4, 4, 4]), fwhm).map(|_| ()).map_err(|e| e.to_string());
        assert_eq!(told(-1.0), Err("fwhm: -1 mm is not 0 or more".into()));
        assert_eq!(told(1e4), Err("fwhm: 10000 mm is 8493 voxels of 2 mm (at most 64)".into()));
        assert!(told(0.0).is_ok());
    }
}

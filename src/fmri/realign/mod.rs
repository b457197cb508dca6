//! How far has the head moved since the reference volume? Six numbers a volume, and the volume moved back.
//!
//! Gauss–Newton on the squared difference between a smoothed reference and a smoothed volume, each a cubic B-spline, at
//! places where the reference is steep. The change of the reference with each movement is computed once: a step moves
//! the reference, and the volume's estimate takes the inverse (Baker & Matthews 2004, *Lucas–Kanade 20 years on*, IJCV
//! 56:221–255, inverse compositional). Coarse first, then fine; every volume starts from where the last one was. The
//! model is SPM's (Friston et al. 1995, *Spatial registration and normalization of images*, Hum. Brain Mapp. 3:165–189),
//! with a gain for each volume.
//!
//! **Invariants.** No volume makes it panic or allocate. One that does not fit is flagged, counted and given the last
//! good estimate; it does not become the next one's start. One thread does it all, so there is one result.
//!
//! ```
//! use neurod::fmri::{Grid, RealignConfig, Realigner, Rigid};
//! use neurod::frame::Fit;
//!
//! let grid = Grid { dims: [20, 20, 16], affine: [[3., 0., 0., -30.], [0., 3., 0., -30.], [0., 0., 3., -24.]] };
//! let head = |[x, y, z]: [f64; 3]| 900.0 / (1.0 + ((x / 14.).powi(2) + (y / 17.).powi(2) + (z / 12.).powi(2)).exp());
//! let seen = |moved: Rigid| -> Vec<f32> {
//!     (0..grid.voxels()).map(|v| head(moved.apply(grid.millimetres(grid.index(v)))) as f32).collect()
//! };
//! let mut realigner = Realigner::new(&grid, &seen(Rigid::IDENTITY), &RealignConfig::default())?;
//! // What is seen at x belongs at x + 0.5 mm.
//! let motion = realigner.realign(&seen(Rigid::from_parameters([0.5, 0., 0., 0., 0., 0.])));
//! assert!(motion.fit == Fit::Converged && (motion.rigid.parameters()[0] - 0.5).abs() < 0.02);
//! # Ok::<(), neurod::fmri::FmriError>(())
//! ```

mod points;
mod rigid;
mod spline;

use std::path::PathBuf;

use pulp::Arch;
use serde::{Deserialize, Serialize};

pub use rigid::Rigid;

use super::smooth::Smoother;
use super::{FmriError, Grid};
use crate::frame::Fit;
use points::Points;
use spline::{FEWEST, Spline};

/// A step this small, in mm at [`HEAD_RADIUS`], ends the search.
const SMALL: f64 = 1e-3;
/// How far from its centre a head's surface lies, in mm: what a turn is worth in mm.
const HEAD_RADIUS: f64 = 50.0;
/// Steps before a search is given up.
const STEPS: usize = 40;
/// Further than this, in mm at [`HEAD_RADIUS`], is no head in a coil.
const FURTHEST: f64 = 60.0;
/// A fit that explains less of the reference than this is of something else.
const LEAST_CORRELATION: f64 = 0.5;
/// How much wider the coarse level is smoothed, and how many places each level has at most.
const LEVELS: [(f64, usize); 2] = [(2.0, 3000), (1.0, 24_000)];

/// How volumes are realigned.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields, default)]
pub struct RealignConfig {
    /// An image whose first volume is the reference, on the grid of the volumes; by default the first volume that comes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reference: Option<PathBuf>,
    /// How far both volumes are smoothed before they are compared: full width at half maximum in mm; 5 by default.
    pub fwhm: f64,
    /// Volumes displaced by more than this many mm, and the one after each, are flagged `MOTION`; 0.5 by default.
    pub censor: f64,
}

impl Default for RealignConfig {
    fn default() -> Self {
        Self { reference: None, fwhm: 5.0, censor: 0.5 }
    }
}

/// Where one volume lies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Motion {
    /// From a position in the volume, in mm of the grid's affine, to where it lies in the reference. Its
    /// [`parameters`](Rigid::parameters) are the numbers in SPM's `rp_*.txt`.
    pub rigid: Rigid,
    /// Whether to believe it.
    pub fit: Fit,
    /// How many steps it took, over all levels.
    pub steps: u32,
    /// Voxels that are not finite; they were left out.
    pub missing: usize,
}

/// How many volumes went which way.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RealignCounts {
    /// Volumes that converged.
    pub converged: u64,
    /// Volumes that did not.
    pub not_converged: u64,
    /// Volumes with nothing in them.
    pub empty: u64,
}

/// Realigns volumes to a reference of the same grid.
#[derive(Clone, Debug)]
pub struct Realigner {
    grid: Grid,
    inverse: [[f64; 4]; 3],
    /// Without holes.
    reference: Vec<f32>,
    levels: Vec<Level>,
    /// The volume that came last, its holes filled from the reference.
    volume: Vec<f32>,
    holes: Vec<bool>,
    missing: usize,
    smoothed: Vec<f32>,
    spline: Spline,
    /// The newest estimate that is to be believed.
    last: Rigid,
    counts: RealignCounts,
    arch: Arch,
}

#[derive(Clone, Debug)]
struct Level {
    smoother: Smoother,
    points: Points,
}

impl Realigner {
    /// Gets ready to realign volumes to `reference`, voxels in the order of memory. A voxel of it that is not finite is
    /// left out.
    ///
    /// # Errors
    /// A reference of another size or without structure; fewer than four voxels along an axis; an affine without
    /// inverse; a width as for [`Smoother::new`].
    pub fn new(grid: &Grid, reference: &[f32], config: &RealignConfig) -> Result<Self, FmriError> {
        let wrong = |problem: String| FmriError::Realign { problem };
        if grid.dims.iter().any(|n| *n < FEWEST) {
            return Err(wrong(format!("{:?} voxels, at least {FEWEST} are needed along each axis", grid.dims)));
        }
        let inverse = grid.inverse().ok_or_else(|| {
            wrong(format!("the affine {:?} has no inverse (mend the header's geometry)", grid.affine))
        })?;
        if reference.len() != grid.voxels() {
            return Err(wrong(format!("a reference of {} voxels on a grid of {}", reference.len(), grid.voxels())));
        }
        let holes: Vec<bool> = reference.iter().map(|v| !v.is_finite()).collect();
        let reference: Vec<f32> = reference.iter().map(|v| if v.is_finite() { *v } else { 0.0 }).collect();
        let mut spline = Spline::new(grid.dims);
        let mut levels = Vec::new();
        for (wider, most) in LEVELS {
            let mut smoother = Smoother::renormalised(grid, wider * config.fwhm)?;
            let mut smoothed = reference.clone();
            smoother.smooth(&mut smoothed);
            spline.fill(&smoothed);
            let points = Points::choose(grid, &inverse, &spline, &holes, most);
            let square: f64 = smoothed.iter().map(|v| f64::from(*v).powi(2)).sum();
            if points.len() < 50 || points.spread() <= 1e-9 * square {
                return Err(wrong("the reference volume shows nothing to hold on to (choose a later volume)".into()));
            }
            levels.push(Level { smoother, points });
        }
        Ok(Self {
            grid: grid.clone(),
            inverse,
            levels,
            volume: reference.clone(),
            smoothed: vec![0.0; reference.len()],
            reference,
            holes,
            missing: 0,
            spline,
            last: Rigid::IDENTITY,
            counts: RealignCounts::default(),
            arch: Arch::new(),
        })
    }

    /// Where `volume` lies. Does not allocate.
    pub fn realign(&mut self, volume: &[f32]) -> Motion {
        let (fit, steps) = if self.take(volume) { self.search() } else { (Fit::Empty, 0) };
        match fit {
            Fit::Converged => self.counts.converged += 1,
            Fit::NotConverged => self.counts.not_converged += 1,
            Fit::Empty => self.counts.empty += 1,
        }
        // `last` maps the reference into the volume, which is how it is sampled; what is told maps back.
        Motion { rigid: self.last.inverse(), fit, steps, missing: self.missing }
    }

    /// Writes the volume that was realigned last as it would be had the head not moved: interpolated by a cubic
    /// B-spline at the reference's voxels. What lay outside the volume, or on a missing voxel, becomes `outside`; NaN is
    /// left out of every mean. Does not allocate; an `out` of another size is left as it is.
    pub fn reslice(&mut self, out: &mut [f32], outside: f32) {
        if out.len() != self.volume.len() {
            return;
        }
        self.smoothed.copy_from_slice(&self.volume);
        spline::interpolating(self.arch, &mut self.smoothed, self.grid.dims);
        self.spline.fill(&self.smoothed);
        let to_voxel = self.to_voxel(&self.last);
        let hole = |place| self.is_hole(place);
        let missing: Option<&dyn Fn([f32; 3]) -> bool> = if self.missing > 0 { Some(&hole) } else { None };
        self.arch.dispatch(|| self.spline.resample(&to_voxel, missing, outside, out));
    }

    /// How many volumes went which way.
    pub fn counts(&self) -> RealignCounts {
        self.counts
    }

    /// Forgets every volume since the reference; the counts stay.
    pub fn reset(&mut self) {
        self.last = Rigid::IDENTITY;
    }

    /// Takes a volume over, its holes filled; false where there is nothing in it.
    fn take(&mut self, volume: &[f32]) -> bool {
        self.missing = 0;
        if volume.len() != self.volume.len() {
            // What is resliced next must not be an older volume.
            self.volume.fill(f32::NAN);
            self.holes.fill(true);
            self.missing = self.volume.len();
            return false;
        }
        let (mut least, mut most) = (f32::INFINITY, f32::NEG_INFINITY);
        for (i, value) in volume.iter().enumerate() {
            let hole = !value.is_finite();
            self.holes[i] = hole;
            self.missing += usize::from(hole);
            self.volume[i] = if hole { self.reference[i] } else { *value };
            if !hole {
                (least, most) = (least.min(*value), most.max(*value));
            }
        }
        most > least && self.missing <= volume.len() / 2
    }

    /// From the last estimate; where that leads nowhere, once more from the beginning.
    fn search(&mut self) -> (Fit, u32) {
        let mut steps = 0;
        for start in [self.last, Rigid::IDENTITY] {
            if let Some(found) = self.search_from(start, &mut steps) {
                self.last = found;
                return (Fit::Converged, steps);
            }
        }
        (Fit::NotConverged, steps)
    }

    fn search_from(&mut self, start: Rigid, steps: &mut u32) -> Option<Rigid> {
        let mut estimate = start;
        let mut correlation = 0.0;
        for level in 0..self.levels.len() {
            self.smoothed.copy_from_slice(&self.volume);
            self.levels[level].smoother.smooth(&mut self.smoothed);
            self.spline.fill(&self.smoothed);
            let points = &self.levels[level].points;
            let hole = |place| self.is_hole(place);
            let missing: Option<&dyn Fn([f32; 3]) -> bool> = if self.missing > 0 { Some(&hole) } else { None };
            let mut small = false;
            for _ in 0..STEPS {
                let step = points.step(&self.spline, missing, &self.to_voxel(&estimate), self.arch)?;
                *steps += 1;
                correlation = step.correlation;
                // f_volume(E x) ≈ f_reference(M x), so E ∘ M⁻¹ carries the reference onto the volume.
                estimate = estimate.after(&points.movement(&step).inverse());
                if size(&step.shift, &step.turn) < SMALL {
                    small = true;
                    break;
                }
                let [x, y, z, pitch, roll, yaw] = estimate.parameters();
                if !(size(&[x, y, z], &[0.0; 3]) < 10.0 * FURTHEST && size(&[0.0; 3], &[pitch, roll, yaw]) < FURTHEST) {
                    return None;
                }
            }
            // A coarse level only brings the fine one near.
            if !small && level + 1 == self.levels.len() {
                return None;
            }
        }
        (correlation >= LEAST_CORRELATION).then_some(estimate)
    }

    /// From voxels of the reference to voxels of a volume.
    fn to_voxel(&self, estimate: &Rigid) -> [[f32; 4]; 3] {
        let there = |voxel: [usize; 3]| {
            let [x, y, z] = estimate.apply(self.grid.millimetres(voxel));
            self.inverse.map(|[a, b, c, shift]| a * x + b * y + c * z + shift)
        };
        let (origin, axes) = (there([0, 0, 0]), [there([1, 0, 0]), there([0, 1, 0]), there([0, 0, 1])]);
        std::array::from_fn(|i| {
            let along = |axis: usize| (axes[axis][i] - origin[i]) as f32;
            [along(0), along(1), along(2), origin[i] as f32]
        })
    }

    /// Whether one of the voxels about a place is missing.
    fn is_hole(&self, place: [f32; 3]) -> bool {
        let [nx, ny, nz] = self.grid.dims;
        let near = |p: f32, n: usize| {
            let low = (p.max(0.0) as usize).min(n - 1);
            [low, (low + 1).min(n - 1)]
        };
        let (xs, ys, zs) = (near(place[0], nx), near(place[1], ny), near(place[2], nz));
        zs.iter().any(|z| ys.iter().any(|y| xs.iter().any(|x| self.holes[(z * ny + y) * nx + x])))
    }
}

/// How far a movement goes at the surface of a head, in mm.
fn size(shift: &[f64; 3], turn: &[f64; 3]) -> f64 {
    let norm = |v: &[f64; 3]| v.iter().map(|x| x * x).sum::<f64>().sqrt();
    norm(shift) + HEAD_RADIUS * norm(turn)
}

#[cfg(test)]
mod tests;

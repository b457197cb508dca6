//! What is done to a volume before its regions are averaged? It is moved back to where the reference lay, and smoothed.
//!
//! The one way from voxels to corrected voxels: `neurod regions`, replay and the live sources all take it, volume by volume
//! in order, so the same volumes give the same regions.

use super::motion::{Censor, Displacement};
use super::{FmriError, Grid, Motion, RealignConfig, RealignCounts, Realigner, Smoother};
use crate::frame::{Clock, Fit, HeadMotion, MonotonicClock};

/// Volumes after one that moved that are marked with it: its signal settles over about so many.
const AFTER: u32 = 1;

/// Realigns volumes of one grid to a reference, smooths them, and says how far the head moved. Once there is a reference,
/// nothing is allocated.
///
/// ```
/// use neurod::fmri::{Correction, Grid};
///
/// let grid = Grid { dims: [8, 8, 8], affine: [[3., 0., 0., 0.], [0., 3., 0., 0.], [0., 0., 3., 0.]] };
/// let mut smoothed = Correction::new(&grid, None, Some(6.0))?.ok_or("something to do")?;
/// assert_eq!(smoothed.correct(|voxel| if voxel == 292 { 1.0 } else { 0.0 }), None);
/// assert!(smoothed.voxel(292) < 0.2 && smoothed.voxel(293) > 0.01);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct Correction {
    grid: Grid,
    realign: Option<RealignConfig>,
    /// `None` until there is a reference.
    realigner: Option<Realigner>,
    smoother: Option<Smoother>,
    displacement: Displacement,
    censor: Censor,
    raw: Vec<f32>,
    volume: Vec<f32>,
    /// Which of its voxels were not measured, while it is smoothed.
    holes: Vec<bool>,
}

impl Correction {
    /// What is asked for, of volumes on `grid`; `None` where nothing is. `smooth` is a full width at half maximum in mm.
    /// Without a [reference](Self::refer_to), the first volume that shows enough becomes it.
    ///
    /// # Errors
    /// A setting that is out of its range.
    pub fn new(grid: &Grid, realign: Option<&RealignConfig>, smooth: Option<f64>) -> Result<Option<Self>, FmriError> {
        if realign.is_none() && smooth.is_none() {
            return Ok(None);
        }
        let censor = realign.map_or(0.0, |config| config.censor);
        for (key, value) in [("realign.censor", censor), ("realign.fwhm", realign.map_or(0.0, |config| config.fwhm))] {
            if !(value >= 0.0 && value.is_finite()) {
                return Err(FmriError::Setting { key, problem: format!("{value} is not 0 mm or more") });
            }
        }
        let voxels = grid.voxels();
        Ok(Some(Self {
            grid: grid.clone(),
            realign: realign.cloned(),
            realigner: None,
            smoother: smooth.map(|fwhm| Smoother::new(grid, fwhm).map_err(of_smooth)).transpose()?,
            displacement: Displacement::default(),
            censor: Censor::new(censor, AFTER),
            raw: vec![0.0; voxels],
            volume: vec![0.0; voxels],
            holes: vec![false; voxels],
        }))
    }

    /// Volumes are realigned to this one from now on, if they are at all. Its voxels in the order of memory.
    ///
    /// # Errors
    /// As [`Realigner::new`].
    pub fn refer_to(&mut self, reference: &[f32]) -> Result<(), FmriError> {
        if let Some(config) = &self.realign {
            self.realigner = Some(Realigner::new(&self.grid, reference, config)?);
        }
        Ok(())
    }

    /// Takes in the next volume, voxel by voxel in the order of memory. Where the head lay, if volumes are realigned; one
    /// that comes before there is a reference, and shows too little to become it, is as it was read, and marked.
    pub fn correct(&mut self, value: impl Fn(usize) -> f64) -> Option<HeadMotion> {
        let began = MonotonicClock.now();
        self.raw.iter_mut().enumerate().for_each(|(voxel, v)| *v = value(voxel) as f32);
        let moved = self.realign.is_some().then(|| self.realign());
        if moved.is_none() {
            self.volume.copy_from_slice(&self.raw);
        }
        if let Some(smoother) = &mut self.smoother {
            // As nilearn does: one missing voxel must not reach as far as the kernel.
            for (hole, v) in self.holes.iter_mut().zip(&mut self.volume) {
                *hole = !v.is_finite();
                if *hole {
                    *v = 0.0;
                }
            }
            smoother.smooth(&mut self.volume);
            // What was not measured is left out of means, however much of its neighbours reached it.
            self.holes.iter().zip(&mut self.volume).filter(|(hole, _)| **hole).for_each(|(_, v)| *v = f32::NAN);
        }
        let took = MonotonicClock.now() - began;
        moved.map(|motion| HeadMotion { took, ..motion })
    }

    /// A voxel of the volume that came last, as it is to be averaged; NaN where nothing is known of it.
    pub fn voxel(&self, at: usize) -> f64 {
        self.volume.get(at).map_or(f64::NAN, |v| f64::from(*v))
    }

    /// The next volume is a run's first: it was not displaced, and its search begins at the reference. Does not allocate.
    pub fn begin_run(&mut self) {
        self.displacement.reset();
        self.censor.reset();
        self.realigner.iter_mut().for_each(Realigner::reset);
    }

    /// How many volumes could be realigned, and how many not.
    pub fn counts(&self) -> RealignCounts {
        self.realigner.as_ref().map(Realigner::counts).unwrap_or_default()
    }

    fn realign(&mut self) -> HeadMotion {
        if self.realigner.is_none()
            && let Some(config) = &self.realign
        {
            self.realigner = Realigner::new(&self.grid, &self.raw, config).ok();
        }
        let Some(realigner) = &mut self.realigner else {
            self.volume.copy_from_slice(&self.raw);
            let (displacement, outlier) = (f64::NAN, self.censor.observe(Some(f64::NAN)));
            return HeadMotion { parameters: [0.0; 6], displacement, fit: Fit::Empty, outlier, took: 0.0 };
        };
        let Motion { rigid, fit, .. } = realigner.realign(&self.raw);
        realigner.reslice(&mut self.volume, f32::NAN);
        let parameters = rigid.parameters();
        let displacement = self.displacement.observe(parameters);
        // Where a volume lay that did not fit is not known.
        let displacement = if fit == Fit::Converged { displacement } else { Some(f64::NAN) };
        let outlier = self.censor.observe(displacement);
        HeadMotion { parameters, displacement: displacement.unwrap_or(f64::NAN), fit, outlier, took: 0.0 }
    }
}

/// Said of the setting that it comes from.
fn of_smooth(error: FmriError) -> FmriError {
    match error {
        FmriError::Setting { problem, .. } => FmriError::Setting { key: "smooth", problem },
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn grid() -> Grid {
        Grid { dims: [20, 20, 16], affine: [[3., 0., 0., -30.], [0., 3., 0., -30.], [0., 0., 3., -24.]] }
    }

    /// A head that lies `x` mm to the right.
    fn head(x: f64) -> impl Fn(usize) -> f64 {
        let grid = grid();
        move |voxel| {
            let [a, b, c] = grid.millimetres(grid.index(voxel));
            900.0 / (1.0 + (((a - x) / 14.0).powi(2) + (b / 17.0).powi(2) + (c / 12.0).powi(2)).exp())
        }
    }

    #[test]
    fn the_first_volume_that_shows_something_is_the_reference_and_what_does_not_fit_is_marked() {
        let config = RealignConfig::default();
        let mut correction = Correction::new(&grid(), Some(&config), None).expect("settings").expect("realigns");
        let mut of = |x: Option<f64>| match x {
            Some(x) => correction.correct(head(x)).expect("motion"),
            None => correction.correct(|_| f64::NAN).expect("motion"),
        };
        let first = of(None);
        assert_eq!((first.fit, first.outlier, first.parameters), (Fit::Empty, true, [0.0; 6]));
        let reference = of(Some(0.0));
        // The volume after one that is marked is marked too.
        assert!(reference.fit == Fit::Converged && reference.outlier && reference.displacement.is_nan());
        let still = of(Some(0.1));
        assert!((still.displacement - 0.1).abs() < 0.02 && !still.outlier, "{still:?}");
        let moved = of(Some(1.1));
        assert!((moved.displacement - 1.0).abs() < 0.05 && moved.outlier && moved.took > 0.0, "{moved:?}");
        let lost = of(None);
        assert_eq!((lost.fit, lost.outlier, lost.parameters), (Fit::Empty, true, moved.parameters));
        assert!(lost.displacement.is_nan());
        let back = of(Some(1.1));
        assert!(back.displacement < 0.05 && back.outlier, "marked for the one before: {back:?}");
        assert!(!of(Some(1.1)).outlier);
        correction.begin_run();
        let anew = correction.correct(head(3.0)).expect("motion");
        assert!(anew.displacement.is_nan() && !anew.outlier && (anew.parameters[0] + 3.0).abs() < 0.05, "{anew:?}");
        assert_eq!(correction.counts(), RealignCounts { converged: 6, not_converged: 0, empty: 1 });
    }

    #[test]
    fn where_nothing_is_asked_for_nothing_is_done_and_settings_are_checked() {
        assert!(Correction::new(&grid(), None, None).is_ok_and(|made| made.is_none()));
        let told = |censor, fwhm| {
            let config = RealignConfig { censor, fwhm, ..RealignConfig::default() };
            Correction::new(&grid(), Some(&config), None).map(|_| ()).map_err(|e| e.to_string())
        };
        assert_eq!(told(-1.0, 5.0), Err("realign.censor: -1 is not 0 mm or more".into()));
        assert_eq!(told(0.5, f64::NAN), Err("realign.fwhm: NaN is not 0 mm or more".into()));
        assert!(Correction::new(&grid(), None, Some(-1.0)).is_err());
    }
}

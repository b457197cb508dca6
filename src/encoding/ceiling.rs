//! How well could anything predict it? The noise ceiling of every voxel, from stimuli that were shown more than once.
//!
//! What differs between repeats of a stimulus is noise; what differs between stimuli is signal and noise. As the Natural
//! Scenes Dataset has it (Allen et al. 2022, Nat. Neurosci. 25:116), for responses averaged over m repeats:
//! ```text
//! σ²_n   = mean over stimuli of the unbiased variance over repeats
//! σ²_tot = unbiased variance over stimuli of the means over repeats
//! σ²_s   = max(0, σ²_tot − σ²_n/m)
//! NC     = σ²_s / (σ²_s + σ²_n/m)        the R² that a perfect model would have, 0 to 1
//! r_norm = r / √NC
//! ```
//! Where stimuli have unlike numbers of repeats, m is their harmonic mean: σ²_n/m is then the mean over stimuli of the
//! noise variance of their means. σ²_n averages over stimuli with at least two repeats, each as much as any other.
//! Stimuli shown once do not count at all.

use std::collections::BTreeMap;

use ndarray::{Array1, ArrayView2};
use thiserror::Error;

/// Why there is no ceiling.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum CeilingError {
    /// The labels are not those of the rows.
    #[error("{labels} stimulus labels for {samples} samples: give one per sample")]
    Labels {
        /// Labels given.
        labels: usize,
        /// Samples given.
        samples: usize,
    },
    /// Nothing was repeated.
    #[error("{0} stimuli were shown more than once: a noise ceiling needs at least 2")]
    Repeats(usize),
    /// A mean of no repeats.
    #[error(
        "responses averaged over {0} repeats: give the number that each scored response is the mean of, 1 for single trials"
    )]
    Averaged(usize),
    /// The ceiling is of other voxels.
    #[error("{scores} correlations and a ceiling of {voxels} voxels: give one correlation per voxel")]
    Voxels {
        /// Correlations given.
        scores: usize,
        /// Voxels of the ceiling.
        voxels: usize,
    },
}

/// The noise ceiling of V voxels.
#[derive(Clone, Debug, PartialEq)]
pub struct NoiseCeiling {
    /// Variance between repeats of one stimulus (V).
    pub noise: Vec<f64>,
    /// Variance between stimuli that is not noise (V).
    pub signal: Vec<f64>,
    /// The stimuli that were shown more than once.
    pub stimuli: usize,
    /// The harmonic mean of their numbers of repeats.
    pub repeats: f64,
    /// Voxels with a value that is not finite; their ceiling is 0.
    pub undefined: usize,
}

impl NoiseCeiling {
    /// From responses `y` (n samples × V voxels) and what was shown at each (n).
    ///
    /// # Errors
    /// When the labels are not one per sample, or fewer than two stimuli were repeated.
    pub fn new<T: Ord>(y: ArrayView2<'_, f32>, stimulus: &[T]) -> Result<Self, CeilingError> {
        if stimulus.len() != y.nrows() {
            return Err(CeilingError::Labels { labels: stimulus.len(), samples: y.nrows() });
        }
        let mut rows: BTreeMap<&T, Vec<usize>> = BTreeMap::new();
        stimulus.iter().enumerate().for_each(|(row, shown)| rows.entry(shown).or_default().push(row));
        rows.retain(|_, rows| rows.len() > 1);
        let stimuli = rows.len();
        if stimuli < 2 {
            return Err(CeilingError::Repeats(stimuli));
        }
        let of = stimuli as f64;
        let repeats = of / rows.values().map(|rows| 1.0 / rows.len() as f64).sum::<f64>();

        let zero = || Array1::<f64>::zeros(y.ncols());
        // Variance over stimuli by Welford's recursion, so that a large mean costs no digits.
        let (mut noise, mut mean, mut total) = (zero(), zero(), zero());
        for (seen, rows) in rows.values().enumerate() {
            let n = rows.len() as f64;
            let mut of_stimulus = zero();
            rows.iter().for_each(|row| of_stimulus.zip_mut_with(&y.row(*row), |sum, y| *sum += f64::from(*y) / n));
            for row in rows {
                let parts = noise.iter_mut().zip(y.row(*row)).zip(&of_stimulus);
                parts.for_each(|((noise, y), mean)| *noise += (f64::from(*y) - mean).powi(2) / ((n - 1.0) * of));
            }
            for ((mean, total), value) in mean.iter_mut().zip(&mut total).zip(&of_stimulus) {
                let before = value - *mean;
                *mean += before / (seen + 1) as f64;
                *total += before * (value - *mean) / (of - 1.0);
            }
        }
        let finite = |(noise, total): (&f64, &f64)| (noise + total).is_finite();
        let undefined = noise.iter().zip(&total).filter(|both| !finite(*both)).count();
        let both = noise.iter().zip(&total).map(|(noise, total)| {
            if finite((noise, total)) { (*noise, (total - noise / repeats).max(0.0)) } else { (0.0, 0.0) }
        });
        let (noise, signal) = both.unzip();
        Ok(Self { noise, signal, stimuli, repeats, undefined })
    }

    /// The R² that a perfect model would have of responses that are means of `averaged` repeats (V values, 0 to 1); 1 for
    /// single trials. 0 where there is no signal.
    ///
    /// # Errors
    /// When `averaged` is 0.
    pub fn r2(&self, averaged: usize) -> Result<Vec<f64>, CeilingError> {
        if averaged == 0 {
            return Err(CeilingError::Averaged(averaged));
        }
        Ok(self.of(averaged as f64))
    }

    /// The same of the means over repeats that it was made from: NC in the module's formulas.
    pub fn r2_of_means(&self) -> Vec<f64> {
        self.of(self.repeats)
    }

    fn of(&self, m: f64) -> Vec<f64> {
        let both = self.signal.iter().zip(&self.noise);
        both.map(|(signal, noise)| if *signal > 0.0 { signal / (signal + noise / m) } else { 0.0 }).collect()
    }
}

/// `r / √NC` of every voxel (V); `None` where the ceiling is 0. With a noisy ceiling it may exceed 1.
///
/// # Errors
/// When there is not one correlation per voxel.
pub fn normalised(r: &[f64], ceiling: &[f64]) -> Result<Vec<Option<f64>>, CeilingError> {
    if r.len() != ceiling.len() {
        return Err(CeilingError::Voxels { scores: r.len(), voxels: ceiling.len() });
    }
    Ok(r.iter().zip(ceiling).map(|(r, nc)| (*nc > 0.0).then(|| r / nc.sqrt())).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use ndarray::{Array2, array};

    #[test]
    fn without_noise_it_is_one_and_without_signal_nought() {
        // Voxels: repeats alike; stimuli alike; constant; not finite.
        let y = array![
            [1.0, 1.0, 5.0, 1.0],
            [1.0, 3.0, 5.0, f32::NAN],
            [4.0, 3.0, 5.0, 1.0],
            [4.0, 1.0, 5.0, 1.0],
            [9.0, 50.0, 1.0, 1.0]
        ];
        let ceiling = NoiseCeiling::new(y.view(), &["a", "a", "b", "b", "once"]).unwrap();
        assert_eq!((ceiling.stimuli, ceiling.repeats, ceiling.undefined), (2, 2.0, 1));
        assert_eq!(ceiling.r2_of_means(), [1.0, 0.0, 0.0, 0.0]);
        assert_eq!((ceiling.noise[1], ceiling.signal[0]), (2.0, 4.5));
        let r = normalised(&[0.5; 4], &ceiling.r2_of_means()).unwrap();
        assert_eq!(r, [Some(0.5), None, None, None]);
    }

    #[test]
    fn more_repeats_raise_it_and_it_finds_the_variances_that_were_put_in() {
        let mut state = 1_u64;
        let mut gauss = || {
            let mut draw = || {
                state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
                (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
            };
            (0..12).map(|_| draw()).sum::<f64>()
        };
        // Signal of variance 1, noise of variance 4, three or (every fifth) two repeats, a mean of 1000.
        let stimulus: Vec<usize> = (0..3000).flat_map(|s| vec![s; if s % 5 == 0 { 2 } else { 3 }]).collect();
        let signal: Vec<f64> = (0..3000).map(|_| gauss()).collect();
        let y =
            Array2::from_shape_fn((stimulus.len(), 1), |(i, _)| (1000.0 + signal[stimulus[i]] + 2.0 * gauss()) as f32);
        let ceiling = NoiseCeiling::new(y.view(), &stimulus).unwrap();
        assert!((ceiling.noise[0] - 4.0).abs() < 0.3 && (ceiling.signal[0] - 1.0).abs() < 0.2, "{ceiling:?}");
        assert!((ceiling.repeats - 1.0 / (0.8 / 3.0 + 0.2 / 2.0)).abs() < 1e-9);
        let (one, ten) = (ceiling.r2(1).unwrap()[0], ceiling.r2(10).unwrap()[0]);
        assert!((one - 0.2).abs() < 0.05 && (ten - 10.0 / 14.0).abs() < 0.08, "{one} {ten}");
    }

    #[test]
    fn what_has_no_ceiling_is_refused_by_name() {
        let y = Array2::zeros((3, 2));
        let says = |labels: &[u8]| NoiseCeiling::new(y.view(), labels).unwrap_err().to_string();
        assert_eq!(says(&[1, 1]), "2 stimulus labels for 3 samples: give one per sample");
        assert_eq!(says(&[1, 1, 2]), "1 stimuli were shown more than once: a noise ceiling needs at least 2");
        let ceiling = NoiseCeiling { noise: vec![1.0], signal: vec![1.0], stimuli: 2, repeats: 2.0, undefined: 0 };
        assert!(ceiling.r2(0).is_err() && normalised(&[0.1, 0.2], &ceiling.r2_of_means()).is_err());
    }
}

//! What lies between two samples? Band-limited interpolation by a windowed sinc.
//!
//! Kaiser's window (1974) over [`HALF`] samples on either side, β = 10: what lies below 0.8 of half the sampling rate
//! comes through to 10⁻⁴, so that an artifact a thousand times larger than the EEG leaves less than the EEG behind.

use std::f64::consts::PI;

/// Samples that are looked at on either side.
pub(super) const HALF: usize = 16;

const BETA: f64 = 10.0;
/// For slopes: far enough apart for the difference to mean something.
const STEP: f64 = 1e-4;

/// Weights of 2 · [`HALF`] samples in a row.
pub(super) type Taps = [f64; 2 * HALF];

/// The weights that give the value `fraction` (0 to 1) of a sample after the sample at index `HALF − 1`.
pub(super) fn taps(fraction: f64) -> Taps {
    let half = HALF as f64;
    let mut taps = std::array::from_fn(|j| {
        let x = fraction + half - 1.0 - j as f64;
        let window = bessel(BETA * (1.0 - (x / half).powi(2)).max(0.0).sqrt());
        let sinc = if x == 0.0 { 1.0 } else { (PI * x).sin() / (PI * x) };
        window * sinc
    });
    let sum: f64 = taps.iter().sum();
    taps.iter_mut().for_each(|tap| *tap /= sum);
    taps
}

/// The weights that give the slope there, per sample.
pub(super) fn slope(fraction: f64) -> Taps {
    let (before, after) = (taps(fraction - STEP), taps(fraction + STEP));
    std::array::from_fn(|j| (after[j] - before[j]) / (2.0 * STEP))
}

/// The modified Bessel function of the first kind and order 0, by its series.
fn bessel(x: f64) -> f64 {
    let (mut sum, mut term) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sines_up_to_four_fifths_of_nyquist_come_through_with_their_slopes() {
        for omega in [0.05, 0.5, 1.5, 0.8 * PI] {
            for fraction in [0.0, 0.1, 0.37, 0.5, 0.99] {
                let samples: Vec<f64> = (0..2 * HALF).map(|j| (omega * j as f64 + 0.4).sin()).collect();
                let at = omega * (HALF as f64 - 1.0 + fraction) + 0.4;
                let dot = |taps: Taps| taps.iter().zip(&samples).map(|(t, x)| t * x).sum::<f64>();
                let (value, slope) = (dot(taps(fraction)), dot(slope(fraction)));
                assert!((value - at.sin()).abs() < 1e-4, "ω {omega}, {fraction}: {value} for {}", at.sin());
                assert!((slope - omega * at.cos()).abs() < 2e-3, "ω {omega}, {fraction}: slope {slope}");
            }
        }
    }
}

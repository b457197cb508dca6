//! How far do regions swing together in a band of frequencies? Magnitude-squared coherence by Welch's method, averaged over the band.
//!
//! Source: Welch 1967 (IEEE Trans. Audio Electroacoustics 15); the same as `scipy.signal.coherence` with its defaults: a Hann window,
//! segments that overlap by half, the mean of each taken away.

use std::f64::consts::TAU;

use ndarray::{Array2, ArrayView2, Axis};

/// A band of frequencies.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Band {
    /// From, in Hz.
    pub low: f64,
    /// To, in Hz, itself included.
    pub high: f64,
    /// Seconds a volume takes.
    pub tr: f64,
}

/// Coherence between the regions of `series` (T × N), 0 to 1, with 1 on the diagonal; 0 with a region that is `flat`.
///
/// Segments have as many volumes as a power of two, at most 256, of which at least three fit.
///
/// # Errors
/// Too few volumes for three segments of eight; no frequency in the band.
pub fn coherence(series: ArrayView2<'_, f64>, flat: &[bool], band: Band) -> Result<Array2<f64>, String> {
    let (volumes, regions) = series.dim();
    // Three segments that overlap by half take twice the length of one.
    let segment = [256usize, 128, 64, 32, 16, 8].into_iter().find(|length| length * 2 <= volumes);
    let segment = segment.ok_or(format!("{volumes} volumes (coherence needs at least 16)"))?;
    let hertz = |bin: usize| bin as f64 / (segment as f64 * band.tr);
    let bins: Vec<usize> =
        (0..=segment / 2).filter(|bin| hertz(*bin) >= band.low && hertz(*bin) <= band.high).collect();
    if bins.is_empty() {
        return Err(format!(
            "no frequency in {}–{} Hz (there are multiples of {:.4} Hz up to {:.4} Hz)",
            band.low,
            band.high,
            hertz(1),
            hertz(segment / 2)
        ));
    }
    let window: Vec<f64> = (0..segment).map(|t| 0.5 - 0.5 * (TAU * t as f64 / segment as f64).cos()).collect();
    let mut mean = Array2::zeros((regions, regions));
    for bin in &bins {
        let waves: Vec<(f64, f64)> =
            (0..segment).map(|t| (TAU * (bin * t % segment) as f64 / segment as f64).sin_cos()).collect();
        let mut cross = Array2::<f64>::zeros((regions, regions));
        let mut quadrature = Array2::<f64>::zeros((regions, regions));
        for start in (0..=volumes - segment).step_by(segment / 2) {
            let part = series.slice_axis(Axis(0), (start..start + segment).into());
            let amplitude = |column: ndarray::ArrayView1<'_, f64>| {
                let level = column.sum() / segment as f64;
                let shaped = column.iter().zip(&window).map(|(value, weight)| (value - level) * weight);
                shaped.zip(&waves).fold((0.0, 0.0), |(re, im), (v, (sin, cos))| (re + v * cos, im - v * sin))
            };
            let of: Vec<(f64, f64)> = part.axis_iter(Axis(1)).map(amplitude).collect();
            for (i, (a, b)) in of.iter().enumerate() {
                for (j, (c, d)) in of.iter().enumerate().take(i + 1) {
                    cross[[i, j]] += a * c + b * d;
                    quadrature[[i, j]] += b * c - a * d;
                }
            }
        }
        for i in 0..regions {
            for j in 0..i {
                let power = cross[[i, i]] * cross[[j, j]];
                let together = cross[[i, j]].powi(2) + quadrature[[i, j]].powi(2);
                let is_flat = [i, j].iter().any(|at| flat.get(*at).copied().unwrap_or(false));
                let value = if power > 0.0 && !is_flat { together / power } else { 0.0 };
                mean[[i, j]] += value / bins.len() as f64;
                mean[[j, i]] = mean[[i, j]];
            }
        }
    }
    mean.diag_mut().fill(1.0);
    Ok(mean)
}

//! How does blood follow? The canonical haemodynamic responses, in closed form.
//!
//! SPM's difference of two gamma densities, as nilearn's `spm_hrf` has it (delay 6 s, undershoot at 16 s, ratio 0.167,
//! 32 s long), scaled to unit area; and Glover's. Their integrals are known, so the response to a feature that is held
//! over a stretch of time is exact, whatever the TR.

use serde::{Deserialize, Serialize};

/// How long a response lasts, in seconds.
pub const HRF_LENGTH: f64 = 32.0;

const PEAK: u32 = 6;
const UNDERSHOOT: u32 = 16;
const RATIO: f64 = 0.167;

/// `e⁻ᵗ t^(k−1)/(k−1)!`: the gamma density of shape `k` and scale 1 s.
fn density(k: u32, t: f64) -> f64 {
    (1..k).fold((-t).exp(), |product, i| product * t / f64::from(i))
}

/// `1 − e⁻ᵗ Σ_{i<k} tⁱ/i!`: its integral from 0.
fn distribution(k: u32, t: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for i in 1..k {
        term *= t / f64::from(i);
        sum += term;
    }
    1.0 - (-t).exp() * sum
}

/// The integral of that from 0: `t D_k(t) − k D_{k+1}(t)`.
fn twice(k: u32, t: f64) -> f64 {
    t * distribution(k, t) - f64::from(k) * distribution(k + 1, t)
}

fn area() -> f64 {
    distribution(PEAK, HRF_LENGTH) - RATIO * distribution(UNDERSHOOT, HRF_LENGTH)
}

/// The response `t` seconds after an impulse, in 1/s; 0 outside `[0, 32]`. Its integral is 1.
///
/// ```
/// let peak = neurod::ridge::spm_hrf(5.0);
/// assert!(peak > neurod::ridge::spm_hrf(4.0) && peak > neurod::ridge::spm_hrf(6.0));
/// ```
pub fn spm_hrf(t: f64) -> f64 {
    if !(0.0..=HRF_LENGTH).contains(&t) {
        return 0.0;
    }
    (density(PEAK, t) - RATIO * density(UNDERSHOOT, t)) / area()
}

/// `∫₀ᵗ ∫₀ᵘ h(s) ds du`, in seconds.
fn double_integral(t: f64) -> f64 {
    if t <= 0.0 {
        return 0.0;
    }
    let inside = t.min(HRF_LENGTH);
    (twice(PEAK, inside) - RATIO * twice(UNDERSHOOT, inside)) / area() + (t - inside)
}

/// A canonical response.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Response {
    /// [`spm_hrf`].
    Spm,
    /// Glover's (1999, NeuroImage 9:416), as nilearn's `glover_hrf` has it: delay 6 s, undershoot at 12 s, both of
    /// dispersion 0.9, ratio 0.48, 32 s long; scaled to unit area.
    Glover,
}

impl Response {
    /// The curve, ready to be asked often.
    pub(super) fn curve(self) -> Curve {
        match self {
            Response::Spm => Curve::Spm,
            Response::Glover => Curve::Glover(Glover::new()),
        }
    }
}

/// A response by the integral of its integral.
pub(super) enum Curve {
    Spm,
    Glover(Glover),
}

impl Curve {
    /// The mean response over `[t, t + tr)` to a 1 that is held over `[start, end)`; `tr = 0` for the response at `t`.
    pub fn response(&self, t: f64, tr: f64, start: f64, end: f64) -> f64 {
        // An instant is taken as a very short volume: long enough for the differences to mean something.
        let (t, tr) = if tr > 0.0 { (t, tr) } else { (t - 5e-4, 1e-3) };
        let risen = |t: f64| match self {
            Curve::Spm => double_integral(t),
            Curve::Glover(glover) => glover.double_integral(t),
        };
        let since = |at: f64| risen(t + tr - at) - risen(t - at);
        (since(start) - since(end)) / tr
    }
}

/// What of a feature that is held over one sample shows in this sample, the next, and so on, where samples follow each
/// other by `tr` seconds: the mean response over each. They sum to 1.
///
/// The numbers are those of the live path ([`Lags::Hrf`](super::Lags)) for the same response.
pub fn response_weights(which: Response, tr: f64) -> Vec<f64> {
    let (samples, curve) = ((HRF_LENGTH / tr).ceil() as usize + 1, which.curve());
    (0..samples).map(|sample| curve.response(sample as f64 * tr, tr, 0.0, tr)).collect()
}

/// Two gamma densities whose shapes are no integers.
pub(super) struct Glover {
    /// Γ of both shapes.
    scales: [f64; 2],
    area: f64,
}

impl Glover {
    const DISPERSION: f64 = 0.9;
    const SHAPES: [f64; 2] = [6.0 / 0.9, 12.0 / 0.9];
    const WEIGHTS: [f64; 2] = [1.0, -0.48];

    fn new() -> Self {
        // So far out nothing is missing of either.
        let scales = Self::SHAPES.map(|shape| lower_gamma(shape, 120.0));
        let mut glover = Self { scales, area: 1.0 };
        glover.area = glover.sum(|shape, scale| lower_gamma(shape, HRF_LENGTH / Self::DISPERSION) / scale);
        glover
    }

    fn sum(&self, of: impl Fn(f64, f64) -> f64) -> f64 {
        let parts = Self::SHAPES.iter().zip(self.scales).zip(Self::WEIGHTS);
        parts.map(|((shape, scale), weight)| weight * of(*shape, scale)).sum()
    }

    /// As [`double_integral`].
    fn double_integral(&self, t: f64) -> f64 {
        if t <= 0.0 {
            return 0.0;
        }
        let inside = t.min(HRF_LENGTH);
        let x = inside / Self::DISPERSION;
        // ∫₀ᵗ P(k, u/θ) du = t P(k, t/θ) − θ γ(k+1, t/θ)/Γ(k).
        let twice = |shape: f64, scale: f64| {
            (inside * lower_gamma(shape, x) - Self::DISPERSION * lower_gamma(shape + 1.0, x)) / scale
        };
        self.sum(twice) / self.area + (t - inside)
    }
}

/// `γ(a, x) = ∫₀ˣ tᵃ⁻¹ e⁻ᵗ dt`, by its series, whose terms are all positive (DLMF 8.7.1).
fn lower_gamma(a: f64, x: f64) -> f64 {
    let (mut term, mut sum, mut n) = (1.0 / a, 1.0 / a, 1.0);
    while term > sum * 1e-17 {
        term *= x / (a + n);
        sum += term;
        n += 1.0;
    }
    (a * x.ln() - x).exp() * sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_closed_form_is_the_numeric_convolution() {
        let dt = 1e-3;
        let area: f64 = (0..32_000).map(|i| spm_hrf((i as f64 + 0.5) * dt) * dt).sum();
        assert!((area - 1.0).abs() < 1e-9);
        let spm = Response::Spm.curve();
        let response = |t, tr, start, end| spm.response(t, tr, start, end);
        for (t, tr, start, end) in
            [(6.0, 2.0, 0.0, 3.0), (0.0, 2.0, 1.0, 1.5), (30.0, 1.0, 0.0, 4.0), (90.0, 2.0, 0.0, 3.0)]
        {
            let steps = 400;
            let mut sum = 0.0;
            for i in 0..steps {
                let now = t + tr * (i as f64 + 0.5) / steps as f64;
                let pieces = 2000;
                let width = (end - start) / pieces as f64;
                sum += (0..pieces).map(|j| spm_hrf(now - start - (j as f64 + 0.5) * width) * width).sum::<f64>();
            }
            let numeric = sum / steps as f64;
            assert!((response(t, tr, start, end) - numeric).abs() < 2e-6, "{} {numeric}", response(t, tr, start, end));
        }
        for (which, tr) in
            [(Response::Spm, 2.0), (Response::Spm, 0.72), (Response::Glover, 2.5), (Response::Glover, 0.8)]
        {
            let weights = response_weights(which, tr);
            assert!((weights.iter().sum::<f64>() - 1.0).abs() < 1e-11, "{which:?} {tr}");
        }
        assert!((response(100.0, 2.0, 0.0, 1000.0) - 1.0).abs() < 1e-12, "a feature held for long is itself");
        assert!((response(5.0, 0.0, 0.0, 0.1) - 0.1 * spm_hrf(4.95)).abs() < 1e-5);
    }
}

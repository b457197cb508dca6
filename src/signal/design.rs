//! Which coefficients make a filter? Butterworth and notch designs as second-order sections.
//!
//! Butterworth: poles of the analogue prototype on the unit circle's left half, moved to the wanted band, mapped to
//! the z-plane by the bilinear transform with pre-warped edges (Oppenheim & Schafer, *Discrete-Time Signal
//! Processing*, ch. 7). Poles nearest the unit circle share a section with the zeros nearest them and come last, the
//! order that `scipy.signal.zpk2sos` documents, so that intermediate values stay small. Golden: `scipy.signal.butter`
//! and `iirnotch`, to 1e-9.

use std::f64::consts::PI;

use realfft::num_complex::Complex64;

/// One second-order section: `y[n] = b0 x[n] + b1 x[n−1] + b2 x[n−2] − a1 y[n−1] − a2 y[n−2]`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Section {
    /// The numerator, `b0`, `b1`, `b2`.
    pub b: [f64; 3],
    /// The denominator after its leading 1: `a1`, `a2`.
    pub a: [f64; 2],
}

/// Which frequencies a Butterworth filter keeps, in Hz.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Band {
    /// Below the cut-off.
    Low(f64),
    /// Above the cut-off.
    High(f64),
    /// Between the two; the filter has twice as many poles as its order.
    Between(f64, f64),
}

/// A Butterworth filter of `order` for samples at `rate` Hz; −3 dB at the edges.
///
/// The edges must lie strictly between 0 and half the rate, in rising order, and `order` must be at least 1: the
/// caller checks.
pub fn butterworth(order: usize, band: Band, rate: f64) -> Vec<Section> {
    // Twice the prototype's sampling rate of 2; any value does, as long as the warping uses the same.
    const FS2: f64 = 4.0;
    let warp = |f: f64| FS2 * (PI * f / rate).tan();
    let n = order as f64;
    // Angles from the negative real axis; 0 (exactly, for an odd order) is the real pole.
    let prototype = (0..order).map(|k| {
        let m = 2.0 * k as f64 + 1.0 - n;
        -Complex64::from_polar(1.0, PI * m / (2.0 * n))
    });
    // Analogue poles, how many zeros lie at 0 (the others lie at infinity), and the gain.
    let (poles, at_zero, gain): (Vec<Complex64>, usize, f64) = match band {
        Band::Low(cutoff) => {
            let w = warp(cutoff);
            (prototype.map(|p| p * w).collect(), 0, w.powi(order as i32))
        }
        // The prototype's poles multiply to ±1, so inverting them leaves the gain.
        Band::High(cutoff) => (prototype.map(|p| warp(cutoff) / p).collect(), order, 1.0),
        Band::Between(low, high) => {
            let (w1, w2) = (warp(low), warp(high));
            let (width, centre2) = (w2 - w1, w1 * w2);
            let split = prototype.flat_map(|p| {
                let half = p * (width / 2.0);
                let root = (half * half - centre2).sqrt();
                [half + root, half - root]
            });
            (split.collect(), order, width.powi(order as i32))
        }
    };
    let scale = poles.iter().fold(Complex64::from(FS2.powi(at_zero as i32)), |k, p| k / (FS2 - p)).re;
    let digital: Vec<Complex64> = poles.iter().map(|p| (FS2 + p) / (FS2 - p)).collect();
    // A zero at 0 goes to z = 1, one at infinity to z = −1.
    let zeros = (0..poles.len()).map(|i| if i < at_zero { 1.0 } else { -1.0 }).collect();
    pair(&digital, zeros, gain * scale)
}

/// A notch at `frequency` Hz that is `frequency / quality` wide at −3 dB, for samples at `rate` Hz (Orfanidis,
/// *Introduction to Signal Processing*, §11.3). `frequency` must lie strictly between 0 and half the rate.
pub fn notch(frequency: f64, quality: f64, rate: f64) -> Section {
    let w0 = 2.0 * PI * frequency / rate;
    let gain = 1.0 / (1.0 + (w0 / quality / 2.0).tan());
    let middle = -2.0 * gain * w0.cos();
    Section { b: [gain, middle, gain], a: [middle, 2.0 * gain - 1.0] }
}

/// How many samples a cascade takes to forget: the first n for which the magnitudes of its impulse response from n on
/// sum to less than 1/1000 of the whole sum. Whatever bounded input came before, what is left of it then is less than
/// 1/1000 of the most that such an input can do. `None` when that takes longer than `most`.
pub fn settling(sections: &[Section], most: usize) -> Option<usize> {
    let radius = sections.iter().map(radius).fold(0.0, f64::max);
    // Enough of the response for the slowest pole to fall to 1e-9, whatever the other poles add.
    let length = if radius > 0.0 { (1e-9f64.ln() / radius.ln()).ceil() } else { 0.0 } + 4.0 * sections.len() as f64;
    if !(radius < 1.0 && length < 3.0 * most as f64 + 100.0) {
        return None;
    }
    // Run twice rather than stored: a slow filter's response has millions of samples.
    let total: f64 = magnitudes(sections, length as usize).sum();
    let mut left = total;
    let settled = magnitudes(sections, length as usize).position(|h| {
        let forgotten = left < 1e-3 * total;
        left -= h;
        forgotten
    });
    settled.filter(|n| *n <= most)
}

/// The magnitudes of the first `length` samples of a cascade's impulse response.
fn magnitudes(sections: &[Section], length: usize) -> impl Iterator<Item = f64> {
    let mut states = vec![[0.0; 2]; sections.len()];
    (0..length).map(move |i| {
        let mut x = if i == 0 { 1.0 } else { 0.0 };
        for (section, state) in sections.iter().zip(&mut states) {
            let y = section.b[0] * x + state[0];
            state[0] = section.b[1] * x - section.a[0] * y + state[1];
            state[1] = section.b[2] * x - section.a[1] * y;
            x = y;
        }
        x.abs()
    })
}

impl Section {
    /// What it makes of a constant 1 in the end.
    fn gain(&self) -> f64 {
        (self.b[0] + self.b[1] + self.b[2]) / (1.0 + self.a[0] + self.a[1])
    }

    /// The state (transposed direct form II) that it is in after a constant `x` for ever, and what it then gives.
    pub fn rest(&self, x: f64) -> ([f64; 2], f64) {
        let y = self.gain() * x;
        let second = self.b[2] * x - self.a[1] * y;
        ([self.b[1] * x - self.a[0] * y + second, second], y)
    }
}

/// The largest pole's distance from 0.
fn radius(section: &Section) -> f64 {
    let [a1, a2] = section.a;
    let root = Complex64::from(a1 * a1 / 4.0 - a2).sqrt();
    (root - a1 / 2.0).norm().max((root + a1 / 2.0).norm())
}

/// Groups conjugate poles and real zeros into sections, worst pole last; the gain goes into the first.
fn pair(poles: &[Complex64], mut zeros: Vec<f64>, gain: f64) -> Vec<Section> {
    let is_real = |p: &Complex64| p.im.abs() <= 100.0 * f64::EPSILON * p.norm();
    // One of each conjugate pair, then the real ones.
    let mut complex: Vec<Complex64> = poles.iter().copied().filter(|p| !is_real(p) && p.im > 0.0).collect();
    let mut real: Vec<f64> = poles.iter().filter(|p| is_real(p)).map(|p| p.re).collect();
    if real.len() % 2 == 1 {
        real.push(0.0);
        zeros.push(0.0);
    }
    let mut sections = Vec::new();
    while !complex.is_empty() || !real.is_empty() {
        let from_circle = |p: f64| (1.0 - p.abs()).abs();
        let worst = index_of_least(complex.iter().map(|p| from_circle(p.norm())));
        let worst_real = index_of_least(real.iter().map(|p| from_circle(*p)));
        let complex_is_worse = match (worst, worst_real) {
            (Some((_, c)), Some((_, r))) => c <= r,
            (c, _) => c.is_some(),
        };
        let (pole, a) = if complex_is_worse {
            let p = complex.swap_remove(worst.map_or(0, |w| w.0));
            (p, [-2.0 * p.re, p.norm_sqr()])
        } else {
            let p = real.swap_remove(worst_real.map_or(0, |w| w.0));
            let partner = index_of_least(real.iter().map(|p| from_circle(*p))).map_or(0, |w| w.0);
            let q = real.swap_remove(partner);
            (Complex64::from(p), [-(p + q), p * q])
        };
        let mut nearest = || {
            let found = index_of_least(zeros.iter().map(|z| (pole - z).norm()));
            found.map_or(0.0, |(i, _)| zeros.swap_remove(i))
        };
        let (z1, z2) = (nearest(), nearest());
        sections.push(Section { b: [1.0, -(z1 + z2), z1 * z2], a });
    }
    sections.reverse();
    if let Some(first) = sections.first_mut() {
        first.b = first.b.map(|b| b * gain);
    }
    sections
}

fn index_of_least(values: impl Iterator<Item = f64>) -> Option<(usize, f64)> {
    values.enumerate().min_by(|(_, a), (_, b)| a.total_cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn settling_is_where_a_thousandth_of_the_response_is_left() {
        // One pole at 0.9: what is left from n on is 0.9ⁿ of the whole, which passes 1e-3 at n = 65.56.
        let one_pole = Section { b: [1.0, 0.0, 0.0], a: [-0.9, 0.0] };
        assert_eq!(settling(&[one_pole], 1000), Some(66));
        assert_eq!(settling(&[one_pole], 60), None);
        let unstable = Section { b: [1.0, 0.0, 0.0], a: [-2.0, 1.0] };
        assert_eq!(settling(&[unstable], 1000), None);
        // A delay by two samples.
        assert_eq!(settling(&[Section { b: [0.0, 0.0, 1.0], a: [0.0, 0.0] }], 10), Some(3));
    }
}

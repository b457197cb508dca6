//! How are regions connected just now? The moments of a sliding window, moved along by a sample without looking at the
//! others again.
//!
//! With the window's mean μ and centred moments `C = Σ (x−μ)(x−μ)ᵀ`, replacing the oldest of `n` samples, `o`, by `x`
//! gives, with `δ = x − o`,
//!
//! ```text
//! C' = C + δ vᵀ + v δᵀ,   v = ½ ((x − μ) + (o − μ) − δ/n),   μ' = μ + δ/n
//! ```
//!
//! which is exact; a window that is not full grows as in Welford (1962). Rounding would pile up, so beside `C` a second sum is
//! built from new samples alone; once every sample of the window is in it, it takes `C`'s place. No number is thus older than two
//! windows, and moving costs the same every time. Where a large value leaves a region's window, what is left of `C` is
//! computed anew from the samples.
//!
//! **Invariants.** Nothing is allocated after [`SlidingWindow::new`]. A value that is missing, not finite or of absurd size never
//! enters a sum: while it is in the window, its region's row is computed from the samples that both regions have. A
//! region that does not vary is correlated with none.

mod kernels;
mod kinds;

use crate::frame::ChannelMask;
use kernels::Kernels;

/// Rows of matrices begin on multiples of so many values.
const ALIGN: usize = 8;
/// No device measures more.
const ABSURD: f64 = 1e15;
/// Where so little is left of what a variance was, its digits are those of what has left.
const CANCELLED: f64 = 1e-4;

/// Mean and centred moments of some samples.
#[derive(Clone, Debug)]
struct Moments {
    mean: Box<[f64]>,
    /// Row-major, `stride` a row; the upper triangle.
    products: Box<[f64]>,
    samples: usize,
}

impl Moments {
    fn new(stride: usize) -> Self {
        Self { mean: vec![0.0; stride].into(), products: vec![0.0; stride * stride].into(), samples: 0 }
    }

    fn clear(&mut self) {
        self.mean.fill(0.0);
        self.products.fill(0.0);
        self.samples = 0;
    }

    /// One sample more; `d` and `scaled` are room for two vectors.
    fn grow(&mut self, x: &[f64], d: &mut [f64], scaled: &mut [f64], kernels: Kernels) {
        let before = self.samples as f64;
        let part = before / (before + 1.0);
        for (((d, scaled), x), mean) in d.iter_mut().zip(scaled.iter_mut()).zip(x).zip(&mut self.mean) {
            *d = x - *mean;
            *scaled = part * *d;
            *mean += *d / (before + 1.0);
        }
        self.samples += 1;
        kernels.update(&mut self.products, d.len(), [scaled], [d]);
    }
}

/// A window of the newest samples of N regions, and how these go together.
#[derive(Clone, Debug)]
pub struct SlidingWindow {
    regions: usize,
    stride: usize,
    window: usize,
    /// A ring of samples, `stride` each; in the place of bad values stands what was the mean.
    samples: Box<[f64]>,
    bad: Box<[ChannelMask]>,
    oldest: usize,
    len: usize,
    now: Moments,
    fresh: Moments,
    /// The largest variance of each region since its moments were last computed from samples.
    peak: Box<[f64]>,
    bad_samples: Box<[u32]>,
    /// For how many samples each region has not changed, and its last good value.
    steady: Box<[usize]>,
    last: Box<[Option<f64>]>,
    room: [Box<[f64]>; 3],
    pairs: Pairs,
    kernels: Kernels,
}

impl SlidingWindow {
    /// An empty window of `window` samples of `regions` values.
    pub fn new(regions: usize, window: usize) -> Self {
        let (stride, window) = (regions.next_multiple_of(ALIGN), window.max(1));
        let vector = || vec![0.0; stride].into_boxed_slice();
        Self {
            regions,
            stride,
            window,
            samples: vec![0.0; window * stride].into(),
            bad: vec![ChannelMask::none(regions); window].into(),
            oldest: 0,
            len: 0,
            now: Moments::new(stride),
            fresh: Moments::new(stride),
            peak: vec![0.0; regions].into(),
            bad_samples: vec![0; regions].into(),
            steady: vec![0; regions].into(),
            last: vec![None; regions].into(),
            room: [vector(), vector(), vector()],
            pairs: Pairs::new(regions),
            kernels: Kernels::default(),
        }
    }

    /// How many samples it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// Whether it holds as many as it can.
    pub fn is_full(&self) -> bool {
        self.len == self.window
    }

    /// How many values a sample has.
    pub fn regions(&self) -> usize {
        self.regions
    }

    /// Whether a value of this region is missing in the window.
    pub fn is_incomplete(&self, region: usize) -> bool {
        self.bad_samples.get(region).is_some_and(|count| *count > 0)
    }

    /// Whether this region has one value all through the window, or none.
    pub fn is_constant(&self, region: usize) -> bool {
        self.steady.get(region).is_some_and(|steady| *steady >= self.len)
    }

    /// Forgets every sample.
    pub fn clear(&mut self) {
        (self.oldest, self.len) = (0, 0);
        self.now.clear();
        self.fresh.clear();
        self.peak.fill(0.0);
        self.bad_samples.fill(0);
        self.steady.fill(0);
        self.last.fill(None);
    }

    /// Takes in one sample (N values, of which those in `bad` count as missing) and lets the oldest go if it is full.
    pub fn push(&mut self, sample: &[f64], bad: &ChannelMask) {
        let [x, a, b] = &mut self.room;
        let slot = (self.oldest + self.len) % self.window;
        let (Some(held), Some(mask)) =
            (self.samples.get_mut(slot * self.stride..(slot + 1) * self.stride), self.bad.get_mut(slot))
        else {
            return;
        };
        let full = self.len == self.window;
        for (i, x) in x.iter_mut().take(self.regions).enumerate() {
            let value = sample.get(i).copied().filter(|v| v.abs() <= ABSURD && !bad.contains(i));
            *x = value.unwrap_or(self.now.mean[i]);
            let changed = value.is_some_and(|value| self.last[i].is_some_and(|last| last != value));
            self.steady[i] = if changed { 1 } else { self.steady[i] + 1 };
            self.last[i] = value.or(self.last[i]);
            if full && mask.contains(i) {
                self.bad_samples[i] -= 1;
            }
            mask.set(i, value.is_none());
            self.bad_samples[i] += u32::from(value.is_none());
        }
        if full {
            let n = self.window as f64;
            for ((((delta, v), x), old), mean) in
                a.iter_mut().zip(b.iter_mut()).zip(&*x).zip(&*held).zip(&mut self.now.mean)
            {
                *delta = x - old;
                *v = 0.5 * ((x - *mean) + (old - *mean) - *delta / n);
                *mean += *delta / n;
            }
            self.kernels.update(&mut self.now.products, self.stride, [a, b], [b, a]);
            held.copy_from_slice(x);
            self.oldest = (self.oldest + 1) % self.window;
            self.fresh.grow(x, a, b, self.kernels);
            if self.fresh.samples == self.window {
                std::mem::swap(&mut self.now, &mut self.fresh);
                self.fresh.clear();
                self.peak.fill(0.0);
            }
        } else {
            held.copy_from_slice(x);
            self.len += 1;
            self.now.grow(x, a, b, self.kernels);
        }
        let mut cancelled = false;
        for (i, peak) in self.peak.iter_mut().enumerate() {
            let variance = self.now.products[i * self.stride + i];
            *peak = peak.max(variance);
            cancelled |= variance < CANCELLED * *peak;
        }
        if cancelled {
            self.compute_anew();
        }
    }

    /// The moments from all samples of the window.
    fn compute_anew(&mut self) {
        let [d, ..] = &mut self.room;
        self.now.clear();
        self.now.samples = self.len;
        for sample in self.samples.chunks_exact(self.stride.max(1)).take(self.len) {
            self.now.mean.iter_mut().zip(sample).for_each(|(mean, x)| *mean += x);
        }
        self.now.mean.iter_mut().for_each(|mean| *mean /= self.len as f64);
        for sample in self.samples.chunks_exact(self.stride.max(1)).take(self.len) {
            d.iter_mut().zip(sample).zip(&self.now.mean).for_each(|((d, x), mean)| *d = x - mean);
            self.kernels.update(&mut self.now.products, self.stride, [d], [d]);
        }
        for (i, peak) in self.peak.iter_mut().enumerate() {
            *peak = self.now.products[i * self.stride + i];
        }
    }

    /// The samples from the oldest to the newest, N values each; in the place of missing ones stands a mean.
    pub fn samples(&self) -> impl Iterator<Item = &[f64]> {
        let at = move |i: usize| ((self.oldest + i) % self.window) * self.stride;
        (0..self.len).filter_map(move |i| self.samples.get(at(i)..at(i) + self.regions))
    }

    /// Pearson's correlation of every pair of regions into `out`, N × N: 1 on the diagonal, 0 beside it for a region
    /// that does not vary.
    pub fn correlation(&mut self, out: &mut [f64]) {
        let n = self.regions;
        let [scale, ..] = &mut self.room;
        for (i, scale) in scale.iter_mut().take(n).enumerate() {
            let variance = self.now.products[i * self.stride + i];
            let varies = variance > 0.0 && self.steady[i] < self.len;
            *scale = if varies { variance.sqrt().recip() } else { 0.0 };
        }
        self.kernels.mirror_scaled(&self.now.products, self.stride, scale, n, out);
        self.incomplete_rows(out, |pair| {
            let scale = (pair.xx * pair.yy).sqrt();
            if pair.varies && scale > 0.0 { pair.xy / scale } else { 0.0 }
        });
        out.iter_mut().step_by(n + 1).for_each(|diagonal| *diagonal = 1.0);
    }

    /// The covariance of every pair of regions into `out`, N × N: the mean product of deviations from the window's mean.
    pub fn covariance(&mut self, out: &mut [f64]) {
        let n = self.regions;
        let [scale, ..] = &mut self.room;
        let root = (self.len.max(1) as f64).sqrt().recip();
        for (i, scale) in scale.iter_mut().take(n).enumerate() {
            *scale = if self.steady[i] < self.len { root } else { 0.0 };
        }
        self.kernels.mirror_scaled(&self.now.products, self.stride, scale, n, out);
        self.incomplete_rows(out, |pair| if pair.varies { pair.xy / pair.samples } else { 0.0 });
    }

    /// Computes the rows and columns of regions that miss samples from those that both have.
    fn incomplete_rows(&mut self, out: &mut [f64], of: impl Fn(&Pair) -> f64) {
        let n = self.regions;
        for i in (0..n).filter(|i| self.bad_samples[*i] > 0) {
            self.pairs.clear();
            for (sample, bad) in self.samples.chunks_exact(self.stride).zip(&self.bad).take(self.len) {
                if !bad.contains(i) {
                    self.pairs.add(i, sample, bad, &self.now.mean);
                }
            }
            for j in 0..n {
                let mut pair = self.pairs.of(j);
                pair.varies &= self.steady[i] < self.len && self.steady[j] < self.len;
                let value = of(&pair);
                out[i * n + j] = value;
                out[j * n + i] = value;
            }
        }
    }
}

/// Two regions, over the samples that both have.
struct Pair {
    samples: f64,
    xx: f64,
    yy: f64,
    xy: f64,
    varies: bool,
}

/// Sums for one region with every other, over the samples that both have.
#[derive(Clone, Debug)]
struct Pairs {
    /// For each other region: samples, Σx, Σy, Σx², Σy², Σxy, of deviations from the window's mean.
    sums: Box<[[f64; 6]]>,
}

impl Pairs {
    fn new(regions: usize) -> Self {
        Self { sums: vec![[0.0; 6]; regions].into() }
    }

    fn clear(&mut self) {
        self.sums.fill([0.0; 6]);
    }

    fn add(&mut self, region: usize, sample: &[f64], bad: &ChannelMask, mean: &[f64]) {
        let x = sample[region] - mean[region];
        for (j, ((sums, y), mean)) in self.sums.iter_mut().zip(sample).zip(mean).enumerate() {
            if !bad.contains(j) {
                let y = y - mean;
                sums.iter_mut().zip([1.0, x, y, x * x, y * y, x * y]).for_each(|(sum, term)| *sum += term);
            }
        }
    }

    fn of(&self, other: usize) -> Pair {
        let [n, x, y, xx, yy, xy] = self.sums[other];
        let n = n.max(1.0);
        // Two samples lie on a line whatever they are.
        Pair { samples: n, xx: xx - x * x / n, yy: yy - y * y / n, xy: xy - x * y / n, varies: n > 2.0 }
    }
}

#[cfg(test)]
mod tests;

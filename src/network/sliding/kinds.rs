//! Which networks does a window have? Those of `neurod network build`, from its moments where these say enough.
//!
//! Pearson's correlation and the covariance as they are come from the moments alone, missing values pair by pair. What has to be a
//! covariance as a whole (shrinkage, precision, partial correlation) is made from the same moments; Ledoit and Wolf's shrinkage looks at
//! every sample once more, for Σ_t (Σ_i x²_ti)². Ranks, and a window with missing values, are computed from its samples: in the place of
//! a missing value stands the mean of its region.
//!
//! **Invariant.** The same samples give what [`connectome`] makes of them, to rounding, and moving the window costs the same
//! whichever network is read.

use ndarray::Array2;

use super::SlidingWindow;
use crate::network::connectome::{Kind, Shrinkage, connectome, ledoit_wolf, of_covariance};

impl SlidingWindow {
    /// The network of the window into `out`, N × N. False, and `out` full of NaN, where it has none: a covariance without an inverse.
    ///
    /// Allocates but for Pearson's correlation and the covariance without shrinkage.
    pub fn network(&mut self, kind: Kind, shrinkage: Shrinkage, out: &mut Array2<f64>) -> bool {
        let made = match (kind, shrinkage, out.as_slice_mut()) {
            (Kind::Pearson, Shrinkage::None, Some(out)) => {
                self.correlation(out);
                return true;
            }
            (Kind::Covariance, Shrinkage::None, Some(out)) => {
                self.covariance(out);
                return true;
            }
            (Kind::Spearman | Kind::Coherence(_), ..) => self.made_of_samples(kind, shrinkage),
            _ if (0..self.regions).any(|region| self.is_incomplete(region)) => self.made_of_samples(kind, shrinkage),
            _ => of_covariance(&self.whole_covariance(kind, shrinkage), kind),
        };
        match &made {
            Some(made) => out.assign(made),
            None => out.fill(f64::NAN),
        }
        made.is_some()
    }

    fn made_of_samples(&self, kind: Kind, shrinkage: Shrinkage) -> Option<Array2<f64>> {
        connectome(self.series().view(), kind, shrinkage, "a window").ok().map(|made| made.matrix)
    }

    /// The samples, oldest first: means of regions in the place of missing values, and a region that does not vary as 0.
    fn series(&self) -> Array2<f64> {
        let mut series = Array2::zeros((self.len, self.regions));
        let slots = || (0..self.len).map(|i| (self.oldest + i) % self.window);
        let at =
            |slot: usize| Some((self.samples.get(slot * self.stride..(slot + 1) * self.stride)?, self.bad.get(slot)?));
        let held = || slots().filter_map(at);
        for (region, mut column) in series.columns_mut().into_iter().enumerate() {
            if self.is_constant(region) {
                continue;
            }
            let value = |sample: &[f64]| sample.get(region).copied().unwrap_or_default();
            let good = held().filter(|(_, bad)| !bad.contains(region));
            let (sum, count) = good.fold((0.0, 0.0), |(sum, count), (sample, _)| (sum + value(sample), count + 1.0));
            for (into, (sample, bad)) in column.iter_mut().zip(held()) {
                *into = if bad.contains(region) { sum / f64::max(count, 1.0) } else { value(sample) };
            }
        }
        series
    }

    /// The covariance over T, of standardised regions for a correlation, shrunk as asked for. No value is missing.
    fn whole_covariance(&mut self, kind: Kind, shrinkage: Shrinkage) -> Array2<f64> {
        let (n, t) = (self.regions, self.len.max(1) as f64);
        let mut covariance = Array2::zeros((n, n));
        let [scale, weight, _] = &mut self.room;
        for i in 0..n {
            let varies = self.steady[i] < self.len;
            // Of a correlation the variance over one volume less, as `connectome` standardises.
            let variance = match kind {
                Kind::Pearson => self.now.products[i * self.stride + i] / (t - 1.0),
                _ => 1.0,
            };
            weight[i] = if varies && variance > 0.0 { 1.0 / variance } else { 0.0 };
            scale[i] = (weight[i] / t).sqrt();
        }
        if let Some(out) = covariance.as_slice_mut() {
            self.kernels.mirror_scaled(&self.now.products, self.stride, scale, n, out);
        }
        if shrinkage == Shrinkage::LedoitWolf {
            let squared = |sample: &[f64]| -> f64 {
                let values = sample.iter().zip(&self.now.mean).zip(&*weight).take(n);
                values.map(|((x, mean), weight)| weight * (x - mean).powi(2)).sum()
            };
            let held = self.samples.chunks_exact(self.stride.max(1)).take(self.len);
            ledoit_wolf(&mut covariance, held.map(|sample| squared(sample).powi(2)).sum(), t);
        }
        covariance
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::draws::Draws;
    use crate::frame::ChannelMask;

    const KINDS: [Kind; 5] = [Kind::Pearson, Kind::Spearman, Kind::Partial, Kind::Covariance, Kind::Precision];

    /// The largest difference beside the largest value.
    fn apart(a: &Array2<f64>, b: &Array2<f64>) -> f64 {
        let size = b.iter().fold(0.0_f64, |most, value| most.max(value.abs()));
        a.iter().zip(b).map(|(a, b)| (a - b).abs() / size).fold(0.0, f64::max)
    }

    fn moved(n: usize, w: usize, value: impl Fn(usize, usize, f64) -> f64) -> (SlidingWindow, Array2<f64>) {
        let (mut window, good, mut draws) = (SlidingWindow::new(n, w), ChannelMask::none(n), Draws::new(5, 0));
        let mut all = Vec::new();
        for t in 0..3 * w + 7 {
            let shared = draws.normal();
            let x: Vec<f64> =
                (0..n).map(|i| value(t, i, 1e4 + 30.0 * (draws.normal() + shared * (i % 3) as f64))).collect();
            window.push(&x, &good);
            all.extend(x);
        }
        let all = Array2::from_shape_vec((3 * w + 7, n), all).unwrap();
        (window, all.slice(ndarray::s![2 * w + 7.., ..]).to_owned())
    }

    #[test]
    fn every_kind_is_what_is_built_of_the_same_samples() {
        for (n, w, shrinkages) in
            [(7, 40, &[Shrinkage::None, Shrinkage::LedoitWolf][..]), (11, 8, &[Shrinkage::LedoitWolf][..])]
        {
            let (mut window, samples) = moved(n, w, |_, _, x| x);
            for (kind, shrinkage) in KINDS.iter().flat_map(|kind| shrinkages.iter().map(move |s| (*kind, *s))) {
                let mut out = Array2::zeros((n, n));
                assert!(window.network(kind, shrinkage, &mut out), "{kind:?} {shrinkage:?}");
                let built = connectome(samples.view(), kind, shrinkage, "x").unwrap().matrix;
                assert!(apart(&out, &built) < 1e-9, "{kind:?} {shrinkage:?} {n}: {:e}", apart(&out, &built));
            }
        }
    }

    #[test]
    fn a_region_that_stands_still_is_as_it_is_built_and_where_there_is_no_inverse_there_is_no_network() {
        let (mut window, samples) = moved(6, 30, |_, i, x| if i == 2 { 9.5 } else { x });
        let mut out = Array2::zeros((6, 6));
        for kind in KINDS {
            assert!(window.network(kind, Shrinkage::LedoitWolf, &mut out), "{kind:?}");
            let built = connectome(samples.view(), kind, Shrinkage::LedoitWolf, "x").unwrap().matrix;
            assert!(apart(&out, &built) < 1e-9, "{kind:?}: {:e}", apart(&out, &built));
        }
        assert!(!window.network(Kind::Partial, Shrinkage::None, &mut out) && out.iter().all(|value| value.is_nan()));
    }

    #[test]
    fn a_missing_value_counts_as_the_mean_of_its_region() {
        let (mut window, mut samples) = moved(5, 25, |t, i, x| if (t, i) == (70, 3) { f64::NAN } else { x });
        // The window begins with sample 57.
        assert!(samples[[13, 3]].is_nan() && window.is_incomplete(3));
        samples[[13, 3]] = 0.0;
        samples[[13, 3]] = samples.column(3).sum() / 24.0;
        let mut out = Array2::zeros((5, 5));
        for (kind, shrinkage) in [(Kind::Partial, Shrinkage::None), (Kind::Pearson, Shrinkage::LedoitWolf)] {
            assert!(window.network(kind, shrinkage, &mut out));
            let built = connectome(samples.view(), kind, shrinkage, "x").unwrap().matrix;
            assert!(apart(&out, &built) < 1e-12, "{kind:?}: {:e}", apart(&out, &built));
        }
    }
}

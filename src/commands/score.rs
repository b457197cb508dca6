//! How well was it predicted? Pooled over volumes, from the frames that clients get.

use std::collections::BTreeMap;
use std::sync::Arc;

use crate::frame::{FrameKind, RegionFrame};

/// Frames whose targets lie this near are of one volume, in seconds: a predictor computes the stamp of its volume back
/// from the start of the TR, which may round differently.
const SAME_VOLUME: f64 = 1e-3;

/// Pearson R and mean absolute error per region, of predictions made before learning.
///
/// A `residual` frame is measured − predicted, so with the `measured` frame of the same volume it says what was
/// predicted.
#[derive(Debug, Default)]
pub struct Scorer {
    measured: Option<Arc<RegionFrame>>,
    predictors: BTreeMap<Arc<str>, Vec<Sums>>,
    updates: BTreeMap<Arc<str>, u64>,
    /// Volumes scored.
    pub volumes: u64,
    /// Frames of any kind.
    pub frames: u64,
}

#[derive(Clone, Copy, Debug, Default)]
struct Sums {
    n: f64,
    p: f64,
    y: f64,
    pp: f64,
    yy: f64,
    py: f64,
    error: f64,
}

impl Sums {
    fn add(&mut self, p: f64, y: f64) {
        self.n += 1.0;
        self.p += p;
        self.y += y;
        self.pp += p * p;
        self.yy += y * y;
        self.py += p * y;
        self.error += (y - p).abs();
    }

    /// 0 where either does not vary.
    fn r(&self) -> f64 {
        let n = self.n.max(1.0);
        let (pp, yy) = (self.pp - self.p * self.p / n, self.yy - self.y * self.y / n);
        let den = (pp * yy).max(0.0).sqrt();
        if den > 1e-12 { (self.py - self.p * self.y / n) / den } else { 0.0 }
    }
}

impl Scorer {
    /// Takes in a frame, in the order in which they were made.
    pub fn frame(&mut self, frame: &Arc<RegionFrame>) {
        self.frames += 1;
        if !matches!(frame.kind, FrameKind::Measured | FrameKind::Contrast) {
            self.updates.insert(Arc::clone(&frame.predictor), frame.model.updates);
        }
        match frame.kind {
            FrameKind::Measured => {
                self.volumes += 1;
                self.measured = Some(Arc::clone(frame));
            }
            FrameKind::Residual => {
                let same = |m: &&Arc<RegionFrame>| (m.t_target - frame.t_target).abs() < SAME_VOLUME;
                let Some(measured) = self.measured.as_ref().filter(same) else { return };
                let sums = self.predictors.entry(Arc::clone(&frame.predictor)).or_default();
                sums.resize(frame.values.len(), Sums::default());
                for ((sums, y), e) in sums.iter_mut().zip(&measured.values).zip(&frame.values) {
                    if y.is_finite() && e.is_finite() {
                        sums.add(f64::from(*y) - f64::from(*e), f64::from(*y));
                    }
                }
            }
            FrameKind::Encoded | FrameKind::Decoded | FrameKind::Contrast => {}
        }
    }

    /// Pearson R of every region.
    pub fn r(&self, predictor: &str) -> Vec<f64> {
        self.predictors.get(predictor).map(|sums| sums.iter().map(Sums::r).collect()).unwrap_or_default()
    }

    /// Mean of the regions' R.
    pub fn r_mean(&self, predictor: &str) -> f64 {
        let r = self.r(predictor);
        r.iter().sum::<f64>() / r.len().max(1) as f64
    }

    /// How many volumes its newest frame was learned from. A predictor that foretells the next volume says so once the
    /// last one is learned from.
    pub fn updates(&self, predictor: &str) -> u64 {
        self.updates.get(predictor).copied().unwrap_or(0)
    }

    /// Mean absolute error over regions and volumes.
    pub fn mae(&self, predictor: &str) -> f64 {
        let Some(sums) = self.predictors.get(predictor) else { return f64::NAN };
        sums.iter().map(|s| s.error).sum::<f64>() / sums.iter().map(|s| s.n).sum::<f64>().max(1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Clock, Instant, ModelStamp, Quality, Regions, Unit, VirtualClock};
    use crate::runtime::session::{FrameOf, Session};

    #[test]
    fn r_is_pearsons_and_zero_where_nothing_varies() {
        let mut sums = Sums::default();
        for (p, y) in [(1.0, 2.0), (2.0, 4.5), (3.0, 5.5), (4.0, 9.0)] {
            sums.add(p, y);
        }
        // numpy.corrcoef([1, 2, 3, 4], [2, 4.5, 5.5, 9])[0, 1]
        assert!((sums.r() - 0.978_987_150_877_966_5).abs() < 1e-12, "{}", sums.r());
        let mut flat = Sums::default();
        (0..5).for_each(|i| flat.add(1.0, f64::from(i)));
        assert_eq!(flat.r(), 0.0);
    }

    fn frame(kind: FrameKind, t_target: Instant, value: f32) -> Arc<RegionFrame> {
        let session = Session::new("test", Arc::new(VirtualClock::default()) as Arc<dyn Clock>);
        let of = FrameOf {
            predictor: &"regions".into(),
            kind,
            seq: 0,
            run: 0,
            t_target,
            t_measured: t_target,
            t_arrived: t_target,
            regions: &Regions::new(vec!["insula".into()], Unit::ZScore),
            quality: Quality::GOOD,
            model: &ModelStamp::default(),
        };
        Arc::new(session.frame(&of, vec![value], None))
    }

    #[test]
    fn a_residual_meets_its_volume_however_the_stamp_was_rounded_and_no_other() {
        // As with volume_time = "end": a TR taken away and added again.
        let tr = 2.2;
        let stamps = (1..200).map(|i| Instant::from_seconds(0.1 + f64::from(i) * tr));
        let rounded = |at: Instant| (at - tr) + tr;
        assert!(stamps.clone().any(|at| rounded(at) != at));
        let mut scorer = Scorer::default();
        for at in stamps {
            scorer.frame(&frame(FrameKind::Measured, at, 1.0));
            scorer.frame(&frame(FrameKind::Residual, rounded(at), 0.25));
            scorer.frame(&frame(FrameKind::Residual, at + tr, 100.0));
        }
        let scored = scorer.predictors["regions"][0].n;
        assert_eq!((scorer.volumes, scored, scorer.mae("regions")), (199, 199.0, 0.25));
    }
}

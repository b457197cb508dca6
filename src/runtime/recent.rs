//! The mean over the last TR: what an instant predictor predicts from, the same that its weights were learned from.

use crate::frame::{Block, Instant};

/// The mean of a source's samples over the last `span` seconds, moved along sample by sample; for no span, or one of a
/// sample, the sample itself. Bad channels and values that are not finite count as zero, as in
/// [`Features::of_sample`](super::features::Features::of_sample), so that live rows are the rows that were learned from.
///
/// Allocates when made, not when moved. Its sum is begun anew once in every span, so rounding does not pile up.
#[derive(Debug)]
pub(super) struct RecentMean {
    span: f64,
    hop: f64,
    /// A ring of rows (capacity × features) and their times.
    rows: Vec<f64>,
    times: Vec<Instant>,
    /// Where the oldest row lies, and how many there are.
    oldest: usize,
    len: usize,
    sum: Vec<f64>,
    /// The sum of the rows pushed since `sum` was last begun anew, and how many they are.
    fresh: Vec<f64>,
    pushed: usize,
}

impl RecentMean {
    /// Over `span` seconds of `features` values that come every `hop` seconds.
    pub(super) fn new(features: usize, span: f64, hop: f64) -> Self {
        let capacity = if hop > 0.0 { (span / hop).round().max(1.0) as usize } else { 1 };
        Self {
            span,
            hop,
            rows: vec![0.0; capacity * features],
            times: vec![Instant::default(); capacity],
            oldest: 0,
            len: 0,
            sum: vec![0.0; features],
            fresh: vec![0.0; features],
            pushed: 0,
        }
    }

    /// Forgets everything: a new run.
    pub(super) fn clear(&mut self) {
        (self.oldest, self.len, self.pushed) = (0, 0, 0);
        self.sum.fill(0.0);
        self.fresh.fill(0.0);
    }

    /// Takes in sample `index` of `block`, measured at `at`. Writes the mean into `out` (features) and returns the part
    /// of the span that was measured.
    pub(super) fn push(&mut self, block: &Block, index: usize, at: Instant, out: &mut [f64]) -> f64 {
        let capacity = self.times.len();
        // A sample that came at `t` is held over the hop before `t`.
        let begin = at - self.span + 0.5 * self.hop;
        while self.len > 0 && (self.len == capacity || self.times[self.oldest] <= begin) {
            self.drop_oldest();
        }
        let slot = (self.oldest + self.len) % capacity;
        let width = self.sum.len();
        let row = &mut self.rows[slot * width..(slot + 1) * width];
        for (c, (held, value)) in row.iter_mut().zip(block.sample(index)).enumerate() {
            *held = if block.bad.contains(c) || !value.is_finite() { 0.0 } else { *value };
            self.sum[c] += *held;
            self.fresh[c] += *held;
        }
        self.times[slot] = at;
        self.len += 1;
        self.pushed += 1;
        if self.pushed == self.len {
            // Everything older has left, and this sum never held it.
            self.sum.copy_from_slice(&self.fresh);
            self.fresh.fill(0.0);
            self.pushed = 0;
        }
        let scale = 1.0 / self.len as f64;
        out.iter_mut().zip(&self.sum).for_each(|(out, sum)| *out = sum * scale);
        self.len as f64 / capacity as f64
    }

    fn drop_oldest(&mut self) {
        let width = self.sum.len();
        let row = &self.rows[self.oldest * width..(self.oldest + 1) * width];
        self.sum.iter_mut().zip(row).for_each(|(sum, held)| *sum -= held);
        if self.pushed == self.len {
            self.fresh.iter_mut().zip(row).for_each(|(sum, held)| *sum -= held);
            self.pushed -= 1;
        }
        self.oldest = (self.oldest + 1) % self.times.len();
        self.len -= 1;
        if self.len == 0 {
            self.clear();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{BlockSpec, Channel, Unit};
    use crate::ridge::{FeatureTimeline, Lags};

    #[test]
    fn a_live_row_is_the_row_that_was_learned_from() {
        let spec = BlockSpec::new(Channel::numbered("EEG", 2, Unit::Microvolt), 10.0, 1);
        let mut block = Block::new(&spec);
        block.push(&[0.0, 0.0]);
        for span in [0.1, 0.5, 2.0] {
            let mut recent = RecentMean::new(2, span, 0.1);
            let mut timeline = FeatureTimeline::samples(2, 2.0 * span);
            let (mut live, mut learned) = ([0.0; 2], [0.0; 2]);
            for i in (1..2000).filter(|i| i % 701 > 9) {
                let (end, hop) = (f64::from(i) * 0.1, 0.1);
                let sample = [f64::from(i * i % 1013), if i % 97 == 0 { f64::NAN } else { f64::from(i % 31) }];
                block.data_mut().copy_from_slice(&sample);
                let covered = recent.push(&block, 0, Instant::from_seconds(end), &mut live);
                timeline.push(end - hop, end, &sample.map(|v| if v.is_finite() { v } else { 0.0 }));
                let known = Lags::Fir(vec![0.0]).row(&timeline, end - span, span, &mut learned);
                let near = |a: f64, b: f64| (a - b).abs() < 1e-9 * (1.0 + b.abs());
                assert!(near(covered, known), "{i}: {covered} of the span, not {known}");
                assert!(near(live[0], learned[0]) && near(live[1], learned[1]), "{i}: {live:?} is not {learned:?}");
            }
        }
    }
}

//! What was held when? Feature vectors, each over a stretch of time, and their mean over any window.

use std::collections::VecDeque;

/// What time without any piece means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Absence {
    /// Nothing was shown: zero.
    Zero,
    /// Nothing was measured: unknown.
    Missing,
}

#[derive(Clone, Debug, PartialEq)]
struct Piece {
    start: f64,
    end: f64,
    values: Vec<f64>,
}

/// The features of one predictor over time, piecewise constant: what is held over `[start, end)`, in seconds on the
/// session's clock.
///
/// Of *events*, overlapping pieces add and time without one is zero. Of *samples*, a feature that came at `t` with a hop
/// `h` is held over `[t − h, t)`, and a mean is over the time that is covered.
///
/// ```
/// use neurod::ridge::FeatureTimeline;
///
/// let mut shown = FeatureTimeline::events(1);
/// shown.push(1.0, 3.0, &[4.0]);
/// let mut mean = [0.0];
/// let covered = shown.mean(2.0, 4.0, &mut mean);
/// assert_eq!((mean, covered), ([2.0], 0.5));
/// ```
#[derive(Clone, Debug)]
pub struct FeatureTimeline {
    features: usize,
    absence: Absence,
    horizon: f64,
    floor: f64,
    /// By start, then by arrival.
    pieces: VecDeque<Piece>,
    spare: Vec<Vec<f64>>,
}

impl FeatureTimeline {
    /// Of `features` features that events hold. Events may be told ahead of time; [`forget`](Self::forget) drops those
    /// that are over.
    pub fn events(features: usize) -> Self {
        Self {
            features,
            absence: Absence::Zero,
            horizon: f64::INFINITY,
            floor: f64::NEG_INFINITY,
            pieces: VecDeque::new(),
            spare: Vec::new(),
        }
    }

    /// Of `features` sampled features, of which those older than `horizon` seconds are forgotten by themselves: the
    /// largest lag and a TR, [`Lags::horizon`](super::Lags::horizon).
    pub fn samples(features: usize, horizon: f64) -> Self {
        Self { absence: Absence::Missing, horizon, ..Self::events(features) }
    }

    /// How many features.
    pub fn features(&self) -> usize {
        self.features
    }

    /// How many pieces are kept.
    pub fn len(&self) -> usize {
        self.pieces.len()
    }

    /// Whether no piece is kept.
    pub fn is_empty(&self) -> bool {
        self.pieces.is_empty()
    }

    /// `values` (F) are held over `[start, end)`. What lies before the run is cut off. Empty or unordered times and
    /// vectors of another size are ignored. Does not allocate once as many pieces were kept as at most are.
    pub fn push(&mut self, start: f64, end: f64, values: &[f64]) {
        if values.len() != self.features || start.is_nan() || end.is_nan() || end <= start.max(self.floor) {
            return;
        }
        let start = start.max(self.floor);
        // Samples come in order, so the front is the oldest.
        while self.pieces.front().is_some_and(|piece| piece.end < start - self.horizon) {
            self.spare.extend(self.pieces.pop_front().map(|piece| piece.values));
        }
        let mut held = self.spare.pop().unwrap_or_else(|| Vec::with_capacity(self.features));
        held.clear();
        held.extend_from_slice(values);
        let at = self.pieces.partition_point(|piece| piece.start <= start);
        self.pieces.insert(at, Piece { start, end, values: held });
    }

    /// Drops the pieces that end before `before`.
    pub fn forget(&mut self, before: f64) {
        let spare = &mut self.spare;
        self.pieces.retain_mut(|piece| {
            let over = piece.end < before;
            if over {
                spare.push(std::mem::take(&mut piece.values));
            }
            !over
        });
    }

    /// A run starts at `at`: pieces that began before it are dropped, and nothing of what is told later is held before
    /// it. Pieces of the new run may have been told already.
    pub fn new_run(&mut self, at: f64) {
        self.floor = at;
        while self.pieces.front().is_some_and(|piece| piece.start < at) {
            self.spare.extend(self.pieces.pop_front().map(|piece| piece.values));
        }
    }

    /// Writes the time-weighted mean over `[a, b)` into `out` (F) and returns the fraction of it that any piece covers.
    /// With `b ≤ a` it is what is held at `a`.
    pub fn mean(&self, a: f64, b: f64, out: &mut [f64]) -> f64 {
        // Long enough to be told apart from `a` on a clock that has run for months.
        let b = if b > a { b } else { a + 1e-6 };
        let width = b - a;
        out.fill(0.0);
        let mut weights = 0.0;
        let covered = self.cover(a, b, |piece, overlap| {
            let weight = overlap / width;
            weights += weight;
            out.iter_mut().zip(&piece.values).for_each(|(out, v)| *out += weight * v);
        }) / width;
        // Samples may overlap where a clock was corrected: the mean is over what was measured, not over the time.
        if self.absence == Absence::Missing && weights > 0.0 && weights != 1.0 {
            out.iter_mut().for_each(|v| *v /= weights);
        }
        covered.min(1.0)
    }

    /// Calls `add` with each piece that meets `[a, b)` and the length of the overlap; returns how much time they cover
    /// together.
    fn cover(&self, a: f64, b: f64, mut add: impl FnMut(&Piece, f64)) -> f64 {
        let (mut covered, mut until) = (0.0, a);
        for piece in self.pieces.iter().take_while(|piece| piece.start < b) {
            let (start, end) = (piece.start.max(a), piece.end.min(b));
            if end > start {
                add(piece, end - start);
                covered += (end - start.max(until)).max(0.0);
                until = until.max(end);
            }
        }
        covered
    }

    /// Adds `weight(start, end) · values` of every piece that begins before `until` to `out` (F), and returns the
    /// fraction of `[from, until)` that is covered.
    pub(super) fn weigh(&self, from: f64, until: f64, out: &mut [f64], weight: impl Fn(f64, f64) -> f64) -> f64 {
        out.fill(0.0);
        let covered = self.cover(from, until, |piece, _| {
            let weight = weight(piece.start, piece.end);
            out.iter_mut().zip(&piece.values).for_each(|(out, v)| *out += weight * v);
        });
        if until > from { (covered / (until - from)).min(1.0) } else { 0.0 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn overlapping_events_add_and_late_ones_find_their_place() {
        let mut line = FeatureTimeline::events(2);
        line.push(4.0, 6.0, &[1.0, 0.0]);
        line.push(1.0, 5.0, &[0.0, 2.0]);
        let mut out = [9.0; 2];
        assert_eq!(line.mean(0.0, 8.0, &mut out), 5.0 / 8.0);
        assert_eq!(out, [0.25, 1.0]);
        assert_eq!((line.mean(4.5, 4.5, &mut out), out.map(f64::round)), (1.0, [1.0, 2.0]));
        line.push(0.0, 1.0, &[1.0]);
        line.push(f64::NAN, 1.0, &[1.0, 1.0]);
        line.push(2.0, 1.0, &[1.0, 1.0]);
        assert_eq!(line.len(), 2);
    }

    #[test]
    fn samples_average_over_what_was_measured_and_forget_the_past() {
        let mut line = FeatureTimeline::samples(1, 4.0);
        for i in 1..100 {
            if !(50..54).contains(&i) {
                line.push((i - 1) as f64 * 0.5, i as f64 * 0.5, &[i as f64]);
            }
        }
        assert!(line.len() <= 10);
        let mut out = [0.0];
        assert_eq!((line.mean(48.0, 49.0, &mut out), out), (1.0, [97.5]));
        let mut gap = FeatureTimeline::samples(1, 40.0);
        gap.push(0.0, 1.0, &[3.0]);
        assert_eq!((gap.mean(0.0, 2.0, &mut out), out), (0.5, [3.0]));
        assert_eq!((gap.mean(5.0, 6.0, &mut out), out), (0.0, [0.0]));
        gap.push(0.5, 1.5, &[6.0]);
        assert_eq!((gap.mean(0.0, 1.5, &mut out), out), (1.0, [4.5]), "overlapping samples do not add");
    }

    #[test]
    fn nothing_crosses_the_edge_of_a_run() {
        let mut line = FeatureTimeline::events(1);
        line.push(8.0, 12.0, &[1.0]);
        line.push(11.0, 13.0, &[10.0]);
        line.new_run(10.0);
        line.push(9.0, 10.5, &[100.0]);
        let mut out = [0.0];
        line.mean(9.0, 10.0, &mut out);
        assert_eq!(out, [0.0]);
        line.mean(10.0, 14.0, &mut out);
        assert_eq!(out, [(20.0 + 50.0) / 4.0]);
        line.forget(13.5);
        assert!(line.is_empty());
    }
}

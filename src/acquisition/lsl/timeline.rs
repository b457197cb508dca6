//! Are these timestamps to be believed? Holes, jumps, repeats and backward steps in the stamps of one stream.
//!
//! A sample that comes late is not a sample that is missing: software that stamps when it pushes stalls for a few
//! milliseconds, then catches up. So a short hole is only called a gap once as many samples as it lasted have passed
//! without catching up, and how far the stamps scatter by themselves is learned from the stream. Long holes are called
//! at once.

/// What is to be made of one sample.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Verdict {
    /// It follows the one before.
    Good,
    /// Samples are missing before it, or just before it.
    Gap,
    /// The stream's clock has jumped to it.
    Jump,
    /// Its stamp repeats or goes backward: drop it.
    Misordered,
}

/// Holes from here on are gaps at once.
const LONG_HOLE: f64 = 0.25;
/// Stamps that lie wrong for this long are the new truth.
const PATIENCE: f64 = 0.25;
/// While so young, the stream teaches us its scatter.
const LEARNING: f64 = 1.0;
/// The learned scatter fades with this time constant.
const SCATTER_MEMORY: f64 = 20.0;
/// How much of a sample's lateness the line through the stamps takes over.
const FOLLOW: f64 = 0.02;
/// A stamp so far in the future was not measured on this clock.
const FUTURE: f64 = 0.1;

#[derive(Clone, Copy, Debug)]
struct Suspicion {
    hole: f64,
    least: f64,
    left: u32,
}

/// The line that one stream's stamps follow.
#[derive(Clone, Debug)]
pub(super) struct Timeline {
    /// Seconds a sample; 0 for an irregular stream.
    period: f64,
    last: Option<f64>,
    /// Where the line expects the next stamp.
    expected: f64,
    began: f64,
    /// How far stamps stray from the line without anything missing.
    scatter: f64,
    fade: f64,
    suspicion: Option<Suspicion>,
    /// Misordered samples in a row.
    misordered: u32,
}

impl Timeline {
    pub(super) fn new(period: f64) -> Self {
        let fade = (-period / SCATTER_MEMORY).exp();
        Self { period, last: None, expected: 0.0, began: 0.0, scatter: 0.0, fade, suspicion: None, misordered: 0 }
    }

    /// Forgets the line, keeps the scatter: the next sample begins anew.
    pub(super) fn restart(&mut self) {
        self.last = None;
        self.suspicion = None;
        self.misordered = 0;
    }

    /// Judges the next stamp. `now` is the present on the stream's clock: no true stamp lies behind it.
    pub(super) fn judge(&mut self, stamp: f64, now: f64) -> Verdict {
        let Some(last) = self.last else {
            self.began = stamp;
            self.resume_at(stamp);
            return Verdict::Good;
        };
        if self.period <= 0.0 {
            return self.judge_irregular(stamp, last);
        }
        let late = stamp - self.expected;
        let allowed = 1.5 * self.period + self.scatter;
        if stamp == last || (stamp < last && late < -allowed) {
            return self.misordered(stamp);
        }
        self.misordered = 0;
        self.last = Some(stamp);
        self.scatter *= self.fade;
        if late >= LONG_HOLE.max(0.75 * self.period) {
            self.resume_at(stamp);
            return if stamp > now + FUTURE { Verdict::Jump } else { Verdict::Gap };
        }
        if let Some(suspicion) = self.suspicion {
            return self.look_again(suspicion, stamp, late);
        }
        if late > allowed && stamp - self.began > LEARNING {
            // As many samples as are missing, and two, would have caught up by then.
            let left = (late / self.period).ceil() as u32 + 2;
            self.suspicion = Some(Suspicion { hole: late, least: late, left });
            self.expected += self.period;
            return Verdict::Good;
        }
        self.scatter = self.scatter.max(late.abs());
        self.expected += self.period + FOLLOW * late;
        Verdict::Good
    }

    fn look_again(&mut self, mut suspicion: Suspicion, stamp: f64, late: f64) -> Verdict {
        suspicion.least = suspicion.least.min(late);
        suspicion.left -= 1;
        self.expected += self.period;
        if suspicion.left > 0 {
            self.suspicion = Some(suspicion);
            return Verdict::Good;
        }
        self.suspicion = None;
        if suspicion.least > 0.6 * suspicion.hole {
            self.expected = stamp + self.period;
            return Verdict::Gap;
        }
        self.scatter = self.scatter.max(suspicion.hole);
        Verdict::Good
    }

    fn judge_irregular(&mut self, stamp: f64, last: f64) -> Verdict {
        // Several samples of an irregular stream may share a stamp: a chunk does.
        if stamp < last {
            return self.misordered(stamp);
        }
        self.misordered = 0;
        self.last = Some(stamp);
        Verdict::Good
    }

    fn misordered(&mut self, stamp: f64) -> Verdict {
        self.misordered += 1;
        let lasting = self.period <= 0.0 || f64::from(self.misordered) * self.period >= PATIENCE;
        if self.misordered >= 8 && lasting {
            self.resume_at(stamp);
            return Verdict::Jump;
        }
        Verdict::Misordered
    }

    fn resume_at(&mut self, stamp: f64) {
        self.last = Some(stamp);
        self.expected = stamp + self.period;
        self.suspicion = None;
        self.misordered = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PERIOD: f64 = 0.004;

    /// Feeds stamps and returns where something other than `Good` was said.
    fn judge(line: &mut Timeline, stamps: impl IntoIterator<Item = f64>) -> Vec<(usize, Verdict)> {
        let judged = stamps.into_iter().enumerate().map(|(i, stamp)| (i, line.judge(stamp, f64::INFINITY)));
        judged.filter(|(_, v)| *v != Verdict::Good).collect()
    }

    fn steady(from: usize, to: usize) -> impl Iterator<Item = f64> {
        (from..to).map(|i| 100.0 + i as f64 * PERIOD)
    }

    #[test]
    fn one_missing_sample_of_an_exact_clock_is_a_gap() {
        let mut line = Timeline::new(PERIOD);
        assert_eq!(judge(&mut line, steady(0, 500)), []);
        // Two missing: late by two periods; three samples later it has not caught up.
        assert_eq!(judge(&mut line, steady(502, 600)), [(4, Verdict::Gap)]);
        assert_eq!(judge(&mut line, steady(700, 800)), [(0, Verdict::Gap)]);
    }

    #[test]
    fn a_stall_that_catches_up_is_no_gap() {
        let mut line = Timeline::new(PERIOD);
        assert_eq!(judge(&mut line, steady(0, 500)), []);
        // Pushed in a bunch after a stall of 50 ms, stamped as pushed.
        let bunch = (0..12).map(|i| 100.0 + 512.0 * PERIOD + f64::from(i) * 1e-4);
        assert_eq!(judge(&mut line, bunch.chain(steady(513, 800))), []);
    }

    #[test]
    fn chunks_with_jittery_stamps_overlap_without_loss() {
        let mut line = Timeline::new(PERIOD);
        // Chunks of 8; each chunk's stamps are off by up to ±3 ms: some begin before the last one ended.
        let stamps = steady(0, 8000).enumerate().map(|(i, t)| t + 0.003 * f64::sin((i / 8) as f64 * 2.3));
        let odd = judge(&mut line, stamps);
        assert!(odd.is_empty(), "{odd:?}");
    }

    #[test]
    fn repeats_and_backward_stamps_are_dropped_and_a_lasting_step_back_is_a_jump() {
        let mut line = Timeline::new(PERIOD);
        judge(&mut line, steady(0, 500));
        assert_eq!(judge(&mut line, [100.0 + 499.0 * PERIOD]), [(0, Verdict::Misordered)]);
        assert_eq!(judge(&mut line, steady(480, 484)).len(), 4);
        assert_eq!(judge(&mut line, steady(500, 600)), []);
        let back = judge(&mut line, steady(0, 200));
        assert_eq!(back.last(), Some(&(62, Verdict::Jump)), "a quarter of a second later");
        assert!(back.iter().rev().skip(1).all(|(_, v)| *v == Verdict::Misordered));
    }

    #[test]
    fn a_stamp_from_the_future_is_a_jump() {
        let mut line = Timeline::new(PERIOD);
        judge(&mut line, steady(0, 500));
        assert_eq!(line.judge(4000.0, 102.1), Verdict::Jump);
        assert_eq!(line.judge(4000.0 + PERIOD, 102.1), Verdict::Good);
    }

    #[test]
    fn an_irregular_stream_may_repeat_a_stamp_but_not_go_back() {
        let mut line = Timeline::new(0.0);
        let odd = judge(&mut line, [1.0, 1.0, 5.0, 4.0, 6.0]);
        assert_eq!(odd, [(3, Verdict::Misordered)]);
        assert_eq!(judge(&mut line, (0..9).map(f64::from).map(|i| i / 100.0)).last(), Some(&(7, Verdict::Jump)));
    }
}

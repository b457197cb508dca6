//! When does the heart beat? R peaks of an electrocardiogram, told within a tenth of a second.
//!
//! After Pan & Tompkins (1985, IEEE Trans Biomed Eng 32:230, doi 10.1109/TBME.1985.325532): a band-pass, the squared
//! slope, its mean over a moving window, and a threshold between the running levels of beats and of what lies between
//! them. Ours is made to be early rather than late, because what is removed with a beat follows it at once: the band is
//! wider and the window shorter, a beat counts when the threshold is crossed and not at the peak behind it, and nothing is
//! searched for in the past; where no beat comes, the threshold falls.

use super::cascade::Cascade;
use super::design::{Band, butterworth};

/// Hz that a QRS complex is in; of first order, which delays it by about 15 ms.
const BAND: (f64, f64) = (5.0, 25.0);
/// Seconds over which the squared slope is averaged.
const WINDOW: f64 = 0.08;
/// Seconds after a beat in which none follows.
const REFRACTORY: f64 = 0.25;
/// Seconds around the crossing in which the peak lies; those after it are waited for.
const AROUND: (f64, f64) = (0.06, 0.04);
/// Seconds from which the first levels are learned.
const LEARNING: f64 = 2.0;
/// Where the threshold lies between the two levels; how much one beat moves them.
const THRESHOLD: f64 = 0.25;
const FOLLOW: f64 = 0.125;
/// A beat counts as at most so many times the level.
const LARGEST: f64 = 4.0;
/// Seconds without a beat after which the level of beats is halved, again and again.
const SILENCE: f64 = 1.5;

/// Finds the beats of one channel.
#[derive(Debug)]
pub(super) struct Beats {
    filter: Cascade,
    started: bool,
    /// The newest filtered samples, and squared slopes, as rings.
    filtered: Box<[f64]>,
    slopes: Box<[f64]>,
    sum: f64,
    refractory: u64,
    after: u64,
    learning: u64,
    silence: u64,
    seen: u64,
    /// Levels of beats and of what lies between; the largest energy since the last crossing, within it and after it.
    beat: f64,
    between: f64,
    largest_within: f64,
    largest_after: f64,
    crossed: Option<u64>,
    waiting: bool,
}

impl Beats {
    /// A detector for samples at `rate` Hz (100 at least).
    pub fn new(rate: f64) -> Self {
        let samples = |seconds: f64| ((seconds * rate).round() as usize).max(1);
        Self {
            filter: Cascade::new(butterworth(1, Band::Between(BAND.0, BAND.1), rate), 1),
            started: false,
            filtered: vec![0.0; samples(AROUND.0 + AROUND.1) + 1].into(),
            slopes: vec![0.0; samples(WINDOW)].into(),
            sum: 0.0,
            refractory: samples(REFRACTORY) as u64,
            after: samples(AROUND.1) as u64,
            learning: samples(LEARNING) as u64,
            silence: samples(SILENCE) as u64,
            seen: 0,
            beat: 0.0,
            between: 0.0,
            largest_within: 0.0,
            largest_after: 0.0,
            crossed: None,
            waiting: false,
        }
    }

    /// Takes in the next sample. When a beat has become known, how many samples ago its peak was.
    pub fn take(&mut self, x: f64) -> Option<usize> {
        if !std::mem::replace(&mut self.started, true) {
            self.filter.rest(0, x);
        }
        let mut row = [x];
        self.filter.run(&mut row);
        let [y] = row;
        let kept = self.filtered.len() as u64;
        let before = self.filtered[((self.seen + kept - 1) % kept) as usize];
        self.filtered[(self.seen % kept) as usize] = y;
        let slot = (self.seen % self.slopes.len() as u64) as usize;
        self.slopes[slot] = (y - before).powi(2);
        // Summed anew: a running sum would keep what a huge sample leaves in the last digits.
        let energy = self.slopes.iter().sum::<f64>();
        self.seen += 1;
        self.judge(energy)
    }

    fn judge(&mut self, energy: f64) -> Option<usize> {
        if self.seen <= self.learning {
            self.largest_after = self.largest_after.max(energy);
            self.sum += energy;
            if self.seen == self.learning {
                self.beat = self.largest_after / 2.0;
                self.between = (self.sum / self.learning as f64).min(self.beat / 2.0);
                self.largest_after = 0.0;
            }
            return None;
        }
        let since = self.crossed.map_or(u64::MAX, |at| self.seen - at);
        if since <= self.refractory {
            self.largest_within = self.largest_within.max(energy);
            if since == self.refractory {
                let level = self.largest_within.min(LARGEST * self.beat);
                self.beat += FOLLOW * (level - self.beat);
            }
        } else if energy > self.between + THRESHOLD * (self.beat - self.between) {
            let level = self.between + FOLLOW * (self.largest_after - self.between);
            // What lies between beats is smaller than they are, whatever came last.
            self.between = level.min(self.beat / 2.0);
            (self.largest_within, self.largest_after) = (energy, 0.0);
            (self.crossed, self.waiting) = (Some(self.seen), true);
        } else {
            self.largest_after = self.largest_after.max(energy);
            let silent = self.seen - self.crossed.unwrap_or(self.learning);
            if silent.is_multiple_of(self.silence) {
                (self.beat, self.between) = (self.beat / 2.0, self.between / 2.0);
            }
        }
        (since == self.after && std::mem::take(&mut self.waiting)).then(|| self.peak())
    }

    /// How many samples ago the largest of the newest filtered samples was.
    fn peak(&self) -> usize {
        let kept = self.filtered.len() as u64;
        let ago = |ago: u64| self.filtered[((self.seen + kept - 1 - ago) % kept) as usize].abs();
        (0..kept.min(self.seen)).max_by(|a, b| ago(*a).total_cmp(&ago(*b))).unwrap_or(0) as usize
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.filter.reset();
        (self.started, self.waiting, self.crossed) = (false, false, None);
        self.filtered.fill(0.0);
        self.slopes.fill(0.0);
        (self.seen, self.sum, self.beat, self.between) = (0, 0.0, 0.0, 0.0);
        (self.largest_within, self.largest_after) = (0.0, 0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::signal::testing::noise;

    const RATE: f64 = 500.0;

    /// An electrocardiogram in µV with R peaks at `beats` (seconds): P, Q, R, S and T as Gaussians (McSharry et al. 2003),
    /// a baseline that wanders by 300 µV, and noise of 30 µV.
    fn ecg(beats: &[f64], seconds: f64) -> Vec<f64> {
        const WAVES: [(f64, f64, f64); 5] = [
            (-0.17, 0.025, 120.0),
            (-0.03, 0.010, -120.0),
            (0.0, 0.011, 1100.0),
            (0.03, 0.010, -250.0),
            (0.26, 0.045, 300.0),
        ];
        let samples = (seconds * RATE) as usize;
        let noise = noise(samples, 9);
        let value = |i: usize| {
            let t = i as f64 / RATE;
            let waves = beats
                .iter()
                .filter(|b| (t - **b).abs() < 0.6)
                .flat_map(|b| WAVES.map(|(at, width, height)| height * (-0.5 * ((t - b - at) / width).powi(2)).exp()));
            waves.sum::<f64>() + 300.0 * (1.5 * t).sin() + 0.3 * noise[i]
        };
        (0..samples).map(value).collect()
    }

    fn beats(seconds: f64) -> Vec<f64> {
        let mut beats = vec![0.4];
        while let Some(last) = beats.last().filter(|last| **last < seconds - 1.0) {
            beats.push(last + 0.85 + 0.12 * (0.9 * beats.len() as f64).sin());
        }
        beats
    }

    /// When each beat's peak is said to be, and when that was said, in seconds.
    fn found(signal: &[f64]) -> Vec<(f64, f64)> {
        let mut detector = Beats::new(RATE);
        let said = signal.iter().enumerate().filter_map(|(i, x)| Some((i, detector.take(*x)?)));
        said.map(|(i, ago)| ((i - ago) as f64 / RATE, i as f64 / RATE)).collect()
    }

    #[test]
    fn every_beat_is_found_once_and_within_a_tenth_of_a_second() {
        let truth = beats(120.0);
        let found = found(&ecg(&truth, 120.0));
        let after: Vec<f64> = truth.into_iter().filter(|b| *b > LEARNING).collect();
        assert!(found.len().abs_diff(after.len()) <= 1, "{} for {}", found.len(), after.len());
        let mut delays = Vec::new();
        for (peak, said) in &found {
            let nearest = after.iter().copied().min_by(|a, b| (a - peak).abs().total_cmp(&(b - peak).abs())).unwrap();
            assert!((0.0..0.1).contains(&(said - nearest)), "said {} s after it", said - nearest);
            delays.push(peak - nearest);
        }
        let mean = delays.iter().sum::<f64>() / delays.len() as f64;
        let worst = delays.iter().map(|d| (d - mean).abs()).fold(0.0, f64::max);
        assert!(worst <= 0.006, "a peak is {worst} s from where others are");
    }

    #[test]
    fn a_giant_artifact_silences_it_for_a_while_only() {
        let truth = beats(120.0);
        let mut signal = ecg(&truth, 120.0);
        signal[(30.0 * RATE) as usize] = 1e6;
        let found = found(&signal);
        let late = |(peak, _): &&(f64, f64)| *peak > 60.0;
        let expected = truth.iter().filter(|b| **b > 60.0).count();
        assert!(
            found.iter().filter(late).count().abs_diff(expected) <= 1,
            "{} beats",
            found.iter().filter(late).count()
        );
    }

    #[test]
    fn a_straight_line_has_no_beat() {
        assert_eq!(found(&[123.0; 5000]), []);
    }
}

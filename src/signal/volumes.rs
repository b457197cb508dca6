//! When does each volume begin? From markers that are exact to a sample, onsets that are exact to a fraction of one.
//!
//! The clock of an amplifier and that of a scanner are not the same, so a TR is no whole number of samples, and a marker
//! says where it began only to the next sample. What does not change from volume to volume is the TR: once the onsets of
//! a few volumes were measured (by what the artifact in them looks like, see [`GradientArtifact`]), the line through them
//! tells the next one, and the marker only says that it comes.
//!
//! [`GradientArtifact`]: super::GradientArtifact

/// Measured onsets that make the line.
const MEASURED: usize = 16;
/// A scanner that pauses for more volumes than this begins a new line.
const LONGEST_PAUSE: f64 = 10_000.0;

/// One volume.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Volume {
    /// How many TRs after the first one of the line.
    pub index: u64,
    /// When it begins: the number of a sample, and a fraction.
    pub onset: f64,
}

/// What a sample brings.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Tick {
    /// Nothing new.
    Nothing,
    /// A volume begins where one was due.
    Next(Volume),
    /// A volume begins that does not follow one: the first, or after a pause.
    First(Volume),
    /// A volume is due, and its marker has not come.
    Missing,
}

/// Follows the markers of one stream.
#[derive(Debug)]
pub(super) struct Volumes {
    /// Samples in a TR: as configured, and as measured, if it was.
    nominal: f64,
    period: f64,
    steady: bool,
    /// How far from where it is due a marker may come, in samples.
    tolerance: f64,
    /// Whether both clocks are one, so that a marker is exact.
    locked: bool,
    high: bool,
    present: Option<Volume>,
    last: Option<Volume>,
    /// A ring of measured onsets, the oldest at `at`.
    measured: [Volume; MEASURED],
    count: usize,
    at: usize,
}

impl Volumes {
    /// Volumes of `period` samples, whose markers stray by at most `tolerance` samples from where they are due.
    pub fn new(period: f64, tolerance: f64, locked: bool) -> Self {
        let none = Volume { index: 0, onset: 0.0 };
        Self {
            nominal: period,
            period,
            steady: false,
            tolerance,
            locked,
            high: false,
            present: None,
            last: None,
            measured: [none; MEASURED],
            count: 0,
            at: 0,
        }
    }

    /// Takes in whether the marker channel is `high` at sample `number`. A marker before its time is another event's.
    pub fn tick(&mut self, number: u64, high: bool) -> Tick {
        let was_high = std::mem::replace(&mut self.high, high);
        let rises = high && !was_high;
        let now = number as f64;
        let Some(present) = self.present else {
            return if rises { self.begin(now) } else { Tick::Nothing };
        };
        let due = present.onset + self.period;
        if rises && (now - due).abs() <= self.tolerance {
            return Tick::Next(self.follow(present.index + 1, now));
        }
        if now > due + self.tolerance {
            self.present = None;
            return if rises { self.begin(now) } else { Tick::Missing };
        }
        Tick::Nothing
    }

    /// Whether the next onset is told exactly: from a measured one, and a measured TR.
    pub fn is_exact(&self) -> bool {
        self.locked || (self.count > 0 && self.steady)
    }

    /// The onset of `volume` was measured: it lies `later` samples after where it was thought to be.
    pub fn measured(&mut self, volume: Volume, later: f64) {
        self.measured[self.at] = Volume { onset: volume.onset + later, ..volume };
        (self.at, self.count) = ((self.at + 1) % MEASURED, (self.count + 1).min(MEASURED));
        let newest = self.measured[(self.at + MEASURED - 1) % MEASURED];
        let oldest = self.measured[if self.count < MEASURED { 0 } else { self.at }];
        if newest.index > oldest.index {
            self.period = (newest.onset - oldest.onset) / (newest.index - oldest.index) as f64;
            self.steady = true;
        }
    }

    /// From now on onsets count from where that of `volume` was thought to be.
    pub fn refer_to(&mut self, volume: Volume) {
        (self.count, self.at, self.period, self.steady) = (0, 0, self.nominal, false);
        self.measured(volume, 0.0);
    }

    /// Samples are missing: nobody knows where on its line the next volume lies. The TR stays known, and a marker that is up
    /// when samples come again rose at a time that nobody knows.
    pub fn interrupt(&mut self) {
        (self.present, self.last, self.high, self.count, self.at) = (None, None, true, 0, 0);
    }

    /// Forgets everything; samples count from 0 again.
    pub fn reset(&mut self) {
        self.interrupt();
        self.high = false;
        (self.period, self.steady) = (self.nominal, false);
    }

    fn begin(&mut self, now: f64) -> Tick {
        let passed = self.last.map(|last| (last.index, ((now - last.onset) / self.period).round(), last.onset));
        let on_line = passed.filter(|(_, volumes, onset)| {
            *volumes < LONGEST_PAUSE && (now - onset - volumes * self.period).abs() <= self.tolerance
        });
        let volume = match on_line {
            Some((index, volumes, _)) => self.follow(index + volumes as u64, now),
            None => {
                (self.count, self.at) = (0, 0);
                self.follow(0, now)
            }
        };
        Tick::First(volume)
    }

    /// Volume `index`, whose marker comes `now`, begins where the line says.
    fn follow(&mut self, index: u64, now: f64) -> Volume {
        let newest = self.measured[(self.at + MEASURED - 1) % MEASURED];
        let told = newest.onset + (index as f64 - newest.index as f64) * self.period;
        let trusted = !self.locked && self.is_exact() && (now - told).abs() <= self.tolerance;
        let volume = Volume { index, onset: if trusted { told } else { now } };
        (self.present, self.last) = (Some(volume), Some(volume));
        volume
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Markers of volumes that begin every 500.3 samples from 10.6 on, but for those in `lost`; each onset measured. What
    /// is told of each volume, and at which samples one was missing.
    fn run(lost: &[u64], locked: bool) -> (Vec<Volume>, Vec<u64>) {
        let mut volumes = Volumes::new(500.0, 5.0, locked);
        let (mut told, mut missing) = (Vec::new(), Vec::new());
        let onset = |k: u64| 10.6 + 500.3 * k as f64;
        let mut k = 0;
        for number in 0..15_000u64 {
            let begins = number as f64 >= onset(k);
            let high = begins && !lost.contains(&k);
            k += u64::from(begins);
            match volumes.tick(number, high) {
                Tick::Next(volume) | Tick::First(volume) => {
                    told.push(volume);
                    let truly = onset(k - 1);
                    volumes.measured(volume, truly - volume.onset);
                }
                Tick::Missing => missing.push(number),
                Tick::Nothing => {}
            }
        }
        (told, missing)
    }

    #[test]
    fn onsets_are_told_to_a_fraction_once_two_were_measured() {
        let (told, missing) = run(&[], false);
        assert_eq!((told.len(), missing.len()), (30, 0));
        for (k, volume) in told.iter().enumerate() {
            let off = volume.onset - (10.6 + 500.3 * k as f64);
            assert!(
                if k < 2 { (0.0..1.0).contains(&off) } else { off.abs() < 1e-6 },
                "volume {k} is {off} samples off"
            );
        }
    }

    #[test]
    fn a_lost_marker_is_noticed_and_the_line_goes_on_after_it() {
        let (told, missing) = run(&[7, 8], false);
        assert_eq!((told.len(), missing), (28, vec![3518]), "once, as soon as it is late");
        assert_eq!(told[7].index, 9);
        assert!((told[7].onset - (10.6 + 500.3 * 9.0)).abs() < 1e-6);
    }

    #[test]
    fn markers_of_other_events_are_left_alone_and_locked_clocks_take_the_marker_as_it_is() {
        let mut volumes = Volumes::new(100.0, 3.0, true);
        assert_eq!(volumes.tick(0, true), Tick::First(Volume { index: 0, onset: 0.0 }));
        let mut other = (1..100).map(|n| volumes.tick(n, n == 40));
        assert!(other.all(|tick| tick == Tick::Nothing));
        assert_eq!(volumes.tick(100, true), Tick::Next(Volume { index: 1, onset: 100.0 }));
        assert!((101..=203).all(|n| volumes.tick(n, true) == Tick::Nothing), "held high is no marker");
        assert_eq!(volumes.tick(204, true), Tick::Missing);
    }

    #[test]
    fn another_series_begins_a_line_of_its_own() {
        let mut volumes = Volumes::new(100.0, 3.0, false);
        volumes.tick(0, true);
        assert!((1..=150).any(|n| volumes.tick(n, false) == Tick::Missing));
        assert_eq!(volumes.tick(950, true), Tick::First(Volume { index: 0, onset: 950.0 }));
    }
}

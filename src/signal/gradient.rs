//! How is EEG freed of the scanner's gradients? By the average artifact of the last volumes.
//!
//! Averaged artifact subtraction (Allen, Josephs & Turner 2000, NeuroImage 12:230, doi 10.1006/nimg.2000.0599), causal:
//! what is subtracted in a volume was learned from the volumes before it. Markers of volumes come as a channel of the
//! stream, as amplifiers give them. Each channel's artifact is the mean of its last `volumes` epochs, freed of its offset;
//! it is subtracted times a gain, the share of it that was in the epoch learned last (least squares, as in Niazy et al.
//! 2005, doi 10.1016/j.neuroimage.2005.06.067), so that an artifact that slowly grows leaves no more than it grows in one
//! TR.
//!
//! Unless both clocks are `locked`, a volume begins between two samples. Where, is measured on every epoch, once it is
//! complete, by the shift at which the mean artifact fits it best (Gauss–Newton, on the electrode with the largest
//! artifact); the TR does not change, so the line through such onsets tells the next one ([`Volumes`]). Epochs are brought
//! to one grid, and the artifact to the present fraction, by a windowed sinc.
//!
//! Only whole epochs teach: one with a refused or marked sample, a gap, or a marker that did not come, does not, for the
//! channels concerned. Until `volumes` epochs were learned, blocks are flagged `WARMING_UP`; channels are bad as long as
//! there is an artifact and nothing to subtract, or its place is known to a sample only: in the first volumes, and in the
//! first after a gap; and for two TRs after a marker that did not come. Then the scanner
//! counts as stopped. A gap leaves the artifact known; a new run does not.

use serde::{Deserialize, Serialize};

use super::average::Average;
use super::fraction::{HALF, Taps, slope, taps};
use super::guard::Guard;
use super::history::History;
use super::reference::dot;
use super::volumes::{Tick, Volume, Volumes};
use crate::frame::{Block, BlockSpec, PrepareError, Quality, Stage};

/// How far from where it is due a marker may come: in seconds, and in samples at least.
const TOLERANCE: (f64, f64) = (0.01, 3.0);
/// Steps of the search for an onset that is known to two samples only, in samples, and how far it goes.
const SEARCH: (f64, i32) = (0.25, 10);
/// An onset lies at most so many samples from where it was thought to be.
const FARTHEST: usize = 4;
/// Steps of Gauss and Newton; each squares the distance.
const REFINEMENTS: usize = 3;
/// An epoch that the artifact explains less of is another artifact.
const LEAST_EXPLAINED: f64 = 0.5;
/// Between these lies a gain that is believed.
const GAINS: (f64, f64) = (0.5, 2.0);
/// TRs after which a scanner whose markers do not come has stopped.
const STOPPED: f64 = 2.0;

fn default_volumes() -> usize {
    25
}

/// What to subtract: `gradient_artifact = { tr = 2.0, marker = "Trigger" }`.
#[derive(Deserialize, Serialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct GradientArtifactConfig {
    /// Seconds from volume to volume, as set on the scanner.
    pub tr: f64,
    /// The channel whose rise is the marker of a volume. Default: the first of kind `TRIG`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub marker: Option<String>,
    /// The marker channel's value at the start of a volume. By default any above 0; markers between volumes are left
    /// alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub code: Option<f64>,
    /// How many volumes make the mean artifact: more leave less EEG in it (1 / √volumes), fewer follow a moving head
    /// faster. Default 25.
    #[serde(default = "default_volumes")]
    pub volumes: usize,
    /// Whether the amplifier's clock is driven by the scanner's, so that each volume begins on a sample and a TR is a
    /// whole number of them. Default false.
    #[serde(default)]
    pub locked: bool,
}

/// Lengths in samples.
#[derive(Clone, Copy, Debug, Default)]
struct Lengths {
    /// A TR, rounded up.
    epoch: usize,
    /// What is kept of the artifact before and after its TR: for a marker that comes early or late, and to interpolate.
    pad: usize,
}

impl Lengths {
    fn whole(self) -> usize {
        self.epoch + 2 * self.pad
    }
}

/// The volume that is on, and the weights for its fraction of a sample.
#[derive(Clone, Copy, Debug)]
struct Present {
    volume: Volume,
    /// Whether its onset is known to a fraction.
    exact: bool,
    taps: Taps,
}

/// A volume that is over and is being learned from, a few channels a sample.
#[derive(Clone, Copy, Debug)]
struct Lesson {
    volume: Volume,
    aligned: bool,
    taps: Taps,
    channel: usize,
}

/// Subtracts the mean gradient artifact.
#[derive(Debug)]
pub struct GradientArtifact {
    config: GradientArtifactConfig,
    guard: Guard,
    marker: usize,
    lengths: Lengths,
    volumes: Volumes,
    history: History,
    artifact: Average,
    gains: Box<[f64]>,
    /// Per channel: the mean artifact's power, and until which sample number nothing may be learned.
    power: Box<[f64]>,
    /// Which channels are electrodes, whose artifact says when volumes began.
    electrode: Box<[bool]>,
    bad_until: Box<[u64]>,
    present: Option<Present>,
    lesson: Option<Lesson>,
    /// Channels learned a sample.
    pace: usize,
    /// Since which sample a marker is missing.
    missing: Option<u64>,
    /// An epoch on the artifact's grid.
    epoch: Box<[f64]>,
}

impl GradientArtifact {
    /// A step that is yet to be prepared.
    pub fn new(config: GradientArtifactConfig) -> Self {
        Self {
            config,
            guard: Guard::default(),
            marker: 0,
            lengths: Lengths::default(),
            volumes: Volumes::new(1.0, 1.0, true),
            history: History::default(),
            artifact: Average::default(),
            gains: Box::default(),
            power: Box::default(),
            electrode: Box::default(),
            bad_until: Box::default(),
            present: None,
            lesson: None,
            pace: 1,
            missing: None,
            epoch: Box::default(),
        }
    }

    fn marker(&self, input: &BlockSpec) -> Result<usize, String> {
        let found = match &self.config.marker {
            Some(name) => input.channels.iter().position(|c| c.name == *name),
            None => input.channels.iter().position(|c| c.kind == "TRIG"),
        };
        found.ok_or_else(|| {
            let known: Vec<&str> = input.channels.iter().map(|c| c.name.as_str()).collect();
            let what = self.config.marker.as_ref().map_or("of kind TRIG".into(), |name| format!("\"{name}\""));
            format!("there is no channel {what} with the markers of volumes: set marker to one of {}", known.join(", "))
        })
    }

    fn lengths(&self, rate: f64) -> Result<(Lengths, f64), String> {
        if !(rate > 0.0 && rate.is_finite()) {
            return Err("needs a stream of regular rate, and this one has none".into());
        }
        let samples = self.config.tr * rate;
        if !(samples > 0.0 && samples <= 1e6) {
            return Err(format!(
                "tr = {} s is {samples} samples at {rate} Hz, and must be 1 to 1000000",
                self.config.tr
            ));
        }
        if self.config.locked && (samples - samples.round()).abs() > 1e-6 {
            return Err(format!(
                "locked = true needs a tr of whole samples, and {} s are {samples} at {rate} Hz: leave locked out",
                self.config.tr
            ));
        }
        let tolerance = (TOLERANCE.0 * rate).max(TOLERANCE.1).ceil();
        let lengths = Lengths { epoch: samples.ceil() as usize, pad: HALF + tolerance as usize + 2 };
        // Learning waits for the end of the pad, and must be over before the next volume is.
        let least = 2 * (lengths.pad + HALF + FARTHEST + 1);
        if lengths.epoch < least {
            let least = least as f64 / rate;
            return Err(format!("tr = {} s is too short at {rate} Hz, where {least:.3} s are needed", self.config.tr));
        }
        if !(1..=1000).contains(&self.config.volumes) {
            return Err(format!("volumes = {} is not between 1 and 1000", self.config.volumes));
        }
        Ok((lengths, tolerance))
    }

    /// Takes in one cleaned sample and frees it of the artifact. Returns the flag to raise.
    fn take(&mut self, row: &mut [f64]) -> Quality {
        let number = self.history.push(row);
        for (channel, until) in self.bad_until.iter_mut().enumerate() {
            if self.guard.is_bad(channel) {
                *until = number + 1;
            }
        }
        let level = row.get(self.marker).copied().unwrap_or(0.0);
        let high = self.config.code.map_or(level > 0.0, |code| level == code);
        match self.volumes.tick(number, high) {
            Tick::Nothing => {}
            Tick::First(volume) => self.begin(volume),
            Tick::Next(volume) => {
                // Only now is it sure that the one before was whole.
                self.lesson =
                    self.present.map(|p| Lesson { volume: p.volume, aligned: false, taps: p.taps, channel: 0 });
                self.begin(volume);
            }
            Tick::Missing => (self.present, self.missing) = (None, Some(number)),
        }
        self.learn();
        self.subtract(number, row)
    }

    fn begin(&mut self, volume: Volume) {
        let (_, fraction) = grid(volume.onset);
        self.present = Some(Present { volume, exact: self.volumes.is_exact(), taps: taps(fraction) });
        self.missing = None;
    }

    fn subtract(&self, number: u64, row: &mut [f64]) -> Quality {
        let Some(Present { volume, taps, .. }) = &self.present else { return Quality::WARMING_UP };
        let (base, _) = grid(volume.onset);
        let first = number as i64 - base + self.lengths.pad as i64 + 1 - HALF as i64;
        let mut quality = Quality::GOOD;
        for (channel, value) in row.iter_mut().enumerate().filter(|(channel, _)| *channel != self.marker) {
            let window =
                usize::try_from(first).ok().and_then(|first| self.artifact.mean(channel).get(first..first + 2 * HALF));
            *value -= window.map_or(0.0, |window| self.gains[channel] * dot(window, taps));
            if self.artifact.filled(channel) < self.config.volumes {
                quality = Quality::WARMING_UP;
            }
        }
        quality
    }

    /// Whether `channel` has an artifact in it that could not be subtracted, or only a sample or so beside its place.
    fn is_spoilt(&self, channel: usize) -> bool {
        let number = self.history.next().saturating_sub(1);
        let missing = self.missing.is_some_and(|since| ((number - since) as f64) < STOPPED * self.lengths.epoch as f64);
        let known = self.artifact.filled(channel) > 0 && self.present.is_none_or(|present| present.exact);
        channel != self.marker && (missing || (self.present.is_some() && !known))
    }

    /// Goes on with the lesson, as soon as all of its samples are there.
    fn learn(&mut self) {
        let Some(mut lesson) = self.lesson else { return };
        let end = grid(lesson.volume.onset).0 + (self.lengths.epoch + self.lengths.pad + HALF + FARTHEST) as i64;
        if (self.history.next() as i64) <= end {
            return;
        }
        if !lesson.aligned {
            // The first epoch of all is the one that others are aligned to.
            if !self.power.iter().zip(&self.electrode).any(|(power, electrode)| *electrode && *power > 0.0) {
                // Or no electrode shows any longer what was known.
                self.artifact.reset();
                self.gains.fill(1.0);
                self.power.fill(0.0);
                self.volumes.refer_to(lesson.volume);
            } else if let Some(later) = self.measure(lesson.volume) {
                self.volumes.measured(lesson.volume, later);
                lesson.volume.onset += later;
            } else {
                return self.lesson = None;
            }
            let (_, fraction) = grid(lesson.volume.onset);
            // The other way round: from samples to the grid.
            lesson.taps = taps(if fraction > 0.0 { 1.0 - fraction } else { 0.0 });
            lesson.aligned = true;
        }
        for _ in 0..self.pace {
            if lesson.channel != self.marker {
                self.learn_channel(&lesson);
            }
            lesson.channel += 1;
        }
        self.lesson = Some(lesson).filter(|lesson| lesson.channel < self.guard.channels());
    }

    fn learn_channel(&mut self, lesson: &Lesson) {
        let (channel, Lengths { epoch, pad }) = (lesson.channel, self.lengths);
        let (base, fraction) = grid(lesson.volume.onset);
        let first = base - i64::from(fraction > 0.0) - pad as i64 + 1 - HALF as i64;
        let Some(samples) = self.history.window(channel, first, self.lengths.whole() + 2 * HALF - 1) else { return };
        if self.bad_until.get(channel).is_none_or(|until| *until as i64 > first) {
            return;
        }
        for (value, window) in self.epoch.iter_mut().zip(samples.windows(2 * HALF)) {
            *value = dot(window, &lesson.taps);
        }
        let within = pad..pad + epoch;
        let mean = self.epoch[within.clone()].iter().sum::<f64>() / epoch as f64;
        self.epoch.iter_mut().for_each(|value| *value -= mean);
        self.artifact.learn(channel, &self.epoch);
        let artifact = &self.artifact.mean(channel)[within.clone()];
        let power = dot(artifact, artifact);
        self.power[channel] = power;
        let gain = if power > 0.0 { dot(&self.epoch[within], artifact) / power } else { 1.0 };
        self.gains[channel] = if (GAINS.0..=GAINS.1).contains(&gain) { gain } else { 1.0 };
    }

    /// How many samples later than thought `volume` began; `None` where its artifact is another, or no channel is good.
    fn measure(&mut self, volume: Volume) -> Option<f64> {
        if self.config.locked {
            return Some(0.0);
        }
        let first = grid(volume.onset).0 - (self.lengths.pad + HALF) as i64;
        let good = |channel: &usize| self.bad_until.get(*channel).is_some_and(|until| *until as i64 <= first);
        let channels = (0..self.power.len()).filter(|channel| self.electrode[*channel]).filter(good);
        let largest =
            channels.max_by(|a, b| self.power[*a].total_cmp(&self.power[*b])).filter(|c| self.power[*c] > 0.0);
        let channel = largest?;
        let mut shift = 0.0;
        if !self.volumes.is_exact() {
            let tried = (-SEARCH.1..=SEARCH.1).map(|step| f64::from(step) * SEARCH.0);
            let fits = tried.filter_map(|s| Some((s, self.fit(channel, volume.onset + s)?.error)));
            shift = fits.min_by(|a, b| a.1.total_cmp(&b.1))?.0;
        }
        for _ in 0..REFINEMENTS {
            let fit = self.fit(channel, volume.onset + shift)?;
            shift -= if fit.steepness > 0.0 { fit.slope / fit.steepness } else { 0.0 };
        }
        let fit = self.fit(channel, volume.onset + shift)?;
        let explained = fit.error <= (1.0 - LEAST_EXPLAINED) * fit.power && shift.abs() <= FARTHEST as f64;
        if !explained {
            // Another is asked next time; this one comes back with the next epoch that is learned.
            self.power[channel] = 0.0;
        }
        explained.then_some(shift)
    }

    /// How well the artifact fits the samples of `channel`, if it began at `onset`.
    fn fit(&self, channel: usize, onset: f64) -> Option<Fit> {
        let Lengths { epoch, pad } = self.lengths;
        let (base, fraction) = grid(onset);
        let (value, steep) = (taps(fraction), slope(fraction));
        let samples = self.history.window(channel, base, epoch)?;
        let offset = samples.iter().sum::<f64>() / epoch as f64;
        let windows = self.artifact.mean(channel).get(pad + 1 - HALF..)?.windows(2 * HALF);
        let mut fit = Fit::default();
        for (x, window) in samples.iter().zip(windows) {
            let left = x - offset - self.gains[channel] * dot(window, &value);
            let steep = self.gains[channel] * dot(window, &steep);
            fit.error += left * left;
            fit.power += (x - offset).powi(2);
            fit.slope += left * steep;
            fit.steepness += steep * steep;
        }
        Some(fit)
    }
}

/// What is left of an epoch without its artifact, squared; the epoch, squared; what is left by the artifact's slope; and
/// that slope, squared. Sums over the epoch.
#[derive(Default)]
struct Fit {
    error: f64,
    power: f64,
    slope: f64,
    steepness: f64,
}

/// The first sample at or after `onset`, and how far after it lies, in samples.
fn grid(onset: f64) -> (i64, f64) {
    let base = onset.ceil();
    (base as i64, base - onset)
}

impl Stage for GradientArtifact {
    fn name(&self) -> &'static str {
        "gradient_artifact"
    }

    fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError> {
        let refuse = |problem: String| PrepareError::new("gradient_artifact", problem);
        let (lengths, tolerance) = self.lengths(input.rate).map_err(refuse)?;
        self.marker = self.marker(input).map_err(refuse)?;
        let channels = input.channels.len();
        if Average::size(channels, self.config.volumes, lengths.whole()) > 1 << 27 {
            return Err(refuse(format!(
                "{} volumes of {} samples and {channels} channels do not fit in 1 GiB: lower volumes",
                self.config.volumes, lengths.epoch
            )));
        }
        self.lengths = lengths;
        self.volumes = Volumes::new(self.config.tr * input.rate, tolerance, self.config.locked);
        self.pace = (4 * channels).div_ceil(lengths.epoch);
        // An epoch with its pads, and what comes while it is learned.
        self.history = History::new(channels, 2 * lengths.whole());
        self.artifact = Average::new(channels, self.config.volumes, lengths.whole());
        self.gains = vec![1.0; channels].into();
        self.power = vec![0.0; channels].into();
        let mut electrode = super::guard::electrodes(input);
        electrode[self.marker] = false;
        self.electrode = electrode.into();
        self.bad_until = vec![0; channels].into();
        self.epoch = vec![0.0; lengths.whole()].into();
        self.guard = Guard::new(input, 1);
        self.reset();
        Ok(input.clone())
    }

    fn process(&mut self, input: &Block, output: &mut Block) {
        let channels = self.guard.channels();
        if input.channels() != channels || channels == 0 {
            output.clear();
            return;
        }
        output.inherit(input);
        output.set_len(input.len());
        let mut quality = output.quality;
        for i in 0..input.len() {
            let row = &mut output.data_mut()[i * channels..(i + 1) * channels];
            quality |= self.guard.clean_row(input.sample(i), &input.bad, row);
            quality |= self.take(row);
            for channel in 0..channels {
                if self.guard.is_bad(channel) || self.is_spoilt(channel) {
                    output.bad.set(channel, true);
                }
            }
        }
        output.quality = quality;
    }

    fn reset(&mut self) {
        self.guard.reset();
        self.volumes.reset();
        self.history.reset();
        self.artifact.reset();
        self.gains.fill(1.0);
        self.power.fill(0.0);
        self.bad_until.fill(0);
        (self.present, self.lesson, self.missing) = (None, None, None);
    }

    fn gap(&mut self) {
        let next = self.history.next();
        self.guard.reset();
        self.volumes.interrupt();
        self.bad_until.fill(next);
        self.missing = self.present.map(|_| next).or(self.missing);
        (self.present, self.lesson) = (None, None);
    }

    fn new_run(&mut self) {
        self.reset();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Channel, Unit};

    #[test]
    fn wrong_settings_are_named() {
        let mut channels = Channel::numbered("EEG", 2, Unit::Microvolt);
        channels.push(Channel::new("Volume", "TRIG", Unit::Arbitrary));
        let spec = BlockSpec::new(channels, 1000.0, 8);
        for (toml, expected) in [
            ("tr = 0.0", "tr = 0 s is 0 samples at 1000 Hz, and must be 1 to 1000000"),
            ("tr = nan", "tr = NaN s is NaN samples at 1000 Hz, and must be 1 to 1000000"),
            (
                "tr = 2.03125\nlocked = true",
                "locked = true needs a tr of whole samples, and 2.03125 s are 2031.25 at 1000 Hz: leave locked out",
            ),
            ("tr = 2.0\nvolumes = 0", "volumes = 0 is not between 1 and 1000"),
            (
                "tr = 100.0\nvolumes = 1000",
                "1000 volumes of 100000 samples and 3 channels do not fit in 1 GiB: lower volumes",
            ),
            (
                "tr = 2.0\nmarker = \"R128\"",
                "there is no channel \"R128\" with the markers of volumes: set marker to one of EEG1, EEG2, Volume",
            ),
        ] {
            let refused = GradientArtifact::new(toml::from_str(toml).unwrap()).prepare(&spec).unwrap_err();
            assert_eq!(refused.to_string(), format!("stage \"gradient_artifact\": {expected}"));
        }
        GradientArtifact::new(toml::from_str("tr = 2.0").unwrap()).prepare(&spec).unwrap();
        let without = BlockSpec::new(Channel::numbered("EEG", 1, Unit::Microvolt), 1000.0, 8);
        let refused = GradientArtifact::new(toml::from_str("tr = 2.0").unwrap()).prepare(&without).unwrap_err();
        assert!(refused.to_string().contains("there is no channel of kind TRIG"), "{refused}");
    }
}

//! One encoder at work: events or windows in, held features out, with a deadline.

use std::path::Path;
use std::sync::Arc;

use prometheus::Histogram;

use super::features::Features;
use crate::encoders::{EncodeError, Encoder, Input, PictureSource, RegionsSource, STIM_FILE, Stimulus, Windows};
use crate::frame::{Block, Clock, Event, Instant, MonotonicClock, Quality};

/// How long an event that says nothing of its duration (a plain marker) is held, in seconds.
const MOMENT: f64 = 1.0;

/// What an encoder did so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct EncoderCounts {
    /// Passes that gave features.
    pub passes: u64,
    /// Passes that failed.
    pub errors: u64,
    /// Passes that took longer than the deadline.
    pub late: u64,
}

/// An encoder with what it needs between two passes. Runs on an inference lane, or on the caller's thread in replay.
pub struct EncoderStep {
    encoder: Box<dyn Encoder>,
    listens: Listens,
    output: Vec<f32>,
    features: Features,
    judge: Judge,
}

/// Times and counts passes, and says what is wrong with one.
struct Judge {
    name: Arc<str>,
    deadline: f64,
    counts: EncoderCounts,
    duration: Option<Histogram>,
}

/// What an encoder is given.
pub enum Listens {
    /// The words of events.
    Words,
    /// The pictures of events: those they bring along, or the files that BIDS calls `stim_file`.
    Images,
    /// The words of events, with their pictures and the regions of these.
    Stimuli,
    /// The columns of events.
    Columns,
    /// Windows of a source's blocks, this many seconds apart.
    Windows(Windows, f64),
}

impl EncoderStep {
    /// An encoder that is given this. A pass longer than `deadline` seconds is counted and its features are flagged.
    pub fn new(name: &str, encoder: Box<dyn Encoder>, listens: Listens, deadline: f64) -> Self {
        let values = vec![0.0; encoder.spec().dims];
        Self {
            encoder,
            listens,
            output: Vec::new(),
            features: Features { values, ..Features::default() },
            judge: Judge { name: name.into(), deadline, counts: EncoderCounts::default(), duration: None },
        }
    }

    /// Times every pass into `duration`.
    pub fn observe(&mut self, duration: Histogram) {
        self.judge.duration = Some(duration);
    }

    /// What it did so far.
    pub fn counts(&self) -> EncoderCounts {
        self.judge.counts
    }

    /// Encodes one event; its features hold for as long as the event lasts, or a second where it says nothing of that.
    /// Nothing comes of an event that the encoder has no use for (one without words, to a text encoder).
    pub fn event(&mut self, event: &Event, arrived_at: Instant) -> Option<&Features> {
        let input = match self.listens {
            Listens::Words => Input::Text(event.text.as_deref()?),
            Listens::Images => match &event.picture {
                Some(picture) => Input::ImageBytes(&picture.0),
                None => Input::Image(Path::new(event.columns.get(STIM_FILE)?)),
            },
            Listens::Stimuli => Input::Multimodal(stimulus(event)?),
            Listens::Columns => Input::Columns(&event.columns),
            Listens::Windows(..) => return None,
        };
        self.features.start = event.onset;
        self.features.end = event.onset + if event.duration > 0.0 { event.duration } else { MOMENT };
        self.features.measured_at = event.onset;
        self.features.arrived_at = arrived_at;
        self.features.run = event.run;
        let began = MonotonicClock.now();
        let result = self.encoder.encode(&input, &mut self.output);
        let quality = self.judge.pass(MonotonicClock.now() - began, result.err());
        self.features.quality = quality;
        // The words of another event say nothing about this one: a failed pass leaves zeros.
        fill(&mut self.features.values, &self.output, quality, true);
        Some(&self.features)
    }

    /// Takes in a block and encodes every window it completes; a window's features hold for the hop before its end.
    pub fn block(&mut self, block: &Block, mut emit: impl FnMut(&Features)) {
        let Self { encoder, output, features, judge, .. } = self;
        let Listens::Windows(windows, hop) = &mut self.listens else { return };
        let (samples, channels, hop) = (windows.samples(), block.channels(), *hop);
        windows.push(block, |data, end, quality| {
            let began = MonotonicClock.now();
            let result = encoder.encode(&Input::Window { data, channels, samples }, output);
            let judged = judge.pass(MonotonicClock.now() - began, result.err());
            features.start = end - hop;
            features.end = end;
            features.measured_at = end;
            features.arrived_at = block.arrived_at;
            features.run = block.run;
            features.quality = quality | judged;
            // A failed pass keeps the last value: neighbouring windows are alike.
            fill(&mut features.values, output, judged, false);
            emit(features);
        });
    }
}

/// What an event says of its stimulus; nothing where it is none.
fn stimulus(event: &Event) -> Option<Stimulus<'_>> {
    let mut stimulus = Stimulus::named(event.text.as_deref(), &event.columns);
    if let Some(picture) = &event.picture {
        stimulus.picture = Some(PictureSource::Bytes(&picture.0));
    }
    if let Some(regions) = &event.regions {
        stimulus.regions = Some(RegionsSource::Given(regions));
    }
    let some = stimulus.text.is_some() || stimulus.picture.is_some() || stimulus.regions.is_some();
    some.then_some(stimulus)
}

impl Judge {
    /// A pass took so many seconds, and failed or not: the flags of its features.
    fn pass(&mut self, seconds: f64, error: Option<EncodeError>) -> Quality {
        if let Some(duration) = &self.duration {
            duration.observe(seconds);
        }
        let mut quality = Quality::GOOD;
        match error {
            Some(error) => {
                self.counts.errors += 1;
                quality |= Quality::STALE_MODEL;
                tracing::warn!(encoder = &*self.name, %error, "a pass failed; its features are flagged STALE_MODEL");
            }
            None => self.counts.passes += 1,
        }
        if seconds > self.deadline {
            self.counts.late += 1;
            quality |= Quality::LATE;
        }
        quality
    }
}

fn fill(values: &mut [f64], output: &[f32], quality: Quality, clear: bool) {
    if !quality.contains(Quality::STALE_MODEL) {
        for (value, out) in values.iter_mut().zip(output) {
            *value = f64::from(*out);
        }
    } else if clear {
        values.fill(0.0);
    }
}

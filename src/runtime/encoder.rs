//! One encoder at work: events or windows in, held features out, with a deadline.

use std::sync::Arc;

use super::features::Features;
use crate::encoders::{Encoder, Input, Windows};
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
    /// How long the last pass took, in seconds.
    pub seconds: f64,
}

/// An encoder with what it needs between two passes. Runs on an inference lane, or on the caller's thread in replay.
pub struct EncoderStep {
    name: Arc<str>,
    encoder: Box<dyn Encoder>,
    deadline: f64,
    listens: Listens,
    output: Vec<f32>,
    features: Features,
    counts: EncoderCounts,
}

/// What an encoder is given.
pub enum Listens {
    /// The words of events.
    Words,
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
            name: name.into(),
            encoder,
            deadline,
            listens,
            output: Vec::new(),
            features: Features { values, ..Features::default() },
            counts: EncoderCounts::default(),
        }
    }

    /// Its name in the configuration.
    pub fn name(&self) -> &Arc<str> {
        &self.name
    }

    /// What it did so far.
    pub fn counts(&self) -> EncoderCounts {
        self.counts
    }

    /// Encodes one event; its features hold for as long as the event lasts, or a second where it says nothing of that. Nothing comes of an event that the encoder
    /// has no use for (one without words, to a text encoder).
    pub fn event(&mut self, event: &Event, arrived_at: Instant) -> Option<&Features> {
        let input = match self.listens {
            Listens::Words => Input::Text(event.text.as_deref()?),
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
        let quality = judge(&mut self.counts, &self.name, self.deadline, MonotonicClock.now() - began, result.err());
        self.features.quality = quality;
        // The words of another event say nothing about this one: a failed pass leaves zeros.
        fill(&mut self.features.values, &self.output, quality, true);
        Some(&self.features)
    }

    /// Takes in a block and encodes every window it completes; a window's features hold for the hop before its end.
    pub fn block(&mut self, block: &Block, mut emit: impl FnMut(&Features)) {
        let Self { encoder, output, features, counts, name, deadline, .. } = self;
        let Listens::Windows(windows, hop) = &mut self.listens else { return };
        let (samples, channels, hop) = (windows.samples(), block.channels(), *hop);
        windows.push(block, |data, end, quality| {
            let began = MonotonicClock.now();
            let result = encoder.encode(&Input::Window { data, channels, samples }, output);
            let judged = judge(counts, name, *deadline, MonotonicClock.now() - began, result.err());
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

/// Counts a pass and says what is wrong with it.
fn judge(
    counts: &mut EncoderCounts,
    name: &str,
    deadline: f64,
    seconds: f64,
    error: Option<crate::encoders::EncodeError>,
) -> Quality {
    counts.seconds = seconds;
    let mut quality = Quality::GOOD;
    match error {
        Some(error) => {
            counts.errors += 1;
            quality |= Quality::STALE_MODEL;
            tracing::warn!(encoder = name, %error, "a pass failed; its features are flagged STALE_MODEL");
        }
        None => counts.passes += 1,
    }
    if seconds > deadline {
        counts.late += 1;
        quality |= Quality::LATE;
    }
    quality
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

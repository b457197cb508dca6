//! Which of the streams in sight is ours? Chosen once, then followed through its losses and returns.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::sync::atomic::Ordering;

use lsl::{StreamInfo, StreamInlet};

use super::search::{Search, Sighting, Sweep};
use super::{Selection, StreamSummary};
use crate::acquisition::{SourceError, SourceStats};
use crate::frame::{Clock, MonotonicClock};

/// How much liblsl holds for us while we do not pull: seconds, or hundreds of samples for an irregular stream.
const BUFFER: i32 = 60;
/// How long a stream that has just answered may take to let us in.
const CONNECT: f64 = 1.0;
/// A stranger beside ours for this long, ours still sending, is a look-alike.
const COEXIST: f64 = 1.0;
/// A stream without a rate that has answered nobody for this long is gone.
const UNSEEN: f64 = 3.0;

/// An open inlet and who is at its other end.
pub(super) struct Inlet {
    pub inner: StreamInlet,
    pub stream: StreamSummary,
    pub info: StreamInfo,
}

/// What a stream must look like.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Shape {
    pub channels: Option<usize>,
    pub rate: Option<f64>,
    pub format: Option<&'static str>,
}

impl Shape {
    /// The shape of this very stream.
    pub(super) fn of(stream: &StreamSummary) -> Self {
        Self { channels: Some(stream.channels), rate: Some(stream.rate), format: Some(stream.format) }
    }

    /// What does not fit, and the mend.
    fn misfit(&self, stream: &StreamSummary) -> Option<String> {
        const MEND: &str = "or restart neurod to take it as it is";
        if let Some(expected) = self.channels.filter(|c| *c != stream.channels) {
            return Some(format!(
                "expected {expected} channels, got {} (set input.lsl.channels, {MEND})",
                stream.channels
            ));
        }
        if let Some(expected) = self.rate.filter(|r| (*r - stream.rate).abs() > 1e-6 * r.abs()) {
            return Some(format!("expected {expected} Hz, got {} Hz (set input.lsl.rate, {MEND})", stream.rate));
        }
        if let Some(expected) = self.format.filter(|f| *f != stream.format) {
            return Some(format!("expected {expected} values, got {} (configure the sender, {MEND})", stream.format));
        }
        None
    }
}

/// Follows one stream.
pub(super) struct Follower {
    pub selection: Selection,
    search: Search,
    shape: Shape,
    /// The source id it first had: whoever comes back must have it.
    pinned: Option<String>,
    stats: Arc<SourceStats>,
    seen: u64,
    /// When each stranger was first seen beside ours.
    strangers: HashMap<String, f64>,
    /// Streams already refused and said so.
    refused: HashSet<String>,
    look_alikes: HashSet<String>,
    /// Two matches were reported and still are two.
    ambiguous: bool,
    last_sighting: f64,
}

impl Follower {
    pub(super) fn start(selection: Selection, shape: Shape, stats: Arc<SourceStats>) -> Result<Self, SourceError> {
        super::load()?;
        let search = Search::start(selection.predicate()?, selection.label())
            .map_err(|error| selection.error(format!("cannot start looking for it: {error}")))?;
        Ok(Self {
            selection,
            search,
            shape,
            pinned: None,
            stats,
            seen: 0,
            strangers: HashMap::new(),
            refused: HashSet::new(),
            look_alikes: HashSet::new(),
            ambiguous: false,
            last_sighting: f64::NEG_INFINITY,
        })
    }

    /// From now on only a stream of this shape and source id will do.
    pub(super) fn pin(&mut self, shape: Shape, source_id: &str) {
        self.shape = shape;
        self.pinned = Some(source_id.to_owned()).filter(|id| !id.is_empty());
    }

    /// Looks harder, or less hard.
    pub(super) fn set_missing(&self, missing: bool) {
        self.search.set_urgent(missing);
    }

    /// Waits for news, at most `timeout` seconds.
    pub(super) fn wait(&self, timeout: f64) {
        self.search.wait(self.seen, timeout);
    }

    /// Whether a sweep has ended that [`look_for`](Self::look_for) or [`look_after`](Self::look_after) has not seen.
    pub(super) fn news(&mut self) -> Option<Arc<Sweep>> {
        let sweep = self.search.newer_than(self.seen)?;
        self.seen = sweep.number;
        Some(sweep)
    }

    /// The connected stream of this uid last sent at `sent`: who else is there?
    pub(super) fn look_after(&mut self, sweep: &Sweep, uid: &str, sent: f64) {
        if sweep.streams.iter().any(|s| s.stream.uid == uid) {
            self.last_sighting = sweep.began;
        }
        self.strangers.retain(|stranger, _| sweep.streams.iter().any(|s| s.stream.uid == *stranger));
        for stream in sweep.streams.iter().map(|s| &s.stream).filter(|s| s.uid != uid) {
            let since = *self.strangers.entry(stream.uid.clone()).or_insert(sweep.began);
            if sent > since + COEXIST && self.look_alikes.insert(stream.uid.clone()) {
                SourceStats::count(&self.stats.refused);
                tracing::warn!(
                    stream = self.selection.label(), host = %stream.host, uid = %stream.uid, source_id = %stream.source_id,
                    "a look-alike of a stream that is alive: not followed; set source_id or hosts to tell them apart"
                );
            }
        }
    }

    /// Whether the connected stream answered this sweep, which was asked after `since`.
    pub(super) fn answers(sweep: &Sweep, uid: &str, since: f64) -> bool {
        sweep.began >= since && sweep.streams.iter().any(|s| s.stream.uid == uid)
    }

    /// Whether a connected stream without a rate has stopped answering.
    pub(super) fn unseen_for(&self, sweep: &Sweep) -> Option<f64> {
        let unseen = sweep.began - self.last_sighting;
        (unseen > UNSEEN).then_some(unseen)
    }

    /// Nothing is connected, or what is has been silent since `silent_since`: is there one to follow?
    ///
    /// # Errors
    /// Once for each stream refused, and once each time several match.
    pub(super) fn look_for(
        &mut self,
        sweep: &Sweep,
        connected: Option<&str>,
        silent_since: f64,
    ) -> Result<Option<Inlet>, SourceError> {
        // An answer to a question asked before the loss says nothing.
        if sweep.began < silent_since {
            return Ok(None);
        }
        let mut refusal = None;
        let mut fitting: Vec<&Sighting> = Vec::new();
        for sighting in &sweep.streams {
            match self.misfit(&sighting.stream) {
                None => fitting.push(sighting),
                Some(problem) if self.refused.insert(sighting.stream.uid.clone()) => {
                    SourceStats::count(&self.stats.refused);
                    refusal = Some(self.selection.error(problem));
                }
                Some(_) => {}
            }
        }
        if fitting.len() > 1 {
            if !std::mem::replace(&mut self.ambiguous, true) {
                SourceStats::count(&self.stats.refused);
                return Err(self.selection.error(several(&fitting)));
            }
            return Ok(None);
        }
        self.ambiguous = false;
        if let Some(error) = refusal {
            return Err(error);
        }
        match fitting.first() {
            Some(one) if connected != Some(one.stream.uid.as_str()) => self.connect(one),
            _ => Ok(None),
        }
    }

    fn misfit(&self, stream: &StreamSummary) -> Option<String> {
        let hosts = &self.selection.hosts;
        if !hosts.is_empty() && !hosts.contains(&stream.host) {
            return Some(format!(
                "comes from {}, which is not among input.lsl.hosts ({}): refused",
                stream.host,
                hosts.join(", ")
            ));
        }
        if self.look_alikes.contains(&stream.uid) {
            return Some(format!(
                "only a look-alike on {} is left, which began while the real one was alive: refused; restart that stream \
                 if it is the right one",
                stream.host
            ));
        }
        if let Some(problem) = self.shape.misfit(stream) {
            return Some(problem);
        }
        let pinned = self.pinned.as_ref().filter(|id| **id != stream.source_id)?;
        Some(format!(
            "expected source_id \"{pinned}\", got \"{}\": another device; set input.lsl.source_id, or restart neurod to \
             take it",
            stream.source_id
        ))
    }

    fn connect(&mut self, sighting: &Sighting) -> Result<Option<Inlet>, SourceError> {
        let opened = || -> Result<Inlet, lsl::Error> {
            let inner = StreamInlet::new(&sighting.info(), BUFFER, 0, false)?;
            let info = inner.info(CONNECT)?;
            inner.open_stream(CONNECT)?;
            Ok(Inlet { inner, stream: sighting.stream.clone(), info })
        };
        match opened() {
            Ok(inlet) => {
                self.strangers.clear();
                self.last_sighting = MonotonicClock.now().seconds();
                Ok(Some(inlet))
            }
            // It died between its answer and our knock: the next sweep knows better.
            Err(error) => {
                tracing::debug!(stream = self.selection.label(), uid = %sighting.stream.uid, %error, "no connection");
                Ok(None)
            }
        }
    }

    /// Refuses a stream that was connected and turned out to be wrong.
    pub(super) fn refuse(&mut self, uid: &str, problem: String) -> SourceError {
        if self.refused.insert(uid.to_owned()) {
            SourceStats::count(&self.stats.refused);
        }
        self.look_alikes.insert(uid.to_owned());
        self.selection.error(problem)
    }

    pub(super) fn mark_up(&self, up: bool) {
        self.stats.up.store(up, Ordering::Relaxed);
    }
}

fn several(streams: &[&Sighting]) -> String {
    let list: Vec<String> = streams
        .iter()
        .map(|s| format!("source_id \"{}\" on {} (uid {})", s.stream.source_id, s.stream.host, s.stream.uid))
        .collect();
    format!(
        "{} streams match: {}; set input.lsl.source_id (or name, type, hosts) to pick one",
        list.len(),
        list.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_shape_is_refused_with_what_was_expected_and_the_key() {
        let stream = StreamSummary {
            name: "BioSemi".into(),
            r#type: "EEG".into(),
            channels: 64,
            rate: 512.0,
            format: "float32",
            source_id: "b1".into(),
            host: "lab".into(),
            uid: "u".into(),
        };
        let shape = Shape::of(&stream);
        assert_eq!(shape.misfit(&stream), None);
        let misfit = |other: StreamSummary| shape.misfit(&other).unwrap();
        let wide = misfit(StreamSummary { channels: 72, ..stream.clone() });
        assert!(wide.starts_with("expected 64 channels, got 72 (set input.lsl.channels"), "{wide}");
        let fast = misfit(StreamSummary { rate: 1024.0, ..stream.clone() });
        assert!(fast.starts_with("expected 512 Hz, got 1024 Hz (set input.lsl.rate"), "{fast}");
        let other = misfit(StreamSummary { format: "int16", ..stream.clone() });
        assert!(other.starts_with("expected float32 values, got int16"), "{other}");
    }
}

//! How do markers become events? Strings of an LSL stream, plain or as JSON objects, with corrected onsets.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use lsl::{Pullable, StreamInlet};
use serde::{Deserialize, Serialize};

use super::Selection;
use super::follow::{Follower, Shape};
use super::offset::Offset;
use crate::acquisition::{EventSource, Pull, SourceError, SourceStats};
use crate::frame::{Clock, Event, Instant, MonotonicClock, Picture};

/// How often the clock offset is asked for.
const OFFSET_EVERY: f64 = 1.0;
/// How long markers wait for a first measurement of the offset.
const OFFSET_WAIT: f64 = 2.0;
/// The longest wait between two looks at what else has happened.
const GLANCE: f64 = 0.25;

/// Which stream of markers to read: `input.lsl` of an event source. At least one of `name`, `type`, `source_id`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct LslMarkersConfig {
    /// The stream's name.
    pub name: Option<String>,
    /// The stream's content type, usually `Markers`.
    pub r#type: Option<String>,
    /// The sender's own id: picks one of several streams that are otherwise alike.
    pub source_id: Option<String>,
    /// The machines it may come from; empty, the default, for any.
    pub hosts: Vec<String>,
    /// Whether a plain marker is also the event's text, to be encoded; false by default: it is a label only.
    pub text: bool,
}

impl LslMarkersConfig {
    /// Checks what can be checked without a network.
    ///
    /// # Errors
    /// [`SourceError::Stream`] naming the key to set.
    pub fn validate(&self) -> Result<(), SourceError> {
        self.selection().predicate().map(drop)
    }

    fn selection(&self) -> Selection {
        Selection {
            name: self.name.clone(),
            r#type: self.r#type.clone(),
            source_id: self.source_id.clone(),
            hosts: self.hosts.clone(),
        }
    }
}

/// Reads one LSL stream of markers; of several channels the first. Built on the thread that pulls it.
///
/// The stream need not be there yet: markers often begin late. A marker is a JSON object
/// `{"trial_type": …, "duration": …, "text": …, "stim_file": …, "image_base64": …, "regions": …, "boxes": …}` (every field
/// optional, others ignored; `image_base64` an image file's contents), or any other string: a label. Numbers become their
/// decimal text. No marker is ever dropped for its stamp: senders stamp past onsets too.
pub struct LslMarkers {
    text: bool,
    follower: Follower,
    stats: Arc<SourceStats>,
    link: Option<Link>,
    offset: Offset,
    values: Vec<String>,
    /// When it was last heard of.
    heard: f64,
    lost: Option<f64>,
    lost_reported: bool,
}

struct Link {
    inlet: StreamInlet,
    uid: String,
    offset_asked: f64,
    hold_until: f64,
}

impl LslMarkers {
    /// Begins to look for the stream, and returns at once.
    ///
    /// # Errors
    /// [`SourceError::Library`] without liblsl; [`SourceError::Stream`] when the selection says nothing.
    pub fn open(config: &LslMarkersConfig, stats: Arc<SourceStats>) -> Result<Self, SourceError> {
        config.validate()?;
        let follower = Follower::start(config.selection(), Shape::default(), Arc::clone(&stats))?;
        Ok(Self {
            text: config.text,
            follower,
            stats,
            link: None,
            offset: Offset::default(),
            values: Vec::new(),
            heard: now(),
            lost: None,
            lost_reported: false,
        })
    }

    fn look_around(&mut self, now: f64) -> Result<(), SourceError> {
        let Some(sweep) = self.follower.news() else { return Ok(()) };
        let uid = self.link.as_ref().map(|link| link.uid.as_str());
        if let (Some(uid), None) = (uid, self.lost) {
            if Follower::answers(&sweep, uid, self.heard) {
                self.heard = sweep.began;
            }
            self.follower.look_after(&sweep, uid, self.heard);
            if self.follower.unseen_for(&sweep).is_some() {
                self.lose(now);
            }
            return Ok(());
        }
        let lost = self.lost.unwrap_or(f64::NEG_INFINITY);
        if let Some(inlet) = self.follower.look_for(&sweep, uid, lost)? {
            tracing::info!(stream = %inlet.stream.name, host = %inlet.stream.host, uid = %inlet.stream.uid, "connected");
            // Its machine may have been started anew; markers wait for the clock anyhow.
            self.offset.forget();
            self.follower.pin(Shape::of(&inlet.stream), &inlet.stream.source_id);
            self.values.clear();
            self.link = Some(Link {
                inlet: inlet.inner,
                uid: inlet.stream.uid,
                offset_asked: f64::NEG_INFINITY,
                hold_until: now + OFFSET_WAIT,
            });
            self.found(now);
        } else if uid.is_some_and(|uid| Follower::answers(&sweep, uid, lost)) {
            self.found(now);
        }
        Ok(())
    }

    fn found(&mut self, now: f64) {
        self.heard = now;
        if self.lost.take().is_some() {
            SourceStats::count(&self.stats.returned);
        }
        self.follower.mark_up(true);
        self.follower.set_missing(false);
    }

    fn lose(&mut self, now: f64) {
        if self.lost.is_none() {
            self.lost = Some(now);
            self.lost_reported = false;
            SourceStats::count(&self.stats.lost);
            self.follower.mark_up(false);
            self.follower.set_missing(true);
            tracing::warn!(stream = self.follower.selection.label(), "markers lost; looking for them");
        }
    }

    /// Sees to the clock offset; whether markers must wait for it.
    fn clock_unknown(&mut self, now: f64) -> bool {
        let Some(link) = &mut self.link else { return false };
        let known = self.offset.at(now).is_some();
        let pause = if known { OFFSET_EVERY } else { 0.0 };
        if now >= link.offset_asked + pause
            && let Ok((offset, remote, uncertainty)) = link.inlet.time_correction_ex(0.0)
        {
            link.offset_asked = now;
            self.stats.set_clock_offset(offset);
            if self.offset.measured(offset, remote, uncertainty) {
                SourceStats::count(&self.stats.clock_jumps);
                tracing::warn!(stream = self.follower.selection.label(), offset_s = offset, "the clock has stepped");
            }
        }
        self.offset.at(now).is_none() && now < link.hold_until
    }
}

impl EventSource for LslMarkers {
    fn pull(&mut self, into: &mut Vec<Event>, timeout: Duration) -> Result<Pull, SourceError> {
        let deadline = now() + timeout.as_secs_f64();
        loop {
            let now = now();
            if self.lost.is_some() && !std::mem::replace(&mut self.lost_reported, true) {
                return Ok(Pull::Lost { seconds: now - self.heard });
            }
            self.look_around(now)?;
            let waiting = self.clock_unknown(now);
            let offset = self.offset.at(now).unwrap_or(0.0);
            let left = (deadline - now).max(0.0);
            let mut wait = left.min(GLANCE);
            let mut got = false;
            match &self.link {
                Some(_) if waiting => std::thread::sleep(Duration::from_secs_f64(left.min(0.02))),
                None => self.follower.wait(left),
                Some(link) => loop {
                    match link.inlet.pull_sample_buf(&mut self.values, wait) {
                        Ok(0.0) => break,
                        Ok(stamp) => {
                            let onset = Instant::from_seconds(stamp + offset);
                            let marker = self.values.first().map_or("", String::as_str);
                            into.push(event(marker, onset, self.text));
                            self.stats.samples.fetch_add(1, Ordering::Relaxed);
                            self.heard = now;
                            (got, wait) = (true, 0.0);
                        }
                        Err(_) => {
                            self.link = None;
                            self.lose(now);
                            break;
                        }
                    }
                },
            }
            if got {
                return Ok(Pull::Data);
            }
            if self::now() >= deadline && (self.lost.is_none() || self.lost_reported) {
                return Ok(Pull::Idle);
            }
        }
    }
}

/// The fields of a marker that is a JSON object.
#[derive(Deserialize)]
#[serde(default)]
#[derive(Default)]
struct JsonMarker {
    trial_type: Option<String>,
    duration: f64,
    text: Option<String>,
    stim_file: Option<String>,
    regions: Option<String>,
    boxes: Option<String>,
    image_base64: Option<String>,
}

/// The largest image file that a marker may bring along, in bytes.
const LARGEST_IMAGE: usize = 16 << 20;

/// An image file's contents; empty, so that its encoder counts and flags it, where they cannot be read.
fn picture(base64: &str) -> Picture {
    let bounded = base64.len() <= LARGEST_IMAGE.div_ceil(3) * 4;
    let decoded = bounded.then(|| BASE64_STANDARD.decode(base64).ok()).flatten();
    if decoded.is_none() {
        tracing::warn!(characters = base64.len(), "a marker's image_base64 is no base64, or over 16 MiB");
    }
    Picture(decoded.unwrap_or_default().into())
}

fn event(marker: &str, onset: Instant, plain_is_text: bool) -> Event {
    if marker.trim_start().starts_with('{')
        && let Ok(json) = serde_json::from_str::<JsonMarker>(marker)
    {
        let duration = if json.duration.is_finite() { json.duration.max(0.0) } else { 0.0 };
        let picture = json.image_base64.as_deref().map(picture);
        let named = [
            ("trial_type", json.trial_type.clone()),
            ("stim_file", json.stim_file),
            ("regions", json.regions),
            ("boxes", json.boxes),
        ];
        let columns = named.into_iter().filter_map(|(name, cell)| Some((name.to_owned(), cell?))).collect();
        let label = json.trial_type.or_else(|| json.text.clone()).unwrap_or_default();
        return Event { onset, duration, label, text: json.text, picture, columns, ..Event::default() };
    }
    let text = plain_is_text.then(|| marker.to_owned());
    Event { onset, duration: 0.0, label: marker.to_owned(), text, ..Event::default() }
}

fn now() -> f64 {
    MonotonicClock.now().seconds()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_marker_is_a_json_object_or_a_label() {
        let at = Instant::from_seconds(3.0);
        let json = event(r#"{"text":"painful heat","duration":2.5,"trial_type":"heat","extra":[1]}"#, at, false);
        let expected = Event {
            onset: at,
            duration: 2.5,
            label: "heat".into(),
            text: Some("painful heat".into()),
            columns: [("trial_type".into(), "heat".into())].into(),
            ..Event::default()
        };
        assert_eq!(json, expected);
        assert_eq!(event(r#"{"text":"a"}"#, at, false).label, "a");
        assert_eq!(event(r#"{"stim_file":"a.png"}"#, at, false).columns["stim_file"], "a.png");
        let shown = |marker: &str| event(marker, at, false).picture.unwrap().0.to_vec();
        assert_eq!(shown(r#"{"image_base64":"iVBO"}"#), [0x89, b'P', b'N']);
        assert!(shown(r#"{"image_base64":"no!"}"#).is_empty(), "an encoder will say so");
        assert_eq!(event(r#"{"trial_type":"x","duration":-1}"#, at, false).duration, 0.0);
        assert_eq!((event("go", at, false).label.as_str(), event("go", at, false).text), ("go", None));
        assert_eq!(event("go", at, true).text.as_deref(), Some("go"));
        assert_eq!(event(r#"{"text": 5}"#, at, false).label, r#"{"text": 5}"#, "not ours: kept whole");
    }
}

//! What happened during a recording? BIDS events.tsv, and the annotations inside EDF+.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use super::sentence::{SentenceRule, Sentences};
use super::source::{Recorded, RunTimes, Timetable};
use super::tsv::Tsv;
use crate::acquisition::{EventSource, Pull, SourceError};
use crate::frame::{Event, Instant};

/// Events of a recording in order of onset, on the time base of its samples.
///
/// A pull gives the next event and all that begin at the same moment, so a scheduler that [`peek`](Recorded::peek)s
/// never hears of the future.
pub struct FileEvents {
    events: Vec<Event>,
    next: usize,
    files: Vec<PathBuf>,
}

impl FileEvents {
    /// Lays the events of each run (onsets from the run's first sample) on the runs' time base.
    ///
    /// An event is cut to its run: what lies before the first sample or after the last one cannot bear on any sample,
    /// and would otherwise reach into another run. Events wholly outside are dropped and logged.
    pub(super) fn new(timetable: &Arc<Timetable>, runs: Vec<Vec<Event>>, files: Vec<PathBuf>) -> Self {
        let mut events = Vec::new();
        for (index, (times, of_run)) in timetable.runs.iter().zip(runs).enumerate() {
            let count = of_run.len();
            let before = events.len();
            events.extend(of_run.into_iter().filter_map(|event| placed(event, index, times)));
            let dropped = count - (events.len() - before);
            if dropped > 0 {
                tracing::warn!(run = index, dropped, "events outside their run were dropped");
            }
        }
        // Stable: events of one moment keep the order of their file.
        events.sort_by(|a, b| a.onset.seconds().total_cmp(&b.onset.seconds()));
        Self { events, next: 0, files }
    }

    /// The events of run `run` come so many seconds later.
    pub(super) fn delay(&mut self, run: u32, seconds: f64) {
        self.events.iter_mut().filter(|event| event.run == run).for_each(|event| event.onset = event.onset + seconds);
    }

    /// What stands in that column of events.tsv, event by event, where there is something.
    pub fn cells<'a>(&'a self, column: &'a str) -> impl Iterator<Item = &'a str> {
        self.events.iter().filter_map(move |event| event.columns.get(column).map(String::as_str))
    }

    /// The files they come from.
    pub fn files(&self) -> &[PathBuf] {
        &self.files
    }
}

fn placed(mut event: Event, run: usize, times: &RunTimes) -> Option<Event> {
    let length = times.end() - times.start;
    let (from, to) = (event.onset.seconds(), event.onset.seconds() + event.duration);
    let ended = if event.duration > 0.0 { to <= 0.0 } else { to < 0.0 };
    if ended || from >= length {
        return None;
    }
    let begin = from.max(0.0);
    event.onset = times.start + begin;
    if begin > from || to > length {
        event.duration = (to.min(length) - begin).max(0.0);
    }
    event.run = run as u32;
    Some(event)
}

impl Recorded for FileEvents {
    fn peek(&self) -> Option<Instant> {
        self.events.get(self.next).map(|e| e.onset)
    }
}

impl EventSource for FileEvents {
    fn pull(&mut self, into: &mut Vec<Event>, _timeout: Duration) -> Result<Pull, SourceError> {
        let Some(at) = self.peek() else { return Ok(Pull::End) };
        while let Some(event) = self.events.get(self.next).filter(|e| e.onset == at) {
            into.push(event.clone());
            self.next += 1;
        }
        Ok(Pull::Data)
    }
}

/// Reads one events.tsv. Onsets come out from the run's first sample: `offset` seconds are taken away from each.
///
/// `label` is `trial_type` (else `value`); `text` is the sentence of `rules`, or without rules the column `text` (else
/// `stimulus`).
///
/// # Errors
/// Not tab-separated; no `onset` or `duration`; a cell that is not a number; a negative duration; a rule that does not
/// fit; and where no event at all lies within `length` seconds of run, for then its onsets count from something else.
pub(crate) fn read_events(
    path: &Path,
    offset: f64,
    rules: &[SentenceRule],
    length: f64,
) -> Result<Vec<Event>, SourceError> {
    let tsv = Tsv::read(path)?;
    let (onset_at, duration_at) = (tsv.required("onset")?, tsv.required("duration")?);
    let label_at = tsv.column("trial_type").or_else(|| tsv.column("value"));
    let text_at = tsv.column("text").or_else(|| tsv.column("stimulus"));
    let sentences = Sentences::compile(rules, &tsv)?;
    let mut events = Vec::new();
    for row in tsv.rows() {
        let onset = row.number(onset_at)?.ok_or_else(|| row.wrong("the onset is n/a (every event needs one)"))?;
        // BIDS: a duration may be n/a.
        let duration = row.number(duration_at)?.unwrap_or(0.0);
        if duration < 0.0 {
            return Err(row.wrong(format!("a negative duration, {duration}")));
        }
        let text =
            if rules.is_empty() { text_at.and_then(|c| row.get(c)).map(String::from) } else { sentences.of(row)? };
        let label = label_at.and_then(|c| row.get(c)).unwrap_or_default().to_string();
        let named = tsv.header.iter().enumerate().filter(|(c, _)| *c != onset_at && *c != duration_at);
        let columns = named.filter_map(|(c, name)| Some((name.clone(), row.get(c)?.to_string()))).collect();
        let onset = Instant::from_seconds(onset - offset);
        events.push(Event { onset, duration, label, text, columns, ..Event::default() });
    }
    let outside = |e: &Event| e.onset.seconds() >= length || e.onset.seconds() + e.duration < 0.0;
    if let (Some(first), Some(row), true) = (events.first(), tsv.rows().next(), events.iter().all(outside)) {
        return Err(row.wrong(format!(
            "onset {} s, and every other, lies outside its run of {length} s (if onsets count from the session's \
             start, give the run's start in `event_offset`)",
            first.onset.seconds() + offset
        )));
    }
    Ok(events)
}

//! When was a volume measured? By its arrival, by its header, or by the scanner's triggers; always on the session's clock.
//!
//! Volumes come late and unevenly, but are taken evenly. [`ClockRule`] says what tells when; each rule gives the start of
//! every volume's acquisition, from what has come so far and nothing later.
//!
//! **Invariants.** Times rise with the numbers of a series, whatever clocks do: a correction backward is taken over by at
//! most half a TR a volume. A volume without the time that its rule asks for is placed by its number, and counted.

mod header;
mod spacing;
mod triggers;

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::{Deserialize, Serialize};

use super::SourceStats;
use super::volumes::Fault;
use crate::frame::Instant;
use header::HeaderClock;
use spacing::{Spacing, Step};
use triggers::Train;

pub use triggers::Triggers;

/// Volumes whose headers are remembered until they go on.
const NOTES_CAP: usize = 64;
/// The least part of a TR by which a volume's time lies after its predecessor's.
const LEAST_STEP: f64 = 0.5;

/// What says when a volume began.
#[derive(Clone, Debug, Default, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum ClockRule {
    /// The first volume of a series ended when it came, less `delay`; every other lies a whole number of TRs from it.
    #[default]
    Arrival,
    /// The acquisition time in its header, brought onto the session's clock by the smallest delay of the latest volumes.
    Header,
    /// A trigger of the scanner, one a volume.
    Trigger(TriggerConfig),
}

/// Which events are the scanner's triggers.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerConfig {
    /// The event source that brings them: a name under `[events]`.
    pub events: String,
    /// The label of a trigger; by default every event of that source is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub label: Option<String>,
    /// How many triggers come before that of a series' first volume: scans that are not exported. 0 by default.
    #[serde(default)]
    pub skip: u32,
}

/// What a rule knows of one volume.
#[derive(Clone, Copy)]
struct Volume {
    number: u32,
    /// When it began, as far as its arrival tells: it is over when it comes.
    due: Instant,
    acquired: Option<f64>,
}

/// When a volume began.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) struct Began {
    /// On the session's clock.
    pub(crate) at: Instant,
    /// Whether the scanner had paused just before it.
    pub(crate) paused: bool,
}

enum Rule {
    Arrival,
    Header(HeaderClock),
    Trigger(Train),
}

/// The times of the volumes of one source.
pub(crate) struct VolumeTimes {
    rule: Rule,
    tr: f64,
    delay: f64,
    stats: Arc<SourceStats>,
    /// When volumes that have not gone on say that they were acquired: of slices the earliest.
    acquired: BTreeMap<u32, f64>,
    /// The newest volume of the series, and when it began.
    last: Option<(u32, Instant)>,
    /// When the newest volume of all began.
    newest: Option<Instant>,
    spacing: Spacing,
}

impl VolumeTimes {
    /// Times by this rule, of volumes every `tr` seconds that come `delay` seconds after they were acquired.
    pub(crate) fn new(rule: &ClockRule, tr: f64, delay: f64, stats: Arc<SourceStats>) -> Self {
        let rule = match rule {
            ClockRule::Arrival => Rule::Arrival,
            ClockRule::Header => Rule::Header(HeaderClock::default()),
            ClockRule::Trigger(config) => Rule::Trigger(Train::new(config, tr, delay)),
        };
        let spacing = Spacing::new(tr);
        Self { rule, tr, delay, stats, acquired: BTreeMap::new(), last: None, newest: None, spacing }
    }

    /// Where triggers come from; without effect under another rule.
    pub(crate) fn listen_to(&mut self, triggers: Arc<Triggers>) {
        if let Rule::Trigger(train) = &mut self.rule {
            train.listen_to(triggers);
        }
    }

    /// Another series begins.
    pub(crate) fn begin_series(&mut self) {
        self.last = None;
        self.acquired.clear();
        self.spacing.begin();
        if let Rule::Trigger(train) = &mut self.rule {
            train.begin_series(self.newest);
        }
    }

    /// What an image of volume `number` says of when it was acquired, in seconds on the scanner's clock.
    pub(crate) fn note(&mut self, number: u32, acquired: Option<f64>) {
        if let (Rule::Header(_), Some(acquired)) = (&self.rule, acquired) {
            let earliest = self.acquired.entry(number).or_insert(acquired);
            *earliest = earliest.min(acquired);
            if self.acquired.len() > NOTES_CAP {
                self.acquired.pop_last();
            }
        }
    }

    /// When volume `number` began, which came at `came`. Asked once a volume, in the order of their numbers.
    pub(crate) fn began(&mut self, number: u32, came: Instant) -> Began {
        self.acquired = self.acquired.split_off(&number);
        let volume = Volume { number, due: came - self.delay - self.tr, acquired: self.acquired.remove(&number) };
        let told = match &mut self.rule {
            Rule::Arrival => None,
            Rule::Header(clock) => clock.place(volume, &self.stats),
            Rule::Trigger(train) => train.place(volume, &self.stats),
        };
        if told.is_none() && !matches!(self.rule, Rule::Arrival) {
            self.stats.faults.add(Fault::Untimed, 1);
        }
        let step = told.map_or(Step::Even, |told| self.spacing.step(number, told.raw));
        match step {
            Step::Even => {}
            Step::Pause => self.stats.faults.add(Fault::Paused, 1),
            Step::OtherTr => self.stats.faults.add(Fault::OtherTr, 1),
        }
        let at = told.map_or_else(|| self.by_number(volume), |told| told.at);
        // No series begins before the one before it is over, and no volume before its predecessor.
        let least = if self.last.is_some() { LEAST_STEP * self.tr } else { self.tr };
        let at = match self.newest {
            Some(newest) if at - newest < least => newest + least,
            _ => at,
        };
        (self.last, self.newest) = (Some((number, at)), Some(at));
        Began { at, paused: step == Step::Pause }
    }

    /// Its acquisition had ended when it came, if it is the first; else it lies a whole number of TRs after the last.
    fn by_number(&self, volume: Volume) -> Instant {
        match self.last {
            Some((last, at)) => at + f64::from(volume.number.saturating_sub(last)) * self.tr,
            None => volume.due,
        }
    }
}

/// What a rule tells of a volume.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Told {
    /// When it began, on the session's clock.
    at: Instant,
    /// The same on the rule's own clock, which no correction moves.
    raw: f64,
}

/// The smallest of the latest values: how long the fastest volumes took.
#[derive(Clone, Debug, Default)]
struct Lowest(std::collections::VecDeque<f64>);

impl Lowest {
    /// Takes in the next value; the smallest of the latest `among`.
    fn of(&mut self, value: f64, among: usize) -> f64 {
        self.0.push_back(value);
        if self.0.len() > among {
            self.0.pop_front();
        }
        self.0.iter().copied().fold(value, f64::min)
    }
}

#[cfg(test)]
mod tests;

//! Which trigger is a volume's? The n-th of its series, where triggers may be missing or doubled, and volumes come late.
//!
//! Triggers are numbered as they come, by the TR: one that is late by whole TRs tells that others are missing, one that
//! comes too soon is a double. A series is tied to them once, its first volume to the first trigger of the latest train; a
//! volume that would have come before it was over unties it, as does a delay that stays longer by a TR.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

use super::{Lowest, Told, TriggerConfig, Volume};
use crate::acquisition::SourceStats;
use crate::acquisition::volumes::Fault;
use crate::frame::{Event, Instant};

/// Triggers that may wait to be looked at.
const WAITING_CAP: usize = 4096;
/// Triggers that are remembered.
const HEARD_CAP: usize = 512;
/// Two triggers that are closer than this part of a TR are one.
const DOUBLE: f64 = 0.5;
/// How far, in TRs, a trigger may be from where it is due; and how much sooner than it is over a volume may come.
const SLACK: f64 = 0.1;
/// After so many TRs without a trigger another train begins.
const TRAIN: f64 = 4.0;
/// So many volumes in a row, all later by this part of a TR than the fastest, are tied to the wrong trigger.
const LATE: (usize, f64) = (8, 0.75);

/// Triggers on their way from an event source to a source of volumes.
#[derive(Debug, Default)]
pub struct Triggers {
    label: Option<String>,
    waiting: Mutex<VecDeque<Instant>>,
}

impl Triggers {
    /// Those that `config` means.
    pub fn new(config: &TriggerConfig) -> Self {
        Self { label: config.label.clone(), waiting: Mutex::default() }
    }

    /// Takes in an event, if it is a trigger.
    pub fn note(&self, event: &Event) {
        if self.label.as_ref().is_some_and(|label| *label != event.label) {
            return;
        }
        let mut waiting = self.waiting.lock().unwrap_or_else(PoisonError::into_inner);
        if waiting.len() == WAITING_CAP {
            waiting.pop_front();
        }
        waiting.push_back(event.onset);
    }

    fn take(&self) -> Option<Instant> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner).pop_front()
    }
}

/// One trigger that was heard.
#[derive(Clone, Copy)]
struct Heard {
    /// Its number: as many more than another's as TRs lie between them.
    index: i64,
    at: f64,
    /// Which train it belongs to.
    train: u32,
}

/// Triggers, and how the present series is tied to them.
pub(super) struct Train {
    tr: f64,
    /// What was taken from arrivals: triggers need no guess of it.
    delay: f64,
    skip: i64,
    triggers: Arc<Triggers>,
    heard: VecDeque<Heard>,
    /// A trigger's number less its volume's.
    tie: Option<i64>,
    /// Triggers of the series begin after this.
    after: f64,
    fastest: f64,
    late: Lowest,
}

impl Train {
    pub(super) fn new(config: &TriggerConfig, tr: f64, delay: f64) -> Self {
        Self {
            tr,
            delay: delay.max(0.0),
            skip: i64::from(config.skip),
            triggers: Arc::default(),
            heard: VecDeque::new(),
            tie: None,
            after: f64::NEG_INFINITY,
            fastest: f64::INFINITY,
            late: Lowest::default(),
        }
    }

    pub(super) fn listen_to(&mut self, triggers: Arc<Triggers>) {
        self.triggers = triggers;
    }

    /// A series begins; what belongs to the one before ended with the volume that began at `newest`.
    pub(super) fn begin_series(&mut self, newest: Option<Instant>) {
        self.untie();
        self.after = newest.map_or(f64::NEG_INFINITY, |newest| newest.seconds() + DOUBLE * self.tr);
    }

    fn untie(&mut self) {
        (self.tie, self.fastest, self.late) = (None, f64::INFINITY, Lowest::default());
    }

    /// When a volume began; `None` while there is no trigger that could be its own.
    pub(super) fn place(&mut self, volume: Volume, stats: &SourceStats) -> Option<Told> {
        self.hear(stats);
        let number = i64::from(volume.number);
        let due = volume.due.seconds() + self.delay;
        let over = |at: f64| at <= due + SLACK * self.tr;
        if let Some(tie) = self.tie
            && !self.at(number + tie).is_some_and(|(at, _)| over(at))
        {
            SourceStats::count(&stats.clock_jumps);
            self.untie();
            self.tie = self.newest_over(due).map(|heard| heard.index - number);
        } else if self.tie.is_none() {
            self.tie = self.first_of_train(volume.number, due).or_else(|| {
                // Joined midway: all that is known is which trigger is the newest that this volume can have had.
                self.newest_over(due).map(|heard| heard.index - number)
            });
        }
        let (mut at, mut heard) = self.at(number + self.tie?)?;
        if let Some(shift) = self.lag(due - at) {
            SourceStats::count(&stats.clock_jumps);
            self.tie = self.tie.map(|tie| tie + shift);
            (at, heard) = self.at(number + self.tie?)?;
        }
        if !heard {
            stats.faults.add(Fault::MissingTrigger, 1);
        }
        Some(Told { at: Instant::from_seconds(at), raw: at })
    }

    /// Numbers the triggers that have come.
    fn hear(&mut self, stats: &SourceStats) {
        while let Some(at) = self.triggers.take().map(Instant::seconds) {
            let next = match self.heard.back().copied() {
                None => Heard { index: 0, at, train: 0 },
                // Stamped by a clock that was not ours yet, or that was set back: what was heard before is void.
                Some(last) if at < last.at - TRAIN * self.tr => {
                    SourceStats::count(&stats.clock_jumps);
                    self.heard.clear();
                    self.untie();
                    Heard { index: last.index + 1, at, train: last.train.wrapping_add(1) }
                }
                Some(last) => {
                    let trs = (at - last.at) / self.tr;
                    if trs < DOUBLE {
                        stats.faults.add(Fault::DoubleTrigger, 1);
                        continue;
                    }
                    // What is no whole number of TRs is a pause of the scanner, in which no volume is due.
                    let whole = trs <= TRAIN + SLACK && (trs - trs.round()).abs() <= SLACK;
                    let steps = if whole { trs.round() as i64 } else { 1 };
                    let train = last.train.wrapping_add(u32::from(trs > TRAIN + SLACK));
                    Heard { index: last.index + steps.max(1), at, train }
                }
            };
            self.heard.push_back(next);
            if self.heard.len() > HEARD_CAP {
                self.heard.pop_front();
            }
        }
    }

    /// When trigger `index` came, and whether it was heard; else where it lies between its neighbours, or a whole number
    /// of TRs after the last.
    fn at(&self, index: i64) -> Option<(f64, bool)> {
        let next = self.heard.partition_point(|heard| heard.index < index);
        let before = next.checked_sub(1).and_then(|before| self.heard.get(before));
        let far = |from: i64| (index - from) as f64;
        match (before, self.heard.get(next)) {
            (_, Some(heard)) if heard.index == index => Some((heard.at, true)),
            (Some(a), Some(b)) => Some((a.at + (b.at - a.at) * far(a.index) / (b.index - a.index) as f64, false)),
            (Some(a), None) => Some((a.at + far(a.index) * self.tr, false)),
            (None, Some(b)) => Some((b.at + far(b.index) * self.tr, false)),
            (None, None) => None,
        }
    }

    /// The newest trigger of this series whose volume is over.
    fn newest_over(&self, due: f64) -> Option<Heard> {
        let newest = self.heard.iter().rev().find(|heard| heard.at <= due + SLACK * self.tr);
        newest.copied().filter(|heard| heard.at > self.after)
    }

    /// The tie that gives the first trigger of the latest train, after those to skip, to the first volume of the series;
    /// `None` where volume `number` would not be over.
    fn first_of_train(&self, number: u32, due: f64) -> Option<i64> {
        let train = self.newest_over(due)?.train;
        let first = self.heard.iter().find(|heard| heard.train == train && heard.at > self.after)?;
        // Volumes are numbered from 1, or from 0 where one has that number.
        let tie = first.index + self.skip - i64::from(number.min(1));
        let (at, _) = self.at(tie + i64::from(number))?;
        (at <= due + SLACK * self.tr).then_some(tie)
    }

    /// By how many triggers the series is tied too early, once that shows in every one of the latest volumes.
    fn lag(&mut self, delay: f64) -> Option<i64> {
        self.fastest = self.fastest.min(delay);
        let lowest = self.late.of(delay - self.fastest, LATE.0);
        let lasting = self.late.0.len() == LATE.0 && lowest > LATE.1 * self.tr;
        lasting.then(|| {
            self.late = Lowest::default();
            (lowest / self.tr).round() as i64
        })
    }
}

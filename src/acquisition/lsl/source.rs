//! How does a stream of samples become blocks? Pulled, checked, corrected, on the thread that owns the inlet.

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use lsl::Pullable;

use super::follow::{Follower, Inlet, Shape};
use super::offset::Offset;
use super::timeline::{Timeline, Verdict};
use super::{LslConfig, StampClock, metadata};
use crate::acquisition::{Pull, Source, SourceError, SourceStats};
use crate::frame::{Block, BlockSpec, Channel, Clock, Instant, MonotonicClock, Quality};

/// The least silence that counts as a loss, and the periods that do.
const SILENCE: (f64, f64) = (0.25, 3.0);
/// How often the clock offset is asked for. liblsl measures it every two seconds, in the background.
const OFFSET_EVERY: f64 = 1.0;
/// How long the first measurement of the offset is waited for.
const OFFSET_WAIT: f64 = 2.0;
/// A first sample that seems to be this old or this early was stamped on another clock than the one known so far: the
/// sender's machine was started anew, say.
const OFFSET_DOUBT: f64 = 10.0;
/// While something is missing, no wait is longer than this, so that news are seen.
const GLANCE: f64 = 0.02;

/// Reads one LSL stream of numbers. Built on the thread that pulls it: it cannot move to another.
///
/// Values of every numeric format become `f64`, exactly (int64 up to 2⁵³); voltages in other units become microvolts.
/// A block's `measured_at` is the corrected stamp of its newest sample and never runs backward within a stream.
pub struct LslSource {
    spec: BlockSpec,
    scale: Vec<f64>,
    follower: Follower,
    stats: Arc<SourceStats>,
    silence: Option<f64>,
    clock: StampClock,
    link: Option<Link>,
    timeline: Timeline,
    offset: Offset,
    host: String,
    /// One sample on its way from liblsl.
    sample: Vec<f64>,
    /// The stamp of a sample that waits in `sample` for the next block, which it begins, flagged.
    held: Option<f64>,
    /// Flags for the next block.
    pending: Quality,
    last_data: f64,
    /// Since when the stream is lost.
    lost: Option<f64>,
    lost_reported: bool,
    measured_at: f64,
    seq: u64,
}

/// An inlet and its uid.
struct Link {
    inlet: lsl::StreamInlet,
    uid: String,
    offset_asked: f64,
    /// Until when samples wait for a clock offset.
    hold_until: f64,
    /// Whether the first sample, which tells if the offset known so far still holds, is to come.
    unproven: bool,
}

impl LslSource {
    /// Looks for the stream for `config.wait` seconds, connects, reads its description and measures its clock.
    ///
    /// # Errors
    /// [`SourceError::Library`] without liblsl; [`SourceError::Stream`] when nothing matches, several streams do, or
    /// the one that does has another shape than configured.
    pub fn open(config: &LslConfig, stats: Arc<SourceStats>) -> Result<Self, SourceError> {
        config.validate()?;
        let asked = Shape { channels: config.channels, rate: config.rate, format: None };
        let mut follower = Follower::start(config.selection(), asked, Arc::clone(&stats))?;
        let mut inlet = find(&mut follower, config)?;
        let columns = metadata::columns(&mut inlet.info);
        follower.pin(Shape::of(&inlet.stream), &inlet.stream.source_id);
        follower.set_missing(false);
        let spec = BlockSpec::new(columns.channels, inlet.stream.rate, config.block);
        let limit = config.silence.unwrap_or_else(|| SILENCE.0.max(SILENCE.1 * spec.period()));
        let now = now();
        let mut source = Self {
            sample: vec![0.0; spec.channels.len()],
            timeline: Timeline::new(spec.period()),
            silence: (spec.rate > 0.0).then_some(limit),
            spec,
            scale: columns.scale,
            follower,
            stats,
            clock: config.clock,
            link: None,
            offset: Offset::default(),
            host: inlet.stream.host.clone(),
            held: None,
            pending: Quality::GOOD,
            last_data: now,
            lost: None,
            lost_reported: false,
            measured_at: f64::NEG_INFINITY,
            seq: 0,
        };
        source.take(inlet, now);
        source.ask_offset(OFFSET_WAIT);
        source.last_data = self::now();
        Ok(source)
    }

    /// Makes `inlet` the one that is read.
    fn take(&mut self, inlet: Inlet, now: f64) {
        tracing::info!(
            stream = %inlet.stream.name, host = %inlet.stream.host, uid = %inlet.stream.uid,
            source_id = %inlet.stream.source_id, channels = inlet.stream.channels, rate = inlet.stream.rate, "connected"
        );
        if self.host != inlet.stream.host {
            self.offset.forget();
            self.host.clone_from(&inlet.stream.host);
        }
        // Measured on the link before this one, if there was one.
        let carried = self.offset.at(now).is_some();
        self.link = Some(Link {
            inlet: inlet.inner,
            uid: inlet.stream.uid,
            offset_asked: f64::NEG_INFINITY,
            hold_until: now + OFFSET_WAIT,
            unproven: carried,
        });
        self.held = None;
        self.timeline.restart();
        self.measured_at = f64::NEG_INFINITY;
        self.last_data = now;
    }

    /// Sees to sweeps that have ended: look-alikes, returns, refusals.
    fn look_around(&mut self, now: f64) -> Result<(), SourceError> {
        let Some(sweep) = self.follower.news() else { return Ok(()) };
        let uid = self.link.as_ref().map(|link| link.uid.as_str());
        if let (Some(uid), None) = (uid, self.lost) {
            self.follower.look_after(&sweep, uid, self.last_data);
            if self.silence.is_none() && self.follower.unseen_for(&sweep).is_some() {
                self.lose(now);
            }
            return Ok(());
        }
        let lost = self.lost.unwrap_or(f64::NEG_INFINITY);
        let found = self.follower.look_for(&sweep, uid, lost)?;
        let Some(mut inlet) = found else {
            // Without a rate, to answer is to be there.
            if let Some(uid) = uid.filter(|uid| self.silence.is_none() && Follower::answers(&sweep, uid, lost)) {
                self.follower.look_after(&sweep, uid, self.last_data);
                self.found_again();
            }
            return Ok(());
        };
        let columns = metadata::columns(&mut inlet.info);
        if let Some((was, is)) = first_difference(&self.spec.channels, &columns.channels) {
            let problem = format!(
                "channel {} was {} in {}, is {} in {} (restart neurod to take it as it is)",
                was.0,
                was.1.name,
                was.1.unit.as_str(),
                is.name,
                is.unit.as_str()
            );
            return Err(self.follower.refuse(&inlet.stream.uid, problem));
        }
        self.take(inlet, now);
        if self.silence.is_none() {
            self.found_again();
        }
        Ok(())
    }

    /// The stream is lost from now on, if it was not yet.
    fn lose(&mut self, now: f64) {
        if self.lost.is_none() {
            self.lost = Some(now);
            self.lost_reported = false;
            SourceStats::count(&self.stats.lost);
            self.follower.mark_up(false);
            self.follower.set_missing(true);
            tracing::warn!(
                stream = self.follower.selection.label(),
                silent_s = now - self.last_data,
                "lost: silent or gone; looking for it"
            );
        }
    }

    /// Reports a loss, once.
    fn report_loss(&mut self, now: f64) -> Option<Pull> {
        (self.lost.is_some() && !std::mem::replace(&mut self.lost_reported, true))
            .then_some(Pull::Lost { seconds: now - self.last_data })
    }

    /// Asks for the clock offset and takes it in, waiting at most `timeout` seconds for a first one.
    fn ask_offset(&mut self, timeout: f64) {
        let Some(link) = &mut self.link else { return };
        let now = now();
        if self.clock == StampClock::Device || (now < link.offset_asked + OFFSET_EVERY && timeout == 0.0) {
            return;
        }
        // Failing, it has not been measured yet, or the stream is gone, which the pull will say.
        let Ok((offset, remote, uncertainty)) = link.inlet.time_correction_ex(timeout) else {
            link.offset_asked = if timeout == 0.0 { now - OFFSET_EVERY + GLANCE } else { f64::NEG_INFINITY };
            return;
        };
        link.offset_asked = now;
        self.stats.set_clock_offset(offset);
        if self.offset.measured(offset, remote, uncertainty) {
            self.pending |= Quality::CLOCK_JUMP;
            self.measured_at = f64::NEG_INFINITY;
            SourceStats::count(&self.stats.clock_jumps);
            tracing::warn!(
                stream = self.follower.selection.label(),
                offset_s = offset,
                "the sender's clock has stepped"
            );
        }
    }

    /// Whether samples must wait until the sender's clock is known.
    fn clock_unknown(&mut self, now: f64) -> bool {
        let hold = self.link.as_ref().is_some_and(|link| now < link.hold_until);
        hold && self.clock == StampClock::Corrected && self.offset.at(now).is_none()
    }

    /// Whether the first sample of a new link contradicts the offset of the one before: then that is forgotten, and the
    /// sample has to wait for a new one.
    fn contradicts(&mut self, stamp: f64, now: f64) -> bool {
        let unproven = self.link.as_mut().is_some_and(|link| std::mem::take(&mut link.unproven));
        if !unproven || self.clock == StampClock::Device {
            return false;
        }
        let doubtful = self.offset.at(now).is_some_and(|offset| (stamp + offset - now).abs() > OFFSET_DOUBT);
        if let (true, Some(link)) = (doubtful, &mut self.link) {
            self.offset.forget();
            (link.offset_asked, link.hold_until) = (f64::NEG_INFINITY, now + OFFSET_WAIT);
            self.pending |= Quality::CLOCK_JUMP;
            SourceStats::count(&self.stats.clock_jumps);
            let stream = self.follower.selection.label();
            tracing::warn!(stream, "came back with another clock; its samples wait until that is measured");
        }
        doubtful
    }

    /// Begins `into` with the sample in `self.sample`, then adds all that are there. False when none was fit.
    fn fill(&mut self, mut stamp: f64, into: &mut Block) -> bool {
        let now = now();
        let offset = self.offset.at(now).filter(|_| self.clock == StampClock::Corrected).unwrap_or(0.0);
        self.last_data = now;
        loop {
            let judged = self.held.take().is_some();
            let verdict = if judged { Verdict::Good } else { self.timeline.judge(stamp, now - offset) };
            let flags = match verdict {
                Verdict::Good => Quality::GOOD,
                Verdict::Gap => Quality::GAP,
                Verdict::Jump => Quality::GAP | Quality::CLOCK_JUMP,
                Verdict::Misordered => {
                    SourceStats::count(&self.stats.misordered);
                    match self.next_sample() {
                        Some(next) => {
                            stamp = next;
                            continue;
                        }
                        None => break,
                    }
                }
            };
            if flags.contains(Quality::CLOCK_JUMP) {
                SourceStats::count(&self.stats.clock_jumps);
                self.measured_at = f64::NEG_INFINITY;
            }
            self.pending |= flags;
            if flags != Quality::GOOD && !into.is_empty() {
                // A gap belongs before a block's first sample, so that the chain resets before it.
                self.held = Some(stamp);
                break;
            }
            if into.is_empty() {
                into.quality = std::mem::take(&mut self.pending);
            }
            for (value, factor) in self.sample.iter_mut().zip(&self.scale) {
                *value *= factor;
            }
            into.push(&self.sample);
            self.measured_at = self.measured_at.max(stamp + offset);
            into.measured_at = Instant::from_seconds(self.measured_at);
            if into.len() >= into.capacity() {
                break;
            }
            match self.next_sample() {
                Some(next) => stamp = next,
                None => break,
            }
        }
        !into.is_empty()
    }

    /// The stamp of the next sample that is there already, now in `self.sample`.
    fn next_sample(&mut self) -> Option<f64> {
        let link = self.link.as_ref()?;
        // An error here is a loss, which the next waiting pull reports.
        link.inlet.pull_sample_buf(&mut self.sample, 0.0).ok().filter(|stamp| *stamp != 0.0)
    }

    /// The last touches on a block with samples.
    fn finish(&mut self, into: &mut Block) -> Pull {
        into.arrived_at = MonotonicClock.now();
        into.seq = self.seq;
        self.seq += 1;
        if into.quality.contains(Quality::GAP) {
            SourceStats::count(&self.stats.gaps);
        }
        self.stats.samples.fetch_add(into.len() as u64, Ordering::Relaxed);
        self.stats.up.store(true, Ordering::Relaxed);
        Pull::Data
    }

    /// Samples come again after a loss: the first of them follows a gap.
    fn found_again(&mut self) {
        if self.lost.take().is_some() {
            self.pending |= Quality::GAP;
            SourceStats::count(&self.stats.returned);
            self.follower.mark_up(true);
            self.follower.set_missing(false);
            tracing::info!(stream = self.follower.selection.label(), "back");
        }
    }
}

impl Source for LslSource {
    fn spec(&self) -> &BlockSpec {
        &self.spec
    }

    fn pull(&mut self, into: &mut Block, timeout: Duration) -> Result<Pull, SourceError> {
        into.clear();
        let deadline = now() + timeout.as_secs_f64();
        loop {
            let now = now();
            if let Some(lost) = self.report_loss(now) {
                return Ok(lost);
            }
            self.look_around(now)?;
            self.ask_offset(0.0);
            let waiting = self.clock_unknown(now);
            if let Some(stamp) = self.held.filter(|_| !waiting)
                && self.fill(stamp, into)
            {
                return Ok(self.finish(into));
            }
            let left = (deadline - now).max(0.0);
            let (pulled, silence) = match &self.link {
                Some(_) if waiting => {
                    self.last_data = now;
                    std::thread::sleep(Duration::from_secs_f64(left.min(GLANCE)));
                    (Ok(0.0), None)
                }
                Some(link) => {
                    let silence = self.silence.filter(|_| self.lost.is_none());
                    let patience = match silence {
                        Some(limit) => self.last_data + limit - now,
                        None if self.lost.is_some() => GLANCE,
                        None => f64::INFINITY,
                    };
                    // Irregular streams have sweeps to see to.
                    let wait = left.min(patience.max(0.0)).min(1.0);
                    (link.inlet.pull_sample_buf(&mut self.sample, wait), silence)
                }
                None => {
                    self.follower.wait(left);
                    (Ok(0.0), None)
                }
            };
            let now = self::now();
            match pulled {
                Ok(0.0) if silence.is_some_and(|limit| now - self.last_data >= limit) => self.lose(now),
                Ok(0.0) if now >= deadline => return Ok(Pull::Idle),
                Ok(0.0) => {}
                Ok(stamp) => {
                    self.found_again();
                    if self.contradicts(stamp, now) {
                        self.held = Some(stamp);
                    } else if self.fill(stamp, into) {
                        return Ok(self.finish(into));
                    }
                }
                Err(_) => {
                    self.link = None;
                    self.lose(now);
                }
            }
        }
    }
}

/// Looks for the configured stream until `config.wait` has passed.
fn find(follower: &mut Follower, config: &LslConfig) -> Result<Inlet, SourceError> {
    let deadline = now() + config.wait;
    loop {
        if let Some(sweep) = follower.news()
            && let Some(inlet) = follower.look_for(&sweep, None, f64::NEG_INFINITY)?
        {
            if inlet.stream.format == "string" {
                let problem = "sends strings, not numbers (read it as an event source: events.NAME.input.lsl)";
                return Err(follower.selection.error(problem));
            }
            if inlet.stream.channels == 0 {
                return Err(follower.selection.error("has no channels (configure the sender)"));
            }
            return Ok(inlet);
        }
        let left = deadline - now();
        if left <= 0.0 {
            return Err(follower.selection.error(format!(
                "no such stream within {} s ({}); start its sender, or see `neurod streams` for what there is",
                config.wait,
                follower.selection.predicate()?
            )));
        }
        follower.wait(left);
    }
}

/// The first channel whose name or unit has changed: its number and old self, and its new self.
fn first_difference<'a>(was: &'a [Channel], is: &'a [Channel]) -> Option<((usize, &'a Channel), &'a Channel)> {
    let pairs = was.iter().enumerate().zip(is);
    pairs.map(|((i, was), is)| ((i + 1, was), is)).find(|(was, is)| was.1.name != is.name || was.1.unit != is.unit)
}

fn now() -> f64 {
    MonotonicClock.now().seconds()
}

//! What does a source say when its stream is doubled, imitated, changed, frozen or killed?
#![allow(
    clippy::print_stdout,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    reason = "a test fails by panicking and prints what it measured"
)]

mod common;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use common::lsl;
use neurod::acquisition::lsl::{LslConfig, LslSource};
use neurod::acquisition::{Pull, Source, SourceError, SourceStats};
use neurod::frame::{Block, Clock, MonotonicClock, Quality};
use serde_json::{Value, json};

const RATE: f64 = 250.0;

struct Rig {
    source: LslSource,
    block: Block,
    stats: Arc<SourceStats>,
}

impl Rig {
    fn open(config: &LslConfig) -> Result<Self, SourceError> {
        let stats = Arc::new(SourceStats::default());
        let source = LslSource::open(config, Arc::clone(&stats))?;
        let block = Block::new(source.spec());
        Ok(Self { source, block, stats })
    }

    /// Pulls until `wanted` says so; panics after 20 s.
    fn until(&mut self, what: &str, mut wanted: impl FnMut(&Result<Pull, SourceError>, &Block) -> bool) -> f64 {
        let give_up = MonotonicClock.now() + 20.0;
        loop {
            let pulled = self.source.pull(&mut self.block, Duration::from_millis(50));
            if wanted(&pulled, &self.block) {
                return MonotonicClock.now().seconds();
            }
            assert!(MonotonicClock.now() < give_up, "waiting for {what}; the last was {pulled:?}, {:?}", self.stats);
        }
    }

    fn until_data(&mut self) -> f64 {
        self.until("data", |pulled, _| matches!(pulled, Ok(Pull::Data)))
    }

    fn until_lost(&mut self) -> f64 {
        self.until("the loss", |pulled, _| matches!(pulled, Ok(Pull::Lost { .. })))
    }

    fn until_refused(&mut self) -> String {
        let mut message = String::new();
        self.until("a refusal", |pulled, _| {
            if let Err(error) = pulled {
                message = error.to_string();
            }
            pulled.is_err()
        });
        message
    }
}

fn by_name(name: &str) -> LslConfig {
    LslConfig { name: Some(name.to_owned()), ..LslConfig::default() }
}

fn stream(name: &str, source_id: &str, channels: u32) -> Value {
    json!({"name": name, "source_id": source_id, "channels": channels, "rate": RATE, "stream": true})
}

fn load(counter: &AtomicU64) -> u64 {
    counter.load(Ordering::Relaxed)
}

#[test]
fn two_matches_are_refused_unless_the_source_id_picks_one() {
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("two");
    let _a = lsl::outlet(&stream(&name, "amp-a", 2));
    let _b = lsl::outlet(&stream(&name, "amp-b", 3));
    let error = Rig::open(&by_name(&name)).err().expect("refused").to_string();
    assert!(error.starts_with(&format!("stream \"{name}\": 2 streams match: ")), "{error}");
    assert!(
        error.contains("\"amp-a\"") && error.contains("\"amp-b\"") && error.contains("set input.lsl.source_id"),
        "{error}"
    );

    let picked = LslConfig { source_id: Some("amp-b".into()), ..by_name(&name) };
    let mut rig = Rig::open(&picked).unwrap();
    assert_eq!(rig.source.spec().channels.len(), 3);
    rig.until_data();
}

#[test]
fn another_shape_than_configured_or_another_host_is_refused_at_once() {
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("shape");
    let _outlet = lsl::outlet(&stream(&name, "amp", 2));
    let refusal = |config: LslConfig| Rig::open(&config).err().expect("refused").to_string();
    let wide = refusal(LslConfig { channels: Some(64), ..by_name(&name) });
    assert!(wide.contains("expected 64 channels, got 2 (set input.lsl.channels"), "{wide}");
    let fast = refusal(LslConfig { rate: Some(500.0), ..by_name(&name) });
    assert!(fast.contains("expected 500 Hz, got 250 Hz (set input.lsl.rate"), "{fast}");
    let elsewhere = refusal(LslConfig { hosts: vec!["scanner-room".into()], ..by_name(&name) });
    assert!(elsewhere.contains("not among input.lsl.hosts (scanner-room)"), "{elsewhere}");
    let absent = refusal(LslConfig { wait: 0.5, ..by_name("neurod-test-nobody") });
    assert!(absent.contains("no such stream within 0.5 s") && absent.contains("neurod streams"), "{absent}");
}

#[test]
fn a_look_alike_beside_a_living_stream_is_counted_and_never_followed() {
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("alike");
    let real = lsl::outlet(&stream(&name, "amp", 2));
    let mut rig = Rig::open(&by_name(&name)).unwrap();
    rig.until_data();
    // The same name and source id; it would fit.
    let _imitation = lsl::outlet(&stream(&name, "amp", 2));
    let stats = Arc::clone(&rig.stats);
    rig.until("the look-alike to be noticed", |_, _| load(&stats.refused) == 1);
    assert_eq!((load(&rig.stats.lost), load(&rig.stats.gaps)), (0, 0), "the real one is unharmed");

    real.kill();
    rig.until_lost();
    let refusal = rig.until_refused();
    assert!(refusal.contains("only a look-alike") && refusal.contains("restart that stream"), "{refusal}");
    assert_eq!(rig.source.pull(&mut rig.block, Duration::from_millis(500)).unwrap(), Pull::Idle);
    assert!(!rig.stats.up.load(Ordering::Relaxed));
}

#[test]
fn a_stream_that_returns_with_other_channels_is_refused_until_it_fits_again() {
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("changed");
    let first = lsl::outlet(&stream(&name, "amp", 4));
    let mut rig = Rig::open(&by_name(&name)).unwrap();
    rig.until_data();
    first.kill();
    rig.until_lost();
    let wrong = lsl::outlet(&stream(&name, "amp", 6));
    let refusal = rig.until_refused();
    let expected = format!("stream \"{name}\": expected 4 channels, got 6 (set input.lsl.channels");
    assert!(refusal.starts_with(&expected), "{refusal}");
    assert_eq!(rig.source.pull(&mut rig.block, Duration::from_millis(300)).unwrap(), Pull::Idle, "said once");
    wrong.kill();
    let slow = lsl::outlet(&json!({"name": name, "source_id": "amp", "channels": 4, "rate": 100, "stream": true}));
    assert!(rig.until_refused().contains("expected 250 Hz, got 100 Hz"));
    slow.kill();
    let other = lsl::outlet(&stream(&name, "another-amp", 4));
    assert!(rig.until_refused().contains("expected source_id \"amp\", got \"another-amp\""));
    other.kill();
    assert_eq!(load(&rig.stats.refused), 3);
    let _right = lsl::outlet(&stream(&name, "amp", 4));
    rig.until_data();
    assert!(rig.block.quality.contains(Quality::GAP));
    assert_eq!((load(&rig.stats.returned), load(&rig.stats.gaps)), (1, 1));
}

#[test]
fn a_frozen_sender_is_lost_within_its_limit_and_resumes_with_a_gap() {
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("frozen");
    let outlet = lsl::outlet(&stream(&name, "amp", 2));
    let mut rig = Rig::open(&by_name(&name)).unwrap();
    for _ in 0..50 {
        rig.until_data();
    }
    outlet.signal("STOP");
    let mut newest = rig.block.arrived_at.seconds();
    let mut silent = 0.0;
    let lost = rig.until("the loss", |pulled, block| match pulled {
        Ok(Pull::Data) => {
            newest = block.arrived_at.seconds();
            false
        }
        Ok(Pull::Lost { seconds }) => {
            silent = *seconds;
            true
        }
        _ => false,
    });
    let took = lost - newest;
    println!("frozen: reported {:.0} ms after the last sample", took * 1e3);
    assert!((0.25..0.25 + 0.1).contains(&took), "the limit is 250 ms; it took {took} s");
    assert!((silent - took).abs() < 0.05 && !rig.stats.up.load(Ordering::Relaxed));
    assert_eq!(rig.source.pull(&mut rig.block, Duration::from_millis(500)).unwrap(), Pull::Idle, "reported once");

    outlet.signal("CONT");
    rig.until_data();
    assert!(rig.block.quality.contains(Quality::GAP));
    assert_eq!((load(&rig.stats.lost), load(&rig.stats.returned)), (1, 1));
    assert!(rig.stats.up.load(Ordering::Relaxed));
}

#[test]
fn a_silent_stream_without_a_rate_is_there_while_it_answers() {
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("irregular");
    let told = json!({"name": name, "source_id": "gaze", "channels": 2, "rate": 0});
    let mut outlet = lsl::outlet(&told);
    let mut rig = Rig::open(&by_name(&name)).unwrap();
    outlet.ask(r#"{"push": [[1, 2]]}"#);
    rig.until_data();
    let silence = rig.source.pull(&mut rig.block, Duration::from_secs(1)).unwrap();
    assert_eq!((silence, rig.stats.up.load(Ordering::Relaxed)), (Pull::Idle, true), "a second of silence is its right");

    outlet.signal("STOP");
    rig.until_lost();
    outlet.signal("CONT");
    let stats = Arc::clone(&rig.stats);
    rig.until("its return", |_, _| stats.up.load(Ordering::Relaxed));
    outlet.ask(r#"{"push": [[3, 4]]}"#);
    rig.until_data();
    assert!(rig.block.quality.contains(Quality::GAP) && rig.block.sample(0) == [3.0, 4.0]);

    outlet.kill();
    rig.until_lost();
    let mut again = lsl::outlet(&told);
    rig.until("its return", |_, _| stats.up.load(Ordering::Relaxed));
    again.ask(r#"{"push": [[5, 6]]}"#);
    rig.until_data();
    assert!(rig.block.quality.contains(Quality::GAP) && rig.block.sample(0) == [5.0, 6.0]);
    assert_eq!((load(&stats.lost), load(&stats.returned), load(&stats.refused)), (2, 2, 0));
}

#[test]
fn a_killed_sender_is_back_within_two_seconds_of_its_return() {
    const KILLS: usize = 20;
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("killed");
    let mut outlet = lsl::outlet(&stream(&name, "amp", 2));
    let mut rig = Rig::open(&by_name(&name)).unwrap();
    let (mut noticed, mut after_start, mut after_kill) = (Vec::new(), Vec::new(), Vec::new());
    for round in 0..KILLS {
        rig.until_data();
        let killed = MonotonicClock.now().seconds();
        outlet.kill();
        noticed.push(rig.until_lost() - killed);
        outlet = lsl::peer("outlet", &stream(&name, "amp", 2));
        let back = rig.until_data();
        assert!(rig.block.quality.contains(Quality::GAP), "round {round}");
        let ready = outlet.hear();
        let ready: f64 = ready.trim_start_matches("ready ").parse().unwrap();
        after_start.push(back - ready);
        after_kill.push(back - killed);
    }
    let p95 = |times: &mut Vec<f64>| {
        times.sort_by(f64::total_cmp);
        times[KILLS * 95 / 100 - 1]
    };
    for (what, times) in
        [("noticed", &mut noticed), ("back after the restart", &mut after_start), ("after the kill", &mut after_kill)]
    {
        let p95 = p95(times);
        println!("{what}: p50 {:.3} s, p95 {p95:.3} s, worst {:.3} s", times[KILLS / 2], times[KILLS - 1]);
    }
    assert!(p95(&mut noticed) <= 0.35, "{noticed:?}");
    assert!(p95(&mut after_start) <= 2.0, "{after_start:?}");
    assert_eq!((load(&rig.stats.lost), load(&rig.stats.returned)), (KILLS as u64, KILLS as u64));
    assert_eq!(load(&rig.stats.refused), 0);
}

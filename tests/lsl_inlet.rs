//! Do samples and markers of a real LSL sender arrive as they were sent?
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use common::{Talker, lsl};
use neurod::acquisition::lsl::{LslConfig, LslMarkers, LslMarkersConfig, LslSource, resolve_all};
use neurod::acquisition::{EventSource, Pull, Source, SourceStats};
use neurod::frame::{Block, Clock, Event, MonotonicClock, Quality, Unit};
use serde_json::{Value, json};

fn open(name: &str) -> (LslSource, Arc<SourceStats>) {
    let stats = Arc::new(SourceStats::default());
    let config = LslConfig { name: Some(name.to_owned()), block: 8, silence: Some(60.0), ..LslConfig::default() };
    (LslSource::open(&config, Arc::clone(&stats)).expect("the stream is found"), stats)
}

/// Sends samples and pulls until `count` are in: each with the time of its block's newest, and all flags.
fn exchange(outlet: &mut Talker, source: &mut LslSource, push: &Value, count: usize) -> (Vec<Vec<f64>>, Quality, f64) {
    outlet.ask(&push.to_string());
    let (mut samples, mut flags, mut newest) = (Vec::new(), Quality::GOOD, 0.0);
    let mut block = Block::new(source.spec());
    while samples.len() < count {
        match source.pull(&mut block, Duration::from_secs(10)).unwrap() {
            Pull::Data => {
                samples.extend(block.samples().map(<[f64]>::to_vec));
                flags |= block.quality;
                newest = block.measured_at.seconds();
                assert!(block.arrived_at.seconds() > 0.0);
            }
            other => panic!("{other:?} after {} of {count} samples", samples.len()),
        }
    }
    (samples, flags, newest)
}

#[test]
fn every_numeric_format_arrives_exactly() {
    if lsl::python().is_none() {
        return;
    }
    let cases = [
        ("float32", json!([[0.5, -1.25e-3], [3.0e38, 16777216.0]])),
        ("double64", json!([[0.1, -1e300], [1e-300, 4503599627370497.0]])),
        ("int32", json!([[2147483647, -2147483648i64], [0, 7]])),
        ("int16", json!([[32767, -32768], [1, -1]])),
        ("int8", json!([[127, -128], [1, -1]])),
        ("int64", json!([[9007199254740991i64, -9007199254740991i64], [1, -1]])),
    ];
    for (format, samples) in cases {
        let name = lsl::unique(format);
        let mut outlet = lsl::outlet(&json!({"name": name, "channels": 2, "rate": 100, "format": format}));
        let (mut source, stats) = open(&name);
        outlet.ask(r#"{"wait": 1}"#);
        let now = MonotonicClock.now().seconds();
        let push = json!({"push": samples, "stamps": [now - 0.01, now]});
        let (got, flags, newest) = exchange(&mut outlet, &mut source, &push, 2);
        let single = |v: f64| if format == "float32" { f64::from(v as f32) } else { v };
        let sent: Vec<Vec<f64>> = samples
            .as_array()
            .unwrap()
            .iter()
            .map(|row| row.as_array().unwrap().iter().map(|v| single(v.as_f64().unwrap())).collect())
            .collect();
        assert_eq!(got, sent, "{format}");
        assert_eq!(flags, Quality::GOOD, "{format}");
        assert!((newest - now).abs() < 2e-3, "{format}: stamped {now}, corrected {newest}");
        assert_eq!(stats.samples.load(Ordering::Relaxed), 2);
        assert!(stats.up.load(Ordering::Relaxed) && stats.clock_offset().abs() < 2e-3);
    }
}

#[test]
fn another_machines_clock_is_brought_to_ours_and_a_step_of_it_is_told() {
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("clock");
    let options = json!({"name": name, "channels": 1, "rate": 100, "stream": true});
    let Some(sender) = lsl::outlet_ahead(1000, &options) else { return };
    let (mut source, stats) = open(&name);
    let mut block = Block::new(source.spec());
    // How far a block's newest sample lies from its arrival, and all flags, over so many blocks.
    let mut listen = |source: &mut LslSource, blocks: usize| -> (f64, Quality) {
        let (mut furthest, mut flags, mut heard) = (0f64, Quality::GOOD, 0);
        while heard < blocks {
            if let Ok(Pull::Data) = source.pull(&mut block, Duration::from_secs(10)) {
                heard += 1;
                flags |= block.quality;
                furthest = furthest.max((block.arrived_at - block.measured_at).abs());
            }
        }
        (furthest, flags)
    };
    let (_, flags) = listen(&mut source, 20);
    assert!(!flags.contains(Quality::CLOCK_JUMP), "{flags:?}");
    let (furthest, _) = listen(&mut source, 20);
    assert!(furthest < 0.2, "{furthest} s between sample and arrival");
    let offset = stats.clock_offset();
    assert!((offset + 1000.0).abs() < 0.05, "{offset}");

    // It comes back with its clock set otherwise: another stream, the same rules.
    sender.kill();
    let Some(_sender) = lsl::outlet_ahead(-500, &options) else { return };
    let (_, flags) = listen(&mut source, 20);
    assert!(flags.contains(Quality::GAP | Quality::CLOCK_JUMP), "{flags:?}");
    let (furthest, _) = listen(&mut source, 20);
    assert!(furthest < 0.2, "{furthest} s between sample and arrival");
    let offset = stats.clock_offset();
    assert!((offset - 500.0).abs() < 0.05, "{offset}");
}

#[test]
fn labels_units_rate_and_identity_come_from_the_stream() {
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("meta");
    let labels = ["Cz", "Pz", "Cz"];
    let _outlet = lsl::outlet(&json!({
        "name": name, "channels": 3, "rate": 512, "source_id": "amp-7", "labels": labels, "unit": "volts",
        "format": "double64", "stream": true
    }));
    let (mut source, _) = open(&name);
    let names: Vec<_> = source.spec().channels.iter().map(|c| c.name.clone()).collect();
    assert_eq!(names, ["Cz", "Pz", "Cz_2"]);
    assert!(source.spec().channels.iter().all(|c| c.unit == Unit::Microvolt && c.kind == "EEG"));
    assert_eq!((source.spec().rate, source.spec().capacity), (512.0, 8));
    let mut block = Block::new(source.spec());
    assert_eq!(source.pull(&mut block, Duration::from_secs(5)).unwrap(), Pull::Data);
    let first = block.sample(0);
    assert!((first[1] - first[0] - 0.01 * 1e6).abs() < 1.0, "volts become microvolts: {first:?}");

    let seen = resolve_all(Duration::from_secs(1)).unwrap();
    let ours = seen.iter().find(|s| s.name == name).expect("in sight");
    assert_eq!((ours.channels, ours.rate, ours.format, ours.source_id.as_str()), (3, 512.0, "double64", "amp-7"));
    assert!(!ours.uid.is_empty() && !ours.host.is_empty());
    assert_eq!(serde_json::to_value(ours).unwrap()["type"], "EEG");
}

#[test]
fn what_is_not_finite_passes_through_for_the_stages_to_mask() {
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("nan");
    let mut outlet = lsl::outlet(&json!({"name": name, "channels": 3, "rate": 100}));
    let (mut source, _) = open(&name);
    outlet.ask(r#"{"wait": 1}"#);
    let (got, ..) = exchange(&mut outlet, &mut source, &json!({"push": [["nan", "inf", 1.0]]}), 1);
    assert!(got[0][0].is_nan() && got[0][1] == f64::INFINITY && got[0][2] == 1.0, "{got:?}");
}

#[test]
fn repeated_backward_missing_and_jumping_stamps_are_dropped_or_flagged() {
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("stamps");
    let mut outlet = lsl::outlet(&json!({"name": name, "channels": 1, "rate": 100, "format": "int32"}));
    let (mut source, stats) = open(&name);
    outlet.ask(r#"{"wait": 1}"#);
    let began = MonotonicClock.now().seconds() - 10.0;
    let push = |numbers: std::ops::Range<i32>, shift: f64| {
        let stamps: Vec<f64> = numbers.clone().map(|n| began + shift + f64::from(n) / 100.0).collect();
        json!({"push": numbers.map(|n| [n]).collect::<Vec<_>>(), "stamps": stamps})
    };
    let numbers = |samples: &[Vec<f64>]| samples.iter().map(|s| s[0] as i32).collect::<Vec<_>>();

    let (got, flags, _) = exchange(&mut outlet, &mut source, &push(0..200, 0.0), 200);
    assert_eq!((numbers(&got), flags), ((0..200).collect(), Quality::GOOD));

    // The last one again, five old ones, then on: six are dropped.
    outlet.ask(&push(199..200, 0.0).to_string());
    outlet.ask(&push(150..155, 0.0).to_string());
    let (got, flags, _) = exchange(&mut outlet, &mut source, &push(200..220, 0.0), 20);
    assert_eq!((numbers(&got), flags), ((200..220).collect(), Quality::GOOD));
    assert_eq!(stats.misordered.load(Ordering::Relaxed), 6);

    // Ten are missing.
    let (got, flags, _) = exchange(&mut outlet, &mut source, &push(230..260, 0.0), 30);
    assert_eq!((numbers(&got), flags), ((230..260).collect(), Quality::GAP));
    assert_eq!(stats.gaps.load(Ordering::Relaxed), 1);

    // An hour on, in a moment.
    let (_, flags, newest) = exchange(&mut outlet, &mut source, &push(260..270, 3600.0), 10);
    assert_eq!(flags, Quality::GAP | Quality::CLOCK_JUMP);
    assert!((newest - (began + 3602.69)).abs() < 2e-3);
    // And back: dropped until it has lasted, then taken for the truth.
    let (_, flags, newest) = exchange(&mut outlet, &mut source, &push(270..310, 0.0), 16);
    assert_eq!(flags, Quality::GAP | Quality::CLOCK_JUMP);
    assert!((newest - (began + 3.09)).abs() < 2e-3);
    assert_eq!((stats.misordered.load(Ordering::Relaxed), stats.clock_jumps.load(Ordering::Relaxed)), (6 + 24, 2));
}

fn pull_events(markers: &mut LslMarkers, count: usize) -> Vec<Event> {
    let mut events = Vec::new();
    let give_up = MonotonicClock.now() + 20.0;
    while events.len() < count {
        markers.pull(&mut events, Duration::from_millis(500)).unwrap();
        assert!(MonotonicClock.now() < give_up, "{events:?}");
    }
    events
}

#[test]
fn markers_become_events_with_corrected_onsets() {
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("markers");
    let stats = Arc::new(SourceStats::default());
    let config = LslMarkersConfig { name: Some(name.clone()), text: true, ..LslMarkersConfig::default() };
    let mut markers = LslMarkers::open(&config, Arc::clone(&stats)).unwrap();
    let mut none = Vec::new();
    assert_eq!(markers.pull(&mut none, Duration::from_millis(10)).unwrap(), Pull::Idle, "not there yet");

    let mut outlet = lsl::outlet(&json!({"name": name, "type": "Markers", "format": "string"}));
    while !stats.up.load(Ordering::Relaxed) {
        markers.pull(&mut none, Duration::from_millis(100)).unwrap();
    }
    let now = MonotonicClock.now().seconds();
    let json = r#"{"text": "painful heat of 45 degrees", "duration": 8, "trial_type": "heat"}"#;
    outlet.ask(&json!({"push": [[json], ["rest ünï"], [""]], "stamps": [now - 5.0, now, now - 7.0]}).to_string());
    let events = pull_events(&mut markers, 3);
    assert_eq!((events[0].label.as_str(), events[0].duration), ("heat", 8.0));
    assert_eq!(events[0].text.as_deref(), Some("painful heat of 45 degrees"));
    assert!((events[0].onset.seconds() - (now - 5.0)).abs() < 2e-3);
    assert_eq!((events[1].label.as_str(), events[1].text.as_deref()), ("rest ünï", Some("rest ünï")));
    assert!((events[2].onset.seconds() - (now - 7.0)).abs() < 2e-3, "past onsets are kept");

    outlet.kill();
    while stats.up.load(Ordering::Relaxed) {
        markers.pull(&mut none, Duration::from_millis(100)).unwrap();
    }
    let mut again = lsl::outlet(&json!({"name": name, "type": "Markers", "format": "string"}));
    while !stats.up.load(Ordering::Relaxed) {
        markers.pull(&mut none, Duration::from_millis(100)).unwrap();
    }
    again.ask(r#"{"push": [["back"]]}"#);
    assert_eq!(pull_events(&mut markers, 1)[0].label, "back");
    assert_eq!((stats.lost.load(Ordering::Relaxed), stats.returned.load(Ordering::Relaxed)), (1, 1));
}

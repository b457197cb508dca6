//! Do LSL clients see our streams as what they are?
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use common::lsl;
use neurod::acquisition::lsl::{LslMarkers, LslMarkersConfig};
use neurod::acquisition::{EventSource, SourceStats};
use neurod::frame::{
    Block, BlockSpec, Channel, Clock, Event, FrameKind, ModelStamp, MonotonicClock, Quality, Regions, Unit,
};
use neurod::publish::Outcomes;
use neurod::publish::lsl::{LslMarkerOutlet, LslOutletConfig, LslOutlets, LslReplayOutlet, OutletError, OutletSpec};
use serde_json::{Value, json};
use std::sync::Arc;
use std::time::Duration;

fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

#[test]
fn values_skill_and_quality_are_three_streams_with_names_and_units() {
    if lsl::python().is_none() {
        return;
    }
    let prefix = lsl::unique("out");
    let regions = Regions::new(vec!["L insula <1>".into(), "R V1 & V2".into(), "Präcuneus".into()], Unit::ZScore);
    let config = LslOutletConfig { prefix: prefix.clone(), ..LslOutletConfig::default() };
    let spec = OutletSpec {
        predictor: "pain",
        kind: FrameKind::Encoded,
        regions: &regions,
        rate: 0.5,
        session: "s42",
        model: "minilm",
    };
    let mut outlets = LslOutlets::open(&config, &spec).unwrap();
    let name = format!("{prefix}.pain.encoded");
    let mut seen: Vec<_> =
        ["", ".skill", ".quality"].map(|end| lsl::peer("inlet", &json!({"name": format!("{name}{end}")}))).into();
    let infos: Vec<Value> = seen.iter_mut().map(|s| parse(&s.hear())).collect();

    let labels = |info: &Value, key: &str| -> Vec<String> {
        info["channels"].as_array().unwrap().iter().map(|c| c[key].as_str().unwrap().to_owned()).collect()
    };
    for info in &infos {
        assert_eq!(info["facts"]["manufacturer"], "neurod");
        assert_eq!(info["facts"]["model"], "minilm");
        assert_eq!((&info["facts"]["kind"], &info["facts"]["session"]), (&json!("encoded"), &json!("s42")));
    }
    assert_eq!(labels(&infos[0], "label"), regions.names);
    assert_eq!(labels(&infos[0], "unit"), ["z", "z", "z"]);
    assert_eq!((&infos[0]["type"], &infos[0]["rate"]), (&json!("RegionValues"), &json!(0.5)));
    assert_eq!(labels(&infos[1], "label"), regions.names);
    assert_eq!(infos[1]["type"], "RegionSkill");
    assert_eq!(labels(&infos[2], "label"), ["quality", "age"]);
    assert!(infos[2]["facts"]["flags"].as_str().unwrap().starts_with("0=GAP 1=CLIPPED"));
    assert!(infos[2]["facts"]["flags"].as_str().unwrap().ends_with("9=WARMING_UP"));
    let ids: std::collections::HashSet<_> = infos.iter().map(|i| i["source_id"].as_str().unwrap()).collect();
    assert_eq!(ids.len(), 3);

    assert!(outlets.has_consumers());
    let now = MonotonicClock.now().seconds();
    outlets.push_values(&[0.25, -1.5, 16777216.0], now).unwrap();
    outlets.push_skill(&[0.5, 0.25, -0.125], now).unwrap();
    outlets.push_quality(Quality::GAP | Quality::MOTION, 0.0125, now).unwrap();
    let got: Vec<Value> = seen.iter_mut().map(|s| parse(&s.ask(r#"{"pull": 1}"#))[0].clone()).collect();
    assert_eq!(got[0][0], json!([0.25, -1.5, 16777216.0]));
    assert!((got[0][1].as_f64().unwrap() - now).abs() < 1e-6);
    assert_eq!(got[1][0], json!([0.5, 0.25, -0.125]));
    assert_eq!(got[2][0], json!([(1 << 0) | (1 << 8), 12500]));

    let narrow = outlets.push_values(&[1.0], now).unwrap_err();
    assert_eq!(narrow, OutletError::Width { expected: 3, got: 1 });
}

#[test]
fn outcomes_are_a_stream_with_a_channel_a_class() {
    if lsl::python().is_none() {
        return;
    }
    let prefix = lsl::unique("outcomes");
    let config = LslOutletConfig { prefix: prefix.clone(), ..LslOutletConfig::default() };
    let classes = ["heat".to_owned(), "rating".to_owned()];
    let model = ModelStamp { id: "node-concat".into(), sha256: "ab".repeat(32).into(), updates: 0 };
    let open = |network: &str, classes: &[String]| {
        let outcomes = Outcomes { network, classes, model: &model, window_s: 120.0 };
        LslOutlets::open_outcomes(&config, &outcomes, "s42").unwrap()
    };
    let (mut outlets, mut number) = (open("pain", &classes), open("age", &[]));
    let names = ["pain.outcome", "pain.outcome.quality", "age.outcome"];
    let mut seen = names.map(|name| lsl::peer("inlet", &json!({"name": format!("{prefix}.{name}")})));
    let infos: Vec<Value> = seen.iter_mut().map(|s| parse(&s.hear())).collect();
    let channel = |label: &str, unit: &str, kind: &str| json!({"label": label, "unit": unit, "type": kind});
    let both = json!([channel("heat", "probability", "CLASS"), channel("rating", "probability", "CLASS")]);
    assert_eq!((&infos[0]["type"], &infos[0]["rate"], &infos[0]["channels"]), (&json!("Outcome"), &json!(0.0), &both));
    assert_eq!(infos[1]["type"], "OutcomeQuality");
    assert!(infos[1]["facts"]["flags"].as_str().unwrap().ends_with("9=WARMING_UP"));
    assert_eq!(infos[2]["channels"], json!([channel("value", "a.u.", "VALUE")]));
    for info in &infos {
        let facts = &info["facts"];
        assert_eq!((&facts["manufacturer"], &facts["kind"]), (&json!("neurod"), &json!("outcome")));
        assert_eq!((&facts["session"], &facts["model"]), (&json!("s42"), &json!("node-concat")));
    }
    let now = MonotonicClock.now().seconds();
    outlets.push_values(&[0.25, 0.75], now).unwrap();
    outlets.push_quality(Quality::STALE_MODEL, 0.5, now).unwrap();
    number.push_values(&[42.5], now).unwrap();
    let got: Vec<Value> = seen.iter_mut().map(|s| parse(&s.ask(r#"{"pull": 1}"#))[0].clone()).collect();
    assert_eq!((&got[0][0], &got[1][0], &got[2][0]), (&json!([0.25, 0.75]), &json!([1 << 6, 500_000]), &json!([42.5])));
    assert!((got[0][1].as_f64().unwrap() - now).abs() < 1e-6);
    assert_eq!(outlets.push_values(&[1.0], now).unwrap_err(), OutletError::Width { expected: 2, got: 1 });
}

#[test]
fn a_replayed_recording_looks_like_its_device() {
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("replay");
    let spec = BlockSpec::new(Channel::numbered("EEG", 2, Unit::Microvolt), 250.0, 4);
    let mut outlet = LslReplayOutlet::open(&name, "EEG", &spec, "sub-01").unwrap();
    let mut seen = lsl::peer("inlet", &json!({"name": name}));
    let info = parse(&seen.hear());
    assert_eq!(info["channels"][1], json!({"label": "EEG2", "unit": "microvolts", "type": "EEG"}));
    assert_eq!((&info["rate"], &info["source_id"]), (&json!(250.0), &json!("sub-01")));
    assert!(outlet.wait_for_consumers(5.0));
    let mut block = Block::new(&spec);
    for i in 0..3 {
        assert!(block.push(&[f64::from(i) + 0.1, -0.3]));
    }
    let now = MonotonicClock.now().seconds();
    outlet.push(&block, now).unwrap();
    let got = parse(&seen.ask(r#"{"pull": 3}"#));
    for i in 0..3u32 {
        let sample = &got[i as usize];
        assert_eq!(sample[0], json!([f64::from(i) + 0.1, -0.3]));
        assert!((sample[1].as_f64().unwrap() - (now - f64::from(2 - i) * 0.004)).abs() < 1e-6);
    }
}

#[test]
fn events_sent_as_markers_come_back_as_they_were() {
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("events");
    let mut outlet = LslMarkerOutlet::open(&name, "sub-01-events").unwrap();
    let stats = Arc::new(SourceStats::default());
    let config = LslMarkersConfig { name: Some(name), ..LslMarkersConfig::default() };
    let mut markers = LslMarkers::open(&config, Arc::clone(&stats)).unwrap();
    let mut events = Vec::new();
    while !stats.up.load(std::sync::atomic::Ordering::Relaxed) {
        markers.pull(&mut events, Duration::from_millis(100)).unwrap();
    }
    let sent = Event {
        onset: MonotonicClock.now(),
        duration: 8.5,
        label: "heat \"45\"".into(),
        text: Some("painful heat of 45 degrees on the arm".into()),
        columns: [("trial_type".into(), "heat \"45\"".into())].into(),
        ..Event::default()
    };
    outlet.push(&sent, sent.onset.seconds()).unwrap();
    let give_up = MonotonicClock.now() + 10.0;
    while events.is_empty() && MonotonicClock.now() < give_up {
        markers.pull(&mut events, Duration::from_millis(500)).unwrap();
    }
    assert_eq!(events.len(), 1);
    assert!((events[0].onset - sent.onset).abs() < 2e-3);
    assert_eq!(Event { onset: sent.onset, ..events[0].clone() }, sent);
}

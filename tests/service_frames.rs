//! Are frames what the schemas and `docs/frames.md` say? Judged by Python, which knows nothing but these.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panicking")]

#[path = "common/mod.rs"]
mod common;
#[path = "common/service.rs"]
mod service;

use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;

use neurod::frame::{FrameKind, Identification, Instant, Quality, RankedCandidate, RegionFrame, Regions, Unit};
use neurod::publish::{Outgoing, wire};
use serde_json::json;

/// Frames of every kind, unit, clock and flag, with and without skill, whole and not.
fn frames() -> Vec<RegionFrame> {
    let mut frames: Vec<RegionFrame> =
        [FrameKind::Measured, FrameKind::Encoded, FrameKind::Decoded, FrameKind::Residual]
            .into_iter()
            .zip([Unit::Microvolt, Unit::MicrovoltSquared, Unit::PercentSignalChange, Unit::Arbitrary])
            .map(|(kind, unit)| RegionFrame { unit, ..service::frame("régions", kind, 3, 5) })
            .collect();
    let plain = || service::frame("regions", FrameKind::Decoded, u64::from(u32::MAX) + 7, 4);
    frames.push(RegionFrame { skill: None, values: Vec::new(), ..plain() });
    frames.push(RegionFrame { quality: Quality::from_bits((1 << 10) - 1).unwrap(), ..plain() });
    frames.push(RegionFrame {
        values: vec![1.0, f32::NAN, f32::NEG_INFINITY, 1e-30],
        skill: Some(vec![0.5, f32::NAN, 0.0, -0.25]),
        quality: Quality::NON_FINITE,
        ..plain()
    });
    for name in ["scaled", "virtual"] {
        let mut frame = plain();
        frame.clock.name = name;
        frame.clock.unix_offset = 0.0;
        frame.t_target = Instant::from_seconds(-12.5);
        frame.model = Default::default();
        frames.push(frame);
    }
    frames
}

#[test]
fn python_finds_frames_as_the_schemas_and_the_docs_say() {
    let Some(python) = common::python(&["jsonschema"]) else { return };
    let mut lines = String::new();
    let mut regions = Regions::new(vec!["insula".into(), "insula_2".into()], Unit::ZScore);
    for filled in [false, true] {
        if filled {
            regions.hemisphere = vec![Some("L".into()), None];
            regions.network = vec![Some("salience".into()), None];
            regions.atlas = Some("BASC 122".into());
        }
        let text = wire::json(&Outgoing::Regions(Arc::new(regions.clone()))).unwrap();
        writeln!(lines, "{}", json!({ "json": text, "binary": null })).unwrap();
    }
    for frame in frames() {
        let hex = wire::encode(&frame).iter().fold(String::new(), |hex, byte| hex + &format!("{byte:02x}"));
        let text = wire::json(&Outgoing::Frame(Arc::new(frame))).unwrap();
        writeln!(lines, "{}", json!({ "json": text, "binary": hex })).unwrap();
    }
    let frame = service::frame("regions", FrameKind::Encoded, 3, 5);
    let ranked = |id: &str, log_likelihood: f64, p: f64| RankedCandidate { id: id.into(), log_likelihood, p };
    for (rank_of_shown, quality) in [(None, Quality::WARMING_UP), (Some(1.5), Quality::GOOD)] {
        let text = wire::json(&Outgoing::Identification(Arc::new(Identification {
            schema: Identification::SCHEMA,
            session: frame.session.clone(),
            run: 0,
            seq: 1,
            identification: "seen".into(),
            predictor: frame.predictor.clone(),
            t_target: frame.t_target,
            t_measured: frame.t_measured,
            t_arrived: frame.t_arrived,
            t_published: frame.t_published,
            clock: frame.clock.clone(),
            volumes: 2,
            complete: false,
            candidates_id: "0123456789abcdef".into(),
            best: "face".into(),
            ranking: vec![ranked("face", -0.5, 0.5), ranked("house", -0.5, 0.5)],
            rank_of_shown,
            quality,
            model: frame.model.clone(),
        })));
        writeln!(lines, "{}", json!({ "json": text.unwrap(), "binary": null })).unwrap();
    }
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("frames.jsonl");
    std::fs::write(&path, &lines).unwrap();
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let output = Command::new(python)
        .arg(root.join("tests/python/validate_frames.py"))
        .args([&root.join("schemas"), &path])
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(said.trim(), format!("{} messages, {} of them binary too", lines.lines().count(), frames().len()));
}

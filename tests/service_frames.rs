//! Are frames what the schemas and `docs/frames.md` say? Judged by Python, which knows nothing but these.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panicking")]

#[path = "common/mod.rs"]
mod common;
#[path = "common/service.rs"]
mod service;

use std::fmt::Write as _;
use std::process::Command;
use std::sync::Arc;

use neurod::frame::{
    Block, BlockSpec, Channel, FrameKind, Identification, Instant, Quality, RankedCandidate, RegionFrame, Regions,
    Unit, VirtualClock,
};
use neurod::publish::{FramePort, Outgoing, wire};
use neurod::ridge::Observed;
use neurod::runtime::features::Features;
use neurod::runtime::session::Session;
use neurod::runtime::{InputSpec, Predictor, PredictorConfig};
use serde_json::{Value, json};

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

const VOXELS: usize = 20_000;
const TR: f64 = 2.0;

/// A predictor of very many voxels, which learns from two runs, chooses λ by them, and predicts a third.
fn voxelwise(mut emit: impl FnMut(RegionFrame)) -> Predictor {
    let config = "features = [\"eeg\"]\ntargets = \"scan\"\n[ridge.lambda]\nchoose = \"runs\"\nkeep_runs = 2\nevery = 10\nstart = 1.0";
    let config: PredictorConfig = toml::from_str(config).unwrap();
    let names = (0..VOXELS).map(|v| format!("voxel {v}")).collect();
    let input = InputSpec { name: "eeg".into(), dims: 6, hop: None, sha256: "0".into() };
    let session = Session::new("test", Arc::new(VirtualClock::default()));
    let regions = Arc::new(Regions::new(names, Unit::ZScore));
    let mut predictor = Predictor::new("voxels", &config, session, regions, TR, vec![input]).unwrap();
    let spec = BlockSpec::new(Channel::numbered("VOXEL", VOXELS, Unit::ZScore), 1.0 / TR, 1);
    let mut block = Block::new(&spec);
    for t in 0..36u32 {
        let at = |seconds: f64| Instant::from_seconds(f64::from(t) * TR + seconds);
        let values: Vec<f64> = (0..6).map(|f| (f64::from(t) * (0.7 + 0.61 * f64::from(f))).sin()).collect();
        let noise = |v: usize| ((v * 31 + t as usize * 17) as f64 * 0.731).sin();
        let row: Vec<f64> = (0..VOXELS).map(|v| values[v % 6] * (1.0 + v as f64 / 1e4) + 0.2 * noise(v)).collect();
        let (start, end) = (at(0.0), at(TR));
        let (run, quality) = (t / 12, Quality::GOOD);
        let features = Features { start, end, values, measured_at: end, arrived_at: end, quality, run };
        predictor.features(0, &features, |_| ());
        block.clear();
        block.push(&row);
        (block.run, block.measured_at, block.arrived_at) = (run, start, end);
        assert_eq!(predictor.volume(&block, 0, &mut emit), Observed::Learned);
        predictor.search_now();
    }
    predictor
}

#[test]
fn a_predictor_of_very_many_voxels_speaks_binary_to_a_python_client_and_no_json() {
    let Some(python) = common::python(&["websockets", "numpy"]) else { return };
    let running = service::start("");
    running.bus.send(Outgoing::Regions(Arc::new(service::regions(2))));
    let root = std::path::Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut command = Command::new(python);
    command.arg(root.join("tests/python/voxel_client.py")).arg(running.address().to_string());
    let mut client = common::Talker::start(&mut command);
    assert_eq!(client.hear(), "ready");
    let mut sent = Vec::new();
    let predictor = voxelwise(|frame| {
        if frame.kind == FrameKind::Encoded {
            let sum = frame.values.iter().map(|v| f64::from(*v)).sum::<f64>();
            sent.push((
                frame.seq,
                frame.t_target.seconds(),
                sum,
                frame.skill.as_ref().map(|s| s.iter().copied().fold(0.0, f32::max)),
            ));
        }
        running.bus.send(Outgoing::Frame(Arc::new(frame)));
    });
    assert!(predictor.learner().skill().r_mean() > 0.8 && sent.len() >= 36, "{}", predictor.learner().skill().r_mean());
    let apart = predictor.learner().measure_drift();
    assert!(apart < 1e-9, "the weights are {apart:e} from the exact solution");
    running.publish(99, 2);
    let got: Value = serde_json::from_str(&client.hear()).unwrap();
    let (binary, text) = (got["binary"].as_array().unwrap(), got["json"].as_array().unwrap());
    assert_eq!((text.len(), &text[0]["seq"]), (1, &99.into()), "voxels are no JSON");
    assert_eq!(binary.len(), sent.len() + 1);
    for (frame, (seq, t, sum, skill)) in binary.iter().zip(&sent) {
        assert_eq!((&frame["values"], &frame["seq"], &frame["t"]), (&VOXELS.into(), &(*seq).into(), &(*t).into()));
        assert!((frame["sum"].as_f64().unwrap() - sum).abs() < 1e-6 * (1.0 + sum.abs()));
        assert_eq!(frame["skill"].as_f64().map(|s| s as f32), *skill);
    }
}

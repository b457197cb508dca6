//! A predictor between its lanes: features and volumes in any order, frames when they are due.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::sync::Arc;

use neurod::frame::{Block, BlockSpec, Channel, FrameKind, Instant, Quality, RegionFrame, Regions, Unit, VirtualClock};
use neurod::ridge::Observed;
use neurod::runtime::features::Features;
use neurod::runtime::session::Session;
use neurod::runtime::{InputSpec, Predictor, PredictorConfig};

const TR: f64 = 2.0;

fn predictor(config: &str, inputs: &[(&str, Option<f64>)]) -> Predictor {
    let config: PredictorConfig = toml::from_str(config).unwrap();
    let regions = Arc::new(Regions::new(vec!["insula".into(), "V1".into()], Unit::ZScore));
    let session = Session::new("test", Arc::new(VirtualClock::default()));
    let input =
        |(name, hop): &(&str, Option<f64>)| InputSpec { name: (*name).into(), dims: 1, hop: *hop, sha256: "0".into() };
    Predictor::new("regions", &config, session, regions, TR, inputs.iter().map(input).collect()).unwrap()
}

/// One feature, held from `start` to `end`.
fn held(start: f64, end: f64, value: f64, run: u32) -> Features {
    let at = Instant::from_seconds;
    let (start, end) = (at(start), at(end));
    Features { start, end, values: vec![value], measured_at: end, arrived_at: end, quality: Quality::GOOD, run }
}

fn volume(at: f64, run: u32) -> Block {
    let spec = BlockSpec::new(Channel::numbered("REGION", 2, Unit::ZScore), 1.0 / TR, 1);
    let mut block = Block::new(&spec);
    block.push(&[1.0, -1.0]);
    (block.run, block.measured_at, block.arrived_at) = (run, Instant::from_seconds(at), Instant::from_seconds(at + TR));
    block
}

fn targets(frames: &[RegionFrame], kind: FrameKind) -> Vec<f64> {
    frames.iter().filter(|f| f.kind == kind).map(|f| f.t_target.seconds()).collect()
}

#[test]
fn events_beside_samples_hold_nobody_up() {
    let mut both =
        predictor("features = [\"word\", \"eeg\"]\ntargets = \"scan\"", &[("word", None), ("eeg", Some(0.5))]);
    let mut frames = Vec::new();
    both.features(0, &held(0.2, 0.7, 1.0, 0), |f| frames.push(f));
    assert!(frames.is_empty(), "an event alone is no reason to decode");
    (1..=8).for_each(|i| both.features(1, &held(i as f64 * 0.5 - 0.5, i as f64 * 0.5, 1.0, 0), |f| frames.push(f)));
    assert_eq!(targets(&frames, FrameKind::Decoded), (1..=8).map(|i| i as f64 * 0.5 - TR).collect::<Vec<_>>());
}

#[test]
fn without_targets_time_itself_asks_for_frames() {
    let mut alone = predictor("features = [\"word\"]\nlags = [2.0]", &[("word", None)]);
    let (mut frames, at) = (Vec::new(), Instant::from_seconds);
    alone.pass_time(at(100.0), |f| frames.push(f));
    assert!(frames.is_empty(), "nothing was shown yet");
    alone.features(0, &held(100.0, 101.0, 1.0, 0), |f| frames.push(f));
    alone.pass_time(at(103.9), |f| frames.push(f));
    alone.pass_time(at(104.0), |f| frames.push(f));
    // A volume over [104, 106) looks at [102, 104): known at 104.
    assert_eq!(targets(&frames, FrameKind::Encoded), [100.0, 102.0, 104.0]);
    assert!(frames.iter().all(|f| f.quality.contains(Quality::WARMING_UP)), "it has learned nothing");
}

#[test]
fn what_comes_after_its_volume_is_counted() {
    let mut late = predictor("features = [\"word\"]\ntargets = \"scan\"", &[("word", None)]);
    assert_eq!(late.volume(&volume(0.0, 0), 0, drop), Observed::Learned);
    late.features(0, &held(2.0, 3.0, 1.0, 0), drop);
    assert_eq!(late.late_features(), 0);
    late.features(0, &held(1.9, 3.0, 1.0, 0), drop);
    assert_eq!(late.late_features(), 1);
    late.features(0, &held(0.0, 3.0, 1.0, 1), drop);
    assert_eq!(late.late_features(), 1, "another run");
}

#[test]
fn a_volume_of_a_run_that_is_over_is_refused_and_counted() {
    let mut predictor = predictor("features = [\"word\"]\ntargets = \"scan\"", &[("word", None)]);
    assert_eq!(predictor.volume(&volume(0.0, 0), 0, drop), Observed::Learned);
    predictor.features(0, &held(2.0, 3.0, 1.0, 1), drop);
    let mut frames = Vec::new();
    assert_eq!(predictor.volume(&volume(1.9, 0), 0, |f| frames.push(f)), Observed::Refused);
    assert_eq!((frames.len(), predictor.learner().refused()), (0, 1));
    assert_eq!(predictor.volume(&volume(2.0, 1), 0, drop), Observed::Learned);
}

#[test]
fn samples_wait_for_a_volume_that_is_reconstructed_for_seconds() {
    let mut slow = predictor("features = [\"eeg\"]\ntargets = \"scan\"", &[("eeg", Some(0.5))]);
    (1..=20).for_each(|i| slow.features(0, &held(i as f64 * 0.5 - 0.5, i as f64 * 0.5, 1.0, 0), drop));
    // Ten seconds of samples are in when the volume over [3, 5) comes.
    assert_eq!(slow.volume(&volume(3.0, 0), 0, drop), Observed::Learned);
}

#[test]
fn a_failed_pass_is_never_taught() {
    let mut predictor = predictor("features = [\"word\"]\ntargets = \"scan\"", &[("word", None)]);
    predictor.features(0, &Features { quality: Quality::STALE_MODEL, ..held(0.0, 1.0, 0.0, 0) }, drop);
    let mut frames = Vec::new();
    assert_eq!(predictor.volume(&volume(0.0, 0), 0, |f| frames.push(f)), Observed::Frozen);
    assert!(frames.iter().all(|f| f.quality.contains(Quality::STALE_MODEL)));
    assert_eq!(predictor.volume(&volume(2.0, 0), 0, drop), Observed::Learned);
}

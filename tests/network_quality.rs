//! Does a live network say what is wrong with its window, and its outcome what is wrong with the model?
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::path::Path;
use std::sync::Arc;

use neurod::encoders::{ModelFiles, Runtime, hex_sha256};
use neurod::frame::{
    Block, BlockSpec, Channel, Instant, NetworkFrame, OutcomeFrame, Quality, Regions, Unit, VirtualClock,
};
use neurod::network::deep::algebra::Unary;
use neurod::network::deep::{Algebra, Graph, Parameters, Precision};
use neurod::publish::Outgoing;
use neurod::runtime::session::Session;
use neurod::runtime::{NetworkReader, NetworkStep};

const REGIONS: usize = 4;
const WINDOW: usize = 8;

fn names() -> Vec<String> {
    (0..REGIONS).map(|r| format!("region{r}")).collect()
}

/// A model of a number: the square root of the edge between the first two regions, which a negative one has not.
fn root_of_an_edge(kind: &str) -> Option<NetworkReader> {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/lib/libonnxruntime.so");
    let runtime = Runtime::load(Some(&library)).map_err(|error| error.to_string());
    let runtime = common::peer("ONNX Runtime", runtime)?;
    let parameters = Parameters::new(Precision::Single, 0);
    let graph = Graph::new(&parameters);
    let network = graph.input("connectivity", &[REGIONS, REGIONS]);
    let edge = graph.slice(&graph.slice(&network, 1, 0, 1).unwrap(), 2, 1, 1).unwrap();
    let root = graph.unary(Unary::Sqrt, &graph.reshape(&edge, &[0, 1]).unwrap()).unwrap();
    graph.output("value", &root);
    let (model, folder) = (graph.model("root"), tempfile::tempdir().unwrap());
    std::fs::write(folder.path().join("model.onnx"), &model).unwrap();
    let manifest = format!(
        "name = \"root\"\nlicence = \"MIT\"\nsource = \"ours\"\nkind = \"network\"\noutput = \"value\"\ndims = 1\n\
         sha256 = {{ model = \"{}\" }}\n[network]\ninput = \"connectivity\"\nconnectivity = \"{kind}\"\nregions = {:?}\n",
        hex_sha256(&model),
        names()
    );
    std::fs::write(folder.path().join("manifest.toml"), manifest).unwrap();
    Some(NetworkReader::load(&runtime, &ModelFiles::read(folder.path()).unwrap(), 1).unwrap())
}

fn step(keys: &str, reader: Option<NetworkReader>, deadline: f64) -> NetworkStep {
    let config = toml::from_str(&format!("source = \"scanner\"\nwindow = {WINDOW}.0\n{keys}")).unwrap();
    let session = Session::new("s", Arc::new(VirtualClock::default()));
    let regions = Arc::new(Regions::new(names(), Unit::ZScore));
    NetworkStep::new("n", &config, session, &spec(), regions, reader, deadline).unwrap()
}

fn spec() -> BlockSpec {
    BlockSpec::new(Channel::numbered("REGION", REGIONS, Unit::ZScore), 1.0, 1)
}

/// One second of regions of which the second follows the first, or goes against it.
fn sample(t: usize, sign: f64) -> [f64; REGIONS] {
    let (t, own) = (t as f64, |r: f64| (t as f64 * (1.3 + r) + r * r).sin());
    [(1.1 * t).sin(), sign * (1.1 * t).sin() + 0.1 * own(1.0), own(2.0), own(3.0)]
}

/// What comes of one sample at `t`.
fn said(
    step: &mut NetworkStep,
    t: usize,
    run: u32,
    values: [f64; REGIONS],
    quality: Quality,
) -> (Option<Arc<NetworkFrame>>, Option<Arc<OutcomeFrame>>) {
    let mut block = Block::new(&spec());
    block.push(&values);
    (block.run, block.quality, block.measured_at) = (run, quality, Instant::from_seconds(t as f64));
    for (region, value) in values.iter().enumerate() {
        block.bad.set(region, !value.is_finite());
    }
    let (mut network, mut outcome) = (None, None);
    step.block(&block, false, |message| match message {
        Outgoing::Network(frame) => network = Some(frame),
        Outgoing::Outcome(frame) => outcome = Some(frame),
        _ => panic!("{message:?}"),
    });
    (network, outcome)
}

#[test]
fn motion_stays_for_as_long_as_it_is_in_the_window_and_a_gap_empties_it() {
    let Some(reader) = root_of_an_edge("pearson") else { return };
    let mut step = step("", Some(reader), f64::INFINITY);
    for t in 0..40 {
        let quality = match t {
            12 => Quality::MOTION,
            24 => Quality::GAP | Quality::DROPPED_BEFORE,
            _ => Quality::GOOD,
        };
        let (network, outcome) = said(&mut step, t, 0, sample(t, 1.0), quality);
        if t < 2 || (24..26).contains(&t) {
            assert!(network.is_none() && outcome.is_none(), "{t}: two samples are no network");
            continue;
        }
        let (network, outcome) = (network.unwrap(), outcome.unwrap());
        let mut expected = Quality::GOOD;
        if (12..12 + WINDOW).contains(&t) {
            expected |= Quality::MOTION;
        }
        if (24..24 + WINDOW).contains(&t) {
            expected |= Quality::GAP | Quality::DROPPED_BEFORE;
        }
        if t < WINDOW - 1 || (24..23 + WINDOW).contains(&t) {
            expected |= Quality::WARMING_UP;
        }
        assert_eq!((network.window.quality, outcome.window.quality), (expected, expected), "{t}");
        let held = if t < 24 { t + 1 } else { t - 23 }.min(WINDOW);
        assert_eq!((network.window.samples, outcome.window.samples, outcome.window.window_s), (held, held, 8.0), "{t}");
        assert!(outcome.value.unwrap() > 0.9 && network.edges.is_none());
    }
    assert_eq!((step.counts().errors, step.counts().late), (0, 0));
}

#[test]
fn a_model_that_fails_repeats_the_last_answer_of_its_run_and_says_so() {
    let Some(reader) = root_of_an_edge("pearson") else { return };
    let mut step = step("", Some(reader), f64::INFINITY);
    let mut last = None;
    for t in 0..60 {
        let (run, sign) = match t {
            0..20 => (0, 1.0),
            20..40 => (0, -1.0),
            _ => (1, -1.0),
        };
        let Some(outcome) = said(&mut step, t, run, sample(t, sign), Quality::GOOD).1 else { continue };
        let stale = outcome.window.quality.contains(Quality::STALE_MODEL);
        match t {
            0..20 => assert!(!stale && outcome.value.is_some(), "{t}"),
            // All of the window goes against: −1 has no root.
            28..40 => assert!(stale && outcome.value.is_some() && outcome.value == last, "{t}: {outcome:?}"),
            // The answers of the run before are not those of this one.
            40.. => assert!(stale && outcome.value.is_none() && outcome.predicted.is_none(), "{t}: {outcome:?}"),
            _ => {}
        }
        last = outcome.value;
    }
    assert!(step.counts().errors >= 12 + 18, "{:?}", step.counts().errors);
}

#[test]
fn an_answer_after_its_deadline_is_late_and_stale_but_is_given() {
    let Some(reader) = root_of_an_edge("pearson") else { return };
    let mut step = step("", Some(reader), 0.0);
    for t in 0..10 {
        let (network, outcome) = said(&mut step, t, 0, sample(t, 1.0), Quality::GOOD);
        let (Some(network), Some(outcome)) = (network, outcome) else { continue };
        assert!(outcome.window.quality.contains(Quality::LATE | Quality::STALE_MODEL) && outcome.value.is_some());
        assert!(!network.window.quality.intersects(Quality::LATE | Quality::STALE_MODEL), "the network was in time");
    }
    assert_eq!((step.counts().late, step.counts().passes), (8, 8));
}

#[test]
fn a_missing_value_and_a_region_that_stands_still_are_told_whatever_an_edge_is() {
    for keys in [
        "kind = \"pearson\"",
        "kind = \"spearman\"",
        "kind = \"pearson\"\nshrinkage = \"ledoit-wolf\"",
        "kind = \"partial\"\nshrinkage = \"ledoit-wolf\"",
        "kind = \"precision\"\nshrinkage = \"ledoit-wolf\"",
    ] {
        let mut step = step(keys, None, f64::INFINITY);
        for t in 0..40 {
            let mut values = sample(t, 1.0);
            if t == 10 {
                values[1] = f64::NAN;
            }
            if t >= 25 {
                values[2] = 0.5;
            }
            let Some(network) = said(&mut step, t, 0, values, Quality::GOOD).0 else { continue };
            let quality = network.window.quality;
            assert_eq!(quality.contains(Quality::NON_FINITE), (10..10 + WINDOW).contains(&t), "{keys} {t}");
            assert_eq!(quality.contains(Quality::FLAT), t >= 24 + WINDOW, "{keys} {t}");
            assert!(network.strength.iter().all(|sum| sum.is_finite()), "{keys} {t}: {network:?}");
            if t >= 24 + WINDOW {
                assert!(network.strength[2].abs() < 1e-6, "{keys} {t}: {network:?}");
            }
        }
    }
}

#[test]
fn a_window_without_an_inverse_has_no_network_and_no_new_answer() {
    let Some(reader) = root_of_an_edge("partial") else { return };
    let mut step = step("kind = \"partial\"", Some(reader), f64::INFINITY);
    for t in 0..30 {
        let mut values = sample(t, 1.0);
        if t >= 12 {
            values[2] = 0.5;
        }
        let (network, outcome) = said(&mut step, t, 0, values, Quality::GOOD);
        if t < REGIONS + 1 {
            assert!(network.is_none(), "{t}: no more samples than regions");
            continue;
        }
        let (network, outcome) = (network.unwrap(), outcome.unwrap());
        let singular = t >= 11 + WINDOW;
        let told = Quality::NON_FINITE | Quality::FLAT;
        assert_eq!(network.window.quality.contains(told), singular, "{t}");
        assert_eq!(network.strength.iter().all(|sum| sum.is_nan()), singular, "{t}");
        assert_eq!(outcome.window.quality.contains(Quality::STALE_MODEL | told), singular, "{t}");
        assert!(outcome.value.is_some(), "{t}");
    }
}

#[test]
fn edges_are_there_for_those_who_ask() {
    let mut quiet = step("", None, f64::INFINITY);
    let mut always = step("edges = true", None, f64::INFINITY);
    let mut block = Block::new(&spec());
    for t in 0..5 {
        block.clear();
        block.push(&sample(t, 1.0));
        block.measured_at = Instant::from_seconds(t as f64);
        for (step, asked, there) in [(&mut quiet, t == 4, t == 4), (&mut always, false, true)] {
            step.block(&block, asked, |message| {
                let Outgoing::Network(frame) = message else { return };
                assert_eq!(frame.edges.as_ref().map(|edges| edges.len()), there.then_some(6), "{t}");
                assert_eq!(frame.with_edges().is_some(), there);
            });
        }
    }
}

//! Is a network of predicted regions that of the frames that were published, in replay and live?
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

#[path = "common/daemon.rs"]
mod daemon;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use daemon::{Daemon, until};
use serde_json::Value;

const WINDOW: usize = 12;

/// Volumes of three regions and, for `decoded`, of two signals that they follow, or, for `encoded`, events.
fn recording(folder: &Path, decoded: bool, speed: &str) -> String {
    let wave = |t: usize, i: usize| (t as f64 * (0.37 + 0.21 * i as f64) + i as f64).sin();
    let (mut scan, mut signals) = (String::from("insula\tM1\tV1\n"), String::from("a\tb\n"));
    for t in 0..60 {
        let task = f64::from(u8::from((t / 5) % 2 == 1));
        let (a, b) = (wave(t, 0), wave(t, 3));
        signals += &format!("{a}\t{b}\n");
        scan += &format!("{}\t{}\t{}\n", a + 0.1 * wave(t, 5) + task, a - b, b + 0.3 * wave(t, 7) - task);
    }
    fs::write(folder.join("scan.tsv"), scan).unwrap();
    fs::write(folder.join("signals.tsv"), signals).unwrap();
    let event = |e: usize| format!("{}\t10\ttask\t{}\n", 10 + 20 * e, 40 + e);
    let events = format!("onset\tduration\ttrial_type\theat\n{}", (0..6).map(event).collect::<String>());
    fs::write(folder.join("events.tsv"), events).unwrap();
    let scanner = format!(
        "[sources.scanner.input.replay]\nfiles = [\"scan.tsv\"]\ntr = 2.0\nevents = [\"events.tsv\"]\n{speed}\n"
    );
    let predictor = match decoded {
        true => format!(
            "[sources.signals.input.replay]\nfiles = [\"signals.tsv\"]\ntr = 2.0\n{speed}\n\
             [predictors.regions]\nfeatures = [\"signals\"]\ntargets = \"scanner\"\nvolume_time = \"end\"\nridge.lambda = 1.0\n"
        ),
        false => "[events.stimulus]\ninput.recording = \"scanner\"\n[encoders.design]\n\
                  columns = { events = \"stimulus\", columns = [{ name = \"heat\", not = \"n/a\" }, { name = \"heat\", center = 42.0 }] }\n\
                  [predictors.regions]\nfeatures = [\"design\"]\ntargets = \"scanner\"\nlags = [2.0, 4.0]\nridge.lambda = 10.0\n"
            .into(),
    };
    format!(
        "{scanner}{predictor}[networks.expected]\npredictor = \"regions\"\nwindow = {}.0\nkind = \"covariance\"\nedges = true\n",
        2 * WINDOW
    )
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Holds every full window against the frames of the predictor, of which the last word on a volume counts. How many there were.
fn held_against_frames(messages: &[Value], kind: &str) -> usize {
    let of = |key: &'static str, value: &'static str| messages.iter().filter(move |m| m[key] == value);
    // By the time they speak of, in thousandths of a second.
    let time = |frame: &Value| (frame["t_target"].as_f64().unwrap() * 1e3).round() as i64;
    let mut rows: BTreeMap<i64, Vec<f64>> = BTreeMap::new();
    for frame in messages.iter().filter(|m| m["kind"] == kind) {
        rows.insert(time(frame), numbers(&frame["values"]));
    }
    let (mut compared, mut seen) = (0, Vec::new());
    for network in of("schema", "neurod.network_frame.v1").filter(|n| n["samples"] == WINDOW) {
        let at = time(network);
        let window: Vec<&Vec<f64>> = rows.range(..=at).rev().take(WINDOW).map(|(_, row)| row).collect();
        let mean = |i: usize| window.iter().map(|row| row[i]).sum::<f64>() / WINDOW as f64;
        let covariance = |i: usize, j: usize| {
            let (a, b) = (mean(i), mean(j));
            window.iter().map(|row| (row[i] - a) * (row[j] - b)).sum::<f64>() / WINDOW as f64
        };
        let edges = numbers(&network["edges"]);
        for (edge, (i, j)) in edges.iter().zip([(0, 1), (0, 2), (1, 2)]) {
            assert!((edge - covariance(i, j)).abs() < 1e-5, "{kind} at {at}: {edge} is not {}", covariance(i, j));
        }
        let regions = messages.iter().find(|m| m["kind"] == kind).unwrap()["regions_id"].clone();
        assert_eq!(network["regions_id"], regions);
        compared += 1;
        seen.push(edges);
    }
    assert!(seen.windows(2).any(|pair| pair[0] != pair[1]), "{kind}: all windows are alike");
    compared
}

fn messages(path: &Path) -> Vec<Value> {
    fs::read_to_string(path).unwrap_or_default().lines().filter_map(|line| serde_json::from_str(line).ok()).collect()
}

#[test]
fn in_replay_a_network_is_that_of_what_was_predicted() {
    for (decoded, kind) in [(true, "decoded"), (false, "encoded")] {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("live.toml"), recording(folder.path(), decoded, "")).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
        command.current_dir(folder.path()).args(["replay", "--config", "live.toml", "--out", "frames.jsonl"]);
        let done = command.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let compared = held_against_frames(&messages(&folder.path().join("frames.jsonl")), kind);
        assert!(compared >= 40, "{kind}: {compared}");
    }
}

#[test]
fn live_a_network_is_that_of_what_was_predicted() {
    let folder = tempfile::tempdir().unwrap();
    for (decoded, kind) in [(true, "decoded"), (false, "encoded")] {
        let out = folder.path().join(format!("{kind}.jsonl"));
        let config = recording(folder.path(), decoded, "speed = 20.0") + &format!("[sinks.jsonl]\npath = {out:?}\n");
        let mut daemon = Daemon::start(folder.path(), &config);
        let full = || messages(&out).iter().filter(|m| m["samples"] == WINDOW).count() >= 20;
        until("twenty full windows", 60.0, || full().then_some(()));
        daemon.signal("TERM");
        assert!(daemon.end(20.0).success());
        assert!(held_against_frames(&messages(&out), kind) >= 20);
    }
}

#[test]
fn a_network_has_one_origin_and_the_configuration_is_told_of() {
    let folder = tempfile::tempdir().unwrap();
    let config = recording(folder.path(), true, "");
    let check = |config: &str| {
        fs::write(folder.path().join("live.toml"), config).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
        let done = command.current_dir(folder.path()).args(["check", "--config", "live.toml"]).output().unwrap();
        String::from_utf8_lossy(&done.stderr).into_owned() + &String::from_utf8_lossy(&done.stdout)
    };
    assert!(check(&config).contains("# network \"expected\": covariance over 24 s of predictor \"regions\""));
    let with = |keys: &str| check(&config.replace("predictor = \"regions\"\n", keys));
    assert!(with("predictor = \"region\"\n").contains("did you mean \"regions\"?"));
    assert!(with("").contains("networks.expected.source: is missing"), "{}", with(""));
    let both = with("predictor = \"regions\"\nsource = \"scanner\"\n");
    assert!(both.contains("networks.expected.predictor: is given beside source"), "{both}");
}

//! How regions are connected while they are measured: on replay what numpy and onnxruntime make of the same window, and live the same.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/daemon.rs"]
mod daemon;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use daemon::Daemon;
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;

const WINDOW: usize = 30;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn python(script: &str, arguments: &[&str]) -> Option<String> {
    let python = common::python(&["numpy", "onnxruntime"])?;
    let ran = Command::new(python).arg(repository("tests/python").join(script)).args(arguments).output().unwrap();
    assert!(ran.status.success(), "{script}: {}", String::from_utf8_lossy(&ran.stderr));
    Some(String::from_utf8(ran.stdout).unwrap())
}

/// A folder with a linear model over these regions; none where there is no Python.
fn model(folder: &Path, name: &str, regions: &[String], classes: &str, fisher_z: bool) -> Option<()> {
    fs::write(folder.join("regions.json"), json!(regions).to_string()).unwrap();
    let (into, regions) = (folder.join(name), folder.join("regions.json"));
    let texts = [into.to_str().unwrap(), regions.to_str().unwrap(), classes, &fisher_z.to_string()];
    python("linear_network.py", &texts).map(drop)
}

fn neurod(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
    command.env("NEUROD__LIBRARIES__ONNXRUNTIME", repository(".cache/lib/libonnxruntime.so"));
    command.env("NEUROD_CACHE", repository(".cache"));
    command.args(arguments).current_dir(folder).output().unwrap()
}

/// The messages of a replay of `config`.
fn replayed(folder: &Path, config: &str) -> Vec<Value> {
    fs::write(folder.join("live.toml"), config).unwrap();
    let done = neurod(&["replay", "--config", "live.toml", "--out", "frames.jsonl"], folder);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = fs::read_to_string(folder.join("frames.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn of<'a>(messages: &'a [Value], schema: &str) -> Vec<&'a Value> {
    messages.iter().filter(|message| message["schema"] == format!("neurod.{schema}.v1")).collect()
}

fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

fn apart(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    a.iter().zip(b).map(|(a, b)| (a - b).abs()).fold(0.0, |most, d| if d.is_nan() { f64::NAN } else { most.max(d) })
}

fn flagged(frame: &Value, flag: &str) -> bool {
    frame["quality"].as_array().unwrap().iter().any(|name| name == flag)
}

/// Volumes × regions that swing together, written as a table; `null` where there is no value.
fn table(path: &Path, volumes: usize, regions: usize, value: impl Fn(usize, usize) -> Option<f64>) {
    let row = |t: usize| {
        let cells = (0..regions).map(|r| value(t, r).map_or("n/a".into(), |v| v.to_string()));
        cells.collect::<Vec<String>>().join("\t") + "\n"
    };
    let head = names(regions).join("\t");
    fs::write(path, format!("{head}\n{}", (0..volumes).map(row).collect::<String>())).unwrap();
}

fn names(regions: usize) -> Vec<String> {
    (0..regions).map(|r| format!("region{r}")).collect()
}

fn wave(t: usize, r: usize) -> f64 {
    let noise = ((t * (2 * r + 3)) as f64 * 1.7 + (r * r) as f64).sin();
    1e4 + 3.0 * (t as f64 * 0.3).sin() * (r % 3) as f64 + noise
}

#[test]
fn a_recordings_outcomes_are_those_of_numpy_and_onnxruntime_on_the_same_windows() {
    let recording = repository(".cache/data/heatpain/sub-11_ts_run_03.tsv");
    let folder = tempfile::tempdir().unwrap();
    let config = |model: &str| {
        format!(
            "[sources.scanner.input.replay]\nfiles = [{recording:?}]\ntr = 2.0\n[networks.connectome]\nsource = \"scanner\"\n\
             window = {}\nfisher_z = true\n{model}",
            2 * WINDOW
        )
    };
    // What neurod calls the columns, two of which have the same name.
    let plain = replayed(folder.path(), &config(""));
    let regions: Vec<String> = serde_json::from_value(of(&plain, "regions")[0]["names"].clone()).unwrap();
    assert!(of(&plain, "outcome_frame").is_empty() && of(&plain, "network_frame").len() == 191 - 2);
    for (classes, output) in [("heat,rating,rest", "probabilities"), ("", "value")] {
        if model(folder.path(), "linear", &regions, classes, true).is_none() {
            return;
        }
        let messages = replayed(folder.path(), &config("model = \"linear\"\nedges = true"));
        let file = folder.path().join("linear/model.onnx");
        let arguments = [file.to_str().unwrap(), recording.to_str().unwrap(), &WINDOW.to_string(), "true", output];
        let offline = python("network_outcomes.py", &arguments).unwrap();
        let (networks, outcomes) = (of(&messages, "network_frame"), of(&messages, "outcome_frame"));
        let mut compared = 0;
        for expected in offline.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
            let at = expected["volume"].as_f64().unwrap() * 2.0;
            let now = |frames: &[&Value]| (*frames.iter().find(|frame| frame["t_target"] == at).unwrap()).clone();
            let (network, outcome) = (now(&networks), now(&outcomes));
            let answer =
                if classes.is_empty() { vec![outcome["value"].as_f64().unwrap()] } else { numbers(&outcome[output]) };
            assert!(apart(&answer, &numbers(&expected["answer"])) <= 1e-5, "{outcome} is not {expected}");
            assert!(apart(&numbers(&network["strength"]), &numbers(&expected["strength"])) < 1e-4, "volume at {at}");
            assert!(!flagged(&outcome, "WARMING_UP") && !flagged(&network, "WARMING_UP"));
            assert_eq!(network["edges"].as_array().unwrap().len(), regions.len() * (regions.len() - 1) / 2);
            compared += 1;
        }
        assert_eq!(compared, 191 - WINDOW + 1);
        assert!(outcomes.iter().take(WINDOW - 3).all(|frame| flagged(frame, "WARMING_UP")));
    }
}

/// Of our own making from end to end: built, learned, exported, predicted offline, and live on the same windows.
#[test]
fn a_trained_model_says_live_what_it_says_offline_of_the_same_window() {
    let Some(python) = common::python(&["numpy"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let done = |output: Output| {
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    };
    let tool = [repository("tools/heatpain_networks.py"), repository(".cache/data/heatpain")];
    done(Command::new(python).args(tool).arg("--out").arg(folder.path().join("heat")).output().unwrap());
    let edges = ["--kind", "pearson", "--shrinkage", "none", "--fisher-z", "--tr", "2"];
    let build = |data: &str, out: &str| {
        done(neurod(&[&["network", "build", data, "--out", out], &edges[..]].concat(), folder.path()));
    };
    build("heat", "heat.npz");
    // Windows of one recording that begin at every 23rd volume.
    let (person, scan) = ("sub-11", "sub-11/func/sub-11_run-03_timeseries.tsv");
    let at = folder.path().join("windows").join(scan);
    fs::create_dir_all(at.parent().unwrap()).unwrap();
    fs::copy(folder.path().join("heat").join(scan), &at).unwrap();
    fs::write(folder.path().join("windows/participants.tsv"), format!("participant_id\n{person}\n")).unwrap();
    let starts: Vec<usize> = (0..191 - WINDOW).step_by(23).collect();
    let row = |start: &usize| format!("{scan}\t{person}\t{}\t{}\tn/a\n", 2 * start, 2 * WINDOW);
    let rows: String = starts.iter().map(row).collect();
    let table = format!("file\tparticipant_id\tonset\tduration\tlabel\n{rows}");
    fs::write(folder.path().join("windows/samples.tsv"), table).unwrap();
    build("windows", "windows.npz");
    fs::write(folder.path().join("graph.toml"), "model = \"node-edge-concat\"\n[settings]\nepochs = 3\nhidden = 16\n")
        .unwrap();
    for model in ["logistic", "graph.toml"] {
        let train = ["network", "train", "heat.npz", "--model", model, "--export", "trained/model.onnx"];
        done(neurod(&train, folder.path()));
        let offline = done(neurod(&["network", "predict", "trained/model.onnx", "windows.npz"], folder.path()));
        let offline: Vec<Vec<f64>> = offline
            .lines()
            .skip(1)
            .map(|line| line.split('\t').skip(3).map(|cell| cell.parse().unwrap()).collect())
            .collect();
        assert_eq!(offline.len(), starts.len());
        let config = format!(
            "[sources.scanner.input.replay]\nfiles = [{at:?}]\ntr = 2.0\n[networks.connectome]\nsource = \"scanner\"\n\
             window = {}\nfisher_z = true\nmodel = \"trained\"",
            2 * WINDOW
        );
        let messages = replayed(folder.path(), &config);
        let outcomes = of(&messages, "outcome_frame");
        for (start, offline) in starts.iter().zip(&offline) {
            let last = (start + WINDOW - 1) as f64 * 2.0;
            let live = outcomes.iter().find(|frame| frame["t_target"] == last).unwrap();
            assert_eq!(live["classes"], json!(["heat", "rating"]));
            assert!(apart(&numbers(&live["probabilities"]), offline) <= 1e-5, "{model}: {live} is not {offline:?}");
        }
        let first: Vec<f64> = offline.iter().filter_map(|row| row.first().copied()).collect();
        assert!(
            first.iter().any(|p| (p - first[0]).abs() > 1e-3),
            "{model}: all windows are alike, so nothing is compared"
        );
    }
}

#[test]
fn a_missing_value_a_still_region_a_gap_and_a_run_are_told_and_leave_with_the_window() {
    let folder = tempfile::tempdir().unwrap();
    // Region 1 misses volume 40, region 2 stands still from 60 to 99, and a second run follows.
    table(&folder.path().join("a.tsv"), 120, 5, |t, r| match (t, r) {
        (40, 1) => None,
        (60..100, 2) => Some(9.0),
        _ => Some(wave(t, r)),
    });
    table(&folder.path().join("b.tsv"), 40, 5, |t, r| Some(wave(t + 500, r)));
    let messages = replayed(
        folder.path(),
        "[sources.scanner.input.replay]\nfiles = [\"a.tsv\", \"b.tsv\"]\ntr = 1.0\n[networks.n]\nsource = \"scanner\"\n\
         window = 30\nedges = true",
    );
    let frames = of(&messages, "network_frame");
    let first: Vec<&&Value> = frames.iter().filter(|frame| frame["run"] == 0).collect();
    assert_eq!((first.len(), frames.len()), (118, 118 + 38), "three samples make a network");
    for frame in &first {
        let t = frame["t_target"].as_f64().unwrap().round() as usize;
        assert_eq!(flagged(frame, "NON_FINITE"), (40..70).contains(&t), "{t}");
        assert_eq!(flagged(frame, "FLAT"), (89..100).contains(&t), "{t}");
        assert_eq!(flagged(frame, "WARMING_UP"), t < 29, "{t}");
        assert_eq!(frame["samples"], json!((t + 1).min(30)));
        let edges = numbers(&frame["edges"]);
        assert!(edges.iter().all(|edge| edge.abs() <= 1.0 + 1e-6), "{frame}");
        // The edges of region 2: (0, 2), (1, 2), (2, 3), (2, 4).
        let of_still = [1, 4, 7, 8].map(|i| edges[i]);
        assert_eq!(of_still.iter().all(|edge| *edge == 0.0), (89..100).contains(&t), "{t}: {of_still:?}");
    }
    // The second run is what it would be alone.
    let alone = replayed(
        folder.path(),
        "[sources.scanner.input.replay]\nfiles = [\"b.tsv\"]\ntr = 1.0\n[networks.n]\nsource = \"scanner\"\nwindow = 30\nedges = true",
    );
    let second = frames.iter().filter(|frame| frame["run"] == 1);
    for (frame, alone) in second.zip(of(&alone, "network_frame")) {
        assert_eq!((&frame["samples"], &frame["edges"]), (&alone["samples"], &alone["edges"]));
    }
}

#[test]
fn what_does_not_go_together_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    table(&folder.path().join("a.tsv"), 20, 4, |t, r| Some(wave(t, r)));
    let other: Vec<String> = ["region0", "region1", "insula", "region3"].map(String::from).to_vec();
    if model(folder.path(), "other", &other, "a,b", false).is_none() {
        return;
    }
    model(folder.path(), "fewer", &names(3), "a,b", false).unwrap();
    model(folder.path(), "z", &names(4), "a,b", true).unwrap();
    for (network, code, said) in [
        ("model = \"other\"", 78, "its region 3 is \"insula\", not \"region2\""),
        ("model = \"fewer\"", 78, "it takes networks of 3 regions, not 4"),
        ("model = \"z\"", 78, "it takes Fisher's z, not values without Fisher's z"),
        ("kind = \"covariance\"\nmodel = \"other\"", 78, "it takes edges of kind \"pearson\", not \"covariance\""),
        ("kind = \"covariance\"\nfisher_z = true", 78, "fisher_z = true: is for correlations"),
        ("window = 2.0", 78, "a window of 2 s has 2 samples of 1 s"),
        ("window = -1.0", 78, "window = -1: must be a positive number of seconds"),
        ("model = \"nowhere\"", 65, "there is no such file"),
    ] {
        let config = format!(
            "[sources.scanner.input.replay]\nfiles = [\"a.tsv\"]\ntr = 1.0\n[networks.n]\nsource = \"scanner\"\n{network}"
        );
        fs::write(folder.path().join("live.toml"), config).unwrap();
        let done = neurod(&["replay", "--config", "live.toml"], folder.path());
        let error = String::from_utf8_lossy(&done.stderr);
        assert!(error.contains("network \"n\"") && error.contains(said), "{network}: {error}");
        assert_eq!(done.status.code(), Some(code), "{network}: {error}");
    }
    let config = "[sources.scanner.input.replay]\nfiles = [\"a.tsv\"]\ntr = 1.0\n[networks.n]\nsource = \"scaner\"";
    fs::write(folder.path().join("live.toml"), config).unwrap();
    let done = neurod(&["check", "--config", "live.toml"], folder.path());
    assert!(String::from_utf8_lossy(&done.stderr).contains("did you mean \"scanner\"?"));
}

#[test]
fn a_daemon_sends_the_replays_numbers_to_websocket_clients_as_the_schemas_say() {
    let folder = tempfile::tempdir().unwrap();
    table(&folder.path().join("a.tsv"), 120, 6, |t, r| Some(wave(t, r)));
    if model(folder.path(), "linear", &names(6), "heat,rating", true).is_none() {
        return;
    }
    let config = |speed: &str| {
        format!(
            "[libraries]\nonnxruntime = {:?}\n[sources.scanner.input.replay]\nfiles = [\"a.tsv\"]\ntr = 1.0\n{speed}\n\
             [networks.n]\nsource = \"scanner\"\nwindow = 20.0\nfisher_z = true\nmodel = \"linear\"\nedges = true\ndeadline = 30.0",
            repository(".cache/lib/libonnxruntime.so")
        )
    };
    let replay = replayed(folder.path(), &config(""));
    let daemon = Daemon::start(folder.path(), &config("speed = 10.0"));
    let (mut lines, mut met) = (Vec::new(), [0, 0]);
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let url = format!("ws://{}/ws?kind=network,outcome&edges=true", daemon.address());
        let (mut socket, _) = connect_async(url).await.unwrap();
        while met[1] < 30 {
            let message = tokio::time::timeout(std::time::Duration::from_secs(30), socket.next()).await;
            let message = message.expect("nothing comes").expect("it is open").unwrap();
            let Ok(text) = message.to_text().map(str::to_owned) else { continue };
            let Ok(frame) = serde_json::from_str::<Value>(&text) else { continue };
            lines.push(json!({ "json": text, "binary": null }).to_string());
            let schema = frame["schema"].as_str().unwrap().to_owned();
            let which = ["neurod.network_frame.v1", "neurod.outcome_frame.v1"].iter().position(|name| *name == schema);
            let Some(which) = which else { continue };
            met[which] += 1;
            let same = replay.iter().find(|other| other["schema"] == schema && other["seq"] == frame["seq"]).unwrap();
            for field in ["samples", "window_s", "quality", "strength", "edges", "probabilities", "predicted", "model"]
            {
                assert_eq!(frame[field], same[field], "{field} of {schema} {}", frame["seq"]);
            }
        }
    });
    assert!(met[0] >= 29, "{met:?}");
    let metrics = daemon.get("/metrics").1;
    for name in [
        "neurod_frames_total{kind=\"outcome\",predictor=\"n\"}",
        "neurod_encoder_passes_total{encoder=\"n\"}",
        "neurod_end_to_end_latency_seconds_count{kind=\"network\",predictor=\"n\"}",
    ] {
        assert!(metrics.contains(name), "{name} is missing in {metrics}");
    }
    let Some(python) = common::python(&["jsonschema"]) else { return };
    fs::write(folder.path().join("lines"), lines.join("\n") + "\n").unwrap();
    let validate = Command::new(python)
        .arg(repository("tests/python/validate_frames.py"))
        .args([&repository("schemas"), &folder.path().join("lines")])
        .output()
        .unwrap();
    assert!(validate.status.success(), "{}", String::from_utf8_lossy(&validate.stderr));
}

#[test]
fn thirty_three_people_are_known_by_their_networks_the_longer_the_better() {
    let data = repository(".cache/data/heatpain");
    let folder = tempfile::tempdir().unwrap();
    let found = |skip: &str| -> Vec<f64> {
        let arguments = [
            "network",
            "fingerprint",
            data.to_str().unwrap(),
            "--first",
            "ts_run_03",
            "--second",
            "ts_run_07",
            "--json",
        ];
        let done = neurod(&[&arguments[..], &["--drop-columns", "GlobSig", "--skip", skip]].concat(), folder.path());
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let said: Value = serde_json::from_slice(&done.stdout).unwrap();
        assert_eq!((&said["people"], &said["regions"]), (&json!(33), &json!(122)));
        said["windows"].as_array().unwrap().iter().map(|w| 100.0 * w["accuracy"].as_f64().unwrap()).collect()
    };
    // With numpy's own correlations of the same volumes: 7, 15 and 23 of 33 from the very first volume on, and 5, 17 and 26 from
    // the tenth. The reference found 5, 17 and 26; wherever the windows begin after the scanner has settled, at most two
    // people more or less are known.
    let counts = |skip: &str| -> Vec<f64> { found(skip).iter().map(|found| (found * 0.33).round()).collect() };
    assert_eq!(counts("0"), [7.0, 15.0, 23.0]);
    assert_eq!(counts("9"), [5.0, 17.0, 26.0]);
    for skip in 8..=16 {
        let counts = counts(&skip.to_string());
        assert!(apart(&counts, &[5.0, 17.0, 26.0]) <= 2.0, "from volume {skip} on: {counts:?}");
    }
}

#[test]
fn a_model_says_of_a_files_networks_what_it_says_in_onnxruntime() {
    let folder = tempfile::tempdir().unwrap();
    if model(folder.path(), "linear", &names(6), "heat,rating", true).is_none() {
        return;
    }
    let path = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let arguments = [path("linear/model.onnx"), path("networks.npz"), path("regions.json")];
    let expected = python("network_predictions.py", &arguments.each_ref().map(String::as_str)).unwrap();
    let predict = |model: &str, networks: &str| {
        // The library is looked for where `make assets` puts it, from the folder of the repository on.
        let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
        let arguments = ["network", "predict", model, networks, "--out", &path("p.tsv")];
        command.args(arguments).current_dir(repository("")).output().unwrap()
    };
    let done = predict(&path("linear/model.onnx"), &path("networks.npz"));
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let table = fs::read_to_string(path("p.tsv")).unwrap();
    let mut rows = table.lines();
    assert_eq!(rows.next(), Some("sample\tparticipant\tpredicted\theat\trating"));
    let expected: Vec<Value> = expected.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.clone().count(), expected.len());
    for (row, expected) in rows.zip(&expected) {
        let cells: Vec<&str> = row.split('\t').collect();
        let probabilities = numbers(&expected[2]);
        let best = if probabilities[1] > probabilities[0] { "rating" } else { "heat" };
        assert_eq!(
            (cells[0], cells[1], cells[2]),
            (expected[0].as_str().unwrap(), expected[1].as_str().unwrap(), best)
        );
        let said: Vec<f64> = cells[3..].iter().map(|cell| cell.parse().unwrap()).collect();
        assert!(apart(&said, &probabilities) <= 1e-6, "{row} is not {expected}");
    }
    let mut other = names(6);
    other.swap(0, 1);
    model(folder.path(), "other", &other, "heat,rating", true).unwrap();
    model(folder.path(), "plain", &names(6), "heat,rating", false).unwrap();
    for (model, said) in
        [("other", "its region 1 is \"region1\", not \"region0\""), ("plain", "without Fisher's z, not Fisher's z")]
    {
        let refused = predict(&path(&format!("{model}/model.onnx")), &path("networks.npz"));
        let error = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && error.contains(said) && error.contains("networks.npz"), "{error}");
    }
}

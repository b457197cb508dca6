//! Which stimulus was it? Rankings are those of a direct implementation, and blind to what was shown.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/daemon.rs"]
mod daemon;
mod encoders_support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::time::Duration;

use daemon::{Daemon, until};
use encoders_support::{fetched, folder, runtime};
use futures_util::StreamExt;
use ndarray::{Array1, Array2};
use neurod::encoders::{EncoderConfig, Input, build};
use neurod::encoding::solve::fit;
use serde_json::Value;

const FRAME: &str = "neurod.region_frame.v1";
const RANKING: &str = "neurod.identification.v1";
const TR: f64 = 2.0;
const VOLUMES: usize = 80;
const REGIONS: usize = 4;
const WORDS: [&str; 3] = ["heat", "arm pain", "rate heat"];
const TEXT: &str = "kind = \"text\"\noutput = \"last\"\npooling = \"mean\"\ndims = 4\n\
    text = { input_ids = \"tokens\", token_type_ids = \"segments\", max_tokens = 6 }";

/// Every four volumes a word, for two of them: which one.
fn word(event: usize) -> usize {
    (event * event + event / 3) % WORDS.len()
}

fn measured(t: usize, region: usize) -> f64 {
    let task = |delay: usize| match t.checked_sub(delay) {
        Some(t) if t % 4 < 2 => [1.0, -0.7, 0.4][(word(t / 4) + region) % 3],
        _ => 0.0,
    };
    let noise = ((t * (region + 3)) as f64 * 0.7).sin() + ((t * t * (region + 1)) as f64 * 0.37).cos();
    10.0 + task(1) + 0.5 * task(2) + 0.2 * noise
}

/// The recording; the last event shows `last`.
fn recording(folder: &Path, model: &Path, last: usize) {
    let row = |t: usize| (0..REGIONS).map(|v| measured(t, v).to_string()).collect::<Vec<_>>().join("\t");
    let rows: String = (0..VOLUMES).map(|t| row(t) + "\n").collect();
    fs::write(folder.join("run.tsv"), format!("A\tB\tC\tD\n{rows}")).unwrap();
    let events = VOLUMES / 4;
    let shown = |event: usize| WORDS[if event + 1 == events { last } else { word(event) }];
    let lines = (0..events).map(|e| format!("{}\t{}\tword\t{}\n", e as f64 * 4.0 * TR, 2.0 * TR, shown(e)));
    fs::write(folder.join("events.tsv"), format!("onset\tduration\ttrial_type\ttext\n{}", lines.collect::<String>()))
        .unwrap();
    let list: String = WORDS.iter().enumerate().map(|(i, word)| format!("w{i}\t{word}\n")).collect();
    fs::write(folder.join("candidates.tsv"), format!("id\ttext\n{list}")).unwrap();
    let config = format!(
        r#"
        [libraries]
        onnxruntime = {:?}
        [sources.scanner]
        input.replay = {{ files = ["run.tsv"], tr = {TR:?}, events = ["events.tsv"] }}
        [events.stimulus]
        input.recording = "scanner"
        [encoders.words]
        text = {{ model = {model:?}, events = "stimulus" }}
        [predictors.regions]
        features = ["words"]
        targets = "scanner"
        lags = [2.0, 4.0]
        ridge.lambda = 0.5
        [identification.seen]
        predictor = "regions"
        candidates = "candidates.tsv"
        "#,
        fetched("lib/libonnxruntime.so").unwrap()
    );
    fs::write(folder.join("live.toml"), config).unwrap();
}

fn neurod(folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
    command.args(["replay", "--config", "live.toml", "--out", "frames.jsonl"]).current_dir(folder).output().unwrap()
}

/// All rankings of a replay.
fn rankings(folder: &Path) -> Vec<Value> {
    let done = neurod(folder);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = fs::read_to_string(folder.join("frames.jsonl")).unwrap();
    let all = text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap());
    all.filter(|message| message["schema"] == RANKING).collect()
}

/// The log-likelihoods of a message, by candidate.
fn likelihoods(message: &Value) -> Vec<f64> {
    let ranking = message["ranking"].as_array().unwrap();
    let of =
        |id: usize| ranking.iter().find(|r| r["id"] == format!("w{id}")).unwrap()["log_likelihood"].as_f64().unwrap();
    (0..WORDS.len()).map(of).collect()
}

#[test]
fn rankings_are_those_of_the_definition_and_blind_to_what_was_shown() {
    let Some(runtime) = runtime() else { return };
    let (encoder, temporary) = (folder("text", TEXT), tempfile::tempdir().unwrap());
    let folder = temporary.path();
    let last = word(VOLUMES / 4 - 1);
    recording(folder, encoder.path(), last);
    let all = rankings(folder);
    let complete: Vec<&Value> = all.iter().filter(|message| message["complete"] == true).collect();
    assert_eq!((complete.len(), all.len()), (VOLUMES / 4, VOLUMES / 4 * 3), "three volumes an event");

    // Against ridge solved anew, on rows made from the design alone.
    let text = toml::from_str(&format!("text = {{ model = {:?}, events = \"e\" }}", encoder.path())).unwrap();
    let mut text = build(&text as &EncoderConfig, Some(&runtime), None, 1).unwrap();
    let mut encode = |words: &&str| {
        let mut feature = Vec::new();
        text.encode(&Input::Text(words), &mut feature).unwrap();
        feature.into_iter().map(f64::from).collect::<Vec<f64>>()
    };
    let features: Vec<Vec<f64>> = WORDS.iter().map(&mut encode).collect();
    let row = |t: usize, instead: Option<(usize, usize)>| -> Vec<f64> {
        let held = |delay: usize| match t.checked_sub(delay) {
            Some(t) if t % 4 < 2 => {
                let shown = instead.filter(|(event, _)| *event == t / 4).map_or(word(t / 4), |(_, word)| word);
                features[shown].clone()
            }
            _ => vec![0.0; 4],
        };
        [held(1), held(2)].concat()
    };
    let x = Array2::from_shape_fn((VOLUMES, 8), |(t, c)| row(t, None)[c]);
    let y = Array2::from_shape_fn((VOLUMES, REGIONS), |(t, v)| measured(t, v));
    let foretell = |before: usize, row: &[f64]| -> Array1<f64> {
        if before == 0 {
            return Array1::zeros(REGIONS);
        }
        let rows: Vec<usize> = (0..before).collect();
        let w = fit(x.view(), y.view(), &rows, &[0.5; REGIONS], true).unwrap();
        Array1::from(row.to_vec()).dot(&w.weights) + Array1::from(w.intercepts)
    };
    let squares =
        Array2::from_shape_fn((VOLUMES, REGIONS), |(t, v)| (y[(t, v)] - foretell(t, &row(t, None))[v]).powi(2));
    for (event, message) in complete.iter().enumerate().skip(1) {
        let first = event * 4 + 1;
        let variance = |v: usize| (0..first).map(|t| squares[(t, v)]).sum::<f64>() / first as f64;
        let direct = |candidate: usize| -> f64 {
            let volumes = first..first + 3;
            let of = |t: usize| {
                let expected = foretell(first, &row(t, Some((event, candidate))));
                (0..REGIONS).map(|v| (y[(t, v)] - expected[v]).powi(2) / variance(v)).sum::<f64>()
            };
            -0.5 * volumes.map(of).sum::<f64>()
        };
        for (candidate, got) in likelihoods(message).into_iter().enumerate() {
            let want = direct(candidate);
            assert!((got - want).abs() < 1e-8 * (1.0 + want.abs()), "event {event}, w{candidate}: {got} for {want}");
        }
        let ranking = message["ranking"].as_array().unwrap();
        let total: f64 = ranking.iter().map(|r| r["p"].as_f64().unwrap()).sum();
        assert!((total - 1.0).abs() < 1e-12 && message["best"] == ranking[0]["id"]);
        let place = ranking.iter().position(|r| r["id"] == format!("w{}", word(event))).unwrap() + 1;
        assert_eq!(message["rank_of_shown"], place as f64);
        assert_eq!(message["model"]["updates"], first);
    }
    let known = &complete[VOLUMES / 8..];
    let right = known.iter().filter(|message| message["rank_of_shown"] == 1.0).count();
    assert!(right * 10 >= known.len() * 9, "{right} of {}, where chance has a third", known.len());

    // The same volumes under another label are ranked the same.
    recording(folder, encoder.path(), (last + 1) % 3);
    let other = rankings(folder);
    for (a, b) in all.iter().zip(&other).rev().take(3) {
        let apart = likelihoods(a).iter().zip(likelihoods(b)).fold(0.0f64, |most, (a, b)| most.max((a - b).abs()));
        assert!(apart < 1e-9 && a["best"] == b["best"], "{apart}");
        assert_ne!(a["rank_of_shown"], b["rank_of_shown"]);
    }
}

#[test]
fn a_daemon_sends_rankings_with_everything_else() {
    if runtime().is_none() {
        return;
    }
    let (encoder, temporary) = (folder("text", TEXT), tempfile::tempdir().unwrap());
    let folder = temporary.path();
    recording(folder, encoder.path(), 0);
    let config = fs::read_to_string(folder.join("live.toml")).unwrap();
    let config = config.replace("tr = 2.0", "tr = 2.0, speed = 20") + "[sinks.jsonl]\npath = \"live.jsonl\"\n";
    let daemon = Daemon::start(folder, &config);
    let client = |query: &str, schema: &'static str| {
        let url = format!("ws://{}/ws{query}", daemon.address());
        std::thread::Builder::new().name("client".into()).spawn(move || heard(&url, schema, 12)).unwrap()
    };
    // Rankings are text for every client; who asks for another kind gets none.
    let clients =
        ["", "?kind=identification", "?kind=identification&format=binary"].map(|query| client(query, RANKING));
    let other = client("?kind=encoded", FRAME);
    let [everything, asked, binary] = clients.map(|client| client.join().unwrap());
    let written = |seq: u64| {
        until("the same on a line", 20.0, || {
            let text = fs::read_to_string(folder.join("live.jsonl")).unwrap_or_default();
            let all = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            all.into_iter().find(|message| message["schema"] == RANKING && message["seq"] == seq)
        })
    };
    for messages in [&everything, &asked, &binary] {
        let rankings: Vec<&Value> = messages.iter().filter(|message| message["schema"] == RANKING).collect();
        assert_eq!(rankings.len(), 12);
        for (place, ranking) in rankings.iter().enumerate() {
            let seq = ranking["seq"].as_u64().unwrap();
            assert_eq!(seq, rankings[0]["seq"].as_u64().unwrap() + place as u64, "none is lost");
            assert_eq!(**ranking, written(seq));
            assert_eq!((ranking["ranking"].as_array().unwrap().len(), &ranking["identification"]), (3, &"seen".into()));
        }
        assert!(rankings.iter().any(|ranking| ranking["complete"] == true));
    }
    let frames = |messages: &[Value]| messages.iter().filter(|m| m["schema"] == FRAME).count();
    assert!(frames(&everything) > 0 && frames(&asked) == 0 && frames(&binary) == 0);
    let other = other.join().unwrap();
    assert!(frames(&other) == 12 && other.iter().all(|message| message["schema"] != RANKING));
}

/// What a WebSocket client hears, as text, until so many messages of a schema have come.
fn heard(url: &str, schema: &str, count: usize) -> Vec<Value> {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let hear = async {
        let (mut socket, _) = tokio_tungstenite::connect_async(url).await.unwrap();
        let (mut messages, mut left) = (Vec::new(), count);
        while left > 0 {
            let message = socket.next().await.unwrap().unwrap();
            let Ok(message) = serde_json::from_str::<Value>(message.to_text().unwrap_or_default()) else { continue };
            left -= usize::from(message["schema"] == schema);
            messages.push(message);
        }
        messages
    };
    let patience = Duration::from_secs(30);
    runtime.block_on(async { tokio::time::timeout(patience, hear).await.unwrap() })
}

#[test]
fn what_cannot_be_asked_is_refused_with_the_fix() {
    if runtime().is_none() {
        return;
    }
    let (encoder, temporary) = (folder("text", TEXT), tempfile::tempdir().unwrap());
    let folder = temporary.path();
    let says = |spoil: &dyn Fn(String) -> String, list: &str, code: i32, expected: &str| {
        recording(folder, encoder.path(), 0);
        let path = folder.join("live.toml");
        fs::write(&path, spoil(fs::read_to_string(&path).unwrap())).unwrap();
        fs::write(folder.join("candidates.tsv"), list).unwrap();
        let done = neurod(folder);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(done.status.code() == Some(code) && said.contains(expected), "{:?}: {said}", done.status.code());
    };
    let as_it_is = |config: String| config;
    let two = "id\ttext\na\theat\nb\tarm\n";
    says(&as_it_is, "id\ttext\na\theat\n", 78, "has 1 candidates (list 2 to 256)");
    says(&as_it_is, "id\ttext\na\theat\na\tarm\n", 65, "two candidates are called \"a\"");
    says(&as_it_is, "id\ttext\na\theat\nb\tn/a\n", 78, "candidate \"b\" has no text for encoder \"words\"");
    says(&as_it_is, "name\ttext\na\theat\n", 65, "id");
    let other = |config: String| config.replace("predictor = \"regions\"", "predictor = \"regons\"");
    says(&other, two, 78, "there are: regions");
    let long: String = (0..257).map(|i| format!("c{i}\theat {i}\n")).collect();
    says(&as_it_is, &format!("id\ttext\n{long}"), 78, "has 257 candidates");
}

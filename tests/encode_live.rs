//! The same numbers live as offline: a fitted model in the daemon's steps, on the same rows, frozen and learning on.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod encoders_support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use encoders_support::{fetched, folder, runtime};
use ndarray::{Array1, Array2, Axis, concatenate, s};
use ndarray_npy::write_npy;
use neurod::encoders::{EncoderConfig, Input, build};
use neurod::encoding::solve::fit;
use neurod::ridge::{FittedModel, Response, response_weights};
use serde_json::Value;

const TR: f64 = 2.0;
const VOLUMES: usize = 40;
const REGIONS: usize = 3;
const WORDS: [&str; 3] = ["heat", "arm pain", "rate heat"];
const TEXT: &str = "kind = \"text\"\noutput = \"last\"\npooling = \"mean\"\ndims = 4\n\
    text = { input_ids = \"tokens\", token_type_ids = \"segments\", max_tokens = 6 }";

/// What is shown during volume `t` of run `run`, if anything: which of the words.
fn shown(run: usize, t: usize) -> Option<usize> {
    (t % 4 < 2).then_some((t / 4 * (run + 2) + run) % WORDS.len())
}

fn measured(run: usize, t: usize, region: usize) -> f64 {
    let task = |delay: usize| if t >= delay { shown(run, t - delay).map_or(0.0, |w| 1.0 + w as f64) } else { 0.0 };
    let noise = ((t * (region + 3) + run * 11) as f64 * 0.7).sin();
    10.0 + 0.5 * (region as f64 + 1.0) * task(1) - 0.2 * task(2) + 0.3 * noise
}

/// Rows of features and responses of these runs, as `encode` reads them.
fn arrays(folder: &Path, runs: &[usize], sentence: &[Vec<f32>], sha256: &str) {
    fs::create_dir_all(folder.join("features")).unwrap();
    let rows: Vec<(usize, usize)> = runs.iter().flat_map(|run| (0..VOLUMES).map(|t| (*run, t))).collect();
    let at = |row: usize| shown(rows[row].0, rows[row].1);
    let dims = sentence[0].len();
    let words = Array2::from_shape_fn((rows.len(), dims), |(row, c)| at(row).map_or(0.0, |w| sentence[w][c]));
    let design = Array2::from_shape_fn((rows.len(), 2), |(row, c)| f32::from(u8::from(at(row) == Some(c))));
    let y = Array2::from_shape_fn((rows.len(), REGIONS), |(row, v)| measured(rows[row].0, rows[row].1, v));
    write_npy(folder.join("features/sentence.npy"), &words).unwrap();
    write_npy(folder.join("features/design.npy"), &design).unwrap();
    write_npy(folder.join("responses.npy"), &y).unwrap();
    fs::write(folder.join("features/sentence.json"), format!("{{\"sha256\": {sha256:?}}}")).unwrap();
    let list: String = rows.iter().map(|(run, _)| format!("{run}\n")).collect();
    fs::write(folder.join("runs.tsv"), format!("run\n{list}")).unwrap();
    fs::write(folder.join("regions.tsv"), "region\ninsula\nM1\nV1\n").unwrap();
}

/// The recording of one run with its events.
fn recording(folder: &Path, run: usize) {
    let row = |t: usize| (0..REGIONS).map(|v| measured(run, t, v).to_string()).collect::<Vec<_>>().join("\t");
    let rows: String = (0..VOLUMES).map(|t| row(t) + "\n").collect();
    fs::write(folder.join("run.tsv"), format!("insula\tM1\tV1\n{rows}")).unwrap();
    let mut events = String::from("onset\tduration\ttrial_type\ttext\n");
    for (t, word) in (0..VOLUMES).filter_map(|t| Some((t, shown(run, t)?))) {
        events += &format!("{}\t{TR}\tw{word}\t{}\n", t as f64 * TR, WORDS[word]);
    }
    fs::write(folder.join("run_events.tsv"), events).unwrap();
}

fn config(model: &Path, more: &str) -> String {
    format!(
        r#"
        [libraries]
        onnxruntime = {:?}
        [sources.scanner]
        input.replay = {{ files = ["run.tsv"], tr = {TR:?}, events = ["run_events.tsv"] }}
        [events.stimulus]
        input.recording = "scanner"
        [encoders.design]
        columns = {{ events = "stimulus", columns = [{{ name = "trial_type", is = "w0" }}, {{ name = "trial_type", is = "w1" }}] }}
        [encoders.words]
        text = {{ model = {model:?}, events = "stimulus" }}
        [predictors.regions]
        features = ["design", "words"]
        model = "m.neurod"
        {more}
        "#,
        fetched("lib/libonnxruntime.so").unwrap()
    )
}

fn neurod(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neurod")).args(arguments).current_dir(folder).output().unwrap()
}

fn done(arguments: &[&str], folder: &Path) {
    let done = neurod(arguments, folder);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

/// What was foretold of each volume, and the model's stamp on the last frame.
fn foretold(folder: &Path, config: &str) -> (Array2<f64>, Value) {
    fs::write(folder.join("live.toml"), config).unwrap();
    done(&["replay", "--config", "live.toml", "--out", "frames.jsonl"], folder);
    let text = fs::read_to_string(folder.join("frames.jsonl")).unwrap();
    let mut out = Array2::from_elem((VOLUMES, REGIONS), f64::NAN);
    let mut model = Value::Null;
    for frame in text.lines().map(|line| serde_json::from_str::<Value>(line).unwrap()) {
        if frame["kind"] == "encoded" && frame["t_target"].as_f64() < Some(VOLUMES as f64 * TR) {
            let row = (frame["t_target"].as_f64().unwrap() / TR).round() as usize;
            let values = frame["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap());
            out.row_mut(row).assign(&values.collect::<Array1<f64>>());
            assert!(!frame["quality"].to_string().contains("WARMING_UP"), "{frame}");
            model = frame["model"].clone();
        }
    }
    (out, model)
}

/// The largest distance, in units of the last place of an f32 of that size.
fn places(got: &Array2<f64>, want: &Array2<f64>) -> f64 {
    let apart = got.iter().zip(want).map(|(a, b)| (a - b).abs() / (b.abs() * f64::from(f32::EPSILON)));
    apart.fold(0.0, |most, d| if d <= most { most } else { d })
}

#[test]
fn frozen_and_learning_on_it_foretells_what_offline_ridge_does() {
    same_live_as_offline(&["--delays", "1,2"], 2, |x, t| {
        let at = |delay: usize| if t % VOLUMES >= delay { x.row(t - delay).to_vec() } else { vec![0.0; x.ncols()] };
        [at(1), at(2)].concat()
    });
}

#[test]
fn a_model_of_convolved_features_foretells_what_offline_ridge_does() {
    for (name, response) in [("spm", Response::Spm), ("glover", Response::Glover)] {
        let weights = response_weights(response, TR);
        same_live_as_offline(&["--hrf", name], 0, |x, t| {
            let part = |column: usize| {
                let of_run = weights.iter().enumerate().take(t % VOLUMES + 1);
                of_run.map(|(ago, weight)| weight * x[(t - ago, column)]).sum()
            };
            (0..x.ncols()).map(part).collect()
        });
    }
}

/// Fits with this timing, replays, and compares with rows made by hand of all features (rows × columns) for row t; without
/// a scanner, what is foretold of the last `unknown` volumes comes after their recording has ended.
fn same_live_as_offline(timing: &[&str], unknown: usize, by_hand: impl Fn(&Array2<f64>, usize) -> Vec<f64>) {
    let Some(runtime) = runtime() else { return };
    let (encoder, temporary) = (folder("text", TEXT), tempfile::tempdir().unwrap());
    let (folder, old, new) = (temporary.path(), temporary.path().join("old"), temporary.path().join("new"));
    let text = toml::from_str(&format!("text = {{ model = {:?}, events = \"e\" }}", encoder.path())).unwrap();
    let mut text = build(&text as &EncoderConfig, Some(&runtime), None, 1).unwrap();
    let mut encode = |words: &&str| {
        let mut feature = Vec::new();
        text.encode(&Input::Text(words), &mut feature).unwrap();
        feature
    };
    let sentence: Vec<Vec<f32>> = WORDS.iter().map(&mut encode).collect();
    let sha256 = text.spec().sha256.to_string();
    arrays(&old, &[0, 1], &sentence, &sha256);
    arrays(&new, &[2], &sentence, &sha256);
    recording(folder, 2);
    let fitted = ["encode", "fit", "old", "--grid", "0.5,5,50", "--folds", "runs", "--tr", "2", "--out", "m.neurod"];
    done(&[&fitted[..], timing].concat(), folder);
    done(&["encode", "predict", "m.neurod", "new", "--out", "p.npy"], folder);
    let offline: Array2<f64> = ndarray_npy::read_npy(folder.join("p.npy")).unwrap();
    let model = FittedModel::read(&folder.join("m.neurod")).unwrap();

    // Frozen: the same numbers, but for the rounding of frames to f32.
    let (live, stamp) = foretold(folder, &config(encoder.path(), "targets = \"scanner\"\nlearn = false"));
    assert!(places(&live, &offline) <= 1.0, "{}", places(&live, &offline));
    assert_eq!((&stamp["id"], &stamp["sha256"]), (&"m".into(), &(*model.sha256).into()));
    assert_eq!(stamp["updates"], 2 * VOLUMES);

    // Without a scanner it goes by its own TR.
    let alone = config(encoder.path(), "learn = false");
    let (live, _) = foretold(folder, &alone);
    let known = s![..VOLUMES - unknown, ..];
    assert!(places(&live.slice(known).to_owned(), &offline.slice(known).to_owned()) <= 1.0);

    // Learning on: each volume foretold by ridge on all rows before it, old and new.
    let (live, stamp) = foretold(folder, &config(encoder.path(), "targets = \"scanner\""));
    let read = |folder: &Path, name: &str| ndarray_npy::read_npy::<_, Array2<f32>>(folder.join(name)).unwrap();
    let rows = |of: &Path| {
        let (d, w) = (read(of, "features/design.npy"), read(of, "features/sentence.npy"));
        let x = concatenate(Axis(1), &[d.view(), w.view()]).unwrap().mapv(f64::from);
        let rows: Vec<f64> = (0..x.nrows()).flat_map(|t| by_hand(&x, t)).collect();
        Array2::from_shape_vec((x.nrows(), rows.len() / x.nrows()), rows).unwrap()
    };
    let x = concatenate(Axis(0), &[rows(&old).view(), rows(&new).view()]).unwrap();
    let y = [&old, &new].map(|f| ndarray_npy::read_npy::<_, Array2<f64>>(f.join("responses.npy")).unwrap());
    let y = concatenate(Axis(0), &[y[0].view(), y[1].view()]).unwrap();
    let batch = Array2::from_shape_fn((VOLUMES, REGIONS), |_| 0.0);
    let batch = (0..VOLUMES).fold(batch, |mut out, t| {
        let before: Vec<usize> = (0..2 * VOLUMES + t).collect();
        let w = fit(x.view(), y.view(), &before, &model.lambdas, true).unwrap();
        out.row_mut(t).assign(&(x.row(2 * VOLUMES + t).dot(&w.weights) + Array1::from(w.intercepts)));
        out
    });
    assert!(places(&live, &batch) <= 1.0, "{}", places(&live, &batch));
    assert_eq!(stamp["updates"], 3 * VOLUMES - 1);
    assert!((&batch - &offline).iter().any(|d| d.abs() > 1e-3), "learning on changes something");
}

#[test]
fn what_does_not_belong_together_ends_with_78_and_both_names() {
    if runtime().is_none() {
        return;
    }
    let (encoder, temporary) = (folder("text", TEXT), tempfile::tempdir().unwrap());
    let folder = temporary.path();
    let sentence: Vec<Vec<f32>> = (0..3).map(|i| vec![i as f32 * 0.3; 4]).collect();
    arrays(&folder.join("old"), &[0, 1], &sentence, &"ab".repeat(32));
    recording(folder, 2);
    let fitted = |more: &[&str]| {
        let base = ["encode", "fit", "old", "--lambda", "5", "--delays", "1,2", "--out", "m.neurod"];
        done(&[&base[..], more].concat(), folder);
    };
    let says = |config: &str| {
        fs::write(folder.join("live.toml"), config).unwrap();
        let done = neurod(&["replay", "--config", "live.toml", "--out", "/dev/null"], folder);
        (done.status.code(), String::from_utf8(done.stderr).unwrap())
    };
    let scanner = config(encoder.path(), "targets = \"scanner\"");
    let cases: Vec<(&[&str], String, &str)> = vec![
        (&["--tr", "2"], scanner.clone(), "SHA-256 of \"sentence\""),
        (&[], scanner.clone(), "fit it with --tr"),
        (&["--tr", "2"], format!("{scanner}\nlags = [2.0]"), "not the model's"),
        (&["--tr", "2"], format!("{scanner}\nridge.lambda = 3"), "3 is not what the model was fitted with"),
        (&["--tr", "2", "--no-moments"], scanner.clone(), "set learn = false"),
        (
            &["--tr", "2"],
            scanner.replace("\"design\", \"words\"", "\"words\", \"design\""),
            "columns of \"design\" = 2",
        ),
    ];
    fs::remove_file(folder.join("old/features/sentence.json")).unwrap();
    let check = |more: &[&str], config: &str, expected: &str| {
        fitted(more);
        let (code, said) = says(config);
        assert!(code == Some(78) && said.contains(expected), "{code:?}: {said}");
    };
    // Without a SHA-256 the name decides.
    check(&["--tr", "2"], &scanner, "feature space = sentence, here it is words");
    let named = scanner.replace("words", "sentence");
    check(&["--tr", "2.5"], &named, "tr = 2.5 s, here it is 2 s");
    check(&["--tr", "2", "--unit", "z"], &named, "unit = z");
    arrays(&folder.join("old"), &[0, 1], &sentence, &"ab".repeat(32));
    cases.iter().for_each(|(more, config, expected)| check(more, config, expected));
    fs::write(folder.join("old/regions.tsv"), "region\ninsula\nS1\nV1\n").unwrap();
    fs::remove_file(folder.join("old/features/sentence.json")).unwrap();
    check(&["--tr", "2"], &named, "target 1 = S1, here it is M1");
    fs::write(folder.join("m.neurod"), b"no model").unwrap();
    assert_eq!(says(&named).0, Some(65));
}

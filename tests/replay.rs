//! A replay is deterministic, causal, and scored before it learns.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]
#![allow(clippy::needless_range_loop, clippy::type_complexity, reason = "elimination reads best as in a textbook")]

#[path = "common/daemon.rs"]
mod daemon;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use daemon::until;

use serde_json::Value;

const REGIONS: usize = 3;
const TR: f64 = 2.0;

/// A recording of two runs with events, and a configuration that learns from it.
fn recording(folder: &Path, volumes: [usize; 2], last_event: bool) {
    fs::create_dir_all(folder).unwrap();
    for (run, count) in volumes.iter().enumerate() {
        let mut table = String::from("insula\tM1\tV1\n");
        for t in 0..*count {
            let task = f64::from(u8::from((t / 5) % 2 == 1));
            let wave = |i: usize| ((t * (i + 2) + run) as f64 * 0.7).sin();
            let row: Vec<String> =
                (0..REGIONS).map(|i| format!("{:.6}", 100.0 + 3.0 * wave(i) + i as f64 * task)).collect();
            table.push_str(&(row.join("\t") + "\n"));
        }
        fs::write(folder.join(format!("run{run}.tsv")), table).unwrap();
        let mut events = String::from("onset\tduration\ttrial_type\theat\n");
        let kept = if last_event { 6 } else { 5 };
        (0..kept).for_each(|e| events.push_str(&format!("{}\t10\ttask\t{}\n", 10 + 20 * e, 40 + e)));
        fs::write(folder.join(format!("run{run}_events.tsv")), events).unwrap();
    }
    let config = r#"
        [sources.scanner]
        input.replay = { files = ["run0.tsv", "run1.tsv"], tr = 2.0, events = ["run0_events.tsv", "run1_events.tsv"] }
        fmri = [{ detrend = {} }]
        [events.stimulus]
        input.recording = "scanner"
        [encoders.design]
        columns = { events = "stimulus", columns = [{ name = "heat", not = "n/a" }, { name = "heat", center = 42.0 }] }
        [predictors.regions]
        features = ["design"]
        targets = "scanner"
        lags = [2.0, 4.0]
        ridge.lambda = 10.0
    "#;
    fs::write(folder.join("replay.toml"), config).unwrap();
}

/// The frames that `neurod replay` writes, as text and parsed.
fn replay(folder: &Path) -> (String, Vec<Value>) {
    let out = folder.join("frames.jsonl");
    let done = Command::new(env!("CARGO_BIN_EXE_neurod"))
        .args(["replay", "--config"])
        .arg(folder.join("replay.toml"))
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let text = fs::read_to_string(out).unwrap();
    let frames = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (text, frames)
}

fn frames<'a>(all: &'a [Value], kind: &str) -> Vec<&'a Value> {
    all.iter().filter(|f| f["kind"] == kind).collect()
}

fn values(frame: &Value) -> Vec<f64> {
    frame["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

#[test]
fn the_same_input_gives_the_same_bytes_wherever_it_lies() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (folder.path().join("one"), folder.path().join("another/place"));
    recording(&one, [60, 60], true);
    recording(&other, [60, 60], true);
    let (first, _) = replay(&one);
    assert_eq!(first, replay(&one).0);
    assert_eq!(first, replay(&other).0);
    recording(&one, [60, 60], false);
    assert_ne!(first, replay(&one).0, "another input has another session");
}

#[test]
fn a_marker_begins_a_run_as_it_does_live() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path(), [60, 60], true);
    let (_, before) = replay(folder.path());
    let path = folder.path().join("run1_events.tsv");
    let events = fs::read_to_string(&path).unwrap();
    fs::write(&path, events + "61\t0\tstart\tn/a\n").unwrap();
    let config = fs::read_to_string(folder.path().join("replay.toml")).unwrap();
    let config =
        config.replace("input.recording = \"scanner\"", "input.recording = \"scanner\"\nrun_marker = \"start\"");
    fs::write(folder.path().join("replay.toml"), config).unwrap();
    let (_, after) = replay(folder.path());
    let runs =
        |all: &[Value]| -> Vec<u64> { frames(all, "measured").iter().map(|f| f["run"].as_u64().unwrap()).collect() };
    assert_eq!(runs(&before), [vec![0; 60], vec![1; 60]].concat());
    // The volume that begins at 60 s was measured before the marker at 61 s.
    assert_eq!(runs(&after), [vec![0; 60], vec![1; 31], vec![2; 29]].concat());
    let flagged = |all: &[Value], i: usize| {
        let quality = frames(all, "measured")[i]["quality"].as_array().unwrap().clone();
        quality.iter().any(|q| q == "WARMING_UP")
    };
    assert!(flagged(&after, 91) && !flagged(&before, 91), "detrending begins anew with the run");
}

#[test]
fn cutting_the_input_short_changes_no_earlier_frame() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path(), [60, 60], true);
    let (_, whole) = replay(folder.path());
    recording(folder.path(), [60, 41], true);
    let (_, cut) = replay(folder.path());
    let without_session = |frame: &Value| {
        let mut frame = frame.clone();
        frame["session"] = Value::Null;
        frame
    };
    let same = whole.iter().zip(&cut).take_while(|(a, b)| without_session(a) == without_session(b)).count();
    assert_eq!(same, cut.len(), "frame {same} of {} differs", cut.len());
    assert!(cut.len() > 300 && cut.len() < whole.len(), "{} of {}", cut.len(), whole.len());
}

/// The same numbers from a ridge that is solved anew for every volume, on rows built from the design alone.
#[test]
fn frames_are_those_of_batch_ridge_on_the_volumes_before() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path(), [60, 60], true);
    let (_, all) = replay(folder.path());
    let (measured, residual) = (frames(&all, "measured"), frames(&all, "residual"));
    assert_eq!((measured.len(), residual.len()), (120, 120));

    // Held features of volume t: 1 and heat − 42 during events of 10 s that begin at 10, 30, … s.
    let held = |t: isize| -> [f64; 2] {
        let event = (t as f64 * TR - 10.0).div_euclid(20.0);
        let on = t >= 0 && (0.0..6.0).contains(&event) && (t as f64 * TR - 10.0).rem_euclid(20.0) < 10.0;
        if on { [1.0, event - 2.0] } else { [0.0, 0.0] }
    };
    let row = |t: usize| -> Vec<f64> { [1, 2].iter().flat_map(|lag| held(t as isize - lag)).collect() };
    let mut rows: Vec<(Vec<f64>, Vec<f64>)> = Vec::new();
    for (i, (measured, residual)) in measured.iter().zip(&residual).enumerate() {
        let (x, y) = (row(i % 60), values(measured));
        let predicted: Vec<f64> = y.iter().zip(values(residual)).map(|(y, e)| y - e).collect();
        for region in 0..REGIONS {
            let expected = batch_ridge(&rows, &x, region, 10.0);
            assert!((predicted[region] - expected).abs() < 1e-5, "volume {i}: {} for {expected}", predicted[region]);
        }
        rows.push((x, y));
    }
    assert_eq!(residual[119]["model"]["updates"], 119, "the last prediction was made before the last volume");
}

/// Ridge with an unpenalised intercept by Gauss elimination.
fn batch_ridge(rows: &[(Vec<f64>, Vec<f64>)], x: &[f64], region: usize, lambda: f64) -> f64 {
    let n = rows.len() as f64;
    if rows.is_empty() {
        return 0.0;
    }
    let f = x.len();
    let mean = |of: &dyn Fn(&(Vec<f64>, Vec<f64>)) -> f64| rows.iter().map(of).sum::<f64>() / n;
    let mx: Vec<f64> = (0..f).map(|i| mean(&|r| r.0[i])).collect();
    let my = mean(&|r| r.1[region]);
    let mut a = vec![vec![0.0; f + 1]; f];
    for (xr, yr) in rows {
        for i in 0..f {
            for j in 0..f {
                a[i][j] += (xr[i] - mx[i]) * (xr[j] - mx[j]);
            }
            a[i][f] += (xr[i] - mx[i]) * (yr[region] - my);
        }
    }
    (0..f).for_each(|i| a[i][i] += lambda);
    for i in 0..f {
        for k in i + 1..f {
            let factor = a[k][i] / a[i][i];
            for j in i..=f {
                a[k][j] -= factor * a[i][j];
            }
        }
    }
    let mut w = vec![0.0; f];
    for i in (0..f).rev() {
        w[i] = (a[i][f] - (i + 1..f).map(|j| a[i][j] * w[j]).sum::<f64>()) / a[i][i];
    }
    my + (0..f).map(|i| (x[i] - mx[i]) * w[i]).sum::<f64>()
}

#[test]
fn an_encoded_frame_is_published_a_volume_ahead_and_once() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path(), [60, 60], true);
    let (_, all) = replay(folder.path());
    let encoded = frames(&all, "encoded");
    let targets: Vec<f64> = encoded.iter().map(|f| f["t_target"].as_f64().unwrap()).collect();
    let mut distinct = targets.clone();
    distinct.dedup();
    assert_eq!(targets, distinct, "one frame a volume");
    let ahead = encoded.iter().filter(|f| f["t_published"].as_f64() <= f["t_target"].as_f64()).count();
    // All but the first volume of each run; and one more a run, for a volume that never came.
    assert_eq!((encoded.len(), ahead), (122, 120));
}

#[test]
fn a_missing_value_reaches_no_other_region_and_no_later_frame() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path(), [60, 60], true);
    let (_, clean) = replay(folder.path());
    let path = folder.path().join("run0.tsv");
    let text = fs::read_to_string(&path).unwrap();
    let mut lines: Vec<String> = text.lines().map(String::from).collect();
    let cells: Vec<&str> = lines[30].split('\t').collect();
    lines[30] = format!("{}\tn/a\t{}", cells[0], cells[2]);
    fs::write(&path, lines.join("\n") + "\n").unwrap();
    let (_, holed) = replay(folder.path());
    let (clean, holed) = (frames(&clean, "measured"), frames(&holed, "measured"));
    let hole = holed[29];
    assert!(hole["values"][1].is_null() && hole["values"][0].is_number(), "{hole}");
    assert!(hole["quality"].as_array().unwrap().iter().any(|q| q == "NON_FINITE"));
    for (i, (a, b)) in clean.iter().zip(&holed).enumerate() {
        assert_eq!((&a["values"][0], &a["values"][2]), (&b["values"][0], &b["values"][2]), "volume {i}");
        assert_eq!(b["values"][1].is_null(), i == 29, "volume {i}");
    }
}

/// A replay of days: it ends within a test only if it is ended.
fn endless(folder: &Path, out: &str) -> Child {
    let path = folder.join("endless.toml");
    let config = "[sources.eeg]\ninput.synthetic = { channels = 4, duration = 1e6 }\n[sources.goal]\n\
        input.synthetic = { channels = 2, rate = 10.0, duration = 1e6 }\n\
        [predictors.regions]\nfeatures = [\"eeg\"]\ntargets = \"goal\"\n";
    fs::write(&path, config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
    command.args(["replay", "--out", out, "--config"]).arg(&path);
    command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap()
}

/// Its exit code and what it said on standard error.
fn ended(mut replay: Child) -> (Option<i32>, String) {
    let end = until("the replay to end", 30.0, || replay.try_wait().unwrap());
    let mut said = String::new();
    replay.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    (end.code(), said)
}

#[test]
fn a_closed_pipe_ends_it_quietly() {
    let folder = tempfile::tempdir().unwrap();
    let mut replay = endless(folder.path(), "-");
    let mut first = String::new();
    BufReader::new(replay.stdout.take().unwrap()).read_line(&mut first).unwrap();
    assert!(first.contains("neurod.regions.v1"), "{first}");
    assert_eq!(ended(replay), (Some(0), String::new()));
}

#[test]
fn a_full_disk_ends_it_at_once_and_is_named() {
    let folder = tempfile::tempdir().unwrap();
    let (code, said) = ended(endless(folder.path(), "/dev/full"));
    assert_eq!(code, Some(74), "{said}");
    assert!(said.contains("--out /dev/full: No space left on device"), "{said}");
}

#[test]
fn the_summary_is_for_people_or_for_scripts() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path(), [60, 60], true);
    let summary = |options: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
        command.args(["replay", "--out", "/dev/null", "--config"]).arg(folder.path().join("replay.toml"));
        String::from_utf8(command.args(options).output().unwrap().stderr).unwrap()
    };
    let json: Value = serde_json::from_str(&summary(&["--json"])).unwrap();
    let skill = &json["skill"]["regions"];
    assert_eq!(skill["updates"], 120);
    let number = |key: &str| skill[key].as_f64().unwrap();
    let line =
        format!("regions: mean R {:.4}, max {:.3}, MAE {:.3}\n", number("r_mean"), number("r_max"), number("mae"));
    let text = summary(&[]);
    assert!(text.ends_with(&line), "{line:?} does not end {text:?}");
}

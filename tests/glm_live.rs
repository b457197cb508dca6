//! Which regions answer, told while they are measured: what ordinary least squares gives of the same rows in numpy.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::{Value, json};

const VOLUMES: usize = 90;
const TR: f64 = 2.0;

/// t of both contrasts after the last volume, from tables of responses and of the design.
const ORACLE: &str = "import sys, json, numpy as np
y = np.loadtxt(sys.argv[1], skiprows=1)
d = np.loadtxt(sys.argv[2])
n = len(y)
x = np.c_[d, np.vander(np.linspace(-1, 1, n), 2 + int(n * 2.0 / 60.0))]
b = np.linalg.lstsq(x, y, rcond=None)[0]
s = ((y - x @ b) ** 2).sum(0) / (n - x.shape[1])
c = np.zeros((2, x.shape[1])); c[0, 0] = 1; c[1, :2] = 1, -1
v = np.einsum('ij,jk,ik->i', c, np.linalg.inv(x.T @ x), c)
print(json.dumps((c @ b / np.sqrt(np.outer(v, s))).tolist()))";

/// Faces and houses in turn, four volumes each, with two of rest between.
fn shown(t: usize) -> [f64; 2] {
    match t % 12 {
        0..4 => [1.0, 0.0],
        6..10 => [0.0, 1.0],
        _ => [0.0, 0.0],
    }
}

fn value(t: usize, region: usize) -> f64 {
    let [face, house] = shown(t);
    let noise = ((t * (7 * region + 3)) as f64 * 1.7 + region as f64).sin() + ((t * t) as f64 * 0.37).cos();
    let answer = [3.0 * face, 2.0 * house, 0.0][region];
    1000.0 + answer + noise + 0.02 * t as f64
}

fn messages(folder: &Path, predictor: &str) -> Result<Vec<Value>, String> {
    let row = |t: usize| (0..3).map(|r| value(t, r).to_string()).collect::<Vec<_>>().join("\t") + "\n";
    fs::write(folder.join("run.tsv"), format!("a\tb\tc\n{}", (0..VOLUMES).map(row).collect::<String>())).unwrap();
    let design = |t: usize| shown(t).map(|v| v.to_string()).join("\t") + "\n";
    fs::write(folder.join("design.tsv"), (0..VOLUMES).map(design).collect::<String>()).unwrap();
    let event = |t: usize| match shown(t) {
        [1.0, _] => format!("{}\t{TR}\tface\n", t as f64 * TR),
        [_, 1.0] => format!("{}\t{TR}\thouse\n", t as f64 * TR),
        _ => String::new(),
    };
    let events = (0..VOLUMES).map(event).collect::<String>();
    fs::write(folder.join("events.tsv"), format!("onset\tduration\ttrial_type\n{events}")).unwrap();
    let config = format!(
        "[sources.scanner]\ninput.replay = {{ files = [\"run.tsv\"], tr = 2.0, events = [\"events.tsv\"] }}\n\
         [events.stimulus]\ninput.recording = \"scanner\"\n[encoders.kind.columns]\nevents = \"stimulus\"\n\
         columns = [{{ name = \"trial_type\", is = \"face\" }}, {{ name = \"trial_type\", is = \"house\" }}]\n\
         [predictors.regions]\nfeatures = [\"kind\"]\ntargets = \"scanner\"\n{predictor}"
    );
    fs::write(folder.join("live.toml"), config).unwrap();
    let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
    let arguments = ["replay", "--config", "live.toml", "--out", "frames.jsonl"];
    let done = command.args(arguments).current_dir(folder).output().unwrap();
    if !done.status.success() {
        return Err(String::from_utf8_lossy(&done.stderr).into_owned());
    }
    let text = fs::read_to_string(folder.join("frames.jsonl")).unwrap();
    Ok(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

#[test]
fn contrasts_of_a_replay_are_numpys_and_name_the_regions_that_answer() {
    let folder = tempfile::tempdir().unwrap();
    let glm = "glm = { contrasts = { faces = [1, 0], faces_houses = [1, -1] }, drift = 60.0 }";
    let messages = messages(folder.path(), glm).unwrap();
    let frames = |name: &str| -> Vec<&Value> {
        messages.iter().filter(|m| m["kind"] == "contrast" && m["predictor"] == format!("regions.{name}")).collect()
    };
    let (faces, both) = (frames("faces"), frames("faces_houses"));
    assert_eq!((faces.len(), both.len()), (VOLUMES, VOLUMES));
    let regions = messages.iter().find(|m| m["regions_id"] == faces[0]["regions_id"]).unwrap();
    assert_eq!((&regions["unit"], &regions["names"]), (&json!("t"), &json!(["a", "b", "c"])));
    for (t, frame) in faces.iter().enumerate() {
        assert_eq!(
            (&frame["seq"], &frame["unit"], &frame["t_target"]),
            (&json!(t), &json!("t"), &json!(t as f64 * TR))
        );
        let warming = frame["quality"].as_array().unwrap().contains(&json!("WARMING_UP"));
        assert_eq!(warming, frame["values"][0].is_null(), "{frame}");
    }
    let last =
        |frames: &[&Value]| -> Vec<f64> { serde_json::from_value(frames[VOLUMES - 1]["values"].clone()).unwrap() };
    let [of_faces, of_both] = [last(&faces), last(&both)];
    assert!(of_faces[0] > 5.0 && of_faces[2].abs() < 3.0 && of_both[1] < -3.0, "{of_faces:?} {of_both:?}");
    let Some(python) = common::python(&["numpy"]) else { return };
    let done = Command::new(python).args(["-c", ORACLE, "run.tsv", "design.tsv"]).current_dir(folder.path()).output();
    let done = done.unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let expected: [Vec<f64>; 2] = serde_json::from_slice(&done.stdout).unwrap();
    for (ours, theirs) in of_faces.iter().chain(&of_both).zip(expected.iter().flatten()) {
        // Frames are in single precision.
        assert!((ours - theirs).abs() <= 1e-6 * (1.0 + theirs.abs()), "{ours} against {theirs}");
    }
}

#[test]
fn what_cannot_be_contrasted_is_refused_by_name() {
    let folder = tempfile::tempdir().unwrap();
    for (glm, said) in [
        (
            "glm = { contrasts = { a = [1, 0, 0] } }",
            "predictor \"regions\": glm.contrasts: a has 3 weights for 2 columns",
        ),
        ("glm = { contrasts = { a = [1, 0] }, motion = 6 }", "predictors.regions.glm.motion: is known where"),
    ] {
        let error = messages(folder.path(), glm).unwrap_err();
        assert!(error.contains(said), "{error}");
    }
}

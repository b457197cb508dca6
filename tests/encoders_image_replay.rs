//! The pictures of a recording's events become features in a replay; one that is missing or broken is flagged, no more.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod encoders_support;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use encoders_support::*;
use serde_json::Value;

const VOLUMES: usize = 60;

/// A recording whose events show pictures, and a configuration that learns from pictures and columns.
fn recording(folder: &Path, model: &Path, pictures: &[&str]) {
    let rows = (0..VOLUMES).map(|t| format!("{:.4}\t{:.4}\n", (t as f64 * 0.7).sin(), (t as f64 * 0.3).cos()));
    fs::write(folder.join("run.tsv"), format!("insula\tV1\n{}", rows.collect::<String>())).unwrap();
    let events = pictures.iter().enumerate().map(|(i, name)| format!("{}\t4\tlook\t{name}\n", 4 + 10 * i));
    let header = "onset\tduration\ttrial_type\tstim_file\n";
    fs::write(folder.join("run_events.tsv"), format!("{header}{}", events.collect::<String>())).unwrap();
    fs::create_dir_all(folder.join("stimuli/set")).unwrap();
    fs::copy(repository("tests/golden/images/photo.png"), folder.join("stimuli/set/photo.png")).unwrap();
    fs::copy(repository("tests/golden/images/photo.jpg"), folder.join("stimuli/photo.jpg")).unwrap();
    fs::write(folder.join("stimuli/broken.png"), b"\x89PNG\r\n\x1a\nbroken").unwrap();
    let config = format!(
        r#"
        [libraries]
        onnxruntime = {:?}
        [sources.scanner]
        input.replay = {{ files = ["run.tsv"], tr = 2.0, events = ["run_events.tsv"] }}
        [events.screen]
        input.recording = "scanner"
        [encoders.picture]
        image = {{ model = {model:?}, events = "screen", stimuli = "stimuli" }}
        [encoders.design]
        columns = {{ events = "screen", columns = [{{ name = "trial_type", is = "look" }}] }}
        [predictors.regions]
        features = ["picture", "design"]
        targets = "scanner"
        lags = [2.0]
        ridge.lambda = 1.0
        "#,
        fetched("lib/libonnxruntime.so").unwrap()
    );
    fs::write(folder.join("images.toml"), config).unwrap();
}

fn neurod(folder: &Path, command: &str, more: &[&str]) -> Output {
    let mut neurod = Command::new(env!("CARGO_BIN_EXE_neurod"));
    neurod.arg(command).arg("--config").arg(folder.join("images.toml")).args(more);
    let done = neurod.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    done
}

/// The frames of a replay, and what it said.
fn replay(folder: &Path) -> (Vec<Value>, String) {
    let out = folder.join("frames.jsonl");
    let said = neurod(folder, "replay", &["--out", out.to_str().unwrap()]).stderr;
    let frames = fs::read_to_string(out).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    (frames, String::from_utf8(said).unwrap())
}

/// How many frames carry the flag.
fn stale(frames: &[Value]) -> usize {
    frames.iter().filter(|frame| frame["quality"].to_string().contains("STALE_MODEL")).count()
}

#[test]
fn pictures_of_events_are_encoded_and_broken_ones_are_counted_and_flagged() {
    if runtime().is_none() {
        return;
    }
    let manifest = "kind = \"image\"\noutput = \"map\"\npooling = \"spatial\"\ndims = 3\n\
        image = { input = \"pixels\", layout = \"nchw\", size = 6, resize = \"squash\", filter = \"bicubic\" }\n";
    let (model, folder) = (folder("image_nchw", manifest), tempfile::tempdir().unwrap());
    let folder = folder.path();
    recording(folder, model.path(), &["set/photo.png", "photo.jpg", "n/a", "set/photo.png", "photo.jpg"]);
    let checked = String::from_utf8(neurod(folder, "check", &[]).stdout).unwrap();
    assert!(checked.contains("# encoder \"picture\": events \"screen\""), "{checked}");
    let (sound, said) = replay(folder);
    assert!(!said.contains("a pass failed"), "{said}");
    assert_eq!(stale(&sound), 0);
    let predicted = sound.iter().filter(|f| f["kind"] == "encoded").count();
    assert!(predicted > VOLUMES / 2, "{predicted}");
    assert_eq!(replay(folder).0, sound, "a replay repeats bit for bit");

    recording(folder, model.path(), &["set/photo.png", "broken.png", "n/a", "missing.png", "../images.toml"]);
    let (flagged, said) = replay(folder);
    for problem in [
        "image broken.png: a damaged image",
        "image missing.png: there is no file",
        "image ../images.toml: leads out of the stimuli folder",
    ] {
        assert_eq!(said.matches(problem).count(), 1, "{problem}: {said}");
    }
    assert!(stale(&flagged) >= 3, "{}", stale(&flagged));

    // Other pixels under the same name are another session.
    let session = |frames: &[Value]| frames.iter().find_map(|f| f["session"].as_str()).unwrap().to_owned();
    assert_ne!(session(&flagged), session(&sound));
    recording(folder, model.path(), &["set/photo.png", "photo.jpg", "n/a", "set/photo.png", "photo.jpg"]);
    assert_eq!(session(&replay(folder).0), session(&sound));
    fs::copy(repository("tests/golden/images/grey.jpg"), folder.join("stimuli/photo.jpg")).unwrap();
    assert_ne!(session(&replay(folder).0), session(&sound));
}

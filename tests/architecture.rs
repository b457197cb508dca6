//! Holds the rules of ARCHITECTURE.md against the source: who may know whom, and how long a file may be.

#![allow(clippy::unwrap_used, reason = "a test may fail by panicking")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// What a folder of `src/` may know of the others, and why no more.
const MAY_USE: &[(&str, &[&str], &str)] = &[
    ("frame", &[], "everything depends on frame, so frame depends on nothing"),
    ("native", &[], "finding a library needs nothing else"),
    ("linalg", &[], "linear algebra is about numbers"),
    ("draws", &[], "chance is a seed and a number"),
    ("drawing", &[], "a figure is marks, whatever they stand for"),
    ("parallel", &[], "spreading work needs no more than the work"),
    ("interval", &[], "an interval is two numbers"),
    ("ring", &["frame"], "a link carries values, whatever they are"),
    ("signal", &["frame"], "signal is pure arithmetic on blocks"),
    ("fmri", &["frame"], "fmri is pure arithmetic on blocks"),
    ("ridge", &["frame", "linalg"], "ridge is pure arithmetic on rows"),
    (
        "encoding",
        &["frame", "linalg", "draws", "drawing", "parallel", "interval"],
        "encoding is pure arithmetic on arrays",
    ),
    (
        "network",
        &["frame", "linalg", "draws", "drawing", "parallel", "interval"],
        "a network is arithmetic on matrices",
    ),
    ("encoders", &["frame"], "an encoder turns one input into one vector and knows nothing of lanes"),
    ("acquisition", &["frame", "fmri", "native"], "a source makes blocks; a volume becomes regions where it is read"),
    (
        "datasets",
        &["frame", "acquisition", "fmri", "linalg", "network"],
        "a dataset is read from files, whatever is done with it",
    ),
    (
        "scanner",
        &["frame", "acquisition", "fmri", "draws"],
        "a scanner plays a recording; whoever reads it is elsewhere",
    ),
    ("publish", &["frame", "native"], "a sink is given frames and does not ask where they come from"),
    (
        "runtime",
        &["frame", "ring", "signal", "fmri", "ridge", "network", "encoders", "acquisition", "publish"],
        "lanes drive the steps; the service hears of them through traits",
    ),
    ("config", &[], "the loader reads any configuration"),
    ("service", &["frame", "publish", "runtime", "config"], "the service publishes and operates; it does not compute"),
];

/// Crates that only some places may use, and why.
const CONFINED: &[(&str, &[&str], &str)] = &[
    ("tokio::", &["service", "publish"], "lanes are threads; only what talks to clients waits asynchronously"),
    (
        "crossbeam::",
        &["ring", "runtime", "service/bridge.rs"],
        "threads meet in ring and runtime, and once in the bridge",
    ),
    ("faer::", &["linalg.rs"], "faer changes with every minor release, so one module wraps it"),
    ("ort::", &["encoders"], "ONNX sessions are encoders"),
    ("candle_core::", &["network/deep"], "gradients are for what is trained; all else is plain arrays"),
    ("hdf5_pure::", &["datasets/mat/v73.rs"], "MATLAB 7.3 is the one kind of HDF5 that is read"),
    ("zip::", &["datasets/archive.rs"], "an archive of arrays is the one kind of zip that is read"),
    ("dicom_object::", &["scanner"], "DICOM is written by the simulator alone; what is read is read within bounds"),
    ("dicom_ul::", &["acquisition/association"], "PDUs are read and written where their lengths and times are bounded"),
    ("notify::", &["acquisition/folder/inbox.rs"], "a folder is watched in one place"),
    ("image::", &["encoders/image/decode.rs"], "files from outside are decoded in one place, behind its limits"),
    ("tiny_skia::", &["drawing/raster.rs"], "a figure is marks; only one place makes pixels of them"),
    ("ttf_parser::", &["drawing/raster.rs"], "a figure is marks; only one place makes pixels of them"),
    (
        "lsl_sys::",
        &["acquisition/lsl", "publish/lsl.rs", "native.rs"],
        "the LSL FFI stays where streams come in and go out",
    ),
];

/// The most lines of a file, tests included.
const MOST_LINES: usize = 500;

fn sources() -> BTreeMap<String, String> {
    fn walk(folder: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|e| e == "rs") {
                found.push(path);
            }
        }
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    walk(&root, &mut found);
    let relative = |p: &Path| p.strip_prefix(&root).unwrap().to_string_lossy().into_owned();
    found.iter().map(|p| (relative(p), fs::read_to_string(p).unwrap())).collect()
}

/// The code of a file: without its comments, and without its unit tests, which stand last.
fn code(text: &str) -> String {
    let lines = text.lines().take_while(|line| !line.starts_with("#[cfg(test)]"));
    lines.filter(|line| !line.trim_start().starts_with("//")).collect::<Vec<_>>().join("\n")
}

fn room_of(path: &str) -> &str {
    path.split(['/', '.']).next().unwrap_or(path)
}

#[test]
fn dependencies_between_folders_point_one_way() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let Some((room, allowed, why)) = MAY_USE.iter().find(|(room, ..)| *room == room_of(&path)) else { continue };
        let code = code(&text);
        for (other, ..) in MAY_USE.iter().filter(|(other, ..)| other != room && !allowed.contains(other)) {
            if code.contains(&format!("crate::{other}::")) || code.contains(&format!("crate::{{{other}::")) {
                broken.push(format!("src/{path} uses crate::{other}, but {why}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn confined_crates_stay_where_they_belong() {
    let mut broken = Vec::new();
    for (path, text) in sources() {
        let code = code(&text);
        for (name, places, why) in CONFINED {
            let used = code.contains(&format!("use {name}"))
                || code.contains(&format!(" {name}"))
                || code.contains(&format!("({name}"));
            if used && !places.iter().any(|place| path.starts_with(place)) {
                broken.push(format!("src/{path} uses {name}, but {why}"));
            }
        }
    }
    assert!(broken.is_empty(), "{}", broken.join("\n"));
}

#[test]
fn files_stay_short_enough_to_read() {
    let long: Vec<String> = sources()
        .into_iter()
        .map(|(path, text)| (path, text.lines().count()))
        .filter(|(_, lines)| *lines > MOST_LINES)
        .map(|(path, lines)| format!("src/{path} has {lines} lines: is there a second thing in there?"))
        .collect();
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn every_module_answers_its_question_first() {
    let silent: Vec<String> = sources()
        .into_iter()
        .filter(|(_, text)| !text.starts_with("//! "))
        .map(|(path, _)| format!("src/{path} does not begin with what it is for"))
        .collect();
    assert!(silent.is_empty(), "{}", silent.join("\n"));
}

#[test]
fn main_is_thin() {
    let main = &sources()["main.rs"];
    assert!(main.lines().count() <= 100, "main.rs parses, builds and waits; the rest has its own place");
}

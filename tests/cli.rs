//! What the command line says, and what it ends with.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::fs;
use std::net::TcpListener;
use std::process::{Command, Output};

fn neurod(args: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
    command.args(args);
    command
}

fn ends(mut command: Command, code: i32, said: &[&str]) -> Output {
    let output = command.output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr).into_owned();
    assert_eq!(output.status.code(), Some(code), "{text}");
    said.iter().for_each(|part| assert!(text.contains(part), "{part:?} is not in {text:?}"));
    output
}

fn with_config(text: &str, arguments: &[&str], code: i32, said: &[&str]) -> Output {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.toml");
    fs::write(&path, text).unwrap();
    let mut command = neurod(arguments);
    command.arg("--config").arg(&path);
    ends(command, code, said)
}

const SYNTHETIC: &str = "[sources.eeg]\ninput.synthetic = { channels = 4 }\n[sources.goal]\n\
    input.synthetic = { channels = 2, rate = 10.0 }\n[predictors.regions]\nfeatures = [\"eeg\"]\ntargets = \"goal\"\n";

#[test]
fn every_configuration_in_the_repository_is_good() {
    let mut seen = 0;
    for entry in fs::read_dir("config").unwrap() {
        let path = entry.unwrap().path();
        // The demo's recordings have to be fetched first; tests/demo.rs plays them.
        if path.ends_with("demo.toml") && !std::path::Path::new(".cache/data/heatpain").is_dir() {
            continue;
        }
        // Its regions have to be simulated first; tests/eeg_fmri.rs plays it.
        if path.ends_with("eeg-fmri.toml") && !std::path::Path::new(".cache/eeg-fmri").is_dir() {
            continue;
        }
        // The label image is the user's own; a small one stands in for it.
        let folder = tempfile::tempdir().unwrap();
        let beside = folder.path().join("fmri.toml");
        fs::copy("tests/golden/labels.nii.gz", folder.path().join("labels.nii.gz")).unwrap();
        let mut command = neurod(&["check", "--config"]);
        let is_live = ["fmri-folder.toml", "fmri-dicom.toml"].iter().any(|name| path.ends_with(name));
        command.arg(match is_live {
            true => fs::copy(&path, &beside).map(|_| &beside).unwrap(),
            false => &path,
        });
        let output = ends(command, 0, &[]);
        assert!(String::from_utf8_lossy(&output.stdout).contains("the configuration is good"));
        seen += 1;
    }
    assert!(seen >= 3);
}

#[test]
fn a_mistake_in_a_configuration_is_placed_and_ends_with_78() {
    let typo = SYNTHETIC.replace("channels = 4", "chanels = 4");
    with_config(&typo, &["run"], 78, &["lab.toml:2:", "chanels", "channels"]);
    let astray = SYNTHETIC.replace("targets = \"goal\"", "targets = \"gaol\"");
    with_config(&astray, &["run"], 78, &["predictors.regions.targets", "gaol", "did you mean \"goal\"?"]);
    let open = format!("{SYNTHETIC}[service]\nlisten = \"0.0.0.0:9464\"\n");
    with_config(&open, &["run"], 78, &["0.0.0.0:9464", "reverse proxy"]);
    let wide =
        "[sources.eeg]\ninput.synthetic = { rate = 50.0 }\nsignal = [{ bandpass = { low = 1.0, high = 40.0 } }]\n";
    with_config(wide, &["check"], 78, &["eeg", "bandpass"]);
}

#[test]
fn a_wrong_variable_is_named() {
    let mut command = neurod(&["check", "--config", "config/neurod.toml"]);
    command.env("NEUROD__SERVICE__LISTN", "127.0.0.1:1");
    ends(command, 78, &["NEUROD__SERVICE__LISTN", "listen"]);
}

#[test]
fn what_is_missing_or_broken_has_its_own_exit_code() {
    ends(neurod(&["run", "--colour"]), 64, &["--colour"]);
    for wait in ["-1", "nan", "inf", "soon"] {
        ends(neurod(&["streams", "--wait", wait]), 64, &["--wait", wait, "from 0 to 3600"]);
    }
    ends(neurod(&["demo", "--speed", "-1"]), 64, &["--speed -1", "a positive number"]);
    ends(neurod(&["demo", "--people", "34"]), 64, &["--people 34", "from 11 to 33"]);
    ends(neurod(&["replay", "--lsl", "scan.tsv"]), 64, &["--lsl scan.tsv", "neurod replay FILE --lsl NAME"]);
    ends(neurod(&["replay", "scan.tsv", "--lsl", "--json"]), 64, &["--json"]);
    ends(neurod(&["check", "--config", "/nowhere/lab.toml"]), 78, &["/nowhere/lab.toml"]);
    let missing = "[sources.scan]\ninput.replay = { files = [\"gone.tsv\"], tr = 2.0 }\n";
    with_config(missing, &["replay"], 66, &["gone.tsv"]);
    let folder = tempfile::tempdir().unwrap();
    let table = folder.path().join("broken.tsv");
    fs::write(&table, "a\tb\n1\t2\n3\tx\n").unwrap();
    let broken = format!("[sources.scan]\ninput.replay = {{ files = [{table:?}], tr = 2.0 }}\n");
    with_config(&broken, &["replay"], 65, &["broken.tsv", "line 3"]);
}

#[test]
fn a_port_in_use_is_named_with_the_fix() {
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = taken.local_addr().unwrap();
    let config = format!("{SYNTHETIC}[service]\nlisten = \"{address}\"\n");
    with_config(&config, &["run"], 69, &[&address.port().to_string(), "in use", "service.listen"]);
}

#[test]
fn a_model_that_is_missing_is_refused_before_anything_starts() {
    let config = format!(
        "{SYNTHETIC}[events.words]\ninput.api = {{}}\n[encoders.text]\ntext = {{ model = \"/nowhere/minilm\", events = \"words\" }}\n"
    );
    let output = with_config(&config, &["run"], 65, &[]);
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(said.contains("minilm") || said.contains("onnxruntime"), "{said}");
}

#[test]
fn every_command_explains_itself() {
    for command in ["run", "check", "demo", "replay", "streams", "doctor", "bench"] {
        let output = ends(neurod(&[command, "--help"]), 0, &[]);
        assert!(String::from_utf8_lossy(&output.stdout).lines().count() > 5, "{command}");
    }
}

#[test]
fn what_scripts_read_is_json() {
    let json =
        |args: &[&str]| -> serde_json::Value { serde_json::from_slice(&ends(neurod(args), 0, &[]).stdout).unwrap() };
    let checked = json(&["check", "--config", "config/neurod.toml", "--json"]);
    let input = &checked["sources"]["eeg"][0];
    assert_eq!((input["channels"].as_array().unwrap().len(), &input["unit"]), (8, &"uV".into()));
    assert!(json(&["bench", "--json", "--only", "predict"])[0]["p50_us"].as_f64().unwrap() > 0.0);
}

#[test]
fn a_closed_pipe_ends_every_command_quietly() {
    for arguments in [&["check", "--config", "config/neurod.toml"][..], &["doctor"], &["bench", "--only", "predict"]] {
        for json in [&["--json"][..], &[]] {
            let mut command = neurod(arguments);
            let (reader, writer) = std::io::pipe().unwrap();
            drop(reader);
            command.args(json).stdout(writer);
            assert!(ends(command, 0, &[]).stderr.is_empty(), "{arguments:?}");
        }
    }
}

/// What the doctor finds, by name, and its exit code; `without` is the variable of a library that is not there.
fn doctor(config: Option<&str>, without: Option<&str>) -> (BTreeMap<String, String>, Option<i32>) {
    let folder = tempfile::tempdir().unwrap();
    let mut command = neurod(&["doctor", "--json"]);
    if let Some(config) = config {
        let path = folder.path().join("lab.toml");
        fs::write(&path, config).unwrap();
        command.arg("--config").arg(path);
    }
    if let Some(variable) = without {
        command.env(variable, "/nowhere/library.so");
    }
    let output = command.output().unwrap();
    let findings: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).unwrap();
    let text = |f: &serde_json::Value, key: &str| f[key].as_str().unwrap().to_owned();
    findings.iter().for_each(|f| assert_eq!(text(f, "severity") == "ok", text(f, "fix").is_empty(), "{f}"));
    (findings.iter().map(|f| (text(f, "what"), text(f, "severity"))).collect(), output.status.code())
}

#[test]
fn the_doctor_ends_with_69_where_a_library_that_is_needed_is_missing() {
    let libraries = [("liblsl", "NEUROD_LIBLSL"), ("ONNX Runtime", "ORT_DYLIB_PATH")];
    let live = "[sources.eeg]\ninput.lsl = { type = \"EEG\" }\n";
    let words = "[events.words]\ninput.api = {}\n[encoders.text]\n\
        text = { model = \"minilm\", events = \"words\" }\n";
    for ((library, variable), needing) in libraries.into_iter().zip([live, words]) {
        for config in [None, Some(needing)] {
            let (found, code) = doctor(config, Some(variable));
            assert_eq!((found[library].as_str(), code), ("missing", Some(69)), "{found:?}");
        }
        let (found, code) = doctor(Some(SYNTHETIC), Some(variable));
        assert_eq!((found[library].as_str(), code), ("advice", Some(0)), "{found:?}");
    }
    // What slows it down, or concerns other machines, is no reason to fail.
    let (found, code) = doctor(None, None);
    let missing: Vec<&String> = found.iter().filter(|(_, severity)| *severity == "missing").map(|(w, _)| w).collect();
    assert!(missing.iter().all(|what| libraries.iter().any(|(library, _)| what == library)), "{found:?}");
    assert_eq!(code, Some(if missing.is_empty() { 0 } else { 69 }), "{found:?}");
}

#[test]
fn the_doctor_ends_with_77_where_nothing_can_be_kept_and_makes_no_folder() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("file"), "").unwrap();
    let state = |path: &str| format!("[session]\nstate_dir = {:?}\n{SYNTHETIC}", folder.path().join(path));
    let (found, code) = doctor(Some(&state("file/state")), None);
    assert_eq!((found["state folder"].as_str(), code), ("missing", Some(77)), "{found:?}");
    let (found, code) = doctor(Some(&state("new/state")), None);
    assert_eq!((found["state folder"].as_str(), code), ("ok", Some(0)), "{found:?}");
    assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
}

#[test]
fn what_feeds_what_is_told_to_scripts() {
    let wired = "[events.words]\ninput.api = {}\n[encoders.text]\n\
        columns = { events = \"words\", columns = [{ name = \"trial_type\", is = \"heat\" }] }\n\
        [encoders.net]\nwindow = { model = \"net.onnx\", source = \"eeg\", window = 1.0, hop = 0.1 }\n\
        [predictors.both]\nfeatures = [\"text\", \"eeg\"]\ntargets = \"goal\"\nlags = [2.0, 4.0]\n";
    let output = with_config(&format!("{SYNTHETIC}{wired}"), &["check", "--json"], 0, &[]);
    let checked: serde_json::Value = serde_json::from_slice(&output.stdout).unwrap();
    assert_eq!(checked["encoders"], serde_json::json!({ "net": { "windows": "eeg" }, "text": { "events": "words" } }));
    let both = serde_json::json!({
        "inputs": ["text", "eeg"], "targets": "goal", "lags": [2.0, 4.0], "volume_time": "start", "learn": true
    });
    assert_eq!(checked["predictors"]["both"], both);
    assert_eq!(checked["predictors"]["regions"]["inputs"], serde_json::json!(["eeg"]));
    let said = with_config(&format!("{SYNTHETIC}{wired}"), &["check"], 0, &[]).stdout;
    let said = String::from_utf8(said).unwrap();
    for line in ["# encoder \"net\": windows of source \"eeg\"", "# predictor \"both\": text + eeg → goal"] {
        assert!(said.lines().any(|l| l == line), "{said}");
    }
}

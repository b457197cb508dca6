//! The whole way: LSL streams in, learned regions out over LSL and HTTP, and what happens when a stream stops.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/daemon.rs"]
mod daemon;

use std::fs;
use std::path::Path;
use std::process::Command;
use std::sync::{Mutex, PoisonError};

use common::Talker;
use daemon::{Daemon, until};

/// One at a time: liblsl has few ports, and two daemons with their peers take most of them.
static PORTS: Mutex<()> = Mutex::new(());

/// A name that nobody else on this machine uses, and an LSL configuration that stays on this machine.
fn alone(folder: &Path) -> (String, std::path::PathBuf) {
    let api = folder.join("lsl_api.cfg");
    fs::write(&api, "[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n").unwrap();
    let tag = folder.file_name().unwrap().to_string_lossy().replace('.', "");
    (format!("neurod-test-{}-{tag}", std::process::id()), api)
}

#[test]
fn streams_come_in_and_learned_regions_go_out() {
    let Some(python) = common::lsl::python() else { return };
    let _ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let (tag, api) = alone(folder.path());
    let mut lab = Talker::start(Command::new(python).args(["tests/python/daemon_lsl.py", &tag]).env("LSLAPICFG", &api));
    assert_eq!(lab.hear(), "playing");
    let frames = folder.path().join("frames.jsonl");
    let config = format!(
        "[sources.eeg]\ninput.lsl = {{ name = \"{tag}-eeg\", channels = 16, rate = 250.0 }}\n\
         signal = [{{ highpass = {{ cutoff = 0.1, order = 2 }} }}]\n\
         [sources.scan]\ninput.lsl = {{ name = \"{tag}-scan\" }}\n\
         [predictors.regions]\nfeatures = [\"eeg\"]\ntargets = \"scan\"\nvolume_time = \"end\"\nridge.lambda = 1.0\n\
         [sinks.lsl]\nprefix = \"{tag}\"\n[sinks.jsonl]\npath = {frames:?}\n"
    );
    let mut daemon = Daemon::start_with(folder.path(), &config, |command| {
        command.env("LSLAPICFG", &api);
    });
    daemon.wait_until_ready();
    let updates = || daemon.metric("neurod_ridge_updates_total{predictor=\"regions\"}").unwrap_or(0.0);
    until("twenty volumes", 30.0, || (updates() >= 20.0).then_some(()));

    let client: serde_json::Value = serde_json::from_str(&lab.ask(&format!("client {tag}"))).unwrap();
    for (kind, stream_type) in [("", "RegionValues"), (".skill", "RegionSkill")] {
        assert_eq!(client[kind]["labels"], serde_json::json!(["insula", "V1"]), "{client}");
        assert_eq!(client[kind]["type"], stream_type);
    }
    assert!(client[""]["sample"].as_array().unwrap().iter().all(serde_json::Value::is_number), "{client}");
    assert!(client[".quality"]["sample"].is_array(), "{client}");

    assert_eq!(lab.ask("gap"), "silent");
    until("the gap to be counted", 20.0, || {
        (daemon.metric("neurod_source_gaps_total{source=\"eeg\"}").unwrap_or(0.0) >= 1.0).then_some(())
    });
    let before = updates();
    until("learning to go on", 20.0, || (updates() > before + 5.0).then_some(()));
    daemon.wait_until_ready();
    daemon.signal("TERM");
    assert!(daemon.end(5.0).success());

    let lines: Vec<serde_json::Value> =
        fs::read_to_string(frames).unwrap().lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let decoded = |flag: &str| {
        let flagged =
            |f: &&serde_json::Value| f["quality"].as_array().is_some_and(|q| q.iter().any(|name| name == flag));
        lines.iter().filter(|f| f["kind"] == "decoded").filter(flagged).count()
    };
    assert!(decoded("GAP") >= 1, "no frame says that samples are missing");
    assert!(lines.iter().filter(|f| f["kind"] == "residual").count() >= 20);
    assert_eq!(lines[0]["schema"], "neurod.regions.v1");
}

#[test]
fn a_recording_plays_as_live_streams() {
    let Some(python) = common::lsl::python() else { return };
    let _ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let (tag, api) = alone(folder.path());
    let table = folder.path().join("scan.tsv");
    let rows: String = (0..40).map(|t| format!("{t}\t{}\n", 100 - t)).collect();
    fs::write(&table, format!("insula\tV1\n{rows}")).unwrap();
    let events = folder.path().join("events.tsv");
    fs::write(&events, "onset\tduration\ttrial_type\ttext\n4\t6\theat\tpainful heat\n").unwrap();
    let script = "import sys, pylsl, json\n\
        def inlet(name): return pylsl.StreamInlet(pylsl.resolve_byprop('name', name, 1, 30)[0])\n\
        marks = inlet(sys.argv[1] + '-events'); marks.open_stream(10)\n\
        values = inlet(sys.argv[1]); values.open_stream(10)\n\
        rows = [values.pull_sample(20)[0] for _ in range(40)]\n\
        print(json.dumps({'first': rows[0], 'last': rows[-1], 'mark': marks.pull_sample(10)[0]}), flush=True)\n";
    let mut replay = Command::new(env!("CARGO_BIN_EXE_neurod"))
        .args(["replay", "--tr", "2.0", "--speed", "20", "--lsl", &tag, "--events"])
        .arg(&events)
        .arg("--")
        .arg(&table)
        .env("LSLAPICFG", &api)
        .stderr(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let mut client = Talker::start(Command::new(python).args(["-c", script, &tag]).env("LSLAPICFG", &api));
    let heard: serde_json::Value = serde_json::from_str(&client.hear()).unwrap();
    assert_eq!((&heard["first"], &heard["last"]), (&serde_json::json!([0.0, 100.0]), &serde_json::json!([39.0, 61.0])));
    assert!(heard["mark"][0].as_str().unwrap().contains("painful heat"), "{heard}");
    until("the end of the recording", 20.0, || replay.try_wait().unwrap());
}

#[test]
fn outcomes_of_a_network_go_out_as_they_are_published() {
    let (Some(python), Some(_)) = (common::lsl::python(), common::python(&["numpy"])) else { return };
    let _ports = PORTS.lock().unwrap_or_else(PoisonError::into_inner);
    let folder = tempfile::tempdir().unwrap();
    let (tag, api) = alone(folder.path());
    let names: Vec<String> = (0..5).map(|r| format!("region{r}")).collect();
    let row = |t: usize| (0..5).map(|r| ((t * (2 * r + 3)) as f64 * 0.7).sin().to_string()).collect::<Vec<_>>();
    let rows: String = (0..200).map(|t| row(t).join("\t") + "\n").collect();
    fs::write(folder.path().join("scan.tsv"), names.join("\t") + "\n" + &rows).unwrap();
    fs::write(folder.path().join("regions.json"), serde_json::json!(names).to_string()).unwrap();
    let made = Command::new(&python)
        .arg("tests/python/linear_network.py")
        .args([folder.path().join("model"), folder.path().join("regions.json")])
        .args(["heat,rating", "false"])
        .status();
    assert!(made.unwrap().success());
    let frames = folder.path().join("frames.jsonl");
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/lib/libonnxruntime.so");
    let config = format!(
        "[libraries]\nonnxruntime = {library:?}\n\
         [sources.scanner.input.replay]\nfiles = [\"scan.tsv\"]\ntr = 1.0\nspeed = 10.0\n\
         [networks.pain]\nsource = \"scanner\"\nwindow = 10.0\nmodel = \"model\"\ndeadline = 30.0\n\
         [sinks.lsl]\nprefix = \"{tag}\"\nkinds = []\n[sinks.jsonl]\npath = {frames:?}\n"
    );
    let mut daemon = Daemon::start_with(folder.path(), &config, |command| {
        command.env("LSLAPICFG", &api);
    });
    let script = "import sys, pylsl, json\n\
        def inlet(name): return pylsl.StreamInlet(pylsl.resolve_byprop('name', name, 1, 30)[0])\n\
        values, flags = inlet(sys.argv[1] + '.pain.outcome'), inlet(sys.argv[1] + '.pain.outcome.quality')\n\
        values.open_stream(10); flags.open_stream(10)\n\
        rows = [values.pull_sample(20) for _ in range(8)]\n\
        print(json.dumps({'rows': rows, 'flags': [flags.pull_sample(20) for _ in range(8)]}), flush=True)\n";
    let mut client = Talker::start(Command::new(python).args(["-c", script, &tag]).env("LSLAPICFG", &api));
    let heard: serde_json::Value = serde_json::from_str(&client.hear()).unwrap();
    daemon.signal("TERM");
    assert!(daemon.end(20.0).success());
    let text = fs::read_to_string(frames).unwrap();
    let published: Vec<serde_json::Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let at = |time: &serde_json::Value| {
        let outcome = |f: &&serde_json::Value| f["schema"] == "neurod.outcome_frame.v1" && f["t_target"] == *time;
        published.iter().find(outcome).unwrap_or_else(|| panic!("nothing was published at {time}"))
    };
    for row in heard["rows"].as_array().unwrap() {
        for (sent, published) in row[0].as_array().unwrap().iter().zip(at(&row[1])["probabilities"].as_array().unwrap())
        {
            assert!((sent.as_f64().unwrap() - published.as_f64().unwrap()).abs() < 1e-6, "{row}");
        }
    }
    for row in heard["flags"].as_array().unwrap() {
        let warming = at(&row[1])["quality"].as_array().unwrap().iter().any(|flag| flag == "WARMING_UP");
        assert_eq!(row[0][0].as_i64().unwrap() >> 9 & 1, i64::from(warming), "{row}");
    }
}

#[test]
fn without_liblsl_a_live_source_is_refused_with_the_fix() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("lab.toml");
    fs::write(&path, "[libraries]\nlsl = \"/nowhere/liblsl.so\"\n[sources.eeg]\ninput.lsl = { type = \"EEG\" }\n")
        .unwrap();
    let done = Command::new(env!("CARGO_BIN_EXE_neurod")).args(["run", "--config"]).arg(&path).output().unwrap();
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status.code(), Some(69), "{said}");
    assert!(said.contains("/nowhere/liblsl.so"), "{said}");
}

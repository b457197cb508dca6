//! The daemon's life: ready, commanded, reloaded, drained, killed and resumed.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/daemon.rs"]
mod daemon;

use std::fs;
use std::path::Path;

use daemon::{Daemon, until};
use neurod::frame::{Clock, MonotonicClock};

const UPDATES: &str = "neurod_ridge_updates_total{predictor=\"regions\"}";

/// Made-up EEG teaches made-up regions, ten times a second.
fn config(folder: &Path, more: &str) -> String {
    format!(
        "[session]\nstate_dir = {:?}\ncheckpoint_every = 0.1\n[sources.eeg]\ninput.synthetic = {{ channels = 8, block = 5 }}\n\
         signal = [{{ bandpass = {{ low = 4.0, high = 40.0 }} }}]\n[sources.goal]\n\
         input.synthetic = {{ channels = 2, rate = 20.0, block = 1 }}\n[predictors.regions]\nfeatures = [\"eeg\"]\n\
         targets = \"goal\"\n{more}",
        folder.join("state")
    )
}

fn updates(daemon: &Daemon) -> f64 {
    daemon.metric(UPDATES).unwrap_or(0.0)
}

#[test]
fn it_becomes_ready_measures_itself_and_drains_on_sigterm() {
    let folder = tempfile::tempdir().unwrap();
    let began = MonotonicClock.now();
    let mut daemon = Daemon::start(folder.path(), &config(folder.path(), ""));
    daemon.wait_until_ready();
    eprintln!("started to ready in {:.0} ms", (MonotonicClock.now() - began) * 1e3);
    until("ten volumes", 10.0, || (updates(&daemon) >= 10.0).then_some(()));
    assert_eq!(daemon.get("/healthz").0, 200);
    let metrics = daemon.get("/metrics").1;
    for name in [
        "neurod_stage_duration_seconds_count{source=\"eeg\",stage=\"bandpass\"}",
        "neurod_end_to_end_latency_seconds_count{kind=\"decoded\",predictor=\"regions\"}",
        "neurod_source_samples_total{source=\"eeg\"}",
        "neurod_skill_r_mean{predictor=\"regions\"}",
        "neurod_ready 1",
        "neurod_build_info",
    ] {
        assert!(metrics.contains(name), "{name} is missing in {metrics}");
    }
    let resident = fs::read_to_string(format!("/proc/{}/status", daemon.process())).unwrap();
    eprintln!("{}", resident.lines().find(|line| line.starts_with("VmRSS")).unwrap());

    daemon.signal("TERM");
    let status = daemon.end(3.0);
    assert!(status.success(), "{status}: {}", daemon.log());
    assert!(folder.path().join("state/regions.ckpt").is_file(), "the last checkpoint is written");
}

#[test]
fn it_does_what_it_is_told_over_http() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &config(folder.path(), ""));
    daemon.wait_until_ready();
    until("a volume", 10.0, || (updates(&daemon) >= 1.0).then_some(()));
    let (status, said) = daemon.ask("POST", "/api/v1/freeze", "");
    assert_eq!((status, said.contains("regions")), (200, true), "{said}");
    let frozen = updates(&daemon);
    let passed = || daemon.metric("neurod_frames_total{kind=\"residual\",predictor=\"regions\"}").unwrap();
    let seen = passed();
    until("volumes that are not learned from", 10.0, || (passed() >= seen + 5.0).then_some(()));
    assert!(updates(&daemon) <= frozen + 1.0);
    assert_eq!(daemon.ask("POST", "/api/v1/learn", "{\"predictor\": \"regions\"}").0, 200);
    until("learning again", 10.0, || (updates(&daemon) >= frozen + 5.0).then_some(()));
    let (status, said) = daemon.ask("POST", "/api/v1/learn", "{\"predictor\": \"nobody\"}");
    assert!(status >= 400 && said.contains("regions"), "{status} {said}");
    assert_eq!(daemon.ask("POST", "/api/v1/run", "").0, 200);
    assert_eq!(daemon.ask("POST", "/api/v1/checkpoint", "").0, 200);
    let (status, said) = daemon.ask("POST", "/api/v1/marker", "{\"text\": \"hello\"}");
    assert!(status >= 400 && said.contains("event source"), "{status} {said}");
}

#[test]
fn a_reload_changes_what_may_change_and_a_bad_file_changes_nothing() {
    let folder = tempfile::tempdir().unwrap();
    let daemon = Daemon::start(folder.path(), &config(folder.path(), ""));
    daemon.wait_until_ready();
    until("a volume", 10.0, || (updates(&daemon) >= 1.0).then_some(()));
    let path = folder.path().join("neurod.toml");

    fs::write(&path, "[sources.eeg]\ninput.nonsense = {}\n").unwrap();
    daemon.signal("HUP");
    until("the bad file to be named", 10.0, || daemon.log().contains("the old one stays").then_some(()));
    let before = updates(&daemon);
    until("learning to go on", 10.0, || (updates(&daemon) > before).then_some(()));

    let new = config(folder.path(), "learn = false\n").replace("checkpoint_every = 0.1", "checkpoint_every = 7.0");
    fs::write(&path, new).unwrap();
    daemon.signal("HUP");
    until("freezing", 10.0, || {
        (daemon.metric("neurod_ridge_learning{predictor=\"regions\"}") == Some(0.0)).then_some(())
    });
    until("the other key", 10.0, || daemon.log().contains("session.checkpoint_every").then_some(()));
}

#[test]
fn killed_it_goes_on_from_its_checkpoint_and_from_the_older_one_if_that_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let newest = folder.path().join("state/regions.ckpt");
    let mut daemon = Daemon::start(folder.path(), &config(folder.path(), ""));
    until("two checkpoints", 20.0, || folder.path().join("state/regions.previous.ckpt").is_file().then_some(()));
    daemon.signal("KILL");
    daemon.end(5.0);

    let mut daemon = Daemon::start(folder.path(), &config(folder.path(), ""));
    until("resuming", 20.0, || daemon.log().contains("goes on from its checkpoint").then_some(()));
    let saved = fs::metadata(&newest).unwrap().modified().unwrap();
    until("two more", 20.0, || (fs::metadata(&newest).ok()?.modified().ok()? > saved).then_some(()));
    daemon.signal("KILL");
    daemon.end(5.0);

    let whole = fs::read(&newest).or_else(|_| fs::read(folder.path().join("state/regions.previous.ckpt"))).unwrap();
    fs::write(&newest, &whole[..whole.len() / 2]).unwrap();
    let daemon = Daemon::start(folder.path(), &config(folder.path(), ""));
    until("the older generation", 20.0, || daemon.log().contains("is damaged").then_some(()));
    daemon.wait_until_ready();
    assert!(updates(&daemon) > 0.0);
}

#[test]
fn without_a_folder_to_write_to_it_decodes_on_and_says_so() {
    let folder = tempfile::tempdir().unwrap();
    fs::write(folder.path().join("state"), "a file where a folder should be").unwrap();
    let daemon = Daemon::start(folder.path(), &config(folder.path(), ""));
    until("the degraded flag", 20.0, || {
        (daemon.metric("neurod_checkpoint_degraded{predictor=\"regions\"}") == Some(1.0)).then_some(())
    });
    let before = updates(&daemon);
    until("learning to go on", 10.0, || (updates(&daemon) > before).then_some(()));
    assert!(daemon.log().contains("session.state_dir"), "{}", daemon.log());
}

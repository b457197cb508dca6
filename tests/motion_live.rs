//! A head that moves while it is measured: followed as `neurod regions` follows it, told of, and not learned from.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/daemon.rs"]
mod daemon;

use std::collections::BTreeMap;
use std::fs;
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::Arc;
use std::time::Duration;

use daemon::Daemon;
use futures_util::StreamExt;
use neurod::acquisition::file::ReplayConfig;
use neurod::acquisition::folder::FolderConfig;
use neurod::acquisition::{Pull, Source, SourceStats};
use neurod::frame::{Block, Fit, Instant, Quality, VirtualClock};
use neurod::scanner::{Export, ExportConfig, Flavour};
use serde_json::{Value, json};
use tokio_tungstenite::connect_async;

const VOXELS: usize = 30 * 30 * 20;
const HEAD: usize = 352;

fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// Header and volumes of a head that lies still, moves a little, then much, and stays.
fn moving() -> (Vec<u8>, Vec<Vec<u8>>) {
    let mut bytes = Vec::new();
    let packed = fs::File::open(repository("tests/golden/moving.nii.gz")).unwrap();
    flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    let volumes = bytes[HEAD..].chunks_exact(2 * VOXELS).map(<[u8]>::to_vec).collect();
    (bytes[..HEAD].to_vec(), volumes)
}

/// A recording of these volumes of that head, `None` for an empty one, and a label image of its bright parts.
fn recording(folder: &Path, name: &str, volumes: &[Option<usize>]) -> PathBuf {
    let (mut header, all) = moving();
    header[76 + 16..76 + 20].copy_from_slice(&1f32.to_le_bytes());
    header[48..50].copy_from_slice(&(volumes.len() as i16).to_le_bytes());
    let empty = vec![0; 2 * VOXELS];
    let data = volumes.iter().map(|v| v.map_or(&empty, |v| &all[v]).as_slice());
    fs::write(folder.join(name), [vec![header.as_slice()], data.collect()].concat().concat()).unwrap();
    header[48..50].copy_from_slice(&1i16.to_le_bytes());
    let bright = |(voxel, bytes): (usize, &[u8])| {
        let label = 1 + (voxel % 30 / 10 + voxel / 900 / 10 * 3) as i16;
        let shown = i16::from_le_bytes([bytes[0], bytes[1]]) > 300;
        (i16::from(shown) * label).to_le_bytes()
    };
    let labels: Vec<u8> = all[0].chunks_exact(2).enumerate().flat_map(bright).collect();
    fs::write(folder.join("labels.nii"), [header, labels].concat()).unwrap();
    folder.join(name)
}

fn neurod(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neurod")).args(arguments).current_dir(folder).output().unwrap()
}

fn fine(output: Output) -> String {
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Each column of a table; NaN for what is no number.
fn table(path: &Path) -> BTreeMap<String, Vec<f64>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let rows: Vec<Vec<&str>> = lines.collect();
    let column = |i: usize| rows.iter().map(|row| row[i].parse().unwrap_or(f64::NAN)).collect();
    header.into_iter().enumerate().map(|(i, name)| (name.to_owned(), column(i))).collect()
}

/// What `neurod regions` makes of a recording: regions, and motion.
fn offline(folder: &Path, name: &str, more: &[&str]) -> [BTreeMap<String, Vec<f64>>; 2] {
    let arguments = ["regions", name, "--atlas", "labels.nii", "--realign", "--censor", "2.0", "--out", "regions.tsv"];
    fine(neurod(&[&arguments[..], more].concat(), folder));
    ["regions.tsv", "regions_motion.tsv"].map(|file| table(&folder.join(file)))
}

fn same(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs().max(1.0) || (a.is_nan() && b.is_nan())
}

/// Blocks of a source against those tables.
fn equal(blocks: &[Block], names: &[String], [regions, motion]: &[BTreeMap<String, Vec<f64>>; 2]) {
    assert_eq!(blocks.len(), motion["trans_x"].len());
    for (t, block) in blocks.iter().enumerate() {
        for (name, value) in names.iter().zip(block.sample(0)) {
            assert!(same(*value, regions[name][t]), "{name} of volume {t}: {value} against {}", regions[name][t]);
        }
        let moved = block.motion.unwrap();
        for (name, value) in ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"].iter().zip(moved.parameters) {
            assert!(same(value, motion[*name][t]), "{name} of volume {t}");
        }
        assert!(same(moved.displacement, motion["framewise_displacement"][t]), "volume {t}");
        assert_eq!(f64::from(u8::from(moved.outlier)), motion["motion_outlier"][t], "volume {t}");
        assert_eq!(block.quality.contains(Quality::MOTION), moved.outlier);
    }
}

/// All blocks that a scanner's export of a recording becomes, in virtual time.
fn exported(folder: &Path, recording: &Path, flavour: Flavour, more: &str) -> Vec<Block> {
    let export = folder.join(format!("{flavour:?}"));
    fs::create_dir(&export).unwrap();
    let config = format!("path = {export:?}\nlabels = {:?}\ntr = 1.0\npoll = 0.02\n{more}", folder.join("labels.nii"));
    let config: FolderConfig = toml::from_str(&config).unwrap();
    let clock = Arc::new(VirtualClock::default());
    let mut source = config.open(Arc::new(SourceStats::default()), Arc::clone(&clock) as _).unwrap();
    let mut block = Block::new(source.spec());
    let mut blocks = Vec::new();
    let mut writings = {
        let config = ExportConfig { flavour, faults: "".parse().unwrap(), seed: 1, tr: None };
        let mut export = Export::open(recording, config).unwrap();
        std::iter::from_fn(move || export.next_writing().unwrap()).collect::<Vec<_>>()
    };
    writings.reverse();
    for step in 0..300 {
        let now = f64::from(step) * 0.1;
        while let Some(writing) = writings.pop_if(|w| w.at <= now) {
            fs::write(export.join(&writing.name), &writing.bytes).unwrap();
        }
        clock.advance_to(Instant::from_seconds(now));
        while source.pull(&mut block, Duration::ZERO).unwrap() == Pull::Data {
            blocks.push(block.clone());
        }
    }
    assert!(writings.is_empty());
    blocks
}

fn replayed(folder: &Path, config: &str) -> (Vec<Block>, Vec<String>) {
    let config: ReplayConfig = toml::from_str(config).unwrap();
    let mut source = config.open(folder, Instant::default()).unwrap().samples;
    let mut block = Block::new(source.spec());
    let mut blocks = Vec::new();
    while source.pull(&mut block, Duration::ZERO).unwrap() == Pull::Data {
        blocks.push(block.clone());
    }
    (blocks, source.spec().channels.iter().map(|c| c.name.clone()).collect())
}

const ALL: [Option<usize>; 4] = [Some(0), Some(1), Some(2), Some(3)];

#[test]
fn replay_and_an_export_give_what_the_command_gives_with_and_without_smoothing() {
    let folder = tempfile::tempdir().unwrap();
    let path = recording(folder.path(), "bold.nii", &ALL);
    for smooth in [None, Some("4.0")] {
        let more = smooth.map(|mm| vec!["--smooth", mm]).unwrap_or_default();
        let expected = offline(folder.path(), "bold.nii", &more);
        assert_eq!(expected[1]["motion_outlier"], [0.0, 0.0, 1.0, 1.0], "something moves");
        let keys =
            format!("realign = {{ censor = 2.0 }}\n{}", smooth.map_or(String::new(), |mm| format!("smooth = {mm}")));
        let config = format!("files = [\"bold.nii\"]\nlabels = \"labels.nii\"\n{keys}");
        let (blocks, names) = replayed(folder.path(), &config);
        equal(&blocks, &names, &expected);
        for flavour in [Flavour::Nifti, Flavour::Mosaic] {
            let blocks = exported(folder.path(), &path, flavour, &keys);
            equal(&blocks, &names, &expected);
            fs::remove_dir_all(folder.path().join(format!("{flavour:?}"))).unwrap();
        }
    }
}

#[test]
fn a_volume_that_cannot_be_realigned_keeps_the_last_estimate_and_is_flagged() {
    let folder = tempfile::tempdir().unwrap();
    let path = recording(folder.path(), "bold.nii", &[Some(0), Some(1), None, Some(1), Some(1)]);
    let expected = offline(folder.path(), "bold.nii", &[]);
    let blocks = exported(folder.path(), &path, Flavour::Nifti, "realign = { censor = 2.0 }");
    let (replay, names) =
        replayed(folder.path(), "files = [\"bold.nii\"]\nlabels = \"labels.nii\"\nrealign = { censor = 2.0 }");
    equal(&replay, &names, &expected);
    equal(&blocks, &names, &expected);
    let motion: Vec<_> = blocks.iter().map(|block| block.motion.unwrap()).collect();
    assert_eq!(motion.iter().map(|m| m.fit == Fit::Converged).collect::<Vec<_>>(), [true, true, false, true, true]);
    assert_eq!(motion.iter().map(|m| m.outlier).collect::<Vec<_>>(), [false, false, true, true, false]);
    assert_eq!((motion[2].parameters, motion[2].displacement.is_nan()), (motion[1].parameters, true));
}

#[test]
fn the_reference_may_be_a_file_and_is_shared_by_every_run() {
    let folder = tempfile::tempdir().unwrap();
    let path = recording(folder.path(), "bold.nii", &ALL);
    recording(folder.path(), "ref.nii", &[Some(1)]);
    let expected = offline(folder.path(), "bold.nii", &["--reference", "1"]);
    let key = "labels = \"labels.nii\"\nrealign = { reference = \"ref.nii\", censor = 2.0 }";
    let (blocks, names) = replayed(folder.path(), &format!("files = [\"bold.nii\"]\n{key}"));
    equal(&blocks, &names, &expected);
    let reference = folder.path().join("ref.nii");
    let key = format!("realign = {{ reference = {reference:?}, censor = 2.0 }}");
    let blocks = exported(folder.path(), &path, Flavour::Nifti, &key);
    equal(&blocks, &names, &expected);
    // By default the first volume of the first file is every file's reference, and no file's first volume was displaced.
    recording(folder.path(), "second.nii", &[Some(3), Some(3)]);
    let keys = "files = [\"bold.nii\", \"second.nii\"]\nlabels = \"labels.nii\"\nrealign = {}";
    let (blocks, _) = replayed(folder.path(), keys);
    let motion: Vec<_> = blocks.iter().map(|block| block.motion.unwrap()).collect();
    assert!((motion[4].parameters[0] - motion[3].parameters[0]).abs() < 0.02 && motion[4].parameters[0] > 0.8);
    assert!(motion[4].displacement.is_nan() && !motion[4].outlier && motion[5].displacement < 0.1);
}

#[test]
fn what_cannot_be_is_refused_with_the_mend() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path(), "bold.nii", &ALL);
    fs::copy(repository("tests/golden/odd_bold.nii.gz"), folder.path().join("odd.nii.gz")).unwrap();
    let told = |more: &str| {
        let config = format!("files = [\"bold.nii\"]\nlabels = \"labels.nii\"\n{more}");
        let config: ReplayConfig = toml::from_str(&config).unwrap();
        config.open(folder.path(), Instant::default()).map(|_| ()).unwrap_err().to_string()
    };
    for (more, problem) in [
        ("realign = {}\nblock = 2", "volumes that are realigned come one a block (leave `block` out)"),
        ("realign = { censor = -1.0 }", "realign.censor: -1 is not 0 mm or more"),
        ("smooth = -1.0", "smooth: -1 mm is not 0 or more"),
        ("realign = { reference = \"odd.nii.gz\" }", "the reference lies on another grid than the volumes"),
        ("realign = { reference = \"nowhere.nii\" }", "nowhere.nii"),
    ] {
        assert!(told(more).contains(problem), "{more}: {}", told(more));
    }
    let table: ReplayConfig = toml::from_str("files = [\"a.tsv\"]\nrealign = {}").unwrap();
    let error = table.open(folder.path(), Instant::default()).map(|_| ()).unwrap_err().to_string();
    assert!(error.contains("realign: means nothing for a.tsv (only for NIfTI)"), "{error}");
    let config =
        "[sources.s]\nfmri = [{ nuisance = {} }]\ninput.replay = { files = [\"bold.nii\"], labels = \"labels.nii\" }";
    fs::write(folder.path().join("c.toml"), config).unwrap();
    let done = neurod(&["check", "--config", "c.toml"], folder.path());
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        said.contains("sources.s.fmri.nuisance: regresses out motion") && said.contains("`realign = {}`"),
        "{said}"
    );
}

/// Messages of a replay of `bold.nii`, which predicts its regions from one kind of event.
fn learned(folder: &Path, predictor: &str) -> Vec<Value> {
    fs::write(folder.join("events.tsv"), "onset\tduration\ttrial_type\n0\t1\tface\n2\t1\tface\n").unwrap();
    let config = format!(
        "[sources.scanner]\nfmri = [{{ quality = {{}} }}]\n[sources.scanner.input.replay]\nfiles = [\"bold.nii\"]\n\
         labels = \"labels.nii\"\nevents = [\"events.tsv\"]\nrealign = {{ censor = 2.0 }}\n[events.stimulus]\n\
         input.recording = \"scanner\"\n[encoders.kind.columns]\nevents = \"stimulus\"\n\
         columns = [{{ name = \"trial_type\", is = \"face\" }}]\n[predictors.regions]\nfeatures = [\"kind\"]\n\
         targets = \"scanner\"\n{predictor}"
    );
    fs::write(folder.join("live.toml"), config).unwrap();
    fine(neurod(&["replay", "--config", "live.toml", "--out", "frames.jsonl"], folder));
    let text = fs::read_to_string(folder.join("frames.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_censored_volume_is_told_of_and_not_learned_from_unless_the_configuration_says_so() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path(), "bold.nii", &[Some(0), Some(0), Some(1), Some(2), Some(3), Some(3), Some(3)]);
    let messages = learned(folder.path(), "");
    let updates = |messages: &[Value]| -> Vec<u64> {
        let residual = messages.iter().filter(|m| m["kind"] == "residual");
        residual.map(|m| m["model"]["updates"].as_u64().unwrap()).collect()
    };
    // Volumes 3 and 4 are censored: what was learned before them is what is known after them.
    assert_eq!(updates(&messages), [0, 1, 2, 3, 3, 3, 4]);
    assert_eq!(updates(&learned(folder.path(), "ridge.freeze_on = []")), [0, 1, 2, 3, 4, 5, 6]);
    let [_, motion] = offline(folder.path(), "bold.nii", &[]);
    let frames: Vec<&Value> = messages.iter().filter(|m| m["schema"] == "neurod.quality_frame.v1").collect();
    assert_eq!(frames.len(), 7);
    for (t, frame) in frames.iter().enumerate() {
        let number = |key: &str| frame[key].as_f64().unwrap_or(f64::NAN);
        assert_eq!((&frame["seq"], &frame["volumes"], &frame["source"]), (&json!(t), &json!(t + 1), &json!("scanner")));
        for key in ["framewise_displacement", "dvars"] {
            assert!(same(number(key), motion[key][t]), "{key} of volume {t}: {frame}");
        }
        let parameters: Vec<f64> = serde_json::from_value(frame["parameters"].clone()).unwrap();
        assert!(same(parameters[0], motion["trans_x"][t]) && same(parameters[5], motion["rot_z"][t]));
        assert_eq!(frame["outlier"], json!(motion["motion_outlier"][t] == 1.0));
        assert_eq!(frame["quality"].as_array().unwrap().contains(&json!("MOTION")), [3, 4].contains(&t), "{frame}");
        assert_eq!((&frame["fit"], &frame["spike"]), (&json!("converged"), &json!(false)));
        // The first two are one volume, so nothing has varied for sure before the third.
        assert!(number("tsnr").is_finite() || t < 2, "{frame}");
    }
}

#[test]
fn a_daemon_follows_the_head_in_a_folder_and_tells_clients_and_metrics() {
    let folder = tempfile::tempdir().unwrap();
    recording(folder.path(), "bold.nii", &[Some(0), Some(1), None, Some(1)]);
    fs::create_dir(folder.path().join("export")).unwrap();
    let daemon = Daemon::start(
        folder.path(),
        "[sources.scanner]\nfmri = [{ quality = {} }, { nuisance = { warm_up = 1 } }]\n[sources.scanner.input.folder]\n\
         path = \"export\"\nlabels = \"labels.nii\"\ntr = 0.5\npoll = 0.05\nrealign = { censor = 2.0 }",
    );
    daemon.wait_until_ready();
    let mut lines = Vec::new();
    let mut met = Vec::new();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    runtime.block_on(async {
        let (mut socket, _) = connect_async(format!("ws://{}/ws?kind=quality", daemon.address())).await.unwrap();
        let arguments = ["scanner", "bold.nii", "--to", "export", "--format", "nifti", "--tr", "0.5"];
        let mut scanner = Command::new(env!("CARGO_BIN_EXE_neurod"));
        let mut scanner = scanner.args(arguments).current_dir(folder.path()).spawn().unwrap();
        while met.len() < 4 {
            let message = tokio::time::timeout(Duration::from_secs(60), socket.next()).await;
            let message = message.expect("nothing comes").expect("it is open").unwrap();
            let Ok(text) = message.to_text().map(str::to_owned) else { continue };
            let Ok(frame) = serde_json::from_str::<Value>(&text) else { continue };
            lines.push(json!({ "json": text, "binary": null }).to_string());
            if frame["schema"] == "neurod.quality_frame.v1" {
                met.push(frame);
            }
        }
        assert!(scanner.wait().unwrap().success());
    });
    let [_, motion] = offline(folder.path(), "bold.nii", &[]);
    for (t, frame) in met.iter().enumerate() {
        let displacement = frame["framewise_displacement"].as_f64().unwrap_or(f64::NAN);
        assert!(same(displacement, motion["framewise_displacement"][t]), "{frame}");
        assert_eq!(frame["outlier"], json!(t >= 2));
        assert_eq!(frame["fit"], json!(if t == 2 { "empty" } else { "converged" }));
    }
    let metric = |name: &str| daemon.metric(&format!("neurod_source_{name}{{source=\"scanner\"}}")).unwrap();
    assert!(same(metric("framewise_displacement_mm"), motion["framewise_displacement"][3]));
    assert_eq!(["motion_outliers_total", "unrealigned_total", "spikes_total"].map(metric), [2.0, 1.0, 0.0]);
    assert!(metric("tsnr_ratio") > 1.0 && metric("dvars") > 0.0 && metric("spike_ratio") == 0.0);
    assert_eq!(metric("realign_duration_seconds_count"), 4.0);
    let Some(python) = common::python(&["jsonschema"]) else { return };
    fs::write(folder.path().join("lines"), lines.join("\n") + "\n").unwrap();
    let mut validate = Command::new(python);
    validate
        .arg(repository("tests/python/validate_frames.py"))
        .args([&repository("schemas"), &folder.path().join("lines")]);
    fine(validate.output().unwrap());
}

//! What the simulated scanner exports is what it was given, to pydicom, nibabel and dcm2niix as to us.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panicking")]

mod common;
#[path = "common/daemon.rs"]
mod daemon;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use std::sync::Arc;
use std::time::Duration;

use daemon::{Daemon, until};
use neurod::acquisition::folder::FolderConfig;
use neurod::acquisition::{Pull, Source, SourceStats};
use neurod::frame::{Block, MonotonicClock};
use neurod::scanner::{Export, ExportConfig, Flavour, PaintConfig, Writing};

/// A recording of three volumes on a tilted grid, made by nibabel.
fn recording(python: &Path, folder: &Path) -> PathBuf {
    let path = folder.join("bold.nii.gz");
    let script = "import sys, numpy as np, nibabel as nib
rng = np.random.default_rng(1)
c, s = np.cos(0.3), np.sin(0.3)
a = np.diag([-3.0, 3.0, 4.0, 1.0]); a[1:3, 1:3] = [[3 * c, -4 * s], [3 * s, 4 * c]]; a[:3, 3] = [90, -80, 20]
i = nib.Nifti1Image(rng.integers(0, 4096, (12, 10, 7, 3)).astype('int16'), a)
i.header.set_zooms((3, 3, 4, 1.5)); i.header.set_xyzt_units('mm', 'sec'); i.to_filename(sys.argv[1])";
    let done = Command::new(python).args(["-c", script]).arg(&path).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    path
}

fn export(path: &Path, flavour: Flavour, faults: &str, seed: u64) -> Vec<Writing> {
    let config = ExportConfig { flavour, faults: faults.parse().unwrap(), seed, tr: None };
    let mut export = Export::open(path, config).unwrap();
    assert_eq!(export.tr(), 1.5);
    std::iter::from_fn(|| export.next_writing().unwrap()).collect()
}

#[test]
fn others_read_in_every_flavour_what_was_scanned() {
    let Some(python) = common::python(&["pydicom", "nibabel", "dcm2niix"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = recording(&python, folder.path());
    for (flavour, name, expected) in [
        (Flavour::Classic, "classic", "dcm2niix=3 pydicom=21"),
        (Flavour::Mosaic, "mosaic", "dcm2niix=3 nibabel=3 pydicom=3"),
        (Flavour::Enhanced, "enhanced", "dcm2niix=3 pydicom=3"),
        (Flavour::Nifti, "nifti", "nibabel=3"),
    ] {
        let to = folder.path().join(name);
        fs::create_dir(&to).unwrap();
        for writing in export(&path, flavour, "", 1) {
            fs::write(to.join(&writing.name), &writing.bytes).unwrap();
        }
        let mut script = Command::new(&python);
        script.args(["-W", "ignore", "tests/python/read_export.py"]).arg(&path).arg(&to).arg(name);
        let done = script.output().unwrap();
        let (said, wrong) = (String::from_utf8_lossy(&done.stdout), String::from_utf8_lossy(&done.stderr));
        assert_eq!(said.trim(), expected, "{name}: {wrong}");
    }
}

#[test]
fn a_seed_is_an_export() {
    let Some(python) = common::python(&["nibabel"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = recording(&python, folder.path());
    let faults = "drop=0.3,duplicate=0.3,reorder=0.3";
    let first = export(&path, Flavour::Mosaic, faults, 7);
    assert!(first == export(&path, Flavour::Mosaic, faults, 7), "the same bytes at the same times");
    assert!((8..30).any(|seed| export(&path, Flavour::Mosaic, faults, seed).len() != first.len()));
}

#[test]
fn the_configurations_that_are_shipped_are_understood() {
    for path in ["config/fmri-folder.toml", "config/fmri-dicom.toml"] {
        let (settings, _) = neurod::app::wiring::load(&[path.into()]).unwrap();
        settings.plan().unwrap();
        assert!(!settings.needs_lsl() && !settings.is_recorded());
    }
    let unknown = "[sources.scan.input.folder]\npath = \"x\"\ntr = 2.0\nclock.trigger = { events = \"tll\" }\n\
                   [events.ttl]\ninput.api = {}\n";
    let told = toml::from_str::<neurod::app::Settings>(unknown).unwrap().plan().unwrap_err().to_string();
    assert!(told.contains("clock.trigger.events") && told.contains("ttl"), "{told}");
}

#[test]
fn the_command_exports_and_says_what_went_wrong() {
    let Some(python) = common::python(&["nibabel"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    let path = recording(&python, folder.path());
    let scan = |more: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
        command.arg("scanner").arg(&path).arg("--to").arg(folder.path().join("export")).args(more).output().unwrap()
    };
    let truth = folder.path().join("truth.tsv");
    let done = scan(&["--format", "dicom", "--speed", "max", "--faults", "drop=1", "--truth", truth.to_str().unwrap()]);
    let said = String::from_utf8_lossy(&done.stdout).into_owned();
    assert!(done.status.success() && said.ends_with("export: none 1, drop 2\n"), "{said}");
    assert_eq!(fs::read_to_string(&truth).unwrap(), "volume\tfault\n1\tdrop\n2\tnone\n3\tdrop\n");
    assert_eq!(fs::read_dir(folder.path().join("export")).unwrap().count(), 7);
    for (more, problem) in [
        (&["--speed", "max"][..], "is not empty (give the export a folder of its own)"),
        (&["--speed", "0"], "--speed 0: is neither a positive number nor `max`"),
        (&["--faults", "dorp=1"], "--faults: dorp: no such fault (there are drop, duplicate, reorder"),
        (&["--tr", "-1"], "--tr -1: is no positive number of seconds"),
        (&["--jitter", "nan"], "--jitter NaN: is not 0 or more seconds"),
        (&["--speed", "max", "--triggers", "ttl"], "--triggers with --speed max"),
    ] {
        let done = scan(more);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && said.contains(problem), "{said}");
    }
}

#[test]
fn volumes_are_timed_by_triggers_while_their_files_come_late() {
    let Some(python) = common::lsl::python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name);
    let api = at("lsl_api.cfg");
    fs::write(&api, "[multicast]\nResolveScope = machine\n[log]\nlevel = -3\n").unwrap();
    // In volume n every voxel is n.
    let script = "import sys, numpy as np, nibabel as nib
a = np.diag([3.0, 3.0, 3.0, 1.0]); v = np.ones((6, 5, 4, 1), 'int16')
nib.Nifti1Image(v[..., 0], a).to_filename(sys.argv[1] + '/labels.nii')
nib.Nifti1Image(v * np.arange(1, 31, dtype='int16'), a).to_filename(sys.argv[1] + '/bold.nii')";
    let done = Command::new(&python).args(["-c", script]).arg(folder.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let name = common::lsl::unique("ttl");
    fs::create_dir(at("export")).unwrap();
    let config = format!(
        "[sources.scanner.input.folder]\npath = {:?}\nlabels = {:?}\ntr = 0.5\npoll = 0.05\n\
         clock.trigger = {{ events = \"ttl\", label = \"volume\" }}\n\
         [events.ttl]\ninput.lsl = {{ name = \"{name}\" }}\n\
         [encoders.kind.columns]\nevents = \"ttl\"\ncolumns = [{{ name = \"trial_type\", is = \"volume\" }}]\n\
         [predictors.regions]\nfeatures = [\"kind\"]\ntargets = \"scanner\"\n\
         [sinks.jsonl]\npath = {:?}\n",
        at("export"),
        at("labels.nii"),
        at("frames.jsonl")
    );
    let mut daemon = Daemon::start_with(folder.path(), &config, |command| {
        command.env("LSLAPICFG", &api);
    });
    daemon.wait_until_ready();
    let mut scanner = Command::new(env!("CARGO_BIN_EXE_neurod"))
        .args(["scanner", "--tr", "0.5", "--jitter", "0.45", "--seed", "3", "--triggers", &name, "--truth"])
        .arg(at("truth.tsv"))
        .arg("--to")
        .arg(at("export"))
        .arg(at("bold.nii"))
        .env("LSLAPICFG", &api)
        .stderr(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    until("the scan", 60.0, || scanner.try_wait().unwrap());
    let samples = "neurod_source_samples_total{source=\"scanner\"}";
    until("thirty volumes", 20.0, || (daemon.metric(samples) == Some(30.0)).then_some(()));
    let untimed = daemon.metric("neurod_source_faults_total{source=\"scanner\",fault=\"untimed\"}").unwrap_or(0.0);
    daemon.signal("TERM");
    assert!(daemon.end(5.0).success());

    let truth = fs::read_to_string(at("truth.tsv")).unwrap();
    let triggers: Vec<f64> =
        truth.lines().skip(1).map(|line| line.split('\t').nth(2).unwrap().parse().unwrap()).collect();
    let frames = fs::read_to_string(at("frames.jsonl")).unwrap();
    let frames = frames.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let (mut off, mut late) = (Vec::new(), Vec::new());
    for frame in frames.filter(|frame| frame["kind"] == "measured") {
        let number = frame["values"][0].as_f64().unwrap() as usize;
        let [target, arrived] = ["t_target", "t_arrived"].map(|key| frame[key].as_f64().unwrap());
        off.push((number, target - triggers[number - 1]));
        late.push(arrived - triggers[number - 1] - 0.5);
    }
    assert_eq!(off.iter().map(|(number, _)| *number).collect::<Vec<_>>(), (1..=30).collect::<Vec<_>>());
    // Until the offset of the sender's clock is known, which takes a second or two, arrivals tell.
    assert!(untimed <= 8.0, "{untimed} volumes before the first trigger");
    let timed = off.get(untimed as usize + 1..).unwrap();
    assert!(timed.iter().all(|(_, off)| off.abs() < 2e-3), "{timed:?}");
    let [least, most] = [f64::min as fn(f64, f64) -> f64, f64::max].map(|of| late.iter().copied().reduce(of).unwrap());
    assert!(most - least > 0.2, "files were late by {least} to {most} s");
}

/// Labels 4, 9 and 17, the same on a finer grid, and an image on the grid of the first.
fn atlases(folder: &Path) -> Option<()> {
    let python = common::python(&["nibabel", "nilearn"])?;
    let done = Command::new(python).args(["tests/python/atlases.py", "paint"]).arg(folder).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(())
}

#[test]
fn regions_painted_into_their_atlas_come_back_through_a_folder_as_they_were() {
    let folder = tempfile::tempdir().unwrap();
    if atlases(folder.path()).is_none() {
        return;
    }
    // In another order than the labels'.
    let series: Vec<[f64; 3]> = (0..5).map(|t| [17.25 + 3.1 * f64::from(t), -4.75 * f64::from(t), 9.0]).collect();
    let mut table = "label_17\tlabel_4\tlabel_9\n".to_owned();
    series.iter().for_each(|[a, b, c]| table += &format!("{a}\t{b}\t{c}\n"));
    let file = |name: &str| folder.path().join(name);
    fs::write(file("regions.tsv"), table).unwrap();
    for (flavour, export, noise) in [
        (Flavour::Classic, "classic", 0.0),
        (Flavour::Mosaic, "mosaic", 0.0),
        (Flavour::Nifti, "nifti", 0.0),
        (Flavour::Enhanced, "noisy", 2.0),
    ] {
        let into = PaintConfig { atlas: file("labels.nii.gz"), noise, ..PaintConfig::default() };
        let config = ExportConfig { flavour, faults: "".parse().unwrap(), seed: 3, tr: Some(1.0) };
        let mut scanner = Export::paint(&file("regions.tsv"), &into, config).unwrap();
        fs::create_dir(file(export)).unwrap();
        while let Some(writing) = scanner.next_writing().unwrap() {
            fs::write(file(export).join(&writing.name), &writing.bytes).unwrap();
        }
        // The source has the atlas on a grid of its own.
        let [path, labels, reference] = [file(export), file("finer.nii.gz"), file("reference.nii.gz")];
        let source = format!(
            "path = {path:?}\nlabels = {labels:?}\nreference = {reference:?}\ntr = 1.0\nexisting = true\npoll = 0.02"
        );
        let source: FolderConfig = toml::from_str(&source).unwrap();
        let mut source = source.open(Arc::new(SourceStats::default()), Arc::new(MonotonicClock)).unwrap();
        let names: Vec<String> = source.spec().channels.iter().map(|channel| channel.name.clone()).collect();
        assert_eq!(names, ["label_4", "label_9", "label_17"]);
        let mut block = Block::new(source.spec());
        let mut came: Vec<Vec<f64>> = Vec::new();
        while came.len() < series.len() {
            match source.pull(&mut block, Duration::from_secs(5)).unwrap() {
                Pull::Data => came.push(block.sample(0).to_vec()),
                Pull::Idle => panic!("{export}: {} of {} volumes", came.len(), series.len()),
                _ => {}
            }
        }
        // Half a step of 16 bits; with noise the mean of 90 and more voxels.
        let exact = if flavour == Flavour::Nifti { 1e-9 } else { 0.5 * (29.65 + 19.0) / 65_534.0 + 1e-6 };
        let most = if noise > 0.0 { 5.0 * noise / 30f64.sqrt() } else { exact };
        let mut worst = 0.0f64;
        for ([a, b, c], came) in series.iter().zip(&came) {
            worst = [b, c, a].into_iter().zip(came).fold(worst, |m, (was, is)| m.max((was - is).abs()));
        }
        assert!(worst <= most && (noise == 0.0 || worst > exact), "{export}: {worst} off");
    }
}

#[test]
fn what_cannot_be_painted_is_said() {
    let folder = tempfile::tempdir().unwrap();
    if atlases(folder.path()).is_none() {
        return;
    }
    let told = |table: &str, more: &[&str]| {
        fs::write(folder.path().join("regions.tsv"), table).unwrap();
        let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
        command.current_dir(folder.path()).args(["scanner", "regions.tsv", "--to", "out", "--speed", "max"]).args(more);
        let done = command.output().unwrap();
        (done.status.success(), String::from_utf8_lossy(&[done.stdout, done.stderr].concat()).into_owned())
    };
    let fine = "a\tb\tc\n1\t2\t3\n";
    let (good, said) = told(fine, &["--atlas", "labels.nii.gz", "--tr", "2", "--voxel-size", "8"]);
    assert!(good && said.starts_with("1 volumes, 1 writings"), "{said}");
    for (table, more, problem) in [
        (fine, &["--tr", "2"][..], "a table of regions is painted into an atlas (give --atlas LABELS)"),
        (fine, &["--atlas", "labels.nii.gz"], "the recording has no TR (set --tr)"),
        (
            "a\tb\n1\t2\n",
            &["--atlas", "labels.nii.gz", "--tr", "2"],
            "0 of its 2 columns are called as one of the 3 regions",
        ),
        ("a\tb\tc\n1\tn/a\t3\n", &["--atlas", "labels.nii.gz", "--tr", "2"], "row 1 has no number in column 2"),
        (
            fine,
            &["--atlas", "labels.nii.gz", "--tr", "2", "--noise", "-1"],
            "--noise -1: is neither 0 nor a positive number",
        ),
        (fine, &["--noise", "1", "--tr", "2"], "--atlas"),
    ] {
        let (good, said) = told(table, more);
        assert!(!good && said.contains(problem), "{problem:?} is not in {said:?}");
    }
}

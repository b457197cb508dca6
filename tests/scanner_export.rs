//! What the simulated scanner exports is what it was given, to pydicom, nibabel and dcm2niix as to us.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test may fail by panicking")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use neurod::scanner::{Export, ExportConfig, Flavour, Writing};

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
    assert!(done.status.success() && said.ends_with("export: none 2, drop 1\n"), "{said}");
    assert_eq!(fs::read_to_string(&truth).unwrap(), "volume\tfault\n1\tdrop\n2\tnone\n3\tnone\n");
    assert_eq!(fs::read_dir(folder.path().join("export")).unwrap().count(), 14);
    for (more, problem) in [
        (&["--speed", "max"][..], "is not empty (give the export a folder of its own)"),
        (&["--speed", "0"], "--speed 0: is neither a positive number nor `max`"),
        (&["--faults", "dorp=1"], "--faults: dorp: no such fault (there are drop, duplicate, reorder"),
        (&["--tr", "-1"], "--tr -1: is no positive number of seconds"),
    ] {
        let done = scan(more);
        let said = String::from_utf8_lossy(&done.stderr).into_owned();
        assert!(!done.status.success() && said.contains(problem), "{said}");
    }
}

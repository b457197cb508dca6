//! A 4D image becomes a table of regions: as nilearn has them, and as they would be had the head not moved.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
mod encoders_support;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use encoders_support::fetched;
use serde_json::Value;

const GOLDEN: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/golden");

fn regions(folder: &Path, arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
    command.current_dir(GOLDEN).arg("regions").args(arguments).arg("--out").arg(folder.join("regions.tsv"));
    command.output().unwrap()
}

fn fine(folder: &Path, arguments: &[&str]) -> String {
    let output = regions(folder, arguments);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Each column of a table; NaN for `n/a`.
fn table(path: &Path) -> BTreeMap<String, Vec<f64>> {
    let text = fs::read_to_string(path).unwrap();
    let mut lines = text.lines().map(|line| line.split('\t').collect::<Vec<_>>());
    let header = lines.next().unwrap();
    let rows: Vec<Vec<&str>> = lines.collect();
    let column = |i: usize| rows.iter().map(|row| row[i].parse().unwrap_or(f64::NAN)).collect();
    header.into_iter().enumerate().map(|(i, name)| (name.to_owned(), column(i))).collect()
}

fn golden(file: &str) -> Value {
    serde_json::from_str(&fs::read_to_string(Path::new(GOLDEN).join(file)).unwrap()).unwrap()
}

fn floats(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect()
}

#[test]
fn an_atlas_on_a_swapped_and_reversed_grid_gives_what_nilearn_gives() {
    let folder = tempfile::tempdir().unwrap();
    let said = fine(folder.path(), &["odd_bold.nii.gz", "--atlas", "odd_labels.nii.gz"]);
    let (ours, golden) = (table(&folder.path().join("regions.tsv")), golden("regions.json"));
    let theirs = golden["regions"].as_object().unwrap();
    for (label, expected) in theirs {
        let values = &ours[&format!("label_{label}")];
        let near = values.iter().zip(floats(expected)).all(|(a, b)| (a - b).abs() <= 1e-9 * b.abs());
        assert!(values.len() == 3 && near, "label {label}: {values:?} against {expected}");
    }
    let lost = floats(&golden["lost"]);
    assert!(!lost.is_empty() && ours.len() == theirs.len() + lost.len());
    for label in &lost {
        assert!(ours[&format!("label_{label}")].iter().all(|v| v.is_nan()));
    }
    assert!(said.contains(&format!("{} regions have no voxel in this image", lost.len())), "{said}");
    assert!(said.starts_with("3 volumes × "), "{said}");
}

/// What nilearn, or numpy on what it resamples, says of the images that `tests/python/atlases.py` writes into `folder`.
fn others(folder: &Path, what: &[&str]) -> Option<Value> {
    let python = common::python(&["nibabel", "nilearn", "scipy"])?;
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/python/atlases.py");
    let output = Command::new(python).arg(script).arg(what[0]).arg(folder).args(&what[1..]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

/// The largest difference relative to the value; infinite where one has a value and the other has none.
fn apart(ours: &[f64], theirs: &[f64]) -> f64 {
    assert_eq!(ours.len(), theirs.len());
    let differ = |(a, b): (&f64, &f64)| if a.is_nan() && b.is_nan() { 0.0 } else { (a - b).abs() / b.abs() };
    ours.iter().zip(theirs).map(differ).fold(0.0, |m, d| if d.is_nan() { f64::INFINITY } else { f64::max(m, d) })
}

#[test]
fn maps_and_linear_labels_are_weighted_means_of_what_nilearn_resamples() {
    let folder = tempfile::tempdir().unwrap();
    let Some(expected) = others(folder.path(), &["maps"]) else { return };
    let file = |name: &str| folder.path().join(name).display().to_string();
    let (bold, maps, moved, affine, labels) =
        (file("bold.nii.gz"), file("maps.nii.gz"), file("moved.nii.gz"), file("affine.txt"), file("labels.nii.gz"));
    for (what, arguments, called) in [
        ("linear", vec!["--atlas", &maps], "map"),
        ("nearest", vec!["--atlas", &maps, "--interpolation", "nearest"], "map"),
        // An affine leads from the atlas's own space to the image's.
        ("linear", vec!["--atlas", &moved, "--affine", &affine], "map"),
        ("shares", vec!["--atlas", &labels, "--interpolation", "linear"], "label"),
    ] {
        let said = fine(folder.path(), &[vec![bold.as_str()], arguments.clone()].concat());
        let ours = table(&folder.path().join("regions.tsv"));
        let theirs = expected[what].as_array().unwrap();
        if called == "map" {
            assert!(ours.len() == 4 && said.contains("1 regions have no voxel"), "{said}");
            for (i, theirs) in theirs.iter().enumerate() {
                let far = apart(&ours[&format!("map_{}", i + 1)], &floats(theirs));
                assert!(far <= 1e-6, "{arguments:?}: map {} differs by {far:e}", i + 1);
            }
        } else {
            // In order of label, as far as they lie in the image.
            let mut labels: Vec<_> = ours.iter().filter(|(_, values)| !values[0].is_nan()).collect();
            labels.sort_by_key(|(name, _)| name.trim_start_matches("label_").parse::<u32>().unwrap());
            assert_eq!(labels.len(), theirs.len());
            for ((name, values), theirs) in labels.into_iter().zip(theirs) {
                let far = apart(values, &floats(theirs));
                assert!(far <= 1e-6, "{name} differs by {far:e}");
            }
        }
    }
}

#[test]
fn real_atlases_give_what_nilearn_gives_whichever_way_their_axes_go() {
    for (atlas, regions) in [("mist122", 122), ("desikan_killiany", 83)] {
        let Some(path) = fetched(&format!("data/atlases/{atlas}.nii.gz")) else { continue };
        let folder = tempfile::tempdir().unwrap();
        let path = path.display().to_string();
        let Some(expected) = others(folder.path(), &["labels", &path]) else { return };
        let bold = folder.path().join("bold.nii.gz").display().to_string();
        let turned = folder.path().join("turned.nii.gz").display().to_string();
        for (which, path) in [("given", &path), ("turned", &turned)] {
            fine(folder.path(), &[&bold, "--atlas", path]);
            let ours = table(&folder.path().join("regions.tsv"));
            let theirs = expected[which].as_object().unwrap();
            assert!(ours.len() == regions && theirs.len() > regions / 2, "{atlas}: {} of {}", theirs.len(), ours.len());
            for (name, values) in &ours {
                match theirs.get(name.trim_start_matches("label_")) {
                    Some(theirs) => {
                        let far = apart(values, &floats(theirs));
                        assert!(far <= 1e-6, "{atlas}, {which}: {name} differs by {far:e}");
                    }
                    None => assert!(values.iter().all(|v| v.is_nan()), "{atlas}, {which}: {name}"),
                }
            }
        }
    }
}

#[test]
fn names_missing_voxels_and_a_mask_are_as_in_replay() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("regions.tsv");
    let said = fine(folder.path(), &["bold.nii", "--atlas", "labels.nii.gz", "--labels", "labels.tsv"]);
    let ours = table(&out);
    assert_eq!(ours.keys().collect::<Vec<_>>(), ["M1", "insula", "insula_2"]);
    let golden = golden("files.json");
    let expected: Vec<Vec<f64>> = golden["nifti_float32"]["regions"].as_array().unwrap().iter().map(floats).collect();
    for (t, row) in expected.iter().enumerate() {
        for (name, value) in ["insula", "M1", "insula_2"].iter().zip(row) {
            let ours = ours[*name][t];
            assert!((ours - value).abs() < 1e-9 || (ours.is_nan() && value.is_nan()), "{name} {t}: {ours} {value}");
        }
    }
    assert!(said.contains(&out.display().to_string()), "{said}");
    fine(folder.path(), &["bold.nii.gz", "--mask", "mask.nii.gz"]);
    let voxels = table(&out);
    assert!(voxels.len() > 3 && voxels.keys().all(|name| name.split('_').count() == 3), "{:?}", voxels.keys());
}

#[test]
fn a_head_that_moves_is_followed_and_put_back() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(Path::new(GOLDEN).join("moving.nii.gz"), folder.path().join("moving.nii.gz")).unwrap();
    let arguments = ["moving.nii.gz", "--mask", "moving_mask", "--realign", "--regressors", "24", "--censor", "2.0"];
    // The first volume is its own atlas of one region: what is bright.
    let atlas = bright(folder.path());
    let arguments: Vec<&str> = arguments.map(|a| if a == "moving_mask" { atlas.as_str() } else { a }).to_vec();
    let said = fine(folder.path(), &arguments);
    let motion = table(&folder.path().join("regions_motion.tsv"));
    assert_eq!(motion.len(), 24 + 4);
    let truth: Vec<Vec<f64>> = golden("regions.json")["truth"].as_array().unwrap().iter().map(floats).collect();
    let names = ["trans_x", "trans_y", "trans_z", "rot_x", "rot_y", "rot_z"];
    for (t, row) in truth.iter().enumerate() {
        for (i, (name, expected)) in names.iter().zip(row).enumerate() {
            let wrong = (motion[*name][t] - expected).abs() * if i < 3 { 1.0 } else { 180.0 / std::f64::consts::PI };
            assert!(wrong < 0.05, "{name} of volume {t} is wrong by {wrong} mm or degrees");
        }
    }
    assert_eq!(motion["trans_x_lag1"][3], motion["trans_x"][2]);
    assert_eq!(motion["rot_z_lag1_power2"][3], motion["rot_z"][2].powi(2));
    assert!(motion["framewise_displacement"][0].is_nan() && motion["framewise_displacement"][2] > 3.0);
    assert_eq!(motion["motion_outlier"], [0.0, 0.0, 1.0, 1.0]);
    assert!(said.contains("2 marked, 0 could not be realigned") && said.contains("tSNR "), "{said}");

    let still = table(&folder.path().join("regions.tsv"));
    fine(folder.path(), &["moving.nii.gz", "--mask", &atlas]);
    let moving = table(&folder.path().join("regions.tsv"));
    let spread = |table: &BTreeMap<String, Vec<f64>>| -> f64 {
        let of = |v: &Vec<f64>| v.iter().filter(|x| x.is_finite()).map(|x| (x - v[0]).powi(2)).sum::<f64>();
        table.values().map(of).sum::<f64>().sqrt()
    };
    assert!(spread(&still) < 0.5 * spread(&moving), "{} realigned, {} not", spread(&still), spread(&moving));
}

/// The mask of `moving.nii.gz`'s voxels above 300 in its first volume, as an uncompressed file beside it.
fn bright(folder: &Path) -> String {
    use std::io::Read as _;
    let mut bytes = Vec::new();
    let packed = fs::File::open(folder.join("moving.nii.gz")).unwrap();
    flate2::read::MultiGzDecoder::new(packed).read_to_end(&mut bytes).unwrap();
    let voxels = 30 * 30 * 20;
    bytes.truncate(352 + 2 * voxels);
    bytes[48..50].copy_from_slice(&1i16.to_le_bytes());
    for voxel in bytes[352..].chunks_exact_mut(2) {
        let value = i16::from_le_bytes([voxel[0], voxel[1]]);
        voxel.copy_from_slice(&i16::from(value > 300).to_le_bytes());
    }
    let path = folder.join("bright.nii");
    fs::write(&path, bytes).unwrap();
    path.display().to_string()
}

#[test]
fn what_cannot_be_done_is_said_and_leaves_nothing_behind() {
    let folder = tempfile::tempdir().unwrap();
    let refused = |arguments: &[&str], code: i32, said: &str| {
        let output = regions(folder.path(), arguments);
        let text = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{text}");
        assert!(text.contains(said), "{said:?} is not in {text:?}");
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0, "{arguments:?} leaves something behind");
    };
    refused(&["bold.nii.gz"], 64, "--atlas");
    refused(&["nowhere.nii.gz", "--atlas", "labels.nii.gz"], 66, "nowhere.nii.gz");
    refused(
        &["bold.nii.gz", "--atlas", "mask.nii.gz", "--affine", "labels.tsv"],
        65,
        "labels.tsv:line 1: not four lines",
    );
    refused(&["bold.nii.gz", "--mask", "mask.nii.gz", "--interpolation", "linear"], 64, "cannot be used with");
    refused(&["odd_bold.nii.gz", "--mask", "mask.nii.gz"], 65, "another grid than mask.nii.gz");
    refused(&["bold.nii.gz", "--atlas", "labels.nii.gz", "--realign"], 65, "at least 4 are needed along each axis");
    let late = ["odd_bold.nii.gz", "--atlas", "odd_labels.nii.gz", "--realign", "--reference", "3"];
    refused(&late, 64, "--reference 3: odd_bold.nii.gz has 3 volumes");
    refused(&["bold.nii.gz", "--atlas", "labels.nii.gz", "--smooth", "-1"], 64, "give mm from 0 to 100");
}

//! `neurod encode import`: what scipy, h5py, nibabel and numpy wrote comes out as they read it, whole or not at all.
#![allow(clippy::unwrap_used, clippy::panic, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ndarray::{Array2, s};
use ndarray_npy::{read_npy, write_npy};
use serde_json::Value;

/// Small data sets in the layout they are released in.
fn sources() -> Option<tempfile::TempDir> {
    let python = common::python(&["scipy", "h5py", "nibabel"])?;
    let folder = tempfile::tempdir().unwrap();
    let done = Command::new(python).arg("tests/python/datasets.py").arg(folder.path()).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    Some(folder)
}

fn neurod(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neurod")).arg("encode").args(arguments).current_dir(folder).output().unwrap()
}

fn import(folder: &Path, arguments: &[&str]) -> String {
    let done = neurod(folder, &[&["import"], arguments].concat());
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let before: BTreeSet<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    let done = neurod(folder, &[&["import"], arguments].concat());
    assert!(!done.status.success(), "{arguments:?} was not refused");
    let after: BTreeSet<_> = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(before, after, "{arguments:?} left something behind");
    String::from_utf8(done.stderr).unwrap()
}

fn column(path: &Path, name: &str) -> Vec<String> {
    let text = fs::read_to_string(path).unwrap();
    let place = text.lines().next().unwrap().split('\t').position(|column| column == name);
    let place = place.unwrap_or_else(|| panic!("no column {name} in {}", path.display()));
    text.lines().skip(1).map(|line| line.split('\t').nth(place).unwrap().to_owned()).collect()
}

fn responses(data: &Path) -> Array2<f32> {
    read_npy(data.join("responses.npy")).unwrap()
}

fn expected(path: &Path) -> Array2<f32> {
    match read_npy::<_, Array2<f64>>(path) {
        Ok(values) => values.mapv(|value| value as f32),
        Err(_) => read_npy(path).unwrap(),
    }
}

fn farthest(a: &Array2<f32>, b: &Array2<f32>) -> f32 {
    assert_eq!(a.dim(), b.dim());
    a.iter().zip(b).fold(0.0, |most, (a, b)| f32::max(most, (a - b).abs()))
}

#[test]
fn bold5000_is_the_mean_of_its_volumes_with_repeats_under_one_name() {
    let Some(folder) = sources() else { return };
    let folder = folder.path();
    let says = import(folder, &["bold5000", "bold5000", "--subject", "CSI1", "--out", "csi1"]);
    assert!(says.contains("74 samples of 25 voxels in 5 regions, 2 of `run`, 70 of `stimulus`"), "{says}");
    assert!(says.contains("4 of 74 trials repeat a picture"), "{says}");
    let data = folder.join("csi1");
    assert!(farthest(&responses(&data), &expected(&folder.join("bold5000_mean.npy"))) < 1e-6);
    let (runs, regions) = (data.join("runs.tsv"), data.join("regions.tsv"));
    let stimuli = column(&runs, "stimulus");
    assert_eq!((stimuli[67].as_str(), stimuli[64].as_str()), ("concert5.jpg", "concert5.jpg"));
    assert!(stimuli.iter().all(|name| !name.starts_with("rep_")) && stimuli == column(&runs, "image"));
    let kinds = column(&runs, "condition");
    assert_eq!([0, 40, 64, 66, 69].map(|row| kinds[row].as_str()), ["COCO", "ImageNet", "Scene", "Scene", "ImageNet"]);
    assert_eq!((column(&runs, "run")[36].as_str(), column(&runs, "run")[37].as_str()), ("1", "2"));
    let sides = column(&regions, "hemisphere").concat();
    assert_eq!(
        (&column(&regions, "region")[7..9], sides.as_str()),
        (&["LOC".into(), "LOC".into()][..], "LLLRRRRLLRRRLLLLLRLLRRLRR")
    );
    let made: Value = serde_json::from_str(&fs::read_to_string(data.join("import.json")).unwrap()).unwrap();
    assert_eq!(made["sha256"].as_object().unwrap().len(), 7);

    import(
        folder,
        &["bold5000", "bold5000/ROIs", "--subject", "1", "--tr", "34", "--trials-a-run", "0", "--out", "late"],
    );
    assert!(farthest(&responses(&folder.join("late")), &expected(&folder.join("bold5000_34.npy"))) < 1e-6);
    let lines = fs::read_to_string(folder.join("late/runs.tsv")).unwrap();
    assert!(lines.starts_with("condition\tsubject\timage\tstimulus\n"), "{lines}");

    let pictures = folder.join("pictures");
    fs::create_dir_all(pictures.join("Scene")).unwrap();
    for name in column(&folder.join("late/runs.tsv"), "stimulus") {
        let within = if name.ends_with(".JPEG") { pictures.join("Scene").join(name) } else { pictures.join(name) };
        fs::write(within, "").unwrap();
    }
    let arguments = ["bold5000", "bold5000", "--subject", "1", "--tr", "1", "--pictures", "pictures", "--out", "seen"];
    import(folder, &arguments);
    let images = column(&folder.join("seen/runs.tsv"), "image");
    assert_eq!((images[66].as_str(), images[40].as_str()), ("n.jpg", "Scene/n01930112_0.JPEG"));
    fs::remove_file(pictures.join("news1.jpg")).unwrap();
    let says = refused(folder, &[&arguments[..], &["--force"]].concat());
    assert!(says.contains("1 of the pictures shown are not there, news1.jpg among them"), "{says}");
}

#[test]
fn bold5000_names_what_is_missing_twice_or_of_another_length() {
    let Some(folder) = sources() else { return };
    let folder = folder.path();
    let of = |more: &[&'static str]| [&["bold5000", "bold5000", "--subject", "CSI1", "--out", "out"], more].concat();
    let mats = folder.join("bold5000/ROIs/CSI1/mat");
    assert!(
        refused(folder, &["bold5000", "bold5000", "--subject", "CSI5", "--out", "out"])
            .contains("there are CSI1, CSI2, CSI3 and CSI4")
    );
    assert!(
        refused(folder, &["bold5000", "bold5000", "--subject", "CSI2", "--out", "out"])
            .contains("no CSI2_stim_lists.txt")
    );
    assert!(refused(folder, &of(&["--tr", "3,3"])).contains("name each volume once"));
    assert!(refused(folder, &of(&["--trials-a-run", "30"])).contains("74 trials are no whole runs of 30"));
    fs::rename(mats.join("CSI1_ROIs_TR4.mat"), mats.join("csi01_rois_tr4.mat")).unwrap();
    import(folder, &of(&[]));
    fs::copy(mats.join("CSI1_ROIs_TR3.mat"), mats.join("CSI01_ROIs_TR3.mat")).unwrap();
    let says = refused(folder, &of(&["--force"]));
    assert!(says.contains("volume 3 is there twice") && says.contains("CSI01_ROIs_TR3.mat"), "{says}");
    fs::remove_file(mats.join("CSI01_ROIs_TR3.mat")).unwrap();
    fs::remove_file(mats.join("CSI1_ROIs_TR34.mat")).unwrap();
    let says = refused(folder, &of(&["--force"]));
    assert!(says.contains("no CSI1_rois_tr34.mat, volume 34") && says.contains("choose volumes with --tr"), "{says}");
    let list = folder.join("bold5000/ROIs/stim_lists/CSI01_stim_lists.txt");
    let shown = fs::read_to_string(&list).unwrap();
    fs::write(&list, shown.replacen("rep_concert5.jpg\n", "", 1)).unwrap();
    let says = refused(folder, &of(&["--force", "--tr", "1"]));
    assert!(says.contains("LHPPA: 74 rows where") && says.contains("has 73"), "{says}");
}

#[test]
fn pereira_keeps_each_voxel_once_or_once_a_network() {
    let Some(folder) = sources() else { return };
    let folder = folder.path();
    let all = expected(&folder.join("pereira.npy"));
    // What test scripts wrote, by voxel: each network's own, in its order.
    let once = [4, 5, 6, 49, 50, 9, 10, 29, 11, 30, 0];
    let repeated = [4, 5, 6, 49, 50, 9, 10, 29, 9, 10, 11, 29, 30, 0, 6];
    for (source, more, voxels) in [
        ("P01/data_180concepts_pictures.mat", None, &once[..]),
        ("P01/data_v73.mat", None, &once[..]),
        ("P01/data_180concepts_pictures.mat", Some("--repeat"), &repeated[..]),
    ] {
        let mut arguments = vec!["pereira", source, "--out", "p01", "--force"];
        arguments.extend(more);
        let says = import(folder, &arguments);
        assert!(
            says.contains("11 of 60 voxels are in a chosen network") && says.contains("4 voxels lie in several"),
            "{says}"
        );
        let got = responses(&folder.join("p01"));
        assert_eq!(got.ncols(), voxels.len());
        for (column, voxel) in voxels.iter().enumerate() {
            assert_eq!(got.column(column), all.column(*voxel), "column {column} of {source}");
        }
    }
    let (runs, regions) = (folder.join("p01/runs.tsv"), folder.join("p01/regions.tsv"));
    let networks = column(&regions, "region");
    assert_eq!(networks.iter().collect::<BTreeSet<_>>().len(), 5);
    assert_eq!((column(&regions, "network")[0].as_str(), networks[0].as_str()), ("language", "languageLH"));
    assert_eq!(column(&regions, "hemisphere")[..8].concat(), "LLLRRLLR");
    assert_eq!(column(&regions, "voxel")[5], "4_1_0", "voxels are named by their place in the image, from 0");
    let order: Vec<usize> =
        fs::read_to_string(folder.join("pereira_order.txt")).unwrap().lines().map(|i| i.parse().unwrap()).collect();
    let names: Vec<String> = order.iter().map(|i| format!("concept{i:03}")).collect();
    assert_eq!((column(&runs, "stimulus"), column(&runs, "text")), (names.clone(), names));
    let concrete = column(&runs, "condition").iter().filter(|kind| *kind == "concrete").count();
    assert_eq!((concrete, column(&runs, "subject")[0].as_str()), (90, "P01"));
}

#[test]
fn pereira_by_region_with_places_and_in_its_older_form() {
    let Some(folder) = sources() else { return };
    let folder = folder.path();
    let source = "P01/data_180concepts_pictures.mat";
    import(
        folder,
        &["pereira", source, "--networks", "gordon", "--by-roi", "--grid", "P01/grid.nii.gz", "--out", "gordon"],
    );
    let regions = folder.join("gordon/regions.tsv");
    assert_eq!(column(&regions, "region")[3], "ROI2_VentralAttn_R_48");
    assert_eq!(column(&regions, "hemisphere").concat(), "LLLRR");
    assert_eq!(["x", "y", "z"].map(|axis| column(&regions, axis)[1].clone()), ["8.000", "-20.000", "5.000"]);
    import(folder, &["pereira", source, "--networks", "gordon,visual", "--by-roi", "--out", "two"]);
    assert_eq!(column(&folder.join("two/regions.tsv"), "region")[5], "visual.LH_V");
    let old = "P01/examples_180concepts_pictures.mat";
    let says = refused(folder, &["pereira", old, "--out", "old"]);
    assert!(says.contains("none of the usual networks (choose with --networks: AAL)"), "{says}");
    import(folder, &["pereira", old, "--networks", "aal", "--by-roi", "--out", "old"]);
    assert_eq!(column(&folder.join("old/regions.tsv"), "region"), ["Frontal_Sup_L", "Frontal_Sup_L", "Frontal_Sup_R"]);
    let says = refused(folder, &["pereira", source, "--networks", "DMN,limbic", "--out", "out"]);
    assert!(says.contains("no network \"limbic\" (there are: gordon, languageLH"), "{says}");
    let says = refused(folder, &["pereira", "bold5000/ROIs/CSI1/mat/CSI1_ROIs_TR1.mat", "--out", "out"]);
    assert!(says.contains("no variable \"examples\" (there are: LHPPA"), "{says}");
}

#[test]
fn bids_volumes_get_the_event_that_covers_their_middle() {
    let Some(folder) = sources() else { return };
    let folder = folder.path();
    let images =
        ["01", "02"].map(|run| format!("sub-7/func/sub-7_task-look_run-{run}_space-MNI_desc-preproc_bold.nii.gz"));
    let of = |more: &[&'static str]| {
        [&["bids", &images[0], &images[1]], more].concat().iter().map(|a| a.to_string()).collect::<Vec<_>>()
    };
    let run = |more: &[&'static str]| import(folder, &of(more).iter().map(String::as_str).collect::<Vec<_>>());
    let stop = |more: &[&'static str]| refused(folder, &of(more).iter().map(String::as_str).collect::<Vec<_>>());
    let says = run(&["--mask", "sub-7/func/mask.nii.gz", "--text", "a photo of a {trial_type}", "--out", "voxels"]);
    assert!(
        says.contains("20 samples of 12 voxels in 1 regions, 2 of `run`")
            && says.contains("10 of 20 volumes have no event"),
        "{says}"
    );
    let data = folder.join("voxels");
    assert_eq!(farthest(&responses(&data), &expected(&folder.join("bids_mask.npy"))), 0.0);
    let (runs, regions) = (data.join("runs.tsv"), data.join("regions.tsv"));
    // 2.5 s a volume: the events lie at 2.5–7.5, 15–20, and at 24 for a moment; between them is rest.
    let cats = ["n/a", "a.png", "a.png", "n/a", "n/a", "n/a", "b.png", "b.png", "n/a", "a.png"];
    assert_eq!(column(&runs, "image")[10..], cats);
    assert_eq!(
        (column(&runs, "text")[6].as_str(), column(&runs, "condition")[3].as_str()),
        ("a photo of a dog", "n/a")
    );
    assert_eq!(
        (column(&runs, "run")[9].as_str(), column(&runs, "run")[10].as_str(), column(&runs, "subject")[0].as_str()),
        ("01", "02", "7")
    );
    let places: Array2<f64> = read_npy(folder.join("bids_places.npy")).unwrap();
    let x: Vec<f64> = column(&regions, "x").iter().map(|mm| mm.parse().unwrap()).collect();
    assert_eq!((x, column(&regions, "voxel")[1].as_str()), (places.column(0).to_vec(), "2_1_0"));

    run(&["--mask", "sub-7/func/mask.nii.gz", "--standardize", "--out", "z"]);
    assert!(farthest(&responses(&folder.join("z")), &expected(&folder.join("bids_z.npy"))) < 1e-5);
    run(&["--mask", "sub-7/func/mask.nii.gz", "--detrend", "--standardize", "--out", "flat"]);
    assert!(farthest(&responses(&folder.join("flat")), &expected(&folder.join("bids_flat.npy"))) < 1e-5);
    let labels = ["--dseg", "sub-7/func/atlas_dseg.nii.gz", "--labels", "sub-7/func/atlas_dseg.tsv"];
    run(&[&labels[..], &["--mean", "--out", "means"]].concat());
    assert!(farthest(&responses(&folder.join("means")), &expected(&folder.join("bids_mean.npy"))) < 1e-4);
    let regions = folder.join("means/regions.tsv");
    assert_eq!(
        (column(&regions, "region"), column(&regions, "hemisphere").concat()),
        (vec!["V1".into(), "A1".into()], "RL".into())
    );
    assert_eq!(column(&regions, "network"), ["visual", "n/a"]);
    run(&[&labels[..], &["--mask", "sub-7/func/mask.nii.gz", "--samples", "samples.tsv", "--out", "both"]].concat());
    assert_eq!(responses(&folder.join("both")).ncols(), 8, "labelled voxels within the mask");
    let runs = folder.join("both/runs.tsv");
    assert_eq!(
        (column(&runs, "text")[5].as_str(), column(&runs, "text")[6].as_str(), column(&runs, "run")[19].as_str()),
        ("face", "n/a", "3")
    );

    assert!(stop(&["--out", "out"]).contains("give --mask, an image, or --dseg, a label image"));
    assert!(stop(&["--mask", "P01/grid.nii.gz", "--out", "out"]).contains("the image marks 0 regions"));
    assert!(
        stop(&["--mask", "sub-7/func/mask.nii.gz", "--events", "samples.tsv", "--out", "out"])
            .contains("1 events files for 2 images")
    );
    fs::write(folder.join("short.tsv"), "run\tlabel\n1\tface\n").unwrap();
    assert!(
        stop(&["--mask", "sub-7/func/mask.nii.gz", "--samples", "short.tsv", "--out", "out"])
            .contains("1 rows where the images together has 20")
    );
    fs::remove_file(folder.join("sub-7/func/sub-7_task-look_run-02_events.tsv")).unwrap();
    assert!(
        stop(&["--mask", "sub-7/func/mask.nii.gz", "--out", "out"])
            .contains("run-02_events.tsv: is not there (name events.tsv with --events")
    );
}

#[test]
fn npz_of_any_byte_and_memory_order() {
    let Some(folder) = sources() else { return };
    let folder = folder.path();
    let says = import(folder, &["npz", "two.npz", "--out", "two"]);
    assert!(
        says.contains("12 samples of 3 voxels in 2 regions, 3 of `run`, 6 of `stimulus`")
            && says.contains("left out: spare"),
        "{says}"
    );
    let (x, y): (Array2<f64>, Array2<f64>) =
        (read_npy(folder.join("x.npy")).unwrap(), read_npy(folder.join("y.npy")).unwrap());
    assert_eq!(read_npy::<_, Array2<f64>>(folder.join("two/features/wide.npy")).unwrap(), x);
    assert_eq!(read_npy::<_, Array2<f64>>(folder.join("two/features/whole.npy")).unwrap()[[11, 1]], 23.0);
    assert_eq!(read_npy::<_, Array2<f64>>(folder.join("two/responses.npy")).unwrap(), y);
    assert_eq!(column(&folder.join("two/runs.tsv"), "stimulus")[11], "é5");
    assert_eq!(
        (
            column(&folder.join("two/regions.tsv"), "region")[2].as_str(),
            column(&folder.join("two/regions.tsv"), "y")[2].as_str()
        ),
        ("A1", "7.000")
    );
    import(folder, &["npz", "one.npz", "--out", "one"]);
    assert_eq!(responses(&folder.join("one")), y.mapv(|v| v as f32), "single precision stays so");
    let done = neurod(folder, &["evaluate", "two", "--folds", "runs", "--lambda", "1", "--out", "scores"]);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));

    let stop = |file: &str, more: &[&str]| refused(folder, &[&["npz", file, "--out", "out"], more].concat());
    assert!(stop("short.npz", &[]).contains("short.npz:X: 11 rows where Y has 12"));
    assert!(stop("empty.npz", &[]).contains("Y: empty: 0 rows of 3"));
    assert!(stop("object.npz", &[]).contains("Y: holds |O, no real numbers"));
    assert!(stop("one.npz", &["--responses", "betas"]).contains("no array \"betas\" (there are: X, Y)"));
    assert!(stop("one.npz", &["--features", "clip"]).contains("no array \"clip\""));
    assert!(stop("samples.tsv", &[]).contains("no .npz file, or one that is cut off"));
    let whole = fs::read(folder.join("two.npz")).unwrap();
    for length in (0..whole.len()).step_by(97) {
        fs::write(folder.join("cut.npz"), &whole[..length]).unwrap();
        assert!(stop("cut.npz", &[]).contains("cut.npz"), "cut at {length}");
    }
}

#[test]
fn a_folder_that_is_taken_is_left_alone_unless_it_is_a_data_set_and_forced() {
    let Some(folder) = sources() else { return };
    let folder = folder.path();
    import(folder, &["npz", "one.npz", "--out", "data"]);
    fs::write(folder.join("data/mine.txt"), "kept").unwrap();
    assert!(
        refused(folder, &["npz", "two.npz", "--out", "data"])
            .contains("is not empty (name another folder, or replace it with --force)")
    );
    assert_eq!(fs::read_to_string(folder.join("data/mine.txt")).unwrap(), "kept");
    import(folder, &["npz", "two.npz", "--out", "data", "--force"]);
    assert!(!folder.join("data/mine.txt").exists() && folder.join("data/features/wide.npy").exists());
    fs::create_dir(folder.join("home")).unwrap();
    fs::write(folder.join("home/letters.txt"), "dear").unwrap();
    assert!(
        refused(folder, &["npz", "two.npz", "--out", "home", "--force"]).contains("is no dataset, and is not replaced")
    );
    fs::create_dir(folder.join("empty")).unwrap();
    import(folder, &["npz", "two.npz", "--out", "empty"]);
    let hidden =
        fs::read_dir(folder).unwrap().filter(|e| e.as_ref().unwrap().file_name().to_string_lossy().starts_with('.'));
    assert_eq!(hidden.count(), 0, "nothing half-written is left");
}

#[test]
fn haxby_comes_in_as_nibabel_reads_it() {
    let data = Path::new(env!("CARGO_MANIFEST_DIR")).join(".cache/data/haxby/sub-1/func");
    let found = data.is_dir().then_some(data).ok_or_else(|| "`make assets` fetches it".to_owned());
    let Some(data) = common::peer("Haxby's first subject", found) else { return };
    let Some(python) = common::python(&["nibabel"]) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let mask = data.join("sub-1_task-objectviewing_mask.nii.gz");
    let images =
        (1..=12).map(|run| data.join(format!("sub-1_task-objectviewing_run-{run:02}_bold.nii")).display().to_string());
    let mut arguments: Vec<String> = [vec!["bids".to_owned()], images.collect()].concat();
    arguments.extend(
        ["--mask", &mask.display().to_string(), "--text", "a photo of a {trial_type}", "--out", "haxby"]
            .map(String::from),
    );
    let says = import(folder, &arguments.iter().map(String::as_str).collect::<Vec<_>>());
    assert!(says.contains("1452 samples of 530 voxels in 1 regions, 12 of `run`"), "{says}");
    let script = "import sys, nibabel, numpy as np\n\
        from pathlib import Path\n\
        mask = nibabel.load(sys.argv[1]).get_fdata() > 0\n\
        runs = sorted(Path(sys.argv[1]).parent.glob('*_bold.nii'))\n\
        order = np.flatnonzero(mask.ravel(order='F'))\n\
        np.save(sys.argv[2], np.vstack([nibabel.load(r).get_fdata().reshape(mask.size, -1, order='F')[order].T for r in runs]).astype('f4'))";
    let done = Command::new(python).args(["-c", script]).arg(&mask).arg(folder.join("nibabel.npy")).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    assert_eq!(responses(&folder.join("haxby")), read_npy::<_, Array2<f32>>(folder.join("nibabel.npy")).unwrap());
    let texts = column(&folder.join("haxby/runs.tsv"), "text");
    let kinds: BTreeSet<&str> = texts.iter().map(String::as_str).filter(|text| *text != "n/a").collect();
    assert_eq!(
        (kinds.len(), texts.iter().filter(|text| *text != "n/a").count()),
        (8, 864),
        "nine volumes a block, eight blocks a run"
    );
}

#[test]
fn what_is_wrong_in_a_plain_folder_is_told_with_the_fix() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    let data = folder.join("data");
    fs::create_dir(&data).unwrap();
    let values = Array2::from_shape_fn((8, 3), |(row, column)| (row * 3 + column) as f64);
    write_npy(data.join("responses.npy"), &values).unwrap();
    // numpy's other order of memory.
    write_npy(data.join("features.npy"), &values.t().to_owned().t()).unwrap();
    fs::write(data.join("runs.tsv"), "stimulus\trun\na\t1\nn/a\t1\nb\t1\nn/a\t1\nc\t2\nn/a\t2\nd\t2\nn/a\t2\n")
        .unwrap();
    let evaluate = |more: &[&str]| {
        let folds = if more.contains(&"--folds") { &[][..] } else { &["--folds", "k=4"] };
        let done = neurod(folder, &[&["evaluate", "data", "--lambda", "1", "--out", "out"], folds, more].concat());
        (done.status.success(), String::from_utf8(done.stderr).unwrap())
    };
    let says = |more: &[&str]| evaluate(more).1;
    assert!(evaluate(&["--folds", "runs"]).0, "samples without a stimulus are not one stimulus");
    fs::write(data.join("runs.tsv"), "run\n1\n1\n1\nn/a\n2\n2\n2\n2\n").unwrap();
    assert!(says(&["--folds", "runs"]).contains("line 5: no run (every row needs one)"));
    fs::write(data.join("runs.tsv"), "stimulus\na\nb\nc\nd\ne\nf\ng\nh\n").unwrap();
    assert!(says(&["--folds", "runs"]).contains("give one with a column `run`"));
    fs::write(data.join("runs.tsv"), "run\n1\n2\n").unwrap();
    assert!(says(&[]).contains("2 rows where responses.npy has 8"));
    fs::remove_file(data.join("runs.tsv")).unwrap();
    fs::write(data.join("regions.tsv"), "region\tvoxel\nV1\ta\nV1\tb\nV1\ta\n").unwrap();
    assert!(says(&[]).contains("line 4: voxel \"a\" of region \"V1\" is there twice"));
    fs::write(data.join("regions.tsv"), "voxel\na\nb\nc\n").unwrap();
    assert!(says(&[]).contains("no column \"region\""));
    fs::remove_file(data.join("regions.tsv")).unwrap();
    assert!(says(&["--features", "features,features"]).contains("\"features\" is asked for twice"));
    fs::create_dir(data.join("features")).unwrap();
    assert!(says(&[]).contains("a folder features beside it (move the file into the folder)"));
    fs::remove_file(data.join("features.npy")).unwrap();
    write_npy(data.join("features/short.npy"), &values.slice(s![..5, ..]).to_owned()).unwrap();
    assert!(says(&[]).contains("short.npy: 5 rows where responses.npy has 8"));
    write_npy(data.join("features/short.npy"), &Array2::<f64>::zeros((8, 0))).unwrap();
    assert!(says(&[]).contains("empty: 8 rows of 0"));
    let Some(python) = common::python(&["numpy"]) else { return };
    let save = |what: &str| {
        let script = format!(
            "import numpy as np; x = np.arange(24.0).reshape(8, 3); np.save('data/features/short.npy', {what})"
        );
        assert!(
            Command::new(Path::new(env!("CARGO_MANIFEST_DIR")).join(&python))
                .args(["-c", &script])
                .current_dir(folder)
                .status()
                .unwrap()
                .success()
        );
        evaluate(&[])
    };
    let plain = save("x");
    assert!(plain.0, "{}", plain.1);
    let expected = fs::read(folder.join("out/predictions.npy")).unwrap();
    for same in ["np.asfortranarray(x)", "x.astype('>f8')", "x.astype('>i2')", "np.asfortranarray(x.astype('<u8'))"] {
        let got = save(same);
        assert!(got.0, "{same}: {}", got.1);
        assert_eq!(fs::read(folder.join("out/predictions.npy")).unwrap(), expected, "{same}");
    }
    for (odd, why) in [
        ("x.astype(complex)", "holds <c16, no real numbers"),
        ("x.astype('U8')", "holds <U8, no real numbers"),
        ("np.zeros((2, 2, 2))", "3 dimensions, [2, 2, 2]"),
        ("np.zeros(8, [('a', 'f4')])", "holds a structured type"),
    ] {
        let got = save(odd);
        assert!(!got.0 && got.1.contains(why), "{odd}: {}", got.1);
    }
}

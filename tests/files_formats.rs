//! Recordings of every format give what the programs that wrote them read back.

#![allow(clippy::expect_used, reason = "a test that cannot go on fails")]

#[path = "common/recordings.rs"]
mod recordings;

use neurod::acquisition::Source;
use neurod::frame::{Quality, Unit};
use recordings::{assert_rows, blocks, events, expected, golden, open};

fn names(recording: &neurod::acquisition::file::Recording) -> Vec<String> {
    recording.samples.spec().channels.iter().map(|c| format!("{}:{}:{}", c.name, c.kind, c.unit.as_str())).collect()
}

#[test]
fn edf_is_scaled_to_microvolts_and_its_annotations_are_events() {
    let config = "files = [\"eeg.edf\"]\ndrop_columns = [\"Battery\"]\nblock = 5";
    let mut recording = open(&golden(), config).expect("a recording");
    assert_eq!(names(&recording), ["Fpz-Cz:EEG:uV", "horizontal:EOG:uV", "Temp rectal:EEG:a.u."]);
    assert_eq!(recording.samples.spec().rate, 32.0);
    assert_rows(&blocks(&mut recording.samples), &expected("edf", "values"));
    let notes = events(&mut recording.events.expect("annotations"));
    let notes: Vec<_> = notes.iter().map(|e| (e.onset.seconds(), e.duration, e.label.as_str())).collect();
    assert_eq!(notes, [(0.5, 1.25, "heat"), (2.75, 0.0, "rating é")]);
}

#[test]
fn bdf_has_24_bits_and_its_status_is_no_channel() {
    let mut recording = open(&golden(), "files = [\"eeg.bdf\"]").expect("a recording");
    assert_eq!(names(&recording), ["A1:EEG:uV", "A2:EEG:uV"]);
    let all = blocks(&mut recording.samples);
    assert_eq!((all.len(), all[0].len(), all[0].capacity()), (4, 32, 32));
    assert_rows(&all, &expected("bdf", "values"));
    assert!(all.iter().any(|b| b.data().iter().any(|v| *v < -1e5)), "the golden file has large negative values");
}

#[test]
fn a_labelled_volume_becomes_regions_with_the_names_of_its_list() {
    let config = "files = [\"bold.nii.gz\"]\nlabels = \"labels.nii.gz\"\nlabel_names = \"labels.tsv\"";
    let mut recording = open(&golden(), config).expect("a recording");
    assert_eq!(names(&recording), ["insula:REGION:a.u.", "M1:REGION:a.u.", "insula_2:REGION:a.u."]);
    assert_eq!(recording.timetable.runs[0].period, 0.72);
    let all = blocks(&mut recording.samples);
    assert_eq!((all[2].measured_at.seconds(), all[2].arrived_at.seconds()), (2.0 * 0.72, 3.0 * 0.72));
    assert_rows(&all, &expected("nifti_int16", "regions"));
}

#[test]
fn missing_voxels_are_left_out_and_a_region_without_voxels_is_masked() {
    let mut recording = open(&golden(), "files = [\"bold.nii\"]\nlabels = \"labels.nii.gz\"\ntr = 2.0").expect("one");
    assert_eq!(names(&recording)[2], "label_11:REGION:a.u.");
    let all = blocks(&mut recording.samples);
    assert_rows(&all, &expected("nifti_float32", "regions"));
    let bad: Vec<_> = all.iter().map(|b| (b.quality, b.bad.contains(0), b.bad.count())).collect();
    assert_eq!(bad[3], (Quality::NON_FINITE, true, 1));
    assert!(bad.iter().enumerate().all(|(i, b)| i == 3 || *b == (Quality::GOOD, false, 0)));
}

#[test]
fn a_mask_keeps_every_voxel_of_its_own() {
    let mut recording = open(&golden(), "files = [\"bold.nii.gz\"]\nmask = \"mask.nii.gz\"").expect("a recording");
    assert!(recording.samples.spec().channels.iter().all(|c| c.kind == "VOXEL"));
    assert_rows(&blocks(&mut recording.samples), &expected("nifti_int16", "voxels"));
}

#[test]
fn tables_are_read_with_any_delimiter_with_and_without_names() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows = [vec![1.5, -2.0], vec![f64::NAN, 1e-3]];
    for (name, text, first) in [
        ("a.tsv", "Glob\tinsula\tinsula\n9\t1.5\t-2\n9\tn/a\t1e-3\n", "insula"),
        ("b.csv", "\u{feff}\"Glob\",\"a, b\",c\r\n9,1.5,-2\r\n\r\n9,,0.001\r\n", "a, b"),
        ("c.csv", "# exported\nGlob;x;y\n9;1.5;-2\n9;NaN;1e-3", "x"),
        ("i.csv", ",Glob,x,y\n0,9,1.5,-2\n1,9,,1e-3\n", "x"),
        ("d.txt", "Glob  x y\n9 1.5   -2 \n 9 nan 1e-3\n", "x"),
    ] {
        std::fs::write(folder.path().join(name), text).expect("written");
        let index = if name == "i.csv" { ", \"\"" } else { "" };
        let config = format!("files = [\"{name}\"]\ntr = 2.0\ndrop_columns = [\"Glob\"{index}]");
        let mut recording = open(folder.path(), &config).expect(name);
        assert_eq!(recording.samples.spec().channels[0].name, first);
        let all = blocks(&mut recording.samples);
        assert_rows(&all, &rows);
        assert_eq!((all[1].quality, all[1].bad.contains(0), all[1].bad.count()), (Quality::NON_FINITE, true, 1));
    }
    std::fs::write(folder.path().join("e.txt"), "1.5 -2\nnan 1e-3\n").expect("written");
    let mut recording = open(folder.path(), "files = [\"e.txt\"]\nrate = 100.0\nunit = \"a.u.\"").expect("e.txt");
    assert_eq!(names(&recording), ["EEG1:EEG:a.u.", "EEG2:EEG:a.u."]);
    assert_rows(&blocks(&mut recording.samples), &rows);
}

#[test]
fn a_time_column_tells_the_rate_and_is_no_channel() {
    let folder = tempfile::tempdir().expect("a folder");
    let rows: String = (0..250).map(|i| format!("{:.3},{i},{}\n", 5.0 + f64::from(i) * 0.004, -i)).collect();
    std::fs::write(folder.path().join("eeg.csv"), format!("Time,Cz,Pz\n{rows}")).expect("written");
    let mut recording = open(folder.path(), "files = [\"eeg.csv\"]").expect("a recording");
    let spec = recording.samples.spec().clone();
    assert!((spec.rate - 250.0).abs() < 1e-9 && spec.channels.len() == 2 && spec.channels[0].unit == Unit::Microvolt);
    let all = blocks(&mut recording.samples);
    assert_eq!(all.iter().map(neurod::frame::Block::len).collect::<Vec<_>>(), [32, 32, 32, 32, 32, 32, 32, 26]);
    assert!((all[0].measured_at.seconds() - 31.0 * 0.004).abs() < 1e-12);
}

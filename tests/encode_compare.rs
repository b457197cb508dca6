//! `neurod encode compare` and `report`: every feature space as `evaluate` has it, on the same folds and draws.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use ndarray::Array2;
use ndarray_npy::write_npy;
use serde_json::Value;

/// 90 samples of 60 pictures in six runs; `a` and `b` each explain half of what there is, `net.N` ever more of `a`; twelve
/// voxels of two regions in both hemispheres, with places.
fn dataset(folder: &Path, seed: u64) {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    fs::create_dir_all(folder.join("features")).unwrap();
    let pictures = Array2::from_shape_simple_fn((60, 8), &mut draw);
    let latent = Array2::from_shape_fn((90, 8), |(i, f)| pictures[(i % 60, f)]);
    let weights = Array2::from_shape_simple_fn((8, 12), &mut draw);
    let y = latent.dot(&weights) + Array2::from_shape_simple_fn((90, 12), || 0.4 * draw());
    let mut space = |name: &str, from: usize, noise: f64| {
        let x = Array2::from_shape_fn((90, 4), |(i, f)| latent[(i, from + f)] + noise * draw());
        write_npy(folder.join(format!("features/{name}.npy")), &x).unwrap();
    };
    space("a", 0, 0.1);
    space("b", 4, 0.1);
    for layer in [1, 2, 10] {
        space(&format!("net.{layer}"), 0, 3.0 / f64::from(layer));
    }
    write_npy(folder.join("responses.npy"), &y).unwrap();
    let runs: String = (0..90).map(|i| format!("{}\tpicture {}\n", i / 15, i % 60)).collect();
    fs::write(folder.join("runs.tsv"), format!("run\tstimulus\n{runs}")).unwrap();
    let row = |v: usize| format!("{}\t{}\tscene\t{}\t{}\t0\n", ["PPA", "LOC"][v % 2], ["L", "R"][v / 6], v * 3, v * v);
    let rows: String = (0..12).map(row).collect();
    fs::write(folder.join("regions.tsv"), format!("region\themisphere\tnetwork\tx\ty\tz\n{rows}")).unwrap();
}

fn encode(arguments: &[&str], folder: &Path) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neurod")).arg("encode").args(arguments).current_dir(folder).output().unwrap()
}

fn succeeds(arguments: &[&str], folder: &Path) {
    let done = encode(arguments, folder);
    assert!(done.status.success(), "{arguments:?}: {}", String::from_utf8_lossy(&done.stderr));
}

/// Rows by the header's names.
fn table(path: &Path) -> Vec<BTreeMap<String, String>> {
    let text = fs::read_to_string(path).unwrap();
    let names: Vec<&str> = text.lines().next().unwrap().split('\t').collect();
    let row = |line: &str| names.iter().map(|n| (*n).to_owned()).zip(line.split('\t').map(String::from)).collect();
    text.lines().skip(1).map(row).collect()
}

#[test]
fn each_feature_space_scores_as_it_does_alone() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(&folder.join("data"), 3);
    let common = ["--lambda", "1", "--folds", "runs"];
    let compare = ["compare", "data", "--features", "a,b", "--fuse", "b+a", "--partition", "--out", "compared"];
    succeeds(&[&compare[..], &common].concat(), folder);
    for (name, features) in [("a", "a"), ("b", "b"), ("b+a", "b,a")] {
        let evaluate = ["evaluate", "data", "--features", features, "--out", "alone"];
        succeeds(&[&evaluate[..], &common].concat(), folder);
        let mut compared = table(&folder.join("compared/scores.tsv"));
        compared.retain(|row| row["features"] == name);
        compared.iter_mut().for_each(|row| drop(row.remove("features")));
        let alone = table(&folder.join("alone/scores.tsv"));
        assert!(compared == alone && !alone.is_empty(), "{name}");
        let (voxels, wide) = (table(&folder.join("alone/voxels.tsv")), table(&folder.join("compared/voxels.tsv")));
        assert!(voxels.iter().zip(&wide).all(|(a, b)| a["r"] == b[&format!("r:{name}")]), "{name}");
    }
    // All levels are told, in their order.
    let mut told: Vec<(String, String)> = table(&folder.join("alone/scores.tsv"))
        .iter()
        .map(|row| (row["level"].clone(), row["region"].clone()))
        .collect();
    told.dedup();
    let expected = [
        ("all", "all"),
        ("region", "PPA"),
        ("region", "LOC"),
        ("region_by_hemisphere", "LHPPA"),
        ("region_by_hemisphere", "LHLOC"),
        ("region_by_hemisphere", "RHPPA"),
        ("region_by_hemisphere", "RHLOC"),
        ("hemisphere", "L"),
        ("hemisphere", "R"),
        ("network", "scene"),
    ];
    assert_eq!(told, expected.map(|(level, region)| (level.to_owned(), region.to_owned())));

    // Both together are best, and what each has alone and what they share make up the whole.
    let differences = table(&folder.join("compared/differences.tsv"));
    let ahead = differences.iter().filter(|row| row["region"] == "all" && row["metric"] == "pearson_per_voxel");
    for row in ahead {
        let [value, low, high] = ["difference", "ci_low", "ci_high"].map(|n| row[n].parse::<f64>().unwrap());
        assert!(row["features"] == "b+a" && low > 0.0 && low < value && value < high, "{row:?}");
    }
    let parts: Vec<(String, f64)> = table(&folder.join("compared/partition.tsv"))
        .iter()
        .filter(|row| row["region"] == "LHPPA")
        .map(|row| (row["part"].clone(), row["r2"].parse().unwrap()))
        .collect();
    let names: Vec<&str> = parts.iter().map(|(name, _)| name.as_str()).collect();
    assert_eq!(names, ["only a", "only b", "a and b", "total"]);
    let whole: f64 = parts[..3].iter().map(|(_, r2)| r2).sum();
    assert!((whole - parts[3].1).abs() < 1e-9 && parts[0].1 > 0.1 && parts[1].1 > 0.1, "{parts:?}");
    let fused = table(&folder.join("compared/scores.tsv"));
    let of_fusion = |row: &&BTreeMap<String, String>| {
        row["features"] == "b+a" && row["region"] == "LHPPA" && row["metric"] == "r2_per_voxel"
    };
    let r2: f64 = fused.iter().find(of_fusion).unwrap()["value"].parse().unwrap();
    assert!((r2 - parts[3].1).abs() < 1e-9, "the total is what all of them explain: {r2}");
}

#[test]
fn differences_are_as_likely_by_chance_as_numpy_finds_them() {
    let Some(python) = common::python(&["scipy"]) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(&folder.join("data"), 3);
    let common = ["--lambda", "1", "--folds", "runs", "--seed", "11"];
    let (best, others) = ("b", ["a", "net.1", "net.10"]);
    let compare = ["compare", "data", "--features", "a,b,net.1,net.10", "--permutations", "300", "--out", "compared"];
    succeeds(&[&compare[..], &common].concat(), folder);
    for name in others.iter().chain([&best]) {
        let out = format!("data/{name}");
        succeeds(&[&["evaluate", "data", "--features", name, "--out", &out], &common[..]].concat(), folder);
    }
    let script = "tests/python/compare_permutations.py";
    let names = others.join(",");
    let mut oracle = Command::new(python);
    oracle.arg(script).arg(folder.join("data")).args([best, &names, "300", "11"]);
    let done = oracle.output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let theirs: Value = serde_json::from_slice(&done.stdout).unwrap();
    let near = |ours: &str, theirs: &Value| (ours.parse::<f64>().unwrap() - theirs.as_f64().unwrap()).abs() < 1e-12;
    let rows = table(&folder.join("compared/differences.tsv"));
    assert_eq!(rows.len(), 3 * 10 * 2, "three others, ten sets, two metrics");
    for row in &rows {
        assert_eq!(row["features"], best);
        let metric = usize::from(row["metric"] == "2v2");
        let expected = &theirs[&row["than"]]["regions"][&row["region"]][metric];
        assert!(near(&row["p"], &expected[0]) && near(&row["q"], &expected[1]), "{row:?} {expected}");
    }
    let voxels = table(&folder.join("compared/voxels.tsv"));
    for other in others {
        for (v, row) in voxels.iter().enumerate() {
            for (place, of) in ["p", "q"].iter().enumerate() {
                let (ours, expected) = (&row[&format!("{of}:{best}-{other}")], &theirs[other]["voxels"][place][v]);
                assert!(near(ours, expected), "{other} {v}: {ours} {expected}");
            }
        }
    }
    // Some are, some are not; and nothing is told that was not asked for.
    let p = || rows.iter().map(|row| row["p"].parse::<f64>().unwrap());
    assert!(p().any(|p| p < 0.05) && p().any(|p| p > 0.2), "{:?}", p().collect::<Vec<_>>());
    let page = fs::read_to_string(folder.join("compared/report.html")).unwrap();
    assert!(
        page.contains("of 300 exchanges of the two predictions, by runs,") && page.contains("Permuted, it differs")
    );
    succeeds(&[&["compare", "data", "--features", "a,b", "--out", "plain"], &common[..]].concat(), folder);
    assert!(table(&folder.join("plain/differences.tsv")).iter().all(|row| row["p"] == "n/a" && row["q"] == "n/a"));
    assert!(!fs::read_to_string(folder.join("plain/voxels.tsv")).unwrap().contains("\tp:"));
}

#[test]
fn layers_are_one_curve_in_their_order_and_the_same_input_gives_the_same_bytes() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(&folder.join("data"), 5);
    let run = || {
        succeeds(&["compare", "data", "--lambda", "1", "--folds", "k=5", "--out", "out"], folder);
        let mut files: Vec<(String, Vec<u8>)> = Vec::new();
        for place in ["out", "out/figures"] {
            for entry in fs::read_dir(folder.join(place)).unwrap().filter(|e| e.as_ref().unwrap().path().is_file()) {
                let path = entry.unwrap().path();
                files.push((path.display().to_string(), fs::read(path).unwrap()));
            }
        }
        files.sort();
        files
    };
    let files = run();
    assert!(files == run());
    assert!(files.iter().all(|(name, _)| !name.contains(".partial")) && files.len() > 15);
    let summary: Value = serde_json::from_slice(&fs::read(folder.join("out/summary.json")).unwrap()).unwrap();
    let spaces: Vec<&str> =
        summary["report"]["spaces"].as_array().unwrap().iter().map(|s| s["name"].as_str().unwrap()).collect();
    assert_eq!(spaces, ["a", "b", "net.1", "net.2", "net.10"]);
    let r = |name: &str| summary["scores"][name]["pearson_per_voxel"]["value"].as_f64().unwrap();
    assert!(r("net.1") < r("net.2") && r("net.2") < r("net.10"));
    let curve = fs::read_to_string(folder.join("out/figures/layers.svg")).unwrap();
    assert!(curve.contains("<polyline") && curve.contains("net.10"));
    let page = fs::read_to_string(folder.join("out/report.html")).unwrap();
    assert!(page.contains("neurod encode compare data --lambda 1 --folds k=5 --out out"));
    // A result without layers takes the earlier one's curve away.
    succeeds(&["compare", "data", "--features", "a,b", "--lambda", "1", "--folds", "k=5", "--out", "out"], folder);
    assert!(!folder.join("out/figures/layers.svg").exists() && folder.join("out/figures/pearson.png").exists());
}

#[test]
fn subjects_are_averaged_and_the_page_can_be_drawn_again() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(&folder.join("s1"), 7);
    dataset(&folder.join("s2"), 8);
    let common = ["--features", "a,b", "--lambda", "1", "--folds", "runs"];
    succeeds(&[&["compare", "s1", "s2", "--out", "both"][..], &common].concat(), folder);
    succeeds(&[&["compare", "s2", "--out", "alone"][..], &common].concat(), folder);
    let value = |path: &str, name: &str| {
        let summary: Value = serde_json::from_slice(&fs::read(folder.join(path)).unwrap()).unwrap();
        summary["scores"][name]["2v2"]["value"].as_f64().unwrap()
    };
    let [one, two] = ["both/s1/summary.json", "both/s2/summary.json"].map(|path| value(path, "a"));
    assert!((value("both/summary.json", "a") - (one + two) / 2.0).abs() < 1e-12);
    assert_eq!(two, value("alone/summary.json", "a"));

    succeeds(&["report", "both/s1", "both/s2", "--out", "pages/page.html", "--figures", "drawn"], folder);
    let page = fs::read_to_string(folder.join("pages/page.html")).unwrap();
    assert!(page.contains("Means over 2 subjects: s1, s2.") && page.contains("neurod encode report both/s1"));
    assert!(folder.join("drawn/pearson.svg").exists());
    assert_eq!(fs::read(folder.join("drawn/mae.png")).unwrap(), fs::read(folder.join("both/figures/mae.png")).unwrap());
    // One folder, drawn again: only the command is another.
    succeeds(&["report", "alone", "--out", "again.html"], folder);
    let without_command = |path: &str| {
        let page = fs::read_to_string(folder.join(path)).unwrap();
        let (before, after) = (page.find("<pre>").unwrap(), page.find("</pre>").unwrap());
        format!("{}{}", &page[..before], &page[after..])
    };
    assert!(without_command("again.html") == without_command("alone/report.html"));
}

#[test]
fn what_is_wrong_is_told_with_the_fix_and_nothing_is_written() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(&folder.join("data"), 9);
    fs::create_dir(folder.join("empty")).unwrap();
    fs::create_dir(folder.join("old")).unwrap();
    fs::write(folder.join("old/summary.json"), "{\"version\": \"0.0.1\"}").unwrap();
    let cases: [(&[&str], i32, &str); 5] = [
        (&["compare", "data", "--partition", "--out", "out"], 64, "two to four feature spaces, and there are 5"),
        (&["compare", "data", "--fuse", "a+c", "--out", "out"], 64, "there is no feature space c"),
        (&["compare", "data", "--fuse", "a", "--out", "out"], 64, "name two feature spaces or more"),
        (&["report", "empty", "--out", "out"], 65, "a folder that `neurod encode evaluate`"),
        (&["report", "old", "--out", "out"], 65, "evaluate again"),
    ];
    for (arguments, code, expected) in cases {
        let done = encode(arguments, folder);
        let said = String::from_utf8_lossy(&done.stderr);
        assert!(done.status.code() == Some(code) && said.contains(expected), "{:?}: {said}", done.status);
        assert!(!folder.join("out").exists());
    }
}

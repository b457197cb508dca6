//! The report of an encoding run: well-formed, self-contained, everything in it, figures drawn where they belong.
//!
//! `NEUROD_KEEP_REPORT=<file>` keeps the page, to look at.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test that cannot go on fails")]

mod common;

use std::path::Path;
use std::process::Command;

use neurod::encoding::report::{
    Brain, Difference, FeatureSpace, Histogram, Input, Level, Normalised, Partitioned, Provenance, RegionScores,
    Report, Score, Setting,
};
use neurod::encoding::statistics::Interval;

const REGIONS: [&str; 12] = [
    "LHPPA",
    "RHPPA",
    "LHLOC",
    "RHLOC",
    "LHEarlyVis",
    "RHEarlyVis",
    "LHOPA",
    "RHOPA",
    "LHRSC",
    "RHRSC",
    "Task-positive network & <b>other</b> \"far\" too long names",
    "Größe 'µ'",
];

/// Made-up scores, of all sizes.
fn region(name: &str, k: usize) -> RegionScores {
    let wave = |phase: f64| ((k as f64 + 1.0) * phase).sin();
    let score = |value: f64, baseline: f64| Score {
        value,
        interval: Some(Interval { low: value - 0.02 - 0.01 * wave(3.0).abs(), high: value + 0.03 }),
        baseline: Some(baseline),
        each: Vec::new(),
    };
    let r: Vec<f64> =
        (0..500).map(|i| 0.15 + 0.2 * (i as f64 * 0.37 + k as f64).sin() * (i as f64 * 0.11).cos()).collect();
    RegionScores {
        region: name.into(),
        level: Level::Region,
        voxels: 100 + 17 * k,
        samples: 5254,
        undefined: k % 3,
        two_v_two: score(0.7 + 0.2 * wave(1.3), 0.41),
        pearson_per_voxel: score(0.12 + 0.15 * wave(0.7), -0.03),
        pearson_per_sample: score(0.55 + 0.1 * wave(2.1), 0.5),
        mae: score(0.8 + 0.3 * wave(1.1), 0.95),
        r2_per_voxel: score(0.03 + 0.05 * wave(0.7), -0.001),
        normalised: k.is_multiple_of(2).then(|| Normalised {
            pearson_per_voxel: score(0.3 + 0.1 * wave(0.7), -0.04),
            r2_per_voxel: score(0.1 + 0.05 * wave(0.7), -0.01),
            left_out: k,
        }),
        significant: (k != 4).then_some(k * 7),
        noise_ceiling: (k != 5).then_some(0.3),
        r_histogram: Histogram::of_correlations(&r),
    }
}

fn report(layers: usize) -> Report {
    let voxels: Vec<([f64; 3], f64)> = (0..4000)
        .map(|i| {
            let at = [i % 20, i / 20 % 20, i / 400].map(|step| f64::from(step) * 4.0 - 40.0);
            (at, (at[0] / 30.0).sin() * 0.3 + at[1] / 400.0)
        })
        .collect();
    let space = |layer: usize| FeatureSpace {
        brain: Brain::of(&voxels),
        layer: (layers > 1).then(|| ["VisualBERT".into(), (layer + 1).to_string()]),
        name: if layers == 1 { "CLIP <ViT-B/32>".into() } else { format!("VisualBERT layer {}", layer + 1) },
        features: 768,
        overall: region("all regions", 20 + layer),
        regions: REGIONS.iter().enumerate().map(|(k, name)| region(name, k + layer)).collect(),
    };
    Report {
        title: "BOLD5000 CSI1 from CLIP & co <script>alert(1)</script>".into(),
        provenance: Provenance {
            command: "neurod encode --features 'a b.npy' > out".into(),
            version: "0.1.0".into(),
            seed: 7,
            inputs: vec![Input { name: "LHPPA.npy".into(), sha256: "9f86d081".repeat(8) }],
            settings: vec![Setting { name: "folds".into(), value: "10, contiguous".into() }],
        },
        intervals: "95 % bootstrap over blocks of 10 samples, 1000 draws".into(),
        notes: vec!["338 samples repeat an image that may stand in another fold.".into()],
        spaces: (0..layers).map(space).collect(),
        ..Report::default()
    }
}

/// Text with its references resolved.
fn plain(html: &str) -> String {
    html.replace("&lt;", "<").replace("&gt;", ">").replace("&quot;", "\"").replace("&#39;", "'").replace("&amp;", "&")
}

#[test]
fn it_holds_everything_and_loads_and_runs_nothing() {
    for layers in [1, 12] {
        let report = report(layers);
        let html = report.html();
        assert_eq!(html, report.html());
        for forbidden in ["http", "<script", "<link", "<img", "url(", "@import", "<b>other", "NaN", "inf", "-0.000"] {
            assert!(!html.contains(forbidden), "{forbidden}");
        }
        let text = plain(&html);
        for space in &report.spaces {
            assert!(text.contains(&space.name));
            for region in &space.regions {
                assert!(text.contains(&format!("<td class=\"name\">{}</td>", region.region)), "{}", region.region);
                assert!(text.contains(&format!("<td>{:.3}</td>", region.two_v_two.value)));
            }
        }
        let facts = [&report.title, &report.provenance.command, &report.provenance.inputs[0].sha256, &report.notes[0]];
        assert!(facts.into_iter().all(|fact| text.contains(fact.as_str())));
        // Two curves of one model, of which the best layer stands for it.
        assert_eq!(html.matches("<polyline").count(), if layers > 1 { 2 } else { 0 });
        assert_eq!(html.matches("<details").count(), usize::from(layers > 1));
    }
}

#[test]
fn nothing_and_values_that_are_not_finite_are_shown_as_such() {
    let mut report = report(2);
    report.spaces[0].regions.clear();
    let empty = Score { value: f64::NAN, interval: None, baseline: None, each: Vec::new() };
    let wild = Score {
        value: f64::INFINITY,
        interval: Some(Interval { low: f64::NAN, high: 1e300 }),
        baseline: Some(1e-9),
        each: Vec::new(),
    };
    report.spaces[1].regions.truncate(2);
    report.spaces[1].regions[0].two_v_two = empty;
    report.spaces[1].regions[1].mae = wild;
    report.spaces[1].overall.r_histogram = Histogram::of_correlations(&[f64::NAN]);
    let html = report.html();
    assert!(!html.contains("NaN") && !html.contains(">inf") && !html.contains("\"inf") && html.contains("<td>–</td>"));
    report.spaces.clear();
    assert!(report.html().ends_with("</html>\n"));
}

#[test]
fn the_struct_is_its_summary() {
    let summary = serde_json::to_value(report(1)).unwrap();
    assert_eq!(summary["spaces"][0]["regions"][0]["region"], "LHPPA");
    assert!(summary["spaces"][0]["overall"]["two_v_two"]["interval"]["low"].is_f64());
    assert_eq!(summary["spaces"][0]["overall"]["r_histogram"]["counts"].as_array().unwrap().len(), 80);
}

#[test]
fn the_page_is_the_same_from_its_summary() {
    for layers in [1, 12] {
        let report = report(layers);
        let text = serde_json::to_string(&report).unwrap();
        let again: Report = serde_json::from_str(&text).unwrap();
        assert!(again == report && again.html() == report.html());
    }
    let mut unknown = report(1);
    unknown.spaces[0].overall.mae.value = f64::NAN;
    let again: Report = serde_json::from_str(&serde_json::to_string(&unknown).unwrap()).unwrap();
    assert!(again.spaces[0].overall.mae.value.is_nan(), "JSON has no word for it");
}

/// Models of which some have layers, regions in both hemispheres, subjects, parts.
fn compared() -> Report {
    let mut all = report(4);
    let mut other = report(1).spaces.remove(0);
    other.name = "roberta".into();
    all.spaces.push(other);
    for space in &mut all.spaces {
        let sides = ["PPA", "LHPPA", "RHPPA"].into_iter().enumerate().map(|(k, name)| RegionScores {
            level: if k == 0 { Level::Region } else { Level::RegionByHemisphere },
            ..region(name, k)
        });
        space.regions = sides.chain([RegionScores { level: Level::Network, ..region("scene", 9) }]).collect();
        space.overall.mae.each = vec![0.7, 0.9];
    }
    let score = |value| Score { interval: Some(Interval { low: value - 0.1, high: value + 0.1 }), ..Score::of(value) };
    all.differences = vec![Difference {
        region: "all".into(),
        space: all.spaces[3].name.clone(),
        than: "roberta".into(),
        pearson_per_voxel: score(0.2),
        two_v_two: score(-0.1),
        chance: None,
    }];
    let parts = [("only a", 0.1), ("only b", -0.02), ("a and b", 0.2), ("total", 0.28)];
    let of = |region: &str, level| Partitioned {
        region: region.into(),
        level,
        parts: parts.iter().map(|(name, r2)| ((*name).to_owned(), *r2)).collect(),
    };
    all.partition = vec![of("all", Level::All), of("LHPPA", Level::RegionByHemisphere), of("PPA", Level::Region)];
    all.subjects = vec!["CSI1".into(), "CSI2".into()];
    all
}

#[test]
fn every_figure_is_a_file_and_the_same_one_each_time() {
    let report = compared();
    let names: Vec<&str> = report.figures().iter().map(|figure| figure.name).collect();
    let expected = [
        "two-v-two",
        "pearson",
        "pearson-per-sample",
        "normalised",
        "mae",
        "layers",
        "layers-two-v-two",
        "differences",
        "histogram",
        "brain",
        "partition",
    ];
    assert_eq!(names, expected);
    for figure in report.figures() {
        let (file, pixels) = (figure.svg(), figure.png().unwrap());
        assert!(
            file.starts_with("<svg xmlns=") && !file.contains("class=") && !file.contains("var("),
            "{}",
            figure.name
        );
        assert_eq!(pixels.get(..8), Some(&b"\x89PNG\r\n\x1a\n"[..]));
        assert!(pixels == figure.png().unwrap() && pixels.len() < 400_000, "{}: {}", figure.name, pixels.len());
    }
    // A region of both hemispheres is drawn by hemisphere, each subject is a dot, and what is below nothing hangs there.
    let drawn = |name: &str| report.figures().into_iter().find(|figure| figure.name == name).unwrap().svg();
    let pearson = drawn("pearson");
    assert!(pearson.contains(">LHPPA<") && pearson.contains(">scene<") && !pearson.contains(">PPA<"));
    assert_eq!(drawn("mae").matches("<circle").count(), 2 * 2);
    assert!(drawn("partition").contains("only b: R² -0.020"));
}

/// What Chromium says of a page on its console, and what the page asked of the network.
fn in_chromium(page: &Path) -> Option<(Vec<String>, Vec<String>)> {
    let found = Command::new("chromium").arg("--version").output().map_err(|error| error.to_string());
    common::peer("chromium", found.map(|_| ()))?;
    let folder = tempfile::tempdir().unwrap();
    let log = folder.path().join("net.json");
    let quiet = ["--disable-background-networking", "--disable-component-update", "--disable-sync", "--no-first-run"];
    let done = Command::new("chromium")
        .args(["--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--dump-dom"])
        .args(quiet)
        .arg(format!("--user-data-dir={}", folder.path().join("profile").display()))
        .arg(format!("--log-net-log={}", log.display()))
        .arg(format!("file://{}", page.display()))
        .output()
        .unwrap();
    assert!(done.status.success() && !done.stdout.is_empty(), "{}", String::from_utf8_lossy(&done.stderr));
    let said =
        String::from_utf8_lossy(&done.stderr).lines().filter(|l| l.contains("CONSOLE")).map(String::from).collect();
    let log: serde_json::Value = serde_json::from_str(&std::fs::read_to_string(log).unwrap()).unwrap();
    // Chromium's own requests have no page that they come from.
    let asked = log["events"].as_array().unwrap().iter().filter_map(|event| {
        let of_page = event["params"]["initiator"].as_str().is_some_and(|of| of != "not an origin");
        event["params"]["url"].as_str().filter(|url| of_page && url.starts_with("http")).map(String::from)
    });
    Some((said, asked.collect()))
}

#[test]
fn a_browser_has_nothing_to_complain_of_and_nothing_to_ask_for() {
    let folder = tempfile::tempdir().unwrap();
    let page = folder.path().join("page.html");
    std::fs::write(&page, "<img src=\"http://127.0.0.1:9/x.png\"><script>console.error('oops')</script>").unwrap();
    let Some((said, asked)) = in_chromium(&page) else { return };
    assert!(
        said.iter().any(|line| line.contains("oops")) && asked == ["http://127.0.0.1:9/x.png"],
        "{said:?} {asked:?}"
    );
    for report in [report(1), compared()] {
        std::fs::write(&page, report.html()).unwrap();
        assert_eq!(in_chromium(&page), Some((vec![], vec![])));
    }
}

#[test]
fn correlations_are_counted_in_their_bins() {
    let counts = Histogram::of_correlations(&[-1.0, 1.0, 0.0, 0.0249, 0.0251, 1.1, f64::NAN]).counts;
    assert_eq!((counts[0], counts[79], counts[40], counts[41], counts.iter().sum::<u64>()), (1, 1, 2, 1, 5));
}

#[test]
fn a_parser_finds_its_tags_balanced_and_its_figures_in_place() {
    let Some(python) = common::python(&["html.parser"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    for layers in [1, 4, 12, 30, 0] {
        let page = folder.path().join(format!("{layers}.html"));
        let report = if layers == 0 { compared() } else { report(layers) };
        std::fs::write(&page, report.html()).unwrap();
        let checked = Command::new(&python).arg("tests/python/check_report.py").arg(&page).output().unwrap();
        assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stderr));
        if let Ok(kept) = std::env::var("NEUROD_KEEP_REPORT") {
            std::fs::copy(&page, format!("{kept}{layers}.html")).unwrap();
        }
    }
}

//! `neurod network build` and `synthesize`: folders of scans become networks.npz, and what is wrong is told.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};

use neurod::datasets::networks::read;
use neurod::network::Networks;

fn neurod(folder: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_neurod")).current_dir(folder).arg("network").args(arguments).output().unwrap()
}

fn build(folder: &Path, arguments: &[&str]) -> (String, Networks) {
    let output = neurod(folder, &[&["build"], arguments, &["--out", "n.npz"]].concat());
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    (String::from_utf8(output.stdout).unwrap(), read(&folder.join("n.npz")).unwrap())
}

fn refused(folder: &Path, arguments: &[&str]) -> String {
    let output = neurod(folder, &[&["build"], arguments, &["--out", "n.npz"]].concat());
    assert!(!output.status.success());
    assert!(!folder.join("n.npz").exists());
    String::from_utf8(output.stderr).unwrap()
}

fn python(folder: &Path, script: &str) -> Option<String> {
    let python = common::python(&["numpy", "scipy"])?;
    let output = Command::new(python).current_dir(folder).args(["-W", "ignore", "-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

/// Volume `t` of region `r`, of person `p`.
fn value(p: usize, t: usize, r: usize) -> f64 {
    ((p * 7919 + t * 104_729 + r * 1_299_709) % 1009) as f64 + if r == 1 { t as f64 } else { 0.0 }
}

fn table(p: usize, volumes: usize, names: &[&str]) -> String {
    let row = |t: usize| (0..names.len()).map(|r| value(p, t, r).to_string()).collect::<Vec<_>>().join("\t") + "\n";
    std::iter::once(names.join("\t") + "\n").chain((0..volumes).map(row)).collect()
}

fn scans() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for person in 1..=3 {
        let func = folder.path().join(format!("data/sub-0{person}/func"));
        fs::create_dir_all(&func).unwrap();
        fs::write(func.join(format!("sub-0{person}_timeseries.tsv")), table(person, 20, &["G", "a", "b", "c"]))
            .unwrap();
        let events = "onset\tduration\ttrial_type\n100\t6\theat\n110\t4\trest\n120\t6\theat\n";
        fs::write(func.join(format!("sub-0{person}_events.tsv")), events).unwrap();
    }
    fs::write(
        folder.path().join("data/participants.tsv"),
        "participant_id\tdx\nsub-01\tASD\nsub-02\tn/a\nsub-03\tTDC\n",
    )
    .unwrap();
    folder
}

#[test]
fn one_network_a_scan_with_its_person_and_label() {
    let scans = scans();
    let (says, networks) = build(scans.path(), &["data", "--drop", "G", "--label", "dx", "--shrinkage", "none"]);
    assert!(says.starts_with("n.npz: 3 networks of 3 regions (pearson), of 3 people; n/a 1, ASD 1, TDC 1"), "{says}");
    assert!(says.contains("1 samples have no dx"));
    assert_eq!(networks.participants, ["sub-01", "sub-02", "sub-03"]);
    assert_eq!(
        (networks.labels, networks.regions),
        (vec!["ASD".into(), String::new(), "TDC".into()], ["a", "b", "c"].map(String::from).to_vec())
    );
    assert_eq!(networks.samples[0], "sub-01/func/sub-01_timeseries");
    assert_eq!(networks.covariance.unwrap().dim(), (3, 3, 3));
}

#[test]
fn samples_are_cut_by_events_of_another_clock_as_numpy_cuts_them() {
    let scans = scans();
    let list = "file\tevents\tselect\tlag\toffset\tlabel\tonset\tduration\n\
                sub-02/func/sub-02_timeseries.tsv\tsub-02/func/sub-02_events.tsv\ttrial_type=heat\t4\t98\theat\tn/a\tn/a\n\
                sub-02/func/sub-02_timeseries.tsv\tn/a\tn/a\t2\tn/a\trest\t0\t20\n";
    fs::write(scans.path().join("data/samples.tsv"), list).unwrap();
    let (says, networks) =
        build(scans.path(), &["data", "--drop", "G", "--shrinkage", "none", "--tr", "2", "--fisher-z"]);
    assert!(says.contains("2 networks of 3 regions (pearson), of 1 people; heat 1, rest 1"), "{says}");
    assert_eq!(networks.samples, ["sub-02/func/sub-02_timeseries heat", "sub-02/func/sub-02_timeseries rest"]);
    // heat: from 100 − 98 + 4 = 6 s for 6 s and from 26 s for 6 s: volumes 3, 4, 5 and 13, 14, 15. rest: 2 to 22 s: 1 to 10.
    for (sample, volumes) in [(0, vec![3, 4, 5, 13, 14, 15]), (1, (1..=10).collect::<Vec<usize>>())] {
        let columns: Vec<Vec<f64>> = (1..4).map(|r| volumes.iter().map(|t| value(2, *t, r)).collect()).collect();
        let r = |a: &[f64], b: &[f64]| {
            let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
            let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(p, q)| (p - mean(x)) * (q - mean(y))).sum::<f64>();
            dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
        };
        for (i, j) in [(0, 1), (0, 2), (1, 2)] {
            let got = networks.connectivity[[sample, i, j]];
            assert!((got - r(&columns[i], &columns[j]).atanh()).abs() < 1e-9, "{sample} {i} {j}");
        }
        assert_eq!(networks.connectivity[[sample, 1, 1]], 0.0);
    }
    let (_, tangent) = build(scans.path(), &["data", "--drop", "G", "--tr", "2", "--kind", "tangent"]);
    let sum = tangent.connectivity.sum_axis(ndarray::Axis(0));
    assert!(sum.iter().all(|v| v.abs() < 1e-4), "displacements from a mean sum to nothing: {sum}");
}

#[test]
fn what_cannot_be_built_says_why() {
    let scans = scans();
    let (folder, data) = (scans.path(), scans.path().join("data"));
    let write = |name: &str, text: &str| fs::write(data.join(name), text).unwrap();
    assert!(refused(folder, &["data", "--fisher-z", "--kind", "covariance"]).contains("--fisher-z is of correlations"));
    assert!(refused(folder, &["data", "--threshold", "density:2"]).contains("density:SHARE, connected:SHARE (0 to 1)"));
    assert!(refused(folder, &["data", "--kind", "coherence"]).contains("needs the seconds of a volume (--tr"));
    assert!(refused(folder, &["data", "--match", "nothing"]).contains("no scan with \"nothing\" in its path"));
    assert!(refused(folder, &["data", "--drop", "H"]).contains("no column \"H\" (there are: G, a, b, c"));

    write("samples.tsv", "file\tonset\tduration\nsub-01/func/sub-01_timeseries.tsv\t900\t10\n");
    assert!(refused(folder, &["data"]).contains("samples.tsv cuts scans, which takes the seconds of a volume (--tr"));
    assert!(
        refused(folder, &["data", "--tr", "2"]).contains("none of its 20 volumes lies in what samples.tsv asks for")
    );
    write(
        "samples.tsv",
        "file\tevents\tselect\nsub-01/func/sub-01_timeseries.tsv\tsub-01/func/sub-01_events.tsv\ttrial_type=cold\n",
    );
    assert!(refused(folder, &["data", "--tr", "2"]).contains("line 2: no event of"));
    fs::remove_file(data.join("samples.tsv")).unwrap();

    write("sub-02/func/sub-02_timeseries.tsv", &table(2, 20, &["G", "a", "c", "b"]));
    assert!(
        refused(folder, &["data"])
            .contains("sub-02_timeseries: region 3 is c where sub-01/func/sub-01_timeseries has b")
    );
    write("sub-02/func/sub-02_timeseries.tsv", &table(2, 20, &["G", "a", "c"]));
    assert!(
        refused(folder, &["data"]).contains("3 regions where sub-01/func/sub-01_timeseries has 4 (one atlas for all)")
    );
    write("sub-02/func/sub-02_timeseries.tsv", "G\ta\tb\tc\n1\t2\tn/a\t4\n2\t1\t2\t1\n");
    assert!(refused(folder, &["data"]).contains("NaN in volume 1, region 3"));
    fs::remove_dir_all(data.join("sub-02")).unwrap();
    write("stranger.tsv", &table(2, 20, &["G", "a", "b", "c"]));
    assert!(refused(folder, &["data"]).contains("whose scan is this?"));
    write("participants.tsv", "participant_id\tfile\nsub-07\tstranger.tsv\nsub-01\tn/a\n");
    assert_eq!(build(folder, &["data"]).1.participants, ["sub-07", "sub-01", "sub-03"]);
}

#[test]
fn matrices_of_every_kind_of_file_and_a_second_view() {
    let scans = scans();
    let folder = scans.path();
    let script = "import os, numpy as np, scipy.io\n\
        os.makedirs('sc'); m = np.array([[0, 1, 2, 4], [1, 0, 3, 0], [2, 3, 0, 5], [4, 0, 5, 7.]])\n\
        scipy.io.savemat('sc/sub-01.mat', {'sc': m}); np.save('sc/sub-02.npy', np.asfortranarray(m))\n\
        np.savetxt('sc/sub-03.csv', np.triu(m), delimiter=' ')\n\
        os.makedirs('odd'); d = m.copy(); d[0, 1] = 3; np.savetxt('odd/sub-01.csv', d, delimiter=',')\n\
        scipy.io.savemat('BP.mat', {'fMRI': np.stack([m, 2 * m], 2), 'DTI': np.stack([3 * m, m], 2), 'label': [[1, -1]]})\n\
        rng = np.random.default_rng(0); t = rng.normal(size=(3, 4, 50))\n\
        np.savez('abide.npz', timeseires=t, corr=np.stack([np.corrcoef(x) for x in t]), label=np.array([0, 1, 1]), site=np.array(['NYU', 'UM', 'UM']))\n\
        np.save('abide.npy', {'timeseires': t}, allow_pickle=True)";
    if python(folder, script).is_none() {
        return;
    }
    let (_, networks) = build(folder, &["data", "--structural", "sc", "--scale", "log1p"]);
    let view = &networks.views["structural"];
    for sample in 0..3 {
        assert!((view[[sample, 3, 2]] - 6f64.ln()).abs() < 1e-12 && (view[[sample, 2, 3]] - 6f64.ln()).abs() < 1e-12);
    }
    let (_, given) = build(folder, &["sc", "--kind", "given", "--scale", "max", "--threshold", "connected:0"]);
    assert_eq!(given.connectivity[[2, 3, 2]], 5.0 / 7.0);
    assert_eq!(
        (given.connectivity[[0, 0, 1]], given.connectivity[[0, 1, 2]], given.kind.as_str()),
        (0.0, 3.0 / 7.0, "given")
    );
    fs::remove_file(folder.join("n.npz")).unwrap();
    assert!(refused(folder, &["odd", "--kind", "given"]).contains("(--symmetrise averages both)"));
    assert!(refused(folder, &["data", "--structural", "odd"]).contains("(--symmetrise averages both)"));
    assert!(refused(folder, &["data", "--structural", "odd", "--symmetrise"]).contains("no matrix of sub-02"));
    assert!(refused(folder, &["BP.mat", "--kind", "given"]).contains("which networks? (--array one of"));
    assert!(
        refused(folder, &["abide.npy"])
            .contains("np.savez(\"abide.npz\", **np.load(\"abide.npy\", allow_pickle=True).item())")
    );
    let (_, pain) = build(folder, &["BP.mat", "--kind", "given", "--array", "DTI"]);
    assert_eq!((pain.connectivity[[0, 0, 3]], pain.connectivity[[1, 0, 3]]), (12.0, 4.0));
    assert_eq!(pain.labels, ["1", "-1"]);
    let (says, abide) = build(folder, &["abide.npz", "--shrinkage", "none"]);
    assert!(says.contains("sites are in n.participants.tsv"), "{says}");
    let (_, stored) = build(folder, &["abide.npz", "--kind", "given"]);
    assert!(abide.connectivity.iter().zip(&stored.connectivity).all(|(a, b)| (a - b).abs() < 1e-12));
    assert_eq!(abide.labels, ["0", "1", "1"]);
}

#[test]
fn heat_and_rating_of_33_people() {
    let cache = std::env::var_os("NEUROD_CACHE").map_or_else(|| ".cache".into(), std::path::PathBuf::from);
    let source = cache.join("data/heatpain");
    let found = source.is_dir().then_some(source).ok_or("run `make assets`".to_owned());
    let (Some(source), Some(python)) = (common::peer("heat pain recordings", found), common::python(&["numpy"])) else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let tool = Path::new(env!("CARGO_MANIFEST_DIR")).join("tools/heatpain_networks.py");
    let output = Command::new(python)
        .arg(tool)
        .arg(source.canonicalize().unwrap())
        .arg("--out")
        .arg(folder.path().join("heat"))
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let (says, networks) = build(folder.path(), &["heat", "--shrinkage", "none", "--fisher-z", "--tr", "2"]);
    assert!(
        says.starts_with("n.npz: 196 networks of 122 regions (pearson), of 33 people; heat 98, rating 98"),
        "{says}"
    );
    assert_eq!(networks.regions[..2], ["CER6_p", "CER7ab"]);
}

#[test]
fn made_up_networks_are_those_of_their_seed() {
    let folder = tempfile::tempdir().unwrap();
    let make = |more: &[&str]| {
        let output = neurod(
            folder.path(),
            &[&["synthesize", "--regions", "8", "--out", "s.npz", "--effect", "edges"], more].concat(),
        );
        (
            String::from_utf8(output.stdout).unwrap() + &String::from_utf8(output.stderr).unwrap(),
            output.status.success(),
        )
    };
    let (says, _) = make(&["--people", "10", "--strength", "0.5", "--seed", "3"]);
    assert!(says.contains("10 networks of 8 regions, of which 1 edges differ by 0.5"), "{says}");
    let first = fs::read(folder.path().join("s.npz")).unwrap();
    make(&["--people", "10", "--strength", "0.5", "--seed", "3"]);
    assert_eq!(fs::read(folder.path().join("s.npz")).unwrap(), first);
    let (says, ok) = make(&["--people", "1"]);
    assert!(!ok && says.contains("1 people of 8 regions"), "{says}");
}

#[test]
fn seven_people_are_told_apart_by_half_a_scan_and_have_both_views() {
    let cache = std::env::var_os("NEUROD_CACHE").map_or_else(|| ".cache".into(), std::path::PathBuf::from);
    let source = cache.join("data/hcp");
    let found = source.is_dir().then_some(source).ok_or("run `make assets`".to_owned());
    let Some(source) = common::peer("recordings of the Human Connectome Project", found) else { return };
    let folder = tempfile::tempdir().unwrap();
    let data = folder.path().join("hcp");
    fs::create_dir(&data).unwrap();
    let mut list = String::from("file\tonset\tduration\tlabel\n");
    for person in ["101309", "102311", "102816", "131217", "211619", "213522", "377451"].map(|id| format!("sub-{id}")) {
        std::os::unix::fs::symlink(source.canonicalize().unwrap().join(&person), data.join(&person)).unwrap();
        for (half, onset) in [("first", 0), ("second", 432)] {
            list += &format!("{person}/{person}_TC_rsfMRI_REST1_LR.mat\t{onset}\t432\t{half}\n");
        }
    }
    fs::write(data.join("samples.tsv"), list).unwrap();
    let arguments =
        ["hcp", "--shrinkage", "none", "--tr", "0.72", "--structural", "hcp", "--structural-match", "DTI_CM"];
    let (_, networks) = build(folder.path(), &[&arguments[..], &["--symmetrise", "--scale", "log1p"]].concat());
    assert_eq!((networks.connectivity.dim(), networks.views["structural"].dim()), ((14, 94, 94), (14, 94, 94)));
    let vectors: Vec<Vec<f64>> =
        networks.connectivity.outer_iter().map(|m| neurod::network::connectome::vectorise(m, false)).collect();
    let r = |a: &[f64], b: &[f64]| {
        let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
        let dot = |x: &[f64], y: &[f64]| x.iter().zip(y).map(|(p, q)| (p - mean(x)) * (q - mean(y))).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    for person in 0..7 {
        let scores: Vec<f64> = (0..7).map(|other| r(&vectors[2 * person], &vectors[2 * other + 1])).collect();
        assert!((0..7).all(|other| scores[other] <= scores[person]), "{person}: {scores:?}");
        let structure = neurod::network::connectome::vectorise(
            networks.views["structural"].index_axis(ndarray::Axis(0), 2 * person),
            false,
        );
        let both = r(&vectors[2 * person], &structure);
        assert!(both > 0.2, "{person}: structure and function agree by {both}");
    }
}

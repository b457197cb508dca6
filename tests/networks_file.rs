//! networks.npz: what numpy wrote is read, what is written numpy opens, and what is wrong is told with its place.

#![allow(clippy::unwrap_used, reason = "a test fails by panicking")]

mod common;

use std::fs;
use std::path::Path;
use std::process::Command;

use ndarray::{Array2, Array3, array};
use neurod::datasets::networks::{read, write};
use neurod::datasets::participants::{Known, Participants};
use neurod::network::{Making, Networks};

fn small() -> Networks {
    let connectivity = Array3::from_shape_fn((3, 2, 2), |(s, i, j)| if i == j { 1.0 } else { 0.1 * s as f64 });
    Networks {
        kind: "pearson".into(),
        making: Making { fisher_z: true, sign: Some("absolute".into()), ..Making::default() },
        covariance: Some(connectivity.clone()),
        views: [("structural".to_owned(), connectivity.mapv(|v| v * 7.0))].into(),
        connectivity,
        samples: ["sub-01 heat", "sub-01 rest", "sub-é"].map(String::from).to_vec(),
        participants: ["sub-01", "sub-01", "sub-é"].map(String::from).to_vec(),
        labels: ["heat", "", "rest"].map(String::from).to_vec(),
        regions: ["L_Hip", "R_Hip"].map(String::from).to_vec(),
        coordinates: Some(array![[-20.0, 1.0, 2.0], [20.0, 1.0, 2.0]]),
    }
}

fn python(folder: &Path, script: &str) -> Option<String> {
    let python = common::python(&["numpy"])?;
    let output = Command::new(python).current_dir(folder).args(["-c", script]).output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    Some(String::from_utf8(output.stdout).unwrap().trim().to_owned())
}

#[test]
fn what_is_written_is_read_by_us_and_by_numpy() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("networks.npz");
    write(&path, &small()).unwrap();
    assert_eq!(read(&path).unwrap(), small());
    let script = "import numpy as np; z = np.load('networks.npz', allow_pickle=False)\n\
                  print(z['kind'].item(), z['connectivity'].shape, z['connectivity'][2, 0, 1], z['participants'].tolist(),\
                  z['labels'].tolist(), z['view.structural'][1, 0, 1], z['coordinates'].dtype, sorted(z.files))";
    let Some(said) = python(folder.path(), script) else { return };
    assert_eq!(
        said,
        "pearson (3, 2, 2) 0.2 ['sub-01', 'sub-01', 'sub-é'] ['heat', '', 'rest'] 0.7000000000000001 float64 \
         ['connectivity', 'coordinates', 'covariance', 'fisher_z', 'kind', 'labels', 'participants', 'regions', \
         'samples', 'shrinkage', 'sign', 'view.structural']"
    );
    let left: Vec<_> = fs::read_dir(folder.path()).unwrap().map(|entry| entry.unwrap().file_name()).collect();
    assert_eq!(left, ["networks.npz"]);
}

#[test]
fn what_numpy_saved_is_read_with_scores_as_labels() {
    let folder = tempfile::tempdir().unwrap();
    let script = "import numpy as np; c = np.ones((2, 3, 3), 'f4', order='F'); c[1, 0, 1] = c[1, 1, 0] = .5\n\
                  np.savez_compressed('n.npz', connectivity=c, participants=['a', 'b'], regions=['x', 'y', 'z'],\
                  labels=np.array([1.5, np.nan]))";
    if python(folder.path(), script).is_none() {
        return;
    }
    let networks = read(&folder.path().join("n.npz")).unwrap();
    assert_eq!((networks.connectivity[[1, 0, 1]], networks.kind.as_str()), (0.5, "unknown"));
    assert_eq!(
        (&networks.samples, networks.labels.as_slice()),
        (&networks.participants, &["1.5".into(), "NaN".into()][..])
    );
    let known = Known::of(&networks.labels);
    assert_eq!((known.rows.clone(), known.numbers(), known.missing), (vec![0], Ok(vec![1.5]), 1));
}

#[test]
fn what_is_wrong_is_told_and_nothing_is_replaced() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("networks.npz");
    write(&path, &small()).unwrap();
    let before = fs::read(&path).unwrap();
    let says = |change: &dyn Fn(&mut Networks)| {
        let mut networks = small();
        change(&mut networks);
        let error = write(&path, &networks).unwrap_err().to_string();
        assert_eq!(fs::read(&path).unwrap(), before);
        error.replace(&format!("{}:", path.display()), "")
    };
    assert_eq!(
        says(&|n| n.connectivity[[1, 0, 1]] = 0.3),
        "connectivity: sub-01 rest: not symmetric: 0.3 from R_Hip to L_Hip and 0.1 back (average both, or say that it is \
         directed: kind \"…-directed\")"
    );
    assert_eq!(
        says(&|n| n.connectivity[[2, 1, 0]] = f64::NAN),
        "connectivity: sub-é: NaN between R_Hip and L_Hip (every value must be finite)"
    );
    assert!(
        says(&|n| n.covariance.as_mut().unwrap()[[0, 1, 1]] = f64::INFINITY)
            .starts_with("covariance: sub-01 heat: inf")
    );
    assert!(says(&|n| n.connectivity = Array3::zeros((3, 2, 3))).contains("2 × 3 (a network is regions × regions)"));
    assert!(says(&|n| n.connectivity = Array3::zeros((3, 1, 1))).contains("1 region (a network has at least two)"));
    assert!(says(&|n| n.connectivity = Array3::zeros((0, 2, 2))).contains("no sample"));
    assert_eq!(
        says(&|n| n.regions[1] = "L_Hip".into()),
        "regions: \"L_Hip\" twice (each region has a name of its own)"
    );
    assert_eq!(says(&|n| n.labels.truncate(2)), "labels: 2 where connectivity has 3 samples");
    assert!(says(&|n| n.participants[2] = "n/a".into()).contains("sample 2 is of nobody"));
    assert!(says(&|n| n.coordinates = Some(Array2::zeros((2, 2)))).contains("2 × 2 (expected 2 × 3, in mm)"));
    assert!(
        says(&|n| _ = n.views.insert("x".into(), Array3::zeros((3, 4, 4))))
            .contains("view.x: (3, 4, 4) where connectivity")
    );
    let directed = Networks { kind: "streamlines-directed".into(), ..small() };
    let mut directed = Networks { views: [].into(), covariance: None, ..directed };
    directed.connectivity[[1, 0, 1]] = 0.3;
    write(&path, &directed).unwrap();
    assert_eq!(read(&path).unwrap(), directed);
}

#[test]
fn files_that_are_no_networks_say_so() {
    let folder = tempfile::tempdir().unwrap();
    let script = "import numpy as np; np.savez('n.npz', connectivity=np.ones((2, 3, 3)), regions=['x', 'y', 'z'])\n\
                  np.savez('flat.npz', connectivity=np.ones((3, 3)), regions=list('xyz'), participants=['a'])\n\
                  np.savez('object.npz', connectivity=np.ones((1, 3, 3)), regions=list('xyz'), participants=np.array([None]))";
    if python(folder.path(), script).is_none() {
        return;
    }
    let says = |name: &str| read(&folder.path().join(name)).unwrap_err().to_string();
    assert!(
        says("n.npz").contains("no array \"participants\" (there are: connectivity, regions; `neurod network build`")
    );
    assert!(says("flat.npz").contains("2 dimensions, [3, 3] (expected samples × regions × regions)"));
    assert!(says("object.npz").contains("participants: holds |O, neither text nor whole numbers"));
    assert!(says("none.npz").contains("No such file"));
    let whole = fs::read(folder.path().join("n.npz")).unwrap();
    for length in [10, whole.len() / 2, whole.len() - 10] {
        fs::write(folder.path().join("cut.npz"), &whole[..length]).unwrap();
        assert!(says("cut.npz").contains("cut off"), "{}", says("cut.npz"));
    }
}

#[test]
fn labels_are_joined_by_participant_and_what_is_missing_is_counted() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("participants.tsv");
    fs::write(
        &path,
        "participant_id\tdiagnosis\tsite\tage\nsub-01\tASD\tNYU\t12.5\n02\tn/a\tNYU\t9\nsub-03\tTDC\tUM\tx\n",
    )
    .unwrap();
    let given = |column: &str| format!("{}:{column}", path.display());
    let people = ["01", "sub-02", "sub-03", "sub-01", "sub-04"].map(String::from);
    let known = Participants::labels(&given("diagnosis"), &people).unwrap();
    assert_eq!((known.rows.as_slice(), known.missing, known.unlisted), (&[0, 2, 3][..], 1, 1));
    assert_eq!(known.values, ["ASD", "TDC", "ASD"]);
    let table = Participants::read(&path).unwrap();
    assert!(table.has("site") && !table.has("group"));
    assert_eq!(table.column("site", &people[..2]).unwrap().values, ["NYU", "NYU"]);
    assert!(table.column("age", &people).unwrap().numbers().unwrap_err().contains("\"x\" is no number"));

    let says = |given: &str, people: &[String]| Participants::labels(given, people).unwrap_err().to_string();
    assert!(says(&given("dx"), &people).contains("no column \"dx\" (there are: participant_id, diagnosis, site, age)"));
    assert!(says("participants.tsv", &people).contains("names no column (participants.tsv:diagnosis)"));
    assert!(
        says(&given("age"), &["zz".into()])
            .contains("none of the networks' participants is here (zz, … against 01, 02, 03")
    );
    fs::write(&path, "participant_id\tage\nsub-01\t3\n01\t4\n").unwrap();
    assert!(says(&given("age"), &people).contains("line 3: \"01\" a second time (one row a person)"));
}

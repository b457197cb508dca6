//! `neurod encode fit` and `predict`: the file that others can read, the weights of scikit-learn, and nothing taken from a
//! file that is not whole.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;

use std::fs;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;

use ndarray::Array2;
use ndarray_npy::{read_npy, write_npy};
use neurod::encoding::solve::fit;
use neurod::frame::{Block, BlockSpec, Channel, Instant, Quality, Regions, Unit, VirtualClock};
use neurod::ridge::{Description, FittedModel, Observed, Response, RidgeConfig, response_weights};
use neurod::runtime::session::Session;
use neurod::runtime::{InputSpec, Predictor, PredictorConfig};
use serde_json::Value;

const ROWS: usize = 60;

/// Sixty samples in four runs, two feature spaces of three and two columns, five voxels.
fn dataset(folder: &Path, rows: usize, seed: u64) {
    let mut state = seed;
    let mut draw = || {
        state = state.wrapping_mul(6364136223846793005).wrapping_add(1442695040888963407);
        (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5
    };
    fs::create_dir_all(folder.join("features")).unwrap();
    let a = Array2::from_shape_simple_fn((rows, 3), &mut draw);
    let b = Array2::from_shape_simple_fn((rows, 2), &mut draw);
    let y = Array2::from_shape_fn((rows, 5), |(t, v)| a[(t, v % 3)] * 2.0 + b[(t, v % 2)] + draw() + v as f64);
    write_npy(folder.join("features/a.npy"), &a).unwrap();
    write_npy(folder.join("features/b.npy"), &b).unwrap();
    write_npy(folder.join("responses.npy"), &y).unwrap();
    let runs: String = (0..rows).map(|i| format!("{}\n", i / 15)).collect();
    fs::write(folder.join("runs.tsv"), format!("run\n{runs}")).unwrap();
    let regions = "voxel\tregion\themisphere\tnetwork\tx\ty\tz\nv0\tPPA\tL\tscene\t1\t2\t3\nv1\tPPA\tR\t\tn/a\tn/a\tn/a\n\
        v2\tLOC\t\t\t\t\t\nv3\tLOC\tL\tobject\t-1.5\t0\t9\nv4\tOPA\tR\t\t\t\t\n";
    fs::write(folder.join("regions.tsv"), regions).unwrap();
}

fn neurod(arguments: &[&str], folder: &Path) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
    command.arg("encode").args(arguments).current_dir(folder).output().unwrap()
}

fn done(arguments: &[&str], folder: &Path) -> String {
    let done = neurod(arguments, folder);
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    String::from_utf8(done.stdout).unwrap()
}

/// The features of a dataset with delays of one and two samples, all spaces side by side once a delay.
fn delayed(folder: &Path) -> Array2<f64> {
    let a: Array2<f64> = read_npy(folder.join("features/a.npy")).unwrap();
    let b: Array2<f64> = read_npy(folder.join("features/b.npy")).unwrap();
    Array2::from_shape_fn((a.nrows(), 10), |(t, c)| {
        let (delay, column) = (1 + c / 5, c % 5);
        match t % 15 >= delay {
            true if column < 3 => a[(t - delay, column)],
            true => b[(t - delay, column - 3)],
            false => 0.0,
        }
    })
}

#[test]
fn python_reads_the_model_and_finds_the_weights_of_scikit_learn() {
    let Some(python) = common::python(&["sklearn", "safetensors"]) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder, ROWS, 3);
    fs::write(folder.join("features/b.json"), r#"{"model":"small","sha256":"ab12","layer":"last"}"#).unwrap();
    write_npy(folder.join("x.npy"), &delayed(folder)).unwrap();
    let more = ["--delays", "1,2", "--tr", "2.5", "--unit", "z", "--export-weights", "w.npy"];
    done(&[&["fit", ".", "--lambda", "10", "--out", "m.neurod"], &more[..]].concat(), folder);
    let judge = |lambdas: &str| {
        let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/python/read_model.py");
        let python =
            fs::canonicalize(&python).map_or(python.clone(), |_| std::env::current_dir().unwrap().join(&python));
        let read = Command::new(python)
            .arg(script)
            .args(["m.neurod", "x.npy", "responses.npy", lambdas, "w.npy"])
            .current_dir(folder)
            .output()
            .unwrap();
        assert!(read.status.success(), "{}", String::from_utf8_lossy(&read.stderr));
        serde_json::from_slice::<Value>(&read.stdout).unwrap()
    };
    let description = judge("10");
    assert_eq!(
        (&description["tr"], &description["unit"], &description["name"]),
        (&2.5.into(), &"z".into(), &"m".into())
    );
    assert_eq!(description["delays"], serde_json::json!([1, 2]));
    let b = serde_json::json!({"name": "b", "dims": 2, "model": "small", "sha256": "ab12", "layer": "last"});
    assert_eq!(description["features"][1], b);
    let v3 = serde_json::json!({
        "name": "v3", "region": "LOC", "hemisphere": "L", "network": "object", "place": [-1.5, 0.0, 9.0]
    });
    assert_eq!(description["targets"][3], v3);
    assert_eq!(description["provenance"]["files"].as_object().unwrap().len(), 5);
    assert_eq!(description.get("hrf"), None);

    done(
        &[&["fit", ".", "--grid", "0.1,1,10,100", "--folds", "runs", "--out", "m.neurod"], &more[..]].concat(),
        folder,
    );
    let lambdas = ndarray::Array1::from(FittedModel::read(&folder.join("m.neurod")).unwrap().lambdas);
    write_npy(folder.join("lambdas.npy"), &lambdas).unwrap();
    judge("lambdas.npy");
}

#[test]
fn a_model_predicts_what_its_weights_say_and_needs_no_responses() {
    let temporary = tempfile::tempdir().unwrap();
    let (folder, new) = (temporary.path(), temporary.path().join("new"));
    dataset(folder, ROWS, 3);
    dataset(&new, 30, 5);
    fs::remove_file(new.join("responses.npy")).unwrap();
    fs::remove_file(new.join("regions.tsv")).unwrap();
    done(&["fit", ".", "--lambda", "3", "--delays", "1,2", "--out", "m.neurod"], folder);
    done(&["predict", "m.neurod", "new", "--out", "p.npy"], folder);
    let predicted: Array2<f64> = read_npy(folder.join("p.npy")).unwrap();
    let (x, y) = (delayed(folder), read_npy::<_, Array2<f64>>(folder.join("responses.npy")).unwrap());
    let everything: Vec<usize> = (0..ROWS).collect();
    let direct = fit(x.view(), y.view(), &everything, &[3.0; 5], true).unwrap();
    let expected = delayed(&new).dot(&direct.weights) + ndarray::Array1::from(direct.intercepts);
    assert!(predicted.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{predicted} {expected}");

    // A space of other columns, from another encoder, or missing: each told, nothing written.
    let says = |spoil: &dyn Fn()| {
        spoil();
        let done = neurod(&["predict", "m.neurod", "new", "--out", "q.npy"], folder);
        assert!(!done.status.success() && !folder.join("q.npy").exists());
        String::from_utf8(done.stderr).unwrap()
    };
    let wide = Array2::<f64>::zeros((30, 4));
    assert!(
        says(&|| write_npy(new.join("features/b.npy"), &wide).unwrap()).contains("columns of \"b\" = 2, here it is 4")
    );
    assert!(says(&|| fs::remove_file(new.join("features/b.npy")).unwrap()).contains("no feature space \"b\""));
}

#[test]
fn a_model_of_scaled_features_takes_them_as_they_come() {
    let Some(python) = common::python(&["sklearn"]) else { return };
    let temporary = tempfile::tempdir().unwrap();
    let (folder, new) = (temporary.path(), temporary.path().join("new"));
    dataset(folder, ROWS, 3);
    dataset(&new, 30, 5);
    let told =
        done(&["fit", ".", "--lambda", "10", "--delays", "1,2", "--scale", "column", "--out", "m.neurod"], folder);
    assert!(told.contains("does not learn on live: its λ is of scaled features"), "{told}");
    done(&["predict", "m.neurod", "new", "--out", "p.npy"], folder);
    write_npy(folder.join("x.npy"), &delayed(folder)).unwrap();
    write_npy(folder.join("new.npy"), &delayed(&new)).unwrap();
    let script = "import numpy as np
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
x, y, new = (np.load(name) for name in ('x.npy', 'responses.npy', 'new.npy'))
np.save('expected.npy', make_pipeline(StandardScaler(), Ridge(10)).fit(x, y).predict(new))";
    let python = std::env::current_dir().unwrap().join(python);
    assert!(Command::new(python).args(["-c", script]).current_dir(folder).status().unwrap().success());
    let [predicted, expected]: [Array2<f64>; 2] =
        ["p.npy", "expected.npy"].map(|name| read_npy(folder.join(name)).unwrap());
    assert!(predicted.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-9), "{predicted} {expected}");
}

#[test]
fn a_banded_model_with_even_bands_is_ridge_with_twice_the_lambda() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder, ROWS, 3);
    let weights = |lambda: &[&str], name: &str| -> Array2<f64> {
        let out = format!("{name}.npy");
        let model = format!("{name}.neurod");
        done(&[&["fit", ".", "--out", &model, "--export-weights", &out], lambda].concat(), folder);
        read_npy(folder.join(out)).unwrap()
    };
    // One mix: γ = 1/2 for each of two spaces.
    let even = weights(&["--lambda", "10", "--banded", "1"], "even");
    let plain = weights(&["--lambda", "20"], "plain");
    assert!(even.iter().zip(&plain).all(|(a, b)| (a - b).abs() < 1e-12), "{even} {plain}");
    // Many: each voxel has its own.
    let mixed = weights(&["--grid", "0.1,1,10,100", "--folds", "runs", "--banded", "10"], "mixed");
    assert!(mixed.iter().all(|w| w.is_finite()) && mixed != even);
    let model = FittedModel::read(&folder.join("mixed.neurod")).unwrap();
    assert!(model.moments.is_none() && model.description.provenance.command.contains("--banded 10"));
}

#[test]
fn learning_on_from_a_model_is_ridge_on_the_old_rows_and_the_new() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder, ROWS, 3);
    let grid = ["--grid", "0.3,3,30", "--folds", "runs", "--delays", "1,2", "--tr", "2"];
    done(&[&["fit", ".", "--out", "m.neurod"], &grid[..]].concat(), folder);
    let model = FittedModel::read(&folder.join("m.neurod")).unwrap();
    let mut learner = model.learner(&RidgeConfig::default()).unwrap();
    assert_eq!(learner.updates(), ROWS as u64);
    let (x, y) = (delayed(folder), read_npy::<_, Array2<f64>>(folder.join("responses.npy")).unwrap());
    let (new_x, new_y) = (x.mapv(|v| v * v - 0.1), y.mapv(|v| v * 0.5 + 1.0));
    // Live rows: the copies of one space after the other.
    let live: Vec<usize> = vec![0, 1, 2, 5, 6, 7, 3, 4, 8, 9];
    for (x, y) in new_x.rows().into_iter().zip(new_y.rows()) {
        let row: Vec<f64> = live.iter().map(|c| x[*c]).collect();
        learner.observe(&row, &y.to_vec(), Quality::GOOD);
    }
    let both =
        |a: &Array2<f64>, b: &Array2<f64>| ndarray::concatenate(ndarray::Axis(0), &[a.view(), b.view()]).unwrap();
    let (x, y) = (both(&x, &new_x), both(&y, &new_y));
    let everything: Vec<usize> = (0..2 * ROWS).collect();
    let batch = fit(x.view(), y.view(), &everything, &model.lambdas, true).unwrap().weights;
    let weights = learner.weights();
    let scale = batch.iter().fold(0.0f64, |most, w| most.max(w.abs()));
    for (row, column) in live.iter().enumerate() {
        for v in 0..5 {
            let (got, want) = (weights[row * 5 + v], batch[(*column, v)]);
            assert!((got - want).abs() <= 1e-9 * scale, "column {column}, target {v}: {got} for {want}");
        }
    }
}

#[test]
fn a_checkpoint_that_began_with_the_model_wins_over_it_and_another_is_refused() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder, ROWS, 3);
    let fitted = |lambda: &str, name: &str| {
        done(&["fit", ".", "--lambda", lambda, "--delays", "1,2", "--tr", "2", "--out", name], folder);
        FittedModel::read(&folder.join(name)).unwrap()
    };
    let (model, other) = (fitted("3", "m.neurod"), fitted("4", "o.neurod"));
    let begun = |model: Option<&FittedModel>| {
        let config = "features = [\"a\", \"b\"]\ntargets = \"scan\"\nlags = [2.0, 4.0]";
        let config: PredictorConfig = toml::from_str(config).unwrap();
        let regions = Arc::new(Regions::new((0..5).map(|v| format!("v{v}")).collect(), Unit::ZScore));
        let input = |(name, dims): (&str, usize)| InputSpec { name: name.into(), dims, hop: None, sha256: "0".into() };
        let session = Session::new("test", Arc::new(VirtualClock::default()));
        let inputs = [("a", 3), ("b", 2)].map(input).to_vec();
        Predictor::new("regions", &config, session, regions, 2.0, inputs).unwrap().beginning_with(model).unwrap()
    };
    let state = folder.join("state");
    let mut first = begun(Some(&model));
    assert!(!first.resume(&state).unwrap(), "there is none yet");
    let spec = BlockSpec::new(Channel::numbered("REGION", 5, Unit::ZScore), 0.5, 1);
    for t in 0..7 {
        let mut block = Block::new(&spec);
        block.push(&[t as f64, 1.0, -1.0, 0.5, 2.0]);
        block.measured_at = Instant::from_seconds(2.0 * t as f64);
        assert_eq!(first.volume(&block, 0, drop), Observed::Learned);
    }
    first.save(&state).unwrap();
    let mut second = begun(Some(&model));
    assert!(second.resume(&state).unwrap());
    assert_eq!(second.learner().updates(), ROWS as u64 + 7);
    assert_eq!(second.learner().weights(), first.learner().weights());
    for another in [None, Some(&other)] {
        let error = begun(another).resume(&state).unwrap_err().to_string();
        assert!(
            error.contains(&format!("made with model = {}", model.sha256)) && error.contains("move the file away"),
            "{error}"
        );
    }
}

#[test]
fn a_file_that_is_not_whole_is_refused_by_name() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder, ROWS, 3);
    done(&["fit", ".", "--lambda", "3", "--out", "m.neurod"], folder);
    let path = folder.join("m.neurod");
    let whole = fs::read(&path).unwrap();
    let says = |bytes: &[u8]| {
        fs::write(&path, bytes).unwrap();
        FittedModel::read(&path).unwrap_err().to_string()
    };
    let header = 8 + u64::from_le_bytes(whole[..8].try_into().unwrap()) as usize;
    for cut in [0, 7, 8, 100, header - 1, header, header + 5, whole.len() - 1] {
        let said = says(&whole[..cut]);
        assert!(said.contains("is damaged") || said.contains("is no .neurod model"), "{cut}: {said}");
    }
    for at in (8..whole.len()).step_by(97) {
        let mut flipped = whole.clone();
        flipped[at] ^= 1;
        says(&flipped);
    }
    let swap = |from: &str, to: &str| {
        let text = whole.iter().map(|b| *b as char).collect::<String>();
        assert!(text.contains(from), "{from}");
        text.replace(from, to).chars().map(|c| c as u8).collect::<Vec<u8>>()
    };
    assert!(says(&swap(r#""version":"1""#, r#""version":"2""#)).contains("version 2, this neurod reads version 1"));
    assert!(says(&swap("neurod.model", "other.model_")).contains("no .neurod model"));
    assert!(says(&swap("\"F64\"", "\"U64\"")).contains("U64"));
    let mut endless = whole.clone();
    endless[..8].copy_from_slice(&u64::MAX.to_le_bytes());
    assert!(says(&endless).contains("beyond its bounds"));
    assert!(says(&[&whole[..], b"x"].concat()).contains("left over"));
    let done = neurod(&["predict", "m.neurod", ".", "--out", "p.npy"], folder);
    assert_eq!(done.status.code(), Some(65), "{}", String::from_utf8_lossy(&done.stderr));
    fs::remove_file(&path).unwrap();
    assert_eq!(neurod(&["predict", "m.neurod", ".", "--out", "p.npy"], folder).status.code(), Some(66));
}

#[test]
fn a_response_stands_in_the_place_of_delays() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder, ROWS, 3);
    done(&["fit", ".", "--lambda", "3", "--hrf", "glover", "--tr", "2.5", "--out", "m.neurod"], folder);
    let path = folder.join("m.neurod");
    let mut model = FittedModel::read(&path).unwrap();
    let described = serde_json::to_value(&model.description).unwrap();
    let none = serde_json::json!([]);
    assert_eq!((&described["hrf"], &described["delays"], &described["tr"]), (&"glover".into(), &none, &2.5.into()));
    assert!(model.description.provenance.command.ends_with("--hrf glover --tr 2.5"));
    assert_eq!(serde_json::to_string(&model.lags().unwrap()).unwrap(), r#"{"hrf":"glover"}"#);
    // One copy of the features, of which predictions come: what samples show offline is tested against scipy's densities.
    assert_eq!(model.columns(), 5);
    done(&["predict", "m.neurod", ".", "--out", "p.npy"], folder);
    let predicted: Array2<f64> = read_npy(folder.join("p.npy")).unwrap();
    let weights = response_weights(Response::Glover, 2.5);
    let [a, b]: [Array2<f64>; 2] =
        ["a", "b"].map(|name| read_npy(folder.join(format!("features/{name}.npy"))).unwrap());
    let features = ndarray::concatenate(ndarray::Axis(1), &[a.view(), b.view()]).unwrap();
    let convolved = Array2::from_shape_fn((ROWS, 5), |(t, c)| {
        weights.iter().enumerate().take(t % 15 + 1).map(|(ago, weight)| weight * features[(t - ago, c)]).sum()
    });
    let y: Array2<f64> = read_npy(folder.join("responses.npy")).unwrap();
    let direct = fit(convolved.view(), y.view(), &Vec::from_iter(0..ROWS), &[3.0; 5], true).unwrap();
    let expected = convolved.dot(&direct.weights) + ndarray::Array1::from(direct.intercepts);
    assert!(predicted.iter().zip(&expected).all(|(a, b)| (a - b).abs() < 1e-12), "{predicted} {expected}");

    for spoil in [|d: &mut Description| d.delays = vec![1], |d: &mut Description| d.tr = None] {
        let mut spoilt = model.clone();
        spoil(&mut spoilt.description);
        spoilt.write(&path).unwrap();
        let said = FittedModel::read(&path).unwrap_err().to_string();
        assert!(said.contains("a haemodynamic response, and delays or no tr beside it"), "{said}");
    }
    model.write(&path).unwrap();
    assert!(FittedModel::read(&path).is_ok());
}

#[test]
fn what_a_model_lacks_it_says() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = temporary.path();
    dataset(folder, ROWS, 3);
    let said = done(&["fit", ".", "--lambda", "3", "--no-moments", "--out", "m.neurod"], folder);
    assert!(said.contains("does not learn on live: its moments were left out"), "{said}");
    let said = done(&["fit", ".", "--lambda", "3", "--no-centre", "--out", "n.neurod"], folder);
    assert!(said.contains("it was not centred"), "{said}");
    let model = FittedModel::read(&folder.join("m.neurod")).unwrap();
    let mut learner = model.learner(&RidgeConfig::default()).unwrap();
    learner.learn();
    assert!(learner.is_fixed() && learner.is_frozen());
    let x: Vec<f64> = (0..5).map(|i| i as f64 * 0.1).collect();
    let mut predicted = [0.0; 5];
    assert!(learner.predict(&x, &mut predicted));
    assert!(predicted.iter().zip(model.predict(&x)).all(|(a, b)| (a - b).abs() < 1e-12));

    let names: Vec<String> = (0..5).map(|v| format!("v{v}")).collect();
    assert!(model.check_targets(&names, Unit::ZScore, 2.0).is_ok());
    let mut other = names.clone();
    other.swap(1, 2);
    let said = model.check_targets(&other, Unit::ZScore, 2.0).unwrap_err().to_string();
    assert!(said.starts_with("the model says target 1 = v1, here it is v2"), "{said}");

    let mut y: Array2<f64> = read_npy(folder.join("responses.npy")).unwrap();
    y[(4, 2)] = f64::NAN;
    write_npy(folder.join("responses.npy"), &y).unwrap();
    let said = done(&["fit", ".", "--lambda", "3", "--out", "h.neurod"], folder);
    assert!(said.contains("1 targets hold values that are not finite"), "{said}");
    let model = FittedModel::read(&folder.join("h.neurod")).unwrap();
    let predicted = model.predict(&x);
    assert!(predicted[2].is_nan() && predicted[1].is_finite());
    assert!(model.check_targets(&names, Unit::ZScore, 2.0).unwrap_err().to_string().contains("not finite"));
}

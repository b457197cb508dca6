//! `neurod encode features`: what was shown becomes features, each different stimulus once, however often it is killed.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod encoders_support;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::time::Duration;

use encoders_support::{fetched, repository, runtime};
use flate2::{Compression, Crc, write::ZlibEncoder};
use ndarray::{Array2, ArrayView1};
use ndarray_npy::{read_npy, write_npy};
use neurod::encoders::{Encoder, ImageConfig, ImageEncoder, Input, ModelFiles, TextEncoder};
use serde_json::Value;

/// The model, if it and the runtime are there.
fn model(name: &str) -> Option<PathBuf> {
    fetched("lib/libonnxruntime.so")?;
    fetched(&format!("models/{name}"))
}

fn command(data: &Path, model: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_neurod"));
    command
        .args(["encode", "features"])
        .arg(data)
        .arg("--model")
        .arg(model)
        .args(arguments)
        .current_dir(repository(""));
    command
}

fn features(data: &Path, model: &Path, arguments: &[&str]) -> Output {
    command(data, model, arguments).output().unwrap()
}

fn sound(done: &Output) {
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
}

fn refused(done: &Output, code: i32, words: &[&str]) {
    let said = String::from_utf8_lossy(&done.stderr);
    assert_eq!(done.status.code(), Some(code), "{said}");
    assert!(words.iter().all(|word| said.contains(word)), "{words:?} in {said}");
}

/// A folder whose runs.tsv has one run and this column.
fn data(column: &str, cells: &[String]) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let rows: String = cells.iter().map(|cell| format!("1\t{cell}\n")).collect();
    fs::write(folder.path().join("runs.tsv"), format!("run\t{column}\n{rows}")).unwrap();
    folder
}

fn array(data: &Path, name: &str) -> Array2<f32> {
    read_npy(data.join(format!("features/{name}.npy"))).unwrap()
}

fn about(data: &Path, name: &str) -> Value {
    serde_json::from_slice(&fs::read(data.join(format!("features/{name}.json"))).unwrap()).unwrap()
}

fn near(row: ArrayView1<'_, f32>, feature: &[f32]) -> bool {
    let largest = feature.iter().fold(1.0f32, |most, v| most.max(v.abs()));
    row.len() == feature.len() && row.iter().zip(feature).all(|(a, b)| (a - b).abs() <= 1e-5 * largest)
}

#[test]
fn every_row_has_the_feature_of_its_text_and_a_row_without_one_has_zeros() {
    let Some(model) = model("minilm") else { return };
    let texts: Vec<String> =
        ["a photo of a cat", "n/a", "a photo of a house", "a photo of a cat", "n/a", "a cat"].map(String::from).into();
    let data = data("text", &texts);
    let folder = data.path();
    sound(&features(folder, &model, &["--jobs", "2"]));
    let made = array(folder, "minilm");
    assert_eq!(made.dim(), (6, 384));
    let mut encoder = TextEncoder::load(&runtime().unwrap(), &ModelFiles::read(&model).unwrap(), 0, 1).unwrap();
    for (row, text) in made.rows().into_iter().zip(&texts) {
        let mut feature = vec![0.0; 384];
        if text != "n/a" {
            encoder.encode(&Input::Text(text), &mut feature).unwrap();
        }
        assert!(near(row, &feature), "{text}");
    }
    let origin = about(folder, "minilm");
    assert_eq!(
        (&origin["stimuli"], &origin["samples_without_stimulus"], &origin["samples"]),
        (&3.into(), &2.into(), &6.into())
    );
    assert_eq!(
        (&origin["licence"], &origin["layer"], &origin["model"]),
        (&"Apache-2.0".into(), &Value::Null, &"all-MiniLM-L6-v2".into())
    );
    let bytes = fs::read(folder.join("features/minilm.npy")).unwrap();
    assert_eq!(origin["features_sha256"], encoders_support::sha256(&bytes));

    // The second time nothing is encoded, so nothing is needed to encode with; and more models make more spaces.
    let again = command(folder, &model, &["--json"]).env("ORT_DYLIB_PATH", "/nowhere/lib.so").output().unwrap();
    sound(&again);
    assert_eq!(serde_json::from_slice::<Value>(&again.stdout).unwrap()[0], origin);
    assert!(fs::read(folder.join("features/minilm.npy")).unwrap() == bytes);
    let other = folder.join("words");
    std::os::unix::fs::symlink(model.canonicalize().unwrap(), &other).unwrap();
    sound(&features(folder, &model, &["--model", other.to_str().unwrap(), "--name", "one", "--name", "two"]));
    assert!(array(folder, "one") == made && array(folder, "two") == made);
}

#[test]
fn one_pass_gives_every_layer_of_a_picture_and_stimuli_tsv_says_what_a_stimulus_is() {
    let Some(model) = model("efficientnet-lite0") else { return };
    let data = tempfile::tempdir().unwrap();
    let folder = data.path();
    fs::write(folder.join("runs.tsv"), "run\tstimulus\n1\tphoto\n1\tn/a\n2\tsame\n2\tphoto\n").unwrap();
    fs::create_dir(folder.join("stimuli")).unwrap();
    for name in ["photo.png", "same.png"] {
        fs::copy(repository("tests/golden/images/photo.png"), folder.join("stimuli").join(name)).unwrap();
    }
    fs::write(folder.join("stimuli.tsv"), "stimulus\timage\nphoto\tphoto.png\nsame\tsame.png\n").unwrap();
    sound(&features(folder, &model, &["--layers", "all", "--name", "cnn"]));
    let files = ModelFiles::read(&model).unwrap();
    assert_eq!(files.manifest.layers.len(), 7);
    for (layer, of) in &files.manifest.layers {
        let stimuli = folder.join("stimuli");
        let text = format!("model = {model:?}\nevents = \"x\"\nstimuli = {stimuli:?}\nlayer = \"{layer}\"");
        let config: ImageConfig = toml::from_str(&text).unwrap();
        let mut encoder = ImageEncoder::load(&runtime().unwrap(), files.clone(), &config, 1).unwrap();
        let mut feature = Vec::new();
        encoder.encode(&Input::Image("photo.png".as_ref()), &mut feature).unwrap();
        let made = array(folder, &format!("cnn.{layer}"));
        assert_eq!(made.dim(), (4, of.dims));
        for (row, zero) in made.rows().into_iter().zip([false, true, false, false]) {
            assert!(if zero { row.iter().all(|v| *v == 0.0) } else { near(row, &feature) }, "{layer}");
        }
        // Two names of the same bytes are one stimulus.
        let origin = about(folder, &format!("cnn.{layer}"));
        assert_eq!((&origin["layer"], &origin["stimuli"]), (&layer.as_str().into(), &1.into()));
    }
}

#[test]
fn killed_in_the_middle_it_goes_on_where_it_stopped_and_gives_the_same_bytes() {
    let Some(model) = model("minilm") else { return };
    let texts: Vec<String> =
        (0..400).map(|i| format!("{} heat on the arm, number {i}", "very painful ".repeat(i * 7 % 23))).collect();
    let data = data("text", &texts);
    let folder = data.path();
    sound(&features(folder, &model, &["--name", "whole", "--batch", "4"]));
    fs::remove_dir_all(folder.join("features/.cache")).unwrap();

    let mut killed = command(folder, &model, &["--batch", "4", "--jobs", "1"]).stderr(Stdio::null()).spawn().unwrap();
    let kept = || -> u64 {
        let Ok(cache) = fs::read_dir(folder.join("features/.cache")) else { return 0 };
        cache.map(|entry| entry.unwrap().metadata().unwrap().len()).sum::<u64>() / (32 + 4 * 384 + 8)
    };
    while kept() < 40 && killed.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(1));
    }
    killed.kill().unwrap();
    killed.wait().unwrap();
    let before = kept();
    assert!((40..400).contains(&before) && !folder.join("features/minilm.npy").exists(), "{before}");
    // As if the last entry had been cut short.
    let cache = fs::read_dir(folder.join("features/.cache")).unwrap().next().unwrap().unwrap().path();
    let length = fs::metadata(&cache).unwrap().len();
    fs::OpenOptions::new().write(true).open(&cache).unwrap().set_len(length - 5).unwrap();

    let done = features(folder, &model, &["--batch", "4"]);
    sound(&done);
    let said = String::from_utf8_lossy(&done.stdout);
    let number =
        |before: &str| said.split(before).next().unwrap().rsplit(['(', ' ']).next().unwrap().parse::<u64>().unwrap();
    let (kept, different) = (number(" of them kept"), number(" different stimuli"));
    // Whole batches are kept.
    assert!(kept + 8 >= before && kept <= before && different == 400, "{said}: {before} were there");
    assert!(array(folder, "minilm") == array(folder, "whole"));
}

/// A picture of 20 000 × 20 000 pixels, whole and small as a file.
fn huge_png() -> Vec<u8> {
    let mut png = b"\x89PNG\r\n\x1a\n".to_vec();
    let mut chunk = |kind: &[u8], body: &[u8]| {
        let mut crc = Crc::new();
        crc.update(kind);
        crc.update(body);
        png.extend((body.len() as u32).to_be_bytes());
        png.extend([kind, body].concat());
        png.extend(crc.sum().to_be_bytes());
    };
    let side = 20_000u32;
    chunk(b"IHDR", &[&side.to_be_bytes()[..], &side.to_be_bytes(), &[1, 0, 0, 0, 0]].concat());
    let mut pixels = ZlibEncoder::new(Vec::new(), Compression::fast());
    (0..side).for_each(|_| pixels.write_all(&[0; 1 + 2500]).unwrap());
    chunk(b"IDAT", &pixels.finish().unwrap());
    chunk(b"IEND", &[]);
    png
}

#[test]
fn bad_pictures_are_named_by_row_and_write_nothing_or_nan_that_evaluate_leaves_out() {
    let Some(model) = model("efficientnet-lite0") else { return };
    let names = ["photo.png", "text.png", "huge.png", "gone.png", "n/a", "../outside.png", "text.png", "photo.png"];
    let data = data("image", &names.map(String::from));
    let folder = data.path();
    let stimuli = folder.join("pictures");
    fs::create_dir(&stimuli).unwrap();
    fs::copy(repository("tests/golden/images/photo.png"), stimuli.join("photo.png")).unwrap();
    fs::write(stimuli.join("text.png"), "no picture").unwrap();
    fs::write(stimuli.join("huge.png"), huge_png()).unwrap();
    let from = ["--stimuli", stimuli.to_str().unwrap(), "--name", "cnn"];
    let done = features(folder, &model, &from);
    refused(
        &done,
        65,
        &[
            "5 of 8 rows",
            "row 1: image text.png: not a PNG",
            "row 2: image huge.png: 20000 × 20000 pixels",
            "row 3: image gone.png: there is no file",
            "row 5: image ../outside.png: leads out",
            "row 6:",
            "--skip-bad",
        ],
    );
    assert!(!folder.join("features/cnn.npy").exists() && !folder.join("features/cnn.json").exists());

    let done = features(folder, &model, &[&from[..], &["--skip-bad"]].concat());
    sound(&done);
    assert!(String::from_utf8_lossy(&done.stderr).contains("5 rows have a stimulus that cannot be encoded"));
    let made = array(folder, "cnn");
    for (row, bad) in made.rows().into_iter().zip([false, true, true, true, false, true, true, false]) {
        assert!(row.iter().all(|v| v.is_nan() == bad));
    }
    assert!(made.row(4).iter().all(|v| *v == 0.0));
    let bad: Vec<u64> =
        about(folder, "cnn")["bad_rows"].as_array().unwrap().iter().map(|b| b["row"].as_u64().unwrap()).collect();
    assert_eq!(bad, [1, 2, 3, 5, 6]);
    write_npy(folder.join("responses.npy"), &Array2::from_shape_fn((8, 2), |(i, j)| (i * 3 + j * i) as f64)).unwrap();
    let mut evaluate = Command::new(env!("CARGO_BIN_EXE_neurod"));
    evaluate
        .args(["encode", "evaluate", "--lambda", "1", "--folds", "k=3", "--out"])
        .arg(folder.join("out"))
        .arg(folder);
    let done = evaluate.output().unwrap();
    sound(&done);
    assert!(String::from_utf8_lossy(&done.stderr).contains("5 of 8 samples are left out"));
}

#[test]
fn a_text_longer_than_the_model_takes_is_bad_unless_it_may_be_cut() {
    let Some(model) = model("minilm") else { return };
    let data = data("text", &["a cat".into(), "word ".repeat(80_000).trim().into(), "a dog".into()]);
    let folder = data.path();
    refused(
        &features(folder, &model, &[]),
        65,
        &["1 of 3 rows", "row 1: 80002 tokens; model all-MiniLM-L6-v2 takes 256"],
    );
    assert!(!folder.join("features/minilm.npy").exists());
    sound(&features(folder, &model, &["--cut"]));
    let mut encoder = TextEncoder::load(&runtime().unwrap(), &ModelFiles::read(&model).unwrap(), 0, 1).unwrap();
    let mut beginning = Vec::new();
    encoder.encode(&Input::Text(&"word ".repeat(254)), &mut beginning).unwrap();
    assert!(near(array(folder, "minilm").row(1), &beginning));
    // What was cut is not taken for the whole afterwards.
    refused(&features(folder, &model, &[]), 65, &["row 1: 80002 tokens"]);
}

#[test]
fn what_cannot_be_done_is_told_with_the_fix() {
    let Some(model) = model("minilm") else { return };
    let fresh = |column: &str, cell: &str| data(column, &[cell.into()]);
    let data = fresh("text", "a cat");
    let folder = data.path();
    refused(
        &features(folder, &model, &["--layers", "L1"]),
        65,
        &["no layer \"L1\" in manifest.toml (there are: embeddings, layer1,"],
    );
    refused(&features(folder, &model, &["--name", "a/b"]), 64, &["no name for a feature space"]);
    refused(&features(folder, &model, &["--name", "a", "--name", "b"]), 64, &["2 names for 1 models"]);
    refused(&features(folder, &model, &["--model", model.to_str().unwrap()]), 64, &["two models", "--name"]);
    refused(&features(folder, &model, &["--batch", "0"]), 64, &["1 or more"]);
    refused(&features(folder, Path::new("models/nowhere"), &[]), 66, &["--model models/nowhere"]);
    refused(
        &features(fresh("caption", "a cat").path(), &model, &[]),
        65,
        &["no column \"text\" (there are: run, caption)"],
    );
    refused(&features(fresh("text", "n/a").path(), &model, &[]), 65, &["nothing is shown in any row"]);
    write_npy(folder.join("features.npy"), &Array2::<f32>::zeros((1, 2))).unwrap();
    refused(&features(folder, &model, &[]), 65, &["features.npy", "move it to features/NAME.npy"]);
}

/// The mean of the tokens, of the regions' features and of their boxes: eight numbers.
fn with_regions() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = r#"
import sys
sys.path.insert(0, "tools")
import onnx_write as onnx
from onnx_write import FLOAT, INT64
graph = onnx.Graph("regions")
graph.inputs = [onnx.value_info("tokens", INT64, ["batch", "tokens"]), onnx.value_info("seen", FLOAT, ["batch", "regions", 3]),
                onnx.value_info("boxes", FLOAT, ["batch", "regions", 4])]
graph.outputs = [onnx.value_info("joint", FLOAT, ["batch", 8])]
words = graph.node("ReduceMean", [graph.node("Cast", ["tokens"], "numbers", to=FLOAT)], "words", axes=[1], keepdims=1)
means = [graph.node("ReduceMean", [name], f"{name}.mean", axes=[1], keepdims=0) for name in ("seen", "boxes")]
graph.node("Concat", [words, *means], "joint", axis=1)
open(sys.argv[1], "wb").write(graph.serialise("tests"))
"#;
    let file = folder.path().join("model.onnx");
    let done = Command::new("python3").args(["-c", script]).arg(&file).current_dir(repository("")).status().unwrap();
    assert!(done.success());
    let tokenizer = fs::read(repository("tests/golden/encoders/tokenizer.json")).unwrap();
    fs::write(folder.path().join("tokenizer.json"), &tokenizer).unwrap();
    let [model, tokenizer] = [fs::read(&file).unwrap(), tokenizer].map(|bytes| encoders_support::sha256(&bytes));
    let manifest = format!(
        "name = \"regions\"\nlicence = \"CC0-1.0\"\nsource = \"here\"\nkind = \"multimodal\"\noutput = \"joint\"\ndims = 8\n\
         text = {{ input_ids = \"tokens\", max_tokens = 6 }}\n\
         regions = {{ features = \"seen\", boxes = \"boxes\", dims = 3, most = 4 }}\n\
         sha256 = {{ model = \"{model}\", tokenizer = \"{tokenizer}\" }}\n"
    );
    fs::write(folder.path().join("manifest.toml"), manifest).unwrap();
    folder
}

#[test]
fn a_text_with_regions_is_one_stimulus_and_without_them_a_bad_one() {
    if fetched("lib/libonnxruntime.so").is_none() {
        return;
    }
    let (model, data) = (with_regions(), tempfile::tempdir().unwrap());
    let folder = data.path();
    let rows =
        ["heat\ta.npy\tboxes.npy", "n/a\tn/a\tn/a", "pain\ta.npy\tboxes.npy", "pain\tn/a\tn/a", "pain\ta.npy\tn/a"];
    let lines: String = rows.iter().map(|row| format!("1\t{row}\n")).collect();
    fs::write(folder.join("runs.tsv"), format!("run\ttext\tregions\tboxes\n{lines}")).unwrap();
    fs::create_dir(folder.join("stimuli")).unwrap();
    let seen = ndarray::array![[1.0f32, 2.0, 3.0], [3.0, 2.0, 5.0]];
    let boxes = ndarray::array![[0.0f32, 0.0, 0.5, 1.0], [0.5, 0.25, 1.0, 0.75]];
    write_npy(folder.join("stimuli/a.npy"), &seen).unwrap();
    write_npy(folder.join("stimuli/boxes.npy"), &boxes).unwrap();
    let named = ["--name", "joint"];
    refused(
        &features(folder, model.path(), &named),
        65,
        &["2 of 5 rows", "row 3: no regions", "row 4: regions a.npy: there are no boxes"],
    );
    sound(&features(folder, model.path(), &[&named[..], &["--skip-bad"]].concat()));
    let made = array(folder, "joint");
    // [CLS] heat [SEP] and [CLS] pain [SEP] are 2, 4 or 5, 3.
    let joint = |word: f32| [(5.0 + word) / 3.0, 2.0, 2.0, 4.0, 0.25, 0.125, 0.75, 0.875];
    assert!(near(made.row(0), &joint(4.0)) && near(made.row(1), &[0.0; 8]) && near(made.row(2), &joint(5.0)));
    assert!(made.row(3).iter().chain(made.row(4)).all(|v| v.is_nan()));
    assert_eq!(about(folder, "joint")["columns"], serde_json::json!(["text", "regions", "boxes"]));
    fs::write(folder.join("runs.tsv"), "run\ttext\n1\theat\n").unwrap();
    refused(&features(folder, model.path(), &named), 65, &["no column \"regions\" (there are: run, text)"]);
}

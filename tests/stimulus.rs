//! What is shown over HTTP becomes region activity: words, files and image bytes, foretold as the fitted model says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/daemon.rs"]
mod daemon;
mod encoders_support;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;
use std::process::Command;

use daemon::{Daemon, until};
use encoders_support::{fetched, folder, repository, runtime};
use ndarray::Array2;
use ndarray_npy::write_npy;
use neurod::encoders::{Encoder, EncoderConfig, Input, build};
use neurod::ridge::FittedModel;
use serde_json::Value;

const TR: f64 = 0.5;
const TEXT: &str = "kind = \"text\"\noutput = \"last\"\npooling = \"mean\"\ndims = 4\n\
    text = { input_ids = \"tokens\", token_type_ids = \"segments\", max_tokens = 6 }";
const IMAGE: &str = "kind = \"image\"\noutput = \"map\"\npooling = \"spatial\"\ndims = 3\n\
    image = { input = \"pixels\", layout = \"nchw\", size = 6, resize = \"squash\", filter = \"bicubic\" }";

/// A model of two regions from `dims` made-up features of this encoder.
fn fitted(folder: &Path, name: &str, encoder: &dyn Encoder) -> FittedModel {
    let (data, dims) = (folder.join(name), encoder.spec().dims);
    fs::create_dir_all(&data).unwrap();
    let wave = |t: usize, i: usize| ((t * (2 * i + 3)) as f64 * 0.37 + i as f64).sin();
    write_npy(data.join("features.npy"), &Array2::from_shape_fn((50, dims), |(t, c)| wave(t, c))).unwrap();
    let y = Array2::from_shape_fn((50, 2), |(t, v)| 5.0 + wave(t + 49, v) + if t > 0 { wave(t - 1, v) } else { 0.0 });
    write_npy(data.join("responses.npy"), &y).unwrap();
    fs::write(data.join("features.json"), format!("{{\"sha256\": \"{}\"}}", encoder.spec().sha256)).unwrap();
    fs::write(data.join("regions.tsv"), "region\ninsula\nV1\n").unwrap();
    let model = folder.join(format!("{name}.neurod"));
    let done = Command::new(env!("CARGO_BIN_EXE_neurod"))
        .args(["encode", "fit", "--lambda", "1", "--delays", "1,2", "--tr", "0.5"])
        .arg(&data)
        .arg("--out")
        .arg(&model)
        .output()
        .unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    FittedModel::read(&model).unwrap()
}

/// Sends an image file as the body.
fn send(daemon: &Daemon, path: &str, kind: &str, body: &[u8]) -> (u16, String) {
    let mut stream = TcpStream::connect(daemon.address()).unwrap();
    let (host, length) = (daemon.address(), body.len());
    write!(
        stream,
        "POST {path} HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\nContent-Type: {kind}\r\nContent-Length: {length}\r\n\r\n"
    )
    .unwrap();
    // A body that is refused is not read to its end.
    let _ = stream.write_all(body);
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    (answer.split_whitespace().nth(1).unwrap().parse().unwrap(), answer.split("\r\n\r\n").nth(1).unwrap().to_owned())
}

/// Waits for what `predictor` foretells of the volumes one and two after this onset, and compares.
fn foretold(folder: &Path, predictor: &str, onset: f64, model: &FittedModel, feature: &[f32]) {
    let values = |delayed: bool| {
        let zeros = vec![0.0f32; feature.len()];
        let (first, second) = if delayed { (feature, feature) } else { (feature, zeros.as_slice()) };
        model.predict(&first.iter().chain(second).map(|v| f64::from(*v)).collect::<Vec<f64>>())
    };
    let frame = |after: f64| {
        until("a frame", 20.0, || {
            let text = fs::read_to_string(folder.join("frames.jsonl")).unwrap_or_default();
            let frames = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let near = |f: &Value| (f["t_target"].as_f64().unwrap_or(0.0) - onset - after).abs() < 1e-3;
            frames.into_iter().find(|f| f["predictor"] == predictor && f["kind"] == "encoded" && near(f))
        })
    };
    for (volumes, delayed) in [(1.0, false), (2.0, true)] {
        let frame = frame(volumes * TR);
        let got: Vec<f64> = frame["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect();
        let want = values(delayed);
        // An onset in months of uptime leaves a mean over a TR its seventh digit.
        assert!(got.iter().zip(&want).all(|(a, b)| (a - b).abs() < 1e-5 * b.abs()), "{got:?} for {want:?}");
        assert_eq!((&frame["model"]["id"], &frame["quality"]), (&predictor.into(), &Value::Array(Vec::new())));
    }
}

#[test]
fn words_files_and_image_bytes_become_what_the_model_says() {
    let Some(runtime) = runtime() else { return };
    let (text, image, temporary) = (folder("text", TEXT), folder("image_nchw", IMAGE), tempfile::tempdir().unwrap());
    let folder = temporary.path();
    fs::create_dir_all(folder.join("stimuli")).unwrap();
    fs::copy(repository("tests/golden/images/photo.jpg"), folder.join("stimuli/photo.jpg")).unwrap();
    let load =
        |config: &str| build(&toml::from_str::<EncoderConfig>(config).unwrap(), Some(&runtime), None, 1).unwrap();
    let mut words = load(&format!("text = {{ model = {:?}, events = \"e\" }}", text.path()));
    let stimuli = folder.join("stimuli");
    let mut pictures =
        load(&format!("image = {{ model = {:?}, events = \"e\", stimuli = {stimuli:?} }}", image.path()));
    let (word_model, picture_model) = (fitted(folder, "words", &*words), fitted(folder, "pictures", &*pictures));
    let config = format!(
        r#"
        [libraries]
        onnxruntime = {:?}
        [events.screen]
        input.api = {{}}
        [events.idle]
        input.api = {{}}
        [encoders.sentence]
        text = {{ model = {:?}, events = "screen" }}
        [encoders.picture]
        image = {{ model = {:?}, events = "screen", stimuli = "stimuli" }}
        [predictors.words]
        features = ["sentence"]
        model = "words.neurod"
        [predictors.pictures]
        features = ["picture"]
        model = "pictures.neurod"
        [sinks.jsonl]
        path = "frames.jsonl"
        "#,
        fetched("lib/libonnxruntime.so").unwrap(),
        text.path(),
        image.path()
    );
    let daemon = Daemon::start(folder, &config);
    daemon.wait_until_ready();
    let shown = |(status, said): (u16, String), encoder: &str| -> f64 {
        assert_eq!(status, 200, "{said}");
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!((&said["encoders"], &said["run"]), (&serde_json::json!([encoder]), &0.into()));
        said["onset"].as_f64().unwrap()
    };
    let ask = |body: &str| daemon.ask("POST", "/api/v1/stimulus", body);
    let mut feature = Vec::new();

    let onset = shown(ask(r#"{"text": "heat", "duration": 1.0, "events": "screen"}"#), "sentence");
    words.encode(&Input::Text("heat"), &mut feature).unwrap();
    foretold(folder, "words", onset, &word_model, &feature);

    let photo = fs::read(repository("tests/golden/images/photo.png")).unwrap();
    let onset = shown(send(&daemon, "/api/v1/stimulus?duration=1&events=screen", "image/png", &photo), "picture");
    pictures.encode(&Input::ImageBytes(&photo), &mut feature).unwrap();
    foretold(folder, "pictures", onset, &picture_model, &feature);

    // By its name, on the grid of volumes and after the picture before is over.
    let later = onset + 8.0 * TR;
    let named = format!(r#"{{"image": "photo.jpg", "duration": 1, "events": "screen", "onset": {later}}}"#);
    assert!((shown(ask(&named), "picture") - later).abs() < 1e-9);
    pictures.encode(&Input::Image(Path::new("photo.jpg")), &mut feature).unwrap();
    foretold(folder, "pictures", later, &picture_model, &feature);

    for (body, status, says) in [
        (r#"{"text": "heat"}"#, 422, "which event source"),
        (r#"{"text": "heat", "events": "idle"}"#, 422, "takes a text; its encoders are: none"),
        (r#"{"label": "go", "events": "screen"}"#, 422, "picture (pictures), sentence (text)"),
        (r#"{"image": "missing.jpg", "events": "screen"}"#, 422, "there is no missing.jpg"),
        (r#"{"image": "../words.neurod", "events": "screen"}"#, 400, "leads out of the stimuli folder"),
        (r#"{"text": "heat", "onset": 5e9, "events": "screen"}"#, 422, "600 s"),
    ] {
        let (got, said) = ask(body);
        assert!(got == status && said.contains(says), "{body}: {got} {said}");
    }
    let (status, said) = send(&daemon, "/api/v1/stimulus?events=screen", "image/png", &vec![0; 17 << 20]);
    assert!(status == 413 && said.contains("16 MiB"), "{status} {said}");
    let (status, said) = send(&daemon, "/api/v1/stimulus?evnts=screen", "image/png", &photo);
    assert!(status == 400 && said.contains("evnts"), "{status} {said}");
    assert_eq!(daemon.ask("GET", "/api/v1/stimulus", "").0, 405);
    assert_eq!(daemon.ask("POST", "/api/v1/learn", r#"{"predictor": "words"}"#).0, 200);
}

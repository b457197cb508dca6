//! What is shown over HTTP becomes region activity: words, files and image bytes, foretold as the fitted model says.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/daemon.rs"]
mod daemon;
mod encoders_support;
#[path = "common/stimuli.rs"]
mod stimuli;

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use daemon::Daemon;
use encoders_support::{fetched, folder, repository, runtime};
use neurod::encoders::{EncoderConfig, Input, RegionsSource, Stimulus, build};
use serde_json::Value;
use stimuli::{IMAGE, TR, fitted, foretold};

const TEXT: &str = "kind = \"text\"\noutput = \"last\"\npooling = \"mean\"\ndims = 4\n\
    text = { input_ids = \"tokens\", token_type_ids = \"segments\", max_tokens = 6 }";
const SCENE: &str = "kind = \"multimodal\"\noutput = \"rows\"\npooling = \"mean\"\ndims = 4\n\
    text = { input_ids = \"tokens\", max_tokens = 6 }\n\
    regions = { features = \"seen\", boxes = \"boxes\", dims = 3, most = 40 }";

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

#[test]
fn regions_of_a_picture_come_as_numbers_and_are_those_of_the_file() {
    let Some(runtime) = runtime() else { return };
    let (scene, temporary) = (folder("regions", SCENE), tempfile::tempdir().unwrap());
    let folder = temporary.path();
    fs::create_dir_all(folder.join("stimuli")).unwrap();
    for name in ["regions.npy", "boxes.npy"] {
        fs::copy(repository("tests/golden/encoders").join(name), folder.join("stimuli").join(name)).unwrap();
    }
    let stimuli = folder.join("stimuli");
    let config = format!("multimodal = {{ model = {:?}, events = \"e\", stimuli = {stimuli:?} }}", scene.path());
    let mut encoder = build(&toml::from_str::<EncoderConfig>(&config).unwrap(), Some(&runtime), None, 1).unwrap();
    let model = fitted(folder, "scenes", &*encoder);
    let config = format!(
        "[libraries]\nonnxruntime = {:?}\n[events.screen]\ninput.api = {{}}\n\
         [encoders.scene]\nmultimodal = {{ model = {:?}, events = \"screen\", stimuli = \"stimuli\" }}\n\
         [predictors.scenes]\nfeatures = [\"scene\"]\nmodel = \"scenes.neurod\"\n[sinks.jsonl]\npath = \"frames.jsonl\"\n",
        fetched("lib/libonnxruntime.so").unwrap(),
        scene.path()
    );
    let daemon = Daemon::start(folder, &config);
    daemon.wait_until_ready();
    // What a detector found, as Python has it.
    let golden = &encoders_support::golden()["multimodal"];
    let flat: Vec<f64> = golden["features"].as_array().unwrap().iter().flat_map(encoders_support::numbers).collect();
    let bytes: Vec<u8> = flat.iter().flat_map(|value| (*value as f32).to_le_bytes()).collect();
    let packed = serde_json::json!({ "shape": [2, 3], "float32": BASE64_STANDARD.encode(bytes) });
    let mut feature = Vec::new();
    let (features, boxes) = (Path::new("regions.npy"), Some(Path::new("boxes.npy")));
    let regions = Some(RegionsSource::Files { features, boxes });
    let file = Stimulus { text: Some("pain heat"), regions, ..Stimulus::default() };
    encoder.encode(&Input::Multimodal(file), &mut feature).unwrap();
    let base = |more: Value| {
        let mut body = serde_json::json!({ "text": "pain heat", "duration": 1 });
        body.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        body.to_string()
    };
    let (features, boxes) = (golden["features"].clone(), golden["boxes"].clone());
    let mut later = None;
    for more in [
        serde_json::json!({ "regions": features, "boxes": boxes }),
        serde_json::json!({ "regions": packed, "boxes": boxes }),
        serde_json::json!({ "columns": { "regions": "regions.npy", "boxes": "boxes.npy" } }),
    ] {
        let onset = later.map_or(Value::Null, Value::from);
        let (status, said) =
            daemon.ask("POST", "/api/v1/stimulus", &base(more).replacen('{', &format!("{{\"onset\": {onset}, "), 1));
        assert_eq!(status, 200, "{said}");
        let said: Value = serde_json::from_str(&said).unwrap();
        assert_eq!(said["encoders"], serde_json::json!(["scene"]));
        let onset = said["onset"].as_f64().unwrap();
        foretold(folder, "scenes", onset, 1e-3, &model, &feature);
        later = Some(onset + 8.0 * TR);
    }

    let wide = vec![vec![0.5; 2048]; 36];
    let many = vec![vec![0.5; 3]; 1025];
    for (more, status, says) in [
        (serde_json::json!({}), 422, "takes text with regions of pictures, and this comes without them (send regions"),
        (
            serde_json::json!({ "image": "photo.jpg" }),
            422,
            "takes a picture; its encoders are: scene (text with regions of pictures)",
        ),
        (serde_json::json!({ "regions": features }), 422, "there are no boxes, which this model takes"),
        (serde_json::json!({ "boxes": boxes }), 400, "boxes come without regions"),
        (serde_json::json!({ "regions": features, "boxes": features }), 422, "boxes of 3 numbers, not of 4"),
        (serde_json::json!({ "regions": features, "boxes": [boxes[0]] }), 422, "1 boxes for 2 regions"),
        (
            serde_json::json!({ "regions": features, "boxes": [[0, 0, 640, 480], [0, 0, 1, 1]] }),
            422,
            "box 0 does not lie in",
        ),
        (serde_json::json!({ "regions": [[0.5, 1e39, 0.5]], "boxes": [boxes[0]] }), 400, "number out of range"),
        (
            serde_json::json!({ "regions": { "shape": [1, 3], "float32": "AAAAPwAAwH8AAAA/" }, "boxes": [boxes[0]] }),
            422,
            "the features of region 0 are not finite",
        ),
        (serde_json::json!({ "regions": wide, "boxes": boxes }), 422, "2 boxes for 36 regions"),
        (
            serde_json::json!({ "regions": wide, "boxes": vec![[0, 0, 1, 1]; 36] }),
            422,
            "features of 2048 values a region; the model takes 3",
        ),
        (serde_json::json!({ "regions": many }), 422, "1025 regions; there must be 1 to 1024"),
        (serde_json::json!({ "regions": [[1, 2], [3]] }), 400, "row 1 has 1 numbers, row 0 has 2"),
        (serde_json::json!({ "regions": { "shape": [2, 2048], "float32": "AAAA" } }), 400, "float32 has 3 bytes"),
        (
            serde_json::json!({ "regions": features, "columns": { "boxes": "boxes.npy" } }),
            422,
            "both as numbers and as files",
        ),
        (serde_json::json!({ "columns": { "regions": "nowhere.npy" } }), 422, "nowhere.npy: there is no such file"),
        (serde_json::json!({ "columns": { "regions": "../scenes.neurod" } }), 422, "leads out of the stimuli folder"),
    ] {
        let (got, said) = daemon.ask("POST", "/api/v1/stimulus", &base(more));
        assert!(got == status && said.contains(says), "{says}: {got} {said}");
    }
    let (status, said) =
        daemon.ask("POST", "/api/v1/stimulus", r#"{"label": "look", "columns": {"regions": "regions.npy"}}"#);
    assert!(status == 422 && said.contains("this comes without a text"), "{status} {said}");
    assert!(!daemon.log().contains("a pass failed"), "{}", daemon.log());
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
    foretold(folder, "words", onset, 1e-3, &word_model, &feature);

    let photo = fs::read(repository("tests/golden/images/photo.png")).unwrap();
    let onset = shown(send(&daemon, "/api/v1/stimulus?duration=1&events=screen", "image/png", &photo), "picture");
    pictures.encode(&Input::ImageBytes(&photo), &mut feature).unwrap();
    foretold(folder, "pictures", onset, 1e-3, &picture_model, &feature);

    // By its name, on the grid of volumes and after the picture before is over.
    let later = onset + 8.0 * TR;
    let named = format!(r#"{{"image": "photo.jpg", "duration": 1, "events": "screen", "onset": {later}}}"#);
    assert!((shown(ask(&named), "picture") - later).abs() < 1e-9);
    pictures.encode(&Input::Image(Path::new("photo.jpg")), &mut feature).unwrap();
    foretold(folder, "pictures", later, 1e-3, &picture_model, &feature);

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
    let (status, said) = ask(&format!("{{\"text\": \"{}\", \"events\": \"screen\"}}", " ".repeat(70_000)));
    assert!(status == 413 && said.contains("64 KiB of JSON"), "{status} {said}");
    assert_eq!(daemon.ask("GET", "/api/v1/stimulus", "").0, 405);
    assert_eq!(daemon.ask("POST", "/api/v1/learn", r#"{"predictor": "words"}"#).0, 200);
}

//! Stimuli that reach a daemon: a model for its encoder's features, and what that model foretells of them.
#![allow(dead_code, reason = "each test file uses its part")]
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::fs;
use std::path::Path;
use std::process::Command;

use ndarray::Array2;
use ndarray_npy::write_npy;
use neurod::encoders::Encoder;
use neurod::ridge::FittedModel;
use serde_json::Value;

use crate::daemon::until;

/// Seconds between two volumes that are foretold.
pub const TR: f64 = 0.5;
/// A small encoder of pictures.
pub const IMAGE: &str = "kind = \"image\"\noutput = \"map\"\npooling = \"spatial\"\ndims = 3\n\
    image = { input = \"pixels\", layout = \"nchw\", size = 6, resize = \"squash\", filter = \"bicubic\" }";

/// A model of two regions from `dims` made-up features of this encoder.
pub fn fitted(folder: &Path, name: &str, encoder: &dyn Encoder) -> FittedModel {
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

/// Waits for what `predictor` foretells of the volumes one and two after this onset, which is known to so many seconds,
/// and compares.
pub fn foretold(folder: &Path, predictor: &str, onset: f64, within: f64, model: &FittedModel, feature: &[f32]) {
    let values = |delayed: bool| {
        let zeros = vec![0.0f32; feature.len()];
        let (first, second) = if delayed { (feature, feature) } else { (feature, zeros.as_slice()) };
        model.predict(&first.iter().chain(second).map(|v| f64::from(*v)).collect::<Vec<f64>>())
    };
    let frame = |after: f64| {
        until("a frame", 20.0, || {
            let text = fs::read_to_string(folder.join("frames.jsonl")).unwrap_or_default();
            let frames = text.lines().filter_map(|line| serde_json::from_str::<Value>(line).ok());
            let near = |f: &Value| (f["t_target"].as_f64().unwrap_or(0.0) - onset - after).abs() < within;
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

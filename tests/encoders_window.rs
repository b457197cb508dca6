//! A window of a recording gives the same feature as Python's onnxruntime, whatever layout the model wants.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod encoders_support;

use encoders_support::*;
use neurod::encoders::{EncodeError, Encoder, EncoderConfig, Input, WindowEncoder, build};
use neurod::frame::{BlockSpec, Channel, Unit};

const WINDOW: &str = r#"
kind = "window"
output = "features"
dims = 6
window = { input = "signal", axes = ["one", "one", "channels", "time"], channels = 3, samples = 8, rate = 8.0, scale = 0.5 }
"#;

#[test]
fn both_layouts_match_python() {
    let Some(runtime) = runtime() else { return };
    let golden = &golden()["window"];
    let data = numbers(&golden["data"]);
    let time_first =
        WINDOW.replace(r#""one", "one", "channels", "time""#, r#""one", "time", "channels""#).replace("6", "2");
    for (model, manifest, expected) in
        [("window", WINDOW, "channels_time"), ("window_time_first", &time_first, "time_channels")]
    {
        let mut encoder = WindowEncoder::load(&runtime, &files(model, manifest), 1).unwrap();
        let mut feature = Vec::new();
        for _ in 0..2 {
            encoder.encode(&Input::Window { data: &data, channels: 3, samples: 8 }, &mut feature).unwrap();
            assert_close(&feature, &golden[expected], 1e-6);
        }
        assert_eq!(feature.len(), encoder.spec().dims);
    }
}

#[test]
fn a_feature_that_is_not_finite_is_an_error_and_the_next_window_is_fine() {
    let Some(runtime) = runtime() else { return };
    let manifest = WINDOW.replace(r#""one", "one", "#, r#""one", "#).replace("dims = 6", "dims = 24");
    let mut encoder = WindowEncoder::load(&runtime, &files("window_roots", &manifest), 1).unwrap();
    let mut feature = Vec::new();
    let mut data = [2.0; 24];
    data[5] = -10.0;
    let error = encoder.encode(&Input::Window { data: &data, channels: 3, samples: 8 }, &mut feature).unwrap_err();
    assert_eq!(error.to_string(), "model small: 1 values of the feature are not finite");
    data[5] = f64::NAN;
    encoder.encode(&Input::Window { data: &data, channels: 3, samples: 8 }, &mut feature).unwrap();
    // The root of 0 + 2: a NaN sample is 0; sample 1 of channel 2 is at 2 · 8 + 1.
    assert!((feature[17] - 2f32.sqrt()).abs() < 1e-6 && (feature[0] - 3f32.sqrt()).abs() < 1e-6);
}

#[test]
fn an_input_of_another_shape_or_kind_is_an_error() {
    let Some(runtime) = runtime() else { return };
    let mut encoder = WindowEncoder::load(&runtime, &files("window", WINDOW), 1).unwrap();
    let mut feature = Vec::new();
    let short = Input::Window { data: &[0.0; 21], channels: 3, samples: 7 };
    let error = encoder.encode(&short, &mut feature).unwrap_err();
    assert_eq!(error.to_string(), "model small takes a window of 3 channels × 8 samples, got 3 × 7");
    let torn = Input::Window { data: &[0.0; 23], channels: 3, samples: 8 };
    assert!(matches!(encoder.encode(&torn, &mut feature), Err(EncodeError::Shape { .. })));
    let error = encoder.encode(&Input::Text("pain"), &mut feature).unwrap_err();
    assert_eq!(error.to_string(), "model small takes a window");
}

#[test]
fn a_source_that_does_not_fit_is_refused_by_name() {
    let Some(runtime) = runtime() else { return };
    let labelled = WINDOW.replace("rate = 8.0", r#"rate = 8.0, labels = ["Fz", "Cz", "Pz"]"#);
    let folder = folder("window", &labelled);
    let config = |seconds: f64| {
        let text = format!("window = {{ model = {:?}, source = \"eeg\", window = {seconds:?} }}", folder.path());
        toml::from_str::<EncoderConfig>(&text).unwrap()
    };
    let source = |names: &[&str], rate: f64| {
        let channels: Vec<Channel> = names.iter().map(|n| Channel::new(*n, "EEG", Unit::Microvolt)).collect();
        BlockSpec::new(channels, rate, 4)
    };
    let refusal = |names: &[&str], rate: f64, seconds: f64| {
        build(&config(seconds), Some(&runtime), Some(&source(names, rate)), 1).map(|_| ()).unwrap_err().to_string()
    };
    assert!(build(&config(1.0), Some(&runtime), Some(&source(&["Fz", "Cz", "Pz"], 8.0)), 1).is_ok());
    assert_eq!(refusal(&["Fz", "Cz"], 8.0, 1.0), "model small takes 3 channels, the source has 2");
    assert_eq!(
        refusal(&["Fz", "Cz", "Pz"], 250.0, 1.0),
        "model small takes 8 Hz, the source has 250 Hz (resample it, or take another model)"
    );
    assert_eq!(refusal(&["Fz", "Cz", "Pz"], 8.0, 2.0), "model small takes 8 samples, a window has 16 (set window = 1)");
    assert_eq!(
        refusal(&["Fz", "Pz", "Cz"], 8.0, 1.0),
        "model small takes channel Cz where the source has Pz (order the source's channels as the model's)"
    );
}

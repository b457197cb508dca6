//! A picture that an LSL marker brings along is the picture of the file, all the way from another program's outlet.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

mod common;
#[path = "common/daemon.rs"]
mod daemon;
mod encoders_support;
#[path = "common/stimuli.rs"]
mod stimuli;

use std::fs;
use std::path::Path;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use common::lsl;
use daemon::Daemon;
use encoders_support::{fetched, folder, repository, runtime};
use neurod::encoders::{EncoderConfig, Input, build};
use neurod::frame::{Clock, MonotonicClock};
use serde_json::json;
use stimuli::{IMAGE, TR, fitted, foretold};

/// The clocks are one, and LSL measures that: what is left is far from half a volume.
const CLOCKS: f64 = 0.1 * TR;

#[test]
fn an_image_within_a_marker_gives_the_feature_of_the_file() {
    let (Some(_), Some(runtime)) = (lsl::python(), runtime()) else { return };
    let (image, temporary) = (folder("image_nchw", IMAGE), tempfile::tempdir().unwrap());
    let folder = temporary.path();
    let stimuli = folder.join("stimuli");
    fs::create_dir_all(&stimuli).unwrap();
    let photo = fs::read(repository("tests/golden/images/photo.png")).unwrap();
    fs::write(stimuli.join("photo.png"), &photo).unwrap();
    let config = format!("image = {{ model = {:?}, events = \"e\", stimuli = {stimuli:?} }}", image.path());
    let mut pictures = build(&toml::from_str::<EncoderConfig>(&config).unwrap(), Some(&runtime), None, 1).unwrap();
    let model = fitted(folder, "pictures", &*pictures);
    let mut feature = Vec::new();
    pictures.encode(&Input::Image(Path::new("photo.png")), &mut feature).unwrap();

    let name = lsl::unique("markers");
    let mut screen =
        lsl::outlet(&json!({"name": name, "type": "Markers", "channels": 1, "rate": 0, "format": "string"}));
    let config = format!(
        "[libraries]\nonnxruntime = {:?}\n[events.screen]\ninput.lsl = {{ name = \"{name}\" }}\n\
         [encoders.picture]\nimage = {{ model = {:?}, events = \"screen\", stimuli = \"stimuli\" }}\n\
         [predictors.pictures]\nfeatures = [\"picture\"]\nmodel = \"pictures.neurod\"\n\
         [sinks.jsonl]\npath = \"frames.jsonl\"\n",
        fetched("lib/libonnxruntime.so").unwrap(),
        image.path()
    );
    let daemon = Daemon::start(folder, &config);
    daemon.wait_until_ready();
    screen.ask(r#"{"wait": 1}"#);
    let first = MonotonicClock.now().seconds();
    let mut show = |marker: serde_json::Value, onset: f64| {
        screen.ask(&json!({"push": [[marker.to_string()]], "stamps": [onset]}).to_string());
        foretold(folder, "pictures", onset, CLOCKS, &model, &feature);
    };
    show(json!({"image_base64": BASE64_STANDARD.encode(&photo), "duration": 2.0 * TR}), first);
    show(json!({"stim_file": "photo.png", "duration": 2.0 * TR}), first + 8.0 * TR);

    // What is no image is told of, and its features are flagged.
    let broken = json!({"image_base64": "no base64!", "duration": 2.0 * TR});
    screen.ask(&json!({"push": [[broken.to_string()]]}).to_string());
    daemon::until("a word about it", 20.0, || daemon.log().contains("image_base64 is no base64").then_some(()));
    daemon::until("its flag", 20.0, || {
        let frames = fs::read_to_string(folder.join("frames.jsonl")).unwrap_or_default();
        frames.contains("STALE_MODEL").then_some(())
    });
}

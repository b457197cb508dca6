//! A picture gives the same pixels as Pillow and the same feature as Python's onnxruntime; what is no picture is refused.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod encoders_support;

use std::fs;
use std::io::Read as _;
use std::path::{Path, PathBuf};

use encoders_support::*;
use neurod::encoders::{
    Encoder, EncoderConfig, EncoderError, ImageConfig, ImageEncoder, ImageInput, Input, MAX_IMAGE_BYTES, ModelFiles,
    build,
};
use serde_json::Value;

fn images() -> PathBuf {
    repository("tests/golden/images")
}

fn golden() -> Value {
    serde_json::from_slice(&fs::read(repository("tests/golden/images.json")).unwrap()).unwrap()
}

fn bytes(name: &str) -> Vec<u8> {
    fs::read(images().join(name)).unwrap()
}

/// An input whose values are the bytes of the square.
fn plain(size: usize, resize: &str, filter: &str) -> ImageInput {
    let text = format!(
        "input = \"x\"\nlayout = \"nhwc\"\nsize = {size}\nresize = {resize}\nfilter = \"{filter}\"\nscale = 1.0\n"
    );
    toml::from_str(&text).unwrap()
}

#[test]
fn every_kind_of_file_gives_pillows_bytes_at_every_size() {
    let mut expected = Vec::new();
    let packed = fs::File::open(images().join("expected.gz")).unwrap();
    flate2::read::GzDecoder::new(packed).read_to_end(&mut expected).unwrap();
    let mut seen = Vec::new();
    for case in golden()["squares"].as_array().unwrap() {
        let number = |key: &str| case[key].as_u64().map(|v| v as usize);
        let (file, size) = (case["file"].as_str().unwrap(), number("size").unwrap());
        let resize = number("shorter").map_or("\"squash\"".into(), |n| format!("{{ shorter = {n} }}"));
        let input = plain(size, &resize, case["filter"].as_str().unwrap());
        let mut square = Vec::new();
        input.prepare(&bytes(file), &mut square).unwrap();
        let expected = &expected[number("at").unwrap()..][..size * size * 3];
        assert_eq!(square.len(), expected.len());
        let difference = |(a, b): (&f32, &u8)| (a - f32::from(*b)).abs();
        let most = square.iter().zip(expected).map(difference).fold(0.0, f32::max);
        assert_eq!(most, 0.0, "{case}");
        seen.push(file.to_owned());
    }
    seen.dedup();
    assert!(seen.len() >= 21, "{seen:?}");
}

/// A small network: `image_nchw` or `image_nhwc`.
fn small(layout: &str, pooling: &str) -> String {
    let (output, dims) = match pooling {
        "spatial" => ("map", 3),
        "flat" => ("flat", 108),
        _ => ("tokens", 3),
    };
    let pooling = if pooling == "flat" { String::new() } else { format!("pooling = \"{pooling}\"\n") };
    format!(
        "kind = \"image\"\noutput = \"{output}\"\n{pooling}dims = {dims}\n\
         image = {{ input = \"pixels\", layout = \"{layout}\", size = 6, resize = {{ shorter = 7 }}, \
         filter = \"bilinear\", mean = [0.4, 0.5, 0.6], std = [0.2, 0.25, 0.3] }}\n\
         layers = {{ first = {{ output = \"tokens\", pooling = \"first\", dims = 3 }} }}\n"
    )
}

/// A configuration of the model in that folder.
fn config(model: &Path, more: &str) -> ImageConfig {
    toml::from_str(&format!("model = {model:?}\nevents = \"screen\"\nstimuli = {:?}\n{more}", images())).unwrap()
}

fn load(model: &Path, more: &str) -> Option<ImageEncoder> {
    let files = ModelFiles::read(model).unwrap();
    Some(ImageEncoder::load(&runtime()?, files, &config(model, more), 1).unwrap())
}

fn encode(encoder: &mut dyn Encoder, input: Input<'_>) -> Vec<f32> {
    let mut feature = Vec::new();
    encoder.encode(&input, &mut feature).unwrap();
    feature
}

#[test]
fn layouts_normalisation_pooling_and_layers_match_python() {
    let golden = &golden()["networks"];
    for layout in ["nchw", "nhwc"] {
        for pooling in ["spatial", "mean", "first", "flat"] {
            let folder = folder(&format!("image_{layout}"), &small(layout, pooling));
            let Some(mut encoder) = load(folder.path(), "") else { return };
            let feature = encode(&mut encoder, Input::Image("photo.png".as_ref()));
            assert_close(&feature, &golden[layout][pooling], 1e-6);
        }
        let folder = folder(&format!("image_{layout}"), &small(layout, "spatial"));
        let Some(mut encoder) = load(folder.path(), "layer = \"first\"") else { return };
        assert_close(&encode(&mut encoder, Input::Image("photo.png".as_ref())), &golden[layout]["first"], 1e-6);
        assert_eq!(&*encoder.spec().model, "small/first");
    }
}

#[test]
fn efficientnet_matches_python_and_the_cache_gives_the_same_bits() {
    let (Some(runtime), Some(model)) = (runtime(), fetched("models/efficientnet-lite0")) else { return };
    let golden = &golden()["efficientnet"];
    let whole = EncoderConfig::Image(config(&model, "cache = 1"));
    let stage = EncoderConfig::Image(config(&model, "layer = \"stage5\""));
    let mut whole = build(&whole, Some(&runtime), None, 1).unwrap();
    let mut stage = build(&stage, Some(&runtime), None, 1).unwrap();
    assert_eq!((whole.spec().dims, stage.spec().dims), (1280, 112));
    assert_ne!(whole.spec().sha256, stage.spec().sha256, "what learned from one must not go on with the other");
    for name in ["photo.png", "contrast.png"] {
        let feature = encode(whole.as_mut(), Input::Image(name.as_ref()));
        assert_close(&feature, &golden[name]["features"], 1e-4);
        assert_close(&encode(stage.as_mut(), Input::Image(name.as_ref())), &golden[name]["stage5"], 1e-4);
        // By what is in the file, not by its name.
        assert_eq!(encode(whole.as_mut(), Input::ImageBytes(&bytes(name))), feature);
    }
    let stats = whole.cache().unwrap();
    assert_eq!((stats.hits(), stats.misses()), (2, 2));
}

#[test]
fn what_is_no_picture_or_too_large_a_one_is_refused_and_the_encoder_goes_on() {
    let (model, stimuli) = (folder("image_nchw", &small("nchw", "spatial")), tempfile::tempdir().unwrap());
    let mut config = config(model.path(), "");
    config.stimuli = stimuli.path().into();
    let Some(runtime) = runtime() else { return };
    let mut encoder = ImageEncoder::load(&runtime, ModelFiles::read(model.path()).unwrap(), &config, 1).unwrap();
    let at = |name: &str| stimuli.path().join(name);
    for name in ["huge.png", "huge.jpg", "photo.png"] {
        fs::copy(images().join(name), at(name)).unwrap();
    }
    for (name, contents) in [("words.png", &b"once upon a time"[..]), ("empty.png", b""), ("gif.png", b"GIF89a\x01\0")]
    {
        fs::write(at(name), contents).unwrap();
    }
    fs::write(at("cut.png"), &bytes("photo.png")[..9000]).unwrap();
    fs::write(at("cut.jpg"), &bytes("photo.jpg")[..3000]).unwrap();
    // A hole, not 64 MiB on disk.
    fs::File::create(at("large.bmp")).unwrap().set_len(MAX_IMAGE_BYTES + 1).unwrap();
    fs::create_dir(at("folder.png")).unwrap();
    let huge = "20000 × 20000 pixels; the limit is 8192 × 8192 (scale it down)";
    let outside = "leads out of the stimuli folder (give stim_file from that folder on";
    let unknown = "not a PNG, JPEG or BMP image (convert it to one)";
    for (name, problem) in [
        ("huge.png", huge),
        ("huge.jpg", huge),
        ("words.png", unknown),
        ("empty.png", unknown),
        ("gif.png", unknown),
        ("cut.png", "a damaged image: "),
        ("cut.jpg", "a damaged image: it is cut short"),
        ("large.bmp", "67108865 bytes; the limit is 67108864 (save it smaller)"),
        ("folder.png", "folder.png: not a file (see stimuli in the configuration and stim_file in events.tsv)"),
        ("nowhere.png", "there is no file "),
        ("../photo.png", outside),
        ("sub/../../photo.png", outside),
        ("/etc/hostname", outside),
        ("", outside),
    ] {
        let error = encoder.encode(&Input::Image(name.as_ref()), &mut Vec::new()).unwrap_err().to_string();
        assert!(error.starts_with(&format!("image {name}: ")) && error.contains(problem), "{name}: {error}");
    }
    let error = encoder.encode(&Input::Text("a cat"), &mut Vec::new()).unwrap_err().to_string();
    assert_eq!(error, "model small takes an image");
    assert_eq!(encode(&mut encoder, Input::Image("photo.png".as_ref())).len(), 3);
}

#[test]
fn every_cut_of_every_kind_of_file_is_refused() {
    let input = plain(8, "\"squash\"", "bilinear");
    for name in [
        "photo.png",
        "palette.png",
        "rgba16.png",
        "photo.jpg",
        "progressive.jpg",
        "restarts.jpg",
        "grey.jpg",
        "photo.bmp",
    ] {
        let whole = bytes(name);
        // What stands behind the pixels of a PNG may be missing, as for Pillow.
        for cut in (0..whole.len() - 40).step_by(whole.len() / 60) {
            assert!(input.prepare(&whole[..cut], &mut Vec::new()).is_err(), "{name} cut at {cut}");
        }
    }
}

proptest::proptest! {
    #[test]
    fn altered_bytes_are_refused_or_decoded_but_never_panic(
        kind in 0usize..9, changes in proptest::collection::vec((0usize..1 << 16, proptest::num::u8::ANY), 1..6)
    ) {
        let names = [
            "palette.png", "rgba16.png", "photo.jpg", "progressive.jpg", "cmyk.jpg", "photo.bmp", "bilevel.png",
            "quarter_chroma.jpg", "restarts.jpg",
        ];
        let mut file = bytes(names[kind]);
        for (at, value) in changes {
            let length = file.len();
            // Headers more often than pixels.
            file[if at % 2 == 0 { at % 200 } else { at % length }] = value;
        }
        let _ = plain(8, "{ shorter = 9 }", "bicubic").prepare(&file, &mut Vec::new());
    }
}

#[test]
fn a_layer_that_is_not_there_and_a_model_of_another_kind_are_named() {
    let Some(runtime) = runtime() else { return };
    let folder = folder("image_nchw", &small("nchw", "spatial"));
    let load = |more: &str| {
        let files = ModelFiles::read(folder.path()).unwrap();
        ImageEncoder::load(&runtime, files, &config(folder.path(), more), 1).map(|_| ()).unwrap_err()
    };
    let error = load("layer = \"fourth\"");
    assert!(matches!(error, EncoderError::Layer { .. }));
    assert!(error.to_string().ends_with("no layer \"fourth\" in manifest.toml (there are: first)"), "{error}");
    let manifest = folder.path().join("manifest.toml");
    let sound = fs::read_to_string(&manifest).unwrap();
    let with = |from: &str, to: &str| {
        fs::write(&manifest, sound.replace(from, to)).unwrap();
        ModelFiles::read(folder.path()).map(|_| ()).unwrap_err().to_string()
    };
    assert!(
        with("size = 6", "size = 8")
            .ends_with("image.resize.shorter must be at least image.size and at most 2048 pixels")
    );
    assert!(with("0.3]", "0.0]").ends_with("image.scale and image.std must be finite numbers other than 0"));
    assert!(
        with("kind = \"image\"", "kind = \"window\"").ends_with("kind is \"window\" but there is no [window] table")
    );
}

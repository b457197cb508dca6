//! tools/export_models.py: what PyTorch makes of a text, a picture or regions, the exported model makes of them here.
//!
//! Every architecture, small and of random weights, saved as its library saves it and exported from there, and
//! tools/mpnet_to_onnx.py in the same way: tests/python/export_reference.py. No score is taken of them.
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod common;
mod encoders_support;

use std::path::{Path, PathBuf};
use std::process::Command;

use encoders_support::{numbers, repository, runtime};
use neurod::encoders::{
    Encoder, EncoderConfig, ImageConfig, ImageEncoder, Input, Kind, ModelFiles, MultimodalConfig, MultimodalEncoder,
    PictureSource, RegionsSource, Runtime, Stimulus, TextEncoder,
};
use serde_json::Value;

/// The most that a value may differ from PyTorch's, of the feature's largest value or of 1.
const MOST: f64 = 1e-4;

fn python() -> Option<PathBuf> {
    let path = repository(".cache/export/bin/python");
    let imports = "import torch, torchvision, transformers, timm";
    let tried = Command::new(&path).args(["-c", imports]).output();
    let found = match tried {
        Ok(output) if output.status.success() => Ok(path),
        Ok(output) => Err(String::from_utf8_lossy(&output.stderr).trim().to_owned()),
        Err(error) => Err(format!("{}: {error}; run `tools/fetch_assets.py --only export`", path.display())),
    };
    common::peer("Python with torch, torchvision, transformers and timm", found)
}

fn export(python: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(python).arg(repository("tools/export_models.py")).args(arguments).output().unwrap();
    let said = [output.stdout, output.stderr].map(|bytes| String::from_utf8(bytes).unwrap()).concat();
    (output.status.success(), said)
}

/// An encoder of any of the three kinds, with that layer as its feature.
fn load(runtime: &Runtime, folder: &Path, layer: &str) -> Box<dyn Encoder> {
    let mut files = ModelFiles::read(folder).unwrap();
    let stimuli = folder.parent().unwrap();
    let choice = if layer.is_empty() { String::new() } else { format!("layer = {layer:?}\n") };
    let text = format!("model = {folder:?}\nevents = \"screen\"\nstimuli = {stimuli:?}\n{choice}");
    match files.manifest.kind {
        Kind::Text => {
            if !layer.is_empty() {
                files.choose_all(&[layer.to_owned()]).unwrap();
            }
            Box::new(TextEncoder::load(runtime, &files, 0, 1).unwrap())
        }
        Kind::Image => {
            let config: ImageConfig = toml::from_str(&text).unwrap();
            Box::new(ImageEncoder::load(runtime, files, &config, 1).unwrap())
        }
        _ => {
            let config: MultimodalConfig = toml::from_str(&text).unwrap();
            Box::new(MultimodalEncoder::load(runtime, files, &config, 1).unwrap())
        }
    }
}

/// The largest difference between a feature and PyTorch's, of that one's largest value or of 1.
fn difference(feature: &[f32], expected: &Value, what: &str) -> f64 {
    let expected = numbers(expected);
    assert_eq!(feature.len(), expected.len(), "{what}");
    let largest = expected.iter().fold(1.0, |most: f64, v| most.max(v.abs()));
    assert!(expected.iter().any(|v| v.abs() > 1e-3), "{what}: a feature of nothing cannot tell anything");
    feature.iter().zip(&expected).fold(0.0, |most: f64, (a, b)| most.max((f64::from(*a) - b).abs())) / largest
}

fn tokens_agree(runtime: &Runtime, folder: &Path, case: &Value) {
    let files = ModelFiles::read(folder).unwrap();
    let (text, expected) = (case["text"].as_str().unwrap(), numbers(&case["ids"]));
    let tokens = if files.manifest.kind == Kind::Text {
        TextEncoder::load(runtime, &files, 0, 1).unwrap().tokens(text)
    } else {
        let config = format!("model = {folder:?}\nevents = \"screen\"\nstimuli = \".\"");
        let encoder = MultimodalEncoder::load(runtime, files, &toml::from_str(&config).unwrap(), 1);
        encoder.unwrap().tokens(text)
    };
    let tokens: Vec<f64> = tokens.unwrap().into_iter().map(f64::from).collect();
    assert_eq!(tokens, expected, "{}: {text}", folder.display());
}

/// The prepared picture, against the model's own processor.
fn pixels_agree(folder: &Path, case: &Value) -> f32 {
    let out = folder.parent().unwrap();
    let input = ModelFiles::read(folder).unwrap().manifest.image.unwrap();
    let expected = std::fs::read(out.join(case["pixels"].as_str().unwrap())).unwrap();
    let expected = expected.as_chunks::<4>().0.iter().map(|value| f32::from_le_bytes(*value));
    let mut pixels = Vec::new();
    input.prepare(&std::fs::read(out.join(case["picture"].as_str().unwrap())).unwrap(), &mut pixels).unwrap();
    assert_eq!(pixels.len(), expected.len());
    // In levels of 255, whatever the network's own scale.
    let levels = |difference: f32| difference * input.std[0] as f32 / input.scale as f32;
    pixels.iter().zip(expected).map(|(a, b)| levels((a - b).abs())).fold(0.0, f32::max)
}

#[test]
fn every_architecture_gives_pytorchs_features_at_every_layer() {
    let (Some(python), Some(runtime)) = (python(), runtime()) else { return };
    let out = tempfile::tempdir().unwrap();
    let script = repository("tests/python/export_reference.py");
    let pictures = repository("tests/golden/images");
    let done = Command::new(python).arg(script).arg(out.path()).arg(pictures).output().unwrap();
    assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
    let answers: Value = serde_json::from_slice(&std::fs::read(out.path().join("reference.json")).unwrap()).unwrap();
    let networks = answers["networks"].as_object().unwrap();
    assert_eq!(networks.len(), 14);
    let mut worst = 0.0f64;
    for (arch, cases) in networks {
        let folder = out.path().join(arch);
        let manifest = ModelFiles::read(&folder).unwrap().manifest;
        let cases = cases.as_array().unwrap();
        for case in cases {
            if case["ids"].is_array() {
                tokens_agree(&runtime, &folder, case);
            }
            if case["pixels"].is_string() {
                let levels = pixels_agree(&folder, case);
                assert!(levels < 1e-3, "{arch}: {}: {levels} of 255 levels", case["picture"]);
            }
        }
        let layers = [""].into_iter().chain(manifest.layers.keys().map(String::as_str));
        let mut checked = 0;
        for layer in layers {
            let mut encoder = load(&runtime, &folder, layer);
            for case in cases {
                let path = |key: &str| case[key].as_str().map(Path::new);
                let input = match manifest.kind {
                    Kind::Text => Input::Text(case["text"].as_str().unwrap()),
                    Kind::Image => Input::Image(path("picture").unwrap()),
                    _ => Input::Multimodal(Stimulus {
                        text: case["text"].as_str(),
                        picture: path("picture").map(PictureSource::File),
                        regions: path("regions")
                            .map(|features| RegionsSource::Files { features, boxes: path("boxes") }),
                    }),
                };
                let mut feature = Vec::new();
                encoder.encode(&input, &mut feature).unwrap();
                let what = format!("{arch} {layer}");
                let found = difference(&feature, &case["features"][layer], &what);
                assert!(found <= MOST, "{what}: {found}");
                worst = worst.max(found);
                checked += 1;
            }
        }
        assert_eq!(checked, 3 * (manifest.layers.len() + 1));
        assert!(manifest.layers.len() >= 4, "{arch}");
    }
    eprintln!("the largest difference from PyTorch: {worst:.1e}");
}

#[test]
fn what_cannot_be_exported_is_said_and_nothing_is_left_behind() {
    let Some(python) = python() else { return };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).display().to_string();
    let out = at("out");
    let says = |arch: &str, weights: &str| {
        let (done, said) = export(&python, &[arch, "--weights", weights, "--out", &out]);
        assert!(!done && !Path::new(&out).exists(), "{said}");
        said
    };
    assert!(says("gpt", "random").starts_with("export: no architecture gpt (there are: vgg19, resnet50, "));
    assert!(says("roberta", &at("nowhere")).contains("no such folder (give the folder of the published model"));
    std::fs::create_dir(at("empty")).unwrap();
    assert!(says("roberta", &at("empty")).contains("no config.json; give the model folder as it was published"));
    assert!(says("vgg19", &at("empty")).contains("no weights (.safetensors, .bin or .pth)"));

    let (done, said) = export(&python, &["vit", "--weights", "random", "--tiny", "--out", &at("vit")]);
    assert!(done, "{said}");
    let manifest = ModelFiles::read(Path::new(&at("vit"))).unwrap().manifest;
    assert!(manifest.source.starts_with("random weights, seed 0: to try the code with; no score of it is evidence"));
}

#[test]
fn a_daemon_names_a_multimodal_encoder_like_any_other() {
    let config: EncoderConfig =
        toml::from_str(r#"multimodal = { model = "m", events = "screen", stimuli = "stimuli" }"#).unwrap();
    config.validate().unwrap();
    assert_eq!((config.model(), config.deadline()), (Some(Path::new("m")), 0.5));
    let error = toml::from_str::<EncoderConfig>(r#"multimodal = { model = "m", events = "screen" }"#).unwrap_err();
    assert!(error.to_string().contains("missing field `stimuli`"), "{error}");
}

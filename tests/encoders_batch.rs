//! Inputs that go through a network together get the features of passes of their own; so do layers that one pass gives.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod encoders_support;

use std::path::Path;

use encoders_support::*;
use neurod::encoders::{EncodeError, Encoder, ImageConfig, ImageEncoder, Input, ModelFiles, Runtime, TextEncoder};

/// Texts of one word and of hundreds, twice the same, and an empty one.
fn texts() -> Vec<String> {
    let long = "a painting of two dogs that sleep before a fire ".repeat(12);
    let text = |i: usize| long.chars().take(i * i * 7 % 400).collect();
    (0..21).map(text).chain(["a cat".into(), "heat pain arm".into(), "a cat".into()]).collect()
}

/// Every feature of the batch is that of a pass of its own, to 1e-5.
fn assert_same(encoder: &mut dyn Encoder, inputs: &[Input<'_>]) -> Vec<Vec<f32>> {
    let together = encoder.encode_batch(inputs);
    assert_eq!(together.len(), inputs.len());
    let mut alone = Vec::new();
    for (input, together) in inputs.iter().zip(&together) {
        let mut feature = Vec::new();
        encoder.encode(input, &mut feature).unwrap();
        let together = together.as_ref().unwrap();
        assert_eq!(feature.len(), together.len());
        let largest = feature.iter().fold(1.0f32, |most, v| most.max(v.abs()));
        let off = feature.iter().zip(together).fold(0.0f32, |most, (a, b)| most.max((a - b).abs()));
        assert!(off <= 1e-5 * largest, "{input:?}: {off} of {largest}");
        alone.push(feature);
    }
    alone
}

/// MiniLM with its seven hidden states, and its tokens, as layers.
fn minilm() -> Option<(Runtime, tempfile::TempDir)> {
    let (runtime, fetched) = (runtime()?, fetched("models/minilm")?.canonicalize().unwrap());
    let folder = tempfile::tempdir().unwrap();
    for file in ["model.onnx", "tokenizer.json"] {
        std::os::unix::fs::symlink(fetched.join(file), folder.path().join(file)).unwrap();
    }
    // Its own layers stand last.
    let own = std::fs::read_to_string(fetched.join("manifest.toml")).unwrap();
    let mut manifest = own.split("[layers]").next().unwrap().to_owned() + "[layers]\n";
    (0..7).for_each(|i| manifest += &format!("L{i} = {{ output = \"layer_means\", layer = {i}, dims = 384 }}\n"));
    manifest += "tokens = { output = \"last_hidden_state\", pooling = \"mean\", dims = 384 }\n";
    std::fs::write(folder.path().join("manifest.toml"), manifest).unwrap();
    Some((runtime, folder))
}

#[test]
fn texts_of_any_length_go_through_minilm_together() {
    let Some((runtime, folder)) = minilm() else { return };
    let mut files = ModelFiles::read(folder.path()).unwrap();
    let texts = texts();
    let inputs: Vec<Input<'_>> = texts.iter().map(|text| Input::Text(text)).collect();
    let own = assert_same(&mut TextEncoder::load(&runtime, &files, 0, 1).unwrap(), &inputs);
    let layers: Vec<String> = ["L0", "L6", "tokens", "L3"].map(String::from).into();
    files.choose_all(&layers).unwrap();
    let mut encoder = TextEncoder::load(&runtime, &files, 0, 1).unwrap();
    assert_eq!((encoder.spec().dims, &*encoder.spec().model), (4 * 384, "all-MiniLM-L6-v2/L0+L6+tokens+L3"));
    let all = assert_same(&mut encoder, &inputs);
    for (own, all) in own.iter().zip(&all) {
        // The sentence embedding is the last hidden state's mean at unit length: pooled in the network or here.
        for mean in [&all[384..2 * 384], &all[2 * 384..3 * 384]] {
            let length = mean.iter().map(|v| v * v).sum::<f32>().sqrt();
            assert!(own.iter().zip(mean).all(|(a, b)| (a - b / length).abs() < 1e-6));
        }
    }
    files.choose_all(&layers[3..]).unwrap();
    let mut third = Vec::new();
    TextEncoder::load(&runtime, &files, 0, 1).unwrap().encode(&inputs[5], &mut third).unwrap();
    assert_eq!(third, all[5][3 * 384..]);
    let error = files.choose_all(&["L7".into()]).unwrap_err().to_string();
    assert!(
        error.ends_with("no layer \"L7\" in manifest.toml (there are: L0, L1, L2, L3, L4, L5, L6, tokens)"),
        "{error}"
    );
}

/// The means of its layers are taken over all tokens there are, padding or not: only texts of one length may be mixed.
#[test]
fn a_network_that_takes_padding_for_words_is_never_given_any() {
    let Some(runtime) = runtime() else { return };
    let manifest = "kind = \"text\"\noutput = \"layers\"\nlayer = 1\ndims = 4\n\
        text = { input_ids = \"tokens\", token_type_ids = \"segments\", max_tokens = 6 }\n";
    let mut encoder = TextEncoder::load(&runtime, &files("text", manifest), 0, 1).unwrap();
    let texts = ["heat", "pain", "rate the pain", "arm", "heat on arm", "rate rate rate rate rate rate rate", ""];
    let inputs = texts.map(Input::Text);
    assert_same(&mut encoder, &inputs);

    let mut strict = encoder.strict().unwrap();
    let strict = strict.encode_batch(&inputs);
    let refused = EncodeError::TooLong { model: "small".into(), tokens: 9, limit: 6 };
    assert_eq!(strict[5], Err(refused));
    assert!(strict.iter().enumerate().all(|(i, feature)| (i == 5) == feature.is_err()));
}

fn images(runtime: &Runtime, model: &Path, layers: &[&str]) -> ImageEncoder {
    let mut files = ModelFiles::read(model).unwrap();
    files.choose_all(&layers.iter().map(ToString::to_string).collect::<Vec<_>>()).unwrap();
    let stimuli = repository("tests/golden/images");
    let config: ImageConfig =
        toml::from_str(&format!("model = {model:?}\nevents = \"x\"\nstimuli = {stimuli:?}\ncache = 0")).unwrap();
    ImageEncoder::load(runtime, files, &config, 1).unwrap()
}

#[test]
fn pictures_of_any_size_go_through_a_network_together_and_one_pass_gives_every_stage() {
    let (Some(runtime), Some(model)) = (runtime(), fetched("models/efficientnet-lite0")) else { return };
    let mut one = images(&runtime, &model, &[]);
    let mut names: Vec<_> = std::fs::read_dir(repository("tests/golden/images"))
        .unwrap()
        .map(|entry| std::path::PathBuf::from(entry.unwrap().file_name()))
        .filter(|name| one.encode(&Input::Image(name), &mut Vec::new()).is_ok())
        .collect();
    names.sort();
    names.truncate(7);
    assert_eq!(names.len(), 7);
    let inputs: Vec<Input<'_>> = names.iter().map(|name| Input::Image(name)).collect();
    let stages = ["stage1", "stage4", "stage7"];
    let all = assert_same(&mut images(&runtime, &model, &stages), &inputs);
    for (stage, (from, to)) in stages.iter().zip([(0, 16), (16, 96), (96, 416)]) {
        let mut encoder = images(&runtime, &model, &[stage]);
        for (input, all) in inputs.iter().zip(&all) {
            let mut feature = Vec::new();
            encoder.encode(input, &mut feature).unwrap();
            assert!(feature.iter().zip(&all[from..to]).all(|(a, b)| (a - b).abs() <= 1e-5 * a.abs().max(1.0)));
        }
    }

    let mut encoder = images(&runtime, &model, &[]);
    let with_bad =
        [inputs[0], Input::Image("nowhere.png".as_ref()), Input::ImageBytes(b"no image"), inputs[1], Input::Text("a")];
    let features = encoder.encode_batch(&with_bad);
    let alone = encoder.encode_batch(&[inputs[0], inputs[1]]);
    assert_eq!((&features[0], &features[3]), (&alone[0], &alone[1]));
    let said = [1, 2, 4].map(|i| features[i].as_ref().unwrap_err().to_string());
    assert!(
        said[0].contains("nowhere.png") && said[1].contains("not a PNG") && said[2].contains("takes an image"),
        "{said:?}"
    );
}

/// 3 × 6 × 6 pixels, to each of which its mean over the batch is added; the first axis is of that length.
fn mixing(axis: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let script = format!(
        r#"
import sys
sys.path.insert(0, "tools")
import onnx_write as onnx
graph = onnx.Graph("mixing")
graph.inputs = [onnx.value_info("pixels", onnx.FLOAT, [{axis}, 3, 6, 6])]
graph.outputs = [onnx.value_info("features", onnx.FLOAT, [{axis}, 108])]
mean = graph.node("ReduceMean", ["pixels"], "mean", axes=[0], keepdims=1)
graph.node("Flatten", [graph.node("Add", ["pixels", mean], "mixed")], "features", axis=1)
open(sys.argv[1], "wb").write(graph.serialise("tests"))
"#
    );
    let file = folder.path().join("model.onnx");
    let mut python = std::process::Command::new("python3");
    let done = python.args(["-c", &script]).arg(&file).current_dir(repository("")).status().unwrap();
    assert!(done.success());
    let manifest = format!(
        "name = \"mixing\"\nlicence = \"CC0-1.0\"\nsource = \"here\"\nkind = \"image\"\noutput = \"features\"\ndims = 108\n\
         image = {{ input = \"pixels\", layout = \"nchw\", size = 6, resize = {{ shorter = 7 }}, filter = \"bilinear\" }}\n\
         sha256 = {{ model = \"{}\" }}\n",
        sha256(&std::fs::read(&file).unwrap())
    );
    std::fs::write(folder.path().join("manifest.toml"), manifest).unwrap();
    folder
}

#[test]
fn a_network_that_mixes_its_batch_or_takes_none_is_given_one_picture_at_a_time() {
    let Some(runtime) = runtime() else { return };
    for axis in ["\"batch\"", "1"] {
        let model = mixing(axis);
        let inputs = ["photo.png", "photo.jpg", "photo.png"].map(|name| Input::Image(name.as_ref()));
        let features = assert_same(&mut images(&runtime, model.path(), &[]), &inputs);
        assert!(features[0] != features[1]);
    }
}

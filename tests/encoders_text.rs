//! A sentence gives the same tokens and the same feature as Python's tokenizers and onnxruntime.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod encoders_support;

use encoders_support::*;
use neurod::encoders::{Encoder, EncoderConfig, Input, ModelFiles, TextEncoder, build};

fn encode(encoder: &mut dyn Encoder, text: &str) -> Vec<f32> {
    let mut feature = Vec::new();
    encoder.encode(&Input::Text(text), &mut feature).unwrap();
    feature
}

#[test]
fn minilm_matches_python_on_unicode_empty_and_long_text() {
    let (Some(runtime), Some(folder)) = (runtime(), fetched("models/minilm")) else { return };
    let files = ModelFiles::read(&folder).unwrap();
    let mut encoder = TextEncoder::load(&runtime, &files, 16, 1).unwrap();
    let golden = golden();
    let cases = golden["minilm"].as_array().unwrap();
    assert!(cases.len() >= 12);
    for case in cases {
        let text = case["text"].as_str().unwrap();
        let tokens: Vec<f64> = encoder.tokens(text).unwrap().into_iter().map(f64::from).collect();
        assert_eq!(tokens, numbers(&case["ids"]), "{text}");
        assert!(tokens.len() <= 256);
        assert_close(&encode(&mut encoder, text), &case["feature"], 1e-5);
    }
    // A session of its own gives the same bits.
    let mut other = TextEncoder::load(&runtime, &files, 0, 1).unwrap();
    let text = cases[0]["text"].as_str().unwrap();
    assert_eq!(encode(&mut other, text), encode(&mut encoder, text));
    // Meaning is where it should be: a cat is near a kitten and far from the stock market.
    let feature: Vec<Vec<f32>> = (2..5).map(|i| encode(&mut encoder, cases[i]["text"].as_str().unwrap())).collect();
    let cosine = |a: &[f32], b: &[f32]| a.iter().zip(b).map(|(x, y)| x * y).sum::<f32>();
    assert!(cosine(&feature[0], &feature[1]) > 0.5, "{}", cosine(&feature[0], &feature[1]));
    assert!(cosine(&feature[0], &feature[2]) < 0.25, "{}", cosine(&feature[0], &feature[2]));
}

#[test]
fn any_layer_of_minilm_can_be_the_feature() {
    let (Some(runtime), Some(folder)) = (runtime(), fetched("models/minilm")) else { return };
    let mut files = ModelFiles::read(&folder).unwrap();
    let golden = golden();
    let case = &golden["minilm"][0];
    files.manifest.output = "layer_means".into();
    files.manifest.layer = Some(3);
    let mut encoder = TextEncoder::load(&runtime, &files, 0, 1).unwrap();
    assert_close(&encode(&mut encoder, case["text"].as_str().unwrap()), &case["layer_3"], 1e-5);
    files.manifest.layer = Some(7);
    let error = TextEncoder::load(&runtime, &files, 0, 1).unwrap_err().to_string();
    assert!(error.contains("\"layer_means\" is Tensor<f32>(batch, 7, 384)"), "{error}");
}

const TEXT: &str = r#"
kind = "text"
output = "last"
pooling = "mean"
dims = 4
text = { input_ids = "tokens", token_type_ids = "segments", max_tokens = 6 }
"#;

#[test]
fn pooling_layers_truncation_and_input_order_match_python() {
    let Some(runtime) = runtime() else { return };
    let golden = &golden()["text"];
    let text = golden["text"].as_str().unwrap();
    for (manifest, expected) in [
        (TEXT.to_owned(), "mean"),
        (TEXT.replace("\"mean\"", "\"first\""), "first"),
        (TEXT.replace("\"last\"", "\"layers\"").replace("pooling = \"mean\"", "layer = 0"), "layer_0"),
    ] {
        let mut encoder = TextEncoder::load(&runtime, &files("text", &manifest), 4, 1).unwrap();
        let tokens: Vec<f64> = encoder.tokens(text).unwrap().into_iter().map(f64::from).collect();
        assert_eq!(tokens, numbers(&golden["ids"]));
        assert_close(&encode(&mut encoder, text), &golden[expected], 1e-6);
    }
}

#[test]
fn the_cache_gives_the_same_bits_counts_and_is_bounded() {
    let Some(runtime) = runtime() else { return };
    let folder = folder("text", TEXT);
    let config = format!("text = {{ model = {:?}, events = \"stimulus\", cache = 2 }}", folder.path());
    let config: EncoderConfig = toml::from_str(&config).unwrap();
    let mut encoder = build(&config, Some(&runtime), None, 1).unwrap();
    let first: Vec<Vec<f32>> = ["pain", "heat", "arm"].map(|text| encode(encoder.as_mut(), text)).into();
    // "pain" has made room for "arm".
    let again: Vec<Vec<f32>> = ["arm", "heat", "pain"].map(|text| encode(encoder.as_mut(), text)).into();
    assert!(first.iter().eq(again.iter().rev()));
    let stats = encoder.cache().unwrap();
    assert_eq!((stats.hits(), stats.misses()), (2, 4));
}

#[test]
fn a_text_of_80_000_tokens_is_cut_to_what_the_model_takes() {
    let Some(runtime) = runtime() else { return };
    let mut encoder = TextEncoder::load(&runtime, &files("text", TEXT), 4, 1).unwrap();
    let (long, cut) = ("heat ".repeat(80_000), "heat heat heat heat");
    assert_eq!(encoder.tokens(&long).unwrap(), encoder.tokens(cut).unwrap());
    assert_eq!(encode(&mut encoder, &long), encode(&mut encoder, cut));
}

#[test]
fn a_window_is_no_text() {
    let Some(runtime) = runtime() else { return };
    let mut encoder = TextEncoder::load(&runtime, &files("text", TEXT), 4, 1).unwrap();
    let window = Input::Window { data: &[0.0], channels: 1, samples: 1 };
    let error = encoder.encode(&window, &mut Vec::new()).unwrap_err();
    assert_eq!(error.to_string(), "model small takes a text");
}

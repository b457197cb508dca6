//! What the encoder tests share: the golden answers, model folders made on the spot, and the fetched assets.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]
#![allow(missing_docs, reason = "nobody calls a test")]

use std::path::{Path, PathBuf};

use neurod::encoders::{ModelFiles, Runtime};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// A path under the repository.
pub fn repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// The answers of tests/golden/make_encoders.py.
pub fn golden() -> Value {
    serde_json::from_slice(&std::fs::read(repository("tests/golden/encoders.json")).unwrap()).unwrap()
}

/// A fetched file or folder; None, said loudly, where it is missing and need not be there.
pub fn fetched(path: &str) -> Option<PathBuf> {
    let path = repository(".cache").join(path);
    if path.exists() {
        return Some(path);
    }
    let required = std::env::var("NEUROD_REQUIRE_PEERS").is_ok_and(|v| v == "1");
    assert!(!required, "{} is missing: run `make assets`", path.display());
    eprintln!("SKIPPED: {} is missing: run `make assets`", path.display());
    None
}

/// ONNX Runtime, if it was fetched.
pub fn runtime() -> Option<Runtime> {
    Some(Runtime::load(Some(&fetched("lib/libonnxruntime.so")?)).unwrap())
}

pub fn sha256(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().map(|byte| format!("{byte:02x}")).collect()
}

/// The bytes of one of the small models.
pub fn onnx(name: &str) -> Vec<u8> {
    std::fs::read(repository(&format!("tests/golden/encoders/{name}.onnx"))).unwrap()
}

/// A model folder of one of the small models with this manifest, to which the hashes are added.
pub fn folder(model: &str, manifest: &str) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    let model = onnx(model);
    std::fs::write(folder.path().join("model.onnx"), &model).unwrap();
    let mut manifest = format!(
        "name = \"small\"\nlicence = \"CC0-1.0\"\nsource = \"tests/golden/make_encoders.py\"\n{manifest}\n\
         [sha256]\nmodel = \"{}\"\n",
        sha256(&model)
    );
    if manifest.contains("kind = \"text\"") || manifest.contains("kind = \"multimodal\"") {
        let tokenizer = std::fs::read(repository("tests/golden/encoders/tokenizer.json")).unwrap();
        std::fs::write(folder.path().join("tokenizer.json"), &tokenizer).unwrap();
        manifest += &format!("tokenizer = \"{}\"\n", sha256(&tokenizer));
    }
    std::fs::write(folder.path().join("manifest.toml"), manifest).unwrap();
    folder
}

/// [`folder`], read.
pub fn files(model: &str, manifest: &str) -> ModelFiles {
    ModelFiles::read(folder(model, manifest).path()).unwrap()
}

/// A list of numbers from the golden file.
pub fn numbers(value: &Value) -> Vec<f64> {
    value.as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

/// Whether a feature is the expected one, each value within `tolerance`.
pub fn assert_close(feature: &[f32], expected: &Value, tolerance: f64) {
    let expected = numbers(expected);
    assert_eq!(feature.len(), expected.len());
    for (i, (got, want)) in feature.iter().zip(&expected).enumerate() {
        assert!((f64::from(*got) - want).abs() <= tolerance, "value {i}: {got} is not {want}");
    }
}

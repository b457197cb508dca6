//! A model that is missing, altered, malformed, dangerous or not what its manifest says is refused at load.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod encoders_support;

use encoders_support::*;
use neurod::encoders::{
    EncoderConfig, EncoderError, MAX_MODEL_BYTES, MAX_NODES, ModelFiles, Refusal, TextEncoder, WindowEncoder, inspect,
};

const WINDOW: &str = r#"
kind = "window"
output = "features"
dims = 6
window = { input = "signal", axes = ["one", "one", "channels", "time"], channels = 3, samples = 8, rate = 8.0 }
"#;

fn refusal(name: &str) -> String {
    inspect(&onnx(name)).unwrap_err().to_string()
}

#[test]
fn data_in_another_file_is_refused_wherever_it_hides() {
    for name in [
        "initialiser",
        "without_location",
        "only_entries",
        "taken_back",
        "sparse",
        "attribute",
        "attribute_list",
        "sparse_attribute",
        "subgraph",
        "function",
        "training",
        "second_graph",
    ] {
        assert_eq!(
            refusal(&format!("external_{name}")),
            "tensor \"stolen\" has its data in another file (save the model with its weights inside)",
            "{name}"
        );
    }
}

#[test]
fn unknown_domains_opaque_operators_and_inflated_tensors_are_refused() {
    let domain = "is of domain \"evil.ops\"; only ai.onnx, ai.onnx.ml and com.microsoft are run \
                  (export without custom operators)";
    assert_eq!(refusal("domain"), format!("operator Run {domain}"));
    assert_eq!(refusal("domain_function"), format!("operator g {domain}"));
    assert_eq!(
        refusal("opaque"),
        "operator EPContext runs a compiled blob, which cannot be checked (export the network itself)"
    );
    assert!(
        refusal("inflated").starts_with("tensor \"huge\" declares 18446744073709551615 elements and holds 9 bytes")
    );
    assert!(refusal("deep").contains("messages nested too deeply"));
}

#[test]
fn too_many_nodes_are_refused() {
    // ModelProto.graph of empty NodeProtos: 0x3a, length, then 0x0a 0x00 each.
    let nodes = [0x0a, 0x00].repeat(MAX_NODES + 1);
    let mut model = vec![0x3a];
    let mut length = nodes.len();
    while length > 0x7f {
        model.push(length as u8 & 0x7f | 0x80);
        length >>= 7;
    }
    model.push(length as u8);
    model.extend(nodes);
    assert_eq!(inspect(&model), Err(Refusal::TooManyNodes { limit: MAX_NODES }));
}

#[test]
fn sound_models_pass_and_every_truncation_and_many_kinds_of_garbage_do_not() {
    for name in ["window", "window_time_first", "window_roots", "text"] {
        let model = onnx(name);
        let contents = inspect(&model).unwrap();
        assert!(contents.nodes > 0 && contents.tensors > 0);
        // The graph comes before the opset, so every cut up to the graph's end is within it.
        let graph_end = model.len() - 4;
        for cut in 0..graph_end {
            assert!(matches!(inspect(&model[..cut]), Err(Refusal::Malformed { .. })), "{name} cut at {cut}");
        }
    }
    for garbage in
        [&b""[..], b"\x00", b"PK\x03\x04 a zip", b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", b"\x0b\x0c"]
    {
        let message = inspect(garbage).unwrap_err().to_string();
        assert!(message.starts_with("not an ONNX file, or a damaged one: "), "{message}");
        assert!(message.ends_with("(fetch or export it again)"), "{message}");
    }
    let ort_format = inspect(b"\x18\x00\x00\x00ORTM\x00\x00").unwrap_err().to_string();
    assert!(ort_format.contains("ONNX Runtime's own format at byte 0x4"), "{ort_format}");
}

proptest::proptest! {
    #[test]
    fn a_flipped_byte_is_refused_or_passes_but_never_panics(at in 0usize..300, bits in 1u8.., name in 0usize..4) {
        let mut model = onnx(["window", "text", "external_sparse", "deep"][name]);
        let at = at % model.len();
        model[at] ^= bits;
        let _ = inspect(&model);
    }
}

#[test]
fn missing_altered_and_oversized_files_are_named() {
    let folder = folder("window", WINDOW);
    let read = || ModelFiles::read(folder.path()).map(|_| ()).unwrap_err().to_string();
    let model = folder.path().join("model.onnx");
    assert!(ModelFiles::read(folder.path()).is_ok());

    let mut altered = onnx("window");
    altered.push(0);
    std::fs::write(&model, &altered).unwrap();
    assert_eq!(
        read(),
        format!(
            "{}: its SHA-256 is {}, the manifest says {} (fetch the model again, or correct the manifest)",
            model.display(),
            sha256(&altered),
            sha256(&onnx("window"))
        )
    );

    // A hole, not a gigabyte on disk; it is refused by its size, unread.
    std::fs::File::create(&model).unwrap().set_len(MAX_MODEL_BYTES + 1).unwrap();
    assert_eq!(read(), format!("{}: 1073741825 bytes; the limit is 1073741824", model.display()));

    std::fs::remove_file(&model).unwrap();
    let missing = "there is no such file (run `make assets` for the models that come with neurod, or set model to a model folder)";
    assert_eq!(read(), format!("{}: {missing}", model.display()));
    std::fs::create_dir(&model).unwrap();
    assert_eq!(read(), format!("{}: not a file", model.display()));
    let nowhere = ModelFiles::read("/nowhere".as_ref()).unwrap_err().to_string();
    assert_eq!(nowhere, format!("/nowhere/manifest.toml: {missing}"));
}

#[test]
fn a_malformed_manifest_is_named_with_its_line() {
    let folder = folder("window", WINDOW);
    let path = folder.path().join("manifest.toml");
    let sound = std::fs::read_to_string(&path).unwrap();
    let with = |from: &str, to: &str| {
        assert!(sound.contains(from), "{from}");
        std::fs::write(&path, sound.replace(from, to)).unwrap();
        let error = ModelFiles::read(folder.path()).unwrap_err().to_string();
        error.strip_prefix(&path.display().to_string()).unwrap_or(&error).to_owned()
    };
    assert!(with("dims = 6", "dims = -6").starts_with(":7: invalid value: integer `-6`"));
    assert!(with("output", "outputs").starts_with(":6: unknown field `outputs`"));
    assert_eq!(with("dims = 6", "dims = 0"), ":1: dims must be at least 1");
    assert_eq!(with("kind = \"window\"", "kind = \"text\""), ":1: kind is \"text\" but there is no [text] table");
    assert_eq!(
        with(r#""one", "one", "channels", "time""#, r#""one", "time""#),
        ":1: window.axes must name \"channels\" and \"time\" once each"
    );
    assert_eq!(with("rate = 8.0", "rate = 0.0"), ":1: window.rate must be a positive number of Hz");
    assert_eq!(
        with("rate = 8.0", "rate = 8.0, labels = [\"Cz\"]"),
        ":1: window.labels must name every one of window.channels"
    );
    assert_eq!(with("dims = 6", "dims = 6\nlayer = 1\npooling = \"mean\""), ":1: give layer or pooling, not both");
    assert_eq!(with(&sha256(&onnx("window")), "abc"), ":1: sha256 takes 64 hex digits");
}

#[test]
fn a_network_that_is_not_what_its_manifest_says_is_refused() {
    let Some(runtime) = runtime() else { return };
    let load = |model: &str, manifest: &str| {
        let files = files(model, manifest);
        let error = WindowEncoder::load(&runtime, &files, 1).map(|_| ()).unwrap_err().to_string();
        error.strip_prefix(&format!("{}: ", files.folder.join("model.onnx").display())).unwrap_or(&error).to_owned()
    };
    let with = |from: &str, to: &str| load("window", &WINDOW.replace(from, to));
    assert_eq!(
        with("input = \"signal\"", "input = \"eeg\""),
        "it has no input \"eeg\"; it has: signal (correct manifest.toml)"
    );
    assert_eq!(
        with("output = \"features\"", "output = \"logits\""),
        "it has no output \"logits\"; it has: features (correct manifest.toml)"
    );
    assert_eq!(
        with("channels = 3", "channels = 4"),
        "input \"signal\" is Tensor<f32>(1, 1, 3, 8), but it would be given f32 [1, 1, 4, 8] (correct manifest.toml)"
    );
    let dims = with("dims = 6", "dims = 7");
    assert!(dims.starts_with("output \"features\" is Tensor<f32>(1, 6); for dims = 7 that must be"), "{dims}");
    assert!(with("dims = 6", "dims = 6\npooling = \"mean\"").contains("[1, tokens, dims] with pooling"));
    let roots = WINDOW.replace(r#""one", "one", "#, r#""one", "#).replace("\"features\"", "\"count\"");
    assert_eq!(load("window_roots", &roots), "output \"count\" is Tensor<i64>(1), not float32 (correct manifest.toml)");

    // Through the whole door, a dangerous file with the right hash is refused by the inspection.
    let door = load("external_subgraph", WINDOW);
    assert!(door.starts_with("refused: tensor \"stolen\" has its data in another file"), "{door}");
    // The inspection passes what is harmless; whether it is a network is for the runtime to say.
    let files = ModelFiles { model: b"\x3a\x02\x0a\x00".to_vec(), ..files("window", WINDOW) };
    let error = WindowEncoder::load(&runtime, &files, 1).unwrap_err();
    assert!(matches!(error, EncoderError::Session { .. }), "{error}");
    assert!(error.to_string().contains("model.onnx: ONNX Runtime refuses it: "), "{error}");

    let text = r#"
kind = "text"
output = "last"
pooling = "mean"
dims = 4
text = { input_ids = "tokens", max_tokens = 6 }
"#;
    let files = encoders_support::files("text", text);
    let error = TextEncoder::load(&runtime, &files, 0, 1).unwrap_err().to_string();
    assert!(error.ends_with("it has an input \"segments\" that the manifest does not name (correct manifest.toml)"));
    let error = WindowEncoder::load(&runtime, &files, 1).unwrap_err().to_string();
    assert!(
        error.ends_with("this is a model of kind \"text\"; write `text = { ... }` in place of `window = { ... }`"),
        "{error}"
    );
    let text = text.replace("\"tokens\"", "\"tokens\", token_type_ids = \"segments\"");
    let mut files = encoders_support::files("text", &text);
    files.tokenizer = b"{\"version\": \"1.0\"}".to_vec();
    let error = TextEncoder::load(&runtime, &files, 0, 1).unwrap_err();
    assert!(matches!(error, EncoderError::Tokenizer { .. }), "{error}");
}

#[test]
fn values_out_of_range_are_named() {
    let problem = |text: &str| toml::from_str::<EncoderConfig>(text).unwrap().validate().unwrap_err().to_string();
    assert_eq!(
        problem(r#"text = { model = "m", events = "e", deadline = 0.0 }"#),
        "deadline = 0: must be a positive number of seconds"
    );
    assert_eq!(
        problem(r#"window = { model = "m", source = "eeg", hop = nan }"#),
        "hop = NaN: must be a positive number of seconds"
    );
    assert_eq!(problem(r#"window = { model = "m", source = "eeg", threads = 0 }"#), "threads = 0: must be at least 1");
    let error = toml::from_str::<EncoderConfig>(r#"text = { model = "m", event = "e" }"#).unwrap_err().to_string();
    assert!(error.contains("unknown field `event`"), "{error}");
}

//! A text beside a picture or its regions gives Python's feature; what a stimulus lacks is refused, never made up.

#![allow(clippy::unwrap_used, reason = "a test stops at the first thing that is wrong")]

mod encoders_support;

use std::fs;
use std::path::Path;
use std::process::Command;

use encoders_support::*;
use neurod::encoders::{
    Encoder, EncoderConfig, Input, MAX_REGIONS_BYTES, ModelFiles, MultimodalConfig, MultimodalEncoder, PictureSource,
    Regions, RegionsSource, Stimulus, build,
};
use neurod::frame::{PictureRegions, Rows};

/// LXMERT's and VisualBERT's way: rows of words and regions.
const REGIONS: &str = r#"
kind = "multimodal"
output = "rows"
pooling = "mean"
dims = 4
text = { input_ids = "tokens", max_tokens = 6 }
regions = { features = "seen", boxes = "boxes", dims = 3, most = 3 }
layers = { places = { output = "places", dims = 4 } }
"#;

/// CLIP's way: a text and a picture, side by side.
const CAPTIONED: &str = r#"
kind = "multimodal"
output = "both"
dims = 7
text = { input_ids = "tokens", max_tokens = 6 }
image = { input = "pixels", layout = "nchw", size = 6, resize = { shorter = 6 }, filter = "bilinear" }
"#;

fn config(model: &Path, stimuli: &Path, more: &str) -> MultimodalConfig {
    toml::from_str(&format!("model = {model:?}\nevents = \"screen\"\nstimuli = {stimuli:?}\n{more}")).unwrap()
}

/// A folder of stimuli: what NumPy has written, and a picture.
fn stimuli() -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    for name in ["regions.npy", "boxes.npy", "stored.npz", "deflated.npz", "other.npz"] {
        fs::copy(repository("tests/golden/encoders").join(name), folder.path().join(name)).unwrap();
    }
    fs::copy(repository("tests/golden/images/photo.png"), folder.path().join("photo.png")).unwrap();
    folder
}

fn files<'a>(features: &'a str, boxes: Option<&'a str>) -> Stimulus<'a> {
    let (features, boxes) = (Path::new(features), boxes.map(Path::new));
    Stimulus { text: Some("pain heat"), regions: Some(RegionsSource::Files { features, boxes }), ..Stimulus::default() }
}

fn encode(encoder: &mut dyn Encoder, stimulus: Stimulus<'_>) -> Vec<f32> {
    let mut feature = Vec::new();
    encoder.encode(&Input::Multimodal(stimulus), &mut feature).unwrap();
    feature
}

fn refused(encoder: &mut dyn Encoder, stimulus: Stimulus<'_>) -> String {
    encoder.encode(&Input::Multimodal(stimulus), &mut Vec::new()).unwrap_err().to_string()
}

#[test]
fn regions_from_any_file_give_pythons_feature_and_the_cache_the_same_bits() {
    let Some(runtime) = runtime() else { return };
    let (golden, stimuli, model) = (&golden()["multimodal"], stimuli(), folder("regions", REGIONS));
    let config = EncoderConfig::Multimodal(config(model.path(), stimuli.path(), ""));
    let mut encoder = build(&config, Some(&runtime), None, 1).unwrap();
    let feature = encode(encoder.as_mut(), files("regions.npy", Some("boxes.npy")));
    assert_close(&feature, &golden["mean"], 1e-6);
    for archive in ["stored.npz", "deflated.npz"] {
        assert_eq!(encode(encoder.as_mut(), files(archive, None)), feature);
    }
    let flat = |name: &str| -> Vec<f32> {
        golden[name].as_array().unwrap().iter().flat_map(numbers).map(|value| value as f32).collect()
    };
    let rows = |name: &str, width| Rows::new(2, width, flat(name)).unwrap();
    let given = PictureRegions { features: rows("features", 3), boxes: Some(rows("boxes", 4)) };
    let stimulus = Stimulus { regions: Some(RegionsSource::Given(&given)), ..files("", None) };
    assert_eq!(encode(encoder.as_mut(), stimulus), feature);
    let stats = encoder.cache().unwrap();
    assert_eq!((stats.hits(), stats.misses()), (3, 1), "known by what it is, not by its name");
    assert_ne!(encode(encoder.as_mut(), Stimulus { text: Some("rate"), ..stimulus }), feature);
}

#[test]
fn a_layer_can_be_the_feature_and_a_picture_stands_beside_its_text() {
    let Some(runtime) = runtime() else { return };
    let (golden, stimuli, model) = (&golden()["multimodal"], stimuli(), folder("regions", REGIONS));
    let config = |model: &Path, more: &str| config(model, stimuli.path(), more);
    let load = |model: &Path, more: &str| {
        MultimodalEncoder::load(&runtime, ModelFiles::read(model).unwrap(), &config(model, more), 1)
    };
    let mut places = load(model.path(), "layer = \"places\"").unwrap();
    assert_close(&encode(&mut places, files("stored.npz", None)), &golden["places"], 1e-6);
    assert_eq!(&*places.spec().model, "small/places");

    let model = folder("captioned", CAPTIONED);
    let mut both = load(model.path(), "").unwrap();
    let picture = Some(PictureSource::File("photo.png".as_ref()));
    let feature = encode(&mut both, Stimulus { text: Some("pain heat"), picture, ..Stimulus::default() });
    assert_close(&feature[..4], &golden["text_of_captioned"], 1e-6);
    assert!(feature[4..].iter().all(|colour| (0.05..0.95).contains(colour)), "{feature:?}");
    let bytes = fs::read(stimuli.path().join("photo.png")).unwrap();
    let picture = Some(PictureSource::Bytes(&bytes));
    assert_eq!(encode(&mut both, Stimulus { text: Some("pain heat"), picture, ..Stimulus::default() }), feature);
    let error = load(model.path(), "layer = \"places\"").unwrap_err().to_string();
    assert!(error.ends_with("no layer \"places\" in manifest.toml (there are: none)"), "{error}");
}

#[test]
fn a_stimulus_without_all_that_the_model_takes_is_refused_by_what_it_lacks() {
    let Some(runtime) = runtime() else { return };
    let (stimuli, model, captioned) = (stimuli(), folder("regions", REGIONS), folder("captioned", CAPTIONED));
    let load = |model: &Path| {
        let config = config(model, stimuli.path(), "");
        MultimodalEncoder::load(&runtime, ModelFiles::read(model).unwrap(), &config, 1).unwrap()
    };
    let mut encoder = load(model.path());
    let words = Stimulus { text: Some("pain heat"), ..Stimulus::default() };
    let picture = Some(PictureSource::File("photo.png".as_ref()));
    // A picture is no regions: nobody looks for them in it.
    for stimulus in [words, Stimulus { picture, ..words }] {
        assert_eq!(
            refused(&mut encoder, stimulus),
            "model small takes a stimulus with the regions of its picture (the columns regions and boxes, or one .npz in \
             regions), which this one does not have"
        );
    }
    let wordless = refused(&mut encoder, Stimulus { text: None, ..files("stored.npz", None) });
    assert!(wordless.starts_with("model small takes a stimulus with its text ("), "{wordless}");
    let mut both = load(captioned.path());
    assert!(refused(&mut both, words).contains("with its picture (the column stim_file), which"));
    let error = both.encode(&Input::Text("pain"), &mut Vec::new()).unwrap_err().to_string();
    assert_eq!(error, "model small takes a text with its picture");

    let at = |name: &str| stimuli.path().join(name);
    let sound = fs::read(at("regions.npy")).unwrap();
    let altered = |name: &str, from: &[u8], to: &[u8]| {
        let place = sound.windows(from.len()).position(|part| part == from).unwrap();
        let mut bytes = sound.clone();
        bytes[place..place + to.len()].copy_from_slice(to);
        fs::write(at(name), bytes).unwrap();
    };
    altered("huge.npy", b"(2, 3)", b"(9, 9)");
    altered("columns.npy", b"False", b"True ");
    altered("whole.npy", b"<f4", b"<i4");
    altered("vector.npy", b"(2, 3)", b"(6,)  ");
    altered("wide.npy", b"(2, 3)", b"(1, 6)");
    let last = sound.len() - 4;
    altered("nan.npy", &sound[last..], &f32::NAN.to_le_bytes());
    fs::write(at("cut.npy"), &sound[..sound.len() - 1]).unwrap();
    fs::write(at("words.npy"), b"once upon a time").unwrap();
    let archive = fs::read(at("stored.npz")).unwrap();
    fs::write(at("cut.npz"), &archive[..archive.len() - 30]).unwrap();
    let mut flipped = archive.clone();
    flipped[200] ^= 1;
    fs::write(at("flipped.npz"), flipped).unwrap();
    fs::File::create(at("large.npy")).unwrap().set_len(MAX_REGIONS_BYTES + 1).unwrap();
    for (features, boxes, problem) in [
        ("nowhere.npy", None, "nowhere.npy: there is no such file (regions are a .npy of features, regions × dims, "),
        ("../regions.npy", None, "leads out of the stimuli folder"),
        ("regions.npy", Some("/etc/hostname"), "leads out of the stimuli folder"),
        (
            "regions.npy",
            None,
            "there are no boxes, which this model takes (name a .npy, regions × 4, in the column boxes, or send",
        ),
        ("regions.npy", Some("regions.npy"), "boxes of 3 numbers, not of 4"),
        ("stored.npz", Some("boxes.npy"), "an archive holds its boxes; leave the column boxes empty"),
        ("other.npz", None, "other.npz: has no array \"features\""),
        ("huge.npy", None, "no array of NumPy, or not all of one"),
        ("columns.npy", None, "column by column (save it again after numpy.ascontiguousarray)"),
        ("whole.npy", None, "no array of float32 or float64"),
        ("vector.npy", None, "no matrix (regions × values of each)"),
        ("wide.npy", Some("boxes.npy"), "2 boxes for 1 regions"),
        ("nan.npy", None, "the features of region 1 are not finite"),
        ("cut.npy", None, "no array of NumPy, or not all of one"),
        ("words.npy", None, "no array of NumPy, or not all of one"),
        ("cut.npz", None, "a damaged archive (save it again with numpy.savez)"),
        ("flipped.npz", None, "a damaged archive (save it again with numpy.savez)"),
        ("large.npy", None, "67108865 bytes; the limit is 67108864"),
    ] {
        let error = refused(&mut encoder, files(features, boxes));
        assert!(error.starts_with(&format!("regions {features}: ")) && error.contains(problem), "{features}: {error}");
    }
    assert_eq!(encode(&mut encoder, files("stored.npz", None)).len(), 4, "it goes on");
}

proptest::proptest! {
    #[test]
    fn altered_files_of_regions_are_refused_or_read_but_never_panic(
        kind in 0usize..3, changes in proptest::collection::vec((0usize..1 << 12, proptest::num::u8::ANY), 1..6)
    ) {
        let name = ["regions.npy", "stored.npz", "deflated.npz"][kind];
        let mut bytes = fs::read(repository("tests/golden/encoders").join(name)).unwrap();
        for (at, value) in changes {
            let length = bytes.len();
            bytes[at % length] = value;
        }
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(name);
        fs::write(&path, bytes).unwrap();
        let _ = Regions::read(&path, None);
    }
}

#[test]
fn a_manifest_of_both_kinds_is_held_to_its_tables() {
    let wrong = |from: &str, to: &str| {
        let folder = folder("regions", &REGIONS.replace(from, to));
        ModelFiles::read(folder.path()).map(|_| ()).unwrap_err().to_string()
    };
    let tables = "that takes a [text] table and either an [image] or a [regions] table";
    assert!(
        wrong(
            "text = {",
            "window = { input = \"x\", axes = [\"channels\", \"time\"], channels = 1, samples = 1, rate = 1.0 }\nx = {"
        )
        .contains("unknown field `x`")
    );
    assert!(wrong("regions = {", "#").ends_with(tables));
    let image = "image = { input = \"p\", layout = \"nchw\", size = 6, resize = \"squash\", filter = \"bilinear\" }\nregions = {";
    assert!(wrong("regions = {", image).ends_with(tables));
    assert!(wrong("\"multimodal\"", "\"text\"").ends_with("there are both a [text] and a [regions] table; keep one"));
    assert!(wrong("dims = 3", "dims = 0").ends_with("regions.dims must be at least 1"));
    assert!(wrong("most = 3", "most = 0").ends_with("regions.most must be 1 to 1024"));
}

/// A recording whose events show captioned pictures, and a configuration that learns from what is in them.
fn recording(folder: &Path, model: &Path, rows: &[&str]) {
    let volumes = (0..60).map(|t| format!("{:.4}\t{:.4}\n", (t as f64 * 0.7).sin(), (t as f64 * 0.3).cos()));
    fs::write(folder.join("run.tsv"), format!("insula\tV1\n{}", volumes.collect::<String>())).unwrap();
    let events = rows.iter().enumerate().map(|(i, cells)| format!("{}\t4\tlook\t{cells}\n", 4 + 10 * i));
    let header = "onset\tduration\ttrial_type\ttext\tregions\tboxes\n";
    fs::write(folder.join("run_events.tsv"), format!("{header}{}", events.collect::<String>())).unwrap();
    let config = format!(
        r#"
        [libraries]
        onnxruntime = {:?}
        [sources.scanner]
        input.replay = {{ files = ["run.tsv"], tr = 2.0, events = ["run_events.tsv"] }}
        [events.screen]
        input.recording = "scanner"
        [encoders.scene]
        multimodal = {{ model = {model:?}, events = "screen", stimuli = "stimuli" }}
        [predictors.regions]
        features = ["scene"]
        targets = "scanner"
        lags = [2.0]
        ridge.lambda = 1.0
        "#,
        fetched("lib/libonnxruntime.so").unwrap()
    );
    fs::write(folder.join("scenes.toml"), config).unwrap();
}

fn neurod(folder: &Path, command: &str, more: &[&str]) -> (String, String) {
    let mut neurod = Command::new(env!("CARGO_BIN_EXE_neurod"));
    neurod.arg(command).arg("--config").arg(folder.join("scenes.toml")).args(more);
    let done = neurod.output().unwrap();
    let [out, said] = [done.stdout, done.stderr].map(|bytes| String::from_utf8(bytes).unwrap());
    assert!(done.status.success(), "{said}");
    (out, said)
}

#[test]
fn a_replay_encodes_captioned_regions_and_flags_an_event_without_them() {
    if runtime().is_none() {
        return;
    }
    let (model, folder) = (folder("regions", REGIONS), tempfile::tempdir().unwrap());
    let folder = folder.path();
    fs::rename(stimuli().keep(), folder.join("stimuli")).unwrap();
    let replay = || {
        let out = folder.join("frames.jsonl");
        let said = neurod(folder, "replay", &["--out", out.to_str().unwrap()]).1;
        (fs::read_to_string(out).unwrap(), said)
    };
    recording(folder, model.path(), &["heat\tregions.npy\tboxes.npy", "pain\tstored.npz\tn/a", "n/a\tn/a\tn/a"]);
    assert!(neurod(folder, "check", &[]).0.contains("# encoder \"scene\": events \"screen\""));
    let (sound, said) = replay();
    assert!(!said.contains("a pass failed") && !sound.contains("STALE_MODEL"), "{said}");
    assert!(sound.contains("\"kind\":\"encoded\""));

    recording(folder, model.path(), &["heat\tregions.npy\tboxes.npy", "pain\tn/a\tn/a", "rate\tregions.npy\tn/a"]);
    let (flagged, said) = replay();
    assert_eq!(said.matches("a pass failed").count(), 2, "{said}");
    assert!(said.contains("takes a stimulus with the regions of its picture (the columns regions and boxes"), "{said}");
    assert!(said.contains("regions regions.npy: there are no boxes, which this model takes"), "{said}");
    assert!(flagged.contains("STALE_MODEL"));
}

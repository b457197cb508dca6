//! Every mistake in the configuration is named with its place, whichever layer it is in.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

use std::collections::BTreeMap;
use std::path::PathBuf;

use neurod::config::{Place, load};
use serde::{Deserialize, Serialize};

#[derive(Deserialize, Serialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Root {
    #[serde(default)]
    sources: BTreeMap<String, SourceConfig>,
    service: Service,
    #[serde(default)]
    ratio: Option<f64>,
}

#[derive(Deserialize, Serialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Service {
    listen: String,
    #[serde(default)]
    max_clients: usize,
}

#[derive(Deserialize, Serialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct SourceConfig {
    input: Input,
    #[serde(default)]
    stages: Vec<StageConfig>,
}

#[derive(Deserialize, Serialize, Debug, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum Input {
    Lsl { name: String, channels: usize },
    Replay { files: Vec<String> },
}

#[derive(Deserialize, Serialize, Debug, PartialEq)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
enum StageConfig {
    Bandpass(Bandpass),
    Reference(Reference),
}

#[derive(Deserialize, Serialize, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
struct Bandpass {
    low: f64,
    high: f64,
}

#[derive(Deserialize, Serialize, Debug, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Reference {
    Average,
    Channels(Vec<String>),
}

const GOOD: &str = r#"[service]
listen = "127.0.0.1:9464"

[sources.EEG]
input.lsl = { name = "cap", channels = 64 }
stages = [
  { bandpass = { low = 1, high = 40.0 } },
  { reference = "average" },
]
"#;

struct Files(tempfile::TempDir, Vec<PathBuf>);

fn files(texts: &[&str]) -> Files {
    let dir = tempfile::tempdir().unwrap();
    let mut paths = Vec::new();
    for (i, text) in texts.iter().enumerate() {
        paths.push(dir.path().join(format!("{i}.toml")));
        std::fs::write(&paths[i], text).unwrap();
    }
    Files(dir, paths)
}

fn attempt(texts: &[&str], env: &[(&str, &str)]) -> Result<Root, String> {
    let Files(dir, paths) = files(texts);
    let env = env.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned()));
    load::<Root>(&paths, env)
        .map(|loaded| loaded.value)
        .map_err(|e| e.to_string().replace(&format!("{}/", dir.path().display()), ""))
}

fn mistake(texts: &[&str], env: &[(&str, &str)]) -> String {
    attempt(texts, env).unwrap_err()
}

#[test]
fn layers_override_each_other_and_variables_override_files() {
    let second = "ratio = 0.5\n[service]\nmax_clients = 3\n[sources.EEG]\ninput.lsl.channels = 32\n";
    let root = attempt(
        &[GOOD, second],
        &[
            ("NEUROD__SERVICE__LISTEN", "127.0.0.1:1"),
            ("NEUROD__RATIO", "2e-1"),
            ("NEUROD__SOURCES__EEG__STAGES", r#"[{ reference = { channels = ["TP9"] } }]"#),
            ("NEUROD__SOURCES__SCANNER__INPUT__REPLAY__FILES", r#"["a.tsv"]"#),
            ("NEUROD_PYTHON", "is not a setting"),
            ("HOME", "neither"),
        ],
    )
    .unwrap();
    assert_eq!(root.service, Service { listen: "127.0.0.1:1".into(), max_clients: 3 });
    assert_eq!(root.ratio, Some(0.2));
    let eeg = &root.sources["EEG"];
    assert_eq!(eeg.input, Input::Lsl { name: "cap".into(), channels: 32 });
    assert_eq!(eeg.stages, [StageConfig::Reference(Reference::Channels(vec!["TP9".into()]))]);
    assert_eq!(root.sources["scanner"].input, Input::Replay { files: vec!["a.tsv".into()] });
}

#[test]
fn an_unknown_key_is_named_with_line_and_column_and_suggestion() {
    assert_eq!(
        mistake(&[&GOOD.replace("listen", "lisen")], &[]),
        "0.toml:2:1: unknown field `lisen`, expected `listen` or `max_clients` (did you mean `listen`?)"
    );
    assert!(mistake(&[&format!("sorces = 1\n{GOOD}")], &[]).starts_with("0.toml:1:1: unknown field `sorces`"));
    // In the second file, below a table that the first file has too.
    let second = "# comment\n[service]\n  max_client = 3\n";
    assert_eq!(
        mistake(&[GOOD, second], &[]),
        "1.toml:3:3: unknown field `max_client`, expected `listen` or `max_clients` (did you mean `max_clients`?)"
    );
}

#[test]
fn places_are_right_inside_enums_and_lists() {
    assert_eq!(
        mistake(&[&GOOD.replace("input.lsl", "input.lls")], &[]),
        "0.toml:5:7: unknown variant `lls`, expected `lsl` or `replay` (did you mean `lsl`?)"
    );
    assert_eq!(
        mistake(&[&GOOD.replace("high = 40.0", "hihg = 40.0")], &[]),
        "0.toml:7:27: unknown field `hihg`, expected `low` or `high` (did you mean `high`?)"
    );
    assert_eq!(
        mistake(&[&GOOD.replace("\"average\"", "\"averge\"")], &[]),
        "0.toml:8:17: unknown variant `averge`, expected `average` or `channels` (did you mean `average`?)"
    );
    assert_eq!(
        mistake(&[&GOOD.replace("channels = 64", "channels = \"many\"")], &[]),
        "0.toml:5:40: invalid type: string \"many\", expected usize"
    );
    assert!(mistake(&[&GOOD.replace("channels = 64", "channels = -1")], &[]).starts_with("0.toml:5:40: invalid value"));
}

#[test]
fn a_missing_key_is_placed_at_its_table() {
    assert_eq!(mistake(&[&GOOD.replace(", channels = 64", "")], &[]), "0.toml:5:13: missing field `channels`");
    assert_eq!(mistake(&[&GOOD.replace("listen", "#")], &[]), "0.toml:1:1: missing field `listen`");
    assert_eq!(mistake(&[], &[]), "configuration: missing field `service`");
}

#[test]
fn a_variable_is_named_when_it_is_the_one_that_is_wrong() {
    assert_eq!(
        mistake(&[GOOD], &[("NEUROD__SERVICE__LISTN", "127.0.0.1:1")]),
        "NEUROD__SERVICE__LISTN: unknown field `listn`, expected `listen` or `max_clients` (did you mean `listen`?)"
    );
    assert_eq!(
        mistake(&[GOOD], &[("NEUROD__SERVICE__MAX_CLIENTS", "many")]),
        "NEUROD__SERVICE__MAX_CLIENTS: invalid type: string \"many\", expected usize"
    );
    assert_eq!(
        mistake(&[GOOD], &[("NEUROD__SOURCES__EGG__STAGES", "[]")]),
        "NEUROD__SOURCES__EGG__STAGES: missing field `input`"
    );
    assert!(mistake(&[GOOD], &[("NEUROD____X", "1")]).starts_with("NEUROD____X: a setting's name is missing"));
}

#[test]
fn a_variable_cannot_smuggle_in_a_second_setting() {
    let root = attempt(&[GOOD], &[("NEUROD__SERVICE__LISTEN", "\"a\"\nratio = 1")]).unwrap();
    assert_eq!(root.service.listen, "\"a\"\nratio = 1");
    assert_eq!(root.ratio, None);
}

#[test]
fn broken_toml_and_missing_files_are_named() {
    assert!(mistake(&[GOOD, "a = \n"], &[]).starts_with("1.toml:1:5: "), "{}", mistake(&[GOOD, "a = \n"], &[]));
    assert!(mistake(&["x = 1\nx = 2\n"], &[]).starts_with("0.toml:2:1: duplicate key"));
    let error = load::<Root>(&["/no/such.toml".into()], []).unwrap_err();
    assert!(error.to_string().starts_with("/no/such.toml: cannot read the configuration: "));
    assert_eq!(error.exit().code(), 78);
}

#[test]
fn whoever_validates_further_finds_the_place() {
    let Files(_dir, paths) = files(&[GOOD]);
    let loaded = load::<Root>(&paths, [("NEUROD__RATIO".to_owned(), "7".to_owned())]).unwrap();
    assert_eq!(loaded.place("ratio"), Place::Env("NEUROD__RATIO".into()));
    assert_eq!(
        loaded.invalid("sources.EEG.input.lsl.channels", "must be 72").to_string(),
        format!("{}:5:29: sources.EEG.input.lsl.channels: must be 72", paths[0].display())
    );
    assert!(matches!(loaded.place("sources.EEG.rate"), Place::File { line: 4, .. }));
}

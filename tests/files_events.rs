//! Events of a recording lie on the time base of its samples, and say what the rules make of their columns.
#![allow(clippy::expect_used, reason = "helpers of tests, outside a #[test] function")]

#[path = "common/recordings.rs"]
mod recordings;

use std::path::Path;
use std::time::Duration;

use neurod::acquisition::file::{Recorded, Recording};
use neurod::acquisition::{EventSource, Pull};
use recordings::{events, open, refusal};

/// Two runs of 10 volumes of 2 s, the second one 10 s after the first; `lists` are their events.tsv.
fn two_runs(folder: &Path, lists: [&str; 2], more: &str) -> Result<Recording, String> {
    prepare(folder, lists);
    open(folder, &config(more))
}

fn prepare(folder: &Path, lists: [&str; 2]) {
    for (k, list) in lists.iter().enumerate() {
        std::fs::write(folder.join(format!("{k}.tsv")), format!("x\n{}", "1\n".repeat(10))).expect("written");
        std::fs::write(folder.join(format!("{k}_events.tsv")), list).expect("written");
    }
}

fn config(more: &str) -> String {
    format!("files = [\"0.tsv\", \"1.tsv\"]\ntr = 2.0\nevents = [\"0_events.tsv\", \"1_events.tsv\"]\n{more}")
}

/// The rules of the demo: heat with or without an instruction, and ratings.
const PAIN: &str = r#"
sentences = [
  { when = { temperature = "n/a" }, text = "rate how painful that was" },
  { when = { "regulate-up/down" = "up" }, text = "painful heat of {temperature:0} degrees on the arm, imagine it is more painful" },
  { when = { "regulate-up/down" = "down" }, text = "painful heat of {temperature:0} degrees on the arm, imagine it is less painful" },
  { text = "painful heat of {temperature:0} degrees on the arm" },
]"#;

#[test]
fn columns_become_the_sentences_of_the_first_rule_that_fits() {
    let folder = tempfile::tempdir().expect("a folder");
    let header = "onset\tduration\ttemperature\tratings\tregulate-up/down\n";
    let first =
        format!("{header}0.5\t1\t42.300000\tn/a\tn/a\n2\t1\tn/a\t105.0\tup\n4\t1\t\t105.0\t\n6\t1\t44.5\tn/a\tup\n");
    // Ties go to the even number, as Python rounds.
    let second = format!("{header}0\t1\t45.500000\tn/a\tdown\n1\t1\t46.300000\tn/a\tsideways\n");
    let mut recording = two_runs(folder.path(), [&first, &second], PAIN).expect("a recording");
    let all = events(recording.events.as_mut().expect("events"));
    let texts: Vec<_> = all.iter().map(|e| e.text.as_deref().unwrap_or("none")).collect();
    assert_eq!(
        texts,
        [
            "painful heat of 42 degrees on the arm",
            "rate how painful that was",
            "rate how painful that was",
            "painful heat of 44 degrees on the arm, imagine it is more painful",
            "painful heat of 46 degrees on the arm, imagine it is less painful",
            "painful heat of 46 degrees on the arm",
        ]
    );
}

#[test]
fn without_rules_the_columns_of_bids_are_taken() {
    let folder = tempfile::tempdir().expect("a folder");
    let lists = [
        "onset\tduration\ttrial_type\ttext\n1\tn/a\theat\tit burns\n",
        "onset\tduration\tvalue\tstimulus\n3\t2\t7\tn/a\n",
    ];
    let mut recording = two_runs(folder.path(), lists, "").expect("a recording");
    let all = events(recording.events.as_mut().expect("events"));
    let of = |i: usize| (all[i].label.as_str(), all[i].text.as_deref(), all[i].duration);
    assert_eq!((of(0), of(1)), (("heat", Some("it burns"), 0.0), ("7", None, 2.0)));
    let mut escaped =
        two_runs(folder.path(), lists, "sentences = [{ text = \"{{{onset}}} {duration}\" }]").expect("one");
    assert_eq!(events(escaped.events.as_mut().expect("events"))[0].text.as_deref(), Some("{1} n/a"));
}

#[test]
fn of_columns_with_one_name_the_last_counts() {
    let folder = tempfile::tempdir().expect("a folder");
    let list = "onset\tduration\tup\tup\n1\t1\tn/a\tdown\n";
    let mut recording =
        two_runs(folder.path(), [list, list], "sentences = [{ text = \"{up}\" }]").expect("a recording");
    assert_eq!(events(recording.events.as_mut().expect("events"))[0].text.as_deref(), Some("down"));
}

#[test]
fn onsets_are_laid_on_the_runs_cut_to_them_and_given_in_order() {
    let folder = tempfile::tempdir().expect("a folder");
    let lists = ["onset\tduration\n12\t1\n3\t50\n-4\t5\n-4\t2\n20\t1\n", "onset\tduration\n105\t1\n102\t0\n102\t3\n"];
    let mut recording = two_runs(folder.path(), lists, "event_offset = [0.0, 100.0]").expect("a recording");
    let source = recording.events.as_mut().expect("events");
    assert_eq!(source.peek().map(|t| t.seconds()), Some(0.0));
    let all = events(source);
    let seen: Vec<_> = all.iter().map(|e| (e.run, e.onset.seconds(), e.duration)).collect();
    // What ends before the run or begins after it is gone; what reaches over an edge is cut there.
    assert_eq!(seen, [(0, 0.0, 1.0), (0, 3.0, 17.0), (0, 12.0, 1.0), (1, 32.0, 0.0), (1, 32.0, 3.0), (1, 35.0, 1.0)]);
    assert_eq!(recording.timetable.runs[1].start.seconds(), 30.0);
    assert_eq!(recording.inputs.len(), 4);
}

#[test]
fn a_pull_gives_one_moment_and_never_what_comes_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let lists = ["onset\tduration\n5\t1\n5\t2\n6\t1\n", "onset\tduration\n"];
    let mut recording = two_runs(folder.path(), lists, "").expect("a recording");
    let source = recording.events.as_mut().expect("events");
    let mut all = Vec::new();
    assert_eq!(source.pull(&mut all, Duration::ZERO).expect("events"), Pull::Data);
    assert_eq!((all.len(), source.peek().map(|t| t.seconds())), (2, Some(6.0)));
    assert_eq!(source.pull(&mut all, Duration::ZERO).expect("events"), Pull::Data);
    assert_eq!((all.len(), source.pull(&mut all, Duration::ZERO).expect("the end")), (3, Pull::End));
}

#[test]
fn a_malformed_list_is_refused_by_line() {
    let folder = tempfile::tempdir().expect("a folder");
    let good = "onset\tduration\n1\t1\n";
    for (list, more, message) in [
        ("", "", "1_events.tsv:line 1: the file is empty (it needs a header line)"),
        ("onset,duration\n1,1\n", "", "1_events.tsv:line 1: not separated by tabs (BIDS wants tabs)"),
        ("onset\tlength\n1\t1\n", "", "1_events.tsv:line 1: no column \"duration\" (there are: onset, length)"),
        ("onset\tduration\n1\t1\nsoon\t1\n", "", "1_events.tsv:line 3: \"soon\" in column \"onset\" is not a number"),
        ("onset\tduration\ninf\t1\n", "", "1_events.tsv:line 2: \"inf\" in column \"onset\" is not a number"),
        ("onset\tduration\nn/a\t1\n", "", "1_events.tsv:line 2: the onset is n/a (every event needs one)"),
        ("onset\tduration\n1\t-1\n", "", "1_events.tsv:line 2: a negative duration, -1"),
        (
            "onset\tduration\n1\n",
            "",
            "1_events.tsv:line 2: 1 cells where the header has 2 (write n/a for what is missing)",
        ),
        (
            "onset\tduration\n846.216\t12\n865.23\t11\n",
            "",
            "1_events.tsv:line 2: onset 846.216 s, and every other, lies outside its run of 20 s (if onsets count from \
             the session's start, give the run's start in `event_offset`)",
        ),
        (
            "onset\tduration\theat\n1\t1\tn/a\n",
            "sentences = [{ text = \"{duration:1} {heat:0}\" }]",
            "0_events.tsv:line 1: no column \"heat\" (there are: onset, duration)",
        ),
        (
            good,
            "sentences = [{ when = { tmperature = \"n/a\" }, text = \"x\" }]",
            "0_events.tsv:line 1: no column \"tmperature\" (there are: onset, duration)",
        ),
        (
            good,
            "sentences = [{ text = \"{onset\" }]",
            "sentences: \"{onset\": a brace is not closed (write {column}, or {{ for a brace)",
        ),
        (
            good,
            "sentences = [{ text = \"a } b\" }]",
            "sentences: \"a } b\": a brace closes nothing (write {column}, or {{ for a brace)",
        ),
    ] {
        prepare(folder.path(), [good, list]);
        assert_eq!(refusal(folder.path(), &config(more)), message);
    }
    prepare(folder.path(), ["onset\tduration\theat\n1\t1\tn/a\n", good]);
    assert_eq!(
        refusal(folder.path(), &config("sentences = [{ text = \"{heat:0}\" }]")),
        "0_events.tsv:line 2: column \"heat\" is n/a, but `sentences` wants its number (add a rule with `when`)"
    );
}

//! A recording plays the same every time, in recording time, and keeps to a clock when it is paced.
#![allow(clippy::expect_used, reason = "helpers of tests, outside a #[test] function")]

#[path = "common/recordings.rs"]
mod recordings;

use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use neurod::acquisition::file::{Paced, Recorded, ReplayConfig, SentenceRule, side_by_side};
use neurod::acquisition::synthetic::SyntheticConfig;
use neurod::acquisition::{EventSource, Pull, Source};
use neurod::fmri::FmriConfig;
use neurod::frame::{Block, Clock, Instant, Quality, ScaledClock, VirtualClock};
use recordings::{blocks, events, golden, open, refusal};

const EDF: &str = "files = [\"eeg.edf\", \"eeg.edf\"]\ndrop_columns = [\"Battery\"]\ngap_between_runs = 3.0\n";

#[test]
fn two_passes_give_the_same_blocks_and_peek_says_when_each_arrives() {
    for config in [
        format!("{EDF}block = 5"),
        "files = [\"bold.nii.gz\", \"bold.nii\"]\nlabels = \"labels.nii.gz\"".into(),
        "files = [\"bold.nii\", \"bold.nii\", \"bold.nii.gz\"]\nmask = \"mask.nii.gz\"\nblock = 4".into(),
    ] {
        let mut recording = open(&golden(), &config).expect("a recording");
        let mut arrivals = Vec::new();
        let mut block = Block::new(recording.samples.spec());
        let mut first = Vec::new();
        while let Some(at) = recording.samples.peek() {
            assert_eq!(recording.samples.pull(&mut block, Duration::ZERO).expect("a block"), Pull::Data);
            assert_eq!(block.arrived_at, at);
            arrivals.push(at.seconds());
            first.push(format!("{block:?}"));
        }
        assert_eq!(recording.samples.pull(&mut block, Duration::ZERO).expect("the end"), Pull::End);
        assert!(arrivals.is_sorted() && block.is_empty());
        let second = blocks(&mut open(&golden(), &config).expect("a recording").samples);
        assert_eq!(first, second.iter().map(|b| format!("{b:?}")).collect::<Vec<_>>());
        assert!(second.iter().enumerate().all(|(i, b)| b.seq == i as u64));
    }
}

#[test]
fn what_was_recorded_together_stays_together_run_by_run() {
    let folder = tempfile::tempdir().expect("a folder");
    for (name, rows) in [("a0.tsv", 30), ("a1.tsv", 30), ("b0.tsv", 41), ("b1.tsv", 40), ("b2.tsv", 40)] {
        std::fs::write(folder.path().join(name), "1\t2\n".repeat(rows)).expect("a table");
    }
    let mut one = open(folder.path(), "files = [\"a0.tsv\", \"a1.tsv\"]\ntr = 2.0").expect("one");
    let mut other = open(folder.path(), "files = [\"b0.tsv\", \"b1.tsv\", \"b2.tsv\"]\nrate = 1.0").expect("another");
    side_by_side([&mut one, &mut other]);
    let starts = |all: Vec<Block>| -> Vec<(u32, f64)> {
        let mut all: Vec<_> =
            all.iter().map(|b| (b.run, b.time_of(0, if b.channels() == 2 { 0.0 } else { 1.0 }))).collect();
        all.dedup_by_key(|(run, _)| *run);
        all.into_iter().map(|(run, at)| (run, at.seconds())).collect()
    };
    // One's first run ends after 60 s, the other's after 41.
    assert_eq!(starts(blocks(&mut one.samples)), [(0, 0.0), (1, 70.0)]);
    assert_eq!(other.timetable.runs.iter().map(|r| r.start.seconds()).collect::<Vec<_>>(), [0.0, 70.0, 140.0]);
    let other = blocks(&mut other.samples);
    assert_eq!(other.iter().filter(|b| b.quality == Quality::GAP).map(|b| b.run).collect::<Vec<_>>(), [1, 2]);
}

#[test]
fn runs_follow_one_another_with_a_gap_and_never_share_a_block() {
    let mut recording = open(&golden(), &format!("{EDF}block = 50")).expect("a recording");
    let all = blocks(&mut recording.samples);
    let seen: Vec<_> = all.iter().map(|b| (b.run, b.len(), b.arrived_at.seconds())).collect();
    // 128 samples at 32 Hz: 4 s each, the second run 3 s after the first.
    assert_eq!(seen, [(0, 50, 1.5625), (0, 50, 3.125), (0, 28, 4.0), (1, 50, 8.5625), (1, 50, 10.125), (1, 28, 11.0)]);
    assert_eq!(all[3].time_of(0, 1.0 / 32.0).seconds(), 7.0);
    let onsets: Vec<_> =
        events(recording.events.as_mut().expect("annotations")).iter().map(|e| e.onset.seconds()).collect();
    assert_eq!(onsets, [0.5, 2.75, 7.5, 9.75]);
    assert_eq!(recording.timetable.end(), Some(Instant::from_seconds(11.0)));
}

#[test]
fn however_a_recording_is_cut_its_regions_are_detrended_the_same() {
    let detrended = |block: usize| {
        let config = format!(
            "files = [\"bold.nii.gz\", \"bold.nii\", \"bold.nii.gz\"]\nlabels = \"labels.nii.gz\"\nblock = {block}"
        );
        let mut recording = open(&golden(), &config).expect("a recording");
        let config: FmriConfig = toml::from_str("detrend = { unit = \"z\", warm_up = 2 }").expect("a config");
        let mut stage = config.build().expect("a stage");
        let mut out = Block::new(&stage.prepare(recording.samples.spec()).expect("a shape"));
        let mut run = 0;
        let mut values = Vec::new();
        for block in blocks(&mut recording.samples) {
            if block.run != run {
                stage.new_run();
                run = block.run;
            }
            // A mask speaks of a whole block, so a value missing in one volume is told by the value, not by the mask.
            let mut block = block;
            block.bad.clear();
            stage.process(&block, &mut out);
            values.extend_from_slice(out.data());
        }
        values
    };
    let single = detrended(1);
    assert_eq!(single.len(), 3 * 18);
    assert!(single.iter().any(|v| *v != 0.0));
    assert_eq!(single[..18], single[36..], "a run begins anew");
    for block in [2, 4, 100] {
        assert_eq!(single, detrended(block), "blocks of {block}");
    }
}

#[test]
fn a_file_that_breaks_midway_says_so_until_it_is_mended_and_then_goes_on() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("x.tsv");
    std::fs::write(&path, "a\n1\n2\nx\n").expect("written");
    let mut recording = open(folder.path(), "files = [\"x.tsv\"]\ntr = 1.0").expect("a recording");
    let mut block = Block::new(recording.samples.spec());
    for _ in 0..2 {
        let error = recording.samples.pull(&mut block, Duration::ZERO).expect_err("a refusal").to_string();
        assert!(error.ends_with("x.tsv:line 4: \"x\" in column 1 is not a number") && block.is_empty(), "{error}");
    }
    std::fs::write(&path, "a\n1\n2\n3\n").expect("written");
    assert_eq!(blocks(&mut recording.samples).iter().map(|b| b.data()[0]).collect::<Vec<_>>(), [1.0, 2.0, 3.0]);

    let mut recording = open(folder.path(), "files = [\"x.tsv\"]\ntr = 1.0\nblock = 2").expect("a recording");
    std::fs::write(&path, "a\n1\n").expect("written");
    let error = recording.samples.pull(&mut block, Duration::ZERO).expect_err("a refusal").to_string();
    assert!(error.ends_with("x.tsv:sample 0: the file has changed since it was opened (start again)"), "{error}");
}

#[test]
fn a_file_cut_while_it_plays_goes_on_at_the_sample_that_was_due() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("eeg.edf");
    let whole = std::fs::read(golden().join("eeg.edf")).expect("read");
    std::fs::write(&path, &whole).expect("written");
    let mut recording =
        open(folder.path(), "files = [\"eeg.edf\"]\ndrop_columns = [\"Battery\"]\nblock = 5").expect("one");
    std::fs::write(&path, &whole[..whole.len() - 300]).expect("written");
    let mut block = Block::new(recording.samples.spec());
    let mut all = Vec::new();
    let error = loop {
        match recording.samples.pull(&mut block, Duration::ZERO) {
            Ok(_) => all.push(block.clone()),
            Err(error) => break error.to_string(),
        }
    };
    assert!(error.contains("eeg.edf:byte ") && error.ends_with("the file ends here (copy it again)"), "{error}");
    assert!(block.is_empty() && all.len() > 1);
    std::fs::write(&path, &whole).expect("written");
    all.extend(blocks(&mut recording.samples));
    recordings::assert_rows(&all, &recordings::expected("edf", "values"));
    assert!(all.iter().enumerate().all(|(i, b)| b.seq == i as u64));
}

#[test]
fn a_paced_recording_waits_for_its_clock_and_no_longer_than_its_timeout() {
    let recording = open(&golden(), &format!("{EDF}block = 32")).expect("a recording");
    let clock = Arc::new(VirtualClock::default());
    let mut paced = Paced::new(recording.samples, clock.clone() as Arc<dyn Clock>);
    let mut notes = Paced::new(recording.events.expect("annotations"), clock.clone() as Arc<dyn Clock>);
    let mut block = Block::new(paced.spec());
    let mut heard = Vec::new();
    // The clock stands still, so nothing is due and nothing waits.
    assert_eq!(paced.pull(&mut block, Duration::from_secs(3600)).expect("idle"), Pull::Idle);
    assert_eq!(notes.pull(&mut heard, Duration::from_secs(3600)).expect("idle"), Pull::Idle);
    clock.advance_to(Instant::from_seconds(2.5));
    assert_eq!(notes.pull(&mut heard, Duration::ZERO).expect("an event"), Pull::Data);
    assert_eq!(notes.pull(&mut heard, Duration::ZERO).expect("idle"), Pull::Idle);
    assert_eq!(heard.len(), 1);
    for _ in 0..2 {
        assert_eq!(paced.pull(&mut block, Duration::ZERO).expect("a block"), Pull::Data);
        assert_eq!(block.arrived_at.seconds(), 2.5);
    }
    assert_eq!(paced.pull(&mut block, Duration::ZERO).expect("idle"), Pull::Idle);
    assert_eq!((block.len(), paced.peek().map(|t| t.seconds())), (0, Some(3.0)));

    // On a running clock every block comes, none before its time.
    let synthetic = SyntheticConfig { duration: Some(10.0), rate: 100.0, ..Default::default() };
    let clock = Arc::new(ScaledClock::starting_at(Instant::default(), 200.0));
    let mut paced = Paced::new(synthetic.build(Instant::default()).expect("a source"), clock as Arc<dyn Clock>);
    let (mut samples, mut block) = (0, Block::new(paced.spec()));
    loop {
        match paced.pull(&mut block, Duration::from_millis(1)).expect("a block") {
            Pull::End => break,
            Pull::Data => {
                assert!(block.arrived_at - block.measured_at >= 0.0099);
                samples += block.len();
            }
            _ => {}
        }
    }
    assert_eq!(samples, 1000);
}

#[test]
fn a_configuration_survives_being_written_out() {
    for text in [
        "files = [\"a.tsv\"]\ntr = 2.0\nspeed = 20\nevents = [\"e.tsv\"]\nevent_offset = [836.0]",
        "files = [\"a.edf\"]\nspeed = \"max\"\nformat = \"edf\"\nsentences = [{ text = \"{onset:1}\" }]",
    ] {
        let config: ReplayConfig = toml::from_str(text).expect("a config");
        let again = toml::to_string(&config).expect("text");
        assert_eq!(toml::from_str::<ReplayConfig>(&again).expect(&again), config);
    }
    let error = refusal(Path::new("."), "files = []\nlable = \"x\"");
    assert!(error.contains("unknown field `lable`"), "{error}");
}

/// The demo's recordings, where `NEUROD_DEMO_DATA` names the folder `ex_timeseries_task` of `connattractor` 0.1.0.
#[test]
fn every_run_of_the_demo_data_is_read() {
    let Some(folder) = std::env::var_os("NEUROD_DEMO_DATA").map(PathBuf::from) else {
        // Past the capture of the test runner, so that it is seen.
        let skipped = "SKIPPED every_run_of_the_demo_data_is_read: NEUROD_DEMO_DATA is not set";
        writeln!(std::io::stderr(), "{skipped}").expect("standard error");
        return;
    };
    let mut config = ReplayConfig {
        tr: Some(2.0),
        drop_columns: vec!["GlobSig".into()],
        sentences: vec![
            rule(Some(("temperature", "n/a")), "rate how painful that was"),
            rule(
                Some(("regulate-up/down", "up")),
                "painful heat of {temperature:0} degrees on the arm, imagine it is more painful",
            ),
            rule(
                Some(("regulate-up/down", "down")),
                "painful heat of {temperature:0} degrees on the arm, imagine it is less painful",
            ),
            rule(None, "painful heat of {temperature:0} degrees on the arm"),
        ],
        ..Default::default()
    };
    for person in 1..=33 {
        for (run, offset) in [("01", 0.0), ("03", 836.0), ("07", 2472.0)] {
            let series = match run {
                "01" => format!("sub-{person:02}_ts.txt"),
                _ => format!("sub-{person:02}_ts_run_{run}.tsv"),
            };
            if folder.join(&series).exists() {
                config.files.push(series.into());
                config
                    .events
                    .push(format!("sub-{person:02}_task-heatpainwithregulationandratings_run-{run}_events.tsv").into());
                config.event_offset.push(offset);
            }
        }
    }
    let mut recording = config.open(&folder, Instant::default()).expect("the recording");
    assert_eq!((recording.timetable.runs.len(), recording.samples.spec().channels.len()), (98, 122));
    let all = blocks(&mut recording.samples);
    assert_eq!(all.len() as u64, recording.timetable.samples());
    assert_eq!(all.len(), 32 * 209 + 66 * 191);
    let begins = |i: usize| i > 0 && all[i].run != all[i - 1].run;
    let expected = |i: usize| if begins(i) { Quality::GAP } else { Quality::GOOD };
    assert!(all.iter().enumerate().all(|(i, b)| b.bad.is_empty() && b.quality == expected(i)));
    let heard = events(recording.events.as_mut().expect("events"));
    let mut texts: Vec<_> = heard.iter().map(|e| e.text.clone().expect("a sentence")).collect();
    texts.sort();
    texts.dedup();
    assert_eq!((heard.len(), texts.len()), (2024, 18));
}

fn rule(when: Option<(&str, &str)>, text: &str) -> SentenceRule {
    SentenceRule { when: when.into_iter().map(|(k, v)| (k.into(), v.into())).collect(), text: text.into() }
}

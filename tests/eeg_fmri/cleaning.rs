//! Real EEG, with what a scanner and a pulse add to it, is found again: as `tests/python/scanner_artifacts.py` judges it.

use std::path::Path;
use std::sync::OnceLock;

use neurod::frame::{Block, BlockSpec, Channel, Instant, Quality, Stage, Unit};
use neurod::runtime::Chain;
use neurod::signal::{SignalConfig, build};
use serde::Deserialize;

use crate::{peers, script};

const RATE: usize = 1000;
const GRADIENT: &str = "gradient_artifact = { tr = 2.0, volumes = 60 }";
const HIGHPASS: &str = "highpass = { cutoff = 0.5, order = 1 }";
const PULSE: &str = "pulse_artifact = { beats = 40 }";
const SCRIPT: &str = "tests/python/scanner_artifacts.py";

/// The folder with the arrays, made once for all tests here.
fn made() -> Option<(&'static Path, std::path::PathBuf)> {
    static FOLDER: OnceLock<tempfile::TempDir> = OnceLock::new();
    let (recording, python) = peers(&["numpy", "scipy", "edfio"])?;
    let folder = FOLDER.get_or_init(|| {
        let folder = tempfile::tempdir().unwrap();
        script(&python, SCRIPT, &[Path::new("make"), &recording, folder.path()]);
        folder
    });
    Some((folder.path(), python))
}

fn read(path: &Path) -> Vec<f64> {
    std::fs::read(path).unwrap().as_chunks().0.iter().map(|bytes| f64::from_le_bytes(*bytes)).collect()
}

fn write(path: &Path, values: &[f64]) {
    std::fs::write(path, values.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>()).unwrap();
}

/// Four electrodes; with `scanner`, an electrocardiogram and the trigger, too.
fn spec(scanner: bool) -> BlockSpec {
    let mut channels = Channel::numbered("EEG", 4, Unit::Microvolt);
    if scanner {
        channels.push(Channel::new("ECG", "ECG", Unit::Microvolt));
        channels.push(Channel::new("Volume", "TRIG", Unit::Arbitrary));
    }
    BlockSpec::new(channels, RATE as f64, 32)
}

/// What comes out of these steps, and the flags and the number of bad channels of every block.
fn run(steps: &[&str], input: &[f64], scanner: bool) -> (Vec<f64>, Vec<(Quality, usize)>) {
    let spec = spec(scanner);
    let steps = steps.iter().map(|toml| build(&toml::from_str::<SignalConfig>(toml).unwrap()));
    let mut chain = Chain::prepare(steps.collect::<Vec<Box<dyn Stage>>>(), &spec).unwrap();
    let (mut block, mut out, mut marks) = (Block::new(&spec), Vec::new(), Vec::new());
    for samples in input.chunks(32 * spec.channels.len()) {
        block.clear();
        samples.chunks_exact(spec.channels.len()).for_each(|row| assert!(block.push(row)));
        block.measured_at = Instant::from_seconds((out.len() / spec.channels.len() + block.len()) as f64 / RATE as f64);
        let cleaned = chain.process(&block);
        out.extend_from_slice(cleaned.data());
        marks.push((cleaned.quality, cleaned.bad.count()));
    }
    (out, marks)
}

/// What scipy says of a cleaned recording.
#[derive(Deserialize, Debug)]
struct Score {
    /// Correlation with the EEG as it was, 1 to 40 Hz, of each electrode: before cleaning, and after.
    r_recorded: Vec<f64>,
    r_cleaned: Vec<f64>,
    /// By how much what does not belong there was reduced, the least of all electrodes.
    decibels: std::collections::BTreeMap<String, f64>,
}

fn least(values: &[f64]) -> f64 {
    values.iter().copied().fold(f64::INFINITY, f64::min)
}

fn most(values: &[f64]) -> f64 {
    values.iter().map(|v| v.abs()).fold(0.0, f64::max)
}

/// Cleans `input` with these steps and scores it against the EEG as it was, filtered alike.
fn score(steps: &[&str], input: &[f64], name: &str) -> Option<Score> {
    let (folder, python) = made()?;
    let (cleaned, truth) = (format!("{name}.bin"), format!("{name}_truth.bin"));
    write(&folder.join(&cleaned), &run(steps, input, true).0);
    write(&folder.join(&truth), &run(&[HIGHPASS], &read(&folder.join("truth.bin")), false).0);
    let said = script(&python, SCRIPT, &[Path::new("score"), folder, Path::new(&cleaned), Path::new(&truth)]);
    Some(serde_json::from_slice(&said).unwrap())
}

#[test]
fn eeg_is_found_again_under_gradients_a_thousand_times_as_large_and_the_pulse() {
    let Some((folder, _)) = made() else { return };
    let recorded = read(&folder.join("free.bin"));
    let both = score(&[GRADIENT, HIGHPASS, PULSE], &recorded, "both").unwrap();
    eprintln!("gradient and pulse: {both:?}");
    assert!(most(&both.r_recorded) < 0.1, "as recorded, it is not to be seen");
    assert!(least(&both.r_cleaned) >= 0.9);
    for (band, least) in [("1-4", 40.0), ("4-13", 60.0), ("13-40", 70.0), ("40-120", 70.0)] {
        assert!(both.decibels[band] >= least, "{band} Hz: {} dB", both.decibels[band]);
    }
    // Each step does its part: without the one nothing is found, without the other less is.
    let pulse_only = score(&[HIGHPASS, PULSE], &recorded, "pulse_only").unwrap();
    assert!(most(&pulse_only.r_cleaned) < 0.1, "{pulse_only:?}");
    let gradient_only = score(&[GRADIENT, HIGHPASS], &recorded, "gradient_only").unwrap();
    eprintln!("gradient only: {gradient_only:?}");
    assert!(gradient_only.decibels["1-4"] + 6.0 < both.decibels["1-4"], "{gradient_only:?}");
    assert!(least(&gradient_only.r_cleaned) + 0.05 < least(&both.r_cleaned), "{gradient_only:?}");
}

#[test]
fn markers_that_are_not_those_of_the_volumes_find_nothing() {
    let Some((folder, _)) = made() else { return };
    let mut recorded = read(&folder.join("free.bin"));
    // Each marker at some other moment: between 0 and 40 ms late.
    let markers: Vec<usize> = (0..recorded.len() / 6).filter(|i| recorded[i * 6 + 5] > 0.0).collect();
    for (k, at) in markers.into_iter().enumerate() {
        recorded[at * 6 + 5] = 0.0;
        recorded[(at + k * 13 % 41) * 6 + 5] = 1.0;
    }
    let shifted = score(&[GRADIENT, HIGHPASS, PULSE], &recorded, "shifted").unwrap();
    assert!(most(&shifted.r_cleaned) < 0.3, "{shifted:?}");
}

/// The reference, in numpy, offline. A volume's first samples are still cleaned with the mean that lacks the volume before,
/// whose last samples have to be seen first.
#[test]
fn with_locked_clocks_it_is_averaged_artifact_subtraction() {
    let Some((folder, python)) = made() else { return };
    script(&python, SCRIPT, &[Path::new("oracle"), folder]);
    let recorded = read(&folder.join("locked.bin"));
    let (cleaned, marks) = run(&["gradient_artifact = { tr = 2.0, locked = true }"], &recorded, true);
    let expected = read(&folder.join("oracle.bin"));
    let onsets: Vec<usize> = (0..recorded.len() / 6).filter(|i| recorded[i * 6 + 5] > 0.0).collect();
    assert_eq!(onsets.len(), 180);
    for at in onsets.windows(2) {
        for i in at[0] + 100..at[1] {
            for c in 0..5 {
                let (got, expected) = (cleaned[i * 6 + c], expected[i * 6 + c]);
                assert!((got - expected).abs() < 1e-6, "sample {i} of channel {c}: {got} for {expected}");
            }
        }
    }
    // Flagged until 25 volumes were learned, bad until one was.
    let flagged = |seconds: f64| marks[(seconds * RATE as f64 / 32.0) as usize];
    assert_eq!((flagged(21.0), flagged(23.0)), ((Quality::WARMING_UP, 5), (Quality::WARMING_UP, 0)));
    assert_eq!((flagged(69.0).0, flagged(71.0).0), (Quality::WARMING_UP, Quality::GOOD));
}

#[test]
fn a_lost_marker_is_said_and_costs_its_own_volume_only() {
    let Some((folder, _)) = made() else { return };
    let mut recorded = read(&folder.join("free.bin"));
    let whole = run(&[GRADIENT], &recorded, true).0;
    let lost = (0..recorded.len() / 6).filter(|i| recorded[i * 6 + 5] > 0.0).nth(100).unwrap();
    recorded[lost * 6 + 5] = 0.0;
    let (cleaned, marks) = run(&[GRADIENT], &recorded, true);
    let at = |sample: usize| marks[sample / 32];
    assert_eq!(at(lost - 100), (Quality::GOOD, 0));
    assert_eq!(at(lost + 1000), (Quality::WARMING_UP, 5), "an artifact, and nothing to subtract");
    assert_eq!(at(lost + 2100), (Quality::GOOD, 0), "the next volume has its marker");
    let difference =
        |from: usize, to: usize| most(&(from * 6..to * 6).map(|i| cleaned[i] - whole[i]).collect::<Vec<f64>>());
    assert_eq!(difference(0, lost), 0.0);
    let (during, after) = (difference(lost + 50, lost + 1900), difference(lost + 2050, lost + 40_000));
    assert!(during > 5000.0 && after < during / 200.0, "{during} µV, then {after} µV: a mean of other volumes");
    // The scanner stops at 380 s: for two TRs nobody knows, then the EEG counts as free of it.
    let stopped = 380 * RATE;
    assert_eq!((at(stopped + 2000), at(stopped + 6000)), ((Quality::WARMING_UP, 5), (Quality::WARMING_UP, 0)));
}

#[test]
fn a_gap_leaves_the_artifact_known_and_a_new_run_does_not() {
    let Some((folder, _)) = made() else { return };
    let recorded = read(&folder.join("free.bin"));
    let spec = spec(true);
    let mut stage = build(&toml::from_str::<SignalConfig>(GRADIENT).unwrap());
    stage.prepare(&spec).unwrap();
    let (mut block, mut output) = (Block::new(&spec), Block::new(&spec));
    // The largest step from sample to sample in blocks without a bad channel, and the flags of all blocks.
    let mut play = |stage: &mut Box<dyn Stage>, from: usize, to: usize| {
        let (mut largest, mut quality) = (0.0f64, Quality::GOOD);
        for rows in recorded[from * 6 * RATE..to * 6 * RATE].chunks(32 * 6) {
            block.clear();
            rows.chunks_exact(6).for_each(|row| assert!(block.push(row)));
            stage.process(&block, &mut output);
            quality |= output.quality;
            if output.bad.is_empty() {
                let steps = (1..output.len()).map(|i| (output.sample(i)[0] - output.sample(i - 1)[0]).abs());
                largest = steps.fold(largest, f64::max);
            }
        }
        (largest, quality)
    };
    play(&mut stage, 0, 181);
    stage.gap();
    let (largest, quality) = play(&mut stage, 183, 200);
    assert!(largest < 100.0 && quality == Quality::WARMING_UP, "{largest} µV, {quality:?}: until it is in step again");
    let (largest, quality) = play(&mut stage, 200, 210);
    assert!(largest < 100.0 && quality == Quality::GOOD, "{largest} µV, {quality:?}");
    stage.new_run();
    assert!(play(&mut stage, 210, 240).1.contains(Quality::WARMING_UP), "60 volumes have to come again");
    assert!(play(&mut stage, 0, 1).0 < 100.0, "where no scanner runs, nothing is done");
}

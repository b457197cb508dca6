//! `config/eeg-fmri.toml`: a real EEG recording and regions simulated from it run side by side; the ridge finds out how one
//! becomes the other. The simulation is `tools/simulate_regions.py`, in numpy and scipy.

use std::path::Path;
use std::process::Command;

use serde_json::Value;

use crate::{peers, script};

/// R between what is measured and what is without noise: what no prediction can exceed.
const CEILING: f64 = 0.7;
const TR: f64 = 2.0;
/// Seconds between features.
const HOP: f64 = 0.25;
/// From here on predictions count: the last half of the recording.
const FROM: usize = 490;

/// The values that go with every volume, regions × volumes.
type Series = Vec<Vec<f64>>;

struct Played {
    measured: Series,
    /// The newest `decoded` frame that speaks of a volume's time, made before it was measured.
    decoded: Series,
    decoded_frames: usize,
}

fn values(frame: &Value) -> Vec<f64> {
    frame["values"].as_array().unwrap().iter().map(|v| v.as_f64().unwrap()).collect()
}

fn transposed(rows: &[Vec<f64>]) -> Series {
    (0..rows[0].len()).map(|region| rows.iter().map(|row| row[region]).collect()).collect()
}

fn table(path: &Path) -> Series {
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().skip(1).map(|line| line.split('\t').map(|v| v.parse().unwrap()).collect());
    transposed(&rows.collect::<Vec<Vec<f64>>>())
}

/// Plays the configuration as it stands, with the recording and the simulated regions where they lie.
fn play(recording: &Path, regions: &Path, folder: &Path) -> Played {
    let config = std::fs::read_to_string("config/eeg-fmri.toml").unwrap();
    let recording = std::path::absolute(recording).unwrap();
    let config = config
        .replace("../.cache/data/eeg/sub-1/eeg/sub-1_task-slowpotentials_eeg.edf", recording.to_str().unwrap())
        .replace("../.cache/eeg-fmri/regions.tsv", regions.to_str().unwrap());
    let (path, out) = (folder.join("eeg-fmri.toml"), folder.join("frames.jsonl"));
    std::fs::write(&path, config).unwrap();
    let replay = Command::new(env!("CARGO_BIN_EXE_neurod"))
        .args(["replay", "--config"])
        .arg(&path)
        .arg("--out")
        .arg(&out)
        .output()
        .unwrap();
    assert!(replay.status.success(), "{}", String::from_utf8_lossy(&replay.stderr));
    let (mut measured, mut decoded, mut frames, mut newest) = (Vec::new(), Vec::new(), 0, None);
    for line in std::fs::read_to_string(&out).unwrap().lines() {
        let frame: Value = serde_json::from_str(line).unwrap();
        match frame["kind"].as_str() {
            Some("decoded") => {
                frames += 1;
                newest = Some(frame);
            }
            Some("measured") => {
                // Every frame up to here was published before this volume was learned from.
                let frame_of: &Value = newest.as_ref().unwrap();
                let ahead = frame_of["t_target"].as_f64().unwrap() - frame["t_target"].as_f64().unwrap();
                assert!((-HOP..=1e-9).contains(&ahead), "a decoded frame is {ahead} s from its volume");
                decoded.push(values(frame_of));
                measured.push(values(&frame));
            }
            _ => {}
        }
    }
    Played { measured: transposed(&measured), decoded: transposed(&decoded), decoded_frames: frames }
}

fn pearson(a: &[f64], b: &[f64]) -> f64 {
    let n = a.len() as f64;
    let (mean_a, mean_b) = (a.iter().sum::<f64>() / n, b.iter().sum::<f64>() / n);
    let products = |f: &dyn Fn(f64, f64) -> f64| a.iter().zip(b).map(|(a, b)| f(a - mean_a, b - mean_b)).sum::<f64>();
    products(&|a, b| a * b) / (products(&|a, _| a * a) * products(&|_, b| b * b)).sqrt()
}

/// R of every region over the last half.
fn scores(a: &Series, b: &Series) -> Vec<f64> {
    a.iter().zip(b).map(|(a, b)| pearson(&a[FROM..], &b[FROM..])).collect()
}

fn mean(values: &[f64]) -> f64 {
    values.iter().sum::<f64>() / values.len() as f64
}

/// The mean distance over the last half, over all regions.
fn mae(a: &Series, b: &Series) -> f64 {
    let distances = a.iter().zip(b).flat_map(|(a, b)| a[FROM..].iter().zip(&b[FROM..]).map(|(a, b)| (a - b).abs()));
    mean(&distances.collect::<Vec<f64>>())
}

#[test]
fn decoded_frames_reach_the_ceiling_that_noise_leaves() {
    let Some((recording, python)) = peers(&["numpy", "scipy", "edfio"]) else { return };
    let folder = tempfile::tempdir().unwrap();
    script(
        &python,
        "tools/simulate_regions.py",
        &[&recording, folder.path(), Path::new("--ceiling"), Path::new("0.7")],
    );
    let regions = folder.path().join("regions.tsv");
    let played = play(&recording, &regions, folder.path());
    assert_eq!((played.measured.len(), played.measured[0].len()), (6, 981));
    // A second until the first window is full, then four a second, beside the volumes.
    let expected = 981.0 * TR / HOP;
    assert!((played.decoded_frames as f64 - expected).abs() < 12.0, "{} frames", played.decoded_frames);

    let truth = table(&folder.path().join("truth.tsv"));
    let ceiling = scores(&truth, &table(&regions));
    assert!(ceiling.iter().all(|r| (r - CEILING).abs() < 0.07), "noise is not as large as it should be: {ceiling:?}");
    let decoded = scores(&played.decoded, &played.measured);
    let clean = scores(&played.decoded, &truth);
    eprintln!("ceiling {ceiling:.3?}\ndecoded {decoded:.3?}, mean {:.3}\nwithout noise {clean:.3?}", mean(&decoded));
    for (r, ceiling) in decoded.iter().zip(&ceiling) {
        assert!(*r >= 0.8 * ceiling, "R {r} of {ceiling}");
    }
    assert!(clean.iter().all(|r| *r >= 0.8), "{clean:?}");

    // Beside it: each region's mean (0 in z), and regions that belong to another part of the recording.
    let nothing: Series = played.measured.iter().map(|region| vec![0.0; region.len()]).collect();
    let (error, of_mean) = (mae(&played.decoded, &played.measured), mae(&nothing, &played.measured));
    assert!(error < 0.85 * of_mean, "MAE {error}, and {of_mean} of the mean");
    let text = std::fs::read_to_string(&regions).unwrap();
    let (header, rows) = text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.rotate_left(300);
    std::fs::write(&regions, format!("{header}\n{}\n", rows.join("\n"))).unwrap();
    let rotated = play(&recording, &regions, folder.path());
    let chance = scores(&rotated.decoded, &rotated.measured);
    eprintln!("MAE {error:.3} ({of_mean:.3} of the mean); rotated {chance:.3?}");
    assert!(mean(&chance).abs() < 0.1 && chance.iter().all(|r| *r < 0.2), "{chance:?}");
}

//! Opens recordings for tests: a configuration as TOML, a folder, and everything it plays.
#![allow(dead_code, reason = "each test file uses a part")]
#![allow(clippy::expect_used, clippy::panic, reason = "helpers of tests, outside a #[test] function")]

use std::path::{Path, PathBuf};
use std::time::Duration;

use neurod::acquisition::file::{Recording, ReplayConfig};
use neurod::acquisition::{EventSource, Pull, Source};
use neurod::frame::{Block, Event, Instant};

/// The folder of recordings made by `tests/golden/make_files.py`.
pub fn golden() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Rows of an entry of `tests/golden/files.json`; null is NaN.
pub fn expected(entry: &str, key: &str) -> Vec<Vec<f64>> {
    let text = std::fs::read_to_string(golden().join("files.json")).expect("files.json");
    let all: serde_json::Value = serde_json::from_str(&text).expect("JSON");
    let rows = all[entry][key].as_array().expect("rows").clone();
    let row =
        |r: &serde_json::Value| r.as_array().expect("a row").iter().map(|v| v.as_f64().unwrap_or(f64::NAN)).collect();
    rows.iter().map(row).collect()
}

/// Opens `config` in `folder`.
pub fn open(folder: &Path, config: &str) -> Result<Recording, String> {
    let config: ReplayConfig = toml::from_str(config).map_err(|e| e.to_string())?;
    config.open(folder, Instant::default()).map_err(|e| e.to_string())
}

/// Why `config` cannot be opened, or cannot be played to its end. The folder's own path is left out.
pub fn refusal(folder: &Path, config: &str) -> String {
    let error = match open(folder, config) {
        Err(error) => error,
        Ok(mut recording) => {
            let mut block = Block::new(recording.samples.spec());
            loop {
                match recording.samples.pull(&mut block, Duration::ZERO) {
                    Err(error) => break error.to_string(),
                    Ok(Pull::End) => panic!("{config} was played to its end"),
                    Ok(_) => {}
                }
            }
        }
    };
    error.replace(&format!("{}/", folder.display()), "")
}

/// All blocks, in order.
pub fn blocks(source: &mut impl Source) -> Vec<Block> {
    let mut block = Block::new(source.spec());
    let mut out = Vec::new();
    while source.pull(&mut block, Duration::ZERO).expect("a block") == Pull::Data {
        out.push(block.clone());
    }
    out
}

/// All events, in order.
pub fn events(source: &mut impl EventSource) -> Vec<Event> {
    let mut out = Vec::new();
    while source.pull(&mut out, Duration::ZERO).expect("events") == Pull::Data {}
    out
}

/// Every sample of `blocks` is that of `rows`; a missing one is masked and flagged.
pub fn assert_rows(blocks: &[Block], rows: &[Vec<f64>]) {
    let samples: Vec<&[f64]> = blocks.iter().flat_map(Block::samples).collect();
    assert_eq!(samples.len(), rows.len());
    for (i, (sample, row)) in samples.iter().zip(rows).enumerate() {
        assert_eq!(sample.len(), row.len());
        for (a, b) in sample.iter().zip(row) {
            let near = (a - b).abs() <= 1e-9 * b.abs().max(1.0);
            assert!(near || (a.is_nan() && b.is_nan()), "sample {i}: {a} against {b}");
        }
    }
}

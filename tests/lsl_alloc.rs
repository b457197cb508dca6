//! Does reading or sending over LSL allocate in Rust? Not after warm-up, on the lane that does it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

#[path = "common/allocations.rs"]
mod allocations;
mod common;

use std::sync::Arc;
use std::time::Duration;

use common::lsl;
use neurod::acquisition::lsl::{LslConfig, LslSource};
use neurod::acquisition::{Pull, Source, SourceStats};
use neurod::frame::{Block, Clock, FrameKind, MonotonicClock, Quality, Regions, Unit};
use neurod::publish::lsl::{LslOutletConfig, LslOutlets, OutletSpec};
use serde_json::json;

#[test]
fn pulling_and_pushing_allocate_nothing_in_rust() {
    if lsl::python().is_none() {
        return;
    }
    let name = lsl::unique("alloc");
    let _outlet = lsl::outlet(&json!({"name": name, "channels": 64, "rate": 500, "stream": true}));
    let config = LslConfig { name: Some(name.clone()), ..LslConfig::default() };
    let mut source = LslSource::open(&config, Arc::new(SourceStats::default())).unwrap();
    let regions = Regions::new((0..122).map(|i| format!("r{i}")).collect(), Unit::ZScore);
    let spec = OutletSpec {
        predictor: &name,
        kind: FrameKind::Decoded,
        regions: &regions,
        rate: 0.0,
        session: "s",
        model: "m",
    };
    let mut outlets = LslOutlets::open(&LslOutletConfig::default(), &spec).unwrap();
    let values = vec![0.5; 122];
    let mut block = Block::new(source.spec());
    let mut samples = 0;
    let mut before = allocations::so_far();
    // Two seconds of data see several sweeps and offset measurements.
    while samples < 1500 {
        let pulled = source.pull(&mut block, Duration::from_millis(100)).unwrap();
        assert!(matches!(pulled, Pull::Data | Pull::Idle), "{pulled:?}");
        let now = MonotonicClock.now().seconds();
        outlets.push_values(&values, now).unwrap();
        outlets.push_skill(&values, now).unwrap();
        outlets.push_quality(Quality::GOOD, 0.001, now).unwrap();
        samples += block.len();
        if samples < 500 {
            before = allocations::so_far();
        }
    }
    assert_eq!(allocations::so_far() - before, 0);
}

//! Does reading or sending over LSL allocate in Rust? Not after warm-up, on the lane that does it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, reason = "a test fails by panicking")]

mod common;

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use common::lsl;
use neurod::acquisition::lsl::{LslConfig, LslSource};
use neurod::acquisition::{Pull, Source, SourceStats};
use neurod::frame::{Block, Clock, FrameKind, MonotonicClock, Quality, Regions, Unit};
use neurod::publish::lsl::{LslOutletConfig, LslOutlets, OutletSpec};
use serde_json::json;

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

struct Counting;

// SAFETY: every call is passed on to the system's allocator unchanged; counting allocates nothing.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller keeps the contract.
        unsafe { System.alloc(layout) }
    }
    unsafe fn dealloc(&self, at: *mut u8, layout: Layout) {
        // SAFETY: as above.
        unsafe { System.dealloc(at, layout) }
    }
    unsafe fn realloc(&self, at: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: as above.
        unsafe { System.realloc(at, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn allocations() -> u64 {
    ALLOCATIONS.with(Cell::get)
}

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
    let mut before = allocations();
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
            before = allocations();
        }
    }
    assert_eq!(allocations() - before, 0);
}

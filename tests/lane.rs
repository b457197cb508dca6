//! The lane of a source as a whole: nothing allocated once it runs, and a long silence begins the runs it should.
#![allow(clippy::unwrap_used, reason = "a test that cannot go on fails")]

#[path = "common/allocations.rs"]
mod allocations;

use std::sync::{Arc, Mutex};
use std::time::Duration;

use neurod::acquisition::{Pull, Source, SourceError, SourceStats};
use neurod::frame::{Block, BlockSpec, Channel, Instant, ModelStamp, MonotonicClock, Quality, Regions, Stage, Unit};
use neurod::publish::{FramePort, NoOutlets, Outgoing};
use neurod::ridge::Snapshot;
use neurod::ring::{LinkReceiver, Wake, link, swap};
use neurod::runtime::decoder::{InstantDecoder, Row, Weights};
use neurod::runtime::lane_source::{Consumer, SourceLane};
use neurod::runtime::lanes::{LaneContext, Status};
use neurod::runtime::metrics::Metrics;
use neurod::runtime::session::Session;
use neurod::signal::{self, SignalConfig};

const CHANNELS: usize = 64;
const RATE: f64 = 1000.0;
const REGIONS: usize = 400;

fn spec() -> BlockSpec {
    BlockSpec::new(Channel::numbered("EEG", CHANNELS, Unit::Microvolt), RATE, 8)
}

/// A sample a pull, with a hole where it is told to; notes how much its thread has allocated by every pull.
struct Script {
    spec: BlockSpec,
    pulls: usize,
    /// Before which pull the silence lies, and how long it is.
    hole: (usize, f64),
    /// With which pull a series begins.
    series: Option<usize>,
    given: usize,
    at: f64,
    allocated: Arc<Mutex<Vec<u64>>>,
}

impl Source for Script {
    fn spec(&self) -> &BlockSpec {
        &self.spec
    }
    fn pull(&mut self, into: &mut Block, _: Duration) -> Result<Pull, SourceError> {
        self.allocated.lock().unwrap().push(allocations::so_far());
        if self.given == self.pulls {
            return Ok(Pull::End);
        }
        into.clear();
        into.seq = self.given as u64;
        self.at += 1.0 / RATE;
        if self.given == self.hole.0 {
            self.at += self.hole.1;
            into.quality = Quality::GAP;
        }
        let sample: [f64; CHANNELS] = std::array::from_fn(|c| ((self.given * (c + 3)) as f64 * 0.01).sin());
        into.push(&sample);
        (into.measured_at, into.arrived_at) = (Instant::from_seconds(self.at), Instant::from_seconds(self.at));
        self.given += 1;
        Ok(Pull::Data)
    }
    fn begins_run(&self) -> bool {
        self.series.is_some_and(|series| self.given == series + 1)
    }
}

/// Somebody listens.
struct Port;

impl FramePort for Port {
    fn send(&self, _: Outgoing) {}
}

/// Runs a whole lane on this thread: the runs of the blocks that came out, and what was allocated by every pull.
fn run(pulls: usize, hole: (usize, f64), is_target: bool) -> (Vec<u32>, Vec<u64>, Session) {
    run_series(pulls, hole, is_target, None)
}

fn run_series(
    pulls: usize,
    hole: (usize, f64),
    is_target: bool,
    series: Option<usize>,
) -> (Vec<u32>, Vec<u64>, Session) {
    let session = Session::new("lane", Arc::new(MonotonicClock));
    let context =
        LaneContext::new(session.clone(), Arc::new(Port), Arc::new(NoOutlets), Arc::new(Status::default()), None);
    let metrics = Metrics::new("lane").unwrap();
    let stats: Arc<SourceStats> = Arc::default();
    let allocated = Arc::new(Mutex::new(Vec::with_capacity(pulls + 1)));
    let regions = Arc::new(Regions::new((0..REGIONS).map(|r| format!("r{r}")).collect(), Unit::ZScore));
    let (mut giver, taker) = swap();
    giver.offer(Box::new(Weights {
        snapshot: Snapshot::new(CHANNELS, REGIONS),
        regions,
        model: ModelStamp::default(),
        skill: vec![0.0; REGIONS],
        period: 0.1,
        after_stamp: 0.1,
        least_known: 0.5,
        warming_up: false,
    }));
    let (rows, _rows) = link(16, Row::default, Wake::new());
    let (heard, listening) = (Arc::new(Mutex::new(None::<LinkReceiver<Block>>)), pulls);
    let door = Arc::clone(&heard);
    let (noted, opened) = (Arc::clone(&allocated), spec());
    let lane = SourceLane {
        name: "eeg".into(),
        open: Box::new(move |_| {
            let allocated = Arc::clone(&noted);
            Ok(Box::new(Script {
                spec: opened.clone(),
                pulls: listening,
                hole,
                series,
                given: 0,
                at: 100.0,
                allocated,
            }))
        }),
        stages: Box::new(|| {
            let chain = ["bandpass = { low = 1.0, high = 40.0, order = 4 }", "reference = \"average\""];
            let build = |text: &&str| signal::build(&toml::from_str::<SignalConfig>(text).unwrap());
            Ok(chain.iter().map(build).collect::<Vec<Box<dyn Stage>>>())
        }),
        stats: Arc::clone(&stats),
        counts_itself: false,
        consumers: vec![Consumer {
            connect: Box::new(move |_, blocks| *door.lock().unwrap() = Some(blocks)),
            wake: Wake::new(),
        }],
        decoders: vec![InstantDecoder {
            name: "regions".into(),
            weights: taker,
            rows,
            metrics: metrics.predictor("regions"),
        }],
        run_gap: 30.0,
        is_target,
        processor: None,
        metrics: metrics.source("eeg", stats, session.clock()),
    };
    lane.run(&context);
    let mut blocks = heard.lock().unwrap().take().unwrap();
    let runs = std::iter::from_fn(|| blocks.receive().map(|block| block.run)).collect();
    let allocated = allocated.lock().unwrap().clone();
    (runs, allocated, session)
}

#[test]
fn a_lane_that_runs_allocates_nothing() {
    let (_, allocated, _) = run(2000, (1500, 0.2), false);
    assert_eq!(allocated.len(), 2001);
    // The first predictions grow the rows that are on their way; then nothing, not at a gap either.
    assert_eq!(allocated[2000], allocated[200], "{} allocations", allocated[2000] - allocated[200]);
    assert!(allocated[0] > 0, "the counter counts");
}

#[test]
fn a_long_silence_of_a_target_is_everybodys_new_run_and_that_of_another_source_its_own() {
    let (runs, _, session) = run(100, (50, 40.0), true);
    assert_eq!((runs[49], runs[50], session.run_at(Instant::from_seconds(1e6))), (0, 1, 1));
    let (runs, _, session) = run(100, (50, 40.0), false);
    assert_eq!((runs[49], runs[50], session.run_at(Instant::from_seconds(1e6))), (0, 0, 0));
    let (runs, _, session) = run(100, (50, 20.0), true);
    assert_eq!((runs[50], session.run_at(Instant::from_seconds(1e6))), (0, 0), "not longer than run_gap");
}

#[test]
fn a_series_begins_a_run_without_any_silence() {
    let (runs, _, session) = run_series(100, (usize::MAX, 0.0), true, Some(60));
    assert_eq!((runs[59], runs[60], runs[99]), (0, 1, 1));
    assert_eq!(session.run_at(Instant::from_seconds(1e6)), 1, "everybody's, where it is a target");
    let (runs, _, session) = run_series(100, (usize::MAX, 0.0), false, Some(60));
    assert_eq!((runs[60], session.run_at(Instant::from_seconds(1e6))), (0, 0), "else its own alone");
}

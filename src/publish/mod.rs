//! Who hears about it? Region frames on their way to clients.
//!
//! Two ways out. An [`Outlet`] is written on the very lane that made the values: LSL, where every hand-off between
//! threads would cost more than the decoding. Everything else takes [`Outgoing`] messages from a [`FramePort`] and
//! serves its clients from the service.
//!
//! **Invariant.** Neither ever waits for a client.

pub mod jsonl;
pub mod lsl;
mod outlets;
pub mod wire;

use std::sync::Arc;

pub use outlets::LslLanes;

use crate::frame::{
    FrameKind, Identification, Instant, ModelStamp, NetworkFrame, OutcomeFrame, Quality, QualityFrame, RegionFrame,
    Regions,
};

/// What goes to every sink that lives in the service.
#[derive(Clone, Debug)]
pub enum Outgoing {
    /// The names behind the values; sent before the first frame that needs them, and again to every new client.
    Regions(Arc<Regions>),
    /// Values.
    Frame(Arc<RegionFrame>),
    /// Which stimulus it was.
    Identification(Arc<Identification>),
    /// How regions are connected.
    Network(Arc<NetworkFrame>),
    /// What a model says of that.
    Outcome(Arc<OutcomeFrame>),
    /// How good a volume was.
    Quality(Arc<QualityFrame>),
}

/// Takes frames from any lane without ever blocking it: a full queue drops its oldest entry and counts that.
pub trait FramePort: Send + Sync {
    /// Hands one message over.
    fn send(&self, message: Outgoing);

    /// Whether anybody listens: a lane that makes a thousand frames a second need not make them for nobody.
    fn wanted(&self) -> bool {
        true
    }

    /// Whether anybody asks for every edge of networks, which are many.
    fn wants_edges(&self) -> bool {
        false
    }
}

/// What goes with a row of values.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct RowStamp {
    /// The time the values speak of: the sample's time stamp on the wire.
    pub t_target: Instant,
    /// When the newest thing that went in was measured.
    pub t_measured: Instant,
    /// What is wrong with it.
    pub quality: Quality,
}

/// Takes rows of values on the lane that makes them.
pub trait Outlet {
    /// One value a region.
    fn values(&mut self, values: &[f32], stamp: RowStamp);
    /// Prequential R, one value a region; sent when it changes.
    fn skill(&mut self, skill: &[f32]);
}

/// What a model says of networks, for whoever opens an outlet for it.
#[derive(Clone, Copy, Debug)]
pub struct Outcomes<'a> {
    /// The network's name in the configuration.
    pub network: &'a str,
    /// The model's classes, in the order of their probabilities; empty for a model of a number.
    pub classes: &'a [String],
    /// The model.
    pub model: &'a ModelStamp,
    /// Seconds of a full window.
    pub window_s: f64,
}

/// Opens outlets; shared by all lanes, while an outlet stays on one.
pub trait OpenOutlets: Send + Sync {
    /// An outlet for these frames, unless none is wanted. `rate` in Hz, 0 for irregular.
    fn open(&self, predictor: &str, kind: FrameKind, regions: &Regions, rate: f64) -> Option<Box<dyn Outlet>>;

    /// An outlet for the probabilities of classes, one a class, or for a number, unless none is wanted.
    fn open_outcomes(&self, _outcomes: &Outcomes<'_>) -> Option<Box<dyn Outlet>> {
        None
    }
}

/// Opens none: replay, and configurations without outlets.
#[derive(Clone, Copy, Debug, Default)]
pub struct NoOutlets;

impl OpenOutlets for NoOutlets {
    fn open(&self, _: &str, _: FrameKind, _: &Regions, _: f64) -> Option<Box<dyn Outlet>> {
        None
    }
}

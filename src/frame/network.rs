//! How are regions connected just now, and what does that say? `neurod.network_frame.v1` and `neurod.outcome_frame.v1`.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use super::{ClockStamp, Instant, ModelStamp, Quality};

/// The kind of connectivity that is a displacement from a reference.
pub const TANGENT: &str = "tangent";

/// What is the same for the frames of one window.
#[derive(Clone, Debug, Serialize)]
pub struct WindowStamp {
    /// The session's id.
    pub session: Arc<str>,
    /// The run, from 0.
    pub run: u32,
    /// Counts the frames of this network and schema from 0. A hole is a dropped frame.
    pub seq: u64,
    /// The network's name in the configuration.
    pub network: Arc<str>,
    /// The newest sample of the window: the time the frame speaks of.
    pub t_target: Instant,
    /// The newest sample that went in.
    pub t_measured: Instant,
    /// When that arrived.
    pub t_arrived: Instant,
    /// When this frame was made.
    pub t_published: Instant,
    /// The clock of the four times.
    pub clock: ClockStamp,
    /// `t_published` − `t_measured`.
    pub age_s: f64,
    /// How long a full window is, in seconds.
    pub window_s: f64,
    /// How many samples are in the window.
    pub samples: usize,
    /// Everything that was wrong with what is in the window.
    pub quality: Quality,
}

/// One message of a connectome: schema `neurod.network_frame.v1` (`schemas/network_frame.v1.json`).
#[derive(Clone, Debug, Serialize)]
pub struct NetworkFrame {
    /// Always [`NetworkFrame::SCHEMA`].
    pub schema: &'static str,
    /// Which window.
    #[serde(flatten)]
    pub window: WindowStamp,
    /// Which [`Regions`](super::Regions) the nodes are.
    pub regions_id: Arc<str>,
    /// What an edge is: `pearson`, `spearman`, `partial`, `covariance`, `precision`, `tangent`.
    pub kind: &'static str,
    /// How the covariance under it was shrunk: `none`, or `ledoit-wolf`.
    pub shrinkage: &'static str,
    /// Whether edges are inverse hyperbolic tangents (Fisher's z).
    pub fisher_z: bool,
    /// The sum of each node's edges.
    #[serde(serialize_with = "null_where_not_finite")]
    pub strength: Vec<f32>,
    /// N(N−1)/2 edges, row by row: (0, 1), (0, 2), …, (1, 2), …; there only if somebody had asked for them, and written only for
    /// those who ask.
    #[serde(skip)]
    pub edges: Option<Arc<[f32]>>,
    /// Whether JSON lines are among those who ask.
    #[serde(skip)]
    pub lines_hold_edges: bool,
}

impl NetworkFrame {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "neurod.network_frame.v1";

    /// This frame, to be written with its edges; none where nobody had asked when it was made.
    pub fn with_edges(&self) -> Option<WithEdges<'_>> {
        self.edges.as_deref().map(|edges| WithEdges { frame: self, edges })
    }
}

/// A [`NetworkFrame`] that is written with its edges.
#[derive(Debug, Serialize)]
pub struct WithEdges<'a> {
    #[serde(flatten)]
    frame: &'a NetworkFrame,
    #[serde(serialize_with = "null_where_not_finite")]
    edges: &'a [f32],
}

/// One answer of a model of networks: schema `neurod.outcome_frame.v1` (`schemas/outcome_frame.v1.json`).
#[derive(Clone, Debug, Serialize)]
pub struct OutcomeFrame {
    /// Always [`OutcomeFrame::SCHEMA`].
    pub schema: &'static str,
    /// Which window.
    #[serde(flatten)]
    pub window: WindowStamp,
    /// The classes in the order of their probabilities; empty for a model of a number.
    pub classes: Arc<[String]>,
    /// The calibrated probability of each class, which sum to 1; empty for a model of a number, and while it has not
    /// answered yet.
    pub probabilities: Vec<f32>,
    /// The most probable class, if there is an answer of classes.
    pub predicted: Option<String>,
    /// The number, of a model of a number.
    pub value: Option<f32>,
    /// The model that made it.
    pub model: ModelStamp,
}

impl OutcomeFrame {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "neurod.outcome_frame.v1";
}

fn null_where_not_finite<S: Serializer>(values: &[f32], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_seq(values.iter().map(|v| v.is_finite().then_some(*v)))
}

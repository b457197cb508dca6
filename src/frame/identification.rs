//! Which stimulus was it? `neurod.identification.v1`: candidates ranked by how likely they make what was measured.

use std::sync::Arc;

use serde::Serialize;

use super::{ClockStamp, Instant, ModelStamp, Quality};

/// One message of a ranking: schema `neurod.identification.v1` (`schemas/identification.v1.json`).
#[derive(Clone, Debug, Serialize)]
pub struct Identification {
    /// Always [`Identification::SCHEMA`].
    pub schema: &'static str,
    /// The session's id.
    pub session: Arc<str>,
    /// The run, from 0.
    pub run: u32,
    /// Counts the messages of this identification from 0.
    pub seq: u64,
    /// Its name in the configuration.
    pub identification: Arc<str>,
    /// The predictor whose model ranks.
    pub predictor: Arc<str>,
    /// The onset of the stimulus that is asked about.
    pub t_target: Instant,
    /// The newest volume that went in.
    pub t_measured: Instant,
    /// When that arrived.
    pub t_arrived: Instant,
    /// When this was made.
    pub t_published: Instant,
    /// The clock of the four times.
    pub clock: ClockStamp,
    /// How many volumes went in so far.
    pub volumes: u32,
    /// Whether no later volume can tell more.
    pub complete: bool,
    /// The first 16 hex digits of a hash over the candidates' names and features.
    pub candidates_id: Arc<str>,
    /// The most likely candidate.
    pub best: Arc<str>,
    /// All of them, the most likely first.
    pub ranking: Vec<RankedCandidate>,
    /// The place of what was shown, from 1, where it is among the candidates: looked up once the ranking is made.
    pub rank_of_shown: Option<f64>,
    /// Everything that was wrong with what went in.
    pub quality: Quality,
    /// The model that ranks, as it was before the first of the volumes.
    pub model: ModelStamp,
}

/// One candidate.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct RankedCandidate {
    /// Its name.
    pub id: Arc<str>,
    /// The log-likelihood of the measured volumes, without what is the same for every candidate.
    pub log_likelihood: f64,
    /// Its share of the likelihood of all candidates, each as likely beforehand.
    pub p: f64,
}

impl Identification {
    /// The schema's name and version.
    pub const SCHEMA: &'static str = "neurod.identification.v1";
}

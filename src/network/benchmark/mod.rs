//! Which model reads most from these networks? Every model on the same folds, its settings chosen inside them, beside no model at all.
//!
//! A fold's test samples choose nothing: settings are chosen on inner folds of its training samples, and a training is stopped by
//! training participants that were held back. Each model and fold is one job on one core, whose outcome depends on its settings, the
//! data and the seed alone, and is kept, so that what was killed goes on where it stopped.

mod job;
mod models;
mod picture;
mod report;
mod standing;

pub use job::{Keep, Learned, Outcome, Plan, Told, run};
pub use models::{ENTRIES, Entry, Family, Learns, Make, Model, Needs, all, by_name, made};
pub use report::Report;
pub use standing::{Behind, DRAWS, FoldScores, Standing, Summed, standings};

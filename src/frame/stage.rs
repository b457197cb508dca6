//! One real-time step: blocks in, blocks out, nothing allocated.

use thiserror::Error;

use super::{Block, BlockSpec};

/// One real-time step of a chain.
///
/// [`prepare`](Stage::prepare) is the only place that may allocate; it checks shapes once, so that
/// [`process`](Stage::process) cannot fail. What goes wrong with data is said in flags and masks.
pub trait Stage: Send {
    /// The step's name in metrics and in `neurod check`.
    fn name(&self) -> &'static str;

    /// Gets ready for blocks of this shape and says what shape comes out. Called once, before the first block.
    fn prepare(&mut self, input: &BlockSpec) -> Result<BlockSpec, PrepareError>;

    /// Turns `input` into `output`, which has the shape that `prepare` promised. The output may be empty (a hop is not
    /// complete yet). However a stream is cut into blocks, the samples that come out are the same.
    fn process(&mut self, input: &Block, output: &mut Block);

    /// Forgets every sample seen, as if just prepared.
    fn reset(&mut self);

    /// Samples are missing before the next block. Most steps cannot carry their state over the hole and begin anew;
    /// those whose state belongs to the run keep it.
    fn gap(&mut self) {
        self.reset();
    }

    /// A new run begins: detrending and warm-up start anew. Most steps carry on, as a filter does.
    fn new_run(&mut self) {}
}

/// A step cannot work on what the step before it sends.
#[derive(Debug, Error, PartialEq)]
#[error("stage \"{stage}\": {problem}")]
pub struct PrepareError {
    /// The step's name.
    pub stage: &'static str,
    /// What does not fit, and what to change.
    pub problem: String,
}

impl PrepareError {
    /// What `stage` cannot do, and the mend.
    pub fn new(stage: &'static str, problem: impl Into<String>) -> Self {
        Self { stage, problem: problem.into() }
    }
}

//! The lane that turns rows of instant predictors into frames, so that their own lane allocates nothing.

use std::sync::Arc;
use std::time::Duration;

use super::decoder::Row;
use super::lanes::LaneContext;
use super::session::FrameOf;
use crate::frame::{FrameKind, Quality};
use crate::ring::LinkReceiver;

/// How long the lane sleeps between two looks. Nobody rings for it: a wake-up for every sample would cost a source's
/// lane more than predicting it does, and whoever reads these frames over a socket does not feel the wait.
const NAP: Duration = Duration::from_millis(5);

/// What the publishing lane is made of.
pub struct PublishLane {
    /// Each instant predictor's name and rows.
    pub rows: Vec<(Arc<str>, LinkReceiver<Row>)>,
}

impl PublishLane {
    /// Runs until told to stop and everything that was sent has been published.
    pub fn run(mut self, context: &LaneContext) {
        loop {
            let stopping = context.stopping();
            let mut busy = false;
            for (name, rows) in &mut self.rows {
                while let Some(row) = rows.receive() {
                    busy = true;
                    let Some((regions, model)) = &row.of else { continue };
                    let of = FrameOf {
                        predictor: name,
                        kind: FrameKind::Decoded,
                        seq: row.seq,
                        run: row.run,
                        t_target: row.target,
                        t_measured: row.measured_at,
                        t_arrived: row.arrived_at,
                        regions,
                        quality: if row.after_loss() { row.quality | Quality::DROPPED_BEFORE } else { row.quality },
                        model,
                    };
                    let frame = context.session.frame(&of, row.values.clone(), Some(row.skill.clone()));
                    context.publish(frame, regions, row.rate);
                }
            }
            if !busy {
                if stopping {
                    return;
                }
                std::thread::sleep(NAP);
            }
        }
    }
}

//! The lane that turns rows of instant predictors into frames, so that their own lane allocates nothing.

use std::sync::Arc;
use std::time::Duration;

use super::decoder::Row;
use super::lanes::LaneContext;
use super::session::FrameOf;
use crate::frame::FrameKind;
use crate::publish::Outgoing;
use crate::ring::{LinkReceiver, Wake};

/// How long the lane sleeps when nobody rings.
const NAP: Duration = Duration::from_millis(100);

/// What the publishing lane is made of.
pub struct PublishLane {
    /// Each instant predictor's name and rows.
    pub rows: Vec<(Arc<str>, LinkReceiver<Row>)>,
    /// The lane's bell.
    pub wake: Arc<Wake>,
}

impl PublishLane {
    /// Runs until told to stop and everything that was sent has been published.
    pub fn run(mut self, context: &LaneContext) {
        self.wake.attach();
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
                        quality: row.quality,
                        model,
                    };
                    let frame = context.session.frame(&of, row.values.clone(), Some(row.skill.clone()));
                    context.port.send(Outgoing::Frame(Arc::new(frame)));
                }
            }
            if !busy {
                if stopping {
                    return;
                }
                self.wake.sleep(NAP);
            }
        }
    }
}

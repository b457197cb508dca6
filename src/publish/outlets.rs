//! Opens LSL outlets on the lanes that make the frames.

use std::sync::Arc;

use super::lsl::{LslOutletConfig, LslOutlets, MOST_CHANNELS, OutletError, OutletSpec};
use super::{OpenOutlets, Outcomes, Outlet, RowStamp};
use crate::frame::{Clock, FrameKind, Regions};

/// Opens outlets for the kinds of frame that the configuration names.
pub struct LslLanes {
    config: LslOutletConfig,
    session: Arc<str>,
    clock: Arc<dyn Clock>,
}

impl LslLanes {
    /// Outlets of this configuration, in this session.
    pub fn new(config: LslOutletConfig, session: Arc<str>, clock: Arc<dyn Clock>) -> Self {
        Self { config, session, clock }
    }
}

impl OpenOutlets for LslLanes {
    fn open(&self, predictor: &str, kind: FrameKind, regions: &Regions, rate: f64) -> Option<Box<dyn Outlet>> {
        if !self.config.kinds.contains(&kind) {
            return None;
        }
        let values = regions.names.len();
        if values > MOST_CHANNELS {
            let instead = "read it from the WebSocket with format=binary";
            tracing::warn!(predictor, kind = kind.as_str(), values, instead, "too many values for an LSL outlet");
            return None;
        }
        let spec = OutletSpec { predictor, kind, regions, rate, session: &self.session, model: predictor };
        self.opened(LslOutlets::open(&self.config, &spec))
    }

    fn open_outcomes(&self, outcomes: &Outcomes<'_>) -> Option<Box<dyn Outlet>> {
        match self.config.outcomes {
            true => self.opened(LslOutlets::open_outcomes(&self.config, outcomes, &self.session)),
            false => None,
        }
    }
}

impl LslLanes {
    fn opened(&self, opened: Result<LslOutlets, OutletError>) -> Option<Box<dyn Outlet>> {
        match opened {
            Ok(outlets) => Some(Box::new(LslOutlet { outlets, clock: Arc::clone(&self.clock), failing: false })),
            Err(error) => {
                tracing::error!(%error, "no LSL outlet; other sinks go on");
                None
            }
        }
    }
}

struct LslOutlet {
    outlets: LslOutlets,
    clock: Arc<dyn Clock>,
    failing: bool,
}

impl LslOutlet {
    fn note(&mut self, pushed: Result<(), OutletError>) {
        match pushed {
            Ok(()) => self.failing = false,
            Err(error) if !std::mem::replace(&mut self.failing, true) => tracing::error!(%error, "an LSL push failed"),
            Err(_) => {}
        }
    }
}

impl Outlet for LslOutlet {
    fn values(&mut self, values: &[f32], stamp: RowStamp) {
        let at = stamp.t_target.seconds();
        let pushed = self.outlets.push_values(values, at);
        self.note(pushed);
        let age = self.clock.now() - stamp.t_measured;
        let pushed = self.outlets.push_quality(stamp.quality, age, at);
        self.note(pushed);
    }

    fn skill(&mut self, skill: &[f32]) {
        let pushed = self.outlets.push_skill(skill, self.clock.now().seconds());
        self.note(pushed);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{Unit, VirtualClock};

    #[test]
    fn very_many_voxels_never_become_lsl_labels() {
        let lanes = LslLanes::new(LslOutletConfig::default(), "test".into(), Arc::new(VirtualClock::default()));
        let names = (0..=MOST_CHANNELS).map(|v| v.to_string()).collect();
        assert!(lanes.open("voxels", FrameKind::Encoded, &Regions::new(names, Unit::ZScore), 0.5).is_none());
    }
}

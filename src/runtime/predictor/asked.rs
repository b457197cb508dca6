//! Which stimulus was it? What a predictor is asked of its events, answered volume by volume.

use super::Predictor;
use crate::frame::{Block, Identification, Instant, Quality};
use crate::runtime::features::Features;
use crate::runtime::identifier::{Identifier, Measured, Stamp};

impl Predictor {
    /// From now on these rank their candidates for every event.
    pub fn identify_with(&mut self, identifiers: Vec<Identifier>) {
        self.identifiers = identifiers;
    }

    /// What was answered since this was last asked.
    pub fn take_identified(&mut self) -> Vec<Identification> {
        std::mem::take(&mut self.identified)
    }

    /// Features of an event that came to this input open a trial.
    pub(super) fn ask_about(&mut self, input: usize, features: &Features) {
        if self.inputs.get(input).is_some_and(|input| input.spec.hop.is_none()) {
            self.identifiers.iter_mut().for_each(|identifier| identifier.shown(input, features));
        }
    }

    /// Ranks by the volume at `at`, whose row, prediction and target are in place, before it is learned from.
    pub(super) fn identify(&mut self, block: &Block, at: Instant, quality: Quality) {
        if !self.known {
            return;
        }
        let now = Measured {
            at,
            period: self.period,
            arrived_at: block.arrived_at,
            run: block.run,
            quality,
            row: &self.row,
            prediction: &self.prediction,
            target: &self.target,
        };
        let stamp = Stamp { session: &self.session, predictor: &self.name, model: &self.model };
        for identifier in &mut self.identifiers {
            identifier.volume(&now, &self.lags, &self.learner, &stamp, &mut self.identified);
        }
    }
}

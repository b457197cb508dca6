//! Which regions answer to what by now? t of contrasts of the predictor's row, as frames after every volume.

use std::sync::Arc;

use super::Predictor;
use crate::fmri::{FmriError, Glm, GlmConfig};
use crate::frame::{Block, FrameKind, Instant, Quality, RegionFrame, Regions, Unit};
use crate::runtime::session::FrameOf;

/// A general linear model beside the ridge, on the same rows and volumes.
pub(super) struct Contrasts {
    glm: Glm,
    /// `PREDICTOR.CONTRAST`, what their frames are called.
    names: Vec<Arc<str>>,
    regions: Arc<Regions>,
    seq: u64,
    t: Vec<f64>,
}

impl Contrasts {
    /// Of a predictor of this name, whose row has `width` columns.
    ///
    /// # Errors
    /// As [`Glm::new`].
    pub fn new(
        predictor: &str,
        config: &GlmConfig,
        width: usize,
        regions: &Regions,
        period: f64,
    ) -> Result<Self, FmriError> {
        let glm = Glm::new(config, width, regions.names.len(), period)?;
        let names = glm.contrasts().map(|contrast| format!("{predictor}.{contrast}").into()).collect();
        let t = vec![0.0; regions.names.len()];
        Ok(Self { glm, names, regions: Arc::new(Regions::new(regions.names.clone(), Unit::TValue)), seq: 0, t })
    }

    /// A new run begins.
    pub fn new_run(&mut self) {
        self.glm.new_run();
    }
}

impl Predictor {
    /// The names behind the values of its contrasts, if it has any.
    pub fn contrast_regions(&self) -> Option<&Arc<Regions>> {
        self.contrasts.as_ref().map(|contrasts| &contrasts.regions)
    }

    /// Takes a volume into the model, where all that its row looks at is known, and tells every contrast.
    pub(super) fn contrast(
        &mut self,
        block: &Block,
        sample: usize,
        at: Instant,
        quality: Quality,
        mut emit: impl FnMut(RegionFrame),
    ) {
        let stamp = at + self.volume_time.fraction() * self.period;
        let (newest, run) = (self.newest.unwrap_or((at, at)), self.run.unwrap_or(0));
        let Some(Contrasts { glm, names, regions, seq, t }) = &mut self.contrasts else { return };
        // What was not measured must not be taken for zero.
        let row: &[f64] = if self.known { &self.row } else { &[] };
        glm.observe(row, block, sample);
        for (contrast, name) in names.iter().enumerate() {
            glm.t(contrast, t);
            let values: Vec<f32> = t.iter().map(|v| *v as f32).collect();
            let warming = values.iter().all(|v| v.is_nan());
            let of = FrameOf {
                predictor: name,
                kind: FrameKind::Contrast,
                seq: *seq,
                run,
                t_target: stamp,
                t_measured: newest.0,
                t_arrived: newest.1,
                regions,
                quality: if warming { quality | Quality::WARMING_UP } else { quality },
                model: &self.model,
            };
            emit(self.session.frame(&of, values, None));
        }
        *seq += 1;
    }
}

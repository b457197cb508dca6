//! How do the frames of a predictor become samples of a network? One a frame, with its flags; a hole in their time is a gap.
//!
//! A volume that is foretold may be foretold again before it comes: its last `encoded` frame counts, and is taken in when the next
//! volume is spoken of.

use std::sync::Arc;

use super::lane_infer::{InferInbox, InferMessage};
use crate::frame::{Block, BlockSpec, Channel, FrameKind, Instant, Quality, RegionFrame, Regions};

/// Where frames of a predictor go besides being published: to a network of its regions.
#[derive(Clone)]
pub struct Tap {
    /// The predictor's name.
    pub predictor: Arc<str>,
    /// The letter box of the network's lane.
    pub inbox: Arc<InferInbox>,
}

impl Tap {
    /// From the predictor of this name to the lane of this letter box.
    pub fn new(predictor: &str, inbox: &Arc<InferInbox>) -> Self {
        Self { predictor: predictor.into(), inbox: Arc::clone(inbox) }
    }

    /// Hands a frame on, if it is one. What a slow lane loses is a hole in the frames' numbers.
    pub fn frame(&self, frame: &Arc<RegionFrame>, regions: &Arc<Regions>, rate: f64) {
        if is_prediction(frame) && self.predictor == frame.predictor {
            self.inbox.post(InferMessage::Predicted(Arc::clone(frame), Arc::clone(regions), rate));
        }
    }
}

/// Whether a frame says what a predictor expects: `encoded` or `decoded`.
pub(super) fn is_prediction(frame: &RegionFrame) -> bool {
    matches!(frame.kind, FrameKind::Encoded | FrameKind::Decoded)
}

/// Frames of one predictor on their way into a window.
pub struct Predicted {
    spec: BlockSpec,
    regions: Arc<Regions>,
    block: Block,
    values: Vec<f64>,
    /// The newest frame of a volume that may be foretold again, and whether one was lost before it.
    held: Option<(Arc<RegionFrame>, bool)>,
    seq: Option<u64>,
    newest: Option<(u32, Instant)>,
    /// Whether a frame was lost whose successors gave no sample yet.
    owed: bool,
    /// Whether the newest frame was flagged with a gap.
    gapped: bool,
}

impl Predicted {
    /// Of frames of these regions, `rate` a second.
    pub fn new(regions: Arc<Regions>, rate: f64) -> Self {
        let spec = BlockSpec::new(Channel::numbered("REGION", regions.names.len(), regions.unit), rate, 1);
        let (block, values) = (Block::new(&spec), vec![0.0; regions.names.len()]);
        Self { spec, regions, block, values, held: None, seq: None, newest: None, owed: false, gapped: false }
    }

    /// The shape of its samples.
    pub fn spec(&self) -> &BlockSpec {
        &self.spec
    }

    /// The names behind them.
    pub fn regions(&self) -> &Arc<Regions> {
        &self.regions
    }

    /// Takes in a frame; a sample, if one is certain now.
    pub fn frame(&mut self, frame: Arc<RegionFrame>) -> Option<&Block> {
        let lost = self.seq.replace(frame.seq).is_some_and(|seq| frame.seq != seq + 1);
        if frame.kind == FrameKind::Decoded {
            return self.sample(&frame, lost);
        }
        let again = |(held, _): &(Arc<RegionFrame>, bool)| {
            held.run == frame.run && (frame.t_target - held.t_target).abs() < 0.5 * self.spec.period()
        };
        match self.held.take() {
            Some(held) if again(&held) => {
                self.held = Some((frame, held.1 || lost));
                None
            }
            Some((held, lost_before)) => {
                self.held = Some((frame, lost));
                self.sample(&held, lost_before)
            }
            None => {
                self.held = Some((frame, lost));
                None
            }
        }
    }

    fn sample(&mut self, frame: &RegionFrame, lost: bool) -> Option<&Block> {
        let lost = std::mem::take(&mut self.owed) || lost;
        let after = match self.newest {
            Some((run, newest)) if run == frame.run => frame.t_target - newest,
            _ => self.spec.period(),
        };
        // What was said before is said once more where a source fell silent.
        if after <= 0.0 || frame.values.len() != self.values.len() {
            self.owed = lost;
            return None;
        }
        // Every frame whose features reach back to a gap is flagged with it; it is one gap all the same.
        let gapped = frame.quality.contains(Quality::GAP);
        let again = std::mem::replace(&mut self.gapped, gapped) && self.newest.is_some_and(|(run, _)| run == frame.run);
        self.newest = Some((frame.run, frame.t_target));
        self.block.clear();
        self.values.iter_mut().zip(&frame.values).for_each(|(into, value)| *into = f64::from(*value));
        self.block.push(&self.values);
        for (region, value) in frame.values.iter().enumerate() {
            self.block.bad.set(region, !value.is_finite());
        }
        (self.block.run, self.block.seq) = (frame.run, frame.seq);
        (self.block.measured_at, self.block.arrived_at) = (frame.t_target, frame.t_arrived);
        self.block.quality = if again { frame.quality.without(Quality::GAP) } else { frame.quality };
        if after > 1.5 * self.spec.period() {
            self.block.quality |= Quality::GAP;
        }
        if lost {
            self.block.quality |= Quality::GAP | Quality::DROPPED_BEFORE;
        }
        Some(&self.block)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{ClockStamp, ModelStamp, Unit};

    fn frame(kind: FrameKind, run: u32, seq: u64, at: f64, values: &[f32]) -> Arc<RegionFrame> {
        let at = Instant::from_seconds(at);
        Arc::new(RegionFrame {
            schema: RegionFrame::SCHEMA,
            session: "s".into(),
            run,
            seq,
            predictor: "p".into(),
            kind,
            t_target: at,
            t_measured: at,
            t_arrived: at,
            t_published: at,
            clock: ClockStamp { name: "virtual", unix_offset: 0.0 },
            age_s: 0.0,
            unit: Unit::ZScore,
            regions_id: "r".into(),
            values: values.to_vec(),
            skill: None,
            quality: Quality::MOTION,
            model: ModelStamp::default(),
        })
    }

    fn predicted() -> Predicted {
        Predicted::new(Arc::new(Regions::new(vec!["a".into(), "b".into()], Unit::ZScore)), 0.5)
    }

    #[test]
    fn a_volume_that_is_foretold_again_is_taken_in_once_by_its_last_word() {
        let mut predicted = predicted();
        let mut take = |seq, at, value| {
            let block = predicted.frame(frame(FrameKind::Encoded, 0, seq, at, &[value, 0.0]));
            block.map(|block| (block.measured_at.seconds(), block.sample(0)[0], block.quality))
        };
        assert_eq!(take(0, 2.0, 1.0), None);
        assert_eq!(take(1, 2.1, 1.5), None);
        assert_eq!(take(2, 4.0, 2.0), Some((2.1, 1.5, Quality::MOTION)));
        assert_eq!(take(3, 6.0, 3.0), Some((4.0, 2.0, Quality::MOTION)));
        // Frame 4 was lost, and with it a volume.
        let gap = Quality::MOTION | Quality::GAP | Quality::DROPPED_BEFORE;
        assert_eq!(take(5, 10.0, 5.0), Some((6.0, 3.0, Quality::MOTION)));
        assert_eq!(take(6, 12.0, 6.0), Some((10.0, 5.0, gap)));
    }

    #[test]
    fn a_hole_in_time_is_a_gap_a_run_is_none_and_what_is_not_finite_is_missing() {
        let mut predicted = predicted();
        let mut take = |run, seq, at, value| {
            let block = predicted.frame(frame(FrameKind::Decoded, run, seq, at, &[value, 0.0]));
            block.map(|block| (block.quality.contains(Quality::GAP), block.bad.contains(0)))
        };
        assert_eq!(take(0, 0, 2.0, 1.0), Some((false, false)));
        assert_eq!(take(0, 1, 4.0, f32::NAN), Some((false, true)));
        assert_eq!(take(0, 2, 4.0, 1.0), None, "said once more");
        assert_eq!(take(0, 3, 9.0, 1.0), Some((true, false)));
        assert_eq!(take(1, 4, 100.0, 1.0), Some((false, false)));
    }
}

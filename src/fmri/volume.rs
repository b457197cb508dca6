//! Which volume of the run is this? Counted, and over a gap told from the time stamps.

use crate::frame::{Block, Instant, Quality};

/// Numbers the volumes of a run. After a gap the number takes the missing volumes into account, so that a trend over
/// volumes stays a trend over time.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct VolumeCount {
    period: f64,
    next: u64,
    last: Option<Instant>,
}

impl VolumeCount {
    /// Of volumes that come every `period` seconds; 0 where that is unknown, then a gap counts for nothing.
    pub(super) fn every(period: f64) -> Self {
        Self { period, next: 0, last: None }
    }

    /// The next volume is the run's first.
    pub(super) fn restart(&mut self) {
        *self = Self::every(self.period);
    }

    /// The number of sample `index` of `block`, from 0. Call once for every sample, in order.
    pub(super) fn number(&mut self, block: &Block, index: usize) -> u64 {
        let at = block.time_of(index, self.period);
        if let (true, 0, Some(last)) = (block.quality.contains(Quality::GAP) && self.period > 0.0, index, self.last) {
            self.next += ((at - last) / self.period - 1.0).round().max(0.0) as u64;
        }
        self.last = Some(at);
        self.next += 1;
        self.next - 1
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::{BlockSpec, Channel, Unit};

    #[test]
    fn missing_volumes_are_counted_and_a_new_run_begins_at_zero() {
        let mut block = Block::new(&BlockSpec::new(Channel::numbered("REGION", 1, Unit::Arbitrary), 0.5, 1));
        block.push(&[0.0]);
        let mut count = VolumeCount::every(2.0);
        let mut number = |seconds: f64, quality| {
            (block.measured_at, block.quality) = (Instant::from_seconds(seconds), quality);
            count.number(&block, 0)
        };
        assert_eq!(number(10.0, Quality::GOOD), 0);
        assert_eq!(number(12.0, Quality::GOOD), 1);
        assert_eq!(number(18.1, Quality::GAP), 4);
        assert_eq!(number(20.0, Quality::GOOD), 5);
        count.restart();
        assert_eq!(count.number(&block, 0), 0);
    }
}

//! The unit of data on every lane: a few samples of every channel, with their time and quality.

use std::sync::Arc;

use super::{Channel, HeadMotion, Instant, Quality, VolumeSignal};

/// What a stream of blocks looks like; fixed while a source is connected.
#[derive(Clone, Debug, PartialEq)]
pub struct BlockSpec {
    /// The columns, in order.
    pub channels: Arc<[Channel]>,
    /// Samples a second; 0 for an irregular stream. For fMRI, 1 / TR.
    pub rate: f64,
    /// The most samples a block can hold.
    pub capacity: usize,
}

impl BlockSpec {
    /// The spec of blocks of up to `capacity` samples of `channels` at `rate` Hz.
    pub fn new(channels: impl Into<Arc<[Channel]>>, rate: f64, capacity: usize) -> Self {
        Self { channels: channels.into(), rate, capacity }
    }

    /// How long one sample lasts, in seconds: the TR of a volume; 0 for an irregular stream.
    pub fn period(&self) -> f64 {
        if self.rate > 0.0 { 1.0 / self.rate } else { 0.0 }
    }

    /// The same channels and rate with another capacity.
    pub fn with_capacity(&self, capacity: usize) -> Self {
        Self { capacity, ..self.clone() }
    }
}

/// Which channels are bad, one bit each.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ChannelMask(Box<[u64]>);

impl ChannelMask {
    /// No channel of `channels` is bad.
    pub fn none(channels: usize) -> Self {
        Self(vec![0; channels.div_ceil(64)].into())
    }

    /// Whether `channel` is bad; one outside the mask is not.
    pub fn contains(&self, channel: usize) -> bool {
        self.0.get(channel / 64).is_some_and(|word| word >> (channel % 64) & 1 == 1)
    }

    /// Marks `channel` as bad or good; one outside the mask is ignored.
    pub fn set(&mut self, channel: usize, bad: bool) {
        if let Some(word) = self.0.get_mut(channel / 64) {
            let bit = 1 << (channel % 64);
            *word = if bad { *word | bit } else { *word & !bit };
        }
    }

    /// Marks every channel as good.
    pub fn clear(&mut self) {
        self.0.fill(0);
    }

    /// How many channels are bad.
    pub fn count(&self) -> usize {
        self.0.iter().map(|w| w.count_ones() as usize).sum()
    }

    /// Whether no channel is bad.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|w| *w == 0)
    }

    /// Takes over the bits of a mask of the same size, without allocating; of another size, what both have.
    pub fn copy_from(&mut self, other: &ChannelMask) {
        for (i, word) in self.0.iter_mut().enumerate() {
            *word = other.0.get(i).copied().unwrap_or(0);
        }
    }
}

/// Up to `capacity` samples of every channel, sample-major (LSL's own order: SIMD runs across channels).
///
/// Allocated once, then refilled: nothing here allocates after [`Block::new`].
#[derive(Clone, Debug, PartialEq)]
pub struct Block {
    data: Box<[f64]>,
    channels: usize,
    len: usize,
    /// Counts the blocks of one source from 0. A hole in the numbers is a dropped block.
    pub seq: u64,
    /// The run these samples belong to. A change means: lags, detrending and warm-up begin anew.
    pub run: u32,
    /// When the device measured the newest sample; for a volume, the start of its acquisition. A sample at `t` spans
    /// `[t, t + period)`.
    pub measured_at: Instant,
    /// When we saw it.
    pub arrived_at: Instant,
    /// What is wrong with any of it.
    pub quality: Quality,
    /// Which channels are wrong; their values mean nothing and may be non-finite.
    pub bad: ChannelMask,
    /// Of a volume that was realigned: where the head lay.
    pub motion: Option<HeadMotion>,
    /// Of a volume that was looked at: how good its signal is.
    pub signal: Option<VolumeSignal>,
}

impl Block {
    /// An empty block with room for `spec.capacity` samples.
    pub fn new(spec: &BlockSpec) -> Self {
        let channels = spec.channels.len();
        Self {
            data: vec![0.0; channels * spec.capacity].into(),
            channels,
            len: 0,
            seq: 0,
            run: 0,
            measured_at: Instant::default(),
            arrived_at: Instant::default(),
            quality: Quality::GOOD,
            bad: ChannelMask::none(channels),
            motion: None,
            signal: None,
        }
    }

    /// How many samples it holds.
    pub fn len(&self) -> usize {
        self.len
    }

    /// Whether it holds no sample: a stage with a hop has nothing to say yet.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// How many samples it could hold.
    pub fn capacity(&self) -> usize {
        self.data.len().checked_div(self.channels).unwrap_or(0)
    }

    /// How many columns it has.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// The samples it holds, `len × channels`.
    pub fn data(&self) -> &[f64] {
        &self.data[..self.len * self.channels]
    }

    /// The samples it holds, to be written.
    pub fn data_mut(&mut self) -> &mut [f64] {
        &mut self.data[..self.len * self.channels]
    }

    /// Sample `index`, one value a channel. Panics past `len`, as a slice does.
    pub fn sample(&self, index: usize) -> &[f64] {
        &self.data()[index * self.channels..(index + 1) * self.channels]
    }

    /// The newest sample, if there is one.
    pub fn newest(&self) -> Option<&[f64]> {
        self.len.checked_sub(1).map(|i| self.sample(i))
    }

    /// The samples in order.
    pub fn samples(&self) -> impl Iterator<Item = &[f64]> {
        self.data().chunks_exact(self.channels.max(1))
    }

    /// Holds `len` samples from now on (at most its capacity); new ones have old values until they are written.
    pub fn set_len(&mut self, len: usize) {
        self.len = len.min(self.capacity());
    }

    /// Appends one sample; false, and nothing done, when it is full or `sample` has another width.
    pub fn push(&mut self, sample: &[f64]) -> bool {
        if sample.len() != self.channels || self.len >= self.capacity() {
            return false;
        }
        let at = self.len * self.channels;
        self.data[at..at + self.channels].copy_from_slice(sample);
        self.len += 1;
        true
    }

    /// Empties it for reuse: no samples, no flags, no bad channels, nothing told of a volume. Times, `seq` and `run` stay until they are set.
    pub fn clear(&mut self) {
        self.len = 0;
        self.quality = Quality::GOOD;
        self.bad.clear();
        (self.motion, self.signal) = (None, None);
    }

    /// Takes over everything about `other` but its samples: number, run, times, flags, and bad channels where the
    /// width is the same.
    pub fn inherit(&mut self, other: &Block) {
        self.seq = other.seq;
        self.run = other.run;
        self.measured_at = other.measured_at;
        self.arrived_at = other.arrived_at;
        self.quality = other.quality;
        (self.motion, self.signal) = (other.motion, other.signal);
        if self.channels == other.channels {
            self.bad.copy_from(&other.bad);
        } else {
            self.bad.clear();
        }
    }

    /// Becomes `other`, samples and all, without allocating: as many of the newest samples as fit.
    pub fn copy_from(&mut self, other: &Block) {
        self.inherit(other);
        self.len = 0;
        if self.channels != other.channels {
            return;
        }
        let kept = other.len.min(self.capacity());
        self.len = kept;
        self.data_mut().copy_from_slice(&other.data()[(other.len - kept) * other.channels..]);
    }

    /// When sample `index` was measured, for a stream of this `period`.
    pub fn time_of(&self, index: usize, period: f64) -> Instant {
        self.measured_at - (self.len.saturating_sub(1 + index)) as f64 * period
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Unit;

    #[test]
    fn a_block_fills_to_its_capacity_and_copies_without_growing() {
        let spec = BlockSpec::new(Channel::numbered("EEG", 2, Unit::Microvolt), 10.0, 3);
        let mut block = Block::new(&spec);
        for i in 0..3 {
            assert!(block.push(&[i as f64, -(i as f64)]));
        }
        assert!(!block.push(&[9.0, 9.0]) && !block.push(&[1.0]));
        block.measured_at = Instant::from_seconds(1.0);
        block.bad.set(1, true);
        assert!((block.time_of(0, 0.1).seconds() - 0.8).abs() < 1e-12);

        let mut small = Block::new(&spec.with_capacity(2));
        small.copy_from(&block);
        assert_eq!((small.len(), small.sample(0)), (2, &[1.0, -1.0][..]));
        assert!(small.bad.contains(1) && !small.bad.contains(0) && !small.bad.contains(1000));
    }
}

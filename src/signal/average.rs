//! What do the last epochs have in common? Their mean, sample by sample, for every channel on its own.

/// The mean of the newest `keep` epochs of every channel. Epochs may be of different length: a sample's mean is over
/// those that reach it.
#[derive(Debug, Default)]
pub(super) struct Average {
    keep: usize,
    length: usize,
    /// Per channel: its epochs, `keep` × `length`, the oldest at `at`; and how long each is.
    epochs: Box<[f64]>,
    lengths: Box<[usize]>,
    at: Box<[usize]>,
    filled: Box<[usize]>,
    /// Per channel and sample: the sum over its epochs, how many there are, and the mean.
    sums: Box<[f64]>,
    counts: Box<[u32]>,
    means: Box<[f64]>,
}

impl Average {
    /// Means over `keep` epochs of up to `length` samples; no epoch yet.
    pub fn new(channels: usize, keep: usize, length: usize) -> Self {
        Self {
            keep,
            length,
            epochs: vec![0.0; channels * keep * length].into(),
            lengths: vec![0; channels * keep].into(),
            at: vec![0; channels].into(),
            filled: vec![0; channels].into(),
            sums: vec![0.0; channels * length].into(),
            counts: vec![0; channels * length].into(),
            means: vec![0.0; channels * length].into(),
        }
    }

    /// How many values such means are made of.
    pub fn size(channels: usize, keep: usize, length: usize) -> usize {
        channels.saturating_mul(length).saturating_mul(keep.saturating_add(3))
    }

    /// Adds an epoch of `channel` (what is longer than `length` is cut off) in the place of its oldest one.
    pub fn learn(&mut self, channel: usize, epoch: &[f64]) {
        let (Some(at), Some(filled)) = (self.at.get_mut(channel), self.filled.get_mut(channel)) else { return };
        let slot = channel * self.keep + *at;
        (*at, *filled) = ((*at + 1) % self.keep, (*filled + 1).min(self.keep));
        let kept = &mut self.epochs[slot * self.length..(slot + 1) * self.length];
        let here = channel * self.length..(channel + 1) * self.length;
        let (sums, counts) = (&mut self.sums[here.clone()], &mut self.counts[here.clone()]);
        for ((sum, count), old) in sums.iter_mut().zip(counts.iter_mut()).zip(&kept[..self.lengths[slot]]) {
            *sum -= old;
            *count -= 1;
        }
        for (((sum, count), kept), new) in sums.iter_mut().zip(counts.iter_mut()).zip(kept).zip(epoch) {
            *sum += new;
            *count += 1;
            *kept = *new;
        }
        self.lengths[slot] = epoch.len().min(self.length);
        let enough = u32::try_from(self.filled[channel]).unwrap_or(u32::MAX);
        for (mean, (sum, count)) in self.means[here].iter_mut().zip(sums.iter().zip(counts.iter())) {
            *mean = if *count > 0 && 2 * *count >= enough { *sum / f64::from(*count) } else { 0.0 };
        }
    }

    /// The mean epoch of `channel`, `length` samples; 0 where fewer than half of its epochs reach, of
    /// which the mean would be an epoch itself.
    pub fn mean(&self, channel: usize) -> &[f64] {
        &self.means[channel * self.length..(channel + 1) * self.length]
    }

    /// Of how many epochs the mean of `channel` is.
    pub fn filled(&self, channel: usize) -> usize {
        self.filled.get(channel).copied().unwrap_or(0)
    }

    /// Forgets every epoch.
    pub fn reset(&mut self) {
        self.lengths.fill(0);
        self.at.fill(0);
        self.filled.fill(0);
        self.counts.fill(0);
        self.sums.fill(0.0);
        self.means.fill(0.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_mean_is_of_the_newest_epochs_that_reach_a_sample() {
        let mut average = Average::new(2, 2, 3);
        average.learn(1, &[9.0; 3]);
        average.learn(1, &[1.0, 2.0, 3.0]);
        average.learn(1, &[3.0, 4.0]);
        assert_eq!((average.mean(1), average.filled(1)), (&[2.0, 3.0, 3.0][..], 2));
        assert_eq!((average.mean(0), average.filled(0)), (&[0.0; 3][..], 0));
        average.learn(1, &[5.0, 5.0, 5.0, 5.0]);
        assert_eq!(average.mean(1), [4.0, 4.5, 5.0]);
        average.reset();
        assert_eq!((average.mean(1), average.filled(1)), (&[0.0; 3][..], 0));
    }
}

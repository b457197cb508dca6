//! What was measured lately? The newest samples of every channel, each channel's side by side and in order of time.

/// A ring in which every window is one slice: each sample is kept twice, half a ring apart.
#[derive(Debug, Default)]
pub(super) struct History {
    /// Channels × 2 · `length`.
    values: Box<[f64]>,
    length: usize,
    next: u64,
}

impl History {
    /// The newest `length` samples of `channels` channels; none yet.
    pub fn new(channels: usize, length: usize) -> Self {
        Self { values: vec![0.0; channels * 2 * length].into(), length, next: 0 }
    }

    /// Takes in one sample of every channel. Says its number: samples count from 0.
    pub fn push(&mut self, row: &[f64]) -> u64 {
        let number = self.next;
        let at = (number % self.length.max(1) as u64) as usize;
        for (kept, x) in self.values.chunks_exact_mut(2 * self.length.max(1)).zip(row) {
            kept[at] = *x;
            kept[at + self.length] = *x;
        }
        self.next += 1;
        number
    }

    /// How many samples were taken in: the number of the next one.
    pub fn next(&self) -> u64 {
        self.next
    }

    /// `count` samples of `channel` from number `from` on; `None` where they are not kept any more, or not there yet.
    pub fn window(&self, channel: usize, from: i64, count: usize) -> Option<&[f64]> {
        let from = u64::try_from(from).ok()?;
        if from + count as u64 > self.next || from + (self.length as u64) < self.next {
            return None;
        }
        let start = channel * 2 * self.length + (from % self.length as u64) as usize;
        self.values.get(start..start + count)
    }

    /// Forgets every sample, and counts from 0 again.
    pub fn reset(&mut self) {
        self.next = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_window_is_in_order_of_time_and_only_of_what_is_kept() {
        let mut history = History::new(2, 5);
        for i in 0..8 {
            assert_eq!(history.push(&[f64::from(i), -f64::from(i)]), i as u64);
        }
        assert_eq!(history.window(0, 3, 5), Some(&[3.0, 4.0, 5.0, 6.0, 7.0][..]));
        assert_eq!(history.window(1, 6, 2), Some(&[-6.0, -7.0][..]));
        assert_eq!((history.window(0, 2, 2), history.window(0, 7, 2), history.window(0, -1, 1)), (None, None, None));
        history.reset();
        assert_eq!((history.next(), history.window(0, 0, 1)), (0, None));
    }
}

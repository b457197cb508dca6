//! How do objects wait for the lane? In the order in which they came, within a bound of bytes.

use std::collections::VecDeque;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use crate::acquisition::dicom::Scan;
use crate::frame::{Clock, Instant, MonotonicClock};

/// The most objects that wait.
const OBJECTS_CAP: usize = 4096;

/// Objects that have been read.
pub(super) struct Queue {
    waiting: Mutex<Waiting>,
    came: Condvar,
    left: Condvar,
    /// The most bytes that wait; one object may be larger, if it is alone.
    cap: usize,
}

#[derive(Default)]
struct Waiting {
    objects: VecDeque<(Scan, Instant, usize)>,
    bytes: usize,
}

impl Queue {
    pub(super) fn new(cap: usize) -> Self {
        Self { waiting: Mutex::default(), came: Condvar::new(), left: Condvar::new(), cap }
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds an object that was complete at `came`; whether there was room within `patience` real seconds.
    pub(super) fn push(&self, scan: Scan, came: Instant, patience: f64) -> bool {
        let bytes = size_of_scan(&scan);
        let until = MonotonicClock.now() + patience;
        let mut waiting = self.lock();
        loop {
            let room = waiting.bytes.saturating_add(bytes) <= self.cap && waiting.objects.len() < OBJECTS_CAP;
            if room || waiting.objects.is_empty() {
                waiting.bytes += bytes;
                waiting.objects.push_back((scan, came, bytes));
                self.came.notify_one();
                return true;
            }
            let left = until - MonotonicClock.now();
            if left <= 0.0 {
                return false;
            }
            let left = Duration::try_from_secs_f64(left).unwrap_or_default();
            waiting = self.left.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// The object that has waited longest.
    pub(super) fn pop(&self) -> Option<(Scan, Instant)> {
        let mut waiting = self.lock();
        let (scan, came, bytes) = waiting.objects.pop_front()?;
        waiting.bytes -= bytes;
        self.left.notify_all();
        Some((scan, came))
    }

    /// Waits at most `timeout` for an object.
    pub(super) fn wait(&self, timeout: Duration) {
        let waiting = self.lock();
        if waiting.objects.is_empty() {
            drop(self.came.wait_timeout(waiting, timeout));
        }
    }
}

/// The bytes of its voxels: all else is small beside them.
fn size_of_scan(scan: &Scan) -> usize {
    let voxels: usize = match scan {
        Scan::Slice(_, slice) => slice.values.len(),
        Scan::Volumes(volumes) => volumes.iter().map(|(_, volume)| volume.values.len()).sum(),
    };
    voxels * size_of::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::acquisition::dicom::{Header, Volume};
    use crate::fmri::Grid;

    fn scan(voxels: usize) -> Scan {
        let grid = Grid { dims: [voxels, 1, 1], affine: [[0.0; 4]; 3] };
        Scan::Volumes(vec![(Header::default(), Volume { grid, values: vec![0.0; voxels] })])
    }

    #[test]
    fn bytes_are_bounded_and_order_is_kept() {
        let queue = Queue::new(100 * 8);
        let at = Instant::from_seconds;
        assert!(queue.push(scan(500), at(1.0), 0.0), "alone, whatever its size");
        assert!(!queue.push(scan(1), at(2.0), 0.0));
        assert_eq!(queue.pop().map(|(_, came)| came), Some(at(1.0)));
        assert!(queue.push(scan(60), at(3.0), 0.0) && queue.push(scan(40), at(4.0), 0.0));
        assert!(!queue.push(scan(1), at(5.0), 0.01));
        assert_eq!(
            [queue.pop(), queue.pop(), queue.pop()].map(|o| o.map(|(_, came)| came)),
            [Some(at(3.0)), Some(at(4.0)), None]
        );
    }

    #[test]
    fn whoever_waits_is_woken() {
        let queue = Queue::new(8);
        std::thread::scope(|scope| {
            assert!(queue.push(scan(1), Instant::default(), 0.0));
            let pushed = scope.spawn(|| queue.push(scan(1), Instant::default(), 30.0));
            while queue.pop().is_none() {}
            queue.wait(Duration::from_secs(30));
            assert!(pushed.join().expect("no panic"));
            assert!(queue.pop().is_some());
        });
    }
}

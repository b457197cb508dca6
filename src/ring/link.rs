//! From one lane to another: two queues of recycled boxes, one full, one free.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

use crossbeam::queue::ArrayQueue;

use super::Wake;

/// What happens when the receiving lane falls behind.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Overflow {
    /// The oldest entry makes room, and is counted: live.
    DropOldest,
    /// The sender waits: replay, where nothing may be lost.
    Block,
}

#[derive(Debug)]
struct Shared<T> {
    full: ArrayQueue<Box<T>>,
    free: ArrayQueue<Box<T>>,
    dropped: AtomicU64,
    closed: AtomicBool,
    wake: Arc<Wake>,
    overflow: Overflow,
}

/// Makes a link that holds up to `capacity` values. Its boxes are made here, by `make`, and then go round; `wake` is
/// the receiving lane's bell.
pub fn link<T>(
    capacity: usize,
    overflow: Overflow,
    mut make: impl FnMut() -> T,
    wake: Arc<Wake>,
) -> (LinkSender<T>, LinkReceiver<T>) {
    let capacity = capacity.max(1);
    // One box more than the queue holds for each end that may have one in hand.
    let boxes = capacity + 2;
    let shared = Shared {
        full: ArrayQueue::new(boxes),
        free: ArrayQueue::new(boxes),
        dropped: AtomicU64::new(0),
        closed: AtomicBool::new(false),
        wake,
        overflow,
    };
    for _ in 0..boxes {
        // The queue was made for this many.
        let _ = shared.free.push(Box::new(make()));
    }
    let shared = Arc::new(shared);
    (LinkSender { shared: Arc::clone(&shared), capacity }, LinkReceiver { shared })
}

/// The sending end.
#[derive(Debug)]
pub struct LinkSender<T> {
    shared: Arc<Shared<T>>,
    capacity: usize,
}

impl<T> LinkSender<T> {
    /// Lets `fill` write into a free box and sends it. Allocates nothing. False when something was lost for it: the
    /// oldest value, or, when the other end is gone, this one.
    pub fn send(&mut self, fill: impl FnOnce(&mut T)) -> bool {
        let shared = &*self.shared;
        let mut kept_all = true;
        let mut next = loop {
            if shared.closed.load(Ordering::Acquire) {
                return false;
            }
            if shared.full.len() < self.capacity
                && let Some(free) = shared.free.pop()
            {
                break free;
            }
            match shared.overflow {
                Overflow::DropOldest => {
                    if let Some(oldest) = shared.full.pop() {
                        shared.dropped.fetch_add(1, Ordering::Relaxed);
                        kept_all = false;
                        break oldest;
                    }
                }
                Overflow::Block => {
                    shared.wake.ring();
                    std::thread::sleep(Duration::from_micros(50));
                }
            }
        };
        fill(&mut next);
        // There are only as many boxes as the queue has room for, so this cannot fail.
        let _ = shared.full.push(next);
        shared.wake.ring();
        kept_all
    }

    /// How many values were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl<T> Drop for LinkSender<T> {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
        self.shared.wake.ring();
    }
}

/// The receiving end.
#[derive(Debug)]
pub struct LinkReceiver<T> {
    shared: Arc<Shared<T>>,
}

impl<T> LinkReceiver<T> {
    /// The oldest value, if there is one. Its box goes back to the sender when the [`Slot`] is dropped.
    pub fn receive(&mut self) -> Option<Slot<'_, T>> {
        self.shared.full.pop().map(|value| Slot { value: Some(value), shared: &self.shared })
    }

    /// Whether the sender is gone and everything it sent has been received.
    pub fn is_finished(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire) && self.shared.full.is_empty()
    }

    /// How many values were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.shared.dropped.load(Ordering::Relaxed)
    }
}

impl<T> Drop for LinkReceiver<T> {
    fn drop(&mut self) {
        self.shared.closed.store(true, Ordering::Release);
    }
}

/// A received value, on loan.
#[derive(Debug)]
pub struct Slot<'a, T> {
    /// Always there until the drop.
    value: Option<Box<T>>,
    shared: &'a Shared<T>,
}

impl<T> Deref for Slot<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        match &self.value {
            Some(value) => value,
            None => unreachable!("a slot has its value until it is dropped"),
        }
    }
}

impl<T> DerefMut for Slot<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.value {
            Some(value) => value,
            None => unreachable!("a slot has its value until it is dropped"),
        }
    }
}

impl<T> Drop for Slot<'_, T> {
    fn drop(&mut self) {
        if let Some(value) = self.value.take() {
            // There are only as many boxes as the queue has room for, so this cannot fail.
            let _ = self.shared.free.push(value);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_link_drops_the_oldest_and_counts() {
        let (mut sender, mut receiver) = link(2, Overflow::DropOldest, || 0, Wake::new());
        assert!([1, 2].into_iter().all(|i| sender.send(|v| *v = i)));
        assert!(!sender.send(|v| *v = 3));
        let got: Vec<i32> = std::iter::from_fn(|| receiver.receive().map(|v| *v)).collect();
        assert_eq!((got, receiver.dropped()), (vec![2, 3], 1));
    }

    #[test]
    fn a_blocking_link_loses_nothing_between_threads() {
        let wake = Wake::new();
        let (mut sender, mut receiver) = link(3, Overflow::Block, || 0u64, Arc::clone(&wake));
        let sending = std::thread::Builder::new().name("sender".into()).spawn(move || {
            for i in 1..=10_000 {
                assert!(sender.send(|v| *v = i));
            }
        });
        wake.attach();
        let mut expected = 1;
        while !receiver.is_finished() {
            match receiver.receive() {
                Some(value) => {
                    assert_eq!(*value, expected);
                    expected += 1;
                }
                None => wake.sleep(Duration::from_millis(10)),
            }
        }
        sending.unwrap().join().unwrap();
        assert_eq!(expected, 10_001);
    }

    #[test]
    fn a_sender_is_told_when_nobody_listens_any_more() {
        let (mut sender, receiver) = link(2, Overflow::Block, || 0, Wake::new());
        drop(receiver);
        assert!(!sender.send(|v| *v = 1));
    }
}

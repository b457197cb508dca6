//! From one lane to another: two queues of recycled boxes, one full, one free.

use std::ops::{Deref, DerefMut};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crossbeam::queue::ArrayQueue;

use super::Wake;

/// A value and its number, which tells the receiver what was dropped before it.
#[derive(Debug)]
struct Entry<T> {
    number: u64,
    value: T,
}

#[derive(Debug)]
struct Shared<T> {
    full: ArrayQueue<Box<Entry<T>>>,
    free: ArrayQueue<Box<Entry<T>>>,
    closed: AtomicBool,
    wake: Arc<Wake>,
}

/// Makes a link that holds up to `capacity` values; when the receiving lane falls behind, the oldest makes room, and
/// the sender is told. Its boxes are made here, by `make`, and then go round; `wake` is the receiving lane's bell.
pub fn link<T>(capacity: usize, mut make: impl FnMut() -> T, wake: Arc<Wake>) -> (LinkSender<T>, LinkReceiver<T>) {
    let capacity = capacity.max(1);
    // One box more than the queue holds for each end that may have one in hand.
    let boxes = capacity + 2;
    let shared =
        Shared { full: ArrayQueue::new(boxes), free: ArrayQueue::new(boxes), closed: AtomicBool::new(false), wake };
    for _ in 0..boxes {
        // The queue was made for this many.
        let _ = shared.free.push(Box::new(Entry { number: 0, value: make() }));
    }
    let shared = Arc::new(shared);
    (LinkSender { shared: Arc::clone(&shared), capacity, next: 0 }, LinkReceiver { shared, next: 0 })
}

/// The sending end.
#[derive(Debug)]
pub struct LinkSender<T> {
    shared: Arc<Shared<T>>,
    capacity: usize,
    next: u64,
}

impl<T> LinkSender<T> {
    /// Lets `fill` write into a free box and sends it. Allocates nothing. False when something was lost for it: the
    /// oldest value, or, when the other end is gone, this one.
    pub fn send(&mut self, fill: impl FnOnce(&mut T)) -> bool {
        let shared = &*self.shared;
        let mut kept_all = true;
        let mut entry = loop {
            if shared.closed.load(Ordering::Acquire) {
                return false;
            }
            if shared.full.len() < self.capacity
                && let Some(free) = shared.free.pop()
            {
                break free;
            }
            if let Some(oldest) = shared.full.pop() {
                kept_all = false;
                break oldest;
            }
        };
        fill(&mut entry.value);
        entry.number = self.next;
        self.next += 1;
        // There are only as many boxes as the queue has room for, so this cannot fail.
        let _ = shared.full.push(entry);
        shared.wake.ring();
        kept_all
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
    /// The number of the value that should come next.
    next: u64,
}

impl<T> LinkReceiver<T> {
    /// The oldest value, if there is one. Its box goes back to the sender when the [`Slot`] is dropped.
    pub fn receive(&mut self) -> Option<Slot<'_, T>> {
        let entry = self.shared.full.pop()?;
        let after_loss = entry.number != self.next;
        self.next = entry.number + 1;
        Some(Slot { entry: Some(entry), shared: &self.shared, after_loss })
    }

    /// Whether the sender is gone and everything it sent has been received.
    pub fn is_finished(&self) -> bool {
        self.shared.closed.load(Ordering::Acquire) && self.shared.full.is_empty()
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
    entry: Option<Box<Entry<T>>>,
    shared: &'a Shared<T>,
    after_loss: bool,
}

impl<T> Slot<'_, T> {
    /// Whether values were dropped between the one received before and this one.
    pub fn after_loss(&self) -> bool {
        self.after_loss
    }
}

impl<T> Deref for Slot<'_, T> {
    type Target = T;
    fn deref(&self) -> &T {
        match &self.entry {
            Some(entry) => &entry.value,
            None => unreachable!("a slot has its value until it is dropped"),
        }
    }
}

impl<T> DerefMut for Slot<'_, T> {
    fn deref_mut(&mut self) -> &mut T {
        match &mut self.entry {
            Some(entry) => &mut entry.value,
            None => unreachable!("a slot has its value until it is dropped"),
        }
    }
}

impl<T> Drop for Slot<'_, T> {
    fn drop(&mut self) {
        if let Some(entry) = self.entry.take() {
            // There are only as many boxes as the queue has room for, so this cannot fail.
            let _ = self.shared.free.push(entry);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_full_link_drops_the_oldest_and_tells_both_ends() {
        let (mut sender, mut receiver) = link(2, || 0, Wake::new());
        assert!([1, 2].into_iter().all(|i| sender.send(|v| *v = i)));
        assert!(!sender.send(|v| *v = 3));
        let mut got = Vec::new();
        while let Some(slot) = receiver.receive() {
            got.push((*slot, slot.after_loss()));
        }
        assert_eq!(got, [(2, true), (3, false)]);
    }

    #[test]
    fn between_threads_every_value_comes_or_is_told_of() {
        let wake = Wake::new();
        let (mut sender, mut receiver) = link(3, || 0u64, Arc::clone(&wake));
        let sending = std::thread::Builder::new()
            .name("sender".into())
            .spawn(move || (1..=10_000).filter(|i| !sender.send(|v| *v = *i)).count() as u64);
        wake.attach();
        let (mut last, mut received) = (0, 0);
        while !receiver.is_finished() {
            match receiver.receive() {
                Some(value) => {
                    assert_eq!(value.after_loss(), *value != last + 1, "{last} then {}", *value);
                    (last, received) = (*value, received + 1);
                }
                None => wake.sleep(Duration::from_millis(10)),
            }
        }
        let lost = sending.unwrap().join().unwrap();
        assert_eq!((last, received + lost), (10_000, 10_000));
    }

    #[test]
    fn a_sender_is_told_when_nobody_listens_any_more() {
        let (mut sender, receiver) = link(2, || 0, Wake::new());
        drop(receiver);
        assert!(!sender.send(|v| *v = 1));
    }
}

//! New weights in, old weights out, between two blocks.

use std::sync::Arc;

use crossbeam::queue::ArrayQueue;

/// Makes a slot of one: the giver offers boxes, the taker swaps the newest in when it suits it.
pub fn swap<T>() -> (SwapGiver<T>, SwapTaker<T>) {
    let new = Arc::new(ArrayQueue::new(1));
    let old = Arc::new(ArrayQueue::new(4));
    (SwapGiver { new: Arc::clone(&new), old: Arc::clone(&old), untaken: None }, SwapTaker { new, old })
}

/// The end that makes new values: the learn lane.
#[derive(Debug)]
pub struct SwapGiver<T> {
    new: Arc<ArrayQueue<Box<T>>>,
    old: Arc<ArrayQueue<Box<T>>>,
    untaken: Option<Box<T>>,
}

impl<T> SwapGiver<T> {
    /// Offers `value`; one that was offered before and not taken yet is replaced and comes back with the spares.
    pub fn offer(&mut self, value: Box<T>) {
        if let Some(untaken) = self.new.force_push(value) {
            self.untaken = Some(untaken);
        }
    }

    /// A box that is out of use, to be refilled.
    pub fn spare(&mut self) -> Option<Box<T>> {
        self.untaken.take().or_else(|| self.old.pop())
    }
}

/// The end that uses the value: a real-time lane.
#[derive(Debug)]
pub struct SwapTaker<T> {
    new: Arc<ArrayQueue<Box<T>>>,
    old: Arc<ArrayQueue<Box<T>>>,
}

impl<T> SwapTaker<T> {
    /// Puts a newly offered value into `current` and sends the old one back. Allocates and frees nothing, so it is
    /// left for the next time in the case that the way back is full. True when `current` changed.
    pub fn take(&mut self, current: &mut Option<Box<T>>) -> bool {
        if self.old.is_full() {
            return false;
        }
        let Some(new) = self.new.pop() else { return false };
        if let Some(old) = current.replace(new) {
            // Only this end pushes, and there was room.
            drop(self.old.push(old));
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_taker_gets_the_newest_and_the_giver_gets_the_old_ones_back() {
        let (mut giver, mut taker) = swap();
        let mut current = None;
        giver.offer(Box::new(1));
        giver.offer(Box::new(2));
        assert!(taker.take(&mut current) && !taker.take(&mut current));
        assert_eq!(current.as_deref(), Some(&2));
        giver.offer(Box::new(3));
        assert!(taker.take(&mut current));
        let mut spares: Vec<i32> = std::iter::from_fn(|| giver.spare().map(|b| *b)).collect();
        spares.sort_unstable();
        assert_eq!((current.as_deref(), spares), (Some(&3), vec![1, 2]));
    }
}

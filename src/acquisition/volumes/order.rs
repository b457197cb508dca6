//! In which order do volumes go on? In their own, without waiting where nothing is out of order.
//!
//! A volume that is due goes on at once. One that is early is held for its predecessor, for at most [`Order::patience`];
//! then what is missing is a gap, for good: a volume that comes later than that is dropped, because rows that have been
//! learned from are not learned from again. Time is handed in, so the same arrivals give the same order.

use std::collections::BTreeMap;

use super::faults::Fault;
use crate::frame::Instant;

/// The most early volumes that are held.
const HELD_CAP: usize = 16;
/// A number that is further ahead than this, and than the time that has passed allows, is a mistake: believed, it would
/// make late volumes of all that follow.
const JUMP_CAP: f64 = 16.0;
/// The highest number that a series may be joined at.
const FIRST_CAP: u32 = 100_000;
/// The most gaps that are remembered, to tell a late volume from a second copy.
const GAPS_CAP: usize = 1024;

/// What became of a volume that was offered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Refused(pub Fault);

/// A volume that goes on.
#[derive(Clone, Debug, PartialEq)]
pub struct Ordered<T> {
    /// Its number in the series.
    pub number: u32,
    /// How many volumes are missing just before it.
    pub missing: u32,
    /// When it came.
    pub came: Instant,
    /// What was offered.
    pub volume: T,
}

/// Volumes of one series on their way.
#[derive(Debug)]
pub struct Order<T> {
    patience: f64,
    /// The number that is due; `None` before the first.
    due: Option<u32>,
    /// When a volume went on last.
    last: Instant,
    held: BTreeMap<u32, (Instant, T)>,
    /// Whether a volume has gone on.
    gone: bool,
    /// First and last number of each gap, oldest first.
    gaps: Vec<(u32, u32)>,
}

impl<T> Order<T> {
    /// A series of which nothing has come. `patience` is how many seconds an early volume is held: half a TR.
    pub fn new(patience: f64) -> Self {
        Self { patience, due: None, last: Instant::default(), held: BTreeMap::new(), gone: false, gaps: Vec::new() }
    }

    /// Whether a volume of this number would be taken: asked before it is unpacked.
    ///
    /// # Errors
    /// [`Fault::Duplicate`], [`Fault::Late`], or [`Fault::Misnumbered`] for a number far ahead.
    pub fn admit(&self, number: u32, now: Instant) -> Result<(), Refused> {
        let Some(due) = self.due else {
            return if number <= FIRST_CAP { Ok(()) } else { Err(Refused(Fault::Misnumbered)) };
        };
        if number < due {
            let in_gap = self.gaps.iter().any(|(from, to)| (*from..=*to).contains(&number));
            return Err(Refused(if in_gap { Fault::Late } else { Fault::Duplicate }));
        }
        if self.held.contains_key(&number) {
            return Err(Refused(Fault::Duplicate));
        }
        let elapsed = (now - self.last).max(0.0) / (2.0 * self.patience);
        // A series that was joined midway goes on from the first that came.
        let from = if self.gone { due } else { self.held.keys().next().copied().unwrap_or(due) };
        if f64::from(number.saturating_sub(from)) > JUMP_CAP + 1.5 * elapsed {
            return Err(Refused(Fault::Misnumbered));
        }
        Ok(())
    }

    /// Takes a volume that came at `now`, and says whether it is early. What may go on is taken with
    /// [`next`](Self::next).
    ///
    /// # Errors
    /// As [`admit`](Self::admit).
    pub fn offer(&mut self, number: u32, volume: T, now: Instant) -> Result<bool, Refused> {
        self.admit(number, now)?;
        // A series begins at 1, or at what comes first if that is less; what else comes first is early.
        if self.due.is_none() {
            self.last = now;
        }
        let due = *self.due.get_or_insert(number.min(1));
        self.held.insert(number, (now, volume));
        Ok(number > due)
    }

    /// The next volume that goes on at `now`.
    pub fn next(&mut self, now: Instant) -> Option<Ordered<T>> {
        let due = self.due?;
        let first = *self.held.keys().next()?;
        let patient = self.held.len() <= HELD_CAP && self.held.values().all(|(at, _)| now - *at < self.patience);
        if first != due && patient {
            return None;
        }
        let (came, volume) = self.held.remove(&first)?;
        self.due = Some(first.saturating_add(1));
        self.gone = true;
        self.last = now;
        if first > due {
            self.gaps.push((due, first - 1));
            if self.gaps.len() > GAPS_CAP {
                self.gaps.remove(0);
            }
        }
        Some(Ordered { number: first, missing: first - due, came, volume })
    }

    /// When the next held volume goes on, if its predecessor does not come.
    pub fn deadline(&self) -> Option<Instant> {
        let earliest = self.held.values().map(|(at, _)| at.seconds()).reduce(f64::min)?;
        Some(Instant::from_seconds(earliest) + self.patience)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn at(seconds: f64) -> Instant {
        Instant::from_seconds(seconds)
    }

    fn drain(order: &mut Order<u32>, now: f64) -> Vec<(u32, u32)> {
        std::iter::from_fn(|| order.next(at(now))).map(|o| (o.number, o.missing)).collect()
    }

    #[test]
    fn in_order_nothing_waits_and_an_early_one_waits_half_a_tr() {
        let mut order = Order::new(0.5);
        for n in 1..4 {
            assert_eq!(order.offer(n, n, at(f64::from(n))), Ok(false));
            assert_eq!(drain(&mut order, f64::from(n)), [(n, 0)]);
        }
        assert_eq!(order.offer(5, 5, at(5.0)), Ok(true));
        assert_eq!(drain(&mut order, 5.4), []);
        assert_eq!(order.deadline(), Some(at(5.5)));
        assert_eq!(order.offer(4, 4, at(5.45)), Ok(false));
        assert_eq!(drain(&mut order, 5.45), [(4, 0), (5, 0)]);
        assert_eq!(order.offer(8, 8, at(8.0)), Ok(true));
        assert_eq!(drain(&mut order, 8.5), [(8, 2)]);
        assert_eq!(order.offer(7, 7, at(8.6)), Err(Refused(Fault::Late)));
        assert_eq!(order.offer(5, 5, at(8.6)), Err(Refused(Fault::Duplicate)));
        assert_eq!(order.offer(9 + 17, 0, at(8.6)), Err(Refused(Fault::Misnumbered)));
        assert_eq!(order.admit(9 + 17, at(9.6)), Ok(()));
        assert_eq!(Order::<u32>::new(0.5).admit(FIRST_CAP + 1, at(0.0)), Err(Refused(Fault::Misnumbered)));
        assert_eq!(drain(&mut order, 99.0), []);
    }

    #[test]
    fn a_series_that_is_joined_midway_loses_nothing_that_comes_with_the_first() {
        let mut order = Order::new(0.5);
        for number in [40, 41, 42] {
            assert_eq!(order.offer(number, number, at(0.1)), Ok(true), "{number}");
        }
        assert_eq!(order.offer(40 + 17, 0, at(0.1)), Err(Refused(Fault::Misnumbered)));
        assert_eq!(drain(&mut order, 0.7), [(40, 39), (41, 0), (42, 0)]);
    }

    #[test]
    fn a_series_begins_at_one_or_at_nought() {
        let mut nought = Order::new(0.5);
        assert_eq!((nought.offer(0, 0, at(0.0)), drain(&mut nought, 0.0)), (Ok(false), vec![(0, 0)]));
        let mut joined = Order::new(0.5);
        assert_eq!((joined.offer(57, 57, at(0.0)), drain(&mut joined, 0.0)), (Ok(true), vec![]));
        assert_eq!(drain(&mut joined, 0.5), [(57, 56)]);
    }

    proptest! {
        /// Whatever is dropped, repeated, delayed or exchanged: numbers rise, every one is given once or lies in a gap
        /// that was declared, everything offered is given or refused, and nothing is held longer than its patience.
        #[test]
        fn rows_stay_aligned(arrivals in prop::collection::vec((0.0..0.9f64, 0.0..4.0f64, 0..4u8), 1..300)) {
            let mut queue: Vec<(f64, u32)> = Vec::new();
            for (i, (lateness, far, fault)) in arrivals.iter().enumerate() {
                let (number, due) = (i as u32 + 1, i as f64);
                match fault {
                    0 => {}
                    1 => queue.extend([(due + lateness, number), (due + far, number)]),
                    2 => queue.push((due + far, number)),
                    _ => queue.push((due, number)),
                }
            }
            queue.sort_by(|a, b| a.0.total_cmp(&b.0));
            let (mut order, mut given, mut refused, mut expected) = (Order::new(0.5), 0, 0, 1);
            let mut came = BTreeMap::new();
            let end = queue.last().map_or(0.0, |(t, _)| t + 1.0);
            let mut ticks: Vec<(f64, Option<u32>)> = queue.iter().map(|(t, n)| (*t, Some(*n))).collect();
            ticks.extend((0..(end * 100.0) as usize + 2).map(|i| (i as f64 / 100.0, None)));
            ticks.sort_by(|a, b| a.0.total_cmp(&b.0));
            for (now, number) in ticks {
                if let Some(number) = number {
                    match order.offer(number, number, at(now)) {
                        Ok(_) => { came.insert(number, now); }
                        Err(_) => refused += 1,
                    }
                }
                while let Some(Ordered { number, missing, volume, .. }) = order.next(at(now)) {
                    prop_assert_eq!(volume, number);
                    prop_assert_eq!(number, expected + missing);
                    expected = number + 1;
                    given += 1;
                    let waited = now - came[&number];
                    prop_assert!(waited <= 0.5 + 0.011, "{} waited {}", number, waited);
                    if missing == 0 && given == 1 { prop_assert!(waited < 0.011); }
                }
            }
            prop_assert_eq!(given + refused, queue.len());
        }
    }
}

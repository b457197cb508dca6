//! Has this stimulus been seen? The least recently used features, bounded.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// Counts what a cache does. Shared with the metrics endpoint; both only ever grow.
#[derive(Debug, Default)]
pub struct CacheStats {
    hits: AtomicU64,
    misses: AtomicU64,
}

impl CacheStats {
    /// Look-ups that found their feature.
    pub fn hits(&self) -> u64 {
        self.hits.load(Ordering::Relaxed)
    }

    /// Look-ups that did not.
    pub fn misses(&self) -> u64 {
        self.misses.load(Ordering::Relaxed)
    }
}

const NONE: usize = usize::MAX;

#[derive(Debug)]
struct Entry {
    key: Arc<str>,
    feature: Box<[f32]>,
    newer: usize,
    older: usize,
}

/// Features by key (a text, the hash of a picture), at most `capacity` of them; the one asked for longest ago makes room. All operations take constant
/// time.
///
/// ```
/// let mut cache = neurod::encoders::FeatureCache::new(2);
/// cache.insert("a", &[1.0]);
/// cache.insert("b", &[2.0]);
/// assert_eq!(cache.get("a"), Some(&[1.0][..]));
/// cache.insert("c", &[3.0]);
/// assert!(cache.get("b").is_none() && cache.len() == 2);
/// ```
#[derive(Debug)]
pub struct FeatureCache {
    capacity: usize,
    places: HashMap<Arc<str>, usize>,
    entries: Vec<Entry>,
    newest: usize,
    oldest: usize,
    stats: Arc<CacheStats>,
}

impl FeatureCache {
    /// An empty cache; with a capacity of 0 it stays empty.
    pub fn new(capacity: usize) -> Self {
        let (places, entries) = (HashMap::new(), Vec::new());
        Self { capacity, places, entries, newest: NONE, oldest: NONE, stats: Arc::default() }
    }

    /// How many features it holds.
    pub fn len(&self) -> usize {
        self.entries.len()
    }

    /// Whether it holds none.
    pub fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Its hits and misses, to be kept by whoever reports them.
    pub fn stats(&self) -> Arc<CacheStats> {
        Arc::clone(&self.stats)
    }

    /// The feature of `key`, which becomes the most recently used.
    pub fn get(&mut self, key: &str) -> Option<&[f32]> {
        let Some(place) = self.places.get(key).copied() else {
            self.stats.misses.fetch_add(1, Ordering::Relaxed);
            return None;
        };
        self.stats.hits.fetch_add(1, Ordering::Relaxed);
        self.unlink(place);
        self.link_newest(place);
        self.entries.get(place).map(|entry| &*entry.feature)
    }

    /// Keeps the feature of a key that [`get`](Self::get) did not find.
    pub fn insert(&mut self, key: &str, feature: &[f32]) {
        if self.capacity == 0 || self.places.contains_key(key) {
            return;
        }
        let entry = Entry { key: key.into(), feature: feature.into(), newer: NONE, older: NONE };
        let key = Arc::clone(&entry.key);
        let place = if self.entries.len() < self.capacity {
            self.entries.push(entry);
            self.entries.len() - 1
        } else {
            let place = self.oldest;
            self.unlink(place);
            if let Some(slot) = self.entries.get_mut(place) {
                self.places.remove(&slot.key);
                *slot = entry;
            }
            place
        };
        self.places.insert(key, place);
        self.link_newest(place);
    }

    fn unlink(&mut self, place: usize) {
        let Some((newer, older)) = self.entries.get(place).map(|e| (e.newer, e.older)) else { return };
        match self.entries.get_mut(newer) {
            Some(entry) => entry.older = older,
            None => self.newest = older,
        }
        match self.entries.get_mut(older) {
            Some(entry) => entry.newer = newer,
            None => self.oldest = newer,
        }
    }

    fn link_newest(&mut self, place: usize) {
        let previous = self.newest;
        if let Some(entry) = self.entries.get_mut(place) {
            (entry.newer, entry.older) = (NONE, previous);
        }
        match self.entries.get_mut(previous) {
            Some(entry) => entry.newer = place,
            None => self.oldest = place,
        }
        self.newest = place;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_holds_what_a_list_in_order_of_use_would_hold(
            capacity in 0usize..6, asked in prop::collection::vec(0u8..10, 0..200)
        ) {
            let mut cache = FeatureCache::new(capacity);
            let mut order: Vec<u8> = Vec::new();
            let mut hits = 0;
            for text in &asked {
                let key = text.to_string();
                let found = cache.get(&key).map(|f| f.to_vec());
                let expected = order.iter().position(|t| t == text);
                prop_assert_eq!(&found, &expected.map(|_| vec![f32::from(*text)]));
                if let Some(at) = expected {
                    order.remove(at);
                    hits += 1;
                } else {
                    cache.insert(&key, &[f32::from(*text)]);
                }
                order.push(*text);
                if order.len() > capacity {
                    order.remove(0);
                }
                prop_assert_eq!(cache.len(), order.len());
            }
            prop_assert_eq!(cache.stats().hits(), hits);
            prop_assert_eq!(cache.stats().misses(), asked.len() as u64 - hits);
        }
    }
}

//! A small bounded map for values that are structures, not octets.
//!
//! Keys are spread over sets by a keyed hash; each set has its share of the bound and forgets what
//! was used longest ago when it is full. No operation looks at more than one set.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::RngExt;
use siphasher::sip::SipHasher13;

use super::region::Usage;
use crate::clock::Rng;

/// A bounded map from octets to values.
pub(super) struct Table<V> {
    hasher: SipHasher13,
    sets: Box<[Mutex<Set<V>>]>,
    /// Weight a set may have.
    share: usize,
}

struct Set<V> {
    /// In order of use, the latest last.
    entries: Vec<Entry<V>>,
    weight: usize,
}

struct Entry<V> {
    hash: u64,
    key: Box<[u8]>,
    value: V,
    weight: usize,
}

impl<V: Clone> Table<V> {
    /// An empty table for entries of `bound` weight in total, in sets of about `share`.
    pub(super) fn new(bound: usize, share: usize, rng: &mut Rng) -> Self {
        let count = (bound / share).max(1);
        let sets = (0..count).map(|_| Mutex::new(Set { entries: Vec::new(), weight: 0 })).collect();
        Self { hasher: SipHasher13::new_with_key(&rng.random()), sets, share: bound / count }
    }

    /// A copy of the value of `key`.
    pub(super) fn get(&self, key: &[u8]) -> Option<V> {
        let hash = self.hasher.hash(key);
        self.set(hash).touch(hash, key).map(|entry| entry.value.clone())
    }

    /// Replaces the value of `key` by what `f` makes of it, in one step.
    pub(super) fn update(&self, key: &[u8], weight: usize, f: impl FnOnce(Option<V>) -> V) {
        let hash = self.hasher.hash(key);
        let mut set = self.set(hash);
        let former = set.touch(hash, key).map(|entry| entry.value.clone());
        let value = f(former);
        set.remove(hash, key);
        set.insert(Entry { hash, key: key.into(), value, weight }, self.share);
    }

    /// Removes the entries for which `f` returns false; tells how many.
    pub(super) fn retain(&self, mut f: impl FnMut(&[u8], &V) -> bool) -> usize {
        let mut removed = 0;
        for set in &self.sets {
            let mut set = lock(set);
            let before = set.entries.len();
            set.entries.retain(|entry| f(&entry.key, &entry.value));
            set.weight = set.entries.iter().map(|entry| entry.weight).sum();
            removed += before - set.entries.len();
        }
        removed
    }

    /// How much is used, in units of weight.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage { bound: self.share * self.sets.len(), ..Usage::default() };
        for set in &self.sets {
            let set = lock(set);
            usage.entries += set.entries.len();
            usage.used += set.weight;
        }
        usage
    }

    #[expect(clippy::cast_possible_truncation, reason = "the product is below the count")]
    fn set(&self, hash: u64) -> MutexGuard<'_, Set<V>> {
        let i = (u128::from(hash) * self.sets.len() as u128) >> 64;
        lock(&self.sets[i as usize])
    }
}

/// A closure that panicked while the lock was held has changed nothing yet.
fn lock<V>(set: &Mutex<Set<V>>) -> MutexGuard<'_, Set<V>> {
    set.lock().unwrap_or_else(PoisonError::into_inner)
}

impl<V> Set<V> {
    fn position(&self, hash: u64, key: &[u8]) -> Option<usize> {
        self.entries.iter().position(|entry| entry.hash == hash && *entry.key == *key)
    }

    fn touch(&mut self, hash: u64, key: &[u8]) -> Option<&Entry<V>> {
        let i = self.position(hash, key)?;
        self.entries[i..].rotate_left(1);
        self.entries.last()
    }

    fn remove(&mut self, hash: u64, key: &[u8]) {
        if let Some(i) = self.position(hash, key) {
            self.weight -= self.entries.remove(i).weight;
        }
    }

    fn insert(&mut self, entry: Entry<V>, share: usize) {
        if entry.weight > share {
            return;
        }
        let mut drop = 0;
        while self.weight + entry.weight > share {
            self.weight -= self.entries[drop].weight;
            drop += 1;
        }
        self.entries.drain(..drop);
        self.weight += entry.weight;
        self.entries.push(entry);
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;

    use super::*;
    use crate::cache::testing::rng;

    #[test]
    fn the_least_recently_used_goes_first() {
        let table = Table::new(3, 3, &mut rng());
        for key in [b"a", b"b", b"c"] {
            table.update(key, 1, |_| 0);
        }
        assert_eq!(table.get(b"a"), Some(0));
        table.update(b"d", 1, |_| 1);
        let left = [b"a", b"b", b"c", b"d"].map(|key| table.get(key));
        assert_eq!(left, [Some(0), None, Some(0), Some(1)]);
        assert_eq!(table.usage(), Usage { entries: 3, used: 3, bound: 3 });
    }

    #[test]
    fn what_exceeds_a_share_is_not_kept() {
        let table = Table::new(100, 10, &mut rng());
        table.update(b"a", 10, |_| 0);
        table.update(b"a", 11, |former| former.unwrap() + 1);
        assert_eq!(table.get(b"a"), None);
        assert_eq!(table.usage().used, 0);
    }

    proptest! {
        /// Whatever is found is what was put last, and the bound holds at every step.
        #[test]
        fn a_table_is_a_map_that_may_forget(ops in prop::collection::vec((any::<u8>(), 1usize..30), 1..400)) {
            let table = Table::new(300, 60, &mut rng());
            let mut model = HashMap::new();
            for (i, (key, weight)) in ops.into_iter().enumerate() {
                let mut seen = None;
                table.update(&[key], weight, |former| { seen = former; i });
                if seen.is_some() {
                    prop_assert_eq!(seen.as_ref(), model.get(&key));
                }
                model.insert(key, i);
                prop_assert_eq!(table.get(&[key]), Some(i));
                prop_assert!(table.usage().used <= 300);
            }
            let removed = table.retain(|key, _| key[0] >= 128);
            let usage = table.usage();
            prop_assert!(removed + usage.entries <= model.len());
            prop_assert!((0..128).all(|key| table.get(&[key]).is_none()));
        }
    }
}

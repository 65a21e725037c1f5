//! A map from bytes to bytes in shared memory of fixed size.
//!
//! Inside there are only offsets, so that it can be mapped anywhere, by another process, later. Per
//! [shard](super::shard):
//!
//! ```text
//! index   buckets of 8 slots; a slot is tag, hits, offset    two buckets are looked at, no more
//! log     segments of one size, filled front to back         recycled oldest first, as a whole
//! ghosts  tags of entries that left without a hit            one that comes back was worth keeping
//! ```
//!
//! New entries go through *probation*. When a segment is needed and none is free, the oldest of
//! probation is recycled if probation has more than its tenth, else the oldest of *main*. Entries
//! that were hit since they were written are carried over into main, others are forgotten: names
//! asked for once cannot push out those asked for often (the idea of S3-FIFO, with the segments of
//! Segcache).
//!
//! The hash is keyed with random numbers of the memory, so that nobody outside can choose
//! collisions.
//!
//! Readers take no lock and write nothing but the first few hits of an entry: they copy it, and
//! begin anew in the rare case that it changed meanwhile. Writers lock a shard, in memory of the
//! process: a lock cannot be left behind in the region.

use std::cell::RefCell;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use siphasher::sip::SipHasher13;

use super::atomic::AtomicU64;
use super::layout::{Geometry, reduce};
use super::memory::Memory;
use super::shard::{Shard, Writer};
use crate::clock::UnixTime;

/// Least size of a region, in octets; smaller sizes are raised to it.
const MIN_REGION: usize = 16 << 10;
/// Octets of a shard, about.
const SHARD: usize = 1 << 20;
const MAX_SHARDS: usize = 4_096;
/// Octets of an entry at most.
const LONGEST: usize = 64 << 10;

thread_local! {
    /// Where entries are copied to. Of every thread, so that a hit allocates nothing.
    static BUFFER: RefCell<[u8; LONGEST]> = const { RefCell::new([0; LONGEST]) };
}

/// A bounded map from octets to octets, shared by threads.
pub(super) struct Region {
    memory: Arc<Memory>,
    plan: Plan,
    hasher: SipHasher13,
    /// One for each shard. A panic while it was locked cannot have left an entry half written that
    /// a slot leads to.
    writers: Box<[Mutex<Writer>]>,
}

/// Where the words of a region are within its memory.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Plan {
    first_word: usize,
    octets: usize,
    shards: usize,
    geometry: Geometry,
}

impl Plan {
    /// For a region of `octets`, but [`MIN_REGION`] at least, that begins at that word.
    pub(super) fn new(first_word: usize, octets: usize) -> Self {
        let octets = octets.max(MIN_REGION);
        let shards = (octets / SHARD).clamp(1, MAX_SHARDS);
        Self { first_word, octets, shards, geometry: Geometry::new(octets / shards) }
    }

    /// The word after its last one, at the border of a cache line.
    pub(super) fn end(&self) -> usize {
        self.first_word + self.shards * self.shard_words()
    }

    /// All of it as numbers, for comparison.
    pub(super) fn numbers(&self) -> [u64; 5] {
        let Geometry { slots, segments, segment_words } = self.geometry;
        [self.first_word, self.shards, slots, segments, segment_words].map(|n| n as u64)
    }

    /// Words of a shard: whole cache lines, so that buckets are, too.
    fn shard_words(&self) -> usize {
        self.geometry.words().next_multiple_of(8)
    }
}

/// How much of a store is used.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Usage {
    /// Entries that can be found, expired ones included.
    pub entries: usize,
    /// Octets in use, those of entries that were replaced included until they are recycled.
    pub used: usize,
    /// Octets it may use.
    pub bound: usize,
}

impl Region {
    /// What lies in the memory, which is zeroed or was written by an earlier region of the same
    /// plan and key; whatever lies there, what comes of it is a map.
    pub(super) fn new(memory: &Arc<Memory>, plan: Plan, key: &[u8; 16]) -> Self {
        let mut region = Self {
            memory: Arc::clone(memory),
            plan,
            hasher: SipHasher13::new_with_key(key),
            writers: Box::default(),
        };
        region.writers = (0..plan.shards).map(|i| Mutex::new(region.shard(i).writer())).collect();
        region
    }

    /// Shows `f` the value last put for `key`, unless it has expired or was forgotten.
    pub(super) fn get<R>(
        &self,
        key: &[u8],
        now: UnixTime,
        f: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let hash = self.hasher.hash(key);
        let shard = self.shard(self.shard_of(hash));
        with_buffer(|buffer| shard.get(hash, key, now, buffer).map(f))
    }

    /// Puts a value for `key`, to be dropped at `expires`. Returns false when it is too large to
    /// be kept; a former value is removed all the same.
    pub(super) fn put(&self, key: &[u8], value: &[u8], expires: UnixTime, now: UnixTime) -> bool {
        let hash = self.hasher.hash(key);
        let (shard, mut writer) = self.locked(self.shard_of(hash));
        shard.put(&mut writer, hash, key, value, expires, now)
    }

    /// Removes the value of `key`.
    pub(super) fn remove(&self, key: &[u8]) {
        let hash = self.hasher.hash(key);
        let (shard, mut writer) = self.locked(self.shard_of(hash));
        shard.remove(&mut writer, hash, key);
    }

    /// Shows `f` every key and value with its expiry, in no order, expired ones included; those
    /// for which it returns false are removed. One shard is locked at a time.
    pub(super) fn retain(&self, mut f: impl FnMut(&[u8], &[u8], UnixTime) -> bool) {
        // Memory of its own: `f` may look something up.
        let mut buffer = vec![0; LONGEST];
        for i in 0..self.plan.shards {
            let (shard, mut writer) = self.locked(i);
            shard.retain(&mut writer, &mut buffer, &mut f);
        }
    }

    /// Removes everything.
    pub(super) fn clear(&self) {
        for i in 0..self.plan.shards {
            let (shard, mut writer) = self.locked(i);
            shard.clear(&mut writer);
        }
    }

    /// How much is used. Looks at every slot.
    pub(super) fn usage(&self) -> Usage {
        let (used, bound) = self.octets();
        let entries = (0..self.plan.shards).map(|i| self.shard(i).entries()).sum();
        Usage { entries, used, bound }
    }

    /// Octets used and allowed. Looks at no slot, so that it may be asked often.
    pub(super) fn octets(&self) -> (usize, usize) {
        let used = (0..self.plan.shards).map(|i| self.shard(i).used()).sum();
        (used, self.plan.octets)
    }

    fn shard(&self, i: usize) -> Shard<'_> {
        let len = self.plan.shard_words();
        let words: &[AtomicU64] = &self.memory.words()[self.plan.first_word + i * len..][..len];
        Shard::new(words, self.plan.geometry)
    }

    fn shard_of(&self, hash: u64) -> usize {
        reduce(hash >> 32, self.plan.shards)
    }

    fn locked(&self, i: usize) -> (Shard<'_>, MutexGuard<'_, Writer>) {
        let writer = self.writers[i].lock().unwrap_or_else(PoisonError::into_inner);
        (self.shard(i), writer)
    }
}

/// Lends the buffer of this thread, or another one to somebody who is called while it is lent.
fn with_buffer<R>(f: impl FnOnce(&mut [u8]) -> R) -> R {
    BUFFER.with(|buffer| match buffer.try_borrow_mut() {
        Ok(mut buffer) => f(&mut *buffer),
        Err(_) => f(&mut vec![0; LONGEST]),
    })
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::sync::atomic::Ordering::Relaxed;

    use proptest::prelude::*;

    use super::*;
    use crate::cache::testing::region;

    const NOW: UnixTime = UnixTime(1_000);
    const LATER: UnixTime = UnixTime(2_000);

    fn get(region: &Region, key: &[u8]) -> Option<Vec<u8>> {
        region.get(key, NOW, <[u8]>::to_vec)
    }

    #[test]
    fn memory_never_exceeds_what_was_asked_for() {
        for bytes in [0, 1, 16 << 10, 50_000, 1 << 20, 4 << 20, (4 << 20) + 12_345, 300 << 20] {
            let region = region(bytes);
            let bound = bytes.max(MIN_REGION);
            let taken = 8 * region.plan.end();
            assert!(taken <= bound && taken > bound * 9 / 10, "{bytes}: {taken}");
            assert_eq!(region.usage().bound, bound);
        }
    }

    #[test]
    fn a_value_is_found_until_it_expires_is_replaced_or_removed() {
        let region = region(1 << 20);
        assert!(region.put(b"a", b"one", LATER, NOW));
        assert!(region.put(b"b", b"", LATER, NOW));
        assert_eq!(get(&region, b"a"), Some(b"one".to_vec()));
        assert_eq!(get(&region, b"b"), Some(Vec::new()));
        assert_eq!(get(&region, b"c"), None);
        assert!(region.put(b"a", b"two", LATER, NOW));
        assert_eq!(get(&region, b"a"), Some(b"two".to_vec()));
        assert_eq!(region.usage().entries, 2);
        assert_eq!(region.get(b"a", LATER, |_| ()), None, "expires at that moment");
        region.remove(b"a");
        assert_eq!((get(&region, b"a"), region.usage().entries), (None, 1));
        region.clear();
        assert_eq!((get(&region, b"b"), region.usage().entries), (None, 0));
    }

    #[test]
    fn what_is_too_large_is_not_kept_and_does_not_leave_the_old_value() {
        let region = region(MIN_REGION);
        assert!(region.put(b"a", b"small", LATER, NOW));
        assert!(!region.put(b"a", &[0; MIN_REGION], LATER, NOW));
        assert_eq!(get(&region, b"a"), None);
    }

    #[test]
    fn names_asked_for_once_do_not_push_out_those_asked_for_often() {
        let region = region(256 << 10);
        let hot: Vec<_> = (0..200u32).map(|i| [b"hot", &i.to_be_bytes()[..]].concat()).collect();
        for key in &hot {
            region.put(key, &[7; 200], LATER, NOW);
        }
        // Each is asked for once while the memory is filled anew, and fetched again when missed.
        let mut misses = 0;
        for i in 0..200_000u32 {
            region.put(&[b"cold", &i.to_be_bytes()[..]].concat(), &[0; 200], LATER, NOW);
            let key = &hot[(i / 5) as usize % hot.len()];
            if i % 5 == 0 && get(&region, key).is_none() {
                region.put(key, &[7; 200], LATER, NOW);
                misses += u32::from(i > 100_000);
            }
        }
        assert!(misses < 20, "{misses} of 20,000 are missed");
    }

    #[test]
    fn entries_of_any_size_come_and_go_within_the_bound() {
        for (case, size, count) in
            [("tiny", 0, 60_000), ("odd", 333, 20_000), ("segment", 60 << 10, 500)]
        {
            let region = region(2 << 20);
            for i in 0..count {
                let key = u32::to_be_bytes(i);
                region.put(&key, &vec![1; size], LATER, NOW);
                assert_eq!(region.get(&key, NOW, <[u8]>::len), Some(size), "{case}: the newest");
            }
            let usage = region.usage();
            assert!(usage.used <= usage.bound, "{case}: {usage:?}");
            let entries = 10..usize::try_from(count).unwrap();
            assert!(entries.contains(&usage.entries), "{case}: {usage:?}");
        }
    }

    #[test]
    fn retain_sees_every_entry_once() {
        let region = region(4 << 20);
        for i in 0..1_000u16 {
            region.put(&i.to_be_bytes(), b"v", LATER, NOW);
        }
        let mut seen = Vec::new();
        region.retain(|key, _, expires| {
            assert_eq!(expires, LATER);
            seen.push(u16::from_be_bytes([key[0], key[1]]));
            key[1] % 2 == 0
        });
        seen.sort_unstable();
        assert_eq!(seen, (0..1_000).collect::<Vec<_>>());
        let mut left = 0;
        region.retain(|key, _, _| {
            left += usize::from(key[1] % 2 == 0);
            true
        });
        assert_eq!((left, region.usage().entries), (500, 500));
    }

    #[test]
    fn threads_see_whole_values_only() {
        let region = region(MIN_REGION);
        std::thread::scope(|scope| {
            for thread in 0..4u8 {
                let region = &region;
                scope.spawn(move || {
                    for i in 0..20_000u32 {
                        let key = [(i.wrapping_mul(7) % 61).to_le_bytes()[0]];
                        let len = 1 + (i as usize * 37 + usize::from(thread)) % 700;
                        region.put(&key, &vec![thread; len], LATER, NOW);
                        let found = get(region, &key).unwrap_or_default();
                        assert!(found.windows(2).all(|pair| pair[0] == pair[1]));
                    }
                });
            }
        });
        assert!(region.usage().entries > 0);
    }

    #[derive(Clone, Debug)]
    enum Op {
        Put(u8, u16, u8),
        Get(u8),
        Remove(u8),
    }

    fn op() -> impl Strategy<Value = Op> {
        prop_oneof![
            4 => (any::<u8>(), 0u16..1_400, any::<u8>()).prop_map(|(k, len, fill)| Op::Put(k, len, fill)),
            4 => any::<u8>().prop_map(Op::Get),
            1 => any::<u8>().prop_map(Op::Remove),
        ]
    }

    proptest! {
        /// Whatever is found for a key is the last value put for it, through any number of
        /// recycled segments.
        #[test]
        fn a_region_is_a_map_that_may_forget(ops in prop::collection::vec(op(), 1..600)) {
            let region = region(MIN_REGION);
            let mut model = HashMap::new();
            for op in ops {
                match op {
                    Op::Put(key, len, fill) => {
                        let value = vec![fill; len.into()];
                        if region.put(&[key], &value, LATER, NOW) {
                            prop_assert_eq!(get(&region, &[key]), Some(value.clone()));
                        }
                        model.insert(key, value);
                    }
                    Op::Get(key) => {
                        if let Some(found) = get(&region, &[key]) {
                            prop_assert_eq!(Some(&found), model.get(&key));
                        }
                    }
                    Op::Remove(key) => {
                        region.remove(&[key]);
                        model.remove(&key);
                        prop_assert_eq!(get(&region, &[key]), None);
                    }
                }
                let mut entries = 0;
                region.retain(|key, value, _| {
                    assert_eq!(model.get(&key[0]).map(Vec::as_slice), Some(value));
                    entries += 1;
                    true
                });
                prop_assert_eq!(region.usage().entries, entries);
            }
        }

        /// Whatever lies in the memory, what comes of it is a map that may forget.
        #[test]
        fn a_region_over_anything_is_a_map(
            words in prop::collection::vec((any::<prop::sample::Index>(), any::<u64>()), 1..400),
            ops in prop::collection::vec(op(), 1..200),
        ) {
            let region = region(MIN_REGION);
            let all = region.memory.words();
            for (at, word) in words {
                all[at.index(all.len())].store(word, Relaxed);
            }
            let region = Region::new(&region.memory, region.plan, &[1; 16]);
            for op in ops {
                match op {
                    Op::Put(key, len, fill) => {
                        let value = vec![fill; len.into()];
                        if region.put(&[key], &value, LATER, NOW) {
                            prop_assert_eq!(get(&region, &[key]), Some(value));
                        }
                    }
                    Op::Get(key) => drop(get(&region, &[key])),
                    Op::Remove(key) => {
                        region.remove(&[key]);
                        prop_assert_eq!(get(&region, &[key]), None);
                    }
                }
            }
            prop_assert!(region.usage().used <= region.usage().bound);
            region.retain(|_, _, _| false);
            prop_assert_eq!(region.usage().entries, 0);
        }
    }
}

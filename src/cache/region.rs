//! A map from bytes to bytes in memory of fixed size.
//!
//! All memory is allocated once; inside there are only offsets. Per shard:
//!
//! ```text
//! index   buckets of 8 slots; a slot is tag, hits, offset    two buckets are looked at, no more
//! log     segments of one size, filled front to back         recycled oldest first, as a whole
//! ghosts  fingerprints of entries that left without a hit    one that comes back was worth keeping
//! ```
//!
//! New entries go through *probation*. When a segment is needed and none is free, the oldest of
//! probation is recycled if probation has more than its tenth, else the oldest of *main*. Entries
//! that were hit since they were written are carried over into main, others are forgotten: names
//! asked for once cannot push out those asked for often (the idea of S3-FIFO, with the segments of
//! Segcache).
//!
//! The hash is keyed with random numbers of this region, so that nobody outside can choose
//! collisions.
//!
//! A shard is locked while a value is looked at: keep the closure short.

use std::sync::{Mutex, MutexGuard, PoisonError};

use rand::RngExt;
use siphasher::sip::SipHasher13;

use super::shard::{Shard, reduce};
use crate::clock::{Rng, UnixTime};

/// Least size of a region, in octets; smaller sizes are raised to it.
pub(super) const MIN_REGION: usize = 16 << 10;
/// Octets of a shard, about.
const SHARD: usize = 1 << 20;
const MAX_SHARDS: usize = 64;

/// A bounded map from octets to octets, shared by threads.
pub(super) struct Region {
    hasher: SipHasher13,
    shards: Box<[Mutex<Shard>]>,
    bytes: usize,
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
    /// An empty region that takes at most `bytes` octets (but [`MIN_REGION`] at least), index
    /// included.
    pub(super) fn new(bytes: usize, rng: &mut Rng) -> Self {
        let bytes = bytes.max(MIN_REGION);
        let count = (bytes / SHARD).clamp(1, MAX_SHARDS);
        let shards = (0..count)
            .map(|_| Mutex::new(Shard::new(bytes / count - size_of::<Mutex<Shard>>())))
            .collect();
        Self { hasher: SipHasher13::new_with_key(&rng.random()), shards, bytes }
    }

    /// Shows `f` the value last put for `key`, unless it has expired or was forgotten.
    pub(super) fn get<R>(
        &self,
        key: &[u8],
        now: UnixTime,
        f: impl FnOnce(&[u8]) -> R,
    ) -> Option<R> {
        let hash = self.hasher.hash(key);
        self.shard(hash).get(hash, key, now).map(f)
    }

    /// Puts a value for `key`, to be dropped at `expires`. Returns false when it is too large to
    /// be kept; a former value is removed all the same.
    pub(super) fn put(&self, key: &[u8], value: &[u8], expires: UnixTime, now: UnixTime) -> bool {
        let hash = self.hasher.hash(key);
        self.shard(hash).put(hash, key, value, expires, now)
    }

    /// Removes the value of `key`.
    pub(super) fn remove(&self, key: &[u8]) {
        let hash = self.hasher.hash(key);
        self.shard(hash).remove(hash, key);
    }

    /// Shows `f` every key and value with its expiry, in no order, expired ones included; those
    /// for which it returns false are removed. One shard is locked at a time.
    pub(super) fn retain(&self, mut f: impl FnMut(&[u8], &[u8], UnixTime) -> bool) {
        self.shards.iter().for_each(|shard| lock(shard).retain(&mut f));
    }

    /// Removes everything.
    pub(super) fn clear(&self) {
        self.shards.iter().for_each(|shard| lock(shard).reset());
    }

    /// How much is used.
    pub(super) fn usage(&self) -> Usage {
        let mut usage = Usage { bound: self.bytes, ..Usage::default() };
        for shard in &self.shards {
            let shard = lock(shard);
            usage.entries += shard.entries();
            usage.used += shard.used();
        }
        usage
    }

    /// Octets allocated: never more than was asked for.
    #[cfg(test)]
    fn allocated(&self) -> usize {
        let shards = self.shards.iter().map(|shard| lock(shard).fixed_bytes()).sum::<usize>();
        shards + size_of_val(&*self.shards)
    }

    fn shard(&self, hash: u64) -> MutexGuard<'_, Shard> {
        lock(&self.shards[reduce(hash >> 32, self.shards.len())])
    }
}

/// A panic while the lock was held cannot have left an entry half written that a slot points to:
/// slots are published last.
fn lock(shard: &Mutex<Shard>) -> MutexGuard<'_, Shard> {
    shard.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use proptest::prelude::*;
    use rand::SeedableRng;

    use super::*;
    use crate::clock::Rng;

    const NOW: UnixTime = UnixTime(1_000);
    const LATER: UnixTime = UnixTime(2_000);

    fn region(bytes: usize) -> Region {
        Region::new(bytes, &mut Rng::seed_from_u64(1))
    }

    fn get(region: &Region, key: &[u8]) -> Option<Vec<u8>> {
        region.get(key, NOW, <[u8]>::to_vec)
    }

    #[test]
    fn memory_never_exceeds_what_was_asked_for() {
        for bytes in [0, 1, 16 << 10, 50_000, 1 << 20, 4 << 20, (4 << 20) + 12_345, 300 << 20] {
            let region = region(bytes);
            let bound = bytes.max(MIN_REGION);
            assert!(region.allocated() <= bound, "{bytes}: {}", region.allocated());
            assert!(region.allocated() > bound * 9 / 10, "{bytes}: {}", region.allocated());
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
        for (case, size) in [("tiny", 0), ("odd", 333), ("segment", 60 << 10)] {
            let region = region(2 << 20);
            for i in 0..20_000u32 {
                let key = i.to_be_bytes();
                region.put(&key, &vec![1; size], LATER, NOW);
                assert_eq!(region.get(&key, NOW, <[u8]>::len), Some(size), "{case}: the newest");
            }
            let usage = region.usage();
            assert!(usage.used <= usage.bound, "{case}: {usage:?}");
            assert!(usage.entries > 10 && usage.entries < 20_000, "{case}: {usage:?}");
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
    }
}

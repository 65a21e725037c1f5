//! One shard of a [`Region`](super::region::Region): index, log and ghosts, behind its lock.

use std::collections::VecDeque;

use crate::clock::UnixTime;

/// Octets of a segment at most, and so of an entry.
const MAX_SEGMENT: usize = 64 << 10;
/// Segments of a shard at least.
const MIN_SEGMENTS: usize = 8;
/// One slot for so many octets: entries are larger on average.
const OCTETS_PER_SLOT: usize = 128;
const SLOTS_PER_BUCKET: usize = 8;
/// Part of the segments that new entries may fill before they push out each other.
const PROBATION_SHARE: usize = 10;
/// Segments recycled for one entry with their hit entries carried over; after that everything is
/// dropped, so that the work for one entry is bounded.
const PATIENCE: usize = 3;
/// Hits that count.
const MAX_HITS: u64 = 3;

/// Maps 32 bits evenly to 0..n.
pub(super) fn reduce(bits: u64, n: usize) -> usize {
    (((bits & 0xffff_ffff) * n as u64) >> 32) as usize
}

/// A slot: 16 bits of the hash, 8 bits of hits, offset in units of 8 octets plus one.
const EMPTY: u64 = 0;

fn slot_of(hash: u64, hits: u64, at: usize) -> u64 {
    (hash & 0xffff) << 48 | hits << 40 | (at as u64 / 8 + 1)
}

#[expect(clippy::cast_possible_truncation, reason = "offsets came from usize")]
fn offset_of(slot: u64) -> usize {
    ((slot & 0xff_ffff_ffff) - 1) as usize * 8
}

fn hits_of(slot: u64) -> u64 {
    slot >> 40 & 0xff
}

fn same_tag(slot: u64, hash: u64) -> bool {
    slot != EMPTY && slot >> 48 == hash & 0xffff
}

/// What stands before key and value in the log.
#[derive(Clone, Copy)]
struct Header {
    hash: u64,
    expires: u64,
    value_len: usize,
    /// At most 65,535.
    key_len: usize,
    /// Only while the entry is carried over; otherwise the slot counts.
    hits: u64,
}

impl Header {
    const LEN: usize = 24;

    fn read(octets: &[u8]) -> Self {
        let word =
            |i: usize| u64::from_le_bytes(octets[8 * i..8 * i + 8].try_into().unwrap_or([0; 8]));
        let lens = word(2);
        Self {
            hash: word(0),
            expires: word(1),
            value_len: usize::try_from(lens & 0xffff_ffff).unwrap_or(0),
            key_len: usize::try_from(lens >> 32 & 0xffff).unwrap_or(0),
            hits: lens >> 48,
        }
    }

    fn write(self, octets: &mut [u8]) {
        let lens = self.hits << 48 | (self.key_len as u64) << 32 | self.value_len as u64;
        for (i, word) in [self.hash, self.expires, lens].into_iter().enumerate() {
            octets[8 * i..8 * i + 8].copy_from_slice(&word.to_le_bytes());
        }
    }

    /// Octets of the whole entry.
    fn entry_len(self) -> usize {
        (Self::LEN + self.key_len + self.value_len).next_multiple_of(8)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Queue {
    Free,
    Probation,
    Main,
}

struct Segment {
    used: usize,
    queue: Queue,
}

/// See the module.
pub(super) struct Shard {
    index: Box<[u64]>,
    log: Box<[u8]>,
    ghosts: Box<[u32]>,
    /// Where a segment's entries wait while they are sorted.
    scratch: Box<[u8]>,
    segment_len: usize,
    segments: Box<[Segment]>,
    free: VecDeque<usize>,
    probation: VecDeque<usize>,
    main: VecDeque<usize>,
    entries: usize,
}

impl Shard {
    /// An empty shard that allocates at most `bytes`, itself not counted.
    pub(super) fn new(bytes: usize) -> Self {
        let buckets = (bytes / OCTETS_PER_SLOT / SLOTS_PER_BUCKET).next_multiple_of(2);
        let slots = buckets * SLOTS_PER_BUCKET;
        let ghosts = slots / 2;
        let rest = bytes - size_of::<u64>() * slots - size_of::<u32>() * ghosts;
        // One segment's worth is scratch; each costs its place in the lists, too.
        let overhead = size_of::<Segment>() + 3 * size_of::<usize>();
        let segment_len = (rest / (MIN_SEGMENTS + 1) - overhead).min(MAX_SEGMENT) & !7;
        let count = rest / (segment_len + overhead) - 1;
        let list = || VecDeque::with_capacity(count);
        let mut shard = Self {
            index: vec![EMPTY; slots].into(),
            log: vec![0; count * segment_len].into(),
            ghosts: vec![0; ghosts].into(),
            scratch: vec![0; segment_len].into(),
            segment_len,
            segments: (0..count).map(|_| Segment { used: 0, queue: Queue::Free }).collect(),
            free: list(),
            probation: list(),
            main: list(),
            entries: 0,
        };
        shard.reset();
        shard
    }

    /// Removes everything.
    pub(super) fn reset(&mut self) {
        self.index.fill(EMPTY);
        self.ghosts.fill(0);
        for segment in &mut self.segments {
            *segment = Segment { used: 0, queue: Queue::Free };
        }
        self.probation.clear();
        self.main.clear();
        self.free.clear();
        self.free.extend(0..self.segments.len());
        self.entries = 0;
    }

    /// The value of `key` unless it has expired; counts as a hit.
    pub(super) fn get(&mut self, hash: u64, key: &[u8], now: UnixTime) -> Option<&[u8]> {
        let slot = self.find(hash, key)?;
        let at = offset_of(self.index[slot]);
        if self.header(at).expires <= now.0 {
            return None;
        }
        self.count_hit(slot);
        Some(self.value(at))
    }

    /// Puts a value; false when it is too large.
    pub(super) fn put(
        &mut self,
        hash: u64,
        key: &[u8],
        value: &[u8],
        expires: UnixTime,
        now: UnixTime,
    ) -> bool {
        let header = Header {
            hash,
            expires: expires.0,
            value_len: value.len(),
            key_len: key.len(),
            hits: 0,
        };
        let former = self.find(hash, key);
        let (hits, queue) = match former {
            Some(slot) => {
                let word = self.index[slot];
                self.clear_slot(slot);
                (hits_of(word), self.segments[offset_of(word) / self.segment_len].queue)
            }
            None if self.was_here(hash) => (0, Queue::Main),
            None => (0, Queue::Probation),
        };
        if header.entry_len() > self.segment_len || key.len() > 0xffff {
            return false;
        }
        let at = self.reserve(queue, header.entry_len(), now);
        header.write(&mut self.log[at..at + Header::LEN]);
        let key_at = at + Header::LEN;
        let value_at = key_at + key.len();
        self.log[key_at..value_at].copy_from_slice(key);
        self.log[value_at..value_at + value.len()].copy_from_slice(value);
        self.publish(hash, hits, at);
        true
    }

    /// Removes the value of `key`.
    pub(super) fn remove(&mut self, hash: u64, key: &[u8]) {
        if let Some(slot) = self.find(hash, key) {
            self.clear_slot(slot);
        }
    }

    /// Shows `f` every entry, removes those for which it returns false.
    pub(super) fn retain(&mut self, f: &mut impl FnMut(&[u8], &[u8], UnixTime) -> bool) {
        for slot in 0..self.index.len() {
            if self.index[slot] == EMPTY {
                continue;
            }
            let at = offset_of(self.index[slot]);
            let expires = UnixTime(self.header(at).expires);
            if !f(self.key(at), self.value(at), expires) {
                self.clear_slot(slot);
            }
        }
    }

    /// How many entries can be found.
    pub(super) fn entries(&self) -> usize {
        self.entries
    }

    /// Octets in use, index included.
    pub(super) fn used(&self) -> usize {
        let entries = self.segments.iter().map(|segment| segment.used).sum::<usize>();
        self.fixed_bytes() - self.log.len() + entries
    }

    /// Octets allocated.
    pub(super) fn fixed_bytes(&self) -> usize {
        let lists = self.free.capacity() + self.probation.capacity() + self.main.capacity();
        size_of_val(&*self.index)
            + size_of_val(&*self.ghosts)
            + self.log.len()
            + self.scratch.len()
            + size_of_val(&*self.segments)
            + lists * size_of::<usize>()
    }

    //--- Index

    /// The two buckets a key may be in, as ranges of slots.
    fn buckets(&self, hash: u64) -> [std::ops::Range<usize>; 2] {
        let home = reduce(hash, self.index.len() / SLOTS_PER_BUCKET);
        [home, home ^ 1].map(|bucket| {
            let first = bucket * SLOTS_PER_BUCKET;
            first..first + SLOTS_PER_BUCKET
        })
    }

    fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        let slots = self.buckets(hash).into_iter().flatten();
        slots.into_iter().find(|slot| {
            let word = self.index[*slot];
            same_tag(word, hash) && self.key(offset_of(word)) == key
        })
    }

    /// The slot that points to the entry at `at`.
    fn slot_at(&self, hash: u64, at: usize) -> Option<usize> {
        let slots = self.buckets(hash).into_iter().flatten();
        slots.into_iter().find(|slot| {
            let word = self.index[*slot];
            same_tag(word, hash) && offset_of(word) == at
        })
    }

    /// A slot for a new entry: an empty one, or that of the entry with the fewest hits.
    fn slot_for(&mut self, hash: u64) -> usize {
        let [home, other] = self.buckets(hash);
        let worth = |slot: &usize| match self.index[*slot] {
            EMPTY => (false, 0),
            word => (true, hits_of(word)),
        };
        // Both ranges have slots, so there is a least.
        let slot = home.clone().chain(other).min_by_key(worth).unwrap_or(home.start);
        if self.index[slot] != EMPTY {
            self.clear_slot(slot);
        }
        slot
    }

    fn clear_slot(&mut self, slot: usize) {
        self.index[slot] = EMPTY;
        self.entries -= 1;
    }

    fn count_hit(&mut self, slot: usize) {
        let word = self.index[slot];
        if hits_of(word) < MAX_HITS {
            self.index[slot] = word + (1 << 40);
        }
    }

    //--- Log

    fn header(&self, at: usize) -> Header {
        Header::read(&self.log[at..at + Header::LEN])
    }

    fn key(&self, at: usize) -> &[u8] {
        let start = at + Header::LEN;
        &self.log[start..start + self.header(at).key_len]
    }

    fn value(&self, at: usize) -> &[u8] {
        let header = self.header(at);
        let start = at + Header::LEN + header.key_len;
        &self.log[start..start + header.value_len]
    }

    fn publish(&mut self, hash: u64, hits: u64, at: usize) {
        let slot = self.slot_for(hash);
        self.index[slot] = slot_of(hash, hits, at);
        self.entries += 1;
    }

    /// Room for `len` octets, which fit a segment.
    fn reserve(&mut self, queue: Queue, len: usize, now: UnixTime) -> usize {
        for tries in 0.. {
            if let Some(at) = self.append(queue, len) {
                return at;
            }
            self.recycle(tries < PATIENCE, now);
        }
        // Recycling without carrying over always frees a segment, so the loop has returned.
        0
    }

    /// Room in the segment being filled, or in a free one.
    fn append(&mut self, queue: Queue, len: usize) -> Option<usize> {
        let segment_len = self.segment_len;
        let list = if queue == Queue::Main { &mut self.main } else { &mut self.probation };
        let open = list.back().copied().filter(|i| self.segments[*i].used + len <= segment_len);
        let i = match open {
            Some(i) => i,
            None => {
                let i = self.free.pop_front()?;
                list.push_back(i);
                self.segments[i] = Segment { used: 0, queue };
                i
            }
        };
        let at = i * segment_len + self.segments[i].used;
        self.segments[i].used += len;
        Some(at)
    }

    /// Frees the oldest segment, carrying over into main the entries that were hit when `carry`.
    fn recycle(&mut self, carry: bool, now: UnixTime) {
        let share = (self.segments.len() / PROBATION_SHARE).max(1);
        let from_probation = self.probation.len() > share || self.main.is_empty();
        let list = if from_probation { &mut self.probation } else { &mut self.main };
        let Some(i) = list.pop_front() else { return };
        let start = i * self.segment_len;
        let used = self.segments[i].used;
        self.scratch[..used].copy_from_slice(&self.log[start..start + used]);
        self.segments[i] = Segment { used: 0, queue: Queue::Free };
        self.free.push_back(i);
        // All slots that point into the segment go first: what is carried over may overwrite it.
        let mut kept = 0;
        let mut pos = 0;
        while pos < used {
            let mut header = Header::read(&self.scratch[pos..]);
            let len = header.entry_len();
            if let Some(slot) = self.slot_at(header.hash, start + pos) {
                let hits = hits_of(self.index[slot]);
                self.clear_slot(slot);
                if carry && hits > 0 && now.0 < header.expires {
                    // In main each round costs a hit, so that nothing stays for ever.
                    header.hits = if from_probation { 0 } else { hits - 1 };
                    header.write(&mut self.scratch[pos..]);
                    self.scratch.copy_within(pos..pos + len, kept);
                    kept += len;
                } else if from_probation {
                    self.remember(header.hash);
                }
            }
            pos += len;
        }
        self.carry_over(kept);
    }

    /// Puts the first `kept` octets of the scratch segment into main. They fit: a segment was just
    /// freed.
    fn carry_over(&mut self, kept: usize) {
        let mut pos = 0;
        while pos < kept {
            let header = Header::read(&self.scratch[pos..]);
            let len = header.entry_len();
            if let Some(at) = self.append(Queue::Main, len) {
                self.log[at..at + len].copy_from_slice(&self.scratch[pos..pos + len]);
                self.publish(header.hash, header.hits, at);
            }
            pos += len;
        }
    }

    //--- Ghosts

    fn remember(&mut self, hash: u64) {
        self.ghosts[reduce(hash, self.ghosts.len())] = fingerprint(hash);
    }

    fn was_here(&self, hash: u64) -> bool {
        self.ghosts[reduce(hash, self.ghosts.len())] == fingerprint(hash)
    }
}

/// The half of the hash that does not choose the place; never 0, which is no ghost.
fn fingerprint(hash: u64) -> u32 {
    (hash >> 32) as u32 | 1
}

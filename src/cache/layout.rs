//! How a [shard](super::shard) is laid out in words: its parts, its slots, the headers of entries.
//!
//! A change of anything here is a new version: see [`LAYOUT`](super::header::LAYOUT).

use crate::clock::UnixTime;

/// Words of a segment at most, and so of an entry.
const MAX_SEGMENT: usize = (64 << 10) / 8;
/// Segments of a shard at least.
const MIN_SEGMENTS: usize = 8;
/// One slot for so many octets: about what a small entry takes, so that both run out together.
const OCTETS_PER_SLOT: usize = 112;
/// Slots in which a key may be: two buckets, of a cache line each.
pub(super) const SLOTS_PER_PAIR: usize = 16;
/// Slots of a cache line.
pub(super) const SLOTS_PER_BUCKET: usize = SLOTS_PER_PAIR / 2;
/// Words of a cache line.
const LINE: usize = 8;
/// Words that describe a segment to writers: queue and fill, age.
pub(super) const META: usize = 2;
/// Hits that count.
pub(super) const MAX_HITS: u64 = 3;

/// Maps 32 bits evenly to 0..n.
pub(super) fn reduce(bits: u64, n: usize) -> usize {
    (((bits & 0xffff_ffff) * n as u64) >> 32) as usize
}

//--- Slots: 16 bits of the hash, 8 bits of hits, 40 bits of place, which is a word of the log plus 1

/// A slot that leads nowhere.
pub(super) const EMPTY: u64 = 0;
const PLACE: u64 = (1 << 40) - 1;
/// One more hit of a slot.
pub(super) const ONE_HIT: u64 = 1 << 40;
const HITS: u64 = 0xff * ONE_HIT;

/// A slot that leads to a word of the log.
pub(super) fn slot_of(tag: u64, hits: u64, at: usize) -> u64 {
    (tag << 48) | (hits.min(MAX_HITS) * ONE_HIT) | ((at as u64 + 1) & PLACE)
}

/// The part of the hash that stands in a slot.
pub(super) fn tag_of(slot: u64) -> u64 {
    slot >> 48
}

/// The part of the hash that stands in its slot.
pub(super) fn tag_of_hash(hash: u64) -> u64 {
    hash & 0xffff
}

/// How often it was hit.
pub(super) fn hits_of(slot: u64) -> u64 {
    (slot & HITS) / ONE_HIT
}

/// The word of the log that a slot leads to.
pub(super) fn place_of(slot: u64) -> Option<usize> {
    ((slot & PLACE) as usize).checked_sub(1)
}

/// Whether two slots lead to the same place, whatever their hits.
pub(super) fn is_same(a: u64, b: u64) -> bool {
    (a ^ b) & !HITS == 0
}

/// Numbers that say where things are in the words of a shard.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Geometry {
    /// Slots of the index, in pairs of buckets.
    pub(super) slots: usize,
    pub(super) segments: usize,
    pub(super) segment_words: usize,
}

impl Geometry {
    /// For a shard of at most so many octets; a kilobyte at least.
    pub(super) fn new(octets: usize) -> Self {
        let words = octets / 8;
        let slots = (octets / OCTETS_PER_SLOT / SLOTS_PER_PAIR).max(1) * SLOTS_PER_PAIR;
        let rest = words.saturating_sub(slots + slots / LINE + 2 * LINE);
        let segment_words = (rest / MIN_SEGMENTS).saturating_sub(1 + META).clamp(1, MAX_SEGMENT);
        let segments = rest / (segment_words + 1 + META);
        Self { slots, segments, segment_words }
    }

    /// Words of the whole shard.
    pub(super) fn words(&self) -> usize {
        self.overhead() + self.segments * self.segment_words
    }

    /// Words that are not of the log.
    pub(super) fn overhead(&self) -> usize {
        self.slots + self.generations() + self.metas() + self.ghosts()
    }

    /// Readers look at generations: they share no cache line with what writers write all the time.
    pub(super) fn generations(&self) -> usize {
        self.segments.next_multiple_of(LINE)
    }

    pub(super) fn metas(&self) -> usize {
        META * self.segments
    }

    /// Half as many ghosts as slots, four in a word.
    pub(super) fn ghosts(&self) -> usize {
        self.slots / LINE
    }
}

/// What stands before key and value in the log: a word.
#[derive(Clone, Copy)]
pub(super) struct Header {
    /// Seconds since 1970; the greatest number is never.
    expires: u32,
    pub(super) key_len: u16,
    value_len: u16,
}

impl Header {
    pub(super) fn new(key: &[u8], value: &[u8], expires: UnixTime) -> Option<Self> {
        Some(Self {
            expires: u32::try_from(expires.0).unwrap_or(u32::MAX),
            key_len: key.len().try_into().ok()?,
            value_len: value.len().try_into().ok()?,
        })
    }

    #[expect(clippy::cast_possible_truncation, reason = "takes the word apart")]
    pub(super) fn of(word: u64) -> Self {
        Self { expires: (word >> 32) as u32, key_len: (word >> 16) as u16, value_len: word as u16 }
    }

    pub(super) fn word(self) -> u64 {
        u64::from(self.expires) << 32 | u64::from(self.key_len) << 16 | u64::from(self.value_len)
    }

    pub(super) fn expires(self) -> UnixTime {
        UnixTime(if self.expires == u32::MAX { u64::MAX } else { self.expires.into() })
    }

    /// Octets of key and value.
    pub(super) fn octets(self) -> usize {
        usize::from(self.key_len) + usize::from(self.value_len)
    }

    /// Words of the whole entry.
    pub(super) fn words(self) -> usize {
        1 + self.octets().div_ceil(8)
    }
}

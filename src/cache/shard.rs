//! One shard of a [`Region`](super::region::Region): index, log and ghosts in words of shared
//! memory.
//!
//! Zeroed memory is an empty shard. There are any number of readers and, by agreement of the
//! callers, one [`Writer`] at a time, which may die between any two of its stores:
//!
//! - An entry is written completely, then counted as part of its segment, then published by one
//!   exchange of its slot. Before that nothing leads to it.
//! - A segment is emptied by moving or clearing every slot that leads into it, then its generation
//!   is raised; only after that it is written to again.
//! - A reader takes the generation of a segment, *then* makes sure that the slot still leads there,
//!   copies, and compares the generation. What it has copied by then was complete and unchanged.
//!
//! The memory may have been written by another process, another version, or a madman: each number
//! read from it is checked where it is used, and no loop runs longer because of one.

use super::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
    fence,
};
use super::layout::{
    EMPTY, Geometry, Header, MAX_HITS, META, ONE_HIT, SLOTS_PER_BUCKET, SLOTS_PER_PAIR, hits_of,
    is_same, place_of, reduce, slot_of, tag_of, tag_of_hash,
};
use crate::clock::UnixTime;

/// Part of the segments that new entries may fill before they push out each other.
const PROBATION_SHARE: usize = 10;
/// Segments recycled for one entry with their hit entries carried over; after that everything is
/// dropped, so that the work for one entry is bounded.
const PATIENCE: usize = 3;
/// How often a reader begins anew because a writer was faster, before it calls that a miss.
const TRIES: usize = 8;

/// An entry that was copied: header first in the buffer, then key and value.
#[derive(Clone, Copy)]
struct Copied {
    header: Header,
}

impl Copied {
    fn key(self, buffer: &[u8]) -> &[u8] {
        buffer.get(..self.header.key_len.into()).unwrap_or_default()
    }

    fn value(self, buffer: &[u8]) -> &[u8] {
        buffer.get(self.header.key_len.into()..self.header.octets()).unwrap_or_default()
    }
}

/// What a look at the index came to.
enum Look {
    /// The entry is in the buffer; its slot, and what stood there.
    Found(Copied, usize, u64),
    Absent,
    /// A writer was faster.
    Moved,
}

/// Which entries a segment holds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Queue {
    Free = 0,
    Probation = 1,
    Main = 2,
}

/// A place for an entry that nothing leads to yet.
#[derive(Clone, Copy)]
struct Place {
    queue: Queue,
    segment: usize,
    /// Word within the segment.
    pos: usize,
}

/// What the writer of a shard remembers. All of it can be had from the shard, so that nothing is
/// lost with it.
pub(super) struct Writer {
    next_age: u64,
    /// The segments being filled.
    probation: Option<usize>,
    main: Option<usize>,
}

impl Writer {
    fn open(&mut self, queue: Queue) -> &mut Option<usize> {
        if queue == Queue::Main { &mut self.main } else { &mut self.probation }
    }
}

/// See the module. A view of its words; makes no copy of anything.
#[derive(Clone, Copy)]
pub(super) struct Shard<'a> {
    geometry: Geometry,
    index: &'a [AtomicU64],
    generations: &'a [AtomicU64],
    metas: &'a [AtomicU64],
    ghosts: &'a [AtomicU64],
    log: &'a [AtomicU64],
}

impl<'a> Shard<'a> {
    /// A view of words, as many as the geometry says.
    pub(super) fn new(words: &'a [AtomicU64], geometry: Geometry) -> Self {
        let (index, rest) = words.split_at(geometry.slots);
        let (generations, rest) = rest.split_at(geometry.generations());
        let (metas, rest) = rest.split_at(geometry.metas());
        let (ghosts, log) = rest.split_at(geometry.ghosts());
        Self { geometry, index, generations, metas, ghosts, log }
    }

    //--- Readers

    /// Copies the entry of `key` into the buffer and returns its value, unless there is none or it
    /// has expired; counts as a hit. The buffer has room for a segment, or longer entries are not
    /// found.
    pub(super) fn get<'b>(
        &self,
        hash: u64,
        key: &[u8],
        now: UnixTime,
        buffer: &'b mut [u8],
    ) -> Option<&'b [u8]> {
        for _ in 0..TRIES {
            match self.look(hash, key, buffer) {
                Look::Found(entry, slot, word) => {
                    if entry.header.expires() <= now {
                        return None;
                    }
                    self.count_hit(slot, word);
                    return Some(entry.value(buffer));
                }
                Look::Absent => return None,
                Look::Moved => {}
            }
        }
        None
    }

    fn look(&self, hash: u64, key: &[u8], buffer: &mut [u8]) -> Look {
        for slot in self.slots(hash) {
            let word = self.index[slot].load(Relaxed);
            if word == EMPTY || tag_of(word) != tag_of_hash(hash) {
                continue;
            }
            match self.copy(slot, word, buffer) {
                Ok(Some(entry)) if entry.key(buffer) == key => {
                    return Look::Found(entry, slot, word);
                }
                Ok(_) => {}
                Err(Changed) => return Look::Moved,
            }
        }
        Look::Absent
    }

    /// Copies what a slot leads to; nothing when that cannot be an entry.
    fn copy(&self, slot: usize, word: u64, buffer: &mut [u8]) -> Result<Option<Copied>, Changed> {
        let Some((at, segment)) = self.place(word) else { return Ok(None) };
        let generation = self.generations[segment].load(Acquire);
        // Only now it is certain that the slot leads to an entry of this generation.
        if !is_same(self.index[slot].load(Acquire), word) {
            return Err(Changed);
        }
        let copied = self.copy_words(at, segment, buffer);
        fence(Acquire);
        match self.generations[segment].load(Relaxed) == generation {
            true => Ok(copied),
            false => Err(Changed),
        }
    }

    /// Copies key and value of an entry, which may change meanwhile.
    fn copy_words(&self, at: usize, segment: usize, buffer: &mut [u8]) -> Option<Copied> {
        let header = Header::of(self.log[at].load(Relaxed));
        let words = self.entry(header, at, segment)?;
        let buffer = buffer.get_mut(..8 * (header.words() - 1))?;
        for (octets, word) in buffer.as_chunks_mut().0.iter_mut().zip(words) {
            *octets = word.load(Relaxed).to_le_bytes();
        }
        Some(Copied { header })
    }

    fn count_hit(&self, slot: usize, word: u64) {
        if hits_of(word) < MAX_HITS {
            // Whoever changes it at the same time has something more important to say.
            let _ = self.index[slot].compare_exchange(word, word + ONE_HIT, Relaxed, Relaxed);
        }
    }

    /// The slots a key may be in, those of its own bucket first.
    fn slots(&self, hash: u64) -> impl Iterator<Item = usize> + use<> {
        let home = reduce(hash, self.geometry.slots / SLOTS_PER_BUCKET);
        let first = home / 2 * SLOTS_PER_PAIR;
        let turn = home % 2 * SLOTS_PER_BUCKET;
        (0..SLOTS_PER_PAIR).map(move |i| first + (i ^ turn))
    }

    /// The word of the log and the segment that a slot leads to.
    fn place(&self, slot: u64) -> Option<(usize, usize)> {
        let at = place_of(slot).filter(|at| *at < self.log.len())?;
        Some((at, at / self.geometry.segment_words))
    }

    /// The words of key and value, when they end within the segment.
    fn entry(&self, header: Header, at: usize, segment: usize) -> Option<&'a [AtomicU64]> {
        let end = at + header.words();
        if end > (segment + 1) * self.geometry.segment_words {
            return None;
        }
        self.log.get(at + 1..end)
    }

    //--- Writers

    /// Goes on where the last writer stopped, wherever that was.
    pub(super) fn writer(&self) -> Writer {
        let mut writer = Writer { next_age: 1, probation: None, main: None };
        let mut newest = [0; 2];
        for segment in 0..self.geometry.segments {
            let age = self.age(segment);
            writer.next_age = writer.next_age.max(age.saturating_add(1));
            let queue = self.queue(segment);
            let newest = &mut newest[usize::from(queue == Queue::Main)];
            if queue != Queue::Free && age >= *newest {
                *newest = age;
                *writer.open(queue) = Some(segment);
            }
        }
        writer
    }

    /// Puts a value; false when it is too large, and then a former one is removed.
    pub(super) fn put(
        &self,
        writer: &mut Writer,
        hash: u64,
        key: &[u8],
        value: &[u8],
        expires: UnixTime,
        now: UnixTime,
    ) -> bool {
        let former = self.find(hash, key).map(|slot| self.index[slot].load(Relaxed));
        let queue = match former.and_then(|word| self.place(word)) {
            Some((_, segment)) if self.queue(segment) == Queue::Main => Queue::Main,
            Some(_) => Queue::Probation,
            None if self.was_here(hash) => Queue::Main,
            None => Queue::Probation,
        };
        let fits = |header: &Header| header.words() <= self.geometry.segment_words;
        let header = Header::new(key, value, expires).filter(fits);
        let room = header.and_then(|header| self.reserve(writer, queue, header.words(), now));
        // Recycling may have moved or removed it.
        let former = self.find(hash, key);
        let Some((header, place)) = header.zip(room) else {
            former.into_iter().for_each(|slot| self.clear_slot(slot));
            return false;
        };
        let at = self.at(place);
        self.write(at, header, key, value);
        self.commit(place, header.words());
        let slot = former.unwrap_or_else(|| self.slot_for(hash));
        let hits = former.map_or(0, |slot| hits_of(self.index[slot].load(Relaxed)));
        self.publish(slot, slot_of(tag_of_hash(hash), hits, at));
        true
    }

    /// Removes the value of `key`.
    pub(super) fn remove(&self, _: &mut Writer, hash: u64, key: &[u8]) {
        if let Some(slot) = self.find(hash, key) {
            self.clear_slot(slot);
        }
    }

    /// Shows `f` every entry, removes those for which it returns false.
    pub(super) fn retain(
        &self,
        _: &mut Writer,
        buffer: &mut [u8],
        f: &mut impl FnMut(&[u8], &[u8], UnixTime) -> bool,
    ) {
        for slot in 0..self.geometry.slots {
            let word = self.index[slot].load(Relaxed);
            if word == EMPTY {
                continue;
            }
            let entry =
                self.place(word).and_then(|(at, segment)| self.copy_words(at, segment, buffer));
            let keep = entry.is_some_and(|entry| {
                f(entry.key(buffer), entry.value(buffer), entry.header.expires())
            });
            if !keep {
                self.clear_slot(slot);
            }
        }
    }

    /// Removes everything.
    pub(super) fn clear(&self, writer: &mut Writer) {
        (0..self.geometry.slots).for_each(|slot| self.clear_slot(slot));
        (0..self.geometry.segments).for_each(|segment| self.free(segment));
        self.ghosts.iter().for_each(|ghosts| ghosts.store(0, Relaxed));
        *writer = self.writer();
    }

    /// How many slots are taken.
    pub(super) fn entries(&self) -> usize {
        self.index.iter().filter(|slot| slot.load(Relaxed) != EMPTY).count()
    }

    /// Octets in use, index included.
    pub(super) fn used(&self) -> usize {
        let entries = (0..self.geometry.segments).map(|segment| self.fill(segment)).sum::<usize>();
        8 * (self.geometry.overhead() + entries)
    }

    //--- Index

    /// The slot of a key, for the writer, from whom nothing runs away.
    fn find(&self, hash: u64, key: &[u8]) -> Option<usize> {
        self.slots(hash).find(|slot| {
            let word = self.index[*slot].load(Relaxed);
            word != EMPTY && tag_of(word) == tag_of_hash(hash) && self.has_key(word, key)
        })
    }

    fn has_key(&self, slot: u64, key: &[u8]) -> bool {
        let Some((at, segment)) = self.place(slot) else { return false };
        let header = Header::of(self.log[at].load(Relaxed));
        let Some(words) = self.entry(header, at, segment) else { return false };
        usize::from(header.key_len) == key.len()
            && key.chunks(8).zip(words).all(|(octets, word)| {
                word.load(Relaxed).to_le_bytes().get(..octets.len()) == Some(octets)
            })
    }

    /// A slot for a new entry: an empty one, or that of the entry with the fewest hits.
    fn slot_for(&self, hash: u64) -> usize {
        let worth = |slot: &usize| match self.index[*slot].load(Relaxed) {
            EMPTY => (false, 0),
            word => (true, hits_of(word)),
        };
        // There are slots, so there is a least.
        self.slots(hash).min_by_key(worth).unwrap_or_default()
    }

    /// Lets a slot lead to an entry that is complete. An exchange, here and below, since readers count
    /// hits in it at the same time: theirs comes before, and is lost, or fails.
    fn publish(&self, slot: usize, word: u64) {
        self.index[slot].swap(word, Release);
    }

    fn clear_slot(&self, slot: usize) {
        self.index[slot].swap(EMPTY, Relaxed);
    }

    //--- Log

    fn at(&self, place: Place) -> usize {
        place.segment * self.geometry.segment_words + place.pos
    }

    /// Room for an entry that fits a segment.
    fn reserve(
        &self,
        writer: &mut Writer,
        queue: Queue,
        words: usize,
        now: UnixTime,
    ) -> Option<Place> {
        // Recycling without carrying over always frees a segment.
        for tries in 0..PATIENCE + 3 {
            if let Some(place) = self.append(writer, queue, words, 1) {
                return Some(place);
            }
            self.recycle(writer, tries < PATIENCE, now);
        }
        None
    }

    /// Room in the segment being filled, or in a free one, of which `spare` are left alone.
    fn append(
        &self,
        writer: &mut Writer,
        queue: Queue,
        words: usize,
        spare: usize,
    ) -> Option<Place> {
        let room = |segment: usize| {
            let pos = self.fill(segment);
            let fits = pos + words <= self.geometry.segment_words;
            fits.then_some(Place { queue, segment, pos })
        };
        let open = writer.open(queue);
        if let Some(place) = open.and_then(room) {
            return Some(place);
        }
        let mut free = self.of(Queue::Free);
        let segment = free.next().filter(|_| free.count() >= spare)?;
        self.metas[META * segment + 1].store(writer.next_age, Relaxed);
        writer.next_age = writer.next_age.saturating_add(1);
        self.set_meta(segment, queue, 0);
        *writer.open(queue) = Some(segment);
        room(segment)
    }

    fn write(&self, at: usize, header: Header, key: &[u8], value: &[u8]) {
        let mut words = self.log[at..].iter();
        let mut put = |octets: [u8; 8]| {
            if let Some(word) = words.next() {
                word.store(u64::from_le_bytes(octets), Relaxed);
            }
        };
        put(header.word().to_le_bytes());
        let (whole, rest) = key.as_chunks();
        whole.iter().for_each(|octets| put(*octets));
        // The word in which the key ends and the value begins.
        let (start, value) = value.split_at(value.len().min((8 - rest.len()) % 8));
        if !rest.is_empty() {
            put(padded(rest, start));
        }
        let (whole, rest) = value.as_chunks();
        whole.iter().for_each(|octets| put(*octets));
        if !rest.is_empty() {
            put(padded(rest, &[]));
        }
    }

    /// Counts an entry that was written as part of its segment.
    fn commit(&self, place: Place, words: usize) {
        self.set_meta(place.segment, place.queue, place.pos + words);
    }

    /// Frees the oldest segment, carrying over into main the entries that were hit when `carry`.
    fn recycle(&self, writer: &mut Writer, carry: bool, now: UnixTime) {
        let share = (self.geometry.segments / PROBATION_SHARE).max(1);
        let main = self.oldest(Queue::Main);
        let from_probation = self.of(Queue::Probation).count() > share || main.is_none();
        let victim = if from_probation { self.oldest(Queue::Probation) } else { main };
        let Some(victim) = victim.or(main) else { return };
        for queue in [Queue::Probation, Queue::Main] {
            writer.open(queue).take_if(|open| *open == victim);
        }
        for slot in 0..self.geometry.slots {
            let word = self.index[slot].load(Relaxed);
            let Some((at, _)) = self.place(word).filter(|(_, segment)| *segment == victim) else {
                continue;
            };
            // In main each round costs a hit, so that nothing stays for ever.
            let cost = u64::from(!from_probation);
            let kept = carry
                && hits_of(word) > 0
                && self.carry_over(writer, slot, word, (at, victim), cost, now);
            if !kept {
                self.clear_slot(slot);
                if from_probation {
                    self.remember(slot / SLOTS_PER_PAIR, tag_of(word));
                }
            }
        }
        self.free(victim);
    }

    /// Copies an entry into main and lets its slot lead there, unless it has expired. There is
    /// room: one segment is always free for this.
    fn carry_over(
        &self,
        writer: &mut Writer,
        slot: usize,
        word: u64,
        (at, segment): (usize, usize),
        cost: u64,
        now: UnixTime,
    ) -> bool {
        let header = Header::of(self.log[at].load(Relaxed));
        let Some(words) = self.entry(header, at, segment).filter(|_| now < header.expires()) else {
            return false;
        };
        let Some(place) = self.append(writer, Queue::Main, header.words(), 0) else { return false };
        let new = self.at(place);
        self.log[new].store(header.word(), Relaxed);
        for (to, from) in self.log[new + 1..].iter().zip(words) {
            to.store(from.load(Relaxed), Relaxed);
        }
        self.commit(place, header.words());
        let hits = hits_of(word).saturating_sub(cost);
        self.publish(slot, slot_of(tag_of(word), hits, new));
        true
    }

    /// Gives a segment free that no slot leads to any more.
    fn free(&self, segment: usize) {
        let generation = self.generations[segment].load(Relaxed);
        self.generations[segment].store(generation.wrapping_add(1), Release);
        // Before anything is written there again: whoever reads that also reads the generation.
        fence(Release);
        self.set_meta(segment, Queue::Free, 0);
    }

    //--- Segments, as writers see them: queue in the upper half of a word, words filled in the lower

    fn of(&self, queue: Queue) -> impl Iterator<Item = usize> + use<'a> {
        let this = *self;
        (0..self.geometry.segments).filter(move |segment| this.queue(*segment) == queue)
    }

    fn oldest(&self, queue: Queue) -> Option<usize> {
        self.of(queue).min_by_key(|segment| self.age(*segment))
    }

    fn age(&self, segment: usize) -> u64 {
        self.metas[META * segment + 1].load(Relaxed)
    }

    fn queue(&self, segment: usize) -> Queue {
        match self.metas[META * segment].load(Relaxed) >> 32 {
            0 => Queue::Free,
            1 => Queue::Probation,
            _ => Queue::Main,
        }
    }

    /// Words filled.
    #[expect(clippy::cast_possible_truncation, reason = "takes the word apart")]
    fn fill(&self, segment: usize) -> usize {
        let words = self.metas[META * segment].load(Relaxed) as u32;
        (words as usize).min(self.geometry.segment_words)
    }

    fn set_meta(&self, segment: usize, queue: Queue, words: usize) {
        self.metas[META * segment].store((queue as u64) << 32 | words as u64, Release);
    }

    //--- Ghosts: tags of entries that left without a hit, eight places of 16 bits for a pair of buckets

    /// The word of a ghost, and by how many bits it is shifted there.
    fn ghost(&self, pair: usize, tag: u64) -> (&'a AtomicU64, u64) {
        (&self.ghosts[2 * pair + usize::from(tag & 4 != 0)], 16 * (tag & 3))
    }

    fn remember(&self, pair: usize, tag: u64) {
        let (word, shift) = self.ghost(pair, tag);
        let others = word.load(Relaxed) & !(0xffff << shift);
        word.store(others | tag.max(1) << shift, Relaxed);
    }

    fn was_here(&self, hash: u64) -> bool {
        let pair = reduce(hash, self.geometry.slots / SLOTS_PER_BUCKET) / 2;
        let tag = tag_of_hash(hash);
        let (word, shift) = self.ghost(pair, tag);
        word.load(Relaxed) >> shift & 0xffff == tag.max(1)
    }
}

/// A writer has changed what was being read.
struct Changed;

/// Two pieces one behind the other, eight octets together at most, and zeros.
fn padded(first: &[u8], second: &[u8]) -> [u8; 8] {
    let mut octets = [0; 8];
    for (to, from) in octets.iter_mut().zip(first.iter().chain(second)) {
        *to = *from;
    }
    octets
}

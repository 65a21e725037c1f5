//! The protocol between the writer of a shard and its readers, under every order in which a machine
//! may perform what they do.
//!
//! The source of the shard is compiled once more, with the atomics of the model checker in the
//! place of the real ones. A model has one segment per entry and entries of a few words, so that
//! each put overwrites what a reader may just be copying.

#![expect(clippy::unwrap_used, reason = "a test that unwraps says what it expects")]
#![allow(dead_code, unreachable_pub, reason = "the model uses a part of what the cache uses")]

mod atomic {
    pub(super) use loom::sync::atomic::{AtomicU64, Ordering, fence};
}
mod clock {
    pub use prebound::clock::UnixTime;
}
#[path = "../src/cache/layout.rs"]
mod layout;
#[path = "../src/cache/shard.rs"]
mod shard;

use loom::sync::{Arc, Mutex};
use loom::thread;

use atomic::AtomicU64;
use clock::UnixTime;
use layout::Geometry;
use shard::{Shard, Writer};

const NOW: UnixTime = UnixTime(1_000);
const LATER: UnixTime = UnixTime(2_000);
/// Room for one entry of a key of one octet and a value of two words in each segment.
const GEOMETRY: Geometry = Geometry { slots: 16, segments: 4, segment_words: 4 };

struct Model {
    words: Vec<AtomicU64>,
    writer: Mutex<Writer>,
}

impl Model {
    /// A shard with entries for these keys, hit or not.
    fn new(entries: &[(u8, u8)], hit: &[u8]) -> Self {
        let words: Vec<_> = (0..GEOMETRY.words()).map(|_| AtomicU64::new(0)).collect();
        let writer = Mutex::new(Shard::new(&words, GEOMETRY).writer());
        let model = Self { words, writer };
        entries.iter().for_each(|(key, fill)| assert!(model.put(*key, *fill)));
        hit.iter().for_each(|key| assert!(model.get(*key).is_some()));
        model
    }

    fn shard(&self) -> Shard<'_> {
        Shard::new(&self.words, GEOMETRY)
    }

    fn put(&self, key: u8, fill: u8) -> bool {
        let mut writer = self.writer.lock().unwrap();
        self.shard().put(&mut writer, hash(key), &[key], &[fill; 16], LATER, NOW)
    }

    /// What the value of a key is filled with; all of it, or the model has failed.
    fn get(&self, key: u8) -> Option<u8> {
        let mut buffer = [0; 64];
        let value = self.shard().get(hash(key), &[key], NOW, &mut buffer)?;
        assert_eq!(value, [value[0]; 16], "a value in parts");
        Some(value[0])
    }
}

/// All in one bucket, each with a tag of its own.
fn hash(key: u8) -> u64 {
    key.into()
}

fn check(model: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.max_branches = 20_000;
    // Bugs of such protocols show with few changes of thread; all of them would take for ever.
    builder.preemption_bound = Some(3);
    builder.check(model);
}

#[test]
fn a_reader_sees_the_old_or_the_new_value_of_a_key_while_it_is_replaced() {
    check(|| {
        let model = Arc::new(Model::new(&[(1, 10)], &[]));
        let writer = {
            let model = Arc::clone(&model);
            thread::spawn(move || assert!(model.put(1, 20)))
        };
        let seen = model.get(1);
        assert!(matches!(seen, Some(10 | 20)), "{seen:?}");
        writer.join().unwrap();
        assert_eq!(model.get(1), Some(20));
    });
}

#[test]
fn a_reader_never_sees_another_entry_in_a_recycled_segment() {
    check(|| {
        // The next put takes the segment of the first.
        let model = Arc::new(Model::new(&[(1, 10), (2, 20), (3, 30)], &[]));
        let writer = {
            let model = Arc::clone(&model);
            thread::spawn(move || assert!(model.put(4, 40)))
        };
        let seen = model.get(1);
        assert!(matches!(seen, None | Some(10)), "{seen:?}");
        writer.join().unwrap();
        // When it was seen in time it was a hit, and is carried over.
        assert!(matches!(model.get(1), None | Some(10)));
        assert_eq!(model.get(4), Some(40));
    });
}

#[test]
fn a_reader_sees_a_whole_value_when_the_same_key_returns_to_the_same_place() {
    check(|| {
        // The same slot leads to the same word of the log before and after.
        let model = Arc::new(Model::new(&[(1, 10), (2, 20), (3, 30)], &[]));
        let writer = {
            let model = Arc::clone(&model);
            thread::spawn(move || assert!(model.put(1, 11)))
        };
        let seen = model.get(1);
        assert!(matches!(seen, None | Some(10 | 11)), "{seen:?}");
        writer.join().unwrap();
        assert_eq!(model.get(1), Some(11));
    });
}

#[test]
fn what_was_hit_is_there_all_the_time_while_it_is_carried_over() {
    check(|| {
        let model = Arc::new(Model::new(&[(1, 10), (2, 20), (3, 30)], &[1]));
        let writer = {
            let model = Arc::clone(&model);
            thread::spawn(move || assert!(model.put(4, 40)))
        };
        assert_eq!(model.get(1), Some(10));
        writer.join().unwrap();
        assert_eq!(model.get(1), Some(10));
    });
}

#[test]
fn two_writers_and_what_they_write_exclude_each_other() {
    check(|| {
        let model = Arc::new(Model::new(&[(1, 10), (2, 20)], &[]));
        let writer = {
            let model = Arc::clone(&model);
            thread::spawn(move || assert!(model.put(3, 30)))
        };
        assert!(model.put(4, 40));
        writer.join().unwrap();
        // Whoever came last is there; there are three segments for four entries.
        assert!(
            model.get(3).is_some_and(|fill| fill == 30)
                || model.get(4).is_some_and(|fill| fill == 40)
        );
    });
}

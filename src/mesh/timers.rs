//! Deadlines of the mesh, earliest first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;

use super::task::TaskId;
use super::{ClientId, Token};
use crate::clock::Mono;

/// What a deadline is for. One that has lost its purpose fires and finds nothing.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Timer {
    Exchange(Token),
    Client(ClientId),
    WorkEnds(TaskId),
}

#[derive(Default)]
pub(super) struct Timers {
    heap: BinaryHeap<Entry>,
    sequence: u64,
}

struct Entry {
    at: Reverse<(Mono, u64)>,
    timer: Timer,
}

impl Timers {
    pub(super) fn add(&mut self, at: Mono, timer: Timer) {
        self.sequence += 1;
        self.heap.push(Entry { at: Reverse((at, self.sequence)), timer });
    }

    pub(super) fn len(&self) -> usize {
        self.heap.len()
    }

    /// Drops those for which `f` is false.
    pub(super) fn retain(&mut self, f: impl Fn(Timer) -> bool) {
        self.heap.retain(|entry| f(entry.timer));
    }

    pub(super) fn next(&self) -> Option<Mono> {
        self.heap.peek().map(|entry| entry.at.0.0)
    }

    /// The earliest timer that is due at `now`.
    pub(super) fn pop(&mut self, now: Mono) -> Option<Timer> {
        self.next().filter(|at| *at <= now)?;
        self.heap.pop().map(|entry| entry.timer)
    }
}

impl Ord for Entry {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.at.cmp(&other.at)
    }
}

impl PartialOrd for Entry {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Entry {
    fn eq(&self, other: &Self) -> bool {
        self.at == other.at
    }
}

impl Eq for Entry {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_earliest_fires_first_and_none_before_its_time() {
        let mut timers = Timers::default();
        for (at, client) in [(30, 3), (10, 1), (10, 2)] {
            timers.add(Mono::from_micros(at), Timer::Client(ClientId(client)));
        }
        assert_eq!(timers.next(), Some(Mono::from_micros(10)));
        assert_eq!(timers.pop(Mono::from_micros(9)), None);
        for client in [1, 2] {
            assert_eq!(timers.pop(Mono::from_micros(10)), Some(Timer::Client(ClientId(client))));
        }
        assert_eq!(timers.pop(Mono::from_micros(29)), None);
    }
}

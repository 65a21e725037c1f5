//! Deadlines of the mesh, earliest first.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::rc::Rc;

use super::task::{self, TaskId, Waiter};
use super::{ClientId, Context, Mesh, Token};
use crate::cache::Answer;
use crate::clock::Mono;
use crate::status::Reason;

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

impl Mesh {
    /// Drops timers that have lost their purpose, once they are more than the others.
    pub(super) fn tidy(&mut self) {
        let live = self.exchanges.len() + self.clients.len() + self.tasks.len();
        if self.timers.len() <= 2 * live + super::TIMERS_LEFT {
            return;
        }
        self.timers.retain(|timer| match timer {
            Timer::Exchange(token) => self.exchanges.contains_key(&token),
            Timer::Client(client) => self.clients.contains_key(&client),
            Timer::WorkEnds(id) => self.tasks.contains_key(&id),
        });
    }

    pub(super) fn expire(&mut self, cx: &mut Context<'_>) {
        while let Some(timer) = self.timers.pop(cx.now.mono) {
            match timer {
                Timer::Exchange(token) => {
                    self.exchange_event(token, cx, |task, cx, cache| {
                        task.timed_out(token, cx, cache)
                    });
                    self.ended(token);
                }
                Timer::Client(client) => self.client_deadline(client, cx),
                Timer::WorkEnds(id) => self.work_ends(id, cx),
            }
            // What follows from one timer comes before the next one.
            self.drain(cx);
        }
    }

    /// The client has waited long enough; the work may go on for the cache.
    fn client_deadline(&mut self, client: ClientId, cx: &Context<'_>) {
        let Some(waiting) = self.clients.get(&client) else { return };
        if let Some(task) = self.tasks.get_mut(&waiting.task) {
            task.waiters.retain(|waiter| *waiter != Waiter::Client(client));
            if !task.waiters.iter().any(|waiter| matches!(waiter, Waiter::Client(_))) {
                self.seats.set_wanted(waiting.task, false);
            }
        }
        let answer = Answer::failure(waiting.query.question.clone(), Reason::ClientDeadline);
        // Whoever asks again shortly is told at once, unless the work ends better.
        self.cache.store_answer(&answer, cx.now);
        self.reply(client, Rc::new(answer));
    }

    fn work_ends(&mut self, id: TaskId, cx: &mut Context<'_>) {
        let Some(task) = self.tasks.get(&id) else { return };
        if task.keep_until > cx.now.mono {
            self.timers.add(task.keep_until, Timer::WorkEnds(id));
            return;
        }
        let question = task.key.question.clone();
        self.finish(id, &task::Outcome::failure(question, Reason::ClientDeadline), cx);
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

//! How many questions of clients may be in flight, and which has to go for another.
//!
//! At most `num-queries-per-thread` at once, however many clients wait for each. The first half of
//! them run to their end: slow questions are answered, too. The others may be displaced once they
//! have taken longer than `jostle-timeout`, the oldest first, so that a flood of slow questions does
//! not shut out quick ones. Work that nobody waits for any more goes before all others.

use std::collections::{BTreeMap, BTreeSet, HashSet};
use std::time::Duration;

use super::task::{self, TaskId, Waiter};
use super::{Action, Context, Mesh, Query};
use crate::clock::Mono;
use crate::status::Reason;

/// The questions of clients in flight.
#[derive(Debug, Default)]
pub(super) struct Seats {
    /// Those that run to their end.
    kept: HashSet<TaskId>,
    /// The others, in the order they came, with when that was.
    others: BTreeMap<TaskId, Mono>,
    /// Those of either kind that nobody waits for.
    idle: BTreeSet<TaskId>,
}

impl Seats {
    /// How many there are.
    pub(super) fn len(&self) -> usize {
        self.kept.len() + self.others.len()
    }

    /// How many of them somebody waits for.
    pub(super) fn wanted(&self) -> usize {
        self.len() - self.idle.len()
    }

    /// A question begins at `now`, of at most `most`. One that is there already stays what it was.
    pub(super) fn enter(&mut self, id: TaskId, most: usize, now: Mono) {
        if self.kept.contains(&id) || self.others.contains_key(&id) {
            return;
        }
        if self.kept.len() < most.div_ceil(2) {
            self.kept.insert(id);
        } else {
            self.others.insert(id, now);
        }
    }

    /// A question is over; nothing happens when it was none of a client.
    pub(super) fn leave(&mut self, id: TaskId) {
        self.kept.remove(&id);
        self.others.remove(&id);
        self.idle.remove(&id);
    }

    /// Somebody waits for it, or nobody does.
    pub(super) fn set_wanted(&mut self, id: TaskId, wanted: bool) {
        if wanted {
            self.idle.remove(&id);
        } else if self.kept.contains(&id) || self.others.contains_key(&id) {
            self.idle.insert(id);
        }
    }

    /// The one that goes first: nobody wants it, or it has taken longer than `least`.
    pub(super) fn candidate(&self, least: Duration, now: Mono) -> Option<TaskId> {
        self.idle.first().copied().or_else(|| {
            let (id, since) = self.others.first_key_value()?;
            (now.since(*since) > least).then_some(*id)
        })
    }
}

impl Mesh {
    /// Whether there is room for one more question of a client, if need be in the place of another.
    /// A refresh, which nobody waits for, has to leave half of the room to others.
    pub(super) fn make_room(&mut self, query: &Query, cx: &mut Context<'_>) -> bool {
        let most = cx.config.num_queries_per_thread.max(1);
        if query.refresh {
            return self.seats.len() < most.div_ceil(2);
        }
        if self.seats.len() < most {
            return true;
        }
        let least = Duration::from_millis(cx.config.jostle_timeout.into());
        let Some(id) = self.seats.candidate(least, cx.now.mono) else { return false };
        self.displace(id, cx);
        true
    }

    /// Gives up a question: its clients get no answer, whoever else needs it a failure.
    fn displace(&mut self, id: TaskId, cx: &mut Context<'_>) {
        self.tally.jostled += 1;
        let Some(task) = self.tasks.get_mut(&id) else { return self.seats.leave(id) };
        let question = task.key.question.clone();
        let (clients, others) = std::mem::take(&mut task.waiters)
            .into_iter()
            .partition(|waiter| matches!(waiter, Waiter::Client(_)));
        task.waiters = others;
        let clients: Vec<Waiter> = clients;
        for waiter in clients {
            if let Waiter::Client(client) = waiter
                && self.clients.remove(&client).is_some()
            {
                self.actions.push_back(Action::Dropped { client });
            }
        }
        self.finish(id, &task::Outcome::failure(question, Reason::ClientDeadline), cx);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Mono {
        Mono::from_micros(millis * 1000)
    }

    #[test]
    fn half_run_to_their_end_and_of_the_others_the_oldest_goes() {
        let least = Duration::from_millis(200);
        let mut seats = Seats::default();
        for (id, millis) in [(1, 0), (2, 0), (3, 10), (4, 20)] {
            seats.enter(TaskId(id), 3, at(millis));
        }
        assert_eq!((seats.len(), seats.wanted()), (4, 4), "how many may be is for the caller");
        assert_eq!(seats.candidate(least, at(210)), None, "200 ms is not longer than 200 ms");
        assert_eq!(seats.candidate(least, at(211)), Some(TaskId(3)));
        seats.enter(TaskId(3), 3, at(211));
        assert_eq!(seats.candidate(least, at(211)), Some(TaskId(3)), "it keeps its age");
        seats.leave(TaskId(3));
        assert_eq!(seats.candidate(least, at(220)), None);
        assert_eq!(seats.candidate(least, at(221)), Some(TaskId(4)));
        seats.set_wanted(TaskId(1), false);
        assert_eq!(seats.candidate(least, at(0)), Some(TaskId(1)), "nobody waits for it");
        seats.set_wanted(TaskId(1), true);
        assert_eq!(seats.candidate(least, at(0)), None);
        seats.set_wanted(TaskId(9), false);
        for id in 0..9 {
            seats.leave(TaskId(id));
        }
        assert_eq!((seats.len(), seats.wanted()), (0, 0));
    }
}

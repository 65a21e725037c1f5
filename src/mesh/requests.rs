//! What is in flight, for operators: who waits since when, and what for.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use super::task::{Kind, Task, TaskId, Waiter};
use super::{Action, Mesh};
use crate::clock::Mono;
use crate::wire::Question;

/// One question in flight.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Request {
    /// The question.
    pub question: Question,
    /// How long the client that came first has waited; `None` when no client waits for it itself.
    pub age: Option<Duration>,
    /// What it waits for: a server, or other questions.
    pub state: State,
}

/// What a question in flight waits for.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum State {
    /// Replies of servers.
    Servers(Vec<SocketAddr>),
    /// Answers to other questions that finding the response needs.
    Iterator(Vec<Question>),
    /// Answers to other questions that validation needs, or the target of an alias.
    Validator(Vec<Question>),
}

impl std::fmt::Display for State {
    /// As Unbound words it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (module, questions) = match self {
            Self::Servers(servers) => {
                f.write_str("iterator wait for")?;
                if servers.is_empty() {
                    f.write_str(" (empty_list)")?;
                }
                return servers.iter().try_for_each(|server| write!(f, " {}", server.ip()));
            }
            Self::Iterator(questions) => ("iterator", questions),
            Self::Validator(questions) => ("validator", questions),
        };
        write!(f, "{module} wants")?;
        for Question { name, rtype, class } in questions {
            write!(f, " {rtype} {class} {name}")?;
        }
        Ok(())
    }
}

impl Mesh {
    /// Every question in flight, in the order they began. A question and the search for its first
    /// response are one.
    pub fn requests(&self, now: Mono) -> Vec<Request> {
        let mut ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        ids.sort();
        let mut shown = HashSet::new();
        let mut requests = Vec::with_capacity(ids.len());
        for id in ids {
            let Some(task) = self.tasks.get(&id).filter(|_| !shown.contains(&id)) else { continue };
            let at_work = self.first_response(task).unwrap_or(task);
            shown.insert(at_work.id);
            let question = task.key.question.clone();
            requests.push(Request {
                question,
                age: self.age(task, now),
                state: self.state(at_work),
            });
        }
        requests
    }

    fn first_response(&self, task: &Task) -> Option<&Task> {
        if task.is_fetch() {
            return None;
        }
        let needs = task.needs.iter().filter_map(|need| self.tasks.get(need));
        let is_same = |below: &&Task| below.key.question == task.key.question;
        needs
            .into_iter()
            .find(|below| matches!(below.key.kind, Kind::Fetch | Kind::FetchAnew) && is_same(below))
    }

    fn age(&self, task: &Task, now: Mono) -> Option<Duration> {
        let arrivals = task.waiters.iter().filter_map(|waiter| match waiter {
            Waiter::Client(client) => self.clients.get(client).map(|known| known.query.arrived),
            Waiter::Task(_) => None,
        });
        arrivals.min().map(|first| now.since(first))
    }

    fn state(&self, task: &Task) -> State {
        let needs = task.needs.iter().filter_map(|need| self.tasks.get(need));
        let questions: Vec<Question> = needs.map(|below| below.key.question.clone()).collect();
        if !task.is_fetch() {
            return State::Validator(questions);
        }
        if !questions.is_empty() && task.exchanges.is_empty() {
            return State::Iterator(questions);
        }
        let flights = task.exchanges.iter().filter_map(|(_, token)| self.exchanges.get(token));
        State::Servers(flights.map(|flight| flight.server).collect())
    }

    /// Gives up everything in flight without an answer to anybody; how many questions that were.
    pub fn drop_requests(&mut self) -> usize {
        let ids: Vec<TaskId> = self.tasks.keys().copied().collect();
        let count = ids.len();
        for id in ids {
            self.take(id);
        }
        self.queue.clear();
        self.held.clear();
        let clients = std::mem::take(&mut self.clients);
        self.actions.extend(clients.into_keys().map(|client| Action::Dropped { client }));
        count
    }
}

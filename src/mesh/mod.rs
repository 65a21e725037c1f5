//! Questions in flight: joins equal ones, runs subqueries, owns the budget of each client query.
//!
//! A client's query becomes a *resolution*: fetch one response, validate it, chase its alias,
//! compose the whole. What a resolution needs - the response, DS and DNSKEY RRsets, addresses of
//! name servers, the target of an alias - are tasks of their own; whoever needs the same joins.
//!
//! ```text
//!   client ─► Resolve(q) ─┬─► Fetch(q) ─────┬─► Fetch(ns A)      iterator: one response
//!   client ─┘             │                 └─► Fetch(. NS)
//!                         ├─► Fetch(DS), Fetch(DNSKEY)           validator
//!                         └─► Resolve(alias target)
//! ```
//!
//! Sans-IO: [`Mesh::handle`] takes an event, [`Mesh::poll`] yields what to do, [`Mesh::deadline`]
//! says when to call again at the latest. The graph is explicit, so a circle of questions is seen
//! when its last edge is drawn, and nothing lives on the call stack.
//!
//! # RFCs
//!
//! 5452 §5 (one outstanding query per question), 8020 (NXDOMAIN cut), 9520 (failures remembered).

mod compose;
mod lookup;
mod requests;
mod resolve;
mod screen;
mod seats;
mod synthesis;
mod task;
#[cfg(test)]
mod tests;
mod timers;

use std::collections::{HashMap, HashSet, VecDeque};
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;

use arc_swap::ArcSwap;

use crate::authority::Zones;
use crate::budget::{Budget, CLIENT_TIME};
use crate::cache::{Answer, Cache};
use crate::clock::{Mono, Now, Rng};
use crate::config::Config;
use crate::iterator::{Exchange, ExchangeError, Iteration, Transport};
use crate::policy::Audience;
use crate::rollover::Rollover;
use crate::status::Reason;
use crate::wire::{Question, Rrset};

pub use requests::{Request, State};
pub use screen::{Known, known};
use seats::Seats;
use task::{Input, Key, Kind, Purse, Step, Task, TaskId, Waiter};
use timers::{Timer, Timers};

/// Names one client's query while it waits; chosen by the caller, unique among those waiting.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub struct ClientId(pub u64);

/// Names one exchange with one server while it lasts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Token(pub u64);

/// A client's query that the cache could not answer.
#[derive(Clone, Debug)]
pub struct Query {
    /// Who waits.
    pub client: ClientId,
    /// What for.
    pub question: Question,
    /// CD: hand over what arrives, proven or not.
    pub checking_disabled: bool,
    /// Do not believe the cache about this question: fetch it anew (prefetch). Together with
    /// `checking_disabled`: one response, as a server gives it now.
    pub refresh: bool,
    /// When it arrived; the client's deadline counts from here.
    pub arrived: Mono,
    /// Policy that its answer has to go through.
    pub screening: Option<Box<Screened>>,
}

/// Policy that an answer has to go through, link by link.
#[derive(Clone, Debug)]
pub struct Screened {
    /// The policy, and through which lens.
    pub audience: Audience,
    /// What policy has made of the name already: resolve its target.
    pub alias: Option<Box<Rrset>>,
}

/// What happened.
#[derive(Debug)]
pub enum Event<'a> {
    /// A client asks.
    Query(Query),
    /// Something arrived on the socket of an exchange.
    Datagram {
        /// Which exchange.
        token: Token,
        /// The message, without the length of TCP.
        bytes: &'a [u8],
    },
    /// The exchange cannot go on.
    Failed {
        /// Which exchange.
        token: Token,
        /// Why.
        error: ExchangeError,
    },
    /// The deadline has passed.
    Tick,
}

/// What the driver must do.
#[must_use]
#[derive(Debug)]
pub enum Action {
    /// Send `query` to `server` from a fresh socket; deliver what arrives.
    Ask {
        /// Names the exchange in events.
        token: Token,
        /// Where to.
        server: SocketAddr,
        /// Over what.
        transport: Transport,
        /// The message, without the length of TCP.
        query: Vec<u8>,
        /// The name that the server has to prove, over TLS; none: any certificate will do.
        tls_name: Option<String>,
    },
    /// The exchange is over: close its socket.
    Close(Token),
    /// The client has its answer.
    Answer {
        /// Who waited.
        client: ClientId,
        /// What it gets; failures and bogus data included.
        answer: Rc<Answer>,
    },
    /// The client gets no answer: others needed the place, or an operator said so.
    Dropped {
        /// Who waited.
        client: ClientId,
    },
}

/// All questions in flight of one worker.
pub struct Mesh {
    cache: Arc<Cache>,
    zones: Arc<ArcSwap<Zones>>,
    rollover: Arc<Rollover>,
    tasks: HashMap<TaskId, Task>,
    by_key: HashMap<Key, TaskId>,
    exchanges: HashMap<Token, Flight>,
    /// Exchanges that have begun.
    begun: usize,
    /// Exchanges that wait for others to end (`outgoing-range`); those that are over are passed
    /// over when their turn comes.
    held: VecDeque<(Token, Exchange)>,
    clients: HashMap<ClientId, Waiting>,
    /// The tasks that are questions of clients.
    seats: Seats,
    tally: Tally,
    queue: VecDeque<(TaskId, Input)>,
    actions: VecDeque<Action>,
    timers: Timers,
    next: u64,
}

/// What happened since it was last taken.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Tally {
    /// Questions given up so that others had a place.
    pub jostled: u64,
    /// Queries dropped for want of a place.
    pub exceeded: u64,
    /// Messages from servers that were not the response they should be.
    pub unwanted: u64,
}

/// An exchange, from the moment a task wants it.
struct Flight {
    task: TaskId,
    server: SocketAddr,
    begun: bool,
}

/// A client that waits.
struct Waiting {
    task: TaskId,
    /// What it asked for, to begin anew when the work it joined ends with somebody else's budget.
    query: Query,
    /// The task spends the budget of this client.
    pays: bool,
}

/// What a step is given besides its input.
pub(crate) struct Context<'a> {
    pub(crate) config: &'a Config,
    pub(crate) zones: &'a Zones,
    pub(crate) now: Now,
    pub(crate) rng: &'a mut Rng,
    pub(crate) rollover: &'a Rollover,
}

/// Timers without purpose that are always tolerated.
const TIMERS_LEFT: usize = 64;

impl Context<'_> {
    /// The budget of a client query that arrived at `began`.
    fn budget(&self, began: Mono) -> Budget {
        Budget::configured(began, self.config.max_global_quota, self.config.max_query_restarts)
    }
}

impl Mesh {
    /// A mesh without questions, learning into and from `cache`.
    pub fn new(cache: Arc<Cache>) -> Self {
        Self::with_zones(cache, Arc::default())
    }

    /// As [`Mesh::new`], with copies of zones that stand in for their servers.
    pub fn with_zones(cache: Arc<Cache>, zones: Arc<ArcSwap<Zones>>) -> Self {
        Self {
            cache,
            zones,
            rollover: Arc::default(),
            tasks: HashMap::new(),
            by_key: HashMap::new(),
            exchanges: HashMap::new(),
            begun: 0,
            held: VecDeque::new(),
            clients: HashMap::new(),
            seats: Seats::default(),
            tally: Tally::default(),
            queue: VecDeque::new(),
            actions: VecDeque::new(),
            timers: Timers::default(),
            next: 0,
        }
    }

    /// The same, showing what is learned of the keys of anchored zones to `rollover`.
    #[must_use]
    pub fn following(self, rollover: Arc<Rollover>) -> Self {
        Self { rollover, ..self }
    }

    /// Takes one event; then drain [`poll`](Self::poll).
    pub fn handle(&mut self, event: Event<'_>, config: &Config, now: Now, rng: &mut Rng) {
        let zones = self.zones.load_full();
        let rollover = Arc::clone(&self.rollover);
        let mut cx = Context { config, zones: &zones, now, rng, rollover: &rollover };
        match event {
            Event::Query(query) => self.query(query, &mut cx),
            Event::Datagram { token, bytes } => {
                self.exchange_event(token, &mut cx, |task, cx, cache| {
                    task.datagram(token, bytes, cx, cache)
                });
                // The exchange of one that is what was waited for is over.
                self.tally.unwanted += u64::from(self.exchanges.contains_key(&token));
            }
            Event::Failed { token, error } => {
                self.exchange_event(token, &mut cx, |task, cx, cache| {
                    task.exchange_failed(token, error, cx, cache)
                });
                self.ended(token);
            }
            Event::Tick => {}
        }
        self.expire(&mut cx);
        self.drain(&mut cx);
        self.tidy();
    }

    /// The next thing to do; `None` when nothing is left until the next event.
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// When [`Event::Tick`] is due at the latest.
    pub fn deadline(&self) -> Option<Mono> {
        self.timers.next()
    }

    /// How many questions are in flight, subqueries included.
    pub fn len(&self) -> usize {
        self.tasks.len()
    }

    /// Whether nothing is in flight.
    pub fn is_empty(&self) -> bool {
        self.tasks.is_empty()
    }

    /// How many questions of clients are in flight that somebody waits for.
    pub fn questions(&self) -> usize {
        self.seats.wanted()
    }

    /// What happened since the last call.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// How many clients wait.
    pub fn clients(&self) -> usize {
        self.clients.len()
    }

    fn id(&mut self) -> u64 {
        self.next += 1;
        self.next
    }

    fn query(&mut self, query: Query, cx: &mut Context<'_>) {
        let kind = match (query.checking_disabled, query.refresh) {
            _ if query.screening.is_some() => Kind::Screened(self.id()),
            (true, true) => Kind::FetchAnew,
            (true, false) => Kind::Unvalidated,
            (false, true) => Kind::Refreshed,
            (false, false) => Kind::Validated,
        };
        let kind = match kind {
            Kind::Validated if synthesis::applies(&query.question, cx.config) => Kind::Synthesized,
            Kind::Refreshed if synthesis::applies(&query.question, cx.config) => {
                Kind::SynthesizedAnew
            }
            kind => kind,
        };
        let key = Key { kind, question: query.question.clone(), audience: None };
        let budget = cx.budget(query.arrived);
        let keep_until = budget.work_ends();
        let joined = self.by_key.get(&key).copied();
        if joined.is_none() && !self.make_room(&query, cx) {
            self.tally.exceeded += 1;
            self.actions.push_back(Action::Dropped { client: query.client });
            return;
        }
        let id = joined.unwrap_or_else(|| self.spawn(key, Purse::new(budget).for_root(), 0, None));
        let Some(task) = self.tasks.get_mut(&id) else { return };
        if let Some(screened) = &query.screening {
            task.screen(screened, query.checking_disabled);
        }
        if task.keep_until == Mono::ZERO {
            self.timers.add(keep_until, Timer::WorkEnds(id));
        }
        task.keep_until = task.keep_until.max(keep_until);
        self.seats.enter(id, cx.config.num_queries_per_thread, cx.now.mono);
        self.seats.set_wanted(id, true);
        task.waiters.push(Waiter::Client(query.client));
        self.timers.add(query.arrived + CLIENT_TIME, Timer::Client(query.client));
        let waiting = Waiting { task: id, pays: joined.is_none(), query };
        self.clients.insert(waiting.query.client, waiting);
    }

    /// Starts a task; it runs when the queue gets to it.
    fn spawn(
        &mut self,
        key: Key,
        purse: Purse,
        depth: u8,
        again: Option<Box<Iteration>>,
    ) -> TaskId {
        let id = TaskId(self.id());
        if again.is_none() {
            self.by_key.insert(key.clone(), id);
        }
        self.tasks.insert(id, Task::new(id, key, purse, depth, again));
        self.queue.push_back((id, Input::Start));
        id
    }

    fn exchange_event(
        &mut self,
        token: Token,
        cx: &mut Context<'_>,
        step: impl FnOnce(&mut Task, &mut Context<'_>, &Cache) -> Vec<Step>,
    ) {
        // An event of an exchange already closed is normal: it was on its way.
        let Some(id) = self.exchanges.get(&token).map(|flight| flight.task) else { return };
        let Some(task) = self.tasks.get_mut(&id) else { return };
        let steps = step(task, cx, &self.cache);
        self.perform(id, steps, cx);
    }

    /// Runs queued inputs until none is left. Every input was caused by an event or by a task that
    /// paid for it, so this ends.
    fn drain(&mut self, cx: &mut Context<'_>) {
        while let Some((id, input)) = self.queue.pop_front() {
            let Some(task) = self.tasks.get_mut(&id) else { continue };
            let steps = task.handle(input, cx, &self.cache);
            self.perform(id, steps, cx);
        }
        self.begin_held(cx);
    }

    fn perform(&mut self, id: TaskId, steps: Vec<Step>, cx: &mut Context<'_>) {
        for step in steps {
            match step {
                Step::Ask(exchange) => {
                    let token = Token(self.id());
                    let Some(task) = self.tasks.get_mut(&id) else { return };
                    task.exchanges.push((exchange.id, token));
                    let server = exchange.server;
                    self.exchanges.insert(token, Flight { task: id, server, begun: false });
                    self.held.push_back((token, exchange));
                    self.begin_held(cx);
                }
                Step::Close(exchange) => {
                    let Some(task) = self.tasks.get_mut(&id) else { return };
                    if let Some(token) = task.forget(exchange) {
                        self.close(token);
                    }
                }
                Step::Need { key, again, deeper } => self.need(id, key, again, deeper, cx),
                Step::Done(outcome) => {
                    self.finish(id, &outcome, cx);
                    return;
                }
            }
        }
    }

    /// Begins exchanges as far as `outgoing-range` allows. The time of those that have to wait for
    /// that is not counted against their servers.
    fn begin_held(&mut self, cx: &Context<'_>) {
        while self.begun < cx.config.outgoing_range.max(1)
            && let Some((token, exchange)) = self.held.pop_front()
        {
            let Some(flight) = self.exchanges.get_mut(&token) else { continue };
            flight.begun = true;
            self.begun += 1;
            self.timers.add(cx.now.mono + exchange.timeout, Timer::Exchange(token));
            let Exchange { server, transport, query, tls_name, .. } = exchange;
            self.actions.push_back(Action::Ask { token, server, transport, query, tls_name });
        }
    }

    fn close(&mut self, token: Token) {
        if self.exchanges.remove(&token).is_some_and(|flight| flight.begun) {
            self.begun -= 1;
            self.actions.push_back(Action::Close(token));
        }
    }

    /// An exchange ended by itself; its socket has no more use.
    fn ended(&mut self, token: Token) {
        if self.exchanges.contains_key(&token) {
            self.close(token);
        }
    }

    /// Draws an edge from `parent` to the task for `key`, starting it when nobody has yet.
    fn need(
        &mut self,
        parent: TaskId,
        key: Key,
        again: Option<Box<Iteration>>,
        deeper: bool,
        cx: &mut Context<'_>,
    ) {
        let Some(task) = self.tasks.get(&parent) else { return };
        let depth = task.depth + u8::from(deeper);
        let purse = if key.is_priming() {
            // Priming is for everybody: whoever comes first does not pay for it.
            Purse::new(cx.budget(cx.now.mono))
        } else {
            task.purse.for_subquery()
        };
        let existing = self.by_key.get(&key).copied().filter(|_| again.is_none());
        let refused = match existing {
            Some(child) if self.depends_on(child, parent) => Some(Reason::DependencyCycle),
            Some(_) => None,
            None => purse.budget().spend_subqueries(1).err().map(|exhausted| exhausted.0),
        };
        if let Some(reason) = refused {
            let outcome = task::Outcome::failure(key.question.clone(), reason);
            self.queue.push_back((parent, Input::Resolved { key, outcome }));
            return;
        }
        let child = match existing {
            Some(child) => child,
            None => self.spawn(key, purse, depth, again),
        };
        if let Some(task) = self.tasks.get_mut(&child) {
            task.waiters.push(Waiter::Task(parent));
        }
        if let Some(task) = self.tasks.get_mut(&parent) {
            task.needs.push(child);
        }
    }

    /// Whether `from` waits for `to`, through however many others.
    fn depends_on(&self, from: TaskId, to: TaskId) -> bool {
        let mut open = vec![from];
        let mut seen = HashSet::new();
        while let Some(id) = open.pop() {
            if id == to {
                return true;
            }
            if seen.insert(id)
                && let Some(task) = self.tasks.get(&id)
            {
                open.extend(&task.needs);
            }
        }
        false
    }

    /// A task is done: whoever waited is told, and what it had open is given up. When all that
    /// ended is the budget of somebody else, those who joined begin anew with their own.
    fn finish(&mut self, id: TaskId, outcome: &Rc<task::Outcome>, cx: &mut Context<'_>) {
        let Some(task) = self.remove(id) else { return };
        let out_of_budget = outcome.answer.is_failure() && task.purse.is_over(cx.now);
        for waiter in &task.waiters {
            match *waiter {
                Waiter::Client(client) if out_of_budget && self.begin_anew(client, cx) => {}
                Waiter::Client(client) => self.reply(client, Rc::new(outcome.answer.clone())),
                Waiter::Task(id) => self.tell(id, &task, outcome, out_of_budget, cx),
            }
        }
    }

    /// Resolves the query of a client that had joined once more; false when it had not.
    fn begin_anew(&mut self, client: ClientId, cx: &mut Context<'_>) -> bool {
        let in_time =
            |waiting: &Waiting| cx.now.mono < waiting.query.arrived + CLIENT_TIME && !waiting.pays;
        if !self.clients.get(&client).is_some_and(in_time) {
            return false;
        }
        let waiting = self.clients.remove(&client);
        waiting.into_iter().for_each(|waiting| self.query(waiting.query, cx));
        true
    }

    /// Hands the outcome of `task` to the task `parent` that waited for it.
    fn tell(
        &mut self,
        parent: TaskId,
        task: &Task,
        outcome: &Rc<task::Outcome>,
        out_of_budget: bool,
        cx: &mut Context<'_>,
    ) {
        let Some(waiting) = self.tasks.get_mut(&parent) else { return };
        waiting.needs.retain(|need| *need != task.id);
        let key = task.key.clone();
        let other = !waiting.purse.is_shared_with(&task.purse) && !waiting.purse.is_over(cx.now);
        if out_of_budget && other {
            let deeper = waiting.is_fetch();
            return self.need(parent, key, None, deeper, cx);
        }
        self.queue.push_back((parent, Input::Resolved { key, outcome: Rc::clone(outcome) }));
    }

    fn reply(&mut self, client: ClientId, answer: Rc<Answer>) {
        if self.clients.remove(&client).is_some() {
            self.actions.push_back(Action::Answer { client, answer });
        }
    }

    /// Takes a task out, closes its exchanges and lets go of what it needed; what nobody needs
    /// any more goes with it.
    fn remove(&mut self, id: TaskId) -> Option<Task> {
        let task = self.take(id)?;
        let mut edges: Vec<(TaskId, TaskId)> = task.needs.iter().map(|need| (id, *need)).collect();
        while let Some((parent, child)) = edges.pop() {
            let Some(below) = self.tasks.get_mut(&child) else { continue };
            below.waiters.retain(|waiter| *waiter != Waiter::Task(parent));
            // A client's resolution goes on for the cache; anything else was for its waiters only.
            if below.waiters.is_empty()
                && below.keep_until == Mono::ZERO
                && let Some(gone) = self.take(child)
            {
                edges.extend(gone.needs.iter().map(|need| (child, *need)));
            }
        }
        Some(task)
    }

    fn take(&mut self, id: TaskId) -> Option<Task> {
        let task = self.tasks.remove(&id)?;
        self.seats.leave(id);
        if self.by_key.get(&task.key) == Some(&id) {
            self.by_key.remove(&task.key);
        }
        for (_, token) in &task.exchanges {
            self.close(*token);
        }
        Some(task)
    }
}

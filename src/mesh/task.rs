//! One question in flight: a fetch of one response, or a resolution of the whole.

use std::cell::{RefCell, RefMut};
use std::rc::Rc;

use super::resolve::Resolve;
use super::screen::{Guard, Screen};
use super::synthesis::Synthesis;
use super::{ClientId, Context, Screened, Token, lookup};
use crate::budget::Budget;
use crate::cache::{Answer, Cache};
use crate::clock::{Mono, Now};
use crate::iterator::{
    self, Action, Event, Exchange, ExchangeError, ExchangeId, Iteration, Outcome as Iterated, View,
};
use crate::policy::{Audience, Hit};
use crate::status::Reason;
use crate::wire::{Question, RecordType};

/// Names a task while it lasts.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub(super) struct TaskId(pub(super) u64);

/// What a task is for. Tasks with equal keys are one task.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub(super) struct Key {
    pub(super) kind: Kind,
    pub(super) question: Question,
    /// Whose policy says which servers are not to be asked for it.
    pub(super) audience: Option<Audience>,
}

impl Key {
    pub(super) fn is_priming(&self) -> bool {
        self.kind == Kind::Fetch
            && self.question.rtype == RecordType::NS
            && self.question.name.is_root()
    }
}

#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub(super) enum Kind {
    /// One response, not validated; the cache will do.
    Fetch,
    /// One response, not validated, from a server.
    FetchAnew,
    /// The whole answer, validated.
    Validated,
    /// The whole answer, validated, the question itself asked anew (prefetch).
    Refreshed,
    /// The whole answer, as it comes (CD).
    Unvalidated,
    /// The answer up to the first alias that leads out of what is known together, validated.
    Link,
    /// The same, as it comes (CD).
    UnvalidatedLink,
    /// The whole answer as policy has it, for one client.
    Screened(u64),
    /// The whole answer, composed for clients behind NAT64.
    Synthesized,
    /// As that, its parts asked anew (prefetch).
    SynthesizedAnew,
}

impl Kind {
    /// Whether nothing is to be validated.
    pub(super) fn is_unvalidated(self) -> bool {
        matches!(self, Self::Unvalidated | Self::UnvalidatedLink)
    }

    /// Whether aliases are left to whoever asked.
    pub(super) fn is_link(self) -> bool {
        matches!(self, Self::Link | Self::UnvalidatedLink)
    }
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Waiter {
    Client(ClientId),
    Task(TaskId),
}

/// Whose budget a task spends.
#[derive(Clone)]
pub(super) struct Purse {
    budget: Rc<RefCell<Budget>>,
    root: bool,
}

impl Purse {
    pub(super) fn new(budget: Budget) -> Self {
        Self { budget: Rc::new(RefCell::new(budget)), root: false }
    }

    pub(super) fn for_root(self) -> Self {
        Self { root: true, ..self }
    }

    pub(super) fn for_subquery(&self) -> Self {
        Self { budget: Rc::clone(&self.budget), root: false }
    }

    pub(super) fn budget(&self) -> RefMut<'_, Budget> {
        self.budget.borrow_mut()
    }

    pub(super) fn is_shared_with(&self, other: &Self) -> bool {
        Rc::ptr_eq(&self.budget, &other.budget)
    }

    /// Whether nothing more can be done with it.
    pub(super) fn is_over(&self, now: Now) -> bool {
        let budget = self.budget.borrow();
        budget.exhausted().is_some() || now.mono >= budget.work_ends()
    }

    /// Whether the task answers the very question the budget was given for.
    pub(super) fn is_root(&self) -> bool {
        self.root
    }
}

/// What a task came to.
pub(super) struct Outcome {
    pub(super) answer: Answer,
    /// It failed in a way that says nothing to others: for want of budget or sockets, or because
    /// asking would have been a circle, here or in something it needed.
    pub(super) passing: bool,
    /// The entry of policy by which the servers were not asked.
    pub(super) barred: Option<Hit>,
    /// It, or something it was made of, may not be remembered (`forward-no-cache`).
    pub(super) volatile: bool,
    /// The iteration that brought the response, to be asked again should it turn out bogus; none
    /// from the cache, for the composed, and once somebody has taken it.
    iteration: RefCell<Option<Box<Iteration>>>,
}

impl Outcome {
    pub(super) fn new(answer: Answer) -> Rc<Self> {
        Self::failed(answer, false)
    }

    /// With a failure that is passing if it is known to be or its reason says so.
    pub(super) fn failed(answer: Answer, passing: bool) -> Rc<Self> {
        Rc::new(Self::ended(answer, passing))
    }

    /// As [`Outcome::failed`], not shared yet.
    pub(super) fn ended(answer: Answer, passing: bool) -> Self {
        let passing = passing || answer.reason.is_some_and(is_passing);
        Self { answer, passing, barred: None, volatile: false, iteration: RefCell::new(None) }
    }

    /// The servers are not to be asked, by that entry.
    pub(super) fn barred(question: Question, hit: Hit) -> Rc<Self> {
        let failure = Self::ended(Answer::failure(question, Reason::Blocked), true);
        Rc::new(Self { barred: Some(hit), ..failure })
    }

    /// With the answer that was made of that of `other`.
    pub(super) fn like(other: &Self, answer: Answer) -> Self {
        let Self { passing, volatile, .. } = *other;
        Self { volatile, ..Self::ended(answer, passing) }
    }

    /// The same, and not to be remembered when `volatile`.
    pub(super) fn volatile_if(self, volatile: bool) -> Self {
        Self { volatile: self.volatile || volatile, ..self }
    }

    pub(super) fn failure(question: Question, reason: Reason) -> Rc<Self> {
        Self::new(Answer::failure(question, reason))
    }

    pub(super) fn take_iteration(&self) -> Option<Box<Iteration>> {
        self.iteration.take()
    }
}

fn is_passing(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::WorkLimit
            | Reason::ClientDeadline
            | Reason::DependencyCycle
            | Reason::NoSocket
            | Reason::NotReady
            | Reason::TooManyQueries
            | Reason::ZoneUnavailable
    )
}

/// What a task is told.
pub(super) enum Input {
    Start,
    Resolved { key: Key, outcome: Rc<Outcome> },
}

/// What a task wants.
pub(super) enum Step {
    Ask(Exchange),
    Close(ExchangeId),
    Need {
        key: Key,
        /// Go on with this iteration, whose last response was bogus.
        again: Option<Box<Iteration>>,
        /// An address of a name server: counts towards the nesting of such questions.
        deeper: bool,
    },
    Done(Rc<Outcome>),
}

pub(super) struct Task {
    pub(super) id: TaskId,
    pub(super) key: Key,
    pub(super) purse: Purse,
    pub(super) depth: u8,
    pub(super) waiters: Vec<Waiter>,
    pub(super) needs: Vec<TaskId>,
    pub(super) exchanges: Vec<(ExchangeId, Token)>,
    /// Until when the task goes on although nobody waits; zero for "not at all".
    pub(super) keep_until: Mono,
    work: Work,
}

enum Work {
    /// `None` once the iteration has been handed on with its outcome.
    Fetch {
        iteration: Option<Box<Iteration>>,
        again: bool,
        /// Something it needed failed in passing.
        hampered: bool,
    },
    Resolve(Box<Resolve>),
    Screen(Box<Screen>),
    Synthesize(Box<Synthesis>),
}

impl Task {
    pub(super) fn new(
        id: TaskId,
        key: Key,
        purse: Purse,
        depth: u8,
        again: Option<Box<Iteration>>,
    ) -> Self {
        let question = key.question.clone();
        let work = match key.kind {
            Kind::Fetch | Kind::FetchAnew => Work::Fetch {
                hampered: false,
                again: again.is_some(),
                iteration: Some(again.unwrap_or_else(|| Box::new(Iteration::new(question, depth)))),
            },
            Kind::Screened(_) if let Some(audience) = key.audience.clone() => {
                let screened = Screened { audience, alias: None };
                Work::Screen(Box::new(Screen::new(question, &screened, false)))
            }
            Kind::Synthesized | Kind::SynthesizedAnew => {
                Work::Synthesize(Box::new(Synthesis::new(key.kind, question)))
            }
            _ => Work::Resolve(Box::new(Resolve::new(&key))),
        };
        Self {
            id,
            key,
            purse,
            depth,
            waiters: Vec::new(),
            needs: Vec::new(),
            exchanges: Vec::new(),
            keep_until: Mono::ZERO,
            work,
        }
    }

    /// Lets the answer go through policy.
    pub(super) fn screen(&mut self, screened: &Screened, checking_disabled: bool) {
        let screen = Screen::new(self.key.question.clone(), screened, checking_disabled);
        self.work = Work::Screen(Box::new(screen));
    }

    pub(super) fn is_fetch(&self) -> bool {
        matches!(self.work, Work::Fetch { .. })
    }

    pub(super) fn handle(
        &mut self,
        input: Input,
        cx: &mut Context<'_>,
        cache: &Cache,
    ) -> Vec<Step> {
        match (&mut self.work, input) {
            (Work::Resolve(resolve), Input::Start) => resolve.start(&self.purse, cx, cache),
            (Work::Resolve(resolve), Input::Resolved { key, outcome }) => {
                resolve.resolved(&key, &outcome, &self.purse, cx, cache)
            }
            (Work::Screen(screen), Input::Start) => screen.start(cx.config),
            (Work::Screen(screen), Input::Resolved { outcome, .. }) => {
                screen.resolved(&outcome, cx.config)
            }
            (Work::Synthesize(synthesis), Input::Start) => synthesis.start(cx, cache),
            (Work::Synthesize(synthesis), Input::Resolved { outcome, .. }) => {
                synthesis.resolved(&outcome, &self.purse, cx, cache)
            }
            (Work::Fetch { again: true, .. }, Input::Start) => {
                self.iterate(Event::Retry, cx, cache)
            }
            (Work::Fetch { .. }, Input::Start) => self.start_fetch(cx, cache),
            (Work::Fetch { hampered, .. }, Input::Resolved { key, outcome }) => {
                *hampered |= outcome.passing;
                let event = Event::Resolved { question: &key.question, answer: &outcome.answer };
                self.iterate(event, cx, cache)
            }
        }
    }

    fn start_fetch(&mut self, cx: &mut Context<'_>, cache: &Cache) -> Vec<Step> {
        if self.key.kind == Kind::Fetch
            && let Some(answer) = lookup::response(cache, &self.key.question, cx.now)
        {
            return vec![Step::Done(Outcome::new(answer))];
        }
        self.iterate(Event::Start, cx, cache)
    }

    /// Something arrived on the socket of one of this task's exchanges.
    pub(super) fn datagram(
        &mut self,
        token: Token,
        bytes: &[u8],
        cx: &mut Context<'_>,
        cache: &Cache,
    ) -> Vec<Step> {
        match self.exchange(token) {
            Some(exchange) => self.iterate(Event::Datagram { exchange, bytes }, cx, cache),
            None => Vec::new(),
        }
    }

    pub(super) fn timed_out(
        &mut self,
        token: Token,
        cx: &mut Context<'_>,
        cache: &Cache,
    ) -> Vec<Step> {
        match self.ended(token) {
            Some(exchange) => self.iterate(Event::TimedOut { exchange }, cx, cache),
            None => Vec::new(),
        }
    }

    pub(super) fn exchange_failed(
        &mut self,
        token: Token,
        error: ExchangeError,
        cx: &mut Context<'_>,
        cache: &Cache,
    ) -> Vec<Step> {
        match self.ended(token) {
            Some(exchange) => self.iterate(Event::Failed { exchange, error }, cx, cache),
            None => Vec::new(),
        }
    }

    fn exchange(&self, token: Token) -> Option<ExchangeId> {
        self.exchanges.iter().find(|(_, known)| *known == token).map(|(exchange, _)| *exchange)
    }

    /// Takes out an exchange that ended by itself.
    fn ended(&mut self, token: Token) -> Option<ExchangeId> {
        let at = self.exchanges.iter().position(|(_, known)| *known == token)?;
        Some(self.exchanges.swap_remove(at).0)
    }

    /// Forgets an exchange that is over; its token, when it was still open.
    pub(super) fn forget(&mut self, exchange: ExchangeId) -> Option<Token> {
        let at = self.exchanges.iter().position(|(known, _)| *known == exchange)?;
        Some(self.exchanges.swap_remove(at).1)
    }

    fn iterate(&mut self, event: Event<'_>, cx: &mut Context<'_>, cache: &Cache) -> Vec<Step> {
        let Work::Fetch { iteration: slot, hampered, .. } = &mut self.work else {
            return Vec::new();
        };
        let Some(mut iteration) = slot.take() else { return Vec::new() };
        let guard = self.key.audience.as_ref().map(|who| Guard::new(who, &self.key.question));
        {
            let mut budget = self.purse.budget();
            let dynamic = guard.as_ref().map(|guard| guard as &dyn iterator::Guard);
            let (zones, config) = (cx.zones, cx.config);
            let mut view = View { cache, zones, config, budget: &mut budget, guard: dynamic };
            iteration.handle(event, &mut view, cx.now, cx.rng);
        }
        let mut steps = Vec::new();
        let mut outcome = None;
        while let Some(action) = iteration.poll() {
            match action {
                Action::Ask(exchange) => steps.push(Step::Ask(exchange)),
                Action::Close(exchange) => steps.push(Step::Close(exchange)),
                Action::Need(question) => {
                    let key = Key { kind: Kind::Fetch, question, audience: None };
                    steps.push(Step::Need { key, again: None, deeper: true });
                }
                Action::Finish(iterated) => outcome = Some(iterated),
            }
        }
        match outcome {
            Some(iterated) => {
                let outcome = match iterated {
                    Iterated::Response(response) => {
                        if !response.volatile {
                            lookup::store_response(cache, &response, cx.now);
                        }
                        let iteration = RefCell::new(Some(iteration));
                        let (answer, volatile) = (response.answer, response.volatile);
                        Rc::new(Outcome {
                            answer,
                            passing: false,
                            barred: None,
                            volatile,
                            iteration,
                        })
                    }
                    Iterated::Barred => {
                        let hit = guard.and_then(Guard::hit);
                        let question = self.key.question.clone();
                        match hit {
                            Some(hit) => Outcome::barred(question, hit),
                            // Only the guard bars, and it remembers why.
                            None => Outcome::failure(question, Reason::NoReachableAuthority),
                        }
                    }
                    Iterated::Failed(reason) => {
                        let answer = Answer::failure(self.key.question.clone(), reason);
                        let passing = *hampered || self.purse.is_over(cx.now);
                        let outcome = Outcome::failed(answer, passing);
                        if !outcome.passing {
                            cache.store_answer(&outcome.answer, cx.now);
                        }
                        outcome
                    }
                };
                steps.push(Step::Done(outcome));
            }
            None => *slot = Some(iteration),
        }
        steps
    }
}

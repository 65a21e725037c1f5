//! Iterative resolution: from a question to a response, one referral at a time.
//!
//! An [`Iteration`] is a state machine. It is told what happened ([`Event`]) and says what to do
//! next ([`Action`]); whoever drives it sends, waits and calls back. It opens no socket, reads no
//! clock and spawns nothing.
//!
//! ```text
//! Start ─► closest delegation ─► priming (only hints known) ─┐
//!                │                                           ▼
//!                └────────────────────────────────────► ask a server ◄──────────┐
//!                                                        │  │  │               │
//!                    Need addresses ◄── no address left ─┘  │  ├─ referral ────┤ closer
//!                          │                                │  ├─ no use ──────┤ next server
//!                          └───────────────────────────────►┘  └─ response ──► Finish
//! ```
//!
//! Every loop above consumes one unit of a limit of [`budget`](crate::budget), so an iteration
//! always ends.
//!
//! # Not here
//!
//! DNSSEC: the iterator asks with DO set and hands over what it got; whether to believe it is for
//! the validator. Aliases that lead out of one response: whoever drives follows them by another
//! question.
//!
//! # RFCs
//!
//! 1034 §5.3.3 (the algorithm), 2181 §5.4.1 (ranking), 2308 §2 (negative responses), 5452 §9
//! (which replies count), 6891 §7 (EDNS fallback), 9156 (QNAME minimisation), 9609 (priming).

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use crate::authority::Zones;
use crate::budget::Budget;
use crate::cache::{Answer, Cache, DelegationPoint};
use crate::clock::{Now, Rng};
use crate::config::Config;
use crate::status::Reason;
use crate::wire::{Name, Question};

mod asking;
mod classify;
mod copy;
mod delegation;
mod exchange;
mod minimise;
mod private;
mod query;
mod referral;
mod replies;
mod scrub;
mod select;
mod targets;
#[cfg(test)]
pub(crate) mod tests;
mod types;

pub use types::{
    Action, Event, Exchange, ExchangeError, ExchangeId, Guard, Outcome, Response, Transport,
};

use delegation::Skipped;
use exchange::Pending;
use minimise::Minimiser;
use targets::Cut;

/// What an iteration may look at and pay from.
pub struct View<'a> {
    /// What is known already.
    pub cache: &'a Cache,
    /// Copies of zones that stand in for their servers.
    pub zones: &'a Zones,
    /// How to resolve.
    pub config: &'a Config,
    /// The purse of the client query this is done for.
    pub budget: &'a mut Budget,
    /// Who says which servers are not to be asked; nobody does for most questions.
    pub guard: Option<&'a dyn Guard>,
}

/// Resolves one question: no aliases beyond what is in one response, no validation.
pub struct Iteration {
    question: Question,
    /// How deep questions for addresses of servers are nested; 0 for a client's question.
    depth: u8,
    actions: VecDeque<Action>,
    next_exchange: u32,
    phase: Phase,
    cut: Option<Cut>,
    minimiser: Option<Minimiser>,
    referrals: u8,
    /// Configured zones that failed and may be passed over.
    skipped: Vec<Skipped>,
    /// Servers whose responses were bogus.
    blamed: Vec<SocketAddr>,
    /// The zone whose copy gave the response handed over last, and whether its servers may be
    /// asked instead.
    copy: Option<(Name, bool)>,
    /// Zones whose copies gave bogus data.
    avoided: Vec<Name>,
    /// Who gave the response handed over last.
    answered_by: Option<SocketAddr>,
    /// A response that is better than none, with its merit.
    spare: Option<(Spare, Response)>,
    /// Exchanges that failed for want of a socket.
    no_socket: u8,
    /// Servers, as those of a zone, that this host has no way to, as far as nobody is blamed yet.
    no_route: Vec<(SocketAddr, Name)>,
    /// Whether the response handed over last denies a name above the one asked for.
    believed_shortened: bool,
    /// Whether the parent zone was looked for label by label.
    walked_down: bool,
    /// Whether the zone above was asked for missing glue.
    went_up: bool,
}

/// Where an iteration stands.
enum Phase {
    /// Not begun.
    New,
    /// Waits for the root's (or a stub zone's) own NS RRset.
    Priming { question: Question, hints: DelegationPoint },
    /// Waits for a reply.
    Asking(Box<Pending>),
    /// Waits for addresses.
    Waiting,
    /// Finished.
    Done,
}

/// Why a response is only the second choice; ascending merit.
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
enum Spare {
    /// An empty response of a server that claims no authority.
    Empty,
    /// From a resolver, not an authoritative server.
    RecursionLame,
    /// Without signatures although the zone is signed.
    Unsigned,
}

/// Sockets that may be lacking before the iteration fails.
const MAX_NO_SOCKET: u8 = 2;

impl Iteration {
    /// An iteration for `question`. `depth` says how many questions for addresses of name servers
    /// it is nested in: 0 for what a client asks, one more than its own for every
    /// [`Action::Need`].
    pub fn new(question: Question, depth: u8) -> Self {
        Self {
            question,
            depth,
            actions: VecDeque::new(),
            next_exchange: 0,
            phase: Phase::New,
            cut: None,
            minimiser: None,
            referrals: 0,
            skipped: Vec::new(),
            blamed: Vec::new(),
            copy: None,
            avoided: Vec::new(),
            answered_by: None,
            spare: None,
            no_socket: 0,
            no_route: Vec::new(),
            believed_shortened: false,
            walked_down: false,
            went_up: false,
        }
    }

    /// What to do next. To be called until it returns `None` after each [`Iteration::handle`].
    pub fn poll(&mut self) -> Option<Action> {
        self.actions.pop_front()
    }

    /// Takes one event. Events of exchanges that are over, and answers to needs that no longer
    /// matter, are normal and change nothing.
    pub fn handle(&mut self, event: Event<'_>, view: &mut View<'_>, now: Now, rng: &mut Rng) {
        match event {
            Event::Start if matches!(self.phase, Phase::New) => {
                self.minimiser = Some(Minimiser::new(&self.question, view.config));
                self.begin(view, now, rng);
            }
            Event::Start => {}
            Event::Datagram { exchange, bytes } => {
                self.on_datagram(exchange, bytes, view, now, rng);
            }
            Event::TimedOut { exchange } => {
                if let Some(pending) = self.take_pending(exchange) {
                    self.on_timeout(&pending, view, now, rng);
                }
            }
            Event::Failed { exchange, error } => {
                if let Some(pending) = self.take_pending(exchange) {
                    self.on_failure(&pending, error, view, now, rng);
                }
            }
            Event::Resolved { question, answer } => {
                self.on_resolved(question, answer, view, now, rng);
            }
            Event::Retry => self.on_retry(view, now, rng),
        }
    }

    /// The servers that would be asked first: their names, and addresses as far as they are known.
    pub fn first_servers(
        question: &Question,
        view: &View<'_>,
        now: Now,
    ) -> (Vec<Name>, Vec<IpAddr>) {
        let cut = Cut::new(delegation::closest(question, &[], view, now), view, now);
        let addresses = cut.addresses();
        (cut.point.servers, addresses)
    }

    /// Finds the closest delegation point and goes there.
    fn begin(&mut self, view: &mut View<'_>, now: Now, rng: &mut Rng) {
        let point = delegation::closest(&self.question, &self.skipped, view, now);
        if self.ask_copy(&point, view, now, rng) {
            return;
        }
        match delegation::priming_question(&point, view.config) {
            // What is learned by priming does not say how to ask; the servers given do.
            Some(question)
                if question != self.question && !delegation::demands_tls(&point, view.config) =>
            {
                self.actions.push_back(Action::Need(question.clone()));
                self.phase = Phase::Priming { question, hints: point };
            }
            _ => self.enter(point, view, now, rng),
        }
    }

    /// Asks the servers of another zone cut from now on.
    fn enter(&mut self, point: DelegationPoint, view: &mut View<'_>, now: Now, rng: &mut Rng) {
        if let Some(minimiser) = &mut self.minimiser {
            // A forwarder gets the whole question: it is the one that minimises.
            if matches!(point.source, crate::cache::DelegationSource::Forward { .. }) {
                minimiser.give_up();
            }
            minimiser.enter_zone();
        }
        self.spare = None;
        let mut cut = Cut::new(point, view, now);
        let primes = delegation::priming_question(&cut.point, view.config);
        cut.priming = primes.as_ref() == Some(&self.question);
        // Servers the operator named are looked up at once, the others when they are needed.
        if cut.is_configured() {
            let needs = cut.look_up(&self.question, self.depth, view, rng);
            self.actions.extend(needs.into_iter().map(Action::Need));
        }
        self.cut = Some(cut);
        self.proceed(view, now, rng);
    }

    /// Asks the next server, or looks for addresses, or gives up on this cut.
    fn proceed(&mut self, view: &mut View<'_>, now: Now, rng: &mut Rng) {
        if now.mono >= view.budget.work_ends() {
            return self.out_of_time();
        }
        let Some(cut) = &mut self.cut else { return self.fail(Reason::NoReachableAuthority) };
        if cut.is_spent(view.config) {
            return self.exhausted(view, now, rng);
        }
        let chosen = select::select(cut, &self.blamed, view, now, rng);
        let target = chosen.and_then(|at| cut.targets.get(at));
        let blamed = target.is_some_and(|target| self.blamed.contains(&target.server));
        // Lookups begin when there is nobody left who was not asked before, and go on beside.
        if blamed || target.is_none_or(|target| target.tries > 0) {
            let needs = cut.look_up(&self.question, self.depth, view, rng);
            self.actions.extend(needs.into_iter().map(Action::Need));
        }
        match chosen {
            // Whoever gave bogus data is asked again when there really is nobody else.
            Some(_) if blamed && cut.is_waiting() => self.phase = Phase::Waiting,
            Some(at) => self.ask(at, view, now, rng),
            None if cut.is_waiting() => self.phase = Phase::Waiting,
            None if cut.use_unverified(view.config) || cut.use_parent_side(view, now) => {
                self.proceed(view, now, rng);
            }
            None => self.exhausted(view, now, rng),
        }
    }

    /// Nobody at this cut is of use.
    fn exhausted(&mut self, view: &mut View<'_>, now: Now, rng: &mut Rng) {
        let Some(cut) = &self.cut else { return };
        if let Some(above) = self.zone_above_missing_glue(view, now) {
            self.went_up = true;
            return self.enter(above, view, now, rng);
        }
        if let Some(skip) = Skipped::from_point(&cut.point, view.config) {
            // Each clause is skipped once, so this ends.
            self.skipped.push(skip);
            self.minimiser = Some(Minimiser::new(&self.question, view.config));
            return self.begin(view, now, rng);
        }
        if let Some((_, response)) = self.spare.take() {
            return self.respond(response);
        }
        let reason = cut.reason();
        self.fail(reason);
    }

    /// The zone above the cut of now, when the question is for the address of a server of that cut
    /// whose glue is missing: only the parent can know it. Once.
    fn zone_above_missing_glue(&self, view: &View<'_>, now: Now) -> Option<DelegationPoint> {
        let cut = self.cut.as_ref().filter(|cut| {
            !self.went_up && cut.targets.is_empty() && cut.lacks_glue_of(&self.question)
        })?;
        let parent = Question { name: cut.zone().parent()?, ..self.question.clone() };
        Some(delegation::closest(&parent, &self.skipped, view, now))
    }

    /// The time for this question is over; what is known has to do.
    fn out_of_time(&mut self) {
        if let Some((_, response)) = self.spare.take() {
            return self.respond(response);
        }
        let asked = self.cut.as_ref().filter(|cut| cut.sent > 0);
        self.fail(asked.map_or(Reason::ClientDeadline, Cut::reason));
    }

    /// Takes the answer to a need.
    fn on_resolved(
        &mut self,
        question: &Question,
        answer: &Answer,
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) {
        if let Phase::Priming { question: primes, hints } = &self.phase {
            if primes == question {
                // The iteration for that question has stored what it learned; where that did not
                // last (TTL 0) the answer says the same. Without either the hints have to do.
                let point = view
                    .cache
                    .delegation(&primes.name, now)
                    .filter(|point| point.zone == primes.name)
                    .or_else(|| referral::primed(answer, hints, view.config, now))
                    .unwrap_or_else(|| hints.clone());
                self.phase = Phase::Waiting;
                self.enter(point, view, now, rng);
            }
            return;
        }
        let Some(cut) = &mut self.cut else { return };
        if matches!(self.phase, Phase::Asking(_) | Phase::Waiting) {
            cut.on_resolved(question, answer, view);
        }
        if matches!(self.phase, Phase::Waiting) {
            self.proceed(view, now, rng);
        }
    }

    /// The last response was bogus: its server comes last now.
    fn on_retry(&mut self, view: &mut View<'_>, now: Now, rng: &mut Rng) {
        if !matches!(self.phase, Phase::Done) {
            return;
        }
        if self.retry_copy(view, now, rng) {
            return;
        }
        let (Some(server), Some(cut)) = (self.answered_by, &mut self.cut) else {
            return self.fail(Reason::NoReachableAuthority);
        };
        if self.believed_shortened {
            // The denial of a name above was not proven: nobody has been asked for the full name.
            if let Some(minimiser) = &mut self.minimiser {
                minimiser.give_up();
            }
        } else {
            self.blamed.push(server);
        }
        cut.next_question();
        cut.forget_lookups();
        if let Some(target) = cut.target(server) {
            target.excluded = false;
            target.fault = None;
            target.tries = 0;
        }
        self.spare = None;
        self.proceed(view, now, rng);
    }

    /// Ends with a response.
    fn respond(&mut self, response: Response) {
        self.answered_by = Some(response.server);
        self.finish(Outcome::Response(response));
    }

    /// Ends without one.
    fn fail(&mut self, reason: Reason) {
        self.finish(Outcome::Failed(reason));
    }

    fn finish(&mut self, outcome: Outcome) {
        if let Phase::Asking(pending) = std::mem::replace(&mut self.phase, Phase::Done) {
            self.actions.push_back(Action::Close(pending.id));
        }
        self.actions.push_back(Action::Finish(outcome));
    }

    /// The exchange under way, when it is that one; it is over then.
    fn take_pending(&mut self, exchange: ExchangeId) -> Option<Box<Pending>> {
        match std::mem::replace(&mut self.phase, Phase::Waiting) {
            Phase::Asking(pending) if pending.id == exchange => Some(pending),
            other => {
                self.phase = other;
                None
            }
        }
    }
}

//! An answer on its way through policy: fetches the links that a [`Screening`] needs, and keeps
//! servers from being asked that policy bars.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use super::task::{Key, Kind, Outcome, Step};
use super::{Screened, lookup, synthesis};
use crate::authority::Zones;
use crate::budget::Budget;
use crate::cache::{Answer, Cache};
use crate::clock::Now;
use crate::config::Config;
use crate::iterator::{self, Iteration, View};
use crate::policy::{Audience, Hit, Link, Screening, Step as Screens};
use crate::status::{Reason, SecurityStatus};
use crate::wire::{Name, Question, Rcode, RecordType};

/// The work of a task whose answer goes through policy.
pub(super) struct Screen {
    question: Question,
    audience: Audience,
    screening: Screening,
    checking_disabled: bool,
    stage: Stage,
}

/// What a screening waits for.
enum Stage {
    /// A link.
    Link,
    /// A link of type AAAA; IPv4 addresses will do where it has none.
    Native(Link),
    /// The IPv4 addresses of a link, in place of what is known about AAAA.
    Mapped(Link, Option<Rc<Outcome>>),
}

impl Screen {
    pub(super) fn new(question: Question, screened: &Screened, checking_disabled: bool) -> Self {
        let Screened { audience, alias } = screened.clone();
        let screening = Screening::new(question.clone(), alias.as_deref(), audience.lens);
        Self { question, audience, screening, checking_disabled, stage: Stage::Link }
    }

    pub(super) fn start(&mut self, config: &Config) -> Vec<Step> {
        let step = self.screening.start(&self.audience.policy);
        self.follow(step, None, config)
    }

    /// What was needed has come.
    pub(super) fn resolved(&mut self, outcome: &Rc<Outcome>, config: &Config) -> Vec<Step> {
        let whole = outcome.barred.is_none() && outcome.answer.dangling().is_none();
        match std::mem::replace(&mut self.stage, Stage::Link) {
            Stage::Link => self.link(outcome, config),
            Stage::Native(link) if whole && lacks_native(&outcome.answer) => {
                self.need_mapped(link, Some(Rc::clone(outcome)))
            }
            Stage::Native(_) => self.link(outcome, config),
            Stage::Mapped(link, native) => self.mapped(link, native, outcome, config),
        }
    }

    /// The addresses to be mapped have come, gone through policy themselves.
    fn mapped(
        &mut self,
        link: Link,
        native: Option<Rc<Outcome>>,
        outcome: &Rc<Outcome>,
        config: &Config,
    ) -> Vec<Step> {
        let answer = &outcome.answer;
        if answer.manner.dropped || answer.manner.truncated {
            let answer = Answer { question: self.question.clone(), ..answer.clone() };
            return vec![Step::Done(Outcome::failed(answer, outcome.passing))];
        }
        let failed = answer.is_failure() || answer.status == SecurityStatus::Bogus;
        if failed {
            return self.link(outcome, config);
        }
        if answer.rrset().is_none() {
            return match native {
                Some(native) => self.link(&native, config),
                None => vec![self.need_link(link)],
            };
        }
        let question = Question { name: link.name, ..self.question.clone() };
        let denial = native.as_ref().map(|native| &native.answer);
        let made = synthesis::mapped(answer.clone(), &question, denial, config);
        self.link(&Rc::new(Outcome::like(outcome, made)), config)
    }

    fn link(&mut self, outcome: &Rc<Outcome>, config: &Config) -> Vec<Step> {
        let policy = &self.audience.policy;
        let step = match &outcome.barred {
            Some(hit) => self.screening.barred(policy, hit),
            None => self.screening.resolved(policy, &outcome.answer),
        };
        self.follow(step, Some(outcome), config)
    }

    fn follow(&mut self, step: Screens, last: Option<&Rc<Outcome>>, config: &Config) -> Vec<Step> {
        let passing = last.is_some_and(|last| last.passing);
        let answer = match step {
            Screens::Need(link) => return self.need(link, config),
            Screens::Done(answer) => *answer,
            Screens::Unchanged => {
                let failure = || Answer::failure(self.question.clone(), Reason::NotReady);
                last.map_or_else(failure, |last| last.answer.clone())
            }
        };
        let answer = Answer { question: self.question.clone(), ..answer };
        vec![Step::Done(Outcome::failed(answer, passing))]
    }

    fn need(&mut self, link: Link, config: &Config) -> Vec<Step> {
        let question = Question { name: link.name.clone(), ..self.question.clone() };
        if self.checking_disabled || !synthesis::applies(&question, config) {
            return vec![self.need_link(link)];
        }
        if question.rtype != RecordType::AAAA || synthesis::is_ipv4only(&question.name) {
            let key = Key { kind: Kind::Synthesized, question, audience: None };
            return vec![Step::Need { key, again: None, deeper: false }];
        }
        if synthesis::prefers_mapped(&question.name, config) {
            return self.need_mapped(link, None);
        }
        self.stage = Stage::Native(link.clone());
        vec![self.need_link(link)]
    }

    fn need_mapped(&mut self, link: Link, native: Option<Rc<Outcome>>) -> Vec<Step> {
        let name = link.name.clone();
        let question = Question { name, rtype: RecordType::A, ..self.question.clone() };
        self.stage = Stage::Mapped(link, native);
        // Whoever sees the same may join.
        let key = Key { kind: Kind::Screened(0), question, audience: Some(self.audience.clone()) };
        vec![Step::Need { key, again: None, deeper: false }]
    }

    fn need_link(&self, link: Link) -> Step {
        let kind = if self.checking_disabled { Kind::UnvalidatedLink } else { Kind::Link };
        let audience = link.guarded.then(|| self.audience.clone());
        let question = Question { name: link.name, ..self.question.clone() };
        Step::Need { key: Key { kind, question, audience }, again: None, deeper: false }
    }
}

/// Whether IPv4 addresses will do: any error but NXDOMAIN is taken for "no AAAA" (RFC 6147 §5.1.2),
/// but not bogus data.
fn lacks_native(answer: &Answer) -> bool {
    answer.rcode != Rcode::NXDOMAIN
        && answer.status != SecurityStatus::Bogus
        && !synthesis::has_native(answer)
}

/// Asks policy about servers, and remembers what it said.
pub(super) struct Guard<'a> {
    audience: &'a Audience,
    question: &'a Question,
    hit: RefCell<Option<Hit>>,
}

impl<'a> Guard<'a> {
    pub(super) fn new(audience: &'a Audience, question: &'a Question) -> Self {
        Self { audience, question, hit: RefCell::new(None) }
    }

    /// The entry that barred servers.
    pub(super) fn hit(self) -> Option<Hit> {
        self.hit.into_inner()
    }
}

impl iterator::Guard for Guard<'_> {
    fn bars(&self, names: &[Name], addresses: &[IpAddr]) -> bool {
        let Audience { policy, lens } = self.audience;
        let hit = policy.at_servers(*lens, self.question, names, addresses);
        let bars = hit.is_some();
        if bars {
            self.hit.replace(hit);
        }
        bars
    }
}

/// The entry about the servers that would be asked first for a question, as far as they are known.
pub(super) fn first_servers(
    question: &Question,
    audience: &Audience,
    cache: &Cache,
    config: &Config,
    now: Now,
) -> Option<Hit> {
    // Looking spends nothing.
    let mut budget = Budget::configured(now.mono, 0, 0);
    let zones = &Zones::default();
    let view = View { cache, zones, config, budget: &mut budget, guard: None };
    let (names, addresses) = Iteration::first_servers(question, &view, now);
    audience.policy.at_servers(audience.lens, question, &names, &addresses)
}

/// What is known about a link without asking anybody.
#[derive(Clone, Debug)]
pub enum Known {
    /// Its answer, possibly only up to an alias.
    Answer(Box<Answer>),
    /// Its servers are not to be asked, by that entry.
    Barred(Box<Hit>),
}

/// What is known about a link, for an answer to `question`; `None`: it has to be resolved.
pub fn known(
    question: &Question,
    link: &Link,
    audience: &Audience,
    checking_disabled: bool,
    (cache, config, now): (&Cache, &Config, Now),
) -> Option<Known> {
    let question = Question { name: link.name.clone(), ..question.clone() };
    if !checking_disabled && synthesis::applies(&question, config) {
        // What is known of one type says nothing of what will be made of another.
        return None;
    }
    if link.guarded
        && let Some(hit) = first_servers(&question, audience, cache, config, now)
    {
        return Some(Known::Barred(Box::new(hit)));
    }
    let answer = match checking_disabled {
        true => lookup::response(cache, &question, now),
        false => lookup::validated(cache, &question, config, now),
    };
    answer.map(|answer| Known::Answer(Box::new(answer)))
}

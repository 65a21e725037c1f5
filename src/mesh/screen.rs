//! An answer on its way through policy: fetches the links that a [`Screening`] needs, and keeps
//! servers from being asked that policy bars.

use std::cell::RefCell;
use std::net::IpAddr;
use std::rc::Rc;

use super::task::{Key, Kind, Outcome, Step};
use super::{Screened, lookup};
use crate::budget::Budget;
use crate::cache::{Answer, Cache};
use crate::clock::Now;
use crate::config::Config;
use crate::iterator::{self, Iteration, View};
use crate::policy::{Audience, Hit, Link, Screening, Step as Screens};
use crate::wire::{Name, Question};

/// The work of a task whose answer goes through policy.
pub(super) struct Screen {
    question: Question,
    audience: Audience,
    screening: Screening,
    checking_disabled: bool,
}

impl Screen {
    pub(super) fn new(question: Question, screened: &Screened, checking_disabled: bool) -> Self {
        let Screened { audience, alias } = screened.clone();
        let screening = Screening::new(question.clone(), alias.as_deref(), audience.lens);
        Self { question, audience, screening, checking_disabled }
    }

    pub(super) fn start(&mut self) -> Vec<Step> {
        let step = self.screening.start(&self.audience.policy);
        self.follow(step, None)
    }

    /// The link that was needed has come.
    pub(super) fn resolved(&mut self, outcome: &Rc<Outcome>) -> Vec<Step> {
        let policy = &self.audience.policy;
        let step = match &outcome.barred {
            Some(hit) => self.screening.barred(policy, hit),
            None => self.screening.resolved(policy, &outcome.answer),
        };
        self.follow(step, Some(outcome))
    }

    fn follow(&self, step: Screens, last: Option<&Rc<Outcome>>) -> Vec<Step> {
        let passing = last.is_some_and(|last| last.passing);
        let answer = match step {
            Screens::Need(link) => return vec![self.need(link)],
            Screens::Done(answer) => *answer,
            Screens::Unchanged => {
                let failure =
                    || Answer::failure(self.question.clone(), crate::status::Reason::NotReady);
                last.map_or_else(failure, |last| last.answer.clone())
            }
        };
        let answer = Answer { question: self.question.clone(), ..answer };
        vec![Step::Done(Outcome::failed(answer, passing))]
    }

    fn need(&self, link: Link) -> Step {
        let kind = if self.checking_disabled { Kind::UnvalidatedLink } else { Kind::Link };
        let audience = link.guarded.then(|| self.audience.clone());
        let question = Question { name: link.name, ..self.question.clone() };
        Step::Need { key: Key { kind, question, audience }, again: None, deeper: false }
    }
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
    let view = View { cache, config, budget: &mut budget, guard: None };
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

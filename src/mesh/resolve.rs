//! A resolution: from a question to the whole answer a client gets.
//!
//! ```text
//! cache ─► Fetching ─► Validating ─┬─► Chasing ─► composed
//!              ▲            │      └─► done
//!              └── bogus ◄──┘ (once, another server)
//! ```

use std::rc::Rc;

use super::compose::compose;
use super::task::{Key, Kind, Outcome, Purse, Step};
use super::{Context, lookup, screen};
use crate::budget::BOGUS_RETRIES;
use crate::cache::{Answer, Cache};
use crate::config::Config;
use crate::iterator::Iteration;
use crate::policy::Audience;
use crate::status::{Reason, SecurityStatus};
use crate::validator::{self, Action, Event, Validation, View};
use crate::wire::Question;

pub(super) struct Resolve {
    kind: Kind,
    question: Question,
    /// Whose policy says which servers are not to be asked.
    audience: Option<Audience>,
    stage: Stage,
    /// How often a bogus response was asked for again.
    retries: u8,
    /// What brought the response under validation; asked again should it be bogus.
    fetched: Option<Rc<Outcome>>,
    /// The last DS or DNSKEY lookup, likewise.
    voucher: Option<Rc<Outcome>>,
    /// Something it needed failed in passing.
    hampered: bool,
    /// Something it is made of may not be remembered.
    volatile: bool,
}

enum Stage {
    Begin,
    Fetching,
    Validating(Box<Validation>),
    /// The first link is known; its target is being resolved.
    Chasing(Box<Answer>),
}

impl Resolve {
    pub(super) fn new(key: &Key) -> Self {
        let Key { kind, question, audience } = key.clone();
        Self {
            kind,
            question,
            audience,
            stage: Stage::Begin,
            retries: 0,
            fetched: None,
            voucher: None,
            hampered: false,
            volatile: false,
        }
    }

    /// Looks into the cache, and asks when it is not there.
    pub(super) fn start(
        &mut self,
        purse: &Purse,
        cx: &mut Context<'_>,
        cache: &Cache,
    ) -> Vec<Step> {
        if let Some(audience) = &self.audience
            && let Some(hit) =
                screen::first_servers(&self.question, audience, cache, cx.config, cx.now)
        {
            return vec![Step::Done(Outcome::barred(self.question.clone(), hit))];
        }
        let known = match self.kind {
            Kind::Refreshed => None,
            kind if kind.is_unvalidated() => lookup::response(cache, &self.question, cx.now),
            _ => lookup::validated(cache, &self.question, cx.config, cx.now)
                .or_else(|| self.synthesized(purse, cx, cache)),
        };
        match known {
            Some(answer) if !self.kind.is_link() && lookup::dangling(&answer).is_some() => {
                self.chase(answer, purse, cx, cache)
            }
            Some(answer) => done(answer),
            None => self.fetch(self.first_fetch(), None),
        }
    }

    /// What proofs that came with other answers say about the question. That is not remembered as
    /// an answer: it costs little, and there is no end to the names that do not exist.
    fn synthesized(&self, purse: &Purse, cx: &Context<'_>, cache: &Cache) -> Option<Answer> {
        if !cx.config.validates() {
            return None;
        }
        let mut budget = purse.budget();
        let (config, rollover) = (cx.config, cx.rollover);
        let mut view = View { cache, config, budget: &mut budget, rollover };
        validator::synthesize(&self.question, &mut view, cx.now)
    }

    /// What was needed has come.
    pub(super) fn resolved(
        &mut self,
        key: &Key,
        outcome: &Rc<Outcome>,
        purse: &Purse,
        cx: &mut Context<'_>,
        cache: &Cache,
    ) -> Vec<Step> {
        self.hampered |= outcome.passing;
        let part = !matches!(self.stage, Stage::Validating(_));
        self.volatile |= part && outcome.volatile;
        match std::mem::replace(&mut self.stage, Stage::Begin) {
            Stage::Fetching => self.fetched(outcome, purse, cx, cache),
            Stage::Validating(validation) => {
                self.voucher = Some(Rc::clone(outcome));
                let event = Event::Resolved { question: &key.question, answer: &outcome.answer };
                self.validate(validation, event, purse, cx, cache)
            }
            Stage::Chasing(link) => self.finish(compose(*link, &outcome.answer), purse, cx, cache),
            Stage::Begin => Vec::new(),
        }
    }

    fn first_fetch(&self) -> Kind {
        if self.kind == Kind::Refreshed { Kind::FetchAnew } else { Kind::Fetch }
    }

    fn fetch(&mut self, kind: Kind, again: Option<Box<Iteration>>) -> Vec<Step> {
        self.stage = Stage::Fetching;
        let key = Key { kind, question: self.question.clone(), audience: self.audience.clone() };
        vec![Step::Need { key, again, deeper: false }]
    }

    fn fetched(
        &mut self,
        outcome: &Rc<Outcome>,
        purse: &Purse,
        cx: &mut Context<'_>,
        cache: &Cache,
    ) -> Vec<Step> {
        if outcome.barred.is_some() {
            return vec![Step::Done(Rc::clone(outcome))];
        }
        self.fetched = Some(Rc::clone(outcome));
        let mut answer = outcome.answer.clone();
        answer.question = self.question.clone();
        if answer.is_failure() {
            return self.finish(answer, purse, cx, cache);
        }
        if self.kind.is_unvalidated() {
            return self.follow(answer, purse, cx, cache);
        }
        if !cx.config.validates() {
            // `module-config:` without the validator: everything is given, nothing is proven.
            answer.status = SecurityStatus::Insecure;
            return self.follow(answer, purse, cx, cache);
        }
        self.validate(Box::new(Validation::new(answer)), Event::Start, purse, cx, cache)
    }

    fn validate(
        &mut self,
        mut validation: Box<Validation>,
        event: Event<'_>,
        purse: &Purse,
        cx: &mut Context<'_>,
        cache: &Cache,
    ) -> Vec<Step> {
        let action = {
            let mut budget = purse.budget();
            let (config, rollover) = (cx.config, cx.rollover);
            let mut view = View { cache, config, budget: &mut budget, rollover };
            validation.handle(event, &mut view, cx.now)
        };
        match action {
            Action::Need(question) => {
                self.stage = Stage::Validating(validation);
                let key = Key { kind: Kind::Fetch, question, audience: None };
                vec![Step::Need { key, again: None, deeper: false }]
            }
            Action::NeedOther(question) => {
                self.stage = Stage::Validating(validation);
                let again = self
                    .voucher
                    .take()
                    .filter(|outcome| outcome.answer.question == question)
                    .and_then(|outcome| outcome.take_iteration());
                let key = Key { kind: Kind::FetchAnew, question, audience: None };
                vec![Step::Need { key, again, deeper: false }]
            }
            Action::Finish(answer)
                if answer.status == SecurityStatus::Bogus
                    && u32::from(self.retries) < retries(cx.config) =>
            {
                // One forged response must not cost more than one retry (USENIX Security 2025,
                // reuse of unvalidated caches).
                self.retries += 1;
                let again = self.fetched.take().and_then(|outcome| outcome.take_iteration());
                self.fetch(Kind::FetchAnew, again)
            }
            Action::Finish(answer) => self.follow(answer, purse, cx, cache),
        }
    }

    /// The response is settled: chase its alias, or be done.
    fn follow(
        &mut self,
        answer: Answer,
        purse: &Purse,
        cx: &mut Context<'_>,
        cache: &Cache,
    ) -> Vec<Step> {
        let bogus = answer.status == SecurityStatus::Bogus;
        if !bogus && !self.kind.is_unvalidated() && !self.volatile {
            lookup::store_rrsets(cache, &answer, cx.now);
        }
        if !bogus && lookup::is_circular(&answer) {
            let failure = Answer::failure(self.question.clone(), Reason::AliasLimit);
            return self.finish(failure, purse, cx, cache);
        }
        if !bogus && lookup::dangling(&answer).is_some() {
            if self.kind.is_link() {
                return done(answer);
            }
            return self.chase(answer, purse, cx, cache);
        }
        self.finish(answer, purse, cx, cache)
    }

    fn chase(
        &mut self,
        link: Answer,
        purse: &Purse,
        cx: &mut Context<'_>,
        cache: &Cache,
    ) -> Vec<Step> {
        let Some(target) = lookup::dangling(&link) else { return done(link) };
        let links = u8::try_from(lookup::aliases(&link)).unwrap_or(u8::MAX);
        let spent = purse.budget().spend_aliases(links);
        if let Err(exhausted) = spent {
            let failure = Answer::failure(self.question.clone(), exhausted.0);
            return self.finish(failure, purse, cx, cache);
        }
        self.stage = Stage::Chasing(Box::new(link));
        let kind = if self.kind.is_unvalidated() { Kind::Unvalidated } else { Kind::Validated };
        let question =
            Question { name: target, rtype: self.question.rtype, class: self.question.class };
        let key = Key { kind, question, audience: None };
        vec![Step::Need { key, again: None, deeper: false }]
    }

    /// Remembers the answer. A failure, or bogus data, for want of budget or the like is remembered
    /// only under the very question that a client asked: whoever uses up a budget with names of
    /// his own and then leads it to somebody else's must not make that fail for others.
    fn finish(
        &mut self,
        answer: Answer,
        purse: &Purse,
        cx: &mut Context<'_>,
        cache: &Cache,
    ) -> Vec<Step> {
        let failed = answer.is_failure() || answer.status == SecurityStatus::Bogus;
        let passing = failed && (self.hampered || purse.is_over(cx.now));
        if !self.kind.is_unvalidated() && !self.volatile && (purse.is_root() || !passing) {
            lookup::store_final(cache, &answer, cx.now);
        }
        let outcome = Outcome::ended(answer, passing).volatile_if(self.volatile);
        vec![Step::Done(Rc::new(outcome))]
    }
}

/// How often a bogus response may be asked for again (`val-max-restart`).
fn retries(config: &Config) -> u32 {
    u32::from(BOGUS_RETRIES.default).min(config.val_max_restart)
}

fn done(answer: Answer) -> Vec<Step> {
    vec![Step::Done(Outcome::new(answer))]
}

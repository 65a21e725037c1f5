//! What an answer has to go through before a client gets it: the names its aliases lead to, the
//! servers that are asked for it, the addresses in it.
//!
//! A [`Screening`] is a state machine. It says which link of the chain of aliases it needs, is told
//! what is known about it, and ends with what the client gets. Whoever drives it fetches the links,
//! from servers or from the cache, fresh or expired.
//!
//! ```text
//! start ─► Need(link) ─► resolved ─┬─ alias ─► policy for the target? ─► Need(next link)
//!               ▲                  └─ whole ─► policy for its addresses? ─► Done
//!               └─── barred: policy for the servers
//! ```

use std::sync::Arc;

use super::responses::{Effect, addresses};
use super::rpz::{Action, Hit, Trigger};
use super::{Lens, Policy, alias};
use crate::cache::{Answer, Manner};
use crate::status::{Reason, SecurityStatus};
use crate::wire::{Name, Question, Rcode, RecordType, Rrset};

/// Links of a chain that policy may add or that it follows, where there is no other bound.
const MAX_LINKS: u8 = 12;

/// Who an answer is for, as far as policy makes a difference, with the policy that makes it.
#[derive(Clone, Debug)]
pub struct Audience {
    /// The policy.
    pub policy: Arc<Policy>,
    /// The difference.
    pub lens: Lens,
}

impl PartialEq for Audience {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.policy, &other.policy) && self.lens == other.lens
    }
}

impl Eq for Audience {}

impl std::hash::Hash for Audience {
    fn hash<H: std::hash::Hasher>(&self, state: &mut H) {
        Arc::as_ptr(&self.policy).hash(state);
        self.lens.hash(state);
    }
}

/// What a screening wants next.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub enum Step {
    /// The answer for this name: [`Screening::resolved`], or [`Screening::barred`].
    Need(Link),
    /// The client gets what came for the first link, as it is.
    Unchanged,
    /// The client gets this.
    Done(Box<Answer>),
}

/// A link of the chain of aliases.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Link {
    /// The name; type and class are those of the question.
    pub name: Name,
    /// Its servers are subject to policy.
    pub guarded: bool,
}

/// The way of one question through policy.
#[derive(Clone, Debug)]
pub struct Screening {
    question: Question,
    lens: Lens,
    /// The chain so far.
    whole: Option<Answer>,
    /// The name whose link is needed.
    name: Name,
    links: u8,
    /// The chain begins with an alias of ours, so that the answer is ours.
    ours: bool,
    /// An address was replaced by an alias; the target is needed.
    redirected: bool,
}

impl Screening {
    /// The way of an answer to `question`, which local data or a policy zone may have made an
    /// alias.
    pub fn new(question: Question, alias: Option<&Rrset>, lens: Lens) -> Self {
        let mut screening = Self {
            name: question.name.clone(),
            question,
            lens,
            whole: None,
            links: 0,
            ours: alias.is_some(),
            redirected: false,
        };
        if let Some(alias) = alias {
            let target = alias.alias_target();
            screening.add_alias(alias.clone());
            screening.name = target.unwrap_or_else(Name::root);
        }
        screening
    }

    /// Begins. The name of the question itself has been looked at before.
    pub fn start(&mut self, policy: &Policy) -> Step {
        let name = self.name.clone();
        if self.whole.is_none() {
            self.need(policy, name, true)
        } else {
            self.advance(policy, name)
        }
    }

    /// What is known about the link that was needed; possibly only its first aliases.
    pub fn resolved(&mut self, policy: &Policy, answer: &Answer) -> Step {
        if self.redirected {
            return self.redirected(policy, answer);
        }
        if answer.is_failure() || answer.status == SecurityStatus::Bogus {
            return self.finish(answer);
        }
        if let Some((kept, target, hit)) = self.stopped(policy, answer) {
            let link = Answer {
                answer: answer.answer.iter().take(kept).cloned().collect(),
                status: answer.status,
                ..Answer::empty(answer.question.clone(), Rcode::NOERROR)
            };
            self.add(&link);
            self.name = target;
            return self.act(policy, &hit);
        }
        if let Some(target) = answer.dangling() {
            self.add(answer);
            return self.need(policy, target, true);
        }
        let first = self.whole.is_none();
        self.add(answer);
        self.look_at_addresses(policy, first)
    }

    /// Its servers are not to be asked, by that entry.
    pub fn barred(&mut self, policy: &Policy, hit: &Hit) -> Step {
        self.act(policy, hit)
    }

    //--- Names

    /// Where the aliases of a response lead to a name with an entry that ends them: how many RRsets
    /// are kept, the name, the entry.
    fn stopped(&mut self, policy: &Policy, answer: &Answer) -> Option<(usize, Name, Hit)> {
        let mut name = answer.question.name.clone();
        if matches!(self.question.rtype, RecordType::CNAME | RecordType::ANY) {
            return None;
        }
        for _ in 0..answer.answer.len() {
            if !self.lens.rpz {
                return None;
            }
            let at = answer.answer.iter().position(|set| set.is(&name, RecordType::CNAME))?;
            let target = answer.answer.get(at)?.alias_target()?;
            if let Some(hit) = policy.at_name(&target, self.lens, &self.question)
                && self.ends(&hit)
            {
                return Some((at + 1, target, hit));
            }
            name = target;
        }
        None
    }

    /// Whether an entry changes what the client gets; one that lets everything pass ends the search
    /// for others.
    fn ends(&mut self, hit: &Hit) -> bool {
        match hit.action {
            Action::Passthru => {
                self.lens.rpz = false;
                false
            }
            Action::TcpOnly => !self.lens.stream,
            _ => true,
        }
    }

    /// An alias leads to that name.
    fn advance(&mut self, policy: &Policy, name: Name) -> Step {
        self.name = name;
        if self.lens.rpz
            && let Some(hit) = policy.at_name(&self.name, self.lens, &self.question)
            && self.ends(&hit)
        {
            return self.act(policy, &hit);
        }
        self.need(policy, self.name.clone(), true)
    }

    fn need(&mut self, policy: &Policy, name: Name, guarded: bool) -> Step {
        self.links += 1;
        if self.links > MAX_LINKS {
            return self.fail(Reason::AliasLimit);
        }
        self.name = name;
        let guarded = guarded && policy.guards(self.lens);
        Step::Need(Link { name: self.name.clone(), guarded })
    }

    //--- Actions

    /// Does what an entry says about the name of now.
    fn act(&mut self, policy: &Policy, hit: &Hit) -> Step {
        if !self.ends(hit) {
            // What is said about these servers holds for this link only.
            return self.need(policy, self.name.clone(), false);
        }
        match &hit.action {
            Action::Drop => self.special(Manner { dropped: true, ..Manner::default() }),
            Action::TcpOnly | Action::Passthru => {
                self.special(Manner { truncated: true, ..Manner::default() })
            }
            Action::Nxdomain => self.deny(hit, Rcode::NXDOMAIN),
            Action::Nodata => self.deny(hit, Rcode::NOERROR),
            Action::Data(sets) => match data_for(sets, &self.name, self.question.rtype) {
                None => self.deny(hit, Rcode::NOERROR),
                Some(rrset) if self.is_followed(&rrset) => {
                    let Some(alias) = alias::expand(rrset) else {
                        return self.deny(hit, Rcode::YXDOMAIN);
                    };
                    let target = alias.alias_target().unwrap_or_else(Name::root);
                    self.add_alias(alias);
                    self.links += 1;
                    if self.links > MAX_LINKS {
                        return self.fail(Reason::AliasLimit);
                    }
                    self.advance(policy, target)
                }
                Some(rrset) => self.conclude(hit, Rcode::NOERROR, Some(rrset)),
            },
        }
    }

    fn is_followed(&self, rrset: &Rrset) -> bool {
        rrset.rtype == RecordType::CNAME
            && !matches!(self.question.rtype, RecordType::CNAME | RecordType::ANY)
    }

    fn deny(&mut self, hit: &Hit, rcode: Rcode) -> Step {
        self.conclude(hit, rcode, None)
    }

    /// Ends the chain with what the policy zone says, which is its own authority.
    fn conclude(&mut self, hit: &Hit, rcode: Rcode, rrset: Option<Rrset>) -> Step {
        let mut end = made_up(&self.question, &self.name, rcode);
        end.reason = Some(if rrset.is_some() { Reason::Forged } else { Reason::Blocked });
        end.answer.extend(rrset);
        end.additional.extend(hit.soa.clone());
        self.add(&end);
        let Some(mut whole) = self.whole.take() else { return Step::Unchanged };
        whole.manner.authoritative = true;
        whole.manner.hides_recursion = hit.hides_recursion && rcode == Rcode::NXDOMAIN;
        Step::Done(Box::new(whole))
    }

    fn special(&mut self, manner: Manner) -> Step {
        let empty = Answer::empty(self.question.clone(), Rcode::NOERROR);
        Step::Done(Box::new(Answer { manner, status: SecurityStatus::Insecure, ..empty }))
    }

    fn fail(&self, reason: Reason) -> Step {
        Step::Done(Box::new(Answer::failure(self.question.clone(), reason)))
    }

    //--- Addresses

    /// The chain is whole. `first`: it is what came for the first link.
    fn look_at_addresses(&mut self, policy: &Policy, first: bool) -> Step {
        let Some(whole) = self.whole.take() else { return Step::Unchanged };
        let Some((at, effect, hides)) = self.effect(policy, &whole.answer) else {
            if first && !self.ours {
                return Step::Unchanged;
            }
            return self.settle(whole);
        };
        let mut cut = Answer { authority: Vec::new(), additional: Vec::new(), ..whole };
        cut.answer.truncate(at);
        cut.status = cut.status.min(SecurityStatus::Insecure);
        cut.reason = Some(Reason::Blocked);
        match effect {
            Effect::Keep => {}
            Effect::Drop => cut.manner.dropped = true,
            Effect::TcpOnly => cut.manner.truncated = true,
            Effect::Refuse => {
                cut.answer.clear();
                cut.rcode = Rcode::REFUSED;
            }
            Effect::Nxdomain => {
                cut.rcode = Rcode::NXDOMAIN;
                cut.manner.hides_recursion = hides;
            }
            Effect::Nodata => {}
            Effect::Replace(rrset) => {
                cut.reason = Some(Reason::Forged);
                let target = rrset.alias_target().filter(|_| self.is_followed(&rrset));
                cut.answer.push(rrset);
                if let Some(target) = target {
                    self.whole = Some(cut);
                    self.redirected = true;
                    return self.need(policy, target, false);
                }
            }
        }
        if self.question.rtype == RecordType::ANY && cut.answer.len() == at {
            // Whatever else was asked for is not told either.
            cut.answer.clear();
        }
        self.settle(cut)
    }

    /// What the addresses of an answer make of it: from which RRset on, what, and whether a denial
    /// hides recursion; `None`: nothing.
    fn effect(&mut self, policy: &Policy, section: &[Rrset]) -> Option<(usize, Effect, bool)> {
        let found = addresses(section);
        if found.is_empty() {
            return None;
        }
        let rules = policy.at_addresses(&found, section, self.lens, &self.question);
        if let Some((at, effect)) = rules {
            let harmless = effect == Effect::Keep || effect == Effect::TcpOnly && self.lens.stream;
            return (!harmless).then_some((at, effect, false));
        }
        let lens = self.lens;
        let (index, hit) = policy.at_policy_addresses(&found, lens, &self.question)?;
        if !self.ends(&hit) {
            return None;
        }
        let at = found.get(index)?.rrset;
        let owner = &section.get(at)?.owner;
        let effect = match &hit.action {
            Action::Passthru => return None,
            Action::Nxdomain => Effect::Nxdomain,
            Action::Nodata => Effect::Nodata,
            Action::Drop => Effect::Drop,
            Action::TcpOnly => Effect::TcpOnly,
            Action::Data(sets) => data_for(sets, owner, self.question.rtype)
                .and_then(alias::expand)
                .map_or(Effect::Nodata, Effect::Replace),
        };
        Some((at, effect, hit.hides_recursion && hit.trigger == Trigger::Address))
    }

    /// An address was replaced by an alias, and this is what it leads to. Its addresses are not
    /// replaced again: that would be a loop, or a mistake, which had better be seen.
    fn redirected(&mut self, policy: &Policy, answer: &Answer) -> Step {
        if answer.is_failure() || answer.status == SecurityStatus::Bogus {
            return self.finish(answer);
        }
        if let Some(target) = answer.dangling() {
            self.add(answer);
            return self.need(policy, target, false);
        }
        if self.effect(policy, &answer.answer).is_some() {
            return self.fail(Reason::AliasLimit);
        }
        self.add(answer);
        match self.whole.take() {
            Some(whole) => self.settle(whole),
            None => Step::Unchanged,
        }
    }

    //--- The chain

    fn add(&mut self, link: &Answer) {
        self.whole = Some(match self.whole.take() {
            Some(whole) => whole.followed_by(link),
            None => Answer { question: self.question.clone(), ..link.clone() },
        });
    }

    fn add_alias(&mut self, alias: Rrset) {
        let mut link = made_up(&self.question, &alias.owner, Rcode::NOERROR);
        link.answer.push(alias);
        self.add(&link);
    }

    /// Ends with a failure, or what is as good.
    fn finish(&mut self, answer: &Answer) -> Step {
        match self.whole.take() {
            None => Step::Unchanged,
            Some(whole) => Step::Done(Box::new(whole.followed_by(answer))),
        }
    }

    fn settle(&self, mut whole: Answer) -> Step {
        let told = matches!(whole.rcode, Rcode::NOERROR | Rcode::NXDOMAIN);
        whole.manner.authoritative = self.ours && told;
        Step::Done(Box::new(whole))
    }
}

/// An answer about a name that nobody has to prove.
fn made_up(question: &Question, name: &Name, rcode: Rcode) -> Answer {
    let question = Question { name: name.clone(), ..question.clone() };
    Answer { status: SecurityStatus::Insecure, ..Answer::empty(question, rcode) }
}

/// The data of an entry for a type, under that owner: of the type, or an alias.
pub(super) fn data_for(sets: &[Rrset], owner: &Name, rtype: RecordType) -> Option<Rrset> {
    let of = |wanted| sets.iter().find(move |rrset| rrset.rtype == wanted);
    let found = match rtype {
        RecordType::ANY => sets.first(),
        rtype => of(rtype).or_else(|| of(RecordType::CNAME)),
    };
    found.map(|rrset| Rrset { owner: owner.clone(), ..rrset.clone() })
}

//! What the cache already tells about a question, and what it is told.

use std::collections::HashSet;

use crate::cache::{Answer, Cache, CachedRrset, Rank};
use crate::clock::Now;
use crate::config::Config;
use crate::iterator::Response;
use crate::status::{Reason, SecurityStatus};
use crate::wire::{Name, Question, Rcode, RecordType, Rrset, Rrsig};

/// The name an answer's aliases lead to when the answer does not go on from there; `None` when it
/// is whole.
pub(super) fn dangling(answer: &Answer) -> Option<Name> {
    answer.dangling()
}

/// Whether the aliases of an answer lead back to one of them.
pub(super) fn is_circular(answer: &Answer) -> bool {
    if answer.question.rtype == RecordType::CNAME || answer.question.rtype == RecordType::ANY {
        return false;
    }
    let mut name = answer.question.name.clone();
    for _ in 0..=aliases(answer) {
        let link = answer.answer.iter().find(|rrset| rrset.is(&name, RecordType::CNAME));
        match link.and_then(Rrset::alias_target) {
            Some(next) => name = next,
            None => return false,
        }
    }
    // More links than there are aliases: one was used twice.
    true
}

/// How many aliases the answer section holds.
pub(super) fn aliases(answer: &Answer) -> usize {
    answer.answer.iter().filter(|rrset| rrset.rtype == RecordType::CNAME).count()
}

/// One response, believed or not: what a fetch would bring.
pub(super) fn response(cache: &Cache, question: &Question, now: Now) -> Option<Answer> {
    find(cache, question, now, |_| true)
}

/// An answer whose status is settled, failures and bogus ones included; possibly only its first
/// alias.
pub(super) fn validated(
    cache: &Cache,
    question: &Question,
    config: &Config,
    now: Now,
) -> Option<Answer> {
    let settled = |status| status != SecurityStatus::Indeterminate;
    find(cache, question, now, settled)
        .or_else(|| cache.failure(question, now).map(|cached| cached.value))
        .or_else(|| below_dname(cache, question, now))
        .or_else(|| below_nxdomain(cache, question, config, now))
}

fn find(
    cache: &Cache,
    question: &Question,
    now: Now,
    good: impl Fn(SecurityStatus) -> bool,
) -> Option<Answer> {
    // A name that does not exist has no record of any type (RFC 2308 §5): the cache knows.
    let known = cache.answer(question, now).map(|cached| cached.value);
    if let Some(answer) = known.filter(|answer| answer.is_failure() || good(answer.status)) {
        return Some(Answer { question: question.clone(), ..answer });
    }
    if !matches!(question.rtype, RecordType::ANY | RecordType::RRSIG) {
        let rrset = |rtype| {
            cache
                .rrset(&question.name, rtype, now)
                .filter(|cached| cached.rank >= Rank::AnswerNoAa && good(cached.status))
        };
        if let Some(found) = rrset(question.rtype) {
            return Some(positive(question, found));
        }
        // An alias stands for every type but those that may stand beside it (RFC 4034 §2.5).
        let beside = matches!(
            question.rtype,
            RecordType::CNAME | RecordType::DS | RecordType::NSEC | RecordType::DNSKEY
        );
        if !beside && let Some(found) = rrset(RecordType::CNAME) {
            return Some(positive(question, found));
        }
    }
    None
}

fn positive(question: &Question, found: CachedRrset) -> Answer {
    let mut answer = Answer::empty(question.clone(), Rcode::NOERROR);
    answer.status = found.status;
    answer.answer.push(found.rrset);
    answer
}

/// The alias that a proven DNAME above the name makes (RFC 6672 §2.3). An unproven one speaks for
/// too many names to be believed twice.
fn below_dname(cache: &Cache, question: &Question, now: Now) -> Option<Answer> {
    question.name.ancestors().skip(1).find_map(|owner| {
        let found = cache.rrset(&owner, RecordType::DNAME, now).filter(|found| {
            found.rank >= Rank::AnswerNoAa && found.status == SecurityStatus::Secure
        })?;
        let target = question.name.substitute(&owner, &found.rrset.alias_target()?)?;
        let (status, ttl) = (found.status, found.rrset.ttl);
        let mut answer = Answer::empty(question.clone(), Rcode::NOERROR);
        answer.status = status;
        answer.answer.push(found.rrset);
        match target {
            Ok(target) => answer.answer.push(Rrset::new(
                question.name.clone(),
                RecordType::CNAME,
                ttl,
                vec![crate::wire::Rdata::from_name(&target)],
            )),
            Err(_) => answer.rcode = Rcode::YXDOMAIN,
        }
        Some(answer)
    })
}

/// Nothing exists below a name that is proven not to exist (RFC 8020), unless the configuration
/// sends the question elsewhere from there on (CVE-2026-44687).
fn below_nxdomain(cache: &Cache, question: &Question, config: &Config, now: Now) -> Option<Answer> {
    if !config.harden_below_nxdomain {
        return None;
    }
    let configured = config
        .forward_zones
        .iter()
        .chain(&config.stub_zones)
        .map(|zone| &zone.name)
        .filter(|zone| question.name.is_at_or_below(zone))
        .map(Name::label_count)
        .max()
        .unwrap_or(0);
    question
        .name
        .ancestors()
        .skip(1)
        .take_while(|ancestor| !ancestor.is_root() && ancestor.label_count() >= configured)
        .find_map(|ancestor| {
            let answer = cache.denial(&ancestor, now)?.value;
            (answer.status == SecurityStatus::Secure)
                .then(|| Answer { question: question.clone(), ..answer })
        })
}

/// Remembers a response nobody has validated yet: for joining fetches, for addresses of servers,
/// for the validator's chain.
pub(super) fn store_response(cache: &Cache, response: &Response, now: Now) {
    if dangling(&response.answer).is_none() {
        cache.store_answer(&response.answer, now);
    }
    let rank = if response.authoritative { Rank::AnswerAa } else { Rank::AnswerNoAa };
    store_records(cache, &response.answer, rank, now);
}

/// Remembers the records of a settled response.
pub(super) fn store_rrsets(cache: &Cache, answer: &Answer, now: Now) {
    let rank = if answer.status == SecurityStatus::Secure { Rank::Secure } else { Rank::AnswerAa };
    store_records(cache, answer, rank, now);
}

fn store_records(cache: &Cache, answer: &Answer, rank: Rank, now: Now) {
    let made: HashSet<&Name> = answer
        .answer
        .iter()
        .filter(|rrset| rrset.rtype == RecordType::DNAME)
        .map(|rrset| &rrset.owner)
        .collect();
    for rrset in &answer.answer {
        // A CNAME made from a DNAME is made again when needed; a wildcard's records need the proof
        // that stays with the whole answer.
        let synthesized = rrset.rtype == RecordType::CNAME
            && rrset.signatures.is_empty()
            && made.iter().any(|owner| rrset.owner.is_below(owner));
        if !synthesized && !is_expanded(rrset) {
            cache.store_rrset(rrset, rank, answer.status, now);
        }
    }
}

/// Whether the RRset was made from a wildcard: its signatures say so (RFC 4035 §5.3.4).
fn is_expanded(rrset: &Rrset) -> bool {
    let labels = rrset.owner.rrsig_labels();
    rrset
        .signatures
        .iter()
        .filter_map(Rrsig::parse)
        .any(|signature| usize::from(signature.labels) < labels)
}

/// Remembers a whole answer, or a failure worth remembering, under its question.
pub(super) fn store_final(cache: &Cache, answer: &Answer, now: Now) {
    let passing =
        [Reason::NoSocket, Reason::NotReady, Reason::TooManyQueries, Reason::ZoneUnavailable];
    if answer.reason.is_some_and(|reason| passing.contains(&reason)) {
        return;
    }
    cache.store_answer(answer, now);
}

//! DNS64: IPv6 addresses for hosts that have none (RFC 6147).
//!
//! ```text
//!  AAAA ─► Resolve(AAAA) ─┬─► has some ─► as it is
//!                         └─► has none ─► Resolve(A) ─► prefix + A
//!  PTR below the prefix ─► Resolve(PTR of the embedded IPv4 address) ─► renamed
//! ```
//!
//! With `dns64-synthall`, and for names below `dns64-ignore-aaaa`, A comes first and AAAA counts
//! only where there is none.
//!
//! Both halves are resolutions of their own, validated as any other, and what is made of them is as
//! proven as they are (RFC 6147 §5.5, rule 2). Clients with CD get what servers say (rule 3), and
//! so does the resolver itself.
//!
//! Differs on purpose from RFC 6052 §3.1: addresses that are not global are embedded behind the
//! well-known prefix too, as Unbound does. Whether the translator takes them is the operator's
//! business.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::rc::Rc;

use super::Context;
use super::task::{Key, Kind, Outcome, Purse, Step};
use crate::cache::{Answer, Cache};
use crate::config::{Config, Prefix64};
use crate::status::SecurityStatus;
use crate::wire::{Class, Name, Question, Rcode, Rdata, RecordType, Rrset, Soa};

/// Seconds a synthesized record lives at most when the denial of AAAA had no SOA (RFC 6147
/// §5.1.7).
const TTL_WITHOUT_SOA: u32 = 600;
/// The addresses of `ipv4only.arpa.` (RFC 7050 §2.2). A DNS64 knows them by itself (RFC 8880
/// §7.1).
const IPV4ONLY: [Ipv4Addr; 2] = [Ipv4Addr::new(192, 0, 0, 170), Ipv4Addr::new(192, 0, 0, 171)];
/// Seconds those are good for.
const IPV4ONLY_TTL: u32 = 86_400;
/// AAAA records that stand for IPv4 addresses are no use to a client without IPv4 (RFC 6147
/// §5.1.4).
const EXCLUDED: u128 = 0xffff_0000_0000;

/// Composes an answer for a client behind NAT64.
pub(super) struct Synthesis {
    question: Question,
    refresh: bool,
    stage: Stage,
    /// The answer for AAAA, while A is asked for.
    native: Option<Rc<Outcome>>,
}

enum Stage {
    Begin,
    /// Waits for AAAA.
    Native,
    /// Waits for A.
    Mapped,
    /// Waits for the PTR of the IPv4 address.
    Reverse,
}

/// Whether the answer to `question` may have to be composed.
pub(super) fn applies(question: &Question, config: &Config) -> bool {
    config.synthesizes()
        && question.class == Class::IN
        && match question.rtype {
            RecordType::AAAA => true,
            RecordType::PTR => embedded(&question.name, config.dns64_prefix).is_some(),
            _ => false,
        }
}

impl Synthesis {
    pub(super) fn new(kind: Kind, question: Question) -> Self {
        let refresh = kind == Kind::SynthesizedAnew;
        Self { question, refresh, stage: Stage::Begin, native: None }
    }

    /// Asks for the first half.
    pub(super) fn start(&mut self, cx: &Context<'_>, cache: &Cache) -> Vec<Step> {
        if let Some(v4) = embedded(&self.question.name, cx.config.dns64_prefix)
            .filter(|_| self.question.rtype == RecordType::PTR)
        {
            self.stage = Stage::Reverse;
            return self.need(reverse_name(v4), RecordType::PTR);
        }
        if is_ipv4only(&self.question.name) {
            let answer = mapped(ipv4only(&self.question), &self.question, None, cx.config);
            cache.store_synthesized(&answer, cx.now);
            return vec![Step::Done(Outcome::new(answer))];
        }
        if prefers_mapped(&self.question.name, cx.config) {
            self.stage = Stage::Mapped;
            return self.need(self.question.name.clone(), RecordType::A);
        }
        self.stage = Stage::Native;
        self.need(self.question.name.clone(), RecordType::AAAA)
    }

    /// What was needed has come.
    pub(super) fn resolved(
        &mut self,
        outcome: &Rc<Outcome>,
        purse: &Purse,
        cx: &Context<'_>,
        cache: &Cache,
    ) -> Vec<Step> {
        let answer = &outcome.answer;
        match std::mem::replace(&mut self.stage, Stage::Begin) {
            Stage::Native if self.native.is_some() => self.finish(outcome, purse, cx, cache),
            // Bogus data must not be a way to have addresses made (RFC 6147 §5.5).
            Stage::Native if answer.status == SecurityStatus::Bogus || has_native(answer) => {
                self.finish(outcome, purse, cx, cache)
            }
            // Any error but NXDOMAIN is taken for "no AAAA" (RFC 6147 §5.1.2).
            Stage::Native if answer.rcode != Rcode::NXDOMAIN => {
                self.native = Some(Rc::clone(outcome));
                self.stage = Stage::Mapped;
                self.need(self.question.name.clone(), RecordType::A)
            }
            Stage::Native => self.finish(outcome, purse, cx, cache),
            Stage::Mapped => self.mapped(outcome, purse, cx, cache),
            Stage::Reverse => {
                let answer = renamed(answer, &self.question);
                self.finish(&Rc::new(Outcome::like(outcome, answer)), purse, cx, cache)
            }
            Stage::Begin => Vec::new(),
        }
    }

    fn mapped(
        &mut self,
        outcome: &Rc<Outcome>,
        purse: &Purse,
        cx: &Context<'_>,
        cache: &Cache,
    ) -> Vec<Step> {
        let answer = &outcome.answer;
        let failed = answer.is_failure() || answer.status == SecurityStatus::Bogus;
        let found = answer.rrset().is_some();
        match self.native.take() {
            // AAAA was not looked at yet.
            None if !found && !failed => {
                self.native = Some(Rc::clone(outcome));
                self.stage = Stage::Native;
                self.need(self.question.name.clone(), RecordType::AAAA)
            }
            Some(native) if !found && !failed => self.finish(&native, purse, cx, cache),
            native if found && !failed => {
                let denial = native.as_ref().map(|native| &native.answer);
                let answer = mapped(answer.clone(), &self.question, denial, cx.config);
                let volatile = native.is_some_and(|native| native.volatile);
                let whole = Outcome::like(outcome, answer).volatile_if(volatile);
                self.finish(&Rc::new(whole), purse, cx, cache)
            }
            _ => self.finish(outcome, purse, cx, cache),
        }
    }

    fn need(&self, name: Name, rtype: RecordType) -> Vec<Step> {
        let kind = if self.refresh { Kind::Refreshed } else { Kind::Validated };
        let question = Question { name, rtype, class: self.question.class };
        vec![Step::Need { key: Key { kind, question, audience: None }, again: None, deeper: false }]
    }

    /// Remembers what the client gets, and hands it over.
    fn finish(
        &self,
        outcome: &Rc<Outcome>,
        purse: &Purse,
        cx: &Context<'_>,
        cache: &Cache,
    ) -> Vec<Step> {
        let answer = Answer { question: self.question.clone(), ..outcome.answer.clone() };
        if !outcome.volatile {
            match self.question.rtype {
                _ if answer.is_failure() => {
                    if purse.is_root() || !outcome.passing {
                        super::lookup::store_final(cache, &answer, cx.now);
                    }
                }
                RecordType::AAAA => cache.store_synthesized(&answer, cx.now),
                _ => cache.store_answer(&answer, cx.now),
            }
        }
        vec![Step::Done(Rc::new(Outcome::like(outcome, answer)))]
    }
}

/// Whether A counts before AAAA for that name.
pub(super) fn prefers_mapped(name: &Name, config: &Config) -> bool {
    config.dns64_synthall || config.dns64_ignore_aaaa.iter().any(|zone| name.is_at_or_below(zone))
}

/// Whether there are AAAA records that are of use to the client.
pub(super) fn has_native(answer: &Answer) -> bool {
    let excluded = |ip: Ipv6Addr| ip.to_bits() >> 32 == EXCLUDED >> 32;
    answer.rrset().is_some_and(|rrset| {
        rrset.rdata.iter().any(|rdata| match rdata.as_ip() {
            Some(IpAddr::V6(ip)) => !excluded(ip),
            _ => true,
        })
    })
}

/// The answer for AAAA made of an answer for A. `denial` is what was said about AAAA, when that was
/// asked.
pub(super) fn mapped(
    answer: Answer,
    question: &Question,
    denial: Option<&Answer>,
    config: &Config,
) -> Answer {
    let mut answer = answer;
    let target = answer.target();
    let most = denial.map_or(u32::MAX, negative_ttl);
    for rrset in answer.answer.iter_mut().filter(|rrset| rrset.is(&target, RecordType::A)) {
        let addresses = rrset.rdata.iter().filter_map(|rdata| match rdata.as_ip() {
            Some(IpAddr::V4(v4)) => Some(Rdata::from_ip(config.dns64_prefix.embed(v4).into())),
            _ => None,
        });
        let rdata = addresses.collect();
        *rrset = Rrset::new(target.clone(), RecordType::AAAA, rrset.ttl.min(most), rdata);
    }
    answer.question = question.clone();
    if let Some(denial) = denial.filter(|denial| denial.status < answer.status) {
        (answer.status, answer.reason) = (denial.status, denial.reason);
        if denial.is_failure() {
            // Nothing was proven about AAAA, and nothing disproven either.
            answer.status = SecurityStatus::Insecure.min(answer.status);
            answer.reason = None;
        }
    }
    answer
}

/// Seconds that the denial of AAAA holds (RFC 6147 §5.1.7).
fn negative_ttl(denial: &Answer) -> u32 {
    let soa = denial.authority.iter().find(|rrset| rrset.rtype == RecordType::SOA);
    soa.map_or(TTL_WITHOUT_SOA, |soa| {
        let minimum = soa.rdata.first().and_then(Soa::parse).map_or(soa.ttl, |soa| soa.minimum);
        soa.ttl.min(minimum)
    })
}

pub(super) fn is_ipv4only(name: &Name) -> bool {
    name.label_count() == 2 && name.as_wire().eq_ignore_ascii_case(b"\x08ipv4only\x04arpa\x00")
}

fn ipv4only(question: &Question) -> Answer {
    let asked = Question { rtype: RecordType::A, ..question.clone() };
    let mut answer = Answer::empty(asked, Rcode::NOERROR);
    let rdata = IPV4ONLY.map(|ip| Rdata::from_ip(ip.into())).to_vec();
    answer.answer.push(Rrset::new(question.name.clone(), RecordType::A, IPV4ONLY_TTL, rdata));
    answer.status = SecurityStatus::Insecure;
    answer
}

/// The answer for the IPv4 address, as one for the name that stands for it (RFC 6147 §5.3.1).
fn renamed(answer: &Answer, question: &Question) -> Answer {
    let mut answer = answer.clone();
    let asked = answer.question.name.clone();
    for rrset in answer.answer.iter_mut().filter(|rrset| rrset.owner == asked) {
        rrset.owner = question.name.clone();
        rrset.signatures.clear();
    }
    answer.question = question.clone();
    answer
}

/// The IPv4 address in a name below `ip6.arpa.` (RFC 3596 §2.5) that lies in the prefix.
fn embedded(name: &Name, prefix: Prefix64) -> Option<Ipv4Addr> {
    if name.label_count() != 34
        || !name.suffix(2).as_wire().eq_ignore_ascii_case(b"\x03ip6\x04arpa\x00")
    {
        return None;
    }
    let mut bits: u128 = 0;
    for (index, label) in name.labels().take(32).enumerate() {
        let [digit] = label else { return None };
        let nibble = char::from(*digit).to_digit(16)?;
        bits |= u128::from(nibble) << (4 * index);
    }
    prefix.extract(Ipv6Addr::from_bits(bits))
}

/// `d.c.b.a.in-addr.arpa.`
fn reverse_name(v4: Ipv4Addr) -> Name {
    let [a, b, c, d] = v4.octets();
    format!("{d}.{c}.{b}.{a}.in-addr.arpa.").parse().unwrap_or_else(|_| Name::root())
}

//! Reading a referral: the zone cut, its servers, their glue, and what the parent says about DS.

use std::net::IpAddr;

use rand::seq::SliceRandom;

use super::scrub::{Bailiwick, Scrubbed, group, remove_private};
use crate::budget::{ADDRESSES_PER_CUT, ADDRESSES_PER_NAME, NS_NAMES_KEPT};
use crate::cache::{Answer, DelegationPoint, DelegationSource};
use crate::clock::{Now, Rng, UnixTime};
use crate::config::Config;
use crate::wire::{Message, Name, Question, Rcode, RecordType, Rrset};

/// Seconds a delegation is used at most before the parent is asked again (ghost domains).
const MAX_DELEGATION_TTL: u32 = 86_400;

/// NS names of one referral that are looked at (NRDelegationAttack, CVE-2022-3204).
const NS_NAMES_SEEN: usize = NS_NAMES_KEPT.max as usize;

/// What a referral says.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Referral {
    /// The cut and its servers.
    pub(super) point: DelegationPoint,
    /// What the parent says about the DS RRset of the cut: the RRset, or the proof that there is
    /// none; nothing when it says nothing.
    pub(super) ds: Option<Answer>,
}

/// The referral whose NS RRset has place `at` in the authority section of `scrubbed`. It never
/// outlives `parent_expires`.
pub(super) fn read(
    at: usize,
    message: &Message,
    scrubbed: &Scrubbed,
    bailiwick: Bailiwick<'_>,
    parent_expires: UnixTime,
    now: Now,
    rng: &mut Rng,
) -> Option<Referral> {
    let ns = scrubbed.authority.get(at)?;
    let config = bailiwick.config;
    let ttl = ns.ttl.min(config.cache_max_ttl).max(config.cache_min_ttl).min(MAX_DELEGATION_TTL);
    let names: Vec<Name> =
        ns.rdata.iter().take(NS_NAMES_SEEN).filter_map(|rdata| rdata.as_name(ns.rtype)).collect();
    let glue = glue(message, &names, bailiwick);
    let servers = choose(names, &glue, config, rng);
    let glue = bound(glue, &servers);
    let point = DelegationPoint {
        zone: ns.owner.clone(),
        servers,
        glue,
        addresses: Vec::new(),
        expires: now.unix.plus(ttl).min(parent_expires),
        source: DelegationSource::Referral,
    };
    Some(Referral { ds: ds(&ns.owner, scrubbed), point })
}

/// Addresses of `names` in the additional section. With `harden-glue` only of names the server
/// may speak about.
fn glue(message: &Message, names: &[Name], bailiwick: Bailiwick<'_>) -> Vec<(Name, IpAddr)> {
    let config = bailiwick.config;
    let records = message.additional.iter().filter(|record| {
        matches!(record.rtype, RecordType::A | RecordType::AAAA)
            && record.class == crate::wire::Class::IN
            && names.contains(&record.owner)
            && (!config.harden_glue || bailiwick.contains(&record.owner))
    });
    addresses(group(records, 1), config)
}

/// The addresses in A and AAAA RRsets, without private ones and families that are off.
pub(super) fn addresses(sets: Vec<Rrset>, config: &Config) -> Vec<(Name, IpAddr)> {
    let mut found = Vec::new();
    for mut rrset in sets {
        remove_private(&mut rrset, config);
        let usable = |ip: &IpAddr| if ip.is_ipv4() { config.do_ip4 } else { config.do_ip6 };
        let ips = rrset.rdata.iter().filter_map(|rdata| rdata.as_ip()).filter(usable);
        let per_name = usize::from(ADDRESSES_PER_NAME.default);
        found.extend(ips.take(per_name).map(|ip| (rrset.owner.clone(), ip)));
    }
    found
}

/// At most [`NS_NAMES_KEPT`] names at random, those with glue before those without: a name
/// without costs a lookup.
fn choose(
    mut names: Vec<Name>,
    glue: &[(Name, IpAddr)],
    config: &Config,
    rng: &mut Rng,
) -> Vec<Name> {
    let mut keep = usize::from(NS_NAMES_KEPT.default);
    if config.iter_scrub_ns > 0 {
        keep = keep.min(config.iter_scrub_ns);
    }
    if names.len() > keep {
        names.shuffle(rng);
        names.sort_by_key(|name| !glue.iter().any(|(owner, _)| owner == name));
        names.truncate(keep);
    }
    names
}

/// Glue of the names kept, at most [`ADDRESSES_PER_CUT`] distinct addresses: many names with one
/// address are one server (CVE-2026-3592).
fn bound(glue: Vec<(Name, IpAddr)>, servers: &[Name]) -> Vec<(Name, IpAddr)> {
    let mut distinct: Vec<IpAddr> = Vec::new();
    let mut kept = glue;
    kept.retain(|(name, ip)| {
        if !servers.contains(name) {
            return false;
        }
        let known = distinct.contains(ip);
        if !known && distinct.len() < usize::from(ADDRESSES_PER_CUT.default) {
            distinct.push(*ip);
            return true;
        }
        known
    });
    kept
}

/// What the authority section says about DS at `child`: only the parent can say it, and the
/// validator will want to know.
fn ds(child: &Name, scrubbed: &Scrubbed) -> Option<Answer> {
    let question = Question::new(child.clone(), RecordType::DS);
    let mut answer = Answer::empty(question, Rcode::NOERROR);
    if let Some(ds) = scrubbed.authority.iter().find(|rrset| rrset.is(child, RecordType::DS)) {
        answer.answer.push(ds.clone());
        return Some(answer);
    }
    let proofs = scrubbed.authority.iter().filter(|rrset| {
        matches!(rrset.rtype, RecordType::NSEC | RecordType::NSEC3) && !rrset.signatures.is_empty()
    });
    answer.authority.extend(proofs.cloned());
    (!answer.authority.is_empty()).then_some(answer)
}

/// The root's own delegation, or that of a primed stub zone, from the answer to a question for
/// its NS RRset (RFC 9609 §3.3). Names without an address in the answer keep that of the hints.
pub(super) fn primed(
    answer: &Answer,
    hints: &DelegationPoint,
    config: &Config,
    now: Now,
) -> Option<DelegationPoint> {
    let ns = answer.rrset().filter(|rrset| rrset.rtype == RecordType::NS)?;
    let servers: Vec<Name> =
        ns.rdata.iter().take(NS_NAMES_SEEN).filter_map(|rdata| rdata.as_name(ns.rtype)).collect();
    let mut glue = addresses(answer.additional.clone(), config);
    glue.retain(|(name, _)| servers.contains(name));
    for (name, ip) in &hints.glue {
        if servers.contains(name) && !glue.iter().any(|(known, _)| known == name) {
            glue.push((name.clone(), *ip));
        }
    }
    // Servers without any address would leave us with no way to look them up.
    if glue.is_empty() {
        return None;
    }
    let ttl = ns.ttl.min(config.cache_max_ttl).max(config.cache_min_ttl).min(MAX_DELEGATION_TTL);
    Some(DelegationPoint {
        zone: ns.owner.clone(),
        servers,
        glue,
        addresses: Vec::new(),
        expires: now.unix.plus(ttl),
        source: DelegationSource::Priming,
    })
}

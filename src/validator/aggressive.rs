//! Aggressive use of proofs (RFC 8198): a denial, or the expansion of a wildcard, that a zone has
//! proven in answers to other questions is not asked for again.
//!
//! What is proven is remembered by the zone that signed it, in order. To answer a question, the
//! records next to the name, and next to the wildcard that would stand in for it, are looked up
//! and then have to prove the denial to the same functions that judge a response. So nothing is
//! believed here that would not be believed from a server: opt-out proves nothing, and a record
//! at a zone cut or DNAME says nothing about names below it (RFC 6840 §4.1).
//!
//! # RFCs
//!
//! 8198 (aggressive use), 9077 (TTLs), 4592 (wildcards).

use super::anchors::{self, Point, zone_side};
use super::chain::Zone;
use super::denial::{Denial, Proof};
use super::dnskey::max_iterations;
use super::nsec::{self, is_cut};
use super::nsec3::{Hash, Parameters, SHA1, lies_between, owner_hash};
use super::scope::{Memory, Scope, View};
use crate::cache::{Answer, DenialPlace, Nsec3Parameters, Rank};
use crate::clock::Now;
use crate::config::Config;
use crate::status::SecurityStatus;
use crate::wire::{Class, Name, Nsec3, Question, Rcode, RecordType, Rrset};

/// Answers `question` from proofs that are known; `None` when they prove nothing. The answer is
/// secure. It may be an alias whose target is still to be resolved.
///
/// Costs hashes for NSEC3, which are paid from the budget of the view, and no signature.
pub fn synthesize(question: &Question, view: &mut View<'_>, now: Now) -> Option<Answer> {
    let unfit = matches!(question.rtype, RecordType::ANY | RecordType::RRSIG);
    if !view.config.aggressive_nsec || question.class != Class::IN || unfit {
        return None;
    }
    let name = zone_side(&question.name, question.rtype);
    let Some(Point::Anchor(anchor)) = anchors::closest(&name, view.config) else { return None };
    let configured = configured_labels(&question.name, view.config);
    let mut memory = Memory::default();
    let mut scope = Scope::new(view, &mut memory, now);
    name.ancestors()
        .take_while(|zone| zone.is_at_or_below(&anchor) && zone.label_count() >= configured)
        .find_map(|zone| from_zone(question, &zone, &mut scope))
}

/// Labels of the closest zone above the name that the configuration sends elsewhere: the proofs
/// of a zone above it are not about what is there.
fn configured_labels(name: &Name, config: &Config) -> usize {
    let zones = config.forward_zones.iter().chain(&config.stub_zones).map(|zone| &zone.name);
    zones.filter(|zone| name.is_at_or_below(zone)).map(Name::label_count).max().unwrap_or(0)
}

/// Known records of one zone around a name.
struct Around {
    /// The record at the name or the one that covers it, or its next closer name, first.
    proofs: Vec<Rrset>,
    /// The closest encloser, when the name does not exist.
    encloser: Option<Name>,
}

fn from_zone(question: &Question, zone: &Name, scope: &mut Scope<'_>) -> Option<Answer> {
    let name = &question.name;
    let around = around_nsec(name, zone, scope).or_else(|| around_nsec3(name, zone, scope))?;
    let mut denial = Denial::new(zone, u16::MAX);
    around.proofs.iter().for_each(|proof| denial.add(proof));
    if let Some(soa) = scope.cache.denying_soa(zone, scope.now) {
        let is_secure = |proof| proof == Ok(Some(Proof::Secure));
        let rcode = if is_secure(denial.name_error(name, scope)) {
            Some(Rcode::NXDOMAIN)
        } else if is_secure(denial.no_data(name, question.rtype, scope)) {
            Some(if denial.is_compact(name) { Rcode::NXDOMAIN } else { Rcode::NOERROR })
        } else {
            None
        };
        if let Some(rcode) = rcode {
            let mut answer = secure(question, rcode);
            answer.authority.push(soa);
            answer.authority.extend(around.proofs);
            return Some(answer);
        }
    }
    let encloser = around.encloser.as_ref()?;
    if denial.wildcard(name, encloser.label_count(), scope) != Ok(Some(Proof::Secure)) {
        return None;
    }
    let rrset = wildcard_data(question, encloser, scope)?;
    let mut answer = secure(question, Rcode::NOERROR);
    answer.answer.push(Rrset { owner: name.clone(), ..rrset });
    answer.authority.extend(around.proofs.into_iter().next());
    Some(answer)
}

fn secure(question: &Question, rcode: Rcode) -> Answer {
    Answer { status: SecurityStatus::Secure, ..Answer::empty(question.clone(), rcode) }
}

/// What the wildcard below `encloser` has for the question: the type, or an alias. A delegation is
/// not made by a wildcard (RFC 4592 §4.2).
fn wildcard_data(question: &Question, encloser: &Name, scope: &Scope<'_>) -> Option<Rrset> {
    if matches!(question.rtype, RecordType::DS | RecordType::NS | RecordType::NSEC) {
        return None;
    }
    let wildcard = encloser.wildcard_child().ok()?;
    let proven = |rtype| {
        let found = scope.cache.rrset(&wildcard, rtype, scope.now)?;
        let is_proven = found.status == SecurityStatus::Secure && found.rank == Rank::Secure;
        (is_proven && !found.rrset.signatures.is_empty()).then_some(found.rrset)
    };
    proven(question.rtype).or_else(|| proven(RecordType::CNAME))
}

fn around_nsec(name: &Name, zone: &Name, scope: &Scope<'_>) -> Option<Around> {
    let first = scope.cache.denying_nsec(zone, name, scope.now)?;
    let mut records = nsec::Records::default();
    records.add(zone, &first);
    if records.types(name).is_some() || records.is_non_terminal(name) {
        return Some(Around { proofs: vec![first], encloser: None });
    }
    let encloser = records.closest_enclosers(name).next()?;
    let mut proofs = vec![first];
    if let Ok(wildcard) = encloser.wildcard_child()
        && let Some(second) = scope.cache.denying_nsec(zone, &wildcard, scope.now)
        && proofs.iter().all(|first| first.owner != second.owner)
    {
        proofs.push(second);
    }
    Some(Around { proofs, encloser: Some(encloser) })
}

/// SHA-1 blocks that may go into one try, so that enough is left of the budget to validate what a
/// server says instead. Proofs with more iterations than that are of no use here.
const HASH_BLOCKS: u32 = 64;

/// Goes down from the apex until a name is covered whose parent is known to exist: that is the
/// next closer name. So a random name costs a hash for each ancestor, one for itself and one for
/// the wildcard.
fn around_nsec3(name: &Name, zone: &Name, scope: &mut Scope<'_>) -> Option<Around> {
    let parameters = scope.cache.nsec3_parameters(zone)?;
    let parameters = Parameters { iterations: parameters.iterations, salt: &parameters.salt };
    let tries = HASH_BLOCKS / (1 + u32::from(parameters.iterations));
    let levels = (zone.label_count()..=name.label_count()).take(tries as usize);
    let mut encloser: Option<Rrset> = None;
    for labels in levels {
        let found = near(&name.suffix(labels), zone, parameters, scope)?;
        match found.place {
            Place::At if labels == name.label_count() => {
                return Some(Around { proofs: vec![found.rrset], encloser: None });
            }
            Place::At => {
                let nsec3 = found.rrset.rdata.first().and_then(Nsec3::parse)?;
                if is_cut(nsec3.types) {
                    return None;
                }
                encloser = Some(found.rrset);
            }
            Place::Covered => {
                let above = name.suffix(labels.checked_sub(1)?);
                let wildcard = above.wildcard_child().ok();
                let wildcard = wildcard.and_then(|name| near(&name, zone, parameters, scope));
                let mut proofs = vec![found.rrset];
                for proof in encloser.into_iter().chain(wildcard.map(|near| near.rrset)) {
                    if proofs.iter().all(|known| known.owner != proof.owner) {
                        proofs.push(proof);
                    }
                }
                return Some(Around { proofs, encloser: Some(above) });
            }
            Place::Unknown => encloser = None,
        }
    }
    None
}

/// The NSEC3 RRset at the hash of a name, or the one before it.
struct Near {
    rrset: Rrset,
    place: Place,
}

/// Where a name lies, seen from an NSEC3 record.
enum Place {
    At,
    Covered,
    Unknown,
}

fn near(
    name: &Name,
    zone: &Name,
    parameters: Parameters<'_>,
    scope: &mut Scope<'_>,
) -> Option<Near> {
    let hash: Hash = scope.memory.hashes.hash(name, parameters, scope.budget).ok()?;
    let rrset = scope.cache.denying_nsec3(zone, &hash, scope.now)?;
    let owner = owner_hash(&rrset.owner, zone)?;
    let next = rrset.rdata.first().and_then(Nsec3::parse)?.next_hash;
    let place = match owner == hash {
        true => Place::At,
        false if lies_between(&owner, &hash, next) => Place::Covered,
        false => Place::Unknown,
    };
    Some(Near { rrset, place })
}

/// Remembers RRsets that prove denials and verified as data of `zone`. With `soa`, the verified
/// SOA that came along, they are kept no longer than a denial may be (RFC 9077 §3), and so is it.
pub(super) fn remember<'a>(
    zone: &Zone,
    proofs: impl IntoIterator<Item = (&'a Rrset, u32)>,
    soa: Option<&Rrset>,
    scope: &Scope<'_>,
) {
    if !scope.config.aggressive_nsec {
        return;
    }
    let config = scope.config;
    let cap = config.cache_max_negative_ttl.min(config.cache_max_ttl);
    let cap = soa.map_or(cap, |soa| {
        let minimum = soa.rdata.first().and_then(crate::wire::Soa::parse);
        minimum.map_or(0, |soa| soa.minimum).min(soa.ttl).min(cap)
    });
    let proofs = proofs.into_iter().filter_map(|(rrset, ttl)| {
        let place = match rrset.rtype {
            RecordType::NSEC => DenialPlace::Nsec,
            _ => hashed_place(zone, rrset, config)?,
        };
        Some((rrset, ttl, place))
    });
    let soa = soa.map(|soa| (soa, soa.ttl, DenialPlace::Soa));
    for (rrset, ttl, place) in proofs.chain(soa) {
        let rrset = Rrset { ttl, ..rrset.clone() };
        scope.cache.store_denial(zone.name(), place, &rrset, cap, scope.now);
    }
}

/// The place of an NSEC3 RRset that can be used: one record, a hash we know, not more iterations
/// than we compute.
fn hashed_place(zone: &Zone, rrset: &Rrset, config: &Config) -> Option<DenialPlace> {
    let [rdata] = rrset.rdata.as_slice() else { return None };
    let nsec3 = Nsec3::parse(rdata).filter(|nsec3| {
        nsec3.algorithm == SHA1
            && nsec3.flags & !Nsec3::OPT_OUT == 0
            && nsec3.iterations <= max_iterations(zone.keys(), config)
    })?;
    let parameters = Nsec3Parameters { iterations: nsec3.iterations, salt: nsec3.salt.into() };
    Some(DenialPlace::Nsec3 { hash: owner_hash(&rrset.owner, zone.name())?, parameters })
}

/// Remembers an RRset that was expanded from the wildcard below its rightmost `labels` labels as
/// what it is in the zone.
pub(super) fn remember_wildcard(rrset: &Rrset, labels: usize, scope: &Scope<'_>) {
    if let Ok(owner) = rrset.owner.suffix(labels).wildcard_child()
        && scope.config.aggressive_nsec
    {
        let rrset = Rrset { owner, ..rrset.clone() };
        scope.cache.store_rrset(&rrset, Rank::Secure, SecurityStatus::Secure, scope.now);
    }
}

//! What the zones of a server have to say: answers, referrals, denials, and their proofs.

use std::net::IpAddr;

use super::denial::Proof;
use super::faults::FaultKind;
use super::zone::{Found, Zone};
use crate::clock::UnixTime;
use crate::wire::{Name, Question, Rcode, Rdata, RecordType, Rrset};

/// Aliases followed within one response.
const MAX_LINKS: usize = 16;

/// A response before it is put into a message.
#[derive(Clone, Debug)]
pub struct Response {
    /// Response code.
    pub rcode: Rcode,
    /// Authoritative.
    pub aa: bool,
    /// Answer section.
    pub answer: Vec<Rrset>,
    /// Authority section.
    pub authority: Vec<Rrset>,
    /// Additional section.
    pub additional: Vec<Rrset>,
    /// Whether the additional section is glue that the asker cannot do without.
    pub glue_needed: bool,
    /// Whether the name exists only because something is below it.
    pub empty_non_terminal: bool,
}

impl Response {
    /// A response without records, not authoritative.
    pub const fn empty(rcode: Rcode) -> Self {
        Self {
            rcode,
            aa: false,
            answer: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
            glue_needed: false,
            empty_non_terminal: false,
        }
    }

    /// A referral to one server, out of thin air.
    pub fn refer(zone: &Name, server: &Name, glue: Option<IpAddr>) -> Self {
        let mut response = Self::empty(Rcode::NOERROR);
        let ns = vec![Rdata::from_name(server)];
        response.authority.push(Rrset::new(zone.clone(), RecordType::NS, 3600, ns));
        if let Some(ip) = glue {
            let rtype = if ip.is_ipv4() { RecordType::A } else { RecordType::AAAA };
            let address = vec![Rdata::from_ip(ip)];
            response.additional.push(Rrset::new(server.clone(), rtype, 3600, address));
        }
        response
    }
}

/// The zone that answers: the closest one, or its parent for DS at the apex if that is here too.
fn zone_for<'a>(zones: &[&'a Zone], qname: &Name, qtype: RecordType) -> Option<&'a Zone> {
    let above = |strictly: bool| {
        let zones = zones.iter().copied().filter(move |zone| {
            qname.is_at_or_below(&zone.origin) && !(strictly && zone.origin == *qname)
        });
        zones.max_by_key(|zone| zone.origin.label_count())
    };
    above(qtype == RecordType::DS).or_else(|| above(false))
}

/// What an authoritative server with these zones says. DNSSEC records come if `dated`.
pub(super) fn iterative(zones: &[&Zone], question: &Question, dated: Option<UnixTime>) -> Response {
    if question.rtype == RecordType::AXFR || question.rtype == RecordType::IXFR {
        return Response::empty(Rcode::REFUSED);
    }
    let mut response = Response::empty(Rcode::REFUSED);
    let mut qname = question.name.clone();
    for link in 0..MAX_LINKS {
        let Some(zone) = zone_for(zones, &qname, question.rtype) else { break };
        if link == 0 {
            (response.rcode, response.aa) = (Rcode::NOERROR, true);
        }
        match step(&mut response, zone, &qname, question.rtype, dated) {
            Some(next) if !loops(&response, &next) => qname = next,
            _ => break,
        }
    }
    response
}

/// What a resolver says that knows all zones of the world.
pub(super) fn recursive(world: &[Zone], question: &Question, dated: Option<UnixTime>) -> Response {
    let zones: Vec<&Zone> = world.iter().collect();
    let mut response = iterative(&zones, question, dated);
    if !response.aa {
        response.rcode = Rcode::SERVFAIL;
    }
    response.aa = false;
    response
}

/// Whether the answer section went through that name already.
fn loops(response: &Response, next: &Name) -> bool {
    response.answer.iter().any(|rrset| rrset.is(next, RecordType::CNAME))
}

/// Adds what one zone says about one name; the name to go on with if it is an alias.
fn step(
    response: &mut Response,
    zone: &Zone,
    qname: &Name,
    qtype: RecordType,
    dated: Option<UnixTime>,
) -> Option<Name> {
    match zone.lookup(qname, qtype, dated) {
        Found::Referral(cut) if response.answer.is_empty() => {
            refer(response, zone, &cut, dated);
            None
        }
        // After an alias the asker has to come back anyway.
        Found::Referral(_) => None,
        Found::Dname(rrset) => substitute(response, zone, qname, rrset),
        Found::Alias(rrset, source) => {
            let target = rrset.alias_target();
            response.answer.push(rrset);
            wildcard_proof(response, zone, qname, source.as_ref(), dated);
            target
        }
        Found::Answer(rrsets, source) => {
            addresses(response, zone, &rrsets, dated);
            response.answer.extend(rrsets);
            wildcard_proof(response, zone, qname, source.as_ref(), dated);
            None
        }
        Found::NoData(source) => {
            let proof = match &source {
                Some(source) => Proof::WildcardNoData(qname, source),
                None => Proof::NoData(qname),
            };
            response.empty_non_terminal = source.is_none() && !zone.nodes().contains_key(qname);
            deny(response, zone, &proof, dated);
            None
        }
        Found::NxDomain => {
            response.rcode = Rcode::NXDOMAIN;
            deny(response, zone, &Proof::NxDomain(qname), dated);
            None
        }
    }
}

fn refer(response: &mut Response, zone: &Zone, cut: &Name, dated: Option<UnixTime>) {
    response.aa = false;
    response.glue_needed = true;
    let Some(ns) = zone.rrset(cut, RecordType::NS) else { return };
    let hosts: Vec<Name> = ns.rdata.iter().filter_map(|r| r.as_name(RecordType::NS)).collect();
    response.authority.push(ns.clone());
    match zone.rrset(cut, RecordType::DS) {
        Some(ds) if dated.is_some() => response.authority.push(zone.signed(ds, dated)),
        Some(_) => {}
        None => response.authority.extend(zone.prove(&Proof::NoData(cut), dated)),
    }
    for host in hosts {
        for rtype in [RecordType::A, RecordType::AAAA] {
            response.additional.extend(zone.rrset(&host, rtype).cloned());
        }
    }
}

/// RFC 6672 §3.2: the DNAME and the CNAME made of it, or YXDOMAIN.
fn substitute(response: &mut Response, zone: &Zone, qname: &Name, dname: Rrset) -> Option<Name> {
    let target = dname.alias_target()?;
    let next = qname.substitute(&dname.owner, &target)?;
    let (owner, ttl) = (dname.owner.clone(), dname.ttl);
    response.answer.push(dname);
    let Ok(mut next) = next else {
        response.rcode = Rcode::YXDOMAIN;
        return None;
    };
    let wrong = |f: &super::faults::Fault| {
        f.kind == FaultKind::WrongSynthesis && f.concerns(&owner, RecordType::DNAME)
    };
    if zone.faults.iter().any(wrong) {
        next = next.prepend(b"forged").unwrap_or(next);
    }
    let rdata = vec![Rdata::from_name(&next)];
    response.answer.push(Rrset::new(qname.clone(), RecordType::CNAME, ttl, rdata));
    Some(next)
}

fn wildcard_proof(
    response: &mut Response,
    zone: &Zone,
    qname: &Name,
    source: Option<&Name>,
    dated: Option<UnixTime>,
) {
    if source.is_some() {
        response.authority.extend(zone.prove(&Proof::Wildcard(qname), dated));
    }
}

fn deny(response: &mut Response, zone: &Zone, proof: &Proof<'_>, dated: Option<UnixTime>) {
    response.authority.extend(zone.soa(dated));
    for rrset in zone.prove(proof, dated) {
        if !response.authority.iter().any(|known| known.is(&rrset.owner, rrset.rtype)) {
            response.authority.push(rrset);
        }
    }
}

/// Addresses of the hosts that NS, MX and SRV records name, as far as the zone has them.
fn addresses(response: &mut Response, zone: &Zone, found: &[Rrset], dated: Option<UnixTime>) {
    for rrset in found {
        if !matches!(rrset.rtype, RecordType::NS | RecordType::MX | RecordType::SRV) {
            continue;
        }
        for host in rrset.rdata.iter().filter_map(|rdata| rdata.as_name(rrset.rtype)) {
            for rtype in [RecordType::A, RecordType::AAAA] {
                if let Some(address) = zone.rrset(&host, rtype) {
                    response.additional.push(zone.signed(address, dated));
                }
            }
        }
    }
}

//! Copies of zones that stand in for their servers (`auth-zone:` with `for-upstream:`, RFC 8806).
//!
//! What a copy says is handed over as a server's response would be: it is for the validator to
//! believe it or not. A delegation in it is followed over the network, or into the next copy.

use std::net::{Ipv4Addr, SocketAddr};

use super::scrub::{Bailiwick, scrub};
use super::{Iteration, Phase, Response, View, delegation, referral};
use crate::authority::{Entry, Reply};
use crate::cache::{Answer, DelegationPoint, DelegationSource};
use crate::clock::{Now, Rng, UnixTime};
use crate::status::Reason;
use crate::wire::{Header, Message, Name, Record, RecordType, Rrset};

/// Stands for the server where there was none.
const NOBODY: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

impl Iteration {
    /// Answers from a copy that is at least as close as `point`, where the question would go
    /// otherwise; whether that was done. Of a forwarder and a copy for the same zone the forwarder is
    /// asked, of a copy and other servers the copy.
    pub(super) fn ask_copy(
        &mut self,
        point: &DelegationPoint,
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) -> bool {
        let name = delegation::lookup_name(&self.question);
        let Some(entry) = view.zones.upstream(name.as_wire(), RecordType::A) else { return false };
        let forward = matches!(point.source, DelegationSource::Forward { .. });
        let closer = match forward {
            true => entry.name().is_below(&point.zone),
            false => entry.name().is_at_or_below(&point.zone),
        };
        if !closer || self.avoided.contains(entry.name()) {
            return false;
        }
        match entry.zone(now.unix) {
            Some(zone) => {
                let reply = zone.answer(&self.question);
                let entry = entry.clone();
                self.on_copy(&entry, reply, view, now, rng);
                true
            }
            None if entry.config().fallback_enabled => false,
            None => {
                self.fail(Reason::ZoneUnavailable);
                true
            }
        }
    }

    fn on_copy(
        &mut self,
        entry: &Entry,
        reply: Reply,
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) {
        self.copy = Some((entry.name().clone(), entry.config().fallback_enabled));
        let refers = |set: &Rrset| set.rtype == RecordType::NS && set.owner.is_below(entry.name());
        if !reply.authoritative && reply.authority.iter().any(refers) {
            return self.on_copied_referral(entry.name(), &reply, view, now, rng);
        }
        let Reply { rcode, authoritative, answer, authority, additional } = reply;
        let answer =
            Answer { answer, authority, additional, ..Answer::empty(self.question.clone(), rcode) };
        let zone = entry.name().clone();
        let volatile = false;
        self.respond(Response { answer, server: NOBODY, zone, authoritative, volatile });
    }

    /// Goes where the copy of `zone` refers to.
    fn on_copied_referral(
        &mut self,
        zone: &Name,
        reply: &Reply,
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) {
        let message = message(reply);
        let bailiwick = Bailiwick { zone, qname: &self.question.name, config: view.config };
        let scrubbed = scrub(&message, &self.question, bailiwick);
        let at = scrubbed.authority.iter().position(|set| set.rtype == RecordType::NS);
        let forever = UnixTime(u64::MAX);
        let read =
            at.and_then(|at| referral::read(at, &message, &scrubbed, bailiwick, forever, now, rng));
        let Some(referral) = read.filter(|referral| !referral.point.servers.is_empty()) else {
            return self.fail(Reason::NoReachableAuthority);
        };
        self.copy = None;
        view.cache.store_delegation(&referral.point, now);
        if let Some(ds) = &referral.ds {
            view.cache.store_answer(ds, now);
        }
        self.enter(referral.point, view, now, rng);
    }

    /// The last response came from a copy and was bogus: with `fallback-enabled` ask the servers,
    /// otherwise there is nothing else to say. Whether this was so.
    pub(super) fn retry_copy(&mut self, view: &mut View<'_>, now: Now, rng: &mut Rng) -> bool {
        let Some((zone, fallback)) = self.copy.take() else { return false };
        if fallback {
            self.avoided.push(zone);
        }
        self.phase = Phase::New;
        self.begin(view, now, rng);
        true
    }
}

/// The reply of a copy as the message a server would have sent.
fn message(reply: &Reply) -> Message {
    let records = |sets: &[Rrset]| sets.iter().flat_map(records).collect();
    Message {
        header: Header::default().with_qr(true).with_aa(reply.authoritative),
        rcode: reply.rcode,
        question: None,
        answer: records(&reply.answer),
        authority: records(&reply.authority),
        additional: records(&reply.additional),
        edns: None,
    }
}

fn records(set: &Rrset) -> impl Iterator<Item = Record> {
    let own = set.rdata.iter().map(|rdata| (set.rtype, rdata));
    let all = own.chain(set.signatures.iter().map(|rdata| (RecordType::RRSIG, rdata)));
    all.map(|(rtype, rdata)| Record {
        owner: set.owner.clone(),
        rtype,
        class: set.class,
        ttl: set.ttl,
        rdata: rdata.clone(),
    })
}

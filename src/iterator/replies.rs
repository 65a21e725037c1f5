//! What follows from a reply, or from its absence.

use super::classify::{Class, Context, classify};
use super::exchange::{Pending, Verdict};
use super::minimise::Step;
use super::query::is_below_anchor;
use super::scrub::{Bailiwick, ChainEnd, Scrubbed, answer_additional, answer_authority, scrub};
use super::targets::{Cut, Fault, Target};
use super::{
    Action, ExchangeError, ExchangeId, Iteration, MAX_NO_SOCKET, Phase, Response, Spare, Transport,
    View, delegation, referral,
};
use crate::budget::REFERRALS;
use crate::cache::{Answer, EdnsState, KeyState};
use crate::clock::{Now, Rng};
use crate::config::Config;
use crate::status::{Reason, SecurityStatus};
use crate::wire::{Message, Name, Question, Rcode, RecordType, Rrset};

/// Queries with EDNS that may be lost before one goes out without (firewalls that drop them).
const EDNS_LOSSES: u8 = 2;

/// A reply with what was made of it.
struct Reply {
    pending: Pending,
    message: Message,
    scrubbed: Scrubbed,
    /// The zone its server was asked for.
    zone: Name,
}

impl Iteration {
    pub(super) fn on_datagram(
        &mut self,
        exchange: ExchangeId,
        bytes: &[u8],
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) {
        let Some(mut pending) = self.take_pending(exchange) else { return };
        match pending.examine(bytes) {
            Verdict::Ignored => self.phase = Phase::Asking(pending),
            Verdict::Reply(message) => {
                self.actions.push_back(Action::Close(exchange));
                let size = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
                if let Err(exhausted) = view.budget.spend_bytes(size) {
                    return self.fail(exhausted.0);
                }
                self.on_reply(*pending, *message, view, now, rng);
            }
            Verdict::Suspicious => {
                self.actions.push_back(Action::Close(exchange));
                self.switch_to_stream(&pending, view, now, rng);
            }
            Verdict::CaseChanged => {
                self.actions.push_back(Action::Close(exchange));
                if let Some(target) = self.target(&pending) {
                    target.plain_case = true;
                }
                self.switch_to_stream(&pending, view, now, rng);
            }
        }
    }

    fn on_reply(
        &mut self,
        pending: Pending,
        message: Message,
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) {
        self.blame_no_route(view, now);
        let Some(cut) = &self.cut else { return };
        let zone = cut.zone().clone();
        let bailiwick = Bailiwick { zone: &zone, qname: &self.question.name, config: view.config };
        let scrubbed = scrub(&message, &pending.query.asked, bailiwick);
        let context = Context {
            question: &pending.query.asked,
            zone: &zone,
            recursion: pending.query.style.recursion,
        };
        let class = classify(message.header, message.rcode, &scrubbed, context);
        learn_server(&pending, &message, class, cut, view, now);
        let reply = Reply { pending, message, scrubbed, zone };
        match class {
            Class::Answer | Class::Alias | Class::NoData | Class::NxDomain => {
                self.on_response(class, reply, view, now, rng);
            }
            Class::Referral(at) => self.on_referral(at, reply, view, now, rng),
            Class::Truncated => self.switch_to_stream(&reply.pending, view, now, rng),
            Class::Lame | Class::RecursionLame => self.on_lame(class, reply, view, now, rng),
            Class::NoEdns => self.on_no_edns(&reply.pending, view, now, rng),
            Class::Refused => self.on_error(&reply.pending, Fault::Refused, view, now, rng),
            Class::ServFail => self.on_error(&reply.pending, Fault::ServFail, view, now, rng),
            Class::Unusable => self.on_error(&reply.pending, Fault::Broken, view, now, rng),
        }
    }

    /// A response to the question as asked: the end, unless the name was shortened.
    fn on_response(
        &mut self,
        class: Class,
        reply: Reply,
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) {
        self.believed_shortened = false;
        if let Some(minimiser) = &mut self.minimiser
            && minimiser.is_shortened(&self.question)
        {
            let step = match class {
                Class::NxDomain => minimiser.on_nxdomain(has_proof(&reply, view, now)),
                // An alias here may be a DNAME, which the full name would meet too.
                Class::Alias => Step::Full,
                _ => Step::Deeper,
            };
            match step {
                Step::Believe => self.believed_shortened = true,
                Step::Deeper => minimiser.deeper(&self.question),
                Step::Full | Step::NextServer => minimiser.give_up(),
            }
            if step != Step::Believe {
                if let Some(cut) = &mut self.cut {
                    cut.next_question();
                }
                return self.ask_again(reply.pending.server, view, now, rng);
            }
        }
        if self.is_from_below_the_cut(class, &reply) {
            return self.find_parent(&reply, view, now, rng);
        }
        self.store_primed(&reply, view, now);
        let unsigned = lacks_signatures(&reply, view, now);
        let response = self.response(class, &reply, view.config);
        if unsigned {
            view.cache.update_infra(response.server, &response.zone, now, |server| {
                server.found_dnssec_lame(now);
            });
            self.keep_spare(Spare::Unsigned, response);
            self.blame(&reply.pending, Fault::Lame);
            return self.proceed(view, now, rng);
        }
        self.respond(response);
    }

    /// Whether the child's side of a cut denies DS there, which only the parent can: a server of
    /// both, or of zones with the parent between them (RFC 4035 §3.1.4.1).
    fn is_from_below_the_cut(&self, class: Class, reply: &Reply) -> bool {
        let apex = |rrset: &Rrset| rrset.is(&self.question.name, RecordType::SOA);
        self.question.rtype == RecordType::DS
            && class == Class::NoData
            && !self.walked_down
            && self.question.name.is_below(&reply.zone)
            && reply.scrubbed.authority.iter().any(apex)
    }

    /// Looks for the parent zone, one label at a time; the same servers may be all there is.
    fn find_parent(&mut self, reply: &Reply, view: &mut View<'_>, now: Now, rng: &mut Rng) {
        self.walked_down = true;
        if let Some(minimiser) = &mut self.minimiser {
            minimiser.walk_down(&reply.zone, &self.question);
        }
        if let Some(cut) = &mut self.cut {
            cut.next_question();
        }
        self.ask_again(reply.pending.server, view, now, rng);
    }

    /// The response as it is handed over.
    fn response(&self, class: Class, reply: &Reply, config: &Config) -> Response {
        let scrubbed = &reply.scrubbed;
        let bailiwick = Bailiwick { zone: &reply.zone, qname: &self.question.name, config };
        let negative = matches!(class, Class::NoData | Class::NxDomain);
        let rcode = match class {
            Class::NxDomain => Rcode::NXDOMAIN,
            Class::Answer if scrubbed.end == ChainEnd::TooLong => Rcode::YXDOMAIN,
            _ => Rcode::NOERROR,
        };
        let mut answer = Answer::empty(self.question.clone(), rcode);
        answer.authority = answer_authority(scrubbed, negative, config);
        // The name asked for may have been shortened, and there is nothing at the full one.
        if reply.pending.query.asked == self.question {
            answer.answer = scrubbed.answer.clone();
        }
        let kept: Vec<Rrset> = answer.answer.iter().chain(&answer.authority).cloned().collect();
        answer.additional = answer_additional(&reply.message, &kept, bailiwick);
        Response {
            answer,
            server: reply.pending.server,
            zone: reply.zone.clone(),
            authoritative: reply.message.header.aa(),
            volatile: self
                .cut
                .as_ref()
                .is_some_and(|cut| !delegation::may_store(&cut.point, config)),
        }
    }

    /// The NS RRset of the root or of a stub zone to be primed arrived: from now on its servers
    /// are asked, not the hints (RFC 9609 §3.3).
    fn store_primed(&self, reply: &Reply, view: &View<'_>, now: Now) {
        let Some(cut) = &self.cut else { return };
        if !cut.priming {
            return;
        }
        let response = self.response(Class::Answer, reply, view.config);
        if let Some(point) = referral::primed(&response.answer, &cut.point, view.config, now) {
            view.cache.store_delegation(&point, now);
        }
    }

    fn on_referral(
        &mut self,
        at: usize,
        reply: Reply,
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) {
        let Some(cut) = &self.cut else { return };
        let bailiwick =
            Bailiwick { zone: &reply.zone, qname: &self.question.name, config: view.config };
        let expires = cut.point.expires;
        let read =
            referral::read(at, &reply.message, &reply.scrubbed, bailiwick, expires, now, rng);
        // A forwarder has no business referring; a referral without servers leads nowhere.
        let Some(referral) = read.filter(|r| !cut.is_forward() && !r.point.servers.is_empty())
        else {
            return self.on_lame(Class::Lame, reply, view, now, rng);
        };
        if self.question.rtype == RecordType::DS && referral.point.zone == self.question.name {
            return self.on_ds_referral(referral.ds, reply, view, now, rng);
        }
        self.referrals += 1;
        if self.referrals > REFERRALS.default {
            return self.fail(Reason::WorkLimit);
        }
        if delegation::may_store(&cut.point, view.config) {
            view.cache.store_delegation(&referral.point, now);
            if let Some(ds) = &referral.ds {
                view.cache.store_answer(ds, now);
            }
        }
        self.enter(referral.point, view, now, rng);
    }

    /// The parent was asked for DS and referred to the child: what it says about DS on the way is
    /// the answer, and the child has none to give (RFC 4035 §3.1.4.1).
    fn on_ds_referral(
        &mut self,
        ds: Option<Answer>,
        reply: Reply,
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) {
        let mut response = self.response(Class::NoData, &reply, view.config);
        match ds {
            Some(ds) => {
                response.answer.answer = ds.answer;
                response.answer.authority = ds.authority;
                self.respond(response);
            }
            None => {
                self.keep_spare(Spare::Empty, response);
                self.blame(&reply.pending, Fault::Lame);
                self.proceed(view, now, rng);
            }
        }
    }

    fn on_lame(
        &mut self,
        class: Class,
        reply: Reply,
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) {
        if !reply.scrubbed.upward
            && let Some(minimiser) = &mut self.minimiser
            && minimiser.is_shortened(&self.question)
            && minimiser.on_error() == Step::Full
        {
            // What looks lame may be a server that is at a loss with the shortened name.
            minimiser.give_up();
            return self.ask_again(reply.pending.server, view, now, rng);
        }
        let shortened =
            self.minimiser.as_ref().is_some_and(|minimiser| minimiser.is_shortened(&self.question));
        let empty =
            class == Class::Lame && !reply.scrubbed.upward && reply.scrubbed.authority.is_empty();
        if !shortened && (empty || class == Class::RecursionLame) {
            let (spare, as_class) = match reply.scrubbed.end {
                ChainEnd::Nothing if reply.message.rcode == Rcode::NXDOMAIN => {
                    (Spare::RecursionLame, Class::NxDomain)
                }
                ChainEnd::Nothing if empty => (Spare::Empty, Class::NoData),
                ChainEnd::Nothing => (Spare::RecursionLame, Class::NoData),
                ChainEnd::Alias => (Spare::RecursionLame, Class::Alias),
                ChainEnd::Answer | ChainEnd::TooLong => (Spare::RecursionLame, Class::Answer),
            };
            if as_class == Class::Answer {
                self.store_primed(&reply, view, now);
            }
            let response = self.response(as_class, &reply, view.config);
            self.keep_spare(spare, response);
        }
        if !reply.pending.query.style.recursion {
            view.cache.update_infra(reply.pending.server, &reply.zone, now, |server| {
                server.found_lame(now);
            });
        }
        self.blame(&reply.pending, Fault::Lame);
        self.proceed(view, now, rng);
    }

    /// FORMERR, NOTIMP or BADVERS: it may be the OPT record (RFC 6891 §7).
    fn on_no_edns(&mut self, pending: &Pending, view: &mut View<'_>, now: Now, rng: &mut Rng) {
        if !pending.query.style.edns {
            return self.on_error(pending, Fault::Broken, view, now, rng);
        }
        if let Some(target) = self.target(pending) {
            target.plain = true;
        }
        self.ask_again(pending.server, view, now, rng);
    }

    /// An error instead of a response.
    fn on_error(
        &mut self,
        pending: &Pending,
        fault: Fault,
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) {
        if let Some(minimiser) = &mut self.minimiser
            && minimiser.is_shortened(&self.question)
            && minimiser.on_error() == Step::Full
        {
            // Perhaps only the shortened name is too much for it.
            minimiser.give_up();
            return self.ask_again(pending.server, view, now, rng);
        }
        match self.target(pending) {
            Some(target) if fault == Fault::ServFail => target.fault = Some(fault),
            Some(target) => target.exclude(fault),
            None => {}
        }
        self.proceed(view, now, rng);
    }

    /// The same question over a stream; the next server when that cannot be.
    fn switch_to_stream(
        &mut self,
        pending: &Pending,
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) {
        let streams = view.config.do_tcp || view.config.tcp_upstream;
        if let Some(target) = self.target(pending) {
            if pending.transport == Transport::Udp && streams && !target.stream_failed {
                target.stream = true;
                return self.ask_again(pending.server, view, now, rng);
            }
            let stream = pending.transport.is_stream();
            if stream || !target.plain_case || target.stream_failed {
                target.exclude(Fault::Broken);
            }
        }
        self.proceed(view, now, rng);
    }

    pub(super) fn on_timeout(
        &mut self,
        pending: &Pending,
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) {
        match pending.last_resort() {
            Some(Rcode::FORMERR | Rcode::NOTIMP) => {
                return self.on_no_edns(pending, view, now, rng);
            }
            Some(Rcode::REFUSED | Rcode::NOTAUTH) => {
                return self.on_error(pending, Fault::Refused, view, now, rng);
            }
            Some(Rcode::SERVFAIL) => {
                return self.on_error(pending, Fault::ServFail, view, now, rng);
            }
            Some(_) => return self.on_error(pending, Fault::Broken, view, now, rng),
            None => {}
        }
        // A wait that was cut short by the end of our own time is no loss of the server's.
        if now.mono < view.budget.work_ends() {
            self.count_loss(pending, view, now);
        }
        if let Some(minimiser) = &mut self.minimiser
            && minimiser.is_shortened(&self.question)
            && minimiser.on_silence() == Step::Full
        {
            minimiser.give_up();
        }
        self.proceed(view, now, rng);
    }

    pub(super) fn on_failure(
        &mut self,
        pending: &Pending,
        error: ExchangeError,
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) {
        match error {
            ExchangeError::NoSocket => {
                self.no_socket += 1;
                if self.no_socket >= MAX_NO_SOCKET {
                    return self.fail(Reason::NoSocket);
                }
            }
            ExchangeError::Prohibited => self.blame(pending, Fault::Silent),
            ExchangeError::NoRoute => {
                let zone = self.cut.as_ref().map(|cut| cut.zone().clone());
                self.no_route.extend(zone.map(|zone| (pending.server, zone)));
                self.blame(pending, Fault::NoRoute);
            }
            ExchangeError::Untrusted => self.blame(pending, Fault::Untrusted),
            ExchangeError::Refused | ExchangeError::Unreachable | ExchangeError::Closed => {
                self.count_loss(pending, view, now);
                if pending.transport == Transport::Udp {
                    self.blame(pending, Fault::Silent);
                }
            }
        }
        self.proceed(view, now, rng);
    }

    /// No reply: the server is slower or less reliable than thought, and a stream that fails once
    /// is not tried again (retry storms, CVE-2023-46317).
    fn count_loss(&mut self, pending: &Pending, view: &View<'_>, now: Now) {
        let Some(cut) = &self.cut else { return };
        let zone = cut.zone().clone();
        if pending.transport == Transport::Udp {
            view.cache.update_infra(pending.server, &zone, now, |server| server.lost(now));
        }
        let signed = expects_signatures(&zone, view, now);
        let known = view.cache.infra(pending.server, &zone, now).edns == EdnsState::Works;
        let Some(target) = self.target(pending) else { return };
        target.fault = Some(Fault::Silent);
        if pending.transport.is_stream() {
            target.stream_failed = true;
            // Only a server that does not keep letter case gets another chance over UDP.
            let forced = target.plain_case && target.stream;
            target.stream = false;
            if !forced {
                target.exclude(Fault::Silent);
            }
        } else if target.tries >= EDNS_LOSSES && !known && !signed {
            target.plain = true;
        }
    }

    fn target(&mut self, pending: &Pending) -> Option<&mut Target> {
        self.cut.as_mut()?.target(pending.server)
    }

    /// Somebody has answered, so we are online, and servers that there is no way to are not worth
    /// a try soon: the addresses of a family that this host does not have, say.
    fn blame_no_route(&mut self, view: &View<'_>, now: Now) {
        for (server, zone) in self.no_route.drain(..) {
            view.cache.update_infra(server, &zone, now, |server| server.lost(now));
        }
    }

    fn blame(&mut self, pending: &Pending, fault: Fault) {
        if let Some(target) = self.target(pending) {
            target.exclude(fault);
        }
    }

    fn keep_spare(&mut self, merit: Spare, response: Response) {
        if self.spare.as_ref().is_none_or(|(known, _)| *known < merit) {
            self.spare = Some((merit, response));
        }
    }
}

/// What the reply tells about its server, whatever it tells about the question. Only replies that
/// passed every check get here.
fn learn_server(
    pending: &Pending,
    message: &Message,
    class: Class,
    cut: &Cut,
    view: &View<'_>,
    now: Now,
) {
    let useful = matches!(
        class,
        Class::Answer | Class::Alias | Class::NoData | Class::NxDomain | Class::Referral(_)
    );
    // Without OPT because an earlier query with it was refused or lost, not because we knew.
    let fell_back =
        cut.targets.iter().any(|target| target.server == pending.server && target.plain);
    view.cache.update_infra(pending.server, cut.zone(), now, |server| {
        if pending.transport == Transport::Udp {
            server.replied(now.mono.since(pending.sent));
        }
        if message.edns.is_some() && useful {
            server.edns = EdnsState::Works;
        } else if fell_back && useful && !pending.query.style.edns {
            server.found_without_edns(now);
        }
    });
}

/// Whether the zone is known to be signed: it has a trust anchor, verified keys, or DS records at
/// its parent.
fn expects_signatures(zone: &Name, view: &View<'_>, now: Now) -> bool {
    if !is_below_anchor(zone, view.config) {
        return false;
    }
    if let Some(entry) = view.cache.keys(zone, now) {
        return matches!(entry.state, KeyState::Secure { .. });
    }
    let question = Question::new(zone.clone(), RecordType::DS);
    view.config.anchors().iter().any(|anchor| anchor.owner == *zone)
        || view.cache.answer(&question, now).is_some_and(|cached| {
            cached.value.status != SecurityStatus::Bogus && cached.value.rrset().is_some()
        })
}

/// Whether a denial comes with signed proofs from a zone that is known to be signed, so that the
/// validator will decide (`harden-below-nxdomain`, RFC 8020).
fn has_proof(reply: &Reply, view: &View<'_>, now: Now) -> bool {
    let proof = |rrset: &Rrset| {
        matches!(rrset.rtype, RecordType::NSEC | RecordType::NSEC3) && !rrset.signatures.is_empty()
    };
    view.config.harden_below_nxdomain
        && expects_signatures(&reply.zone, view, now)
        && reply.scrubbed.authority.iter().any(proof)
}

/// Whether the reply is from the apex of a signed zone and carries no signature at all: a server
/// that serves the zone without them. Another may do better.
fn lacks_signatures(reply: &Reply, view: &View<'_>, now: Now) -> bool {
    let Some(cut_signed) =
        (!reply.pending.query.style.recursion).then(|| expects_signatures(&reply.zone, view, now))
    else {
        return false;
    };
    let rrsets = || reply.scrubbed.answer.iter().chain(&reply.scrubbed.authority);
    let from_apex = rrsets().any(|rrset| {
        matches!(rrset.rtype, RecordType::SOA | RecordType::NS | RecordType::DNSKEY)
            && rrset.owner == reply.zone
    });
    cut_signed
        && !view.config.disable_edns_do
        && !view.config.disable_dnssec_lame_check
        && from_apex
        && rrsets().all(|rrset| rrset.signatures.is_empty())
}

//! The servers of one zone cut: their addresses, what became of each, and which names still have
//! to be looked up.

use std::net::{IpAddr, SocketAddr};

use rand::seq::SliceRandom;

use super::{View, delegation};
use crate::budget::{
    ADDRESSES_PER_CUT, ADDRESSES_PER_NAME, GLUELESS_DEPTH, NS_NAMES_AT_ONCE, NS_NAMES_FAILED,
    NS_NAMES_PER_CUT, QUERIES_PER_CUT,
};
use crate::cache::{Answer, DelegationPoint, DelegationSource};
use crate::clock::{Now, Rng};
use crate::config::{Config, Prefix64};
use crate::status::Reason;
use crate::wire::{Name, Question, Rcode, RecordType};

/// Queries sent to prime: hints do when nobody answers (RFC 9609 §3).
const PRIMING_QUERIES: u32 = 3;

/// Aliases followed for the name of a server.
const MAX_HOST_ALIASES: u8 = 2;

/// Why a server gave nothing we can use.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Fault {
    /// No reply in time, or no way to it.
    Silent,
    /// No way to it from this host, and perhaps to nobody.
    NoRoute,
    /// REFUSED or NOTAUTH.
    Refused,
    /// Not authoritative for the zone.
    Lame,
    /// SERVFAIL.
    ServFail,
    /// No TLS session with it, or not the server it should be.
    Untrusted,
    /// Broke the protocol.
    Broken,
}

/// One address of a server of the cut.
#[derive(Clone, Debug)]
pub(super) struct Target {
    /// Address and port.
    pub(super) server: SocketAddr,
    /// Queries sent to it for this cut and question.
    pub(super) tries: u8,
    /// What happened last, when it was no use.
    pub(super) fault: Option<Fault>,
    /// Never ask it again in this iteration.
    pub(super) excluded: bool,
    /// Ask without EDNS.
    pub(super) plain: bool,
    /// Ask over a stream.
    pub(super) stream: bool,
    /// Streams do not work; do not try again.
    pub(super) stream_failed: bool,
    /// The name it has to prove over TLS.
    pub(super) tls_name: Option<String>,
    /// Ask in plain letter case.
    pub(super) plain_case: bool,
    /// It was silent before we came: one query shows whether it is back.
    pub(super) probe: bool,
}

impl Target {
    fn new(server: SocketAddr, tls_name: Option<String>) -> Self {
        Self {
            server,
            tls_name,
            tries: 0,
            fault: None,
            excluded: false,
            plain: false,
            stream: false,
            stream_failed: false,
            plain_case: false,
            probe: false,
        }
    }

    /// It is to blame, for good.
    pub(super) fn exclude(&mut self, fault: Fault) {
        self.fault = Some(fault);
        self.excluded = true;
    }
}

/// How far the lookup of one family of a name got.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Lookup {
    /// Not tried.
    Open,
    /// Asked for.
    Pending,
    /// Known, known not to exist, or not wanted.
    Done,
}

/// A server that is known by name.
#[derive(Clone, Debug)]
struct Host {
    name: Name,
    /// The name that is looked up: its own, or the target of its alias. NS names should not be
    /// aliases (RFC 2181 §10.3), and some are.
    asked: Name,
    /// Aliases followed.
    aliases: u8,
    port: u16,
    tls_name: Option<String>,
    v4: Lookup,
    v6: Lookup,
    /// Whether an address was found.
    found: bool,
    /// Whether the budget was charged for looking it up.
    paid: bool,
}

impl Host {
    fn lookup(&mut self, rtype: RecordType) -> &mut Lookup {
        if rtype == RecordType::A { &mut self.v4 } else { &mut self.v6 }
    }

    /// The family to look up next.
    fn next_family(&self, config: &Config) -> RecordType {
        let v6_first = config.prefer_ip6 && !config.prefer_ip4;
        match (self.v4 == Lookup::Open, self.v6 == Lookup::Open) {
            (true, false) => RecordType::A,
            (true, true) if !v6_first => RecordType::A,
            _ => RecordType::AAAA,
        }
    }

    fn has(&self, state: Lookup) -> bool {
        self.v4 == state || self.v6 == state
    }
}

/// A zone cut while its servers are being asked.
#[derive(Clone, Debug)]
pub(super) struct Cut {
    /// The delegation.
    pub(super) point: DelegationPoint,
    /// Addresses known so far.
    pub(super) targets: Vec<Target>,
    /// Whether the question is for the zone's own NS RRset, to be used instead of the hints.
    pub(super) priming: bool,
    /// Queries sent for the question of now.
    pub(super) sent: u8,
    hosts: Vec<Host>,
    /// Names looked up.
    looked_up: u8,
    /// Names that turned out to have no address.
    fruitless: u8,
    /// No more lookups: too many failed, or the budget does not cover them.
    lookups_over: bool,
    /// Whether the glue of the servers' own zones was taken.
    parent_side_used: bool,
    /// Glue that has to be verified first; used when that fails (`harden-unverified-glue`).
    unverified: Vec<SocketAddr>,
}

impl Cut {
    /// The servers of `point`, as far as glue and cache know them.
    pub(super) fn new(point: DelegationPoint, view: &View<'_>, now: Now) -> Self {
        let config = view.config;
        let family = |on: bool| if on { Lookup::Open } else { Lookup::Done };
        let hosts = point.servers.iter().map(|name| Host {
            name: name.clone(),
            asked: name.clone(),
            aliases: 0,
            port: delegation::host_port(&point, name, config),
            tls_name: delegation::host_tls_name(&point, name, config),
            v4: family(reaches_ip4(config)),
            v6: family(config.do_ip6),
            found: false,
            paid: false,
        });
        let mut cut = Self {
            hosts: hosts.collect(),
            targets: Vec::new(),
            priming: false,
            sent: 0,
            looked_up: 0,
            fruitless: 0,
            lookups_over: false,
            parent_side_used: false,
            unverified: Vec::new(),
            point,
        };
        for server in cut.point.addresses.clone() {
            let tls_name = delegation::addr_tls_name(&cut.point, server, config);
            cut.add(server, tls_name, config);
        }
        for (name, ip) in cut.point.glue.clone() {
            cut.add_glue(&name, ip, config);
        }
        cut.use_cache(view, now);
        if !config.harden_unverified_glue && !cut.is_configured() {
            // Saves the lookup of names whose zone is delegated with glue.
            cut.add_parent_side(|host| !host.found && host.has(Lookup::Open), view, now);
        }
        cut
    }

    /// The zone.
    pub(super) fn zone(&self) -> &Name {
        &self.point.zone
    }

    /// Whether the servers are forwarders.
    pub(super) fn is_forward(&self) -> bool {
        matches!(self.point.source, DelegationSource::Forward { .. })
    }

    /// Whether the operator named the servers.
    pub(super) fn is_configured(&self) -> bool {
        self.is_forward() || self.point.source == DelegationSource::Stub
    }

    /// Whether enough queries were sent for one question.
    pub(super) fn is_spent(&self, config: &Config) -> bool {
        // Resolution goes on with the hints as they are, so it must not wait for long.
        let most = if self.priming { PRIMING_QUERIES } else { QUERIES_PER_CUT.default.into() };
        u32::from(self.sent) >= most.min(config.max_sent_count.max(1))
    }

    /// Every address known, of servers that are of no use, too.
    pub(super) fn addresses(&self) -> Vec<IpAddr> {
        self.targets.iter().map(|target| target.server.ip()).collect()
    }

    /// The target with that address.
    pub(super) fn target(&mut self, server: SocketAddr) -> Option<&mut Target> {
        self.targets.iter_mut().find(|target| target.server == server)
    }

    fn add(&mut self, server: SocketAddr, tls_name: Option<String>, config: &Config) {
        let real = Prefix64::real(config.nat64, server.ip());
        let server = SocketAddr::new(route(server.ip(), config), server.port());
        let known = self.targets.iter().any(|target| target.server == server);
        let full = self.targets.len() >= usize::from(ADDRESSES_PER_CUT.default);
        if !known && !full && may_ask(real, config) {
            self.targets.push(Target::new(server, tls_name));
        }
    }

    fn add_glue(&mut self, name: &Name, ip: IpAddr, config: &Config) {
        let verified = !config.harden_unverified_glue
            || self.point.source != DelegationSource::Referral
            || name.is_at_or_below(&self.point.zone);
        let Some(host) = self.hosts.iter_mut().find(|host| host.name == *name) else { return };
        let server = SocketAddr::new(ip, host.port);
        if !verified {
            self.unverified.push(server);
            return;
        }
        host.found = true;
        *host.lookup(if ip.is_ipv4() { RecordType::A } else { RecordType::AAAA }) = Lookup::Done;
        let tls_name = host.tls_name.clone();
        self.add(server, tls_name, config);
    }

    /// Takes addresses of names without glue from the cache.
    fn use_cache(&mut self, view: &View<'_>, now: Now) {
        for rtype in [RecordType::A, RecordType::AAAA] {
            for at in 0..self.hosts.len() {
                let Some(host) = self.hosts.get_mut(at) else { continue };
                if *host.lookup(rtype) != Lookup::Open {
                    continue;
                }
                let question = Question::new(host.asked.clone(), rtype);
                if let Some(found) = view.cache.rrset(&question.name, rtype, now) {
                    let mut answer = Answer::empty(question, Rcode::NOERROR);
                    answer.answer.push(found.rrset);
                    self.learn(&answer, view.config);
                } else if let Some(known) = view.cache.answer(&question, now) {
                    // Cached failures and denials cost nothing, so they count for nothing.
                    self.learn(&known.value, view.config);
                }
            }
        }
    }

    /// What a lookup, or the cache, says about the address of a name.
    fn learn(&mut self, answer: &Answer, config: &Config) {
        let rtype = answer.question.rtype;
        let owner = answer.target();
        let mut ips: Vec<IpAddr> = answer
            .answer
            .iter()
            .filter(|rrset| rrset.is(&owner, rtype))
            .flat_map(|rrset| rrset.rdata.iter().filter_map(|rdata| rdata.as_ip()))
            .collect();
        ips.truncate(ADDRESSES_PER_NAME.default.into());
        let mut ports = Vec::new();
        // Several servers may be aliases of one name.
        let asked = |host: &&mut Host| host.asked == answer.question.name;
        for host in self.hosts.iter_mut().filter(asked) {
            if ips.is_empty() && owner != host.asked && host.aliases < MAX_HOST_ALIASES {
                host.asked = owner.clone();
                host.aliases += 1;
                *host.lookup(rtype) = Lookup::Open;
                continue;
            }
            *host.lookup(rtype) = Lookup::Done;
            host.found |= !ips.is_empty();
            if answer.rcode == Rcode::NXDOMAIN {
                // A name that does not exist has no address of the other family either.
                (host.v4, host.v6) = (Lookup::Done, Lookup::Done);
            }
            ports.push((host.port, host.tls_name.clone()));
        }
        for (port, tls_name) in ports {
            for ip in &ips {
                self.add(SocketAddr::new(*ip, port), tls_name.clone(), config);
            }
        }
    }

    /// Takes the result of a lookup.
    pub(super) fn on_resolved(
        &mut self,
        question: &Question,
        answer: &Answer,
        view: &mut View<'_>,
    ) {
        // The question of the answer is that of the need, whatever the driver put there.
        let mut answer = answer.clone();
        answer.question = question.clone();
        self.learn(&answer, view.config);
        let host = self.hosts.iter().find(|host| host.asked == question.name);
        let fruitless = host.is_some_and(|host| {
            !host.found && !host.has(Lookup::Pending) && !host.has(Lookup::Open)
        });
        if fruitless {
            self.fruitless = self.fruitless.saturating_add(1);
            self.lookups_over |= view.budget.spend_ns_failures(1).is_err();
        }
    }

    /// Whether a lookup is under way.
    pub(super) fn is_waiting(&self) -> bool {
        self.hosts.iter().any(|host| host.has(Lookup::Pending))
    }

    /// Whether `question` is for the address of a server of this cut that is inside its zone, so
    /// that nobody in the zone can be asked for it.
    pub(super) fn lacks_glue_of(&self, question: &Question) -> bool {
        let address = matches!(question.rtype, RecordType::A | RecordType::AAAA);
        address
            && self.point.source == DelegationSource::Referral
            && question.name.is_at_or_below(&self.point.zone)
            && self.hosts.iter().any(|host| host.asked == question.name)
    }

    /// Begins lookups of names without address, as many as may run at once; the questions. One
    /// family of a name at a time: the second is asked for when the first is of no use.
    pub(super) fn look_up(
        &mut self,
        question: &Question,
        depth: u8,
        view: &mut View<'_>,
        rng: &mut Rng,
    ) -> Vec<Question> {
        let mut needs = Vec::new();
        if self.targets.is_empty() && self.lacks_glue_of(question) {
            // The other servers of the zone are in the same position.
            return needs;
        }
        let mut order: Vec<usize> = (0..self.hosts.len()).collect();
        order.shuffle(rng);
        // Names with an address in the other family last.
        order.sort_by_key(|at| self.hosts.get(*at).is_some_and(|host| host.found));
        for at in order {
            if !self.may_look_up_more(depth) {
                break;
            }
            if !self.can_look_up(at, question) {
                continue;
            }
            let Some(host) = self.hosts.get_mut(at) else { continue };
            // The second family of a name is paid with the first.
            if !host.paid {
                if self.looked_up >= NS_NAMES_PER_CUT.default {
                    continue;
                }
                if view.budget.spend_ns_names(1).is_err() {
                    self.lookups_over = true;
                    break;
                }
                host.paid = true;
                self.looked_up += 1;
            }
            let rtype = host.next_family(view.config);
            *host.lookup(rtype) = Lookup::Pending;
            let need = Question::new(host.asked.clone(), rtype);
            if !needs.contains(&need) {
                needs.push(need);
            }
        }
        needs
    }

    /// Whether another lookup may begin beside those under way. Those under way may all turn out
    /// to be fruitless (NXNSAttack).
    fn may_look_up_more(&self, depth: u8) -> bool {
        let running = self.hosts.iter().filter(|host| host.has(Lookup::Pending)).count();
        !self.lookups_over
            && depth < GLUELESS_DEPTH.default
            && running < NS_NAMES_AT_ONCE.default.into()
            && running + usize::from(self.fruitless) <= NS_NAMES_FAILED.default.into()
    }

    /// Whether looking up the name of a host can help: it is not known and not itself the question.
    /// A name inside the zone can only come from the zone above, and only matters when there is
    /// nobody else.
    fn can_look_up(&self, at: usize, question: &Question) -> bool {
        let Some(host) = self.hosts.get(at) else { return false };
        let own_question = host.asked == question.name
            && matches!(question.rtype, RecordType::A | RecordType::AAAA);
        let inside = host.asked.is_at_or_below(&self.point.zone)
            && match self.point.source {
                DelegationSource::Referral => !self.targets.is_empty(),
                DelegationSource::Hints | DelegationSource::Priming => true,
                DelegationSource::Stub | DelegationSource::Forward { .. } => false,
            };
        host.has(Lookup::Open) && !host.has(Lookup::Pending) && !own_question && !inside
    }

    /// Glue that could not be verified, as a last resort; false when there is none.
    pub(super) fn use_unverified(&mut self, config: &Config) -> bool {
        let glue = std::mem::take(&mut self.unverified);
        let before = self.targets.len();
        for server in glue {
            self.add(server, None, config);
        }
        self.targets.len() > before
    }

    /// Addresses that the parents of the servers' own zones gave as glue, for all of them, as a last
    /// resort: the zones themselves may say something else, and be wrong. False when there are
    /// none.
    pub(super) fn use_parent_side(&mut self, view: &View<'_>, now: Now) -> bool {
        if self.is_configured() || std::mem::replace(&mut self.parent_side_used, true) {
            return false;
        }
        let before = self.targets.len();
        self.add_parent_side(|_| true, view, now);
        self.targets.len() > before
    }

    /// Takes the glue in the delegations of the servers' own zones. It does not end a lookup: the
    /// zone's own word counts for more when this is of no use.
    fn add_parent_side(&mut self, of: impl Fn(&Host) -> bool, view: &View<'_>, now: Now) {
        for at in 0..self.hosts.len() {
            let Some(host) = self.hosts.get(at).filter(|host| of(host)) else { continue };
            let (name, port) = (host.name.clone(), host.port);
            let Some(point) = view.cache.delegation(&name, now) else { continue };
            for (_, ip) in point.glue.iter().filter(|(owner, _)| *owner == name) {
                self.add(SocketAddr::new(*ip, port), None, view.config);
            }
        }
    }

    /// Why none of the servers was of use.
    pub(super) fn reason(&self) -> Reason {
        let mut faults = self.targets.iter().map(|target| target.fault);
        let Some(first) = faults.next() else { return Reason::NoServerAddress };
        if faults.any(|fault| fault != first) {
            return Reason::NoReachableAuthority;
        }
        match first {
            Some(Fault::Silent) => Reason::NetworkError,
            // We are offline, which is nobody's fault and may be over in a moment.
            Some(Fault::NoRoute) => Reason::NoSocket,
            Some(Fault::Refused) => Reason::ServersRefused,
            Some(Fault::Lame) => Reason::LameDelegation,
            Some(Fault::Untrusted) => Reason::Untrusted,
            Some(Fault::ServFail | Fault::Broken) | None => Reason::NoReachableAuthority,
        }
    }

    /// Lookups under way were given up with the iteration's end.
    pub(super) fn forget_lookups(&mut self) {
        for lookup in self.hosts.iter_mut().flat_map(|host| [&mut host.v4, &mut host.v6]) {
            if *lookup == Lookup::Pending {
                *lookup = Lookup::Open;
            }
        }
    }

    /// Another question goes to the same servers: what happened before no longer counts, except
    /// for those that are excluded.
    pub(super) fn next_question(&mut self) {
        self.sent = 0;
        for target in self.targets.iter_mut().filter(|target| !target.excluded) {
            target.tries = 0;
        }
    }
}

/// Whether servers with IPv4 addresses can be reached, be it by NAT64.
pub(super) fn reaches_ip4(config: &Config) -> bool {
    if config.nat64.is_some() { config.do_ip6 } else { config.do_ip4 }
}

/// The address that a server is reached by: with `do-nat64` that of the translator.
fn route(ip: IpAddr, config: &Config) -> IpAddr {
    match (ip, config.nat64) {
        (IpAddr::V4(v4), Some(prefix)) => prefix.embed(v4).into(),
        _ => ip,
    }
}

/// Whether an address may be asked at all: its family is on, it is one host, and the configuration
/// does not forbid it (`do-not-query-address`, `do-not-query-localhost`).
fn may_ask(ip: IpAddr, config: &Config) -> bool {
    let family = if ip.is_ipv4() { reaches_ip4(config) } else { config.do_ip6 };
    let broadcast = matches!(ip, IpAddr::V4(v4) if v4.is_broadcast());
    family
        && !ip.is_unspecified()
        && !ip.is_multicast()
        && !broadcast
        && !config.do_not_query_address.iter().any(|block| block.contains(ip))
}

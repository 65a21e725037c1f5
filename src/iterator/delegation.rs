//! Where to begin: the closest delegation point known for a question.

use std::net::SocketAddr;

use super::View;
use crate::cache::{DelegationPoint, DelegationSource};
use crate::clock::{Now, UnixTime};
use crate::config::{Config, ZoneTarget};
use crate::wire::{Name, Question, RecordType};

/// Port of DNS over UDP and TCP.
const DNS_PORT: u16 = 53;

/// The port of servers without one of their own.
fn usual_port(config: &Config) -> u16 {
    if config.tls_upstream { config.tls_port } else { DNS_PORT }
}

/// A configured zone whose servers failed and whose clause says to go on without it
/// (`forward-first`, `stub-first`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Skipped {
    zone: Name,
    forward: bool,
}

impl Skipped {
    /// The clause `point` came from, when it may be skipped.
    pub(super) fn from_point(point: &DelegationPoint, config: &Config) -> Option<Self> {
        let forward = matches!(point.source, DelegationSource::Forward { .. });
        let clause = clause(point, config)?;
        clause.first.then(|| Self { zone: point.zone.clone(), forward })
    }
}

/// The name whose servers know the answer: that of the question, but for DS the parent's side of
/// the cut (RFC 4035 §3.1.4.1).
pub(super) fn lookup_name(question: &Question) -> Name {
    let parent = (question.rtype == RecordType::DS).then(|| question.name.parent()).flatten();
    parent.unwrap_or_else(|| question.name.clone())
}

/// The closest delegation point for `question`: of the configured zones the most specific, unless
/// a delegation below a stub zone is known; otherwise what the cache knows, otherwise the hints.
pub(super) fn closest(
    question: &Question,
    skipped: &[Skipped],
    view: &View<'_>,
    now: Now,
) -> DelegationPoint {
    let name = lookup_name(question);
    let config = view.config;
    let skip = |zone: &ZoneTarget, forward: bool| {
        skipped.iter().any(|skip| skip.forward == forward && skip.zone == zone.name)
    };
    let depth = |zone: &&ZoneTarget| zone.name.label_count();
    let enclosing = |zone: &&ZoneTarget| name.is_at_or_below(&zone.name);
    let forward = config
        .forward_zones
        .iter()
        .filter(|zone| enclosing(zone) && !skip(zone, true))
        .max_by_key(depth);
    // A stub zone for the root says where the root servers are; it is used as hints.
    let stub = config
        .stub_zones
        .iter()
        .filter(|zone| enclosing(zone) && !zone.name.is_root() && !skip(zone, false))
        .max_by_key(depth);
    let forward = forward.filter(|forward| {
        stub.is_none_or(|stub| forward.name.label_count() >= stub.name.label_count())
    });
    // A clause without servers takes its zone out of a wider one.
    if let Some(forward) = forward.filter(|zone| has_servers(zone)) {
        return forward_point(forward);
    }
    // What was learned before TLS was demanded must not lead past the demand.
    let cached = view.cache.delegation(&name, now);
    if let Some(stub) = stub.filter(|zone| has_servers(zone)) {
        if stub.tls {
            return stub_point(stub);
        }
        let closer = cached.filter(|point| {
            point.zone.is_below(&stub.name)
                || stub.prime
                    && point.zone == stub.name
                    && point.source == DelegationSource::Priming
        });
        return closer.unwrap_or_else(|| stub_point(stub));
    }
    let root_by_tls = root_stub(config).is_some_and(|root| root.tls);
    cached.filter(|_| !root_by_tls).unwrap_or_else(|| hints(config))
}

/// Whether the servers of `point` may only be asked over TLS (`tls-upstream`,
/// `forward-tls-upstream`, `stub-tls-upstream`).
pub(super) fn demands_tls(point: &DelegationPoint, config: &Config) -> bool {
    config.tls_upstream || clause(point, config).is_some_and(|zone| zone.tls)
}

/// The `stub-zone:` that says where the root servers are.
fn root_stub(config: &Config) -> Option<&ZoneTarget> {
    config.stub_zones.iter().find(|zone| zone.name.is_root() && has_servers(zone))
}

/// The question that primes `point`, when it is only hints (RFC 9609 §3).
pub(super) fn priming_question(point: &DelegationPoint, config: &Config) -> Option<Question> {
    let primes = match point.source {
        DelegationSource::Hints => true,
        DelegationSource::Stub => clause(point, config).is_some_and(|stub| stub.prime),
        _ => false,
    };
    primes.then(|| Question::new(point.zone.clone(), RecordType::NS))
}

/// The root servers as configured.
fn hints(config: &Config) -> DelegationPoint {
    if let Some(root) = root_stub(config) {
        return DelegationPoint { source: DelegationSource::Hints, ..stub_point(root) };
    }
    let glue = config
        .root_hints
        .iter()
        .flat_map(|hint| hint.addrs.iter().map(|ip| (hint.name.clone(), *ip)));
    DelegationPoint {
        zone: Name::root(),
        servers: config.root_hints.iter().map(|hint| hint.name.clone()).collect(),
        glue: glue.collect(),
        addresses: Vec::new(),
        expires: UnixTime(u64::MAX),
        source: DelegationSource::Hints,
    }
}

fn forward_point(zone: &ZoneTarget) -> DelegationPoint {
    let source = DelegationSource::Forward { first: zone.first };
    DelegationPoint { source, ..stub_point(zone) }
}

fn stub_point(zone: &ZoneTarget) -> DelegationPoint {
    DelegationPoint {
        zone: zone.name.clone(),
        servers: zone.hosts.iter().map(|host| host.name.clone()).collect(),
        glue: Vec::new(),
        addresses: zone.addrs.iter().map(|server| server.addr).collect(),
        expires: UnixTime(u64::MAX),
        source: DelegationSource::Stub,
    }
}

fn has_servers(zone: &ZoneTarget) -> bool {
    !zone.addrs.is_empty() || !zone.hosts.is_empty()
}

/// The clause of the configuration that `point` was made from.
pub(super) fn clause<'a>(point: &DelegationPoint, config: &'a Config) -> Option<&'a ZoneTarget> {
    let zones = match point.source {
        DelegationSource::Forward { .. } => &config.forward_zones,
        DelegationSource::Stub => &config.stub_zones,
        DelegationSource::Hints => &config.stub_zones,
        DelegationSource::Referral | DelegationSource::Priming => return None,
    };
    zones.iter().find(|zone| zone.name == point.zone)
}

/// The port of a server known by name.
pub(super) fn host_port(point: &DelegationPoint, name: &Name, config: &Config) -> u16 {
    let hosts = clause(point, config).map(|zone| zone.hosts.as_slice()).unwrap_or_default();
    hosts
        .iter()
        .find(|host| host.name == *name)
        .map_or_else(|| usual_port(config), |host| host.port)
}

/// The name that a server known by name has to prove over TLS.
pub(super) fn host_tls_name(
    point: &DelegationPoint,
    name: &Name,
    config: &Config,
) -> Option<String> {
    let host = clause(point, config)?.hosts.iter().find(|host| host.name == *name)?;
    host.tls_name.clone()
}

/// The name that a server given by address has to prove over TLS.
pub(super) fn addr_tls_name(
    point: &DelegationPoint,
    addr: SocketAddr,
    config: &Config,
) -> Option<String> {
    let server = clause(point, config)?.addrs.iter().find(|server| server.addr == addr)?;
    server.tls_name.clone()
}

/// Whether what comes from the servers of `point` may be stored.
pub(super) fn may_store(point: &DelegationPoint, config: &Config) -> bool {
    !clause(point, config).is_some_and(|zone| zone.no_cache)
}

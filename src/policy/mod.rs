//! What happens to a client's query before anything is looked up: drop it, refuse it, answer it
//! from the configuration, or go on.
//!
//! A [`Policy`] is made of a [`Config`] once and never changes. Deciding that a query goes on, as
//! nearly all do, allocates nothing.
//!
//! # RFCs
//!
//! 6303, 6761 (names that are answered locally), 8482 (ANY), 4892 (`id.server`).

mod access;
mod chaos;
mod defaults;
mod local;
#[cfg(test)]
mod tests;

use std::net::IpAddr;

use crate::cache::Answer;
use crate::config::{AccessAction, Config, LocalZone};
use crate::status::Reason;
use crate::wire::{Class, Name, Question, Rcode, Rdata, RecordType, Rrset};

use access::Access;
use chaos::Chaos;
pub use defaults::lan_zones;
use local::LocalZones;

/// Seconds the answer to ANY may be kept: long, since it says nothing that changes.
const ANY_TTL: u32 = 3600;

/// Access control, local zones, and what the resolver says about itself.
#[derive(Clone, Debug)]
pub struct Policy {
    access: Access,
    zones: LocalZones,
    chaos: Chaos,
    deny_any: bool,
}

/// A query, as far as policy looks at it.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// QNAME in wire form, uncompressed, checked.
    pub name_wire: &'a [u8],
    /// QTYPE.
    pub rtype: RecordType,
    /// QCLASS.
    pub class: Class,
    /// RD.
    pub recursion_desired: bool,
    /// It came over TCP or TLS, so that the client's address is proven.
    pub stream: bool,
}

/// What becomes of a query.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Decision {
    /// Answer it, from the cache or by resolving.
    Resolve,
    /// Answer it if the cache can; the client did not ask for recursion.
    CacheOnly,
    /// No answer.
    Drop,
    /// REFUSED.
    Refuse(Reason),
    /// An empty answer with TC, so that the client comes back over TCP.
    Truncate,
    /// Local data, or its absence: an authoritative answer.
    Local(Box<Answer>),
    /// Local data says that the name is an alias: resolve its target and put this before it.
    Alias(Box<Rrset>),
}

impl Policy {
    /// The policy of a configuration on a machine with that host name.
    pub fn new(config: &Config, host: &str) -> Self {
        Self {
            access: Access::new(&config.access_control),
            zones: LocalZones::new(config),
            chaos: Chaos::new(config, host),
            deny_any: config.deny_any,
        }
    }

    /// What clients at that address may do. With [`AccessAction::Deny`] and
    /// [`AccessAction::Refuse`] there is nothing else to ask.
    pub fn access(&self, client: IpAddr) -> AccessAction {
        self.access.of(client)
    }

    /// Decides about a query from a client who may do `access`.
    pub fn decide(&self, asked: &Asked<'_>, access: AccessAction, client: IpAddr) -> Decision {
        match access {
            AccessAction::Deny => return Decision::Drop,
            AccessAction::Refuse => return Decision::Refuse(Reason::Prohibited),
            // Differs on purpose from Unbound: cookies are not served yet, so that a datagram never
            // has a valid one. TCP proves the address as well.
            AccessAction::AllowCookie if !asked.stream => return Decision::Truncate,
            _ => {}
        }
        if matches!(asked.rtype, RecordType::AXFR | RecordType::IXFR) {
            return Decision::Refuse(Reason::Blocked);
        }
        match asked.class {
            Class::IN => {}
            Class::CH => {
                let name = asked.question().map(|question| question.name);
                let refused = Decision::Refuse(Reason::Blocked);
                return name.map_or(refused, |name| self.chaos.decide(&name, asked.rtype));
            }
            _ => return Decision::Refuse(Reason::Blocked),
        }
        if self.deny_any
            && asked.rtype == RecordType::ANY
            && let Some(question) = asked.question()
        {
            return Decision::Local(Box::new(any(question)));
        }
        if let Some(decision) = self.zones.decide(asked, client) {
            return decision;
        }
        match (access, asked.recursion_desired) {
            (AccessAction::DenyNonLocal, _) => Decision::Drop,
            (AccessAction::RefuseNonLocal, _) => Decision::Refuse(Reason::Prohibited),
            (_, true) | (AccessAction::AllowSetrd, false) => Decision::Resolve,
            (AccessAction::AllowSnoop, false) => Decision::CacheOnly,
            (_, false) => Decision::Refuse(Reason::NotAuthoritative),
        }
    }

    /// Every local zone, in canonical order, those that are always there included.
    pub fn local_zones(&self) -> Vec<LocalZone> {
        self.zones.list()
    }
}

impl Asked<'_> {
    /// The question with memory of its own; `None` when the name is no name.
    pub fn question(&self) -> Option<Question> {
        let name = Name::from_wire(self.name_wire).ok()?;
        Some(Question { name, rtype: self.rtype, class: self.class })
    }
}

/// The answer to ANY that says nothing (RFC 8482 §4.2).
fn any(question: Question) -> Answer {
    let hinfo = Rdata::from_bytes(*b"\x07RFC8482\x00");
    let rrset = Rrset::new(question.name.clone(), RecordType::HINFO, ANY_TTL, vec![hinfo]);
    let mut answer = Answer::empty(question, Rcode::NOERROR);
    answer.answer.push(rrset);
    answer
}

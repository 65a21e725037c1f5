//! The entries of one response policy zone, ready to be looked up.

use crate::config::Netblock;
use crate::policy::blocks::Blocks;
use crate::wire::{Name, RecordType, Rrset};

use super::names::Names;
use super::owner::Trigger;

/// What an entry does.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(in crate::policy) enum Action {
    /// The name does not exist (`CNAME .`).
    Nxdomain,
    /// The type does not exist (`CNAME *.`).
    Nodata,
    /// Nothing, and no other policy either (`CNAME rpz-passthru.`).
    Passthru,
    /// No answer (`CNAME rpz-drop.`).
    Drop,
    /// An answer over TCP only (`CNAME rpz-tcp-only.`).
    TcpOnly,
    /// These records, under whatever name was asked for.
    Data(Vec<Rrset>),
}

/// The entries of a zone by what makes them apply.
#[derive(Clone, Debug, Default)]
pub(super) struct Triggers {
    pub(super) soa: Option<Rrset>,
    pub(super) qnames: Names<Action>,
    pub(super) clients: Blocks<Action>,
    pub(super) addresses: Blocks<Action>,
    pub(super) ns_names: Names<Action>,
    pub(super) ns_addresses: Blocks<Action>,
    /// How many entries there are.
    pub(super) entries: usize,
    /// Records that are no entry though they look like one.
    pub(super) unreadable: usize,
}

impl Triggers {
    /// The entries among the RRsets of the zone `apex`. Of contradictions the first counts.
    pub(super) fn new<'a>(apex: &Name, rrsets: impl Iterator<Item = &'a Rrset>) -> Self {
        let mut triggers = Self::default();
        let (mut clients, mut addresses, mut ns_addresses) = (Vec::new(), Vec::new(), Vec::new());
        for rrset in rrsets {
            if rrset.is(apex, RecordType::SOA) {
                triggers.soa = Some(Rrset { signatures: Vec::new(), ..rrset.clone() });
            }
            if is_of_the_zone(rrset.rtype) || rrset.owner == *apex {
                continue;
            }
            let (Some(trigger), Some(action)) =
                (Trigger::of(&rrset.owner, apex), Action::of(rrset))
            else {
                triggers.unreadable += 1;
                continue;
            };
            triggers.entries += 1;
            match trigger {
                Trigger::Qname(name) => add(triggers.qnames.entry(&name), action),
                Trigger::NsDname(name) => add(triggers.ns_names.entry(&name), action),
                Trigger::ClientIp(block) => clients.push((block, action)),
                Trigger::Ip(block) => addresses.push((block, action)),
                Trigger::NsIp(block) => ns_addresses.push((block, action)),
            }
        }
        let blocks = |rows: Vec<(Netblock, Action)>| Blocks::new(merged(rows));
        triggers.clients = blocks(clients);
        triggers.addresses = blocks(addresses);
        triggers.ns_addresses = blocks(ns_addresses);
        triggers
    }

    /// Whether an entry depends on who is asked.
    pub(super) fn looks_at_servers(&self) -> bool {
        !self.ns_names.is_empty() || !self.ns_addresses.is_empty()
    }
}

impl Action {
    /// What the data of an entry says; `None` for actions that are not known.
    fn of(rrset: &Rrset) -> Option<Self> {
        let data =
            |rdata| Self::Data(vec![Rrset::new(Name::root(), rrset.rtype, rrset.ttl, rdata)]);
        if rrset.rtype != RecordType::CNAME {
            return Some(data(rrset.rdata.clone()));
        }
        // An owner has one alias.
        let first = rrset.rdata.first()?;
        let target = first.as_name(RecordType::CNAME)?.to_lowercase();
        Some(match target.to_string().as_str() {
            "." => Self::Nxdomain,
            "*." => Self::Nodata,
            "rpz-passthru." => Self::Passthru,
            "rpz-drop." => Self::Drop,
            "rpz-tcp-only." => Self::TcpOnly,
            _ if is_reserved(&target) => return None,
            _ => data(vec![first.clone()]),
        })
    }

    /// Adds the data of another record of the same owner.
    fn join(&mut self, other: Self) {
        let (Self::Data(sets), Self::Data(more)) = (self, other) else { return };
        for rrset in more {
            match sets.iter_mut().find(|set| set.rtype == rrset.rtype) {
                // An owner has one alias.
                Some(set) if set.rtype == RecordType::CNAME => {}
                Some(set) => set.rdata.extend(rrset.rdata),
                None => sets.push(rrset),
            }
        }
    }
}

/// Below names that are kept for actions to come.
fn is_reserved(target: &Name) -> bool {
    target.labels().last().is_some_and(|label| label.starts_with(b"rpz-"))
}

/// Records that make the zone a zone, and say nothing of policy.
fn is_of_the_zone(rtype: RecordType) -> bool {
    matches!(
        rtype,
        RecordType::SOA
            | RecordType::NS
            | RecordType::DNAME
            | RecordType::DNSKEY
            | RecordType::DS
            | RecordType::RRSIG
            | RecordType::NSEC
            | RecordType::NSEC3
            | RecordType::NSEC3PARAM
            | RecordType::ZONEMD
    )
}

fn add(slot: &mut Option<Action>, action: Action) {
    match slot {
        Some(known) => known.join(action),
        None => *slot = Some(action),
    }
}

/// One row for each netblock; zones may have millions.
fn merged(mut rows: Vec<(Netblock, Action)>) -> Vec<(Netblock, Action)> {
    // Stable, so that of contradictions the first stays the first.
    rows.sort_by_key(|row| row.0);
    rows.dedup_by(|later, first| {
        let same = later.0 == first.0;
        if same {
            first.1.join(later.1.clone());
        }
        same
    });
    rows
}

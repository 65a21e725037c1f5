//! Response policy zones: entries that change the answers for names, addresses, clients and servers.
//!
//! Zones are looked at in the order of the configuration; the first with a trigger that matches
//! decides. Within a zone the client's address comes before the name, and the name of a server
//! before its address. What an entry does can be replaced for the whole zone
//! (`rpz-action-override:`), and a zone that is `disabled` only tells what it would have done.
//!
//! The content of a zone is swapped whole when the zone changes.

mod names;
mod owner;
mod triggers;

use std::net::IpAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use arc_swap::ArcSwap;
use tracing::{info, warn};

use crate::config::{Rpz, RpzOverride, TagSet};
use crate::wire::{Name, Question, Rdata, RecordType, Rrset};

pub(super) use triggers::Action;
use triggers::Triggers;

/// TTL of the alias of `rpz-cname-override:`, in seconds.
const OVERRIDE_TTL: u32 = 3600;

/// All zones, in order.
#[derive(Debug, Default)]
pub(super) struct PolicyZones(Vec<PolicyZone>);

#[derive(Debug)]
struct PolicyZone {
    options: Rpz,
    /// Turned off by an operator.
    off: AtomicBool,
    content: ArcSwap<Triggers>,
}

/// An entry that applies, with what its zone makes of it.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Hit {
    pub(super) action: Action,
    /// SOA of the zone, to tell where the answer comes from.
    pub(super) soa: Option<Rrset>,
    /// Denials of the zone come without RA.
    pub(super) hides_recursion: bool,
    pub(super) trigger: Trigger,
}

/// What made an entry apply.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Trigger {
    /// The address of the client.
    Client,
    /// The name asked for.
    Qname,
    /// An address in the answer.
    Address,
    /// The name of a server.
    NsName,
    /// The address of a server.
    NsAddress,
}

impl PolicyZones {
    pub(super) fn new(zones: &[Rpz]) -> Self {
        let zone = |options: &Rpz| PolicyZone {
            options: options.clone(),
            off: AtomicBool::new(false),
            content: ArcSwap::default(),
        };
        Self(zones.iter().map(zone).collect())
    }

    /// Whether a zone may have something to say to clients with those tags.
    pub(super) fn concern(&self, tags: &TagSet) -> bool {
        self.0.iter().any(|zone| zone.is_for(tags))
    }

    /// Takes the new content of a zone; false when there is no policy zone of that name.
    pub(super) fn load<'a>(&self, apex: &Name, rrsets: impl Iterator<Item = &'a Rrset>) -> bool {
        let Some(zone) = self.0.iter().find(|zone| zone.options.source.name == *apex) else {
            return false;
        };
        let triggers = Triggers::new(apex, rrsets);
        if triggers.unreadable > 0 {
            warn!(zone = %apex, records = triggers.unreadable, "entries of a policy zone that cannot be read are passed over");
        }
        info!(zone = %apex, entries = triggers.entries, "policy zone loaded");
        zone.content.store(Arc::new(triggers));
        true
    }

    /// Turns a zone on or off; false when there is none of that name.
    pub(super) fn set_enabled(&self, apex: &Name, enabled: bool) -> bool {
        let zone = self.0.iter().find(|zone| zone.options.source.name == *apex);
        zone.inspect(|zone| zone.off.store(!enabled, Ordering::Relaxed)).is_some()
    }

    /// What applies to a query: the first zone with an entry for the client or the name.
    pub(super) fn at_query(
        &self,
        lower: &[u8],
        client: IpAddr,
        tags: &TagSet,
        question: &Question,
    ) -> Option<Hit> {
        self.first(tags, question, |content| {
            let client = content.clients.get(client).map(|action| (Trigger::Client, action));
            client.or_else(|| content.qnames.find(lower).map(|action| (Trigger::Qname, action)))
        })
    }

    /// What applies to a name that an alias leads to.
    pub(super) fn at_name(&self, name: &Name, tags: &TagSet, question: &Question) -> Option<Hit> {
        let lower = name.to_lowercase();
        self.first(tags, question, |content| {
            content.qnames.find(lower.as_wire()).map(|action| (Trigger::Qname, action))
        })
    }

    /// What applies to servers about to be asked.
    pub(super) fn at_servers(
        &self,
        names: &[Name],
        addresses: &[IpAddr],
        tags: &TagSet,
        question: &Question,
    ) -> Option<Hit> {
        self.first(tags, question, |content| {
            if !content.looks_at_servers() {
                return None;
            }
            let name =
                names.iter().find_map(|name| content.ns_names.find(name.to_lowercase().as_wire()));
            let name = name.map(|action| (Trigger::NsName, action));
            name.or_else(|| {
                let address = addresses.iter().find_map(|ip| content.ns_addresses.get(*ip));
                address.map(|action| (Trigger::NsAddress, action))
            })
        })
    }

    /// What applies to the addresses of an answer, given in order: which of them, and what.
    pub(super) fn at_addresses(
        &self,
        addresses: &[IpAddr],
        tags: &TagSet,
        question: &Question,
    ) -> Option<(usize, Hit)> {
        let mut at = 0;
        let hit = self.first(tags, question, |content| {
            let found = addresses
                .iter()
                .enumerate()
                .find_map(|(index, ip)| content.addresses.get(*ip).map(|action| (index, action)));
            found.map(|(index, action)| {
                at = index;
                (Trigger::Address, action)
            })
        });
        hit.map(|hit| (at, hit))
    }

    /// Whether somebody with those tags is subject to entries about servers.
    pub(super) fn look_at_servers(&self, tags: &TagSet) -> bool {
        self.0.iter().any(|zone| zone.is_for(tags) && zone.content.load().looks_at_servers())
    }

    /// The first zone for those tags in which `find` finds something.
    fn first(
        &self,
        tags: &TagSet,
        question: &Question,
        mut find: impl FnMut(&Triggers) -> Option<(Trigger, &Action)>,
    ) -> Option<Hit> {
        self.0.iter().filter(|zone| zone.is_for(tags)).find_map(|zone| {
            let content = zone.content.load();
            let (trigger, action) = find(&content)?;
            zone.applied(trigger, action, content.soa.as_ref(), question)
        })
    }
}

impl PolicyZone {
    fn is_for(&self, tags: &TagSet) -> bool {
        !self.off.load(Ordering::Relaxed)
            && self.options.tags.as_ref().is_none_or(|own| own.meets(tags))
    }

    /// An entry with what the options of the zone make of it; `None` when that is nothing.
    fn applied(
        &self,
        trigger: Trigger,
        action: &Action,
        soa: Option<&Rrset>,
        question: &Question,
    ) -> Option<Hit> {
        let action = match self.options.action {
            None | Some(RpzOverride::Disabled) => action.clone(),
            Some(RpzOverride::Nxdomain) => Action::Nxdomain,
            Some(RpzOverride::Nodata) => Action::Nodata,
            Some(RpzOverride::Passthru) => Action::Passthru,
            Some(RpzOverride::Drop) => Action::Drop,
            Some(RpzOverride::TcpOnly) => Action::TcpOnly,
            Some(RpzOverride::Cname) => {
                let rdata = vec![Rdata::from_name(self.options.cname.as_ref()?)];
                let rrset = Rrset::new(Name::root(), RecordType::CNAME, OVERRIDE_TTL, rdata);
                Action::Data(vec![rrset])
            }
        };
        let disabled = self.options.action == Some(RpzOverride::Disabled);
        if self.options.log {
            let policy = match self.options.log_name.as_str() {
                "" => self.options.source.name.to_string(),
                name => name.to_owned(),
            };
            let (trigger, action) = (trigger.text(), action.text());
            info!(policy, trigger, action, disabled, %question, "policy zone applied");
        }
        let hides_recursion = self.options.signal_nxdomain_ra;
        (!disabled).then(|| Hit { action, soa: soa.cloned(), hides_recursion, trigger })
    }
}

impl Trigger {
    const fn text(self) -> &'static str {
        match self {
            Self::Client => "client-ip",
            Self::Qname => "qname",
            Self::Address => "response-ip",
            Self::NsName => "nsdname",
            Self::NsAddress => "nsip",
        }
    }
}

impl Action {
    /// As `rpz-action-override:` spells it.
    const fn text(&self) -> &'static str {
        match self {
            Self::Nxdomain => "nxdomain",
            Self::Nodata => "nodata",
            Self::Passthru => "passthru",
            Self::Drop => "drop",
            Self::TcpOnly => "tcp-only",
            Self::Data(_) => "local-data",
        }
    }
}

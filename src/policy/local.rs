//! Names answered from the configuration: `local-zone:` and `local-data:`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tracing::info;

use super::{Asked, Decision, defaults};
use crate::cache::Answer;
use crate::config::{Config, LocalZone, LocalZoneKind};
use crate::status::Reason;
use crate::wire::{Name, Rcode, Rdata, RecordType, Rrset, Soa, group_rrsets};

/// TTL of what a zone makes up itself, in seconds.
const SYNTHETIC_TTL: u32 = 3600;

/// The zones and the data in them.
///
/// Looking up a name that lies in no zone, which is what nearly every query does, allocates
/// nothing.
#[derive(Clone, Debug, Default)]
pub(super) struct LocalZones {
    /// By name in lower case, wire form.
    zones: HashMap<Box<[u8]>, Zone>,
    /// Data by owner, in lower case. A name without data that has names below it is here, too: it
    /// exists (RFC 8020 §2).
    data: HashMap<Box<[u8]>, Vec<Rrset>>,
    /// Bit N: there is a zone with N labels.
    depths: u128,
}

#[derive(Clone, Debug)]
struct Zone {
    name: Name,
    kind: LocalZoneKind,
    /// For the authority section of negative answers, its TTL as RFC 2308 §5 wants it.
    soa: Option<Rrset>,
}

impl LocalZones {
    /// The zones of the configuration and the ones that are always there.
    pub(super) fn new(config: &Config) -> Self {
        let mut zones = Self::default();
        for zone in &config.local_zones {
            zones.insert_zone(&zone.name, zone.kind);
        }
        for default in defaults::zones(config.unblock_lan_zones) {
            let taken = config.local_zones.iter().any(|zone| zone.name == default.name);
            if !taken {
                zones.insert_zone(&default.name, LocalZoneKind::Static);
                default.data.into_iter().for_each(|rrset| zones.insert_data(rrset));
            }
        }
        for rrset in group_rrsets(&config.local_data) {
            zones.insert_data(rrset);
        }
        zones
    }

    /// Every zone, in canonical order.
    pub(super) fn list(&self) -> Vec<LocalZone> {
        let zones = self.zones.values();
        let mut list: Vec<_> =
            zones.map(|zone| LocalZone { name: zone.name.clone(), kind: zone.kind }).collect();
        list.sort_by(|a, b| a.name.cmp(&b.name));
        list
    }

    fn insert_zone(&mut self, name: &Name, kind: LocalZoneKind) {
        if kind == LocalZoneKind::Nodefault {
            return;
        }
        let name = name.to_lowercase();
        self.depths |= 1 << name.label_count();
        self.zones.insert(name.as_wire().into(), Zone { name, kind, soa: None });
    }

    /// Adds data, to the zone it lies in or a transparent one of its own.
    fn insert_data(&mut self, rrset: Rrset) {
        let owner = rrset.owner.to_lowercase();
        let enclosing = owner.ancestors().find(|name| self.zones.contains_key(name.as_wire()));
        let apex = enclosing.unwrap_or_else(|| {
            self.insert_zone(&owner, LocalZoneKind::Transparent);
            owner.clone()
        });
        if owner == apex
            && rrset.rtype == RecordType::SOA
            && let Some(zone) = self.zones.get_mut(apex.as_wire())
        {
            zone.soa = negative_soa(&rrset);
        }
        for name in owner.ancestors().take_while(|name| name.is_below(&apex)).skip(1) {
            self.data.entry(name.as_wire().into()).or_default();
        }
        let sets = self.data.entry(owner.as_wire().into()).or_default();
        match sets.iter_mut().find(|set| set.rtype == rrset.rtype) {
            Some(set) => set.rdata.extend(rrset.rdata),
            None => sets.push(rrset),
        }
    }

    /// What local zones say about a question of class IN; `None`: nothing.
    pub(super) fn decide(&self, asked: &Asked<'_>, client: IpAddr) -> Option<Decision> {
        let mut lower = [0; Name::MAX_LEN];
        let lower = lower.get_mut(..asked.name_wire.len())?;
        lower.copy_from_slice(asked.name_wire);
        lower.make_ascii_lowercase();
        let zone = self.closest(lower, asked.rtype)?;
        let question = asked.question()?;
        let key = if zone.kind.is_redirect() { zone.name.as_wire() } else { &*lower };
        let data = self.data.get(key).map(Vec::as_slice);
        if zone.kind.is_logged() {
            info!(zone = %zone.name, %client, %question, "inform");
        }
        if zone.kind.looks_at_data()
            && let Some(rrset) = data.and_then(|data| find(data, question.rtype))
        {
            let rrset = Rrset { owner: question.name.clone(), ..rrset.clone() };
            let follow = rrset.rtype == RecordType::CNAME && rrset.rtype != question.rtype;
            if follow {
                return Some(Decision::Alias(Box::new(rrset)));
            }
            let mut answer = Answer::empty(question, Rcode::NOERROR);
            answer.answer.push(rrset);
            return Some(Decision::Local(Box::new(answer)));
        }
        let negative = |rcode| {
            let mut answer = Answer::empty(question.clone(), rcode);
            answer.authority.extend(zone.soa.clone());
            Some(Decision::Local(Box::new(answer)))
        };
        self.without_data(zone, &question, data, asked.stream, negative)
    }

    /// What a zone says where it has no data for the question.
    fn without_data(
        &self,
        zone: &Zone,
        question: &crate::wire::Question,
        data: Option<&[Rrset]>,
        stream: bool,
        negative: impl Fn(Rcode) -> Option<Decision>,
    ) -> Option<Decision> {
        use LocalZoneKind as Kind;
        let exists = data.is_some();
        match zone.kind {
            Kind::Deny | Kind::InformDeny | Kind::AlwaysDeny => Some(Decision::Drop),
            Kind::Refuse | Kind::AlwaysRefuse => Some(Decision::Refuse(Reason::Blocked)),
            Kind::Static if !exists => negative(Rcode::NXDOMAIN),
            Kind::AlwaysNxdomain => negative(Rcode::NXDOMAIN),
            Kind::Static | Kind::Redirect | Kind::InformRedirect | Kind::AlwaysNodata => {
                negative(Rcode::NOERROR)
            }
            Kind::BlockA | Kind::BlockAWdata if question.rtype == RecordType::A => {
                negative(Rcode::NOERROR)
            }
            Kind::BlockAaaa | Kind::BlockAaaaWdata if question.rtype == RecordType::AAAA => {
                negative(Rcode::NOERROR)
            }
            Kind::AlwaysNull => match null_address(question.rtype) {
                None => negative(Rcode::NOERROR),
                Some(ip) => {
                    let mut answer = Answer::empty(question.clone(), Rcode::NOERROR);
                    let (owner, rdata) = (question.name.clone(), vec![Rdata::from_ip(ip)]);
                    let rrset = Rrset::new(owner, question.rtype, SYNTHETIC_TTL, rdata);
                    answer.answer.push(rrset);
                    Some(Decision::Local(Box::new(answer)))
                }
            },
            // The name has data of another type: the zone knows it, so the type does not exist.
            Kind::Transparent | Kind::Inform | Kind::Noview | Kind::Ipset
                if data.is_some_and(|data| !data.is_empty()) =>
            {
                negative(Rcode::NOERROR)
            }
            Kind::Truncate if !stream => Some(Decision::Truncate),
            Kind::Transparent
            | Kind::Inform
            | Kind::Noview
            | Kind::Ipset
            | Kind::Typetransparent
            | Kind::AlwaysTransparent
            | Kind::BlockA
            | Kind::BlockAaaa
            | Kind::BlockAWdata
            | Kind::BlockAaaaWdata
            | Kind::Truncate
            | Kind::Nodefault => None,
        }
    }

    /// The closest zone at or above a name in lower case. Questions for DS belong to the parent's
    /// side (RFC 4035 §3.1.4.1).
    fn closest(&self, lower: &[u8], rtype: RecordType) -> Option<&Zone> {
        let mut rest = lower;
        if rtype == RecordType::DS {
            rest = parent(rest).unwrap_or(rest);
        }
        let mut labels = count_labels(rest);
        loop {
            if self.depths >> labels & 1 == 1
                && let Some(zone) = self.zones.get(rest)
            {
                return Some(zone);
            }
            rest = parent(rest)?;
            labels -= 1;
        }
    }
}

/// The wire form of a name without its first label; `None` for the root.
fn parent(wire: &[u8]) -> Option<&[u8]> {
    let len = usize::from(*wire.first()?);
    if len == 0 { None } else { wire.get(1 + len..) }
}

fn count_labels(wire: &[u8]) -> u32 {
    let mut labels = 0;
    let mut rest = wire;
    while let Some(tail) = parent(rest) {
        labels += 1;
        rest = tail;
    }
    labels
}

/// The data that answers a question: its type, or an alias; for ANY the first there is (RFC 8482).
fn find(data: &[Rrset], rtype: RecordType) -> Option<&Rrset> {
    if rtype == RecordType::ANY {
        return data.first();
    }
    let of = |rtype| data.iter().find(move |rrset| rrset.rtype == rtype);
    of(rtype).or_else(|| of(RecordType::CNAME))
}

fn null_address(rtype: RecordType) -> Option<IpAddr> {
    match rtype {
        RecordType::A => Some(Ipv4Addr::UNSPECIFIED.into()),
        RecordType::AAAA => Some(Ipv6Addr::UNSPECIFIED.into()),
        _ => None,
    }
}

fn negative_soa(rrset: &Rrset) -> Option<Rrset> {
    let soa = Soa::parse(rrset.rdata.first()?)?;
    Some(Rrset { ttl: rrset.ttl.min(soa.minimum), ..rrset.clone() })
}

impl LocalZoneKind {
    /// Whether the data of the zone's own name stands for everything below.
    fn is_redirect(self) -> bool {
        matches!(self, Self::Redirect | Self::InformRedirect)
    }

    fn is_logged(self) -> bool {
        matches!(self, Self::Inform | Self::InformDeny | Self::InformRedirect)
    }

    /// Whether `local-data:` in the zone counts.
    fn looks_at_data(self) -> bool {
        !matches!(
            self,
            Self::AlwaysRefuse
                | Self::AlwaysNxdomain
                | Self::AlwaysNodata
                | Self::AlwaysDeny
                | Self::AlwaysTransparent
                | Self::AlwaysNull
                | Self::BlockA
                | Self::BlockAaaa
                | Self::Truncate
        )
    }
}

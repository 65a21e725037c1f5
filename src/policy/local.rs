//! Names answered from the configuration: `local-zone:` and `local-data:`.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use tracing::info;

use super::clients::Sight;
use super::{Asked, Decision, alias, defaults};
use crate::cache::Answer;
use crate::config::{Config, LocalZone, LocalZoneKind, Netblock, Tag, TagSet, View};
use crate::status::Reason;
use crate::wire::{Name, Question, Rcode, Rdata, Record, RecordType, Rrset, Soa, group_rrsets};

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
    data: HashMap<Box<[u8]>, Node>,
    /// Bit N: there is a zone with N labels.
    depths: u128,
}

#[derive(Clone, Debug)]
struct Zone {
    name: Name,
    kind: LocalZoneKind,
    /// For the authority section of negative answers, its TTL as RFC 2308 §5 wants it.
    soa: Option<Rrset>,
    /// What few zones have.
    special: Option<Box<Special>>,
}

#[derive(Clone, Debug, Default)]
struct Special {
    /// Only for clients with one of these tags.
    tags: Option<TagSet>,
    /// `local-zone-override:`
    overrides: Vec<(Netblock, LocalZoneKind)>,
}

/// Data of one owner.
#[derive(Clone, Debug, Default)]
struct Node {
    /// Labels of the zone it belongs to.
    apex: usize,
    sets: Vec<Rrset>,
}

/// What a zone does for one client.
#[derive(Clone, Copy)]
struct Treatment<'a> {
    zone: &'a Zone,
    kind: LocalZoneKind,
    /// Data of the tag that made it apply.
    tagged: &'a [(Tag, Record)],
    tag: Option<Tag>,
}

/// What a view says about a question.
pub(super) enum InView {
    /// This; `None`: resolve it.
    Covered(Option<Decision>),
    /// Nothing.
    Outside,
}

impl LocalZones {
    /// The zones of the configuration and the ones that are always there.
    pub(super) fn new(config: &Config) -> Self {
        let defaults = Some(config.unblock_lan_zones);
        let mut zones = Self::of(&config.local_zones, &config.local_data, defaults);
        for (name, tags) in &config.policy.zone_tags {
            if let Some(special) = zones.special(name) {
                special.tags = Some(tags.clone());
            }
        }
        for (name, block, kind) in &config.policy.zone_overrides {
            if let Some(special) = zones.special(name) {
                special.overrides.push((*block, *kind));
            }
        }
        zones
    }

    /// The zones of a view; those that are always there are in it, too, when nothing else is asked.
    pub(super) fn of_view(view: &View, unblock_lan: bool) -> Self {
        let alone = !view.first && !view.zones.is_empty();
        Self::of(&view.zones, &view.data, alone.then_some(unblock_lan))
    }

    /// `defaults`: with those that are always there, which may lack those of private addresses.
    fn of(given: &[LocalZone], data: &[Record], defaults: Option<bool>) -> Self {
        let mut zones = Self::default();
        for zone in given {
            zones.insert_zone(&zone.name, zone.kind);
        }
        let defaults = defaults.map(defaults::zones).unwrap_or_default();
        for default in defaults {
            let taken = given.iter().any(|zone| zone.name == default.name);
            if !taken {
                zones.insert_zone(&default.name, LocalZoneKind::Static);
                default.data.into_iter().for_each(|rrset| zones.insert_data(rrset));
            }
        }
        // Grouping looks at every set for every record, which is too much for a blocklist; only
        // signatures need it.
        if data.iter().any(|record| record.rtype == RecordType::RRSIG) {
            group_rrsets(data).into_iter().for_each(|rrset| zones.insert_data(rrset));
        } else {
            for Record { owner, rtype, class, ttl, rdata } in data {
                let rrset = Rrset::new(owner.clone(), *rtype, *ttl, vec![rdata.clone()]);
                zones.insert_data(Rrset { class: *class, ..rrset });
            }
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

    /// Every RRset, in canonical order of owners.
    pub(super) fn data(&self) -> Vec<Rrset> {
        let mut list: Vec<_> = self.data.values().flat_map(|node| &node.sets).cloned().collect();
        list.sort_by(|a, b| (&a.owner, a.rtype.0).cmp(&(&b.owner, b.rtype.0)));
        list
    }

    /// Whether there is data of that very name.
    pub(super) fn has_data(&self, owner: &Name) -> bool {
        let node = self.data.get(owner.to_lowercase().as_wire());
        node.is_some_and(|node| !node.sets.is_empty())
    }

    fn special(&mut self, name: &Name) -> Option<&mut Special> {
        let zone = self.zones.get_mut(name.to_lowercase().as_wire())?;
        Some(zone.special.get_or_insert_default())
    }

    fn insert_zone(&mut self, name: &Name, kind: LocalZoneKind) {
        if kind == LocalZoneKind::Nodefault {
            return;
        }
        let name = name.to_lowercase();
        self.depths |= 1 << name.label_count();
        let zone = Zone { name, kind, soa: None, special: None };
        self.zones.insert(zone.name.as_wire().into(), zone);
    }

    /// Adds data, to the zone it lies in or a transparent one of its own.
    fn insert_data(&mut self, rrset: Rrset) {
        let owner = rrset.owner.to_lowercase();
        let enclosing = owner.ancestors().find(|name| self.zones.contains_key(name.as_wire()));
        let zone = enclosing.unwrap_or_else(|| {
            self.insert_zone(&owner, LocalZoneKind::Transparent);
            owner.clone()
        });
        if owner == zone
            && rrset.rtype == RecordType::SOA
            && let Some(zone) = self.zones.get_mut(zone.as_wire())
        {
            zone.soa = negative_soa(&rrset);
        }
        let apex = zone.label_count();
        let empty = || Node { apex, sets: Vec::new() };
        for name in owner.ancestors().take_while(|name| name.is_below(&zone)).skip(1) {
            self.data.entry(name.as_wire().into()).or_insert_with(empty);
        }
        let sets = &mut self.data.entry(owner.as_wire().into()).or_insert_with(empty).sets;
        match sets.iter_mut().find(|set| set.rtype == rrset.rtype) {
            Some(set) => {
                set.ttl = set.ttl.min(rrset.ttl);
                let new = rrset.rdata.into_iter().filter(|rdata| !set.rdata.contains(rdata));
                let new: Vec<_> = new.collect();
                set.rdata.extend(new);
            }
            None => sets.push(rrset),
        }
    }

    /// What local zones say about a question of class IN; `None`: nothing.
    pub(super) fn decide(
        &self,
        asked: &Asked<'_>,
        client: IpAddr,
        sight: &Sight,
    ) -> Option<Decision> {
        let mut lower = [0; Name::MAX_LEN];
        let lower = lowercase(asked, &mut lower)?;
        let zone = self.closest(lower, asked.rtype, |zone| zone.is_for(&sight.tags))?;
        self.answer(zone.treatment(client, sight), lower, asked, client)
    }

    /// What the zones of a view say. Zones that have nothing to say about a name leave it to those
    /// outside of the view.
    pub(super) fn decide_in_view(&self, asked: &Asked<'_>, client: IpAddr) -> InView {
        let mut lower = [0; Name::MAX_LEN];
        let Some(lower) = lowercase(asked, &mut lower) else { return InView::Outside };
        let Some(zone) = self.closest(lower, asked.rtype, |_| true) else {
            return InView::Outside;
        };
        if zone.kind == LocalZoneKind::Noview || !self.covers(zone, lower, asked.rtype) {
            return InView::Outside;
        }
        let treatment = Treatment { zone, kind: zone.kind, tagged: &[], tag: None };
        InView::Covered(self.answer(treatment, lower, asked, client))
    }

    /// Whether a zone that answers only what it knows knows this.
    fn covers(&self, zone: &Zone, lower: &[u8], rtype: RecordType) -> bool {
        use LocalZoneKind as Kind;
        let sets = self.sets(zone, lower);
        match zone.kind {
            Kind::Transparent | Kind::Inform | Kind::Ipset => sets.is_some(),
            Kind::Typetransparent => sets.is_some_and(|sets| find(sets, rtype).is_some()),
            _ => true,
        }
    }

    /// The data of a name in a zone; empty when only names below it have any.
    fn sets(&self, zone: &Zone, lower: &[u8]) -> Option<&[Rrset]> {
        let node = self.data.get(lower)?;
        (node.apex == zone.name.label_count()).then_some(node.sets.as_slice())
    }

    fn answer(
        &self,
        treatment: Treatment<'_>,
        lower: &[u8],
        asked: &Asked<'_>,
        client: IpAddr,
    ) -> Option<Decision> {
        let Treatment { zone, kind, .. } = treatment;
        let question = asked.question()?;
        if kind.is_logged() {
            info!(zone = %zone.name, %client, %question, "inform");
        }
        if let Some(rrset) = treatment.tagged_data(&question) {
            return Some(positive(question, rrset));
        }
        let key = if kind.is_redirect() { zone.name.as_wire() } else { lower };
        let data = self.sets(zone, key);
        if kind.looks_at_data()
            && let Some(rrset) = data.and_then(|data| find(data, question.rtype))
        {
            let rrset = Rrset { owner: question.name.clone(), ..rrset.clone() };
            return Some(positive(question, rrset));
        }
        let negative = |rcode| {
            let mut answer = Answer::empty(question.clone(), rcode);
            answer.authority.extend(zone.soa.clone());
            Some(Decision::Local(Box::new(answer)))
        };
        without_data(kind, &question, data, asked.stream, negative)
    }

    /// The closest zone at or above a name in lower case, of those that are `meant`. Questions for
    /// DS belong to the parent's side (RFC 4035 §3.1.4.1).
    fn closest(
        &self,
        lower: &[u8],
        rtype: RecordType,
        meant: impl Fn(&Zone) -> bool,
    ) -> Option<&Zone> {
        let mut rest = lower;
        if rtype == RecordType::DS {
            rest = parent(rest).unwrap_or(rest);
        }
        let mut labels = count_labels(rest);
        loop {
            if self.depths >> labels & 1 == 1
                && let Some(zone) = self.zones.get(rest).filter(|zone| meant(zone))
            {
                return Some(zone);
            }
            rest = parent(rest)?;
            labels -= 1;
        }
    }
}

impl Zone {
    /// Whether it is there for clients with those tags.
    fn is_for(&self, tags: &TagSet) -> bool {
        let own = self.special.as_ref().and_then(|special| special.tags.as_ref());
        own.is_none_or(|own| own.meets(tags))
    }

    /// What it does for that client: what `local-zone-override:` says, else the first tag both
    /// have, else its type.
    fn treatment<'a>(&'a self, client: IpAddr, sight: &'a Sight) -> Treatment<'a> {
        let plain = Treatment { zone: self, kind: self.kind, tagged: &[], tag: None };
        let Some(special) = &self.special else { return plain };
        let closest = special
            .overrides
            .iter()
            .filter(|(block, _)| block.contains(client))
            .max_by_key(|(block, _)| block.prefix());
        if let Some((_, kind)) = closest {
            return Treatment { kind: *kind, ..plain };
        }
        let tag = special.tags.as_ref().and_then(|tags| tags.first_common(&sight.tags));
        let kind = tag.and_then(|tag| sight.action(tag)).unwrap_or(self.kind);
        Treatment { kind, tagged: &sight.data, tag, ..plain }
    }
}

impl Treatment<'_> {
    /// What `access-control-tag-data:` has for the question.
    fn tagged_data(&self, question: &Question) -> Option<Rrset> {
        let tag = self.tag.filter(|_| self.kind.is_redirect())?;
        tagged_data(self.tagged, tag, &question.name, question.rtype)
    }
}

/// The data of a tag for a question, under that owner.
pub(super) fn tagged_data(
    data: &[(Tag, Record)],
    tag: Tag,
    owner: &Name,
    rtype: RecordType,
) -> Option<Rrset> {
    let of = |wanted| {
        let records = data.iter().filter(move |(t, r)| *t == tag && r.rtype == wanted);
        let mut records = records.map(|(_, record)| record).peekable();
        let ttl = records.peek()?.ttl;
        let rdata = records.map(|record| record.rdata.clone()).collect();
        Some(Rrset::new(owner.clone(), wanted, ttl, rdata))
    };
    of(rtype).or_else(|| of(RecordType::CNAME))
}

fn lowercase<'a>(asked: &Asked<'_>, space: &'a mut [u8; Name::MAX_LEN]) -> Option<&'a [u8]> {
    let lower = space.get_mut(..asked.name_wire.len())?;
    lower.copy_from_slice(asked.name_wire);
    lower.make_ascii_lowercase();
    Some(lower)
}

/// The answer that data gives: itself, or what it is an alias of.
pub(super) fn positive(question: Question, rrset: Rrset) -> Decision {
    let follow = rrset.rtype == RecordType::CNAME
        && !matches!(question.rtype, RecordType::CNAME | RecordType::ANY);
    if !follow {
        let mut answer = Answer::empty(question, Rcode::NOERROR);
        answer.answer.push(rrset);
        return Decision::Local(Box::new(answer));
    }
    match alias::expand(rrset) {
        Some(alias) => Decision::Alias(Box::new(alias)),
        None => Decision::Local(Box::new(Answer::empty(question, Rcode::YXDOMAIN))),
    }
}

/// What a zone says where it has no data for the question.
fn without_data(
    kind: LocalZoneKind,
    question: &Question,
    data: Option<&[Rrset]>,
    stream: bool,
    negative: impl Fn(Rcode) -> Option<Decision>,
) -> Option<Decision> {
    use LocalZoneKind as Kind;
    let exists = data.is_some();
    match kind {
        Kind::Deny | Kind::InformDeny | Kind::AlwaysDeny => Some(Decision::Drop),
        Kind::Refuse | Kind::AlwaysRefuse => {
            let mut answer = Answer::empty(question.clone(), Rcode::REFUSED);
            answer.reason = Some(Reason::Blocked);
            Some(Decision::Local(Box::new(answer)))
        }
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
    pub(super) fn is_redirect(self) -> bool {
        matches!(self, Self::Redirect | Self::InformRedirect)
    }

    pub(super) fn is_logged(self) -> bool {
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

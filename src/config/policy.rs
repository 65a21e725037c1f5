//! What clients may see: tags, views, response addresses, response policy zones.
//!
//! Names of tags and views are settled here once: a tag is a number from then on, in the order of
//! `define-tag:`, which is the order in which tags count.

use std::net::SocketAddr;

use super::auth::{AuthZone, ZoneSource};
use super::net::{AccessAction, Netblock};
use super::resolved::Config;
use super::zone::{LocalZone, LocalZoneKind};
use crate::wire::{Name, Rdata, Record, RecordType};

/// The options of policy that need more than a field each.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct PolicyOptions {
    /// Names of tags, in the order they count (`define-tag:`).
    pub tags: Vec<String>,
    /// What else is said about clients by their address, beside `access-control:`.
    pub clients: Vec<(Netblock, ClientRule)>,
    /// What is said about clients by the address they ask (`interface-*:`). Counts where no
    /// netblock of a client does.
    pub interfaces: Vec<(Listener, ClientRule)>,
    /// Tags of local zones.
    pub zone_tags: Vec<(Name, TagSet)>,
    /// Types of local zones for netblocks of clients.
    pub zone_overrides: Vec<(Name, Netblock, LocalZoneKind)>,
    /// What happens to addresses in answers.
    pub responses: ResponseRules,
    /// Views, in the order written.
    pub views: Vec<View>,
    /// Response policy zones, in the order they are applied.
    pub rpz: Vec<Rpz>,
}

/// An address of ours; any port when there is none.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Listener {
    /// Address and port.
    Address(SocketAddr),
    /// The name of a network interface, which a passed socket does not tell.
    Device(String),
}

/// One thing said about some clients.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum ClientRule {
    /// `interface-action:`
    Action(AccessAction),
    /// `access-control-tag:`
    Tags(TagSet),
    /// `access-control-tag-action:`
    TagAction(Tag, LocalZoneKind),
    /// `access-control-tag-data:`
    TagData(Tag, Record),
    /// `access-control-view:`, by its place in [`PolicyOptions::views`].
    View(usize),
}

/// A tag, by its place in `define-tag:`.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Tag(pub usize);

/// A set of tags.
#[derive(Clone, Debug, Default, Eq, Hash, PartialEq)]
pub struct TagSet(Vec<u64>);

impl TagSet {
    /// No tag.
    pub const NONE: Self = Self(Vec::new());

    /// Adds a tag.
    pub fn insert(&mut self, tag: Tag) {
        let word = tag.0 / 64;
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        if let Some(bits) = self.0.get_mut(word) {
            *bits |= 1 << (tag.0 % 64);
        }
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|bits| *bits == 0)
    }

    /// The first tag of both, in the order of `define-tag:`.
    pub fn first_common(&self, other: &Self) -> Option<Tag> {
        let both = self.0.iter().zip(&other.0).map(|(a, b)| a & b);
        let (word, bits) = both.enumerate().find(|(_, bits)| *bits != 0)?;
        Some(Tag(word * 64 + bits.trailing_zeros() as usize))
    }

    /// Whether they have a tag in common.
    pub fn meets(&self, other: &Self) -> bool {
        self.first_common(other).is_some()
    }
}

impl FromIterator<Tag> for TagSet {
    fn from_iter<I: IntoIterator<Item = Tag>>(tags: I) -> Self {
        let mut set = Self::default();
        tags.into_iter().for_each(|tag| set.insert(tag));
        set
    }
}

/// What happens to answers with certain addresses (`response-ip:`).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct ResponseRules {
    /// `response-ip:`; the last about a netblock counts.
    pub actions: Vec<(Netblock, LocalZoneKind)>,
    /// `response-ip-data:`; they add up.
    pub data: Vec<(Netblock, Substitute)>,
    /// `response-ip-tag:`; the first about a netblock counts.
    pub tags: Vec<(Netblock, TagSet)>,
}

impl ResponseRules {
    /// Whether nothing is said.
    pub fn is_empty(&self) -> bool {
        self.actions.is_empty() && self.data.is_empty() && self.tags.is_empty()
    }
}

/// A record without owner, to be put in the place of others.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Substitute {
    /// Its type.
    pub rtype: RecordType,
    /// Its TTL, in seconds.
    pub ttl: u32,
    /// Its data.
    pub rdata: Rdata,
}

/// Local zones of some clients (`view:`).
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct View {
    /// How it is called.
    pub name: String,
    /// Look outside of the view for what is not in it (`view-first:`).
    pub first: bool,
    /// Names answered from the configuration.
    pub zones: Vec<LocalZone>,
    /// Records of local zones.
    pub data: Vec<Record>,
    /// What happens to addresses in answers.
    pub responses: ResponseRules,
}

/// A response policy zone (`rpz:`).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rpz {
    /// The zone, and where it comes from.
    pub source: ZoneSource,
    /// Replaces every action in the zone.
    pub action: Option<RpzOverride>,
    /// The target of [`RpzOverride::Cname`].
    pub cname: Option<Name>,
    /// Log when the policy applies.
    pub log: bool,
    /// How the policy is called in the log; empty: by the name of the zone.
    pub log_name: String,
    /// Clear RA in answers that the policy denies.
    pub signal_nxdomain_ra: bool,
    /// Let clients ask for the zone itself.
    pub for_downstream: bool,
    /// Only for clients with one of these tags; `None`: for all.
    pub tags: Option<TagSet>,
}

impl Rpz {
    /// A zone with nothing else said about it.
    pub const fn new(source: ZoneSource) -> Self {
        Self {
            source,
            action: None,
            cname: None,
            log: false,
            log_name: String::new(),
            signal_nxdomain_ra: false,
            for_downstream: false,
            tags: None,
        }
    }
}

impl Config {
    /// Every zone that is kept as a copy: those of `auth-zone:`, and those of `rpz:`, which are not
    /// used for resolving.
    pub fn copied_zones(&self) -> Vec<AuthZone> {
        let policy = self.policy.rpz.iter().map(|rpz| AuthZone {
            for_upstream: false,
            for_downstream: rpz.for_downstream,
            ..AuthZone::new(rpz.source.clone())
        });
        self.auth_zones.iter().cloned().chain(policy).collect()
    }
}

/// An action that replaces those of a zone (`rpz-action-override:`).
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
pub enum RpzOverride {
    /// The name does not exist.
    Nxdomain,
    /// The type does not exist.
    Nodata,
    /// Nothing, and no other policy either.
    Passthru,
    /// No answer.
    Drop,
    /// As if the zone were not there; the log tells what it would have done.
    Disabled,
    /// An alias of `rpz-cname-override:`.
    Cname,
    /// An answer over TCP only.
    TcpOnly,
}

impl RpzOverride {
    /// Every action with its spelling in unbound.conf.
    pub const SPELLINGS: &'static [(&'static str, Self)] = &[
        ("nxdomain", Self::Nxdomain),
        ("nodata", Self::Nodata),
        ("passthru", Self::Passthru),
        ("drop", Self::Drop),
        ("disabled", Self::Disabled),
        ("cname", Self::Cname),
        ("tcp-only", Self::TcpOnly),
    ];
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tags_count_in_the_order_they_are_defined() {
        let set = |tags: &[usize]| tags.iter().map(|tag| Tag(*tag)).collect::<TagSet>();
        for (a, b, want) in [
            (set(&[]), set(&[1]), None),
            (set(&[3, 70]), set(&[70]), Some(Tag(70))),
            (set(&[3, 1, 70]), set(&[70, 3]), Some(Tag(3))),
            (set(&[64]), set(&[0]), None),
        ] {
            assert_eq!(a.first_common(&b), want, "{a:?} {b:?}");
            assert_eq!(b.meets(&a), want.is_some());
        }
    }
}

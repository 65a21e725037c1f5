//! Where trust begins and where it ends by configuration: trust anchors, negative trust anchors.

use super::crypto::Algorithm;
use super::digest::{self, Choice};
use crate::config::{AnchorKind, Config, TrustAnchor};
use crate::status::Reason;
use crate::wire::{Dnskey, Name, Rdata, RecordType};

/// The configured point closest above a name.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum Point {
    /// The zone of a trust anchor: names below it have to be proven from there (RFC 4035 §5).
    Anchor(Name),
    /// A negative trust anchor: names below it are not validated (RFC 7646).
    Negative,
}

/// The closest configured point at or above `name`; a negative trust anchor wins over a trust
/// anchor at the same name. `None`: nobody vouches for the name.
pub(super) fn closest(name: &Name, config: &Config) -> Option<Point> {
    let deepest = |names: &mut dyn Iterator<Item = &Name>| {
        names
            .filter(|point| name.is_at_or_below(point))
            .max_by_key(|point| point.label_count())
            .cloned()
    };
    let anchors = config.anchors();
    let anchor = deepest(&mut anchors.iter().map(|anchor| &anchor.owner));
    let negative = deepest(&mut config.domain_insecure.iter());
    match (anchor, negative) {
        (Some(anchor), Some(negative)) if anchor.is_below(&negative) => Some(Point::Anchor(anchor)),
        (_, Some(_)) => Some(Point::Negative),
        (Some(anchor), None) => Some(Point::Anchor(anchor)),
        (None, None) => None,
    }
}

/// The name whose zone holds the records of `rtype` at `owner`: for DS, that is on the parent's
/// side of the cut.
pub(super) fn zone_side(owner: &Name, rtype: RecordType) -> Name {
    match rtype {
        RecordType::DS => owner.parent().unwrap_or_else(Name::root),
        _ => owner.clone(),
    }
}

/// What the DNSKEY RRset of a zone has to match.
#[derive(Clone, Debug)]
pub(super) struct Trusted {
    /// DS records of the parent, or of anchors.
    ds: Vec<Rdata>,
    /// Keys that are anchors themselves.
    keys: Vec<Rdata>,
    /// Seconds the DS records may be kept.
    pub(super) ttl: u32,
    /// Configured, not learned.
    pub(super) is_anchor: bool,
}

impl Trusted {
    /// The anchors of `zone`. Several for one zone: any one that matches will do.
    ///
    /// # Errors
    ///
    /// Why the zone is insecure: we understand none of them.
    pub(super) fn from_anchors(zone: &Name, config: &Config) -> Result<Self, Reason> {
        let anchors = config.anchors();
        let of = |kind| {
            let here = anchors.iter().filter(move |a: &&TrustAnchor| a.kind == kind);
            here.filter(|anchor| anchor.owner == *zone).map(|anchor| anchor.rdata.clone())
        };
        let keys: Vec<_> = of(AnchorKind::Dnskey)
            .filter(|key| {
                Dnskey::parse(key)
                    .is_some_and(|k| Algorithm::supported(k.algorithm, config).is_some())
            })
            .collect();
        let ds: Vec<_> = of(AnchorKind::Ds).collect();
        match digest::choose(&ds, config) {
            Choice::Unsupported(reason) if keys.is_empty() => Err(reason),
            _ if ds.is_empty() && keys.is_empty() => Err(Reason::UnsupportedAlgorithm),
            _ => Ok(Self { ds, keys, ttl: u32::MAX, is_anchor: true }),
        }
    }

    /// An authenticated DS RRset, of which something is understood.
    pub(super) fn from_ds(ds: Vec<Rdata>, ttl: u32) -> Self {
        Self { ds, keys: Vec::new(), ttl, is_anchor: false }
    }

    /// The DS records that count.
    pub(super) fn ds<'a>(&'a self, config: &Config) -> Vec<crate::wire::Ds<'a>> {
        match digest::choose(&self.ds, config) {
            Choice::Match(ds) => ds,
            Choice::Unsupported(_) => Vec::new(),
        }
    }

    /// The keys that are anchors themselves.
    pub(super) fn keys(&self) -> &[Rdata] {
        &self.keys
    }

    /// Whether that very key is an anchor.
    pub(super) fn has_key(&self, dnskey: &Rdata) -> bool {
        self.keys.contains(dnskey)
    }

    /// Whether that is the revoked form of a key that is an anchor (RFC 5011 §2.1).
    pub(super) fn has_revoked(&self, dnskey: &Rdata) -> bool {
        Dnskey::parse(dnskey).is_some_and(|key| {
            key.flags & Dnskey::REVOKE != 0
                && self.keys.iter().filter_map(Dnskey::parse).any(|anchor| {
                    (anchor.flags | Dnskey::REVOKE, anchor.algorithm, anchor.public_key)
                        == (key.flags, key.algorithm, key.public_key)
                })
        })
    }

    /// Algorithms that are announced: with `harden-algo-downgrade`, each has to verify.
    pub(super) fn algorithms(&self, config: &Config) -> Vec<u8> {
        let ds = self.ds(config).into_iter().map(|ds| ds.algorithm).collect::<Vec<_>>();
        let keys = self.keys.iter().filter_map(Dnskey::parse).map(|key| key.algorithm);
        let mut algorithms: Vec<_> = ds.into_iter().chain(keys).collect();
        algorithms.sort_unstable();
        algorithms.dedup();
        algorithms
    }
}

//! The zones of a configuration, and the copy of each that is used right now.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::zone::Zone;
use crate::clock::UnixTime;
use crate::config::AuthZone;
use crate::wire::{Name, RecordType};

/// Addresses remembered of those who are known by name.
const MAX_NOTIFIERS: usize = 64;

/// The zones of a configuration. The set never changes; the copies in it do.
#[derive(Debug, Default)]
pub struct Zones {
    entries: Vec<Arc<Entry>>,
    /// Places of those that answer, by name in lower case, wire form.
    places: HashMap<Box<[u8]>, usize>,
    /// Bit N: a zone with N labels answers clients.
    downstream: u128,
    /// Bit N: a zone with N labels is used when resolving.
    upstream: u128,
}

/// One zone of the configuration.
#[derive(Debug)]
pub struct Entry {
    config: AuthZone,
    copy: ArcSwap<Copy>,
    /// Addresses of those who may announce changes and are known by name.
    notifiers: ArcSwap<Vec<IpAddr>>,
}

/// A copy of a zone. Replaced whole.
#[derive(Clone, Debug, Default)]
pub struct Copy {
    /// What was read or transferred last and passed its checks; kept beyond its end, since a
    /// transfer may go on from there.
    pub zone: Option<Arc<Zone>>,
    /// When it ends unless a primary confirms it before (RFC 1035 §3.3.13, EXPIRE). None: never.
    pub expires: Option<UnixTime>,
    /// When it came, or was last confirmed by a primary.
    pub confirmed: UnixTime,
    /// It failed the check of its digest, so that it must not be used.
    pub rejected: bool,
    /// Its digest is right, and whether that is signed has yet to be found out.
    pub unproven: bool,
}

impl Copy {
    /// Whether it may be used now.
    pub fn is_usable(&self, now: UnixTime) -> bool {
        self.zone.is_some() && !self.rejected && self.expires.is_none_or(|end| now < end)
    }
}

impl Entry {
    /// A zone without a copy.
    pub fn new(config: AuthZone) -> Self {
        Self { config, copy: ArcSwap::default(), notifiers: ArcSwap::default() }
    }

    /// The zone.
    pub fn name(&self) -> &Name {
        &self.config.source.name
    }

    /// What is configured for it.
    pub fn config(&self) -> &AuthZone {
        &self.config
    }

    /// The copy as it is, usable or not.
    pub fn copy(&self) -> Arc<Copy> {
        self.copy.load_full()
    }

    /// The zone, when there is a copy that may be used.
    pub fn zone(&self, now: UnixTime) -> Option<Arc<Zone>> {
        let copy = self.copy.load();
        copy.is_usable(now).then(|| copy.zone.clone()).flatten()
    }

    /// Whether `from` may announce a change of the zone.
    pub fn may_notify(&self, from: IpAddr) -> bool {
        self.config.source.may_notify(from) || self.notifiers.load().contains(&from)
    }

    /// Notes the addresses of somebody known by name who may announce changes.
    pub fn add_notifiers(&self, addresses: &[IpAddr]) {
        let mut known = Vec::clone(&self.notifiers.load());
        known.retain(|address| !addresses.contains(address));
        known.extend_from_slice(addresses);
        let old = known.len().saturating_sub(MAX_NOTIFIERS);
        self.notifiers.store(Arc::new(known.split_off(old)));
    }

    /// Replaces the copy.
    pub fn store(&self, copy: Copy) {
        self.copy.store(Arc::new(copy));
    }
}

impl Zones {
    /// The zones of a configuration, without copies. Of two that answer for one name the first
    /// counts.
    pub fn new(zones: impl IntoIterator<Item = AuthZone>) -> Self {
        Self::of(zones.into_iter().map(|zone| Arc::new(Entry::new(zone))).collect())
    }

    /// The zones of a new configuration; those whose source is the same keep their copy.
    pub fn renewed(&self, zones: impl IntoIterator<Item = AuthZone>) -> Self {
        let renewed = zones.into_iter().map(|zone| {
            let same = self.entries.iter().find(|entry| entry.config.source == zone.source);
            match same {
                Some(entry) if entry.config == zone => Arc::clone(entry),
                Some(entry) => {
                    let copy = ArcSwap::new(entry.copy());
                    Arc::new(Entry { copy, ..Entry::new(zone) })
                }
                None => Arc::new(Entry::new(zone)),
            }
        });
        Self::of(renewed.collect())
    }

    fn of(entries: Vec<Arc<Entry>>) -> Self {
        let mut zones = Self::default();
        for (place, entry) in entries.iter().enumerate() {
            let depth = 1 << entry.name().label_count().min(127);
            let (down, up) = (entry.config.for_downstream, entry.config.for_upstream);
            if !down && !up {
                continue;
            }
            zones.downstream |= if down { depth } else { 0 };
            zones.upstream |= if up { depth } else { 0 };
            zones.places.entry(entry.name().to_lowercase().as_wire().into()).or_insert(place);
        }
        zones.entries = entries;
        zones
    }

    /// Every zone, those that only serve as lists included.
    pub fn iter(&self) -> impl Iterator<Item = &Arc<Entry>> {
        self.entries.iter()
    }

    /// The zones of exactly that name.
    pub fn named<'a>(&'a self, name: &'a Name) -> impl Iterator<Item = &'a Arc<Entry>> {
        self.entries.iter().filter(move |entry| entry.name() == name)
    }

    /// The zone that answers clients for a name in wire form, uncompressed: the closest one at or
    /// above it, when that is `for-downstream`. DS at the apex of a zone belongs to the zone above.
    /// Allocates nothing when there is none.
    pub fn downstream(&self, name_wire: &[u8], rtype: RecordType) -> Option<&Arc<Entry>> {
        let entry = self.closest(name_wire, rtype, self.downstream)?;
        entry.config.for_downstream.then_some(entry)
    }

    /// The zone that is used to resolve a name in wire form: the closest one at or above it, when
    /// that is `for-upstream`. DS at the apex of a zone belongs to the zone above.
    pub fn upstream(&self, name_wire: &[u8], rtype: RecordType) -> Option<&Arc<Entry>> {
        let entry = self.closest(name_wire, rtype, self.upstream)?;
        entry.config.for_upstream.then_some(entry)
    }

    fn closest(&self, name_wire: &[u8], rtype: RecordType, depths: u128) -> Option<&Arc<Entry>> {
        if depths == 0 {
            return None;
        }
        let mut lower = [0; Name::MAX_LEN];
        let lower = lower.get_mut(..name_wire.len())?;
        lower.copy_from_slice(name_wire);
        lower.make_ascii_lowercase();
        let mut rest = &*lower;
        if rtype == RecordType::DS {
            rest = parent(rest)?;
        }
        loop {
            if let Some(place) = self.places.get(rest) {
                return self.entries.get(*place);
            }
            rest = parent(rest)?;
        }
    }
}

/// The wire form of a name without its first label; `None` for the root.
fn parent(wire: &[u8]) -> Option<&[u8]> {
    let len = usize::from(*wire.first()?);
    if len == 0 { None } else { wire.get(1 + len..) }
}

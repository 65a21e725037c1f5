//! Proven denials by zone, in the order of their zone, so that the record that covers a name is
//! found without having been asked for that name (RFC 8198).
//!
//! An NSEC record is found by the names it lies before, an NSEC3 record by hashes. What is stored
//! was verified by the caller; nothing here looks into it. The oldest leave first.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use super::region::Usage;
use crate::clock::{Now, UnixTime};
use crate::wire::{Name, Rrset};

/// A hashed owner name (RFC 5155 §3).
pub type NameHash = [u8; 20];

/// Octets an entry takes besides its records and the name of its zone: nodes of the maps.
const OVERHEAD: usize = 224;

/// Where a proven RRset belongs in its zone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum DenialPlace {
    /// The SOA, which every denial carries.
    Soa,
    /// An NSEC RRset, at its owner.
    Nsec,
    /// An NSEC3 RRset, at its hash.
    Nsec3 {
        /// The hash in its owner name.
        hash: NameHash,
        /// How the names of its chain are hashed.
        parameters: Nsec3Parameters,
    },
}

/// How names are hashed in a chain of NSEC3 records (RFC 5155 §3.1).
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Nsec3Parameters {
    /// Additional iterations.
    pub iterations: u16,
    /// Salt, possibly empty.
    pub salt: Box<[u8]>,
}

/// Proven denials by zone.
pub(super) struct Denials {
    bound: usize,
    inner: RwLock<Inner>,
}

#[derive(Default)]
struct Inner {
    zones: BTreeMap<Name, Zone>,
    /// In order of arrival. An entry that was replaced keeps its weight until its turn comes.
    queue: VecDeque<Queued>,
    weight: usize,
    last: u64,
}

#[derive(Default)]
struct Zone {
    soa: Option<Entry>,
    nsec: BTreeMap<Name, Entry>,
    /// One chain: records with other parameters replace all of them.
    nsec3: BTreeMap<NameHash, Entry>,
    parameters: Option<Nsec3Parameters>,
}

struct Entry {
    rrset: Rrset,
    /// When its TTL is over, which is what clients are shown.
    expires: UnixTime,
    /// Until when it may be used for other names: no later.
    usable: UnixTime,
    id: u64,
}

struct Queued {
    zone: Name,
    key: Key,
    id: u64,
    weight: usize,
}

enum Key {
    Soa,
    Nsec(Name),
    Nsec3(NameHash),
}

impl Denials {
    pub(super) fn new(bound: usize) -> Self {
        Self { bound, inner: RwLock::default() }
    }

    /// Remembers a proven RRset of `zone` for its TTL, or `cap` seconds if that is less.
    pub(super) fn store(&self, zone: &Name, place: DenialPlace, rrset: &Rrset, cap: u32, now: Now) {
        let weight = rrset.weight() + 2 * zone.len() + OVERHEAD;
        let lifetime = rrset.ttl.min(cap);
        if lifetime == 0 || weight > self.bound {
            return;
        }
        let mut inner = self.write();
        let (expires, usable) = (now.unix.plus(rrset.ttl), now.unix.plus(lifetime));
        inner.store(zone, place, Entry { rrset: rrset.clone(), expires, usable, id: 0 }, weight);
        while inner.weight > self.bound && inner.forget_oldest() {}
    }

    /// The SOA of exactly that zone.
    pub(super) fn soa(&self, zone: &Name, now: Now) -> Option<Rrset> {
        self.read().zones.get(zone)?.soa.as_ref()?.fresh(now)
    }

    /// The NSEC RRset at `name`, or the last one before it.
    pub(super) fn nsec(&self, zone: &Name, name: &Name, now: Now) -> Option<Rrset> {
        let inner = self.read();
        let (_, entry) = inner.zones.get(zone)?.nsec.range::<Name, _>(..=name).next_back()?;
        entry.fresh(now)
    }

    /// How to hash names for [`Denials::nsec3`].
    pub(super) fn parameters(&self, zone: &Name) -> Option<Nsec3Parameters> {
        self.read().zones.get(zone)?.parameters.clone()
    }

    /// The NSEC3 RRset at `hash`, or the last one before it; the chain is a circle.
    pub(super) fn nsec3(&self, zone: &Name, hash: &NameHash, now: Now) -> Option<Rrset> {
        let inner = self.read();
        let chain = &inner.zones.get(zone)?.nsec3;
        let (_, entry) = chain.range(..=*hash).next_back().or_else(|| chain.last_key_value())?;
        entry.fresh(now)
    }

    /// Forgets zones for which `is_meant` is true, and of the others what may speak about such a
    /// name below them: which names an NSEC3 chain speaks about cannot be told.
    pub(super) fn forget(&self, mut is_meant: impl FnMut(&Name) -> bool, name: &Name) {
        let mut inner = self.write();
        inner.zones.retain(|zone, denials| {
            if name.is_at_or_below(zone) {
                let before = denials.nsec.range::<Name, _>(..=name).next_back();
                if let Some(owner) = before.map(|(owner, _)| owner.clone()) {
                    denials.nsec.remove(&owner);
                }
                denials.nsec.retain(|owner, _| !is_meant(owner));
                denials.nsec3.clear();
            }
            !is_meant(zone)
        });
    }

    pub(super) fn clear(&self) {
        *self.write() = Inner::default();
    }

    pub(super) fn usage(&self) -> Usage {
        let inner = self.read();
        let entries = inner.zones.values().map(Zone::len).sum();
        Usage { entries, used: inner.weight, bound: self.bound }
    }

    /// A panic while the lock was held leaves at worst an entry too many or too few.
    fn read(&self) -> RwLockReadGuard<'_, Inner> {
        self.inner.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Inner> {
        self.inner.write().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Inner {
    fn store(&mut self, zone: &Name, place: DenialPlace, entry: Entry, weight: usize) {
        let denials = self.zones.entry(zone.clone()).or_default();
        let key = match place {
            DenialPlace::Soa => Key::Soa,
            DenialPlace::Nsec => Key::Nsec(entry.rrset.owner.clone()),
            DenialPlace::Nsec3 { hash, parameters } => {
                if denials.parameters.as_ref() != Some(&parameters) {
                    denials.nsec3.clear();
                    denials.parameters = Some(parameters);
                }
                Key::Nsec3(hash)
            }
        };
        if let Some(known) = denials.get_mut(&key)
            && known.rrset.rdata == entry.rrset.rdata
            && known.rrset.signatures == entry.rrset.signatures
        {
            known.expires = known.expires.max(entry.expires);
            known.usable = known.usable.max(entry.usable);
            return;
        }
        self.last += 1;
        let entry = Entry { id: self.last, ..entry };
        match &key {
            Key::Soa => denials.soa = Some(entry),
            Key::Nsec(owner) => drop(denials.nsec.insert(owner.clone(), entry)),
            Key::Nsec3(hash) => drop(denials.nsec3.insert(*hash, entry)),
        }
        self.weight += weight;
        self.queue.push_back(Queued { zone: zone.clone(), key, id: self.last, weight });
    }

    /// `false`: there is nothing left to forget.
    fn forget_oldest(&mut self) -> bool {
        let Some(oldest) = self.queue.pop_front() else { return false };
        self.weight = self.weight.saturating_sub(oldest.weight);
        if let Some(denials) = self.zones.get_mut(&oldest.zone) {
            if denials.get_mut(&oldest.key).is_some_and(|entry| entry.id == oldest.id) {
                denials.remove(&oldest.key);
            }
            if denials.len() == 0 {
                self.zones.remove(&oldest.zone);
            }
        }
        true
    }
}

impl Zone {
    fn get_mut(&mut self, key: &Key) -> Option<&mut Entry> {
        match key {
            Key::Soa => self.soa.as_mut(),
            Key::Nsec(owner) => self.nsec.get_mut(owner),
            Key::Nsec3(hash) => self.nsec3.get_mut(hash),
        }
    }

    fn remove(&mut self, key: &Key) {
        match key {
            Key::Soa => self.soa = None,
            Key::Nsec(owner) => drop(self.nsec.remove(owner)),
            Key::Nsec3(hash) => drop(self.nsec3.remove(hash)),
        }
    }

    fn len(&self) -> usize {
        self.nsec.len() + self.nsec3.len() + usize::from(self.soa.is_some())
    }
}

impl Entry {
    /// The RRset with its TTL counted down, unless that is over.
    fn fresh(&self, now: Now) -> Option<Rrset> {
        let ttl = now.unix.until(self.expires);
        (now.unix < self.usable).then(|| Rrset { ttl, ..self.rrset.clone() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::testing::{at, name};
    use crate::wire::{Rdata, RecordType};

    fn nsec(owner: &str, ttl: u32) -> Rrset {
        Rrset::new(name(owner), RecordType::NSEC, ttl, vec![Rdata::from_bytes(*b"next")])
    }

    fn owner(found: Option<Rrset>) -> Option<String> {
        found.map(|rrset| rrset.owner.to_string())
    }

    #[test]
    fn a_name_finds_the_record_at_or_before_it_in_canonical_order() {
        let denials = Denials::new(1 << 20);
        let zone = name("example.");
        for text in ["example.", "b.example.", "a.b.example.", "d.example."] {
            denials.store(&zone, DenialPlace::Nsec, &nsec(text, 100), u32::MAX, at(0));
        }
        for (text, expected) in [
            ("a.example.", Some("example.")),
            ("B.example.", Some("b.example.")),
            ("0.b.example.", Some("b.example.")),
            ("c.example.", Some("a.b.example.")),
            ("z.example.", Some("d.example.")),
            ("com.", None),
        ] {
            let found = owner(denials.nsec(&zone, &name(text), at(99)));
            assert_eq!(found.as_deref(), expected, "{text}");
        }
        assert_eq!(denials.nsec(&zone, &name("a.example."), at(100)), None, "expired");
        assert_eq!(denials.nsec(&name("com."), &name("a.example."), at(0)), None, "another zone");
        assert_eq!(denials.nsec(&zone, &name("a.example."), at(60)).unwrap().ttl, 40);
    }

    #[test]
    fn hashes_lie_on_a_circle_and_other_parameters_begin_a_new_one() {
        let denials = Denials::new(1 << 20);
        let zone = name("example.");
        let put = |octet: u8, iterations| {
            let parameters = Nsec3Parameters { iterations, salt: Box::new([]) };
            let place = DenialPlace::Nsec3 { hash: [octet; 20], parameters };
            denials.store(&zone, place, &nsec(&format!("{octet}.example."), 100), u32::MAX, at(0));
        };
        for octet in [10, 200] {
            put(octet, 0);
        }
        let find = |octet: u8| owner(denials.nsec3(&zone, &[octet; 20], at(0)));
        for (octet, expected) in
            [(5, "200."), (10, "10."), (11, "10."), (199, "10."), (255, "200.")]
        {
            assert_eq!(find(octet), Some(format!("{expected}example.")), "{octet}");
        }
        put(100, 1);
        assert_eq!(find(5).as_deref(), Some("100.example."));
        assert_eq!(denials.parameters(&zone).unwrap().iterations, 1);
    }

    #[test]
    fn the_bound_holds_and_the_oldest_leave_first() {
        let denials = Denials::new(64 << 10);
        let zone = name("example.");
        for i in 0..2_000 {
            let rrset = nsec(&format!("n{i:04}.example."), 100);
            denials.store(&zone, DenialPlace::Nsec, &rrset, u32::MAX, at(0));
            let again = Rrset { ttl: 50, ..rrset };
            denials.store(&zone, DenialPlace::Nsec, &again, u32::MAX, at(0));
            let usage = denials.usage();
            assert!(usage.used <= usage.bound, "{usage:?}");
        }
        let usage = denials.usage();
        assert!(usage.entries > 100 && usage.entries < 400, "{usage:?}");
        let last = denials.nsec(&zone, &name("n1999.example."), at(99));
        assert_eq!(owner(last).as_deref(), Some("n1999.example."), "the longer TTL stays");
        assert_eq!(denials.nsec(&zone, &name("n0500.example."), at(0)), None);
    }

    #[test]
    fn what_may_speak_about_a_forgotten_name_goes() {
        let filled = || {
            let denials = Denials::new(1 << 20);
            for (zone, owner) in
                [("example.", "example."), ("example.", "m.example."), ("m.example.", "m.example.")]
            {
                denials.store(&name(zone), DenialPlace::Nsec, &nsec(owner, 100), u32::MAX, at(0));
            }
            denials
        };
        let left = |denials: &Denials| {
            [("example.", "a.example."), ("example.", "n.example."), ("m.example.", "x.m.example.")]
                .map(|(zone, of)| denials.nsec(&name(zone), &name(of), at(0)).is_some())
        };
        let denials = filled();
        assert_eq!(left(&denials), [true, true, true]);
        let meant = name("b.example.");
        denials.forget(|name| *name == meant, &meant);
        assert_eq!(left(&denials), [false, true, true], "the one that covers it");
        let (denials, meant) = (filled(), name("m.example."));
        denials.forget(|name| name.is_at_or_below(&meant), &meant);
        assert_eq!(left(&denials), [true, true, false]);
        let denials = filled();
        denials.clear();
        assert_eq!(left(&denials), [false; 3]);
        assert_eq!(denials.usage().used, 0);
    }
}

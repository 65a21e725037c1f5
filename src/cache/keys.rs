//! What is known about the keys of zones.

use std::sync::Arc;

use super::codec::Key;
use super::region::Usage;
use super::table::Table;
use crate::clock::{Now, Rng, UnixTime};
use crate::status::Reason;
use crate::wire::{Name, Rdata};

/// The verdict about the keys of one zone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyEntry {
    /// The zone.
    pub zone: Name,
    /// The verdict.
    pub state: KeyState,
    /// When it has to be asked again.
    pub expires: UnixTime,
}

/// What the chain of trust says about a zone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyState {
    /// The zone is signed, and these are its keys.
    Secure {
        /// RDATA of the DNSKEY RRset.
        dnskeys: Vec<Rdata>,
    },
    /// Proven to be unsigned, or signed in a way nobody here understands.
    Insecure(Option<Reason>),
    /// The keys could not be had or do not match: nothing in the zone can be trusted.
    Bogus(Reason),
}

/// Octets of keys in one set of the table: room for many zones, or for one with a very large
/// DNSKEY RRset.
const SHARE: usize = 64 << 10;

/// Verdicts by zone.
pub(super) struct Keys {
    table: Table<Arc<KeyEntry>>,
}

impl Keys {
    pub(super) fn new(bytes: usize, rng: &mut Rng) -> Self {
        Self { table: Table::new(bytes, SHARE, rng) }
    }

    pub(super) fn get(&self, zone: &Name, now: Now) -> Option<Arc<KeyEntry>> {
        let key = Key::new([], zone.as_wire())?;
        self.table.get(key.as_bytes()).filter(|entry| now.unix < entry.expires)
    }

    pub(super) fn store(&self, entry: KeyEntry) {
        let Some(key) = Key::new([], entry.zone.as_wire()) else { return };
        self.table.update(key.as_bytes(), entry.weight(), |_| Arc::new(entry));
    }

    /// Keeps those for which `f` is true; tells how many were removed.
    pub(super) fn retain(&self, mut f: impl FnMut(&KeyEntry) -> bool) -> usize {
        self.table.retain(|_, entry| f(entry))
    }

    pub(super) fn usage(&self) -> Usage {
        self.table.usage()
    }
}

impl KeyEntry {
    /// Octets in memory, about: key, structures and allocations included.
    fn weight(&self) -> usize {
        let keys = match &self.state {
            KeyState::Secure { dnskeys } => dnskeys.iter().map(|rdata| rdata.len() + 32).sum(),
            KeyState::Insecure(_) | KeyState::Bogus(_) => 0,
        };
        2 * self.zone.len() + 192 + keys
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::testing::{at, name, rng};

    fn entry(zone: &str, state: KeyState) -> KeyEntry {
        KeyEntry { zone: name(zone), state, expires: at(100).unix }
    }

    #[test]
    fn a_verdict_is_found_for_exactly_its_zone_until_it_expires() {
        let keys = Keys::new(1 << 20, &mut rng());
        keys.store(entry("Example.org.", KeyState::Insecure(None)));
        assert!(keys.get(&name("eXample.org."), at(99)).is_some());
        assert!(keys.get(&name("example.org."), at(100)).is_none());
        assert!(keys.get(&name("www.example.org."), at(0)).is_none());
        keys.store(entry("example.org.", KeyState::Bogus(Reason::DnskeyMissing)));
        let found = keys.get(&name("example.org."), at(0)).unwrap();
        assert_eq!(found.state, KeyState::Bogus(Reason::DnskeyMissing));
    }

    #[test]
    fn many_zones_with_large_keys_stay_within_the_bound() {
        let keys = Keys::new(1 << 20, &mut rng());
        for i in 0..3_000 {
            let dnskeys = vec![Rdata::from_bytes(vec![0; 1_000]); 1 + i % 20];
            keys.store(entry(&format!("z{i}."), KeyState::Secure { dnskeys }));
            let usage = keys.usage();
            assert!(usage.used <= 1 << 20, "{usage:?}");
        }
        let usage = keys.usage();
        assert!(usage.used > 1 << 19 && usage.entries > 30, "{usage:?}");
        assert!(keys.get(&name("z2999."), at(0)).is_some(), "the newest is there");
    }
}

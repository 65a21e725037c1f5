//! Finding the NSEC3 records that prove something (RFC 5155 §7.2).

use std::collections::BTreeMap;

use data_encoding::BASE32HEX_NOPAD;
use ring::digest::{SHA1_FOR_LEGACY_USE_ONLY, digest};

use super::zone::Zone;
use crate::budget::NSEC3_ITERATIONS;
use crate::wire::{Name, Nsec3, RecordType, Rrset};

/// A SHA-1 hash of a name, the only kind there is (RFC 5155 §11).
type Hash = [u8; 20];
/// Hash algorithm 1.
const SHA1: u8 = 1;

/// The chain that `NSEC3PARAM` of a zone names.
#[derive(Clone, Debug)]
pub(super) struct Chain {
    iterations: u16,
    salt: Box<[u8]>,
    owners: BTreeMap<Hash, Name>,
}

impl Chain {
    /// The chain of a zone; none when it has none, or one whose hashes nobody should compute
    /// (RFC 9276 §3.2): what it denies is without proof then.
    pub(super) fn of(zone: &Zone) -> Option<Self> {
        let parameters = zone.rrset(zone.apex(), RecordType::NSEC3PARAM)?;
        let (iterations, salt) = parameters.rdata.iter().find_map(|rdata| {
            let [SHA1, 0, high, low, len, salt @ ..] = rdata.as_bytes() else { return None };
            let iterations = u16::from_be_bytes([*high, *low]);
            (salt.len() == usize::from(*len) && iterations <= NSEC3_ITERATIONS.max)
                .then_some((iterations, salt))
        })?;
        let mut owners = BTreeMap::new();
        for (name, node) in zone.nodes() {
            let belongs = |nsec3: Nsec3<'_>| {
                nsec3.algorithm == SHA1 && nsec3.iterations == iterations && nsec3.salt == salt
            };
            let set = node.get(RecordType::NSEC3);
            if set.is_some_and(|set| set.rdata.iter().filter_map(Nsec3::parse).any(belongs))
                && let Some(hash) = owner_hash(name, zone.apex())
            {
                owners.insert(hash, name.clone());
            }
        }
        Some(Self { iterations, salt: salt.into(), owners })
    }

    fn hash(&self, name: &Name) -> Option<Hash> {
        let mut octets = [name.to_lowercase().as_wire(), &*self.salt].concat();
        for _ in 0..self.iterations {
            let hash = digest(&SHA1_FOR_LEGACY_USE_ONLY, &octets);
            octets.clear();
            octets.extend_from_slice(hash.as_ref());
            octets.extend_from_slice(&self.salt);
        }
        digest(&SHA1_FOR_LEGACY_USE_ONLY, &octets).as_ref().try_into().ok()
    }

    /// The record of exactly that name.
    pub(super) fn matching<'z>(&self, name: &Name, zone: &'z Zone) -> Option<&'z Rrset> {
        zone.rrset(self.owners.get(&self.hash(name)?)?, RecordType::NSEC3)
    }

    /// The record whose span that name lies in; none when it has one of its own.
    pub(super) fn covering<'z>(&self, name: &Name, zone: &'z Zone) -> Option<&'z Rrset> {
        let hash = self.hash(name)?;
        let before = self.owners.range(..=hash).next_back();
        // The span of the last record goes round to the first.
        let (found, owner) = before.or_else(|| self.owners.last_key_value())?;
        (*found != hash).then(|| zone.rrset(owner, RecordType::NSEC3)).flatten()
    }
}

/// The hash in the owner name of an NSEC3 record: exactly one label above the zone's name.
fn owner_hash(owner: &Name, zone: &Name) -> Option<Hash> {
    if owner.label_count() != zone.label_count() + 1 {
        return None;
    }
    let label = owner.labels().next()?.to_ascii_uppercase();
    BASE32HEX_NOPAD.decode(&label).ok()?.try_into().ok()
}

//! What the tests of the cache are made of.

use rand::SeedableRng;

use super::Cache;
use crate::clock::{Mono, Now, Rng, UnixTime};
use crate::config::Config;
use crate::wire::{Name, Question, Rdata, RecordType, Rrset};

/// A moment `seconds` after an arbitrary one.
pub(super) fn at(seconds: u64) -> Now {
    let unix = UnixTime(1_700_000_000 + seconds);
    Now::new(Mono::from_micros(seconds * 1_000_000 + 10_000_000), unix)
}

pub(super) fn rng() -> Rng {
    Rng::seed_from_u64(7)
}

/// A cache with a configuration changed by `change`.
pub(super) fn cache(change: impl FnOnce(&mut Config)) -> Cache {
    let mut config = Config::default();
    change(&mut config);
    Cache::new(&config, &mut rng())
}

pub(super) fn name(text: &str) -> Name {
    text.parse().expect(text)
}

/// `"www.example. A"`.
pub(super) fn question(text: &str) -> Question {
    let (owner, rtype) = text.split_once(' ').expect(text);
    Question::new(name(owner), rtype.parse().expect(text))
}

pub(super) fn a(owner: &str, ttl: u32) -> Rrset {
    let rdata = [[192, 0, 2, 1], [192, 0, 2, 2], [192, 0, 2, 3]].map(Rdata::from_bytes);
    Rrset::new(name(owner), RecordType::A, ttl, rdata.to_vec())
}

pub(super) fn cname(owner: &str, ttl: u32, target: &str) -> Rrset {
    Rrset::new(name(owner), RecordType::CNAME, ttl, vec![Rdata::from_name(&name(target))])
}

pub(super) fn ns(owner: &str, ttl: u32, server: &str) -> Rrset {
    Rrset::new(name(owner), RecordType::NS, ttl, vec![Rdata::from_name(&name(server))])
}

pub(super) fn soa(owner: &str, ttl: u32, minimum: u32) -> Rrset {
    let mut rdata =
        [name("ns.example."), name("admin.example.")].map(|n| n.as_wire().to_vec()).concat();
    for field in [1, 7_200, 900, 86_400, minimum] {
        rdata.extend_from_slice(&u32::to_be_bytes(field));
    }
    Rrset::new(name(owner), RecordType::SOA, ttl, vec![Rdata::from_bytes(rdata)])
}

pub(super) fn nsec(owner: &str, ttl: u32) -> Rrset {
    let rdata = [name("zzz.example.").as_wire(), &[0, 1, 0x40]].concat();
    Rrset::new(name(owner), RecordType::NSEC, ttl, vec![Rdata::from_bytes(rdata)])
}

/// The RRset with a signature.
pub(super) fn signed(mut rrset: Rrset) -> Rrset {
    let mut rdata = rrset.rtype.0.to_be_bytes().to_vec();
    rdata.extend_from_slice(&[13, 2]);
    rdata.extend_from_slice(&[0; 14]);
    rdata.extend_from_slice(name("example.").as_wire());
    rdata.extend_from_slice(&[0x55; 64]);
    rrset.signatures.push(Rdata::from_bytes(rdata));
    rrset
}

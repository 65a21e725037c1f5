//! What the tests of the cache are made of.

use std::sync::Arc;

use rand::SeedableRng;

use super::memory::Memory;
use super::region::{Plan, Region};
use super::{Answer, Cache, Hit, HotEdns, HotQuery};
use crate::clock::{Mono, Now, Rng, UnixTime};
use crate::config::Config;
use crate::status::SecurityStatus;
use crate::wire::{Header, MAX_MESSAGE, Message, Name, Question, Rcode, Rdata, RecordType, Rrset};

/// A moment `seconds` after an arbitrary one.
pub(super) fn at(seconds: u64) -> Now {
    let unix = UnixTime(1_700_000_000 + seconds);
    Now::new(Mono::from_micros(seconds * 1_000_000 + 10_000_000), unix)
}

pub(super) fn rng() -> Rng {
    Rng::seed_from_u64(7)
}

/// A region of its own.
pub(super) fn region(octets: usize) -> Region {
    let plan = Plan::new(0, octets);
    Region::new(&Arc::new(Memory::anonymous(8 * plan.end()).unwrap()), plan, &[1; 16])
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

/// A client with its query.
#[derive(Clone, Debug)]
pub(super) struct Client {
    pub(super) question: Question,
    pub(super) id: u16,
    pub(super) flags: Header,
    /// DO, when there is OPT.
    pub(super) edns: Option<bool>,
}

impl Client {
    /// A client that asks with RD only.
    pub(super) fn new(text: &str) -> Self {
        let flags = Header::default().with_rd(true);
        Self { question: question(text), id: 0, flags, edns: None }
    }

    pub(super) fn with_do(self) -> Self {
        Self { edns: Some(true), ..self }
    }

    pub(super) fn with_cd(self) -> Self {
        Self { flags: self.flags.with_cd(true), ..self }
    }

    pub(super) fn with_ad(self) -> Self {
        Self { flags: self.flags.with_ad(true), ..self }
    }

    pub(super) fn hot(&self) -> HotQuery<'_> {
        HotQuery {
            id: self.id,
            flags: self.flags.bits,
            name_wire: self.question.name.as_wire(),
            rtype: self.question.rtype,
            class: self.question.class,
            edns: self.edns.map(|dnssec_ok| HotEdns { udp_size: 1232, dnssec_ok }),
        }
    }

    /// What the cache gives, taken apart.
    pub(super) fn ask(&self, cache: &Cache, seconds: u64) -> Option<(Message, Hit)> {
        let mut out = [0; MAX_MESSAGE];
        let hit = cache.hit(&self.hot(), at(seconds), &mut out)?;
        Some((Message::parse(&out[..hit.len]).expect("what we send can be read"), hit))
    }

    pub(super) fn ask_stale(&self, cache: &Cache, seconds: u64) -> Option<(Message, Hit)> {
        let mut out = [0; MAX_MESSAGE];
        let hit = cache.stale_hit(&self.hot(), at(seconds), &mut out)?;
        Some((Message::parse(&out[..hit.len]).expect("what we send can be read"), hit))
    }
}

/// An answer of that status with those RRsets in the answer section.
pub(super) fn answer(text: &str, status: SecurityStatus, rrsets: Vec<Rrset>) -> Answer {
    let mut answer = Answer::empty(question(text), Rcode::NOERROR);
    answer.answer = rrsets;
    answer.status = status;
    answer
}

/// NXDOMAIN with SOA and proof.
pub(super) fn nxdomain(text: &str, status: SecurityStatus) -> Answer {
    let mut answer = Answer::empty(question(text), Rcode::NXDOMAIN);
    answer.authority = vec![signed(soa("example.", 3_600, 600)), signed(nsec("a.example.", 3_600))];
    answer.status = status;
    answer
}

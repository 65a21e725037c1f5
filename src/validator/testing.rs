//! A signed world of a few names, made at run time, and a validation driven against it.

use std::collections::HashMap;

use rand::SeedableRng;
use ring::signature::{Ed25519KeyPair, KeyPair};

use super::{Action, Event, Validation, View};
use crate::budget::Budget;
use crate::cache::{Answer, Cache};
use crate::clock::{Mono, Now, Rng, UnixTime};
use crate::config::{AnchorKind, Config, TrustAnchor, ValDate};
use crate::rollover::Rollover;
use crate::status::{Reason, SecurityStatus};
use crate::wire::{
    Dnskey, Name, Question, Rcode, Rdata, RecordType, Rrset, Rrsig, canonical_rdata,
};

/// The moment of every test unless it says otherwise.
pub(super) const NOW: u32 = 1_700_000_000;
/// A day and a month, in seconds.
pub(super) const DAY: u32 = 86_400;
pub(super) const MONTH: u32 = 30 * DAY;

pub(super) fn name(text: &str) -> Name {
    text.parse().unwrap()
}

pub(super) fn question(qname: &str, rtype: RecordType) -> Question {
    Question::new(name(qname), rtype)
}

/// An RRset whose record data is given as octets.
pub(super) fn rrset(owner: &str, rtype: RecordType, rdata: &[&[u8]]) -> Rrset {
    Rrset::new(name(owner), rtype, 3600, rdata.iter().map(|d| Rdata::from_bytes(*d)).collect())
}

pub(super) fn a(owner: &str) -> Rrset {
    rrset(owner, RecordType::A, &[&[192, 0, 2, 1]])
}

/// An RRset whose record data is one name.
pub(super) fn pointing(owner: &str, rtype: RecordType, to: &str) -> Rrset {
    Rrset::new(name(owner), rtype, 3600, vec![Rdata::from_name(&name(to))])
}

pub(super) fn soa(zone: &str) -> Rrset {
    let rdata = [name(zone).as_wire(), name(zone).as_wire(), &[0; 19], &[60]].concat();
    rrset(zone, RecordType::SOA, &[&rdata])
}

/// A type bitmap of window 0.
pub(super) fn bitmap(types: &[RecordType]) -> Vec<u8> {
    let mut bits = [0u8; 32];
    for rtype in types {
        let [high, low] = rtype.0.to_be_bytes();
        assert_eq!(high, 0, "types of window 0 only");
        bits[usize::from(low / 8)] |= 0x80 >> (low % 8);
    }
    let len = bits.iter().rposition(|octet| *octet != 0).map_or(0, |last| last + 1);
    if len == 0 { Vec::new() } else { [&[0, u8::try_from(len).unwrap()], &bits[..len]].concat() }
}

pub(super) fn nsec(owner: &str, next: &str, types: &[RecordType]) -> Rrset {
    let rdata = [name(next).as_wire(), &bitmap(types)].concat();
    rrset(owner, RecordType::NSEC, &[&rdata])
}

/// A key of a zone: Ed25519, or the octets of one with another algorithm number.
pub(super) struct Key {
    pair: Ed25519KeyPair,
    pub(super) rdata: Rdata,
}

impl Key {
    pub(super) fn new(seed: u8, flags: u16) -> Self {
        Self::of_algorithm(seed, flags, 15)
    }

    /// Signs with Ed25519 and says it is `algorithm`.
    pub(super) fn of_algorithm(seed: u8, flags: u16, algorithm: u8) -> Self {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[seed; 32]).unwrap();
        let head = [&flags.to_be_bytes()[..], &[3, algorithm]].concat();
        let rdata = Rdata::from_bytes([&head, pair.public_key().as_ref()].concat());
        Self { pair, rdata }
    }

    pub(super) fn tag(&self) -> u16 {
        Dnskey::parse(&self.rdata).unwrap().key_tag
    }

    pub(super) fn algorithm(&self) -> u8 {
        self.rdata.as_bytes()[3]
    }

    pub(super) fn ds(&self, zone: &str, digest_type: u8) -> Rdata {
        let algorithm = match digest_type {
            1 => &ring::digest::SHA1_FOR_LEGACY_USE_ONLY,
            4 => &ring::digest::SHA384,
            _ => &ring::digest::SHA256,
        };
        let data = [name(zone).to_lowercase().as_wire(), self.rdata.as_bytes()].concat();
        let head = [&self.tag().to_be_bytes()[..], &[self.algorithm(), digest_type]].concat();
        let digest = ring::digest::digest(algorithm, &data);
        Rdata::from_bytes([&head, digest.as_ref()].concat())
    }

    /// Signs `rrset` as `zone`, in the ordinary way.
    pub(super) fn sign(&self, rrset: Rrset, zone: &str) -> Rrset {
        self.sign_on(rrset, Terms::new(zone))
    }

    /// Signs `rrset` on these terms.
    pub(super) fn sign_on(&self, mut rrset: Rrset, terms: Terms) -> Rrset {
        let labels = terms.labels.unwrap_or_else(|| rrset.owner.rrsig_labels());
        let mut head = Vec::new();
        head.extend(terms.covered.unwrap_or(rrset.rtype).0.to_be_bytes());
        head.extend([
            terms.algorithm.unwrap_or_else(|| self.algorithm()),
            u8::try_from(labels).unwrap(),
        ]);
        head.extend(terms.ttl.to_be_bytes());
        head.extend(terms.expiration.to_be_bytes());
        head.extend(terms.inception.to_be_bytes());
        head.extend(terms.tag.unwrap_or_else(|| self.tag()).to_be_bytes());
        head.extend(name(&terms.signer).to_lowercase().as_wire());
        let owner = if labels < rrset.owner.rrsig_labels() {
            rrset.owner.suffix(labels).wildcard_child().unwrap()
        } else {
            rrset.owner.clone()
        };
        let mut records: Vec<_> =
            rrset.rdata.iter().map(|rdata| canonical_rdata(rrset.rtype, rdata)).collect();
        records.sort();
        let mut data = head.clone();
        for record in records {
            data.extend(owner.to_lowercase().as_wire());
            data.extend(rrset.rtype.0.to_be_bytes());
            data.extend(rrset.class.0.to_be_bytes());
            data.extend(terms.ttl.to_be_bytes());
            data.extend(u16::try_from(record.len()).unwrap().to_be_bytes());
            data.extend(&*record);
        }
        head.extend(self.pair.sign(&data).as_ref());
        rrset.signatures.push(Rdata::from_bytes(head));
        rrset
    }
}

/// What a signature says. `None`: what is true.
#[derive(Clone, Debug)]
pub(super) struct Terms {
    pub(super) signer: String,
    pub(super) labels: Option<usize>,
    pub(super) covered: Option<RecordType>,
    pub(super) algorithm: Option<u8>,
    pub(super) tag: Option<u16>,
    pub(super) ttl: u32,
    pub(super) inception: u32,
    pub(super) expiration: u32,
}

impl Terms {
    pub(super) fn new(signer: &str) -> Self {
        Self {
            signer: signer.to_owned(),
            labels: None,
            covered: None,
            algorithm: None,
            tag: None,
            ttl: 3600,
            inception: NOW - DAY,
            expiration: NOW + MONTH,
        }
    }

    pub(super) fn labels(mut self, labels: usize) -> Self {
        self.labels = Some(labels);
        self
    }

    pub(super) fn dates(mut self, inception: u32, expiration: u32) -> Self {
        (self.inception, self.expiration) = (inception, expiration);
        self
    }
}

/// Answers by question; whatever is not there fails.
///
/// A new world has the signed zones `.` (the anchor), `test.` and `zone.test.`, and `plain.test.`
/// without DS. A world may be spoiled afterwards.
pub(super) struct World {
    pub(super) config: Config,
    pub(super) root: Key,
    pub(super) test: Key,
    pub(super) zone: Key,
    pub(super) cache: Cache,
    pub(super) now: u32,
    pub(super) answers: HashMap<Question, Answer>,
    /// Questions of the last validation; an `!` marks those asked again.
    pub(super) asked: Vec<String>,
    pub(super) rollover: Rollover,
}

pub(super) const TEST_NSEC: &[RecordType] =
    &[RecordType::NS, RecordType::SOA, RecordType::RRSIG, RecordType::NSEC, RecordType::DNSKEY];

impl World {
    pub(super) fn new() -> Self {
        let (root, test, zone) = (Key::new(1, 257), Key::new(2, 257), Key::new(3, 256));
        let anchor =
            TrustAnchor { owner: Name::root(), kind: AnchorKind::Ds, rdata: root.ds(".", 2) };
        let config =
            Config { trust_anchors: vec![anchor], minimal_responses: false, ..Config::default() };
        let cache = Cache::new(&config, &mut Rng::seed_from_u64(1));
        let (answers, asked) = (HashMap::new(), Vec::new());
        let rollover = Rollover::default();
        let mut world =
            Self { config, root, test, zone, cache, now: NOW, answers, asked, rollover };
        world.put(".", RecordType::DNSKEY, vec![world.dnskey(".", &world.root)], vec![]);
        world.put("test.", RecordType::DNSKEY, vec![world.dnskey("test.", &world.test)], vec![]);
        let zone = world.dnskey("zone.test.", &world.zone);
        world.put("zone.test.", RecordType::DNSKEY, vec![zone], vec![]);
        world.delegate(".", "test.", vec![world.test.ds("test.", 2)]);
        world.delegate("test.", "zone.test.", vec![world.zone.ds("zone.test.", 2)]);
        let no_ds = nsec("plain.test.", "quiet.test.", &[RecordType::NS, RecordType::NSEC]);
        world.no_ds("plain.test.", vec![world.test.sign(no_ds, "test.")]);
        world
    }

    /// The DNSKEY RRset of a zone with one key, signed by that key.
    pub(super) fn dnskey(&self, zone: &str, key: &Key) -> Rrset {
        key.sign(rrset(zone, RecordType::DNSKEY, &[key.rdata.as_bytes()]), zone)
    }

    /// The key of a zone that is there from the beginning.
    pub(super) fn key(&self, zone: &str) -> &Key {
        match zone {
            "." => &self.root,
            "test." => &self.test,
            _ => &self.zone,
        }
    }

    /// Puts a signed DS RRset of `child` into `parent`.
    pub(super) fn delegate(&mut self, parent: &str, child: &str, ds: Vec<Rdata>) {
        let ds = Rrset::new(name(child), RecordType::DS, 3600, ds);
        let ds = self.key(parent).sign(ds, parent);
        self.put(child, RecordType::DS, vec![ds], vec![]);
    }

    /// Puts a NODATA answer to the DS question for `child`.
    pub(super) fn no_ds(&mut self, child: &str, authority: Vec<Rrset>) {
        self.put(child, RecordType::DS, vec![], authority);
    }

    pub(super) fn put(
        &mut self,
        qname: &str,
        rtype: RecordType,
        answer: Vec<Rrset>,
        authority: Vec<Rrset>,
    ) {
        let question = question(qname, rtype);
        let answer =
            Answer { answer, authority, ..Answer::empty(question.clone(), Rcode::NOERROR) };
        self.answers.insert(question, answer);
    }

    /// Validates the answer with these sections.
    pub(super) fn judge(
        &mut self,
        qname: &str,
        rtype: RecordType,
        rcode: Rcode,
        answer: Vec<Rrset>,
        authority: Vec<Rrset>,
    ) -> Answer {
        let empty = Answer::empty(question(qname, rtype), rcode);
        self.validate(Answer { answer, authority, ..empty })
    }

    /// Validates an answer, with a fresh budget.
    pub(super) fn validate(&mut self, answer: Answer) -> Answer {
        self.validate_within(answer, &mut Budget::new(Mono::ZERO, 48))
    }

    /// Validates an answer within a budget.
    pub(super) fn validate_within(&mut self, answer: Answer, budget: &mut Budget) -> Answer {
        let now = Now::new(Mono::ZERO, UnixTime(self.now.into()));
        let mut view =
            View { cache: &self.cache, config: &self.config, budget, rollover: &self.rollover };
        let mut validation = Validation::new(answer);
        let mut action = validation.handle(Event::Start, &mut view, now);
        self.asked.clear();
        for _ in 0..200 {
            let (question, mark) = match action {
                Action::Finish(answer) => return answer,
                Action::Need(question) => (question, ""),
                Action::NeedOther(question) => (question, "!"),
            };
            self.asked.push(format!("{mark}{} {}", question.name, question.rtype));
            let failure = Answer::failure(question.clone(), Reason::NoReachableAuthority);
            let answer = self.answers.get(&question).unwrap_or(&failure);
            let event = Event::Resolved { question: &question, answer };
            action = validation.handle(event, &mut view, now);
        }
        panic!("a validation that does not end: {:?}", self.asked);
    }

    /// Forgets every key, so that the next validation begins at the anchor.
    pub(super) fn forget(&mut self) {
        self.cache = Cache::new(&self.config, &mut Rng::seed_from_u64(1));
    }

    /// Dates do not matter from now on.
    pub(super) fn ignore_dates(&mut self) {
        self.config.val_override_date = ValDate::Ignored;
    }
}

/// What a test looks at: status and the Extended DNS Error.
pub(super) fn verdict(answer: &Answer) -> (SecurityStatus, Option<u16>) {
    (answer.status, answer.reason.map(|reason| reason.ede().0))
}

/// The TTL at which a signature expires, for tests of clipping.
pub(super) fn expiration(rrset: &Rrset) -> u32 {
    Rrsig::parse(&rrset.signatures[0]).unwrap().expiration
}

//! One zone: its records, and what it says about a name.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::denial::{Chain, Denial};
use super::faults::{Fault, FaultKind};
use super::signer::{Algorithm, Key, Terms};
use super::text::Mistake;
use crate::clock::UnixTime;
use crate::wire::{Dnskey, Name, Rdata, Record, RecordType, Rrset, Soa};

/// Validity of signatures, before and after the moment they are made, in seconds.
const VALIDITY: (u64, u64) = (2 * 3600, 14 * DAY);
const DAY: u64 = 86_400;

/// RRsets of one owner.
pub(super) type Node = BTreeMap<RecordType, Rrset>;

/// One zone, signed or not.
#[derive(Clone, Debug)]
pub struct Zone {
    /// Name of the apex.
    pub origin: Name,
    /// What is wrong with it.
    pub faults: Vec<Fault>,
    /// How it denies.
    pub denial: Denial,
    nodes: BTreeMap<Name, Node>,
    keys: Option<Arc<Keys>>,
    chain: Chain,
}

/// The keys of a zone.
#[derive(Debug)]
pub struct Keys {
    sep: Key,
    zone: Option<Key>,
    /// A key the zone does not have, for faults.
    foreign: Key,
    /// Further keys with the tag of the last one, useless for verifying.
    twins: Vec<Rdata>,
}

/// How the keys of a zone are made.
#[derive(Clone, Debug)]
pub struct KeyPlan {
    /// Algorithm of all of them.
    pub algorithm: Algorithm,
    /// One key for all, instead of one for DNSKEY and one for the rest.
    pub single: bool,
    /// Flags they have, besides SEP.
    pub flags: u16,
    /// How many useless keys share the tag of the zone's key (KeyTrap).
    pub twins: u8,
    /// What the keys follow from, besides the zone's name.
    pub seed: String,
}

impl Default for KeyPlan {
    fn default() -> Self {
        Self {
            algorithm: Algorithm::Ed25519,
            single: false,
            flags: Dnskey::ZONE,
            twins: 0,
            seed: String::new(),
        }
    }
}

impl Keys {
    /// Makes the keys of a zone.
    ///
    /// # Errors
    ///
    /// [`Mistake::Key`] when a key cannot be made.
    pub fn new(zone: &Name, plan: &KeyPlan) -> Result<Self, Mistake> {
        let seed = |role: &[u8]| [zone.as_wire(), plan.seed.as_bytes(), role].concat();
        let key = |role: &[u8], flags| Key::new(plan.algorithm, flags, &seed(role));
        let sep = key(b"sep", plan.flags | Dnskey::SEP)?;
        let zone = if plan.single { None } else { Some(key(b"zone", plan.flags)?) };
        let last = zone.as_ref().unwrap_or(&sep).rdata();
        let twins = (0..plan.twins).map(|n| twin(last, n.into())).collect();
        Ok(Self { foreign: key(b"foreign", plan.flags | Dnskey::SEP)?, sep, zone, twins })
    }

    /// RDATA of all DNSKEY records, useless ones first.
    fn dnskeys(&self) -> impl Iterator<Item = &Rdata> {
        let real = std::iter::once(&self.sep).chain(&self.zone).map(Key::rdata);
        self.twins.iter().chain(real)
    }

    /// The key a DS record is for.
    pub fn sep(&self) -> &Key {
        &self.sep
    }

    /// A key the zone does not have.
    pub fn foreign(&self) -> &Key {
        &self.foreign
    }
}

/// What a zone has to say about a question. RRsets are signed if that was asked for.
#[derive(Debug)]
pub enum Found {
    /// The name is in a zone that was delegated at this name.
    Referral(Name),
    /// The name is below this DNAME.
    Dname(Rrset),
    /// The RRsets asked for, and the wildcard they came from.
    Answer(Vec<Rrset>, Option<Name>),
    /// An alias, and the wildcard it came from.
    Alias(Rrset, Option<Name>),
    /// The name has no such type; the wildcard if the name exists only by it.
    NoData(Option<Name>),
    /// There is no such name.
    NxDomain,
}

impl Zone {
    /// An empty zone.
    pub fn new(origin: Name, keys: Option<Arc<Keys>>, denial: Denial) -> Self {
        let (faults, nodes) = (Vec::new(), BTreeMap::new());
        Self { origin, faults, denial, nodes, keys, chain: Chain::default() }
    }

    /// The keys, if it is signed.
    pub fn keys(&self) -> Option<&Arc<Keys>> {
        self.keys.as_ref()
    }

    /// Adds a record; [`finish`](Self::finish) must follow before questions.
    pub fn insert(&mut self, record: Record) {
        let node = self.nodes.entry(record.owner.clone()).or_default();
        let rrset = node.entry(record.rtype).or_insert_with(|| {
            Rrset::new(record.owner.clone(), record.rtype, record.ttl, Vec::new())
        });
        rrset.ttl = rrset.ttl.min(record.ttl);
        if !rrset.rdata.contains(&record.rdata) {
            rrset.rdata.push(record.rdata);
        }
    }

    /// Removes an RRset, or all of an owner; [`finish`](Self::finish) must follow.
    pub fn remove(&mut self, owner: &Name, rtype: Option<RecordType>) {
        let Some(node) = self.nodes.get_mut(owner) else { return };
        node.retain(|each, _| rtype.is_some_and(|rtype| rtype != *each));
        if node.is_empty() {
            self.nodes.remove(owner);
        }
    }

    /// The RRset of that owner and type, unsigned.
    pub fn rrset(&self, owner: &Name, rtype: RecordType) -> Option<&Rrset> {
        self.nodes.get(owner)?.get(&rtype)
    }

    /// All owners with their RRsets, in canonical order.
    pub fn nodes(&self) -> &BTreeMap<Name, Node> {
        &self.nodes
    }

    /// Adds what the zone needs to be one, and links its names for denials.
    pub fn finish(&mut self) {
        if let Some(keys) = self.keys.clone() {
            self.remove(&self.origin.clone(), Some(RecordType::DNSKEY));
            for rdata in keys.dnskeys() {
                self.insert(self.at_apex(RecordType::DNSKEY, 3600, rdata.clone()));
            }
            if let Some(rdata) = self.denial.parameters() {
                self.insert(self.at_apex(RecordType::NSEC3PARAM, 0, rdata));
            }
        }
        if self.rrset(&self.origin, RecordType::SOA).is_none() {
            let mut soa = Vec::new();
            for label in [&b"ns1"[..], b"hostmaster"] {
                let host = self.origin.prepend(label).unwrap_or_else(|_| self.origin.clone());
                soa.extend_from_slice(host.as_wire());
            }
            for number in [1u32, 7200, 3600, 1_209_600, 300] {
                soa.extend(number.to_be_bytes());
            }
            self.insert(self.at_apex(RecordType::SOA, 3600, Rdata::from_bytes(soa)));
        }
        self.chain = Chain::new(self);
    }

    fn at_apex(&self, rtype: RecordType, ttl: u32, rdata: Rdata) -> Record {
        let class = crate::wire::Class::IN;
        Record { owner: self.origin.clone(), rtype, class, ttl, rdata }
    }

    /// The SOA record of a denial (RFC 2308 §3); signed if `dated`.
    pub fn soa(&self, dated: Option<UnixTime>) -> Option<Rrset> {
        let mut soa = self.rrset(&self.origin, RecordType::SOA)?.clone();
        let minimum = Soa::parse(soa.rdata.first()?)?.minimum;
        let mut signed = self.signed(&soa, dated);
        soa.ttl = soa.ttl.min(minimum);
        signed.ttl = soa.ttl;
        Some(signed)
    }

    /// Where authority for `qname` was passed on, if it was: the topmost delegation or DNAME
    /// on the way down. The parent speaks about DS at the cut itself (RFC 4035 §3.1.4.1).
    fn passed_on(&self, qname: &Name, qtype: RecordType) -> Option<(&Name, RecordType)> {
        let depth = self.origin.label_count();
        for labels in depth..=qname.label_count() {
            let Some((owner, node)) = self.nodes.get_key_value(&qname.suffix(labels)) else {
                continue;
            };
            let at_qname = labels == qname.label_count();
            if labels > depth
                && node.contains_key(&RecordType::NS)
                && !(at_qname && qtype == RecordType::DS)
            {
                return Some((owner, RecordType::NS));
            }
            if !at_qname && node.contains_key(&RecordType::DNAME) {
                return Some((owner, RecordType::DNAME));
            }
        }
        None
    }

    /// Whether the name exists, be it only because something is below it (RFC 4592 §2.2).
    pub fn exists(&self, name: &Name) -> bool {
        self.nodes.range(name..).next().is_some_and(|(next, _)| next.is_at_or_below(name))
    }

    /// The longest ancestor of `name` that exists (RFC 4592 §3.3.1).
    pub fn closest_encloser(&self, name: &Name) -> Name {
        name.ancestors()
            .skip(1)
            .find(|ancestor| self.exists(ancestor))
            .unwrap_or_else(|| self.origin.clone())
    }

    /// RFC 1034 §4.3.2, with RFC 4592 and RFC 6672; RRsets signed as of `dated`, if given.
    pub fn lookup(&self, qname: &Name, qtype: RecordType, dated: Option<UnixTime>) -> Found {
        match self.passed_on(qname, qtype) {
            Some((cut, RecordType::NS)) => return Found::Referral(cut.clone()),
            Some((owner, rtype)) => {
                return match self.rrset(owner, rtype) {
                    Some(rrset) => Found::Dname(self.signed(rrset, dated)),
                    None => Found::NxDomain,
                };
            }
            None => {}
        }
        if let Some(node) = self.nodes.get(qname) {
            return self.at_node(node, qname, qtype, None, dated);
        }
        if self.exists(qname) {
            return Found::NoData(None);
        }
        let source = self.closest_encloser(qname).wildcard_child().ok();
        match source.and_then(|source| Some((self.nodes.get(&source)?, source))) {
            Some((node, source)) => self.at_node(node, qname, qtype, Some(source), dated),
            None => Found::NxDomain,
        }
    }

    fn at_node(
        &self,
        node: &Node,
        qname: &Name,
        qtype: RecordType,
        source: Option<Name>,
        dated: Option<UnixTime>,
    ) -> Found {
        let expand = |rrset: &Rrset| {
            let mut rrset = self.signed(rrset, dated);
            rrset.owner = qname.clone();
            rrset
        };
        let proof = self.chain.at(self, qname).filter(|_| qtype == RecordType::NSEC);
        if let Some(rrset) = proof.filter(|rrset| rrset.rtype == RecordType::NSEC) {
            return Found::Answer(vec![self.signed(&rrset, dated)], None);
        }
        match (node.get(&RecordType::CNAME), qtype) {
            (Some(_), RecordType::CNAME | RecordType::ANY | RecordType::RRSIG) | (None, _) => {}
            (Some(alias), _) => return Found::Alias(expand(alias), source),
        }
        let found: Vec<Rrset> = match qtype {
            RecordType::ANY => node.values().map(expand).collect(),
            RecordType::RRSIG => node.values().filter_map(|r| signatures(&expand(r))).collect(),
            _ => node.get(&qtype).map(expand).into_iter().collect(),
        };
        if found.is_empty() { Found::NoData(source) } else { Found::Answer(found, source) }
    }

    /// The RRset with its signatures as of `dated`, unless faults say otherwise.
    pub fn signed(&self, rrset: &Rrset, dated: Option<UnixTime>) -> Rrset {
        let mut rrset = rrset.clone();
        let (Some(keys), Some(now)) = (&self.keys, dated) else { return rrset };
        let fault = self.faults.iter().find(|f| f.concerns(&rrset.owner, rrset.rtype));
        let kind = fault.map(|fault| fault.kind);
        let key = match (kind, &keys.zone) {
            (Some(FaultKind::ForeignKey), _) => &keys.foreign,
            (Some(FaultKind::NotBySep), Some(zone)) => zone,
            (_, Some(zone)) if rrset.rtype != RecordType::DNSKEY => zone,
            _ => &keys.sep,
        };
        if kind == Some(FaultKind::Unsigned) {
            return rrset;
        }
        let rdata = key.sign(&rrset, &self.terms(&rrset, kind, now));
        rrset.signatures = match kind {
            Some(FaultKind::Corrupt) => vec![corrupt(&rdata, 1)],
            Some(FaultKind::Flood) => (0..=20).rev().map(|n| corrupt(&rdata, n)).collect(),
            _ => vec![rdata],
        };
        rrset
    }

    fn terms(&self, rrset: &Rrset, fault: Option<FaultKind>, now: UnixTime) -> Terms {
        // By the hour, so that equal questions give equal signatures for a while.
        let hour = now.0 - now.0 % 3600;
        let window = (hour - VALIDITY.0.min(hour), hour + VALIDITY.1);
        let (inception, expiration) = match fault {
            Some(FaultKind::Expired) => (hour - 9 * DAY, hour - 2 * DAY),
            Some(FaultKind::NotYetValid) => (hour + 2 * DAY, hour + 9 * DAY),
            Some(FaultKind::Backwards) => (window.1, window.0),
            _ => window,
        };
        let labels = u8::try_from(rrset.owner.rrsig_labels()).unwrap_or(u8::MAX);
        Terms {
            signer: match fault {
                Some(FaultKind::ParentSigner) => self.origin.parent().unwrap_or_else(Name::root),
                _ => self.origin.clone(),
            },
            inception: UnixTime(inception).serial(),
            expiration: UnixTime(expiration).serial(),
            labels: match fault {
                Some(FaultKind::FewerLabels) => Some(labels.saturating_sub(1)),
                Some(FaultKind::MoreLabels) => Some(labels.saturating_add(1)),
                _ => None,
            },
            algorithm: (fault == Some(FaultKind::UnknownAlgorithm))
                .then_some(Algorithm::Unknown.number()),
        }
    }

    /// NSEC or NSEC3 RRsets that prove `what`, signed; none if the zone is not signed.
    pub fn prove(&self, what: &super::Proof<'_>, dated: Option<UnixTime>) -> Vec<Rrset> {
        if self.keys.is_none() || dated.is_none() {
            return Vec::new();
        }
        let mut proof = self.chain.prove(self, what);
        let about = what.about();
        for fault in self.faults.iter().filter(|f| f.owner.as_ref().is_none_or(|o| o == about)) {
            match fault.kind {
                FaultKind::NoProof => proof.clear(),
                FaultKind::HalfProof => drop(proof.pop()),
                _ => {}
            }
        }
        proof.iter().map(|rrset| self.signed(rrset, dated)).collect()
    }
}

/// Another key with the same tag: the tag is a sum of 16-bit words, and two words are exchanged.
fn twin(rdata: &Rdata, n: usize) -> Rdata {
    let mut octets = rdata.as_bytes().to_vec();
    let words = (octets.len() - 4) / 2;
    let (i, j) = (n % words, (n + 1 + n / words) % words);
    for octet in 0..2 {
        octets.swap(4 + 2 * i + octet, 4 + 2 * j + octet);
    }
    Rdata::from_bytes(octets)
}

fn signatures(rrset: &Rrset) -> Option<Rrset> {
    (!rrset.signatures.is_empty()).then(|| {
        Rrset::new(rrset.owner.clone(), RecordType::RRSIG, rrset.ttl, rrset.signatures.clone())
    })
}

/// RDATA with its last octet changed by `mask`; 0 leaves it right.
fn corrupt(rdata: &Rdata, mask: u8) -> Rdata {
    let mut octets = rdata.as_bytes().to_vec();
    if let Some(last) = octets.last_mut() {
        *last ^= mask;
    }
    Rdata::from_bytes(octets)
}

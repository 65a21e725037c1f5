//! A zone as its owners see it: names in canonical order, each with its RRsets.

use std::collections::{BTreeMap, HashSet};
use std::sync::Arc;

use thiserror::Error;

use super::nsec3::Chain;
use crate::wire::{Class, Name, Rdata, Record, RecordType, Rrset, Soa};

/// Records of a zone at most, whatever it comes from.
pub const MAX_RECORDS: usize = 20_000_000;

/// Octets of RDATA in one RRset at most: more has no place in a message.
const MAX_RRSET: usize = 65_535;

/// RRsets with more records than this are searched for duplicates by a table.
const FEW: usize = 16;

/// One version of a zone. It never changes: another version is another value.
///
/// Names outside of the zone are not in it. Those below a delegation are, as glue, and those below a
/// DNAME, although nobody is told of them.
#[derive(Clone, Debug, Default)]
pub struct Zone {
    pub(super) apex: ApexName,
    pub(super) nodes: BTreeMap<Name, Arc<Node>>,
    soa: Option<Soa>,
    records: usize,
    pub(super) nsec3: Option<Chain>,
}

/// The name of a zone; the root by default.
#[derive(Clone, Debug)]
pub(super) struct ApexName(pub(super) Name);

impl Default for ApexName {
    fn default() -> Self {
        Self(Name::root())
    }
}

/// What is known of one name: its RRsets, SOA first, then by number of the type. RRSIG records whose
/// RRset is missing are an RRset of their own.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub struct Node {
    sets: Vec<Rrset>,
}

/// Why records are no zone.
#[derive(Clone, Debug, Eq, Error, PartialEq)]
#[non_exhaustive]
pub enum ZoneError {
    /// More than [`MAX_RECORDS`].
    #[error("more than {MAX_RECORDS} records")]
    TooManyRecords,
    /// An RRset that no message could carry.
    #[error("the {rtype} RRset of {owner} has no place in a message")]
    RrsetTooLarge {
        /// Its owner.
        owner: Name,
        /// Its type.
        rtype: RecordType,
    },
    /// Records that say that there are two versions of the zone.
    #[error("more than one SOA record")]
    SecondSoa,
    /// A SOA record that cannot be read.
    #[error("malformed SOA record")]
    MalformedSoa,
    /// A record of another class than IN.
    #[error("record of class {class}")]
    Class {
        /// The class.
        class: Class,
    },
    /// An incremental transfer removes a record that is not there.
    #[error("the {rtype} record of {owner} that is to go does not exist")]
    NoSuchRecord {
        /// Its owner.
        owner: Name,
        /// Its type.
        rtype: RecordType,
    },
    /// An incremental transfer that begins at another version than ours.
    #[error("the change begins at version {found}, ours is {ours}")]
    OtherVersion {
        /// The version it begins at.
        found: u32,
        /// Our version.
        ours: u32,
    },
}

impl Node {
    /// Its RRsets.
    pub fn rrsets(&self) -> &[Rrset] {
        &self.sets
    }

    /// The RRset of that type.
    pub fn get(&self, rtype: RecordType) -> Option<&Rrset> {
        self.sets.iter().find(|set| set.rtype == rtype)
    }

    /// Whether the name has a delegation, its own zone's apex not counted.
    pub(super) fn is_cut(&self, name: &Name, apex: &Name) -> bool {
        name != apex && self.get(RecordType::NS).is_some()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sets.is_empty()
    }

    fn set(&mut self, owner: &Name, rtype: RecordType, ttl: u32) -> &mut Rrset {
        let order = |rtype: RecordType| (rtype != RecordType::SOA, rtype.0);
        let at = self.sets.partition_point(|set| order(set.rtype) < order(rtype));
        if self.sets.get(at).is_none_or(|set| set.rtype != rtype) {
            self.sets.insert(at, Rrset::new(owner.clone(), rtype, ttl, Vec::new()));
        }
        &mut self.sets[at]
    }

    /// Adds a record without looking for a duplicate.
    pub(super) fn push(&mut self, record: Record) {
        let Record { owner, rtype, ttl, rdata, .. } = record;
        if rtype == RecordType::RRSIG
            && let Some(covered) = rdata.covered_type()
            && let Some(set) = self.sets.iter_mut().find(|set| set.rtype == covered)
        {
            set.signatures.push(rdata);
            return;
        }
        let new = self.get(rtype).is_none();
        let set = self.set(&owner, rtype, ttl);
        set.ttl = set.ttl.min(ttl);
        set.rdata.push(rdata);
        if new && rtype != RecordType::RRSIG {
            self.adopt(rtype);
        }
    }

    /// Gives the RRset of `rtype` the signatures that were there before it.
    fn adopt(&mut self, rtype: RecordType) {
        let Some(orphans) = self.sets.iter_mut().find(|set| set.rtype == RecordType::RRSIG) else {
            return;
        };
        let (mine, others): (Vec<_>, Vec<_>) = std::mem::take(&mut orphans.rdata)
            .into_iter()
            .partition(|rdata| rdata.covered_type() == Some(rtype));
        orphans.rdata = others;
        self.sets.retain(|set| !set.rdata.is_empty());
        if let Some(set) = self.sets.iter_mut().find(|set| set.rtype == rtype) {
            set.signatures.extend(mine);
        }
    }

    /// Takes a record out; whether it was there. Signatures stay when what they cover goes.
    pub(super) fn remove(&mut self, record: &Record) -> bool {
        let Record { owner, rtype, rdata, .. } = record;
        if *rtype == RecordType::RRSIG {
            let covered = rdata.covered_type();
            let set = self.sets.iter_mut().find(|set| Some(set.rtype) == covered);
            if let Some(set) = set
                && take(&mut set.signatures, rdata)
            {
                return true;
            }
        }
        let Some(at) = self.sets.iter().position(|set| set.rtype == *rtype) else { return false };
        if !take(&mut self.sets[at].rdata, rdata) {
            return false;
        }
        if self.sets[at].rdata.is_empty() {
            let gone = self.sets.remove(at);
            if !gone.signatures.is_empty() {
                self.set(owner, RecordType::RRSIG, gone.ttl).rdata.extend(gone.signatures);
            }
        }
        true
    }

    /// Leaves one of equal records; how many there are then.
    ///
    /// # Errors
    ///
    /// When an RRset is larger than any can be.
    pub(super) fn settle(&mut self) -> Result<usize, ZoneError> {
        let mut count = 0;
        for set in &mut self.sets {
            distinct(&mut set.rdata);
            distinct(&mut set.signatures);
            let octets = |list: &[Rdata]| list.iter().map(|rdata| rdata.len() + 12).sum::<usize>();
            if octets(&set.rdata) > MAX_RRSET || octets(&set.signatures) > MAX_RRSET {
                let (owner, rtype) = (set.owner.clone(), set.rtype);
                return Err(ZoneError::RrsetTooLarge { owner, rtype });
            }
            count += set.rdata.len() + set.signatures.len();
        }
        Ok(count)
    }
}

fn take(list: &mut Vec<Rdata>, rdata: &Rdata) -> bool {
    let found = list.iter().position(|known| known == rdata);
    found.map(|at| list.remove(at)).is_some()
}

/// Removes repetitions, the order kept.
fn distinct(list: &mut Vec<Rdata>) {
    if list.len() < 2 {
        return;
    }
    if list.len() <= FEW {
        let mut at = 1;
        while at < list.len() {
            let (before, rest) = list.split_at(at);
            if before.contains(&rest[0]) {
                list.remove(at);
            } else {
                at += 1;
            }
        }
        return;
    }
    let mut seen = HashSet::with_capacity(list.len());
    list.retain(|rdata| seen.insert(rdata.clone()));
}

impl Zone {
    /// The zone `apex` made of records in any order.
    ///
    /// # Errors
    ///
    /// As [`Builder::add`] and [`Builder::finish`].
    pub fn from_records(
        apex: &Name,
        records: impl IntoIterator<Item = Record>,
    ) -> Result<Self, ZoneError> {
        let mut builder = Builder::new(apex.clone());
        for record in records {
            builder.add(record)?;
        }
        builder.finish()
    }

    /// The name of the zone.
    pub fn apex(&self) -> &Name {
        &self.apex.0
    }

    /// The SOA record of the apex. None in zones from files that have none, which can serve as lists
    /// but not as zones.
    pub fn soa(&self) -> Option<&Soa> {
        self.soa.as_ref()
    }

    /// The version.
    pub fn serial(&self) -> Option<u32> {
        self.soa.as_ref().map(|soa| soa.serial)
    }

    /// How many records it has, signatures included.
    pub fn records(&self) -> usize {
        self.records
    }

    /// Every name that has records, in canonical order.
    pub fn nodes(&self) -> impl Iterator<Item = (&Name, &Node)> {
        self.nodes.iter().map(|(name, node)| (name, &**node))
    }

    /// Every RRset: by owner in canonical order, the apex and its SOA first, then by type.
    pub fn rrsets(&self) -> impl Iterator<Item = &Rrset> {
        self.nodes.values().flat_map(|node| node.sets.iter())
    }

    /// What is known of a name that has records.
    pub fn node(&self, name: &Name) -> Option<&Node> {
        self.nodes.get(name).map(|node| &**node)
    }

    /// The RRset of that owner and type, glue included.
    pub fn rrset(&self, owner: &Name, rtype: RecordType) -> Option<&Rrset> {
        self.node(owner)?.get(rtype)
    }

    /// Whether there is a signature in it.
    pub fn is_signed(&self) -> bool {
        self.rrset(self.apex(), RecordType::DNSKEY).is_some()
    }

    /// Settles what follows from the nodes.
    fn complete(mut self, dirty: Option<&HashSet<Name>>) -> Result<Self, ZoneError> {
        let mut records = 0;
        for (name, node) in &mut self.nodes {
            if dirty.is_none_or(|dirty| dirty.contains(name)) {
                Arc::make_mut(node).settle()?;
            }
            let sets = node.sets.iter();
            records += sets.map(|set| set.rdata.len() + set.signatures.len()).sum::<usize>();
        }
        self.records = records;
        self.soa = match self.rrset(self.apex(), RecordType::SOA) {
            None => None,
            Some(set) if set.rdata.len() > 1 => return Err(ZoneError::SecondSoa),
            Some(set) => {
                Some(set.rdata.first().and_then(Soa::parse).ok_or(ZoneError::MalformedSoa)?)
            }
        };
        self.nsec3 = Chain::of(&self);
        Ok(self)
    }

    /// A version with records taken out and put in, in that order (RFC 1995 §4).
    ///
    /// # Errors
    ///
    /// When a record to be removed is not there, or what comes out is no zone.
    pub fn changed(&self, changes: Vec<Change>) -> Result<Self, ZoneError> {
        let mut new = self.clone();
        let mut dirty = HashSet::new();
        for change in changes {
            for record in change.removed {
                let missing = || {
                    let (owner, rtype) = (record.owner.clone(), record.rtype);
                    ZoneError::NoSuchRecord { owner, rtype }
                };
                let node = new.nodes.get_mut(&record.owner).ok_or_else(missing)?;
                let node = Arc::make_mut(node);
                if !node.remove(&record) {
                    return Err(missing());
                }
                if node.is_empty() {
                    new.nodes.remove(&record.owner);
                }
            }
            for record in change.added {
                if !record.owner.is_at_or_below(new.apex()) {
                    continue;
                }
                dirty.insert(record.owner.clone());
                let node = new.nodes.entry(record.owner.clone()).or_default();
                Arc::make_mut(node).push(record);
            }
        }
        new.complete(Some(&dirty))
    }
}

/// One step of an incremental transfer: from a version to the next.
#[derive(Clone, Debug, Default)]
pub struct Change {
    /// The old SOA and what goes with it.
    pub removed: Vec<Record>,
    /// The new SOA and what comes with it.
    pub added: Vec<Record>,
}

/// Two zones are equal when they have the same records in the same order, TTLs included.
impl PartialEq for Zone {
    fn eq(&self, other: &Self) -> bool {
        self.apex() == other.apex() && self.nodes == other.nodes
    }
}

/// Makes a [`Zone`] of records that come one by one.
#[derive(Debug, Default)]
pub struct Builder {
    zone: Zone,
    count: usize,
    outside: usize,
}

impl Builder {
    /// Begins a zone.
    pub fn new(apex: Name) -> Self {
        let zone = Zone { apex: ApexName(apex), ..Zone::default() };
        Self { zone, count: 0, outside: 0 }
    }

    /// Adds a record; one that lies outside of the zone is counted and left out.
    ///
    /// # Errors
    ///
    /// When there are too many, or it is not of class IN.
    pub fn add(&mut self, record: Record) -> Result<(), ZoneError> {
        if record.class != Class::IN {
            return Err(ZoneError::Class { class: record.class });
        }
        if !record.owner.is_at_or_below(self.zone.apex()) {
            self.outside += 1;
            return Ok(());
        }
        self.count += 1;
        if self.count > MAX_RECORDS {
            return Err(ZoneError::TooManyRecords);
        }
        let node = self.zone.nodes.entry(record.owner.clone()).or_default();
        Arc::make_mut(node).push(record);
        Ok(())
    }

    /// How many records were left out because they lie outside of the zone.
    pub fn outside(&self) -> usize {
        self.outside
    }

    /// The zone.
    ///
    /// # Errors
    ///
    /// When an RRset is too large, or the SOA is not one.
    pub fn finish(self) -> Result<Zone, ZoneError> {
        self.zone.complete(None)
    }
}

//! Questions, records and RRsets.

use std::fmt;

use super::{Class, Name, Rdata, RecordType};

/// What is asked: name, type and class.
#[derive(Clone, Debug, Eq, Hash, PartialEq)]
pub struct Question {
    /// QNAME, in the case it was asked with.
    pub name: Name,
    /// QTYPE.
    pub rtype: RecordType,
    /// QCLASS.
    pub class: Class,
}

impl Question {
    /// A question of class IN.
    pub const fn new(name: Name, rtype: RecordType) -> Self {
        Self { name, rtype, class: Class::IN }
    }
}

impl fmt::Display for Question {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {} {}", self.name, self.class, self.rtype)
    }
}

/// One record of a message.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Record {
    /// Owner name.
    pub owner: Name,
    /// TYPE.
    pub rtype: RecordType,
    /// CLASS.
    pub class: Class,
    /// TTL in seconds, at most `i32::MAX` (RFC 2181 §8, RFC 8767 §4).
    pub ttl: u32,
    /// RDATA with every name decompressed.
    pub rdata: Rdata,
}

/// All records of one owner, type and class (RFC 2181 §5), with the signatures that came along.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Rrset {
    /// Owner name.
    pub owner: Name,
    /// TYPE.
    pub rtype: RecordType,
    /// CLASS.
    pub class: Class,
    /// TTL in seconds: the smallest of the records' (RFC 2181 §5.2).
    pub ttl: u32,
    /// RDATA of each record, in the order received, without duplicates.
    pub rdata: Vec<Rdata>,
    /// RDATA of each RRSIG that covers this RRset.
    pub signatures: Vec<Rdata>,
}

impl Rrset {
    /// An unsigned RRset of class IN.
    pub const fn new(owner: Name, rtype: RecordType, ttl: u32, rdata: Vec<Rdata>) -> Self {
        Self { owner, rtype, class: Class::IN, ttl, rdata, signatures: Vec::new() }
    }

    /// Whether this is the RRset of that owner and type (class aside).
    pub fn is(&self, owner: &Name, rtype: RecordType) -> bool {
        self.rtype == rtype && self.owner == *owner
    }

    /// The target of a CNAME or DNAME RRset; `None` for other types.
    pub fn alias_target(&self) -> Option<Name> {
        matches!(self.rtype, RecordType::CNAME | RecordType::DNAME)
            .then(|| self.rdata.first()?.as_name(self.rtype))
            .flatten()
    }

    /// Octets in memory, roughly: what a bounded store has to count.
    pub fn weight(&self) -> usize {
        let data = self.rdata.iter().chain(&self.signatures).map(|rdata| rdata.len() + 16);
        self.owner.len() + 64 + data.sum::<usize>()
    }
}

/// Groups records into RRsets, in order of first appearance. An RRSIG joins the RRset it covers;
/// without one it stands as an RRset of its own.
pub fn group_rrsets(records: &[Record]) -> Vec<Rrset> {
    let mut sets: Vec<Rrset> = Vec::new();
    for record in records.iter().filter(|record| record.rtype != RecordType::RRSIG) {
        join(&mut sets, record);
    }
    for record in records.iter().filter(|record| record.rtype == RecordType::RRSIG) {
        let covered = record.rdata.covered_type();
        let set = sets.iter_mut().find(|set| {
            Some(set.rtype) == covered && set.owner == record.owner && set.class == record.class
        });
        match set {
            Some(set) if !set.signatures.contains(&record.rdata) => {
                set.signatures.push(record.rdata.clone());
            }
            Some(_) => {}
            None => join(&mut sets, record),
        }
    }
    sets
}

fn join(sets: &mut Vec<Rrset>, record: &Record) {
    // Records of one RRset nearly always stand together: look from the end.
    let set = sets.iter_mut().rev().find(|set| {
        set.rtype == record.rtype && set.class == record.class && set.owner == record.owner
    });
    match set {
        Some(set) => {
            set.ttl = set.ttl.min(record.ttl);
            if !set.rdata.contains(&record.rdata) {
                set.rdata.push(record.rdata.clone());
            }
        }
        None => sets.push(Rrset {
            owner: record.owner.clone(),
            rtype: record.rtype,
            class: record.class,
            ttl: record.ttl,
            rdata: vec![record.rdata.clone()],
            signatures: Vec::new(),
        }),
    }
}

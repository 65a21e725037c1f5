//! Denial of existence: chains of NSEC and NSEC3 records, and the proofs taken from them.

use super::signer::{nsec3_hash, type_bitmap};
use super::zone::Zone;
use crate::wire::{Name, Rdata, RecordType, Rrset, Soa};

/// How a signed zone denies.
#[derive(Clone, Debug, Default, Eq, PartialEq)]
pub enum Denial {
    /// NSEC (RFC 4034 §4).
    #[default]
    Nsec,
    /// NSEC3 (RFC 5155).
    Nsec3 {
        /// Additional iterations.
        iterations: u16,
        /// Salt, at most 255 octets.
        salt: Vec<u8>,
        /// Unsigned delegations are left out.
        opt_out: bool,
    },
}

impl Denial {
    /// RDATA of NSEC3PARAM, with NSEC3.
    pub fn parameters(&self) -> Option<Rdata> {
        match self {
            Self::Nsec => None,
            Self::Nsec3 { iterations, salt, .. } => {
                Some(Rdata::from_bytes(parameters(0, *iterations, salt)))
            }
        }
    }
}

fn parameters(flags: u8, iterations: u16, salt: &[u8]) -> Vec<u8> {
    let [high, low] = iterations.to_be_bytes();
    let len = u8::try_from(salt.len()).unwrap_or(u8::MAX);
    [&[1, flags, high, low, len], salt].concat()
}

/// What is to be proven.
#[derive(Clone, Copy, Debug)]
pub enum Proof<'a> {
    /// The name exists and has no such type, or (with a delegation) no DS.
    NoData(&'a Name),
    /// The name exists only by this wildcard, and that has no such type.
    WildcardNoData(&'a Name, &'a Name),
    /// Neither the name nor a wildcard for it exists.
    NxDomain(&'a Name),
    /// The name does not exist, so that the wildcard was right.
    Wildcard(&'a Name),
}

impl Proof<'_> {
    /// The name it is about.
    pub fn about(&self) -> &Name {
        let (Self::NoData(name)
        | Self::WildcardNoData(name, _)
        | Self::NxDomain(name)
        | Self::Wildcard(name)) = self;
        name
    }
}

/// The names of a zone, in the order that denials link them.
#[derive(Clone, Debug, Default)]
pub(super) struct Chain {
    /// Owners with what they are hashed to (empty with NSEC), in order of the chain.
    links: Vec<(Vec<u8>, Name)>,
}

impl Chain {
    /// Links the authoritative names of a zone.
    pub(super) fn new(zone: &Zone) -> Self {
        let mut names = Vec::new();
        let mut passed_on: Option<&Name> = None;
        for (name, node) in zone.nodes() {
            if passed_on.is_some_and(|cut| name.is_below(cut)) {
                continue;
            }
            let cut = *name != zone.origin && node.contains_key(&RecordType::NS);
            passed_on = (cut || node.contains_key(&RecordType::DNAME)).then_some(name);
            let insecure = cut && !node.contains_key(&RecordType::DS);
            match &zone.denial {
                Denial::Nsec => names.push((Vec::new(), name.clone())),
                Denial::Nsec3 { opt_out: true, .. } if insecure => {}
                Denial::Nsec3 { iterations, salt, .. } => {
                    let inside = name.ancestors().take_while(|a| a.is_at_or_below(&zone.origin));
                    names.extend(inside.map(|n| (nsec3_hash(&n, salt, *iterations).to_vec(), n)));
                }
            }
        }
        names.sort_unstable();
        names.dedup_by(|a, b| a.1 == b.1);
        Self { links: names }
    }

    /// The proofs for `what`, each RRset once.
    pub(super) fn prove(&self, zone: &Zone, what: &Proof<'_>) -> Vec<Rrset> {
        let mut proof = match zone.denial {
            Denial::Nsec => self.prove_nsec(zone, what),
            Denial::Nsec3 { .. } => self.prove_nsec3(zone, what),
        };
        let mut seen: Vec<Name> = Vec::new();
        proof.retain(|rrset| {
            let new = !seen.contains(&rrset.owner);
            seen.push(rrset.owner.clone());
            new
        });
        proof
    }

    fn prove_nsec(&self, zone: &Zone, what: &Proof<'_>) -> Vec<Rrset> {
        let wildcard = |qname| zone.closest_encloser(qname).wildcard_child().ok();
        let links = match what {
            Proof::NoData(qname) | Proof::Wildcard(qname) => vec![self.covering(zone, qname)],
            Proof::WildcardNoData(qname, source) => {
                vec![self.covering(zone, qname), self.covering(zone, source)]
            }
            Proof::NxDomain(qname) => vec![
                self.covering(zone, qname),
                wildcard(qname).and_then(|wildcard| self.covering(zone, &wildcard)),
            ],
        };
        links.into_iter().flatten().collect()
    }

    fn prove_nsec3(&self, zone: &Zone, what: &Proof<'_>) -> Vec<Rrset> {
        let qname = what.about();
        let encloser = qname.ancestors().skip(1).find(|name| self.at(zone, name).is_some());
        let encloser = encloser.unwrap_or_else(|| zone.origin.clone());
        let next_closer = qname.suffix(encloser.label_count() + 1);
        let matching = self.at(zone, &encloser);
        let closer = self.covering(zone, &next_closer);
        let links = match what {
            Proof::NoData(_) => match self.at(zone, qname) {
                Some(exact) => vec![Some(exact)],
                // An unsigned delegation in an opt-out span (RFC 5155 §7.2.4).
                None => vec![matching, closer],
            },
            Proof::WildcardNoData(_, source) => vec![matching, closer, self.at(zone, source)],
            Proof::NxDomain(_) => {
                let wildcard = encloser.wildcard_child().ok();
                vec![matching, closer, wildcard.and_then(|w| self.covering(zone, &w))]
            }
            Proof::Wildcard(_) => vec![closer],
        };
        links.into_iter().flatten().collect()
    }

    fn key(zone: &Zone, name: &Name) -> (Vec<u8>, Name) {
        match &zone.denial {
            Denial::Nsec => (Vec::new(), name.clone()),
            Denial::Nsec3 { iterations, salt, .. } => {
                (nsec3_hash(name, salt, *iterations).to_vec(), name.clone())
            }
        }
    }

    /// The NSEC or NSEC3 record of exactly that name.
    pub(super) fn at(&self, zone: &Zone, name: &Name) -> Option<Rrset> {
        let i = self.links.binary_search(&Self::key(zone, name)).ok()?;
        self.rrset(zone, i)
    }

    /// The record whose span the name is in, or that of the name itself if it has one.
    fn covering(&self, zone: &Zone, name: &Name) -> Option<Rrset> {
        let last = self.links.len().checked_sub(1)?;
        let i = match self.links.binary_search(&Self::key(zone, name)) {
            Ok(i) => i,
            Err(i) => i.checked_sub(1).unwrap_or(last),
        };
        self.rrset(zone, i)
    }

    fn rrset(&self, zone: &Zone, i: usize) -> Option<Rrset> {
        let (hash, name) = self.links.get(i)?;
        let (next_hash, next) = self.links.get((i + 1) % self.links.len())?;
        let soa = zone.rrset(&zone.origin, RecordType::SOA)?;
        let ttl = soa.ttl.min(Soa::parse(soa.rdata.first()?)?.minimum);
        let types = types(zone, name);
        match &zone.denial {
            Denial::Nsec => {
                let types = types.into_iter().chain([RecordType::RRSIG, RecordType::NSEC]);
                let rdata = [next.as_wire(), &type_bitmap(types)].concat();
                let rdata = vec![Rdata::from_bytes(rdata)];
                Some(Rrset::new(name.clone(), RecordType::NSEC, ttl, rdata))
            }
            Denial::Nsec3 { iterations, salt, opt_out } => {
                let label = data_encoding::BASE32HEX_NOPAD.encode(hash).to_ascii_lowercase();
                let owner = zone.origin.prepend(label.as_bytes()).ok()?;
                // Only what is authoritative is signed: not a delegation without DS.
                let unsigned = types.contains(&RecordType::NS)
                    && *name != zone.origin
                    && !types.contains(&RecordType::DS);
                let signed = (!types.is_empty() && !unsigned).then_some(RecordType::RRSIG);
                let mut rdata = parameters(u8::from(*opt_out), *iterations, salt);
                rdata.push(u8::try_from(next_hash.len()).unwrap_or(0));
                rdata.extend_from_slice(next_hash);
                rdata.extend(type_bitmap(types.into_iter().chain(signed)));
                let rdata = vec![Rdata::from_bytes(rdata)];
                Some(Rrset::new(owner, RecordType::NSEC3, ttl, rdata))
            }
        }
    }
}

/// The types at a name that the zone is authoritative for; at a delegation NS and DS only.
fn types(zone: &Zone, name: &Name) -> Vec<RecordType> {
    let Some(node) = zone.nodes().get(name) else { return Vec::new() };
    let cut = *name != zone.origin && node.contains_key(&RecordType::NS);
    let authoritative = |t: &RecordType| !cut || matches!(*t, RecordType::NS | RecordType::DS);
    node.keys().copied().filter(authoritative).collect()
}

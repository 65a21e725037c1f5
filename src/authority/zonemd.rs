//! The digest of a zone (RFC 8976).

use ring::digest::{Algorithm, Context, SHA384, SHA512};

use super::zone::Zone;
use crate::wire::{Rdata, RecordType, Rrset, canonical_rdata};

/// Scheme 1: one digest of the whole.
const SIMPLE: u8 = 1;
/// Octets of a digest at least (RFC 8976 §2.2.4).
const SHORTEST: usize = 12;

/// What the digests of a zone say about it (RFC 8976 §4).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Digest {
    /// One that can be verified is right.
    Right,
    /// Those that can be verified are wrong, each, or for another version.
    Wrong,
    /// There is none of a scheme and algorithm that is known.
    Unknown,
    /// There is none.
    Absent,
}

impl Zone {
    /// Computes the digest of the zone and compares it with what its ZONEMD records say. Takes time
    /// in proportion to the zone.
    pub fn digest(&self) -> Digest {
        let Some(set) = self.rrset(self.apex(), RecordType::ZONEMD) else { return Digest::Absent };
        let mut known = false;
        for rdata in &set.rdata {
            let Some((serial, scheme, number, digest)) = fields(rdata) else { continue };
            let algorithm = match (scheme, number) {
                (SIMPLE, 1) => &SHA384,
                (SIMPLE, 2) => &SHA512,
                _ => continue,
            };
            known = true;
            let same = |other: &&Rdata| {
                fields(other).is_some_and(|(_, s, n, _)| (s, n) == (scheme, number))
            };
            // Two of a kind leave open which one counts.
            let alone = set.rdata.iter().filter(same).count() == 1;
            if alone
                && Some(serial) == self.serial()
                && digest.len() >= SHORTEST
                && self.compute(algorithm).as_ref() == digest
            {
                return Digest::Right;
            }
        }
        if known { Digest::Wrong } else { Digest::Unknown }
    }

    /// All records in canonical order and form but the digests themselves and their signatures.
    fn compute(&self, algorithm: &'static Algorithm) -> ring::digest::Digest {
        let mut context = Context::new(algorithm);
        for (name, node) in self.nodes() {
            let apex = name == self.apex();
            let mut sets: Vec<&Rrset> = node.rrsets().iter().collect();
            sets.sort_unstable_by_key(|set| set.rtype);
            let mut signatures: Vec<(Vec<u8>, u32)> = Vec::new();
            for set in &sets {
                if !(apex && set.rtype == RecordType::ZONEMD) {
                    let form =
                        |rdata| (canonical_rdata(RecordType::RRSIG, rdata).into_owned(), set.ttl);
                    signatures.extend(set.signatures.iter().map(form));
                    if set.rtype == RecordType::RRSIG {
                        let other = |rdata: &&Rdata| {
                            !(apex && rdata.covered_type() == Some(RecordType::ZONEMD))
                        };
                        signatures.extend(set.rdata.iter().filter(other).map(form));
                    }
                }
            }
            signatures.sort_unstable();
            let owner = name.to_lowercase();
            let mut add = |rtype: RecordType, ttl: u32, rdata: &[u8]| {
                context.update(owner.as_wire());
                context.update(&rtype.0.to_be_bytes());
                context.update(&1u16.to_be_bytes());
                context.update(&ttl.to_be_bytes());
                context.update(&u16::try_from(rdata.len()).unwrap_or(u16::MAX).to_be_bytes());
                context.update(rdata);
            };
            let mut add_signatures = Some(signatures);
            for set in sets {
                if set.rtype >= RecordType::RRSIG {
                    for (rdata, ttl) in add_signatures.take().into_iter().flatten() {
                        add(RecordType::RRSIG, ttl, &rdata);
                    }
                }
                if set.rtype == RecordType::RRSIG || (apex && set.rtype == RecordType::ZONEMD) {
                    continue;
                }
                let mut rdata: Vec<_> =
                    set.rdata.iter().map(|rdata| canonical_rdata(set.rtype, rdata)).collect();
                rdata.sort_unstable();
                rdata.iter().for_each(|rdata| add(set.rtype, set.ttl, rdata));
            }
            for (rdata, ttl) in add_signatures.take().into_iter().flatten() {
                add(RecordType::RRSIG, ttl, &rdata);
            }
        }
        context.finish()
    }
}

/// Serial number, scheme, hash algorithm and digest (RFC 8976 §2.2).
fn fields(rdata: &Rdata) -> Option<(u32, u8, u8, &[u8])> {
    let (serial, rest) = rdata.as_bytes().split_first_chunk()?;
    let ([scheme, algorithm], digest) = rest.split_first_chunk()?;
    Some((u32::from_be_bytes(*serial), *scheme, *algorithm, digest))
}

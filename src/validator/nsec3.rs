//! Denial of existence by hashed names: NSEC3 (RFC 5155, RFC 9276).

use data_encoding::BASE32HEX_NOPAD;
use ring::digest;

use super::nsec::is_cut;
use crate::budget::{Budget, Exhausted};
use crate::wire::{Name, Nsec3, RecordType, Rrset, TypeBitmap};

/// A SHA-1 hash of a name, the only kind there is (RFC 5155 §11).
pub(super) type Hash = crate::cache::NameHash;
/// Hash algorithm 1.
pub(super) const SHA1: u8 = 1;

/// The NSEC3 records of a zone that were verified, as far as they are fit to prove anything.
#[derive(Debug, Default)]
pub(super) struct Records<'a>(Vec<Record<'a>>);

#[derive(Debug)]
struct Record<'a> {
    owner: Hash,
    next: Hash,
    opt_out: bool,
    types: TypeBitmap<'a>,
    parameters: Parameters<'a>,
}

/// How names were hashed. Records with different parameters belong to different chains and prove
/// nothing together (RFC 5155 §8.2).
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub(super) struct Parameters<'a> {
    pub(super) iterations: u16,
    pub(super) salt: &'a [u8],
}

impl<'a> Records<'a> {
    /// Takes in the records of a verified RRset, not expanded from a wildcard, of `zone`.
    pub(super) fn add(&mut self, zone: &Name, rrset: &'a Rrset) {
        let Some(owner) = owner_hash(&rrset.owner, zone) else { return };
        for nsec3 in rrset.rdata.iter().filter_map(Nsec3::parse) {
            // Records with an unknown hash or unknown flags are ignored (RFC 5155 §8.1, §8.2).
            let known = nsec3.algorithm == SHA1 && nsec3.flags & !Nsec3::OPT_OUT == 0;
            let Some(next) = nsec3.next_hash.try_into().ok().filter(|_| known) else { continue };
            self.0.push(Record {
                owner,
                next,
                opt_out: nsec3.flags & Nsec3::OPT_OUT != 0,
                types: nsec3.types,
                parameters: Parameters { iterations: nsec3.iterations, salt: nsec3.salt },
            });
        }
    }

    /// The records, one chain after the other, that with the fewest iterations first. A zone has
    /// two for a short time when it changes its parameters; no more than two are looked at.
    pub(super) fn chains<'r>(&'r self, zone: &'r Name) -> impl Iterator<Item = Chain<'r>> {
        let mut parameters: Vec<_> = self.0.iter().map(|record| record.parameters).collect();
        parameters.sort_unstable();
        parameters.dedup();
        parameters.into_iter().take(2).map(move |parameters| Chain {
            zone,
            parameters,
            records: self.0.iter().filter(|record| record.parameters == parameters).collect(),
        })
    }
}

/// The hash in the owner name of an NSEC3 record: exactly one label above the zone's name.
pub(super) fn owner_hash(owner: &Name, zone: &Name) -> Option<Hash> {
    if owner.label_count() != zone.label_count() + 1 || !owner.is_below(zone) {
        return None;
    }
    let label = owner.labels().next()?.to_ascii_uppercase();
    BASE32HEX_NOPAD.decode(&label).ok()?.try_into().ok()
}

/// The NSEC3 records of one zone and one set of parameters.
#[derive(Debug)]
pub(super) struct Chain<'r> {
    zone: &'r Name,
    parameters: Parameters<'r>,
    records: Vec<&'r Record<'r>>,
}

/// The closest provable encloser of a name that does not exist (RFC 5155 §8.3).
#[derive(Debug)]
pub(super) struct Encloser {
    /// The ancestor that exists.
    pub(super) name: Name,
    /// The record that covers the next closer name is opt-out: unsigned delegations may be there.
    pub(super) opt_out: bool,
}

impl<'r> Chain<'r> {
    /// Additional iterations of the hash.
    pub(super) fn iterations(&self) -> u16 {
        self.parameters.iterations
    }

    /// The types at exactly that name.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] when the budget does not cover the hash.
    pub(super) fn types(
        &self,
        name: &Name,
        hashes: &mut Hashes,
        budget: &mut Budget,
    ) -> Result<Option<TypeBitmap<'r>>, Exhausted> {
        let hash = hashes.hash(name, self.parameters, budget)?;
        Ok(self.records.iter().find(|record| record.owner == hash).map(|record| record.types))
    }

    /// Whether a record covers that name, and whether that record is opt-out.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] when the budget does not cover the hash.
    pub(super) fn covers(
        &self,
        name: &Name,
        hashes: &mut Hashes,
        budget: &mut Budget,
    ) -> Result<Option<bool>, Exhausted> {
        let hash = hashes.hash(name, self.parameters, budget)?;
        let mut covering = self.records.iter().filter(|record| record.covers(&hash)).peekable();
        // Should records disagree, the one that promises less counts.
        Ok(covering.peek().is_some().then(|| covering.any(|record| record.opt_out)))
    }

    /// Finds the ancestor of `name` that is proven to exist while the name one label longer is
    /// proven not to. There is at most one; looking from the apex down finds it with few hashes
    /// even for names of a hundred labels (CVE-2023-50868).
    ///
    /// # Errors
    ///
    /// [`Exhausted`] when the budget does not cover the hashes.
    pub(super) fn closest_encloser(
        &self,
        name: &Name,
        hashes: &mut Hashes,
        budget: &mut Budget,
    ) -> Result<Option<Encloser>, Exhausted> {
        for labels in self.zone.label_count()..name.label_count() {
            let encloser = name.suffix(labels);
            let Some(types) = self.types(&encloser, hashes, budget)? else { continue };
            let next_closer = name.suffix(labels + 1);
            if let Some(opt_out) = self.covers(&next_closer, hashes, budget)? {
                // What is below a delegation or DNAME is not this zone's to deny.
                return Ok((!is_cut(types)).then_some(Encloser { name: encloser, opt_out }));
            }
        }
        Ok(None)
    }
}

impl Record<'_> {
    fn covers(&self, hash: &Hash) -> bool {
        lies_between(&self.owner, hash, &self.next)
    }
}

/// Whether a record that leads from `owner` to `next` covers `hash`.
pub(super) fn lies_between(owner: &[u8], hash: &[u8], next: &[u8]) -> bool {
    if owner < next {
        owner < hash && hash < next
    } else {
        // The last record of the chain, or the only one.
        (owner < hash || hash < next) && hash != owner
    }
}

/// NSEC3 hashes already computed.
#[derive(Debug, Default)]
pub(super) struct Hashes(Vec<Hashed>);

#[derive(Debug)]
struct Hashed {
    name: Name,
    iterations: u16,
    salt: Box<[u8]>,
    hash: Hash,
}

impl Hashes {
    /// The hash of a name (RFC 5155 §5), paid by the SHA-1 blocks it takes.
    pub(super) fn hash(
        &mut self,
        name: &Name,
        parameters: Parameters<'_>,
        budget: &mut Budget,
    ) -> Result<Hash, Exhausted> {
        let Parameters { iterations, salt } = parameters;
        let known = self.0.iter().find(|known| {
            known.iterations == iterations && *known.salt == *salt && known.name == *name
        });
        if let Some(known) = known {
            return Ok(known.hash);
        }
        budget.spend_nsec3_blocks(
            blocks(name.len() + salt.len())
                .saturating_add(blocks(20 + salt.len()).saturating_mul(iterations.into())),
        )?;
        let hash = hash(name, parameters);
        self.0.push(Hashed { name: name.clone(), iterations, salt: salt.into(), hash });
        Ok(hash)
    }
}

fn hash(name: &Name, Parameters { iterations, salt }: Parameters<'_>) -> Hash {
    let mut hash = sha1(name.to_lowercase().as_wire(), salt);
    for _ in 0..iterations {
        hash = sha1(&hash, salt);
    }
    hash
}

fn sha1(octets: &[u8], salt: &[u8]) -> Hash {
    let mut context = digest::Context::new(&digest::SHA1_FOR_LEGACY_USE_ONLY);
    context.update(octets);
    context.update(salt);
    let mut hash = [0; 20];
    // A SHA-1 digest has 20 octets.
    hash.iter_mut().zip(context.finish().as_ref()).for_each(|(to, from)| *to = *from);
    hash
}

/// 64-octet blocks SHA-1 processes for so many octets: they are padded by at least nine.
fn blocks(octets: usize) -> u32 {
    u32::try_from((octets + 9).div_ceil(64)).unwrap_or(u32::MAX)
}

/// Type bits at a name that deny `rtype`: neither it nor an alias is there.
pub(super) fn lacks(types: TypeBitmap<'_>, rtype: RecordType) -> bool {
    !types.contains(rtype) && !types.contains(RecordType::CNAME)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::Mono;

    #[test]
    fn hashes_are_those_of_rfc_5155_appendix_a() {
        let parameters = Parameters { iterations: 12, salt: &[0xaa, 0xbb, 0xcc, 0xdd] };
        for (name, expected) in [
            ("example.", "0p9mhaveqvm6t7vbl5lop2u3t2rp3tom"),
            ("a.example.", "35mthgpgcu1qg68fab165klnsnk3dpvl"),
            ("ai.example.", "gjeqe526plbf1g8mklp59enfd789njgi"),
            ("ns1.example.", "2t7b4g4vsa5smi47k61mv5bv1a22bojr"),
            ("ns2.example.", "q04jkcevqvmu85r014c7dkba38o0ji5r"),
            ("w.example.", "k8udemvp1j2f7eg6jebps17vp3n8i58h"),
            ("*.w.example.", "r53bq7cc2uvmubfu5ocmm6pers9tk9en"),
            ("X.W.EXAMPLE.", "b4um86eghhds6nea196smvmlo4ors995"),
            ("y.w.example.", "ji6neoaepv8b5o6k4ev33abha8ht9fgc"),
            ("x.y.w.example.", "2vptu5timamqttgl4luu9kg21e0aor3s"),
            ("xx.example.", "t644ebqk9bibcna874givr6joj62mlhv"),
        ] {
            let mut budget = Budget::new(Mono::ZERO, 1);
            let hash = Hashes::default().hash(&name.parse().unwrap(), parameters, &mut budget);
            let text = BASE32HEX_NOPAD.encode(&hash.unwrap()).to_ascii_lowercase();
            assert_eq!(text, expected, "{name}");
        }
    }

    #[test]
    fn blocks_are_counted_with_the_salt() {
        for (octets, expected) in [(0, 1), (55, 1), (56, 2), (119, 2), (120, 3), (275, 5)] {
            assert_eq!(blocks(octets), expected, "{octets}");
        }
    }

    #[test]
    fn the_last_record_covers_around_the_end_and_the_only_one_all_but_itself() {
        let record = |owner: u8, next: u8| Record {
            owner: [owner; 20],
            next: [next; 20],
            opt_out: false,
            types: TypeBitmap::parse(&[]).unwrap(),
            parameters: Parameters { iterations: 0, salt: &[] },
        };
        for (owner, next, covered, not) in [
            (10, 20, vec![11, 19], vec![9, 10, 20, 21]),
            (200, 10, vec![201, 255, 0, 9], vec![10, 11, 199, 200]),
            (7, 7, vec![0, 6, 8, 255], vec![7]),
        ] {
            let record = record(owner, next);
            assert!(covered.iter().all(|hash| record.covers(&[*hash; 20])), "{owner} {next}");
            assert!(!not.iter().any(|hash| record.covers(&[*hash; 20])), "{owner} {next}");
        }
    }
}

//! RRsets by owner and type, ranked by how much they can be trusted.

use super::codec::{Key, Reader, put_len, put_name, put_octets};
use super::region::{Region, Usage};
use super::settings::Settings;
use crate::clock::{Now, UnixTime};
use crate::status::SecurityStatus;
use crate::wire::{Class, Name, Rdata, RecordType, Rrset};

/// How much data is to be trusted, by where it was found (RFC 2181 §5.4.1); lowest first.
///
/// AA means that the response had the flag and came from a server of the zone.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum Rank {
    /// Additional section of a response without AA: glue.
    AdditionalNoAa = 1,
    /// Authority section of a response without AA: a referral.
    AuthorityNoAa,
    /// Additional section of a response with AA.
    AdditionalAa,
    /// Answer section of a response without AA, as forwarders give.
    AnswerNoAa,
    /// Authority section of a response with AA.
    AuthorityAa,
    /// Answer section of a response with AA.
    AnswerAa,
    /// Validated, whatever section it came in.
    Secure,
}

impl Rank {
    const ALL: [Self; 7] = [
        Self::AdditionalNoAa,
        Self::AuthorityNoAa,
        Self::AdditionalAa,
        Self::AnswerNoAa,
        Self::AuthorityAa,
        Self::AnswerAa,
        Self::Secure,
    ];

    fn from_u8(n: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|rank| *rank as u8 == n)
    }
}

/// An RRset from the cache.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct CachedRrset {
    /// The RRset, its TTL counted down.
    pub rrset: Rrset,
    /// How it was learned.
    pub rank: Rank,
    /// What validation made of it.
    pub status: SecurityStatus,
    /// When it expires.
    pub expires: UnixTime,
}

/// RRsets by owner and type.
pub(super) struct Rrsets {
    region: Region,
}

impl Rrsets {
    pub(super) fn new(region: Region) -> Self {
        Self { region }
    }

    pub(super) fn get(&self, owner: &Name, rtype: RecordType, now: Now) -> Option<CachedRrset> {
        let key = key(owner, rtype)?;
        self.region.get(key.as_bytes(), now.unix, |value| decode(value, now)).flatten()
    }

    pub(super) fn store(
        &self,
        rrset: &Rrset,
        rank: Rank,
        status: SecurityStatus,
        settings: &Settings,
        now: Now,
    ) {
        let ttl = settings.ttl(rrset.ttl);
        let keepable = status != SecurityStatus::Bogus
            && ttl > 0
            && rrset.class == Class::IN
            && !rrset.rtype.is_meta()
            && !rrset.rdata.is_empty();
        let Some(key) = key(&rrset.owner, rrset.rtype).filter(|_| keepable) else { return };
        let new = Head { rank, status, expires: now.unix.plus(ttl) };
        let old = self.region.get(key.as_bytes(), now.unix, |value| Head::read(&mut Reader(value)));
        if old.flatten().is_some_and(|old| old.outranks(&new)) {
            return;
        }
        if let Some(value) = encode(new, rrset) {
            self.region.put(key.as_bytes(), &value, new.expires, now.unix);
        }
    }

    /// Keeps those for which `f` is true; tells how many were removed.
    pub(super) fn retain(&self, mut f: impl FnMut(&Name, RecordType) -> bool) -> usize {
        let mut removed = 0;
        self.region.retain(|key, _, _| {
            let mut reader = Reader(key);
            let rtype = reader.rtype();
            let owner = Name::from_wire(reader.0).ok();
            let keep = rtype.zip(owner).is_some_and(|(rtype, owner)| f(&owner, rtype));
            removed += usize::from(!keep);
            keep
        });
        removed
    }

    pub(super) fn clear(&self) {
        self.region.clear();
    }

    /// Octets used and allowed.
    pub(super) fn octets(&self) -> (usize, usize) {
        self.region.octets()
    }

    pub(super) fn usage(&self) -> Usage {
        self.region.usage()
    }
}

fn key(owner: &Name, rtype: RecordType) -> Option<Key> {
    Key::new(rtype.0.to_be_bytes(), owner.as_wire())
}

/// What decides whether an RRset is replaced.
#[derive(Clone, Copy)]
struct Head {
    rank: Rank,
    status: SecurityStatus,
    expires: UnixTime,
}

impl Head {
    fn read(value: &mut Reader<'_>) -> Option<Self> {
        let rank = Rank::from_u8(value.u8()?)?;
        let status = SecurityStatus::from_u8(value.u8()?)?;
        Some(Self { rank, status, expires: UnixTime(value.u64()?) })
    }

    /// Whether this, not expired, stays in spite of `new`. An RRset of the same rank is replaced:
    /// the server that may speak for it has said something newer.
    fn outranks(&self, new: &Self) -> bool {
        match (self.status, new.status) {
            (SecurityStatus::Secure, SecurityStatus::Secure) => false,
            (_, SecurityStatus::Secure) => false,
            (SecurityStatus::Secure, _) => true,
            _ => self.rank > new.rank,
        }
    }
}

fn encode(head: Head, rrset: &Rrset) -> Option<Vec<u8>> {
    let mut out = Vec::with_capacity(rrset.weight());
    out.extend_from_slice(&[head.rank as u8, head.status as u8]);
    out.extend_from_slice(&head.expires.0.to_be_bytes());
    out.extend_from_slice(&rrset.rtype.0.to_be_bytes());
    put_name(&mut out, &rrset.owner)?;
    for list in [&rrset.rdata, &rrset.signatures] {
        put_len(&mut out, list.len())?;
        for rdata in list {
            put_octets(&mut out, rdata.as_bytes())?;
        }
    }
    Some(out)
}

fn decode(value: &[u8], now: Now) -> Option<CachedRrset> {
    let mut reader = Reader(value);
    let Head { rank, status, expires } = Head::read(&mut reader)?;
    let rtype = reader.rtype()?;
    let owner = reader.name()?;
    let rdata = list(&mut reader)?;
    let signatures = list(&mut reader)?;
    let ttl = now.unix.until(expires);
    let rrset = Rrset { owner, rtype, class: Class::IN, ttl, rdata, signatures };
    Some(CachedRrset { rrset, rank, status, expires })
}

fn list(reader: &mut Reader<'_>) -> Option<Vec<Rdata>> {
    (0..reader.len()?).map(|_| reader.octets().map(Rdata::from_bytes)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::testing::{a, at, name, region, signed};
    use crate::config::Config;

    fn store() -> (Rrsets, Settings) {
        (Rrsets::new(region(1 << 20)), Settings::new(&Config::default()))
    }

    fn get(rrsets: &Rrsets, seconds: u64) -> Option<CachedRrset> {
        rrsets.get(&name("WWW.example."), RecordType::A, at(seconds))
    }

    #[test]
    fn an_rrset_comes_back_as_it_was_with_its_ttl_counted_down() {
        let (rrsets, settings) = store();
        let rrset = signed(a("www.Example.", 300));
        rrsets.store(&rrset, Rank::AnswerAa, SecurityStatus::Insecure, &settings, at(0));
        let found = get(&rrsets, 100).unwrap();
        assert_eq!(found.rrset, Rrset { ttl: 200, ..rrset.clone() });
        assert!(found.rrset.owner.eq_case(&rrset.owner));
        assert_eq!((found.rank, found.status), (Rank::AnswerAa, SecurityStatus::Insecure));
        assert_eq!(found.expires, at(300).unix);
        assert_eq!(get(&rrsets, 300), None);
        assert_eq!(rrsets.get(&name("www.example."), RecordType::AAAA, at(0)), None);
    }

    #[test]
    fn replacing_follows_rfc_2181_section_5_4_1() {
        use Rank::*;
        use SecurityStatus::{Bogus, Indeterminate, Insecure, Secure};
        #[rustfmt::skip]
        let cases = [
            ("higher rank replaces",            (AuthorityNoAa, Indeterminate), (AnswerAa, Indeterminate), 10, true),
            ("same rank replaces",              (AnswerAa, Indeterminate),      (AnswerAa, Indeterminate), 10, true),
            ("lower rank does not",             (AnswerAa, Indeterminate),      (AdditionalAa, Indeterminate), 10, false),
            ("glue does not touch an answer",   (AnswerNoAa, Indeterminate),    (AdditionalNoAa, Indeterminate), 10, false),
            ("any rank, once expired",          (AnswerAa, Indeterminate),      (AdditionalNoAa, Indeterminate), 300, true),
            ("unsigned does not touch secure",  (Rank::Secure, Secure),         (AnswerAa, Indeterminate), 10, false),
            ("nor does insecure",               (AnswerAa, Secure),             (Rank::Secure, Insecure), 10, false),
            ("unless it has expired",           (Rank::Secure, Secure),         (AdditionalNoAa, Indeterminate), 300, true),
            ("secure replaces secure",          (Rank::Secure, Secure),         (AnswerAa, Secure), 10, true),
            ("secure replaces everything",      (AnswerAa, Insecure),           (AuthorityAa, Secure), 10, true),
            ("bogus is never stored",           (AdditionalNoAa, Indeterminate), (AnswerAa, Bogus), 300, false),
        ];
        for (case, old, new, seconds, replaced) in cases {
            let (rrsets, settings) = store();
            let first = a("www.example.", 300);
            let mut second = a("www.example.", 1_000);
            second.rdata.truncate(1);
            rrsets.store(&first, old.0, old.1, &settings, at(0));
            rrsets.store(&second, new.0, new.1, &settings, at(seconds));
            let found = get(&rrsets, seconds);
            let is_second = found.as_ref().is_some_and(|found| found.rrset.rdata == second.rdata);
            assert_eq!(is_second, replaced, "{case}");
            if !replaced && seconds < 300 {
                assert_eq!(found.unwrap().expires, at(300).unix, "{case}: not extended either");
            }
        }
    }

    #[test]
    fn what_must_not_be_kept_is_not() {
        let (rrsets, settings) = store();
        let mut chaos = a("www.example.", 300);
        chaos.class = Class::CH;
        for (case, rrset) in [("TTL 0", a("www.example.", 0)), ("class CH", chaos)] {
            rrsets.store(&rrset, Rank::AnswerAa, SecurityStatus::Insecure, &settings, at(0));
            assert_eq!(get(&rrsets, 0), None, "{case}");
        }
    }

    #[test]
    fn ranks_survive_their_number() {
        for rank in Rank::ALL {
            assert_eq!(Rank::from_u8(rank as u8), Some(rank));
        }
        assert!(Rank::ALL.is_sorted());
    }
}

//! RRsets by owner and type, ranked by how much they can be trusted.

use crate::clock::UnixTime;
use crate::status::SecurityStatus;
use crate::wire::Rrset;

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

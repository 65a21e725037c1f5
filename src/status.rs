//! Verdicts: how much an answer is proven, and why it is not.

use std::fmt;

/// What validation made of data (RFC 4035 §4.3).
///
/// Ordered from worst to best, so that the status of an answer made of parts is their minimum.
#[derive(Clone, Copy, Debug, Default, Eq, Hash, Ord, PartialEq, PartialOrd)]
#[repr(u8)]
pub enum SecurityStatus {
    /// Should be signed and is not, or not rightly. Never served, except under CD.
    Bogus = 0,
    /// Nobody looked yet, or nothing could be found out.
    #[default]
    Indeterminate = 1,
    /// Proven to have no chain of trust, or below no trust anchor.
    Insecure = 2,
    /// Proven from a trust anchor. The only status with AD.
    Secure = 3,
}

impl SecurityStatus {
    /// Reads the number this status is stored as; `None` for a number never written.
    pub const fn from_u8(n: u8) -> Option<Self> {
        Some(match n {
            0 => Self::Bogus,
            1 => Self::Indeterminate,
            2 => Self::Insecure,
            3 => Self::Secure,
            _ => return None,
        })
    }
}

/// Extended DNS Error code (RFC 8914 and the IANA registry).
#[derive(Clone, Copy, Eq, Hash, PartialEq)]
pub struct Ede(pub u16);

impl fmt::Debug for Ede {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "EDE {}", self.0)
    }
}

/// Why an answer is not what the client hoped for. Each maps to one Extended DNS Error and one
/// short text; it is kept with a cached failure so that the next client learns the same.
///
/// Small and copyable on purpose: names and addresses that belong to a reason are logged where it
/// arises.
#[derive(Clone, Copy, Debug, Eq, Hash, PartialEq)]
#[repr(u8)]
#[non_exhaustive]
pub enum Reason {
    // Insecure, and worth a word.
    /// No DNSKEY algorithm in the DS RRset is supported.
    UnsupportedAlgorithm = 1,
    /// No digest type in the DS RRset is supported.
    UnsupportedDigest,
    /// NSEC3 iterations above the limit: treated as insecure (RFC 9276 §3.2).
    Nsec3Iterations,

    // Bogus.
    /// A signature is wrong, or nothing more exact is known.
    BogusSignature = 20,
    /// Every signature that would do has expired.
    SignatureExpired,
    /// Every signature that would do is not valid yet.
    SignatureNotYetValid,
    /// A signature expires before it begins.
    SignatureExpiredBeforeValid,
    /// A signed zone gave an RRset without signatures.
    RrsigsMissing,
    /// No DNSKEY matches a DS or trust anchor, or there is no DNSKEY RRset.
    DnskeyMissing,
    /// No key has the Zone Key flag.
    NoZoneKeyBit,
    /// The denial of existence is absent.
    NsecMissing,
    /// The keys of a trust anchor could not be fetched or do not match it.
    TrustAnchorMismatch,
    /// A DNAME's synthesized CNAME is not what the DNAME says.
    DnameMismatch,
    /// Validation ran out of budget.
    ValidationLimit,
    /// A DS RRset that is needed could not be fetched.
    ChainUnreachable,
    /// Denial of existence is there, and does not prove what it should.
    DenialUnproven,
    /// A DNSKEY RRset that is needed could not be fetched.
    DnskeyUnreachable,
    /// An algorithm of the DS RRset has no key or signature (`harden-algo-downgrade`).
    AlgorithmMissing,

    // Failure to resolve.
    /// No server of the zone gave a usable response.
    NoReachableAuthority = 40,
    /// Servers could not be asked: no reply in time.
    NetworkError,
    /// The servers are not authoritative for the zone (lame).
    LameDelegation,
    /// The servers refused.
    ServersRefused,
    /// Name server names could not be resolved to addresses.
    NoServerAddress,
    /// Questions depend on each other in a circle.
    DependencyCycle,
    /// The client's query exhausted its budget of upstream work.
    WorkLimit,
    /// Aliases led too far or in a circle.
    AliasLimit,
    /// The client's deadline passed first.
    ClientDeadline,
    /// A recent failure is remembered (RFC 9520).
    CachedFailure,
    /// The resolver has no root servers or is not primed yet.
    NotReady,
    /// The outgoing side has no socket to give.
    NoSocket,
    /// The servers may only be asked over TLS (`forward-tls-upstream` and its like), and none of
    /// them began a session or proved its name: nothing is sent in the clear instead.
    Untrusted,
    /// There is no copy of the zone that may be used (`auth-zone:`): not read or transferred yet,
    /// expired, or its digest was wrong.
    ZoneUnavailable,

    // Policy.
    /// The client may not ask (`access-control`).
    Prohibited = 70,
    /// Refused by local policy (`local-zone`, `deny-any`).
    Blocked,
    /// Too much at once from this client.
    TooManyQueries,
    /// An expired answer was served (RFC 8767).
    StaleAnswer,
    /// An expired NXDOMAIN was served (RFC 8767).
    StaleNxDomain,
    /// A name that must never be asked for (RFC 9824 NXNAME).
    InvalidQueryType,
    /// The client did not ask for recursion, and nothing here is authoritative for the name.
    NotAuthoritative,
    /// Policy replaced what the answer was.
    Forged,
}

/// One row per reason: variant, Extended DNS Error, text for the client.
const REASONS: &[(Reason, u16, &str)] = &[
    (Reason::UnsupportedAlgorithm, 1, "no supported DNSKEY algorithm"),
    (Reason::UnsupportedDigest, 2, "no supported DS digest type"),
    (Reason::Nsec3Iterations, 27, "NSEC3 iterations above the limit"),
    (Reason::BogusSignature, 6, "signature does not verify"),
    (Reason::SignatureExpired, 7, "signature expired"),
    (Reason::SignatureNotYetValid, 8, "signature not yet valid"),
    (Reason::SignatureExpiredBeforeValid, 25, "signature expires before it begins"),
    (Reason::RrsigsMissing, 10, "signatures missing"),
    (Reason::DnskeyMissing, 9, "no DNSKEY matches the DS"),
    (Reason::NoZoneKeyBit, 11, "no DNSKEY has the zone key flag"),
    (Reason::NsecMissing, 12, "denial of existence missing"),
    (Reason::TrustAnchorMismatch, 9, "no DNSKEY matches the trust anchor"),
    (Reason::DnameMismatch, 6, "CNAME is not what the DNAME says"),
    (Reason::ValidationLimit, 6, "validation limit reached"),
    (Reason::ChainUnreachable, 6, "DS could not be fetched"),
    (Reason::DenialUnproven, 6, "denial of existence does not prove it"),
    (Reason::DnskeyUnreachable, 9, "DNSKEY could not be fetched"),
    (Reason::AlgorithmMissing, 6, "algorithm of the DS missing"),
    (Reason::NoReachableAuthority, 22, "no usable response from any server"),
    (Reason::NetworkError, 22, "no reply from any server"),
    (Reason::LameDelegation, 22, "servers are lame"),
    (Reason::ServersRefused, 22, "servers refused"),
    (Reason::NoServerAddress, 22, "no address for any name server"),
    (Reason::DependencyCycle, 0, "name servers depend on each other"),
    (Reason::WorkLimit, 0, "work limit reached"),
    (Reason::AliasLimit, 0, "alias limit reached"),
    (Reason::ClientDeadline, 22, "no answer in time"),
    (Reason::CachedFailure, 13, "cached failure"),
    (Reason::NotReady, 14, "not ready"),
    (Reason::NoSocket, 23, "no outgoing socket"),
    (Reason::ZoneUnavailable, 24, "no usable copy of the zone"),
    (Reason::Untrusted, 22, "no trustworthy TLS session with the servers"),
    (Reason::Prohibited, 18, ""),
    (Reason::Blocked, 15, ""),
    (Reason::TooManyQueries, 31, ""),
    (Reason::StaleAnswer, 3, ""),
    (Reason::StaleNxDomain, 19, ""),
    (Reason::InvalidQueryType, 30, ""),
    (Reason::NotAuthoritative, 20, ""),
    (Reason::Forged, 4, ""),
];

impl Reason {
    /// Reads the number this reason is stored as; `None` for a number never written.
    pub fn from_u8(n: u8) -> Option<Self> {
        REASONS.iter().map(|row| row.0).find(|reason| *reason as u8 == n)
    }

    /// The Extended DNS Error a client is told.
    pub fn ede(self) -> Ede {
        Ede(self.row().1)
    }

    /// EXTRA-TEXT of the Extended DNS Error; may be empty.
    pub fn text(self) -> &'static str {
        self.row().2
    }

    fn row(self) -> &'static (Self, u16, &'static str) {
        // Every variant has a row (tested); the first row can only stand in for a missing one.
        REASONS.iter().find(|row| row.0 == self).unwrap_or(&REASONS[0])
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_survives_its_number() {
        for (reason, ede, text) in REASONS {
            assert_eq!(Reason::from_u8(*reason as u8), Some(*reason));
            assert_eq!((reason.ede().0, reason.text()), (*ede, *text));
        }
        assert_eq!(Reason::from_u8(0), None);
        assert_eq!(Reason::from_u8(255), None);
    }

    #[test]
    fn the_status_of_a_whole_is_that_of_its_worst_part() {
        use SecurityStatus::*;
        assert_eq!([Secure, Insecure].into_iter().min(), Some(Insecure));
        assert_eq!([Secure, Bogus, Insecure].into_iter().min(), Some(Bogus));
        for status in [Bogus, Indeterminate, Insecure, Secure] {
            assert_eq!(SecurityStatus::from_u8(status as u8), Some(status));
        }
    }
}

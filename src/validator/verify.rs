//! Signatures over RRsets: RFC 4035 §5.3 within the budget.

use std::borrow::Cow;

use super::crypto::Algorithm;
use super::scope::Scope;
use crate::budget::{KEYS_PER_TAG, SIGNATURE_FAILURES_PER_RRSET, SIGNATURES_PER_RRSET};
use crate::config::Config;
use crate::status::Reason;
use crate::wire::{Dnskey, Name, Rdata, Rrset, Rrsig, canonical_rdata};

/// What a signature that verified says about its RRset.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Verified {
    /// The RRset was expanded from `*.` and this many rightmost labels of its owner: that nothing
    /// closer exists is still to be proven (RFC 4035 §5.3.4).
    pub(super) expanded: Option<usize>,
    /// Seconds the RRset may be kept: the least of the TTL received, the TTL signed and the time
    /// until the signature expires (RFC 4035 §5.3.3).
    pub(super) ttl: u32,
}

/// Verifies `rrset` as data of `zone`, whose `keys` are authenticated. One good signature is
/// enough (RFC 4035 §5.3.3); algorithms need not be complete (RFC 6840 §5.11).
///
/// The result does not depend on the order of records and signatures.
///
/// # Errors
///
/// The most telling reason why no signature will do.
pub(super) fn verify(
    rrset: &Rrset,
    zone: &Name,
    keys: &[Rdata],
    scope: &mut Scope<'_>,
) -> Result<Verified, Reason> {
    let keys = keys.iter().filter_map(Dnskey::parse).filter(is_zone_key).collect();
    verify_by(rrset, zone, keys, scope)
}

/// Verifies the RRset of keys that `dnskey` is in as signed by that very key, which is revoked: the
/// one thing that such a key may still say (RFC 5011 §2.1).
///
/// # Errors
///
/// As for [`verify`].
pub(super) fn verify_by_revoked(
    rrset: &Rrset,
    dnskey: &Rdata,
    scope: &mut Scope<'_>,
) -> Result<Verified, Reason> {
    let revoked = |key: &Dnskey<'_>| {
        key.flags & (Dnskey::ZONE | Dnskey::REVOKE) == Dnskey::ZONE | Dnskey::REVOKE
            && key.protocol == 3
    };
    let key = Dnskey::parse(dnskey).filter(revoked);
    verify_by(rrset, &rrset.owner, key.into_iter().collect(), scope)
}

fn verify_by(
    rrset: &Rrset,
    zone: &Name,
    keys: Vec<Dnskey<'_>>,
    scope: &mut Scope<'_>,
) -> Result<Verified, Reason> {
    let mut failure = Failure::default();
    let mut candidates: Vec<_> = rrset
        .signatures
        .iter()
        .filter_map(|rdata| match Candidate::of(rrset, zone, &keys, rdata, scope) {
            Ok(candidate) => Some(candidate),
            Err(reason) => {
                failure.note(reason);
                None
            }
        })
        .collect();
    candidates.sort_by(|a, b| (a.weight, a.rdata).cmp(&(b.weight, b.rdata)));
    candidates.dedup_by(|a, b| a.rdata == b.rdata);
    if candidates.is_empty() {
        return Err(failure.0);
    }

    let records = canonical_records(rrset);
    let mut failures_left = SIGNATURE_FAILURES_PER_RRSET.default;
    for candidate in candidates.iter().take(SIGNATURES_PER_RRSET.default.into()) {
        candidate.write_signed_data(rrset, &records, &mut scope.memory.buffer);
        for key in candidate.keys.iter().take(KEYS_PER_TAG.default.into()) {
            let weight = candidate.algorithm.weight(key.public_key);
            scope.budget.spend_crypto(weight).map_err(|exhausted| exhausted.0)?;
            let signature = candidate.rrsig.signature;
            if candidate.algorithm.verify(key.public_key, &scope.memory.buffer, signature) {
                return Ok(candidate.verified(rrset, scope.date()));
            }
            // A malformed key costs as much as a wrong signature (CVE-2025-8677).
            scope.budget.spend_crypto_failures(1).map_err(|exhausted| exhausted.0)?;
            failure.note(Reason::BogusSignature);
            failures_left = failures_left.saturating_sub(1);
            if failures_left == 0 {
                return Err(failure.0);
            }
        }
    }
    Err(failure.0)
}

/// The most telling of several reasons.
struct Failure(Reason);

impl Default for Failure {
    fn default() -> Self {
        Self(Reason::RrsigsMissing)
    }
}

impl Failure {
    /// Reasons from the least to the most telling: what was closest to verifying wins.
    const ORDER: [Reason; 6] = [
        Reason::RrsigsMissing,
        Reason::DnskeyMissing,
        Reason::SignatureExpiredBeforeValid,
        Reason::SignatureNotYetValid,
        Reason::SignatureExpired,
        Reason::BogusSignature,
    ];

    fn note(&mut self, reason: Reason) {
        let rank = |reason| Self::ORDER.iter().position(|other| *other == reason);
        if rank(reason) > rank(self.0) {
            self.0 = reason;
        }
    }
}

/// A signature that passed every check that costs nothing.
struct Candidate<'a> {
    rdata: &'a Rdata,
    rrsig: Rrsig<'a>,
    algorithm: Algorithm,
    keys: Vec<Dnskey<'a>>,
    weight: u32,
    expanded: Option<usize>,
}

impl<'a> Candidate<'a> {
    /// Checks everything RFC 4035 §5.3.1 lists.
    fn of(
        rrset: &Rrset,
        zone: &Name,
        keys: &[Dnskey<'a>],
        rdata: &'a Rdata,
        scope: &Scope<'_>,
    ) -> Result<Self, Reason> {
        let rrsig = Rrsig::parse(rdata).ok_or(Reason::BogusSignature)?;
        if rrsig.type_covered != rrset.rtype || !rrset.owner.is_at_or_below(zone) {
            return Err(Reason::BogusSignature);
        }
        // The signer is the zone the chain of trust led to, not a parent and not a child of it.
        // A signature by somebody else is as good as none.
        if rrsig.signer != *zone {
            return Err(Reason::RrsigsMissing);
        }
        // As many labels as the owner or fewer, which means expansion of a wildcard; but the
        // wildcard was still in the zone.
        let (labels, owner_labels) = (usize::from(rrsig.labels), rrset.owner.rrsig_labels());
        if labels > owner_labels || labels < zone.label_count() {
            return Err(Reason::BogusSignature);
        }
        let algorithm =
            Algorithm::supported(rrsig.algorithm, scope.config).ok_or(Reason::RrsigsMissing)?;
        if let Some(date) = scope.date() {
            check_dates(&rrsig, date, scope.config)?;
        }
        let mut keys: Vec<_> = keys
            .iter()
            .filter(|key| key.key_tag == rrsig.key_tag && key.algorithm == rrsig.algorithm)
            .copied()
            .collect();
        keys.sort_by_key(|key| (key.public_key, key.flags));
        let weight = keys.iter().map(|key| algorithm.weight(key.public_key)).max();
        let weight = weight.ok_or(Reason::DnskeyMissing)?;
        let expanded = (labels < owner_labels).then_some(labels);
        Ok(Self { rdata, rrsig, algorithm, keys, weight, expanded })
    }

    /// Puts together what was signed (RFC 4034 §3.1.8.1, §6).
    fn write_signed_data(&self, rrset: &Rrset, records: &[Cow<'_, [u8]>], out: &mut Vec<u8>) {
        let fixed = self.rdata.as_bytes().get(..18).unwrap_or_default();
        let owner = match self.expanded {
            Some(labels) => rrset.owner.suffix(labels).to_lowercase(),
            None => rrset.owner.to_lowercase(),
        };
        let wildcard: &[u8] = if self.expanded.is_some() { b"\x01*" } else { b"" };
        out.clear();
        out.extend_from_slice(fixed);
        out.extend_from_slice(self.rrsig.signer.to_lowercase().as_wire());
        for record in records {
            out.extend_from_slice(wildcard);
            out.extend_from_slice(owner.as_wire());
            out.extend_from_slice(&rrset.rtype.0.to_be_bytes());
            out.extend_from_slice(&rrset.class.0.to_be_bytes());
            out.extend_from_slice(&self.rrsig.original_ttl.to_be_bytes());
            out.extend_from_slice(&u16::try_from(record.len()).unwrap_or(u16::MAX).to_be_bytes());
            out.extend_from_slice(record);
        }
    }

    fn verified(&self, rrset: &Rrset, date: Option<u32>) -> Verified {
        let left = date.map_or(u32::MAX, |date| seconds_until(self.rrsig.expiration, date));
        let ttl = rrset.ttl.min(self.rrsig.original_ttl).min(left);
        Verified { expanded: self.expanded, ttl }
    }
}

/// Whether a key may sign data of its zone: Zone Key flag, protocol 3, not revoked (RFC 4034 §2.1,
/// RFC 5011 §2.1).
pub(super) fn is_zone_key(key: &Dnskey<'_>) -> bool {
    key.flags & Dnskey::ZONE != 0 && key.flags & Dnskey::REVOKE == 0 && key.protocol == 3
}

/// Records in canonical form and order, without duplicates (RFC 4034 §6.3).
fn canonical_records(rrset: &Rrset) -> Vec<Cow<'_, [u8]>> {
    let mut records: Vec<_> =
        rrset.rdata.iter().map(|rdata| canonical_rdata(rrset.rtype, rdata)).collect();
    records.sort_unstable();
    records.dedup();
    records
}

/// Inception ≤ now ≤ expiration by serial arithmetic (RFC 4034 §3.1.5), with an allowance for
/// clocks that differ: a tenth of the signature's life, within bounds.
fn check_dates(rrsig: &Rrsig<'_>, date: u32, config: &Config) -> Result<(), Reason> {
    let (inception, expiration) = (rrsig.inception, rrsig.expiration);
    if is_after(inception, expiration) {
        return Err(Reason::SignatureExpiredBeforeValid);
    }
    let (min, max) = (config.val_sig_skew_min, config.val_sig_skew_max);
    let skew = (expiration.wrapping_sub(inception) / 10).max(min).min(max);
    if is_after(inception, date) && inception.wrapping_sub(date) > skew {
        return Err(Reason::SignatureNotYetValid);
    }
    if is_after(date, expiration) && date.wrapping_sub(expiration) > skew {
        return Err(Reason::SignatureExpired);
    }
    Ok(())
}

/// Whether date `a` is later than `b` (RFC 1982 §3.2).
fn is_after(a: u32, b: u32) -> bool {
    a != b && a.wrapping_sub(b) < 1 << 31
}

/// Seconds from `date` until `expiration`; zero when that is past and only skew let it through.
fn seconds_until(expiration: u32, date: u32) -> u32 {
    if is_after(expiration, date) { expiration.wrapping_sub(date) } else { 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::RecordType;

    /// Whether a signature with these dates is good at that date, without allowance.
    fn dated(inception: u32, expiration: u32, date: u32) -> Result<(), Reason> {
        let config = Config { val_sig_skew_min: 0, val_sig_skew_max: 0, ..Config::default() };
        let rrsig = Rrsig {
            type_covered: RecordType::A,
            algorithm: 15,
            labels: 0,
            original_ttl: 0,
            expiration,
            inception,
            key_tag: 0,
            signer: Name::root(),
            signature: &[],
        };
        check_dates(&rrsig, date, &config)
    }

    #[test]
    fn dates_go_on_after_2106_rfc_4034_section_3_1_5() {
        const LAST: u32 = u32::MAX;
        for (why, inception, expiration, date, expected) in [
            ("inside", 100, 200, 150, Ok(())),
            ("first second", 100, 200, 100, Ok(())),
            ("last second", 100, 200, 200, Ok(())),
            ("too early", 100, 200, 99, Err(Reason::SignatureNotYetValid)),
            ("too late", 100, 200, 201, Err(Reason::SignatureExpired)),
            ("backwards", 200, 100, 150, Err(Reason::SignatureExpiredBeforeValid)),
            ("before the wrap", LAST - 100, 100, LAST - 50, Ok(())),
            ("after the wrap", LAST - 100, 100, 50, Ok(())),
            (
                "too early at the wrap",
                LAST - 100,
                100,
                LAST - 101,
                Err(Reason::SignatureNotYetValid),
            ),
            ("too late after the wrap", LAST - 100, 100, 101, Err(Reason::SignatureExpired)),
            ("begins after the wrap", 10, 100, LAST, Err(Reason::SignatureNotYetValid)),
            ("ended before the wrap", LAST - 100, LAST - 10, 5, Err(Reason::SignatureExpired)),
        ] {
            assert_eq!(dated(inception, expiration, date), expected, "{why}");
        }
    }

    #[test]
    fn time_left_ends_at_zero() {
        assert_eq!(seconds_until(200, 150), 50);
        assert_eq!(seconds_until(200, 250), 0);
        assert_eq!(seconds_until(10, u32::MAX), 11);
    }

    #[test]
    fn the_most_telling_reason_is_given() {
        for (reasons, expected) in [
            (vec![], Reason::RrsigsMissing),
            (vec![Reason::DnskeyMissing, Reason::RrsigsMissing], Reason::DnskeyMissing),
            (vec![Reason::SignatureExpired, Reason::DnskeyMissing], Reason::SignatureExpired),
            (vec![Reason::BogusSignature, Reason::SignatureExpired], Reason::BogusSignature),
        ] {
            let mut failure = Failure::default();
            reasons.into_iter().for_each(|reason| failure.note(reason));
            assert_eq!(failure.0, expected);
        }
    }
}

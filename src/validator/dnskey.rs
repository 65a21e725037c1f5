//! The DNSKEY RRset of a zone: authenticated by a DS RRset or a trust anchor, or not.

use super::anchors::Trusted;
use super::crypto::Algorithm;
use super::digest;
use super::scope::Scope;
use super::verify::{Verified, is_zone_key, verify};
use crate::budget::{DNSKEYS, DS_DIGESTS};
use crate::cache::KeyState;
use crate::config::Config;
use crate::status::Reason;
use crate::wire::{Dnskey, Name, Rdata, RecordType, Rrset};

/// Octets of a DNSKEY RRset above which nobody needs it.
const MAX_OCTETS: usize = 16_384;

/// Authenticates the DNSKEY RRset of `zone` (RFC 4035 §5.2): a key that `trusted` vouches for has
/// to have signed it. Then all of its zone keys are authenticated.
///
/// # Errors
///
/// Why the zone is bogus.
pub(super) fn authenticate(
    zone: &Name,
    trusted: &Trusted,
    rrset: &Rrset,
    scope: &mut Scope<'_>,
) -> Result<(Vec<Rdata>, u32), Reason> {
    let octets: usize = rrset.rdata.iter().map(Rdata::len).sum();
    if rrset.rdata.len() > DNSKEYS.default.into() || octets > MAX_OCTETS {
        return Err(Reason::ValidationLimit);
    }
    let mut points = entry_points(zone, trusted, rrset, scope)?;
    if points.is_empty() {
        // A key that is an anchor remains one while it is missing (RFC 5011 §4.2), and may sign.
        return match verify_by(zone, rrset, trusted.keys(), scope) {
            Ok(verified) => Ok((usable_keys(rrset, scope.config), verified.ttl)),
            Err(_) => Err(why_none(trusted, rrset)),
        };
    }
    let verified = if scope.config.harden_algo_downgrade {
        verify_all_algorithms(zone, trusted, rrset, &points, scope)?
    } else {
        points.sort_unstable();
        verify_by(zone, rrset, &points, scope)?
    };
    Ok((usable_keys(rrset, scope.config), verified.ttl.min(trusted.ttl)))
}

/// The keys that `trusted` vouches for.
fn entry_points(
    zone: &Name,
    trusted: &Trusted,
    rrset: &Rrset,
    scope: &mut Scope<'_>,
) -> Result<Vec<Rdata>, Reason> {
    let mut ds = trusted.ds(scope.config);
    ds.sort_unstable_by_key(|ds| (ds.key_tag, ds.algorithm, ds.digest_type, ds.digest));
    ds.dedup();
    let mut rdatas: Vec<_> = rrset.rdata.iter().collect();
    rdatas.sort_unstable();
    let mut points = Vec::new();
    let mut digests_left = DS_DIGESTS.default;
    for rdata in rdatas {
        let Some(key) = Dnskey::parse(rdata).filter(is_zone_key) else { continue };
        if Algorithm::supported(key.algorithm, scope.config).is_none() {
            continue;
        }
        let mut vouched = trusted.has_key(rdata);
        let same =
            ds.iter().filter(|ds| (ds.key_tag, ds.algorithm) == (key.key_tag, key.algorithm));
        for ds in same {
            if vouched {
                break;
            }
            // HashTrap: many DS times many keys of one tag (CVE-2023-50387).
            digests_left = digests_left.checked_sub(1).ok_or(Reason::ValidationLimit)?;
            vouched = digest::matches(ds, zone, rdata, scope.config);
        }
        if vouched {
            points.push(rdata.clone());
        }
    }
    Ok(points)
}

fn verify_by(
    zone: &Name,
    rrset: &Rrset,
    points: &[Rdata],
    scope: &mut Scope<'_>,
) -> Result<Verified, Reason> {
    verify(rrset, zone, points, scope).map_err(|reason| match reason {
        // Signed, but not by a key that is vouched for.
        Reason::DnskeyMissing => Reason::RrsigsMissing,
        other => other,
    })
}

/// `harden-algo-downgrade`: for every algorithm announced there has to be a key and a signature.
/// Differs on purpose from RFC 6840 §5.11, where asked for.
fn verify_all_algorithms(
    zone: &Name,
    trusted: &Trusted,
    rrset: &Rrset,
    points: &[Rdata],
    scope: &mut Scope<'_>,
) -> Result<Verified, Reason> {
    let mut least: Option<Verified> = None;
    for algorithm in trusted.algorithms(scope.config) {
        let of_algorithm =
            |key: &&Rdata| Dnskey::parse(key).is_some_and(|k| k.algorithm == algorithm);
        let points: Vec<_> = points.iter().filter(of_algorithm).cloned().collect();
        if points.is_empty() {
            return Err(Reason::AlgorithmMissing);
        }
        let verified = verify_by(zone, rrset, &points, scope)?;
        least =
            Some(least.map_or(verified, |least| Verified {
                ttl: least.ttl.min(verified.ttl),
                ..verified
            }));
    }
    least.ok_or(Reason::AlgorithmMissing)
}

/// No key of the RRset is vouched for.
fn why_none(trusted: &Trusted, rrset: &Rrset) -> Reason {
    let mut keys = rrset.rdata.iter().filter_map(Dnskey::parse);
    if !keys.any(|key| key.flags & Dnskey::ZONE != 0) {
        Reason::NoZoneKeyBit
    } else if rrset.rdata.iter().any(|rdata| trusted.has_revoked(rdata)) {
        // It says that it is revoked, and its signature does not.
        Reason::BogusSignature
    } else if trusted.is_anchor {
        Reason::TrustAnchorMismatch
    } else {
        Reason::DnskeyMissing
    }
}

/// The keys that may sign data of the zone, of algorithms we know.
fn usable_keys(rrset: &Rrset, config: &Config) -> Vec<Rdata> {
    let usable = |rdata: &&Rdata| {
        Dnskey::parse(rdata).is_some_and(|key| {
            is_zone_key(&key) && Algorithm::supported(key.algorithm, config).is_some()
        })
    };
    let mut keys: Vec<_> = rrset.rdata.iter().filter(usable).cloned().collect();
    keys.sort_unstable();
    keys.dedup();
    keys
}

/// Most NSEC3 iterations computed for a zone with these keys (RFC 5155 §10.3): the row of
/// `val-nsec3-keysize-iterations` for the largest key.
pub(super) fn max_iterations(keys: &[Rdata], config: &Config) -> u16 {
    let bits = keys.iter().filter_map(Dnskey::parse).filter_map(|key| {
        Some(Algorithm::supported(key.algorithm, config)?.key_bits(key.public_key))
    });
    let bits = u32::try_from(bits.max().unwrap_or(0)).unwrap_or(u32::MAX);
    let table = &config.val_nsec3_keysize_iterations;
    let row = table.iter().find(|row| row.key_bits >= bits).or_else(|| table.last());
    row.map_or(crate::budget::NSEC3_ITERATIONS.default, |row| row.max)
}

/// What the answer to a question for the DNSKEY RRset of `zone` makes of the zone, and for how
/// many seconds.
///
/// # Errors
///
/// Why the zone is bogus.
pub(super) fn settle(
    zone: &Name,
    trusted: &Trusted,
    answer: &crate::cache::Answer,
    scope: &mut Scope<'_>,
) -> Result<(KeyState, u32), Reason> {
    if answer.is_failure() {
        return Err(Reason::DnskeyUnreachable);
    }
    let rrset = answer.answer.iter().find(|rrset| rrset.is(zone, RecordType::DNSKEY));
    let keys = match rrset {
        Some(rrset) => authenticate(zone, trusted, rrset, scope),
        None if trusted.is_anchor => Err(Reason::TrustAnchorMismatch),
        None => Err(Reason::DnskeyMissing),
    };
    match keys {
        Ok((dnskeys, ttl)) => Ok((KeyState::Secure { dnskeys }, ttl)),
        // `harden-dnssec-stripped: no`: an anchored zone that is not signed, or no longer, is
        // let through.
        Err(reason)
            if trusted.is_anchor
                && !scope.config.harden_dnssec_stripped
                && reason != Reason::ValidationLimit =>
        {
            Ok((KeyState::Insecure(Some(reason)), scope.config.val_bogus_ttl))
        }
        Err(reason) => Err(reason),
    }
}

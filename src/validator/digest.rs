//! DS records: which of them count, and whether one vouches for a key (RFC 4034 §5, RFC 4509).

use ring::digest;

use super::crypto::{Algorithm, is_believed};
use crate::config::Config;
use crate::status::Reason;
use crate::wire::{Ds, Name, Rdata};

/// Digest types (RFC 4034, RFC 4509, RFC 6605); every other number is unsupported.
const SHA1: u8 = 1;
const SHA256: u8 = 2;
const SHA384: u8 = 4;

/// What a DS RRset that was authenticated says about the zone below it.
#[derive(Debug, Eq, PartialEq)]
pub(super) enum Choice<'a> {
    /// One of these has to match a key of the zone. None that could ever match may be left.
    Match(Vec<Ds<'a>>),
    /// Nothing in it is understood: the zone is insecure (RFC 4035 §5.2).
    Unsupported(Reason),
}

/// Chooses the DS records that count. SHA-1 does not when there is something better: whoever can
/// break it would choose it (RFC 4509 §3).
pub(super) fn choose<'a>(
    records: impl IntoIterator<Item = &'a Rdata>,
    config: &Config,
) -> Choice<'a> {
    let mut records: Vec<_> = records.into_iter().filter_map(Ds::parse).collect();
    if records.is_empty() {
        return Choice::Match(records);
    }
    records.retain(|ds| Algorithm::supported(ds.algorithm, config).is_some());
    if records.is_empty() {
        return Choice::Unsupported(Reason::UnsupportedAlgorithm);
    }
    records.retain(|ds| digest_len(ds.digest_type).is_some() && is_allowed(ds, config));
    if records.is_empty() {
        return Choice::Unsupported(Reason::UnsupportedDigest);
    }
    let better =
        |ds: &Ds<'_>| ds.digest_type != SHA1 && digest_len(ds.digest_type) == Some(ds.digest.len());
    if records.iter().any(better) {
        records.retain(|ds| ds.digest_type != SHA1);
    }
    Choice::Match(records)
}

/// Whether `ds` holds the digest of the key `dnskey` of `zone`. Tag and algorithm are for the
/// caller to compare first, and to count how often this is called.
pub(super) fn matches(ds: &Ds<'_>, zone: &Name, dnskey: &Rdata, config: &Config) -> bool {
    let algorithm = match ds.digest_type {
        SHA1 if is_believed(config.fake_sha1) => return true,
        SHA1 => &digest::SHA1_FOR_LEGACY_USE_ONLY,
        SHA256 => &digest::SHA256,
        SHA384 => &digest::SHA384,
        _ => return false,
    };
    let mut context = digest::Context::new(algorithm);
    context.update(zone.to_lowercase().as_wire());
    context.update(dnskey.as_bytes());
    context.finish().as_ref() == ds.digest
}

/// Whether the policy lets that digest type count (RFC 9905 §2).
fn is_allowed(ds: &Ds<'_>, config: &Config) -> bool {
    ds.digest_type != SHA1 || config.val_accept_sha1 || is_believed(config.fake_sha1)
}

fn digest_len(digest_type: u8) -> Option<usize> {
    match digest_type {
        SHA1 => Some(20),
        SHA256 => Some(32),
        SHA384 => Some(48),
        _ => None,
    }
}

//! Taking out of a secure answer what is not proven (RFC 4035 §4.9.3, §5.3.3).

use super::chain::{Zone, is_signed_by};
use super::scope::Scope;
use super::shape::{End, Shape};
use super::verify::verify;
use crate::cache::Answer;
use crate::config::Config;
use crate::wire::{RecordType, Rrset};

/// RRsets of the additional section that are verified at most.
const ADDITIONAL_RRSETS: usize = 8;

/// Leaves the RRsets that answer the question.
pub(super) fn answer(answer: &mut Answer, shape: &Shape) {
    let mut index = 0;
    answer.answer.retain(|_| {
        let keep = shape.parts.iter().any(|part| part.index == index);
        index += 1;
        keep
    });
}

/// Whether nobody would see more than the answer section (`minimal-responses`): with a proof to
/// show, the other sections are shown too, as by Unbound.
fn is_minimal(answer: &Answer, proven: &[usize], config: &Config) -> bool {
    let bare = !matches!(answer.question.rtype, RecordType::ANY | RecordType::NS);
    config.minimal_responses && proven.is_empty() && bare
}

/// Leaves the RRsets that were `proven`, and an NS RRset that verifies.
pub(super) fn authority(
    answer: &mut Answer,
    proven: &[usize],
    shape: &Shape,
    zones: &[Zone],
    scope: &mut Scope<'_>,
) {
    let mut index = 0;
    let wants_ns = shape.end == End::Data && !is_minimal(answer, proven, scope.config);
    answer.authority.retain_mut(|rrset| {
        let keep = proven.contains(&index)
            || wants_ns
                && rrset.rtype == RecordType::NS
                && verify_in(rrset, zones, scope) == Ok(true);
        index += 1;
        keep
    });
}

/// Leaves what is signed by a zone whose keys are known already, and verifies
/// (`val-clean-additional`).
pub(super) fn additional(
    answer: &mut Answer,
    proven: &[usize],
    zones: &[Zone],
    scope: &mut Scope<'_>,
) {
    if is_minimal(answer, proven, scope.config) {
        answer.additional.clear();
    }
    if !scope.config.val_clean_additional {
        return;
    }
    let mut left = ADDITIONAL_RRSETS;
    answer.additional.retain_mut(|rrset| {
        if left == 0 {
            return false;
        }
        left -= 1;
        match verify_in(rrset, zones, scope) {
            Ok(verified) => verified,
            // Failures are dear, and these records are a courtesy.
            Err(Failed) => {
                left = 0;
                false
            }
        }
    });
}

/// A signature that ought to verify did not.
#[derive(Debug, Eq, PartialEq)]
struct Failed;

/// Whether the RRset verifies with the keys of one of `zones`; clips its TTL.
fn verify_in(rrset: &mut Rrset, zones: &[Zone], scope: &mut Scope<'_>) -> Result<bool, Failed> {
    let Some(zone) = zones.iter().find(|zone| is_signed_by(rrset, zone.name())) else {
        return Ok(false);
    };
    let verified = verify(rrset, zone.name(), zone.keys(), scope).map_err(|_| Failed)?;
    rrset.ttl = verified.ttl;
    // What is expanded from a wildcard would need a proof of its own.
    Ok(verified.expanded.is_none())
}

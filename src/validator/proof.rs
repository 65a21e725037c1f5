//! The NSEC and NSEC3 RRsets of an authority section, verified.

use super::chain::{Zone, is_signed_by};
use super::denial::Denial;
use super::dnskey::max_iterations;
use super::scope::Scope;
use super::verify::verify;
use crate::budget::NSEC3_RECORDS;
use crate::config::Config;
use crate::status::Reason;
use crate::wire::{RecordType, Rrset};

/// Which RRsets of a section verified as data of one zone, and what became of the others.
#[derive(Clone, Debug, Default)]
pub(super) struct Verified {
    /// Index and TTL of each.
    rrsets: Vec<(usize, u32)>,
    failure: Option<Reason>,
}

/// Whether the RRset is of a kind that proves denials.
pub(super) fn is_proof(rrset: &Rrset) -> bool {
    matches!(rrset.rtype, RecordType::NSEC | RecordType::NSEC3)
}

/// Verifies what proves denials in `section` and claims to be signed by `zone`. A response needs
/// no more than a few such RRsets; of more, the first in canonical order are looked at, so that
/// padding buys no work (CVE-2026-11605).
///
/// # Errors
///
/// Only when the budget ends. RRsets that do not verify are left out.
pub(super) fn verified(
    zone: &Zone,
    section: &[Rrset],
    scope: &mut Scope<'_>,
) -> Result<Verified, Reason> {
    let mut indices: Vec<_> = (0..section.len())
        .filter(|i| {
            section.get(*i).is_some_and(|rrset| is_proof(rrset) && is_signed_by(rrset, zone.name()))
        })
        .collect();
    indices.sort_by_key(|i| section.get(*i).map(|rrset| (&rrset.owner, rrset.rtype)));
    indices.truncate(NSEC3_RECORDS.default.into());
    let mut all = Verified::default();
    for index in indices {
        let Some(rrset) = section.get(index) else { continue };
        match verify(rrset, zone.name(), zone.keys(), scope) {
            // Expanded from a wildcard, it would speak about a name it does not stand at
            // (CVE-2017-15105).
            Ok(verified) if verified.expanded.is_some() => {
                all.failure.get_or_insert(Reason::DenialUnproven);
            }
            Ok(verified) => all.rrsets.push((index, verified.ttl)),
            Err(Reason::ValidationLimit) => return Err(Reason::ValidationLimit),
            Err(reason) => {
                all.failure.get_or_insert(reason);
            }
        }
    }
    Ok(all)
}

impl Verified {
    /// What the RRsets prove; `section` is the one they are in.
    pub(super) fn denial<'a>(
        &self,
        zone: &'a Zone,
        section: &'a [Rrset],
        config: &Config,
    ) -> Denial<'a> {
        let mut denial = Denial::new(zone.name(), max_iterations(zone.keys(), config));
        for rrset in self.rrsets.iter().filter_map(|(index, _)| section.get(*index)) {
            denial.add(rrset);
        }
        denial
    }

    /// Index and TTL of each RRset that verified.
    pub(super) fn rrsets(&self) -> &[(usize, u32)] {
        &self.rrsets
    }

    /// Seconds that what was proven may be kept.
    pub(super) fn ttl(&self) -> u32 {
        self.rrsets.iter().map(|(_, ttl)| *ttl).min().unwrap_or(0)
    }

    /// Why something is not proven by these; `none` is the reason when there are none.
    pub(super) fn why_unproven(&self, none: Reason) -> Reason {
        let reason = if self.rrsets.is_empty() { none } else { Reason::DenialUnproven };
        self.failure.unwrap_or(reason)
    }

    /// Why an RRset did not verify, if one did not.
    pub(super) fn failure(&self) -> Option<Reason> {
        self.failure
    }
}

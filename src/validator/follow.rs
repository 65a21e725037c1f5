//! Showing what zones say of their keys to those who follow their rollovers (RFC 5011).

use super::anchors::Trusted;
use super::crypto::Algorithm;
use super::digest;
use super::dnskey;
use super::scope::{Memory, Scope, View};
use super::verify::{verify, verify_by_revoked};
use crate::cache::Answer;
use crate::clock::Now;
use crate::config::{AnchorKind, TrustAnchor};
use crate::rollover;
use crate::status::Reason;
use crate::wire::{Dnskey, Ds, Name, Rdata, RecordType, Rrset};

/// Takes the answer to a question for the keys of `zone` that was asked to learn of a rollover, not
/// for a client. Keys that are proven are remembered; a failure changes nothing but what the
/// trust point knows.
///
/// # Errors
///
/// Why the answer proves nothing.
pub fn probe(zone: &Name, answer: &Answer, view: &mut View<'_>, now: Now) -> Result<(), Reason> {
    let mut memory = Memory::default();
    let mut scope = Scope::new(view, &mut memory, now);
    observe(zone, answer, &mut scope);
    let is_anchored = scope.config.anchors().iter().any(|anchor| anchor.owner == *zone);
    let Ok(trusted) = Trusted::from_anchors(zone, scope.config) else { return Ok(()) };
    if is_anchored {
        let (state, ttl) = dnskey::settle(zone, &trusted, answer, &mut scope)?;
        scope.settle(zone.clone(), state, ttl);
    }
    Ok(())
}

/// Shows the answer to a question for the keys of `zone` to those who follow them; whether other
/// anchors are in use now.
pub(super) fn observe(zone: &Name, answer: &Answer, scope: &mut Scope<'_>) -> bool {
    let rollover = scope.rollover;
    if !rollover.follows(zone) {
        return false;
    }
    let rrset = answer.answer.iter().find(|rrset| rrset.is(zone, RecordType::DNSKEY));
    let now = scope.now;
    let changed = rollover.observe(zone, rrset, &mut Judge(scope), now);
    if changed && !scope.config.anchors().iter().any(|anchor| anchor.owner == *zone) {
        // What was proven from there is proven no longer.
        scope.forget(zone);
    }
    changed
}

struct Judge<'a, 'b>(&'a mut Scope<'b>);

impl rollover::Judge for Judge<'_, '_> {
    /// A key that is an anchor vouches whether or not it is in the RRset: it may be missing.
    fn is_trusted(&mut self, rrset: &Rrset, anchors: &[TrustAnchor]) -> bool {
        let digests: Vec<_> =
            anchors.iter().filter(|anchor| anchor.kind == AnchorKind::Ds).collect();
        let vouched = |dnskey: &&Rdata| {
            digests.iter().any(|ds| self.is_digest(&ds.rdata, &rrset.owner, dnskey))
        };
        let mut keys: Vec<_> = rrset.rdata.iter().filter(vouched).cloned().collect();
        let own = anchors.iter().filter(|anchor| anchor.kind == AnchorKind::Dnskey);
        keys.extend(own.map(|anchor| anchor.rdata.clone()));
        verify(rrset, &rrset.owner, &keys, self.0).is_ok()
    }

    fn is_signed_by(&mut self, rrset: &Rrset, dnskey: &Rdata) -> bool {
        verify_by_revoked(rrset, dnskey, self.0).is_ok()
    }

    fn is_supported(&self, algorithm: u8) -> bool {
        Algorithm::supported(algorithm, self.0.config).is_some()
    }

    fn is_digest(&self, ds: &Rdata, zone: &Name, dnskey: &Rdata) -> bool {
        match (Ds::parse(ds), Dnskey::parse(dnskey)) {
            (Some(ds), Some(key)) => {
                (ds.key_tag, ds.algorithm) == (key.key_tag, key.algorithm)
                    && digest::matches(&ds, zone, dnskey, self.0.config)
            }
            _ => false,
        }
    }
}

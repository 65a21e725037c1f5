//! The chain of trust: from the closest zone that is settled, or the closest trust anchor, down to
//! the zone of a name (RFC 4035 §5.2).
//!
//! ```text
//!           ┌──────────── no cut: one step further down ─────────────┐
//!           ▼                                                        │
//! begin ─► Ds ── DS RRset ─► Dnskey ── keys of the zone below ───────┤
//!           │                   │                                    │
//!           ├─ proven insecure ─┤                                    │
//!           └─ not proven ──────┴─► Arrived ◄── nothing further down ┘
//! ```
//!
//! A step down is by one label, or to the next zone cut when that is known: by the delegations
//! the iterator learned, or by the signer of the data. Such a hint is not trusted. The DS RRset
//! there, or its denial, has to be signed by the zone we stand in; if it is signed by a zone in
//! between, that one is the next hint, and if by nobody, the way down is by single labels.

use std::sync::Arc;

use super::aggressive;
use super::anchors::{self, Point, Trusted};
use super::denial::Cut;
use super::digest::{self, Choice};
use super::dnskey;
use super::follow;
use super::proof;
use super::scope::{Scope, is_passing};
use super::verify::verify;
use crate::cache::{Answer, KeyEntry, KeyState};
use crate::status::Reason;
use crate::wire::{Name, Question, Rcode, Rdata, RecordType, Rrset, Rrsig};

/// What the walk found.
#[derive(Clone, Debug)]
pub(super) enum Found {
    /// The deepest zone on the way to the target; its keys are authenticated.
    Secure(Zone),
    /// The target is in a zone without a chain of trust.
    Insecure(Option<Reason>),
    /// The chain of trust is broken.
    Bogus(Reason),
}

/// A zone with authenticated keys.
#[derive(Clone, Debug)]
pub(super) struct Zone(Arc<KeyEntry>);

impl Zone {
    /// Its name.
    pub(super) fn name(&self) -> &Name {
        &self.0.zone
    }

    /// Its keys.
    pub(super) fn keys(&self) -> &[Rdata] {
        match &self.0.state {
            KeyState::Secure { dnskeys } => dnskeys,
            KeyState::Insecure(_) | KeyState::Bogus(_) => &[],
        }
    }
}

impl Found {
    fn of(entry: Arc<KeyEntry>) -> Self {
        match entry.state {
            KeyState::Secure { .. } => Self::Secure(Zone(entry)),
            KeyState::Insecure(reason) => Self::Insecure(reason),
            KeyState::Bogus(reason) => Self::Bogus(reason),
        }
    }
}

/// Where to go.
#[derive(Clone, Debug)]
pub(super) struct Goal {
    /// The name to find the zone of.
    pub(super) target: Name,
    /// The target is said to be the apex of a zone, so that its DS RRset is worth a direct
    /// question.
    pub(super) is_apex: bool,
}

/// One walk down.
#[derive(Clone, Debug)]
pub(super) struct Walk {
    /// Whose closest anchor it begins at.
    name: Name,
    goal: Goal,
    /// While set, no hints are followed until the walk has come that far.
    careful_until: Option<Name>,
    step: Step,
    /// The question of this step was answered with something that did not verify.
    again: bool,
}

#[derive(Clone, Debug)]
enum Step {
    /// Needs the DS RRset of `child`. Between `zone` and `position` there is no cut.
    Ds { zone: Zone, position: Name, child: Name },
    /// Needs the DNSKEY RRset of `zone`.
    Dnskey { zone: Name, trusted: Trusted },
    /// Is where it can get.
    Arrived(Found),
}

/// What the walk needs, or what it found.
#[derive(Debug)]
pub(super) enum Progress {
    /// The answer to this question; `again`: another than the last.
    Need { question: Question, again: bool },
    /// The end of the walk.
    Arrived(Found),
}

impl Walk {
    /// Begins at the closest settled zone or anchor at or above the target of `goal`, no higher
    /// than the anchor closest to `name`.
    pub(super) fn begin(name: &Name, goal: Goal, scope: &mut Scope<'_>) -> Self {
        let step = match anchors::closest(name, scope.config) {
            None | Some(Point::Negative) => Step::Arrived(Found::Insecure(None)),
            Some(Point::Anchor(anchor)) => Step::first(&anchor, &goal, scope),
        };
        Self { name: name.clone(), goal, careful_until: None, step, again: false }.settled(scope)
    }

    /// What comes next.
    pub(super) fn progress(&self) -> Progress {
        let need = |name: &Name, rtype| Progress::Need {
            question: Question::new(name.clone(), rtype),
            again: self.again,
        };
        match &self.step {
            Step::Ds { child, .. } => need(child, RecordType::DS),
            Step::Dnskey { zone, .. } => need(zone, RecordType::DNSKEY),
            Step::Arrived(found) => Progress::Arrived(found.clone()),
        }
    }

    /// Takes the answer to what [`Walk::progress`] needed. By value: a walk stands at one step,
    /// and a step is used once.
    #[must_use]
    pub(super) fn advance(self, answer: &Answer, scope: &mut Scope<'_>) -> Self {
        let Self { name, goal, careful_until, step, again } = self;
        let nowhere = Step::Arrived(Found::Insecure(None));
        let walk = Self { name, goal, careful_until, step: nowhere, again };
        match step {
            Step::Ds { zone, position, child } => {
                walk.take_ds(zone, position, child, answer, scope)
            }
            Step::Dnskey { zone, trusted } => walk.take_dnskey(zone, trusted, answer, scope),
            Step::Arrived(_) => Self { step, ..walk },
        }
    }

    fn take_ds(
        self,
        zone: Zone,
        position: Name,
        child: Name,
        answer: &Answer,
        scope: &mut Scope<'_>,
    ) -> Self {
        match settle_ds(&zone, &child, answer, scope) {
            Ok(Ds::Present(trusted)) => self.at(Step::Dnskey { zone: child, trusted }),
            Ok(Ds::Insecure(reason, ttl)) => {
                let entry = scope.settle(child, KeyState::Insecure(reason), ttl);
                self.at(Step::Arrived(Found::of(entry)))
            }
            Ok(Ds::NoCut) => self.down(zone, child, scope),
            Ok(Ds::NothingBelow) => self.at(Step::Arrived(Found::Secure(zone))),
            Err(NoDs { reason, signer }) => {
                // If it was a hint that led here, it was no good one.
                let hinted = child.label_count() > position.label_count() + 1;
                let nobody = (reason == Reason::ChainUnreachable).then_some(Signer::Nobody);
                if hinted && let Some(signer) = signer.or(nobody) {
                    return self.distrust(zone, position, child, signer);
                }
                // What a referral said is never the last word (RFC 4035 §5.2): the first question
                // to the parent is free.
                let told = !self.again && !is_passing(reason);
                if told || retry(reason, scope) {
                    return Self { again: true, ..self.at(Step::Ds { zone, position, child }) };
                }
                let entry = scope.settle(child, KeyState::Bogus(reason), 0);
                self.at(Step::Arrived(Found::of(entry)))
            }
        }
    }

    fn take_dnskey(
        self,
        zone: Name,
        trusted: Trusted,
        answer: &Answer,
        scope: &mut Scope<'_>,
    ) -> Self {
        let trusted = match trusted.is_anchor && follow::observe(&zone, answer, scope) {
            false => trusted,
            // What is trusted has just changed; the zone may not be anchored any more.
            true if anchors::closest(&self.name, scope.config)
                != Some(Point::Anchor(zone.clone())) =>
            {
                return Self::begin(&self.name, self.goal, scope);
            }
            true => match Trusted::from_anchors(&zone, scope.config) {
                Ok(trusted) => trusted,
                Err(reason) => return self.at(Step::Arrived(Found::Insecure(Some(reason)))),
            },
        };
        let entry = match dnskey::settle(&zone, &trusted, answer, scope) {
            Ok((state, ttl)) => scope.settle(zone, state, ttl),
            Err(reason) if retry(reason, scope) => {
                return Self { again: true, ..self.at(Step::Dnskey { zone, trusted }) };
            }
            Err(reason) => scope.settle(zone, KeyState::Bogus(reason), 0),
        };
        self.at(Step::Arrived(Found::of(entry))).settled(scope)
    }

    fn at(self, step: Step) -> Self {
        Self { step, again: false, ..self }
    }

    /// Goes on below a zone that just became known, if that is not the end.
    fn settled(self, scope: &mut Scope<'_>) -> Self {
        match self.step {
            Step::Arrived(Found::Secure(ref zone)) => {
                let zone = zone.clone();
                let position = zone.name().clone();
                Self { careful_until: None, ..self }.down(zone, position, scope)
            }
            _ => self,
        }
    }

    /// Goes on from `position`, which is in `zone`.
    fn down(self, zone: Zone, position: Name, scope: &mut Scope<'_>) -> Self {
        if position == self.goal.target || !self.goal.target.is_below(&position) {
            return self.at(Step::Arrived(Found::Secure(zone)));
        }
        let careful = self.careful_until.clone().filter(|until| until.is_below(&position));
        let hint = match careful {
            None => self.hint(&position, scope),
            Some(_) => None,
        };
        let child = hint.unwrap_or_else(|| self.goal.target.suffix(position.label_count() + 1));
        Self { careful_until: careful, ..self }.at(Step::Ds { zone, position, child })
    }

    /// The next zone cut below `position`, as far as anybody says.
    fn hint(&self, position: &Name, scope: &Scope<'_>) -> Option<Name> {
        let mut hint = self.goal.is_apex.then(|| self.goal.target.clone());
        let mut name = self.goal.target.clone();
        // Cuts are found from the deepest up; the last one below our position is the next.
        while let Some(point) = scope.cache.delegation(&name, scope.now) {
            if !point.zone.is_below(position) {
                break;
            }
            let Some(parent) = point.zone.parent() else { break };
            hint = Some(point.zone);
            name = parent;
        }
        hint
    }

    /// The hint led to a name whose DS RRset is not our zone's business.
    fn distrust(self, zone: Zone, position: Name, child: Name, signer: Signer) -> Self {
        match signer {
            Signer::Zone(name) if name.is_below(&position) && child.is_below(&name) => {
                self.at(Step::Ds { zone, position, child: name })
            }
            _ => {
                let next = child.suffix(position.label_count() + 1);
                let careful_until = Some(child);
                Self { careful_until, ..self }.at(Step::Ds { zone, position, child: next })
            }
        }
    }
}

impl Step {
    /// Finds the deepest zone at or above the target that is settled already, or the anchor.
    fn first(anchor: &Name, goal: &Goal, scope: &mut Scope<'_>) -> Self {
        for name in goal.target.ancestors() {
            if let Some(entry) = scope.zone(&name) {
                return Self::Arrived(Found::of(entry));
            }
            if name == *anchor {
                break;
            }
        }
        match Trusted::from_anchors(anchor, scope.config) {
            Ok(trusted) => Self::Dnskey { zone: anchor.clone(), trusted },
            Err(reason) => Self::Arrived(Found::Insecure(Some(reason))),
        }
    }
}

/// Whether an answer that did not verify is worth another question; pays for it.
fn retry(reason: Reason, scope: &mut Scope<'_>) -> bool {
    if is_passing(reason) || scope.memory.retries == 0 {
        return false;
    }
    scope.memory.retries -= 1;
    true
}

/// What the answer to a question for a DS RRset says, verified.
enum Ds {
    /// It is there, and vouches for keys.
    Present(Trusted),
    /// It is proven not to be there, or nothing in it is understood: insecure, for so many seconds.
    Insecure(Option<Reason>, u32),
    /// There is no zone cut.
    NoCut,
    /// There is no such name, and none below it.
    NothingBelow,
}

/// The answer proves nothing.
struct NoDs {
    reason: Reason,
    /// Whose word it is, when not that of the zone we asked about.
    signer: Option<Signer>,
}

enum Signer {
    Nobody,
    Zone(Name),
}

impl From<Reason> for NoDs {
    fn from(reason: Reason) -> Self {
        Self { reason, signer: None }
    }
}

fn settle_ds(
    zone: &Zone,
    child: &Name,
    answer: &Answer,
    scope: &mut Scope<'_>,
) -> Result<Ds, NoDs> {
    if !matches!(answer.rcode, Rcode::NOERROR | Rcode::NXDOMAIN) {
        return Err(Reason::ChainUnreachable.into());
    }
    if let Some(rrset) = answer.answer.iter().find(|rrset| rrset.is(child, RecordType::DS)) {
        return ds_present(zone, rrset, scope);
    }
    if let Some(alias) = alias(zone, child, answer) {
        return ds_alias(zone, child, alias, answer, scope);
    }
    let proofs = proof::verified(zone, &answer.authority, scope)?;
    let cut = proofs.denial(zone, &answer.authority, scope.config).ds(child, scope);
    let cut = cut.map_err(|exhausted| exhausted.0)?;
    if cut.is_some() {
        let rrsets = proofs.rrsets().iter();
        let rrsets = rrsets.filter_map(|(index, ttl)| Some((answer.authority.get(*index)?, *ttl)));
        aggressive::remember(zone, rrsets, None, scope);
    }
    match cut {
        Some(Cut::Insecure(reason)) => Ok(Ds::Insecure(reason, proofs.ttl())),
        Some(Cut::None) => Ok(Ds::NoCut),
        Some(Cut::NothingBelow) => Ok(Ds::NothingBelow),
        None => Err(no_proof(zone, answer, &proofs)),
    }
}

/// Why a negative answer proves nothing, and whose it is.
fn no_proof(zone: &Zone, answer: &Answer, verified: &proof::Verified) -> NoDs {
    let proofs = || answer.authority.iter().filter(|rrset| proof::is_proof(rrset));
    if proofs().any(|rrset| is_signed_by(rrset, zone.name())) {
        return verified.why_unproven(Reason::NsecMissing).into();
    }
    let signer = foreign_signer(answer.authority.iter());
    let reason = match proofs().next() {
        Some(_) if matches!(signer, Signer::Nobody) => Reason::RrsigsMissing,
        _ => Reason::NsecMissing,
    };
    NoDs { reason, signer: Some(signer) }
}

fn ds_present(zone: &Zone, rrset: &Rrset, scope: &mut Scope<'_>) -> Result<Ds, NoDs> {
    if !is_signed_by(rrset, zone.name()) {
        let signer = foreign_signer(std::iter::once(rrset));
        return Err(NoDs { reason: Reason::RrsigsMissing, signer: Some(signer) });
    }
    let verified = verify(rrset, zone.name(), zone.keys(), scope)?;
    if verified.expanded.is_some() {
        // A delegation is not made by a wildcard (RFC 4592 §4.2).
        return Err(Reason::BogusSignature.into());
    }
    Ok(match digest::choose(&rrset.rdata, scope.config) {
        Choice::Match(_) => Ds::Present(Trusted::from_ds(rrset.rdata.clone(), verified.ttl)),
        Choice::Unsupported(reason) => Ds::Insecure(Some(reason), verified.ttl),
    })
}

/// The CNAME at `child`, or the DNAME above it that made one, in an answer to a DS question.
fn alias<'a>(zone: &Zone, child: &Name, answer: &'a Answer) -> Option<&'a Rrset> {
    let dname = answer.answer.iter().find(|rrset| {
        rrset.rtype == RecordType::DNAME
            && child.is_below(&rrset.owner)
            && rrset.owner.is_at_or_below(zone.name())
    });
    dname.or_else(|| answer.answer.iter().find(|rrset| rrset.is(child, RecordType::CNAME)))
}

/// An alias where a DS RRset was asked for: nothing but the alias is there, so there is no cut.
fn ds_alias(
    zone: &Zone,
    child: &Name,
    alias: &Rrset,
    answer: &Answer,
    scope: &mut Scope<'_>,
) -> Result<Ds, NoDs> {
    if !is_signed_by(alias, zone.name()) {
        let signer = foreign_signer(std::iter::once(alias));
        return Err(NoDs { reason: Reason::RrsigsMissing, signer: Some(signer) });
    }
    let verified = verify(alias, zone.name(), zone.keys(), scope)?;
    if alias.rtype == RecordType::DNAME {
        return Ok(Ds::NothingBelow);
    }
    if let Some(labels) = verified.expanded {
        let proofs = proof::verified(zone, &answer.authority, scope)?;
        let denial = proofs.denial(zone, &answer.authority, scope.config);
        let proof = denial.wildcard(child, labels, scope).map_err(|exhausted| exhausted.0)?;
        proof.ok_or_else(|| proofs.why_unproven(Reason::DenialUnproven))?;
    }
    Ok(Ds::NoCut)
}

/// Whether one of the signatures claims to be by that zone.
pub(super) fn is_signed_by(rrset: &Rrset, zone: &Name) -> bool {
    signers(rrset).any(|signer| signer == *zone)
}

/// Who the signatures claim to be by.
pub(super) fn signers(rrset: &Rrset) -> impl Iterator<Item = Name> {
    rrset.signatures.iter().filter_map(|rdata| Some(Rrsig::parse(rdata)?.signer))
}

fn foreign_signer<'a>(rrsets: impl Iterator<Item = &'a Rrset>) -> Signer {
    let deepest = rrsets.flat_map(signers).max_by_key(Name::label_count);
    deepest.map_or(Signer::Nobody, Signer::Zone)
}

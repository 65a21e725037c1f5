//! The course of a validation: which RRsets need which keys, and what their verdicts add up to.

use std::collections::VecDeque;

use super::aggressive;
use super::anchors::{self, Point, zone_side};
use super::chain::{Found, Goal, Progress, Walk, Zone, signers};
use super::clean;
use super::denial::{Denial, Proof};
use super::proof;
use super::scope::Scope;
use super::shape::{End, Origin, Part, Shape};
use super::types::Action;
use super::verify::verify;
use crate::cache::Answer;
use crate::status::{Reason, SecurityStatus};
use crate::wire::{Class, Name, Question, Rcode, RecordType, Rrset};

/// Judges one response.
#[derive(Debug)]
pub(super) struct Judge {
    answer: Answer,
    stage: Stage,
    shape: Shape,
    /// One for each part of the shape, once known.
    verdicts: Vec<Option<Verdict>>,
    /// What the denial of the question proved.
    denied: Option<Denied>,
    /// Indices of authority RRsets that are proven.
    proven: Vec<usize>,
    tasks: VecDeque<Task>,
    walking: Option<(Task, Walk)>,
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
enum Stage {
    /// Nothing was looked at yet.
    Fresh,
    /// RRsets of the answer section.
    Answer,
    /// What is denied.
    Denial,
}

/// What was found about an RRset of the answer section that is not bogus.
#[derive(Clone, Debug)]
pub(super) enum Verdict {
    /// Verified with keys of `zone`; expanded from the wildcard below so many rightmost labels.
    Secure { zone: Zone, expanded: Option<usize> },
    /// In a zone without a chain of trust.
    Insecure(Option<Reason>),
}

/// A denial, and the response code it stands for.
#[derive(Clone, Copy, Debug)]
struct Denied {
    rcode: Rcode,
    proof: Proof,
}

/// Something to find a zone for.
#[derive(Clone, Debug)]
enum Task {
    /// The part of that number, by its signer or, without one, by its owner.
    Part(usize),
    /// The part of that number, whose signatures are by nobody who may sign it: is it in an
    /// insecure zone after all? If not, it is bogus for this reason.
    Unsigned(usize, Reason),
    /// The denial of the question, by the zone that signed it.
    Signed(Name),
    /// The question is denied without a proof: is it in an insecure zone? If not, it is bogus,
    /// for this reason if there is one already.
    Unproven(Option<Reason>),
}

impl Judge {
    pub(super) fn new(answer: Answer) -> Self {
        let shape = Shape::of(&answer);
        let verdicts = shape.parts.iter().map(|_| None).collect();
        Self {
            answer,
            stage: Stage::Fresh,
            shape,
            verdicts,
            denied: None,
            proven: Vec::new(),
            tasks: VecDeque::new(),
            walking: None,
        }
    }

    /// Takes the answer to the question asked last; any other is ignored.
    pub(super) fn resolved(&mut self, question: &Question, answer: &Answer, scope: &mut Scope<'_>) {
        if let Some((task, walk)) = self.walking.take() {
            let asked =
                matches!(walk.progress(), Progress::Need { question: q, .. } if q == *question);
            let walk = if asked { walk.advance(answer, scope) } else { walk };
            self.walking = Some((task, walk));
        }
    }

    /// Goes on until something is needed, or to the verdict.
    pub(super) fn run(&mut self, scope: &mut Scope<'_>) -> Action {
        if self.stage == Stage::Fresh {
            if let Some(status) = self.needs_no_validation() {
                return self.finish(status, self.answer.reason);
            }
            self.stage = Stage::Answer;
            self.tasks = (0..self.shape.parts.len()).map(Task::Part).collect();
        }
        loop {
            let Some((task, walk)) = self.next(scope) else {
                match self.end_of_stage(scope) {
                    Ok(Some(action)) => return action,
                    Ok(None) => continue,
                    Err(reason) => return self.finish(SecurityStatus::Bogus, Some(reason)),
                }
            };
            match walk.progress() {
                Progress::Need { question, .. } if question == self.answer.question => {
                    // The keys of this zone are what the response is about.
                    let walk = walk.advance(&self.answer, scope);
                    self.walking = Some((task, walk));
                }
                Progress::Need { question, again } => {
                    self.walking = Some((task, walk));
                    return if again {
                        Action::NeedOther(question)
                    } else {
                        Action::Need(question)
                    };
                }
                Progress::Arrived(found) => match self.take(task, found, scope) {
                    Ok(()) => {}
                    // What it says about the target of its aliases is not proven: then the target
                    // is still to be asked for, and the aliases are as good as they are.
                    Err(_) if self.is_denial_optional() => self.tasks.clear(),
                    Err(reason) => return self.finish(SecurityStatus::Bogus, Some(reason)),
                },
            }
        }
    }

    /// Responses that are no data, and questions whose answers have no signatures.
    fn needs_no_validation(&self) -> Option<SecurityStatus> {
        let rcode = self.answer.rcode;
        if !matches!(rcode, Rcode::NOERROR | Rcode::NXDOMAIN | Rcode::YXDOMAIN) {
            return Some(SecurityStatus::Indeterminate);
        }
        let unsigned = self.answer.question.rtype == RecordType::RRSIG
            || self.answer.question.class != Class::IN;
        unsigned.then_some(SecurityStatus::Insecure)
    }

    fn next(&mut self, scope: &mut Scope<'_>) -> Option<(Task, Walk)> {
        if let Some(walking) = self.walking.take() {
            return Some(walking);
        }
        while let Some(task) = self.tasks.pop_front() {
            if let Some(walk) = self.begin(&task, scope) {
                return Some((task, walk));
            }
        }
        None
    }

    /// The walk a task needs; `None` when it needs none.
    fn begin(&self, task: &Task, scope: &mut Scope<'_>) -> Option<Walk> {
        let rtype = self.answer.question.rtype;
        let (name, goal) = match task {
            Task::Part(number) => {
                let rrset = self.rrset(self.part(*number)?)?;
                (zone_side(&rrset.owner, rrset.rtype), goal_of(rrset, scope))
            }
            Task::Unsigned(number, _) => {
                let rrset = self.rrset(self.part(*number)?)?;
                let name = zone_side(&rrset.owner, rrset.rtype);
                (name.clone(), Goal { target: name, is_apex: false })
            }
            Task::Signed(signer) => {
                (signer.clone(), Goal { target: signer.clone(), is_apex: true })
            }
            Task::Unproven(_) => {
                let name = zone_side(&self.shape.target, rtype);
                (name.clone(), Goal { target: name, is_apex: false })
            }
        };
        Some(Walk::begin(&name, goal, scope))
    }

    /// The part of that number, unless it stands or falls with a DNAME.
    fn part(&self, number: usize) -> Option<Part> {
        let part = self.shape.parts.get(number).copied()?;
        (!matches!(part.origin, Origin::Made(_))).then_some(part)
    }

    fn rrset(&self, part: Part) -> Option<&Rrset> {
        self.answer.answer.get(part.index)
    }

    /// Takes what was found for a task.
    fn take(&mut self, task: Task, found: Found, scope: &mut Scope<'_>) -> Result<(), Reason> {
        match (task, found) {
            (Task::Unsigned(_, reason), Found::Secure(_) | Found::Bogus(_))
            | (Task::Unproven(Some(reason)), Found::Secure(_) | Found::Bogus(_))
            | (_, Found::Bogus(reason)) => return Err(reason),
            (Task::Unsigned(number, _), Found::Insecure(why)) => {
                self.set(number, Verdict::Insecure(why));
            }
            (Task::Part(number), Found::Insecure(why)) => self.set(number, Verdict::Insecure(why)),
            (Task::Part(number), Found::Secure(zone)) => self.verify_part(number, zone, scope)?,
            // An anchor holds whatever insecure zones above it say.
            (Task::Signed(signer), Found::Insecure(_)) if !self.is_anchored(&signer, scope) => {
                self.tasks.push_back(Task::Unproven(None));
            }
            (Task::Signed(_) | Task::Unproven(_), Found::Insecure(why)) => {
                let rcode = self.answer.rcode;
                self.denied = Some(Denied { rcode, proof: Proof::Insecure(why) });
            }
            (Task::Unproven(None), Found::Secure(_)) => return Err(self.why_unproven()),
            (Task::Signed(_), Found::Secure(zone)) => self.deny(&zone, scope)?,
        }
        Ok(())
    }

    fn set(&mut self, number: usize, verdict: Verdict) {
        if let Some(slot) = self.verdicts.get_mut(number) {
            *slot = Some(verdict);
        }
    }

    fn verify_part(
        &mut self,
        number: usize,
        zone: Zone,
        scope: &mut Scope<'_>,
    ) -> Result<(), Reason> {
        let Some(part) = self.part(number) else { return Ok(()) };
        let Some(rrset) = self.answer.answer.get_mut(part.index) else { return Ok(()) };
        match verify(rrset, zone.name(), zone.keys(), scope) {
            Ok(verified) => {
                rrset.ttl = verified.ttl;
                if let Some(labels) = verified.expanded {
                    aggressive::remember_wildcard(rrset, labels, scope);
                }
                self.set(number, Verdict::Secure { zone, expanded: verified.expanded });
                Ok(())
            }
            Err(_) if part.origin == Origin::Mismade => Err(Reason::DnameMismatch),
            // Signed, but by nobody who may: that counts as unsigned. Where the walk did not go
            // all the way to the owner, the zone may still turn out to be insecure.
            Err(reason @ (Reason::RrsigsMissing | Reason::DnskeyMissing))
                if !rrset.signatures.is_empty()
                    && zone_side(&rrset.owner, rrset.rtype).is_below(zone.name()) =>
            {
                self.tasks.push_front(Task::Unsigned(number, reason));
                Ok(())
            }
            Err(reason) => Err(reason),
        }
    }

    /// Nothing is left to find a zone for. Plans the next stage, or ends.
    fn end_of_stage(&mut self, scope: &mut Scope<'_>) -> Result<Option<Action>, Reason> {
        if self.stage == Stage::Answer {
            self.stage = Stage::Denial;
            self.inherit_from_dnames()?;
            self.deny_closer_matches(scope)?;
            if self.shape.end == End::Nothing || self.is_denial_optional() {
                self.tasks.push_back(self.plan_denial(scope));
                return Ok(None);
            }
        }
        let (status, reason) = self.sum();
        match status {
            SecurityStatus::Secure => self.keep_what_is_proven(scope),
            _ => self.keep_what_is_consistent(),
        }
        Ok(Some(self.finish(status, reason)))
    }

    /// Whether the response goes on to deny the target of its aliases, which is another question
    /// and may be answered by another response.
    fn is_denial_optional(&self) -> bool {
        let denies = |rrset: &Rrset| {
            rrset.rtype == RecordType::SOA && self.shape.target.is_at_or_below(&rrset.owner)
        };
        self.stage == Stage::Denial
            && self.shape.end == End::Alias
            && self.answer.authority.iter().any(denies)
    }

    /// CNAMEs made from a DNAME are as good as it is.
    fn inherit_from_dnames(&mut self) -> Result<(), Reason> {
        for number in 0..self.shape.parts.len() {
            let Some(Part { index, origin: Origin::Made(dname) }) =
                self.shape.parts.get(number).copied()
            else {
                continue;
            };
            let from = self.shape.parts.iter().position(|part| part.index == dname);
            let verdict = from.and_then(|from| self.verdicts.get(from)?.clone());
            if matches!(verdict, Some(Verdict::Secure { expanded: Some(_), .. })) {
                // A wildcard DNAME redirects nothing (RFC 6672 §3.3).
                return Err(Reason::DnameMismatch);
            }
            let ttl = self.answer.answer.get(dname).map_or(0, |dname| dname.ttl);
            if let Some(cname) = self.answer.answer.get_mut(index) {
                cname.ttl = cname.ttl.min(ttl);
            }
            if let Some(slot) = self.verdicts.get_mut(number) {
                *slot = verdict;
            }
        }
        Ok(())
    }

    /// For each RRset expanded from a wildcard: nothing closer to its owner exists.
    fn deny_closer_matches(&mut self, scope: &mut Scope<'_>) -> Result<(), Reason> {
        let mut known: Vec<(Zone, proof::Verified)> = Vec::new();
        for number in 0..self.shape.parts.len() {
            let Some(Some(Verdict::Secure { zone, expanded: Some(labels) })) =
                self.verdicts.get(number).cloned()
            else {
                continue;
            };
            let Some(owner) = self.part(number).and_then(|part| self.rrset(part)) else { continue };
            let owner = owner.owner.clone();
            if !known.iter().any(|(other, _)| other.name() == zone.name()) {
                let verified = proof::verified(&zone, &self.answer.authority, scope)?;
                known.push((zone.clone(), verified));
            }
            let Some((_, verified)) = known.iter().find(|(other, _)| other.name() == zone.name())
            else {
                continue;
            };
            let denial = verified.denial(&zone, &self.answer.authority, scope.config);
            let proof = denial.wildcard(&owner, labels, scope).map_err(|exhausted| exhausted.0)?;
            match proof {
                Some(Proof::Secure) => {}
                Some(Proof::Insecure(why)) => self.set(number, Verdict::Insecure(why)),
                // The data is there: no NSEC is missing in the sense of EDE 12.
                None => return Err(verified.why_unproven(Reason::DenialUnproven)),
            }
        }
        for (zone, verified) in known {
            self.mark_proven(&verified, &zone, None, scope);
        }
        Ok(())
    }

    /// Authority RRsets that verified are kept, with their TTLs clipped, and remembered as data of
    /// `zone`; `soa` is the index of its SOA.
    fn mark_proven(
        &mut self,
        verified: &proof::Verified,
        zone: &Zone,
        soa: Option<usize>,
        scope: &Scope<'_>,
    ) {
        let authority = &self.answer.authority;
        let proofs = verified.rrsets().iter();
        let proofs = proofs.filter_map(|(index, ttl)| Some((authority.get(*index)?, *ttl)));
        let soa = soa.and_then(|index| authority.get(index));
        aggressive::remember(zone, proofs, soa, scope);
        for (index, ttl) in verified.rrsets() {
            if let Some(rrset) = self.answer.authority.get_mut(*index) {
                rrset.ttl = *ttl;
                self.proven.push(*index);
            }
        }
    }

    /// Who signed the denial of the question: the deepest zone that may speak about it.
    fn plan_denial(&self, scope: &Scope<'_>) -> Task {
        let name = zone_side(&self.shape.target, self.answer.question.rtype);
        let Some(Point::Anchor(anchor)) = anchors::closest(&name, scope.config) else {
            return Task::Unproven(None);
        };
        // A zone above the anchor may still prove that what is anchored does not exist.
        let trusted = |signer: &Name| {
            matches!(anchors::closest(signer, scope.config), Some(Point::Anchor(_)))
        };
        let signer = |kind: fn(&Rrset) -> bool| {
            let rrsets = self.answer.authority.iter().filter(|rrset| kind(rrset));
            rrsets
                .flat_map(signers)
                .filter(|signer| name.is_at_or_below(signer) && trusted(signer))
                .max_by_key(Name::label_count)
        };
        let is_soa = |rrset: &Rrset| rrset.rtype == RecordType::SOA;
        let signer = signer(proof::is_proof)
            .or_else(|| signer(is_soa).filter(|signer| signer.is_at_or_below(&anchor)));
        signer.map_or(Task::Unproven(None), Task::Signed)
    }

    /// Whether `zone` lies at or below the anchor that is closest to the name denied.
    fn is_anchored(&self, zone: &Name, scope: &Scope<'_>) -> bool {
        let name = zone_side(&self.shape.target, self.answer.question.rtype);
        match anchors::closest(&name, scope.config) {
            Some(Point::Anchor(anchor)) => zone.is_at_or_below(&anchor),
            Some(Point::Negative) | None => true,
        }
    }

    /// Proves the denial of the question by records of `zone`.
    fn deny(&mut self, zone: &Zone, scope: &mut Scope<'_>) -> Result<(), Reason> {
        let verified = proof::verified(zone, &self.answer.authority, scope)?;
        let denial = verified.denial(zone, &self.answer.authority, scope.config);
        let Some(denied) = denied(&self.shape.target, &self.answer, &denial, scope)? else {
            let absent = verified.failure().is_none() && verified.rrsets().is_empty();
            if !absent || self.is_denial_optional() {
                return Err(verified.why_unproven(Reason::NsecMissing));
            }
            // A SOA alone may be that of a zone above the right one, which may be insecure.
            self.tasks.push_back(Task::Unproven(Some(self.why_unproven())));
            return Ok(());
        };
        let soa = self.verify_soa(zone, scope)?;
        self.mark_proven(&verified, zone, soa, scope);
        self.denied = Some(denied);
        Ok(())
    }

    /// A SOA that is not signed is left out; one that is has to verify. Gives its index.
    fn verify_soa(&mut self, zone: &Zone, scope: &mut Scope<'_>) -> Result<Option<usize>, Reason> {
        let mut verified = None;
        for (index, rrset) in self.answer.authority.iter_mut().enumerate() {
            let is_soa = rrset.is(zone.name(), RecordType::SOA);
            if is_soa && !rrset.signatures.is_empty() {
                rrset.ttl = verify(rrset, zone.name(), zone.keys(), scope)?.ttl;
                self.proven.push(index);
                verified = Some(index);
            }
        }
        Ok(verified)
    }

    /// Why a denial in a secure zone is bogus.
    fn why_unproven(&self) -> Reason {
        let mut rrsets = self
            .answer
            .authority
            .iter()
            .filter(|rrset| proof::is_proof(rrset) || rrset.rtype == RecordType::SOA);
        if rrsets.any(|rrset| rrset.signatures.is_empty()) {
            Reason::RrsigsMissing
        } else {
            Reason::NsecMissing
        }
    }

    /// The worst of all parts, and its reason.
    fn sum(&self) -> (SecurityStatus, Option<Reason>) {
        let denied = self.denied.map(|denied| match denied.proof {
            Proof::Secure => None,
            Proof::Insecure(why) => Some(why),
        });
        let parts = self.verdicts.iter().map(|verdict| match verdict {
            Some(Verdict::Secure { .. }) => None,
            Some(Verdict::Insecure(why)) => Some(*why),
            // Cannot be: every part was judged. Not proven is not secure.
            None => Some(None),
        });
        let insecure: Vec<_> = parts.chain(denied).flatten().collect();
        match insecure.as_slice() {
            [] => (SecurityStatus::Secure, None),
            reasons => (SecurityStatus::Insecure, reasons.iter().flatten().next().copied()),
        }
    }

    /// Takes out of a secure answer what was not proven.
    fn keep_what_is_proven(&mut self, scope: &mut Scope<'_>) {
        self.correct_rcode();
        let zones: Vec<_> = self
            .verdicts
            .iter()
            .flatten()
            .filter_map(|verdict| match verdict {
                Verdict::Secure { zone, .. } => Some(zone.clone()),
                Verdict::Insecure(_) => None,
            })
            .collect();
        clean::answer(&mut self.answer, &self.shape);
        clean::authority(&mut self.answer, &self.proven, &self.shape, &zones, scope);
        clean::additional(&mut self.answer, &self.proven, &zones, scope);
    }

    /// Of an insecure answer nothing is taken out but what contradicts its aliases.
    fn keep_what_is_consistent(&mut self) {
        self.correct_rcode();
        if self.shape.end == End::Alias && self.denied.is_none() {
            self.answer.authority.retain(|rrset| rrset.rtype != RecordType::SOA);
        }
    }

    fn correct_rcode(&mut self) {
        self.answer.rcode = match (&self.shape.end, self.denied) {
            (End::Nothing | End::Alias, Some(denied)) => denied.rcode,
            (End::Nothing, None) => self.answer.rcode,
            (End::Data | End::Alias, _) => Rcode::NOERROR,
            (End::TooLong, _) => Rcode::YXDOMAIN,
        };
    }

    fn finish(&mut self, status: SecurityStatus, reason: Option<Reason>) -> Action {
        let gone = Answer::failure(self.answer.question.clone(), Reason::ValidationLimit);
        let mut answer = std::mem::replace(&mut self.answer, gone);
        answer.status = status;
        answer.reason = reason;
        Action::Finish(answer)
    }
}

/// Where to look for the keys of an RRset: at the deepest zone that claims to have signed it or
/// that is known to be on the way to it; without either, as far down as its owner.
fn goal_of(rrset: &Rrset, scope: &Scope<'_>) -> Goal {
    let name = zone_side(&rrset.owner, rrset.rtype);
    let Some(Point::Anchor(anchor)) = anchors::closest(&name, scope.config) else {
        return Goal { target: name, is_apex: false };
    };
    let signer = signers(rrset)
        .filter(|signer| name.is_at_or_below(signer) && signer.is_at_or_below(&anchor))
        .max_by_key(Name::label_count);
    let Some(signer) = signer else { return Goal { target: name, is_apex: false } };
    // At a zone cut, both sides have an NSEC record.
    let below = match rrset.rtype {
        RecordType::NSEC => name.parent().unwrap_or_else(Name::root),
        _ => name,
    };
    match scope.cache.delegation(&below, scope.now) {
        Some(point) if point.zone.is_below(&signer) => Goal { target: point.zone, is_apex: false },
        _ => Goal { target: signer, is_apex: true },
    }
}

/// What `denial` proves about `name`, where the question led. The response code is a hint where to
/// begin, and what is proven corrects it.
fn denied(
    name: &Name,
    answer: &Answer,
    denial: &Denial<'_>,
    scope: &mut Scope<'_>,
) -> Result<Option<Denied>, Reason> {
    let rtype = answer.question.rtype;
    let is_error = answer.rcode == Rcode::NXDOMAIN;
    let order = if is_error { [true, false] } else { [false, true] };
    for name_error in order {
        let (rcode, proof) = if name_error {
            (Rcode::NXDOMAIN, denial.name_error(name, scope))
        } else {
            let rcode =
                if is_error && denial.is_compact(name) { Rcode::NXDOMAIN } else { Rcode::NOERROR };
            (rcode, denial.no_data(name, rtype, scope))
        };
        match proof.map_err(|exhausted| exhausted.0)? {
            Some(Proof::Secure) => return Ok(Some(Denied { rcode, proof: Proof::Secure })),
            // Not proven either way: as the response said.
            Some(proof) => return Ok(Some(Denied { rcode: answer.rcode, proof })),
            None => {}
        }
    }
    Ok(None)
}

//! What verified NSEC and NSEC3 records prove: that a name, a type, a delegation is not there.
//!
//! Each question a response leaves open is one method here. A proof is by the records of one zone
//! alone; both kinds are tried, since a zone may be changing from one to the other.

use super::nsec::{self, is_delegation};
use super::nsec3::{self, lacks};
use super::scope::Scope;
use crate::budget::Exhausted;
use crate::status::Reason;
use crate::wire::{Name, RecordType, Rrset, TypeBitmap};

/// A denial that holds, and how much it is worth.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Proof {
    /// Proven.
    Secure,
    /// Proven that it cannot be proven: by opt-out, or by more iterations than we compute.
    Insecure(Option<Reason>),
}

/// What there is at a name below a zone's apex, as far as delegations are concerned.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Cut {
    /// A delegation without DS, or opt-out may hide one: the zone below is insecure.
    Insecure(Option<Reason>),
    /// No delegation; names below belong to the same zone.
    None,
    /// No such name, and none below it.
    NothingBelow,
}

/// The verified records of one zone.
#[derive(Debug)]
pub(super) struct Denial<'a> {
    zone: &'a Name,
    nsec: nsec::Records<'a>,
    nsec3: nsec3::Records<'a>,
    max_iterations: u16,
}

impl<'a> Denial<'a> {
    /// No records of `zone` yet. Above `max_iterations`, NSEC3 hashes are not computed.
    pub(super) fn new(zone: &'a Name, max_iterations: u16) -> Self {
        let (nsec, nsec3) = (nsec::Records::default(), nsec3::Records::default());
        Self { zone, nsec, nsec3, max_iterations }
    }

    /// Takes in an NSEC or NSEC3 RRset that was verified as data of the zone, and was not expanded
    /// from a wildcard: such a record says nothing about the name it was expanded to.
    pub(super) fn add(&mut self, rrset: &'a Rrset) {
        match rrset.rtype {
            RecordType::NSEC => self.nsec.add(self.zone, rrset),
            RecordType::NSEC3 => self.nsec3.add(self.zone, rrset),
            _ => {}
        }
    }

    /// Whether the NSEC record at `name` says that the name does not exist, without a proof by
    /// gaps (NXNAME, RFC 9824 §3.1).
    pub(super) fn is_compact(&self, name: &Name) -> bool {
        self.nsec.types(name).is_some_and(|types| types.contains(RecordType::NXNAME))
    }

    /// That `name` does not exist, nor a wildcard that would stand in for it (RFC 4035 §5.4,
    /// RFC 5155 §8.4). `None`: not proven.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] when the budget ends first.
    pub(super) fn name_error(
        &self,
        name: &Name,
        scope: &mut Scope<'_>,
    ) -> Result<Option<Proof>, Exhausted> {
        // A wildcard whose name would be too long cannot exist.
        let no_wildcard = |encloser: Name| {
            encloser.wildcard_child().map_or(true, |wildcard| self.nsec.denies(&wildcard))
        };
        if !name.is_below(self.zone) {
            return Ok(None);
        }
        if self.nsec.closest_enclosers(name).any(no_wildcard) {
            return Ok(Some(Proof::Secure));
        }
        self.by_chain(scope, |chain, scope| {
            let (hashes, budget) = (&mut scope.memory.hashes, &mut *scope.budget);
            let Some(encloser) = chain.closest_encloser(name, hashes, budget)? else {
                return Ok(None);
            };
            let denied = match encloser.name.wildcard_child() {
                Ok(wildcard) => chain.covers(&wildcard, hashes, budget)?.is_some(),
                Err(_) => true,
            };
            Ok(denied.then(|| worth(encloser.opt_out)))
        })
    }

    /// That `name`, or the wildcard that stands in for it, has no records of `rtype` and no alias
    /// (RFC 4035 §5.4, RFC 5155 §8.5 to §8.7). `None`: not proven.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] when the budget ends first.
    pub(super) fn no_data(
        &self,
        name: &Name,
        rtype: RecordType,
        scope: &mut Scope<'_>,
    ) -> Result<Option<Proof>, Exhausted> {
        if !name.is_at_or_below(self.zone) {
            return Ok(None);
        }
        let by_wildcard = |encloser: Name| {
            encloser.wildcard_child().is_ok_and(|wildcard| {
                self.nsec.types(&wildcard).is_some_and(|types| denies_type(types, &wildcard, rtype))
                    || self.nsec.is_non_terminal(&wildcard)
            })
        };
        let by_nsec = match self.nsec.types(name) {
            Some(types) => denies_type(types, name, rtype),
            None => {
                self.nsec.is_non_terminal(name)
                    || self.nsec.closest_enclosers(name).any(by_wildcard)
            }
        };
        if by_nsec {
            return Ok(Some(Proof::Secure));
        }
        self.by_chain(scope, |chain, scope| {
            let (hashes, budget) = (&mut scope.memory.hashes, &mut *scope.budget);
            if let Some(types) = chain.types(name, hashes, budget)? {
                return Ok(denies_type(types, name, rtype).then_some(Proof::Secure));
            }
            let Some(encloser) = chain.closest_encloser(name, hashes, budget)? else {
                return Ok(None);
            };
            let wildcard = encloser.name.wildcard_child();
            let types = match &wildcard {
                Ok(wildcard) => chain.types(wildcard, hashes, budget)?,
                Err(_) => None,
            };
            Ok(match types {
                Some(types) => denies_type(types, name, rtype).then(|| worth(encloser.opt_out)),
                // An unsigned delegation may be there, or be below: an empty non-terminal.
                None => encloser.opt_out.then_some(Proof::Insecure(None)),
            })
        })
    }

    /// That nothing closer to `owner` exists than the wildcard below its rightmost `labels` labels
    /// (RFC 4035 §5.3.4, RFC 5155 §8.8). `None`: not proven.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] when the budget ends first.
    pub(super) fn wildcard(
        &self,
        owner: &Name,
        labels: usize,
        scope: &mut Scope<'_>,
    ) -> Result<Option<Proof>, Exhausted> {
        if !owner.is_below(self.zone) {
            return Ok(None);
        }
        if self.nsec.closest_enclosers(owner).any(|encloser| encloser.label_count() == labels) {
            return Ok(Some(Proof::Secure));
        }
        self.by_chain(scope, |chain, scope| {
            let next_closer = owner.suffix(labels + 1);
            let covered = chain.covers(&next_closer, &mut scope.memory.hashes, scope.budget)?;
            Ok(covered.map(worth))
        })
    }

    /// What there is at `child`, which has no DS RRset, on the way down from the zone's apex
    /// (RFC 4035 §5.2, RFC 5155 §8.6, §8.9, RFC 6840 §4.4). `None`: not proven, or proven that
    /// there should have been a DS RRset.
    ///
    /// # Errors
    ///
    /// [`Exhausted`] when the budget ends first.
    pub(super) fn ds(&self, child: &Name, scope: &mut Scope<'_>) -> Result<Option<Cut>, Exhausted> {
        if !child.is_below(self.zone) {
            return Ok(None);
        }
        if let Some(types) = self.nsec.types(child) {
            return Ok(cut_by_types(types));
        }
        if self.nsec.is_non_terminal(child) {
            return Ok(Some(Cut::None));
        }
        if self.nsec.denies(child) {
            return Ok(Some(Cut::NothingBelow));
        }
        for chain in self.nsec3.chains(self.zone) {
            if chain.iterations() > self.max_iterations {
                return Ok(Some(Cut::Insecure(Some(Reason::Nsec3Iterations))));
            }
            let (hashes, budget) = (&mut scope.memory.hashes, &mut *scope.budget);
            if let Some(types) = chain.types(child, hashes, budget)? {
                return Ok(cut_by_types(types));
            }
            if let Some(encloser) = chain.closest_encloser(child, hashes, budget)? {
                let cut = if encloser.opt_out { Cut::Insecure(None) } else { Cut::NothingBelow };
                return Ok(Some(cut));
            }
        }
        Ok(None)
    }

    /// Tries each chain of NSEC3 records until one proves it.
    fn by_chain(
        &self,
        scope: &mut Scope<'_>,
        mut proves: impl FnMut(&nsec3::Chain<'_>, &mut Scope<'_>) -> Result<Option<Proof>, Exhausted>,
    ) -> Result<Option<Proof>, Exhausted> {
        for chain in self.nsec3.chains(self.zone) {
            // Not computed: whoever may choose the iterations may choose our work (RFC 9276 §3.2,
            // CVE-2026-1519). The records were verified, so the zone itself chose.
            if chain.iterations() > self.max_iterations {
                return Ok(Some(Proof::Insecure(Some(Reason::Nsec3Iterations))));
            }
            if let Some(proof) = proves(&chain, scope)? {
                return Ok(Some(proof));
            }
        }
        Ok(None)
    }
}

fn worth(opt_out: bool) -> Proof {
    if opt_out { Proof::Insecure(None) } else { Proof::Secure }
}

/// Whether the types at `name` deny `rtype`, spoken by the right side of a zone cut: the parent
/// about DS, the child about everything else (RFC 4035 §5.4, RFC 6840 §4.1, §4.4).
fn denies_type(types: TypeBitmap<'_>, name: &Name, rtype: RecordType) -> bool {
    if rtype == RecordType::ANY {
        // Nothing may be there but what proves that nothing is.
        return types.iter().all(|other| other.is_dnssec() || other == RecordType::NXNAME);
    }
    let right_side = match rtype {
        RecordType::DS => name.is_root() || !types.contains(RecordType::SOA),
        _ => !is_delegation(types),
    };
    right_side && lacks(types, rtype)
}

fn cut_by_types(types: TypeBitmap<'_>) -> Option<Cut> {
    if types.contains(RecordType::DS) || types.contains(RecordType::SOA) {
        None
    } else if types.contains(RecordType::NS) {
        Some(Cut::Insecure(None))
    } else {
        Some(Cut::None)
    }
}

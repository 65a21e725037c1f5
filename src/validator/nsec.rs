//! Denial of existence by NSEC (RFC 4035 §5.4, RFC 6840 §4).

use crate::wire::{Name, Nsec, RecordType, Rrset, TypeBitmap};

/// The NSEC records of a zone that were verified, as far as they are fit to prove anything.
#[derive(Debug, Default)]
pub(super) struct Records<'a>(Vec<Record<'a>>);

#[derive(Debug)]
struct Record<'a> {
    owner: &'a Name,
    next: Name,
    types: TypeBitmap<'a>,
}

/// What an NSEC record that covers a name says about it.
struct Covered {
    /// Labels of the closest encloser: the longest ancestor that exists.
    encloser: usize,
    /// Names exist below it: it is an empty non-terminal.
    non_terminal: bool,
}

impl<'a> Records<'a> {
    /// Takes in the records of a verified RRset, not expanded from a wildcard, of `zone`.
    pub(super) fn add(&mut self, zone: &Name, rrset: &'a Rrset) {
        for nsec in rrset.rdata.iter().filter_map(Nsec::parse) {
            // Next names outside the zone would reach over other zones. The last record points
            // back to the apex, and no other record points backwards.
            let in_zone = nsec.next.is_at_or_below(zone) && rrset.owner.is_at_or_below(zone);
            if in_zone && (rrset.owner < nsec.next || nsec.next == *zone) {
                self.0.push(Record { owner: &rrset.owner, next: nsec.next, types: nsec.types });
            }
        }
    }

    /// The types at exactly that name.
    pub(super) fn types(&self, name: &Name) -> Option<TypeBitmap<'a>> {
        self.0.iter().find(|record| record.owner == name).map(|record| record.types)
    }

    /// Whether `name` is proven to exist without records of its own.
    pub(super) fn is_non_terminal(&self, name: &Name) -> bool {
        self.covering(name).any(|covered| covered.non_terminal)
    }

    /// The closest enclosers that records proving the absence of `name` speak of.
    pub(super) fn closest_enclosers(&self, name: &Name) -> impl Iterator<Item = Name> {
        self.covering(name)
            .filter(|covered| !covered.non_terminal)
            .map(|covered| name.suffix(covered.encloser))
    }

    /// Whether `name` is proven not to exist, empty non-terminals counted as existing.
    pub(super) fn denies(&self, name: &Name) -> bool {
        self.covering(name).any(|covered| !covered.non_terminal)
    }

    fn covering(&self, name: &Name) -> impl Iterator<Item = Covered> {
        self.0.iter().filter_map(move |record| record.covers(name))
    }
}

impl Record<'_> {
    fn covers(&self, name: &Name) -> Option<Covered> {
        // For the last record of the zone, `next` is the apex, which sorts before everything.
        let before_next = *name < self.next || self.next <= *self.owner;
        if !(*self.owner < *name && before_next) || self.is_cut_above(name) {
            return None;
        }
        let encloser = name.common_labels(self.owner).max(name.common_labels(&self.next));
        Some(Covered { encloser, non_terminal: self.next.is_below(name) })
    }

    /// The record stands at a delegation or DNAME above `name`: what is below there is not this
    /// zone's to deny (RFC 6840 §4.1).
    fn is_cut_above(&self, name: &Name) -> bool {
        name.is_below(self.owner) && is_cut(self.types)
    }
}

/// Names below the owner of these types belong to another zone or are redirected.
pub(super) fn is_cut(types: TypeBitmap<'_>) -> bool {
    is_delegation(types) || types.contains(RecordType::DNAME)
}

/// The types are those at a delegation, seen from the parent.
pub(super) fn is_delegation(types: TypeBitmap<'_>) -> bool {
    types.contains(RecordType::NS) && !types.contains(RecordType::SOA)
}

//! What a response consists of: the aliases from the question to where it ends, and the end.

use crate::cache::Answer;
use crate::wire::{Name, Rcode, RecordType, Rrset};

/// RRsets of an answer to ANY that are validated; the rest is left out.
const ANY_RRSETS: usize = 24;

/// The RRsets of the answer section that belong to the answer, in order, and what they lead to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) struct Shape {
    /// Indices of RRsets in the answer section, each once.
    pub(super) parts: Vec<Part>,
    pub(super) end: End,
    /// The name the aliases lead to; QNAME when there are none.
    pub(super) target: Name,
}

/// An RRset of the answer.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Part {
    /// Index in the answer section.
    pub(super) index: usize,
    pub(super) origin: Origin,
}

/// Where an RRset of the answer comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) enum Origin {
    /// The zone; it has to be signed if the zone is.
    Zone,
    /// A CNAME made from the DNAME at this index, and what that DNAME says (RFC 6672 §5.3.1). It
    /// is as good as the DNAME.
    Made(usize),
    /// An unsigned CNAME below a DNAME that says something else.
    Mismade,
}

/// What the aliases lead to.
#[derive(Clone, Debug, Eq, PartialEq)]
pub(super) enum End {
    /// What was asked for.
    Data,
    /// An alias whose target is not here.
    Alias,
    /// A DNAME whose substitution is too long (YXDOMAIN, RFC 6672 §2.2).
    TooLong,
    /// Nothing, not even an alias: the name or the type is denied.
    Nothing,
}

impl Shape {
    /// Follows the aliases of `answer` from its question.
    pub(super) fn of(answer: &Answer) -> Self {
        let target = answer.question.name.clone();
        let mut shape = Self { parts: Vec::new(), end: End::Nothing, target };
        // Each round uses a link that was not used before, or ends.
        while let Some(target) = shape.follow(&shape.target.clone(), answer) {
            shape.target = target;
        }
        shape
    }

    /// Follows one alias; `None` at the end.
    fn follow(&mut self, name: &Name, answer: &Answer) -> Option<Name> {
        let (sets, qtype) = (&answer.answer, answer.question.rtype);
        let cname = find(sets, name, RecordType::CNAME);
        if let Some(made) = Made::find(name, sets, cname) {
            return self.follow_dname(name, &made, answer);
        }
        let data = match qtype {
            RecordType::ANY => self.take_any(name, sets),
            _ => find(sets, name, qtype).is_some_and(|index| self.push(index, Origin::Zone)),
        };
        if data {
            self.end = End::Data;
            return None;
        }
        self.end = if self.parts.is_empty() && cname.is_none() { End::Nothing } else { End::Alias };
        let index = cname.filter(|index| self.push(*index, Origin::Zone))?;
        sets.get(index)?.alias_target()
    }

    fn follow_dname(&mut self, name: &Name, made: &Made<'_>, answer: &Answer) -> Option<Name> {
        self.push(made.dname_at, Origin::Zone);
        self.end = End::Alias;
        let target = made.dname.alias_target();
        let target = target.and_then(|target| name.substitute(&made.dname.owner, &target));
        let Some((index, cname)) = made.cname else {
            if matches!(target, Some(Err(_))) && answer.rcode == Rcode::YXDOMAIN {
                self.end = End::TooLong;
            }
            return None;
        };
        let says = cname.alias_target().filter(|_| cname.rdata.len() == 1)?;
        let origin = match target {
            Some(Ok(target)) if target == says => Origin::Made(made.dname_at),
            _ => Origin::Mismade,
        };
        let fresh = self.push(index, origin);
        if answer.question.rtype == RecordType::CNAME {
            self.end = End::Data;
            return None;
        }
        fresh.then_some(says)
    }

    /// Takes what there is at `name`, of every type, up to a bound; in order of types, so that the
    /// order of records does not matter.
    fn take_any(&mut self, name: &Name, sets: &[Rrset]) -> bool {
        let here =
            |(_, set): &(usize, &Rrset)| set.owner == *name && set.rtype != RecordType::RRSIG;
        let mut here: Vec<_> = sets.iter().enumerate().filter(here).collect();
        here.sort_by_key(|(_, set)| set.rtype);
        here.truncate(ANY_RRSETS);
        here.sort_by_key(|(index, _)| *index);
        if here.is_empty() {
            return false;
        }
        for (index, _) in here {
            self.push(index, Origin::Zone);
        }
        true
    }

    /// Adds a part; `false` when it is there already.
    fn push(&mut self, index: usize, origin: Origin) -> bool {
        let fresh = self.parts.iter().all(|known| known.index != index);
        if fresh {
            self.parts.push(Part { index, origin });
        }
        fresh
    }
}

/// A DNAME above a name, and the CNAME made from it, if it is there.
struct Made<'a> {
    dname_at: usize,
    dname: &'a Rrset,
    cname: Option<(usize, &'a Rrset)>,
}

impl<'a> Made<'a> {
    /// The closest DNAME above `name`, unless the CNAME at `name` has signatures of its own.
    fn find(name: &Name, sets: &'a [Rrset], cname: Option<usize>) -> Option<Self> {
        let cname = cname.and_then(|index| Some((index, sets.get(index)?)));
        if cname.is_some_and(|(_, cname)| !cname.signatures.is_empty()) {
            return None;
        }
        let above = |(_, set): &(usize, &Rrset)| {
            set.rtype == RecordType::DNAME && name.is_below(&set.owner)
        };
        let dnames = sets.iter().enumerate().filter(above);
        let (dname_at, dname) = dnames.max_by_key(|(_, set)| set.owner.label_count())?;
        Some(Self { dname_at, dname, cname })
    }
}

fn find(sets: &[Rrset], name: &Name, rtype: RecordType) -> Option<usize> {
    sets.iter().position(|set| set.is(name, rtype))
}

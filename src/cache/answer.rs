//! The common currency above `wire`: what is known about one question.

use crate::status::{Reason, SecurityStatus};
use crate::wire::{Question, Rcode, RecordType, Rrset};

/// What is known about one question, from whichever source: an upstream response after scrubbing,
/// a validated result, a cache entry, local data, or a failure.
///
/// NXDOMAIN, NODATA and SERVFAIL are answers like any other. TTLs are relative to the moment the
/// value was made.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Answer {
    /// The question this answers, in the case it was asked with.
    pub question: Question,
    /// Response code. For bogus data the code that came with it: what a client without CD is told
    /// instead follows from `status`.
    pub rcode: Rcode,
    /// Answer section: aliases first, in chain order.
    pub answer: Vec<Rrset>,
    /// Authority section: SOA and proofs of negative answers, proofs of wildcard answers.
    pub authority: Vec<Rrset>,
    /// Additional section.
    pub additional: Vec<Rrset>,
    /// What validation made of it; [`SecurityStatus::Indeterminate`] until somebody looked.
    pub status: SecurityStatus,
    /// Why it failed, is bogus, or is less than secure.
    pub reason: Option<Reason>,
}

impl Answer {
    /// An answer without records.
    pub const fn empty(question: Question, rcode: Rcode) -> Self {
        Self {
            question,
            rcode,
            answer: Vec::new(),
            authority: Vec::new(),
            additional: Vec::new(),
            status: SecurityStatus::Indeterminate,
            reason: None,
        }
    }

    /// SERVFAIL, and why.
    pub const fn failure(question: Question, reason: Reason) -> Self {
        let mut answer = Self::empty(question, Rcode::SERVFAIL);
        answer.reason = Some(reason);
        answer
    }

    /// Whether this tells nothing but that resolution failed.
    pub fn is_failure(&self) -> bool {
        self.rcode == Rcode::SERVFAIL
    }

    /// NXDOMAIN, or NOERROR without the type asked for.
    pub fn is_negative(&self) -> bool {
        self.rcode == Rcode::NXDOMAIN || self.answer.is_empty()
    }

    /// The RRset the question asks for, if it is here (not an alias on the way to it).
    pub fn rrset(&self) -> Option<&Rrset> {
        let target = self.target();
        self.answer.iter().find(|rrset| rrset.is(&target, self.question.rtype))
    }

    /// The name the aliases of the answer section lead to; QNAME when there are none.
    pub fn target(&self) -> crate::wire::Name {
        let mut name = self.question.name.clone();
        if self.question.rtype == RecordType::CNAME || self.question.rtype == RecordType::ANY {
            return name;
        }
        // Each link is used at most once, so that a loop ends.
        for _ in 0..self.answer.len() {
            let link = self.answer.iter().find(|rrset| rrset.is(&name, RecordType::CNAME));
            match link.and_then(Rrset::alias_target) {
                Some(next) => name = next,
                None => break,
            }
        }
        name
    }

    /// All RRsets of the three sections.
    pub fn rrsets(&self) -> impl Iterator<Item = &Rrset> {
        self.answer.iter().chain(&self.authority).chain(&self.additional)
    }
}

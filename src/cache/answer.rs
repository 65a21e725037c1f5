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
    /// How policy wants it to go out. Not remembered: it is for one client.
    pub manner: Manner,
}

/// How an answer goes out, apart from what it says; nothing special for nearly all.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Manner {
    /// With AA: nobody else has authority over it.
    pub authoritative: bool,
    /// Without RA, which tells some clients that a denial is policy.
    pub hides_recursion: bool,
    /// Empty and with TC over UDP, so that the client comes back over TCP.
    pub truncated: bool,
    /// Not at all.
    pub dropped: bool,
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
            manner: Manner {
                authoritative: false,
                hides_recursion: false,
                truncated: false,
                dropped: false,
            },
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

    /// The name its aliases lead to when it does not go on from there; `None` when it is whole.
    pub fn dangling(&self) -> Option<crate::wire::Name> {
        if self.rcode != Rcode::NOERROR || self.answer.is_empty() {
            return None;
        }
        let target = self.target();
        let whole = target == self.question.name
            || self.answer.iter().any(|rrset| rrset.is(&target, self.question.rtype))
            || self.authority.iter().any(|rrset| rrset.rtype == RecordType::SOA);
        (!whole).then_some(target)
    }

    /// The answer to the question of this one, whose alias leads to the question of `rest`.
    ///
    /// Records of this one come first, in chain order; the response code and the negative proof are
    /// those of the end of the chain (RFC 2308 §2.1, RFC 6604 §3). Proofs that belong to a link
    /// (its wildcard expansion) stay with it. The whole is as proven as its worst part
    /// (RFC 4035 §3.2.3). When the end is a failure, so is the whole.
    pub fn followed_by(self, rest: &Self) -> Self {
        if rest.is_failure() {
            return Self::failure(self.question, rest.reason.unwrap_or(Reason::NetworkError));
        }
        let mut whole = self;
        for rrset in &rest.answer {
            if !whole.answer.iter().any(|known| known.is(&rrset.owner, rrset.rtype)) {
                whole.answer.push(rrset.clone());
            }
        }
        for rrset in &rest.authority {
            if !whole.authority.iter().any(|known| known.is(&rrset.owner, rrset.rtype)) {
                whole.authority.push(rrset.clone());
            }
        }
        whole.additional = rest.additional.clone();
        whole.rcode = rest.rcode;
        if rest.status < whole.status {
            whole.reason = rest.reason;
        }
        whole.status = whole.status.min(rest.status);
        if whole.status == SecurityStatus::Secure {
            whole.reason = None;
        }
        whole
    }

    /// All RRsets of the three sections.
    pub fn rrsets(&self) -> impl Iterator<Item = &Rrset> {
        self.answer.iter().chain(&self.authority).chain(&self.additional)
    }
}

//! What goes into a validation and comes out of it.

use crate::cache::Answer;
use crate::wire::Question;

/// What happened since the last step.
#[derive(Clone, Copy, Debug)]
pub enum Event<'a> {
    /// Begin. Comes first, and once.
    Start,
    /// What became of the question in [`Action::Need`] or [`Action::NeedOther`].
    Resolved {
        /// That question.
        question: &'a Question,
        /// Not validated; a failure to resolve is an answer too.
        answer: &'a Answer,
    },
}

/// What the driver must do next.
#[derive(Clone, Debug, Eq, PartialEq)]
#[must_use]
pub enum Action {
    /// Resolve this question, of type DS or DNSKEY, without validating the answer, and call back.
    Need(Question),
    /// The last answer to this question did not verify. Resolve it again, past the cache and at
    /// another server than the one that gave it, and call back. A driver that has no other server
    /// may call back with what it has.
    NeedOther(Question),
    /// The verdict: status and reason are set.
    ///
    /// Of a secure answer everything that was not proven is gone and TTLs are no longer than the
    /// signatures allow. A bogus answer keeps its data, for clients that check for themselves.
    /// When the answer section ends in an alias whose target is not there, and the denial of the
    /// target did not come along and hold, the verdict is about the aliases alone: RCODE is
    /// NOERROR, no SOA is left, and the target is still to be asked for.
    Finish(Answer),
}

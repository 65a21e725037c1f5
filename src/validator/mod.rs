//! DNSSEC validation: from a response to a verdict, by the chain of trust from an anchor to the
//! data.
//!
//! A [`Validation`] is a state machine for one response. [`Validation::handle`] takes one event
//! and returns one [`Action`]: a DS or DNSKEY question to resolve first, or the verdict. It opens
//! no socket, reads no clock and spawns nothing.
//!
//! ```text
//! shape      which RRsets of the answer section answer the question, what is left to deny
//!   │
//!   ├─ for each RRset: chain ─► keys of its zone, or proof that it has none
//!   │                  verify ─► secure, insecure or bogus; expanded from a wildcard?
//!   │
//!   ├─ denial    the name, the type, a closer match for each wildcard is not there
//!   ▼
//! clean      what was not proven is taken out, TTLs are clipped
//! ```
//!
//! The verdict is a function of the records, the time and the anchors: the order of records does
//! not matter. Signatures, digests and hashes are paid from the client's budget; what it does not
//! cover is bogus, for this query.
//!
//! # Not here
//!
//! Fetching, following aliases out of the response, AD and CD, `val-permissive-mode`: whoever
//! drives a validation does that. The states of RFC 5011:
//! [`rollover`](crate::rollover) does that.
//!
//! # RFCs
//!
//! 4033, 4034, 4035 (DNSSEC), 4509 (SHA-256 in DS), 4592 (wildcards), 5011 §2.1 (REVOKE), 5155
//! (NSEC3), 5702, 6605, 8080 (algorithms), 6672 (DNAME), 6840 (clarifications), 7646 (negative
//! trust anchors), 8198 (aggressive use), 9077 (TTLs of denials), 9276 (NSEC3 iterations), 9824
//! (compact denial).

mod aggressive;
mod anchors;
mod chain;
mod clean;
mod crypto;
mod denial;
mod digest;
mod dnskey;
mod follow;
mod judge;
mod nsec;
mod nsec3;
mod proof;
mod scope;
mod shape;
mod small_rsa;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod types;
mod verify;

use self::judge::Judge;
use self::scope::{Memory, Scope};
use crate::budget::BOGUS_RETRIES;
use crate::cache::Answer;
use crate::clock::Now;

pub use self::aggressive::synthesize;
pub use self::follow::probe;
pub use self::scope::View;
pub use self::types::{Action, Event};

/// Validates one response.
#[derive(Debug)]
pub struct Validation {
    judge: Judge,
    memory: Memory,
}

impl Validation {
    /// Of an answer that nobody looked at yet. It should be what one response said: aliases with
    /// or without what they lead to, or a denial.
    pub fn new(answer: Answer) -> Self {
        Self { judge: Judge::new(answer), memory: Memory::default() }
    }

    /// Takes one event and says what comes next. Until [`Action::Finish`], every action asks for
    /// exactly one [`Event::Resolved`]; an answer to anything else changes nothing, and the same
    /// question is asked again.
    pub fn handle(&mut self, event: Event<'_>, view: &mut View<'_>, now: Now) -> Action {
        let mut scope = Scope::new(view, &mut self.memory, now);
        match event {
            Event::Start => {
                let retries = u32::from(BOGUS_RETRIES.default);
                scope.memory.retries = retries.min(scope.config.val_max_restart);
            }
            Event::Resolved { question, answer } => {
                self.judge.resolved(question, answer, &mut scope);
            }
        }
        self.judge.run(&mut scope)
    }
}

//! Iterative resolution: from a question to a response, one referral at a time.
//!
//! An [`Iteration`] is a state machine. It is told what happened ([`Event`]) and says what to do
//! next ([`Action`]); whoever drives it sends, waits and calls back. It opens no socket, reads no
//! clock and spawns nothing.
//!
//! # Not here
//!
//! DNSSEC: the iterator asks with DO set and hands over what it got; whether to believe it is for
//! the validator. Aliases that lead out of one response: whoever drives follows them by another
//! question.
//!
//! # RFCs
//!
//! 1034 §5.3.3 (the algorithm), 2181 §5.4.1 (ranking), 2308 §2 (negative responses), 5452 §9
//! (which replies count), 6891 §7 (EDNS fallback), 9156 (QNAME minimisation), 9609 (priming).

mod types;

pub use types::{Action, Event, Exchange, ExchangeError, ExchangeId, Outcome, Response, Transport};

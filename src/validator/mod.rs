//! DNSSEC validation: from a response to a verdict, by the chain of trust from an anchor to the
//! data.

mod types;

pub use types::{Action, Event};

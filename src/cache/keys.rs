//! What is known about the keys of zones.

use crate::clock::UnixTime;
use crate::status::Reason;
use crate::wire::{Name, Rdata};

/// The verdict about the keys of one zone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct KeyEntry {
    /// The zone.
    pub zone: Name,
    /// The verdict.
    pub state: KeyState,
    /// When it has to be asked again.
    pub expires: UnixTime,
}

/// What the chain of trust says about a zone.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum KeyState {
    /// The zone is signed, and these are its keys.
    Secure {
        /// RDATA of the DNSKEY RRset.
        dnskeys: Vec<Rdata>,
    },
    /// Proven to be unsigned, or signed in a way nobody here understands.
    Insecure(Option<Reason>),
    /// The keys could not be had or do not match: nothing in the zone can be trusted.
    Bogus(Reason),
}

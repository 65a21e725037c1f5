//! What was learned, in memory of fixed size: answers, RRsets, delegations, servers, keys.
//!
//! One [`Cache`] is shared by all workers. Each store has a bound of its own from unbound.conf and
//! forgets what it cannot hold; nothing here ever grows beyond it.
//!
//! | store | keyed by | bound |
//! |---|---|---|
//! | [answers](Cache::hit) | question | `msg-cache-size` |
//! | [RRsets](Cache::rrset) | owner, type | three quarters of `rrset-cache-size` |
//! | [delegations](Cache::delegation) | zone | the rest of `rrset-cache-size` |
//! | [servers](Cache::infra) | address and zone | `infra-cache-numhosts` |
//! | [keys](Cache::keys) | zone | `key-cache-size` |
//!
//! Delegations are a store of their own: no answer, whatever it contains, changes who is asked.
//!
//! Only class IN is remembered.

mod answer;
mod delegation;
mod hit;
mod infra;
mod keys;
mod rrsets;

use std::net::SocketAddr;
use std::sync::Arc;

pub use answer::Answer;
pub use delegation::{DelegationPoint, DelegationSource};
pub use hit::{Hit, HotEdns, HotQuery};
pub use infra::{EdnsState, Rtt, RttLimits, Server};
pub use keys::{KeyEntry, KeyState};
pub use rrsets::{CachedRrset, Rank};

use crate::clock::{Now, Rng, UnixTime};
use crate::config::Config;
use crate::status::SecurityStatus;
use crate::wire::{Name, Question, RecordType, Rrset};

/// Everything that was learned, shared by all workers.
pub struct Cache {}

/// A value from the cache, and when it ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cached<T> {
    /// The value, its TTLs counted down.
    pub value: T,
    /// When it expires.
    pub expires: UnixTime,
}

impl Cache {
    /// Empty stores of the sizes of the configuration.
    pub fn new(_config: &Config, _rng: &mut Rng) -> Self {
        Self {}
    }

    //--- Answers

    /// Answers a client from stored wire bytes; `None` when there is no answer that may be used
    /// or `out` is too small for it.
    pub fn hit(&self, _query: &HotQuery<'_>, _now: Now, _out: &mut [u8]) -> Option<Hit> {
        None
    }

    /// As [`Cache::hit`], and expired answers will do when `serve-expired` allows them
    /// (RFC 8767).
    pub fn stale_hit(&self, _query: &HotQuery<'_>, _now: Now, _out: &mut [u8]) -> Option<Hit> {
        None
    }

    /// Remembers a whole answer: aliases with what they lead to. It expires with the first of its
    /// records; denials by RFC 2308 §5, failures by RFC 9520 §3.2, bogus data by `val-bogus-ttl`.
    pub fn store_answer(&self, _answer: &Answer, _now: Now) {}

    /// The answer to a question, TTLs counted down. An answer of any status comes first, then a
    /// denial of the name for every type, then a failure.
    pub fn answer(&self, _question: &Question, _now: Now) -> Option<Cached<Answer>> {
        None
    }

    /// The remembered failure to resolve a question (RFC 9520), whatever else is known about it.
    pub fn failure(&self, _question: &Question, _now: Now) -> Option<Cached<Answer>> {
        None
    }

    /// Forgets the answer to a question, and a failure.
    pub fn remove_answer(&self, _question: &Question) {}

    //--- RRsets

    /// The RRset of that owner and type, class IN, TTL counted down.
    pub fn rrset(&self, _owner: &Name, _rtype: RecordType, _now: Now) -> Option<CachedRrset> {
        None
    }

    /// Remembers an RRset. Unexpired data of a higher rank stays (RFC 2181 §5.4.1), and so does
    /// secure data unless the new is secure too. Bogus data is never remembered.
    pub fn store_rrset(&self, _rrset: &Rrset, _rank: Rank, _status: SecurityStatus, _now: Now) {}

    //--- Delegations

    /// The closest delegation known at or above `name`.
    pub fn delegation(&self, _name: &Name, _now: Now) -> Option<DelegationPoint> {
        None
    }

    /// Remembers a delegation, for a day at most. The caller has made it end no later than that of
    /// the parent.
    pub fn store_delegation(&self, _point: &DelegationPoint, _now: Now) {}

    //--- Servers

    /// What is known of a server as a server of `zone`.
    pub fn infra(&self, _server: SocketAddr, _zone: &Name, _now: Now) -> Server {
        Server::default()
    }

    /// Changes what is known of a server, in one step.
    pub fn update_infra(
        &self,
        _server: SocketAddr,
        _zone: &Name,
        _now: Now,
        f: impl FnOnce(&mut Server),
    ) {
        f(&mut Server::default());
    }

    //--- Keys

    /// What is known about the keys of exactly that zone.
    pub fn keys(&self, _zone: &Name, _now: Now) -> Option<Arc<KeyEntry>> {
        None
    }

    /// Remembers the keys of a zone, or that it has none.
    pub fn store_keys(&self, _entry: KeyEntry) {}
}

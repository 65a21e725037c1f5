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
//! | [denials](Cache::denying_nsec) | zone and name or hash, in order | `neg-cache-size` |
//!
//! The first three share one mapping, which can outlive the process: see [`Cache::take_over`]. They
//! take 16 kB at least, each; that and a page in front of them is exactly their memory.
//!
//! Rates of clients and zones (`ip-ratelimit-size`, `ratelimit-size`) are counted beside them.
//!
//! Delegations are a store of their own: no answer, whatever it contains, changes who is asked.
//!
//! Only class IN is remembered.

mod answer;
mod answers;
mod atomic;
mod codec;
mod delegation;
mod delegations;
mod denials;
mod entry;
mod fault;
mod flush;
mod handover;
mod header;
mod hit;
mod infra;
mod keys;
mod layout;
mod listing;
mod memory;
mod rates;
mod region;
mod rrsets;
mod rules;
mod settings;
mod shard;
mod stale;
mod table;
#[cfg(test)]
mod testing;

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use arc_swap::ArcSwap;

pub use answer::{Answer, Manner};
pub use delegation::{DelegationPoint, DelegationSource};
pub use denials::{DenialPlace, NameHash, Nsec3Parameters};
pub use flush::Flushed;
pub use header::Unfit;
pub use hit::{Hit, HotEdns, HotQuery};
pub use infra::{EdnsState, Rtt, RttLimits, Server};
pub use keys::{KeyEntry, KeyState};
pub use region::Usage;
pub use rrsets::{CachedRrset, Rank};

use answers::{Answers, Kind};
use delegations::Delegations;
use denials::Denials;
use entry::{Entry, Validity};
use header::{Header, Plans};
use infra::Infra;
use keys::Keys;
use memory::Memory;
use rates::Rates;
use region::Region;
use rrsets::Rrsets;
use settings::Settings;

use crate::clock::{Now, Rng, UnixTime};
use crate::config::Config;
use crate::status::SecurityStatus;
use crate::wire::{Name, Question, RecordType, Rrset};

/// Everything that was learned, shared by all workers.
pub struct Cache {
    settings: ArcSwap<Settings>,
    answers: Answers,
    rrsets: Rrsets,
    delegations: Delegations,
    infra: Infra,
    keys: Keys,
    denials: Denials,
    /// Where the first three stores are, and what is known about them.
    memory: Arc<Memory>,
    client_rates: Rates,
    zone_rates: Rates,
}

/// How much of each store is used.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct CacheUsage {
    /// Finished answers, in octets.
    pub answers: Usage,
    /// RRsets, in octets.
    pub rrsets: Usage,
    /// Delegations, in octets.
    pub delegations: Usage,
    /// Servers, in entries.
    pub infra: Usage,
    /// Keys, in octets.
    pub keys: Usage,
    /// Proven denials, in octets.
    pub denials: Usage,
}

/// A value from the cache, and when it ends.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Cached<T> {
    /// The value, its TTLs counted down.
    pub value: T,
    /// When it expires.
    pub expires: UnixTime,
}

impl Cache {
    /// The stores in a memory that has a header.
    fn over(
        memory: Memory,
        plans: &Plans,
        config: &Config,
        doubt_until: UnixTime,
        rng: &mut Rng,
    ) -> Self {
        let memory = Arc::new(memory);
        let key = Header(memory.words()).key();
        let region = |plan| Region::new(&memory, plan, &key);
        Self {
            settings: ArcSwap::from_pointee(Settings::new(config)),
            answers: Answers::new(region(plans.answers), doubt_until),
            rrsets: Rrsets::new(region(plans.rrsets)),
            delegations: Delegations::new(region(plans.delegations)),
            infra: Infra::new(config.infra_cache_numhosts, rng),
            keys: Keys::new(config.key_cache_size, rng),
            denials: Denials::new(config.neg_cache_size),
            memory,
            client_rates: Rates::new(config.ip_ratelimit_size, rng),
            zone_rates: Rates::new(config.ratelimit_size, rng),
        }
    }

    /// Takes over the options of another configuration, all but the sizes.
    ///
    /// If it teaches something else, what is here is not handed over any more, unless
    /// [`Cache::begin_anew`] follows: nobody can tell by which rules each piece was learned.
    pub fn reconfigure(&self, config: &Config) {
        if !self.fits(config) {
            self.disown();
        }
        self.settings.store(Arc::new(Settings::new(config)));
    }

    /// Octets used and allowed of answers, RRsets and delegations together. Costs much less than
    /// [`Cache::usage`], which counts entries.
    pub fn octets(&self) -> (usize, usize) {
        let stores = [self.answers.octets(), self.rrsets.octets(), self.delegations.octets()];
        stores.into_iter().fold((0, 0), |sum, store| (sum.0 + store.0, sum.1 + store.1))
    }

    /// How much of each store is used.
    pub fn usage(&self) -> CacheUsage {
        CacheUsage {
            answers: self.answers.usage(),
            rrsets: self.rrsets.usage(),
            delegations: self.delegations.usage(),
            infra: self.infra.usage(),
            keys: self.keys.usage(),
            denials: self.denials.usage(),
        }
    }

    //--- Answers

    /// Answers a client from stored wire bytes; `None` when there is no answer that may be used,
    /// or `out` is too small for it. The whole answer is written, whatever the client can take:
    /// the [`Hit`] tells where it can be cut. Allocates nothing.
    ///
    /// When the last try to refresh an expired answer failed, and `serve-expired` allows it, that
    /// is what is given (RFC 8767 §5).
    pub fn hit(&self, query: &HotQuery<'_>, now: Now, out: &mut [u8]) -> Option<Hit> {
        self.answers.hit(query, false, &self.settings.load(), now, out)
    }

    /// As [`Cache::hit`], and expired answers will do when `serve-expired` allows them
    /// (RFC 8767): for clients that have waited for `serve-expired-client-timeout`.
    pub fn stale_hit(&self, query: &HotQuery<'_>, now: Now, out: &mut [u8]) -> Option<Hit> {
        self.answers.hit(query, true, &self.settings.load(), now, out)
    }

    /// Writes an answer for a client that waited for it, exactly as a hit would be written; works
    /// for what cannot be stored, too. `None` when it has no place in a message or `out` is too
    /// small. Unlike a hit, this allocates, and does not ask whether the client may have it.
    pub fn render(
        &self,
        answer: &Answer,
        query: &HotQuery<'_>,
        now: Now,
        out: &mut [u8],
    ) -> Option<Hit> {
        let settings = self.settings.load();
        let expires = now.unix.plus(settings.lifetime(answer, 1));
        let validity = Validity { stored: now.unix, expires, stale_until: expires, failures: 0 };
        let value = entry::encode(answer, validity, &settings)?;
        hit::write(&Entry::read(&value)?, query, false, &settings, now, out)
    }

    /// Remembers a whole answer: aliases with what they lead to. It expires with the first of its
    /// records; denials by RFC 2308 §5, failures by RFC 9520 §3.2, bogus data by `val-bogus-ttl`.
    ///
    /// What is bogus leaves alone what is proven. What nobody has validated and failures leave
    /// alone what is settled. An answer with TTL 0 is not remembered, but ends what was there.
    /// Neither is one that is larger than a segment of the store: 64 kB, less when the store is
    /// smaller than 1 MB.
    pub fn store_answer(&self, answer: &Answer, now: Now) {
        self.answers.store(answer, &self.settings.load(), now);
    }

    /// Remembers what clients without CD get for a question for AAAA, with DNS64 on: made of A
    /// records, or as servers have it. It is for [`Cache::hit`] only and changes nothing else.
    pub fn store_synthesized(&self, answer: &Answer, now: Now) {
        self.answers.store_synthesized(answer, &self.settings.load(), now);
    }

    /// The answer to a question, TTLs counted down. A settled answer of any status comes first,
    /// then a denial of the name, which holds for every type, then what nobody has validated yet,
    /// then a failure.
    pub fn answer(&self, question: &Question, now: Now) -> Option<Cached<Answer>> {
        self.answers.get(question, &Kind::TOLD, now)
    }

    /// The settled answer to a question, fresh or else expired as `serve-expired` allows
    /// (RFC 8767); TTLs of expired ones are `serve-expired-reply-ttl`.
    pub fn stale_answer(&self, question: &Question, now: Now) -> Option<Cached<Answer>> {
        self.answers.stale(question, &self.settings.load(), now)
    }

    /// The denial (NXDOMAIN) of a name itself, whatever type it was asked for; for looking above
    /// a name, too (RFC 8020).
    pub fn denial(&self, name: &Name, now: Now) -> Option<Cached<Answer>> {
        let question = Question::new(name.clone(), RecordType::ANY);
        self.answers.get(&question, &[Kind::Denial], now)
    }

    /// The remembered failure to resolve a question (RFC 9520), whatever else is known about it.
    pub fn failure(&self, question: &Question, now: Now) -> Option<Cached<Answer>> {
        self.answers.get(question, &[Kind::Failure], now)
    }

    /// Forgets the answer to a question, and a failure.
    pub fn remove_answer(&self, question: &Question) {
        self.answers.remove(question);
    }

    //--- RRsets

    /// The RRset of that owner and type, class IN, TTL counted down.
    pub fn rrset(&self, owner: &Name, rtype: RecordType, now: Now) -> Option<CachedRrset> {
        self.rrsets.get(owner, rtype, now)
    }

    /// Remembers an RRset. Unexpired data of a higher rank stays (RFC 2181 §5.4.1), and so does
    /// secure data unless the new is secure too. Bogus data is never remembered.
    pub fn store_rrset(&self, rrset: &Rrset, rank: Rank, status: SecurityStatus, now: Now) {
        self.rrsets.store(rrset, rank, status, &self.settings.load(), now);
    }

    //--- Delegations

    /// The closest delegation known at or above `name`.
    pub fn delegation(&self, name: &Name, now: Now) -> Option<DelegationPoint> {
        self.delegations.closest(name, now)
    }

    /// Remembers a delegation, for a day at most. The caller has made it end no later than that of
    /// the parent.
    pub fn store_delegation(&self, point: &DelegationPoint, now: Now) {
        self.delegations.store(point, now);
    }

    //--- Servers

    /// What is known of a server as a server of `zone`.
    pub fn infra(&self, server: SocketAddr, zone: &Name, now: Now) -> Server {
        self.infra.get(server, zone, &self.settings.load(), now)
    }

    /// Changes what is known of a server, in one step.
    pub fn update_infra(
        &self,
        server: SocketAddr,
        zone: &Name,
        now: Now,
        f: impl FnOnce(&mut Server),
    ) {
        self.infra.update(server, zone, &self.settings.load(), now, f);
    }

    //--- Rates

    /// Counts a query of a client; whether it sends more than `limit` in a second. With `backoff`
    /// the limit holds until there are less.
    pub fn client_exceeds(&self, client: IpAddr, limit: u32, backoff: bool, now: Now) -> bool {
        self.client_rates.exceeds(&rates::client_key(client), limit, backoff, now)
    }

    /// Counts a query to the servers of a zone; whether they are more than `limit` in a second.
    pub fn zone_exceeds(&self, zone: &Name, limit: u32, backoff: bool, now: Now) -> bool {
        self.zone_rates.exceeds(zone.to_lowercase().as_wire(), limit, backoff, now)
    }

    /// Clients with their queries per second, the busiest first; only of those counted.
    pub fn client_rates(&self, now: Now) -> Vec<(IpAddr, u32)> {
        self.client_rates.clients(now)
    }

    /// Zones with the queries per second to their servers, the busiest first.
    pub fn zone_rates(&self, now: Now) -> Vec<(Name, u32)> {
        self.zone_rates.zones(now)
    }

    //--- Keys

    /// What is known about the keys of exactly that zone.
    pub fn keys(&self, zone: &Name, now: Now) -> Option<Arc<KeyEntry>> {
        self.keys.get(zone, now)
    }

    /// Remembers the keys of a zone, or that it has none.
    pub fn store_keys(&self, entry: KeyEntry) {
        self.keys.store(entry);
    }

    //--- Denials

    /// Remembers an RRset that proves what does not exist in `zone`, or its SOA, for its TTL or
    /// `cap` seconds, whichever is less. The caller has verified it as data of that zone.
    pub fn store_denial(&self, zone: &Name, place: DenialPlace, rrset: &Rrset, cap: u32, now: Now) {
        self.denials.store(zone, place, rrset, cap, now);
    }

    /// The proven SOA of exactly that zone.
    pub fn denying_soa(&self, zone: &Name, now: Now) -> Option<Rrset> {
        self.denials.soa(zone, now)
    }

    /// The proven NSEC RRset of `zone` at `name`, or the last known one before it in canonical
    /// order (RFC 4034 §6.1). Whether it covers the name is for the caller to see.
    pub fn denying_nsec(&self, zone: &Name, name: &Name, now: Now) -> Option<Rrset> {
        self.denials.nsec(zone, name, now)
    }

    /// How names are hashed for [`Cache::denying_nsec3`]; `None` when no NSEC3 record is known.
    pub fn nsec3_parameters(&self, zone: &Name) -> Option<Nsec3Parameters> {
        self.denials.parameters(zone)
    }

    /// The proven NSEC3 RRset of `zone` at `hash`, or the last known one before it on the circle.
    pub fn denying_nsec3(&self, zone: &Name, hash: &NameHash, now: Now) -> Option<Rrset> {
        self.denials.nsec3(zone, hash, now)
    }
}

//! What one client query may cost, in one table, and the purse it is paid from.
//!
//! Every client query owns one [`Budget`]. Its subqueries share it, queries that join pay nothing,
//! and it is never refilled: there is no second way to spend. The numbers are what other resolvers
//! learned the hard way.

use std::time::Duration;

use crate::clock::Mono;
use crate::status::Reason;

/// A bound on work, with its range and Unbound's option where there is one.
#[derive(Clone, Copy, Debug)]
pub struct Limit<T> {
    /// The value in force when nothing is configured.
    pub default: T,
    /// The smallest value that makes sense.
    pub min: T,
    /// The largest value that is safe.
    pub max: T,
    /// Unbound's option, or empty.
    pub option: &'static str,
}

const fn limit<T: Copy>(default: T, min: T, max: T, option: &'static str) -> Limit<T> {
    Limit { default, min, max, option }
}

/// Upstream queries one client query may cause, subqueries and retransmissions included.
/// Stops NXNSAttack and CAMP (CVE-2020-12662 and others).
pub const UPSTREAM_QUERIES: Limit<u32> = limit(48, 1, 1_000, "max-global-quota");
/// Bytes one client query may make us receive: one full TCP message and some.
/// PowerDNS learned it with CVE-2026-24027.
pub const UPSTREAM_BYTES: Limit<u32> = limit(96 * 1024, 65_535, 1 << 20, "");
/// A client has its answer or SERVFAIL within this time.
pub const CLIENT_TIME: Duration = Duration::from_millis(3_900);
/// Work for the cache stops after this time, whoever still waits.
pub const WORK_TIME: Duration = Duration::from_secs(8);
/// Upstream queries to the servers of one zone cut for one question.
pub const QUERIES_PER_CUT: Limit<u8> = limit(8, 1, 64, "max-sent-count");
/// Name-server names resolved at once for one zone cut.
pub const NS_NAMES_AT_ONCE: Limit<u8> = limit(3, 1, 13, "");
/// Name-server names resolved for one zone cut.
pub const NS_NAMES_PER_CUT: Limit<u8> = limit(6, 1, 64, "");
/// Name-server names resolved for one client query.
pub const NS_NAMES: Limit<u8> = limit(12, 1, 64, "");
/// Name-server names that may turn out to have no address (NXNSAttack).
pub const NS_NAMES_FAILED: Limit<u8> = limit(3, 1, 32, "");
/// NS names kept of one referral, chosen at random; no more than 32 are looked at
/// (NRDelegationAttack, CVE-2022-3204).
pub const NS_NAMES_KEPT: Limit<u8> = limit(13, 1, 32, "iter-scrub-ns");
/// Addresses kept for one zone cut.
pub const ADDRESSES_PER_CUT: Limit<u8> = limit(16, 1, 64, "");
/// Addresses kept for one server name and family (CVE-2026-3592).
pub const ADDRESSES_PER_NAME: Limit<u8> = limit(4, 1, 16, "");
/// CNAME and DNAME links followed.
pub const ALIASES: Limit<u8> = limit(11, 1, 64, "max-query-restarts");
/// Referrals followed by one question.
pub const REFERRALS: Limit<u8> = limit(32, 1, 128, "");
/// How deep questions for addresses of name servers may nest.
pub const GLUELESS_DEPTH: Limit<u8> = limit(3, 1, 8, "");
/// Labels added one at a time by QNAME minimisation before the full name is asked
/// (RFC 9156 §2.3, MAX_MINIMISE_COUNT).
pub const MINIMISE_STEPS: Limit<u8> = limit(5, 1, 128, "");
/// Weighted cost of all signature verifications (KeyTrap, CVE-2023-50387).
pub const CRYPTO_UNITS: Limit<u32> = limit(96, 1, 1_000, "");
/// Signature verifications that may fail.
pub const CRYPTO_FAILURES: Limit<u32> = limit(4, 1, 64, "");
/// Signatures tried for one RRset.
pub const SIGNATURES_PER_RRSET: Limit<u8> = limit(4, 1, 16, "");
/// Signatures of one RRset that may fail.
pub const SIGNATURE_FAILURES_PER_RRSET: Limit<u8> = limit(2, 1, 16, "");
/// Keys of one tag and algorithm tried (KeyTrap).
pub const KEYS_PER_TAG: Limit<u8> = limit(2, 1, 8, "");
/// DS digests compared for one DNSKEY RRset (HashTrap).
pub const DS_DIGESTS: Limit<u8> = limit(8, 1, 64, "");
/// Keys in one DNSKEY RRset.
pub const DNSKEYS: Limit<u8> = limit(64, 1, 255, "");
/// NSEC3 iterations above which a zone is insecure (RFC 9276 §3.2).
pub const NSEC3_ITERATIONS: Limit<u16> = limit(150, 0, 500, "val-nsec3-keysize-iterations");
/// SHA-1 blocks for NSEC3 hashes in one client query (CVE-2023-50868).
pub const NSEC3_BLOCKS: Limit<u32> = limit(4_000, 1, 10_000, "");
/// NSEC3 records looked at in one proof.
pub const NSEC3_RECORDS: Limit<u8> = limit(8, 3, 32, "");
/// Validation retries with another server after a bogus response.
pub const BOGUS_RETRIES: Limit<u8> = limit(1, 0, 5, "val-max-restart");
/// Subqueries one client query may start, of whatever kind.
pub const SUBQUERIES: Limit<u32> = limit(64, 1, 1_000, "");
/// Datagrams with the wrong id or question accepted on one socket before it is given up.
pub const WRONG_REPLIES: Limit<u8> = limit(3, 1, 16, "");

/// What is left for one client query.
#[derive(Clone, Debug)]
pub struct Budget {
    upstream_queries: u32,
    upstream_bytes: u32,
    subqueries: u32,
    ns_names: u8,
    ns_failures: u8,
    aliases: u8,
    crypto_units: u32,
    crypto_failures: u32,
    nsec3_blocks: u32,
    began: Mono,
    exhausted: Option<Reason>,
}

/// The budget does not cover it: stop, and tell the client why.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Exhausted(pub Reason);

macro_rules! spend {
    ($(#[$doc:meta])* $name:ident, $field:ident, $amount:ty, $reason:expr) => {
        $(#[$doc])*
        ///
        /// # Errors
        ///
        /// [`Exhausted`] when less than that is left; nothing is taken then.
        pub fn $name(&mut self, amount: $amount) -> Result<(), Exhausted> {
            match self.$field.checked_sub(amount) {
                Some(left) => {
                    self.$field = left;
                    Ok(())
                }
                None => {
                    self.exhausted.get_or_insert($reason);
                    Err(Exhausted($reason))
                }
            }
        }
    };
}

impl Budget {
    /// The budget of a client query that arrived at `began`, as configured: `queries` upstream
    /// queries (`max-global-quota`) and `aliases` links (`max-query-restarts`), neither above the
    /// maximum of this table.
    pub fn configured(began: Mono, queries: u32, aliases: u32) -> Self {
        let aliases = u8::try_from(aliases).unwrap_or(u8::MAX).min(ALIASES.max);
        Self { aliases, ..Self::new(began, queries.min(UPSTREAM_QUERIES.max)) }
    }

    /// A budget with `queries` upstream queries.
    pub fn new(began: Mono, queries: u32) -> Self {
        Self {
            upstream_queries: queries,
            upstream_bytes: UPSTREAM_BYTES.default,
            subqueries: SUBQUERIES.default,
            ns_names: NS_NAMES.default,
            ns_failures: NS_NAMES_FAILED.default,
            aliases: ALIASES.default,
            crypto_units: CRYPTO_UNITS.default,
            crypto_failures: CRYPTO_FAILURES.default,
            nsec3_blocks: NSEC3_BLOCKS.default,
            began,
            exhausted: None,
        }
    }

    spend!(/// Pays for sending to a server, retransmissions included.
        spend_queries, upstream_queries, u32, Reason::WorkLimit);
    spend!(/// Pays for bytes received from a server.
        spend_bytes, upstream_bytes, u32, Reason::WorkLimit);
    spend!(/// Pays for starting subqueries.
        spend_subqueries, subqueries, u32, Reason::WorkLimit);
    spend!(/// Pays for resolving name-server names.
        spend_ns_names, ns_names, u8, Reason::WorkLimit);
    spend!(/// Pays for name-server names without an address.
        spend_ns_failures, ns_failures, u8, Reason::NoServerAddress);
    spend!(/// Pays for CNAME and DNAME links.
        spend_aliases, aliases, u8, Reason::AliasLimit);
    spend!(/// Pays for signature verifications, by weight.
        spend_crypto, crypto_units, u32, Reason::ValidationLimit);
    spend!(/// Pays for signatures that did not verify.
        spend_crypto_failures, crypto_failures, u32, Reason::ValidationLimit);
    spend!(/// Pays for SHA-1 blocks of NSEC3 hashing.
        spend_nsec3_blocks, nsec3_blocks, u32, Reason::ValidationLimit);

    /// When the client query arrived.
    pub fn began(&self) -> Mono {
        self.began
    }

    /// When work for this query stops, even for the cache.
    pub fn work_ends(&self) -> Mono {
        self.began + WORK_TIME
    }

    /// What ran out first, if anything did.
    pub fn exhausted(&self) -> Option<Reason> {
        self.exhausted
    }

    /// Upstream queries left.
    pub fn queries_left(&self) -> u32 {
        self.upstream_queries
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_configuration_goes_beyond_the_maxima() {
        for (queries, aliases, expected) in
            [(5000, 1000, (1000, 64)), (0, 0, (0, 0)), (200, 3, (200, 3))]
        {
            let budget = Budget::configured(Mono::ZERO, queries, aliases);
            assert_eq!((budget.upstream_queries, budget.aliases), expected);
        }
    }

    #[test]
    fn a_budget_is_spent_once_and_remembers_what_ran_out() {
        let mut budget = Budget::new(Mono::ZERO, 2);
        assert_eq!(budget.spend_queries(1), Ok(()));
        assert_eq!(budget.spend_queries(2), Err(Exhausted(Reason::WorkLimit)));
        assert_eq!(budget.queries_left(), 1, "nothing is taken when it does not suffice");
        assert_eq!(budget.exhausted(), Some(Reason::WorkLimit));
        assert_eq!(budget.spend_aliases(12), Err(Exhausted(Reason::AliasLimit)));
        assert_eq!(budget.exhausted(), Some(Reason::WorkLimit), "the first reason stays");
    }
}

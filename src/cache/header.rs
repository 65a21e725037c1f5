//! What stands before the stores in the memory of the cache: whose it is, how it is laid out, by
//! which rules it was filled, and how its owner fared.
//!
//! ```text
//! 0  magic, written last          4  hash key, two words            8  deaths in a row
//! 1  version of the layout        6  whether somebody uses it      16  where each store is
//! 2  words of the whole           7  signal of a memory fault
//! 3  fingerprint of the rules
//! ```
//!
//! Where things are is never read from here: it follows from the configuration, and must be what
//! stands here.

use nix::errno::Errno;
use thiserror::Error;

use super::atomic::{
    AtomicU64,
    Ordering::{Acquire, Relaxed, Release},
};
use super::region::Plan;
use crate::config::Config;

/// Says that this is a cache of ours: "prebound".
const MAGIC: u64 = u64::from_be_bytes(*b"prebound");
/// Version of everything that lies in the memory: header, shards, and the octets of keys and values
/// of every store. To be raised with any change of them, of which nothing reminds.
pub(super) const LAYOUT: u64 = 1;
/// Words before the first store: a page.
const HEADER: usize = 512;
/// How often in a row an owner may die unexpectedly before its cache is suspected of it.
const MOST_DEATHS: u64 = 3;

const AT_MAGIC: usize = 0;
const AT_LAYOUT: usize = 1;
const AT_WORDS: usize = 2;
const AT_RULES: usize = 3;
const AT_KEY: [usize; 2] = [4, 5];
const AT_IN_USE: usize = 6;
/// Also for the handler of memory faults.
pub(super) const AT_FAULT: usize = 7;
const AT_DEATHS: usize = 8;
const AT_PLANS: usize = 16;

/// Why a cache that was passed to this process is not taken over.
#[derive(Clone, Copy, Debug, Eq, Error, PartialEq)]
pub enum Unfit {
    /// Another process uses it.
    #[error("another process uses it")]
    InUse,
    /// Its size could change under us.
    #[error("its size is not sealed, so it is not one of ours")]
    NotSealed,
    /// It cannot be mapped.
    #[error("it cannot be mapped: {0}")]
    System(Errno),
    /// It is not a cache, or was not finished.
    #[error("it is not a cache of this program")]
    Foreign,
    /// It was written by a version that arranges things differently.
    #[error("it has layout {0}, and this version uses layout {LAYOUT}")]
    Layout(u64),
    /// It has other sizes than the configuration.
    #[error("msg-cache-size or rrset-cache-size has changed")]
    Sizes,
    /// It was filled by other rules: trust anchors, forwarders, hardening.
    #[error("it was learned by another configuration")]
    Rules,
    /// Its owner died of a memory fault.
    #[error("its owner died of signal {0}, so it may be damaged")]
    Fault(u64),
    /// Its owners die soon after they took it over.
    #[error("{0} owners in a row died within a minute, so it may be damaged")]
    Deaths(u64),
}

impl From<Errno> for Unfit {
    fn from(errno: Errno) -> Self {
        match errno {
            Errno::EAGAIN | Errno::EACCES => Self::InUse,
            Errno::EPERM => Self::NotSealed,
            errno => Self::System(errno),
        }
    }
}

/// Where each store is.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub(super) struct Plans {
    pub(super) answers: Plan,
    pub(super) rrsets: Plan,
    pub(super) delegations: Plan,
}

impl Plans {
    /// By the sizes of a configuration.
    pub(super) fn new(config: &Config) -> Self {
        let delegations = config.rrset_cache_size / 4;
        let answers = Plan::new(HEADER, config.msg_cache_size);
        let rrsets = Plan::new(answers.end(), config.rrset_cache_size - delegations);
        let delegations = Plan::new(rrsets.end(), delegations);
        Self { answers, rrsets, delegations }
    }

    /// Octets of the whole memory.
    pub(super) fn octets(&self) -> usize {
        8 * self.delegations.end()
    }

    /// Which word should have which value.
    fn numbers(&self) -> impl Iterator<Item = (usize, u64)> {
        let all = [self.answers, self.rrsets, self.delegations];
        (AT_PLANS..).zip(all.into_iter().flat_map(|plan| plan.numbers()))
    }
}

/// The first words of the memory.
#[derive(Clone, Copy)]
pub(super) struct Header<'a>(pub(super) &'a [AtomicU64]);

impl Header<'_> {
    fn get(self, at: usize) -> u64 {
        self.0.get(at).map_or(0, |word| word.load(Relaxed))
    }

    fn set(self, at: usize, value: u64) {
        if let Some(word) = self.0.get(at) {
            word.store(value, Relaxed);
        }
    }

    /// Makes zeroed memory a cache in use.
    pub(super) fn begin(self, plans: &Plans, rules: u64, key: [u64; 2]) {
        self.set(AT_LAYOUT, LAYOUT);
        self.set(AT_WORDS, self.0.len() as u64);
        self.set(AT_RULES, rules);
        AT_KEY.into_iter().zip(key).for_each(|(at, half)| self.set(at, half));
        plans.numbers().for_each(|(at, number)| self.set(at, number));
        self.set(AT_IN_USE, 1);
        if let Some(word) = self.0.get(AT_MAGIC) {
            word.store(MAGIC, Release);
        }
    }

    /// Takes over what another process left, if it can be used.
    pub(super) fn take_over(self, plans: &Plans, rules: u64) -> Result<(), Unfit> {
        if self.0.first().map(|word| word.load(Acquire)) != Some(MAGIC) {
            return Err(Unfit::Foreign);
        }
        if self.get(AT_LAYOUT) != LAYOUT {
            return Err(Unfit::Layout(self.get(AT_LAYOUT)));
        }
        let words = 8 * self.0.len() == plans.octets() && self.get(AT_WORDS) == self.0.len() as u64;
        if !words || plans.numbers().any(|(at, number)| self.get(at) != number) {
            return Err(Unfit::Sizes);
        }
        if self.get(AT_RULES) != rules {
            return Err(Unfit::Rules);
        }
        if self.get(AT_FAULT) != 0 {
            return Err(Unfit::Fault(self.get(AT_FAULT)));
        }
        let deaths = match self.get(AT_IN_USE) {
            0 => 0,
            _ => self.get(AT_DEATHS).saturating_add(1),
        };
        if deaths >= MOST_DEATHS {
            return Err(Unfit::Deaths(deaths));
        }
        self.set(AT_DEATHS, deaths);
        self.set(AT_IN_USE, 1);
        Ok(())
    }

    /// The key of the hashes.
    pub(super) fn key(self) -> [u8; 16] {
        let [low, high] = AT_KEY.map(|at| u128::from(self.get(at)));
        (high << 64 | low).to_le_bytes()
    }

    /// Whether what is here was learned by these rules.
    pub(super) fn goes_by(self, rules: u64) -> bool {
        self.get(AT_RULES) == rules
    }

    /// What is here was learned by these rules, or, while they are 0, by nobody knows which.
    pub(super) fn set_rules(self, rules: u64) {
        if let Some(word) = self.0.get(AT_RULES) {
            word.store(rules, Release);
        }
    }

    /// Its owner has used it long enough to believe that it does no harm.
    pub(super) fn proven(self) {
        self.set(AT_DEATHS, 0);
    }

    /// Its owner ends as it should.
    pub(super) fn release(self) {
        self.set(AT_DEATHS, 0);
        self.set(AT_IN_USE, 0);
    }
}

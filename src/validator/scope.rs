//! What every step of a validation may use: the view it was given, and memory of its own.

use std::sync::Arc;

use super::nsec3::Hashes;
use crate::budget::Budget;
use crate::cache::{Cache, KeyEntry, KeyState};
use crate::clock::Now;
use crate::config::{Config, ValDate};
use crate::rollover::Rollover;
use crate::status::Reason;
use crate::wire::Name;

/// What a [`Validation`](super::Validation) sees of the world during one event.
pub struct View<'a> {
    /// Keys of zones are found and stored here.
    pub cache: &'a Cache,
    /// Trust anchors, negative trust anchors, and the `val-` options.
    pub config: &'a Config,
    /// The client query's budget; signatures, digests and hashes are paid from it.
    pub budget: &'a mut Budget,
    /// Who follows the rollovers of trust anchors; shown the keys of their zones.
    pub rollover: &'a Rollover,
}

/// What a validation remembers between events.
#[derive(Debug, Default)]
pub(super) struct Memory {
    /// Zones settled on the way, so that an entry with TTL 0 serves the validation it was made for.
    zones: Vec<Arc<KeyEntry>>,
    /// NSEC3 hashes of names, each computed once.
    pub(super) hashes: Hashes,
    /// Signed data is put together here.
    pub(super) buffer: Vec<u8>,
    /// How often an answer that failed may still be asked for again.
    pub(super) retries: u32,
}

/// The view, the memory and the time, as one argument.
pub(super) struct Scope<'a> {
    pub(super) cache: &'a Cache,
    pub(super) config: &'a Config,
    pub(super) budget: &'a mut Budget,
    pub(super) rollover: &'a Rollover,
    pub(super) memory: &'a mut Memory,
    pub(super) now: Now,
}

impl<'a> Scope<'a> {
    pub(super) fn new(view: &'a mut View<'_>, memory: &'a mut Memory, now: Now) -> Self {
        let View { cache, config, budget, rollover } = view;
        Self { cache, config, budget, rollover, memory, now }
    }

    /// The date signatures are checked against, modulo 2^32; `None` when dates do not matter.
    pub(super) fn date(&self) -> Option<u32> {
        match self.config.val_override_date {
            ValDate::Real => Some(self.now.unix.serial()),
            ValDate::At(date) => Some(date),
            ValDate::Ignored => None,
        }
    }

    /// What is known of exactly that zone.
    pub(super) fn zone(&self, zone: &Name) -> Option<Arc<KeyEntry>> {
        let known = self.memory.zones.iter().find(|entry| entry.zone == *zone);
        known.cloned().or_else(|| self.cache.keys(zone, self.now))
    }

    /// Remembers what became of a zone, for `ttl` seconds.
    pub(super) fn settle(&mut self, zone: Name, state: KeyState, ttl: u32) -> Arc<KeyEntry> {
        let ttl = match state {
            KeyState::Bogus(_) => self.config.val_bogus_ttl,
            _ => ttl.min(self.config.cache_max_ttl),
        };
        let passing = matches!(state, KeyState::Bogus(reason) if is_passing(reason));
        let entry = KeyEntry { zone, state, expires: self.now.unix.plus(ttl) };
        if !passing {
            self.cache.store_keys(entry.clone());
        }
        let entry = Arc::new(entry);
        self.memory.zones.push(Arc::clone(&entry));
        entry
    }

    /// Forgets everything about a zone and what is below it.
    pub(super) fn forget(&mut self, zone: &Name) {
        self.memory.zones.retain(|entry| !entry.zone.is_at_or_below(zone));
        self.cache.flush_zone(zone);
    }
}

/// Lack of budget or of reachable servers says nothing about a zone, and asking another server
/// was tried already.
pub(super) fn is_passing(reason: Reason) -> bool {
    matches!(reason, Reason::ChainUnreachable | Reason::DnskeyUnreachable | Reason::ValidationLimit)
}

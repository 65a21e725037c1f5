//! Forgetting on demand.

use std::net::IpAddr;

use super::Cache;
use super::answers::Kind;
use super::keys::KeyState;
use crate::status::SecurityStatus;
use crate::wire::{Name, RecordType};

/// How much was removed.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Flushed {
    /// Answers, denials and failures.
    pub answers: usize,
    /// RRsets.
    pub rrsets: usize,
    /// Delegations.
    pub delegations: usize,
    /// Verdicts about keys.
    pub keys: usize,
}

impl Cache {
    /// Forgets everything about a name: answers of every type, RRsets, the zone of that name.
    pub fn flush_name(&self, name: &Name) -> Flushed {
        self.flush_where(|owner| owner == name)
    }

    /// Forgets everything about a name and all names below it.
    pub fn flush_zone(&self, zone: &Name) -> Flushed {
        self.flush_where(|owner| owner.is_at_or_below(zone))
    }

    fn flush_where(&self, mut is_meant: impl FnMut(&Name) -> bool) -> Flushed {
        Flushed {
            answers: self.answers.retain(|_, name, _, _| !is_meant(name)),
            rrsets: self.rrsets.retain(|name, _| !is_meant(name)),
            delegations: self.delegations.retain(|zone| !is_meant(zone)),
            keys: self.keys.retain(|entry| !is_meant(&entry.zone)),
        }
    }

    /// Forgets answers and RRset of one name and type. A denial of the name goes with every type.
    pub fn flush_type(&self, name: &Name, rtype: RecordType) -> Flushed {
        Flushed {
            answers: self
                .answers
                .retain(|kind, owner, of, _| owner != name || of != rtype && kind != Kind::Denial),
            rrsets: self.rrsets.retain(|owner, of| owner != name || of != rtype),
            ..Flushed::default()
        }
    }

    /// Forgets what failed validation.
    pub fn flush_bogus(&self) -> Flushed {
        Flushed {
            answers: self.answers.retain(|_, _, _, entry| entry.status != SecurityStatus::Bogus),
            keys: self.keys.retain(|entry| !matches!(entry.state, KeyState::Bogus(_))),
            ..Flushed::default()
        }
    }

    /// Forgets denials and failures, and keys that could not be had.
    pub fn flush_negative(&self) -> Flushed {
        Flushed {
            answers: self.answers.retain(|kind, _, _, entry| kind == Kind::Answer && !entry.denies),
            keys: self.keys.retain(|entry| !matches!(entry.state, KeyState::Bogus(_))),
            ..Flushed::default()
        }
    }

    /// Forgets what is known of the server with that address, or of all; tells of how many
    /// combinations with a zone.
    pub fn flush_infra(&self, server: Option<IpAddr>) -> usize {
        self.infra.flush(server)
    }

    /// Forgets everything but the servers.
    pub fn clear(&self) {
        self.answers.clear();
        self.rrsets.clear();
        self.delegations.clear();
        self.keys.retain(|_| false);
    }
}

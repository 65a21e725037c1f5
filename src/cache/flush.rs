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
        self.denials.forget(|owner| owner == name, name);
        self.flush_where(|owner| owner == name)
    }

    /// Forgets everything about a name and all names below it.
    pub fn flush_zone(&self, zone: &Name) -> Flushed {
        self.denials.forget(|owner| owner.is_at_or_below(zone), zone);
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
        self.denials.forget(|owner| owner == name, name);
        Flushed {
            answers: self
                .answers
                .retain(|kind, owner, of, _| owner != name || of != rtype && !kind.is_denial()),
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
        self.denials.clear();
        Flushed {
            answers: self
                .answers
                .retain(|kind, _, _, entry| kind != Kind::Failure && !entry.denies),
            keys: self.keys.retain(|entry| !matches!(entry.state, KeyState::Bogus(_))),
            ..Flushed::default()
        }
    }

    /// Forgets what is known of the server with that address, or of all; tells of how many
    /// combinations with a zone.
    pub fn flush_infra(&self, server: Option<IpAddr>) -> usize {
        self.infra.flush(server)
    }

    /// Forgets what was learned of the network: everything about servers, questions that failed,
    /// and keys that could not be had.
    pub fn network_changed(&self) {
        self.infra.flush(None);
        self.answers.retain(|kind, _, _, _| kind != Kind::Failure);
        self.keys.retain(|entry| !matches!(entry.state, KeyState::Bogus(_)));
    }

    /// Forgets everything but the servers.
    pub fn clear(&self) {
        self.answers.clear();
        self.rrsets.clear();
        self.delegations.clear();
        self.keys.retain(|_| false);
        self.denials.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::testing::{a, answer, at, cache, name, ns, nxdomain, question};
    use crate::cache::{Answer, DelegationPoint, DelegationSource, KeyEntry, Rank};
    use crate::status::Reason;
    use crate::wire::Rrset;

    /// Two names with everything there is to know, one below the other.
    fn full() -> Cache {
        let cache = cache(|_| {});
        for owner in ["a.example.", "b.a.example."] {
            let text = |rtype: &str| format!("{owner} {rtype}");
            let records = || vec![a(owner, 300)];
            let failure = Answer::failure(question(&text("TXT")), Reason::NetworkError);
            let record = Rrset { rtype: RecordType::MX, ..a(owner, 300) };
            let mut bogus = answer(&text("MX"), SecurityStatus::Bogus, vec![record]);
            bogus.reason = Some(Reason::BogusSignature);
            let mut nodata = answer(&text("AAAA"), SecurityStatus::Secure, Vec::new());
            nodata.authority = nxdomain("x. A", SecurityStatus::Secure).authority;
            for stored in
                [answer(&text("A"), SecurityStatus::Secure, records()), failure, bogus, nodata]
            {
                cache.store_answer(&stored, at(0));
            }
            for rrset in [a(owner, 300), ns(owner, 300, "ns.example.")] {
                cache.store_rrset(&rrset, Rank::AnswerAa, SecurityStatus::Insecure, at(0));
            }
            cache.store_delegation(
                &DelegationPoint {
                    zone: name(owner),
                    servers: vec![name("ns.example.")],
                    glue: Vec::new(),
                    addresses: Vec::new(),
                    expires: at(300).unix,
                    source: DelegationSource::Referral,
                },
                at(0),
            );
            let state = KeyState::Bogus(Reason::DnskeyMissing);
            cache.store_keys(KeyEntry { zone: name(owner), state, expires: at(300).unix });
        }
        cache
    }

    fn entries(cache: &Cache) -> [usize; 4] {
        let usage = cache.usage();
        [usage.answers, usage.rrsets, usage.delegations, usage.keys].map(|usage| usage.entries)
    }

    #[test]
    fn each_command_forgets_what_it_says_and_nothing_else() {
        type Command = fn(&Cache) -> Flushed;
        #[rustfmt::skip]
        let cases: [(&str, Command, [usize; 4]); 7] = [
            ("name",     |cache| cache.flush_name(&name("A.example.")),                   [4, 2, 1, 1]),
            ("zone",     |cache| cache.flush_zone(&name("a.example.")),                   [0, 0, 0, 0]),
            ("below",    |cache| cache.flush_zone(&name("b.a.example.")),                 [4, 2, 1, 1]),
            ("other",    |cache| cache.flush_zone(&name("other.")),                       [8, 4, 2, 2]),
            ("type",     |cache| cache.flush_type(&name("a.example."), RecordType::A),    [7, 3, 2, 2]),
            ("bogus",    |cache| cache.flush_bogus(),                                     [6, 4, 2, 0]),
            ("negative", |cache| cache.flush_negative(),                                  [4, 4, 2, 0]),
        ];
        for (case, command, left) in cases {
            let cache = full();
            assert_eq!(entries(&cache), [8, 4, 2, 2]);
            let Flushed { answers, rrsets, delegations, keys } = command(&cache);
            assert_eq!(entries(&cache), left, "{case}");
            let removed = [8 - left[0], 4 - left[1], 2 - left[2], 2 - left[3]];
            assert_eq!([answers, rrsets, delegations, keys], removed, "{case}");
        }
        let cache = full();
        cache.clear();
        assert_eq!(entries(&cache), [0; 4]);
        assert!(cache.delegation(&name("b.a.example."), at(0)).is_none());
    }

    #[test]
    fn a_denial_goes_with_every_type_of_its_name() {
        let cache = cache(|_| {});
        cache.store_answer(&nxdomain("x.example. A", SecurityStatus::Secure), at(0));
        assert_eq!(cache.flush_type(&name("x.example."), RecordType::TXT).answers, 1);
        assert_eq!(entries(&cache), [0; 4]);
    }
}

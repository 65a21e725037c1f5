//! What is in the cache, by name, for operators.
//!
//! Only keys are listed, in no order; values are looked up one by one afterwards, so that nothing
//! is held up while a list is written out, and a list is never larger than the store.

use std::net::{IpAddr, SocketAddr};

use super::answers::Kind;
use super::codec::Reader;
use super::{Cache, Server};
use crate::clock::Now;
use crate::wire::{Name, Question, RecordType};

impl Cache {
    /// Owner and type of every RRset, expired ones included.
    pub fn rrset_keys(&self) -> Vec<(Name, RecordType)> {
        let mut keys = Vec::with_capacity(self.usage().rrsets.entries);
        self.rrsets.retain(|owner, rtype| {
            keys.push((owner.clone(), rtype));
            true
        });
        keys
    }

    /// A question for every answer, expired ones included, failures not. A denial of a name stands
    /// as a question for its addresses.
    pub fn answer_keys(&self) -> Vec<Question> {
        let mut keys = Vec::with_capacity(self.usage().answers.entries);
        self.answers.retain(|kind, name, rtype, _| {
            let rtype = if kind.is_denial() { RecordType::A } else { rtype };
            if kind != Kind::Failure {
                keys.push(Question::new(name.clone(), rtype));
            }
            true
        });
        keys
    }

    /// Every zone that a delegation is known of.
    pub fn delegation_keys(&self) -> Vec<Name> {
        let mut keys = Vec::new();
        self.delegations.retain(|zone| {
            keys.push(zone.clone());
            true
        });
        keys
    }

    /// Every server, the zone it was asked about, and what is known of it, in order of addresses.
    pub fn servers(&self, now: Now) -> Vec<(SocketAddr, Name, Server)> {
        let mut keys = Vec::new();
        self.infra.for_each(|key| {
            let mut reader = Reader(key);
            let address = reader.take(16).and_then(|octets| <[u8; 16]>::try_from(octets).ok());
            let port = reader.u16();
            if let (Some(octets), Some(port)) = (address, port)
                && let Ok(zone) = Name::from_wire(reader.0)
            {
                let ip = IpAddr::from(octets).to_canonical();
                keys.push((SocketAddr::new(ip, port), zone));
            }
        });
        keys.sort();
        let known = keys.into_iter().map(|(server, zone)| {
            let infra = self.infra(server, &zone, now);
            (server, zone, infra)
        });
        known.collect()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::cache::Rank;
    use crate::cache::testing::{a, answer, at, cache, name, nxdomain, question};
    use crate::status::{Reason, SecurityStatus};

    #[test]
    fn everything_is_listed_once_by_what_finds_it() {
        let cache = cache(|_| {});
        let secure = SecurityStatus::Secure;
        cache.store_rrset(&a("b.example.", 300), Rank::AnswerAa, secure, at(0));
        cache.store_answer(&answer("b.example. A", secure, vec![a("b.example.", 300)]), at(0));
        cache.store_answer(&nxdomain("c.example. TXT", secure), at(0));
        let failure = crate::cache::Answer::failure(question("d. A"), Reason::NetworkError);
        cache.store_answer(&failure, at(0));
        for server in ["192.0.2.2:53", "[2001:db8::1]:5353"] {
            let server = server.parse().unwrap();
            let reply = |server: &mut Server| server.replied(Duration::from_millis(10));
            cache.update_infra(server, &name("example."), at(0), reply);
        }
        assert_eq!(cache.rrset_keys(), [(name("b.example."), RecordType::A)]);
        let mut answers = cache.answer_keys();
        answers.sort_by(|a, b| a.name.cmp(&b.name));
        assert_eq!(answers, [question("b.example. A"), question("c.example. A")]);
        assert!(answers.iter().all(|question| cache.answer(question, at(1)).is_some()));
        assert!(cache.delegation_keys().is_empty());
        let servers = cache.servers(at(1));
        let shown: Vec<_> = servers.iter().map(|server| server.0.to_string()).collect();
        assert_eq!(shown, ["192.0.2.2:53", "[2001:db8::1]:5353"]);
        assert!(servers.iter().all(|(.., server)| server.rtt.smoothed == Some(10)));
    }
}

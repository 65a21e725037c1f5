//! Finished answers by question.
//!
//! Kinds of keys, looked at in this order: the answer to a question; the denial of a name, which
//! answers for every type (RFC 2308 §5); both again, of what nobody has validated yet; the last
//! failure to answer a question (RFC 9520).
//!
//! What nobody has validated and failures have places of their own, so that they leave alone what
//! is settled: it stays for clients without CD while it is fetched anew, and for
//! `serve-expired` when that fails.

use super::Cached;
use super::answer::Answer;
use super::codec::{Key, Reader};
use super::entry::{self, Entry, Validity};
use super::hit::{self, Hit, HotQuery};
use super::region::{Region, Usage};
use super::settings::Settings;
use crate::clock::{Now, Rng, UnixTime};
use crate::status::{Reason, SecurityStatus};
use crate::wire::{Class, Name, Question, Rcode, RecordType};

/// Seconds after its end that a failure still counts as the one before the next.
const FAILURE_MEMORY: u32 = 60;

/// Finished answers by question.
pub(super) struct Answers {
    region: Region,
}

/// What an entry is about.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
#[repr(u8)]
pub(super) enum Kind {
    Answer = 1,
    Denial = 2,
    Unvalidated = 3,
    UnvalidatedDenial = 4,
    Failure = 5,
}

impl Kind {
    /// All, in the order they are looked at.
    pub(super) const ALL: [Self; 5] =
        [Self::Answer, Self::Denial, Self::Unvalidated, Self::UnvalidatedDenial, Self::Failure];
    pub(super) const SETTLED: [Self; 2] = [Self::Answer, Self::Denial];
    const UNVALIDATED: [Self; 2] = [Self::Unvalidated, Self::UnvalidatedDenial];

    /// Whether it holds for every type of the name.
    pub(super) fn is_denial(self) -> bool {
        matches!(self, Self::Denial | Self::UnvalidatedDenial)
    }

    fn from_u8(n: u8) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| *kind as u8 == n)
    }

    fn key(self, rtype: RecordType, name_wire: &[u8]) -> Option<Key> {
        let [high, low] = if self.is_denial() { [0, 0] } else { rtype.0.to_be_bytes() };
        Key::new([self as u8, high, low], name_wire)
    }

    pub(super) fn of(question: &Question, kind: Self) -> Option<Key> {
        kind.key(question.rtype, question.name.as_wire())
    }
}

impl Answers {
    pub(super) fn new(bytes: usize, rng: &mut Rng) -> Self {
        Self { region: Region::new(bytes, rng) }
    }

    //--- Clients

    /// See [`Cache::hit`](super::Cache::hit) and [`Cache::stale_hit`](super::Cache::stale_hit).
    pub(super) fn hit(
        &self,
        query: &HotQuery<'_>,
        allow_stale: bool,
        settings: &Settings,
        now: Now,
        out: &mut [u8],
    ) -> Option<Hit> {
        let mut hit = self.find(query, allow_stale, settings, now, out)?;
        hit.refresh_due = hit.refresh_due && !self.has_failed(query, now);
        Some(hit)
    }

    fn find(
        &self,
        query: &HotQuery<'_>,
        allow_stale: bool,
        settings: &Settings,
        now: Now,
        out: &mut [u8],
    ) -> Option<Hit> {
        if query.class != Class::IN {
            return None;
        }
        let mut write = |kinds: &[Kind], stale| {
            kinds.iter().find_map(|kind| self.write(*kind, query, stale, settings, now, out))
        };
        if let Some(hit) = write(&Kind::SETTLED, false) {
            return Some(hit);
        }
        if query.checking_disabled(settings)
            && let Some(hit) = write(&Kind::UNVALIDATED, false)
        {
            return Some(hit);
        }
        // RFC 8767 §5: a failure to refresh is when expired data is better than none.
        if settings.serve_expired
            && (allow_stale || self.has_failed(query, now))
            && let Some(hit) = write(&Kind::SETTLED, true)
        {
            return Some(hit);
        }
        write(&[Kind::Failure], false)
    }

    fn write(
        &self,
        kind: Kind,
        query: &HotQuery<'_>,
        stale: bool,
        settings: &Settings,
        now: Now,
        out: &mut [u8],
    ) -> Option<Hit> {
        let key = kind.key(query.rtype, query.name_wire)?;
        self.region
            .get(key.as_bytes(), now.unix, |value| {
                let entry = Entry::read(value)?;
                let end = if stale { entry.stale_until } else { entry.expires };
                let usable = now.unix < end.max(entry.expires);
                usable.then(|| hit::write(&entry, query, true, settings, now, out))?
            })
            .flatten()
    }

    fn has_failed(&self, query: &HotQuery<'_>, now: Now) -> bool {
        Kind::Failure.key(query.rtype, query.name_wire).is_some_and(|key| {
            self.read(&key, now, |entry| now.unix < entry.expires).unwrap_or(false)
        })
    }

    pub(super) fn read<R>(
        &self,
        key: &Key,
        now: Now,
        f: impl FnOnce(&Entry<'_>) -> R,
    ) -> Option<R> {
        self.region
            .get(key.as_bytes(), now.unix, |value| Entry::read(value).map(|entry| f(&entry)))
            .flatten()
    }

    //--- Resolution

    /// What is known of `question`, of the first of those kinds.
    pub(super) fn get(
        &self,
        question: &Question,
        kinds: &[Kind],
        now: Now,
    ) -> Option<Cached<Answer>> {
        if question.class != Class::IN {
            return None;
        }
        kinds.iter().find_map(|kind| {
            let key = Kind::of(question, *kind)?;
            self.read(&key, now, |entry| {
                let fresh = now.unix < entry.expires;
                let value = fresh.then(|| entry.decode(question, now))??;
                Some(Cached { value, expires: entry.expires })
            })?
        })
    }

    /// See [`Cache::store_answer`](super::Cache::store_answer).
    pub(super) fn store(&self, answer: &Answer, settings: &Settings, now: Now) {
        let question = &answer.question;
        let usual = !question.rtype.is_meta() || question.rtype == RecordType::ANY;
        if question.class != Class::IN || !usual {
            return;
        }
        if answer.is_failure() {
            self.store_failure(answer, settings, now);
            return;
        }
        let ttl = settings.lifetime(answer, 0);
        if !is_proven(answer.status) && self.knows_better(question, now) {
            return;
        }
        if ttl == 0 {
            if is_proven(answer.status) {
                // What it was before is not true any more.
                self.remove(question);
            }
            return;
        }
        if answer.status == SecurityStatus::Bogus && self.has_stale(question, settings, now) {
            // Whoever can make an answer bogus shall not take away the last good one.
            let reason = answer.reason.unwrap_or(Reason::BogusSignature);
            let failure = Answer::failure(question.clone(), reason);
            return self.store_failure(&failure, settings, now);
        }
        let settled = answer.status != SecurityStatus::Indeterminate || !settings.validates;
        let nothing_there = answer.rcode == Rcode::NXDOMAIN && answer.answer.is_empty();
        let kind = match (settled, nothing_there) {
            (true, false) => Kind::Answer,
            (true, true) => Kind::Denial,
            (false, false) => Kind::Unvalidated,
            (false, true) => Kind::UnvalidatedDenial,
        };
        // What is settled ends all else; what is not, its own kind only.
        let ended = if settled { &Kind::ALL[..] } else { &Kind::UNVALIDATED };
        ended.iter().filter(|other| **other != kind).for_each(|other| {
            self.remove_kind(question, *other);
        });
        let lasting = settled && answer.status != SecurityStatus::Bogus;
        let expires = now.unix.plus(ttl);
        let stale_until = if lasting { expires.plus(settings.stale_for()) } else { expires };
        let validity = Validity { stored: now.unix, expires, stale_until, failures: 0 };
        // With `serve-expired-ttl-reset` a failure can bring back what was too old.
        let resets = lasting && settings.serve_expired && settings.stale_ttl_reset;
        let dropped = if resets { UnixTime(u64::MAX) } else { stale_until };
        self.put(answer, kind, validity, dropped, settings, now);
    }

    fn store_failure(&self, answer: &Answer, settings: &Settings, now: Now) {
        let question = &answer.question;
        let Some(key) = Kind::of(question, Kind::Failure) else { return };
        let before = self.read(&key, now, |entry| (entry.failures, entry.expires));
        let (failures, expires) = match before {
            // Nobody tries again while a failure is remembered: this is the same one.
            Some((failures, expires)) if now.unix < expires => (failures, expires),
            before => {
                let failures = before.map_or(0, |before| before.0).saturating_add(1);
                (failures, now.unix.plus(settings.lifetime(answer, failures)))
            }
        };
        let validity = Validity { stored: now.unix, expires, stale_until: expires, failures };
        self.put(answer, Kind::Failure, validity, expires.plus(FAILURE_MEMORY), settings, now);
        if settings.stale_ttl_reset {
            self.keep_stale_longer(question, settings, now);
        }
    }

    /// Counts the time that expired data may be used from now (`serve-expired-ttl-reset`).
    fn keep_stale_longer(&self, question: &Question, settings: &Settings, now: Now) {
        for kind in Kind::SETTLED {
            let Some(key) = Kind::of(question, kind) else { continue };
            let stale = self.region.get(key.as_bytes(), now.unix, |value| {
                let expired = Entry::read(value).is_some_and(|entry| entry.expires <= now.unix);
                expired.then(|| value.to_vec())
            });
            if let Some(mut value) = stale.flatten() {
                entry::set_stale_until(&mut value, now.unix.plus(settings.stale_for()));
                self.region.put(key.as_bytes(), &value, UnixTime(u64::MAX), now.unix);
            }
        }
    }

    /// Puts an entry, and says when it is dropped.
    fn put(
        &self,
        answer: &Answer,
        kind: Kind,
        validity: Validity,
        dropped: UnixTime,
        settings: &Settings,
        now: Now,
    ) {
        let value = entry::encode(answer, validity, settings);
        if let Some((key, value)) = Kind::of(&answer.question, kind).zip(value) {
            self.region.put(key.as_bytes(), &value, dropped, now.unix);
        }
    }

    /// Whether something proven is known that has not expired: what nobody has validated, or what
    /// failed validation, does not replace it.
    fn knows_better(&self, question: &Question, now: Now) -> bool {
        Kind::SETTLED.into_iter().any(|kind| {
            Kind::of(question, kind).is_some_and(|key| {
                let better =
                    |entry: &Entry<'_>| now.unix < entry.expires && is_proven(entry.status);
                self.read(&key, now, better).unwrap_or(false)
            })
        })
    }

    /// Whether something proven is known that has expired, and may be served nevertheless.
    fn has_stale(&self, question: &Question, settings: &Settings, now: Now) -> bool {
        settings.serve_expired
            && Kind::SETTLED.into_iter().any(|kind| {
                let stale =
                    |entry: &Entry<'_>| now.unix < entry.stale_until && is_proven(entry.status);
                Kind::of(question, kind)
                    .is_some_and(|key| self.read(&key, now, stale).unwrap_or(false))
            })
    }

    //--- Removal

    pub(super) fn remove(&self, question: &Question) {
        for kind in Kind::ALL {
            self.remove_kind(question, kind);
        }
    }

    fn remove_kind(&self, question: &Question, kind: Kind) {
        if let Some(key) = Kind::of(question, kind) {
            self.region.remove(key.as_bytes());
        }
    }

    /// Keeps those for which `f` is true; tells how many were removed.
    pub(super) fn retain(
        &self,
        mut f: impl FnMut(Kind, &Name, RecordType, &Entry<'_>) -> bool,
    ) -> usize {
        let mut removed = 0;
        self.region.retain(|key, value, _| {
            let mut keep = || {
                let mut reader = Reader(key);
                let kind = Kind::from_u8(reader.u8()?)?;
                let rtype = reader.rtype()?;
                let name = Name::from_wire(reader.0).ok()?;
                Some(f(kind, &name, rtype, &Entry::read(value)?))
            };
            let keep = keep().unwrap_or(false);
            removed += usize::from(!keep);
            keep
        });
        removed
    }

    pub(super) fn clear(&self) {
        self.region.clear();
    }

    pub(super) fn usage(&self) -> Usage {
        self.region.usage()
    }
}

fn is_proven(status: SecurityStatus) -> bool {
    status >= SecurityStatus::Insecure
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::Cache;
    use crate::cache::testing::{Client, a, answer, at, cache, nxdomain, question, signed, soa};
    use crate::config::Config;

    use SecurityStatus::{Bogus, Indeterminate, Insecure, Secure};

    fn www(status: SecurityStatus) -> Answer {
        answer("www.example. A", status, vec![signed(a("www.example.", 300))])
    }

    fn failure() -> Answer {
        Answer::failure(question("www.example. A"), Reason::NetworkError)
    }

    fn status(cache: &Cache, text: &str, seconds: u64) -> Option<(Rcode, SecurityStatus)> {
        let found = cache.answer(&question(text), at(seconds))?.value;
        Some((found.rcode, found.status))
    }

    #[test]
    fn an_answer_comes_back_as_it_was_with_its_ttls_counted_down() {
        let cache = cache(|_| {});
        let mut stored = nxdomain("Www.example. A", Secure);
        stored.reason = Some(Reason::Nsec3Iterations);
        cache.store_answer(&stored, at(0));
        let found = cache.answer(&stored.question, at(100)).unwrap();
        assert_eq!(found.expires, at(600).unix);
        stored.authority[0].ttl = 500; // The SOA lives as long as the denial.
        stored.authority[1].ttl = 3_500;
        assert_eq!(found.value, stored);
        assert!(found.value.question.name.eq_case(&stored.question.name));
        assert_eq!(cache.answer(&stored.question, at(600)), None);
    }

    #[test]
    fn what_is_proven_stays_until_it_expires_or_something_proven_comes() {
        #[rustfmt::skip]
        let cases = [
            ("secure, then not validated", Secure,        Indeterminate, 10,  Secure),
            ("secure, then bogus",         Secure,        Bogus,         10,  Secure),
            ("secure, then insecure",      Secure,        Insecure,      10,  Insecure),
            ("insecure, then bogus",       Insecure,      Bogus,         10,  Insecure),
            ("insecure, then secure",      Insecure,      Secure,        10,  Secure),
            ("bogus, then secure",         Bogus,         Secure,        10,  Secure),
            ("not validated, then bogus",  Indeterminate, Bogus,         10,  Bogus),
            ("bogus, then not validated",  Bogus,         Indeterminate, 10,  Bogus),
            ("bogus expired, then not",    Bogus,         Indeterminate, 60,  Indeterminate),
            ("expired, then bogus",        Secure,        Bogus,         300, Bogus),
        ];
        for (case, old, new, seconds, left) in cases {
            let cache = cache(|_| {});
            cache.store_answer(&www(old), at(0));
            cache.store_answer(&www(new), at(seconds));
            let found = status(&cache, "www.example. A", seconds);
            assert_eq!(found, Some((Rcode::NOERROR, left)), "{case}");
        }
    }

    #[test]
    fn a_denial_holds_for_every_type_of_the_name_rfc_2308_section_5() {
        let cache = cache(|_| {});
        cache.store_answer(&nxdomain("x.example. A", Secure), at(0));
        let nx = Some((Rcode::NXDOMAIN, Secure));
        for text in ["x.example. A", "X.example. AAAA", "x.example. ANY"] {
            assert_eq!(status(&cache, text, 1), nx, "{text}");
            let (message, _) = Client::new(text).ask(&cache, 1).unwrap();
            assert_eq!(message.question, Some(question(text)));
            assert_eq!(message.rcode, Rcode::NXDOMAIN);
        }
        assert_eq!(status(&cache, "y.x.example. A", 1), None, "RFC 8020 is for the caller");
        assert!(cache.denial(&question("x.example. A").name, at(1)).is_some());

        // What is not proven does not hide it; what is proven ends it.
        let text = answer("x.example. A", Bogus, vec![a("x.example.", 300)]);
        cache.store_answer(&text, at(1));
        assert_eq!(status(&cache, "x.example. A", 1), nx);
        cache.store_answer(&Answer { status: Secure, ..text }, at(1));
        assert_eq!(status(&cache, "x.example. A", 1), Some((Rcode::NOERROR, Secure)));
        assert_eq!(status(&cache, "x.example. AAAA", 1), None);
    }

    #[test]
    fn nodata_holds_for_its_type_only() {
        let cache = cache(|_| {});
        let mut nodata = answer("www.example. AAAA", Secure, Vec::new());
        nodata.authority = vec![soa("example.", 300, 300)];
        cache.store_answer(&nodata, at(0));
        assert_eq!(status(&cache, "www.example. AAAA", 0), Some((Rcode::NOERROR, Secure)));
        assert_eq!(status(&cache, "www.example. A", 0), None);
    }

    #[test]
    fn failures_in_a_row_last_longer_and_a_success_ends_the_row() {
        let cache = cache(|_| {});
        let left = |seconds| {
            let found = cache.failure(&question("www.example. A"), at(seconds))?;
            Some(at(seconds).unix.until(found.expires))
        };
        let mut now = 0;
        for expected in [5, 10, 20, 40, 60, 60] {
            cache.store_answer(&failure(), at(now));
            assert_eq!(left(now), Some(expected), "RFC 9520 §3.2");
            now += u64::from(expected);
            assert_eq!(left(now), None);
        }
        cache.store_answer(&failure(), at(now));
        cache.store_answer(&failure(), at(now + 1));
        assert_eq!(left(now + 1), Some(59), "nobody tried again in between");
        cache.store_answer(&www(Insecure), at(now));
        assert_eq!(left(now), None);
        cache.store_answer(&failure(), at(now + 1));
        assert_eq!(left(now + 1), Some(5));
        cache.store_answer(&failure(), at(now + 200));
        assert_eq!(left(now + 200), Some(5), "long ago is not in a row");
    }

    #[test]
    fn a_failure_leaves_alone_what_is_known() {
        let cache = cache(|_| {});
        cache.store_answer(&www(Secure), at(0));
        cache.store_answer(&failure(), at(299));
        assert_eq!(status(&cache, "www.example. A", 299), Some((Rcode::NOERROR, Secure)));
        assert_eq!(Client::new("www.example. A").ask(&cache, 299).unwrap().0.rcode, Rcode::NOERROR);
        let (message, hit) = Client::new("www.example. A").ask(&cache, 300).unwrap();
        assert_eq!((message.rcode, hit.expired), (Rcode::SERVFAIL, false));
    }

    #[test]
    fn clients_without_cd_learn_of_failures_behind_data_nobody_validated() {
        let cache = cache(|_| {});
        cache.store_answer(&www(Indeterminate), at(0));
        cache.store_answer(&failure(), at(0));
        let rcode = |client: Client| client.ask(&cache, 1).map(|(message, _)| message.rcode);
        assert_eq!(rcode(Client::new("www.example. A")), Some(Rcode::SERVFAIL));
        assert_eq!(rcode(Client::new("www.example. A").with_cd()), Some(Rcode::NOERROR));
    }

    #[test]
    fn expired_answers_are_served_as_rfc_8767_says() {
        let serve = |config: &mut Config| {
            config.serve_expired = true;
            config.serve_expired_ttl = 1_000;
        };
        let client = Client::new("www.example. A").with_ad();
        let cache_of = |status, change: &dyn Fn(&mut Config)| {
            let cache = cache(change);
            cache.store_answer(&www(status), at(0));
            cache
        };

        let cache = cache_of(Secure, &serve);
        assert!(client.ask(&cache, 300).is_none(), "first somebody has to try");
        let (message, hit) = client.ask_stale(&cache, 300).unwrap();
        assert!(hit.expired && hit.ttl_left == 0 && !message.header.ad());
        assert_eq!((message.rcode, message.answer[0].ttl), (Rcode::NOERROR, 30), "§4");
        assert!(client.ask_stale(&cache, 1_299).is_some());
        assert!(client.ask_stale(&cache, 1_300).is_none(), "serve-expired-ttl");
        let (_, hit) = client.ask_stale(&cache, 10).unwrap();
        assert!(!hit.expired && !hit.refresh_due, "what is fresh comes as it is");
        assert!(client.ask_stale(&cache, 399).unwrap().1.refresh_due);
        cache.store_answer(&failure(), at(400));
        let (_, hit) = client.ask(&cache, 401).unwrap();
        assert!(hit.expired && !hit.refresh_due, "§5: the refresh has failed");
        assert!(client.ask_stale(&cache, 405).unwrap().1.refresh_due, "RFC 9520: 5 s later");
        assert_eq!(
            cache.answer(&question("www.example. A"), at(401)).unwrap().value.reason,
            failure().reason
        );

        // What may not be kept at all says that the old is not true any more.
        let cache = cache_of(Secure, &serve);
        cache.store_answer(&answer("www.example. A", Secure, vec![a("www.example.", 0)]), at(400));
        assert!(client.ask_stale(&cache, 401).is_none());

        // A response that nobody could validate does not cost us the expired answer.
        let cache = cache_of(Secure, &serve);
        cache.store_answer(&www(Indeterminate), at(400));
        cache.store_answer(&failure(), at(400));
        assert!(client.ask(&cache, 401).unwrap().1.expired);
        assert!(!client.clone().with_cd().ask(&cache, 401).unwrap().1.expired);
        // Neither does one that is bogus, however often.
        for seconds in [400, 405, 420] {
            cache.store_answer(&www(Bogus), at(seconds));
            assert!(client.ask(&cache, seconds).unwrap().1.expired);
        }

        for (case, status, on) in
            [("off", Secure, false), ("bogus", Bogus, true), ("not validated", Indeterminate, true)]
        {
            let cache = cache_of(status, &|config| {
                if on {
                    serve(config)
                }
            });
            assert!(client.clone().with_cd().ask_stale(&cache, 301).is_none(), "{case}");
        }

        for (reset, left) in [(false, false), (true, true)] {
            let cache = cache_of(Insecure, &|config| {
                serve(config);
                config.serve_expired_ttl_reset = reset;
            });
            cache.store_answer(&failure(), at(1_200));
            assert_eq!(
                client.ask_stale(&cache, 2_000).is_some(),
                left,
                "serve-expired-ttl-reset {reset}"
            );
        }
    }

    #[test]
    fn what_must_not_be_kept_is_not() {
        let chaos = |mut answer: Answer| {
            answer.question.class = Class::CH;
            answer
        };
        let cases = [
            ("TTL 0", answer("www.example. A", Secure, vec![a("www.example.", 0)])),
            ("class CH", chaos(www(Insecure))),
            ("meta type", answer("www.example. AXFR", Insecure, vec![a("www.example.", 9)])),
        ];
        for (case, stored) in cases {
            let cache = cache(|_| {});
            cache.store_answer(&stored, at(0));
            assert_eq!(cache.usage().answers.entries, 0, "{case}");
            assert_eq!(cache.answer(&stored.question, at(0)), None, "{case}");
        }
    }

    #[test]
    fn removing_forgets_answer_denial_and_failure() {
        let cache = cache(|_| {});
        for stored in [www(Secure), nxdomain("www.example. A", Secure), failure()] {
            cache.store_answer(&stored, at(0));
            assert!(cache.answer(&stored.question, at(0)).is_some());
            cache.remove_answer(&stored.question);
            assert_eq!(cache.answer(&stored.question, at(0)), None);
        }
    }
}

//! Finished answers by question.
//!
//! Three kinds of keys, looked at in this order: the answer to a question; the denial of a name,
//! which answers for every type (RFC 2308 §5); the last failure to answer a question (RFC 9520).
//! Failures have a place of their own, so that they leave alone what is known.

use super::Cached;
use super::answer::Answer;
use super::codec::{Key, Reader};
use super::entry::{self, Entry, Validity};
use super::hit::{self, Hit, HotQuery};
use super::region::{Region, Usage};
use super::settings::Settings;
use crate::clock::{Now, Rng, UnixTime};
use crate::status::SecurityStatus;
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
    Failure = 3,
}

impl Kind {
    fn key(self, rtype: RecordType, name_wire: &[u8]) -> Option<Key> {
        // A denial holds for every type.
        let [high, low] = if self == Self::Denial { [0, 0] } else { rtype.0.to_be_bytes() };
        Key::new([self as u8, high, low], name_wire)
    }

    fn of(question: &Question, kind: Self) -> Option<Key> {
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
        if query.class != Class::IN {
            return None;
        }
        let mut fresh = |kind| self.write(kind, query, false, settings, now, out);
        if let Some(hit) = fresh(Kind::Answer).or_else(|| fresh(Kind::Denial)) {
            return Some(hit);
        }
        if settings.serve_expired && (allow_stale || self.has_failed(query, now)) {
            // RFC 8767 §5: a failure to refresh is when expired data is better than none.
            let mut stale = |kind| self.write(kind, query, true, settings, now, out);
            if let Some(hit) = stale(Kind::Answer).or_else(|| stale(Kind::Denial)) {
                return Some(hit);
            }
        }
        self.write(Kind::Failure, query, false, settings, now, out)
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
                let usable =
                    (stale || now.unix < entry.expires) && hit::may_have(&entry, query, settings);
                usable.then(|| hit::write(&entry, query, true, settings, now, out))?
            })
            .flatten()
    }

    fn has_failed(&self, query: &HotQuery<'_>, now: Now) -> bool {
        Kind::Failure.key(query.rtype, query.name_wire).is_some_and(|key| {
            self.read(&key, now, |entry| now.unix < entry.expires).unwrap_or(false)
        })
    }

    fn read<R>(&self, key: &Key, now: Now, f: impl FnOnce(&Entry<'_>) -> R) -> Option<R> {
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
        if ttl == 0 || !is_proven(answer.status) && self.knows_better(question, now) {
            return;
        }
        let nothing_there = answer.rcode == Rcode::NXDOMAIN && answer.answer.is_empty();
        let (kind, other) = match nothing_there {
            true => (Kind::Denial, Kind::Answer),
            false => (Kind::Answer, Kind::Denial),
        };
        let final_word = answer.status != SecurityStatus::Indeterminate || !settings.validates;
        let kept_stale =
            if is_proven(answer.status) || !settings.validates { settings.stale_for() } else { 0 };
        self.remove_kind(question, other);
        if final_word {
            self.remove_kind(question, Kind::Failure);
        }
        let expires = now.unix.plus(ttl);
        self.put(answer, kind, (0, expires, expires.plus(kept_stale)), settings, now);
    }

    fn store_failure(&self, answer: &Answer, settings: &Settings, now: Now) {
        let question = &answer.question;
        let Some(key) = Kind::of(question, Kind::Failure) else { return };
        let before = self.read(&key, now, |entry| entry.failures).unwrap_or(0);
        let failures = before.saturating_add(1);
        let expires = now.unix.plus(settings.lifetime(answer, failures));
        let places = (failures, expires, expires.plus(FAILURE_MEMORY));
        self.put(answer, Kind::Failure, places, settings, now);
        if settings.stale_ttl_reset {
            self.keep_stale_longer(question, settings, now);
        }
    }

    /// Counts the time that expired data may be used from now (`serve-expired-ttl-reset`).
    fn keep_stale_longer(&self, question: &Question, settings: &Settings, now: Now) {
        for kind in [Kind::Answer, Kind::Denial] {
            let Some(key) = Kind::of(question, kind) else { continue };
            let stale = self.region.get(key.as_bytes(), now.unix, |value| {
                let expired = Entry::read(value).is_some_and(|entry| entry.expires <= now.unix);
                expired.then(|| value.to_vec())
            });
            if let Some(value) = stale.flatten() {
                let until = now.unix.plus(settings.stale_for());
                self.region.put(key.as_bytes(), &value, until, now.unix);
            }
        }
    }

    /// Puts an entry with a count of failures, its expiry, and when it is dropped.
    fn put(
        &self,
        answer: &Answer,
        kind: Kind,
        (failures, expires, dropped): (u8, UnixTime, UnixTime),
        settings: &Settings,
        now: Now,
    ) {
        let validity = Validity { stored: now.unix, expires, failures };
        let value = entry::encode(answer, validity, settings);
        if let Some((key, value)) = Kind::of(&answer.question, kind).zip(value) {
            self.region.put(key.as_bytes(), &value, dropped, now.unix);
        }
    }

    /// Whether something proven is known that has not expired: what nobody has validated, or what
    /// failed validation, does not replace it.
    fn knows_better(&self, question: &Question, now: Now) -> bool {
        [Kind::Answer, Kind::Denial].into_iter().any(|kind| {
            Kind::of(question, kind).is_some_and(|key| {
                let better =
                    |entry: &Entry<'_>| now.unix < entry.expires && is_proven(entry.status);
                self.read(&key, now, better).unwrap_or(false)
            })
        })
    }

    //--- Removal

    pub(super) fn remove(&self, question: &Question) {
        for kind in [Kind::Answer, Kind::Denial, Kind::Failure] {
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
                let kind = match reader.u8()? {
                    1 => Kind::Answer,
                    2 => Kind::Denial,
                    3 => Kind::Failure,
                    _ => return None,
                };
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

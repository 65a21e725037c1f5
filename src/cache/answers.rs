//! Finished answers by question.
//!
//! Kinds of keys, looked at in this order: the answer to a question; the denial of a name, which
//! answers for every type (RFC 2308 §5); both again, of what nobody has validated yet; the last
//! failure to answer a question (RFC 9520).
//!
//! With DNS64 clients get AAAA answers that are kept apart, since they may be made of A records:
//! for the resolver itself, and for clients with CD, what servers say counts (RFC 6147 §5.5).
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
use crate::clock::{Now, UnixTime};
use crate::status::{Reason, SecurityStatus};
use crate::wire::{Class, Name, Question, Rcode, RecordType};

/// Seconds after its end that a failure still counts as the one before the next.
const FAILURE_MEMORY: u32 = 60;

/// Finished answers by question.
pub(super) struct Answers {
    region: Region,
    /// Failures and bogus data from this moment or before do not count: see [`Answers::new`].
    doubt_until: UnixTime,
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
    Synthesized = 6,
}

impl Kind {
    /// All.
    pub(super) const ALL: [Self; 6] = [
        Self::Answer,
        Self::Denial,
        Self::Unvalidated,
        Self::UnvalidatedDenial,
        Self::Failure,
        Self::Synthesized,
    ];
    /// Those that tell what servers say, in the order they are looked at.
    pub(super) const TOLD: [Self; 5] =
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
    /// What is in the region, but for failures and bogus data from `doubt_until` or before: whoever
    /// starts a process anew may have mended what was wrong.
    pub(super) fn new(region: Region, doubt_until: UnixTime) -> Self {
        Self { region, doubt_until }
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
        let settled = settled_kinds(query, settings);
        if let Some(hit) = write(settled, false) {
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
            && let Some(hit) = write(settled, true)
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
                let usable = now.unix < end.max(entry.expires) && !self.is_doubtful(&entry);
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
            .get(key.as_bytes(), now.unix, |value| {
                Entry::read(value).filter(|entry| !self.is_doubtful(entry)).map(|entry| f(&entry))
            })
            .flatten()
    }

    fn is_doubtful(&self, entry: &Entry<'_>) -> bool {
        let failed = entry.is_failure() || entry.status == SecurityStatus::Bogus;
        failed && entry.stored <= self.doubt_until
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
        let ended = if settled { &Kind::TOLD[..] } else { &Kind::UNVALIDATED };
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

    /// See [`Cache::store_synthesized`](super::Cache::store_synthesized).
    pub(super) fn store_synthesized(&self, answer: &Answer, settings: &Settings, now: Now) {
        let ttl = settings.lifetime(answer, 0);
        if ttl == 0 || answer.is_failure() || answer.question.class != Class::IN {
            return;
        }
        self.remove_kind(&answer.question, Kind::Failure);
        let expires = now.unix.plus(ttl);
        let lasting = is_proven(answer.status) || !settings.validates;
        let stale_until = if lasting { expires.plus(settings.stale_for()) } else { expires };
        let validity = Validity { stored: now.unix, expires, stale_until, failures: 0 };
        self.put(answer, Kind::Synthesized, validity, stale_until, settings, now);
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

    /// Octets used and allowed.
    pub(super) fn octets(&self) -> (usize, usize) {
        self.region.octets()
    }

    pub(super) fn usage(&self) -> Usage {
        self.region.usage()
    }
}

/// The kinds of settled answers that the client of `query` may have.
fn settled_kinds(query: &HotQuery<'_>, settings: &Settings) -> &'static [Kind] {
    let synthesized = settings.synthesizes
        && query.rtype == RecordType::AAAA
        && !query.checking_disabled(settings);
    if synthesized { &[Kind::Synthesized] } else { &Kind::SETTLED }
}

fn is_proven(status: SecurityStatus) -> bool {
    status >= SecurityStatus::Insecure
}

#[cfg(test)]
mod tests;

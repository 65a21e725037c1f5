//! Expired answers, taken apart: for those that have to go through policy before they are served.

use super::answers::{Answers, Kind};
use super::settings::Settings;
use super::{Answer, Cached};
use crate::clock::Now;
use crate::wire::{Class, Question};

impl Answers {
    /// See [`Cache::stale_answer`](super::Cache::stale_answer).
    pub(super) fn stale(
        &self,
        question: &Question,
        settings: &Settings,
        now: Now,
    ) -> Option<Cached<Answer>> {
        if let Some(fresh) = self.get(question, &Kind::SETTLED, now) {
            return Some(fresh);
        }
        if question.class != Class::IN || !settings.serve_expired {
            return None;
        }
        Kind::SETTLED.iter().find_map(|kind| {
            let key = Kind::of(question, *kind)?;
            self.read(&key, now, |entry| {
                let usable = now.unix < entry.stale_until;
                let mut value = usable.then(|| entry.decode(question, now))??;
                let sections = [&mut value.answer, &mut value.authority, &mut value.additional];
                let sets = sections.into_iter().flatten();
                sets.for_each(|rrset| rrset.ttl = settings.stale_reply_ttl);
                Some(Cached { value, expires: entry.expires })
            })?
        })
    }
}

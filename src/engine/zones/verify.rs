//! Whether a copy is what its owner published: its digest (RFC 8976), and the signature over that.
//!
//! The records of the apex are put before the validator as if a server had given them. It asks for
//! keys, which the copy has, and for the chain down to the zone, which the network has. What it
//! learns is forgotten: a copy that fails must not spoil what is known of the zone.

use std::sync::Arc;

use rand::SeedableRng;

use crate::authority::{Digest, Zone};
use crate::budget::{Budget, UPSTREAM_QUERIES};
use crate::cache::{Answer, Cache};
use crate::clock::{Now, Rng};
use crate::config::{AuthZone, Config};
use crate::engine::{Ask, Engine};
use crate::rollover::Rollover;
use crate::status::SecurityStatus;
use crate::validator::{Action, Event, Validation, View};
use crate::wire::{Question, RecordType};

/// Questions about the chain of trust at most: two for each label of a name.
const MAX_NEEDS: usize = 256;

/// What became of the check of a copy.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Verdict {
    /// It may be used.
    Good,
    /// It may be used as far as can be said without asking anybody.
    Unproven,
    /// It must not be used, and why.
    Bad(String),
}

/// Checks a copy without the network.
pub(super) fn at_once(zone: &Arc<Zone>, auth: &AuthZone, config: &Config, now: Now) -> Verdict {
    if let Some(verdict) = digest(zone, auth) {
        return verdict;
    }
    let mut proof = Proof::new(zone, config, now);
    match proof.next(None) {
        Next::Done(verdict) => verdict,
        Next::Need(_) => Verdict::Unproven,
    }
}

/// Checks a copy, the chain of trust included.
pub(super) async fn fully(
    engine: &Engine,
    zone: Arc<Zone>,
    auth: AuthZone,
    config: Arc<Config>,
) -> Verdict {
    let (of_digest, of_zone) = (auth, Arc::clone(&zone));
    // Takes as long as the zone is large: clients must not wait for it.
    let computed = tokio::task::spawn_blocking(move || digest(&of_zone, &of_digest)).await;
    match computed {
        Ok(None) => {}
        Ok(Some(verdict)) => return verdict,
        Err(error) => return Verdict::Bad(error.to_string()),
    }
    let mut proof = Proof::new(&zone, &config, Now::system());
    let mut got = None;
    for _ in 0..MAX_NEEDS {
        let question = match proof.next(got.take()) {
            Next::Done(verdict) => return verdict,
            Next::Need(question) => question,
        };
        let ask = Ask::plain(question.clone(), true);
        let answer = engine.resolve(ask).await;
        got = Some((question, Answer::clone(&answer)));
    }
    Verdict::Bad("the chain of trust has no end".to_owned())
}

/// What can be said from the digest alone; none when its signature decides.
fn digest(zone: &Zone, auth: &AuthZone) -> Option<Verdict> {
    if !auth.zonemd_check {
        return Some(Verdict::Good);
    }
    match zone.digest() {
        Digest::Wrong => Some(Verdict::Bad("the digest of the zone is wrong".to_owned())),
        Digest::Absent if auth.zonemd_reject_absence => {
            Some(Verdict::Bad("the zone has no digest".to_owned()))
        }
        Digest::Right | Digest::Unknown | Digest::Absent => None,
    }
}

/// The validation of the apex of a copy.
struct Proof<'a> {
    zone: &'a Zone,
    config: &'a Config,
    now: Now,
    scratch: Cache,
    budget: Budget,
    /// Follows nothing: a copy is no place to learn of rollovers.
    rollover: Rollover,
    /// What is still to be validated; the last one first.
    types: Vec<RecordType>,
    running: Option<(Validation, RecordType)>,
}

enum Next {
    Need(Question),
    Done(Verdict),
}

impl<'a> Proof<'a> {
    fn new(zone: &'a Zone, config: &'a Config, now: Now) -> Self {
        // The smallest there is: the keys of one chain.
        let small = Config {
            msg_cache_size: 0,
            rrset_cache_size: 0,
            key_cache_size: 0,
            infra_cache_numhosts: 0,
            ..config.clone()
        };
        Self {
            zone,
            config,
            now,
            scratch: Cache::new(&small, &mut Rng::from_rng(&mut rand::rng())),
            budget: Budget::new(now.mono, UPSTREAM_QUERIES.default),
            rollover: Rollover::default(),
            types: vec![RecordType::SOA, RecordType::ZONEMD],
            running: None,
        }
    }

    /// Goes on until something is needed that the copy does not have.
    fn next(&mut self, mut got: Option<(Question, Answer)>) -> Next {
        if !self.config.validates() {
            return Next::Done(Verdict::Good);
        }
        loop {
            let Some((mut validation, rtype)) = self.running.take().or_else(|| self.begin()) else {
                return Next::Done(Verdict::Good);
            };
            let event = match &got {
                Some((question, answer)) => Event::Resolved { question, answer },
                None => Event::Start,
            };
            let (cache, config, rollover) = (&self.scratch, self.config, &self.rollover);
            let mut view = View { cache, config, budget: &mut self.budget, rollover };
            match validation.handle(event, &mut view, self.now) {
                Action::Finish(answer) if answer.status == SecurityStatus::Bogus => {
                    let reason = answer.reason.map_or("", crate::status::Reason::text);
                    return Next::Done(Verdict::Bad(format!("{rtype} of the zone: {reason}")));
                }
                Action::Finish(answer) if answer.status != SecurityStatus::Secure => {
                    // Nobody signs for the zone, so that the digest has to do.
                    return Next::Done(Verdict::Good);
                }
                Action::Finish(_) => got = None,
                Action::Need(question) | Action::NeedOther(question) => {
                    self.running = Some((validation, rtype));
                    let own =
                        question.rtype == RecordType::DNSKEY && question.name == *self.zone.apex();
                    if !own {
                        return Next::Need(question);
                    }
                    got = Some((question.clone(), self.say(question)));
                }
            }
        }
    }

    fn begin(&mut self) -> Option<(Validation, RecordType)> {
        let rtype = self.types.pop()?;
        let question = Question::new(self.zone.apex().clone(), rtype);
        Some((Validation::new(self.say(question)), rtype))
    }

    /// What the copy says.
    fn say(&self, question: Question) -> Answer {
        let reply = self.zone.answer(&question);
        Answer {
            answer: reply.answer,
            authority: reply.authority,
            ..Answer::empty(question, reply.rcode)
        }
    }
}

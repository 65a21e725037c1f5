//! What every transport does with a query: faults, policy, the cache, and the wait for the rest.

use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use tracing::{info, warn};

use super::copies;
use super::query::{CookieOption, Fault, Query};
use super::reply::{self, AA, RA, Recipient, TC};
use super::screen::Screening;
use super::waiting::{Full, Place};
use super::{Ask, Resolver, Worker, screen};
use crate::cache::{Answer, Hit};
use crate::clock::{Mono, Now};
use crate::config::{AccessAction, Config};
use crate::mesh::{self, Known, Screened};
use crate::metrics::{Counters, Gauge, Stat};
use crate::policy::{Audience, Decision, Link, Policy, Standing};
use crate::status::{Reason, SecurityStatus};
use crate::wire::{Class, MAX_MESSAGE, Opcode, Question, Rcode, RecordType};

/// Octets of a query that `harden-large-queries` takes for abuse: ordinary ones have a name of 255
/// octets and a few options.
const LARGE: usize = 512;

/// Where a query comes from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Source {
    /// The client.
    pub client: SocketAddr,
    /// It came over TCP.
    pub stream: bool,
    /// The client has said on this connection that it wants to keep it open (RFC 7828 §3.3.2):
    /// it is told again for how long with each answer that has OPT.
    pub keepalive: bool,
    /// Our address that was asked, as far as it is known.
    pub local: Option<SocketAddr>,
}

/// What became of a query at once.
pub enum Outcome {
    /// No answer.
    Silence,
    /// So many octets of answer were written.
    Answered(usize),
    /// It has to be resolved: [`Worker::resolve`], while the place is held.
    Resolve(Box<Pending>),
}

/// A query that the cache could not answer, with everything that is needed to answer it later.
pub struct Pending {
    to: Recipient,
    /// Policy that the answer has to go through.
    screening: Option<Box<Screened>>,
    source: Source,
    arrived: Mono,
    place: Place,
}

impl Pending {
    /// Names the place in the list of waiting clients; see [`Place::served_by`].
    pub fn place(&self) -> u64 {
        self.place.number()
    }
}

impl<R: Resolver> Worker<R> {
    /// Deals with one message from a client as far as that is possible at once. An answer is
    /// written to `out`, whose length is the most it can have.
    pub fn handle(&self, message: &[u8], source: Source, now: Now, out: &mut [u8]) -> Outcome {
        let counters = self.counters();
        let config = self.shared.config.load();
        let policy = self.shared.policy.load();
        counters.add(Stat::Queries);
        counters.add_if(source.stream, Stat::Tcp);
        counters.add_if(source.client.is_ipv6(), Stat::Ipv6);
        let client = policy.client(source.client.ip(), source.local);
        let access = client.access;
        // Nothing ever asks from port 0; an answer to it would only be an error message.
        if access == AccessAction::Deny || source.client.port() == 0 {
            counters.add(Stat::UnwantedQueries);
            return Outcome::Silence;
        }
        if config.harden_large_queries && message.len() > LARGE {
            return Outcome::Silence;
        }
        let (zones, keeper) = (&self.shared.zones, &self.shared.keeper);
        if message.get(2).is_some_and(|flags| flags >> 3 & 0xf == Opcode::NOTIFY.0)
            && let Some(answer) = copies::answer(message, source.client.ip(), &zones.load(), keeper)
        {
            return match answer {
                Ok(bytes) => copy(&bytes, out),
                Err(fault) => self.fault(fault, message, &config, out),
            };
        }
        let mut query = match Query::parse(message) {
            Ok(query) => query,
            Err(fault) => return self.fault(fault, message, &config, out),
        };
        if let Some(edns) = &mut query.edns {
            edns.keepalive |= source.keepalive;
        }
        count_query(counters, &query);
        let cookie = match self.cookie(&mut query, source, &config, now) {
            Ok(cookie) => cookie,
            Err(fault) => return self.fault(fault, message, &config, out),
        };
        let proven = cookie == Some(Standing::Valid);
        if self.is_too_often(source, proven, &config, now) {
            counters.add(Stat::RateLimited);
            return Outcome::Silence;
        }
        if config.log_queries {
            info!(client = %source.client, question = %query.question(), "query");
        }
        if config.disable_edns_do && query.dnssec_ok() {
            // Signatures cannot be had, which is what an answer without OPT says.
            query.edns = None;
        }
        let asked = query.asked(source.stream, cookie);
        let copied = || copies::from_copy(&query, &zones.load(), now);
        let decision = policy.decide_with(&asked, client, source.client.ip(), copied);
        let (alias, cache_only, lens) = match decision {
            Decision::Resolve(lens) => (None, false, lens),
            Decision::CacheOnly(lens) => (None, true, lens),
            Decision::Alias(alias) => {
                let clear = || Policy::clear_lens(client, source.stream);
                (Some(alias), false, Some(policy.lens(client, &asked).unwrap_or_else(clear)))
            }
            Decision::Copied(answer) => {
                return self.write(&answer, &query, source, &config, now, out);
            }
            Decision::Drop => {
                counters.add_if(access == AccessAction::DenyNonLocal, Stat::UnwantedQueries);
                return Outcome::Silence;
            }
            Decision::Refuse(reason) => {
                counters.add_if(reason == Reason::Prohibited, Stat::UnwantedQueries);
                return self.refuse(&query, reason, source, &config, now, out);
            }
            Decision::Truncate => {
                return self.come_back(&query, Rcode::NOERROR, AA | TC | RA, message, &config, out);
            }
            Decision::BadCookie => {
                return self.come_back(&query, Rcode::BADCOOKIE, RA, message, &config, out);
            }
            Decision::ProveAddress => {
                return self.come_back(&query, Rcode::REFUSED, TC | RA, message, &config, out);
            }
            Decision::Local(mut answer) => {
                if config.log_local_actions {
                    info!(client = %source.client, question = %answer.question, "local answer");
                }
                // Local data has no other authority. What is said about ourselves is no data.
                answer.manner.authoritative = query.class == Class::IN;
                return self.write(&answer, &query, source, &config, now, out);
            }
        };
        let screening = lens.map(|lens| {
            let audience = Audience { policy: Arc::clone(&policy), lens };
            Box::new(Screened { audience, alias })
        });
        let known = match &screening {
            None => self.hit(&query, source, &config, now, out).map(Outcome::Answered),
            Some(screened) => self.screened(&query, screened, message, source, &config, now, out),
        };
        if let Some(outcome) = known {
            return outcome;
        }
        counters.add(Stat::CacheMisses);
        if cache_only {
            return self.refuse(&query, Reason::NotAuthoritative, source, &config, now, out);
        }
        self.pend(&query, screening, source, proven, &config, now, out.len())
    }

    /// Looks at the cookie of a query, and puts the one that the answer carries in its place.
    fn cookie(
        &self,
        query: &mut Query<'_>,
        source: Source,
        config: &Config,
        now: Now,
    ) -> Result<Option<Standing>, Fault> {
        let question_end = query.question_end();
        let Some(edns) = query.edns.as_mut().filter(|_| config.answer_cookie) else {
            if let Some(edns) = &mut query.edns {
                edns.cookie = CookieOption::None;
            }
            return Ok(None);
        };
        let asked = match edns.cookie {
            CookieOption::None | CookieOption::Given(_) => return Ok(None),
            CookieOption::Asked(cookie) => cookie,
            CookieOption::Malformed => {
                edns.cookie = CookieOption::None;
                let (rcode, edns) = (Rcode::FORMERR, Some(*edns));
                return Err(Fault::Reply { rcode, reason: None, question_end, edns });
            }
        };
        let (standing, full) = self.shared.cookies.load().judge(&asked, source.client.ip(), now);
        edns.cookie = CookieOption::Given(full);
        self.counters().add(match standing {
            Standing::Valid => Stat::CookieValid,
            Standing::New => Stat::CookieClient,
            Standing::Invalid => Stat::CookieInvalid,
        });
        Ok(Some(standing))
    }

    /// Whether a client asks more often than `ip-ratelimit` allows; one in `ip-ratelimit-factor` is
    /// answered all the same.
    fn is_too_often(&self, source: Source, proven: bool, config: &Config, now: Now) -> bool {
        let limit = if proven { config.ip_ratelimit_cookie } else { config.ip_ratelimit };
        if config.ip_ratelimit == 0 || limit == 0 {
            return false;
        }
        let client = source.client.ip();
        let backoff = config.ip_ratelimit_backoff;
        if !self.shared.cache.client_exceeds(client, limit, backoff, now) {
            return false;
        }
        let over = self.over_limit.get();
        self.over_limit.set(over.wrapping_add(1));
        let factor = config.ip_ratelimit_factor;
        factor == 0 || over % u64::from(factor) != u64::from(factor - 1)
    }

    /// Answers from the cache what is subject to policy; `None` when something has to be resolved.
    fn screened(
        &self,
        query: &Query<'_>,
        screened: &Screened,
        message: &[u8],
        source: Source,
        config: &Config,
        now: Now,
        out: &mut [u8],
    ) -> Option<Outcome> {
        let (cache, question) = (&self.shared.cache, query.question());
        let cd = query.header.cd() && !config.ignore_cd_flag || config.val_permissive_mode;
        // Expired links will do at once when nobody is to wait for fresh ones. What DNS64 makes of
        // them is not theirs to say.
        let stale = config.serve_expired && config.serve_expired_client_timeout == 0;
        let stale = stale && !config.synthesizes();
        let lookup = |link: &Link| {
            let known = mesh::known(&question, link, &screened.audience, cd, (cache, config, now));
            known.or_else(|| {
                let link = Question { name: link.name.clone(), ..question.clone() };
                let expired = cache.stale_answer(&link, now).filter(|_| stale)?;
                self.refresh(link, now);
                Some(Known::Answer(Box::new(expired.value)))
            })
        };
        let answer = match screen::run(&question, screened, lookup)? {
            Screening::Unchanged => {
                return self.hit(query, source, config, now, out).map(Outcome::Answered);
            }
            Screening::Changed(answer) => answer,
        };
        self.counters().add(Stat::CacheHits);
        if answer.manner.dropped {
            return Some(Outcome::Silence);
        }
        if answer.manner.truncated && !source.stream {
            return Some(self.come_back(query, Rcode::NOERROR, TC | RA, message, config, out));
        }
        Some(self.write(&answer, query, source, config, now, out))
    }

    /// Answers from the cache; the octets written.
    fn hit(
        &self,
        query: &Query<'_>,
        source: Source,
        config: &Config,
        now: Now,
        out: &mut [u8],
    ) -> Option<usize> {
        let hot = query.hot();
        let cache = &self.shared.cache;
        let stale = config.serve_expired && config.serve_expired_client_timeout == 0;
        let hit = match stale {
            true => cache.stale_hit(&hot, now, out)?,
            false => cache.hit(&hot, now, out)?,
        };
        self.counters().add(Stat::CacheHits);
        self.count_hit(&hit);
        if hit.refresh_due {
            self.refresh(query.question(), now);
        }
        let limit = limit(query, source, config).min(out.len());
        Some(reply::finish(&hit, out, query.edns, source.stream, limit, config))
    }

    fn count_hit(&self, hit: &Hit) {
        let counters = self.counters();
        counters.answer(hit.rcode);
        counters.status(hit.status);
        counters.add_if(hit.expired, Stat::Expired);
        let empty = hit.answer_end == hit.question_end;
        counters.add_if(hit.rcode == Rcode::NOERROR && empty, Stat::NoData);
    }

    /// Fetches an answer anew while the old one still serves.
    fn refresh(&self, question: Question, now: Now) {
        self.counters().add(Stat::Prefetched);
        let ask = Ask {
            question,
            checking_disabled: false,
            refresh: true,
            arrived: now.mono,
            screening: None,
        };
        let resolve = self.resolver.resolve(ask);
        tokio::task::spawn_local(async move {
            resolve.await;
        });
    }

    /// Makes a query wait, if there is a place for it.
    fn pend(
        &self,
        query: &Query<'_>,
        screening: Option<Box<Screened>>,
        source: Source,
        proven: bool,
        config: &Config,
        now: Now,
        room: usize,
    ) -> Outcome {
        let counters = self.counters();
        let place = match self.waiting.enter(source.client.ip(), proven, config, now.mono) {
            Ok((place, left)) => {
                counters.add_if(left, Stat::ListOverwritten);
                place
            }
            Err(full) => {
                counters.add(match full {
                    Full::Everywhere => Stat::ListExceeded,
                    Full::Client => Stat::WaitLimited,
                });
                return Outcome::Silence;
            }
        };
        counters.set_gauge(Gauge::ListReplies, self.waiting.len());
        let to = self.recipient(query, source, config, room);
        Outcome::Resolve(Box::new(Pending { to, screening, source, arrived: now.mono, place }))
    }

    /// Resolves a query and writes its answer; empty when policy says that there is none.
    pub async fn resolve(&self, pending: Box<Pending>) -> Vec<u8> {
        let Pending { to, screening, source, arrived, place } = *pending;
        let config = self.shared.config.load_full();
        let question = to.question.clone();
        let cd = to.header.cd() && !config.ignore_cd_flag;
        let checking_disabled = cd || config.val_permissive_mode;
        let ask = Ask { question, checking_disabled, refresh: false, arrived, screening };
        let answer = match self.fresh_or_stale(ask, &to, &config).await {
            Ok(answer) => answer,
            Err(stale) => return stale,
        };
        drop(place);
        if answer.manner.dropped {
            return Vec::new();
        }
        let now = Now::system();
        let (bytes, rcode) = reply::render(&self.shared.cache, &answer, &to, &config, now);
        self.count_answer(&answer, &to, rcode, now.mono.since(arrived), &config);
        if config.log_replies {
            info!(client = %source.client, question = %to.question, %rcode, "reply");
        }
        bytes
    }

    /// Waits for the answer. When that takes too long or fails, and `serve-expired` is on, an
    /// expired one will do (RFC 8767 §5), ready as bytes.
    async fn fresh_or_stale(
        &self,
        ask: Ask,
        to: &Recipient,
        config: &Config,
    ) -> Result<Rc<Answer>, Vec<u8>> {
        let screening = ask.screening.clone();
        let resolve = self.resolver.resolve(ask);
        if !config.serve_expired {
            return Ok(resolve.await);
        }
        let stale = || self.stale(to, screening.as_deref(), config);
        let patience = Duration::from_millis(config.serve_expired_client_timeout.max(1).into());
        tokio::pin!(resolve);
        let answer = match tokio::time::timeout(patience, &mut resolve).await {
            Ok(answer) => answer,
            Err(_) => match stale() {
                Some(stale) => return Err(stale),
                None => resolve.await,
            },
        };
        let checking_disabled = to.header.cd() && !config.ignore_cd_flag;
        let bogus = answer.status == SecurityStatus::Bogus && !checking_disabled;
        if !bogus && !answer.is_failure() {
            return Ok(answer);
        }
        stale().map_or(Ok(answer), Err)
    }

    /// An expired answer, gone through policy; empty when policy says that there is none.
    fn stale(
        &self,
        to: &Recipient,
        screened: Option<&Screened>,
        config: &Config,
    ) -> Option<Vec<u8>> {
        let (cache, now) = (&self.shared.cache, Now::system());
        if let Some(screened) = screened {
            let lookup = |link: &Link| {
                let question = Question { name: link.name.clone(), ..to.question.clone() };
                let stale = cache.stale_answer(&question, now)?;
                Some(Known::Answer(Box::new(stale.value)))
            };
            if let Screening::Changed(answer) = screen::run(&to.question, screened, lookup)? {
                if answer.manner.dropped {
                    return Some(Vec::new());
                }
                self.counters().add(Stat::Expired);
                return Some(reply::render(cache, &answer, to, config, now).0);
            }
        }
        let mut out = vec![0; MAX_MESSAGE];
        let hit = cache.stale_hit(&to.hot(), now, &mut out)?;
        if !hit.expired {
            return None;
        }
        self.count_hit(&hit);
        let len = reply::finish(&hit, &mut out, to.edns, to.stream, to.limit, config);
        out.truncate(len);
        Some(out)
    }

    fn count_answer(
        &self,
        answer: &Answer,
        to: &Recipient,
        rcode: Rcode,
        time: Duration,
        config: &Config,
    ) {
        let counters = self.counters();
        counters.recursion(time);
        counters.set_gauge(Gauge::ListReplies, self.waiting.len());
        counters.answer(rcode);
        counters.add_if(rcode == Rcode::NOERROR && answer.answer.is_empty(), Stat::NoData);
        counters.status(answer.status);
        let reason = answer.reason.map_or("", Reason::text);
        if answer.status == SecurityStatus::Bogus {
            let sets = answer.answer.iter().chain(&answer.authority);
            sets.for_each(|_| counters.add(Stat::RrsetBogus));
            if config.val_log_level > 0 {
                info!(question = %to.question, reason, "validation failure");
            }
        }
        if config.log_servfail && rcode == Rcode::SERVFAIL {
            warn!(question = %to.question, reason, "SERVFAIL");
        }
    }

    fn recipient(
        &self,
        query: &Query<'_>,
        source: Source,
        config: &Config,
        room: usize,
    ) -> Recipient {
        Recipient {
            header: query.header,
            question: query.question(),
            edns: query.edns,
            limit: limit(query, source, config).min(room),
            stream: source.stream,
        }
    }

    /// Writes an answer that was not resolved.
    fn write(
        &self,
        answer: &Answer,
        query: &Query<'_>,
        source: Source,
        config: &Config,
        now: Now,
        out: &mut [u8],
    ) -> Outcome {
        let to = self.recipient(query, source, config, out.len());
        let (bytes, rcode) = reply::render(&self.shared.cache, answer, &to, config, now);
        let counters = self.counters();
        counters.answer(rcode);
        counters.add_if(rcode == Rcode::NOERROR && answer.answer.is_empty(), Stat::NoData);
        copy(&bytes, out)
    }

    fn refuse(
        &self,
        query: &Query<'_>,
        reason: Reason,
        source: Source,
        config: &Config,
        now: Now,
        out: &mut [u8],
    ) -> Outcome {
        let mut answer = Answer::empty(query.question(), Rcode::REFUSED);
        answer.reason = Some(reason);
        let outcome = self.write(&answer, query, source, config, now, out);
        // RA says whether this client may have recursion, be it not for this name.
        let transfer = matches!(query.rtype, RecordType::AXFR | RecordType::IXFR);
        if (reason == Reason::Prohibited || transfer)
            && let (Outcome::Answered(_), Some(flags)) = (&outcome, out.get_mut(3))
        {
            *flags &= !0x80;
        }
        outcome
    }

    /// An answer without records, with those flags, that makes the client ask again in another way.
    fn come_back(
        &self,
        query: &Query<'_>,
        rcode: Rcode,
        flags: u16,
        message: &[u8],
        config: &Config,
        out: &mut [u8],
    ) -> Outcome {
        let (question_end, edns) = (query.question_end(), query.edns);
        let fault = Fault::Reply { rcode, reason: None, question_end, edns };
        let outcome = self.fault(fault, message, config, out);
        if let (Outcome::Answered(_), Some(bits)) = (&outcome, out.get_mut(2..4)) {
            for (octet, flag) in bits.iter_mut().zip(flags.to_be_bytes()) {
                *octet |= flag;
            }
        }
        outcome
    }

    fn fault(&self, fault: Fault, message: &[u8], config: &Config, out: &mut [u8]) -> Outcome {
        if let Fault::Reply { rcode, .. } = fault {
            self.counters().answer(rcode);
        }
        match reply::encode_fault(fault, message, config) {
            Some(bytes) => copy(&bytes, out),
            None => Outcome::Silence,
        }
    }
}

fn copy(bytes: &[u8], out: &mut [u8]) -> Outcome {
    match out.get_mut(..bytes.len()) {
        Some(room) => {
            room.copy_from_slice(bytes);
            Outcome::Answered(bytes.len())
        }
        // Cannot happen, as the limit of every answer is the room there is.
        None => Outcome::Silence,
    }
}

/// Octets an answer to this query may have.
fn limit(query: &Query<'_>, source: Source, config: &Config) -> usize {
    if source.stream { MAX_MESSAGE } else { reply::udp_limit(query.edns, config) }
}

fn count_query(counters: &Counters, query: &Query<'_>) {
    counters.query_type(query.rtype);
    counters.add(Stat::OpcodeQuery);
    counters.add_if(query.class == Class::IN, Stat::ClassIn);
    counters.add_if(query.header.rd(), Stat::FlagRd);
    counters.add_if(query.header.ad(), Stat::FlagAd);
    counters.add_if(query.header.cd(), Stat::FlagCd);
    counters.add_if(query.edns.is_some(), Stat::EdnsPresent);
    counters.add_if(query.dnssec_ok(), Stat::EdnsDo);
}

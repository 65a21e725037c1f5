//! Sending a query: how it is asked, by which way, and for how long we wait.

use std::time::Duration;

use rand::RngExt;

use super::exchange::Pending;
use super::query::{self, Query, Style, is_below_anchor, is_case_exempt};
use super::targets::{Cut, Target};
use super::{Action, Exchange, ExchangeId, Iteration, Outcome, Phase, Transport, View, delegation};
use crate::cache::Server;
use crate::clock::{Now, Rng};
use crate::config::Config;
use crate::status::Reason;
use crate::wire::{Name, Question};

/// Longest wait for one reply, unless the server is known to be slower: a client waits for less
/// than two of them.
const MAX_WAIT: Duration = Duration::from_secs(2);
/// Least wait for a reply over a stream, which takes two round trips.
const MIN_STREAM_WAIT: Duration = Duration::from_secs(1);

impl Iteration {
    /// Asks the target at `at`.
    pub(super) fn ask(&mut self, at: usize, view: &mut View<'_>, now: Now, rng: &mut Rng) {
        if let (Some(guard), Some(cut)) = (view.guard, &self.cut)
            && guard.bars(&cut.point.servers, &cut.addresses())
        {
            return self.finish(Outcome::Barred);
        }
        if let Err(exhausted) = view.budget.spend_queries(1) {
            return self.fail(exhausted.0);
        }
        if let Some(cut) = &self.cut
            && is_too_often(cut, view, now, rng)
        {
            return self.fail(Reason::TooManyQueries);
        }
        let (Some(cut), Some(minimiser)) = (&mut self.cut, &mut self.minimiser) else { return };
        let mut question = minimiser.question(&self.question, cut.zone());
        // What is known to exist need not be asked for on the way to more.
        while minimiser.is_shortened(&self.question) && exists(&question, view, now) {
            minimiser.deeper(&self.question);
            question = minimiser.question(&self.question, cut.zone());
        }
        let (forward, zone) = (cut.is_forward(), cut.zone().clone());
        let stream = asks_by_stream(cut, view.config);
        let tls = delegation::demands_tls(&cut.point, view.config);
        let Some(target) = cut.targets.get_mut(at) else { return };
        let server = view.cache.infra(target.server, &zone, now);
        let style = style(target, &server, forward, &question, view.config, now);
        let transport = match stream || target.stream {
            _ if tls => Transport::Tls,
            true => Transport::Tcp,
            false => Transport::Udp,
        };
        let tls_name = target.tls_name.clone();
        let left = view.budget.work_ends().since(now.mono);
        let timeout = timeout(&server, target.tries, transport, view.config, now).min(left);
        target.probe |= target.tries == 0 && server.is_paused(now);
        target.tries = target.tries.saturating_add(1);
        let address = target.server;
        cut.sent = cut.sent.saturating_add(1);

        let mut options = query::options(address.ip(), view.config);
        if transport == Transport::Tls && view.config.pad_queries {
            options.push(query::padding(&question, &options, view.config));
        }
        let query = Query::new(&question, style, options, view.config, rng);
        let id = ExchangeId(self.next_exchange);
        self.next_exchange += 1;
        self.actions.push_back(Action::Ask(Exchange {
            id,
            server: address,
            transport,
            query: query.wire.clone(),
            tls_name,
            timeout,
        }));
        self.phase = Phase::Asking(Box::new(Pending::new(id, address, transport, query, now.mono)));
    }

    /// Asks the same server again, in another way; the next one when that is not possible.
    pub(super) fn ask_again(
        &mut self,
        server: std::net::SocketAddr,
        view: &mut View<'_>,
        now: Now,
        rng: &mut Rng,
    ) {
        let at = self.cut.as_ref().filter(|cut| !cut.is_spent(view.config)).and_then(|cut| {
            cut.targets.iter().position(|target| target.server == server && !target.excluded)
        });
        match at {
            Some(_) if now.mono >= view.budget.work_ends() => self.out_of_time(),
            Some(at) => self.ask(at, view, now, rng),
            None => self.proceed(view, now, rng),
        }
    }
}

/// Whether the cache knows that a name exists, with or without that type.
fn exists(question: &Question, view: &View<'_>, now: Now) -> bool {
    view.cache
        .answer(question, now)
        .is_some_and(|known| known.value.rcode == crate::wire::Rcode::NOERROR)
}

/// Whether the servers of a zone are asked more often than `ratelimit` allows; one query in
/// `ratelimit-factor` is sent all the same. Forwarders have no limit.
fn is_too_often(cut: &Cut, view: &View<'_>, now: Now, rng: &mut Rng) -> bool {
    let (config, zone) = (view.config, cut.zone());
    let Some(limit) = zone_limit(zone, config).filter(|_| !cut.is_forward()) else {
        return false;
    };
    view.cache.zone_exceeds(zone, limit, config.ratelimit_backoff, now)
        && (config.ratelimit_factor == 0 || rng.random_range(0..config.ratelimit_factor) > 0)
}

/// Queries per second that may go to the servers of `zone`; None: any number. What is said of the
/// zone itself comes first, then what is said of zones below the closest name.
fn zone_limit(zone: &Name, config: &Config) -> Option<u32> {
    let exact = config.ratelimit_for_domain.iter().rfind(|(name, _)| name == zone);
    let below = config.ratelimit_below_domain.iter().filter(|(name, _)| zone.is_below(name));
    let below = || below.max_by_key(|(name, _)| name.label_count());
    let limit = exact.or_else(below).map_or(config.ratelimit, |row| row.1);
    Some(limit).filter(|limit| *limit > 0)
}

/// Whether every query to the servers of `cut` goes over a stream.
fn asks_by_stream(cut: &Cut, config: &Config) -> bool {
    let datagrams = config.do_udp || config.udp_upstream_without_downstream;
    let clause = delegation::clause(&cut.point, config);
    config.tcp_upstream || !datagrams || clause.is_some_and(|zone| zone.tcp)
}

fn style(
    target: &Target,
    server: &Server,
    forward: bool,
    question: &Question,
    config: &Config,
    now: Now,
) -> Style {
    Style {
        recursion: forward,
        // An authoritative server does not care. A forwarder shall not judge what we judge
        // ourselves (RFC 6840 §5.9), and may where nobody else does.
        checking_disabled: !forward || is_below_anchor(&question.name, config),
        edns: !target.plain && server.takes_edns(now),
        random_case: config.use_caps_for_id
            && !target.plain_case
            && !is_case_exempt(&question.name, config),
    }
}

/// How long to wait for a reply from a server that was asked `tries` times already.
///
/// The first wait goes by what is known of the server. When it was in vain that knowledge is in
/// doubt - a burst of load, another route - and the next waits are no shorter than those for a
/// server nothing is known about: a fast server must not be given up within half a second.
fn timeout(
    server: &Server,
    tries: u8,
    transport: Transport,
    config: &Config,
    now: Now,
) -> Duration {
    let usual = server.timeout(now);
    match transport {
        Transport::Udp => {
            let measured = server.rtt.smoothed.map_or(0, |smoothed| {
                smoothed.saturating_add(server.rtt.variance.saturating_mul(4))
            });
            let unknown = Duration::from_millis(config.unknown_server_time_limit.into());
            let patience = match tries {
                0 => Duration::ZERO,
                tries => unknown.saturating_mul(1 << (tries - 1).min(4)),
            };
            let most = MAX_WAIT.max(Duration::from_millis(measured.into()));
            usual.max(patience).min(most)
        }
        Transport::Tcp | Transport::Tls => {
            let most = Duration::from_millis(config.tcp_auth_query_timeout.max(1).into());
            usual.saturating_mul(4).max(MIN_STREAM_WAIT).min(most)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::{Mono, UnixTime};

    #[test]
    fn waits_begin_by_experience_and_grow_by_patience() {
        let now = Now::new(Mono::from_micros(1_000_000), UnixTime(1_000));
        let config = Config::default();
        let mut fast = Server::default();
        let mut slow = Server::default();
        for _ in 0..50 {
            fast.replied(Duration::from_millis(1));
            slow.replied(Duration::from_millis(2_500));
        }
        #[rustfmt::skip]
        let cases = [
            ("fast",          &fast,              0, Transport::Udp, 50..=60),
            ("fast, again",   &fast,              1, Transport::Udp, 376..=376),
            ("fast, third",   &fast,              2, Transport::Udp, 752..=752),
            ("fast, last",    &fast,              4, Transport::Udp, 2_000..=2_000),
            ("unknown",       &Server::default(), 0, Transport::Udp, 376..=376),
            ("slow",          &slow,              0, Transport::Udp, 2_500..=2_600),
            ("fast stream",   &fast,              0, Transport::Tcp, 1_000..=1_000),
            ("unknown stream",&Server::default(), 0, Transport::Tcp, 1_504..=1_504),
            ("slow stream",   &slow,              0, Transport::Tcp, 3_000..=3_000),
        ];
        for (case, server, tries, transport, expected) in cases {
            let wait = timeout(server, tries, transport, &config, now).as_millis();
            assert!(expected.contains(&wait), "{case}: {wait} ms");
        }
    }
}

//! What is known of servers: how fast, how reliable, what they understand.

use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use super::codec::Key;
use super::region::Usage;
use super::settings::Settings;
use super::table::Table;
use crate::clock::{Mono, Now, Rng, UnixTime};
use crate::wire::Name;

/// What is known of one address as a server of one zone.
///
/// A copy, made by [`Cache::infra`](super::Cache::infra); changes go through
/// [`Cache::update_infra`](super::Cache::update_infra).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Server {
    /// Round-trip time.
    pub rtt: Rtt,
    /// Timeouts in a row.
    pub losses: u8,
    /// When the last timeout was noticed; meaningless without losses.
    pub last_loss: Mono,
    /// Whether it understands EDNS.
    pub edns: EdnsState,
    /// Until when it counts as lame: it answers, and not for this zone.
    pub lame_until: Option<UnixTime>,
    /// Until when it counts as one that serves the zone without signatures although the zone is
    /// signed.
    pub dnssec_lame_until: Option<UnixTime>,
    /// Bounds of timeouts.
    pub limits: RttLimits,
    /// When all of this is forgotten (`infra-host-ttl`).
    pub expires: UnixTime,
}

/// Whether a server understands EDNS (RFC 6891 §6.2.2).
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub enum EdnsState {
    /// It has not answered a query with OPT yet.
    #[default]
    Unknown,
    /// It has answered with OPT.
    Works,
    /// It refuses queries with OPT; to be tried again after that moment.
    NoneUntil(UnixTime),
}

/// Estimate of a round-trip time (RFC 6298 §2), in milliseconds.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
pub struct Rtt {
    /// Smoothed time; `None` until there is a measurement.
    pub smoothed: Option<u32>,
    /// Mean deviation.
    pub variance: u32,
}

/// Bounds of timeouts, in milliseconds.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct RttLimits {
    /// For a server nothing is known about (`unknown-server-time-limit`).
    pub unknown: u32,
    /// The least (`infra-cache-min-rtt`).
    pub min: u32,
    /// The most (`infra-cache-max-rtt`).
    pub max: u32,
}

impl Default for RttLimits {
    /// Unbound's numbers.
    fn default() -> Self {
        Self { unknown: 376, min: 50, max: 120_000 }
    }
}

impl Default for Server {
    /// A server nothing is known about.
    fn default() -> Self {
        Self {
            rtt: Rtt::default(),
            losses: 0,
            last_loss: Mono::ZERO,
            edns: EdnsState::Unknown,
            lame_until: None,
            dnssec_lame_until: None,
            limits: RttLimits::default(),
            expires: UnixTime(0),
        }
    }
}

impl Server {
    /// Longest time a silent server is left alone.
    pub const MAX_PAUSE: Duration = Duration::from_secs(60);
    /// Losses in a row after which a server is left alone for a while.
    pub const LOSSES_BEFORE_PAUSE: u8 = 3;
    /// Seconds that a server counts as lame, or as one without EDNS.
    pub const JUDGED_FOR: u32 = 900;

    /// How long to wait for a reply from this server before asking another; within the bounds of
    /// [`RttLimits`]. Doubles with each loss in a row.
    ///
    /// # RFC
    ///
    /// RFC 6298 §2 for the estimate, §5.5 for the back-off. Differs on purpose from §2.4: the floor
    /// is 50 ms, not 1 s, as in Unbound.
    pub fn timeout(&self, now: Now) -> Duration {
        let base = u32::try_from(self.base().as_millis()).unwrap_or(u32::MAX);
        let factor = 1u32.checked_shl(self.losses_left(now).into()).unwrap_or(u32::MAX);
        let max = self.limits.max.max(self.limits.min);
        Duration::from_millis(base.saturating_mul(factor).min(max).into())
    }

    /// The timeout of this server as long as it loses nothing.
    pub fn base(&self) -> Duration {
        let base = match self.rtt.smoothed {
            Some(smoothed) => smoothed.saturating_add(self.rtt.variance.saturating_mul(4)),
            None => self.limits.unknown,
        };
        Duration::from_millis(base.max(self.limits.min).into())
    }

    /// Losses in a row, less one for each [`Server::MAX_PAUSE`] since the last: a server that was
    /// away for a while is not punished for long.
    pub fn losses_left(&self, now: Now) -> u8 {
        let pauses = now.mono.since(self.last_loss).as_secs() / Self::MAX_PAUSE.as_secs();
        self.losses.saturating_sub(u8::try_from(pauses).unwrap_or(u8::MAX))
    }

    /// Whether the server has been silent too often to be asked now. When the pause is over, one
    /// query tells whether it is back; another loss makes the next pause twice as long.
    pub fn is_paused(&self, now: Now) -> bool {
        now.mono < self.pause_ends()
    }

    /// When a silent server may be asked again; in the past when it is not paused.
    pub fn pause_ends(&self) -> Mono {
        match self.losses.checked_sub(Self::LOSSES_BEFORE_PAUSE) {
            Some(more) => {
                let pause = Duration::from_secs(2) * (1 << more.min(8));
                self.last_loss + pause.min(Self::MAX_PAUSE)
            }
            None => Mono::ZERO,
        }
    }

    /// Whether it counts as lame.
    pub fn is_lame(&self, now: Now) -> bool {
        self.lame_until.is_some_and(|until| now.unix < until)
    }

    /// Whether it counts as one that leaves signatures out.
    pub fn is_dnssec_lame(&self, now: Now) -> bool {
        self.dnssec_lame_until.is_some_and(|until| now.unix < until)
    }

    /// Whether queries to it may have OPT.
    pub fn takes_edns(&self, now: Now) -> bool {
        !matches!(self.edns, EdnsState::NoneUntil(until) if now.unix < until)
    }

    /// A reply came, so long after its query.
    pub fn replied(&mut self, after: Duration) {
        self.rtt.measured(u32::try_from(after.as_millis()).unwrap_or(u32::MAX));
        self.losses = 0;
    }

    /// No reply came in time.
    pub fn lost(&mut self, now: Now) {
        self.losses = self.losses_left(now).saturating_add(1);
        self.last_loss = now.mono;
    }

    /// It answered a query with OPT by a response with OPT.
    pub fn found_edns(&mut self) {
        self.edns = EdnsState::Works;
    }

    /// It answered, and is not authoritative for the zone.
    pub fn found_lame(&mut self, now: Now) {
        self.lame_until = Some(now.unix.plus(Self::JUDGED_FOR));
    }

    /// It answered without signatures although the zone is signed.
    pub fn found_dnssec_lame(&mut self, now: Now) {
        self.dnssec_lame_until = Some(now.unix.plus(Self::JUDGED_FOR));
    }

    /// It refuses queries with OPT. A server that has answered one before is believed to
    /// understand it: whatever this was, it is not that.
    pub fn found_without_edns(&mut self, now: Now) {
        if self.edns != EdnsState::Works {
            self.edns = EdnsState::NoneUntil(now.unix.plus(Self::JUDGED_FOR));
        }
    }
}

impl Rtt {
    /// Takes a measurement into the estimate.
    fn measured(&mut self, ms: u32) {
        match self.smoothed {
            None => {
                self.smoothed = Some(ms);
                self.variance = ms / 2;
            }
            Some(smoothed) => {
                let deviation = i64::from(ms.abs_diff(smoothed));
                let variance = i64::from(self.variance);
                let blend = |old: i64, new: i64, weight: i64| {
                    u32::try_from(old + (new - old) / weight).unwrap_or_default()
                };
                self.variance = blend(variance, deviation, 4);
                self.smoothed = Some(blend(smoothed.into(), ms.into(), 8));
            }
        }
    }
}

/// Servers in one set of the table.
const SHARE: usize = 16;

/// What is known of servers, by address and zone.
pub(super) struct Infra {
    table: Table<Server>,
}

impl Infra {
    pub(super) fn new(hosts: usize, rng: &mut Rng) -> Self {
        let hosts = hosts.max(1);
        Self { table: Table::new(hosts, SHARE.min(hosts), rng) }
    }

    pub(super) fn get(
        &self,
        server: SocketAddr,
        zone: &Name,
        settings: &Settings,
        now: Now,
    ) -> Server {
        let known = key(server, zone).and_then(|key| self.table.get(key.as_bytes()));
        current(known, settings, now)
    }

    pub(super) fn update(
        &self,
        server: SocketAddr,
        zone: &Name,
        settings: &Settings,
        now: Now,
        f: impl FnOnce(&mut Server),
    ) {
        let Some(key) = key(server, zone) else { return };
        self.table.update(key.as_bytes(), 1, |known| {
            let mut server = current(known, settings, now);
            f(&mut server);
            server
        });
    }

    /// Forgets a server by its address, or all; tells how many entries that were.
    pub(super) fn flush(&self, ip: Option<IpAddr>) -> usize {
        let octets = ip.map(octets);
        self.table.retain(|key, _| octets.is_some_and(|octets| !key.starts_with(&octets)))
    }

    /// Shows `f` the key of every server: 16 octets of address, 2 of port, the zone.
    pub(super) fn for_each(&self, mut f: impl FnMut(&[u8])) {
        self.table.retain(|key, _| {
            f(key);
            true
        });
    }

    pub(super) fn usage(&self) -> Usage {
        self.table.usage()
    }
}

/// What is known of a server now. When its time is over it starts anew, but the pauses of a
/// server that stays silent go on: an unreachable server is not worth a burst of queries every
/// quarter of an hour.
fn current(known: Option<Server>, settings: &Settings, now: Now) -> Server {
    let fresh = Server {
        limits: settings.rtt,
        expires: now.unix.plus(settings.host_ttl),
        ..Server::default()
    };
    match known {
        Some(server) if now.unix < server.expires => Server { limits: settings.rtt, ..server },
        Some(server) => {
            Server { losses: server.losses_left(now), last_loss: server.last_loss, ..fresh }
        }
        None => fresh,
    }
}

fn key(server: SocketAddr, zone: &Name) -> Option<Key> {
    let mut prefix = [0; 18];
    prefix[..16].copy_from_slice(&octets(server.ip()));
    prefix[16..].copy_from_slice(&server.port().to_be_bytes());
    Key::new(prefix, zone.as_wire())
}

fn octets(ip: IpAddr) -> [u8; 16] {
    match ip {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cache::testing::{at, name, rng};
    use crate::config::Config;

    const A: SocketAddr = SocketAddr::new(IpAddr::V4(std::net::Ipv4Addr::LOCALHOST), 53);

    fn millis(server: &Server, seconds: u64) -> u128 {
        server.timeout(at(seconds)).as_millis()
    }

    fn settings() -> Settings {
        Settings::new(&Config::default())
    }

    #[test]
    fn timeouts_follow_rfc_6298_within_unbounds_bounds() {
        let mut server = Server::default();
        assert_eq!(millis(&server, 0), 376, "nothing is known");
        server.replied(Duration::from_millis(100));
        assert_eq!(millis(&server, 0), 300, "RFC 6298 §2.2: SRTT + 4 * RTTVAR, half of R");
        server.replied(Duration::from_millis(100));
        assert_eq!((server.rtt.smoothed, server.rtt.variance), (Some(100), 38), "§2.3");
        for _ in 0..100 {
            server.replied(Duration::from_millis(1));
        }
        assert_eq!(millis(&server, 0), 50, "the floor");
        server.replied(Duration::from_secs(10_000_000));
        assert_eq!(millis(&server, 0), 120_000, "the ceiling");
    }

    #[test]
    fn losses_double_the_timeout_and_are_forgotten_with_time() {
        let mut server = Server::default();
        let mut seen = Vec::new();
        for _ in 0..4 {
            server.lost(at(0));
            seen.push(millis(&server, 0));
        }
        assert_eq!(seen, [752, 1_504, 3_008, 6_016]);
        assert_eq!(millis(&server, 60), 3_008, "one less after a minute");
        assert_eq!(millis(&server, 3_600), 376);
        for _ in 0..300 {
            server.lost(at(0));
        }
        assert_eq!(millis(&server, 0), 120_000);
        server.replied(Duration::from_millis(100));
        assert_eq!(millis(&server, 0), 300, "one reply ends it");
    }

    #[test]
    fn a_silent_server_is_left_alone_ever_longer_and_probed_in_between() {
        let mut server = Server::default();
        server.lost(at(0));
        server.lost(at(0));
        assert!(!server.is_paused(at(0)), "two losses happen");
        let mut pauses = Vec::new();
        let mut now = 0;
        for _ in 0..7 {
            server.lost(at(now));
            assert!(server.is_paused(at(now)));
            let pause = server.pause_ends().since(at(now).mono).as_secs();
            now += pause;
            assert!(!server.is_paused(at(now)), "one probe is due");
            pauses.push(pause);
        }
        assert_eq!(pauses, [2, 4, 8, 16, 32, 60, 60]);
        server.replied(Duration::from_millis(10));
        assert!(!server.is_paused(at(now)));
    }

    #[test]
    fn judgments_end() {
        let mut server = Server::default();
        server.found_lame(at(0));
        server.found_dnssec_lame(at(0));
        server.found_without_edns(at(0));
        assert!(server.is_lame(at(899)) && !server.is_lame(at(900)));
        assert!(server.is_dnssec_lame(at(899)) && !server.is_dnssec_lame(at(900)));
        assert!(!server.takes_edns(at(899)) && server.takes_edns(at(900)));
        server.found_edns();
        server.found_without_edns(at(0));
        assert!(server.takes_edns(at(0)), "it understood EDNS before");
    }

    #[test]
    fn what_is_known_belongs_to_address_and_zone_and_is_forgotten() {
        let infra = Infra::new(1_000, &mut rng());
        let (here, there) = (name("Example."), name("other."));
        let other_port = SocketAddr::new(A.ip(), 54);
        infra.update(A, &here, &settings(), at(0), |server| server.found_lame(at(0)));
        infra.update(A, &here, &settings(), at(1), |server| server.lost(at(1)));
        let known = infra.get(A, &name("example."), &settings(), at(899));
        assert_eq!((known.losses, known.is_lame(at(899))), (1, true));
        for (server, zone) in [(A, &there), (other_port, &here)] {
            assert_eq!(infra.get(server, zone, &settings(), at(1)).losses, 0);
        }
        let later = infra.get(A, &here, &settings(), at(900));
        assert_eq!((later.losses, later.lame_until), (0, None), "infra-host-ttl");
        assert_eq!(infra.flush(Some("192.0.2.1".parse().unwrap())), 0);
        assert_eq!(infra.flush(Some(A.ip())), 1);
        assert_eq!(infra.get(A, &here, &settings(), at(1)).losses, 0);
    }

    #[test]
    fn many_servers_stay_within_the_number_configured() {
        let infra = Infra::new(1_000, &mut rng());
        for i in 0..20_000 {
            let zone = name(&format!("z{i}."));
            infra.update(A, &zone, &settings(), at(0), |server| server.lost(at(0)));
        }
        let usage = infra.usage();
        assert!(usage.entries <= 1_000 && usage.entries > 800, "{usage:?}");
    }
}

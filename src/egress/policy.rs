//! Whom the resolver may talk to, and from which ports.
//!
//! Enforced by the broker, so that a daemon somebody took over cannot use it to reach the rest of
//! the network: no other ports, no loopback, no address the operator excluded, no flood.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use rand::RngExt;

use super::protocol::{Refusal, one_host};
use crate::clock::{Mono, Rng};
use crate::config::{Config, Netblock, OutgoingPorts, Prefix64, Primary};

/// DNS, DNS over TLS, DNS over HTTPS.
const DNS_PORTS: [u16; 3] = [53, 853, 443];

/// Sockets per second for all workers together, when nothing else is said.
///
/// Well above what a busy resolver asks for (a query that misses the cache takes one to three), and
/// low enough that a daemon somebody took over is no good for a flood. As many may be asked for
/// at once after a quiet second.
pub const DEFAULT_RATE: u32 = 50_000;

/// What the broker lets the daemon do.
#[derive(Clone, Debug)]
pub struct Policy {
    ports: HashSet<u16>,
    endpoints: HashSet<SocketAddr>,
    /// Those the operator named for the transfer of zones, which no list of others forbids.
    primaries: HashSet<SocketAddr>,
    never: Vec<Netblock>,
    /// Addresses behind it are those of IPv4 servers (`do-nat64`).
    nat64: Option<Prefix64>,
    source_ports: OutgoingPorts,
    sources: Vec<Netblock>,
    /// Sockets per second; 0 is no limit.
    pub rate: u32,
}

impl Default for Policy {
    /// What an empty configuration says.
    fn default() -> Self {
        Self::from_config(&Config::default())
    }
}

impl Policy {
    /// What the configuration says: `do-not-query-address:`, `do-not-query-localhost:`,
    /// `outgoing-interface:`, `outgoing-port-permit:`, `outgoing-port-avoid:`, the primaries of copied
    /// zones, which may be asked wherever they are, and the servers of
    /// stub and forward zones, whose ports are allowed: for their addresses where those are given,
    /// for any address where a server is given by name.
    pub fn from_config(config: &Config) -> Self {
        let zones = || config.stub_zones.iter().chain(&config.forward_zones);
        let named = zones().flat_map(|zone| zone.hosts.iter().map(|host| host.port));
        let addressed = zones().flat_map(|zone| zone.addrs.iter().map(|server| server.addr));
        let copied = config.copied_zones();
        let primaries = || copied.iter().flat_map(|zone| zone.source.primaries.iter());
        let primary_ports = primaries().filter_map(|primary| match primary {
            Primary::Host { port, .. } => Some(*port),
            Primary::Address(_) => None,
        });
        let primary_addresses = primaries().filter_map(|primary| match primary {
            Primary::Address(address) => Some(without_flow(*address)),
            Primary::Host { .. } => None,
        });
        let mut source_ports = config.outgoing_ports.clone();
        // To bind to port 0 is to let the kernel choose.
        source_ports.avoid(0, 0);
        Self {
            ports: DNS_PORTS.into_iter().chain(named).chain(primary_ports).collect(),
            endpoints: addressed.map(without_flow).collect(),
            primaries: primary_addresses.collect(),
            never: config.do_not_query_address.clone(),
            nat64: config.nat64,
            source_ports,
            sources: config.outgoing_interface.clone(),
            rate: DEFAULT_RATE,
        }
    }

    /// Whether a socket to `to` may be had.
    ///
    /// # Errors
    ///
    /// Why not.
    pub fn check(&self, to: SocketAddr) -> Result<(), Refusal> {
        one_host(to.ip())?;
        if self.primaries.contains(&without_flow(to)) {
            return Ok(());
        }
        let real = Prefix64::real(self.nat64, to.ip());
        if self.never.iter().any(|block| block.contains(real)) {
            let loopback = real.is_loopback();
            return Err(if loopback { Refusal::Loopback } else { Refusal::Listed });
        }
        if self.ports.contains(&to.port()) || self.endpoints.contains(&without_flow(to)) {
            Ok(())
        } else {
            Err(Refusal::Port)
        }
    }

    /// A source port, each that is permitted with the same probability; `None` if none is.
    pub fn draw_port(&self, rng: &mut Rng) -> Option<u16> {
        let count = self.source_ports.count();
        let mut left = (count > 0).then(|| rng.random_range(0..count))?;
        for &(low, high) in self.source_ports.ranges() {
            let here = usize::from(high - low) + 1;
            if left < here {
                return low.checked_add(u16::try_from(left).ok()?);
            }
            left -= here;
        }
        None
    }

    /// The address to ask from, of the family of `to`: one of `outgoing-interface:` at random, in
    /// a block of more than one address at random within it. The unspecified address if there is
    /// none of that family.
    pub fn draw_source(&self, to: IpAddr, rng: &mut Rng) -> Source {
        let same = |block: &&Netblock| block.addr().is_ipv4() == to.is_ipv4();
        let fitting: Vec<_> = self.sources.iter().filter(same).collect();
        let index = if fitting.is_empty() { 0 } else { rng.random_range(0..fitting.len()) };
        match fitting.get(index) {
            None if to.is_ipv4() => Source { ip: Ipv4Addr::UNSPECIFIED.into(), foreign: false },
            None => Source { ip: Ipv6Addr::UNSPECIFIED.into(), foreign: false },
            Some(block) => within(block, rng),
        }
    }
}

/// An address to send from.
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct Source {
    /// The address.
    pub ip: IpAddr,
    /// It may be one that no interface has, but that is routed to this host (`IP_FREEBIND`).
    pub foreign: bool,
}

fn within(block: &Netblock, rng: &mut Rng) -> Source {
    match block.addr() {
        IpAddr::V4(network) => {
            let hosts = u32::MAX.checked_shr(block.prefix().into()).unwrap_or(0);
            let ip = Ipv4Addr::from(u32::from(network) | (rng.random::<u32>() & hosts));
            Source { ip: ip.into(), foreign: hosts != 0 }
        }
        IpAddr::V6(network) => {
            let hosts = u128::MAX.checked_shr(block.prefix().into()).unwrap_or(0);
            let ip = Ipv6Addr::from(u128::from(network) | (rng.random::<u128>() & hosts));
            Source { ip: ip.into(), foreign: hosts != 0 }
        }
    }
}

/// Flow labels are not part of an address and do not cross the channel.
fn without_flow(mut address: SocketAddr) -> SocketAddr {
    if let SocketAddr::V6(v6) = &mut address {
        v6.set_flowinfo(0);
    }
    address
}

/// A token bucket that holds one second's worth.
#[derive(Debug)]
pub struct Rate {
    per_second: u32,
    /// Millionths of a token.
    tokens: u64,
    filled: Mono,
}

impl Rate {
    const TOKEN: u64 = 1_000_000;

    /// Full; 0 per second is no limit.
    pub fn new(per_second: u32, now: Mono) -> Self {
        Self { per_second, tokens: u64::from(per_second) * Self::TOKEN, filled: now }
    }

    /// Takes one token, if there is one.
    pub fn take(&mut self, now: Mono) -> bool {
        if self.per_second == 0 {
            return true;
        }
        let full = u64::from(self.per_second) * Self::TOKEN;
        let passed = now.since(self.filled).min(Duration::from_secs(1)).as_micros();
        // One token per second is one millionth of a token per microsecond.
        let gained = u64::try_from(passed).unwrap_or(0) * u64::from(self.per_second);
        self.tokens = self.tokens.saturating_add(gained).min(full);
        self.filled = now;
        match self.tokens.checked_sub(Self::TOKEN) {
            Some(rest) => self.tokens = rest,
            None => return false,
        }
        true
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use rand::SeedableRng;

    use super::*;
    use crate::config::load_text;

    fn policy(text: &str) -> Policy {
        let loaded = load_text(Path::new("test.conf"), text).unwrap();
        Policy::from_config(&loaded.config)
    }

    #[test]
    fn only_servers_of_the_dns_may_be_reached() {
        let default = "";
        let local = "server:\n do-not-query-localhost: no";
        let listed = "server:\n do-not-query-address: 192.0.2.0/24";
        let stub = "stub-zone:\n name: a\n stub-addr: 192.0.2.1@5300\n stub-addr: 2001:db8::1@5300";
        let host = "forward-zone:\n name: a\n forward-host: ns.example@5301";
        #[rustfmt::skip]
        let cases = [
            (default, "192.0.2.1:53",        Ok(())),
            (default, "192.0.2.1:853",       Ok(())),
            (default, "192.0.2.1:443",       Ok(())),
            (default, "[2001:db8::1]:53",    Ok(())),
            (default, "10.0.0.1:53",         Ok(())),
            (default, "192.0.2.1:22",        Err(Refusal::Port)),
            (default, "192.0.2.1:0",         Err(Refusal::Port)),
            (default, "127.0.0.1:53",        Err(Refusal::Loopback)),
            (default, "127.1.2.3:53",        Err(Refusal::Loopback)),
            (default, "[::1]:53",            Err(Refusal::Loopback)),
            (local,   "127.0.0.1:53",        Ok(())),
            (local,   "[::1]:53",            Ok(())),
            (local,   "127.0.0.1:25",        Err(Refusal::Port)),
            (local,   "0.0.0.0:53",          Err(Refusal::NotAHost)),
            (local,   "[::]:53",             Err(Refusal::NotAHost)),
            (local,   "[::ffff:192.0.2.1]:53", Err(Refusal::NotAHost)),
            (default, "[::ffff:127.0.0.1]:53", Err(Refusal::NotAHost)),
            (default, "224.0.0.251:53",      Err(Refusal::NotAHost)),
            (default, "255.255.255.255:53",  Err(Refusal::NotAHost)),
            (listed,  "192.0.2.1:53",        Err(Refusal::Listed)),
            (listed,  "192.0.3.1:53",        Ok(())),
            (listed,  "127.0.0.1:53",        Err(Refusal::Loopback)),
            (stub,    "192.0.2.1:5300",      Ok(())),
            (stub,    "[2001:db8::1]:5300",  Ok(())),
            (stub,    "192.0.2.2:5300",      Err(Refusal::Port)),
            (stub,    "192.0.2.1:5301",      Err(Refusal::Port)),
            (host,    "192.0.2.2:5301",      Ok(())),
            (host,    "192.0.2.2:5300",      Err(Refusal::Port)),
        ];
        for (config, to, expected) in cases {
            assert_eq!(policy(config).check(to.parse().unwrap()), expected, "{to} with {config:?}");
        }
    }

    #[test]
    fn source_ports_are_drawn_evenly_from_what_is_permitted() {
        let text = "server:\n outgoing-port-avoid: 0-65535\n outgoing-port-permit: 0-3\n \
                    outgoing-port-permit: 65534-65535";
        let policy = policy(text);
        let mut rng = Rng::seed_from_u64(1);
        let mut drawn = std::collections::BTreeMap::new();
        for _ in 0..5_000 {
            *drawn.entry(policy.draw_port(&mut rng).unwrap()).or_insert(0) += 1;
        }
        assert_eq!(drawn.keys().copied().collect::<Vec<_>>(), [1, 2, 3, 65_534, 65_535]);
        assert!(drawn.values().all(|count| (850..1150).contains(count)), "{drawn:?}");
    }

    #[test]
    fn by_default_every_port_above_1023_is_drawn() {
        let mut rng = Rng::seed_from_u64(2);
        let policy = Policy::default();
        let mut seen = vec![false; 65_536];
        for _ in 0..1_500_000 {
            seen[usize::from(policy.draw_port(&mut rng).unwrap())] = true;
        }
        assert!(!seen[..1024].contains(&true) && !seen[1024..].contains(&false));
    }

    #[test]
    fn no_port_permitted_is_no_port() {
        let mut policy = Policy::default();
        policy.source_ports.avoid(0, 65_535);
        assert_eq!(policy.draw_port(&mut Rng::seed_from_u64(3)), None);
    }

    #[test]
    fn sources_are_of_the_family_asked() {
        let text = "server:\n outgoing-interface: 192.0.2.1\n outgoing-interface: 192.0.2.2\n \
                    outgoing-interface: 2001:db8:1:2::/64";
        let policy = policy(text);
        let mut rng = Rng::seed_from_u64(4);
        let mut draw = |to: &str| policy.draw_source(to.parse().unwrap(), &mut rng);
        let v4: HashSet<_> = (0..50).map(|_| draw("198.51.100.1").ip.to_string()).collect();
        assert_eq!(v4, HashSet::from(["192.0.2.1".to_owned(), "192.0.2.2".to_owned()]));
        assert!(!draw("198.51.100.1").foreign);
        let v6: HashSet<_> = (0..50).map(|_| draw("2001:db8::53")).map(|s| s.ip).collect();
        assert_eq!(v6.len(), 50, "a new address each time");
        let block: Netblock = "2001:db8:1:2::/64".parse().unwrap();
        assert!(v6.iter().all(|&ip| block.contains(ip)));
        assert!(draw("2001:db8::53").foreign);

        let any = Policy::default().draw_source("192.0.2.1".parse().unwrap(), &mut rng);
        assert_eq!(any, Source { ip: Ipv4Addr::UNSPECIFIED.into(), foreign: false });
    }

    #[test]
    fn a_rate_allows_a_second_in_advance_and_then_its_share() {
        let at = |millis: u64| Mono::from_micros(millis * 1_000);
        let mut rate = Rate::new(100, at(0));
        let mut taken = |now, tries| (0..tries).filter(|_| rate.take(at(now))).count();
        assert_eq!(taken(0, 200), 100, "full");
        assert_eq!(taken(5, 10), 0, "half a token");
        assert_eq!(taken(10, 10), 1, "and the other half");
        assert_eq!(taken(110, 100), 10);
        assert_eq!(taken(1_000_000, 1_000), 100, "no more than full");
        assert_eq!(taken(0, 1), 0, "a clock that goes back");

        let mut unlimited = Rate::new(0, at(0));
        assert!((0..1_000).all(|_| unlimited.take(at(0))));
    }
}

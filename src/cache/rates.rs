//! How often something happens: queries of clients, queries to the servers of zones.
//!
//! Counted by the second, in a table of fixed size that forgets what was counted longest ago.

use std::net::IpAddr;

use super::table::Table;
use crate::clock::{Now, Rng};
use crate::wire::Name;

/// Octets an entry takes besides its key.
const ENTRY: usize = 64;
/// Octets of entries behind one lock.
const SHARE: usize = 4096;

/// Rates by key.
pub(super) struct Rates(Table<Rate>);

/// What was counted lately.
#[derive(Clone, Copy, Debug, Default, Eq, PartialEq)]
struct Rate {
    /// The last second in which something was counted, since 1970.
    second: u64,
    /// In that second.
    count: u32,
    /// In the second before it.
    before: u32,
}

impl Rate {
    fn counted(self, second: u64) -> Self {
        match second.saturating_sub(self.second) {
            0 => Self { count: self.count.saturating_add(1), ..self },
            1 => Self { second, count: 1, before: self.count },
            _ => Self { second, count: 1, before: 0 },
        }
    }

    /// The rate at that second; with `backoff` the greater of that and the second before.
    fn at(self, second: u64, backoff: bool) -> u32 {
        match second.saturating_sub(self.second) {
            0 if backoff => self.count.max(self.before),
            0 => self.count,
            1 if backoff => self.count,
            _ => 0,
        }
    }
}

impl Rates {
    /// No rates, in a table of so many octets.
    pub(super) fn new(bytes: usize, rng: &mut Rng) -> Self {
        Self(Table::new(bytes.max(SHARE), SHARE, rng))
    }

    /// Counts one more, and tells whether that is more than `limit` in a second. With `backoff`
    /// what is over the limit counts for the next second, too, so that it holds until there is
    /// less of it.
    pub(super) fn exceeds(&self, key: &[u8], limit: u32, backoff: bool, now: Now) -> bool {
        let second = now.unix.0;
        let mut rate = 0;
        self.0.update(key, ENTRY + key.len(), |known| {
            let counted = known.unwrap_or_default().counted(second);
            rate = counted.at(second, backoff);
            counted
        });
        rate > limit
    }

    /// Every key with its rate right now: the greater of this second and the last.
    fn list(&self, now: Now) -> Vec<(Vec<u8>, u32)> {
        let mut list = Vec::new();
        self.0.retain(|key, rate| {
            let rate = rate.at(now.unix.0, true);
            if rate > 0 {
                list.push((key.to_vec(), rate));
            }
            true
        });
        list.sort_by_key(|(_, rate)| std::cmp::Reverse(*rate));
        list
    }

    /// The clients with their rates, the busiest first.
    pub(super) fn clients(&self, now: Now) -> Vec<(IpAddr, u32)> {
        let client = |(key, rate): (Vec<u8>, u32)| Some((read_client(&key)?, rate));
        self.list(now).into_iter().filter_map(client).collect()
    }

    /// The zones with their rates, the busiest first.
    pub(super) fn zones(&self, now: Now) -> Vec<(Name, u32)> {
        let zone = |(key, rate): (Vec<u8>, u32)| Some((Name::from_wire(&key).ok()?, rate));
        self.list(now).into_iter().filter_map(zone).collect()
    }
}

/// The key of a client. IPv4-mapped addresses are IPv4.
pub(super) fn client_key(client: IpAddr) -> [u8; 16] {
    match client {
        IpAddr::V4(ip) => ip.to_ipv6_mapped().octets(),
        IpAddr::V6(ip) => ip.octets(),
    }
}

fn read_client(key: &[u8]) -> Option<IpAddr> {
    let octets: [u8; 16] = key.try_into().ok()?;
    Some(IpAddr::from(octets).to_canonical())
}

#[cfg(test)]
mod tests {
    use rand::SeedableRng;

    use super::*;
    use crate::clock::{Mono, UnixTime};

    fn at(second: u64) -> Now {
        Now::new(Mono::ZERO, UnixTime(1_000 + second))
    }

    #[test]
    fn a_second_has_its_limit_and_backing_off_remembers_the_last_one() {
        #[rustfmt::skip]
        let cases = [
            // backoff, queries in each second, how many of them are within a limit of 3
            (false, vec![3, 5, 2, 4], vec![3, 3, 2, 3]),
            (true,  vec![3, 5, 2, 4], vec![3, 3, 0, 3]),
            (true,  vec![9, 0, 2],    vec![3, 0, 2]),
            (true,  vec![4, 4, 4],    vec![3, 0, 0]),
        ];
        for (backoff, seconds, within) in cases {
            let rates = Rates::new(1 << 16, &mut Rng::seed_from_u64(1));
            let got: Vec<u32> = (0..)
                .zip(&seconds)
                .map(|(second, queries)| {
                    let passes = |_: &u32| !rates.exceeds(b"key", 3, backoff, at(second));
                    u32::try_from((0..*queries).filter(passes).count()).unwrap()
                })
                .collect();
            assert_eq!(got, within, "{backoff} {seconds:?}");
        }
    }

    #[test]
    fn keys_are_counted_apart_and_listed_while_they_last() {
        let rates = Rates::new(1 << 16, &mut Rng::seed_from_u64(1));
        let clients: [IpAddr; 2] = ["192.0.2.1".parse().unwrap(), "2001:db8::1".parse().unwrap()];
        for (client, count) in clients.iter().zip([2, 5]) {
            (0..count).for_each(|_| {
                rates.exceeds(&client_key(*client), 100, false, at(0));
            });
        }
        assert_eq!(rates.clients(at(1)), [(clients[1], 5), (clients[0], 2)]);
        assert_eq!(rates.clients(at(2)), []);
        let zone: Name = "Example.".parse().unwrap();
        rates.exceeds(zone.as_wire(), 1, false, at(9));
        assert_eq!(rates.zones(at(9)), [(zone, 1)]);
    }

    #[test]
    fn the_table_does_not_grow() {
        let rates = Rates::new(16 << 10, &mut Rng::seed_from_u64(1));
        for n in 0..100_000u32 {
            rates.exceeds(&client_key(IpAddr::from(n.to_be_bytes())), 1, false, at(0));
        }
        let known = rates.clients(at(0)).len();
        assert!((50..=16 * 1024 / ENTRY).contains(&known), "{known}");
    }
}

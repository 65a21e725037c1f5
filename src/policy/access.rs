//! Who may ask: the most specific block decides, found by binary search.

use std::net::IpAddr;

use crate::config::{AccessAction, Netblock};

/// `access-control:` as ranges of addresses that do not overlap.
///
/// Nested blocks are flattened once, so that a lookup is a search in a sorted list however many
/// blocks there are.
#[derive(Clone, Debug, Default)]
pub(super) struct Access {
    v4: Ranges,
    v6: Ranges,
}

/// Where an action begins to hold; it ends where the next one begins.
type Ranges = Vec<(u128, AccessAction)>;

impl Access {
    /// Flattens the blocks; of equal ones the last counts. Addresses in no block are refused.
    pub(super) fn new(blocks: &[(Netblock, AccessAction)]) -> Self {
        let of = |v4| blocks.iter().filter(move |(block, _)| block.addr().is_ipv4() == v4);
        Self { v4: flatten(of(true), 32), v6: flatten(of(false), 128) }
    }

    /// What a client at that address may do. IPv4-mapped IPv6 addresses are IPv6.
    pub(super) fn of(&self, client: IpAddr) -> AccessAction {
        let (ranges, at) = match client {
            IpAddr::V4(ip) => (&self.v4, u128::from(ip.to_bits())),
            IpAddr::V6(ip) => (&self.v6, ip.to_bits()),
        };
        let after = ranges.partition_point(|(start, _)| *start <= at);
        after.checked_sub(1).and_then(|i| ranges.get(i)).map_or(AccessAction::Refuse, |r| r.1)
    }
}

fn flatten<'a>(
    blocks: impl Iterator<Item = &'a (Netblock, AccessAction)>,
    width: u32,
) -> Vec<(u128, AccessAction)> {
    let mut sorted: Vec<_> = blocks
        .map(|(block, action)| {
            let start = match block.addr() {
                IpAddr::V4(ip) => u128::from(ip.to_bits()),
                IpAddr::V6(ip) => ip.to_bits(),
            };
            let size = u128::MAX >> (u128::BITS - width);
            let last = start | size.checked_shr(block.prefix().into()).unwrap_or(0);
            (start, last, *action)
        })
        .collect();
    // Wider blocks first; the sort is stable, so that of equal blocks the last one is innermost.
    sorted.sort_by_key(|&(start, last, _)| (start, u128::MAX - last));
    let mut ranges = vec![(0, AccessAction::Refuse)];
    let mut open: Vec<(u128, AccessAction)> = Vec::new();
    for (start, last, action) in sorted {
        close(&mut open, &mut ranges, Some(start));
        ranges.push((start, action));
        open.push((last, action));
    }
    close(&mut open, &mut ranges, None);
    // Of ranges that begin at one place the last one is meant.
    ranges.reverse();
    ranges.dedup_by_key(|range| range.0);
    ranges.reverse();
    ranges
}

/// Ends the blocks that do not reach `start`; what is around them goes on after them.
fn close(open: &mut Vec<(u128, AccessAction)>, ranges: &mut Ranges, start: Option<u128>) {
    while let Some(&(last, _)) = open.last()
        && start.is_none_or(|start| last < start)
    {
        open.pop();
        let around = open.last().map_or(AccessAction::Refuse, |block| block.1);
        if let Some(next) = last.checked_add(1) {
            ranges.push((next, around));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::config::Config;

    fn blocks(rows: &[(&str, AccessAction)]) -> Vec<(Netblock, AccessAction)> {
        rows.iter().map(|(block, action)| (block.parse().unwrap(), *action)).collect()
    }

    #[test]
    fn the_most_specific_block_decides_and_the_last_of_equal_ones() {
        use AccessAction::*;
        let access = Access::new(&blocks(&[
            ("10.1.2.0/24", Deny),
            ("10.0.0.0/8", Allow),
            ("10.1.0.0/16", Refuse),
            ("10.1.2.3/32", AllowSnoop),
            ("0.0.0.0/0", DenyNonLocal),
            ("255.255.255.255/32", AllowSetrd),
            ("192.0.2.0/24", Deny),
            ("192.0.2.0/24", Allow),
            ("2001:db8::/32", Allow),
            ("ffff::/16", Deny),
        ]));
        for (client, want) in [
            ("10.1.2.3", AllowSnoop),
            ("10.1.2.4", Deny),
            ("10.1.3.0", Refuse),
            ("10.2.0.0", Allow),
            ("11.0.0.0", DenyNonLocal),
            ("0.0.0.0", DenyNonLocal),
            ("255.255.255.255", AllowSetrd),
            ("192.0.2.9", Allow),
            ("2001:db8::1", Allow),
            ("2001:db9::", Refuse),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Deny),
            ("::ffff:10.1.2.3", Refuse),
        ] {
            assert_eq!(access.of(client.parse().unwrap()), want, "{client}");
        }
    }

    fn arb_block() -> impl Strategy<Value = (Netblock, AccessAction)> {
        let action = prop::sample::select(AccessAction::SPELLINGS).prop_map(|row| row.1);
        (any::<[u8; 2]>(), 0u8..=32, action).prop_map(|(octets, prefix, action)| {
            let ip = IpAddr::from([octets[0] & 3, octets[1], 0, octets[1]]);
            (Netblock::new(ip, prefix), action)
        })
    }

    proptest! {
        /// The flattened list says what looking at every block says.
        #[test]
        fn flattening_changes_nothing(
            access_control in prop::collection::vec(arb_block(), 0..20),
            clients in prop::collection::vec(any::<[u8; 2]>(), 20),
        ) {
            let access = Access::new(&access_control);
            let config = Config { access_control, ..Config::default() };
            for [a, b] in clients {
                let client = IpAddr::from([a & 3, b, 0, b]);
                prop_assert_eq!(access.of(client), config.access(client), "{}", client);
            }
        }
    }
}

//! Values by block of addresses: the most specific block decides, found by binary search.

use std::net::IpAddr;

use crate::config::Netblock;

/// Blocks of addresses with a value each, as ranges that do not overlap.
///
/// Nested blocks are flattened once, so that a lookup is a search in a sorted list however many
/// blocks there are.
#[derive(Clone, Debug)]
pub(super) struct Blocks<T> {
    v4: Ranges,
    v6: Ranges,
    values: Vec<T>,
}

/// Where a value begins to hold, by its place; it ends where the next one begins.
type Ranges = Vec<(u128, Option<u32>)>;

impl<T> Default for Blocks<T> {
    fn default() -> Self {
        Self { v4: Vec::new(), v6: Vec::new(), values: Vec::new() }
    }
}

impl<T> Blocks<T> {
    /// Flattens the blocks; of equal ones the last counts.
    pub(super) fn new(blocks: impl IntoIterator<Item = (Netblock, T)>) -> Self {
        let (mut v4, mut v6, mut values) = (Vec::new(), Vec::new(), Vec::new());
        for (block, value) in blocks {
            // More blocks than that do not fit into memory.
            let Ok(at) = u32::try_from(values.len()) else { break };
            values.push(value);
            if block.addr().is_ipv4() { &mut v4 } else { &mut v6 }.push((block, at));
        }
        Self { v4: flatten(&v4, 32), v6: flatten(&v6, 128), values }
    }

    /// The value of the most specific block around an address. IPv4-mapped IPv6 addresses are
    /// IPv6.
    pub(super) fn get(&self, addr: IpAddr) -> Option<&T> {
        let (ranges, at) = match addr {
            IpAddr::V4(ip) => (&self.v4, u128::from(ip.to_bits())),
            IpAddr::V6(ip) => (&self.v6, ip.to_bits()),
        };
        let after = ranges.partition_point(|(start, _)| *start <= at);
        let (_, value) = ranges.get(after.checked_sub(1)?)?;
        self.values.get((*value)? as usize)
    }

    /// Whether there is no block.
    pub(super) fn is_empty(&self) -> bool {
        self.values.is_empty()
    }
}

fn flatten(blocks: &[(Netblock, u32)], width: u32) -> Ranges {
    let mut sorted: Vec<_> = blocks
        .iter()
        .map(|(block, value)| {
            let start = match block.addr() {
                IpAddr::V4(ip) => u128::from(ip.to_bits()),
                IpAddr::V6(ip) => ip.to_bits(),
            };
            let size = u128::MAX >> (u128::BITS - width);
            let last = start | size.checked_shr(block.prefix().into()).unwrap_or(0);
            (start, last, *value)
        })
        .collect();
    // Wider blocks first; the sort is stable, so that of equal blocks the last one is innermost.
    sorted.sort_by_key(|&(start, last, _)| (start, u128::MAX - last));
    let mut ranges = vec![(0, None)];
    let mut open: Vec<(u128, u32)> = Vec::new();
    for (start, last, value) in sorted {
        close(&mut open, &mut ranges, Some(start));
        ranges.push((start, Some(value)));
        open.push((last, value));
    }
    close(&mut open, &mut ranges, None);
    // Of ranges that begin at one place the last one is meant.
    ranges.reverse();
    ranges.dedup_by_key(|range| range.0);
    ranges.reverse();
    ranges
}

/// Ends the blocks that do not reach `start`; what is around them goes on after them.
fn close(open: &mut Vec<(u128, u32)>, ranges: &mut Ranges, start: Option<u128>) {
    while let Some(&(last, _)) = open.last()
        && start.is_none_or(|start| last < start)
    {
        open.pop();
        let around = open.last().map(|block| block.1);
        if let Some(next) = last.checked_add(1) {
            ranges.push((next, around));
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_most_specific_block_decides_and_the_last_of_equal_ones() {
        let blocks = Blocks::new(
            [
                "10.1.2.0/24",
                "10.0.0.0/8",
                "10.1.0.0/16",
                "10.1.2.3/32",
                "255.255.255.255/32",
                "192.0.2.0/24",
                "192.0.2.0/24",
                "2001:db8::/32",
                "ffff::/16",
            ]
            .iter()
            .enumerate()
            .map(|(at, text)| (text.parse().unwrap(), at)),
        );
        for (client, want) in [
            ("10.1.2.3", Some(3)),
            ("10.1.2.4", Some(0)),
            ("10.1.3.0", Some(2)),
            ("10.2.0.0", Some(1)),
            ("11.0.0.0", None),
            ("0.0.0.0", None),
            ("255.255.255.255", Some(4)),
            ("192.0.2.9", Some(6)),
            ("2001:db8::1", Some(7)),
            ("2001:db9::", None),
            ("ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff", Some(8)),
            ("::ffff:10.1.2.3", None),
        ] {
            assert_eq!(blocks.get(client.parse().unwrap()).copied(), want, "{client}");
        }
        let none = Blocks::<()>::default();
        assert_eq!((none.get([0; 4].into()), none.is_empty()), (None, true));
    }

    fn arb_block() -> impl Strategy<Value = Netblock> {
        (any::<[u8; 2]>(), 0u8..=128, any::<bool>()).prop_map(|(octets, prefix, v4)| {
            let ip = if v4 {
                IpAddr::from([octets[0] & 3, octets[1], 0, octets[1]])
            } else {
                IpAddr::from([
                    u16::from(octets[0] & 3),
                    0,
                    0,
                    0,
                    octets[1].into(),
                    0,
                    0,
                    octets[1].into(),
                ])
            };
            Netblock::new(ip, prefix)
        })
    }

    proptest! {
        /// The flattened list says what looking at every block says.
        #[test]
        fn longest_prefix_is_what_looking_at_every_block_says(
            rows in prop::collection::vec(arb_block(), 0..30),
            near in prop::collection::vec(arb_block(), 20),
        ) {
            let blocks = Blocks::new(rows.iter().copied().enumerate().map(|(at, row)| (row, at)));
            for addr in near.iter().chain(&rows).map(Netblock::addr) {
                let naive = rows
                    .iter()
                    .enumerate()
                    .filter(|(_, block)| block.contains(addr))
                    .max_by_key(|(_, block)| block.prefix())
                    .map(|(at, _)| at);
                prop_assert_eq!(blocks.get(addr).copied(), naive, "{}", addr);
            }
        }
    }
}

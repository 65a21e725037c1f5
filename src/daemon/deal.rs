//! Dealing passed descriptors out to workers.

use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::os::fd::OwnedFd;

use crate::systemd::claim::Listener;

/// What one worker serves.
#[derive(Debug, Default)]
pub(super) struct Hand {
    pub(super) udp: Vec<OwnedFd>,
    pub(super) tcp: Vec<OwnedFd>,
}

/// How many workers there are: what is configured, and at least one for each UDP socket that
/// shares its address with others, or else its queries would be answered by a neighbor.
pub(super) fn workers(configured: u16, udp: &[Listener]) -> usize {
    let siblings = by_address(udp.iter().map(|listener| listener.local));
    usize::from(configured.max(1)).max(siblings.values().copied().max().unwrap_or(1))
}

fn by_address(addresses: impl Iterator<Item = SocketAddr>) -> BTreeMap<SocketAddr, usize> {
    let mut count = BTreeMap::new();
    for address in addresses {
        *count.entry(address).or_insert(0) += 1;
    }
    count
}

/// Gives each worker its own socket of each UDP address as far as they go; workers beyond that
/// share one. TCP listeners are shared by all: whoever is free accepts.
///
/// # Errors
///
/// When a descriptor cannot be duplicated.
pub(super) fn deal(
    udp: Vec<Listener>,
    tcp: Vec<Listener>,
    workers: usize,
) -> io::Result<Vec<Hand>> {
    let mut hands: Vec<Hand> = (0..workers).map(|_| Hand::default()).collect();
    let mut by_address: BTreeMap<SocketAddr, Vec<OwnedFd>> = BTreeMap::new();
    for listener in udp {
        by_address.entry(listener.local).or_default().push(listener.socket);
    }
    for sockets in by_address.into_values() {
        for (hand, socket) in hands.iter_mut().zip(sockets.iter().cycle()) {
            hand.udp.push(socket.try_clone()?);
        }
    }
    for listener in tcp {
        for hand in &mut hands {
            hand.tcp.push(listener.socket.try_clone()?);
        }
    }
    Ok(hands)
}

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::systemd::claim::Label;

    fn listeners(addresses: &[&str]) -> Vec<Listener> {
        let label = |number| Label { number, name: String::new() };
        (3..)
            .zip(addresses)
            .map(|(number, address)| Listener {
                socket: File::open("/dev/null").unwrap().into(),
                local: address.parse().unwrap(),
                label: label(number),
            })
            .collect()
    }

    #[test]
    fn every_worker_serves_every_address() {
        #[rustfmt::skip]
        let cases: [(&str, u16, &[&str], usize); 5] = [
            ("one socket, one worker",    1, &["127.0.0.1:53"], 1),
            ("one socket, two workers",   2, &["127.0.0.1:53"], 2),
            ("siblings make workers",     1, &["127.0.0.1:53", "127.0.0.1:53"], 2),
            ("two addresses",             1, &["127.0.0.1:53", "[::1]:53"], 1),
            ("siblings of one of two",    1, &["127.0.0.1:53", "127.0.0.1:53", "[::1]:53"], 2),
        ];
        for (case, configured, addresses, expected) in cases {
            let udp = listeners(addresses);
            let distinct = by_address(udp.iter().map(|listener| listener.local)).len();
            let workers = workers(configured, &udp);
            assert_eq!(workers, expected, "{case}");
            let hands = deal(udp, listeners(&["127.0.0.1:53"]), workers).unwrap();
            assert!(hands.iter().all(|hand| hand.udp.len() == distinct), "{case}");
            assert!(hands.iter().all(|hand| hand.tcp.len() == 1), "{case}");
        }
    }
}

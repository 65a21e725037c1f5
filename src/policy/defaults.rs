//! The local zones that are there without being configured.
//!
//! Names that have no meaning in the public DNS: asking for them leaks what happens in a private
//! network, and the answer is known (RFC 6303, 6761, 7686, 8375, 9462, 9665).

use std::net::{Ipv4Addr, Ipv6Addr};

use crate::wire::{Name, Rdata, RecordType, Rrset};

/// Always there, with nothing in them.
const SPECIAL: &[&str] =
    &["home.arpa", "onion", "test", "invalid", "resolver.arpa", "service.arpa"];

/// Reverse zones of addresses that are not public (RFC 6303 §4, RFC 6598): not there with
/// `unblock-lan-zones`.
#[rustfmt::skip]
const LAN: &[&str] = &[
    "10.in-addr.arpa",
    "16.172.in-addr.arpa", "17.172.in-addr.arpa", "18.172.in-addr.arpa", "19.172.in-addr.arpa",
    "20.172.in-addr.arpa", "21.172.in-addr.arpa", "22.172.in-addr.arpa", "23.172.in-addr.arpa",
    "24.172.in-addr.arpa", "25.172.in-addr.arpa", "26.172.in-addr.arpa", "27.172.in-addr.arpa",
    "28.172.in-addr.arpa", "29.172.in-addr.arpa", "30.172.in-addr.arpa", "31.172.in-addr.arpa",
    "168.192.in-addr.arpa",
    "0.in-addr.arpa", "254.169.in-addr.arpa", "2.0.192.in-addr.arpa",
    "100.51.198.in-addr.arpa", "113.0.203.in-addr.arpa", "255.255.255.255.in-addr.arpa",
    "0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa",
    "d.f.ip6.arpa", "8.e.f.ip6.arpa", "9.e.f.ip6.arpa", "a.e.f.ip6.arpa", "b.e.f.ip6.arpa",
    "8.b.d.0.1.0.0.2.ip6.arpa",
];

/// The second labels of `N.100.in-addr.arpa` (RFC 6598: 100.64.0.0/10).
const SHARED: std::ops::RangeInclusive<u8> = 64..=127;

const LOCALHOST: &str = "localhost";
const LOOPBACK_V4: &str = "127.in-addr.arpa";
const LOOPBACK_V4_HOST: &str = "1.0.0.127.in-addr.arpa";
const LOOPBACK_V6: &str =
    "1.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.ip6.arpa";

/// TTL of every record here, in seconds.
const TTL: u32 = 10_800;

/// A zone with its records; its type is `static`.
pub(super) struct DefaultZone {
    pub(super) name: Name,
    pub(super) data: Vec<Rrset>,
}

/// The zones, without those of private addresses when `unblock_lan`.
pub(super) fn zones(unblock_lan: bool) -> Vec<DefaultZone> {
    let lan = lan_zones().filter(|_| !unblock_lan);
    let mut zones: Vec<_> = SPECIAL.iter().map(|text| name(text)).chain(lan).map(empty).collect();
    let localhost = name(LOCALHOST);
    let rrset = |owner: &str, rtype, rdata| Rrset::new(name(owner), rtype, TTL, vec![rdata]);
    let pointer = Rdata::from_name(&localhost);
    for (zone, data) in [
        (
            LOCALHOST,
            vec![
                rrset(LOCALHOST, RecordType::A, Rdata::from_ip(Ipv4Addr::LOCALHOST.into())),
                rrset(LOCALHOST, RecordType::AAAA, Rdata::from_ip(Ipv6Addr::LOCALHOST.into())),
            ],
        ),
        (LOOPBACK_V4, vec![rrset(LOOPBACK_V4_HOST, RecordType::PTR, pointer.clone())]),
        (LOOPBACK_V6, vec![rrset(LOOPBACK_V6, RecordType::PTR, pointer)]),
    ] {
        let mut zone = empty(name(zone));
        zone.data.extend(data);
        zones.push(zone);
    }
    zones
}

/// The reverse zones of private addresses, as `insecure-lan-zones` and `unblock-lan-zones` mean
/// them.
pub fn lan_zones() -> impl Iterator<Item = Name> {
    let shared = SHARED.map(|n| name(&format!("{n}.100.in-addr.arpa")));
    LAN.iter().map(|text| name(text)).chain(shared)
}

/// A zone with just SOA and NS, as Unbound makes them.
fn empty(name: Name) -> DefaultZone {
    let localhost = self::name(LOCALHOST);
    let timers = [1u32, 3600, 1200, 604_800, TTL].map(u32::to_be_bytes).concat();
    let rname = self::name("nobody.invalid");
    let soa = Rdata::from_bytes([localhost.as_wire(), rname.as_wire(), &timers].concat());
    let data = vec![
        Rrset::new(name.clone(), RecordType::SOA, TTL, vec![soa]),
        Rrset::new(name.clone(), RecordType::NS, TTL, vec![Rdata::from_name(&localhost)]),
    ];
    DefaultZone { name, data }
}

/// A name written above; a test reads them all.
fn name(text: &str) -> Name {
    text.parse().unwrap_or_else(|_| Name::root())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Soa;

    #[test]
    fn every_name_is_a_name_and_every_zone_has_soa_and_ns() {
        let all = zones(false);
        assert_eq!(all.len(), 9 + 31 + 64);
        assert_eq!(zones(true).len(), 9);
        for zone in &all {
            assert!(!zone.name.is_root());
            assert!(zone.data.iter().all(|rrset| rrset.owner.is_at_or_below(&zone.name)));
            let soa = &zone.data[0];
            assert_eq!(Soa::parse(&soa.rdata[0]).unwrap().minimum, TTL, "{}", zone.name);
            assert_eq!(zone.data[1].rtype, RecordType::NS);
        }
        let names: std::collections::HashSet<_> = all.iter().map(|zone| &zone.name).collect();
        assert_eq!(names.len(), all.len(), "no name twice");
    }
}

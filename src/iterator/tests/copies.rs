//! Copies of zones in place of their servers: `auth-zone:` and RFC 8806.

use super::world::{World, name, show};
use crate::authority::{Copy, Entry, Zone, Zones};
use crate::clock::UnixTime;
use crate::config::{AuthZone, Config, ZoneSource};
use crate::wire::{Name, Rdata, Record, RecordType};

const WWW: (&str, &str, &str) =
    ("10.0.2.1", "www.example.com. A", "AA; an www.example.com. A 192.0.2.1");

fn record(owner: &str, rtype: RecordType, rdata: Rdata) -> Record {
    Record { owner: name(owner), rtype, class: crate::wire::Class::IN, ttl: 600, rdata }
}

fn soa(apex: &str) -> Record {
    let names = [Name::root().as_wire(), Name::root().as_wire()].concat();
    let numbers: Vec<u8> =
        [1u32, 3600, 900, 86_400, 300].iter().flat_map(|n| n.to_be_bytes()).collect();
    record(apex, RecordType::SOA, Rdata::from_bytes([names, numbers].concat()))
}

fn address(owner: &str, ip: &str) -> Record {
    record(owner, RecordType::A, Rdata::from_ip(ip.parse().unwrap()))
}

fn server(owner: &str, host: &str) -> Record {
    record(owner, RecordType::NS, Rdata::from_name(&name(host)))
}

fn root() -> Vec<Record> {
    vec![
        soa("."),
        server(".", "k.root."),
        server("com.", "a.gtld.com."),
        address("a.gtld.com.", "10.0.1.1"),
    ]
}

/// A world with a copy of a zone that expires at the time given.
fn world(config: Config, apex: &str, records: Vec<Record>, fallback: bool, expires: u64) -> World {
    let mut auth = AuthZone::new(ZoneSource::new(name(apex)));
    auth.fallback_enabled = fallback;
    let zones = Zones::new([auth]);
    let zone = Zone::from_records(&name(apex), records).unwrap();
    let store = |entry: &Entry| {
        entry.store(Copy {
            zone: Some(zone.clone().into()),
            expires: Some(UnixTime(expires)),
            ..Copy::default()
        });
    };
    zones.iter().for_each(|entry| store(entry));
    let mut world = World::with_config(config, &[WWW]);
    world.zones = zones;
    world
}

fn plain() -> Config {
    Config { qname_minimisation: false, ..Config::default() }
}

const FAR: u64 = u64::MAX;

#[test]
fn with_a_copy_of_the_root_its_servers_are_never_asked_rfc_8806() {
    for config in [plain(), Config::default()] {
        let mut world = world(config, ".", root(), false, FAR);
        assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
        assert_eq!(world.count("10.0.0.1"), 0, "{:?}", world.asked);
        assert!(world.count("10.0.1.1") > 0);
        let denied = world.response("www.nowhere. A");
        assert_eq!(denied.answer.rcode, crate::wire::Rcode::NXDOMAIN);
        assert_eq!(show(&denied.answer.authority).split(' ').nth(1), Some("SOA"));
        assert!(world.answer(". NS").contains("k.root."));
        assert_eq!(world.count("10.0.0.1"), 0, "{:?}", world.asked);
    }
}

#[test]
fn a_copy_answers_its_own_names_and_is_as_good_as_its_time() {
    let zone = || vec![soa("example.com."), address("www.example.com.", "192.0.2.9")];
    for (case, fallback, expires, want) in [
        ("good", false, FAR, "NOERROR www.example.com. A 192.0.2.9"),
        ("expired", false, 1_700_000_000, "ZoneUnavailable"),
        (
            "expired, and others may be asked",
            true,
            1_700_000_000,
            "NOERROR www.example.com. A 192.0.2.1",
        ),
    ] {
        let mut world = world(plain(), "example.com.", zone(), fallback, expires);
        assert_eq!(world.answer("www.example.com. A"), want, "{case}");
    }
}

#[test]
fn a_forwarder_for_the_same_zone_goes_first_and_a_copy_below_it_before() {
    use crate::config::{ForwardAddr, ZoneTarget};
    for (forwarded, asked) in [("example.com.", 1), ("com.", 0), ("www.example.com.", 1)] {
        let mut config = plain();
        config.forward_zones.push(ZoneTarget {
            name: name(forwarded),
            addrs: vec![ForwardAddr { addr: "10.0.2.1:53".parse().unwrap(), tls_name: None }],
            hosts: Vec::new(),
            first: false,
            tls: false,
            tcp: false,
            no_cache: false,
            prime: false,
        });
        let zone = vec![soa("example.com."), address("www.example.com.", "192.0.2.9")];
        let mut world = world(config, "example.com.", zone, false, FAR);
        world.answer("www.example.com. A");
        assert_eq!(world.count("10.0.2.1"), asked, "{forwarded}");
    }
}

#[test]
fn what_a_copy_says_about_an_alias_ends_where_the_zone_does() {
    let alias = record("www.example.com.", RecordType::CNAME, Rdata::from_name(&name("x.net.")));
    let mut world = world(plain(), "example.com.", vec![soa("example.com."), alias], false, FAR);
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. CNAME x.net.");
}

//! Zones whose servers the configuration names: forward zones and stub zones.

use super::world::{World, name, show};
use crate::config::{Config, ForwardAddr, ForwardHost, ZoneTarget};

const WWW: (&str, &str, &str) =
    ("10.0.2.1", "www.example.com. A", "AA; an www.example.com. A 192.0.2.1");

fn zone(zone: &str, addrs: &[&str]) -> ZoneTarget {
    let addr = |text: &&str| ForwardAddr { addr: text.parse().expect(text), tls_name: None };
    ZoneTarget {
        name: name(zone),
        addrs: addrs.iter().map(addr).collect(),
        hosts: Vec::new(),
        first: false,
        tls: false,
        tcp: false,
        no_cache: false,
        prime: false,
    }
}

fn forward(config: &mut Config, target: ZoneTarget) {
    config.forward_zones.push(target);
}

fn plain() -> Config {
    Config { qname_minimisation: false, ..Config::default() }
}

#[test]
fn forwarders_are_asked_with_rd_and_the_whole_name() {
    let mut config = Config::default();
    forward(&mut config, zone("example.com.", &["10.9.9.9:5353"]));
    let mut world = World::with_config(
        config,
        &[(
            "10.9.9.9",
            "a.b.example.com. A",
            "RA; an a.b.example.com. CNAME c.example.com.; an c.example.com. A 192.0.2.1",
        )],
    );
    let response = world.response("a.b.example.com. A");
    assert_eq!(
        show(&response.answer.answer),
        "a.b.example.com. CNAME c.example.com., c.example.com. A 192.0.2.1"
    );
    assert_eq!(response.zone, name("example.com."));
    assert_eq!(world.asked, ["10.9.9.9 a.b.example.com. A port 5353 rd"]);
    assert!(!world.queries[0].header.cd(), "nobody validates here, so the forwarder may");
}

#[test]
fn the_next_forwarder_is_asked_when_one_fails() {
    for failure in ["SERVFAIL", "REFUSED"] {
        let mut config = plain();
        forward(&mut config, zone(".", &["10.9.9.8:53", "10.9.9.9:53"]));
        let mut world = World::with_config(
            config,
            &[
                ("10.9.9.8", "*. *", failure),
                ("10.9.9.9", "www.example.com. A", "RA; an www.example.com. A 192.0.2.1"),
            ],
        );
        assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
        assert_eq!(world.count("10.9.9.9"), 1, "{failure}");
    }
}

#[test]
fn forward_first_iterates_when_forwarders_fail_and_otherwise_not() {
    for (first, reply, expected) in [
        (true, "SERVFAIL", "NOERROR www.example.com. A 192.0.2.1"),
        (true, "silent", "NOERROR www.example.com. A 192.0.2.1"),
        (false, "SERVFAIL", "NoReachableAuthority"),
        (false, "REFUSED", "ServersRefused"),
    ] {
        let mut config = plain();
        forward(&mut config, ZoneTarget { first, ..zone("example.com.", &["10.9.9.9:53"]) });
        let mut world = World::with_config(config, &[WWW, ("10.9.9.9", "*. *", reply)]);
        assert_eq!(world.answer("www.example.com. A"), expected, "{first} {reply}");
        assert_eq!(world.count("10.0.2.1"), usize::from(first), "{first} {reply}");
    }
}

#[test]
fn the_most_specific_clause_wins_and_stub_zones_are_asked_without_rd() {
    let mut config = plain();
    forward(&mut config, zone(".", &["10.9.9.9:53"]));
    config.stub_zones.push(zone("stub.test.", &["10.8.8.8:53"]));
    forward(&mut config, zone("deep.stub.test.", &["10.7.7.7:53"]));
    let reply = "AA; an x. A 192.0.2.1";
    let mut world = World::with_config(
        config,
        &[("10.9.9.9", "*. A", reply), ("10.8.8.8", "*. A", reply), ("10.7.7.7", "*. A", reply)],
    );
    for (question, expected) in [
        ("a.test. A", "10.9.9.9 a.test. A rd"),
        ("a.stub.test. A", "10.8.8.8 a.stub.test. A"),
        ("stub.test. A", "10.8.8.8 stub.test. A"),
        ("a.deep.stub.test. A", "10.7.7.7 a.deep.stub.test. A rd"),
    ] {
        world.asked.clear();
        world.answer(question);
        assert_eq!(world.asked, [expected], "{question}");
    }
}

#[test]
fn delegations_below_a_stub_zone_are_followed_and_remembered() {
    let mut config = plain();
    config.stub_zones.push(zone("stub.test.", &["10.8.8.8:53"]));
    let mut world = World::with_config(
        config,
        &[
            (
                "10.8.8.8",
                "*sub.stub.test. *",
                "au sub.stub.test. NS ns.sub.stub.test.; ad ns.sub.stub.test. A 10.8.8.9",
            ),
            ("10.8.8.9", "*sub.stub.test. A", "AA; au sub.stub.test. SOA"),
        ],
    );
    world.response("a.sub.stub.test. A");
    world.response("b.sub.stub.test. A");
    assert_eq!(world.count("10.8.8.8"), 1);
}

#[test]
fn stub_prime_asks_the_servers_of_the_zone_instead() {
    let mut config = plain();
    let stub = ZoneTarget { prime: true, ..zone("stub.test.", &["10.8.8.8:53"]) };
    config.stub_zones.push(stub);
    let mut world = World::with_config(
        config,
        &[
            (
                "10.8.8.8",
                "stub.test. NS",
                "AA; an stub.test. NS ns.stub.test.; ad ns.stub.test. A 10.8.8.9",
            ),
            ("10.8.8.9", "a.stub.test. A", "AA; an a.stub.test. A 192.0.2.1"),
        ],
    );
    assert_eq!(world.answer("a.stub.test. A"), "NOERROR a.stub.test. A 192.0.2.1");
    assert_eq!(world.asked, ["10.8.8.8 stub.test. NS", "10.8.8.9 a.stub.test. A"]);
}

#[test]
fn servers_of_a_clause_may_be_names_with_ports() {
    let mut config = plain();
    let host = ForwardHost { name: name("ns.other.com."), port: 5300, tls_name: None };
    forward(&mut config, ZoneTarget { hosts: vec![host], ..zone("fwd.test.", &[]) });
    let mut world = World::with_config(
        config,
        &[
            ("10.0.1.1", "ns.other.com. A", "AA; an ns.other.com. A 10.6.6.6"),
            ("10.0.1.1", "ns.other.com. AAAA", "AA; au com. SOA"),
            ("10.6.6.6", "a.fwd.test. A", "RA; an a.fwd.test. A 192.0.2.1"),
        ],
    );
    assert_eq!(world.answer("a.fwd.test. A"), "NOERROR a.fwd.test. A 192.0.2.1");
    assert!(world.asked.contains(&"10.6.6.6 a.fwd.test. A port 5300 rd".to_owned()));
}

#[test]
fn a_stub_zone_for_the_root_replaces_the_hints() {
    let mut config = plain();
    config.stub_zones.push(zone(".", &["10.5.5.5:53"]));
    let mut world = World::with_config(
        config,
        &[
            ("10.5.5.5", ". NS", "AA; an . NS r.root.; ad r.root. A 10.5.5.6"),
            ("10.5.5.6", "www.example.com. A", "AA; an www.example.com. A 192.0.2.1"),
        ],
    );
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
    assert_eq!(world.asked, ["10.5.5.5 . NS", "10.5.5.6 www.example.com. A"]);
}

#[test]
fn a_zone_that_is_asked_too_often_is_left_alone() {
    let limited = |rows: &[(&str, u32)]| rows.iter().map(|row| (name(row.0), row.1)).collect();
    #[rustfmt::skip]
    let cases = [
        // everywhere, for a zone, below a zone, questions that get through of 5
        (0, vec![],                    vec![],                     5),
        (2, vec![],                    vec![],                     2),
        (2, vec![("example.com.", 0)], vec![],                     5),
        (0, vec![("example.com.", 3)], vec![("com.", 1)],          3),
        (9, vec![],                    vec![("com.", 1), (".", 4)], 1),
        (9, vec![],                    vec![("example.com.", 1)],  5),
    ];
    for (ratelimit, of, below, want) in cases {
        let config = Config {
            ratelimit,
            ratelimit_factor: 0,
            ratelimit_for_domain: limited(&of),
            ratelimit_below_domain: limited(&below),
            ..plain()
        };
        let mut world = World::with_config(
            config,
            &[("10.0.2.1", "*example.com. A", "AA; NXDOMAIN; au example.com. SOA 60")],
        );
        // What is above is known already, and counted where it is limited, too.
        let answers: Vec<String> =
            (0..5).map(|n| world.answer(&format!("{n}.example.com. A"))).collect();
        let limited = answers.iter().filter(|answer| *answer == "TooManyQueries").count();
        assert_eq!(5 - limited, want, "{ratelimit} {of:?} {below:?}: {answers:?}");
    }
}

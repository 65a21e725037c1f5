//! Attacks, and how little they get.

use super::world::{World, name, show};
use crate::config::Config;
use crate::iterator::Outcome;

const WWW: &str = "AA; an www.example.com. A 192.0.2.1";
const ANSWER: &str = "NOERROR www.example.com. A 192.0.2.1";

fn plain() -> Config {
    Config { qname_minimisation: false, ..Config::default() }
}

#[test]
fn junk_before_the_reply_changes_nothing() {
    for junk in ["runt", "wrong-id", "not-a-reply", "runt; wrong-id"] {
        let reply = format!("{WWW}; {junk}");
        let mut world = World::new(&[("10.0.2.1", "*. *", &reply)]);
        assert_eq!(world.answer("www.example.com. A"), ANSWER, "{junk}");
        assert_eq!(world.count("10.0.2.1"), 1, "{junk}");
    }
}

#[test]
fn guessing_moves_the_question_to_tcp() {
    let reply = format!("{WWW}; runt; wrong-id; not-a-reply");
    let mut world = World::new(&[("10.0.2.1", "*. *", &reply)]);
    world.resolve("www.example.com. A");
    assert_eq!(
        world.asked[3..5],
        ["10.0.2.1 www.example.com. A", "10.0.2.1 www.example.com. A tcp"]
    );
}

#[test]
fn forged_errors_without_question_count_only_when_nothing_better_comes() {
    let mut world = World::new(&[("10.0.2.1", "*. *", "REFUSED; no-question")]);
    assert_eq!(world.answer("www.example.com. A"), "ServersRefused");
    let server = "10.0.2.1:53".parse().unwrap();
    let known = world.cache.infra(server, &name("example.com."), world.now);
    assert_eq!((known.losses, known.is_lame(world.now)), (0, false), "no harm to its reputation");
}

#[test]
fn what_was_not_asked_for_is_dropped() {
    let ns = "au example.com. NS ns.evil.com.; ad ns.evil.com. A 6.6.6.6";
    for (case, extra) in [
        ("p1: address of another zone", "ad www.victim.com. A 6.6.6.6"),
        ("p2: in the answer section", "an www.victim.com. A 6.6.6.6"),
        ("p4: NS of another zone", "au victim.com. NS ns.evil.com."),
        ("p5: NS to the side", "au y.example.com. NS ns.evil.com."),
        ("p6: NS of the zone itself", ns),
        ("NS of the parent", "au com. NS ns.evil.com."),
        ("a foreign SOA", "au com. SOA"),
    ] {
        let reply = format!("{WWW}; {extra}");
        let mut world = World::new(&[("10.0.2.1", "*. *", &reply)]);
        let response = world.response("www.example.com. A");
        assert_eq!(show(&response.answer.answer), "www.example.com. A 192.0.2.1", "{case}");
        assert_eq!(show(&response.answer.authority), "", "{case}");
        assert_eq!(show(&response.answer.additional), "", "{case}");
        let point = world.cache.delegation(&name("www.example.com."), world.now).expect(case);
        assert_eq!(point.servers, [name("ns.example.com.")], "{case}");
    }
    for (case, rcode) in [("p7: NXDOMAIN", "NXDOMAIN; "), ("p8: NODATA", "")] {
        let reply = format!("AA; {rcode}au example.com. SOA; {ns}");
        let mut world = World::new(&[("10.0.2.1", "*. *", &reply)]);
        let response = world.response("no.example.com. A");
        assert_eq!(show(&response.answer.authority), "example.com. SOA", "{case}");
        assert_eq!(show(&response.answer.additional), "", "{case}");
    }
}

#[test]
fn promiscuous_records_stay_when_the_operator_wants_them() {
    let config = Config { iter_scrub_promiscuous: false, ..plain() };
    let reply = format!(
        "{WWW}; au example.com. NS ns.example.com.; ad ns.example.com. A 10.0.2.1; \
         ad x.other.com. A 6.6.6.6"
    );
    let mut world = World::with_config(config, &[("10.0.2.1", "*. *", &reply)]);
    let response = world.response("www.example.com. A");
    assert_eq!(show(&response.answer.authority), "example.com. NS ns.example.com.");
    assert_eq!(show(&response.answer.additional), "ns.example.com. A 10.0.2.1");

    let config = Config { iter_scrub_promiscuous: false, ..plain() };
    let reply = "AA; NXDOMAIN; au example.com. SOA; au example.com. NS ns.example.com.";
    let mut world = World::with_config(config, &[("10.0.2.1", "*. *", reply)]);
    let response = world.response("no.example.com. A");
    assert_eq!(show(&response.answer.authority), "example.com. SOA", "not beside a SOA");
}

#[test]
fn forwarders_speak_for_their_zone_only() {
    let mut config = plain();
    let zone = |zone: &str, addr: &str| crate::config::ZoneTarget {
        name: name(zone),
        addrs: vec![crate::config::ForwardAddr { addr: addr.parse().unwrap(), tls_name: None }],
        hosts: Vec::new(),
        first: false,
        tls: false,
        tcp: false,
        no_cache: false,
        prime: false,
    };
    config.forward_zones.push(zone("a.test.", "10.9.9.9:53"));
    config.forward_zones.push(zone("secret.a.test.", "10.9.9.8:53"));
    let mut world = World::with_config(
        config,
        &[
            (
                "10.9.9.9",
                "x.a.test. A",
                "RA; an x.a.test. CNAME victim.com.; an victim.com. A 6.6.6.6; au com. NS ns.evil.com.",
            ),
            (
                "10.9.9.9",
                "y.a.test. A",
                "RA; an y.a.test. CNAME z.secret.a.test.; an z.secret.a.test. A 6.6.6.6",
            ),
        ],
    );
    assert_eq!(world.answer("x.a.test. A"), "NOERROR x.a.test. CNAME victim.com.");
    assert_eq!(world.answer("y.a.test. A"), "NOERROR y.a.test. CNAME z.secret.a.test.");
    assert_eq!(world.cache.delegation(&name("com."), world.now), None);
}

#[test]
fn glue_is_taken_from_those_who_may_give_it() {
    let rules = [
        (
            "10.0.1.1",
            "*example.com. *",
            "au example.com. NS ns.victim.net.; ad ns.victim.net. A 6.6.6.6",
        ),
        ("10.0.1.2", "ns.victim.net. A", "AA; an ns.victim.net. A 10.0.2.1"),
        ("10.0.1.2", "ns.victim.net. AAAA", "AA; au net. SOA"),
        ("10.0.2.1", "*. *", WWW),
        ("6.6.6.6", "*. *", "AA; an www.example.com. A 6.6.6.6"),
    ];
    let mut world = World::new(&rules);
    assert_eq!(world.answer("www.example.com. A"), ANSWER);
    assert_eq!(world.count("6.6.6.6"), 0);
    let soft = Config { harden_glue: false, ..plain() };
    let mut world = World::with_config(soft, &rules);
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 6.6.6.6");
}

#[test]
fn unverified_glue_is_looked_up_first_when_configured() {
    let referral = (
        "10.0.1.1",
        "*example.com. *",
        "au example.com. NS ns.sibling.com.; ad ns.sibling.com. A 10.0.2.9",
    );
    let found = ("10.0.1.1", "ns.sibling.com. A", "AA; an ns.sibling.com. A 10.0.2.1");
    let none = ("10.0.1.1", "ns.sibling.com. A", "AA; NXDOMAIN; au com. SOA");
    let none6 = ("10.0.1.1", "ns.sibling.com. AAAA", "AA; NXDOMAIN; au com. SOA");
    for (case, lookup, expected) in
        [("found elsewhere", found, "10.0.2.1"), ("not found", none, "10.0.2.9")]
    {
        let config = Config { harden_unverified_glue: true, ..plain() };
        let rules = [referral, lookup, none6, ("10.0.2.1", "*. *", WWW), ("10.0.2.9", "*. *", WWW)];
        let mut world = World::with_config(config, &rules);
        assert_eq!(world.answer("www.example.com. A"), ANSWER, "{case}");
        assert_eq!(world.count(expected), 1, "{case}");
        assert_eq!(world.count("10.0.2.1") + world.count("10.0.2.9"), 1, "{case}");
    }
}

#[test]
fn addresses_that_must_not_be_asked_are_not_asked() {
    for (case, address) in [
        ("loopback", "127.0.0.1"),
        ("nowhere", "0.0.0.0"),
        ("multicast", "224.0.0.1"),
        ("everybody", "255.255.255.255"),
        ("configured", "10.66.0.1"),
    ] {
        let reply = format!("au example.com. NS ns.example.com.; ad ns.example.com. A {address}");
        let mut config = plain();
        config.do_not_query_address.push("10.66.0.0/16".parse().unwrap());
        let rules = [("10.0.1.1", "*example.com. *", reply.as_str()), (address, "*. *", WWW)];
        let mut world = World::with_config(config, &rules);
        assert_eq!(world.answer("www.example.com. A"), "NoServerAddress", "{case}");
        assert_eq!(world.count(address), 0, "{case}");
    }
}

#[test]
fn private_addresses_are_taken_out_unless_the_name_may_have_them() {
    let config = Config {
        private_address: vec!["192.168.0.0/16".parse().unwrap()],
        private_domain: vec![name("home.example.com.")],
        ..plain()
    };
    let mut world = World::with_config(
        config,
        &[
            (
                "10.0.2.1",
                "mixed.example.com. A",
                "AA; an mixed.example.com. A 192.168.0.1; an mixed.example.com. A 192.0.2.1",
            ),
            ("10.0.2.1", "all.example.com. A", "AA; an all.example.com. A 192.168.0.1"),
            ("10.0.2.1", "x.home.example.com. A", "AA; an x.home.example.com. A 192.168.0.1"),
        ],
    );
    for (question, expected) in [
        ("mixed.example.com. A", "NOERROR mixed.example.com. A 192.0.2.1"),
        ("all.example.com. A", "NOERROR"),
        ("x.home.example.com. A", "NOERROR x.home.example.com. A 192.168.0.1"),
    ] {
        assert_eq!(world.answer(question), expected);
    }
}

/// A referral for `example.com.` with `count` servers in `victim.net.` and no glue.
fn many_servers(count: usize) -> String {
    let ns = |n: usize| format!("au example.com. NS ns{n}.victim.net.");
    (0..count).map(ns).collect::<Vec<_>>().join("; ")
}

#[test]
fn nxns_attack_costs_the_victim_little_cve_2020_12662() {
    for count in [13, 40, 500] {
        let reply = many_servers(count);
        let mut world = World::new(&[
            ("10.0.1.1", "*example.com. *", &reply),
            ("10.0.1.2", "*victim.net. *", "AA; NXDOMAIN; au net. SOA"),
        ]);
        assert_eq!(world.answer("www.example.com. A"), "NoServerAddress", "{count}");
        let names: std::collections::BTreeSet<_> = world
            .asked
            .iter()
            .filter(|line| line.starts_with("10.0.1.2"))
            .filter_map(|line| line.split(' ').nth(1))
            .collect();
        assert!(names.len() <= 4, "{count}: {names:?}");
        assert!(world.count("10.0.1.2") <= 4, "{count}: {:?}", world.asked);
        assert!(world.asked.len() <= 8, "priming and seven, {count}: {:?}", world.asked);
    }
}

#[test]
fn silent_name_server_zones_end_in_time_cve_2022_3204() {
    let reply = many_servers(40);
    let mut world =
        World::new(&[("10.0.1.1", "*example.com. *", &reply), ("10.0.1.2", "*. *", "silent")]);
    assert!(matches!(world.resolve("www.example.com. A"), Outcome::Failed(_)));
    assert!(world.count("10.0.1.2") <= 10, "{:?}", world.asked);
}

#[test]
fn many_lame_or_silent_addresses_cost_eight_queries_cve_2026_3592() {
    let mut reply = String::new();
    for server in 0..13 {
        reply.push_str(&format!("au example.com. NS ns{server}.example.com.; "));
        for address in 0..6 {
            reply.push_str(&format!("ad ns{server}.example.com. A 10.7.{server}.{address}; "));
        }
    }
    let one = (0..13)
        .map(|n| format!("au example.com. NS ns{n}.example.com.; ad ns{n}.example.com. A 10.7.0.1"))
        .collect::<Vec<_>>()
        .join("; ");
    for (case, referral, behavior, most) in [
        ("refusing", &reply, "REFUSED", 8),
        ("silent", &reply, "silent", 8),
        ("one address that refers to itself", &one, &*one, 1),
    ] {
        let mut rules = vec![("10.0.1.1", "*example.com. *", referral.as_str())];
        let addresses: Vec<String> =
            (0..13).flat_map(|server| (0..6).map(move |n| format!("10.7.{server}.{n}"))).collect();
        rules.extend(addresses.iter().map(|address| (address.as_str(), "*. *", behavior)));
        let mut world = World::new(&rules);
        assert!(matches!(world.resolve("www.example.com. A"), Outcome::Failed(_)), "{case}");
        let asked = world.asked.len() - 3;
        assert!(asked <= most, "{case}: {asked}");
    }
}

#[test]
fn name_servers_that_need_each_other_end_at_once_tsuname() {
    let mut world = World::new(&[
        ("10.0.0.1", "*a. *", "au a. NS ns.b."),
        ("10.0.0.1", "*b. *", "au b. NS ns.a."),
    ]);
    assert_eq!(world.answer("www.a. A"), "NoServerAddress");
    assert!(world.asked.len() <= 6, "{:?}", world.asked);
}

#[test]
fn nested_lookups_of_servers_have_a_depth() {
    // Each zone's only server is in the next zone.
    let zones: Vec<(String, String)> =
        (0..30).map(|n| (format!("*z{n}. *"), format!("au z{n}. NS ns.z{}.", n + 1))).collect();
    let rules: Vec<(&str, &str, &str)> =
        zones.iter().map(|(zone, reply)| ("10.0.0.1", zone.as_str(), reply.as_str())).collect();
    let mut world = World::new(&rules);
    assert_eq!(world.answer("www.z0. A"), "NoServerAddress");
    assert!(world.asked.len() <= 24, "{:?}", world.asked);
}

#[test]
fn referrals_have_a_limit() {
    // Every server refers one label further down.
    let long = name(&"a.".repeat(60));
    let rules: Vec<(String, String)> = (1..60)
        .map(|labels| {
            let zone = long.suffix(labels);
            (format!("*{zone} *"), format!("au {zone} NS ns.{zone}; ad ns.{zone} A 10.0.0.1"))
        })
        .collect();
    let mut reversed: Vec<(&str, &str, &str)> =
        rules.iter().map(|(q, reply)| ("10.0.0.1", q.as_str(), reply.as_str())).collect();
    reversed.reverse();
    // One server for all zones: what matches first is the deepest, hence lame above.
    let mut world = World::new(&reversed);
    let outcome = world.resolve(&format!("{long} A"));
    assert!(matches!(outcome, Outcome::Failed(_)), "{outcome:?}");
    assert!(world.asked.len() <= 48, "{}", world.asked.len());
}

#[test]
fn private_glue_and_foreign_classes_lead_nowhere() {
    let config = Config { private_address: vec!["10.66.0.0/16".parse().unwrap()], ..plain() };
    let rules = [(
        "10.0.1.1",
        "*example.com. *",
        "au example.com. NS ns.example.com.; ad ns.example.com. A 10.66.0.1",
    )];
    let mut world = World::with_config(config, &rules);
    assert_eq!(world.answer("www.example.com. A"), "NoServerAddress");
}

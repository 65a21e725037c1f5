//! DNS64 (RFC 6147).

use super::*;
use crate::cache::{HotEdns, HotQuery};
use crate::config::Module;
use crate::mesh::ClientId;
use crate::status::SecurityStatus;
use crate::wire::{Class, Header, Message, Rrset};

/// `module-config: "dns64 iterator"`.
fn dns64() -> Config {
    Config { module_config: vec![Module::Dns64, Module::Iterator], ..unvalidated() }
}

const V4: (&str, &str, &str) =
    ("10.0.2.1", "v4.example.com. A", "AA; an v4.example.com. 3600 A 192.0.2.33");
const NO_V6: (&str, &str, &str) =
    ("10.0.2.1", "v4.example.com. AAAA", "AA; au example.com. 300 SOA 120");
const SYNTHESIZED: &str = "v4.example.com. 64:ff9b::c000:221";

fn lines(rrsets: &[Rrset]) -> String {
    let line = |rrset: &Rrset| {
        let rdata = rrset.rdata.first()?;
        let name = rdata.as_name(rrset.rtype).map(|name| name.to_string());
        let shown = name.or_else(|| rdata.as_ip().map(|ip| ip.to_string()));
        Some(format!("{} {}", rrset.owner, shown?))
    };
    rrsets.iter().filter_map(line).collect::<Vec<_>>().join(" ")
}

fn shown(world: &World, client: ClientId) -> String {
    let answer = world.answer(client);
    format!("{} {}", answer.rcode, lines(&answer.answer)).trim_end().to_owned()
}

/// What a client gets from the cache.
fn hit(world: &World, text: &str, flags: Header) -> Option<Message> {
    let question = question(text);
    let query = HotQuery {
        id: 1,
        flags: flags.bits,
        name_wire: question.name.as_wire(),
        rtype: question.rtype,
        class: Class::IN,
        edns: Some(HotEdns { udp_size: 1232, dnssec_ok: false }),
    };
    let mut out = [0; 4096];
    let hit = world.cache.hit(&query, world.now, &mut out)?;
    Message::parse(&out[..hit.len]).ok()
}

#[test]
fn addresses_are_made_where_there_are_none() {
    let no = |what: &'static str| ("10.0.2.1", what, "AA; au example.com. 300 SOA 120");
    let cases = [
        ("made", "v4.example.com. AAAA", vec![V4, NO_V6], format!("NOERROR {SYNTHESIZED}")),
        (
            "there are some",
            "v6.example.com. AAAA",
            vec![("10.0.2.1", "v6.example.com. AAAA", "AA; an v6.example.com. AAAA 2001:db8::6")],
            "NOERROR v6.example.com. 2001:db8::6".to_owned(),
        ),
        (
            "of no use, RFC 6147 5.1.4",
            "v4.example.com. AAAA",
            vec![
                V4,
                (
                    "10.0.2.1",
                    "v4.example.com. AAAA",
                    "AA; an v4.example.com. AAAA ::ffff:192.0.2.1",
                ),
            ],
            format!("NOERROR {SYNTHESIZED}"),
        ),
        (
            "neither",
            "none.example.com. AAAA",
            vec![no("none.example.com. AAAA"), no("none.example.com. A")],
            "NOERROR".to_owned(),
        ),
        (
            "no such name, RFC 6147 5.1.2",
            "x.example.com. AAAA",
            vec![("10.0.2.1", "x.example.com. AAAA", "AA; NXDOMAIN; au example.com. 300 SOA 120")],
            "NXDOMAIN".to_owned(),
        ),
        (
            "an error for AAAA is no AAAA, RFC 6147 5.1.2",
            "v4.example.com. AAAA",
            vec![V4, ("10.0.2.1", "v4.example.com. AAAA", "SERVFAIL")],
            format!("NOERROR {SYNTHESIZED}"),
        ),
        (
            "an error for A",
            "v4.example.com. AAAA",
            vec![NO_V6, ("10.0.2.1", "v4.example.com. A", "SERVFAIL")],
            "SERVFAIL".to_owned(),
        ),
        (
            "behind an alias",
            "www.example.com. AAAA",
            vec![
                V4,
                NO_V6,
                ("10.0.2.1", "www.example.com. *", "AA; an www.example.com. CNAME v4.example.com."),
            ],
            format!("NOERROR www.example.com. v4.example.com. {SYNTHESIZED}"),
        ),
    ];
    for (case, asked, rules, expected) in cases {
        let mut world = World::new(dns64(), &rules);
        let client = world.ask(asked);
        world.run();
        assert_eq!(shown(&world, client), expected, "{case}");
        assert!(world.mesh.is_empty(), "{case}");
    }
}

#[test]
fn names_whose_aaaa_records_are_ignored_have_a_looked_at_first() {
    let six = |name: &str| format!("AA; an {name} AAAA 2001:db8::6");
    let (both, only) = (six("v4.example.com."), six("six.example.com."));
    let rules = [
        V4,
        ("10.0.2.1", "v4.example.com. AAAA", &*both),
        ("10.0.2.1", "six.example.com. AAAA", &*only),
        ("10.0.2.1", "six.example.com. A", "AA; au example.com. 300 SOA 120"),
    ];
    let all = Config { dns64_synthall: true, ..dns64() };
    let some = Config { dns64_ignore_aaaa: vec![name("example.com.")], ..dns64() };
    let others = Config { dns64_ignore_aaaa: vec![name("example.net.")], ..dns64() };
    let native = "NOERROR v4.example.com. 2001:db8::6".to_owned();
    let made = format!("NOERROR {SYNTHESIZED}");
    for (config, expected, a) in [(all, &made, 1), (some, &made, 1), (others, &native, 0)] {
        let mut world = World::new(config, &rules);
        let (client, only) =
            (world.ask("v4.example.com. AAAA"), world.ask("six.example.com. AAAA"));
        world.run();
        assert_eq!(shown(&world, client), *expected);
        assert_eq!(shown(&world, only), "NOERROR six.example.com. 2001:db8::6");
        assert_eq!(world.count("10.0.2.1 v4.example.com. A"), a);
    }
}

#[test]
fn what_is_made_lives_no_longer_than_what_it_is_made_of_rfc_6147_section_5_1_7() {
    for (denial, expected) in [
        ("AA; au example.com. 300 SOA 120", 120),
        ("AA; au example.com. 60 SOA 120", 60),
        ("AA; au example.com. 9000 SOA 9000", 3600),
        ("AA", 600),
    ] {
        let mut world = World::new(dns64(), &[V4, ("10.0.2.1", "v4.example.com. AAAA", denial)]);
        let client = world.ask("v4.example.com. AAAA");
        world.run();
        let ttl = world.answer(client).answer[0].ttl;
        assert!((expected - 1..=expected).contains(&ttl), "{denial}: {ttl}");
    }
}

#[test]
fn clients_with_cd_and_the_resolver_itself_get_what_servers_say_rfc_6147_section_5_5() {
    let mut world = World::new(dns64(), &[V4, NO_V6]);
    let client = world.ask("v4.example.com. AAAA");
    world.run();
    assert_eq!(shown(&world, client), format!("NOERROR {SYNTHESIZED}"));
    let cd = world.ask_unvalidated("v4.example.com. AAAA");
    world.run();
    assert_eq!(shown(&world, cd), "NOERROR");
    let known = world.cache.answer(&question("v4.example.com. AAAA"), world.now).unwrap();
    assert!(known.value.answer.is_empty());

    let plain = Header::default().with_rd(true);
    let made = hit(&world, "v4.example.com. AAAA", plain).unwrap();
    assert_eq!(made.answer.len(), 1);
    let told = hit(&world, "v4.example.com. AAAA", plain.with_cd(true)).unwrap();
    assert!(told.answer.is_empty());
    assert!(hit(&world, "v4.example.com. A", plain).is_some());
    // Another name was not asked for: nothing is made on the way of a hit.
    assert!(hit(&world, "other.example.com. AAAA", plain).is_none());
}

#[test]
fn a_refresh_asks_for_the_parts_anew() {
    let mut world = World::new(dns64(), &[V4, NO_V6]);
    world.ask("v4.example.com. AAAA");
    world.run();
    let refresh = Query { refresh: true, ..world.query("v4.example.com. AAAA") };
    let client = world.send(refresh);
    world.run();
    assert_eq!(shown(&world, client), format!("NOERROR {SYNTHESIZED}"));
    assert_eq!(world.count("10.0.2.1 v4.example.com. AAAA"), 2);
}

#[test]
fn addresses_below_the_prefix_have_the_names_of_what_they_stand_for() {
    let digits = "1.2.2.0.0.0.0.c.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.0.b.9.f.f.4.6.0.0";
    let reverse = format!("{digits}.ip6.arpa.");
    let rules = [
        ("10.0.0.1", "*arpa. *", "au arpa. NS a.gtld.net.; ad a.gtld.net. A 10.0.1.2"),
        (
            "10.0.1.2",
            "33.2.0.192.in-addr.arpa. PTR",
            "AA; an 33.2.0.192.in-addr.arpa. PTR v4.example.com.",
        ),
        ("10.0.1.2", "*ip6.arpa. *", "AA; NXDOMAIN; au arpa. 300 SOA 120"),
    ];
    let mut world = World::new(dns64(), &rules);
    let client = world.ask(&format!("{reverse} PTR"));
    let other = world.ask(&format!("{} PTR", reverse.replace("4.6.0.0", "5.6.0.0")));
    world.run();
    assert_eq!(shown(&world, client), format!("NOERROR {reverse} v4.example.com."));
    assert_eq!(shown(&world, other), "NXDOMAIN");
}

#[test]
fn ipv4only_arpa_is_known_rfc_8880_section_7_1() {
    let mut world = World::new(dns64(), &[]);
    let client = world.ask("IPv4only.arpa. AAAA");
    world.run();
    assert_eq!(shown(&world, client), "NOERROR IPv4only.arpa. 64:ff9b::c000:aa");
    assert_eq!(world.answer(client).answer[0].rdata.len(), 2);
    assert!(world.asked.is_empty());
}

#[test]
fn nothing_is_made_without_the_module() {
    let mut world = World::new(unvalidated(), &[V4, NO_V6]);
    let client = world.ask("v4.example.com. AAAA");
    world.run();
    assert_eq!(shown(&world, client), "NOERROR");
    assert_eq!(world.status(client), SecurityStatus::Insecure);
}

#[test]
fn what_may_not_be_remembered_is_not() {
    let zone = crate::config::ZoneTarget {
        addrs: vec![crate::config::ForwardAddr {
            addr: "10.0.2.1:53".parse().unwrap(),
            tls_name: None,
        }],
        no_cache: true,
        name: name("example.com."),
        hosts: Vec::new(),
        first: false,
        tls: false,
        tcp: false,
        prime: false,
    };
    let config = Config { forward_zones: vec![zone], ..dns64() };
    let mut world = World::new(config, &[V4, NO_V6]);
    for round in 1..3 {
        for asked in ["v4.example.com. AAAA", "v4.example.com. A"] {
            let client = world.ask(asked);
            world.run();
            assert_eq!(world.rcode(client), Rcode::NOERROR);
            assert!(hit(&world, asked, Header::default()).is_none(), "{asked}");
        }
        assert_eq!(world.count("10.0.2.1 v4.example.com. AAAA"), round);
    }
}

//! Servers that may only be asked over TLS are not asked in the clear.

use super::world::{World, name};
use crate::config::{Config, ForwardAddr, ForwardHost, ZoneTarget};

fn target(zone: &str, tls: bool) -> ZoneTarget {
    let tls_name = tls.then(|| "dns.example".to_owned());
    let addr = ForwardAddr { addr: "10.9.9.9:853".parse().unwrap(), tls_name };
    ZoneTarget {
        name: name(zone),
        addrs: vec![addr],
        hosts: Vec::new(),
        first: false,
        tls,
        tcp: false,
        no_cache: false,
        prime: false,
    }
}

/// A world in which every server would give an answer in the clear.
fn world(edit: impl FnOnce(&mut Config)) -> World {
    let mut config = Config { qname_minimisation: false, ..Config::default() };
    edit(&mut config);
    let reply = "AA; RA; an www.example.com. A 192.0.2.1";
    World::with_config(config, &[("10.0.2.1", "*. A", reply), ("10.9.9.9", "*. A", reply)])
}

#[test]
fn questions_go_over_tls_and_nothing_goes_out_in_the_clear() {
    let forward = |zone: ZoneTarget| move |config: &mut Config| config.forward_zones.push(zone);
    let stub = |zone: ZoneTarget| move |config: &mut Config| config.stub_zones.push(zone);
    let first = |zone: ZoneTarget| ZoneTarget { first: true, ..zone };
    let prime = |zone: ZoneTarget| ZoneTarget { prime: true, ..zone };
    let named = "10.9.9.9 www.example.com. A port 853 tls as dns.example";
    let cases: Vec<(&str, World, String)> = vec![
        ("forward", world(forward(target("example.com.", true))), format!("{named} rd")),
        (
            "forward-first",
            world(forward(first(target("example.com.", true)))),
            format!("{named} rd"),
        ),
        ("forward everything", world(forward(target(".", true))), format!("{named} rd")),
        ("stub", world(stub(target("example.com.", true))), named.to_owned()),
        ("stub-prime", world(stub(prime(target("example.com.", true)))), named.to_owned()),
        ("stub for the root", world(stub(target(".", true))), named.to_owned()),
        (
            "tls-upstream with a forwarder",
            world(|config| {
                config.tls_upstream = true;
                config.forward_zones.push(target("example.com.", false));
            }),
            "10.9.9.9 www.example.com. A port 853 tls rd".to_owned(),
        ),
    ];
    for (case, mut world, expected) in cases {
        assert_eq!(
            world.answer("www.example.com. A"),
            "NOERROR www.example.com. A 192.0.2.1",
            "{case}"
        );
        assert_eq!(world.asked, [expected], "{case}");
    }
}

#[test]
fn tls_upstream_holds_for_every_server() {
    let mut world = world(|config| config.tls_upstream = true);
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
    assert!(world.asked.len() >= 3);
    assert!(world.asked.iter().all(|line| line.ends_with(" port 853 tls")), "{:?}", world.asked);
}

#[test]
fn servers_known_by_name_have_to_prove_it_too() {
    let host = ForwardHost {
        name: name("ns.example.com."),
        port: 853,
        tls_name: Some("dns.example".to_owned()),
    };
    let zone = ZoneTarget { addrs: Vec::new(), hosts: vec![host], ..target("secret.test.", true) };
    let mut world = world(|config| config.forward_zones.push(zone));
    world.answer("a.secret.test. A");
    let asked = world.asked.iter().filter(|line| line.contains("a.secret.test.")).count();
    let secret = world.asked.iter().filter(|line| line.contains("tls as dns.example")).count();
    assert_eq!(asked, secret, "{:?}", world.asked);
}

#[test]
fn what_was_learned_before_does_not_lead_past_the_demand() {
    for zone in [".", "com.", "example.com."] {
        let mut world = world(|_| ());
        assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
        // A reload brings the clause; the cache knows the servers of the zone and those above.
        world.config.stub_zones.push(target(zone, true));
        world.asked.clear();
        world.answer("other.example.com. A");
        assert!(!world.asked.is_empty(), "{zone}");
        assert!(world.asked.iter().all(|line| line.contains(" tls")), "{zone}: {:?}", world.asked);
    }
}

#[test]
fn other_zones_are_asked_as_ever() {
    let mut world = world(|config| {
        config.forward_zones.push(target("secret.test.", true));
        config.forward_zones.push(target("plain.secret.test.", false));
    });
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
    world.asked.clear();
    world.answer("a.plain.secret.test. A");
    assert_eq!(world.asked, ["10.9.9.9 a.plain.secret.test. A port 853 rd"]);
}

//! Servers that may only be asked over TLS are not asked in the clear.

use super::world::{World, name};
use crate::config::{Config, ForwardAddr, ZoneTarget};

fn target(zone: &str, tls: bool) -> ZoneTarget {
    let addr = ForwardAddr { addr: "10.9.9.9:853".parse().unwrap(), tls_name: None };
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
fn questions_fail_and_nothing_goes_out_in_the_clear() {
    let forward = |zone: ZoneTarget| move |config: &mut Config| config.forward_zones.push(zone);
    let stub = |zone: ZoneTarget| move |config: &mut Config| config.stub_zones.push(zone);
    let first = |zone: ZoneTarget| ZoneTarget { first: true, ..zone };
    let prime = |zone: ZoneTarget| ZoneTarget { prime: true, ..zone };
    let cases: Vec<(&str, World)> = vec![
        ("forward", world(forward(target("example.com.", true)))),
        ("forward-first", world(forward(first(target("example.com.", true))))),
        ("forward everything", world(forward(target(".", true)))),
        ("stub", world(stub(target("example.com.", true)))),
        ("stub-first", world(stub(first(target("example.com.", true))))),
        ("stub-prime", world(stub(prime(target("example.com.", true))))),
        ("stub for the root", world(stub(target(".", true)))),
        ("tls-upstream", world(|config| config.tls_upstream = true)),
        (
            "tls-upstream with a forwarder",
            world(|config| {
                config.tls_upstream = true;
                config.forward_zones.push(target("example.com.", false));
            }),
        ),
    ];
    for (case, mut world) in cases {
        assert_eq!(world.answer("www.example.com. A"), "TlsUnsupported", "{case}");
        assert_eq!(world.asked, [""; 0], "{case}");
    }
}

#[test]
fn what_was_learned_before_does_not_lead_past_the_demand() {
    for zone in [".", "com.", "example.com."] {
        let mut world = world(|_| ());
        assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
        // A reload brings the clause; the cache knows the servers of the zone and those above.
        world.config.stub_zones.push(target(zone, true));
        world.asked.clear();
        assert_eq!(world.answer("other.example.com. A"), "TlsUnsupported", "{zone}");
        assert_eq!(world.asked, [""; 0], "{zone}");
    }
}

#[test]
fn other_zones_are_asked_as_ever() {
    let mut world = world(|config| {
        config.forward_zones.push(target("secret.test.", true));
        config.forward_zones.push(target("plain.secret.test.", false));
    });
    assert_eq!(world.answer("www.example.com. A"), "NOERROR www.example.com. A 192.0.2.1");
    assert_eq!(world.answer("a.secret.test. A"), "TlsUnsupported");
    world.asked.clear();
    world.answer("a.plain.secret.test. A");
    assert_eq!(world.asked, ["10.9.9.9 a.plain.secret.test. A port 853 rd"]);
}
